//! The one test binary of the program: tests that look at it from outside.

mod api;
mod callbacks;
mod canaries;
mod process;
mod support;
mod tidy;
mod worker;
