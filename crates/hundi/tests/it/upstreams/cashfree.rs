//! Cashfree payouts, version 2, as its documents and its own client describe them (npm package `cashfree-payout` 0.0.14). Where
//! it allows no address, it wants each request signed for it (`X-Cf-Signature`), and refuses what it cannot read, what names
//! another client and what is older than ten minutes.

use super::super::support::Folder;
use super::{Book, Entry, Fate, Fault, Hook, Reaction, START, State, Upstream, fate, fits, header, secret_file};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use hundi::config::{BankUrl, Cashfree, Connector};
use hundi::http_out::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::OnceLock;
use tokio::time::Instant;

const CLIENT_ID: &str = "CF10001";
const CLIENT_SECRET: &str = "cfsk_ma_test_secret";

/// How long a signature holds, seconds.
const SIGNED_FOR_S: i64 = 600;

#[derive(Default)]
pub struct Sim {
    book: Book,
    never_down: bool,
    opened: OnceLock<Instant>,
    /// What it wants beside the client's secret; `None` where our address is allowed.
    second: Option<Second>,
}

/// The second factor, as the bank has it.
pub struct Second {
    reads: OaepPrivateDecryptingKey,
    /// The public key that the operator was given, in PEM.
    pub given: Option<String>,
    /// What the bank's clock is ahead of ours, seconds.
    pub ahead_s: i64,
}

impl Second {
    fn new() -> Second {
        let (reads, given) = pair();
        Second { reads, given: Some(given), ahead_s: 0 }
    }

    /// Whether a header is `clientId.unixSeconds` for this bank, and not too old.
    fn proves(&self, signature: &str, now_s: i64) -> bool {
        let mut room = vec![0; self.reads.min_output_size()];
        let sealed = STANDARD.decode(signature).unwrap_or_default();
        let Ok(text) = self.reads.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut room, None) else { return false };
        let Some((client, second)) = std::str::from_utf8(text).ok().and_then(|text| text.split_once('.')) else {
            return false;
        };
        let age_s = second.parse::<i64>().ok().map(|second| now_s + self.ahead_s - second);
        client == CLIENT_ID && age_s.is_some_and(|age_s| (0..=SIGNED_FOR_S).contains(&age_s))
    }
}

/// A pair: who reads, and the public half in PEM.
pub fn pair() -> (OaepPrivateDecryptingKey, String) {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&private.public_key()).unwrap();
    let text = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    (OaepPrivateDecryptingKey::new(private).unwrap(), pem)
}

fn error(status: u16, code: &str, message: &str) -> Reaction {
    Some((status, json!({ "type": "invalid_request_error", "code": code, "message": message })))
}

/// The first field that is not as the documents want it.
fn wrong(body: &Value, text: &str) -> Option<&'static str> {
    let alnum = |c: char| c.is_ascii_alphanumeric();
    let beneficiary = &body["beneficiary_details"];
    let instrument = &beneficiary["beneficiary_instrument_details"];
    let account = fits(&instrument["bank_account_number"], 9..=18, alnum)
        && fits(&instrument["bank_ifsc"], 11..=11, alnum)
        && instrument["vpa"].is_null();
    let vpa = fits(&instrument["vpa"], 3..=255, |c| c.is_ascii()) && instrument["bank_account_number"].is_null();
    let mode = body["transfer_mode"].as_str().unwrap_or_default();
    [
        ("transfer_id", fits(&body["transfer_id"], 1..=40, |c| alnum(c) || c == '_')),
        // A number with two decimals, as it is written.
        ("transfer_amount", amount_paise(text).is_some_and(|paise| paise >= 100)),
        ("transfer_currency", body["transfer_currency"] == "INR"),
        ("transfer_mode", if vpa { mode == "upi" } else { ["banktransfer", "imps", "neft", "rtgs"].contains(&mode) }),
        ("transfer_remarks", fits(&body["transfer_remarks"], 0..=70, |c| alnum(c) || c == ' ')),
        ("beneficiary_name", fits(&beneficiary["beneficiary_name"], 1..=100, |c| c.is_ascii_alphabetic() || c == ' ')),
        ("beneficiary_instrument_details", account || vpa),
    ]
    .into_iter()
    .find(|(_, good)| !good)
    .map(|(field, _)| field)
}

/// The amount in a request's text.
fn amount_paise(text: &str) -> Option<i64> {
    let rest = text.split("\"transfer_amount\":").nth(1)?;
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let (rupees, paise) = number.split_once('.').unwrap_or((&number, "00"));
    let paise = format!("{paise:0<2}");
    (paise.len() == 2).then(|| Some(rupees.parse::<i64>().ok()? * 100 + paise.parse::<i64>().ok()?))?
}

/// A transfer as the documents show it. The amount is written as Cashfree writes it: a number of rupees.
fn transfer(entry: &Entry, state: State) -> Value {
    let (status, code) = match state {
        State::Open => ("PENDING", "SENT_TO_BANK"),
        State::Paid => ("SUCCESS", "COMPLETED"),
        State::Failed(Fault::NoSuchAccount) => ("FAILED", "INVALID_ACCOUNT_FAIL"),
        State::Failed(Fault::BankDown) => ("FAILED", "SOURCE_BANK_DECLINED"),
        State::Failed(Fault::NoMoney) => ("REJECTED", "INSUFFICIENT_BALANCE"),
        State::Reversed => ("REVERSED", "RETURNED_FROM_BENEFICIARY"),
    };
    let utr = if matches!(state, State::Paid | State::Reversed) {
        json!(format!("{:012}", 523_223_155_000 + entry.number))
    } else {
        json!("")
    };
    let amount = format!("{}.{:02}", entry.amount_paise / 100, entry.amount_paise % 100);
    let amount: Value = serde_json::from_str(&amount).unwrap();
    json!({
        "transfer_id": entry.reference, "cf_transfer_id": format!("{}", 1_000_000 + entry.number), "status": status,
        "status_code": code, "status_description": format!("Said {code}"),
        "beneficiary_details": entry.request["beneficiary_details"], "transfer_amount": amount,
        "transfer_service_charge": 1, "transfer_service_tax": 0.18, "transfer_mode": "BANK", "transfer_utr": utr,
        "fundsource_id": "CASHFREE_1", "added_on": "2026-11-22T06:30:00Z", "updated_on": "2026-11-22T06:30:05Z",
    })
}

impl Sim {
    /// One that pays what another bank has refused for reasons of its own.
    pub fn never_down() -> Sim {
        Sim { never_down: true, ..Sim::default() }
    }

    /// One that allows no address: it wants every request signed.
    pub fn signed(change: impl FnOnce(&mut Second)) -> Sim {
        let mut second = Second::new();
        change(&mut second);
        Sim { second: Some(second), ..Sim::default() }
    }

    /// Its clock, seconds.
    fn now_s(&self) -> i64 {
        let passed = self.opened.get().unwrap().elapsed().as_secs();
        START.0 / 1_000_000 + i64::try_from(passed).unwrap()
    }

    fn create(&self, body: &[u8]) -> Reaction {
        let text = std::str::from_utf8(body).unwrap();
        let body: Value = serde_json::from_str(text).unwrap();
        if let Some(field) = wrong(&body, text) {
            return error(422, &format!("{field}_invalid"), &format!("{field} is not valid"));
        }
        let id = body["transfer_id"].as_str().unwrap();
        let mut book = self.book.lock().unwrap();
        if book.iter().any(|entry| entry.reference == id) {
            return error(409, "transfer_id_invalid", "transfer_id already exists");
        }
        let instrument = &body["beneficiary_details"]["beneficiary_instrument_details"];
        let number = instrument["bank_account_number"].as_str().or(instrument["vpa"].as_str()).unwrap();
        let fate = if self.never_down { Fate::Pays } else { fate(number) };
        if fate == Fate::LosesInSilence {
            return None;
        }
        let entry = Entry {
            number: book.len() + 1,
            reference: id.to_owned(),
            amount_paise: amount_paise(text).unwrap(),
            fate,
            made_at: Instant::now(),
            request: body.clone(),
            called: Vec::new(),
        };
        book.push(entry.clone());
        match fate {
            Fate::PaysInSilence => None,
            Fate::PaysWithAnError => error(500, "internal_error", "internal error"),
            // The documents call the call asynchronous: it is received, and no more.
            _ => {
                let mut received = transfer(&entry, State::Open);
                received["status"] = json!("RECEIVED");
                received["status_code"] = json!("RECEIVED");
                Some((201, received))
            }
        }
    }
}

impl Upstream for Sim {
    fn name(&self) -> &'static str {
        "cf"
    }

    fn connector(&self, folder: &Folder) -> Connector {
        // The clock of the webhooks starts with the world's.
        self.opened.get_or_init(Instant::now);
        Connector::Cashfree(Cashfree {
            url: BankUrl("https://cf.test/payout".to_owned()),
            client_id: CLIENT_ID.to_owned(),
            client_secret_file: secret_file(folder, "cf-secret", CLIENT_SECRET),
            client_secret_env: None,
            webhook_secret_file: None,
            webhook_secret_env: None,
            signature_key_file: self
                .second
                .as_ref()
                .and_then(|second| second.given.as_ref())
                .and_then(|pem| secret_file(folder, "cf-public.pem", pem)),
            fundsource_id: None,
            credited_after_s: None,
            calls_per_s: None,
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
        if header(headers, "x-client-id") != CLIENT_ID || header(headers, "x-client-secret") != CLIENT_SECRET {
            return error(403, "authentication_failed", "Invalid clientId and clientSecret combination");
        }
        let signature = header(headers, "x-cf-signature");
        if self.second.as_ref().is_some_and(|second| !second.proves(signature, self.now_s())) {
            return error(403, "authentication_failed", "IP not whitelisted, and the signature is not valid");
        }
        if header(headers, "x-api-version") != "2024-01-01" {
            return error(400, "x_api_version_invalid", "x-api-version is not valid");
        }
        match (method, path, query) {
            (Method::Post, "/payout/transfers", _) if header(headers, "content-type") == "application/json" => {
                self.create(body)
            }
            (Method::Get, "/payout/transfers", [(name, id)]) if name == "transfer_id" => {
                let book = self.book.lock().unwrap();
                match book.iter().find(|entry| entry.reference == *id) {
                    Some(entry) => Some((200, transfer(entry, entry.state()))),
                    None => error(404, "transfer_id_not_found", "transfer_id does not exist"),
                }
            }
            _ => error(404, "not_found", "no such path"),
        }
    }

    fn hook(&self, entry: &Entry, state: State, genuine: bool) -> Hook {
        let data = transfer(entry, state);
        let kind = match data["status"].as_str().unwrap() {
            "PENDING" => "TRANSFER_ACKNOWLEDGED".to_owned(),
            status => format!("TRANSFER_{status}"),
        };
        let body = json!({ "data": data, "event_time": "2026-11-22T12:00:00", "type": kind }).to_string();
        let timestamp = self.now_s().to_string();
        let secret = if genuine { CLIENT_SECRET } else { "another secret" };
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(timestamp.as_bytes());
        mac.update(body.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        Hook { headers: vec![("x-webhook-signature", signature), ("x-webhook-timestamp", timestamp)], body }
    }
}
