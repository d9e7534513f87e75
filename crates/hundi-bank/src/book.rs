//! The book: the only SQL of the bank, and the batch in which everything that changes it is decided and committed.
//!
//! | table | row | written |
//! |---|---|---|
//! | `transfers` | one per reference: details, state, what is still due | inserted once, updated by each later change |
//! | `movements` | one per movement of money; nothing makes it unique, so that a second execution would be seen | append only |
//! | `callbacks` | one per change that the reply did not carry, with the change | updated until delivered |
//! | `known` | reference -> transfer, but for the newest, which are in memory | merged now and then, in order |
//! | `marks` | how far `known` goes, and the last serial of each kind of bank reference | once per batch |
//!
//! The book has one connection and one writer. A batch gathers jobs, decides each in order, each seeing the ones before
//! it, commits once, and only then answers.
//!
//! References come in no order, so that an index of them would be written at a page (4 KiB) per transfer: measured, that is
//! the slow part by far (38,000 a second against 190,000). The newest references are therefore indexed in memory, read
//! back from `transfers` at the start, and merged into `known` in the order of the index when they are many.
//!
//! It keeps account numbers in clear; nothing here logs a value of a row.

use crate::callbacks::{self, Event};
use crate::clock::{Clock, SECOND_US};
use crate::faults::Faults;
use crate::outcome::{self, Answer, Money, State, Step};
use crate::references::{Serial, Serials};
use crate::request::{Order, Rail};
use crate::{BankError, Times};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;

/// The most jobs that share a commit.
pub(crate) const BATCH_JOBS_MAX: usize = 1_024;
/// The most due transfers that one turn executes.
const TURN_TRANSFERS_MAX: i64 = 1_024;
/// How many references are indexed in memory before they are merged into the table: a few megabytes, and a pause of
/// the writer of about a tenth of a second.
const FRESH_MAX: usize = 32_768;
/// SQLite's page cache, in KiB.
const CACHE_KIB: i64 = 32 * 1024;
/// The rows of a page of the book or of a statement: the writer must not be held up for long.
pub(crate) const PAGE_ROWS_MAX: i64 = 5_000;
/// What the sandbox's customer has in the bank before the first transfer: 1,000 crore rupees.
pub(crate) const OPENING_BALANCE_PAISE: i64 = 1_000_000_000_000;
/// How long to wait for another process that has the file.
const LOCK_WAIT: Duration = Duration::from_secs(2);

const APPLICATION_ID: i64 = 0x4842_4e4b; // "HBNK"
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE transfers (
        id INTEGER PRIMARY KEY, reference TEXT NOT NULL, amount_paise INTEGER NOT NULL, rail TEXT NOT NULL,
        beneficiary TEXT NOT NULL, valid_until_us INTEGER NOT NULL, state TEXT NOT NULL, rrn TEXT NOT NULL,
        at_us INTEGER NOT NULL, due_step TEXT, due_at_us INTEGER) STRICT;
    CREATE INDEX transfers_due ON transfers (due_at_us, id) WHERE due_at_us IS NOT NULL;
    CREATE TABLE movements (
        id INTEGER PRIMARY KEY, transfer_id INTEGER NOT NULL, direction TEXT NOT NULL, amount_paise INTEGER NOT NULL,
        balance_after_paise INTEGER NOT NULL, at_us INTEGER NOT NULL) STRICT;
    CREATE INDEX movements_transfer ON movements (transfer_id);
    CREATE INDEX movements_at ON movements (at_us, id);
    CREATE TABLE callbacks (
        id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, body TEXT NOT NULL, copies_left INTEGER NOT NULL,
        failures INTEGER NOT NULL, next_at_us INTEGER NOT NULL) STRICT;
    CREATE INDEX callbacks_due ON callbacks (next_at_us, id) WHERE copies_left > 0;
    CREATE TABLE known (reference TEXT PRIMARY KEY, transfer_id INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE marks (name TEXT PRIMARY KEY, slot INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
";

/// What may be asked of the book.
pub(crate) enum Job {
    /// Execute an order once. `heard` says whether its answer will reach the customer promptly; else a callback tells.
    Transfer { order: Order, heard: bool, answer: oneshot::Sender<Answered> },
    /// Where does this reference stand?
    Find { reference: String, answer: oneshot::Sender<Option<Standing>> },
    /// The next page of the book, after this row.
    Book { after_id: i64, answer: oneshot::Sender<Vec<BookRow>> },
    /// The balance before this moment.
    BalanceBefore { at_us: i64, answer: oneshot::Sender<i64> },
    /// The next page of movements, after this one (time and row), before this moment.
    Movements { after: (i64, i64), before_us: i64, answer: oneshot::Sender<Vec<Movement>> },
    /// Execute what is due, and say which callbacks are.
    Turn { in_flight: BTreeSet<i64>, room: usize, answer: oneshot::Sender<Turn> },
    /// A callback was delivered, or was not.
    Delivered { id: i64, arrived: bool, answer: oneshot::Sender<()> },
}

/// What became of an order.
pub(crate) enum Answered {
    /// It was decided just now.
    Fresh(Standing),
    /// The reference is known, with the same details.
    Repeat(Standing),
    /// The reference is known, with other details.
    Conflict,
}

/// A transfer as the customer may see it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) reference: String,
    pub(crate) amount_paise: i64,
    pub(crate) state: State,
    pub(crate) rrn: String,
}

/// A row of `GET /book`.
pub(crate) struct BookRow {
    pub(crate) id: i64,
    pub(crate) rail: Rail,
    pub(crate) at_us: i64,
    /// How many times money was moved out.
    pub(crate) executions: i64,
    /// When the next that is known to happen to it does: it is paid, or given back.
    pub(crate) due_at_us: Option<i64>,
    pub(crate) standing: Standing,
}

/// One line of a statement.
pub(crate) struct Movement {
    pub(crate) id: i64,
    pub(crate) at_us: i64,
    pub(crate) reversal: bool,
    pub(crate) amount_paise: i64,
    pub(crate) reference: String,
    pub(crate) rrn: String,
    pub(crate) rail: Rail,
}

/// What the clockwork has to do now, and when it must look again.
pub(crate) struct Turn {
    pub(crate) callbacks: Vec<Event>,
    pub(crate) next_at_us: Option<i64>,
}

/// Everything besides the rows that a decision depends on.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) clock: Clock,
    pub(crate) times: Times,
    pub(crate) faults: Faults,
    pub(crate) seed: u64,
}

/// The open book. It is held by the one loop that writes.
pub(crate) struct Book {
    connection: Connection,
    rules: Rules,
    tally: Tally,
    /// The newest references and their transfers: all that `known` does not have.
    fresh: BTreeMap<String, i64>,
    /// A batch failed, so that `tally` and `fresh` may be ahead of the tables.
    stale: bool,
}

/// What the next row continues. Like `fresh`, it is read from the book at the start and again after a failed batch.
#[derive(Clone, Copy)]
struct Tally {
    serials: Serials,
    balance_paise: i64,
    last_movement_us: i64,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum BookError {
    Sqlite(rusqlite::Error),
    /// A stored word that this version does not know.
    Unreadable(&'static str),
    /// The balance would leave the range of 64 bits.
    Overflow,
}

impl From<rusqlite::Error> for BookError {
    fn from(error: rusqlite::Error) -> BookError {
        BookError::Sqlite(error)
    }
}

impl fmt::Display for BookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BookError::Sqlite(error) => write!(f, "SQLite: {error}"),
            BookError::Unreadable(column) => {
                write!(f, "the column {column} holds a word that is not known")
            }
            BookError::Overflow => write!(f, "the balance would overflow"),
        }
    }
}

type After = Box<dyn FnOnce() + Send>;

/// The answers of a batch, given when it is committed.
#[derive(Default)]
struct Answers {
    given: Vec<After>,
    work_arose: bool,
}

impl Answers {
    fn add<T: Send + 'static>(&mut self, answer: oneshot::Sender<T>, value: T) {
        // One who went away meanwhile needs no answer: the book has it.
        self.given.push(Box::new(move || drop(answer.send(value))));
    }
}

impl Book {
    /// Opens or creates the book; `None` keeps it in memory.
    pub(crate) fn open(path: Option<&Path>, rules: Rules) -> Result<Book, BankError> {
        let place = path.map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => BankError::InUse { path: place.clone() },
            Some(ErrorCode::NotADatabase) => BankError::NotABook { path: place.clone() },
            _ => BankError::Unusable { path: place.clone(), cause: error.to_string() },
        };
        let mut connection = path.map_or_else(Connection::open_in_memory, Connection::open).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.busy_timeout(LOCK_WAIT).map_err(failed)?;
        // The file belongs to this process alone: two banks over one book would each think themselves the only writer.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", 8_192).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(failed)?;
        match prepare_schema(&mut connection).map_err(failed)? {
            Schema::Ready => {}
            Schema::Strange => return Err(BankError::NotABook { path: place }),
            Schema::Newer => return Err(BankError::NewerBook { path: place }),
        }
        let tally = Tally::read(&connection).map_err(failed)?;
        let fresh = read_fresh(&connection).map_err(failed)?;
        Ok(Book { connection, rules, tally, fresh, stale: false })
    }

    /// Decides and commits the jobs, then answers them. Without a commit nobody is answered: each may ask again.
    /// True when something arose that the clockwork should look at.
    pub(crate) fn run(&mut self, jobs: &mut Vec<Job>) -> bool {
        let count = jobs.len();
        let done = self.commit(jobs);
        jobs.clear();
        match done {
            Ok(answers) => {
                answers.given.into_iter().for_each(|give| give());
                if self.fresh.len() >= FRESH_MAX
                    && let Err(error) = self.merge()
                {
                    tracing::error!(%error, "the newest references could not be merged; they stay in memory");
                }
                answers.work_arose
            }
            Err(error) => {
                tracing::error!(%error, jobs = count, "the bank's book could not be written");
                self.stale = true;
                false
            }
        }
    }

    fn commit(&mut self, jobs: &mut Vec<Job>) -> Result<Answers, BookError> {
        if self.stale {
            self.tally = Tally::read(&self.connection)?;
            self.fresh = read_fresh(&self.connection)?;
            self.stale = false;
        }
        let before = self.tally.serials;
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (rules, tally, fresh) = (&self.rules, &mut self.tally, &mut self.fresh);
        let mut batch = Batch { tx: &tx, rules, tally, fresh, answers: Answers::default() };
        for job in jobs.drain(..) {
            batch.decide(job)?;
        }
        let answers = batch.answers;
        let serials = self.tally.serials;
        for (name, was, is) in
            [("rrn", before.rrn, serials.rrn), ("neft", before.neft, serials.neft), ("rtgs", before.rtgs, serials.rtgs)]
        {
            if was != is {
                write_mark(&tx, name, is)?;
            }
        }
        tx.commit()?;
        Ok(answers)
    }

    fn merge(&mut self) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = tx.prepare_cached("INSERT INTO known (reference, transfer_id) VALUES (?1, ?2)")?;
            for (reference, id) in &self.fresh {
                insert.execute(params![reference, id])?;
            }
        }
        let last = self.fresh.values().max().copied().unwrap_or_default();
        write_mark(&tx, KNOWN_MARK, Serial { slot: 0, last })?;
        tx.commit()?;
        self.fresh.clear();
        Ok(())
    }
}

enum Schema {
    Ready,
    Strange,
    Newer,
}

fn prepare_schema(connection: &mut Connection) -> rusqlite::Result<Schema> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |sql| tx.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT COUNT(*) FROM sqlite_schema")?;
    if application == 0 && tables == 0 {
        tx.execute_batch(SCHEMA)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        tx.commit()?;
        return Ok(Schema::Ready);
    }
    Ok(match (application, version) {
        (APPLICATION_ID, SCHEMA_VERSION) => Schema::Ready,
        (APPLICATION_ID, version) if version > SCHEMA_VERSION => Schema::Newer,
        _ => Schema::Strange,
    })
}

/// The mark that says up to which transfer `known` goes.
const KNOWN_MARK: &str = "known";

fn read_mark(connection: &Connection, name: &str) -> rusqlite::Result<Serial> {
    let read = |row: &Row<'_>| Ok(Serial { slot: row.get(0)?, last: row.get(1)? });
    let found = connection.query_row("SELECT slot, last FROM marks WHERE name = ?1", [name], read).optional();
    found.map(Option::unwrap_or_default)
}

fn write_mark(tx: &Transaction<'_>, name: &str, mark: Serial) -> rusqlite::Result<()> {
    let sql = "INSERT INTO marks (name, slot, last) VALUES (?1, ?2, ?3)
               ON CONFLICT (name) DO UPDATE SET slot = excluded.slot, last = excluded.last";
    tx.prepare_cached(sql)?.execute(params![name, mark.slot, mark.last])?;
    Ok(())
}

fn read_fresh(connection: &Connection) -> rusqlite::Result<BTreeMap<String, i64>> {
    let known = read_mark(connection, KNOWN_MARK)?.last;
    let mut statement = connection.prepare("SELECT reference, id FROM transfers WHERE id > ?1")?;
    let rows = statement.query_map([known], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

impl Tally {
    fn read(connection: &Connection) -> rusqlite::Result<Tally> {
        let sql = "SELECT balance_after_paise, at_us FROM movements ORDER BY id DESC LIMIT 1";
        let last = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (balance_paise, last_movement_us) = last.unwrap_or((OPENING_BALANCE_PAISE, 0));
        let mark = |name| read_mark(connection, name);
        let serials = Serials { rrn: mark("rrn")?, neft: mark("neft")?, rtgs: mark("rtgs")? };
        Ok(Tally { serials, balance_paise, last_movement_us })
    }
}

/// A transaction in the making.
struct Batch<'a> {
    tx: &'a Transaction<'a>,
    rules: &'a Rules,
    tally: &'a mut Tally,
    fresh: &'a mut BTreeMap<String, i64>,
    answers: Answers,
}

impl Batch<'_> {
    fn decide(&mut self, job: Job) -> Result<(), BookError> {
        match job {
            Job::Transfer { order, heard, answer } => {
                let answered = self.transfer(order, heard)?;
                self.answers.add(answer, answered);
            }
            Job::Find { reference, answer } => {
                let found = self.find(&reference)?;
                self.answers.add(answer, found.map(|known| known.standing));
            }
            Job::Book { after_id, answer } => {
                let rows = self.book_page(after_id)?;
                self.answers.add(answer, rows);
            }
            Job::BalanceBefore { at_us, answer } => {
                let balance = self.balance_before(at_us)?;
                self.answers.add(answer, balance);
            }
            Job::Movements { after, before_us, answer } => {
                let rows = self.movements_page(after, before_us)?;
                self.answers.add(answer, rows);
            }
            Job::Turn { in_flight, room, answer } => {
                let turn = self.turn(&in_flight, room)?;
                self.answers.add(answer, turn);
            }
            Job::Delivered { id, arrived, answer } => {
                self.delivered(id, arrived)?;
                self.answers.add(answer, ());
            }
        }
        Ok(())
    }

    fn transfer(&mut self, order: Order, heard: bool) -> Result<Answered, BookError> {
        if let Some(known) = self.find(&order.reference)? {
            let same = known.standing.amount_paise == order.amount_paise
                && known.rail == order.rail
                && known.beneficiary == order.beneficiary;
            return Ok(if same { Answered::Repeat(known.standing) } else { Answered::Conflict });
        }
        // The clock is read here and not when the request arrived: it may have waited in the queue past its time.
        let now_us = self.rules.clock.now_us();
        let change = if now_us > order.valid_until_us {
            outcome::EXPIRED
        } else {
            outcome::plan(order.outcome, order.rail, self.rules.times, now_us)
        };
        let rrn = match change.money {
            Money::Out => self.tally.serials.take(order.rail, now_us),
            Money::Still | Money::Back => String::new(),
        };
        let (due_step, due_at_us) = due(change.next);
        let sql =
            "INSERT INTO transfers (reference, amount_paise, rail, beneficiary, valid_until_us, state, rrn, at_us,
                   due_step, due_at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        self.tx.prepare_cached(sql)?.execute(params![
            order.reference,
            order.amount_paise,
            order.rail.name(),
            order.beneficiary,
            order.valid_until_us,
            change.state.stored(),
            rrn,
            now_us,
            due_step,
            due_at_us
        ])?;
        let id = self.tx.last_insert_rowid();
        self.fresh.insert(order.reference.clone(), id);
        let Order { reference, amount_paise, .. } = order;
        let standing = Standing { reference, amount_paise, state: change.state, rrn };
        self.move_money(id, amount_paise, change.money, now_us)?;
        // `timeout` shows what silence is: only an enquiry tells. An answer that a fault withheld is called out instead.
        if !heard && order.outcome.answer == Answer::Given {
            self.announce(&standing, now_us)?;
        }
        self.answers.work_arose |= change.next.is_some();
        Ok(Answered::Fresh(standing))
    }

    fn move_money(&mut self, transfer_id: i64, amount_paise: i64, money: Money, now_us: i64) -> Result<(), BookError> {
        let (direction, change_paise) = match money {
            Money::Still => return Ok(()),
            Money::Out => ("out", -amount_paise),
            Money::Back => ("back", amount_paise),
        };
        // A statement is a range of time, so that a clock which was set back must not put a movement before another.
        let at_us = now_us.max(self.tally.last_movement_us);
        let balance_paise = self.tally.balance_paise.checked_add(change_paise).ok_or(BookError::Overflow)?;
        let sql = "INSERT INTO movements (transfer_id, direction, amount_paise, balance_after_paise, at_us)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        self.tx.prepare_cached(sql)?.execute(params![transfer_id, direction, amount_paise, balance_paise, at_us])?;
        self.tally.balance_paise = balance_paise;
        self.tally.last_movement_us = at_us;
        Ok(())
    }

    fn announce(&mut self, standing: &Standing, now_us: i64) -> Result<(), BookError> {
        let event = callbacks::describe(standing, now_us);
        let copies = self.rules.faults.copies(self.rules.seed, &event.event_id);
        let sql =
            "INSERT INTO callbacks (event_id, body, copies_left, failures, next_at_us) VALUES (?1, ?2, ?3, 0, ?4)";
        self.tx.prepare_cached(sql)?.execute(params![event.event_id, event.body, copies, now_us])?;
        self.answers.work_arose = true;
        Ok(())
    }

    fn turn(&mut self, in_flight: &BTreeSet<i64>, room: usize) -> Result<Turn, BookError> {
        let now_us = self.rules.clock.now_us();
        for (id, step) in self.due_transfers(now_us)? {
            self.execute_step(id, step, now_us)?;
        }
        // Looked up after the steps: they may have brought callbacks and further steps.
        let sql = "SELECT due_at_us FROM transfers WHERE due_at_us IS NOT NULL ORDER BY due_at_us, id LIMIT 1";
        let next_step: Option<i64> = self.tx.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        let (callbacks, next_callback) =
            if room == 0 { (Vec::new(), None) } else { self.due_callbacks(in_flight, room, now_us)? };
        Ok(Turn { callbacks, next_at_us: next_step.into_iter().chain(next_callback).min() })
    }

    fn due_transfers(&self, now_us: i64) -> Result<Vec<(i64, Step)>, BookError> {
        let sql = "SELECT id, due_step FROM transfers WHERE due_at_us IS NOT NULL AND due_at_us <= ?1
                   ORDER BY due_at_us, id LIMIT ?2";
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut rows = statement.query(params![now_us, TURN_TRANSFERS_MAX])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            let step =
                Step::of_stored(row.get_ref(1)?.as_str().map_err(|_| UNREADABLE_STEP)?).ok_or(UNREADABLE_STEP)?;
            due.push((row.get(0)?, step));
        }
        Ok(due)
    }

    fn execute_step(&mut self, id: i64, step: Step, now_us: i64) -> Result<(), BookError> {
        // A bank that was down at the due moment does it now, and what follows counts from now.
        let change = step.change(now_us);
        let sql = "SELECT reference, amount_paise, rail, state, rrn FROM transfers WHERE id = ?1";
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let (mut standing, rail) = read_standing(row)?;
        drop(rows);
        standing.state = change.state;
        if change.money == Money::Out {
            standing.rrn = self.tally.serials.take(rail, now_us);
        }
        let (due_step, due_at_us) = due(change.next);
        let sql = "UPDATE transfers SET state = ?2, rrn = ?3, at_us = ?4, due_step = ?5, due_at_us = ?6 WHERE id = ?1";
        let values = params![id, change.state.stored(), standing.rrn, now_us, due_step, due_at_us];
        self.tx.prepare_cached(sql)?.execute(values)?;
        self.move_money(id, standing.amount_paise, change.money, now_us)?;
        self.announce(&standing, now_us)
    }

    /// The callbacks to send now, and when the next one is due. Those that are on their way are passed over.
    fn due_callbacks(
        &self,
        in_flight: &BTreeSet<i64>,
        room: usize,
        now_us: i64,
    ) -> Result<(Vec<Event>, Option<i64>), BookError> {
        let sql = "SELECT id, next_at_us FROM callbacks WHERE copies_left > 0 ORDER BY next_at_us, id LIMIT ?1";
        let mut statement = self.tx.prepare_cached(sql)?;
        let limit = i64::try_from(in_flight.len().saturating_add(room).saturating_add(1)).unwrap_or(i64::MAX);
        let mut rows = statement.query([limit])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            let (id, next_at_us): (i64, i64) = (row.get(0)?, row.get(1)?);
            if in_flight.contains(&id) {
                continue;
            }
            if next_at_us > now_us || events.len() == room {
                return Ok((events, Some(next_at_us)));
            }
            let sql = "SELECT event_id, body FROM callbacks WHERE id = ?1";
            let event = |row: &Row<'_>| Ok(Event { id, event_id: row.get(0)?, body: row.get(1)? });
            events.push(self.tx.prepare_cached(sql)?.query_row([id], event)?);
        }
        Ok((events, None))
    }

    fn delivered(&mut self, id: i64, arrived: bool) -> Result<(), BookError> {
        if arrived {
            let sql = "UPDATE callbacks SET copies_left = copies_left - 1, failures = 0 WHERE id = ?1";
            self.tx.prepare_cached(sql)?.execute([id])?;
            return Ok(());
        }
        let sql = "UPDATE callbacks SET failures = failures + 1 WHERE id = ?1 RETURNING failures";
        let failures: u32 = self.tx.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
        let next_at_us = self.rules.clock.now_us() + callbacks::pause_s(failures) * SECOND_US;
        self.tx.prepare_cached("UPDATE callbacks SET next_at_us = ?2 WHERE id = ?1")?.execute([id, next_at_us])?;
        Ok(())
    }

    fn find(&self, reference: &str) -> Result<Option<Known>, BookError> {
        let id = match self.fresh.get(reference) {
            Some(id) => Some(*id),
            None => {
                let sql = "SELECT transfer_id FROM known WHERE reference = ?1";
                self.tx.prepare_cached(sql)?.query_row([reference], |row| row.get(0)).optional()?
            }
        };
        let Some(id) = id else { return Ok(None) };
        let sql = "SELECT reference, amount_paise, rail, state, rrn, beneficiary FROM transfers WHERE id = ?1";
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let (standing, rail) = read_standing(row)?;
        Ok(Some(Known { standing, rail, beneficiary: row.get(5)? }))
    }

    fn book_page(&self, after_id: i64) -> Result<Vec<BookRow>, BookError> {
        let sql = "SELECT reference, amount_paise, rail, state, rrn, id, at_us,
                   (SELECT COUNT(*) FROM movements WHERE transfer_id = transfers.id AND direction = 'out'), due_at_us
                   FROM transfers WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut rows = statement.query([after_id, PAGE_ROWS_MAX])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            let (standing, rail) = read_standing(row)?;
            let (at_us, executions, due_at_us) = (row.get(6)?, row.get(7)?, row.get(8)?);
            page.push(BookRow { id: row.get(5)?, rail, at_us, executions, due_at_us, standing });
        }
        Ok(page)
    }

    fn balance_before(&self, at_us: i64) -> Result<i64, BookError> {
        let sql = "SELECT balance_after_paise FROM movements WHERE at_us < ?1 ORDER BY at_us DESC, id DESC LIMIT 1";
        let balance = self.tx.prepare_cached(sql)?.query_row([at_us], |row| row.get(0)).optional()?;
        Ok(balance.unwrap_or(OPENING_BALANCE_PAISE))
    }

    fn movements_page(&self, after: (i64, i64), before_us: i64) -> Result<Vec<Movement>, BookError> {
        let sql = "SELECT t.reference, m.amount_paise, t.rail, t.state, t.rrn, m.id, m.at_us, m.direction
                   FROM movements m JOIN transfers t ON t.id = m.transfer_id
                   WHERE (m.at_us, m.id) > (?1, ?2) AND m.at_us < ?3 ORDER BY m.at_us, m.id LIMIT ?4";
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut rows = statement.query([after.0, after.1, before_us, PAGE_ROWS_MAX])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            let (Standing { reference, amount_paise, rrn, .. }, rail) = read_standing(row)?;
            let reversal = row.get_ref(7)?.as_str().is_ok_and(|direction| direction == "back");
            page.push(Movement { id: row.get(5)?, at_us: row.get(6)?, reversal, amount_paise, reference, rrn, rail });
        }
        Ok(page)
    }
}

/// A transfer that the book has, with the details that a repeat must match. `valid_until` is not one of them: it is
/// about a request, and a payment may be asked for by several.
struct Known {
    standing: Standing,
    rail: Rail,
    beneficiary: String,
}

const UNREADABLE_STEP: BookError = BookError::Unreadable("due_step");

/// Reads a row that begins with reference, amount, rail, state and rrn.
fn read_standing(row: &Row<'_>) -> Result<(Standing, Rail), BookError> {
    let rail = row.get_ref(2)?.as_str().ok().and_then(Rail::of_name).ok_or(BookError::Unreadable("rail"))?;
    let state = row.get_ref(3)?.as_str().ok().and_then(State::of_stored).ok_or(BookError::Unreadable("state"))?;
    let standing = Standing { reference: row.get(0)?, amount_paise: row.get(1)?, state, rrn: row.get(4)? };
    Ok((standing, rail))
}

fn due(next: Option<(Step, i64)>) -> (Option<&'static str>, Option<i64>) {
    next.map_or((None, None), |(step, at_us)| (Some(step.stored()), Some(at_us)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(book: &mut Book, references: std::ops::Range<usize>) -> Vec<Option<Answered>> {
        let mut answers = Vec::new();
        let mut jobs = Vec::new();
        for n in references {
            let body = format!(
                r#"{{"reference":"A{n}","amount_paise":7,"rail":"IMPS","valid_until_us":9000000000000000,
                "beneficiary":{{"kind":"account","account_number":"5010","ifsc":"HDFC0000001","name":"A"}}}}"#
            );
            let (answer, answered) = oneshot::channel();
            jobs.push(Job::Transfer { order: Order::parse(body.as_bytes()).expect("valid"), heard: true, answer });
            answers.push(answered);
        }
        book.run(&mut jobs);
        assert!(jobs.is_empty());
        answers.into_iter().map(|mut answered| answered.try_recv().ok()).collect()
    }

    #[test]
    fn a_batch_that_cannot_be_written_is_not_answered_and_leaves_nothing_behind() {
        let clock = Clock::held(1_735_700_000 * SECOND_US);
        let rules = Rules { clock, times: Times::Demo, faults: Faults::default(), seed: 1 };
        let mut book = Book::open(None, rules).expect("a book");
        assert!(run(&mut book, 0..1).iter().all(Option::is_some));
        let limit =
            |book: &Book, pages: i64| book.connection.pragma_update(None, "max_page_count", pages).expect("set");
        limit(&book, 1); // SQLite takes the present size when that is more: the disk is full
        assert!(run(&mut book, 1..1_000).iter().all(Option::is_none));
        limit(&book, 1_000_000);
        for (n, answer) in run(&mut book, 1..1_000).into_iter().enumerate() {
            let Some(Answered::Fresh(standing)) = answer else { panic!("A{} was not new", n + 1) };
            assert_eq!(standing.rrn, format!("500108{:06}", n + 2));
        }
        assert_eq!(book.tally.balance_paise, OPENING_BALANCE_PAISE - 7 * 1_000);
        let sql = "SELECT COUNT(*) FROM movements";
        assert_eq!(book.connection.query_row(sql, [], |row| row.get::<_, i64>(0)), Ok(1_000));
    }
}
