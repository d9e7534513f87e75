//! Faults planted on purpose, so that it is known that the tests would see them.
//!
//! Each is one line at the place where somebody could have made the mistake: `if planted(Plant::ReplyBeforeCommit)`. Only
//! tests and the simulator ask for the feature `plants` (a dev-dependency of the crate `hundi`). In every other build
//! [`planted`] is `false` when it is compiled, and nothing of a fault is left.
//!
//! A line of the list is `Plant "name" "what is wrong with it" by "filter" row 7;`. `by` says which tests see it, in the
//! language of `cargo nextest run -E`; without it the simulator does. `row` is the row of the scorecard
//! (docs/reliability.md) that must not be met while the fault goes unseen. `cargo run --example plants` plants them all.

macro_rules! plants {
    ($($plant:ident $name:literal $what:literal $(by $filter:literal)? $(row $row:literal)?;)*) => {
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

            /// The tests that see it; `None` for the simulator.
            pub fn seen_by(self) -> Option<&'static str> {
                let filter: &[&str] = match self { $(Plant::$plant => &[$($filter)?],)* };
                filter.first().copied()
            }

            /// The row of the scorecard that it belongs to.
            pub fn row(self) -> Option<u32> {
                let row: &[u32] = match self { $(Plant::$plant => &[$($row)?],)* };
                row.first().copied()
            }
        }
    };
}

plants! {
    ReplyBeforeCommit "reply-before-commit" "The merchant hears of his payout before it is committed.";
    NotFoundJudgedLate "not-found-judged-late" "\"Not found\" is judged by when it is recorded and not by when the bank was asked."
        by "test(=not_found) | test(an_answer_that_was_slept_over_is_no_news)" row 8;
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
