//! What becomes of a transfer: it follows from the beneficiary, never from chance.
//!
//! [`TABLE`] is the whole product of a sandbox; [`plan`] and [`Step::change`] are the only readers of its stories.

use crate::Times;
use crate::clock::{HOUR_US, SECOND_US};
use crate::request::Rail;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The last four digits of the account number or mobile.
    suffix: &'static str,
    /// The UPI ID.
    vpa: &'static str,
    pub(crate) answer: Answer,
    story: Story,
}

/// What the customer hears at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The state after the first write.
    Given,
    /// Nothing: the request hangs, though the transfer is in the book.
    Never,
    /// Nothing: the request hangs, and the transfer never reaches the book.
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Story {
    Paid,
    PaidAfter {
        wait_us: i64,
        meanwhile: State,
    },
    Stays(State),
    ReturnedAfter {
        wait_us: i64,
    },
    PaidThenReversed,
    /// The account takes no IMPS; over any other rail it is paid.
    NotOverImps,
}

/// How long after the payment a reversal comes.
const REVERSAL_WAIT_US: i64 = 5 * SECOND_US;

static ANYTHING_ELSE: Outcome = row("", "success@sandbox", Answer::Given, Story::Paid);

static TABLE: [Outcome; 10] = [
    row("0222", "slow@sandbox", Answer::Given, Story::PaidAfter { wait_us: 5 * SECOND_US, meanwhile: State::Accepted }),
    row("0333", "pending@sandbox", Answer::Given, Story::Stays(State::Pending)),
    row("0444", "invalid@sandbox", Answer::Given, Story::Stays(State::NoAccount)),
    row("0555", "bankdown@sandbox", Answer::Given, Story::Stays(State::BankDown)),
    row("0666", "latefail@sandbox", Answer::Given, Story::ReturnedAfter { wait_us: 5 * SECOND_US }),
    row("0777", "reversed@sandbox", Answer::Given, Story::PaidThenReversed),
    row("0888", "timeout@sandbox", Answer::Never, Story::Paid),
    row("0999", "lost@sandbox", Answer::Lost, Story::Paid),
    row(
        "0123",
        "deemed@sandbox",
        Answer::Given,
        Story::PaidAfter { wait_us: 10 * SECOND_US, meanwhile: State::Deemed },
    ),
    row("0345", "noimps@sandbox", Answer::Given, Story::NotOverImps),
];

const fn row(suffix: &'static str, vpa: &'static str, answer: Answer, story: Story) -> Outcome {
    Outcome { suffix, vpa, answer, story }
}

/// The row of an account number or mobile.
pub(crate) fn of_number(number: &str) -> &'static Outcome {
    TABLE.iter().find(|row| number.ends_with(row.suffix)).unwrap_or(&ANYTHING_ELSE)
}

/// The row of a UPI ID; the case of its letters does not matter.
pub(crate) fn of_vpa(vpa: &str) -> &'static Outcome {
    TABLE.iter().find(|row| vpa.eq_ignore_ascii_case(row.vpa)).unwrap_or(&ANYTHING_ELSE)
}

/// Where a transfer stands. Status, code and message are three ways to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Paid,
    Accepted,
    Pending,
    Deemed,
    NoAccount,
    BankDown,
    NoImps,
    Expired,
    Returned,
    Reversed,
}

impl State {
    const ALL: [State; 10] = [
        State::Paid,
        State::Accepted,
        State::Pending,
        State::Deemed,
        State::NoAccount,
        State::BankDown,
        State::NoImps,
        State::Expired,
        State::Returned,
        State::Reversed,
    ];

    /// Status, code and message, as the contract has them.
    pub(crate) fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            State::Paid => ("paid", "00", "Paid"),
            State::Accepted => ("accepted", "01", "Accepted, not paid yet"),
            State::Pending => ("pending", "01", "Pending at the beneficiary's bank"),
            State::Deemed => ("deemed", "91", "Deemed: the beneficiary's bank has not answered"),
            State::NoAccount => ("refused", "NOACCOUNT", "The beneficiary's account does not exist"),
            State::BankDown => ("refused", "BANKDOWN", "The beneficiary's bank is not available"),
            State::NoImps => ("refused", "NOIMPS", "The beneficiary's account does not take IMPS"),
            State::Expired => ("refused", "EXPIRED", "The request came after its valid_until and will not be executed"),
            State::Returned => ("refused", "RETURNED", "Returned by the beneficiary's bank"),
            State::Reversed => ("reversed", "REVERSED", "Paid, then given back"),
        }
    }

    /// Whether another bank may try the payment.
    pub(crate) fn retry_elsewhere(self) -> bool {
        matches!(self, State::BankDown | State::NoImps | State::Expired)
    }

    /// Whether the payment may be tried over another rail.
    pub(crate) fn retry_other_rail(self) -> bool {
        matches!(self, State::NoImps)
    }

    /// The word under which the book keeps it.
    pub(crate) fn stored(self) -> &'static str {
        match self {
            State::Paid => "paid",
            State::Accepted => "accepted",
            State::Pending => "pending",
            State::Deemed => "deemed",
            State::NoAccount => "no_account",
            State::BankDown => "bank_down",
            State::NoImps => "no_imps",
            State::Expired => "expired",
            State::Returned => "returned",
            State::Reversed => "reversed",
        }
    }

    pub(crate) fn of_stored(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.stored() == word)
    }
}

/// What is still to be done with a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Pay,
    PayThenReverse,
    Return,
    Reverse,
}

/// Money that moves with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Money {
    Still,
    Out,
    Back,
}

/// A new state, the money that moves with it, and what comes next (and when, in microseconds since 1970).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) state: State,
    pub(crate) money: Money,
    pub(crate) next: Option<(Step, i64)>,
}

/// The first change of a transfer that was asked for in time.
pub(crate) fn plan(outcome: &Outcome, rail: Rail, times: Times, now_us: i64) -> Change {
    let pays_at = |not_before_us| settles_at_us(rail, times, now_us, not_before_us);
    let waits = |state, step, at_us| Change { state, money: Money::Still, next: Some((step, at_us)) };
    match outcome.story {
        Story::Stays(state) => Change { state, money: Money::Still, next: None },
        Story::ReturnedAfter { wait_us } => waits(State::Accepted, Step::Return, now_us + wait_us),
        Story::PaidAfter { wait_us, meanwhile } => waits(meanwhile, Step::Pay, pays_at(now_us + wait_us)),
        Story::NotOverImps if rail == Rail::Imps => Change { state: State::NoImps, money: Money::Still, next: None },
        Story::Paid | Story::PaidThenReversed | Story::NotOverImps => {
            let step = if matches!(outcome.story, Story::PaidThenReversed) { Step::PayThenReverse } else { Step::Pay };
            match rail {
                Rail::Imps | Rail::Upi => step.change(now_us),
                Rail::Neft | Rail::Rtgs => waits(State::Accepted, step, pays_at(now_us)),
            }
        }
    }
}

/// The change of a transfer that came after its `valid_until`.
pub(crate) const EXPIRED: Change = Change { state: State::Expired, money: Money::Still, next: None };

impl Step {
    /// What the step does when it is its turn.
    pub(crate) fn change(self, now_us: i64) -> Change {
        let reversal = Some((Step::Reverse, now_us + REVERSAL_WAIT_US));
        match self {
            Step::Pay => Change { state: State::Paid, money: Money::Out, next: None },
            Step::PayThenReverse => Change { state: State::Paid, money: Money::Out, next: reversal },
            Step::Return => Change { state: State::Returned, money: Money::Still, next: None },
            Step::Reverse => Change { state: State::Reversed, money: Money::Back, next: None },
        }
    }

    /// The word under which the book keeps it.
    pub(crate) fn stored(self) -> &'static str {
        match self {
            Step::Pay => "pay",
            Step::PayThenReverse => "pay_then_reverse",
            Step::Return => "return",
            Step::Reverse => "reverse",
        }
    }

    pub(crate) fn of_stored(word: &str) -> Option<Step> {
        [Step::Pay, Step::PayThenReverse, Step::Return, Step::Reverse].into_iter().find(|step| step.stored() == word)
    }
}

/// When a rail settles what was asked for at `asked_us` and may not be paid before `not_before_us`.
fn settles_at_us(rail: Rail, times: Times, asked_us: i64, not_before_us: i64) -> i64 {
    // NEFT: 48 half-hourly batches a day (RBI NEFT FAQ). Indian time is whole half hours away from UTC, so that the
    // batch instants are multiples of the period in both.
    let (batch_us, rtgs_us) = match times {
        Times::Demo => (10 * SECOND_US, 3 * SECOND_US),
        Times::Real => (HOUR_US / 2, 30 * SECOND_US),
    };
    match rail {
        Rail::Imps | Rail::Upi => not_before_us,
        Rail::Neft => (not_before_us.div_euclid(batch_us) + 1) * batch_us,
        Rail::Rtgs => not_before_us.max(asked_us + rtgs_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rails_settle_at_their_times() {
        let asked = 1_735_700_000 * SECOND_US + 1; // 2025-01-01 02:53:20 UTC, a multiple of 10 s, and a microsecond
        for (rail, times, wait_us, expected_s) in [
            (Rail::Imps, Times::Real, 0, 0),
            (Rail::Neft, Times::Demo, 0, 10),
            (Rail::Neft, Times::Demo, 5, 10),
            (Rail::Neft, Times::Demo, 10, 20),
            (Rail::Neft, Times::Real, 0, 400), // 03:00 UTC is 08:30 in India
            (Rail::Rtgs, Times::Demo, 0, 3),
            (Rail::Rtgs, Times::Demo, 5, 5),
            (Rail::Rtgs, Times::Real, 0, 30),
        ] {
            let at_us = settles_at_us(rail, times, asked, asked + wait_us * SECOND_US);
            assert_eq!((at_us - asked + 1) / SECOND_US, expected_s, "{rail:?} {times:?} {wait_us}");
        }
    }

    #[test]
    fn stored_words_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::of_stored(state.stored()), Some(state));
        }
        assert_eq!(Step::of_stored("pay_then_reverse"), Some(Step::PayThenReverse));
        assert_eq!((State::of_stored(""), Step::of_stored("")), (None, None));
    }

    #[test]
    fn upi_ids_and_numbers_find_their_row() {
        for row in &TABLE {
            assert!(std::ptr::eq(of_number(&format!("5010{}", row.suffix)), row));
            assert!(std::ptr::eq(of_vpa(&row.vpa.to_uppercase()), row));
        }
        assert!(matches!(of_number("50100000001").story, Story::Paid));
        assert!(matches!(of_vpa("xslow@sandbox").story, Story::Paid));
    }
}
