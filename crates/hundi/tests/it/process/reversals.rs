//! Reversals after success, raced: what the bank gives back is credited once, however often and however much at once it
//! says so, and whoever else asks meanwhile.
//!
//! `HUNDI_REVERSALS` says how many.

use super::super::ENGINE;
use super::auditor::{SETTLES_WITHIN, agree, told};
use super::kit::{Http, PAY, Receiver, Site, pay_body, read_request, until};
use super::{count, statement};
use crate::score::score;
use hundi_core::payout::State;
use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};

const REVERSALS: u64 = 1_000;
/// How often a reversal is told at once, and how many of these calls are not signed: Hundi does not believe them, and asks
/// the bank.
const AT_ONCE: usize = 50;
const UNSIGNED: usize = 5;
const CREWS: usize = 2;

/// A call of the bank.
#[derive(Clone)]
struct Told {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Stands between the bank and Hundi: a reversal is told [`AT_ONCE`] times at once, everything else once.
struct Amplifier {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<VecDeque<Told>>,
    arrived: Condvar,
    /// The bodies of the reversals: the bank tells some of them twice.
    known: Mutex<BTreeSet<Vec<u8>>>,
    /// How often the bank has told one, how often that was passed on, and in how many calls.
    heard: AtomicU64,
    told: AtomicU64,
    calls: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    /// The next reversal; `None` at the end.
    fn next(&self) -> Option<Told> {
        let mut waiting = self.waiting.lock().unwrap();
        while waiting.is_empty() && !self.stop.load(Ordering::Relaxed) {
            waiting = self.arrived.wait(waiting).unwrap();
        }
        waiting.pop_front()
    }
}

impl Amplifier {
    fn start(hundi: SocketAddr) -> Amplifier {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        for _ in 0..CREWS {
            start_crew(hundi, &shared);
        }
        let for_each = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if for_each.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&for_each);
                // A connection that breaks is the bank's affair.
                std::thread::spawn(move || drop(listen(stream, hundi, &shared)));
            }
        });
        Amplifier { address, shared }
    }

    /// Whether so many reversals were told, and everything that the bank has said of them was passed on.
    fn has_told(&self, reversals: usize) -> bool {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        self.shared.known.lock().unwrap().len() == reversals && count(&self.shared.heard) == count(&self.shared.told)
    }
}

impl Drop for Amplifier {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.arrived.notify_all();
        // Wakes the loop that accepts.
        drop(TcpStream::connect(self.address));
    }
}

/// Takes the bank's calls. A reversal is Hundi's to hear from here on, so the bank is told at once that it has arrived.
fn listen(mut stream: TcpStream, hundi: SocketAddr, shared: &Shared) -> std::io::Result<()> {
    let (mut http, mut buffer) = (Http::new(hundi), Vec::new());
    loop {
        let (_, path, headers, body) = read_request(&mut stream, &mut buffer, &shared.stop)?;
        let told = Told { path, headers, body };
        let status = if String::from_utf8_lossy(&told.body).contains("\"status\":\"reversed\"") {
            shared.heard.fetch_add(1, Ordering::Relaxed);
            shared.known.lock().unwrap().insert(told.body.clone());
            shared.waiting.lock().unwrap().push_back(told);
            shared.arrived.notify_one();
            200
        } else {
            deliver(&mut http, &told, true)
        };
        stream.write_all(format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n").as_bytes())?;
    }
}

/// Tells Hundi; its HTTP status, or 599 where there was none.
fn deliver(http: &mut Http, told: &Told, signed: bool) -> u16 {
    let wanted = |name: &str| name.starts_with("webhook-") || name == "content-type";
    let headers: Vec<(&str, &str)> = told.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers: Vec<_> =
        headers.into_iter().filter(|(name, _)| wanted(name) && (signed || *name != "webhook-signature")).collect();
    http.send("POST", &told.path, &headers, &told.body).map_or(599, |reply| reply.status)
}

/// Threads that tell the same reversal at the same moment, again and again.
fn start_crew(hundi: SocketAddr, shared: &Arc<Shared>) {
    let (barrier, at_hand) = (Arc::new(Barrier::new(AT_ONCE)), Arc::<Mutex<Option<Told>>>::default());
    for place in 0..AT_ONCE {
        let (barrier, at_hand, shared) = (Arc::clone(&barrier), Arc::clone(&at_hand), Arc::clone(shared));
        std::thread::spawn(move || {
            let mut http = Http::new(hundi);
            loop {
                if place == 0 {
                    *at_hand.lock().unwrap() = shared.next();
                }
                barrier.wait();
                let Some(told) = at_hand.lock().unwrap().clone() else { return };
                barrier.wait();
                // 503 asks to call again.
                while deliver(&mut http, &told, place >= UNSIGNED) != 200 {
                    shared.calls.fetch_add(1, Ordering::Relaxed);
                    if shared.stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                shared.calls.fetch_add(1, Ordering::Relaxed);
                barrier.wait();
                if place == 0 {
                    shared.told.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

/// Each reversal is told by fifty connections at the same moment, five of which only make Hundi ask the bank.
#[test]
fn a_reversal_is_credited_once() {
    let reversals = std::env::var("HUNDI_REVERSALS").map_or(REVERSALS, |reversals| reversals.parse().unwrap());
    let times = usize::try_from(reversals).unwrap();
    let mut site = Site::new("1000000.00", "");
    let amplifier = Amplifier::start(site.api);
    site.before_api = Some(amplifier.address);
    let receiver = Receiver::start();
    site.cli(&["merchant", "set", "shop", "--callback-url", &receiver.url("/hook")]).json();
    let _bank = site.start_bank("dup_callback=0.1");
    let _serve = site.start_serve();
    let began = std::time::Instant::now();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut http = Http::new(site.api);
                let next = || next.fetch_add(1, Ordering::Relaxed);
                for order in std::iter::repeat_with(next).take_while(|order| *order < reversals) {
                    let body = pay_body(&site.token, &format!("BACK-{order}"), 100, "IMPS", "50100010777");
                    assert!(matches!(http.post(PAY, &body).unwrap().code(), 1 | 2));
                }
            });
        }
    });
    until("every reversal to be told", SETTLES_WITHIN, || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        amplifier.has_told(times).then_some(())
    });
    until("the end of all payouts", SETTLES_WITHIN, || (site.metric("hundi_payouts_open{") == 0.0).then_some(()));
    println!(
        "{reversals} reversals, told in {} calls, in {:?}",
        amplifier.shared.calls.load(Ordering::Relaxed),
        began.elapsed()
    );
    let lines = statement(&site);
    assert_eq!(["reserve", "settle", "restore"].map(|kind| count(&lines, kind)), [times; 3]);
    assert_eq!(site.balance_paise(), 1_000_000_00, "what was given back is what was taken");
    site.verify();
    let payouts = agree(&site.folder, &site.book(), "shop");
    assert!(payouts.len() == times && payouts.iter().all(|payout| payout.state == State::Reversed && !payout.held));
    let shown = site.cli(&["merchant", "show", "shop", "--secret"]).json();
    told(&receiver, shown["callback_secret"].as_str().unwrap(), &payouts);
    assert!(site.cli(&["exception", "list"]).json().as_array().unwrap().is_empty());
    score(13, &format!("reversals, each told 50 times at once, {ENGINE:?}"), reversals);
}
