//! The auditor: reads the rows of the store with statements of its own, keeps a ledger of its own, and says which law is
//! broken. It looks after every step that wrote something, and folds everything after restarts and at the end.

use super::merchants::Merchants;
use super::statements::{Credit, Lie};
use hundi_core::payout::ExceptionKind;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row, params};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub const FUND: i64 = 1;
const RESERVE: i64 = 2;
const RELEASE: i64 = 3;
const SETTLE: i64 = 4;
const RESTORE: i64 = 5;
const WITHDRAW: i64 = 6;
const SUSPENSE: i64 = 10;
const IDENTIFY: i64 = 11;
/// A [`FUND`] that two people have said.
const IDENTIFIED: i64 = 101;
/// Due when the operator says so.
const WAITING: i64 = i64::MAX;

/// The accounts of a merchant, folded row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub wallet: i64,
    pub reserved: i64,
    pub fees: i64,
    pub gst: i64,
    pub bank: i64,
    /// Of the house.
    pub suspense: i64,
    pub at: i64,
    /// The wallet after each row.
    pub wallets: Vec<i64>,
    /// Kind, amount and payout of each row.
    pub rows: Vec<(i64, i64, Option<i64>)>,
}

/// A payout as its row says.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: i64,
    pub merchant: i64,
    pub order_id: String,
    pub rail: i64,
    pub amount: i64,
    pub fee: i64,
    pub gst: i64,
    pub name: String,
    pub hint: String,
    pub state: i64,
    pub next_at: Option<i64>,
}

/// What is known of a payout from the journal and from the rows that were seen before.
#[derive(Clone, Debug, Default)]
struct Known {
    moved: Vec<i64>,
    cost: (i64, i64, i64),
    state: i64,
}

/// The auditor and what it remembers.
pub struct Auditor {
    db: Option<Connection>,
    version: i64,
    opened: u64,
    pub ledgers: BTreeMap<i64, Ledger>,
    known: BTreeMap<i64, Known>,
    /// How often it looked, and how often everything was folded.
    pub looks: u64,
    pub folds: u64,
}

type Law = Result<(), String>;

impl Auditor {
    pub fn new() -> Auditor {
        Auditor {
            db: None,
            version: 0,
            opened: 0,
            ledgers: BTreeMap::new(),
            known: BTreeMap::new(),
            looks: 0,
            folds: 0,
        }
    }

    /// Opens the store; again after it was gone.
    pub fn open(&mut self, path: &Path) -> Result<(), String> {
        self.opened += 1;
        self.reads();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(unreadable)?;
        db.pragma_update(None, "query_only", 1).map_err(unreadable)?;
        // It only reads: what it leaves must be as the others have left it.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(unreadable)?;
        db.set_prepared_statement_cache_capacity(32);
        (self.db, self.version) = (Some(db), -1);
        Ok(())
    }

    /// What is opened now is its own: it outlives every process, and is another's after the power was lost. SQLite opens the
    /// log only when something is read.
    fn reads(&self) {
        hundi_faultfs::act_as(u64::MAX - self.opened);
    }

    /// Forgets its handle.
    pub fn close(&mut self) {
        self.db = None;
    }

    fn all<T>(
        &self,
        sql: &str,
        args: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, String> {
        let Some(db) = &self.db else { return Ok(Vec::new()) };
        self.reads();
        let mut statement = db.prepare_cached(sql).map_err(unreadable)?;
        let rows = statement.query_map(args, row).map_err(unreadable)?;
        rows.collect::<Result<_, _>>().map_err(unreadable)
    }

    /// The laws after a step, over what the step wrote. Nothing is looked at if nothing was written.
    pub fn look(&mut self, merchants: &Merchants) -> Law {
        self.reads();
        let Some(db) = &self.db else { return Ok(()) };
        let version: i64 = db.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(unreadable)?;
        if version == self.version {
            return Ok(());
        }
        self.looks += 1;
        self.version = version;
        let accounts = self.all(
            "SELECT merchant_id, wallet_paise, reserved_paise, fees_paise, gst_paise, banks, journal_seq FROM accounts",
            [],
            |row| {
                let balances: [i64; 4] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
                Ok((row.get::<_, i64>(0)?, balances, row.get::<_, String>(5)?, row.get::<_, i64>(6)?))
            },
        )?;
        let mut touched = BTreeSet::new();
        for (merchant, balances, banks, seq) in accounts {
            self.fold(merchant, &mut touched)?;
            let ledger = self.ledgers.entry(merchant).or_default();
            let named = banks.split(',').filter_map(|bank| bank.split_once('='));
            let sum = |house: bool| -> i64 {
                let of = named.clone().filter(|(name, _)| name.starts_with("house:") == house);
                of.filter_map(|(_, paise)| paise.parse::<i64>().ok()).sum()
            };
            let (bank, suspense) = (sum(false), sum(true));
            let [wallet, reserved, fees, gst] = balances;
            if [wallet, reserved, fees, gst, bank, suspense]
                != [ledger.wallet, ledger.reserved, ledger.fees, ledger.gst, ledger.bank, ledger.suspense]
            {
                return Err(format!(
                    "I2: merchant {merchant} has {balances:?} and {banks}, the journal comes to {ledger:?}"
                ));
            }
            if wallet < 0 || reserved < 0 || suspense < 0 {
                return Err(format!("I3: merchant {merchant} has {balances:?}"));
            }
            if wallet + reserved + fees + gst + bank + suspense != 0 {
                return Err(format!("I1: the accounts of merchant {merchant} come to more or less than nothing"));
            }
            if seq != ledger.rows.len() as i64 {
                return Err(format!("I11: merchant {merchant} has {} journal rows, not {seq}", ledger.rows.len()));
            }
        }
        self.open_payouts(&touched, merchants)
    }

    /// Adds the new rows of a journal to the ledger.
    fn fold(&mut self, merchant: i64, touched: &mut BTreeSet<i64>) -> Law {
        let seen = self.ledgers.get(&merchant).map_or(0, |ledger| ledger.rows.len() as i64);
        let rows = self.all(
            "SELECT seq, at, kind, amount_paise, fee_paise, gst_paise, payout_id, wallet_after_paise, \
             memo LIKE 'proposal %' FROM journal WHERE merchant_id = ?1 AND seq > ?2 ORDER BY seq",
            params![merchant, seen],
            |row| {
                let numbers: [i64; 6] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
                Ok((numbers, row.get::<_, Option<i64>>(6)?, row.get::<_, i64>(7)?, row.get::<_, bool>(8)?))
            },
        )?;
        let ledger = self.ledgers.entry(merchant).or_default();
        for ([seq, at, kind, amount, fee, gst], payout, after, by_two) in rows {
            let total = amount + fee + gst;
            match kind {
                FUND => (ledger.wallet, ledger.bank) = (ledger.wallet + amount, ledger.bank - amount),
                RESERVE => (ledger.wallet, ledger.reserved) = (ledger.wallet - total, ledger.reserved + total),
                RELEASE => (ledger.wallet, ledger.reserved) = (ledger.wallet + total, ledger.reserved - total),
                SETTLE => {
                    ledger.reserved -= total;
                    (ledger.bank, ledger.fees, ledger.gst) =
                        (ledger.bank + amount, ledger.fees + fee, ledger.gst + gst);
                }
                RESTORE => {
                    ledger.wallet += total;
                    (ledger.bank, ledger.fees, ledger.gst) =
                        (ledger.bank - amount, ledger.fees - fee, ledger.gst - gst);
                }
                WITHDRAW => (ledger.wallet, ledger.bank) = (ledger.wallet - amount, ledger.bank + amount),
                SUSPENSE => (ledger.suspense, ledger.bank) = (ledger.suspense + amount, ledger.bank - amount),
                IDENTIFY => (ledger.suspense, ledger.bank) = (ledger.suspense - amount, ledger.bank + amount),
                _ => return Err(format!("I1: a journal row of kind {kind}")),
            }
            let in_order = seq == ledger.rows.len() as i64 + 1 && at > ledger.at;
            if ledger.wallet != after || ledger.wallet < 0 || ledger.reserved < 0 || !in_order {
                return Err(format!(
                    "I2, I3: after row {seq} of merchant {merchant} the wallet is {after}, not {ledger:?}"
                ));
            }
            ledger.at = at;
            ledger.wallets.push(after);
            let told = if kind == FUND && by_two { IDENTIFIED } else { kind };
            ledger.rows.push((told, amount, payout));
            let Some(payout) = payout else { continue };
            touched.insert(payout);
            let known = self.known.entry(payout).or_default();
            known.moved.push(kind);
            let may = [&[RESERVE][..], &[RESERVE, RELEASE], &[RESERVE, SETTLE], &[RESERVE, SETTLE, RESTORE]];
            if !may.contains(&known.moved.as_slice()) {
                return Err(format!("I6: the money of payout {payout} moved {:?}", known.moved));
            }
            if kind == RESERVE {
                known.cost = (amount, fee, gst);
            } else if known.cost != (amount, fee, gst) {
                return Err(format!("I2: payout {payout} reserved {:?} and moves {amount}, {fee}, {gst}", known.cost));
            }
        }
        Ok(())
    }

    /// The payouts that are open, and those whose money has moved.
    fn open_payouts(&mut self, touched: &BTreeSet<i64>, merchants: &Merchants) -> Law {
        let open = self.all(&format!("{PAYOUTS} WHERE next_at IS NOT NULL"), [], stored)?;
        let mut needed: BTreeMap<i64, i64> = BTreeMap::new();
        for payout in &open {
            if payout.state < 4 {
                *needed.entry(payout.merchant).or_default() += payout.amount + payout.fee + payout.gst;
            }
            self.payout(payout, merchants)?;
        }
        for id in touched {
            for payout in self.all(&format!("{PAYOUTS} WHERE payout_id = ?1"), params![id], stored)? {
                self.payout(&payout, merchants)?;
            }
        }
        for (merchant, ledger) in &self.ledgers {
            let needed = needed.get(merchant).copied().unwrap_or(0);
            if needed != ledger.reserved {
                return Err(format!(
                    "I8: merchant {merchant} has {} reserved, his open payouts need {needed}",
                    ledger.reserved
                ));
            }
        }
        Ok(())
    }

    /// A payout against what was ordered, what its money did, and where it was before.
    fn payout(&mut self, payout: &Stored, merchants: &Merchants) -> Law {
        let at = || format!("payout {} ({}, state {})", payout.id, payout.order_id, payout.state);
        let known = self.known.entry(payout.id).or_default();
        let fits = match payout.state {
            1..=3 => known.moved == [RESERVE],
            4 => known.moved == [RESERVE, SETTLE],
            5 => known.moved == [RESERVE, RELEASE] || known.moved.is_empty(),
            6 => known.moved == [RESERVE, RELEASE],
            7 => known.moved == [RESERVE, SETTLE, RESTORE],
            _ => false,
        };
        if !fits {
            return Err(format!("I7: {}: its money moved {:?}", at(), known.moved));
        }
        let leaves = match known.state {
            4 => matches!(payout.state, 4 | 7),
            5..=7 => payout.state == known.state,
            _ => true,
        };
        if !leaves {
            return Err(format!("I7: {} was {} before", at(), known.state));
        }
        known.state = payout.state;
        let merchant = usize::try_from(payout.merchant - 1).unwrap_or(usize::MAX);
        let Some(order) = merchants.orders.find(merchant, &payout.order_id) else {
            return Err(format!("I4: nobody ordered {}", at()));
        };
        let rail = ["NEFT", "RTGS", "IMPS", "UPI"].get(usize::try_from(payout.rail).unwrap_or(9)).copied();
        let (fee, gst) = merchants.fee(merchant, order.rupees * 100);
        let ordered = (order.rupees * 100, fee, gst, Some(order.rail), order.name.as_str());
        if ordered != (payout.amount, payout.fee, payout.gst, rail, payout.name.as_str()) {
            return Err(format!("I4: {} was ordered as {ordered:?} and stored as {payout:?}", at()));
        }
        let hinted = if order.rail == "UPI" {
            order.to.ends_with(&payout.hint)
        } else {
            order.to[order.to.len() - 4..] == payout.hint
        };
        if !hinted {
            return Err(format!("I4: {} pays {}, not {}", at(), payout.hint, order.to));
        }
        Ok(())
    }

    /// F1: what leaves for the bank is committed before.
    pub fn intended(&self, reference: &str) -> Law {
        let sql = "SELECT COUNT(*) FROM bank_references WHERE reference = ?1";
        let known: Vec<i64> = self.all(sql, [reference], |row| row.get(0))?;
        if known.first().is_none_or(|count| *count > 0) {
            return Ok(());
        }
        Err(format!("F1: the bank is asked to pay {reference}, which nobody has committed to"))
    }

    /// Everything, from the first row to the last: what the world was told is there, and nothing else is.
    pub fn fold_all(&mut self, merchants: &Merchants) -> Law {
        if self.db.is_none() {
            return Ok(());
        }
        self.folds += 1;
        self.look(merchants)?;
        let payouts = self.payouts()?;
        let mut there: BTreeMap<(usize, &str), &Stored> = BTreeMap::new();
        for payout in &payouts {
            self.payout(payout, merchants)?;
            let merchant = usize::try_from(payout.merchant - 1).unwrap_or(usize::MAX);
            if there.insert((merchant, &payout.order_id), payout).is_some() {
                return Err(format!("I4: {} is there twice", payout.order_id));
            }
        }
        for order in merchants.orders.all.iter().filter(|order| order.acknowledged) {
            match there.get(&(order.merchant, order.order_id.as_str())) {
                Some(stored) if order.ours.as_ref().is_none_or(|ours| *ours == stored.id.to_string()) => {}
                stored => {
                    return Err(format!(
                        "I4: {} was acknowledged as {:?}, and is {stored:?}",
                        order.order_id, order.ours
                    ));
                }
            }
        }
        Ok(())
    }

    /// All payouts, newest first.
    pub fn payouts(&self) -> Result<Vec<Stored>, String> {
        let mut payouts = self.all(PAYOUTS, [], stored)?;
        payouts.sort_by_key(|payout| std::cmp::Reverse(payout.id));
        Ok(payouts)
    }

    /// At rest: the bank's book and Hundi's agree, or an exception says why not.
    pub fn at_rest(&self, merchants: &Merchants) -> Result<bool, String> {
        let mut all_agree = true;
        let excepted: BTreeSet<i64> = self
            .all("SELECT payout_id FROM exceptions WHERE payout_id IS NOT NULL", [], |row| row.get(0))?
            .into_iter()
            .collect();
        for payout in self.payouts()? {
            let merchant = usize::try_from(payout.merchant - 1).unwrap_or(usize::MAX);
            let Some(order) = merchants.orders.find(merchant, &payout.order_id) else { continue };
            let agrees = match payout.state {
                4 => order.paid(),
                5 | 6 => !order.executed,
                7 => order.executed && order.reversed,
                _ => false,
            };
            let waits = payout.next_at == Some(WAITING) && excepted.contains(&payout.id);
            let accounted = excepted.contains(&payout.id) && (order.differs || payout.state < 4 && waits);
            if payout.state < 4 && !waits && !accounted {
                return Err(format!("I9: payout {} ({}) has not ended: {payout:?}", payout.id, payout.order_id));
            }
            if !agrees && !accounted {
                return Err(format!("I6: at rest payout {payout:?} is {order:?} at the bank"));
            }
            all_agree &= agrees;
            self.news(&payout, merchants)?;
        }
        Ok(all_agree)
    }

    /// What a bank has paid and not taken back is what the journal says of it.
    pub fn both_books(&self, connector: &str, paid_paise: i64, all_agree: bool) -> Law {
        let sql = "SELECT COALESCE(SUM(CASE kind WHEN 4 THEN amount_paise ELSE -amount_paise END), 0) FROM journal \
            WHERE connector = ?1 AND kind IN (4, 5)";
        let settled: Vec<i64> = self.all(sql, [connector], |row| row.get(0))?;
        if all_agree && settled != [paid_paise] {
            return Err(format!("both books: {connector} has paid {paid_paise} paise, the journal says {settled:?}"));
        }
        Ok(())
    }

    /// Each credit that a bank has told of is in the journal once, in the book of the merchant whose it is or in the house's,
    /// and nothing is in suspense that no bank has told of and nobody has proposed.
    pub fn credits(&self, connector: &str, credits: &[Credit]) -> Law {
        let sql = "SELECT merchant_id, kind, amount_paise, memo FROM journal WHERE connector = ?1 AND kind IN (1, 10) \
            AND memo NOT LIKE 'proposal %' AND (kind = 10 OR memo LIKE 'SIMB%')";
        let mut told: Vec<(i64, i64, i64, String)> =
            self.all(sql, [connector], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let book = |credit: &Credit| match credit.merchant {
            Some(merchant) => (merchant as i64 + 1, FUND, credit.paise, credit.utr.clone()),
            None => (0, SUSPENSE, credit.paise, credit.utr.clone()),
        };
        let mut arrived: Vec<_> = credits.iter().map(book).collect();
        told.sort();
        arrived.sort();
        if told != arrived {
            return Err(format!("credits of {connector}: the bank has told of {arrived:?}, booked are {told:?}"));
        }
        Ok(())
    }

    /// What two people have said is in the journal once, in the books that it is about, and nothing that they have not.
    pub fn by_two(&self) -> Law {
        let same = "SELECT proposal_id FROM proposals WHERE state = 2 AND \
            LOWER(REPLACE(decided_by, ' ', '')) = LOWER(REPLACE(proposed_by, ' ', ''))";
        // 6 withdraw and 8 suspense have a row, 9 identify two; what is declared moves the payout's money.
        let rows = "SELECT p.proposal_id FROM proposals p WHERE p.what IN (6, 8, 9) AND \
            (SELECT COUNT(*) FROM journal j WHERE j.memo LIKE 'proposal ' || p.proposal_id || ': %') <> \
            CASE WHEN p.state <> 2 THEN 0 WHEN p.what = 9 THEN 2 ELSE 1 END";
        for (law, sql) in [("one person approved his own proposal", same), ("rows of the journal for proposal", rows)] {
            let broken: Vec<i64> = self.all(sql, [], |row| row.get(0))?;
            if !broken.is_empty() {
                return Err(format!("A14: {law} {broken:?}"));
            }
        }
        Ok(())
    }

    /// The payouts that are open and wait for the operator.
    pub fn waiting(&self) -> Result<Vec<Stored>, String> {
        let mut payouts = self.payouts()?;
        payouts.retain(|payout| payout.state < 4 && payout.next_at == Some(WAITING));
        Ok(payouts)
    }

    /// The references under which a payment was started.
    pub fn references(&self) -> Result<BTreeSet<String>, String> {
        Ok(self.all("SELECT reference FROM bank_references", [], |row| row.get(0))?.into_iter().collect())
    }

    /// Every lie of a connector's statements is told to the operator, and nothing that is none.
    pub fn found(&self, connector: &str, lies: &[Lie]) -> Law {
        let sql = "SELECT kind, reference, detail FROM exceptions WHERE connector = ?1";
        let told: Vec<(i64, String, String)> =
            self.all(sql, [connector], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let name = |kind: i64| ExceptionKind::from_number(kind).map_or("?", ExceptionKind::name);
        for lie in lies {
            if !told.iter().any(|(kind, reference, _)| (name(*kind), reference) == (lie.kind, &lie.reference)) {
                return Err(format!("F20: nobody is told of {lie:?} of {connector}: {told:?}"));
            }
        }
        let by_statement =
            ["paid_here_only", "paid_there_only", "paid_twice", "return_missing", "unknown_debit", "unknown_credit"];
        for (kind, reference, detail) in &told {
            let lied = lies.iter().any(|lie| (lie.kind, &lie.reference) == (name(*kind), reference));
            if !lied && by_statement.contains(&name(*kind)) {
                return Err(format!("F20: a statement is said to have {} {reference}: {detail}", name(*kind)));
            }
        }
        Ok(())
    }

    /// I10: the news of a payout that has ended are those of its end, each once and in order.
    fn news(&self, payout: &Stored, merchants: &Merchants) -> Law {
        let rows = self.all(
            "SELECT seq, news, state, tries FROM callbacks WHERE payout_id = ?1 ORDER BY seq",
            params![payout.id],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?)),
        )?;
        let merchant = usize::try_from(payout.merchant - 1).unwrap_or(usize::MAX);
        let final_news: Vec<i64> = rows.iter().map(|row| row.1).filter(|news| *news != 2).collect();
        let moved = self.known.get(&payout.id).is_some_and(|known| !known.moved.is_empty());
        let expected: &[i64] = match payout.state {
            _ if !merchants.all[merchant].called => &[],
            4 => &[1],
            5 if !moved => &[],
            5 | 6 => &[3],
            7 => &[1, 4],
            _ => &[],
        };
        if final_news != expected || rows.iter().enumerate().any(|(at, row)| row.0 != at as i64 + 1) {
            return Err(format!("I10: payout {payout:?} has the callbacks {rows:?}"));
        }
        for (seq, _, state, tries) in rows {
            // Ten calls are made before one is given up.
            if state == 1 || state == 3 && tries < 10 {
                return Err(format!(
                    "I10: callback {seq} of payout {} is in state {state} after {tries} tries",
                    payout.id
                ));
            }
        }
        Ok(())
    }

    /// The callbacks that were delivered, by payout and number.
    pub fn delivered(&self) -> Result<Vec<(i64, i64)>, String> {
        self.all("SELECT payout_id, seq FROM callbacks WHERE state = 2", [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// When the next payout or callback is due that is not the operator's; microseconds.
    pub fn next_due_us(&self) -> Result<Option<i64>, String> {
        let sql = "SELECT MIN(next_at) FROM (SELECT next_at FROM payouts WHERE next_at IS NOT NULL AND next_at < ?1 \
            UNION ALL SELECT c.next_at FROM callbacks c WHERE c.next_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM callbacks e \
            WHERE e.merchant_id = c.merchant_id AND e.payout_id = c.payout_id AND e.seq < c.seq AND e.state = 1))";
        Ok(self.all(sql, params![WAITING], |row| row.get(0))?.into_iter().next().flatten())
    }

    /// What the store holds in the end, for the trace.
    pub fn digest(&self) -> Result<String, String> {
        let payouts = self.payouts()?;
        let states: Vec<String> = payouts.iter().map(|payout| format!("{}={}", payout.id, payout.state)).collect();
        let wallets: Vec<i64> = self.ledgers.values().map(|ledger| ledger.wallet).collect();
        Ok(format!("{} {wallets:?}", states.join(" ")))
    }
}

const PAYOUTS: &str = "SELECT payout_id, merchant_id, order_id, rail, amount_paise, fee_paise, gst_paise, name, hint, state, \
    next_at FROM payouts";

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: row.get(0)?,
        merchant: row.get(1)?,
        order_id: row.get(2)?,
        rail: row.get(3)?,
        amount: row.get(4)?,
        fee: row.get(5)?,
        gst: row.get(6)?,
        name: row.get(7)?,
        hint: row.get(8)?,
        state: row.get(9)?,
        next_at: row.get(10)?,
    })
}

fn unreadable(error: rusqlite::Error) -> String {
    format!("the auditor cannot read the store: {error}")
}
