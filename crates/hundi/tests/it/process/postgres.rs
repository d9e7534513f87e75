//! Several processes on one PostgreSQL server, and what becomes of payouts when one of them, or the server, or the way
//! between them fails: nothing is doubled, nothing that was acknowledged is lost, and every caller gets an answer.
//!
//! `HUNDI_CUTS`, `HUNDI_PAUSES` and `HUNDI_FAILOVERS` say how often; `./check --long` says more often.

use super::process::auditor::agree;
use super::process::client::{Memory, Sent};
use super::process::kit::{Http, Member, Numbers, PAY, Process, STATUS, Site, pay_body, run, says, status_body, until};
use super::process::{count, each_paid_once, statement};
use super::process_faults::{Cluster, Cut, Proxy, Witness};
use super::support::Folder;
use crate::database::{Database, execute};
use crate::score::score;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

/// Until every payout has ended.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);
const PROCESSES: usize = 3;

fn times(name: &str, unless_told: u64) -> u64 {
    std::env::var(name).map_or(unless_told, |times| times.parse().unwrap())
}

fn all_ended(site: &Site) {
    until("the end of all payouts", SETTLES_WITHIN, || (site.metric("hundi_payouts_open{") == 0.0).then_some(()));
}

/// Everything that was promised is there, every payout has ended, and both books agree.
pub fn all_is_well(site: &Site, memory: &Memory) {
    all_ended(site);
    memory.kept(site.api, &site.token, 0);
    site.verify();
    agree(&site.folder, &site.book(), "shop");
}

/// A site whose way to its database leads through a proxy.
fn through_a_proxy() -> (Database, Proxy, Site) {
    let database = Database::new();
    let server: SocketAddr = database.url().split(['@', '/']).find_map(|part| part.parse().ok()).unwrap();
    let proxy = Proxy::start(server);
    let name = database.url().rsplit_once('/').unwrap().1.to_owned();
    let folder = Folder::on(&format!("postgres://hundi@{}/{name}", proxy.address()));
    (database, proxy, Site::on(folder, "10000000.00", ""))
}

/// The site's own process and two more.
fn members(site: &Site, options: &str) -> Vec<Member> {
    let mut members = vec![site.first()];
    members.extend((1..PROCESSES).map(|number| site.member(number, options)));
    members
}

/// What the callers of a race heard: our OrderID for each order, and how often nothing certain.
#[derive(Default)]
struct Heard {
    ours: BTreeMap<usize, String>,
    unknown: usize,
}

impl Heard {
    /// True when the answer was certain.
    fn hear(&mut self, order: usize, reply: std::io::Result<super::process::kit::Reply>) -> bool {
        let Some(reply) = reply.ok().filter(|reply| reply.code() != 6) else {
            self.unknown += 1;
            return false;
        };
        let answer = reply.json();
        assert!(matches!(reply.code(), 1 | 2), "{answer}");
        assert_eq!(answer["Data"]["ClientOrderID"], format!("RACE-{order}"));
        let id = answer["Data"]["OrderID"].as_str().unwrap().to_owned();
        assert_eq!(*self.ours.entry(order).or_insert_with(|| id.clone()), id, "two payouts for RACE-{order}");
        true
    }
}

/// One process after the other is killed and started again until told to stop; gives back how many were.
fn kill_in_turn(members: &[Member], running: &mut [Option<Process>], stop: &AtomicBool) -> usize {
    const EVERY: Duration = Duration::from_secs(2);
    let mut kills = 0;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let which = kills % members.len();
        running[which].take().unwrap().kill();
        running[which] = Some(members[which].start());
        kills += 1;
        while began.elapsed() < EVERY && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    kills
}

/// A thousand orders, each fifty times, over three processes of which one is killed every two seconds.
#[test]
fn three_processes_of_which_one_dies() {
    const ORDERS: usize = 1_000;
    const SAME: usize = 50;
    let site = Site::new("1000000.00", "");
    let members = members(&site, "");
    let _bank = site.start_bank("");
    let mut running: Vec<Option<Process>> = members.iter().map(|member| Some(member.start())).collect();
    let (heard, stop, began) = (Mutex::<Heard>::default(), AtomicBool::new(false), Instant::now());
    let pay = |http: &mut Http, order: usize| {
        http.post(PAY, &pay_body(&site.token, &format!("RACE-{order}"), 100, "IMPS", "50100010001"))
    };
    let kills = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_in_turn(&members, &mut running, &stop));
        let callers: Vec<_> = (0..SAME)
            .map(|caller| {
                let (heard, members, pay) = (&heard, &members, &pay);
                scope.spawn(move || {
                    let mut https: Vec<Http> = members.iter().map(|member| Http::new(member.api)).collect();
                    for order in 0..ORDERS {
                        let reply = pay(&mut https[(caller + order) % PROCESSES], order);
                        heard.lock().unwrap().hear(order, reply);
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        killer.join().unwrap()
    });
    let took = began.elapsed();
    let mut heard = heard.into_inner().unwrap();
    println!("{} requests in {took:?}, {kills} kills, {} without a certain answer", ORDERS * SAME, heard.unknown);
    assert!(kills > 1 && heard.unknown > 0, "nothing happened in this run");
    // Whoever asks again settles it, at any of them.
    for order in 0..ORDERS {
        for member in &members {
            assert!(heard.hear(order, pay(&mut Http::new(member.api), order)), "RACE-{order} is not settled");
        }
    }
    assert_eq!(heard.ours.len(), ORDERS);
    all_ended(&site);
    let book = each_paid_once(&site, ORDERS);
    assert_eq!(agree(&site.folder, &book, "shop").len(), ORDERS);
    site.verify();
}

/// Money for a thousand payouts is a thousand payouts, through however many processes they are asked for.
#[test]
fn a_wallet_for_a_thousand_through_three() {
    const PAYOUTS: usize = 1_000;
    const THREADS: usize = 100;
    const EACH: usize = 50;
    let site = Site::new("105900.00", "");
    let members = members(&site, "");
    let _bank = site.start_bank("");
    let _running: Vec<Process> = members.iter().map(Member::start).collect();
    let (barrier, accepted, refused) = (Barrier::new(THREADS), AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (site, members, barrier, accepted, refused) = (&site, &members, &barrier, &accepted, &refused);
            scope.spawn(move || {
                let mut http = Http::new(members[thread % PROCESSES].api);
                barrier.wait();
                for attempt in 0..EACH {
                    let body = pay_body(&site.token, &format!("W-{thread}-{attempt}"), 100, "IMPS", "50100010001");
                    let reply = http.post(PAY, &body).unwrap();
                    match reply.code() {
                        1 | 2 => accepted.fetch_add(1, Ordering::Relaxed),
                        0 => refused.fetch_add(1, Ordering::Relaxed),
                        _ => panic!("{}", reply.body),
                    };
                }
            });
        }
    });
    println!("{} requests in {:?}", THREADS * EACH, began.elapsed());
    assert_eq!((accepted.into_inner(), refused.into_inner()), (PAYOUTS, THREADS * EACH - PAYOUTS));
    all_ended(&site);
    for member in &members {
        let reply = Http::new(member.api).post(&format!("/UserWalletBalance?token={}", site.token), "").unwrap();
        assert_eq!(reply.body, "\"0.00\"");
    }
    let lines = statement(&site);
    assert_eq!((count(&lines, "reserve"), count(&lines, "settle")), (PAYOUTS, PAYOUTS));
    assert_eq!(site.book().len(), PAYOUTS);
    site.verify();
}

/// Orders from a few connections to several processes while something is done, which gets the time that it needs. No
/// caller is left without an answer by a process that lives.
pub fn under_load<T>(memory: &Memory, token: &str, apis: &[SocketAddr], meanwhile: impl FnOnce() -> T) -> T {
    const THREADS: usize = 16;
    let stop = AtomicBool::new(false);
    let unknown_now = || memory.unanswered.lock().unwrap().len();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (stop, unknown_now) = (&stop, &unknown_now);
            scope.spawn(move || {
                let mut http = Http::new(apis[thread % apis.len()]);
                while !stop.load(Ordering::Relaxed) {
                    let mut sent = memory.next_order();
                    // Half of them wait for no bank, so that there is a load at every moment.
                    if thread % 4 < 2 {
                        sent.mode = "NEFT";
                    }
                    let (order, unknown) = (sent.order.clone(), unknown_now());
                    assert!(memory.order(&mut http, token, sent), "{order} got no answer at all");
                    // A fast machine must not order in seconds what the bank's time-outs take minutes to work off, and
                    // while nothing is certain every answer is one more order to ask for again.
                    std::thread::sleep(Duration::from_millis(if unknown_now() > unknown { 100 } else { 4 }));
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub fn accepts(site: &Site, memory: &Memory, api: SocketAddr, within: Duration) {
    until("an accepted payout", within, || {
        let before = memory.promises.lock().unwrap().len();
        let sent = Sent { mode: "NEFT", ..memory.next_order() };
        assert!(memory.order(&mut Http::new(api), &site.token, sent), "no answer");
        (memory.promises.lock().unwrap().len() > before).then_some(())
    });
}

/// Connections are cut before, during and after COMMIT, again and again.
#[test]
fn connections_that_are_cut_around_a_commit() {
    let cuts = times("HUNDI_CUTS", 100);
    let (_database, proxy, site) = through_a_proxy();
    let _bank = site.start_bank("timeout=0.02,drop=0.02,dup_callback=0.1");
    let _serve = site.start_serve();
    let memory = Memory::new(&site.path("promises"));
    let (mut known, mut unknown, began) = (0, 0, Instant::now());
    while proxy.cuts() < cuts {
        under_load(&memory, &site.token, &[site.api], || {
            for _ in 0..20 {
                let cut = [Cut::Before, Cut::After, Cut::Answer][usize::try_from(proxy.cuts() % 3).unwrap()];
                assert!(proxy.cut_next(cut, Duration::from_secs(20)), "no COMMIT came");
            }
        });
        unknown += memory.unanswered.lock().unwrap().len();
        accepts(&site, &memory, site.api, Duration::from_secs(10));
        until("an answer to everything", Duration::from_secs(10), || {
            memory.ask_again(site.api, &site.token);
            memory.unanswered.lock().unwrap().is_empty().then_some(())
        });
        known = memory.kept(site.api, &site.token, known);
    }
    println!("{} cuts, {known} promises, {unknown} answers that nobody knew, in {:?}", proxy.cuts(), began.elapsed());
    assert!(unknown > 0, "no cut was felt");
    all_is_well(&site, &memory);
    score(15, "connections cut before, in and after COMMIT", cuts);
}

/// All connections at once, and a server that says nothing for a while: the reads too.
#[test]
fn connections_that_are_cut_or_silent() {
    let (_database, proxy, site) = through_a_proxy();
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let memory = Memory::new(&site.path("promises"));
    under_load(&memory, &site.token, &[site.api], || {
        for _ in 0..10 {
            proxy.cut_all();
            std::thread::sleep(Duration::from_millis(100));
        }
        // Longer than a caller waits for the writer.
        proxy.hold(true);
        std::thread::sleep(Duration::from_secs(7));
        proxy.hold(false);
    });
    assert!(!memory.unanswered.lock().unwrap().is_empty());
    accepts(&site, &memory, site.api, Duration::from_secs(15));
    let began = Instant::now();
    until("an answer to everybody", Duration::from_secs(30), || {
        memory.ask_again(site.api, &site.token);
        memory.unanswered.lock().unwrap().is_empty().then_some(())
    });
    println!("settled after {:?}", began.elapsed());
    all_is_well(&site, &memory);
}

/// A process that is stopped for longer than its leases wakes up and does no harm: nothing is sent a second time.
#[test]
fn pauses_longer_than_the_leases() {
    const OPTIONS: &str = "[worker]\nlease_ms = 1000";
    let pauses = times("HUNDI_PAUSES", 10);
    let mut site = Site::new("100000000.00", "");
    let witness = Witness::start(site.bank);
    site.before_bank = Some(witness.address());
    site.sandbox = "reply_within_ms = 300\n".to_owned();
    site.configure(OPTIONS);
    let members = [site.first(), site.member(1, OPTIONS)];
    let _bank = site.start_bank("timeout=0.05,drop=0.02,dup_callback=0.1,late=0.05");
    let running: Vec<Process> = members.iter().map(Member::start).collect();
    let memory = Memory::new(&site.path("promises"));
    let mut numbers = Numbers::new(20_261_122);
    for pause in 0..pauses {
        let paused = &running[usize::try_from(pause % 2).unwrap()];
        under_load(&memory, &site.token, &[members[0].api, members[1].api], || {
            std::thread::sleep(Duration::from_millis(numbers.between(50, 300)));
            paused.pause();
            // Longer than a lease of a payout, and now and then than that of a process number.
            let longest = if pause % 4 == 3 { 5_500 } else { 2_000 };
            std::thread::sleep(Duration::from_millis(numbers.between(longest - 700, longest)));
            paused.go_on();
        });
        memory.ask_again(members[usize::try_from(pause % 2).unwrap()].api, &site.token);
        for (reference, sent) in witness.sent() {
            assert_eq!(sent, 1, "{reference} was sent {sent} times, after {pause} pauses");
        }
        // Whoever is stopped between a look at the clock and the write that follows it writes when he wakes up; there is nothing
        // between the two, so it is rare. That is what the time in the request is for.
        let late = witness.late();
        assert!(late.len() as u64 <= 1 + pause / 50, "{late:?} were sent after their time, by who woke up");
    }
    let (sent, late) = (witness.sent().len(), witness.late());
    println!("{pauses} pauses, {sent} requests to the bank, each once, {} of them late", late.len());
    assert!(sent > 100, "only {sent} requests");
    all_ended(&site);
    for (reference, sent) in witness.sent() {
        assert_eq!(sent, 1, "{reference} was sent {sent} times");
    }
    memory.kept(site.api, &site.token, 0);
    site.verify();
    let book = site.book();
    let is_late = |row: &Value| late.iter().any(|reference| row["reference"] == **reference);
    assert!(!book.iter().any(|row| is_late(row) && row["executions"] != 0), "the bank took what was late: {late:?}");
    agree(&site.folder, &book, "shop");
    score(16, "pauses of one of two processes, longer than its leases", pauses);
}

/// A pair of servers with a database `hundi` on them, and a site on it.
fn pair(options: &str, through: impl FnOnce(&Cluster) -> Option<Proxy>) -> (Cluster, Option<Proxy>, Site) {
    let cluster = Cluster::start(&[]);
    execute(&cluster.url("postgres"), &["CREATE DATABASE hundi"]);
    let site = Site::on(Folder::on(&cluster.url_of_both("hundi")), "10000000.00", options);
    let proxy = through(&cluster);
    cluster.add_standby(proxy.as_ref().map(Proxy::address));
    (cluster, proxy, site)
}

/// How many promises the store does not know, or knows under another number.
fn lost(memory: &Memory, site: &Site) -> usize {
    let promises = memory.promises.lock().unwrap();
    let mut http = Http::new(site.api);
    let known = |ours: &str, order: &str, http: &mut Http| {
        let answer = http.post(STATUS, &status_body(&site.token, order)).unwrap().json();
        answer["Data"]["OrderID"] == ours
    };
    promises.iter().filter(|promise| !known(&promise.ours, &promise.sent.order, &mut http)).count()
}

/// The primary of a synchronous pair dies under load, and the standby takes over: nothing that was acknowledged is lost.
#[test]
fn failover_of_a_synchronous_pair_loses_nothing() {
    let failovers = times("HUNDI_FAILOVERS", 1);
    let (mut cluster, _, site) = pair("", |_| None);
    cluster.synchronous(true);
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let memory = Memory::new(&site.path("promises"));
    for _ in 0..failovers {
        under_load(&memory, &site.token, &[site.api], || {
            std::thread::sleep(Duration::from_secs(2));
            cluster.kill_primary();
            cluster.promote();
            cluster.add_standby(None);
            cluster.synchronous(true);
            std::thread::sleep(Duration::from_millis(500));
        });
        accepts(&site, &memory, site.api, Duration::from_secs(30));
        memory.ask_again(site.api, &site.token);
        assert!(memory.unanswered.lock().unwrap().is_empty(), "asking again settles it");
        assert_eq!(lost(&memory, &site), 0);
    }
    println!("{failovers} failovers, {} promises", memory.promises.lock().unwrap().len());
    all_is_well(&site, &memory);
    score(4, "failovers of a synchronous pair", failovers);
}

/// The control: a standby that is behind loses what was acknowledged, and the test sees it. Only with `HUNDI_LONG`.
#[test]
fn failover_of_an_asynchronous_pair_loses_some() {
    if std::env::var_os("HUNDI_LONG").is_none() {
        println!("not run: ./check --long runs it");
        return;
    }
    let options = "[postgres]\nallow_async_standby = true";
    let (mut cluster, proxy, site) = pair(options, |cluster| Some(Proxy::start(cluster.address())));
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let memory = Memory::new(&site.path("promises"));
    under_load(&memory, &site.token, &[site.api], || {
        std::thread::sleep(Duration::from_secs(1));
        proxy.as_ref().unwrap().hold(true);
        std::thread::sleep(Duration::from_millis(500));
        cluster.kill_primary();
        drop(proxy);
        cluster.promote();
    });
    // The bank speaks of payments that the standby never had, so nothing is accepted from then on: it is on hold. The first
    // promise was there before the standby fell behind.
    until("an answer after the failover", Duration::from_secs(30), || {
        let promises = memory.promises.lock().unwrap();
        let first = promises.first().expect("a promise");
        let answer = Http::new(site.api).post(STATUS, &status_body(&site.token, &first.sent.order)).ok()?.json();
        (answer["Data"]["OrderID"] == first.ours).then_some(())
    });
    let (lost, all) = (lost(&memory, &site), memory.promises.lock().unwrap().len());
    println!("{lost} of {all} promises were lost");
    assert!(lost > 0, "{all} promises, none lost: the test cannot see a loss");
    score(4, "promises lost by an asynchronous pair, the control", lost as u64);
}

/// Without the option, a pair that could lose payouts is not paid over: not at the start, and not when synchrony is lost.
#[test]
fn an_asynchronous_pair_is_refused() {
    let (cluster, _, site) = pair("", |_| None);
    let _bank = site.start_bank("");
    let serve = site.start_serve();
    let mut pay = site.payer("NEFT");
    assert_eq!(pay(), 6);
    assert!(serve.stderr().contains("synchronous_standby_names"), "{}", serve.stderr());
    let notices = Duration::from_secs(20);
    for (synchronous, code) in [(true, 2), (false, 6), (true, 2)] {
        cluster.synchronous(synchronous);
        until(&format!("a {code} with synchronous={synchronous}"), notices, || (pay() == code).then_some(()));
        // Reads go on.
        assert!(site.balance_paise() > 0);
    }
}

/// A machine whose clock is another than the database server's takes, sends and judges nothing: a bank's "not found" counts by
/// the time, and what another machine has just sent must not be taken for lost.
#[test]
fn a_machine_whose_clock_is_wrong() {
    let (database, _proxy, site) = through_a_proxy();
    let url = database.url();
    let name = url.rsplit_once('/').unwrap().1;
    execute(
        &url,
        &[
            "CREATE SCHEMA skew",
            "CREATE TABLE skew.seconds (ahead INTEGER)",
            "INSERT INTO skew.seconds VALUES (0)",
            "CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
             'SELECT pg_catalog.clock_timestamp() + make_interval(secs => (SELECT ahead FROM skew.seconds))'",
            &format!("ALTER DATABASE {name} SET search_path = skew, pg_catalog, public"),
        ],
    );
    let _bank = site.start_bank("");
    let serve = site.start_serve();
    let mut pay = site.payer("NEFT");
    assert_eq!(pay(), 2);
    let notices = Duration::from_secs(20);
    for (ahead, code) in [(3_600, 6), (1, 2), (-3, 6), (0, 2)] {
        execute(&url, &[format!("UPDATE skew.seconds SET ahead = {ahead}").as_str()]);
        until(&format!("a {code} with a clock that is {ahead} s ahead"), notices, || (pay() == code).then_some(()));
        if code == 6 {
            assert!(serve.stderr().contains("set both by NTP"), "{}", serve.stderr());
            says("a command", &run(&["merchant", "list", "--config", &site.config()]), 1, &["set both by NTP"]);
        }
        assert!(site.balance_paise() > 0, "reads go on");
    }
    all_ended(&site);
    site.verify();
    agree(&site.folder, &site.book(), "shop");
}
