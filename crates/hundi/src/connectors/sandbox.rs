//! The sandbox bank (`hundi bank`, docs/sandbox.md).
//!
//! "Paid" means that the bank's book has it. A reference is executed once; a request is refused after its `valid_until`,
//! so "not found" is final 5 s after `send_before`. Its callbacks are signed after Standard Webhooks.

use super::{Asked, Bank, Call, Called, NoWord, Question, Transfer, arrived, bare, label, named, reason};
use crate::config;
use crate::http_out::{Method, OutError, OutReply, OutRequest, Reach, check_url};
use bytes::Bytes;
use hundi_core::command::{ConnectorRules, Outcome, Way, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::party::Beneficiary;
use hundi_core::plant::{Plant, planted};
use hundi_core::routing::Carries;
use hundi_core::schedule::SECOND;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most of a reply that is read, bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// A shorter secret could be guessed, and an empty one would sign for everybody.
const SECRET_BYTES_LEAST: usize = 16;

/// The connector of a sandbox bank.
pub struct Sandbox {
    connector: Connector,
    transfers: String,
    secret: Option<Vec<u8>>,
    reply_within: Duration,
}

#[derive(Serialize)]
struct TransferBody<'a> {
    reference: &'a str,
    amount_paise: i64,
    rail: &'static str,
    valid_until_us: i64,
    beneficiary: BeneficiaryBody<'a>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum BeneficiaryBody<'a> {
    Account { account_number: &'a str, ifsc: &'a str, name: &'a str },
    Upi { vpa: &'a str, name: &'a str },
    Mobile { mobile: &'a str, name: &'a str },
}

#[derive(Deserialize)]
struct ReplyBody {
    reference: String,
    status: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    rrn: String,
    amount_paise: Option<i64>,
    #[serde(default)]
    retry_elsewhere: bool,
    #[serde(default)]
    retry_other_rail: bool,
}

impl Sandbox {
    /// The connector of the section `[sandbox]`.
    pub fn new(config: &config::Sandbox) -> Result<Sandbox, String> {
        Sandbox::named(named("sandbox"), "sandbox", config)
    }

    /// A connector with a name of its own, of this section.
    pub fn named(connector: Connector, section: &str, config: &config::Sandbox) -> Result<Sandbox, String> {
        check_url(&config.url, Reach::Operator).map_err(|error| format!("`{section}.url` is not valid: {error}"))?;
        let secret = match (&config.callback_secret, &config.callback_secret_file) {
            (Some(secret), _) => Some(secret.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    format!("cannot read `{section}.callback_secret_file` {}: {error}", path.display())
                })?;
                let secret = text.trim().as_bytes().to_vec();
                if secret.len() < SECRET_BYTES_LEAST {
                    return Err(format!(
                        "`{section}.callback_secret_file` {} holds fewer than {SECRET_BYTES_LEAST} characters; make a longer secret",
                        path.display()
                    ));
                }
                Some(secret)
            }
            (None, None) => None,
        };
        let transfers = format!("{}/transfers", config.url.trim_end_matches('/'));
        Ok(Sandbox { connector, transfers, secret, reply_within: Duration::from_millis(config.reply_within_ms) })
    }

    fn out(&self, method: Method, url: String, headers: Vec<(&'static str, String)>, body: Bytes) -> OutRequest {
        let deadline = self.reply_within;
        OutRequest {
            method,
            url,
            headers,
            body,
            deadline,
            write_before_boot_us: None,
            reply_bytes_max: REPLY_BYTES_MAX,
            reach: Reach::Operator,
        }
    }
}

impl Bank for Sandbox {
    fn rules(&self) -> ConnectorRules {
        ConnectorRules {
            connector: self.connector,
            not_found_final_us: Some(5 * SECOND),
            carries: Carries::ALL,
            way: Way::Call,
        }
    }

    fn reply_within(&self) -> Duration {
        self.reply_within
    }

    fn request(&self, transfer: &Transfer<'_>) -> OutRequest {
        let name = transfer.name.for_rail(transfer.rail.rules());
        let beneficiary = match transfer.beneficiary {
            Beneficiary::Account { number, ifsc } => {
                BeneficiaryBody::Account { account_number: number.as_str(), ifsc: ifsc.as_str(), name: &name }
            }
            Beneficiary::Vpa(vpa) => BeneficiaryBody::Upi { vpa: vpa.as_str(), name: &name },
            Beneficiary::Mobile(mobile) => BeneficiaryBody::Mobile { mobile: mobile.as_str(), name: &name },
        };
        let body = TransferBody {
            reference: transfer.reference.as_str(),
            amount_paise: transfer.amount.paise(),
            rail: transfer.rail.as_str(),
            valid_until_us: transfer.send_before.0,
            beneficiary,
        };
        // Writing strings and numbers as JSON cannot fail.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        self.out(
            Method::Post,
            self.transfers.clone(),
            vec![("content-type", "application/json".to_owned())],
            body.into(),
        )
    }

    fn enquiry(&self, question: Question) -> Option<OutRequest> {
        let url = format!("{}/{}", self.transfers, question.reference);
        Some(self.out(Method::Get, url, Vec::new(), Bytes::new()))
    }

    fn outcome(&self, reference: Reference, _: Asked, reply: &Result<OutReply, OutError>) -> Word {
        let reply = match arrived(reply) {
            Ok(reply) => reply,
            Err(word) => return word,
        };
        if reply.truncated {
            return bare(Outcome::Silent, "");
        }
        match (reply.status, serde_json::from_slice::<ReplyBody>(&reply.body)) {
            (500, Ok(body)) if body.reference == reference.as_str() && planted(Plant::ErrorBodyTrusted) => word(body),
            (200, Ok(body)) if body.reference == reference.as_str() || planted(Plant::AnyReference) => word(body),
            (404, Ok(body)) if body.reference == reference.as_str() && body.status == "not_found" => {
                bare(Outcome::NotFound, "")
            }
            _ => bare(Outcome::Silent, ""),
        }
    }

    fn called(&self, call: &Call<'_>) -> Result<Called, NoWord> {
        let reading: ReplyBody = serde_json::from_slice(call.body).map_err(|_| NoWord::Unreadable)?;
        let reference = Reference::parse(&reading.reference).ok_or(NoWord::Unreadable)?;
        let signed = call.proves(self.secret.as_deref(), call.body) || planted(Plant::ForgedCallbackTrusted);
        Ok(Called { signed, reference, word: word(reading) })
    }
}

fn word(body: ReplyBody) -> Word {
    let outcome = match body.status.as_str() {
        "paid" => Outcome::Paid,
        "deemed" if planted(Plant::DeemedAsPaid) => Outcome::Paid,
        // Deemed (code 91) is not paid and not refused, but the bank has it: "not found" can no longer be true.
        "accepted" | "pending" | "deemed" => Outcome::Accepted,
        // It came too late and will never be executed; nothing is wrong with the order.
        "refused" if body.code == "EXPIRED" => Outcome::NotExecuted,
        "refused" if body.retry_other_rail => Outcome::RailRefused,
        "refused" => Outcome::Refused { elsewhere: body.retry_elsewhere },
        "reversed" => Outcome::Reversed,
        "not_found" => Outcome::NotFound,
        // Whatever this bank may learn to say: nothing is certain.
        _ => Outcome::Silent,
    };
    Word { outcome, amount_paise: body.amount_paise, rrn: label(&body.rrn), why: reason(&body.message) }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("signed", &self.secret.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hundi_core::schedule::Timestamp;
    use hundi_core::signing;

    fn sandbox() -> Sandbox {
        let config = config::Sandbox {
            url: "http://127.0.0.1:9".to_owned(),
            callback_secret_file: None,
            callback_secret: Some(b"secret".to_vec()),
            reply_within_ms: 5_000,
        };
        Sandbox::new(&config).unwrap()
    }

    #[test]
    fn only_an_explicit_word_about_our_reference_counts() {
        let reference = Reference::parse("ABCDEFGHIJKLMNO").unwrap();
        let about = |rest: &str| format!(r#"{{"reference":"ABCDEFGHIJKLMNO",{rest}}}"#);
        for (status, body, outcome) in [
            (200, about(r#""status":"paid","rrn":"036516753713","amount_paise":100"#), Outcome::Paid),
            (200, about(r#""status":"accepted""#), Outcome::Accepted),
            (200, about(r#""status":"pending""#), Outcome::Accepted),
            (200, about(r#""status":"refused""#), Outcome::Refused { elsewhere: false }),
            (200, about(r#""status":"refused","retry_elsewhere":true"#), Outcome::Refused { elsewhere: true }),
            (200, about(r#""status":"refused","retry_elsewhere":true,"retry_other_rail":true"#), Outcome::RailRefused),
            (200, about(r#""status":"reversed""#), Outcome::Reversed),
            (200, about(r#""status":"deemed","code":"91""#), Outcome::Accepted),
            (200, about(r#""status":"refused","code":"EXPIRED","retry_elsewhere":true"#), Outcome::NotExecuted),
            (200, about(r#""status":"gone""#), Outcome::Silent),
            (404, about(r#""status":"not_found""#), Outcome::NotFound),
            (404, "<html>404</html>".to_owned(), Outcome::Silent),
            (200, r#"{"reference":"XXXXXXXXXXXXXXX","status":"refused"}"#.to_owned(), Outcome::Silent),
            (200, about(r#""status":7"#), Outcome::Silent),
            (200, String::new(), Outcome::Silent),
            (400, about(r#""status":"refused""#), Outcome::Silent),
            (409, r#"{"error":"conflict"}"#.to_owned(), Outcome::Silent),
            (500, about(r#""status":"refused""#), Outcome::Silent),
            (503, "busy".to_owned(), Outcome::Silent),
        ] {
            let reply = OutReply { status, body: body.clone().into(), truncated: false };
            assert_eq!(sandbox().outcome(reference, Asked::ToPay, &Ok(reply)).outcome, outcome, "{status} {body}");
        }
        for (error, outcome) in [
            (OutError::NotWritten("x".into()), Outcome::NotWritten),
            (OutError::Forbidden("x".into()), Outcome::NotWritten),
            (OutError::Withheld("x"), Outcome::NotWritten),
            (OutError::Silent("x".into()), Outcome::Silent),
        ] {
            assert_eq!(sandbox().outcome(reference, Asked::ToPay, &Err(error)).outcome, outcome);
        }
    }

    #[test]
    fn a_call_is_signed_only_with_the_secret_and_in_time() {
        let body = br#"{"reference":"ABCDEFGHIJKLMNO","status":"paid"}"#;
        let now = Timestamp(1_000_000 * SECOND);
        let called = |headers: &[(&str, &str)], body: &[u8]| {
            let mut request = hyper::Request::post("/connectors/sandbox/callback");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            sandbox().called(&Call { head: &head, body, now })
        };
        let signed = |id: &str, at: i64, secret: &[u8]| {
            let (signature, at) = (signing::sign(secret, id, at, body), at.to_string());
            let headers = [("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &signature)];
            called(&headers, body).unwrap().signed
        };
        assert!(signed("a", 1_000_000, b"secret"));
        assert!(!signed("a", 1_000_000, b"other"));
        assert!(!signed("a", 1_000_301, b"secret"));
        assert!(!signed("a", 999_699, b"secret"));
        assert!(!called(&[], body).unwrap().signed);
        assert!(called(&[], b"{}").is_err());
        assert!(called(&[], br#"{"reference":"short","status":"paid"}"#).is_err());
    }
}
