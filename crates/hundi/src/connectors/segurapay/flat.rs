//! The siblings of the SeguraPay API that answer flat: WowPe and Distril (Payyez), which name us by `clientId` and `secretKey`.
//!
//! | reply that names our order | to the request that pays | to WowPe's status check |
//! |---|---|---|
//! | `statusCode` 1, `status` 1 or `Success` | paid | paid |
//! | 1, and 0 or `Failure` | accepted: a question confirms it | refused, or reversed if it was paid before |
//! | 1, and 4 or `Reversal` | accepted: a question confirms it | reversed |
//! | 1, and anything else | accepted | accepted |
//! | 0 ("take no action") | silent | silent |
//! | 6 | silent | not found, which is never final by itself |
//! | HTTP 400 with `errors` | refused | silent |
//! | anything else | silent | silent |
//!
//! No document names a status call of Distril. So nothing is asked there: what it has not called paid in its reply, and
//! what it calls failed, stays open until the bank's statement or two people say what became of it.
//!
//! A webhook is a `POST`, nested (Distril) or flat (WowPe). Its checksum is documented too loosely to prove anything, so it
//! only makes us ask.
//!
//! Source: `docs-wowpe.readme.io/reference`, `docs.distril.in/reference` (CONNECTORS.md, sections 3 and 7.3).

use super::{number, post, refused, why};
use crate::config::{self, Dialect};
use crate::connectors::{
    Asked, Bank, Call, Called, NoWord, Question, Transfer, address, bare, configured, field, label, needed_secret,
    replied, text,
};
use crate::http_out::{OutError, OutReply, OutRequest};
use hundi_core::command::{ConnectorRules, Outcome, Way, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::party::Beneficiary;
use hundi_core::routing::Carries;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// The connector of a WowPe or Distril account.
pub struct Flat {
    connector: Connector,
    which: Which,
    client_id: String,
    secret_key: String,
    number: Option<String>,
    reply_within: Duration,
}

/// What the two do differently, and where they are called.
enum Which {
    Distril { transfers: String },
    WowPe { transfers: String, statuses: String },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransferBody<'a> {
    client_id: &'a str,
    secret_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<&'a str>,
    amount: String,
    transfer_mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_no: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ifsc_code: Option<&'a str>,
    beneficiary_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpa: Option<&'a str>,
    /// Distril's name for our reference,
    #[serde(rename = "orderID", skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    /// and WowPe's.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_order_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuestionBody<'a> {
    client_id: &'a str,
    secret_key: &'a str,
    client_order_id: &'a str,
}

impl Flat {
    /// The connector of this name and configuration, whose dialect is one of these two.
    pub fn new(name: &str, options: &config::SeguraPay) -> Result<Flat, String> {
        let url = address(name, &options.url)?;
        let which = match options.dialect {
            Dialect::Distril => Which::Distril { transfers: format!("{url}/paymenttransafer") },
            Dialect::WowPe => {
                Which::WowPe { transfers: format!("{url}/payout"), statuses: format!("{url}/status-check") }
            }
            Dialect::SeguraPay | Dialect::Hundi => return Err(format!("`connectors.{name}.dialect` has a token")),
        };
        for (option, given) in [
            ("token_file", options.token_file.is_some()),
            ("token_env", options.token_env.is_some()),
            ("callback_secret_file", options.callback_secret_file.is_some()),
            ("callback_secret_env", options.callback_secret_env.is_some()),
        ] {
            if given {
                return Err(format!(
                    "`connectors.{name}.{option}` is of no use with this `dialect`; take it out, and give `client_id` and \
                    `secret_key_file`"
                ));
            }
        }
        let client_id = options.client_id.clone().unwrap_or_default();
        if client_id.is_empty() || !client_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("`connectors.{name}.client_id` must be the id that the service gave, without spaces"));
        }
        let (file, env) = (options.secret_key_file.as_deref(), options.secret_key_env.as_deref());
        Ok(Flat {
            connector: configured(name)?,
            which,
            client_id,
            secret_key: needed_secret(name, "secret_key", file, env)?,
            number: number(name, options)?,
            reply_within: Duration::from_millis(options.reply_within_ms),
        })
    }
}

/// Where a payment stands, in the numbers and words of both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Paid,
    Failed,
    Reversed,
    Open,
}

fn stands(status: &str) -> Stands {
    match status.to_ascii_lowercase().as_str() {
        "1" | "success" => Stands::Paid,
        "0" | "failure" | "failed" => Stands::Failed,
        "4" | "reversal" | "reversed" => Stands::Reversed,
        _ => Stands::Open,
    }
}

/// The first of these fields that says something.
fn first_text(object: &Map<String, Value>, names: &[&str]) -> String {
    names.iter().map(|name| text(object, name)).find(|text| !text.is_empty()).unwrap_or_default()
}

/// An object, also where values that are no numbers for JSON stand without quotation marks, such as a UTR that begins with 0.
fn lenient(body: &[u8]) -> Option<Map<String, Value>> {
    let strict = serde_json::from_slice(body).ok();
    match strict.or_else(|| serde_json::from_str(&quoted(std::str::from_utf8(body).ok()?)).ok())? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The same text with each bare word of letters and digits in quotation marks.
fn quoted(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 16);
    let (mut in_string, mut escaped, mut in_word) = (false, false, false);
    for c in json.chars() {
        let bare = !in_string && (c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
        if bare != in_word {
            text.push('"');
            in_word = bare;
        }
        in_string ^= c == '"' && !escaped;
        escaped = in_string && c == '\\' && !escaped;
        text.push(c);
    }
    text
}

impl Bank for Flat {
    fn rules(&self) -> ConnectorRules {
        // Distril documents no field for a UPI ID.
        let upi = matches!(self.which, Which::WowPe { .. });
        let carries = Carries { rails: [true, true, true, upi], ..Carries::ALL };
        // WowPe says that 6 is final two minutes after the request; a statement has to agree, so it is not so by itself.
        ConnectorRules { connector: self.connector, not_found_final_us: None, carries, way: Way::Call }
    }

    fn reply_within(&self) -> Duration {
        self.reply_within
    }

    fn carries(&self, transfer: &Transfer<'_>) -> Result<(), &'static str> {
        match (transfer.beneficiary, &self.which) {
            (Beneficiary::Mobile(_), _) => Err("The bank does not pay to mobile numbers"),
            (Beneficiary::Vpa(_), Which::Distril { .. }) => Err("The bank pays to account numbers only"),
            _ if transfer.amount.paise() % 100 != 0 => Err("The bank carries whole rupees only"),
            (Beneficiary::Account { .. }, _) | (Beneficiary::Vpa(_), Which::WowPe { .. }) => Ok(()),
        }
    }

    fn request(&self, transfer: &Transfer<'_>) -> OutRequest {
        let (mut account_no, mut ifsc_code, mut vpa) = (None, None, None);
        match transfer.beneficiary {
            Beneficiary::Account { number, ifsc } => {
                (account_no, ifsc_code) = (Some(number.as_str()), Some(ifsc.as_str()));
            }
            Beneficiary::Vpa(id) => vpa = Some(id.as_str()),
            // It is not carried; a request that names no beneficiary is refused.
            Beneficiary::Mobile(_) => {}
        }
        let (mode, reference) = (transfer.rail.as_str(), Some(transfer.reference.as_str()));
        let (url, transfer_mode, order_id, client_order_id) = match &self.which {
            Which::Distril { transfers } => (transfers, mode.to_ascii_lowercase(), reference, None),
            Which::WowPe { transfers, .. } => (transfers, mode.to_owned(), None, reference),
        };
        let body = TransferBody {
            client_id: &self.client_id,
            secret_key: &self.secret_key,
            number: self.number.as_deref(),
            amount: (transfer.amount.paise() / 100).to_string(),
            transfer_mode,
            account_no,
            ifsc_code,
            beneficiary_name: &transfer.name.for_rail(transfer.rail.rules()),
            vpa,
            order_id,
            client_order_id,
        };
        post(url, &body, self.reply_within)
    }

    fn enquiry(&self, question: Question) -> Option<OutRequest> {
        let Which::WowPe { statuses, .. } = &self.which else { return None };
        let client_order_id = question.reference.as_str();
        let body = QuestionBody { client_id: &self.client_id, secret_key: &self.secret_key, client_order_id };
        Some(post(statuses, &body, self.reply_within))
    }

    fn outcome(&self, reference: Reference, asked: Asked, reply: &Result<OutReply, OutError>) -> Word {
        let silent = bare(Outcome::Silent, "");
        let (status, body) = match replied(self.connector, asked, reply) {
            Ok(replied) => replied,
            Err(word) => return word,
        };
        let Some(said) = lenient(body) else { return silent };
        match (status, asked) {
            (200, _) => {}
            (400, Asked::ToPay) if field(&said, "errors").is_some_and(Value::is_object) => {
                return bare(Outcome::Refused { elsewhere: false }, "The bank finds the order not valid");
            }
            _ => return silent,
        }
        let ours = text(&said, "clientOrderId") == reference.as_str();
        match (text(&said, "statusCode").as_str(), asked) {
            ("1", _) if ours => {}
            ("6", Asked::WhatBecame(_)) => return bare(Outcome::NotFound, ""),
            _ => return silent,
        }
        let message = text(&said, "message");
        let word = match (stands(&text(&said, "status")), asked) {
            (Stands::Paid, _) => bare(Outcome::Paid, ""),
            // The answer to the request itself may be about an earlier one.
            (Stands::Failed | Stands::Reversed, Asked::ToPay) | (Stands::Open, _) => bare(Outcome::Accepted, ""),
            (Stands::Reversed, _) | (Stands::Failed, Asked::WhatBecame(Question { paid: true, .. })) => {
                bare(Outcome::Reversed, &why(&message))
            }
            (Stands::Failed, Asked::WhatBecame(_)) => refused(&message),
        };
        Word { rrn: label(&first_text(&said, &["utr", "rrn"])), ..word }
    }

    fn called(&self, call: &Call<'_>) -> Result<Called, NoWord> {
        let said = lenient(call.body).ok_or(NoWord::Unreadable)?;
        let said = match field(&said, "Data") {
            Some(Value::Object(data)) => data,
            _ => &said,
        };
        let (reference, status) = (text(said, "ClientOrderId"), first_text(said, &["TransactionStatus", "Status"]));
        if reference.is_empty() || status.is_empty() {
            return Err(NoWord::Unreadable);
        }
        // Somebody else may use the same account there.
        let reference = Reference::parse(&reference).ok_or(NoWord::NotOurs)?;
        let outcome = match (stands(&status), status.as_str()) {
            (Stands::Paid, _) => Outcome::Paid,
            (Stands::Failed, _) | (Stands::Open, "5" | "6") => Outcome::Refused { elsewhere: true },
            (Stands::Reversed, _) => Outcome::Reversed,
            (Stands::Open, _) => Outcome::Accepted,
        };
        let rrn = label(&first_text(said, &["UTR", "RRN"]));
        Ok(Called { signed: false, reference, word: Word { rrn, ..bare(outcome, "") } })
    }
}

impl std::fmt::Debug for Flat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flat").field("connector", &self.connector).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::tests::{PAID, REFERENCE, UNPAID, heard, reference, shared_rows, told};
    use hundi_core::money::Amount;
    use hundi_core::party::{AccountNumber, Ifsc, Mobile, PersonName, Vpa};
    use hundi_core::rails::Rail;
    use hundi_core::schedule::Timestamp;

    fn bank(which: Which) -> Flat {
        Flat {
            connector: configured("up").unwrap(),
            which,
            client_id: "C1".to_owned(),
            secret_key: "the-secret-key".to_owned(),
            number: None,
            reply_within: Duration::from_secs(5),
        }
    }

    fn wowpe() -> Flat {
        bank(Which::WowPe { transfers: "http://up.test/payout".into(), statuses: "http://up.test/status-check".into() })
    }

    fn distril() -> Flat {
        bank(Which::Distril { transfers: "http://up.test/paymenttransafer".into() })
    }

    const NO: Outcome = Outcome::Refused { elsewhere: false };
    const ELSEWHERE: Outcome = Outcome::Refused { elsewhere: true };

    /// A reply of WowPe; Distril's has other capitals, and calls the UTR `RRN`.
    fn flat(code: &str, status: &str, message: &str) -> String {
        format!(
            r#"{{"statusCode":{code},"message":"{message}","clientOrderId":"{REFERENCE}","orderId":"WP1","beneficiaryName":"RUPESH","utr":"409111200979","status":{status}}}"#
        )
    }

    /// Table 7.3 in the words of both.
    #[test]
    fn a_reply_means_what_its_row_says() {
        use Outcome::{Accepted, NotFound, Paid, Reversed, Silent};
        let invalid = r#"{"type":"x","title":"y","status":400,"errors":{"ifscCode":["Invalid IFSC Code format."]}}"#;
        let (down, gone) = ("Bank server is down", "Invalid beneficiary account");
        let unquoted = flat("1", "1", "").replace("\"409111200979\"", "036516753713");
        let capitals = flat("1", "1", "").replace("clientOrderId", "ClientOrderID").replace("\"utr\"", "\"RRN\"");
        for bank in [wowpe(), distril()] {
            shared_rows(&bank, &flat("1", "1", ""));
            for (status, body, to_pay, what_became, of_paid) in [
                (200, flat("1", "1", ""), Paid, Paid, Paid),
                (200, flat(r#""1""#, r#""Success""#, ""), Paid, Paid, Paid),
                (200, unquoted.clone(), Paid, Paid, Paid),
                (200, capitals.clone(), Paid, Paid, Paid),
                (200, flat("1", "2", ""), Accepted, Accepted, Accepted),
                (200, flat("1", r#""Pending""#, ""), Accepted, Accepted, Accepted),
                (200, flat("1", "null", ""), Accepted, Accepted, Accepted),
                (200, flat("1", "0", down), Accepted, ELSEWHERE, Reversed),
                (200, flat("1", r#""Failure""#, gone), Accepted, NO, Reversed),
                (200, flat("1", "4", ""), Accepted, Reversed, Reversed),
                // 0 means that nobody knows, whatever else stands there; 6 that it is not found.
                (200, flat("0", "0", gone), Silent, Silent, Silent),
                (200, flat("0", "1", ""), Silent, Silent, Silent),
                (200, r#"{"statusCode":0,"message":"Invalid client"}"#.to_owned(), Silent, Silent, Silent),
                (200, r#"{"statusCode":6,"message":"No record"}"#.to_owned(), Silent, NotFound, NotFound),
                (200, r#"{"statusCode":1,"status":1}"#.to_owned(), Silent, Silent, Silent),
                (200, flat("2", "1", ""), Silent, Silent, Silent),
                (200, flat("1.0", "1", ""), Silent, Silent, Silent),
                (400, invalid.to_owned(), NO, Silent, Silent),
                (400, flat("0", "0", gone), Silent, Silent, Silent),
                (404, flat("1", "1", ""), Silent, Silent, Silent),
            ] {
                assert_eq!(told(&bank, Asked::ToPay, status, &body).outcome, to_pay, "{bank:?} to pay: {body}");
                assert_eq!(told(&bank, UNPAID(), status, &body).outcome, what_became, "{bank:?} became: {body}");
                assert_eq!(told(&bank, PAID(), status, &body).outcome, of_paid, "{bank:?} of paid: {body}");
            }
            for (body, rrn) in [(&unquoted, "036516753713"), (&capitals, "409111200979")] {
                assert_eq!(&*told(&bank, UNPAID(), 200, body).rrn, rrn);
            }
        }
        assert_eq!(&*told(&wowpe(), UNPAID(), 200, &flat("1", "0", gone)).why, gone);
    }

    #[test]
    fn a_request_is_spelled_as_each_spells_it() {
        let account = Beneficiary::Account {
            number: AccountNumber::parse("123456781111").unwrap(),
            ifsc: Ifsc::parse("HDFC0000001").unwrap(),
        };
        let vpa = Beneficiary::Vpa(Vpa::parse("ravi@okbank").unwrap());
        let mobile = Beneficiary::Mobile(Mobile::parse("9876543210").unwrap());
        let start = r#"{"clientId":"C1","secretKey":"the-secret-key","amount":"200","transferMode""#;
        let wowpe_account = r#":"IMPS","accountNo":"123456781111","ifscCode":"HDFC0000001","beneficiaryName":"RAVI","clientOrderId":"ABCDEFGHIJKLMNO"}"#;
        let wowpe_vpa = r#":"UPI","beneficiaryName":"RAVI","vpa":"ravi@okbank","clientOrderId":"ABCDEFGHIJKLMNO"}"#;
        let distril_account = r#":"imps","accountNo":"123456781111","ifscCode":"HDFC0000001","beneficiaryName":"RAVI","orderID":"ABCDEFGHIJKLMNO"}"#;
        for (bank, rail, beneficiary, body) in [
            (wowpe(), Rail::Imps, &account, Some(wowpe_account)),
            (wowpe(), Rail::Upi, &vpa, Some(wowpe_vpa)),
            (wowpe(), Rail::Upi, &mobile, None),
            (distril(), Rail::Imps, &account, Some(distril_account)),
            (distril(), Rail::Upi, &vpa, None),
        ] {
            let name = PersonName::parse("RAVI").unwrap();
            let amount = Amount::from_paise(200_00).unwrap();
            let send_before = Timestamp(0);
            let transfer = Transfer { reference: reference(), amount, rail, beneficiary, name: &name, send_before };
            assert_eq!(bank.carries(&transfer).is_ok(), body.is_some(), "{transfer:?}");
            let broken = Transfer { amount: Amount::from_paise(200_50).unwrap(), ..transfer };
            assert!(bank.carries(&broken).is_err());
            if let Some(body) = body {
                let request = bank.request(&broken);
                assert_eq!(String::from_utf8(request.body.to_vec()).unwrap(), format!("{start}{body}"));
            }
        }
        let question = Question { reference: reference(), now: Timestamp(0), send_before: Timestamp(0), paid: false };
        assert!(distril().enquiry(question).is_none());
        assert!(!distril().rules().carries.rails[Rail::Upi as usize]);
        let request = wowpe().enquiry(question).unwrap();
        assert_eq!(request.url, "http://up.test/status-check");
        let asked = r#"{"clientId":"C1","secretKey":"the-secret-key","clientOrderId":"ABCDEFGHIJKLMNO"}"#;
        assert_eq!(&request.body[..], asked.as_bytes());
        assert!(!format!("{:?}", wowpe()).contains("secret"));
    }

    #[test]
    fn a_webhook_is_read_leniently_and_proves_nothing() {
        let nested = |status: &str| {
            format!(
                r#"{{"StatusCode":1,"Message":"Success","Data":{{"TransactionId":"T1","UTR":409111200979,"Description":"x","TransactionStatus":{status},"ClientOrderId":"{REFERENCE}","PaymentMode":"IMPS","Amount":12345.00000,"Date":"3/31/2024 11:02:41 AM","Checksum":"abc="}}}}"#
            )
        };
        let flat = |status: &str| {
            format!(
                r#"{{"statuscode":"1","Message":"a \"b\" c","OrderId":"9","Status":{status},"ClientOrderID":"{REFERENCE}","PaymentMode":"IMPS","Amount":"10.0000","Date":"3/31/2024 11:02:41 AM","UTR":036516753713,"Checksum":null}}"#
            )
        };
        for (status, outcome) in [
            ("1", Outcome::Paid),
            (r#""Success""#, Outcome::Paid),
            ("2", Outcome::Accepted),
            ("3", Outcome::Accepted),
            ("0", ELSEWHERE),
            ("4", Outcome::Reversed),
            ("5", ELSEWHERE),
            (r#""6""#, ELSEWHERE),
        ] {
            for (body, rrn) in [(nested(status), "409111200979"), (flat(status), "036516753713")] {
                let called = heard(&wowpe(), "/connectors/up/callback", &[], &body, 1_000).unwrap();
                assert_eq!((called.signed, called.reference, called.word.outcome), (false, reference(), outcome));
                assert_eq!(&*called.word.rrn, rrn, "{body}");
            }
        }
        for (body, error) in [
            ("", NoWord::Unreadable),
            ("[]", NoWord::Unreadable),
            ("{}", NoWord::Unreadable),
            (r#"{"Status":1}"#, NoWord::Unreadable),
            (r#"{"Status":1,"ClientOrderId":"Se123456"}"#, NoWord::NotOurs),
        ] {
            assert_eq!(heard(&distril(), "/connectors/up/callback", &[], body, 1_000).unwrap_err(), error, "{body}");
        }
    }

    #[test]
    fn options_of_the_other_dialects_are_refused() {
        let options = |rest: &str| -> config::SeguraPay {
            toml::from_str(&format!("url = 'https://api.wowpe.in/api'\ndialect = 'wowpe'\n{rest}")).unwrap()
        };
        for (rest, word) in [
            ("", "`connectors.up.client_id`"),
            ("client_id = 'a b'", "`connectors.up.client_id`"),
            ("client_id = 'a'", "`connectors.up.secret_key_file`"),
            ("client_id = 'a'\ntoken_file = 'x'", "`connectors.up.token_file` is of no use"),
            ("client_id = 'a'\ncallback_secret_env = 'X'", "`connectors.up.callback_secret_env` is of no use"),
        ] {
            let error = Flat::new("up", &options(rest)).unwrap_err();
            assert!(error.contains(word), "{rest}: {error}");
        }
    }
}
