//! What a bank leaves for us: answers to our files, and statements. A file is dealt with once, by its hash, and moved to the
//! archive after what it says is recorded; what cannot be used is told to the operator and moved to `bad`, never lost.
//!
//! A file may still be on its way: it is taken when it has not changed between two looks, and believed when it is well formed
//! to its end. Until then it is left where it is, for `whole_within_s`. What was moved is looked at again, at once and after
//! that time: if it is not what was read, it is put back.

use super::{Lease, tell, text};
use crate::App;
use crate::config::Columns;
use crate::connectors::files::share::{Directory, Folder, Listed, Share};
use crate::connectors::files::{Answer, FileBank, Sort, Told};
use crate::keys::hex;
use crate::reconcile::{feed, reconcile};
use crate::store::files;
use crate::worker::keep;
use futures_util::{StreamExt, TryStreamExt, stream};
use hundi_core::command::{Command, Decision, Outcome, Source};
use hundi_core::formats::{self, Said};
use hundi_core::ids::{Actor, Connector, MerchantId, PayoutId, Reference};
use hundi_core::payout::{ExceptionKind, Payout};
use hundi_core::rails::Rail;
use hundi_core::schedule::{SECOND, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The most files of an inbox that are looked at; more are left for the next look.
const LISTED_MAX: usize = 1_000;
/// The largest file that is opened, bytes. A statement of [`crate::reconcile`]'s ten million lines is smaller.
const FILE_BYTES_MAX: u64 = 2 * 1_024 * 1_024 * 1_024;
/// The largest answer, bytes. Statements are read as streams and may be larger.
const ANSWER_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
/// How much of a file says what it is, bytes.
const LOOK_BYTES: usize = 2_048;
/// Words that wait for the writer at once.
const RECORDS_AT_ONCE: usize = 256;
/// What of a row that cannot be used is shown to the operator.
const SHOWN_MAX: usize = 3;
/// What the reader of a statement may be ahead of the comparison.
const CHUNKS_AHEAD: usize = 16;
/// Folders of statements are looked at so often, and a file there may take so long to become whole.
const WATCH_EVERY: Duration = Duration::from_secs(30);
const WHOLE_WITHIN_US: i64 = 600 * SECOND;
/// What a file keeps of its name when it is moved, bytes.
const ARCHIVED_BYTES_MAX: usize = 200;
/// A file's name as it is shown and kept, characters.
const NAME_CHARS_MAX: usize = 100;

/// Where files come in.
pub struct Post<'a> {
    connector: Connector,
    share: Arc<dyn Share>,
    /// Who answers files there; `None` where there are only statements.
    bank: Option<&'a FileBank>,
    whole_within_us: i64,
}

impl<'a> Post<'a> {
    /// The inbox of a bank that is given files.
    pub fn of_bank(bank: &'a FileBank) -> Post<'a> {
        let (connector, share) = (bank.connector(), Arc::clone(&bank.share));
        Post { connector, share, bank: Some(bank), whole_within_us: bank.whole_within_us }
    }
}

/// What is known of an inbox from the looks before.
#[derive(Default)]
pub struct Seen {
    /// The files of the last look: how large, written when, and since when they have not changed.
    files: BTreeMap<String, (u64, String, Timestamp)>,
    /// How many could not be named.
    unnamed: usize,
    /// What was moved out of it, and when.
    moved: Vec<(Moved, Timestamp)>,
}

/// A file that was dealt with and moved.
struct Moved {
    /// As it was listed when it was read.
    file: Listed,
    /// What was read of it.
    hash: String,
    /// Where it is now.
    folder: Folder,
    name: String,
}

impl Seen {
    /// Those that have not changed since the last look, each with the moment from which on.
    fn settled(&mut self, listed: Vec<Listed>, now: Timestamp) -> Vec<(Listed, Timestamp)> {
        let mut seen = BTreeMap::new();
        let mut settled = Vec::new();
        for file in listed {
            // What is on its way often has such a name.
            let unfinished = [".part", ".tmp", ".filepart"].iter().any(|ending| file.name.ends_with(ending));
            if file.name.starts_with('.') || unfinished {
                continue;
            }
            let before =
                self.files.get(&file.name).filter(|(bytes, stamp, _)| (*bytes, stamp) == (file.bytes, &file.stamp));
            let since = before.map_or(now, |(_, _, since)| *since);
            seen.insert(file.name.clone(), (file.bytes, file.stamp.clone(), since));
            if before.is_some() {
                settled.push((file, since));
            }
        }
        self.files = seen;
        settled
    }
}

/// What has become of a file.
enum Dealt {
    /// What it says is recorded. It answers the file with this number, 0 for none: that file is at the bank.
    Used(i64),
    /// The same was dealt with before, perhaps under another name.
    Known,
    /// It cannot be used, or not all of it; why.
    Bad(String),
    /// It is not well formed to its end, so it may still be on its way.
    NotWhole(String),
}

/// Looks at the inbox and deals with what has come.
pub async fn look(app: &App, post: &Post<'_>, seen: &mut Seen) -> Result<(), String> {
    let mut listing = post.share.list(Folder::Inbox).await.map_err(text)?;
    listing.files.truncate(LISTED_MAX);
    let mut failed = Ok(());
    if std::mem::replace(&mut seen.unnamed, listing.unnamed) != listing.unnamed && listing.unnamed > 0 {
        let why = format!("{} files have names that cannot be read; have the bank rename them", listing.unnamed);
        tracing::error!(connector = %post.connector, why, "what lies in the inbox of a bank is not read");
        failed = tell(app, post.connector, ExceptionKind::FileUnreadable, "inbox", why).await;
    }
    for (file, since) in seen.settled(listing.files, app.clock.now()) {
        // One that cannot be dealt with now must not hold up the others.
        let dealt = take(app, post, &file, since).await;
        let dealt = dealt.map_err(|error| format!("file `{}`: {error}", shown(&file.name)));
        failed = failed.and(dealt.map(|moved| seen.moved.extend(moved.map(|moved| (moved, app.clock.now())))));
    }
    // Who had it open may have gone on writing.
    for (moved, at) in std::mem::take(&mut seen.moved) {
        let soon = at.after(post.whole_within_us) > app.clock.now();
        let looked = if soon { Ok(()) } else { put_back_if_other(post, &moved).await.map(drop) };
        if soon || looked.is_err() {
            seen.moved.push((moved, at));
        }
        failed = failed.and(looked);
    }
    failed
}

/// Deals with one file, and says where it is then; `None` where it was left, or put back.
async fn take(app: &App, post: &Post<'_>, file: &Listed, since: Timestamp) -> Result<Option<Moved>, String> {
    let (connector, name) = (post.connector, shown(&file.name));
    if file.bytes > FILE_BYTES_MAX {
        // Not even fetched: nobody knows its hash, and what it was called and when stands for it.
        let why = format!("it is larger than {FILE_BYTES_MAX} bytes; ask the bank for several smaller ones");
        refuse(app, connector, &name, why).await?;
        let stands = hex(&Sha256::digest(format!("{}\n{}\n{}", file.name, file.bytes, file.stamp)));
        return archive(post, file, stands, Folder::Bad).await;
    }
    let opened = post.share.open(Folder::Inbox, &file.name).await.map_err(text)?;
    let (start, opened) = look_into(opened).await?;
    let in_time = since.after(post.whole_within_us) > app.clock.now();
    let (folder, used, about) = match deal(app, post, (file, opened), &start, in_time).await? {
        Dealt::NotWhole(why) if in_time => {
            tracing::debug!(%connector, file = name, why, "a file of a bank is not whole; it is looked at again");
            return Ok(None);
        }
        Dealt::Known => {
            tracing::info!(%connector, file = name, "a file of a bank was read before");
            return archive(post, file, start.hash, Folder::Archive).await;
        }
        Dealt::Used(about) => (Folder::Archive, true, about),
        Dealt::Bad(why) | Dealt::NotWhole(why) => {
            refuse(app, connector, &name, why).await?;
            (Folder::Bad, false, 0)
        }
    };
    let answer = files::answer(connector, &start.hash, &name, used, about, app.clock.now());
    // A file that the bank answers is at the bank.
    let uploaded = (about > 0).then(|| files::uploaded(connector, about, app.clock.now()));
    let rows = uploaded.into_iter().fold(answer, |answer, uploaded| answer.and(uploaded));
    app.writer.write(rows).await.map_err(text)?;
    archive(post, file, start.hash, folder).await
}

/// Tells the operator of a file that goes to `bad`.
async fn refuse(app: &App, connector: Connector, name: &str, why: String) -> Result<(), String> {
    tracing::error!(%connector, file = name, why, "a file of a bank cannot be used, or not all of it");
    tell(app, connector, ExceptionKind::FileUnreadable, name, why).await
}

/// Moves a file to where it stays, under a name that no other file has.
async fn archive(post: &Post<'_>, file: &Listed, hash: String, folder: Folder) -> Result<Option<Moved>, String> {
    // File systems take 255 bytes, and two beginnings are put before it.
    let end = file.name.floor_char_boundary(ARCHIVED_BYTES_MAX);
    let mut name =
        format!("{}-{}", hash.get(..12).unwrap_or(&hash), file.name.get(..end).unwrap_or_default().trim_end());
    let moved = post.share.rename((Folder::Inbox, &file.name), (folder, &name)).await;
    if let Err(error) = moved {
        if post.share.list(folder).await.map_err(text)?.named(&name).is_none() {
            return Err(text(error));
        }
        // The very same came again; both stay.
        name = another(&name);
        post.share.rename((Folder::Inbox, &file.name), (folder, &name)).await.map_err(text)?;
    }
    let moved = Moved { file: file.clone(), hash, folder, name };
    match put_back_if_other(post, &moved).await {
        Ok(same) => Ok(same.then_some(moved)),
        Err(error) => {
            tracing::warn!(
                error,
                file = shown(&moved.name),
                "a file of a bank that was moved is looked at again later"
            );
            Ok(Some(moved))
        }
    }
}

/// A name that no file has.
fn another(name: &str) -> String {
    format!("{}-{name}", hex(&crate::clock::random::<4>()))
}

/// Whether what was moved is what was read. If the bank has gone on with it, or has put another one into its place before it was
/// moved, it goes back into the inbox; what was read of it is known by then.
async fn put_back_if_other(post: &Post<'_>, moved: &Moved) -> Result<bool, String> {
    let Moved { file, hash, folder, name } = moved;
    let listing = post.share.list(*folder).await.map_err(text)?;
    let Some(found) = listing.named(name).filter(|found| (found.bytes, &found.stamp) != (file.bytes, &file.stamp))
    else {
        return Ok(true);
    };
    // Renaming changes neither the size nor the time; where a file system does change the time, what it holds decides.
    if found.bytes == file.bytes {
        let (now, _) = look_into(post.share.open(*folder, name).await.map_err(text)?).await?;
        if now.hash == *hash {
            return Ok(true);
        }
    }
    tracing::warn!(connector = %post.connector, file = shown(name), "a file of a bank has changed since it was read; it is read again");
    let back = post.share.rename((*folder, name), (Folder::Inbox, &file.name)).await;
    if back.is_err() {
        // There is one of its name again.
        post.share.rename((*folder, name), (Folder::Inbox, &another(&file.name))).await.map_err(text)?;
    }
    Ok(false)
}

/// How a file begins, and its hash.
struct Start {
    bytes: Vec<u8>,
    hash: String,
}

/// Reads a file once, and gives it back at its beginning.
async fn look_into(mut file: File) -> Result<(Start, File), String> {
    let work = move || {
        let (mut hash, mut start, mut piece) = (Sha256::new(), Vec::new(), vec![0; 1 << 16]);
        loop {
            let read = file.read(&mut piece).map_err(text)?;
            let piece = piece.get(..read).unwrap_or_default();
            if piece.is_empty() {
                file.rewind().map_err(text)?;
                return Ok((Start { bytes: start, hash: hex(&hash.finalize()) }, file));
            }
            hash.update(piece);
            let room = LOOK_BYTES.saturating_sub(start.len()).min(piece.len());
            start.extend_from_slice(piece.get(..room).unwrap_or_default());
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(text)?
}

async fn deal(
    app: &App,
    post: &Post<'_>,
    (file, opened): (&Listed, File),
    start: &Start,
    in_time: bool,
) -> Result<Dealt, String> {
    if app.store.answer_known(post.connector, &start.hash).await.map_err(text)? == Some(true) {
        return Ok(Dealt::Known);
    }
    let Some(bank) = post.bank else { return statement(app, post.connector, file, opened).await };
    match bank.sort(&file.name, &start.bytes) {
        Err(why) => Ok(Dealt::Bad(why.to_owned())),
        Ok(Sort::Statement) => statement(app, post.connector, file, opened).await,
        Ok(Sort::Answer) if file.bytes > ANSWER_BYTES_MAX => {
            Ok(Dealt::Bad(format!("it is larger than {ANSWER_BYTES_MAX} bytes; ask the bank for smaller answers")))
        }
        Ok(Sort::Answer) => {
            let read = move || {
                let mut bytes = Vec::new();
                opened.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes).map_err(text)
            };
            let bytes = tokio::task::spawn_blocking(read).await.map_err(text)??;
            if hex(&Sha256::digest(&bytes)) != start.hash {
                return Ok(Dealt::NotWhole("it changed while it was read".to_owned()));
            }
            answer(app, bank, file, &bytes, in_time).await
        }
    }
}

/// Records what an answer says of each payment of the file that it is about.
async fn answer(app: &App, bank: &FileBank, file: &Listed, bytes: &[u8], in_time: bool) -> Result<Dealt, String> {
    let connector = bank.connector();
    let said = match bank.read(bytes) {
        Ok(Answer::Rows { whole: false, .. }) if in_time => {
            return Ok(Dealt::NotWhole("its last line has no end".to_owned()));
        }
        Ok(Answer::Rows { told, bad, .. }) if told.is_empty() && bad.is_empty() => {
            return Ok(Dealt::Bad("it has no rows".to_owned()));
        }
        Ok(said) => said,
        Err(why) => return Ok(Dealt::NotWhole(why)),
    };
    let about = match bank.about(&said, &file.name) {
        Some(name) => match app.store.file_named(connector, &name).await.map_err(text)? {
            Some(file) => Ok(file.number),
            None => Err(format!("it answers a file `{}` that is not known here", shown(&name))),
        },
        None => file_of_rows(app, connector, &said).await?.ok_or_else(|| "none of its rows is known here".to_owned()),
    };
    let about = match about {
        Ok(about) => about,
        Err(why) => {
            // What the bank speaks of and nobody here knows, a restored backup may have forgotten: the operator hears of each.
            strange(app, connector, references(&said)).await?;
            return Ok(Dealt::Bad(why));
        }
    };
    // A report has the id of our file, which nobody makes up; a name anybody may use, so rows must speak of a payment of it.
    let by_id = matches!(said, Answer::Report(_));
    let (told, strangers, mut wrong) = split(app, bank, about, said).await?;
    let about = if by_id || !told.is_empty() { about } else { 0 };
    heard(app, connector, told).await?;
    if !strangers.is_empty() {
        wrong.push(format!("it speaks of {} payments that are not in that file", strangers.len()));
        strange(app, connector, strangers.iter().filter_map(|name| Reference::parse(name)).collect()).await?;
    }
    if wrong.is_empty() {
        return Ok(Dealt::Used(about));
    }
    if about > 0 {
        app.writer.write(files::uploaded(connector, about, app.clock.now())).await.map_err(text)?;
    }
    let more = wrong.len().saturating_sub(SHOWN_MAX);
    wrong.truncate(SHOWN_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Ok(Dealt::Bad(format!("{}{more}; the rest of it was used", wrong.join("; "))))
}

/// The references of which an answer speaks, as far as they can be ours.
fn references(said: &Answer) -> Vec<Reference> {
    match said {
        Answer::Report(report) => report.references().filter_map(Reference::parse).collect(),
        Answer::Rows { told, .. } => told.iter().filter_map(|told| Reference::parse(&told.reference)).collect(),
    }
}

/// The number of the file of ours whose payments an answer names; the bank answers one file at a time.
async fn file_of_rows(app: &App, connector: Connector, said: &Answer) -> Result<Option<i64>, String> {
    for reference in references(said) {
        let number = app.store.file_of(connector, reference).await.map_err(text)?;
        if let Some(number) = number.filter(|number| *number > 0) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// A payment of ours, and what the bank says of it.
type Heard = (Reference, (MerchantId, PayoutId), Told);

/// What an answer says of the payments of the file that it is about, of others, and what of it cannot be read.
async fn split(
    app: &App,
    bank: &FileBank,
    about: i64,
    said: Answer,
) -> Result<(Vec<Heard>, Vec<Box<str>>, Vec<String>), String> {
    let rows = app.store.rows_of_file(bank.connector(), about).await.map_err(text)?;
    let mut told: BTreeMap<Box<str>, Told>;
    let mut wrong = Vec::new();
    match said {
        // It says something of payments that it does not name, too.
        Answer::Report(report) => {
            let named = report.references().map(|name| (name.into(), None));
            let mut all: BTreeMap<Box<str>, Option<Told>> = named.collect();
            for (reference, rail, _) in &rows {
                let one = bank.told(&report, *reference, *rail);
                all.insert(reference.as_str().into(), Some(one));
            }
            wrong.extend(
                report.broken().map(|name| format!("it says two things of {}, or no amount of rupees", shown(name))),
            );
            let strangers = all.iter().filter(|(_, told)| told.is_none()).map(|(name, _)| name.clone()).collect();
            told = all.into_iter().filter_map(|(name, told)| told.map(|told| (name, told))).collect();
            return Ok((ours(&rows, &mut told), strangers, wrong));
        }
        Answer::Rows { told: all, bad, .. } => {
            wrong.extend(bad.iter().map(|(at, why)| format!("line {at}: {why}")));
            told = BTreeMap::new();
            for one in all {
                // The bank's words may differ; what they come to may not.
                let whole = |told: &Told| (told.word.outcome, told.word.amount_paise, told.word.rrn.clone());
                if let Some(before) = told.get(&one.reference)
                    && whole(before) != whole(&one)
                {
                    wrong.push(format!("it says two things of {}", shown(&one.reference)));
                    told.get_mut(&one.reference).into_iter().for_each(|before| before.word.outcome = Outcome::Silent);
                    continue;
                }
                told.insert(one.reference.clone(), one);
            }
        }
    }
    let heard = ours(&rows, &mut told);
    Ok((heard, told.into_keys().collect(), wrong))
}

/// Takes out of what was told what is about the rows of a file.
fn ours(rows: &[(Reference, Rail, Payout)], told: &mut BTreeMap<Box<str>, Told>) -> Vec<Heard> {
    let one = |(reference, _, payout): &(Reference, Rail, Payout)| {
        let told = told.remove(reference.as_str())?;
        Some((*reference, (payout.order.merchant, payout.order.id), told))
    };
    rows.iter().filter_map(one).collect()
}

/// Has payouts hear what the bank says of them, each word with its message.
async fn heard(app: &App, connector: Connector, told: Vec<Heard>) -> Result<(), String> {
    let asked_at = app.clock.now();
    let words: Vec<_> = told.into_iter().map(|told| hear(app, connector, told, asked_at)).collect();
    stream::iter(words).buffered(RECORDS_AT_ONCE).try_collect().await
}

async fn hear(
    app: &App,
    connector: Connector,
    (reference, whose, told): Heard,
    asked_at: Timestamp,
) -> Result<(), String> {
    let Told { word, said, .. } = told;
    if word.outcome == Outcome::Silent && said.is_empty() {
        return Ok(());
    }
    app.metrics.bank_word(word.outcome);
    app.router.heard(app, connector, word.outcome, None);
    // The plain answer of an undisturbed payout says nothing that the payout's row does not; the others are kept.
    let plain = matches!(word.outcome, Outcome::Paid | Outcome::Accepted);
    let message = (!plain).then(|| keep(app, (connector, reference), "answer", said.as_bytes(), whose));
    let command = Command::Record { connector, reference, word, source: Source::Enquiry { asked_at } };
    if let Decision::Refused(refusal) = app.writer.record(whose.0, message, command).await.map_err(text)? {
        tracing::warn!(%connector, %reference, ?refusal, "what a bank's file says was refused");
    }
    Ok(())
}

/// The bank speaks of references that are not where it says: those that nobody knows become exceptions, of the others nothing
/// is believed.
async fn strange(app: &App, connector: Connector, references: Vec<Reference>) -> Result<(), String> {
    for reference in references {
        let known = app.store.reference(connector, reference).await.map_err(text)?;
        if known.is_none() {
            let word = crate::connectors::bare(Outcome::Silent, "");
            let source = Source::Enquiry { asked_at: app.clock.now() };
            let command = Command::Record { connector, reference, word, source };
            app.writer.record(MerchantId::HOUSE, None, command).await.map_err(text)?;
        }
    }
    Ok(())
}

/// Compares a statement, as `hundi reconcile` does.
async fn statement(app: &App, connector: Connector, file: &Listed, opened: File) -> Result<Dealt, String> {
    let name = file.name.clone();
    let columns = app.config.reconcile.columns.get(connector.as_str()).cloned();
    let (hint, own) = (name.clone(), columns.clone());
    // First to its end, so that nothing is taken of one that was cut.
    let (whole, opened) = tokio::task::spawn_blocking(move || {
        let whole = is_whole(&opened, &hint, own.as_ref());
        (whole, (&opened).rewind().map(|()| opened))
    })
    .await
    .map_err(text)?;
    if let Err(why) = whole {
        return Ok(Dealt::NotWhole(why));
    }
    let opened = opened.map_err(text)?;
    let (to, mut fed) = mpsc::channel(CHUNKS_AHEAD);
    let reader = tokio::task::spawn_blocking(move || feed(opened, &name, columns.as_ref(), &to));
    let report = reconcile(app, &mut fed, connector, &Actor::System).await;
    drop(fed);
    reader.await.map_err(text)?;
    let report = match report {
        Ok(report) => report,
        // Another account, or a store that fails: it is tried again as long as a file is given to become whole.
        Err(error) => return Ok(Dealt::NotWhole(error)),
    };
    let differences: u64 = report.told.values().sum();
    tracing::info!(
        %connector, file = shown(&file.name), lines = report.lines, known = report.known, moved = report.moved,
        repeated = report.repeated, differences, unreadable = report.bad, "a statement was compared"
    );
    if report.bad == 0 {
        return Ok(Dealt::Used(0));
    }
    let rows = report.bad_rows.iter().take(SHOWN_MAX).map(|(at, why)| format!("line {at}: {why}"));
    let rows = rows.collect::<Vec<_>>().join("; ");
    Ok(Dealt::Bad(format!("{} rows cannot be read ({rows}); the rest of it was used", report.bad)))
}

/// Whether every statement of a file ends, and there is one; of XML, whether the file ends well too, and of a table its last row.
fn is_whole(file: &File, name: &str, columns: Option<&Columns>) -> Result<(), String> {
    let mut input = BufReader::with_capacity(1 << 16, file);
    let start = input.fill_buf().map_err(text)?;
    let is_xml = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start().starts_with(b"<");
    let (mut open, mut any, mut first_bad, mut bad_end) = (false, false, None, false);
    let mut tell = |said| match said {
        Said::Begins(_) => (open, any) = (true, true),
        Said::Ends { .. } => open = false,
        Said::Line(_) => {}
        Said::Bad { at, why } => {
            bad_end |= is_xml && any && !open || *why == *formats::csv::CUT;
            first_bad.get_or_insert_with(|| format!("line {at}: {why}"));
        }
    };
    Columns::lent(columns, |columns| formats::read(input, name, columns, &mut tell));
    match (any, open || bad_end, first_bad) {
        (true, false, _) => Ok(()),
        (_, _, Some(why)) => Err(why),
        (true, true, None) => Err("a statement has no end".to_owned()),
        (false, _, None) => Err("it is neither an answer nor a statement".to_owned()),
    }
}

/// Reads what is put into a folder of statements, until `stop` is told. Of several processes one reads.
pub async fn watch(app: &App, connector: Connector, folder: &Path, mut stop: watch::Receiver<bool>) {
    let mut lease = Lease::new(format!("{connector}/statements"));
    let mut seen = Seen::default();
    let [done, bad] = ["done", "bad"].map(|name| folder.join(name));
    let share = Directory::new([folder.to_owned(), folder.to_owned(), done.clone(), bad.clone()]);
    let post = Post { connector, share: Arc::new(share), bank: None, whole_within_us: WHOLE_WITHIN_US };
    loop {
        tokio::select! {
            biased;
            () = crate::told_to_stop(&mut stop) => break,
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
        let looked = async {
            if lease.take(app).await?.is_none() {
                return Ok(());
            }
            make([done.clone(), bad.clone()]).await?;
            look(app, &post, &mut seen).await
        };
        if let Err(error) = looked.await {
            tracing::error!(%connector, error, "a folder of statements is not read; it is tried again");
        }
    }
    lease.give_back(app).await;
}

/// Makes the folders into which statements are moved.
async fn make(folders: [PathBuf; 2]) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    let work = move || {
        let make = |folder: &PathBuf| {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))
        };
        folders.iter().try_for_each(make)
    };
    tokio::task::spawn_blocking(work).await.map_err(text)?
}

/// A name as it is shown: a bank may call a file anything.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}
