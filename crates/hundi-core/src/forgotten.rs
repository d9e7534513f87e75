//! Payments of a time that the store has forgotten, because it was restored from a backup.
//!
//! ```text
//! a bank speaks of a reference with our mark that is not known --> it is kept, an exception, and the installation goes on hold
//! after the release a merchant sends the OrderID again         --> its references are derived again and found among them:
//!                                                                  recorded, reserved, and paid as the bank has paid it
//! ```
//!
//! A reference cannot be turned back into an OrderID, but it can be recognised. What is recognised is never sent: the bank's
//! word of then decides, and where it was not final, the bank is asked.

use crate::command::{Attempt, Decision, History, Outcome, Refusal, Rules, Snapshot, Source, Transition, Way, Word};
use crate::command::{new_payout, record};
use crate::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use crate::payout::{Order, State};
use crate::plant::{Plant, planted};
use crate::postings::{self, PostingError};
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
        (Source::Statement, _) => Said::Debited,
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
type Attempted = (u32, Vec<Forgotten>);

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
    let made = payout.attempts;
    let mut found = of_order(snapshot, rules, &payout.order);
    found.retain(|(attempt, _)| *attempt > made);
    if found.is_empty() {
        return None;
    }
    let done = take_up(snapshot, rules, Transition::default(), id, &found, now);
    Some(done.map_or_else(Decision::Refused, |done| Decision::Done(Box::new(done))))
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
    let Some((last, Some(heard))) = found.last().map(|(attempt, heard)| (*attempt, heard.first())) else {
        return Err(Refusal::PayoutUnknown);
    };
    payout.state = State::Sent;
    (payout.attempts, payout.connector, payout.reference) = (last, Some(heard.connector), Some(heard.reference));
    (payout.send_before, payout.next_at, payout.updated_at) = (now.max(payout.send_before.after(1)), Some(now), now);
    payout.version += 1;
    // Which rail it was sent over is forgotten too: the first that it would be sent over.
    let mut rails = payout.rails.for_order(payout.order.rail, payout.order.amount);
    let rail = rails.next().unwrap_or(payout.order.rail);
    payout.rail = rail;
    let merchant = payout.order.merchant;
    for (attempt, heard) in found {
        for (connector, reference) in heard.iter().map(|one| (one.connector, one.reference)) {
            if snapshot.references.insert((connector, reference), (id, *attempt)).is_none() {
                let (payout, attempt) = (id, *attempt);
                // The bank has it already: it is no row of a file that is still to be written.
                let way = Way::Call;
                transition.recognised.push(Attempt { connector, reference, merchant, payout, attempt, rail, way });
            }
        }
    }
    for (_, heard) in found {
        let said = |said: Said| heard.iter().find(|one| one.said == said);
        let paid = said(Said::Debited).map(|one| (one, Source::Statement, Outcome::Paid));
        let paid = paid.or_else(|| said(Said::Paid).map(|one| (one, Source::SignedCallback, Outcome::Paid)));
        let returned = said(Said::Returned).map(|one| (one, Source::Statement, Outcome::Reversed));
        for (one, source, outcome) in paid.into_iter().chain(returned) {
            let word = Word { outcome, amount_paise: one.amount_paise, rrn: one.rrn.clone(), why: "".into() };
            // What cannot be posted leaves it at the bank, which is asked.
            if let Ok(Decision::Done(done)) = record(snapshot, rules, one.connector, one.reference, &word, source, now)
            {
                transition.journal.extend(done.journal);
                transition.callbacks.extend(done.callbacks);
                transition.exception = done.exception.or(transition.exception);
            }
        }
    }
    transition.history = Some(History {
        event: format!("Recognised (attempt {last})").into(),
        actor: Actor::System,
        detail: "the bank knows it from a time that this store has forgotten; it was not sent again".into(),
    });
    transition.payout = snapshot.payouts.get(&id).cloned();
    Ok(transition)
}
