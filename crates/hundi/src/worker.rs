//! Does what is due: sends payouts to banks, asks banks what became of them, and reports back as commands.
//!
//! ```text
//! fresh (just accepted by this process) --+
//! due (found by next_at)  ----------------+--> Queued:         Start, committed --> send once --> Record
//!                                         +--> at a bank:      Enquire (a claim) --> ask      --> Record
//! ```
//!
//! A connector that is given files has the payout as a row of a file from the moment of its start; `exchange` does the rest.
//!
//! Only the caller whose own `Start` is known to be committed opens a socket, once. If it is not known, the payout's time
//! comes up by itself and the bank is asked.

use crate::connectors::{self, Asked, Bank, Question, Transfer};
use crate::http_out::{OutError, OutReply, OutRequest};
use crate::keys::{Place, hex};
use crate::store::rows;
use crate::writer::Unknown;
use crate::{App, Floor, Fresh, alerts, exchange, routing};
use hundi_core::command::{CALLED, Command, Decision, Outcome, Source, Transition, Word};
use hundi_core::ids::{Connector, MerchantId, PayoutId, Reference};
use hundi_core::party::Beneficiary;
use hundi_core::payout::{Order, Payout, State};
use hundi_core::plant::{Plant, planted};
use hundi_core::rails::Rail;
use hundi_core::schedule::{SECOND, Timestamp};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

/// Due payouts taken up at once, and of those that a bank has called about.
const DUE_MAX: i64 = 256;
const CALLED_MAX: i64 = 64;
/// With more jobs than this waiting for the writer, merchants wait too, and a batched payout, which has until the rail's
/// next batch, takes the room of so many.
const BUSY: usize = 8;
const WEIGHT: u32 = 8;
/// How soon a payout that is due while its request is on its way is looked at again.
const LATER: i64 = SECOND / 5;
/// The longest time without a look at what is due: another process may have made work. Shorter where others serve the API
/// of this database, and a merchant waits for what they have accepted.
const LOOK_EVERY: i64 = SECOND;
const LOOK_EVERY_FOR_OTHERS: i64 = SECOND / 4;
/// The shortest time between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// If a crash hides what came of a send, the bank is asked so long after `send_before`.
const ENQUIRE_AFTER_US: i64 = 2 * SECOND;
/// How often a bank's word is offered to a store that fails, before the schedule takes over.
const RECORD_TRIES_MAX: u32 = 5;

/// Works until `stop` is told; then waits for what is in flight, at most a little. Three kinds of work, each with room of
/// its own, so that none holds up another: instant payouts, batched ones, and what is due.
pub async fn run(app: Arc<App>, fresh: Fresh, stop: watch::Receiver<bool>) {
    let most = app.config.worker.sends_max;
    let room = |size| (Arc::new(Semaphore::new(size)), size);
    let few = most.div_ceil(32);
    let rooms = [(Arc::clone(&app.hub.sends), most), room(few), room(most.div_ceil(4))];
    let [(instant, _), (batched, _), (due, _)] = &rooms;
    tokio::join!(
        send_fresh(&app, fresh.instant, instant, 1, stop.clone()),
        send_fresh(&app, fresh.batched, batched, WEIGHT.min(u32::try_from(few).unwrap_or(WEIGHT)), stop.clone()),
        do_due(&app, due, stop.clone()),
        routing::watch(&app, stop.clone()),
        alerts::watch(&app, stop.clone()),
        exchange::run(&app, stop),
    );
    // What is in flight is reported if the bank answers soon, and asked about after the next start if not.
    let all = async {
        for (room, size) in &rooms {
            // A semaphore that nobody closes always gives its permits back.
            drop(room.acquire_many(u32::try_from(*size).unwrap_or(u32::MAX)).await);
        }
    };
    if tokio::time::timeout(Duration::from_secs(4), all).await.is_err() {
        tracing::info!("some banks have not answered; they are asked after the next start");
    }
}

/// Sends what this process has just accepted; after a stop still what was started, which nobody else would send.
async fn send_fresh(
    app: &Arc<App>,
    mut fresh: mpsc::Receiver<Taken>,
    room: &Arc<Semaphore>,
    weight_when_busy: u32,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let weight = if app.writer.waiting() > BUSY { weight_when_busy } else { 1 };
        let Ok(permit) = Arc::clone(room).acquire_many_owned(weight).await else { return };
        let taken = tokio::select! {
            biased;
            () = crate::told_to_stop(&mut stop) => {
                fresh.close();
                fresh.recv().await
            }
            taken = fresh.recv() => taken,
        };
        let Some(taken) = taken else { return };
        if *stop.borrow() && matches!(taken, Taken::Queued(_)) {
            continue;
        }
        let app = Arc::clone(app);
        tokio::spawn(async move {
            let started = match taken {
                Taken::Started(started) => Some(started),
                // Without a connector it is found when its lease ends.
                Taken::Queued(payout) => match app.router.choose(&app, &payout) {
                    Some(chosen) => start(&app, &payout, chosen).await,
                    None => None,
                },
            };
            if let Some(started) = started {
                send(&app, started).await;
            }
            drop(permit);
        });
    }
}

/// Does what the clock says is due.
async fn do_due(app: &Arc<App>, room: &Arc<Semaphore>, mut stop: watch::Receiver<bool>) {
    let mut look_at = app.clock.now();
    let mut floor = Floor::default();
    loop {
        tokio::select! {
            biased;
            () = crate::told_to_stop(&mut stop) => return,
            () = app.hub.payouts_due.sleep_until(&app.clock, look_at) => {}
        }
        look_at = look(app, room, &mut floor, &stop).await;
    }
}

/// Takes up what is due, and says when to look again.
async fn look(app: &Arc<App>, room: &Arc<Semaphore>, floor: &mut Floor, stop: &watch::Receiver<bool>) -> Timestamp {
    app.hub.payouts_due.reset();
    let looked_at = app.clock.now();
    // Those of which somebody has called come first, and must not take the place of all others.
    let called = app.store.payouts_due(CALLED, CALLED, CALLED_MAX).await;
    let others = app.store.payouts_due(CALLED.after(1).max(floor.at(looked_at)), looked_at, DUE_MAX).await;
    let ((mut due, many_called), (others, many)) = match (called, others) {
        (Ok(called), Ok(others)) => (called, others),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot read what is due");
            return looked_at.after(look_every(app));
        }
    };
    floor.looked(looked_at, others.first().and_then(|payout| payout.next_at));
    let more = many_called as i64 == CALLED_MAX || many as i64 == DUE_MAX;
    due.extend(others);
    let mut claimed = tokio::task::JoinSet::new();
    let mut later = false;
    for payout in due {
        if app.hub.is_sending(payout.order.id) {
            // The bank is asked when our request is over: until then "not found" means nothing, whatever the clock says.
            later = true;
            continue;
        }
        let Ok(permit) = Arc::clone(room).acquire_owned().await else { return looked_at };
        if *stop.borrow() {
            return looked_at;
        }
        let (app, (done, waiting)) = (Arc::clone(app), tokio::sync::oneshot::channel());
        tokio::spawn(async move {
            take_up(&app, payout, done).await;
            drop(permit);
        });
        claimed.spawn(waiting);
    }
    // Looking again before these are claimed would find the same ones.
    while claimed.join_next().await.is_some() {}
    tokio::time::sleep(LOOK_PAUSE).await;
    let now = app.clock.now();
    if more {
        return now;
    }
    if later {
        return now.after(LATER);
    }
    let latest = now.after(look_every(app));
    // What was due and still is could not be taken up: it is tried again with the next, and not without end.
    let next = app.store.next_payout_due(looked_at.after(1), latest).await.ok().flatten();
    next.map_or(latest, |next| next.min(latest))
}

fn look_every(app: &App) -> i64 {
    if app.store.shared() { LOOK_EVERY_FOR_OTHERS } else { LOOK_EVERY }
}

/// Works on a payout that was found to be due; `claimed` is told (dropped) once nobody else would find it.
async fn take_up(app: &App, payout: Payout, claimed: tokio::sync::oneshot::Sender<()>) {
    let key = (payout.order.merchant, payout.order.id);
    if payout.state == State::Queued {
        let expired = payout.attempts == 0 && payout.queue_until <= app.clock.now();
        if expired {
            report("expire", app.writer.execute(Command::Expire { merchant: key.0, payout: key.1 }).await);
            return;
        }
        let Some(chosen) = app.router.choose(app, &payout) else {
            // Looked at again later, and written down: else it would be found again at once, before what is due after it.
            let wait = Command::Wait { merchant: key.0, payout: key.1 };
            if let Err(error) = app.writer.execute(wait).await {
                tracing::warn!(%error, "a payout that waits for a connector was not put off; it is tried again");
            }
            return;
        };
        if let Some(started) = start(app, &payout, chosen).await {
            drop(claimed);
            send(app, started).await;
        }
        return;
    }
    if planted(Plant::ResendOnRestart)
        && let Some(connector) = payout.connector
    {
        let order = &payout.order;
        let reference = Reference::derive(&app.installation, order.merchant, &order.order, payout.attempts + 1, 0);
        return send(app, Started { connector, reference, boot_us: app.clock.boot_us(), payout }).await;
    }
    let lease_us = app.config.worker.lease_ms * 1_000;
    let claim = Command::Enquire { merchant: key.0, payout: key.1, lease_us };
    match app.writer.execute(claim).await {
        Ok(Decision::Done(transition)) => {
            drop(claimed);
            if let Some(payout) = transition.payout {
                enquire(app, &payout).await;
            }
        }
        // Somebody else asks already.
        Ok(Decision::Repeat(_) | Decision::Refused(_)) => {}
        Err(error) => tracing::warn!(%error, "an enquiry was not claimed; it is tried again"),
    }
}

/// A payout that this process has just accepted.
pub enum Taken {
    /// It is to be started.
    Queued(Payout),
    /// It was started in the same transaction.
    Started(Started),
}

/// A payout whose start is known to be committed by us.
pub struct Started {
    payout: Payout,
    connector: Connector,
    reference: Reference,
    /// The clock that counts suspension, read before the start was asked for.
    boot_us: i64,
}

impl Started {
    /// From the transition of a start that was asked for at `boot_us`.
    pub fn new(transition: &Transition, boot_us: i64) -> Option<Started> {
        let (payout, attempt) = (transition.payout.clone()?, transition.attempt?);
        Some(Started { payout, connector: attempt.connector, reference: attempt.reference, boot_us })
    }
}

/// The command that claims a payout for its next attempt, and when it was made; `None` where no connector is left.
fn start_command(
    app: &App,
    order: &Order,
    attempt: u32,
    (connector, rail): (Connector, Rail),
) -> Option<(Command, i64)> {
    let send_within = app.connectors.send_within(connector.as_str())?;
    let reference = |salt| Reference::derive(&app.installation, order.merchant, &order.order, attempt, salt);
    let boot_us = app.clock.boot_us();
    let command = Command::Start {
        merchant: order.merchant,
        payout: order.id,
        connector,
        rail,
        references: [reference(0), reference(1)],
        send_within_us: micros(send_within),
        enquire_after_us: ENQUIRE_AFTER_US,
    };
    Some((command, boot_us))
}

/// The first start of an order that is about to be created, if it would be sent at once.
pub fn first_start(
    app: &App,
    order: &Order,
    beneficiary: &Beneficiary,
) -> Option<(Command, i64, mpsc::OwnedPermit<Taken>)> {
    let slot = app.hub.room_to_send()?;
    let chosen = app.router.choose_first(app, order, beneficiary)?;
    let (command, boot_us) = start_command(app, order, 1, chosen)?;
    Some((command, boot_us, slot))
}

/// Claims a payout. `None` if it was not ours to claim, or if nobody knows whether it is: then the bank is asked in time.
async fn start(app: &App, payout: &Payout, chosen: (Connector, Rail)) -> Option<Started> {
    let id = payout.order.id;
    let (command, boot_us) = start_command(app, &payout.order, payout.attempts + 1, chosen)?;
    if planted(Plant::SendBeforeIntent)
        && let Command::Start { references: [reference, _], .. } = &command
    {
        let mut payout = payout.clone();
        payout.send_before = app.clock.now().after(5 * SECOND);
        send(app, Started { payout, connector: chosen.0, reference: *reference, boot_us }).await;
    }
    match app.writer.execute(command).await {
        Ok(Decision::Done(transition)) => Started::new(&transition, boot_us),
        Ok(Decision::Repeat(_)) => None,
        Ok(Decision::Refused(refusal)) => {
            tracing::debug!(payout = %id, ?refusal, "a payout was not started");
            None
        }
        Err(error) => {
            tracing::warn!(%error, payout = %id, "nobody knows whether a payout was started; the bank will be asked");
            None
        }
    }
}

/// Sends a started payout to its bank, once, and records what the bank says.
async fn send(app: &App, started: Started) {
    let Started { payout, connector, reference, boot_us } = started;
    if let Some(bank) = app.connectors.files(connector.as_str()) {
        return exchange::hand_over(app, bank, &payout, reference).await;
    }
    let Some(bank) = app.connectors.get(connector.as_str()) else { return };
    let order = &payout.order;
    let sent = Source::Reply { send_before: payout.send_before };
    let beneficiary = match ordered(app, &payout) {
        Ok(beneficiary) => beneficiary,
        Err(word) => {
            record(app, (connector, reference), word, sent, None, &payout).await;
            return;
        }
    };
    let transfer = Transfer {
        reference,
        amount: order.amount,
        rail: payout.rail,
        beneficiary: &beneficiary,
        name: &order.name,
        send_before: payout.send_before,
    };
    if let Err(why) = bank.carries(&transfer) {
        // Nothing is sent, so nothing can be paid under this reference: a refusal, and another bank may carry it.
        let word = connectors::bare(Outcome::Refused { elsewhere: true }, why);
        record(app, (connector, reference), word, sent, None, &payout).await;
        return;
    }
    let boot_us = if planted(Plant::LeaseFromWaking) { app.clock.boot_us() } else { boot_us };
    let used = u64::try_from(app.clock.boot_us().saturating_sub(boot_us)).unwrap_or(u64::MAX);
    let left = bank.reply_within().checked_sub(Duration::from_micros(used));
    let on_its_way = app.hub.sending(order.id);
    let write_before_boot_us =
        Some(boot_us.saturating_add(micros(bank.reply_within()))).filter(|_| !planted(Plant::LeaseByTimeAlone));
    let request = OutRequest { write_before_boot_us, ..bank.request(&transfer) };
    let reply = connectors::send(&app.http_out, request, left, bank.pace()).await;
    drop(on_its_way);
    let word = bank.outcome(reference, Asked::ToPay, &reply);
    // What we held back ourselves says nothing about the bank.
    if !matches!(reply, Err(OutError::Withheld(_))) || planted(Plant::PaceIsIllness) {
        app.router.heard(app, connector, word.outcome, Some(payout.rail));
    }
    // The plain answer of an undisturbed payout says nothing that the payout's row does not; the others are kept.
    let plain = matches!(word.outcome, Outcome::Paid | Outcome::Accepted);
    let heard = reply.ok().filter(|_| !plain).map(|reply| ("reply", reply));
    record(app, (connector, reference), word, sent, heard, &payout).await;
}

/// Asks a bank what became of a payout's last attempt, and records the answer.
async fn enquire(app: &App, payout: &Payout) {
    let (Some(connector), Some(reference)) = (payout.connector, payout.reference) else { return };
    if let Some(bank) = app.connectors.files(connector.as_str()) {
        return exchange::enquire(app, bank, payout, reference).await;
    }
    let Some(bank) = app.connectors.get(connector.as_str()) else { return };
    let asked = Source::Enquiry { asked_at: app.clock.now() };
    let paid = payout.state == State::Paid;
    let question = Question { reference, now: app.clock.now(), send_before: payout.send_before, paid };
    let Some(request) = bank.enquiry(question) else {
        // Only its statement, or two people, can tell; the schedule says when a person is told that it takes long.
        return record(app, (connector, reference), connectors::bare(Outcome::Silent, ""), asked, None, payout).await;
    };
    let reply = connectors::send(&app.http_out, request, Some(bank.reply_within()), bank.pace()).await;
    let mut word = bank.outcome(reference, Asked::WhatBecame(question), &reply);
    app.router.heard(app, connector, word.outcome, None);
    if word.outcome == Outcome::NotWritten {
        // The question never left; that says nothing about the payment.
        word.outcome = Outcome::Silent;
    }
    record(app, (connector, reference), word, asked, reply.ok().map(|reply| ("enquiry", reply)), payout).await;
}

/// Records a bank's word, with the message that it came in. `payout` is as it was when the bank was asked.
pub(crate) async fn record(
    app: &App,
    (connector, reference): (Connector, Reference),
    word: Word,
    source: Source,
    heard: Option<(&'static str, OutReply)>,
    payout: &Payout,
) {
    app.metrics.bank_word(word.outcome);
    let command = Command::Record { connector, reference, word, source };
    let mut pause = Duration::from_millis(50);
    for _ in 0..RECORD_TRIES_MAX {
        let (merchant, id) = (payout.order.merchant, payout.order.id);
        let message =
            heard.as_ref().map(|(how, reply)| keep(app, (connector, reference), how, &reply.body, (merchant, id)));
        let result = app.writer.record(merchant, message, command.clone()).await;
        match result {
            Err(Unknown::Store(error)) => tracing::warn!(%error, "a bank's word was not recorded; trying again"),
            other => return report("record", other),
        }
        tokio::time::sleep(pause).await;
        pause *= 4;
    }
    tracing::error!(payout = %payout.order.id, "a bank's word was not recorded; the bank will be asked again");
}

/// The row that keeps a bank's message, sealed to its payout.
pub fn keep(
    app: &App,
    (connector, reference): (Connector, Reference),
    how: &str,
    body: &[u8],
    (merchant, payout): (MerchantId, PayoutId),
) -> rows::Plain {
    let place = Place { merchant, row: payout.0, field: "bank_messages.body" };
    // The same words are kept once, however often a bank repeats them.
    let message = hex(&Sha256::digest([how.as_bytes(), b":", body].concat())[..16]);
    rows::bank_message(connector, reference, &message, how, app.keys.seal(place, body), app.clock.now())
}

/// The beneficiary of what is about to be sent: what is sent is what was ordered, whatever has become of the row on the disk.
/// `Err` is the word of a request that is not made.
pub(crate) fn ordered(app: &App, payout: &Payout) -> Result<Beneficiary, Word> {
    let order = &payout.order;
    let ordered = |beneficiary: &Beneficiary| {
        app.keys.fingerprint(order.rail, order.amount, beneficiary) == order.fingerprint || planted(Plant::RottenAmount)
    };
    beneficiary(app, payout).filter(ordered).ok_or_else(|| {
        tracing::error!(payout = %order.id, "a beneficiary cannot be unsealed, or the payout is not what was ordered; is \
            the key the right one? Run `hundi verify`");
        connectors::bare(Outcome::NotWritten, "Beneficiary cannot be read")
    })
}

/// Opens a payout's beneficiary.
pub fn beneficiary(app: &App, payout: &Payout) -> Option<Beneficiary> {
    let place = Place { merchant: payout.order.merchant, row: payout.order.id.0, field: "payouts.sealed" };
    let text = String::from_utf8(app.keys.open(place, &payout.order.sealed.0)?).ok()?;
    Beneficiary::from_canonical(text.split('\n').next()?)
}

fn report(what: &str, result: Result<Decision, Unknown>) {
    match result {
        Ok(Decision::Refused(refusal)) => tracing::warn!(?refusal, "{what} was refused"),
        Ok(Decision::Done(_) | Decision::Repeat(_)) => {}
        Err(error) => tracing::warn!(%error, "nobody knows whether {what} was written; it is tried again"),
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Which bank a name in an address means.
pub fn bank<'a>(app: &'a App, name: &str) -> Option<(&'a dyn Bank, Connector)> {
    let bank = app.connectors.get(name)?;
    Some((bank, bank.rules().connector))
}
