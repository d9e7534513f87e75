//! Which connector a payout goes to: rules are values, and [`route`] is one pure function over them.
//!
//! ```text
//! the first rule that matches  -> its targets by priority, within a priority by weight
//! then every other connector   -> in the order of the configuration
//! left out: who has refused, cannot carry it, is paused, ill or at its limit for the day
//! ```
//!
//! A rule prefers; it does not forbid, so "a connector is left" depends on nothing but the payout and what the connectors
//! can carry. The draw by weight is made of the payout's number and the attempt's, so that a restart draws the same.
//! [`may_start`] is the law beneath: another connector only after a refusal that allows it, never after silence.

use crate::command::{ConnectorRules, Rules};
use crate::ids::{Connector, MerchantId, PayoutId};
use crate::money::{Amount, Balance};
use crate::payout::{Order, Payout};
use crate::rails::Rail;
use crate::schedule::{DAY, MINUTE, Timestamp};
use std::fmt;

/// What a connector can carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carries {
    /// Over which rails, in the order of [`crate::rails::RAILS`].
    pub rails: [bool; 4],
    /// The least of one payout, paise.
    pub least_paise: i64,
    /// The most of one payout, paise.
    pub most_paise: i64,
}

impl Carries {
    /// Every rail and every amount.
    pub const ALL: Carries = Carries { rails: [true; 4], least_paise: 0, most_paise: i64::MAX };

    /// Whether it can carry an order.
    pub const fn order(&self, order: &Order) -> bool {
        self.obstacle(order.rail, order.amount).is_none()
    }

    const fn obstacle(&self, rail: Rail, amount: Amount) -> Option<Why> {
        if !self.rails[rail as usize] {
            Some(Why::Rail(rail))
        } else if amount.paise() < self.least_paise {
            Some(Why::TooLittle(self.least_paise))
        } else if amount.paise() > self.most_paise {
            Some(Why::TooMuch(self.most_paise))
        } else {
            None
        }
    }
}

/// The connector at which a payout must be started again, if it was begun somewhere and not refused there: of what was
/// silence, and of what never left us, nobody else may try.
fn bound_to(payout: &Payout) -> Option<Connector> {
    payout.connector.filter(|connector| !payout.refused_by.contains(connector))
}

/// Whether a payout may be started over this connector at all.
pub fn may_start(rules: &Rules, payout: &Payout, connector: Connector) -> bool {
    let known = rules.connectors.iter().find(|rules| rules.connector == connector);
    known.is_some_and(|rules| rules.carries.order(&payout.order))
        && !payout.refused_by.contains(&connector)
        && bound_to(payout).is_none_or(|bound| bound == connector)
}

/// The connector that is tried next where there are no rules: the first that the payout may be started over.
pub fn next_connector(rules: &Rules, payout: &Payout) -> Option<Connector> {
    rules.connectors.iter().map(|rules| rules.connector).find(|connector| may_start(rules, payout, *connector))
}

/// The rules, in the order in which they are tried.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Routing {
    /// The first that matches decides.
    pub rules: Vec<Rule>,
}

/// Which payouts, and where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its name, for people.
    pub name: Box<str>,
    /// Of these merchants; `None` for all.
    pub merchants: Option<Vec<MerchantId>>,
    /// Over these rails; empty for all.
    pub rails: Vec<Rail>,
    /// From this amount, paise,
    pub least_paise: i64,
    /// to this one, both included.
    pub most_paise: i64,
    /// To these banks, the first four letters of an IFSC in capitals, or UPI handles in small letters; empty for all.
    pub banks: Vec<Box<str>>,
    /// In these minutes of an Indian day: from the first, until before the second; over midnight if the second is not the
    /// later one. `None` for all day.
    pub minutes: Option<(u16, u16)>,
    /// Where to.
    pub targets: Vec<Target>,
}

/// A connector that a rule prefers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Which.
    pub connector: Connector,
    /// The lowest first.
    pub priority: u32,
    /// Its share among those with the same priority.
    pub weight: u32,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Which payout: with the attempt, the dice.
    pub payout: PayoutId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Whose.
    pub merchant: MerchantId,
    /// Over which rail.
    pub rail: Rail,
    /// How much.
    pub amount: Amount,
    /// To which bank: the first four letters of the IFSC, or the UPI handle; `None` where there is none.
    pub bank: Option<&'a str>,
    /// The minute of the Indian day, from 0 to 1,439.
    pub minute: u16,
    /// Who has refused it and let others try.
    pub refused_by: &'a [Connector],
    /// Where it was begun and not refused.
    pub bound_to: Option<Connector>,
}

impl<'a> Facts<'a> {
    /// Of an order that has not been tried.
    pub fn of_order(order: &Order, bank: Option<&'a str>, now: Timestamp) -> Facts<'a> {
        Facts {
            payout: order.id,
            attempt: 1,
            merchant: order.merchant,
            rail: order.rail,
            amount: order.amount,
            bank,
            minute: minute_of_day(now),
            refused_by: &[],
            bound_to: None,
        }
    }

    /// Of a payout that is queued.
    pub fn of_payout(payout: &'a Payout, bank: Option<&'a str>, now: Timestamp) -> Facts<'a> {
        Facts {
            attempt: payout.attempts.saturating_add(1),
            refused_by: &payout.refused_by,
            bound_to: bound_to(payout),
            ..Facts::of_order(&payout.order, bank, now)
        }
    }
}

/// The minute of the Indian day.
pub fn minute_of_day(now: Timestamp) -> u16 {
    // India's day is counted from its own midnight.
    let midnight = Timestamp::ist_midnight(now.ist_day());
    let minute = now.0.saturating_sub(midnight.0).clamp(0, DAY - 1) / MINUTE;
    u16::try_from(minute).unwrap_or(0)
}

/// A connector as it is at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its contract.
    pub rules: ConnectorRules,
    /// The operator has paused it.
    pub paused: bool,
    /// It fails too often, and may not be given one more payout now.
    pub ill: bool,
    /// What it has been given today, paise,
    pub day_paise: i64,
    /// and the most that it may be given; `None` for no limit.
    pub day_most_paise: Option<i64>,
}

/// Why a connector was not chosen, or that it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It was.
    Chosen,
    /// It has refused this payout.
    Refused,
    /// The payout was begun elsewhere and not refused there.
    BegunAt(Connector),
    /// It does not carry this rail.
    Rail(Rail),
    /// It carries no less than this, paise.
    TooLittle(i64),
    /// It carries no more than this, paise.
    TooMuch(i64),
    /// The operator has paused it.
    Paused,
    /// It fails too often.
    Ill,
    /// With this payout it would be given more than this on one day, paise.
    DayFull(i64),
    /// Another comes first.
    Later,
    /// Another was drawn.
    NotDrawn,
}

impl Why {
    /// Whether it may be chosen later, though nothing about the payout changes.
    pub const fn passes(self) -> bool {
        matches!(self, Why::Paused | Why::Ill | Why::DayFull(_))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Chosen => f.write_str("chosen"),
            Why::Refused => f.write_str("has refused this payout"),
            Why::BegunAt(connector) => {
                write!(f, "the payout was begun at {}, which has not refused it", connector.as_str())
            }
            Why::Rail(rail) => write!(f, "does not carry {}", rail.as_str()),
            Why::TooLittle(paise) => write!(f, "carries {} or more", Balance::from_paise(*paise)),
            Why::TooMuch(paise) => write!(f, "carries {} or less", Balance::from_paise(*paise)),
            Why::Paused => f.write_str("is paused"),
            Why::Ill => f.write_str("fails too often"),
            Why::DayFull(paise) => write!(f, "would be given more than {} today", Balance::from_paise(*paise)),
            Why::Later => f.write_str("another comes first"),
            Why::NotDrawn => f.write_str("the draw by weight chose another"),
        }
    }
}

/// Where a payout goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice<'a> {
    /// To this connector; `None` if to none now.
    pub connector: Option<Connector>,
    /// The rule that matched.
    pub rule: Option<&'a str>,
    /// Every connector, in the order in which they come, and why it was or was not chosen.
    pub considered: Vec<(Connector, Why)>,
}

/// Whether a payout may go to a candidate: nothing, or what stands against it.
fn obstacle(facts: &Facts<'_>, candidate: &Candidate) -> Option<Why> {
    let connector = candidate.rules.connector;
    if facts.refused_by.contains(&connector) {
        return Some(Why::Refused);
    }
    if let Some(bound) = facts.bound_to.filter(|bound| *bound != connector) {
        return Some(Why::BegunAt(bound));
    }
    let full = |most: &i64| candidate.day_paise.saturating_add(facts.amount.paise()) > *most;
    candidate
        .rules
        .carries
        .obstacle(facts.rail, facts.amount)
        .or(candidate.paused.then_some(Why::Paused))
        .or(candidate.day_most_paise.filter(full).map(Why::DayFull))
        .or(candidate.ill.then_some(Why::Ill))
}

/// Chooses a connector among the candidates, which are all that there are, in the order of the configuration.
pub fn route<'a>(routing: &'a Routing, facts: &Facts<'_>, candidates: &[Candidate]) -> Choice<'a> {
    let rule = routing.rules.iter().find(|rule| rule.matches(facts));
    // The group is what comes first; targets' priorities lie before those that no rule names.
    let mut ranked: Vec<(u64, u32, &Candidate)> = candidates
        .iter()
        .zip(0u64..)
        .map(|(candidate, at)| {
            let target = rule.and_then(|rule| rule.targets.iter().find(|t| t.connector == candidate.rules.connector));
            let (group, weight) =
                target.map_or(((1 << 32) + at, 1), |target| (u64::from(target.priority), target.weight));
            (group, weight, candidate)
        })
        .collect();
    ranked.sort_by_key(|(group, ..)| *group);
    let obstacles: Vec<Option<Why>> = ranked.iter().map(|(_, _, candidate)| obstacle(facts, candidate)).collect();
    let free = || ranked.iter().zip(&obstacles).filter(|(_, why)| why.is_none()).map(|(ranked, _)| ranked);
    let first = free().next().map(|(group, ..)| *group);
    let in_first = || free().filter(|(group, ..)| Some(*group) == first);
    let total: u64 = in_first().map(|(_, weight, _)| u64::from(*weight)).sum();
    let mut drawn = draw(facts.payout, facts.attempt).checked_rem(total).unwrap_or(0);
    let chosen = in_first().find(|(_, weight, _)| {
        let here = drawn < u64::from(*weight);
        drawn = drawn.saturating_sub(u64::from(*weight));
        here
    });
    let connector = chosen.map(|(_, _, candidate)| candidate.rules.connector);
    let considered = ranked.iter().zip(&obstacles).map(|((group, _, candidate), why)| {
        let name = candidate.rules.connector;
        let lost = if Some(*group) == first { Why::NotDrawn } else { Why::Later };
        (name, why.unwrap_or(if Some(name) == connector { Why::Chosen } else { lost }))
    });
    Choice { connector, rule: rule.map(|rule| &*rule.name), considered: considered.collect() }
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        let among = |banks: &[Box<str>]| facts.bank.is_some_and(|bank| banks.iter().any(|known| &**known == bank));
        self.merchants.as_ref().is_none_or(|merchants| merchants.contains(&facts.merchant))
            && (self.rails.is_empty() || self.rails.contains(&facts.rail))
            && (self.least_paise..=self.most_paise).contains(&facts.amount.paise())
            && (self.banks.is_empty() || among(&self.banks))
            && self.minutes.is_none_or(|(from, until)| {
                let (after, before) = (facts.minute >= from, facts.minute < until);
                if from < until { after && before } else { after || before }
            })
    }
}

/// A number made of a payout's and its attempt's, spread evenly: the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014). It need not be secret.
const fn draw(payout: PayoutId, attempt: u32) -> u64 {
    let mut z = (payout.0 as u64).wrapping_add((attempt as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
