//! Banks that call us: `POST /connectors/{name}/callback`, or `GET` where the bank's calls are queries.
//!
//! | the call | about | becomes |
//! |---|---|---|
//! | signed | a reference of ours | the message, sealed, and `Record`, in one transaction |
//! | signed | another reference | the same; `Record` raises an exception, and if it carries our mark, puts us on hold |
//! | not signed | a reference of ours | `Record` alone, which at most makes us ask the bank |
//! | not signed | another reference | nothing: a stranger must not fill our disk |
//! | any | no payment | nothing; it is answered 200 |
//!
//! 200 is said only after the commit; whatever is not known is 503, so that the bank repeats it.

use crate::App;
use crate::connectors::{Call, NoWord};
use crate::http::serve::{BodyError, read_body};
use crate::worker::{bank, keep};
use bytes::Bytes;
use hundi_core::command::{Command, Decision, Outcome, Source};
use hundi_core::ids::{MerchantId, PayoutId};
use hundi_core::plant::{Plant, planted};
use hyper::body::Body;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use std::time::Duration;

/// The largest message of a bank, bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Where a bank calls, with the connector's name in place of `{name}`.
pub const PATH: &str = "/connectors/{name}/callback";

/// The connector that a path calls back to.
pub fn connector_in(path: &str) -> Option<&str> {
    let (before, after) = PATH.split_once("{name}")?;
    path.strip_prefix(before)?.strip_suffix(after).filter(|name| !name.contains('/'))
}

/// The method that this bank's calls must have.
pub fn method(app: &App, name: &str) -> Method {
    bank(app, name).map_or(Method::POST, |(bank, _)| bank.calls_by())
}

/// What a call says: its body, or the query of one that has none.
fn message<'a>(head: &'a Parts, body: &'a [u8]) -> &'a [u8] {
    if head.method == Method::GET { head.uri.query().unwrap_or_default().as_bytes() } else { body }
}

/// Serves one call of a bank; gives the status and a word for it.
pub async fn serve<B>(app: &App, name: &str, head: &Parts, body: B) -> (StatusCode, &'static str)
where
    B: Body<Data = Bytes>,
{
    let Some((bank, connector)) = bank(app, name) else { return (StatusCode::NOT_FOUND, "unknown connector") };
    if head.method != bank.calls_by() {
        let said = if bank.calls_by() == Method::GET { "method must be GET" } else { "method must be POST" };
        return (StatusCode::METHOD_NOT_ALLOWED, said);
    }
    let body = match read_body(body, BODY_BYTES_MAX, Duration::from_millis(app.config.api.body_within_ms)).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => return (StatusCode::PAYLOAD_TOO_LARGE, "message is too large"),
        Err(BodyError::TooSlow) => return (StatusCode::REQUEST_TIMEOUT, "message did not arrive in time"),
        Err(BodyError::Broken) => return (StatusCode::BAD_REQUEST, "message cannot be read"),
    };
    let called = match bank.called(&Call { head, body: &body, now: app.clock.now() }) {
        Ok(called) => called,
        Err(NoWord::NotOurs) => return (StatusCode::OK, "heard"),
        Err(NoWord::Unreadable) => return (StatusCode::BAD_REQUEST, "message cannot be read"),
    };
    let known = match app.store.reference(connector, called.reference).await {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(%error, "cannot read the store for a bank's call");
            return (StatusCode::SERVICE_UNAVAILABLE, "not recorded; call again");
        }
    };
    let source = if called.signed { Source::SignedCallback } else { Source::UnsignedCallback };
    if called.signed {
        app.metrics.bank_word(called.word.outcome);
    }
    let outcome = called.word.outcome;
    let command = Command::Record { connector, reference: called.reference, word: called.word, source };
    if !called.signed && known.is_none() && !planted(Plant::UnsignedHold) {
        return (StatusCode::OK, "heard");
    }
    // What concerns no payout of ours is the house's.
    let whose = known.map_or((MerchantId::HOUSE, PayoutId(0)), |known| (known.merchant, known.payout));
    let message =
        called.signed.then(|| keep(app, (connector, called.reference), "callback", message(head, &body), whose));
    match app.writer.record(whose.0, message, command).await {
        Ok(Decision::Done(_)) if called.signed && outcome == Outcome::Paid => {
            // Of some banks it is the only word of a success; whatever else they call out they are asked about.
            app.router.heard(app, connector, outcome, None);
            (StatusCode::OK, "heard")
        }
        Ok(Decision::Done(_) | Decision::Repeat(_)) => (StatusCode::OK, "heard"),
        Ok(Decision::Refused(refusal)) => {
            tracing::error!(?refusal, "a bank's call could not be recorded");
            (StatusCode::SERVICE_UNAVAILABLE, "not recorded; call again")
        }
        Err(error) => {
            tracing::warn!(%error, "nobody knows whether a bank's call was recorded; the bank is asked to call again");
            (StatusCode::SERVICE_UNAVAILABLE, "not recorded; call again")
        }
    }
}
