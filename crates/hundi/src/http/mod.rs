//! The front door: what comes in by HTTP.

pub mod auth;
pub mod bank_callback;
pub mod door;
pub mod fields;
pub mod merchant_api;
pub mod peer;
pub mod problem;
pub mod router;
pub mod serve;
