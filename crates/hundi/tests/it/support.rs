//! A world for tests: the whole of Hundi and a sandbox bank on one thread, joined without sockets, under a clock that the
//! test holds (`#[tokio::test(start_paused = true)]`): what takes hours here takes no time there.

use super::ENGINE;
use crate::database::{self, Database, Engine};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hundi::clock::Clock;
use hundi::config::{Config, DatabaseUrl, Sandbox};
use hundi::http_out::{HttpOut, OutError, OutReply, OutRequest};
use hundi::keys::Keys;
use hundi::store::Store;
use hundi::{App, admin, callbacks, worker, writer};
use hundi_bank::{Bank, BankConfig, CallbackSender, Faults, Times};
use hundi_core::ids::Actor;
use hundi_core::schedule::{DAY, Timestamp};
use hyper::Request;
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// 2026-11-22, 12:00 in India.
pub const START: Timestamp = Timestamp(1_795_329_000_000_000);
/// The key of every test.
pub const KEY: &str = "1:1111111111111111111111111111111111111111111111111111111111111111";

/// A folder that goes away with its owner, and so does the database that belongs to it.
pub struct Folder {
    path: PathBuf,
    database: OnceLock<Database>,
    elsewhere: Option<DatabaseUrl>,
}

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hundi-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder { path, database: OnceLock::new(), elsewhere: None }
    }

    /// One whose database is not its own.
    pub fn on(url: &str) -> Folder {
        let mut folder = Folder::new();
        folder.elsewhere = Some(DatabaseUrl(url.to_owned()));
        folder
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its database on a PostgreSQL server, where these tests are about PostgreSQL; made when it is first asked for.
    pub fn database_url(&self) -> Option<DatabaseUrl> {
        let own = || DatabaseUrl(self.database.get_or_init(Database::new).url());
        self.elsewhere.clone().or_else(|| (ENGINE == Engine::Postgres).then(own))
    }

    /// The options that name its data: the folder `data` below it, and its database.
    pub fn config(&self) -> Config {
        Config { data: self.path.join("data"), database_url: self.database_url(), ..Config::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}

/// A call that a merchant's receiver got.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Timestamp,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// What a receiver does with a call: a status, the same after a while, or nothing until the deadline.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    Answers(u16),
    AnswersAfter(Duration, u16),
    Hangs,
}

type Plan = Box<dyn FnMut(&Received) -> Behaviour + Send>;

/// The merchants' receivers: everything that is not the bank.
#[derive(Clone)]
pub struct Receivers {
    pub calls: Arc<Mutex<Vec<Received>>>,
    plan: Arc<Mutex<Plan>>,
    /// The way out that takes their place.
    instead: Arc<Mutex<Option<HttpOut>>>,
}

impl Receivers {
    /// From now on receivers behave so.
    pub fn behave(&self, plan: impl FnMut(&Received) -> Behaviour + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }

    /// From now on they are reached by this way out.
    pub fn reached_by(&self, out: HttpOut) {
        *self.instead.lock().unwrap() = Some(out);
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Received> {
        self.calls.lock().unwrap().clone()
    }
}

/// What lies between Hundi and its bank.
#[derive(Clone, Default)]
pub struct Wire {
    cut: Arc<AtomicBool>,
    payments: Arc<AtomicU64>,
}

impl Wire {
    /// From now on the bank cannot be reached, or can be again. Its own calls come through all the same.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// How many requests to pay have reached the bank.
    pub fn payments(&self) -> u64 {
        self.payments.load(Ordering::Relaxed)
    }
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The `StatusCode` of the envelope.
    pub fn code(&self) -> i64 {
        self.json()["StatusCode"].as_i64().unwrap_or_else(|| panic!("no StatusCode: {}", self.body))
    }
}

/// Hundi, its bank and its merchants.
pub struct World {
    pub app: Arc<App>,
    pub bank: Arc<Bank>,
    pub receivers: Receivers,
    pub wire: Wire,
    /// The token of merchant `demo`, for 127.0.0.1 and ::1.
    pub token: String,
    pub folder: Arc<Folder>,
    stop: watch::Sender<bool>,
    stop_writer: watch::Sender<bool>,
    tasks: Tasks,
}

/// They end with their owner: a world that is gone must not go on looking for its database.
struct Tasks(Vec<tokio::task::JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// The operator in tests.
pub fn operator() -> Actor {
    Actor::Operator("tester".into())
}

impl World {
    /// A world with merchant `demo`, 10,00,000.00 in the wallet and 5.00 a payout.
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    /// The same with other options.
    pub async fn with(configure: impl FnOnce(&mut Config)) -> World {
        World::begun_at(START, configure).await
    }

    /// The same at another time.
    pub async fn begun_at(at: Timestamp, configure: impl FnOnce(&mut Config)) -> World {
        let bank = bank_at(Faults::default(), 7, at);
        let mut world = World::start(Arc::new(Folder::new()), bank, Clock::held(at), configure).await;
        world.furnish().await;
        world
    }

    /// Makes merchant `demo`, his money and his token.
    pub async fn furnish(&mut self) {
        let app = &self.app;
        admin::merchant_add(app, "demo", "*:5.00", &operator()).await.unwrap();
        admin::fund(app, "demo", "1000000.00", "OPENING", "sandbox", &operator()).await.unwrap();
        self.token = self.new_token("demo", "127.0.0.1,::1").await;
    }

    /// Starts Hundi on a folder and beside a bank that may have a past.
    pub async fn start(
        folder: Arc<Folder>,
        bank: Arc<Bank>,
        clock: Clock,
        configure: impl FnOnce(&mut Config),
    ) -> World {
        let mut config = Config { data: folder.path().to_owned(), ..folder.config() };
        config.callbacks.allow_private = true;
        config.sandbox = Some(Sandbox {
            url: "http://bank.test".to_owned(),
            callback_secret_file: None,
            callback_secret: Some(b"bank secret".to_vec()),
            reply_within_ms: 5_000,
        });
        configure(&mut config);
        let receivers = Receivers {
            calls: Arc::default(),
            plan: Arc::new(Mutex::new(Box::new(|_| Behaviour::Answers(204)))),
            instead: Arc::default(),
        };
        let store = Store::open(&config, &clock, true).await.unwrap();
        let keys = Keys::parse(KEY).unwrap();
        hundi::prepare(&store, &keys).await.unwrap();
        let process = hundi::process::lease(&store, clock.now(), 10 * 365 * DAY).await.unwrap();
        let wire = Wire::default();
        let out = out(Arc::clone(&bank), wire.clone(), receivers.clone(), clock.clone());
        let (app, ends) = App::new(config, store, keys, clock, out, process).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let (stop_writer, writer_stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let for_writer = Arc::clone(&app);
        tasks.push(tokio::spawn(async move { writer::run(&for_writer, ends.queue, writer_stopped).await }));
        tasks.push(tokio::spawn(worker::run(Arc::clone(&app), ends.fresh, stopped.clone())));
        tasks.push(tokio::spawn(callbacks::run(Arc::clone(&app), stopped.clone())));
        tasks.push(tokio::spawn(hundi::listen(Arc::clone(&app), stopped)));
        tasks.push(tokio::spawn(Arc::clone(&bank).run_clockwork(to_hundi(Arc::clone(&app)))));
        World { app, bank, receivers, wire, token: String::new(), folder, stop, stop_writer, tasks: Tasks(tasks) }
    }

    /// Makes a token.
    pub async fn new_token(&self, merchant: &str, allow_ip: &str) -> String {
        let made = admin::token_new(&self.app, merchant, allow_ip, None, &operator()).await.unwrap();
        made["token"].as_str().unwrap().to_owned()
    }

    /// Calls the API as JSON from 127.0.0.1.
    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("127.0.0.1", "POST", path, &[("content-type", "application/json")], body).await
    }

    /// Calls the API.
    pub async fn call(&self, peer: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.call_bytes((peer, method), path, headers, body.as_bytes()).await
    }

    /// Calls the API with any body.
    pub async fn call_bytes(
        &self,
        (peer, method): (&str, &str),
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let peer: IpAddr = peer.parse().unwrap();
        let response = hundi::http::router::api(Arc::clone(&self.app), peer, request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// What the operator's machines are told at this path.
    pub async fn operations(&self, path: &str) -> String {
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let response = hundi::http::router::operations(Arc::clone(&self.app), [127, 0, 0, 1].into(), request).await;
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// Orders an IMPS payout to an account of merchant `demo`.
    pub async fn pay(&self, order: &str, rupees: i64, account: &str) -> Answer {
        self.pay_over("IMPS", order, rupees, account).await
    }

    /// Orders a payout over another rail.
    pub async fn pay_over(&self, rail: &str, order: &str, rupees: i64, account: &str) -> Answer {
        let body = serde_json::json!({
            "Token": self.token, "Number": "9876500000", "Amount": rupees.to_string(), "TransferMode": rail,
            "AccountNo": account, "IFSCCode": "HDFC0000001", "BeneficiaryName": "RUPESH KUMAR", "OrderID": order,
        });
        self.post("/PayoutBankTransafer", &body.to_string()).await
    }

    /// Asks for a payout's state by the merchant's OrderID.
    pub async fn status(&self, order: &str) -> Answer {
        let body = serde_json::json!({ "Token": self.token, "OrderID": order });
        self.post("/PayoutTransactionStatusByClientRef", &body.to_string()).await
    }

    /// The balance as the API answers it.
    pub async fn balance(&self) -> String {
        self.post(&format!("/UserWalletBalance?token={}", self.token), "").await.body
    }

    /// The bank's book.
    pub async fn book(&self) -> Vec<Value> {
        let reply = self.bank.handle("GET", "/book", Bytes::new()).await.unwrap();
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Keeps a copy of every table beside it, as a backup would.
    pub async fn back_up(&self) {
        let copy = |(table, _)| format!("CREATE TABLE backup_{table} AS SELECT * FROM {table};");
        let script: String = hundi::store::copy::tables().map(copy).collect();
        self.sql(&script).await;
    }

    /// Ends Hundi and puts back what was kept; the bank goes on. Start it again with [`World::start`].
    pub async fn kill_and_restore(self) -> (Arc<Folder>, Arc<Bank>, Clock) {
        let config = self.app.config.clone();
        let ended = self.kill();
        let restore = |(table, _)| {
            format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM backup_{table}; DROP TABLE backup_{table};")
        };
        let script: String = hundi::store::copy::tables().map(restore).collect();
        tokio::task::spawn_blocking(move || database::run_sql(&config, &script)).await.unwrap();
        ended
    }

    /// Runs statements on the store beside Hundi, which goes on meanwhile; its clock does not.
    pub async fn sql(&self, script: &str) {
        let (config, script) = (self.app.config.clone(), script.to_owned());
        tokio::task::spawn_blocking(move || database::run_sql(&config, &script)).await.unwrap();
    }

    /// The one number that a query finds in the store.
    pub async fn number(&self, sql: &str) -> i64 {
        let (config, sql) = (self.app.config.clone(), sql.to_owned());
        tokio::task::spawn_blocking(move || database::number(&config, &sql)).await.unwrap()
    }

    /// Lets so much time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Panics unless every law holds.
    pub async fn verify(&self) {
        let view = Store::open_view(&self.app.config, &self.app.clock).await.unwrap();
        let report = hundi::verify::verify(&view, &self.app.keys, "").await.unwrap();
        assert!(report.holds, "{}", serde_json::to_string_pretty(&report).unwrap());
    }

    /// Stops Hundi as SIGTERM does, and gives back what outlives it. The bank goes on.
    pub async fn stop(mut self) -> (Arc<Folder>, Arc<Bank>, Clock) {
        self.stop.send_replace(true);
        let Tasks(tasks) = &mut self.tasks;
        let clockwork = tasks.pop().unwrap();
        clockwork.abort();
        for task in tasks.drain(1..) {
            task.await.unwrap();
        }
        self.stop_writer.send_replace(true);
        tasks.remove(0).await.unwrap();
        self.app.store.close().await;
        (self.folder, self.bank, self.app.clock.clone())
    }

    /// From now on nobody sends, and nobody asks the bank.
    pub fn stop_worker(&self) {
        self.tasks.0[1].abort();
    }

    /// Ends Hundi between two instructions, as `kill -9` does. The bank goes on.
    pub fn kill(self) -> (Arc<Folder>, Arc<Bank>, Clock) {
        drop(self.tasks);
        (self.folder, self.bank, self.app.clock.clone())
    }
}

/// A sandbox bank in memory, whose book is kept by a task of this runtime.
pub fn bank(faults: Faults, seed: u64) -> Arc<Bank> {
    bank_at(faults, seed, START)
}

fn bank_at(faults: Faults, seed: u64, at: Timestamp) -> Arc<Bank> {
    let config = BankConfig {
        path: None,
        callback_url: Some("http://hundi.test/connectors/sandbox/callback".to_owned()),
        callback_secret: Some(b"bank secret".to_vec()),
        faults,
        seed,
        times: Times::Demo,
        clock: hundi_bank::Clock::held(at.0),
    };
    let bank = Bank::open(config).unwrap();
    tokio::spawn(Arc::clone(&bank).run_book());
    bank
}

/// HTTP that leaves Hundi goes to the bank or to a receiver.
fn out(bank: Arc<Bank>, wire: Wire, receivers: Receivers, clock: Clock) -> HttpOut {
    Arc::new(move |request: OutRequest| {
        let (bank, wire, receivers, clock) = (Arc::clone(&bank), wire.clone(), receivers.clone(), clock.clone());
        Box::pin(async move {
            let silent = || OutError::Silent("time-out".to_owned());
            if let Some(path) = request.url.strip_prefix("http://bank.test") {
                if wire.cut.load(Ordering::Relaxed) {
                    return Err(OutError::NotWritten("the wire is cut".to_owned()));
                }
                let method = match request.method {
                    hundi::http_out::Method::Get => "GET",
                    hundi::http_out::Method::Post => "POST",
                };
                wire.payments.fetch_add(u64::from(method == "POST"), Ordering::Relaxed);
                let reply = tokio::time::timeout(request.deadline, bank.handle(method, path, request.body)).await;
                let reply = reply.map_err(|_| silent())?.ok_or_else(silent)?;
                return Ok(OutReply { status: reply.status, body: reply.body, truncated: false });
            }
            let (url, headers, body) = (request.url.clone(), request.headers.clone(), request.body.clone());
            let received = Received { at: clock.now(), url, headers, body };
            receivers.calls.lock().unwrap().push(received.clone());
            let instead = receivers.instead.lock().unwrap().clone();
            if let Some(out) = instead {
                return out(request).await;
            }
            let behaviour = (receivers.plan.lock().unwrap())(&received);
            match behaviour {
                Behaviour::Answers(status) => Ok(OutReply { status, body: Bytes::new(), truncated: false }),
                Behaviour::AnswersAfter(pause, status) if pause < request.deadline => {
                    tokio::time::sleep(pause).await;
                    Ok(OutReply { status, body: Bytes::new(), truncated: false })
                }
                Behaviour::AnswersAfter(..) | Behaviour::Hangs => {
                    tokio::time::sleep(request.deadline).await;
                    Err(silent())
                }
            }
        })
    })
}

/// The bank's callbacks reach Hundi's router.
fn to_hundi(app: Arc<App>) -> CallbackSender {
    Arc::new(move |call: hundi_bank::CallbackRequest| {
        let app = Arc::clone(&app);
        Box::pin(async move {
            let mut request = Request::builder().method("POST").uri(call.url.trim_start_matches("http://hundi.test"));
            for (name, value) in &call.headers {
                request = request.header(*name, value);
            }
            let request = request.body(Full::new(call.body)).map_err(|error| error.to_string())?;
            let peer: IpAddr = [127, 0, 0, 1].into();
            let response = hundi::http::router::api(app, peer, request).await;
            Ok(response.status().as_u16())
        })
    })
}
