//! The planted bugs that the simulator is meant to find. Others are for other tests.

use hundi_core::plant::Plant;

/// Each of them breaks a law within a few seeds.
pub const CAUGHT: &[Plant] = &[
    Plant::ReplyBeforeCommit,
    Plant::SendBeforeIntent,
    Plant::TimeoutAsFailure,
    Plant::NotFoundAsVoid,
    Plant::ResendOnRestart,
    Plant::SelectThenInsert,
    Plant::KeyWithALifetime,
    Plant::LeaseByTimeAlone,
    Plant::AmountTolerance,
    Plant::LastWriterWins,
    Plant::CheckThenCredit,
    Plant::ForgedCallbackTrusted,
    Plant::StaleCall,
    Plant::FeeNotReserved,
    Plant::FeeKeptOnReversal,
    Plant::ForgottenPayout,
    Plant::UnchainedRow,
    Plant::CallbackGivenUp,
    Plant::CallbackNotWritten,
    Plant::CancelAtTheBank,
    Plant::FailsByAge,
    Plant::DeemedAsPaid,
    Plant::ErrorBodyTrusted,
    Plant::AnyReference,
    Plant::UnscopedQuery,
    Plant::OffByOnePaging,
    Plant::StartsOnHold,
    Plant::ElsewhereAfterSilence,
    Plant::SecondDebitKnown,
    Plant::OwnApproval,
    Plant::ApprovedTwice,
];

/// The planted bug with this name.
pub fn named(name: &str) -> Result<Plant, String> {
    let found = CAUGHT.iter().copied().find(|plant| plant.name() == name);
    found.ok_or_else(|| format!("no such bug; `--list-plants` shows {}", CAUGHT.len()))
}
