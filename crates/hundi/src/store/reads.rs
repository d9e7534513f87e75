//! Lookups, lists and streams. Nothing here decides anything about money.

use super::batch::{
    BY_ID, amount, decode_actor, decode_balances, decode_banks, decode_connector, decode_merchant_state, decode_payout,
    decode_rail, payout_columns,
};
use super::rows::CallbackKey;
use super::{Arg, Row, Store, StoreError, Value};
use hundi_core::command::{MerchantState, WAITING};
use hundi_core::ids::{Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::payout::{News, Payout};
use hundi_core::plant::{Plant, planted};
use hundi_core::postings::{Accounts, Cost, JournalRow, Movement, MovementKind};
use hundi_core::rails::{Rail, RailChoice};
use hundi_core::schedule::Timestamp;

/// A token as a call is judged by it.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its number.
    pub token_id: i64,
    /// Whose.
    pub merchant: MerchantId,
    /// From where: CIDRs, separated by commas.
    pub allow_ip: String,
    /// At most so many calls a minute, if there is a limit.
    pub rate_per_minute: Option<i64>,
    /// Who made it.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A merchant as the operator sees him.
#[derive(Clone, Debug)]
pub struct MerchantView {
    /// His number in the store.
    pub id: MerchantId,
    /// His ID.
    pub merchant: String,
    /// Whether he may pay.
    pub state: MerchantState,
    /// His most for one payout, paise.
    pub payout_most_paise: Option<i64>,
    /// His most for a day, paise.
    pub day_most_paise: Option<i64>,
    /// His prices: NEFT, RTGS, IMPS, UPI.
    pub fees: [String; 4],
    /// Over which rails what he orders may go.
    pub rail_choice: RailChoice,
    /// Where he is called, sealed.
    pub callback_url: Option<Vec<u8>>,
    /// Whether he is told of Pending too.
    pub callback_pending: bool,
    /// His signing secret, sealed.
    pub callback_secret: Vec<u8>,
    /// When he was added.
    pub created_at: Timestamp,
    /// His balances as they are stored: wallet, reserved, fees, gst, and the banks' as text.
    pub balances: [Balance; 4],
    /// The banks' balances, as `name=paise,...`.
    pub banks: String,
    /// The number of his last journal row.
    pub journal_seq: i64,
    /// The link of his last journal row.
    pub journal_link: [u8; 32],
}

/// A connector that the operator has paused.
#[derive(Clone, Debug)]
pub struct PausedView {
    /// Which.
    pub connector: Connector,
    /// Since when.
    pub at: Timestamp,
    /// Who paused it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

fn sum_of_connector(mut row: Row) -> Result<(Connector, i64), StoreError> {
    Ok((decode_connector(&row.text()?)?, row.int()?))
}

/// A callback that is due.
#[derive(Clone, Debug)]
pub struct DueCallback {
    /// Which.
    pub key: CallbackKey,
    /// What it says.
    pub news: News,
    /// The bank's reference that it says.
    pub rrn: String,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it is due.
    pub next_at: Timestamp,
    /// The merchant's OrderID.
    pub order: String,
    /// The merchant's ID.
    pub merchant: String,
    /// Where to call, sealed; `None` if he wants no calls any more.
    pub url: Option<Vec<u8>>,
    /// His signing secret, sealed.
    pub secret: Vec<u8>,
}

/// A callback in a payout's timeline.
#[derive(Clone, Debug)]
pub struct CallbackView {
    /// Which news of the payout.
    pub seq: i64,
    /// What it says.
    pub news: i64,
    /// 1 waiting, 2 delivered, 3 given up.
    pub state: i64,
    /// How often it was tried.
    pub tries: i64,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// What the last try came to.
    pub result: String,
    /// When the news was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A line of a payout's history.
#[derive(Clone, Debug)]
pub struct HistoryView {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: String,
    /// Who caused it.
    pub actor: String,
    /// More of it.
    pub detail: String,
}

/// A line of a merchant's settings' history.
#[derive(Clone, Debug)]
pub struct SettingsLine {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was changed.
    pub what: String,
}

/// An attempt, as a reference tells of it.
#[derive(Clone, Copy, Debug)]
pub struct AttemptView {
    /// Whose payout.
    pub merchant: MerchantId,
    /// Which.
    pub payout: PayoutId,
    /// Over which rail; `None` if over the one that was ordered, in a store that did not know of others.
    pub rail: Option<Rail>,
}

/// A message of a bank.
#[derive(Clone, Debug)]
pub struct MessageView {
    /// When it came.
    pub at: Timestamp,
    /// How it came: reply, enquiry, callback.
    pub source: String,
    /// What it said, sealed.
    pub body: Vec<u8>,
}

/// An exception for the operator.
#[derive(Clone, Debug)]
pub struct ExceptionView {
    /// Who spoke.
    pub connector: String,
    /// About which reference.
    pub reference: String,
    /// Its kind's number.
    pub kind: i64,
    /// The payout, if known.
    pub payout: Option<i64>,
    /// What was said.
    pub detail: String,
    /// When.
    pub at: Timestamp,
    /// The operator who looks at it.
    pub assignee: Option<String>,
    /// Since when it needs nobody any more.
    pub resolved_at: Option<Timestamp>,
    /// The proposal by which it was resolved.
    pub proposal: Option<i64>,
}

/// A book: a merchant's, or the house's.
#[derive(Clone, Debug)]
pub struct BookView {
    /// Whose.
    pub id: MerchantId,
    /// His ID, or `house`; `None` if there is no such merchant.
    pub merchant: Option<String>,
    /// The balances as they are stored, with the number of the last journal row.
    pub accounts: Accounts,
    /// The link of the last journal row.
    pub journal_link: [u8; 32],
}

/// A complaint.
#[derive(Clone, Debug)]
pub struct ComplaintView {
    /// Whose.
    pub merchant_id: MerchantId,
    /// The merchant's ID.
    pub merchant: String,
    /// Its number within the merchant.
    pub complaint_id: i64,
    /// Our OrderID that it is about.
    pub payout: PayoutId,
    /// Whether it is open.
    pub open: bool,
    /// Subject and message, sealed.
    pub text: Vec<u8>,
    /// When it was raised.
    pub created_at: Timestamp,
}

/// What the operator did with a complaint.
#[derive(Clone, Debug)]
pub struct ComplaintLine {
    /// `reply` or `close`.
    pub event: String,
    /// What was said, sealed.
    pub text: Vec<u8>,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// A journal row and its link.
pub type Linked = (JournalRow, [u8; 32]);

const PAYOUT_BY_ID: &str =
    concat!("SELECT ", payout_columns!(), " FROM payouts WHERE merchant_id = $1 AND payout_id = $2");
const PAYOUT_BY_ORDER: &str =
    concat!("SELECT ", payout_columns!(), " FROM payouts WHERE merchant_id = $1 AND order_id = $2");
const PAYOUTS_DUE: &str = concat!(
    "SELECT ",
    payout_columns!(),
    " FROM payouts WHERE next_at IS NOT NULL AND next_at >= $1 AND next_at <= $2 ORDER BY next_at LIMIT $3"
);
const PAYOUTS_ALL: &str =
    concat!("SELECT ", payout_columns!(), " FROM payouts WHERE merchant_id = $1 ORDER BY payout_id");
const PAYOUTS_BEFORE: &str = concat!(
    "SELECT ",
    payout_columns!(),
    " FROM payouts WHERE merchant_id = $1 AND payout_id < $2 ORDER BY payout_id DESC LIMIT $3"
);
const PAYOUTS_NEWEST: &str =
    concat!("SELECT ", payout_columns!(), " FROM payouts WHERE payout_id < $1 ORDER BY payout_id DESC LIMIT $2");
// Where the primary key begins with the merchant: the newest of each merchant, and of those the newest.
const PAYOUTS_NEWEST_BY_MERCHANT: &str = concat!(
    "SELECT n.* FROM merchants m CROSS JOIN LATERAL (SELECT ",
    payout_columns!(),
    " FROM payouts p WHERE p.merchant_id = m.merchant_id AND p.payout_id < $1 ORDER BY p.payout_id DESC LIMIT $2) n \
     ORDER BY n.payout_id DESC LIMIT $2"
);
const MERCHANT_COLUMNS: &str = "SELECT m.merchant_id, m.merchant, m.state, m.payout_most_paise, m.day_most_paise, m.fees_neft, m.fees_rtgs, \
    m.fees_imps, m.fees_upi, m.rail_choice, m.callback_url, m.callback_pending, m.callback_secret, m.created_at, a.wallet_paise, \
    a.reserved_paise, a.fees_paise, a.gst_paise, a.banks, a.journal_seq, a.journal_link \
    FROM merchants m JOIN accounts a ON a.merchant_id = m.merchant_id ORDER BY m.merchant_id";
const TOKEN_BY_HASH: &str = "SELECT token_id, merchant_id, allow_ip, rate_per_minute, actor, created_at, revoked_at FROM tokens \
    WHERE token_hash = $1";
const TOKENS: &str = "SELECT token_id, merchant_id, allow_ip, rate_per_minute, actor, created_at, revoked_at FROM tokens \
    WHERE merchant_id = $1 ORDER BY token_id";
const TOKENS_ALL: &str = "SELECT token_id, merchant_id, allow_ip, rate_per_minute, actor, created_at, revoked_at FROM tokens \
    ORDER BY token_id";
const BOOKS: &str = "SELECT a.merchant_id, CASE WHEN a.merchant_id = 0 THEN 'house' ELSE m.merchant END, a.wallet_paise, \
    a.reserved_paise, a.fees_paise, a.gst_paise, a.banks, a.journal_seq, a.journal_at, a.journal_link \
    FROM accounts a LEFT JOIN merchants m ON m.merchant_id = a.merchant_id ORDER BY a.merchant_id";
/// Which exceptions (`e`) wait for a person. What a statement lacked and another had (a debit, a return, a credit), a credit
/// that has funded a wallet since (not one that lies in the house's suspense), and a payment that was forgotten and recognised
/// need nobody any more.
macro_rules! open_exceptions {
    () => {
        "e.resolved_at IS NULL AND NOT (e.kind IN (6, 21) AND EXISTS (SELECT 1 FROM statement_lines l WHERE l.connector = e.connector \
         AND l.reference = e.reference AND l.side = CASE e.kind WHEN 6 THEN 2 ELSE 1 END)) \
         AND NOT (e.kind IN (6, 21) AND EXISTS (SELECT 1 FROM statement_lines b WHERE b.merchant_id = e.merchant_id \
         AND b.payout_id = e.payout_id AND b.matched = 2 AND b.side = CASE e.kind WHEN 6 THEN 2 ELSE 1 END)) \
         AND NOT (e.kind = 10 AND EXISTS (SELECT 1 FROM statement_lines f JOIN bank_credits c ON c.connector = f.connector \
         AND c.reference = f.reference AND c.amount_paise = f.amount_paise \
         AND c.merchant_id > 0 WHERE f.connector = e.connector \
         AND f.reference = e.reference AND f.kind = 10)) \
         AND NOT (e.kind = 10 AND EXISTS (SELECT 1 FROM bank_credits i WHERE i.connector = e.connector \
         AND i.reference = e.reference AND i.line IS NOT NULL AND i.merchant_id > 0)) \
         AND NOT (e.kind = 18 AND EXISTS (SELECT 1 FROM bank_credits t WHERE t.connector = e.connector \
         AND t.reference = e.reference AND t.line IS NOT NULL)) \
         AND NOT (e.kind = 4 AND EXISTS (SELECT 1 FROM bank_references r WHERE r.connector = e.connector \
         AND r.reference = e.reference))"
    };
}
pub(super) use open_exceptions;
const EXCEPTIONS_OPEN: &str = concat!(
    "SELECT e.connector, e.reference, e.kind, e.payout_id, e.detail, e.at, e.assignee, e.resolved_at, e.proposal_id \
     FROM exceptions e WHERE ",
    open_exceptions!(),
    " ORDER BY e.at DESC, e.connector, e.reference LIMIT $1"
);
const EXCEPTIONS_OPEN_COUNTED: &str = concat!("SELECT COUNT(*) FROM exceptions e WHERE ", open_exceptions!());
const EXCEPTIONS_ALL: &str = "SELECT e.connector, e.reference, e.kind, e.payout_id, e.detail, e.at, e.assignee, e.resolved_at, \
    e.proposal_id FROM exceptions e ORDER BY e.at DESC, e.connector, e.reference LIMIT $1";
const EXCEPTION_BY_KEY: &str = "SELECT connector, reference, kind, payout_id, detail, at, assignee, resolved_at, proposal_id \
    FROM exceptions WHERE connector = $1 AND reference = $2 AND kind = $3";
const COMPLAINTS: &str = "SELECT c.merchant_id, m.merchant, c.complaint_id, c.payout_id, c.state, c.text, c.created_at FROM complaints c \
    JOIN merchants m ON m.merchant_id = c.merchant_id ORDER BY c.state, c.created_at DESC LIMIT $1";
const COMPLAINT_BY_KEY: &str = "SELECT c.merchant_id, m.merchant, c.complaint_id, c.payout_id, c.state, c.text, c.created_at \
    FROM merchants m JOIN complaints c ON c.merchant_id = m.merchant_id WHERE m.merchant = $1 AND c.complaint_id = $2";
// Cross joins keep the order of the tables: the merchant's due callbacks come from their index, already sorted.
const CALLBACKS_DUE: &str = "SELECT c.merchant_id, c.payout_id, c.seq, c.news, c.rrn, c.tries, c.next_at, p.order_id, m.merchant, \
    m.callback_url, m.callback_secret FROM callbacks c CROSS JOIN payouts p CROSS JOIN merchants m \
    WHERE c.merchant_id = $1 AND c.next_at IS NOT NULL AND c.next_at >= $2 AND c.next_at <= $3 AND NOT EXISTS (SELECT 1 FROM callbacks e \
    WHERE e.merchant_id = c.merchant_id AND e.payout_id = c.payout_id AND e.seq < c.seq AND e.state = 1) \
    AND p.merchant_id = c.merchant_id AND p.payout_id = c.payout_id AND m.merchant_id = c.merchant_id \
    ORDER BY c.next_at LIMIT $4";
// One look into the index for each merchant, however many callbacks wait.
const CALLBACKS_NEXT: &str = "SELECT m.merchant_id, (SELECT c.next_at FROM callbacks c WHERE c.merchant_id = m.merchant_id \
    AND c.next_at IS NOT NULL AND c.next_at >= $1 ORDER BY c.next_at LIMIT 1) FROM merchants m ORDER BY m.merchant_id";
const JOURNAL_COLUMNS: &str = "SELECT merchant_id, seq, at, kind, amount_paise, fee_paise, gst_paise, payout_id, connector, actor, memo, \
    wallet_after_paise, link FROM journal WHERE merchant_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
const JOURNAL_RANGE: &str = "SELECT merchant_id, seq, at, kind, amount_paise, fee_paise, gst_paise, payout_id, connector, actor, memo, \
    wallet_after_paise, link FROM journal WHERE merchant_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq";

impl Store {
    /// A value of the installation.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut rows = self.query("SELECT value FROM meta WHERE name = $1", &[Arg::Text(name)]).await?;
        rows.first_mut().map(Row::text).transpose()
    }

    /// The token with this hash, revoked or not.
    pub async fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        self.query(TOKEN_BY_HASH, &[Arg::Bytes(hash)]).await?.into_iter().next().map(token).transpose()
    }

    /// A merchant's tokens.
    pub async fn tokens(&self, merchant: MerchantId) -> Result<Vec<Token>, StoreError> {
        self.query(TOKENS, &[Arg::Int(merchant.0)]).await?.into_iter().map(token).collect()
    }

    /// The tokens of all merchants.
    pub async fn tokens_of_all(&self) -> Result<Vec<Token>, StoreError> {
        self.query(TOKENS_ALL, &[]).await?.into_iter().map(token).collect()
    }

    /// The newest lines of a merchant's settings' history, oldest of them first.
    pub async fn settings_history(&self, merchant: MerchantId, limit: i64) -> Result<Vec<SettingsLine>, StoreError> {
        let sql = "SELECT at, actor, what FROM settings_history WHERE merchant_id = $1 ORDER BY seq DESC LIMIT $2";
        let rows = self.query(sql, &[Arg::Int(merchant.0), Arg::Int(limit)]).await?;
        let line = |mut row: Row| Ok(SettingsLine { at: Timestamp(row.int()?), actor: row.text()?, what: row.text()? });
        rows.into_iter().rev().map(line).collect()
    }

    /// The connectors that are paused.
    pub async fn connectors_paused(&self) -> Result<Vec<PausedView>, StoreError> {
        let sql = "SELECT connector, paused_at, actor, reason FROM connectors WHERE paused_at IS NOT NULL";
        let rows = self.query(sql, &[]).await?;
        let view = |mut row: Row| {
            let (connector, at) = (decode_connector(&row.text()?)?, Timestamp(row.int()?));
            Ok(PausedView { connector, at, actor: row.text()?, reason: row.text()? })
        };
        rows.into_iter().map(view).collect()
    }

    /// What lies at each connector undecided, paise. Reads no more than what is open.
    pub async fn at_connectors(&self) -> Result<Vec<(Connector, i64)>, StoreError> {
        let sql = "SELECT connector, CAST(SUM(amount_paise) AS BIGINT) FROM payouts \
            WHERE next_at IS NOT NULL AND state IN (2, 3) AND connector IS NOT NULL GROUP BY connector";
        self.query(sql, &[]).await?.into_iter().map(sum_of_connector).collect()
    }

    /// The number of each merchant's last journal row.
    pub async fn journal_heads(&self) -> Result<Vec<(MerchantId, i64)>, StoreError> {
        let rows = self.query("SELECT merchant_id, journal_seq FROM accounts", &[]).await?;
        rows.into_iter().map(|mut row| Ok((MerchantId(row.int()?), row.int()?))).collect()
    }

    /// What a merchant's journal says that each connector has paid, in the rows after one and up to another, paise.
    pub async fn paid_by_connectors(
        &self,
        merchant: MerchantId,
        (after, last): (i64, i64),
    ) -> Result<Vec<(Connector, i64)>, StoreError> {
        let sql = "SELECT connector, CAST(SUM(amount_paise) AS BIGINT) FROM journal \
            WHERE merchant_id = $1 AND seq > $2 AND seq <= $3 AND kind = $4 AND connector IS NOT NULL \
            GROUP BY connector";
        let kind = Arg::Int(MovementKind::Settle as i64);
        let args = [Arg::Int(merchant.0), Arg::Int(after), Arg::Int(last), kind];
        self.query(sql, &args).await?.into_iter().map(sum_of_connector).collect()
    }

    /// What a merchant can spend now.
    pub async fn wallet(&self, merchant: MerchantId) -> Result<Option<Balance>, StoreError> {
        let sql =
            "SELECT wallet_paise, reserved_paise, fees_paise, gst_paise, banks FROM accounts WHERE merchant_id = $1";
        let mut rows = self.query(sql, &[Arg::Int(merchant.0)]).await?;
        rows.first_mut().map(|row| decode_balances(row).map(|accounts| accounts.wallet)).transpose()
    }

    /// All merchants. There are few: the operator adds them by hand.
    pub async fn merchants(&self) -> Result<Vec<MerchantView>, StoreError> {
        self.query(MERCHANT_COLUMNS, &[]).await?.into_iter().map(merchant_view).collect()
    }

    /// A merchant's payout by our id.
    pub async fn payout(&self, merchant: MerchantId, payout: PayoutId) -> Result<Option<Payout>, StoreError> {
        self.one_payout(PAYOUT_BY_ID, &[Arg::Int(merchant.0), Arg::Int(payout.0)]).await
    }

    /// A merchant's payout by his own OrderID.
    pub async fn payout_by_order(&self, merchant: MerchantId, order: &OrderId) -> Result<Option<Payout>, StoreError> {
        if planted(Plant::SqlFromText) {
            let sql = PAYOUT_BY_ORDER.replace("$2", &format!("'{}'", order.as_str()));
            return self.one_payout(sql.leak(), &[Arg::Int(merchant.0)]).await;
        }
        self.one_payout(PAYOUT_BY_ORDER, &[Arg::Int(merchant.0), Arg::Text(order.as_str())]).await
    }

    /// Any merchant's payout by our id: for the operator only.
    pub async fn payout_of_any(&self, payout: PayoutId) -> Result<Option<Payout>, StoreError> {
        let sql = "SELECT p.merchant_id FROM merchants m JOIN payouts p ON p.merchant_id = m.merchant_id WHERE p.payout_id = $1";
        let mut rows = self.query(sql, &[Arg::Int(payout.0)]).await?;
        match rows.first_mut() {
            Some(row) => self.payout(MerchantId(row.int()?), payout).await,
            None => Ok(None),
        }
    }

    async fn one_payout(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Option<Payout>, StoreError> {
        self.query(sql, args).await?.into_iter().next().map(decode_payout).transpose()
    }

    /// The payouts that are due between two moments (both included), the longest due first, and how many rows they are. A
    /// row that cannot be read is reported and left out: it must not hold up all others.
    pub async fn payouts_due(
        &self,
        from: Timestamp,
        to: Timestamp,
        limit: i64,
    ) -> Result<(Vec<Payout>, usize), StoreError> {
        let rows = self.query(PAYOUTS_DUE, &[Arg::Int(from.0), Arg::Int(to.0), Arg::Int(limit)]).await?;
        let readable = |row| {
            decode_payout(row).inspect_err(|error| tracing::error!(%error, "a payout that is due cannot be read")).ok()
        };
        let (found, rows) = (rows.len(), rows.into_iter().map(readable));
        if planted(Plant::HeadOfLineBlock) {
            return Ok((rows.map_while(|payout| payout).collect(), found));
        }
        Ok((rows.flatten().collect(), found))
    }

    /// A page of a merchant's payouts, newest first, with ids below `before`.
    pub async fn payouts_before(
        &self,
        merchant: MerchantId,
        before: PayoutId,
        limit: i64,
    ) -> Result<Vec<Payout>, StoreError> {
        let before = before.0.saturating_add(i64::from(planted(Plant::OffByOnePaging)));
        let args = [Arg::Int(merchant.0), Arg::Int(before), Arg::Int(limit)];
        self.query(PAYOUTS_BEFORE, &args).await?.into_iter().map(decode_payout).collect()
    }

    /// A page of all merchants' payouts, newest first, with ids below `before`.
    pub async fn payouts_of_all_before(&self, before: PayoutId, limit: i64) -> Result<Vec<Payout>, StoreError> {
        let sql = match self {
            Store::Sqlite(_) => PAYOUTS_NEWEST,
            Store::Postgres(_) => PAYOUTS_NEWEST_BY_MERCHANT,
        };
        self.query(sql, &[Arg::Int(before.0), Arg::Int(limit)]).await?.into_iter().map(decode_payout).collect()
    }

    /// Hands over all payouts of a merchant, oldest first.
    pub async fn each_payout(
        &self,
        merchant: MerchantId,
        each: &mut (dyn FnMut(Payout) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        self.scan(PAYOUTS_ALL, &[Arg::Int(merchant.0)], &mut |row| each(decode_payout(row)?)).await
    }

    /// The numbers of all merchants that have a journal or payouts.
    pub async fn merchants_with_rows(&self) -> Result<Vec<MerchantId>, StoreError> {
        let sql = "SELECT DISTINCT merchant_id FROM journal UNION SELECT DISTINCT merchant_id FROM payouts \
            UNION SELECT DISTINCT merchant_id FROM statement_lines WHERE merchant_id IS NOT NULL";
        let rows = self.query(sql, &[]).await?;
        rows.into_iter().map(|mut row| row.int().map(MerchantId)).collect()
    }

    /// The leases of process numbers: number, until when, fence.
    pub async fn processes(&self) -> Result<Vec<(i64, Timestamp, i64)>, StoreError> {
        let rows = self.query("SELECT process, lease_until, fence FROM processes ORDER BY process", &[]).await?;
        rows.into_iter().map(|mut row| Ok((row.int()?, Timestamp(row.int()?), row.int()?))).collect()
    }

    /// The highest payout id of all merchants; 0 if there is none.
    pub async fn last_payout(&self) -> Result<PayoutId, StoreError> {
        // Where a payout's id is the row's own number the first finds it at once; the second takes one look into the
        // primary key for each merchant.
        let sql = match self {
            Store::Sqlite(_) => "SELECT MAX(payout_id) FROM payouts",
            Store::Postgres(_) => {
                "SELECT CAST(MAX(l.last_id) AS BIGINT) FROM (SELECT (SELECT MAX(p.payout_id) \
                FROM payouts p WHERE p.merchant_id = m.merchant_id) AS last_id FROM merchants m) l"
            }
        };
        let mut rows = self.query(sql, &[]).await?;
        Ok(PayoutId(rows.first_mut().map(Row::int_or_null).transpose()?.flatten().unwrap_or(0)))
    }

    /// Those of these payouts that have ended.
    pub async fn payouts_ended(&self, payouts: &[(MerchantId, PayoutId)]) -> Result<Vec<Payout>, StoreError> {
        let keys = payouts.iter().flat_map(|(merchant, payout)| [Value::Int(merchant.0), Value::Int(payout.0)]);
        let rows = self.find(&BY_ID, &keys.collect::<Vec<_>>()).await?;
        let payouts = rows.into_iter().map(decode_payout).collect::<Result<Vec<_>, _>>()?;
        Ok(payouts.into_iter().filter(|payout| !payout.state.is_open()).collect())
    }

    /// Open payouts by state: number and the oldest creation time.
    pub async fn payouts_open(&self) -> Result<Vec<(i64, i64, Timestamp)>, StoreError> {
        let sql = "SELECT state, COUNT(*), MIN(created_at) FROM payouts WHERE next_at IS NOT NULL AND state < 4 GROUP BY state ORDER BY state";
        let rows = self.query(sql, &[]).await?;
        rows.into_iter().map(|mut row| Ok((row.int()?, row.int()?, Timestamp(row.int()?)))).collect()
    }

    /// How many open payouts wait for the operator.
    pub async fn payouts_waiting(&self) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM payouts WHERE next_at IS NOT NULL AND next_at = $1";
        let mut rows = self.query(sql, &[Arg::Int(WAITING.0)]).await?;
        rows.first_mut().map_or(Ok(0), Row::int)
    }

    /// When the next payout is due, if that is between two moments.
    pub async fn next_payout_due(&self, from: Timestamp, to: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT next_at FROM payouts WHERE next_at IS NOT NULL AND next_at >= $1 AND next_at <= $2 \
            ORDER BY next_at LIMIT 1";
        let mut rows = self.query(sql, &[Arg::Int(from.0), Arg::Int(to.0)]).await?;
        rows.first_mut().map(Row::int).transpose().map(|at| at.map(Timestamp))
    }

    /// When each merchant's next callback from a moment on is due; merchants without one are left out.
    pub async fn callbacks_next(&self, from: Timestamp) -> Result<Vec<(MerchantId, Timestamp)>, StoreError> {
        let mut next = Vec::new();
        for mut row in self.query(CALLBACKS_NEXT, &[Arg::Int(from.0)]).await? {
            let merchant = MerchantId(row.int()?);
            next.extend(row.int_or_null()?.map(|at| (merchant, Timestamp(at))));
        }
        Ok(next)
    }

    /// A merchant's callbacks that are due between two moments and have no older news of the same payout before them, the longest due first.
    pub async fn callbacks_due(
        &self,
        merchant: MerchantId,
        (from, to): (Timestamp, Timestamp),
        limit: i64,
    ) -> Result<Vec<DueCallback>, StoreError> {
        let args = [Arg::Int(merchant.0), Arg::Int(from.0), Arg::Int(to.0), Arg::Int(limit)];
        self.query(CALLBACKS_DUE, &args).await?.into_iter().map(due_callback).collect()
    }

    /// The callbacks of a payout.
    pub async fn callbacks(&self, merchant: MerchantId, payout: PayoutId) -> Result<Vec<CallbackView>, StoreError> {
        let sql = "SELECT seq, news, state, tries, next_at, result, created_at, updated_at FROM callbacks \
            WHERE merchant_id = $1 AND payout_id = $2 ORDER BY seq";
        let rows = self.query(sql, &[Arg::Int(merchant.0), Arg::Int(payout.0)]).await?;
        let view = |mut row: Row| {
            Ok(CallbackView {
                seq: row.int()?,
                news: row.int()?,
                state: row.int()?,
                tries: row.int()?,
                next_at: row.int_or_null()?.map(Timestamp),
                result: row.text()?,
                created_at: Timestamp(row.int()?),
                updated_at: Timestamp(row.int()?),
            })
        };
        rows.into_iter().map(view).collect()
    }

    /// What was out of the ordinary with a payout.
    pub async fn history(&self, merchant: MerchantId, payout: PayoutId) -> Result<Vec<HistoryView>, StoreError> {
        let sql = "SELECT at, event, actor, detail FROM payout_history WHERE merchant_id = $1 AND payout_id = $2 ORDER BY version";
        let rows = self.query(sql, &[Arg::Int(merchant.0), Arg::Int(payout.0)]).await?;
        let view = |mut row: Row| {
            Ok(HistoryView { at: Timestamp(row.int()?), event: row.text()?, actor: row.text()?, detail: row.text()? })
        };
        rows.into_iter().map(view).collect()
    }

    /// Which payout a reference belongs to.
    pub async fn reference(
        &self,
        connector: Connector,
        reference: Reference,
    ) -> Result<Option<AttemptView>, StoreError> {
        let sql = "SELECT merchant_id, payout_id, rail FROM bank_references WHERE connector = $1 AND reference = $2";
        let rows = self.query(sql, &[Arg::Text(connector.as_str()), Arg::Text(reference.as_str())]).await?;
        let view = |mut row: Row| {
            let (merchant, payout) = (MerchantId(row.int()?), PayoutId(row.int()?));
            Ok(AttemptView { merchant, payout, rail: row.int_or_null()?.map(decode_rail).transpose()? })
        };
        rows.into_iter().next().map(view).transpose()
    }

    /// What a bank said about a reference beyond the plain answer to the payment.
    pub async fn bank_messages(
        &self,
        connector: Connector,
        reference: Reference,
    ) -> Result<Vec<MessageView>, StoreError> {
        let sql = "SELECT at, source, body FROM bank_messages WHERE connector = $1 AND reference = $2 ORDER BY at";
        let rows = self.query(sql, &[Arg::Text(connector.as_str()), Arg::Text(reference.as_str())]).await?;
        rows.into_iter()
            .map(|mut row| Ok(MessageView { at: Timestamp(row.int()?), source: row.text()?, body: row.bytes()? }))
            .collect()
    }

    /// Hands over a merchant's journal from a row's number on, in order.
    pub async fn each_journal_row(
        &self,
        merchant: MerchantId,
        from_seq: i64,
        each: &mut (dyn FnMut(Linked) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let args = [Arg::Int(merchant.0), Arg::Int(from_seq), Arg::Int(i64::MAX)];
        self.scan(JOURNAL_COLUMNS, &args, &mut |row| each(linked(row)?)).await
    }

    /// Hands over a part of a merchant's journal, from a row's number to before another's, in order.
    pub async fn each_journal_row_between(
        &self,
        merchant: MerchantId,
        (from_seq, to_seq): (i64, i64),
        each: &mut (dyn FnMut(Linked) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let args = [Arg::Int(merchant.0), Arg::Int(from_seq), Arg::Int(to_seq)];
        self.scan(JOURNAL_RANGE, &args, &mut |row| each(linked(row)?)).await
    }

    /// The number of the first journal row of a merchant at or after a moment: times rise with numbers, so a search by
    /// halves finds it without an index.
    pub async fn journal_seq_at(&self, merchant: MerchantId, at: Timestamp) -> Result<i64, StoreError> {
        let last = "SELECT COALESCE(MAX(seq), 0) FROM journal WHERE merchant_id = $1";
        let (mut low, mut high) =
            (1, self.query(last, &[Arg::Int(merchant.0)]).await?.first_mut().map_or(Ok(0), Row::int)? + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let sql = "SELECT at FROM journal WHERE merchant_id = $1 AND seq = $2";
            let mut rows = self.query(sql, &[Arg::Int(merchant.0), Arg::Int(middle)]).await?;
            let before = rows.first_mut().map_or(Ok(i64::MAX), Row::int)? < at.0;
            if before { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Everything that waits for the operator, newest first.
    pub async fn exceptions(&self, limit: i64) -> Result<Vec<ExceptionView>, StoreError> {
        self.query(EXCEPTIONS_OPEN, &[Arg::Int(limit)]).await?.into_iter().map(exception_view).collect()
    }

    /// How many exceptions wait for the operator.
    pub async fn exceptions_open(&self) -> Result<i64, StoreError> {
        self.query(EXCEPTIONS_OPEN_COUNTED, &[]).await?.first_mut().map_or(Ok(0), Row::int)
    }

    /// All exceptions, the resolved ones too, newest first.
    pub async fn exceptions_of_all_time(&self, limit: i64) -> Result<Vec<ExceptionView>, StoreError> {
        self.query(EXCEPTIONS_ALL, &[Arg::Int(limit)]).await?.into_iter().map(exception_view).collect()
    }

    /// All books, the house's first.
    pub async fn books(&self) -> Result<Vec<BookView>, StoreError> {
        let book = |mut row: Row| {
            let row = &mut row;
            let (id, merchant) = (MerchantId(row.int()?), row.text_or_null()?);
            let mut balance = || row.int().map(Balance::from_paise);
            let (wallet, reserved, fees, gst) = (balance()?, balance()?, balance()?, balance()?);
            let mut accounts = Accounts { wallet, reserved, fees, gst, ..Accounts::default() };
            decode_banks(&row.text()?, &mut accounts)?;
            (accounts.journal_seq, accounts.journal_at) = (row.int()?, Timestamp(row.int()?));
            Ok(BookView { id, merchant, accounts, journal_link: row.hash()? })
        };
        self.query(BOOKS, &[]).await?.into_iter().map(book).collect()
    }

    /// One exception.
    pub async fn exception(
        &self,
        connector: &str,
        reference: &str,
        kind: i64,
    ) -> Result<Option<ExceptionView>, StoreError> {
        let args = [Arg::Text(connector), Arg::Text(reference), Arg::Int(kind)];
        self.query(EXCEPTION_BY_KEY, &args).await?.into_iter().next().map(exception_view).transpose()
    }

    /// Complaints, open ones first, then the newest.
    pub async fn complaints(&self, limit: i64) -> Result<Vec<ComplaintView>, StoreError> {
        self.query(COMPLAINTS, &[Arg::Int(limit)]).await?.into_iter().map(complaint_view).collect()
    }

    /// One complaint, by its merchant's ID and its number.
    pub async fn complaint(&self, merchant: &str, complaint: i64) -> Result<Option<ComplaintView>, StoreError> {
        let args = [Arg::Text(merchant), Arg::Int(complaint)];
        self.query(COMPLAINT_BY_KEY, &args).await?.into_iter().next().map(complaint_view).transpose()
    }

    /// What was done with a complaint.
    pub async fn complaint_history(
        &self,
        merchant: MerchantId,
        complaint: i64,
    ) -> Result<Vec<ComplaintLine>, StoreError> {
        let sql = "SELECT event, text, actor, at FROM complaint_history WHERE merchant_id = $1 AND complaint_id = $2 ORDER BY seq";
        let rows = self.query(sql, &[Arg::Int(merchant.0), Arg::Int(complaint)]).await?;
        let line = |mut row: Row| {
            Ok(ComplaintLine { event: row.text()?, text: row.bytes()?, actor: row.text()?, at: Timestamp(row.int()?) })
        };
        rows.into_iter().map(line).collect()
    }

    /// The payouts of a merchant whose last reference is not known to be theirs, at most 100.
    pub async fn misplaced_references(&self, merchant: MerchantId) -> Result<Vec<i64>, StoreError> {
        // An attempt of which no byte left us keeps its reference for the next one, which has its number.
        let sql = "SELECT p.payout_id FROM payouts p \
            LEFT JOIN bank_references r ON r.connector = p.connector AND r.reference = p.reference \
            WHERE p.merchant_id = $1 AND p.attempts > 0 AND (r.payout_id IS NULL OR r.payout_id <> p.payout_id \
            OR r.attempt < p.attempts OR r.attempt > p.attempts + 1) ORDER BY p.payout_id LIMIT 100";
        let rows = self.query(sql, &[Arg::Int(merchant.0)]).await?;
        rows.into_iter().map(|mut row| row.int()).collect()
    }

    /// Hands over every callback of a merchant: payout, number, news.
    pub async fn each_callback(
        &self,
        merchant: MerchantId,
        each: &mut (dyn FnMut(PayoutId, i64, i64) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let sql = "SELECT payout_id, seq, news FROM callbacks WHERE merchant_id = $1 ORDER BY payout_id, seq";
        self.scan(sql, &[Arg::Int(merchant.0)], &mut |mut row| each(PayoutId(row.int()?), row.int()?, row.int()?)).await
    }

    /// How much each bank credit has funded, by merchant.
    pub async fn credits_by_merchant(&self) -> Result<Vec<(MerchantId, i64)>, StoreError> {
        let sql = "SELECT merchant_id, CAST(SUM(amount_paise) AS BIGINT) FROM bank_credits GROUP BY merchant_id ORDER BY merchant_id";
        let rows = self.query(sql, &[]).await?;
        rows.into_iter().map(|mut row| Ok((MerchantId(row.int()?), row.int()?))).collect()
    }
}

fn token(mut row: Row) -> Result<Token, StoreError> {
    Ok(Token {
        token_id: row.int()?,
        merchant: MerchantId(row.int()?),
        allow_ip: row.text()?,
        rate_per_minute: row.int_or_null()?,
        actor: row.text()?,
        created_at: Timestamp(row.int()?),
        revoked_at: row.int_or_null()?.map(Timestamp),
    })
}

fn exception_view(mut row: Row) -> Result<ExceptionView, StoreError> {
    Ok(ExceptionView {
        connector: row.text()?,
        reference: row.text()?,
        kind: row.int()?,
        payout: row.int_or_null()?,
        detail: row.text()?,
        at: Timestamp(row.int()?),
        assignee: row.text_or_null()?,
        resolved_at: row.int_or_null()?.map(Timestamp),
        proposal: row.int_or_null()?,
    })
}

fn complaint_view(mut row: Row) -> Result<ComplaintView, StoreError> {
    Ok(ComplaintView {
        merchant_id: MerchantId(row.int()?),
        merchant: row.text()?,
        complaint_id: row.int()?,
        payout: PayoutId(row.int()?),
        open: row.int()? == 1,
        text: row.bytes()?,
        created_at: Timestamp(row.int()?),
    })
}

fn merchant_view(mut row: Row) -> Result<MerchantView, StoreError> {
    let row = &mut row;
    Ok(MerchantView {
        id: MerchantId(row.int()?),
        merchant: row.text()?,
        state: decode_merchant_state(row.int()?)?,
        payout_most_paise: row.int_or_null()?,
        day_most_paise: row.int_or_null()?,
        fees: [row.text()?, row.text()?, row.text()?, row.text()?],
        rail_choice: RailChoice::from_number(row.int()?)
            .ok_or_else(|| StoreError::Corrupt("a merchant's choice of rails is not valid".into()))?,
        callback_url: row.bytes_or_null()?,
        callback_pending: row.int()? != 0,
        callback_secret: row.bytes()?,
        created_at: Timestamp(row.int()?),
        balances: [
            Balance::from_paise(row.int()?),
            Balance::from_paise(row.int()?),
            Balance::from_paise(row.int()?),
            Balance::from_paise(row.int()?),
        ],
        banks: row.text()?,
        journal_seq: row.int()?,
        journal_link: row.hash()?,
    })
}

fn due_callback(mut row: Row) -> Result<DueCallback, StoreError> {
    let row = &mut row;
    Ok(DueCallback {
        key: CallbackKey { merchant: MerchantId(row.int()?), payout: PayoutId(row.int()?), seq: row.int()? },
        news: News::from_number(row.int()?)
            .ok_or_else(|| StoreError::Corrupt("a callback's news is not valid".into()))?,
        rrn: row.text()?,
        tries: u32::try_from(row.int()?).unwrap_or(u32::MAX),
        next_at: Timestamp(row.int()?),
        order: row.text()?,
        merchant: row.text()?,
        url: row.bytes_or_null()?,
        secret: row.bytes()?,
    })
}

fn linked(mut row: Row) -> Result<Linked, StoreError> {
    linked_in(&mut row)
}

/// The journal row at the beginning of a row.
pub(super) fn linked_in(row: &mut Row) -> Result<Linked, StoreError> {
    let (merchant, seq, at) = (MerchantId(row.int()?), row.int()?, Timestamp(row.int()?));
    let kind = MovementKind::from_number(row.int()?)
        .ok_or_else(|| StoreError::Corrupt("a journal row's kind is not valid".into()))?;
    let cost = Cost { amount: stored_amount(row)?, fee_paise: row.int()?, gst_paise: row.int()? };
    let payout = row.int_or_null()?.map(PayoutId);
    let sides = row.text_or_null()?.unwrap_or_default();
    let movement = Movement::from_sides(kind, &sides, cost)
        .ok_or_else(|| StoreError::Corrupt("a journal row's other side is not valid".into()))?;
    let actor = decode_actor(&row.text()?)?;
    let memo = row.text()?.into();
    let wallet_after = Balance::from_paise(row.int()?);
    Ok((JournalRow { merchant, seq, at, movement, payout, actor, memo, wallet_after }, row.hash()?))
}

fn stored_amount(row: &mut Row) -> Result<Amount, StoreError> {
    amount(row.int()?)
}
