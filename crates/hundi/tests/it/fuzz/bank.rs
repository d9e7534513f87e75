//! What banks say: replies to our requests, and their calls. The first byte of an input says which bank.

use super::files::keeps_to_its_limits;
use super::first;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use hundi::config::Config;
use hundi::connectors::{Asked, Bank, Call, Connectors, Question};
use hundi::http_out::{OutError, OutReply};
use hundi_core::command::{Outcome, Word};
use hundi_core::formats::Line;
use hundi_core::ids::Reference;
use hundi_core::schedule::{SECOND, Timestamp};
use hundi_core::signing;
use hyper::header::HeaderValue;
use serde_json::{Map, Value};
use sha2::Sha256;
use std::sync::LazyLock;

const OURS: &str = "ABCDEFGHIJKLMNO";
const ANOTHERS: &str = "ONMLKJIHGFEDCBA";
const SECRET: &str = "the-secret-of-the-bank";
const STATUSES: [u16; 14] = [200, 404, 201, 302, 400, 401, 409, 500, 502, 503, 412, 422, 403, 429];
const NOW_S: i64 = 1_795_329_000;
/// The banks by their first bytes: what a byte of a kept input means does not change.
const BANKS: [&str; 7] = ["sandbox", "segurapay", "hundi", "distril", "wowpe", "razorpayx", "cashfree"];

/// The connectors of an operator who has an account at each.
static CONNECTORS: LazyLock<Connectors> = LazyLock::new(|| {
    let folder = std::env::temp_dir();
    let [plain, signer] =
        ["plain", "signer"].map(|name| folder.join(format!("hundi-fuzz-{}-{name}", std::process::id())));
    std::fs::write(&plain, SECRET).expect("written");
    std::fs::write(&signer, signing::secret_text(SECRET.as_bytes())).expect("written");
    let text = format!(
        r#"
        sandbox = {{ url = "http://127.0.0.1:9", callback_secret_file = {plain:?} }}
        [connectors]
        segurapay = {{ kind = "segurapay", url = "https://up.example", token_file = {plain:?} }}
        hundi = {{ kind = "segurapay", dialect = "hundi", url = "https://up.example", token_file = {plain:?}, callback_secret_file = {signer:?} }}
        distril = {{ kind = "segurapay", dialect = "distril", url = "https://up.example", client_id = "C1", secret_key_file = {plain:?} }}
        wowpe = {{ kind = "segurapay", dialect = "wowpe", url = "https://up.example", client_id = "C1", secret_key_file = {plain:?} }}
        razorpayx = {{ kind = "razorpayx", account_number = "7878780080316316", key_id = "rzp_1", key_secret_file = {plain:?}, webhook_secret_file = {plain:?} }}
        cashfree = {{ kind = "cashfree", client_id = "CF1", client_secret_file = {plain:?} }}
        "#
    );
    let config = Config::parse(&text).expect("a configuration");
    let connectors = Connectors::new(&config).expect("connectors");
    for file in [plain, signer] {
        std::fs::remove_file(file).expect("removed");
    }
    connectors
});

/// The bank that the first byte names.
fn bank(data: &mut &[u8]) -> (&'static str, &'static dyn Bank) {
    let name = BANKS[usize::from(first(data)) % BANKS.len()];
    (name, CONNECTORS.get(name).expect("it is configured"))
}

/// The second byte is the status, the third says whether it was cut off and what it answers, and the rest is the body.
pub fn reply(mut data: &[u8]) {
    let (name, bank) = bank(&mut data);
    let status = STATUSES[usize::from(first(&mut data)) % STATUSES.len()];
    let how = first(&mut data);
    let now = Timestamp(NOW_S * SECOND);
    let question = |paid| {
        let reference = Reference::parse(OURS).expect("a reference");
        Asked::WhatBecame(Question { reference, now, send_before: now.after(-30 * SECOND), paid })
    };
    let asked = [Asked::ToPay, question(false), question(true)][usize::from(how / 8) % 3];
    let truncated = how % 8 == 7;
    let outcome = |reply| {
        let word = bank.outcome(Reference::parse(OURS).expect("a reference"), asked, &reply);
        printable(&word);
        word.outcome
    };
    let listed = bank.page(data).into_iter().flat_map(|page| page.entries).flatten();
    listed.flat_map(|entry| entry.lines).for_each(|line| keeps_to_its_limits(&Line { at: 1, ..line }));
    let said = |body: &[u8]| outcome(Ok(OutReply { status, body: body.to_vec().into(), truncated }));
    if name == "sandbox" {
        sandbox_said(data, status, truncated, &said);
    } else {
        others_said(name, data, (status, truncated), asked, &said);
    }
    for error in [OutError::NotWritten(String::new()), OutError::Forbidden(String::new())] {
        assert_eq!(outcome(Err(error)), Outcome::NotWritten, "{name}");
    }
    assert_eq!(outcome(Err(OutError::Silent(String::new()))), Outcome::Silent, "{name}");
}

/// The sandbox's contract is ours, so all of it is known.
fn sandbox_said(data: &[u8], status: u16, truncated: bool, outcome: &dyn Fn(&[u8]) -> Outcome) {
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
}

/// What a document means to a reader who believes nothing.
fn meaning(status: u16, body: &Map<String, Value>) -> Outcome {
    let texts = ["reference", "status"].iter().all(|name| body.get(*name).is_some_and(Value::is_string))
        && ["code", "message", "rrn"].iter().all(|name| body.get(*name).is_none_or(Value::is_string));
    let amount = body.get("amount_paise").is_none_or(|amount| amount.is_null() || amount.is_i64());
    let flags =
        ["retry_elsewhere", "retry_other_rail"].iter().all(|name| body.get(*name).is_none_or(Value::is_boolean));
    let says = |name: &str, text: &str| body.get(name).is_some_and(|value| value == text);
    if !texts || !amount || !flags || !says("reference", OURS) {
        return Outcome::Silent;
    }
    let set = |name: &str| body.get(name) == Some(&Value::Bool(true));
    match status {
        404 if says("status", "not_found") => Outcome::NotFound,
        200 if says("status", "not_found") => Outcome::NotFound,
        200 if says("status", "paid") => Outcome::Paid,
        200 if ["accepted", "pending", "deemed"].iter().any(|text| says("status", text)) => Outcome::Accepted,
        200 if says("status", "refused") && says("code", "EXPIRED") => Outcome::NotExecuted,
        200 if says("status", "refused") && set("retry_other_rail") => Outcome::RailRefused,
        200 if says("status", "refused") => Outcome::Refused { elsewhere: set("retry_elsewhere") },
        200 if says("status", "reversed") => Outcome::Reversed,
        _ => Outcome::Silent,
    }
}

/// What moves money, or lets it be sent again.
fn is_last(outcome: Outcome) -> bool {
    use Outcome::{NotExecuted, Paid, RailRefused, Refused, Reversed};
    matches!(outcome, Paid | Refused { .. } | RailRefused | Reversed | NotExecuted)
}

/// What no bank may bring about: a last word that is not about our payment, or comes where none can be.
fn others_said(
    name: &str,
    data: &[u8],
    (status, truncated): (u16, bool),
    asked: Asked,
    outcome: &dyn Fn(&[u8]) -> Outcome,
) {
    let (said, document) = (outcome(data), serde_json::from_slice::<Value>(data).ok());
    let case = || format!("{name} {status} cut off: {truncated} {asked:?} {said:?}: {}", data.escape_ascii());
    let unnamed = |document: Option<&Value>| asked == Asked::ToPay && refuses_unnamed(name, status, document);
    if is_last(said) {
        assert!(!truncated && matches!(status, 200 | 201 | 400 | 404 | 412 | 422), "{}", case());
        let refused = matches!(said, Outcome::Refused { .. });
        assert!(names_us(data, document.as_ref()) || refused && unnamed(document.as_ref()), "{}", case());
        // Of these a failure in the reply to the request may be about an earlier one.
        let confirmed = ["segurapay", "distril", "wowpe"].contains(&name) && asked == Asked::ToPay;
        assert!(!confirmed || said == Outcome::Paid || refused && status == 400, "{}", case());
    }
    match said {
        Outcome::Reversed if ["razorpayx", "cashfree"].contains(&name) => {
            assert!(matches!(asked, Asked::WhatBecame(Question { paid: true, .. })), "{}", case());
        }
        Outcome::NotWritten => assert!(asked == Asked::ToPay, "{}", case()),
        Outcome::NotFound => assert!(asked != Asked::ToPay, "{}", case()),
        _ => {}
    }
    // The very same about somebody else's payment says nothing of ours.
    if let Some(document) = document {
        let another = anothers(document);
        let told = outcome(another.to_string().as_bytes());
        assert!(!is_last(told) || unnamed(Some(&another)), "{another}: {told:?}; {}", case());
    }
}

/// Whether our reference stands in it. What escapes what, in a document that is none, is not looked into.
fn names_us(data: &[u8], document: Option<&Value>) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::String(text) => text.trim() == OURS,
            Value::Array(values) => values.iter().any(within),
            Value::Object(fields) => fields.values().any(within),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    let text = String::from_utf8_lossy(data);
    document.map_or_else(|| text.contains(OURS) || text.contains('\\'), within)
}

/// The same document with another's reference.
fn anothers(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(OURS, ANOTHERS)),
        Value::Array(values) => values.into_iter().map(anothers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, anothers(value))).collect(),
        other => other,
    }
}

/// The errors to the request that pays by which nothing was made there: they need not say of what (CONNECTORS.md, section 7).
fn refuses_unnamed(name: &str, status: u16, document: Option<&Value>) -> bool {
    // Broken where nobody reads it, such as within a name that is none of theirs: then it is not looked into here either.
    let Some(document) = document else {
        return status == 400 || name == "cashfree" && matches!(status, 404 | 412 | 422);
    };
    let field = |name: &str| {
        document.as_object()?.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    match (name, status) {
        ("segurapay" | "hundi" | "distril" | "wowpe", 400) => field("errors").is_some_and(Value::is_object),
        ("hundi", 200 | 404 | 422) => {
            let code = field("StatusCode").map(|code| code.to_string().trim_matches(['"', ' ']).to_owned());
            code.and_then(|code| code.parse::<i64>().ok()) == Some(0) && field("Data").is_none_or(Value::is_null)
        }
        ("razorpayx", 400) => {
            let reason = document.pointer("/error/reason").and_then(Value::as_str);
            matches!(reason, Some("input_validation_failed" | "insufficient_funds"))
        }
        ("cashfree", 400 | 404 | 412 | 422) => !text("type").is_empty() && !text("code").is_empty(),
        _ => false,
    }
}

/// What a word carries is printed in answers, callbacks and lists.
fn printable(word: &Word) {
    assert!(word.rrn.len() <= 35 && word.rrn.chars().all(|c| c.is_ascii_alphanumeric()), "{:?}", word.rrn);
    assert!(word.why.chars().count() <= 100 && !word.why.chars().any(char::is_control), "{:?}", word.why);
}

/// After the byte of the bank three lines, the id of the call, its time and its signature as that bank heads them, and then
/// the body, or the query of a bank that calls by `GET`.
pub fn call(mut data: &[u8]) {
    let (name, bank) = bank(&mut data);
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut header =
        || parts.next().map(|line| String::from_utf8_lossy(line).into_owned()).filter(|line| !line.is_empty());
    let (id, at, signature) = (header(), header(), header());
    let rest = parts.next().unwrap_or_default();
    let by_get = bank.calls_by() == hyper::Method::GET;
    let (query, body) = if by_get { (String::from_utf8_lossy(rest), &b""[..]) } else { ("".into(), rest) };
    let uri = format!("/connectors/{name}/callback{}{query}", if by_get { "?" } else { "" });
    let names = match name {
        "razorpayx" => ["x-razorpay-event-id", "x-razorpay-time", "x-razorpay-signature"],
        "cashfree" => ["x-request-id", "x-webhook-timestamp", "x-webhook-signature"],
        _ => ["webhook-id", "webhook-timestamp", "webhook-signature"],
    };
    let called = |signature: Option<&String>| {
        let mut request = hyper::Request::builder().method(bank.calls_by()).uri(&uri);
        for (name, value) in names.into_iter().zip([id.as_ref(), at.as_ref(), signature]) {
            // What cannot be a header's value does not reach us.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                request = request.header(name, value);
            }
        }
        // Nor does what cannot be asked for.
        let (head, ()) = request.body(()).ok()?.into_parts();
        let asked = head.uri.path_and_query().map_or(String::new(), |asked| asked.to_string());
        bank.called(&Call { head: &head, body, now: Timestamp(NOW_S * SECOND) }).ok().map(|called| (called, asked))
    };
    let Some((forged, asked)) = called(signature.as_ref()) else { return };
    printable(&forged.word);
    // Whoever could write this would know the secret.
    assert!(!forged.signed, "{name} {signature:?}");
    let readable = |text: &&String| HeaderValue::from_str(text).is_ok_and(|value| value.to_str().is_ok());
    let (id, at) = (id.as_ref().filter(readable), at.as_ref().filter(readable));
    let content = if by_get { format!("GET {asked}").into_bytes() } else { body.to_vec() };
    for (signature, believed) in proofs(name, id, at, &content) {
        let (called, _) = called(Some(&signature)).expect("it was readable before");
        assert_eq!(called.signed, believed, "{name} {id:?} {at:?} {signature}");
        assert_eq!((called.reference, called.word), (forged.reference, forged.word.clone()));
    }
}

/// Signatures of a call by the bank's secret and by others, and whether each is to be believed.
fn proofs(name: &str, id: Option<&String>, at: Option<&String>, content: &[u8]) -> Vec<(String, bool)> {
    let seconds = at.and_then(|at| at.parse::<i64>().ok());
    let fresh = |seconds: i64| (i128::from(seconds) - i128::from(NOW_S)).abs() <= 300;
    let (secret, another) = (SECRET.as_bytes(), &b"another-secret-of-a-bank"[..]);
    match (name, id, at, seconds) {
        ("razorpayx", ..) => {
            let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let own = hex(mac(secret, &[content]));
            vec![
                (own.to_ascii_uppercase(), false),
                (hex(mac(another, &[content])), false),
                (hex(mac(secret, &[content, b" "])), false),
                (own, true),
            ]
        }
        ("cashfree", _, Some(at), Some(given)) => {
            // From the year 5138 on it would count milliseconds.
            let believed = fresh(if given > 100_000_000_000 { given / 1_000 } else { given });
            let encoded = |bytes: Vec<u8>| STANDARD.encode(bytes);
            vec![
                (encoded(mac(secret, &[at.as_bytes(), content])), believed),
                (encoded(mac(another, &[at.as_bytes(), content])), false),
                (encoded(mac(secret, &[content])), false),
            ]
        }
        ("cashfree", ..) | (_, None, ..) | (_, _, _, None) => Vec::new(),
        (_, Some(id), _, Some(seconds)) => {
            // The others prove nothing that they say.
            let signs = ["sandbox", "hundi"].contains(&name);
            let own = signing::sign(secret, id, seconds, content);
            vec![
                (own.clone(), signs && fresh(seconds)),
                (own.replace("v1,", "v2,"), false),
                (signing::sign(another, id, seconds, content), false),
                (signing::sign(secret, id, seconds.wrapping_add(1), content), false),
            ]
        }
    }
}

fn mac(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
