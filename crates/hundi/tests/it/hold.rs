//! The restore drill: a backup that knows less than the bank does.

use super::support::{Folder, World, operator};
use crate::score::score;
use hundi::admin;
use hundi::store::batch::HOLD;
use hundi::store::{Store, rows};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Orders that were paid after the backup.
const SINCE: i64 = 200;
const HOUR: Duration = Duration::from_secs(3_600);

/// A world whose store is an hour old, on hold before it serves; the bank knows of everything. `ORDER-1` was paid before the
/// backup, `QUEUED` was taken before it and paid after it, and the others were ordered after it.
async fn restored() -> World {
    let world = World::with(|config| config.worker.queue_within_s = 7_200).await;
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 1);
    world.wire.cut(true);
    assert_eq!(world.pay("QUEUED", 100, "123456782222").await.code(), 2);
    let backup = Folder::new();
    world.sql(&format!("VACUUM INTO '{}'", backup.path().join("hundi.db").display())).await;
    world.wire.cut(false);
    world.pass(HOUR).await;
    assert_eq!(world.status("QUEUED").await.code(), 1);
    for number in 0..SINCE {
        assert_eq!(world.pay(&format!("SINCE-{number}"), 100, "123456781111").await.code(), 1);
    }
    let token = world.token.clone();
    let (folder, bank, clock) = world.kill();
    let config = hundi::config::Config { data: backup.path().to_owned(), ..folder.config() };
    let store = Store::open(&config, &clock, true).await.unwrap();
    hundi::write_alone(&store, rows::meta_once(HOLD, "since the restore")).await.unwrap();
    store.close().await;
    let mut world = World::start(Arc::new(backup), bank, clock, |_| {}).await;
    world.token = token;
    world
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_restored() {
    let world = restored().await;
    let executed = world.book().await.len();
    assert_eq!(executed as i64, SINCE + 2);
    for number in 0..SINCE {
        let order = format!("SINCE-{number}");
        for answer in [
            world.pay(&order, 100, "123456781111").await,
            world.pay(&order, 100, "12345678111").await,
            world.pay(&order, -1, "123456781111").await,
            world.status(&order).await,
        ] {
            assert_eq!(answer.code(), 6, "{order}: {}", answer.body);
        }
    }
    // What the backup knows is told, and nothing of it is sent, given up or forgotten.
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 1);
    for _ in 0..3 {
        // It may wait no longer than two hours where there is no hold.
        world.pass(HOUR).await;
        assert_eq!(world.status("QUEUED").await.code(), 2);
    }
    assert_eq!(world.wire.payments(), 0);
    assert_eq!(world.book().await.len(), executed);
    assert_eq!(world.number("SELECT COUNT(*) FROM payouts").await, 2);
    world.verify().await;
    score(21, "orders of the lost hour that were asked for again on hold: requests to pay sent", world.wire.payments());

    admin::hold_release(&world.app, "the statement was compared", false, &operator()).await.unwrap();
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.status("QUEUED").await.code(), 1);
    assert_eq!(world.status("SINCE-0").await.code(), 4);
    assert_eq!(world.book().await.len(), executed, "the bank knows the reference, and executes it once");
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_has_a_reason_and_ends_once() {
    let world = World::new().await;
    let (app, operator) = (&world.app, operator());
    let nothing = json!({
        "on_hold": false, "hold": null, "forgotten": 0, "without_statement": 0, "forgotten_payments": [],
    });
    assert_eq!(admin::hold_status(app).await.unwrap(), nothing);
    for reason in ["", " ", "two\nlines", &"x".repeat(201)] {
        let error = admin::hold_set(app, reason, &operator).await.unwrap_err();
        assert!(error.contains("--reason"), "{error}");
    }
    assert!(admin::hold_release(app, "nothing", false, &operator).await.unwrap_err().contains("not on hold"));
    let shown = admin::hold_set(app, "restored from 21:00", &operator).await.unwrap();
    assert_eq!(shown["on_hold"], true);
    assert!(shown["hold"].as_str().unwrap().ends_with("by operator:tester: restored from 21:00"), "{shown}");
    assert!(admin::hold_set(app, "again", &operator).await.unwrap_err().contains("already"));
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 6);
    assert!(world.operations("/metrics").await.contains("hundi_on_hold 1"));
    admin::hold_release(app, "compared", false, &operator).await.unwrap();
    assert_eq!(world.pay("ORDER-1", 100, "123456781111").await.code(), 1);
    assert_eq!(world.number("SELECT COUNT(*) FROM settings_history WHERE merchant_id = 0").await, 2);
}
