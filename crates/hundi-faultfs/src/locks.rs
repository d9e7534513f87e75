//! Who may do what with a file at the same time: SQLite's five levels for the database, and eight locks, shared or
//! exclusive, for the index of its write-ahead log.

use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::c_int;

pub(crate) type HandleId = u64;

/// Somebody else has it.
#[derive(Debug)]
pub(crate) struct Taken;

/// The levels of those who have any, as <https://www.sqlite.org/lockingv3.html> describes them.
#[derive(Debug, Default)]
pub(crate) struct Levels(BTreeMap<HandleId, c_int>);

impl Levels {
    pub(crate) fn raise(&mut self, handle: HandleId, to: c_int) -> Result<(), Taken> {
        let own = self.0.get(&handle).copied().unwrap_or(ffi::SQLITE_LOCK_NONE);
        if own >= to {
            return Ok(());
        }
        let others = self.0.iter().filter(|(other, _)| **other != handle).map(|(_, level)| *level);
        let highest = others.max().unwrap_or(ffi::SQLITE_LOCK_NONE);
        let free = match to {
            ffi::SQLITE_LOCK_SHARED => highest < ffi::SQLITE_LOCK_PENDING,
            ffi::SQLITE_LOCK_RESERVED => highest < ffi::SQLITE_LOCK_RESERVED,
            _ => highest == ffi::SQLITE_LOCK_NONE,
        };
        if free {
            self.0.insert(handle, to);
            return Ok(());
        }
        // Whoever wants all of it lets no new readers in, and waits for those who are there.
        if to == ffi::SQLITE_LOCK_EXCLUSIVE && highest == ffi::SQLITE_LOCK_SHARED {
            self.0.insert(handle, ffi::SQLITE_LOCK_PENDING);
        }
        Err(Taken)
    }

    pub(crate) fn lower(&mut self, handle: HandleId, to: c_int) {
        if to == ffi::SQLITE_LOCK_NONE {
            self.0.remove(&handle);
        } else if let Some(level) = self.0.get_mut(&handle) {
            *level = to.min(*level);
        }
    }

    pub(crate) fn reserved(&self) -> bool {
        self.0.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The locks of the index: a bit each.
#[derive(Debug, Default)]
pub(crate) struct IndexLocks(BTreeMap<HandleId, Held>);

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    shared: u8,
    exclusive: u8,
}

/// The lock that whoever writes holds.
pub(crate) const WRITE_LOCK: u8 = 1;

impl IndexLocks {
    pub(crate) fn lock(&mut self, handle: HandleId, bits: u8, exclusive: bool) -> Result<(), Taken> {
        for (_, held) in self.0.iter().filter(|(other, _)| **other != handle) {
            if held.exclusive & bits != 0 || (exclusive && held.shared & bits != 0) {
                return Err(Taken);
            }
        }
        let held = self.0.entry(handle).or_default();
        if exclusive {
            held.exclusive |= bits;
        } else {
            held.shared |= bits;
        }
        Ok(())
    }

    pub(crate) fn unlock(&mut self, handle: HandleId, bits: u8) {
        if let Some(held) = self.0.get_mut(&handle) {
            held.shared &= !bits;
            held.exclusive &= !bits;
        }
    }

    pub(crate) fn release(&mut self, handle: HandleId) {
        self.0.remove(&handle);
    }

    pub(crate) fn writes(&self, handle: HandleId) -> bool {
        self.0.get(&handle).is_some_and(|held| held.exclusive & WRITE_LOCK != 0)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffi::{SQLITE_LOCK_EXCLUSIVE, SQLITE_LOCK_NONE, SQLITE_LOCK_PENDING, SQLITE_LOCK_RESERVED, SQLITE_LOCK_SHARED};

    #[test]
    fn the_levels_of_two() {
        // What handle 1 has, what handle 2 wants, and whether it gets that.
        for (has, wants, gets) in [
            (SQLITE_LOCK_NONE, SQLITE_LOCK_EXCLUSIVE, true),
            (SQLITE_LOCK_SHARED, SQLITE_LOCK_SHARED, true),
            (SQLITE_LOCK_SHARED, SQLITE_LOCK_RESERVED, true),
            (SQLITE_LOCK_SHARED, SQLITE_LOCK_EXCLUSIVE, false),
            (SQLITE_LOCK_RESERVED, SQLITE_LOCK_SHARED, true),
            (SQLITE_LOCK_RESERVED, SQLITE_LOCK_RESERVED, false),
            (SQLITE_LOCK_PENDING, SQLITE_LOCK_SHARED, false),
            (SQLITE_LOCK_EXCLUSIVE, SQLITE_LOCK_SHARED, false),
        ] {
            let mut levels = Levels::default();
            levels.0.insert(1, has);
            assert_eq!(levels.raise(2, wants).is_ok(), gets, "{has} against {wants}");
        }
    }

    #[test]
    fn whoever_waits_for_readers_lets_no_new_ones_in() {
        let mut levels = Levels::default();
        levels.raise(1, SQLITE_LOCK_SHARED).unwrap();
        levels.raise(2, SQLITE_LOCK_SHARED).unwrap();
        levels.raise(2, SQLITE_LOCK_RESERVED).unwrap();
        assert!(levels.raise(2, SQLITE_LOCK_EXCLUSIVE).is_err());
        assert!(levels.raise(3, SQLITE_LOCK_SHARED).is_err());
        levels.lower(1, SQLITE_LOCK_NONE);
        levels.raise(2, SQLITE_LOCK_EXCLUSIVE).unwrap();
    }

    #[test]
    fn the_index_is_shared_or_one_handles_own() {
        let mut locks = IndexLocks::default();
        locks.lock(1, 0b100, false).unwrap();
        locks.lock(2, 0b100, false).unwrap();
        assert!(locks.lock(3, 0b110, true).is_err());
        locks.unlock(1, 0b100);
        locks.release(2);
        locks.lock(3, 0b110, true).unwrap();
        assert!(locks.lock(1, 0b010, false).is_err());
    }
}
