//! Hundi behind Hundi: a merchant of the front one is paid by the back one, which pays at the sandbox bank. The bank falls
//! silent, comes late and repeats itself, and so does the wire between the two; in the end three books agree, and nothing
//! was sent or paid twice. `HUNDI_BEHIND` says how many payouts (200).

use super::reconcile::{apply, said, statement};
use super::support::{Folder, START, World, bank, operator};
use crate::dice::Dice;
use crate::score::score;
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hundi::App;
use hundi::admin::{self, MerchantChanges};
use hundi::clock::Clock;
use hundi::config::{BankUrl, Connector, Dialect, SeguraPay};
use hundi::http_out::{HttpOut, Method, OutError, OutReply, OutRequest};
use hundi_bank::Faults;
use hyper::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn payouts() -> i64 {
    std::env::var("HUNDI_BEHIND").map_or(200, |payouts| payouts.parse().unwrap())
}

/// A wire to another Hundi.
#[derive(Clone)]
struct Line {
    /// Requests to pay that arrived there, by OrderID.
    arrived: Arc<Mutex<BTreeMap<String, u32>>>,
    dice: Arc<Mutex<Dice>>,
    /// Of a hundred: so many connections do not come about, so many replies are lost.
    cut: u64,
    lost: u64,
}

impl Line {
    fn new(seed: u64, cut: u64, lost: u64) -> Line {
        Line { arrived: Arc::default(), dice: Arc::new(Mutex::new(Dice(seed))), cut, lost }
    }

    /// The way out that leads over this wire to `app`.
    fn to(&self, app: &Arc<App>) -> HttpOut {
        let (line, app) = (self.clone(), Arc::clone(app));
        Arc::new(move |request: OutRequest| {
            let (line, app) = (line.clone(), Arc::clone(&app));
            Box::pin(async move { line.carry(app, request).await })
        })
    }

    async fn carry(&self, app: Arc<App>, request: OutRequest) -> Result<OutReply, OutError> {
        let throw = self.dice.lock().unwrap().below(100);
        if throw < self.cut {
            return Err(OutError::NotWritten("the wire is cut".to_owned()));
        }
        let url = url::Url::parse(&request.url).unwrap();
        if url.path() == "/PayoutBankTransafer" {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            *self.arrived.lock().unwrap().entry(body["OrderID"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let method = if request.method == Method::Get { "GET" } else { "POST" };
        let mut there = Request::builder().method(method).uri(&request.url[url.origin().ascii_serialization().len()..]);
        for (name, value) in &request.headers {
            there = there.header(*name, value);
        }
        let there = there.body(Full::new(request.body)).unwrap();
        // Who gives up waiting does not end what goes on there.
        let served = tokio::spawn(hundi::http::router::api(app, [127, 0, 0, 1].into(), there));
        let silent = || OutError::Silent("time-out".to_owned());
        if throw < self.cut + self.lost {
            tokio::time::sleep(request.deadline).await;
            return Err(silent());
        }
        let reply = tokio::time::timeout(request.deadline, served).await.map_err(|_| silent())?.unwrap();
        let (head, body) = reply.into_parts();
        let body: Bytes = body.collect().await.unwrap().to_bytes();
        Ok(OutReply { status: head.status.as_u16(), body, truncated: false })
    }
}

/// The two: merchant `demo` of the front one, who is `demo` of the back one too.
struct Two {
    front: World,
    back: World,
    line: Line,
}

async fn rich(world: &mut World, connector: &str) {
    admin::merchant_add(&world.app, "demo", "*:5.00", &operator()).await.unwrap();
    admin::fund(&world.app, "demo", "1000000000.00", "OPENING", connector, &operator()).await.unwrap();
    world.token = world.new_token("demo", "127.0.0.1").await;
}

async fn two(faults: &str, line: Line, dialect: Dialect, signed: bool) -> Two {
    let faults: Faults = faults.parse().unwrap();
    let mut back = World::start(Arc::new(Folder::new()), bank(faults, 11), Clock::held(START), |_| {}).await;
    rich(&mut back, "sandbox").await;
    let shown = admin::merchant_show(&back.app, "demo", true).await.unwrap();
    let folder = Arc::new(Folder::new());
    let (token, secret) = (folder.path().join("token"), folder.path().join("secret"));
    std::fs::write(&token, &back.token).unwrap();
    std::fs::write(&secret, shown["callback_secret"].as_str().unwrap()).unwrap();
    let nobody = bank(Faults::default(), 1);
    let mut front = World::start(folder, nobody, Clock::held(START), |config| {
        config.sandbox = None;
        let up = SeguraPay {
            url: BankUrl("http://back.test".to_owned()),
            dialect,
            token_file: Some(token),
            token_env: None,
            client_id: None,
            secret_key_file: None,
            secret_key_env: None,
            callback_secret_file: signed.then_some(secret),
            callback_secret_env: None,
            number: None,
            reply_within_ms: 5_000,
        };
        config.connectors.insert("up".to_owned(), Connector::SeguraPay(up));
    })
    .await;
    rich(&mut front, "up").await;
    front.receivers.reached_by(line.to(&back.app));
    back.receivers.reached_by(Line::new(3, line.cut, line.lost).to(&front.app));
    let callback_url = Some("http://front.test/connectors/up/callback".to_owned());
    let changes = MerchantChanges { callback_url, ..MerchantChanges::default() };
    admin::merchant_set(&back.app, "demo", changes, &operator()).await.unwrap();
    Two { front, back, line }
}

/// What is paid in a store: how many, how much, and the sum of the squares, which tells sets of amounts apart.
async fn paid(world: &World) -> [i64; 3] {
    let sum = |what: &'static str| async move {
        let sql = format!("SELECT COALESCE(CAST(SUM({what}) AS BIGINT), 0) FROM payouts WHERE state = 4");
        world.number(&sql).await
    };
    [sum("1").await, sum("amount_paise").await, sum("amount_paise / 100 * (amount_paise / 100)").await]
}

/// One payout for each row of the sandbox's table: what becomes of it at the bank becomes of it in front of the two.
#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_payout_at_the_bank_becomes_of_it_in_front() {
    for (dialect, signed) in [(Dialect::Hundi, true), (Dialect::Hundi, false), (Dialect::SeguraPay, false)] {
        let two = two("", Line::new(5, 0, 0), dialect, signed).await;
        for (end, code, status) in [
            ("1111", 1, "Success"),
            ("0222", 1, "Success"),
            ("0333", 2, "Pending"),
            ("0444", 0, "Failure"),
            ("0555", 0, "Failure"),
            ("0666", 0, "Failure"),
            ("0777", 0, "Reversal"),
            ("0888", 1, "Success"),
            ("0999", 0, "Failure"),
            ("0123", 1, "Success"),
        ] {
            two.front.pay(end, 100, &format!("12345678{end}")).await;
            two.front.pass(Duration::from_secs(120)).await;
            let answer = two.front.status(end).await.json();
            let became = (answer["StatusCode"].as_i64().unwrap(), answer["Data"]["Status"].as_str().unwrap());
            assert_eq!(became, (code, status), "{end} {dialect:?} {signed}: {answer}");
            let rrn = answer["Data"]["RRN"].as_str().unwrap();
            assert_eq!(
                rrn.len() == 12,
                matches!(status, "Success" | "Reversal"),
                "{end}: the bank's RRN comes through"
            );
        }
        // A UPI ID and a mobile number.
        for (order, field, value) in
            [("VPA", "UPIId", "success@sandbox"), ("PHONE", "BeneficiaryPhoneNo", "9876543210")]
        {
            let mut body = json!({
                "Token": two.front.token, "Amount": "100", "TransferMode": "UPI", "BeneficiaryName": "RUPESH KUMAR",
                "OrderID": order,
            });
            body[field] = json!(value);
            let answer = two.front.post("/PayoutBankTransafer", &body.to_string()).await;
            assert_eq!(answer.code(), 1, "{order}: {}", answer.body);
        }
        assert_eq!(paid(&two.front).await, paid(&two.back).await);
        two.front.verify().await;
        two.back.verify().await;
    }
}

/// A token that the back one no longer takes pays nothing and fails nothing: the order waits, and is paid once it is.
#[tokio::test(start_paused = true)]
async fn who_is_turned_away_waits_and_is_paid_later() {
    let two = two("", Line::new(5, 0, 0), Dialect::Hundi, true).await;
    let stopped = "UPDATE tokens SET revoked_at = 1";
    two.back.sql(stopped).await;
    two.back.pass(Duration::from_secs(60)).await;
    assert_eq!(two.front.pay("ORDER-1", 100, "123456781111").await.code(), 2);
    two.front.pass(Duration::from_secs(60)).await;
    assert_eq!(two.front.status("ORDER-1").await.code(), 2);
    assert_eq!(two.back.number("SELECT COUNT(*) FROM payouts").await, 0);
    two.back.sql("UPDATE tokens SET revoked_at = NULL").await;
    two.front.pass(Duration::from_secs(600)).await;
    assert_eq!(two.front.status("ORDER-1").await.code(), 1);
    assert_eq!(paid(&two.front).await, paid(&two.back).await);
}

#[tokio::test(start_paused = true)]
async fn three_books_agree_and_nothing_is_sent_twice() {
    let two = two("timeout=0.2,drop=0.1,dup_callback=0.3,late=0.2", Line::new(9, 5, 10), Dialect::Hundi, true).await;
    let ends = ["1111", "0222", "0444", "0555", "0666", "0777", "0888", "0999", "0123"];
    let all: Vec<i64> = (0..payouts()).collect();
    for few in all.chunks(50) {
        let ordered = few.iter().map(|number| {
            let account = format!("12345678{}", ends[usize::try_from(*number).unwrap() % ends.len()]);
            let order = format!("ORDER-{number}");
            let front = &two.front;
            async move { front.pay(&order, 1 + number, &account).await.code() }
        });
        for code in join_all(ordered).await {
            assert!([0, 1, 2].contains(&code), "{code}");
        }
    }
    for _ in 0..24 {
        two.front.pass(Duration::from_secs(3_600)).await;
    }
    let (mut rupees, mut open) = (Vec::new(), 0);
    for number in all {
        match two.front.status(&format!("ORDER-{number}")).await.code() {
            1 => rupees.push(1 + number),
            0 => {}
            _ => open += 1,
        }
    }
    assert_eq!(open, 0, "payouts are still open");
    let in_front =
        [rupees.len() as i64, rupees.iter().sum::<i64>() * 100, rupees.iter().map(|rupees| rupees * rupees).sum()];
    assert_eq!(paid(&two.front).await, in_front);
    assert_eq!(paid(&two.back).await, in_front, "the back one's book");
    let book = two.back.book().await;
    let mut at_bank: Vec<i64> = book
        .iter()
        .filter(|entry| entry["status"] == "paid")
        .map(|entry| entry["amount_paise"].as_i64().unwrap() / 100)
        .collect();
    at_bank.sort_unstable();
    assert_eq!(at_bank, rupees, "the bank's book");
    assert!(book.iter().all(|entry| entry["executions"].as_i64().unwrap() <= 1), "the bank paid twice");
    let arrived = two.line.arrived.lock().unwrap().clone();
    assert_eq!(arrived.len() as i64, payouts());
    assert!(arrived.values().all(|times| *times == 1), "a request to pay arrived twice");
    assert!(!rupees.is_empty());
    // The bank's own statements say the same: nothing that the back one does not know, and nothing is missing.
    for date in ["2026-11-22", "2026-11-23"] {
        let report = apply(&two.back, said(&statement(&two.back, date).await)).await;
        assert!(report.clean() && report.moved == 0, "{date}: {:#}", report.document());
    }
    println!("{} payouts, {} paid in all three books, none sent twice", payouts(), rupees.len());
    score(
        22,
        "payouts through two installations, paid alike in three books and on the bank's statements",
        rupees.len() as u64,
    );
    two.front.verify().await;
    two.back.verify().await;
}
