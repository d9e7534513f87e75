//! What an operator can measure, in the text format of Prometheus. No label ever holds a token, an account, a person or
//! a merchant's text.

use crate::App;
use crate::alerts::Kind;
use crate::store::batch::HOLD;
use hundi_core::command::{Outcome, Transition};
use hundi_core::ids::Connector;
use hundi_core::payout::State;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// All counters of a process.
pub struct Metrics {
    registry: Registry,
    /// Payouts whose money was reserved.
    pub accepted: Counter,
    /// Transitions of payouts, by the state they lead to.
    pub transitions: Labelled,
    /// Answers of the merchant API, by `StatusCode`.
    pub answers: Labelled,
    /// Words of banks, by outcome.
    pub bank_words: Labelled,
    /// Tries of callbacks, by result: `delivered`, `failed`, `given_up`.
    pub callbacks: Labelled,
    /// Exceptions that wait for the operator.
    pub exceptions_open: Gauge,
    /// Exceptions raised for the operator.
    pub exceptions: Counter,
    /// Batches that the store refused.
    pub store_errors: Counter,
    /// How often a connector has been found to fail, by its name in the configuration.
    connectors_ill: Family<[(&'static str, String); 1], Counter>,
    connector_health: Family<[(&'static str, String); 1], Gauge>,
    connector_paused: Family<[(&'static str, String); 1], Gauge>,
    connector_day_paise: Family<[(&'static str, String); 1], Gauge>,
    waiting: Gauge,
    on_hold: Gauge,
    alerts: Family<[(&'static str, &'static str); 1], Gauge>,
    batch_jobs: Histogram,
    batch_rows: Histogram,
    commit_seconds: Histogram,
    open: Family<[(&'static str, &'static str); 1], Gauge>,
    oldest_open_seconds: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("hundi");
        let counts = || exponential_buckets(1.0, 2.0, 12);
        let metrics = Metrics {
            accepted: Counter::default(),
            transitions: Labelled::default(),
            answers: Labelled::default(),
            bank_words: Labelled::default(),
            callbacks: Labelled::default(),
            exceptions: Counter::default(),
            exceptions_open: Gauge::default(),
            store_errors: Counter::default(),
            connectors_ill: Family::default(),
            connector_health: Family::default(),
            connector_paused: Family::default(),
            connector_day_paise: Family::default(),
            waiting: Gauge::default(),
            on_hold: Gauge::default(),
            alerts: Family::default(),
            batch_jobs: Histogram::new(counts()),
            batch_rows: Histogram::new(counts()),
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 16)),
            open: Family::default(),
            oldest_open_seconds: Family::default(),
            registry: Registry::default(),
        };
        registry.register("payouts_accepted", "Payouts whose money was reserved", metrics.accepted.clone());
        registry.register(
            "payout_transitions",
            "Transitions of payouts by the state they lead to",
            metrics.transitions.clone(),
        );
        registry.register("api_answers", "Answers of the merchant API by StatusCode", metrics.answers.clone());
        registry.register("bank_words", "Words of banks by outcome", metrics.bank_words.clone());
        registry.register("callback_tries", "Tries of callbacks by result", metrics.callbacks.clone());
        registry.register("exceptions_open", "Exceptions that wait for the operator", metrics.exceptions_open.clone());
        registry.register("exceptions", "Exceptions raised for the operator", metrics.exceptions.clone());
        registry.register("store_errors", "Batches that the store refused", metrics.store_errors.clone());
        registry.register("batch_jobs", "Jobs in a transaction", metrics.batch_jobs.clone());
        registry.register("batch_rows", "Rows written by a transaction", metrics.batch_rows.clone());
        registry.register("commit_seconds", "Time that a commit took", metrics.commit_seconds.clone());
        registry.register("payouts_waiting", "Open payouts that wait for the operator", metrics.waiting.clone());
        registry.register("on_hold", "1 while nothing is started (`hundi hold`)", metrics.on_hold.clone());
        registry.register("alerts", "Alerts that stand, by kind", metrics.alerts.clone());
        registry.register("payouts_open", "Payouts that have not ended, by state", metrics.open.clone());
        registry.register(
            "payouts_open_oldest_seconds",
            "Age of the oldest open payout, by state",
            metrics.oldest_open_seconds.clone(),
        );
        metrics.register_connectors(&mut registry);
        Metrics { registry, ..metrics }
    }

    fn register_connectors(&self, registry: &mut Registry) {
        registry.register(
            "connector_ills",
            "Times that a connector was found to fail and got no new payouts for a while",
            self.connectors_ill.clone(),
        );
        registry.register(
            "connector_health",
            "How well a connector is in this process: 0 well, 1 probing, 2 ill",
            self.connector_health.clone(),
        );
        registry.register("connector_paused", "Whether the operator has paused it", self.connector_paused.clone());
        registry.register(
            "connector_day_paise",
            "What a connector with a limit for a day was given today",
            self.connector_day_paise.clone(),
        );
    }

    /// A connector was found to fail.
    pub fn connector_ill(&self, connector: Connector) {
        self.connectors_ill.get_or_create(&[("connector", connector.as_str().to_owned())]).inc();
    }

    /// A transaction was committed.
    #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats, and no batch is near 2^52")]
    pub fn committed(&self, jobs: usize, rows: u64, took: Duration) {
        self.batch_jobs.observe(jobs as f64);
        self.batch_rows.observe(rows as f64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// A decision was committed.
    pub fn decided(&self, transition: &Transition) {
        if let Some(payout) = &transition.payout {
            if transition.created && payout.state == State::Queued {
                self.accepted.inc();
            }
            self.transitions.get_or_create(&[("state", payout.state.name())]).inc();
        }
        if transition.exception.is_some() {
            self.exceptions.inc();
        }
    }

    /// A bank spoke.
    pub fn bank_word(&self, outcome: Outcome) {
        let name = match outcome {
            Outcome::NotWritten => "not_written",
            Outcome::Accepted => "accepted",
            Outcome::Silent => "silent",
            Outcome::NotFound => "not_found",
            Outcome::Paid => "paid",
            Outcome::Refused { .. } => "refused",
            Outcome::RailRefused => "rail_refused",
            Outcome::Reversed => "reversed",
            Outcome::NotExecuted => "not_executed",
        };
        self.bank_words.get_or_create(&[("outcome", name)]).inc();
    }

    /// Everything as text. Reads the store for the gauges.
    pub async fn text(&self, app: &App) -> Result<String, String> {
        self.open.clear();
        self.oldest_open_seconds.clear();
        for (connector, paused, health, day_paise) in app.router.standing(&app.clock) {
            let label = [("connector", connector.as_str().to_owned())];
            self.connector_health.get_or_create(&label).set(health as i64);
            self.connector_paused.get_or_create(&label).set(i64::from(paused));
            if let Some(paise) = day_paise {
                self.connector_day_paise.get_or_create(&label).set(paise);
            }
        }
        let now = app.clock.now();
        self.waiting.set(app.store.payouts_waiting().await.map_err(|error| error.to_string())?);
        self.exceptions_open.set(app.store.exceptions_open().await.map_err(|error| error.to_string())?);
        let hold = app.store.meta(HOLD).await.map_err(|error| error.to_string())?;
        self.on_hold.set(i64::from(hold.is_some()));
        let standing = app.store.alerts().await.map_err(|error| error.to_string())?;
        for kind in Kind::ALL {
            let standing = standing.iter().filter(|alert| alert.raised && alert.kind == kind.name()).count();
            self.alerts.get_or_create(&[("kind", kind.name())]).set(i64::try_from(standing).unwrap_or(i64::MAX));
        }
        for (state, count, oldest) in app.store.payouts_open().await.map_err(|error| error.to_string())? {
            let label = [("state", State::from_number(state).map_or("unknown", State::name))];
            self.open.get_or_create(&label).set(count);
            self.oldest_open_seconds.get_or_create(&label).set((now.0 - oldest.0) / 1_000_000);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|error| error.to_string())?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}
