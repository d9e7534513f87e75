//! What happened, as one number: two runs of a seed that did the same have the same hash.

use std::fmt::{Arguments, Write};

/// FNV-1a over every line.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    line: String,
    shown: bool,
    /// The last lines, for the report of a law that was broken.
    last: std::collections::VecDeque<String>,
}

/// So many lines are kept for a report.
const KEPT: usize = 60;

impl Trace {
    pub fn new(shown: bool) -> Trace {
        Trace { hash: 0xCBF2_9CE4_8422_2325, line: String::new(), shown, last: Default::default() }
    }

    /// Adds a line: when, in milliseconds of the virtual clock, and what.
    pub fn note(&mut self, at_ms: i64, what: Arguments<'_>) {
        self.line.clear();
        // Writing to a string cannot fail.
        write!(self.line, "{at_ms:>9} {what}").unwrap_or_default();
        for byte in self.line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.shown {
            println!("{}", self.line);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(self.line.clone());
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}
