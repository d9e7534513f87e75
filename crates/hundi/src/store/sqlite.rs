//! The embedded engine: SQLite in one file, write-ahead log, every commit synced.
//!
//! One connection writes, under a lock; a few others read. A statement blocks the thread that runs it: the program
//! gives the writer a thread of its own, and another one to [`Sqlite::fold`], which copies the log into the database
//! while the writer goes on.

use super::{Arg, Lookup, Many, Row, SCHEMA, StoreError, Value};
use crate::locked;
use hundi_core::plant::{Plant, planted};
use rusqlite::hooks::Wal;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, ToSql};
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{MutexGuard, Notify};

/// SQLite before this could corrupt a database under WAL ("WAL-reset bug", fixed in 3.51.3).
const VERSION_LEAST: i32 = 3_051_003;
/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(4);
/// At most so many idle connections that read are kept.
const READERS_MAX: usize = 8;
/// The log is folded into the database after so many pages (of 4 KiB): large enough that a hot page is copied rarely.
const CHECKPOINT_PAGES: c_int = 8_000;

/// The embedded database.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    writer: tokio::sync::Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    folding: Arc<Folding>,
}

/// Who folds the log into the database when it has grown.
///
/// A fold by a connection of its own leaves behind what was committed meanwhile, so under a steady load the log would
/// never be folded to its end, where it begins again. The commit after such a fold finds little left, and folds that.
#[derive(Debug, Default)]
struct Folding {
    phase: AtomicU8,
    wanted: Notify,
}

impl Folding {
    /// Nobody but the commit that finds it too long.
    const BY_COMMIT: u8 = 0;
    /// [`Sqlite::fold`], when it is told.
    const READY: u8 = 1;
    /// [`Sqlite::fold`] is at it.
    const UNDER_WAY: u8 = 2;
    /// [`Sqlite::fold`] has done most of it, and the next commit does the rest.
    const REST: u8 = 3;

    /// After a commit, which has left so many pages in the log.
    fn committed(&self, log: &mut Wal, pages: c_int) {
        if pages < CHECKPOINT_PAGES {
            return;
        }
        match self.phase.load(Ordering::Acquire) {
            Folding::UNDER_WAY => {}
            Folding::READY => {
                self.phase.store(Folding::UNDER_WAY, Ordering::Release);
                self.wanted.notify_one();
            }
            phase => {
                if let Err(error) = log.checkpoint() {
                    // What was committed is in the log, and stays there.
                    tracing::warn!(%error, "the write-ahead log was not folded");
                }
                if phase == Folding::REST {
                    self.phase.store(Folding::READY, Ordering::Release);
                }
            }
        }
    }
}

/// A transaction on the writing connection.
pub struct SqliteTx<'a> {
    connection: MutexGuard<'a, Option<Connection>>,
    open: bool,
}

impl Sqlite {
    /// Opens the file.
    pub fn open(path: &Path, create: bool) -> Result<Sqlite, StoreError> {
        if rusqlite::version_number() < VERSION_LEAST {
            return Err(StoreError::Unusable(format!(
                "SQLite {} is too old; 3.51.3 or later is needed",
                rusqlite::version()
            )));
        }
        let folding = Arc::default();
        let access = if create { Access::Create } else { Access::Write };
        let writer = connect_writer(path, access, &folding)
            .map_err(|error| missing(path, "run `hundi migrate`, or `hundi demo` to try things out", error))?;
        let writer = tokio::sync::Mutex::new(Some(writer));
        Ok(Sqlite { path: path.to_owned(), writer, readers: Mutex::default(), folding })
    }

    /// Opens the file for reading within one transaction, which is the only reader's.
    pub fn open_view(path: &Path) -> Result<Sqlite, StoreError> {
        let reader =
            connect(path, Access::Read).map_err(|error| missing(path, "give its folder with --data", error))?;
        // The first statement that reads fixes what the transaction sees.
        let pinned = reader.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_schema");
        pinned.map_err(explain)?;
        Ok(Sqlite {
            path: path.to_owned(),
            writer: tokio::sync::Mutex::new(None),
            readers: Mutex::new(vec![reader]),
            folding: Arc::default(),
        })
    }

    /// The schema of the file; 0 for an empty one.
    pub fn schema(&self) -> Result<i64, StoreError> {
        let mut rows = self.query("PRAGMA user_version", &[])?;
        rows.first_mut().map_or(Ok(0), Row::int)
    }

    /// Runs a migration: all of it or nothing.
    pub async fn run_script(&self, script: &str) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let connection = tx.connection()?;
        connection
            .execute_batch(script)
            .and_then(|()| connection.pragma_update(None, "user_version", SCHEMA))
            .map_err(explain)?;
        tx.commit()
    }

    /// What SQLite finds wrong with the file; nothing if it is sound.
    pub fn damage(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.query("PRAGMA integrity_check(10)", &[])?;
        let found: Result<Vec<String>, StoreError> = rows.into_iter().map(|mut row| row.text()).collect();
        Ok(found?.into_iter().filter(|found| found != "ok").collect())
    }

    /// Runs a statement that reads.
    pub fn query(&self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        self.scan(sql, args, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Looks up rows by many keys.
    pub fn find(&self, lookup: &Lookup, keys: &[Value]) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for key in keys.chunks_exact(lookup.keys.len()) {
            let args: Vec<Arg<'_>> = key.iter().map(Value::arg).collect();
            rows.extend(self.query(lookup.sql().sqlite, &args)?);
        }
        Ok(rows)
    }

    /// Runs a statement that reads, row by row.
    pub fn scan(
        &self,
        sql: &str,
        args: &[Arg<'_>],
        each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let kept = locked(&self.readers).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => connect(&self.path, Access::Read)?,
        };
        let result =
            connection.prepare_cached(sql).map_err(explain).and_then(|mut statement| read(&mut statement, args, each));
        let mut readers = locked(&self.readers);
        if result.is_ok() && readers.len() < READERS_MAX {
            readers.push(connection);
        }
        result
    }

    /// Runs a statement that reads, so many rows at once.
    pub async fn chunks(
        &self,
        sql: &str,
        size: usize,
        each: &mut impl AsyncFnMut(Vec<Row>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let connection = connect(&self.path, Access::Read)?;
        let mut statement = connection.prepare(sql).map_err(explain)?;
        let columns = statement.column_count();
        let mut rows = statement.query([]).map_err(explain)?;
        loop {
            let mut chunk = Vec::with_capacity(size);
            while chunk.len() < size
                && let Some(row) = rows.next().map_err(explain)?
            {
                chunk.push(decode(row, columns)?);
            }
            if chunk.is_empty() {
                return Ok(());
            }
            each(chunk).await?;
        }
    }

    /// Begins a transaction that writes.
    pub async fn begin(&self) -> Result<SqliteTx<'_>, StoreError> {
        let mut writer = self.writer.lock().await;
        if writer.is_none() {
            *writer = Some(connect_writer(&self.path, Access::Write, &self.folding)?);
        }
        let mut tx = SqliteTx { connection: writer, open: false };
        tx.run("BEGIN IMMEDIATE")?;
        tx.open = true;
        Ok(tx)
    }

    /// Folds the log into the database whenever it has grown, for as long as it is polled.
    pub async fn fold(&self) {
        self.folding.phase.store(Folding::READY, Ordering::Release);
        let _by_commit_again = Leaving(&self.folding);
        let mut connection = None;
        loop {
            self.folding.wanted.notified().await;
            let folded = match connection.take() {
                Some(connection) => Ok(connection),
                None => connect(&self.path, Access::Write),
            };
            let folded = folded.and_then(|connection| {
                fold(&connection)?;
                Ok(connection)
            });
            match folded {
                Ok(folded) => connection = Some(folded),
                Err(error) => tracing::warn!(%error, "the write-ahead log was not folded; the next commit tries it"),
            }
            self.folding.phase.store(Folding::REST, Ordering::Release);
        }
    }

    /// Folds the log into the database.
    pub async fn close(&self) {
        locked(&self.readers).clear();
        if let Some(connection) = self.writer.lock().await.take()
            && let Err(error) = connection
                .busy_timeout(Duration::from_millis(200))
                .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
        {
            // Nothing is lost: the log stays, and the next start reads it.
            tracing::debug!(%error, "the write-ahead log was not folded");
        }
    }
}

impl SqliteTx<'_> {
    fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or_else(|| StoreError::Disk("the connection was given up after an error".into()))
    }

    /// Looks up rows by many keys.
    pub fn find(&mut self, lookup: &Lookup, keys: &[Value]) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        if keys.is_empty() {
            return Ok(rows);
        }
        let mut statement = self.connection()?.prepare_cached(lookup.sql().sqlite).map_err(explain)?;
        for key in keys.chunks_exact(lookup.keys.len()) {
            read(&mut statement, key, &mut |row| {
                rows.push(row);
                Ok(())
            })?;
        }
        Ok(rows)
    }

    /// Writes many rows; gives back how many it changed.
    pub fn write(&mut self, many: &Many, values: &[Value]) -> Result<u64, StoreError> {
        if values.is_empty() {
            return Ok(0);
        }
        let mut changed = 0;
        let written = self.connection()?.prepare_cached(many.sql().sqlite).and_then(|mut statement| {
            for row in values.chunks_exact(many.columns.len()) {
                changed += statement.execute(rusqlite::params_from_iter(row))? as u64;
            }
            Ok(())
        });
        written.map(|()| changed).map_err(|error| self.give_up_on(explain(error)))
    }

    /// Runs a statement that writes.
    pub fn execute(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        let result = self
            .connection()?
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(args)));
        result.map(|changed| changed as u64).map_err(|error| self.give_up_on(explain(error)))
    }

    /// Commits.
    pub fn commit(mut self) -> Result<(), StoreError> {
        let result = self.run("COMMIT");
        self.open = result.is_err();
        result
    }

    fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        let result = self.connection()?.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        result.map(|_| ()).map_err(|error| self.give_up_on(explain(error)))
    }

    /// After a failed sync the kernel may have dropped what it could not write, so nothing that this handle believes
    /// about the file is sure: the next transaction opens a new one, which reads the file again.
    fn give_up_on(&mut self, error: StoreError) -> StoreError {
        if let StoreError::Disk(_) = error {
            if planted(Plant::RollbackErrorPanics)
                && let Some(held) = self.connection.as_ref()
            {
                held.execute_batch("ROLLBACK").expect("what has failed can be rolled back");
            }
            *self.connection = None;
        }
        error
    }
}

impl Drop for SqliteTx<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.as_ref().filter(|connection| self.open && !connection.is_autocommit())
        else {
            return;
        };
        if let Err(error) = connection.execute_batch("ROLLBACK") {
            tracing::warn!(%error, "a transaction could not be rolled back; its connection is given up");
            *self.connection = None;
        }
    }
}

/// Fills in what differs between the engines in a migration.
pub fn dialect(script: &str) -> String {
    script
        .replace("{bytes}", "BLOB")
        .replace("{clustered}", "WITHOUT ROWID")
        // The payout's id is the row's own number, so that finding it costs no index of its own.
        .replace("{payout_id}", "INTEGER PRIMARY KEY")
        .replace("{order_key}", "merchant_id, order_id")
        .replace("{payouts_key}", "")
}

/// From here on commits see to the log themselves.
struct Leaving<'a>(&'a Folding);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.phase.store(Folding::BY_COMMIT, Ordering::Release);
    }
}

/// The connection whose commits make the log grow. It goes on with no log that may never have been written.
fn connect_writer(path: &Path, access: Access, folding: &Arc<Folding>) -> Result<Connection, StoreError> {
    let mut connection = connect(path, access)?;
    if !planted(Plant::NoFoldAtStart) {
        fold(&connection)?;
    }
    let folding = Arc::clone(folding);
    let committed = move |log: &mut Wal, pages| {
        folding.committed(log, pages);
        Ok(())
    };
    connection.wal_hook(Some(committed)).map_err(explain)?;
    Ok(connection)
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// To write; the file is made if there is none.
    Create,
    Write,
    Read,
}

/// Says what to do if that is all: there is no file.
fn missing(path: &Path, advice: &str, error: StoreError) -> StoreError {
    match path.try_exists() {
        Ok(false) => StoreError::Unusable(format!("there is no database at {}; {advice}", path.display())),
        Ok(true) | Err(_) => error,
    }
}

fn connect(path: &Path, access: Access) -> Result<Connection, StoreError> {
    let writes = access != Access::Read;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if access == Access::Create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags).map_err(|error| {
        StoreError::Unusable(format!(
            "cannot open the database {}: {error}; check the path and its permissions",
            path.display()
        ))
    })?;
    connection.set_prepared_statement_cache_capacity(128);
    connection
        .busy_timeout(BUSY)
        .and_then(|()| {
            if writes {
                connection.pragma_update(None, "journal_mode", "WAL")?;
                let each_commit = if planted(Plant::SynchronousNormal) { "NORMAL" } else { "FULL" };
                connection.pragma_update(None, "synchronous", each_commit)?;
            } else {
                connection.pragma_update(None, "query_only", 1)?;
            }
            connection.pragma_update(None, "cache_size", if writes { -64_000 } else { -8_000 })
        })
        .map_err(explain)?;
    Ok(connection)
}

/// Copies what the log holds into the database, and syncs that. What is read of a log after a crash may never have been
/// written: if its sync had failed, the kernel shows it as long as it remembers it, and believes that there is nothing to
/// write. Commits that come after it in the log would be lost with it.
fn fold(connection: &Connection) -> Result<(), StoreError> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(explain)
}

fn read(
    statement: &mut Statement<'_>,
    args: &[impl ToSql],
    each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let columns = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(args)).map_err(explain)?;
    while let Some(row) = rows.next().map_err(explain)? {
        each(decode(row, columns)?)?;
    }
    Ok(())
}

fn decode(row: &rusqlite::Row<'_>, columns: usize) -> Result<Row, StoreError> {
    let mut values = Vec::with_capacity(columns);
    for column in 0..columns {
        values.push(match row.get_ref(column).map_err(explain)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Int(number),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => return Err(StoreError::Corrupt("a text is not UTF-8".into())),
            },
            ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
            ValueRef::Real(_) => {
                return Err(StoreError::Corrupt("a float was found where none is ever written".into()));
            }
        });
    }
    Ok(Row::new(values))
}

fn explain(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Disk(text)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(text),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(text),
        Some(ErrorCode::CannotOpen) => {
            StoreError::Unusable(format!("cannot open the database: {text}; check the path and its permissions"))
        }
        _ => StoreError::Statement(text),
    }
}

impl ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(borrowed(*self))
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(borrowed(self.arg()))
    }
}

fn borrowed(arg: Arg<'_>) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match arg {
        Arg::Null => ValueRef::Null,
        Arg::Int(number) => ValueRef::Integer(number),
        Arg::Text(text) => ValueRef::Text(text.as_bytes()),
        Arg::Bytes(bytes) => ValueRef::Blob(bytes),
    })
}
