//! `kill -9` of the engine under load, again and again, also while it recovers: what was acknowledged is there, nothing is
//! sent twice, the books agree, and every merchant hears what became of his payouts. The banks, the merchant and his
//! receiver survive.
//!
//! `HUNDI_KILLS` says how often (on SQLite; half as often on PostgreSQL).

use super::super::ENGINE;
use super::super::support::Folder;
use super::auditor::{Auditor, SETTLES_WITHIN, agree, heard, payouts, told};
use super::client::Memory;
use super::kit::{Demo, Http, Numbers, Process, Receiver, Site, book, free_address, run_on, until};
use crate::database::Engine;
use crate::score::score;
use hundi_core::payout::{Payout, State};
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const DEMO_KILLS: u64 = 5;
/// A store is used for so many kills: its auditor reads all of it after each.
const KILLS_OF_A_STORE: u64 = 50;
const SEED: u64 = 20_261_122;
/// DESIGN 8: after `kill -9` under load, the first payout is accepted within this.
const ACCEPTS_WITHIN: Duration = Duration::from_secs(5);

/// How many kills, where SQLite has this many unless told otherwise, and the database of these tests a part of them.
pub fn kills(on_sqlite: u64, one_in: u64) -> u64 {
    std::env::var("HUNDI_KILLS").map_or(on_sqlite, |kills| kills.parse().unwrap()).div_ceil(one_in)
}

/// What happened in a run: one in which nothing happened proves nothing.
#[derive(Default)]
pub struct Tally {
    pub kills: u64,
    /// Kills of a process that was not ready yet.
    pub early: u64,
    pub promises: usize,
    pub transitions: u64,
    pub slowest_accept: Duration,
    /// The states in which payouts were found after a kill.
    pub caught: BTreeSet<&'static str>,
    pub ended: BTreeSet<&'static str>,
    pub most_attempts: u32,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.kills += other.kills;
        self.early += other.early;
        self.promises += other.promises;
        self.transitions += other.transitions;
        self.slowest_accept = self.slowest_accept.max(other.slowest_accept);
        self.caught.extend(other.caught);
        self.ended.extend(other.ended);
        self.most_attempts = self.most_attempts.max(other.most_attempts);
    }

    fn ended(&mut self, payouts: &[Payout]) {
        self.ended.extend(payouts.iter().map(|payout| payout.state.name()));
        self.most_attempts =
            payouts.iter().map(|payout| payout.attempts).fold(self.most_attempts, |most, attempts| most.max(attempts));
    }
}

/// What banks do to us: they are silent, lose requests, call twice, and are late.
const FAULTS: &str = "timeout=0.03,drop=0.02,dup_callback=0.1,late=0.03";

/// A site with two banks that fail, between which its payouts are shared out, and a merchant whose receiver hears
/// everything.
pub struct Stage {
    pub site: Site,
    pub memory: Memory,
    pub receiver: Receiver,
    /// The second bank.
    pub other: SocketAddr,
    _banks: [Process; 2],
}

impl Stage {
    pub fn new(mut site: Site) -> Stage {
        // A connection that waits for a slow bank is no load.
        site.under_api = "answer_within_ms = 150\n".to_owned();
        let other = free_address();
        // The last payouts of a run are those that banks refuse or are silent about: a bank that is ill for that is asked
        // again at once.
        site.sandbox = format!(
            "[health]\npause_s = 1\nprobes = 1\n[connectors.other]\nkind = 'sandbox'\nurl = 'http://{other}'\ncallback_secret_file = '{}'\n[[routes]]\n\
             targets = [{{ connector = 'sandbox', weight = 60 }}, {{ connector = 'other', weight = 40 }}]\n",
            site.path("secret").display()
        );
        site.configure("");
        let receiver = Receiver::start();
        site.cli(&["merchant", "set", "shop", "--callback-url", &receiver.url("/hook")]).json();
        let banks = [site.start_bank(FAULTS), site.start_bank_of("other", other, FAULTS)];
        let memory = Memory::new(&site.path("promises"));
        Stage { site, memory, receiver, other, _banks: banks }
    }

    /// The books of both banks.
    pub fn books(&self) -> Vec<Value> {
        let mut theirs = book(self.other);
        theirs.iter_mut().for_each(|row| row["connector"] = "other".into());
        [self.site.book(), theirs].concat()
    }

    /// The first promise after a restart; how long it took.
    pub fn accepts(&self, began: Instant, within: Duration) -> Duration {
        until("an accepted payout", within, || {
            let before = self.memory.promises.lock().unwrap().len();
            self.memory.order(&mut Http::new(self.site.api), &self.site.token, self.memory.next_batched());
            (self.memory.promises.lock().unwrap().len() > before).then_some(())
        });
        began.elapsed()
    }

    /// What the client asks and the auditor looks at after each restart.
    pub fn audit(&self, auditor: &mut Auditor<'_>, known: usize) -> usize {
        until("an answer to everything", Duration::from_secs(10), || {
            self.memory.ask_again(self.site.api, &self.site.token);
            self.memory.unanswered.lock().unwrap().is_empty().then_some(())
        });
        let known = self.memory.kept(self.site.api, &self.site.token, known);
        assert_eq!(auditor.after_restart(&self.memory, &self.books()), known, "a promise is not in the log");
        self.site.verify();
        known
    }

    /// At rest: every payout has ended as the bank's book says, and the receiver has heard every end.
    pub fn settle(&self, serve: Process, tally: &mut Tally) {
        let (site, began) = (&self.site, Instant::now());
        while site.metric("hundi_payouts_open{") > 0.0 {
            if began.elapsed() > SETTLES_WITHIN {
                let open = payouts(&site.folder, "shop").into_iter().filter(|payout| payout.state.is_open());
                let shown = open.map(|payout| site.cli(&["payout", "show", &payout.order.id.to_string()]).stdout);
                panic!("not at their end within {SETTLES_WITHIN:?}: {}", shown.collect::<String>());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        heard(&site.folder, "shop", || self.books());
        self.memory.kept(site.api, &site.token, 0);
        let shown = site.cli(&["merchant", "show", "shop", "--secret"]).json();
        let books = self.books();
        let paid_by =
            |other: bool| books.iter().any(|row| row["executions"] == 1 && row["connector"].is_string() == other);
        assert!(paid_by(false) && paid_by(true), "one of the banks had nothing to pay");
        let payouts = agree(&site.folder, &books, "shop");
        tally.transitions += told(&self.receiver, shown["callback_secret"].as_str().unwrap(), &payouts);
        tally.promises += self.memory.log().len();
        tally.ended(&payouts);
        assert_eq!(site.cli(&["exception", "list"]).json(), Value::Array(Vec::new()));
        let (status, took) = serve.terminate();
        assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
        site.verify();
        agree(&site.folder, &self.books(), "shop");
        println!("settled after {:?}", began.elapsed());
    }
}

/// Starts, no faster than process numbers become free: there are 32, each the dead process's own for five seconds.
#[derive(Default)]
struct Pace(VecDeque<Instant>);

impl Pace {
    fn wait(&mut self) {
        if self.0.len() == 28 {
            let free_at = self.0.pop_front().unwrap() + Duration::from_millis(5_500);
            std::thread::sleep(free_at.saturating_duration_since(Instant::now()));
        }
        self.0.push_back(Instant::now());
    }
}

/// So many kills on one store, and how it went; with the process that lives at the end.
fn kill_again_and_again(stage: &Stage, kills: u64, numbers: &mut Numbers) -> (Process, Tally) {
    let (site, memory) = (&stage.site, &stage.memory);
    let mut auditor = Auditor::new(&site.folder, "shop");
    let (mut tally, mut known, mut pace) = (Tally::default(), 0, Pace::default());
    pace.wait();
    let mut serve = site.start_serve();
    while tally.kills < kills {
        let lasts = Duration::from_millis(numbers.between(5, 300));
        memory.load(site.api, &site.token, || {
            std::thread::sleep(lasts);
            serve.kill();
            tally.kills += 1;
            // A restart within the restart.
            while tally.kills < kills && numbers.between(0, 4) == 0 {
                pace.wait();
                let recovering = site.spawn_serve();
                std::thread::sleep(Duration::from_millis(numbers.between(0, 120)));
                recovering.kill();
                tally.kills += 1;
                tally.early += 1;
            }
        });
        let found = payouts(&site.folder, "shop").into_iter().filter(|payout| payout.state.is_open());
        tally.caught.extend(found.map(|payout| payout.state.name()));
        pace.wait();
        let began = Instant::now();
        serve = site.start_serve();
        tally.slowest_accept = tally.slowest_accept.max(stage.accepts(began, ACCEPTS_WITHIN));
        known = stage.audit(&mut auditor, known);
    }
    (serve, tally)
}

#[test]
fn kill_serve() {
    let kills = match ENGINE {
        Engine::Sqlite => kills(100, 1),
        Engine::Postgres => kills(100, 2),
    };
    let (began, mut numbers, mut total) = (Instant::now(), Numbers::new(SEED), Tally::default());
    // While one store comes to rest the next is killed already.
    std::thread::scope(|scope| {
        let mut settling = Vec::new();
        let mut left = kills;
        while left > 0 {
            let of_this = left.min(KILLS_OF_A_STORE);
            left -= of_this;
            let stage = Stage::new(Site::new("10000000.00", ""));
            let (serve, mut tally) = kill_again_and_again(&stage, of_this, &mut numbers);
            settling.push(scope.spawn(move || {
                stage.settle(serve, &mut tally);
                tally
            }));
        }
        println!("{kills} kills in {:?}", began.elapsed());
        for tally in settling {
            total.add(tally.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    println!(
        "{} kills, {} of them of a process that recovered, {} promises, slowest first accept {:?}, in {:?}",
        total.kills,
        total.early,
        total.promises,
        total.slowest_accept,
        began.elapsed()
    );
    assert_eq!(total.kills, kills);
    assert!(total.early > 0 && total.most_attempts > 1, "the bank dropped nothing, or nobody recovered");
    assert_eq!(total.caught, BTreeSet::from(["queued", "sending", "sent"]), "in what states payouts were caught");
    for state in [State::Paid, State::Failed, State::Reversed] {
        assert!(total.ended.contains(state.name()), "no payout is {}", state.name());
    }
    let row = if ENGINE == Engine::Sqlite { 1 } else { 2 };
    score(row, &format!("kills of the engine on {ENGINE:?}, audited after each restart"), total.kills);
    score(28, &format!("terminal transitions and as many events, {ENGINE:?}"), total.transitions);
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
    let mut demo = Demo::start(&folder, &url);
    let mut auditor = Auditor::new(&folder, "demo");
    let first_token = demo.token.clone();
    let address = |demo: &Demo| -> SocketAddr { demo.api["http://".len()..].parse().unwrap() };
    let bank = |demo: &Demo| -> SocketAddr { demo.bank["http://".len()..].parse().unwrap() };
    for kill in 0..DEMO_KILLS {
        let (api, token) = (address(&demo), demo.token.clone());
        let lasts = Duration::from_millis(numbers.between(50, 600));
        memory.load(api, &token, || {
            std::thread::sleep(lasts);
            demo.process.kill();
        });
        assert_eq!(cli(&["verify"]).json()["holds"], true);
        let began = Instant::now();
        demo = Demo::start(&folder, &url);
        assert!(memory.order(&mut Http::new(address(&demo)), &demo.token, memory.next_batched()));
        assert!(began.elapsed() < ACCEPTS_WITHIN, "kill {kill}: the first accept took {:?}", began.elapsed());
        memory.ask_again(address(&demo), &first_token);
        auditor.after_restart(&memory, &book(bank(&demo)));
    }
    println!("{DEMO_KILLS} kills, {} promises", memory.log().len());
    until("the end of all payouts", SETTLES_WITHIN, || {
        std::thread::sleep(Duration::from_millis(100));
        payouts(&folder, "demo").iter().all(|payout| !payout.state.is_open()).then_some(())
    });
    heard(&folder, "demo", || book(bank(&demo)));
    memory.kept(address(&demo), &demo.token, 0);
    let secret = cli(&["merchant", "show", "demo", "--secret"]).json()["callback_secret"].as_str().unwrap().to_owned();
    let payouts = agree(&folder, &book(bank(&demo)), "demo");
    told(&receiver, &secret, &payouts);
    let (status, _) = demo.process.terminate();
    assert!(status.success(), "{status}");
    assert_eq!(cli(&["verify"]).json()["holds"], true);
}
