//! The references that the bank gives to payments: RRN for IMPS and UPI, UTR for NEFT and RTGS.
//!
//! | rail | shape | example |
//! |---|---|---|
//! | IMPS, UPI | `YDDDHHnnnnnn`: last digit of the year, day of the year, hour (IST), serial | `409111200979` |
//! | NEFT | `SBOXN` + `YYDDD` + 6 digits | `SBOXN24200329588` |
//! | RTGS | `SBOXR5` + `YYYYMMDD` + 8 digits | `SBOXR52025120390803069` |
//!
//! Source: RAILS.md (RBI NEFT and RTGS FAQ, NPCI). When the serials of an hour or day are used up, the next hour's or
//! day's are taken: a reference that names its hour wrongly harms nobody, one that is given twice does.

use crate::clock::{Date, ist_day, ist_hour};
use crate::request::Rail;

const RRN_SERIALS: i64 = 999_999;
const NEFT_SERIALS: i64 = 999_999;
const RTGS_SERIALS: i64 = 99_999_999;

/// The last serial given, and the hour or day to which it belongs. Kept in the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Serial {
    pub(crate) slot: i64,
    pub(crate) last: i64,
}

/// The three rows of serials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Serials {
    pub(crate) rrn: Serial,
    pub(crate) neft: Serial,
    pub(crate) rtgs: Serial,
}

impl Serials {
    /// A reference that was never given before, for a payment made now.
    pub(crate) fn take(&mut self, rail: Rail, now_us: i64) -> String {
        match rail {
            Rail::Imps | Rail::Upi => {
                let serial = self.rrn.take(ist_hour(now_us), RRN_SERIALS);
                let date = Date::of_day(serial.slot.div_euclid(24));
                let (year, hour) = (date.year.rem_euclid(10), serial.slot.rem_euclid(24));
                format!("{year}{:03}{hour:02}{:06}", date.day_of_year(), serial.last)
            }
            Rail::Neft => {
                let serial = self.neft.take(ist_day(now_us), NEFT_SERIALS);
                let date = Date::of_day(serial.slot);
                format!("SBOXN{:02}{:03}{:06}", date.year.rem_euclid(100), date.day_of_year(), serial.last)
            }
            Rail::Rtgs => {
                let serial = self.rtgs.take(ist_day(now_us), RTGS_SERIALS);
                let Date { year, month, day } = Date::of_day(serial.slot);
                format!("SBOXR5{year:04}{month:02}{day:02}{:08}", serial.last)
            }
        }
    }
}

impl Serial {
    fn take(&mut self, slot: i64, most: i64) -> Serial {
        if slot > self.slot {
            *self = Serial { slot, last: 0 };
        }
        if self.last >= most {
            *self = Serial { slot: self.slot + 1, last: 0 };
        }
        self.last += 1;
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{HOUR_US, ist_day_start_us};
    use std::collections::BTreeSet;

    fn at(date: &str, hour: i64) -> i64 {
        ist_day_start_us(Date::parse(date).expect("a date").number()) + hour * HOUR_US
    }

    #[test]
    fn each_rail_has_its_shape() {
        for (rail, now_us, reference) in [
            (Rail::Imps, at("2024-03-31", 11), "409111000001"),
            (Rail::Upi, at("2020-12-30", 16), "036516000001"),
            (Rail::Neft, at("2024-07-18", 23), "SBOXN24200000001"),
            (Rail::Rtgs, at("2025-12-03", 0), "SBOXR52025120300000001"),
        ] {
            assert_eq!(Serials::default().take(rail, now_us), reference);
        }
    }

    #[test]
    fn serials_begin_again_each_hour_and_never_repeat_when_the_clock_goes_back() {
        let mut serials = Serials::default();
        let now_us = at("2024-03-31", 11);
        assert_eq!(serials.take(Rail::Imps, now_us), "409111000001");
        assert_eq!(serials.take(Rail::Upi, now_us), "409111000002");
        assert_eq!(serials.take(Rail::Imps, now_us + HOUR_US), "409112000001");
        assert_eq!(serials.take(Rail::Imps, now_us), "409112000002");
    }

    #[test]
    fn a_full_hour_borrows_from_the_next() {
        let mut serials =
            Serials { rrn: Serial { slot: ist_hour(at("2024-03-31", 23)), last: 999_998 }, ..Serials::default() };
        let taken: Vec<String> = (0..3).map(|_| serials.take(Rail::Imps, at("2024-03-31", 23))).collect();
        assert_eq!(taken, ["409123999999", "409200000001", "409200000002"]);
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 3);
    }
}
