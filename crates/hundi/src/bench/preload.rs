//! `hundi bench --preload`: fills a store with payouts that were paid, so fast that ten million are a matter of minutes.
//!
//! Each payout is ordered, started and paid by the same decisions as any other, and sealed, fingerprinted and chained as
//! any other: only HTTP, the bank and the waiting are left out. The three commands of a payout are decided in one
//! transaction, and thousands of payouts share it, so each payout is written once, as it is in the end. One thread makes
//! commands, another decides and writes.

use super::scratch::{Notes, furnish, merchants, open};
use super::{Outcome, Stop, report};
use hundi::App;
use hundi::config::Config;
use hundi::keys::Place;
use hundi::store::{StoreError, batch};
use hundi_core::command::{Command, ConnectorRules, Decision, Rules, Source, Transition, Way, Word, decide};
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, Reference};
use hundi_core::money::Amount;
use hundi_core::party::{AccountNumber, Beneficiary, Ifsc, PersonName};
use hundi_core::payout::{Order, Sealed};
use hundi_core::rails::Rail;
use hundi_core::routing::Carries;
use hundi_core::schedule::{SECOND, Timestamp};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What the OrderIDs begin with; 12 digits follow.
pub const PREFIX: &str = "PRE-";
/// 2043: there are no ids of 15 digits after it.
const LAST_ID_US: i64 = 2_300_000_000_000_000;
/// Payouts of one transaction.
const BATCH: u64 = 2_048;
/// Batches that are made before they are written.
const AHEAD: usize = 2;
const NAMES: [&str; 8] = [
    "RUPESH KUMAR",
    "ANITA SHARMA",
    "MOHAMMED IQBAL",
    "LAKSHMI NARAYANAN",
    "GURPREET SINGH",
    "FATIMA SHEIKH",
    "JOSEPH FERNANDES",
    "SUNITA DEVI",
];
const IFSCS: [&str; 4] = ["HDFC0000001", "ICIC0000002", "SBIN0000003", "UTIB0000004"];

/// One payout: ordered, started, paid.
struct Life {
    create: Command,
    start: Command,
    connector: Connector,
    reference: Reference,
    word: Word,
}

/// Fills a store. `wallets` is how many merchants take turns.
pub fn preload(config: &Config, payouts: u64, wallets: Option<usize>, stop: &Stop) -> Result<Outcome, String> {
    let notes = Notes::read(&config.data)?;
    let known = notes.as_ref().map_or(0, |notes| notes.payouts);
    let wallets = Notes::wallets(notes.as_ref(), wallets)?;
    let (written, took) = open(config, true, |app| async move {
        furnish(&app, wallets).await?;
        let mut merchants = merchants(&app).await?;
        if notes.is_some() {
            // After them may come the wallet of a `--beside`.
            merchants.truncate(wallets);
        }
        if merchants.len() != wallets {
            return Err(format!("the store has {} wallets, not {wallets}; say --wallets {0}", merchants.len()));
        }
        // Whatever happens next, it is a bench's store.
        Notes { wallets, payouts: known }.write(&config.data)?;
        let began = Instant::now();
        let written = fill(&app, merchants, known, payouts, stop).await?;
        Notes { wallets, payouts: known + written }.write(&config.data)?;
        Ok((written, began.elapsed()))
    })?;
    stop.check()?;
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let per_second = report::per_second(written, took);
    let text = format!(
        "{written} payouts of {wallets} wallets in {}: {per_second} a second. Check them with `hundi verify`.\n",
        report::seconds(took)
    );
    let document = json!({
        "preloaded": written, "payouts": known + written, "wallets": wallets, "took_ms": ms, "per_second": per_second,
        "data": config.data,
    });
    Ok(Outcome { text, document })
}

/// Writes payouts after those that are known; how many.
async fn fill(
    app: &Arc<App>,
    merchants: Vec<MerchantId>,
    known: u64,
    payouts: u64,
    stop: &Stop,
) -> Result<u64, String> {
    let (sender, mut made) = mpsc::channel(AHEAD);
    std::thread::spawn({
        let app = Arc::clone(app);
        move || make(&app, &merchants, known..known + payouts, &sender)
    });
    let mut progress = report::Progress::of(payouts);
    let began = Instant::now();
    let mut written = 0;
    while let Some(lives) = made.recv().await {
        let lives = lives?;
        write(app, &lives).await.map_err(|error| error.to_string())?;
        written += lives.len() as u64;
        progress.show(began.elapsed(), written);
        if stop.told() {
            break;
        }
    }
    Ok(written)
}

/// Makes the commands of payouts in batches, until nobody takes them any more.
fn make(
    app: &App,
    merchants: &[MerchantId],
    numbers: std::ops::Range<u64>,
    batches: &mpsc::Sender<Result<Vec<Life>, String>>,
) {
    let mut lives = Vec::new();
    for number in numbers.clone() {
        // As the load counts them: an order belongs to the wallet that is its rest.
        let wallet = usize::try_from((number + 1) % merchants.len() as u64).unwrap_or(0);
        match life(app, merchants[wallet], number + 1) {
            Some(life) => lives.push(life),
            None => {
                let why = "an id or an order could not be made; see whether the clock is right";
                // Whoever took batches may have stopped.
                return batches.blocking_send(Err(why.to_owned())).unwrap_or_default();
            }
        }
        let full = lives.len() as u64 == BATCH || number + 1 == numbers.end;
        if full && batches.blocking_send(Ok(std::mem::take(&mut lives))).is_err() {
            return;
        }
    }
}

/// The commands of one payout.
fn life(app: &App, merchant: MerchantId, number: u64) -> Option<Life> {
    let id = loop {
        match app.next_payout_id() {
            Some(id) => break id,
            // The number of this process is leased ahead of time only so far.
            None if app.clock.now().0 < LAST_ID_US => std::thread::sleep(Duration::from_millis(1)),
            None => return None,
        }
    };
    let index = usize::try_from(number).ok()?;
    let rail = Rail::Imps;
    let amount = Amount::from_paise(i64::try_from(number % 5_000).ok()? * 100 + 10_000)?;
    let beneficiary = Beneficiary::Account {
        number: AccountNumber::parse(&format!("5010{:010}", number % 10_000_000_000))?,
        ifsc: Ifsc::parse(IFSCS[index % IFSCS.len()]).ok()?,
    };
    let order = Order {
        merchant,
        id,
        order: OrderId::parse(&format!("{PREFIX}{number:012}"))?,
        rail,
        amount,
        fingerprint: app.keys.fingerprint(rail, amount, &beneficiary),
        sealed: Sealed(
            app.keys
                .seal(
                    Place { merchant, row: id.0, field: "payouts.sealed" },
                    format!("{}\n9876543210", beneficiary.canonical()).as_bytes(),
                )
                .into(),
        ),
        name: PersonName::parse(NAMES[index % NAMES.len()])?,
        hint: beneficiary.hint().into(),
        actor: Actor::Operator("bench".into()),
        created_at: Timestamp(0),
    };
    let connector = Connector::parse("sandbox")?;
    let reference = |salt| Reference::derive(&app.installation, merchant, &order.order, 1, salt);
    let references = [reference(0), reference(1)];
    let start = Command::Start {
        merchant,
        payout: id,
        connector,
        rail,
        references,
        send_within_us: 5 * SECOND,
        enquire_after_us: 2 * SECOND,
    };
    let word = Word {
        outcome: hundi_core::command::Outcome::Paid,
        amount_paise: Some(amount.paise()),
        rrn: format!("{number:012}").into(),
        why: "".into(),
    };
    Some(Life { create: Command::CreatePayout(Box::new(order)), start, connector, reference: references[0], word })
}

/// One transaction: load, decide, write, commit.
async fn write(app: &App, lives: &[Life]) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let now = app.clock.now();
    // What a payment speaks of is made by the two commands before it.
    let named: Vec<&Command> = lives.iter().flat_map(|life| [&life.create, &life.start]).collect();
    let mut loaded = batch::load(&mut tx, &named, &app.rules).await?;
    let mut decided: Vec<Box<Transition>> = Vec::with_capacity(lives.len() * 3);
    // Nothing is sent, so no bank need be configured; but only a connector that is known may start a payout.
    let paid_by = |life: &Life| ConnectorRules {
        connector: life.connector,
        not_found_final_us: None,
        carries: Carries::ALL,
        way: Way::Call,
    };
    let rules = Rules { connectors: lives.first().map(paid_by).into_iter().collect(), ..app.rules.clone() };
    let mut done = |command: &Command| match decide(&mut loaded.snapshot, &rules, command, now) {
        Decision::Done(transition) => Ok(Some(transition)),
        // A preload that was killed had written it.
        Decision::Repeat(_) => Ok(None),
        Decision::Refused(refusal) => Err(StoreError::Statement(refusal.as_str().to_owned())),
    };
    for life in lives {
        let Some(created) = done(&life.create)? else { continue };
        let Some(started) = done(&life.start)? else { continue };
        let send_before = started.payout.as_ref().map_or(now, |payout| payout.send_before);
        let source = Source::Reply { send_before };
        let (connector, reference, word) = (life.connector, life.reference, life.word.clone());
        decided.extend([created, started]);
        decided.extend(done(&Command::Record { connector, reference, word, source })?);
    }
    let transitions: Vec<&Transition> = decided.iter().map(AsRef::as_ref).collect();
    batch::write(&mut tx, &mut loaded, &transitions, app.keys.journal(), now).await?;
    tx.commit().await
}
