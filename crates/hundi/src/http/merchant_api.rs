//! The merchant API: fields in, a command or a read, an answer out (WIRE, "Calls").
//!
//! | call | reads | changes |
//! |---|---|---|
//! | balance | the wallet | |
//! | payout | the OrderID, if the rest is malformed | `CreatePayout` |
//! | status, by either OrderID | the payout | |
//! | complaint | the payout | a row of `complaints` |
//!
//! Refusals come in the order of WIRE 6. Nothing here decides about money, and nothing here knows a StatusCode.

use crate::App;
use crate::http::auth::{self, Caller};
use crate::http::door::HELD;
use crate::http::fields::{Field, FieldProblem, Fields, FieldsError};
use crate::http::problem::{Call, Problem, Wrong, payout_body};
use crate::keys::Place;
use crate::store::forgotten::FORGOTTEN;
use crate::store::{StoreError, batch, rows};
use crate::worker;
use crate::writer::{Payment, Unknown};
use hundi_core::command::{Command, Decision};
use hundi_core::forgotten;
use hundi_core::ids::{Actor, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::{Amount, AmountError};
use hundi_core::party::{AccountNumber, Beneficiary, Ifsc, IfscError, Mobile, PersonName, Vpa};
use hundi_core::payout::{Order, Payout, Sealed};
use hundi_core::plant::{Plant, planted};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;

/// The most characters of a complaint's subject.
const SUBJECT_CHARS_MAX: usize = 200;
/// The most characters of a complaint's message.
const MESSAGE_CHARS_MAX: usize = 5_000;
/// How long a malformed create waits for those that were offered before it.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);
/// How much longer than `answer_within_ms` a call waits for the writer.
const BEYOND_ANSWER: Duration = Duration::from_secs(2);
/// Our OrderIDs have at most so many digits (WIRE 15).
const OUR_DIGITS_MAX: usize = 15;

/// What a call comes to.
#[derive(Debug)]
pub enum Answer {
    /// A payout, in whatever state.
    Payout(Box<Payout>),
    /// Anything else that went well, as JSON.
    Plain(Vec<u8>),
}

impl Answer {
    /// The body.
    pub fn into_body(self) -> Vec<u8> {
        match self {
            Answer::Payout(payout) => payout_body(&payout),
            Answer::Plain(body) => body,
        }
    }
}

/// Serves one call of the merchant API.
pub async fn serve(
    app: &App,
    socket_peer: IpAddr,
    call: Call,
    request_id: &str,
    head: &Parts,
    body: &[u8],
) -> Result<Answer, Problem> {
    let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("not text"));
    let fields = match Fields::parse(content_type, head.uri.query(), body) {
        Ok(fields) => fields,
        Err(FieldsError::MediaType(why)) => return Err(Problem::MediaType(why)),
        Err(FieldsError::Body(why)) => {
            // Whose token is known but may not call is not told what is wrong with his call.
            let query = Fields::parse(None, head.uri.query(), b"");
            let token = query.as_ref().map_or(Ok(None), |fields| fields.get(Field::Token));
            if token == Ok(None) {
                // It may well be in what cannot be read.
                return Err(Problem::TokenUnreadable(why));
            }
            auth::caller(app, socket_peer, &head.headers, token).await?;
            return Err(Problem::Unreadable(why));
        }
    };
    let caller = auth::caller(app, socket_peer, &head.headers, fields.get(Field::Token)).await?;
    match call {
        Call::Balance => {
            let wallet = app.store.wallet(caller.merchant).await.map_err(unreadable_store)?;
            Ok(Answer::Plain(format!("\"{}\"", wallet.ok_or(Problem::Broken)?).into_bytes()))
        }
        Call::Payout => pay(app, caller, request_id, &fields).await.map(Answer::Payout),
        Call::StatusByClientRef => {
            let order = named_order(&fields)?;
            let order = OrderId::parse(order).ok_or(Problem::OrderMalformed(Wrong::OrderId))?;
            let payout = app.store.payout_by_order(caller.merchant, &order).await.map_err(unreadable_store)?;
            match payout {
                Some(payout) => Ok(Answer::Payout(Box::new(payout))),
                None => Err(order_not_found(app, caller.merchant, &order).await),
            }
        }
        Call::StatusByOrderId => our_payout(app, caller, &fields).await.map(Answer::Payout),
        Call::Complaint => complain(app, caller, &fields).await,
    }
}

/// Waits until everything that this merchant has offered to the writer before is committed or refused; fails if the
/// writer does not come to it in time. Writes nothing.
pub async fn settled(app: &App, whose: MerchantId, within: Duration) -> Result<(), Unknown> {
    // The installation has its number, so this changes no row; but it waits its turn, and takes the write lock.
    let nothing = rows::meta_once("installation", &app.installation);
    timeout(within, app.writer.write_for(whose, nothing)).await.unwrap_or(Err(Unknown::Overload)).map(|_| ())
}

async fn pay(app: &App, caller: Caller, request_id: &str, fields: &Fields<'_>) -> Result<Box<Payout>, Problem> {
    let order = match fields.get(Field::OrderId) {
        Ok(Some(order)) => OrderId::parse(order).ok_or(Problem::Malformed(Wrong::OrderId))?,
        Ok(None) => return Err(Problem::OrderMissing),
        Err(problem) => return Err(Problem::OrderUnclear(unfit(Field::OrderId, problem))),
    };
    let details = match details(fields, &app.installation) {
        Ok(details) => details,
        Err(wrong) => return Err(malformed(app, caller, &order, wrong).await),
    };
    if !app.store.durable() {
        // A failover could lose what is accepted now.
        return Err(Problem::Unknown);
    }
    let within = Duration::from_millis(app.config.api.answer_within_ms);
    // Whoever waits here as long as for an answer is told that nobody knows; nothing is recorded.
    let place_inside = timeout(within, app.door.enter(caller.merchant, app.clock.boot_us())).await;
    let place_inside = place_inside.map_err(|_| Problem::Unknown)?;
    // Without a number of its own this process can accept nothing; whoever asks again may be luckier.
    let id = app.next_payout_id().ok_or(Problem::Unknown)?;
    let Details { rail, amount, beneficiary, name, number } = details;
    let text = format!("{}\n{}", beneficiary.canonical(), number.as_ref().map_or("", Mobile::as_str));
    let place = Place { merchant: caller.merchant, row: id.0, field: "payouts.sealed" };
    let order = Order {
        merchant: caller.merchant,
        id,
        order,
        rail,
        amount,
        fingerprint: app.keys.fingerprint(rail, amount, &beneficiary),
        sealed: Sealed(app.keys.seal(place, text.as_bytes()).into()),
        name,
        hint: if planted(Plant::UnsealedAccount) { beneficiary.canonical() } else { beneficiary.hint() }.into(),
        actor: Actor::Token(caller.token_id),
        created_at: Timestamp(0),
    };
    // Before the command is sent, or the end may come before anybody waits for it.
    let mut waiting = rail.rules().instant.then(|| app.hub.wait_for(caller.merchant, id));
    let first = waiting.as_ref().and_then(|_| worker::first_start(app, &order, &beneficiary));
    let create = Command::CreatePayout(Box::new(order));
    let decision = match first {
        Some((start, boot_us, slot)) => {
            in_time(app, app.writer.offer_payment(Payment { create, start, boot_us, slot })).await?
        }
        None => in_time(app, app.writer.offer(create)).await?,
    };
    let accepted = match decision {
        Decision::Done(transition) => transition.payout.ok_or(Problem::Unknown)?,
        Decision::Repeat(known) => return known.ok_or(Problem::Unknown),
        Decision::Refused(refusal) => return Err(refusal.into()),
    };
    if accepted.state.is_open() {
        tracing::debug!(request_id, payout = %accepted.order.id, "a payout was accepted");
    }
    let Some(waiting) = waiting.as_mut().filter(|_| accepted.state.is_open()) else { return Ok(Box::new(accepted)) };
    let soon = timeout(HELD.min(within), waiting.ended()).await;
    drop(place_inside);
    let ended = match soon {
        Ok(ended) => ended,
        Err(_) => timeout(within.saturating_sub(HELD), waiting.ended()).await.ok().flatten(),
    };
    Ok(Box::new(ended.unwrap_or(accepted)))
}

/// Waits for the writer, but not without end. What comes later is not lost: of a create, the OrderID finds it.
async fn in_time<T>(app: &App, written: impl Future<Output = Result<T, Unknown>>) -> Result<T, Problem> {
    let within = Duration::from_millis(app.config.api.answer_within_ms).saturating_add(BEYOND_ANSWER);
    match timeout(within, written).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Problem::Unknown),
    }
}

/// What a create orders, but for its OrderID.
struct Details {
    rail: Rail,
    amount: Amount,
    beneficiary: Beneficiary,
    name: PersonName,
    number: Option<Mobile>,
}

/// Reads the fields of a create, in the order of the contract. What of it a bank's statement repeats must not read as a
/// reference of this installation: it would name another payout.
fn details(fields: &Fields<'_>, installation: &str) -> Result<Details, Wrong> {
    let number = match given(fields, Field::Number)? {
        Some(number) => Some(Mobile::parse(number).ok_or(Wrong::Number)?),
        None => None,
    };
    let amount = match Amount::from_rupees_text(needed(fields, Field::Amount)?) {
        Ok(amount) => Some(amount),
        Err(AmountError::Malformed) => return Err(Wrong::Amount),
        // Outside of every rail; which one is to be told.
        Err(AmountError::Zero | AmountError::TooLarge) => None,
    };
    let rail = Rail::parse(needed(fields, Field::TransferMode)?).ok_or(Wrong::TransferMode)?;
    let amount = amount.filter(|amount| rail.rules().carries(*amount)).ok_or(Wrong::AmountOutside(rail))?;
    let (beneficiary, name) = match rail {
        Rail::Neft | Rail::Rtgs | Rail::Imps => {
            let number = AccountNumber::parse(needed(fields, Field::AccountNo)?).ok_or(Wrong::AccountNo)?;
            let ifsc = Ifsc::parse(needed(fields, Field::IfscCode)?).map_err(|error| match error {
                IfscError::Malformed => Wrong::Ifsc,
                IfscError::UnknownBank => Wrong::IfscBank,
            })?;
            (Beneficiary::Account { number, ifsc }, name(fields)?)
        }
        Rail::Upi => {
            let name = name(fields)?;
            let vpa = match given(fields, Field::UpiId)? {
                Some(vpa) => Some(Vpa::parse(vpa).ok_or(Wrong::UpiId)?),
                None => None,
            };
            let mobile = match given(fields, Field::BeneficiaryPhoneNo)? {
                Some(mobile) => Some(Mobile::parse(mobile).ok_or(Wrong::PhoneNo)?),
                None => None,
            };
            // The UPI ID is paid where both are given (WIRE 5).
            let beneficiary = vpa.map(Beneficiary::Vpa).or_else(|| mobile.map(Beneficiary::Mobile));
            (beneficiary.ok_or(Wrong::NoUpi)?, name)
        }
    };
    let (account, vpa) = match &beneficiary {
        Beneficiary::Account { number, .. } => (number.as_str(), ""),
        Beneficiary::Vpa(vpa) => ("", vpa.as_str()),
        Beneficiary::Mobile(_) => ("", ""),
    };
    for (text, field) in [(&*name.plain(), Field::BeneficiaryName), (account, Field::AccountNo), (vpa, Field::UpiId)] {
        if Reference::is_read_in(text, installation) {
            return Err(Wrong::ReadsAsReference(field));
        }
    }
    Ok(Details { rail, amount, beneficiary, name, number })
}

fn name(fields: &Fields<'_>) -> Result<PersonName, Wrong> {
    PersonName::parse(needed(fields, Field::BeneficiaryName)?).ok_or(Wrong::BeneficiaryName)
}

/// What a malformed create is told: that nothing will come of its OrderID only if nothing has.
async fn malformed(app: &App, caller: Caller, order: &OrderId, wrong: Wrong) -> Problem {
    // A create under the same OrderID, of which the merchant has given up hope, may still be waiting for the writer, or be
    // on its way into the database from another process. (What still waits for another process's writer is not seen:
    // docs/decisions.md.)
    match timeout(SETTLED_WITHIN, app.writer.offer(nothing_of(caller.merchant))).await {
        Ok(Ok(_)) => {}
        Ok(Err(unknown)) => return unknown.into(),
        Err(_) => return Problem::Unknown,
    }
    match app.store.payout_by_order(caller.merchant, order).await {
        Ok(None) => match order_not_found(app, caller.merchant, order).await {
            Problem::OrderNotFound => Problem::Malformed(wrong),
            problem => problem,
        },
        Ok(Some(_)) => Problem::MalformedKnown(wrong),
        Err(error) => unreadable_store(error),
    }
}

/// A command that changes nothing. It waits its turn among those of this merchant, and for the lock of his accounts.
fn nothing_of(merchant: MerchantId) -> Command {
    Command::Expire { merchant, payout: PayoutId(0) }
}

async fn our_payout(app: &App, caller: Caller, fields: &Fields<'_>) -> Result<Box<Payout>, Problem> {
    let text = named_order(fields)?;
    // No sign, no zero before the number: an OrderID is a text, and these are not ours.
    let ours = text.len() <= OUR_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let id = text.parse().ok().filter(|_| ours).ok_or(Problem::OrderMalformed(Wrong::OurOrderId))?;
    let found = if planted(Plant::UnscopedQuery) {
        app.store.payout_of_any(PayoutId(id)).await
    } else {
        app.store.payout(caller.merchant, PayoutId(id)).await
    };
    let payout = found.map_err(unreadable_store)?;
    match payout {
        Some(payout) => Ok(Box::new(payout)),
        None => Err(not_found(app).await),
    }
}

/// What is said of an order that is not there: while the installation is on hold, it may have been paid all the same.
async fn not_found(app: &App) -> Problem {
    match app.store.meta(batch::HOLD).await {
        Ok(None) => Problem::OrderNotFound,
        Ok(Some(_)) => Problem::Unknown,
        Err(error) => unreadable_store(error),
    }
}

/// The same of a merchant's OrderID: a bank may have paid it in a time that this store has forgotten.
async fn order_not_found(app: &App, merchant: MerchantId, order: &OrderId) -> Problem {
    let problem = not_found(app).await;
    if !matches!(problem, Problem::OrderNotFound) {
        return problem;
    }
    let forgotten = async {
        if app.store.meta(FORGOTTEN).await?.is_none() {
            return Ok(false);
        }
        let references = forgotten::references(&app.rules, merchant, order).map(|(_, reference)| reference);
        app.store.is_forgotten(&references.collect::<Vec<_>>()).await
    };
    match forgotten.await {
        Ok(false) => problem,
        Ok(true) => Problem::Unknown,
        Err(error) => unreadable_store(error),
    }
}

async fn complain(app: &App, caller: Caller, fields: &Fields<'_>) -> Result<Answer, Problem> {
    let payout = our_payout(app, caller, fields).await?;
    let subject = needed(fields, Field::Subject).map_err(Problem::ComplaintMalformed)?;
    if subject.chars().count() > SUBJECT_CHARS_MAX || subject.chars().any(char::is_control) {
        return Err(Problem::ComplaintMalformed(Wrong::Subject));
    }
    let message = needed(fields, Field::Message).map_err(Problem::ComplaintMalformed)?;
    let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\r');
    if message.chars().count() > MESSAGE_CHARS_MAX || message.chars().any(harmful) {
        return Err(Problem::ComplaintMalformed(Wrong::Message));
    }
    let id = payout.order.id;
    let place = Place { merchant: caller.merchant, row: id.0, field: "complaints.text" };
    let sealed = app.keys.seal(place, format!("{subject}\n{message}").as_bytes());
    let row = rows::complaint_add(caller.merchant, id, sealed, &Actor::Token(caller.token_id), app.clock.now());
    match in_time(app, app.writer.write_for(caller.merchant, row)).await? {
        0 => Err(Problem::Unknown),
        _ => Ok(Answer::Plain(b"{\"StatusCode\":1,\"Message\":\"Success\"}".to_vec())),
    }
}

/// The OrderID of a status call or a complaint.
fn named_order<'a>(fields: &'a Fields<'_>) -> Result<&'a str, Problem> {
    match fields.get(Field::OrderId) {
        Ok(Some(order)) => Ok(order),
        Ok(None) => Err(Problem::OrderMalformed(Wrong::Missing(Field::OrderId))),
        Err(problem) => Err(Problem::OrderUnclear(unfit(Field::OrderId, problem))),
    }
}

fn needed<'a>(fields: &'a Fields<'_>, field: Field) -> Result<&'a str, Wrong> {
    given(fields, field)?.ok_or(Wrong::Missing(field))
}

fn given<'a>(fields: &'a Fields<'_>, field: Field) -> Result<Option<&'a str>, Wrong> {
    fields.get(field).map_err(|problem| unfit(field, problem))
}

fn unfit(field: Field, problem: FieldProblem) -> Wrong {
    match (problem, field) {
        (FieldProblem::Twice, _) => Wrong::Twice(field),
        (FieldProblem::NotTextOrInteger { .. }, Field::Amount) => Wrong::Amount,
        (FieldProblem::NotTextOrInteger { .. }, _) => Wrong::NotText(field),
    }
}

fn unreadable_store(error: StoreError) -> Problem {
    tracing::error!(%error, "cannot read the store for a merchant");
    Problem::Unknown
}
