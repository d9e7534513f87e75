//! `kill -9` of the PostgreSQL server under load, again and again: of all its processes at once, with fsync on. What it
//! had in memory and not in its log is gone; what was acknowledged is not. Now and then the engine dies with it.
//!
//! `HUNDI_KILLS` says how often: a fifth of the kills of the engine on SQLite.

use super::process::auditor::Auditor;
use super::process::kill::{Stage, Tally, kills};
use super::process::kit::{Numbers, Process, Site};
use super::process_faults::Cluster;
use super::support::Folder;
use crate::database::execute;
use crate::score::score;
use std::time::{Duration, Instant};

const KILLS_OF_A_STORE: u64 = 25;
/// After the server is back: the engine finds it again, and its process number is its own again.
const ACCEPTS_WITHIN: Duration = Duration::from_secs(10);

fn kill_again_and_again(stage: &Stage, cluster: &Cluster, kills: u64, numbers: &mut Numbers) -> (Process, Tally) {
    let (site, memory) = (&stage.site, &stage.memory);
    let mut auditor = Auditor::new(&site.folder, "shop");
    let (mut tally, mut known) = (Tally::default(), 0);
    let mut serve = Some(site.start_serve());
    while tally.kills < kills {
        let began = memory.load(site.api, &site.token, || {
            std::thread::sleep(Duration::from_millis(numbers.between(20, 500)));
            if numbers.between(0, 4) == 0 {
                serve.take().unwrap().kill();
            }
            cluster.kill_primary();
            tally.kills += 1;
            while tally.kills < kills && numbers.between(0, 5) == 0 {
                // It has just recovered, and the engine is finding it again.
                cluster.again();
                cluster.kill_primary();
                tally.kills += 1;
                tally.early += 1;
            }
            cluster.again();
            Instant::now()
        });
        serve = serve.or_else(|| Some(site.start_serve()));
        tally.slowest_accept = tally.slowest_accept.max(stage.accepts(began, ACCEPTS_WITHIN));
        known = stage.audit(&mut auditor, known);
    }
    (serve.unwrap(), tally)
}

#[test]
fn kill_the_server() {
    let kills = kills(100, 5).min(150);
    let (began, mut numbers, mut total) = (Instant::now(), Numbers::new(20_261_123), Tally::default());
    std::thread::scope(|scope| {
        let mut settling = Vec::new();
        let mut left = kills;
        while left > 0 {
            let of_this = left.min(KILLS_OF_A_STORE);
            left -= of_this;
            let cluster = Cluster::start(&["fsync = on"]);
            execute(&cluster.url("postgres"), &["CREATE DATABASE hundi"]);
            let stage = Stage::new(Site::on(Folder::on(&cluster.url("hundi")), "10000000.00", ""));
            let (serve, mut tally) = kill_again_and_again(&stage, &cluster, of_this, &mut numbers);
            settling.push(scope.spawn(move || {
                stage.settle(serve, &mut tally);
                drop(cluster);
                tally
            }));
        }
        println!("{kills} kills in {:?}", began.elapsed());
        for tally in settling {
            total.add(tally.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    println!(
        "{} kills, {} of them of a server that had just recovered, {} promises, slowest first accept {:?}, in {:?}",
        total.kills,
        total.early,
        total.promises,
        total.slowest_accept,
        began.elapsed()
    );
    assert_eq!(total.kills, kills);
    score(3, "kills of the PostgreSQL server, audited after each restart", total.kills);
    score(28, "terminal transitions and as many events, kills of the server", total.transitions);
}
