//! The front door: what comes in by HTTP.

pub mod fields;
pub mod peer;
pub mod serve;
