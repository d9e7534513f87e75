//! The memory that the connections of a database share: the index of its write-ahead log.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

/// It grows by regions, which stay where they are as long as anybody has the index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    // Atomic, because SQLite writes through a pointer to what others have borrowed; it has locks and barriers of its own.
    regions: Mutex<Vec<Arc<[AtomicU64]>>>,
}

impl Index {
    /// Where a region is; `None` if it is not there and shall not be made.
    pub(crate) fn region(&self, number: usize, bytes: usize, make: bool) -> Option<*const AtomicU64> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        while make && regions.len() <= number {
            regions.push((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
        }
        regions.get(number).map(|region| region.as_ptr())
    }
}
