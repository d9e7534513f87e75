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
    LeftmostForwardedFor "leftmost-forwarded-for" "The caller is whoever he says he is: the left end of X-Forwarded-For.";
    ResolverOnlyGuard "resolver-only-guard" "A callback URL with an address in place of a name may be registered.";
    GuardOnlyAtRegistration "guard-only-at-registration" "What a name means when the call is made is not looked at.";
    RedirectFollowed "redirect-followed" "Who answers with a redirect is obeyed.";
    DefaultTraceLayer "default-trace-layer" "Requests are logged as they come, at the level debug.";
    TokenInError "token-in-error" "A refusal repeats the token.";
    UnscopedQuery "unscoped-query" "The status by our OrderID does not ask whose it is.";
    SignatureWithoutTimestamp "signature-without-timestamp" "A signature of a callback is good for ever.";
    UnsignedField "unsigned-field" "The query of a callback is not signed.";
    RawCsvCell "raw-csv-cell" "A cell of a CSV file may begin as a formula does.";
    PlainCompare "plain-compare" "A signature is compared byte by byte, until one differs.";
    UnsealedAccount "unsealed-account" "The account number is in clear beside its sealed self.";
    SqlFromText "sql-from-text" "A lookup is written into its statement.";
    RotationForgetsOld "rotation-forgets-old" "From a new callback secret on, nothing is signed with the old one.";
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
