//! libFuzzer's way into the targets of `crates/hundi/tests/it/fuzz`; `HUNDI_FUZZ` names the one that is run.
#![no_main]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../crates/hundi/tests/it/database.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod database;
#[path = "../../crates/hundi/tests/it/fuzz/mod.rs"]
mod fuzz;

#[path = "../../crates/hundi/tests/it"]
mod sqlite {
    pub const ENGINE: super::database::Engine = super::database::Engine::Sqlite;

    #[allow(dead_code, reason = "the tests use more of it")]
    pub mod support;
}

use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("HUNDI_FUZZ").unwrap_or_default();
    let found = fuzz::TARGETS.into_iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("HUNDI_FUZZ=`{name}` names no target; see tools/fuzz --list")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
