//! The databases of tests. On PostgreSQL each test has its own, on the server that `HUNDI_TEST_POSTGRES` names; `./check`
//! starts one. What a person with a database client would do is done here, on either engine.
//!
//! Everything here blocks its thread and has a runtime of its own: the clock of a test stands still meanwhile.

use hundi::config::{Config, DatabaseUrl};
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
