//! The one test binary of the program: tests that look at it from outside.

// Helpers of tests may unwrap as tests may.
#![allow(clippy::unwrap_used)]

mod admin;
mod api;
mod callbacks;
mod canaries;
mod process;
mod support;
mod tidy;
mod worker;
