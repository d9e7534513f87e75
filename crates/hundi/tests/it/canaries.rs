//! Secrets that go in and must come out nowhere: tokens, account numbers, UPI IDs and phones, through everything that
//! can go right or wrong, at the most talkative log level. Then every output and every byte of the data folder is searched,
//! in clear, in hexadecimal and in base64.

use super::process::kit::{Http, PAY, Receiver, Reply, STATUS, Site, contains, files, until};
use super::support::{KEY, World, operator};
use crate::database::dump;
use crate::score::score;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hundi::admin::{self, MerchantChanges};
use hundi::config::DatabaseUrl;
use hundi::connectors::Transfer;
use hundi::http::fields::Fields;
use hundi::http_out::{Method, OutReply, OutRequest, Reach};
use hundi::keys::{Place, token_hash};
use hundi_core::command::Command;
use hundi_core::ids::{MerchantId, OrderId, Reference};
use hundi_core::money::Amount;
use hundi_core::party::{AccountNumber, Beneficiary, Ifsc, Mobile, PersonName, Vpa};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

const ACCOUNT: &str = "731905246817";
const ACCOUNT_REFUSED: &str = "731905240444";
const ACCOUNT_SILENT: &str = "731905240888";
const ACCOUNT_NEFT: &str = "91746203850222";
const UPI: &str = "canary.vpa-7730@sandbox";
const NUMBER: &str = "9137264850";
const PHONE: &str = "8264019375";
const PHONE_IN_TEXT: &str = "7391508264";
const HOOK: &str = "hookcanary5ac1";
const WRONG_TOKEN: &str = "hundi_badcafe0c0ffee0badcafe0c0ffee0badcafe001";
/// In what is refused, so that it never becomes a typed value.
const MALFORMED: [&str; 4] = ["CANARYacct!90817263", "vpa canary@@8172", "canaryphone91x827", "CANARYIFSC77"];
const NAME: &str = "CANARYA PERSONWALA";

#[test]
fn canaries_come_out_nowhere() {
    let site = Site::new("1000000.00", "log_format = 'json'\nlog_level = 'trace'");
    let receiver = Receiver::start();
    receiver.answer(500);
    // Told once to the operator, who keeps them; from then on they are secrets.
    let shown = site.cli(&["merchant", "set", "shop", "--callback-secret", "new"]).json();
    let told = |name: &str| shown[name].as_str().unwrap().trim_start_matches("whsec_").to_owned();
    let callback_secrets = [told("callback_secret"), told("callback_secret_old")];
    let key = std::fs::read_to_string(site.data().join("hundi.key")).unwrap();
    let key = key.rsplit_once(':').unwrap().1.trim().to_owned();
    let hook = receiver.url(&format!("/hook?key={HOOK}"));
    site.cli(&["merchant", "set", "shop", "--callback-url", &hook]).json();
    let bank = site.start_bank("dup_callback=1");
    let serve = site.start_serve();
    let mut replies = pay_and_ask(&site);
    replies.extend(call_wrongly(&site));
    until("the failing callbacks", Duration::from_secs(10), || {
        (site.metric("hundi_callback_tries") >= 2.0).then_some(())
    });
    // The silent one is asked about, and the slow one ends.
    until("the end of all payouts", Duration::from_secs(60), || {
        (site.metric("hundi_payouts_open{") == 0.0).then_some(())
    });
    assert!(receiver.calls().iter().any(|call| call.path.contains(HOOK)));
    let metrics = Http::new(site.operations).get("/metrics").unwrap().body;
    let out = serve.stdout() + &serve.stderr();
    let before: Vec<(String, Vec<u8>)> = read(&site);
    let (status, _) = serve.terminate();
    assert!(status.success());
    let log = std::fs::read(site.path("serve-log.stderr")).unwrap();
    assert!(contains(&log, b"TRACE") || contains(&log, b"DEBUG"), "the log was not talkative");
    assert!(log.len() >= out.len());

    let mut places: Vec<(String, Vec<u8>)> = vec![
        ("the log".to_owned(), log),
        ("stdout".to_owned(), std::fs::read(site.path("serve-log.stdout")).unwrap()),
        ("the metrics".to_owned(), metrics.into_bytes()),
        ("the bank's log".to_owned(), std::fs::read(site.path("bank-sandbox-log.stderr")).unwrap()),
    ];
    places.extend(replies.into_iter().map(|(what, reply)| (format!("the answer to {what}"), reply.body.into_bytes())));
    places.extend(before);
    places.extend(read(&site));
    let verify = site.cli(&["verify"]);
    let list = site.cli(&["payout", "list", "--merchant", "shop"]);
    let statement = site.cli(&["statement", "--merchant", "shop"]);
    let inner = site.cli(&["merchant", "set", "shop", "--callback-url", &format!("ftp://127.0.0.1/?key={HOOK}")]);
    assert_eq!(inner.code, 1);
    let settings = site.cli(&["merchant", "show", "none"]);
    let commands = [
        ("verify", verify),
        ("payout list", list),
        ("statement", statement),
        ("merchant set", inner),
        ("show", settings),
    ];
    for (what, ran) in commands {
        places.push((format!("`{what}`"), (ran.stdout + &ran.stderr).into_bytes()));
    }
    let mut secrets = vec![
        ACCOUNT,
        ACCOUNT_REFUSED,
        ACCOUNT_SILENT,
        ACCOUNT_NEFT,
        UPI,
        NUMBER,
        PHONE,
        PHONE_IN_TEXT,
        HOOK,
        WRONG_TOKEN,
        &site.token,
        &callback_secrets[0],
        &callback_secrets[1],
        &key,
        "a secret of the bank",
    ];
    secrets.extend(MALFORMED);
    let (mut hits, looks) = search(&secrets, &key, &places);
    for (place, bytes) in &places[..4] {
        if contains(bytes, NAME.as_bytes()) {
            hits.push(format!("{NAME} in {place}"));
        }
    }
    assert!(hits.is_empty(), "{}", hits.join("\n"));

    the_search_can_find(&site);
    drop(bank);
    println!("{looks} searches in {} places", places.len());
    score(31, "searches for a secret in an output, a log, a metric or the database", looks);
    score(31, "secrets found", hits.len() as u64);
}

/// Every secret in every place, but for the key in its own file: what was found, and how many searches there were.
fn search(secrets: &[&str], key: &str, places: &[(String, Vec<u8>)]) -> (Vec<String>, u64) {
    let (mut hits, mut looks) = (Vec::new(), 0);
    for secret in secrets {
        for (how, needle) in disguises(secret) {
            for (place, bytes) in places.iter().filter(|(place, _)| !place.ends_with("hundi.key") || *secret != key) {
                looks += 1;
                if contains(bytes, &needle) {
                    hits.push(format!("{secret} {how} in {place}"));
                }
            }
        }
    }
    (hits, looks)
}

fn the_search_can_find(site: &Site) {
    // The search can find: the bank's book holds account numbers in clear, and nothing else of the run does.
    let books: Vec<_> = files(&site.path("bank-sandbox"));
    for secret in [ACCOUNT, UPI, PHONE] {
        assert!(
            books.iter().any(|file| contains(&std::fs::read(file).unwrap(), secret.as_bytes())),
            "{secret} is not in the bank's book"
        );
    }
    for offset in 0..3 {
        let text = STANDARD.encode(format!("{}{ACCOUNT} and more", "x".repeat(offset)));
        assert!(disguises(ACCOUNT).iter().any(|(_, needle)| contains(text.as_bytes(), needle)), "base64 at {offset}");
    }
}

/// What a programmer prints to see what is in it, which may end in a log or in a panic's message.
#[tokio::test(start_paused = true)]
async fn debug_output_holds_no_secret() {
    let world = World::with(|config| {
        config.callbacks.allow_private = true;
        config.sandbox.as_mut().unwrap().callback_secret = Some(BANK_SECRET.as_bytes().to_vec());
    })
    .await;
    let changes = MerchantChanges { callback_url: Some(format!("http://shop.test/?key={HOOK}")), ..Default::default() };
    admin::merchant_set(&world.app, "demo", changes, &operator()).await.unwrap();
    let orders = [
        payout(&world.token, "C-1", "IMPS", account(ACCOUNT)),
        payout(&world.token, "C-2", "UPI", json!({ "UPIId": UPI })),
        payout(&world.token, "C-3", "UPI", json!({ "BeneficiaryPhoneNo": PHONE })),
    ];
    let mut shown = Vec::new();
    let mut show = |what: &dyn std::fmt::Debug| shown.extend([format!("{what:?}"), format!("{what:#?}")]);
    for order in &orders {
        let body = order.to_string();
        show(&Fields::parse(None, Some(&format!("token={WRONG_TOKEN}")), body.as_bytes()).unwrap());
        show(&Fields::parse(None, Some("token=%"), format!("{body}{ACCOUNT}").as_bytes()).unwrap_err());
        world.post(PAY, &body).await;
        let id = OrderId::parse(order["OrderID"].as_str().unwrap()).unwrap();
        let payout = world.app.store.payout_by_order(MerchantId(1), &id).await.unwrap().unwrap();
        show(&payout);
        show(&Command::CreatePayout(Box::new(payout.order.clone())));
        let (sealed, row) = (&payout.order.sealed.0, payout.order.id.0);
        let place = Place { merchant: MerchantId(1), row, field: "payouts.sealed" };
        // The sealed text is there, and opens.
        assert!(world.app.keys.open(place, sealed).is_some());
        for message in
            world.app.store.bank_messages(payout.connector.unwrap(), payout.reference.unwrap()).await.unwrap()
        {
            show(&message);
        }
    }
    let beneficiaries = [
        Beneficiary::Account {
            number: AccountNumber::parse(ACCOUNT).unwrap(),
            ifsc: Ifsc::parse("HDFC0000001").unwrap(),
        },
        Beneficiary::Vpa(Vpa::parse(UPI).unwrap()),
        Beneficiary::Mobile(Mobile::parse(PHONE).unwrap()),
    ];
    for beneficiary in &beneficiaries {
        show(beneficiary);
        show(&Transfer {
            reference: Reference::parse("CANARY000000001").unwrap(),
            amount: Amount::from_paise(100).unwrap(),
            rail: Rail::Imps,
            beneficiary,
            name: &PersonName::parse(NAME).unwrap(),
            send_before: Timestamp(0),
        });
    }
    let app = &world.app;
    show(&(&app.config, &app.keys, &app.connectors));
    show(&DatabaseUrl(format!("postgres://hundi:{HOOK}@db.example/hundi")));
    show(&app.store.merchants().await.unwrap());
    show(&app.store.token(&token_hash(&world.token)).await.unwrap());
    show(&app.store.settings_history(MerchantId(1), 100).await.unwrap());
    show(&OutRequest {
        method: Method::Get,
        url: format!("http://shop.test/?key={HOOK}&token={}", world.token),
        headers: vec![("authorization", world.token.clone())],
        body: orders[0].to_string().into(),
        deadline: Duration::from_secs(1),
        write_before_boot_us: None,
        reply_bytes_max: 1,
        reach: Reach::Public,
    });
    show(&OutReply { status: 200, body: orders[0].to_string().into(), truncated: false });
    let secrets = [ACCOUNT, UPI, NUMBER, PHONE, HOOK, WRONG_TOKEN, BANK_SECRET, &world.token, &KEY[2..]];
    let mut looks = 0_u64;
    for secret in secrets {
        let bytes = format!("{:?}", secret.as_bytes());
        let mut needles = disguises(secret);
        needles.push(("as a list of bytes", bytes.trim_matches(['[', ']']).as_bytes().to_vec()));
        for (how, needle) in needles {
            for text in &shown {
                assert!(!contains(text.as_bytes(), &needle), "{secret} {how} in {text}");
                looks += 1;
            }
        }
    }
    assert!(shown.len() > 40 && shown.iter().any(|text| text.contains("C-1")));
    score(31, "searches for a secret in debug output, none found", looks);
}

const BANK_SECRET: &str = "canary-secret-of-the-bank-6120";

/// The files of Hundi's data, with their bytes, and the tables of its database where that is elsewhere.
fn read(site: &Site) -> Vec<(String, Vec<u8>)> {
    let found = files(&site.data()).into_iter();
    let mut all: Vec<_> = found.map(|file| (file.display().to_string(), std::fs::read(&file).unwrap())).collect();
    if let Some(DatabaseUrl(url)) = site.folder.database_url() {
        let tables = dump(&url);
        let holds = |text: &str| tables.iter().any(|(_, bytes)| contains(bytes, text.as_bytes()));
        assert!(tables.len() > 10 && holds(NAME), "the dump holds nothing");
        all.extend(tables);
    }
    all
}

/// A secret as it may be written.
fn disguises(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        ("in clear", bytes.to_vec()),
        ("in lower case", secret.to_lowercase().into_bytes()),
        ("in hexadecimal", lower.clone().into_bytes()),
        ("in upper hexadecimal", lower.to_uppercase().into_bytes()),
        ("percent-encoded", secret.replace('@', "%40").into_bytes()),
        ("as UTF-16", bytes.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];
    for offset in 0..3 {
        // Within a longer text, only the characters that depend on the secret alone.
        let text = STANDARD.encode([vec![b'x'; offset], bytes.to_vec()].concat());
        let until = (offset + bytes.len()) * 8 / 6;
        all.push(("in base64", text.as_bytes()[(offset * 8).div_ceil(6)..until].to_vec()));
    }
    all
}

fn payout(token: &str, order: &str, mode: &str, more: Value) -> Value {
    let mut body = json!({
        "Token": token, "Number": NUMBER, "Amount": "100", "TransferMode": mode, "BeneficiaryName": NAME, "OrderID": order,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn account(number: &str) -> Value {
    json!({ "AccountNo": number, "IFSCCode": "HDFC0000001" })
}

/// What goes well, or is refused by the bank.
fn pay_and_ask(site: &Site) -> Vec<(String, Reply)> {
    let mut http = Http::new(site.api);
    let token = &site.token;
    let mut replies = Vec::new();
    let orders = [
        ("C-1", "IMPS", account(ACCOUNT), 1),
        ("C-2", "IMPS", account(ACCOUNT_REFUSED), 0),
        ("C-3", "IMPS", account(ACCOUNT_SILENT), 2),
        ("C-4", "NEFT", account(ACCOUNT_NEFT), 2),
        ("C-5", "UPI", json!({ "UPIId": UPI }), 1),
        ("C-6", "UPI", json!({ "BeneficiaryPhoneNo": format!("+91{PHONE}") }), 1),
        ("C-1", "IMPS", account(ACCOUNT), 1),
        // The OrderID is taken by other details.
        ("C-1", "UPI", json!({ "UPIId": UPI }), 5),
    ];
    for (order, mode, more, code) in orders {
        let reply = http.post(PAY, &payout(token, order, mode, more).to_string()).unwrap();
        assert_eq!(reply.code(), code, "{}", reply.body);
        replies.push((order.to_owned(), reply));
    }
    let ours = replies[0].1.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    let balance = http.post(&format!("/UserWalletBalance?token={token}"), "").unwrap();
    assert_eq!(balance.status, 200);
    replies.push(("balance".to_owned(), balance));
    let complaint = json!({
        "Token": token, "Subject": format!("Call {PHONE_IN_TEXT}"), "Message": format!("My account is {ACCOUNT}, call {PHONE_IN_TEXT}"), "OrderId": ours,
    });
    let reply = http.post("/RaiseComplaint", &complaint.to_string()).unwrap();
    assert_eq!(reply.code(), 1, "{}", reply.body);
    assert_eq!(site.cli(&["complaint", "reply", "shop/1", &format!("We called {PHONE_IN_TEXT}")]).code, 0);
    replies
}

/// What is malformed, refused or unknown; every answer is searched.
fn call_wrongly(site: &Site) -> Vec<(String, Reply)> {
    let token = &site.token;
    let mut replies = Vec::new();
    let mut send = |what: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        // Each on a connection of its own: some are closed.
        let reply = Http::new(site.api).send(method, path, headers, body.as_bytes());
        replies.push((format!("{what} {}", path.split('?').next().unwrap()), reply.unwrap()));
    };
    let json_type: &[(&str, &str)] = &[("content-type", "application/json")];
    let [bad_account, bad_vpa, bad_phone, bad_ifsc] = MALFORMED;
    let mut long = account(ACCOUNT);
    long["BeneficiaryName"] = Value::from(format!("{NAME} {ACCOUNT} ").repeat(10));
    for (order, mode, more) in [
        ("M-1", "IMPS", account(bad_account)),
        ("M-2", "UPI", json!({ "UPIId": bad_vpa })),
        ("M-3", "UPI", json!({ "BeneficiaryPhoneNo": bad_phone })),
        ("M-4", "IMPS", json!({ "AccountNo": ACCOUNT, "IFSCCode": bad_ifsc })),
        ("M-5", "IMPS", json!({ "AccountNo": ACCOUNT, "IFSCCode": "HDFC0000001", "Number": bad_phone })),
        ("M-6", ACCOUNT, account(ACCOUNT)),
        ("M-7", "IMPS", json!({ "AccountNo": ACCOUNT, "accountno": UPI, "IFSCCode": "HDFC0000001" })),
        ("M-8", "IMPS", json!({ "AccountNo": [ACCOUNT], "IFSCCode": { "x": UPI } })),
        ("M-9", "IMPS", long),
        ("M 10 ", "UPI", json!({ "UPIId": UPI, "Amount": PHONE.to_owned() + ".5" })),
        ("M-11", "UPI", json!({ "Amount": PHONE })),
    ] {
        send(order, "POST", PAY, json_type, &payout(token, order, mode, more).to_string());
    }
    let good = payout(token, "X-1", "IMPS", account(ACCOUNT)).to_string();
    send("half a body", "POST", PAY, json_type, &good[..good.len() - 20]);
    send("two bodies", "POST", PAY, json_type, &good.repeat(2));
    send("another type", "POST", PAY, &[("content-type", "text/xml")], &good);
    send("a type with a secret", "POST", PAY, &[("content-type", ACCOUNT)], &good);
    send("a form that is JSON", "POST", PAY, &[("content-type", "application/x-www-form-urlencoded")], &good);
    send("too much", "POST", PAY, json_type, &good.repeat(300));
    send("a wrong token", "POST", &format!("/UserWalletBalance?token={WRONG_TOKEN}"), &[], "");
    send(
        "two tokens",
        "POST",
        &format!("/UserWalletBalance?token={WRONG_TOKEN}"),
        json_type,
        &format!("{{\"Token\":\"{token}\"}}"),
    );
    send("a wrong method", "GET", &format!("/UserWalletBalance?token={token}"), &[], "");
    send("an unknown path", "POST", &format!("/Unknown?token={token}&account={ACCOUNT}"), &[], "");
    send("a path with a token", "POST", &format!("/{token}/{ACCOUNT}"), &[], "");
    send("a header", "POST", "/UserWalletBalance", &[("authorization", token), ("x-forwarded-for", ACCOUNT)], "");
    send(
        "an order that is an account",
        "POST",
        STATUS,
        json_type,
        &json!({ "Token": token, "OrderID": ACCOUNT }).to_string(),
    );
    send(
        "a long complaint",
        "POST",
        "/RaiseComplaint",
        json_type,
        &json!({ "Token": token, "Subject": PHONE_IN_TEXT.repeat(50), "Message": UPI, "OrderId": "1" }).to_string(),
    );
    let word = json!({ "reference": "CANARY000000001", "status": "paid", "rrn": ACCOUNT, "message": UPI, "amount_paise": 1, "token": token });
    send("a bank's word", "POST", "/connectors/sandbox/callback", json_type, &word.to_string());
    send(
        "a bank's broken word",
        "POST",
        "/connectors/sandbox/callback",
        json_type,
        &format!("{{\"reference\": \"{ACCOUNT}"),
    );
    send("an unknown bank", "POST", &format!("/connectors/{ACCOUNT}/callback?token={token}"), json_type, ACCOUNT);
    for path in
        [format!("/metrics?token={token}"), format!("/{ACCOUNT}?token={token}"), format!("/readyz?token={token}")]
    {
        let reply = Http::new(site.operations).get(&path).unwrap();
        replies.push(("operations".to_owned(), reply));
    }
    replies
}
