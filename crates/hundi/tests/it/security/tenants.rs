//! What a merchant can learn of another, or do to him: nothing (WIRE 14). Every path of the router's own table takes, in
//! every field and in every way to write it, every ID of another merchant, and one like it that nobody has: the two answers
//! are the same byte for byte, and no row of the other's changes.

use super::support::{Answer, World, operator};
use crate::database::{number, rows_of};
use crate::score::score;
use hundi::admin::{self, MerchantChanges};
use hundi::http::bank_callback;
use hundi::http::fields::Field;
use hundi::http::problem::Call;
use hundi::http::router::routes;
use hundi_core::ids::{MerchantId, OrderId, Reference};
use hundi_core::signing;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const ACCOUNT: &str = "50100012345678";
const VPA: &str = "lakshmi@okbank";
const PHONE: &str = "9876543210";

/// An ID of the other merchant, and one of the same shape that nobody has.
struct Pair {
    theirs: String,
    nobodys: String,
}

/// How a field's value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Written {
    Text,
    Number,
    Form,
    Query,
}

/// What an answer tells, with the value that was asked about and what is new in every answer taken out.
#[derive(PartialEq, Eq, Debug)]
struct Told {
    status: u16,
    headers: Vec<String>,
    body: String,
    took_us: i64,
}

#[tokio::test(start_paused = true)]
async fn every_route_is_blind_for_every_id_of_another_merchant() {
    let world = World::new().await;
    let mut pairs = victim(&world).await;
    admin::merchant_add(&world.app, "rival", "free", &operator()).await.unwrap();
    let rival = world.new_token("rival", "127.0.0.1").await;
    pairs.push(pair(world.token.clone()));
    let mine = world.post(PAY, &order(&rival, "mine").to_string()).await;
    let mine = mine.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    let before = everything(&world);

    let (mut cases, mut paths) = (0, 0);
    for (method, path) in routes() {
        paths += 1;
        let Some(call) = Call::at(path) else {
            // Banks, and the operator's machines: below.
            assert!(path == bank_callback::PATH || method == "GET", "{path} has no row in this matrix");
            continue;
        };
        for field in Field::all().filter(|field| *field != Field::Token) {
            for (at, pair) in pairs.iter().enumerate() {
                for written in [Written::Text, Written::Number, Written::Form, Written::Query] {
                    if written == Written::Number && !is_number(&pair.theirs) {
                        continue;
                    }
                    let ask = async |value: &str, which: &str| {
                        let mut body = base(call, field, &rival, &mine);
                        if call == Call::Payout && field != Field::OrderId {
                            body["OrderID"] = json!(format!("{which}{written:?}{at}{field:?}{paths}"));
                        }
                        ask(&world, path, body, (field, call, value), written).await
                    };
                    let (theirs, nobodys) = (ask(&pair.theirs, "t").await, ask(&pair.nobodys, "n").await);
                    assert_eq!(theirs, nobodys, "{path} {field:?} {written:?} {} {}", pair.theirs, pair.nobodys);
                    cases += 1;
                }
            }
        }
        unchanged(&world, &before, &[], path);
    }
    cases += banks(&world, &pairs, &before).await;
    cases += a_token_elsewhere(&world, &before).await;
    cases += machines(&world, &pairs).await;
    world.verify().await;
    println!("{cases} cases on {paths} routes");
    assert!(cases > 3_000 && paths == routes().count());
    score(29, "another merchant's IDs in every field of every route: answers that differ from nobody's", 0);
    score(29, "cross-tenant cases", cases);
}

const PAY: &str = "/PayoutBankTransafer";

/// Another merchant with a past, and all his IDs.
async fn victim(world: &World) -> Vec<Pair> {
    let url = Some("http://shop.test/cb".to_owned());
    admin::merchant_set(&world.app, "demo", MerchantChanges { callback_url: url, ..Default::default() }, &operator())
        .await
        .unwrap();
    let mut ids = BTreeSet::new();
    let mut ours = String::new();
    for (name, changes) in [
        ("7001", json!({})),
        ("their-upi", json!({"TransferMode": "UPI", "UPIId": VPA})),
        ("their-phone", json!({"TransferMode": "UPI", "BeneficiaryPhoneNo": PHONE})),
        ("their-refused", json!({"AccountNo": "500100000444"})),
        ("their-reversed", json!({"AccountNo": "500100000777"})),
        ("their-neft", json!({"TransferMode": "NEFT"})),
    ] {
        let mut body = order(&world.token, name);
        for (field, value) in changes.as_object().unwrap() {
            body[field] = value.clone();
        }
        let answer = world.post(PAY, &body.to_string()).await;
        ours = answer.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
        ids.extend([name.to_owned(), ours.clone(), format!("cb_{ours}_1")]);
    }
    let complaint = json!({"Token": world.token, "OrderId": ours, "Subject": "s", "Message": "m"});
    assert_eq!(world.post("/RaiseComplaint", &complaint.to_string()).await.code(), 1);
    // Callbacks are delivered, the reversal has come, and nothing of it is under way any more.
    world.pass(Duration::from_secs(120)).await;
    for order in ids.clone() {
        let Some(order) = OrderId::parse(&order) else { continue };
        let Some(payout) = world.app.store.payout_by_order(MerchantId(1), &order).await.unwrap() else { continue };
        ids.extend(payout.reference.map(|reference| reference.to_string()));
        ids.extend([payout.rrn.to_string()].into_iter().filter(|rrn| !rrn.is_empty()));
    }
    ids.extend([ACCOUNT, VPA, PHONE, "demo", "demo/1", "1", "2", "OPENING"].map(str::to_owned));
    let like = |theirs: String| {
        let installation = &world.app.installation;
        if !Reference::parse(&theirs).is_some_and(|reference| reference.is_of(installation)) {
            return pair(theirs);
        }
        // One that carries the installation's mark too: without it a reference is any text.
        let order = OrderId::parse(&theirs).unwrap();
        Pair { nobodys: Reference::derive(installation, MerchantId(1), &order, 1, 0).to_string(), theirs }
    };
    let pairs: Vec<Pair> = ids.iter().cloned().map(like).collect();
    assert!(pairs.len() > 30 && pairs.iter().all(|pair| !ids.contains(&pair.nobodys)));
    pairs
}

/// The same with another character at its end.
fn pair(theirs: String) -> Pair {
    let (start, end) = theirs.split_at(theirs.len() - 1);
    // No other ID of a few payouts is so far away.
    let other = match end.as_bytes()[0] {
        digit @ b'0'..=b'4' => digit + 5,
        digit @ b'5'..=b'9' => digit - 5,
        b'z' => b'q',
        b'Z' => b'Q',
        letter => letter + 1,
    };
    let nobodys = format!("{start}{}", char::from(other));
    Pair { theirs, nobodys }
}

fn order(token: &str, name: &str) -> Value {
    json!({
        "Token": token, "Number": "9876500000", "Amount": "200", "TransferMode": "IMPS", "AccountNo": ACCOUNT,
        "IFSCCode": "HDFC0000001", "BeneficiaryName": "LAKSHMI", "OrderID": name,
    })
}

/// A request of the rival's that is good but for the field that is asked with.
fn base(call: Call, field: Field, rival: &str, mine: &str) -> Value {
    match call {
        Call::Payout => {
            let mut body = order(rival, "unused");
            body["TransferMode"] = json!("NEFT");
            if matches!(field, Field::UpiId | Field::BeneficiaryPhoneNo) {
                body["TransferMode"] = json!("UPI");
            }
            body
        }
        Call::Complaint => json!({"Token": rival, "OrderId": mine, "Subject": "s", "Message": "m"}),
        Call::Balance | Call::StatusByClientRef | Call::StatusByOrderId => json!({"Token": rival, "OrderID": "404"}),
    }
}

async fn ask(
    world: &World,
    path: &str,
    mut body: Value,
    (field, call, value): (Field, Call, &str),
    written: Written,
) -> Told {
    let spelling = field.spelling(call.path());
    body.as_object_mut().unwrap().remove(spelling);
    let token = body["Token"].clone();
    let asked: Value =
        if written == Written::Number { serde_json::from_str(value).unwrap() } else { Value::from(value) };
    let form = |body: &Value| {
        let mut out = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in body.as_object().unwrap() {
            out.append_pair(name, value.as_str().unwrap());
        }
        out.finish()
    };
    let began = world.app.clock.now();
    let (json_type, form_type) =
        (("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded"));
    let answer = match written {
        Written::Query => {
            let query = form(&json!({spelling: value}));
            world.call("127.0.0.1", "POST", &format!("{path}?{query}"), &[json_type], &body.to_string()).await
        }
        Written::Form => {
            body[spelling] = asked;
            world.call("127.0.0.1", "POST", path, &[form_type], &form(&body)).await
        }
        Written::Text | Written::Number => {
            body[spelling] = asked;
            world.call("127.0.0.1", "POST", path, &[json_type], &body.to_string()).await
        }
    };
    assert!(!answer.body.contains(token.as_str().unwrap()), "the token comes back");
    let mut told = told(&answer);
    // What the rival said himself may come back, and nothing else of it.
    told.body = told.body.replace(&format!("\"{value}\""), "\"ASKED\"");
    if call == Call::Payout {
        told.body = told.body.replace(body["OrderID"].as_str().unwrap_or("-"), "ORDER");
    }
    // What waits for a server's socket lets the clock of this test go on.
    let held = super::ENGINE == crate::database::Engine::Sqlite;
    told.took_us = if held { world.app.clock.now().0 - began.0 } else { 0 };
    told
}

fn told(answer: &Answer) -> Told {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "x-request-id");
    let mut body = answer.body.clone();
    if let Ok(Value::Object(json)) = serde_json::from_str::<Value>(&answer.body)
        && let Some(ours) = json.get("Data").and_then(|data| data["OrderID"].as_str())
    {
        body = body.replace(&format!("\"OrderID\":\"{ours}\""), "\"OrderID\":\"OURS\"");
    }
    Told { status: answer.status, headers: headers.map(|header| format!("{header:?}")).collect(), body, took_us: 0 }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

/// Every row of the other merchant, and how many messages banks have sent, which name nobody. (What a bank answered when it
/// was asked is kept too, but asking changes nothing.)
#[derive(Clone, PartialEq)]
struct Everything(Vec<(String, Value)>, i64);

fn everything(world: &World) -> Everything {
    let config = &world.app.config;
    Everything(rows_of(config, 1), number(config, "SELECT COUNT(*) FROM bank_messages WHERE source <> 'enquiry'"))
}

/// Nothing but these columns has changed.
fn unchanged(world: &World, before: &Everything, but: &[&str], who: &str) {
    let without = |mut everything: Everything| {
        for (_, row) in &mut everything.0 {
            but.iter().for_each(|column| drop(row.as_object_mut().unwrap().remove(*column)));
        }
        everything
    };
    let (before, after) = (without(before.clone()), without(everything(world)));
    let only = |one: &Everything, other: &Everything| -> Vec<String> {
        let lines = one.0.iter().filter(|row| !other.0.contains(row));
        lines.map(|(table, row)| format!("{table}: {row}")).collect()
    };
    let (lost, made) = (only(&before, &after), only(&after, &before));
    assert!(lost.is_empty() && made.is_empty(), "{who} has changed\n{}\nto\n{}", lost.join("\n"), made.join("\n"));
    assert_eq!((before.0.len(), before.1), (after.0.len(), after.1), "{who} has made or removed something");
}

/// What a stranger says in a bank's name about a reference of the other's is heard as one about nobody's, and moves nothing.
async fn banks(world: &World, pairs: &[Pair], before: &Everything) -> u64 {
    let mut cases = 0;
    let path = bank_callback::PATH.replace("{name}", "sandbox");
    let now = world.app.clock.now().0 / 1_000_000;
    for pair in pairs {
        for status in ["paid", "refused", "reversed", "accepted", "not_found", "junk"] {
            for (secret, at) in
                [(&b""[..], now), (b"another secret of 32 bytes......", now), (b"bank secret", now - 301)]
            {
                let say = async |reference: &str| {
                    let body =
                        json!({"reference": reference, "status": status, "rrn": "036516753713", "amount_paise": 1})
                            .to_string();
                    let signature = signing::sign(secret, "msg", at, body.as_bytes());
                    let at = at.to_string();
                    let headers = [
                        ("webhook-id", "msg"),
                        ("webhook-timestamp", at.as_str()),
                        ("webhook-signature", signature.as_str()),
                    ];
                    let headers = if secret.is_empty() { &[][..] } else { &headers };
                    told(&world.call("127.0.0.1", "POST", &path, headers, &body).await)
                };
                assert_eq!(say(&pair.theirs).await, say(&pair.nobodys).await, "{} {status}", pair.theirs);
                cases += 1;
            }
        }
    }
    world.pass(Duration::from_secs(60)).await;
    // At most the bank was asked, who knows nothing new.
    unchanged(world, before, &["next_at", "enquiries", "updated_at", "version"], "a stranger in a bank's name");
    cases
}

/// The other's own token, from an address that is not on its list.
async fn a_token_elsewhere(world: &World, before: &Everything) -> u64 {
    let mut cases = 0;
    for path in routes().filter_map(|(_, path)| Call::at(path).map(|_| path)) {
        for name in ["7001", "new"] {
            let answer = world.call("203.0.113.9", "POST", path, &[], &order(&world.token, name).to_string()).await;
            assert_eq!(answer.code(), 3, "{path}: {}", answer.body);
            assert!(answer.body.contains("203.0.113.9") && answer.body.contains("\"Data\":null"), "{}", answer.body);
            cases += 1;
        }
    }
    unchanged(world, before, &["next_at", "enquiries", "updated_at", "version"], "a token from elsewhere");
    cases
}

/// The operator's machines are told of no merchant, payout or token.
async fn machines(world: &World, pairs: &[Pair]) -> u64 {
    let mut cases = 0;
    for path in routes().filter(|(method, _)| method == "GET").map(|(_, path)| path) {
        let text = world.operations(path).await;
        // Shorter ones are numbers that occur in any text.
        for pair in pairs.iter().filter(|pair| pair.theirs.len() >= 8) {
            assert!(!text.contains(&pair.theirs), "{path} tells {}", pair.theirs);
            cases += 1;
        }
    }
    cases
}
