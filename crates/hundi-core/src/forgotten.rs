//! Payments of a time that the store has forgotten, because it was restored from a backup.
//!
//! ```text
//! a bank speaks of a reference with our mark that is not known --> it is kept, an exception, and the installation goes on hold
//! after the release a merchant sends the OrderID again         --> its references are derived again and found among them:
//!                                                                  recorded, reserved, and paid as the bank has paid it
//! what the backup has as queued and nobody would start (held, given up, cancelled) --> is looked for at the release
//! ```
//!
//! A reference cannot be turned back into an OrderID, but it can be recognised. What is recognised is never sent: the bank's
//! word of then decides, and where it was not final, the bank is asked.

use crate::command::{Attempt, Decision, History, Outcome, Refusal, Rules, Snapshot, Source, Transition, Way, Word};
use crate::command::{new_payout, own, record};
use crate::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use crate::payout::{Order, Payout, State};
use crate::plant::{Plant, planted};
use crate::postings::{self, PostingError};
use crate::rails::Rail;
use crate::schedule::Timestamp;

/// An OrderID's references are looked for up to this attempt, or `worker.attempts_max`, whichever is more: the forgotten
/// time may have had another limit.
const ATTEMPTS_LEAST: u32 = 8;

/// What a bank said of a reference of ours that is not known. The number is what the store keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Said {
    /// That it has it; nothing final.
    Spoken = 1,
    /// That it will not pay it.
    Refused = 2,
    /// That it paid it, in a call that it signed.
    Paid = 3,
    /// A debit on its statement.
    Debited = 4,
    /// A credit on its statement that takes it back.
    Returned = 5,
}

impl Said {
    /// All of them.
    pub const ALL: [Said; 5] = [Said::Spoken, Said::Refused, Said::Paid, Said::Debited, Said::Returned];

    /// The one with this number.
    pub fn from_number(number: i64) -> Option<Said> {
        Said::ALL.into_iter().find(|said| *said as i64 == number)
    }

    /// Its name, as lists print it.
    pub const fn name(self) -> &'static str {
        match self {
            Said::Spoken => "spoken_of",
            Said::Refused => "refused",
            Said::Paid => "paid",
            Said::Debited => "debited",
            Said::Returned => "returned",
        }
    }

    /// Whether nothing more needs to be known of it: a statement has it, or nothing was paid.
    pub const fn settles(self) -> bool {
        matches!(self, Said::Refused | Said::Debited | Said::Returned)
    }
}

/// A bank's word about a reference of ours that is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forgotten {
    /// Who spoke.
    pub connector: Connector,
    /// About which reference.
    pub reference: Reference,
    /// What was said.
    pub said: Said,
    /// The amount, paise, where it was said.
    pub amount_paise: Option<i64>,
    /// The bank's own reference; empty if it gave none.
    pub rrn: Box<str>,
}

/// Hears of a reference that carries our mark and is not known at any connector: keeps it, and puts the installation on hold at its first
/// mention. A hold that was released is not set again by the same reference.
pub(crate) fn hear(
    snapshot: &mut Snapshot,
    rules: &Rules,
    transition: &mut Transition,
    (connector, reference): (Connector, Reference),
    word: &Word,
    source: Source,
) {
    let said = match (source, word.outcome) {
        // The bank does not know it either.
        (_, Outcome::NotFound | Outcome::NotWritten) => return,
        (Source::Statement, Outcome::Reversed) => Said::Returned,
        (Source::Statement, Outcome::Paid) => Said::Debited,
        (_, Outcome::Paid) => Said::Paid,
        (_, Outcome::Refused { .. } | Outcome::RailRefused | Outcome::NotExecuted) => Said::Refused,
        // What gives money back is confirmed by a statement or a question of ours.
        (_, Outcome::Accepted | Outcome::Silent | Outcome::Reversed) => Said::Spoken,
    };
    // What goes over several connectors of one account, or into the wrong one's statement, is not forgotten.
    if rules.connectors.iter().any(|rules| snapshot.references.contains_key(&(rules.connector, reference))) {
        return;
    }
    let kept = snapshot.forgotten.entry(reference).or_default();
    if kept.is_empty() && rules.holds_by_itself && !snapshot.on_hold {
        snapshot.on_hold = true;
        let how = if source == Source::Statement { "its statement" } else { "its own word" };
        let said = said.name();
        let why = format!("{connector} speaks of {reference}, which is ours and not known here ({said}, by {how})");
        transition.hold = Some(why.into());
    }
    if kept.iter().all(|known| (known.connector, known.said) != (connector, said)) {
        let rrn = word.rrn.clone();
        let forgotten = Forgotten { connector, reference, said, amount_paise: word.amount_paise, rrn };
        kept.push(forgotten.clone());
        transition.forgotten = Some(forgotten);
    }
}

/// The references that an order can have had.
pub fn references<'a>(
    rules: &'a Rules,
    merchant: MerchantId,
    order: &'a OrderId,
) -> impl Iterator<Item = (u32, Reference)> + 'a {
    (1..=rules.attempts_max.max(ATTEMPTS_LEAST)).flat_map(move |attempt| {
        let derive = |salt| Reference::derive(&rules.installation, merchant, order, attempt, salt);
        [(attempt, derive(0)), (attempt, derive(1))]
    })
}

/// An attempt, and what banks said of it.
pub(crate) type Attempted = (u32, Vec<Forgotten>);

/// What banks said of the attempts of an order, in the order of the attempts. Costs nothing where nothing was forgotten.
fn of_order(snapshot: &Snapshot, rules: &Rules, order: &Order) -> Vec<Attempted> {
    if snapshot.forgotten.is_empty() {
        return Vec::new();
    }
    let heard = references(rules, order.merchant, &order.order).filter_map(|(attempt, reference)| {
        // What belongs to a payout by now is not forgotten: of two payouts with one reference the first has it.
        let free = |one: &&Forgotten| !snapshot.references.contains_key(&(one.connector, one.reference));
        let heard: Vec<Forgotten> = snapshot.forgotten.get(&reference)?.iter().filter(free).cloned().collect();
        (!heard.is_empty()).then_some((attempt, heard))
    });
    heard.collect()
}

/// What becomes of a new order that a bank knows; `None` where none does.
pub(crate) fn ordered(
    snapshot: &mut Snapshot,
    rules: &Rules,
    order: &Order,
    now: Timestamp,
) -> Option<Result<Decision, Refusal>> {
    let found = of_order(snapshot, rules, order);
    (!found.is_empty() && !planted(Plant::ForgottenPaidAgain)).then(|| create(snapshot, rules, order, &found, now))
}

/// Records an order that a bank knows from the forgotten time. Limits do not count, because it was accepted then; without
/// money it is not recorded at all, because the merchant's credits of that time are missing too and "failed" would be a
/// lie.
fn create(
    snapshot: &mut Snapshot,
    rules: &Rules,
    order: &Order,
    found: &[Attempted],
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let merchant = snapshot.merchants.get_mut(&order.merchant).ok_or(Refusal::MerchantUnknown)?;
    let payout = new_payout(merchant, rules, order, now);
    let movement = postings::reserve(payout.cost());
    let reserved = merchant.accounts.post(order.merchant, movement, Some(order.id), &order.actor, "", now);
    let row = reserved.map_err(|error| match error {
        PostingError::TooLittle => Refusal::Forgotten,
        PostingError::Overflow | PostingError::WrongBook => Refusal::from(error),
    })?;
    merchant.changed = true;
    snapshot.orders.insert((order.merchant, order.order.clone()), order.id);
    snapshot.payouts.insert(order.id, payout);
    let transition = Transition { created: true, journal: vec![row], ..Transition::default() };
    let mut transition = take_up(snapshot, rules, transition, order.id, found, now)?;
    // It is written once, as new.
    let payout = snapshot.payouts.get_mut(&order.id).ok_or(Refusal::PayoutUnknown)?;
    payout.version = 1;
    transition.payout = Some(payout.clone());
    Ok(Decision::Done(Box::new(transition)))
}

/// What becomes of a payout that the backup knows as queued, and that was started in the forgotten time: it is not
/// started, given up or cancelled. `None` where no bank has spoken of its next attempts.
pub(crate) fn queued(
    snapshot: &mut Snapshot,
    rules: &Rules,
    (merchant, id): (MerchantId, PayoutId),
    now: Timestamp,
) -> Option<Decision> {
    let payout = snapshot.payouts.get(&id).filter(|payout| payout.order.merchant == merchant)?;
    if payout.state != State::Queued || payout.held || planted(Plant::ForgottenPaidAgain) {
        return None;
    }
    let found = spoken_of(snapshot, rules, payout);
    if found.is_empty() {
        return None;
    }
    let done = take_up(snapshot, rules, Transition::default(), id, &found, now);
    Some(done.map_or_else(Decision::Refused, |done| Decision::Done(Box::new(done))))
}

/// What banks said of attempts of a payout that it has not made, as far as is known here.
pub(crate) fn spoken_of(snapshot: &Snapshot, rules: &Rules, payout: &Payout) -> Vec<Attempted> {
    let mut found = of_order(snapshot, rules, &payout.order);
    found.retain(|(attempt, _)| *attempt > payout.attempts);
    found
}

/// Looks for a payout of which no start would look: one that is queued and held is at the bank; one that has ended without
/// being paid, or whose last attempt that is known has not, gets the first attempt that was spoken of, and a person is told
/// what the bank has done by it. What is at one bank is held by that, so it neither goes to another nor comes back by itself.
pub(crate) fn recognise(
    snapshot: &mut Snapshot,
    rules: &Rules,
    (merchant, id): (MerchantId, PayoutId),
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let payout = own(&mut snapshot.payouts, merchant, id)?.clone();
    let found = spoken_of(snapshot, rules, &payout);
    let Some((attempt, heard)) = found.first().filter(|_| !planted(Plant::EndedNotRecognised)) else {
        return Ok(Decision::Repeat(Some(Box::new(payout))));
    };
    match payout.state {
        State::Queued => {
            take_up(snapshot, rules, Transition::default(), id, &found, now).map(|done| Decision::Done(Box::new(done)))
        }
        State::Sending | State::Sent | State::Failed | State::Cancelled => {
            let mut transition = Transition::default();
            adopt(snapshot, &mut transition, &payout, payout.rail, (*attempt, heard));
            let payout = own(&mut snapshot.payouts, merchant, id)?;
            (payout.version, payout.updated_at) = (payout.version + 1, now);
            let said = |said: Said| heard.iter().find(|one| one.said == said);
            // What came back, or was refused, has ended at the bank as it has here.
            if said(Said::Returned).is_none() {
                let spoken = said(Said::Spoken).filter(|_| said(Said::Refused).is_none());
                let spoken = spoken.map(|one| (one, Source::SignedCallback, Outcome::Accepted));
                repeat(snapshot, rules, &mut transition, paid(heard).or(spoken), now);
            }
            transition.history =
                Some(recognised(*attempt, "the bank knows it by an attempt that this store has forgotten"));
            transition.payout = snapshot.payouts.get(&id).cloned();
            Ok(Decision::Done(Box::new(transition)))
        }
        State::Paid | State::Reversed => Err(Refusal::NotNow),
    }
}

/// A queued payout is at the bank, by the last attempt that was spoken of, and then what the bank's words make it.
fn take_up(
    snapshot: &mut Snapshot,
    rules: &Rules,
    mut transition: Transition,
    id: PayoutId,
    found: &[Attempted],
    now: Timestamp,
) -> Result<Transition, Refusal> {
    let payout = snapshot.payouts.get_mut(&id).ok_or(Refusal::PayoutUnknown)?;
    // Whose word it is that it was paid; whoever else speaks of it may be another way to the same account.
    let told = |heard: &[Forgotten]| paid(heard).map(|(one, ..)| (one.connector, one.reference));
    let least = |heard: &[Forgotten]| heard.iter().map(|one| (one.connector, one.reference)).min();
    let last = found.last().and_then(|(attempt, heard)| Some((*attempt, told(heard).or_else(|| least(heard))?)));
    let Some((last, (connector, reference))) = last else {
        return Err(Refusal::PayoutUnknown);
    };
    payout.state = State::Sent;
    (payout.attempts, payout.connector, payout.reference) = (last, Some(connector), Some(reference));
    (payout.send_before, payout.next_at, payout.updated_at) = (now.max(payout.send_before.after(1)), Some(now), now);
    payout.version += 1;
    // Which rail it was sent over is forgotten too: the first that it would be sent over.
    let mut rails = payout.rails.for_order(payout.order.rail, payout.order.amount);
    let rail = rails.next().unwrap_or(payout.order.rail);
    payout.rail = rail;
    let payout = payout.clone();
    for (attempt, heard) in found {
        adopt(snapshot, &mut transition, &payout, rail, (*attempt, heard));
    }
    for (_, heard) in found {
        let returned = heard.iter().find(|one| one.said == Said::Returned);
        let returned = returned.map(|one| (one, Source::Statement, Outcome::Reversed));
        repeat(snapshot, rules, &mut transition, paid(heard).into_iter().chain(returned), now);
    }
    let why = "the bank knows it from a time that this store has forgotten; it was not sent again";
    transition.history = Some(recognised(last, why));
    transition.payout = snapshot.payouts.get(&id).cloned();
    Ok(transition)
}

/// Gives a payout the references of an attempt that it has forgotten.
fn adopt(
    snapshot: &mut Snapshot,
    transition: &mut Transition,
    payout: &Payout,
    rail: Rail,
    (attempt, heard): (u32, &[Forgotten]),
) {
    let (merchant, payout) = (payout.order.merchant, payout.order.id);
    for (connector, reference) in heard.iter().map(|one| (one.connector, one.reference)) {
        if snapshot.references.insert((connector, reference), (payout, attempt)).is_none() {
            // The bank has it already: it is no row of a file that is still to be written.
            let way = Way::Call;
            transition.recognised.push(Attempt { connector, reference, merchant, payout, attempt, rail, way });
        }
    }
}

/// A bank's word of then, as it is told again.
type Told<'a> = (&'a Forgotten, Source, Outcome);

/// The word that says that an attempt was paid: a statement's rather than a call's.
fn paid(heard: &[Forgotten]) -> Option<Told<'_>> {
    let said = |said: Said| heard.iter().find(|one| one.said == said);
    let debited = said(Said::Debited).map(|one| (one, Source::Statement, Outcome::Paid));
    debited.or_else(|| said(Said::Paid).map(|one| (one, Source::SignedCallback, Outcome::Paid)))
}

/// Has a payout hear what banks said of it then.
fn repeat<'a>(
    snapshot: &mut Snapshot,
    rules: &Rules,
    transition: &mut Transition,
    told: impl IntoIterator<Item = Told<'a>>,
    now: Timestamp,
) {
    for (one, source, outcome) in told {
        let word = Word { outcome, amount_paise: one.amount_paise, rrn: one.rrn.clone(), why: "".into() };
        // What cannot be posted leaves it at the bank, which is asked.
        if let Ok(Decision::Done(done)) = record(snapshot, rules, one.connector, one.reference, &word, source, now) {
            transition.journal.extend(done.journal);
            transition.callbacks.extend(done.callbacks);
            transition.exception = done.exception.or(transition.exception.take());
        }
    }
}

fn recognised(attempt: u32, why: &str) -> History {
    History { event: format!("Recognised (attempt {attempt})").into(), actor: Actor::System, detail: why.into() }
}
