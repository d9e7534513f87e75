//! Which connector a payout goes to: rules are values, and [`route`] is one pure function over them.
//!
//! ```text
//! the first rule that matches  -> its targets by priority, within a priority by weight
//! then every other connector   -> in the order of the configuration
//! left out: who has refused, cannot carry it, is paused, ill or at its limit for the day
//! ```
//!
//! Where a merchant allows it (`rail = auto`), what nobody can take over the ordered rail is tried over the others, the
//! fastest first ([`RailSet::for_order`]); each is judged as if it had been ordered.
//!
//! A rule prefers; it does not forbid, so "a connector is left" depends on nothing but the payout and what the connectors
//! can carry. The draw by weight is made of the payout's number and the attempt's, so that a restart draws the same.
//! [`may_start`] is the law beneath: another connector only after a refusal that allows it, never after silence.

use crate::command::{ConnectorRules, Outcome, Rules};
use crate::ids::{Connector, MerchantId, PayoutId};
use crate::money::{Amount, Balance};
use crate::payout::{Order, Payout};
use crate::plant::{Plant, planted};
use crate::rails::{Rail, RailSet};
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

    /// Whether it can carry this amount over this rail.
    pub const fn can(&self, rail: Rail, amount: Amount) -> bool {
        self.obstacle(rail, amount).is_none()
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

/// The connector and the rail by which a payout must be started again, if it was begun somewhere and not refused there: of
/// what was silence, and of what never left us, nobody else may try, and nothing else may be tried.
fn bound_to(payout: &Payout) -> Option<(Connector, Rail)> {
    let refused = |connector| payout.refused_by.contains(&connector) || !payout.rails.contains(payout.rail);
    payout.connector.filter(|connector| !refused(*connector)).map(|connector| (connector, payout.rail))
}

/// The rails over which a payout may be started, in the order in which they are tried.
fn rails_of(payout: &Payout) -> impl Iterator<Item = Rail> {
    payout.rails.for_order(payout.order.rail, payout.order.amount)
}

/// Whether a payout may be started over this connector and rail at all.
pub fn may_start(rules: &Rules, payout: &Payout, (connector, rail): (Connector, Rail)) -> bool {
    let known = rules.connectors.iter().find(|rules| rules.connector == connector);
    known.is_some_and(|rules| rules.carries.can(rail, payout.order.amount))
        && rails_of(payout).any(|may| may == rail)
        && !payout.refused_by.contains(&connector)
        && bound_to(payout).is_none_or(|bound| bound == (connector, rail) || planted(Plant::RailAfterSilence))
}

/// The connector and the rail that are tried next where there are no rules: the first that the payout may be started over.
pub fn next_connector(rules: &Rules, payout: &Payout) -> Option<(Connector, Rail)> {
    rails_of(payout)
        .flat_map(|rail| rules.connectors.iter().map(move |rules| (rules.connector, rail)))
        .find(|tried| may_start(rules, payout, *tried))
}

/// What a refusal leaves out of the attempts after it.
#[derive(Clone, Copy)]
pub(crate) enum LeftOut {
    /// This connector.
    Connector(Connector),
    /// This rail, over whatever connector: it is the account that does not take it. Another rail is left.
    Rail(Rail),
}

/// What the refusal of the attempt in progress leaves out; `None` if nobody may try again.
pub(crate) fn left_out(rules: &Rules, payout: &Payout, outcome: Outcome, connector: Connector) -> Option<LeftOut> {
    match outcome {
        Outcome::RailRefused if is_left(rules, payout, payout.rails.without(payout.rail), None) => {
            Some(LeftOut::Rail(payout.rail))
        }
        Outcome::RailRefused | Outcome::Refused { elsewhere: true } => Some(LeftOut::Connector(connector)),
        _ => None,
    }
}

impl LeftOut {
    /// Whether anybody is left. One that is paused or ill is left all the same: the payout waits for it.
    pub(crate) fn lets_others_try(self, rules: &Rules, payout: &Payout) -> bool {
        match self {
            LeftOut::Connector(refused_by) => is_left(rules, payout, payout.rails, Some(refused_by)),
            LeftOut::Rail(_) => true,
        }
    }
}

/// Whether a connector is left that can carry a payout over one of these rails, but for the one that has just refused it.
fn is_left(rules: &Rules, payout: &Payout, rails: RailSet, refused_by: Option<Connector>) -> bool {
    let (ordered, amount) = (payout.order.rail, payout.order.amount);
    rules.connectors.iter().any(|rules| {
        Some(rules.connector) != refused_by
            && !payout.refused_by.contains(&rules.connector)
            && rails.for_order(ordered, amount).any(|rail| rules.carries.can(rail, amount))
    })
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
    /// Over which rail, as it was ordered.
    pub rail: Rail,
    /// Over which rails it may be sent.
    pub rails: RailSet,
    /// How much.
    pub amount: Amount,
    /// To which bank: the first four letters of the IFSC, or the UPI handle; `None` where there is none.
    pub bank: Option<&'a str>,
    /// The minute of the Indian day, from 0 to 1,439.
    pub minute: u16,
    /// Who has refused it and let others try.
    pub refused_by: &'a [Connector],
    /// Where it was begun and not refused.
    pub bound_to: Option<(Connector, Rail)>,
}

impl<'a> Facts<'a> {
    /// Of an order that has not been tried, over the rail that was ordered.
    pub fn of_order(order: &Order, bank: Option<&'a str>, now: Timestamp) -> Facts<'a> {
        Facts {
            payout: order.id,
            attempt: 1,
            merchant: order.merchant,
            rail: order.rail,
            rails: RailSet::of(order.rail),
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
            rails: payout.rails,
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
    /// When it takes payouts over each rail, in the order of [`crate::rails::RAILS`].
    pub hours: Hours,
}

/// For each rail the minutes of an Indian day in which a bank takes payouts over it, as in [`Rule::minutes`].
pub type Hours = [Option<(u16, u16)>; 4];

/// Whether a minute of the day lies in this time: from the first minute, until before the second; over midnight if the second is
/// not the later one.
const fn within((from, until): (u16, u16), minute: u16) -> bool {
    let (after, before) = (minute >= from, minute < until);
    if from < until { after && before } else { after || before }
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
    /// The payout was begun over this rail and not refused there.
    BegunOver(Rail),
    /// It does not carry this rail.
    Rail(Rail),
    /// It carries no less than this, paise.
    TooLittle(i64),
    /// It carries no more than this, paise.
    TooMuch(i64),
    /// It takes nothing over this rail at this hour.
    Closed(Rail),
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
        matches!(self, Why::Paused | Why::Ill | Why::DayFull(_) | Why::Closed(_))
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
            Why::BegunOver(rail) => {
                write!(f, "the payout was begun over {}, which has not been refused", rail.as_str())
            }
            Why::Closed(rail) => write!(f, "takes no {} at this hour", rail.as_str()),
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
    /// Over this rail: the ordered one, unless only another can be taken now.
    pub rail: Rail,
    /// The rule that matched.
    pub rule: Option<&'a str>,
    /// Every connector over every rail that was looked at, in the order in which they come, and why it was or was not chosen.
    pub considered: Vec<(Connector, Rail, Why)>,
}

/// Whether a payout may go to a candidate over a rail: nothing, or what stands against it.
fn obstacle(facts: &Facts<'_>, rail: Rail, candidate: &Candidate) -> Option<Why> {
    let connector = candidate.rules.connector;
    if facts.refused_by.contains(&connector) {
        return Some(Why::Refused);
    }
    match facts.bound_to {
        Some((bound, _)) if bound != connector => return Some(Why::BegunAt(bound)),
        Some((_, bound)) if bound != rail => return Some(Why::BegunOver(bound)),
        Some(_) | None => {}
    }
    let closed = candidate.hours[rail as usize].is_some_and(|hours| !within(hours, facts.minute));
    let full = |most: &i64| candidate.day_paise.saturating_add(facts.amount.paise()) > *most;
    candidate
        .rules
        .carries
        .obstacle(rail, facts.amount)
        .or(candidate.paused.then_some(Why::Paused))
        .or(closed.then_some(Why::Closed(rail)))
        .or(candidate.day_most_paise.filter(full).map(Why::DayFull))
        .or(candidate.ill.then_some(Why::Ill))
}

/// Chooses a connector among the candidates, which are all that there are, in the order of the configuration; over the ordered
/// rail if one can take it now, else over the first rail that one can.
pub fn route<'a>(routing: &'a Routing, facts: &Facts<'_>, candidates: &[Candidate]) -> Choice<'a> {
    let (mut rule, mut considered) = (None, Vec::new());
    for rail in facts.rails.for_order(facts.rail, facts.amount) {
        let mut choice = route_over(routing, facts, rail, candidates);
        considered.append(&mut choice.considered);
        if choice.connector.is_some() {
            return Choice { considered, ..choice };
        }
        rule = rule.or(choice.rule);
    }
    Choice { connector: None, rail: facts.rail, rule, considered }
}

fn route_over<'a>(routing: &'a Routing, facts: &Facts<'_>, rail: Rail, candidates: &[Candidate]) -> Choice<'a> {
    let rule = routing.rules.iter().find(|rule| rule.matches(facts, rail));
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
    let obstacles: Vec<Option<Why>> = ranked.iter().map(|(_, _, candidate)| obstacle(facts, rail, candidate)).collect();
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
        (name, rail, why.unwrap_or(if Some(name) == connector { Why::Chosen } else { lost }))
    });
    Choice { connector, rail, rule: rule.map(|rule| &*rule.name), considered: considered.collect() }
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>, rail: Rail) -> bool {
        let among = |banks: &[Box<str>]| facts.bank.is_some_and(|bank| banks.iter().any(|known| &**known == bank));
        self.merchants.as_ref().is_none_or(|merchants| merchants.contains(&facts.merchant))
            && (self.rails.is_empty() || self.rails.contains(&rail))
            && (self.least_paise..=self.most_paise).contains(&facts.amount.paise())
            && (self.banks.is_empty() || among(&self.banks))
            && self.minutes.is_none_or(|minutes| within(minutes, facts.minute))
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
