//! `kill -9` under load, again and again: what was acknowledged is there, nothing is sent twice, the books agree, and
//! every merchant hears what became of his payouts.
//!
//! `HUNDI_KILLS` says how often (20 unless told otherwise, 10 on PostgreSQL).

use super::super::ENGINE;
use super::super::support::Folder;
use super::kit::{Call, Demo, Http, Numbers, PAY, Receiver, STATUS, Site, book, pay_body, run_on, status_body, until};
use super::signed;
use crate::database::Engine;
use hundi::clock::Clock;
use hundi::store::Store;
use hundi_core::ids::{Connector, MerchantId, PayoutId, Reference};
use hundi_core::payout::{Payout, State};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const KILLS: u64 = match ENGINE {
    Engine::Sqlite => 20,
    Engine::Postgres => 10,
};
const DEMO_KILLS: u64 = 5;
const THREADS: u64 = 12;
const SEED: u64 = 20_261_122;
/// DESIGN 8: after `kill -9` under load, the first payout is accepted within this.
const ACCEPTS_WITHIN: Duration = Duration::from_secs(5);
/// Until every payout has ended and every merchant was told.
const SETTLES_WITHIN: Duration = Duration::from_secs(150);

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
#[derive(Clone, Debug)]
pub struct Sent {
    pub order: String,
    pub rupees: i64,
    pub mode: &'static str,
    pub account: &'static str,
}

/// What an answer promised.
#[derive(Clone, Debug)]
pub struct Promise {
    pub sent: Sent,
    /// Our OrderID.
    pub ours: String,
    pub code: i64,
}

/// The client's memory, which survives: every promise is on its disk before Hundi is started again.
pub struct Memory {
    file: Mutex<File>,
    pub promises: Mutex<Vec<Promise>>,
    pub unanswered: Mutex<Vec<Sent>>,
    next: AtomicU64,
}

impl Memory {
    pub fn new(path: &Path) -> Memory {
        let file = File::options().create(true).append(true).open(path).unwrap();
        Memory {
            file: Mutex::new(file),
            promises: Mutex::default(),
            unanswered: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    pub fn next_order(&self) -> Sent {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let account = ACCOUNTS[usize::try_from(number).unwrap() % ACCOUNTS.len()];
        let mode = if number.is_multiple_of(2) { "IMPS" } else { "NEFT" };
        Sent { order: format!("KILL-{number}"), rupees: 1 + i64::try_from(number % 97).unwrap(), mode, account }
    }

    /// Sends an order; false when there was no answer.
    pub fn order(&self, http: &mut Http, token: &str, sent: Sent) -> bool {
        let body = pay_body(token, &sent.order, sent.rupees, sent.mode, sent.account);
        let reply = match http.post(PAY, &body) {
            Ok(reply) => reply,
            Err(_) => {
                self.unanswered.lock().unwrap().push(sent);
                return false;
            }
        };
        let answer = reply.json();
        let code = reply.code();
        // While it starts or stops it may say that it does not know; everything else here is a promise.
        if code == 6 {
            self.unanswered.lock().unwrap().push(sent);
            return true;
        }
        assert!((0..=2).contains(&code), "{answer}");
        assert_eq!(answer["Data"]["ClientOrderID"], sent.order, "{answer}");
        let ours = answer["Data"]["OrderID"].as_str().unwrap().to_owned();
        writeln!(self.file.lock().unwrap(), "{} {ours} {code}", sent.order).unwrap();
        self.promises.lock().unwrap().push(Promise { sent, ours, code });
        true
    }

    /// Orders from many connections until `kill` has been called and every connection has broken.
    fn load(&self, api: SocketAddr, token: &str, lasts: Duration, kill: impl FnOnce()) {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut http = Http::new(api);
                    // The kill ends it; the time is for a kill that never comes.
                    while began.elapsed() < Duration::from_secs(30) && self.order(&mut http, token, self.next_order()) {
                    }
                });
            }
            std::thread::sleep(lasts);
            kill();
        });
        self.file.lock().unwrap().sync_data().unwrap();
    }

    /// Sends again what was not answered, with the same OrderIDs: the answer is a promise about the one payout.
    pub fn ask_again(&self, api: SocketAddr, token: &str) {
        let again = std::mem::take(&mut *self.unanswered.lock().unwrap());
        std::thread::scope(|scope| {
            for sent in again {
                scope.spawn(|| {
                    assert!(self.order(&mut Http::new(api), token, sent), "no answer after the restart");
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
}

#[test]
fn kill_serve() {
    let kills = std::env::var("HUNDI_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let site = Site::new("10000000.00", "");
    let receiver = Receiver::start();
    site.cli(&["merchant", "set", "shop", "--callback-url", &receiver.url("/hook")]).json();
    let _bank = site.start_bank("timeout=0.05,drop=0.02,dup_callback=0.1,late=0.05");
    let memory = Memory::new(&site.path("promises"));
    let mut numbers = Numbers::new(SEED);
    let (mut slowest, mut known) = (Duration::ZERO, 0);
    let mut caught = BTreeSet::new();
    let mut serve = site.start_serve();
    for kill in 0..kills {
        let lasts = Duration::from_millis(numbers.between(50, 600));
        memory.load(site.api, &site.token, lasts, || serve.kill());
        site.verify();
        caught.extend(open(&site.folder, "shop").iter().map(|payout| payout.state.name()));
        let began = Instant::now();
        serve = site.start_serve();
        assert!(memory.order(&mut Http::new(site.api), &site.token, Sent { mode: "NEFT", ..memory.next_order() }));
        slowest = slowest.max(began.elapsed());
        assert!(began.elapsed() < ACCEPTS_WITHIN, "kill {kill}: the first accept took {:?}", began.elapsed());
        memory.ask_again(site.api, &site.token);
        known = memory.kept(site.api, &site.token, known);
        sent_once(&site.folder, &site.book());
    }
    println!("{kills} kills, {known} promises, slowest first accept {slowest:?}");
    let began = Instant::now();
    until("the end of all payouts", SETTLES_WITHIN, || (site.metric("hundi_payouts_open{") == 0.0).then_some(()));
    heard(&site.folder, "shop", || site.book());
    println!("settled after {:?}", began.elapsed());
    memory.kept(site.api, &site.token, 0);
    let secret =
        site.cli(&["merchant", "show", "shop", "--secret"]).json()["callback_secret"].as_str().unwrap().to_owned();
    let payouts = agree(&site.folder, &site.book(), "shop");
    told(&receiver, &secret, &payouts);
    // A run in which nothing happened proves nothing.
    assert_eq!(caught, BTreeSet::from(["queued", "sending", "sent"]), "in what states payouts were caught by a kill");
    for state in [State::Paid, State::Failed, State::Reversed] {
        assert!(payouts.iter().any(|payout| payout.state == state), "no payout is {}", state.name());
    }
    let many = payouts.len() > 500;
    assert!(!many || payouts.iter().any(|payout| payout.attempts > 1), "the bank dropped nothing");
    println!("told after {:?}", began.elapsed());
    assert_eq!(site.cli(&["exception", "list"]).json(), Value::Array(Vec::new()));
    let (status, took) = serve.terminate();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
    site.verify();
    agree(&site.folder, &site.book(), "shop");
}

#[test]
fn kill_demo() {
    let folder = Folder::new();
    let data = folder.config().data;
    let receiver = Receiver::start();
    let url = receiver.url("/hook");
    let cli = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--json", "--data", data.to_str().unwrap()]);
        run_on(&folder, &all)
    };
    let memory = Memory::new(&folder.path().join("promises"));
    let mut numbers = Numbers::new(SEED + 1);
    let mut known = 0;
    let mut demo = Demo::start(&folder, &url);
    let first_token = demo.token.clone();
    let address = |demo: &Demo| -> SocketAddr { demo.api["http://".len()..].parse().unwrap() };
    let bank = |demo: &Demo| -> SocketAddr { demo.bank["http://".len()..].parse().unwrap() };
    for kill in 0..DEMO_KILLS {
        let (api, token) = (address(&demo), demo.token.clone());
        let lasts = Duration::from_millis(numbers.between(50, 600));
        memory.load(api, &token, lasts, || demo.process.kill());
        assert_eq!(cli(&["verify"]).json()["holds"], true);
        let began = Instant::now();
        demo = Demo::start(&folder, &url);
        assert!(memory.order(
            &mut Http::new(address(&demo)),
            &demo.token,
            Sent { mode: "NEFT", ..memory.next_order() }
        ));
        assert!(began.elapsed() < ACCEPTS_WITHIN, "kill {kill}: the first accept took {:?}", began.elapsed());
        memory.ask_again(address(&demo), &first_token);
        known = memory.kept(address(&demo), &demo.token, known);
        sent_once(&folder, &book(bank(&demo)));
    }
    println!("{DEMO_KILLS} kills, {known} promises");
    until("the end of all payouts", SETTLES_WITHIN, || open(&folder, "demo").is_empty().then_some(()));
    heard(&folder, "demo", || book(bank(&demo)));
    memory.kept(address(&demo), &demo.token, 0);
    let secret = cli(&["merchant", "show", "demo", "--secret"]).json()["callback_secret"].as_str().unwrap().to_owned();
    let payouts = agree(&folder, &book(bank(&demo)), "demo");
    told(&receiver, &secret, &payouts);
    let (status, _) = demo.process.terminate();
    assert!(status.success(), "{status}");
    assert_eq!(cli(&["verify"]).json()["holds"], true);
}

/// A look at a store, which may be in use.
pub fn look<T>(folder: &Folder, with: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { with(&Store::open_view(&folder.config(), &Clock::system()).await.unwrap()).await })
}

async fn merchant(store: &Store, name: &str) -> MerchantId {
    store.merchants().await.unwrap().into_iter().find(|merchant| merchant.merchant == name).unwrap().id
}

async fn payouts(store: &Store, name: &str) -> Vec<Payout> {
    let mut all = Vec::new();
    let merchant = merchant(store, name).await;
    let mut each = |payout| {
        all.push(payout);
        Ok(())
    };
    store.each_payout(merchant, &mut each).await.unwrap();
    all
}

fn open(folder: &Folder, name: &str) -> Vec<Payout> {
    std::thread::sleep(Duration::from_millis(200));
    let mut all = look(folder, async |store| payouts(store, name).await);
    all.retain(|payout| payout.state.is_open());
    all
}

/// What the bank executed, by payout: every reference is ours and was executed once at most, and no payout by two.
pub fn sent_once<'a>(folder: &Folder, book: &'a [Value]) -> BTreeMap<PayoutId, &'a Value> {
    look(folder, async |store| sent_once_by(store, book).await)
}

async fn sent_once_by<'a>(store: &Store, book: &'a [Value]) -> BTreeMap<PayoutId, &'a Value> {
    let sandbox = Connector::parse("sandbox").unwrap();
    let mut executed = BTreeMap::new();
    for row in book {
        let executions = row["executions"].as_i64().unwrap();
        assert!(executions <= 1, "executed more than once: {row}");
        let reference = Reference::parse(row["reference"].as_str().unwrap()).unwrap();
        let owner = store.reference(sandbox, reference).await.unwrap();
        let (_, payout, _) = owner.unwrap_or_else(|| panic!("the bank has {row}, which we do not know"));
        if executions == 1 {
            let before = executed.insert(payout, row);
            assert!(before.is_none(), "payout {payout} was executed twice: {row} and {before:?}");
        }
    }
    executed
}

/// Waits until every reversal in the bank's book has reached us: a paid payout is not open, so nothing else waits for it, and
/// a bank that called while we were down calls again after up to a minute.
pub fn heard(folder: &Folder, name: &str, book: impl Fn() -> Vec<Value>) {
    until("the bank's reversals", SETTLES_WITHIN, || {
        let theirs = book().iter().filter(|row| row["status"] == "reversed").count();
        let payouts = look(folder, async |store| payouts(store, name).await);
        let ours = payouts.iter().filter(|payout| payout.state == State::Reversed).count();
        (theirs == ours).then_some(())
    });
}

/// Our payouts and the bank's book agree: each reference was executed once at most, each payout by one reference at most,
/// and what the bank paid is what we call paid, to the paisa.
pub fn agree(folder: &Folder, book: &[Value], name: &str) -> Vec<Payout> {
    look(folder, async |store| agrees(store, book, name).await)
}

/// The same of an open store.
pub async fn agrees(store: &Store, book: &[Value], name: &str) -> Vec<Payout> {
    let payouts = payouts(store, name).await;
    let mut executed = sent_once_by(store, book).await;
    let (mut ours_paise, mut banks_paise) = (0, 0);
    for payout in &payouts {
        let id = payout.order.id;
        let row = executed.remove(&id);
        let status = row.map_or("not executed", |row| row["status"].as_str().unwrap());
        let wanted = match payout.state {
            State::Paid => "paid",
            State::Reversed => "reversed",
            State::Failed | State::Cancelled => "not executed",
            open => panic!("payout {id} is still {}", open.name()),
        };
        assert_eq!(status, wanted, "payout {id}: {payout:?} {row:?}");
        let Some(row) = row else { continue };
        assert_eq!(row["rrn"], *payout.rrn, "payout {id}");
        ours_paise += payout.order.amount.paise();
        banks_paise += row["amount_paise"].as_i64().unwrap();
    }
    assert!(executed.is_empty(), "the bank executed what is no payout: {executed:?}");
    assert_eq!(ours_paise, banks_paise);
    println!("{} payouts and {} transfers agree on {ours_paise} paise", payouts.len(), book.len());
    payouts
}

/// The receiver was told the end of every payout, each order's news never older after newer, and all of it signed.
fn told(receiver: &Receiver, secret: &str, payouts: &[Payout]) {
    let news = |payout: &Payout| match payout.state {
        State::Paid => "Success",
        State::Reversed => "Reversal",
        _ => "Failure",
    };
    let wanted: BTreeSet<(String, &str)> =
        payouts.iter().map(|payout| (payout.order.id.to_string(), news(payout))).collect();
    let heard = |calls: &[Call]| -> BTreeSet<(String, String)> {
        calls
            .iter()
            .map(|call| (call.parameter("refId").unwrap().to_owned(), call.parameter("status").unwrap().to_owned()))
            .collect()
    };
    let calls = until("the callbacks of all payouts", SETTLES_WITHIN, || {
        std::thread::sleep(Duration::from_millis(200));
        let calls = receiver.calls();
        let heard = heard(&calls);
        wanted.iter().all(|(id, news)| heard.contains(&(id.clone(), (*news).to_owned()))).then_some(calls)
    });
    let mut newest: BTreeMap<String, u8> = BTreeMap::new();
    for call in &calls {
        assert!(signed(call, secret), "{call:?}");
        let rank = match call.parameter("status").unwrap() {
            "Success" | "Failure" => 1,
            "Reversal" => 2,
            _ => panic!("not wanted: {call:?}"),
        };
        let before = newest.entry(call.parameter("refId").unwrap().to_owned()).or_insert(0);
        assert!(rank >= *before, "older news after newer: {call:?}");
        *before = rank;
    }
    // No payout was told two ends.
    let heard = heard(&calls);
    for (id, news) in &heard {
        let other = if news == "Failure" { "Success" } else { "Failure" };
        assert!(
            news == "Reversal" || !heard.contains(&(id.clone(), other.to_owned())),
            "payout {id} was told two ends"
        );
    }
    assert_eq!(newest.len(), payouts.len());
}
