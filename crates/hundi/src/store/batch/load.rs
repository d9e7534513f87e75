//! What a batch reads before it decides: everything that its commands name, with the wallets locked.

use super::{
    ACCOUNTS, BY_ID, BY_ORDER, HOLD, HOUSE, Loaded, META, REFERENCES, decode_connector, decode_merchant, decode_payout,
    reference_key, small, text,
};
use crate::store::credits::{self, CREDITS, CREDITS_NAMED, CREDITS_NEAR, CREDITS_TOLD};
use crate::store::forgotten::{self, FORGOTTEN};
use crate::store::proposals::{BORNE, PROPOSALS, TOLD, TOLD_OF_PAYOUTS, WITHDRAWALS, decode_proposal, decode_told};
use crate::store::{Row, StoreError, Tx, Value};
use hundi_core::command::{Command, ExceptionKey, Rules};
use hundi_core::ids::{Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::payout::State;
use hundi_core::proposal::{Proposal, ProposalState, What};
use std::collections::BTreeSet;

/// Whether a hold of the installation has a say in it.
fn is_held_back(command: &Command) -> bool {
    match command {
        Command::CreatePayout(_)
        | Command::Start { .. }
        | Command::Expire { .. }
        | Command::Cancel { .. }
        | Command::Recognise { .. }
        | Command::Approve { .. } => true,
        Command::Record { .. }
        | Command::Enquire { .. }
        | Command::Wait { .. }
        | Command::Fund { .. }
        | Command::Credit { .. }
        | Command::Reject { .. } => false,
    }
}

/// What proposals are about.
#[derive(Default)]
struct About {
    books: BTreeSet<MerchantId>,
    payouts: BTreeSet<(MerchantId, PayoutId)>,
    attempts: Vec<(Connector, Reference)>,
    credits: Vec<(Connector, Box<str>)>,
    debits: Vec<(Connector, Box<str>)>,
    exceptions: Vec<ExceptionKey>,
}

impl About {
    fn add(&mut self, what: &What) {
        self.books.extend(what.books());
        self.payouts.extend(what.payout());
        self.attempts.extend(what.attempt().map(|at| (at.connector, at.reference)));
        self.debits.extend(what.debit().map(|(connector, debit)| (connector, debit.into())));
        match what {
            What::Suspense { connector, bank_reference, .. } | What::Identify { connector, bank_reference, .. } => {
                self.credits.push((*connector, bank_reference.clone()));
            }
            What::Resolve { exception, .. } => self.exceptions.push(exception.clone()),
            What::DeclarePaid { .. }
            | What::DeclareFailed { .. }
            | What::Resume { .. }
            | What::Collect { .. }
            | What::WriteOff { .. }
            | What::Withdraw { .. }
            | What::Adjust { .. } => {}
        }
    }
}

/// Reads and locks the proposals that commands name: what they are about says what else is needed.
async fn load_proposals(tx: &mut Tx<'_>, loaded: &mut Loaded, commands: &[&Command]) -> Result<About, StoreError> {
    let named = commands.iter().filter_map(|command| match command {
        Command::Approve { proposal, .. } | Command::Reject { proposal, .. } => Some(*proposal),
        _ => None,
    });
    let named: BTreeSet<i64> = named.collect();
    let mut about = About::default();
    if named.is_empty() {
        return Ok(about);
    }
    let mut found = tx.find(&[(&PROPOSALS, named.into_iter().map(Value::Int).collect())]).await?;
    for row in found.pop().unwrap_or_default() {
        let proposal: Proposal = decode_proposal(row)?;
        about.add(&proposal.what);
        loaded.snapshot.proposals.insert(proposal.id, proposal);
    }
    Ok(about)
}

/// What is known of the attempts and payouts that proposals are about. After the wallets are locked: what banks say of these
/// payouts is written under that lock.
async fn load_told(tx: &mut Tx<'_>, loaded: &mut Loaded, about: &About) -> Result<(), StoreError> {
    if about.payouts.is_empty() && about.exceptions.is_empty() && about.debits.is_empty() {
        return Ok(());
    }
    let keys = about.payouts.iter().flat_map(|(merchant, payout)| [Value::Int(merchant.0), Value::Int(payout.0)]);
    let named = about.exceptions.iter();
    let named = named
        .flat_map(|(connector, reference, kind)| [text(connector.as_str()), text(reference), Value::Int(*kind as i64)]);
    let attempts = about.attempts.iter().flat_map(|(connector, reference)| reference_key(*connector, *reference));
    let debits = about.debits.iter().flat_map(|(connector, debit)| [text(connector.as_str()), text(debit)]);
    let wanted = [
        (&TOLD_OF_PAYOUTS, keys.collect()),
        (&TOLD, named.collect()),
        (&BORNE, attempts.collect()),
        (&WITHDRAWALS, debits.collect()),
    ];
    let mut found = tx.find(&wanted).await?.into_iter();
    for row in found.next().unwrap_or_default().into_iter().chain(found.next().unwrap_or_default()) {
        let (key, known) = decode_told(row)?;
        loaded.snapshot.exceptions.insert(key, known);
    }
    for mut row in found.next().unwrap_or_default() {
        let connector = decode_connector(&row.text()?)?;
        loaded.snapshot.borne.extend(Reference::parse(&row.text()?).map(|reference| (connector, reference)));
    }
    for mut row in found.next().unwrap_or_default() {
        let debit = (decode_connector(&row.text()?)?, row.text()?.into());
        if row.int()? == ProposalState::Approved as i64 {
            loaded.snapshot.withdrawn.insert(debit);
        }
    }
    Ok(())
}

/// What the commands of a batch name.
#[derive(Default)]
struct Named<'a> {
    merchants: BTreeSet<MerchantId>,
    orders: BTreeSet<(MerchantId, &'a str)>,
    payouts: BTreeSet<(MerchantId, PayoutId)>,
    credits: BTreeSet<(Connector, &'a str)>,
    /// Amounts and days of credits that may be told of under other names.
    near: BTreeSet<(Connector, i64, i64)>,
    /// Lines that tell of credits, and may have told of them under other names.
    telling: BTreeSet<(Connector, &'a str)>,
    /// Whether a credit is booked: that is done under the lock of the house's book, whosever it is, so that one that has two
    /// names is seen by whoever comes second.
    credited: bool,
    /// References that banks speak of.
    spoken_of: BTreeSet<(Connector, Reference)>,
    /// References that starts may take.
    taken: Vec<(Connector, [Reference; 2])>,
}

impl<'a> Named<'a> {
    fn by(commands: &[&'a Command], about: &'a About) -> Named<'a> {
        let mut named = Named::default();
        let mut created = BTreeSet::new();
        let Named { merchants, orders, payouts, credits, near, telling, credited, spoken_of, taken } = &mut named;
        for command in commands {
            match command {
                Command::CreatePayout(order) => {
                    merchants.insert(order.merchant);
                    created.insert(order.id);
                    orders.insert((order.merchant, order.order.as_str()));
                }
                Command::Start { merchant, payout, connector, references, .. } => {
                    merchants.insert(*merchant);
                    if !created.contains(payout) {
                        payouts.insert((*merchant, *payout));
                    }
                    taken.push((*connector, *references));
                }
                Command::Record { connector, reference, .. } => {
                    spoken_of.insert((*connector, *reference));
                }
                Command::Enquire { merchant, payout, .. }
                | Command::Wait { merchant, payout }
                | Command::Recognise { merchant, payout }
                | Command::Expire { merchant, payout }
                | Command::Cancel { merchant, payout, .. } => {
                    merchants.insert(*merchant);
                    payouts.insert((*merchant, *payout));
                }
                Command::Fund { merchant, connector, reference, .. } => {
                    merchants.insert(*merchant);
                    credits.insert((*connector, &**reference));
                    *credited = true;
                }
                Command::Credit { line, .. } => {
                    merchants.extend(line.whose);
                    let names = [&line.reference].into_iter().chain(line.names.iter().map(|(name, _)| name));
                    credits.extend(names.map(|name| (line.connector, &**name)));
                    telling.insert((line.connector, &*line.line));
                    near.extend(line.days().map(|day| (line.connector, line.amount.paise(), day)));
                    *credited = true;
                }
                Command::Approve { .. } | Command::Reject { .. } => {}
            }
        }
        merchants.extend(about.books.iter().filter(|book| **book != MerchantId::HOUSE));
        payouts.extend(&about.payouts);
        credits.extend(about.credits.iter().map(|(connector, reference)| (*connector, &**reference)));
        named
    }
}

/// Reads everything that the commands name, and locks the wallets.
pub async fn load(tx: &mut Tx<'_>, commands: &[&Command], rules: &Rules) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    let about = load_proposals(tx, &mut loaded, commands).await?;
    let Named { mut merchants, orders, mut payouts, credits, near, telling, credited, spoken_of, taken } =
        Named::by(commands, &about);
    let house = about.books.contains(&MerchantId::HOUSE) || credited;
    let house = if house { vec![Value::Int(MerchantId::HOUSE.0)] } else { Vec::new() };
    let called: Vec<Value> =
        credits.iter().flat_map(|(connector, name)| [text(connector.as_str()), text(name)]).collect();
    let named = credits.iter().flat_map(|(connector, name)| credits::kept_names(*connector, name)).collect();
    let near = near
        .iter()
        .flat_map(|(connector, paise, day)| [text(connector.as_str()), Value::Int(*paise), Value::Int(*day)]);
    let telling = telling.iter().flat_map(|(connector, line)| [text(connector.as_str()), text(line)]);
    let mut hold = commands.iter().any(|command| is_held_back(command));
    // Which payout a reference belongs to never changes, so this needs no lock; it says whose lock is needed.
    let known = load_spoken_of(tx, &mut loaded, rules, &spoken_of).await?;
    merchants.extend(known.iter().map(|(merchant, _)| *merchant));
    payouts.extend(known);
    // What is not known may have been forgotten.
    hold |= spoken_of.iter().any(|key| !loaded.snapshot.references.contains_key(key));
    let hold = if hold { vec![text(HOLD), text(FORGOTTEN)] } else { Vec::new() };
    let mut found = tx
        .find(&[
            (&HOUSE, house),
            (&ACCOUNTS, merchants.iter().map(|merchant| Value::Int(merchant.0)).collect()),
            (&BY_ORDER, orders.iter().flat_map(|(merchant, order)| [Value::Int(merchant.0), text(order)]).collect()),
            (
                &BY_ID,
                payouts.iter().flat_map(|(merchant, payout)| [Value::Int(merchant.0), Value::Int(payout.0)]).collect(),
            ),
            (&CREDITS, called),
            (&CREDITS_NEAR, near.collect()),
            (&CREDITS_TOLD, telling.collect()),
            (&CREDITS_NAMED, named),
            (
                &REFERENCES,
                taken
                    .iter()
                    .map(|(connector, [first, _])| (*connector, *first))
                    .chain(about.attempts.iter().copied())
                    .flat_map(|(connector, reference)| reference_key(connector, reference))
                    .collect(),
            ),
            (&META, hold),
        ])
        .await?
        .into_iter();
    let mut next = || found.next().unwrap_or_default();
    for row in next().into_iter().chain(next()) {
        let (id, merchant, link) = decode_merchant(row)?;
        loaded.snapshot.merchants.insert(id, merchant);
        loaded.links.insert(id, link);
    }
    for row in next().into_iter().chain(next()) {
        let payout = decode_payout(row)?;
        let order = &payout.order;
        loaded.snapshot.orders.insert((order.merchant, order.order.clone()), order.id);
        loaded.versions.insert(order.id, payout.version);
        loaded.snapshot.payouts.insert(order.id, payout);
    }
    for row in next().into_iter().chain(next()).chain(next()) {
        credits::load(&mut loaded.snapshot, row, false)?;
    }
    for row in next() {
        credits::load(&mut loaded.snapshot, row, true)?;
    }
    decode_references(&mut loaded, next())?;
    let names = next().iter_mut().map(Row::text).collect::<Result<Vec<_>, _>>()?;
    loaded.snapshot.on_hold = names.iter().any(|name| name == HOLD);
    if names.iter().any(|name| name == FORGOTTEN) {
        load_forgotten(tx, &mut loaded, rules, &orders, &spoken_of).await?;
    }
    // The second is for the case that the first is taken.
    let again =
        taken.iter().filter(|(connector, [first, _])| loaded.snapshot.references.contains_key(&(*connector, *first)));
    let again: Vec<Value> = again.flat_map(|(connector, [_, second])| reference_key(*connector, *second)).collect();
    if !again.is_empty() {
        load_references(tx, &mut loaded, again).await?;
    }
    load_told(tx, &mut loaded, &about).await?;
    Ok(loaded)
}

/// Reads whose the references are that banks speak of; and of those with our mark that nobody knows at their connector,
/// whether another one knows them.
async fn load_spoken_of(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    rules: &Rules,
    spoken_of: &BTreeSet<(Connector, Reference)>,
) -> Result<Vec<(MerchantId, PayoutId)>, StoreError> {
    if spoken_of.is_empty() {
        return Ok(Vec::new());
    }
    let keys = spoken_of.iter().flat_map(|(connector, reference)| reference_key(*connector, *reference)).collect();
    let known = load_references(tx, loaded, keys).await?;
    let unknown = spoken_of.iter().filter(|key| !loaded.snapshot.references.contains_key(key));
    let ours = unknown.filter(|(_, reference)| reference.is_of(&rules.installation));
    let all = |reference| rules.connectors.iter().map(move |rules| reference_key(rules.connector, reference));
    let keys: Vec<Value> = ours.flat_map(|(_, reference)| all(*reference)).flatten().collect();
    if !keys.is_empty() {
        load_references(tx, loaded, keys).await?;
    }
    Ok(known)
}

/// Reads what banks have said of the references that the orders may have had, and of those that they speak of now.
async fn load_forgotten(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    rules: &Rules,
    orders: &BTreeSet<(MerchantId, &str)>,
    spoken_of: &BTreeSet<(Connector, Reference)>,
) -> Result<(), StoreError> {
    let mut names: BTreeSet<Reference> = spoken_of.iter().map(|(_, reference)| *reference).collect();
    let new = orders.iter().filter_map(|(merchant, order)| Some((*merchant, OrderId::parse(order)?)));
    let unpaid = |state: State| state.is_open() || matches!(state, State::Failed | State::Cancelled);
    let unpaid = loaded.snapshot.payouts.values().filter(|payout| unpaid(payout.state));
    let unpaid = unpaid.map(|payout| (payout.order.merchant, payout.order.order.clone()));
    for (merchant, order) in new.chain(unpaid) {
        names.extend(hundi_core::forgotten::references(rules, merchant, &order).map(|(_, reference)| reference));
    }
    let keys: Vec<Value> = names.iter().map(|reference| text(reference.as_str())).collect();
    if keys.is_empty() {
        return Ok(());
    }
    for mut row in tx.find(&[(&forgotten::BY_REFERENCE, keys)]).await?.into_iter().flatten() {
        let one = forgotten::decode(&mut row)?;
        loaded.snapshot.forgotten.entry(one.reference).or_default().push(one);
    }
    // One that a payout has taken since is not forgotten any more.
    let found = loaded.snapshot.forgotten.values().flatten();
    let keys: Vec<Value> = found.flat_map(|one| reference_key(one.connector, one.reference)).collect();
    if !keys.is_empty() {
        load_references(tx, loaded, keys).await?;
    }
    Ok(())
}

async fn load_references(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    keys: Vec<Value>,
) -> Result<Vec<(MerchantId, PayoutId)>, StoreError> {
    let mut found = tx.find(&[(&REFERENCES, keys)]).await?;
    decode_references(loaded, found.pop().unwrap_or_default())
}

fn decode_references(loaded: &mut Loaded, rows: Vec<Row>) -> Result<Vec<(MerchantId, PayoutId)>, StoreError> {
    let mut found = Vec::with_capacity(rows.len());
    for mut row in rows {
        let connector = decode_connector(&row.text()?)?;
        let reference = Reference::parse(&row.text()?);
        let reference = reference.ok_or_else(|| StoreError::Corrupt("a reference is not valid".into()))?;
        let (merchant, payout, attempt) = (MerchantId(row.int()?), PayoutId(row.int()?), small(row.int()?)?);
        loaded.snapshot.references.insert((connector, reference), (payout, attempt));
        found.push((merchant, payout));
    }
    Ok(found)
}
