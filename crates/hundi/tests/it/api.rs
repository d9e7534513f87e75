//! The merchant API: golden bodies and status lines.
//!
//! | group | what it holds |
//! |---|---|
//! | golden | the contract's requests in every spelling, and the bodies that answer them, byte for byte |
//! | refusals | one table: a bad request, its code, its message |
//! | who | tokens, addresses, limits |
//! | promises | what code 0 may say, waiting, another merchant's orders, no secret in a log |
//! | others | banks that call, and the operator's machines |

use super::support::{Answer, KEY, World, operator};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hundi::App;
use hundi::admin::{self, MerchantChanges};
use hundi::http::problem::{Call, problems, wrongs};
use hundi::http::router;
use hundi::http_out::HttpOut;
use hundi::keys::{Keys, Place};
use hundi::store::Store;
use hundi_core::command::MerchantState;
use hundi_core::ids::{Connector, MerchantId, OrderId, Reference};
use hundi_core::signing;
use hyper::Request;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

const PAY: &str = "/PayoutBankTransafer";
const BY_REF: &str = "/PayoutTransactionStatusByClientRef";
const BY_ID: &str = "/PayoutTransactionStatusByOrderID";
const COMPLAIN: &str = "/RaiseComplaint";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
const ENDING: &str = "Ask for the status of this OrderID before you pay under another";
const NOTHING: &str = "Nothing was sent by this request.";

/// An order to an account; what is `null` in `changes` is left out.
fn bank(world: &World, order: &str, changes: Value) -> Value {
    changed(
        json!({
            "Token": world.token, "Number": "9876500000", "Amount": "200", "TransferMode": "IMPS",
            "AccountNo": "50100012345678", "IFSCCode": "HDFC0000001", "BeneficiaryName": "RUPESH KUMAR VIRENDR", "OrderID": order,
        }),
        changes,
    )
}

/// An order over UPI.
fn upi(world: &World, order: &str, changes: Value) -> Value {
    changed(
        json!({
            "Token": world.token, "Number": "9876500000", "Amount": "200", "TransferMode": "UPI",
            "BeneficiaryName": "RUPESH KUMAR VIRENDR", "UPIId": "rupesh@okbank", "BeneficiaryPhoneNo": "9876543210",
            "OrderID": order,
        }),
        changes,
    )
}

fn changed(mut body: Value, changes: Value) -> Value {
    let fields = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    body
}

fn form(body: &Value) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in body.as_object().unwrap() {
        out.append_pair(name, value.as_str().unwrap());
    }
    out.finish()
}

/// Field names spelt anew.
fn respelt(body: &Value, spell: fn(&str) -> String) -> Value {
    Value::Object(body.as_object().unwrap().iter().map(|(name, value)| (spell(name), value.clone())).collect())
}

/// The body with our OrderID and the bank's reference replaced, after a look at both.
fn golden(answer: &Answer) -> String {
    let data = &answer.json()["Data"];
    let (ours, rrn) = (data["OrderID"].as_str().unwrap(), data["RRN"].as_str().unwrap());
    assert!(ours.len() <= 15 && ours.bytes().all(|byte| byte.is_ascii_digit()) && !ours.starts_with('0'), "{ours}");
    let masked = answer.body.replacen(&format!("\"OrderID\":\"{ours}\""), "\"OrderID\":\"OURS\"", 1);
    if rrn.is_empty() {
        return masked;
    }
    assert!(rrn.len() == 12 && rrn.bytes().all(|byte| byte.is_ascii_digit()), "{rrn}");
    masked.replacen(rrn, "RRN", 1)
}

fn paid(order: &str) -> String {
    format!(
        r#"{{"StatusCode":1,"Message":"Transaction Successful","Data":{{"ClientOrderID":"{order}","OrderID":"OURS","BeneficiaryName":"RUPESH KUMAR VIRENDR","RRN":"RRN","Status":"Success"}}}}"#
    )
}

fn pending(order: &str) -> String {
    format!(
        r#"{{"StatusCode":2,"Message":"Transaction Pending","Data":{{"ClientOrderID":"{order}","OrderID":"OURS","BeneficiaryName":"RUPESH KUMAR VIRENDR","RRN":"","Status":"Pending"}}}}"#
    )
}

fn refused(code: u8, message: &str) -> String {
    format!("{{\"StatusCode\":{code},\"Message\":{},\"Data\":null}}", Value::from(message))
}

// Golden -----------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn the_contracts_requests_are_answered_in_every_spelling() {
    let world = World::new().await;
    let whole = [("Amount", json!(200)), ("Number", json!(9_876_500_000_u64)), ("OrderID", json!(7001))];
    for (sample, build) in [("b", bank as fn(&World, &str, Value) -> Value), ("u", upi)] {
        let body = |name: &str| build(&world, &format!("{sample}-{name}"), json!({}));
        let upper = respelt(&body("upper"), str::to_ascii_uppercase).to_string();
        let lower = respelt(&body("lower"), str::to_ascii_lowercase).to_string();
        for (name, path, headers, text) in [
            ("json", PAY, JSON, body("json").to_string()),
            ("untyped", PAY, &[][..], body("untyped").to_string()),
            ("form", PAY, FORM, form(&body("form"))),
            ("upper", "/PAYOUTBANKTRANSAFER", JSON, upper),
            ("lower", "/payoutbanktransafer", JSON, lower),
            ("alias", "/PayoutBankTransfer", JSON, body("alias").to_string()),
            ("slash", "/payoutbanktransfer/", JSON, body("slash").to_string()),
        ] {
            let answer = world.call("127.0.0.1", "POST", path, headers, &text).await;
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(golden(&answer), paid(&format!("{sample}-{name}")), "{name}");
            assert_eq!(answer.headers["content-type"], "application/json");
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert_eq!(answer.headers["x-request-id"].len(), 16);
        }
    }
    let mut integers = bank(&world, "", json!({}));
    for (name, value) in whole {
        integers[name] = value;
    }
    let answer = world.post(PAY, &integers.to_string()).await;
    assert_eq!(golden(&answer), paid("7001"));

    // Both status calls, the token in the body or in the query string, and a repeat: the same body as the payout's.
    let ours = answer.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    let token = &world.token;
    for (path, headers, text) in [
        (BY_REF.to_owned(), JSON, json!({"Token": token, "OrderID": "7001"}).to_string()),
        (BY_REF.to_owned(), JSON, json!({"TOKEN": token, "orderid": 7001}).to_string()),
        (BY_REF.to_uppercase(), FORM, format!("token={token}&OrderId=7001")),
        (format!("{BY_REF}?token={token}"), JSON, json!({"OrderID": "7001"}).to_string()),
        (BY_ID.to_owned(), JSON, json!({"Token": token, "OrderID": ours}).to_string()),
        (BY_ID.to_lowercase(), FORM, format!("Token={token}&OrderID={ours}")),
        (format!("{BY_ID}?Token={token}"), JSON, format!("{{\"OrderID\":{ours}}}")),
        (PAY.to_owned(), JSON, bank(&world, "7001", json!({"Number": "", "BeneficiaryName": "Another"})).to_string()),
    ] {
        let again = world.call("127.0.0.1", "POST", &path, headers, &text).await;
        assert_eq!((again.status, &again.body), (200, &answer.body), "{path}");
    }

    // 15 payouts of 200, each with 5.00 and 0.90.
    let balance = world.call("::1", "POST", &format!("/userwalletbalance?TOKEN={token}"), &[], "").await;
    assert_eq!((balance.status, balance.body.as_str()), (200, "\"996911.50\""));
    let balance = world.call("127.0.0.1", "POST", "/UserWalletBalance", FORM, &format!("Token={token}")).await;
    assert_eq!(balance.body, "\"996911.50\"");

    for (headers, text) in [
        (JSON, json!({"Token": token, "Subject": "Late", "Message": "Two\nlines", "OrderId": ours}).to_string()),
        (FORM, format!("token={token}&subject=Late&message=Two%0Alines&OrderID={ours}")),
    ] {
        let answer = world.call("127.0.0.1", "POST", COMPLAIN, headers, &text).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"StatusCode":1,"Message":"Success"}"#));
    }
    for complaint in ["demo/1", "demo/2"] {
        let shown = admin::complaint_show(&world.app, complaint).await.unwrap();
        assert_eq!((&shown["subject"], &shown["message"]), (&json!("Late"), &json!("Two\nlines")));
        assert_eq!(shown["payout_id"], json!(ours));
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_payout_has_its_body() {
    let world = World::new().await;
    let failed = |order: &str, why: &str, word: &str| {
        format!(
            r#"{{"StatusCode":0,"Message":"{why}","Data":{{"ClientOrderID":"{order}","OrderID":"OURS","BeneficiaryName":"RUPESH KUMAR VIRENDR","RRN":"","Status":"{word}"}}}}"#
        )
    };
    let pay = async |order: &str, changes: Value| world.post(PAY, &bank(&world, order, changes).to_string()).await;
    assert_eq!(
        golden(&pay("refused", json!({"AccountNo": "500100000444"})).await),
        failed("refused", "Transaction Failed: The beneficiary's account does not exist", "Failure")
    );
    let name = "O\"Neil \\ \u{930}\u{93e}\u{939}\u{941}\u{932}";
    let answer = pay("name", json!({"BeneficiaryName": name})).await;
    assert_eq!(answer.json()["Data"]["BeneficiaryName"], name);
    assert_eq!(golden(&pay("neft", json!({"TransferMode": "neft"})).await), pending("neft"));
    assert_eq!(golden(&pay("back", json!({"AccountNo": "500100000777"})).await), paid("back"));
    world.pass(Duration::from_secs(30)).await;
    let back = world.status("back").await;
    assert!(back.body.starts_with(r#"{"StatusCode":0,"Message":"Transaction Reversed: "#), "{}", back.body);
    assert!(back.body.ends_with(r#","Status":"Reversal"}}"#), "{}", back.body);
    assert_eq!(world.status("neft").await.code(), 1);
    // UTRs of NEFT have 16 characters.
    assert_eq!(world.status("neft").await.json()["Data"]["RRN"].as_str().unwrap().len(), 16);

    // What is refused after its syntax was good is recorded, and stays so.
    let too_much = json!({"TransferMode": "RTGS", "Amount": "2000000"});
    let too_low = failed("low", "Transaction Failed: Wallet balance is too low for the amount, fee and tax", "Failure");
    assert_eq!(golden(&pay("low", too_much.clone()).await), too_low);
    let changes =
        MerchantChanges { payout_most: Some("300".into()), day_most: Some("1200".into()), ..Default::default() };
    admin::merchant_set(&world.app, "demo", changes, &operator()).await.unwrap();
    let over = "Transaction Failed: Amount is above the merchant's limit for one payout";
    assert_eq!(golden(&pay("over", json!({"Amount": "301"})).await), failed("over", over, "Failure"));
    let changes = MerchantChanges { day_most: Some("900".into()), ..Default::default() };
    admin::merchant_set(&world.app, "demo", changes, &operator()).await.unwrap();
    let today = "Transaction Failed: Amount is above what is left of the merchant's limit for today";
    // 600 of today have not failed.
    assert_eq!(golden(&pay("day", json!({"Amount": "300"})).await), paid("day"));
    assert_eq!(golden(&pay("day-2", json!({"Amount": "1"})).await), failed("day-2", today, "Failure"));
    admin::merchant_state(&world.app, "demo", MerchantState::Suspended, &operator()).await.unwrap();
    let stopped = "Transaction Failed: Merchant is suspended; contact the operator";
    assert_eq!(golden(&pay("stopped", json!({})).await), failed("stopped", stopped, "Failure"));
    admin::merchant_state(&world.app, "demo", MerchantState::Active, &operator()).await.unwrap();
    assert_eq!(golden(&pay("low", too_much).await), too_low);
    assert_eq!(golden(&world.status("stopped").await), failed("stopped", stopped, "Failure"));
}

// Refusals ---------------------------------------------------------------------------------------------------------

type Build = fn(&World, &str, Value) -> Value;

/// An order with these changes is refused so, under a new OrderID and under a known one.
async fn refused_by_name(world: &World, build: Build, changes: Value, message: &str) {
    let answer = world.post(PAY, &build(world, "never", changes.clone()).to_string()).await;
    assert_eq!((answer.status, answer.body), (200, refused(0, message)), "{changes}");
    let answer = world.post(PAY, &build(world, "known", changes.clone()).to_string()).await;
    let known = format!("{message}, and OrderID is already used. {NOTHING} {ENDING}");
    assert_eq!((answer.status, answer.body), (200, refused(5, &known)), "{changes}");
}

/// A statement that repeats them would name another payout.
#[tokio::test(start_paused = true)]
async fn what_reads_as_our_reference_is_refused_by_name() {
    let world = World::new().await;
    world.pay("known", 1, "50100012345678").await;
    let order = OrderId::parse("known").unwrap();
    let of_another = Reference::derive(&world.app.installation, MerchantId(1), &order, 1, 0).to_string();
    let (start, end) = of_another.split_at(6);
    for (build, field, text) in [
        (bank as Build, "BeneficiaryName", of_another.clone()),
        (bank, "BeneficiaryName", format!("RAVI {}", of_another.to_lowercase())),
        (bank, "BeneficiaryName", format!("{start}*{end}")),
        (bank, "AccountNo", of_another.clone()),
        (upi, "BeneficiaryName", of_another.clone()),
        (upi, "UPIId", format!("{of_another}@okbank")),
    ] {
        let message = format!("{field} holds what a bank could take for our reference; write it otherwise");
        refused_by_name(&world, build, json!({ field: text }), &message).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_malformed_payout_is_refused_by_name() {
    let world = World::new().await;
    let long = "x".repeat(101);
    let amount = "Amount must be a whole number of rupees";
    let phone = "BeneficiaryPhoneNo must be an Indian mobile number of 10 digits";
    let upi_id = "UPIId must be 3 to 255 letters, digits, dots, hyphens or underscores with one @ between them";
    let ifsc = "IFSCCode must be 4 letters, a zero and 6 letters or digits";
    let account = "AccountNo must be 5 to 35 letters and digits";
    let name = "BeneficiaryName must be 1 to 100 characters, none of them hidden";
    let imps = "Amount must be between 1 and 500000 rupees for IMPS";
    let rtgs = "Amount must be between 200000 and 10000000000000 rupees for RTGS";
    let neft = "Amount must be between 1 and 10000000000000 rupees for NEFT";
    let upi_amount = "Amount must be between 1 and 100000 rupees for UPI";
    let mode = "TransferMode must be NEFT, RTGS, IMPS or UPI";
    let number = "Number must be an Indian mobile number of 10 digits";
    let to_bank = [
        (json!({"Amount": null}), "Amount is missing"),
        (json!({"Amount": ""}), "Amount is missing"),
        (json!({"Amount": "200.50"}), amount),
        (json!({"Amount": 200.5}), amount),
        (json!({"Amount": 200.0}), amount),
        (json!({"Amount": "2e2"}), amount),
        (json!({"Amount": -1}), amount),
        (json!({"Amount": "\u{662}\u{660}\u{660}"}), amount),
        (json!({"Amount": true}), amount),
        (json!({"Amount": ["200"]}), amount),
        (json!({"amount": "200"}), "Amount is given twice"),
        (json!({"Amount": 0}), imps),
        (json!({"Amount": "500001"}), imps),
        (json!({"Amount": "99999999999999999999999"}), imps),
        (json!({"TransferMode": "RTGS", "Amount": "199999"}), rtgs),
        (json!({"TransferMode": "NEFT", "Amount": "10000000000001"}), neft),
        (json!({"TransferMode": null}), "TransferMode is missing"),
        (json!({"TransferMode": "WIRE"}), mode),
        (json!({"TransferMode": ["IMPS"]}), "TransferMode must be a text or a whole number"),
        (json!({"AccountNo": null}), "AccountNo is missing"),
        (json!({"AccountNo": "1234"}), account),
        (json!({"AccountNo": "1234 5678"}), account),
        (json!({"ACCOUNTNO": "1"}), "AccountNo is given twice"),
        (json!({"IFSCCode": null}), "IFSCCode is missing"),
        (json!({"IFSCCode": "HDFC1000001"}), ifsc),
        (json!({"IFSCCode": "HDFC000001"}), ifsc),
        (json!({"IFSCCode": "QQQQ0000001"}), "IFSCCode must begin with the four letters of a known bank"),
        (json!({"BeneficiaryName": null}), "BeneficiaryName is missing"),
        (json!({"BeneficiaryName": "a\u{202e}b"}), name),
        (json!({"BeneficiaryName": "a\nb"}), name),
        (json!({"BeneficiaryName": long}), name),
        (json!({"BeneficiaryName": {"first": "x"}}), "BeneficiaryName must be a text or a whole number"),
        (json!({"Number": "12345"}), number),
        (json!({"Number": 1.5}), "Number must be a text or a whole number"),
        // The first in the contract's order is told.
        (json!({"Number": "1", "Amount": "x", "TransferMode": "y", "AccountNo": "1"}), number),
        (json!({"Amount": "0", "TransferMode": "y"}), mode),
    ];
    let over_upi = [
        (json!({"UPIId": null, "BeneficiaryPhoneNo": null}), "UPIId or BeneficiaryPhoneNo must be given"),
        (json!({"UPIId": "", "BeneficiaryPhoneNo": ""}), "UPIId or BeneficiaryPhoneNo must be given"),
        (json!({"UPIId": "rupesh"}), upi_id),
        (json!({"UPIId": "a@b@c"}), upi_id),
        (json!({"UPIId": null, "BeneficiaryPhoneNo": "123"}), phone),
        (json!({"BeneficiaryPhoneNo": "123"}), phone),
        (json!({"Amount": "100001"}), upi_amount),
        (json!({"BeneficiaryName": null}), "BeneficiaryName is missing"),
        (json!({"upiid": "x@y"}), "UPIId is given twice"),
    ];
    world.pay("known", 1, "50100012345678").await;
    let builds = to_bank.into_iter().map(|case| (bank as Build, case));
    for (build, (changes, message)) in builds.chain(over_upi.into_iter().map(|case| (upi as _, case))) {
        refused_by_name(&world, build, changes, message).await;
    }
    // A refused OrderID was not used up; fields of the other kind of payout do not matter.
    let fine =
        bank(&world, "never", json!({"UPIId": "nonsense", "BeneficiaryPhoneNo": 1.5, "Subject": [], "Number": null}));
    assert_eq!(golden(&world.post(PAY, &fine.to_string()).await), paid("never"));
    for (order, changes) in [("upi-only", json!({"BeneficiaryPhoneNo": null})), ("phone", json!({"UPIId": null}))] {
        let fine = changed(upi(&world, order, json!({"AccountNo": "1", "IFSCCode": "x"})), changes);
        assert_eq!(golden(&world.post(PAY, &fine.to_string()).await), paid(order));
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_apart_from_an_accepted_order_is_never_a_0() {
    let world = World::new().await;
    let again = "send again with the same OrderID";
    let correct = format!("{NOTHING} Correct it and {again}");
    let add = format!("{NOTHING} Add an OrderID of your own and send again");
    let unread = |why| format!("Request cannot be read: {why}, so its Token is not known. Correct it and {again}");
    let with = |rest: &str| format!("{{\"Token\":\"{}\"{rest}}}", world.token);
    let query = format!("{PAY}?token={}", world.token);
    for (path, body, code, message) in [
        (PAY, with(""), 6, format!("OrderID is missing. {add}")),
        (PAY, with(r#","OrderID":"""#), 6, format!("OrderID is missing. {add}")),
        (PAY, with(r#","OrderID":"1","orderid":"1""#), 6, format!("OrderID is given twice. {correct}")),
        (PAY, with(r#","OrderID":[1]"#), 6, format!("OrderID must be a text or a whole number. {correct}")),
        (
            PAY,
            with(r#","OrderID":"a b""#),
            0,
            "OrderID must be 1 to 64 printable ASCII characters without spaces".into(),
        ),
        (
            PAY,
            with(&format!(r#","OrderID":"{}""#, "x".repeat(65))),
            0,
            "OrderID must be 1 to 64 printable ASCII characters without spaces".into(),
        ),
        // The token was sent, but nobody can tell which it is.
        (PAY, with(r#","x":"\u0000""#), 3, unread("the body holds the character U+0000")),
        (BY_REF, "[]".into(), 3, unread("the body must be a JSON object")),
        (
            COMPLAIN,
            "[]".into(),
            3,
            "Request cannot be read: the body must be a JSON object, so its Token is not known. Correct it and send again"
                .into(),
        ),
        (PAY, "".into(), 3, format!("Token is missing. Add it and {again}")),
        (&query, "".into(), 6, format!("OrderID is missing. {add}")),
        (&query, "[]".into(), 6, format!("Request cannot be read: the body must be a JSON object. {correct}")),
        (
            &query,
            "{\"x\":\"\\u0000\"}".into(),
            6,
            format!("Request cannot be read: the body holds the character U+0000. {correct}"),
        ),
        (
            &query,
            "{\"OrderID\":\"1\",}".into(),
            6,
            format!("Request cannot be read: the body is not valid JSON (line 1 column 16). {correct}"),
        ),
        (BY_REF, with(""), 4, "OrderID is missing. Add it and send again".into()),
        (
            BY_REF,
            with(r#","OrderID":"a b""#),
            4,
            "OrderID must be 1 to 64 printable ASCII characters without spaces. Correct it and send again".into(),
        ),
        (BY_REF, with(r#","OrderID":"1","OrderId":"1""#), 6, format!("OrderID is given twice. Correct it and {again}")),
        (
            BY_ID,
            with(r#","OrderID":"x1""#),
            4,
            "OrderID must be the OrderID of our answer, at most 15 digits. Correct it and send again".into(),
        ),
        (
            BY_ID,
            with(r#","OrderID":"0123""#),
            4,
            "OrderID must be the OrderID of our answer, at most 15 digits. Correct it and send again".into(),
        ),
        (
            BY_ID,
            with(r#","OrderID":"1234567890123456""#),
            4,
            "OrderID must be the OrderID of our answer, at most 15 digits. Correct it and send again".into(),
        ),
        (COMPLAIN, with(""), 4, "OrderId is missing. Add it and send again".into()),
        (
            COMPLAIN,
            with(r#","OrderId":"123","Subject":"s","Message":"m""#),
            4,
            "Order not found. Check the OrderID, or send the payout again with the same OrderID".into(),
        ),
    ] {
        let answer = world.post(path, &body).await;
        assert_eq!((answer.status, answer.body), (200, refused(code, &message)), "{path} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_complaint_says_what_is_wrong_with_it() {
    let world = World::new().await;
    let ours = world.pay("a", 200, "50100012345678").await.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    let subject = "Subject must be 1 to 200 characters without control characters";
    let message = "Message must be 1 to 5000 characters without control characters but new lines";
    for (given, text, wrong) in [
        (json!(""), json!("m"), "Subject is missing"),
        (json!("s\nt"), json!("m"), subject),
        (json!("s".repeat(201)), json!("m"), subject),
        (json!("s"), json!(null), "Message is missing"),
        (json!("s"), json!("m\u{7}"), message),
        (json!("s"), json!("m".repeat(5001)), message),
        (json!("s"), json!(["m"]), "Message must be a text or a whole number"),
    ] {
        let body = json!({"Token": world.token, "OrderId": ours, "Subject": given, "Message": text});
        let answer = world.post(COMPLAIN, &body.to_string()).await;
        let wanted = format!("{wrong}. Nothing was recorded by this request. Correct it and send again");
        assert_eq!((answer.status, answer.body), (200, refused(5, &wanted)));
    }
    assert_eq!(admin::complaint_list(&world.app).await.unwrap(), json!([]));
}

#[tokio::test(start_paused = true)]
async fn an_order_id_is_used_once_and_belongs_to_one_merchant() {
    let world = World::new().await;
    let first = world.post(PAY, &bank(&world, "a", json!({})).to_string()).await;
    let reused = refused(5, &format!("OrderID already used with other details. {NOTHING} {ENDING}"));
    for changes in [
        json!({"Amount": "201"}),
        json!({"TransferMode": "NEFT"}),
        json!({"AccountNo": "50100012345679"}),
        json!({"IFSCCode": "HDFC0000002"}),
    ] {
        assert_eq!(world.post(PAY, &bank(&world, "a", changes).to_string()).await.body, reused);
    }
    assert_eq!(world.post(PAY, &upi(&world, "a", json!({})).to_string()).await.body, reused);
    assert_eq!(world.book().await.len(), 1);

    admin::merchant_add(&world.app, "other", "free", &operator()).await.unwrap();
    let other = world.new_token("other", "127.0.0.1").await;
    let ours = first.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    let unseen = refused(4, "Order not found. Check the OrderID, or send the payout again with the same OrderID");
    for (path, order) in [(BY_REF, "a"), (BY_REF, "b"), (BY_ID, &ours), (BY_ID, "188020200"), (COMPLAIN, &ours)] {
        let body = json!({"Token": other, "OrderID": order, "Subject": "s", "Message": "m"}).to_string();
        assert_eq!(world.post(path, &body).await.body, unseen, "{path} {order}");
    }
    // His own order of the same name is another one.
    let his = world.post(PAY, &bank(&world, "a", json!({"Token": other})).to_string()).await;
    assert_eq!((his.code(), his.json()["Data"]["OrderID"] != json!(ours)), (0, true));
}

// Who --------------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_call_needs_a_token_and_its_address() {
    let world = World::with(|config| config.api.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]).await;
    let again = "send again with the same OrderID";
    let token = world.token.clone();
    let not_accepted = format!("Token is not accepted. Check it, or ask the operator for another, and {again}");
    let from =
        |ip: &str| format!("IP address {ip} is not allowed for this token. Ask the operator to allow it and {again}");
    let unread = format!(
        "IP address is not known: X-Forwarded-For cannot be read. Ask the operator to correct the proxy and {again}"
    );
    let seen = "Order not found. Check the OrderID, or send the payout again with the same OrderID".to_owned();
    let body = |token: &str| json!({"Token": token, "OrderID": "x"}).to_string();
    for (peer, forwarded, query, text, code, message) in [
        ("127.0.0.1", None, "", body(&token), 4, seen.clone()),
        ("::ffff:127.0.0.1", None, "", body(&token), 4, seen.clone()),
        ("::1", None, "", body(&token), 4, seen.clone()),
        ("127.0.0.1", Some("6.6.6.6"), "", body(&token), 4, seen.clone()),
        ("10.1.2.3", Some("127.0.0.1"), "", body(&token), 4, seen.clone()),
        ("10.1.2.3", Some("127.0.0.1, 203.0.113.9"), "", body(&token), 3, from("203.0.113.9")),
        ("10.1.2.3", Some("127.0.0.1, junk"), "", body(&token), 3, unread),
        ("10.1.2.3", None, "", body(&token), 3, from("10.1.2.3")),
        ("203.0.113.9", Some("127.0.0.1"), "", body(&token), 3, from("203.0.113.9")),
        ("::ffff:203.0.113.9", None, "", body(&token), 3, from("203.0.113.9")),
        ("127.0.0.1", None, "", body("hundi_nobodys"), 3, not_accepted.clone()),
        ("203.0.113.9", None, "", body("hundi_nobodys"), 3, not_accepted.clone()),
        ("127.0.0.1", None, "", "{}".into(), 3, format!("Token is missing. Add it and {again}")),
        ("127.0.0.1", None, "", body(""), 3, format!("Token is missing. Add it and {again}")),
        (
            "127.0.0.1",
            None,
            "",
            "{\"Token\":[\"x\"]}".into(),
            3,
            format!("Token must be a text. Correct it and {again}"),
        ),
        ("127.0.0.1", None, "?token=x", body(&token), 3, format!("Token is given twice. Give it once and {again}")),
        // Who is not let in learns nothing about his request.
        ("203.0.113.9", None, &format!("?token={token}"), "{".into(), 3, from("203.0.113.9")),
    ] {
        let headers: Vec<_> = forwarded.iter().map(|list| ("x-forwarded-for", *list)).collect();
        let answer = world.call(peer, "POST", &format!("{BY_REF}{query}"), &headers, &text).await;
        assert_eq!((answer.status, answer.body), (200, refused(code, &message)), "{peer} {forwarded:?} {query}");
    }
    let balance = world.call("127.0.0.1", "POST", "/UserWalletBalance?token=nobodys", &[], "").await;
    assert_eq!(
        balance.body,
        refused(3, "Token is not accepted. Check it, or ask the operator for another, and send again")
    );

    // Revoked: refused within a second, in the words for one that never was.
    let made = admin::token_new(&world.app, "demo", "127.0.0.1", None, &operator()).await.unwrap();
    let revoked = made["token"].as_str().unwrap();
    assert_eq!(world.post(BY_REF, &body(revoked)).await.code(), 4);
    admin::token_revoke(&world.app, made["token_id"].as_i64().unwrap(), &operator()).await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.post(BY_REF, &body(revoked)).await.body, refused(3, &not_accepted));
    assert_eq!(world.post(BY_REF, &body(&token)).await.code(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_token_has_its_calls_a_minute() {
    for strict in [false, true] {
        let world = World::with(|config| config.api.strict_http = strict).await;
        let made = admin::token_new(&world.app, "demo", "127.0.0.1", Some(2), &operator()).await.unwrap();
        let body = json!({"Token": made["token"], "OrderID": "x"}).to_string();
        for _ in 0..5 {
            // Elsewhere he is refused and nothing is counted.
            assert_eq!(world.call("9.9.9.9", "POST", BY_REF, JSON, &body).await.code(), 3);
        }
        for wait in [0, 20] {
            world.pass(Duration::from_secs(wait)).await;
            assert_eq!(world.post(BY_REF, &body).await.code(), 4);
        }
        let answer = world.post(BY_REF, &body).await;
        assert_eq!(
            answer.body,
            refused(6, "More than 2 requests in a minute. Wait 40 s and send again with the same OrderID")
        );
        assert_eq!(answer.status, if strict { 429 } else { 200 });
        assert_eq!(answer.headers.get("retry-after").map(|value| value.to_str().unwrap()), strict.then_some("40"));
        world.pass(Duration::from_millis(39_900)).await;
        assert_eq!(world.post(BY_REF, &body).await.code(), 6);
        world.pass(Duration::from_millis(100)).await;
        assert_eq!(world.post(BY_REF, &body).await.code(), 4);
        // Other tokens have no limit.
        for _ in 0..5 {
            assert_eq!(world.status("x").await.code(), 4);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn strict_http_has_statuses_and_the_rest_has_them_always() {
    let world = World::with(|config| config.api.strict_http = true).await;
    let token = world.token.clone();
    let ours = world.pay("a", 200, "50100012345678").await.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    let body = |changes| bank(&world, "a", changes).to_string();
    for (peer, path, text, status, code) in [
        ("127.0.0.1", PAY, body(json!({})), 200, 1),
        ("127.0.0.1", PAY, body(json!({"Token": null})), 401, 3),
        ("127.0.0.1", PAY, body(json!({"Token": "x"})), 401, 3),
        ("127.0.0.1", PAY, "{".into(), 401, 3),
        ("9.9.9.9", PAY, body(json!({})), 403, 3),
        ("127.0.0.1", PAY, body(json!({"Amount": "7"})), 409, 5),
        ("127.0.0.1", PAY, body(json!({"Amount": "x"})), 422, 5),
        ("127.0.0.1", PAY, bank(&world, "b", json!({"Amount": "x"})).to_string(), 422, 0),
        ("127.0.0.1", PAY, body(json!({"OrderID": null})), 422, 6),
        ("127.0.0.1", &format!("{PAY}?token={token}"), "{".into(), 422, 6),
        ("127.0.0.1", BY_REF, body(json!({"OrderID": "never"})), 404, 4),
        ("127.0.0.1", COMPLAIN, json!({"Token": token, "OrderId": ours}).to_string(), 422, 5),
        // A recorded failure is an order like another.
        ("127.0.0.1", PAY, bank(&world, "c", json!({"TransferMode": "NEFT", "Amount": "2000000"})).to_string(), 200, 0),
    ] {
        let answer = world.call(peer, "POST", path, JSON, &text).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path} {text}");
    }
    for strict in [false, true] {
        let world = World::with(|config| config.api.strict_http = strict).await;
        let large = format!("{{\"x\":\"{}\"}}", "x".repeat(70_000));
        for (method, path, headers, text, status) in [
            ("POST", "/Nothing", JSON, "{}", 404),
            ("POST", "/", JSON, "{}", 404),
            ("GET", PAY, &[][..], "", 405),
            ("PUT", BY_REF, JSON, "{}", 405),
            ("POST", PAY, JSON, large.as_str(), 413),
            ("POST", PAY, &[("content-type", "text/plain")][..], "{}", 415),
            ("POST", PAY, &[("content-type", "application/json; charset=utf-16")][..], "{}", 415),
        ] {
            let answer = world.call("127.0.0.1", method, path, headers, text).await;
            assert_eq!((answer.status, answer.code(), &answer.json()["Data"]), (status, 6, &Value::Null), "{path}");
            assert_eq!(answer.headers.contains_key("allow"), status == 405);
            assert!(answer.json()["Message"].as_str().unwrap().ends_with("send again with the same OrderID"));
        }
    }
}

#[test]
fn the_merchants_reference_holds_every_name_and_message() {
    let reference = include_str!("../../../../docs/api.md");
    for problem in problems() {
        let call = if problem.name() == "complaint_malformed" { Call::Complaint } else { Call::Payout };
        let always = if problem.status(false) == 200 { "" } else { " *" };
        let (name, code, status) = (problem.name(), problem.code(), problem.status(true).as_u16());
        let row = format!("| `{name}` | {code} | {status}{always} | {} |\n", problem.message(call));
        assert!(reference.contains(&row), "{row}");
    }
    for wrong in wrongs() {
        let message = wrong.message(Call::Payout);
        assert!(reference.contains(&format!("\n- {message}\n")), "{message}");
    }
    assert_eq!(problems().filter(|problem| problem.code() == 0).count(), 1, "merchants refund on a 0");
}

// Promises ---------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn an_instant_payout_is_waited_for_and_the_others_are_not() {
    for (within_ms, code, least_ms, most_ms) in [(3_000, 2, 3_000, 3_000), (20_000, 1, 5_000, 19_000)] {
        let world = World::with(|config| config.api.answer_within_ms = within_ms).await;
        let clock = world.app.clock.clone();
        let began = clock.now().0;
        let slow = upi(&world, "slow", json!({"UPIId": "slow@sandbox"})).to_string();
        let answer = world.post(PAY, &slow).await;
        let took_ms = (clock.now().0 - began) / 1_000;
        assert!(answer.code() == code && (least_ms..=most_ms).contains(&took_ms), "{} after {took_ms} ms", answer.body);
        // A repeat is answered at once.
        let began = clock.now().0;
        assert_eq!(world.post(PAY, &slow).await.code(), code);
        assert!(clock.now().0 - began < 1_000);
        let neft = bank(&world, "neft", json!({"TransferMode": "NEFT"})).to_string();
        assert_eq!(world.post(PAY, &neft).await.code(), 2);
        assert!(clock.now().0 - began < 1_000);
        world.pass(Duration::from_secs(30)).await;
        assert_eq!(golden(&world.status("slow").await), paid("slow"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_waits_for_what_was_sent_before_it() {
    let world = World::new().await;
    // Its token is known from now on: who has to read it first comes later, and the order of the two would be chance.
    world.balance().await;
    let good = bank(&world, "a", json!({"TransferMode": "NEFT"})).to_string();
    let bad = bank(&world, "a", json!({"Amount": "x"})).to_string();
    // The first is on its way to the writer when the second is judged: a 0 now would be a lie a moment later.
    let (good, bad) = tokio::join!(world.post(PAY, &good), world.post(PAY, &bad));
    assert_eq!((good.code(), bad.code()), (2, 5));
}

#[tokio::test(start_paused = true)]
async fn a_race_under_one_order_id_makes_one_payout() {
    let world = World::new().await;
    // Its token is known from now on, so that the first is the first.
    world.balance().await;
    let body = bank(&world, "a", json!({"TransferMode": "NEFT"})).to_string();
    let other = bank(&world, "a", json!({"TransferMode": "NEFT", "Amount": "300"})).to_string();
    let (a, b, c) = tokio::join!(world.post(PAY, &body), world.post(PAY, &body), world.post(PAY, &other));
    assert_eq!((a.code(), b.code(), c.code()), (2, 2, 5));
    assert_eq!(a.body, b.body);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_said_to_be_so() {
    let world = World::with(|config| config.writer.queue_max = 1).await;
    // Its token is known from now on, so that neither of the two is held up by reading it.
    world.balance().await;
    let neft = |order: &str| bank(&world, order, json!({"TransferMode": "NEFT"})).to_string();
    let (first, second) = (neft("a"), neft("b"));
    let (first, second) = tokio::join!(world.post(PAY, &first), world.post(PAY, &second));
    assert_eq!(first.code(), 2);
    let again = "Wait a moment and send again with the same OrderID";
    assert_eq!(second.body, refused(6, &format!("Too many requests are waiting. {NOTHING} {again}")));

    let (app, pay, bad) = (Arc::clone(&world.app), neft("c"), bank(&world, "d", json!({"Amount": "x"})).to_string());
    let complaint = json!({"Token": world.token, "Subject": "s", "Message": "m",
        "OrderId": first.json()["Data"]["OrderID"]});
    let (status, ..) = operations(&app, "GET", "/readyz").await;
    assert_eq!(status, 200);
    let _kept = world.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    for (path, body) in [(PAY, pay), (PAY, bad), (COMPLAIN, complaint.to_string())] {
        let request = Request::post(path).body(Full::new(Bytes::from(body))).unwrap();
        let response = router::api(Arc::clone(&app), [127, 0, 0, 1].into(), request).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(
            body.starts_with(b"{\"StatusCode\":6,\"Message\":\"Outcome is not known. Wait a moment and send again"),
            "{body:?}"
        );
    }
    let (status, body) = operations(&app, "GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (503, r#"{"status":"the writer does not write: the writer has stopped"}"#));
}

/// The writer never comes to a job, as when somebody else holds the database: a create does not wait without end.
#[tokio::test(start_paused = true)]
async fn who_waits_for_the_writer_is_told_in_time() {
    let world = World::new().await;
    let complaint = json!({"Token": world.token, "Subject": "s", "Message": "m",
        "OrderId": world.pay("a", 200, "50100012345678").await.json()["Data"]["OrderID"]});
    let (config, clock) = (world.app.config.clone(), world.app.clock.clone());
    let store = Store::open(&config, &clock, true).await.unwrap();
    let process = hundi::process::lease(&store, clock.now(), 86_400_000_000).await.unwrap();
    let nobody: HttpOut = Arc::new(|_| Box::pin(std::future::pending()));
    let (app, _ends) = App::new(config, store, Keys::parse(KEY).unwrap(), clock, nobody, process).await.unwrap();
    for (path, body, again) in [
        (PAY, bank(&world, "b", json!({})), "send again with the same OrderID"),
        (PAY, bank(&world, "c", json!({"TransferMode": "NEFT"})), "send again with the same OrderID"),
        (COMPLAIN, complaint, "send again"),
    ] {
        let began = Instant::now();
        let request = Request::post(path).body(Full::new(Bytes::from(body.to_string()))).unwrap();
        let response = router::api(Arc::clone(&app), [127, 0, 0, 1].into(), request).await;
        let took = began.elapsed();
        assert!((5_000..5_100).contains(&took.as_millis()), "{took:?}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, refused(6, &format!("Outcome is not known. Wait a moment and {again}")));
    }
}

/// A body of which nothing comes.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_known() {
    for (strict, status) in [(false, 200), (true, 503)] {
        let world = World::with(|config| config.api.strict_http = strict).await;
        let request = Request::post(PAY).body(Never).unwrap();
        let response = router::api(Arc::clone(&world.app), [127, 0, 0, 1].into(), request).await;
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let again = "Wait a moment and send again with the same OrderID";
        assert_eq!(body, refused(6, &format!("Request did not arrive in time. {NOTHING} {again}")));
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_log_holds_a_token_or_a_persons_data() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;
    let mut canaries = vec![world.token.clone()];
    canaries.extend(
        ["canarytoken", "50177712345678", "canary@okbank", "CANARY NAME", "9777512345", "canaryorder"]
            .map(str::to_owned),
    );
    let canary = json!({"AccountNo": "50177712345678", "BeneficiaryName": "CANARY NAME", "Number": "9777512345"});
    let good = bank(&world, "canaryorder", canary.clone());
    for changes in [
        json!({}),
        json!({"Amount": "x"}),
        json!({"Token": "canarytoken"}),
        json!({"Token": null}),
        json!({"OrderID": ["canaryorder"]}),
    ] {
        world.post(PAY, &changed(good.clone(), changes).to_string()).await;
    }
    world
        .post(
            PAY,
            &upi(&world, "canaryorder-2", json!({"UPIId": "canary@okbank", "BeneficiaryPhoneNo": "9777512345"}))
                .to_string(),
        )
        .await;
    for query in [format!("?token={}", world.token), "?token=canarytoken".into(), "?token=canarytoken%".into()] {
        for path in ["/UserWalletBalance", PAY, BY_REF, "/nothing", "/connectors/x/callback"] {
            for (peer, method) in [("127.0.0.1", "POST"), ("9.9.9.9", "POST"), ("127.0.0.1", "GET")] {
                world.call(peer, method, &format!("{path}{query}"), JSON, "{\"canaryorder").await;
            }
        }
    }
    world.pass(Duration::from_secs(10)).await;
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("token_not_accepted") && text.contains("request_id") && text.contains("malformed"), "{text}");
    let accepted = text.lines().find(|line| line.contains("a payout was accepted")).unwrap();
    assert!(
        accepted.contains("DEBUG") && accepted.contains("request_id=") && accepted.contains("payout="),
        "{accepted}"
    );
    for canary in canaries {
        assert!(!text.contains(&canary), "{canary} in {text}");
    }
}

// Others -----------------------------------------------------------------------------------------------------------

async fn operations(app: &Arc<App>, method: &str, path: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::default()).unwrap();
    let response = router::operations(Arc::clone(app), [127, 0, 0, 1].into(), request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_operators_machines_are_told() {
    let world = World::new().await;
    world.pay("a", 200, "50100012345678").await;
    let app = &world.app;
    assert_eq!(operations(app, "GET", "/healthz").await, (200, r#"{"status":"alive"}"#.to_owned()));
    assert_eq!(operations(app, "GET", "/readyz").await, (200, r#"{"status":"ready"}"#.to_owned()));
    let (status, text) = operations(app, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("hundi_api_answers_total{code=\"1\"} 1\n") && text.ends_with("# EOF\n"), "{text}");
    assert_eq!(operations(app, "POST", "/healthz").await.0, 405);
    assert_eq!(operations(app, "GET", "/UserWalletBalance").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_banks_call_does_what_its_proof_allows() {
    let world = World::new().await;
    let path = "/connectors/sandbox/callback";
    world.pay("a", 200, "500100000333").await;
    let order = OrderId::parse("a").unwrap();
    let payout = world.app.store.payout_by_order(MerchantId(1), &order).await.unwrap().unwrap();
    let (connector, reference) = (Connector::parse("sandbox").unwrap(), payout.reference.unwrap());
    let say = async |reference: &str, signed: bool| {
        let body = json!({"reference": reference, "status": "paid", "rrn": "036516753713", "amount_paise": 20_000})
            .to_string();
        let at = world.app.clock.now().0 / 1_000_000;
        let signature = signing::sign(b"bank secret", "msg", at, body.as_bytes());
        let at = at.to_string();
        let headers =
            [("webhook-id", "msg"), ("webhook-timestamp", at.as_str()), ("webhook-signature", signature.as_str())];
        world.call("127.0.0.1", "POST", path, if signed { &headers } else { &[] }, &body).await.status
    };
    let messages = async |reference: Reference, source: &str| {
        let messages = world.app.store.bank_messages(connector, reference).await.unwrap();
        messages.iter().filter(|message| message.source == source).count()
    };
    let kept = async |reference: Reference| messages(reference, "callback").await;
    let exceptions = async || admin::exception_list(&world.app).await.unwrap().as_array().unwrap().len();
    let unknown = Reference::parse("ABCDEFGHIJKLMNO").unwrap();

    // A stranger: nothing is kept, and at most the bank is asked, which says that it is pending.
    assert_eq!((say(unknown.as_str(), false).await, exceptions().await, kept(unknown).await), (200, 0, 0));
    // The same words are kept once, and a question that others provoke is not counted; but its answer is recorded.
    let heard_at =
        async || world.app.store.payout(payout.order.merchant, payout.order.id).await.unwrap().unwrap().updated_at;
    let (due, before) = (payout.next_at.unwrap(), heard_at().await);
    assert_eq!((say(reference.as_str(), false).await, kept(reference).await), (200, 0));
    world.pass(Duration::from_millis(100)).await;
    assert!(world.app.clock.now() < due, "the schedule would have asked");
    assert!(heard_at().await > before);
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.status("a").await.code(), 2);

    // The bank.
    assert_eq!((say(unknown.as_str(), true).await, exceptions().await, kept(unknown).await), (200, 1, 1));
    // Sealed as the house's, for it is about nobody's payout.
    let place = Place { merchant: MerchantId::HOUSE, row: 0, field: "bank_messages.body" };
    let sealed = &world.app.store.bank_messages(connector, unknown).await.unwrap()[0].body;
    let said: Value = serde_json::from_slice(&world.app.keys.open(place, sealed).unwrap()).unwrap();
    assert_eq!(said["reference"], unknown.as_str());
    assert_eq!((say(reference.as_str(), true).await, kept(reference).await), (200, 1));
    assert_eq!(world.status("a").await.json()["Data"]["RRN"], "036516753713");

    for (method, path, text, status) in [
        ("POST", path, "{}", 400),
        ("POST", path, "junk", 400),
        ("POST", path, &"x".repeat(16 * 1024 + 1), 413),
        ("GET", path, "", 405),
        ("POST", "/connectors/nobody/callback", "{}", 404),
        ("POST", "/connectors//callback", "{}", 404),
    ] {
        assert_eq!(world.call("127.0.0.1", method, path, &[], text).await.status, status, "{method} {path}");
    }
    let app = Arc::clone(&world.app);
    let _kept = world.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let body = Full::new(Bytes::from(json!({"reference": reference.as_str(), "status": "paid"}).to_string()));
    let response = router::api(app, [127, 0, 0, 1].into(), Request::post(path).body(body).unwrap()).await;
    assert_eq!(response.status(), 503);
}
