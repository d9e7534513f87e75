//! What the operator does at the command line: each function is one subcommand, takes the [`App`] and gives back one
//! JSON document. They go through the same writer as everything else, so they work while `hundi serve` runs.

use crate::App;
use crate::callbacks::{self, Setting as SealedSetting};
use crate::clock::random;
use crate::http::peer::parse_cidrs;
use crate::keys::{Place, hex, new_token, token_hash};
use crate::proposals::HOUSE;
use crate::store::StoreError;
use crate::store::batch::HOLD;
use crate::store::reads::{ComplaintView, MerchantView};
use crate::store::rows::{self, ComplaintEvent, Setting};
use crate::writer::Unknown;
use hundi_core::command::{CALLED, Command, Decision, ExceptionKey, MerchantState, Refusal, WAITING};
use hundi_core::fees::FeePlan;
use hundi_core::ids::{Actor, Connector, MerchantId, PayoutId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::payout::{ExceptionKind, News, Payout, State};
use hundi_core::plant::{Plant, planted};
use hundi_core::postings::JournalRow;
use hundi_core::rails::{RAILS, Rail, RailChoice};
use hundi_core::schedule::{DAY, HOUR, MINUTE, Timestamp};
use hundi_core::signing::secret_text;
use hundi_core::turnround;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A document, or a sentence that says why not.
pub type Answer = Result<Value, String>;

/// Words about forgotten payments that `hundi hold status` lists.
const FORGOTTEN_MAX: i64 = 100_000;
/// Rows in a list, unless told otherwise.
pub const LIST_MAX: i64 = 100;

/// Finds a merchant by ID.
pub async fn merchant(app: &App, merchant: &str) -> Result<MerchantView, String> {
    let all = app.store.merchants().await.map_err(text)?;
    all.into_iter().find(|known| known.merchant == merchant).ok_or_else(|| {
        format!("there is no merchant `{merchant}`; `hundi merchant list` shows all, `hundi merchant add` makes one")
    })
}

/// Adds a merchant; his signing secret is shown here and in `merchant show --secret`.
pub async fn merchant_add(app: &App, merchant_id: &str, fees: &str, actor: &Actor) -> Answer {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if merchant_id.is_empty() || merchant_id.len() > 32 || !merchant_id.bytes().all(allowed) || merchant_id == "house" {
        return Err(format!(
            "`{merchant_id}` cannot be a merchant's ID: 1 to 32 of a-z, 0-9, - and _, and not `house`"
        ));
    }
    let fees = FeePlan::parse(fees)?;
    let secret: [u8; callbacks::SECRET_BYTES] = random();
    let sealed = callbacks::seal_setting(&app.keys, merchant_id, SealedSetting::Secret, &secret);
    let add = rows::merchant_add(merchant_id, &fees, sealed, actor, app.clock.now());
    if app.writer.write(add).await.map_err(text)? == 0 {
        return Err(format!("there is a merchant `{merchant_id}` already"));
    }
    merchant_show(app, merchant_id, true).await
}

/// All merchants.
pub async fn merchant_list(app: &App) -> Answer {
    let merchants = app.store.merchants().await.map_err(text)?;
    Ok(Value::Array(merchants.iter().map(summary).collect()))
}

fn summary(merchant: &MerchantView) -> Value {
    json!({
        "merchant_id": merchant.merchant,
        "state": state_name(merchant.state),
        "wallet": merchant.balances[0].to_string(),
        "reserved": merchant.balances[1].to_string(),
        "created_at": merchant.created_at.to_string(),
    })
}

/// A merchant with his settings; `secret` shows what signs his callbacks.
pub async fn merchant_show(app: &App, merchant_id: &str, secret: bool) -> Answer {
    let merchant = merchant(app, merchant_id).await?;
    let mut shown = summary(&merchant);
    let limit = |paise: Option<i64>| paise.map(|paise| Balance::from_paise(paise).to_string());
    shown["payout_most"] = json!(limit(merchant.payout_most_paise));
    shown["day_most"] = json!(limit(merchant.day_most_paise));
    for (rules, plan) in RAILS.iter().zip(&merchant.fees) {
        shown[format!("fees_{}", rules.name.to_lowercase())] = json!(plan);
    }
    shown["rail"] = json!(merchant.rail_choice.name());
    let url = merchant
        .callback_url
        .as_ref()
        .and_then(|sealed| callbacks::open_setting(&app.keys, merchant_id, SealedSetting::Url, sealed));
    shown["callback_url"] = json!(url.and_then(|url| String::from_utf8(url).ok()));
    shown["callback_pending"] = json!(merchant.callback_pending);
    if secret {
        let opened = callbacks::open_setting(&app.keys, merchant_id, SealedSetting::Secret, &merchant.callback_secret);
        let mut secrets = opened.iter().flat_map(|opened| callbacks::secrets(opened)).map(secret_text);
        shown["callback_secret"] = json!(secrets.next());
        if let Some(old) = secrets.next() {
            shown["callback_secret_old"] = json!(old);
        }
    }
    let history = app.store.settings_history(merchant.id, LIST_MAX).await.map_err(text)?;
    let history = history.iter().map(|line| json!({ "at": line.at.to_string(), "by": line.actor, "what": line.what }));
    shown["history"] = Value::Array(history.collect());
    Ok(shown)
}

/// Suspends or resumes a merchant.
pub async fn merchant_state(app: &App, merchant_id: &str, state: MerchantState, actor: &Actor) -> Answer {
    set(app, merchant_id, vec![Setting::State(state)], actor).await
}

/// What `hundi merchant set` can set; what is absent stays.
#[derive(Default)]
pub struct MerchantChanges {
    /// A URL, or `none`.
    pub callback_url: Option<String>,
    /// Whether Pending is told too.
    pub callback_pending: Option<bool>,
    /// `new` makes a secret that signs beside the one of now; `drop-old` lets the older one sign no longer.
    pub callback_secret: Option<String>,
    /// `auto`, or `as-ordered`.
    pub rail: Option<String>,
    /// Rupees, or `none`.
    pub payout_most: Option<String>,
    /// Rupees, or `none`.
    pub day_most: Option<String>,
    /// Fee plans, each for all rails or, with `RAIL=` before it, for one.
    pub fees: Vec<String>,
}

/// Sets a merchant's settings: all of them or none.
pub async fn merchant_set(app: &App, merchant_id: &str, changes: MerchantChanges, actor: &Actor) -> Answer {
    let mut settings = Vec::new();
    let new_secret = changes.callback_secret.as_deref() == Some("new");
    if let Some(change) = changes.callback_secret {
        // The first, because it is the one that may be refused.
        settings.push(secret_change(app, &merchant(app, merchant_id).await?, &change)?);
    }
    if let Some(url) = changes.callback_url {
        let sealed = match url.as_str() {
            "none" => None,
            url => {
                callbacks::check_url(&app.config.callbacks, url)
                    .map_err(|error| format!("the callback URL is not usable: {error}"))?;
                Some(callbacks::seal_setting(&app.keys, merchant_id, SealedSetting::Url, url.as_bytes()))
            }
        };
        settings.push(Setting::CallbackUrl(sealed));
    }
    settings.extend(changes.callback_pending.map(Setting::CallbackPending));
    if let Some(rail) = changes.rail {
        let choice =
            RailChoice::named(&rail).ok_or_else(|| format!("--rail `{rail}` is neither auto nor as-ordered"))?;
        settings.push(Setting::RailChoice(choice));
    }
    let limit = |name: &str, limit: String| match limit.as_str() {
        "none" => Ok(None),
        limit => amount(name, limit).map(Some),
    };
    settings.extend(changes.payout_most.map(|most| limit("--payout-most", most)).transpose()?.map(Setting::PayoutMost));
    settings.extend(changes.day_most.map(|most| limit("--day-most", most)).transpose()?.map(Setting::DayMost));
    for fees in changes.fees {
        match fees.split_once('=') {
            Some((rail, plan)) => {
                let rail =
                    Rail::parse(rail).ok_or_else(|| format!("`{rail}` is not a rail; use NEFT, RTGS, IMPS or UPI"))?;
                settings.push(Setting::Fees(rail, FeePlan::parse(plan)?));
            }
            None => {
                let plan = FeePlan::parse(&fees)?;
                settings.extend(RAILS.iter().map(|rules| Setting::Fees(rules.rail, plan.clone())));
            }
        }
    }
    if settings.is_empty() {
        return Err("nothing to set; see `hundi merchant set --help`".to_owned());
    }
    set(app, merchant_id, settings, actor).await?;
    merchant_show(app, merchant_id, new_secret).await
}

/// What `--callback-secret` makes of a merchant's secrets: there are one or two.
fn secret_change(app: &App, merchant: &MerchantView, change: &str) -> Result<Setting, String> {
    let (name, was) = (&merchant.merchant, merchant.callback_secret.clone());
    let opened = callbacks::open_setting(&app.keys, name, SealedSetting::Secret, &was)
        .ok_or("the callback secret cannot be unsealed; is the key the right one?")?;
    let (secrets, said) = match (change, callbacks::secrets(&opened).count()) {
        ("new", 1) => ([&random::<{ callbacks::SECRET_BYTES }>(), &*opened].concat(), "added beside the old one"),
        ("new", _) => {
            return Err(format!("merchant `{name}` has two callback secrets; drop the old one first: drop-old"));
        }
        ("drop-old", 2..) => (opened[..callbacks::SECRET_BYTES].to_vec(), "old one dropped"),
        ("drop-old", _) => return Err(format!("merchant `{name}` has one callback secret; there is no old one")),
        _ => return Err(format!("--callback-secret `{change}` is neither new nor drop-old")),
    };
    let now = callbacks::seal_setting(&app.keys, name, SealedSetting::Secret, &secrets);
    Ok(Setting::CallbackSecret { now, was, said })
}

async fn set(app: &App, merchant_id: &str, settings: Vec<Setting>, actor: &Actor) -> Answer {
    let merchant = merchant(app, merchant_id).await?;
    let what = settings.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let line = rows::settings_line(merchant.id, &what, actor, app.clock.now());
    // The first of them changes a row exactly if there is the merchant.
    let sets = settings.into_iter().map(|setting| rows::merchant_set(merchant.id, setting));
    let Some(sets) = sets.reduce(rows::Plain::and) else { return merchant_show(app, merchant_id, false).await };
    if app.writer.write(sets.and(line)).await.map_err(text)? == 0 {
        return Err(format!(
            "merchant `{merchant_id}` is gone, or somebody else has just changed his secret; try again"
        ));
    }
    merchant_show(app, merchant_id, false).await
}

/// Makes a token. It is shown here and never again.
pub async fn token_new(
    app: &App,
    merchant_id: &str,
    allow_ip: &str,
    rate_per_minute: Option<i64>,
    actor: &Actor,
) -> Answer {
    let merchant = merchant(app, merchant_id).await?;
    let list = parse_cidrs(allow_ip)?;
    if list.is_empty() {
        return Err("--allow-ip names no address; an empty list would allow nobody".to_owned());
    }
    if rate_per_minute.is_some_and(|rate| rate < 1) {
        return Err("--rate-per-minute must be at least 1".to_owned());
    }
    let allow_ip = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let token = new_token();
    let hash = token_hash(&token);
    app.writer
        .write(rows::token_add(hash, merchant.id, &allow_ip, rate_per_minute, actor, app.clock.now()))
        .await
        .map_err(text)?;
    let stored = app.store.token(&hash).await.map_err(text)?.ok_or("the token was not stored; try again")?;
    Ok(json!({ "token_id": stored.token_id, "merchant_id": merchant_id, "allow_ip": allow_ip, "token": token }))
}

/// The tokens of a merchant or of all, without the tokens themselves.
pub async fn token_list(app: &App, merchant_id: Option<&str>) -> Answer {
    let names = names(app).await?;
    let tokens = match merchant_id {
        Some(merchant_id) => app.store.tokens(merchant(app, merchant_id).await?.id).await,
        None => app.store.tokens_of_all().await,
    };
    let tokens = tokens.map_err(text)?;
    let shown = tokens.iter().map(|token| {
        json!({
            "token_id": token.token_id,
            "merchant_id": names.get(&token.merchant),
            "allow_ip": token.allow_ip,
            "rate_per_minute": token.rate_per_minute,
            "created_at": token.created_at.to_string(),
            "created_by": token.actor,
            "revoked_at": token.revoked_at.map(|at| at.to_string()),
        })
    });
    Ok(Value::Array(shown.collect()))
}

/// The IDs of all merchants, by their numbers.
pub(crate) async fn names(app: &App) -> Result<BTreeMap<MerchantId, String>, String> {
    let merchants = app.store.merchants().await.map_err(text)?;
    Ok(merchants.into_iter().map(|merchant| (merchant.id, merchant.merchant)).collect())
}

/// Revokes a token; it is refused within a second.
pub async fn token_revoke(app: &App, token_id: i64, actor: &Actor) -> Answer {
    match app.writer.write(rows::token_revoke(token_id, actor, app.clock.now())).await.map_err(text)? {
        0 => Err(format!("there is no token {token_id}, or it is revoked already; `hundi token list` shows them")),
        _ => Ok(json!({ "token_id": token_id, "revoked": true })),
    }
}

/// Books a bank credit into a wallet, once for each connector and reference.
pub async fn fund(
    app: &App,
    merchant_id: &str,
    rupees: &str,
    reference: &str,
    connector: &str,
    actor: &Actor,
) -> Answer {
    let merchant = merchant(app, merchant_id).await?;
    let amount = amount("--amount", rupees)?;
    let connector = self::connector(connector)?;
    if reference.is_empty() || reference.len() > 64 || !reference.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "--reference must be 1 to 64 printable characters without spaces: the bank's UTR of the credit".to_owned()
        );
    }
    let command =
        Command::Fund { merchant: merchant.id, connector, reference: reference.into(), amount, actor: actor.clone() };
    let booked = match app.writer.execute(command).await.map_err(text)? {
        Decision::Done(_) => true,
        Decision::Repeat(_) => false,
        Decision::Refused(refusal @ (Refusal::CreditReused | Refusal::CreditInSuspense)) => {
            let known = app.store.credits_called(connector, reference).await.map_err(text)?;
            let booked = known.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let suspended = known.iter().find(|(_, whose)| *whose == MerchantId::HOUSE);
            let next = suspended.map_or_else(String::new, |(name, _)| {
                format!("; it lies in suspense: hundi propose identify {merchant_id} --reference '{name}' --connector {connector}")
            });
            return Err(format!("{}: {reference} at {connector} is booked as {booked}{next}", refusal.as_str()));
        }
        Decision::Refused(refusal) => return Err(refusal.as_str().to_owned()),
    };
    let wallet = app.store.wallet(merchant.id).await.map_err(text)?.unwrap_or_default();
    Ok(json!({
        "merchant_id": merchant_id, "amount": amount.to_string(), "reference": reference, "connector": connector.as_str(),
        "booked": booked, "wallet": wallet.to_string(),
    }))
}

/// Cancels a payout that is not at a bank.
pub async fn payout_cancel(app: &App, payout: &str, actor: &Actor) -> Answer {
    let known = find_payout(app, payout).await?;
    let command = Command::Cancel { merchant: known.order.merchant, payout: known.order.id, actor: actor.clone() };
    match app.writer.execute(command).await.map_err(text)? {
        Decision::Refused(Refusal::OnHold) => Err(format!(
            "Hundi is on hold, and the bank may have paid {payout} in the time that was forgotten: nothing is cancelled before \
             `hundi hold release`"
        )),
        Decision::Refused(_) if known.held => Err(format!(
            "payout {payout} is {} and held; two people say what becomes of it: hundi propose declare-failed {payout}, or \
             resume or declare-paid",
            known.state.name()
        )),
        Decision::Refused(_) => {
            Err(format!("payout {payout} is {}; only a queued payout can be cancelled", known.state.name()))
        }
        // It may turn out to have been paid in a time that was forgotten.
        Decision::Done(_) | Decision::Repeat(_) => payout_show(app, payout).await,
    }
}

/// A page of the payouts of a merchant or of all, newest first.
pub async fn payout_list(app: &App, merchant_id: Option<&str>, before: Option<i64>, limit: i64) -> Answer {
    let names = names(app).await?;
    let (before, limit) = (PayoutId(before.unwrap_or(i64::MAX)), limit.clamp(1, 10_000));
    let payouts = match merchant_id {
        Some(merchant_id) => app.store.payouts_before(merchant(app, merchant_id).await?.id, before, limit).await,
        None => app.store.payouts_of_all_before(before, limit).await,
    };
    let payouts = payouts.map_err(text)?;
    Ok(Value::Array(payouts.iter().map(|payout| payout_line(payout, &names)).collect()))
}

fn payout_line(payout: &Payout, names: &BTreeMap<MerchantId, String>) -> Value {
    json!({
        "payout_id": payout.order.id.to_string(),
        "merchant_id": names.get(&payout.order.merchant),
        "order_id": payout.order.order.as_str(),
        "rail": payout.order.rail.as_str(),
        "sent_over": (payout.attempts > 0).then(|| payout.rail.as_str()),
        "amount": payout.order.amount.to_string(),
        "state": payout.state.name(),
        "held": payout.held,
        "beneficiary": format!("{} ({})", payout.order.name.as_str(), payout.order.hint),
        "rrn": &*payout.rrn,
        "reason": &*payout.reason,
        "created_at": payout.order.created_at.to_string(),
    })
}

/// A payout with its timeline: reserve, attempts, the bank's words, journal, callbacks.
pub async fn payout_show(app: &App, payout: &str) -> Answer {
    let payout = find_payout(app, payout).await?;
    let (merchant, id) = (payout.order.merchant, payout.order.id);
    let mut shown = payout_line(&payout, &names(app).await?);
    shown["fee"] = json!(Balance::from_paise(payout.fee_paise).to_string());
    shown["gst"] = json!(Balance::from_paise(payout.gst_paise).to_string());
    shown["created_by"] = json!(payout.order.actor.to_string());
    shown["updated_at"] = json!(payout.updated_at.to_string());
    shown["next_at"] = match payout.next_at {
        Some(WAITING) => json!("waits for the operator"),
        Some(CALLED) => json!("at once: the bank called"),
        at => json!(at.map(|at| at.to_string())),
    };
    shown["turn_round"] = turn_round(app, &payout);
    let (attempts, words) = attempts(app, &payout).await?;
    shown["attempts"] = Value::Array(attempts);
    shown["journal"] = Value::Array(journal_of(app, &payout).await?);
    let history = app.store.history(merchant, id).await.map_err(text)?;
    let history = history
        .iter()
        .map(|line| json!({ "at": line.at.to_string(), "event": line.event, "by": line.actor, "detail": line.detail }));
    shown["history"] = Value::Array(history.collect());
    shown["bank_words"] = Value::Array(words);
    let callbacks = app.store.callbacks(merchant, id).await.map_err(text)?;
    let callbacks = callbacks.iter().map(|callback| {
        json!({
            "seq": callback.seq,
            "says": News::from_number(callback.news).map(News::as_str),
            "state": match callback.state { 1 => "waiting", 2 => "delivered", _ => "given up" },
            "tries": callback.tries,
            "result": callback.result,
            "next_at": callback.next_at.map(|at| at.to_string()),
            "updated_at": callback.updated_at.to_string(),
        })
    });
    shown["callbacks"] = Value::Array(callbacks.collect());
    Ok(shown)
}

/// When the payout had to be decided by its rail's rule, and what is due because it is late.
fn turn_round(app: &App, payout: &Payout) -> Value {
    let ended = if payout.state.is_open() { app.clock.now() } else { payout.updated_at };
    let Some(clock) = turnround::clock(payout, ended, app.config.turnround.repo_basis_points) else {
        return Value::Null;
    };
    json!({
        "deadline": clock.deadline.to_string(), "late_days": clock.late_days,
        "compensation_due": clock.compensation_paise.map(|paise| Balance::from_paise(paise).to_string()),
        "rule": payout.rail.rules().turn_round.says,
    })
}

/// The journal rows of a payout: those from its time, and only if some are missing there, those after it. Journal times
/// rise even where the clock stepped back, so that a row can be later than what its payout says.
async fn journal_of(app: &App, payout: &Payout) -> Result<Vec<Value>, String> {
    let (merchant, id) = (payout.order.merchant, payout.order.id);
    let moved = match payout.state {
        State::Queued | State::Sending | State::Sent => 1,
        State::Paid | State::Cancelled => 2,
        // One that was refused when it came never reserved anything, and never changed.
        State::Failed => {
            if payout.updated_at == payout.order.created_at {
                0
            } else {
                2
            }
        }
        State::Reversed => 3,
    };
    let seq_at = async |at| app.store.journal_seq_at(merchant, at).await.map_err(text);
    let mut from = seq_at(payout.order.created_at).await?;
    let mut journal = Vec::new();
    for to in [seq_at(payout.updated_at.after(MINUTE)).await?, i64::MAX] {
        let mut each = |(row, _): (JournalRow, [u8; 32])| {
            if row.payout == Some(id) {
                journal.push(journal_line(&row));
            }
            Ok(())
        };
        app.store.each_journal_row_between(merchant, (from, to), &mut each).await.map_err(text)?;
        if journal.len() >= moved {
            break;
        }
        from = to;
    }
    Ok(journal)
}

/// What the payout's row says of the banks' words. A plain answer to the payment is kept nowhere else.
fn word_in_row(payout: &Payout, heard_more: bool) -> Option<Value> {
    let why =
        |verb: &str| if payout.reason.is_empty() { verb.to_owned() } else { format!("{verb}: {}", payout.reason) };
    let said = match payout.state {
        State::Queued | State::Cancelled => return None,
        State::Failed if payout.attempts == 0 => return None,
        State::Sending => "nothing yet".to_owned(),
        State::Sent => "accepted".to_owned(),
        State::Paid => format!("paid, RRN {}", payout.rrn),
        State::Reversed => why(&format!("reversed, RRN {}", payout.rrn)),
        State::Failed => why("failed"),
    };
    Some(json!({
        "at": payout.updated_at.to_string(),
        "attempt": payout.paid_attempt.unwrap_or(payout.attempts),
        // If there were other words, the row is what we made of all of them.
        "by": if heard_more || payout.state == State::Sending { "hundi" } else { "reply" },
        "said": said,
    }))
}

/// The attempts of a payout, found by deriving their references again, and what the banks said about them.
async fn attempts(app: &App, payout: &Payout) -> Result<(Vec<Value>, Vec<Value>), String> {
    let (mut attempts, mut words) = (Vec::new(), Vec::new());
    let order = &payout.order;
    // One more than were made: an attempt of which no byte left us is not counted, and has a reference all the same.
    for attempt in 1..=payout.attempts + 1 {
        for reference in Reference::candidates(&app.installation, order.merchant, &order.order, attempt) {
            for connector in connectors_of(app, payout) {
                let known = app.store.reference(connector, reference).await.map_err(text)?;
                let Some(known) = known.filter(|known| known.payout == order.id) else { continue };
                attempts.push(json!({
                    "attempt": attempt, "connector": connector.as_str(), "reference": reference.as_str(),
                    "rail": known.rail.unwrap_or(order.rail).as_str(),
                    "paid": payout.paid_attempt == Some(attempt),
                    // The row knows it of the last attempt only.
                    "send_before": (payout.reference == Some(reference)).then(|| payout.send_before.to_string()),
                }));
                for message in app.store.bank_messages(connector, reference).await.map_err(text)? {
                    let place = Place { merchant: order.merchant, row: order.id.0, field: "bank_messages.body" };
                    let body = app.keys.open(place, &message.body);
                    let body = body.map_or_else(
                        || "cannot be unsealed".into(),
                        |body| String::from_utf8_lossy(&body).into_owned(),
                    );
                    words.push(
                        json!({ "at": message.at.to_string(), "attempt": attempt, "by": message.source, "said": body }),
                    );
                }
            }
        }
    }
    if let Some(word) = word_in_row(payout, !words.is_empty()) {
        words.insert(0, word);
    }
    Ok((attempts, words))
}

/// The connectors that may have been given a payout. One that has refused the rail only is not in the payout's row.
pub(crate) fn connectors_of(app: &App, payout: &Payout) -> BTreeSet<Connector> {
    let in_row = payout.connector.iter().chain(&payout.refused_by).copied();
    in_row.chain(app.rules.connectors.iter().map(|one| one.connector)).collect()
}

pub(crate) async fn find_payout(app: &App, payout: &str) -> Result<Payout, String> {
    let id: i64 =
        payout.parse().map_err(|_| format!("`{payout}` is not a payout's number: up to 15 digits, our OrderID"))?;
    let known = app.store.payout_of_any(PayoutId(id)).await.map_err(text)?;
    known.ok_or_else(|| format!("there is no payout {payout}; `hundi payout list` shows them"))
}

fn journal_line(row: &JournalRow) -> Value {
    let cost = &row.movement.cost;
    // What the merchant's wallet gained or lost by it.
    let wallet = row.movement.legs().map_or(0, |legs| {
        legs.iter()
            .filter(|(account, _)| *account == hundi_core::postings::Account::Wallet)
            .map(|(_, paise)| paise)
            .sum()
    });
    json!({
        "seq": row.seq,
        "at": row.at.to_string(),
        "kind": row.movement.kind.name(),
        "payout_id": row.payout.map(|id| id.to_string()),
        "amount": cost.amount.to_string(),
        "fee": Balance::from_paise(cost.fee_paise).to_string(),
        "gst": Balance::from_paise(cost.gst_paise).to_string(),
        "wallet_change": Balance::from_paise(wallet).to_string(),
        "wallet_after": row.wallet_after.to_string(),
        // Of an adjustment the two accounts, as `from>to`.
        "connector": Some(row.movement.sides()).filter(|sides| !sides.is_empty()),
        "memo": &*row.memo,
        "by": row.actor.to_string(),
    })
}

/// A merchant's statement, or the house's, from one Indian day to another (both included), in the order of the journal.
pub async fn statement(
    app: &App,
    merchant_id: &str,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Vec<Value>, String> {
    let book = match merchant_id {
        HOUSE => MerchantId::HOUSE,
        merchant_id => merchant(app, merchant_id).await?.id,
    };
    let day = |name: &str, date: &str| {
        Timestamp::from_ist_date(date).ok_or_else(|| format!("{name} `{date}` is not a date; write it YYYY-MM-DD"))
    };
    let from = from.map(|date| day("--from", date)).transpose()?.unwrap_or(Timestamp(0));
    let to = to
        .map(|date| day("--to", date))
        .transpose()?
        .map_or(Timestamp(i64::MAX), |day| if planted(Plant::StatementDayShort) { day } else { day.after(DAY) });
    let from = app.store.journal_seq_at(book, from).await.map_err(text)?;
    let to = app.store.journal_seq_at(book, to).await.map_err(text)?;
    let mut lines = Vec::new();
    let mut each = |(row, _): (JournalRow, [u8; 32])| {
        lines.push(journal_line(&row));
        Ok(())
    };
    app.store.each_journal_row_between(book, (from, to), &mut each).await.map_err(text)?;
    Ok(lines)
}

/// Everything that merchants have complained about, open complaints first.
pub async fn complaint_list(app: &App) -> Answer {
    let complaints = app.store.complaints(LIST_MAX).await.map_err(text)?;
    Ok(Value::Array(complaints.iter().map(|complaint| complaint_line(app, complaint)).collect()))
}

fn complaint_line(app: &App, complaint: &ComplaintView) -> Value {
    let said = complaint_text(app, complaint);
    json!({
        "complaint_id": format!("{}/{}", complaint.merchant, complaint.complaint_id),
        "payout_id": complaint.payout.to_string(),
        "state": if complaint.open { "open" } else { "closed" },
        "subject": said.lines().next().unwrap_or_default(),
        "raised_at": complaint.created_at.to_string(),
    })
}

fn complaint_text(app: &App, complaint: &ComplaintView) -> String {
    unsealed(app, complaint, "complaints.text", &complaint.text)
}

fn unsealed(app: &App, complaint: &ComplaintView, field: &str, sealed: &[u8]) -> String {
    let place = Place { merchant: complaint.merchant_id, row: complaint.payout.0, field };
    let opened = app.keys.open(place, sealed).and_then(|text| String::from_utf8(text).ok());
    opened.unwrap_or_else(|| "cannot be unsealed".to_owned())
}

/// A complaint with its history. Its ID is `MERCHANT/NUMBER`.
pub async fn complaint_show(app: &App, complaint_id: &str) -> Answer {
    let complaint = complaint(app, complaint_id).await?;
    let mut shown = complaint_line(app, &complaint);
    let said = complaint_text(app, &complaint);
    shown["message"] = json!(said.split_once('\n').map_or("", |(_, message)| message));
    let history = app.store.complaint_history(complaint.merchant_id, complaint.complaint_id).await.map_err(text)?;
    let history = history.iter().map(|line| {
        let said = unsealed(app, &complaint, "complaint_history.text", &line.text);
        json!({ "at": line.at.to_string(), "event": line.event, "by": line.actor, "said": said })
    });
    shown["history"] = Value::Array(history.collect());
    Ok(shown)
}

/// Answers or closes a complaint.
pub async fn complaint_event(
    app: &App,
    complaint_id: &str,
    event: ComplaintEvent,
    said: &str,
    actor: &Actor,
) -> Answer {
    let complaint = complaint(app, complaint_id).await?;
    let place = Place { merchant: complaint.merchant_id, row: complaint.payout.0, field: "complaint_history.text" };
    let sealed = app.keys.seal(place, said.as_bytes());
    let rows =
        rows::complaint_event(complaint.merchant_id, complaint.complaint_id, event, sealed, actor, app.clock.now());
    match app.writer.write(rows).await.map_err(text)? {
        0 => Err(format!("complaint {complaint_id} is closed")),
        _ => complaint_show(app, complaint_id).await,
    }
}

async fn complaint(app: &App, complaint_id: &str) -> Result<ComplaintView, String> {
    let key = complaint_id.split_once('/').and_then(|(merchant, number)| Some((merchant, number.parse().ok()?)));
    let known = match key {
        Some((merchant, number)) => app.store.complaint(merchant, number).await.map_err(text)?,
        None => None,
    };
    known.ok_or_else(|| format!("there is no complaint `{complaint_id}`; `hundi complaint list` shows them"))
}

/// Puts the installation on hold: nothing is started and nothing new is taken until it is released.
pub async fn hold_set(app: &App, reason: &str, actor: &Actor) -> Answer {
    let now = app.clock.now();
    let said = format!("since {now} by {actor}: {}", hold_reason(reason)?);
    if app.store.meta(HOLD).await.map_err(text)?.is_some() {
        return Err("Hundi is on hold already; `hundi hold status` shows why".to_owned());
    }
    let line = rows::settings_line(MerchantId::HOUSE, &format!("hold set: {reason}"), actor, now);
    app.writer.write(rows::meta_once(HOLD, &said).and(line)).await.map_err(text)?;
    hold_status(app).await
}

/// Whether the installation is on hold, since when, by whom and why; and the payments that banks know and it does not.
pub async fn hold_status(app: &App) -> Answer {
    let hold = app.store.meta(HOLD).await.map_err(text)?;
    let (forgotten, unstated) = app.store.forgotten_counts().await.map_err(text)?;
    let listed = app.store.forgotten(FORGOTTEN_MAX).await.map_err(text)?;
    let listed = listed.iter().map(|view| {
        let one = &view.forgotten;
        json!({
            "reference": one.reference.as_str(), "connector": one.connector.as_str(), "said": one.said.name(),
            "amount": one.amount_paise.map(|paise| Balance::from_paise(paise).to_string()), "rrn": &*one.rrn,
            "at": view.at.to_string(),
        })
    });
    Ok(json!({
        "on_hold": hold.is_some(), "hold": hold, "forgotten": forgotten, "without_statement": unstated,
        "forgotten_payments": listed.collect::<Vec<_>>(),
    }))
}

/// Lets the installation pay again. While banks have spoken of payments that it does not know and no statement tells of,
/// only with `force`.
pub async fn hold_release(app: &App, reason: &str, force: bool, actor: &Actor) -> Answer {
    let reason = hold_reason(reason)?;
    if app.store.meta(HOLD).await.map_err(text)?.is_none() {
        return Err("Hundi is not on hold".to_owned());
    }
    let gaps = hold_gaps(app).await?;
    if let Some(gap) = gaps.filter(|_| !force && !planted(Plant::ReleaseWithGaps)) {
        return Err(format!(
            "{gap}; give `hundi reconcile` the statements since the backup, or release with --force and a reason that \
            says why nothing will be paid twice"
        ));
    }
    let (looked_for, damaged) = recognise_unpaid(app).await?;
    if damaged > 0 && !force {
        return Err(format!(
            "{damaged} payouts are damaged, and may be what banks have spoken of; `hundi verify` names them. Mend them, or \
            release with --force and a reason that says why nothing will be paid twice"
        ));
    }
    let forced = if force { "hold released by force" } else { "hold released" };
    let line = rows::settings_line(MerchantId::HOUSE, &format!("{forced}: {reason}"), actor, app.clock.now());
    app.writer.write(rows::meta_forget(HOLD).and(line)).await.map_err(text)?;
    // Until then no new word has set a hold, because there was one.
    if forgotten_references(app).await?.is_subset(&looked_for) {
        return hold_status(app).await;
    }
    if app.store.meta(HOLD).await.map_err(text)?.is_none() {
        hold_set(app, "a bank spoke of one more payment that is not known here while the hold was released", actor)
            .await?;
    }
    Err("a bank has just spoken of one more payment that is not known here, so Hundi is on hold again; give `hundi reconcile` \
        its next statement, and release again"
        .to_owned())
}

/// The references of ours that banks have spoken of and that are not known here.
async fn forgotten_references(app: &App) -> Result<HashSet<Reference>, String> {
    let forgotten = app.store.forgotten(i64::MAX).await.map_err(text)?;
    Ok(forgotten.iter().map(|view| view.forgotten.reference).collect())
}

/// Looks among what banks have spoken of for payouts that nobody would start again: their merchants do not order them a second
/// time, so they are recognised now, before anything goes on. Gives back what was looked for, and how many payouts could not
/// be read.
async fn recognise_unpaid(app: &App) -> Result<(HashSet<Reference>, u64), String> {
    let references = forgotten_references(app).await?;
    if references.is_empty() {
        return Ok((references, 0));
    }
    let unpaid = app.store.unpaid_of(&references, &app.rules).await.map_err(text)?;
    let mut damaged = unpaid.damaged;
    for (merchant, payout) in unpaid.found {
        // One attempt at a time: each is an exception of its own. Every turn takes one of the references.
        for _ in 0..references.len() {
            match app.writer.execute(Command::Recognise { merchant, payout }).await {
                Ok(Decision::Done(_)) => {}
                Ok(Decision::Repeat(_) | Decision::Refused(_)) => break,
                Err(Unknown::Store(StoreError::Corrupt(what))) => {
                    tracing::error!(
                        merchant = merchant.0,
                        payout = payout.0,
                        what,
                        "a damaged payout is not looked for"
                    );
                    damaged += 1;
                    break;
                }
                Err(error) => return Err(text(error)),
            }
        }
    }
    Ok((references, damaged))
}

/// Why the statements that have been read do not yet tell what the banks have paid in the forgotten time.
async fn hold_gaps(app: &App) -> Result<Option<String>, String> {
    let (_, unstated) = app.store.forgotten_counts().await.map_err(text)?;
    if unstated > 0 {
        return Ok(Some(format!(
            "banks have spoken of {unstated} payments that are ours and not known here, and no statement has them \
            (`hundi hold status` lists them)"
        )));
    }
    let early = app.store.forgotten_since_statement().await.map_err(text)?;
    Ok(early.first().map(|(connector, at)| {
        format!(
            "{connector} has spoken of payments that are not known here until {at}, and its last statement ends before"
        )
    }))
}

fn hold_reason(reason: &str) -> Result<&str, String> {
    let fits = !reason.trim().is_empty() && reason.chars().count() <= 200 && !reason.chars().any(char::is_control);
    fits.then_some(reason).ok_or_else(|| "`--reason` must be 1 to 200 characters on one line".to_owned())
}

/// Everything that was ever told to the operator, newest first.
pub async fn exception_list_all(app: &App) -> Answer {
    let exceptions = app.store.exceptions_of_all_time(LIST_MAX).await.map_err(text)?;
    let now = app.clock.now();
    Ok(Value::Array(exceptions.iter().map(|exception| exception_line(exception, now)).collect()))
}

/// What an exception's ID names: `CONNECTOR/REFERENCE/KIND`.
pub(crate) fn exception_key(exception_id: &str) -> Option<ExceptionKey> {
    let mut words = exception_id.split('/');
    let (connector, reference) = (Connector::parse(words.next()?)?, words.next()?);
    let kind = words.next()?;
    let kind = ExceptionKind::ALL.into_iter().find(|known| known.name() == kind)?;
    words.next().is_none().then(|| (connector, reference.into(), kind))
}

/// What waits for the operator, newest first.
pub async fn exception_list(app: &App) -> Answer {
    let exceptions = app.store.exceptions(LIST_MAX).await.map_err(text)?;
    let now = app.clock.now();
    Ok(Value::Array(exceptions.iter().map(|exception| exception_line(exception, now)).collect()))
}

/// One exception. Its ID is `CONNECTOR/REFERENCE/KIND`.
pub async fn exception_show(app: &App, exception_id: &str) -> Answer {
    let known = match exception_key(exception_id) {
        Some((connector, reference, kind)) => {
            app.store.exception(connector.as_str(), &reference, kind as i64).await.map_err(text)?
        }
        None => None,
    };
    let known =
        known.ok_or_else(|| format!("there is no exception `{exception_id}`; `hundi exception list` shows them"))?;
    let mut shown = exception_line(&known, app.clock.now());
    if let Some(payout) = shown["payout_id"].as_str().map(ToOwned::to_owned) {
        shown["payout"] = payout_show(app, &payout).await?;
    }
    Ok(shown)
}

fn exception_line(exception: &crate::store::reads::ExceptionView, now: Timestamp) -> Value {
    let kind = ExceptionKind::from_number(exception.kind).map_or("unknown", ExceptionKind::name);
    json!({
        "exception_id": format!("{}/{}/{kind}", exception.connector, exception.reference),
        "kind": kind,
        "payout_id": exception.payout.map(|id| id.to_string()),
        "detail": exception.detail,
        "at": exception.at.to_string(),
        "age": age(now.0.saturating_sub(exception.at.0)),
        "assignee": exception.assignee,
        "resolved_at": exception.resolved_at.map(|at| at.to_string()),
        "proposal_id": exception.proposal,
    })
}

/// How long something has waited, in the two units that a person cares for.
pub(crate) fn age(us: i64) -> String {
    let us = us.max(0);
    match (us / DAY, us / HOUR % 24, us / MINUTE % 60) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// The lines of a statement as CSV: quoted after RFC 4180, and no cell that a spreadsheet would run.
pub fn csv(lines: &[Value]) -> String {
    let columns = [
        "seq",
        "at",
        "kind",
        "payout_id",
        "amount",
        "fee",
        "gst",
        "wallet_change",
        "wallet_after",
        "connector",
        "memo",
        "by",
    ];
    let mut out = columns.join(",") + "\r\n";
    for line in lines {
        let cells = columns.map(|column| match &line[column] {
            Value::Null => String::new(),
            Value::String(text) => csv_cell(text),
            other => other.to_string(),
        });
        out.push_str(&(cells.join(",") + "\r\n"));
    }
    out
}

/// A text as a CSV cell. A line of it that a spreadsheet could take for a formula gets an apostrophe before it, unless the
/// text is a number. A line that begins with an apostrophe gets one more: who takes one from every line has the text again.
pub(crate) fn csv_cell(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len() + 2);
    for (nth, line) in text.split_inclusive(['\n', '\r']).enumerate() {
        // What is not seen before a sign does not hide it: programs trim it.
        let first = line.trim_start_matches(unseen).chars().next();
        let formula = first.is_some_and(|first| FORMULA_SIGNS.contains(&first)) && !is_number(text);
        let odd = nth == 0 && line.starts_with(['\t', '\r', '\n', '\0']);
        if (formula || odd || line.starts_with('\'')) && !planted(Plant::RawCsvCell) {
            guarded.push('\'');
        }
        guarded.push_str(line);
    }
    // Other separators too: not every program goes by the comma.
    if guarded.contains([',', ';', '\t', '|', '"', '\n', '\r', '\'']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

/// `=`, `+`, `-` and `@`, and what programs take for them: full-width and small forms, the minus sign.
const FORMULA_SIGNS: [char; 13] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{fe66}', '\u{fe62}', '\u{fe63}', '\u{fe6b}',
    '\u{2212}',
];

/// White space, control codes, and characters without width.
fn unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Digits with at most one point between them, and at most one minus before them.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, part].iter().all(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

pub(crate) fn connector(name: &str) -> Result<Connector, String> {
    Connector::parse(name).ok_or_else(|| format!("`{name}` is not a connector's name"))
}

pub(crate) fn amount(name: &str, rupees: &str) -> Result<Amount, String> {
    Amount::from_decimal_text(rupees).map_err(|_| {
        format!("{name} `{rupees}` is not an amount; write rupees with no or two decimals, such as 100000.00")
    })
}

fn state_name(state: MerchantState) -> &'static str {
    match state {
        MerchantState::Active => "active",
        MerchantState::Suspended => "suspended",
    }
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A secret for a bank's callbacks, made up.
pub fn new_secret() -> Vec<u8> {
    hex(&random::<20>()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_numbers_stay_numbers() {
        for (text, cell) in [
            ("plain", "plain"),
            ("-5.00", "-5.00"),
            ("5.00", "5.00"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "\"'=1+1\""),
            (" =1+1", "\"' =1+1\""),
            ("+91", "\"'+91\""),
            ("-x", "\"'-x\""),
            ("@x", "\"'@x\""),
            ("\tx", "\"'\tx\""),
            ("\u{a0}=x", "\"'\u{a0}=x\""),
            ("\u{ff1d}x", "\"'\u{ff1d}x\""),
            ("-.", "\"'-.\""),
            ("-1.2.3", "\"'-1.2.3\""),
            ("--5", "\"'--5\""),
            ("a\n=1", "\"a\n'=1\""),
            ("a;=1", "\"a;=1\""),
            ("'=1", "\"''=1\""),
            ("\u{200b}=1", "\"'\u{200b}=1\""),
        ] {
            assert_eq!(csv_cell(text), cell, "{text:?}");
        }
    }
}
