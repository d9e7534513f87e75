//! What a bank says: replies to our requests, and its calls.

use super::first;
use hundi::config;
use hundi::connectors::sandbox::Sandbox;
use hundi::connectors::{Asked, Bank, Call};
use hundi::http_out::{OutError, OutReply};
use hundi_core::command::{Outcome, Word};
use hundi_core::ids::Reference;
use hundi_core::schedule::{SECOND, Timestamp};
use hundi_core::signing;
use hyper::header::HeaderValue;
use serde_json::{Map, Value};
use std::sync::LazyLock;

const OURS: &str = "ABCDEFGHIJKLMNO";
const SECRET: &[u8] = b"a secret of the bank";
const STATUSES: [u16; 10] = [200, 404, 201, 302, 400, 401, 409, 500, 502, 503];

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let config = config::Sandbox {
        url: "http://127.0.0.1:9".to_owned(),
        callback_secret_file: None,
        callback_secret: Some(SECRET.to_vec()),
        reply_within_ms: 5_000,
    };
    Sandbox::new(&config).expect("a sandbox")
});

/// The first byte is the status, the second says whether it was cut off, and the rest is the body.
pub fn reply(mut data: &[u8]) {
    let status = STATUSES[usize::from(first(&mut data)) % STATUSES.len()];
    let truncated = first(&mut data) % 8 == 7;
    let outcome = |body: &[u8]| {
        let reply = OutReply { status, body: body.to_vec().into(), truncated };
        let word = SANDBOX.outcome(Reference::parse(OURS).expect("a reference"), Asked::ToPay, &Ok(reply));
        printable(&word);
        word.outcome
    };
    let said = outcome(data);
    if truncated || !matches!(status, 200 | 404) {
        assert_eq!(said, Outcome::Silent, "{status}, cut off: {truncated}");
    }
    // Written anew each name is there once, and a document says what it says.
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(data) else { return };
    let told = outcome(Value::Object(body.clone()).to_string().as_bytes());
    assert_eq!(told, if truncated { Outcome::Silent } else { meaning(status, &body) }, "{status} {body:?}");
    // A name that is there twice makes it unreadable, or was not one of those that count.
    assert!(said == told || said == Outcome::Silent, "{said:?} {told:?}");
    for error in [OutError::NotWritten(String::new()), OutError::Forbidden(String::new())] {
        assert_eq!(
            SANDBOX.outcome(Reference::parse(OURS).expect("a reference"), Asked::ToPay, &Err(error)).outcome,
            Outcome::NotWritten
        );
    }
}

/// What a document means to a reader who believes nothing.
fn meaning(status: u16, body: &Map<String, Value>) -> Outcome {
    let texts = ["reference", "status"].iter().all(|name| body.get(*name).is_some_and(Value::is_string))
        && ["code", "message", "rrn"].iter().all(|name| body.get(*name).is_none_or(Value::is_string));
    let amount = body.get("amount_paise").is_none_or(|amount| amount.is_null() || amount.is_i64());
    let flag = body.get("retry_elsewhere").is_none_or(Value::is_boolean);
    let says = |name: &str, text: &str| body.get(name).is_some_and(|value| value == text);
    if !texts || !amount || !flag || !says("reference", OURS) {
        return Outcome::Silent;
    }
    match status {
        404 if says("status", "not_found") => Outcome::NotFound,
        200 if says("status", "not_found") => Outcome::NotFound,
        200 if says("status", "paid") => Outcome::Paid,
        200 if ["accepted", "pending", "deemed"].iter().any(|text| says("status", text)) => Outcome::Accepted,
        200 if says("status", "refused") && says("code", "EXPIRED") => Outcome::NotExecuted,
        200 if says("status", "refused") => {
            Outcome::Refused { elsewhere: body.get("retry_elsewhere") == Some(&Value::Bool(true)) }
        }
        200 if says("status", "reversed") => Outcome::Reversed,
        _ => Outcome::Silent,
    }
}

/// What a word carries is printed in answers, callbacks and lists.
fn printable(word: &Word) {
    assert!(word.rrn.len() <= 35 && word.rrn.chars().all(|c| c.is_ascii_alphanumeric()), "{:?}", word.rrn);
    assert!(word.why.chars().count() <= 100 && !word.why.chars().any(char::is_control), "{:?}", word.why);
}

/// Three lines, the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, and then the body.
pub fn call(data: &[u8]) {
    let now = Timestamp(1_795_329_000 * SECOND);
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut header =
        || parts.next().map(|line| String::from_utf8_lossy(line).into_owned()).filter(|line| !line.is_empty());
    let (id, at, signature) = (header(), header(), header());
    let body = parts.next().unwrap_or_default();
    let called = |signature: Option<&String>| {
        let headers =
            [("webhook-id", id.as_ref()), ("webhook-timestamp", at.as_ref()), ("webhook-signature", signature)];
        let mut request = hyper::Request::post("/connectors/sandbox/callback");
        for (name, value) in headers {
            // What cannot be a header's value does not reach us.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                request = request.header(name, value);
            }
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        SANDBOX.called(&Call { head: &head, body, now }).ok()
    };
    let Some(forged) = called(signature.as_ref()) else { return };
    printable(&forged.word);
    // Whoever could write this would know the secret.
    assert!(!forged.signed, "{signature:?}");
    let seconds = at.as_ref().and_then(|at| at.parse::<i64>().ok());
    let header = |text: &String| HeaderValue::from_str(text).is_ok_and(|value| value.to_str().is_ok());
    if let (Some(id), Some(seconds)) = (id.as_ref().filter(|id| header(id)), seconds) {
        let signature = signing::sign(SECRET, id, seconds, body);
        let fresh = (i128::from(seconds) - i128::from(now.0 / SECOND)).abs() <= 300;
        for (signature, believed) in [
            (signature.clone(), fresh),
            (signature.replace("v1,", "v2,"), false),
            (signing::sign(b"another secret", id, seconds, body), false),
            (signing::sign(SECRET, id, seconds.wrapping_add(1), body), false),
        ] {
            let called = called(Some(&signature)).expect("it was readable before");
            assert_eq!(called.signed, believed, "{id} {seconds} {signature}");
            assert_eq!(called.word, forged.word);
        }
    }
}
