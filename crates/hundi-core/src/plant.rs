//! Faults planted on purpose, so that it is known that the tests would see them.
//!
//! Each is one line at the place where somebody could have made the mistake: `if planted(Plant::ReplyBeforeCommit)`. Only
//! tests and the simulator ask for the feature `plants` (a dev-dependency of the crate `hundi`). In every other build
//! [`planted`] is `false` when it is compiled, and nothing of a fault is left.

macro_rules! plants {
    ($($plant:ident $name:literal $what:literal;)*) => {
        /// A fault that can be planted. At most one is, in a process.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Plant {
            $(#[doc = $what] $plant,)*
        }

        impl Plant {
            /// All of them.
            pub const ALL: &[Plant] = &[$(Plant::$plant,)*];

            /// What it is called on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Plant::$plant => $name,)* }
            }

            /// What is wrong with it.
            pub fn what(self) -> &'static str {
                match self { $(Plant::$plant => $what,)* }
            }
        }
    };
}

plants! {
    ReplyBeforeCommit "reply-before-commit" "The merchant hears of his payout before it is committed.";
    FloatAmount "float-amount" "An amount with decimals goes through a floating-point number.";
    AsI64Cast "as-i64-cast" "An amount that does not fit into 64 bits is cut to them.";
    AcceptsExponent "accepts-exponent" "Zeros may be written as an exponent.";
    IfscAnyBank "ifsc-any-bank" "An IFSC need not be of a known bank.";
    MobileTail "mobile-tail" "Whatever stands before the last ten digits of a mobile number is dropped.";
    LossyName "lossy-name" "A name is kept as the bank would carry it, not as the merchant wrote it.";
    KeyWithALifetime "key-with-a-lifetime" "An OrderID is forgotten after a day.";
    UnwrapInParser "unwrap-in-parser" "A bad percent-encoding is believed to be impossible.";
    LastFieldWins "last-field-wins" "Of a field that is given twice the last one counts.";
    SkipsUnreadable "skips-unreadable" "A forwarded address that cannot be read is skipped.";
    MappedAddress "mapped-address" "An IPv4 address inside of an IPv6 one is not judged.";
    AnyReference "any-reference" "A bank's reply counts whatever reference it speaks of.";
    StaleCall "stale-call" "A signed call of a bank is believed however old it is.";
    OffByOnePaging "off-by-one-paging" "A page of payouts begins with the last one of the page before.";
    StatementDayShort "statement-day-short" "The last day of a statement is left out.";
    BareCsvCell "bare-csv-cell" "A cell of a statement may be a formula.";
}

/// Whether this fault is planted.
#[cfg(not(feature = "plants"))]
#[inline(always)]
pub const fn planted(_: Plant) -> bool {
    false
}

#[cfg(feature = "plants")]
mod chosen {
    use super::Plant;
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Option<Plant>> = OnceLock::new();

    /// Plants a fault, or none, whatever the environment says; before the first use of [`planted`].
    pub fn choose(plant: Option<Plant>) -> Result<(), Option<Plant>> {
        CHOSEN.set(plant)
    }

    /// Whether this fault is planted: the one that was chosen, or else the one that `HUNDI_PLANT` names.
    ///
    /// # Panics
    ///
    /// If `HUNDI_PLANT` names none, because a test that plants nothing would pass.
    pub fn planted(plant: Plant) -> bool {
        let chosen = CHOSEN.get_or_init(|| {
            let name = std::env::var("HUNDI_PLANT").ok().filter(|name| !name.is_empty())?;
            let found = Plant::ALL.iter().copied().find(|plant| plant.name() == name);
            Some(found.unwrap_or_else(|| panic!("HUNDI_PLANT={name}: no such fault")))
        });
        *chosen == Some(plant)
    }
}
#[cfg(feature = "plants")]
pub use chosen::{choose, planted};
