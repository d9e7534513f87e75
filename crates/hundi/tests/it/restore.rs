//! A restored store that heals itself: it goes on hold when the bank speaks of what it has forgotten, and what was paid in the
//! forgotten time is recognised and not paid again.

use super::support::{START, World, operator};
use crate::score::score;
use hundi::admin;
use hundi::connectors::admin as connectors;
use hundi::proposals::{self, Ask};
use hundi::reconcile::{Fed, Report, reconcile};
use hundi_core::formats;
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, Reference};
use hundi_core::signing;
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;

/// Accounts at which the bank pays; pays and never answers; pays and takes back; refuses; pays later.
const ENDS: [&str; 6] = ["50100010001", "50100010888", "50100010777", "50100010444", "50100010222", "50100010123"];

/// Orders since the backup: `HUNDI_FORGOTTEN`, or 300.
fn since() -> usize {
    std::env::var("HUNDI_FORGOTTEN").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

async fn read_statement(world: &World, date: &str) -> Report {
    read_statement_of(world, date, "sandbox").await
}

async fn read_statement_of(world: &World, date: &str, connector: &str) -> Report {
    let path = format!("/statement?date={date}");
    let bytes = world.bank.handle("GET", &path, Default::default()).await.unwrap().body;
    let mut said = Vec::new();
    formats::read(&bytes[..], "statement.xml", None, &mut |one| said.push(one));
    let (to, mut fed) = mpsc::channel(2);
    to.try_send(Fed::Said(said)).unwrap();
    to.try_send(Fed::Ended([7; 32])).unwrap();
    reconcile(&world.app, &mut fed, Connector::parse(connector).unwrap(), &operator()).await.unwrap()
}

/// Restores what [`World::back_up`] kept, and starts it again.
async fn restored(world: World) -> World {
    let token = world.token.clone();
    let (folder, bank, clock) = world.kill_and_restore().await;
    let mut world = World::start(folder, bank, clock, |_| {}).await;
    world.token = token;
    world
}

/// What the bank has executed, and what its statement lines come to.
async fn bank_s_book(world: &World) -> (usize, i64) {
    let book = world.book().await;
    let paise = |one: &serde_json::Value| one["amount_paise"].as_i64().unwrap();
    let paid = book.iter().filter(|one| one["status"] == "paid").map(paise).sum();
    (book.len(), paid)
}

async fn on_hold(world: &World) -> serde_json::Value {
    admin::hold_status(&world.app).await.unwrap()
}

/// The drill of docs/operating.md, with an hour-old backup.
#[tokio::test(start_paused = true)]
async fn what_was_forgotten_is_not_paid_again() {
    let world = World::with(|config| config.worker.queue_within_s = 7_200).await;
    assert_eq!(world.pay("BEFORE", 100, ENDS[0]).await.code(), 1);
    // The backup knows it as queued and not yet started.
    connectors::pause(&world.app, "sandbox", "a drill", &operator()).await.unwrap();
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(world.pay("WAITS", 100, ENDS[0]).await.code(), 2);
    world.back_up().await;
    connectors::resume(&world.app, "sandbox", &operator()).await.unwrap();
    world.pass(Duration::from_secs(1_200)).await;
    assert_eq!(world.status("WAITS").await.code(), 1);
    let mut orders = Vec::new();
    for number in 0..since() {
        let (order, rupees, account) = (format!("SINCE-{number}"), 10 + number as i64 % 40, ENDS[number % ENDS.len()]);
        world.pay(&order, rupees, account).await;
        orders.push((order, rupees, account));
    }
    world.pass(Duration::from_secs(120)).await;
    let mut ended = Vec::new();
    for (order, ..) in &orders {
        ended.push(world.status(order).await.json()["Data"]["Status"].clone());
    }
    let before = bank_s_book(&world).await;

    // The statement comes before anything is sent: `hundi reconcile` needs no `serve`.
    let world = restored(world).await;
    world.stop_worker();
    assert_eq!(on_hold(&world).await["on_hold"], false);
    let report = read_statement(&world, "2026-11-22").await;
    let shown = on_hold(&world).await;
    let why = shown["hold"].as_str().unwrap();
    assert!(why.contains("sandbox speaks of") && why.contains("by its statement"), "{why}");
    let refused = orders.iter().filter(|(.., account)| *account == ENDS[3]).count();
    let paid = orders.len() - refused + 1;
    // Every gap is listed, each payment once.
    assert_eq!(shown["forgotten"], json!(paid));
    assert_eq!(shown["without_statement"], json!(0));
    let returned = orders.iter().filter(|(.., account)| *account == ENDS[2]).count();
    assert_eq!(shown["forgotten_payments"].as_array().unwrap().len(), paid + returned);
    assert_eq!(world.number("SELECT COUNT(*) FROM exceptions WHERE kind = 4").await, paid as i64);
    assert_eq!(
        report.told.get("unknown_reference").copied(),
        Some((paid + returned) as u64),
        "{:#}",
        report.document()
    );
    let (folder, bank, clock, token) = {
        let token = world.token.clone();
        let (folder, bank, clock) = world.kill();
        (folder, bank, clock, token)
    };
    let mut world = World::start(folder, bank, clock, |_| {}).await;
    world.token = token;
    for _ in 0..3 {
        world.pass(Duration::from_secs(600)).await;
        assert_eq!(world.status("WAITS").await.code(), 2);
    }
    for (order, rupees, account) in orders.iter().take(20) {
        assert_eq!(world.pay(order, *rupees, account).await.code(), 6);
        assert_eq!(world.status(order).await.code(), 6);
    }
    assert_eq!(world.wire.payments(), 0);
    world.verify().await;

    admin::hold_release(&world.app, "the statement of the day was read", false, &operator()).await.unwrap();
    connectors::resume(&world.app, "sandbox", &operator()).await.unwrap();
    world.pass(Duration::from_secs(300)).await;
    assert_eq!(world.status("WAITS").await.code(), 1);
    // Until its merchant sends it again, nobody is told that an order does not exist.
    assert_eq!(world.status(&orders[0].0).await.code(), 6);
    assert_eq!(world.pay(&orders[0].0, -1, "1").await.code(), 6);
    assert_eq!(world.wire.payments(), 0);
    for ((order, rupees, account), ended) in orders.iter().zip(&ended) {
        let answer = world.pay(order, *rupees, account).await;
        assert_eq!(answer.json()["Data"]["Status"], *ended, "{order}: {}", answer.body);
    }
    world.pass(Duration::from_secs(120)).await;
    // What the bank had refused was asked for again, and nothing else; the bank has executed nothing more.
    assert_eq!(world.wire.payments(), refused as u64);
    assert_eq!(bank_s_book(&world).await, before);
    assert_eq!(on_hold(&world).await["forgotten"], json!(0));
    let again = read_statement(&world, "2026-11-22").await;
    assert!(again.clean(), "{:#}", again.document());
    // Both books agree to the paisa: what left by our journal is what the statement's lines come to.
    let ours = "SELECT SUM(CASE kind WHEN 4 THEN amount_paise WHEN 5 THEN -amount_paise ELSE 0 END) FROM journal";
    let theirs = "SELECT SUM(CASE side WHEN 2 THEN amount_paise ELSE -amount_paise END) FROM statement_lines";
    assert_eq!(world.number(ours).await, world.number(theirs).await);
    world.verify().await;
    score(21, "payments of a forgotten hour that were asked for again after the release: paid twice", 0);
    score(21, "payments of a forgotten hour that were listed", paid as u64);
}

/// What a bank calls out is not enough to go on: the statements have to tell.
#[tokio::test(start_paused = true)]
async fn a_release_waits_for_the_statements() {
    let world = World::new().await;
    world.back_up().await;
    // The bank pays it after five seconds, and calls.
    assert_eq!(world.pay("LATE", 100, ENDS[4]).await.code(), 2);
    let executed = world.book().await.len();
    let world = restored(world).await;
    world.pass(Duration::from_secs(30)).await;
    let shown = on_hold(&world).await;
    assert!(shown["hold"].as_str().unwrap().contains("by its own word"), "{shown}");
    assert_eq!((&shown["forgotten"], &shown["without_statement"]), (&json!(1), &json!(1)));
    assert!(world.operations("/metrics").await.contains("hundi_on_hold 1"));
    for reason in ["", "I am sure"] {
        admin::hold_release(&world.app, reason, false, &operator()).await.unwrap_err();
    }
    let refused = admin::hold_release(&world.app, "I am sure", false, &operator()).await.unwrap_err();
    assert!(refused.contains("1 payments") && refused.contains("--force"), "{refused}");
    read_statement(&world, "2026-11-22").await;
    admin::hold_release(&world.app, "the statement was read", false, &operator()).await.unwrap();
    assert_eq!(world.pay("LATE", 100, ENDS[4]).await.code(), 1);
    assert_eq!(world.book().await.len(), executed);
    world.verify().await;
}

/// What no merchant orders and nobody starts again is found at the release: what two people have declared failed, or an operator
/// has cancelled, before the bank spoke of it, and what is still held.
#[tokio::test(start_paused = true)]
async fn what_was_declared_failed_is_found_at_the_release() {
    let world = World::with(|config| config.worker.queue_within_s = 7_200).await;
    connectors::pause(&world.app, "sandbox", "a drill", &operator()).await.unwrap();
    world.pass(Duration::from_secs(3)).await;
    for order in ["FAILED", "CANCELLED", "HELD"] {
        assert_eq!(world.pay(order, 100, ENDS[0]).await.code(), 2);
    }
    world.sql("UPDATE payouts SET held = 1, next_at = 9223372036854775807 WHERE order_id <> 'CANCELLED'").await;
    world.back_up().await;
    // In the time that is forgotten they are resumed, and paid.
    world.sql("UPDATE payouts SET held = 0, next_at = 1").await;
    connectors::resume(&world.app, "sandbox", &operator()).await.unwrap();
    world.pass(Duration::from_secs(1_200)).await;
    let before = bank_s_book(&world).await;
    assert_eq!(before, (3, 300_00));

    let world = restored(world).await;
    let id = async |order: &str| {
        world.number(&format!("SELECT payout_id FROM payouts WHERE order_id = '{order}'")).await.to_string()
    };
    let (failed, held) = (id("FAILED").await, id("HELD").await);
    let two = async |ask: Ask| {
        let app = &world.app;
        let proposed = proposals::propose(app, ask, "looked at", &Actor::Operator("asha".into())).await?;
        proposals::approve(app, proposed["proposal_id"].as_i64().unwrap(), &Actor::Operator("ravi".into())).await
    };
    two(Ask::DeclareFailed { payout: failed.clone() }).await.unwrap();
    admin::payout_cancel(&world.app, &id("CANCELLED").await, &operator()).await.unwrap();
    let wallet = async || world.number("SELECT wallet_paise FROM accounts WHERE merchant_id = 1").await;
    let money_back = wallet().await;
    read_statement(&world, "2026-11-22").await;
    assert_eq!(on_hold(&world).await["forgotten"], json!(3));
    assert!(two(Ask::DeclareFailed { payout: held }).await.is_err());
    admin::hold_release(&world.app, "the statement was read", false, &operator()).await.unwrap();
    assert_eq!(on_hold(&world).await["forgotten"], json!(0));
    assert_eq!(world.status("HELD").await.code(), 1);
    let listed = admin::exception_list(&world.app).await.unwrap();
    let told =
        listed.as_array().unwrap().iter().map(|one| (one["kind"].as_str().unwrap(), one["payout_id"].is_string()));
    assert_eq!(told.collect::<Vec<_>>(), [("paid_there_only", true); 2], "{listed:#}");
    assert_eq!(wallet().await, money_back);
    // And then as with every other payment that we had called failed.
    two(Ask::Collect { payout: failed, reference: None }).await.unwrap_or_else(|why| panic!("{why}: {listed:#}"));
    assert_eq!(wallet().await, money_back - 100_00);
    assert_eq!(bank_s_book(&world).await, before);
    world.verify().await;
}

/// Who may say yes to what nobody knows can take the responsibility for it.
#[tokio::test(start_paused = true)]
async fn a_release_by_force_asks_the_bank_and_sends_nothing() {
    let world = World::new().await;
    world.back_up().await;
    assert_eq!(world.pay("LATE", 100, ENDS[4]).await.code(), 2);
    let executed = world.book().await.len();
    let world = restored(world).await;
    world.pass(Duration::from_secs(30)).await;
    admin::hold_release(&world.app, "the bank has been asked by telephone", true, &operator()).await.unwrap();
    let house = admin_history(&world).await;
    assert!(
        house.contains("hold set: sandbox speaks of") && house.contains("hold released by force: the bank"),
        "{house}"
    );
    assert_eq!(world.pay("LATE", 100, ENDS[4]).await.code(), 1);
    assert_eq!((world.book().await.len(), world.wire.payments()), (executed, 0));
    // Another amount under a forgotten OrderID is for a person; nothing is paid.
    world.verify().await;
}

/// The house's settings' history.
async fn admin_history(world: &World) -> String {
    let lines = world.app.store.settings_history(MerchantId::HOUSE, 100).await.unwrap();
    lines.iter().map(|line| format!("{}: {}\n", line.actor, line.what)).collect()
}

/// Another amount than the bank has paid is recorded, held, told to a person, and not paid.
#[tokio::test(start_paused = true)]
async fn another_amount_is_held_and_not_paid() {
    let world = World::new().await;
    world.back_up().await;
    assert_eq!(world.pay("A", 100, ENDS[0]).await.code(), 1);
    let world = restored(world).await;
    world.stop_worker();
    read_statement(&world, "2026-11-22").await;
    admin::hold_release(&world.app, "read", false, &operator()).await.unwrap();
    assert_eq!(world.pay("A", 101, ENDS[0]).await.code(), 2);
    assert_eq!(world.number("SELECT COUNT(*) FROM payouts WHERE held = 1 AND state = 3").await, 1);
    assert_eq!(world.number("SELECT COUNT(*) FROM exceptions WHERE kind = 3").await, 1);
    assert_eq!(world.number("SELECT COUNT(*) FROM journal WHERE kind = 4").await, 0);
    assert_eq!(world.wire.payments(), 0);
    world.verify().await;
}

/// Without the money that the merchant had then, nothing is recorded, and he is told that nobody knows.
#[tokio::test(start_paused = true)]
async fn without_the_credits_of_then_nothing_is_called_failed() {
    let world = World::new().await;
    admin::merchant_add(&world.app, "poor", "free", &operator()).await.unwrap();
    let token = world.new_token("poor", "127.0.0.1").await;
    world.back_up().await;
    admin::fund(&world.app, "poor", "500.00", "THEN", "sandbox", &operator()).await.unwrap();
    let mut world = world;
    world.token = token;
    assert_eq!(world.pay("A", 100, ENDS[0]).await.code(), 1);
    let world = restored(world).await;
    read_statement(&world, "2026-11-22").await;
    admin::hold_release(&world.app, "read", false, &operator()).await.unwrap();
    assert_eq!(world.pay("A", 100, ENDS[0]).await.code(), 6);
    assert_eq!(world.number("SELECT COUNT(*) FROM payouts").await, 0);
    admin::fund(&world.app, "poor", "500.00", "THEN", "sandbox", &operator()).await.unwrap();
    assert_eq!(world.pay("A", 100, ENDS[0]).await.code(), 1);
    assert_eq!(world.wire.payments(), 0);
    world.verify().await;
}

/// A stranger can neither sign nor write our statements; and a bank that speaks of others' payments does not stop us.
#[tokio::test(start_paused = true)]
async fn nobody_else_puts_us_on_hold() {
    for (by_itself, mark, secret, holds, kept) in [
        (true, "ours", None, false, 0),
        (true, "ours", Some(&b"another secret"[..]), false, 0),
        (true, "theirs", Some(b"bank secret"), false, 0),
        (false, "ours", Some(b"bank secret"), false, 1),
        (true, "ours", Some(b"bank secret"), true, 1),
    ] {
        let world = World::with(|config| config.hold.by_itself = by_itself).await;
        let installation = if mark == "ours" { world.app.installation.as_str() } else { "another" };
        let order = OrderId::parse("NOBODY-KNOWS").unwrap();
        let reference = Reference::derive(installation, MerchantId(1), &order, 1, 0);
        let body = json!({
            "reference": reference.as_str(), "status": "paid", "amount_paise": 100_00, "rrn": "1", "code": "00",
            "message": "",
        });
        let body = body.to_string();
        let at = START.0.div_euclid(1_000_000);
        let signature = secret.map(|secret| signing::sign(secret, "msg", at, body.as_bytes())).unwrap_or_default();
        let seconds = at.to_string();
        let mut headers = vec![("content-type", "application/json")];
        if secret.is_some() {
            headers.extend([("webhook-id", "msg"), ("webhook-timestamp", &seconds), ("webhook-signature", &signature)]);
        }
        let answer = world.call("203.0.113.9", "POST", "/connectors/sandbox/callback", &headers, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let shown = on_hold(&world).await;
        assert_eq!(shown["on_hold"], holds, "{by_itself} {mark}: {shown}");
        assert_eq!(shown["forgotten"], kept);
        let told = i64::from(secret == Some(b"bank secret"));
        assert_eq!(world.number("SELECT COUNT(*) FROM exceptions").await, told);
        if kept > 0 && !holds {
            // It is not paid even where nobody is stopped.
            assert_eq!(world.pay("NOBODY-KNOWS", 100, ENDS[0]).await.code(), 1);
            assert_eq!(world.wire.payments(), 0);
        }
        world.verify().await;
    }
}

/// Two connectors may pay from one account: what the other one knows is not forgotten.
#[tokio::test(start_paused = true)]
async fn what_another_connector_knows_puts_nobody_on_hold() {
    let world = World::with(|config| {
        let sandbox = config.sandbox.clone().unwrap();
        config.connectors.insert("other".to_owned(), hundi::config::Connector::Sandbox(sandbox));
    })
    .await;
    assert_eq!(world.pay("A", 100, ENDS[0]).await.code(), 1);
    let knows = "SELECT COUNT(*) FROM bank_references WHERE connector = 'sandbox'";
    let (by, other) = if world.number(knows).await == 1 { ("sandbox", "other") } else { ("other", "sandbox") };
    let report = read_statement_of(&world, "2026-11-22", other).await;
    assert_eq!(report.told.get("unknown_reference"), Some(&1), "{:#}", report.document());
    let shown = on_hold(&world).await;
    assert_eq!((&shown["on_hold"], &shown["forgotten"]), (&json!(false), &json!(0)));
    assert!(read_statement_of(&world, "2026-11-22", by).await.clean());
    world.verify().await;
}
