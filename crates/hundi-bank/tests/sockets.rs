//! The bank over real sockets: the server, its silences, and the callback client.

use hundi_bank::{Bank, BankConfig, Clock, Faults, Times, http_sender};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn read_message(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.lines().next().and_then(|number| number.parse().ok()).expect("a length"));
            if body.len() >= length {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.expect("readable") == 0 {
            return text;
        }
    }
}

fn post(reference: &str, suffix: &str, length_of: Option<usize>) -> String {
    let body = format!(
        r#"{{"reference":"{reference}","amount_paise":20000,"rail":"IMPS","valid_until_us":9000000000000000,
        "beneficiary":{{"kind":"account","account_number":"501000{suffix}","ifsc":"HDFC0000001","name":"A"}}}}"#
    );
    let length = length_of.unwrap_or(body.len());
    format!("POST /transfers HTTP/1.1\r\nhost: bank\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("writable");
    timeout(Duration::from_secs(5), read_message(stream)).await.expect("in time")
}

#[tokio::test]
async fn the_server_answers_calls_back_and_falls_silent() {
    let customer = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/callbacks?bank=sandbox", customer.local_addr().expect("an address"));
    let faults: Faults = "drop=0".parse().expect("faults");
    let clock = Clock::system();
    let config = BankConfig {
        path: None,
        callback_url: Some(url),
        callback_secret: None,
        faults,
        seed: 1,
        times: Times::Demo,
        clock,
    };
    let bank = Bank::open(config).expect("the bank opens");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let loops = [
        tokio::spawn(Arc::clone(&bank).run_book()),
        tokio::spawn(Arc::clone(&bank).run_clockwork(http_sender())),
        tokio::spawn(Arc::clone(&bank).serve(listener)),
    ];

    let mut stream = TcpStream::connect(address).await.expect("connected");
    let paid = exchange(&mut stream, &post("A1", "0001", None)).await;
    assert!(paid.starts_with("HTTP/1.1 200") && paid.contains(r#""status":"paid""#), "{paid}");
    let found = exchange(&mut stream, "GET /transfers/A1 HTTP/1.1\r\nhost: bank\r\n\r\n").await;
    assert!(found.contains(r#""code":"00""#), "the connection is kept: {found}");
    let wrong = exchange(&mut stream, "GET /transfers HTTP/1.1\r\nhost: bank\r\n\r\n").await;
    assert!(wrong.starts_with("HTTP/1.1 405") && wrong.contains("allow: POST"), "{wrong}");
    let large = exchange(&mut stream, &post("A2", "0001", Some(20_000))).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");

    // Paid after 5 s: the callback tells, first to a customer who errs, and then again on the same connection.
    let mut slow = TcpStream::connect(address).await.expect("connected");
    slow.write_all(post("A3", "0222", None).as_bytes()).await.expect("writable");
    let (mut caller, _) = timeout(Duration::from_secs(15), customer.accept()).await.expect("called").expect("accepted");
    for answer in ["500 Oops", "200 OK"] {
        let call = timeout(Duration::from_secs(5), read_message(&mut caller)).await.expect("in time");
        assert!(call.starts_with("POST /callbacks?bank=sandbox HTTP/1.1"), "{call}");
        assert!(call.contains("webhook-id: evt_A3_paid") && call.contains(r#""reference":"A3""#), "{call}");
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\nok");
        caller.write_all(answer.as_bytes()).await.expect("writable");
    }

    bank.close();
    for task in loops {
        timeout(Duration::from_secs(5), task).await.expect("soon").expect("the loop ends");
    }
    let end = timeout(Duration::from_secs(5), read_message(&mut slow)).await.expect("in time");
    assert!(end.contains("accepted"), "{end}");
}
