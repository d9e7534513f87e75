//! When: timestamps, the Indian day, and the tables of when to ask a bank and call a merchant again.

/// A moment: microseconds since 1970-01-01T00:00:00Z, written by the process that decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

/// One second in microseconds.
pub const SECOND: i64 = 1_000_000;
/// One minute in microseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour in microseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// One day in microseconds.
pub const DAY: i64 = 24 * HOUR;

impl Timestamp {
    /// The moment so many microseconds later (or earlier); saturates at the ends of time.
    pub const fn after(self, micros: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(micros))
    }

    /// Days since 1970-01-01 in India (UTC+05:30, no summer time): the day of a merchant's daily limit.
    pub const fn ist_day(self) -> i64 {
        self.0.saturating_add(5 * HOUR + 30 * MINUTE).div_euclid(DAY)
    }
}

/// When a bank that has not answered is asked again: pauses after the attempt and then after each enquiry. From
/// seconds to days, because a deemed UPI or IMPS payment may stay open up to T+5 (RAILS.md, turn-round times). At the
/// end the payout waits for the operator; it does not fail.
pub const ENQUIRIES: &[i64] = &[
    2 * SECOND,
    4 * SECOND,
    8 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    DAY,
    DAY,
    DAY,
    DAY,
    DAY,
];

/// When a merchant is called: the pause before each try. More than 75 hours in all.
/// Source: the retry schedule that the Standard Webhooks specification recommends.
pub const CALLBACKS: &[i64] = &[
    0,
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

/// The moment of callback try number `tries_made` + 1 (so 0 for the first), at most a tenth later than the table says.
/// `jitter` is a random number from 0 to 65,535; `None` when no try is left.
pub fn next_callback(now: Timestamp, tries_made: u32, jitter: u16) -> Option<Timestamp> {
    let pause = *CALLBACKS.get(usize::try_from(tries_made).ok()?)?;
    Some(now.after(pause + pause / 10 / 65_536 * i64::from(jitter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indian_day_turns_at_half_past_six_in_the_evening_utc() {
        assert_eq!(Timestamp(18 * HOUR + 30 * MINUTE - 1).ist_day(), 0);
        assert_eq!(Timestamp(18 * HOUR + 30 * MINUTE).ist_day(), 1);
        assert_eq!(Timestamp(-6 * HOUR).ist_day(), -1);
    }

    #[test]
    fn callbacks_keep_to_the_table_with_a_tenth_of_jitter() {
        let now = Timestamp(1_000);
        for (tries, pause) in CALLBACKS.iter().enumerate() {
            let tries = u32::try_from(tries).unwrap();
            assert_eq!(next_callback(now, tries, 0), Some(now.after(*pause)));
            let latest = next_callback(now, tries, u16::MAX).unwrap();
            assert!(latest >= now.after(*pause) && latest <= now.after(pause + pause / 10));
        }
        assert_eq!(next_callback(now, 10, 0), None);
        assert!(CALLBACKS.iter().sum::<i64>() >= 72 * HOUR);
        assert!(ENQUIRIES.iter().sum::<i64>() >= 5 * DAY);
    }
}
