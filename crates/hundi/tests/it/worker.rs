//! The worker, the bank and the ledger together, under a clock that the test holds.

use super::ENGINE;
use super::support::{Behaviour, Folder, START, World, bank, operator};
use crate::database::{Database, Engine, run_sql};
use hundi::admin;
use hundi::clock::Clock;
use hundi::config::{Config, DatabaseUrl};
use hundi::store::Store;
use hundi_bank::Faults;
use hundi_core::schedule::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// A row of the sandbox's table: what pays whom, and what becomes of it.
struct Row {
    /// The end of the account number, or the UPI ID.
    beneficiary: &'static str,
    /// `StatusCode` and `Status` of the first answer, and of the status call at the end.
    first: (i64, &'static str),
    last: (i64, &'static str),
    /// What the merchant is told, in order.
    told: &'static [&'static str],
    /// The bank's book for each reference.
    book: &'static [&'static str],
    /// What the payout took from the wallet in the end, in paise.
    cost: i64,
}

/// Amount 100.00, fee 5.00, GST 0.90.
const COST: i64 = 10_590;

const ROWS: &[Row] = &[
    Row {
        beneficiary: "1111",
        first: (1, "Success"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
    Row {
        beneficiary: "0222",
        first: (2, "Pending"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
    Row { beneficiary: "0333", first: (2, "Pending"), last: (2, "Pending"), told: &[], book: &["pending"], cost: COST },
    Row {
        beneficiary: "0444",
        first: (0, "Failure"),
        last: (0, "Failure"),
        told: &["Failure"],
        book: &["refused"],
        cost: 0,
    },
    Row {
        beneficiary: "0555",
        first: (0, "Failure"),
        last: (0, "Failure"),
        told: &["Failure"],
        book: &["refused"],
        cost: 0,
    },
    Row {
        beneficiary: "0666",
        first: (2, "Pending"),
        last: (0, "Failure"),
        told: &["Failure"],
        book: &["refused"],
        cost: 0,
    },
    Row {
        beneficiary: "0777",
        first: (1, "Success"),
        last: (0, "Reversal"),
        told: &["Success", "Reversal"],
        book: &["reversed"],
        cost: 0,
    },
    Row {
        beneficiary: "0888",
        first: (2, "Pending"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
    Row { beneficiary: "0999", first: (2, "Pending"), last: (0, "Failure"), told: &["Failure"], book: &[], cost: 0 },
    Row {
        beneficiary: "0123",
        first: (2, "Pending"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
    Row {
        beneficiary: "success@sandbox",
        first: (1, "Success"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
    Row {
        beneficiary: "slow@sandbox",
        first: (2, "Pending"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
    Row {
        beneficiary: "pending@sandbox",
        first: (2, "Pending"),
        last: (2, "Pending"),
        told: &[],
        book: &["pending"],
        cost: COST,
    },
    Row {
        beneficiary: "invalid@sandbox",
        first: (0, "Failure"),
        last: (0, "Failure"),
        told: &["Failure"],
        book: &["refused"],
        cost: 0,
    },
    Row {
        beneficiary: "bankdown@sandbox",
        first: (0, "Failure"),
        last: (0, "Failure"),
        told: &["Failure"],
        book: &["refused"],
        cost: 0,
    },
    Row {
        beneficiary: "latefail@sandbox",
        first: (2, "Pending"),
        last: (0, "Failure"),
        told: &["Failure"],
        book: &["refused"],
        cost: 0,
    },
    Row {
        beneficiary: "reversed@sandbox",
        first: (1, "Success"),
        last: (0, "Reversal"),
        told: &["Success", "Reversal"],
        book: &["reversed"],
        cost: 0,
    },
    Row {
        beneficiary: "timeout@sandbox",
        first: (2, "Pending"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
    Row {
        beneficiary: "lost@sandbox",
        first: (2, "Pending"),
        last: (0, "Failure"),
        told: &["Failure"],
        book: &[],
        cost: 0,
    },
    Row {
        beneficiary: "deemed@sandbox",
        first: (2, "Pending"),
        last: (1, "Success"),
        told: &["Success"],
        book: &["paid"],
        cost: COST,
    },
];

fn order(token: &str, row: &Row, order: &str) -> Value {
    let mut body = json!({
        "Token": token, "Number": "9876500000", "Amount": "100", "BeneficiaryName": "RUPESH KUMAR", "OrderID": order,
    });
    if row.beneficiary.contains('@') {
        body["TransferMode"] = json!("UPI");
        body["UPIId"] = json!(row.beneficiary);
    } else {
        body["TransferMode"] = json!("IMPS");
        body["AccountNo"] = json!(format!("12345678{}", row.beneficiary));
        body["IFSCCode"] = json!("HDFC0000001");
    }
    body
}

fn told(world: &World, order: &str) -> Vec<String> {
    let mine = format!("clientTxnRef={order}&");
    let status = |url: &str| url.split("&status=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
    world.receivers.calls().iter().filter(|call| call.url.contains(&mine)).map(|call| status(&call.url)).collect()
}

async fn with_callbacks() -> World {
    let world = World::new().await;
    let changes = admin::MerchantChanges { callback_url: Some("http://merchant.test/cb".into()), ..Default::default() };
    admin::merchant_set(&world.app, "demo", changes, &operator()).await.unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn every_outcome_of_the_sandbox_ends_as_its_row_says() {
    for row in ROWS {
        let world = with_callbacks().await;
        let answer = world.post("/PayoutBankTransafer", &order(&world.token, row, "ORDER-1").to_string()).await.json();
        let first = (answer["StatusCode"].as_i64().unwrap(), answer["Data"]["Status"].as_str().unwrap());
        assert_eq!(first, row.first, "{}: {answer}", row.beneficiary);
        world.pass(Duration::from_secs(120)).await;
        let answer = world.status("ORDER-1").await.json();
        let last = (answer["StatusCode"].as_i64().unwrap(), answer["Data"]["Status"].as_str().unwrap());
        assert_eq!(last, row.last, "{}: {answer}", row.beneficiary);
        let rrn = answer["Data"]["RRN"].as_str().unwrap();
        let paid = matches!(row.last.1, "Success" | "Reversal");
        assert_eq!(rrn.len() == 12 && rrn.bytes().all(|b| b.is_ascii_digit()), paid, "{}: {rrn}", row.beneficiary);
        assert_eq!(told(&world, "ORDER-1"), row.told, "{}", row.beneficiary);
        let book = world.book().await;
        let statuses: Vec<&str> = book.iter().map(|entry| entry["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, row.book, "{}", row.beneficiary);
        assert!(book.iter().all(|entry| entry["executions"].as_i64().unwrap() <= 1), "{}: {book:?}", row.beneficiary);
        let left = format!("\"{}.{:02}\"", (100_000_000 - row.cost) / 100, (100_000_000 - row.cost) % 100);
        assert_eq!(world.balance().await, left, "{}", row.beneficiary);
        world.verify().await;
    }
}

#[tokio::test(start_paused = true)]
async fn neft_and_rtgs_answer_pending_and_are_paid_in_time_with_a_utr() {
    for (mode, rupees, length) in [("NEFT", "100", 16), ("RTGS", "200000", 22)] {
        let world = with_callbacks().await;
        let mut body = order(&world.token, &ROWS[0], "ORDER-1");
        body["TransferMode"] = json!(mode);
        body["Amount"] = json!(rupees);
        let answer = world.post("/PayoutBankTransafer", &body.to_string()).await.json();
        assert_eq!((&answer["StatusCode"], &answer["Data"]["Status"]), (&json!(2), &json!("Pending")), "{mode}");
        world.pass(Duration::from_secs(15)).await;
        let answer = world.status("ORDER-1").await.json();
        assert_eq!(answer["StatusCode"], 1, "{mode}: {answer}");
        assert_eq!(answer["Data"]["RRN"].as_str().unwrap().len(), length, "{mode}: {answer}");
        assert_eq!(told(&world, "ORDER-1"), ["Success"], "{mode}");
        world.verify().await;
    }
}

/// The row budget: what an undisturbed payout without a callback writes in its life.
#[tokio::test(start_paused = true)]
async fn an_undisturbed_payout_writes_at_most_eight_rows() {
    let world = World::new().await;
    let rows = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with("hundi_batch_rows_sum")).unwrap();
        let number = line.split(' ').nth(1).unwrap();
        number.trim_end_matches(".0").parse().unwrap()
    };
    let before = rows(&world.app.metrics.text(&world.app).await.unwrap());
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 1);
    world.pass(Duration::from_secs(60)).await;
    let after = rows(&world.app.metrics.text(&world.app).await.unwrap());
    assert!(after - before <= 8, "an undisturbed payout wrote {} rows", after - before);
    assert!(after - before >= 5, "the count cannot be right: {}", after - before);
}

/// After a crash every payout at a bank is asked about, none is sent again.
#[tokio::test(start_paused = true)]
async fn after_a_kill_what_was_sending_is_asked_about_and_never_sent_again() {
    let mut world = with_callbacks().await;
    let token = world.token.clone();
    for (number, account) in ["123456781111", "123456780222", "123456780888", "123456780999"].iter().enumerate() {
        drop(tokio::time::timeout(Duration::from_millis(1), world.pay(&format!("ORDER-{number}"), 100, account)).await);
        // The kill comes at another moment of each payout's life.
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        let (folder, bank, clock) = world.kill();
        world = World::start(folder, bank, clock, |_| {}).await;
        world.token = token.clone();
    }
    world.pass(Duration::from_secs(300)).await;
    for number in 0..4 {
        let answer = world.status(&format!("ORDER-{number}")).await;
        let code = answer.code();
        assert!([0, 1, 4].contains(&code), "ORDER-{number}: {}", answer.body);
    }
    let book = world.book().await;
    assert!(book.iter().all(|entry| entry["executions"].as_i64().unwrap() <= 1), "{book:?}");
    let paid = book.iter().filter(|entry| entry["status"] == "paid").count();
    let succeeded = {
        let mut succeeded = 0;
        for number in 0..4 {
            succeeded += usize::from(world.status(&format!("ORDER-{number}")).await.code() == 1);
        }
        succeeded
    };
    assert_eq!(paid, succeeded, "{book:?}");
    world.verify().await;
}

/// A stop as by SIGTERM keeps what is in flight; the next start goes on with it.
#[tokio::test(start_paused = true)]
async fn a_stop_and_a_start_lose_nothing() {
    let world = with_callbacks().await;
    let token = world.token.clone();
    assert_eq!(world.pay("ORDER-1", 100, "123456780222").await.code(), 2);
    let (folder, bank, clock) = world.stop().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut world = World::start(folder, bank, clock, |_| {}).await;
    world.token = token;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.status("ORDER-1").await.code(), 1);
    assert_eq!(told(&world, "ORDER-1"), ["Success"]);
    world.verify().await;
}

/// Faults by rate and seed: whatever the bank does, both books agree in the end.
#[tokio::test(start_paused = true)]
async fn with_faults_on_both_books_agree_in_the_end() {
    let faults: Faults = "timeout=0.2,drop=0.1,dup_callback=0.3,late=0.2".parse().unwrap();
    let folder = std::sync::Arc::new(Folder::new());
    let mut world = World::start(folder, bank(faults, 11), Clock::held(START), |_| {}).await;
    admin::merchant_add(&world.app, "demo", "*:5.00", &operator()).await.unwrap();
    admin::fund(&world.app, "demo", "1000000.00", "OPENING", "sandbox", &operator()).await.unwrap();
    world.token = world.new_token("demo", "127.0.0.1").await;
    let ends = ["1111", "0222", "0444", "0555", "0666", "0777", "0888", "0999", "0123"];
    for number in 0..120 {
        world
            .pay(&format!("ORDER-{number}"), 1 + number, &format!("12345678{}", ends[number as usize % ends.len()]))
            .await;
    }
    world.pass(Duration::from_secs(3_600)).await;
    let (mut ours, mut open) = (0, 0);
    for number in 0..120 {
        match world.status(&format!("ORDER-{number}")).await.code() {
            1 => ours += 1 + number,
            0 => {}
            _ => open += 1,
        }
    }
    let book = world.book().await;
    let theirs: i64 = book
        .iter()
        .filter(|entry| entry["status"] == "paid")
        .map(|entry| entry["amount_paise"].as_i64().unwrap())
        .sum();
    assert_eq!((theirs, open), (ours * 100, 0));
    assert!(book.iter().all(|entry| entry["executions"].as_i64().unwrap() <= 1));
    world.verify().await;
}

/// Anybody can call the address for bank callbacks; only the bank's own word moves money.
#[tokio::test(start_paused = true)]
async fn a_forged_callback_only_makes_us_ask_the_bank() {
    let world = World::new().await;
    assert_eq!(world.pay("ORDER-1", 100, "123456780333").await.code(), 2);
    let reference = world.book().await[0]["reference"].as_str().unwrap().to_owned();
    for (status, signature) in [("paid", ""), ("refused", ""), ("reversed", "v1,AAAA"), ("paid", "v1,AAAA")] {
        let body = json!({ "reference": reference, "status": status, "amount_paise": 10_000, "rrn": "999999999999" });
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", "x"),
            ("webhook-timestamp", "1795329000"),
            ("webhook-signature", signature),
        ];
        let answer =
            world.call("203.0.113.9", "POST", "/connectors/sandbox/callback", &headers, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        world.pass(Duration::from_secs(3)).await;
        assert_eq!(world.status("ORDER-1").await.code(), 2, "{status} {signature}");
    }
    let unknown = json!({ "reference": "ABCDEFGHIJKLMNO", "status": "paid", "amount_paise": 10_000 });
    world.call("203.0.113.9", "POST", "/connectors/sandbox/callback", &[], &unknown.to_string()).await;
    assert_eq!(
        admin::exception_list(&world.app).await.unwrap(),
        json!([]),
        "a forger must not fill the operator's list"
    );
    world.verify().await;
}

/// Refused callbacks and hanging receivers change nothing about the money.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_does_not_hold_up_the_payout() {
    let world = with_callbacks().await;
    world.receivers.behave(|_| Behaviour::Hangs);
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 1);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.status("ORDER-1").await.code(), 1);
    world.verify().await;
}

/// A payout that nobody could start fails after its time in the queue, and the money comes back.
#[tokio::test(start_paused = true)]
async fn a_payout_that_was_never_sent_fails_in_time() {
    let world = World::with(|config| {
        config.sandbox.as_mut().unwrap().reply_within_ms = 0;
        config.worker.queue_within_s = 60;
    })
    .await;
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 2);
    world.pass(Duration::from_secs(120)).await;
    let answer = world.status("ORDER-1").await;
    assert_eq!(answer.code(), 0, "{}", answer.body);
    assert_eq!(world.balance().await, "\"1000000.00\"");
    assert!(world.book().await.is_empty());
    world.verify().await;
}

/// The journal is chained and anchored: a change, and a tail that is cut off, are both found.
#[tokio::test(start_paused = true)]
async fn a_changed_row_and_a_cut_tail_are_found() {
    let world = World::new().await;
    for number in 0..3 {
        world.pay(&format!("ORDER-{number}"), 100, "123456781111").await;
    }
    hundi::verify::append_anchors(&world.app, &mut Default::default()).await.unwrap();
    let anchors = std::fs::read_to_string(world.app.config.anchors()).unwrap();
    let broken = |sql: &'static str| {
        let (world, anchors) = (&world, &anchors);
        async move {
            let copy = Copy::of(&world.app.config);
            copy.run(sql);
            let view = Store::open_view(&copy.config, &world.app.clock).await.unwrap();
            let report = hundi::verify::verify(&view, &world.app.keys, anchors).await.unwrap();
            report
                .laws
                .into_iter()
                .filter(|law| law.broken > 0)
                .map(|law| law.name.split(' ').next().unwrap())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(broken("SELECT 1").await, Vec::<&str>::new());
    let mut missed = Vec::new();
    for (sql, law) in [
        ("UPDATE journal SET amount_paise = amount_paise + 1 WHERE seq = 2", "I11"),
        ("UPDATE journal SET memo = 'x' WHERE seq = 1", "I11"),
        ("DELETE FROM journal WHERE seq = 3", "I11"),
        ("DELETE FROM journal WHERE seq = (SELECT MAX(seq) FROM journal)", "I11"),
        ("UPDATE accounts SET wallet_paise = wallet_paise + 1", "I2"),
        (
            "UPDATE accounts SET reserved_paise = reserved_paise + 1, wallet_paise = wallet_paise - 1 WHERE merchant_id = 1",
            "I8",
        ),
        ("UPDATE payouts SET state = 5", "I7"),
        ("UPDATE payouts SET amount_paise = amount_paise + 1", "I7"),
        ("DELETE FROM payouts", "I7"),
        ("UPDATE payouts SET paid_attempt = NULL", "I5"),
        ("DELETE FROM bank_references", "I5"),
        ("DELETE FROM bank_credits", "bank"),
        ("DELETE FROM merchants; DELETE FROM accounts", "I2"),
        ("UPDATE payouts SET state = 3, next_at = NULL", "I9"),
        ("UPDATE payouts SET order_id = 'X' || order_id", "orders"),
        ("UPDATE payouts SET fingerprint = zeroblob(32)", "orders"),
        ("UPDATE payouts SET sealed = zeroblob(60)", "orders"),
        // Sealed by the same key, but for another payout.
        ("UPDATE payouts SET sealed = (SELECT sealed FROM payouts ORDER BY payout_id LIMIT 1)", "orders"),
        ("UPDATE payouts SET rail = 3", "orders"),
        ("UPDATE payouts SET reference = 'ABCDEFGHIJKLMNO'", "orders"),
    ] {
        let laws = broken(sql).await;
        if !laws.contains(&law) {
            missed.push((sql, law, laws));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    // Cut the tail off and mend everything that the database itself says about it: only the anchors know.
    let cut = "DELETE FROM journal WHERE seq > 1; DELETE FROM payouts; DELETE FROM bank_references; \
        UPDATE accounts SET wallet_paise = 100000000, reserved_paise = 0, fees_paise = 0, gst_paise = 0, banks = 'sandbox=-100000000', \
        journal_seq = 1, journal_at = (SELECT at FROM journal), journal_link = (SELECT link FROM journal) WHERE merchant_id = 1";
    assert_eq!(broken(cut).await, ["anchors"]);
}

/// A copy of a store, which goes away with its owner.
struct Copy {
    config: Config,
    _folder: Folder,
    _database: Option<Database>,
}

impl Copy {
    fn of(config: &Config) -> Copy {
        let folder = Folder::new();
        let mut copy = Config { data: folder.path().to_owned(), ..config.clone() };
        let database = config.database_url.as_ref().map(|DatabaseUrl(url)| Database::copy_of(url));
        match &database {
            Some(database) => copy.database_url = Some(DatabaseUrl(database.url())),
            None => {
                let source = rusqlite::Connection::open(config.database()).unwrap();
                source.execute("VACUUM INTO ?1", [copy.database().to_str().unwrap()]).unwrap();
            }
        }
        Copy { config: copy, _folder: folder, _database: database }
    }

    fn run(&self, sql: &str) {
        let mut sql = sql.to_owned();
        if ENGINE == Engine::Postgres {
            for length in ["32", "60"] {
                sql = sql.replace(&format!("zeroblob({length})"), &format!("decode(repeat('00', {length}), 'hex')"));
            }
        }
        run_sql(&self.config, &sql);
    }
}

/// Timestamps of the support code are what they say.
#[test]
fn the_test_clock_starts_on_an_indian_noon() {
    assert_eq!(Timestamp(START.0).to_string(), "2026-11-22T12:00:00.000+05:30");
}
