//! Why the rules say no, and in which words.

use crate::postings::PostingError;

/// Why the rules say no. A create that is refused for the reasons marked * is recorded as a failed payout, so it comes
/// back as [`super::Decision::Done`], with the reason's text in the payout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no such merchant.
    MerchantUnknown,
    /// There is no such payout.
    PayoutUnknown,
    /// The OrderID was used for something else.
    OrderReused,
    /// * The operator has suspended the merchant.
    MerchantSuspended,
    /// * More than the merchant's most for one payout.
    OverPayoutLimit,
    /// * More than the merchant's most for a day.
    OverDayLimit,
    /// * The wallet does not hold amount, fee and tax.
    BalanceTooLow,
    /// The payout is not in a state, or not at a time, in which that can be done.
    NotNow,
    /// Both references of a start belong to other payouts.
    ReferenceTaken,
    /// The bank credit has funded another wallet, or with another amount.
    CreditReused,
    /// The bank credit lies in the house's suspense.
    CreditInSuspense,
    /// A proposal that was approved before has booked this debit of the bank.
    WithdrawnAlready,
    /// A sum does not fit; a bug, or an absurd amount.
    Overflow,
    /// The installation is on hold; nothing was recorded.
    OnHold,
    /// A bank has paid it in a time that the store has forgotten, and the wallet does not hold it; nothing was recorded.
    Forgotten,
    /// There is no such proposal.
    ProposalUnknown,
    /// The proposal was approved or rejected before.
    ProposalEnded,
    /// Nobody has approved the proposal in time.
    ProposalExpired,
    /// Nobody approves what he has proposed himself.
    OwnProposal,
    /// Only an operator with a name of printable ASCII characters approves.
    OperatorUnnamed,
    /// No open exception says that a bank has paid this by an attempt that we had closed.
    NotPaidThere,
    /// It was collected or written off before.
    BorneAlready,
    /// An open exception says that a bank has paid it.
    PaidThere,
    /// A bank has spoken of an attempt of it that is not known here.
    KnownThere,
    /// There is no such exception, or it is resolved.
    ExceptionUnknown,
    /// Something else was told of the exception since this was proposed.
    ExceptionChanged,
    /// The accounts are none between which money can be moved so.
    AccountsUnfit,
    /// There is no such credit in suspense.
    CreditUnknown,
}

impl Refusal {
    /// The reason as it is kept with a failed payout and told to the merchant.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::MerchantUnknown => "Merchant not found",
            Refusal::PayoutUnknown => "Payout not found",
            Refusal::OrderReused => "OrderID already used with other details",
            Refusal::MerchantSuspended => "Merchant is suspended; contact the operator",
            Refusal::OverPayoutLimit => "Amount is above the merchant's limit for one payout",
            Refusal::OverDayLimit => "Amount is above what is left of the merchant's limit for today",
            Refusal::BalanceTooLow => "Wallet balance is too low for the amount, fee and tax",
            Refusal::NotNow => "Payout is not in a state that allows this",
            Refusal::ReferenceTaken => "Reference is taken",
            Refusal::CreditReused => "Bank credit already booked with other details",
            Refusal::CreditInSuspense => {
                "The bank credit lies in the house's suspense; two people give it to a merchant"
            }
            Refusal::WithdrawnAlready => "This debit of the bank was booked as a withdrawal before",
            Refusal::Overflow => "Amount is too large",
            Refusal::OnHold => "The installation is on hold",
            Refusal::Forgotten => "Paid in a forgotten time; the merchant's credits of that time must be booked first",
            Refusal::ProposalUnknown => "There is no such proposal",
            Refusal::ProposalEnded => "The proposal was approved or rejected before",
            Refusal::ProposalExpired => "The proposal has expired; propose it again",
            Refusal::OwnProposal => "Nobody approves what he has proposed himself; another operator must",
            Refusal::OperatorUnnamed => {
                "Your name must be 1 to 64 printable ASCII characters; give it with --operator NAME"
            }
            Refusal::NotPaidThere => {
                "No open exception says that a bank paid this by an attempt that we had closed; see `hundi exception list`"
            }
            Refusal::BorneAlready => "It was collected or written off before, or the payout is paid by it",
            Refusal::PaidThere => {
                "An open exception says that a bank has paid it; declare it paid, or resolve the exception first"
            }
            Refusal::KnownThere => {
                "A bank knows it from a time that this store has forgotten: resume it if it is queued, else set the hold and \
                release it; it is recognised and not sent"
            }
            Refusal::ExceptionUnknown => "There is no such exception, or it is resolved already",
            Refusal::ExceptionChanged => {
                "Something else was told of the exception since this was proposed; look at it and propose again"
            }
            Refusal::AccountsUnfit => "The accounts are none between which money can be moved so",
            Refusal::CreditUnknown => "There is no such credit in suspense",
        }
    }
}

impl From<PostingError> for Refusal {
    fn from(error: PostingError) -> Refusal {
        match error {
            PostingError::TooLittle => Refusal::BalanceTooLow,
            PostingError::Overflow => Refusal::Overflow,
            PostingError::WrongBook => Refusal::AccountsUnfit,
        }
    }
}
