//! Poison rows: one payout in a hundred on which nothing can be done. The others take no longer for it.

use super::ENGINE;
use super::support::World;
use crate::score::score;
use hundi_core::schedule::{MINUTE, SECOND};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PAYOUTS: usize = 1_000;
/// Every so many is poisoned.
const ONE_IN: usize = 100;
/// What is wrong with a row, in turn: its beneficiary cannot be unsealed, its columns cannot be read, its counters are at
/// their end, its cost cannot be counted.
const POISONS: [&str; 7] = [
    "sealed = fingerprint",
    "rail = 99",
    "name = ''",
    "state = 99",
    "attempts = 4294967295",
    "version = 9223372036854775807",
    "fee_paise = 9223372036854775807",
];

fn poisoned(number: usize) -> bool {
    number % ONE_IN == ONE_IN / 2
}

/// Orders that a process accepted and did not send before it died, with or without poison among them, are found by the
/// next one. How long that takes until all that are well have ended.
async fn time_of_the_others(poison: bool) -> i64 {
    let world = World::with(|config| config.api.answer_within_ms = 1).await;
    world.stop_worker();
    for number in 0..PAYOUTS {
        // One in five is paid by the bank after five seconds.
        let account = if number % 5 == 0 { "123456780222" } else { "123456781111" };
        assert_eq!(world.pay(&format!("P-{number}"), 100, account).await.code(), 2);
    }
    let mut script = String::new();
    for (kind, number) in (0..PAYOUTS).filter(|number| poisoned(*number)).enumerate() {
        let poison = POISONS[kind % POISONS.len()];
        script += &format!("UPDATE payouts SET {poison} WHERE order_id = 'P-{number}';\n");
    }
    if poison {
        world.sql(&script).await;
    }
    let token = world.token.clone();
    let (folder, bank, clock) = world.kill();
    let mut world = World::start(folder, bank, clock, |_| {}).await;
    world.token = token;
    let began = world.app.clock.now();
    let mut open: Vec<usize> = (0..PAYOUTS).filter(|number| !poison || !poisoned(*number)).collect();
    let mut ended = began;
    while !open.is_empty() {
        world.pass(Duration::from_millis(100)).await;
        ended = world.app.clock.now();
        assert!(ended.0 - began.0 < 10 * MINUTE, "{} payouts do not end, such as P-{}", open.len(), open[0]);
        open = still_open(&world, open).await;
    }
    assert!(world.book().await.iter().all(|row| row["executions"].as_i64().unwrap() <= 1));
    // Whoever is well goes on being served.
    assert_eq!(world.pay("AFTER", 100, "123456781111").await.code(), 1);
    ended.0 - began.0
}

async fn still_open(world: &World, orders: Vec<usize>) -> Vec<usize> {
    let mut open = Vec::new();
    for (place, number) in orders.iter().enumerate() {
        let answer = world.status(&format!("P-{number}")).await.json();
        match answer["Data"]["Status"].as_str().unwrap() {
            "Success" => {}
            "Pending" => open.push(*number),
            other => panic!("P-{number} is {other}: {answer}"),
        }
        // There is no need to ask about all of them while many are open.
        if open.len() > 20 {
            open.extend(&orders[place + 1..]);
            break;
        }
    }
    open
}

#[tokio::test(start_paused = true)]
async fn poison_rows_delay_nobody() {
    let (alone, beside) = (time_of_the_others(false).await, time_of_the_others(true).await);
    println!("{} ms without poison, {} ms beside it", alone / 1_000, beside / 1_000);
    assert!(alone > SECOND && beside <= alone + alone / 5, "{beside} us beside poison, {alone} us without");
    score(
        19,
        &format!("per cent of the time beside 1 % poison rows, {ENGINE:?}"),
        (beside * 100 / alone).unsigned_abs(),
    );
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A damaged row is reported as long as it is there, but what is due is not looked through for its sake alone.
#[tokio::test(start_paused = true)]
async fn a_damaged_row_is_reported_now_and_then() {
    const SECONDS: usize = 60;
    let world = World::with(|config| config.api.answer_within_ms = 1).await;
    world.stop_worker();
    assert_eq!(world.pay("P-0", 100, "123456781111").await.code(), 2);
    world.sql("UPDATE payouts SET rail = 99").await;
    let (folder, bank, clock) = world.kill();
    let world = World::start(folder, bank, clock, |_| {}).await;
    world.pass(Duration::from_secs(60)).await;
    let log = Log::default();
    let for_each = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || for_each.clone()).finish();
    let listening = tracing::subscriber::set_default(subscriber);
    world.pass(Duration::from_secs(SECONDS as u64)).await;
    drop(listening);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let reports = log.matches("cannot be read").count();
    assert!((SECONDS / 20..=SECONDS * 5).contains(&reports), "{reports} reports in {SECONDS} s");
}
