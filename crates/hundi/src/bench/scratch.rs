//! A Hundi and a sandbox bank for one bench: a store with merchants, money and tokens, and two processes of this binary.
//!
//! The store is a scratch one, in a folder for temporary files or in a database of its own on a PostgreSQL server, and goes
//! away with the bench; or it is one that [`super::preload`] has filled, which stays. Merchants of a bench are called
//! `bench-...`; a store with any other merchant is refused.

use super::process::{Folder, Running, until_answers};
use super::{Stop, Target, WARM_UP};
use crate::run;
use hundi::callbacks::{Setting, seal_setting};
use hundi::clock::{Clock, random};
use hundi::config::{Config, DatabaseUrl};
use hundi::keys::{new_token, token_hash};
use hundi::process::Write;
use hundi::store::{rows, scratch};
use hundi::{App, writer};
use hundi_core::command::{Command, Decision};
use hundi_core::fees::FeePlan;
use hundi_core::ids::{Actor, Connector, MerchantId};
use hundi_core::money::Amount;
use hundi_core::schedule::SECOND;
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// What every wallet of a bench starts with.
const FUNDS_PAISE: i64 = 9_00_00_00_00_00_00_00;
/// What a payout costs its merchant.
const FEES: &str = "*:5.00";
/// Where the number of preloaded payouts is kept.
const NOTES: &str = "bench.json";

/// A Hundi that serves, and its bank. Fields are dropped from the first to the last.
pub struct Site {
    /// The server.
    pub hundi: Running,
    /// The sandbox bank.
    pub bank: Running,
    _database: Option<Database>,
    _folder: Folder,
    api: SocketAddr,
    operations: SocketAddr,
    tokens: Vec<String>,
    beside: Option<String>,
    preloaded: u64,
    /// From the start of the server until it was ready.
    pub ready_us: u64,
    /// What it held before the first call.
    pub idle_kib: Option<u64>,
    /// `sqlite` or `postgres`.
    pub engine: &'static str,
}

impl Site {
    /// Makes the store and starts the processes. `beside` asks for one wallet more than `wallets`, beside the others.
    pub fn start(
        preloaded: Option<&Path>,
        database_url: Option<&str>,
        wallets: Option<usize>,
        beside: bool,
        stop: &Stop,
    ) -> Result<Site, String> {
        let name = format!("hundi-bench-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(&name));
        run::make_folder(&folder.0)?;
        let data = preloaded.map_or_else(|| folder.0.join("data"), Path::to_owned);
        let database = match (database_url, preloaded) {
            (Some(url), None) => Some(Database::make(url, &name.replace('-', "_"))?),
            _ => None,
        };
        let url = database.as_ref().map(|database| database.config.database_url.clone());
        let url = url.unwrap_or_else(|| database_url.map(|url| DatabaseUrl(url.to_owned())));
        let config = Config { data, database_url: url, ..Config::default() };
        let notes = Notes::read(&config.data)?;
        if let (Some(data), None) = (preloaded, &notes) {
            return Err(format!(
                "{} was not filled by `hundi bench --preload`; leave --data out for a scratch store",
                data.display()
            ));
        }
        let wallets = Notes::wallets(notes.as_ref(), wallets)?;
        let all = wallets + usize::from(beside);
        let mut tokens = open(&config, preloaded.is_none(), |app| async move { furnish(&app, all).await })?;
        let beside = if beside { tokens.pop() } else { None };
        stop.check()?;
        let path = |name: &str| folder.0.join(name);
        let shown = |path: PathBuf| path.to_string_lossy().into_owned();
        let database_url = config.database_url.as_ref().map(|url| url.0.as_str());
        let bank_data = shown(path("bank"));
        let bank = ["bank", "--listen", "127.0.0.1:0", "--times", "real", "--data", &bank_data];
        let bank = Running::start(&bank, None, &path("bank.log"))?;
        let bank_url = format!("http://{}", bank.address("bank_url")?);
        std::fs::write(path("hundi.toml"), toml(&config.data, &bank_url))
            .map_err(|error| format!("cannot write the configuration of the bench: {error}"))?;
        let began = Instant::now();
        let file = shown(path("hundi.toml"));
        let hundi = Running::start(&["serve", "--config", &file], database_url, &path("serve.log"))?;
        let (api, operations) = (hundi.address("api_url")?, hundi.address("operations_url")?);
        until_answers(operations, "/readyz", stop)?;
        let ready_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        std::thread::sleep(WARM_UP);
        let idle_kib = hundi.memory_kib("VmRSS");
        Ok(Site {
            hundi,
            bank,
            _database: database,
            _folder: folder,
            api,
            operations,
            tokens,
            beside,
            preloaded: notes.map_or(0, |notes| notes.payouts),
            ready_us,
            idle_kib,
            engine: if database_url.is_some() { "postgres" } else { "sqlite" },
        })
    }

    /// Whom to ask.
    pub fn target(&self) -> Target<'_> {
        Target {
            address: self.api,
            operations: Some(self.operations),
            tokens: self.tokens.clone(),
            beside: self.beside.clone(),
            preloaded: self.preloaded,
            own: Some(self),
        }
    }
}

fn toml(data: &Path, bank_url: &str) -> String {
    // A literal string of TOML holds anything but an apostrophe; JSON's strings are TOML's other ones.
    let data = Value::from(data.to_string_lossy());
    format!(
        "data = {data}\n[api]\nlisten = '127.0.0.1:0'\n[operations]\nlisten = '127.0.0.1:0'\nlog_level = 'warn'\n\
         [sandbox]\nurl = '{bank_url}'\n"
    )
}

/// A database on a PostgreSQL server, dropped with its owner.
struct Database {
    config: Config,
    server: Config,
    name: String,
}

impl Database {
    fn make(server: &str, name: &str) -> Result<Database, String> {
        let with = |url: String| Config { database_url: Some(DatabaseUrl(url)), ..Config::default() };
        let url = scratch::url_of(server, name).ok_or(
            "--database-url must be postgres://USER:PASSWORD@HOST/DATABASE; any database of the server will do",
        )?;
        let (server, name) = (with(server.to_owned()), name.to_owned());
        let made = run::block_on(scratch::create_database(&server, &name))?;
        made.map_err(|error| format!("cannot make a database for the bench: {error}"))?;
        Ok(Database { config: with(url), server, name })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(Err(error)) | Err(error) = run::block_on(scratch::drop_database(&self.server, &self.name))
            .map(|dropped| dropped.map_err(|error| error.to_string()))
        {
            eprintln!("hundi: the database {} of the bench was not dropped: {error}; drop it yourself", self.name);
        }
    }
}

/// What a preload leaves beside its store.
pub struct Notes {
    /// How many wallets there are.
    pub wallets: usize,
    /// How many payouts were preloaded.
    pub payouts: u64,
}

impl Notes {
    /// Reads them, where there are any.
    pub fn read(data: &Path) -> Result<Option<Notes>, String> {
        let path = data.join(NOTES);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let read = serde_json::from_str::<Value>(&text).ok().and_then(|notes| {
            Some(Notes {
                wallets: usize::try_from(notes["wallets"].as_u64()?).ok().filter(|wallets| *wallets > 0)?,
                payouts: notes["payouts"].as_u64()?,
            })
        });
        read.map(Some).ok_or_else(|| format!("{} cannot be read; fill another folder", path.display()))
    }

    /// How many wallets take turns: those that there are, or as many as are asked for where there are none yet.
    pub fn wallets(notes: Option<&Notes>, asked: Option<usize>) -> Result<usize, String> {
        match (notes, asked) {
            (Some(notes), Some(asked)) if asked != notes.wallets => {
                Err(format!("the store has {} wallets, not {asked}; leave --wallets out", notes.wallets))
            }
            (Some(notes), _) => Ok(notes.wallets),
            (None, asked) => Ok(asked.unwrap_or(1)),
        }
    }

    /// Writes them.
    pub fn write(&self, data: &Path) -> Result<(), String> {
        let path = data.join(NOTES);
        let text = json!({ "wallets": self.wallets, "payouts": self.payouts }).to_string();
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// Opens a store, migrated if it may be `new`, and does something with it; a process that serves the same folder is refused.
pub fn open<T, F, M>(config: &Config, new: bool, work: M) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
    M: FnOnce(Arc<App>) -> F,
{
    run::make_folder(&config.data)?;
    let _lock = run::own_folder(config)?;
    run::block_on(async {
        let clock = Clock::system();
        let (store, keys, _) = run::open(config, &clock, new).await?;
        let process = hundi::process::lease(&store, clock.now(), LEASE_US).await.map_err(|error| error.to_string())?;
        let out = hundi::http_out::http_out();
        let (app, ends) = App::new(config.clone(), store, keys, clock, out, process).await?;
        let (stop, stopped) = watch::channel(false);
        let ended: oneshot::Receiver<()> = run::on_a_thread("writer", {
            let app = Arc::clone(&app);
            move || async move { writer::run(&app, ends.queue, stopped).await }
        })?;
        let kept = tokio::spawn({
            let app = Arc::clone(&app);
            async move {
                loop {
                    tokio::time::sleep(KEEP_EVERY).await;
                    // It is tried again; without a lease there are no ids, and who needs one waits.
                    drop(app.keep_process(LEASE_US).await);
                }
            }
        });
        let worked = work(Arc::clone(&app)).await;
        kept.abort();
        // If it is not given back, its lease runs out.
        drop(app.process.give_back(Write::Writer(&app.writer)).await);
        stop.send_replace(true);
        ended.await.map_err(|_| "the writer has failed")?;
        app.store.close().await;
        worked
    })?
}

/// How long a process number is leased, and how often the lease is prolonged.
const LEASE_US: i64 = 3 * SECOND;
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// The merchants of a bench, in order; refuses a store that has others.
pub async fn merchants(app: &App) -> Result<Vec<MerchantId>, String> {
    let merchants = app.store.merchants().await.map_err(|error| error.to_string())?;
    if let Some(other) = merchants.iter().find(|merchant| !merchant.merchant.starts_with("bench-")) {
        return Err(format!(
            "the store has a merchant `{}`, so it is not a bench's; a bench moves money, so give it a store of its own",
            other.merchant
        ));
    }
    Ok(merchants.into_iter().map(|merchant| merchant.id).collect())
}

/// Adds merchants until there are so many, each with money, and gives a new token to each.
pub async fn furnish(app: &Arc<App>, wallets: usize) -> Result<Vec<String>, String> {
    let known = merchants(app).await?.len();
    let actor = Actor::Operator("bench".into());
    let now = app.clock.now();
    let fees = FeePlan::parse(FEES)?;
    let text = |error: writer::Unknown| error.to_string();
    let adds = (known..wallets).map(|number| {
        let name = format!("bench-{:05}", number + 1);
        let secret = seal_setting(&app.keys, &name, Setting::Secret, &random::<32>());
        rows::merchant_add(&name, &fees, secret, &actor, now)
    });
    if let Some(adds) = adds.reduce(rows::Plain::and) {
        app.writer.write(adds).await.map_err(text)?;
    }
    let merchants = merchants(app).await?;
    let connector = Connector::parse("sandbox").ok_or("no connector")?;
    let amount = Amount::from_paise(FUNDS_PAISE).ok_or("no amount")?;
    let mut funded = tokio::task::JoinSet::new();
    for merchant in merchants.iter().skip(known) {
        let reference = format!("BENCH-{}", merchant.0).into();
        let fund = Command::Fund { merchant: *merchant, connector, reference, amount, actor: actor.clone() };
        let app = Arc::clone(app);
        funded.spawn(async move { app.writer.execute(fund).await });
    }
    while let Some(done) = funded.join_next().await {
        match done.map_err(|error| error.to_string())?.map_err(text)? {
            Decision::Done(_) | Decision::Repeat(_) => {}
            Decision::Refused(refusal) => return Err(format!("a wallet was not filled: {}", refusal.as_str())),
        }
    }
    let tokens: Vec<String> = merchants.iter().take(wallets).map(|_| new_token()).collect();
    let adds = tokens.iter().zip(&merchants).map(|(token, merchant)| {
        rows::token_add(token_hash(token), *merchant, "127.0.0.1/32,::1/128", None, &actor, now)
    });
    if let Some(adds) = adds.reduce(rows::Plain::and) {
        app.writer.write(adds).await.map_err(text)?;
    }
    Ok(tokens)
}
