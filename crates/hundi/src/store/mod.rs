//! The only SQL. An engine runs statements (`sqlite.rs`, `postgres.rs`); what the statements say is written once for both:
//! [`batch`] reads and writes what a batch of commands decides, [`rows`] are the writes that decide nothing about money,
//! [`reads`] are lists, lookups and the streams that `hundi verify` folds, [`copy`] moves everything from one engine to the
//! other, [`statements`] are what the banks' statements say, [`files`] are those exchanged with banks, [`scratch`] makes databases for a bench.
//!
//! Statements keep to the dialect of DESIGN 5: `$n` in order of first use, `BIGINT`, `TEXT`, bytes, time as microseconds.

pub mod alerts;
pub mod batch;
pub mod copy;
pub mod credits;
pub mod files;
pub mod forgotten;
mod postgres;
pub mod proposals;
pub mod reads;
pub mod report;
pub mod rows;
pub mod scratch;
mod sqlite;
pub mod statements;

use crate::clock::Clock;
use crate::config::Config;
use std::fmt;
use std::sync::OnceLock;
use tokio::sync::watch;

/// The schema that this binary writes.
pub const SCHEMA: i64 = MIGRATIONS.len() as i64;
/// What leads from each schema to the next, in the words of both engines.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001.sql"),
    include_str!("../../migrations/0002.sql"),
    include_str!("../../migrations/0003.sql"),
    include_str!("../../migrations/0004.sql"),
    include_str!("../../migrations/0005.sql"),
    include_str!("../../migrations/0006.sql"),
    include_str!("../../migrations/0007.sql"),
    include_str!("../../migrations/0008.sql"),
];

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

/// What a column of many rows holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Numbers.
    Int,
    /// Texts.
    Text,
    /// Bytes.
    Bytes,
}

/// A statement in the words of each engine: row by row for the embedded one, where a statement costs no round trip, and an
/// array a column for the other.
#[derive(Debug)]
pub struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

/// Rows that are looked up by many keys at once.
#[derive(Debug)]
pub struct Lookup {
    /// The columns.
    columns: &'static str,
    /// The table whose columns the keys are, under the name that `columns` uses.
    table: &'static str,
    /// Other tables, as `JOIN ...`.
    joined: &'static str,
    /// The key's columns.
    keys: &'static [(&'static str, Kind)],
    /// Locks the rows of `table`, in the order of the keys.
    lock: bool,
    sql: OnceLock<Sql>,
}

/// Rows that are written at once.
#[derive(Debug)]
pub struct Many {
    table: &'static str,
    /// All columns, in the order of the values; of an update, the last ones are the key.
    columns: &'static [(&'static str, Kind)],
    does: Does,
    sql: OnceLock<Sql>,
}

#[derive(Debug)]
enum Does {
    /// Adds rows; the text says what to do with those that exist.
    Insert(&'static str),
    /// Changes rows, found by so many key columns.
    Update { keys: usize },
}

impl Lookup {
    const fn new(
        columns: &'static str,
        table: &'static str,
        joined: &'static str,
        keys: &'static [(&'static str, Kind)],
    ) -> Lookup {
        Lookup { columns, table, joined, keys, lock: false, sql: OnceLock::new() }
    }

    const fn locking(mut self) -> Lookup {
        self.lock = true;
        self
    }

    fn sql(&self) -> &Sql {
        self.sql.get_or_init(|| {
            let Lookup { columns, table, joined, keys, .. } = self;
            let name = table.rsplit(' ').next().unwrap_or(table);
            let by = |what: &dyn Fn(usize) -> String| {
                let keys = keys.iter().enumerate();
                keys.map(|(at, (key, _))| format!("{name}.{key} = {}", what(at + 1))).collect::<Vec<_>>().join(" AND ")
            };
            let (given, names) = unnest(keys);
            let first = keys.first().map_or("", |(key, _)| key);
            let lock = if self.lock { format!(" ORDER BY {name}.{first} FOR UPDATE OF {name}") } else { String::new() };
            let (row, many) = (by(&|at| format!("${at}")), by(&|at| format!("k.c{at}")));
            Sql {
                sqlite: leak(format!("SELECT {columns} FROM {table} {joined} WHERE {row}")),
                postgres: leak(format!(
                    "SELECT {columns} FROM UNNEST({given}) AS k({names}) JOIN {table} ON {many} {joined}{lock}"
                )),
            }
        })
    }
}

impl Many {
    const fn insert(table: &'static str, columns: &'static [(&'static str, Kind)], on_conflict: &'static str) -> Many {
        Many { table, columns, does: Does::Insert(on_conflict), sql: OnceLock::new() }
    }

    const fn update(table: &'static str, columns: &'static [(&'static str, Kind)], keys: usize) -> Many {
        Many { table, columns, does: Does::Update { keys }, sql: OnceLock::new() }
    }

    /// Reads all of the table, in these columns.
    fn all(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(column, _)| *column).collect();
        format!("SELECT {} FROM {}", columns.join(", "), self.table)
    }

    fn sql(&self) -> &Sql {
        self.sql.get_or_init(|| {
            let (given, names) = unnest(self.columns);
            let columns: Vec<&str> = self.columns.iter().map(|(column, _)| *column).collect();
            let table = self.table;
            match self.does {
                Does::Insert(on_conflict) => {
                    let places: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
                    let (columns, places) = (columns.join(", "), places.join(", "));
                    Sql {
                        sqlite: leak(format!("INSERT INTO {table} ({columns}) VALUES ({places}) {on_conflict}")),
                        postgres: leak(format!(
                            "INSERT INTO {table} ({columns}) SELECT * FROM UNNEST({given}) AS v({names}) {on_conflict}"
                        )),
                    }
                }
                Does::Update { keys } => {
                    let changed = columns.len() - keys;
                    let list = |range: std::ops::Range<usize>, separator: &str, what: &dyn Fn(usize) -> String| {
                        range.map(what).collect::<Vec<_>>().join(separator)
                    };
                    let set = |value: &dyn Fn(usize) -> String| {
                        list(0..changed, ", ", &|at| format!("{} = {}", columns[at], value(at + 1)))
                    };
                    let found = |value: &dyn Fn(usize) -> String| {
                        list(changed..columns.len(), " AND ", &|at| {
                            format!("{table}.{} = {}", columns[at], value(at + 1))
                        })
                    };
                    let (row, many): (&dyn Fn(usize) -> String, &dyn Fn(usize) -> String) =
                        (&|at| format!("${at}"), &|at| format!("v.c{at}"));
                    Sql {
                        sqlite: leak(format!("UPDATE {table} SET {} WHERE {}", set(row), found(row))),
                        postgres: leak(format!(
                            "UPDATE {table} SET {} FROM UNNEST({given}) AS v({names}) WHERE {}",
                            set(many),
                            found(many)
                        )),
                    }
                }
            }
        })
    }
}

/// `CAST($1 AS BIGINT[]), ...` and `c1, ...`.
fn unnest(columns: &[(&str, Kind)]) -> (String, String) {
    let array = |(at, (_, kind)): (usize, &(&str, Kind))| {
        let kind = match kind {
            Kind::Int => "BIGINT",
            Kind::Text => "TEXT",
            Kind::Bytes => "BYTEA",
        };
        format!("CAST(${} AS {kind}[])", at + 1)
    };
    let arrays: Vec<String> = columns.iter().enumerate().map(array).collect();
    let names: Vec<String> = (1..=columns.len()).map(|at| format!("c{at}")).collect();
    (arrays.join(", "), names.join(", "))
}

/// There are as many of these texts as statements in this program; they live as long as it does.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
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
    /// Another transaction was in the way: nothing was written, and the same again may well go through.
    Again(String),
    /// The connection to the server was lost before the commit: nothing was written.
    Lost(String),
    /// A failover could lose what is written now, so nothing is accepted.
    Unsafe,
    /// This machine's clock and the database server's differ by so many milliseconds: nothing was written.
    Clocks {
        /// By how much, milliseconds.
        apart_ms: u64,
    },
    /// The connection was lost during the commit: nobody knows whether it was written.
    Unknown(String),
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
            StoreError::Unsafe => f.write_str(
                "replication is not synchronous, so a failover would lose payouts: creates are answered `unknown` until \
                 synchronous_standby_names is set (or `postgres.allow_async_standby`)",
            ),
            StoreError::Clocks { apart_ms } => write!(
                f,
                "the clocks of this machine and of the database's server differ by {} s: nothing is written, because a bank's \
                 answers are judged by the time; set both by NTP (2 s are the most)",
                apart_ms.div_ceil(1_000)
            ),
            StoreError::Again(text) => write!(f, "another transaction was in the way: {text}; try again"),
            StoreError::Lost(text) => {
                write!(
                    f,
                    "the connection to the database was lost: {text}; see whether the server of `database_url` runs"
                )
            }
            StoreError::Unknown(text) => {
                write!(
                    f,
                    "the connection to the database was lost during a commit: {text}; look whether it was written"
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// The database. An enum and not a trait: there are two engines in the world for Hundi, and both are known.
#[derive(Debug)]
pub enum Store {
    /// The embedded one.
    Sqlite(Box<sqlite::Sqlite>),
    /// The one for more than one machine.
    Postgres(Box<postgres::Postgres>),
}

/// A transaction that writes. Dropped without [`Tx::commit`], it leaves nothing behind.
pub enum Tx<'a> {
    /// On the embedded engine.
    Sqlite(sqlite::SqliteTx<'a>),
    /// On a server.
    Postgres(Box<postgres::PostgresTx<'a>>),
}

impl Store {
    /// Opens the database that the options name. The embedded one is created if `create`; a PostgreSQL database is made by
    /// its operator. It must be of this binary's schema unless the caller goes on to [`Store::migrate`].
    pub async fn open(config: &Config, clock: &Clock, create: bool) -> Result<Store, StoreError> {
        match &config.database_url {
            Some(url) => postgres::Postgres::open(config, &url.0, clock).await.map(Box::new).map(Store::Postgres),
            None => sqlite::Sqlite::open(&config.database(), create).map(Box::new).map(Store::Sqlite),
        }
    }

    /// Opens the database for reading, as it is at this moment: what is written later is not seen.
    pub async fn open_view(config: &Config, clock: &Clock) -> Result<Store, StoreError> {
        match &config.database_url {
            Some(url) => postgres::Postgres::open_view(config, &url.0, clock).await.map(Box::new).map(Store::Postgres),
            None => sqlite::Sqlite::open_view(&config.database()).map(Box::new).map(Store::Sqlite),
        }
    }

    /// Whether several processes may serve it at once, each with several batches.
    pub fn shared(&self) -> bool {
        matches!(self, Store::Postgres(_))
    }

    /// Whether what is committed now survives a failover. Always so where there is none.
    pub fn durable(&self) -> bool {
        match self {
            Store::Sqlite(_) => true,
            Store::Postgres(engine) => engine.durable(),
        }
    }

    /// Whether what is acknowledged must have reached a synchronous standby.
    pub fn synchronous(&self) -> bool {
        match self {
            Store::Sqlite(_) => false,
            Store::Postgres(engine) => engine.synchronous(),
        }
    }

    /// Looks at the server's standbys again; [`Store::durable`] says what came of it.
    pub async fn check_server(&self) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(_) => Ok(()),
            Store::Postgres(engine) => engine.check_server().await,
        }
    }

    /// Creates or upgrades the schema; true if there was anything to do. Refuses a schema newer than this binary.
    pub async fn migrate(&self) -> Result<bool, StoreError> {
        let from = self.schema().await?;
        if from == SCHEMA {
            return Ok(false);
        }
        let todo = usize::try_from(from).ok().and_then(|from| MIGRATIONS.get(from..));
        let script = todo.ok_or_else(|| newer_schema(from))?.concat();
        match self {
            Store::Sqlite(engine) => engine.run_script(&sqlite::dialect(&script)).await?,
            Store::Postgres(engine) => match engine.run_script(&postgres::dialect(&script)).await {
                // Another process may have done it at the same time.
                Err(_) if self.schema().await == Ok(SCHEMA) => return Ok(false),
                done => done?,
            },
        }
        Ok(true)
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

    /// What is wrong with the database's file, as far as the engine can tell by itself: tables and indexes that do not
    /// fit, pages that are none. A server has its own tools for that.
    pub fn damage(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.damage(),
            Store::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// The schema's number; 0 where there is none.
    pub async fn schema(&self) -> Result<i64, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.schema(),
            Store::Postgres(engine) => engine.schema().await,
        }
    }

    /// Runs a statement that reads, outside of any transaction, on a connection of its own.
    pub async fn query(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.query(sql, args),
            Store::Postgres(engine) => engine.query(sql, args).await,
        }
    }

    /// Looks up rows by many keys, outside of any transaction.
    async fn find(&self, lookup: &'static Lookup, keys: &[Value]) -> Result<Vec<Row>, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.find(lookup, keys),
            Store::Postgres(engine) => engine.find(lookup, keys).await,
        }
    }

    /// Runs a statement that reads and hands over its rows one by one, within one consistent view.
    pub async fn scan(
        &self,
        sql: &'static str,
        args: &[Arg<'_>],
        each: &mut (dyn FnMut(Row) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(engine) => engine.scan(sql, args, each),
            Store::Postgres(engine) => engine.scan(sql, args, each).await,
        }
    }

    /// Begins a transaction that writes. Only the writer calls this.
    pub async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        match self {
            Store::Sqlite(engine) => engine.begin().await.map(Tx::Sqlite),
            Store::Postgres(engine) => engine.begin().await.map(Box::new).map(Tx::Postgres),
        }
    }

    /// Copies the write-ahead log of the embedded database into it whenever it has grown, until `stop` is told. Without this
    /// the commits do it, and those who wait for them wait for that.
    pub async fn fold(&self, mut stop: watch::Receiver<bool>) {
        if let Store::Sqlite(engine) = self {
            tokio::select! {
                biased;
                () = crate::told_to_stop(&mut stop) => {}
                () = engine.fold() => {}
            }
        }
    }

    /// For a quiet end: waits until no transaction writes, then folds the write-ahead log into the embedded database.
    pub async fn close(&self) {
        match self {
            Store::Sqlite(engine) => engine.close().await,
            Store::Postgres(engine) => engine.close(),
        }
    }
}

fn newer_schema(newer: i64) -> StoreError {
    StoreError::Unusable(format!(
        "the database has schema {newer}, but this binary knows only up to {SCHEMA}; use a newer hundi"
    ))
}

impl Tx<'_> {
    /// Runs a statement that writes; gives back how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.execute(sql, args),
            Tx::Postgres(tx) => tx.execute(sql, args).await,
        }
    }

    /// Looks up rows by many keys, one answer for each lookup, in this order: what is locked by an earlier one is read as
    /// it is under the lock by those after it. Lookups without keys are not run.
    async fn find(&mut self, wanted: &[(&'static Lookup, Vec<Value>)]) -> Result<Vec<Vec<Row>>, StoreError> {
        match self {
            Tx::Sqlite(tx) => wanted.iter().map(|(lookup, keys)| tx.find(lookup, keys)).collect(),
            Tx::Postgres(tx) => tx.find(wanted).await,
        }
    }

    /// Writes many rows, table by table; gives back how many rows each changed. Tables without rows are not touched.
    async fn write(&mut self, writes: &[(&'static Many, Vec<Value>)]) -> Result<Vec<u64>, StoreError> {
        match self {
            Tx::Sqlite(tx) => writes.iter().map(|(many, values)| tx.write(many, values)).collect(),
            Tx::Postgres(tx) => tx.write(writes).await,
        }
    }

    /// Makes it so. After [`StoreError::Unknown`], and on the embedded engine after any error, nobody knows whether it is.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.commit(),
            Tx::Postgres(tx) => tx.commit().await,
        }
    }
}
