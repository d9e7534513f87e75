//! A disk that is full or syncs nothing: creates answer 6, reads go on, nothing acknowledged is lost, and Hundi recovers by
//! itself.

use super::process::kit::{Http, Mounted, PAY, Process, STATUS, Site, cannot_run, pay_body, status_body, until};
use super::support::Folder;
use crate::score::score;
use hundi::clock::Clock;
use hundi::config::Config;
use hundi::store::{Store, rows};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process};
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const RECOVERS_WITHIN: Duration = Duration::from_secs(30);

/// By a limit on the size of files, which needs no rights: writes fail with EFBIG.
#[test]
fn a_disk_without_room() {
    let site = Site::new("1000000.00", "");
    let _bank = site.start_bank("");
    let args = ["serve", "--config", &site.config()];
    let serve = site.ready(Process::start_limitable(&args, &site.path("serve-log")));
    let files = ["hundi.db", "hundi.db-wal", "hundi.db-shm"].map(|name| site.data().join(name));
    let largest = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).max().unwrap();
    let pid = serve.pid();
    let limit = move |bytes| limit_files(pid, bytes);
    fails_and_recovers(&site, || limit(Some(largest + 200_000)), || limit(None));
    let (status, _) = serve.terminate();
    assert!(status.success(), "{status}");
    site.verify();
    score(18, "times the real program had no room", 1);
}

/// Every sync of the real program fails with EIO, as strace has it. Needs strace and the right to use it.
#[test]
fn a_disk_that_does_not_sync() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        return cannot_run("strace is missing, or may not trace: install it, and allow ptrace");
    }
    let site = Site::new("1000000.00", "");
    let _bank = site.start_bank("");
    let serve = site.start_serve();
    let tracer = RefCell::new(None);
    let fail = || *tracer.borrow_mut() = Some(fail_syncs(serve.pid()));
    let heal = || {
        // It lets go of the program when it is told to end.
        let mut tracer = tracer.take().unwrap();
        kill_process(Pid::from_child(&tracer), Signal::TERM).unwrap();
        tracer.wait().unwrap();
    };
    fails_and_recovers(&site, fail, heal);
    let (status, _) = serve.terminate();
    assert!(status.success(), "{status}");
    site.verify();
    score(5, "times the real program's syncs failed", 1);
}

fn fail_syncs(pid: Pid) -> Child {
    let mut strace = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-p"])
        .arg(pid.as_raw_nonzero().to_string())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("attached"), "{line}");
    // The pipe stays open, so that what it says later hurts nobody.
    strace.stderr = Some(said.into_inner());
    strace
}

fn limit_files(pid: Pid, bytes: Option<u64>) {
    rustix::process::prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// By a tiny file system: writes fail with ENOSPC. Needs root, as CI has it.
#[test]
fn a_full_file_system() {
    let site = Site::new("1000000.00", "");
    let Some(disk) = Mounted::over(&site.data(), "size=3m,mode=700") else {
        return cannot_run(Mounted::NEEDS);
    };
    let _bank = site.start_bank("");
    let serve = site.start_serve();
    // Nearly all of the room, so that the store itself hits the end.
    fails_and_recovers(&site, || disk.fill(200_000), || disk.make_room());
    let (status, _) = serve.terminate();
    assert!(status.success(), "{status}");
    site.verify();
    score(18, "times the real program's file system was full", 1);
}

fn fails_and_recovers(site: &Site, fail: impl FnOnce(), heal: impl FnOnce()) {
    let mut http = Http::new(site.api);
    let mut acknowledged = Vec::new();
    let mut pay = |http: &mut Http, order: String| {
        let reply = http.post(PAY, &pay_body(&site.token, &order, 100, "NEFT", "50100010001")).unwrap();
        match reply.code() {
            1 | 2 => acknowledged.push(order),
            6 => assert!(reply.body.contains("OrderID"), "{}", reply.body),
            _ => panic!("{}", reply.body),
        }
        reply.code()
    };
    assert_eq!(pay(&mut http, "BEFORE".to_owned()), 2);
    fail();
    let mut sixes = 0;
    let mut sent = 0;
    let began = Instant::now();
    while sixes < 20 {
        assert!(began.elapsed() < Duration::from_secs(60), "the disk does not fail: {sent} payouts");
        sixes += usize::from(pay(&mut http, format!("FULL-{sent}")) == 6);
        sent += 1;
    }
    // Reads go on.
    assert_eq!(
        http.post(STATUS, &status_body(&site.token, "BEFORE")).unwrap().json()["Data"]["ClientOrderID"],
        "BEFORE"
    );
    assert!(http.post(&format!("/UserWalletBalance?token={}", site.token), "").unwrap().body.starts_with('"'));
    assert_eq!(Http::new(site.operations).get("/healthz").unwrap().status, 200);
    assert_eq!(Http::new(site.operations).get("/readyz").unwrap().status, 503);
    assert!(site.metric("hundi_store_errors") >= 1.0);
    heal();
    let began = Instant::now();
    until("a write when the disk is well again", RECOVERS_WITHIN, || {
        (pay(&mut http, format!("FULL-{}", sent - 1)) == 2).then_some(())
    });
    println!("{sent} payouts until 20 were refused; recovered after {:?}", began.elapsed());
    // A client that got a 6 sends again with the same OrderID, and each is accepted once.
    for order in 0..sent {
        assert!(matches!(pay(&mut http, format!("FULL-{order}")), 1 | 2));
    }
    acknowledged.sort();
    acknowledged.dedup();
    assert_eq!(acknowledged.len(), sent + 1);
    for order in acknowledged {
        assert_eq!(
            http.post(STATUS, &status_body(&site.token, &order)).unwrap().json()["Data"]["ClientOrderID"],
            order
        );
    }
    until("readyz", RECOVERS_WITHIN, || {
        (Http::new(site.operations).get("/readyz").unwrap().status == 200).then_some(())
    });
    site.verify();
}

/// The log begins again once it is folded to its end, whether commits do that alone or [`Store::fold`] does most of it
/// while they go on. Otherwise it would grow for as long as there is something to write.
#[tokio::test]
async fn the_log_stays_short() {
    for folds in [false, true] {
        let folder = Folder::new();
        let config = Config { data: folder.path().to_owned(), ..folder.config() };
        let store = Arc::new(Store::open(&config, &Clock::system(), true).await.unwrap());
        store.migrate().await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let folding = folds.then(|| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.fold(stopped).await })
        });
        let large = "x".repeat(1_000_000);
        for number in 0..150 {
            hundi::write_alone(&store, rows::meta_once(&format!("large {number}"), &large)).await.unwrap();
            tokio::task::yield_now().await;
        }
        let log = std::fs::metadata(folder.path().join("hundi.db-wal")).unwrap().len();
        assert!(
            (30_000_000..45_000_000).contains(&log),
            "{log} bytes of log for 150,000,000 written, folding: {folds}"
        );
        stop.send_replace(true);
        if let Some(folding) = folding {
            folding.await.unwrap();
        }
        store.close().await;
        assert_eq!(std::fs::metadata(folder.path().join("hundi.db-wal")).map_or(0, |log| log.len()), 0);
    }
}
