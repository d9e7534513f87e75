//! A disk that fails: syncs and writes that go wrong, no room, and bytes that rot. What was acknowledged stays, callers
//! hear "unknown", and Hundi goes on by itself as soon as the disk does.

use super::on_disk::Shop;
use crate::score::score;
use hundi_core::schedule::Timestamp;
use hundi_faultfs::{Fault, Keep};
use std::collections::BTreeMap;
use std::time::Duration;

const AT_ONCE: usize = 4;
/// Row 18 of the scorecard: after there is room again.
const WRITES_WITHIN: Duration = Duration::from_secs(30);

/// One call fails, at any of them; then the process or the power goes, or nothing more happens.
#[tokio::test(start_paused = true)]
async fn one_call_fails() {
    let (mut points, mut unknown) = (0, 0);
    let mut fired: BTreeMap<Fault, u64> = BTreeMap::new();
    for fault in [Fault::SyncError, Fault::CommitUnheard, Fault::WriteError, Fault::ReadError, Fault::Busy] {
        for nth in [1, 2, 3, 5, 8, 13] {
            for then in ["nothing", "kill", "power"] {
                let mut shop = Shop::open(nth).await;
                shop.disk.inject(fault, nth);
                for _ in 0..3 {
                    shop.order(AT_ONCE).await;
                }
                unknown += shop.unknown.len();
                let shop = match then {
                    "nothing" => shop,
                    "kill" => shop.start_again().await,
                    _ => {
                        shop.disk.crash(Keep::Drawn, nth);
                        shop.start_again().await
                    }
                };
                let mut shop = shop;
                shop.settles().await;
                for (fault, times) in shop.disk.tally().fired {
                    *fired.entry(fault).or_default() += times;
                }
                points += 1;
            }
        }
    }
    println!("{points} points, {unknown} times unknown, {fired:?}");
    let commits_fail = [Fault::SyncError, Fault::CommitUnheard, Fault::WriteError].iter().all(|fault| fired[fault] > 0);
    assert!(unknown > 0 && commits_fail, "{fired:?}");
    score(5, "calls of a disk that failed", points);
}

/// A disk that syncs nothing any more, a restart when it does again, and then the power goes: what the kernel showed to
/// the restarted process was never written, and nothing that was acknowledged since may depend on it.
#[tokio::test(start_paused = true)]
async fn after_syncs_that_failed_a_restart_does_not_build_on_what_was_not_written() {
    const SEEDS: u64 = 40;
    for seed in 0..SEEDS {
        let mut shop = Shop::open(seed).await;
        shop.order(AT_ONCE).await;
        shop.disk.rate(Fault::SyncError, 1_000_000);
        shop.order(AT_ONCE).await;
        assert!(shop.disk.tally().fired[&Fault::SyncError] > 0);
        let mut shop = shop.start_again().await;
        shop.order(AT_ONCE).await;
        shop.disk.crash(Keep::Drawn, seed);
        let mut shop = shop.start_again().await;
        let broken = shop.broken_promises().await;
        assert!(broken.is_empty(), "seed {seed}: {broken:?}");
        shop.settles().await;
    }
    score(5, "restarts after syncs that failed, and then no power", SEEDS);
}

/// The disk is full in the middle of a load, at one place or another: creates are "unknown", reads go on, and writes are
/// back soon after there is room.
#[tokio::test(start_paused = true)]
async fn a_full_disk() {
    const ROOMS: u64 = 25;
    let mut slowest = 0;
    for number in 0..ROOMS {
        let mut shop = Shop::open(number).await;
        shop.order(AT_ONCE).await;
        assert!(shop.unknown.is_empty());
        shop.disk.limit(Some(shop.disk.used() + 1 + number * 3_700));
        let mut waves = 0;
        while shop.unknown.len() < 20 {
            shop.order(AT_ONCE).await;
            waves += 1;
            assert!(waves < 50, "the disk does not fill");
        }
        let known = shop.promises.len();
        assert!(shop.broken_promises().await.is_empty(), "reads do not go on");
        assert!(shop.world.balance().await.starts_with('"'));
        // Half a minute of everything that wants to write.
        shop.world.pass(Duration::from_secs(30)).await;
        assert!(shop.disk.tally().fired[&Fault::Full] > 0);
        shop.disk.limit(None);
        let from = shop.world.app.clock.now();
        while !shop.unknown.is_empty() {
            shop.ask_again().await;
            let took = since(&shop, from);
            assert!(took < WRITES_WITHIN, "room {number}: still unknown after {took:?}");
            shop.world.pass(Duration::from_millis(50)).await;
        }
        slowest = slowest.max(since(&shop, from).as_millis());
        assert!(shop.promises.len() >= known + 20);
        shop.settles().await;
    }
    println!("writes were back after {slowest} ms at most");
    score(18, "times a disk in memory was full", ROOMS);
}

fn since(shop: &Shop, from: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(shop.world.app.clock.now().0 - from.0).unwrap())
}
