//! The tests of the rules, as one program.

// Helpers of tests may unwrap as tests may.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod batches;
mod calls;
mod common;
mod credits;
mod formats;
mod histories;
mod laws;
mod numbers;
mod routing;
#[path = "../../../hundi/tests/it/score.rs"]
mod score;
mod script;
mod scripts;
mod two;
mod words;
