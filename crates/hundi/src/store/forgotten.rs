//! What banks have said of references of ours that this store does not know.

use super::batch::{INT, TEXT, decode_connector, small};
use super::{Arg, Lookup, Many, Row, Store, StoreError, Value};
use hundi_core::command::Rules;
use hundi_core::forgotten::{self, Forgotten, Said};
use hundi_core::ids::{Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::schedule::Timestamp;
use std::collections::HashSet;

/// Where it is kept that there are such references at all: else nobody looks for them.
pub const FORGOTTEN: &str = "forgotten";

pub(super) static ADD_FORGOTTEN: Many = Many::insert(
    "forgotten_payments",
    &[("reference", TEXT), ("connector", TEXT), ("said", INT), ("amount_paise", INT), ("rrn", TEXT), ("at", INT)],
    "ON CONFLICT (reference, connector, said) DO NOTHING",
);
pub(super) static BY_REFERENCE: Lookup =
    Lookup::new("connector, reference, said, amount_paise, rrn", "forgotten_payments", "", &[("reference", TEXT)]);
const UNRECOGNISED: &str = "SELECT f.connector, f.reference, f.said, f.amount_paise, f.rrn, f.at FROM forgotten_payments f \
    WHERE NOT EXISTS (SELECT 1 FROM bank_references r WHERE r.connector = f.connector AND r.reference = f.reference) \
    ORDER BY f.reference, f.connector, f.said LIMIT $1";
const UNSTATED: &str = "SELECT COUNT(DISTINCT f.reference) FROM forgotten_payments f WHERE NOT EXISTS \
    (SELECT 1 FROM forgotten_payments s WHERE s.reference = f.reference AND s.connector = f.connector AND s.said IN (2, 4, 5)) \
    AND NOT EXISTS (SELECT 1 FROM bank_references r WHERE r.connector = f.connector AND r.reference = f.reference)";
const COUNTED: &str = "SELECT COUNT(DISTINCT f.reference) FROM forgotten_payments f \
    WHERE NOT EXISTS (SELECT 1 FROM bank_references r WHERE r.connector = f.connector AND r.reference = f.reference)";
const NOT_COVERED: &str = "SELECT f.connector, MAX(f.at) FROM forgotten_payments f WHERE f.said IN (1, 3) \
    AND NOT EXISTS (SELECT 1 FROM bank_references r WHERE r.connector = f.connector AND r.reference = f.reference) \
    GROUP BY f.connector HAVING MAX(f.at) > COALESCE((SELECT MAX(s.to_at) FROM statements s \
    WHERE s.connector = f.connector AND s.bad = 0), 0) ORDER BY f.connector";
const UNPAID: &str = "SELECT merchant_id, payout_id, order_id, attempts FROM payouts \
    WHERE state = 2 OR state = 3 OR state = 5 OR state = 6 OR state = 1 AND held = 1";
// The line that told of it says now what it has come to.
pub(super) const LINE_RECOGNISED: &str = "UPDATE statement_lines SET result = $1, kind = $2, matched = 1, \
    merchant_id = $3, payout_id = $4, attempt = $5, rail = $6 WHERE connector = $7 AND reference = $8 \
    AND result = 4 AND kind = 4";

/// A word about a forgotten payment, as the operator sees it.
#[derive(Clone, Debug)]
pub struct ForgottenView {
    /// What was said.
    pub forgotten: Forgotten,
    /// When it was heard.
    pub at: Timestamp,
}

/// Payouts that have not been paid as far as is known here, and that banks speak of.
#[derive(Default, Debug)]
pub struct Unpaid {
    /// Whose they are, and which.
    pub found: Vec<(MerchantId, PayoutId)>,
    /// How many cannot be read.
    pub damaged: u64,
}

pub(super) fn values(forgotten: &Forgotten, now: Timestamp) -> [Value; 6] {
    [
        Value::Text(forgotten.reference.as_str().to_owned()),
        Value::Text(forgotten.connector.as_str().to_owned()),
        Value::Int(forgotten.said as i64),
        forgotten.amount_paise.into(),
        Value::Text(forgotten.rrn.to_string()),
        Value::Int(now.0),
    ]
}

pub(super) fn decode(row: &mut Row) -> Result<Forgotten, StoreError> {
    let bad = |what: &str| StoreError::Corrupt(format!("a forgotten payment's {what} is not valid"));
    Ok(Forgotten {
        connector: decode_connector(&row.text()?)?,
        reference: Reference::parse(&row.text()?).ok_or_else(|| bad("reference"))?,
        said: Said::from_number(row.int()?).ok_or_else(|| bad("word"))?,
        amount_paise: row.int_or_null()?,
        rrn: row.text()?.into(),
    })
}

/// A reference that turned out to be a payout's attempt, and what became of its line: said, kind, rail.
pub(super) fn line_recognised(
    (connector, reference): (Connector, Reference),
    (merchant, payout, attempt): (MerchantId, PayoutId, u32),
    (result, kind, rail): (i64, Option<i64>, i64),
) -> [Value; 8] {
    [
        Value::Int(result),
        kind.into(),
        Value::Int(merchant.0),
        Value::Int(payout.0),
        Value::Int(i64::from(attempt)),
        Value::Int(rail),
        Value::Text(connector.as_str().to_owned()),
        Value::Text(reference.as_str().to_owned()),
    ]
}

impl Store {
    /// The words about references that are still not known here, by reference, at most so many.
    pub async fn forgotten(&self, limit: i64) -> Result<Vec<ForgottenView>, StoreError> {
        let view = |mut row: Row| Ok(ForgottenView { forgotten: decode(&mut row)?, at: Timestamp(row.int()?) });
        self.query(UNRECOGNISED, &[Arg::Int(limit)]).await?.into_iter().map(view).collect()
    }

    /// How many references of ours are spoken of and not known, and of how many of them no statement says what became of
    /// them.
    pub async fn forgotten_counts(&self) -> Result<(i64, i64), StoreError> {
        let count = |mut rows: Vec<Row>| rows.first_mut().map_or(Ok(0), Row::int);
        Ok((count(self.query(COUNTED, &[]).await?)?, count(self.query(UNSTATED, &[]).await?)?))
    }

    /// The connectors that have called about forgotten payments after the end of their last whole statement, with the
    /// time of the last call.
    pub async fn forgotten_since_statement(&self) -> Result<Vec<(Connector, Timestamp)>, StoreError> {
        let rows = self.query(NOT_COVERED, &[]).await?;
        rows.into_iter().map(|mut row| Ok((decode_connector(&row.text()?)?, Timestamp(row.int()?)))).collect()
    }

    /// The payouts that no start would look for among these references, which are not known here: that are held in the queue,
    /// at a bank, or have ended without being paid, and have made fewer attempts than banks have spoken of. With them, the
    /// payouts that cannot be read: nobody knows what they are.
    pub async fn unpaid_of(&self, references: &HashSet<Reference>, rules: &Rules) -> Result<Unpaid, StoreError> {
        let mut unpaid = Unpaid::default();
        let mut each = |mut row: Row| {
            let (merchant, payout) = (MerchantId(row.int()?), PayoutId(row.int()?));
            let (order, made) = (row.text()?, row.int()?);
            let (Some(order), Ok(made)) = (OrderId::parse(&order), small(made)) else {
                tracing::error!(merchant = merchant.0, payout = payout.0, "a damaged payout is not looked for");
                unpaid.damaged += 1;
                return Ok(());
            };
            let mut next = forgotten::references(rules, merchant, &order).filter(|(attempt, _)| *attempt > made);
            if next.any(|(_, reference)| references.contains(&reference)) {
                unpaid.found.push((merchant, payout));
            }
            Ok(())
        };
        self.scan(UNPAID, &[], &mut each).await?;
        Ok(unpaid)
    }

    /// Whether a bank has spoken of one of these references, which are not known here.
    pub async fn is_forgotten(&self, references: &[Reference]) -> Result<bool, StoreError> {
        let keys: Vec<Value> = references.iter().map(|one| Value::Text(one.as_str().to_owned())).collect();
        Ok(!self.find(&BY_REFERENCE, &keys).await?.is_empty())
    }
}
