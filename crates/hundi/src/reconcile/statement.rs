//! A statement as a whole: whose it is, whether it adds up and follows the one before it, and what it lacks.

use super::{Report, Run, text};
use crate::App;
use crate::store::statements::{Bulk, Difference, StatementRow, Unlined};
use hundi_core::command::EXPECTED_DAYS;
use hundi_core::formats::{Head, Line, Side};
use hundi_core::ids::{Connector, MerchantId, PayoutId, Reference};
use hundi_core::money::Balance;
use hundi_core::payout::ExceptionKind;
use hundi_core::schedule::{DAY, MINUTE, SECOND, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// Payouts without a line that one statement can tell of a merchant. Where there are more, a whole file is missing.
const UNLINED_MAX: i64 = 10_000;

/// A statement that is being read, or has been.
pub struct Open {
    head: Head,
    /// A keyed hash of the account's number.
    pub account: [u8; 32],
    /// The balance at its end, paise.
    pub closing_paise: Option<i64>,
    /// How many rows of it could not be read.
    pub bad: i64,
    /// How many lines, and what they come to, by side: credits, debits.
    sums: [(i64, i64); 2],
    booked: Option<(Timestamp, Timestamp)>,
    lines: Sha256,
}

impl Open {
    /// Begins a statement; refuses that of another account than the options name.
    pub fn new(app: &App, connector: Connector, head: Head) -> Result<Open, String> {
        let account: String = head.account.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(ours) = app.config.account_at(connector.as_str()) {
            // MT940 writes BANK/ACCOUNT, camt.053 an IBAN or the number, and some banks zeros before it.
            let digits = |number: &str| number.trim_start_matches('0').to_owned();
            let theirs = account.rsplit('/').next().unwrap_or_default();
            if !account.is_empty() && account != ours && digits(theirs) != digits(ours) {
                return Err(format!(
                    "the statement is of another account, ending with {}, than the options name for {connector} \
                     (`reconcile.accounts`, or its `account_number`); nothing of it was used",
                    last_four(&account)
                ));
            }
        }
        let account_hash = app.keys.blind("account", account.as_bytes());
        let head = Head { account: account.into(), ..head };
        let (sums, lines) = ([(0, 0); 2], Sha256::new());
        Ok(Open { head, account: account_hash, closing_paise: None, bad: 0, sums, booked: None, lines })
    }

    /// Counts a line; `None` where the sum does not fit.
    pub fn add(&mut self, line: &Line, key: &str) -> Option<()> {
        let [credits, debits] = &mut self.sums;
        let (count, paise) = if line.side == Side::Credit { credits } else { debits };
        *paise = paise.checked_add(line.amount_paise)?;
        *count += 1;
        let at = line.booked_at;
        self.booked = Some(self.booked.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
        self.lines.update(key.as_bytes());
        Some(())
    }

    /// The first and the last moment that it speaks of: what it says, or those of its lines.
    fn period(&self) -> (Timestamp, Timestamp) {
        self.head.period.or(self.booked).unwrap_or((Timestamp(0), Timestamp(0)))
    }

    fn row(&self, app: &App, file: [u8; 32]) -> StatementRow {
        let (from_at, to_at) = self.period();
        let balances = (self.head.opening_paise, self.closing_paise);
        let said = format!("{:?} {from_at:?} {to_at:?} {balances:?} {}", self.head.id, self.bad);
        let all = [&self.account[..], said.as_bytes(), &self.lines.clone().finalize()].concat();
        let [(credits, credit_paise), (debits, debit_paise)] = self.sums;
        StatementRow {
            statement: crate::keys::hex(&app.keys.blind("statement", &all)[..16]),
            bank_id: self.head.id.chars().take(64).collect(),
            account: self.account,
            hint: last_four(&self.head.account),
            file,
            from_at,
            to_at,
            opening_paise: self.head.opening_paise,
            closing_paise: self.closing_paise,
            credits,
            credit_paise,
            debits,
            debit_paise,
            bad: self.bad,
        }
    }
}

fn last_four(account: &str) -> String {
    let skipped = account.chars().count().saturating_sub(4);
    account.chars().skip(skipped).collect()
}

impl Run<'_> {
    /// All has been read: what is left is dealt with, and each whole statement is looked at as such.
    pub(super) async fn finish(mut self, file: [u8; 32]) -> Result<Report, String> {
        self.cut_short();
        self.deal().await?;
        self.accept().await?;
        self.decide_by_rrn().await?;
        if self.ended.is_empty() && self.report.lines == 0 {
            if let (true, Some((_, why))) = (self.foreign, self.report.bad_rows.first()) {
                return Err(why.to_string());
            }
            let why = self.report.bad_rows.first().map_or_else(String::new, |(at, why)| format!(": line {at}: {why}"));
            return Err(format!(
                "the file holds no statement{why}; see docs/operating.md for the formats that are read"
            ));
        }
        for open in std::mem::take(&mut self.ended) {
            let mut row = open.row(self.app, file);
            let mut told = Vec::new();
            self.sums(&row, &mut told);
            let whole = row.bad == 0 && (row.closing_paise.is_some() || open.head.whole);
            // What was asked for may be asked for again: the statement before it began before it.
            let began = if open.head.whole { row.from_at.after(-1) } else { row.from_at };
            let before = self.app.store.statement_before(self.connector, &row.account, &row.statement, began);
            let before = before.await.map_err(text)?.map(|(_, _, to, closing)| (to, closing));
            if open.head.whole && row.credits + row.debits == 0 && self.report.announced == 0 {
                // Nothing was booked, so it ends as it began.
                let balance = before.and_then(|(_, closing)| closing);
                (row.opening_paise, row.closing_paise) = (row.opening_paise.or(balance), row.closing_paise.or(balance));
            }
            if whole {
                self.follows(&row, before, &mut told);
                self.lacks(&row, before, &mut told).await?;
            }
            let now = self.app.clock.now();
            let mut bulk = Bulk::default();
            bulk.statement(self.connector, &row, &self.actor.to_string(), now);
            for difference in told {
                bulk.exception(self.connector, &difference, now);
                self.report.tell(difference);
            }
            self.write(bulk).await?;
            let balance = |paise: Option<i64>| paise.map(|paise| Balance::from_paise(paise).to_string());
            self.report.statements.push(json!({
                "statement": row.statement, "bank_id": row.bank_id, "account": format!("..{}", row.hint),
                "from": row.from_at.to_string(), "to": row.to_at.to_string(),
                "opening": balance(row.opening_paise), "credits": row.credits, "debits": row.debits,
                "closing": balance(row.closing_paise), "compared": whole,
            }));
        }
        Ok(self.report)
    }

    /// Opening balance + credits - debits = closing balance.
    fn sums(&self, row: &StatementRow, told: &mut Vec<Difference>) {
        let (Some(opening), Some(closing)) = (row.opening_paise, row.closing_paise) else { return };
        let ends = i128::from(opening) + i128::from(row.credit_paise) - i128::from(row.debit_paise);
        if ends != i128::from(closing) {
            let ends =
                i64::try_from(ends).map_or_else(|_| "a sum beyond all".into(), |p| Balance::from_paise(p).to_string());
            let closing = Balance::from_paise(closing);
            told.push(gap(
                format!("{}~sum", row.statement),
                format!("its lines come to {ends}, it ends with {closing}"),
            ));
        }
    }

    /// It begins where the one before it ended. One that overlaps another says the same lines again, which are kept once.
    fn follows(&self, row: &StatementRow, before: Option<(Timestamp, Option<i64>)>, told: &mut Vec<Difference>) {
        let Some((to, Some(closing))) = before else { return };
        let Some(opening) = row.opening_paise.filter(|opening| to <= row.from_at && *opening != closing) else {
            return;
        };
        let (opening, closing) = (Balance::from_paise(opening), Balance::from_paise(closing));
        let detail = format!("it begins with {opening}, the one before it ended with {closing} at {to}");
        told.push(gap(row.statement.clone(), detail));
    }

    /// What was settled here in its time and has no debit in it, what came back and has no credit, and what was booked by hand
    /// and has none. The end of its time is left to the next statement, because two books are never written at the same moment.
    async fn lacks(
        &self,
        row: &StatementRow,
        before: Option<(Timestamp, Option<i64>)>,
        told: &mut Vec<Difference>,
    ) -> Result<(), String> {
        let grace = self.app.config.reconcile.grace_minutes * MINUTE;
        let joins = |(to, closing): &(Timestamp, Option<i64>)| {
            to.after(SECOND) >= row.from_at || closing.is_some() && *closing == row.opening_paise
        };
        // Without the statement before it, what was sent before it began may stand there.
        let (from, created_from) = match before.filter(joins) {
            Some((to, _)) => (to.min(row.from_at).after(-grace), Timestamp(0)),
            None => (row.from_at.after(grace), row.from_at.after(grace)),
        };
        let until = row.to_at.after(-grace);
        let store = &self.app.store;
        // What was booked by hand ahead of the bank is given its days.
        let days = EXPECTED_DAYS * DAY;
        let expected_from = if created_from == Timestamp(0) { from.after(-days) } else { from };
        let time = (expected_from, until.after(-days));
        for one in store.credits_expected(self.connector, time, UNLINED_MAX).await.map_err(text)? {
            let amount = Balance::from_paise(one.amount_paise);
            let detail = format!("{amount} booked by hand {}; no such credit up to {}", one.at, row.to_at);
            let kind = ExceptionKind::CreditMissing;
            told.push(Difference { at: 0, kind, reference: one.reference, payout: None, detail });
        }
        for merchant in store.merchants().await.map_err(text)? {
            let from_seq = store.journal_seq_at(merchant.id, from).await.map_err(text)?;
            let to_seq = store.journal_seq_at(merchant.id, until).await.map_err(text)?;
            let seqs = (from_seq, to_seq);
            for side in [Side::Debit, Side::Credit] {
                let suspects =
                    store.booked_without_line(merchant.id, seqs, self.connector, created_from, side, UNLINED_MAX);
                for some in suspects.await.map_err(text)?.chunks(1_000) {
                    self.unlined(merchant.id, some, side, row, told).await?;
                }
            }
        }
        Ok(())
    }

    /// Those of the suspects whose paying attempt has no line of this side under its own reference either. What has not even a
    /// debit cannot come back: it is told as that.
    async fn unlined(
        &self,
        merchant: MerchantId,
        suspects: &[Unlined],
        side: Side,
        row: &StatementRow,
        told: &mut Vec<Difference>,
    ) -> Result<(), String> {
        let derived = |one: &Unlined| self.derived(merchant, &one.order, one.attempt);
        let references: Vec<Reference> = suspects.iter().flat_map(derived).collect();
        let names: Vec<&str> = references.iter().map(Reference::as_str).collect();
        let ids: Vec<(MerchantId, PayoutId)> = suspects.iter().map(|one| (merchant, one.payout)).collect();
        let store = &self.app.store;
        let mut lines = store.statement_lines(self.connector, &names).await.map_err(text)?;
        // Those that were found by the bank's reference stand under the payout's ID.
        lines.extend(store.statement_lines_by_rrn(&ids).await.map_err(text)?);
        let lined: HashSet<(&str, i64)> = lines.iter().map(|line| (line.reference.as_str(), line.side)).collect();
        let owned = store.attempts_by_reference(self.connector, &references).await.map_err(text)?;
        let owned: HashMap<Reference, _> = owned.into_iter().map(|known| (known.reference, known.payout)).collect();
        for one in suspects {
            let references = derived(one);
            let Some(own) = references.iter().find(|reference| owned.get(reference) == Some(&one.payout)) else {
                continue;
            };
            let by_payout = one.payout.to_string();
            let has = |side: Side| [own.as_str(), &by_payout].iter().any(|name| lined.contains(&(*name, side as i64)));
            if has(side) || side == Side::Credit && !has(Side::Debit) {
                continue;
            }
            let (kind, was, line) = match side {
                Side::Debit => (ExceptionKind::PaidHereOnly, "settled", "debit"),
                Side::Credit => (ExceptionKind::ReturnMissing, "came back", "credit"),
            };
            let amount = Balance::from_paise(one.amount_paise);
            let detail = format!("{amount} {was} {}; no {line} in the statement up to {}", one.at, row.to_at);
            let (reference, payout) = (own.as_str().to_owned(), Some((merchant, one.payout)));
            told.push(Difference { at: 0, kind, reference, payout, detail });
        }
        Ok(())
    }
}

fn gap(reference: String, detail: String) -> Difference {
    Difference { at: 0, kind: ExceptionKind::StatementGap, reference, payout: None, detail }
}
