//! Several connectors in the running program: who is tried when one refuses, falls silent, fails, is paused or is full;
//! and what the operator sees of it.

use super::support::{Folder, World, bank, operator};
use bytes::Bytes;
use hundi::admin::MerchantChanges;
use hundi::config::{Config, Connector, Limits, Routes, Sandbox, Targets};
use hundi::connectors::admin;
use hundi::http_out::{HttpOut, Method, OutError, OutReply, OutRequest};
use hundi_bank::{Bank, Faults};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A second bank, at `http://other.test`: a sandbox bank with a book of its own that may refuse everything and let others
/// try, at once or after it has accepted it.
#[derive(Clone)]
struct Other {
    bank: Arc<Bank>,
    refuses: Arc<AtomicBool>,
    refuses_later: Arc<AtomicBool>,
    payments: Arc<AtomicU64>,
    references: Arc<Mutex<Vec<String>>>,
}

impl Other {
    fn new() -> Other {
        Other {
            bank: bank(Faults::default(), 8),
            refuses: Arc::default(),
            refuses_later: Arc::default(),
            payments: Arc::default(),
            references: Arc::default(),
        }
    }

    fn refuse(&self, refuse: bool) {
        self.refuses.store(refuse, Ordering::Relaxed);
    }

    /// How many requests to pay have reached it.
    fn payments(&self) -> u64 {
        self.payments.load(Ordering::Relaxed)
    }

    fn reached(&self) -> HttpOut {
        let other = self.clone();
        Arc::new(move |request: OutRequest| {
            let other = other.clone();
            Box::pin(async move {
                let path = request.url.strip_prefix("http://other.test").expect("the other bank").to_owned();
                let method = match request.method {
                    Method::Get => "GET",
                    Method::Post => "POST",
                };
                let says = |reference: &str, status: &str| {
                    let body = json!({ "reference": reference, "status": status, "code": "DOWN", "message": "Down",
                        "retry_elsewhere": status == "refused" });
                    Ok(OutReply { status: 200, body: Bytes::from(body.to_string()), truncated: false })
                };
                let refuses_later = other.refuses_later.load(Ordering::Relaxed);
                if method == "GET" && refuses_later {
                    return says(path.rsplit('/').next().unwrap(), "refused");
                }
                if method == "POST" {
                    other.payments.fetch_add(1, Ordering::Relaxed);
                    let asked: Value = serde_json::from_slice(&request.body).unwrap();
                    let reference = asked["reference"].as_str().unwrap().to_owned();
                    other.references.lock().unwrap().push(reference.clone());
                    if other.refuses.load(Ordering::Relaxed) {
                        return says(&reference, "refused");
                    }
                    if refuses_later {
                        return says(&reference, "accepted");
                    }
                }
                let silent = || OutError::Silent("time-out".to_owned());
                let reply =
                    tokio::time::timeout(request.deadline, other.bank.handle(method, &path, request.body)).await;
                let reply = reply.map_err(|_| silent())?.ok_or_else(silent)?;
                Ok(OutReply { status: reply.status, body: reply.body, truncated: false })
            })
        })
    }
}

fn sandbox(url: &str) -> Connector {
    Connector::Sandbox(Sandbox {
        url: url.to_owned(),
        callback_secret_file: None,
        callback_secret: None,
        reply_within_ms: 5_000,
    })
}

fn to(connector: &str, priority: u32, weight: u32) -> Targets {
    Targets { connector: connector.to_owned(), priority, weight }
}

/// The other bank first, then the sandbox.
fn other_first(config: &mut Config) {
    config.connectors.insert("other".to_owned(), sandbox("http://other.test"));
    config.routes = vec![Routes { targets: vec![to("other", 1, 1), to("sandbox", 2, 1)], ..Routes::default() }];
}

async fn world(configure: impl FnOnce(&mut Config)) -> (World, Other) {
    let world = World::with(|config| {
        other_first(config);
        configure(config);
    })
    .await;
    let other = Other::new();
    world.receivers.reached_by(other.reached());
    (world, other)
}

/// How many of merchant `demo`'s payouts are in a state.
async fn in_state(world: &World, state: i64) -> i64 {
    world.number(&format!("SELECT COUNT(*) FROM payouts WHERE state = {state}")).await
}

const QUEUED: i64 = 1;
const PAID: i64 = 4;
const FAILED: i64 = 5;

/// One of two banks refuses everything: whether that is noticed or not, every payout ends paid through the other, and once.
#[tokio::test(start_paused = true)]
async fn what_one_bank_refuses_the_other_pays() {
    for (errors_percent, refused) in [(0, 1_000..=1_000), (50, 10..=200)] {
        let (world, other) = world(|config| config.health.errors_percent = errors_percent).await;
        other.refuse(true);
        for number in 0..1_000 {
            let answer = world.pay(&format!("ORDER-{number}"), 10, "123456781111").await;
            assert!([1, 2].contains(&answer.code()), "{}", answer.body);
        }
        world.pass(Duration::from_secs(60)).await;
        assert!(in_state(&world, PAID).await >= 999, "{errors_percent} %");
        assert!(refused.contains(&other.payments()), "{errors_percent} %: {}", other.payments());
        assert_eq!(world.book().await.len(), 1_000);
        world.verify().await;
        let metrics = world.operations("/metrics").await;
        let ill = metrics.contains("hundi_connector_ills_total{connector=\"other\"}");
        assert_eq!(ill, errors_percent > 0, "{metrics}");
    }
}

/// A bank that accepts whatever it is given and then refuses it is as ill as one that refuses at once: what it has said first
/// was no success, and no probe of it ends well by it.
#[tokio::test(start_paused = true)]
async fn what_is_accepted_and_refused_later_is_no_success() {
    // Of its words all are bad, and not half of them.
    let (world, other) = world(|config| config.health.errors_percent = 90).await;
    other.refuses_later.store(true, Ordering::Relaxed);
    for number in 0..300 {
        world.pay(&format!("ORDER-{number}"), 10, "123456781111").await;
        world.pass(Duration::from_secs(2)).await;
    }
    world.pass(Duration::from_secs(300)).await;
    assert_eq!((in_state(&world, PAID).await, world.book().await.len()), (300, 300));
    // Until ten words were heard, and five probes after each pause of 30 s.
    assert!((10..=150).contains(&other.payments()), "{}", other.payments());
    let metrics = world.operations("/metrics").await;
    assert!(metrics.contains("hundi_connector_ills_total{connector=\"other\"}"), "{metrics}");
    // It is well again once what it is given ends well.
    other.refuses_later.store(false, Ordering::Relaxed);
    for number in 300..400 {
        world.pay(&format!("ORDER-{number}"), 10, "123456781111").await;
        world.pass(Duration::from_secs(2)).await;
    }
    assert!(world.operations("/metrics").await.contains("hundi_connector_health{connector=\"other\"} 0"));
    world.verify().await;
}

/// A bank that is silent, or has not executed an order after all, keeps it: nobody else is tried.
#[tokio::test(start_paused = true)]
async fn nobody_else_is_tried_after_silence() {
    let (world, other) = world(|config| config.health.errors_percent = 0).await;
    for number in 0..40 {
        // Paid without an answer; and neither answered nor executed, until the attempts are used up.
        let account = ["123456780888", "123456780999"][number % 2];
        world.pay(&format!("ORDER-{number}"), 10, account).await;
    }
    world.pass(Duration::from_secs(3_600)).await;
    assert_eq!((in_state(&world, PAID).await, in_state(&world, FAILED).await), (20, 20));
    assert_eq!(world.wire.payments(), 0);
    // One request for each of the first, three for each of the others, each under a reference of its own.
    assert_eq!(other.payments(), 20 + 3 * 20);
    let mut references = other.references.lock().unwrap().clone();
    references.sort_unstable();
    references.dedup();
    assert_eq!(references.len(), 80);
    world.verify().await;
}

/// While no connector may take it a payout waits: it does not fail, is not looked at without end, and is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_payout_waits_while_its_connector_is_paused() {
    // Also where there is but one connector and nothing to choose.
    let world = World::new().await;
    let paused = admin::pause(&world.app, "sandbox", "the bank's maintenance", &operator()).await.unwrap();
    assert_eq!((paused["state"].as_str(), paused["paused_by"].as_str()), (Some("paused"), Some("operator:tester")));
    // Other processes see it within a second.
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.pay("ORDER-1", 10, "123456781111").await.code(), 2);
    world.pass(Duration::from_secs(3_600)).await;
    assert_eq!((in_state(&world, QUEUED).await, world.wire.payments()), (1, 0));
    let version = world.number("SELECT version FROM payouts").await;
    assert!((20..120).contains(&version), "looked at {version} times in an hour");
    // A restart keeps to it.
    let (folder, bank, clock) = world.stop().await;
    let world = World::start(folder, bank, clock, |_| {}).await;
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(in_state(&world, QUEUED).await, 1);
    let again = admin::pause(&world.app, "sandbox", "again", &operator()).await.unwrap_err();
    assert!(again.contains("paused already"), "{again}");
    admin::resume(&world.app, "sandbox", &operator()).await.unwrap();
    world.pass(Duration::from_secs(600)).await;
    assert_eq!((in_state(&world, PAID).await, world.wire.payments()), (1, 1));
    assert!(admin::resume(&world.app, "sandbox", &operator()).await.unwrap_err().contains("not paused"));
    assert_eq!(world.number("SELECT COUNT(*) FROM settings_history WHERE merchant_id = 0").await, 2);
    world.verify().await;
}

/// Both are found to fail, so what comes then waits; once a bank is well, a few payouts try it, and then all go.
#[tokio::test(start_paused = true)]
async fn payouts_wait_while_every_connector_fails() {
    let (world, other) = world(|config| (config.health.words_least, config.health.pause_s) = (4, 3_600)).await;
    other.refuse(true);
    for number in 0..4 {
        // Refused there, and here for the beneficiary's bank: nobody is left.
        assert_eq!(world.pay(&format!("ORDER-{number}"), 10, "123456780555").await.code(), 0);
    }
    for number in 4..24 {
        assert_eq!(world.pay(&format!("ORDER-{number}"), 10, "123456781111").await.code(), 2);
    }
    other.refuse(false);
    world.pass(Duration::from_secs(1_800)).await;
    assert_eq!((in_state(&world, QUEUED).await, in_state(&world, FAILED).await), (20, 4));
    assert_eq!((other.payments(), world.wire.payments()), (4, 4));
    world.pass(Duration::from_secs(5_400)).await;
    assert_eq!((in_state(&world, QUEUED).await, in_state(&world, PAID).await), (0, 20));
    assert!(world.operations("/metrics").await.contains("hundi_connector_health{connector=\"other\"} 0"));
    world.verify().await;
}

/// What a connector is given on an Indian day is limited, whoever settled it and whenever this process began.
#[tokio::test(start_paused = true)]
async fn a_day_has_a_limit() {
    let limited = |config: &mut Config| {
        let day_most = Some("1000.00".to_owned());
        config.limits.insert("other".to_owned(), Limits { day_most, ..Limits::default() });
    };
    let (world, other) = world(limited).await;
    for number in 0..6 {
        assert_eq!(world.pay(&format!("ORDER-{number}"), 100, "123456781111").await.code(), 1);
    }
    // Six are paid; of what comes now, four are given to it and stay open. A start anew forgets neither.
    let (token, (folder, bank, clock)) = (world.token.clone(), world.stop().await);
    let mut world = World::start(folder, bank, clock, |config| {
        other_first(config);
        limited(config);
    })
    .await;
    world.token = token;
    world.receivers.reached_by(other.reached());
    for number in 6..20 {
        assert_eq!(world.pay(&format!("ORDER-{number}"), 100, "123456780333").await.code(), 2);
    }
    assert_eq!((other.payments(), world.wire.payments()), (10, 10));
    let shown = admin::list(&world.app).await.unwrap();
    world.pass(Duration::from_secs(10)).await;
    let later = admin::list(&world.app).await.unwrap();
    for shown in [shown, later] {
        let other = shown.as_array().unwrap().iter().find(|line| line["connector"] == "other").unwrap().clone();
        assert_eq!((&other["today"], &other["day_most"]), (&json!("1000.00"), &json!("1000.00")));
    }
    // At midnight what was paid is over; what is open still counts.
    world.pass(Duration::from_secs(12 * 3_600)).await;
    for number in 20..30 {
        assert_eq!(world.pay(&format!("ORDER-{number}"), 100, "123456781111").await.code(), 1);
    }
    // A total that is read meanwhile may be too high for a moment, and never too low.
    let given = other.payments();
    assert!((14..=16).contains(&given) && given + world.wire.payments() == 30, "{given}");
    world.verify().await;
}

/// Rules by merchant, rail, amount, bank and hour; a connector that does not carry a rail; and what `route explain` says.
#[tokio::test(start_paused = true)]
async fn rules_choose_and_are_explained() {
    let (world, other) = world(|config| {
        let rule = |name: &str, targets| Routes { name: name.to_owned(), targets, ..Routes::default() };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        config.routes = vec![
            Routes { merchants: texts(&["later"]), ..rule("later's", vec![to("other", 1, 1)]) },
            Routes { banks: texts(&["SBIN", "OkSBI"]), ..rule("state bank", vec![to("other", 1, 1)]) },
            Routes { amount_least: Some("500.00".to_owned()), ..rule("large", vec![to("other", 1, 1)]) },
            Routes { hours: Some("22:00-06:00".to_owned()), ..rule("night", vec![to("other", 1, 1)]) },
            rule("rest", vec![to("sandbox", 1, 1)]),
        ];
        let rails = texts(&["IMPS", "NEFT"]);
        config.limits.insert("other".to_owned(), Limits { rails, ..Limits::default() });
    })
    .await;
    let app = &world.app;
    let by = |merchant, rail, amount, ifsc, upi, at| admin::Ordered {
        merchant: Some(merchant),
        rail: Some(rail),
        amount,
        ifsc,
        upi,
        at,
        payout: 0,
    };
    let (hdfc, sbi) = (Some("HDFC0000001"), Some("SBIN0000001"));
    for (ordered, rule, connector, why) in [
        (by("demo", "IMPS", "100.00", hdfc, None, None), "rest", "sandbox", "another comes first"),
        (by("demo", "IMPS", "100.00", sbi, None, None), "state bank", "other", "chosen"),
        (by("demo", "imps", "500.00", hdfc, None, None), "large", "other", "chosen"),
        (by("demo", "IMPS", "499.99", hdfc, None, Some("05:59")), "night", "other", "chosen"),
        (by("demo", "IMPS", "499.99", hdfc, None, Some("06:00")), "rest", "sandbox", "another comes first"),
        // What it does not carry goes elsewhere, whatever the rule prefers.
        (by("demo", "UPI", "100.00", None, Some("x@oksbi"), None), "state bank", "sandbox", "does not carry UPI"),
    ] {
        let said = admin::explain(app, &ordered).await.unwrap();
        assert_eq!((said["rule"].as_str(), said["connector"].as_str()), (Some(rule), Some(connector)), "{said}");
        let considered = said["considered"].as_array().unwrap();
        assert_eq!(considered.iter().find(|line| line["connector"] == "other").unwrap()["why"], why, "{said}");
    }
    for (ordered, word) in [
        (by("nobody", "IMPS", "1.00", hdfc, None, None), "no merchant"),
        (by("demo", "WIRE", "1.00", hdfc, None, None), "--rail"),
        (by("demo", "IMPS", "1.5", hdfc, None, None), "--amount"),
        (by("demo", "IMPS", "1.00", Some("X"), None, None), "--ifsc"),
        (by("demo", "UPI", "1.00", None, Some("x"), None), "--upi"),
        (by("demo", "IMPS", "1.00", hdfc, None, Some("25:00")), "--at"),
    ] {
        assert!(admin::explain(app, &ordered).await.unwrap_err().contains(word), "{word}");
    }
    // With nothing but an amount and a beneficiary; what was left out is said.
    let short = |ifsc, upi| admin::Ordered { amount: "100.00", ifsc, upi, ..admin::Ordered::default() };
    let nobody = "no --merchant: rules that name merchants do not match, and no other rail is allowed";
    for (ordered, rule, rail, assumed) in [
        (short(hdfc, None), "rest", "IMPS", &["no --rail: IMPS was ordered", nobody][..]),
        (short(sbi, None), "state bank", "IMPS", &["no --rail: IMPS was ordered", nobody]),
        (short(None, Some("x@oksbi")), "state bank", "UPI", &["no --rail: UPI was ordered", nobody]),
        (
            admin::Ordered { merchant: Some("demo"), ..short(hdfc, None) },
            "rest",
            "IMPS",
            &["no --rail: IMPS was ordered"],
        ),
        (admin::Ordered { rail: Some("NEFT"), ..short(hdfc, None) }, "rest", "NEFT", &[nobody]),
        (by("demo", "IMPS", "100.00", hdfc, None, None), "rest", "IMPS", &[]),
    ] {
        let said = admin::explain(app, &ordered).await.unwrap();
        assert_eq!((&said["rule"], &said["rail"], &said["assumed"]), (&json!(rule), &json!(rail), &json!(assumed)));
    }
    // What is explained is what is done.
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 1);
    assert_eq!(world.pay("ORDER-2", 500, "123456781111").await.code(), 1);
    assert_eq!((world.wire.payments(), other.payments()), (1, 1));
    // A merchant that a rule names and who is added later is known within seconds.
    hundi::admin::merchant_add(app, "later", "free", &operator()).await.unwrap();
    world.pass(Duration::from_secs(2)).await;
    let said = admin::explain(app, &by("later", "IMPS", "1.00", hdfc, None, None)).await.unwrap();
    assert_eq!(said["rule"], "later's");
    assert_eq!(admin::explain(app, &short(hdfc, None)).await.unwrap()["rule"], "rest");
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_connector_is_tested_without_money() {
    let (world, other) = world(|_| {}).await;
    for name in ["sandbox", "other"] {
        let said = admin::test(&world.app, name).await.unwrap();
        assert_eq!((&said["reached"], &said["http_status"]), (&json!(true), &json!(404)), "{said}");
    }
    world.wire.cut(true);
    let error = admin::test(&world.app, "sandbox").await.unwrap_err();
    assert!(error.contains("cannot be reached"), "{error}");
    let error = admin::test(&world.app, "nobody").await.unwrap_err();
    assert!(error.contains("there are: sandbox, other"), "{error}");
    world.receivers.reached_by(Arc::new(|_| {
        Box::pin(async { Ok(OutReply { status: 401, body: Bytes::new(), truncated: false }) })
    }));
    let error = admin::test(&world.app, "other").await.unwrap_err();
    assert!(error.contains("does not accept us"), "{error}");
    assert_eq!((world.wire.payments(), other.payments()), (0, 0));
    for reason in ["", " ", "two\nlines", &"x".repeat(201)] {
        assert!(admin::pause(&world.app, "other", reason, &operator()).await.unwrap_err().contains("--reason"));
    }
}

/// Sections that do not fit together are refused by name.
#[tokio::test(start_paused = true)]
async fn what_names_no_connector_is_refused() {
    for (text, word) in [
        ("[[routes]]\ntargets = [{ connector = 'nobody' }]", "`nobody`, which is no connector"),
        ("[limits.nobody]\nday_most = '1.00'", "`limits.nobody`"),
        ("[connectors.Upper]\nkind = 'sandbox'\nurl = 'http://a.test'", "`connectors.Upper`"),
        ("[connectors.sandbox]\nkind = 'sandbox'\nurl = 'http://a.test'", "`connectors.sandbox`"),
        ("[connectors.a]\nkind = 'sandbox'\nurl = 'nowhere'", "`connectors.a.url`"),
    ] {
        let config = Config::parse(&format!("{text}\n[sandbox]\nurl = 'http://bank.test'"));
        let error = config
            .and_then(|config| {
                let known = hundi::connectors::Connectors::new(&config)?;
                hundi::routing::Router::new(&config, &known).map(drop)
            })
            .unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
}

/// What each connector can do is what the table of docs/connectors.md says of it.
#[test]
fn connectors_can_do_what_their_document_says() {
    let folder = Folder::new();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let secret = secret.display();
    let exchange = |name| {
        let folders = ["outbox", "inbox", "archive", "bad"].map(|at| format!("{at} = '/srv/{name}/{at}'\n"));
        format!("[connectors.{name}.exchange]\n{}", folders.concat())
    };
    let text = format!(
        "[sandbox]\nurl = 'http://bank.test'\n\
        [connectors.segurapay]\nkind = 'segurapay'\nurl = 'http://a.test'\ntoken_file = '{secret}'\n\
        [connectors.wowpe]\nkind = 'segurapay'\ndialect = 'wowpe'\nurl = 'http://b.test'\nclient_id = 'x'\nsecret_key_file = '{secret}'\n\
        [connectors.distril]\nkind = 'segurapay'\ndialect = 'distril'\nurl = 'http://c.test'\nclient_id = 'x'\nsecret_key_file = '{secret}'\n\
        [connectors.razorpayx]\nkind = 'razorpayx'\nkey_id = 'rzp_test_1'\nkey_secret_file = '{secret}'\naccount_number = '7878780080316316'\n\
        [connectors.cashfree]\nkind = 'cashfree'\nclient_id = 'x'\nclient_secret_file = '{secret}'\n\
        [connectors.iso20022]\nkind = 'iso20022'\ndebtor_name = 'A'\naccount_number = '50200012345678'\nifsc = 'HDFC0000001'\n{}\
        [connectors.bankcsv]\nkind = 'bankcsv'\nformat = 'enet'\nclient_code = 'ACME'\naccount_type = '10'\n{}",
        exchange("iso20022"),
        exchange("bankcsv"),
    );
    let config = Config::parse(&text).unwrap();
    let connectors = hundi::connectors::Connectors::new(&config).unwrap();
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/connectors.md")).unwrap();
    let mut seen = 0;
    for row in document.lines().filter(|row| row.starts_with("| ") && row.matches('|').count() == 7) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Some(name) = cells[1].split('`').nth(1) else { continue };
        let can = connectors.capabilities(name).unwrap_or_else(|| panic!("{row}"));
        for to in ["accounts", "UPI IDs", "mobile numbers"] {
            assert_eq!(can.pays_to.contains(&to), cells[3].contains(to), "{to}: {row}");
        }
        assert_eq!(!can.paise, cells[4] == "whole rupees", "{row}");
        let asked = match can.asked {
            "by our reference" => "by ",
            "no" => "not at all",
            _ => "its answers and statements are read",
        };
        assert!(cells[5].starts_with(asked), "{row}");
        assert_eq!(can.lists_days, name == "razorpayx", "{row}");
        seen += 1;
    }
    assert_eq!(seen, 8);
}

/// A row of [`the_rail_is_the_merchants_choice`]: what he allows, what he orders, what becomes of it, and over which rails the
/// bank was asked to pay.
type Chosen = (&'static str, (&'static str, i64, &'static str), (i64, &'static str), &'static [&'static str]);

/// What nobody can carry as it was ordered goes over another rail where the merchant allows it. He sees it as he ordered it,
/// at the price that he was told; the operator sees what was done.
#[tokio::test(start_paused = true)]
async fn the_rail_is_the_merchants_choice() {
    let (world, _) = world(|config| {
        config.routes.clear();
        let limit = |rails: &[&str], most: Option<&str>| Limits {
            rails: rails.iter().map(|rail| (*rail).to_owned()).collect(),
            payout_most: most.map(ToOwned::to_owned),
            ..Limits::default()
        };
        // IMPS up to 1,000.00, and no RTGS at this hour.
        config.limits.insert("other".to_owned(), limit(&["IMPS"], Some("1000.00")));
        let hours = [("RTGS".to_owned(), "18:00-11:00".to_owned())].into();
        config.limits.insert("sandbox".to_owned(), Limits { hours, ..limit(&["NEFT", "RTGS"], None) });
    })
    .await;
    let fees = MerchantChanges {
        fees: ["IMPS=*:5.00", "NEFT=*:2.00", "RTGS=*:20.00"].map(ToOwned::to_owned).into(),
        ..Default::default()
    };
    admin_set(&world, fees).await;
    let table: [Chosen; 8] = [
        ("as-ordered", ("IMPS", 100, "123456781111"), (1, "Success"), &["IMPS"]),
        // The account takes no IMPS.
        ("as-ordered", ("IMPS", 100, "123456780345"), (0, "Failure"), &["IMPS"]),
        ("auto", ("IMPS", 100, "123456780345"), (1, "Success"), &["IMPS", "NEFT"]),
        // Too much for the connector of IMPS.
        ("as-ordered", ("IMPS", 1_001, "123456781111"), (2, "Pending"), &[]),
        ("auto", ("IMPS", 1_001, "123456781111"), (1, "Success"), &["NEFT"]),
        // RTGS is closed at noon, IMPS does not go so far.
        ("as-ordered", ("RTGS", 200_000, "123456781111"), (2, "Pending"), &[]),
        ("auto", ("RTGS", 200_000, "123456781111"), (1, "Success"), &["NEFT"]),
        // Silence over the other rail is silence.
        ("auto", ("IMPS", 1_002, "123456780888"), (1, "Success"), &["NEFT"]),
    ];
    let mut cost = 0;
    for (number, (choice, (mode, rupees, account), last, rails)) in table.into_iter().enumerate() {
        let rail = Some(choice.to_owned());
        admin_set(&world, MerchantChanges { rail, ..MerchantChanges::default() }).await;
        let order = format!("ORDER-{number}");
        world.pay_over(mode, &order, rupees, account).await;
        world.pass(Duration::from_secs(120)).await;
        let answer = world.status(&order).await.json();
        let became = (answer["StatusCode"].as_i64().unwrap(), answer["Data"]["Status"].as_str().unwrap());
        assert_eq!(became, last, "{choice} {mode} {rupees} {account}: {answer}");
        // The same order is the same payout, whatever it went over; another mode is another order.
        assert_eq!(world.pay_over(mode, &order, rupees, account).await.code(), last.0);
        let other_mode = if mode == "IMPS" { "NEFT" } else { "IMPS" };
        assert_eq!(world.pay_over(other_mode, &order, rupees, account).await.code(), 5);
        let id = answer["Data"]["OrderID"].as_str().unwrap();
        let shown = hundi::admin::payout_show(&world.app, id).await.unwrap();
        assert_eq!(shown["rail"], mode);
        let attempts = shown["attempts"].as_array().unwrap();
        let asked: Vec<&str> = attempts.iter().map(|attempt| attempt["rail"].as_str().unwrap()).collect();
        assert_eq!(asked, rails, "{choice} {mode} {rupees} {account}: {shown}");
        assert_eq!(shown["sent_over"].as_str(), rails.last().copied());
        let rrn = answer["Data"]["RRN"].as_str().unwrap();
        if last.0 == 1 {
            // The bank's own label for the rail: 16 characters for NEFT.
            assert_eq!(rrn.len(), if rails.last() == Some(&"NEFT") { 16 } else { 12 }, "{rrn}");
            let rule = shown["turn_round"]["rule"].as_str().unwrap();
            assert_eq!(rule.contains("batch"), rails.last() == Some(&"NEFT"), "{rule}");
        }
        let fee = if mode == "RTGS" { 23_60 } else { 5_90 };
        cost += if last.0 == 0 { 0 } else { rupees * 100 + fee };
        let left = 100_000_000 - cost;
        assert_eq!(world.balance().await, format!("\"{}.{:02}\"", left / 100, left % 100));
    }
    // Attempts keep their rail in a statement's matching and in the day's report.
    let rails = "SELECT COUNT(*) FROM bank_references WHERE rail = 0";
    assert_eq!(world.number(rails).await, 4);
    let said = admin::explain(
        &world.app,
        &admin::Ordered {
            merchant: Some("demo"),
            rail: Some("RTGS"),
            amount: "200000.00",
            ifsc: Some("HDFC0000001"),
            upi: None,
            at: None,
            payout: 0,
        },
    );
    let said = said.await.unwrap();
    assert_eq!((said["connector"].as_str(), said["rail"].as_str()), (Some("sandbox"), Some("NEFT")), "{said}");
    let lines = said["considered"].as_array().unwrap().iter();
    let why: Vec<String> =
        lines.map(|line| format!("{} {}: {}", line["connector"], line["rail"], line["why"])).collect();
    assert!(why.iter().any(|line| line.contains("takes no RTGS at this hour")), "{why:?}");
    // In the evening its window opens, and what was ordered so goes as it was ordered.
    world.pass(Duration::from_secs(7 * 3_600)).await;
    assert_eq!(world.status("ORDER-5").await.code(), 1);
    assert_eq!(world.number("SELECT COUNT(*) FROM bank_references WHERE rail = 1").await, 1);
    world.verify().await;
    let wrong = MerchantChanges { rail: Some("fast".to_owned()), ..MerchantChanges::default() };
    let refused = hundi::admin::merchant_set(&world.app, "demo", wrong, &operator()).await.unwrap_err();
    assert!(refused.contains("--rail `fast` is neither auto nor as-ordered"), "{refused}");
}

async fn admin_set(world: &World, changes: MerchantChanges) {
    hundi::admin::merchant_set(&world.app, "demo", changes, &operator()).await.unwrap();
}
