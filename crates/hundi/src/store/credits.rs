//! Bank credits: which are booked, what banks call them, and by what they are known to be a merchant's.

use super::batch::{BYTES, INT, TEXT, amount, decode_connector};
use super::rows::{Plain, settings_line};
use super::statements::LineResult;
use super::{Arg, Lookup, Many, Row, Store, StoreError, Value};
use hundi_core::command::{Credit, Credited, KnownCredit, LineCredited, Read, Snapshot, named_alone};
use hundi_core::ids::{Actor, Connector, MerchantId};
use hundi_core::schedule::Timestamp;

/// Stands before a name that was read in free text only. No name that a bank gives holds it, so the two are never one.
const NARRATED: char = '~';

/// What is read of a credit, and in the end its reference as it was read in free text, if it was.
macro_rules! known {
    ($more:literal) => {
        concat!(
            "c.connector, c.reference, c.merchant_id, c.amount_paise, c.day, c.line, (SELECT w.name FROM credit_names w \
            WHERE w.connector = c.connector AND w.name = '~' || c.reference AND w.reference = c.reference)",
            $more
        )
    };
}

pub(super) static CREDITS: Lookup =
    Lookup::new(known!(""), "bank_credits c", "", &[("connector", TEXT), ("reference", TEXT)]);
/// Those of an amount and a day.
pub(super) static CREDITS_NEAR: Lookup =
    Lookup::new(known!(""), "bank_credits c", "", &[("connector", TEXT), ("amount_paise", INT), ("day", INT)]);
/// Those of which a statement's line tells.
pub(super) static CREDITS_TOLD: Lookup =
    Lookup::new(known!(""), "bank_credits c", "", &[("connector", TEXT), ("line", TEXT)]);
/// Those that a bank has another name for.
pub(super) static CREDITS_NAMED: Lookup = Lookup::new(
    known!(", n.name"),
    "credit_names n",
    "JOIN bank_credits c ON c.connector = n.connector AND c.reference = n.reference",
    &[("connector", TEXT), ("name", TEXT)],
);
pub(super) static ADD_CREDITS: Many = Many::insert(
    "bank_credits",
    &[
        ("connector", TEXT),
        ("reference", TEXT),
        ("merchant_id", INT),
        ("amount_paise", INT),
        ("day", INT),
        ("by_hand_at", INT),
        ("line", TEXT),
    ],
    "",
);
/// A statement tells of what was booked by hand; the key includes whose it is.
pub(super) static TELL_CREDITS: Many = Many::update(
    "bank_credits",
    &[("day", INT), ("line", TEXT), ("connector", TEXT), ("reference", TEXT), ("merchant_id", INT)],
    3,
);
/// A credit leaves the house's suspense; the key includes whose it was.
pub(super) static IDENTIFY_CREDITS: Many = Many::update(
    "bank_credits",
    &[("merchant_id", INT), ("connector", TEXT), ("reference", TEXT), ("merchant_id", INT)],
    3,
);
pub(super) static ADD_NAMES: Many = Many::insert(
    "credit_names",
    &[("connector", TEXT), ("name", TEXT), ("reference", TEXT)],
    "ON CONFLICT (connector, name, reference) DO NOTHING",
);
pub(super) static ADD_RULES: Many = Many::insert(
    "credit_rules",
    &[
        ("connector", TEXT),
        ("hash", BYTES),
        ("merchant_id", INT),
        ("kind", INT),
        ("shown", TEXT),
        ("sealed", BYTES),
        ("actor", TEXT),
        ("at", INT),
        ("ended_at", INT),
    ],
    "",
);
const EXPECTED: &str = "SELECT c.reference, c.amount_paise, c.merchant_id, c.by_hand_at FROM bank_credits c WHERE c.connector = $1 \
    AND c.line IS NULL AND c.by_hand_at IS NOT NULL AND c.by_hand_at >= $2 AND c.by_hand_at < $3 \
    AND NOT EXISTS (SELECT 1 FROM statement_lines l WHERE l.connector = c.connector AND l.reference = c.reference \
    AND l.side = 1 AND l.amount_paise = c.amount_paise) ORDER BY c.by_hand_at, c.reference LIMIT $4";
const RULES: &str = "SELECT connector, hash, merchant_id, kind, shown, sealed, actor, at FROM credit_rules \
    WHERE ended_at IS NULL ORDER BY merchant_id, connector, kind, shown, hash";
// A credit and its line, each against the other: 1 a credit's line is not there or says something else, 2 a line has moved money
// that no credit has, 3 money of the suspense that nobody has proposed and no line has brought.
const MISPLACED: &str = "SELECT CAST(1 AS BIGINT), c.connector, c.reference FROM bank_credits c WHERE c.line IS NOT NULL AND NOT EXISTS \
    (SELECT 1 FROM statement_lines l WHERE l.connector = c.connector AND l.line = c.line AND l.side = 1 \
    AND l.amount_paise = c.amount_paise AND l.result IN (3, 5, 6)) \
    UNION ALL SELECT CAST(2 AS BIGINT), l.connector, l.reference FROM statement_lines l WHERE l.result IN (5, 6) AND NOT EXISTS \
    (SELECT 1 FROM bank_credits c WHERE c.connector = l.connector AND c.line = l.line AND c.amount_paise = l.amount_paise) \
    UNION ALL SELECT CAST(3 AS BIGINT), j.connector, j.memo FROM journal j WHERE j.merchant_id = 0 AND j.kind = 10 \
    AND j.memo NOT LIKE 'proposal %' AND NOT EXISTS (SELECT 1 FROM bank_credits c WHERE c.connector = j.connector \
    AND c.reference = j.memo AND c.line IS NOT NULL AND c.amount_paise = j.amount_paise) ORDER BY 1, 2, 3 LIMIT 100";

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The values of [`ADD_CREDITS`] and of [`ADD_NAMES`].
pub(super) fn booked(credit: &Credit) -> ([Value; 7], Vec<Value>) {
    let Credit { connector, reference, merchant, amount, day, by_hand_at, line, .. } = credit;
    let values = [
        text(connector.as_str()),
        text(reference),
        Value::Int(merchant.0),
        Value::Int(amount.paise()),
        Value::Int(*day),
        by_hand_at.map(|at| at.0).into(),
        line.as_deref().map_or(Value::Null, text),
    ];
    (values, names(credit))
}

/// The values of [`TELL_CREDITS`] and of [`ADD_NAMES`].
pub(super) fn told(credit: &Credit) -> ([Value; 5], Vec<Value>) {
    let line = credit.line.as_deref().map_or(Value::Null, text);
    let (connector, reference) = (text(credit.connector.as_str()), text(&credit.reference));
    ([Value::Int(credit.day), line, connector, reference, Value::Int(credit.merchant.0)], names(credit))
}

fn names(credit: &Credit) -> Vec<Value> {
    let kept = |(name, read): &(Box<str>, Read)| match read {
        Read::Field => text(name),
        Read::Narrated => text(&format!("{NARRATED}{name}")),
    };
    let of = |named| [text(credit.connector.as_str()), kept(named), text(&credit.reference)];
    credit.names.iter().flat_map(of).collect()
}

/// The keys of [`CREDITS_NAMED`] under which a name may be kept.
pub(super) fn kept_names(connector: Connector, name: &str) -> [Value; 4] {
    let connector = text(connector.as_str());
    [connector.clone(), text(name), connector, text(&format!("{NARRATED}{name}"))]
}

/// What a statement's line has come to, as the line keeps it.
pub(super) fn result(credited: Credited) -> LineResult {
    match credited {
        Credited::Funded => LineResult::Credited,
        Credited::Suspended => LineResult::Suspended,
        Credited::Expected => LineResult::Funded,
        Credited::Again => LineResult::Known,
        Credited::Differs | Credited::Doubtful => LineResult::Told,
    }
}

/// The reference of the exception that a line makes. What lies in suspense is identified by it.
pub fn exception_of(line: &LineCredited) -> String {
    match line.credited {
        Credited::Differs | Credited::Doubtful => named_alone(&line.reference, &line.line),
        Credited::Suspended | Credited::Funded | Credited::Expected | Credited::Again => line.reference.to_string(),
    }
}

/// Reads a credit into a snapshot; `named` says whether its row ends with another name of it.
pub(super) fn load(snapshot: &mut Snapshot, mut row: Row, named: bool) -> Result<(), StoreError> {
    let (connector, reference) = (decode_connector(&row.text()?)?, Box::<str>::from(row.text()?));
    let (merchant, amount) = (MerchantId(row.int()?), amount(row.int()?)?);
    let (day, line) = (row.int_or_null()?, row.text_or_null()?.map(Into::into));
    let read = if row.text_or_null()?.is_some() { Read::Narrated } else { Read::Field };
    if named {
        let name = row.text()?;
        let (name, read) = name.strip_prefix(NARRATED).map_or((&*name, Read::Field), |name| (name, Read::Narrated));
        let named = snapshot.credit_names.entry((connector, name.into())).or_default();
        // A bank that has told of it under both knows what it is called.
        named.entry(reference.clone()).and_modify(|known| *known = read.max(*known)).or_insert(read);
    }
    snapshot.credits.insert((connector, reference), KnownCredit { merchant, amount, read, day, line });
    Ok(())
}

/// By what a credit is known to be a merchant's, as it is kept.
#[derive(Clone, Debug)]
pub struct RuleRow {
    /// At which bank.
    pub connector: Connector,
    /// A keyed hash of the number or the words.
    pub hash: [u8; 32],
    /// Whose.
    pub merchant: MerchantId,
    /// Whether it is an account that the bank keeps for him, and not words.
    pub account: bool,
    /// The words, or the last four of the number.
    pub shown: String,
    /// The number or the words, sealed.
    pub sealed: Vec<u8>,
    /// Who made it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// Makes a rule; changes nothing if somebody has it. The first of the statements decides.
pub fn rule_add(rule: &RuleRow, what: &str, actor: &Actor) -> Plain {
    let sql = "INSERT INTO credit_rules (connector, hash, merchant_id, kind, shown, sealed, actor, at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (connector, hash) DO UPDATE SET merchant_id = excluded.merchant_id, \
        sealed = excluded.sealed, actor = excluded.actor, at = excluded.at, ended_at = NULL \
        WHERE credit_rules.ended_at IS NOT NULL";
    let values = vec![
        text(rule.connector.as_str()),
        Value::Bytes(rule.hash.to_vec()),
        Value::Int(rule.merchant.0),
        Value::Int(if rule.account { 1 } else { 2 }),
        text(&rule.shown),
        Value::Bytes(rule.sealed.clone()),
        text(&rule.actor),
        Value::Int(rule.at.0),
    ];
    Plain(vec![(sql, values)]).and(settings_line(rule.merchant, what, actor, rule.at))
}

/// Ends a merchant's rule; changes nothing if he has none such.
pub fn rule_remove(rule: &RuleRow, what: &str, actor: &Actor, now: Timestamp) -> Plain {
    let sql = "UPDATE credit_rules SET ended_at = $1 WHERE connector = $2 AND hash = $3 AND merchant_id = $4 \
        AND ended_at IS NULL";
    let hash = Value::Bytes(rule.hash.to_vec());
    let values = vec![Value::Int(now.0), text(rule.connector.as_str()), hash, Value::Int(rule.merchant.0)];
    Plain(vec![(sql, values)]).and(settings_line(rule.merchant, what, actor, now))
}

/// A credit that a person has booked and of which no statement tells.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What the person called it.
    pub reference: String,
    /// How much, paise.
    pub amount_paise: i64,
    /// Whose wallet, or the house.
    pub merchant: MerchantId,
    /// When it was booked.
    pub at: Timestamp,
}

impl Store {
    /// The credits that a bank calls so, by either of their names: their references, and whose they are.
    pub async fn credits_called(
        &self,
        connector: Connector,
        name: &str,
    ) -> Result<Vec<(String, MerchantId)>, StoreError> {
        let key = [text(connector.as_str()), text(name)];
        let mut snapshot = Snapshot::default();
        for row in self.find(&CREDITS, &key).await? {
            load(&mut snapshot, row, false)?;
        }
        for row in self.find(&CREDITS_NAMED, &kept_names(connector, name)).await? {
            load(&mut snapshot, row, true)?;
        }
        Ok(snapshot.credits.into_iter().map(|((_, name), known)| (name.to_string(), known.merchant)).collect())
    }

    /// What persons have booked at a connector from one moment to before another, and no statement tells of; at most so many.
    pub async fn credits_expected(
        &self,
        connector: Connector,
        (from, to): (Timestamp, Timestamp),
        limit: i64,
    ) -> Result<Vec<Expected>, StoreError> {
        let args = [Arg::Text(connector.as_str()), Arg::Int(from.0), Arg::Int(to.0), Arg::Int(limit)];
        let expected = |mut row: Row| {
            Ok(Expected {
                reference: row.text()?,
                amount_paise: row.int()?,
                merchant: MerchantId(row.int()?),
                at: Timestamp(row.int()?),
            })
        };
        self.query(EXPECTED, &args).await?.into_iter().map(expected).collect()
    }

    /// All rules by which credits are known to be a merchant's.
    pub async fn credit_rules(&self) -> Result<Vec<RuleRow>, StoreError> {
        let rule = |mut row: Row| {
            Ok(RuleRow {
                connector: decode_connector(&row.text()?)?,
                hash: row.hash()?,
                merchant: MerchantId(row.int()?),
                account: row.int()? == 1,
                shown: row.text()?,
                sealed: row.bytes()?,
                actor: row.text()?,
                at: Timestamp(row.int()?),
            })
        };
        self.query(RULES, &[]).await?.into_iter().map(rule).collect()
    }

    /// The credits (at most 100) of which line, row or money do not fit: what is wrong with each, connector and reference.
    pub async fn misplaced_credits(&self) -> Result<Vec<(&'static str, Connector, String)>, StoreError> {
        let misplaced = |mut row: Row| {
            let what = match row.int()? {
                1 => "its statement line is gone, or says something else",
                2 => "its statement line moved money that no credit has",
                _ => "it is in suspense, and neither a statement nor two people have put it there",
            };
            Ok((what, decode_connector(&row.text()?)?, row.text()?))
        };
        self.query(MISPLACED, &[]).await?.into_iter().map(misplaced).collect()
    }
}
