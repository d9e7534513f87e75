//! A PostgreSQL server that is there and refuses: transactions in each other's way, a server that only reads for a while, a
//! disk that is full. Every caller gets an answer that is certain, or 6; asked again everything is known; nothing is
//! doubled; and Hundi goes on by itself when the server does.

use super::process::client::Memory;
use super::process::kit::{Http, Mounted, STATUS, Site, cannot_run, status_body, until};
use super::process_faults::Cluster;
use super::process_postgres::{accepts, all_is_well, under_load};
use super::support::Folder;
use crate::database::{Database, does, execute, rows};
use crate::score::score;
use std::time::{Duration, Instant};

const FUNDS: &str = "10000000.00";
/// From the moment at which the server is well again.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);
/// So many conflicts are provoked in a run, and so long it may take.
const CONFLICTS: u64 = 100;
const CONFLICTS_WITHIN: Duration = Duration::from_secs(120);
/// So many callers hear nothing certain before the server is well again.
const FELT: usize = 20;

fn number(url: &str, sql: &str) -> u64 {
    rows(url, sql)[0][0].as_ref().unwrap().parse().unwrap()
}

/// Everybody who has heard nothing certain asks again until he does.
fn everybody_is_answered(site: &Site, memory: &Memory) {
    until("an answer to everybody", RECOVERS_WITHIN, || {
        memory.ask_again(site.api, &site.token);
        memory.unanswered.lock().unwrap().is_empty().then_some(())
    });
}

/// Conflicts while orders come in, until there were enough: each call of `provoke` may cause some, and `caused` counts them.
fn survives(site: &Site, memory: &Memory, mut provoke: impl FnMut(), caused: impl Fn() -> u64) {
    let _bank = site.start_bank("timeout=0.02,dup_callback=0.1");
    let _serve = site.start_serve();
    let began = Instant::now();
    under_load(memory, &site.token, &[site.api], || {
        while caused() < CONFLICTS {
            assert!(began.elapsed() < CONFLICTS_WITHIN, "only {} conflicts", caused());
            provoke();
        }
    });
    let unknown = memory.unanswered.lock().unwrap().len();
    let known = memory.promises.lock().unwrap().len();
    println!("{} conflicts, {known} promises, {unknown} answers that nobody knew, {:?}", caused(), began.elapsed());
    everybody_is_answered(site, memory);
    all_is_well(site, memory);
    score(15, "conflicts of transactions survived", CONFLICTS);
}

/// Somebody else's session locks what is due and then the wallet, as no writer of ours does: he has the wallet first. Of the
/// two, the server always ends ours (40P01), because the other one is patient.
#[test]
fn deadlocks() {
    let database = Database::new();
    let (url, name) = (database.url(), database.url().rsplit_once('/').unwrap().1.to_owned());
    execute(&url, &[&format!("ALTER DATABASE {name} SET deadlock_timeout = '20ms'")]);
    let site = Site::on(Folder::on(&url), FUNDS, "");
    let memory = Memory::new(&site.path("promises"));
    let crosswise = "DO $$ BEGIN \
        PERFORM 1 FROM payouts WHERE next_at IS NOT NULL FOR UPDATE; \
        PERFORM 1 FROM accounts WHERE merchant_id > 0 FOR UPDATE; END $$";
    let deadlocks = || number(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    survives(&site, &memory, || execute(&url, &["SET deadlock_timeout = '1min'", crosswise]), deadlocks);
}

/// Hundi's transactions read what is committed, under locks, so PostgreSQL has no reason to end one with 40001, nor to say that
/// it does not know what became of one (40003); what speaks its language and is spread over several machines has. So a trigger
/// says it: within the transaction, and at its COMMIT. Several in a row, so that a batch is ended as often as it is tried, and
/// then a single order too.
#[test]
fn serialization_failures() {
    let database = Database::new();
    let url = database.url();
    let site = Site::on(Folder::on(&url), FUNDS, "");
    let memory = Memory::new(&site.path("promises"));
    execute(
        &url,
        &[
            // What a sequence has given out stays given out when a transaction is undone.
            "CREATE SEQUENCE conflicts MINVALUE 0",
            "CREATE SEQUENCE early",
            "CREATE SEQUENCE late",
            "CREATE SEQUENCE unknown",
            "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                IF nextval(TG_ARGV[0]::regclass) % 50 < 9 THEN PERFORM nextval('conflicts'); \
                RAISE EXCEPTION 'could not serialize access' USING ERRCODE = TG_ARGV[1]; END IF; \
                RETURN NULL; END $$",
            "CREATE TRIGGER early AFTER INSERT ON journal FOR EACH STATEMENT \
                EXECUTE FUNCTION conflict('early', '40001')",
            "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
                EXECUTE FUNCTION conflict('late', '40001')",
            "CREATE CONSTRAINT TRIGGER unknown AFTER UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
                EXECUTE FUNCTION conflict('unknown', '40003')",
        ],
    );
    let conflicts = || number(&url, "SELECT last_value FROM conflicts");
    survives(&site, &memory, || std::thread::sleep(Duration::from_millis(20)), conflicts);
}

/// The server fails under load until callers have felt it, and is well again: so is Hundi, by itself, and in time.
fn fails_and_recovers(site: &Site, memory: &Memory, reads_go_on: bool, fail: impl FnOnce(), heal: impl FnOnce()) {
    let unknown = || memory.unanswered.lock().unwrap().len();
    let promises = || memory.promises.lock().unwrap().len();
    let operations = |path: &str| Http::new(site.operations).get(path).unwrap().status;
    under_load(memory, &site.token, &[site.api], || {
        until("promises", RECOVERS_WITHIN, || (promises() >= 50).then_some(()));
        let before = unknown();
        fail();
        let began = Instant::now();
        until("callers who hear nothing certain", Duration::from_secs(60), || {
            (unknown() >= before + FELT).then_some(())
        });
        until("not ready", Duration::from_secs(20), || (operations("/readyz") == 503).then_some(()));
        assert_eq!(operations("/healthz"), 200);
        if reads_go_on {
            let known = memory.promises.lock().unwrap()[0].clone();
            let answer = Http::new(site.api).post(STATUS, &status_body(&site.token, &known.sent.order)).unwrap().json();
            assert_eq!(answer["Data"]["OrderID"], known.ours, "{answer}");
            assert!(site.balance_paise() > 0);
        }
        println!("felt by {} callers in {:?}", unknown() - before, began.elapsed());
        heal();
        let began = Instant::now();
        accepts(site, memory, site.api, RECOVERS_WITHIN);
        println!("accepts after {:?}", began.elapsed());
    });
    until("readyz", RECOVERS_WITHIN, || (operations("/readyz") == 200).then_some(()));
    everybody_is_answered(site, memory);
    memory.kept(site.api, &site.token, 0);
}

/// The server only reads, for the sessions that there are and for new ones.
#[test]
fn a_server_that_only_reads_for_a_while() {
    let cluster = Cluster::start(&[]);
    execute(&cluster.url("postgres"), &["CREATE DATABASE hundi"]);
    let site = Site::on(Folder::on(&cluster.url("hundi")), FUNDS, "");
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let memory = Memory::new(&site.path("promises"));
    let end_all = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'hundi'";
    for sessions_end in [false, true] {
        let set = |how: &str| {
            execute(&cluster.url("postgres"), &[how, "SELECT pg_reload_conf()"]);
            if sessions_end {
                execute(&cluster.url("postgres"), &[end_all]);
            }
        };
        let fail = || set("ALTER SYSTEM SET default_transaction_read_only = on");
        let heal = || set("ALTER SYSTEM RESET default_transaction_read_only");
        fails_and_recovers(&site, &memory, true, fail, heal);
    }
    all_is_well(&site, &memory);
}

/// The file system of the tables is full: the server says so of each write (53100), and goes on.
#[test]
fn a_full_disk_of_the_tables() {
    let cluster = Cluster::start(&[]);
    let folder = Folder::new();
    let place = folder.path().join("tables");
    std::fs::create_dir(&place).unwrap();
    let Some(disk) = Mounted::over(&place, "size=32m,mode=700") else {
        return cannot_run(Mounted::NEEDS);
    };
    cluster.owns(&place);
    let small = format!("CREATE TABLESPACE small LOCATION '{}'", place.display());
    execute(&cluster.url("postgres"), &[&small, "CREATE DATABASE hundi TABLESPACE small"]);
    let site = Site::on(Folder::on(&cluster.url("hundi")), FUNDS, "");
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let memory = Memory::new(&site.path("promises"));
    fails_and_recovers(&site, &memory, true, || disk.fill(100_000), || disk.make_room());
    all_is_well(&site, &memory);
    score(18, "times PostgreSQL's disk was full", 1);
}

/// The file system of its log is full: the server dies of it, and may not come up again before there is room and somebody
/// starts it.
#[test]
fn a_full_disk_of_the_log() {
    let cluster = Cluster::start(&["wal_keep_size = 0", "min_wal_size = 32MB", "max_wal_size = 32MB"]);
    execute(&cluster.url("postgres"), &["CREATE DATABASE hundi"]);
    cluster.kill_primary();
    let log = cluster.data().join("pg_wal");
    let disk = Mounted::over(&log, "size=96m,mode=700");
    let Some(disk) = disk else {
        return cannot_run(Mounted::NEEDS);
    };
    cluster.owns(&log);
    cluster.again();
    let site = Site::on(Folder::on(&cluster.url("hundi")), FUNDS, "");
    let _bank = site.start_bank("");
    let _serve = site.start_serve();
    let memory = Memory::new(&site.path("promises"));
    let fail = || {
        disk.fill(0);
        // It has room in what it has begun.
        while does(&cluster.url("postgres"), "SELECT pg_switch_wal()") {}
    };
    let heal = || {
        disk.make_room();
        cluster.revive();
    };
    fails_and_recovers(&site, &memory, false, fail, heal);
    all_is_well(&site, &memory);
    score(18, "times PostgreSQL's disk was full", 1);
}
