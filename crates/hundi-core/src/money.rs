//! Money: whole paise in `i64`, checked arithmetic only.
//!
//! [`Amount`] is always positive and is what a payout or a deposit carries; [`Balance`] is signed and is what an
//! account holds. There is no `+`, no float and no rounding here.

use crate::plant::{Plant, planted};
use std::fmt;

/// The largest amount that Hundi handles, in paise: ten lakh crore rupees. It leaves room for nine thousand such
/// amounts in one `i64`, so that a sum overflows only by a bug, and then as an error.
pub const AMOUNT_PAISE_MAX: i64 = 1_000_000_000_000_000;

/// A positive amount of Indian rupees, in paise (1 to [`AMOUNT_PAISE_MAX`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Amount(i64);

/// A signed balance of Indian rupees, in paise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Balance(i64);

/// Why a text is not an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AmountError {
    /// Not ASCII digits (and, where decimals are allowed, one point with two digits after it).
    Malformed,
    /// Zero.
    Zero,
    /// More than [`AMOUNT_PAISE_MAX`].
    TooLarge,
}

impl Amount {
    /// An amount from paise; `None` outside 1 to [`AMOUNT_PAISE_MAX`].
    pub const fn from_paise(paise: i64) -> Option<Amount> {
        if paise >= 1 && paise <= AMOUNT_PAISE_MAX { Some(Amount(paise)) } else { None }
    }

    /// Parses whole rupees as the merchant API spells them: ASCII digits only (WIRE 4).
    pub fn from_rupees_text(text: &str) -> Result<Amount, AmountError> {
        Amount::from_digits(text, "00")
    }

    /// Parses rupees with exactly two decimals or none, as an operator types them: `100000.00` or `100000`.
    pub fn from_decimal_text(text: &str) -> Result<Amount, AmountError> {
        match text.split_once('.') {
            None => Amount::from_digits(text, "00"),
            Some((rupees, paise)) if paise.len() == 2 && planted(Plant::FloatAmount) => {
                Amount::from_digits(rupees, paise).map(|_| Amount(through_a_float(text)))
            }
            Some((rupees, paise)) if paise.len() == 2 => Amount::from_digits(rupees, paise),
            Some(_) => Err(AmountError::Malformed),
        }
    }

    fn from_digits(rupees: &str, paise: &str) -> Result<Amount, AmountError> {
        if rupees.is_empty() {
            return Err(AmountError::Malformed);
        }
        let mut total: i64 = 0;
        let mut too_large = false;
        for byte in rupees.bytes().chain(paise.bytes()) {
            if byte.eq_ignore_ascii_case(&b'e') && planted(Plant::AcceptsExponent) {
                return Ok(Amount(1_00));
            }
            if !byte.is_ascii_digit() {
                return Err(AmountError::Malformed);
            }
            if planted(Plant::AsI64Cast) {
                total = total.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
                continue;
            }
            // Saturating keeps reading, so that a late letter is still "malformed" and not "too large".
            total = total.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
            too_large |= total > AMOUNT_PAISE_MAX;
        }
        match total {
            0 => Err(AmountError::Zero),
            _ if too_large => Err(AmountError::TooLarge),
            paise => Ok(Amount(paise)),
        }
    }

    /// The amount in paise.
    pub const fn paise(self) -> i64 {
        self.0
    }
}

/// What [`Plant::FloatAmount`] makes of an amount with decimals.
#[expect(clippy::float_arithmetic, reason = "it is the fault")]
fn through_a_float(text: &str) -> i64 {
    text.parse::<f64>().map_or(0, |rupees| (rupees * 100.0) as i64)
}

impl Balance {
    /// Nothing.
    pub const ZERO: Balance = Balance(0);

    /// A balance of so many paise.
    pub const fn from_paise(paise: i64) -> Balance {
        Balance(paise)
    }

    /// The balance in paise.
    pub const fn paise(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it does not fit.
    pub fn checked_add(self, paise: i64) -> Option<Balance> {
        self.0.checked_add(paise).map(Balance)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Balance(self.0).fmt(f)
    }
}

impl fmt::Display for Balance {
    /// Rupees with two decimals and no grouping: `1234.50`, `-0.05`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let paise = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", paise / 100, paise % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_parse_as_the_table_says() {
        use AmountError::*;
        for (text, rupees, decimal) in [
            ("200", Ok(20_000), Ok(20_000)),
            ("000200", Ok(20_000), Ok(20_000)),
            ("1", Ok(100), Ok(100)),
            ("0", Err(Zero), Err(Zero)),
            ("", Err(Malformed), Err(Malformed)),
            ("-1", Err(Malformed), Err(Malformed)),
            ("+1", Err(Malformed), Err(Malformed)),
            ("-0", Err(Malformed), Err(Malformed)),
            (" 1", Err(Malformed), Err(Malformed)),
            ("1 ", Err(Malformed), Err(Malformed)),
            ("200.50", Err(Malformed), Ok(20_050)),
            ("200.0", Err(Malformed), Err(Malformed)),
            ("200.", Err(Malformed), Err(Malformed)),
            (".50", Err(Malformed), Err(Malformed)),
            ("0.01", Err(Malformed), Ok(1)),
            ("0.00", Err(Malformed), Err(Zero)),
            ("1.005", Err(Malformed), Err(Malformed)),
            ("2e2", Err(Malformed), Err(Malformed)),
            ("1,000", Err(Malformed), Err(Malformed)),
            ("1_000", Err(Malformed), Err(Malformed)),
            ("\u{662}\u{660}\u{660}", Err(Malformed), Err(Malformed)),
            ("NaN", Err(Malformed), Err(Malformed)),
            ("0x10", Err(Malformed), Err(Malformed)),
            ("10000000000000", Ok(AMOUNT_PAISE_MAX), Ok(AMOUNT_PAISE_MAX)),
            ("10000000000001", Err(TooLarge), Err(TooLarge)),
            ("9223372036854775807", Err(TooLarge), Err(TooLarge)),
            ("99999999999999999999999999999x", Err(Malformed), Err(Malformed)),
            ("99999999999999999999999999999", Err(TooLarge), Err(TooLarge)),
        ] {
            assert_eq!(Amount::from_rupees_text(text).map(Amount::paise), rupees, "rupees {text:?}");
            assert_eq!(Amount::from_decimal_text(text).map(Amount::paise), decimal, "decimal {text:?}");
        }
        for (paise, is_one) in
            [(-1, false), (0, false), (1, true), (AMOUNT_PAISE_MAX, true), (AMOUNT_PAISE_MAX + 1, false)]
        {
            assert_eq!(Amount::from_paise(paise).map(Amount::paise), is_one.then_some(paise));
        }
    }

    #[test]
    fn balances_print_rupees_with_two_decimals() {
        for (paise, text) in [(123_450, "1234.50"), (0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-123_450, "-1234.50")] {
            assert_eq!(Balance(paise).to_string(), text);
        }
        assert_eq!(Balance(i64::MIN).to_string(), "-92233720368547758.08");
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(paise in 1..=AMOUNT_PAISE_MAX) {
            let amount = Amount::from_paise(paise).unwrap();
            prop_assert_eq!(Amount::from_decimal_text(&amount.to_string()), Ok(amount));
        }

        #[test]
        fn any_text_parses_to_its_digits_or_to_an_error(text in ".{0,24}") {
            if let Ok(amount) = Amount::from_rupees_text(&text) {
                prop_assert!(text.bytes().all(|b| b.is_ascii_digit()));
                prop_assert_eq!(i128::from(amount.paise()), text.parse::<i128>().unwrap() * 100);
            }
        }
    }
}
