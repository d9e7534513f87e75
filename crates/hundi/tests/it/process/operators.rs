//! `kill -9` of the engine, and of the commands of operators in the middle of what they do: statements that are read whole,
//! twice, late, cut and with debits that never were; proposals and approvals; a connector that is paused; and the hold, under which nothing starts,
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

/// A statement says what the book says, but for what it lies about; and it may have told of a reversal before the bank called.
fn agrees(ran: &Ran, lie: Option<&Lie>) {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let kinds = report["kinds"].as_object().unwrap();
    let lied = |kind: &str| lie.is_some_and(|lie| lie.kind == kind);
    assert!(kinds.keys().all(|kind| kind == "reversal_unannounced" || lied(kind)), "{report}");
    assert!(lie.is_none_or(|lie| kinds.contains_key(lie.kind)), "{lie:?}: {report}");
    assert_eq!(ran.code, if kinds.is_empty() { 0 } else { 2 }, "{report}");
}

/// A debit that a statement has and the bank's book has not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Lie {
    /// What it must be told as.
    kind: &'static str,
    rrn: String,
}

/// A statement with one debit more than there was, and all sums as they are with it: a payment once more, or a stranger's.
fn with_a_lie(text: &str, numbers: &mut Numbers) -> Option<(String, Lie)> {
    let debits: Vec<&str> = text.lines().filter(|line| line.contains("DBIT</CdtDbtInd><Sts>BOOK")).collect();
    let debit = *debits.get(numbers.below(debits.len().max(1)))?;
    let part = |of: &str, name: &str, end: &str| -> Option<String> {
        Some(of.split_once(name)?.1.split_once(end)?.0.to_owned())
    };
    let rrn = part(debit, "<AcctSvcrRef>", "</AcctSvcrRef>")?;
    let kind = if numbers.between(0, 1) == 0 { "paid_twice" } else { "unknown_debit" };
    let other = format!("{}{}", if kind == "paid_twice" { 'P' } else { 'U' }, &rrn[1..]);
    let mut lie = debit.replace(&rrn, &other).replace("<NtryRef>", "<NtryRef>L");
    if kind == "unknown_debit" {
        let reference = part(debit, "<EndToEndId>", "</EndToEndId>")?;
        lie = lie.replace(&reference, "RENT-OF-NOVEMBER");
    }
    let paise = |rupees: &str| rupees.replace('.', "").parse::<i64>().ok();
    let amount = paise(&part(debit, "<Amt Ccy=\"INR\">", "</Amt>")?)?;
    let (before, closing) = text.split_once("<Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"INR\">")?;
    let (held, after) = closing.split_once("</Amt>")?;
    let (side, after) = after.split_once("</CdtDbtInd>")?;
    let held = if side.ends_with("DBIT") { -paise(held)? } else { paise(held)? } - amount;
    let side = if held < 0 { "DBIT" } else { "CRDT" };
    let (rupees, rest) = (held.abs() / 100, held.abs() % 100);
    let after = after.replacen(debit, &format!("{debit}\n{lie}"), 1);
    let text = format!(
        "{before}<Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"INR\">{rupees}.{rest:02}</Amt><CdtDbtInd>{side}</CdtDbtInd>{after}"
    );
    Some((text, Lie { kind, rrn: other }))
}

/// Two operators and their day.
struct Desk<'a> {
    stage: &'a Stage,
    /// Statements by the name of their file, of which one may be read late.
    kept: Vec<(&'static str, String, Option<Lie>)>,
    /// What the statements have lied that were begun, and of these what those have that were read to their ends.
    lies: [BTreeSet<Lie>; 2],
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
            lies: Default::default(),
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

    /// A bank's statement of today up to now, or one that was fetched before; whole, or cut anywhere, and perhaps with a lie.
    fn reads_a_statement(&mut self, numbers: &mut Numbers) {
        let site = &self.stage.site;
        let (connector, bank) =
            if numbers.between(0, 2) == 0 { ("sandbox", site.bank) } else { ("other", self.stage.other) };
        let text = fetched(bank, &today());
        let lied = if numbers.between(0, 2) == 0 { with_a_lie(&text, numbers) } else { None };
        let (text, lie) = lied.map_or((text, None), |(text, lie)| (text, Some(lie)));
        self.kept.push((connector, text, lie));
        let newest = self.kept.len() - 1;
        let which = if numbers.between(0, 3) == 0 { numbers.below(newest + 1) } else { newest };
        let (connector, text, lie) = self.kept[which].clone();
        self.lies[0].extend(lie.clone());
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
            agrees(&self.compares(connector, &text), lie.as_ref());
            *self.done.entry("a statement").or_default() += 1;
            if let Some(lie) = lie {
                *self.done.entry("a statement that lies").or_default() += 1;
                self.lies[1].insert(lie);
            }
        }
    }

    fn compares(&self, connector: &str, text: &str) -> Ran {
        let file = self.stage.site.path("statement.xml");
        std::fs::write(&file, text).unwrap();
        self.stage.site.cli(&["reconcile", "--connector", connector, file.to_str().unwrap()])
    }

    /// Whatever waits is approved. What statements have lied was told, each once, and nothing else; one may have told of a
    /// reversal before the bank's call did. Two people say of each that it needs nobody any more.
    fn ends(&mut self) {
        let site = &self.stage.site;
        for proposal in self.waiting() {
            site.cli(&["approve", &proposal, "--operator", "bela"]).json();
        }
        let Value::Array(exceptions) = site.cli(&["exception", "list"]).json() else { panic!("a list") };
        let of = |kind: &str| exceptions.iter().filter(|exception| exception["kind"] == kind).count();
        for kind in ["paid_twice", "unknown_debit"] {
            let [begun, ended] = self.lies.each_ref().map(|lies| lies.iter().filter(|lie| lie.kind == kind).count());
            assert!((ended..=begun).contains(&of(kind)), "{kind}: {} of {ended} to {begun}", of(kind));
        }
        let known = of("paid_twice") + of("unknown_debit") + of("reversal_unannounced");
        assert_eq!(exceptions.len(), known, "{exceptions:?}");
        for exception in &exceptions {
            let id = exception["exception_id"].as_str().unwrap();
            let args = ["propose", "resolve", id, "--reason", "the bank was wrong, or late", "--operator", "asha"];
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
            agrees(&desk.compares(connector, &fetched(bank, day)), None);
        }
    }
    site.verify();
    println!(
        "{kills} kills, {} commands cut, {:?}, {adjusted} approvals, in {:?}",
        desk.cut,
        desk.done,
        began.elapsed()
    );
    let statements = ["a statement", "a part of a statement", "a statement that lies"];
    for what in ["propose", "approve", "pause", "hold over a restart"].into_iter().chain(statements) {
        assert!(kills < 20 || desk.done.contains_key(what), "nobody has done: {what}");
    }
    let row = if ENGINE == Engine::Sqlite { 1 } else { 2 };
    score(row, &format!("kills of the engine on {ENGINE:?} while operators work"), kills);
}
