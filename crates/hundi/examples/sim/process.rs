//! A Hundi process: the production core, writer, worker, callbacks and router on a runtime of its own, which stands still
//! unless the simulator gives it a turn. So it can be killed between any two polls, paused for minutes, and dropped.

use super::dice::Dice;
use super::swarm::Fault;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hundi::clock::Clock;
use hundi::config::Config;
use hundi::http_out::{HttpOut, Method, OutError, OutReply, OutRequest};
use hundi::keys::Keys;
use hundi::store::{Store, rows};
use hundi::{App, callbacks, worker, writer};
use hundi_core::schedule::{SECOND, Timestamp};
use hundi_faultfs::{Disk, act_as};
use hyper::Request;
use serde_json::Value;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

/// 2026-11-22, 12:00 in India: when every run begins.
pub const START: Timestamp = Timestamp(1_795_329_000_000_000);
/// The key of every run.
pub const KEY: &str = "1:1111111111111111111111111111111111111111111111111111111111111111";
/// The secret with which the bank signs its calls.
pub const BANK_SECRET: &[u8] = b"the secret of the simulated bank";
/// As long as `hundi serve` leases its number, and how often it prolongs the lease.
const LEASE: i64 = 5 * SECOND;
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// References are derived from it, so it must not be drawn anew.
const INSTALLATION: &str = "5151515151515151";

/// What has left a process.
pub enum Outgoing {
    /// A request, for the bank or a merchant's receiver.
    Request(Sent),
    /// A fault of the way out has struck.
    Struck { from: usize, fault: Fault },
    /// The answer to a call of the API.
    Answered { call: u64, status: u16, body: String },
    /// What an operator's command came to.
    Operated { job: u64, result: Result<Value, String> },
}

/// A request on the wire.
pub struct Sent {
    pub from: usize,
    pub method: Method,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    pub reply: oneshot::Sender<Result<OutReply, OutError>>,
}

/// Where everything that leaves any process is put; whoever waits for it is told.
#[derive(Clone, Default)]
pub struct Outbox(Arc<(Mutex<Vec<Outgoing>>, Notify)>);

impl Outbox {
    fn push(&self, outgoing: Outgoing) {
        self.0.0.lock().unwrap().push(outgoing);
        self.0.1.notify_one();
    }

    pub fn put_back(&self, outgoing: Vec<Outgoing>) {
        self.0.0.lock().unwrap().splice(0..0, outgoing);
    }

    pub fn take(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.0.0.lock().unwrap())
    }
}

/// How a process's way out behaves: of a thousand requests to the bank, so many do not get a connection, or get it late.
#[derive(Clone, Copy, Default)]
pub struct Way {
    pub refused: u32,
    pub slow: u32,
}

/// One Hundi.
pub struct Process {
    pub number: usize,
    pub app: Arc<App>,
    /// Until when it is paused, on the simulator's clock.
    pub paused_until_ms: Option<i64>,
    /// Where its clock is, on the simulator's.
    pub at_ms: i64,
    born: Instant,
    born_ms: i64,
    runtime: Runtime,
    idle: Arc<Idle>,
    stop: watch::Sender<bool>,
    stop_writer: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Tells when a runtime has nothing to do until its next timer.
#[derive(Default)]
struct Idle {
    asked: AtomicBool,
    is: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Idle {
    /// Called before the runtime sleeps. Waking the root keeps it from moving its clock.
    fn about_to_park(&self) {
        if self.asked.load(Ordering::Relaxed) {
            self.is.store(true, Ordering::Relaxed);
            if let Some(waker) = self.waker.lock().unwrap().take() {
                waker.wake();
            }
        }
    }
}

/// Ends when everything that can run now has run.
struct UntilIdle<'a>(&'a Idle);

impl Future for UntilIdle<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.is.swap(false, Ordering::Relaxed) {
            self.0.asked.store(false, Ordering::Relaxed);
            return Poll::Ready(());
        }
        *self.0.waker.lock().unwrap() = Some(context.waker().clone());
        self.0.asked.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

/// Is polled so often, after everything that was ready before it, and then ends: the moment of a crash.
struct After(u32);

impl Future for After {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Process {
    /// Starts a process on the store that the options name; the error is a sentence of Hundi's.
    pub fn start(
        number: usize,
        at_ms: i64,
        clock_us: i64,
        config: Config,
        way: Way,
        dice: Dice,
        outbox: &Outbox,
    ) -> Result<Process, String> {
        act_as(owner(number));
        let idle = Arc::new(Idle::default());
        let parking = Arc::clone(&idle);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            // One task a tick, so that whoever crashes the process is looked at after each.
            .event_interval(1)
            .on_thread_park(move || parking.about_to_park())
            .build()
            .map_err(|error| error.to_string())?;
        let (stop, stopped) = watch::channel(false);
        let (stop_writer, writer_stopped) = watch::channel(false);
        let started = runtime.block_on(async {
            let born = Instant::now();
            let clock = Clock::held(Timestamp(clock_us));
            let store = Store::open(&config, &clock, true).await.map_err(|error| error.to_string())?;
            let keys = Keys::parse(KEY)?;
            let lease = async {
                store.migrate().await?;
                hundi::write_alone(&store, rows::meta_once("installation", INSTALLATION)).await?;
                hundi::prepare(&store, &keys).await?;
                hundi::process::lease(&store, clock.now(), LEASE).await
            };
            let lease = lease.await.map_err(|error| error.to_string())?;
            let out = http_out(number, clock.clone(), way, dice, outbox.clone());
            let (app, ends) = App::new(config, store, keys, clock, out, lease).await?;
            let (for_writer, for_lease) = (Arc::clone(&app), Arc::clone(&app));
            let tasks = vec![
                tokio::spawn(async move { writer::run(&for_writer, ends.queue, writer_stopped).await }),
                tokio::spawn(worker::run(Arc::clone(&app), ends.fresh, stopped.clone())),
                tokio::spawn(callbacks::run(Arc::clone(&app), stopped.clone())),
                tokio::spawn(hundi::listen(Arc::clone(&app), stopped.clone())),
                tokio::spawn(keep_number(for_lease, stopped)),
            ];
            Ok::<_, String>((born, app, tasks))
        });
        let (born, app, tasks) = started?;
        let process = Process {
            number,
            app,
            paused_until_ms: None,
            at_ms,
            born,
            born_ms: at_ms,
            runtime,
            idle,
            stop,
            stop_writer,
            tasks,
        };
        Ok(process)
    }

    /// Runs it until its clock shows a time, or something has left it.
    pub fn run(&mut self, until_ms: i64, outbox: &Outbox) {
        act_as(owner(self.number));
        let until = self.born + millis(until_ms - self.born_ms);
        let elapsed = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = outbox.0.1.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            }
            self.born.elapsed()
        });
        self.at_ms = self.born_ms + i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
    }

    /// Runs what can run now, but at most so many rounds of it; then it is killed. If it has nothing to do before, it
    /// is killed then.
    pub fn run_to_death(self, rounds: u32, disk: &Disk) {
        act_as(owner(self.number));
        let saboteur = self.runtime.spawn(After(rounds));
        // A task that only counts cannot panic.
        self.runtime.block_on(saboteur).unwrap_or_default();
        disk.kill(owner(self.number));
    }

    /// Runs everything that can run without time passing.
    pub fn settle(&mut self) {
        let idle = Arc::clone(&self.idle);
        self.runtime.block_on(UntilIdle(&idle));
    }

    /// Lets its clock jump, as after a pause: what was due meanwhile is due now.
    pub fn jump(&mut self, to_ms: i64) {
        act_as(owner(self.number));
        let by = to_ms - self.at_ms;
        if by > 0 {
            self.runtime.block_on(tokio::time::advance(millis(by)));
            self.at_ms = to_ms;
            self.settle();
        }
    }

    /// Calls the API; the answer comes through the outbox.
    pub fn call(&self, call: u64, peer: IpAddr, request: Request<Full<Bytes>>, outbox: &Outbox) {
        let (app, outbox) = (Arc::clone(&self.app), outbox.clone());
        self.runtime.spawn(async move {
            let response = hundi::http::router::api(app, peer, request).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body = String::from_utf8_lossy(&body).into_owned();
            outbox.push(Outgoing::Answered { call, status, body });
        });
    }

    /// Has an operator's command done; what came of it comes through the outbox.
    pub fn operate<F>(&self, job: u64, outbox: &Outbox, command: impl FnOnce(Arc<App>) -> F)
    where
        F: Future<Output = Result<Value, String>> + Send + 'static,
    {
        let (command, outbox) = (command(Arc::clone(&self.app)), outbox.clone());
        self.runtime.spawn(async move {
            let result = command.await;
            outbox.push(Outgoing::Operated { job, result });
        });
    }

    /// Runs something of Hundi to its end, while everything else stands still but the process itself.
    pub fn ask<T>(&self, question: impl Future<Output = T>) -> T {
        act_as(owner(self.number));
        self.runtime.block_on(question)
    }

    /// Stops it as SIGTERM does.
    pub fn stop(mut self) {
        act_as(owner(self.number));
        self.stop.send_replace(true);
        let (store, tasks) = (Arc::clone(&self.app), std::mem::take(&mut self.tasks));
        let stop_writer = &self.stop_writer;
        self.runtime.block_on(async {
            let mut tasks = tasks.into_iter();
            let writer = tasks.next();
            for task in tasks {
                // One that panicked has said so.
                drop(task.await);
            }
            stop_writer.send_replace(true);
            if let Some(writer) = writer {
                drop(writer.await);
            }
            store.store.close().await;
        });
    }
}

/// Prolongs the lease of the process number, as `hundi serve` does.
async fn keep_number(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            () = hundi::told_to_stop(&mut stop) => return,
            () = tokio::time::sleep(KEEP_EVERY) => {}
        }
        // Whoever has no number answers "unknown", and tries again.
        drop(app.keep_process(LEASE).await);
    }
}

/// The way out of a process: a connection that may be slow or not come about, the limits that the real one keeps, and the
/// wire.
fn http_out(from: usize, clock: Clock, way: Way, dice: Dice, outbox: Outbox) -> HttpOut {
    let dice = Mutex::new(dice);
    Arc::new(move |request: OutRequest| {
        let (clock, outbox) = (clock.clone(), outbox.clone());
        let pays = matches!(request.method, Method::Post);
        let (refused, connect_ms) = {
            let mut dice = dice.lock().unwrap();
            let slow = if dice.permille(way.slow) { dice.between(100, 6_000) } else { 0 };
            (pays && dice.permille(way.refused), slow)
        };
        Box::pin(async move {
            let deadline = Instant::now() + request.deadline;
            if connect_ms > 0 {
                outbox.push(Outgoing::Struck { from, fault: Fault::SlowConnect });
            }
            if connect_ms > 0 {
                tokio::time::sleep(millis(connect_ms)).await;
            }
            let late = request.write_before_boot_us.is_some_and(|before| clock.boot_us() >= before);
            if refused {
                outbox.push(Outgoing::Struck { from, fault: Fault::NotWritten });
            }
            // A merchant's receiver is not called when the time for it is over.
            if refused || late || !pays && Instant::now() >= deadline {
                return Err(OutError::NotWritten("no connection".to_owned()));
            }
            let (reply, answer) = oneshot::channel();
            let OutRequest { method, url, headers, body, .. } = request;
            outbox.push(Outgoing::Request(Sent { from, method, url, headers, body, reply }));
            match tokio::time::timeout_at(deadline, answer).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(_)) => Err(OutError::Silent("reset".to_owned())),
                Err(_) => Err(OutError::Silent("time-out".to_owned())),
            }
        })
    })
}

/// As whom a process opens files.
fn owner(number: usize) -> u64 {
    number as u64 + 1
}

pub fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
