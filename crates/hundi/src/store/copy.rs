//! Copies a whole store into an empty one: the way from the embedded database to PostgreSQL.

use super::alerts::ADD_ALERTS;
use super::batch::{
    ACCOUNT_COLUMNS, ADD_CALLBACKS, ADD_HISTORY, ADD_JOURNAL, ADD_PAYOUTS, ADD_REFERENCES, BYTES, INT, TEXT,
};
use super::credits::{ADD_CREDITS, ADD_NAMES, ADD_RULES};
use super::files::{ANSWERS, FILE_ROWS, FILES, SHARES};
use super::forgotten::ADD_FORGOTTEN;
use super::statements::{ADD_LINES, ADD_STATEMENTS};
use super::{Many, Store, StoreError, Value};

/// Rows that are written at once.
const ROWS: usize = 1_000;

static META: Many = Many::insert("meta", &[("name", TEXT), ("value", TEXT)], "");
static MERCHANTS: Many = Many::insert(
    "merchants",
    &[
        ("merchant_id", INT),
        ("merchant", TEXT),
        ("state", INT),
        ("payout_most_paise", INT),
        ("day_most_paise", INT),
        ("fees_neft", TEXT),
        ("fees_rtgs", TEXT),
        ("fees_imps", TEXT),
        ("fees_upi", TEXT),
        ("callback_url", BYTES),
        ("callback_pending", INT),
        ("callback_secret", BYTES),
        ("rail_choice", INT),
        ("actor", TEXT),
        ("created_at", INT),
    ],
    "",
);
static TOKENS: Many = Many::insert(
    "tokens",
    &[
        ("token_id", INT),
        ("token_hash", BYTES),
        ("merchant_id", INT),
        ("allow_ip", TEXT),
        ("rate_per_minute", INT),
        ("actor", TEXT),
        ("created_at", INT),
        ("revoked_at", INT),
    ],
    "",
);
static SETTINGS_HISTORY: Many = Many::insert(
    "settings_history",
    &[("merchant_id", INT), ("seq", INT), ("at", INT), ("actor", TEXT), ("what", TEXT)],
    "",
);
static ACCOUNTS: Many = Many::insert("accounts", ACCOUNT_COLUMNS, "");
static COMPLAINTS: Many = Many::insert(
    "complaints",
    &[
        ("merchant_id", INT),
        ("complaint_id", INT),
        ("payout_id", INT),
        ("state", INT),
        ("text", BYTES),
        ("actor", TEXT),
        ("created_at", INT),
    ],
    "",
);
static COMPLAINT_HISTORY: Many = Many::insert(
    "complaint_history",
    &[
        ("merchant_id", INT),
        ("complaint_id", INT),
        ("seq", INT),
        ("event", TEXT),
        ("text", BYTES),
        ("actor", TEXT),
        ("at", INT),
    ],
    "",
);
static BANK_MESSAGES: Many = Many::insert(
    "bank_messages",
    &[("connector", TEXT), ("reference", TEXT), ("message", TEXT), ("source", TEXT), ("body", BYTES), ("at", INT)],
    "",
);
/// The numbers of processes: ids go on after those that were given out.
static PROCESSES: Many = Many::insert("processes", &[("process", INT), ("lease_until", INT), ("fence", INT)], "");

static CONNECTORS: Many =
    Many::insert("connectors", &[("connector", TEXT), ("paused_at", INT), ("actor", TEXT), ("reason", TEXT)], "");

static EXCEPTIONS: Many = Many::insert(
    "exceptions",
    &[
        ("connector", TEXT),
        ("reference", TEXT),
        ("kind", INT),
        ("merchant_id", INT),
        ("payout_id", INT),
        ("detail", TEXT),
        ("at", INT),
        ("assignee", TEXT),
        ("resolved_at", INT),
        ("proposal_id", INT),
    ],
    "",
);
static PROPOSALS: Many = Many::insert(
    "proposals",
    &[
        ("proposal_id", INT),
        ("what", INT),
        ("subject", TEXT),
        ("merchant_id", INT),
        ("payout_id", INT),
        ("connector", TEXT),
        ("reference", TEXT),
        ("bank_reference", TEXT),
        ("amount_paise", INT),
        ("sides", TEXT),
        ("kind", INT),
        ("detail", TEXT),
        ("reason", TEXT),
        ("proposed_by", TEXT),
        ("proposed_at", INT),
        ("expires_at", INT),
        ("state", INT),
        ("decided_by", TEXT),
        ("decided_at", INT),
        ("decided_why", TEXT),
        ("debit", TEXT),
    ],
    "",
);

/// Every table, each with its columns.
static TABLES: [&Many; 28] = [
    &META,
    &PROCESSES,
    &CONNECTORS,
    &MERCHANTS,
    &TOKENS,
    &SETTINGS_HISTORY,
    &ACCOUNTS,
    &ADD_PAYOUTS,
    &ADD_JOURNAL,
    &ADD_HISTORY,
    &ADD_CALLBACKS,
    &COMPLAINTS,
    &COMPLAINT_HISTORY,
    &ADD_REFERENCES,
    &ADD_CREDITS,
    &ADD_NAMES,
    &ADD_RULES,
    &BANK_MESSAGES,
    &EXCEPTIONS,
    &PROPOSALS,
    &ADD_STATEMENTS,
    &ADD_LINES,
    &ADD_FORGOTTEN,
    &ADD_ALERTS,
    &SHARES,
    &FILES,
    &FILE_ROWS,
    &ANSWERS,
];

/// How many rows of a table were copied.
#[derive(Debug)]
pub struct Copied {
    /// The table.
    pub table: &'static str,
    /// The rows.
    pub rows: u64,
}

/// What a copy says of itself in `meta` until it is finished.
pub const NOT_YET: (&str, &str) = ("moved", "not yet finished; drop it, create it again and repeat `hundi copy`");

/// The tables of a store with their columns, as [`copy`] knows them.
pub fn tables() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    TABLES.iter().map(|many| (many.table, many.columns.iter().map(|(column, _)| *column).collect()))
}

/// Copies every row of the embedded database `from`, to which nobody writes meanwhile, into `to`, which has the schema and
/// no rows: all of them or none.
pub async fn copy(from: &Store, to: &Store) -> Result<Vec<Copied>, StoreError> {
    let Store::Sqlite(from) = from else {
        return Err(StoreError::Unusable("only the embedded database can be copied".into()));
    };
    let mut tx = to.begin().await?;
    let mut copied = Vec::with_capacity(TABLES.len());
    for many in TABLES {
        let mut rows = 0;
        from.chunks(&many.all(), ROWS, &mut async |chunk| {
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * many.columns.len());
            for row in chunk {
                values.extend(row.0);
            }
            rows += tx.write(&[(many, values)]).await?.iter().sum::<u64>();
            Ok(())
        })
        .await?;
        copied.push(Copied { table: many.table, rows });
    }
    // Until the source is marked as moved, this one is: whatever breaks off, at most one of them can be served.
    let unfinished = [NOT_YET.0, NOT_YET.1].map(|text| Value::Text(text.to_owned()));
    tx.write(&[(&META, unfinished.to_vec())]).await?;
    tx.commit().await?;
    Ok(copied)
}

impl Store {
    /// Whether nothing was ever done here.
    pub async fn is_fresh(&self) -> Result<bool, StoreError> {
        let rows = self.query("SELECT COUNT(*) FROM meta WHERE name = 'installation'", &[]).await?;
        rows.into_iter().next().map_or(Ok(true), |mut row| row.int().map(|rows| rows == 0))
    }
}
