//! Black-box tests: the real binary in processes of its own, driven by HTTP and by its command line.

pub mod auditor;
pub mod client;
pub mod kill;
#[allow(dead_code, reason = "some of it helps the tests of one engine only")]
pub mod kit;
mod operators;
mod receivers;
mod reversals;

use super::ENGINE;
use super::support::Folder;
use crate::score::score;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kit::{
    Call, Demo, Http, PAY, Receiver, Reply, STATUS, Site, book, files, holds, paise, pay_body, run_on, status_body,
    until,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a payout costs besides its amount at 5.00: the fee and 18 % of it.
const COST_PAISE: i64 = 590;

/// The first promise to a stranger: one command, one request, paid; and every rupee of it can be verified.
#[test]
fn demo_pays() {
    let folder = Folder::new();
    let data = folder.config().data;
    let receiver = Receiver::start();
    let url = receiver.url("/hook?shop=7");
    let demo = Demo::start(&folder, &url);
    assert_eq!(demo.merchant, "demo");
    let at = data.to_str().unwrap();
    let cli = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--json", "--data", at]);
        run_on(&folder, &all)
    };

    let mut http = Http::to(&demo.api);
    let paid = http.post(PAY, &pay_body(&demo.token, "ORDER-1", 200, "IMPS", "123456789012")).unwrap();
    let (ours, rrn) = success(&paid, "ORDER-1");
    let balance = http.post(&format!("/UserWalletBalance?token={}", demo.token), "").unwrap();
    assert_eq!((balance.status, balance.body.as_str()), (200, "\"999794.10\""));
    assert_eq!(http.post(STATUS, &status_body(&demo.token, "ORDER-1")).unwrap().body, paid.body);
    let by_ours = http.post("/PayoutTransactionStatusByOrderID", &status_body(&demo.token, &ours)).unwrap();
    assert_eq!(by_ours.body, paid.body);

    let transfers = book(demo.bank["http://".len()..].parse().unwrap());
    assert_eq!(transfers.len(), 1);
    let row = &transfers[0];
    assert_eq!(
        (&row["amount_paise"], &row["status"], &row["rrn"], &row["executions"]),
        (&20_000.into(), &"paid".into(), &rrn.as_str().into(), &1.into())
    );

    let call = until("the callback", Duration::from_secs(5), || receiver.calls().into_iter().next());
    assert_eq!(call.path, format!("/hook?shop=7&clientTxnRef=ORDER-1&refId={ours}&status=Success&operatorRef={rrn}"));
    let shown = cli(&["merchant", "show", "demo", "--secret"]).json();
    assert!(signed(&call, shown["callback_secret"].as_str().unwrap()), "{call:?}");
    assert!(!signed(&call, "whsec_AAAA"));

    assert_eq!(cli(&["verify"]).json()["holds"], true);
    shows_the_payout(&cli(&["payout", "show", &ours]).json(), row["reference"].as_str().unwrap());
    assert_eq!(cli(&["payout", "list", "--merchant", "demo"]).json()[0]["payout_id"], ours);
    let lines = cli(&["statement", "--merchant", "demo", "--format", "json"]).json();
    let kinds: Vec<&Value> = lines.as_array().unwrap().iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["fund", "reserve", "settle"]);
    let csv = run_on(&folder, &["statement", "--merchant", "demo", "--format", "csv", "--data", at]);
    assert_eq!((csv.code, csv.stdout.lines().count()), (0, 4), "{}", csv.stdout);
    for booked in [true, false] {
        let funded = cli(&["fund", "--merchant", "demo", "--amount", "100.00", "--reference", "UTR-1"]).json();
        assert_eq!((&funded["booked"], &funded["wallet"]), (&booked.into(), &"999894.10".into()));
    }

    let made = cli(&["token", "new", "--merchant", "demo", "--allow-ip", "127.0.0.1"]).json();
    let other = made["token"].as_str().unwrap();
    assert_eq!(http.post(STATUS, &status_body(other, "ORDER-1")).unwrap().code(), 1);
    assert_eq!(cli(&["token", "revoke", &made["token_id"].to_string()]).code, 0);
    until("the refusal of a revoked token", Duration::from_secs(1), || {
        (http.post(STATUS, &status_body(other, "ORDER-1")).unwrap().code() == 3).then_some(())
    });

    let old = demo.token.clone();
    let (status, took) = demo.process.terminate();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
    let demo = Demo::start(&folder, &url);
    let mut http = Http::to(&demo.api);
    assert_ne!(old, demo.token);
    for token in [&old, &demo.token] {
        assert_eq!(http.post(STATUS, &status_body(token, "ORDER-1")).unwrap().body, paid.body);
    }
    assert_eq!(http.post(STATUS, &status_body(other, "ORDER-1")).unwrap().code(), 3);
    let mode = std::fs::metadata(data.join("hundi.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for file in files(&data) {
        for token in [old.as_str(), &demo.token, other] {
            assert!(!holds(&file, token.as_bytes()), "{} holds a token", file.display());
        }
    }
}

/// A payout that succeeded: our OrderID and the RRN.
fn success(reply: &Reply, order: &str) -> (String, String) {
    assert_eq!(reply.status, 200);
    let answer = reply.json();
    assert_eq!((&answer["StatusCode"], &answer["Message"]), (&1.into(), &"Transaction Successful".into()), "{answer}");
    let data = &answer["Data"];
    assert_eq!(
        (&data["ClientOrderID"], &data["BeneficiaryName"], &data["Status"]),
        (&order.into(), &"RUPESH KUMAR".into(), &"Success".into())
    );
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    let (ours, rrn) = (text("OrderID"), text("RRN"));
    assert!(ours.len() <= 15 && ours.bytes().all(|byte| byte.is_ascii_digit()), "{ours}");
    assert!(rrn.len() == 12 && rrn.bytes().all(|byte| byte.is_ascii_digit()), "{rrn}");
    (ours, rrn)
}

fn shows_the_payout(shown: &Value, reference: &str) {
    assert_eq!(
        (&shown["state"], &shown["amount"], &shown["fee"], &shown["gst"]),
        (&"paid".into(), &"200.00".into(), &"5.00".into(), &"0.90".into())
    );
    let kinds: Vec<&Value> = shown["journal"].as_array().unwrap().iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["reserve", "settle"]);
    assert_eq!(shown["callbacks"][0]["state"], "delivered", "{shown}");
    assert_eq!(shown["attempts"][0]["reference"], reference, "the attempts are part of the timeline: {shown}");
}

/// Whether a callback carries the signature of Standard Webhooks over `id.timestamp.GET {path and query}`.
pub fn signed(call: &Call, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let header = |name: &str| call.header(name).unwrap_or_else(|| panic!("no {name}: {call:?}"));
    let at = header("webhook-timestamp").parse().unwrap();
    let text = format!("GET {}", call.path);
    hundi_core::signing::verify(&key, header("webhook-id"), at, text.as_bytes(), header("webhook-signature"))
}

/// However many identical requests race, one OrderID is one payout, one debit and one transfer.
#[test]
fn the_same_order_races() {
    const ORDERS: usize = 1_000;
    const SAME: usize = 50;
    const LANES: usize = 2;
    const LASTS_AT_MOST: Duration = Duration::from_secs(60);
    let site = Site::new("1000000.00", "");
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let began = Instant::now();
    let barriers: Vec<Barrier> = (0..LANES).map(|_| Barrier::new(SAME)).collect();
    let answers: Vec<(usize, String)> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (lane, barrier) in barriers.iter().enumerate() {
            for _ in 0..SAME {
                let site = &site;
                threads.push(scope.spawn(move || {
                    let mut http = Http::new(site.api);
                    let orders = (lane..ORDERS).step_by(LANES);
                    let ask = |order| {
                        barrier.wait();
                        if began.elapsed() > LASTS_AT_MOST {
                            return (order, "too slow".to_owned());
                        }
                        let body = pay_body(&site.token, &format!("RACE-{order}"), 100, "IMPS", "50100010001");
                        // An error must not leave the others waiting at the barrier.
                        (order, http.post(PAY, &body).map_or_else(|error| error.to_string(), |reply| reply.body))
                    };
                    orders.map(ask).collect::<Vec<_>>()
                }));
            }
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    println!("{} answers in {:?}", answers.len(), began.elapsed());
    assert_eq!(answers.len(), ORDERS * SAME);
    let mut ours: BTreeMap<usize, String> = BTreeMap::new();
    for (order, body) in answers {
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert!(answer["StatusCode"] == 1 || answer["StatusCode"] == 2, "{body}");
        assert_eq!(answer["Data"]["ClientOrderID"], format!("RACE-{order}"));
        let id = answer["Data"]["OrderID"].as_str().unwrap().to_owned();
        assert_eq!(*ours.entry(order).or_insert_with(|| id.clone()), id, "two payouts for RACE-{order}");
    }
    assert_eq!(ours.len(), ORDERS);
    until("the end of all payouts", Duration::from_secs(30), || {
        (site.metric("hundi_payouts_open{") == 0.0).then_some(())
    });
    each_paid_once(&site, ORDERS);
    let listed = site.cli(&["payout", "list", "--merchant", "shop", "--limit", "10000"]).json();
    assert_eq!(listed.as_array().unwrap().len(), ORDERS);
    site.verify();
    score(9, &format!("OrderIDs x 50 at once, {ENGINE:?}"), ORDERS as u64);
    assert!(began.elapsed() < LASTS_AT_MOST, "took {:?}", began.elapsed());
}

/// Money for a thousand payouts is a thousand payouts, however many ask at once.
#[test]
fn a_wallet_for_a_thousand() {
    const PAYOUTS: usize = 1_000;
    const THREADS: usize = 100;
    const EACH: usize = 50;
    let site = Site::new("105900.00", "");
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let barrier = Barrier::new(THREADS);
    let (accepted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (site, barrier, accepted, refused) = (&site, &barrier, &accepted, &refused);
            scope.spawn(move || {
                let mut http = Http::new(site.api);
                barrier.wait();
                for attempt in 0..EACH {
                    let body = pay_body(&site.token, &format!("W-{thread}-{attempt}"), 100, "IMPS", "50100010001");
                    let reply = http.post(PAY, &body).unwrap();
                    match reply.code() {
                        1 | 2 => accepted.fetch_add(1, Ordering::Relaxed),
                        0 => {
                            let answer = reply.json();
                            assert!(answer["Message"].as_str().unwrap().to_lowercase().contains("balance"), "{answer}");
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        _ => panic!("{}", reply.body),
                    };
                }
            });
        }
    });
    assert_eq!((accepted.into_inner(), refused.into_inner()), (PAYOUTS, THREADS * EACH - PAYOUTS));
    let mut http = Http::new(site.api);
    assert_eq!(http.post(&format!("/UserWalletBalance?token={}", site.token), "").unwrap().body, "\"0.00\"");
    until("the end of all payouts", Duration::from_secs(30), || {
        (site.metric("hundi_payouts_open{") == 0.0).then_some(())
    });
    let lines = statement(&site);
    assert!(lines.iter().all(|line| paise(line["wallet_after"].as_str().unwrap()) >= 0));
    assert_eq!((count(&lines, "reserve"), count(&lines, "settle")), (PAYOUTS, PAYOUTS));
    assert_eq!(site.balance_paise(), 0);
    assert_eq!(site.book().len(), PAYOUTS);
    site.verify();
    // What was refused for its balance never pays later, also when there is money again.
    let all = site.cli(&["payout", "list", "--merchant", "shop", "--limit", "10000"]).json();
    let failed = all.as_array().unwrap().iter().find(|payout| payout["state"] == "failed").unwrap()["order_id"].clone();
    site.cli(&["fund", "--merchant", "shop", "--amount", "1000.00", "--reference", "MORE"]).json();
    let body = pay_body(&site.token, failed.as_str().unwrap(), 100, "IMPS", "50100010001");
    assert_eq!(http.post(PAY, &body).unwrap().code(), 0);
    assert_eq!(site.balance_paise(), 1_000_00);
    score(11, &format!("attempts for 1,000 payouts, {ENGINE:?}"), (THREADS * EACH) as u64);
}

/// So many payouts of 100.00 were each debited once and paid once, out of 10,00,000.00. Gives back the bank's book.
pub fn each_paid_once(site: &Site, orders: usize) -> Vec<Value> {
    assert_eq!(site.balance_paise(), 1_000_000_00 - i64::try_from(orders).unwrap() * (100_00 + COST_PAISE));
    let lines = statement(site);
    assert_eq!((count(&lines, "reserve"), count(&lines, "settle"), lines.len()), (orders, orders, 2 * orders + 1));
    let book = site.book();
    assert_eq!(book.len(), orders);
    assert!(book.iter().all(|row| row["executions"] == 1 && row["status"] == "paid" && row["amount_paise"] == 100_00));
    book
}

pub fn statement(site: &Site) -> Vec<Value> {
    let Value::Array(lines) = site.cli(&["statement", "--merchant", "shop", "--format", "json"]).json() else {
        panic!("a list")
    };
    lines
}

pub fn count(lines: &[Value], kind: &str) -> usize {
    lines.iter().filter(|line| line["kind"] == kind).count()
}

/// Merchants' first payouts race for wallets that were never used: none is overdrawn.
#[test]
fn the_first_debit_of_a_new_wallet_races() {
    const SAME: usize = 50;
    const WALLETS: usize = 200;
    let site = Site::new("0", "");
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let new = |wallet: usize| {
        let merchant = format!("new-{wallet}");
        site.cli(&["merchant", "add", &merchant, "--fees", "*:5.00"]).json();
        let made = site.cli(&["token", "new", "--merchant", &merchant, "--allow-ip", "127.0.0.1"]).json();
        // Enough for three.
        site.cli(&["fund", "--merchant", &merchant, "--amount", "317.70", "--reference", &merchant]).json();
        made["token"].as_str().unwrap().to_owned()
    };
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let new = &new;
        let quarter = |first: usize| scope.spawn(move || (first..first + WALLETS / 4).map(new).collect::<Vec<_>>());
        let quarters: Vec<_> = (0..WALLETS).step_by(WALLETS / 4).map(quarter).collect();
        quarters.into_iter().flat_map(|quarter| quarter.join().unwrap()).collect()
    });
    for token in &tokens {
        let barrier = Barrier::new(SAME);
        let codes: Vec<i64> = std::thread::scope(|scope| {
            let pay = |order| {
                let (site, barrier) = (&site, &barrier);
                scope.spawn(move || {
                    let mut http = Http::new(site.api);
                    barrier.wait();
                    http.post(PAY, &pay_body(token, &format!("N-{order}"), 100, "NEFT", "50100010001"))
                        .map_or(-1, |reply| reply.code())
                })
            };
            let threads: Vec<_> = (0..SAME).map(pay).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(codes.iter().filter(|code| **code == 2).count(), 3, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), SAME - 3, "{codes:?}");
    }
    site.verify();
    score(11, &format!("new wallets, each raced for by {SAME} first payouts, {ENGINE:?}"), WALLETS as u64);
}
