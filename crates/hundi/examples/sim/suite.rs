//! Many seeds, one after the other or on several threads, and what they come to together.

use super::swarm::{Counters, Fault};
use super::world::{Report, run};
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
                    let report = run(seed, payouts, false);
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
