//! The banks. What to send and what a reply means are pure functions, one file per bank; one executor sends.
//!
//! A connector never decides what a payout becomes: it turns an order into a request and a reply into a [`Word`].

pub mod sandbox;

use crate::config::Config;
use crate::http_out::{OutError, OutReply, OutRequest};
use hundi_core::command::{ConnectorRules, Outcome, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::money::Amount;
use hundi_core::party::{Beneficiary, PersonName};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
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

/// The banks that are configured.
#[derive(Debug)]
pub struct Connectors {
    sandbox: Option<sandbox::Sandbox>,
}

impl Connectors {
    /// The banks of a configuration.
    pub fn new(config: &Config) -> Result<Connectors, String> {
        Ok(Connectors { sandbox: config.sandbox.as_ref().map(sandbox::Sandbox::new).transpose()? })
    }

    /// Their contracts, in the order in which they are tried.
    pub fn rules(&self) -> Vec<ConnectorRules> {
        self.sandbox.iter().map(sandbox::Sandbox::rules).collect()
    }

    /// The bank with this name.
    pub fn get(&self, name: &str) -> Option<&sandbox::Sandbox> {
        self.sandbox.as_ref().filter(|sandbox| sandbox.rules().connector.as_str() == name)
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
