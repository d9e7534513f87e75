//! Statements of SWIFT: MT940, with or without the blocks around a message.
//!
//! ```text
//! :20:  our message's reference      :61:  an entry: value date, entry date, mark, amount, type, references
//! :25:  the account                  :86:  what is said about the entry before
//! :28C: the statement's number       :62F: the closing balance (:62M: of a page)
//! :60F: the opening balance (:60M: of a page)
//! ```
//!
//! The shape of `:61:` and a sample: CONNECTORS.md, section 6. A page is told as a statement of its own: its balances are its
//! own too.

use super::lines::{Lines, Next};
use super::text::{NARRATION_CHARS_MAX, add_id, add_narrated_ids, add_our_ids, clean, iso_date, not_rupees, paise};
use super::{Head, Line, Said, Side};
use crate::schedule::Timestamp;
use std::borrow::Cow;
use std::io::BufRead;

/// The most that is kept of one field, bytes. `:86:` has six lines of 65 characters.
const FIELD_BYTES_MAX: usize = 4_096;

/// Reads statements to the end of the file.
pub fn read(input: impl BufRead, tell: &mut dyn FnMut(Said)) {
    let mut lines = Lines::new(input);
    let mut reading =
        Reading { tell, head: Head::default(), stage: Stage::Outside, foreign: None, pending: None, any: false };
    let mut field: Option<Field> = None;
    loop {
        match lines.next() {
            Next::Line(line) => {
                let line = line.trim_end();
                if let Some((tag, text)) = tagged(line) {
                    field.take().into_iter().for_each(|field| reading.field(&field));
                    field = Some(Field { at: lines.at, tag: tag.into(), lines: vec![text.into()], bytes: text.len() });
                } else if line.starts_with('-') || line.starts_with('{') {
                    // The end of a message, or the blocks before the next.
                    field.take().into_iter().for_each(|field| reading.field(&field));
                } else if let Some(field) = &mut field
                    && field.bytes + line.len() + 1 < FIELD_BYTES_MAX
                {
                    // An empty line takes room too.
                    field.bytes += line.len() + 1;
                    field.lines.push(line.into());
                }
            }
            Next::TooLong => reading.bad(lines.at, "the line is too long"),
            Next::Failed => {
                reading.bad(lines.at, "the file cannot be read further");
                return;
            }
            Next::End => break,
        }
    }
    field.into_iter().for_each(|field| reading.field(&field));
    reading.end(lines.at);
}

/// A line that begins a field: `:`, two digits, perhaps a letter, `:`.
fn tagged(line: &str) -> Option<(&str, &str)> {
    let (tag, text) = line.strip_prefix(':')?.split_once(':')?;
    let bytes = tag.as_bytes();
    let shaped = matches!(bytes.len(), 2 | 3) && bytes.iter().take(2).all(u8::is_ascii_digit);
    (shaped && bytes.get(2).is_none_or(u8::is_ascii_uppercase)).then_some((tag, text))
}

struct Field {
    at: u64,
    tag: Box<str>,
    lines: Vec<Box<str>>,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Between two statements.
    Outside,
    /// A statement has begun that has not been told of.
    Head,
    /// Its entries are being told.
    Entries,
}

struct Reading<'a> {
    tell: &'a mut dyn FnMut(Said),
    head: Head,
    stage: Stage,
    /// Why nothing of the account is read: it is not in rupees.
    foreign: Option<Cow<'static, str>>,
    /// An entry that may have a `:86:` yet.
    pending: Option<Line>,
    any: bool,
}

impl Reading<'_> {
    fn bad(&mut self, at: u64, why: &str) {
        (self.tell)(Said::Bad { at, why: why.into() });
    }

    fn field(&mut self, field: &Field) {
        let first = field.lines.first().map_or("", |line| line.trim());
        match &*field.tag {
            "20" => {
                self.close(field.at);
                (self.stage, self.any, self.foreign) = (Stage::Head, true, None);
                self.head = Head { id: clean(first, 35), ..Head::default() };
            }
            _ if self.stage == Stage::Outside => {}
            // Of the head has been told: this may be another account's, or what should describe the entry before.
            "25" | "28C" | "28" | "60F" | "60M" if self.stage == Stage::Entries => {
                self.flush();
                self.bad(field.at, "a field of the statement's head (:25:, :28C:, :60F:) stands among its entries");
            }
            "25" => self.head.account = clean(first, 35),
            "28C" | "28" => self.head.id = clean(first, 35),
            "60F" | "60M" => match balance(first) {
                Balance::Rupees(paise) => {
                    self.head.opening_paise = Some(paise);
                    self.begin();
                }
                Balance::Foreign(why) => {
                    self.begin();
                    self.bad(field.at, &why);
                    self.foreign = Some(why);
                }
                Balance::Malformed => {
                    self.bad(field.at, "the opening balance (:60F:) is not mark, date, currency and amount");
                }
            },
            "61" => {
                self.begin();
                self.flush();
                match (entry(field), self.foreign.clone()) {
                    (Err(why), _) => self.bad(field.at, why),
                    (Ok(_), Some(why)) => self.bad(field.at, &why),
                    (Ok(line), None) => self.pending = Some(line),
                }
            }
            "86" => {
                if let Some(mut line) = self.pending.take() {
                    describe(&mut line, &field.lines);
                    (self.tell)(Said::Line(Box::new(line)));
                }
            }
            "62F" | "62M" => {
                self.begin();
                self.flush();
                let closing_paise = match balance(first) {
                    Balance::Rupees(paise) => Some(paise),
                    Balance::Foreign(why) => {
                        self.bad(field.at, &why);
                        None
                    }
                    Balance::Malformed => {
                        self.bad(field.at, "the closing balance (:62F:) is not mark, date, currency and amount");
                        None
                    }
                };
                (self.tell)(Said::Ends { closing_paise });
                self.stage = Stage::Outside;
            }
            _ => {}
        }
    }

    fn begin(&mut self) {
        if self.stage == Stage::Head {
            (self.tell)(Said::Begins(std::mem::take(&mut self.head)));
            self.stage = Stage::Entries;
        }
    }

    fn flush(&mut self) {
        if let Some(line) = self.pending.take() {
            (self.tell)(Said::Line(Box::new(line)));
        }
    }

    /// A statement must not stop without its closing balance: that may be where the file was cut.
    fn close(&mut self, at: u64) {
        self.flush();
        if self.stage != Stage::Outside {
            self.bad(at, "the statement before has no closing balance (:62F:)");
        }
        self.stage = Stage::Outside;
    }

    fn end(&mut self, at: u64) {
        self.close(at);
        if !self.any {
            self.bad(at, "it holds no statement (:20:)");
        }
    }
}

enum Balance {
    /// Paise; below zero for D.
    Rupees(i64),
    /// What is to be said of another currency.
    Foreign(Cow<'static, str>),
    Malformed,
}

/// `C260901INR100000,00`.
fn balance(text: &str) -> Balance {
    let read = || {
        let sign = match text.get(..1)? {
            "C" => 1,
            "D" => -1,
            _ => return None,
        };
        date(text.get(1..7)?)?;
        match text.get(7..10)? {
            "INR" => Some(Balance::Rupees(sign * rupees(text.get(10..)?)?)),
            currency => {
                currency.bytes().all(|b| b.is_ascii_uppercase()).then(|| Balance::Foreign(not_rupees(currency)))
            }
        }
    };
    read().unwrap_or(Balance::Malformed)
}

/// SWIFT's amounts always have the comma: one without it is cut.
fn rupees(text: &str) -> Option<i64> {
    text.contains(',').then(|| paise(text, ','))?
}

/// `YYMMDD` of this century.
fn date(text: &str) -> Option<Timestamp> {
    iso_date(&format!("20{}-{}-{}", text.get(..2)?, text.get(2..4)?, text.get(4..6)?))
}

fn entry(field: &Field) -> Result<Line, &'static str> {
    const DATE: &str = "the entry (:61:) does not begin with a date, YYMMDD";
    let text = field.lines.first().map_or("", |line| line.trim());
    let value_date = text.get(..6).ok_or(DATE)?;
    let mut booked_at = date(value_date).ok_or(DATE)?;
    let mut rest = text.get(6..).unwrap_or_default();
    if let Some(entry_date) = rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())) {
        booked_at = entry_day(value_date, entry_date).ok_or("the entry (:61:) has an entry date that is none, MMDD")?;
        rest = rest.get(4..).unwrap_or_default();
    } else if let Some(dated) = rest.strip_prefix("    ") {
        // Some banks leave its place empty.
        rest = dated;
    }
    // RC takes back a credit, so it is a debit; EC and ED are expected only.
    let marks = [
        ("RC", Side::Debit, true, true),
        ("RD", Side::Credit, true, true),
        ("EC", Side::Credit, false, false),
        ("ED", Side::Debit, false, false),
        ("C", Side::Credit, false, true),
        ("D", Side::Debit, false, true),
    ];
    let found = marks.into_iter().find_map(|mark| rest.strip_prefix(mark.0).map(|rest| (mark, rest)));
    let ((_, side, returned, booked), mut rest) = found.ok_or("the entry (:61:) has no mark C, D, RC or RD")?;
    // The third letter of the currency may follow.
    if rest.starts_with(|c: char| c.is_ascii_uppercase()) {
        rest = rest.get(1..).unwrap_or_default();
    }
    let digits = rest.bytes().position(|b| !b.is_ascii_digit() && b != b',').unwrap_or(rest.len());
    let (amount, rest) = rest.split_at(digits);
    let amount_paise = rupees(amount).ok_or("the amount is not rupees with a comma and at most two decimals")?;
    if amount_paise == 0 {
        return Err("the amount is zero");
    }
    let references = rest.strip_prefix(['S', 'N', 'F']).and_then(|rest| rest.get(3..));
    let references =
        references.ok_or("the entry (:61:) has no type (S, N or F and three characters) after the amount")?;
    let (ours, banks) = references.split_once("//").unwrap_or((references, ""));
    let mut line = Line { at: field.at, returned, booked, ..Line::new(side, amount_paise, booked_at) };
    add_id(&mut line.references, ours);
    line.in_fields = line.references.len();
    add_id(&mut line.bank_references, banks);
    // A bank that has no reference of ours puts its own there; of a credit it may be the payer's.
    add_narrated_ids(&mut line, ours);
    describe(&mut line, field.lines.get(1..).unwrap_or_default());
    Ok(line)
}

/// The entry date has no year: it is the one that brings it nearest to the value date.
fn entry_day(value_date: &str, entry_date: &str) -> Option<Timestamp> {
    let year = value_date.get(..2)?.parse::<i64>().ok()?;
    let (value_month, entry_month) = (value_date.get(2..4)?, entry_date.get(..2)?);
    let year = match (value_month, entry_month) {
        ("12", "01") => year + 1,
        ("01", "12") => year - 1,
        _ => year,
    };
    date(&format!("{:02}{entry_date}", year.rem_euclid(100)))
}

/// Adds free text. Lines are cut at a fixed width, also within a word, so references are looked for both ways.
fn describe(line: &mut Line, words: &[Box<str>]) {
    if words.is_empty() {
        return;
    }
    let (apart, joined) = (words.join(" "), words.concat());
    for text in [&apart, &joined] {
        add_our_ids(&mut line.references, text);
        add_narrated_ids(line, text);
    }
    line.narration = clean(&format!("{} {apart}", line.narration), NARRATION_CHARS_MAX);
}
