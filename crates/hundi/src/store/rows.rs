//! Writes that decide nothing about money: the directory, complaints, callbacks and bank messages. They ride in the
//! writer's batches.

use super::Value;
use hundi_core::command::MerchantState;
use hundi_core::fees::FeePlan;
use hundi_core::ids::{Actor, Connector, MerchantId, PayoutId, Reference};
use hundi_core::money::Amount;
use hundi_core::rails::{Rail, RailChoice};
use hundi_core::schedule::Timestamp;
use std::fmt;

/// Statements that stand or fall together. The first decides: if it changes no row, the others are not run, and the
/// caller is told so.
#[derive(Clone, Debug)]
pub struct Plain(pub(super) Vec<(&'static str, Vec<Value>)>);

impl Plain {
    /// The statements, in order.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, &[Value])> {
        self.0.iter().map(|(sql, values)| (*sql, values.as_slice()))
    }

    /// These statements, and then those of `other`, which no longer decide.
    #[must_use]
    pub fn and(mut self, other: Plain) -> Plain {
        self.0.extend(other.0);
        self
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Writes something, so that the commit waits until all that was committed before is on the standby too.
pub fn meta_touch(now: Timestamp) -> Plain {
    let sql =
        "INSERT INTO meta (name, value) VALUES ('touched', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    Plain(vec![(sql, vec![Value::Text(now.0.to_string())])])
}

/// Forgets a value of the installation.
pub fn meta_forget(name: &str) -> Plain {
    Plain(vec![("DELETE FROM meta WHERE name = $1", vec![text(name)])])
}

/// Sets a value of the installation once; changes nothing if it has one.
pub fn meta_once(name: &str, value: &str) -> Plain {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    Plain(vec![(sql, vec![text(name), text(value)])])
}

/// Leases a process number until `until`, if its row is still as it was `seen` (its `lease_until` and fence; `None` if
/// there was none). So whoever takes it knows for certain where the ids of the holder before end.
pub fn process_take(process: i64, seen: Option<(Timestamp, i64)>, until: Timestamp) -> Plain {
    let Some((lease_until, fence)) = seen else {
        let sql =
            "INSERT INTO processes (process, lease_until, fence) VALUES ($1, $2, 1) ON CONFLICT (process) DO NOTHING";
        return Plain(vec![(sql, vec![Value::Int(process), Value::Int(until.0)])]);
    };
    let sql = "UPDATE processes SET lease_until = $1, fence = fence + 1 \
        WHERE process = $2 AND fence = $3 AND lease_until = $4";
    Plain(vec![(sql, vec![Value::Int(until.0), Value::Int(process), Value::Int(fence), Value::Int(lease_until.0)])])
}

/// Prolongs the lease of a process number; changes nothing if it has been taken since. It never becomes shorter: a write
/// that a lost connection has delayed may come after a later one.
pub fn process_keep(process: i64, fence: i64, until: Timestamp) -> Plain {
    let sql = "UPDATE processes SET lease_until = CASE WHEN lease_until < $1 THEN $1 ELSE lease_until END \
        WHERE process = $2 AND fence = $3";
    Plain(vec![(sql, vec![Value::Int(until.0), Value::Int(process), Value::Int(fence)])])
}

/// Ends the lease of a process number at `spent`, for its holder, which gives out no more ids.
pub fn process_give_back(process: i64, fence: i64, spent: Timestamp) -> Plain {
    let sql = "UPDATE processes SET lease_until = $1 WHERE process = $2 AND fence = $3";
    Plain(vec![(sql, vec![Value::Int(spent.0), Value::Int(process), Value::Int(fence)])])
}

/// Adds a merchant with an empty wallet; changes nothing if the name is taken. `secret` is sealed.
pub fn merchant_add(merchant: &str, fees: &FeePlan, secret: Vec<u8>, actor: &Actor, now: Timestamp) -> Plain {
    let add = "INSERT INTO merchants (merchant_id, merchant, state, fees_neft, fees_rtgs, fees_imps, fees_upi, callback_pending, \
        callback_secret, actor, created_at) \
        SELECT COALESCE(MAX(merchant_id), 0) + 1, $1, 1, $2, $2, $2, $2, 0, $3, $4, $5 FROM merchants \
        WHERE true ON CONFLICT (merchant) DO NOTHING";
    let accounts = "INSERT INTO accounts (merchant_id, wallet_paise, reserved_paise, fees_paise, gst_paise, banks, journal_seq, \
        journal_at, journal_link, day, day_paise) \
        SELECT merchant_id, 0, 0, 0, 0, '', 0, 0, $1, 0, 0 FROM merchants WHERE merchant = $2";
    Plain(vec![
        (
            add,
            vec![
                text(merchant),
                text(&fees.to_string()),
                Value::Bytes(secret),
                text(&actor.to_string()),
                Value::Int(now.0),
            ],
        ),
        (accounts, vec![Value::Bytes(vec![0; 32]), text(merchant)]),
    ])
}

/// Opens the house's book, which is empty; changes nothing if there is one.
pub fn house_open() -> Plain {
    let sql = "INSERT INTO accounts (merchant_id, wallet_paise, reserved_paise, fees_paise, gst_paise, banks, journal_seq, \
        journal_at, journal_link, day, day_paise) VALUES ($1, 0, 0, 0, 0, '', 0, 0, $2, 0, 0) \
        ON CONFLICT (merchant_id) DO NOTHING";
    Plain(vec![(sql, vec![Value::Int(MerchantId::HOUSE.0), Value::Bytes(vec![0; 32])])])
}

/// One thing about a merchant that the operator can set.
#[derive(Clone, Debug)]
pub enum Setting {
    /// Whether he may pay.
    State(MerchantState),
    /// His most for one payout; `None` for no limit.
    PayoutMost(Option<Amount>),
    /// His most for a day; `None` for no limit.
    DayMost(Option<Amount>),
    /// His prices on a rail.
    Fees(Rail, FeePlan),
    /// Over which rails what he orders may go.
    RailChoice(RailChoice),
    /// Where he is called, sealed; `None` for nowhere.
    CallbackUrl(Option<Vec<u8>>),
    /// Whether he is told of Pending too.
    CallbackPending(bool),
    /// What signs his callbacks, sealed, if it still is what it `was`.
    CallbackSecret {
        /// The new one, and the one before while it signs too.
        now: Vec<u8>,
        /// What was read.
        was: Vec<u8>,
        /// For the settings' history.
        said: &'static str,
    },
}

impl fmt::Display for Setting {
    /// As the settings' history tells it, with neither URL nor secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |most: &Option<Amount>| most.map_or_else(|| "none".to_owned(), |most| most.to_string());
        match self {
            Setting::State(MerchantState::Active) => f.write_str("state=active"),
            Setting::State(MerchantState::Suspended) => f.write_str("state=suspended"),
            Setting::PayoutMost(most) => write!(f, "payout_most={}", limit(most)),
            Setting::DayMost(most) => write!(f, "day_most={}", limit(most)),
            Setting::Fees(rail, plan) => write!(f, "fees {}={plan}", rail.as_str()),
            Setting::RailChoice(choice) => write!(f, "rail={}", choice.name()),
            Setting::CallbackUrl(Some(_)) => f.write_str("callback_url changed"),
            Setting::CallbackUrl(None) => f.write_str("callback_url removed"),
            Setting::CallbackPending(wanted) => write!(f, "callback_pending={wanted}"),
            Setting::CallbackSecret { said, .. } => write!(f, "callback_secret {said}"),
        }
    }
}

/// Adds a line to a merchant's settings' history.
pub fn settings_line(merchant: MerchantId, what: &str, actor: &Actor, now: Timestamp) -> Plain {
    let sql = "INSERT INTO settings_history (merchant_id, seq, at, actor, what) \
        SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4 FROM settings_history WHERE merchant_id = $1";
    Plain(vec![(sql, vec![Value::Int(merchant.0), Value::Int(now.0), text(&actor.to_string()), text(what)])])
}

/// Sets something about a merchant; changes nothing if there is no such merchant. Whoever sets it for a person adds a
/// [`settings_line`].
pub fn merchant_set(merchant: MerchantId, setting: Setting) -> Plain {
    let (sql, value) = match setting {
        Setting::State(state) => ("UPDATE merchants SET state = $1 WHERE merchant_id = $2", Value::Int(state as i64)),
        Setting::PayoutMost(most) => {
            ("UPDATE merchants SET payout_most_paise = $1 WHERE merchant_id = $2", most.map(Amount::paise).into())
        }
        Setting::DayMost(most) => {
            ("UPDATE merchants SET day_most_paise = $1 WHERE merchant_id = $2", most.map(Amount::paise).into())
        }
        Setting::Fees(rail, plan) => {
            let sql = match rail {
                Rail::Neft => "UPDATE merchants SET fees_neft = $1 WHERE merchant_id = $2",
                Rail::Rtgs => "UPDATE merchants SET fees_rtgs = $1 WHERE merchant_id = $2",
                Rail::Imps => "UPDATE merchants SET fees_imps = $1 WHERE merchant_id = $2",
                Rail::Upi => "UPDATE merchants SET fees_upi = $1 WHERE merchant_id = $2",
            };
            (sql, text(&plan.to_string()))
        }
        Setting::RailChoice(choice) => {
            ("UPDATE merchants SET rail_choice = $1 WHERE merchant_id = $2", Value::Int(choice as i64))
        }
        Setting::CallbackUrl(url) => {
            ("UPDATE merchants SET callback_url = $1 WHERE merchant_id = $2", url.map_or(Value::Null, Value::Bytes))
        }
        Setting::CallbackPending(wanted) => {
            ("UPDATE merchants SET callback_pending = $1 WHERE merchant_id = $2", Value::Int(i64::from(wanted)))
        }
        Setting::CallbackSecret { now, was, .. } => {
            let sql = "UPDATE merchants SET callback_secret = $1 WHERE merchant_id = $2 AND callback_secret = $3";
            return Plain(vec![(sql, vec![Value::Bytes(now), Value::Int(merchant.0), Value::Bytes(was)])]);
        }
    };
    Plain(vec![(sql, vec![value, Value::Int(merchant.0)])])
}

macro_rules! token_line {
    ($which:literal) => {
        concat!(
            "INSERT INTO settings_history (merchant_id, seq, at, actor, what) \
             SELECT t.merchant_id, (SELECT COALESCE(MAX(h.seq), 0) + 1 FROM settings_history h \
             WHERE h.merchant_id = t.merchant_id), $1, $2, 'token ' || CAST(t.token_id AS TEXT) || $3 \
             FROM tokens t WHERE t.",
            $which,
            " = $4"
        )
    };
}
const TOKEN_BY_HASH: &str = token_line!("token_hash");
const TOKEN_BY_NUMBER: &str = token_line!("token_id");

/// Adds a line about a token to the settings' history of its merchant: `said` follows its number.
fn token_line(sql: &'static str, token: Value, said: &str, actor: &Actor, now: Timestamp) -> Plain {
    Plain(vec![(sql, vec![Value::Int(now.0), text(&actor.to_string()), text(said), token])])
}

/// Adds a token, with a line in the settings' history.
pub fn token_add(
    hash: [u8; 32],
    merchant: MerchantId,
    allow_ip: &str,
    rate_per_minute: Option<i64>,
    actor: &Actor,
    now: Timestamp,
) -> Plain {
    let sql = "INSERT INTO tokens (token_id, token_hash, merchant_id, allow_ip, rate_per_minute, actor, created_at) \
        SELECT COALESCE(MAX(token_id), 0) + 1, $1, $2, $3, $4, $5, $6 FROM tokens";
    let values = vec![
        Value::Bytes(hash.to_vec()),
        Value::Int(merchant.0),
        text(allow_ip),
        rate_per_minute.into(),
        text(&actor.to_string()),
        Value::Int(now.0),
    ];
    let said = format!(" made for {allow_ip}");
    Plain(vec![(sql, values)]).and(token_line(TOKEN_BY_HASH, Value::Bytes(hash.to_vec()), &said, actor, now))
}

/// Revokes a token, with a line in the settings' history; changes nothing if there is none or it is revoked already.
pub fn token_revoke(token: i64, actor: &Actor, now: Timestamp) -> Plain {
    let sql = "UPDATE tokens SET revoked_at = $1 WHERE token_id = $2 AND revoked_at IS NULL";
    Plain(vec![(sql, vec![Value::Int(now.0), Value::Int(token)])]).and(token_line(
        TOKEN_BY_NUMBER,
        Value::Int(token),
        " revoked",
        actor,
        now,
    ))
}

/// Pauses a connector, with a line in the house's settings' history; changes nothing if it is paused already.
pub fn connector_pause(connector: Connector, reason: &str, actor: &Actor, now: Timestamp) -> Plain {
    let sql = "INSERT INTO connectors (connector, paused_at, actor, reason) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (connector) DO UPDATE SET paused_at = excluded.paused_at, actor = excluded.actor, \
        reason = excluded.reason WHERE connectors.paused_at IS NULL";
    let values = vec![text(connector.as_str()), Value::Int(now.0), text(&actor.to_string()), text(reason)];
    let said = format!("connector {} paused: {reason}", connector.as_str());
    Plain(vec![(sql, values)]).and(settings_line(MerchantId::HOUSE, &said, actor, now))
}

/// Ends a connector's pause, with a line in the house's settings' history; changes nothing if it is not paused.
pub fn connector_resume(connector: Connector, actor: &Actor, now: Timestamp) -> Plain {
    let sql = "UPDATE connectors SET paused_at = NULL, actor = $1, reason = '' \
        WHERE connector = $2 AND paused_at IS NOT NULL";
    let values = vec![text(&actor.to_string()), text(connector.as_str())];
    let said = format!("connector {} resumed", connector.as_str());
    Plain(vec![(sql, values)]).and(settings_line(MerchantId::HOUSE, &said, actor, now))
}

/// Adds a complaint; `sealed` holds subject and message.
pub fn complaint_add(merchant: MerchantId, payout: PayoutId, sealed: Vec<u8>, actor: &Actor, now: Timestamp) -> Plain {
    let sql = "INSERT INTO complaints (merchant_id, complaint_id, payout_id, state, text, actor, created_at) \
        SELECT $1, COALESCE(MAX(complaint_id), 0) + 1, $2, 1, $3, $4, $5 FROM complaints WHERE merchant_id = $1";
    let values = vec![
        Value::Int(merchant.0),
        Value::Int(payout.0),
        Value::Bytes(sealed),
        text(&actor.to_string()),
        Value::Int(now.0),
    ];
    Plain(vec![(sql, values)])
}

/// What the operator does with a complaint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ComplaintEvent {
    /// Answers it; it stays open.
    Reply,
    /// Closes it.
    Close,
}

/// Answers or closes an open complaint, with a line in its history; changes nothing if it is not open. `sealed` is what
/// is said.
pub fn complaint_event(
    merchant: MerchantId,
    complaint: i64,
    event: ComplaintEvent,
    sealed: Vec<u8>,
    actor: &Actor,
    now: Timestamp,
) -> Plain {
    let (state, name) = match event {
        ComplaintEvent::Reply => (1, "reply"),
        ComplaintEvent::Close => (2, "close"),
    };
    let update = "UPDATE complaints SET state = $1 WHERE merchant_id = $2 AND complaint_id = $3 AND state = 1";
    let line = "INSERT INTO complaint_history (merchant_id, complaint_id, seq, event, text, actor, at) \
        SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4, $5, $6 FROM complaint_history WHERE merchant_id = $1 AND complaint_id = $2";
    Plain(vec![
        (update, vec![Value::Int(state), Value::Int(merchant.0), Value::Int(complaint)]),
        (
            line,
            vec![
                Value::Int(merchant.0),
                Value::Int(complaint),
                text(name),
                Value::Bytes(sealed),
                text(&actor.to_string()),
                Value::Int(now.0),
            ],
        ),
    ])
}

/// Names one callback.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CallbackKey {
    /// Whose.
    pub merchant: MerchantId,
    /// For which payout.
    pub payout: PayoutId,
    /// Which news of it.
    pub seq: i64,
}

/// Claims a callback that is due: whoever moves its time is the one who makes the call.
pub fn callback_claim(key: CallbackKey, seen: Timestamp, until: Timestamp) -> Plain {
    let sql =
        "UPDATE callbacks SET next_at = $1 WHERE merchant_id = $2 AND payout_id = $3 AND seq = $4 AND next_at = $5";
    let values = vec![
        Value::Int(until.0),
        Value::Int(key.merchant.0),
        Value::Int(key.payout.0),
        Value::Int(key.seq),
        Value::Int(seen.0),
    ];
    Plain(vec![(sql, values)])
}

/// What became of a callback's try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackFate {
    /// The merchant answered 2xx.
    Delivered,
    /// It is tried again at this time.
    Again(Timestamp),
    /// The schedule is at its end, or there is nowhere to call.
    GivenUp,
}

/// Records what became of the try that was claimed until `until`; changes nothing if the claim has run out and another
/// process has taken it up, or the callback has come to its end. `result` is a short text without secrets, such as `204`
/// or `time-out`.
pub fn callback_result(key: CallbackKey, until: Timestamp, fate: CallbackFate, result: &str, now: Timestamp) -> Plain {
    let (state, next_at) = match fate {
        CallbackFate::Delivered => (2, None),
        CallbackFate::Again(at) => (1, Some(at.0)),
        CallbackFate::GivenUp => (3, None),
    };
    let sql = "UPDATE callbacks SET state = $1, tries = tries + 1, next_at = $2, result = $3, updated_at = $4 \
        WHERE merchant_id = $5 AND payout_id = $6 AND seq = $7 AND state = 1 AND next_at = $8";
    let values = vec![
        Value::Int(state),
        next_at.into(),
        text(result),
        Value::Int(now.0),
        Value::Int(key.merchant.0),
        Value::Int(key.payout.0),
        Value::Int(key.seq),
        Value::Int(until.0),
    ];
    // Newer news of the payout waits for this one, and is not looked at before it can be sent.
    let newer =
        "UPDATE callbacks SET next_at = $1 WHERE merchant_id = $2 AND payout_id = $3 AND seq > $4 AND state = 1";
    let newer_values = vec![
        Value::Int(next_at.unwrap_or(now.0)),
        Value::Int(key.merchant.0),
        Value::Int(key.payout.0),
        Value::Int(key.seq),
    ];
    Plain(vec![(sql, values), (newer, newer_values)])
}

/// Records that a try was delivered whose claim had run out: the callback has reached the merchant all the same. Another
/// process may be making the call again; newer news waits for the end of that claim, at most until `latest`, or the older
/// news could come after it.
pub fn callback_delivered_late(key: CallbackKey, result: &str, now: Timestamp, latest: Timestamp) -> Plain {
    let delivered = "UPDATE callbacks SET state = 2, tries = tries + 1, result = $1, updated_at = $2 \
        WHERE merchant_id = $3 AND payout_id = $4 AND seq = $5 AND state = 1";
    let delivered_values = vec![
        text(result),
        Value::Int(now.0),
        Value::Int(key.merchant.0),
        Value::Int(key.payout.0),
        Value::Int(key.seq),
    ];
    let newer = "UPDATE callbacks SET next_at = (SELECT CASE WHEN e.next_at < $1 THEN e.next_at ELSE $1 END \
        FROM callbacks e WHERE e.merchant_id = $2 AND e.payout_id = $3 AND e.seq = $4) \
        WHERE merchant_id = $2 AND payout_id = $3 AND seq > $4 AND state = 1";
    let key_values = [Value::Int(key.merchant.0), Value::Int(key.payout.0), Value::Int(key.seq)];
    let newer_values = [&[Value::Int(latest.0)][..], &key_values].concat();
    let done = "UPDATE callbacks SET next_at = NULL WHERE merchant_id = $1 AND payout_id = $2 AND seq = $3";
    Plain(vec![(delivered, delivered_values), (newer, newer_values), (done, key_values.to_vec())])
}

/// Keeps what a bank said, sealed; changes nothing if the very message was kept before.
pub fn bank_message(
    connector: Connector,
    reference: Reference,
    message: &str,
    source: &str,
    sealed: Vec<u8>,
    now: Timestamp,
) -> Plain {
    let sql = "INSERT INTO bank_messages (connector, reference, message, source, body, at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (connector, reference, message) DO NOTHING";
    let values = vec![
        text(connector.as_str()),
        text(reference.as_str()),
        text(message),
        text(source),
        Value::Bytes(sealed),
        Value::Int(now.0),
    ];
    Plain(vec![(sql, values)])
}
