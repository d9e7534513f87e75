//! Real receivers that drip, that never stop, and that are not there: who is well is called as soon as ever, and the
//! process does not grow.

use super::super::ENGINE;
use super::kit::{Http, PAY, Process, Receiver, Site, free_address, pay_body, read_request, until};
use crate::score::score;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 150;
/// What each of those that are ill is owed: its calls take all that a receiver may have of Hundi.
const OWED: usize = 40;
const GROWS_AT_MOST_KIB: u64 = 10 * 1024;
/// On a busy machine nothing faster is a delay.
const NOISE: Duration = Duration::from_millis(250);

/// What an ill receiver says, and what it goes on with.
const ILL: [(&str, &[u8], usize, Duration); 3] = [
    ("drips headers", b"HTTP/1.1 200 OK\r\nX: ", 1, Duration::from_millis(50)),
    ("drips a body", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 1, Duration::from_millis(50)),
    ("never stops", b"HTTP/1.1 200 OK\r\n\r\n", 64 * 1024, Duration::ZERO),
];

/// A receiver that is ill until it is dropped.
struct Ill {
    url: String,
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
}

impl Ill {
    fn start(head: &'static [u8], piece: usize, pause: Duration) -> Ill {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (stop, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let ill = Ill { url, stop: Arc::clone(&stop), calls: Arc::clone(&calls) };
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (stop, calls) = (Arc::clone(&stop), Arc::clone(&calls));
                std::thread::spawn(move || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    // Its end is what this is about.
                    drop(speak(stream, head, &vec![b'x'; piece], pause, &stop));
                });
            }
        });
        ill
    }
}

impl Drop for Ill {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the loop that accepts.
        drop(TcpStream::connect(self.url["http://".len()..].trim_end_matches('/')));
    }
}

fn speak(mut stream: TcpStream, head: &[u8], piece: &[u8], pause: Duration, stop: &AtomicBool) -> std::io::Result<()> {
    read_request(&mut stream, &mut Vec::new(), stop)?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(head)?;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(piece)?;
        std::thread::sleep(pause);
    }
    Ok(())
}

/// Resident memory of a process, KiB.
fn resident_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Adds a merchant who is called here; his token.
fn merchant(site: &Site, name: &str, url: &str) -> String {
    site.cli(&["merchant", "add", name, "--fees", "*:5.00"]).json();
    site.cli(&["fund", "--merchant", name, "--amount", "100000.00", "--reference", name]).json();
    site.cli(&["merchant", "set", name, "--callback-url", url]).json();
    site.cli(&["token", "new", "--merchant", name, "--allow-ip", "127.0.0.1"]).json()["token"].as_str().unwrap().into()
}

fn pay(http: &mut Http, token: &str, order: &str) {
    assert_eq!(http.post(PAY, &pay_body(token, order, 10, "IMPS", "50100010001")).unwrap().code(), 1, "{order}");
}

/// Orders for the merchant who is well, one after the other; the p99 of the time from the answer to his call.
fn p99(site: &Site, receiver: &Receiver, name: &str) -> Duration {
    let mut http = Http::new(site.api);
    let mut answered = BTreeMap::new();
    for round in 0..ROUNDS {
        let order = format!("{name}-{round}");
        pay(&mut http, &site.token, &order);
        answered.insert(order, Instant::now());
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut waits: Vec<Duration> = until("the calls of who is well", Duration::from_secs(20), || {
        let mut first = BTreeMap::new();
        for call in receiver.calls() {
            if let Some((order, at)) = call.parameter("clientTxnRef").and_then(|order| answered.get_key_value(order)) {
                first.entry(order.clone()).or_insert_with(|| call.at.saturating_duration_since(*at));
            }
        }
        (first.len() == ROUNDS).then(|| first.into_values().collect())
    });
    waits.sort_unstable();
    waits[ROUNDS * 99 / 100]
}

#[test]
fn receivers_that_are_ill_delay_nobody() {
    let site = Site::new("1000000.00", "");
    let receiver = Receiver::start();
    site.cli(&["merchant", "set", "shop", "--callback-url", &receiver.url("/hook")]).json();
    let ill: Vec<Ill> = ILL.iter().map(|(_, head, piece, pause)| Ill::start(head, *piece, *pause)).collect();
    let mut tokens: Vec<String> =
        ill.iter().zip(0..).map(|(ill, number)| merchant(&site, &format!("ill-{number}"), &ill.url)).collect();
    tokens.push(merchant(&site, "gone", &format!("http://{}/", free_address())));
    let _bank = site.start_bank("");
    let serve = site.start_serve();
    p99(&site, &receiver, "WARM");
    let alone = p99(&site, &receiver, "ALONE");
    let before = resident_kib(&serve);
    let mut http = Http::new(site.api);
    for (merchant, token) in tokens.iter().enumerate() {
        (0..OWED).for_each(|order| pay(&mut http, token, &format!("ILL-{merchant}-{order}")));
    }
    let beside = p99(&site, &receiver, "BESIDE");
    let grown = resident_kib(&serve).saturating_sub(before);
    println!("p99 {alone:?} alone, {beside:?} beside those that are ill; the process grew by {grown} KiB");
    for ((what, ..), ill) in ILL.iter().zip(&ill) {
        assert!(ill.calls.load(Ordering::Relaxed) > 0, "a receiver that {what} was not called");
    }
    assert!(beside < (2 * alone).max(NOISE), "p99 {beside:?} beside those that are ill, {alone:?} alone");
    assert!(grown < GROWS_AT_MOST_KIB, "the process grew by {grown} KiB");
    // A call that is dripped ends at its deadline of ten seconds, and then it is a failure.
    until("the end of the calls that are dripped", Duration::from_secs(30), || {
        let tries = |number: usize| ill[number].calls.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(100));
        (tries(0) > 2 && tries(1) > 2).then_some(())
    });
    score(25, &format!("KiB that the process grew by, beside receivers that drip and never stop, {ENGINE:?}"), grown);
}
