//! Files of banks that take no ISO 20022, and what they answer.
//!
//! | file | rails | what answers it |
//! |---|---|---|
//! | HDFC Bank's ENet, seven fields | NEFT, RTGS | its reverse file, [`enet_reverse`] |
//! | HDFC Bank's ENet for vendors, 28 columns | NEFT, RTGS | a file whose columns the operator maps, or statements |
//! | ICICI Bank's CIB, bulk: to anybody, or to whom it has registered | NEFT, RTGS, IMPS | a file whose columns the operator maps, or statements |
//! | Union Bank's text | NEFT, RTGS | statements |
//!
//! None of these is published by its bank; what is known comes from documents and programs of their customers (CONNECTORS.md,
//! sections 5 and 7.5), so a bank must confirm the first file. What is not known is an option without a default. What does not
//! fit a field is refused and not cut, but for names and remarks, of which only letters, digits and spaces are written.

use super::Transfer;
use super::lines::{Lines, Next};
use super::pain001::{Rupees, WriteError, each, remark, sum};
use super::text::{add_id, clean, iso_date, paise};
use crate::command::{Outcome, Word};
use crate::party::{AccountNumber, Ifsc};
use crate::plant::{Plant, planted};
use crate::rails::Rail;
use crate::schedule::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::io::BufRead;
use std::ops::RangeInclusive;

/// The name of an ENet file: `CLIENTDDMM.NNN`, by the client code, the Indian day and the file's number of that day, 1 to 999.
/// The reverse file has an `r` before the number.
pub fn enet_file_name(client: &str, day: Timestamp, number: u16) -> Result<String, WriteError> {
    let fits = (1..=16).contains(&client.len()) && client.bytes().all(|b| b.is_ascii_alphanumeric());
    if !fits || !(1..=999).contains(&number) {
        return Err(WriteError::MessageId);
    }
    let [_, month, day] = day_parts(day);
    Ok(format!("{client}{day}{month}.{number:03}"))
}

/// Writes an ENet upload: a line for each transfer, no header. `account_type` is the bank's two digits for the kind of account
/// that is paid to, as the bank has told; the debit account is the one that the client code of the file's name stands for.
pub fn write_enet(account_type: &str, pay_on: Timestamp, transfers: &[Transfer<'_>]) -> Result<Vec<u8>, WriteError> {
    if account_type.len() != 2 || !account_type.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WriteError::Profile);
    }
    let day = day_parts(pay_on).concat();
    let mut file = String::with_capacity(160 * transfers.len());
    each(transfers, |transfer| {
        at_most(transfer, "Bene Account No (at most 30 characters)", transfer.account.as_str().len(), 30)?;
        let amount = Rupees(transfer.amount.paise()).to_string();
        at_most(transfer, "Amount (at most 15 characters)", amount.len(), 15)
    })?;
    for transfer in transfers {
        write!(
            file,
            "{},{},{},{},{account_type},{},{day}\r\n",
            transfer.reference.as_str(),
            plain_name(transfer, 70),
            transfer.account.as_str(),
            transfer.ifsc.as_str(),
            Rupees(transfer.amount.paise())
        )?;
    }
    Ok(file.into_bytes())
}

/// Lines of one answer. No file of ours has as many rows.
const LINES_MAX: u64 = 50_000;
/// What is said of the line after the last that is read.
pub const TOO_MANY_LINES: &str = "it has more than 50000 lines; no file of ours has as many";

/// What a file that a bank answers says, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reverse {
    /// About a transfer.
    Answer {
        /// The line of the file, from 1.
        at: u64,
        /// Our reference.
        reference: Box<str>,
        /// What it comes to.
        word: Word,
        /// The bank's reason as it stands, for people and not for merchants: it may hold account numbers.
        note: Box<str>,
    },
    /// A line that cannot be read; nothing of it was used.
    Bad {
        /// Which, from 1.
        at: u64,
        /// Why.
        why: &'static str,
    },
}

/// Where the rows of an answer say what. Fields are counted from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// What stands between two fields; there are no quotation marks.
    pub between: char,
    /// The first line where it names the columns, word for word: a file that begins otherwise is not read at all.
    pub header: Option<Box<str>>,
    /// How many fields a row has. One with more or fewer is not read: something may have shifted.
    pub fields: RangeInclusive<usize>,
    /// Our reference.
    pub reference: usize,
    /// What the bank calls the payment; empty where it has not executed it.
    pub bank_reference: usize,
    /// What became of it.
    pub status: usize,
    /// Why it was rejected, in words.
    pub reason: usize,
    /// The amount, rupees, where the answer has it.
    pub amount: Option<usize>,
    /// A day that must be one, `YYYYMMDD`.
    pub posted: Option<usize>,
    /// The statuses of what the bank has executed.
    pub executed: Vec<Box<str>>,
    /// The statuses of what it will not execute, now or later.
    pub rejected: Vec<Box<str>>,
}

impl Mapping {
    /// Whether it can be read by: every field is one of a row's, each is named for one thing, and no status says two things.
    pub fn is_sound(&self) -> bool {
        let least = *self.fields.start();
        let needed = [self.reference, self.bank_reference, self.status];
        let mut places: Vec<usize> = needed.into_iter().chain(self.amount).chain(self.posted).collect();
        let within = places.iter().all(|place| (1..=least).contains(place));
        // A reason may be the last field and be left out.
        let reason = (1..=*self.fields.end()).contains(&self.reason);
        places.push(self.reason);
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        let said = |words: &[Box<str>]| !words.is_empty() && words.iter().all(|word| !word.trim().is_empty());
        let apart = !self.executed.iter().any(|word| self.rejected.contains(word));
        let between = matches!(self.between, ',' | '|' | '~' | ';' | '^' | '\t');
        within && reason && places.len() == count && said(&self.executed) && said(&self.rejected) && apart && between
    }
}

/// The mapping of ENet's reverse file of seven fields: they come back, but for the value date, which is the posting date, and
/// the bank's reference, `E` or `R`, and a reason follow. CONNECTORS.md, section 5.1.
pub fn enet_reverse() -> Mapping {
    Mapping {
        between: ',',
        header: None,
        fields: 9..=10,
        reference: 1,
        bank_reference: 8,
        status: 9,
        reason: 10,
        amount: Some(6),
        posted: Some(7),
        executed: vec!["E".into()],
        rejected: vec!["R".into()],
    }
}

/// Reads an answer. A transfer that it does not name is as unknown as before. `paid_at_once` takes what was executed for paid;
/// else it is accepted, and the statement's debit pays it: the bank has sent it, and nobody has confirmed it.
pub fn read_reverse(input: impl BufRead, mapping: &Mapping, paid_at_once: bool, tell: &mut dyn FnMut(Reverse)) {
    let mut lines = Lines::new(input);
    let mut header = mapping.header.as_deref();
    loop {
        let why = match lines.next() {
            Next::Line(_) | Next::TooLong if lines.at > LINES_MAX => {
                return tell(Reverse::Bad { at: lines.at, why: TOO_MANY_LINES });
            }
            Next::Line(line) if line.trim().is_empty() => continue,
            Next::Line(line) => match header.take() {
                Some(header) if line.trim() == header.trim() => continue,
                Some(_) => {
                    let why =
                        "it does not begin with the header that is configured; see whether the bank has changed it";
                    return tell(Reverse::Bad { at: lines.at, why });
                }
                None => match row(&line, (lines.at, lines.whole), mapping, paid_at_once) {
                    Ok(answer) => {
                        tell(answer);
                        continue;
                    }
                    Err(why) => why,
                },
            },
            Next::TooLong => "the line is too long",
            Next::Failed => return tell(Reverse::Bad { at: lines.at, why: "the file cannot be read further" }),
            Next::End => return,
        };
        tell(Reverse::Bad { at: lines.at, why });
    }
}

fn row(line: &str, (at, whole): (u64, bool), mapping: &Mapping, paid_at_once: bool) -> Result<Reverse, &'static str> {
    // Half a field is not a field: what is missing might be what tells a duplicate, or another status.
    if !whole {
        return Err("the last line has no end; if the file is complete, add one");
    }
    let fields: Vec<&str> = line.split(mapping.between).map(str::trim).collect();
    if fields.len() < *mapping.fields.start() {
        return Err("the line has fewer fields than an answer has");
    }
    if fields.len() > *mapping.fields.end() && !planted(Plant::ShiftedAnswer) {
        return Err("the line has more fields than an answer has");
    }
    let field = |place: usize| fields.get(place.wrapping_sub(1)).copied().unwrap_or_default();
    let amount = |place| paise(field(place), '.').ok_or("the amount is not rupees with at most two decimals");
    let amount_paise = mapping.amount.map(amount).transpose()?;
    if let Some(posted) = mapping.posted.map(field) {
        let day = [posted.get(..4), posted.get(4..6), posted.get(6..)].map(Option::unwrap_or_default).join("-");
        iso_date(&day).filter(|_| posted.len() == 8).ok_or("the posting date is not a date, YYYYMMDD")?;
    }
    let mut ids = Vec::new();
    add_id(&mut ids, field(mapping.reference));
    let reference = ids.pop().ok_or("there is no reference of ours")?;
    add_id(&mut ids, field(mapping.bank_reference));
    let rrn = ids.pop().unwrap_or_default();
    let (status, reason) = (field(mapping.status), field(mapping.reason));
    let is = |words: &[Box<str>]| words.iter().any(|word| **word == *status);
    let (outcome, why) = match (is(&mapping.executed), is(&mapping.rejected)) {
        (true, _) if rrn.is_empty() => (Outcome::Silent, ""),
        (true, _) if paid_at_once => (Outcome::Paid, ""),
        (true, _) => (Outcome::Accepted, ""),
        (_, true) => rejected(reason),
        (false, false) => return Err("the status says neither that it is executed nor that it is rejected"),
    };
    let word = Word { outcome, amount_paise, rrn, why: why.into() };
    Ok(Reverse::Answer { at, reference, word, note: clean(reason, 40) })
}

/// What says that the bank has had the payment before. A word that is taken for one wrongly comes to silence, one that is
/// missed to a second payment.
const HAD_BEFORE: [&str; 6] = ["dup", "already", "alrdy", "exist", "repeat", "processed"];
/// What the commonest rejections say, and is none of these.
const NOT_BEFORE: [&str; 8] = [
    "not exist",
    "non exist",
    "nonexist",
    "non-exist",
    "not processed",
    "not be processed",
    "cannot processed",
    "unprocessed",
];

/// What a rejection in free text comes to: the beneficiary's data are final, a duplicate is looked up, the rest may be tried
/// elsewhere.
fn rejected(reason: &str) -> (Outcome, &'static str) {
    let reason = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let left = NOT_BEFORE.iter().fold(reason.clone(), |left, words| left.replace(words, " "));
    if HAD_BEFORE.iter().any(|word| left.contains(word)) {
        return (Outcome::Silent, "");
    }
    if says(&["account", "a/c", "acct", "ifsc", "name", "bene"]) {
        return (Outcome::Refused { elsewhere: false }, "Rejected by the bank: beneficiary's details");
    }
    (Outcome::Refused { elsewhere: true }, "Rejected by the bank")
}

/// The widths of the 28 columns that Hundi fills, characters. Source: `RBI Adapter Specification`
/// (scribd.com/document/387944229), and for the name the header of the bank's own sheet, "upto 40 character".
const VENDOR_ACCOUNT_MAX: usize = 25;
const VENDOR_AMOUNT_MAX: usize = 20;
const VENDOR_NAME_MAX: usize = 40;
const VENDOR_EMAIL_MAX: usize = 100;

/// What every row of an ENet file of vendor payments says.
#[derive(Clone, Copy, Debug)]
pub struct EnetVendor<'a> {
    /// On which Indian day it is paid: any moment of it.
    pub pay_on: Timestamp,
    /// Whether the beneficiary's bank is named, by the four letters of its IFSC, or column 26 is left empty.
    pub names_bank: bool,
    /// To whom the bank sends its advice; empty for nobody.
    pub email: &'a str,
}

/// Writes an ENet upload of vendor payments: 28 columns, no header (CONNECTORS.md, section 5.2).
///
/// `N` is NEFT and `R` RTGS. `I`, within the bank, needs a beneficiary that the bank has registered, so an account at HDFC Bank
/// goes by NEFT as any other. Our reference is the customer's (column 14), which statements and reverse files carry.
pub fn write_enet_vendor(file: &EnetVendor<'_>, transfers: &[Transfer<'_>]) -> Result<Vec<u8>, WriteError> {
    let email = file.email;
    if email.len() > VENDOR_EMAIL_MAX || !email.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
        return Err(WriteError::Profile);
    }
    each(transfers, |transfer| {
        rail_code(transfer, [("N", Rail::Neft), ("R", Rail::Rtgs)])?;
        let account = transfer.account.as_str().len();
        at_most(transfer, "Beneficiary Account Number (at most 25 characters)", account, VENDOR_ACCOUNT_MAX)?;
        let amount = Rupees(transfer.amount.paise()).to_string();
        at_most(transfer, "Instrument Amount (at most 20 characters)", amount.len(), VENDOR_AMOUNT_MAX)
    })?;
    let [year, month, day] = day_parts(file.pay_on);
    let mut text = String::with_capacity(200 * transfers.len());
    for transfer in transfers {
        let ifsc = transfer.ifsc.as_str();
        let bank = if file.names_bank { ifsc.get(..4).unwrap_or_default() } else { "" };
        let columns = [
            (1, rail_code(transfer, [("N", Rail::Neft), ("R", Rail::Rtgs)])?),
            (3, transfer.account.as_str()),
            (4, &Rupees(transfer.amount.paise()).to_string()),
            (5, &plain_name(transfer, VENDOR_NAME_MAX)),
            (14, transfer.reference.as_str()),
            (23, &format!("{day}/{month}/{year}")),
            (25, ifsc),
            (26, bank),
            (28, email),
        ];
        for place in 1..=28 {
            let filled = columns.iter().find(|(column, _)| *column == place).map_or("", |(_, text)| *text);
            text.push_str(filled);
            text.push_str(if place < 28 { "," } else { "\r\n" });
        }
    }
    Ok(text.into_bytes())
}

/// Whichever branch an account is at, the bank's own converter writes this one.
const ICICI_BRANCH: &str = "0011";
/// The IFSC that the bank's converter writes for every account within the bank.
const ICICI_WITHIN: &str = "ICIC0000011";
/// The most rows of a file, and the widths of what Hundi fills, characters: the bank's converter refuses more.
const ICICI_ROWS_MAX: usize = 5_000;
const ICICI_AMOUNT_MAX: usize = 15;
const ICICI_NAME_MAX: usize = 32;
const ICICI_NUMBER_MAX: usize = 10;
/// What the bank calls the rails.
const ICICI_NETWORKS: [(&str, Rail); 3] = [("NFT", Rail::Neft), ("RTG", Rail::Rtgs), ("IFC", Rail::Imps)];

/// The beneficiaries that a bank has registered, each with the number that it gave him.
#[derive(Clone, Default)]
pub struct Registered(BTreeMap<(Box<str>, Box<str>), Box<str>>);

impl fmt::Debug for Registered {
    /// Not their accounts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registered({})", self.0.len())
    }
}

impl Registered {
    /// Reads a list: a line for each, `number,IFSC,account`. The error is the line, from 1, and what is wrong with it. A number
    /// that two have would pay one in place of the other.
    pub fn parse(text: &str) -> Result<Registered, (usize, &'static str)> {
        let (mut registered, mut numbers) = (Registered::default(), BTreeSet::new());
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why| (at + 1, why);
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [number, ifsc, account] = fields.as_slice() else {
                return Err(wrong("is not `number,IFSC,account`"));
            };
            if !(1..=ICICI_NUMBER_MAX).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong("does not begin with a number of 1 to 10 digits"));
            }
            let ifsc = Ifsc::parse(ifsc).map_err(|_| wrong("has no IFSC, such as HDFC0000001, in its second place"))?;
            let account =
                AccountNumber::parse(account).ok_or_else(|| wrong("has no account number in its third place"))?;
            if !numbers.insert(*number) {
                return Err(wrong("has a number that stands before"));
            }
            let whom = (ifsc.as_str().into(), account.as_str().into());
            if registered.0.insert(whom, (*number).into()).is_some() {
                return Err(wrong("has an account that stands before"));
            }
        }
        if registered.0.is_empty() { Err((1, "is missing: the list is empty")) } else { Ok(registered) }
    }

    fn number(&self, transfer: &Transfer<'_>) -> Result<&str, WriteError> {
        let number = self.0.get(&(transfer.ifsc.as_str().into(), transfer.account.as_str().into()));
        number
            .map(|number| &**number)
            .ok_or(WriteError::Field(transfer.reference, "a beneficiary who is not registered"))
    }
}

/// What a bulk file for ICICI Bank's CIB says of us.
#[derive(Clone, Copy, Debug)]
pub struct IciciHeader<'a> {
    /// The account that pays, and to which the bank gives back what fails.
    pub account: &'a AccountNumber,
    /// What the file is called within the bank: 1 to 10 letters and digits.
    pub file: &'a str,
    /// On which Indian day it is paid: any moment of it.
    pub pay_on: Timestamp,
    /// Whether an account at ICICI Bank is paid within the bank (`WIB`), whatever rail was ordered.
    pub within: bool,
    /// Whom the bank has registered; `None` where it pays to accounts that it does not know.
    pub registered: Option<&'a Registered>,
}

/// Writes a bulk file for ICICI Bank's CIB: `FHR` and a row for each transfer, fields between `|`, each line ended by `^`.
///
/// A row to somebody who is registered names him by his number (`PRB`), one to any other account has that (`APO`, and `APW`
/// within the bank). Our reference stands in the remarks. Source: CONNECTORS.md, section 5.4, for the header, the networks and
/// `PRB`; the signs between fields, `0011`, `PRBNBB` and the rows to other accounts are those of the bank's own converters, as
/// several programs of its customers reproduce them.
pub fn write_icici(header: &IciciHeader<'_>, transfers: &[Transfer<'_>]) -> Result<Vec<u8>, WriteError> {
    let id = header.file;
    if !(1..=10).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(WriteError::MessageId);
    }
    let account = header.account.as_str();
    if account.len() > 34 {
        return Err(WriteError::Debtor);
    }
    if transfers.len() > ICICI_ROWS_MAX {
        return Err(WriteError::TooMany);
    }
    each(transfers, |transfer| {
        rail_code(transfer, ICICI_NETWORKS)?;
        at_most(transfer, "beneficiary account (at most 34 characters)", transfer.account.as_str().len(), 34)?;
        header.registered.map(|registered| registered.number(transfer)).transpose()?;
        let amount = Rupees(transfer.amount.paise()).to_string();
        at_most(transfer, "amount (at most 15 characters)", amount.len(), ICICI_AMOUNT_MAX)
    })?;
    let total = Rupees(sum(transfers)?).to_string();
    if total.len() > ICICI_AMOUNT_MAX {
        return Err(WriteError::Overflow);
    }
    let ([year, month, day], count) = (day_parts(header.pay_on), transfers.len());
    let mut text = String::with_capacity(96 + 180 * transfers.len());
    writeln!(text, "FHR|{ICICI_BRANCH}|{account}|INR|{total}|{count}|{month}/{day}/{year}|{id}^")?;
    for transfer in transfers {
        let (ifsc, amount) = (transfer.ifsc.as_str(), Rupees(transfer.amount.paise()));
        let within = header.within && ifsc.starts_with("ICIC");
        let network = if within { "WIB" } else { rail_code(transfer, ICICI_NETWORKS)? };
        let reference = transfer.reference.as_str();
        if let Some(registered) = header.registered {
            let number = registered.number(transfer)?;
            writeln!(text, "PRB|{network}|{amount}|INR|{number}|{account}|{ICICI_BRANCH}|{reference}|N|PRBNBB^")?;
            continue;
        }
        let (record, ifsc) = if within { ("APW", ICICI_WITHIN) } else { ("APO", ifsc) };
        let (to, name) = (transfer.account.as_str(), plain_name(transfer, ICICI_NAME_MAX));
        writeln!(
            text,
            "{record}|{network}|{amount}|INR|{account}|{ICICI_BRANCH}|{ifsc}|{to}|{ICICI_BRANCH}|{name}|{reference}|{reference}^"
        )?;
    }
    Ok(text.into_bytes())
}

/// What a file for Union Bank says of us.
#[derive(Clone, Copy, Debug)]
pub struct UnionHeader<'a> {
    /// The corporate id that the bank gave: at most 32 letters and digits.
    pub corporate_id: &'a str,
    /// The file's number, at most six digits.
    pub serial: u32,
    /// The account that pays.
    pub account: &'a AccountNumber,
    /// Its branch.
    pub ifsc: &'a Ifsc,
    /// What stands between two fields: a comma or `|`.
    pub between: char,
}

/// The longest file that Union Bank takes.
const UNION_BYTES_MAX: usize = 2 * 1_024 * 1_024;

/// Writes a text file for Union Bank, which carries NEFT and RTGS. There is no field for our reference: it stands at the
/// beginning of the transaction's remarks, and alone in the remarks at the end.
pub fn write_union(header: &UnionHeader<'_>, transfers: &[Transfer<'_>]) -> Result<Vec<u8>, WriteError> {
    let id = header.corporate_id;
    let named = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !named || header.serial > 999_999 {
        return Err(WriteError::MessageId);
    }
    if !matches!(header.between, ',' | '|') {
        return Err(WriteError::Profile);
    }
    if header.account.as_str().len() > 24 {
        return Err(WriteError::Debtor);
    }
    each(transfers, |transfer| {
        if !matches!(transfer.rail, Rail::Neft | Rail::Rtgs) {
            return Err(WriteError::Rail(transfer.reference));
        }
        at_most(transfer, "beneficiary account (at most 24 characters)", transfer.account.as_str().len(), 24)?;
        let amount = Rupees(transfer.amount.paise()).to_string();
        at_most(transfer, "amount (at most 14 characters)", amount.len(), 14)
    })?;
    let s = header.between;
    let mut file = String::with_capacity(64 + 200 * transfers.len());
    write!(file, "FILEHDR{s}{id}{s}{}{s}N{s}\r\n", header.serial)?;
    for transfer in transfers {
        write!(
            file,
            "{}{s}{}{s}{}{s}{}{s}{}{s}INR{s}{}{s}{}{s}{}{s}{s}{}\r\n",
            transfer.rail.rules().name,
            header.ifsc.as_str(),
            header.account.as_str(),
            transfer.ifsc.as_str(),
            transfer.account.as_str(),
            Rupees(transfer.amount.paise()),
            remark(transfer, 140),
            plain_name(transfer, 40),
            transfer.reference.as_str()
        )?;
    }
    if file.len() > UNION_BYTES_MAX {
        return Err(WriteError::TooMany);
    }
    Ok(file.into_bytes())
}

/// What a bank calls the rail of a transfer, of those that its files carry.
fn rail_code<const N: usize>(
    transfer: &Transfer<'_>,
    codes: [(&'static str, Rail); N],
) -> Result<&'static str, WriteError> {
    let code = codes.into_iter().find(|(_, rail)| *rail == transfer.rail);
    code.map(|(code, _)| code).ok_or(WriteError::Rail(transfer.reference))
}

/// Year, month and day of an Indian day.
fn day_parts(day: Timestamp) -> [String; 3] {
    let day = day.to_string();
    [day.get(..4), day.get(5..7), day.get(8..10)].map(|part| part.unwrap_or_default().to_owned())
}

fn at_most(transfer: &Transfer<'_>, field: &'static str, length: usize, most: usize) -> Result<(), WriteError> {
    if length <= most { Ok(()) } else { Err(WriteError::Field(transfer.reference, field)) }
}

/// The name in letters, digits and spaces: these files cannot quote.
fn plain_name(transfer: &Transfer<'_>, chars_max: usize) -> String {
    let name = transfer.name.for_rail(transfer.rail.rules());
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    let plain = clean(&plain, chars_max);
    if plain.is_empty() { "BENEFICIARY".to_owned() } else { plain.into() }
}
