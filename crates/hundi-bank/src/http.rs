//! The HTTP contract: the table of routes, their answers, and the server.
//!
//! | route | answer |
//! |---|---|
//! | `POST /transfers` | the standing of the transfer, or nothing when the bank is to be silent |
//! | `GET /transfers/{reference}` | the standing, or 404 |
//! | `GET /book` | every transfer |
//! | `GET /statement?date=YYYY-MM-DD` | camt.053 of that Indian day |
//! | `GET /healthz` | `ok` |
//!
//! Nothing here logs a body.

use crate::book::{Answered, BookRow, Job, Standing};
use crate::clock::Date;
use crate::faults::Delivery;
use crate::outcome::Answer;
use crate::request::{Order, is_reference};
use crate::statement::{Statement, bounds_us};
use crate::{Bank, Reply};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The most bytes of a request's body.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a silent bank holds a request before it closes the connection.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const CONNECTIONS_MAX: usize = 4_096;
/// From the accept, or from the last answer, to the end of a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// What requests under way get when the bank closes.
const FAREWELL: Duration = Duration::from_secs(1);
/// The pause after a failed accept (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// About the bytes of a row of the book.
const BOOK_ROW_BYTES: usize = 192;

const JSON: &str = "application/json";

#[derive(Serialize)]
struct StandingBody<'a> {
    reference: &'a str,
    status: &'a str,
    code: &'a str,
    message: &'a str,
    rrn: &'a str,
    amount_paise: i64,
    retry_elsewhere: bool,
    retry_other_rail: bool,
}

#[derive(Serialize)]
struct BookRowBody<'a> {
    reference: &'a str,
    amount_paise: i64,
    status: &'a str,
    rrn: &'a str,
    rail: &'a str,
    code: &'a str,
    at_us: i64,
    executions: i64,
    due_at_us: Option<i64>,
}

#[derive(Serialize)]
struct NotFoundBody<'a> {
    reference: &'a str,
    status: &'a str,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
}

fn json(status: u16, body: &impl Serialize) -> Reply {
    // The bodies above are texts, numbers and booleans, which cannot fail to become JSON.
    let body = serde_json::to_vec(body).unwrap_or_default();
    Reply { status, content_type: JSON, body: Bytes::from(body) }
}

fn error(status: u16, error: &str) -> Reply {
    json(status, &ErrorBody { error })
}

fn too_large() -> Reply {
    error(413, &format!("the body must not be longer than {BODY_BYTES_MAX} bytes"))
}

fn standing_reply(standing: &Standing) -> Reply {
    let (status, code, message) = standing.state.words();
    let Standing { reference, amount_paise, rrn, state } = standing;
    let (retry_elsewhere, retry_other_rail) = (state.retry_elsewhere(), state.retry_other_rail());
    let amount_paise = *amount_paise;
    json(200, &StandingBody { reference, status, code, message, rrn, amount_paise, retry_elsewhere, retry_other_rail })
}

/// The method that a path knows, if the path is known.
fn allowed(path: &str) -> Option<&'static str> {
    match path {
        "/transfers" => Some("POST"),
        "/book" | "/statement" | "/healthz" => Some("GET"),
        _ => path.strip_prefix("/transfers/").filter(|reference| !reference.is_empty()).map(|_| "GET"),
    }
}

impl Bank {
    /// Answers one request. `None`: the bank closes the connection without an answer. Needs [`Bank::run_book`].
    ///
    /// A request that is meant to hang hangs here, for 60 seconds at most; to drop the future is to hang up.
    pub async fn handle(&self, method: &str, path_and_query: &str, body: Bytes) -> Option<Reply> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let Some(allowed) = allowed(path) else {
            return Some(error(404, "there is nothing at this address"));
        };
        if method != allowed {
            return Some(error(405, &format!("this address knows only {allowed}")));
        }
        if body.len() > BODY_BYTES_MAX {
            return Some(too_large());
        }
        match path {
            "/transfers" => self.transfer(&body).await,
            "/book" => self.book().await.or_else(|| self.unavailable()),
            "/statement" => self.statement(query).await.or_else(|| self.unavailable()),
            "/healthz" => Some(Reply { status: 200, content_type: "text/plain", body: Bytes::from_static(b"ok") }),
            _ => self.enquiry(path.strip_prefix("/transfers/").unwrap_or_default()).await,
        }
    }

    async fn transfer(&self, body: &[u8]) -> Option<Reply> {
        let order = match Order::parse(body) {
            Ok(order) => order,
            Err(sentence) => return Some(error(400, &sentence)),
        };
        let fault = self.rules.faults.delivery(self.rules.seed, &order.reference);
        let delivery = match (fault, order.outcome.answer) {
            (Delivery::Dropped, _) => return None,
            (_, Answer::Lost) => return self.silence().await,
            (_, Answer::Never) => Delivery::Never,
            (delivery, Answer::Given) => delivery,
        };
        let heard = delivery == Delivery::Prompt;
        match self.ask(|answer| Job::Transfer { order, heard, answer }).await {
            Some(Answered::Fresh(standing)) => match delivery {
                Delivery::Never | Delivery::Dropped => self.silence().await,
                Delivery::Late(wait_us) => self.late(wait_us, &standing).await,
                Delivery::Prompt => Some(standing_reply(&standing)),
            },
            Some(Answered::Repeat(standing)) => Some(standing_reply(&standing)),
            Some(Answered::Conflict) => Some(error(409, "`reference` is known, with other details")),
            None => self.unavailable(),
        }
    }

    async fn silence(&self) -> Option<Reply> {
        tokio::select! { biased;
            () = self.closing() => None,
            () = tokio::time::sleep(SILENCE_MAX) => None,
        }
    }

    async fn late(&self, wait_us: u64, standing: &Standing) -> Option<Reply> {
        tokio::select! { biased;
            () = self.closing() => None,
            () = tokio::time::sleep(Duration::from_micros(wait_us)) => Some(standing_reply(standing)),
        }
    }

    async fn enquiry(&self, reference: &str) -> Option<Reply> {
        let not_found = || Some(json(404, &NotFoundBody { reference, status: "not_found" }));
        if !is_reference(reference) {
            return not_found();
        }
        let reference = reference.to_owned();
        match self.ask(|answer| Job::Find { reference, answer }).await {
            Some(Some(standing)) => Some(standing_reply(&standing)),
            Some(None) => not_found(),
            None => self.unavailable(),
        }
    }

    async fn book(&self) -> Option<Reply> {
        let mut body = vec![b'['];
        let mut after_id = 0;
        loop {
            let page = self.ask(|answer| Job::Book { after_id, answer }).await?;
            let Some(last) = page.last() else { break };
            after_id = last.id;
            body.reserve(page.len() * BOOK_ROW_BYTES);
            for row in &page {
                if body.len() > 1 {
                    body.extend_from_slice(b",\n");
                }
                write_book_row(&mut body, row);
            }
        }
        body.push(b']');
        Some(Reply { status: 200, content_type: JSON, body: Bytes::from(body) })
    }

    async fn statement(&self, query: &str) -> Option<Reply> {
        let Some(date) = query.strip_prefix("date=").and_then(Date::parse) else {
            return Some(error(400, "`date` must be a day as YYYY-MM-DD"));
        };
        let (from_us, until_us) = bounds_us(date);
        let opening_paise = self.ask(|answer| Job::BalanceBefore { at_us: from_us, answer }).await?;
        let mut movements = Vec::new();
        let mut after = (from_us, 0);
        loop {
            let mut page = self.ask(|answer| Job::Movements { after, before_us: until_us, answer }).await?;
            let Some(last) = page.last() else { break };
            after = (last.at_us, last.id);
            movements.append(&mut page);
        }
        let made_at_us = self.rules.clock.now_us();
        let xml = Statement { date, made_at_us, opening_paise, movements }.to_xml();
        Some(match xml {
            Ok(xml) => Reply { status: 200, content_type: "application/xml", body: Bytes::from(xml) },
            Err(fmt::Error) => error(500, "the sums of this day are too large"),
        })
    }

    /// The answer when the book gave none: nothing when the bank is closing, else 503. Either way the customer does
    /// not know whether it was executed, and must enquire.
    fn unavailable(&self) -> Option<Reply> {
        (!*self.closed.borrow()).then(|| error(503, "the bank's book cannot be reached; ask again"))
    }

    /// Serves HTTP/1.1 with keep-alive on this listener, until [`Bank::close`].
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections: JoinSet<()> = JoinSet::new();
        loop {
            tokio::select! { biased;
                () = self.closing() => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection of the bank broke off");
                    }
                }
                accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _peer)) => {
                        connections.spawn(Arc::clone(&self).converse(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the bank could not accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        let farewell = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("connections were cut off when the bank closed");
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let bank = Arc::clone(&self);
        let service = service_fn(move |request| {
            let bank = Arc::clone(&bank);
            async move { bank.respond(request).await }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! { biased;
            ended = connection.as_mut() => ended,
            () = self.closing() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Unanswered> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let reply = if head.method != Method::POST {
            self.handle(head.method.as_str(), path, Bytes::new()).await
        } else if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
            Some(too_large())
        } else {
            match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
                Ok(Ok(body)) => self.handle("POST", path, body.to_bytes()).await,
                Ok(Err(error)) if error.is::<LengthLimitError>() => Some(too_large()),
                Ok(Err(_broken)) => None,
                Err(_elapsed) => Some(error(408, "the body did not arrive in time")),
            }
        };
        let Reply { status, content_type, body } = reply.ok_or(Unanswered)?;
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let (405, Some(method)) = (status, allowed(head.uri.path())) {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
        }
        Ok(response)
    }
}

fn write_book_row(body: &mut Vec<u8>, row: &BookRow) {
    let Standing { reference, amount_paise, state, rrn } = &row.standing;
    let (status, code, _message) = state.words();
    let amount_paise = *amount_paise;
    let (rail, at_us, executions, due_at_us) = (row.rail.name(), row.at_us, row.executions, row.due_at_us);
    let row = BookRowBody { reference, amount_paise, status, rrn, rail, code, at_us, executions, due_at_us };
    // To write texts and numbers into memory cannot fail.
    if let Err(error) = serde_json::to_writer(body, &row) {
        tracing::error!(%error, "a row of the book could not be written as JSON");
    }
}

/// Makes hyper close the connection without an answer.
#[derive(Debug)]
struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank does not answer")
    }
}

impl std::error::Error for Unanswered {}
