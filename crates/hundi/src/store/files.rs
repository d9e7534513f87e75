//! Files that are exchanged with banks: which reference is in which file, how far each file is, and what the banks have left.
//!
//! ```text
//! a start adds a row to file 0 --gather--> 1 gathered --record--> 2 recorded --release--> 3 released --> 4 uploaded
//!                                            |   name and hash      ^     the name may appear   |
//!                                            +--> 6 empty           +-- written again           +--> 5 in doubt
//! ```
//!
//! Up to 2 the file's name has never been at the bank, so the file may be written again. From 3 on it is never.

use super::batch::{BY_ID, BYTES, HOLD, INT, TEXT, decode_payout, decode_rail};
use super::rows::Plain;
use super::{Arg, Many, Row, Store, StoreError, Value};
use hundi_core::ids::{Connector, MerchantId, PayoutId, Reference};
use hundi_core::payout::Payout;
use hundi_core::plant::{Plant, planted};
use hundi_core::rails::{RAILS, Rail};
use hundi_core::schedule::Timestamp;
use std::collections::BTreeMap;

const FILE_ROW_COLUMNS: &[(&str, super::Kind)] =
    &[("connector", TEXT), ("reference", TEXT), ("merchant_id", INT), ("payout_id", INT), ("file", INT), ("at", INT)];
/// Rows that wait for a file. An attempt that was left out of one is made again under the same reference; one that is in a
/// file stays there.
pub(super) static ADD_FILE_ROWS: Many = Many::insert(
    "bank_file_rows",
    FILE_ROW_COLUMNS,
    "ON CONFLICT (connector, reference) DO UPDATE SET file = 0, at = excluded.at WHERE bank_file_rows.file = -1",
);
pub(super) static FILE_ROWS: Many = Many::insert("bank_file_rows", FILE_ROW_COLUMNS, "");
pub(super) static SHARES: Many =
    Many::insert("bank_shares", &[("connector", TEXT), ("lease_until", INT), ("fence", INT)], "");
pub(super) static FILES: Many = Many::insert(
    "bank_files",
    &[
        ("connector", TEXT),
        ("number", INT),
        ("name", TEXT),
        ("hash", BYTES),
        ("transfers", INT),
        ("sum_paise", INT),
        ("state", INT),
        ("fence", INT),
        ("made_at", INT),
        ("moved_at", INT),
    ],
    "",
);
pub(super) static ANSWERS: Many = Many::insert(
    "bank_answers",
    &[("connector", TEXT), ("hash", TEXT), ("name", TEXT), ("result", INT), ("about", INT), ("at", INT)],
    "",
);

macro_rules! file_columns {
    () => {
        "SELECT number, name, hash, transfers, sum_paise, state, fence, made_at, moved_at FROM bank_files "
    };
}

/// How far a file is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FileState {
    /// Its rows are chosen.
    Gathered = 1,
    /// Its name and its hash are known; its name has never been at the bank.
    Recorded = 2,
    /// Its name may be at the bank.
    Released = 3,
    /// It was at the bank under its name.
    Uploaded = 4,
    /// Nobody knows whether it was.
    InDoubt = 5,
    /// None of its rows was left to send, so there is no such file.
    Empty = 6,
}

impl FileState {
    /// The state with this number.
    pub fn from_number(number: i64) -> Option<FileState> {
        use FileState::{Empty, Gathered, InDoubt, Recorded, Released, Uploaded};
        [Gathered, Recorded, Released, Uploaded, InDoubt, Empty].into_iter().find(|state| *state as i64 == number)
    }

    /// Its name, as lists print it.
    pub const fn name(self) -> &'static str {
        match self {
            FileState::Gathered => "gathered",
            FileState::Recorded => "recorded",
            FileState::Released => "released",
            FileState::Uploaded => "uploaded",
            FileState::InDoubt => "in doubt",
            FileState::Empty => "empty",
        }
    }
}

/// A file of orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRow {
    /// Its number at its connector, from 1.
    pub number: i64,
    /// Its name at the bank; empty until it is recorded.
    pub name: String,
    /// The SHA-256 of what it holds; empty until it is recorded.
    pub hash: Vec<u8>,
    /// How many payments are in it.
    pub transfers: i64,
    /// What they come to, paise.
    pub sum_paise: i64,
    /// How far it is.
    pub state: FileState,
    /// Under which lease it was recorded last.
    pub fence: i64,
    /// When its rows were chosen.
    pub made_at: Timestamp,
    /// When its state last changed.
    pub moved_at: Timestamp,
}

/// What waits for a file, over one rail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// The rail.
    pub rail: Rail,
    /// How many.
    pub count: i64,
    /// Since when the first of them waits.
    pub since: Timestamp,
}

/// Takes the lease of a share, `NAME` or `NAME/statements`, until `until`, if it is still as it was `seen`: its end and fence; `None` if there
/// was none.
pub fn share_take(share: &str, seen: Option<(Timestamp, i64)>, until: Timestamp) -> Plain {
    let Some((lease_until, fence)) = seen else {
        let sql = "INSERT INTO bank_shares (connector, lease_until, fence) VALUES ($1, $2, 1) \
            ON CONFLICT (connector) DO NOTHING";
        return Plain(vec![(sql, vec![text(share), Value::Int(until.0)])]);
    };
    let sql = "UPDATE bank_shares SET lease_until = $1, fence = fence + 1 \
        WHERE connector = $2 AND fence = $3 AND lease_until = $4";
    let key = [text(share), Value::Int(fence), Value::Int(lease_until.0)];
    Plain(vec![(sql, [&[Value::Int(until.0)][..], &key].concat())])
}

/// Prolongs the lease; changes nothing if somebody else has taken it.
pub fn share_keep(share: &str, fence: i64, until: Timestamp) -> Plain {
    let sql = "UPDATE bank_shares SET lease_until = $1 WHERE connector = $2 AND fence = $3";
    Plain(vec![(sql, vec![Value::Int(until.0), text(share), Value::Int(fence)])])
}

/// Gives the lease back, for the next who wants it.
pub fn share_give_back(share: &str, fence: i64) -> Plain {
    let sql = "UPDATE bank_shares SET lease_until = 0 WHERE connector = $1 AND fence = $2";
    Plain(vec![(sql, vec![text(share), Value::Int(fence)])])
}

/// The rows of a new file are those that wait.
const GATHER_ROWS: &str = "UPDATE bank_file_rows SET file = $1 WHERE connector = $2 AND file = 0 AND reference IN \
    (SELECT reference FROM bank_file_rows WHERE connector = $2 AND file = 0 ORDER BY at, reference LIMIT $3)";
/// The fault [`Plant::RowInTwoFiles`].
const GATHER_ALL_ROWS: &str = "UPDATE bank_file_rows SET file = $1 WHERE connector = $2 AND file >= 0 AND reference IN \
    (SELECT reference FROM bank_file_rows WHERE connector = $2 AND file >= 0 ORDER BY at, reference LIMIT $3)";

/// Chooses the rows of a new file: those that wait longest, at most `most`. Changes nothing if the number is taken, or if the
/// installation is on hold.
pub fn gather(connector: Connector, number: i64, most: i64, now: Timestamp) -> Plain {
    let add = "INSERT INTO bank_files (connector, number, name, hash, transfers, sum_paise, state, fence, made_at, moved_at) \
        SELECT $1, $2, '', $3, 0, 0, 1, 0, $4, $4 FROM (SELECT 1 AS one) o \
        WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name = $5) ON CONFLICT (connector, number) DO NOTHING";
    let rows = if planted(Plant::RowInTwoFiles) { GATHER_ALL_ROWS } else { GATHER_ROWS };
    Plain(vec![
        (
            add,
            vec![text(connector.as_str()), Value::Int(number), Value::Bytes(Vec::new()), Value::Int(now.0), text(HOLD)],
        ),
        (rows, vec![Value::Int(number), text(connector.as_str()), Value::Int(most)]),
    ])
}

/// Records what a file is, before a byte of it is written, and which of its rows are not in it. Changes nothing if it has been
/// released, if a later lease has recorded it, or if the installation is on hold. A file without payments is empty.
pub fn record(connector: Connector, file: &FileRow, left_out: &[Reference], now: Timestamp) -> Plain {
    let state = if file.transfers == 0 { FileState::Empty } else { FileState::Recorded };
    let change = "UPDATE bank_files SET name = $1, hash = $2, transfers = $3, sum_paise = $4, state = $5, fence = $6, \
        moved_at = $7 WHERE connector = $8 AND number = $9 AND state <= $10 AND fence <= $6 \
        AND NOT EXISTS (SELECT 1 FROM meta WHERE name = $11)";
    let values = vec![
        text(&file.name),
        Value::Bytes(file.hash.clone()),
        Value::Int(file.transfers),
        Value::Int(file.sum_paise),
        Value::Int(state as i64),
        Value::Int(file.fence),
        Value::Int(now.0),
        text(connector.as_str()),
        Value::Int(file.number),
        // Once it is released, its name may be at the bank.
        Value::Int(if planted(Plant::FileUploadedAgain) { 3 } else { 2 }),
        text(HOLD),
    ];
    left_out.iter().fold(Plain(vec![(change, values)]), |plain, reference| {
        plain.and(leave_out(connector, *reference, file.number))
    })
}

/// Says of a row that it is in no file: not in `from`, where it was or waited. Changes nothing if it was not there.
pub fn leave_out(connector: Connector, reference: Reference, from: i64) -> Plain {
    let sql = "UPDATE bank_file_rows SET file = -1 WHERE connector = $1 AND reference = $2 AND file = $3";
    Plain(vec![(sql, vec![text(connector.as_str()), text(reference.as_str()), Value::Int(from)])])
}

/// From now on the file's name may be at the bank: who has written this is the one who gives it its name. Changes nothing if
/// somebody else has recorded it since, or if the installation is on hold.
pub fn release(connector: Connector, file: &FileRow, now: Timestamp) -> Plain {
    let sql = "UPDATE bank_files SET state = 3, moved_at = $1 \
        WHERE connector = $2 AND number = $3 AND state = 2 AND fence = $4 AND hash = $5 \
        AND NOT EXISTS (SELECT 1 FROM meta WHERE name = $6)";
    let values = vec![
        Value::Int(now.0),
        text(connector.as_str()),
        Value::Int(file.number),
        Value::Int(file.fence),
        Value::Bytes(file.hash.clone()),
        text(HOLD),
    ];
    Plain(vec![(sql, values)])
}

/// The file was at the bank under its name. One that the bank answers was, whatever is known here: a restored backup may have
/// forgotten it.
pub fn uploaded(connector: Connector, number: i64, now: Timestamp) -> Plain {
    let sql = "UPDATE bank_files SET state = 4, moved_at = $1 \
        WHERE connector = $2 AND number = $3 AND state <> 1 AND state <> 6";
    Plain(vec![(sql, vec![Value::Int(now.0), text(connector.as_str()), Value::Int(number)])])
}

/// Nobody knows whether the bank has a file that was released.
pub fn in_doubt(connector: Connector, number: i64, now: Timestamp) -> Plain {
    let sql = "UPDATE bank_files SET state = 5, moved_at = $1 WHERE connector = $2 AND number = $3 AND state = 3";
    Plain(vec![(sql, vec![Value::Int(now.0), text(connector.as_str()), Value::Int(number)])])
}

/// Remembers a file that the bank has left: `about` is the number of the file that it answers, 0 for none.
pub fn answer(connector: Connector, hash: &str, name: &str, used: bool, about: i64, now: Timestamp) -> Plain {
    let sql = "INSERT INTO bank_answers (connector, hash, name, result, about, at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (connector, hash) DO UPDATE SET result = excluded.result, about = excluded.about, at = excluded.at";
    let values = vec![
        text(connector.as_str()),
        text(hash),
        text(name),
        Value::Int(if used { 1 } else { 2 }),
        Value::Int(about),
        Value::Int(now.0),
    ];
    Plain(vec![(sql, values)])
}

impl Store {
    /// The lease of a share: its end and its fence.
    pub async fn share(&self, share: &str) -> Result<Option<(Timestamp, i64)>, StoreError> {
        let sql = "SELECT lease_until, fence FROM bank_shares WHERE connector = $1";
        let row = self.query(sql, &[Arg::Text(share)]).await?.into_iter().next();
        row.map(|mut row| Ok((Timestamp(row.int()?), row.int()?))).transpose()
    }

    /// What waits for a file, by rail, of the `most` that wait longest.
    pub async fn waiting_for_file(&self, connector: Connector, most: i64) -> Result<Vec<Waiting>, StoreError> {
        let sql = "SELECT w.rail, COUNT(*), MIN(w.at) FROM (SELECT COALESCE(p.sent_rail, p.rail) AS rail, r.at FROM \
            (SELECT merchant_id, payout_id, at FROM bank_file_rows WHERE connector = $1 AND file = 0 \
            ORDER BY at, reference LIMIT $2) r JOIN payouts p ON p.merchant_id = r.merchant_id \
            AND p.payout_id = r.payout_id) w GROUP BY w.rail ORDER BY w.rail";
        let waiting = |mut row: Row| {
            let rail = usize::try_from(row.int()?).ok().and_then(|number| RAILS.get(number));
            let rail = rail.ok_or_else(|| StoreError::Corrupt("a payout's rail is not valid".to_owned()))?.rail;
            Ok(Waiting { rail, count: row.int()?, since: Timestamp(row.int()?) })
        };
        let rows = self.query(sql, &[Arg::Text(connector.as_str()), Arg::Int(most)]).await?;
        rows.into_iter().map(waiting).collect()
    }

    /// The number of a connector's last file; 0 if there is none.
    pub async fn last_file(&self, connector: Connector) -> Result<i64, StoreError> {
        let sql = "SELECT COALESCE(MAX(number), 0) FROM bank_files WHERE connector = $1";
        self.query(sql, &[Arg::Text(connector.as_str())]).await?.first_mut().map_or(Ok(0), Row::int)
    }

    /// How many files of a connector were made since a moment, before the one with this number.
    pub async fn files_since(&self, connector: Connector, at: Timestamp, number: i64) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM bank_files WHERE connector = $1 AND made_at >= $2 AND number < $3";
        let args = [Arg::Text(connector.as_str()), Arg::Int(at.0), Arg::Int(number)];
        self.query(sql, &args).await?.first_mut().map_or(Ok(0), Row::int)
    }

    /// The files of a connector that are on their way, the oldest first, at most 100.
    pub async fn files_under_way(&self, connector: Connector) -> Result<Vec<FileRow>, StoreError> {
        let sql = concat!(file_columns!(), "WHERE connector = $1 AND state <= 3 ORDER BY number LIMIT 100");
        self.query(sql, &[Arg::Text(connector.as_str())]).await?.into_iter().map(file).collect()
    }

    /// The newest files of a connector, at most so many.
    pub async fn files(&self, connector: Connector, limit: i64) -> Result<Vec<FileRow>, StoreError> {
        let sql = concat!(file_columns!(), "WHERE connector = $1 ORDER BY number DESC LIMIT $2");
        let args = [Arg::Text(connector.as_str()), Arg::Int(limit)];
        self.query(sql, &args).await?.into_iter().map(file).collect()
    }

    /// The newest file with this name.
    pub async fn file_named(&self, connector: Connector, name: &str) -> Result<Option<FileRow>, StoreError> {
        let sql =
            concat!(file_columns!(), "WHERE connector = $1 AND name = $2 AND state < 6 ORDER BY number DESC LIMIT 1");
        let args = [Arg::Text(connector.as_str()), Arg::Text(name)];
        self.query(sql, &args).await?.into_iter().next().map(file).transpose()
    }

    /// Which file a reference is in: its number, 0 while it waits, -1 if it was left out; `None` if there is no such row.
    pub async fn file_of(&self, connector: Connector, reference: Reference) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT file FROM bank_file_rows WHERE connector = $1 AND reference = $2";
        let args = [Arg::Text(connector.as_str()), Arg::Text(reference.as_str())];
        self.query(sql, &args).await?.first_mut().map(Row::int).transpose()
    }

    /// The rows of a file (0: those that wait) with the rail of the attempt and their payouts, in the order of their
    /// references.
    pub async fn rows_of_file(
        &self,
        connector: Connector,
        number: i64,
    ) -> Result<Vec<(Reference, Rail, Payout)>, StoreError> {
        let sql = "SELECT r.reference, r.merchant_id, r.payout_id, b.rail FROM bank_file_rows r \
            LEFT JOIN bank_references b ON b.connector = r.connector AND b.reference = r.reference \
            WHERE r.connector = $1 AND r.file = $2 ORDER BY r.reference";
        let rows = self.query(sql, &[Arg::Text(connector.as_str()), Arg::Int(number)]).await?;
        let mut named = Vec::with_capacity(rows.len());
        for mut row in rows {
            let reference = Reference::parse(&row.text()?)
                .ok_or_else(|| StoreError::Corrupt("a reference of a file is not valid".to_owned()))?;
            let (merchant, payout) = (MerchantId(row.int()?), PayoutId(row.int()?));
            named.push((reference, merchant, payout, row.int_or_null()?.map(decode_rail).transpose()?));
        }
        let keys = named.iter().flat_map(|(_, merchant, payout, _)| [Value::Int(merchant.0), Value::Int(payout.0)]);
        let found = self.find(&BY_ID, &keys.collect::<Vec<_>>()).await?;
        let payouts: BTreeMap<PayoutId, Payout> = found
            .into_iter()
            .map(|row| decode_payout(row).map(|payout| (payout.order.id, payout)))
            .collect::<Result<_, _>>()?;
        let with_payout = |(reference, _, id, rail): (Reference, MerchantId, PayoutId, Option<Rail>)| {
            let payout = payouts.get(&id).cloned();
            let missing = || StoreError::Corrupt(format!("the payout of {reference}, a row of a file, is missing"));
            payout.map(|payout| (reference, rail.unwrap_or(payout.order.rail), payout)).ok_or_else(missing)
        };
        named.into_iter().map(with_payout).collect()
    }

    /// How many rows of files there are, and what does not fit: files with other rows than they say, and rows without their
    /// file or attempt; at most 100 of each.
    pub async fn misplaced_files(&self) -> Result<(i64, Vec<(String, String)>), StoreError> {
        let counted = "SELECT COUNT(*) FROM bank_file_rows";
        let counted = self.query(counted, &[]).await?.first_mut().map_or(Ok(0), Row::int)?;
        let files = "SELECT f.connector, f.name, f.number FROM bank_files f WHERE f.state > 1 AND f.transfers <> \
            (SELECT COUNT(*) FROM bank_file_rows r WHERE r.connector = f.connector AND r.file = f.number) \
            ORDER BY f.connector, f.number LIMIT 100";
        let rows = "SELECT r.connector, r.reference, r.file FROM bank_file_rows r LEFT JOIN bank_references b \
            ON b.connector = r.connector AND b.reference = r.reference WHERE b.payout_id IS NULL \
            OR b.payout_id <> r.payout_id OR b.merchant_id <> r.merchant_id OR r.file > 0 AND NOT EXISTS \
            (SELECT 1 FROM bank_files f WHERE f.connector = r.connector AND f.number = r.file) \
            ORDER BY r.connector, r.reference LIMIT 100";
        let mut misplaced = Vec::new();
        for mut row in self.query(files, &[]).await? {
            let (connector, name, number) = (row.text()?, row.text()?, row.int()?);
            misplaced.push((connector, format!("file {number} (`{name}`) has more rows or fewer than it says")));
        }
        for mut row in self.query(rows, &[]).await? {
            let (connector, reference, file) = (row.text()?, row.text()?, row.int()?);
            misplaced.push((connector, format!("{reference} in file {file}: the file or the attempt is gone")));
        }
        Ok((counted, misplaced))
    }

    /// Whether a file that the bank left was dealt with before, by its hash.
    pub async fn answer_known(&self, connector: Connector, hash: &str) -> Result<Option<bool>, StoreError> {
        let sql = "SELECT result FROM bank_answers WHERE connector = $1 AND hash = $2";
        let args = [Arg::Text(connector.as_str()), Arg::Text(hash)];
        self.query(sql, &args).await?.first_mut().map(|row| row.int().map(|result| result == 1)).transpose()
    }
}

fn file(mut row: Row) -> Result<FileRow, StoreError> {
    Ok(FileRow {
        number: row.int()?,
        name: row.text()?,
        hash: row.bytes()?,
        transfers: row.int()?,
        sum_paise: row.int()?,
        state: FileState::from_number(row.int()?)
            .ok_or_else(|| StoreError::Corrupt("the state of a file is not valid".to_owned()))?,
        fence: row.int()?,
        made_at: Timestamp(row.int()?),
        moved_at: Timestamp(row.int()?),
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
