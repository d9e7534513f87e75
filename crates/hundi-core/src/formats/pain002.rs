//! A bank's answer to a file of orders: pain.002, versions .03 to .15.
//!
//! It speaks of the file, of batches, and of single transfers, and leaves out what it likes. [`Report::about`] says what it
//! comes to for one of our references; the tables are in CONNECTORS.md, sections 4.2, 4.4 and 7.4:
//!
//! | status | comes to |
//! |---|---|
//! | RCVD ACTC ACCP ACFC ACWC PDNG ACSP; PART and not named | accepted |
//! | ACSC ACCC of the transfer itself | paid. Of its batch or file: accepted, the statement is the proof |
//! | RJCT of the transfer, its batch or its file | by its reasons, see [`reasons`] |
//! | a status that is not known | accepted where the bank has a number for the transfer, else silence |
//! | a file or batch that is rejected and a transfer that is not | silence: the bank says two things |
//! | a transfer twice and not alike, or two transfers in one | silence, and it is [`Report::broken`] |

use super::reasons;
use super::text::{add_bank_ids, add_id, clean, paise};
use super::xml::{Broken, Xml};
use crate::command::{Outcome, Word};
use crate::plant::{Plant, planted};
use std::collections::BTreeMap;
use std::io::BufRead;

/// Transfers of one report.
const ITEMS_MAX: usize = 50_000;
/// Reasons of one status.
const REASONS_MAX: usize = 8;
/// Free text of one status, characters.
const NOTE_CHARS_MAX: usize = 500;

/// A report, as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The bank's number of the report.
    pub id: Box<str>,
    /// The id of our file that it is about.
    pub message_id: Box<str>,
    group: Status,
    batches: BTreeMap<Box<str>, Status>,
    items: BTreeMap<Box<str>, Status>,
}

/// Why a report is not used, not even in part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// The line, from 1.
    pub at: u64,
    /// Why.
    pub why: &'static str,
}

/// What a report says about one transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What it comes to.
    pub word: Word,
    /// The status and its reasons as the bank writes them, such as `RJCT AC04`; empty if there is none.
    pub codes: Box<str>,
    /// The bank's free text, for people and not for merchants: it may hold account numbers.
    pub note: Box<str>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Status {
    code: Box<str>,
    reasons: Vec<Box<str>>,
    note: String,
    bank_reference: Box<str>,
    amount_paise: Option<i64>,
    /// Whether it cannot be used: it was said twice and not alike, of two payments, or with an amount that is not rupees.
    broken: bool,
}

/// Reads a report; all of it, or nothing.
pub fn read(file: &[u8]) -> Result<Report, Unreadable> {
    report(&mut Xml::new(file)).map_err(|Broken { at, why }| Unreadable { at, why })
}

fn report<R: BufRead>(xml: &mut Xml<R>) -> Result<Report, Broken> {
    let root = xml.child()? == Some("Document");
    let known = xml.namespace().contains("pain.002.001.") || xml.namespace().is_empty();
    if !root || !known || xml.child()? != Some("CstmrPmtStsRpt") {
        return Err(xml.broken("it is not a pain.002"));
    }
    let mut report = Report::default();
    match parts(xml, &mut report) {
        Err(_) if planted(Plant::CutAnswerBelieved) && !report.items.is_empty() => return Ok(report),
        read => read?,
    }
    // The end of the document, and nothing after it.
    if xml.child()?.is_some() || xml.child()?.is_some() {
        return Err(xml.broken("it goes on after its end"));
    }
    if report.message_id.is_empty() {
        return Err(xml.broken("it does not say which file it is about (OrgnlMsgId)"));
    }
    Ok(report)
}

fn parts<R: BufRead>(xml: &mut Xml<R>, report: &mut Report) -> Result<(), Broken> {
    while let Some(name) = xml.child()? {
        match name {
            "GrpHdr" => {
                while let Some(name) = xml.child()? {
                    match name {
                        "MsgId" => report.id = clean(&xml.text()?, 35),
                        _ => xml.skip()?,
                    }
                }
            }
            "OrgnlGrpInfAndSts" => {
                while let Some(name) = xml.child()? {
                    match name {
                        "OrgnlMsgId" => report.message_id = clean(&xml.text()?, 35),
                        "GrpSts" => report.group.code = clean(&xml.text()?, 35),
                        "StsRsnInf" => reason(xml, &mut report.group)?,
                        _ => xml.skip()?,
                    }
                }
            }
            "OrgnlPmtInfAndSts" => batch(xml, report)?,
            _ => xml.skip()?,
        }
    }
    Ok(())
}

fn batch<R: BufRead>(xml: &mut Xml<R>, report: &mut Report) -> Result<(), Broken> {
    let (mut id, mut status) = (Box::default(), Status::default());
    while let Some(name) = xml.child()? {
        match name {
            "OrgnlPmtInfId" => id = clean(&xml.text()?, 35),
            "PmtInfSts" => status.code = clean(&xml.text()?, 35),
            "StsRsnInf" => reason(xml, &mut status)?,
            "TxInfAndSts" => {
                let (id, status) = item(xml)?;
                if report.items.len() == ITEMS_MAX {
                    return Err(xml.broken("it speaks of more transfers than a file may hold"));
                }
                if !id.is_empty() {
                    add(&mut report.items, id, status);
                }
            }
            _ => xml.skip()?,
        }
    }
    add(&mut report.batches, id, status);
    Ok(())
}

/// What is said twice must be said alike.
fn add(known: &mut BTreeMap<Box<str>, Status>, id: Box<str>, status: Status) {
    // The free text may differ: it changes nothing.
    let alike = |before: &Status| {
        let whole = |status: &Status| (status.amount_paise, status.bank_reference.clone());
        (&before.code, &before.reasons) == (&status.code, &status.reasons) && whole(before) == whole(&status)
    };
    let differs = known.get(&id).is_some_and(|before| !alike(before)) && !planted(Plant::AnswerToldTwice);
    let broken = differs || known.get(&id).is_some_and(|before| before.broken) || status.broken;
    known.insert(id, Status { broken, ..status });
}

fn item<R: BufRead>(xml: &mut Xml<R>) -> Result<(Box<str>, Status), Broken> {
    let mut status = Status::default();
    let (mut ours, mut fallback, mut banks) = (Vec::new(), Vec::new(), Vec::new());
    let mut account_reference = String::new();
    while let Some(name) = xml.child()? {
        match name {
            "OrgnlEndToEndId" => add_id(&mut ours, &xml.text()?),
            "OrgnlInstrId" => add_id(&mut fallback, &xml.text()?),
            "TxSts" => {
                status.broken |= !status.code.is_empty();
                status.code = clean(&xml.text()?, 35);
            }
            "StsRsnInf" => reason(xml, &mut status)?,
            "AcctSvcrRef" => account_reference = xml.text()?,
            "ClrSysRef" => {
                let text = xml.text()?;
                add_bank_ids(&mut banks, &text);
                add_id(&mut banks, &text);
            }
            "OrgnlTxRef" => original(xml, &mut status)?,
            _ => xml.skip()?,
        }
    }
    // A UTR is what everybody knows a payment by; the bank's own number is the next best.
    add_bank_ids(&mut banks, &account_reference);
    add_id(&mut banks, &account_reference);
    status.bank_reference = banks.into_iter().next().unwrap_or_default();
    // We send both ids equal: where they are not, it may be about either.
    let mut ids = ours.into_iter().chain(fallback);
    let id = ids.next().unwrap_or_default();
    status.broken |= ids.any(|other| other != id);
    Ok((id, status))
}

/// `OrgnlTxRef`: the amount as we sent it.
fn original<R: BufRead>(xml: &mut Xml<R>, status: &mut Status) -> Result<(), Broken> {
    while let Some(name) = xml.child()? {
        if name != "Amt" {
            xml.skip()?;
            continue;
        }
        while let Some(name) = xml.child()? {
            if name != "InstdAmt" {
                xml.skip()?;
                continue;
            }
            let indian = xml.currency() == "INR";
            status.broken |= status.amount_paise.is_some();
            status.amount_paise = paise(&xml.text()?, '.').filter(|_| indian);
            status.broken |= status.amount_paise.is_none();
        }
    }
    Ok(())
}

fn reason<R: BufRead>(xml: &mut Xml<R>, status: &mut Status) -> Result<(), Broken> {
    while let Some(name) = xml.child()? {
        match name {
            // `Cd` or `Prtry` within.
            "Rsn" => {
                let code = clean(&xml.text()?, 35);
                if status.reasons.len() == REASONS_MAX {
                    return Err(xml.broken("a status has too many reasons"));
                }
                status.reasons.push(code);
            }
            "AddtlInf" => {
                let text = xml.text()?;
                status.note = clean(&format!("{} {text}", status.note), NOTE_CHARS_MAX).into();
            }
            _ => xml.skip()?,
        }
    }
    Ok(())
}

const REJECTED: &str = "RJCT";

impl Report {
    /// What the report comes to for a transfer that we sent in this file and batch under this reference.
    pub fn about(&self, message_id: &str, batch_id: &str, reference: &str) -> Answer {
        if *self.message_id != *message_id {
            return Answer { word: word(Outcome::Silent, "", &Status::default()), codes: "".into(), note: "".into() };
        }
        let empty = Status::default();
        let item = self.items.get(reference).filter(|item| !item.code.is_empty() || item.broken);
        let batch = self.batches.get(batch_id).unwrap_or(&empty);
        let levels = [item.unwrap_or(&empty), batch, &self.group];
        // The nearest that says something, and the nearest from there on that says why.
        let Some((at, status)) = levels.iter().enumerate().find(|(_, level)| !level.code.is_empty() || level.broken)
        else {
            return Answer { word: word(Outcome::Silent, "", &empty), codes: "".into(), note: "".into() };
        };
        let above = levels.get(at..).unwrap_or_default();
        let reasons = above.iter().find(|level| !level.reasons.is_empty()).map_or(&[][..], |level| &level.reasons);
        let note = above.iter().find(|level| !level.note.is_empty()).map_or("", |level| &level.note);
        let two_things = *status.code != *REJECTED && above.iter().any(|level| *level.code == *REJECTED);
        let (outcome, why) = match &*status.code {
            _ if status.broken || two_things => (Outcome::Silent, ""),
            "RCVD" | "ACTC" | "ACCP" | "ACFC" | "ACWC" | "PDNG" | "ACSP" => (Outcome::Accepted, ""),
            "ACSC" | "ACCC" if item.is_some() => (Outcome::Paid, ""),
            "ACSC" | "ACCC" => (Outcome::Accepted, ""),
            "PART" if item.is_none() => (Outcome::Accepted, ""),
            REJECTED => reasons::refusal(reasons.iter().map(|code| &**code)),
            _ if !status.bank_reference.is_empty() => (Outcome::Accepted, ""),
            _ => (Outcome::Silent, ""),
        };
        let shown = if *status.code == *REJECTED { reasons } else { &[] };
        let codes = shown.iter().fold(status.code.to_string(), |codes, reason| format!("{codes} {reason}"));
        Answer { word: word(outcome, why, status), codes: codes.into(), note: note.into() }
    }

    /// The transfers and batches of which it says what cannot be used: two things, or an amount that is not rupees.
    pub fn broken(&self) -> impl Iterator<Item = &str> {
        self.batches.iter().chain(&self.items).filter(|(_, status)| status.broken).map(|(id, _)| &**id)
    }

    /// The references that the report names, in order.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.items.keys().map(|id| &**id)
    }
}

fn word(outcome: Outcome, why: &str, status: &Status) -> Word {
    Word { outcome, amount_paise: status.amount_paise, rrn: status.bank_reference.clone(), why: why.into() }
}
