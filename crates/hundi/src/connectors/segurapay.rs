//! The SeguraPay payout API, which another Hundi speaks too: one Hundi can stand behind another (docs/connectors.md).
//!
//! "Paid" means that the service says `Success` with code 1. Amounts are whole rupees and answers name none.
//!
//! | reply | to the request that pays | to a question |
//! |---|---|---|
//! | 1 and `Success`, naming our order | paid | paid |
//! | any other code and `Success`, naming our order | accepted | accepted |
//! | `Failure`, naming our order | accepted: a question confirms it | refused, or reversed if it was paid before |
//! | `Reversal`, naming our order | accepted: a question confirms it | reversed |
//! | any other word, naming our order | accepted | accepted |
//! | 0 that names no order (a duplicate, a bad token, not found: nobody knows) | silent | silent |
//! | HTTP 400 with `errors` | refused | silent |
//! | anything else | silent | silent |
//!
//! A Hundi means its codes (`dialect = "hundi"`): 0 is final at once, 3 is our token or address, 4 is "not found". It keeps an
//! OrderID for ever, and "not found" is never final all the same: a request may still be on its way.
//!
//! A callback is a `GET` that proves nothing, unless a Hundi has signed it. The siblings of the API that answer flat are in
//! [`flat`].

use super::{
    Asked, Bank, Call, Called, NoWord, Question, Transfer, address, bare, configured, field, label, needed_secret,
    reason, replied, secret, text, turned_away,
};
use crate::config::{self, Dialect};
use crate::http_out::{Method, OutError, OutReply, OutRequest, Reach};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hundi_core::command::{ConnectorRules, Outcome, Way, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::party::{Beneficiary, Mobile};
use hundi_core::routing::Carries;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

pub mod flat;

/// The most of a reply that is read, bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// What a reason names that lies with the beneficiary, so that another bank would say the same.
const BENEFICIARYS_FAULTS: [&str; 5] = ["account", "ifsc", "upi id", "vpa", "invalid beneficiary"];

/// The connector of a SeguraPay payout API.
pub struct SeguraPay {
    connector: Connector,
    transfers: String,
    statuses: String,
    token: String,
    number: Option<String>,
    callback_secret: Option<Vec<u8>>,
    dialect: Dialect,
    reply_within: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TransferBody<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<&'a str>,
    amount: String,
    transfer_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_no: Option<&'a str>,
    #[serde(rename = "IFSCCode", skip_serializing_if = "Option::is_none")]
    ifsc_code: Option<&'a str>,
    beneficiary_name: &'a str,
    #[serde(rename = "UPIId", skip_serializing_if = "Option::is_none")]
    upi_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beneficiary_phone_no: Option<&'a str>,
    #[serde(rename = "OrderID")]
    order_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct QuestionBody<'a> {
    token: &'a str,
    #[serde(rename = "OrderID")]
    order_id: &'a str,
}

impl SeguraPay {
    /// The connector of this name and configuration.
    pub fn new(name: &str, options: &config::SeguraPay) -> Result<SeguraPay, String> {
        let url = address(name, &options.url)?;
        if options.client_id.is_some() || options.secret_key_file.is_some() || options.secret_key_env.is_some() {
            return Err(format!(
                "`connectors.{name}`: `client_id` and `secret_key` are of no use with this `dialect`; take them out, and give \
                `token_file`"
            ));
        }
        let token = needed_secret(name, "token", options.token_file.as_deref(), options.token_env.as_deref())?;
        let (file, env) = (options.callback_secret_file.as_deref(), options.callback_secret_env.as_deref());
        let callback_secret = match secret(name, "callback_secret", file, env)? {
            None => None,
            Some(text) => {
                let key = text.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
                Some(key.filter(|key| !key.is_empty()).ok_or_else(|| {
                    format!(
                        "the secret of `connectors.{name}.callback_secret` must be `whsec_` and base64, as the other \
                        Hundi shows it (`hundi merchant show --secret`)"
                    )
                })?)
            }
        };
        Ok(SeguraPay {
            connector: configured(name)?,
            transfers: format!("{url}/PayoutBankTransafer"),
            statuses: format!("{url}/PayoutTransactionStatusByClientRef"),
            token,
            number: number(name, options)?,
            callback_secret,
            dialect: options.dialect,
            reply_within: Duration::from_millis(options.reply_within_ms),
        })
    }

    /// What an envelope says that does not name our order.
    fn about_no_order(&self, asked: Asked, code: i64, envelope: &Map<String, Value>) -> Word {
        let silent = bare(Outcome::Silent, "");
        if self.dialect != Dialect::Hundi || !field(envelope, "Data").is_none_or(Value::is_null) {
            return silent;
        }
        match (code, asked) {
            // WIRE 8: under this OrderID no money stays with the beneficiary, now or later.
            (0, Asked::ToPay) => refused(&text(envelope, "Message")),
            (3, _) => turned_away(self.connector, asked),
            (4, Asked::WhatBecame(_)) => bare(Outcome::NotFound, ""),
            _ => silent,
        }
    }

    fn about_our_order(
        &self,
        asked: Asked,
        code: i64,
        envelope: &Map<String, Value>,
        data: &Map<String, Value>,
    ) -> Word {
        let (status, message) = (text(data, "Status").to_ascii_lowercase(), text(envelope, "Message"));
        let accepted = bare(Outcome::Accepted, "");
        let word = match (status.as_str(), code, asked) {
            ("success" | "1", 1, _) => bare(Outcome::Paid, ""),
            // The answer to the request itself may be about an earlier one; so it says of SeguraPay's.
            ("failure" | "0" | "reversal" | "4", 0 | 1, Asked::ToPay) if self.dialect != Dialect::Hundi => accepted,
            ("reversal" | "4", 0 | 1, _) => bare(Outcome::Reversed, &why(&message)),
            // What was paid and has failed since has come back.
            ("failure" | "0", 0 | 1, Asked::WhatBecame(Question { paid: true, .. })) => {
                bare(Outcome::Reversed, &why(&message))
            }
            ("failure" | "0", 0 | 1, _) => refused(&message),
            _ => accepted,
        };
        Word { rrn: label(&text(data, "RRN")), ..word }
    }
}

/// The number that each transfer carries, if there is one.
fn number(name: &str, options: &config::SeguraPay) -> Result<Option<String>, String> {
    let wrong = || format!("`connectors.{name}.number` must be an Indian mobile number of 10 digits");
    let number = |number: &String| Mobile::parse(number).map(|mobile| mobile.as_str().to_owned()).ok_or_else(wrong);
    options.number.as_ref().map(number).transpose()
}

/// A request to the service: all of them are a `POST` of JSON.
fn post(url: &str, body: &impl Serialize, reply_within: Duration) -> OutRequest {
    OutRequest {
        method: Method::Post,
        url: url.to_owned(),
        headers: vec![("content-type", "application/json".to_owned())],
        // Writing texts as JSON cannot fail.
        body: serde_json::to_vec(body).unwrap_or_default().into(),
        deadline: reply_within,
        write_before_boot_us: None,
        reply_bytes_max: REPLY_BYTES_MAX,
        reach: Reach::Operator,
    }
}

/// The reason in a message, without what Hundi writes before it.
fn why(message: &str) -> Box<str> {
    let prefixes = ["Transaction Failed: ", "Transaction Reversed: "];
    reason(prefixes.iter().find_map(|prefix| message.strip_prefix(prefix)).unwrap_or(message))
}

fn refused(message: &str) -> Word {
    let why = why(message);
    let lower = why.to_ascii_lowercase();
    let elsewhere = !BENEFICIARYS_FAULTS.iter().any(|fault| lower.contains(fault));
    bare(Outcome::Refused { elsewhere }, &why)
}

/// The word of a callback.
fn called_word(status: &str) -> Outcome {
    match status.to_ascii_lowercase().as_str() {
        "success" => Outcome::Paid,
        "pending" => Outcome::Accepted,
        "failure" => Outcome::Refused { elsewhere: false },
        "reversal" => Outcome::Reversed,
        _ => Outcome::Silent,
    }
}

impl Bank for SeguraPay {
    fn rules(&self) -> ConnectorRules {
        ConnectorRules { connector: self.connector, not_found_final_us: None, carries: Carries::ALL, way: Way::Call }
    }

    fn reply_within(&self) -> Duration {
        self.reply_within
    }

    fn carries(&self, transfer: &Transfer<'_>) -> Result<(), &'static str> {
        if transfer.amount.paise() % 100 == 0 { Ok(()) } else { Err("The bank carries whole rupees only") }
    }

    fn request(&self, transfer: &Transfer<'_>) -> OutRequest {
        let (mut account_no, mut ifsc_code, mut upi_id, mut beneficiary_phone_no) = (None, None, None, None);
        match transfer.beneficiary {
            Beneficiary::Account { number, ifsc } => {
                (account_no, ifsc_code) = (Some(number.as_str()), Some(ifsc.as_str()));
            }
            Beneficiary::Vpa(vpa) => upi_id = Some(vpa.as_str()),
            Beneficiary::Mobile(mobile) => beneficiary_phone_no = Some(mobile.as_str()),
        }
        let body = TransferBody {
            token: &self.token,
            number: self.number.as_deref(),
            amount: (transfer.amount.paise() / 100).to_string(),
            transfer_mode: transfer.rail.as_str(),
            account_no,
            ifsc_code,
            beneficiary_name: &transfer.name.for_rail(transfer.rail.rules()),
            upi_id,
            beneficiary_phone_no,
            order_id: transfer.reference.as_str(),
        };
        post(&self.transfers, &body, self.reply_within)
    }

    fn answers_strangers(&self, reply: &OutReply) -> Option<&'static str> {
        // Another Hundi says "not found", and who it takes us for. Of the others' codes none does.
        let body: Value = serde_json::from_slice(&reply.body).ok()?;
        let envelope = body.as_object().filter(|_| reply.status == 200 && self.dialect != Dialect::Hundi)?;
        text(envelope, "StatusCode").parse::<i64>().ok()?;
        Some(
            "it answers as its documents say; whether it accepts our token its answer to an unknown order does not tell",
        )
    }

    fn enquiry(&self, question: Question) -> Option<OutRequest> {
        let body = QuestionBody { token: &self.token, order_id: question.reference.as_str() };
        Some(post(&self.statuses, &body, self.reply_within))
    }

    fn outcome(&self, reference: Reference, asked: Asked, reply: &Result<OutReply, OutError>) -> Word {
        let (status, body) = match replied(self.connector, asked, reply) {
            Ok(replied) => replied,
            Err(word) => return word,
        };
        let Ok(Value::Object(envelope)) = serde_json::from_slice(body) else { return bare(Outcome::Silent, "") };
        match (status, asked) {
            (200, _) => {}
            // A Hundi with `strict_http` says codes 4, 0 and 5 so.
            (404 | 422, _) if self.dialect == Dialect::Hundi => {}
            (400, Asked::ToPay) if field(&envelope, "errors").is_some_and(Value::is_object) => {
                return bare(Outcome::Refused { elsewhere: false }, "The bank finds the order not valid");
            }
            _ => return bare(Outcome::Silent, ""),
        }
        let Ok(code) = text(&envelope, "StatusCode").parse::<i64>() else { return bare(Outcome::Silent, "") };
        match field(&envelope, "Data") {
            Some(Value::Object(data)) if text(data, "ClientOrderID") == reference.as_str() => {
                self.about_our_order(asked, code, &envelope, data)
            }
            _ => self.about_no_order(asked, code, &envelope),
        }
    }

    fn calls_by(&self) -> hyper::Method {
        hyper::Method::GET
    }

    fn called(&self, call: &Call<'_>) -> Result<Called, NoWord> {
        let query = call.head.uri.query().unwrap_or_default();
        let (mut reference, mut status, mut rrn) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "clientTxnRef" => &mut reference,
                "status" => &mut status,
                "operatorRef" => &mut rrn,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(NoWord::Unreadable);
            }
        }
        let (Some(reference), Some(status)) = (reference, status) else { return Err(NoWord::Unreadable) };
        // Somebody else may use the same account there.
        let reference = Reference::parse(&reference).ok_or(NoWord::NotOurs)?;
        let word = Word { rrn: label(&rrn.unwrap_or_default()), ..bare(called_word(&status), "") };
        // WIRE 16.
        let asked = call.head.uri.path_and_query().map_or("", |asked| asked.as_str());
        let signed = call.proves(self.callback_secret.as_deref(), format!("GET {asked}").as_bytes());
        Ok(Called { signed, reference, word })
    }
}

impl std::fmt::Debug for SeguraPay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeguraPay").field("connector", &self.connector).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PAID, REFERENCE, UNPAID, heard, reference, shared_rows, told};
    use super::*;
    use hundi_core::money::Amount;
    use hundi_core::party::{AccountNumber, Ifsc, PersonName, Vpa};
    use hundi_core::rails::Rail;
    use hundi_core::schedule::Timestamp;
    use hundi_core::signing;

    fn bank(dialect: Dialect) -> SeguraPay {
        SeguraPay {
            connector: configured("up").unwrap(),
            transfers: "http://up.test/PayoutBankTransafer".to_owned(),
            statuses: "http://up.test/PayoutTransactionStatusByClientRef".to_owned(),
            token: "the-token".to_owned(),
            number: None,
            callback_secret: Some(b"secret".to_vec()),
            dialect,
            reply_within: Duration::from_secs(5),
        }
    }

    const NO: Outcome = Outcome::Refused { elsewhere: false };
    const ELSEWHERE: Outcome = Outcome::Refused { elsewhere: true };

    fn ours(code: &str, status: &str, message: &str) -> String {
        format!(
            r#"{{"StatusCode":{code},"Message":"{message}","Data":{{"ClientOrderID":"{REFERENCE}","OrderID":"188020200","BeneficiaryName":"RUPESH KUMAR","RRN":"036516753713","Status":{status}}}}}"#
        )
    }

    /// Table 7 (what all share), and table 7.3.
    #[test]
    fn a_reply_means_what_its_row_says() {
        use Dialect::{Hundi, SeguraPay};
        use Outcome::{Accepted, NotFound, NotWritten, Paid, Reversed, Silent};
        for dialect in [SeguraPay, Hundi] {
            shared_rows(&bank(dialect), &ours("1", r#""Success""#, ""));
        }
        let invalid = r#"{"type":"x","title":"y","status":400,"traceId":"z","errors":{"IFSCCode":["Invalid IFSC Code format."]}}"#;
        let none = |code: i64, message: &str| format!(r#"{{"StatusCode":{code},"Message":"{message}","Data":null}}"#);
        let (success, pending) = (r#""Success""#, r#""Pending""#);
        let (failure, reversal) = (r#""Failure""#, r#""Reversal""#);
        let down = "Transaction Failed: Bank is not available";
        let gone = "Transaction Failed: Account does not exist";
        for (dialect, status, body, to_pay, what_became, of_paid) in [
            (SeguraPay, 200, ours("1", success, ""), Paid, Paid, Paid),
            (SeguraPay, 200, ours(r#""1""#, "1", ""), Paid, Paid, Paid),
            (SeguraPay, 200, ours("1", pending, ""), Accepted, Accepted, Accepted),
            (SeguraPay, 200, ours("1", "7", ""), Accepted, Accepted, Accepted),
            // Anything but 0 and 1 is pending, but only where it names our order.
            (SeguraPay, 200, ours("2", pending, ""), Accepted, Accepted, Accepted),
            (SeguraPay, 200, ours("9", success, ""), Accepted, Accepted, Accepted),
            (SeguraPay, 200, ours("9", failure, ""), Accepted, Accepted, Accepted),
            (SeguraPay, 200, none(2, ""), Silent, Silent, Silent),
            (SeguraPay, 200, ours("1", failure, down), Accepted, ELSEWHERE, Reversed),
            (SeguraPay, 200, ours("0", failure, down), Accepted, ELSEWHERE, Reversed),
            (SeguraPay, 200, ours("0", "0", gone), Accepted, NO, Reversed),
            (SeguraPay, 200, ours("0", reversal, ""), Accepted, Reversed, Reversed),
            (SeguraPay, 200, ours("1", "4", ""), Accepted, Reversed, Reversed),
            // A bare 0 may be a duplicate, a bad token or not found.
            (SeguraPay, 200, none(0, gone), Silent, Silent, Silent),
            (SeguraPay, 200, r#"{"StatusCode":0}"#.to_owned(), Silent, Silent, Silent),
            (SeguraPay, 200, none(6, "not found"), Silent, Silent, Silent),
            (SeguraPay, 200, none(4, "not found"), Silent, Silent, Silent),
            (SeguraPay, 200, ours("true", success, ""), Silent, Silent, Silent),
            (SeguraPay, 200, ours("1.0", success, ""), Silent, Silent, Silent),
            (SeguraPay, 400, invalid.to_owned(), NO, Silent, Silent),
            (SeguraPay, 400, none(0, ""), Silent, Silent, Silent),
            (SeguraPay, 404, none(4, ""), Silent, Silent, Silent),
            (Hundi, 200, ours("1", success, ""), Paid, Paid, Paid),
            (Hundi, 200, ours("2", pending, ""), Accepted, Accepted, Accepted),
            (Hundi, 200, ours("0", failure, down), ELSEWHERE, ELSEWHERE, Reversed),
            (Hundi, 200, ours("0", failure, gone), NO, NO, Reversed),
            (Hundi, 200, ours("0", reversal, ""), Reversed, Reversed, Reversed),
            (Hundi, 200, none(0, "IFSCCode must begin with the four letters of a known bank"), NO, Silent, Silent),
            (Hundi, 422, none(0, "Amount must be a whole number of rupees"), ELSEWHERE, Silent, Silent),
            (Hundi, 200, none(3, "Token is not accepted"), NotWritten, Silent, Silent),
            (Hundi, 200, none(4, "Order not found"), Silent, NotFound, NotFound),
            (Hundi, 404, none(4, "Order not found"), Silent, NotFound, NotFound),
            (Hundi, 404, "<html>".to_owned(), Silent, Silent, Silent),
            (Hundi, 200, none(5, "OrderID is taken"), Silent, Silent, Silent),
            (Hundi, 200, none(6, "Outcome is not known"), Silent, Silent, Silent),
        ] {
            let bank = bank(dialect);
            assert_eq!(told(&bank, Asked::ToPay, status, &body).outcome, to_pay, "{dialect:?} to pay: {body}");
            assert_eq!(told(&bank, UNPAID(), status, &body).outcome, what_became, "{dialect:?} became: {body}");
            assert_eq!(told(&bank, PAID(), status, &body).outcome, of_paid, "{dialect:?} of paid: {body}");
        }
        let word = told(&bank(Hundi), UNPAID(), 200, &ours("0", failure, gone));
        assert_eq!((&*word.rrn, &*word.why), ("036516753713", "Account does not exist"));
    }

    #[test]
    fn a_request_is_spelled_as_the_contract_spells_it() {
        let account = Beneficiary::Account {
            number: AccountNumber::parse("123456781111").unwrap(),
            ifsc: Ifsc::parse("HDFC0000001").unwrap(),
        };
        let vpa = Beneficiary::Vpa(Vpa::parse("ravi@okbank").unwrap());
        let mobile = Beneficiary::Mobile(Mobile::parse("9876543210").unwrap());
        let start = r#"{"Token":"the-token","Number":"9876500000","Amount":"200","TransferMode""#;
        for (rail, beneficiary, rest) in [
            (
                Rail::Imps,
                &account,
                r#":"IMPS","AccountNo":"123456781111","IFSCCode":"HDFC0000001","BeneficiaryName":"RAVI KUMAR","OrderID":"ABCDEFGHIJKLMNO"}"#,
            ),
            (
                Rail::Upi,
                &vpa,
                r#":"UPI","BeneficiaryName":"RAVI KUMAR","UPIId":"ravi@okbank","OrderID":"ABCDEFGHIJKLMNO"}"#,
            ),
            (
                Rail::Upi,
                &mobile,
                r#":"UPI","BeneficiaryName":"RAVI KUMAR","BeneficiaryPhoneNo":"9876543210","OrderID":"ABCDEFGHIJKLMNO"}"#,
            ),
        ] {
            let bank = SeguraPay { number: Some("9876500000".to_owned()), ..bank(Dialect::SeguraPay) };
            let name = PersonName::parse("RAVI KUMAR").unwrap();
            let amount = Amount::from_paise(200_00).unwrap();
            let transfer =
                Transfer { reference: reference(), amount, rail, beneficiary, name: &name, send_before: Timestamp(0) };
            let request = bank.request(&transfer);
            assert_eq!(request.url, "http://up.test/PayoutBankTransafer");
            assert_eq!(String::from_utf8(request.body.to_vec()).unwrap(), format!("{start}{rest}"));
            assert_eq!(bank.carries(&transfer), Ok(()));
            let broken = Transfer { amount: Amount::from_paise(200_50).unwrap(), ..transfer };
            assert!(bank.carries(&broken).is_err());
        }
        let question = Question { reference: reference(), now: Timestamp(0), send_before: Timestamp(0), paid: false };
        let request = bank(Dialect::Hundi).enquiry(question).unwrap();
        assert_eq!(request.url, "http://up.test/PayoutTransactionStatusByClientRef");
        assert_eq!(&request.body[..], br#"{"Token":"the-token","OrderID":"ABCDEFGHIJKLMNO"}"#);
        assert!(!format!("{:?}", bank(Dialect::Hundi)).contains("the-token"));
    }

    #[test]
    fn a_callback_counts_only_when_a_hundi_has_signed_it() {
        let bank = bank(Dialect::Hundi);
        let uri = format!(
            "/connectors/up/callback?clientTxnRef={REFERENCE}&refId=19&status=Success&operatorRef=036516753713"
        );
        let plain = heard(&bank, &uri, &[], "", 1_000).unwrap();
        assert!(!plain.signed && plain.reference == reference());
        assert_eq!((plain.word.outcome, &*plain.word.rrn), (Outcome::Paid, "036516753713"));
        let signed = |secret: &[u8], at: i64, over: &str| {
            let signature = signing::sign(secret, "cb_1", at, format!("GET {over}").as_bytes());
            let at = at.to_string();
            let headers = [("webhook-id", "cb_1"), ("webhook-timestamp", &at), ("webhook-signature", &signature)];
            heard(&bank, &uri, &headers, "", 1_000).unwrap().signed
        };
        assert!(signed(b"secret", 1_000, &uri));
        assert!(signed(b"secret", 701, &uri));
        assert!(!signed(b"secret", 699, &uri));
        assert!(!signed(b"secret", 1_301, &uri));
        assert!(!signed(b"other", 1_000, &uri));
        assert!(!signed(b"secret", 1_000, &uri.replace("Success", "Failure")));
        for (query, error) in [
            ("", NoWord::Unreadable),
            ("clientTxnRef=ABCDEFGHIJKLMNO", NoWord::Unreadable),
            ("clientTxnRef=ABCDEFGHIJKLMNO&status=Success&status=Failure", NoWord::Unreadable),
            ("clientTxnRef=Se123456&status=Success", NoWord::NotOurs),
        ] {
            let uri = format!("/connectors/up/callback?{query}");
            assert_eq!(heard(&bank, &uri, &[], "", 1_000).unwrap_err(), error, "{query}");
        }
        for (status, outcome) in [
            ("Failure", NO),
            ("Reversal", Outcome::Reversed),
            ("Pending", Outcome::Accepted),
            ("Cancelled", Outcome::Silent),
        ] {
            assert_eq!(called_word(status), outcome, "{status}");
        }
    }
}
