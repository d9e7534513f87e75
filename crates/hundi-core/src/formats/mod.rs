//! Bank files: bytes in, lines out, one file per format. A reader never stops at a bad line: it says where and why, and goes
//! on where it can.

pub mod camt;
mod text;
mod xml;

use crate::schedule::Timestamp;

/// What a statement says, in the order in which it says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// A new statement begins.
    Begins(Head),
    /// An entry of it. Boxed, because most of what is said is this.
    Line(Box<Line>),
    /// The statement ends, with the balance at its end in paise where it says one.
    Ends {
        /// The closing booked balance, paise.
        closing_paise: Option<i64>,
    },
    /// Something that cannot be read; nothing of it was used.
    Bad {
        /// Where it begins: the line of the text file, from 1.
        at: u64,
        /// What is wrong, without the text itself: it may hold an account number.
        why: Box<str>,
    },
}

/// What stands before a statement's entries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The bank's number for the statement; empty if it has none.
    pub id: Box<str>,
    /// The account that it is about; empty if it does not say.
    pub account: Box<str>,
    /// The booked balance before the first entry, paise.
    pub opening_paise: Option<i64>,
    /// The period, where it says one: from the first moment to the last.
    pub period: Option<(Timestamp, Timestamp)>,
}

/// Which way money went, as seen from the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Into the account.
    Credit = 1,
    /// Out of the account.
    Debit = 2,
}

/// One entry of a statement, or one transaction of a batched entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Where it begins: the line of the text file, from 1.
    pub at: u64,
    /// Into the account or out of it.
    pub side: Side,
    /// How much, paise; always positive.
    pub amount_paise: i64,
    /// Whether it takes back an earlier entry: `RvslInd`, return information, or RC/RD of MT940.
    pub returned: bool,
    /// Whether it is booked, and not only announced. Only what is booked counts.
    pub booked: bool,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// Everything that may be our reference, the likeliest first: EndToEndId, InstrId, customer references.
    pub references: Vec<Box<str>>,
    /// What the bank calls it, the likeliest first: AcctSvcrRef, UTR, RRN, from fields and found in the narration.
    pub bank_references: Vec<Box<str>>,
    /// The narration, without control characters, at most 500 characters.
    pub narration: Box<str>,
    /// The code of a return's reason; empty if there is none.
    pub reason: Box<str>,
}
