//! Cashfree payouts, version 2 of its API (docs/connectors.md).
//!
//! "Paid" means `SUCCESS` with the code `COMPLETED`: the beneficiary was credited. With any other code only our debit is
//! known; `credited_after_s` says when that is enough. Amounts are rupees with decimals, and never become floats.
//!
//! | status | outcome |
//! |---|---|
//! | `SUCCESS`, `COMPLETED` | paid |
//! | `SUCCESS`, any other code | accepted; paid after `credited_after_s` |
//! | `RECEIVED`, `QUEUED`, `PENDING`, `VALIDATION_PENDING`, `APPROVAL_PENDING` | accepted |
//! | `REJECTED` with a code about our account or the mode ([`REJECTED_ELSEWHERE`]) | refused, another bank may try |
//! | `REJECTED` with any other code, `MANUALLY_REJECTED` | refused |
//! | `REVERSED` after it was paid | reversed |
//! | `FAILED`, `REVERSED` with a code about a bank between ([`FAILED_ELSEWHERE`]) | refused, another bank may try |
//! | `FAILED`, `REVERSED` with the code `IMPS_MODE_FAIL` | the rail is refused |
//! | `FAILED`, `REVERSED` with any other code | refused |
//! | any other status of a transfer that has an id | accepted |
//!
//! | error to the request that pays | outcome |
//! |---|---|
//! | 400, 404, 422 | refused |
//! | 412 | refused, another bank may try: the balance is low |
//!
//! A question that is answered 404 is "not found", which is never final. Errors count only in their documented shape.
//!
//! Cashfree lets us in by our addresses, or by a signature: `X-Cf-Signature`, which is the client's id and the second,
//! encrypted with the public key that the dashboard gives. It holds for ten minutes, so each request carries its own.
//!
//! Source: Cashfree documentation, `api-reference/payouts/v2`, and npm package `cashfree-payout` 0.0.14.

use super::{
    Asked, Bank, Call, Called, NoWord, Pace, Question, Transfer, address, bare, configured, label, needed_secret,
    reason, replied, secret,
};
use crate::config;
use crate::http_out::{Method, OutError, OutReply, OutRequest, Reach};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use hundi_core::command::{ConnectorRules, Outcome, Way, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::money::Amount;
use hundi_core::party::{Beneficiary, PersonName};
use hundi_core::rails::Rail;
use hundi_core::routing::Carries;
use hundi_core::schedule::{SECOND, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::Sha256;
use std::path::Path;
use std::time::Duration;

/// The most of a reply that is read, bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// A timestamp beyond this counts milliseconds and not seconds.
const SECONDS_MOST: i64 = 100_000_000_000;
/// What Cashfree takes of a name and of an account number, characters.
const NAME_CHARS_MAX: usize = 100;
const ACCOUNT_CHARS: std::ops::RangeInclusive<usize> = 9..=18;

/// The codes of a rejection that lie with our account there or with the mode; a `*` stands for anything.
pub const REJECTED_ELSEWHERE: [&str; 5] =
    ["INSUFFICIENT_BALANCE", "INSIDE_BLACKOUT_WINDOW", "*_LIMIT_BREACH", "VELOCITY_*", "INVALID_MODE_*"];

/// The codes of a failure that lie with a bank between us and the beneficiary.
pub const FAILED_ELSEWHERE: [&str; 4] =
    ["SOURCE_BANK_DECLINED", "WAIT_TIME_EXCEEDED", "BANK_GATEWAY_ERROR", "REINITIALIZE_*"];

/// The code that says that the beneficiary's account takes no IMPS.
const IMPS_MODE_FAIL: &str = "IMPS_MODE_FAIL";

/// The connector of a Cashfree account.
pub struct Cashfree {
    connector: Connector,
    transfers: String,
    client_id: String,
    client_secret: String,
    webhook_secret: Vec<u8>,
    /// What signs requests; `None` where our addresses are enough.
    signature_key: Option<OaepPublicEncryptingKey>,
    fundsource_id: Option<String>,
    credited_after_us: Option<i64>,
    pace: Option<Pace>,
    reply_within: Duration,
}

#[derive(Serialize)]
struct TransferBody<'a> {
    transfer_id: &'a str,
    transfer_amount: Box<RawValue>,
    transfer_currency: &'static str,
    transfer_mode: String,
    transfer_remarks: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fundsource_id: Option<&'a str>,
    beneficiary_details: BeneficiaryDetails<'a>,
}

#[derive(Serialize)]
struct BeneficiaryDetails<'a> {
    beneficiary_name: &'a str,
    beneficiary_instrument_details: Instrument<'a>,
}

#[derive(Serialize, Default)]
struct Instrument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_account_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_ifsc: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpa: Option<&'a str>,
}

/// A transfer as Cashfree tells of it. The amount stays the text that it is.
#[derive(Deserialize)]
struct TransferReply<'a> {
    transfer_id: String,
    #[serde(default)]
    cf_transfer_id: Option<String>,
    status: String,
    status_code: Option<String>,
    status_description: Option<String>,
    #[serde(borrow)]
    transfer_amount: Option<&'a RawValue>,
    transfer_utr: Option<String>,
}

#[derive(Deserialize)]
struct ErrorReply {
    #[serde(rename = "type")]
    kind: String,
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(rename = "type")]
    kind: String,
}

impl Cashfree {
    /// The connector of this name and configuration.
    pub fn new(name: &str, options: &config::Cashfree) -> Result<Cashfree, String> {
        let url = address(name, &options.url)?;
        let (file, env) = (options.client_secret_file.as_deref(), options.client_secret_env.as_deref());
        let client_secret = needed_secret(name, "client_secret", file, env)?;
        let (file, env) = (options.webhook_secret_file.as_deref(), options.webhook_secret_env.as_deref());
        let webhook_secret = secret(name, "webhook_secret", file, env)?.unwrap_or_else(|| client_secret.clone());
        if options.client_id.trim().is_empty() || !options.client_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("`connectors.{name}.client_id` must be the id that Cashfree shows, without spaces"));
        }
        Ok(Cashfree {
            connector: configured(name)?,
            transfers: format!("{url}/transfers"),
            client_id: options.client_id.clone(),
            client_secret,
            webhook_secret: webhook_secret.into_bytes(),
            signature_key: options.signature_key_file.as_deref().map(|path| public_key(name, path)).transpose()?,
            fundsource_id: options.fundsource_id.clone(),
            credited_after_us: options.credited_after_s.map(|after_s| after_s.saturating_mul(SECOND)),
            pace: options.calls_per_s.map(Pace::new),
            reply_within: Duration::from_millis(options.reply_within_ms),
        })
    }

    fn out(&self, method: Method, url: String, body: Vec<u8>, now: Timestamp) -> OutRequest {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-api-version", "2024-01-01".to_owned()),
            ("x-client-id", self.client_id.clone()),
            ("x-client-secret", self.client_secret.clone()),
        ];
        headers.extend(self.signature(now).map(|signature| ("x-cf-signature", signature)));
        OutRequest {
            method,
            url,
            headers,
            body: body.into(),
            deadline: self.reply_within,
            write_before_boot_us: None,
            reply_bytes_max: REPLY_BYTES_MAX,
            reach: Reach::Operator,
        }
    }

    /// The second factor of a request: base64 of RSA-OAEP (SHA-1, MGF1) of `clientId.unixSeconds`. The padding is random, so
    /// no two are the same. Source: `api-reference/vrs/2fa-api-signature-generation`.
    fn signature(&self, now: Timestamp) -> Option<String> {
        let signer = self.signature_key.as_ref()?;
        let text = format!("{}.{}", self.client_id, now.0.div_euclid(SECOND));
        let mut room = vec![0; signer.ciphertext_size()];
        // Without it Cashfree turns us away, and nothing is paid.
        let sealed = signer.encrypt(&OAEP_SHA1_MGF1SHA1, text.as_bytes(), &mut room, None).ok()?;
        Some(STANDARD.encode(sealed))
    }

    /// What a transfer's state means to whoever has asked so.
    fn word(&self, asked: Asked, transfer: &TransferReply<'_>) -> Word {
        let code = transfer.status_code.as_deref().unwrap_or_default();
        let amount = transfer.transfer_amount.map(|amount| paise(amount.get()));
        let long_ago = match (asked, self.credited_after_us) {
            (Asked::WhatBecame(question), Some(after_us)) => question.now >= question.send_before.after(after_us),
            (Asked::WhatBecame(_), None) | (Asked::ToPay, _) => false,
        };
        let was_paid = matches!(asked, Asked::WhatBecame(Question { paid: true, .. }));
        let outcome = match transfer.status.as_str() {
            // An amount that cannot be read cannot be compared with what was ordered.
            "SUCCESS" if amount == Some(None) => Outcome::Accepted,
            "SUCCESS" if code == "COMPLETED" || long_ago => Outcome::Paid,
            "SUCCESS" | "RECEIVED" | "QUEUED" | "PENDING" | "VALIDATION_PENDING" | "APPROVAL_PENDING" => {
                Outcome::Accepted
            }
            "REJECTED" => Outcome::Refused { elsewhere: matches_one(code, &REJECTED_ELSEWHERE) },
            "MANUALLY_REJECTED" => Outcome::Refused { elsewhere: false },
            "REVERSED" if was_paid => Outcome::Reversed,
            "FAILED" | "REVERSED" if code == IMPS_MODE_FAIL => Outcome::RailRefused,
            "FAILED" | "REVERSED" => Outcome::Refused { elsewhere: matches_one(code, &FAILED_ELSEWHERE) },
            // Whatever Cashfree may learn to say: it has the transfer.
            _ if transfer.cf_transfer_id.as_deref().is_some_and(|id| !id.is_empty()) => Outcome::Accepted,
            _ => Outcome::Silent,
        };
        let why = match outcome {
            Outcome::Refused { .. } | Outcome::RailRefused | Outcome::Reversed => {
                reason(transfer.status_description.as_deref().filter(|text| !text.is_empty()).unwrap_or(code))
            }
            _ => "".into(),
        };
        let rrn = label(transfer.transfer_utr.as_deref().unwrap_or_default());
        Word { outcome, amount_paise: amount.flatten(), rrn, why }
    }
}

/// The public key of a file in PEM, as the dashboard gives it.
fn public_key(name: &str, path: &Path) -> Result<OaepPublicEncryptingKey, String> {
    let wrong = |why: &str| {
        format!(
            "`connectors.{name}.signature_key_file` {}: {why}; download it again from the dashboard",
            path.display()
        )
    };
    let pem = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem).map_err(|_| wrong("it is no public key in PEM"))?;
    let rsa =
        PublicEncryptingKey::from_der(der.as_ref()).map_err(|_| wrong("it is no RSA key of 2048 bits or more"))?;
    OaepPublicEncryptingKey::new(rsa).map_err(|_| wrong("it cannot be used for RSA-OAEP"))
}

/// Whether a code is one of these, each with one `*` at most.
fn matches_one(code: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| match pattern.split_once('*') {
        Some((before, after)) => {
            code.len() >= before.len() + after.len() && code.starts_with(before) && code.ends_with(after)
        }
        None => code == *pattern,
    })
}

/// Rupees as JSON spells them, a number or a text of one, in paise; `None` for anything that is not exactly that.
fn paise(json: &str) -> Option<i64> {
    let text = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json);
    let (rupees, decimals) = text.split_once('.').unwrap_or((text, "00"));
    let (paise, rest) = decimals.split_at_checked(2).unwrap_or((decimals, ""));
    if paise.is_empty() || !rest.bytes().all(|byte| byte == b'0') {
        return None;
    }
    Amount::from_decimal_text(&format!("{rupees}.{paise:0<2}")).ok().map(Amount::paise)
}

/// A name of letters and single spaces, which is all that Cashfree carries.
fn plain_name(name: &PersonName, rail: Rail) -> String {
    let mut plain = String::new();
    for c in name.for_rail(rail.rules()).chars() {
        if c.is_ascii_alphabetic() {
            plain.push(c);
        } else if !plain.is_empty() && !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain.truncate(NAME_CHARS_MAX);
    plain.trim_end().to_owned()
}

impl Bank for Cashfree {
    fn rules(&self) -> ConnectorRules {
        ConnectorRules { connector: self.connector, not_found_final_us: None, carries: Carries::ALL, way: Way::Call }
    }

    fn reply_within(&self) -> Duration {
        self.reply_within
    }

    fn carries(&self, transfer: &Transfer<'_>) -> Result<(), &'static str> {
        match transfer.beneficiary {
            Beneficiary::Mobile(_) => Err("The bank does not pay to mobile numbers"),
            _ if transfer.amount.paise() < 100 => Err("The bank carries one rupee and more"),
            _ if plain_name(transfer.name, transfer.rail).is_empty() => {
                Err("Beneficiary's name has no letters that the bank carries")
            }
            Beneficiary::Account { number, .. } if !ACCOUNT_CHARS.contains(&number.as_str().len()) => {
                Err("The bank does not carry an account number of this length")
            }
            Beneficiary::Account { .. } | Beneficiary::Vpa(_) => Ok(()),
        }
    }

    fn request(&self, transfer: &Transfer<'_>) -> OutRequest {
        let instrument = match transfer.beneficiary {
            Beneficiary::Account { number, ifsc } => {
                Instrument { bank_account_number: Some(number.as_str()), bank_ifsc: Some(ifsc.as_str()), vpa: None }
            }
            Beneficiary::Vpa(vpa) => Instrument { vpa: Some(vpa.as_str()), ..Instrument::default() },
            // It is not carried; Cashfree refuses what names no instrument.
            Beneficiary::Mobile(_) => Instrument::default(),
        };
        let name = plain_name(transfer.name, transfer.rail);
        // Digits with a point between them are a JSON number.
        let amount = RawValue::from_string(transfer.amount.to_string()).unwrap_or_default();
        let body = TransferBody {
            transfer_id: transfer.reference.as_str(),
            transfer_amount: amount,
            transfer_currency: "INR",
            transfer_mode: transfer.rail.as_str().to_ascii_lowercase(),
            transfer_remarks: transfer.reference.as_str(),
            fundsource_id: self.fundsource_id.as_deref(),
            beneficiary_details: BeneficiaryDetails {
                beneficiary_name: &name,
                beneficiary_instrument_details: instrument,
            },
        };
        // A start sets `send_before` that much later than now, and reads no other clock.
        let within_us = i64::try_from(self.reply_within.as_micros()).unwrap_or(0);
        let now = transfer.send_before.after(-within_us);
        self.out(Method::Post, self.transfers.clone(), serde_json::to_vec(&body).unwrap_or_default(), now)
    }

    fn enquiry(&self, question: Question) -> Option<OutRequest> {
        let id = utf8_percent_encode(question.reference.as_str(), NON_ALPHANUMERIC);
        Some(self.out(Method::Get, format!("{}?transfer_id={id}", self.transfers), Vec::new(), question.now))
    }

    fn outcome(&self, reference: Reference, asked: Asked, reply: &Result<OutReply, OutError>) -> Word {
        let (status, body) = match replied(self.connector, asked, reply) {
            Ok(replied) => replied,
            Err(word) => return word,
        };
        if (200..=299).contains(&status) {
            return match serde_json::from_slice::<TransferReply<'_>>(body) {
                Ok(transfer) if transfer.transfer_id == reference.as_str() => self.word(asked, &transfer),
                _ => bare(Outcome::Silent, ""),
            };
        }
        let Ok(error) = serde_json::from_slice::<ErrorReply>(body) else { return bare(Outcome::Silent, "") };
        let why = if error.message.is_empty() { error.code.as_str() } else { error.message.as_str() };
        match (status, asked) {
            _ if error.kind.is_empty() || error.code.is_empty() => bare(Outcome::Silent, ""),
            (400 | 404 | 422, Asked::ToPay) => bare(Outcome::Refused { elsewhere: false }, &reason(why)),
            (412, Asked::ToPay) => bare(Outcome::Refused { elsewhere: true }, "The bank account is low"),
            (404, Asked::WhatBecame(_)) => bare(Outcome::NotFound, ""),
            _ => bare(Outcome::Silent, ""),
        }
    }

    fn pace(&self) -> Option<&Pace> {
        self.pace.as_ref()
    }

    fn called(&self, call: &Call<'_>) -> Result<Called, NoWord> {
        let event: Event<'_> = match serde_json::from_slice(call.body) {
            Ok(event) => event,
            Err(_) => return Err(NoWord::Unreadable),
        };
        if !event.kind.starts_with("TRANSFER_") {
            return Err(NoWord::NotOurs);
        }
        let transfer: TransferReply<'_> = serde_json::from_str(event.data.get()).map_err(|_| NoWord::Unreadable)?;
        let reference = Reference::parse(&transfer.transfer_id).ok_or(NoWord::NotOurs)?;
        let proof = || {
            let timestamp = call.header("x-webhook-timestamp")?;
            let given = STANDARD.decode(call.header("x-webhook-signature")?).ok()?;
            let at: i64 = timestamp.parse().ok()?;
            let at_s = if at > SECONDS_MOST { at / 1_000 } else { at };
            let mut mac = Hmac::<Sha256>::new_from_slice(&self.webhook_secret).ok()?;
            mac.update(timestamp.as_bytes());
            mac.update(call.body);
            // Compares in constant time.
            mac.verify_slice(&given).ok()?;
            Some(call.is_fresh(at_s))
        };
        // Which pages call ACKNOWLEDGED and which SUCCESS differs; the transfer's own state does not.
        Ok(Called { signed: proof().unwrap_or(false), reference, word: self.word(Asked::ToPay, &transfer) })
    }
}

impl std::fmt::Debug for Cashfree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cashfree").field("connector", &self.connector).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PAID, REFERENCE, UNPAID, asked, heard, reference, shared_rows, told};
    use super::*;
    use hundi_core::party::{AccountNumber, Ifsc, Mobile, Vpa};

    fn bank() -> Cashfree {
        Cashfree {
            connector: configured("cf").unwrap(),
            transfers: "http://cf.test/payout/transfers".to_owned(),
            client_id: "CF1".to_owned(),
            client_secret: "the-client-secret".to_owned(),
            webhook_secret: b"cf_test_secret".to_vec(),
            signature_key: None,
            fundsource_id: None,
            credited_after_us: None,
            pace: None,
            reply_within: Duration::from_secs(5),
        }
    }

    const NO: Outcome = Outcome::Refused { elsewhere: false };
    const ELSEWHERE: Outcome = Outcome::Refused { elsewhere: true };

    fn transfer(status: &str, code: &str) -> String {
        format!(
            r#"{{"transfer_id":"{REFERENCE}","cf_transfer_id":"123456","status":"{status}","status_code":"{code}","status_description":"Said so","beneficiary_details":{{}},"transfer_amount":100.50,"transfer_service_charge":1.00,"transfer_service_tax":0.18,"transfer_mode":"BANK","transfer_utr":"TESTR92023012200543116","fundsource_id":"CASHFREE_1","added_on":"2021-11-24T13:39:25Z","updated_on":"2021-11-24T13:40:27Z"}}"#
        )
    }

    #[test]
    fn the_rows_of_all_banks_hold() {
        shared_rows(&bank(), &transfer("SUCCESS", "COMPLETED"));
    }

    /// Table 7.2: a transfer in each state, as the answer to the request, to a question, and to one after it was paid.
    #[test]
    fn a_status_means_what_its_row_says() {
        use Outcome::{Accepted, Paid, Reversed};
        let mut rows = vec![
            ("SUCCESS", "COMPLETED", Paid, Paid),
            ("SUCCESS", "SENT_TO_BENEFICIARY", Accepted, Accepted),
            ("SUCCESS", "NEVER_HEARD_OF", Accepted, Accepted),
            ("RECEIVED", "RECEIVED", Accepted, Accepted),
            ("QUEUED", "", Accepted, Accepted),
            ("PENDING", "SENT_TO_BANK", Accepted, Accepted),
            ("VALIDATION_PENDING", "", Accepted, Accepted),
            ("ON_THE_MOON", "", Accepted, Accepted),
            ("MANUALLY_REJECTED", "", NO, NO),
        ];
        for code in ["APPROVAL_PENDING", "VELOCITY_CHECK_FAILED", "TRANSFER_LIMIT_BREACH", "RISK_CHECK_X"] {
            rows.push(("APPROVAL_PENDING", code, Accepted, Accepted));
        }
        for code in [
            "INSUFFICIENT_BALANCE",
            "INSIDE_BLACKOUT_WINDOW",
            "TRANSFER_LIMIT_BREACH",
            "VELOCITY_CHECK_FAILED",
            "INVALID_MODE_FOR_PYID",
        ] {
            rows.push(("REJECTED", code, ELSEWHERE, ELSEWHERE));
        }
        let data = [
            "BENE_NOT_EXIST",
            "BENE_INVALID",
            "BANK_ACCOUNT_INVALID",
            "BANK_IFSC_INVALID",
            "VPA_INVALID",
            "NAME_INVALID",
            "",
        ];
        rows.extend(data.map(|code| ("REJECTED", code, NO, NO)));
        for status in ["FAILED", "REVERSED"] {
            let of_paid = |no| if status == "REVERSED" { Reversed } else { no };
            for code in
                ["SOURCE_BANK_DECLINED", "WAIT_TIME_EXCEEDED", "BANK_GATEWAY_ERROR", "REINITIALIZE_TRANSFER_LATER"]
            {
                rows.push((status, code, ELSEWHERE, of_paid(ELSEWHERE)));
            }
            rows.push((status, "IMPS_MODE_FAIL", Outcome::RailRefused, of_paid(Outcome::RailRefused)));
            for code in [
                "BENE_BANK_DECLINED",
                "RETURNED_FROM_BENEFICIARY",
                "NRE_ACCOUNT_FAIL",
                "ACCOUNT_BLOCKED",
                "DEST_LIMIT_REACHED",
                "INVALID_ACCOUNT_FAIL",
                "BENE_NAME_DIFFERS",
                "",
            ] {
                rows.push((status, code, NO, of_paid(NO)));
            }
        }
        for (status, code, outcome, of_paid) in rows {
            let body = transfer(status, code);
            for asked in [Asked::ToPay, UNPAID()] {
                let word = told(&bank(), asked, 200, &body);
                assert_eq!(word.outcome, outcome, "{asked:?} {body}");
                assert_eq!((word.amount_paise, &*word.rrn), (Some(100_50), "TESTR92023012200543116"));
            }
            assert_eq!(told(&bank(), PAID(), 200, &body).outcome, of_paid, "of paid: {body}");
        }
        // The configured wait.
        let waits = Cashfree { credited_after_us: Some(172_800 * SECOND), ..bank() };
        let sent = transfer("SUCCESS", "SENT_TO_BENEFICIARY");
        for (bank, after_s, outcome) in
            [(&waits, 172_799, Accepted), (&waits, 172_800, Paid), (&bank(), 999_999, Accepted)]
        {
            assert_eq!(told(bank, asked(false, after_s), 200, &sent).outcome, outcome, "{after_s}");
        }
        assert_eq!(told(&waits, Asked::ToPay, 200, &sent).outcome, Accepted);
    }

    #[test]
    fn an_error_means_what_its_row_says() {
        let error = r#"{"type":"invalid_request_error","code":"x_invalid","message":"x is not valid"}"#;
        for (status, body, to_pay, what_became) in [
            (400, error, NO, Outcome::Silent),
            (422, error, NO, Outcome::Silent),
            (404, error, NO, Outcome::NotFound),
            (412, error, ELSEWHERE, Outcome::Silent),
            (405, error, Outcome::Silent, Outcome::Silent),
            (409, error, Outcome::Silent, Outcome::Silent),
            (404, "<html>", Outcome::Silent, Outcome::Silent),
            (400, r#"{"message":"x"}"#, Outcome::Silent, Outcome::Silent),
            (404, r#"{"type":"","code":"","message":""}"#, Outcome::Silent, Outcome::Silent),
        ] {
            assert_eq!(told(&bank(), Asked::ToPay, status, body).outcome, to_pay, "{status} {body}");
            assert_eq!(told(&bank(), UNPAID(), status, body).outcome, what_became, "{status} {body}");
        }
    }

    #[test]
    fn rupees_become_paise_exactly_or_not_at_all() {
        for (json, expected) in [
            ("100", Some(100_00)),
            ("100.5", Some(100_50)),
            ("100.50", Some(100_50)),
            (r#""100.50""#, Some(100_50)),
            ("0.29", Some(29)),
            ("4.35", Some(4_35)),
            ("9999999999999.99", Some(9_999_999_999_999_99)),
            ("10000000000000.00", Some(10_000_000_000_000_00)),
            ("1.1000", Some(1_10)),
            ("1.001", None),
            ("1.", None),
            (".5", None),
            ("1e2", None),
            ("1.0e2", None),
            ("-1", None),
            ("0", None),
            ("null", None),
            (r#""""#, None),
            (r#""1,00""#, None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(paise(json), expected, "{json}");
        }
        // What cannot be read is not paid.
        let odd = transfer("SUCCESS", "COMPLETED").replace("100.50", "1.005e2");
        assert_eq!(told(&bank(), UNPAID(), 200, &odd).outcome, Outcome::Accepted);
    }

    #[test]
    fn a_request_is_what_the_documentation_asks_for() {
        let account = |text| Beneficiary::Account {
            number: AccountNumber::parse(text).unwrap(),
            ifsc: Ifsc::parse("HDFC0000001").unwrap(),
        };
        for (rail, beneficiary, name, carried) in [
            (Rail::Imps, &account("123456781111"), "O'Neil & Sons 24", true),
            (Rail::Imps, &account("12345678"), "RAVI", false),
            (Rail::Imps, &account("1234567890123456789"), "RAVI", false),
            (Rail::Imps, &account("123456781111"), "247", false),
            (Rail::Upi, &Beneficiary::Vpa(Vpa::parse("ravi_k@okbank").unwrap()), "RAVI", true),
            (Rail::Upi, &Beneficiary::Mobile(Mobile::parse("9876543210").unwrap()), "RAVI", false),
        ] {
            let name = PersonName::parse(name).unwrap();
            let amount = Amount::from_paise(100_50).unwrap();
            let transfer =
                Transfer { reference: reference(), amount, rail, beneficiary, name: &name, send_before: Timestamp(0) };
            assert_eq!(bank().carries(&transfer).is_ok(), carried, "{transfer:?}");
            let request = bank().request(&transfer);
            let header = |name| request.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| &**value);
            assert_eq!((header("x-client-id"), header("x-api-version")), (Some("CF1"), Some("2024-01-01")));
            let body = String::from_utf8(request.body.to_vec()).unwrap();
            assert!(body.starts_with(r#"{"transfer_id":"ABCDEFGHIJKLMNO","transfer_amount":100.50,"#), "{body}");
        }
        let name = PersonName::parse("O'Neil & Sons 24").unwrap();
        assert_eq!(plain_name(&name, Rail::Imps), "O Neil Sons");
        let question = Question { reference: reference(), now: Timestamp(0), send_before: Timestamp(0), paid: false };
        assert_eq!(
            bank().enquiry(question).unwrap().url,
            "http://cf.test/payout/transfers?transfer_id=ABCDEFGHIJKLMNO"
        );
        assert!(!format!("{:?}", bank()).contains("secret"));
    }

    #[test]
    fn a_request_is_signed_so_that_the_owner_of_the_key_can_read_it() {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
        let pair = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&pair.public_key()).unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
        let path = std::env::temp_dir().join(format!("hundi-cashfree-{}.pem", std::process::id()));
        std::fs::write(&path, pem).unwrap();
        let bank = Cashfree { signature_key: Some(public_key("cf", &path).unwrap()), ..bank() };
        let owner = OaepPrivateDecryptingKey::new(pair).unwrap();
        let read = |request: &OutRequest| {
            let sealed = request.headers.iter().find(|(name, _)| *name == "x-cf-signature")?;
            let sealed = STANDARD.decode(&sealed.1).unwrap();
            let mut room = vec![0; owner.min_output_size()];
            let text = owner.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut room, None).unwrap();
            Some(String::from_utf8(text.to_vec()).unwrap())
        };
        let at = |seconds: i64| Timestamp(seconds * SECOND + 999_999);
        let name = PersonName::parse("RAVI").unwrap();
        let beneficiary = Beneficiary::Vpa(Vpa::parse("ravi@okbank").unwrap());
        let amount = Amount::from_paise(100_00).unwrap();
        let transfer = Transfer {
            reference: reference(),
            amount,
            rail: Rail::Upi,
            beneficiary: &beneficiary,
            name: &name,
            // Five seconds after the start.
            send_before: at(1_795_329_005),
        };
        assert_eq!(read(&bank.request(&transfer)).unwrap(), "CF1.1795329000");
        let question =
            Question { reference: reference(), now: at(1_795_330_000), send_before: at(1_795_329_005), paid: false };
        let (first, again) = (bank.enquiry(question).unwrap(), bank.enquiry(question).unwrap());
        assert_eq!(read(&first).unwrap(), "CF1.1795330000");
        assert_ne!(first.headers.last(), again.headers.last(), "the padding is random");
        assert_eq!(read(&self::bank().request(&transfer)), None);
        for (text, word) in [
            ("", "no public key in PEM"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no RSA key"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = public_key("cf", &path).map(drop).unwrap_err();
            assert!(error.contains("`connectors.cf.signature_key_file`") && error.contains(word), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_webhook_counts_only_with_its_signature_and_in_time() {
        let sign = |timestamp: &str, body: &str, secret: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.update(timestamp.as_bytes());
            mac.update(body.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        };
        // Computed apart from this program.
        let vector = sign("1721909617", r#"{"type":"TRANSFER_SUCCESS"}"#, b"cf_test_secret");
        assert_eq!(vector, "bmh6V5NAz9ciRCSQewIETYZShtuMac9Q/lrD5Xujypo=");
        let body = format!(
            r#"{{"data":{},"event_time":"2024-07-25T17:43:37","type":"TRANSFER_SUCCESS"}}"#,
            transfer("SUCCESS", "COMPLETED")
        );
        let called = |timestamp: &str, signature: &str, body: &str| {
            let headers = [("x-webhook-timestamp", timestamp), ("x-webhook-signature", signature)];
            heard(&bank(), "/connectors/cf/callback", &headers, body, 1_721_909_617)
        };
        for (timestamp, signed) in [
            ("1721909617", true),
            ("1721909617000", true),
            ("1721909317", true),
            ("1721909316", false),
            ("1721909918", false),
            ("soon", false),
        ] {
            let heard = called(timestamp, &sign(timestamp, &body, b"cf_test_secret"), &body).unwrap();
            assert_eq!(heard.signed, signed, "{timestamp}");
            assert_eq!((heard.word.outcome, heard.word.amount_paise), (Outcome::Paid, Some(100_50)));
        }
        for signature in ["", "AAAA", "????", &vector, &sign("1721909617", &body, b"other")] {
            assert!(!called("1721909617", signature, &body).unwrap().signed, "{signature}");
        }
        for (body, error) in [
            (body.replace(REFERENCE, "INV_1"), NoWord::NotOurs),
            (r#"{"data":{"alert":1},"type":"LOW_BALANCE_ALERT"}"#.to_owned(), NoWord::NotOurs),
            (r#"{"data":{},"type":"TRANSFER_SUCCESS"}"#.to_owned(), NoWord::Unreadable),
            (r#"{"type":"TRANSFER_SUCCESS"}"#.to_owned(), NoWord::Unreadable),
            ("[]".to_owned(), NoWord::Unreadable),
        ] {
            assert_eq!(called("1721909617", "", &body).unwrap_err(), error, "{body}");
        }
    }
}
