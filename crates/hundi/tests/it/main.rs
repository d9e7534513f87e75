//! The one test binary of the program: tests that look at it from outside.

mod api;
mod callbacks;
mod support;
mod tidy;
mod worker;
