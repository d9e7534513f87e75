//! The program.

pub mod http;
pub mod http_out;
