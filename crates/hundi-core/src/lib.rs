//! The rules of Hundi, and nothing else.
//!
//! No IO, no clock, no randomness, no async, no JSON: time, ids and balances come in as values, decisions go out as
//! values. What a payout becomes is one `match` ([`payout::step`]); every movement of money is one function
//! ([`postings`]); the whole product is one function ([`command::decide`]).
//!
//! ```text
//! Command + Snapshot + now --decide--> Transition { payout, journal, callbacks, .. } | Repeat | Refusal
//! ```

pub mod command;
pub mod credit_rule;
pub mod fees;
pub mod forgotten;
pub mod formats;
pub mod health;
pub mod ids;
pub mod money;
pub mod party;
pub mod payout;
pub mod plant;
pub mod postings;
pub mod proposal;
pub mod rails;
pub mod routing;
pub mod schedule;
pub mod signing;
pub mod turnround;
