//! The databases of tests. On PostgreSQL each test has its own, on the server that `HUNDI_TEST_POSTGRES` names; `./check`
//! starts one. What a person with a database client would do is done here, on either engine.
//!
//! Everything here blocks its thread and has a runtime of its own: the clock of a test stands still meanwhile.

use hundi::config::{Config, DatabaseUrl};
use serde_json::Value;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// What keeps the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The embedded database.
    Sqlite,
    /// A server.
    Postgres,
}

/// Runs a future to its end on a thread of its own.
pub fn blocking<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A connection to a PostgreSQL server; it gives up on locks that others keep.
async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|error| panic!("cannot connect to {url}: {error:?}"));
    tokio::spawn(connection);
    client.batch_execute("SET lock_timeout = '20s'; SET client_min_messages = warning").await.unwrap();
    client
}

/// Whether a PostgreSQL server does what a statement says; it may be down, or die of it.
pub fn does(url: &str, statement: &str) -> bool {
    blocking(async {
        let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await else { return false };
        tokio::spawn(connection);
        client.batch_execute(statement).await.is_ok()
    })
}

/// Runs statements on a PostgreSQL server.
pub fn execute(url: &str, statements: &[&str]) {
    blocking(async {
        let client = connect(url).await;
        for statement in statements {
            client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    });
}

/// Has a PostgreSQL server understand a statement. Hundi tells the types of parameters, which here nobody does: that they
/// cannot be guessed is no fault.
pub fn prepare(url: &str, statement: &str) {
    use tokio_postgres::error::SqlState;
    let prepared = blocking(async { connect(url).await.prepare(statement).await });
    if let Err(error) = prepared {
        let guessed = [SqlState::DATATYPE_MISMATCH, SqlState::INDETERMINATE_DATATYPE, SqlState::AMBIGUOUS_FUNCTION];
        assert!(error.code().is_some_and(|code| guessed.contains(code)), "{statement}: {error:?}");
    }
}

/// The rows of a query on a PostgreSQL server, as texts.
pub fn rows(url: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = blocking(async { connect(url).await.simple_query(sql).await });
    let messages = messages.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    rows.collect()
}

/// The server of the tests: a superuser's URL of its maintenance database.
pub fn server() -> String {
    std::env::var("HUNDI_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("this test needs a PostgreSQL server: run ./check, which starts one, or set HUNDI_TEST_POSTGRES to a superuser's URL")
    })
}

/// A database on a PostgreSQL server, dropped with its owner, whoever is connected to it then.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// An empty one on the server of the tests.
    pub fn new() -> Database {
        Database::on(&server())
    }

    /// An empty one on another server, of which `url` names some database.
    pub fn on(url: &str) -> Database {
        let database = Database { server: url.to_owned(), name: unused_name() };
        execute(url, &[&format!("CREATE DATABASE {} TEMPLATE template0", database.name)]);
        database
    }

    /// A copy of a database as it is now. Everybody who is connected to it is thrown out.
    pub fn copy_of(url: &str) -> Database {
        let (_, source) = url.rsplit_once('/').unwrap();
        let copy = Database { server: server(), name: unused_name() };
        execute(
            &copy.server,
            &[
                &format!("ALTER DATABASE {source} ALLOW_CONNECTIONS false"),
                &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{source}'"),
                &format!("CREATE DATABASE {} TEMPLATE {source}", copy.name),
                &format!("ALTER DATABASE {source} ALLOW_CONNECTIONS true"),
            ],
        );
        copy
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, drop_it) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // The server may be gone before its databases; a test that fails shall say why itself.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok((client, connection)) = tokio_postgres::connect(&server, NoTls).await {
                    tokio::spawn(connection);
                    drop(client.batch_execute(&drop_it).await);
                }
            });
        });
        drop(dropped.join());
    }
}

fn unused_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!("hundi_test_{now}_{process}_{number}")
}

/// Runs statements on a store, beside Hundi.
pub fn run_sql(config: &Config, script: &str) {
    match &config.database_url {
        Some(DatabaseUrl(url)) => execute(url, &[script]),
        None => rusqlite::Connection::open(config.database()).unwrap().execute_batch(script).unwrap(),
    }
}

/// The one number that a query finds in a store.
pub fn number(config: &Config, sql: &str) -> i64 {
    match &config.database_url {
        Some(DatabaseUrl(url)) => rows(url, sql)[0][0].as_ref().unwrap().parse().unwrap(),
        None => rusqlite::Connection::open(config.database()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap(),
    }
}

/// The rows of a merchant in every table that has such: the table, and the row's columns.
pub fn rows_of(config: &Config, merchant: i64) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    match &config.database_url {
        Some(DatabaseUrl(url)) => {
            let tables = "SELECT table_name FROM information_schema.columns \
                WHERE column_name = 'merchant_id' AND table_schema = 'public' ORDER BY 1";
            for table in rows(url, tables).into_iter().map(|mut row| row.remove(0).unwrap()) {
                let sql = format!("SELECT to_json(t)::text FROM {table} t WHERE merchant_id = {merchant} ORDER BY 1");
                let row = |row: Vec<Option<String>>| serde_json::from_str(row[0].as_ref().unwrap()).unwrap();
                all.extend(rows(url, &sql).into_iter().map(|found| (table.clone(), row(found))));
            }
        }
        None => {
            let connection = rusqlite::Connection::open(config.database()).unwrap();
            let tables = "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                WHERE m.type = 'table' AND c.name = 'merchant_id' ORDER BY 1";
            let mut tables = connection.prepare(tables).unwrap();
            let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            for table in tables {
                let sql = format!("SELECT * FROM {table} WHERE merchant_id = {merchant} ORDER BY 1, 2");
                let mut found = connection.prepare(&sql).unwrap();
                let columns: Vec<String> = found.column_names().map(str::to_owned).collect();
                let row = |row: &rusqlite::Row<'_>| {
                    let cell =
                        |(at, name): (usize, &String)| (name.clone(), format!("{:?}", row.get_ref(at).unwrap()).into());
                    Ok(Value::Object(columns.iter().enumerate().map(cell).collect()))
                };
                all.extend(found.query_map([], row).unwrap().map(|row| (table.clone(), row.unwrap())));
            }
        }
    }
    assert!(all.len() > 3, "merchant {merchant} has nothing");
    all
}

/// The tables of Hundi in a PostgreSQL database.
pub fn tables(url: &str) -> Vec<String> {
    let names = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename");
    names.into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

/// Everything in a PostgreSQL database, by table: its rows as text, and the bytes that they show in hexadecimal.
pub fn dump(url: &str) -> Vec<(String, Vec<u8>)> {
    let table = |name: String| {
        let text: String = rows(url, &format!("SELECT t::text FROM {name} t"))
            .into_iter()
            .map(|row| row[0].clone().unwrap() + "\n")
            .collect();
        let mut bytes = text.clone().into_bytes();
        for shown in text.split("\\\\x").skip(1) {
            let digits: Vec<u8> = shown.bytes().take_while(u8::is_ascii_hexdigit).collect();
            let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
            bytes.extend(pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
            bytes.push(b'\n');
        }
        (format!("the table {name}"), bytes)
    };
    tables(url).into_iter().map(table).collect()
}
