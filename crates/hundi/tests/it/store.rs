//! The conformance of the engines: what a store promises, whichever it is.

use super::ENGINE;
use super::process::kit::Numbers;
use super::support::{Folder, KEY, START};
use crate::database::{self, Engine, number, run_sql};
use hundi::App;

use hundi::clock::Clock;
use hundi::config::Config;
use hundi::http_out::HttpOut;
use hundi::keys::Keys;
use hundi::process::ProcessNumber;
use hundi::store::{Arg, Row, Store, StoreError, rows};
use hundi::writer::{self, Unknown};
use hundi_core::command::{Command, Decision, Outcome, Source, Word};
use hundi_core::fees::FeePlan;
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::Amount;
use hundi_core::party::PersonName;
use hundi_core::payout::{Order, Sealed};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// An open store in a folder of its own, without a schema.
async fn empty() -> (Folder, Config, Store) {
    let folder = Folder::new();
    let config = Config { data: folder.path().to_owned(), ..folder.config() };
    let store = Store::open(&config, &Clock::system(), true).await.unwrap();
    (folder, config, store)
}

async fn migrated() -> (Folder, Config, Store) {
    let (folder, config, store) = empty().await;
    assert!(hundi::prepare(&store, &Keys::parse(KEY).unwrap()).await.unwrap());
    (folder, config, store)
}

/// Every statement that is written out in `store/`, in one line each, with the columns of payouts in their place.
fn statements() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\ ", "");
    let batch = one_line(&read("batch.rs"));
    let columns = batch.split_once("macro_rules! payout_columns { () => { \"").unwrap().1.split_once('"').unwrap().0;
    let reads = one_line(&read("reads.rs"));
    let open = reads.split_once("macro_rules! open_exceptions { () => { \"").unwrap().1.split_once('"').unwrap().0;
    let mut statements = Vec::new();
    let proposals = one_line(&read("proposals.rs"));
    let proposed = proposals.split_once("macro_rules! proposal_columns { () => { \"").unwrap().1;
    let proposed = proposed.split_once('"').unwrap().0;
    for name in [
        "batch.rs",
        "reads.rs",
        "rows.rs",
        "copy.rs",
        "statements.rs",
        "forgotten.rs",
        "report.rs",
        "alerts.rs",
        "files.rs",
        "proposals.rs",
        "credits.rs",
    ] {
        let text = one_line(&read(name)).replace("\", payout_columns!(), \"", columns);
        let text = text.replace("\", open_exceptions!(), \"", open).replace("\", $which, \"", "token_id");
        let text = text.replace("\", open_exceptions!())", &format!("{open}\")"));
        let text = text.replace("\", proposal_columns!(), \"", proposed);
        let complete = |literal: &&str| {
            let verbs =
                [("SELECT ", " FROM "), ("INSERT INTO ", " ("), ("UPDATE ", " SET "), ("DELETE FROM ", " WHERE ")];
            verbs.iter().any(|(verb, then)| literal.starts_with(verb) && literal.contains(then))
        };
        statements.extend(crate::tidy::literals(&text).filter(complete).map(str::to_owned));
    }
    statements
}

/// No statement names a table or a column that is not there, or says something that one engine does not understand.
#[tokio::test]
async fn every_statement_is_understood() {
    let (_folder, config, _store) = migrated().await;
    let statements = statements();
    assert!(statements.len() > 50, "{}", statements.len());
    for statement in statements {
        match &config.database_url {
            // What only PostgreSQL needs, only PostgreSQL understands.
            None if statement.contains(" LATERAL ") => {}
            None => {
                let connection = rusqlite::Connection::open(config.database()).unwrap();
                connection.prepare(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
            Some(url) => database::prepare(&url.0, &statement),
        }
    }
}

/// Everything in a store, by table; but for what differs between any two.
fn content(config: &Config) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = match &config.database_url {
        Some(url) => {
            let table = |name: String| {
                let rows = database::rows(&url.0, &format!("SELECT t::text FROM {name} t"));
                (name, rows.into_iter().map(|row| format!("{row:?}")).collect())
            };
            database::tables(&url.0).into_iter().map(table).collect()
        }
        None => {
            let connection = rusqlite::Connection::open(config.database()).unwrap();
            let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
            let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            let table = |name: String| {
                let mut rows = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
                let columns = rows.column_count();
                let text = |row: &rusqlite::Row<'_>| {
                    let values: Vec<rusqlite::types::Value> = (0..columns).map(|at| row.get_unwrap(at)).collect();
                    Ok(format!("{values:?}"))
                };
                let rows = rows.query_map([], text).unwrap().map(Result::unwrap).collect();
                (name, rows)
            };
            names.into_iter().map(table).collect()
        }
    };
    for rows in tables.values_mut() {
        rows.sort();
    }
    for own in ["meta", "processes"] {
        tables.remove(own);
    }
    tables
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let (_folder, _config, store) = migrated().await;
    let all: Vec<u8> = (0..=255).collect();
    let long = "₹ एक 'quoted' \"twice\" \\x41 $1 ?1 %\n\t".repeat(3_000);
    let numbers = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::from(i32::MAX) + 1, i64::MAX];
    let texts = ["", " ", "x", long.as_str()];
    let bytes: [&[u8]; 4] = [b"", b"\0", &all, &all.repeat(1_000)];
    let insert =
        "INSERT INTO bank_messages (connector, reference, message, source, body, at) VALUES ($1, $2, $3, $4, $5, $6)";
    let mut tx = store.begin().await.unwrap();
    for (at, number) in numbers.iter().enumerate() {
        let (key, text, bytes) = (at.to_string(), texts[at % texts.len()], bytes[at % bytes.len()]);
        let args =
            [Arg::Text("c"), Arg::Text(&key), Arg::Text("m"), Arg::Text(text), Arg::Bytes(bytes), Arg::Int(*number)];
        assert_eq!(tx.execute(insert, &args).await.unwrap(), 1);
    }
    let insert = "INSERT INTO journal (merchant_id, seq, at, kind, amount_paise, fee_paise, gst_paise, payout_id, connector, actor, \
        memo, wallet_after_paise, link) VALUES ($1, 1, $2, 1, 1, 0, 0, $3, $4, '', '', 0, $5)";
    for (merchant, payout, connector) in [(1, Arg::Null, Arg::Null), (2, Arg::Int(i64::MAX), Arg::Text("c"))] {
        let args = [Arg::Int(merchant), Arg::Int(i64::MIN), payout, connector, Arg::Bytes(&all)];
        assert_eq!(tx.execute(insert, &args).await.unwrap(), 1);
    }
    tx.commit().await.unwrap();
    let select = "SELECT at, source, body FROM bank_messages WHERE connector = $1 AND reference = $2";
    for (at, number) in numbers.iter().enumerate() {
        let key = at.to_string();
        let mut found = store.query(select, &[Arg::Text("c"), Arg::Text(&key)]).await.unwrap();
        let row = &mut found[0];
        let expected = (*number, texts[at % texts.len()].to_owned(), bytes[at % bytes.len()].to_vec());
        assert_eq!((row.int().unwrap(), row.text().unwrap(), row.bytes().unwrap()), expected);
    }
    let select = "SELECT payout_id, connector FROM journal ORDER BY merchant_id";
    let found = store.query(select, &[]).await.unwrap();
    let nullable = |mut row: Row| (row.int_or_null().unwrap(), row.text_or_null().unwrap());
    let found: Vec<_> = found.into_iter().map(nullable).collect();
    assert_eq!(found, [(None, None), (Some(i64::MAX), Some("c".to_owned()))]);
    // A row by row scan sees the same, and what a query does not find is no row.
    let mut scanned = 0;
    let mut each = |mut row: Row| {
        row.int_or_null()?;
        scanned += 1;
        Ok(())
    };
    store.scan(select, &[], &mut each).await.unwrap();
    assert_eq!(scanned, 2);
    let none = "SELECT payout_id FROM journal WHERE merchant_id = $1";
    assert!(store.query(none, &[Arg::Int(3)]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_committed_is_not_there_and_a_view_stands_still() {
    let (_folder, config, store) = migrated().await;
    let insert = "INSERT INTO processes (process, lease_until, fence) VALUES ($1, 1, 1)";
    let count = "SELECT COUNT(*) FROM processes";
    let counted = async |store: &Store| store.query(count, &[]).await.unwrap()[0].int().unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.execute(insert, &[Arg::Int(1)]).await.unwrap();
    drop(tx);
    assert_eq!(counted(&store).await, 0);
    let view = Store::open_view(&config, &Clock::system()).await.unwrap();
    assert_eq!(counted(&view).await, 0);
    let mut tx = store.begin().await.unwrap();
    tx.execute(insert, &[Arg::Int(1)]).await.unwrap();
    assert_eq!(counted(&store).await, 0, "others see only what is committed");
    tx.commit().await.unwrap();
    assert_eq!((counted(&store).await, counted(&view).await), (1, 0));
    // What a constraint refuses is an error of the statement, and the store goes on.
    let mut tx = store.begin().await.unwrap();
    let account = "INSERT INTO accounts (merchant_id, wallet_paise, reserved_paise, fees_paise, gst_paise, banks, journal_seq, \
        journal_at, journal_link, day, day_paise) VALUES (1, -1, 0, 0, 0, '', 0, 0, $1, 0, 0)";
    let refused = tx.execute(account, &[Arg::Bytes(&[0; 32])]).await;
    assert!(matches!(refused, Err(StoreError::Statement(_))), "{refused:?}");
    drop(tx);
    assert_eq!(counted(&store).await, 1);
}

#[tokio::test]
async fn migrations_are_done_once_and_other_schemas_refused() {
    let (_folder, config, store) = empty().await;
    let error = store.check_schema().await.unwrap_err().to_string();
    assert!(error.contains("is empty") && error.contains("hundi migrate"), "{error}");
    let keys = Keys::parse(KEY).unwrap();
    assert!(hundi::prepare(&store, &keys).await.unwrap());
    let installation = store.meta("installation").await.unwrap();
    assert!(!hundi::prepare(&store, &keys).await.unwrap());
    assert_eq!(store.meta("installation").await.unwrap(), installation);
    store.check_schema().await.unwrap();
    {
        let (schema, words) = (99, ["schema 99", "newer hundi"]);
        match ENGINE {
            Engine::Sqlite => run_sql(&config, &format!("PRAGMA user_version = {schema}")),
            Engine::Postgres => run_sql(&config, &format!("UPDATE meta SET value = '{schema}' WHERE name = 'schema'")),
        }
        for error in [store.check_schema().await.unwrap_err(), store.migrate().await.unwrap_err()] {
            let error = error.to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}

/// Two that migrate at once: one of them does it, and both go on.
#[tokio::test]
async fn migrations_race() {
    let (_folder, config, store) = empty().await;
    let other = Store::open(&config, &Clock::system(), true).await.unwrap();
    let keys = Keys::parse(KEY).unwrap();
    let (one, two) = tokio::join!(hundi::prepare(&store, &keys), hundi::prepare(&other, &keys));
    // Where both found nothing, the one that came second may be told so; asked again it finds the work done.
    for result in [one, two] {
        if let Err(error) = result {
            assert!(!hundi::prepare(&store, &keys).await.unwrap(), "{error}");
        }
    }
    other.check_schema().await.unwrap();
}

/// A writer on a store, without worker, bank or anything else that goes on by itself.
struct Writing {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    folder: Folder,
}

const MERCHANTS: i64 = 3;

impl Writing {
    /// With three merchants, of whom the first is rich and the third is called back.
    async fn start(batch_max: usize, lanes: usize) -> Writing {
        let folder = Folder::new();
        let mut config = Config { data: folder.path().to_owned(), ..folder.config() };
        config.writer.batch_max = batch_max;
        config.writer.lanes = lanes;
        config.sandbox = Some(toml_sandbox());
        let clock = Clock::held(START);
        let (store, keys) = (Store::open(&config, &clock, true).await.unwrap(), Keys::parse(KEY).unwrap());
        hundi::prepare(&store, &keys).await.unwrap();
        let nobody: HttpOut = Arc::new(|_| Box::pin(std::future::pending()));
        let (app, ends) = App::new(config, store, keys, clock, nobody, ProcessNumber::none()).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let for_writer = Arc::clone(&app);
        let task = tokio::spawn(async move { writer::run(&for_writer, ends.queue, stopped).await });
        let actor = Actor::Operator("tester".into());
        let now = app.clock.now();
        for merchant in 1..=MERCHANTS {
            let (name, plan) = (format!("m{merchant}"), FeePlan::parse("*:5.00").unwrap());
            let added = app.writer.write(rows::merchant_add(&name, &plan, vec![7; 48], &actor, now)).await.unwrap();
            assert_eq!(added, 1);
        }
        let url = rows::Setting::CallbackUrl(Some(vec![1; 60]));
        app.writer.write(rows::merchant_set(MerchantId(3), url)).await.unwrap();
        Writing { app, stop, task, folder }
    }

    /// Has commands decided that wait at the same moment; the answers in their order.
    async fn all(&self, commands: &[Command]) -> Vec<Result<Decision, Unknown>> {
        let mut waiting = tokio::task::JoinSet::new();
        for (at, command) in commands.iter().cloned().enumerate() {
            let app = Arc::clone(&self.app);
            waiting.spawn(async move { (at, app.writer.execute(command).await) });
        }
        let mut answers = waiting.join_all().await;
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn stop(self) -> Folder {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.app.store.close().await;
        self.folder
    }
}

fn toml_sandbox() -> hundi::config::Sandbox {
    Config::parse("[sandbox]\nurl = 'http://bank.test'").unwrap().sandbox.unwrap()
}

fn sandbox() -> Connector {
    Connector::parse("sandbox").unwrap()
}

fn order(merchant: i64, id: i64, name: &str, paise: i64, rail: Rail) -> Command {
    let mut fingerprint = [7; 32];
    fingerprint[..8].copy_from_slice(&paise.to_le_bytes());
    Command::CreatePayout(Box::new(Order {
        merchant: MerchantId(merchant),
        id: PayoutId(id),
        order: OrderId::parse(name).unwrap(),
        rail,
        amount: Amount::from_paise(paise).unwrap(),
        fingerprint,
        sealed: Sealed(vec![9; 60].into()),
        name: PersonName::parse("RUPESH KUMAR").unwrap(),
        hint: "1111".into(),
        actor: Actor::Token(1),
        created_at: Timestamp(0),
    }))
}

fn reference(merchant: i64, id: i64, attempt: u32, salt: u8) -> Reference {
    Reference::derive("test", MerchantId(merchant), &OrderId::parse(&id.to_string()).unwrap(), attempt, salt)
}

fn fund(merchant: i64, name: &str, paise: i64) -> Command {
    Command::Fund {
        merchant: MerchantId(merchant),
        connector: sandbox(),
        reference: name.into(),
        amount: Amount::from_paise(paise).unwrap(),
        actor: Actor::Operator("tester".into()),
    }
}

/// Commands about few payouts of few merchants, so that they meet; or the words of a bank. Each kind comes alone: what a bank
/// says about a start comes after the start was committed, and a writer keeps the order only within a merchant.
fn commands(numbers: &mut Numbers, count: usize, of_banks: bool) -> Vec<Command> {
    let mut pick = |from: u64, to: u64| i64::try_from(numbers.between(from, to)).unwrap();
    let rails = [Rail::Imps, Rail::Neft, Rail::Upi, Rail::Rtgs];
    let outcomes = [
        Outcome::Paid,
        Outcome::Paid,
        Outcome::Accepted,
        Outcome::Silent,
        Outcome::Refused { elsewhere: false },
        Outcome::Refused { elsewhere: true },
        Outcome::Reversed,
        Outcome::NotFound,
        Outcome::NotExecuted,
    ];
    let mut all = Vec::new();
    while all.len() < count {
        let merchant = pick(1, u64::try_from(MERCHANTS).unwrap() + 2);
        let (id, attempt) = (merchant * 1_000_000 + pick(1, 13), 1);
        let (whose, payout) = (MerchantId(merchant), PayoutId(id));
        let kind = if of_banks { 7 } else { [0, 1, 2, 3, 4, 5, 6, 9, 10, 11][usize::try_from(pick(0, 10)).unwrap()] };
        all.push(match kind {
            0..=3 => order(
                merchant,
                id,
                &format!("ORDER-{}", id % 1_000_000),
                [10_000, 20_000, 90_000_000_000][usize::try_from(pick(0, 3)).unwrap()],
                rails[usize::try_from(pick(0, 4)).unwrap()],
            ),
            4..=6 => Command::Start {
                merchant: whose,
                payout,
                connector: sandbox(),
                rail: rails[usize::try_from(pick(0, 4)).unwrap()],
                references: [reference(merchant, id, attempt, 0), reference(merchant, id, attempt, 1)],
                send_within_us: 5_000_000,
                enquire_after_us: 2_000_000,
            },
            7 => {
                let outcome = outcomes[usize::try_from(pick(0, 9)).unwrap()];
                let rrn: Box<str> = if outcome == Outcome::Paid { "123456789012".into() } else { "".into() };
                let word = Word { outcome, amount_paise: None, rrn, why: "".into() };
                let source = if pick(0, 2) == 0 {
                    Source::Enquiry { asked_at: Timestamp(i64::MAX) }
                } else {
                    Source::SignedCallback
                };
                Command::Record { connector: sandbox(), reference: reference(merchant, id, attempt, 0), word, source }
            }
            9 => Command::Cancel { merchant: whose, payout, actor: Actor::Operator("tester".into()) },
            10 => Command::Enquire { merchant: whose, payout, lease_us: 7_000_000 },
            _ => fund(
                merchant,
                &format!("CREDIT-{merchant}-{}", pick(0, 20)),
                [2_000_00, 3_000_00][usize::from(pick(0, 2) == 1)],
            ),
        });
    }
    all
}

/// DESIGN 2: a batch of N gives the same answers and the same rows as N batches of one, also where several run at once.
#[tokio::test(start_paused = true)]
async fn a_batch_of_many_is_many_batches_of_one() {
    for seed in 1..=4 {
        let mut made = Vec::new();
        for (batch_max, lanes) in [(1, 1), (512, 1), (512, 4), (7, 4)] {
            let writing = Writing::start(batch_max, lanes).await;
            let mut numbers = Numbers::new(seed);
            let mut answers = Vec::new();
            for merchant in 1..=MERCHANTS {
                answers.extend(
                    writing
                        .all(&[fund(merchant, &format!("OPENING-{merchant}"), 50_000_000 / (merchant * merchant * 10))])
                        .await,
                );
            }
            for (group, of_banks) in
                [(60, false), (1, false), (60, true), (200, false), (60, true), (90, false), (90, true)]
            {
                answers.extend(writing.all(&commands(&mut numbers, group, of_banks)).await);
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            let config = writing.app.config.clone();
            let folder = writing.stop().await;
            let answers: Vec<String> = answers.into_iter().map(|answer| format!("{answer:?}")).collect();
            made.push(((batch_max, lanes), answers, content(&config)));
            drop(folder);
        }
        let (_, answers, tables) = &made[0];
        for kind in ["Done(", "Repeat(", "Refused("] {
            assert!(answers.iter().filter(|answer| answer.contains(kind)).count() > 10, "{kind} is rare: seed {seed}");
        }
        assert!(answers.iter().all(|answer| answer.starts_with("Ok")), "seed {seed}");
        for table in
            ["payouts", "journal", "payout_history", "callbacks", "bank_references", "bank_credits", "accounts"]
        {
            assert!(!tables[table].is_empty(), "nothing in {table}: seed {seed}");
        }
        for (how, other_answers, other_tables) in &made[1..] {
            for (at, (one, other)) in answers.iter().zip(other_answers).enumerate() {
                assert_eq!(one, other, "answer {at} of batches {how:?}, seed {seed}");
            }
            for (table, rows) in tables {
                assert_eq!(rows, &other_tables[table], "{table} of batches {how:?}, seed {seed}");
            }
        }
    }
}

/// A row that the database refuses harms its own command only.
#[tokio::test(start_paused = true)]
async fn a_poisonous_row_harms_only_itself() {
    let writing = Writing::start(512, 4).await;
    assert!(writing.all(&[fund(1, "OPENING", 10_000_000)]).await[0].is_ok());
    assert!(matches!(writing.all(&[order(1, 1, "FIRST", 100, Rail::Imps)]).await[0], Ok(Decision::Done(_))));
    let mut batch: Vec<Command> = (2..20).map(|id| order(1, id, &format!("ORDER-{id}"), 100, Rail::Imps)).collect();
    // Another order under a number that is taken: a bug, or a row that somebody damaged.
    batch.insert(9, order(1, 1, "POISON", 100, Rail::Imps));
    batch.push(fund(2, "OTHER", 500));
    let answers = writing.all(&batch).await;
    for (at, answer) in answers.iter().enumerate() {
        let fine = matches!(answer, Ok(Decision::Done(_)));
        assert_eq!(fine, at != 9, "{at}: {answer:?}");
    }
    assert!(matches!(&answers[9], Err(Unknown::Store(_))), "{:?}", answers[9]);
    let config = writing.app.config.clone();
    assert_eq!(number(&config, "SELECT COUNT(*) FROM payouts"), 19);
    // And it goes on.
    assert!(matches!(writing.all(&[order(1, 30, "LATER", 100, Rail::Imps)]).await[0], Ok(Decision::Done(_))));
    drop(writing.stop().await);
}

/// A payout that somebody else changes between the reading and the writing is told apart from the others of its batch.
#[tokio::test(start_paused = true)]
async fn a_changed_version_answers_the_others() {
    let writing = Writing::start(512, 1).await;
    let config = writing.app.config.clone();
    writing.all(&[fund(1, "OPENING", 10_000_000)]).await;
    let orders: Vec<Command> = (1..=3).map(|id| order(1, id, &format!("ORDER-{id}"), 100, Rail::Neft)).collect();
    writing.all(&orders).await;
    // Whoever gives back the money of payout 2 finds it changed.
    let trigger = match ENGINE {
        Engine::Sqlite => {
            "CREATE TRIGGER meddle BEFORE INSERT ON journal WHEN NEW.payout_id = 2 BEGIN \
             UPDATE payouts SET version = version + 1 WHERE payout_id = 2; END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.payout_id = 2 THEN \
             UPDATE payouts SET version = version + 1 WHERE payout_id = 2; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER meddle BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION meddle()"
        }
    };
    run_sql(&config, trigger);
    let cancel =
        |id| Command::Cancel { merchant: MerchantId(1), payout: PayoutId(id), actor: Actor::Operator("tester".into()) };
    let answers = writing.all(&[cancel(1), cancel(2), cancel(3)]).await;
    assert!(matches!(&answers[0], Ok(Decision::Done(_))), "{:?}", answers[0]);
    assert_eq!(answers[1].as_ref().err(), Some(&Unknown::Store(StoreError::Conflict)));
    assert!(matches!(&answers[2], Ok(Decision::Done(_))), "{:?}", answers[2]);
    assert_eq!(number(&config, "SELECT COUNT(*) FROM journal WHERE kind = 3 OR payout_id = 2"), 3);
    drop(writing.stop().await);
}
