//! What must hold in every state of the model, and what must happen in some.

use crate::protocol::{Act, FUNDED_PAISE, MERCHANT, Protocol, Said, State};
use hundi_core::payout::{self, ExceptionKind, Payout, Standing};
use stateright::{Expectation, Model, Property};

/// I5 for the processes: whatever the bank does with a second one.
pub const WRITTEN_ONCE: &str = "a request is written once under a reference";
/// I5 for the bank.
pub const PAID_ONCE: &str = "a payout is executed at most once, whatever its references";
/// No early refund, and no second attempt while a first may be paid.
pub const CLOSED_IS_CLOSED: &str = "no attempt is closed that was paid or may yet be paid";
/// I1, I2, I3, I8.
pub const BALANCED: &str = "the money is where the states say, and adds up";
/// The half of I6 that holds at all times.
pub const TRUE: &str = "what is told as paid or reversed was";
/// A bank that keeps its contract leads to nothing that a person must look at, but for its silence.
pub const NO_ALARM: &str = "an honest bank raises no alarm";
/// I9, and I6 at rest.
pub const ENDS: &str = "from here, if all is well from now on, each payout ends as its bank's book says";

/// The laws, and what shall happen with so many attempts.
pub fn properties(attempts: u32) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always(WRITTEN_ONCE, |_, state: &State| state.attempts.iter().all(|attempt| attempt.written <= 1)),
        Property::always(PAID_ONCE, |_, state: &State| {
            (0..state.payouts().count()).all(|payout| executed(state, payout).count() <= 1)
        }),
        Property::always(CLOSED_IS_CLOSED, closed_is_closed),
        Property::always(BALANCED, balanced),
        Property::always(TRUE, is_true),
        Property::always(NO_ALARM, |_, state: &State| state.alarms & !(1 << ExceptionKind::NoAnswer as u32) == 0),
        Property::always(ENDS, ends),
        Property::sometimes("paid by the first attempt", |_, state: &State| any(state, payout::State::Paid, 1)),
        Property::sometimes("failed without an attempt", |_, state: &State| any(state, payout::State::Failed, 0)),
        Property::sometimes("reversed", |_, state: &State| any(state, payout::State::Reversed, 1)),
        Property::sometimes("executed by a bank, and we do not know it", |_, state: &State| {
            let sending = |payout: &Payout| payout.state == payout::State::Sending;
            state
                .payouts()
                .enumerate()
                .any(|(index, payout)| sending(payout) && executed(state, index).next().is_some())
        }),
    ];
    if attempts > 1 {
        properties.extend([
            Property::sometimes("paid by the second attempt", |_, state: &State| any(state, payout::State::Paid, 2)),
            Property::sometimes("failed after the last attempt", |_, state: &State| {
                any(state, payout::State::Failed, 2)
            }),
            Property::sometimes("cancelled after an attempt", |_, state: &State| {
                any(state, payout::State::Cancelled, 1)
            }),
        ]);
    }
    properties
}

/// Whether a property is one that shall happen, and not one that must hold.
pub fn happens(name: &str) -> bool {
    properties(u32::MAX).iter().any(|property| property.name == name && property.expectation == Expectation::Sometimes)
}

fn any(state: &State, is: payout::State, attempts: u32) -> bool {
    state.payouts().any(|payout| payout.state == is && payout.attempts == attempts)
}

fn executed(state: &State, payout: usize) -> impl Iterator<Item = &crate::protocol::Attempt> {
    state.attempts.iter().filter(move |attempt| attempt.payout == payout && attempt.was(Said::Paid))
}

fn closed_is_closed(protocol: &Protocol, state: &State) -> bool {
    state.attempts.iter().enumerate().all(|(index, attempt)| {
        let payout = state.payout(attempt.payout);
        let paid = attempt.was(Said::Paid);
        match payout.standing(attempt.number, protocol.rules.connectors[attempt.bank].connector) {
            Standing::Open | Standing::Paying => true,
            Standing::Closed | Standing::Unsent => !paid && !protocol.may_be_paid(state, index),
        }
    })
}

fn balanced(_: &Protocol, state: &State) -> bool {
    let accounts = &state.store.merchants[&MERCHANT].accounts;
    let total = |of: fn(&Payout) -> bool, what: fn(&Payout) -> i64| {
        state.payouts().filter(|payout| of(payout)).map(what).sum::<i64>()
    };
    let cost = |payout: &Payout| payout.order.amount.paise() + payout.fee_paise + payout.gst_paise;
    let (open, paid) =
        (total(|payout| payout.state.is_open(), cost), total(|payout| payout.state == payout::State::Paid, cost));
    let fees = total(|payout| payout.state == payout::State::Paid, |payout| payout.fee_paise + payout.gst_paise);
    accounts.sum() == Some(0)
        && accounts.reserved.paise() == open
        && accounts.wallet.paise() == FUNDED_PAISE - open - paid
        && accounts.fees.paise() + accounts.gst.paise() == fees
}

fn is_true(_: &Protocol, state: &State) -> bool {
    state.payouts().enumerate().all(|(index, payout)| {
        let attempt = executed(state, index).find(|attempt| Some(attempt.number) == payout.paid_attempt);
        match payout.state {
            payout::State::Paid => attempt.is_some(),
            payout::State::Reversed => attempt.is_some_and(|attempt| attempt.standing == Some(Said::Reversed)),
            _ => true,
        }
    })
}

/// More steps than any payout takes to its end, the whole enquiry schedule included.
const STEPS_MAX: usize = 400;

/// Goes on from a state as if nothing failed any more. Once with what is still on its way, and once as if it were lost.
fn ends(protocol: &Protocol, state: &State) -> bool {
    [false, true].into_iter().all(|lost| ends_if(protocol, state, lost))
}

fn ends_if(protocol: &Protocol, state: &State, lost: bool) -> bool {
    let (mut state, mut passed) = (state.clone(), Vec::new());
    loop {
        let number = state.number(lost);
        if protocol.end_well.lock().expect("nobody panics with it").contains(&number) {
            break;
        }
        passed.push(number);
        let act = state.healthy_act(protocol, lost);
        match act.filter(|act| !(state.is_quiet() && *act == Act::Tick)) {
            Some(act) if passed.len() < STEPS_MAX => {
                let Some(next) = protocol.next_state(&state, act) else { return false };
                state = next;
            }
            Some(_) => return false,
            None if ended_well(protocol, &state) => break,
            None => return false,
        }
    }
    protocol.end_well.lock().expect("nobody panics with it").extend(passed);
    true
}

/// I6 at rest. A payout stays open only where its bank never says anything that is final, and then there is an alarm.
fn ended_well(protocol: &Protocol, state: &State) -> bool {
    state.payouts().enumerate().all(|(index, payout)| {
        let standings: Vec<_> = executed(state, index).map(|attempt| attempt.standing).collect();
        match payout.state {
            payout::State::Paid => standings == [Some(Said::Paid)],
            payout::State::Reversed => standings == [Some(Said::Reversed)],
            payout::State::Failed | payout::State::Cancelled => standings.is_empty(),
            _ => {
                let last = state.attempts.iter().find(|attempt| Some(attempt.reference) == payout.reference);
                state.alarms & 1 << ExceptionKind::NoAnswer as u32 != 0
                    && last.is_some_and(|last| protocol.takes_what_is_late(last))
            }
        }
    })
}
