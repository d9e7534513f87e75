//! The yardstick of `bench/compare`: the same accept loop as Hundi's, and a handler that only reads, parses and answers.
//!
//! Says where it listens, and serves until its standard input ends, so that it does not outlive who started it:
//!
//! ```text
//! cargo run --release --example bare           then: hundi bench --url http://127.0.0.1:PORT --token any --mode accept
//! ```

use bytes::Bytes;
use http_body_util::Full;
use hundi::http::serve::{Limits, read_body, serve};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::sync::watch;

const ANSWER: &[u8] = b"{\"StatusCode\":1,\"Message\":\"Transaction Successful\",\"Data\":{\"ClientOrderID\":\"1223234\",\"OrderID\":\"188020200\",\
    \"BeneficiaryName\":\"RUPESH KUMAR VIRENDR\",\"RRN\":\"036516753713\",\"Status\":\"Success\"}}";

/// What a create has, as a handler would read it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    token: &'a str,
    number: &'a str,
    amount: &'a str,
    transfer_mode: &'a str,
    account_no: &'a str,
    #[serde(rename = "IFSCCode")]
    ifsc: &'a str,
    beneficiary_name: &'a str,
    #[serde(rename = "OrderID")]
    order: &'a str,
}

impl Create<'_> {
    fn is_whole(&self) -> bool {
        let first = [self.token, self.number, self.amount, self.transfer_mode];
        let second = [self.account_no, self.ifsc, self.beneficiary_name, self.order];
        first.iter().chain(&second).all(|text| !text.is_empty())
    }
}

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = read_body(request.into_body(), 64 * 1024, Duration::from_secs(10)).await.unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    if !serde_json::from_slice::<Create<'_>>(&body).is_ok_and(|create| create.is_whole()) {
        *response.body_mut() = Full::default();
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("http://{}", listener.local_addr()?);
        let (stop, stopped) = watch::channel(false);
        std::thread::spawn(move || {
            // Ends when whoever started it closes the other end, or ends.
            drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
            stop.send_replace(true);
        });
        let limits = Limits {
            header_time: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            headers_max: 100,
            connections_max: 4_096,
        };
        serve(listener, limits, stopped, |_: IpAddr, request: Request<Incoming>| answer(request)).await;
        Ok(())
    })
}
