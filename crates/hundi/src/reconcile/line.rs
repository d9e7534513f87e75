//! A line of a statement, made ready to be matched: what identifies it, what it may be about, and what it comes to.

use crate::credits::Rules;
use crate::keys::{Keys, Place, hex};
use crate::store::statements::{Kept, LineRow, PayoutKnown};
use hundi_core::command::{CreditLine, FileLines, Outcome, Word};
use hundi_core::formats::{Line, Side, clears};
use hundi_core::ids::{Connector, MerchantId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::payout::{ExceptionKind, State};
use hundi_core::plant::{Plant, planted};
use std::collections::BTreeSet;

/// References of a line that are tried.
const REFERENCES_MAX: usize = 8;
/// A bank's reference is no longer than that (ISO 20022, Max35Text), give or take.
const BANK_REFERENCE_MAX: usize = 40;

/// A booked line.
pub struct Item {
    /// Where in the file it begins.
    pub at: u64,
    /// Which way the money went.
    pub side: Side,
    /// Whether it takes back an earlier entry.
    pub returned: bool,
    /// Everything that may be our reference, the likeliest first.
    pub ours: Vec<Reference>,
    /// Whether a field for the customer's reference holds what could be ours.
    pub looks_ours: bool,
    /// Everything that a bank may call it, the likeliest first.
    pub banks: Vec<Box<str>>,
    /// The code of a return's reason.
    pub reason: Box<str>,
    /// As it is kept.
    pub row: LineRow,
    /// The attempt that it is about.
    pub payout: Option<PayoutKnown>,
    /// A reference with our mark, if no payout has one of its references: one that was forgotten.
    pub forgotten: Option<Reference>,
    /// Of a credit, whose it is by the rules.
    pub whose: BTreeSet<MerchantId>,
}

/// What a line comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    /// It says what we know.
    Known,
    /// The payout must hear it.
    Record(Outcome),
    /// Our reference is not on it; the bank's may tell. A credit of which it does not is booked.
    Later,
    /// A person must look.
    Tell(ExceptionKind),
}

/// What identifies a line, whichever file it comes in: never its place, and the narration only where the bank gives it no
/// reference of its own, because banks word it differently from file to file.
fn identity(account: &[u8; 32], line: &Line) -> Vec<u8> {
    let mut text = account.to_vec();
    let numbers = [line.side as i64, line.amount_paise, i64::from(line.returned), line.booked_at.ist_day()];
    numbers.iter().for_each(|number| text.extend(number.to_be_bytes()));
    let narration = line.bank_references.is_empty().then_some(&line.narration);
    for part in [&line.references[..], &line.bank_references[..], narration.map_or(&[][..], std::slice::from_ref)] {
        part.iter().for_each(|word| {
            text.extend(word.as_bytes());
            text.push(0x1f);
        });
        text.push(0x1e);
    }
    text
}

/// What tells a line from all others of its account but those that are equal to it.
pub fn hash(keys: &Keys, account: &[u8; 32], line: &Line) -> [u8; 16] {
    let whole = keys.blind("statement line", &identity(account, line));
    std::array::from_fn(|place| whole[place])
}

impl Item {
    /// The line with this hash, of those that are equal in its file the one with this number, from 0.
    pub fn new(keys: &Keys, rules: &Rules, line: &Line, hash: [u8; 16], equal: u32) -> Item {
        let mut ours: Vec<Reference> = Vec::new();
        for text in line.references.iter().chain(&line.bank_references) {
            let reference = Reference::parse(text.trim()).filter(|reference| !ours.contains(reference));
            ours.extend(reference.filter(|_| ours.len() < REFERENCES_MAX));
        }
        let looks_ours = line.references.iter().any(|text| Reference::parse(text.trim()).is_some());
        let words = line.bank_references.iter().chain(&line.references);
        let banks: Vec<Box<str>> = words.filter(|text| tells(text)).take(REFERENCES_MAX).cloned().collect();
        let name = if equal == 0 { hex(&hash) } else { format!("{}-{equal}", hex(&hash)) };
        let row = i64::from_be_bytes(std::array::from_fn(|place| hash[place]));
        let place = Place { merchant: MerchantId::HOUSE, row, field: "statement_lines.sealed" };
        let said = [&line.references.join("\u{1f}"), &line.bank_references.join("\u{1f}"), &*line.narration].join("\n");
        let row = LineRow {
            reference: format!("?{name}"),
            line: name,
            side: line.side as i64,
            amount_paise: line.amount_paise,
            booked_at: line.booked_at,
            sealed: keys.seal(place, said.as_bytes()),
        };
        let reason = line.reason.clone();
        let (at, side, returned) = (line.at, line.side, line.returned);
        let whose = if side == Side::Credit { rules.whose(keys, line) } else { BTreeSet::new() };
        Item { at, side, returned, ours, looks_ours, banks, reason, row, payout: None, forgotten: None, whose }
    }

    /// The payout's reference, or what else it can be found by.
    pub fn name(&mut self, installation: &str) {
        if self.payout.is_none() {
            self.forgotten = self.ours.iter().copied().find(|reference| reference.is_of(installation));
        }
        let known = self.payout.map(|payout| payout.reference).or(self.forgotten);
        // A credit is booked under what a clearing system calls it, which is the same in every file; the longest, because a
        // bank's own number may look like the shortest.
        let cleared = self.banks.iter().rev().filter(|bank| clears(bank)).max_by_key(|bank| bank.len());
        let bank = cleared.or(self.banks.first()).filter(|_| self.side == Side::Credit);
        if let Some(reference) = known {
            self.row.reference = reference.as_str().to_owned();
        } else if let Some(bank) = bank {
            self.row.reference = bank.to_string();
        } else if let Some(reference) = self.ours.first() {
            self.row.reference = reference.as_str().to_owned();
        } else if let Some(bank) = self.banks.first() {
            self.row.reference = bank.to_string();
        }
    }

    /// Every name under which it may have been kept: as more becomes known of a line, another becomes the likeliest.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let banks = self.banks.iter().map(|bank| &**bank).filter(|_| self.side == Side::Credit);
        [self.row.reference.as_str()].into_iter().chain(self.ours.iter().map(Reference::as_str)).chain(banks)
    }

    /// It as a credit that belongs to no payout; `None` where it is none, or one that returns something.
    pub fn credit(&self, connector: Connector, file: &FileLines) -> Option<CreditLine> {
        let fits = self.side == Side::Credit && !self.returned && self.payout.is_none() && self.forgotten.is_none();
        let amount = Amount::from_paise(self.row.amount_paise).filter(|_| fits)?;
        let rules = match self.whose.len() {
            0 | 1 => String::new(),
            merchants => format!(", by rules of {merchants} merchants"),
        };
        Some(CreditLine {
            connector,
            reference: self.row.reference.as_str().into(),
            line: self.row.line.as_str().into(),
            names: self.banks.clone(),
            amount,
            day: self.row.booked_at.ist_day(),
            whose: self.whose.first().copied().filter(|_| self.whose.len() == 1),
            file: file.clone(),
            detail: format!("{}{rules}", self.detail()).into(),
        })
    }

    /// What a person is told of it.
    pub fn detail(&self) -> String {
        let side = if self.side == Side::Debit { "debit" } else { "credit" };
        format!("{side} of {}, booked {}", Balance::from_paise(self.row.amount_paise), self.row.booked_at)
    }

    /// What it comes to, where `others` are lines of the same side under the same name that were dealt with before it.
    pub fn judge(&self, others: bool) -> Judged {
        let Some(payout) = &self.payout else {
            return match self.side {
                _ if self.forgotten.is_some() && others => Judged::Tell(match self.side {
                    Side::Debit => ExceptionKind::PaidTwice,
                    Side::Credit => ExceptionKind::UnknownCredit,
                }),
                Side::Debit if self.forgotten.is_some() && !self.returned => Judged::Record(Outcome::Paid),
                Side::Credit if self.forgotten.is_some() => Judged::Record(Outcome::Reversed),
                Side::Credit if !self.returned => Judged::Later,
                _ if !self.banks.is_empty() => Judged::Later,
                side => Judged::Tell(self.unknown(side)),
            };
        };
        let same = payout.amount_paise == self.row.amount_paise && payout.paid_attempt == Some(payout.attempt);
        match (self.side, payout.state) {
            // The bank takes back what it had credited: none of our orders is that.
            (Side::Debit, _) if self.returned => Judged::Tell(ExceptionKind::UnknownDebit),
            (Side::Debit, _) if others && !planted(Plant::SecondDebitKnown) => Judged::Tell(ExceptionKind::PaidTwice),
            (Side::Credit, _) if others => Judged::Tell(ExceptionKind::UnknownCredit),
            (Side::Debit, State::Paid | State::Reversed) | (Side::Credit, State::Reversed) if same => Judged::Known,
            (Side::Debit, _) => Judged::Record(Outcome::Paid),
            (Side::Credit, _) => Judged::Record(Outcome::Reversed),
        }
    }

    /// What the operator is told of a line that belongs to no payout.
    pub fn unknown(&self, side: Side) -> ExceptionKind {
        match side {
            Side::Debit if self.looks_ours && !self.returned => ExceptionKind::UnknownReference,
            Side::Debit => ExceptionKind::UnknownDebit,
            Side::Credit => ExceptionKind::UnknownCredit,
        }
    }

    /// The line as a bank's word. What a return is called must not take the place of what the payment was called.
    pub fn word(&self, outcome: Outcome) -> Word {
        let rrn = match outcome {
            Outcome::Paid => self.banks.first().filter(|bank| Reference::parse(bank).is_none()).cloned(),
            _ => None,
        };
        let coded = !self.reason.is_empty() && self.reason.bytes().all(|b| b.is_ascii_alphanumeric());
        let why = match outcome {
            Outcome::Reversed if coded => format!("Returned by the beneficiary's bank ({})", self.reason).into(),
            _ => "".into(),
        };
        Word { outcome, amount_paise: Some(self.row.amount_paise), rrn: rrn.unwrap_or_default(), why }
    }
}

/// Whether a bank's reference can tell one movement from others: not `NONREF`, and nothing that an exception's ID cannot
/// hold.
fn tells(text: &str) -> bool {
    let fits = (4..=BANK_REFERENCE_MAX).contains(&text.len());
    fits && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'~' && b != b'?')
        && text.bytes().filter(u8::is_ascii_digit).count() >= 4
}

/// Whether other lines of this side were dealt with before this one.
pub fn others(kept: &[Kept], item: &Item) -> usize {
    let other = |kept: &&Kept| kept.line != item.row.line && kept.side == item.row.side && kept.result != 0;
    kept.iter().filter(other).count()
}
