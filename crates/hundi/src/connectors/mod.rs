//! The banks. What to send and what a reply means are pure functions, one file per bank; one executor sends.
//!
//! A connector never decides what a payout becomes: it turns an order into a request and a reply into a [`Word`].

pub mod admin;
pub mod sandbox;

use crate::config::{self, Config};
use crate::http_out::{OutError, OutReply, OutRequest};
use hundi_core::command::{ConnectorRules, Outcome, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::money::Amount;
use hundi_core::party::{Beneficiary, PersonName};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
use hyper::http::request::Parts;
use std::time::Duration;

/// Everything that a bank must know to pay.
#[derive(Debug)]
pub struct Transfer<'a> {
    /// Our reference.
    pub reference: Reference,
    /// How much.
    pub amount: Amount,
    /// Over which rail.
    pub rail: Rail,
    /// To where.
    pub beneficiary: &'a Beneficiary,
    /// To whom.
    pub name: &'a PersonName,
    /// The bank must not execute it later than this.
    pub send_before: Timestamp,
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Our reference.
    pub reference: Reference,
    /// Now, for signatures that carry a time.
    pub now: Timestamp,
}

/// What a reply answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// The request that pays.
    ToPay,
    /// The question what became of it.
    WhatBecame,
}

/// A call that somebody made to us in a bank's name.
pub struct Call<'a> {
    /// The method, path and headers.
    pub head: &'a Parts,
    /// The body.
    pub body: &'a [u8],
    /// Now.
    pub now: Timestamp,
}

impl Call<'_> {
    /// A header, where it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// What a bank's call to us says.
#[derive(Debug)]
pub struct Called {
    /// Whether the call proves that the bank made it.
    pub signed: bool,
    /// About which reference.
    pub reference: Reference,
    /// What it says.
    pub word: Word,
}

/// A bank that speaks HTTP: what to send it, and what its replies and calls mean. Pure, so that each row of its table
/// "reply -> outcome" is a line of a test.
pub trait Bank: std::fmt::Debug + Send + Sync {
    /// Its contract.
    fn rules(&self) -> ConnectorRules;
    /// How long it may take to answer.
    fn reply_within(&self) -> Duration;
    /// The request that pays.
    fn request(&self, transfer: &Transfer<'_>) -> OutRequest;
    /// The question what became of a reference.
    fn enquiry(&self, question: Question) -> OutRequest;
    /// What a reply means. Only an explicit word about this reference pays or refuses; everything else is silence.
    fn outcome(&self, reference: Reference, asked: Asked, reply: &Result<OutReply, OutError>) -> Word;
    /// What a call says; `None` if it cannot be read or is about no payment.
    fn called(&self, call: &Call<'_>) -> Option<Called>;
}

/// The banks that are configured.
#[derive(Debug)]
pub struct Connectors {
    /// In the order in which they are tried.
    banks: Vec<Box<dyn Bank>>,
    /// Their contracts, within the limits that are configured.
    rules: Vec<ConnectorRules>,
}

impl Connectors {
    /// The banks of a configuration.
    pub fn new(config: &Config) -> Result<Connectors, String> {
        let mut banks: Vec<Box<dyn Bank>> = Vec::new();
        if let Some(sandbox) = &config.sandbox {
            banks.push(Box::new(sandbox::Sandbox::new(sandbox)?));
        }
        for (name, section) in &config.connectors {
            let connector = Connector::parse(name).ok_or_else(|| {
                format!("`connectors.{name}` cannot be a connector's name; take 1 to 16 of a-z, 0-9, - and _")
            })?;
            if banks.iter().any(|bank| bank.rules().connector == connector) {
                return Err(format!(
                    "there are two connectors `{name}`: [sandbox] is one; give the other another name"
                ));
            }
            let section_name = format!("connectors.{name}");
            banks.push(match section {
                config::Connector::Sandbox(sandbox) => {
                    Box::new(sandbox::Sandbox::named(connector, &section_name, sandbox)?)
                }
            });
        }
        let mut rules: Vec<ConnectorRules> = banks.iter().map(|bank| bank.rules()).collect();
        for (name, limits) in &config.limits {
            let limited = rules.iter_mut().find(|rules| rules.connector.as_str() == name);
            let limited = limited.ok_or_else(|| {
                format!("`limits.{name}` names no connector; configure `[connectors.{name}]`, or take the limits out")
            })?;
            limited.carries = limits.within(limited.carries);
        }
        Ok(Connectors { banks, rules })
    }

    /// Their contracts, in the order in which they are tried.
    pub fn rules(&self) -> Vec<ConnectorRules> {
        self.rules.clone()
    }

    /// The bank with this name.
    pub fn get(&self, name: &str) -> Option<&dyn Bank> {
        self.banks.iter().find(|bank| bank.rules().connector.as_str() == name).map(Box::as_ref)
    }
}

/// Sends a request to a bank, unless `within` is over already: then not a byte is written.
pub async fn send(
    out: &crate::http_out::HttpOut,
    request: OutRequest,
    within: Option<Duration>,
) -> Result<OutReply, OutError> {
    match within {
        Some(within) if !within.is_zero() => {
            out(OutRequest { deadline: within.min(request.deadline), ..request }).await
        }
        _ => Err(OutError::NotWritten("the time to send was over".to_owned())),
    }
}

/// A word without more: a silence, or a request that never left.
pub(crate) fn bare(outcome: Outcome, why: &str) -> Word {
    Word { outcome, amount_paise: None, rrn: "".into(), why: why.into() }
}

/// The name of a connector that is written in the code.
pub(crate) fn named(name: &'static str) -> Connector {
    // Names in the code are short and in lower case; a test parses each.
    Connector::parse(name).expect("a connector's name in the code is valid")
}
