//! The whole product as one function: [`decide`] takes a [`Command`], what the store knows ([`Snapshot`]) and the time,
//! and gives back everything that becomes true by it, as one value.
//!
//! The snapshot is changed as decided, so that the next command of a batch sees the one before it: a batch of N decides
//! what N batches of one decide.

use crate::fees::FeePlan;
use crate::forgotten::{self, Forgotten};
use crate::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use crate::money::{Amount, Balance};
use crate::payout::{Due, Event, ExceptionKind, Fact, Money, News, Order, Payout, Room, Standing, State, Step, step};
use crate::plant::{Plant, planted};
use crate::postings::{self, Accounts, JournalRow, Movement};
use crate::proposal::Proposal;
use crate::rails::{Rail, RailChoice};
use crate::routing::{Carries, LeftOut, left_out, may_start};
use crate::schedule::{DAY, ENQUIRIES, ENQUIRIES_OF_BATCHES, MINUTE, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

mod credit;
mod refusal;
mod two;

pub use credit::{
    Credit, CreditLine, Credited, EXPECTED_DAYS, FileLines, KnownCredit, LineCredited, Read, credit_names, named_alone,
};
pub use refusal::Refusal;

/// Whatever may change money, and the claims and wake-ups around it.
#[derive(Clone, Debug)]
pub enum Command {
    /// A merchant orders a payout. `created_at` of the order is set by the decision.
    CreatePayout(Box<Order>),
    /// A worker claims a queued payout, to send it: the intent, committed before the socket opens.
    Start {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
        /// Over which connector.
        connector: Connector,
        /// Over which rail: the ordered one, or another that the merchant allows.
        rail: Rail,
        /// The references it may use, in order; the second only if the first is taken by another payout.
        references: [Reference; 2],
        /// No byte is written later than so many microseconds from now.
        send_within_us: i64,
        /// If nothing is heard, the bank is asked this long after `send_before`.
        enquire_after_us: i64,
    },
    /// A bank spoke, or fell silent, about one of our references. The one door for facts.
    Record {
        /// Who spoke.
        connector: Connector,
        /// About which reference.
        reference: Reference,
        /// What was said.
        word: Word,
        /// How it reached us.
        source: Source,
    },
    /// A worker claims the enquiry that is due, so that no other process asks too.
    Enquire {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
        /// Until when the claim holds, from now, in microseconds.
        lease_us: i64,
    },
    /// No connector may take a queued payout that is due: all of them are paused, ill or at their limits. It is looked at
    /// again later, the rarer the longer it waits.
    Wait {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
    },
    /// A hold ends, and a bank has spoken of an attempt of this payout that the store has forgotten.
    Recognise {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
    },
    /// The queue time of a payout that was never started has passed.
    Expire {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
    },
    /// The operator cancels a payout that is not at a bank.
    Cancel {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
        /// Who cancels.
        actor: Actor,
    },
    /// A bank credit is booked into a merchant's wallet, once.
    Fund {
        /// Whose wallet.
        merchant: MerchantId,
        /// At which bank the money arrived.
        connector: Connector,
        /// What the bank calls the credit.
        reference: Box<str>,
        /// How much.
        amount: Amount,
        /// Who books it.
        actor: Actor,
    },
    /// A statement tells of a booked credit that belongs to no payout.
    Credit {
        /// What it says.
        line: Box<CreditLine>,
        /// Who reads the statement.
        actor: Actor,
    },
    /// An operator approves what another has proposed: it becomes true with the approval, or neither does.
    Approve {
        /// The proposal's number.
        proposal: i64,
        /// Who approves.
        actor: Actor,
    },
    /// An operator rejects a proposal, or takes back his own.
    Reject {
        /// The proposal's number.
        proposal: i64,
        /// Who rejects.
        actor: Actor,
        /// Why.
        why: Box<str>,
    },
}

/// How a bank's word reached us. It decides what the word may do ([`Source::may`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The answer to our own request, or that there was none.
    Reply {
        /// The `send_before` of the start that sent it. An attempt of which no byte left us is started again under the
        /// same reference, so the reference alone does not say which request is meant.
        send_before: Timestamp,
    },
    /// The answer to our own question.
    Enquiry {
        /// A moment before the question left us. Whoever is stopped between hearing and recording says late what the bank
        /// said early: "not found" is judged by this and not by when it is recorded.
        asked_at: Timestamp,
    },
    /// The bank called us, and proved that it was the bank.
    SignedCallback,
    /// Somebody called us.
    UnsignedCallback,
    /// A booked line of the bank's statement. The bank's own books outrank whatever else it says, so it may move a payout by
    /// itself; what contradicts it still moves nothing.
    Statement,
}

/// What a bank said about a reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// What it comes to.
    pub outcome: Outcome,
    /// The amount that the bank speaks of, where it says one.
    pub amount_paise: Option<i64>,
    /// The bank's own reference (RRN, UTR); empty if it gave none.
    pub rrn: Box<str>,
    /// The bank's reason in words fit for the merchant; empty if there is none.
    pub why: Box<str>,
}

/// What a bank's reply comes to. A connector's pure `outcome` function makes it; it is not an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// No byte of our request left us. Only the [`Source::Reply`] of the start in progress may say so.
    NotWritten,
    /// The bank has the order.
    Accepted,
    /// Time-out, reset, 5xx, garbage, deemed success: nothing is known.
    Silent,
    /// The bank does not know the reference. Final only by the connector's contract.
    NotFound,
    /// The bank paid.
    Paid,
    /// The bank will not pay.
    Refused {
        /// Whether the reason lets another connector try.
        elsewhere: bool,
    },
    /// The bank will not pay over this rail, because the beneficiary's account does not take it; over another one it may.
    /// Where no other rail may be used or can carry the payout, a refusal that lets another connector try.
    RailRefused,
    /// The bank paid and took it back.
    Reversed,
    /// The bank says that it has not executed the order and never will, for no fault of the order's.
    NotExecuted,
}

impl Source {
    /// Whether a word that came this way may move the payout by itself. What may not only leads to an enquiry: an
    /// unsigned callback proves nothing, and what gives money back is confirmed by a question of ours.
    pub const fn may(self, outcome: Outcome) -> bool {
        match self {
            Source::Reply { .. } | Source::Enquiry { .. } => true,
            Source::SignedCallback => matches!(outcome, Outcome::Paid | Outcome::Accepted | Outcome::Silent),
            Source::UnsignedCallback => false,
            // A statement has no other words: a line that is missing proves nothing yet.
            Source::Statement => matches!(outcome, Outcome::Paid | Outcome::Reversed | Outcome::Accepted),
        }
    }
}

/// What the rules need to know about the installation. The same for all commands of a process.
#[derive(Clone, Debug)]
pub struct Rules {
    /// At most so many attempts at a bank for one payout.
    pub attempts_max: u32,
    /// A payout that was never started fails after so many microseconds.
    pub queue_us: i64,
    /// How long the process that accepted a payout holds it, microseconds.
    pub first_lease_us: i64,
    /// The shortest pause after an attempt of which no byte left us, microseconds.
    pub resend_pause_us: i64,
    /// The connectors, in the order in which they are tried.
    pub connectors: Vec<ConnectorRules>,
    /// What the references of this installation are derived from, and marked with.
    pub installation: Box<str>,
    /// Whether a bank that speaks of a reference with our mark that is not known puts the installation on hold.
    pub holds_by_itself: bool,
}

/// What a connector's contract says.
#[derive(Clone, Copy, Debug)]
pub struct ConnectorRules {
    /// Its name.
    pub connector: Connector,
    /// "Not found" is final so many microseconds after `send_before`; `None` where it never is.
    pub not_found_final_us: Option<i64>,
    /// What it can carry.
    pub carries: Carries,
    /// How it is given what it has to pay.
    pub way: Way,
}

/// How a connector is given what it has to pay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// By a call of its own for each attempt.
    Call,
    /// As a row of a file: an attempt is handed over by being written down, in the transaction that starts it.
    File,
}

/// Whether a merchant may pay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MerchantState {
    /// He may.
    Active = 1,
    /// The operator has stopped him.
    Suspended = 2,
}

/// What a merchant wants to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackWish {
    /// He has no callback URL.
    Nothing,
    /// Success, Failure and Reversal.
    Final,
    /// Pending too.
    All,
}

/// A merchant as decisions see him.
#[derive(Clone, Debug)]
pub struct Merchant {
    /// His balances.
    pub accounts: Accounts,
    /// Whether he may pay.
    pub state: MerchantState,
    /// The most for one payout, paise; `None` for no limit.
    pub payout_most_paise: Option<i64>,
    /// The most for all payouts of an Indian day, paise; `None` for no limit.
    pub day_most_paise: Option<i64>,
    /// His prices, in the order of [`crate::rails::RAILS`].
    pub fees: [FeePlan; 4],
    /// Over which rails what he orders may go.
    pub rail_choice: RailChoice,
    /// What he wants to be told.
    pub callbacks: CallbackWish,
    /// The Indian day that `day_paise` counts.
    pub day: i64,
    /// What was accepted on that day and has not failed since, paise.
    pub day_paise: i64,
    /// Whether a command of this batch changed the balances.
    pub changed: bool,
}

/// What the store knows of everything that a batch of commands names.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The merchants.
    pub merchants: BTreeMap<MerchantId, Merchant>,
    /// The payouts.
    pub payouts: BTreeMap<PayoutId, Payout>,
    /// The merchants' OrderIDs.
    pub orders: BTreeMap<(MerchantId, OrderId), PayoutId>,
    /// Our references, and the payout and attempt that each belongs to.
    pub references: BTreeMap<(Connector, Reference), (PayoutId, u32)>,
    /// The bank credits that have funded a wallet, or lie in the house's suspense.
    pub credits: BTreeMap<(Connector, Box<str>), KnownCredit>,
    /// What else banks call credits that are booked, and the references under which they are.
    pub credit_names: BTreeMap<(Connector, Box<str>), BTreeMap<Box<str>, Read>>,
    /// The proposals that are to be approved or rejected.
    pub proposals: BTreeMap<i64, Proposal>,
    /// The exceptions of the payouts that proposals are about, and those that proposals name.
    pub exceptions: BTreeMap<ExceptionKey, KnownException>,
    /// Of the attempts that proposals name, those of which a payment was collected or written off.
    pub borne: BTreeSet<(Connector, Reference)>,
    /// Of the debits that proposals name, those by which a merchant's money was sent back already.
    pub withdrawn: BTreeSet<(Connector, Box<str>)>,
    /// The installation is on hold: it may have forgotten what it has paid (a restored backup), so nothing is started, nothing
    /// new is taken, and nothing expires. What banks say is heard.
    pub on_hold: bool,
    /// What banks have said of references of ours that are not known: of those that the commands may be about.
    pub forgotten: BTreeMap<Reference, Vec<Forgotten>>,
}

/// What an exception is known by: who spoke, about what, and what is wrong.
pub type ExceptionKey = (Connector, Box<str>, ExceptionKind);

/// An exception that is known already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownException {
    /// Whose payout it belongs to, if we know.
    pub payout: Option<(MerchantId, PayoutId)>,
    /// What was said last.
    pub detail: Box<str>,
    /// Whether it waits for a person.
    pub open: bool,
}

/// Everything that becomes true by one command: all of it is written, or none.
#[derive(Clone, Debug, Default)]
pub struct Transition {
    /// The payout as it is now.
    pub payout: Option<Payout>,
    /// Whether the payout is new.
    pub created: bool,
    /// The movements of money, in order.
    pub journal: Vec<JournalRow>,
    /// The attempt that begins.
    pub attempt: Option<Attempt>,
    /// What the merchant is called for.
    pub callbacks: Vec<Callback>,
    /// What the operator must look at.
    pub exception: Option<Exception>,
    /// A line of the payout's history, where something out of the ordinary happened.
    pub history: Option<History>,
    /// The bank credit that was booked. Rare, so it takes no room where there is none.
    pub credit: Option<Box<Credit>>,
    /// What has become of a statement's credit.
    pub line: Option<Box<LineCredited>>,
    /// What becomes true of a proposal. Rare, so it takes no room where there is none.
    pub by_two: Option<Box<ByTwo>>,
    /// What a bank said of a reference of ours that is not known.
    pub forgotten: Option<Forgotten>,
    /// Why the installation goes on hold.
    pub hold: Option<Box<str>>,
    /// The attempts of a forgotten time that a new order turns out to have had.
    pub recognised: Vec<Attempt>,
}

/// What becomes true of a proposal that was approved or rejected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByTwo {
    /// The proposal as it is now.
    pub proposal: Proposal,
    /// The exceptions that need nobody any more.
    pub resolved: Vec<ExceptionKey>,
    /// The credit in suspense that is this merchant's now: at which bank, and under which reference.
    pub identified: Option<(Connector, Box<str>, MerchantId)>,
}

/// A new attempt: which payout a reference belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Over which connector.
    pub connector: Connector,
    /// Under which reference.
    pub reference: Reference,
    /// Whose payout.
    pub merchant: MerchantId,
    /// Which.
    pub payout: PayoutId,
    /// Which try, from 1.
    pub attempt: u32,
    /// Over which rail.
    pub rail: Rail,
    /// How the connector is given it.
    pub way: Way,
}

/// A callback to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callback {
    /// Whose.
    pub merchant: MerchantId,
    /// For which payout.
    pub payout: PayoutId,
    /// Which news of this payout, from 1.
    pub seq: u32,
    /// What it says.
    pub news: News,
    /// The bank's reference at that moment.
    pub rrn: Box<str>,
}

/// Something for the operator. There is at most one of a kind for a reference; what is told again takes the place of what
/// was told before, and is open again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    /// Who spoke.
    pub connector: Connector,
    /// About which reference.
    pub reference: Reference,
    /// What is wrong.
    pub kind: ExceptionKind,
    /// Whose payout it belongs to, if we know.
    pub payout: Option<(MerchantId, PayoutId)>,
    /// What was said, in words without secrets.
    pub detail: Box<str>,
}

/// A line of a payout's history; its number is the payout's version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// What happened.
    pub event: Box<str>,
    /// Who caused it.
    pub actor: Actor,
    /// More of it, in words without secrets.
    pub detail: Box<str>,
}

/// What comes of a command.
#[derive(Clone, Debug)]
pub enum Decision {
    /// This becomes true.
    Done(Box<Transition>),
    /// It was so already; here is the payout as it is, where there is one.
    Repeat(Option<Box<Payout>>),
    /// No.
    Refused(Refusal),
}

/// Decides one command and changes the snapshot accordingly.
pub fn decide(snapshot: &mut Snapshot, rules: &Rules, command: &Command, now: Timestamp) -> Decision {
    let decision = judge(snapshot, rules, command, now);
    if let Decision::Done(transition) = &decision
        && let Some(exception) = &transition.exception
    {
        note(snapshot, exception);
    }
    decision
}

fn judge(snapshot: &mut Snapshot, rules: &Rules, command: &Command, now: Timestamp) -> Decision {
    let decided = match command {
        Command::CreatePayout(order) => create(snapshot, rules, order, now),
        Command::Start { merchant, payout, connector, rail, references, send_within_us, enquire_after_us } => {
            if snapshot.on_hold && !planted(Plant::StartsOnHold) {
                return postpone(snapshot, rules, *merchant, *payout, now);
            }
            if let Some(known) = forgotten::queued(snapshot, rules, (*merchant, *payout), now) {
                return known;
            }
            let Some(reference) = free_reference(snapshot, *connector, *references, *payout) else {
                return Decision::Refused(Refusal::ReferenceTaken);
            };
            if snapshot.payouts.get(payout).is_some_and(|payout| !may_start(rules, payout, (*connector, *rail))) {
                return Decision::Refused(Refusal::NotNow);
            }
            let change = Change::of(Event::Start, &Actor::System, "");
            apply(snapshot, rules, *merchant, *payout, &change, now).map(|mut done| {
                if let (Decision::Done(transition), Some(payout)) = (&mut done, snapshot.payouts.get_mut(payout)) {
                    payout.attempts += 1;
                    payout.connector = Some(*connector);
                    payout.rail = *rail;
                    payout.reference = Some(reference);
                    payout.enquiries = 0;
                    payout.rrn = "".into();
                    // It names the start, so no two of a payout may have the same, whatever the clock does.
                    payout.send_before = now.after(*send_within_us).max(payout.send_before.after(1));
                    payout.next_at = Some(payout.send_before.after(*enquire_after_us));
                    let attempt = payout.attempts;
                    snapshot.references.insert((*connector, reference), (payout.order.id, attempt));
                    let known = rules.connectors.iter().find(|rules| rules.connector == *connector);
                    transition.attempt = Some(Attempt {
                        connector: *connector,
                        reference,
                        merchant: *merchant,
                        payout: payout.order.id,
                        attempt,
                        rail: *rail,
                        way: known.map_or(Way::Call, |rules| rules.way),
                    });
                    transition.payout = Some(payout.clone());
                }
                done
            })
        }
        Command::Record { connector, reference, word, source } => {
            record(snapshot, rules, *connector, *reference, word, *source, now)
        }
        Command::Enquire { merchant, payout, lease_us } => enquire(snapshot, *merchant, *payout, *lease_us, now),
        Command::Expire { merchant, payout } if snapshot.on_hold => {
            return postpone(snapshot, rules, *merchant, *payout, now);
        }
        Command::Wait { merchant, payout } => wait(snapshot, rules, *merchant, *payout, now),
        Command::Expire { merchant, payout } => match snapshot.payouts.get(payout) {
            Some(known) if now < known.queue_until => Err(Refusal::NotNow),
            _ => {
                if let Some(known) = forgotten::queued(snapshot, rules, (*merchant, *payout), now) {
                    return known;
                }
                let change = Change::of(Event::Expire, &Actor::System, "Not sent in time");
                apply(snapshot, rules, *merchant, *payout, &change, now)
            }
        },
        // The bank may have paid it in the time that was forgotten.
        Command::Cancel { .. } if snapshot.on_hold && !planted(Plant::CancelsOnHold) => Err(Refusal::OnHold),
        Command::Cancel { merchant, payout, actor } => {
            if let Some(known) = forgotten::queued(snapshot, rules, (*merchant, *payout), now) {
                return known;
            }
            let change = Change::of(Event::Cancel, actor, "Cancelled by the operator");
            apply(snapshot, rules, *merchant, *payout, &change, now)
        }
        Command::Fund { merchant, connector, reference, amount, actor } => {
            credit::fund(snapshot, (*connector, reference), *merchant, *amount, actor, now)
        }
        Command::Recognise { merchant, payout } => forgotten::recognise(snapshot, rules, (*merchant, *payout), now),
        Command::Credit { line, actor } => credit::told(snapshot, line, actor, now),
        Command::Approve { proposal, actor } => two::approve(snapshot, rules, *proposal, actor, now),
        Command::Reject { proposal, actor, why } => two::reject(snapshot, *proposal, actor, why, now),
    };
    decided.unwrap_or_else(Decision::Refused)
}

/// Lets the commands after this one know of an exception, as they would if it had been stored.
fn note(snapshot: &mut Snapshot, exception: &Exception) {
    let key = (exception.connector, exception.reference.as_str().into(), exception.kind);
    let known = KnownException { payout: exception.payout, detail: exception.detail.clone(), open: true };
    snapshot.exceptions.insert(key, known);
}

/// How soon a queued payout is looked at again while the installation is on hold.
const ON_HOLD: i64 = MINUTE;

/// Puts off a queued payout while the installation is on hold. A refusal would leave it due, in the way of all enquiries.
fn postpone(snapshot: &mut Snapshot, rules: &Rules, merchant: MerchantId, id: PayoutId, now: Timestamp) -> Decision {
    match own(&mut snapshot.payouts, merchant, id) {
        Ok(payout) if payout.state == State::Queued && !payout.held => {
            payout.next_at = Some(now.after(ON_HOLD));
            // The bank may have paid it in the time that was forgotten: it must be sent again, under the same reference, and
            // not given up by age, as soon as the hold ends.
            payout.queue_until = payout.queue_until.max(now.after(rules.queue_us));
            payout.version += 1;
            Decision::Done(Box::new(Transition { payout: Some(payout.clone()), ..Transition::default() }))
        }
        Ok(_) => Decision::Refused(Refusal::NotNow),
        Err(refusal) => Decision::Refused(refusal),
    }
}

/// A new order, in the order of refusal of WIRE 6.
fn create(snapshot: &mut Snapshot, rules: &Rules, order: &Order, now: Timestamp) -> Result<Decision, Refusal> {
    if let Some(known) = snapshot.orders.get(&(order.merchant, order.order.clone()))
        && !planted(Plant::SelectThenInsert)
        && !(planted(Plant::KeyWithALifetime)
            && snapshot.payouts.get(known).is_some_and(|known| now > known.order.created_at.after(DAY)))
    {
        let known = snapshot.payouts.get(known).ok_or(Refusal::PayoutUnknown)?;
        if known.order.fingerprint != order.fingerprint {
            return Err(Refusal::OrderReused);
        }
        return Ok(Decision::Repeat(Some(Box::new(known.clone()))));
    }
    if snapshot.on_hold {
        return Err(Refusal::OnHold);
    }
    if let Some(recognised) = forgotten::ordered(snapshot, rules, order, now) {
        return recognised;
    }
    let merchant = snapshot.merchants.get_mut(&order.merchant).ok_or(Refusal::MerchantUnknown)?;
    let mut payout = new_payout(merchant, rules, order, now);
    let mut transition = Transition { created: true, ..Transition::default() };
    match reserve(merchant, &payout, now) {
        Ok(row) => transition.journal.push(row),
        Err(Refusal::Overflow) => return Err(Refusal::Overflow),
        Err(refusal) => {
            payout.state = State::Failed;
            payout.next_at = None;
            payout.reason = refusal.as_str().into();
        }
    }
    snapshot.orders.insert((order.merchant, order.order.clone()), order.id);
    snapshot.payouts.insert(order.id, payout.clone());
    transition.payout = Some(payout);
    Ok(Decision::Done(Box::new(transition)))
}

/// A payout that has just been ordered, priced by the merchant's plan.
pub(crate) fn new_payout(merchant: &Merchant, rules: &Rules, order: &Order, now: Timestamp) -> Payout {
    let fee = merchant.fees[order.rail as usize].fee(order.amount);
    let choice = if planted(Plant::AnyRail) { RailChoice::Auto } else { merchant.rail_choice };
    Payout {
        order: Order { created_at: now, ..order.clone() },
        fee_paise: fee.fee_paise,
        gst_paise: fee.gst_paise,
        state: State::Queued,
        held: false,
        attempts: 0,
        connector: None,
        reference: None,
        paid_attempt: None,
        refused_by: Vec::new(),
        rails: choice.rails(order.rail),
        rail: order.rail,
        send_before: Timestamp(0),
        enquiries: 0,
        next_at: Some(now.after(rules.first_lease_us)),
        queue_until: now.after(rules.queue_us),
        rrn: "".into(),
        reason: "".into(),
        updated_at: now,
        news: 0,
        version: 1,
    }
}

/// The merchant's state, then his limits, then his balance; if all allow it, the money is set aside.
fn reserve(merchant: &mut Merchant, payout: &Payout, now: Timestamp) -> Result<JournalRow, Refusal> {
    let paise = payout.order.amount.paise();
    if merchant.state == MerchantState::Suspended {
        return Err(Refusal::MerchantSuspended);
    }
    if merchant.payout_most_paise.is_some_and(|most| paise > most) {
        return Err(Refusal::OverPayoutLimit);
    }
    // A clock that steps back over midnight must not begin the day's limit anew.
    let today = now.ist_day().max(merchant.day);
    let used = if merchant.day == today { merchant.day_paise } else { 0 };
    let used = used.checked_add(paise).ok_or(Refusal::Overflow)?;
    if merchant.day_most_paise.is_some_and(|most| used > most) {
        return Err(Refusal::OverDayLimit);
    }
    let mut cost = payout.cost();
    if planted(Plant::FeeNotReserved) {
        (cost.fee_paise, cost.gst_paise) = (0, 0);
    }
    let movement = postings::reserve(cost);
    let order = &payout.order;
    let row = merchant.accounts.post(order.merchant, movement, Some(order.id), &order.actor, "", now)?;
    (merchant.day, merchant.day_paise, merchant.changed) = (today, used, true);
    Ok(row)
}

fn free_reference(
    snapshot: &Snapshot,
    connector: Connector,
    references: [Reference; 2],
    payout: PayoutId,
) -> Option<Reference> {
    references.into_iter().find(|reference| match snapshot.references.get(&(connector, *reference)) {
        None => true,
        // Ours already: an attempt of which no byte had left is made again under the same reference.
        Some((owner, attempt)) => {
            *owner == payout && snapshot.payouts.get(&payout).is_some_and(|payout| *attempt == payout.attempts + 1)
        }
    })
}

fn enquire(
    snapshot: &mut Snapshot,
    merchant: MerchantId,
    payout: PayoutId,
    lease_us: i64,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let payout = own(&mut snapshot.payouts, merchant, payout)?;
    let due = payout.next_at.is_some_and(|at| at <= now);
    if !due || payout.reference.is_none() || payout.state == State::Queued {
        return Err(Refusal::NotNow);
    }
    if payout.next_at == Some(CALLED) {
        // What callers make us ask must not use up the schedule.
        payout.enquiries = payout.enquiries.saturating_sub(1);
    }
    payout.next_at = Some(now.after(lease_us));
    payout.version += 1;
    Ok(Decision::Done(Box::new(Transition { payout: Some(payout.clone()), ..Transition::default() })))
}

fn wait(
    snapshot: &mut Snapshot,
    rules: &Rules,
    merchant: MerchantId,
    payout: PayoutId,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let payout = own(&mut snapshot.payouts, merchant, payout)?;
    if payout.state != State::Queued || payout.held || payout.next_at.is_none_or(|at| now < at) {
        return Err(Refusal::NotNow);
    }
    payout.next_at = Some(after_pause(payout, rules, now));
    payout.version += 1;
    Ok(Decision::Done(Box::new(Transition { payout: Some(payout.clone()), ..Transition::default() })))
}

/// The one door for facts.
pub(crate) fn record(
    snapshot: &mut Snapshot,
    rules: &Rules,
    connector: Connector,
    reference: Reference,
    word: &Word,
    source: Source,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let Some((id, attempt)) = snapshot.references.get(&(connector, reference)).copied() else {
        if source == Source::UnsignedCallback && !planted(Plant::UnsignedHold) {
            // Anybody can make references up; only the bank's own word is worth a person's time.
            return Err(Refusal::PayoutUnknown);
        }
        let detail = format!("{:?}, {} paise", word.outcome, word.amount_paise.unwrap_or(0));
        let exception = Exception {
            connector,
            reference,
            kind: ExceptionKind::UnknownReference,
            payout: None,
            detail: detail.into(),
        };
        let mut transition = Transition { exception: Some(exception), ..Transition::default() };
        if reference.is_of(&rules.installation) {
            forgotten::hear(snapshot, rules, &mut transition, (connector, reference), word, source);
        }
        return Ok(Decision::Done(Box::new(transition)));
    };
    let payout = snapshot.payouts.get_mut(&id).ok_or(Refusal::PayoutUnknown)?;
    let standing = payout.standing(attempt, connector);
    let may = source.may(word.outcome) || planted(Plant::LastWriterWins) && source == Source::SignedCallback;
    if !may {
        // Ask the bank ourselves, at once. Only the last attempt can be asked about; an older one comes up by statement.
        let asked_soon = payout.next_at == Some(CALLED);
        if asked_soon || payout.state == State::Queued || payout.reference != Some(reference) {
            return Ok(Decision::Repeat(Some(Box::new(payout.clone()))));
        }
        payout.next_at = Some(CALLED);
        payout.version += 1;
        return Ok(Decision::Done(Box::new(Transition { payout: Some(payout.clone()), ..Transition::default() })));
    }
    if word.outcome == Outcome::NotWritten && source != (Source::Reply { send_before: payout.send_before }) {
        // Another process may have started it again under the same reference, and that request is on its way: whoever
        // was paused, or writes twice, speaks of a request that is over. (A question that never left says nothing.)
        return Ok(Decision::Repeat(Some(Box::new(payout.clone()))));
    }
    let tolerance = if planted(Plant::AmountTolerance) { 100 } else { 0 };
    let same_amount = word.amount_paise.is_none_or(|paise| paise.abs_diff(payout.order.amount.paise()) <= tolerance);
    let final_at =
        rules.connectors.iter().find(|rules| rules.connector == connector).and_then(|rules| rules.not_found_final_us);
    let fact = match word.outcome {
        Outcome::NotWritten => Fact::NotWritten,
        Outcome::Accepted if planted(Plant::FailsByAge) && now > payout.send_before.after(DAY) => Fact::Refused,
        Outcome::Accepted => Fact::Accepted,
        Outcome::Silent => Fact::Silent,
        Outcome::NotFound => match (final_at, source) {
            (Some(_), _) if standing == Standing::Open && planted(Plant::NotFoundAsVoid) => Fact::NotExecuted,
            (Some(after), Source::Enquiry { asked_at }) if standing == Standing::Open => {
                let asked_at = if planted(Plant::NotFoundJudgedLate) { now } else { asked_at };
                // Asked in what is the future now: by a clock that was set back since, and nobody knows when.
                let known = asked_at <= now;
                if known && asked_at > payout.send_before.after(after) { Fact::NotExecuted } else { Fact::Silent }
            }
            _ => Fact::Silent,
        },
        Outcome::NotExecuted if standing == Standing::Open => Fact::NotExecuted,
        Outcome::Paid | Outcome::Reversed if !same_amount => Fact::PaidOther,
        Outcome::Paid => Fact::Paid,
        // About an attempt that is closed it is one refusal more.
        Outcome::Refused { .. } | Outcome::NotExecuted => Fact::Refused,
        Outcome::RailRefused => Fact::RailRefused,
        Outcome::Reversed => Fact::Reversed,
    };
    let merchant = payout.order.merchant;
    let change = Change {
        event: Event::Fact(standing, fact),
        attempt,
        actor: Actor::Connector(connector),
        detail: &word.why,
        word: Some((word, connector, reference)),
        asked: matches!(source, Source::Reply { .. } | Source::Enquiry { .. }),
        memo: "",
        still_told: false,
    };
    let was = payout.state;
    let mut decision = apply(snapshot, rules, merchant, id, &change, now)?;
    if let (Source::Statement, Decision::Done(transition)) = (source, &mut decision) {
        differs_from_statement(transition, was, (connector, reference), word);
    }
    Ok(decision)
}

/// What a statement says is told to the operator under names of its own.
fn differs_from_statement(
    transition: &mut Transition,
    was: State,
    (connector, reference): (Connector, Reference),
    word: &Word,
) {
    let Some(payout) = &transition.payout else { return };
    let kind = match (&transition.exception, word.outcome) {
        (Some(Exception { kind: ExceptionKind::PaidUnexpectedly, .. }), Outcome::Paid) => ExceptionKind::PaidThereOnly,
        // The money is back and the merchant has it, but the bank had told nobody.
        (None, Outcome::Reversed) if was != State::Reversed && payout.state == State::Reversed => {
            ExceptionKind::ReversalUnannounced
        }
        _ => return,
    };
    let detail = format!("{:?} by statement while {}", word.outcome, was.name());
    transition.exception = Some(Exception {
        connector,
        reference,
        kind,
        payout: Some((payout.order.merchant, payout.order.id)),
        detail: detail.into(),
    });
}

/// An event and what comes with it.
struct Change<'a> {
    event: Event,
    /// The attempt that a fact speaks of.
    attempt: u32,
    actor: Actor,
    detail: &'a str,
    word: Option<(&'a Word, Connector, Reference)>,
    /// Whether it answers a question of ours. Only these count in the enquiry schedule: what a bank calls out by itself,
    /// however often, must not use it up.
    asked: bool,
    /// What the journal is told, such as the proposal that it comes from.
    memo: &'a str,
    /// Whether other exceptions of the payout are open, which hold it on.
    still_told: bool,
}

impl<'a> Change<'a> {
    /// A change that is not a bank's word.
    fn of(event: Event, actor: &Actor, detail: &'a str) -> Change<'a> {
        let actor = actor.clone();
        Change { event, attempt: 0, actor, detail, word: None, asked: false, memo: "", still_told: false }
    }

    /// Whether a bank spoke, and not two people in its place.
    fn is_fact(&self) -> bool {
        matches!(self.event, Event::Fact(..))
    }
}

/// Asks the table and carries out its answer on the snapshot.
fn apply(
    snapshot: &mut Snapshot,
    rules: &Rules,
    merchant_id: MerchantId,
    id: PayoutId,
    change: &Change<'_>,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let payout = own(&mut snapshot.payouts, merchant_id, id)?;
    let merchant = snapshot.merchants.get_mut(&merchant_id).ok_or(Refusal::MerchantUnknown)?;
    let refused = match (change.event, change.word) {
        (Event::Fact(Standing::Open, Fact::Refused | Fact::RailRefused), Some((word, connector, _))) => {
            left_out(rules, payout, word.outcome, connector)
        }
        _ => None,
    };
    let room = Room {
        attempts: payout.attempts < rules.attempts_max,
        connector: refused.is_some_and(|refused| refused.lets_others_try(rules, payout)),
    };
    let late = planted(Plant::CheckThenCredit) && payout.state == State::Reversed;
    let cancels = planted(Plant::CancelAtTheBank) && change.event == Event::Cancel && payout.state == State::Sending;
    let state = if late { State::Paid } else { payout.state };
    let state = if cancels { State::Queued } else { state };
    let step = step(state, payout.held, payout.attempts, change.event, room).ok_or(Refusal::NotNow)?;
    // A payout that has ended and is asked about again (after a callback) must not stay due for ever, and a bank may give
    // its own reference late.
    let quiet = payout.state.is_open() || payout.next_at.is_none();
    let first_rrn = payout.rrn.is_empty() && change.word.is_some_and(|(word, ..)| !word.rrn.is_empty());
    let told_late = first_rrn && matches!(change.event, Event::Fact(Standing::Paying, _));
    if step.is_still() && quiet && !told_late {
        return Ok(Decision::Repeat(Some(Box::new(payout.clone()))));
    }
    let mut transition =
        Transition { journal: move_money(merchant, payout, &step, change, now)?, ..Transition::default() };
    match refused {
        Some(LeftOut::Connector(connector)) => payout.refused_by.push(connector),
        Some(LeftOut::Rail(rail)) => payout.rails = payout.rails.without(rail),
        None => {}
    }
    let was = payout.state;
    payout.state = step.next;
    let held_on = payout.held && (change.still_told || !step.frees);
    payout.held = held_on || step.holds;
    payout.version += 1;
    payout.updated_at = now;
    let exhausted = set_due(payout, was, &step, rules, change, now);
    if let Some((word, _, _)) = change.word
        && !word.rrn.is_empty()
        && !step.holds
        && (step.money != Money::Still || !matches!(change.event, Event::Fact(Standing::Closed | Standing::Unsent, _)))
    {
        payout.rrn = word.rrn.clone();
    }
    match payout.state {
        State::Paid => payout.paid_attempt = payout.paid_attempt.or(Some(change.attempt)),
        State::Reversed if was != State::Reversed => {
            payout.paid_attempt = payout.paid_attempt.or(Some(change.attempt));
            payout.reason = non_empty(change.detail, "Returned by the beneficiary's bank");
        }
        // What two people say among themselves is not for the merchant.
        State::Failed if change.event == Event::DeclareFailed => payout.reason = "Not executed by the bank".into(),
        State::Failed | State::Cancelled if was.is_open() => {
            payout.reason = non_empty(change.detail, "Not executed by the bank")
        }
        State::Failed | State::Cancelled if change.event == Event::Borne => {
            payout.paid_attempt = Some(change.attempt);
        }
        _ => {}
    }
    if let Event::Fact(Standing::Open, Fact::NotWritten) = change.event
        && !step.holds
    {
        // Nothing left us, so it was no attempt: the next one has its number and its reference.
        payout.attempts = payout.attempts.saturating_sub(1);
    }
    for news in step.news {
        tell(&mut transition, payout, merchant.callbacks, *news);
    }
    if let Some((_, connector, reference)) = change.word {
        let kind = step.exception.or(exhausted.then_some(ExceptionKind::NoAnswer));
        transition.exception = kind.map(|kind| Exception {
            connector,
            reference,
            kind,
            payout: Some((merchant_id, id)),
            detail: told(change, was).into(),
        });
    }
    transition.history = history(change, &step);
    transition.payout = Some(payout.clone());
    Ok(Decision::Done(Box::new(transition)))
}

/// What the operator is told of a fact: enough to tell it from another one of the same kind.
fn told(change: &Change<'_>, was: State) -> String {
    let paise = match (change.event, change.word) {
        (Event::Fact(_, Fact::PaidOther), Some((word, ..))) => word.amount_paise,
        _ => None,
    };
    let amount = paise.map_or_else(String::new, |paise| format!(" {}", Balance::from_paise(paise)));
    format!("{:?}{amount} while {}; {}", change.event, was.name(), change.detail)
}

pub(crate) fn own(
    payouts: &mut BTreeMap<PayoutId, Payout>,
    merchant: MerchantId,
    id: PayoutId,
) -> Result<&mut Payout, Refusal> {
    payouts.get_mut(&id).filter(|payout| payout.order.merchant == merchant).ok_or(Refusal::PayoutUnknown)
}

/// Posts what the step moves. The day's total gets back what did not go out.
fn move_money(
    merchant: &mut Merchant,
    payout: &Payout,
    step: &Step,
    change: &Change<'_>,
    now: Timestamp,
) -> Result<Vec<JournalRow>, Refusal> {
    let cost = payout.cost();
    let bank = change.word.map(|(_, connector, _)| connector);
    let movements: [Option<Movement>; 2] = match (step.money, bank) {
        (Money::Still, _) => return Ok(Vec::new()),
        (Money::Release, _) => [Some(postings::release(cost)), None],
        (Money::Settle, Some(bank)) => [Some(postings::settle(cost, bank)), None],
        (Money::Restore, Some(bank)) => [Some(postings::restore(cost, bank)), None],
        (Money::SettleThenRestore, Some(bank)) => {
            [Some(postings::settle(cost, bank)), Some(postings::restore(cost, bank))]
        }
        // Only a bank's word, or what two people say in its place, settles or restores, and it names the bank.
        (Money::Settle | Money::Restore | Money::SettleThenRestore, None) => return Err(Refusal::NotNow),
    };
    let mut rows = Vec::with_capacity(2);
    // Both movements or none.
    let mut accounts = merchant.accounts.clone();
    for movement in movements.into_iter().flatten() {
        let order = &payout.order;
        rows.push(accounts.post(order.merchant, movement, Some(order.id), &change.actor, change.memo, now)?);
    }
    merchant.accounts = accounts;
    merchant.changed = true;
    if step.money == Money::Release && merchant.day == payout.order.created_at.ist_day() {
        merchant.day_paise = (merchant.day_paise - payout.order.amount.paise()).max(0);
    }
    Ok(rows)
}

/// When a payout is due of which somebody has called, before everything else. It is a time of its own because a word that
/// was on its way meanwhile must not end the wish to ask: the bank may have said it before it reversed.
pub const CALLED: Timestamp = Timestamp(0);

/// When an open payout is due that waits for the operator: never by itself. A time and not nothing, so that whatever is
/// open has one, and is found and counted by it.
pub const WAITING: Timestamp = Timestamp(i64::MAX);

/// The longest pause after an attempt of which no byte left us.
const RESEND_PAUSE_MAX: i64 = 10 * MINUTE;

/// Sets when the payout is due next; true if the enquiry schedule has just come to its end.
fn set_due(payout: &mut Payout, was: State, step: &Step, rules: &Rules, change: &Change<'_>, now: Timestamp) -> bool {
    if matches!(change.event, Event::Borne | Event::Resolved) && !was.is_open() {
        // It had ended; whether it is asked about is another matter.
        return false;
    }
    let at_bank = matches!(payout.state, State::Sending | State::Sent);
    let silent = matches!(change.event, Event::Fact(_, Fact::Silent));
    if payout.next_at == Some(CALLED) && change.word.is_some() && payout.state != State::Queued {
        // This answer may be older than the call that made the payout due: it is asked about all the same.
        payout.enquiries += u32::from(change.asked && at_bank);
        return false;
    }
    let called = change.is_fact() && !change.asked && !planted(Plant::CallEndsTheQuestion);
    let queued = was == State::Queued || payout.state == State::Queued;
    if called && !queued && payout.next_at.is_some_and(|at| at != WAITING) {
        // A question of ours may be under way, and its answer, which the bank gave after it had called, may be lost with
        // whoever asked. What a call says moves the payout, but does not end the wish to ask.
        return false;
    }
    if planted(Plant::ForgottenPayout) && silent {
        payout.next_at = None;
        return false;
    }
    let asks_on = at_bank && step.holds || !payout.state.is_open() && silent && payout.next_at.is_some();
    match step.due {
        Due::AtOnce | Due::AfterPause if payout.held => payout.next_at = Some(WAITING),
        Due::AtOnce => payout.next_at = Some(now),
        Due::AfterPause => payout.next_at = Some(after_pause(payout, rules, now)),
        Due::Unchanged if payout.state == State::Queued && payout.held => payout.next_at = Some(WAITING),
        Due::Enquiry | Due::Unchanged if step.due == Due::Enquiry || asks_on => {
            let accepted = matches!(change.event, Event::Fact(_, Fact::Accepted));
            let from = if accepted && !payout.rail.rules().instant { ENQUIRIES_OF_BATCHES } else { 0 };
            let pause = usize::try_from(payout.enquiries).ok().and_then(|index| ENQUIRIES.get(index.max(from)));
            let ended = if payout.state.is_open() { Some(WAITING) } else { None };
            payout.next_at = pause.map_or(ended, |pause| Some(now.after(*pause)));
            payout.enquiries += u32::from(change.asked);
            return pause.is_none() && at_bank;
        }
        Due::Unchanged if payout.state.is_open() => {}
        Due::Never | Due::Unchanged | Due::Enquiry => payout.next_at = None,
    }
    false
}

/// The longer a bank cannot be reached, the rarer it is tried: an outage must not become a storm of writes.
fn after_pause(payout: &Payout, rules: &Rules, now: Timestamp) -> Timestamp {
    let waited = now.0.saturating_sub(payout.order.created_at.0) / 16;
    now.after(waited.clamp(rules.resend_pause_us, RESEND_PAUSE_MAX.max(rules.resend_pause_us)))
}

fn tell(transition: &mut Transition, payout: &mut Payout, wish: CallbackWish, news: News) {
    let wanted = match wish {
        CallbackWish::Nothing => false,
        CallbackWish::Final => news != News::Pending,
        CallbackWish::All => true,
    };
    if wanted && !(planted(Plant::CallbackNotWritten) && news == News::Failure) {
        payout.news += 1;
        transition.callbacks.push(Callback {
            merchant: payout.order.merchant,
            payout: payout.order.id,
            seq: payout.news,
            news,
            rrn: payout.rrn.clone(),
        });
    }
}

/// What the ordinary columns of a payout do not already tell becomes a line of history.
fn history(change: &Change<'_>, step: &Step) -> Option<History> {
    let ordinary = matches!(
        change.event,
        Event::Start | Event::Fact(Standing::Open, Fact::Accepted | Fact::Paid | Fact::NotWritten)
    );
    if ordinary || (step.is_still() && step.exception.is_none()) {
        return None;
    }
    let event = match change.event {
        Event::Fact(standing, fact) => format!("{fact:?} ({standing:?} attempt {})", change.attempt),
        event => format!("{event:?}"),
    };
    Some(History { event: event.into(), actor: change.actor.clone(), detail: change.detail.into() })
}

fn non_empty(text: &str, otherwise: &str) -> Box<str> {
    if text.is_empty() { otherwise.into() } else { text.into() }
}
