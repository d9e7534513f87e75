//! RazorpayX as its documents describe it (`razorpay/markdown-docs`, April 2026: api/x, errors/x, webhooks).

use super::super::support::{Folder, START};
use super::{Book, Entry, Fate, Fault, Hook, Reaction, State, Upstream, fate, fits, header, secret_file};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use hundi::config::{BankUrl, Connector, RazorpayX};
use hundi::http_out::Method;
use hundi_core::schedule::SECOND;
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

const ACCOUNT: &str = "7878780080316316";
const KEY_ID: &str = "rzp_test_1DP5mmOlF5G5ag";
const KEY_SECRET: &str = "thisissecret";
const HOOK_SECRET: &str = "hook-secret-of-test";

/// What is on the account when the book begins, and what a payout costs, paise.
const OPENING_PAISE: i64 = 1_000_000_00;
const FEES_PAISE: i64 = 590;

pub struct Sim {
    book: Book,
    born: Instant,
    /// Whether fees are taken with each payout, as on an account of RazorpayX Lite, or by the month.
    fees_at_once: bool,
    /// How often it was asked for transactions: every third time it has no time.
    asked: AtomicUsize,
}

impl Default for Sim {
    fn default() -> Sim {
        Sim { book: Book::default(), born: Instant::now(), fees_at_once: false, asked: AtomicUsize::new(0) }
    }
}

fn error(description: &str, reason: &str, field: Value) -> Reaction {
    let error = json!({
        "code": "BAD_REQUEST_ERROR", "description": description, "source": "business", "step": null, "reason": reason,
        "metadata": {}, "field": field,
    });
    Some((400, json!({ "error": error })))
}

/// The first field that is not as the documents want it.
fn wrong(body: &Value) -> Option<&'static str> {
    let alnum = |c: char| c.is_ascii_alphanumeric();
    let fund = &body["fund_account"];
    let bank = &fund["bank_account"];
    let account = fund["account_type"] == "bank_account"
        && fits(&bank["name"], 4..=120, |c| !c.is_control())
        && fits(&bank["ifsc"], 11..=11, alnum)
        && fits(&bank["account_number"], 5..=35, alnum)
        && fund["vpa"].is_null();
    let vpa = fund["account_type"] == "vpa"
        && fits(&fund["vpa"]["address"], 3..=100, |c| alnum(c) || ".-@".contains(c))
        && fund["bank_account"].is_null();
    let purposes = ["refund", "cashback", "payout", "salary", "utility bill", "vendor bill"];
    let types = ["vendor", "customer", "employee", "self"];
    let mode = body["mode"].as_str().unwrap_or_default();
    [
        ("account_number", body["account_number"] == ACCOUNT),
        ("amount", body["amount"].as_i64().is_some_and(|paise| paise >= 100)),
        ("currency", body["currency"] == "INR"),
        ("mode", if vpa { mode == "UPI" } else { ["NEFT", "RTGS", "IMPS"].contains(&mode) }),
        ("purpose", purposes.iter().any(|purpose| body["purpose"] == *purpose)),
        ("fund_account", account || vpa),
        ("contact.name", fits(&fund["contact"]["name"], 3..=50, |c| !c.is_control())),
        ("contact.type", types.iter().any(|kind| fund["contact"]["type"] == *kind)),
        ("reference_id", fits(&body["reference_id"], 1..=40, |_| true)),
        ("narration", fits(&body["narration"], 1..=30, |c| alnum(c) || c == ' ')),
        ("queue_if_low_balance", body["queue_if_low_balance"].is_boolean()),
        (
            "notes",
            body["notes"]
                .as_object()
                .is_some_and(|notes| notes.len() <= 15 && notes.values().all(|note| fits(note, 0..=256, |_| true))),
        ),
    ]
    .into_iter()
    .find(|(_, good)| !good)
    .map(|(field, _)| field)
}

/// A payout as the documents show it, traps and all: no notes are a list, and `"null"` may be a text.
fn payout(entry: &Entry, state: State) -> Value {
    let (status, reason) = match state {
        State::Open => (
            "processing",
            json!({ "description": "Being processed", "source": "gateway", "reason": "payout_bank_processing" }),
        ),
        State::Paid => (
            "processed",
            json!({ "description": "Processed", "source": "beneficiary_bank", "reason": "payout_processed" }),
        ),
        State::Failed(Fault::NoSuchAccount) => (
            "failed",
            json!({ "description": "No such account", "source": "beneficiary_bank", "reason": "bank_account_invalid" }),
        ),
        State::Failed(Fault::BankDown) => {
            ("reversed", json!({ "description": "Gateway is down", "source": "gateway", "reason": "gateway_down" }))
        }
        State::Failed(Fault::NoMoney) => {
            ("failed", json!({ "description": "Balance is low", "source": "business", "reason": "insufficient_funds" }))
        }
        State::Reversed => ("reversed", json!(null)),
    };
    let utr = if matches!(state, State::Paid | State::Reversed) {
        format!("{:012}", 933_815_233_000 + entry.number)
    } else {
        "null".to_owned()
    };
    json!({
        "id": format!("pout_{:014}", entry.number), "entity": "payout", "fund_account_id": "fa_00000000000001",
        "amount": entry.amount_paise, "currency": "INR", "notes": entry.request["notes"], "fees": FEES_PAISE, "tax": 90, "status": status,
        "purpose": entry.request["purpose"], "utr": utr, "mode": entry.request["mode"], "reference_id": entry.reference,
        "narration": entry.request["narration"], "debit_account_number": "null", "batch_id": null,
        "status_details": reason, "created_at": 1_795_329_000, "fee_type": "",
    })
}

impl Sim {
    fn create(&self, headers: &[(&str, String)], body: &[u8]) -> Reaction {
        let body: Value = serde_json::from_slice(body).unwrap();
        let key = header(headers, "x-payout-idempotency");
        if !(4..=36).contains(&key.len()) || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_ -".contains(c)) {
            return error("The idempotency key is missing", "input_validation_failed", json!("idempotency_key"));
        }
        if let Some(field) = wrong(&body) {
            return error(&format!("The {field} field is invalid."), "input_validation_failed", json!(field));
        }
        let mut book = self.book.lock().unwrap();
        if let Some(entry) = book.iter().find(|entry| entry.request["key"] == key) {
            let same = entry.request["body"] == body;
            let different = "Different request body sent for the same Idempotency Header";
            let again = || Some((200, payout(entry, entry.state())));
            return if same { again() } else { error(different, "input_validation_failed", json!(null)) };
        }
        let fund = &body["fund_account"];
        let number = fund["bank_account"]["account_number"].as_str().or(fund["vpa"]["address"].as_str()).unwrap();
        let fate = fate(number);
        if fate == Fate::LosesInSilence {
            return None;
        }
        let mut request = body.clone();
        request["key"] = json!(key);
        request["body"] = body.clone();
        let entry = Entry {
            number: book.len() + 1,
            reference: body["reference_id"].as_str().unwrap().to_owned(),
            amount_paise: body["amount"].as_i64().unwrap(),
            fate,
            made_at: Instant::now(),
            request,
            called: Vec::new(),
        };
        book.push(entry.clone());
        match fate {
            Fate::PaysInSilence => None,
            Fate::PaysWithAnError => Some((
                500,
                json!({ "error": { "code": "SERVER_ERROR", "description": "We are facing some trouble", "reason": "server_error" } }),
            )),
            _ => Some((200, payout(&entry, entry.state()))),
        }
    }

    /// Lite: fees are taken with each payout.
    pub fn lite() -> Sim {
        Sim { fees_at_once: true, ..Sim::default() }
    }

    /// The account's transactions, the newest first. `failed` has debited nothing, `reversed` has and gave it back; how that is
    /// shown nobody documents.
    fn transactions(&self, query: &[(String, String)]) -> Reaction {
        let number =
            |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.parse::<i64>().unwrap());
        if self.asked.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            return Some((429, json!({ "error": { "code": "BAD_REQUEST_ERROR", "description": "Request failed" } })));
        }
        if !query.contains(&("account_number".to_owned(), ACCOUNT.to_owned())) {
            return error("The account number field is required.", "input_validation_failed", json!("account_number"));
        }
        let (mut all, mut balance) = (Vec::new(), OPENING_PAISE);
        let mut add = |change: i64, at: i64, source: Value| {
            balance += change;
            all.push(json!({
                "id": format!("txn_{:014}", all.len() + 1), "entity": "transaction", "account_number": ACCOUNT,
                "amount": change.abs(), "currency": "INR", "credit": change.max(0), "debit": (-change).max(0),
                "balance": balance, "source": source, "created_at": at,
            }));
        };
        for entry in self.book.lock().unwrap().iter() {
            let (state, amount) = (entry.state(), entry.amount_paise);
            let at = START.0 / SECOND + i64::try_from((entry.made_at - self.born).as_secs()).unwrap();
            let source = payout(entry, state);
            if source["status"] == "failed" {
                continue;
            }
            let utr = source["utr"].clone();
            let fees = if self.fees_at_once { FEES_PAISE } else { 0 };
            add(-amount - fees, at, source);
            if matches!(state, State::Failed(_) | State::Reversed) {
                let id = format!("rvrsl_{:014}", entry.number);
                let notes = if utr == "null" { entry.request["notes"].clone() } else { json!([]) };
                let (entity, fees_back) = ("reversal", FEES_PAISE);
                let source = json!({ "id": id, "entity": entity, "amount": amount, "fees": fees_back, "utr": utr, "notes": notes });
                add(amount + fees, at, source);
            }
        }
        let (from, to) = (number("from").unwrap_or(0), number("to").unwrap_or(i64::MAX));
        let (count, skip) = (number("count").unwrap_or(10), number("skip").unwrap_or(0));
        assert!(count <= 100);
        let within = |item: &Value| (from..=to).contains(&item["created_at"].as_i64().unwrap());
        let items: Vec<Value> = all.into_iter().rev().filter(within).skip(skip as usize).take(count as usize).collect();
        Some((200, json!({ "entity": "collection", "count": items.len(), "items": items })))
    }

    fn list(&self, query: &[(String, String)]) -> Reaction {
        let parameter = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if parameter("account_number") != Some(ACCOUNT) {
            return error("The account number field is required.", "input_validation_failed", json!("account_number"));
        }
        let count: usize = parameter("count").unwrap_or("10").parse().unwrap();
        assert!(count <= 100);
        let book = self.book.lock().unwrap();
        let found = book.iter().rev().filter(|entry| parameter("reference_id").is_none_or(|id| id == entry.reference));
        let items: Vec<Value> = found.take(count).map(|entry| payout(entry, entry.state())).collect();
        Some((200, json!({ "entity": "collection", "count": items.len(), "items": items })))
    }
}

impl Upstream for Sim {
    fn name(&self) -> &'static str {
        "rzp"
    }

    fn connector(&self, folder: &Folder) -> Connector {
        Connector::RazorpayX(RazorpayX {
            url: BankUrl("https://rzp.test/v1".to_owned()),
            account_number: ACCOUNT.to_owned(),
            key_id: KEY_ID.to_owned(),
            key_secret_file: secret_file(folder, "rzp-key", KEY_SECRET),
            key_secret_env: None,
            webhook_secret_file: secret_file(folder, "rzp-hook", HOOK_SECRET),
            webhook_secret_env: None,
            purpose: "payout".to_owned(),
            calls_per_s: 5,
            reply_within_ms: 5_000,
        })
    }

    fn book(&self) -> &Book {
        &self.book
    }

    fn serve(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Reaction {
        let basic = format!("Basic {}", STANDARD.encode(format!("{KEY_ID}:{KEY_SECRET}")));
        if header(headers, "authorization") != basic {
            let error = json!({ "code": "BAD_REQUEST_ERROR", "description": "Authentication failed", "reason": "authentication_failed" });
            return Some((401, json!({ "error": error })));
        }
        match (method, path) {
            (Method::Post, "/v1/payouts") if header(headers, "content-type") == "application/json" => {
                self.create(headers, body)
            }
            (Method::Get, "/v1/payouts") => self.list(query),
            (Method::Get, "/v1/transactions") => self.transactions(query),
            _ => Some((404, json!({ "message": "no Route matched with those values" }))),
        }
    }

    fn hook(&self, entry: &Entry, state: State, genuine: bool) -> Hook {
        let payout = payout(entry, state);
        let event = match payout["status"].as_str().unwrap() {
            "processing" => "payout.initiated".to_owned(),
            status => format!("payout.{status}"),
        };
        let body = json!({
            "entity": "event", "account_id": "acc_1", "event": event, "contains": ["payout"],
            "payload": { "payout": { "entity": payout } }, "created_at": 1_795_329_000,
        })
        .to_string();
        let secret = if genuine { HOOK_SECRET } else { "another secret" };
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("ev_{}_{}", entry.number, entry.called.len());
        Hook { headers: vec![("x-razorpay-signature", signature), ("x-razorpay-event-id", id)], body }
    }
}
