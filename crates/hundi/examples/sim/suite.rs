//! Many seeds, one after the other or on several threads, and what they come to together.

use super::swarm::{Counters, Fault};
use super::world::{self, Report};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What all runs came to.
#[derive(Debug, Default)]
pub struct Total {
    pub seeds: u64,
    pub steps: u64,
    pub looks: u64,
    pub folds: u64,
    pub virtual_ms: i64,
    pub counters: Counters,
    /// The runs that broke a law, by seed.
    pub broken: Vec<Report>,
}

/// Runs seeds on so many threads. With `until_broken` no seed is begun after one has broken a law.
pub fn many(first: u64, last: u64, payouts: usize, threads: usize, until_broken: bool) -> Total {
    let (next, stop, total) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(Total::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let report = one(seed, payouts, false);
                    if until_broken && report.broken.is_some() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    total.lock().expect("no thread panics while it adds").add(report);
                }
            });
        }
    });
    let mut total = total.into_inner().expect("no thread panics while it adds");
    total.broken.sort_by_key(|report| report.seed);
    total
}

/// Runs a seed. A panic in it is a law that was broken, and not the end of all other seeds.
pub fn one(seed: u64, payouts: usize, shown: bool) -> Report {
    // Nothing of a run that has panicked is used again.
    catch_unwind(AssertUnwindSafe(|| world::run(seed, payouts, shown))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Report {
            seed,
            hash: 0,
            steps: 0,
            looks: 0,
            folds: 0,
            virtual_ms: 0,
            counters: Counters::default(),
            broken: Some((format!("panicked: {}", said.unwrap_or("without a word")), Vec::new())),
        }
    })
}

impl Total {
    pub fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.steps += report.steps;
        self.looks += report.looks;
        self.folds += report.folds;
        self.virtual_ms += report.virtual_ms;
        self.counters.add(&report.counters);
        if report.broken.is_some() {
            self.broken.push(report);
        }
    }

    /// The faults that never struck, if there were runs enough to expect all of them.
    pub fn never(&self) -> Vec<Fault> {
        if self.seeds < SUITE { Vec::new() } else { self.counters.never().collect() }
    }
}

/// So many seeds are a suite: each fault must have struck.
pub const SUITE: u64 = 200;
