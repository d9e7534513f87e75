//! Faults: which call fails, and how often that was.

use crate::random::Random;
use std::collections::BTreeMap;

/// What a call can be made to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// A read fails.
    ReadError,
    /// A read ends early; SQLite is told so, and takes the rest for zeros.
    ShortRead,
    /// A read gives one byte back with some bits turned over.
    FlippedByte,
    /// A write fails, and nothing was written.
    WriteError,
    /// A write finds no room.
    Full,
    /// A sync fails, and what it should have written is given up: the next one succeeds without it.
    SyncError,
    /// A commit is made for good, and its caller hears that it has failed.
    CommitUnheard,
    /// A lock for writing is somebody else's.
    Busy,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 8] = [
        Fault::ReadError,
        Fault::ShortRead,
        Fault::FlippedByte,
        Fault::WriteError,
        Fault::Full,
        Fault::SyncError,
        Fault::CommitUnheard,
        Fault::Busy,
    ];
}

/// What a file is to SQLite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// The database.
    Main,
    /// Its write-ahead log.
    Wal,
    /// Its rollback journal.
    Journal,
    /// Something that has no name or is not kept.
    Other,
}

#[derive(Debug)]
struct Planned {
    fault: Fault,
    file: Option<FileKind>,
    calls_left: u64,
}

/// The faults of a disk.
#[derive(Debug)]
pub(crate) struct Faults {
    random: Random,
    planned: Vec<Planned>,
    rates: BTreeMap<Fault, u32>,
    pub(crate) fired: BTreeMap<Fault, u64>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Faults {
        Faults { random: Random::new(seed), planned: Vec::new(), rates: BTreeMap::new(), fired: BTreeMap::new() }
    }

    pub(crate) fn plan(&mut self, fault: Fault, file: Option<FileKind>, nth: u64) {
        self.planned.push(Planned { fault, file, calls_left: nth });
    }

    pub(crate) fn rate(&mut self, fault: Fault, per_million: u32) {
        self.rates.insert(fault, per_million);
    }

    pub(crate) fn heal(&mut self) {
        self.planned.clear();
        self.rates.clear();
    }

    /// Whether this call fails so. Every call that could is asked about once.
    pub(crate) fn strikes(&mut self, fault: Fault, file: FileKind) -> bool {
        let mut strikes = false;
        self.planned.retain_mut(|planned| {
            if planned.fault != fault || planned.file.is_some_and(|wanted| wanted != file) {
                return true;
            }
            planned.calls_left = planned.calls_left.saturating_sub(1);
            strikes |= planned.calls_left == 0;
            planned.calls_left > 0
        });
        let rate = self.rates.get(&fault).copied().unwrap_or(0);
        strikes |= rate > 0 && self.random.per_million(rate);
        if strikes {
            self.note(fault);
        }
        strikes
    }

    pub(crate) fn note(&mut self, fault: Fault) {
        *self.fired.entry(fault).or_default() += 1;
    }
}
