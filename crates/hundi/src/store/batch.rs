//! What a batch of commands reads and writes.
//!
//! [`load`] fills a [`Snapshot`] with everything that the commands name; [`write()`] writes what was decided: the last
//! state of each payout once, however often the batch changed it, and every journal row with its link.

use super::credits::{self, ADD_CREDITS, ADD_NAMES, IDENTIFY_CREDITS, TELL_CREDITS};
use super::files::ADD_FILE_ROWS;
use super::forgotten::{self, FORGOTTEN};
use super::proposals::{END_PROPOSALS, RESOLVE_EXCEPTIONS, ended};
use super::rows;
use super::statements::{Found, MARK_LINES};
use super::{Does, Kind, Lookup, Many, Row, StoreError, Tx, Value};
use hundi_core::command::{
    ByTwo, CallbackWish, ExceptionKey, LineCredited, Merchant, MerchantState, Snapshot, Transition, Way,
};
use hundi_core::fees::FeePlan;
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::party::PersonName;
use hundi_core::payout::{Order, Payout, Sealed, State};
use hundi_core::plant::{Plant, planted};
use hundi_core::postings::{Accounts, HouseAccount, JournalRow, MovementKind, chain};
use hundi_core::rails::{RAILS, Rail, RailChoice, RailSet};
use hundi_core::schedule::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

mod load;

pub use load::load;

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
         created_at, state, held, attempts, connector, reference, paid_attempt, refused_by, rails, sent_rail, send_before, enquiries, \
         next_at, queue_until, rrn, reason, updated_at, news, version"
    };
}
pub(super) use payout_columns;

pub(super) const INT: Kind = Kind::Int;
pub(super) const TEXT: Kind = Kind::Text;
pub(super) const BYTES: Kind = Kind::Bytes;

/// The wallets of a batch are locked first, in the order of their numbers.
static ACCOUNTS: Lookup = Lookup::new(
    "a.wallet_paise, a.reserved_paise, a.fees_paise, a.gst_paise, a.banks, a.journal_seq, a.journal_at, a.journal_link, \
     a.day, a.day_paise, a.merchant_id, m.state, m.payout_most_paise, m.day_most_paise, m.fees_neft, m.fees_rtgs, m.fees_imps, \
     m.fees_upi, m.rail_choice, CASE WHEN m.callback_url IS NULL THEN 0 ELSE 1 + m.callback_pending END",
    "accounts a",
    "JOIN merchants m ON m.merchant_id = a.merchant_id",
    &[("merchant_id", INT)],
)
.locking();
/// The house's book, which has no settings. Its number is the lowest, so it is locked before all others.
static HOUSE: Lookup = Lookup::new(
    "a.wallet_paise, a.reserved_paise, a.fees_paise, a.gst_paise, a.banks, a.journal_seq, a.journal_at, a.journal_link, \
     a.day, a.day_paise, a.merchant_id, CAST(1 AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), 'free', 'free', 'free', \
     'free', CAST(0 AS BIGINT), CAST(0 AS BIGINT)",
    "accounts a",
    "",
    &[("merchant_id", INT)],
)
.locking();
static BY_ORDER: Lookup = Lookup::new(payout_columns!(), "payouts", "", &[("merchant_id", INT), ("order_id", TEXT)]);
pub(super) static BY_ID: Lookup =
    Lookup::new(payout_columns!(), "payouts", "", &[("merchant_id", INT), ("payout_id", INT)]);
static REFERENCES: Lookup = Lookup::new(
    "connector, reference, merchant_id, payout_id, attempt",
    "bank_references",
    "",
    &[("connector", TEXT), ("reference", TEXT)],
);
/// What is kept of the installation as a whole, by name.
static META: Lookup = Lookup::new("name", "meta", "", &[("name", TEXT)]);
/// Where it is kept that the installation is on hold; its value says since when, by whom and why.
pub const HOLD: &str = "hold";
static ADD_META: Many = Many::insert("meta", &[("name", TEXT), ("value", TEXT)], "ON CONFLICT (name) DO NOTHING");

/// What changes about a payout, with the columns before and after it; `Rows::payout` gives the values in this order.
macro_rules! payout_changes {
    ([$($before:expr),*], [$($after:expr),*]) => {
        &[
            $($before,)*
            ("state", INT),
            ("held", INT),
            ("attempts", INT),
            ("connector", TEXT),
            ("reference", TEXT),
            ("paid_attempt", INT),
            ("refused_by", TEXT),
            ("rails", INT),
            ("sent_rail", INT),
            ("send_before", INT),
            ("enquiries", INT),
            ("next_at", INT),
            ("queue_until", INT),
            ("rrn", TEXT),
            ("reason", TEXT),
            ("updated_at", INT),
            ("news", INT),
            ("version", INT),
            $($after,)*
        ]
    };
}

pub(super) static ADD_PAYOUTS: Many = Many::insert(
    "payouts",
    payout_changes!(
        [
            ("merchant_id", INT),
            ("payout_id", INT),
            ("order_id", TEXT),
            ("rail", INT),
            ("amount_paise", INT),
            ("fee_paise", INT),
            ("gst_paise", INT),
            ("fingerprint", BYTES),
            ("sealed", BYTES),
            ("name", TEXT),
            ("hint", TEXT),
            ("actor", TEXT),
            ("created_at", INT)
        ],
        []
    ),
    "",
);
/// The key includes the version under which the payout was read, under the name that it has in the table.
static CHANGE_PAYOUTS: Many =
    Many::update("payouts", payout_changes!([], [("merchant_id", INT), ("payout_id", INT), ("version", INT)]), 3);
/// The columns of a merchant's accounts, the key last.
pub(super) const ACCOUNT_COLUMNS: &[(&str, Kind)] = &[
    ("wallet_paise", INT),
    ("reserved_paise", INT),
    ("fees_paise", INT),
    ("gst_paise", INT),
    ("banks", TEXT),
    ("journal_seq", INT),
    ("journal_at", INT),
    ("journal_link", BYTES),
    ("day", INT),
    ("day_paise", INT),
    ("merchant_id", INT),
];
static CHANGE_ACCOUNTS: Many = Many::update("accounts", ACCOUNT_COLUMNS, 1);
pub(super) static ADD_REFERENCES: Many = Many::insert(
    "bank_references",
    &[
        ("connector", TEXT),
        ("reference", TEXT),
        ("merchant_id", INT),
        ("payout_id", INT),
        ("attempt", INT),
        ("rail", INT),
    ],
    "ON CONFLICT (connector, reference) DO NOTHING",
);
pub(super) static ADD_JOURNAL: Many = Many::insert(
    "journal",
    &[
        ("merchant_id", INT),
        ("seq", INT),
        ("at", INT),
        ("kind", INT),
        ("amount_paise", INT),
        ("fee_paise", INT),
        ("gst_paise", INT),
        ("payout_id", INT),
        ("connector", TEXT),
        ("actor", TEXT),
        ("memo", TEXT),
        ("wallet_after_paise", INT),
        ("link", BYTES),
    ],
    "",
);
pub(super) static ADD_HISTORY: Many = Many::insert(
    "payout_history",
    &[
        ("merchant_id", INT),
        ("payout_id", INT),
        ("version", INT),
        ("at", INT),
        ("event", TEXT),
        ("actor", TEXT),
        ("detail", TEXT),
    ],
    "",
);
pub(super) static ADD_CALLBACKS: Many = Many::insert(
    "callbacks",
    &[
        ("merchant_id", INT),
        ("payout_id", INT),
        ("seq", INT),
        ("news", INT),
        ("rrn", TEXT),
        ("state", INT),
        ("tries", INT),
        ("next_at", INT),
        ("result", TEXT),
        ("created_at", INT),
        ("updated_at", INT),
    ],
    "",
);
pub(super) static ADD_EXCEPTIONS: Many = Many::insert(
    "exceptions",
    &[
        ("connector", TEXT),
        ("reference", TEXT),
        ("kind", INT),
        ("merchant_id", INT),
        ("payout_id", INT),
        ("detail", TEXT),
        ("at", INT),
    ],
    // What is told again says what is known now, and one that was resolved is open again.
    "ON CONFLICT (connector, reference, kind) DO UPDATE SET detail = excluded.detail, \
     at = CASE WHEN exceptions.resolved_at IS NULL THEN exceptions.at ELSE excluded.at END, resolved_at = NULL, \
     proposal_id = NULL WHERE exceptions.resolved_at IS NOT NULL OR exceptions.detail <> excluded.detail",
);

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn reference_key(connector: Connector, reference: Reference) -> [Value; 2] {
    [text(connector.as_str()), text(reference.as_str())]
}

/// Everything that a batch writes, by table.
#[derive(Default)]
struct Rows {
    references: Vec<Value>,
    file_rows: Vec<Value>,
    callbacks: Vec<Value>,
    history: Vec<Value>,
    /// By what they are known by: each is written once, as it was told last.
    exceptions: BTreeMap<(Connector, Box<str>, i64), [Value; 7]>,
    proposals: Vec<Value>,
    resolved: BTreeMap<ExceptionKey, [Value; 2]>,
    identified: Vec<Value>,
    credits: Vec<Value>,
    told_credits: Vec<Value>,
    credit_names: Vec<Value>,
    lines: Vec<Value>,
    forgotten: Vec<Value>,
    meta: Vec<Value>,
    journal: Vec<Value>,
    new_payouts: Vec<Value>,
    payouts: Vec<Value>,
    accounts: Vec<Value>,
}

/// Writes what was decided, and gives back how many rows that took. `key` chains the journal.
pub async fn write(
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    transitions: &[&Transition],
    key: &[u8; 32],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut rows = Rows::default();
    let mut touched = BTreeSet::new();
    let mut changed = 0;
    for transition in transitions {
        changed += write_rare(tx, transition, now).await?;
        if let Some(payout) = &transition.payout {
            touched.insert(payout.order.id);
        }
        rows.news(transition, now);
        for row in &transition.journal {
            let link = loaded.links.get_mut(&row.merchant).ok_or(StoreError::Conflict)?;
            if !(planted(Plant::UnchainedRow) && row.movement.kind == MovementKind::Release) {
                *link = chain(key, link, row);
            }
            rows.journal(row, link);
        }
    }
    // What was told again after it was resolved is open.
    let open = |key: &ExceptionKey| loaded.snapshot.exceptions.get(key).is_some_and(|known| known.open);
    rows.resolved.retain(|key, _| !open(key));
    for id in touched {
        let payout = loaded.snapshot.payouts.get(&id).ok_or(StoreError::Conflict)?;
        rows.payout(payout, loaded.versions.get(&id).copied());
    }
    for (id, merchant) in loaded.snapshot.merchants.iter().filter(|(_, merchant)| merchant.changed) {
        rows.accounts(*id, merchant, loaded.links.get(id).ok_or(StoreError::Conflict)?);
    }
    Ok(changed + rows.write(tx).await?)
}

/// What is so rare that each has its own statement: that the installation goes on hold, and what becomes of the line of a
/// statement whose payout was forgotten.
async fn write_rare(tx: &mut Tx<'_>, transition: &Transition, now: Timestamp) -> Result<u64, StoreError> {
    let mut changed = 0;
    if let Some(why) = &transition.hold {
        let line = rows::settings_line(MerchantId::HOUSE, &format!("hold set: {why}"), &Actor::System, now);
        for (sql, values) in line.steps() {
            changed += tx.execute(sql, &values.iter().map(Value::arg).collect::<Vec<_>>()).await?;
        }
    }
    for attempt in &transition.recognised {
        let Some(payout) = &transition.payout else { continue };
        let differs = transition.exception.as_ref().filter(|told| payout.held && told.reference == attempt.reference);
        let kind = differs.map(|told| told.kind as i64);
        // 2: it moved its payout; 4: it is told to the operator.
        let result = if kind.is_some() { 4 } else { 2 };
        let values = forgotten::line_recognised(
            (attempt.connector, attempt.reference),
            (attempt.merchant, attempt.payout, attempt.attempt),
            (result, kind, attempt.rail as i64),
        );
        changed += tx.execute(forgotten::LINE_RECOGNISED, &values.iter().map(Value::arg).collect::<Vec<_>>()).await?;
    }
    Ok(changed)
}

impl Rows {
    async fn write(self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let resolved = self.resolved.into_iter().flat_map(|((connector, reference, kind), [at, proposal])| {
            [at, proposal, text(connector.as_str()), text(&reference), Value::Int(kind as i64)]
        });
        let writes = [
            (&ADD_REFERENCES, self.references),
            (&ADD_FILE_ROWS, self.file_rows),
            (&ADD_CALLBACKS, self.callbacks),
            (&ADD_HISTORY, self.history),
            (&ADD_EXCEPTIONS, self.exceptions.into_values().flatten().collect()),
            (&END_PROPOSALS, self.proposals),
            (&RESOLVE_EXCEPTIONS, resolved.collect()),
            (&ADD_CREDITS, self.credits),
            (&TELL_CREDITS, self.told_credits),
            (&IDENTIFY_CREDITS, self.identified),
            (&ADD_NAMES, self.credit_names),
            (&MARK_LINES, self.lines),
            (&forgotten::ADD_FORGOTTEN, self.forgotten),
            (&ADD_META, self.meta),
            (&ADD_JOURNAL, self.journal),
            (&ADD_PAYOUTS, self.new_payouts),
            (&CHANGE_PAYOUTS, self.payouts),
            (&CHANGE_ACCOUNTS, self.accounts),
        ];
        if writes.iter().all(|(_, values)| values.is_empty()) {
            return Ok(0);
        }
        let changed = tx.write(&writes).await?;
        for ((many, values), changed) in writes.iter().zip(&changed) {
            // What was to change has been changed by somebody else meanwhile.
            if matches!(many.does, Does::Update { .. }) && *changed != (values.len() / many.columns.len()) as u64 {
                return Err(StoreError::Conflict);
            }
        }
        Ok(changed.iter().sum())
    }

    /// Everything of a transition but the payout, the journal and the balances.
    fn news(&mut self, transition: &Transition, now: Timestamp) {
        for attempt in transition.attempt.iter().chain(&transition.recognised) {
            self.references.extend(reference_key(attempt.connector, attempt.reference));
            self.references.extend([
                Value::Int(attempt.merchant.0),
                Value::Int(attempt.payout.0),
                Value::Int(i64::from(attempt.attempt)),
                Value::Int(attempt.rail as i64),
            ]);
            if attempt.way == Way::File {
                self.file_rows.extend(reference_key(attempt.connector, attempt.reference));
                self.file_rows.extend([
                    Value::Int(attempt.merchant.0),
                    Value::Int(attempt.payout.0),
                    Value::Int(0),
                    Value::Int(now.0),
                ]);
            }
        }
        if let Some(one) = &transition.forgotten {
            self.forgotten.extend(forgotten::values(one, now));
            self.meta.extend([text(FORGOTTEN), text("a bank has spoken of references of ours that are not known")]);
        }
        if let Some(why) = &transition.hold {
            self.meta.extend([text(HOLD), Value::Text(format!("since {now} by {}: {why}", Actor::System))]);
        }
        for callback in &transition.callbacks {
            // All are due at once; that news waits for older news of its payout is seen to when what is due is read.
            self.callbacks.extend([
                Value::Int(callback.merchant.0),
                Value::Int(callback.payout.0),
                Value::Int(i64::from(callback.seq)),
                Value::Int(callback.news as i64),
                text(&callback.rrn),
                Value::Int(1),
                Value::Int(0),
                Value::Int(if planted(Plant::EventAfterCommit) { i64::MAX } else { now.0 }),
                text(""),
                Value::Int(now.0),
                Value::Int(now.0),
            ]);
        }
        if let (Some(history), Some(payout)) = (&transition.history, &transition.payout) {
            self.history.extend([
                Value::Int(payout.order.merchant.0),
                Value::Int(payout.order.id.0),
                Value::Int(payout.version),
                Value::Int(payout.updated_at.0),
                text(&history.event),
                Value::Text(history.actor.to_string()),
                text(&history.detail),
            ]);
        }
        if let Some(exception) = &transition.exception {
            let key = (exception.connector, exception.reference.as_str().into(), exception.kind as i64);
            let values = [
                text(exception.connector.as_str()),
                text(exception.reference.as_str()),
                Value::Int(exception.kind as i64),
                exception.payout.map(|(merchant, _)| merchant.0).into(),
                exception.payout.map(|(_, payout)| payout.0).into(),
                text(&exception.detail),
                Value::Int(now.0),
            ];
            self.exceptions.insert(key, values);
        }
        if let Some(by_two) = &transition.by_two {
            self.by_two(by_two, now);
        }
        if let Some(credit) = &transition.credit {
            let (values, names) = credits::booked(credit);
            self.credits.extend(values);
            self.credit_names.extend(names);
        }
        if let Some(line) = &transition.line {
            self.credited(line, now);
        }
    }

    /// What becomes of a statement's credit.
    fn credited(&mut self, line: &LineCredited, now: Timestamp) {
        let kind = line.credited.told();
        let key = [text(line.connector.as_str()), text(&line.reference), text(&line.line)];
        let found = Found { result: credits::result(line.credited), kind, by_rrn: false, payout: None };
        self.lines.extend(found.values().into_iter().chain(key));
        if let Some(credit) = &line.expected {
            let (values, names) = credits::told(credit);
            self.told_credits.extend(values);
            self.credit_names.extend(names);
        }
        if let Some(kind) = kind {
            let reference = credits::exception_of(line);
            let values = [
                text(line.connector.as_str()),
                text(&reference),
                Value::Int(kind as i64),
                Value::Null,
                Value::Null,
                text(&line.detail),
                Value::Int(now.0),
            ];
            self.exceptions.insert((line.connector, reference.into(), kind as i64), values);
        }
    }

    /// What becomes of a proposal and of what it was about.
    fn by_two(&mut self, by_two: &ByTwo, now: Timestamp) {
        self.proposals.extend(ended(&by_two.proposal));
        for key in &by_two.resolved {
            self.resolved.insert(key.clone(), [Value::Int(now.0), Value::Int(by_two.proposal.id)]);
        }
        if let Some((connector, reference, merchant)) = &by_two.identified {
            self.identified.extend([
                Value::Int(merchant.0),
                text(connector.as_str()),
                text(reference),
                Value::Int(MerchantId::HOUSE.0),
            ]);
        }
    }

    fn journal(&mut self, row: &JournalRow, link: &[u8; 32]) {
        let movement = &row.movement;
        self.journal.extend([
            Value::Int(row.merchant.0),
            Value::Int(row.seq),
            Value::Int(row.at.0),
            Value::Int(movement.kind as i64),
            Value::Int(movement.cost.amount.paise()),
            Value::Int(movement.cost.fee_paise),
            Value::Int(movement.cost.gst_paise),
            row.payout.map(|id| id.0).into(),
            text_or_null(Some(&*movement.sides()).filter(|sides| !sides.is_empty())),
            Value::Text(row.actor.to_string()),
            text(&row.memo),
            Value::Int(row.wallet_after.paise()),
            Value::Bytes(link.to_vec()),
        ]);
    }

    /// A payout's last state; `read_version` is the version under which it was read, if it is not new.
    fn payout(&mut self, payout: &Payout, read_version: Option<i64>) {
        let order = &payout.order;
        let rows = if read_version.is_none() {
            self.new_payouts.extend([
                Value::Int(order.merchant.0),
                Value::Int(order.id.0),
                text(order.order.as_str()),
                Value::Int(order.rail as i64),
                Value::Int(order.amount.paise()),
                Value::Int(payout.fee_paise),
                Value::Int(payout.gst_paise),
                Value::Bytes(order.fingerprint.to_vec()),
                Value::Bytes(order.sealed.0.to_vec()),
                text(order.name.as_str()),
                text(&order.hint),
                Value::Text(order.actor.to_string()),
                Value::Int(order.created_at.0),
            ]);
            &mut self.new_payouts
        } else {
            &mut self.payouts
        };
        rows.extend([
            Value::Int(payout.state as i64),
            Value::Int(i64::from(payout.held)),
            Value::Int(i64::from(payout.attempts)),
            text_or_null(payout.connector.as_ref().map(Connector::as_str)),
            text_or_null(payout.reference.as_ref().map(Reference::as_str)),
            payout.paid_attempt.map(i64::from).into(),
            Value::Text(payout.refused_by.iter().map(Connector::as_str).collect::<Vec<_>>().join(",")),
            Value::Int(payout.rails.number()),
            Value::Int(payout.rail as i64),
            Value::Int(payout.send_before.0),
            Value::Int(i64::from(payout.enquiries)),
            payout.next_at.map(|at| at.0).into(),
            Value::Int(payout.queue_until.0),
            text(&payout.rrn),
            text(&payout.reason),
            Value::Int(payout.updated_at.0),
            Value::Int(i64::from(payout.news)),
            Value::Int(payout.version),
        ]);
        if let Some(version) = read_version {
            rows.extend([Value::Int(order.merchant.0), Value::Int(order.id.0), Value::Int(version)]);
        }
    }

    fn accounts(&mut self, id: MerchantId, merchant: &Merchant, link: &[u8; 32]) {
        let accounts = &merchant.accounts;
        self.accounts.extend([
            Value::Int(accounts.wallet.paise()),
            Value::Int(accounts.reserved.paise()),
            Value::Int(accounts.fees.paise()),
            Value::Int(accounts.gst.paise()),
            Value::Text(encode_banks(accounts)),
            Value::Int(accounts.journal_seq),
            Value::Int(accounts.journal_at.0),
            Value::Bytes(link.to_vec()),
            Value::Int(merchant.day),
            Value::Int(merchant.day_paise),
            Value::Int(id.0),
        ]);
    }
}

fn text_or_null(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
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
        // Whatever has rotted on the disk: what goes to an account never goes to a UPI ID, nor the other way.
        rails: row
            .int_or_null()?
            .and_then(RailSet::from_number)
            .filter(|rails| RailChoice::Auto.rails(rail).contains_all(*rails))
            .unwrap_or(RailSet::of(rail)),
        rail: row
            .int_or_null()?
            .map(decode_rail)
            .transpose()?
            .filter(|sent| RailChoice::Auto.rails(rail).contains(*sent))
            .unwrap_or(rail),
        send_before: Timestamp(row.int()?),
        enquiries: small(row.int()?)?,
        next_at: row.int_or_null()?.map(Timestamp),
        queue_until: Timestamp(row.int()?),
        rrn: row.text()?.into(),
        reason: row.text()?.into(),
        updated_at: Timestamp(row.int()?),
        news: small(row.int()?)?,
        version: i64::from(small(row.int()?)?),
    })
}

fn decode_merchant(mut row: Row) -> Result<(MerchantId, Merchant, [u8; 32]), StoreError> {
    let row = &mut row;
    let balances = decode_balances(row)?;
    let accounts = Accounts { journal_seq: row.int()?, journal_at: Timestamp(row.int()?), ..balances };
    let link = row.hash()?;
    let (day, day_paise) = (row.int()?, row.int()?);
    let id = MerchantId(row.int()?);
    let state = decode_merchant_state(row.int()?)?;
    let (payout_most_paise, day_most_paise) = (row.int_or_null()?, row.int_or_null()?);
    let mut plan = || FeePlan::parse(&row.text()?).map_err(StoreError::Corrupt);
    let fees = [plan()?, plan()?, plan()?, plan()?];
    let rail_choice = RailChoice::from_number(row.int()?)
        .ok_or_else(|| StoreError::Corrupt("a merchant's choice of rails is not valid".into()))?;
    let callbacks = match row.int()? {
        0 => CallbackWish::Nothing,
        1 => CallbackWish::Final,
        _ => CallbackWish::All,
    };
    Ok((
        id,
        Merchant {
            accounts,
            state,
            payout_most_paise,
            day_most_paise,
            fees,
            rail_choice,
            callbacks,
            day,
            day_paise,
            changed: false,
        },
        link,
    ))
}

/// The balances of a merchant: wallet, reserved, fees, GST and banks.
pub fn decode_balances(row: &mut Row) -> Result<Accounts, StoreError> {
    let mut balance = || row.int().map(Balance::from_paise);
    let (wallet, reserved, fees, gst) = (balance()?, balance()?, balance()?, balance()?);
    let mut accounts = Accounts { wallet, reserved, fees, gst, ..Accounts::default() };
    decode_banks(&row.text()?, &mut accounts)?;
    // They sum to zero whatever happens (I2), so a balance that has rotted on the disk is neither shown nor built on.
    if accounts.sum() != Some(0) && !planted(Plant::RottenBalance) {
        return Err(StoreError::Corrupt("a merchant's accounts do not sum to zero".into()));
    }
    Ok(accounts)
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

/// What the name of an account of the house begins with, which no connector's name holds.
const OF_THE_HOUSE: &str = "house:";

/// `sandbox=-1200,other=500,house:loss=-300`: the balances of the bank accounts of one merchant by name, and of the house's
/// own accounts.
pub fn decode_banks(text: &str, accounts: &mut Accounts) -> Result<(), StoreError> {
    let mut entry = |entry: &str| {
        let (name, paise) = entry.split_once('=')?;
        let balance = Balance::from_paise(paise.parse().ok()?);
        match name.strip_prefix(OF_THE_HOUSE) {
            Some(name) => accounts.house[HouseAccount::parse(name)? as usize] = balance,
            None => accounts.banks.push((Connector::parse(name)?, balance)),
        }
        Some(())
    };
    text.split(',')
        .filter(|one| !one.is_empty())
        .try_for_each(|one| entry(one).ok_or(()))
        .map_err(|()| StoreError::Corrupt("a merchant's bank balances are not valid".into()))
}

fn encode_banks(accounts: &Accounts) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (connector, balance) in &accounts.banks {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{connector}={}", balance.paise()).unwrap_or_default();
    }
    let own = HouseAccount::ALL.iter().zip(&accounts.house);
    for (account, balance) in own.filter(|(_, balance)| **balance != Balance::ZERO) {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{OF_THE_HOUSE}{}={}", account.name(), balance.paise()).unwrap_or_default();
    }
    text
}

/// No counter of a payout comes near it.
const COUNTER_MAX: u32 = u32::MAX / 2;

/// A counter. One at its end is a damaged row: whoever counted on would stop everybody's work.
pub(super) fn small(number: i64) -> Result<u32, StoreError> {
    let counter = u32::try_from(number).ok().filter(|counter| *counter <= COUNTER_MAX);
    counter.ok_or_else(|| StoreError::Corrupt("a counter is out of range".into()))
}
