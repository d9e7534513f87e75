//! What two people say: one has proposed it, another approves it, and it becomes true by the rules of that moment.
//!
//! A payout still becomes only what [`crate::payout::step`] says; the house's book is moved from here alone.

use super::{
    ByTwo, Change, Decision, ExceptionKey, KnownCredit, KnownException, Merchant, Outcome, Refusal, Rules, Snapshot,
    Transition, Word, apply, credit, own,
};
use crate::forgotten;
use crate::ids::{Actor, Connector, MerchantId, PayoutId};
use crate::money::Amount;
use crate::payout::{Event, Payout, State};
use crate::plant::{Plant, planted};
use crate::postings::{self, Account, Accounts, JournalRow, Movement};
use crate::proposal::{AttemptAt, Proposal, ProposalState, Side, What, person};
use crate::routing::next_connector;
use crate::schedule::Timestamp;

/// Who says something, of which proposal, and when.
struct Saying<'a> {
    actor: &'a Actor,
    /// Links the rows of both books to the proposal.
    memo: String,
    /// For the payout's history.
    detail: String,
    now: Timestamp,
}

/// Approves a proposal: all that it says becomes true, or it stays proposed.
pub(super) fn approve(
    snapshot: &mut Snapshot,
    rules: &Rules,
    id: i64,
    actor: &Actor,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let proposal = snapshot.proposals.get(&id).cloned().ok_or(Refusal::ProposalUnknown)?;
    let name = named(actor)?;
    if proposal.state != ProposalState::Proposed && !planted(Plant::ApprovedTwice) {
        // Whoever did not hear the answer asks again.
        let same = proposal.state == ProposalState::Approved && person(&proposal.decided_by) == person(name);
        return if same { Ok(Decision::Repeat(None)) } else { Err(Refusal::ProposalEnded) };
    }
    if now >= proposal.expires_at {
        return Err(Refusal::ProposalExpired);
    }
    if person(&proposal.proposed_by) == person(name) && !planted(Plant::OwnApproval) {
        return Err(Refusal::OwnProposal);
    }
    if snapshot.on_hold && proposal.what.waits_on_hold() {
        return Err(Refusal::OnHold);
    }
    let memo = format!("proposal {id}");
    let detail = format!("{memo} of {}: {}", proposal.proposed_by, proposal.reason);
    let mut said = carry_out(snapshot, rules, &proposal.what, &Saying { actor, memo, detail, now })?;
    for key in &said.resolved {
        if let Some(known) = snapshot.exceptions.get_mut(key) {
            known.open = false;
        }
    }
    let proposal = end(snapshot, proposal, ProposalState::Approved, name, "", now);
    said.transition.by_two = Some(Box::new(ByTwo { proposal, resolved: said.resolved, identified: said.identified }));
    Ok(Decision::Done(Box::new(said.transition)))
}

/// Rejects a proposal. Its proposer may too: he takes it back.
pub(super) fn reject(
    snapshot: &mut Snapshot,
    id: i64,
    actor: &Actor,
    why: &str,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let proposal = snapshot.proposals.get(&id).cloned().ok_or(Refusal::ProposalUnknown)?;
    let name = named(actor)?;
    if proposal.state != ProposalState::Proposed {
        return Err(Refusal::ProposalEnded);
    }
    let proposal = end(snapshot, proposal, ProposalState::Rejected, name, why, now);
    let by_two = Box::new(ByTwo { proposal, resolved: Vec::new(), identified: None });
    Ok(Decision::Done(Box::new(Transition { by_two: Some(by_two), ..Transition::default() })))
}

/// The operator's name, if it is one that tells people apart.
fn named(actor: &Actor) -> Result<&str, Refusal> {
    match actor {
        Actor::Operator(name) if person(name).is_some() => Ok(name),
        Actor::Operator(_) | Actor::Token(_) | Actor::Connector(_) | Actor::System => Err(Refusal::OperatorUnnamed),
    }
}

fn end(
    snapshot: &mut Snapshot,
    proposal: Proposal,
    state: ProposalState,
    by: &str,
    why: &str,
    now: Timestamp,
) -> Proposal {
    let ended = Proposal { state, decided_by: by.into(), decided_at: Some(now), decided_why: why.into(), ..proposal };
    snapshot.proposals.insert(ended.id, ended.clone());
    ended
}

/// What becomes true beside the proposal itself.
#[derive(Default)]
struct Said {
    transition: Transition,
    resolved: Vec<ExceptionKey>,
    identified: Option<(Connector, Box<str>, MerchantId)>,
}

/// Each of these changes everything that it says in the snapshot, or nothing.
fn carry_out(snapshot: &mut Snapshot, rules: &Rules, what: &What, by: &Saying<'_>) -> Result<Said, Refusal> {
    match what {
        What::DeclarePaid { at, bank_reference } => declare_paid(snapshot, rules, at, bank_reference, by),
        What::DeclareFailed { merchant, payout } => declare_failed(snapshot, rules, (*merchant, *payout), by),
        What::Resume { merchant, payout } => resume(snapshot, rules, (*merchant, *payout), by),
        What::Collect { at } => bear(snapshot, rules, at, false, by),
        What::WriteOff { at } => bear(snapshot, rules, at, true, by),
        What::Withdraw { merchant, connector, bank_reference, amount } => {
            withdraw(snapshot, *merchant, (*connector, bank_reference), *amount, by)
        }
        What::Adjust { from, to, through, amount } => adjust(snapshot, *from, *to, *through, *amount, by),
        What::Suspense { connector, bank_reference, amount } => {
            suspense(snapshot, *connector, bank_reference, *amount, by)
        }
        What::Identify { merchant, connector, bank_reference } => {
            identify(snapshot, *merchant, *connector, bank_reference, by)
        }
        What::Resolve { exception, payout, detail } => resolve(snapshot, rules, exception, *payout, detail, by),
    }
}

/// The open exceptions of a payout.
fn open_of(snapshot: &Snapshot, payout: PayoutId) -> impl Iterator<Item = &ExceptionKey> {
    let of = move |known: &KnownException| known.open && known.payout.is_some_and(|(_, id)| id == payout);
    snapshot.exceptions.iter().filter(move |(_, known)| of(known)).map(|(key, _)| key)
}

/// Has a payout become what two people say; `resolves` says which of its open exceptions are answered by it.
fn say(
    snapshot: &mut Snapshot,
    rules: &Rules,
    (merchant, payout): (MerchantId, PayoutId),
    change: Change<'_>,
    resolves: impl Fn(&ExceptionKey) -> bool,
    now: Timestamp,
) -> Result<Said, Refusal> {
    let (resolved, left): (Vec<ExceptionKey>, Vec<ExceptionKey>) =
        open_of(snapshot, payout).cloned().partition(|key| resolves(key));
    let change = Change { still_told: !left.is_empty(), ..change };
    match apply(snapshot, rules, merchant, payout, &change, now)? {
        Decision::Done(transition) => Ok(Said { transition: *transition, resolved, identified: None }),
        Decision::Repeat(_) | Decision::Refused(_) => Err(Refusal::NotNow),
    }
}

/// The attempt's number, if it is the payout's.
fn attempt_of<'a>(snapshot: &'a Snapshot, at: &AttemptAt) -> Result<(&'a Payout, u32), Refusal> {
    let (id, attempt) =
        snapshot.references.get(&(at.connector, at.reference)).copied().ok_or(Refusal::PayoutUnknown)?;
    let payout = snapshot.payouts.get(&id).filter(|payout| id == at.payout && payout.order.merchant == at.merchant);
    payout.map(|payout| (payout, attempt)).ok_or(Refusal::PayoutUnknown)
}

/// Whether an exception is about this attempt and says that it paid what was ordered.
fn is_to_be_borne(key: &ExceptionKey, at: &AttemptAt) -> bool {
    let (connector, reference, kind) = key;
    kind.is_to_be_borne() && *connector == at.connector && **reference == *at.reference.as_str()
}

fn declare_paid(
    snapshot: &mut Snapshot,
    rules: &Rules,
    at: &AttemptAt,
    bank_reference: &str,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    let (payout, attempt) = attempt_of(snapshot, at)?;
    let event = Event::DeclarePaid(payout.standing(attempt, at.connector));
    let word = Word { outcome: Outcome::Paid, amount_paise: None, rrn: bank_reference.into(), why: "".into() };
    let change = Change {
        attempt,
        word: Some((&word, at.connector, at.reference)),
        memo: &by.memo,
        ..Change::of(event, by.actor, &by.detail)
    };
    let answered = |key: &ExceptionKey| !key.2.says_paid() || is_to_be_borne(key, at);
    say(snapshot, rules, (at.merchant, at.payout), change, answered, by.now)
}

fn declare_failed(
    snapshot: &mut Snapshot,
    rules: &Rules,
    (merchant, id): (MerchantId, PayoutId),
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    let payout = own(&mut snapshot.payouts, merchant, id)?;
    // Our own request may still be on its way to the bank.
    if payout.state != State::Queued && by.now <= payout.send_before {
        return Err(Refusal::NotNow);
    }
    let payout = payout.clone();
    if !forgotten::spoken_of(snapshot, rules, &payout).is_empty() && !planted(Plant::EndedNotRecognised) {
        return Err(Refusal::KnownThere);
    }
    not_paid_there(snapshot, id)?;
    let change = Change { memo: &by.memo, ..Change::of(Event::DeclareFailed, by.actor, &by.detail) };
    say(snapshot, rules, (merchant, id), change, |key| !key.2.says_paid(), by.now)
}

/// Refuses while a bank is on record as having paid.
fn not_paid_there(snapshot: &Snapshot, payout: PayoutId) -> Result<(), Refusal> {
    let paid = open_of(snapshot, payout).any(|(_, _, kind)| kind.says_paid());
    if paid && !planted(Plant::DeclaredOverPaid) { Err(Refusal::PaidThere) } else { Ok(()) }
}

fn resume(
    snapshot: &mut Snapshot,
    rules: &Rules,
    (merchant, id): (MerchantId, PayoutId),
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    not_paid_there(snapshot, id)?;
    let payout = own(&mut snapshot.payouts, merchant, id)?;
    if next_connector(rules, payout).is_none() {
        return Err(Refusal::NotNow);
    }
    let change = Change { memo: &by.memo, ..Change::of(Event::Resume, by.actor, &by.detail) };
    let mut said = say(snapshot, rules, (merchant, id), change, |_| true, by.now)?;
    // The time that it was held for does not count, or it would fail by age before anybody can send it.
    let payout = own(&mut snapshot.payouts, merchant, id)?;
    payout.queue_until = payout.queue_until.max(by.now.after(rules.queue_us));
    said.transition.payout = Some(payout.clone());
    Ok(said)
}

/// The bank paid by an attempt that we had closed: the merchant owes it, or the house bears it.
fn bear(
    snapshot: &mut Snapshot,
    rules: &Rules,
    at: &AttemptAt,
    by_the_house: bool,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    let (payout, attempt) = attempt_of(snapshot, at)?;
    let amount = payout.order.amount;
    if payout.paid_attempt == Some(attempt) || snapshot.borne.contains(&(at.connector, at.reference)) {
        return Err(Refusal::BorneAlready);
    }
    if !open_of(snapshot, at.payout).any(|key| is_to_be_borne(key, at)) {
        return Err(Refusal::NotPaidThere);
    }
    let (book, movement) = if by_the_house && !planted(Plant::WriteOffMovesTheMerchant) {
        (MerchantId::HOUSE, postings::write_off(amount, at.connector))
    } else {
        (at.merchant, postings::collect(amount, at.connector))
    };
    let mut accounts = book_of(snapshot, book)?.accounts.clone();
    let row = accounts.post(book, movement, Some(at.payout), by.actor, &by.memo, by.now)?;
    let detail = format!("{} by {}", movement.kind.name(), by.detail);
    let change = Change { attempt, ..Change::of(Event::Borne, by.actor, &detail) };
    let mut said = say(snapshot, rules, (at.merchant, at.payout), change, |key| is_to_be_borne(key, at), by.now)?;
    put(snapshot, book, accounts)?;
    snapshot.borne.insert((at.connector, at.reference));
    said.transition.journal.push(row);
    Ok(said)
}

fn adjust(
    snapshot: &mut Snapshot,
    from: Side,
    to: Side,
    through: Option<Connector>,
    amount: Amount,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    if [from.account, to.account].contains(&Account::Reserved) || from == to {
        return Err(Refusal::AccountsUnfit);
    }
    let houses = [from, to].iter().filter(|side| side.book == MerchantId::HOUSE).count();
    match (through, from.book == to.book) {
        (None, true) => {
            post(snapshot, &[(from.book, postings::adjust(amount, from.account, to.account))], &by.memo, by)
        }
        (Some(bank), false) if houses == 1 => {
            let bank = Account::Bank(bank);
            if [from.account, to.account].contains(&bank) {
                return Err(Refusal::AccountsUnfit);
            }
            let rows = [
                (from.book, postings::adjust(amount, from.account, bank)),
                (to.book, postings::adjust(amount, bank, to.account)),
            ];
            post(snapshot, &rows, &format!("{}{}", by.memo, postings::ONE_OF_TWO), by)
        }
        _ => Err(Refusal::AccountsUnfit),
    }
}

/// One debit of a bank sends one merchant's money back, once.
fn withdraw(
    snapshot: &mut Snapshot,
    merchant: MerchantId,
    (connector, bank_reference): (Connector, &str),
    amount: Amount,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    let debit = (connector, Box::from(bank_reference));
    if snapshot.withdrawn.contains(&debit) && !planted(Plant::WithdrawnTwice) {
        return Err(Refusal::WithdrawnAlready);
    }
    let rows = [(merchant, postings::withdraw(amount, connector))];
    let said = post(snapshot, &rows, &format!("{}: {bank_reference}", by.memo), by)?;
    snapshot.withdrawn.insert(debit);
    Ok(said)
}

fn suspense(
    snapshot: &mut Snapshot,
    connector: Connector,
    bank_reference: &str,
    amount: Amount,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    if !credit::unbooked(snapshot, connector, bank_reference, MerchantId::HOUSE, amount)? {
        return Err(Refusal::CreditReused);
    }
    let rows = [(MerchantId::HOUSE, postings::suspense(amount, connector))];
    let mut said = post(snapshot, &rows, &format!("{}: {bank_reference}", by.memo), by)?;
    let credit = credit::by_hand(connector, bank_reference, MerchantId::HOUSE, amount, by.now);
    credit::note(snapshot, &credit);
    said.transition.credit = Some(Box::new(credit));
    Ok(said)
}

fn identify(
    snapshot: &mut Snapshot,
    merchant: MerchantId,
    connector: Connector,
    bank_reference: &str,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    let key = (connector, Box::from(bank_reference));
    let known = snapshot.credits.get(&key).cloned().ok_or(Refusal::CreditUnknown)?;
    if known.merchant != MerchantId::HOUSE {
        return Err(Refusal::CreditReused);
    }
    if merchant == MerchantId::HOUSE {
        return Err(Refusal::AccountsUnfit);
    }
    let amount = known.amount;
    let rows =
        [(MerchantId::HOUSE, postings::identify(amount, connector)), (merchant, postings::fund(amount, connector))];
    let mut said = post(snapshot, &rows, &format!("{}: {bank_reference}", by.memo), by)?;
    said.identified = Some((connector, key.1.clone(), merchant));
    snapshot.credits.insert(key, KnownCredit { merchant, ..known });
    Ok(said)
}

fn resolve(
    snapshot: &mut Snapshot,
    rules: &Rules,
    exception: &ExceptionKey,
    payout: Option<(MerchantId, PayoutId)>,
    detail: &str,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    let known = snapshot.exceptions.get(exception).filter(|known| known.open).ok_or(Refusal::ExceptionUnknown)?;
    if *known.detail != *detail || known.payout != payout {
        return Err(Refusal::ExceptionChanged);
    }
    let alone = Said { resolved: vec![exception.clone()], ..Said::default() };
    let Some((merchant, id)) = payout else { return Ok(alone) };
    let payout = own(&mut snapshot.payouts, merchant, id)?;
    // What is queued and held stays so, until two people say whether it is sent again or has failed.
    let stays = payout.state == State::Queued || !payout.held && !payout.state.is_open();
    if stays || open_of(snapshot, id).any(|one| one != exception) {
        return Ok(alone);
    }
    let change = Change::of(Event::Resolved, by.actor, &by.detail);
    say(snapshot, rules, (merchant, id), change, |one| one == exception, by.now)
}

fn book_of(snapshot: &Snapshot, book: MerchantId) -> Result<&Merchant, Refusal> {
    snapshot.merchants.get(&book).ok_or(Refusal::MerchantUnknown)
}

fn put(snapshot: &mut Snapshot, book: MerchantId, accounts: Accounts) -> Result<(), Refusal> {
    let merchant = snapshot.merchants.get_mut(&book).ok_or(Refusal::MerchantUnknown)?;
    (merchant.accounts, merchant.changed) = (accounts, true);
    Ok(())
}

/// Posts movements that are about no payout, each in another book: all of them or none.
fn post(
    snapshot: &mut Snapshot,
    movements: &[(MerchantId, Movement)],
    memo: &str,
    by: &Saying<'_>,
) -> Result<Said, Refusal> {
    let mut posted: Vec<(JournalRow, Accounts)> = Vec::with_capacity(movements.len());
    for (book, movement) in movements {
        let mut accounts = book_of(snapshot, *book)?.accounts.clone();
        let row = accounts.post(*book, *movement, None, by.actor, memo, by.now)?;
        posted.push((row, accounts));
    }
    let mut said = Said::default();
    for (row, accounts) in posted {
        put(snapshot, row.merchant, accounts)?;
        said.transition.journal.push(row);
    }
    Ok(said)
}
