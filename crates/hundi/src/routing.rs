//! Which connector a payout goes to, in the running program: what [`hundi_core::routing`] decides over, kept in memory.
//!
//! ```text
//! hundi.toml: routes, limits  --+
//! connectors (table): paused  --+--> candidates --route()--> connector, or none now: the payout waits in Queued
//! words of banks: health      --+
//! journal, open payouts: totals-+
//! ```
//!
//! No payout costs a read or a write here. Pauses are read every `WATCH_EVERY`; totals of the day are read from the
//! journal and from what is open every `TOTALS_EVERY` turns, and what this process has started since is added. Of what
//! other processes start in between nothing is known, so a day's limit may be passed by that much.

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::connectors::Connectors;
use crate::store::{Store, StoreError};
use crate::{App, locked, worker};
use hundi_core::command::{ConnectorRules, Outcome};
use hundi_core::health::{Breaker, Health, HealthRules, speaks_well};
use hundi_core::ids::{Connector, MerchantId};
use hundi_core::party::Beneficiary;
use hundi_core::payout::{Order, Payout};
use hundi_core::rails::Rail;
use hundi_core::routing::{Candidate, Choice, Facts, Hours, Routing, Rule, Target, Why, next_connector, route};
use hundi_core::schedule::{SECOND, Timestamp};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked up which connectors are paused: all processes know of it within a second.
const WATCH_EVERY: Duration = Duration::from_millis(800);
/// Totals are read in every turn of so many.
const TOTALS_EVERY: u32 = 3;

/// A rule's name, what it comes to, and why each connector over each rail was chosen or not.
pub type Explained = (Option<String>, Option<(Connector, Rail)>, Vec<(Connector, Rail, Why)>);

/// Chooses connectors.
pub struct Router {
    routes: Vec<config::Routes>,
    rules: Vec<ConnectorRules>,
    day_most_paise: Vec<Option<i64>>,
    hours: Vec<Hours>,
    health: HealthRules,
    /// Whether there is nothing to choose: one connector, no rules, no limit for a day or by the hour. Then nothing is locked or counted.
    plain: bool,
    /// Whether any connector is paused.
    any_paused: AtomicBool,
    state: Mutex<State>,
    /// How far the journals were read.
    journals: tokio::sync::Mutex<Journals>,
}

struct State {
    routing: Routing,
    /// Whether a rule names a merchant that was not there.
    merchant_missing: bool,
    /// By connector, in their order.
    connectors: Vec<Kept>,
}

/// What is kept of a connector.
#[derive(Clone, Default)]
struct Kept {
    paused: bool,
    breaker: Breaker,
    /// The day's total as it was read, paise.
    read_paise: i64,
    /// What this process has started, in all, paise.
    started_paise: i64,
    /// The same when the read before the last began, and the last: a start of before may not have been committed then.
    marks_paise: [i64; 2],
}

impl Kept {
    fn day_paise(&self) -> i64 {
        self.read_paise.saturating_add(self.started_paise.saturating_sub(self.marks_paise[0]))
    }
}

/// What the connectors have paid on a day, by the journals.
#[derive(Default)]
struct Journals {
    day: Option<i64>,
    read_to: BTreeMap<MerchantId, i64>,
    paid: BTreeMap<Connector, i64>,
}

impl Router {
    /// Of a configuration. Merchants that rules name are looked up by [`Router::read_merchants`].
    pub fn new(config: &Config, connectors: &Connectors) -> Result<Router, String> {
        let rules = connectors.rules();
        let most =
            |rules: &ConnectorRules| config.limits.get(rules.connector.as_str()).and_then(|l| l.day_most_paise());
        let day_most_paise: Vec<Option<i64>> = rules.iter().map(most).collect();
        let hours: Vec<Hours> = rules
            .iter()
            .map(|rules| {
                config.limits.get(rules.connector.as_str()).map_or(Ok(Hours::default()), config::Limits::hours)
            })
            .collect::<Result<_, _>>()?;
        let known: Vec<Connector> = rules.iter().map(|rules| rules.connector).collect();
        let routing = compile(&config.routes, Some(&known), &BTreeMap::new())?;
        let unlimited = day_most_paise.iter().all(Option::is_none) && hours.iter().flatten().all(Option::is_none);
        let plain = rules.len() < 2 && config.routes.is_empty() && unlimited;
        let state = State {
            routing,
            merchant_missing: config.routes.iter().any(|route| !route.merchants.is_empty()),
            connectors: vec![Kept::default(); rules.len()],
        };
        Ok(Router {
            routes: config.routes.clone(),
            rules,
            day_most_paise,
            hours,
            health: config.health.rules(),
            plain,
            any_paused: AtomicBool::new(false),
            state: Mutex::new(state),
            journals: tokio::sync::Mutex::default(),
        })
    }

    /// The connector that a new payout goes to first over the rail that was ordered, if there is one now. Whether another rail
    /// is allowed is known when it has been accepted.
    pub fn choose_first(&self, app: &App, order: &Order, beneficiary: &Beneficiary) -> Option<(Connector, Rail)> {
        if self.plain {
            let first = self.rules.first().filter(|rules| rules.carries.can(order.rail, order.amount));
            let first = first.map(|rules| (rules.connector, order.rail));
            return first.filter(|_| !self.any_paused.load(Ordering::Acquire));
        }
        let bank = bank_of(beneficiary);
        self.take(&app.clock, &Facts::of_order(order, bank.as_deref(), app.clock.now()))
    }

    /// The connector that a queued payout goes to, and the rail, if there is one now.
    pub fn choose(&self, app: &App, payout: &Payout) -> Option<(Connector, Rail)> {
        if self.plain {
            return next_connector(&app.rules, payout).filter(|_| !self.any_paused.load(Ordering::Acquire));
        }
        // The beneficiary is unsealed only where a rule asks for his bank.
        let asks = self.routes.iter().any(|route| !route.banks.is_empty());
        let beneficiary = if asks { worker::beneficiary(app, payout) } else { None };
        let bank = beneficiary.as_ref().and_then(bank_of);
        self.take(&app.clock, &Facts::of_payout(payout, bank.as_deref(), app.clock.now()))
    }

    /// Chooses, and counts what the chosen one is given.
    fn take(&self, clock: &Clock, facts: &Facts<'_>) -> Option<(Connector, Rail)> {
        let mut state = locked(&self.state);
        let choice = self.route(&mut state, clock, facts);
        let (chosen, rail) = (choice.connector?, choice.rail);
        let at = self.rules.iter().position(|rules| rules.connector == chosen)?;
        let kept = state.connectors.get_mut(at)?;
        kept.breaker.takes();
        kept.started_paise = kept.started_paise.saturating_add(facts.amount.paise());
        Some((chosen, rail))
    }

    fn route<'a>(&self, state: &'a mut State, clock: &Clock, facts: &Facts<'_>) -> Choice<'a> {
        let now_us = clock.boot_us();
        // The only one is tried however it is: nobody else could.
        let judged = self.rules.len() > 1;
        let candidates: Vec<Candidate> = self
            .rules
            .iter()
            .zip(&self.day_most_paise)
            .zip(&self.hours)
            .zip(&mut state.connectors)
            .map(|(((rules, day_most_paise), hours), kept)| Candidate {
                rules: *rules,
                paused: kept.paused,
                ill: judged && !kept.breaker.may_take(&self.health, now_us),
                day_paise: kept.day_paise(),
                day_most_paise: *day_most_paise,
                hours: *hours,
            })
            .collect();
        route(&state.routing, facts, &candidates)
    }

    /// What would be chosen: the rule's name, the connector and the rail, and for each one why or why not. Counts nothing.
    pub fn explain(&self, clock: &Clock, facts: &Facts<'_>) -> Explained {
        let mut state = locked(&self.state);
        let choice = self.route(&mut state, clock, facts);
        let chosen = choice.connector.map(|connector| (connector, choice.rail));
        (choice.rule.map(ToOwned::to_owned), chosen, choice.considered)
    }

    /// A bank's word came, the answer to a payment over this rail or, with none, what it said later: it says how well the
    /// connector is.
    pub fn heard(&self, app: &App, connector: Connector, outcome: Outcome, paid_over: Option<Rail>) {
        if self.rules.len() < 2 {
            return;
        }
        let Some(good) = speaks_well(outcome, paid_over) else { return };
        let Some(at) = self.rules.iter().position(|rules| rules.connector == connector) else { return };
        let changed = locked(&self.state)
            .connectors
            .get_mut(at)
            .and_then(|kept| kept.breaker.heard(&self.health, good, app.clock.boot_us()));
        match changed {
            Some(Health::Ill) => {
                tracing::warn!(
                    connector = connector.as_str(),
                    "a connector fails too often and gets no new payouts for a while"
                );
                app.metrics.connector_ill(connector);
            }
            Some(Health::Well) => {
                tracing::info!(connector = connector.as_str(), "a connector is well again");
            }
            Some(Health::Probing) => {
                tracing::info!(
                    connector = connector.as_str(),
                    "a connector gets a few payouts, to see whether it is well"
                );
            }
            None => {}
        }
    }

    /// Each connector: whether it is paused, how well it is, and the day's total where it has a limit for a day.
    pub fn standing(&self, clock: &Clock) -> Vec<(Connector, bool, Health, Option<i64>)> {
        let mut state = locked(&self.state);
        let all = self.rules.iter().zip(&self.day_most_paise).zip(&mut state.connectors);
        all.map(|((rules, day_most_paise), kept)| {
            let health = kept.breaker.health(&self.health, clock.boot_us());
            (rules.connector, kept.paused, health, day_most_paise.map(|_| kept.day_paise()))
        })
        .collect()
    }

    /// Looks up which connectors are paused.
    pub async fn read_paused(&self, store: &Store) -> Result<(), StoreError> {
        let paused = store.connectors_paused().await?;
        let mut state = locked(&self.state);
        let mut any = false;
        for (rules, kept) in self.rules.iter().zip(&mut state.connectors) {
            let now = paused.iter().any(|paused| paused.connector == rules.connector);
            if now != kept.paused {
                tracing::info!(connector = rules.connector.as_str(), paused = now, "the operator has spoken");
            }
            kept.paused = now;
            any |= now;
        }
        self.any_paused.store(any, Ordering::Release);
        Ok(())
    }

    /// Looks up the merchants that rules name, until all of them are there. One who is not yet there matches no rule.
    pub async fn read_merchants(&self, store: &Store) -> Result<(), StoreError> {
        if !locked(&self.state).merchant_missing {
            return Ok(());
        }
        let known: BTreeMap<String, MerchantId> =
            store.merchants().await?.into_iter().map(|merchant| (merchant.merchant, merchant.id)).collect();
        let missing = self.routes.iter().flat_map(|route| &route.merchants).any(|name| !known.contains_key(name));
        // The routes have been compiled before, so they are valid.
        if let Ok(routing) = compile(&self.routes, None, &known) {
            let mut state = locked(&self.state);
            state.routing = routing;
            state.merchant_missing = missing;
        }
        Ok(())
    }

    /// Reads what each connector has been given today: paid by the journals, and open. A journal row is read once.
    pub async fn read_totals(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        if self.day_most_paise.iter().all(Option::is_none) {
            return Ok(());
        }
        let mut journals = self.journals.lock().await;
        let marks: Vec<i64> = locked(&self.state).connectors.iter().map(|kept| kept.started_paise).collect();
        let today = now.ist_day();
        if journals.day != Some(today) {
            *journals = Journals { day: Some(today), ..Journals::default() };
        }
        // First what is open: what is paid in between is counted twice until the next time, and not overlooked.
        let open: BTreeMap<Connector, i64> = store.at_connectors().await?.into_iter().collect();
        for (merchant, last) in store.journal_heads().await? {
            let from = match journals.read_to.get(&merchant) {
                Some(read_to) => *read_to,
                None => store.journal_seq_at(merchant, Timestamp::ist_midnight(today)).await?.saturating_sub(1),
            };
            if last > from {
                for (connector, paise) in store.paid_by_connectors(merchant, (from, last)).await? {
                    let paid = journals.paid.entry(connector).or_default();
                    *paid = paid.saturating_add(paise);
                }
            }
            journals.read_to.insert(merchant, last.max(from));
        }
        let mut state = locked(&self.state);
        for ((rules, kept), mark) in self.rules.iter().zip(&mut state.connectors).zip(marks) {
            let sum = |sums: &BTreeMap<Connector, i64>| sums.get(&rules.connector).copied().unwrap_or(0);
            kept.read_paise = sum(&journals.paid).saturating_add(sum(&open));
            kept.marks_paise = [kept.marks_paise[1], mark];
        }
        Ok(())
    }
}

/// Keeps what is known of the connectors fresh, until `stop` is told.
pub async fn watch(app: &App, mut stop: watch::Receiver<bool>) {
    let mut turn = 0u32;
    loop {
        let router = &app.router;
        let mut read = router.read_paused(&app.store).await;
        if read.is_ok() {
            read = router.read_merchants(&app.store).await;
        }
        if read.is_ok() && turn.is_multiple_of(TOTALS_EVERY) {
            read = router.read_totals(&app.store, app.clock.now()).await;
        }
        if let Err(error) = read {
            tracing::warn!(%error, "cannot read how the connectors stand; what was known before holds");
        }
        turn = turn.wrapping_add(1);
        tokio::select! {
            biased;
            () = crate::told_to_stop(&mut stop) => return,
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
    }
}

/// What rules know a beneficiary's bank by: the first four letters of the IFSC, or the UPI handle in small letters.
pub fn bank_of(beneficiary: &Beneficiary) -> Option<String> {
    match beneficiary {
        Beneficiary::Account { ifsc, .. } => ifsc.as_str().get(..4).map(ToOwned::to_owned),
        Beneficiary::Vpa(vpa) => vpa.as_str().split_once('@').map(|(_, handle)| handle.to_ascii_lowercase()),
        Beneficiary::Mobile(_) => None,
    }
}

/// The rules of `hundi.toml` as the core takes them. With `known`, a target must be one of these connectors.
pub fn compile(
    routes: &[config::Routes],
    known: Option<&[Connector]>,
    merchants: &BTreeMap<String, MerchantId>,
) -> Result<Routing, String> {
    let mut rules = Vec::with_capacity(routes.len());
    for (at, route) in routes.iter().enumerate() {
        let name = if route.name.is_empty() { format!("route {}", at + 1) } else { route.name.clone() };
        let wrong = |why: String| format!("`routes` \"{name}\": {why}");
        let mut targets = Vec::with_capacity(route.targets.len());
        for target in &route.targets {
            let connector = Connector::parse(&target.connector)
                .filter(|connector| known.is_none_or(|known| known.contains(connector)))
                .ok_or_else(|| wrong(format!("`targets` names `{}`, which is no connector", target.connector)))?;
            if targets.iter().any(|target: &Target| target.connector == connector) {
                return Err(wrong(format!("`targets` names `{}` twice", target.connector)));
            }
            if !(1..=1_000).contains(&target.weight) || !(1..=1_000).contains(&target.priority) {
                return Err(wrong("`priority` and `weight` must be from 1 to 1000".to_owned()));
            }
            targets.push(Target { connector, priority: target.priority, weight: target.weight });
        }
        if targets.is_empty() {
            return Err(wrong("`targets` is empty; name a connector".to_owned()));
        }
        let (least_paise, most_paise) = route.paise().map_err(&wrong)?;
        let numbers = route.merchants.iter().filter_map(|name| merchants.get(name).copied()).collect();
        rules.push(Rule {
            merchants: (!route.merchants.is_empty()).then_some(numbers),
            rails: config::rails("rails", &route.rails).map_err(&wrong)?,
            least_paise,
            most_paise,
            banks: route.banks().map_err(&wrong)?,
            minutes: route.minutes().map_err(&wrong)?,
            targets,
            name: name.into(),
        });
    }
    Ok(Routing { rules })
}

/// A time of an Indian day, `HH:MM-HH:MM`, as two minutes that differ.
pub fn minutes(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    let both = (minute(from.trim())?, minute(until.trim())?);
    (both.0 != both.1).then_some(both)
}

/// A time of day, `HH:MM`, as its minute.
pub fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| digits && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

impl config::Health {
    /// As the core takes them.
    pub fn rules(&self) -> HealthRules {
        HealthRules {
            window_us: self.window_s.saturating_mul(SECOND),
            words_least: self.words_least,
            errors_percent: self.errors_percent,
            pause_us: self.pause_s.saturating_mul(SECOND),
            probes: self.probes,
        }
    }
}
