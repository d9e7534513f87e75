//! Measures the bank: transfers a second, in the process and over HTTP, all on this machine.
//!
//! `cargo run --release -p hundi-bank --example transfers_per_second [connections] [seconds]`

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hundi_bank::{Bank, BankConfig, Clock, Faults, Times};
use hyper::Request;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn body(number: u64) -> Bytes {
    // Scattered, as references derived from a hash are.
    let reference = format!("{:015X}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4);
    Bytes::from(format!(
        r#"{{"reference":"{reference}","amount_paise":20000,"rail":"IMPS","valid_until_us":9000000000000000,"beneficiary":{{"kind":"account","account_number":"50100010001","ifsc":"HDFC0000001","name":"Asha Rao"}}}}"#
    ))
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (connections, seconds) = (arguments.next().unwrap_or(256), arguments.next().unwrap_or(5));
    let path = std::env::temp_dir().join(format!("hundi-bank-{}.db", std::process::id()));
    let bank = Bank::open(BankConfig {
        path: Some(path.clone()),
        callback_url: None,
        callback_secret: None,
        faults: Faults::default(),
        seed: 1,
        times: Times::Demo,
        clock: Clock::system(),
    })?;
    let (book, runtime) = (Arc::clone(&bank), tokio::runtime::Handle::current());
    let book = std::thread::spawn(move || runtime.block_on(book.run_book()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(Arc::clone(&bank).serve(listener));
    let next = Arc::new(AtomicU64::new(1));
    for over_http in [false, true] {
        let (first, started) = (next.load(Ordering::Relaxed), Instant::now());
        let end = started + Duration::from_secs(seconds);
        let mut customers = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let (bank, next) = (Arc::clone(&bank), Arc::clone(&next));
            customers.spawn(async move {
                let mut connection = None;
                if over_http {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                    tokio::spawn(driver);
                    connection = Some(sender);
                }
                while Instant::now() < end {
                    let body = body(next.fetch_add(1, Ordering::Relaxed));
                    let status = match &mut connection {
                        None => bank.handle("POST", "/transfers", body).await.map_or(0, |reply| reply.status),
                        Some(sender) => {
                            let request = Request::post("/transfers").header("host", "bank").body(Full::new(body))?;
                            let answer = sender.send_request(request).await?;
                            let status = answer.status().as_u16();
                            answer.into_body().collect().await?;
                            status
                        }
                    };
                    if status != 200 {
                        return Err(Failure::from(format!("status {status}")));
                    }
                }
                Ok::<(), Failure>(())
            });
        }
        while let Some(ended) = customers.join_next().await {
            ended??;
        }
        let count = u128::from(next.load(Ordering::Relaxed) - first);
        let way = if over_http { "over HTTP" } else { "in the process" };
        println!(
            "{way}: {} transfers a second ({connections} customers)",
            count * 1_000 / started.elapsed().as_millis()
        );
    }
    bank.close();
    server.await?;
    book.join().map_err(|_panic| "the book's thread panicked")?;
    for ending in ["", "-wal", "-shm"] {
        // SQLite has removed some of them itself.
        drop(std::fs::remove_file(format!("{}{ending}", path.display())));
    }
    Ok(())
}
