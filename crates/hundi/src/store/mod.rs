//! The only SQL. An engine runs statements (`sqlite.rs`); what the statements say is written once for all engines:
//! [`batch`] reads and writes what a batch of commands decides, [`rows`] are the writes that decide nothing about money,
//! [`reads`] are lists, lookups and the streams that `hundi verify` folds.
//!
//! Statements keep to the dialect of DESIGN 5: `$n` in order of first use, `BIGINT`, `TEXT`, bytes, time as microseconds.

pub mod batch;
pub mod reads;
pub mod rows;
mod sqlite;

use std::fmt;
use std::path::Path;

/// The schema that this binary writes.
pub const SCHEMA: i64 = 1;

/// A value on its way into a statement.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// Nothing.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A value on its way out of a row.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// The value as a statement takes it.
    pub fn arg(&self) -> Arg<'_> {
        match self {
            Value::Null => Arg::Null,
            Value::Int(number) => Arg::Int(*number),
            Value::Text(text) => Arg::Text(text),
            Value::Bytes(bytes) => Arg::Bytes(bytes),
        }
    }
}

impl fmt::Debug for Value {
    /// Shows the kind only: values are people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Null => "Null",
            Value::Int(_) => "Int",
            Value::Text(_) => "Text",
            Value::Bytes(_) => "Bytes",
        })
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        number.map_or(Value::Null, Value::Int)
    }
}

/// A row, read from its first column to its last.
#[derive(Debug)]
pub struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row of these values.
    pub fn new(values: Vec<Value>) -> Row {
        Row(values.into_iter())
    }

    /// The next column, a number.
    pub fn int(&mut self) -> Result<i64, StoreError> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(number),
            other => Err(StoreError::Corrupt(format!("a number was expected, not {other:?}"))),
        }
    }

    /// The next column, a number or nothing.
    pub fn int_or_null(&mut self) -> Result<Option<i64>, StoreError> {
        match self.0.next() {
            Some(Value::Null) => Ok(None),
            Some(Value::Int(number)) => Ok(Some(number)),
            other => Err(StoreError::Corrupt(format!("a number was expected, not {other:?}"))),
        }
    }

    /// The next column, a text.
    pub fn text(&mut self) -> Result<String, StoreError> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            other => Err(StoreError::Corrupt(format!("a text was expected, not {other:?}"))),
        }
    }

    /// The next column, a text or nothing.
    pub fn text_or_null(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            other => Err(StoreError::Corrupt(format!("a text was expected, not {other:?}"))),
        }
    }

    /// The next column, bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.0.next() {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            other => Err(StoreError::Corrupt(format!("bytes were expected, not {other:?}"))),
        }
    }

    /// The next column, bytes or nothing.
    pub fn bytes_or_null(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0.next() {
            Some(Value::Null) => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            other => Err(StoreError::Corrupt(format!("bytes were expected, not {other:?}"))),
        }
    }

    /// The next column, 32 bytes.
    pub fn hash(&mut self) -> Result<[u8; 32], StoreError> {
        self.bytes()?.try_into().map_err(|_| StoreError::Corrupt("32 bytes were expected".to_owned()))
    }
}

/// What went wrong with the store; the text is a sentence for the operator, with a remedy where there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// The store cannot be used at all: it cannot be opened, is of another version, or is not ours.
    Unusable(String),
    /// The disk is full or refuses: nothing of the transaction was kept.
    Disk(String),
    /// Another process holds the store for too long.
    Busy(String),
    /// A row is not what it must be.
    Corrupt(String),
    /// A statement was refused: a constraint, or a bug.
    Statement(String),
    /// A payout was changed by somebody else since it was read.
    Conflict,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unusable(text) => f.write_str(text),
            StoreError::Disk(text) => {
                write!(f, "the disk refused a write: {text}; free some space or look at the disk")
            }
            StoreError::Busy(text) => write!(f, "the database is locked by another process: {text}; try again"),
            StoreError::Corrupt(text) => write!(f, "the database is damaged: {text}; restore a backup"),
            StoreError::Statement(text) => write!(f, "the database refused a statement: {text}"),
            StoreError::Conflict => f.write_str("a payout was changed by another process meanwhile"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The database. An enum and not a trait: there are two engines in the world for Hundi, and both are known.
#[derive(Debug)]
pub enum Store {
    /// The embedded one.
    Sqlite(sqlite::Sqlite),
}

/// A transaction that writes. Dropped without [`Tx::commit`], it leaves nothing behind.
pub enum Tx<'a> {
    /// On the embedded engine.
    Sqlite(sqlite::SqliteTx<'a>),
}

impl Store {
    /// Opens the embedded database in a file, creating it if `create`; it must be of this binary's schema unless the
    /// caller goes on to [`Store::migrate`].
    pub fn open_sqlite(path: &Path, create: bool) -> Result<Store, StoreError> {
        sqlite::Sqlite::open(path, create).map(Store::Sqlite)
    }

    /// Opens the embedded database for reading, as it is at this moment: what is written later is not seen.
    pub fn open_sqlite_view(path: &Path) -> Result<Store, StoreError> {
        sqlite::Sqlite::open_view(path).map(Store::Sqlite)
    }

    /// Creates or upgrades the schema; true if there was anything to do. Refuses a schema newer than this binary.
    pub async fn migrate(&self) -> Result<bool, StoreError> {
        let Store::Sqlite(engine) = self;
        match self.schema().await? {
            SCHEMA => Ok(false),
            newer if newer > SCHEMA => Err(newer_schema(newer)),
            _ => {
                engine.run_script(&sqlite::dialect(include_str!("../../migrations/0001.sql"))).await?;
                Ok(true)
            }
        }
    }

    /// Refuses a store of another schema.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        match self.schema().await? {
            SCHEMA => Ok(()),
            newer if newer > SCHEMA => Err(newer_schema(newer)),
            0 => Err(StoreError::Unusable(
                "the database is empty; run `hundi migrate`, or `hundi demo` to try things out".into(),
            )),
            older => Err(StoreError::Unusable(format!(
                "the database has schema {older}, this binary needs {SCHEMA}; run `hundi migrate`"
            ))),
        }
    }

    async fn schema(&self) -> Result<i64, StoreError> {
        let Store::Sqlite(engine) = self;
        engine.schema()
    }

    /// Runs a statement that reads, outside of any transaction, on a connection of its own.
    pub async fn query(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        let Store::Sqlite(engine) = self;
        engine.query(sql, args)
    }

    /// Runs a statement that reads and hands over its rows one by one, within one consistent view.
    pub async fn scan(
        &self,
        sql: &'static str,
        args: &[Arg<'_>],
        each: &mut (dyn FnMut(Row) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let Store::Sqlite(engine) = self;
        engine.scan(sql, args, each)
    }

    /// Begins a transaction that writes. Only the writer calls this.
    pub async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        let Store::Sqlite(engine) = self;
        engine.begin().await.map(Tx::Sqlite)
    }

    /// Waits until no transaction writes, then folds the write-ahead log into the database. For a quiet end.
    pub async fn close(&self) {
        let Store::Sqlite(engine) = self;
        engine.close().await;
    }
}

fn newer_schema(newer: i64) -> StoreError {
    StoreError::Unusable(format!(
        "the database has schema {newer}, but this binary knows only up to {SCHEMA}; use a newer hundi"
    ))
}

impl Tx<'_> {
    /// Runs a statement that reads.
    pub async fn query(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        let Tx::Sqlite(tx) = self;
        tx.query(sql, args)
    }

    /// Runs a statement that writes; gives back how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        let Tx::Sqlite(tx) = self;
        tx.execute(sql, args)
    }

    /// Makes it so. After an error nobody knows whether it is so.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Tx::Sqlite(tx) = self;
        tx.commit()
    }
}
