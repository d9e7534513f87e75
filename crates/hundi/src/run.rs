//! Starting and stopping: `serve`, `bank`, `demo` and `migrate`.

use clap::Args;
use hundi::config::{Config, LogFormat, Sandbox};
use hundi::http::{router, serve as http};
use hundi::keys::Keys;
use hundi::process::Write;
use hundi::store::batch::HOLD;
use hundi::store::{Store, rows};
use hundi::{App, admin, callbacks, clock::Clock, copy, verify, worker, writer};
use hundi_bank::{Bank, BankConfig, Faults, Times};
use hundi_core::ids::{Actor, MerchantId};
use hundi_core::schedule::SECOND;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// How long a process number is leased, and how often the lease is prolonged. As long as a create waits for the writer:
/// while the database is away so long, creates are answered "unknown" anyway. Not longer, or processes that are killed and
/// started over and over hold all numbers.
const PROCESS_LEASE_US: i64 = 5 * SECOND;
const PROCESS_KEEP: Duration = Duration::from_secs(1);
/// How often it is looked whether the database's standbys are synchronous.
const REPLICATION_EVERY: Duration = Duration::from_secs(10);
/// After a stop, what is in flight has this long, and everything together so long.
const WORK_WITHIN: Duration = Duration::from_millis(4_200);
const STOP_WITHIN: Duration = Duration::from_millis(4_800);
/// What the demo's merchant starts with.
const DEMO_RUPEES: &str = "1000000.00";

/// Options of `hundi bank`.
#[derive(Args)]
pub struct BankOptions {
    /// Where the bank listens
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Where it reports what happens later, such as http://127.0.0.1:8080/connectors/sandbox/callback
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// A file with the secret that signs its reports
    #[arg(long, value_name = "FILE")]
    callback_secret_file: Option<PathBuf>,
    /// Faults by rate, such as timeout=0.05,drop=0.02,dup_callback=0.1,late=0.05
    #[arg(long, default_value = "")]
    fault: String,
    /// The seed of the faults
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// When NEFT and RTGS are paid: demo (within 10 s) or real
    #[arg(long, default_value = "real", value_parser = ["demo", "real"])]
    times: String,
}

/// Runs a future to its end on a runtime with the usual threads.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.map_err(|error| format!("cannot start threads: {error}"))?.block_on(future))
}

/// Runs a future on a thread of its own, which it may block; the receiver hears when it ends, or fails.
pub fn on_a_thread<F, M>(name: &str, make: M) -> Result<oneshot::Receiver<()>, String>
where
    F: Future<Output = ()>,
    M: FnOnce() -> F + Send + 'static,
{
    let (ended, end) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the {name}: {error}"))?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    let spawned = thread.spawn(move || {
        runtime.block_on(make());
        // Nobody may be listening any more.
        ended.send(()).unwrap_or_default();
    });
    spawned.map_err(|error| format!("cannot start the {name}: {error}"))?;
    Ok(end)
}

/// Which part of the work a process does.
#[derive(Clone, Copy)]
pub struct Roles {
    /// It serves merchants and banks.
    pub api: bool,
    /// It sends, asks banks and calls merchants back.
    pub worker: bool,
}

/// The keys: from `HUNDI_KEY`, or from the key file, which is made for a `new` database only.
pub fn keys(config: &Config, new: bool) -> Result<Keys, String> {
    if let Ok(text) = std::env::var("HUNDI_KEY") {
        return Keys::parse(&text).map_err(|error| format!("HUNDI_KEY is not valid: {error}"));
    }
    let path = config.key_path();
    if new && !path.exists() {
        path.parent().map_or(Ok(()), make_folder)?;
        Keys::create(&path)?;
    }
    if config.database_url.is_some() && !path.exists() {
        return Err(format!(
            "there is no key at {}; set HUNDI_KEY or `key_file` to the key that this database was made with",
            path.display()
        ));
    }
    Keys::read(&path)
}

/// Opens the database with its keys; with `create` both are made where there are none yet.
pub async fn open(config: &Config, clock: &Clock, create: bool) -> Result<(Store, Keys, bool), String> {
    let embedded = config.database_url.is_none();
    // The embedded database's file comes with its first opening, so the keys come before.
    let first = if embedded { Some(keys(config, create && !config.database().exists())?) } else { None };
    let store = Store::open(config, clock, create).await.map_err(text)?;
    let keys = match first {
        Some(keys) => keys,
        None => keys(config, create && store.schema().await.map_err(text)? == 0)?,
    };
    let migrated = create && hundi::prepare(&store, &keys).await.map_err(text)?;
    store.check_schema().await.map_err(text)?;
    Ok((store, keys, migrated))
}

/// The folder for one process alone. Processes on one PostgreSQL server may share a folder or not: each needs its own only
/// for what it keeps beside the database.
pub fn own_folder(config: &Config) -> Result<Option<File>, String> {
    if config.database_url.is_none() {
        return lock(&config.data).map(Some);
    }
    if let Err(error) = make_folder(&config.data) {
        tracing::warn!("{error}; the journals are not anchored by this process");
    }
    Ok(None)
}

/// `hundi migrate`.
pub fn migrate(config: &Config) -> Result<Value, String> {
    make_folder(&config.data)?;
    let _lock = own_folder(config)?;
    block_on(async {
        let (store, _, migrated) = open(config, &Clock::system(), true).await?;
        store.close().await;
        let database = config.database();
        // The address of a server may hold a password.
        let shown = if config.database_url.is_some() { json!("`database_url`") } else { json!(database) };
        Ok(json!({ "database": shown, "key_file": config.key_path(), "migrated": migrated }))
    })?
}

/// `hundi copy`.
pub fn copy(config: &Config, anchors: &str) -> Result<Value, String> {
    make_folder(&config.data)?;
    let _lock = lock(&config.data)?;
    let keys = keys(config, false)?;
    block_on(copy::copy_installation(config, &keys, anchors))?
}

/// `hundi serve`.
pub fn serve(config: Config, roles: Roles, as_json: bool) -> Result<(), String> {
    log(&config.operations)?;
    if !roles.api && !roles.worker {
        return Err("--no-api and --no-worker together leave nothing to do; give one of them".to_owned());
    }
    if !roles.worker && config.database_url.is_none() {
        return Err(
            "--no-worker needs a PostgreSQL server: the embedded database is served by one process, so nobody would \
            send what it accepts; set `database_url`, or leave --no-worker out"
                .to_owned(),
        );
    }
    if config.connector_names().is_empty() {
        return Err(
            "no bank is configured, so nothing could be paid; add a [connectors.NAME] section, or [sandbox], to \
            hundi.toml (docs/connectors.md)"
                .to_owned(),
        );
    }
    let _lock = own_folder(&config)?;
    block_on(async {
        let clock = Clock::system();
        let api = if roles.api { Some(bind("api.listen", config.api.listen).await?) } else { None };
        let operations = bind("operations.listen", config.operations.listen).await?;
        let (store, keys, _) = open(&config, &clock, false).await?;
        let hundi = Hundi::start(config, (store, keys, clock), roles.worker, api, operations).await?;
        let api = hundi.api.map(|api| format!("http://{api}"));
        let operations = format!("http://{}", hundi.operations);
        tracing::info!(api, operations, worker = roles.worker, "hundi serves");
        if as_json {
            println!("{}", json!({ "api_url": api, "operations_url": operations, "data": hundi.app.config.data }));
        }
        let result = hundi.until_told().await;
        hundi.stop().await;
        result
    })?
}

/// `hundi bank`.
pub fn bank(options: &BankOptions, data: &Path, as_json: bool) -> Result<(), String> {
    log(&Config::default().operations)?;
    make_folder(data)?;
    let secret = options.callback_secret_file.as_deref().map(|path| {
        let secret = std::fs::read_to_string(path);
        let secret = secret.map_err(|error| format!("cannot read --callback-secret-file {}: {error}", path.display()));
        secret.map(|secret| secret.trim().as_bytes().to_vec())
    });
    let config = BankConfig {
        path: Some(data.join("bank.db")),
        callback_url: options.callback_url.clone(),
        callback_secret: secret.transpose()?,
        faults: options.fault.parse().map_err(|error| format!("--fault: {error}"))?,
        seed: options.seed,
        times: if options.times == "demo" { Times::Demo } else { Times::Real },
        clock: hundi_bank::Clock::system(),
    };
    block_on(async {
        let listener = bind("--listen", options.listen).await?;
        let address = listener.local_addr().map_err(text)?;
        let bank = SandboxBank::start(config, listener)?;
        tracing::info!(%address, "the sandbox bank is open");
        if as_json {
            println!("{}", json!({ "bank_url": format!("http://{address}"), "data": data }));
        }
        told().await;
        bank.stop().await;
        Ok(())
    })?
}

/// `hundi demo`.
///
/// Takes the options of a configuration, but for the addresses, the bank, and what a demo needs.
pub fn demo(listen: SocketAddr, mut config: Config, callback_url: Option<&str>, as_json: bool) -> Result<(), String> {
    let data = &config.data.clone();
    config.callbacks.allow_private = true;
    if config.operations.log_level == Config::default().operations.log_level {
        config.operations.log_level = "hundi=info,hundi_bank=warn".to_owned();
    }
    log(&config.operations)?;
    make_folder(data)?;
    let _lock = lock(data)?;
    block_on(async {
        let clock = Clock::system();
        let api = bind("--listen", listen).await?;
        let operations = beside(listen, 1).await?;
        let bank = beside(listen, 2).await?;
        let sink = beside(listen, 3).await?;
        let api_address = api.local_addr().map_err(text)?;
        let bank_url = url(&bank)?;
        let sink_url = format!("{}/callback", url(&sink)?);
        let secret = admin::new_secret();
        let bank_config = BankConfig {
            path: Some(data.join("bank.db")),
            callback_url: Some(format!("http://{api_address}/connectors/sandbox/callback")),
            callback_secret: Some(secret.clone()),
            faults: Faults::default(),
            seed: 7,
            times: Times::Demo,
            clock: hundi_bank::Clock::system(),
        };
        let bank = SandboxBank::start(bank_config, bank)?;
        config.sandbox = Some(Sandbox {
            url: bank_url.clone(),
            callback_secret_file: None,
            callback_secret: Some(secret),
            reply_within_ms: 5_000,
        });
        let (store, keys, _) = open(&config, &clock, true).await?;
        let hundi = Hundi::start(config, (store, keys, clock), true, Some(api), operations).await?;
        let (stop_sink, sink_stopped) = watch::channel(false);
        let sink = tokio::spawn(http::serve(sink, limits(&hundi.app.config), sink_stopped, |_, request| async move {
            // The merchant's side of a callback. It shows what came, for a look at how callbacks are.
            tracing::info!(query = request.uri().query().unwrap_or_default(), "the demo merchant was called back");
            let mut response = hyper::Response::new(http_body_util::Full::default());
            *response.status_mut() = hyper::StatusCode::NO_CONTENT;
            response
        }));
        let token = furnish(&hundi.app, callback_url.unwrap_or(&sink_url)).await?;
        let ready = json!({
            "api_url": format!("http://{api_address}"), "bank_url": bank_url, "merchant_id": "demo", "token": token,
            "data": data,
        });
        if as_json {
            println!("{ready}");
        } else {
            println!("{}", welcome(&ready, &hundi, callback_url.unwrap_or(&sink_url)));
        }
        let result = hundi.until_told().await;
        hundi.stop().await;
        bank.stop().await;
        stop_sink.send_replace(true);
        drop(sink.await);
        result
    })?
}

/// The demo's merchant, his money and a new token.
async fn furnish(app: &App, callback_url: &str) -> Result<String, String> {
    let operator = Actor::Operator("demo".into());
    if admin::merchant(app, "demo").await.is_err() {
        admin::merchant_add(app, "demo", "*:5.00", &operator).await?;
    }
    admin::fund(app, "demo", DEMO_RUPEES, "DEMO-OPENING", "sandbox", &operator).await?;
    let changes = admin::MerchantChanges { callback_url: Some(callback_url.to_owned()), ..Default::default() };
    admin::merchant_set(app, "demo", changes, &operator).await?;
    let token = admin::token_new(app, "demo", "127.0.0.1,::1", None, &operator).await?;
    token["token"].as_str().map(ToOwned::to_owned).ok_or_else(|| "no token was made; try again".to_owned())
}

fn welcome(ready: &Value, hundi: &Hundi, callback_url: &str) -> String {
    let shown = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    let (api, token, data) = (shown("api_url"), shown("token"), shown("data"));
    let lines = [
        "Hundi is ready. Stop it with Ctrl-C; start it again and it goes on.".to_owned(),
        String::new(),
        format!("Merchant API   {api}"),
        format!("Sandbox bank   {}/book", shown("bank_url")),
        format!("Operations     http://{}/metrics", hundi.operations),
        format!("Callbacks to   {callback_url}"),
        format!("Data           {data}"),
        "Merchant       demo, opened with 10,00,000.00; 5.00 + GST a payout".to_owned(),
        format!("Token          {token}"),
    ];
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = "─".repeat(width + 2);
    let boxed: String = lines.iter().map(|line| format!("│ {line:<width$} │\n")).collect();
    let order = hundi.app.clock.now().0 / 1_000_000;
    format!(
        "┌{rule}┐\n{boxed}└{rule}┘\nPay somebody (each OrderID pays once; change it to pay again):\n\n\
         curl -s {api}/PayoutBankTransafer -H 'Content-Type: application/json' -d '{{\"Token\":\"{token}\",\
         \"Number\":\"9876543210\",\"Amount\":\"200\",\"TransferMode\":\"IMPS\",\"AccountNo\":\"123456789012\",\
         \"IFSCCode\":\"HDFC0000001\",\"BeneficiaryName\":\"RUPESH KUMAR\",\"OrderID\":\"ORDER-{order}\"}}'\n\n\
         Then, in another terminal: hundi payout list --merchant demo --data {data}\n\
         and hundi verify --data {data} (with cargo: cargo run --release -- verify --data {data})\n"
    )
}

/// A sandbox bank that runs.
struct SandboxBank {
    bank: Arc<Bank>,
    tasks: Vec<JoinHandle<()>>,
    book: oneshot::Receiver<()>,
}

impl SandboxBank {
    fn start(config: BankConfig, listener: TcpListener) -> Result<SandboxBank, String> {
        let bank = Bank::open(config).map_err(text)?;
        let book = on_a_thread("bank-book", {
            let bank = Arc::clone(&bank);
            move || bank.run_book()
        })?;
        let tasks = vec![
            tokio::spawn(Arc::clone(&bank).run_clockwork(hundi_bank::http_sender())),
            tokio::spawn(Arc::clone(&bank).serve(listener)),
        ];
        Ok(SandboxBank { bank, tasks, book })
    }

    async fn stop(self) {
        self.bank.close();
        let all = async {
            for task in self.tasks {
                drop(task.await);
            }
            drop(self.book.await);
        };
        drop(tokio::time::timeout(Duration::from_secs(1), all).await);
    }
}

/// A Hundi that serves.
struct Hundi {
    app: Arc<App>,
    api: Option<SocketAddr>,
    operations: SocketAddr,
    stop: watch::Sender<bool>,
    stop_writer: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    house: JoinHandle<BTreeMap<MerchantId, i64>>,
    writer: tokio::sync::Mutex<oneshot::Receiver<()>>,
    folder: oneshot::Receiver<()>,
}

impl Hundi {
    /// Starts what this process does: the merchant API if it has a listener for it, and the `work`.
    async fn start(
        mut config: Config,
        (store, keys, clock): (Store, Keys, Clock),
        work: bool,
        api: Option<TcpListener>,
        operations: TcpListener,
    ) -> Result<Hundi, String> {
        if !work {
            // What is accepted here is another process's to send, and due to it at once.
            config.worker.lease_ms = 0;
        }
        let process = hundi::process::lease(&store, clock.now(), PROCESS_LEASE_US).await.map_err(text)?;
        let (app, ends) = App::new(config, store, keys, clock, hundi::http_out::http_out(), process).await?;
        if let Some(hold) = app.store.meta(HOLD).await.map_err(text)? {
            tracing::warn!(
                hold,
                "Hundi is on hold: nothing is started and nothing new is taken until `hundi hold release`"
            );
        }
        let (stop, stopped) = watch::channel(false);
        let (stop_writer, writer_stopped) = watch::channel(false);
        let folder = on_a_thread("log", {
            let (app, stopped) = (Arc::clone(&app), writer_stopped.clone());
            move || async move { app.store.fold(stopped).await }
        })?;
        let writer = on_a_thread("writer", {
            let app = Arc::clone(&app);
            move || async move { writer::run(&app, ends.queue, writer_stopped).await }
        })?;
        let limits = limits(&app.config);
        let mut tasks = Vec::new();
        if work {
            tasks.push(tokio::spawn(worker::run(Arc::clone(&app), ends.fresh, stopped.clone())));
            tasks.push(tokio::spawn(callbacks::run(Arc::clone(&app), stopped.clone())));
        } else {
            // Nobody takes up what is fresh, so nothing is started with its create.
            drop(ends.fresh);
        }
        let addresses = (
            api.as_ref().map(TcpListener::local_addr).transpose().map_err(text)?,
            operations.local_addr().map_err(text)?,
        );
        if let Some(api) = api {
            let for_api = Arc::clone(&app);
            tasks.push(tokio::spawn(hundi::listen(Arc::clone(&app), stopped.clone())));
            tasks.push(tokio::spawn(http::serve(api, limits, stopped.clone(), move |peer: IpAddr, request| {
                router::api(Arc::clone(&for_api), peer, request)
            })));
        }
        let for_operations = Arc::clone(&app);
        tasks.push(tokio::spawn(http::serve(operations, limits, stopped.clone(), move |peer: IpAddr, request| {
            router::operations(Arc::clone(&for_operations), peer, request)
        })));
        let house = tokio::spawn(keep_house(Arc::clone(&app), stopped));
        let (api, operations) = addresses;
        let writer = tokio::sync::Mutex::new(writer);
        Ok(Hundi { app, api, operations, stop, stop_writer, tasks, house, writer, folder })
    }

    /// Waits for SIGTERM or SIGINT; an error if the writer has ended by itself, because then nothing can be done any more.
    async fn until_told(&self) -> Result<(), String> {
        let mut writer = self.writer.lock().await;
        tokio::select! {
            biased;
            () = told() => Ok(()),
            _ = &mut *writer => Err("the writer has failed; see the log, and start again".to_owned()),
        }
    }

    /// Finishes what is in flight, then what is queued: within [`STOP_WITHIN`], whatever hangs.
    async fn stop(self) {
        tracing::info!("stopping; what is in flight is finished");
        self.stop.send_replace(true);
        let all = async {
            let tasks = async {
                for task in self.tasks {
                    drop(task.await);
                }
            };
            if tokio::time::timeout(WORK_WITHIN, tasks).await.is_err() {
                tracing::warn!("some work was not finished in time; it goes on after the next start");
            }
            if let Err(error) = self.app.process.give_back(Write::Writer(&self.app.writer)).await {
                tracing::debug!(%error, "the process number was not given back; it is free when its lease has run out");
            }
            self.stop_writer.send_replace(true);
            drop(self.writer.into_inner().await);
            drop(self.folder.await);
            // Now that nothing is written any more, the anchors hold all there is.
            let mut anchored = self.house.await.unwrap_or_default();
            anchor(&self.app, &mut anchored).await;
            self.app.store.close().await;
        };
        if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
            tracing::warn!("the writer did not end in time; what it had not committed was told to nobody");
        }
    }
}

/// Prolongs the lease of the process number, looks after the standbys, and anchors the journals.
/// Gives back how far each journal is anchored.
async fn keep_house(app: Arc<App>, mut stop: watch::Receiver<bool>) -> BTreeMap<MerchantId, i64> {
    let mut anchored = BTreeMap::new();
    // What was seen of standbys when the store was opened is remembered in the first turn.
    let (mut since_anchors, mut since_replication, mut remembered) = (Duration::ZERO, REPLICATION_EVERY, false);
    let anchors_every = Duration::from_secs(app.config.operations.anchors_every_s.max(1));
    loop {
        let stopping = tokio::select! {
            biased;
            () = hundi::told_to_stop(&mut stop) => true,
            () = tokio::time::sleep(PROCESS_KEEP) => false,
        };
        if stopping {
            return anchored;
        }
        // First of all: without a lease nothing is accepted.
        if let Err(error) = app.keep_process(PROCESS_LEASE_US).await {
            tracing::warn!(%error, "the lease of the process number was not prolonged; trying again");
        }
        since_anchors += PROCESS_KEEP;
        since_replication += PROCESS_KEEP;
        if since_replication >= REPLICATION_EVERY {
            since_replication = Duration::ZERO;
            look_after_server(&app, &mut remembered).await;
        }
        if since_anchors >= anchors_every {
            since_anchors = Duration::ZERO;
            anchor(&app, &mut anchored).await;
        }
    }
}

/// Looks whether standbys are synchronous and clocks agree, and remembers of the first in the store that they were, for processes to come.
async fn look_after_server(app: &App, remembered: &mut bool) {
    if let Err(error) = app.store.check_server().await {
        tracing::warn!(%error, "nobody knows whether the database's standbys are synchronous, and whether its server has this machine's time");
    }
    if app.store.synchronous() && !*remembered {
        *remembered = app.writer.write(rows::meta_once("synchronous", "once")).await.is_ok();
    }
}

async fn anchor(app: &App, anchored: &mut BTreeMap<MerchantId, i64>) {
    if let Err(error) = verify::append_anchors(app, anchored).await {
        tracing::error!(%error, "the journals were not anchored");
    }
}

fn limits(config: &Config) -> http::Limits {
    http::Limits {
        header_time: Duration::from_millis(config.api.header_within_ms),
        header_bytes: config.api.header_bytes_max,
        headers_max: 100,
        connections_max: config.api.connections_max,
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn told() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard; stop this process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn bind(option: &str, address: SocketAddr) -> Result<TcpListener, String> {
    listener(address)
        .map_err(|error| format!("cannot listen on {address}: {error}; choose another address with `{option}`"))
}

/// Connections that come at once wait here until they are accepted. Whoever finds no room tries again after a second.
const BACKLOG: u32 = 4_096;

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the next start would have to wait for connections of the last one otherwise.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A listener on the port `offset` after the API's, or on any free one.
async fn beside(listen: SocketAddr, offset: u16) -> Result<TcpListener, String> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let wanted = if listen.port() == 0 { 0 } else { listen.port().saturating_add(offset) };
    match listener(loopback(wanted)) {
        Ok(listener) => Ok(listener),
        Err(_) => bind("--listen", loopback(0)).await,
    }
}

fn url(listener: &TcpListener) -> Result<String, String> {
    listener.local_addr().map(|address| format!("http://{address}")).map_err(text)
}

pub fn make_folder(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("cannot make the folder {}: {error}; choose another with --data", path.display()))
}

/// One process serves a folder: the lock ends with the process, however it ends.
fn lock(data: &Path) -> Result<File, String> {
    let path = data.join("hundi.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| {
        format!("cannot open {}: {error}; check the folder given by --data or `data`", path.display())
    })?;
    let locked = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    locked.map_err(|_| format!("another hundi serves {}; stop it, or choose another folder", data.display()))?;
    Ok(file)
}

/// Logs go to stderr.
fn log(operations: &hundi::config::Operations) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(&operations.log_level)
        .map_err(|error| format!("`operations.log_level` is not valid: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = match operations.log_format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("cannot start the log: {error}"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
