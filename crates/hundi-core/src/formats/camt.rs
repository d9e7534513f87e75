//! Statements and notices of ISO 20022: camt.053 and camt.054, versions .02, .04 and .08, whatever the namespace's prefix.
//!
//! One [`Line`] for an entry; where an entry has several transactions with amounts of their own, one for each. It is read as
//! a stream: what is held at once is one entry. Source of the shapes: the schemas (CONNECTORS.md, sections 4.3 and 4.5).

use super::text::{
    NARRATION_CHARS_MAX, add_bank_ids, add_id, add_narrated_ids, add_our_ids, clean, iso_date, iso_moment, not_rupees,
    paise,
};
use super::xml::{Broken, Xml};
use super::{Head, Line, Said, Side};
use crate::schedule::Timestamp;
use std::borrow::Cow;
use std::io::BufRead;

/// Transactions of one entry. A batch of more is refused as a whole: memory has a limit.
const TRANSACTIONS_MAX: usize = 50_000;
/// The only currency of Indian rails.
const CURRENCY: &str = "INR";
/// References that a line has for the whole of a batch.
const SHARED_MAX: usize = 16;

/// Why something was not used.
type Why = Cow<'static, str>;

/// Reads a statement or a notice to its end, or to where it is not well-formed.
pub fn read(input: impl BufRead, tell: &mut dyn FnMut(Said)) {
    let mut xml = Xml::new(input);
    if let Err(Broken { at, why }) = document(&mut xml, tell) {
        tell(bad(at, why));
    }
}

fn bad(at: u64, why: &str) -> Said {
    Said::Bad { at, why: why.into() }
}

fn document<R: BufRead>(xml: &mut Xml<R>, tell: &mut dyn FnMut(Said)) -> Result<(), Broken> {
    let root = xml.child()? == Some("Document");
    let known = ["camt.053.001.", "camt.054.001."].iter().any(|name| xml.namespace().contains(name));
    if !root || !known && !xml.namespace().is_empty() {
        return Err(xml.broken("it is not a camt.053 or camt.054"));
    }
    let mut statements = 0_u64;
    while let Some(name) = xml.child()? {
        if !matches!(name, "BkToCstmrStmt" | "BkToCstmrDbtCdtNtfctn") {
            return Err(xml.broken("it is not a camt.053 or camt.054"));
        }
        let mut made_at = None;
        while let Some(name) = xml.child()? {
            match name {
                "GrpHdr" => {
                    while let Some(name) = xml.child()? {
                        match name {
                            "CreDtTm" => made_at = iso_moment(&xml.text()?),
                            _ => xml.skip()?,
                        }
                    }
                }
                "Stmt" | "Ntfctn" => {
                    statements += 1;
                    statement(xml, made_at, tell)?;
                }
                _ => xml.skip()?,
            }
        }
    }
    if statements == 0 {
        return Err(xml.broken("it holds no statement"));
    }
    xml.child()?.map_or(Ok(()), |_| Err(Broken { at: 0, why: "" })).map_err(|_| xml.broken("it goes on after its end"))
}

fn statement<R: BufRead>(
    xml: &mut Xml<R>,
    mut made_at: Option<Timestamp>,
    tell: &mut dyn FnMut(Said),
) -> Result<(), Broken> {
    let (mut head, mut closing_paise, mut begun) = (Head::default(), None, false);
    while let Some(name) = xml.child()? {
        match name {
            "Id" => head.id = clean(&xml.text()?, 35),
            "CreDtTm" => made_at = iso_moment(&xml.text()?).or(made_at),
            "FrToDt" => head.period = period(xml)?.map(|(from, to)| (from, told_to(from, to, made_at))),
            "Acct" => head.account = account(xml)?,
            "Bal" => {
                let at = xml.at();
                match balance(xml)? {
                    Balance::Opening(paise) => head.opening_paise = Some(paise),
                    // Where the balance of the day before is given too, it is the same.
                    Balance::Previous(paise) => head.opening_paise = head.opening_paise.or(Some(paise)),
                    Balance::Closing(paise) => closing_paise = Some(paise),
                    Balance::Other => {}
                    Balance::Bad(why) => tell(bad(at, &why)),
                }
            }
            "Ntry" => {
                if !std::mem::replace(&mut begun, true) {
                    tell(Said::Begins(head.clone()));
                }
                entry(xml, made_at, tell)?;
            }
            _ => xml.skip()?,
        }
    }
    if !begun {
        tell(Said::Begins(head));
    }
    tell(Said::Ends { closing_paise });
    Ok(())
}

fn period<R: BufRead>(xml: &mut Xml<R>) -> Result<Option<(Timestamp, Timestamp)>, Broken> {
    let (mut from, mut to) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "FrDtTm" => from = iso_moment(&xml.text()?),
            "ToDtTm" => to = iso_moment(&xml.text()?),
            _ => xml.skip()?,
        }
    }
    Ok(from.zip(to))
}

/// A statement of a day that is not over speaks of nothing that came after it was made.
fn told_to(from: Timestamp, to: Timestamp, made_at: Option<Timestamp>) -> Timestamp {
    made_at.filter(|made| (from..to).contains(made)).unwrap_or(to)
}

fn account<R: BufRead>(xml: &mut Xml<R>) -> Result<Box<str>, Broken> {
    let mut account = "".into();
    while let Some(name) = xml.child()? {
        match name {
            "Id" => account = identifier(xml)?,
            _ => xml.skip()?,
        }
    }
    Ok(account)
}

/// `Id` of an account: an IBAN, or `Othr` with an `Id` of its own beside the name of its scheme.
fn identifier<R: BufRead>(xml: &mut Xml<R>) -> Result<Box<str>, Broken> {
    let mut id = "".into();
    while let Some(name) = xml.child()? {
        match name {
            "IBAN" => id = clean(&xml.text()?, 35),
            "Othr" => {
                while let Some(name) = xml.child()? {
                    match name {
                        "Id" => id = clean(&xml.text()?, 35),
                        _ => xml.skip()?,
                    }
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(id)
}

enum Balance {
    Opening(i64),
    Previous(i64),
    Closing(i64),
    Other,
    Bad(Why),
}

fn balance<R: BufRead>(xml: &mut Xml<R>) -> Result<Balance, Broken> {
    let (mut kind, mut amount, mut side) = (String::new(), Err(Why::from("the balance has no amount")), None);
    while let Some(name) = xml.child()? {
        match name {
            "Tp" => {
                while let Some(name) = xml.child()? {
                    match name {
                        // The other child says which part of a balance it is, and is not of interest.
                        "CdOrPrtry" => kind = xml.text()?,
                        _ => xml.skip()?,
                    }
                }
            }
            "Amt" => amount = amount_of(xml)?,
            "CdtDbtInd" => side = side_of(&xml.text()?),
            _ => xml.skip()?,
        }
    }
    let known: fn(i64) -> Balance = match kind.as_str() {
        "OPBD" => Balance::Opening,
        "PRCD" => Balance::Previous,
        "CLBD" => Balance::Closing,
        _ => return Ok(Balance::Other),
    };
    Ok(match (amount, side) {
        (Err(why), _) => Balance::Bad(why),
        (_, None) => Balance::Bad("the balance has no CdtDbtInd".into()),
        (Ok(paise), Some(Side::Credit)) => known(paise),
        (Ok(paise), Some(Side::Debit)) => known(-paise),
    })
}

/// The amount of an `Amt`, paise, or what is wrong with it.
fn amount_of<R: BufRead>(xml: &mut Xml<R>) -> Result<Result<i64, Why>, Broken> {
    let foreign = (xml.currency() != CURRENCY).then(|| not_rupees(xml.currency()));
    let text = xml.text()?;
    if let Some(why) = foreign {
        return Ok(Err(why));
    }
    // The schemas give every amount five decimals, whatever its currency; zeros beyond its own say nothing.
    let exact = match text.split_once('.').and_then(|(_, decimals)| decimals.split_at_checked(2)) {
        Some((_, zeros)) if zeros.len() <= 3 && zeros.bytes().all(|b| b == b'0') => text.strip_suffix(zeros),
        _ => None,
    };
    let amount = paise(exact.unwrap_or(&text), '.');
    Ok(amount.ok_or("the amount is not rupees with at most two decimals".into()))
}

fn side_of(text: &str) -> Option<Side> {
    match text {
        "CRDT" => Some(Side::Credit),
        "DBIT" => Some(Side::Debit),
        _ => None,
    }
}

/// What an entry and a transaction say in the same words.
#[derive(Default)]
struct Details {
    /// The amount, or what is wrong with it; `None` where there is none.
    amount: Option<Result<i64, Why>>,
    side: Option<Side>,
    /// What may be our reference, as it stands in its field.
    end_to_end: String,
    instruction: String,
    /// The bank's, in the order of likelihood.
    bank_ids: Vec<Box<str>>,
    /// Ids of the batch.
    batch_ids: Vec<Box<str>>,
    /// The account of the creditor.
    paid_into: Box<str>,
    /// All free text.
    words: String,
    returned: bool,
    reason: Box<str>,
}

/// An `Ntry` as it is read.
#[derive(Default)]
struct Entry {
    own: Details,
    booked: Option<bool>,
    booked_at: Option<Timestamp>,
    valued_at: Option<Timestamp>,
    transactions: Vec<(u64, Details)>,
    too_many: bool,
}

fn entry<R: BufRead>(xml: &mut Xml<R>, made_at: Option<Timestamp>, tell: &mut dyn FnMut(Said)) -> Result<(), Broken> {
    let at = xml.at();
    let mut entry = Entry::default();
    while let Some(name) = xml.child()? {
        match name {
            "Amt" => entry.own.amount = Some(amount_of(xml)?),
            "CdtDbtInd" => entry.own.side = side_of(&xml.text()?),
            "RvslInd" => entry.own.returned |= matches!(xml.text()?.as_str(), "true" | "1"),
            // The text itself until .07, within `Cd` or `Prtry` from .08 on.
            "Sts" => entry.booked = Some(xml.text()? == "BOOK"),
            "BookgDt" => entry.booked_at = date(xml)?,
            "ValDt" => entry.valued_at = date(xml)?,
            "AcctSvcrRef" => add_id(&mut entry.own.bank_ids, &xml.text()?),
            "AddtlNtryInf" => add_words(&mut entry.own.words, &xml.text()?),
            "NtryDtls" => details(xml, &mut entry)?,
            _ => xml.skip()?,
        }
    }
    match lines(at, entry, made_at) {
        Ok(lines) => lines.into_iter().for_each(|line| tell(Said::Line(Box::new(line)))),
        Err(why) => tell(bad(at, &why)),
    }
    Ok(())
}

/// `Dt` or `DtTm`.
fn date<R: BufRead>(xml: &mut Xml<R>) -> Result<Option<Timestamp>, Broken> {
    let mut date = None;
    while let Some(name) = xml.child()? {
        match name {
            "Dt" => date = date.or(iso_date(&xml.text()?)),
            "DtTm" => date = iso_moment(&xml.text()?).or(date),
            _ => xml.skip()?,
        }
    }
    Ok(date)
}

fn details<R: BufRead>(xml: &mut Xml<R>, entry: &mut Entry) -> Result<(), Broken> {
    while let Some(name) = xml.child()? {
        match name {
            "Btch" => {
                while let Some(name) = xml.child()? {
                    match name {
                        "MsgId" | "PmtInfId" => add_id(&mut entry.own.batch_ids, &xml.text()?),
                        _ => xml.skip()?,
                    }
                }
            }
            "TxDtls" if entry.transactions.len() == TRANSACTIONS_MAX => {
                entry.too_many = true;
                xml.skip()?;
            }
            "TxDtls" => {
                let at = xml.at();
                let transaction = transaction(xml)?;
                entry.transactions.push((at, transaction));
            }
            _ => xml.skip()?,
        }
    }
    Ok(())
}

fn transaction<R: BufRead>(xml: &mut Xml<R>) -> Result<Details, Broken> {
    let mut said = Details::default();
    let mut elsewhere = None;
    while let Some(name) = xml.child()? {
        match name {
            "Refs" => references(xml, &mut said)?,
            "Amt" => said.amount = Some(amount_of(xml)?),
            "AmtDtls" => elsewhere = amount_details(xml)?,
            "CdtDbtInd" => said.side = side_of(&xml.text()?),
            "RmtInf" => {
                while let Some(name) = xml.child()? {
                    match name {
                        "Ustrd" => add_words(&mut said.words, &xml.text()?),
                        _ => xml.skip()?,
                    }
                }
            }
            "RltdPties" => {
                while let Some(name) = xml.child()? {
                    match name {
                        "CdtrAcct" => said.paid_into = account(xml)?,
                        _ => xml.skip()?,
                    }
                }
            }
            "AddtlTxInf" => add_words(&mut said.words, &xml.text()?),
            "RtrInf" => {
                said.returned = true;
                return_information(xml, &mut said)?;
            }
            _ => xml.skip()?,
        }
    }
    said.amount = said.amount.or(elsewhere);
    Ok(said)
}

/// `AmtDtls`: the amount of the transaction, or else of its order. This is where .02 has the amounts of a batch.
fn amount_details<R: BufRead>(xml: &mut Xml<R>) -> Result<Option<Result<i64, Why>>, Broken> {
    let (mut ordered, mut moved) = (None, None);
    while let Some(name) = xml.child()? {
        let into = match name {
            "InstdAmt" => &mut ordered,
            "TxAmt" => &mut moved,
            _ => {
                xml.skip()?;
                continue;
            }
        };
        while let Some(name) = xml.child()? {
            match name {
                "Amt" => *into = Some(amount_of(xml)?),
                _ => xml.skip()?,
            }
        }
    }
    Ok(moved.or(ordered))
}

fn references<R: BufRead>(xml: &mut Xml<R>, said: &mut Details) -> Result<(), Broken> {
    let mut in_fields: Vec<String> = Vec::new();
    while let Some(name) = xml.child()? {
        match name {
            "EndToEndId" => said.end_to_end = xml.text()?,
            "InstrId" => said.instruction = xml.text()?,
            "AcctSvcrRef" => add_id(&mut said.bank_ids, &xml.text()?),
            "PmtInfId" | "MsgId" => add_id(&mut said.batch_ids, &xml.text()?),
            "UETR" | "TxId" | "ClrSysRef" if in_fields.len() < SHARED_MAX => in_fields.push(xml.text()?),
            "Prtry" => {
                while let Some(name) = xml.child()? {
                    match name {
                        "Ref" if in_fields.len() < SHARED_MAX => in_fields.push(xml.text()?),
                        _ => xml.skip()?,
                    }
                }
            }
            _ => xml.skip()?,
        }
    }
    // What looks like a UTR or RRN, even with words around it, is likelier than the rest.
    in_fields.iter().for_each(|field| add_bank_ids(&mut said.bank_ids, field));
    in_fields.iter().for_each(|field| add_id(&mut said.bank_ids, field));
    Ok(())
}

fn return_information<R: BufRead>(xml: &mut Xml<R>, said: &mut Details) -> Result<(), Broken> {
    while let Some(name) = xml.child()? {
        match name {
            // `Cd` or `Prtry` within.
            "Rsn" => said.reason = clean(&xml.text()?, 35),
            "AddtlInf" => add_words(&mut said.words, &xml.text()?),
            _ => xml.skip()?,
        }
    }
    Ok(())
}

fn add_words(words: &mut String, more: &str) {
    if words.len() + more.len() < 4 * NARRATION_CHARS_MAX {
        words.push(' ');
        words.push_str(more);
    }
}

/// The lines that an entry comes to: all of them or none.
fn lines(at: u64, mut entry: Entry, made_at: Option<Timestamp>) -> Result<Vec<Line>, Why> {
    if entry.too_many {
        return Err("the entry has more transactions than can be held; ask the bank for smaller batches".into());
    }
    let amount_paise = entry.own.amount.take().unwrap_or(Err("the entry has no amount".into()))?;
    let side = entry.own.side.ok_or("the entry has no CdtDbtInd")?;
    if amount_paise == 0 {
        return Err("the amount is zero".into());
    }
    let whole = Whole {
        side,
        booked: entry.booked.ok_or("the entry has no status")?,
        booked_at: entry.booked_at.or(entry.valued_at).or(made_at).ok_or("the entry has no date")?,
    };
    let several = entry.transactions.len() > 1;
    if several && entry.transactions.iter().all(|(_, said)| said.amount.is_some()) {
        return batch(entry, &whole, amount_paise);
    }
    // One transaction, or several that do not say how much each: the entry's own amount is what moved.
    let mut said = entry.own;
    let mut line = Line { at, amount_paise, ..whole.line() };
    for (_, transaction) in &mut entry.transactions {
        add_id(&mut line.references, &transaction.end_to_end);
        add_words(&mut said.words, &transaction.words);
        said.returned |= transaction.returned;
        if said.paid_into.is_empty() {
            said.paid_into = std::mem::take(&mut transaction.paid_into);
        }
        if said.reason.is_empty() {
            said.reason = std::mem::take(&mut transaction.reason);
        }
    }
    for (_, transaction) in &entry.transactions {
        add_id(&mut line.references, &transaction.instruction);
        transaction.bank_ids.iter().for_each(|id| add_id(&mut said.bank_ids, id));
        transaction.batch_ids.iter().for_each(|id| add_id(&mut said.batch_ids, id));
    }
    finish(&mut line, said);
    Ok(vec![line])
}

/// What all lines of an entry share.
struct Whole {
    side: Side,
    booked: bool,
    booked_at: Timestamp,
}

impl Whole {
    fn line(&self) -> Line {
        Line { booked: self.booked, ..Line::new(self.side, 0, self.booked_at) }
    }
}

/// A line for each transaction. They must come to the amount of the entry, or one of the two is misread.
fn batch(entry: Entry, whole: &Whole, amount_paise: i64) -> Result<Vec<Line>, Why> {
    let (mut lines, mut sum) = (Vec::with_capacity(entry.transactions.len()), 0_i64);
    for (at, mut said) in entry.transactions {
        let own_paise = said.amount.take().unwrap_or(Err("a transaction of the entry has no amount".into()))?;
        if own_paise == 0 {
            return Err("the amount of a transaction is zero".into());
        }
        let side = said.side.unwrap_or(whole.side);
        let towards = if side == whole.side { own_paise } else { -own_paise };
        sum = sum.checked_add(towards).ok_or("the amounts of its transactions are too large")?;
        let mut line = Line { at, amount_paise: own_paise, side, ..whole.line() };
        add_id(&mut line.references, &said.end_to_end);
        add_id(&mut line.references, &said.instruction);
        said.returned |= entry.own.returned;
        entry.own.bank_ids.iter().for_each(|id| add_id(&mut said.bank_ids, id));
        add_words(&mut said.words, &entry.own.words);
        finish(&mut line, said);
        lines.push(line);
    }
    if sum != amount_paise {
        return Err("the amounts of its transactions do not come to the amount of the entry".into());
    }
    Ok(lines)
}

/// Takes over what is said in free text, and the ids of the batch as the least likely.
fn finish(line: &mut Line, said: Details) {
    line.in_fields = line.references.len();
    add_our_ids(&mut line.references, &said.words);
    said.batch_ids.iter().for_each(|id| add_id(&mut line.references, id));
    line.bank_references = said.bank_ids;
    add_narrated_ids(line, &said.words);
    if line.side == Side::Credit {
        // Of a debit it is the beneficiary's.
        line.paid_into = said.paid_into;
    }
    line.narration = clean(&said.words, NARRATION_CHARS_MAX);
    line.returned = said.returned;
    line.reason = said.reason;
}
