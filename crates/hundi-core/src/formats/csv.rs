//! Statements as tables of text. Four banks are known by the names of their columns; those of any other are given.
//!
//! What stands before the header line and after the table is passed over. A table says nothing about returns: a payment that
//! came back is a credit with the references of its debit. Columns and dates: CONNECTORS.md, section 6.

use super::lines::{Lines, Next};
use super::text::{NARRATION_CHARS_MAX, add_bank_ids, add_id, add_narrated_ids, add_our_ids, clean, iso_date, paise};
use super::{Head, Line, Said, Side};
use crate::schedule::Timestamp;
use std::io::BufRead;

/// Lines of one row: a quoted cell may hold line ends.
const ROW_LINES_MAX: usize = 8;
/// Cells of one row.
const CELLS_MAX: usize = 64;
/// Columns of references that are looked at.
pub const REFERENCES_MAX: usize = 4;
/// What is said of a last row that has no end and cannot be read, or whose amount may go on.
pub const CUT: &str = "the file ends within this row; if it is complete, end the line";
/// What stands between two cells, in the order of trying.
const BETWEEN: [char; 4] = [',', '\t', '|', ';'];

/// The columns of a statement, by their names in the header line. Case, spaces and signs in a name do not count. Dates are
/// day first (`02/09/26`, `02-09-2026`, `2 Sep 2026`, `02/Sep/2026`) or ISO; amounts may be grouped the Indian way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Columns<'a> {
    /// The day of booking.
    pub date: &'a str,
    /// The narration.
    pub narration: &'a str,
    /// Where references stand, the likeliest first, [`REFERENCES_MAX`] of them. Those that a file does not have are not missed.
    pub references: &'a [&'a str],
    /// The amount.
    pub money: Money<'a>,
    /// The balance after the row, where there is one.
    pub balance: Option<&'a str>,
}

/// Where the amount of a row stands, and on which side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Money<'a> {
    /// In one of two columns.
    Two {
        /// Out of the account.
        debit: &'a str,
        /// Into it.
        credit: &'a str,
    },
    /// In one column, beside one that says `DR` or `CR`.
    One {
        /// The amount.
        amount: &'a str,
        /// The side.
        side: &'a str,
    },
}

/// The known banks: HDFC, ICICI, SBI, Axis in both shapes. Which it is follows from the names.
pub const BANKS: [Columns<'_>; 5] = [
    Columns {
        date: "Date",
        narration: "Narration",
        references: &["Chq./Ref.No."],
        money: Money::Two { debit: "Withdrawal Amt.", credit: "Deposit Amt." },
        balance: Some("Closing Balance"),
    },
    Columns {
        date: "Transaction Date",
        narration: "Transaction Remarks",
        references: &["Transaction ID", "Tran. Id", "Cheque Number"],
        money: Money::Two { debit: "Withdrawal Amount (INR)", credit: "Deposit Amount (INR)" },
        balance: Some("Balance (INR)"),
    },
    Columns {
        date: "Txn Date",
        narration: "Description",
        references: &["Ref No./Cheque No."],
        money: Money::Two { debit: "Debit", credit: "Credit" },
        balance: Some("Balance"),
    },
    Columns {
        date: "Tran Date",
        narration: "Particulars",
        references: &["CHQNO"],
        money: Money::Two { debit: "DR", credit: "CR" },
        balance: Some("BAL"),
    },
    Columns {
        date: "Tran Date",
        narration: "Particulars",
        references: &["CHQNO"],
        money: Money::One { amount: "Amount", side: "Dr/Cr" },
        balance: Some("BAL"),
    },
];

/// Reads a statement with these columns, or else with those of one of [`BANKS`].
pub fn read(input: impl BufRead, own: Option<&Columns<'_>>, tell: &mut dyn FnMut(Said)) {
    let mut lines = Lines::new(input);
    let (mut reading, mut header, mut account) = (Reading::new(tell), None, Box::from(""));
    loop {
        let (at, mut text) = match lines.next() {
            Next::Line(text) => (lines.at, text),
            Next::TooLong => {
                reading.bad(lines.at, "the line is too long");
                continue;
            }
            Next::Failed => return reading.bad(lines.at, "the file cannot be read further"),
            Next::End => break,
        };
        let Some((places, between)) = header else {
            header = BETWEEN.into_iter().find_map(|between| {
                let cells = split(&text, between).ok()??;
                Some((own.into_iter().chain(&BANKS).find_map(|columns| Places::find(columns, &cells))?, between))
            });
            if header.is_some() {
                reading.head.account = std::mem::take(&mut account);
            } else {
                account = account_number(&text).unwrap_or(account);
            }
            continue;
        };
        let mut more = 1;
        let cells = loop {
            match split(&text, between) {
                Ok(None) if more < ROW_LINES_MAX => match lines.next() {
                    Next::Line(line) => {
                        text.push('\n');
                        text.push_str(&line);
                        more += 1;
                    }
                    _ => break Err("a quotation mark is not closed"),
                },
                Ok(None) => break Err("a quotation mark is not closed"),
                Ok(Some(cells)) => break Ok(cells),
                Err(why) => break Err(why),
            }
        };
        let read = cells.and_then(|cells| {
            let row = row(&places, &cells, at)?;
            // Without a sign after it, half an amount is an amount.
            let amount_ends = lines.whole || cells.len() > places.money.0.max(places.money.1) + 1;
            if amount_ends || !matches!(row, Row::Entry(..)) { Ok(row) } else { Err(CUT) }
        });
        match read.map_err(|why| if lines.whole { why } else { CUT }) {
            Ok(Row::Entry(line, balance)) => reading.line(line, balance),
            Ok(Row::Nothing) => {}
            Ok(Row::End) => {
                reading.end();
                header = None;
            }
            Err(why) => reading.bad(at, why),
        }
    }
    if header.is_some() {
        reading.end();
    } else if !reading.any {
        reading.bad(1, "no line has the names of a known bank's columns; name this bank's under `reconcile.columns`");
    }
}

/// Where the columns are in a file.
#[derive(Clone, Copy)]
struct Places {
    cells: usize,
    date: usize,
    narration: usize,
    references: [Option<usize>; REFERENCES_MAX],
    money: (usize, usize),
    /// Whether the second of them says a side.
    one: bool,
    balance: Option<usize>,
}

impl Places {
    fn find(columns: &Columns<'_>, cells: &[String]) -> Option<Places> {
        let place = |name: &str| cells.iter().position(|cell| plain(cell) == plain(name));
        let mut references = [None; REFERENCES_MAX];
        for (found, name) in references.iter_mut().zip(columns.references) {
            *found = place(name);
        }
        let (money, one) = match columns.money {
            Money::Two { debit, credit } => ((place(debit)?, place(credit)?), false),
            Money::One { amount, side } => ((place(amount)?, place(side)?), true),
        };
        Some(Places {
            cells: cells.len(),
            date: place(columns.date)?,
            narration: place(columns.narration)?,
            references,
            money,
            one,
            balance: columns.balance.and_then(place),
        })
    }
}

/// A name without case, spaces and signs.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The cells of a row after RFC 4180; `None` where a quotation mark is still open. A mark within a cell that is not quoted is
/// a sign like any other.
fn split(text: &str, between: char) -> Result<Option<Vec<String>>, &'static str> {
    let (mut cells, mut rest) = (Vec::new(), text);
    loop {
        if cells.len() == CELLS_MAX {
            return Err("the row has too many cells");
        }
        let mut cell = String::new();
        if let Some(quoted) = rest.trim_start_matches(' ').strip_prefix('"') {
            rest = quoted;
            loop {
                let Some((piece, after)) = rest.split_once('"') else { return Ok(None) };
                cell.push_str(piece);
                rest = after;
                match after.strip_prefix('"') {
                    Some(after) => {
                        cell.push('"');
                        rest = after;
                    }
                    None => break,
                }
            }
            rest = rest.trim_start_matches(' ');
            if !rest.is_empty() && !rest.starts_with(between) {
                return Err("text stands after a quoted cell");
            }
        } else {
            let end = rest.find(between).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            cell.push_str(piece.trim());
            rest = after;
        }
        cells.push(cell);
        match rest.strip_prefix(between) {
            Some(after) => rest = after,
            None => return Ok(Some(cells)),
        }
    }
}

enum Row {
    Entry(Line, Option<i64>),
    /// A line of signs, a note, a total.
    Nothing,
    /// The table is over.
    End,
}

fn row(places: &Places, cells: &[String], at: u64) -> Result<Row, &'static str> {
    let cell = |place: usize| cells.get(place).map_or("", |cell| cell.trim());
    let start: String = cells.iter().map(|cell| plain(cell)).find(|cell| !cell.is_empty()).unwrap_or_default();
    if start.starts_with("statementsummary") || start.contains("endofstatement") {
        return Ok(Row::End);
    }
    let (first, second) = (cell(places.money.0), cell(places.money.1));
    let Some(booked_at) = date(cell(places.date)) else {
        // Totals, page ends and notes have no date; what has an amount and is no total may not be passed over.
        let total = cells.iter().any(|cell| ["total", "opening", "closing"].iter().any(|w| plain(cell).contains(w)));
        let signs = |text: &str| !text.bytes().any(|b| b.is_ascii_digit());
        let nothing = start.is_empty() || total || signs(first) && (places.one || signs(second));
        return if nothing { Ok(Row::Nothing) } else { Err("the date is not one: day, month, year") };
    };
    if cells.iter().skip(places.cells).any(|cell| !cell.trim().is_empty()) {
        return Err("the row has more cells than the header: an amount or text with a comma must be quoted");
    }
    let (side, amount_paise) = if places.one {
        let side = match plain(second).as_str() {
            "dr" | "d" | "debit" => Side::Debit,
            "cr" | "c" | "credit" => Side::Credit,
            _ => return Err("the side is neither DR nor CR"),
        };
        (side, money(first)?)
    } else {
        match (money(first)?, money(second)?) {
            (Some(paise), None) => (Side::Debit, Some(paise)),
            (None, Some(paise)) => (Side::Credit, Some(paise)),
            (None, None) => (Side::Debit, None),
            (Some(_), Some(_)) => return Err("the row has a debit and a credit"),
        }
    };
    let narration = cell(places.narration);
    let Some(amount_paise) = amount_paise else {
        let words = plain(narration);
        let balance =
            ["opening", "closing", "broughtforward", "carriedforward", "bf"].iter().any(|w| words.starts_with(w));
        return if balance { Ok(Row::Nothing) } else { Err("the row has no amount") };
    };
    let cleaned = clean(narration, NARRATION_CHARS_MAX);
    let mut line = Line { at, narration: cleaned, ..Line::new(side, amount_paise, booked_at) };
    for place in places.references.iter().flatten() {
        let text = cell(*place);
        add_our_ids(&mut line.references, text);
        // HDFC Bank fills numbers with zeros at the front; an RRN has twelve digits.
        let number = text.len() > 12 && text.bytes().all(|b| b.is_ascii_digit());
        let (zeros, rrn) = text.split_at_checked(text.len().saturating_sub(12)).unwrap_or_default();
        if number && zeros.bytes().all(|b| b == b'0') {
            add_id(&mut line.bank_references, rrn);
        }
        add_bank_ids(&mut line.bank_references, text);
        if text.bytes().any(|b| b.is_ascii_alphanumeric() && b != b'0') {
            add_id(&mut line.bank_references, text);
        }
    }
    line.in_fields = line.references.len();
    add_our_ids(&mut line.references, narration);
    add_narrated_ids(&mut line, narration);
    let balance = places.balance.and_then(|place| balance(cell(place)));
    Ok(Row::Entry(line, balance))
}

/// A day: day, month and year with signs between them, or ISO. A time after it is not looked at.
fn date(text: &str) -> Option<Timestamp> {
    let mut parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let (first, month, last) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, least: usize, most: usize| {
        (least..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = if digits(month, 1, 2) {
        month.parse::<usize>().ok()?
    } else {
        let short = month.get(..3)?.to_ascii_lowercase();
        1 + months.iter().position(|name| *name == short)?
    };
    let (day, year) = if digits(first, 4, 4) { (last, first) } else { (first, last) };
    let century = match year.len() {
        2 => "20",
        4 => "",
        _ => return None,
    };
    (digits(day, 1, 2) && digits(year, 2, 4)).then(|| iso_date(&format!("{century}{year}-{month:02}-{day:0>2}")))?
}

/// An amount, grouped or not; `None` where there is none, or it is zero.
fn money(text: &str) -> Result<Option<i64>, &'static str> {
    if text.trim_matches(['-', ' ']).is_empty() {
        return Ok(None);
    }
    match grouped(text) {
        Some(0) => Ok(None),
        Some(paise) => Ok(Some(paise)),
        None => Err("the amount is not rupees with at most two decimals"),
    }
}

/// `16,48,629.47` or `1,648,629.47`. A comma before fewer than three digits could be a point elsewhere, so it is refused.
fn grouped(text: &str) -> Option<i64> {
    let text = text.trim();
    let rupees = text.split('.').next().unwrap_or_default();
    let groups: Vec<&str> = rupees.split(',').collect();
    let fits = match groups.as_slice() {
        [_] => true,
        [first, middle @ .., last] => {
            (1..=3).contains(&first.len()) && middle.iter().all(|g| matches!(g.len(), 2 | 3)) && last.len() == 3
        }
        [] => false,
    };
    (fits && text.matches(',').count() + 1 == groups.len()).then(|| paise(&text.replace(',', ""), '.'))?
}

/// A balance: an amount, with a minus or `DR` where it is below zero.
fn balance(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let (number, debit) = match (lower.strip_suffix("dr"), lower.strip_suffix("cr")) {
        (Some(number), _) => (number, true),
        (_, Some(number)) => (number, false),
        _ => (&*lower, false),
    };
    let number = number.trim();
    let (number, minus) = number.strip_prefix('-').map_or((number, false), |number| (number, true));
    grouped(number).map(|paise| if debit || minus { -paise } else { paise })
}

/// The number that a line before the header names as the account's.
fn account_number(text: &str) -> Option<Box<str>> {
    let at = text.to_ascii_lowercase().find("account n")?;
    let words = text.get(at..)?.split(|c: char| !c.is_ascii_alphanumeric());
    let mut numbers =
        words.filter(|w| (5..=35).contains(&w.len()) && w.bytes().filter(u8::is_ascii_digit).count() >= 4);
    numbers.next().map(Box::from)
}

/// Tells of the rows. The first waits for the second, because only two rows tell whether the newest stands first.
struct Reading<'a> {
    tell: &'a mut dyn FnMut(Said),
    head: Head,
    first: Option<(Line, Option<i64>)>,
    begun: bool,
    any: bool,
    /// Whether every balance so far follows from the one before and the row's amount.
    follows: bool,
    newest_first: bool,
    last: Option<i64>,
    newest: Option<i64>,
}

fn signed(line: &Line) -> i64 {
    if line.side == Side::Debit { -line.amount_paise } else { line.amount_paise }
}

impl<'a> Reading<'a> {
    fn new(tell: &'a mut dyn FnMut(Said)) -> Reading<'a> {
        Reading {
            tell,
            head: Head::default(),
            first: None,
            begun: false,
            any: false,
            follows: true,
            newest_first: false,
            last: None,
            newest: None,
        }
    }

    /// A row that is not known leaves a gap in the balances.
    fn bad(&mut self, at: u64, why: &str) {
        self.follows = false;
        (self.tell)(Said::Bad { at, why: why.into() });
    }

    fn line(&mut self, line: Line, balance: Option<i64>) {
        if !self.begun && self.first.is_none() {
            self.first = Some((line, balance));
            return;
        }
        if let Some((first, before)) = self.first.take() {
            let pair = before.zip(balance);
            let rises = pair.is_some_and(|(before, after)| before.checked_add(signed(&line)) == Some(after));
            let falls = pair.is_some_and(|(new, old)| old.checked_add(signed(&first)) == Some(new));
            // Two rows that undo each other follow both ways: then the days must tell.
            self.newest_first = falls && (!rises || first.booked_at > line.booked_at);
            self.follows &= (rises || falls) && !(rises && falls && first.booked_at == line.booked_at);
            self.begin(first, before);
        } else if !self.newest_first {
            let expected = self.last.and_then(|last| last.checked_add(signed(&line)));
            self.follows &= expected.is_some() && expected == balance;
        }
        self.last = balance;
        (self.tell)(Said::Line(Box::new(line)));
    }

    fn begin(&mut self, first: Line, balance: Option<i64>) {
        if self.follows && !self.newest_first {
            self.head.opening_paise = balance.and_then(|balance| balance.checked_sub(signed(&first)));
        }
        (self.last, self.newest, self.begun) = (balance, balance, true);
        (self.tell)(Said::Begins(std::mem::take(&mut self.head)));
        (self.tell)(Said::Line(Box::new(first)));
    }

    /// The end of the table.
    fn end(&mut self) {
        if let Some((first, balance)) = self.first.take() {
            self.begin(first, balance);
        }
        if !std::mem::take(&mut self.begun) {
            (self.tell)(Said::Begins(std::mem::take(&mut self.head)));
        }
        let closing_paise = if self.newest_first { self.newest } else { self.last };
        (self.tell)(Said::Ends { closing_paise: closing_paise.filter(|_| self.follows) });
        (self.any, self.follows, self.newest_first, self.last, self.newest) = (true, true, false, None, None);
    }
}
