//! `kill -9` of the engine, and of the commands of operators in the middle of what they do: statements that are read whole,
//! twice, late and cut; proposals and approvals; a connector that is paused; and the hold, under which nothing starts,
//! whoever dies. In the end every approval has moved its money once, and both banks' statements say what the book says.
//!
//! `HUNDI_KILLS` says how often: a fifth of the kills of the engine on SQLite.

use super::super::ENGINE;
use super::auditor::{Auditor, payouts};
use super::kill::{Stage, Tally, kills};
use super::kit::{Http, Numbers, Ran, Site};
use super::{count, statement};
use crate::database::Engine;
use crate::score::score;
use hundi::clock::Clock;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const ACCEPTS_WITHIN: Duration = Duration::from_secs(5);

/// The date in India.
fn today() -> String {
    Clock::system().now().to_string()[..10].to_owned()
}

/// A bank's statement of a day, up to now.
fn fetched(bank: SocketAddr, day: &str) -> String {
    let reply = Http::new(bank).get(&format!("/statement?date={day}")).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

/// A statement says what the book says; but it may have told of a reversal before the bank called.
fn agrees(ran: &Ran) {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let kinds = report["kinds"].as_object().unwrap();
    assert!(kinds.keys().all(|kind| kind == "reversal_unannounced"), "{report}");
    assert_eq!(ran.code, if kinds.is_empty() { 0 } else { 2 }, "{report}");
}

/// Two operators and their day.
struct Desk<'a> {
    stage: &'a Stage,
    /// Statements by the name of their file, of which one may be read late.
    kept: Vec<(&'static str, String)>,
    /// All attempts of all payouts when the hold was set.
    on_hold: Option<u32>,
    /// All that have been seen to wait.
    proposals: BTreeSet<u64>,
    asked: u64,
    /// What was done to its end, and what was cut.
    done: BTreeMap<&'static str, u64>,
    cut: u64,
}

impl<'a> Desk<'a> {
    fn new(stage: &'a Stage) -> Desk<'a> {
        Desk {
            stage,
            kept: Vec::new(),
            on_hold: None,
            proposals: BTreeSet::new(),
            asked: 0,
            done: BTreeMap::new(),
            cut: 0,
        }
    }

    /// A command, which is killed before its end now and then. True if it has done what it was to do.
    fn does(&mut self, what: &'static str, numbers: &mut Numbers, args: &[&str]) -> bool {
        if numbers.between(0, 3) == 0 {
            self.cut += 1;
            return self.stage.site.cli_cut(args, Duration::from_millis(numbers.between(1, 60)));
        }
        let ran = self.stage.site.cli(args);
        // One that was cut off may have done it before; and on hold nobody approves.
        let known = ["is paused already", "is not paused", "is on hold"];
        let done = ran.code == 0 || ran.code == 1 && known.iter().any(|why| ran.stderr.contains(why));
        assert!(done, "{args:?}: {ran:?}");
        *self.done.entry(what).or_default() += 1;
        true
    }

    fn attempts(&self) -> u32 {
        payouts(&self.stage.site.folder, "shop").iter().map(|payout| payout.attempts).sum()
    }

    /// Something that operators do.
    fn work(&mut self, numbers: &mut Numbers) {
        match numbers.between(0, 8) {
            0 | 1 => self.proposes(numbers),
            2 => {
                if let Some(proposal) = self.waiting().pop() {
                    self.does("approve", numbers, &["approve", &proposal, "--operator", "bela"]);
                }
            }
            3 | 4 => self.reads_a_statement(numbers),
            5 => {
                self.does("pause", numbers, &["connector", "pause", "other", "--reason", "it is Sunday"]);
            }
            6 => {
                self.does("resume", numbers, &["connector", "resume", "other"]);
            }
            _ => {
                let held = self.does("hold", numbers, &["hold", "set", "--reason", "a drill"]);
                if held && self.on_hold.is_none() {
                    self.on_hold = Some(self.attempts());
                }
            }
        }
    }

    fn proposes(&mut self, numbers: &mut Numbers) {
        self.asked += 1;
        let reason = format!("goodwill {}", self.asked);
        let amount = format!("{}.00", self.asked);
        let from_to = ["propose", "adjust", "--from", "house/loss", "--to", "shop/wallet", "--amount", &amount];
        let by = ["--through", "sandbox", "--reason", &reason, "--operator", "asha"];
        self.does("propose", numbers, &[&from_to[..], &by].concat());
    }

    /// The proposals that wait for another operator.
    fn waiting(&mut self) -> Vec<String> {
        let Value::Array(listed) = self.stage.site.cli(&["proposal", "list"]).json() else { panic!("a list") };
        let waiting: Vec<u64> = listed.iter().map(|proposal| proposal["proposal_id"].as_u64().unwrap()).collect();
        self.proposals.extend(&waiting);
        waiting.iter().map(u64::to_string).collect()
    }

    /// A bank's statement of today up to now, or one that was fetched before; whole, or cut anywhere.
    fn reads_a_statement(&mut self, numbers: &mut Numbers) {
        let site = &self.stage.site;
        let (connector, bank) =
            if numbers.between(0, 2) == 0 { ("sandbox", site.bank) } else { ("other", self.stage.other) };
        self.kept.push((connector, fetched(bank, &today())));
        let newest = self.kept.len() - 1;
        let which = if numbers.between(0, 3) == 0 { numbers.below(newest + 1) } else { newest };
        let (connector, text) = self.kept[which].clone();
        if numbers.between(0, 4) == 0 {
            let end = numbers.below(text.len() - 20);
            let ran = self.compares(connector, &text[..end]);
            assert!(ran.code == 1 || ran.code == 2, "a statement that was cut at {end}: {ran:?}");
            *self.done.entry("a part of a statement").or_default() += 1;
        } else if numbers.between(0, 3) == 0 {
            let file = site.path("statement.xml");
            std::fs::write(&file, text).unwrap();
            let args = ["reconcile", "--connector", connector, file.to_str().unwrap()];
            self.cut += 1;
            site.cli_cut(&args, Duration::from_millis(numbers.between(1, 100)));
        } else {
            agrees(&self.compares(connector, &text));
            *self.done.entry("a statement").or_default() += 1;
        }
    }

    fn compares(&self, connector: &str, text: &str) -> Ran {
        let file = self.stage.site.path("statement.xml");
        std::fs::write(&file, text).unwrap();
        self.stage.site.cli(&["reconcile", "--connector", connector, file.to_str().unwrap()])
    }

    /// Whatever waits is approved. A statement may have told of a reversal before the bank's call did; that needs nobody any
    /// more, which two people say as well.
    fn ends(&mut self) {
        let site = &self.stage.site;
        for proposal in self.waiting() {
            site.cli(&["approve", &proposal, "--operator", "bela"]).json();
        }
        let Value::Array(exceptions) = site.cli(&["exception", "list"]).json() else { panic!("a list") };
        for exception in &exceptions {
            assert_eq!(exception["kind"], "reversal_unannounced", "{exception}");
            let id = exception["exception_id"].as_str().unwrap();
            let args = ["propose", "resolve", id, "--reason", "the bank's call was late", "--operator", "asha"];
            let proposal = site.cli(&args).json()["proposal_id"].to_string();
            site.cli(&["approve", &proposal, "--operator", "bela"]).json();
        }
    }

    /// The drill is over: nothing has started under the hold. Whoever was cut off is asked to do it again.
    fn opens(&mut self) {
        let site = &self.stage.site;
        let held = site.cli(&["hold", "status"]).json()["on_hold"] == true;
        if let Some(attempts) = self.on_hold.take() {
            assert!(held, "the hold was set, and is not");
            assert_eq!(self.attempts(), attempts, "a payout has started on hold");
            *self.done.entry("hold over a restart").or_default() += 1;
        }
        if held {
            site.cli(&["hold", "release", "--reason", "the drill is over"]).json();
        }
        let resumed = site.cli(&["connector", "resume", "other"]);
        assert!(resumed.code == 0 || resumed.stderr.contains("is not paused"), "{resumed:?}");
    }
}

#[test]
fn kill_while_operators_work() {
    let kills = kills(100, 5);
    let (began, first_day, mut numbers) = (Instant::now(), today(), Numbers::new(20_261_123));
    let stage = Stage::new(Site::new("10000000.00", ""));
    let (site, memory) = (&stage.site, &stage.memory);
    let (mut auditor, mut desk) = (Auditor::new(&site.folder, "shop"), Desk::new(&stage));
    let (mut tally, mut known) = (Tally::default(), 0);
    let mut serve = site.start_serve();
    while tally.kills < kills {
        let lasts = Duration::from_millis(numbers.between(50, 600));
        memory.load(site.api, &site.token, || {
            std::thread::scope(|scope| {
                let killer = scope.spawn(move || {
                    std::thread::sleep(lasts);
                    serve.kill();
                });
                while !killer.is_finished() {
                    desk.work(&mut numbers);
                }
            });
        });
        tally.kills += 1;
        serve = site.start_serve();
        desk.work(&mut numbers);
        desk.opens();
        stage.accepts(Instant::now(), ACCEPTS_WITHIN);
        known = stage.audit(&mut auditor, known);
    }
    desk.ends();
    stage.settle(serve, &mut tally);
    let adjusted = count(&statement(site), "adjust");
    assert!(adjusted > 0);
    assert_eq!(adjusted, desk.proposals.len(), "each approval moves its money once");
    let days = [first_day, today()];
    for day in &days[usize::from(days[0] == days[1])..] {
        for (connector, bank) in [("sandbox", site.bank), ("other", stage.other)] {
            agrees(&desk.compares(connector, &fetched(bank, day)));
        }
    }
    site.verify();
    println!(
        "{kills} kills, {} commands cut, {:?}, {adjusted} approvals, in {:?}",
        desk.cut,
        desk.done,
        began.elapsed()
    );
    for what in ["propose", "approve", "a statement", "a part of a statement", "pause", "hold over a restart"] {
        assert!(kills < 20 || desk.done.contains_key(what), "nobody has done: {what}");
    }
    let row = if ENGINE == Engine::Sqlite { 1 } else { 2 };
    score(row, &format!("kills of the engine on {ENGINE:?} while operators work"), kills);
}
