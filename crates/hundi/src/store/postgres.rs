//! The engine for more than one machine: PostgreSQL 15 or later.
//!
//! A transaction of the writer takes four round trips whatever its size: what a stage needs is sent at once and answered
//! at once. Many rows travel as one statement, a column an array (`UNNEST`).
//!
//! ```text
//! BEGIN, references --> locks, snapshot --> all rows --> COMMIT
//! ```
//!
//! A connection that breaks before COMMIT has written nothing ([`StoreError::Lost`]); one that breaks during COMMIT leaves
//! nobody knowing ([`StoreError::Unknown`]).

use super::{Arg, Kind, Lookup, Many, Row, SCHEMA, StoreError, Value};
use crate::clock::Clock;
use crate::config::Config as Options;
use crate::{locked, tls};
use futures_util::future::{FutureExt, join, join_all};
use futures_util::stream::{StreamExt, poll_fn};
use hundi_core::plant::{Plant, planted};
use hundi_core::schedule::{SECOND, Timestamp};
use rustls::pki_types::{CertificateDer, pem, pem::PemObject};
use std::collections::HashMap;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket, Statement, tls::TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The oldest server that is supported.
const VERSION_LEAST: i64 = 150_000;
/// How long one host may take until a session is open, a read to be answered, a statement of the writer, and a commit,
/// which waits for standbys.
const CONNECT_WITHIN: Duration = Duration::from_millis(1_500);
const READ_WITHIN: Duration = Duration::from_secs(5);
const STATEMENT_WITHIN: Duration = Duration::from_secs(8);
const COMMIT_WITHIN: Duration = Duration::from_secs(30);
/// A plan is made anew after so long.
const PLAN_FOR: Duration = Duration::from_secs(60);
/// What every session of ours is set to.
///
/// The plans of the few statements are kept, so they must not depend on how small a table is today: by an index, always.
/// A process that is stopped in the middle of a transaction must not hold a wallet's lock for longer than a lease, and
/// whoever waits for that lock outlasts it. A commit is durable, whatever the server or the role believes.
const SESSION: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_bitmapscan=off \
    -c plan_cache_mode=force_generic_plan -c jit=off -c default_transaction_isolation=read\\ committed \
    -c lock_timeout=4s -c idle_in_transaction_session_timeout=3s -c statement_timeout=0 -c synchronous_commit=on \
    -c client_min_messages=warning";
/// A copy of the whole server that is being made, and an archive of its log, are no standbys.
const STANDBYS: &str = "SELECT current_setting('synchronous_standby_names'), \
    (SELECT COUNT(*) FROM pg_stat_replication WHERE COALESCE(state, '') <> 'backup' \
    AND COALESCE(application_name, '') NOT IN ('pg_basebackup', 'pg_receivewal')), \
    (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT";
/// By so much, microseconds, this machine's clock and the server's may differ: then those of two machines differ by less than
/// the time after which a bank's "not found" counts, so none takes for lost what another has just sent.
const APART_US: u64 = 2 * SECOND.unsigned_abs();
/// A clock that is set by more than this, microseconds, is compared with the server's before anything else.
const SET_US: u64 = SECOND.unsigned_abs() / 2;
/// For `hundi verify`, which reads everything: the planner may do what is best.
const SESSION_OF_SCANS: &str = "-c default_transaction_isolation=repeatable\\ read -c jit=off";

/// A PostgreSQL database.
pub struct Postgres {
    /// One for each host of the address.
    hosts: Vec<Config>,
    /// Which of them was last reached.
    reached: AtomicUsize,
    tls: MakeRustlsConnect,
    clock: Clock,
    readers: Pool,
    /// As many as the writer has lanes, the house's with them, and one for who writes alone.
    writers: Pool,
    /// The one connection of a view.
    view: Option<tokio::sync::Mutex<Link>>,
    replication: Replication,
    clocks: Clocks,
}

/// What is known about this machine's clock.
#[derive(Default)]
struct Clocks {
    /// By how much it differs from the server's, microseconds.
    apart_us: AtomicU64,
    /// [`Clock::ahead_us`] when they were compared.
    ahead_us: AtomicI64,
}

/// What is known about standbys.
#[derive(Default)]
struct Replication {
    /// A payout that is acknowledged now could be lost in a failover.
    unsafe_now: AtomicBool,
    /// Replication was synchronous at some time.
    was_synchronous: AtomicBool,
    accepted: bool,
}

/// Idle connections and room for more.
struct Pool {
    idle: Mutex<Vec<Link>>,
    room: Arc<Semaphore>,
}

/// What is read outside of a transaction.
#[derive(Clone, Copy)]
enum Read<'a> {
    Statement(&'static str, &'a [Arg<'a>]),
    Lookup(&'static Lookup, &'a [Value]),
}

/// One connection.
struct Link {
    client: Client,
    /// By the address of their text, with how often each was used, and since when it has its plan.
    statements: HashMap<(usize, usize), (Statement, u64, Instant)>,
    /// The server has warned: of a commit, that means that it may not be where it must be.
    warned: Arc<AtomicBool>,
}

/// A transaction.
pub struct PostgresTx<'a> {
    store: &'a Postgres,
    link: Option<Link>,
    begun: bool,
    failed: bool,
    _room: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration holds a password.
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects, and refuses a server that cannot be used.
    pub async fn open(options: &Options, url: &str, clock: &Clock) -> Result<Postgres, StoreError> {
        let store = Postgres::new(options, url, clock, SESSION)?;
        let mut link = store.connect().await?;
        let sql = "SELECT current_setting('server_version_num'), current_setting('transaction_read_only'), \
            current_setting('fsync'), current_setting('server_encoding'), \
            current_setting('lock_timeout') || ' ' || current_setting('synchronous_commit'), \
            CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END";
        let mut rows = link.query(sql, &[]).await.map_err(explain)?;
        let row = rows.first_mut().ok_or_else(|| StoreError::Corrupt("the server does not know its version".into()))?;
        let (version, read_only, fsync) = (row.text()?, row.text()?, row.text()?);
        let (encoding, session, recovers) = (row.text()?, row.text()?, row.int()? == 1);
        if encoding != "UTF8" {
            return Err(StoreError::Unusable(format!(
                "the database of `database_url` has the encoding {encoding}; create it with `createdb --encoding UTF8 --template template0`"
            )));
        }
        if session != "4s on" {
            return Err(StoreError::Unusable(
                "what `database_url` leads to does not take session settings (options); connect to the server itself, not to a pooler"
                    .into(),
            ));
        }
        if version.parse::<i64>().unwrap_or(0) < VERSION_LEAST {
            return Err(StoreError::Unusable(format!(
                "the PostgreSQL server of `database_url` is of version {}; 15 or later is needed",
                version.parse::<i64>().unwrap_or(0) / 10_000
            )));
        }
        if recovers || read_only == "on" {
            let why =
                if recovers { "is a standby (in recovery)" } else { "only reads (default_transaction_read_only)" };
            return Err(StoreError::Unusable(format!(
                "the PostgreSQL server of `database_url` {why}; name the primary, or all hosts with target_session_attrs=read-write"
            )));
        }
        if fsync != "on" {
            tracing::warn!("the PostgreSQL server has fsync off: a power failure loses payouts that were acknowledged");
        }
        store.readers.put(link);
        if store.schema().await? > 0 {
            let once = store.query("SELECT value FROM meta WHERE name = 'synchronous'", &[]).await?;
            store.replication.was_synchronous.store(!once.is_empty(), Ordering::Relaxed);
        }
        store.check_server().await?;
        store.same_time()?;
        Ok(store)
    }

    /// Connects for reading, as everything is at this moment.
    pub async fn open_view(options: &Options, url: &str, clock: &Clock) -> Result<Postgres, StoreError> {
        let mut store = Postgres::new(options, url, clock, SESSION_OF_SCANS)?;
        let mut link = store.connect().await?;
        link.client.batch_execute("BEGIN READ ONLY").await.map_err(explain)?;
        // The first statement that reads fixes what the transaction sees.
        link.query("SELECT COUNT(*) FROM pg_class", &[]).await.map_err(explain)?;
        store.view = Some(tokio::sync::Mutex::new(link));
        Ok(store)
    }

    fn new(options: &Options, url: &str, clock: &Clock, session: &str) -> Result<Postgres, StoreError> {
        Ok(Postgres {
            hosts: connection_configs(url, session)?,
            reached: AtomicUsize::new(0),
            tls: MakeRustlsConnect::new(tls_config(options.postgres.ca_file.as_deref())?),
            clock: clock.clone(),
            readers: Pool::new(options.postgres.connections_max),
            writers: Pool::new(options.writer.lanes + 2),
            view: None,
            replication: Replication { accepted: options.postgres.allow_async_standby, ..Replication::default() },
            clocks: Clocks::default(),
        })
    }

    /// The schema of the database; 0 for an empty one.
    pub async fn schema(&self) -> Result<i64, StoreError> {
        let mut known = self.query("SELECT CASE WHEN to_regclass('meta') IS NULL THEN 0 ELSE 1 END", &[]).await?;
        if known.first_mut().map_or(Ok(0), Row::int)? == 0 {
            return Ok(0);
        }
        let mut rows = self.query("SELECT value FROM meta WHERE name = 'schema'", &[]).await?;
        let text = rows.first_mut().map_or(Ok(String::new()), Row::text)?;
        text.parse().map_err(|_| StoreError::Corrupt("the schema's number cannot be read".into()))
    }

    /// Runs a statement on a connection of its own, outside of any transaction: what makes or drops a database.
    pub async fn run_alone(&self, statement: &str) -> Result<(), StoreError> {
        self.connect().await?.client.batch_execute(statement).await.map_err(explain)
    }

    /// Runs a migration: all of it or nothing. Of several at once, one wins and the others find its work.
    pub async fn run_script(&self, script: &str) -> Result<(), StoreError> {
        let _still = self.clock.still();
        let mut tx = self.begin().await?;
        tx.begun = true;
        let link = tx.link()?;
        let set = format!(
            "INSERT INTO meta (name, value) VALUES ('schema', '{SCHEMA}') ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        );
        for text in ["BEGIN", script, &set] {
            link.client.batch_execute(text).await.map_err(explain)?;
        }
        tx.commit().await
    }

    /// Whether payouts may be acknowledged: not while a failover could lose them.
    pub fn durable(&self) -> bool {
        !self.replication.unsafe_now.load(Ordering::Relaxed) && self.same_time().is_ok()
    }

    /// Refuses while the server's clock is another one than this machine's.
    fn same_time(&self) -> Result<(), StoreError> {
        let apart_us = self.clocks.apart_us.load(Ordering::Relaxed);
        if apart_us > APART_US && !planted(Plant::ClocksApart) {
            Err(StoreError::Clocks { apart_ms: apart_us / 1_000 })
        } else {
            Ok(())
        }
    }

    /// Whether a synchronous standby was ever seen: then what is acknowledged must be on it.
    pub fn synchronous(&self) -> bool {
        self.replication.was_synchronous.load(Ordering::Relaxed)
    }

    /// Looks whether standbys are synchronous, and whether the server has the time that this machine has, and says so when
    /// that has changed.
    pub async fn check_server(&self) -> Result<(), StoreError> {
        let asked_at = self.clock.now();
        let rows = self.query(STANDBYS, &[]).await?;
        self.judge_server(asked_at, rows)
    }

    fn judge_server(&self, asked_at: Timestamp, mut rows: Vec<Row>) -> Result<(), StoreError> {
        let Some(row) = rows.first_mut() else { return Ok(()) };
        let (synchronous, standbys, server_us) = (!row.text()?.trim().is_empty(), row.int()?, row.int()?);
        if let Some(ahead_us) = self.clock.ahead_us() {
            // Between question and answer: how long each took is not known.
            let apart_us = server_us.abs_diff(server_us.clamp(asked_at.0, self.clock.now().0.max(asked_at.0)));
            self.clocks.ahead_us.store(ahead_us, Ordering::Relaxed);
            let before_us = self.clocks.apart_us.swap(apart_us, Ordering::Relaxed);
            match (before_us > APART_US, apart_us > APART_US) {
                (false, true) => tracing::error!("{}", StoreError::Clocks { apart_ms: apart_us / 1_000 }),
                (true, false) => tracing::info!("this machine's clock is the server's again"),
                (false, false) | (true, true) => {}
            }
        }
        if synchronous {
            self.replication.was_synchronous.store(true, Ordering::Relaxed);
        }
        let accepted = self.replication.accepted || planted(Plant::AsyncPairAccepted);
        let unsafe_now = !synchronous && (self.synchronous() || standbys > 0) && !accepted;
        if unsafe_now != self.replication.unsafe_now.swap(unsafe_now, Ordering::Relaxed) {
            if unsafe_now {
                tracing::error!(standbys, "{}", StoreError::Unsafe);
            } else {
                tracing::info!("replication is synchronous: creates are accepted");
            }
        }
        Ok(())
    }

    /// Runs a statement that reads.
    pub async fn query(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        let _still = self.clock.still();
        if let Some(view) = &self.view {
            return view.lock().await.query(sql, args).await.map_err(explain);
        }
        self.read(Read::Statement(sql, args)).await
    }

    /// Looks up many rows by their keys.
    pub async fn find(&self, lookup: &'static Lookup, keys: &[Value]) -> Result<Vec<Row>, StoreError> {
        let _still = self.clock.still();
        self.read(Read::Lookup(lookup, keys)).await
    }

    /// Reads on any connection, in time; once more on a new one if an idle one turns out to be dead.
    async fn read(&self, what: Read<'_>) -> Result<Vec<Row>, StoreError> {
        let asked = async {
            let (mut link, _room) = self.readers.take(self).await?;
            let mut result = link.read(what).await.map_err(explain);
            if let Err(StoreError::Lost(_)) = result {
                self.readers.clear();
                link = self.connect().await?;
                result = link.read(what).await.map_err(explain);
            }
            self.readers.put(link);
            result
        };
        let late = || StoreError::Lost("the server does not answer".into());
        timeout(READ_WITHIN, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// Runs a statement that reads, row by row.
    pub async fn scan(
        &self,
        sql: &'static str,
        args: &[Arg<'_>],
        each: &mut (dyn FnMut(Row) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let _still = self.clock.still();
        if let Some(view) = &self.view {
            return view.lock().await.scan(sql, args, each).await;
        }
        let (mut link, _room) = self.readers.take(self).await?;
        let result = link.scan(sql, args, each).await;
        // What was not read to its end still arrives; such a connection is not used again.
        if result.is_ok() {
            self.readers.put(link);
        }
        result
    }

    /// Begins a transaction that writes. `BEGIN` travels with its first statement.
    pub async fn begin(&self) -> Result<PostgresTx<'_>, StoreError> {
        let _still = self.clock.still();
        let (mut link, room) = self.writers.take(self).await?;
        let compared_us = self.clocks.ahead_us.load(Ordering::Relaxed);
        let is_set = self.clock.ahead_us().is_some_and(|ahead_us| ahead_us.abs_diff(compared_us) > SET_US);
        if link.statements.is_empty() || is_set {
            // A new connection may lead to a server that was a standby until now.
            let asked_at = self.clock.now();
            let rows = link.query(STANDBYS, &[]).await.map_err(explain)?;
            self.judge_server(asked_at, rows)?;
        }
        self.same_time()?;
        Ok(PostgresTx { store: self, link: Some(link), begun: false, failed: false, _room: room })
    }

    /// Closes what is idle.
    pub fn close(&self) {
        self.readers.clear();
        self.writers.clear();
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        let _still = self.clock.still();
        let (first, mut failed) = (self.reached.load(Ordering::Relaxed), None);
        for at in (first..self.hosts.len()).chain(0..first.min(self.hosts.len())) {
            let Some(host) = self.hosts.get(at) else { continue };
            // A host that is dead, or that takes the connection and says nothing, must not keep us from the next.
            let within = host.get_connect_timeout().copied().unwrap_or(CONNECT_WITHIN);
            match timeout(within, host.connect(self.tls.clone())).await {
                Ok(Ok((client, connection))) => {
                    self.reached.store(at, Ordering::Relaxed);
                    let warned = Arc::<AtomicBool>::default();
                    tokio::spawn(drive(connection, Arc::clone(&warned)));
                    return Ok(Link { client, statements: HashMap::new(), warned });
                }
                // Of several errors, the one of a host that answered says more.
                Ok(Err(error)) => failed = Some(explain_connect(error)),
                Err(_) => {
                    failed.get_or_insert_with(|| {
                        StoreError::Unusable(
                            "cannot use the PostgreSQL server of `database_url`: it does not answer in time; \
                             see whether the server runs there, and whether the host and the port are right"
                                .into(),
                        )
                    });
                }
            }
        }
        Err(failed.unwrap_or_else(|| StoreError::Unusable("`database_url` names no host".into())))
    }
}

impl Pool {
    fn new(size: usize) -> Pool {
        Pool { idle: Mutex::default(), room: Arc::new(Semaphore::new(size)) }
    }

    async fn take(&self, store: &Postgres) -> Result<(Link, OwnedSemaphorePermit), StoreError> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|_| StoreError::Lost("the store is closed".into()))?;
        loop {
            let idle = locked(&self.idle).pop();
            match idle {
                Some(link) if link.client.is_closed() => {}
                Some(link) => return Ok((link, room)),
                None => {
                    // Whatever keeps us from connecting now, we have connected before: it may pass.
                    let connected = store.connect().await.map_err(|error| match error {
                        StoreError::Unusable(text) => {
                            StoreError::Lost(text.split("; ").next().unwrap_or_default().to_owned())
                        }
                        other => other,
                    });
                    return Ok((connected?, room));
                }
            }
        }
    }

    fn clear(&self) {
        locked(&self.idle).clear();
    }

    fn put(&self, link: Link) {
        if !link.client.is_closed() {
            locked(&self.idle).push(link);
        }
    }
}

impl Link {
    async fn prepared(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<Statement, tokio_postgres::Error> {
        let key = (sql.as_ptr() as usize, sql.len());
        if let Some((statement, uses, planned)) = self.statements.get_mut(&key) {
            *uses += 1;
            // A plan is made for the tables as they are, and where they are nearly empty any index looks as good as the
            // right one: so it is made anew while they may have grown.
            if !uses.is_power_of_two() && planned.elapsed() < PLAN_FOR {
                return Ok(statement.clone());
            }
        }
        let kinds: Vec<Type> = args.iter().map(type_of).collect();
        let statement = self.client.prepare_typed(sql, &kinds).await?;
        let uses = self.statements.get(&key).map_or(1, |(_, uses, _)| *uses);
        self.statements.insert(key, (statement.clone(), uses, Instant::now()));
        Ok(statement)
    }

    async fn prepared_many(&mut self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        // Arrays are cast in the text, so there is nothing to tell.
        self.prepared(sql, &[]).await
    }

    async fn read(&mut self, what: Read<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        match what {
            Read::Statement(sql, args) => self.query(sql, args).await,
            Read::Lookup(lookup, keys) => self.find(lookup, keys).await,
        }
    }

    async fn query(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepared(sql, args).await?;
        let rows = self.client.query(&statement, &parameters(args)).await?;
        rows.iter().map(row).collect()
    }

    async fn find(&mut self, lookup: &'static Lookup, keys: &[Value]) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepared_many(lookup.sql().postgres).await?;
        let columns = columns(lookup.keys, keys);
        let rows = self.client.query(&statement, &pointers(&columns)).await?;
        rows.iter().map(row).collect()
    }

    async fn scan(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
        each: &mut (dyn FnMut(Row) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let statement = self.prepared(sql, args).await.map_err(explain)?;
        let rows = self.client.query_raw(&statement, parameters(args)).await.map_err(explain)?;
        let mut rows = pin!(rows);
        while let Some(next) = rows.next().await {
            each(next.and_then(|next| row(&next)).map_err(explain)?)?;
        }
        Ok(())
    }
}

impl PostgresTx<'_> {
    fn link(&mut self) -> Result<&mut Link, StoreError> {
        self.link.as_mut().ok_or_else(|| StoreError::Lost("the connection was given up after an error".into()))
    }

    /// The connection, and whether BEGIN is still to be sent: with what comes first, in the same round trip.
    fn link_and_begin(&mut self) -> Result<(&mut Link, bool), StoreError> {
        let begin = !std::mem::replace(&mut self.begun, true);
        Ok((self.link()?, begin))
    }

    /// Takes what came of a statement, if it came in time, and remembers whether it failed: what has failed is not
    /// committed.
    fn judged<T>(&mut self, done: Result<Result<T, StoreError>, Elapsed>) -> Result<T, StoreError> {
        let done = done.unwrap_or_else(|_| Err(StoreError::Lost("the server does not answer".into())));
        if let Err(error) = &done {
            self.failed = true;
            if matches!(error, StoreError::Lost(_)) {
                // Neither this connection nor those that were idle beside it are what they were.
                self.link = None;
                self.store.writers.clear();
            }
        }
        done
    }

    /// Runs a statement that writes.
    pub async fn execute(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        let _still = self.store.clock.still();
        let done = timeout(STATEMENT_WITHIN, self.send_one(sql, args)).await;
        self.judged(done)
    }

    async fn send_one(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        let (link, first) = self.link_and_begin()?;
        let statement = link.prepared(sql, args).await.map_err(explain)?;
        // A write that is sent before it is known that a transaction has begun might stand alone.
        begin(&link.client, first).await.map_err(explain)?;
        link.client.execute(&statement, &parameters(args)).await.map_err(explain)
    }

    /// Looks up rows by many keys; all in one round trip, in this order.
    pub async fn find(&mut self, wanted: &[(&'static Lookup, Vec<Value>)]) -> Result<Vec<Vec<Row>>, StoreError> {
        let _still = self.store.clock.still();
        let done = timeout(STATEMENT_WITHIN, self.send_lookups(wanted)).await;
        self.judged(done)
    }

    async fn send_lookups(&mut self, wanted: &[(&'static Lookup, Vec<Value>)]) -> Result<Vec<Vec<Row>>, StoreError> {
        let (link, first) = self.link_and_begin()?;
        let mut asked = Vec::with_capacity(wanted.len());
        for (lookup, keys) in wanted.iter().filter(|(_, keys)| !keys.is_empty()) {
            let statement = link.prepared_many(lookup.sql().postgres).await.map_err(explain)?;
            asked.push((statement, columns(lookup.keys, keys)));
        }
        let client = &link.client;
        let answers =
            asked.iter().map(|(statement, columns)| async move { client.query(statement, &pointers(columns)).await });
        let (begun, answers) = join(begin(client, first), join_all(answers)).await;
        begun.map_err(explain)?;
        let mut answers = all(answers)?.into_iter();
        let mut found = Vec::with_capacity(wanted.len());
        for (_, keys) in wanted {
            let rows = if keys.is_empty() { Vec::new() } else { answers.next().unwrap_or_default() };
            found.push(rows.iter().map(row).collect::<Result<_, _>>().map_err(explain)?);
        }
        Ok(found)
    }

    /// Writes many rows into several tables; all in one round trip, in this order. Gives back how many rows each changed.
    pub async fn write(&mut self, writes: &[(&'static Many, Vec<Value>)]) -> Result<Vec<u64>, StoreError> {
        let _still = self.store.clock.still();
        let done = timeout(STATEMENT_WITHIN, self.send_rows(writes)).await;
        self.judged(done)
    }

    async fn send_rows(&mut self, writes: &[(&'static Many, Vec<Value>)]) -> Result<Vec<u64>, StoreError> {
        let (link, first) = self.link_and_begin()?;
        let mut sent = Vec::with_capacity(writes.len());
        for (many, values) in writes.iter().filter(|(_, values)| !values.is_empty()) {
            let statement = link.prepared_many(many.sql().postgres).await.map_err(explain)?;
            sent.push((statement, columns(many.columns, values)));
        }
        let client = &link.client;
        begin(client, first).await.map_err(explain)?;
        let answers =
            sent.iter().map(|(statement, columns)| async move { client.execute(statement, &pointers(columns)).await });
        let mut answers = all(join_all(answers).await)?.into_iter();
        let changed = |(_, values): &(_, Vec<Value>)| if values.is_empty() { 0 } else { answers.next().unwrap_or(0) };
        Ok(writes.iter().map(changed).collect())
    }

    /// Commits.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let _still = self.store.clock.still();
        if self.failed {
            return Err(StoreError::Lost("a statement of the transaction has failed".into()));
        }
        let (true, Some(link)) = (self.begun, self.link.take()) else { return Ok(()) };
        link.warned.store(false, Ordering::Relaxed);
        let committed = timeout(COMMIT_WITHIN, link.client.batch_execute("COMMIT")).await;
        let Ok(committed) = committed else {
            return Err(StoreError::Unknown("the server, or its standby, does not answer".into()));
        };
        match committed {
            Ok(()) if link.warned.load(Ordering::Relaxed) => {
                // "canceling wait for synchronous replication": it is here, and maybe nowhere else.
                Err(StoreError::Unknown("the server committed with a warning".into()))
            }
            Ok(()) => {
                self.store.writers.put(link);
                Ok(())
            }
            Err(error) if error.as_db_error().is_some_and(|error| !ends_the_connection(error)) => {
                let refused = explain(error);
                if !matches!(refused, StoreError::Unknown(_)) {
                    // The server has undone it, and the session is as it was before.
                    self.store.writers.put(link);
                }
                if planted(Plant::RefusedCommitCounts) { Ok(()) } else { Err(refused) }
            }
            Err(_) if planted(Plant::LostCommitCounts) => Ok(()),
            Err(error) => Err(StoreError::Unknown(said(&error))),
        }
    }
}

impl Drop for PostgresTx<'_> {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        if !self.begun {
            self.store.writers.put(link);
        } else if !link.client.is_closed() {
            // It is sent now, and whoever uses the connection next is answered after it.
            match link.client.batch_execute("ROLLBACK").now_or_never() {
                Some(Err(_)) => {}
                _ => self.store.writers.put(link),
            }
        }
    }
}

async fn begin(client: &Client, first: bool) -> Result<(), tokio_postgres::Error> {
    let text = if planted(Plant::PostgresAsyncCommit) { "BEGIN; SET LOCAL synchronous_commit = off" } else { "BEGIN" };
    if first { client.batch_execute(text).await } else { Ok(()) }
}

/// The answers of statements that were sent together; the first error that is not a consequence of another.
fn all<T>(results: Vec<Result<T, tokio_postgres::Error>>) -> Result<Vec<T>, StoreError> {
    let mut answers = Vec::with_capacity(results.len());
    let mut failed = None;
    for result in results {
        match result {
            Ok(answer) => answers.push(answer),
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) && failed.is_some() => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(answers), |error| Err(explain(error)))
}

/// Moves bytes until the connection ends.
async fn drive<T>(mut connection: Connection<Socket, T>, warned: Arc<AtomicBool>)
where
    T: TlsStream + Unpin,
    Connection<Socket, T>: Unpin,
{
    let mut messages = poll_fn(move |context| connection.poll_message(context));
    while let Some(message) = messages.next().await {
        match message {
            Ok(AsyncMessage::Notice(notice)) if notice.parsed_severity() == Some(Severity::Warning) => {
                tracing::warn!(code = notice.code().code(), "the server warns: {}", notice.message());
                warned.store(true, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = said(&error), "a connection to the database has ended");
                return;
            }
        }
    }
}

/// The address with what we add to it, once for each of its hosts.
fn connection_configs(url: &str, session: &str) -> Result<Vec<Config>, StoreError> {
    let unusable = |why: String| {
        StoreError::Unusable(format!(
            "`database_url` is not usable: {why}; write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE"
        ))
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(unusable("it does not begin with postgres://".to_owned()));
    }
    // Our TLS always checks the server's name and its certificate.
    let (address, given) = url.split_once('?').unwrap_or((url, ""));
    let plain = given.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config =
        format!("{address}?{plain}").parse().map_err(|error: tokio_postgres::Error| unusable(said(&error)))?;
    if config.get_hosts().is_empty() {
        return Err(unusable("it names no host".to_owned()));
    }
    if !given.contains("sslmode=") {
        let near = |host: &Host| match host {
            Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
            Host::Unix(_) => true,
        };
        // In clear only to this very machine.
        let all_near = config.get_hosts().iter().all(near) && config.get_hostaddrs().iter().all(|ip| ip.is_loopback());
        let mode = if all_near { SslMode::Disable } else { SslMode::Require };
        config.ssl_mode(mode);
    }
    if config.get_hosts().len() > 1 && !given.contains("target_session_attrs=") {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_application_name().is_none() {
        config.application_name("hundi");
    }
    // Ours come last, so that they count.
    let options = format!("{} {session}", config.get_options().unwrap_or_default());
    config.options(options);
    Ok(one_by_one(&config))
}

/// The same for each host alone, so that each has its own time.
fn one_by_one(config: &Config) -> Vec<Config> {
    let one = |(at, host): (usize, &Host)| {
        let mut one = Config::new();
        match host {
            Host::Tcp(name) => one.host(name),
            Host::Unix(path) => one.host_path(path),
        };
        if let Some(ip) = config.get_hostaddrs().get(at) {
            one.hostaddr(*ip);
        }
        if let Some(port) = config.get_ports().get(at).or(config.get_ports().first()) {
            one.port(*port);
        }
        if let Some(user) = config.get_user() {
            one.user(user);
        }
        if let Some(password) = config.get_password() {
            one.password(password);
        }
        if let Some(name) = config.get_dbname() {
            one.dbname(name);
        }
        if let Some(within) = config.get_connect_timeout() {
            one.connect_timeout(*within);
        }
        one.options(config.get_options().unwrap_or_default());
        one.application_name(config.get_application_name().unwrap_or("hundi"));
        one.ssl_mode(config.get_ssl_mode()).ssl_negotiation(config.get_ssl_negotiation());
        one.channel_binding(config.get_channel_binding()).target_session_attrs(config.get_target_session_attrs());
        one.tcp_user_timeout(Duration::from_secs(10)).keepalives_idle(Duration::from_secs(10));
        one.keepalives_interval(Duration::from_secs(3)).keepalives_retries(3);
        one
    };
    config.get_hosts().iter().enumerate().map(one).collect()
}

fn tls_config(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, StoreError> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = ca_file {
        let unreadable = |why: String| {
            StoreError::Unusable(format!(
                "`postgres.ca_file` {} cannot be used: {why}; name a PEM file",
                path.display()
            ))
        };
        let damaged = |error: pem::Error| match error {
            pem::Error::Io(error) => unreadable(error.to_string()),
            other => unreadable(format!("it is cut or damaged ({other})")),
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(damaged)? {
            let certificate = certificate.map_err(damaged)?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
    } else {
        roots = tls::authorities_of_the_web();
    }
    tls::client(roots).map_err(|error| StoreError::Unusable(format!("TLS cannot be used: {error}")))
}

/// Fills in what differs between the engines in a migration.
pub fn dialect(script: &str) -> String {
    script
        .replace("{bytes}", "BYTEA")
        .replace(" {clustered}", "")
        .replace("{payout_id}", "BIGINT NOT NULL")
        // In this order it is of no use for anything else: while the table is nearly empty, an index that begins with the
        // merchant would look as good as the primary key.
        .replace("{order_key}", "order_id, merchant_id")
        .replace("{payouts_key}", ",\n    PRIMARY KEY (merchant_id, payout_id)")
}

/// An error in the words of the server, without its details, which may hold people's data.
fn said(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    match error.as_db_error() {
        Some(db) => db.message().to_owned(),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

fn ends_the_connection(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

fn explain(error: tokio_postgres::Error) -> StoreError {
    let text = said(&error);
    let Some(db) = error.as_db_error() else {
        // A wrong type is ours; anything else is the connection.
        return if error.is_closed() || error.code().is_none() && !text.starts_with("error serializing") {
            StoreError::Lost(text)
        } else {
            StoreError::Statement(text)
        };
    };
    match *db.code() {
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED | SqlState::UNIQUE_VIOLATION => {
            StoreError::Again(text)
        }
        SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => StoreError::Unknown(text),
        SqlState::LOCK_NOT_AVAILABLE | SqlState::TOO_MANY_CONNECTIONS => StoreError::Busy(text),
        SqlState::DISK_FULL | SqlState::IO_ERROR => StoreError::Disk(text),
        SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::Lost(text),
        SqlState::INSUFFICIENT_PRIVILEGE => StoreError::Unusable(format!(
            "the role of `database_url` may not do this: {text}; GRANT it the rights on the schema and its tables (docs/operating.md)"
        )),
        _ if ends_the_connection(db) => StoreError::Lost(text),
        _ => StoreError::Statement(text),
    }
}

fn explain_connect(error: tokio_postgres::Error) -> StoreError {
    let text = said(&error);
    let unusable = |remedy: &str| {
        StoreError::Unusable(format!("cannot use the PostgreSQL server of `database_url`: {text}; {remedy}"))
    };
    let Some(db) = error.as_db_error() else {
        return match text.as_str() {
            text if text.contains("read-write") || text.contains("does not allow writes") => {
                unusable("no host of it is a primary; see which one is, or promote one")
            }
            text if text.contains("not valid for name") => {
                unusable("write the host as the server's certificate names it")
            }
            text if text.contains("CaUsedAsEndEntity") => {
                unusable("its certificate is an authority's own; give the server one that the authority has signed")
            }
            text if text.contains("EndEntityUsedAsCa") => unusable(
                "who signed its certificate may sign none; give the server one that the authority has signed itself",
            ),
            text if ["Expired", "certificate expired", "not valid yet"].iter().any(|word| text.contains(word)) => {
                unusable("renew the server's certificate, or set this machine's clock right")
            }
            text if text.contains("extended key usage") => {
                unusable("give the server a certificate for servers (extendedKeyUsage=serverAuth)")
            }
            text if text.contains("alert: ProtocolVersion") => {
                unusable("let the server speak TLS 1.2 or 1.3 (ssl_min_protocol_version, ssl_max_protocol_version)")
            }
            text if text.contains("certificate") || text.contains("TLS") || text.contains("tls") => unusable(
                "give the authority's certificate with `postgres.ca_file`, or, on a network that you trust, sslmode=disable",
            ),
            text if text.contains("password") => unusable("write the role's password into it"),
            _ => unusable("see whether the server runs there, and whether the host and the port are right"),
        };
    };
    match *db.code() {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            unusable("check the role and its password, and the server's pg_hba.conf")
        }
        SqlState::INVALID_CATALOG_NAME => unusable("create the database with `createdb`, then run `hundi migrate`"),
        SqlState::INSUFFICIENT_PRIVILEGE => unusable("GRANT CONNECT on the database to the role"),
        SqlState::TOO_MANY_CONNECTIONS => StoreError::Busy(text),
        SqlState::CANNOT_CONNECT_NOW => StoreError::Lost(text),
        _ => unusable("see the server's log"),
    }
}

fn type_of(arg: &Arg<'_>) -> Type {
    match arg {
        Arg::Null => Type::UNKNOWN,
        Arg::Int(_) => Type::INT8,
        Arg::Text(_) => Type::TEXT,
        Arg::Bytes(_) => Type::BYTEA,
    }
}

fn parameters<'a>(args: &'a [Arg<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Arg<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Arg::Null => Ok(IsNull::Yes),
            Arg::Int(number) => number.to_sql(ty, out),
            Arg::Text(text) => text.to_sql(ty, out),
            Arg::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

/// A column of many rows, as an array.
enum Column<'a> {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<&'a str>>),
    Bytes(Vec<Option<&'a [u8]>>),
}

fn columns<'a>(kinds: &[(&str, Kind)], values: &'a [Value]) -> Vec<Column<'a>> {
    let width = kinds.len();
    let column = |(at, (_, kind)): (usize, &(&str, Kind))| {
        let values = values.iter().skip(at).step_by(width);
        match kind {
            Kind::Int => {
                Column::Ints(values.map(|value| if let Value::Int(n) = value { Some(*n) } else { None }).collect())
            }
            Kind::Text => Column::Texts(
                values.map(|value| if let Value::Text(text) = value { Some(text.as_str()) } else { None }).collect(),
            ),
            Kind::Bytes => Column::Bytes(
                values
                    .map(|value| if let Value::Bytes(bytes) = value { Some(bytes.as_slice()) } else { None })
                    .collect(),
            ),
        }
    };
    kinds.iter().enumerate().map(column).collect()
}

fn pointers<'a>(columns: &'a [Column<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    let pointer = |column: &'a Column<'_>| match column {
        Column::Ints(values) => values as &(dyn ToSql + Sync),
        Column::Texts(values) => values,
        Column::Bytes(values) => values,
    };
    columns.iter().map(pointer).collect()
}

fn row(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    (0..row.len()).map(|column| row.try_get(column)).collect::<Result<_, _>>().map(Row::new)
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i64::from(i32::from_sql(ty, raw)?)),
            Type::BYTEA => Value::Bytes(raw.to_vec()),
            _ => Value::Text(String::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Value::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::BYTEA | Type::TEXT | Type::VARCHAR)
    }
}
