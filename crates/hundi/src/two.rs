//! The subcommands of two people: `propose`, `proposal`, `approve`, `reject`.

use clap::{Args, Subcommand};
use hundi::App;
use hundi::admin::Answer;
use hundi::proposals::{self, Ask};
use hundi_core::ids::Actor;

/// What is proposed, and why.
#[derive(Args)]
pub struct Proposing {
    #[command(subcommand)]
    what: Propose,
    /// Why; the other operator reads it, and it is kept
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Subcommand)]
enum Propose {
    /// A bank has paid a payout of which it tells us nothing (settles it)
    DeclarePaid {
        /// Our OrderID
        payout: String,
        /// What the bank calls the payment: UTR or RRN
        #[arg(long)]
        utr: String,
        /// Our reference of the attempt (default: the last one)
        #[arg(long)]
        reference: Option<String>,
    },
    /// A payout will never be paid (gives its money back)
    DeclareFailed {
        /// Our OrderID
        payout: String,
    },
    /// Send a payout again that is queued and held
    Resume {
        /// Our OrderID
        payout: String,
    },
    /// The bank paid what we had called failed, and the merchant owes it
    Collect {
        /// Our OrderID
        payout: String,
        /// Our reference of the attempt (default: the one that an open exception is about)
        #[arg(long)]
        reference: Option<String>,
    },
    /// The bank paid what we had called failed, and the house bears it
    WriteOff {
        /// Our OrderID
        payout: String,
        /// Our reference of the attempt (default: the one that an open exception is about)
        #[arg(long)]
        reference: Option<String>,
    },
    /// A merchant's money was sent back to him
    Withdraw {
        /// The merchant's ID
        merchant: String,
        /// Rupees, such as 100000.00
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// What the bank calls the debit
        #[arg(long)]
        utr: String,
        /// From which bank it was sent
        #[arg(long, default_value = "sandbox")]
        connector: String,
    },
    /// Move money between two accounts, such as acme/wallet, acme/fees or house/loss
    Adjust {
        /// The account that is debited
        #[arg(long)]
        from: String,
        /// The account that is credited
        #[arg(long)]
        to: String,
        /// Rupees, such as 100.00
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// The bank through which money passes between a merchant and the house
        #[arg(long, value_name = "CONNECTOR")]
        through: Option<String>,
    },
    /// Book a bank credit of which nobody knows whose it is into the house's suspense
    Suspense {
        /// Rupees, such as 100000.00
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// The bank's reference of the credit; the same one is booked once
        #[arg(long)]
        reference: String,
        /// At which bank it arrived
        #[arg(long, default_value = "sandbox")]
        connector: String,
    },
    /// A credit in suspense is this merchant's
    Identify {
        /// The merchant's ID
        merchant: String,
        /// The bank's reference of the credit
        #[arg(long)]
        reference: String,
        /// At which bank it arrived
        #[arg(long, default_value = "sandbox")]
        connector: String,
    },
    /// An exception needs nobody any more
    Resolve {
        /// CONNECTOR/REFERENCE/KIND
        exception: String,
    },
}

/// The proposals.
#[derive(Subcommand)]
pub enum Proposal {
    /// The proposals that wait for approval, newest first
    List {
        /// The approved, rejected and expired ones too
        #[arg(long)]
        all: bool,
    },
    /// A proposal with all that was said, and its payout
    Show {
        /// Its number
        id: i64,
    },
}

/// Proposes.
pub async fn propose(app: &App, proposing: Proposing, actor: &Actor) -> Answer {
    let ask = match proposing.what {
        Propose::DeclarePaid { payout, utr, reference } => Ask::DeclarePaid { payout, utr, reference },
        Propose::DeclareFailed { payout } => Ask::DeclareFailed { payout },
        Propose::Resume { payout } => Ask::Resume { payout },
        Propose::Collect { payout, reference } => Ask::Collect { payout, reference },
        Propose::WriteOff { payout, reference } => Ask::WriteOff { payout, reference },
        Propose::Withdraw { merchant, amount, utr, connector } => Ask::Withdraw { merchant, amount, utr, connector },
        Propose::Adjust { from, to, amount, through } => Ask::Adjust { from, to, amount, through },
        Propose::Suspense { amount, reference, connector } => Ask::Suspense { amount, reference, connector },
        Propose::Identify { merchant, reference, connector } => Ask::Identify { merchant, reference, connector },
        Propose::Resolve { exception } => Ask::Resolve { exception },
    };
    proposals::propose(app, ask, &proposing.reason, actor).await
}

/// Lists and shows.
pub async fn proposal(app: &App, proposal: Proposal) -> Answer {
    match proposal {
        Proposal::List { all } => proposals::proposal_list(app, all).await,
        Proposal::Show { id } => proposals::proposal_show(app, id).await,
    }
}
