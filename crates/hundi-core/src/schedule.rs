//! When: timestamps, the Indian day, and the tables of when to ask a bank and call a merchant again.

use crate::rails::Rail;

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
        self.0.saturating_add(IST).div_euclid(DAY)
    }

    /// The first moment of an Indian day, counted as [`Timestamp::ist_day`] counts.
    pub const fn ist_midnight(day: i64) -> Timestamp {
        Timestamp(day.saturating_mul(DAY).saturating_sub(IST))
    }

    /// The first moment of an Indian day, written `YYYY-MM-DD`; `None` where it is not a date.
    pub fn from_ist_date(text: &str) -> Option<Timestamp> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next()?;
            (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i64>().ok())?
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let days = days_from_date(year, month, day);
        (parts.next().is_none() && date_from_days(days) == (year, month, day)).then(|| Timestamp(days * DAY - IST))
    }
}

/// What Indian clocks are ahead of UTC, microseconds.
const IST: i64 = 5 * HOUR + 30 * MINUTE;

impl std::fmt::Display for Timestamp {
    /// Indian time after RFC 3339, with milliseconds: `2026-11-22T12:00:00.000+05:30`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = date_from_days(self.ist_day());
        let in_day = self.0.saturating_add(IST).rem_euclid(DAY);
        let (hour, minute, second) = (in_day / HOUR, in_day / MINUTE % 60, in_day / SECOND % 60);
        let milli = in_day / 1_000 % 1_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}+05:30")
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Source: H. Hinnant, "chrono-compatible low-level date
/// algorithms".
const fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date so many days after 1970-01-01. Source: as above.
const fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
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

/// Where in [`ENQUIRIES`] a bank is first asked that has accepted a payment over a rail that does not decide at once: it
/// cannot know more after two seconds, and it calls when it does.
pub const ENQUIRIES_OF_BATCHES: usize = 4;

/// When a file of payments is closed and given to its bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closing {
    /// So long after its first payment was started, microseconds.
    pub after_us: i64,
    /// With NEFT payments so long before a batch at the latest, microseconds: what the bank needs to take it in.
    pub cut_off_us: i64,
}

/// NEFT settles in half-hourly batches, at each half and each full hour of Indian time, which are those of UTC too.
/// Source: RBI NEFT FAQ, since 16 Dec 2019.
const NEFT_BATCH: i64 = 30 * MINUTE;

impl Closing {
    /// When the file must be closed in which a payment over this rail waits since then.
    pub fn closes_at(self, rail: Rail, since: Timestamp) -> Timestamp {
        let latest = since.after(self.after_us);
        if rail != Rail::Neft {
            return latest;
        }
        // The first batch whose cut-off is not over: for the one before, nothing can be done any more.
        let batch = since.after(self.cut_off_us).0.div_euclid(NEFT_BATCH).saturating_add(1).saturating_mul(NEFT_BATCH);
        latest.min(Timestamp(batch).after(-self.cut_off_us))
    }
}

/// When a merchant is called: the pause before each try. More than 75 hours in all.
/// Source: the retry schedule that the Standard Webhooks specification recommends.
pub const CALLBACKS: &[i64] =
    &[0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

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
    fn dates_print_and_parse_in_indian_time() {
        for (us, text) in [
            (0, "1970-01-01T05:30:00.000+05:30"),
            (1_795_329_000_123_456, "2026-11-22T12:00:00.123+05:30"),
            (1_709_231_399_999_999, "2024-02-29T23:59:59.999+05:30"),
            (1_709_231_400_000_000, "2024-03-01T00:00:00.000+05:30"),
        ] {
            assert_eq!(Timestamp(us).to_string(), text);
        }
        for day in (-200_000..200_000).step_by(13) {
            let (year, month, date) = date_from_days(day);
            assert_eq!(days_from_date(year, month, date), day);
        }
        assert_eq!(Timestamp::from_ist_date("2024-03-01"), Some(Timestamp(1_709_231_400_000_000)));
        for bad in ["", "2024-02-30", "2024-13-01", "2024-3-1", "2024-03-01-", "24-03-01", "2024/03/01", "+024-03-01"] {
            assert_eq!(Timestamp::from_ist_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_is_closed_after_its_time_and_before_the_batch() {
        let closing = Closing { after_us: 20 * MINUTE, cut_off_us: 2 * MINUTE };
        let noon = Timestamp(1_795_329_000_000_000);
        for (rail, since_s, closes_s) in [
            (Rail::Imps, 0, 1_200),
            (Rail::Rtgs, 1_000, 2_200),
            (Rail::Neft, 0, 1_200),
            // The batch of 12:30 is taken in until 12:28.
            (Rail::Neft, 600, 1_680),
            (Rail::Neft, 1_679, 1_680),
            (Rail::Neft, 1_680, 2_880),
            (Rail::Neft, 1_799, 2_999),
        ] {
            let closes = closing.closes_at(rail, noon.after(since_s * SECOND));
            assert_eq!((closes.0 - noon.0) / SECOND, closes_s, "{rail:?} {since_s}");
        }
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
