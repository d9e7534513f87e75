//! RazorpayX payouts (docs/connectors.md).
//!
//! "Paid" means `processed`: the beneficiary was credited. Until the third working day after it a payout may still be
//! reversed. Amounts are whole paise; fees, which include the tax, are not part of the amount.
//!
//! | status | outcome |
//! |---|---|
//! | `processed` | paid |
//! | `pending`, `queued`, `scheduled`, `processing` | accepted |
//! | `cancelled`, `rejected` | refused: a person stopped it |
//! | `reversed` after it was paid | reversed |
//! | `failed`, `reversed` with a reason of [`REASONS_ELSEWHERE`] | refused, another bank may try |
//! | `failed`, `reversed` with the reason `imps_not_allowed` | the rail is refused |
//! | `failed`, `reversed` with any other reason, or none | refused |
//! | any other status of a payout that has an id | accepted |
//!
//! | error | outcome |
//! |---|---|
//! | 400 `input_validation_failed` | refused: nothing was made |
//! | 400 `insufficient_funds` | refused, another bank may try |
//! | 400 "Different request body": the key was used for another payout | silent, and the operator is alarmed |
//! | 400 "Transactions from this IP are not allowed" | as 403 |
//! | any other error | silent |
//!
//! The question is the list of payouts with our reference, because the id that RazorpayX gives may never have reached us.
//! An empty list is "not found", which is never final. Nobody promises that a reference is listed once: of several payouts
//! one that paid counts first, then one that still may; only if all have failed is it refused.
//!
//! The list of the account's transactions is a statement ([`Bank::entries`]). One of a payout tells our reference by the note
//! that the payout was given, and its UTR. Where the fees were taken with it, `debit` is the amount and the fees, and the fees are
//! a line of their own; on a current account it is the amount alone. The samples of `webhooks/transactions` (218 = 100 + 118)
//! and `api/x/transactions/entity` (1,000,000, fees 3) show one each. How a return is listed is not documented: any credit that
//! is no bank transfer is taken for one.
//!
//! Source: RazorpayX API documentation (`razorpay/markdown-docs`, April 2026): `api/x`, `errors/x`, `webhooks`.

use super::{
    Asked, Bank, Call, Called, Entry, NoWord, Pace, Page, Question, Transfer, address, bare, configured, label,
    needed_secret, reason, replied, secret, turned_away,
};
use crate::config;
use crate::http_out::{Method, OutError, OutReply, OutRequest, Reach};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use hundi_core::command::{ConnectorRules, Outcome, Way, Word};
use hundi_core::formats::{Line, Side};
use hundi_core::ids::{Connector, Reference};
use hundi_core::money::Amount;
use hundi_core::party::Beneficiary;
use hundi_core::rails::Rail;
use hundi_core::routing::Carries;
use hundi_core::schedule::{SECOND, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::time::Duration;

/// The note of a payout that has our reference: its transactions show notes and no `reference_id`.
const NOTE: &str = "hundi";
/// So many transactions are asked for at once, the most that RazorpayX lists, and the most that is read of them, bytes.
const PAGE: usize = 100;
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// What is kept of what a transaction is for, characters.
const NARRATION_CHARS_MAX: usize = 500;
/// The most of a reply that is read, bytes: a list of a few payouts.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// So many payouts of one reference are read.
const LISTED_MAX: usize = 10;
/// What RazorpayX takes of a contact's name, an account holder's name and a VPA, characters.
const CONTACT_CHARS: std::ops::RangeInclusive<usize> = 3..=50;
const HOLDER_CHARS: std::ops::RangeInclusive<usize> = 4..=120;
const VPA_CHARS: std::ops::RangeInclusive<usize> = 3..=100;

/// The reasons of a failure that lie with a bank between us and the beneficiary, or with our own account.
/// Source: `errors/x/payout-status-details.md`; `insufficient_funds` may do on another account.
pub const REASONS_ELSEWHERE: [&str; 12] = [
    "beneficiary_bank_failure",
    "beneficiary_bank_offline",
    "beneficiary_bank_technical_error",
    "beneficiary_psp_offline",
    "npci_beneficiary_timeout",
    "gateway_down",
    "gateway_technical_error",
    "gateway_timeout",
    "amount_limit_exhausted",
    "amount_limit_exhausted_neft",
    "server_error_temporary",
    "insufficient_funds",
];

/// The reason that says that the beneficiary's account takes no IMPS; the same page advises another mode.
const IMPS_NOT_ALLOWED: &str = "imps_not_allowed";

/// The connector of a RazorpayX account.
pub struct RazorpayX {
    connector: Connector,
    payouts: String,
    transactions: String,
    account_number: String,
    authorization: String,
    purpose: String,
    webhook_secret: Option<Vec<u8>>,
    pace: Pace,
    reply_within: Duration,
}

#[derive(Serialize)]
struct PayoutBody<'a> {
    account_number: &'a str,
    fund_account: FundAccount<'a>,
    amount: i64,
    currency: &'static str,
    mode: &'static str,
    purpose: &'a str,
    queue_if_low_balance: bool,
    reference_id: &'a str,
    narration: &'a str,
    notes: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
struct FundAccount<'a> {
    account_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_account: Option<BankAccount<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpa: Option<VpaBody<'a>>,
    contact: Contact<'a>,
}

#[derive(Serialize)]
struct BankAccount<'a> {
    name: &'a str,
    ifsc: &'a str,
    account_number: &'a str,
}

#[derive(Serialize)]
struct VpaBody<'a> {
    address: &'a str,
}

#[derive(Serialize)]
struct Contact<'a> {
    name: &'a str,
    r#type: &'static str,
}

/// A payout as RazorpayX tells of it; of a malformed one nothing is read.
#[derive(Deserialize)]
struct Payout {
    id: String,
    reference_id: Option<String>,
    amount: i64,
    status: String,
    utr: Option<String>,
    status_details: Option<StatusDetails>,
}

#[derive(Deserialize, Default)]
struct StatusDetails {
    description: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct List<T> {
    entity: String,
    items: Vec<T>,
}

/// A transaction of the account: one of `credit` and `debit` is 0.
#[derive(Deserialize)]
struct Transaction {
    id: String,
    account_number: String,
    currency: String,
    credit: i64,
    debit: i64,
    balance: i64,
    source: Cause,
    created_at: i64,
}

/// What a transaction was made by: a payout, a bank transfer, or something else.
#[derive(Deserialize)]
struct Cause {
    id: Option<String>,
    entity: String,
    status: Option<String>,
    amount: Option<i64>,
    fees: Option<i64>,
    utr: Option<String>,
    bank_reference: Option<String>,
    payer_name: Option<String>,
    /// An object, or an empty list where there are none.
    #[serde(default)]
    notes: Value,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetails,
}

#[derive(Deserialize)]
struct ErrorDetails {
    #[serde(default)]
    description: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    event: String,
    payload: Option<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    payout: Option<Entity>,
}

#[derive(Deserialize)]
struct Entity {
    entity: Payout,
}

impl RazorpayX {
    /// The connector of this name and configuration.
    pub fn new(name: &str, options: &config::RazorpayX) -> Result<RazorpayX, String> {
        let url = address(name, &options.url)?;
        let key =
            needed_secret(name, "key_secret", options.key_secret_file.as_deref(), options.key_secret_env.as_deref())?;
        let (file, env) = (options.webhook_secret_file.as_deref(), options.webhook_secret_env.as_deref());
        let webhook_secret = secret(name, "webhook_secret", file, env)?.map(String::into_bytes);
        for (option, value) in
            [("key_id", &options.key_id), ("account_number", &options.account_number), ("purpose", &options.purpose)]
        {
            if value.trim().is_empty() || value.contains(':') {
                return Err(format!("`connectors.{name}.{option}` must not be empty nor hold a colon"));
            }
        }
        let authorization = format!("Basic {}", STANDARD.encode(format!("{}:{key}", options.key_id)));
        Ok(RazorpayX {
            connector: configured(name)?,
            payouts: format!("{url}/payouts"),
            transactions: format!("{url}/transactions"),
            account_number: options.account_number.clone(),
            authorization,
            purpose: options.purpose.clone(),
            webhook_secret,
            pace: Pace::new(options.calls_per_s),
            reply_within: Duration::from_millis(options.reply_within_ms),
        })
    }

    fn out(&self, method: Method, url: String, headers: Vec<(&'static str, String)>, body: Vec<u8>) -> OutRequest {
        let mut all = vec![("authorization", self.authorization.clone())];
        all.extend(headers);
        OutRequest {
            method,
            url,
            headers: all,
            body: body.into(),
            deadline: self.reply_within,
            write_before_boot_us: None,
            reply_bytes_max: REPLY_BYTES_MAX,
            reach: Reach::Operator,
        }
    }

    /// What an error says to the request that pays.
    fn refusal(&self, body: &[u8]) -> Word {
        let Ok(ErrorBody { error }) = serde_json::from_slice(body) else { return bare(Outcome::Silent, "") };
        if error.description.contains("Different request body") {
            tracing::error!(connector = %self.connector, "RazorpayX knows our reference with another payout; look there");
            return bare(Outcome::Silent, "");
        }
        if error.description.contains("Transactions from this IP are not allowed") {
            return turned_away(self.connector, Asked::ToPay);
        }
        match error.reason.as_deref() {
            Some("input_validation_failed") => bare(Outcome::Refused { elsewhere: false }, &reason(&error.description)),
            Some("insufficient_funds") => bare(Outcome::Refused { elsewhere: true }, "The bank account is low"),
            _ => bare(Outcome::Silent, ""),
        }
    }

    /// What a list says.
    fn listed(&self, reference: Reference, question: Question, body: &[u8]) -> Word {
        let Ok(List::<Payout> { entity, items }) = serde_json::from_slice(body) else {
            return bare(Outcome::Silent, "");
        };
        if entity != "collection" {
            return bare(Outcome::Silent, "");
        }
        if items.is_empty() {
            return bare(Outcome::NotFound, "");
        }
        let ours = items.iter().filter(|item| item.reference_id.as_deref() == Some(reference.as_str()));
        let words: Vec<Word> = ours.map(|item| word(item, question.paid)).collect();
        let paid = words.iter().filter(|word| word.outcome == Outcome::Paid).count();
        if paid > 1 {
            tracing::error!(connector = %self.connector, %reference, "RazorpayX lists a reference as paid more than once");
        }
        // A list that is full may have more; one without ours was not filtered, or is not what was asked for.
        let whole = items.len() < LISTED_MAX && words.len() == items.len();
        let rank = |outcome| match outcome {
            Outcome::Paid => 0,
            Outcome::Accepted | Outcome::Silent | Outcome::NotFound | Outcome::NotWritten | Outcome::NotExecuted => 1,
            Outcome::Reversed => 2,
            Outcome::Refused { elsewhere: false } => 3,
            Outcome::Refused { elsewhere: true } => 4,
            Outcome::RailRefused => 5,
        };
        match words.into_iter().min_by_key(|word| rank(word.outcome)) {
            Some(word) if whole || rank(word.outcome) <= 1 => word,
            _ => bare(Outcome::Silent, ""),
        }
    }
}

/// The lines of a statement that a transaction is.
fn lines(transaction: &Transaction) -> Result<Vec<Line>, &'static str> {
    let Transaction { id, credit, debit, source, created_at, .. } = transaction;
    let (side, paise) = match (*credit, *debit) {
        (paise @ 1.., 0) => (Side::Credit, paise),
        (0, paise @ 1..) => (Side::Debit, paise),
        _ => return Err("it is neither a credit nor a debit"),
    };
    if id.is_empty() {
        return Err("it has no id");
    }
    Amount::from_paise(paise).ok_or("its amount is beyond all amounts")?;
    let booked_at = Timestamp(created_at.checked_mul(SECOND).ok_or("its time is beyond all times")?);
    let transferred = source.entity == "bank_transfer";
    let named = source.notes.get(NOTE).and_then(Value::as_str).and_then(Reference::parse);
    let named = named.map(|reference| reference.as_str().into());
    let bank = label(if transferred { &source.bank_reference } else { &source.utr }.as_deref().unwrap_or_default());
    let cause = source.id.as_deref().unwrap_or_default();
    let who = source.payer_name.as_deref().unwrap_or_default();
    let paying = source.entity == "payout" && side == Side::Debit;
    let status = source.status.as_deref().filter(|_| paying);
    let taken_back = matches!(status, Some("failed" | "reversed" | "rejected" | "cancelled"));
    let printed = |text: String| -> Box<str> {
        let text: String = text.chars().filter(|c| !c.is_control()).take(NARRATION_CHARS_MAX).collect();
        text.trim().into()
    };
    let line = Line {
        entry: id.as_str().into(),
        returned: side == Side::Credit && !transferred,
        taken_back,
        // The account is debited as soon as a payout begins.
        booked: status.is_none_or(|status| status == "processed") || taken_back,
        references: Vec::from_iter(named.filter(|_| !transferred)),
        in_fields: 1,
        bank_references: if bank.is_empty() { Vec::new() } else { vec![bank] },
        narration: printed(format!("{} {cause} {who}", source.entity)),
        ..Line::new(side, paise, booked_at)
    };
    // What comes back comes back with its fees.
    match (source.amount.filter(|_| !transferred), source.fees) {
        (Some(paid @ 1..), Some(fees @ 1..)) if paid.checked_add(fees) == Some(paise) => {
            let fees = Line {
                entry: format!("{id}/fees").into(),
                returned: line.returned,
                booked: line.booked,
                narration: printed(format!("fees of {cause}")),
                ..Line::new(side, fees, booked_at)
            };
            Ok(vec![Line { amount_paise: paid, ..line }, fees])
        }
        _ => Ok(vec![line]),
    }
}

/// What is said of a payout.
fn word(payout: &Payout, was_paid: bool) -> Word {
    let details = payout.status_details.as_ref();
    let why = details.and_then(|details| details.description.as_deref()).unwrap_or_default();
    let because = details.and_then(|details| details.reason.as_deref()).unwrap_or_default();
    let outcome = match payout.status.as_str() {
        "processed" => Outcome::Paid,
        "reversed" if was_paid => Outcome::Reversed,
        "failed" | "reversed" if because == IMPS_NOT_ALLOWED => Outcome::RailRefused,
        "failed" | "reversed" => Outcome::Refused { elsewhere: REASONS_ELSEWHERE.contains(&because) },
        "cancelled" | "rejected" => Outcome::Refused { elsewhere: false },
        "pending" | "queued" | "scheduled" | "processing" => Outcome::Accepted,
        // Whatever RazorpayX may learn to say: it has the payout.
        _ if payout.id.starts_with("pout_") => Outcome::Accepted,
        _ => Outcome::Silent,
    };
    let why =
        if matches!(outcome, Outcome::Refused { .. } | Outcome::RailRefused | Outcome::Reversed) { why } else { "" };
    let rrn = label(payout.utr.as_deref().unwrap_or_default());
    Word { outcome, amount_paise: Some(payout.amount), rrn, why: reason(why) }
}

/// The beginning of a name that RazorpayX takes.
fn cut(name: &str, chars: &std::ops::RangeInclusive<usize>) -> String {
    name.chars().take(*chars.end()).collect::<String>().trim_end().to_owned()
}

impl Bank for RazorpayX {
    fn rules(&self) -> ConnectorRules {
        // An hour after a 5xx RazorpayX advises to give a payout up. That is advice and no proof.
        ConnectorRules { connector: self.connector, not_found_final_us: None, carries: Carries::ALL, way: Way::Call }
    }

    fn reply_within(&self) -> Duration {
        self.reply_within
    }

    fn carries(&self, transfer: &Transfer<'_>) -> Result<(), &'static str> {
        let name = transfer.name.for_rail(transfer.rail.rules());
        let long = |name: &str, chars: &std::ops::RangeInclusive<usize>| cut(name, chars).len() >= *chars.start();
        match transfer.beneficiary {
            Beneficiary::Mobile(_) => Err("The bank does not pay to mobile numbers"),
            _ if transfer.amount.paise() < 100 => Err("The bank carries one rupee and more"),
            _ if !long(&name, &CONTACT_CHARS) => Err("Beneficiary's name is too short for the bank"),
            Beneficiary::Account { .. } if transfer.rail == Rail::Upi => Err("The bank pays UPI to UPI IDs only"),
            Beneficiary::Account { .. } if !long(&name, &HOLDER_CHARS) => {
                Err("Beneficiary's name is too short for the bank")
            }
            Beneficiary::Account { .. } => Ok(()),
            Beneficiary::Vpa(_) if transfer.rail != Rail::Upi => Err("The bank pays to UPI IDs over UPI only"),
            Beneficiary::Vpa(vpa) if VPA_CHARS.contains(&vpa.as_str().len()) && !vpa.as_str().contains('_') => Ok(()),
            Beneficiary::Vpa(_) => Err("The bank does not carry such a UPI ID"),
        }
    }

    fn request(&self, transfer: &Transfer<'_>) -> OutRequest {
        let name = transfer.name.for_rail(transfer.rail.rules());
        let (contact, holder) = (cut(&name, &CONTACT_CHARS), cut(&name, &HOLDER_CHARS));
        let (account_type, bank_account, vpa) = match transfer.beneficiary {
            Beneficiary::Account { number, ifsc } => {
                let (ifsc, account_number) = (ifsc.as_str(), number.as_str());
                ("bank_account", Some(BankAccount { name: &holder, ifsc, account_number }), None)
            }
            Beneficiary::Vpa(vpa) => ("vpa", None, Some(VpaBody { address: vpa.as_str() })),
            // It is not carried; RazorpayX refuses what names no account.
            Beneficiary::Mobile(_) => ("vpa", None, None),
        };
        let contact = Contact { name: &contact, r#type: "customer" };
        let reference = transfer.reference.as_str();
        let body = PayoutBody {
            account_number: &self.account_number,
            fund_account: FundAccount { account_type, bank_account, vpa, contact },
            amount: transfer.amount.paise(),
            currency: "INR",
            mode: transfer.rail.as_str(),
            purpose: &self.purpose,
            // What waits for money there would be paid at a time that nobody expects.
            queue_if_low_balance: false,
            reference_id: reference,
            narration: reference,
            notes: BTreeMap::from([(NOTE, reference)]),
        };
        let headers =
            vec![("content-type", "application/json".to_owned()), ("x-payout-idempotency", reference.to_owned())];
        // Writing texts and numbers as JSON cannot fail.
        self.out(Method::Post, self.payouts.clone(), headers, serde_json::to_vec(&body).unwrap_or_default())
    }

    fn enquiry(&self, question: Question) -> Option<OutRequest> {
        let account = utf8_percent_encode(&self.account_number, NON_ALPHANUMERIC);
        let url =
            format!("{}?account_number={account}&reference_id={}&count={LISTED_MAX}", self.payouts, question.reference);
        Some(self.out(Method::Get, url, Vec::new(), Vec::new()))
    }

    fn outcome(&self, reference: Reference, asked: Asked, reply: &Result<OutReply, OutError>) -> Word {
        match (replied(self.connector, asked, reply), asked) {
            (Err(word), _) => word,
            (Ok((200..=299, body)), Asked::ToPay) => match serde_json::from_slice::<Payout>(body) {
                Ok(payout) if payout.reference_id.as_deref() == Some(reference.as_str()) => word(&payout, false),
                _ => bare(Outcome::Silent, ""),
            },
            (Ok((200, body)), Asked::WhatBecame(question)) => self.listed(reference, question, body),
            (Ok((400, body)), Asked::ToPay) => self.refusal(body),
            (Ok(_), _) => bare(Outcome::Silent, ""),
        }
    }

    fn entries(&self, (from, to): (Timestamp, Timestamp), skip: usize) -> Option<OutRequest> {
        let account = utf8_percent_encode(&self.account_number, NON_ALPHANUMERIC);
        // Both ends are of the time that is asked for.
        let (from, to) = (from.0 / SECOND, to.0 / SECOND - 1);
        let url =
            format!("{}?account_number={account}&from={from}&to={to}&count={PAGE}&skip={skip}", self.transactions);
        let request = self.out(Method::Get, url, Vec::new(), Vec::new());
        Some(OutRequest { reply_bytes_max: PAGE_BYTES_MAX, ..request })
    }

    fn page(&self, body: &[u8]) -> Option<Page> {
        let List::<Value> { entity, items } = serde_json::from_slice(body).ok()?;
        let full = items.len() >= PAGE;
        let entry = |item: Value| {
            let transaction: Transaction = serde_json::from_value(item).map_err(|_| "it cannot be read")?;
            if transaction.account_number != self.account_number {
                return Err("it is of another account");
            }
            if transaction.currency != "INR" {
                return Err("it is not in rupees");
            }
            let lines = lines(&transaction)?;
            let at = lines.first().map_or(Timestamp(0), |line| line.booked_at);
            Ok(Entry { at, balance_paise: transaction.balance, lines })
        };
        let account = self.account_number.as_str().into();
        (entity == "collection").then(|| Page { account, entries: items.into_iter().map(entry).collect(), full })
    }

    fn pace(&self) -> Option<&Pace> {
        Some(&self.pace)
    }

    fn called(&self, call: &Call<'_>) -> Result<Called, NoWord> {
        let event: Event = match serde_json::from_slice(call.body) {
            Ok(event) => event,
            // Events that are not about payouts have other shapes.
            Err(_) if serde_json::from_slice::<serde_json::Value>(call.body).is_ok_and(|body| body.is_object()) => {
                return Err(NoWord::NotOurs);
            }
            Err(_) => return Err(NoWord::Unreadable),
        };
        let payout = event.payload.and_then(|payload| payload.payout).map(|payout| payout.entity);
        let payout = payout.filter(|_| event.event.starts_with("payout.")).ok_or(NoWord::NotOurs)?;
        let reference = payout.reference_id.as_deref().and_then(Reference::parse).ok_or(NoWord::NotOurs)?;
        // A webhook has no age limit: RazorpayX repeats it for a day, and what it may say by itself is true for good.
        let proof = || {
            let secret = self.webhook_secret.as_deref()?;
            let given = unhex(call.header("x-razorpay-signature")?)?;
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(call.body);
            // Compares in constant time.
            mac.verify_slice(&given).ok()
        };
        // Only an enquiry knows whether it was paid before; what gives money back is confirmed by one.
        Ok(Called { signed: proof().is_some(), reference, word: word(&payout, event.event == "payout.reversed") })
    }
}

/// The bytes of an even number of lower-case hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

impl std::fmt::Debug for RazorpayX {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RazorpayX").field("connector", &self.connector).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PAID, REFERENCE, UNPAID, heard, reference, shared_rows, told};
    use super::*;
    use hundi_core::party::{AccountNumber, Ifsc, Mobile, PersonName, Vpa};

    fn bank() -> RazorpayX {
        RazorpayX {
            connector: configured("rzp").unwrap(),
            payouts: "http://rzp.test/v1/payouts".to_owned(),
            transactions: "http://rzp.test/v1/transactions".to_owned(),
            account_number: "7878780080316316".to_owned(),
            authorization: "Basic a2V5OnNlY3JldA==".to_owned(),
            purpose: "payout".to_owned(),
            webhook_secret: Some(b"123456".to_vec()),
            pace: Pace::new(5),
            reply_within: Duration::from_secs(5),
        }
    }

    const NO: Outcome = Outcome::Refused { elsewhere: false };
    const ELSEWHERE: Outcome = Outcome::Refused { elsewhere: true };

    /// A payout of the documented shape, with its traps: empty notes are a list, and texts may be `"null"`.
    fn payout(status: &str, reason: &str) -> String {
        let details = if reason.is_empty() {
            "null".to_owned()
        } else {
            format!(r#"{{"description":"Said so","source":"beneficiary_bank","reason":"{reason}"}}"#)
        };
        let utr = if status == "processed" { "933815233814" } else { "null" };
        format!(
            r#"{{"id":"pout_00000000000001","entity":"payout","fund_account_id":"fa_00000000000001","amount":100,"currency":"INR","notes":[],"fees":118,"tax":18,"status":"{status}","purpose":"payout","utr":"{utr}","mode":"IMPS","reference_id":"{REFERENCE}","narration":"x","debit_account_number":"null","batch_id":null,"status_details":{details},"created_at":1545383037,"fee_type":""}}"#
        )
    }

    fn list(items: &[String]) -> String {
        format!(r#"{{"entity":"collection","count":{},"items":[{}]}}"#, items.len(), items.join(","))
    }

    #[test]
    fn the_rows_of_all_banks_hold() {
        shared_rows(&bank(), &payout("processed", "payout_processed"));
        shared_rows(&bank(), &list(&[payout("processed", "payout_processed")]));
    }

    /// Table 7.1: a payout in each state, as the answer to the request and as the one item of the list.
    #[test]
    fn a_status_means_what_its_row_says() {
        use Outcome::{Accepted, Paid, Reversed};
        let mut rows = vec![
            ("processed", "payout_processed", Paid, Paid),
            ("processing", "beneficiary_bank_confirmation_pending", Accepted, Accepted),
            ("queued", "low_balance", Accepted, Accepted),
            ("pending", "pending_approval", Accepted, Accepted),
            ("scheduled", "", Accepted, Accepted),
            ("on_the_moon", "", Accepted, Accepted),
            ("cancelled", "", NO, NO),
            ("rejected", "", NO, NO),
            ("reversed", "", NO, Reversed),
            ("failed", "", NO, NO),
            ("failed", "server_error", NO, NO),
            ("failed", "never_heard_of", NO, NO),
        ];
        let here = [
            "bank_account_closed",
            "bank_account_frozen",
            "bank_account_invalid",
            "beneficiary_account_dormant",
            "beneficiary_bank_rejected",
            "transaction_limit_exceeded",
            "beneficiary_account_invalid",
            "invalid_beneficiary",
            "invalid_ifsc_code",
            "beneficiary_vpa_invalid",
        ];
        for status in ["failed", "reversed"] {
            let of_paid = |no| if status == "reversed" { Reversed } else { no };
            rows.extend(here.iter().map(|reason| (status, *reason, NO, of_paid(NO))));
            rows.extend(REASONS_ELSEWHERE.iter().map(|reason| (status, *reason, ELSEWHERE, of_paid(ELSEWHERE))));
            rows.push((status, "imps_not_allowed", Outcome::RailRefused, of_paid(Outcome::RailRefused)));
        }
        for (status, reason, outcome, of_paid) in rows {
            let body = payout(status, reason);
            let word = told(&bank(), Asked::ToPay, 200, &body);
            assert_eq!(word.outcome, outcome, "to pay: {body}");
            assert_eq!(word.amount_paise, Some(100), "the fees are not part of the amount");
            assert_eq!(&*word.rrn, if status == "processed" { "933815233814" } else { "" });
            let listed = list(&[body]);
            assert_eq!(told(&bank(), UNPAID(), 200, &listed).outcome, outcome, "became: {listed}");
            assert_eq!(told(&bank(), PAID(), 200, &listed).outcome, of_paid, "of paid: {listed}");
        }
    }

    #[test]
    fn an_error_refuses_only_where_nothing_was_made() {
        let error = |description: &str, reason: &str| {
            format!(
                r#"{{"error":{{"code":"BAD_REQUEST_ERROR","description":"{description}","source":"business","step":null,"reason":{reason},"metadata":{{}},"field":"account_number"}}}}"#
            )
        };
        for (status, body, outcome) in [
            (400, error("The name field is required.", r#""input_validation_failed""#), NO),
            (400, error("Not enough money", r#""insufficient_funds""#), ELSEWHERE),
            (
                400,
                error("Different request body sent for the same Idempotency Header", r#""input_validation_failed""#),
                Outcome::Silent,
            ),
            (400, error("Transactions from this IP are not allowed", "null"), Outcome::NotWritten),
            (400, error("Something else", r#""NA""#), Outcome::Silent),
            (400, error("Something else", "null"), Outcome::Silent),
            (400, "<html>".to_owned(), Outcome::Silent),
            (404, error("No such URL", r#""input_validation_failed""#), Outcome::Silent),
            (500, error("We are facing some trouble", r#""server_error""#), Outcome::Silent),
        ] {
            assert_eq!(told(&bank(), Asked::ToPay, status, &body).outcome, outcome, "{body}");
            assert_eq!(told(&bank(), UNPAID(), status, &body).outcome, Outcome::Silent, "a question: {body}");
        }
    }

    #[test]
    fn a_list_of_several_refuses_only_if_all_have_failed() {
        let (paid, open) = (payout("processed", "payout_processed"), payout("processing", ""));
        let (failed, down) = (payout("failed", "bank_account_closed"), payout("failed", "gateway_down"));
        let other = paid.replace(REFERENCE, "XXXXXXXXXXXXXXX");
        for (items, outcome) in [
            (vec![], Outcome::NotFound),
            (vec![&failed, &paid], Outcome::Paid),
            (vec![&open, &paid, &paid], Outcome::Paid),
            (vec![&failed, &open], Outcome::Accepted),
            (vec![&failed, &down], NO),
            (vec![&down, &down], ELSEWHERE),
            // What was not asked for is in it: the list may not be the whole of ours.
            (vec![&other], Outcome::Silent),
            (vec![&other, &failed], Outcome::Silent),
            (vec![&other, &paid], Outcome::Paid),
            (vec![&failed; LISTED_MAX], Outcome::Silent),
        ] {
            let body = list(&items.into_iter().cloned().collect::<Vec<_>>());
            assert_eq!(told(&bank(), UNPAID(), 200, &body).outcome, outcome, "{body}");
        }
        let elsewhere = r#"{"entity":"payout","items":[]}"#;
        assert_eq!(told(&bank(), UNPAID(), 200, elsewhere).outcome, Outcome::Silent);
    }

    #[test]
    fn a_request_is_what_the_documentation_asks_for() {
        let account = Beneficiary::Account {
            number: AccountNumber::parse("123456781111").unwrap(),
            ifsc: Ifsc::parse("HDFC0000001").unwrap(),
        };
        let vpa = |text| Beneficiary::Vpa(Vpa::parse(text).unwrap());
        let long = "x".repeat(100);
        for (rail, beneficiary, name, carried) in [
            (Rail::Imps, &account, "RAVI KUMAR", true),
            (Rail::Neft, &account, &*long, true),
            (Rail::Imps, &account, "RAM", false),
            (Rail::Upi, &vpa("ravi@okbank"), "RAM", true),
            (Rail::Upi, &vpa("ravi@okbank"), "OM", false),
            (Rail::Upi, &vpa("ravi_k@okbank"), "RAVI KUMAR", false),
            (Rail::Upi, &vpa(&format!("{}@b", "a".repeat(99))), "RAVI KUMAR", false),
            (Rail::Upi, &Beneficiary::Mobile(Mobile::parse("9876543210").unwrap()), "RAVI KUMAR", false),
        ] {
            let name = PersonName::parse(name).unwrap();
            let amount = Amount::from_paise(100_50).unwrap();
            let transfer =
                Transfer { reference: reference(), amount, rail, beneficiary, name: &name, send_before: Timestamp(0) };
            assert_eq!(bank().carries(&transfer).is_ok(), carried, "{transfer:?}");
            let request = bank().request(&transfer);
            let header = |name| request.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| &**value);
            assert_eq!(header("x-payout-idempotency"), Some(REFERENCE));
            assert_eq!(header("authorization"), Some("Basic a2V5OnNlY3JldA=="));
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!((&body["amount"], &body["reference_id"]), (&100_50.into(), &REFERENCE.into()));
            let contact = body["fund_account"]["contact"]["name"].as_str().unwrap();
            assert!(contact.len() <= 50, "{contact}");
        }
        let question = Question { reference: reference(), now: Timestamp(0), send_before: Timestamp(0), paid: false };
        let url = bank().enquiry(question).unwrap().url;
        assert_eq!(
            url,
            "http://rzp.test/v1/payouts?account_number=7878780080316316&reference_id=ABCDEFGHIJKLMNO&count=10"
        );
        assert!(!format!("{:?}", bank()).contains("a2V5"));
    }

    /// A transaction of a payout in the shape of the documentation's samples, with these members instead of its own.
    fn transaction(change: serde_json::Value) -> serde_json::Value {
        let mut one = serde_json::json!({
            "id": "txn_00000000000003", "entity": "transaction", "account_number": "7878780080316316", "amount": 1_000_000,
            "currency": "INR", "credit": 0, "debit": 1_000_000, "balance": 9_000_000,
            "source": {
                "id": "pout_00000000000001", "entity": "payout", "fund_account_id": "fa_00000000000001", "amount": 1_000_000,
                "notes": [], "fees": 3, "tax": 1, "status": "processed", "utr": "000000000001", "mode": "NEFT",
                "created_at": 1_545_224_066, "fee_type": null,
            },
            "created_at": 1_545_224_066,
        });
        for (name, value) in change.as_object().unwrap() {
            match value.as_object() {
                Some(members) => members.iter().for_each(|(member, value)| one[name][member] = value.clone()),
                None => one[name] = value.clone(),
            }
        }
        one
    }

    #[test]
    fn a_transaction_is_the_lines_that_its_row_says() {
        let shown = |change| {
            let body = serde_json::json!({ "entity": "collection", "count": 1, "items": [transaction(change)] });
            let page = bank().page(body.to_string().as_bytes()).unwrap();
            assert!(!page.full);
            let entry = match page.entries.into_iter().next().unwrap() {
                Ok(entry) => entry,
                Err(why) => return why.to_owned(),
            };
            let line = |line: &Line| {
                let signs =
                    [(line.returned, " returned"), (line.taken_back, " taken back"), (!line.booked, " announced")];
                let signs: String = signs.iter().filter(|(is, _)| *is).map(|(_, sign)| *sign).collect();
                format!("{:?} {}{signs} {:?} {:?}", line.side, line.amount_paise, line.references, line.bank_references)
            };
            entry.lines.iter().map(line).collect::<Vec<_>>().join("; ")
        };
        use serde_json::json;
        for (change, expected) in [
            (json!({}), r#"Debit 1000000 [] ["000000000001"]"#),
            (
                json!({ "source": { "notes": { "hundi": REFERENCE } } }),
                r#"Debit 1000000 ["ABCDEFGHIJKLMNO"] ["000000000001"]"#,
            ),
            // The sample of the webhook: the fees are in the debit.
            (
                json!({ "amount": 218, "debit": 218, "source": { "amount": 100, "fees": 118, "status": "processing", "utr": null } }),
                "Debit 100 announced [] []; Debit 118 announced [] []",
            ),
            (json!({ "debit": 1_000_003 }), r#"Debit 1000000 [] ["000000000001"]; Debit 3 [] []"#),
            // Neither the amount nor the amount with the fees: as the account was debited, and a person looks.
            (json!({ "debit": 1_000_002 }), r#"Debit 1000002 [] ["000000000001"]"#),
            (json!({ "source": { "status": "reversed" } }), r#"Debit 1000000 taken back [] ["000000000001"]"#),
            (json!({ "source": { "status": "queued" } }), r#"Debit 1000000 announced [] ["000000000001"]"#),
            (
                json!({ "debit": 0, "credit": 500, "source": { "entity": "bank_transfer", "bank_reference": "AXIR000000000001" } }),
                r#"Credit 500 [] ["AXIR000000000001"]"#,
            ),
            (
                json!({ "debit": 0, "credit": 500, "source": { "entity": "reversal" } }),
                r#"Credit 500 returned [] ["000000000001"]"#,
            ),
            (json!({ "source": { "entity": "external" } }), r#"Debit 1000000 [] ["000000000001"]"#),
            // What comes back comes back with its fees.
            (
                json!({ "debit": 0, "credit": 1_000_003, "source": { "entity": "reversal" } }),
                r#"Credit 1000000 returned [] ["000000000001"]; Credit 3 returned [] []"#,
            ),
            (json!({ "id": "" }), "it has no id"),
            (json!({ "debit": 0 }), "it is neither a credit nor a debit"),
            (json!({ "credit": 1 }), "it is neither a credit nor a debit"),
            (json!({ "debit": -1 }), "it is neither a credit nor a debit"),
            (json!({ "currency": "USD" }), "it is not in rupees"),
            (json!({ "account_number": "1" }), "it is of another account"),
            (json!({ "debit": i64::MAX }), "its amount is beyond all amounts"),
            (json!({ "created_at": i64::MAX }), "its time is beyond all times"),
            (json!({ "balance": "9000000" }), "it cannot be read"),
        ] {
            assert_eq!(shown(change.clone()), expected, "{change}");
        }
        assert!(bank().page(b"{}").is_none() && bank().page(br#"{"entity":"payout","items":[]}"#).is_none());
        let full = serde_json::json!({ "entity": "collection", "items": vec![0; PAGE] });
        assert!(bank().page(full.to_string().as_bytes()).is_some_and(|page| page.full && page.entries.len() == PAGE));
        let day = (Timestamp(SECOND), Timestamp(5 * SECOND));
        assert_eq!(
            bank().entries(day, 100).unwrap().url,
            "http://rzp.test/v1/transactions?account_number=7878780080316316&from=1&to=4&count=100&skip=100"
        );
    }

    #[test]
    fn a_webhook_counts_only_with_its_signature() {
        let event = |event: &str, status: &str| {
            format!(
                r#"{{"entity":"event","account_id":"acc_1","event":"{event}","contains":["payout"],"payload":{{"payout":{{"entity":{}}}}},"created_at":1545383037}}"#,
                payout(status, "")
            )
        };
        let sign = |body: &str, secret: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.update(body.as_bytes());
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        // The vector of razorpay-node, test/utils/razorpay-utils.spec.js.
        let vector = "2fe04e22977002e6c7cb553adab8b460cb9e2a4970d5953cb27a8472752e3bbc";
        assert_eq!(sign(r#"{"a":1,"b":2,"c":{"d":3}}"#, b"123456"), vector);
        assert_eq!(unhex(vector).unwrap().len(), 32);
        let processed = event("payout.processed", "processed");
        let called = |signature: &str, body: &str| {
            heard(&bank(), "/connectors/rzp/callback", &[("x-razorpay-signature", signature)], body, 1_000)
        };
        let good = called(&sign(&processed, b"123456"), &processed).unwrap();
        assert!(good.signed && good.reference == reference());
        assert_eq!((good.word.outcome, good.word.amount_paise), (Outcome::Paid, Some(100)));
        for signature in ["", "2fe0", "zz", vector, &sign(&processed, b"other"), &sign(&processed, b"123456")[..62]] {
            assert!(!called(signature, &processed).unwrap().signed, "{signature}");
        }
        for (name, status, outcome) in [
            ("payout.reversed", "reversed", Outcome::Reversed),
            ("payout.failed", "failed", NO),
            ("payout.updated", "processing", Outcome::Accepted),
        ] {
            assert_eq!(called("", &event(name, status)).unwrap().word.outcome, outcome, "{name}");
        }
        let foreign = processed.replace(REFERENCE, "INV-1");
        let transaction = r#"{"entity":"event","event":"transaction.created","contains":["transaction"],"payload":{"transaction":{"entity":{"id":"txn_1"}}}}"#;
        let downtime =
            r#"{"entity":"event","event":"payout.downtime.started","payload":{"payout.downtime":{"entity":{}}}}"#;
        let odd = r#"{"entity":"event","event":"payout.x","payload":{"payout":{"entity":{"id":7}}}}"#;
        for (body, error) in [
            (foreign.as_str(), NoWord::NotOurs),
            (transaction, NoWord::NotOurs),
            (downtime, NoWord::NotOurs),
            (odd, NoWord::NotOurs),
            ("[]", NoWord::Unreadable),
            ("", NoWord::Unreadable),
        ] {
            assert_eq!(called("", body).unwrap_err(), error, "{body}");
        }
    }
}
