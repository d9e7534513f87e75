//! What the banks' statements say, and how each line of them was matched. Nothing here moves money: what a line means for a
//! payout goes through the writer as a command.

use super::batch::{ADD_EXCEPTIONS, BYTES, INT, TEXT, decode_connector};
use super::{Arg, Lookup, Many, Row, Store, StoreError, Tx, Value};
use hundi_core::formats::Side;
use hundi_core::ids::{Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::payout::{ExceptionKind, State};
use hundi_core::postings::MovementKind;
use hundi_core::schedule::Timestamp;
use std::collections::HashSet;

pub(super) static ADD_STATEMENTS: Many = Many::insert(
    "statements",
    &[
        ("connector", TEXT),
        ("statement", TEXT),
        ("bank_id", TEXT),
        ("account", BYTES),
        ("hint", TEXT),
        ("file", BYTES),
        ("from_at", INT),
        ("to_at", INT),
        ("opening_paise", INT),
        ("closing_paise", INT),
        ("credits", INT),
        ("credit_paise", INT),
        ("debits", INT),
        ("debit_paise", INT),
        ("bad", INT),
        ("actor", TEXT),
        ("at", INT),
    ],
    "ON CONFLICT (connector, statement) DO NOTHING",
);
pub(super) static ADD_LINES: Many = Many::insert(
    "statement_lines",
    &[
        ("connector", TEXT),
        ("reference", TEXT),
        ("line", TEXT),
        ("side", INT),
        ("amount_paise", INT),
        ("booked_at", INT),
        ("sealed", BYTES),
        ("result", INT),
        ("kind", INT),
        ("matched", INT),
        ("merchant_id", INT),
        ("payout_id", INT),
        ("attempt", INT),
        ("rail", INT),
        ("at", INT),
    ],
    "ON CONFLICT (connector, reference, line) DO NOTHING",
);
pub(super) static MARK_LINES: Many = Many::update(
    "statement_lines",
    &[
        ("result", INT),
        ("kind", INT),
        ("matched", INT),
        ("merchant_id", INT),
        ("payout_id", INT),
        ("attempt", INT),
        ("rail", INT),
        ("connector", TEXT),
        ("reference", TEXT),
        ("line", TEXT),
    ],
    3,
);
static LINES_BY_REFERENCE: Lookup = Lookup::new(
    "l.reference, l.line, l.side, l.result, l.kind",
    "statement_lines l",
    "",
    &[("connector", TEXT), ("reference", TEXT)],
);
/// Only what the index `statement_lines_by_payout` holds.
static LINES_BY_PAYOUT: Lookup = Lookup::new(
    "l.payout_id, l.line, l.side, l.result, l.kind",
    "(SELECT * FROM statement_lines WHERE matched = 2) l",
    "",
    &[("merchant_id", INT), ("payout_id", INT)],
);
static PAYOUTS_BY_REFERENCE: Lookup = Lookup::new(
    "r.reference, r.merchant_id, r.payout_id, r.attempt, p.state, p.paid_attempt, p.amount_paise, \
     COALESCE(r.rail, p.rail)",
    "bank_references r",
    "JOIN payouts p ON p.merchant_id = r.merchant_id AND p.payout_id = r.payout_id",
    &[("connector", TEXT), ("reference", TEXT)],
);
const PAYOUTS_WITH_RRN: &str = "SELECT p.merchant_id, p.payout_id, p.order_id, p.state, p.attempts, p.paid_attempt, p.reference, \
    p.amount_paise, COALESCE(p.sent_rail, p.rail), p.rrn FROM payouts p CROSS JOIN merchants m WHERE p.payout_id >= $1 AND p.payout_id < $2 \
    AND p.connector = $3 AND p.rrn <> '' AND m.merchant_id = p.merchant_id";
// What was settled (4) and has no debit (2), or was given back (5) and has no credit (1). The reference is that of the last
// attempt; of an earlier one that paid, the caller asks.
const BOOKED_WITHOUT_LINE: &str = "SELECT j.payout_id, p.order_id, p.paid_attempt, j.amount_paise, j.at \
    FROM journal j JOIN payouts p ON p.merchant_id = j.merchant_id AND p.payout_id = j.payout_id \
    WHERE j.merchant_id = $1 AND j.seq >= $2 AND j.seq < $3 AND j.kind = $4 AND j.connector = $5 \
    AND p.created_at >= $6 AND NOT EXISTS (SELECT 1 FROM statement_lines l WHERE l.connector = $5 AND l.reference = p.reference AND l.side = $7) \
    AND NOT EXISTS (SELECT 1 FROM statement_lines b WHERE b.merchant_id = j.merchant_id AND b.payout_id = j.payout_id \
    AND b.matched = 2 AND b.side = $7) ORDER BY j.seq LIMIT $8";
const STATEMENT_BEFORE: &str = "SELECT statement, from_at, to_at, closing_paise FROM statements \
    WHERE connector = $1 AND account = $2 AND statement <> $3 AND from_at <= $4 AND bad = 0 ORDER BY to_at DESC, at DESC LIMIT 1";
const LINES_MISPLACED: &str = "SELECT l.connector, l.reference FROM statement_lines l \
    LEFT JOIN payouts p ON p.merchant_id = l.merchant_id AND p.payout_id = l.payout_id \
    WHERE l.payout_id IS NOT NULL AND (p.payout_id IS NULL OR l.result = 1 AND (p.amount_paise <> l.amount_paise \
    OR l.side = 2 AND p.state <> 4 AND p.state <> 7 OR l.side = 1 AND p.state <> 7)) ORDER BY l.connector, l.reference LIMIT 100";

/// Plain rows, many at once.
#[derive(Debug, Default)]
pub struct Bulk {
    rows: Vec<(&'static Many, Vec<Value>)>,
    /// What the operator is told already: a statement writes a row once.
    told: HashSet<(String, i64)>,
}

impl Bulk {
    pub(crate) async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        Ok(tx.write(&self.rows).await?.iter().sum())
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(|(_, values)| values.is_empty())
    }

    fn extend<const N: usize>(&mut self, many: &'static Many, values: [Value; N]) {
        match self.rows.iter_mut().find(|(known, _)| std::ptr::eq(*known, many)) {
            Some((_, all)) => all.extend(values),
            None => self.rows.push((many, values.into())),
        }
    }

    /// Keeps a statement.
    pub fn statement(&mut self, connector: Connector, row: &StatementRow, actor: &str, now: Timestamp) {
        self.extend(
            &ADD_STATEMENTS,
            [
                text(connector.as_str()),
                text(&row.statement),
                text(&row.bank_id),
                Value::Bytes(row.account.to_vec()),
                text(&row.hint),
                Value::Bytes(row.file.to_vec()),
                Value::Int(row.from_at.0),
                Value::Int(row.to_at.0),
                row.opening_paise.into(),
                row.closing_paise.into(),
                Value::Int(row.credits),
                Value::Int(row.credit_paise),
                Value::Int(row.debits),
                Value::Int(row.debit_paise),
                Value::Int(row.bad),
                text(actor),
                Value::Int(now.0),
            ],
        );
    }

    /// Keeps a line with what is known of it already.
    pub fn line(&mut self, connector: Connector, row: &LineRow, found: &Found, now: Timestamp) {
        let [result, kind, matched, merchant, payout, attempt, rail] = found.values();
        self.extend(
            &ADD_LINES,
            [
                text(connector.as_str()),
                text(&row.reference),
                text(&row.line),
                Value::Int(row.side),
                Value::Int(row.amount_paise),
                Value::Int(row.booked_at.0),
                Value::Bytes(row.sealed.clone()),
                result,
                kind,
                matched,
                merchant,
                payout,
                attempt,
                rail,
                Value::Int(now.0),
            ],
        );
    }

    /// Says of a line that was kept what has been found since.
    pub fn mark(&mut self, connector: Connector, (reference, line): (&str, &str), found: &Found) {
        let [result, kind, matched, merchant, payout, attempt, rail] = found.values();
        let key = [text(connector.as_str()), text(reference), text(line)];
        let [connector, reference, line] = key;
        self.extend(&MARK_LINES, [result, kind, matched, merchant, payout, attempt, rail, connector, reference, line]);
    }

    /// Tells the operator; once of a kind for a reference.
    pub fn exception(&mut self, connector: Connector, exception: &Difference, now: Timestamp) {
        if !self.told.insert((exception.reference.clone(), exception.kind as i64)) {
            return;
        }
        self.extend(
            &ADD_EXCEPTIONS,
            [
                text(connector.as_str()),
                text(&exception.reference),
                Value::Int(exception.kind as i64),
                exception.payout.map(|(merchant, _)| merchant.0).into(),
                exception.payout.map(|(_, payout)| payout.0).into(),
                text(&exception.detail),
                Value::Int(now.0),
            ],
        );
    }
}

/// A statement as it is kept.
#[derive(Clone, Debug)]
pub struct StatementRow {
    /// A keyed hash of all that it says.
    pub statement: String,
    /// What the bank calls it.
    pub bank_id: String,
    /// A keyed hash of the account's number.
    pub account: [u8; 32],
    /// The account's last four.
    pub hint: String,
    /// The SHA-256 of the file that it came in.
    pub file: [u8; 32],
    /// Its first moment.
    pub from_at: Timestamp,
    /// Its last.
    pub to_at: Timestamp,
    /// The balance before it, paise.
    pub opening_paise: Option<i64>,
    /// The balance after it, paise.
    pub closing_paise: Option<i64>,
    /// How many credits.
    pub credits: i64,
    /// What they come to, paise.
    pub credit_paise: i64,
    /// How many debits.
    pub debits: i64,
    /// What they come to, paise.
    pub debit_paise: i64,
    /// How many rows of it could not be read.
    pub bad: i64,
}

/// A booked line as it is kept.
#[derive(Clone, Debug)]
pub struct LineRow {
    /// What it is called: our reference, or the bank's, or what tells it from all others.
    pub reference: String,
    /// A keyed hash of what identifies it, and which of those that are equal in one file it is.
    pub line: String,
    /// 1 credit, 2 debit, as in `Side`.
    pub side: i64,
    /// How much, paise.
    pub amount_paise: i64,
    /// When the bank booked it.
    pub booked_at: Timestamp,
    /// References and narration, sealed.
    pub sealed: Vec<u8>,
}

/// What a line has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineResult {
    /// It is kept and not yet matched.
    Pending = 0,
    /// It says what we knew.
    Known = 1,
    /// It moved its payout.
    Moved = 2,
    /// It is a credit that a person had booked.
    Funded = 3,
    /// It is told to the operator.
    Told = 4,
    /// It has funded a wallet.
    Credited = 5,
    /// It lies in the house's suspense, and the operator is told.
    Suspended = 6,
}

/// What was found of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// What it has come to.
    pub result: LineResult,
    /// What was told to the operator.
    pub kind: Option<ExceptionKind>,
    /// Whether its payout was found by the bank's reference and not by ours.
    pub by_rrn: bool,
    /// Its payout.
    pub payout: Option<PayoutKnown>,
}

impl Found {
    pub(super) fn values(&self) -> [Value; 7] {
        let matched = match (self.payout, self.by_rrn) {
            (None, _) => 0,
            (Some(_), false) => 1,
            (Some(_), true) => 2,
        };
        [
            Value::Int(self.result as i64),
            self.kind.map(|kind| kind as i64).into(),
            Value::Int(matched),
            self.payout.map(|payout| payout.merchant.0).into(),
            self.payout.map(|payout| payout.payout.0).into(),
            self.payout.map(|payout| payout.attempt).into(),
            self.payout.map(|payout| payout.rail).into(),
        ]
    }
}

/// An attempt and its payout, as a line is judged by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PayoutKnown {
    /// Our reference of the attempt.
    pub reference: Reference,
    /// Whose payout.
    pub merchant: MerchantId,
    /// Which.
    pub payout: PayoutId,
    /// Which attempt the reference is of.
    pub attempt: i64,
    /// Where the payout is.
    pub state: State,
    /// The attempt that paid.
    pub paid_attempt: Option<i64>,
    /// How much was ordered, paise.
    pub amount_paise: i64,
    /// The number of the attempt's rail.
    pub rail: i64,
}

/// Something that differs, for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The line of the file; 0 where it is none.
    pub at: u64,
    /// What is wrong.
    pub kind: ExceptionKind,
    /// About what.
    pub reference: String,
    /// The payout, if known.
    pub payout: Option<(MerchantId, PayoutId)>,
    /// In words without secrets.
    pub detail: String,
}

/// A line that was kept before.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its reference.
    pub reference: String,
    /// Its key.
    pub line: String,
    /// 1 credit, 2 debit.
    pub side: i64,
    /// Its result's number.
    pub result: i64,
    /// What was told of it.
    pub kind: Option<ExceptionKind>,
}

/// A payout with the bank's reference.
#[derive(Clone, Debug)]
pub struct WithRrn {
    /// The payout; its reference is that of the attempt, where the row has it.
    pub known: Option<PayoutKnown>,
    /// Whose payout.
    pub merchant: MerchantId,
    /// The merchant's OrderID.
    pub order: OrderId,
    /// The attempt that the bank's reference is of.
    pub attempt: i64,
    /// The bank's reference.
    pub rrn: String,
}

/// A payout that was settled or given back, and has no such line under its last reference.
#[derive(Clone, Debug)]
pub struct Unlined {
    /// Which.
    pub payout: PayoutId,
    /// The merchant's OrderID.
    pub order: OrderId,
    /// The attempt that paid.
    pub attempt: i64,
    /// How much, paise.
    pub amount_paise: i64,
    /// When that was.
    pub at: Timestamp,
}

/// The statement before another: its key, its first and last moment, and its closing balance.
pub type Before = (String, Timestamp, Timestamp, Option<i64>);

impl Store {
    /// The attempts that have these references at a connector.
    pub async fn attempts_by_reference(
        &self,
        connector: Connector,
        references: &[Reference],
    ) -> Result<Vec<PayoutKnown>, StoreError> {
        let keys = references.iter().flat_map(|reference| [text(connector.as_str()), text(reference.as_str())]);
        let rows = self.find(&PAYOUTS_BY_REFERENCE, &keys.collect::<Vec<_>>()).await?;
        let known = |mut row: Row| {
            Ok(PayoutKnown {
                reference: reference(&row.text()?)?,
                merchant: MerchantId(row.int()?),
                payout: PayoutId(row.int()?),
                attempt: row.int()?,
                state: state(row.int()?)?,
                paid_attempt: row.int_or_null()?,
                amount_paise: row.int()?,
                rail: row.int()?,
            })
        };
        rows.into_iter().map(known).collect()
    }

    /// The lines that were kept under these references.
    pub async fn statement_lines(&self, connector: Connector, references: &[&str]) -> Result<Vec<Kept>, StoreError> {
        let keys = references.iter().flat_map(|reference| [text(connector.as_str()), text(reference)]);
        let rows = self.find(&LINES_BY_REFERENCE, &keys.collect::<Vec<_>>()).await?;
        let kept = |mut row: Row| {
            Ok(Kept {
                reference: row.text()?,
                line: row.text()?,
                side: row.int()?,
                result: row.int()?,
                kind: row.int_or_null()?.and_then(ExceptionKind::from_number),
            })
        };
        rows.into_iter().map(kept).collect()
    }

    /// The lines of these payouts that were found by the bank's reference. In place of a reference they have the payout's id.
    pub async fn statement_lines_by_rrn(&self, payouts: &[(MerchantId, PayoutId)]) -> Result<Vec<Kept>, StoreError> {
        let keys = payouts.iter().flat_map(|(merchant, payout)| [Value::Int(merchant.0), Value::Int(payout.0)]);
        let rows = self.find(&LINES_BY_PAYOUT, &keys.collect::<Vec<_>>()).await?;
        let kept = |mut row: Row| {
            Ok(Kept {
                reference: row.int()?.to_string(),
                line: row.text()?,
                side: row.int()?,
                result: row.int()?,
                kind: row.int_or_null()?.and_then(ExceptionKind::from_number),
            })
        };
        rows.into_iter().map(kept).collect()
    }

    /// Hands over every payout of a time whose last attempt went over a connector and has a reference of the bank's.
    pub async fn each_payout_with_rrn(
        &self,
        connector: Connector,
        (from, to): (Timestamp, Timestamp),
        each: &mut (dyn FnMut(WithRrn) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let (from, to) = (PayoutId::first_at(from), PayoutId::first_at(to));
        let args = [Arg::Int(from.0), Arg::Int(to.0), Arg::Text(connector.as_str())];
        self.scan(PAYOUTS_WITH_RRN, &args, &mut |row| each(with_rrn(row)?)).await
    }

    /// What a merchant's journal settled over a connector (`Debit`) or gave back (`Credit`), from one row's number to before
    /// another's, without such a line under the payout's last reference or the bank's; only payouts that were created at a
    /// moment or after it.
    pub async fn booked_without_line(
        &self,
        merchant: MerchantId,
        (from_seq, to_seq): (i64, i64),
        connector: Connector,
        created_from: Timestamp,
        side: Side,
        limit: i64,
    ) -> Result<Vec<Unlined>, StoreError> {
        let kind = if side == Side::Debit { MovementKind::Settle } else { MovementKind::Restore };
        let args = [
            Arg::Int(merchant.0),
            Arg::Int(from_seq),
            Arg::Int(to_seq),
            Arg::Int(kind as i64),
            Arg::Text(connector.as_str()),
            Arg::Int(created_from.0),
            Arg::Int(side as i64),
            Arg::Int(limit),
        ];
        let unlined = |mut row: Row| {
            Ok(Unlined {
                payout: PayoutId(row.int()?),
                order: order(&row.text()?)?,
                attempt: row.int_or_null()?.unwrap_or(0),
                amount_paise: row.int()?,
                at: Timestamp(row.int()?),
            })
        };
        self.query(BOOKED_WITHOUT_LINE, &args).await?.into_iter().map(unlined).collect()
    }

    /// The whole statement of an account that began before a moment (or then) and ended last; not this one.
    pub async fn statement_before(
        &self,
        connector: Connector,
        account: &[u8; 32],
        but: &str,
        at: Timestamp,
    ) -> Result<Option<Before>, StoreError> {
        let args = [Arg::Text(connector.as_str()), Arg::Bytes(account), Arg::Text(but), Arg::Int(at.0)];
        let before = |mut row: Row| -> Result<Before, StoreError> {
            Ok((row.text()?, Timestamp(row.int()?), Timestamp(row.int()?), row.int_or_null()?))
        };
        self.query(STATEMENT_BEFORE, &args).await?.into_iter().next().map(before).transpose()
    }

    /// How many statement lines belong to a payout, and those of them (at most 100) whose payout is not there, or is not
    /// what the line says.
    pub async fn misplaced_lines(&self) -> Result<(i64, Vec<(Connector, String)>), StoreError> {
        let counted = "SELECT COUNT(*) FROM statement_lines WHERE payout_id IS NOT NULL";
        let counted = self.query(counted, &[]).await?.first_mut().map_or(Ok(0), Row::int)?;
        let rows = self.query(LINES_MISPLACED, &[]).await?;
        let misplaced = rows.into_iter().map(|mut row| Ok((decode_connector(&row.text()?)?, row.text()?)));
        Ok((counted, misplaced.collect::<Result<_, StoreError>>()?))
    }
}

fn with_rrn(mut row: Row) -> Result<WithRrn, StoreError> {
    let row = &mut row;
    let (merchant, payout, order) = (MerchantId(row.int()?), PayoutId(row.int()?), order(&row.text()?)?);
    let (state, attempts, paid_attempt) = (state(row.int()?)?, row.int()?, row.int_or_null()?);
    let last = row.text_or_null()?.map(|text| reference(&text)).transpose()?;
    let (amount_paise, rail, rrn) = (row.int()?, row.int()?, row.text()?);
    let attempt = paid_attempt.unwrap_or(attempts);
    let known = last.filter(|_| attempt == attempts).map(|reference| PayoutKnown {
        reference,
        merchant,
        payout,
        attempt,
        state,
        paid_attempt,
        amount_paise,
        rail,
    });
    Ok(WithRrn { known, merchant, order, attempt, rrn })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn reference(text: &str) -> Result<Reference, StoreError> {
    Reference::parse(text).ok_or_else(|| StoreError::Corrupt("a reference is not valid".into()))
}

fn order(text: &str) -> Result<OrderId, StoreError> {
    OrderId::parse(text).ok_or_else(|| StoreError::Corrupt("a payout's order_id is not valid".into()))
}

fn state(number: i64) -> Result<State, StoreError> {
    State::from_number(number).ok_or_else(|| StoreError::Corrupt("a payout's state is not valid".into()))
}
