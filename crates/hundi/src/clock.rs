//! The only reader of time and randomness.
//!
//! [`Clock::system`] reads the machine's clocks. [`Clock::held`] starts where it is told and moves with tokio's clock, so
//! that a test that pauses tokio holds all of Hundi still, and so does its randomness: it is the same each time.

use hundi_core::schedule::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Where time comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Held { start: Timestamp, since: Instant, beside: Arc<Beside> },
}

/// What all copies of a held clock share.
#[derive(Debug, Default)]
struct Beside {
    /// By how much the time of day was set since the start.
    stepped: AtomicI64,
    /// How often [`Clock::jitter`] was asked.
    asked: AtomicU64,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that shows `start` now and goes with tokio's.
    pub fn held(start: Timestamp) -> Clock {
        Clock(Source::Held { start, since: Instant::now(), beside: Arc::default() })
    }

    /// Sets the time of day of a held clock, as whoever corrects a machine's clock does. What counts since the start of the
    /// machine goes on as before. The machine's own clock is not ours to set.
    pub fn step(&self, micros: i64) {
        if let Source::Held { beside, .. } = &self.0 {
            beside.stepped.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// A number to spread things in time by. Not for secrets: of a held clock it is the same each time.
    pub fn jitter(&self) -> u16 {
        match &self.0 {
            Source::System => u16::from_be_bytes(random()),
            Source::Held { start, beside, .. } => {
                // Knuth's multiplicative hash: the upper bits of neighbours differ.
                let asked = beside.asked.fetch_add(1, Ordering::Relaxed).wrapping_add(start.0.unsigned_abs());
                (asked.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as u16
            }
        }
    }

    /// The time of day, for deciding and for storing.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
            }
            Source::Held { start, since, beside } => {
                start.after(micros(since.elapsed())).after(beside.stepped.load(Ordering::Relaxed))
            }
        }
    }

    /// Microseconds since some moment in the past, never going back, **and counting while the machine is suspended**:
    /// a send is abandoned by this clock, so that a machine that wakes up does not send what was due yesterday.
    pub fn boot_us(&self) -> i64 {
        match &self.0 {
            Source::System => {
                let time = clock_gettime(ClockId::Boottime);
                time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
            }
            Source::Held { since, .. } => micros(since.elapsed()),
        }
    }

    /// By how much the time of day is ahead of [`Clock::boot_us`], which changes when somebody sets it; `None` of a held clock,
    /// which is not the time of anything outside.
    pub fn ahead_us(&self) -> Option<i64> {
        matches!(self.0, Source::System).then(|| self.now().0.saturating_sub(self.boot_us()))
    }

    /// Keeps a held clock where it is while the guard lives: for an answer from outside of the program (a database's
    /// server), which takes no time that the program can see. The machine's clocks do not care.
    pub fn still(&self) -> Still {
        let Source::Held { .. } = &self.0 else { return Still { _waits: None } };
        // Tokio does not move a paused clock while a blocking task runs; this one ends with the guard.
        let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(0);
        drop(tokio::task::spawn_blocking(move || receiver.recv()));
        Still { _waits: Some(sender) }
    }
}

/// While it lives, a held clock stands still.
#[derive(Debug)]
pub struct Still {
    _waits: Option<std::sync::mpsc::SyncSender<()>>,
}

/// Fills a buffer with the system's randomness.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness there are no tokens and no nonces; nothing sensible can be done but stop.
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
