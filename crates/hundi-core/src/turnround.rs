//! Turn-round times: by when a rail's payment has to be decided, and what is due to the customer for each day that it is
//! late. The rules are rows of [`crate::rails::RAILS`]; here is what they come to, in whole numbers.
//!
//! The clock runs from the last attempt: what a bank has refused debited nobody. It is an account for the finance desk;
//! nothing is paid by it.

use crate::payout::{Payout, State};
use crate::schedule::{DAY, MINUTE, Timestamp};

/// The rule of a rail.
#[derive(Clone, Copy, Debug)]
pub struct TurnRound {
    /// By when it has to be decided.
    pub within: Within,
    /// What is due if it is not.
    pub due: Compensation,
    /// The rule in words, with its source.
    pub says: &'static str,
}

/// By when a payment has to be decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Within {
    /// By the end of the Indian day so many days after that of the payment (T+n).
    Days(i64),
    /// So many microseconds after the half-hourly batch that it went with.
    AfterBatch(i64),
    /// So many microseconds after the payment.
    After(i64),
}

/// What is due for a payment that is decided late.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compensation {
    /// So many paise for each day.
    PerDay(i64),
    /// Interest at the repo rate and so many basis points more, for each day of a year of 365.
    OverRepo(i64),
    /// No rule names an amount.
    Unnamed,
}

/// How a payout stands to its rail's turn-round time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// The last moment that is in time.
    pub deadline: Timestamp,
    /// Days that it is late, each begun one counted; 0 if it is in time.
    pub late_days: i64,
    /// What is due for them, paise; `None` where no rule names an amount, or the repo rate is not known.
    pub compensation_paise: Option<i64>,
}

/// Half-hourly batches begin with the hour, in India as in UTC.
const BATCH: i64 = 30 * MINUTE;

/// How a payout stands that was decided at `ended`, or is open at that moment. `None` if no bank was ever asked to pay it.
/// `repo_basis_points` is RBI's repo rate.
pub fn clock(payout: &Payout, ended: Timestamp, repo_basis_points: Option<i64>) -> Option<Clock> {
    if payout.attempts == 0 || matches!(payout.state, State::Queued | State::Cancelled) {
        return None;
    }
    let rule = payout.rail.rules().turn_round;
    Some(rule.clock(payout.send_before, ended, payout.order.amount.paise(), repo_basis_points))
}

impl TurnRound {
    /// How a payment stands that was made at one moment and decided at another.
    pub fn clock(&self, sent: Timestamp, ended: Timestamp, paise: i64, repo_basis_points: Option<i64>) -> Clock {
        let deadline = match self.within {
            Within::Days(days) => {
                Timestamp::ist_midnight(sent.ist_day().saturating_add(days).saturating_add(1)).after(-1)
            }
            Within::AfterBatch(within) => {
                let batch = sent.0.div_euclid(BATCH).saturating_add(1).saturating_mul(BATCH);
                Timestamp(batch).after(within)
            }
            Within::After(within) => sent.after(within),
        };
        let late_us = ended.0.saturating_sub(deadline.0).max(0);
        let late_days = late_us.saturating_add(DAY - 1) / DAY;
        let compensation_paise = match self.due {
            _ if late_days == 0 => Some(0),
            Compensation::PerDay(due) => due.checked_mul(late_days),
            Compensation::OverRepo(over) => repo_basis_points.and_then(|repo| {
                let rate = i128::from(repo.saturating_add(over));
                // Rounded to the nearest paisa.
                let due = (i128::from(paise) * rate * i128::from(late_days) * 2 + 3_650_000) / (2 * 3_650_000);
                i64::try_from(due).ok()
            }),
            Compensation::Unnamed => None,
        };
        Clock { deadline, late_days, compensation_paise }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rails::Rail;

    #[test]
    fn a_payment_is_late_from_the_moment_after_its_deadline() {
        let at = |date: &str, minutes: i64| Timestamp::from_ist_date(date).unwrap().after(minutes * MINUTE);
        let noon = at("2026-11-22", 720);
        for (rail, ended, deadline, late_days, due) in [
            (Rail::Imps, at("2026-11-24", 0).after(-1), "2026-11-23T23:59:59.999+05:30", 0, Some(0)),
            (Rail::Imps, at("2026-11-24", 0), "2026-11-23T23:59:59.999+05:30", 1, Some(100_00)),
            (Rail::Upi, at("2026-11-25", 1), "2026-11-23T23:59:59.999+05:30", 2, Some(200_00)),
            (Rail::Neft, at("2026-11-22", 870), "2026-11-22T14:30:00.000+05:30", 0, Some(0)),
            // 1,00,000.00 at 5.25 % and 2 % for one day: 19.863 rupees.
            (Rail::Neft, at("2026-11-22", 871), "2026-11-22T14:30:00.000+05:30", 1, Some(19_86)),
            (Rail::Neft, at("2026-11-24", 870), "2026-11-22T14:30:00.000+05:30", 2, Some(39_73)),
            (Rail::Rtgs, at("2026-11-22", 781), "2026-11-22T13:00:00.000+05:30", 1, None),
        ] {
            let clock = rail.rules().turn_round.clock(noon, ended, 1_00_000_00, Some(525));
            assert_eq!(clock.deadline.to_string(), deadline, "{rail:?}");
            assert_eq!((clock.late_days, clock.compensation_paise), (late_days, due), "{rail:?} {ended}");
        }
        // Without the rate nobody guesses.
        let late = Rail::Neft.rules().turn_round.clock(noon, at("2026-11-25", 0), 1_00_000_00, None);
        assert_eq!((late.late_days, late.compensation_paise), (3, None));
        let absurd = Rail::Neft.rules().turn_round.clock(noon, Timestamp(i64::MAX), i64::MAX, Some(10_000));
        assert!(absurd.late_days > 0 && absurd.compensation_paise.is_none());
    }
}
