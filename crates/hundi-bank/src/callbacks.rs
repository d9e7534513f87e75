//! Callbacks to the customer, and the clockwork that executes what is due.
//!
//! A callback is a row of the book, written with the change that it tells. It is sent until the customer answers 2xx,
//! with pauses of 1, 2, 4 ... 60 seconds, and again after a restart. Several are under way at a time, so that their
//! order is not promised; `event_id` (one per reference and status) tells a repetition from news.
//!
//! Signature, as in Standard Webhooks: `webhook-signature: v1,` and the base64 of HMAC-SHA-256 over
//! `{webhook-id}.{webhook-timestamp}.{body}`.

use crate::book::{Job, Standing, Turn};
use crate::clock::SECOND_US;
use crate::{Bank, BankError, CallbackRequest, CallbackSender};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// From the first byte of the connection to the last byte of the answer.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many callbacks are under way at a time.
const IN_FLIGHT_MAX: usize = 64;
const PAUSE_S_MAX: i64 = 60;
/// How long the clockwork sleeps at most: a clock that is stepped forward must be noticed.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long it waits when the book cannot be written.
const BOOK_TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// How much of the customer's answer is read so that the connection can be used again.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Idle connections kept for each customer.
const IDLE_CONNECTIONS_MAX: usize = IN_FLIGHT_MAX;

/// A callback that is to be sent.
pub(crate) struct Event {
    /// Its row in the book.
    pub(crate) id: i64,
    pub(crate) event_id: String,
    pub(crate) body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    event_id: &'a str,
    reference: &'a str,
    status: &'a str,
    amount_paise: i64,
    rrn: &'a str,
    code: &'a str,
    message: &'a str,
    at_us: i64,
}

/// The callback that tells a standing. A reference has each status once at most, so that the two name the event.
pub(crate) fn describe(standing: &Standing, at_us: i64) -> Event {
    let (status, code, message) = standing.state.words();
    let event_id = format!("evt_{}_{status}", standing.reference);
    let Standing { reference, amount_paise, rrn, .. } = standing;
    let body = Body { event_id: &event_id, reference, status, amount_paise: *amount_paise, rrn, code, message, at_us };
    // Texts and numbers alone cannot fail to become JSON.
    let body = serde_json::to_string(&body).unwrap_or_default();
    Event { id: 0, event_id, body }
}

/// The pause after this many failures in a row.
pub(crate) fn pause_s(failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(16);
    (1_i64 << doublings).min(PAUSE_S_MAX)
}

/// The key of the signatures.
#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Result<Signer, BankError> {
        if secret.is_empty() {
            return Err(BankError::EmptySecret);
        }
        Hmac::new_from_slice(secret).map(Signer).map_err(|_| BankError::EmptySecret)
    }

    fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let mut mac = self.0.clone();
        for part in [id, ".", timestamp, ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl Bank {
    /// Executes what is due and delivers callbacks through `sender`, until [`Bank::close`]. Needs [`Bank::run_book`].
    pub async fn run_clockwork(self: Arc<Self>, sender: CallbackSender) {
        // Dropped with this function: what is under way then is sent again after the next start.
        let mut deliveries: JoinSet<i64> = JoinSet::new();
        let mut in_flight: BTreeSet<i64> = BTreeSet::new();
        loop {
            let url = self.callback_url();
            let room = if url.is_some() { IN_FLIGHT_MAX.saturating_sub(in_flight.len()) } else { 0 };
            let asked = in_flight.clone();
            let Some(turn) = self.ask(|answer| Job::Turn { in_flight: asked, room, answer }).await else {
                tokio::select! { biased;
                    () = self.closing() => return,
                    () = tokio::time::sleep(BOOK_TROUBLE_PAUSE) => continue,
                }
            };
            let Turn { callbacks, next_at_us } = turn;
            for event in callbacks {
                in_flight.insert(event.id);
                let url = url.clone().unwrap_or_default();
                deliveries.spawn(Arc::clone(&self).deliver(url, event, Arc::clone(&sender)));
            }
            let wake_at_us = next_at_us.unwrap_or(i64::MAX);
            tokio::select! { biased;
                () = self.closing() => return,
                Some(done) = deliveries.join_next() => {
                    forget(&mut in_flight, done);
                    while let Some(done) = deliveries.try_join_next() {
                        forget(&mut in_flight, done);
                    }
                    if deliveries.is_empty() {
                        // A delivery that panicked names no event; with none left, none is under way.
                        in_flight.clear();
                    }
                }
                () = self.work.notified() => {}
                () = self.rules.clock.sleep_until(wake_at_us, IDLE_MAX) => {}
            }
        }
    }

    /// Sends one callback, writes down whether it arrived, and returns its row.
    async fn deliver(self: Arc<Self>, url: String, event: Event, sender: CallbackSender) -> i64 {
        let id = event.id;
        let request = self.callback_request(url, event);
        let event_id = request.headers.iter().find(|(name, _)| *name == "webhook-id").map(|(_, id)| id.clone());
        let trouble = match tokio::time::timeout(DELIVERY_TIMEOUT, sender(request)).await {
            Ok(Ok(200..=299)) => None,
            Ok(Ok(status)) => Some(format!("status {status}")),
            Ok(Err(error)) => Some(error),
            Err(_elapsed) => Some("no answer in time".to_owned()),
        };
        let arrived = trouble.is_none();
        if let Some(trouble) = trouble {
            tracing::debug!(event_id, trouble, "a callback was not delivered; it will be repeated");
        }
        if self.ask(|answer| Job::Delivered { id, arrived, answer }).await.is_none() {
            // Unwritten, so that it is due at once: not in a tight loop, though.
            tokio::time::sleep(BOOK_TROUBLE_PAUSE).await;
        }
        id
    }

    fn callback_request(&self, url: String, event: Event) -> CallbackRequest {
        let timestamp = (self.rules.clock.now_us() / SECOND_US).to_string();
        let signature = self.signer.as_ref().map(|signer| signer.sign(&event.event_id, &timestamp, &event.body));
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", event.event_id),
            ("webhook-timestamp", timestamp),
        ];
        headers.extend(signature.map(|signature| ("webhook-signature", signature)));
        CallbackRequest { url, headers, body: Bytes::from(event.body) }
    }
}

fn forget(in_flight: &mut BTreeSet<i64>, done: Result<i64, tokio::task::JoinError>) {
    match done {
        Ok(id) => {
            in_flight.remove(&id);
        }
        Err(error) => {
            tracing::error!(%error, "a callback's delivery broke off; it will be repeated")
        }
    }
}

type Connection = SendRequest<Full<Bytes>>;
/// Idle connections by address.
type Idle = Arc<Mutex<BTreeMap<String, Vec<Connection>>>>;

/// A plain client for `http://` addresses: keep-alive, no redirects, 5 seconds for the whole of a delivery.
#[must_use]
pub fn http_sender() -> CallbackSender {
    let idle = Idle::default();
    Arc::new(move |request| {
        let idle = Arc::clone(&idle);
        Box::pin(async move {
            match tokio::time::timeout(DELIVERY_TIMEOUT, post(idle, request)).await {
                Ok(answer) => answer,
                Err(_elapsed) => Err("no answer in time".to_owned()),
            }
        })
    })
}

async fn post(idle: Idle, request: CallbackRequest) -> Result<u16, String> {
    let uri: Uri = request.url.parse().map_err(|error| format!("the callback address cannot be read: {error}"))?;
    let host = uri.host().ok_or("the callback address names no host")?;
    if uri.scheme_str() != Some("http") {
        return Err("the callback address must begin with http://".to_owned());
    }
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    if let Some(mut connection) = take_idle(&idle, &address) {
        // The customer may have closed it meanwhile. A callback may arrive twice, so that trying again is safe.
        if let Ok(status) = exchange(&mut connection, &uri, &address, &request).await {
            keep_idle(&idle, address, connection);
            return Ok(status);
        }
    }
    let mut connection = connect(&address).await?;
    let status = exchange(&mut connection, &uri, &address, &request).await?;
    keep_idle(&idle, address, connection);
    Ok(status)
}

async fn connect(address: &str) -> Result<Connection, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("no connection: {error}"))?;
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| format!("no connection: {error}"))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a callback connection broke");
        }
    });
    Ok(sender)
}

async fn exchange(
    connection: &mut Connection,
    uri: &Uri,
    address: &str,
    request: &CallbackRequest,
) -> Result<u16, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut post = Request::post(path).header("host", address);
    for (name, value) in &request.headers {
        post = post.header(*name, value);
    }
    let post = post.body(Full::new(request.body.clone())).map_err(|error| format!("not a request: {error}"))?;
    connection.ready().await.map_err(|error| format!("no connection: {error}"))?;
    let answer = connection.send_request(post).await.map_err(|error| format!("no answer: {error}"))?;
    let status = answer.status().as_u16();
    // The status is the answer; a body that is too long only costs the connection, which hyper then closes.
    let rest = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    if rest.is_err() {
        tracing::debug!("the answer to a callback was cut off");
    }
    Ok(status)
}

fn take_idle(idle: &Idle, address: &str) -> Option<Connection> {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    let connections = idle.get_mut(address)?;
    std::iter::from_fn(|| connections.pop()).find(|connection| !connection.is_closed())
}

fn keep_idle(idle: &Idle, address: String, connection: Connection) {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    let connections = idle.entry(address).or_default();
    if !connection.is_closed() && connections.len() < IDLE_CONNECTIONS_MAX {
        connections.push(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<i64> = (1..=9).map(pause_s).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_s(u32::MAX), 60);
    }

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of the Standard Webhooks specification.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let signer = Signer::new(&secret).expect("a signer");
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
