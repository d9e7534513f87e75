//! Files of banks that take no ISO 20022: HDFC Bank's ENet upload of seven fields with its reverse file, and Union Bank's text.
//!
//! Neither format is published by its bank; what is known comes from documents of their customers (CONNECTORS.md, sections
//! 5.1, 5.3 and 7.5), so a bank must confirm the first file. What does not fit a field is refused and not cut, but for names
//! and remarks, of which only letters, digits and spaces are written.

use super::Transfer;
use super::lines::{Lines, Next};
use super::pain001::{Rupees, WriteError, each, remark};
use super::text::{add_id, clean, iso_date, paise};
use crate::command::{Outcome, Word};
use crate::party::{AccountNumber, Ifsc};
use crate::rails::Rail;
use crate::schedule::Timestamp;
use std::fmt::Write;
use std::io::BufRead;

/// The name of an ENet file: `CLIENTDDMM.NNN`, by the client code, the Indian day and the file's number of that day, 1 to 999.
/// The reverse file has an `r` before the number.
pub fn enet_file_name(client: &str, day: Timestamp, number: u16) -> Result<String, WriteError> {
    let fits = (1..=16).contains(&client.len()) && client.bytes().all(|b| b.is_ascii_alphanumeric());
    if !fits || !(1..=999).contains(&number) {
        return Err(WriteError::MessageId);
    }
    let day = day.to_string();
    let (month, day) = (day.get(5..7).unwrap_or_default(), day.get(8..10).unwrap_or_default());
    Ok(format!("{client}{day}{month}.{number:03}"))
}

/// Writes an ENet upload: a line for each transfer, no header. `account_type` is the bank's two digits for the kind of account
/// that is paid to, as the bank has told; the debit account is the one that the client code of the file's name stands for.
pub fn write_enet(account_type: &str, pay_on: Timestamp, transfers: &[Transfer<'_>]) -> Result<Vec<u8>, WriteError> {
    if account_type.len() != 2 || !account_type.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WriteError::Profile);
    }
    let day = pay_on.to_string().get(..10).unwrap_or_default().replace('-', "");
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

/// What a reverse file of ENet says, in its order.
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

/// Reads a reverse file of ENet. A transfer that it does not name is as unknown as before. `paid_at_once` takes `E` for paid;
/// else it is accepted, and the statement's debit pays it: the bank has sent it, and nobody has confirmed it.
pub fn read_enet_reverse(input: impl BufRead, paid_at_once: bool, tell: &mut dyn FnMut(Reverse)) {
    let mut lines = Lines::new(input);
    loop {
        let why = match lines.next() {
            Next::Line(line) if line.trim().is_empty() => continue,
            Next::Line(line) => match reverse_line(&line, lines.at, lines.whole, paid_at_once) {
                Ok(answer) => {
                    tell(answer);
                    continue;
                }
                Err(why) => why,
            },
            Next::TooLong => "the line is too long",
            Next::Failed => return tell(Reverse::Bad { at: lines.at, why: "the file cannot be read further" }),
            Next::End => return,
        };
        tell(Reverse::Bad { at: lines.at, why });
    }
}

fn reverse_line(line: &str, at: u64, whole: bool, paid_at_once: bool) -> Result<Reverse, &'static str> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [reference, _, _, _, _, amount, posted, bank, status, reason @ ..] = fields.as_slice() else {
        return Err("the line has fewer fields than a reverse file has");
    };
    if reason.len() > 1 {
        return Err("the line has more fields than a reverse file has");
    }
    let amount_paise = paise(amount, '.').ok_or("field 6 is not rupees with at most two decimals")?;
    let day = [posted.get(..4), posted.get(4..6), posted.get(6..)].map(Option::unwrap_or_default).join("-");
    iso_date(&day).filter(|_| posted.len() == 8).ok_or("field 7 is not a date, YYYYMMDD")?;
    let mut ids = Vec::new();
    add_id(&mut ids, reference);
    let reference = ids.pop().ok_or("field 1 is not a reference")?;
    add_id(&mut ids, bank);
    let rrn = ids.pop().unwrap_or_default();
    let reason = reason.first().copied().unwrap_or_default();
    let (outcome, why) = match *status {
        "E" if rrn.is_empty() => (Outcome::Silent, ""),
        "E" if paid_at_once => (Outcome::Paid, ""),
        "E" => (Outcome::Accepted, ""),
        // Half a reason is not a reason: what is missing might be what tells a duplicate.
        "R" if !whole => return Err("the last line has no end; if the file is complete, add one"),
        "R" => rejected(reason),
        _ => return Err("field 9 is neither E nor R"),
    };
    let word = Word { outcome, amount_paise: Some(amount_paise), rrn, why: why.into() };
    Ok(Reverse::Answer { at, reference, word, note: clean(reason, 40) })
}

/// What a rejection in free text comes to: the beneficiary's data are final, a duplicate is looked up, the rest may be tried
/// elsewhere.
fn rejected(reason: &str) -> (Outcome, &'static str) {
    let reason = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["duplicate", "dup ", "already"]) {
        return (Outcome::Silent, "");
    }
    if says(&["account", "a/c", "acct", "ifsc", "name", "bene"]) {
        return (Outcome::Refused { elsewhere: false }, "Rejected by the bank: beneficiary's details");
    }
    (Outcome::Refused { elsewhere: true }, "Rejected by the bank")
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
