//! What the operator does with connectors at the command line: list, pause, resume, test, and explain a route. Each
//! function is one subcommand and gives back one JSON document.

use super::files::FileBank;
use super::files::share::Folder;
use super::{Asked, Question};
use crate::admin::{Answer, amount, merchant};
use crate::clock::random;
use crate::http_out::OutError;
use crate::keys::hex;
use crate::store::rows;
use crate::{App, connectors, routing};
use hundi_core::command::Outcome;
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::Balance;
use hundi_core::party::{Beneficiary, Ifsc, Vpa};
use hundi_core::rails::{RAILS, Rail, RailSet};
use hundi_core::routing::{Facts, minute_of_day};
use hundi_core::schedule::SECOND;
use serde_json::{Value, json};

/// The longest reason for a pause, characters.
const REASON_CHARS_MAX: usize = 200;

/// Every connector: what it carries and can do, whether it is paused, by whom and why, and its limits.
pub async fn list(app: &App) -> Answer {
    let paused = app.store.connectors_paused().await.map_err(text)?;
    let standing = app.router.standing(&app.clock);
    let rupees = |paise: i64| (paise < i64::MAX).then(|| Balance::from_paise(paise).to_string());
    let line = |rules: &hundi_core::command::ConnectorRules| {
        let name = rules.connector.as_str();
        let pause = paused.iter().find(|paused| paused.connector == rules.connector);
        let rails: Vec<&str> =
            RAILS.iter().filter(|row| rules.carries.rails[row.rail as usize]).map(|row| row.name).collect();
        let can = app.connectors.capabilities(name);
        let limits = app.config.limits.get(name);
        let today = standing.iter().find(|(connector, ..)| *connector == rules.connector);
        json!({
            "connector": name,
            "rails": rails.join(","),
            "pays_to": can.as_ref().map(|can| can.pays_to.join(",")),
            "paise": can.as_ref().map(|can| can.paise),
            "asked": can.as_ref().map(|can| can.asked),
            "not_found_final_s": rules.not_found_final_us.map(|after| after / SECOND),
            "lists_days": can.as_ref().map(|can| can.lists_days),
            "state": if pause.is_some() { "paused" } else { "active" },
            "payout_most": rupees(rules.carries.most_paise),
            "day_most": limits.and_then(crate::config::Limits::day_most_paise).and_then(rupees),
            "today": today.and_then(|(.., paise)| *paise).and_then(rupees),
            "paused_since": pause.map(|pause| pause.at.to_string()),
            "paused_by": pause.map(|pause| pause.actor.clone()),
            "reason": pause.map(|pause| pause.reason.clone()),
        })
    };
    Ok(Value::Array(app.rules.connectors.iter().map(line).collect()))
}

/// Gives a connector no new payouts until it is resumed. Every process knows of it within a second; what is at the bank
/// is asked about as before.
pub async fn pause(app: &App, name: &str, reason: &str, actor: &Actor) -> Answer {
    let connector = known(app, name)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX || reason.chars().any(char::is_control) {
        return Err(format!("--reason must be 1 to {REASON_CHARS_MAX} characters on one line; say why it is paused"));
    }
    let pause = rows::connector_pause(connector, reason, actor, app.clock.now());
    match app.writer.write(pause).await.map_err(text)? {
        0 => Err(format!("connector `{name}` is paused already; `hundi connector list` shows by whom and why")),
        _ => one(app, connector).await,
    }
}

/// Gives a connector payouts again.
pub async fn resume(app: &App, name: &str, actor: &Actor) -> Answer {
    let connector = known(app, name)?;
    let resume = rows::connector_resume(connector, actor, app.clock.now());
    match app.writer.write(resume).await.map_err(text)? {
        0 => Err(format!("connector `{name}` is not paused")),
        _ => one(app, connector).await,
    }
}

async fn one(app: &App, connector: Connector) -> Answer {
    let all = list(app).await?;
    let found = all.as_array().and_then(|all| all.iter().find(|line| line["connector"] == connector.as_str()));
    Ok(found.cloned().unwrap_or_default())
}

/// Asks a bank about a reference that cannot exist: whether it is reached, and believes that it is us. Sends no money.
pub async fn test(app: &App, name: &str) -> Answer {
    let connector = known(app, name)?;
    if let Some(bank) = app.connectors.files(name) {
        return test_files(app, bank).await;
    }
    let bank = app.connectors.get(name).ok_or_else(|| unknown(app, name))?;
    // Derived as all are, of an order that the house, which orders nothing, would have made.
    let order =
        OrderId::parse(&format!("TEST-{}", hex(&random::<8>()))).ok_or("no reference could be made; try again")?;
    let reference = Reference::derive(&app.installation, MerchantId::HOUSE, &order, 1, 0);
    let began_us = app.clock.boot_us();
    let now = app.clock.now();
    let question = Question { reference, now, send_before: now, paid: false };
    let Some(request) = bank.enquiry(question) else {
        return Err(format!("connector `{name}` answers no questions, so it cannot be tested without a payment"));
    };
    let reply = connectors::send(&app.http_out, request, Some(bank.reply_within()), bank.pace()).await;
    let took_ms = app.clock.boot_us().saturating_sub(began_us) / 1_000;
    let outcome = bank.outcome(reference, Asked::WhatBecame(question), &reply).outcome;
    let status = reply.as_ref().ok().map(|reply| reply.status);
    let of_strangers = reply.as_ref().ok().and_then(|reply| bank.answers_strangers(reply));
    match (&reply, outcome) {
        (_, Outcome::NotFound) => Ok(json!({
            "connector": connector.as_str(), "reached": true, "http_status": status, "took_ms": took_ms,
            "said": "it does not know a reference that does not exist, as it should",
        })),
        (Err(OutError::NotWritten(why) | OutError::Forbidden(why)), _) => {
            Err(format!("connector `{name}` cannot be reached: {why}; check its `url` and the network"))
        }
        (Err(OutError::Withheld(why)), _) => Err(format!("connector `{name}` was not asked: {why}; try again")),
        (Err(OutError::Silent(why)), _) => {
            Err(format!("connector `{name}` was reached and did not answer in {took_ms} ms: {why}"))
        }
        (Ok(reply), _) if matches!(reply.status, 401 | 403) => Err(format!(
            "connector `{name}` does not accept us (HTTP status {}); check its keys, and whether it knows our address",
            reply.status
        )),
        (Ok(_), Outcome::Silent) if of_strangers.is_some() => Ok(json!({
            "connector": connector.as_str(), "reached": true, "http_status": status, "took_ms": took_ms, "said": of_strangers,
        })),
        (Ok(reply), Outcome::Silent) => Err(format!(
            "connector `{name}` answered something that says nothing (HTTP status {}); is its `url` the bank's?",
            reply.status
        )),
        (Ok(_), outcome) => Err(format!(
            "connector `{name}` says {outcome:?} of a reference that was never used; do not send through it, and ask the bank"
        )),
    }
}

/// Looks into the folders of a bank that is given files, and writes and removes a file that the bank does not look for.
async fn test_files(app: &App, bank: &FileBank) -> Answer {
    let (name, began_us) = (bank.connector(), app.clock.boot_us());
    for folder in [Folder::Outbox, Folder::Inbox, Folder::Archive, Folder::Bad] {
        let listed = bank.share.list(folder).await;
        listed.map_err(|error| format!("connector `{name}`: its folder {folder:?} cannot be read: {error}"))?;
    }
    let part = format!(".hundi-test-{}.part", hex(&random::<8>()));
    bank.share
        .put(&part, b"A test of Hundi; not for the bank.\n".to_vec())
        .await
        .map_err(|error| format!("connector `{name}`: nothing can be written into its outbox: {error}"))?;
    bank.share
        .remove(&part)
        .await
        .map_err(|error| format!("connector `{name}`: `{part}` cannot be removed from its outbox: {error}"))?;
    Ok(json!({
        "connector": name.as_str(), "reached": true,
        "took_ms": app.clock.boot_us().saturating_sub(began_us) / 1_000,
        "said": "its folders can be read, and its outbox can be written to",
    }))
}

/// The most files that are listed.
const FILES_MAX: i64 = 200;

/// The files of payments that were made for a bank, the newest first.
pub async fn files(app: &App, name: &str) -> Answer {
    let connector = known(app, name)?;
    if app.connectors.files(name).is_none() {
        return Err(format!("connector `{name}` is called and not given files; see `hundi payout list`"));
    }
    let files = app.store.files(connector, FILES_MAX).await.map_err(text)?;
    let line = |file: &crate::store::files::FileRow| {
        json!({
            "file": file.name, "number": file.number, "state": file.state.name(), "payments": file.transfers,
            "sum": Balance::from_paise(file.sum_paise).to_string(), "sha256": hex(&file.hash),
            "made_at": file.made_at.to_string(), "since": file.moved_at.to_string(),
        })
    };
    Ok(Value::Array(files.iter().map(line).collect()))
}

/// A payout that might be ordered, for [`explain`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Ordered<'a> {
    /// The merchant's ID; absent, that of nobody whom a rule names.
    pub merchant: Option<&'a str>,
    /// The rail's name; absent, UPI to a UPI ID, and IMPS otherwise.
    pub rail: Option<&'a str>,
    /// Rupees.
    pub amount: &'a str,
    /// The beneficiary's IFSC,
    pub ifsc: Option<&'a str>,
    /// or UPI ID.
    pub upi: Option<&'a str>,
    /// The time of day in India, `HH:MM`; absent, now.
    pub at: Option<&'a str>,
    /// Our OrderID, for the draw by weight.
    pub payout: i64,
}

/// Where a payout would go, by which rule, and why not elsewhere. Of other processes it knows pauses and totals; how well
/// a connector is, only they know.
pub async fn explain(app: &App, ordered: &Ordered<'_>) -> Answer {
    let mut assumed = Vec::new();
    let rail = match (ordered.rail, ordered.upi) {
        (Some(name), _) => {
            Rail::parse(name).ok_or_else(|| format!("--rail `{name}` is not a rail; take NEFT, RTGS, IMPS or UPI"))?
        }
        (None, Some(_)) => Rail::Upi,
        (None, None) => Rail::Imps,
    };
    if ordered.rail.is_none() {
        assumed.push(format!("no --rail: {} was ordered", rail.as_str()));
    }
    let (merchant, rails) = match ordered.merchant {
        Some(id) => {
            let merchant = merchant(app, id).await?;
            (merchant.id, merchant.rail_choice.rails(rail))
        }
        // The house orders nothing, so no rule names it.
        None => {
            let nobody = "no --merchant: rules that name merchants do not match, and no other rail is allowed";
            assumed.push(nobody.to_owned());
            (MerchantId::HOUSE, RailSet::of(rail))
        }
    };
    let paid = amount("--amount", ordered.amount)?;
    let bank = match (ordered.ifsc, ordered.upi) {
        (Some(ifsc), _) => {
            let parsed =
                Ifsc::parse(ifsc).map_err(|_| format!("--ifsc `{ifsc}` is not an IFSC, such as HDFC0000001"))?;
            parsed.as_str().get(..4).map(ToOwned::to_owned)
        }
        (None, Some(upi)) => {
            let vpa = Vpa::parse(upi).ok_or("--upi is not a UPI ID, such as name@bank")?;
            routing::bank_of(&Beneficiary::Vpa(vpa))
        }
        (None, None) => None,
    };
    let minute = match ordered.at {
        Some(at) => routing::minute(at).ok_or_else(|| format!("--at `{at}` is not a time; write HH:MM"))?,
        None => minute_of_day(app.clock.now()),
    };
    app.router.read_merchants(&app.store).await.map_err(text)?;
    let facts = Facts {
        payout: PayoutId(ordered.payout),
        attempt: 1,
        merchant,
        rail,
        rails,
        amount: paid,
        bank: bank.as_deref(),
        minute,
        refused_by: &[],
        bound_to: None,
    };
    let (rule, chosen, considered) = app.router.explain(&app.clock, &facts);
    let considered = considered.iter().map(|(connector, rail, why)| {
        json!({ "connector": connector.as_str(), "rail": rail.as_str(), "why": why.to_string() })
    });
    Ok(json!({
        "rule": rule.unwrap_or_else(|| "none matches: the order of the connectors".to_owned()),
        "connector": chosen.map_or("none now: the payout would wait".to_owned(), |(name, _)| name.as_str().to_owned()),
        "rail": chosen.map(|(_, rail)| rail.as_str()),
        "at": format!("{:02}:{:02}", minute / 60, minute % 60),
        "bank": bank,
        "assumed": assumed,
        "considered": considered.collect::<Vec<_>>(),
    }))
}

fn known(app: &App, name: &str) -> Result<Connector, String> {
    let found = app.rules.connectors.iter().find(|rules| rules.connector.as_str() == name);
    found.map(|rules| rules.connector).ok_or_else(|| unknown(app, name))
}

fn unknown(app: &App, name: &str) -> String {
    let names: Vec<&str> = app.rules.connectors.iter().map(|rules| rules.connector.as_str()).collect();
    let names = if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    format!("there is no connector `{name}` in the configuration; {names}")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
