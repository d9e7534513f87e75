//! Proposals of operators: how they are kept, and what there is to be known of what they are about. What becomes of one is
//! decided by `hundi_core::command` and written by the batch (`batch.rs`).

use super::batch::{INT, TEXT, amount, decode_connector};
use super::rows::Plain;
use super::{Arg, Lookup, Many, Row, Store, StoreError, Value};
use hundi_core::command::{ExceptionKey, KnownException};
use hundi_core::ids::{Connector, MerchantId, PayoutId, Reference};
use hundi_core::payout::ExceptionKind;
use hundi_core::postings::Account;
use hundi_core::proposal::{AttemptAt, Proposal, ProposalState, Side, What};
use hundi_core::schedule::Timestamp;

macro_rules! proposal_columns {
    () => {
        "proposal_id, what, merchant_id, payout_id, connector, reference, bank_reference, amount_paise, sides, kind, detail, \
         reason, proposed_by, proposed_at, expires_at, state, decided_by, decided_at, decided_why"
    };
}

/// Locked first of all: what they are about says what else is needed.
pub(super) static PROPOSALS: Lookup =
    Lookup::new(proposal_columns!(), "proposals", "", &[("proposal_id", INT)]).locking();
/// Those of the named attempts of which a payment was collected or written off: what the index `proposals_borne` holds.
pub(super) static BORNE: Lookup = Lookup::new(
    "p.connector, p.reference",
    "(SELECT * FROM proposals WHERE state = 2 AND what IN (4, 5)) p",
    "",
    &[("connector", TEXT), ("reference", TEXT)],
);
/// The withdrawals by the named debits that wait for approval or are approved (the last column): what the index
/// `proposals_debit` holds.
pub(super) static WITHDRAWALS: Lookup = Lookup::new(
    "p.connector, p.debit, p.state",
    "(SELECT * FROM proposals WHERE debit IS NOT NULL AND state IN (1, 2)) p",
    "",
    &[("connector", TEXT), ("debit", TEXT)],
);
const EXCEPTION: &str = "e.connector, e.reference, e.kind, e.merchant_id, e.payout_id, e.detail, CASE WHEN e.resolved_at IS NULL THEN e.at END";
pub(super) static TOLD_OF_PAYOUTS: Lookup = Lookup::new(
    EXCEPTION,
    "(SELECT * FROM exceptions WHERE payout_id IS NOT NULL) e",
    "",
    &[("merchant_id", INT), ("payout_id", INT)],
);
pub(super) static TOLD: Lookup =
    Lookup::new(EXCEPTION, "exceptions e", "", &[("connector", TEXT), ("reference", TEXT), ("kind", INT)]);

/// Only what still waits is ended; the key includes the state.
pub(super) static END_PROPOSALS: Many = Many::update(
    "proposals",
    &[
        ("state", INT),
        ("decided_by", TEXT),
        ("decided_at", INT),
        ("decided_why", TEXT),
        ("proposal_id", INT),
        ("state", INT),
    ],
    2,
);
pub(super) static RESOLVE_EXCEPTIONS: Many = Many::update(
    "exceptions",
    &[("resolved_at", INT), ("proposal_id", INT), ("connector", TEXT), ("reference", TEXT), ("kind", INT)],
    3,
);
const PROPOSAL_BY_ID: &str = concat!("SELECT ", proposal_columns!(), " FROM proposals WHERE proposal_id = $1");
const PROPOSAL_OPEN: &str = concat!("SELECT ", proposal_columns!(), " FROM proposals WHERE subject = $1 AND state = 1");
const PROPOSAL_BY_DEBIT: &str = concat!(
    "SELECT ",
    proposal_columns!(),
    " FROM proposals WHERE connector = $1 AND debit = $2 AND debit IS NOT NULL AND state IN (1, 2)"
);
const PROPOSALS_OPEN: &str =
    concat!("SELECT ", proposal_columns!(), " FROM proposals WHERE state = 1 ORDER BY proposal_id DESC LIMIT $1");
const PROPOSALS_ALL: &str =
    concat!("SELECT ", proposal_columns!(), " FROM proposals ORDER BY proposal_id DESC LIMIT $1");

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The columns of what is proposed.
struct Columns {
    merchant: Option<MerchantId>,
    payout: Option<PayoutId>,
    connector: Option<Connector>,
    reference: String,
    bank_reference: String,
    amount_paise: Option<i64>,
    sides: String,
    kind: Option<ExceptionKind>,
    detail: String,
}

impl Columns {
    fn of(what: &What) -> Columns {
        let mut columns = Columns {
            merchant: what.payout().map(|(merchant, _)| merchant),
            payout: what.payout().map(|(_, payout)| payout),
            connector: what.attempt().map(|at| at.connector),
            reference: what.attempt().map_or_else(String::new, |at| at.reference.as_str().to_owned()),
            bank_reference: String::new(),
            amount_paise: None,
            sides: String::new(),
            kind: None,
            detail: String::new(),
        };
        match what {
            What::DeclarePaid { bank_reference, .. } => columns.bank_reference = bank_reference.to_string(),
            What::DeclareFailed { .. } | What::Resume { .. } | What::Collect { .. } | What::WriteOff { .. } => {}
            What::Withdraw { merchant, connector, bank_reference, amount } => {
                (columns.merchant, columns.connector) = (Some(*merchant), Some(*connector));
                (columns.bank_reference, columns.amount_paise) = (bank_reference.to_string(), Some(amount.paise()));
            }
            What::Adjust { from, to, through, amount } => {
                (columns.connector, columns.amount_paise) = (*through, Some(amount.paise()));
                columns.sides = format!("{}>{}", side_text(*from), side_text(*to));
            }
            What::Suspense { connector, bank_reference, amount } => {
                columns.connector = Some(*connector);
                (columns.bank_reference, columns.amount_paise) = (bank_reference.to_string(), Some(amount.paise()));
            }
            What::Identify { merchant, connector, bank_reference } => {
                (columns.merchant, columns.connector) = (Some(*merchant), Some(*connector));
                columns.bank_reference = bank_reference.to_string();
            }
            What::Resolve { exception: (connector, reference, kind), detail, .. } => {
                (columns.connector, columns.reference) = (Some(*connector), reference.to_string());
                (columns.kind, columns.detail) = (Some(*kind), detail.to_string());
            }
        }
        columns
    }

    fn read(row: &mut Row) -> Result<(i64, Columns), StoreError> {
        let what = row.int()?;
        let columns = Columns {
            merchant: row.int_or_null()?.map(MerchantId),
            payout: row.int_or_null()?.map(PayoutId),
            connector: row.text_or_null()?.map(|name| decode_connector(&name)).transpose()?,
            reference: row.text()?,
            bank_reference: row.text()?,
            amount_paise: row.int_or_null()?,
            sides: row.text()?,
            kind: row.int_or_null()?.map(exception_kind).transpose()?,
            detail: row.text()?,
        };
        Ok((what, columns))
    }

    /// What is proposed; `None` where a column is missing or cannot be read.
    fn what(self, number: i64) -> Option<What> {
        let bank_reference: Box<str> = self.bank_reference.into();
        let amount = self.amount_paise.and_then(|paise| amount(paise).ok());
        let (merchant, payout, connector) = (self.merchant, self.payout, self.connector);
        let at = || {
            let reference = Reference::parse(&self.reference)?;
            Some(AttemptAt { merchant: merchant?, payout: payout?, connector: connector?, reference })
        };
        Some(match number {
            1 => What::DeclarePaid { at: at()?, bank_reference },
            2 => What::DeclareFailed { merchant: merchant?, payout: payout? },
            3 => What::Resume { merchant: merchant?, payout: payout? },
            4 => What::Collect { at: at()? },
            5 => What::WriteOff { at: at()? },
            6 => What::Withdraw { merchant: merchant?, connector: connector?, bank_reference, amount: amount? },
            7 => {
                let (from, to) = self.sides.split_once('>')?;
                What::Adjust { from: side(from)?, to: side(to)?, through: connector, amount: amount? }
            }
            8 => What::Suspense { connector: connector?, bank_reference, amount: amount? },
            9 => What::Identify { merchant: merchant?, connector: connector?, bank_reference },
            10 => What::Resolve {
                exception: (connector?, self.reference.into(), self.kind?),
                payout: merchant.zip(payout),
                detail: self.detail.into(),
            },
            _ => return None,
        })
    }
}

/// `1/wallet`: the book's number and the account.
fn side_text(side: Side) -> String {
    format!("{}/{}", side.book.0, side.account)
}

fn side(text: &str) -> Option<Side> {
    let (book, account) = text.split_once('/')?;
    Some(Side { book: MerchantId(book.parse().ok()?), account: Account::parse(account)? })
}

fn exception_kind(number: i64) -> Result<ExceptionKind, StoreError> {
    ExceptionKind::from_number(number).ok_or_else(|| StoreError::Corrupt("an exception's kind is not valid".to_owned()))
}

/// All of what is proposed in one text, so that the same is not proposed twice at a time.
fn subject(what: &What) -> String {
    let columns = Columns::of(what);
    let number = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
    [
        what.name().to_owned(),
        number(columns.merchant.map(|merchant| merchant.0)),
        number(columns.payout.map(|payout| payout.0)),
        columns.connector.map_or_else(String::new, |connector| connector.as_str().to_owned()),
        columns.reference,
        columns.bank_reference,
        number(columns.amount_paise),
        columns.sides,
        number(columns.kind.map(|kind| kind as i64)),
    ]
    .join("|")
}

/// Proposes something under the next number; changes nothing if the very same waits for approval already, if another
/// withdrawal has its debit, or if somebody has taken the number in the same moment.
pub fn propose(proposal: &Proposal) -> Plain {
    let columns = Columns::of(&proposal.what);
    let sql = "INSERT INTO proposals (proposal_id, what, subject, merchant_id, payout_id, connector, reference, bank_reference, \
        amount_paise, sides, kind, detail, debit, reason, proposed_by, proposed_at, expires_at, state, decided_by, decided_at, \
        decided_why) SELECT COALESCE(MAX(proposal_id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
        $15, $16, 1, '', NULL, '' FROM proposals WHERE true ON CONFLICT DO NOTHING";
    let values = vec![
        Value::Int(proposal.what.number()),
        Value::Text(subject(&proposal.what)),
        columns.merchant.map(|merchant| merchant.0).into(),
        columns.payout.map(|payout| payout.0).into(),
        columns.connector.map_or(Value::Null, |connector| text(connector.as_str())),
        Value::Text(columns.reference),
        Value::Text(columns.bank_reference),
        columns.amount_paise.into(),
        Value::Text(columns.sides),
        columns.kind.map(|kind| kind as i64).into(),
        Value::Text(columns.detail),
        proposal.what.debit().map_or(Value::Null, |(_, debit)| text(debit)),
        text(&proposal.reason),
        text(&proposal.proposed_by),
        Value::Int(proposal.proposed_at.0),
        Value::Int(proposal.expires_at.0),
    ];
    Plain(vec![(sql, values)])
}

/// Marks what nobody has approved in time.
pub fn proposals_expire(now: Timestamp) -> Plain {
    let sql = "UPDATE proposals SET state = 4, decided_at = $1 WHERE state = 1 AND expires_at <= $1";
    Plain(vec![(sql, vec![Value::Int(now.0)])])
}

/// Gives an exception to an operator, or to nobody; changes nothing if there is none.
pub fn exception_assign(exception: &ExceptionKey, assignee: Option<&str>) -> Plain {
    let (connector, reference, kind) = exception;
    let sql = "UPDATE exceptions SET assignee = $1 WHERE connector = $2 AND reference = $3 AND kind = $4";
    let assignee = assignee.map_or(Value::Null, text);
    Plain(vec![(sql, vec![assignee, text(connector.as_str()), text(reference), Value::Int(*kind as i64)])])
}

/// The values of [`END_PROPOSALS`].
pub(super) fn ended(proposal: &Proposal) -> [Value; 6] {
    [
        Value::Int(proposal.state as i64),
        text(&proposal.decided_by),
        proposal.decided_at.map(|at| at.0).into(),
        text(&proposal.decided_why),
        Value::Int(proposal.id),
        Value::Int(ProposalState::Proposed as i64),
    ]
}

/// Reads a proposal from a row of its columns.
pub(super) fn decode_proposal(mut row: Row) -> Result<Proposal, StoreError> {
    let row = &mut row;
    let bad = || StoreError::Corrupt("a proposal is not valid".to_owned());
    let id = row.int()?;
    let (what, columns) = Columns::read(row)?;
    Ok(Proposal {
        id,
        what: columns.what(what).ok_or_else(bad)?,
        reason: row.text()?.into(),
        proposed_by: row.text()?.into(),
        proposed_at: Timestamp(row.int()?),
        expires_at: Timestamp(row.int()?),
        state: ProposalState::from_number(row.int()?).ok_or_else(bad)?,
        decided_by: row.text()?.into(),
        decided_at: row.int_or_null()?.map(Timestamp),
        decided_why: row.text()?.into(),
    })
}

/// Reads an exception as decisions know it.
pub(super) fn decode_told(mut row: Row) -> Result<(ExceptionKey, KnownException), StoreError> {
    let (connector, reference) = (decode_connector(&row.text()?)?, row.text()?);
    let kind = exception_kind(row.int()?)?;
    let (merchant, payout) = (row.int_or_null()?.map(MerchantId), row.int_or_null()?.map(PayoutId));
    let (detail, open) = (row.text()?.into(), row.int_or_null()?.is_some());
    Ok(((connector, reference.into(), kind), KnownException { payout: merchant.zip(payout), detail, open }))
}

impl Store {
    /// One proposal.
    pub async fn proposal(&self, proposal: i64) -> Result<Option<Proposal>, StoreError> {
        self.query(PROPOSAL_BY_ID, &[Arg::Int(proposal)]).await?.into_iter().next().map(decode_proposal).transpose()
    }

    /// The proposal of just this that waits for approval.
    pub async fn proposal_of(&self, what: &What) -> Result<Option<Proposal>, StoreError> {
        let subject = subject(what);
        let rows = self.query(PROPOSAL_OPEN, &[Arg::Text(&subject)]).await?;
        rows.into_iter().next().map(decode_proposal).transpose()
    }

    /// The withdrawal that has a bank's debit: it waits for approval, or is approved.
    pub async fn withdrawal(&self, (connector, debit): (Connector, &str)) -> Result<Option<Proposal>, StoreError> {
        let rows = self.query(PROPOSAL_BY_DEBIT, &[Arg::Text(connector.as_str()), Arg::Text(debit)]).await?;
        rows.into_iter().next().map(decode_proposal).transpose()
    }

    /// The newest proposals, all of them or those that wait for approval.
    pub async fn proposals(&self, all: bool, limit: i64) -> Result<Vec<Proposal>, StoreError> {
        let sql = if all { PROPOSALS_ALL } else { PROPOSALS_OPEN };
        self.query(sql, &[Arg::Int(limit)]).await?.into_iter().map(decode_proposal).collect()
    }

    /// The exceptions of a payout, open and resolved.
    pub async fn told_of_payout(
        &self,
        merchant: MerchantId,
        payout: PayoutId,
    ) -> Result<Vec<(ExceptionKey, KnownException)>, StoreError> {
        let rows = self.find(&TOLD_OF_PAYOUTS, &[Value::Int(merchant.0), Value::Int(payout.0)]).await?;
        rows.into_iter().map(decode_told).collect()
    }

    /// An exception as decisions know it.
    pub async fn told(&self, exception: &ExceptionKey) -> Result<Option<KnownException>, StoreError> {
        let (connector, reference, kind) = exception;
        let rows = self.find(&TOLD, &[text(connector.as_str()), text(reference), Value::Int(*kind as i64)]).await?;
        rows.into_iter().next().map(|row| decode_told(row).map(|(_, known)| known)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hundi_core::money::Amount;

    #[test]
    fn what_is_proposed_comes_back_as_it_was_and_has_a_subject_of_its_own() {
        let (merchant, payout) = (MerchantId(1), PayoutId(7));
        let connector = Connector::parse("sandbox").unwrap();
        let at = AttemptAt { merchant, payout, connector, reference: Reference::parse("ABCDEFGHIJKLMNO").unwrap() };
        let amount = |paise| Amount::from_paise(paise).unwrap();
        let account = |book, account| Side { book: MerchantId(book), account: Account::parse(account).unwrap() };
        let exception = |kind| (connector, "STATEMENT~sum".into(), kind);
        let resolve = |kind, payout| What::Resolve { exception: exception(kind), payout, detail: "said".into() };
        let all = [
            What::DeclarePaid { at, bank_reference: "U1".into() },
            What::DeclareFailed { merchant, payout },
            What::Resume { merchant, payout },
            What::Collect { at },
            What::WriteOff { at },
            What::Withdraw { merchant, connector, bank_reference: "U1".into(), amount: amount(5) },
            What::Withdraw { merchant, connector, bank_reference: "U1".into(), amount: amount(6) },
            What::Adjust { from: account(1, "wallet"), to: account(1, "bank:b"), through: None, amount: amount(5) },
            What::Adjust {
                from: account(0, "loss"),
                to: account(1, "fees"),
                through: Some(connector),
                amount: amount(5),
            },
            What::Suspense { connector, bank_reference: "C1".into(), amount: amount(9) },
            What::Identify { merchant, connector, bank_reference: "C1".into() },
            resolve(ExceptionKind::StatementGap, None),
            resolve(ExceptionKind::NoAnswer, Some((merchant, payout))),
        ];
        let mut subjects: Vec<String> = all.iter().map(subject).collect();
        for what in &all {
            assert_eq!(Columns::of(what).what(what.number()).as_ref(), Some(what));
        }
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), all.len());
    }
}
