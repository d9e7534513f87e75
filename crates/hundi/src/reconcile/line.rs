//! A line of a statement, made ready to be matched: what identifies it, what it may be about, and what it comes to.

use crate::credits::Rules;
use crate::keys::{Keys, Place, hex};
use crate::store::statements::{Kept, LineResult, LineRow, PayoutKnown};
use hundi_core::command::{CreditLine, FileLines, Outcome, Word, credit_names};
use hundi_core::formats::{Line, Side, clears, denies};
use hundi_core::ids::{Connector, MerchantId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::payout::{ExceptionKind, State};
use hundi_core::plant::{Plant, planted};
use std::collections::{BTreeSet, HashMap};

/// References of a line that are tried.
const REFERENCES_MAX: usize = 8;
/// A bank's reference is no longer than that (ISO 20022, Max35Text), give or take.
const BANK_REFERENCE_MAX: usize = 40;

/// What a debit that was taken back says of its attempt. By statement nobody is refused: the bank is asked.
pub const TAKEN_BACK: Outcome = Outcome::Refused { elsewhere: false };

/// A booked line.
pub struct Item {
    /// Where in the file it begins.
    pub at: u64,
    /// Which way the money went.
    pub side: Side,
    /// Whether it takes back an earlier entry.
    pub returned: bool,
    /// Whether it is a debit that was taken back since.
    taken_back: bool,
    /// Under what it was kept while nothing was known of it, where its bank names it and may say more each time.
    unnamed: Option<String>,
    /// Everything that may be our reference, the likeliest first.
    pub ours: Vec<Reference>,
    /// How many of them stand in fields: the first. What a merchant writes may be among the others.
    ours_in_fields: usize,
    /// Whether a field for the customer's reference holds what could be ours.
    pub looks_ours: bool,
    /// Everything that a bank may call it, the likeliest first.
    pub banks: Vec<Box<str>>,
    /// How many of them stand in fields of the bank's own: the first.
    own: usize,
    /// The code of a return's reason.
    pub reason: Box<str>,
    /// As it is kept.
    pub row: LineRow,
    /// The attempt that it is about.
    pub payout: Option<PayoutKnown>,
    /// A reference with our mark, if no payout has one of its references: one that was forgotten.
    pub forgotten: Option<Reference>,
    /// Whether its words name several payouts and no field says which: then it is about none of them.
    several: bool,
    /// Of a credit, whose it is by the rules.
    pub whose: BTreeSet<MerchantId>,
}

/// What a line comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    /// It says what we know.
    Known,
    /// It says what the bank has taken back since, of a payout that nobody calls paid: it is nobody's line.
    TakenBack,
    /// The payout must hear it.
    Record(Outcome),
    /// Our reference is not on it; the bank's may tell. A credit of which it does not is booked.
    Later,
    /// A person must look.
    Tell(ExceptionKind),
}

impl Judged {
    /// The number of the result by which the lines after it know it, while what it says is still to be heard.
    pub fn kept_as(self, result: LineResult) -> i64 {
        match self {
            Judged::Later => LineResult::Pending as i64,
            Judged::Record(_) => LineResult::Moved as i64,
            Judged::Known | Judged::TakenBack | Judged::Tell(_) => result as i64,
        }
    }
}

/// What identifies a line, whichever file it comes in: never its place, and the narration only where no reference of a bank
/// stands on it, because banks word it differently from file to file.
fn identity(account: &[u8; 32], line: &Line) -> Vec<u8> {
    let mut text = account.to_vec();
    if !line.entry.is_empty() {
        // What else a bank says of an entry that it names may change until the next time it tells of it.
        text.extend([b"entry", line.entry.as_bytes(), &[line.side as u8]].concat());
        return text;
    }
    let numbers = [line.side as i64, line.amount_paise, i64::from(line.returned), line.booked_at.ist_day()];
    numbers.iter().for_each(|number| text.extend(number.to_be_bytes()));
    // Nor do words alone name a credit: two payers may have written the same.
    let named = !line.bank_references.is_empty() || line.side == Side::Debit && !line.narrated.is_empty();
    let narration = if named { &[][..] } else { std::slice::from_ref(&line.narration) };
    // A payer's words must not make his credit look like another's that has them in the bank's field: that one would be passed
    // over as a line that was read before. Debits keep the identity that they had before words were told apart.
    let told_apart: &[u8] = if line.side == Side::Credit { b"~" } else { b"" };
    for part in [
        &[(&line.references[..], &b""[..])][..],
        &[(&line.bank_references, b""), (&line.narrated, told_apart)],
        &[(narration, b"")],
    ] {
        for (words, sign) in part {
            words.iter().for_each(|word| [sign, word.as_bytes(), b"\x1f"].iter().for_each(|piece| text.extend(*piece)));
        }
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
        let (fields, words) = line.references.split_at(line.in_fields.min(line.references.len()));
        let mut ours_in_fields = 0;
        for (texts, in_fields) in
            [(fields, true), (&line.bank_references, true), (words, false), (&line.narrated, false)]
        {
            for text in texts {
                let reference = Reference::parse(text.trim()).filter(|reference| !ours.contains(reference));
                ours.extend(reference.filter(|_| ours.len() < REFERENCES_MAX));
            }
            ours_in_fields = if in_fields { ours.len() } else { ours_in_fields };
        }
        let looks_ours = line.references.iter().any(|text| Reference::parse(text.trim()).is_some());
        let words = line.bank_references.iter().chain(&line.narrated).chain(&line.references);
        let banks: Vec<Box<str>> = words.filter(|text| tells(text)).take(REFERENCES_MAX).cloned().collect();
        let own = line.bank_references.iter().filter(|text| tells(text)).count().min(REFERENCES_MAX);
        let name = if equal == 0 { hex(&hash) } else { format!("{}-{equal}", hex(&hash)) };
        let row = i64::from_be_bytes(std::array::from_fn(|place| hash[place]));
        let place = Place { merchant: MerchantId::HOUSE, row, field: "statement_lines.sealed" };
        let named = [&line.bank_references[..], &line.narrated].concat();
        let said = [&line.references.join("\u{1f}"), &named.join("\u{1f}"), &*line.narration].join("\n");
        let unnamed = (!line.entry.is_empty()).then(|| format!("?{name}"));
        let row = LineRow {
            reference: format!("?{name}"),
            line: name,
            side: line.side as i64,
            amount_paise: line.amount_paise,
            booked_at: line.booked_at,
            sealed: keys.seal(place, said.as_bytes()),
        };
        let reason = line.reason.clone();
        let (at, side, returned, taken_back) = (line.at, line.side, line.returned, line.taken_back);
        let whose = if side == Side::Credit { rules.whose(keys, line) } else { BTreeSet::new() };
        let (payout, forgotten, several) = (None, None, false);
        Item {
            at,
            side,
            returned,
            taken_back,
            unnamed,
            ours,
            ours_in_fields,
            looks_ours,
            banks,
            own,
            reason,
            row,
            payout,
            forgotten,
            several,
            whose,
        }
    }

    /// Finds what it is about, of the attempts that are known by its references, and names it so. A field tells; of words only
    /// those that name one payout, because the bank may have cut our reference out of them and left a merchant's words.
    pub fn name(&mut self, known: &HashMap<Reference, PayoutKnown>, installation: &str) {
        let (fields, words) = self.ours.split_at(self.ours_in_fields);
        let ours = |reference: &&Reference| known.contains_key(reference) || reference.is_of(installation);
        let field = fields.iter().find(|reference| known.contains_key(reference));
        let named: Vec<&Reference> = match field {
            Some(field) => vec![field],
            None => fields.iter().find(ours).into_iter().chain(words.iter().filter(ours)).collect(),
        };
        let payout = |reference: &Reference| known.get(reference).map(|known| known.payout);
        let first = named.first().copied().copied();
        let another = |first: Reference| {
            let same =
                |other: &&Reference| **other == first || payout(&first).is_some_and(|one| payout(other) == Some(one));
            !named.iter().all(same)
        };
        self.several = first.is_some_and(another) && !planted(Plant::NameIsAReference);
        let first = first.filter(|_| !self.several);
        self.payout = first.and_then(|reference| known.get(&reference)).copied();
        self.forgotten = first.filter(|_| self.payout.is_none());
        let known = self.payout.map(|payout| payout.reference).or(self.forgotten);
        // A credit is booked under what a clearing system calls it, which is the same in every file: by the bank's own field
        // rather than by words that a payer may have written; the longest, because a bank's own number may look like the
        // shortest.
        let longest =
            |banks: &[Box<str>]| banks.iter().rev().filter(|bank| clears(bank)).max_by_key(|bank| bank.len()).cloned();
        let cleared = longest(self.fields().0).or_else(|| longest(&self.banks));
        // Under a name of a payout that it may not be about, it would stand in the way of that one's own line.
        let first = self.banks.iter().find(|bank| !self.several || Reference::parse(bank).is_none());
        let bank = cleared.or(first.cloned()).filter(|_| self.side == Side::Credit);
        if let Some(reference) = known {
            self.row.reference = reference.as_str().to_owned();
        } else if let Some(bank) = bank {
            self.row.reference = bank.to_string();
        } else if let Some(reference) = self.ours.first().filter(|_| !self.several) {
            self.row.reference = reference.as_str().to_owned();
        } else if let Some(bank) = first {
            self.row.reference = bank.to_string();
        }
    }

    /// Of a debit, our references that stand in fields, each with how much it is, paise.
    pub fn in_fields(&self) -> impl Iterator<Item = (Reference, i64)> {
        let debit = self.side == Side::Debit && !self.returned && !self.taken_back;
        let fields = self.ours.iter().take(if debit { self.ours_in_fields } else { 0 });
        fields.map(|reference| (*reference, self.row.amount_paise))
    }

    /// Every name under which it may have been kept: as more becomes known of a line, another becomes the likeliest.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let banks = self.banks.iter().map(|bank| &**bank).filter(|_| self.side == Side::Credit);
        let own = [self.row.reference.as_str()].into_iter().chain(self.unnamed.as_deref());
        own.chain(self.ours.iter().map(Reference::as_str)).chain(banks)
    }

    /// What a bank may call it: by its own fields, and by words that somebody else may have written.
    fn fields(&self) -> (&[Box<str>], &[Box<str>]) {
        self.banks.split_at(self.own)
    }

    /// By which of a bank's names its payout may be found. What is sent has the merchant's words on it, so of a debit no other
    /// name counts beside the bank's own of this kind; a return has a name of its own and tells in words what it returns.
    pub fn called(&self) -> impl Iterator<Item = &str> {
        let (own, words) = self.fields();
        let counts = move |word: &str| self.side == Side::Credit || !own.iter().any(|own| denies(own, word));
        own.iter().chain(words.iter().filter(move |word| counts(word))).map(|bank| &**bank)
    }

    /// It as a credit that belongs to no payout; `None` where it is none, or one that returns something.
    pub fn credit(&self, connector: Connector, file: &FileLines) -> Option<CreditLine> {
        let fits = self.side == Side::Credit && !self.returned && self.payout.is_none() && self.forgotten.is_none();
        let amount = Amount::from_paise(self.row.amount_paise).filter(|_| fits)?;
        let (own, words) = self.fields();
        let rules = match self.whose.len() {
            0 | 1 => String::new(),
            merchants => format!(", by rules of {merchants} merchants"),
        };
        Some(CreditLine {
            connector,
            reference: self.row.reference.as_str().into(),
            line: self.row.line.as_str().into(),
            names: credit_names(own, words),
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
        let (amount, booked_at) = (Balance::from_paise(self.row.amount_paise), self.row.booked_at);
        let several = if self.several { ", names more than one payout" } else { "" };
        format!("{side} of {amount}, booked {booked_at}{several}")
    }

    /// What it comes to, where `others` are lines of the same side under the same name that were dealt with before it, and
    /// `taken_back` is a debit under it of which the bank has said that it was taken back.
    pub fn judge(&self, others: bool, taken_back: bool) -> Judged {
        let Some(payout) = &self.payout else {
            return match self.side {
                _ if self.forgotten.is_some() && others => Judged::Tell(match self.side {
                    Side::Debit => ExceptionKind::PaidTwice,
                    Side::Credit => ExceptionKind::UnknownCredit,
                }),
                Side::Debit if self.forgotten.is_some() && self.taken_back => Judged::Record(TAKEN_BACK),
                Side::Debit if self.forgotten.is_some() && !self.returned => Judged::Record(Outcome::Paid),
                Side::Credit if self.forgotten.is_some() => Judged::Record(Outcome::Reversed),
                Side::Credit if !self.returned => Judged::Later,
                _ if !self.banks.is_empty() => Judged::Later,
                side => Judged::Tell(self.unknown(side)),
            };
        };
        let equal = payout.amount_paise == self.row.amount_paise;
        let same = equal && payout.paid_attempt == Some(payout.attempt);
        match (self.side, payout.state) {
            // The bank takes back what it had credited: none of our orders is that.
            (Side::Debit, _) if self.returned => Judged::Tell(ExceptionKind::UnknownDebit),
            (Side::Debit, _) if others && !planted(Plant::SecondDebitKnown) => Judged::Tell(ExceptionKind::PaidTwice),
            (Side::Credit, _) if others => Judged::Tell(ExceptionKind::UnknownCredit),
            (Side::Debit, State::Paid | State::Reversed) | (Side::Credit, State::Reversed) if same => Judged::Known,
            // What became of the payout the bank must say itself; by this attempt it was not paid.
            (Side::Debit, _) if self.taken_back && equal => Judged::TakenBack,
            (Side::Credit, _) if taken_back && equal && payout.paid_attempt != Some(payout.attempt) => {
                Judged::TakenBack
            }
            (Side::Debit, _) => Judged::Record(Outcome::Paid),
            (Side::Credit, _) => Judged::Record(Outcome::Reversed),
        }
    }

    /// Whether the bank must be asked about its payout: it has taken back what we call paid.
    pub fn asks(&self) -> Option<&PayoutKnown> {
        let payout = self.payout.as_ref().filter(|_| self.taken_back)?;
        let by_it = payout.paid_attempt == Some(payout.attempt);
        (payout.state == State::Paid && by_it && payout.amount_paise == self.row.amount_paise).then_some(payout)
    }

    /// What the operator is told of a line that belongs to no payout.
    pub fn unknown(&self, side: Side) -> ExceptionKind {
        match side {
            Side::Debit if self.looks_ours && !self.returned && !self.several => ExceptionKind::UnknownReference,
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

/// Whether there is a debit that was taken back. What pays is known only of a payout that is paid by it.
pub fn has_taken_back(kept: &[Kept]) -> bool {
    let known = LineResult::Known as i64;
    kept.iter().any(|kept| kept.side == Side::Debit as i64 && kept.result == known && kept.kind.is_none())
}

/// Whether other lines of this side were dealt with before this one.
pub fn others(kept: &[Kept], item: &Item) -> usize {
    let other = |kept: &&Kept| kept.line != item.row.line && kept.side == item.row.side && kept.result != 0;
    kept.iter().filter(other).count()
}
