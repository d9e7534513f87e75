//! The merchant of the kill loops. He orders over several connections, sends an order again until it is answered, now and
//! then twice at once or long after, and writes every acknowledgement to a log on disk before he sends anything else.

use super::kit::{Http, PAY, STATUS, pay_body, status_body};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The connections of a load.
const CONNECTIONS: usize = 8;

/// Beneficiaries that come to an end soon, most of them at once.
const ACCOUNTS: [&str; 24] = [
    "50100010001",
    "50100010002",
    "50100010222",
    "50100010003",
    "50100010444",
    "50100010004",
    "50100010005",
    "50100010666",
    "50100010006",
    "50100010007",
    "50100010777",
    "50100010008",
    "50100010009",
    "50100010888",
    "50100010010",
    "50100010011",
    "50100010012",
    "50100010013",
    "50100010555",
    "50100010014",
    "50100010015",
    "50100010016",
    "50100010017",
    "50100010018",
];

/// An order that was sent: everything that is needed to send it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    pub order: String,
    pub rupees: i64,
    pub mode: &'static str,
    pub account: &'static str,
}

impl Sent {
    /// The order with this number, the same each time.
    fn number(number: u64) -> Sent {
        let account = ACCOUNTS[usize::try_from(number).unwrap() % ACCOUNTS.len()];
        let mode = if number.is_multiple_of(2) { "IMPS" } else { "NEFT" };
        Sent { order: format!("KILL-{number}"), rupees: 1 + i64::try_from(number % 97).unwrap(), mode, account }
    }
}

/// What an answer promised.
#[derive(Clone, Debug)]
pub struct Promise {
    pub sent: Sent,
    /// Our OrderID.
    pub ours: String,
    pub code: i64,
}

/// The client's memory, which survives everything.
pub struct Memory {
    path: PathBuf,
    log: Mutex<File>,
    pub promises: Mutex<Vec<Promise>>,
    /// Our OrderID by the client's.
    known: Mutex<BTreeMap<String, String>>,
    pub unanswered: Mutex<Vec<Sent>>,
    next: AtomicU64,
}

impl Memory {
    pub fn new(path: &Path) -> Memory {
        Memory {
            path: path.to_owned(),
            log: Mutex::new(File::options().create(true).append(true).open(path).unwrap()),
            promises: Mutex::default(),
            known: Mutex::default(),
            unanswered: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    pub fn next_order(&self) -> Sent {
        Sent::number(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The next order of a batched rail, which is answered as soon as it is accepted.
    pub fn next_batched(&self) -> Sent {
        loop {
            let sent = self.next_order();
            if sent.mode == "NEFT" {
                return sent;
            }
        }
    }

    /// The next order, or one that was sent before: the latest, which is on its way on another connection, or an old one.
    fn next_or_again(&self) -> Sent {
        let sent = self.next.load(Ordering::Relaxed);
        match sent % 13 {
            11 => {
                self.next.fetch_add(1, Ordering::Relaxed);
                Sent::number(sent - 1)
            }
            12 => {
                self.next.fetch_add(1, Ordering::Relaxed);
                Sent::number(sent / 2)
            }
            _ => self.next_order(),
        }
    }

    /// Sends an order; true when it is answered, and then the answer is on disk.
    fn ask(&self, http: &mut Http, token: &str, sent: &Sent) -> Asked {
        let body = pay_body(token, &sent.order, sent.rupees, sent.mode, sent.account);
        let Ok(reply) = http.post(PAY, &body) else { return Asked::NoAnswer };
        let (answer, code) = (reply.json(), reply.code());
        // While it starts or stops it may say that it does not know; everything else here is a promise.
        if code == 6 {
            return Asked::Unknown;
        }
        assert!((0..=2).contains(&code), "{answer}");
        assert_eq!(answer["Data"]["ClientOrderID"], sent.order, "{answer}");
        let ours = answer["Data"]["OrderID"].as_str().unwrap().to_owned();
        let line = format!("{} {} {} {} {ours} {code}\n", sent.order, sent.rupees, sent.mode, sent.account);
        let mut log = self.log.lock().unwrap();
        log.write_all(line.as_bytes()).unwrap();
        log.sync_data().unwrap();
        drop(log);
        let before = self.known.lock().unwrap().entry(sent.order.clone()).or_insert_with(|| ours.clone()).clone();
        assert_eq!(before, ours, "two payouts for {sent:?}: {answer}");
        self.promises.lock().unwrap().push(Promise { sent: sent.clone(), ours, code });
        Asked::Promised
    }

    /// Sends an order once; false when there was no answer at all.
    pub fn order(&self, http: &mut Http, token: &str, sent: Sent) -> bool {
        let asked = self.ask(http, token, &sent);
        if asked != Asked::Promised {
            self.unanswered.lock().unwrap().push(sent);
        }
        asked != Asked::NoAnswer
    }

    /// Orders from several connections while something is done, which gets the time that it needs. An order that is not
    /// answered is sent again, whoever has died meanwhile.
    pub fn load<T>(&self, api: SocketAddr, token: &str, meanwhile: impl FnOnce() -> T) -> T {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut http = Http::new(api);
                    let mut sent = self.next_or_again();
                    let mut asked = Asked::Promised;
                    while !stop.load(Ordering::Relaxed) {
                        asked = self.ask(&mut http, token, &sent);
                        if asked == Asked::Promised {
                            sent = self.next_or_again();
                        } else {
                            std::thread::sleep(Duration::from_millis(2));
                        }
                    }
                    if asked != Asked::Promised {
                        self.unanswered.lock().unwrap().push(sent);
                    }
                });
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            stop.store(true, Ordering::Relaxed);
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sends again what was not answered, with the same OrderIDs: the answer is a promise about the one payout.
    pub fn ask_again(&self, api: SocketAddr, token: &str) {
        let again = Mutex::new(std::mem::take(&mut *self.unanswered.lock().unwrap()));
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut http = Http::new(api);
                    let next = || again.lock().unwrap().pop();
                    while let Some(sent) = next() {
                        assert!(self.order(&mut http, token, sent), "no answer after the restart");
                    }
                });
            }
        });
    }

    /// Every promise since `from` is kept: the order is known, under the same number, and a payout that had ended well
    /// or badly has not changed its mind (but for what the bank took back).
    pub fn kept(&self, api: SocketAddr, token: &str, from: usize) -> usize {
        let promises = self.promises.lock().unwrap();
        let mut http = Http::new(api);
        for promise in &promises[from..] {
            let answer = http.post(STATUS, &status_body(token, &promise.sent.order)).unwrap().json();
            assert_eq!(answer["Data"]["OrderID"], promise.ours, "promised {promise:?}: {answer}");
            let status = answer["Data"]["Status"].as_str().unwrap();
            let kept = match promise.code {
                1 => matches!(status, "Success" | "Reversal"),
                0 => matches!(status, "Failure" | "Reversal"),
                _ => true,
            };
            assert!(kept, "promised {promise:?}: {answer}");
        }
        promises.len()
    }

    /// The log as it is on disk, line by line: order, rupees, mode, account, our OrderID, code.
    pub fn log(&self) -> Vec<[String; 6]> {
        let text = std::fs::read_to_string(&self.path).unwrap();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        text.lines().map(words).collect()
    }
}

/// What came of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Promised,
    /// "Unknown": to be asked again.
    Unknown,
    NoAnswer,
}
