//! Exchanges files with banks: what was started becomes a row of the next file, a file is uploaded once, and what the bank
//! leaves in the inbox is read ([`inbox`]).
//!
//! ```text
//! Start --same transaction--> a row that waits --full, old, or before a batch--> gathered
//!   gathered --name and hash--> recorded --a name that the bank does not look for--> written
//!     --committed--> released --rename--> at the bank --> uploaded
//! ```
//!
//! Until a file is released its name has never been at the bank, so it may be written again. Once it is, it never is: it is
//! only looked for. If it lies there it was uploaded; if it still has the other name it is renamed; if it is gone the bank has
//! taken it or nobody knows, and its payouts wait for the bank's answer. One process at a time works on a connector's files,
//! and whoever has lost that without noticing finds his next write refused.

pub mod inbox;

use crate::App;
use crate::connectors::bare;
use crate::connectors::files::share::Folder;
use crate::connectors::files::{FileBank, FileId, Payment};
use crate::store::batch::HOLD;
use crate::store::files::{self, FileRow, FileState};
use crate::store::statements::{Bulk, Difference};
use crate::worker::{ordered, record};
use futures_util::future::{BoxFuture, join_all};
use hundi_core::command::{Outcome, Source, Word};
use hundi_core::ids::{Connector, Reference};
use hundi_core::money::Balance;
use hundi_core::payout::{ExceptionKind, Payout, State};
use hundi_core::plant::{Plant, planted};
use hundi_core::schedule::{HOUR, SECOND, Timestamp};
use inbox::{Post, Seen};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether a file is to be closed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a process works on a connector's files before it has to say that it is still there.
const LEASE_US: i64 = 60 * SECOND;
/// After so long nobody hopes any more that a released file which is not there is answered soon.
const DOUBT_US: i64 = HOUR;

/// Exchanges files with every bank that is given files, and reads the statements of those whose folder is watched, until
/// `stop` is told.
pub async fn run(app: &Arc<App>, stop: watch::Receiver<bool>) {
    let mut tasks: Vec<BoxFuture<'_, ()>> = Vec::new();
    for bank in app.connectors.all_files() {
        tasks.push(Box::pin(exchange(app, bank, stop.clone())));
    }
    for (name, folder) in &app.config.reconcile.statements {
        if let Some(connector) = Connector::parse(name) {
            tasks.push(Box::pin(inbox::watch(app, connector, folder, stop.clone())));
        }
    }
    join_all(tasks).await;
}

/// Takes over a payout that was just started: it is a row of the next file already. What such a file cannot carry is taken out
/// again, before it is in one, and another connector may try.
pub async fn hand_over(app: &App, bank: &FileBank, payout: &Payout, reference: Reference) {
    let Err(word) = payment(app, bank, payout, reference) else { return };
    match app.writer.write(files::leave_out(bank.connector(), reference, 0)).await {
        Ok(1) => not_sent(app, bank, payout, reference, word).await,
        // It is in a file, which leaves it out by itself.
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "a payout was not taken out of the next file; the file leaves it out"),
    }
}

/// What is known of a payout that is due: a file is answered in its own time, so mostly nothing.
pub async fn enquire(app: &App, bank: &FileBank, payout: &Payout, reference: Reference) {
    let asked_at = app.clock.now();
    match app.store.file_of(bank.connector(), reference).await {
        Ok(Some(-1)) => {
            let word = payment(app, bank, payout, reference).err();
            let word = word.unwrap_or_else(|| bare(Outcome::NotWritten, "Left out of the bank's file"));
            not_sent(app, bank, payout, reference, word).await;
        }
        Ok(_) => {
            let word = bare(Outcome::Silent, "");
            record(app, (bank.connector(), reference), word, Source::Enquiry { asked_at }, None, payout).await;
        }
        Err(error) => tracing::warn!(%error, "nobody knows which file a payout is in; it is looked up again"),
    }
}

/// Records that a payout is in no file, and never was since it was started.
async fn not_sent(app: &App, bank: &FileBank, payout: &Payout, reference: Reference, word: Word) {
    let source = Source::Reply { send_before: payout.send_before };
    record(app, (bank.connector(), reference), word, source, None, payout).await;
}

/// A payout as a payment of a file; `Err` is the word of one that cannot be in it.
fn payment(app: &App, bank: &FileBank, payout: &Payout, reference: Reference) -> Result<Payment, Word> {
    let (beneficiary, order) = (ordered(app, payout)?, &payout.order);
    let payment = bank.payment((reference, payout.rail, order.amount), &order.name, &beneficiary);
    // Nothing is sent, so nothing can be paid under this reference: a refusal, and another bank may carry it.
    payment.map_err(|why| bare(Outcome::Refused { elsewhere: true }, why))
}

/// What a process knows about the files of one connector.
struct Desk {
    lease: Lease,
    seen: Seen,
    look_at: Timestamp,
    /// After something failed, nothing is tried before.
    rest_until: Timestamp,
}

/// Who works on a share: this process, while it holds the lease.
pub(crate) struct Lease {
    share: String,
    held: Option<(i64, Timestamp)>,
}

impl Lease {
    pub(crate) fn new(share: String) -> Lease {
        Lease { share, held: None }
    }

    /// The fence of our lease, if it is ours; takes it where it is nobody's.
    pub(crate) async fn take(&mut self, app: &App) -> Result<Option<i64>, String> {
        let now = app.clock.now();
        let until = now.after(LEASE_US);
        if let Some((fence, held_until)) = self.held {
            if held_until > now.after(LEASE_US / 2) {
                return Ok(Some(fence));
            }
            let kept = app.writer.write(files::share_keep(&self.share, fence, until)).await.map_err(text)?;
            self.held = (kept == 1).then_some((fence, until));
            return Ok(self.held.map(|(fence, _)| fence));
        }
        let seen = app.store.share(&self.share).await.map_err(text)?;
        if seen.is_some_and(|(lease_until, _)| lease_until > now) {
            return Ok(None);
        }
        let taken = app.writer.write(files::share_take(&self.share, seen, until)).await.map_err(text)?;
        let fence = seen.map_or(1, |(_, fence)| fence.saturating_add(1));
        self.held = (taken == 1).then_some((fence, until));
        Ok(self.held.map(|(fence, _)| fence))
    }

    /// Gives it back, so that the next start need not wait for its end.
    pub(crate) async fn give_back(&mut self, app: &App) {
        if let Some((fence, _)) = self.held.take()
            && let Err(error) = app.writer.write(files::share_give_back(&self.share, fence)).await
        {
            tracing::debug!(%error, "the lease of a share was not given back; it ends by itself");
        }
    }
}

/// Exchanges files with one bank until `stop` is told.
async fn exchange(app: &App, bank: &FileBank, mut stop: watch::Receiver<bool>) {
    let connector = bank.connector();
    let mut desk = Desk {
        lease: Lease::new(connector.as_str().to_owned()),
        seen: Seen::default(),
        look_at: app.clock.now(),
        rest_until: Timestamp(i64::MIN),
    };
    loop {
        tokio::select! {
            biased;
            () = crate::told_to_stop(&mut stop) => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = app.clock.now();
        if now < desk.rest_until {
            continue;
        }
        if let Err(error) = turn(app, bank, &mut desk, now).await {
            tracing::error!(%connector, error, "files are not exchanged with a bank; it is tried again");
            desk.rest_until = now.after(bank.look_every_us);
        }
    }
    desk.lease.give_back(app).await;
}

async fn turn(app: &App, bank: &FileBank, desk: &mut Desk, now: Timestamp) -> Result<(), String> {
    let Some(fence) = desk.lease.take(app).await? else { return Ok(()) };
    let looks = now >= desk.look_at;
    let mut failed = Ok(());
    if app.store.meta(HOLD).await.map_err(text)?.is_none() {
        close(app, bank, now).await?;
        for file in app.store.files_under_way(bank.connector()).await.map_err(text)? {
            // One that cannot go on must not hold up the others.
            match file.state {
                FileState::Released if !looks => {}
                _ => failed = failed.and(advance(app, bank, fence, file).await),
            }
        }
    }
    if looks {
        desk.look_at = now.after(bank.look_every_us);
        let post = Post::of_bank(bank);
        // What a bank has left must not hold up what we give to it.
        if let Err(error) = inbox::look(app, &post, &mut desk.seen).await {
            tracing::error!(connector = %bank.connector(), error, "what a bank has left is not all dealt with; it is looked at again");
        }
    }
    failed
}

/// Chooses the rows of a new file, if it is time for one.
async fn close(app: &App, bank: &FileBank, now: Timestamp) -> Result<(), String> {
    let (connector, most) = (bank.connector(), i64::from(bank.rows_max));
    // The number is read first: whoever gathers in between takes it, and then nothing is gathered here.
    let number = app.store.last_file(connector).await.map_err(text)?.saturating_add(1);
    let waiting = app.store.waiting_for_file(connector, most).await.map_err(text)?;
    let full = waiting.iter().map(|waiting| waiting.count).sum::<i64>() >= most;
    let due = waiting.iter().any(|waiting| bank.closing.closes_at(waiting.rail, waiting.since) <= now);
    if !full && !due {
        return Ok(());
    }
    if of_day(app, connector, number, now).await? > bank.files_of_day_max() {
        return Err("the bank takes no more files today; raise `rows_max` or `close_after_s`".to_owned());
    }
    app.writer.write(files::gather(connector, number, most, now)).await.map(drop).map_err(text)
}

/// Which file of its Indian day one is, from 1.
async fn of_day(app: &App, connector: Connector, number: i64, made_at: Timestamp) -> Result<i64, String> {
    let midnight = Timestamp::ist_midnight(made_at.ist_day());
    let before = app.store.files_since(connector, midnight, number).await.map_err(text)?;
    Ok(before.saturating_add(1))
}

/// Takes a file as far as it goes.
async fn advance(app: &App, bank: &FileBank, fence: i64, file: FileRow) -> Result<(), String> {
    let state = if planted(Plant::FileUploadedAgain) { FileState::Recorded } else { file.state };
    match state {
        FileState::Gathered | FileState::Recorded => match compose(app, bank, fence, file).await? {
            Some((file, bytes)) => upload(app, bank, &file, bytes).await,
            None => Ok(()),
        },
        FileState::Released => look_for(app, bank, file).await,
        FileState::Uploaded | FileState::InDoubt | FileState::Empty => Ok(()),
    }
}

/// Writes the file in memory and records its name and its hash; `None` if there is nothing to send, or if somebody else has the
/// file meanwhile. Rows whose payouts have ended since, or do not fit, are left out of it.
async fn compose(app: &App, bank: &FileBank, fence: i64, file: FileRow) -> Result<Option<(FileRow, Vec<u8>)>, String> {
    let connector = bank.connector();
    let (mut payments, mut left_out, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let mut sum_paise = 0_i64;
    for (reference, _, payout) in app.store.rows_of_file(connector, file.number).await.map_err(text)? {
        let ours = payout.connector == Some(connector) && payout.reference == Some(reference);
        if payout.state != State::Sending || !ours {
            left_out.push(reference);
            continue;
        }
        match payment(app, bank, &payout, reference) {
            Ok(payment) => {
                sum_paise = sum_paise.checked_add(payment.amount.paise()).ok_or("the sum of a file is too large")?;
                payments.push(payment);
            }
            Err(word) => {
                left_out.push(reference);
                told.push((reference, payout, word));
            }
        }
    }
    let id = FileId {
        number: file.number,
        of_day: of_day(app, connector, file.number, file.made_at).await?,
        made_at: file.made_at,
        installation: &app.installation,
    };
    let (name, bytes) = if payments.is_empty() {
        (String::new(), Vec::new())
    } else {
        let unwritten = |error| format!("file {} cannot be written: {error}", file.number);
        (bank.name(&id, &payments).map_err(unwritten)?, bank.write(&id, &payments).map_err(unwritten)?)
    };
    let file = FileRow {
        name,
        hash: Sha256::digest(&bytes).to_vec(),
        transfers: i64::try_from(payments.len()).unwrap_or(i64::MAX),
        sum_paise,
        fence,
        state: FileState::Recorded,
        ..file
    };
    let recorded = app.writer.write(files::record(connector, &file, &left_out, app.clock.now())).await.map_err(text)?;
    if recorded == 0 {
        return Ok(None);
    }
    for (reference, payout, word) in told {
        not_sent(app, bank, &payout, reference, word).await;
    }
    Ok((!payments.is_empty()).then_some((file, bytes)))
}

/// The name under which a file is written, which the bank does not look for. It names the lease, so that two who both believe
/// that it is theirs do not write into one file.
fn part_name(name: &str, fence: i64) -> String {
    format!(".{name}.{fence}.part")
}

/// Writes a recorded file, and gives it its name after it is committed that it may have it.
async fn upload(app: &App, bank: &FileBank, file: &FileRow, bytes: Vec<u8>) -> Result<(), String> {
    let (connector, share, now) = (bank.connector(), &bank.share, app.clock.now());
    let part = part_name(&file.name, file.fence);
    let beginning = format!(".{}.", file.name);
    for found in share.list(Folder::Outbox).await.map_err(text)?.files {
        if found.name == file.name {
            return Err(format!(
                "a file `{}` that is not ours lies in the outbox; see whose it is, and move it away",
                file.name
            ));
        }
        if found.name.starts_with(&beginning) && found.name.ends_with(".part") {
            // Of a lease that has ended; what it had released would not be here to be written.
            share.remove(&found.name).await.map_err(text)?;
        }
    }
    share.put(&part, bytes).await.map_err(text)?;
    let (from, to) = ((Folder::Outbox, part.as_str()), (Folder::Outbox, file.name.as_str()));
    if planted(Plant::FileNamedTooEarly) {
        share.rename(from, to).await.map_err(text)?;
    }
    if app.writer.write(files::release(connector, file, now)).await.map_err(text)? == 0 {
        return share.remove(&part).await.map_err(text);
    }
    if !planted(Plant::FileNamedTooEarly) {
        share.rename(from, to).await.map_err(text)?;
    }
    uploaded(app, connector, file).await
}

async fn uploaded(app: &App, connector: Connector, file: &FileRow) -> Result<(), String> {
    let FileRow { number, name, transfers, sum_paise, .. } = file;
    app.writer.write(files::uploaded(connector, *number, app.clock.now())).await.map_err(text)?;
    let sum = Balance::from_paise(*sum_paise);
    tracing::info!(%connector, file = name, transfers, %sum, "a file of payments is at the bank");
    Ok(())
}

/// Looks for a file that was released and may or may not have come so far. It is never written again.
async fn look_for(app: &App, bank: &FileBank, file: FileRow) -> Result<(), String> {
    let (connector, share) = (bank.connector(), &bank.share);
    let there = share.list(Folder::Outbox).await.map_err(text)?;
    let lies = |name: &str| there.named(name).is_some();
    let part = part_name(&file.name, file.fence);
    if lies(&file.name) {
        return uploaded(app, connector, &file).await;
    }
    if lies(&part) {
        share.rename((Folder::Outbox, &part), (Folder::Outbox, &file.name)).await.map_err(text)?;
        return uploaded(app, connector, &file).await;
    }
    if file.moved_at.after(DOUBT_US) > app.clock.now() {
        return Ok(());
    }
    let sum = Balance::from_paise(file.sum_paise);
    let detail = format!("{} payments, {sum}; ask the bank whether it has it, it is not written again", file.transfers);
    tracing::error!(%connector, file = file.name, detail, "nobody knows whether a file of payments is at the bank");
    tell(app, connector, ExceptionKind::FileInDoubt, &file.name, detail).await?;
    app.writer.write(files::in_doubt(connector, file.number, app.clock.now())).await.map(drop).map_err(text)
}

/// Tells the operator about a file.
pub(crate) async fn tell(
    app: &App,
    connector: Connector,
    kind: ExceptionKind,
    name: &str,
    detail: String,
) -> Result<(), String> {
    let mut bulk = Bulk::default();
    let difference = Difference { at: 0, kind, reference: name.to_owned(), payout: None, detail };
    bulk.exception(connector, &difference, app.clock.now());
    app.writer.write_bulk(bulk).await.map(drop).map_err(text)
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
