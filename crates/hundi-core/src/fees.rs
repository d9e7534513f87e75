//! What a payout costs: fee plans in amount bands, and GST.
//!
//! A plan is written as text, bands separated by `;`, each `UPTO:FIXED[+BPbp][@LEAST..MOST]`:
//! `1000:3.00; 25000:5.00; *:5.00+10bp@6.00..50.00` is 3.00 up to 1,000.00, 5.00 up to 25,000.00, and above that 5.00 plus
//! 0.10 % of the amount, at least 6.00 and at most 50.00. `UPTO` is in rupees and inclusive; the last band is `*`.
//!
//! **Rounding.** The percentage is rounded half up to a paisa before the fixed part is added; GST is 18 % of the fee that
//! results, rounded half up to a paisa. Both round once, and never on a sum over payouts.

use crate::money::{AMOUNT_PAISE_MAX, Amount, Balance};
use std::fmt;

/// GST on financial services, in basis points. Source: CGST rate notification 11/2017, heading 9971 (18 %).
pub const GST_BASIS_POINTS: i64 = 1_800;

/// At most so many bands in a plan.
pub const BANDS_MAX: usize = 20;

/// A merchant's prices on one rail.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FeePlan(Vec<Band>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Band {
    /// Inclusive, paise; `i64::MAX` in the last band.
    up_to_paise: i64,
    fixed_paise: i64,
    basis_points: i64,
    least_paise: i64,
    most_paise: i64,
}

/// A fee and the tax on it, both in paise and never negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fee {
    /// The fee itself.
    pub fee_paise: i64,
    /// GST on the fee.
    pub gst_paise: i64,
}

impl FeePlan {
    /// A plan that costs nothing.
    pub const FREE: FeePlan = FeePlan(Vec::new());

    /// The fee for a payout of this amount.
    pub fn fee(&self, amount: Amount) -> Fee {
        let Some(band) = self.0.iter().find(|band| amount.paise() <= band.up_to_paise) else { return Fee::default() };
        let fee = band.fixed_paise + share(amount.paise(), band.basis_points);
        let fee_paise = fee.clamp(band.least_paise, band.most_paise);
        Fee { fee_paise, gst_paise: share(fee_paise, GST_BASIS_POINTS) }
    }

    /// Parses a plan; the error says which band is wrong and what a band looks like.
    pub fn parse(text: &str) -> Result<FeePlan, String> {
        if text.trim().is_empty() || text.trim() == "free" {
            return Ok(FeePlan::FREE);
        }
        let mut bands = Vec::new();
        for entry in text.split(';') {
            let band = Band::parse(entry.trim()).ok_or_else(|| {
                format!("fee band `{}` is not UPTO:FIXED[+BPbp][@LEAST..MOST], such as `25000:5.00` or `*:5.00+10bp@6.00..50.00`", entry.trim())
            })?;
            if bands.last().is_some_and(|last: &Band| last.up_to_paise >= band.up_to_paise) {
                return Err(format!("fee band `{}` does not reach higher than the one before it", entry.trim()));
            }
            bands.push(band);
        }
        if bands.len() > BANDS_MAX {
            return Err(format!("a fee plan has at most {BANDS_MAX} bands"));
        }
        if bands.last().is_some_and(|last| last.up_to_paise != i64::MAX) {
            return Err("the last fee band must be `*:...`, so that every amount has a fee".to_owned());
        }
        Ok(FeePlan(bands))
    }
}

/// `basis_points` of `paise`, rounded half up to a paisa.
fn share(paise: i64, basis_points: i64) -> i64 {
    let share = (i128::from(paise) * i128::from(basis_points) + 5_000) / 10_000;
    // An amount is at most 10^15 paise and the rate at most 100 %, so this always fits.
    i64::try_from(share).unwrap_or(i64::MAX)
}

impl Band {
    fn parse(text: &str) -> Option<Band> {
        let paise = |text: &str| match text.trim() {
            "0" | "0.00" => Some(0),
            text => Amount::from_decimal_text(text).ok().map(Amount::paise),
        };
        let (up_to, price) = text.split_once(':')?;
        let (price, limits) = price.split_once('@').map_or((price, None), |(price, limits)| (price, Some(limits)));
        let (fixed, rate) = price.split_once('+').map_or((price, None), |(fixed, rate)| (fixed, Some(rate)));
        let basis_points = match rate {
            Some(rate) => rate.trim().strip_suffix("bp")?.parse::<u16>().ok().filter(|bp| *bp <= 10_000)?,
            None => 0,
        };
        let (least, most) = match limits {
            Some(limits) => limits.split_once("..").and_then(|(l, m)| Some((paise(l)?, paise(m)?)))?,
            None => (0, AMOUNT_PAISE_MAX),
        };
        let up_to_paise = if up_to.trim() == "*" { i64::MAX } else { paise(up_to)? };
        (least <= most).then_some(Band {
            up_to_paise,
            fixed_paise: paise(fixed)?,
            basis_points: i64::from(basis_points),
            least_paise: least,
            most_paise: most,
        })
    }
}

impl fmt::Display for FeePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("free");
        }
        for (i, band) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            match band.up_to_paise {
                i64::MAX => f.write_str("*:")?,
                paise => write!(f, "{}:", Balance::from_paise(paise))?,
            }
            write!(f, "{}", Balance::from_paise(band.fixed_paise))?;
            if band.basis_points > 0 {
                write!(f, "+{}bp", band.basis_points)?;
            }
            if (band.least_paise, band.most_paise) != (0, AMOUNT_PAISE_MAX) {
                write!(f, "@{}..{}", Balance::from_paise(band.least_paise), Balance::from_paise(band.most_paise))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fees_follow_the_bands() {
        let plan = FeePlan::parse("1000:3.00; 25000:5.00; *:5.00+10bp@6.00..50.00").unwrap();
        for (rupees, fee_paise, gst_paise) in [
            ("1", 300, 54),
            ("1000", 300, 54),
            ("1001", 500, 90),
            ("10000", 500, 90),
            ("25000", 500, 90),
            ("25001", 3000, 540),
            ("10000000", 5000, 900),
        ] {
            let amount = Amount::from_rupees_text(rupees).unwrap();
            assert_eq!(plan.fee(amount), Fee { fee_paise, gst_paise }, "{rupees}");
        }
        assert_eq!(FeePlan::FREE.fee(Amount::from_paise(1).unwrap()), Fee::default());
    }

    #[test]
    fn halves_of_a_paisa_round_up() {
        let plan = FeePlan::parse("*:0+1bp").unwrap();
        for (paise, fee) in [(4_999, 0), (5_000, 1), (14_999, 1), (15_000, 2)] {
            assert_eq!(plan.fee(Amount::from_paise(paise).unwrap()).fee_paise, fee, "{paise}");
        }
        // 18 % of 0.25 is 4.5 paise.
        let plan = FeePlan::parse("*:0.25").unwrap();
        assert_eq!(plan.fee(Amount::from_paise(100).unwrap()).gst_paise, 5);
    }

    #[test]
    fn bad_plans_say_what_is_wrong() {
        for (text, word) in [
            ("5.00", "UPTO:FIXED"),
            ("1000:x", "UPTO:FIXED"),
            ("*:5.00+10%", "UPTO:FIXED"),
            ("*:5.00+10001bp", "UPTO:FIXED"),
            ("*:5.00@9.00..1.00", "UPTO:FIXED"),
            ("1000:5.00", "last fee band"),
            ("*:5.00;1000:3.00", "higher"),
            ("1000:5.00;1000:3.00;*:1.00", "higher"),
        ] {
            let error = FeePlan::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_plan_prints_as_it_is_written() {
        for (text, printed) in [
            ("", "free"),
            (" free ", "free"),
            ("1000:3.00;*:5.00", "1000.00:3.00; *:5.00"),
            ("25000:5.00; *:0+10bp@6.00..50.00", "25000.00:5.00; *:0.00+10bp@6.00..50.00"),
        ] {
            assert_eq!(FeePlan::parse(text).unwrap().to_string(), printed);
        }
        let bands = |count: usize| (1..count).map(|band| format!("{band}:1.00;")).collect::<String>() + "*:1.00";
        assert!(FeePlan::parse(&bands(BANDS_MAX)).is_ok());
        assert!(FeePlan::parse(&bands(BANDS_MAX + 1)).unwrap_err().contains("at most 20 bands"));
    }

    proptest! {
        #[test]
        fn a_fee_is_within_its_limits_and_a_plan_prints_back(
            paise in 1..=AMOUNT_PAISE_MAX, fixed in 0..100_000i64, bp in 0..=10_000u16, least in 0..1_000i64, more in 0..100_000i64,
        ) {
            let text = format!("*:{}+{bp}bp@{}..{}", Balance::from_paise(fixed), Balance::from_paise(least), Balance::from_paise(least + more));
            let plan = FeePlan::parse(&text).unwrap();
            let fee = plan.fee(Amount::from_paise(paise).unwrap());
            prop_assert!(fee.fee_paise >= least && fee.fee_paise <= least + more);
            prop_assert!(fee.gst_paise >= 0 && fee.gst_paise <= fee.fee_paise);
            prop_assert_eq!(FeePlan::parse(&plan.to_string()).unwrap(), plan);
        }
    }
}
