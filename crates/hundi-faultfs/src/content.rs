//! What is in a file: as processes see it, as it is on the medium, and what lies between.

use crate::random::Random;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// Which of the writes since the last sync survive the loss of power.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// None.
    Nothing,
    /// In each file the first ones.
    Prefix,
    /// In each file any of them, sector by sector: pages are torn, and what was written later may be there alone.
    Sectors,
    /// All of them: whoever says that it was synced is right by luck.
    Everything,
    /// One of the others, drawn.
    Drawn,
}

impl Keep {
    pub(crate) fn drawn(self, random: &mut Random) -> Keep {
        match self {
            Keep::Drawn => {
                [Keep::Nothing, Keep::Prefix, Keep::Sectors, Keep::Sectors, Keep::Everything][random.below(5)]
            }
            other => other,
        }
    }
}

/// A change since the last sync.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// The content of a file.
#[derive(Debug, Default)]
pub(crate) struct Content {
    cached: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
}

impl Content {
    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.cached
    }

    /// Copies what is there; gives back how much that is.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> usize {
        let there = self.cached.get(offset..).unwrap_or_default();
        let length = there.len().min(into.len());
        into[..length].copy_from_slice(&there[..length]);
        length
    }

    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.cached, offset, bytes);
        self.pending.push(Change::Write { offset, bytes: bytes.to_owned() });
    }

    pub(crate) fn resize(&mut self, length: usize) {
        self.cached.resize(length, 0);
        self.pending.push(Change::Resize(length));
    }

    /// Everything is on the medium now, but for what a sync that failed has given up.
    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    /// A sync has failed: the kernel believes that it has nothing left to write. Processes may go on seeing what they
    /// wrote until it is dropped from memory (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
    pub(crate) fn fail_sync(&mut self, drop_now: bool) {
        self.pending.clear();
        if drop_now {
            self.cached.clone_from(&self.synced);
        }
    }

    /// The power has gone; gives back how many changes were lost, also in part.
    pub(crate) fn lose(&mut self, keep: Keep, random: &mut Random) -> u64 {
        let pending = std::mem::take(&mut self.pending);
        let all = pending.len() as u64;
        let kept = match keep.drawn(random) {
            Keep::Nothing | Keep::Drawn => 0,
            Keep::Prefix => {
                let first = random.below(pending.len() + 1);
                pending.iter().take(first).for_each(|change| change.apply(&mut self.synced));
                first as u64
            }
            Keep::Sectors => {
                let of_eight = [1, 4, 7][random.below(3)];
                let synced = &mut self.synced;
                pending.iter().filter(|change| change.apply_some(synced, of_eight, random)).count() as u64
            }
            Keep::Everything => {
                pending.iter().for_each(|change| change.apply(&mut self.synced));
                all
            }
        };
        self.cached.clone_from(&self.synced);
        all - kept
    }

    /// Turns over bits on the medium and in memory; false if there is no such byte.
    pub(crate) fn rot(&mut self, offset: usize, bits: u8) -> bool {
        self.sync();
        for bytes in [&mut self.cached, &mut self.synced] {
            match bytes.get_mut(offset) {
                Some(byte) => *byte ^= bits,
                None => return false,
            }
        }
        true
    }

    /// Puts other bytes on the medium and in memory.
    pub(crate) fn replace(&mut self, bytes: &[u8]) {
        *self = Content { cached: bytes.to_owned(), synced: bytes.to_owned(), pending: Vec::new() };
    }

    /// Nothing of it has to survive; what is kept for that is dropped.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => put(to, *offset, bytes),
            Change::Resize(length) => to.resize(*length, 0),
        }
    }

    /// Applies each of its sectors by chance; true if that was all of them.
    fn apply_some(&self, to: &mut Vec<u8>, of_eight: usize, random: &mut Random) -> bool {
        let Change::Write { offset, bytes } = self else {
            let applied = random.below(8) < of_eight;
            if applied {
                self.apply(to);
            }
            return applied;
        };
        let (mut from, end, mut all) = (*offset, offset + bytes.len(), true);
        while from < end {
            let next = (from / SECTOR + 1) * SECTOR;
            let until = next.min(end);
            if random.below(8) < of_eight {
                put(to, from, &bytes[from - offset..until - offset]);
            } else {
                all = false;
            }
            from = until;
        }
        all
    }
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A synced page of `a`, over which three sectors of `b` were written, the last beyond its end.
    fn written() -> Content {
        let mut content = Content::default();
        content.write(0, &[b'a'; 1024]);
        content.sync();
        content.write(512, &[b'b'; 1024]);
        content.resize(2048);
        content
    }

    fn sectors(content: &Content) -> String {
        content.bytes().chunks(SECTOR).map(|sector| char::from(sector[0].max(b'.'))).collect()
    }

    #[test]
    fn what_survives() {
        for (keep, possible) in [
            (Keep::Nothing, &["aa"][..]),
            (Keep::Prefix, &["aa", "abb", "abb."]),
            (Keep::Sectors, &["aa", "ab", "aa..", "ab..", "aa.b", "aa.b.", "aab", "abb", "aab.", "abb."]),
            (Keep::Everything, &["abb."]),
        ] {
            let mut seen = std::collections::BTreeSet::new();
            for seed in 0..200 {
                let mut content = written();
                content.lose(keep, &mut Random::new(seed));
                assert!(possible.contains(&&*sectors(&content)), "{keep:?}, seed {seed}: {}", sectors(&content));
                let mut again = written();
                again.lose(keep, &mut Random::new(seed));
                assert_eq!(sectors(&content), sectors(&again));
                seen.insert(sectors(&content));
            }
            assert!(seen.len() >= possible.len().min(4), "{keep:?}: only {seen:?}");
        }
    }

    #[test]
    fn a_sync_that_failed_gives_up_what_it_had() {
        for drop_now in [true, false] {
            let mut content = written();
            content.fail_sync(drop_now);
            assert_eq!(sectors(&content), if drop_now { "aa" } else { "abb." });
            // The next one has nothing to write and succeeds.
            content.sync();
            content.lose(Keep::Everything, &mut Random::new(1));
            assert_eq!(sectors(&content), "aa");
        }
    }
}
