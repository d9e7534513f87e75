//! Bank files: bytes in, lines out, one file per format. A reader never stops at a bad line: it says where and why, and goes
//! on where it can.

pub mod bankcsv;
pub mod camt;
pub mod csv;
mod lines;
pub mod mt940;
pub mod pain001;
pub mod pain002;
pub mod reasons;
mod text;
mod xml;

pub use text::{apart, clears, denies};

use crate::ids::Reference;
use crate::money::Amount;
use crate::party::{AccountNumber, Ifsc, PersonName};
use crate::rails::Rail;
use crate::schedule::Timestamp;
use std::io::{BufRead, Read};

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
    /// Whether it has every entry of its period even where it names no balance, as the answer to a question has.
    pub whole: bool,
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
    /// The bank's name for this entry alone, the same whenever it tells of it; empty where it has none.
    pub entry: Box<str>,
    /// Into the account or out of it.
    pub side: Side,
    /// How much, paise; always positive.
    pub amount_paise: i64,
    /// Whether it takes back an earlier entry: `RvslInd`, return information, or RC/RD of MT940.
    pub returned: bool,
    /// Whether the bank says of this debit that it has been taken back since, so that it proves no payment.
    pub taken_back: bool,
    /// Whether it is booked, and not only announced. Only what is booked counts.
    pub booked: bool,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// Everything that may be our reference, the likeliest first: EndToEndId, InstrId, customer references.
    pub references: Vec<Box<str>>,
    /// How many of these stand in fields of their own: the first. The others are words, and some of those are a merchant's.
    pub in_fields: usize,
    /// What the bank calls it in fields of its own, the likeliest first: AcctSvcrRef, UTR, RRN.
    pub bank_references: Vec<Box<str>>,
    /// What else looks like a bank's reference, in free text: there it may be the payer who wrote it.
    pub narrated: Vec<Box<str>>,
    /// The account into which a credit was paid, where the line names it: one that the bank keeps for a payer or a merchant
    /// beside the account's own (a virtual account); empty otherwise.
    pub paid_into: Box<str>,
    /// The narration, without control characters, at most 500 characters.
    pub narration: Box<str>,
    /// The code of a return's reason; empty if there is none.
    pub reason: Box<str>,
}

impl Line {
    /// A booked entry of so many paise, which says nothing more.
    pub fn new(side: Side, amount_paise: i64, booked_at: Timestamp) -> Line {
        Line {
            at: 0,
            entry: "".into(),
            side,
            amount_paise,
            returned: false,
            taken_back: false,
            booked: true,
            booked_at,
            references: Vec::new(),
            in_fields: 0,
            bank_references: Vec::new(),
            narrated: Vec::new(),
            paid_into: "".into(),
            narration: "".into(),
            reason: "".into(),
        }
    }
}

/// One order to a bank, as every kind of file carries it.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// What we call the attempt.
    pub reference: Reference,
    /// Over which rail.
    pub rail: Rail,
    /// How much.
    pub amount: Amount,
    /// To whom, as the merchant wrote it; a file has what its rail carries of it.
    pub name: &'a PersonName,
    /// To which account.
    pub account: &'a AccountNumber,
    /// At which branch.
    pub ifsc: &'a Ifsc,
    /// What it is for; a file has our reference and, of this, letters, digits and spaces.
    pub remark: &'a str,
}

/// How much of a file is looked at to tell what it is, bytes.
const LOOK_BYTES: u64 = 2_048;

/// Reads a statement in whatever format it is: XML is camt, a tag `:20:` or a block `{1:` is MT940, and the rest is a table.
/// `name_hint` is the file's name; it decides only where the beginning of the file does not. `own` are the columns of a table
/// beside those of the banks that are known.
pub fn read(mut input: impl BufRead, name_hint: &str, own: Option<&csv::Columns<'_>>, tell: &mut dyn FnMut(Said)) {
    let mut look = Vec::new();
    if input.by_ref().take(LOOK_BYTES).read_to_end(&mut look).is_err() {
        return tell(Said::Bad { at: 1, why: "the file cannot be read".into() });
    }
    let known = [
        (&b"PK\x03\x04"[..], "it is a spreadsheet (XLSX) or an archive; export it as CSV"),
        (b"\xd0\xcf\x11\xe0", "it is a spreadsheet (XLS); export it as CSV"),
        (b"%PDF", "it is a PDF; download the statement as CSV, MT940 or camt.053"),
        (b"\x1f\x8b", "it is compressed; unpack it first"),
        (b"\xff\xfe", "it is UTF-16; save it as UTF-8"),
        (b"\xfe\xff", "it is UTF-16; save it as UTF-8"),
    ];
    if let Some((_, why)) = known.iter().find(|(start, _)| look.starts_with(start)) {
        return tell(Said::Bad { at: 1, why: (*why).into() });
    }
    let start = look.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&look).trim_ascii_start();
    let tagged = start.split(|b| *b == b'\n').any(|line| line.starts_with(b":20:"));
    let name = name_hint.to_ascii_lowercase();
    let named = [".sta", ".mt940", ".940"].iter().any(|ending| name.ends_with(ending));
    let (is_xml, is_mt940) = (start.starts_with(b"<"), start.starts_with(b"{1:") || tagged || named);
    let whole = look.as_slice().chain(input);
    match (is_xml, is_mt940) {
        (true, _) => camt::read(whole, tell),
        (_, true) => mt940::read(whole, tell),
        _ => csv::read(whole, own, tell),
    }
}
