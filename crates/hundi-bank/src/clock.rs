//! The only place of this crate that reads time, and the Indian calendar that everything dated is written in.
//!
//! Time is microseconds since 1970-01-01 UTC, as `i64`. Waiting is always done with tokio's timers, so that a test
//! which pauses tokio's clock and takes [`Clock::held`] owns the whole of time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

pub(crate) const SECOND_US: i64 = 1_000_000;
pub(crate) const HOUR_US: i64 = 3_600 * SECOND_US;
pub(crate) const DAY_US: i64 = 24 * HOUR_US;

/// India has one time zone and no summer time: UTC + 5:30.
const IST_OFFSET_US: i64 = 5 * HOUR_US + HOUR_US / 2;

/// Where the bank gets the time from.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Held { start_us: i64, origin: Instant },
}

impl Clock {
    /// The time of the machine.
    #[must_use]
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// `start_us` now, and onwards with tokio's clock: paused when that is paused.
    #[must_use]
    pub fn held(start_us: i64) -> Clock {
        Clock(Source::Held { start_us, origin: Instant::now() })
    }

    /// The time in microseconds since 1970 UTC.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        match self.0 {
            // A machine set to before 1970 is shown 1970: its payments will then be refused as expired or not, but
            // nothing will overflow.
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros),
            Source::Held { start_us, origin } => start_us.saturating_add(micros(origin.elapsed())),
        }
    }

    /// Sleeps until `at_us`, but never longer than `longest`: a clock that is stepped forward must be noticed.
    pub(crate) async fn sleep_until(&self, at_us: i64, longest: Duration) {
        let wait_us = at_us.saturating_sub(self.now_us()).max(0);
        tokio::time::sleep(Duration::from_micros(wait_us.unsigned_abs()).min(longest)).await;
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The number of the Indian hour (since 1970-01-01 00:00 IST) in which a moment lies.
pub(crate) fn ist_hour(at_us: i64) -> i64 {
    at_us.saturating_add(IST_OFFSET_US).div_euclid(HOUR_US)
}

/// The number of the Indian day (since 1970-01-01) in which a moment lies.
pub(crate) fn ist_day(at_us: i64) -> i64 {
    at_us.saturating_add(IST_OFFSET_US).div_euclid(DAY_US)
}

/// The first microsecond of an Indian day.
pub(crate) fn ist_day_start_us(day: i64) -> i64 {
    day.saturating_mul(DAY_US).saturating_sub(IST_OFFSET_US)
}

/// A moment as `2026-01-31T09:05:00+05:30`.
pub(crate) fn ist_timestamp(at_us: i64) -> String {
    let second = at_us.saturating_add(IST_OFFSET_US).rem_euclid(DAY_US) / SECOND_US;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}+05:30", Date::of_day(ist_day(at_us)))
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

impl Date {
    /// The date of a day number. The arithmetic counts years from 1 March, so that the leap day is the last of its
    /// year. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    pub(crate) fn of_day(number: i64) -> Date {
        let days = number + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date { year, month, day }
    }

    /// The day number of this date. Source: as above, `days_from_civil`.
    pub(crate) fn number(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// 1 for the first of January.
    pub(crate) fn day_of_year(self) -> i64 {
        self.number() - Date { month: 1, day: 1, ..self }.number() + 1
    }

    /// Reads `YYYY-MM-DD`; `None` for anything else and for days that do not exist.
    pub(crate) fn parse(text: &str) -> Option<Date> {
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            if all_digits { digits.parse::<i64>().ok() } else { None }
        };
        let dashes = text.len() == 10 && text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
        let date = Date { year: number(0, 4)?, month: number(5, 7)?, day: number(8, 10)? };
        let exists = (1..=12).contains(&date.month) && Date::of_day(date.number()) == date;
        (dashes && exists).then_some(date)
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        for (text, day_of_year) in
            [("2024-02-29", 60), ("2024-12-31", 366), ("2025-03-01", 60), ("1970-01-01", 1), ("2100-12-31", 365)]
        {
            let date = Date::parse(text).expect(text);
            assert_eq!((date.to_string(), date.day_of_year()), (text.to_owned(), day_of_year));
            assert_eq!(Date::of_day(date.number()), date);
        }
        for text in ["2025-02-29", "2025-13-01", "2025-00-10", "2025-1-01", "2025-01-1", "+025-01-01", "", "2025/01/01"]
        {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_indian_day_begins_five_and_a_half_hours_early() {
        let midnight = ist_day_start_us(Date::parse("2025-04-01").expect("a date").number());
        assert_eq!(ist_timestamp(midnight), "2025-04-01T00:00:00+05:30");
        assert_eq!(ist_timestamp(midnight - 1), "2025-03-31T23:59:59+05:30");
        assert_eq!(ist_day(midnight), ist_day(midnight - 1) + 1);
    }
}
