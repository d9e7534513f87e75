//! The planted bugs that the simulator is meant to find. Others are for other tests.

use hundi_core::plant::Plant;

/// Each of them breaks a law within a few seeds.
pub const CAUGHT: &[Plant] = &[Plant::ReplyBeforeCommit];

/// The planted bug with this name.
pub fn named(name: &str) -> Result<Plant, String> {
    let found = CAUGHT.iter().copied().find(|plant| plant.name() == name);
    found.ok_or_else(|| format!("no such bug; `--list-plants` shows {}", CAUGHT.len()))
}
