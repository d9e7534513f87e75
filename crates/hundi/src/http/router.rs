//! What is where.
//!
//! | listener | path | |
//! |---|---|---|
//! | merchants | `POST` the calls of [`Call`], in any case | [`merchant_api`] |
//! | merchants | `POST /connectors/{name}/callback`; `GET` for a connector whose bank calls so | [`bank_callback`] |
//! | operations | `GET /healthz` | the process lives |
//! | operations | `GET /readyz` | the store is readable and the writer writes: 200, else 503 with the reason |
//! | operations | `GET /metrics` | the counters |
//!
//! No log line holds a query string, a header, a body or a value of them: a token in a query string is a live credential
//! (WIRE 17).

use crate::App;
use crate::clock::random;
use crate::http::bank_callback;
use crate::http::merchant_api::{self, Answer, settled};
use crate::http::problem::{Call, Problem, problem_body, standing};
use crate::http::serve::{BodyError, read_body};
use crate::writer::Unknown;
use bytes::Bytes;
use http_body_util::Full;
use hundi_core::ids::MerchantId;
use hundi_core::plant::{Plant, planted};
use hyper::body::Body;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// How long the writer may take to prove that it lives.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The paths of the operator's machines.
const OPERATIONS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Everything that is served: method and path. What is not in here is answered 404.
pub fn routes() -> impl Iterator<Item = (Method, &'static str)> {
    let merchants = Call::paths().map(|path| (Method::POST, path));
    let banks = [(Method::POST, bank_callback::PATH)];
    merchants.chain(banks).chain(OPERATIONS.map(|path| (Method::GET, path)))
}

/// Serves merchants and banks.
pub async fn api<B>(app: Arc<App>, peer: IpAddr, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes>,
{
    let request_id = RequestId::new();
    if planted(Plant::DefaultTraceLayer) {
        tracing::debug!(uri = %request.uri(), headers = ?request.headers(), "a request");
    }
    let (head, body) = request.into_parts();
    if let Some(name) = bank_callback::connector_in(head.uri.path()) {
        let (status, said) = bank_callback::serve(&app, name, &head, body).await;
        if status != StatusCode::OK {
            tracing::info!(
                request_id = request_id.text(),
                status = status.as_u16(),
                "a bank's call was refused: {said}"
            );
        }
        let mut response = response(status, format!("{{\"message\":\"{said}\"}}").into(), &request_id, JSON);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = bank_callback::method(&app, name);
            let allowed = HeaderValue::from_static(if allowed == Method::GET { "GET" } else { "POST" });
            response.headers_mut().insert(ALLOW, allowed);
        }
        return response;
    }
    let call = Call::at(head.uri.path());
    let result = match call {
        Some(call) => merchant_call(&app, peer, call, &request_id, &head, body).await,
        None => Err(Problem::PathUnknown),
    };
    match result {
        Ok(answer) => {
            let code = code_name(&answer);
            if code == "0" && call == Some(Call::Payout) {
                tracing::debug!(request_id = request_id.text(), "a payout was answered as failed");
            }
            app.metrics.answers.get_or_create(&[("code", code)]).inc();
            response(StatusCode::OK, answer.into_body().into(), &request_id, JSON)
        }
        Err(problem) => refused(&app, &problem, call, &request_id),
    }
}

async fn merchant_call<B>(
    app: &App,
    peer: IpAddr,
    call: Call,
    request_id: &RequestId,
    head: &Parts,
    body: B,
) -> Result<Answer, Problem>
where
    B: Body<Data = Bytes>,
{
    if head.method != Method::POST {
        return Err(Problem::MethodNotAllowed);
    }
    let within = Duration::from_millis(app.config.api.body_within_ms);
    let body = read_body(body, app.config.api.body_bytes_max, within).await.map_err(|error| match error {
        BodyError::TooLarge => Problem::BodyTooLarge,
        BodyError::TooSlow => Problem::BodySlow,
        BodyError::Broken => Problem::Unreadable("the body did not arrive whole".to_owned()),
    })?;
    merchant_api::serve(app, peer, call, request_id.text(), head, &body).await
}

fn refused(app: &App, problem: &Problem, call: Option<Call>, request_id: &RequestId) -> Response<Full<Bytes>> {
    let (id, name) = (request_id.text(), problem.name());
    let path = call.map_or("unknown", Call::path);
    if problem.concerns_operator() {
        tracing::info!(request_id = id, problem = name, call = path, "a call was refused");
    } else {
        tracing::debug!(request_id = id, problem = name, call = path, "a call was refused");
    }
    app.metrics.answers.get_or_create(&[("code", digit(problem.code()))]).inc();
    let strict = app.config.api.strict_http;
    let body = problem_body(problem, call.unwrap_or(Call::Payout));
    let mut response = response(problem.status(strict), body.into(), request_id, JSON);
    let headers = response.headers_mut();
    match problem {
        Problem::MethodNotAllowed => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        Problem::RateLimited { wait_s, .. } if strict => drop(headers.insert(RETRY_AFTER, HeaderValue::from(*wait_s))),
        _ => {}
    }
    response
}

/// Serves the operator's machines. Not for the open network: it needs no token.
pub async fn operations<B>(app: Arc<App>, _peer: IpAddr, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes>,
{
    let request_id = RequestId::new();
    let path = request.uri().path();
    let said = |status, said: &str| {
        let body = serde_json::json!({ "status": said }).to_string();
        response(status, body.into(), &request_id, JSON)
    };
    if !OPERATIONS.contains(&path) {
        return said(StatusCode::NOT_FOUND, "there is /healthz, /readyz and /metrics");
    }
    if request.method() != Method::GET {
        let mut response = said(StatusCode::METHOD_NOT_ALLOWED, "method must be GET");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    match path {
        "/readyz" => match ready(&app).await {
            Ok(()) => said(StatusCode::OK, "ready"),
            Err(why) => {
                tracing::info!(request_id = request_id.text(), why, "not ready");
                said(StatusCode::SERVICE_UNAVAILABLE, &why)
            }
        },
        "/metrics" => match app.metrics.text(&app).await {
            Ok(text) => response(StatusCode::OK, text.into(), &request_id, OPENMETRICS),
            Err(why) => {
                tracing::info!(request_id = request_id.text(), why, "no metrics");
                said(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read")
            }
        },
        _ => said(StatusCode::OK, "alive"),
    }
}

/// After a failed write Hundi is not ready for so long, microseconds.
const FAILED_LATELY_US: i64 = 5_000_000;

async fn ready(app: &App) -> Result<(), String> {
    app.store.meta("installation").await.map_err(|error| format!("the store cannot be read: {error}"))?;
    settled(app, MerchantId::HOUSE, READY_WITHIN).await.map_err(|error| match error {
        Unknown::Overload => "the writer does not write: the database does not answer in time".to_owned(),
        error => format!("the writer does not write: {error}"),
    })?;
    // A disk that is nearly full takes small writes and refuses large ones, so one good write is not the end of it.
    let failed_us_ago = app.clock.boot_us().saturating_sub(app.hub.write_failed_us.load(Ordering::Relaxed));
    if failed_us_ago < FAILED_LATELY_US {
        return Err("writes have failed lately; see the log".to_owned());
    }
    Ok(())
}

fn response(
    status: StatusCode,
    body: Bytes,
    request_id: &RequestId,
    content_type: HeaderValue,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_bytes(&request_id.0) {
        headers.insert(X_REQUEST_ID, id);
    }
    response
}

fn code_name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Payout(payout) => digit(standing(payout.state).0),
        Answer::Plain(_) => "1",
    }
}

fn digit(code: u8) -> &'static str {
    ["0", "1", "2", "3", "4", "5", "6"].get(usize::from(code)).copied().unwrap_or("other")
}

/// Names a request in the answer and in the log: 16 hexadecimal digits, counted on from a random start.
struct RequestId([u8; 16]);

static REQUESTS: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(u64::from_be_bytes(random())));

impl RequestId {
    fn new() -> RequestId {
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        RequestId(std::array::from_fn(|place| {
            let byte = number[place / 2];
            b"0123456789abcdef"[usize::from(if place % 2 == 0 { byte >> 4 } else { byte & 15 })]
        }))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
