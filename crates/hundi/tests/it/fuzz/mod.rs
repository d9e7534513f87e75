//! What comes from outside, through the parsers that read it, against naive models of what it means.
//!
//! Each target takes any bytes and panics where a property does not hold. `tools/fuzz` drives them by coverage, and
//! [`replay`] runs the inputs that were kept in `fuzz/corpus/TARGET`, and seeded changes of them, as plain tests.
//!
//! | target | input | properties |
//! |---|---|---|
//! | `amount` | a text | worth what its digits say, or the right error; prints back |
//! | `ifsc` | a text | as account number and as IFSC: accepted exactly by the contract, and kept as written, or in capitals |
//! | `upi` | a text | as UPI ID and as mobile number: the same |
//! | `name` | a text | echoed as written; every rail can carry what it makes of it |
//! | `fields` | content type, query, body | a JSON reader and a form reader of our own read the same; one encoding says what the other says |
//! | `forwarded_for` | peer, header lines | the caller is whom a walk from the right finds |
//! | `callback_url` | a URL | what is accepted leads to a public address, and to the host that it shows |
//! | `bank_reply` | bank, status, what it answers, body | only an explicit word about our reference is one, at every bank |
//! | `bank_call` | bank, headers, body | believed only with the right signature, in time; never where a bank proves nothing |
//! | `csv` | cells | a reader of RFC 4180 finds them again, and none is a formula |
//! | `bank_files` | a file | every reader says what keeps to its limits, statements begin before they end, and no row moves what it does not name |
//! | `request_json`, `request_form` | a call and its body | through the router and the store: no 5xx, a code that is true, stored as it was sent |
//! | `commands` | a sequence of commands | the laws of the core after each |

#[path = "../../../../hundi-core/tests/it/common.rs"]
#[allow(dead_code, reason = "some of it is for the core's own tests")]
mod common;
#[path = "../../../../hundi-core/tests/it/laws.rs"]
#[allow(dead_code, reason = "some of it is for the core's own tests")]
mod laws;

mod bank;
mod commands;
mod csv;
mod fields;
mod files;
mod network;
#[cfg(test)]
mod replay;
mod request;
mod text;

#[allow(unused_imports, reason = "a reader of CSV is good for other tests too")]
pub use csv::read as read_csv;

/// A function that takes any bytes and panics where a property does not hold.
pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: [(&str, Target); 14] = [
    ("amount", text::amount),
    ("ifsc", text::ifsc),
    ("upi", text::upi),
    ("name", text::name),
    ("fields", fields::fields),
    ("forwarded_for", network::forwarded_for),
    ("callback_url", network::callback_url),
    ("bank_reply", bank::reply),
    ("bank_call", bank::call),
    ("csv", csv::csv),
    ("bank_files", files::bank_files),
    ("request_json", request::json),
    ("request_form", request::form),
    ("commands", commands::commands),
];

/// Takes the first byte of an input.
fn first(data: &mut &[u8]) -> u8 {
    let (byte, rest) = data.split_first().unwrap_or((&0, &[]));
    *data = rest;
    *byte
}
