//! The worked example of docs/connectors.md: a connector for the Acme Bank, which does not exist, whole and with its
//! fixtures. To write one for a bank that does, copy this file; it is compiled and tested with the others, and is no part of a
//! release.
//!
//! "Paid" means `done`: the beneficiary was credited. Acme promises nothing about requests that come late, so "not found"
//! never becomes final by itself.
//!
//! | status and `state` | outcome |
//! |---|---|
//! | 200 `done` | paid |
//! | 200 `taken`, `sent` | accepted |
//! | 200 `refused` with the code `E_BENEFICIARY` | refused |
//! | 200 `refused` with the code `E_NETWORK` | refused, another bank may try |
//! | 200 `returned` | reversed |
//! | 404 with our id | not found |
//! | 422 | refused: nothing was made |
//! | any other reply | silent, and accepted once the bank has shown a number of its own |

use super::{Asked, Bank, Call, Called, NoWord, Question, Transfer, bare, label, reason, replied};
use crate::http_out::{Method, OutError, OutReply, OutRequest, Reach};
use bytes::Bytes;
use hundi_core::command::{ConnectorRules, Outcome, Way, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::money::Amount;
use hundi_core::party::Beneficiary;
use hundi_core::rails::{RAILS, Rail};
use hundi_core::routing::Carries;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most of a reply that is read, bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// Acme's limit for one payment, paise: ten lakh rupees.
const MOST_PAISE: i64 = 10_00_000_00;

/// The connector of an account at the Acme Bank. It holds no connection and no state.
struct Acme {
    connector: Connector,
    payments: String,
    token: String,
    secret: Vec<u8>,
}

#[derive(Serialize)]
struct PaymentBody<'a> {
    id: &'a str,
    rupees: String,
    mode: &'static str,
    to: To<'a>,
}

#[derive(Serialize)]
struct To<'a> {
    account: &'a str,
    ifsc: &'a str,
    name: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    id: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    utr: String,
    #[serde(default)]
    rupees: String,
}

impl Acme {
    fn out(&self, method: Method, url: String, body: Vec<u8>) -> OutRequest {
        OutRequest {
            method,
            url,
            headers: vec![
                ("authorization", format!("Bearer {}", self.token)),
                ("content-type", "application/json".to_owned()),
            ],
            body: Bytes::from(body),
            deadline: self.reply_within(),
            write_before_boot_us: None,
            reply_bytes_max: REPLY_BYTES_MAX,
            reach: Reach::Operator,
        }
    }
}

impl Bank for Acme {
    fn rules(&self) -> ConnectorRules {
        let rails = RAILS.map(|rail| rail.rail != Rail::Upi);
        let carries = Carries { rails, least_paise: 100, most_paise: MOST_PAISE };
        ConnectorRules { connector: self.connector, not_found_final_us: None, carries, way: Way::Call }
    }

    fn reply_within(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn carries(&self, transfer: &Transfer<'_>) -> Result<(), &'static str> {
        match transfer.beneficiary {
            Beneficiary::Account { .. } => Ok(()),
            Beneficiary::Vpa(_) | Beneficiary::Mobile(_) => Err("The bank pays to accounts only"),
        }
    }

    fn request(&self, transfer: &Transfer<'_>) -> OutRequest {
        let (account, ifsc) = match transfer.beneficiary {
            Beneficiary::Account { number, ifsc } => (number.as_str(), ifsc.as_str()),
            // `carries` has said no.
            Beneficiary::Vpa(_) | Beneficiary::Mobile(_) => ("", ""),
        };
        let name = transfer.name.for_rail(transfer.rail.rules());
        // Our reference is their idempotency key: the same request again is the same payment.
        let body = PaymentBody {
            id: transfer.reference.as_str(),
            rupees: transfer.amount.to_string(),
            mode: transfer.rail.as_str(),
            to: To { account, ifsc, name: &name },
        };
        // Writing strings as JSON cannot fail.
        self.out(Method::Post, self.payments.clone(), serde_json::to_vec(&body).unwrap_or_default())
    }

    fn enquiry(&self, question: Question) -> Option<OutRequest> {
        // By our reference, because theirs may never have reached us.
        Some(self.out(Method::Get, format!("{}/{}", self.payments, question.reference), Vec::new()))
    }

    fn outcome(&self, reference: Reference, asked: Asked, reply: &Result<OutReply, OutError>) -> Word {
        let (status, body) = match replied(self.connector, asked, reply) {
            Ok(replied) => replied,
            Err(word) => return word,
        };
        match (status, serde_json::from_slice::<Reply>(body)) {
            (200, Ok(reply)) if reply.id == reference.as_str() => word(&reply),
            (404, Ok(reply)) if reply.id == reference.as_str() => bare(Outcome::NotFound, ""),
            (422, Ok(reply)) if asked == Asked::ToPay && reply.id == reference.as_str() => {
                Word { why: reason(&reply.note), ..bare(Outcome::Refused { elsewhere: false }, "") }
            }
            // A page of a proxy, another payment's answer, a status that nobody has documented: nothing is certain.
            _ => bare(Outcome::Silent, ""),
        }
    }

    fn called(&self, call: &Call<'_>) -> Result<Called, NoWord> {
        let reply: Reply = serde_json::from_slice(call.body).map_err(|_| NoWord::Unreadable)?;
        let reference = Reference::parse(&reply.id).ok_or(NoWord::NotOurs)?;
        Ok(Called { signed: call.proves(Some(&self.secret), call.body), reference, word: word(&reply) })
    }
}

fn word(reply: &Reply) -> Word {
    let outcome = match (reply.state.as_str(), reply.code.as_str()) {
        ("done", _) => Outcome::Paid,
        ("taken" | "sent", _) => Outcome::Accepted,
        ("refused", "E_BENEFICIARY") => Outcome::Refused { elsewhere: false },
        ("refused", "E_NETWORK") => Outcome::Refused { elsewhere: true },
        ("returned", _) => Outcome::Reversed,
        _ if !reply.utr.is_empty() => Outcome::Accepted,
        _ => Outcome::Silent,
    };
    // Money stays text or paise: no float, not even in between.
    let amount_paise = Amount::from_decimal_text(&reply.rupees).ok().map(Amount::paise);
    Word { outcome, amount_paise, rrn: label(&reply.utr), why: reason(&reply.note) }
}

impl std::fmt::Debug for Acme {
    /// Without the token and the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acme").field("connector", &self.connector).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::named;
    use crate::connectors::tests::{UNPAID, shared_rows, told};

    #[test]
    fn every_row_of_the_table_is_a_fixture() {
        let (connector, payments) = (named("acme"), "https://acme.test/payments".to_owned());
        let acme = Acme { connector, payments, token: "t".repeat(20), secret: b"acme secret".to_vec() };
        shared_rows(&acme, r#"{"id":"ABCDEFGHIJKLMNO","state":"done","utr":"326816000001","rupees":"1.00"}"#);
        for row in include_str!("example_replies.txt").lines().filter(|row| !row.starts_with('#')) {
            let mut cells = row.splitn(4, " | ");
            let [asked, status, outcome, body] = std::array::from_fn(|_| cells.next().unwrap());
            let asked = if asked == "to pay" { Asked::ToPay } else { UNPAID() };
            let word = told(&acme, asked, status.parse().unwrap(), body);
            assert_eq!(format!("{:?}", word.outcome), outcome, "{row}");
        }
    }
}
