//! Alerts as they are kept: each time one was raised or cleared, and what the operator's machine was told of it. And what
//! they are measured by.

use super::batch::{INT, TEXT, decode_banks, decode_connector};
use super::reads::open_exceptions;
use super::rows::Plain;
use super::{Arg, Many, Row, Store, StoreError, Value};
use hundi_core::ids::Connector;
use hundi_core::postings::Accounts;
use hundi_core::schedule::Timestamp;
use std::collections::BTreeMap;

pub(super) static ADD_ALERTS: Many = Many::insert(
    "alerts",
    &[
        ("kind", TEXT),
        ("subject", TEXT),
        ("seq", INT),
        ("raised", INT),
        ("at", INT),
        ("detail", TEXT),
        ("tries", INT),
        ("next_at", INT),
        ("result", TEXT),
    ],
    "ON CONFLICT (kind, subject, seq) DO NOTHING",
);
const STANDING: &str = "SELECT a.kind, a.subject, a.seq, a.raised, a.at, a.detail, a.tries, a.next_at FROM alerts a \
    WHERE NOT EXISTS (SELECT 1 FROM alerts b WHERE b.kind = a.kind AND b.subject = a.subject AND b.seq > a.seq) \
    ORDER BY a.kind, a.subject";
const DUE: &str = "SELECT a.kind, a.subject, a.seq, a.raised, a.at, a.detail, a.tries, a.next_at FROM alerts a \
    WHERE a.next_at IS NOT NULL AND a.next_at <= $1 AND NOT EXISTS (SELECT 1 FROM alerts b WHERE b.kind = a.kind \
    AND b.subject = a.subject AND b.seq < a.seq AND b.next_at IS NOT NULL) ORDER BY a.next_at LIMIT $2";
const EXCEPTIONS_SINCE: &str = concat!(
    "SELECT e.kind, COUNT(*), MIN(e.at) FROM exceptions e WHERE e.at < $1 AND ",
    open_exceptions!(),
    " GROUP BY e.kind ORDER BY e.kind"
);

/// An alert that was raised or cleared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertRow {
    /// What kind of alert.
    pub kind: String,
    /// What it is about: a connector, a kind of exception; empty where there is only one.
    pub subject: String,
    /// Which change of it, from 1.
    pub seq: i64,
    /// Whether it was raised, and not cleared.
    pub raised: bool,
    /// When.
    pub at: Timestamp,
    /// In words without secrets and persons.
    pub detail: String,
    /// How often the operator's machine was called.
    pub tries: i64,
    /// When it is called next; `None` if it need not be called any more.
    pub next_at: Option<Timestamp>,
}

fn row(mut row: Row) -> Result<AlertRow, StoreError> {
    Ok(AlertRow {
        kind: row.text()?,
        subject: row.text()?,
        seq: row.int()?,
        raised: row.int()? != 0,
        at: Timestamp(row.int()?),
        detail: row.text()?,
        tries: row.int()?,
        next_at: row.int_or_null()?.map(Timestamp),
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Adds a change of an alert; changes nothing if another process has seen it too.
pub fn alert_add(alert: &AlertRow) -> Plain {
    let sql = "INSERT INTO alerts (kind, subject, seq, raised, at, detail, tries, next_at, result) \
        VALUES ($1, $2, $3, $4, $5, $6, 0, $7, '') ON CONFLICT (kind, subject, seq) DO NOTHING";
    let values = vec![
        text(&alert.kind),
        text(&alert.subject),
        Value::Int(alert.seq),
        Value::Int(i64::from(alert.raised)),
        Value::Int(alert.at.0),
        text(&alert.detail),
        alert.next_at.map(|at| at.0).into(),
    ];
    Plain(vec![(sql, values)])
}

/// Claims a call that is due until a moment; changes nothing if another process has claimed it.
pub fn alert_claim(alert: &AlertRow, until: Timestamp) -> Plain {
    let sql = "UPDATE alerts SET next_at = $1 WHERE kind = $2 AND subject = $3 AND seq = $4 AND next_at = $5";
    let values = vec![
        Value::Int(until.0),
        text(&alert.kind),
        text(&alert.subject),
        Value::Int(alert.seq),
        alert.next_at.map(|at| at.0).into(),
    ];
    Plain(vec![(sql, values)])
}

/// Keeps what came of a call that was claimed until a moment: `next` is when it is made again, if it is.
pub fn alert_result(alert: &AlertRow, claimed: Timestamp, next: Option<Timestamp>, result: &str) -> Plain {
    let sql = "UPDATE alerts SET tries = tries + 1, next_at = $1, result = $2 \
        WHERE kind = $3 AND subject = $4 AND seq = $5 AND next_at = $6";
    let values = vec![
        next.map(|at| at.0).into(),
        text(result),
        text(&alert.kind),
        text(&alert.subject),
        Value::Int(alert.seq),
        Value::Int(claimed.0),
    ];
    Plain(vec![(sql, values)])
}

impl Store {
    /// Each alert that was ever raised, as it stands.
    pub async fn alerts(&self) -> Result<Vec<AlertRow>, StoreError> {
        self.query(STANDING, &[]).await?.into_iter().map(row).collect()
    }

    /// The calls that are due, the longest due first, of each alert the oldest.
    pub async fn alerts_due(&self, now: Timestamp, limit: i64) -> Result<Vec<AlertRow>, StoreError> {
        self.query(DUE, &[Arg::Int(now.0), Arg::Int(limit)]).await?.into_iter().map(row).collect()
    }

    /// How many payouts that were created before a moment are open, and the oldest creation time.
    pub async fn payouts_open_since(&self, before: Timestamp) -> Result<(i64, Option<Timestamp>), StoreError> {
        let sql = "SELECT COUNT(*), MIN(created_at) FROM payouts WHERE next_at IS NOT NULL AND state < 4 \
            AND created_at < $1";
        let mut rows = self.query(sql, &[Arg::Int(before.0)]).await?;
        let Some(row) = rows.first_mut() else { return Ok((0, None)) };
        Ok((row.int()?, row.int_or_null()?.map(Timestamp)))
    }

    /// How many exceptions from before a moment wait for a person, by kind's number, with the oldest time.
    pub async fn exceptions_since(&self, before: Timestamp) -> Result<Vec<(i64, i64, Timestamp)>, StoreError> {
        let rows = self.query(EXCEPTIONS_SINCE, &[Arg::Int(before.0)]).await?;
        rows.into_iter().map(|mut row| Ok((row.int()?, row.int()?, Timestamp(row.int()?)))).collect()
    }

    /// Until when each connector's statements go.
    pub async fn statements_until(&self) -> Result<BTreeMap<Connector, Timestamp>, StoreError> {
        let rows = self.query("SELECT connector, MAX(to_at) FROM statements GROUP BY connector", &[]).await?;
        rows.into_iter().map(|mut row| Ok((decode_connector(&row.text()?)?, Timestamp(row.int()?)))).collect()
    }

    /// What each connector's bank holds by our book, paise: the sum over all merchants; `None` where it does not fit.
    pub async fn held_at_connectors(&self) -> Result<BTreeMap<Connector, Option<i64>>, StoreError> {
        let mut held: BTreeMap<Connector, Option<i64>> = BTreeMap::new();
        for mut row in self.query("SELECT banks FROM accounts ORDER BY merchant_id", &[]).await? {
            let mut accounts = Accounts::default();
            decode_banks(&row.text()?, &mut accounts)?;
            for (connector, balance) in accounts.banks {
                // A bank's balance is minus what it holds for the merchant.
                let sum = held.entry(connector).or_insert(Some(0));
                *sum = sum.and_then(|sum| sum.checked_sub(balance.paise()));
            }
        }
        Ok(held)
    }
}
