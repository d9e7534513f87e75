//! `hundi report`: the finance desk's day, per merchant and in sum, and both books side by side.
//!
//! ```text
//! opening + what moved = closing              by the wallet that each journal row kept
//! reserved at the end  = what was open then   by the payouts
//! closing + what moved since = the balance of now
//! ```
//!
//! All three are checked by the report itself; where one does not hold it says so. It reads one view of the store, row by
//! row, and keeps sums and a bounded list of payouts; it needs no key and changes nothing.

use crate::admin::{age, csv_cell};
use crate::config::Config;
use crate::store::reads::MerchantView;
use crate::store::report::{Booked, Lines, OpenPayout, Paying};
use crate::store::{Store, StoreError};
use hundi_core::command::named_alone;
use hundi_core::ids::{Connector, MerchantId, PayoutId};
use hundi_core::money::Balance;
use hundi_core::payout::{ExceptionKind, State};
use hundi_core::plant::{Plant, planted};
use hundi_core::postings::{Account, Cost, JournalRow, MovementKind, ONE_OF_TWO};
use hundi_core::rails::Rail;
use hundi_core::schedule::{DAY, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Payouts and exceptions that are listed of each sort; all are counted.
const LISTED_MAX: usize = 1_000;

/// How many, and what they come to, paise.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// How many.
    pub count: i64,
    /// Their amounts.
    pub amount_paise: i64,
    /// Their fees.
    pub fee_paise: i64,
    /// The GST on the fees.
    pub gst_paise: i64,
}

impl Tally {
    fn add(&mut self, other: Tally) -> Result<(), StoreError> {
        for (sum, more) in [
            (&mut self.count, other.count),
            (&mut self.amount_paise, other.amount_paise),
            (&mut self.fee_paise, other.fee_paise),
            (&mut self.gst_paise, other.gst_paise),
        ] {
            *sum = sum.checked_add(more).ok_or_else(too_large)?;
        }
        Ok(())
    }

    fn of(count: i64, amount_paise: i64) -> Tally {
        Tally { count, amount_paise, ..Tally::default() }
    }

    fn document(&self) -> Value {
        json!({
            "count": self.count, "amount": rupees(self.amount_paise), "fee": rupees(self.fee_paise),
            "gst": rupees(self.gst_paise),
        })
    }
}

/// A merchant's day, or the sum of all merchants'.
#[derive(Clone, Default, Debug)]
pub struct Book {
    /// The merchant's ID; empty for the sum.
    pub merchant: String,
    /// Wallet and reserve before the day, paise.
    pub opening_paise: [i64; 2],
    /// Wallet and reserve after it, paise.
    pub closing_paise: [i64; 2],
    /// What moved, by kind and rail.
    pub moved: BTreeMap<(MovementKind, Option<Rail>), Tally>,
}

/// Both books of a connector.
#[derive(Clone, Debug)]
pub struct Sides {
    /// Which.
    pub connector: Connector,
    /// What our journals say: out, in.
    pub ours: [Tally; 2],
    /// What the statements have booked: debits, credits.
    pub theirs: [Tally; 2],
    /// What the bank had at the beginning and at the end, by its statements, paise.
    pub balances: [Option<i64>; 2],
    /// Our debits by when the statements have booked them.
    pub settled: BTreeMap<&'static str, Tally>,
    /// The statements' lines of which the operator was told, by kind and side.
    pub told: BTreeMap<(ExceptionKind, bool), Tally>,
    /// The exceptions that they made.
    pub exceptions: Vec<String>,
}

/// A payout in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The merchant's ID.
    pub merchant: String,
    /// Over which rail.
    pub rail: Rail,
    /// How much, paise.
    pub amount_paise: i64,
    /// How long it was open at the end, or what became of it and how late.
    pub note: String,
    /// Whole days that it is late.
    pub late_days: i64,
    /// What is due for them, paise, where a rule names it.
    pub compensation_paise: Option<i64>,
}

/// Payouts of one sort: all counted, the oldest listed.
#[derive(Clone, Default, Debug)]
pub struct Payouts {
    /// All of them.
    pub all: Tally,
    /// What is due for all that are late, paise.
    pub compensation_paise: i64,
    /// Late ones for which no rule or no rate names an amount.
    pub unnamed: i64,
    /// The oldest.
    pub listed: BTreeMap<PayoutId, Listed>,
}

impl Payouts {
    fn add(&mut self, payout: PayoutId, one: Listed) -> Result<(), StoreError> {
        self.all.add(Tally::of(1, one.amount_paise))?;
        let due = one.compensation_paise.unwrap_or(0);
        self.compensation_paise = self.compensation_paise.checked_add(due).ok_or_else(too_large)?;
        self.unnamed += i64::from(one.late_days > 0 && one.compensation_paise.is_none());
        // Ids rise with time, so the oldest stay.
        self.listed.insert(payout, one);
        if self.listed.len() > LISTED_MAX {
            self.listed.pop_last();
        }
        Ok(())
    }
}

/// The day.
#[derive(Debug)]
pub struct Report {
    /// As it was asked for.
    pub day: String,
    /// Each merchant.
    pub merchants: Vec<Book>,
    /// All of them.
    pub sum: Book,
    /// Both books; none in the report of one merchant, because a line without a payout is nobody's.
    pub connectors: Vec<Sides>,
    /// What was open at the end.
    pub open: Payouts,
    /// What was late: open at the end, or ended on this day.
    pub late: Payouts,
    /// What does not tie.
    pub broken: Vec<String>,
}

/// What the report is made with.
struct Run<'a> {
    store: &'a Store,
    from: Timestamp,
    to: Timestamp,
    /// The end of the day, or now.
    end: Timestamp,
    repo_basis_points: Option<i64>,
    /// Where each merchant's day lies in his journal.
    seqs: BTreeMap<MerchantId, (i64, i64)>,
    /// What moved through the banks: out, in.
    banks: BTreeMap<Connector, [Tally; 2]>,
    report: Report,
}

/// The report of an Indian day, `YYYY-MM-DD`, of all merchants or of one. `store` is one view, so that nothing changes meanwhile.
pub async fn report(
    store: &Store,
    config: &Config,
    now: Timestamp,
    day: &str,
    merchant: Option<&str>,
) -> Result<Report, String> {
    let from = Timestamp::from_ist_date(day).ok_or_else(|| format!("`{day}` is not a date; write it YYYY-MM-DD"))?;
    let to = from.after(DAY);
    let report = Report {
        day: day.to_owned(),
        merchants: Vec::new(),
        sum: Book::default(),
        connectors: Vec::new(),
        open: Payouts::default(),
        late: Payouts::default(),
        broken: Vec::new(),
    };
    let mut run = Run {
        store,
        from,
        to,
        end: to.min(now),
        repo_basis_points: config.turnround.repo_basis_points,
        seqs: BTreeMap::new(),
        banks: BTreeMap::new(),
        report,
    };
    let mut all = store.merchants().await.map_err(text)?;
    all.retain(|known| merchant.is_none_or(|merchant| known.merchant == merchant));
    if let Some(merchant) = merchant.filter(|_| all.is_empty()) {
        return Err(format!("there is no merchant `{merchant}`; `hundi merchant list` shows all"));
    }
    let mut needed = Vec::new();
    let mut since = BTreeSet::new();
    for known in &all {
        needed.push(run.book(known, &mut since).await.map_err(text)?);
    }
    run.open(&all, &mut needed, &since).await.map_err(text)?;
    for (book, needed) in run.report.merchants.iter().zip(&needed) {
        if book.closing_paise[1] != needed.reserved_paise {
            run.report.broken.push(format!(
                "merchant {}: {} is reserved at the end, and the payouts that were open need {}",
                book.merchant,
                rupees(book.closing_paise[1]),
                rupees(needed.reserved_paise)
            ));
        }
    }
    if merchant.is_none() {
        run.sides().await.map_err(text)?;
    }
    Ok(run.report)
}

/// What the payouts of a merchant needed that were open at the end.
struct Needed {
    merchant: MerchantId,
    reserved_paise: i64,
}

/// What a row changes in wallet and reserve, paise, and the legs of banks by which money came or went.
type Changes = ([i64; 2], Vec<(Connector, i64)>);

/// Whether a row is one half of a passage between two books: through a bank's account in both, and through no bank.
fn passes(row: &JournalRow) -> bool {
    match row.movement.kind {
        MovementKind::Identify => true,
        // The other half of an identification; what a person or a statement books names no proposal.
        MovementKind::Fund => row.memo.starts_with("proposal "),
        MovementKind::Adjust => row.memo.ends_with(ONE_OF_TWO),
        _ => false,
    }
}

fn changes(row: &JournalRow) -> Result<Changes, StoreError> {
    let legs = row.movement.legs().ok_or_else(too_large)?;
    let (mut own, mut banks) = ([0; 2], Vec::new());
    for (account, paise) in legs {
        match account {
            Account::Wallet => own[0] += paise,
            Account::Reserved => own[1] += paise,
            Account::Bank(_) if passes(row) => {}
            Account::Bank(connector) => banks.push((connector, paise)),
            Account::Fees | Account::Gst | Account::House(_) => {}
        }
    }
    Ok((own, banks))
}

/// Adds legs of banks to what went out and came back.
fn pass(banks: &mut BTreeMap<Connector, [Tally; 2]>, legs: Vec<(Connector, i64)>) -> Result<(), StoreError> {
    for (connector, paise) in legs {
        let [out, back] = banks.entry(connector).or_default();
        let side = if paise > 0 { out } else { back };
        side.add(Tally::of(1, paise.checked_abs().ok_or_else(too_large)?))?;
    }
    Ok(())
}

fn add(to: &mut [i64; 2], change: [i64; 2]) -> Result<(), StoreError> {
    for (sum, change) in to.iter_mut().zip(change) {
        *sum = sum.checked_add(change).ok_or_else(too_large)?;
    }
    Ok(())
}

impl Run<'_> {
    /// A merchant's day. `since` gets the payouts that the journal, whose times only rise, has reserved after the end though
    /// they were accepted before it.
    async fn book(&mut self, known: &MerchantView, since: &mut BTreeSet<PayoutId>) -> Result<Needed, StoreError> {
        let (store, id) = (self.store, known.id);
        let seqs = (store.journal_seq_at(id, self.from).await?, store.journal_seq_at(id, self.to).await?);
        let mut book = Book { merchant: known.merchant.clone(), ..Book::default() };
        let mut before = |(row, _): (JournalRow, [u8; 32])| {
            book.opening_paise[0] = row.wallet_after.paise();
            Ok(())
        };
        store.each_journal_row_between(id, (seqs.0 - 1, seqs.0), &mut before).await?;
        let day = self.day(id, seqs, &mut book).await?;
        let (after, needed) = self.since(known, seqs.1, since).await?;
        book.closing_paise[1] = known.balances[1].paise().checked_sub(after[1]).ok_or_else(too_large)?;
        book.opening_paise[1] = book.closing_paise[1].checked_sub(day[1]).ok_or_else(too_large)?;
        let said = |from: i64, moved: i64, to: i64, ends: &str| {
            let comes_to = from.checked_add(moved).ok_or_else(too_large)?;
            let [from, shown, to_shown] = [from, comes_to, to].map(rupees);
            let said = format!(
                "merchant {}: {from} and what moved come to {shown}, and the wallet {ends} {to_shown}",
                known.merchant
            );
            Ok::<_, StoreError>((comes_to != to).then_some(said))
        };
        let [opening, closing] = [book.opening_paise[0], book.closing_paise[0]];
        self.report.broken.extend(said(opening, day[0], closing, "ended with")?);
        self.report.broken.extend(said(closing, after[0], known.balances[0].paise(), "holds")?);
        let sum = &mut self.report.sum;
        add(&mut sum.opening_paise, book.opening_paise)?;
        add(&mut sum.closing_paise, book.closing_paise)?;
        for (key, tally) in &book.moved {
            sum.moved.entry(*key).or_default().add(*tally)?;
        }
        self.seqs.insert(id, seqs);
        self.report.merchants.push(book);
        Ok(needed)
    }

    /// Folds the day's rows into the book; gives what they change in wallet and reserve.
    async fn day(&mut self, id: MerchantId, seqs: (i64, i64), book: &mut Book) -> Result<[i64; 2], StoreError> {
        let (mut wallet, mut day, mut odd) = (book.opening_paise[0], [0; 2], None);
        let (banks, report, repo) = (&mut self.banks, &mut self.report, self.repo_basis_points);
        let mut tally = |book: &mut Book, row: &JournalRow, paying: Option<Paying>| {
            let Cost { amount, fee_paise, gst_paise } = row.movement.cost;
            let one = Tally { count: 1, amount_paise: amount.paise(), fee_paise, gst_paise };
            book.moved.entry((row.movement.kind, paying.map(|paying| paying.rail))).or_default().add(one)?;
            match (row.payout, paying.and_then(|paying| ended_late(repo, row, paying, &book.merchant))) {
                (Some(payout), Some(late)) => report.late.add(payout, late),
                _ => Ok(()),
            }
        };
        // What an earlier attempt has paid went over the rail of that one, which has to be looked up.
        let mut earlier = Vec::new();
        let mut each = |row: JournalRow, paying: Option<Paying>| {
            let (own, legs) = changes(&row)?;
            let follows = wallet.checked_add(own[0]) == Some(row.wallet_after.paise());
            odd = odd.or((!follows).then_some(row.seq));
            wallet = row.wallet_after.paise();
            let kind = row.movement.kind;
            if kind == MovementKind::Restore && planted(Plant::ReportForgetsReversals) {
                return Ok(());
            }
            add(&mut day, own)?;
            pass(banks, legs)?;
            match (row.movement.connector, row.payout, paying.and_then(|paying| Some((paying, paying.paid_earlier?)))) {
                (Some(connector), Some(payout), Some((paying, attempt))) => {
                    earlier.push((row, paying, (connector, payout, attempt)));
                    Ok(())
                }
                _ => tally(book, &row, paying),
            }
        };
        self.store.each_movement(id, seqs, &mut each).await?;
        for (row, paying, (connector, payout, attempt)) in earlier {
            let rail = self.store.rail_of_attempt(connector, (id, payout), attempt).await?.unwrap_or(paying.rail);
            tally(book, &row, Some(Paying { rail, ..paying }))?;
        }
        book.closing_paise[0] = wallet;
        if let Some(seq) = odd {
            let merchant = &book.merchant;
            self.report.broken.push(format!(
                "merchant {merchant}: the wallet that journal row {seq} kept does not follow from the row before it"
            ));
        }
        Ok(day)
    }

    /// Folds the rows after the day: what they change, and what payouts needed at its end that have ended since.
    async fn since(
        &mut self,
        known: &MerchantView,
        from_seq: i64,
        since: &mut BTreeSet<PayoutId>,
    ) -> Result<([i64; 2], Needed), StoreError> {
        let (id, to, end, repo) = (known.id, self.to, self.end, self.repo_basis_points);
        let (mut after, mut needed) = ([0; 2], Needed { merchant: id, reserved_paise: 0 });
        let report = &mut self.report;
        let mut each = |row: JournalRow, paying: Option<Paying>| {
            let (own, _) = changes(&row)?;
            add(&mut after, own)?;
            let (Some(payout), Some(paying)) = (row.payout, paying.filter(|paying| paying.created_at < to)) else {
                return Ok(());
            };
            match row.movement.kind {
                MovementKind::Reserve => drop(since.insert(payout)),
                MovementKind::Release | MovementKind::Settle if !since.contains(&payout) => {
                    needed.reserved_paise = needed.reserved_paise.checked_sub(own[1]).ok_or_else(too_large)?;
                    let (amount_paise, reserved_paise) = (row.movement.cost.amount.paise(), -own[1]);
                    let open = OpenPayout { merchant: id, payout, amount_paise, reserved_paise, paying };
                    report.tell_open(&known.merchant, &open, end, repo)?;
                }
                _ => {}
            }
            Ok(())
        };
        self.store.each_movement(id, (from_seq, i64::MAX), &mut each).await?;
        Ok((after, needed))
    }

    /// What is open now and was open at the end.
    async fn open(
        &mut self,
        merchants: &[MerchantView],
        needed: &mut [Needed],
        since: &BTreeSet<PayoutId>,
    ) -> Result<(), StoreError> {
        let names: BTreeMap<MerchantId, &str> = merchants.iter().map(|one| (one.id, one.merchant.as_str())).collect();
        let report = &mut self.report;
        let mut each = |open: OpenPayout| {
            let Some(name) = names.get(&open.merchant).filter(|_| !since.contains(&open.payout)) else { return Ok(()) };
            if let Some(needed) = needed.iter_mut().find(|needed| needed.merchant == open.merchant) {
                let sum = needed.reserved_paise.checked_add(open.reserved_paise);
                needed.reserved_paise = sum.ok_or_else(too_large)?;
            }
            report.tell_open(name, &open, self.end, self.repo_basis_points)
        };
        self.store.each_open_payout(self.to, &mut each).await
    }

    /// Both books of each connector.
    async fn sides(&mut self) -> Result<(), StoreError> {
        let store = self.store;
        let time = (self.from, self.to);
        // What the house has borne, and what lies in its suspense, went through the banks too.
        let house = MerchantId::HOUSE;
        let seqs = (store.journal_seq_at(house, self.from).await?, store.journal_seq_at(house, self.to).await?);
        let banks = &mut self.banks;
        let mut each = |row: JournalRow, _: Option<Paying>| pass(banks, changes(&row)?.1);
        store.each_movement(house, seqs, &mut each).await?;
        let mut names: BTreeSet<Connector> = self.banks.keys().copied().collect();
        names.extend(store.connectors_with_statements().await?);
        for connector in names {
            let ours = self.banks.get(&connector).copied().unwrap_or_default();
            let (theirs, told) = (<[Tally; 2]>::default(), BTreeMap::new());
            let balances = store.balances_between(connector, time).await?;
            let (settled, exceptions) = (BTreeMap::new(), Vec::new());
            let mut sides = Sides { connector, ours, theirs, balances, settled, told, exceptions };
            for lines in store.lines_between(connector, time).await? {
                sides.booked(lines)?;
            }
            for (merchant, seqs) in &self.seqs {
                for (booked, count, paise) in store.settled_by_booking(*merchant, *seqs, connector, time).await? {
                    sides.settled.entry(booked.name()).or_default().add(Tally::of(count, paise))?;
                }
            }
            for (reference, line, kind) in store.lines_told(connector, time, LISTED_MAX as i64).await? {
                sides.exceptions.extend(exception_of(store, connector, &reference, &line, kind).await?);
            }
            sides.exceptions.dedup();
            self.report.connectors.push(sides);
        }
        Ok(())
    }
}

impl Booked {
    const fn name(self) -> &'static str {
        match self {
            Booked::Then => "booked_on_this_day",
            Booked::AnotherDay => "booked_on_another_day",
            Booked::Nowhere => "in_no_statement",
        }
    }
}

impl Sides {
    fn booked(&mut self, lines: Lines) -> Result<(), StoreError> {
        let tally = Tally::of(lines.count, lines.paise);
        self.theirs[usize::from(!lines.debit)].add(tally)?;
        if let Some(kind) = lines.kind {
            self.told.entry((kind, lines.debit)).or_default().add(tally)?;
        }
        Ok(())
    }

    /// Debits of this day's statements that were not settled here on this day.
    fn unsettled(&self) -> Tally {
        let here = self.settled.get(Booked::Then.name()).copied().unwrap_or_default();
        Tally::of(self.theirs[0].count - here.count, self.theirs[0].amount_paise.saturating_sub(here.amount_paise))
    }
}

/// The exception that a line made: under its reference, or, if others had been told before, with its own key after it.
async fn exception_of(
    store: &Store,
    connector: Connector,
    reference: &str,
    line: &str,
    kind: i64,
) -> Result<Option<String>, StoreError> {
    let own = named_alone(reference, line);
    let name = ExceptionKind::from_number(kind).map_or("unknown", ExceptionKind::name);
    for reference in [own.as_str(), reference] {
        if store.exception(connector.as_str(), reference, kind).await?.is_some() {
            return Ok(Some(format!("{connector}/{reference}/{name}")));
        }
    }
    Ok(None)
}

/// A payout that ended with this row, if it was late.
fn ended_late(repo_basis_points: Option<i64>, row: &JournalRow, paying: Paying, merchant: &str) -> Option<Listed> {
    let ends = match row.movement.kind {
        MovementKind::Release | MovementKind::Restore => true,
        // One that came back is told when it came back.
        MovementKind::Settle => paying.state != State::Reversed,
        _ => false,
    };
    let amount_paise = row.movement.cost.amount.paise();
    let clock = paying.rail.rules().turn_round.clock(paying.send_before, row.at, amount_paise, repo_basis_points);
    (ends && paying.attempts > 0 && clock.late_days > 0).then(|| Listed {
        merchant: merchant.to_owned(),
        rail: paying.rail,
        amount_paise,
        note: format!("{} at {}, due by {}", row.movement.kind.name(), row.at, clock.deadline),
        late_days: clock.late_days,
        compensation_paise: clock.compensation_paise,
    })
}

impl Report {
    /// Whether all sums tie.
    pub fn ties(&self) -> bool {
        self.broken.is_empty()
    }

    fn tell_open(
        &mut self,
        merchant: &str,
        open: &OpenPayout,
        end: Timestamp,
        repo_basis_points: Option<i64>,
    ) -> Result<(), StoreError> {
        let Paying { rail, created_at, send_before, attempts, .. } = open.paying;
        let clock = rail.rules().turn_round.clock(send_before, end, open.amount_paise, repo_basis_points);
        let mut one = Listed {
            merchant: merchant.to_owned(),
            rail,
            amount_paise: open.amount_paise,
            note: format!("open for {}", age(end.0.saturating_sub(created_at.0))),
            late_days: 0,
            compensation_paise: Some(0),
        };
        self.open.add(open.payout, one.clone())?;
        if attempts > 0 && clock.late_days > 0 {
            one.note = format!("open, due by {}", clock.deadline);
            (one.late_days, one.compensation_paise) = (clock.late_days, clock.compensation_paise);
            self.late.add(open.payout, one)?;
        }
        Ok(())
    }

    /// As one document.
    pub fn document(&self) -> Value {
        let listed = |payouts: &Payouts| {
            let listed = payouts.listed.iter().map(|(payout, one)| {
                json!({
                    "payout_id": payout.to_string(), "merchant_id": one.merchant, "rail": one.rail.as_str(),
                    "amount": rupees(one.amount_paise), "note": one.note, "late_days": one.late_days,
                    "compensation_due": one.compensation_paise.map(rupees),
                })
            });
            json!({
                "count": payouts.all.count, "amount": rupees(payouts.all.amount_paise),
                "compensation_due": rupees(payouts.compensation_paise), "compensation_unnamed": payouts.unnamed,
                "payouts": listed.collect::<Vec<_>>(),
            })
        };
        let connectors = self.connectors.iter().map(|sides| {
            let side = |tally: &Tally| json!({ "count": tally.count, "amount": rupees(tally.amount_paise) });
            let settled: BTreeMap<_, _> = sides.settled.iter().map(|(name, tally)| (name, side(tally))).collect();
            let told = sides.told.iter().map(|((kind, debit), tally)| {
                let side = if *debit { "debit" } else { "credit" };
                json!({ "kind": kind.name(), "side": side, "count": tally.count, "amount": rupees(tally.amount_paise) })
            });
            json!({
                "connector": sides.connector.as_str(),
                "ours": { "debits": side(&sides.ours[0]), "credits": side(&sides.ours[1]) },
                "statement": {
                    "opening": sides.balances[0].map(rupees), "debits": side(&sides.theirs[0]),
                    "credits": side(&sides.theirs[1]), "closing": sides.balances[1].map(rupees),
                },
                "settled": settled, "not_settled_on_this_day": side(&sides.unsettled()),
                "told": told.collect::<Vec<_>>(), "exceptions": sides.exceptions,
            })
        });
        json!({
            "day": self.day, "ties": self.ties(), "broken": self.broken,
            "merchants": self.merchants.iter().map(book_document).collect::<Vec<_>>(), "sum": book_document(&self.sum),
            "connectors": connectors.collect::<Vec<_>>(), "open": listed(&self.open), "late": listed(&self.late),
        })
    }

    /// As lines of cells, the head first: section, name, item, rail, count, amount, fee, gst, note.
    fn lines(&self) -> Vec<[String; 9]> {
        let head = ["section", "name", "item", "rail", "count", "amount", "fee", "gst", "note"];
        let mut lines = vec![head.map(ToOwned::to_owned)];
        let mut line = |section: &str, name: &str, item: &str, rail: Option<Rail>, tally: Tally, note: &str| {
            let rail = rail.map_or("", Rail::as_str);
            let count = if tally.count == 0 { String::new() } else { tally.count.to_string() };
            let cells = [
                section.to_owned(),
                name.to_owned(),
                item.to_owned(),
                rail.to_owned(),
                count,
                rupees(tally.amount_paise),
                rupees(tally.fee_paise),
                rupees(tally.gst_paise),
                note.to_owned(),
            ];
            lines.push(cells);
        };
        let all = Book { merchant: "(all)".to_owned(), ..self.sum.clone() };
        for book in self.merchants.iter().chain([&all]) {
            for (item, paise) in ["opening_wallet", "opening_reserved"].into_iter().zip(book.opening_paise) {
                line("merchant", &book.merchant, item, None, Tally::of(0, paise), "");
            }
            for ((kind, rail), tally) in &book.moved {
                line("merchant", &book.merchant, kind.name(), *rail, *tally, "");
            }
            for (item, paise) in ["closing_wallet", "closing_reserved"].into_iter().zip(book.closing_paise) {
                line("merchant", &book.merchant, item, None, Tally::of(0, paise), "");
            }
        }
        for sides in &self.connectors {
            let name = sides.connector.as_str();
            let [opening, closing] = sides.balances.map(|paise| paise.map(|paise| Tally::of(0, paise)));
            if let Some(opening) = opening {
                line("connector", name, "statement_opening", None, opening, "");
            }
            line("connector", name, "our_debits", None, sides.ours[0], "");
            line("connector", name, "statement_debits", None, sides.theirs[0], "");
            line("connector", name, "our_credits", None, sides.ours[1], "");
            line("connector", name, "statement_credits", None, sides.theirs[1], "");
            if let Some(closing) = closing {
                line("connector", name, "statement_closing", None, closing, "");
            }
            for (booked, tally) in &sides.settled {
                line("difference", name, booked, None, *tally, "");
            }
            line("difference", name, "not_settled_on_this_day", None, sides.unsettled(), "");
            for ((kind, debit), tally) in &sides.told {
                line("difference", name, kind.name(), None, *tally, if *debit { "debits" } else { "credits" });
            }
            for exception in &sides.exceptions {
                line("exception", name, "exception", None, Tally::default(), exception);
            }
        }
        for (section, payouts) in [("open", &self.open), ("late", &self.late)] {
            let due = format!("compensation due {}", rupees(payouts.compensation_paise));
            line(section, "(all)", "", None, payouts.all, if section == "late" { &due } else { "" });
            for (payout, one) in &payouts.listed {
                let mut note = one.note.clone();
                if one.late_days > 0 {
                    let due = one.compensation_paise.map_or("not named".to_owned(), rupees);
                    note += &format!(", {} days late, compensation due {due}", one.late_days);
                }
                let tally = Tally::of(1, one.amount_paise);
                line(section, &one.merchant, &payout.to_string(), Some(one.rail), tally, &note);
            }
        }
        let verdict = if self.ties() { "every sum ties" } else { "the sums do not tie" };
        line("verdict", &self.day, verdict, None, Tally::default(), &self.broken.join("; "));
        lines
    }

    /// As CSV: no cell that a spreadsheet would run.
    pub fn csv(&self) -> String {
        let line = |cells: &[String; 9]| cells.each_ref().map(|cell| csv_cell(cell)).join(",") + "\r\n";
        self.lines().iter().map(line).collect()
    }

    /// As a table for a person.
    pub fn text(&self) -> String {
        let lines = self.lines();
        let width = |at: usize| lines.iter().map(|cells| cells[at].chars().count()).max().unwrap_or(0);
        let widths: [usize; 9] = std::array::from_fn(width);
        let shown = |cells: &[String; 9]| {
            let cells = cells.iter().zip(widths).enumerate();
            // Numbers to the right.
            let cell = |(at, (cell, width)): (usize, (&String, usize))| {
                if (4..8).contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            };
            let line = cells.map(cell).collect::<Vec<_>>().join("  ");
            line.trim_end().to_owned() + "\n"
        };
        lines.iter().map(shown).collect()
    }
}

fn book_document(book: &Book) -> Value {
    let moved = book.moved.iter().map(|((kind, rail), tally)| {
        let mut shown = json!({ "kind": kind.name(), "rail": rail.map(Rail::as_str) });
        shown["sum"] = tally.document();
        shown
    });
    let balances = |[wallet, reserved]: [i64; 2]| json!({ "wallet": rupees(wallet), "reserved": rupees(reserved) });
    json!({
        "merchant_id": if book.merchant.is_empty() { Value::Null } else { json!(book.merchant) },
        "opening": balances(book.opening_paise), "moved": moved.collect::<Vec<_>>(),
        "closing": balances(book.closing_paise),
    })
}

fn rupees(paise: i64) -> String {
    Balance::from_paise(paise).to_string()
}

fn too_large() -> StoreError {
    StoreError::Corrupt("a sum of the report does not fit".into())
}

fn text(error: StoreError) -> String {
    error.to_string()
}
