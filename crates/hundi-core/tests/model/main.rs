//! A check of the design of sending and asking, exhaustive within its bounds: two processes, two banks, one or two payouts,
//! in every order in which things can happen.
//!
//! ```text
//! store (committed)  <-- decide() --  process, process: look, claim, write, hear, ask, record; stop or die anywhere
//!                                       |      ^
//!                          request, lost, late or twice      reply, lost, late or old; callback, repeated and forged
//!                                       v      |
//!                                      bank: executes a reference once; the first of the two nothing after `send_before`
//! ```
//!
//! What becomes of a payout is decided by the production code, [`hundi_core::command::decide`]; only its surroundings are
//! modelled (`protocol.rs`). The laws are in `laws.rs`. Each thing that is wrong on purpose ([`Wrong`]) must break the law
//! that is written beside it, or the check could not fail.

#[path = "../it/common.rs"]
mod common;
mod laws;
mod protocol;

use protocol::{Act, Bounds, Left, Protocol, State, Wrong};
use stateright::{Checker, HasDiscoveries, Model, Path};

/// Two banks, and one question.
const TWO_BANKS: Bounds =
    Bounds { payouts: 1, attempts: 2, banks: 2, left: Left { enquiries: 1, unwritten: 1, repeats: 0 } };
/// One bank that is asked twice.
const TWO_QUESTIONS: Bounds =
    Bounds { payouts: 1, attempts: 2, banks: 1, left: Left { enquiries: 2, unwritten: 0, repeats: 0 } };
/// One bank, and a word that is recorded twice.
const RECORDED_TWICE: Bounds =
    Bounds { payouts: 1, attempts: 2, banks: 1, left: Left { enquiries: 1, unwritten: 1, repeats: 1 } };
/// Two payouts of one wallet, once each.
const TWO_PAYOUTS: Bounds =
    Bounds { payouts: 2, attempts: 1, banks: 1, left: Left { enquiries: 1, unwritten: 0, repeats: 0 } };
/// Two payouts have no end of states in reach; all that can happen in so many steps is walked through.
const STEPS_OF_TWO_PAYOUTS: usize = 9;

/// Walks through all states, or those that so many steps reach; every law must hold in each, and what should happen
/// somewhere must.
#[track_caller]
fn check(bounds: Bounds, steps_max: Option<usize>) {
    let checker = Protocol::new(bounds, None).checker();
    let checker = match steps_max {
        None => checker.threads(2),
        // One thread meets each state first by its shortest way. The first state counts as one, and the last are not looked
        // at any more.
        Some(steps) => checker.threads(1).target_max_depth(steps + 2),
    };
    let checker = checker.spawn_bfs().join();
    for (name, path) in checker.discoveries() {
        assert!(laws::happens(name), "not so: {name}\n{}", told(path));
    }
    checker.assert_properties();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    let far = steps_max.unwrap_or(checker.max_depth() - 1);
    println!("{bounds:?}: {states} states, {steps} steps, at most {far} from the first");
}

/// The actions that led to a state, and the state.
fn told(path: Path<State, Act>) -> String {
    let last = path.last_state().clone();
    let acts = path.into_actions().into_iter().map(|act| format!("    {act:?}\n")).collect::<String>();
    format!("{acts}{last:?}")
}

#[test]
fn two_banks_and_one_question() {
    check(TWO_BANKS, None);
}

#[test]
fn one_bank_and_two_questions() {
    check(TWO_QUESTIONS, None);
}

#[test]
fn one_bank_and_a_word_recorded_twice() {
    check(RECORDED_TWICE, None);
}

#[test]
fn two_payouts_of_one_wallet() {
    check(TWO_PAYOUTS, Some(STEPS_OF_TWO_PAYOUTS));
}

/// What is wrong on purpose, and the law that sees it.
#[test]
fn what_is_wrong_breaks_a_law() {
    let bounds = Bounds { left: Left { enquiries: 1, unwritten: 1, repeats: 1 }, ..TWO_BANKS };
    for (wrong, law) in [
        (Wrong::SendsUncommitted, laws::WRITTEN_ONCE),
        (Wrong::SendsAgainAfterACrash, laws::WRITTEN_ONCE),
        (Wrong::SilenceIsFailure, laws::CLOSED_IS_CLOSED),
        (Wrong::NotFoundIsFinal, laws::CLOSED_IS_CLOSED),
        (Wrong::NotFoundIsJudgedWhenRecorded, laws::CLOSED_IS_CLOSED),
        (Wrong::BankTakesWhatIsLate, laws::CLOSED_IS_CLOSED),
        (Wrong::CallbacksAreTrusted, laws::CLOSED_IS_CLOSED),
        (Wrong::UnwrittenByAnyStart, laws::CLOSED_IS_CLOSED),
        (Wrong::NobodyAsks, laws::ENDS),
    ] {
        let finish = HasDiscoveries::AllOf([law].into());
        let checker = Protocol::new(bounds, Some(wrong)).checker().threads(2).finish_when(finish).spawn_bfs().join();
        let Some(path) = checker.discovery(law) else { panic!("{wrong:?} does not break: {law}") };
        let steps = path.into_actions().len();
        println!("{wrong:?} breaks after {steps} steps: {law}");
    }
}
