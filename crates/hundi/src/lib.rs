//! Hundi, a self-hosted payout platform for Indian rails.
//!
//! ```text
//! http, worker, callbacks --Command--> writer --> { hundi-core decides, store keeps }
//! worker --> connectors --> http_out --> the bank
//! ```
//!
//! [`App`] is built once and passed everywhere. Nothing here owns a thread: `main.rs` chooses them, so that a test or the
//! simulator can run the same code on one thread with a clock that it holds.

pub mod admin;
pub mod alerts;
pub mod callbacks;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod copy;
pub mod credits;
pub mod exchange;
pub mod http;
pub mod http_out;
pub mod keys;
pub mod metrics;
pub mod process;
pub mod proposals;
pub mod reconcile;
pub mod report;
pub mod routing;
pub mod store;
pub mod tls;
pub mod verify;
pub mod worker;
pub mod writer;

use clock::Clock;
use config::Config;
use connectors::Connectors;
use http_out::HttpOut;
use hundi_core::command::{Rules, Transition};
use hundi_core::ids::{MerchantId, PayoutId};
use hundi_core::payout::{Payout, State};
use hundi_core::plant::{Plant, planted};
use hundi_core::schedule::{SECOND, Timestamp};
use keys::Keys;
use metrics::Metrics;
use process::ProcessNumber;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Store, StoreError, rows};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// How long somebody waits before it is looked up whether another process has heard the end of his payout, and how often
/// that is looked up again; for so many at once.
const LISTEN_EVERY: Duration = Duration::from_millis(250);
const LISTEN_MAX: usize = 1_000;

/// Everything that the program is made of.
pub struct App {
    /// The options.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The keys that are not in the database.
    pub keys: Keys,
    /// Time.
    pub clock: Clock,
    /// How HTTP leaves.
    pub http_out: HttpOut,
    /// The banks.
    pub connectors: Connectors,
    /// What the decisions need to know about the installation.
    pub rules: Rules,
    /// Tells one installation's references from another's.
    pub installation: String,
    /// The way to the writer.
    pub writer: writer::Handle,
    /// Who wants to hear what was committed.
    pub hub: Hub,
    /// The counters.
    pub metrics: Metrics,
    /// The tokens that were read lately.
    pub tokens: http::auth::Tokens,
    /// Where merchants wait who offer more than their share.
    pub door: http::door::Door,
    /// Which connector a payout goes to.
    pub router: routing::Router,
    /// Where the operator is told of alerts.
    pub alerts: alerts::Desk,
    /// The number that payout ids are made of.
    pub process: ProcessNumber,
}

/// The receiving ends that an [`App`] is made with; `main.rs` hands them to the tasks.
pub struct Ends {
    /// For [`writer::run`].
    pub queue: writer::Queue,
    /// For [`worker::run`].
    pub fresh: Fresh,
}

impl App {
    /// Puts the parts together. The store must have this binary's schema; `process` comes from [`process::lease`], or is
    /// [`ProcessNumber::none`] for a command-line tool, which creates no payouts.
    pub async fn new(
        config: Config,
        store: Store,
        keys: Keys,
        clock: Clock,
        http_out: HttpOut,
        process: ProcessNumber,
    ) -> Result<(Arc<App>, Ends), String> {
        let installation = store.meta("installation").await.map_err(|error| error.to_string())?;
        let installation = installation.ok_or("the database has no installation number; run `hundi migrate`")?;
        check_key(&store, &keys, &config).await?;
        check_not_moved(&store).await?;
        let connectors = Connectors::new(&config)?;
        let router = routing::Router::new(&config, &connectors)?;
        router.read_paused(&store).await.map_err(|error| error.to_string())?;
        router.read_totals(&store, clock.now()).await.map_err(|error| error.to_string())?;
        let rules = Rules {
            attempts_max: config.worker.attempts_max,
            queue_us: config.worker.queue_within_s * SECOND,
            first_lease_us: config.worker.lease_ms * 1_000,
            resend_pause_us: 2 * SECOND,
            connectors: connectors.rules(),
            installation: installation.as_str().into(),
            holds_by_itself: config.hold.by_itself,
        };
        let (writer, queue) = writer::queue(config.writer.queue_max);
        let (hub, fresh) = Hub::new(config.writer.queue_max, config.worker.sends_max);
        let metrics = Metrics::new();
        let tokens = http::auth::Tokens::default();
        let alerts = alerts::Desk::new(&config)?;
        let app = App {
            config,
            store,
            keys,
            clock,
            http_out,
            connectors,
            rules,
            installation,
            writer,
            hub,
            metrics,
            tokens,
            door: http::door::Door::default(),
            router,
            alerts,
            process,
        };
        Ok((Arc::new(app), Ends { queue, fresh }))
    }

    /// A new payout id; `None` while this process holds no number: then nothing can be accepted.
    pub fn next_payout_id(&self) -> Option<PayoutId> {
        self.process.next_id(self.clock.now())
    }

    /// Prolongs the lease of the process number, or takes another if it was lost. Whoever runs the tasks does this often.
    pub async fn keep_process(&self, lease_us: i64) -> Result<(), writer::Unknown> {
        self.process.keep(&self.store, process::Write::Writer(&self.writer), self.clock.now(), lease_us).await
    }
}

/// Refuses keys that the store was not made with.
pub async fn check_key(store: &Store, keys: &Keys, config: &Config) -> Result<(), String> {
    let known = store.meta("key").await.map_err(|error| error.to_string())?;
    if known.as_deref() == Some(keys.check()) {
        return Ok(());
    }
    let path = config.key_path();
    Err(format!(
        "the key does not belong to this database; set HUNDI_KEY or {} to the key that it was made with",
        path.display()
    ))
}

/// Refuses a store whose installation lives elsewhere now: to go on with both would pay everything twice.
pub async fn check_not_moved(store: &Store) -> Result<(), String> {
    match store.meta("moved").await.map_err(|error| error.to_string())? {
        None => Ok(()),
        Some(moved) => Err(format!(
            "this database was copied ({moved}) and must not be used any more; use the new one (`database_url`)"
        )),
    }
}

/// Makes a store ready: schema, installation number, and the key that it belongs to.
pub async fn prepare(store: &Store, keys: &Keys) -> Result<bool, StoreError> {
    let migrated = store.migrate().await?;
    let installation = keys::hex(&clock::random::<8>());
    write_alone(store, rows::meta_once("installation", &installation)).await?;
    write_alone(store, rows::meta_once("key", keys.check())).await?;
    write_alone(store, rows::house_open()).await?;
    Ok(migrated)
}

/// Writes plain rows before there is an [`App`], at start.
pub async fn write_alone(store: &Store, plain: rows::Plain) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let changed = writer::write_plain(&mut tx, &plain).await?;
    tx.commit().await?;
    Ok(changed.first)
}

/// The payouts that this process has just accepted. Those over rails that decide at once have a merchant waiting, so they
/// do not queue behind the others.
pub struct Fresh {
    /// IMPS and UPI.
    pub instant: mpsc::Receiver<worker::Taken>,
    /// NEFT and RTGS.
    pub batched: mpsc::Receiver<worker::Taken>,
}

/// Tells those who wait what was committed.
pub struct Hub {
    instant: mpsc::Sender<worker::Taken>,
    batched: mpsc::Sender<worker::Taken>,
    /// Room for sends of instant payouts, at most `worker.sends_max`.
    pub(crate) sends: Arc<Semaphore>,
    /// By our id, which rises with time: whoever has waited longest comes first.
    waiting: Mutex<BTreeMap<PayoutId, Wait>>,
    /// Somebody waits, and nobody did before.
    first_waits: Notify,
    /// The payouts whose request is on its way to a bank. What the bank says about them before it is over proves nothing.
    sending: Mutex<HashSet<PayoutId>>,
    /// When a transaction last failed, by the clock that never goes back; far in the past if none has.
    pub write_failed_us: AtomicI64,
    /// Wakes the worker: something is due sooner than it believes.
    pub payouts_due: Alarm,
    /// Wakes the callbacks.
    pub callbacks_due: Alarm,
}

impl Hub {
    fn new(length: usize, sends_max: usize) -> (Hub, Fresh) {
        let ((instant, for_instant), (batched, for_batched)) = (mpsc::channel(length), mpsc::channel(length));
        let hub = Hub {
            instant,
            batched,
            sends: Arc::new(Semaphore::new(sends_max)),
            waiting: Mutex::default(),
            first_waits: Notify::new(),
            sending: Mutex::default(),
            write_failed_us: AtomicI64::new(i64::MIN / 2),
            payouts_due: Alarm::default(),
            callbacks_due: Alarm::default(),
        };
        (hub, Fresh { instant: for_instant, batched: for_batched })
    }

    /// Tells everybody about a committed transition.
    pub fn publish(&self, transition: &Transition) {
        if !transition.callbacks.is_empty() {
            self.callbacks_due.sooner(Timestamp(0));
        }
        let Some(payout) = &transition.payout else { return };
        if transition.created && payout.state == State::Queued {
            // If the worker is behind, the payout is found when its lease ends.
            let instant = payout.order.rail.rules().instant;
            let fresh = if instant { &self.instant } else { &self.batched };
            if fresh.try_send(worker::Taken::Queued(payout.clone())).is_err() {
                tracing::debug!("the worker is behind; a payout waits for its lease to end");
            }
        } else if let Some(at) = payout.next_at {
            self.payouts_due.sooner(at);
        }
        if !payout.state.is_open() {
            self.ended(payout);
        }
    }

    /// Tells whoever waits that a payout has ended.
    fn ended(&self, payout: &Payout) {
        if let Some(waiting) = locked(&self.waiting).remove(&payout.order.id) {
            // Whoever waited may have given up.
            drop(waiting.sender.send(payout.clone()));
        }
    }

    /// A place in the worker's queue of instant payouts, if what is put there now would be sent at once.
    pub fn room_to_send(&self) -> Option<mpsc::OwnedPermit<worker::Taken>> {
        let waiting = self.instant.max_capacity() - self.instant.capacity();
        if self.sends.available_permits() <= waiting {
            return None;
        }
        self.instant.clone().try_reserve_owned().ok()
    }

    /// Remembers that a request is on its way, until the guard is dropped.
    pub fn sending(&self, payout: PayoutId) -> Sending<'_> {
        locked(&self.sending).insert(payout);
        Sending { hub: self, payout }
    }

    /// Whether a request for this payout is on its way.
    pub fn is_sending(&self, payout: PayoutId) -> bool {
        locked(&self.sending).contains(&payout)
    }

    /// Waits for the end of a payout. Begin before the command that creates it is sent.
    pub fn wait_for(&self, merchant: MerchantId, payout: PayoutId) -> Waiting<'_> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = locked(&self.waiting);
        if waiting.is_empty() {
            self.first_waits.notify_one();
        }
        waiting.insert(payout, Wait { merchant, since: Instant::now(), sender });
        drop(waiting);
        Waiting { hub: self, payout, receiver }
    }

    /// The payouts that somebody has waited for at least so long, the longest first, at most so many.
    fn waited_for(&self, least: Duration, most: usize) -> Vec<(MerchantId, PayoutId)> {
        let waiting = locked(&self.waiting);
        let long = waiting.iter().filter(|(_, wait)| wait.since.elapsed() >= least);
        long.map(|(payout, wait)| (wait.merchant, *payout)).take(most).collect()
    }
}

/// Somebody who waits for the end of a payout.
struct Wait {
    merchant: MerchantId,
    since: Instant,
    sender: oneshot::Sender<Payout>,
}

/// Tells those who wait what other processes have heard, until `stop` is told: a callback of the bank, an enquiry or the
/// operator may have ended the payout there. It sleeps without a timer while nobody waits.
pub async fn listen(app: Arc<App>, mut stop: tokio::sync::watch::Receiver<bool>) {
    loop {
        let nobody_waits = locked(&app.hub.waiting).is_empty();
        let pause = async {
            if nobody_waits {
                app.hub.first_waits.notified().await;
            }
            tokio::time::sleep(LISTEN_EVERY).await;
        };
        tokio::select! {
            biased;
            () = told_to_stop(&mut stop) => return,
            () = pause => {}
        }
        let waited_for = app.hub.waited_for(LISTEN_EVERY, LISTEN_MAX);
        if waited_for.is_empty() {
            continue;
        }
        match app.store.payouts_ended(&waited_for).await {
            Ok(ended) => ended.iter().for_each(|payout| app.hub.ended(payout)),
            Err(error) => tracing::warn!(%error, "nobody knows what other processes have heard; looking again"),
        }
    }
}

/// A request that is on its way.
pub struct Sending<'a> {
    hub: &'a Hub,
    payout: PayoutId,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        locked(&self.hub.sending).remove(&self.payout);
    }
}

/// Waits for the end of one payout; forgotten when dropped.
pub struct Waiting<'a> {
    hub: &'a Hub,
    payout: PayoutId,
    receiver: oneshot::Receiver<Payout>,
}

impl Waiting<'_> {
    /// The payout once it has ended.
    pub async fn ended(&mut self) -> Option<Payout> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(&self.hub.waiting).remove(&self.payout);
    }
}

/// A time at which somebody wakes up, which others can bring forward.
#[derive(Debug)]
pub struct Alarm {
    at: AtomicI64,
    notify: Notify,
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm { at: AtomicI64::new(i64::MAX), notify: Notify::new() }
    }
}

impl Alarm {
    /// Something is due at this time.
    pub fn sooner(&self, at: Timestamp) {
        if at.0 < self.at.fetch_min(at.0, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// Sleeps until `at`, or until something is due sooner. What was announced since [`Alarm::reset`] is not missed, so
    /// reset first, then look what is due, then sleep.
    pub async fn sleep_until(&self, clock: &Clock, at: Timestamp) {
        let at = self.at.fetch_min(at.0, Ordering::AcqRel).min(at.0);
        // Both look every second at least. A clock that was set back must not make them wait until it has caught up.
        let most = if planted(Plant::SleepsThroughTheClock) { i64::MAX } else { SECOND };
        let pause = u64::try_from(at.saturating_sub(clock.now().0).min(most)).unwrap_or(0);
        tokio::select! {
            biased;
            () = self.notify.notified() => {}
            () = tokio::time::sleep(Duration::from_micros(pause)) => {}
        }
    }

    /// Forgets what was announced; the caller now looks for itself.
    pub fn reset(&self) {
        self.at.store(i64::MAX, Ordering::Release);
    }
}

/// From when on a look for what is due has to search. What was done leaves dead entries in a server's index until they
/// are swept up, so a search from the beginning of time gets slower with every payout; but nothing becomes due in the past
/// that was not there at the last look, except by another process's clock or delay.
#[derive(Debug)]
pub(crate) struct Floor {
    from: Timestamp,
    all_at: Timestamp,
}

impl Default for Floor {
    /// Nothing is known to have been done.
    fn default() -> Floor {
        Floor { from: Timestamp(i64::MIN), all_at: Timestamp(i64::MIN) }
    }
}

impl Floor {
    /// Another process may be late by this much,
    const LATE_US: i64 = 5 * SECOND;
    /// and by more if it is found by the next search for everything.
    const ALL_EVERY_US: i64 = 15 * SECOND;

    /// Where a look at `now` begins.
    pub(crate) fn at(&self, now: Timestamp) -> Timestamp {
        if now >= self.all_at { Timestamp(i64::MIN) } else { self.from }
    }

    /// A look at `now` was made; `first` is the earliest that it found due.
    pub(crate) fn looked(&mut self, now: Timestamp, first: Option<Timestamp>) {
        if now >= self.all_at {
            self.all_at = now.after(Floor::ALL_EVERY_US);
        }
        self.from = first.unwrap_or(now).min(now).after(-Floor::LATE_US);
    }
}

/// A lock on state that a panic elsewhere cannot have left half-written.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends when `stop` becomes true, or when nobody is left who could say so.
pub async fn told_to_stop(stop: &mut tokio::sync::watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Clock};
    use hundi_core::schedule::{HOUR, SECOND, Timestamp};
    use std::time::Duration;
    use tokio::time::Instant;

    /// Whoever looks for what is due looks again soon, though the clock was set back since he knew when.
    #[tokio::test(start_paused = true)]
    async fn nobody_sleeps_until_a_clock_has_caught_up() {
        let clock = Clock::held(Timestamp(2 * HOUR));
        let (alarm, began) = (Alarm::default(), Instant::now());
        let due = clock.now().after(SECOND / 2);
        clock.step(-HOUR);
        alarm.sleep_until(&clock, due).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}
