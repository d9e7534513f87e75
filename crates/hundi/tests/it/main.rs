//! The one test binary of the program: tests that look at it from outside. Those that touch a store are compiled for each
//! engine, as `sqlite::...` and `postgres::...`; what only one engine can show is named only there.

// Helpers of tests may unwrap as tests may; a file of tests is a module of both engines.
#![allow(clippy::unwrap_used, clippy::duplicate_mod)]

mod database;
mod score;
mod tidy;

#[path = "."]
mod sqlite {
    pub const ENGINE: super::database::Engine = super::database::Engine::Sqlite;

    mod admin;
    mod api;
    mod bench;
    mod callbacks;
    mod canaries;
    mod failing_disk;
    mod lost_syncs;
    mod on_disk;
    mod process;
    mod processes;
    mod rotten_disk;
    mod store;
    #[allow(dead_code, reason = "some of it helps the tests of one engine only")]
    mod support;
    mod worker;

    #[path = "process/copy.rs"]
    mod process_copy;
    #[path = "process/disk.rs"]
    mod process_disk;
    #[path = "process/refused.rs"]
    mod process_refused;
}

#[path = "."]
mod postgres {
    pub const ENGINE: super::database::Engine = super::database::Engine::Postgres;

    mod admin;
    mod api;
    mod bench;
    mod callbacks;
    mod canaries;
    mod process;
    mod processes;
    mod store;
    #[allow(dead_code, reason = "some of it helps the tests of one engine only")]
    mod support;
    mod worker;

    #[path = "process/faults.rs"]
    mod process_faults;
    #[path = "process/postgres.rs"]
    mod process_postgres;
    #[path = "process/refused_postgres.rs"]
    mod process_refused;
}
