//! Who runs on this thread now, and what time it is for him.

use std::cell::Cell;
use std::time::Duration;

/// The number of a simulated process; the owner of what it opens.
pub type Owner = u64;

thread_local! {
    static OWNER: Cell<Owner> = const { Cell::new(0) };
    static NOW_MS: Cell<i64> = const { Cell::new(0) };
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// From now on, what this thread opens belongs to this process. A thread that has said nothing acts as process 0.
pub fn act_as(owner: Owner) {
    OWNER.set(owner);
}

/// What time SQLite's own clock shows on this thread, in milliseconds since 1970.
pub fn set_time(unix_ms: i64) {
    NOW_MS.set(unix_ms);
}

/// For how long statements of this thread have waited for locks since this was last asked. No time has passed.
pub fn take_slept() -> Duration {
    SLEPT.take()
}

pub(crate) fn owner() -> Owner {
    OWNER.get()
}

pub(crate) fn now_ms() -> i64 {
    NOW_MS.get()
}

pub(crate) fn sleep(time: Duration) {
    SLEPT.set(SLEPT.get().saturating_add(time));
}
