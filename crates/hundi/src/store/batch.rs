//! What a batch of commands reads and writes.
//!
//! [`load`] fills a [`Snapshot`] with everything that the commands name; [`write()`] writes what was decided: the last
//! state of each payout once, however often the batch changed it, and every journal row with its link.

use super::{Arg, Row, StoreError, Tx};
use hundi_core::command::{CallbackWish, Command, Merchant, MerchantState, Snapshot, Transition};
use hundi_core::fees::FeePlan;
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::party::PersonName;
use hundi_core::payout::{Order, Payout, Sealed, State};
use hundi_core::postings::{Accounts, chain};
use hundi_core::rails::{RAILS, Rail};
use hundi_core::schedule::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A snapshot and what it takes to write it back.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What the commands are decided on.
    pub snapshot: Snapshot,
    /// The version under which each payout was read.
    versions: BTreeMap<PayoutId, i64>,
    /// The last link of each merchant's journal.
    links: BTreeMap<MerchantId, [u8; 32]>,
}

macro_rules! payout_columns {
    () => {
        "merchant_id, payout_id, order_id, rail, amount_paise, fee_paise, gst_paise, fingerprint, sealed, name, hint, actor, \
         created_at, state, held, attempts, connector, reference, paid_attempt, refused_by, send_before, enquiries, next_at, \
         queue_until, rrn, reason, updated_at, news, version"
    };
}
pub(super) use payout_columns;

const PAYOUT_BY_ID: &str =
    concat!("SELECT ", payout_columns!(), " FROM payouts WHERE merchant_id = $1 AND payout_id = $2");
const PAYOUT_BY_ORDER: &str =
    concat!("SELECT ", payout_columns!(), " FROM payouts WHERE merchant_id = $1 AND order_id = $2");
const PAYOUT_INSERT: &str = concat!(
    "INSERT INTO payouts (",
    payout_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, \
     $25, $26, $27, $28, $29)"
);
const PAYOUT_UPDATE: &str = "UPDATE payouts SET state = $1, held = $2, attempts = $3, connector = $4, reference = $5, \
    paid_attempt = $6, refused_by = $7, send_before = $8, enquiries = $9, next_at = $10, rrn = $11, reason = $12, \
    updated_at = $13, news = $14, version = $15 WHERE merchant_id = $16 AND payout_id = $17 AND version = $18";
const MERCHANT: &str = "SELECT a.wallet_paise, a.reserved_paise, a.fees_paise, a.gst_paise, a.banks, a.journal_seq, a.journal_at, \
    a.journal_link, a.day, a.day_paise, m.state, m.payout_most_paise, m.day_most_paise, m.fees_neft, m.fees_rtgs, m.fees_imps, \
    m.fees_upi, CASE WHEN m.callback_url IS NULL THEN 0 ELSE 1 + m.callback_pending END \
    FROM accounts a JOIN merchants m ON m.merchant_id = a.merchant_id WHERE a.merchant_id = $1";
const ACCOUNTS_UPDATE: &str = "UPDATE accounts SET wallet_paise = $1, reserved_paise = $2, fees_paise = $3, gst_paise = $4, banks = $5, \
    journal_seq = $6, journal_at = $7, journal_link = $8, day = $9, day_paise = $10 WHERE merchant_id = $11";
const REFERENCE: &str =
    "SELECT merchant_id, payout_id, attempt FROM bank_references WHERE connector = $1 AND reference = $2";
const REFERENCE_INSERT: &str = "INSERT INTO bank_references (connector, reference, merchant_id, payout_id, attempt) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (connector, reference) DO NOTHING";
const CREDIT: &str = "SELECT merchant_id, amount_paise FROM bank_credits WHERE connector = $1 AND reference = $2";
const CREDIT_INSERT: &str =
    "INSERT INTO bank_credits (connector, reference, merchant_id, amount_paise) VALUES ($1, $2, $3, $4)";
const JOURNAL_INSERT: &str = "INSERT INTO journal (merchant_id, seq, at, kind, amount_paise, fee_paise, gst_paise, payout_id, \
    connector, actor, memo, wallet_after_paise, link) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const HISTORY_INSERT: &str = "INSERT INTO payout_history (merchant_id, payout_id, version, at, event, actor, detail) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const CALLBACK_INSERT: &str = "INSERT INTO callbacks (merchant_id, payout_id, seq, news, rrn, state, tries, next_at, result, \
    created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 1, 0, $6, '', $7, $8)";
const EXCEPTION_INSERT: &str = "INSERT INTO exceptions (connector, reference, kind, merchant_id, payout_id, detail, at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (connector, reference, kind) DO NOTHING";

/// Reads everything that the commands name.
pub async fn load(tx: &mut Tx<'_>, commands: &[&Command]) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    let mut merchants = BTreeSet::new();
    let mut created = BTreeSet::new();
    for command in commands {
        match command {
            Command::CreatePayout(order) => {
                merchants.insert(order.merchant);
                created.insert(order.id);
                let key = [Arg::Int(order.merchant.0), Arg::Text(order.order.as_str())];
                load_payout(tx, &mut loaded, PAYOUT_BY_ORDER, &key).await?;
            }
            Command::Start { merchant, payout, connector, references, .. } => {
                merchants.insert(*merchant);
                if !created.contains(payout) {
                    load_by_id(tx, &mut loaded, *merchant, *payout).await?;
                }
                for reference in references {
                    // The second is for the case that the first is taken.
                    if load_reference(tx, &mut loaded, *connector, *reference).await?.is_none() {
                        break;
                    }
                }
            }
            Command::Record { connector, reference, .. } => {
                if let Some((merchant, payout)) = load_reference(tx, &mut loaded, *connector, *reference).await? {
                    merchants.insert(merchant);
                    load_by_id(tx, &mut loaded, merchant, payout).await?;
                }
            }
            Command::Enquire { merchant, payout, .. }
            | Command::Expire { merchant, payout }
            | Command::Cancel { merchant, payout, .. } => {
                merchants.insert(*merchant);
                load_by_id(tx, &mut loaded, *merchant, *payout).await?;
            }
            Command::Fund { merchant, connector, reference, .. } => {
                merchants.insert(*merchant);
                let key = [Arg::Text(connector.as_str()), Arg::Text(reference)];
                for mut row in tx.query(CREDIT, &key).await? {
                    let credit = (MerchantId(row.int()?), amount(row.int()?)?);
                    loaded.snapshot.credits.insert((*connector, reference.clone()), credit);
                }
            }
        }
    }
    for merchant in merchants {
        for row in tx.query(MERCHANT, &[Arg::Int(merchant.0)]).await? {
            let (decoded, link) = decode_merchant(row)?;
            loaded.snapshot.merchants.insert(merchant, decoded);
            loaded.links.insert(merchant, link);
        }
    }
    Ok(loaded)
}

async fn load_by_id(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    merchant: MerchantId,
    payout: PayoutId,
) -> Result<(), StoreError> {
    if loaded.snapshot.payouts.contains_key(&payout) {
        return Ok(());
    }
    load_payout(tx, loaded, PAYOUT_BY_ID, &[Arg::Int(merchant.0), Arg::Int(payout.0)]).await
}

async fn load_payout(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    sql: &'static str,
    key: &[Arg<'_>],
) -> Result<(), StoreError> {
    for row in tx.query(sql, key).await? {
        let payout = decode_payout(row)?;
        let order = &payout.order;
        loaded.snapshot.orders.insert((order.merchant, order.order.clone()), order.id);
        loaded.versions.insert(order.id, payout.version);
        loaded.snapshot.payouts.insert(order.id, payout);
    }
    Ok(())
}

async fn load_reference(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    connector: Connector,
    reference: Reference,
) -> Result<Option<(MerchantId, PayoutId)>, StoreError> {
    let mut found = None;
    for mut row in tx.query(REFERENCE, &[Arg::Text(connector.as_str()), Arg::Text(reference.as_str())]).await? {
        let (merchant, payout, attempt) = (MerchantId(row.int()?), PayoutId(row.int()?), small(row.int()?)?);
        loaded.snapshot.references.insert((connector, reference), (payout, attempt));
        found = Some((merchant, payout));
    }
    Ok(found)
}

/// Writes what was decided, and gives back how many rows that took. `key` chains the journal.
pub async fn write(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    transitions: &[&Transition],
    key: &[u8; 32],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut rows = 0;
    let mut touched = BTreeSet::new();
    for transition in transitions {
        if let Some(payout) = &transition.payout {
            touched.insert(payout.order.id);
        }
        rows += write_news(tx, transition, now).await?;
        for row in &transition.journal {
            let link = loaded.links.get_mut(&row.merchant).ok_or(StoreError::Conflict)?;
            *link = chain(key, link, row);
            let (movement, actor) = (&row.movement, row.actor.to_string());
            let args = [
                Arg::Int(row.merchant.0),
                Arg::Int(row.seq),
                Arg::Int(row.at.0),
                Arg::Int(movement.kind as i64),
                Arg::Int(movement.cost.amount.paise()),
                Arg::Int(movement.cost.fee_paise),
                Arg::Int(movement.cost.gst_paise),
                row.payout.map_or(Arg::Null, |id| Arg::Int(id.0)),
                movement.connector.as_ref().map_or(Arg::Null, |connector| Arg::Text(connector.as_str())),
                Arg::Text(&actor),
                Arg::Text(&row.memo),
                Arg::Int(row.wallet_after.paise()),
                Arg::Bytes(link.as_slice()),
            ];
            rows += tx.execute(JOURNAL_INSERT, &args).await?;
        }
    }
    for id in touched {
        let payout = loaded.snapshot.payouts.get(&id).ok_or(StoreError::Conflict)?;
        rows += write_payout(tx, payout, loaded.versions.get(&id).copied()).await?;
    }
    for (id, merchant) in loaded.snapshot.merchants.iter().filter(|(_, merchant)| merchant.changed) {
        let (accounts, link) = (&merchant.accounts, loaded.links.get(id).ok_or(StoreError::Conflict)?);
        let banks = encode_banks(&accounts.banks);
        let args = [
            Arg::Int(accounts.wallet.paise()),
            Arg::Int(accounts.reserved.paise()),
            Arg::Int(accounts.fees.paise()),
            Arg::Int(accounts.gst.paise()),
            Arg::Text(&banks),
            Arg::Int(accounts.journal_seq),
            Arg::Int(accounts.journal_at.0),
            Arg::Bytes(link.as_slice()),
            Arg::Int(merchant.day),
            Arg::Int(merchant.day_paise),
            Arg::Int(id.0),
        ];
        rows += tx.execute(ACCOUNTS_UPDATE, &args).await?;
    }
    Ok(rows)
}

/// Everything of a transition but the payout, the journal and the balances.
async fn write_news(tx: &mut Tx<'_>, transition: &Transition, now: Timestamp) -> Result<u64, StoreError> {
    let mut rows = 0;
    if let Some(attempt) = &transition.attempt {
        let args = [
            Arg::Text(attempt.connector.as_str()),
            Arg::Text(attempt.reference.as_str()),
            Arg::Int(attempt.merchant.0),
            Arg::Int(attempt.payout.0),
            Arg::Int(i64::from(attempt.attempt)),
        ];
        rows += tx.execute(REFERENCE_INSERT, &args).await?;
    }
    for callback in &transition.callbacks {
        // All are due at once; that news waits for older news of its payout is seen to when what is due is read.
        let args = [
            Arg::Int(callback.merchant.0),
            Arg::Int(callback.payout.0),
            Arg::Int(i64::from(callback.seq)),
            Arg::Int(callback.news as i64),
            Arg::Text(&callback.rrn),
            Arg::Int(now.0),
            Arg::Int(now.0),
            Arg::Int(now.0),
        ];
        rows += tx.execute(CALLBACK_INSERT, &args).await?;
    }
    if let (Some(history), Some(payout)) = (&transition.history, &transition.payout) {
        let actor = history.actor.to_string();
        let args = [
            Arg::Int(payout.order.merchant.0),
            Arg::Int(payout.order.id.0),
            Arg::Int(payout.version),
            Arg::Int(payout.updated_at.0),
            Arg::Text(&history.event),
            Arg::Text(&actor),
            Arg::Text(&history.detail),
        ];
        rows += tx.execute(HISTORY_INSERT, &args).await?;
    }
    if let Some(exception) = &transition.exception {
        let args = [
            Arg::Text(exception.connector.as_str()),
            Arg::Text(exception.reference.as_str()),
            Arg::Int(exception.kind as i64),
            exception.payout.map_or(Arg::Null, |(merchant, _)| Arg::Int(merchant.0)),
            exception.payout.map_or(Arg::Null, |(_, payout)| Arg::Int(payout.0)),
            Arg::Text(&exception.detail),
            Arg::Int(now.0),
        ];
        rows += tx.execute(EXCEPTION_INSERT, &args).await?;
    }
    if let Some(credit) = &transition.credit {
        let args = [
            Arg::Text(credit.connector.as_str()),
            Arg::Text(&credit.reference),
            Arg::Int(credit.merchant.0),
            Arg::Int(credit.amount.paise()),
        ];
        rows += tx.execute(CREDIT_INSERT, &args).await?;
    }
    Ok(rows)
}

async fn write_payout(tx: &mut Tx<'_>, payout: &Payout, read_version: Option<i64>) -> Result<u64, StoreError> {
    let order = &payout.order;
    let refused_by = payout.refused_by.iter().map(Connector::as_str).collect::<Vec<_>>().join(",");
    let changing = [
        Arg::Int(payout.state as i64),
        Arg::Int(i64::from(payout.held)),
        Arg::Int(i64::from(payout.attempts)),
        payout.connector.as_ref().map_or(Arg::Null, |connector| Arg::Text(connector.as_str())),
        payout.reference.as_ref().map_or(Arg::Null, |reference| Arg::Text(reference.as_str())),
        payout.paid_attempt.map_or(Arg::Null, |attempt| Arg::Int(i64::from(attempt))),
        Arg::Text(&refused_by),
        Arg::Int(payout.send_before.0),
        Arg::Int(i64::from(payout.enquiries)),
        payout.next_at.map_or(Arg::Null, |at| Arg::Int(at.0)),
    ];
    let ending = [
        Arg::Text(&payout.rrn),
        Arg::Text(&payout.reason),
        Arg::Int(payout.updated_at.0),
        Arg::Int(i64::from(payout.news)),
        Arg::Int(payout.version),
    ];
    let Some(version) = read_version else {
        let actor = order.actor.to_string();
        let fixed = [
            Arg::Int(order.merchant.0),
            Arg::Int(order.id.0),
            Arg::Text(order.order.as_str()),
            Arg::Int(order.rail as i64),
            Arg::Int(order.amount.paise()),
            Arg::Int(payout.fee_paise),
            Arg::Int(payout.gst_paise),
            Arg::Bytes(&order.fingerprint),
            Arg::Bytes(&order.sealed.0),
            Arg::Text(order.name.as_str()),
            Arg::Text(&order.hint),
            Arg::Text(&actor),
            Arg::Int(order.created_at.0),
        ];
        let queue_until = [Arg::Int(payout.queue_until.0)];
        return tx.execute(PAYOUT_INSERT, &[&fixed[..], &changing, &queue_until, &ending].concat()).await;
    };
    let key = [Arg::Int(order.merchant.0), Arg::Int(order.id.0), Arg::Int(version)];
    match tx.execute(PAYOUT_UPDATE, &[&changing[..], &ending, &key].concat()).await? {
        1 => Ok(1),
        _ => Err(StoreError::Conflict),
    }
}

/// Reads a payout from a row of its columns.
pub fn decode_payout(mut row: Row) -> Result<Payout, StoreError> {
    let row = &mut row;
    let bad = |what: &str| StoreError::Corrupt(format!("a payout's {what} is not valid"));
    let (merchant, id) = (MerchantId(row.int()?), PayoutId(row.int()?));
    let order_id = OrderId::parse(&row.text()?).ok_or_else(|| bad("order_id"))?;
    let rail = decode_rail(row.int()?)?;
    let (amount, fee_paise, gst_paise) = (amount(row.int()?)?, row.int()?, row.int()?);
    let order = Order {
        merchant,
        id,
        order: order_id,
        rail,
        amount,
        fingerprint: row.hash()?,
        sealed: Sealed(row.bytes()?.into()),
        name: PersonName::parse(&row.text()?).ok_or_else(|| bad("name"))?,
        hint: row.text()?.into(),
        actor: decode_actor(&row.text()?)?,
        created_at: Timestamp(row.int()?),
    };
    Ok(Payout {
        order,
        fee_paise,
        gst_paise,
        state: State::from_number(row.int()?).ok_or_else(|| bad("state"))?,
        held: row.int()? != 0,
        attempts: small(row.int()?)?,
        connector: row.text_or_null()?.map(|name| decode_connector(&name)).transpose()?,
        reference: row
            .text_or_null()?
            .map(|text| Reference::parse(&text).ok_or_else(|| bad("reference")))
            .transpose()?,
        paid_attempt: row.int_or_null()?.map(small).transpose()?,
        refused_by: row
            .text()?
            .split(',')
            .filter(|name| !name.is_empty())
            .map(decode_connector)
            .collect::<Result<_, _>>()?,
        send_before: Timestamp(row.int()?),
        enquiries: small(row.int()?)?,
        next_at: row.int_or_null()?.map(Timestamp),
        queue_until: Timestamp(row.int()?),
        rrn: row.text()?.into(),
        reason: row.text()?.into(),
        updated_at: Timestamp(row.int()?),
        news: small(row.int()?)?,
        version: row.int()?,
    })
}

fn decode_merchant(mut row: Row) -> Result<(Merchant, [u8; 32]), StoreError> {
    let row = &mut row;
    let mut balance = || row.int().map(Balance::from_paise);
    let (wallet, reserved, fees, gst) = (balance()?, balance()?, balance()?, balance()?);
    let banks = decode_banks(&row.text()?)?;
    let accounts =
        Accounts { wallet, reserved, fees, gst, banks, journal_seq: row.int()?, journal_at: Timestamp(row.int()?) };
    let link = row.hash()?;
    let (day, day_paise) = (row.int()?, row.int()?);
    let state = decode_merchant_state(row.int()?)?;
    let (payout_most_paise, day_most_paise) = (row.int_or_null()?, row.int_or_null()?);
    let mut plan = || FeePlan::parse(&row.text()?).map_err(StoreError::Corrupt);
    let fees = [plan()?, plan()?, plan()?, plan()?];
    let callbacks = match row.int()? {
        0 => CallbackWish::Nothing,
        1 => CallbackWish::Final,
        _ => CallbackWish::All,
    };
    Ok((
        Merchant {
            accounts,
            state,
            payout_most_paise,
            day_most_paise,
            fees,
            callbacks,
            day,
            day_paise,
            changed: false,
        },
        link,
    ))
}

/// A merchant's state from its number.
pub fn decode_merchant_state(number: i64) -> Result<MerchantState, StoreError> {
    match number {
        1 => Ok(MerchantState::Active),
        2 => Ok(MerchantState::Suspended),
        _ => Err(StoreError::Corrupt("a merchant's state is not valid".into())),
    }
}

/// A rail from its number.
pub fn decode_rail(number: i64) -> Result<Rail, StoreError> {
    let row = usize::try_from(number).ok().and_then(|number| RAILS.get(number));
    row.map(|rules| rules.rail).ok_or_else(|| StoreError::Corrupt("a rail is not valid".into()))
}

/// A connector from its name.
pub fn decode_connector(name: &str) -> Result<Connector, StoreError> {
    Connector::parse(name).ok_or_else(|| StoreError::Corrupt("a connector's name is not valid".into()))
}

/// An amount from paise.
pub fn amount(paise: i64) -> Result<Amount, StoreError> {
    Amount::from_paise(paise).ok_or_else(|| StoreError::Corrupt("an amount is not positive".into()))
}

/// Who did it, from the text that [`Actor`] prints.
pub fn decode_actor(text: &str) -> Result<Actor, StoreError> {
    let actor = match text.split_once(':') {
        None if text == "system" => Some(Actor::System),
        Some(("token", id)) => id.parse().ok().map(Actor::Token),
        Some(("operator", name)) => Some(Actor::Operator(name.into())),
        Some(("connector", name)) => Connector::parse(name).map(Actor::Connector),
        _ => None,
    };
    actor.ok_or_else(|| StoreError::Corrupt("an actor is not valid".into()))
}

/// `sandbox=-1200,other=500`: the balances of the bank accounts of one merchant, by name.
pub fn decode_banks(text: &str) -> Result<Vec<(Connector, Balance)>, StoreError> {
    let bank = |entry: &str| {
        let (name, paise) = entry.split_once('=')?;
        Some((Connector::parse(name)?, Balance::from_paise(paise.parse().ok()?)))
    };
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    entries
        .map(bank)
        .collect::<Option<_>>()
        .ok_or_else(|| StoreError::Corrupt("a merchant's bank balances are not valid".into()))
}

fn encode_banks(banks: &[(Connector, Balance)]) -> String {
    let mut text = String::new();
    for (connector, balance) in banks {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        write!(text, "{comma}{connector}={}", balance.paise()).unwrap_or_default();
    }
    text
}

fn small(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt("a counter is out of range".into()))
}
