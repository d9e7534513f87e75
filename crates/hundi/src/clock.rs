//! The only reader of time and randomness.
//!
//! [`Clock::system`] reads the machine's clocks. [`Clock::held`] starts where it is told and moves with tokio's clock, so
//! that a test that pauses tokio holds all of Hundi still.

use hundi_core::schedule::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Where time comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Held { start: Timestamp, since: Instant },
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that shows `start` now and goes with tokio's.
    pub fn held(start: Timestamp) -> Clock {
        Clock(Source::Held { start, since: Instant::now() })
    }

    /// The time of day, for deciding and for storing.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
            }
            Source::Held { start, since } => start.after(micros(since.elapsed())),
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
