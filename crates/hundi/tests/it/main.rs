//! The one test binary of the program: tests that look at it from outside. Those that touch a store are compiled for each
//! engine, as `sqlite::...` and `postgres::...`; what only one engine can show is named only there.

// Helpers of tests may unwrap as tests may; a file of tests is a module of both engines.
#![allow(clippy::unwrap_used, clippy::duplicate_mod)]

mod database;
mod dice;
mod fuzz;
mod naive;
#[path = "security/rules.rs"]
mod rules;
mod score;
mod simulator;
mod tidy;

#[path = "."]
mod sqlite {
    pub const ENGINE: super::database::Engine = super::database::Engine::Sqlite;

    mod admin;
    mod alerts;
    mod api;
    mod behind;
    mod bench;
    mod callbacks;
    mod canaries;
    mod credits;
    mod exchange;
    mod failing_disk;
    mod hold;
    mod lost_syncs;
    mod model;
    mod on_disk;
    mod poison;
    mod process;
    mod processes;
    mod proposals;
    mod receivers;
    mod reconcile;
    mod report;
    mod restore;
    mod rotten_disk;
    mod routing;
    mod store;
    #[allow(dead_code, reason = "some of it helps the tests of one engine only")]
    pub mod support;
    mod upstreams;
    mod worker;

    #[path = "security/forwarded.rs"]
    mod forwarded;
    #[path = "security/guard.rs"]
    mod guard;
    #[path = "security/injection.rs"]
    mod injection;
    #[path = "security/signatures.rs"]
    mod signatures;
    #[path = "security/tenants.rs"]
    mod tenants;
    #[path = "security/timing.rs"]
    mod timing;

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
    mod alerts;
    mod api;
    mod bench;
    mod callbacks;
    mod canaries;
    mod credits;
    mod exchange;
    mod model;
    mod poison;
    mod process;
    mod processes;
    mod proposals;
    mod receivers;
    mod reconcile;
    mod report;
    mod restore;
    mod routing;
    mod store;
    #[allow(dead_code, reason = "some of it helps the tests of one engine only")]
    mod support;
    mod worker;

    #[path = "security/injection.rs"]
    mod injection;
    #[path = "security/tenants.rs"]
    mod tenants;

    #[path = "process/faults.rs"]
    mod process_faults;
    #[path = "process/postgres.rs"]
    mod process_postgres;
    #[path = "process/refused_postgres.rs"]
    mod process_refused;
    #[path = "process/refusing.rs"]
    mod process_refusing;
    #[path = "process/server.rs"]
    mod process_server;
    #[path = "process/tls.rs"]
    mod process_tls;
}
