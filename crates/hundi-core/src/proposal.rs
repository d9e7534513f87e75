//! What one operator proposes and another approves.
//!
//! ```text
//! propose --> Proposed --approve, by another person--> Approved: what it says becomes true in the same transaction
//!                |-- reject --> Rejected
//!                `-- its time has passed --> Expired
//! ```
//!
//! A proposal is decided on what is true when it is approved and not on what was true when it was made: if the rules refuse
//! it then, it stays proposed. Nothing in the house's book moves in any other way.

use crate::command::ExceptionKey;
use crate::ids::{Connector, MerchantId, PayoutId, Reference};
use crate::money::Amount;
use crate::postings::Account;
use crate::schedule::{DAY, Timestamp};

/// A proposal can be approved for so long after it was made, in microseconds.
pub const PROPOSAL_US: i64 = 7 * DAY;
/// The most characters of an operator's name.
pub const NAME_MAX: usize = 64;
/// The most characters of a reason.
pub const REASON_MAX: usize = 500;

/// An attempt of a payout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptAt {
    /// Whose payout.
    pub merchant: MerchantId,
    /// Which.
    pub payout: PayoutId,
    /// Over which connector.
    pub connector: Connector,
    /// Our reference of the attempt.
    pub reference: Reference,
}

/// An account in a book: a merchant's, or the house's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Side {
    /// Whose book.
    pub book: MerchantId,
    /// Which account of it.
    pub account: Account,
}

/// What is proposed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// An attempt has paid its payout.
    DeclarePaid {
        /// Which attempt.
        at: AttemptAt,
        /// What the bank calls the payment (UTR or RRN).
        bank_reference: Box<str>,
    },
    /// A payout will never be paid; its money goes back. So "not found" becomes final where no contract makes it so.
    DeclareFailed {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
    },
    /// A payout that is queued and held is sent again.
    Resume {
        /// Whose payout.
        merchant: MerchantId,
        /// Which.
        payout: PayoutId,
    },
    /// The bank paid by an attempt that we had closed, and the merchant owes it.
    Collect {
        /// Which attempt.
        at: AttemptAt,
    },
    /// The same, and the house bears it.
    WriteOff {
        /// Which attempt.
        at: AttemptAt,
    },
    /// A merchant's money was sent back to him.
    Withdraw {
        /// Whose wallet.
        merchant: MerchantId,
        /// From which bank it was sent.
        connector: Connector,
        /// What the bank calls the debit.
        bank_reference: Box<str>,
        /// How much.
        amount: Amount,
    },
    /// A correction between two accounts of one book, or of a merchant's and the house's.
    Adjust {
        /// What is debited.
        from: Side,
        /// What is credited.
        to: Side,
        /// Through which bank, where there are two books.
        through: Option<Connector>,
        /// How much.
        amount: Amount,
    },
    /// A bank credit of which nobody knows whose it is goes to the house's suspense.
    Suspense {
        /// At which bank it arrived.
        connector: Connector,
        /// What the bank calls it.
        bank_reference: Box<str>,
        /// How much.
        amount: Amount,
    },
    /// A credit in suspense is found to be a merchant's.
    Identify {
        /// Whose.
        merchant: MerchantId,
        /// At which bank it arrived.
        connector: Connector,
        /// What the bank calls it.
        bank_reference: Box<str>,
    },
    /// An exception needs nobody any more.
    Resolve {
        /// Which.
        exception: ExceptionKey,
        /// Its payout, where it has one.
        payout: Option<(MerchantId, PayoutId)>,
        /// What was told when this was proposed: of what was told since nobody has said anything.
        detail: Box<str>,
    },
}

impl What {
    /// The number that the store keeps.
    pub const fn number(&self) -> i64 {
        match self {
            What::DeclarePaid { .. } => 1,
            What::DeclareFailed { .. } => 2,
            What::Resume { .. } => 3,
            What::Collect { .. } => 4,
            What::WriteOff { .. } => 5,
            What::Withdraw { .. } => 6,
            What::Adjust { .. } => 7,
            What::Suspense { .. } => 8,
            What::Identify { .. } => 9,
            What::Resolve { .. } => 10,
        }
    }

    /// What the command line calls it.
    pub const fn name(&self) -> &'static str {
        match self {
            What::DeclarePaid { .. } => "declare-paid",
            What::DeclareFailed { .. } => "declare-failed",
            What::Resume { .. } => "resume",
            What::Collect { .. } => "collect",
            What::WriteOff { .. } => "write-off",
            What::Withdraw { .. } => "withdraw",
            What::Adjust { .. } => "adjust",
            What::Suspense { .. } => "suspense",
            What::Identify { .. } => "identify",
            What::Resolve { .. } => "resolve",
        }
    }

    /// Whether it waits while the installation is on hold: it gives money out, or back, or sends it, and a book that has
    /// forgotten what was paid does not know whether that is there.
    pub const fn waits_on_hold(&self) -> bool {
        match self {
            What::DeclareFailed { .. } | What::Resume { .. } | What::Withdraw { .. } | What::Adjust { .. } => true,
            What::DeclarePaid { .. }
            | What::Collect { .. }
            | What::WriteOff { .. }
            | What::Suspense { .. }
            | What::Identify { .. }
            | What::Resolve { .. } => false,
        }
    }

    /// The payout that it is about, and whose it is.
    pub fn payout(&self) -> Option<(MerchantId, PayoutId)> {
        match self {
            What::DeclarePaid { at, .. } | What::Collect { at } | What::WriteOff { at } => {
                Some((at.merchant, at.payout))
            }
            What::DeclareFailed { merchant, payout } | What::Resume { merchant, payout } => Some((*merchant, *payout)),
            What::Resolve { payout, .. } => *payout,
            What::Withdraw { .. } | What::Adjust { .. } | What::Suspense { .. } | What::Identify { .. } => None,
        }
    }

    /// The attempt that it is about.
    pub fn attempt(&self) -> Option<AttemptAt> {
        match self {
            What::DeclarePaid { at, .. } | What::Collect { at } | What::WriteOff { at } => Some(*at),
            _ => None,
        }
    }

    /// The bank's debit that it says has sent money back: no two may say so of one.
    pub fn debit(&self) -> Option<(Connector, &str)> {
        match self {
            What::Withdraw { connector, bank_reference, .. } => Some((*connector, bank_reference)),
            _ => None,
        }
    }

    /// The books that it needs, the house's among them.
    pub fn books(&self) -> Vec<MerchantId> {
        let mut books: Vec<MerchantId> = self.payout().map(|(merchant, _)| merchant).into_iter().collect();
        match self {
            What::WriteOff { .. } | What::Suspense { .. } => books.push(MerchantId::HOUSE),
            What::Withdraw { merchant, .. } => books.push(*merchant),
            What::Adjust { from, to, .. } => books.extend([from.book, to.book]),
            What::Identify { merchant, .. } => books.extend([MerchantId::HOUSE, *merchant]),
            What::DeclarePaid { .. }
            | What::DeclareFailed { .. }
            | What::Resume { .. }
            | What::Collect { .. }
            | What::Resolve { .. } => {}
        }
        books
    }
}

/// Where a proposal is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ProposalState {
    /// It waits for another person.
    Proposed = 1,
    /// Another person has approved it, and it has become true.
    Approved = 2,
    /// Somebody has rejected it, perhaps its own proposer.
    Rejected = 3,
    /// Nobody has approved it in time.
    Expired = 4,
}

impl ProposalState {
    /// The state with this number.
    pub fn from_number(number: i64) -> Option<ProposalState> {
        [ProposalState::Proposed, ProposalState::Approved, ProposalState::Rejected, ProposalState::Expired]
            .into_iter()
            .find(|state| *state as i64 == number)
    }

    /// The state's name, as lists print it.
    pub const fn name(self) -> &'static str {
        match self {
            ProposalState::Proposed => "proposed",
            ProposalState::Approved => "approved",
            ProposalState::Rejected => "rejected",
            ProposalState::Expired => "expired",
        }
    }
}

/// A proposal, with all that was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its number: 1, 2, 3 ...
    pub id: i64,
    /// What is proposed.
    pub what: What,
    /// Why.
    pub reason: Box<str>,
    /// The operator who proposed it.
    pub proposed_by: Box<str>,
    /// When.
    pub proposed_at: Timestamp,
    /// It cannot be approved from then on.
    pub expires_at: Timestamp,
    /// Where it is.
    pub state: ProposalState,
    /// The operator who approved or rejected it; empty before.
    pub decided_by: Box<str>,
    /// When it was approved, rejected or found to be expired.
    pub decided_at: Option<Timestamp>,
    /// Why it was rejected; empty otherwise.
    pub decided_why: Box<str>,
}

/// Who somebody is, whatever he calls himself: two names that differ only by case or spaces are one person. `None` where a
/// name has other characters than printable ASCII: some of those look alike.
pub fn person(name: &str) -> Option<String> {
    let person: String = name.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_lowercase()).collect();
    let fits = name.len() <= NAME_MAX && !person.is_empty() && person.bytes().all(|b| b.is_ascii_graphic());
    fits.then_some(person)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_one_however_he_writes_himself() {
        for (name, expected) in [
            ("asha", Some("asha")),
            (" Asha ", Some("asha")),
            ("A SHA", Some("asha")),
            ("ravi.k@ops", Some("ravi.k@ops")),
            ("", None),
            ("   ", None),
            ("as\tha", None),
            ("asha\n", None),
            ("\u{430}sha", None),
            ("as\u{200b}ha", None),
        ] {
            assert_eq!(person(name).as_deref(), expected, "{name:?}");
        }
        assert!(person(&"x".repeat(NAME_MAX)).is_some() && person(&"x".repeat(NAME_MAX + 1)).is_none());
    }
}
