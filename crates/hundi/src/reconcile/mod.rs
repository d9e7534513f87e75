//! `hundi reconcile`: reads a bank's statement and compares it with what is known here.
//!
//! ```text
//! file --thread--> Said --> 1,000 lines: look up, judge --> keep them --> Record what is news --> mark
//!             end of file --> by the bank's references --> credits of no payout: book, mark --> what the statement lacks
//! ```
//!
//! A line is kept once, whatever file it comes in. What says only what is known is decided by one look-up for all of them;
//! what is news goes through the one door for facts ([`Command::Record`]) and moves a payout only by the rules. A credit that
//! returns nothing is booked ([`Command::Credit`]): its line is marked in the transaction that moves its money. What else
//! differs becomes an exception, and never a movement of money. A run that breaks off is repeated by the same file.

mod line;
mod listed;
mod statement;

pub use listed::listed;

use crate::App;
use crate::config::Columns;
use crate::credits::Rules;
use crate::store::StoreError;
use crate::store::credits::exception_of;
use crate::store::statements::{Bulk, Difference, Found, Kept, LineResult, PayoutKnown, WithRrn};
use futures_util::{StreamExt, stream};
use hundi_core::command::{Command, CreditLine, Credited, Decision, FileLines, Outcome, Source, named_alone};
use hundi_core::formats::{self, Line, Said};
use hundi_core::ids::{Actor, Connector, MerchantId, PayoutId, Reference};
use hundi_core::payout::{ExceptionKind, State};
use hundi_core::schedule::{DAY, Timestamp};
use line::{Item, Judged, TAKEN_BACK, has_taken_back, others};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use statement::Open;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{BufReader, Read};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Lines that are looked up and kept at once.
const LINES_AT_ONCE: usize = 1_000;
/// Lines of one file. Each takes some 40 bytes of memory, to tell equal ones apart.
const LINES_MAX: u64 = 10_000_000;
/// Statements of one file.
const STATEMENTS_MAX: usize = 10_000;
/// Words that wait for the writer at once.
const RECORDS_AT_ONCE: usize = 512;
/// Lines without our reference that are looked for in one pass over the payouts.
const UNDECIDED_MAX: usize = 50_000;
/// A payout is looked for by the bank's reference among those created so long before the line was booked.
const RRN_DAYS: i64 = 10 * DAY;
/// Differences and unreadable rows that are printed; all are counted, and all differences are kept as exceptions.
const PRINTED_MAX: usize = 1_000;
/// What is said at once.
const SAID_AT_ONCE: usize = 256;

/// What the reader of a file hands over.
#[derive(Debug)]
pub enum Fed {
    /// What the file says, in order.
    Said(Vec<Said>),
    /// The file has been read to its end; the SHA-256 of it.
    Ended([u8; 32]),
    /// It cannot be read.
    Failed(String),
}

/// Reads a file and hands over what it says; blocks. Ends early when nobody listens any more. `columns` are those of a table
/// that no known bank writes.
pub fn feed(input: impl Read, name_hint: &str, columns: Option<&Columns>, to: &mpsc::Sender<Fed>) {
    let gone = Cell::new(false);
    let hashing = Hashing { input, hash: Sha256::new(), failed: None, gone: &gone };
    let mut input = BufReader::with_capacity(1 << 16, hashing);
    let mut said = Vec::with_capacity(SAID_AT_ONCE);
    let mut tell = |one| {
        said.push(one);
        if said.len() >= SAID_AT_ONCE {
            // Whoever has gone away does not want the rest.
            gone.set(to.blocking_send(Fed::Said(std::mem::take(&mut said))).is_err());
        }
    };
    Columns::lent(columns, |columns| formats::read(&mut input, name_hint, columns, &mut tell));
    // What the reader of the format left unread belongs to the file too.
    let rest = std::io::copy(&mut input, &mut std::io::sink());
    let hashing = input.into_inner();
    to.blocking_send(Fed::Said(said)).unwrap_or_default();
    let end = match rest.err().map(|error| error.to_string()).or(hashing.failed) {
        Some(error) => Fed::Failed(format!("the file cannot be read to its end: {error}")),
        None => Fed::Ended(hashing.hash.finalize().into()),
    };
    to.blocking_send(end).unwrap_or_default();
}

/// Hashes what is read, and remembers what went wrong: a format's reader may take it for the end.
struct Hashing<'a, R> {
    input: R,
    hash: Sha256,
    failed: Option<String>,
    gone: &'a Cell<bool>,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.gone.get() {
            return Ok(0);
        }
        let read = self.input.read(buffer).inspect_err(|error| {
            if error.kind() != std::io::ErrorKind::Interrupted {
                self.failed.get_or_insert_with(|| error.to_string());
            }
        })?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Report {
    /// Booked lines.
    pub lines: u64,
    /// Lines that are announced and not booked.
    pub announced: u64,
    /// Lines that an earlier file had.
    pub repeated: u64,
    /// Lines that say what was known.
    pub known: u64,
    /// Lines that moved a payout.
    pub moved: u64,
    /// Credits that have funded a wallet, or that a person had booked.
    pub funded: u64,
    /// Credits of which nobody knows whose they are, which lie in the house's suspense now.
    pub suspended: u64,
    /// What differs, by kind.
    pub told: BTreeMap<&'static str, u64>,
    /// The first of what differs.
    pub differences: Vec<Difference>,
    /// Rows that could not be read.
    pub bad: u64,
    /// The first of them: the line of the file, and what is wrong.
    pub bad_rows: Vec<(u64, Box<str>)>,
    /// The statements, as documents.
    pub statements: Vec<Value>,
}

impl Report {
    /// Whether nothing differs, and all was read.
    pub fn clean(&self) -> bool {
        self.told.is_empty() && self.bad == 0
    }

    fn tell(&mut self, difference: Difference) {
        *self.told.entry(difference.kind.name()).or_default() += 1;
        if self.differences.len() < PRINTED_MAX {
            self.differences.push(difference);
        }
    }

    fn bad(&mut self, at: u64, why: Box<str>) {
        self.bad += 1;
        if self.bad_rows.len() < PRINTED_MAX {
            self.bad_rows.push((at, why));
        }
    }

    /// As it is printed.
    pub fn document(&self) -> Value {
        let differences = self.differences.iter().map(|difference| {
            json!({
                "line": difference.at, "kind": difference.kind.name(), "reference": difference.reference,
                "payout_id": difference.payout.map(|(_, payout)| payout.to_string()), "detail": difference.detail,
            })
        });
        let bad = self.bad_rows.iter().map(|(at, why)| json!({ "line": at, "why": why }));
        json!({
            "clean": self.clean(), "lines": self.lines, "announced": self.announced, "repeated": self.repeated,
            "known": self.known, "moved": self.moved, "funded": self.funded,
            "suspended": self.suspended,
            "differences": self.told.values().sum::<u64>(), "unreadable": self.bad, "kinds": self.told,
            "statements": self.statements, "found": differences.collect::<Vec<_>>(), "rows": bad.collect::<Vec<_>>(),
        })
    }
}

/// What has become of a line before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing.
    Never,
    /// It was kept and not dealt with.
    Kept,
    /// It was dealt with.
    Done,
}

/// A file in the making.
struct Run<'a> {
    app: &'a App,
    connector: Connector,
    actor: Actor,
    open: Option<Open>,
    /// Whether the statement that is being read is not of our account: then nothing of it is used.
    foreign: bool,
    ended: Vec<Open>,
    /// The lines of the file by their hashes, and how many have the same one beside the first.
    seen: FileLines,
    rules: Rules,
    batch: Vec<Item>,
    /// The debits that are announced by our reference, and their paise.
    announced: Vec<(Reference, i64)>,
    undecided: Vec<Item>,
    report: Report,
}

/// Reads all that is fed and deals with it.
pub async fn reconcile(
    app: &App,
    fed: &mut mpsc::Receiver<Fed>,
    connector: Connector,
    actor: &Actor,
) -> Result<Report, String> {
    let mut run = Run {
        app,
        connector,
        actor: actor.clone(),
        open: None,
        foreign: false,
        ended: Vec::new(),
        seen: FileLines::default(),
        rules: Rules::of(&app.store, connector).await?,
        batch: Vec::with_capacity(LINES_AT_ONCE),
        announced: Vec::new(),
        undecided: Vec::new(),
        report: Report::default(),
    };
    while let Some(fed) = fed.recv().await {
        match fed {
            Fed::Said(said) => {
                for one in said {
                    run.take(one).await?;
                }
            }
            Fed::Ended(file) => return run.finish(file).await,
            Fed::Failed(error) => return Err(error),
        }
    }
    Err("the file's reader has failed; what was read of it is kept, so give the file again".to_owned())
}

impl Run<'_> {
    async fn take(&mut self, said: Said) -> Result<(), String> {
        match said {
            Said::Begins(head) => {
                self.cut_short();
                match Open::new(self.app, self.connector, head) {
                    Ok(open) => (self.open, self.foreign) = (Some(open), false),
                    Err(why) => {
                        self.report.bad(0, why.into());
                        (self.open, self.foreign) = (None, true);
                    }
                }
            }
            Said::Line(_) | Said::Ends { .. } if self.foreign => {}
            Said::Line(line) if !line.booked => self.announced(&line).await?,
            Said::Line(line) => self.line(&line).await?,
            Said::Ends { closing_paise } => {
                let Some(mut open) = self.open.take() else { return Ok(()) };
                open.closing_paise = closing_paise;
                if self.ended.len() >= STATEMENTS_MAX {
                    return Err(format!("the file has more than {STATEMENTS_MAX} statements; split it"));
                }
                self.ended.push(open);
            }
            Said::Bad { at, why } => {
                if let Some(open) = &mut self.open {
                    open.bad += 1;
                }
                self.report.bad(at, why);
            }
        }
        Ok(())
    }

    /// A statement that does not end: its lines count, but nothing is said of what it lacks.
    fn cut_short(&mut self) {
        if self.open.take().is_some() {
            self.report
                .bad(0, "a statement has no end; its lines were taken, and what it lacks was not looked for".into());
        }
    }

    async fn line(&mut self, line: &Line) -> Result<(), String> {
        if self.open.is_none() {
            self.open = Some(Open::new(self.app, self.connector, formats::Head::default())?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        self.report.lines += 1;
        if self.report.lines > LINES_MAX {
            return Err(format!("the file has more than {LINES_MAX} lines; split it"));
        }
        let hash = line::hash(&self.app.keys, &open.account, line);
        let seen = Arc::make_mut(&mut self.seen.0).entry(u128::from_be_bytes(hash));
        let equal = *seen.and_modify(|equal| *equal += 1).or_insert(0);
        let item = Item::new(&self.app.keys, &self.rules, line, hash, equal);
        open.add(line, &item.row.line).ok_or_else(|| format!("line {}: the sum of the lines is too large", line.at))?;
        self.batch.push(item);
        if self.batch.len() >= LINES_AT_ONCE {
            self.deal().await?;
        }
        Ok(())
    }

    /// What a bank announces it has accepted and not booked. Nothing of it is kept: the line comes again when it is booked.
    async fn announced(&mut self, line: &Line) -> Result<(), String> {
        self.report.announced += 1;
        let item = Item::new(&self.app.keys, &self.rules, line, [0; 16], 0);
        self.announced.extend(item.in_fields());
        if self.announced.len() >= LINES_AT_ONCE { self.accept().await } else { Ok(()) }
    }

    /// Has payouts hear that their banks announce them.
    async fn accept(&mut self) -> Result<(), String> {
        let announced = std::mem::take(&mut self.announced);
        let references: Vec<Reference> = announced.iter().map(|(reference, _)| *reference).collect();
        let known = self.app.store.attempts_by_reference(self.connector, &references).await.map_err(text)?;
        for known in known.iter().filter(|known| known.state == State::Sending) {
            if announced.contains(&(known.reference, known.amount_paise)) {
                let (reference, source) = (known.reference, Source::Statement);
                let word = crate::connectors::bare(Outcome::Accepted, "");
                let command = Command::Record { connector: self.connector, reference, word, source };
                self.app.writer.record(known.merchant, None, command).await.map_err(text)?;
            }
        }
        Ok(())
    }

    /// Looks up, judges, keeps and records the lines at hand.
    async fn deal(&mut self) -> Result<(), String> {
        let mut items = std::mem::take(&mut self.batch);
        let mut kept = self.look_up(&mut items).await.map_err(text)?;
        let now = self.app.clock.now();
        let mut bulk = Bulk::default();
        let (mut records, mut asked) = (Vec::new(), Vec::new());
        for mut item in items {
            let seen = self.seen_before(&kept, &mut item);
            asked.extend(item.asks().map(|payout| (payout.merchant, payout.reference, item.word(TAKEN_BACK))));
            if seen == Seen::Done {
                continue;
            }
            let same_name = kept.entry(item.row.reference.clone()).or_default();
            let before = others(same_name, &item);
            let judged = item.judge(before > 0, has_taken_back(same_name));
            let found = self.found(&mut bulk, &item, judged, before, now);
            match seen {
                // Nothing new is known of it; another process may be about to book it.
                Seen::Kept if judged == Judged::Later => {}
                // The run before this one broke off.
                Seen::Kept => bulk.mark(self.connector, (&item.row.reference, &item.row.line), &found),
                Seen::Done | Seen::Never => bulk.line(self.connector, &item.row, &found, now),
            }
            let result = judged.kept_as(found.result);
            let (reference, line, side) = (item.row.reference.clone(), item.row.line.clone(), item.row.side);
            same_name.push(Kept { reference, line, side, result, kind: found.kind });
            match judged {
                Judged::Record(outcome) => records.push((item, outcome)),
                Judged::Later => self.undecided.push(item),
                Judged::Known | Judged::TakenBack | Judged::Tell(_) => {}
            }
        }
        self.write(bulk).await?;
        self.record(records, false).await?;
        for (whose, reference, word) in asked {
            let command = Command::Record { connector: self.connector, reference, word, source: Source::Statement };
            self.app.writer.record(whose, None, command).await.map_err(text)?;
        }
        if self.undecided.len() >= UNDECIDED_MAX { self.decide_by_rrn().await } else { Ok(()) }
    }

    /// Finds the lines' payouts, names the lines, and finds what was kept under these names.
    async fn look_up(&self, items: &mut [Item]) -> Result<HashMap<String, Vec<Kept>>, StoreError> {
        let ours: BTreeSet<Reference> = items.iter().flat_map(|item| item.ours.iter().copied()).collect();
        let ours: Vec<Reference> = ours.into_iter().collect();
        let known = self.app.store.attempts_by_reference(self.connector, &ours).await?;
        let known: HashMap<Reference, PayoutKnown> = known.into_iter().map(|known| (known.reference, known)).collect();
        for item in &mut *items {
            item.name(&known, &self.app.installation);
        }
        let names: BTreeSet<&str> = items.iter().flat_map(Item::names).collect();
        let mut kept: HashMap<String, Vec<Kept>> = HashMap::with_capacity(names.len());
        for one in self.app.store.statement_lines(self.connector, &names.into_iter().collect::<Vec<_>>()).await? {
            kept.entry(one.reference.clone()).or_default().push(one);
        }
        Ok(kept)
    }

    /// Whether the line was dealt with before. One that was kept and not dealt with goes on under the name that it has.
    fn seen_before(&mut self, kept: &HashMap<String, Vec<Kept>>, item: &mut Item) -> Seen {
        let known = {
            let mut known = item.names().filter_map(|name| kept.get(name)).flatten();
            known.find(|known| known.line == item.row.line)
        };
        let Some(known) = known else { return Seen::Never };
        if known.result == LineResult::Pending as i64 {
            item.row.reference.clone_from(&known.reference);
            return Seen::Kept;
        }
        self.report.repeated += 1;
        if let Some(kind) = known.kind {
            let mut difference = self.difference(item, kind, 0);
            difference.reference.clone_from(&known.reference);
            if matches!(kind, ExceptionKind::CreditDiffers | ExceptionKind::CreditDoubtful) {
                difference.reference = named_alone(&known.reference, &known.line);
            }
            self.report.tell(difference);
        }
        Seen::Done
    }

    /// What is kept of a line that was judged so; tells whom it concerns.
    fn found(&mut self, bulk: &mut Bulk, item: &Item, judged: Judged, before: usize, now: Timestamp) -> Found {
        let (result, kind) = match judged {
            Judged::Known | Judged::TakenBack => (LineResult::Known, None),
            Judged::Record(_) | Judged::Later => (LineResult::Pending, None),
            Judged::Tell(kind) => (LineResult::Told, Some(kind)),
        };
        self.report.known += u64::from(result == LineResult::Known);
        if let Some(kind) = kind {
            // The first of them is the one that is in order; where none is, each has an exception of its own.
            let from = usize::from(item.payout.is_some());
            let difference = self.difference(item, kind, before.saturating_sub(from));
            bulk.exception(self.connector, &difference, now);
            self.report.tell(difference);
        }
        let payout = item.payout.filter(|_| judged != Judged::TakenBack);
        Found { result, kind, by_rrn: false, payout }
    }

    /// The difference that a line makes; after `before` others of its kind.
    fn difference(&self, item: &Item, kind: ExceptionKind, before: usize) -> Difference {
        let name = &item.row.reference;
        let reference = if before == 0 { name.clone() } else { named_alone(name, &item.row.line) };
        let payout = item.payout.map(|payout| (payout.merchant, payout.payout));
        Difference { at: item.at, kind, reference, payout, detail: item.detail() }
    }

    /// Has payouts hear what is news to them, debits before the credits that take them back, and keeps what came of it.
    async fn record(&mut self, records: Vec<(Item, Outcome)>, by_rrn: bool) -> Result<(), String> {
        let (debits, credits): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|(_, outcome)| *outcome == Outcome::Paid);
        for records in [debits, credits] {
            let mut bulk = Bulk::default();
            let (writer, connector) = (&self.app.writer, self.connector);
            let mut said = Vec::with_capacity(records.len());
            for (item, outcome) in &records {
                let known = item.payout.map(|payout| payout.reference);
                let Some(reference) = known.or(item.forgotten) else { continue };
                // Of what was forgotten the house is told.
                let whose = item.payout.map_or(MerchantId::HOUSE, |payout| payout.merchant);
                let (word, source) = (item.word(*outcome), Source::Statement);
                let command = Command::Record { connector, reference, word, source };
                said.push(async move { (item, reference, writer.record(whose, None, command).await) });
            }
            let heard: Vec<_> = stream::iter(said).buffered(RECORDS_AT_ONCE).collect().await;
            for (item, reference, decision) in heard {
                let (moved, kind) = match decision.map_err(text)? {
                    Decision::Done(done) => (!done.journal.is_empty(), done.exception.map(|told| told.kind)),
                    Decision::Repeat(_) => (false, None),
                    Decision::Refused(refusal) => return Err(format!("line {}: {}", item.at, refusal.as_str())),
                };
                let result = match (kind, moved) {
                    (Some(_), _) => LineResult::Told,
                    (None, true) => LineResult::Moved,
                    (None, false) => LineResult::Known,
                };
                self.report.moved += u64::from(moved);
                self.report.known += u64::from(result == LineResult::Known);
                if let Some(kind) = kind {
                    let mut difference = self.difference(item, kind, 0);
                    difference.reference = reference.as_str().to_owned();
                    self.report.tell(difference);
                }
                let found = Found { result, kind, by_rrn, payout: item.payout };
                bulk.mark(connector, (&item.row.reference, &item.row.line), &found);
            }
            self.write(bulk).await?;
        }
        Ok(())
    }

    async fn write(&self, bulk: Bulk) -> Result<(), String> {
        if bulk.is_empty() {
            return Ok(());
        }
        self.app.writer.write_bulk(bulk).await.map(drop).map_err(text)
    }

    /// Looks for the payouts of lines without our reference by the bank's: one pass over the payouts of that time for all of
    /// them, because an index would be paid for by every payout. The amounts must be equal.
    async fn decide_by_rrn(&mut self) -> Result<(), String> {
        let mut items = std::mem::take(&mut self.undecided);
        let booked = |item: &Item| item.row.booked_at;
        let (Some(from), Some(to)) = (items.iter().map(booked).min(), items.iter().map(booked).max()) else {
            return Ok(());
        };
        let wanted: HashSet<&str> = items.iter().flat_map(Item::called).collect();
        let mut found: HashMap<String, Vec<PayoutKnown>> = HashMap::new();
        let mut earlier: Vec<WithRrn> = Vec::new();
        let mut each = |one: WithRrn| {
            if wanted.contains(one.rrn.as_str()) {
                match one.known {
                    Some(known) => found.entry(one.rrn).or_default().push(known),
                    None => earlier.push(one),
                }
            }
            Ok(())
        };
        let time = (from.after(-RRN_DAYS), to.after(2 * DAY));
        self.app.store.each_payout_with_rrn(self.connector, time, &mut each).await.map_err(text)?;
        for one in earlier {
            // An earlier attempt paid: its reference is not in the row, but can be derived again.
            let references = self.derived(one.merchant, &one.order, one.attempt);
            let known = self.app.store.attempts_by_reference(self.connector, &references).await.map_err(text)?;
            found.entry(one.rrn).or_default().extend(known.into_iter().find(|known| known.attempt == one.attempt));
        }
        for item in &mut items {
            let called = item.called().filter_map(|bank| found.get(bank)).flatten();
            let fits: Vec<&PayoutKnown> = called.filter(|known| known.amount_paise == item.row.amount_paise).collect();
            // Two that fit are none.
            let one = fits.first().filter(|first| fits.iter().all(|other| other.payout == first.payout));
            item.payout = one.map(|known| **known);
        }
        let mut items = items.into_iter();
        while !items.as_slice().is_empty() {
            self.deal_by_rrn(items.by_ref().take(LINES_AT_ONCE).collect()).await?;
        }
        Ok(())
    }

    fn derived(&self, merchant: MerchantId, order: &hundi_core::ids::OrderId, attempt: i64) -> [Reference; 4] {
        let attempt = u32::try_from(attempt).unwrap_or(0);
        Reference::candidates(&self.app.installation, merchant, order, attempt)
    }

    async fn deal_by_rrn(&mut self, items: Vec<Item>) -> Result<(), String> {
        let payouts: Vec<PayoutKnown> = items.iter().filter_map(|item| item.payout).collect();
        let ids: Vec<(MerchantId, PayoutId)> = payouts.iter().map(|payout| (payout.merchant, payout.payout)).collect();
        let store = &self.app.store;
        let names: BTreeSet<&str> = payouts
            .iter()
            .map(|payout| payout.reference.as_str())
            .chain(items.iter().map(|item| item.row.reference.as_str()))
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        let mut kept: HashMap<String, Vec<Kept>> = HashMap::new();
        let lines = store.statement_lines(self.connector, &names).await.map_err(text)?;
        for one in lines.into_iter().chain(store.statement_lines_by_rrn(&ids).await.map_err(text)?) {
            kept.entry(one.reference.clone()).or_default().push(one);
        }
        let now = self.app.clock.now();
        let (mut bulk, mut records, mut credits) = (Bulk::default(), Vec::new(), Vec::new());
        for item in items {
            if let Some(credit) = item.credit(self.connector, &self.seen) {
                credits.push((item, credit));
                continue;
            }
            let by_payout = item.payout.map(|payout| payout.payout.to_string());
            let names = [item.payout.as_ref().map_or(item.row.reference.as_str(), |payout| payout.reference.as_str())];
            let names = names.into_iter().chain(by_payout.as_deref());
            let named: Vec<&[Kept]> = names.filter_map(|name| kept.get(name)).map(Vec::as_slice).collect();
            let before: usize = named.iter().map(|kept| others(kept, &item)).sum();
            let judged = match item.judge(before > 0, named.iter().any(|kept| has_taken_back(kept))) {
                Judged::Later => Judged::Tell(item.unknown(item.side)),
                judged => judged,
            };
            let mut found = self.found(&mut bulk, &item, judged, before, now);
            found.by_rrn = found.payout.is_some();
            bulk.mark(self.connector, (&item.row.reference, &item.row.line), &found);
            let (reference, line, side) = (item.row.reference.clone(), item.row.line.clone(), item.row.side);
            let name = by_payout.unwrap_or_else(|| reference.clone());
            let result = judged.kept_as(found.result);
            kept.entry(name).or_default().push(Kept { reference, line, side, result, kind: found.kind });
            if let Judged::Record(outcome) = judged {
                records.push((item, outcome));
            }
        }
        self.write(bulk).await?;
        self.record(records, true).await?;
        self.book(credits).await
    }

    /// Books credits that belong to no payout, in the order of the file.
    async fn book(&mut self, credits: Vec<(Item, CreditLine)>) -> Result<(), String> {
        let (writer, actor) = (&self.app.writer, &self.actor);
        let booked = credits.into_iter().map(|(item, line)| {
            let command = Command::Credit { line: Box::new(line), actor: actor.clone() };
            async move { (item.at, writer.execute(command).await) }
        });
        let booked: Vec<_> = stream::iter(booked).buffered(RECORDS_AT_ONCE).collect().await;
        for (at, decision) in booked {
            let line = match decision.map_err(text)? {
                Decision::Done(done) => done.line,
                // Another process has read the same file at the same time.
                Decision::Repeat(_) => None,
                Decision::Refused(refusal) => return Err(format!("line {at}: {}", refusal.as_str())),
            };
            let Some(line) = line else {
                self.report.repeated += 1;
                continue;
            };
            let credited = line.credited;
            self.report.funded += u64::from(matches!(credited, Credited::Funded | Credited::Expected));
            self.report.suspended += u64::from(credited == Credited::Suspended);
            self.report.known += u64::from(credited == Credited::Again);
            if let Some(kind) = credited.told() {
                let (reference, detail) = (exception_of(&line), line.detail.to_string());
                self.report.tell(Difference { at, kind, reference, payout: None, detail });
            }
        }
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
