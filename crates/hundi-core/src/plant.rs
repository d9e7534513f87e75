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
    SendBeforeIntent "send-before-intent" "The bank has the request before the start is committed.";
    TimeoutAsFailure "timeout-as-failure" "A request without an answer is taken for refused.";
    NotFoundAsVoid "not-found-as-void" "What an enquiry does not find is taken for never executed, at any time.";
    NotFoundByArrival "not-found-by-arrival" "A slow `not found` is judged by when it came, not by when it was asked for.";
    ResendOnRestart "resend-on-restart" "What was sending is sent again, under a new reference, and not asked about.";
    SelectThenInsert "select-then-insert" "That an OrderID is known is not looked up where it is decided.";
    KeyWithALifetime "key-with-a-lifetime" "An OrderID is forgotten after a day.";
    LeaseByTimeAlone "lease-by-time-alone" "A process that was paused sends what its lease has long run out for.";
    AmountTolerance "amount-tolerance" "A bank that paid a rupee more or less than ordered is believed to have paid.";
    LastWriterWins "last-writer-wins" "A signed callback gives money back without a question.";
    CheckThenCredit "check-then-credit" "A reversal that is told twice is credited twice.";
    ForgedCallbackTrusted "forged-callback-trusted" "A callback's signature is not checked.";
    ReplayedCallbackTrusted "replayed-callback-trusted" "A callback's age is not checked.";
    FeeNotReserved "fee-not-reserved" "The fee is not set aside with the amount, so a wallet can be overspent.";
    FeeKeptOnReversal "fee-kept-on-reversal" "A reversal gives the amount back, but not the fee.";
    ForgottenPayout "forgotten-payout" "After a silence nothing is due any more.";
    UnchainedRow "unchained-row" "A release does not move the journal's chain.";
    CallbackGivenUp "callback-given-up" "A callback is given up after its first failure.";
    CallbackNotWritten "callback-not-written" "The news of a failure is not written with the failure.";
    CancelAtTheBank "cancel-at-the-bank" "What is at the bank can be cancelled.";
    DeemedAsPaid "deemed-as-paid" "A deemed success is taken for a success.";
    ErrorBodyTrusted "error-body-trusted" "The body of a reply with an error's status is believed.";
    OthersReplyTrusted "others-reply-trusted" "A reply is believed whatever reference it speaks of.";
    UnscopedStatus "unscoped-status" "The status call by our OrderID does not look whose it is.";
    OffByOnePaging "off-by-one-paging" "A page begins with the last payout of the page before.";
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
