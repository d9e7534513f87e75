//! What the operator is told by himself: a line in the log, a gauge, and, where he wants it, a call of his own machine.
//!
//! ```text
//! every half minute: measure --> raised and was not, or cleared and was raised --> a row, once for all processes --> log
//! rows not yet told: claim (commit) --> POST, signed ══▶ the operator's machine --> result; again by the schedule of callbacks
//! ```
//!
//! An alert is raised once and cleared once, however long it stands, also over restarts: each change is a row with a number
//! of its own, and of several processes one adds it. It tells counts, connectors and kinds; never a person or an account.

use crate::App;
use crate::config;
use crate::connectors;
use crate::http_out::{self, Method, OutError, OutRequest, Reach};
use crate::store::StoreError;
use crate::store::alerts::{AlertRow, alert_add, alert_claim, alert_result};
use crate::store::batch::HOLD;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hundi_core::money::Balance;
use hundi_core::payout::ExceptionKind;
use hundi_core::schedule::{HOUR, MINUTE, SECOND, Timestamp, next_callback};
use hundi_core::signing;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// How often is measured, and looked what is to be told.
const WATCH_EVERY: Duration = Duration::from_secs(30);
/// Calls that are made in one turn.
const CALLS_MAX: i64 = 32;
/// A call has so long, and its claim a little longer.
const DEADLINE: Duration = Duration::from_secs(10);
const LEASE_US: i64 = 15 * SECOND;
/// Bytes of an answer that are read.
const REPLY_BYTES_MAX: usize = 1_024;
/// The least bytes of the secret.
const SECRET_BYTES_LEAST: usize = 16;

/// What there are alerts for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The installation is on hold.
    OnHold,
    /// Payouts are open for too long.
    PayoutsOpen,
    /// Exceptions of a kind wait for too long.
    ExceptionsOpen,
    /// A connector's last statement ended too long ago.
    StatementMissing,
    /// A connector's bank holds too little.
    BalanceLow,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] =
        [Kind::OnHold, Kind::PayoutsOpen, Kind::ExceptionsOpen, Kind::StatementMissing, Kind::BalanceLow];

    /// Its name in logs, metrics and calls.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::OnHold => "on_hold",
            Kind::PayoutsOpen => "payouts_open",
            Kind::ExceptionsOpen => "exceptions_open",
            Kind::StatementMissing => "statement_missing",
            Kind::BalanceLow => "balance_low",
        }
    }
}

/// Where the operator's machine is told.
pub struct Desk {
    call: Option<(String, Vec<u8>)>,
    reach: Reach,
    balances_least_paise: BTreeMap<String, i64>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("calls", &self.call.is_some()).finish_non_exhaustive()
    }
}

impl Desk {
    /// As the options say; reads the secret.
    pub fn new(config: &config::Config) -> Result<Desk, String> {
        let options = &config.alerts;
        let reach = if config.callbacks.allow_private { Reach::Unguarded } else { Reach::Public };
        let call = match &options.callback_url {
            None => None,
            Some(url) => {
                http_out::check_url(&url.0, reach)
                    .map_err(|error| format!("`alerts.callback_url` is not usable: {error}"))?;
                Some((url.0.clone(), secret(options)?))
            }
        };
        Ok(Desk { call, reach, balances_least_paise: options.balances_least_paise()? })
    }
}

/// The secret of the calls.
fn secret(options: &config::Alerts) -> Result<Vec<u8>, String> {
    let (file, env) = (options.callback_secret_file.as_deref(), options.callback_secret_env.as_deref());
    let text = connectors::secret_text("alerts.callback_secret", file, env)?.unwrap_or_default();
    let key = text.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    key.filter(|key| key.len() >= SECRET_BYTES_LEAST).ok_or_else(|| {
        format!(
            "the secret of `alerts.callback_url` must be `whsec_` and the base64 of at least {SECRET_BYTES_LEAST} bytes; \
            make one with: echo whsec_$(openssl rand -base64 32)"
        )
    })
}

/// Measures and tells until `stop` is told.
pub async fn watch(app: &App, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = turn(app).await {
            tracing::warn!(%error, "alerts could not be measured or told; trying again");
        }
        tokio::select! {
            biased;
            () = crate::told_to_stop(&mut stop) => return,
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
    }
}

async fn turn(app: &App) -> Result<(), String> {
    let now = app.clock.now();
    let raised = measure(app, now).await.map_err(text)?;
    let standing = app.store.alerts().await.map_err(text)?;
    for change in changes(&raised, &standing, now, app.alerts.call.is_some()) {
        if app.writer.write(alert_add(&change)).await.map_err(text)? == 0 {
            // Another process has seen it too.
            continue;
        }
        let AlertRow { kind, subject, detail, .. } = &change;
        if change.raised {
            tracing::warn!(kind, subject, detail, "an alert was raised");
        } else {
            tracing::info!(kind, subject, "an alert has cleared");
        }
    }
    let Some((url, secret)) = &app.alerts.call else { return Ok(()) };
    for alert in app.store.alerts_due(app.clock.now(), CALLS_MAX).await.map_err(text)? {
        if !tell(app, &alert, (url, secret)).await? {
            // A machine that does not answer must not keep us from measuring.
            break;
        }
    }
    Ok(())
}

/// What differs from how the alerts stand.
fn changes(
    raised: &BTreeMap<(Kind, String), String>,
    standing: &[AlertRow],
    now: Timestamp,
    calls: bool,
) -> Vec<AlertRow> {
    let known: BTreeMap<(&str, &str), &AlertRow> =
        standing.iter().map(|alert| ((alert.kind.as_str(), alert.subject.as_str()), alert)).collect();
    let next_at = calls.then_some(now);
    let row = |kind: &str, subject: &str, seq, raised, detail: &str| AlertRow {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        seq,
        raised,
        at: now,
        detail: detail.to_owned(),
        tries: 0,
        next_at,
    };
    let onsets = raised.iter().filter_map(|((kind, subject), detail)| {
        let known = known.get(&(kind.name(), subject.as_str()));
        let seq = known.map_or(1, |known| known.seq + 1);
        known.is_none_or(|known| !known.raised).then(|| row(kind.name(), subject, seq, true, detail))
    });
    let cleared = standing.iter().filter(|alert| {
        let stands = |(kind, subject): &(Kind, String)| kind.name() == alert.kind && *subject == alert.subject;
        alert.raised && !raised.keys().any(stands)
    });
    let cleared = cleared.map(|alert| row(&alert.kind, &alert.subject, alert.seq + 1, false, "cleared"));
    onsets.chain(cleared).collect()
}

/// What stands out now, by kind and subject, in words.
async fn measure(app: &App, now: Timestamp) -> Result<BTreeMap<(Kind, String), String>, StoreError> {
    let (options, store) = (&app.config.alerts, &app.store);
    let mut raised = BTreeMap::new();
    if store.meta(HOLD).await?.is_some() {
        let detail = "nothing is started and nothing new is taken; see `hundi hold status`";
        raised.insert((Kind::OnHold, String::new()), detail.to_owned());
    }
    if let Some(minutes) = options.payouts_open_minutes {
        let (count, oldest) = store.payouts_open_since(now.after(-minutes * MINUTE)).await?;
        if let Some(oldest) = oldest.filter(|_| count > 0) {
            let detail = format!("{count} payouts are open longer than {minutes} minutes, the oldest since {oldest}");
            raised.insert((Kind::PayoutsOpen, String::new()), detail);
        }
    }
    if let Some(minutes) = options.exceptions_open_minutes {
        for (number, count, oldest) in store.exceptions_since(now.after(-minutes * MINUTE)).await? {
            let name = ExceptionKind::from_number(number).map_or("unknown", ExceptionKind::name);
            if options.exception_kinds.is_empty() || options.exception_kinds.iter().any(|kind| kind == name) {
                let detail =
                    format!("{count} exceptions wait longer than {minutes} minutes, the oldest since {oldest}");
                raised.insert((Kind::ExceptionsOpen, name.to_owned()), detail);
            }
        }
    }
    if let Some(hours) = options.statement_missing_hours {
        let until = store.statements_until().await?;
        // Of a connector that never had one, time counts from the first merchant.
        let begun = store.merchants().await?.iter().map(|merchant| merchant.created_at).min();
        for rules in &app.rules.connectors {
            let last = until.get(&rules.connector).copied();
            if let Some(since) = last.or(begun).filter(|since| *since < now.after(-hours * HOUR)) {
                let what =
                    if last.is_some() { "the last statement ends" } else { "there is no statement; counted from" };
                let detail = format!("{what} {since}, more than {hours} hours ago");
                raised.insert((Kind::StatementMissing, rules.connector.as_str().to_owned()), detail);
            }
        }
    }
    if !app.alerts.balances_least_paise.is_empty() {
        let held = store.held_at_connectors().await?;
        for rules in &app.rules.connectors {
            let name = rules.connector.as_str();
            let held = held.get(&rules.connector).copied().unwrap_or(Some(0));
            let (Some(least), Some(held)) = (app.alerts.balances_least_paise.get(name).copied(), held) else {
                continue;
            };
            if held < least {
                let [held, least] = [held, least].map(Balance::from_paise);
                raised.insert((Kind::BalanceLow, name.to_owned()), format!("{held} is left, less than {least}"));
            }
        }
    }
    Ok(raised)
}

/// Tells the operator's machine of one change, if nobody else does; false if it could not be told.
async fn tell(app: &App, alert: &AlertRow, (url, secret): (&str, &[u8])) -> Result<bool, String> {
    let claimed = app.clock.now().after(LEASE_US);
    if app.writer.write(alert_claim(alert, claimed)).await.map_err(text)? == 0 {
        return Ok(true);
    }
    let reply = (app.http_out)(request(alert, url, secret, app.clock.now(), app.alerts.reach)).await;
    let (delivered, result) = match &reply {
        Ok(reply) => ((200..300).contains(&reply.status), reply.status.to_string()),
        Err(OutError::Forbidden(_)) => (false, "address not allowed".to_owned()),
        Err(OutError::NotWritten(_)) => (false, "no connection".to_owned()),
        Err(OutError::Withheld(why)) => (false, (*why).to_owned()),
        Err(OutError::Silent(_)) => (false, "no reply".to_owned()),
    };
    let tries = u32::try_from(alert.tries).unwrap_or(u32::MAX).saturating_add(1);
    let next = if delivered { None } else { next_callback(app.clock.now(), tries, app.clock.jitter()) };
    if !delivered {
        let (kind, subject) = (alert.kind.as_str(), alert.subject.as_str());
        match next {
            Some(_) => tracing::info!(kind, subject, result, "an alert was not told; it is tried again"),
            None => tracing::error!(kind, subject, result, "an alert was not told, and is given up"),
        }
    }
    app.writer.write(alert_result(alert, claimed, next, &result)).await.map_err(text)?;
    Ok(delivered)
}

/// The call: JSON, signed after Standard Webhooks. Its id is the same however often it is made.
fn request(alert: &AlertRow, url: &str, secret: &[u8], now: Timestamp, reach: Reach) -> OutRequest {
    let kind = if alert.raised { "alert.raised" } else { "alert.cleared" };
    let body = json!({
        "type": kind, "timestamp": alert.at.to_string(),
        "data": { "kind": alert.kind, "subject": alert.subject, "number": alert.seq, "detail": alert.detail },
    });
    let body = body.to_string();
    let id = format!("alert_{}_{}_{}", alert.kind, alert.subject, alert.seq);
    let timestamp_s = now.0.div_euclid(SECOND);
    let signature = signing::sign(secret, &id, timestamp_s, body.as_bytes());
    OutRequest {
        method: Method::Post,
        url: url.to_owned(),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id),
            ("webhook-timestamp", timestamp_s.to_string()),
            ("webhook-signature", signature),
        ],
        body: body.into(),
        deadline: DEADLINE,
        write_before_boot_us: None,
        reply_bytes_max: REPLY_BYTES_MAX,
        reach,
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_changes_when_what_is_measured_does() {
        let stands = |kind: &str, subject: &str, seq, raised| AlertRow {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            seq,
            raised,
            at: Timestamp(0),
            detail: String::new(),
            tries: 0,
            next_at: None,
        };
        let standing = [
            stands("balance_low", "a", 3, true),
            stands("balance_low", "b", 2, false),
            stands("on_hold", "", 1, true),
            stands("retired", "", 5, true),
        ];
        let raised = [(Kind::BalanceLow, "a"), (Kind::BalanceLow, "b"), (Kind::PayoutsOpen, "")];
        let raised = raised.map(|(kind, subject)| ((kind, subject.to_owned()), "why".to_owned())).into();
        let shown: Vec<_> = changes(&raised, &standing, Timestamp(7), true)
            .into_iter()
            .map(|row| (row.kind, row.subject, row.seq, row.raised, row.next_at))
            .collect();
        let row = |kind: &str, subject: &str, seq, raised| {
            (kind.to_owned(), subject.to_owned(), seq, raised, Some(Timestamp(7)))
        };
        let expected = [
            row("payouts_open", "", 1, true),
            row("balance_low", "b", 3, true),
            row("on_hold", "", 2, false),
            row("retired", "", 6, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_call_is_signed_and_its_id_stays() {
        let alert = AlertRow {
            kind: "balance_low".into(),
            subject: "sandbox".into(),
            seq: 3,
            raised: true,
            at: Timestamp(0),
            detail: "1.00 is left, less than 2.00".into(),
            tries: 1,
            next_at: None,
        };
        let request =
            request(&alert, "https://desk.example/", b"0123456789abcdef", Timestamp(9 * SECOND), Reach::Public);
        let header = |name: &str| request.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(
            (header("webhook-id").as_str(), header("webhook-timestamp").as_str()),
            ("alert_balance_low_sandbox_3", "9")
        );
        assert!(signing::verify(
            b"0123456789abcdef",
            "alert_balance_low_sandbox_3",
            9,
            &request.body,
            &header("webhook-signature")
        ));
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        assert!(body.contains(r#""type":"alert.raised""#) && body.contains("1.00 is left"), "{body}");
    }
}
