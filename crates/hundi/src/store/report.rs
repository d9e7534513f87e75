//! What the day's report reads: journals with what their payouts were, what was open at a moment, and the statements' lines
//! of a day. All of it is streamed or summed up by the database.

use super::batch::{decode_connector, decode_rail, small};
use super::reads::linked_in;
use super::{Arg, Row, Store, StoreError};
use hundi_core::ids::{Connector, MerchantId, PayoutId, Reference};
use hundi_core::payout::{ExceptionKind, State};
use hundi_core::postings::JournalRow;
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;

/// The first and the last of an account's statements come first and last.
const BALANCES: &str = "SELECT account, opening_paise, closing_paise FROM statements \
    WHERE connector = $1 AND from_at >= $2 AND from_at < $3 AND to_at <= $3 ORDER BY account, from_at, to_at, at";

const ROWS: &str = "SELECT j.merchant_id, j.seq, j.at, j.kind, j.amount_paise, j.fee_paise, j.gst_paise, j.payout_id, j.connector, \
    j.actor, j.memo, j.wallet_after_paise, j.link, COALESCE(p.sent_rail, p.rail), p.created_at, p.send_before, p.attempts, p.state, \
    p.paid_attempt FROM journal j LEFT JOIN payouts p ON p.merchant_id = j.merchant_id AND p.payout_id = j.payout_id \
    WHERE j.merchant_id = $1 AND j.seq >= $2 AND j.seq < $3 ORDER BY j.seq";
// Without the merchant, so that the small index of what is open is used.
const OPEN: &str = "SELECT merchant_id, payout_id, COALESCE(sent_rail, rail), amount_paise, fee_paise, gst_paise, created_at, send_before, attempts, \
    state FROM payouts WHERE next_at IS NOT NULL AND state < 4 AND created_at < $1";
const LINES: &str = "SELECT side, kind, COUNT(*), CAST(SUM(amount_paise) AS BIGINT) FROM statement_lines \
    WHERE connector = $1 AND booked_at >= $2 AND booked_at < $3 GROUP BY side, kind ORDER BY side, kind";
const TOLD: &str = "SELECT reference, line, kind FROM statement_lines WHERE connector = $1 AND booked_at >= $2 \
    AND booked_at < $3 AND kind IS NOT NULL ORDER BY reference, line LIMIT $4";
const SETTLED: &str = "SELECT c.booked, COUNT(*), CAST(SUM(c.amount_paise) AS BIGINT) FROM (SELECT CASE \
    WHEN EXISTS (SELECT 1 FROM statement_lines l WHERE l.connector = $1 AND l.reference = p.reference AND l.side = 2 \
    AND l.booked_at >= $2 AND l.booked_at < $3) THEN 1 \
    WHEN EXISTS (SELECT 1 FROM statement_lines b WHERE b.merchant_id = p.merchant_id AND b.payout_id = p.payout_id \
    AND b.matched = 2 AND b.side = 2 AND b.booked_at >= $2 AND b.booked_at < $3) THEN 1 \
    WHEN EXISTS (SELECT 1 FROM statement_lines o WHERE o.connector = $1 AND o.reference = p.reference AND o.side = 2) THEN 2 \
    WHEN EXISTS (SELECT 1 FROM statement_lines d WHERE d.merchant_id = p.merchant_id AND d.payout_id = p.payout_id \
    AND d.matched = 2 AND d.side = 2) THEN 2 ELSE 3 END AS booked, j.amount_paise \
    FROM journal j CROSS JOIN payouts p WHERE j.merchant_id = $4 AND j.seq >= $5 AND j.seq < $6 AND j.kind = 4 \
    AND j.connector = $1 AND p.merchant_id = j.merchant_id AND p.payout_id = j.payout_id) c GROUP BY c.booked ORDER BY c.booked";

/// What a journal row's payout was, as far as the report needs it.
#[derive(Clone, Copy, Debug)]
pub struct Paying {
    /// Over which rail its last attempt was sent.
    pub rail: Rail,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last attempt was made, give or take the bank's time to answer.
    pub send_before: Timestamp,
    /// How many attempts were made.
    pub attempts: i64,
    /// Where it is now.
    pub state: State,
    /// The attempt that paid, where it was an earlier one than the last.
    pub paid_earlier: Option<u32>,
}

/// A payout that has not ended.
#[derive(Clone, Copy, Debug)]
pub struct OpenPayout {
    /// Whose.
    pub merchant: MerchantId,
    /// Which.
    pub payout: PayoutId,
    /// How much, paise.
    pub amount_paise: i64,
    /// Everything that is reserved for it, paise.
    pub reserved_paise: i64,
    /// The rest of it.
    pub paying: Paying,
}

/// Lines of a day's statements that came to the same.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// Whether the money went out.
    pub debit: bool,
    /// What the operator was told of them.
    pub kind: Option<ExceptionKind>,
    /// How many.
    pub count: i64,
    /// What they come to, paise.
    pub paise: i64,
}

/// On which day the debits of settled payouts were booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Booked {
    /// On the same day.
    Then,
    /// On another day.
    AnotherDay,
    /// No statement has it, or only under an earlier attempt's reference.
    Nowhere,
}

fn paying(row: &mut Row) -> Result<Paying, StoreError> {
    let state = |number| State::from_number(number).ok_or_else(|| StoreError::Corrupt("a state is not valid".into()));
    let mut paying = Paying {
        rail: decode_rail(row.int()?)?,
        created_at: Timestamp(row.int()?),
        send_before: Timestamp(row.int()?),
        attempts: row.int()?,
        state: state(row.int()?)?,
        paid_earlier: None,
    };
    let paid = row.int_or_null()?.filter(|paid| *paid < paying.attempts);
    paying.paid_earlier = paid.map(small).transpose()?;
    Ok(paying)
}

impl Store {
    /// Hands over a part of a merchant's journal, from a row's number to before another's, each row with its payout.
    pub async fn each_movement(
        &self,
        merchant: MerchantId,
        (from_seq, to_seq): (i64, i64),
        each: &mut (dyn FnMut(JournalRow, Option<Paying>) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let args = [Arg::Int(merchant.0), Arg::Int(from_seq), Arg::Int(to_seq)];
        self.scan(ROWS, &args, &mut |mut row| {
            let (journal, _) = linked_in(&mut row)?;
            let paying = if journal.payout.is_some() { Some(paying(&mut row)?) } else { None };
            each(journal, paying)
        })
        .await
    }

    /// Over which rail an attempt was sent that is not its payout's last: its reference is not in the payout's row, but can be
    /// derived again.
    pub async fn rail_of_attempt(
        &self,
        connector: Connector,
        (merchant, payout): (MerchantId, PayoutId),
        attempt: u32,
    ) -> Result<Option<Rail>, StoreError> {
        let installation = self.meta("installation").await?.unwrap_or_default();
        let Some(known) = self.payout(merchant, payout).await? else { return Ok(None) };
        let references = Reference::candidates(&installation, merchant, &known.order.order, attempt);
        let known = self.attempts_by_reference(connector, &references).await?.into_iter();
        let mut known = known.filter(|known| known.payout == payout && known.attempt == i64::from(attempt));
        known.next().map(|known| decode_rail(known.rail)).transpose()
    }

    /// Hands over every payout that is open now and was accepted before a moment.
    pub async fn each_open_payout(
        &self,
        before: Timestamp,
        each: &mut (dyn FnMut(OpenPayout) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        self.scan(OPEN, &[Arg::Int(before.0)], &mut |mut row| {
            let row = &mut row;
            let (merchant, payout) = (MerchantId(row.int()?), PayoutId(row.int()?));
            let rail = decode_rail(row.int()?)?;
            let (amount_paise, fee_paise, gst_paise) = (row.int()?, row.int()?, row.int()?);
            let (created_at, send_before, attempts) = (Timestamp(row.int()?), Timestamp(row.int()?), row.int()?);
            let state = State::from_number(row.int()?);
            let state = state.ok_or_else(|| StoreError::Corrupt("a payout's state is not valid".into()))?;
            let reserved = amount_paise.checked_add(fee_paise).and_then(|sum| sum.checked_add(gst_paise));
            let reserved_paise =
                reserved.ok_or_else(|| StoreError::Corrupt("a payout's amount is too large".into()))?;
            let paying = Paying { rail, created_at, send_before, attempts, state, paid_earlier: None };
            each(OpenPayout { merchant, payout, amount_paise, reserved_paise, paying })
        })
        .await
    }

    /// The connectors that have a statement.
    pub async fn connectors_with_statements(&self) -> Result<Vec<Connector>, StoreError> {
        let rows = self.query("SELECT DISTINCT connector FROM statements ORDER BY connector", &[]).await?;
        rows.into_iter().map(|mut row| decode_connector(&row.text()?)).collect()
    }

    /// What a connector's statements have booked in a time, summed up by side and by what was told of it.
    pub async fn lines_between(
        &self,
        connector: Connector,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<Lines>, StoreError> {
        let args = [Arg::Text(connector.as_str()), Arg::Int(from.0), Arg::Int(to.0)];
        let lines = |mut row: Row| {
            let debit = row.int()? == 2;
            let kind = row.int_or_null()?.and_then(ExceptionKind::from_number);
            Ok(Lines { debit, kind, count: row.int()?, paise: row.int()? })
        };
        self.query(LINES, &args).await?.into_iter().map(lines).collect()
    }

    /// What a connector's bank had on its accounts at the beginning and at the end of a time, paise, as the statements of that
    /// time say: `None` where one of them does not.
    pub async fn balances_between(
        &self,
        connector: Connector,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<[Option<i64>; 2], StoreError> {
        let args = [Arg::Text(connector.as_str()), Arg::Int(from.0), Arg::Int(to.0)];
        let mut accounts: Vec<(Vec<u8>, [Option<i64>; 2])> = Vec::new();
        for mut row in self.query(BALANCES, &args).await? {
            let (account, opening, closing) = (row.bytes()?, row.int_or_null()?, row.int_or_null()?);
            match accounts.last_mut().filter(|(known, _)| *known == account) {
                Some((_, balances)) => balances[1] = closing,
                None => accounts.push((account, [opening, closing])),
            }
        }
        let sum = |end: usize| {
            let mut ends = accounts.iter().map(|(_, balances)| balances[end]);
            ends.try_fold(0_i64, |sum, paise| sum.checked_add(paise?)).filter(|_| !accounts.is_empty())
        };
        Ok([sum(0), sum(1)])
    }

    /// The lines of a time of which the operator was told: reference, key and kind; at most so many.
    pub async fn lines_told(
        &self,
        connector: Connector,
        (from, to): (Timestamp, Timestamp),
        limit: i64,
    ) -> Result<Vec<(String, String, i64)>, StoreError> {
        let args = [Arg::Text(connector.as_str()), Arg::Int(from.0), Arg::Int(to.0), Arg::Int(limit)];
        self.query(TOLD, &args).await?.into_iter().map(|mut row| Ok((row.text()?, row.text()?, row.int()?))).collect()
    }

    /// What a part of a merchant's journal settled over a connector, by whether a statement has booked the debits in a time.
    pub async fn settled_by_booking(
        &self,
        merchant: MerchantId,
        (from_seq, to_seq): (i64, i64),
        connector: Connector,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<(Booked, i64, i64)>, StoreError> {
        let args = [
            Arg::Text(connector.as_str()),
            Arg::Int(from.0),
            Arg::Int(to.0),
            Arg::Int(merchant.0),
            Arg::Int(from_seq),
            Arg::Int(to_seq),
        ];
        let booked = |mut row: Row| {
            let booked = match row.int()? {
                1 => Booked::Then,
                2 => Booked::AnotherDay,
                _ => Booked::Nowhere,
            };
            Ok((booked, row.int()?, row.int()?))
        };
        self.query(SETTLED, &args).await?.into_iter().map(booked).collect()
    }
}
