//! What two operators do at the command line: one proposes, another approves. Each function is one subcommand, as in
//! `admin.rs`; what an approval comes to is decided by the core.

use crate::App;
use crate::admin::{
    self, Answer, LIST_MAX, amount, connector, connectors_of, exception_key, find_payout, merchant, names, text,
};
use crate::store::proposals::{self as stored, proposals_expire};
use clap::Subcommand;
use hundi_core::command::{Command, Decision, ExceptionKey, KnownException, Refusal};
use hundi_core::ids::{Actor, Connector, MerchantId, PayoutId, Reference};
use hundi_core::money::Balance;
use hundi_core::payout::{ExceptionKind, Payout, State};
use hundi_core::postings::{Account, HouseAccount};
use hundi_core::proposal::{AttemptAt, PROPOSAL_US, Proposal, ProposalState, REASON_MAX, Side, What, person};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A number may be taken by another process in the same moment; so often the next one is tried.
const NUMBER_TRIES_MAX: usize = 5;
/// What the house is called where a merchant's ID may stand.
pub const HOUSE: &str = "house";

/// What an operator proposes, in his own words: the subcommands of `hundi propose`.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// A bank has paid a payout of which it tells us nothing (settles it).
    DeclarePaid {
        /// Our OrderID.
        payout: String,
        /// What the bank calls the payment: UTR or RRN.
        #[arg(long)]
        utr: String,
        /// Our reference of the attempt (default: the last one).
        #[arg(long)]
        reference: Option<String>,
    },
    /// A payout will never be paid (gives its money back).
    DeclareFailed {
        /// Our OrderID.
        payout: String,
    },
    /// Send a payout again that is queued and held.
    Resume {
        /// Our OrderID.
        payout: String,
    },
    /// The bank paid what we had called failed, and the merchant owes it.
    Collect {
        /// Our OrderID.
        payout: String,
        /// Our reference of the attempt (default: the one that an open exception is about).
        #[arg(long)]
        reference: Option<String>,
    },
    /// The bank paid what we had called failed, and the house bears it.
    WriteOff {
        /// Our OrderID.
        payout: String,
        /// Our reference of the attempt (default: the one that an open exception is about).
        #[arg(long)]
        reference: Option<String>,
    },
    /// A merchant's money was sent back to him.
    Withdraw {
        /// The merchant's ID.
        merchant: String,
        /// Rupees, such as 100000.00.
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// What the bank calls the debit.
        #[arg(long)]
        utr: String,
        /// From which bank it was sent.
        #[arg(long, default_value = "sandbox")]
        connector: String,
    },
    /// Move money between two accounts, such as acme/wallet, acme/fees or house/loss.
    Adjust {
        /// The account that is debited.
        #[arg(long)]
        from: String,
        /// The account that is credited.
        #[arg(long)]
        to: String,
        /// Rupees, such as 100.00.
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// The bank through which money passes between a merchant and the house.
        #[arg(long, value_name = "CONNECTOR")]
        through: Option<String>,
    },
    /// Book a bank credit of which nobody knows whose it is into the house's suspense.
    Suspense {
        /// Rupees, such as 100000.00.
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// The bank's reference of the credit; the same one is booked once.
        #[arg(long)]
        reference: String,
        /// At which bank it arrived.
        #[arg(long, default_value = "sandbox")]
        connector: String,
    },
    /// A credit in suspense is this merchant's.
    Identify {
        /// The merchant's ID.
        merchant: String,
        /// The bank's reference of the credit.
        #[arg(long)]
        reference: String,
        /// At which bank it arrived.
        #[arg(long, default_value = "sandbox")]
        connector: String,
    },
    /// An exception needs nobody any more.
    Resolve {
        /// CONNECTOR/REFERENCE/KIND.
        exception: String,
    },
}

/// Proposes something; it waits for another operator. `reason` is what he is told.
pub async fn propose(app: &App, ask: Ask, reason: &str, actor: &Actor) -> Answer {
    let proposed_by = operator(actor)?;
    let reason = reason_of(reason)?;
    let what = what(app, ask).await?;
    let now = app.clock.now();
    app.writer.write(proposals_expire(now)).await.map_err(text)?;
    let proposal = Proposal {
        id: 0,
        what,
        reason: reason.into(),
        proposed_by: proposed_by.into(),
        proposed_at: now,
        expires_at: now.after(PROPOSAL_US),
        state: ProposalState::Proposed,
        decided_by: "".into(),
        decided_at: None,
        decided_why: "".into(),
    };
    for _ in 0..NUMBER_TRIES_MAX {
        if let Some(debit) = proposal.what.debit()
            && let Some(known) = app.store.withdrawal(debit).await.map_err(text)?
            && (known.what != proposal.what || known.state == ProposalState::Approved)
        {
            return Err(withdrawn(&known));
        }
        let made = app.writer.write(stored::propose(&proposal)).await.map_err(text)? > 0;
        let known = app.store.proposal_of(&proposal.what).await.map_err(text)?;
        match (known, made) {
            (Some(known), true) => return shown(app, &known).await,
            (Some(known), false) => {
                return Err(format!(
                    "proposal {} of {} is just this, and waits for approval; `hundi proposal show {0}` shows it",
                    known.id, known.proposed_by
                ));
            }
            (None, _) => {}
        }
    }
    Err("others propose at the same time; try again".to_owned())
}

/// Why nothing more is proposed of the debit of a withdrawal.
fn withdrawn(known: &Proposal) -> String {
    let debit = known.what.debit().map_or_else(String::new, |(connector, debit)| format!("{debit} at {connector}"));
    let (id, by, state) = (known.id, &known.proposed_by, known.state.name());
    format!("proposal {id} of {by} withdraws by the debit {debit}, and is {state}; one debit sends money back once")
}

/// The proposals that wait for approval, or all of them, newest first.
pub async fn proposal_list(app: &App, all: bool) -> Answer {
    let known = app.store.proposals(all, LIST_MAX).await.map_err(text)?;
    let names = names(app).await?;
    Ok(Value::Array(known.iter().map(|proposal| line(app, proposal, &names)).collect()))
}

/// A proposal with all that was said, and what it is about.
pub async fn proposal_show(app: &App, id: i64) -> Answer {
    let known = app.store.proposal(id).await.map_err(text)?;
    let known = known.ok_or_else(|| format!("there is no proposal {id}; `hundi proposal list --all` shows them"))?;
    let mut document = shown(app, &known).await?;
    if let Some((_, payout)) = known.what.payout() {
        document["payout"] = admin::payout_show(app, &payout.to_string()).await?;
    }
    Ok(document)
}

/// Approves what another operator has proposed: it becomes true, or stays proposed and the error says why.
pub async fn approve(app: &App, id: i64, actor: &Actor) -> Answer {
    operator(actor)?;
    app.writer.write(proposals_expire(app.clock.now())).await.map_err(text)?;
    let command = Command::Approve { proposal: id, actor: actor.clone() };
    match app.writer.execute(command).await.map_err(text)? {
        Decision::Done(_) | Decision::Repeat(_) => proposal_show(app, id).await,
        Decision::Refused(refusal) => Err(refused(app, id, refusal).await),
    }
}

/// Rejects a proposal, or takes back one's own.
pub async fn reject(app: &App, id: i64, reason: &str, actor: &Actor) -> Answer {
    operator(actor)?;
    let why = reason_of(reason)?.into();
    app.writer.write(proposals_expire(app.clock.now())).await.map_err(text)?;
    let command = Command::Reject { proposal: id, actor: actor.clone(), why };
    match app.writer.execute(command).await.map_err(text)? {
        Decision::Done(_) | Decision::Repeat(_) => proposal_show(app, id).await,
        Decision::Refused(refusal) => Err(refused(app, id, refusal).await),
    }
}

/// Why the rules refuse, with what there is to be known about it.
async fn refused(app: &App, id: i64, refusal: Refusal) -> String {
    let known = app.store.proposal(id).await.ok().flatten();
    let ended = known.as_ref().is_some_and(|known| known.state != ProposalState::Proposed);
    let why = match (refusal, &known) {
        (Refusal::ProposalUnknown, _) => {
            return format!("there is no proposal {id}; `hundi proposal list` shows them");
        }
        (Refusal::ProposalEnded, Some(known)) => {
            let by = if known.decided_by.is_empty() { String::new() } else { format!(" by {}", known.decided_by) };
            return format!("proposal {id} is {}{by}", known.state.name());
        }
        (Refusal::BalanceTooLow, _) => "the account that is debited does not hold the amount".to_owned(),
        (Refusal::NotNow, Some(known)) => match known.what.payout() {
            Some((merchant, payout)) => match app.store.payout(merchant, payout).await {
                Ok(Some(payout)) => not_now(&known.what, &payout),
                Ok(None) | Err(_) => refusal.as_str().to_owned(),
            },
            None => refusal.as_str().to_owned(),
        },
        _ => refusal.as_str().to_owned(),
    };
    let stays = if ended { "" } else { " and stays proposed" };
    format!("proposal {id} was not carried out{stays}: {why}")
}

fn not_now(what: &What, payout: &Payout) -> String {
    let held = if payout.held { " and held" } else { "" };
    let needed = match what {
        What::DeclarePaid { .. } => {
            "only what is at the bank by that attempt, or is queued and held, can be declared paid"
        }
        What::DeclareFailed { .. } => {
            "only what is at the bank, after the last moment at which our request may have left us, or is queued and held, \
             can be declared failed"
        }
        What::Resume { .. } => {
            "only what is queued and held can be resumed, and only while an attempt and a connector are left"
        }
        _ => "its state does not allow this",
    };
    format!("payout {} is {}{held}; {needed}", payout.order.id, payout.state.name())
}

/// The house's accounts, and what each bank holds for all books together.
pub async fn house(app: &App) -> Answer {
    let books = app.store.books().await.map_err(text)?;
    let mut banks: BTreeMap<Connector, (i64, i64)> = BTreeMap::new();
    let mut own = [Balance::ZERO; HouseAccount::ALL.len()];
    for book in &books {
        for (connector, balance) in &book.accounts.banks {
            let (house, merchants) = banks.entry(*connector).or_default();
            let side = if book.id == MerchantId::HOUSE { house } else { merchants };
            *side = side.checked_add(balance.paise()).ok_or("the banks' balances do not fit")?;
        }
        if book.id == MerchantId::HOUSE {
            own = book.accounts.house;
        }
    }
    let mut document = json!({});
    for (account, balance) in HouseAccount::ALL.iter().zip(own) {
        document[account.name()] = json!(balance.to_string());
    }
    let bank = |(connector, (house, merchants)): (&Connector, &(i64, i64))| {
        // The books keep the other side: minus what the bank holds.
        let holds = |paise: i64| Balance::from_paise(paise.saturating_neg()).to_string();
        json!({
            "connector": connector.as_str(), "for_the_house": holds(*house), "for_merchants": holds(*merchants),
            "together": holds(house.saturating_add(*merchants)),
        })
    };
    document["banks_hold"] = Value::Array(banks.iter().map(bank).collect());
    Ok(document)
}

/// Gives an exception to an operator; `none` gives it back.
pub async fn exception_assign(app: &App, exception_id: &str, name: &str) -> Answer {
    let key = known_exception(app, exception_id).await?.0;
    let assignee = (name != "none").then_some(name);
    if assignee.is_some_and(|name| person(name).is_none()) {
        return Err(Refusal::OperatorUnnamed.as_str().replace("Your name", "An operator's name"));
    }
    app.writer.write(stored::exception_assign(&key, assignee)).await.map_err(text)?;
    admin::exception_show(app, exception_id).await
}

/// The operator's name, if it tells people apart.
fn operator(actor: &Actor) -> Result<&str, String> {
    match actor {
        Actor::Operator(name) if person(name).is_some() => Ok(name),
        Actor::Operator(_) | Actor::Token(_) | Actor::Connector(_) | Actor::System => {
            Err(Refusal::OperatorUnnamed.as_str().to_owned())
        }
    }
}

fn reason_of(reason: &str) -> Result<&str, String> {
    let fits =
        !reason.trim().is_empty() && reason.chars().count() <= REASON_MAX && !reason.chars().any(char::is_control);
    fits.then_some(reason).ok_or_else(|| format!("`--reason` must be 1 to {REASON_MAX} characters on one line"))
}

/// What an operator means: everything that he names is looked up, and what does not exist is refused at once.
async fn what(app: &App, ask: Ask) -> Result<What, String> {
    Ok(match ask {
        Ask::DeclarePaid { payout, utr, reference } => {
            let payout = find_payout(app, &payout).await?;
            let at = attempt(app, &payout, reference.as_deref(), false).await?;
            What::DeclarePaid { at, bank_reference: bank_reference("--utr", &utr)? }
        }
        Ask::DeclareFailed { payout } => {
            let order = find_payout(app, &payout).await?.order;
            What::DeclareFailed { merchant: order.merchant, payout: order.id }
        }
        Ask::Resume { payout } => {
            let order = find_payout(app, &payout).await?.order;
            What::Resume { merchant: order.merchant, payout: order.id }
        }
        Ask::Collect { payout, reference } => {
            let payout = find_payout(app, &payout).await?;
            What::Collect { at: attempt(app, &payout, reference.as_deref(), true).await? }
        }
        Ask::WriteOff { payout, reference } => {
            let payout = find_payout(app, &payout).await?;
            What::WriteOff { at: attempt(app, &payout, reference.as_deref(), true).await? }
        }
        Ask::Withdraw { merchant: id, amount: rupees, utr, connector: bank } => What::Withdraw {
            merchant: merchant(app, &id).await?.id,
            connector: connector(&bank)?,
            bank_reference: bank_reference("--utr", &utr)?,
            amount: amount("--amount", &rupees)?,
        },
        Ask::Adjust { from, to, amount: rupees, through } => adjustment(app, &from, &to, &rupees, through).await?,
        Ask::Suspense { amount: rupees, reference, connector: bank } => What::Suspense {
            connector: connector(&bank)?,
            bank_reference: bank_reference("--reference", &reference)?,
            amount: amount("--amount", &rupees)?,
        },
        Ask::Identify { merchant: id, reference, connector: bank } => What::Identify {
            merchant: merchant(app, &id).await?.id,
            connector: connector(&bank)?,
            bank_reference: bank_reference("--reference", &reference)?,
        },
        Ask::Resolve { exception } => {
            let (exception, known) = known_exception(app, &exception).await?;
            if !known.open {
                return Err(Refusal::ExceptionUnknown.as_str().to_owned());
            }
            What::Resolve { exception, payout: known.payout, detail: known.detail }
        }
    })
}

async fn adjustment(app: &App, from: &str, to: &str, rupees: &str, through: Option<String>) -> Result<What, String> {
    let (from, to) = (side(app, "--from", from).await?, side(app, "--to", to).await?);
    let through = through.as_deref().map(connector).transpose()?;
    let houses = [from, to].iter().filter(|side| side.book == MerchantId::HOUSE).count();
    if from == to {
        return Err("--from and --to are the same account".to_owned());
    }
    match (from.book == to.book, through) {
        (true, None) => {}
        (true, Some(_)) => return Err("--through is for two books; both accounts are in one".to_owned()),
        (false, _) if houses != 1 => {
            return Err("money passes between a merchant and the house only, not between two merchants".to_owned());
        }
        (false, None) => return Err("money passes from book to book through a bank; name it with --through".to_owned()),
        (false, Some(bank)) if [from.account, to.account].contains(&Account::Bank(bank)) => {
            return Err(format!("--through {bank} is one of the two accounts; name an account on the other side"));
        }
        (false, Some(_)) => {}
    }
    Ok(What::Adjust { from, to, through, amount: amount("--amount", rupees)? })
}

/// `BOOK/ACCOUNT`.
async fn side(app: &App, option: &str, words: &str) -> Result<Side, String> {
    let wrong = || {
        let house = HouseAccount::ALL.map(HouseAccount::name).join(", ");
        format!(
            "{option} `{words}` is not an account; write MERCHANT/wallet, MERCHANT/fees, MERCHANT/gst, MERCHANT/bank:CONNECTOR, \
             or house/ and one of {house}, bank:CONNECTOR"
        )
    };
    let (book, account) = words.split_once('/').ok_or_else(wrong)?;
    let account = Account::parse(account).filter(|account| *account != Account::Reserved).ok_or_else(wrong)?;
    let book = if book == HOUSE { MerchantId::HOUSE } else { merchant(app, book).await?.id };
    if account.is_of(book) { Ok(Side { book, account }) } else { Err(wrong()) }
}

fn bank_reference(option: &str, reference: &str) -> Result<Box<str>, String> {
    let fits = (1..=64).contains(&reference.len()) && reference.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| reference.into()).ok_or_else(|| {
        format!("{option} must be 1 to 64 printable characters without spaces: what the bank calls it (UTR or RRN)")
    })
}

async fn known_exception(app: &App, exception_id: &str) -> Result<(ExceptionKey, KnownException), String> {
    let unknown = || format!("there is no exception `{exception_id}`; `hundi exception list` shows them");
    let key = exception_key(exception_id).ok_or_else(unknown)?;
    let known = app.store.told(&key).await.map_err(text)?.ok_or_else(unknown)?;
    Ok((key, known))
}

/// The attempt that is meant: the one with this reference; or else, where a bank has `paid` unexpectedly, the one that an open
/// exception is about, and otherwise the last one, or of what is queued the one that a bank spoke of.
async fn attempt(app: &App, payout: &Payout, reference: Option<&str>, paid: bool) -> Result<AttemptAt, String> {
    let (merchant, id) = (payout.order.merchant, payout.order.id);
    let at = |connector, reference| AttemptAt { merchant, payout: id, connector, reference };
    if let Some(words) = reference {
        let wrong =
            || format!("--reference `{words}` is not of payout {id}; `hundi payout show {id}` shows its attempts");
        let reference = Reference::parse(words).ok_or_else(wrong)?;
        for connector in connectors_of(app, payout) {
            let known = app.store.reference(connector, reference).await.map_err(text)?;
            if known.is_some_and(|known| known.payout == id) {
                return Ok(at(connector, reference));
            }
        }
        return Err(wrong());
    }
    let told = app.store.told_of_payout(merchant, id).await.map_err(text)?;
    let told = told.iter().filter(|((.., kind), known)| known.open && kind.is_to_be_borne());
    let told: BTreeSet<(Connector, Reference)> =
        told.filter_map(|((connector, reference, _), _)| Some((*connector, Reference::parse(reference)?))).collect();
    match (told.len(), paid || payout.state == State::Queued) {
        (1, true) => {
            let one = told.first().copied();
            one.map(|(connector, reference)| at(connector, reference)).ok_or_else(|| ambiguous(id))
        }
        (0, true) if paid => Err(Refusal::NotPaidThere.as_str().to_owned()),
        (2.., true) => Err(ambiguous(id)),
        _ => match (payout.connector, payout.reference) {
            (Some(connector), Some(reference)) => Ok(at(connector, reference)),
            _ => Err(format!("payout {id} was never sent")),
        },
    }
}

fn ambiguous(payout: PayoutId) -> String {
    format!("banks speak of more than one attempt of payout {payout}; name one with --reference")
}

/// A proposal with all that was said.
async fn shown(app: &App, proposal: &Proposal) -> Answer {
    Ok(line(app, proposal, &names(app).await?))
}

fn line(app: &App, proposal: &Proposal, names: &BTreeMap<MerchantId, String>) -> Value {
    let late = proposal.state == ProposalState::Proposed && proposal.expires_at <= app.clock.now();
    let state = if late { ProposalState::Expired } else { proposal.state };
    let mut shown = json!({
        "proposal_id": proposal.id,
        "what": proposal.what.name(),
        "state": state.name(),
    });
    about(&mut shown, &proposal.what, names);
    shown["reason"] = json!(&*proposal.reason);
    shown["proposed_by"] = json!(&*proposal.proposed_by);
    shown["proposed_at"] = json!(proposal.proposed_at.to_string());
    match state {
        ProposalState::Proposed => {
            shown["expires_at"] = json!(proposal.expires_at.to_string());
            shown["next"] = json!(format!("another operator: hundi approve {0}, or hundi reject {0}", proposal.id));
        }
        ProposalState::Approved | ProposalState::Rejected => {
            shown["decided_by"] = json!(&*proposal.decided_by);
            shown["decided_at"] = json!(proposal.decided_at.map(|at| at.to_string()));
            if !proposal.decided_why.is_empty() {
                shown["decided_why"] = json!(&*proposal.decided_why);
            }
        }
        ProposalState::Expired => shown["expires_at"] = json!(proposal.expires_at.to_string()),
    }
    shown
}

/// What a proposal is about.
fn about(shown: &mut Value, what: &What, names: &BTreeMap<MerchantId, String>) {
    let name = |book: MerchantId| match names.get(&book) {
        Some(name) => name.clone(),
        None => HOUSE.to_owned(),
    };
    if let Some((merchant, payout)) = what.payout() {
        shown["merchant_id"] = json!(name(merchant));
        shown["payout_id"] = json!(payout.to_string());
    }
    if let Some(at) = what.attempt() {
        shown["connector"] = json!(at.connector.as_str());
        shown["reference"] = json!(at.reference.as_str());
    }
    match what {
        What::DeclarePaid { bank_reference, .. } => shown["bank_reference"] = json!(&**bank_reference),
        What::DeclareFailed { .. } | What::Resume { .. } | What::Collect { .. } | What::WriteOff { .. } => {}
        What::Withdraw { merchant, connector, bank_reference, amount } => {
            shown["merchant_id"] = json!(name(*merchant));
            shown["amount"] = json!(amount.to_string());
            (shown["connector"], shown["bank_reference"]) = (json!(connector.as_str()), json!(&**bank_reference));
        }
        What::Adjust { from, to, through, amount } => {
            shown["from"] = json!(format!("{}/{}", name(from.book), from.account));
            shown["to"] = json!(format!("{}/{}", name(to.book), to.account));
            shown["amount"] = json!(amount.to_string());
            if let Some(bank) = through {
                shown["through"] = json!(bank.as_str());
            }
        }
        What::Suspense { connector, bank_reference, amount } => {
            shown["amount"] = json!(amount.to_string());
            (shown["connector"], shown["bank_reference"]) = (json!(connector.as_str()), json!(&**bank_reference));
        }
        What::Identify { merchant, connector, bank_reference } => {
            shown["merchant_id"] = json!(name(*merchant));
            (shown["connector"], shown["bank_reference"]) = (json!(connector.as_str()), json!(&**bank_reference));
        }
        What::Resolve { exception, detail, .. } => {
            shown["exception_id"] = json!(exception_id(exception));
            shown["detail"] = json!(&**detail);
        }
    }
}

fn exception_id((connector, reference, kind): &(Connector, Box<str>, ExceptionKind)) -> String {
    format!("{connector}/{reference}/{}", kind.name())
}
