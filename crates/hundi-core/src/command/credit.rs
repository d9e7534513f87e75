//! Bank credits: each is booked once, whoever tells of it first, a person or a statement, and whatever he calls it.
//!
//! ```text
//! fund by hand ------> wallet, and it is expected that a statement tells of it
//! statement's line --> what was expected, or by a rule a wallet, or the house's suspense; in doubt nothing, and a person looks
//! ```

use super::{Decision, Refusal, Snapshot, Transition};
use crate::formats::{apart, clears, denies};
use crate::ids::{Actor, Connector, MerchantId};
use crate::money::Amount;
use crate::payout::ExceptionKind;
use crate::plant::{Plant, planted};
use crate::postings;
use crate::schedule::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Banks date one credit differently from format to format: by so many days.
const DATED_APART: i64 = 1;
/// What a person books and what a statement tells of lie at most so many days apart: an equal amount after that is another
/// credit, and one of which no statement tells until then is missing.
pub const EXPECTED_DAYS: i64 = 3;

/// A bank credit that is booked: it has funded a wallet, or lies in the house's suspense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credit {
    /// At which bank.
    pub connector: Connector,
    /// What the bank calls it, or where it does not, what its line is called.
    pub reference: Box<str>,
    /// Whose wallet, or the house.
    pub merchant: MerchantId,
    /// How much.
    pub amount: Amount,
    /// The Indian day on which the bank booked it or, until a statement tells of it, a person.
    pub day: i64,
    /// When a person booked it; none where a statement was first.
    pub by_hand_at: Option<Timestamp>,
    /// The key of the statement's line that tells of it; none yet where a person was first.
    pub line: Option<Box<str>>,
    /// What else the bank calls it; and its reference itself, where that was read in free text only.
    pub names: Vec<(Box<str>, Read)>,
}

/// Where a name of a credit was read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Read {
    /// In free text. Payers write there too, so it may be what somebody else's payment is called.
    Narrated,
    /// In a field of the bank's own, or by a person.
    Field,
}

/// The names of a credit: those that its bank gives in fields of its own, and what was read elsewhere. A bank's field wins over
/// words: a second UTR beside that of the field is another payment's. Twelve digits may be the bank's own number and no RRN,
/// and win over nothing.
pub fn credit_names(fields: &[Box<str>], narrated: &[Box<str>]) -> Vec<(Box<str>, Read)> {
    let anothers = |name: &str| fields.iter().any(|field| **field == *name || denies(field, name));
    let narrated = narrated.iter().filter(|name| !anothers(name)).map(|name| (name.clone(), Read::Narrated));
    fields.iter().map(|name| (name.clone(), Read::Field)).chain(narrated).collect()
}

/// A credit as decisions know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownCredit {
    /// Whose wallet, or the house.
    pub merchant: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Where its reference was read.
    pub read: Read,
    /// The Indian day of [`Credit::day`]; none for one of before schema 7.
    pub day: Option<i64>,
    /// The key of the statement's line that tells of it.
    pub line: Option<Box<str>>,
}

/// A booked credit of a statement that belongs to no payout.
#[derive(Clone, Debug)]
pub struct CreditLine {
    /// At which bank.
    pub connector: Connector,
    /// Under which reference the line is kept: what the bank calls it, the likeliest.
    pub reference: Box<str>,
    /// The line's key.
    pub line: Box<str>,
    /// Everything that the bank may call it.
    pub names: Vec<(Box<str>, Read)>,
    /// How much.
    pub amount: Amount,
    /// The Indian day on which it was booked.
    pub day: i64,
    /// Whose it is by the rules, if they name one merchant.
    pub whose: Option<MerchantId>,
    /// The lines that came in the same file: two lines of one file are two credits.
    pub file: FileLines,
    /// What a person is told of it, without secrets.
    pub detail: Box<str>,
}

/// The lines of a file, by the hashes that their keys begin with, and how many have each.
#[derive(Clone, Default)]
pub struct FileLines(pub Arc<HashMap<u128, u32>>);

impl FileLines {
    /// Whether the line with this key is in the file.
    fn has(&self, line: &str) -> bool {
        let hash = line.split('-').next().unwrap_or(line);
        u128::from_str_radix(hash, 16).is_ok_and(|hash| self.0.contains_key(&hash))
    }
}

impl fmt::Debug for FileLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileLines({})", self.0.len())
    }
}

impl CreditLine {
    /// Where its reference was read.
    fn read(&self) -> Read {
        read(&self.names, &self.reference)
    }

    /// The days on which a booking may be of the same credit.
    pub fn days(&self) -> RangeInclusive<i64> {
        self.day - DATED_APART..=self.day + EXPECTED_DAYS
    }
}

/// What a statement's credit comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credited {
    /// It has funded the wallet of the merchant whom the rules name.
    Funded,
    /// It is what a person had booked before.
    Expected,
    /// Nobody knows whose it is: it lies in the house's suspense.
    Suspended,
    /// It was told before, in another file.
    Again,
    /// A person has booked it with another amount; nothing moved.
    Differs,
    /// It may be one that was booked before; nothing moved.
    Doubtful,
}

impl Credited {
    /// What the operator is told.
    pub const fn told(self) -> Option<ExceptionKind> {
        match self {
            Credited::Funded | Credited::Expected | Credited::Again => None,
            Credited::Suspended => Some(ExceptionKind::UnknownCredit),
            Credited::Differs => Some(ExceptionKind::CreditDiffers),
            Credited::Doubtful => Some(ExceptionKind::CreditDoubtful),
        }
    }
}

/// What has become of a statement's line; written with what it moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineCredited {
    /// At which bank.
    pub connector: Connector,
    /// Under which reference the line is kept.
    pub reference: Box<str>,
    /// The line's key.
    pub line: Box<str>,
    /// What it came to.
    pub credited: Credited,
    /// What the operator is told, where he is.
    pub detail: Box<str>,
    /// A credit that a person had booked under this reference, which the line tells of.
    pub expected: Option<Credit>,
}

/// The line's reference and its own key: the name of an exception of which there may be several under one reference.
pub fn named_alone(reference: &str, line: &str) -> String {
    // Lines that are equal in all have the same hash, and a number after it.
    let (hash, equal) = line.split_once('-').unwrap_or((line, "0"));
    format!("{reference}~{}-{equal}", hash.get(..8).unwrap_or(hash))
}

/// Where a reference was read that is one of these names; what is none of them names a line and nothing else.
fn read(names: &[(Box<str>, Read)], reference: &str) -> Read {
    names.iter().find(|(name, _)| **name == *reference).map_or(Read::Field, |(_, read)| *read)
}

/// The credits that a bank calls so: under this reference, or by another name of theirs; and where it was read that they are.
fn called<'a>(
    snapshot: &'a Snapshot,
    connector: Connector,
    name: &'a str,
) -> impl Iterator<Item = (&'a str, &'a KnownCredit, Read)> {
    let known = move |reference: &str| snapshot.credits.get(&(connector, reference.into()));
    let others = snapshot.credit_names.get(&(connector, name.into())).into_iter().flatten();
    let others = others.filter(move |(reference, _)| ***reference != *name);
    let others = others.filter_map(move |(reference, read)| Some((&**reference, known(reference)?, *read)));
    known(name).map(|known| (name, known, known.read)).into_iter().chain(others)
}

/// Whether a person may book a credit under this name: nobody has. A repeat by the same words, which are the bank's, is one.
pub(super) fn unbooked(
    snapshot: &Snapshot,
    connector: Connector,
    name: &str,
    merchant: MerchantId,
    amount: Amount,
) -> Result<bool, Refusal> {
    let mut known = called(snapshot, connector, name).peekable();
    if known.peek().is_none() {
        return Ok(true);
    }
    let mut in_suspense = false;
    for (_, known, read) in known {
        // What a payer may have written proves no repeat: a person must find out which credit he has before him.
        if known.merchant == merchant && known.amount == amount && read == Read::Field {
            return Ok(false);
        }
        in_suspense |= known.merchant == MerchantId::HOUSE;
    }
    Err(if in_suspense { Refusal::CreditInSuspense } else { Refusal::CreditReused })
}

/// A person books a credit into a merchant's wallet.
pub(super) fn fund(
    snapshot: &mut Snapshot,
    (connector, reference): (Connector, &str),
    merchant: MerchantId,
    amount: Amount,
    actor: &Actor,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if !unbooked(snapshot, connector, reference, merchant, amount)? {
        return Ok(Decision::Repeat(None));
    }
    let mut transition = Transition::default();
    let credit = by_hand(connector, reference, merchant, amount, now);
    book(snapshot, &mut transition, credit, postings::fund(amount, connector), (actor, reference), now)?;
    Ok(Decision::Done(Box::new(transition)))
}

/// What a person books; a statement is expected to tell of it.
pub(super) fn by_hand(
    connector: Connector,
    reference: &str,
    merchant: MerchantId,
    amount: Amount,
    now: Timestamp,
) -> Credit {
    let (day, by_hand_at) = (now.ist_day(), Some(now));
    Credit { connector, reference: reference.into(), merchant, amount, day, by_hand_at, line: None, names: Vec::new() }
}

/// Moves a credit's money and remembers that it was moved.
fn book(
    snapshot: &mut Snapshot,
    transition: &mut Transition,
    credit: Credit,
    movement: postings::Movement,
    (actor, memo): (&Actor, &str),
    now: Timestamp,
) -> Result<(), Refusal> {
    let book = snapshot.merchants.get_mut(&credit.merchant).ok_or(Refusal::MerchantUnknown)?;
    let row = book.accounts.post(credit.merchant, movement, None, actor, memo, now)?;
    book.changed = true;
    note(snapshot, &credit);
    transition.journal.push(row);
    transition.credit = Some(Box::new(credit));
    Ok(())
}

/// Lets the commands after this one know of a credit, as they would if it had been stored.
pub(super) fn note(snapshot: &mut Snapshot, credit: &Credit) {
    let Credit { connector, reference, merchant, amount, day, line, names, .. } = credit;
    let (merchant, amount, read) = (*merchant, *amount, read(names, reference));
    let known = KnownCredit { merchant, amount, read, day: Some(*day), line: line.clone() };
    snapshot.credits.insert((*connector, reference.clone()), known);
    for (name, read) in names {
        snapshot.credit_names.entry((*connector, name.clone())).or_default().insert(reference.clone(), *read);
    }
}

/// A statement tells of a credit: exactly one of what is in [`Credited`] comes of it, whatever was told before.
pub(super) fn told(
    snapshot: &mut Snapshot,
    line: &CreditLine,
    actor: &Actor,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let mut transition = Transition::default();
    let mut said = LineCredited {
        connector: line.connector,
        reference: line.reference.clone(),
        line: line.line.clone(),
        credited: Credited::Doubtful,
        detail: line.detail.clone(),
        expected: None,
    };
    match judge(snapshot, line) {
        Judged::Mine => return Ok(Decision::Repeat(None)),
        Judged::Again => said.credited = Credited::Again,
        Judged::Expected(reference, merchant) => {
            let credit = telling(line, &reference, merchant);
            note(snapshot, &credit);
            said.credited = Credited::Expected;
            said.expected = Some(credit);
        }
        Judged::Moves => {
            let (merchant, movement, credited) = match line.whose {
                Some(merchant) => (merchant, postings::fund(line.amount, line.connector), Credited::Funded),
                None => (MerchantId::HOUSE, postings::suspense(line.amount, line.connector), Credited::Suspended),
            };
            let credit = telling(line, &line.reference, merchant);
            book(snapshot, &mut transition, credit, movement, (actor, &line.reference), now)?;
            said.credited = credited;
        }
        Judged::Differs(reference, amount) => {
            said.credited = Credited::Differs;
            said.detail = format!("{}; booked by hand as {amount} under {reference}", line.detail).into();
        }
        Judged::Doubtful(reference) => {
            said.detail = format!("{}; perhaps the one that is booked as {reference}", line.detail).into();
        }
    }
    transition.line = Some(Box::new(said));
    Ok(Decision::Done(Box::new(transition)))
}

/// A credit as a line tells of it.
fn telling(line: &CreditLine, reference: &str, merchant: MerchantId) -> Credit {
    Credit {
        connector: line.connector,
        reference: reference.into(),
        merchant,
        amount: line.amount,
        day: line.day,
        by_hand_at: None,
        line: Some(line.line.clone()),
        names: line.names.iter().filter(|named| **named != (reference.into(), Read::Field)).cloned().collect(),
    }
}

/// What a line is, by what is booked already.
enum Judged {
    /// This very line was decided before.
    Mine,
    /// It was told before, in another file.
    Again,
    /// A person has booked it under this reference, for this book.
    Expected(Box<str>, MerchantId),
    /// It is new.
    Moves,
    /// A person has booked it under this reference, with this amount.
    Differs(Box<str>, Amount),
    /// It may be the one that is booked under this reference.
    Doubtful(Box<str>),
}

fn judge(snapshot: &Snapshot, line: &CreditLine) -> Judged {
    let names = [&line.reference].into_iter().chain(line.names.iter().map(|(name, _)| name));
    let known: Vec<_> = names.flat_map(|name| called(snapshot, line.connector, name)).collect();
    // Under whatever name: a bank may call an entry otherwise when it tells of it again.
    if at_bank(snapshot, line.connector).any(|(_, known)| known.line.as_ref() == Some(&line.line)) {
        return Judged::Mine;
    }
    let expected = || known.iter().filter(|(_, known, _)| known.line.is_none());
    if let Some((reference, known, _)) = expected().find(|(_, known, _)| known.amount == line.amount) {
        // Whoever writes the name of what is expected into his own payment must not have it taken for that.
        let in_words = read(&line.names, reference) == Read::Narrated && **reference != *line.reference;
        let doubted = in_words && line.read() == Read::Field && clears(&line.reference);
        return if doubted && !planted(Plant::NarrationBelieved) {
            Judged::Doubtful((*reference).into())
        } else {
            Judged::Expected((*reference).into(), known.merchant)
        };
    }
    if let Some((reference, known, _)) = expected().next() {
        return Judged::Differs((*reference).into(), known.amount);
    }
    // What a clearing system calls a payment is that payment's alone; a bank's own reference may be that of a whole batch.
    let alone = clears(&line.reference);
    let same = called(snapshot, line.connector, &line.reference)
        .filter(|(reference, ..)| alone || **reference == *line.reference);
    if let Some((reference, known, read)) = same.max_by_key(|(.., read)| *read) {
        let elsewhere = known.line.as_ref().is_some_and(|told| !line.file.has(told));
        // The bank itself must say so on both sides: what a payer writes would make another's credit disappear.
        let banks = line.read().min(read) == Read::Field || planted(Plant::NarrationBelieved);
        let again = banks && elsewhere && alone && known.amount == line.amount && known.day == Some(line.day);
        return if again { Judged::Again } else { Judged::Doubtful(reference.into()) };
    }
    match similar(snapshot, line) {
        Some(reference) if !planted(Plant::CreditToldTwice) => Judged::Doubtful(reference.into()),
        Some(_) | None => Judged::Moves,
    }
}

/// The credits at a bank.
fn at_bank(snapshot: &Snapshot, connector: Connector) -> impl Iterator<Item = (&(Connector, Box<str>), &KnownCredit)> {
    let from = snapshot.credits.range((connector, Box::from(""))..);
    from.take_while(move |((at, _), _)| *at == connector)
}

/// A credit of this amount and time that may be this one under another name: not one that came in the same file.
fn similar<'a>(snapshot: &'a Snapshot, line: &CreditLine) -> Option<&'a str> {
    let mut near = at_bank(snapshot, line.connector).filter(|(_, known)| {
        let Some(day) = known.day.filter(|_| known.amount == line.amount) else { return false };
        match &known.line {
            Some(told) => day.abs_diff(line.day) <= DATED_APART.unsigned_abs() && !line.file.has(told),
            None => line.days().contains(&day),
        }
    });
    // A name in words beside one in a field may be another payment's; two in words are those of two lines of one kind of file.
    let two = |reference: &str, known: &KnownCredit| apart(reference, &line.reference) && known.read == line.read();
    near.find(|((_, reference), known)| !two(reference, known)).map(|((_, reference), _)| &**reference)
}
