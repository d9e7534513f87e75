//! Faults on purpose: what may go wrong between the bank and its customer, by rate and seed.
//!
//! Whether a fault strikes is drawn from the seed and the reference alone, so that a run is the same again whatever
//! the order in which its requests arrive.

use std::fmt;
use std::str::FromStr;

/// Rates are kept in billionths, so that no float takes part.
const ONE: u32 = 1_000_000_000;
const DECIMALS_MAX: usize = 9;
const LATE_LEAST_US: u64 = 6_000_000;
const LATE_SPREAD_US: u64 = 3_000_000;

/// How often each fault strikes. The default is never.
///
/// ```
/// let faults: hundi_bank::Faults = "timeout=0.05,drop=0.02,dup_callback=0.1,late=0.05".parse()?;
/// # Ok::<(), hundi_bank::FaultsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    timeout: u32,
    drop: u32,
    dup_callback: u32,
    late: u32,
}

/// Why a text is not a list of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultsError {
    /// A part that is not `name=rate`.
    Shape(String),
    /// No fault has this name.
    Unknown(String),
    /// The same fault a second time.
    Twice(String),
    /// The rate of this fault (first) is not a decimal between 0 and 1 (second).
    Rate(String, String),
}

impl fmt::Display for FaultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultsError::Shape(part) => write!(f, "`{part}` is not a fault; write name=rate, such as timeout=0.05"),
            FaultsError::Unknown(name) => {
                write!(f, "no fault is called `{name}`; use timeout, drop, dup_callback or late")
            }
            FaultsError::Twice(name) => {
                write!(f, "the fault `{name}` is given twice; give it once")
            }
            FaultsError::Rate(name, rate) => {
                write!(f, "the fault `{name}` has the rate `{rate}`; give a decimal from 0 to 1, such as 0.05")
            }
        }
    }
}

impl std::error::Error for FaultsError {}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Faults, FaultsError> {
        let mut faults = Faults::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, rate) = part.split_once('=').ok_or_else(|| FaultsError::Shape(part.to_owned()))?;
            let (name, rate) = (name.trim(), rate.trim());
            let place = match name {
                "timeout" => &mut faults.timeout,
                "drop" => &mut faults.drop,
                "dup_callback" => &mut faults.dup_callback,
                "late" => &mut faults.late,
                _ => return Err(FaultsError::Unknown(name.to_owned())),
            };
            if seen.contains(&name) {
                return Err(FaultsError::Twice(name.to_owned()));
            }
            seen.push(name);
            *place = billionths(rate).ok_or_else(|| FaultsError::Rate(name.to_owned(), rate.to_owned()))?;
        }
        Ok(faults)
    }
}

/// `"0.05"` as 50,000,000; `None` for what is not a plain decimal from 0 to 1.
fn billionths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || whole.len() > 1 || !digits(fraction) || fraction.len() > DECIMALS_MAX {
        return None;
    }
    let rate = format!("{whole}{fraction:0<DECIMALS_MAX$}").parse::<u64>().ok()?;
    u32::try_from(rate).ok().filter(|rate| *rate <= ONE)
}

/// What happens to the answer of one transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Answered when the book is written.
    Prompt,
    /// Executed, and answered only after so many microseconds.
    Late(u64),
    /// Executed, never answered.
    Never,
    /// Neither executed nor answered; the connection is closed.
    Dropped,
}

impl Faults {
    /// What happens to the answer to this reference.
    pub(crate) fn delivery(&self, seed: u64, reference: &str) -> Delivery {
        if strikes(self.drop, draw(seed, 1, reference)) {
            Delivery::Dropped
        } else if strikes(self.timeout, draw(seed, 2, reference)) {
            Delivery::Never
        } else if strikes(self.late, draw(seed, 3, reference)) {
            Delivery::Late(LATE_LEAST_US + draw(seed, 4, reference) % LATE_SPREAD_US)
        } else {
            Delivery::Prompt
        }
    }

    /// How often this callback is delivered.
    pub(crate) fn copies(&self, seed: u64, event_id: &str) -> i64 {
        if strikes(self.dup_callback, draw(seed, 5, event_id)) { 2 } else { 1 }
    }
}

fn strikes(rate: u32, drawn: u64) -> bool {
    (drawn >> 32) * u64::from(ONE) < u64::from(rate) << 32
}

/// A number that follows from the seed, the purpose and the key alone: FNV-1a over the key, mixed by splitmix64.
fn draw(seed: u64, purpose: u64, key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash ^ mix(seed ^ mix(purpose)))
}

/// One step of splitmix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_exactly_and_errors_name_the_fault() {
        let faults: Faults = " timeout=0.05, drop=1 ,late=0.000000001".parse().expect("faults");
        assert_eq!(faults, Faults { timeout: 50_000_000, drop: ONE, dup_callback: 0, late: 1 });
        assert_eq!("".parse::<Faults>(), Ok(Faults::default()));
        for (text, error) in [
            ("timeout", "`timeout` is not a fault; write name=rate, such as timeout=0.05"),
            ("fire=0.1", "no fault is called `fire`; use timeout, drop, dup_callback or late"),
            ("late=1.5", "the fault `late` has the rate `1.5`; give a decimal from 0 to 1, such as 0.05"),
            ("drop=-0.1", "the fault `drop` has the rate `-0.1`; give a decimal from 0 to 1, such as 0.05"),
            ("drop=1e-3", "the fault `drop` has the rate `1e-3`; give a decimal from 0 to 1, such as 0.05"),
            ("drop=NaN", "the fault `drop` has the rate `NaN`; give a decimal from 0 to 1, such as 0.05"),
            ("drop=", "the fault `drop` has the rate ``; give a decimal from 0 to 1, such as 0.05"),
            ("drop=0.1,drop=0.2", "the fault `drop` is given twice; give it once"),
        ] {
            assert_eq!(text.parse::<Faults>().expect_err(text).to_string(), error);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_and_about_as_often_as_asked() {
        let faults: Faults = "timeout=0.05,drop=0.02,late=0.05".parse().expect("faults");
        let run = |seed| (0..10_000).map(|n| faults.delivery(seed, &format!("REF{n}"))).collect::<Vec<_>>();
        let (first, again, other) = (run(7), run(7), run(8));
        assert_eq!(first, again);
        assert_ne!(first, other);
        let count = |wanted: fn(&Delivery) -> bool| first.iter().filter(|delivery| wanted(delivery)).count();
        assert!((150..250).contains(&count(|delivery| *delivery == Delivery::Dropped)));
        assert!((420..560).contains(&count(|delivery| *delivery == Delivery::Never)));
        assert!((400..550).contains(&count(|delivery| matches!(delivery, Delivery::Late(6_000_000..9_000_000)))));
    }

    #[test]
    fn zero_never_strikes_and_one_always_does() {
        let never = Faults::default();
        let always: Faults = "dup_callback=1,drop=1".parse().expect("faults");
        for n in 0..1_000 {
            let key = n.to_string();
            assert_eq!((never.delivery(n, &key), never.copies(n, &key)), (Delivery::Prompt, 1));
            assert_eq!((always.delivery(n, &key), always.copies(n, &key)), (Delivery::Dropped, 2));
        }
    }
}
