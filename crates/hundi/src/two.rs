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
    what: Ask,
    /// Why; the other operator reads it, and it is kept
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    reason: String,
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
    proposals::propose(app, proposing.what, &proposing.reason, actor).await
}

/// Lists and shows.
pub async fn proposal(app: &App, proposal: Proposal) -> Answer {
    match proposal {
        Proposal::List { all } => proposals::proposal_list(app, all).await,
        Proposal::Show { id } => proposals::proposal_show(app, id).await,
    }
}
