//! The siblings of the SeguraPay API that answer flat, as their pages describe them: WowPe with its status check and flat
//! webhooks, Distril (Payyez) with nested webhooks and no status call. Each writes its own mix of numbers, texts and capitals.

use super::super::support::Folder;
use super::{Book, Entry, Fate, Fault, Hook, Reaction, State, Upstream, fate, fits, header, secret_file};
use hundi::config::{BankUrl, Connector, Dialect, SeguraPay};
use hundi::http_out::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

const CLIENT_ID: &str = "CL10001";
const SECRET_KEY: &str = "sk_test_0001";

pub struct Sim {
    book: Book,
    dialect: Dialect,
}

impl Sim {
    pub fn wowpe() -> Sim {
        Sim { book: Book::default(), dialect: Dialect::WowPe }
    }

    pub fn distril() -> Sim {
        Sim { book: Book::default(), dialect: Dialect::Distril }
    }

    fn is_distril(&self) -> bool {
        self.dialect == Dialect::Distril
    }

    /// The field that is not as the pages want it.
    fn wrong(&self, body: &Value) -> Option<&'static str> {
        let alnum = |c: char| c.is_ascii_alphanumeric();
        let mode = body["transferMode"].as_str().unwrap_or_default();
        let modes: &[&str] = if self.is_distril() { &["neft", "imps", "rtgs"] } else { &["NEFT", "IMPS", "RTGS"] };
        let account = fits(&body["accountNo"], 5..=35, alnum) && fits(&body["ifscCode"], 11..=11, alnum);
        let vpa = !self.is_distril() && mode == "UPI" && fits(&body["vpa"], 3..=255, |c| c.is_ascii());
        [
            ("amount", fits(&body["amount"], 1..=12, |c| c.is_ascii_digit())),
            ("transferMode", modes.contains(&mode) || vpa),
            ("accountNo", account || vpa),
            ("beneficiaryName", fits(&body["beneficiaryName"], 1..=100, |_| true)),
            (self.id_field(), fits(&body[self.id_field()], 1..=40, alnum)),
        ]
        .into_iter()
        .find(|(_, good)| !good)
        .map(|(field, _)| field)
    }

    fn id_field(&self) -> &'static str {
        if self.is_distril() { "orderID" } else { "clientOrderId" }
    }

    fn create(&self, body: &Value) -> Reaction {
        if let Some(field) = self.wrong(body) {
            let errors = json!({ field: [format!("The field {field} is invalid.")] });
            return Some((
                400,
                json!({ "title": "One or more validation errors occurred.", "status": 400, "errors": errors }),
            ));
        }
        let id = body[self.id_field()].as_str().unwrap();
        let mut book = self.book.lock().unwrap();
        if book.iter().any(|entry| entry.reference == id) {
            return Some((200, json!({ "statusCode": 0, "message": "Duplicate order id" })));
        }
        let number = body["accountNo"].as_str().or(body["vpa"].as_str()).unwrap();
        let fate = fate(number);
        if fate == Fate::LosesInSilence {
            return None;
        }
        let rupees: i64 = body["amount"].as_str().unwrap().parse().unwrap();
        let entry = Entry {
            number: book.len() + 1,
            reference: id.to_owned(),
            amount_paise: rupees * 100,
            fate,
            made_at: Instant::now(),
            request: body.clone(),
            called: Vec::new(),
        };
        book.push(entry.clone());
        match fate {
            Fate::PaysInSilence => None,
            Fate::PaysWithAnError => Some((500, json!({ "message": "An error has occurred." }))),
            _ => Some((200, self.reply(&entry))),
        }
    }

    fn reply(&self, entry: &Entry) -> Value {
        let state = entry.state();
        let message = why(state);
        if self.is_distril() {
            // The sample shows a word where the table has numbers.
            let status = if state == State::Paid { json!("Success") } else { json!(number(state).to_string()) };
            json!({ "statusCode": "1", "message": message, "clientOrderID": entry.reference, "orderID": entry.number,
                "beneficiaryName": entry.request["beneficiaryName"], "RRN": utr(entry, state), "status": status })
        } else {
            json!({ "statusCode": 1, "message": message, "clientOrderId": entry.reference, "orderId": "WP1",
                "beneficiaryName": entry.request["beneficiaryName"], "utr": utr(entry, state), "status": number(state) })
        }
    }

    fn check(&self, body: &Value) -> Reaction {
        let book = self.book.lock().unwrap();
        match book.iter().find(|entry| body["clientOrderId"] == entry.reference) {
            Some(entry) => Some((200, self.reply(entry))),
            None => Some((200, json!({ "statusCode": 6, "message": "Transaction not found" }))),
        }
    }
}

fn number(state: State) -> i64 {
    match state {
        State::Open => 2,
        State::Paid => 1,
        State::Failed(_) => 0,
        State::Reversed => 4,
    }
}

fn why(state: State) -> &'static str {
    match state {
        State::Open => "Transaction is pending",
        State::Paid => "Transaction successful",
        State::Failed(Fault::NoSuchAccount) => "Invalid beneficiary account",
        State::Failed(Fault::BankDown) => "Bank server is down",
        State::Failed(Fault::NoMoney) => "Insufficient balance",
        State::Reversed => "Returned",
    }
}

fn utr(entry: &Entry, state: State) -> String {
    let paid = matches!(state, State::Paid | State::Reversed);
    if paid { format!("{:012}", 409_111_200_000 + entry.number) } else { String::new() }
}

impl Upstream for Sim {
    fn name(&self) -> &'static str {
        if self.is_distril() { "distril" } else { "wowpe" }
    }

    fn connector(&self, folder: &Folder) -> Connector {
        let path = if self.is_distril() { "api/PayoutAPI" } else { "api/api/api-module/payout" };
        Connector::SeguraPay(SeguraPay {
            url: BankUrl(format!("https://{}.test/{path}", self.name())),
            dialect: self.dialect,
            token_file: None,
            token_env: None,
            client_id: Some(CLIENT_ID.to_owned()),
            secret_key_file: secret_file(folder, self.name(), SECRET_KEY),
            secret_key_env: None,
            callback_secret_file: None,
            callback_secret_env: None,
            number: None,
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
        _: &[(String, String)],
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Reaction {
        assert_eq!(header(headers, "content-type"), "application/json");
        let body: Value = serde_json::from_slice(body).unwrap();
        if body["clientId"] != CLIENT_ID || body["secretKey"] != SECRET_KEY {
            return Some((200, json!({ "statusCode": 0, "message": "Invalid client" })));
        }
        match (method, path, self.is_distril()) {
            (Method::Post, "/api/PayoutAPI/paymenttransafer", true)
            | (Method::Post, "/api/api/api-module/payout/payout", false) => self.create(&body),
            (Method::Post, "/api/api/api-module/payout/status-check", false) => self.check(&body),
            _ => Some((404, json!({ "message": "No HTTP resource was found" }))),
        }
    }

    /// Nobody can tell a genuine webhook from a forged one.
    fn hook(&self, entry: &Entry, state: State, _: bool) -> Hook {
        let (reference, utr) = (&entry.reference, utr(entry, state));
        let (status, date, checksum) = (number(state), "3/31/2024 11:02:41 AM", "c2lnbmVk");
        let body = if self.is_distril() {
            format!(
                r#"{{"StatusCode":1,"Message":"x","Data":{{"TransactionId":"{}","UTR":"{utr}","TransactionStatus":{status},"ClientOrderId":"{reference}","PaymentMode":"IMPS","Amount":{}.00000,"Date":"{date}","Checksum":"{checksum}"}}}}"#,
                entry.number,
                entry.amount_paise / 100
            )
        } else {
            // The UTR stands as it is, which is no JSON where it begins with a zero or is not there.
            let utr = if utr.is_empty() { "null".to_owned() } else { utr };
            format!(
                r#"{{"StatusCode":1,"Message":"x","OrderId":"WP1","Status":"{status}","ClientOrderId":"{reference}","PaymentMode":"IMPS","Amount":"{}.0000","Date":"{date}","UTR":{utr},"Checksum":"{checksum}"}}"#,
                entry.amount_paise / 100
            )
        };
        Hook { headers: vec![("content-type", "application/json".to_owned())], body }
    }
}
