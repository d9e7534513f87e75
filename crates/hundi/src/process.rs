//! The number of this process, of which its payout ids are made: leased, kept, lost, given back.
//!
//! ```text
//! lease: the number that has been free for longest, taken over the very row that was read (fence and lease_until);
//!        if none is free, one whose lease lies farther ahead than that of a clock that is right
//! keep:  the lease is prolonged, if the fence is still ours ---- no row ----> it was lost: lease another
//! ids:   only of moments before the lease_until that is known to be committed
//! ```
//!
//! A holder gives out ids of moments before its stored `lease_until`, the next holder of the number those from there on.
//! So a process that was paused for minutes, whose clock is wrong, or whose database is away can give out an id late or
//! not at all, but never one that another gives out too. While it has none to give, creates are answered "unknown".

use crate::store::{Store, StoreError, rows};
use crate::writer::{self, Unknown};
use crate::{locked, write_alone};
use hundi_core::ids::{PROCESSES_MAX, PayoutId, PayoutIds};
use hundi_core::plant::{Plant, planted};
use hundi_core::schedule::{MINUTE, Timestamp};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A lease that reaches so far ahead, microseconds, or as two of one's own, is that of a clock that has been set back since.
/// More than clocks of machines that are kept by NTP differ, less than a service can be down for.
const AHEAD_US: i64 = 2 * MINUTE;

/// The leased number of this process.
#[derive(Debug)]
pub struct ProcessNumber(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    lease: Option<Lease>,
    ids: PayoutIds,
}

/// A number, and the fence under which it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lease {
    process: i64,
    fence: i64,
}

/// How rows are written: alone, before there is a writer, or by it.
#[derive(Clone, Copy)]
pub enum Write<'a> {
    /// In a transaction of its own.
    Alone(&'a Store),
    /// By the writer of this process.
    Writer(&'a writer::Handle),
}

impl Write<'_> {
    async fn write(self, plain: rows::Plain) -> Result<u64, Unknown> {
        match self {
            Write::Alone(store) => write_alone(store, plain).await.map_err(Unknown::Store),
            Write::Writer(writer) => writer.write(plain).await,
        }
    }
}

impl ProcessNumber {
    /// No number: for who creates no payouts, as a command-line tool does.
    pub fn none() -> ProcessNumber {
        ProcessNumber(Mutex::new(Inner { lease: None, ids: PayoutIds::none() }))
    }

    /// A new payout id; `None` while no lease covers `now`.
    pub fn next_id(&self, now: Timestamp) -> Option<PayoutId> {
        locked(&self.0).ids.next(now)
    }

    /// Prolongs the lease, or takes another number if this one was lost. After an error what was known to be leased
    /// stays so; try again soon.
    pub async fn keep(&self, store: &Store, write: Write<'_>, now: Timestamp, lease_us: i64) -> Result<(), Unknown> {
        let (lease, until) = {
            let inner = locked(&self.0);
            // A clock that was set back must not make the lease end before what is given out already.
            (inner.lease, now.max(inner.ids.spent()).after(lease_us))
        };
        if let Some(lease) = lease {
            let kept = write.write(rows::process_keep(lease.process, lease.fence, until)).await? == 1;
            let mut inner = locked(&self.0);
            if inner.lease != Some(lease) {
                // It was given back meanwhile.
                return Ok(());
            }
            if kept {
                inner.ids.prolong(until);
                return Ok(());
            }
            inner.lease = None;
            tracing::warn!(process = lease.process, "another process has taken this one's number; it takes another");
        }
        let taken = take(store, write, now, lease_us).await?;
        tracing::info!(process = taken.lease.map(|lease| lease.process), "a process number was leased");
        *locked(&self.0) = taken;
        Ok(())
    }

    /// Gives out no id any more, and gives the number back from the first moment of which none was given out.
    pub async fn give_back(&self, write: Write<'_>) -> Result<(), Unknown> {
        let (lease, spent) = {
            let mut inner = locked(&self.0);
            inner.ids.end();
            (inner.lease.take(), inner.ids.spent())
        };
        if let Some(lease) = lease {
            // If it is another's by now, there is nothing to give back.
            write.write(rows::process_give_back(lease.process, lease.fence, spent)).await?;
        }
        Ok(())
    }
}

/// Leases a number at start, before there is a writer. The ids begin where those of its last holder must have ended.
pub async fn lease(store: &Store, now: Timestamp, lease_us: i64) -> Result<ProcessNumber, StoreError> {
    let taken = take(store, Write::Alone(store), now, lease_us).await.map_err(|unknown| match unknown {
        Unknown::Store(error) => error,
        Unknown::Overload | Unknown::Stopped => StoreError::Unusable(unknown.to_string()),
    })?;
    Ok(ProcessNumber(Mutex::new(taken)))
}

/// Takes the number that has been free for longest: clocks differ, so the least recently used is the least likely to be
/// somebody's. If none is free, one of a clock that has been set back since, the nearest: its holder was most likely
/// killed before, and if it lives, it learns when it prolongs that the number is not its own, and takes another. Its ids
/// end where those of the next holder begin in any case.
async fn take(store: &Store, write: Write<'_>, now: Timestamp, lease_us: i64) -> Result<Inner, Unknown> {
    let known = store.processes().await.map_err(Unknown::Store)?;
    let known: BTreeMap<i64, (Timestamp, i64)> =
        known.into_iter().map(|(process, until, fence)| (process, (until, fence))).collect();
    let mut free: Vec<(Timestamp, i64)> = (0..PROCESSES_MAX)
        .map(|process| (known.get(&process).map_or(Timestamp(i64::MIN), |row| row.0), process))
        .collect();
    let ahead = now.after(AHEAD_US.max(lease_us.saturating_mul(2)));
    free.retain(|(until, _)| *until <= now || *until > ahead && !planted(Plant::LeaseAheadBelieved));
    free.sort_unstable();
    for (until, process) in free {
        let from = match known.get(&process) {
            // A version before this one gave a number back so, and did not say how far its ids went. With the clock set
            // back since, they may lie ahead.
            Some((Timestamp(0), _)) => store.last_payout().await.map_err(Unknown::Store)?.moment_after(),
            _ => until,
        };
        let lease_until = now.max(from).after(lease_us);
        let seen = known.get(&process).copied();
        if write.write(rows::process_take(process, seen, lease_until)).await? == 1 {
            let fence = seen.map_or(0, |(_, fence)| fence) + 1;
            let ids = PayoutIds::new(process, from, lease_until);
            return Ok(Inner { lease: Some(Lease { process, fence }), ids });
        }
    }
    Err(Unknown::Store(StoreError::Unusable(format!(
        "all {PROCESSES_MAX} process numbers of this database are taken; stop a process and try again (the number of one \
         that was killed is free after a few seconds)"
    ))))
}
