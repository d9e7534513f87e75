//! The auditor of the kill loops: compares what the client was promised, what the store says, what the bank's book says
//! and what the merchant's receiver heard.

use super::super::support::Folder;
use super::client::Memory;
use super::kit::{Call, Receiver, until};
use super::signed;
use hundi::clock::Clock;
use hundi::keys::{Keys, Place};
use hundi::store::Store;
use hundi_core::ids::{Connector, MerchantId, PayoutId, Reference};
use hundi_core::payout::{News, Payout, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Until every payout has ended.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(150);
/// Once every payout has ended: a call that a kill has cut off is made again after 15 seconds.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// A look at a store, which may be in use.
pub fn look<T>(folder: &Folder, with: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { with(&Store::open_view(&folder.config(), &Clock::system()).await.unwrap()).await })
}

async fn merchant(store: &Store, name: &str) -> MerchantId {
    store.merchants().await.unwrap().into_iter().find(|merchant| merchant.merchant == name).unwrap().id
}

async fn payouts_in(store: &Store, name: &str) -> Vec<Payout> {
    let mut all = Vec::new();
    let merchant = merchant(store, name).await;
    let mut each = |payout| {
        all.push(payout);
        Ok(())
    };
    store.each_payout(merchant, &mut each).await.unwrap();
    all
}

/// All payouts of a merchant.
pub fn payouts(folder: &Folder, name: &str) -> Vec<Payout> {
    look(folder, async |store| payouts_in(store, name).await)
}

/// One who audits the same store again and again.
pub struct Auditor<'a> {
    folder: &'a Folder,
    merchant: &'a str,
    keys: Keys,
    /// Whose a reference was when it was first looked at.
    owners: BTreeMap<Reference, PayoutId>,
}

impl<'a> Auditor<'a> {
    pub fn new(folder: &'a Folder, merchant: &'a str) -> Auditor<'a> {
        let keys = Keys::read(&folder.config().data.join("hundi.key")).unwrap();
        Auditor { folder, merchant, keys, owners: BTreeMap::new() }
    }

    /// After a restart. Everything that is in the client's log is a payout, once, with the amount and the beneficiary that
    /// were ordered. What the bank has executed (its book, read before) is of a payout of ours, executed once, of this
    /// amount, and neither failed nor cancelled here. Gives back how many promises there are.
    pub fn after_restart(&mut self, memory: &Memory, book: &[Value]) -> usize {
        let (owners, merchant) = (&mut self.owners, self.merchant);
        let (payouts, executed) = look(self.folder, async |store| {
            let executed = executed(store, book, owners).await;
            (payouts_in(store, merchant).await, executed)
        });
        let mut by_order: BTreeMap<&str, &Payout> = BTreeMap::new();
        for payout in &payouts {
            let twice = by_order.insert(payout.order.order.as_str(), payout);
            assert!(twice.is_none(), "{:?} is two payouts: {payout:?} and {twice:?}", payout.order.order);
        }
        let log = memory.log();
        for [order, rupees, mode, account, ours, code] in &log {
            let payout = by_order.get(order.as_str()).unwrap_or_else(|| panic!("{order} ({ours}, {code}) is lost"));
            assert_eq!(payout.order.id.to_string(), *ours, "{order}");
            assert_eq!(payout.order.amount.paise(), rupees.parse::<i64>().unwrap() * 100, "{order}");
            assert_eq!(payout.order.rail.as_str(), mode, "{order}");
            let place = Place { merchant: payout.order.merchant, row: payout.order.id.0, field: "payouts.sealed" };
            let sealed = String::from_utf8(self.keys.open(place, &payout.order.sealed.0).unwrap()).unwrap();
            assert_eq!(sealed.split('\n').next().unwrap(), format!("account:{account}:HDFC0000001"), "{order}");
        }
        let by_id: BTreeMap<PayoutId, &Payout> = payouts.iter().map(|payout| (payout.order.id, payout)).collect();
        for (id, row) in executed {
            let payout = by_id[&id];
            assert_eq!(row["amount_paise"], payout.order.amount.paise(), "payout {id}");
            assert!(!matches!(payout.state, State::Failed | State::Cancelled), "{payout:?} was executed: {row}");
        }
        log.len()
    }
}

/// What the banks executed, by payout: every reference is ours and was executed once at most, and no payout by two. A row
/// is of the sandbox bank unless it names another `connector`.
async fn executed<'b>(
    store: &Store,
    book: &'b [Value],
    owners: &mut BTreeMap<Reference, PayoutId>,
) -> BTreeMap<PayoutId, &'b Value> {
    let mut executed = BTreeMap::new();
    for row in book {
        let executions = row["executions"].as_i64().unwrap();
        assert!(executions <= 1, "executed more than once: {row}");
        let reference = Reference::parse(row["reference"].as_str().unwrap()).unwrap();
        let payout = match owners.get(&reference) {
            Some(payout) => *payout,
            None => {
                let connector = Connector::parse(row["connector"].as_str().unwrap_or("sandbox")).unwrap();
                let owner = store.reference(connector, reference).await.unwrap();
                let owner = owner.unwrap_or_else(|| panic!("the bank has {row}, which we do not know"));
                owners.insert(reference, owner.payout);
                owner.payout
            }
        };
        if executions == 1 {
            let before = executed.insert(payout, row);
            assert!(before.is_none(), "payout {payout} was executed twice: {row} and {before:?}");
        }
    }
    executed
}

/// Waits until the bank will do no more, and every reversal in its book has reached us: a paid payout is not open, so nothing
/// else waits for it, and a bank that called while we were down calls again after up to a minute.
pub fn heard(folder: &Folder, name: &str, book: impl Fn() -> Vec<Value>) {
    until("the bank's reversals", SETTLES_WITHIN, || {
        std::thread::sleep(Duration::from_millis(200));
        let book = book();
        let at_rest = book.iter().all(|row| row["due_at_us"].is_null());
        let theirs = book.iter().filter(|row| row["status"] == "reversed").count();
        let ours = payouts(folder, name).iter().filter(|payout| payout.state == State::Reversed).count();
        (at_rest && theirs == ours).then_some(())
    });
}

/// Our payouts and the bank's book agree: each reference was executed once at most, each payout by one reference at most,
/// and what the bank paid is what we call paid, to the paisa.
pub fn agree(folder: &Folder, book: &[Value], name: &str) -> Vec<Payout> {
    look(folder, async |store| agrees(store, book, name).await)
}

/// The same of an open store.
pub async fn agrees(store: &Store, book: &[Value], name: &str) -> Vec<Payout> {
    let payouts = payouts_in(store, name).await;
    let mut executed = executed(store, book, &mut BTreeMap::new()).await;
    let (mut ours_paise, mut banks_paise) = (0, 0);
    for payout in &payouts {
        let id = payout.order.id;
        let row = executed.remove(&id);
        let status = row.map_or("not executed", |row| row["status"].as_str().unwrap());
        let wanted = match payout.state {
            State::Paid => "paid",
            State::Reversed => "reversed",
            State::Failed | State::Cancelled => "not executed",
            open => panic!("payout {id} is still {}", open.name()),
        };
        assert_eq!(status, wanted, "payout {id}: {payout:?} {row:?}");
        let Some(row) = row else { continue };
        assert_eq!(row["rrn"], *payout.rrn, "payout {id}");
        ours_paise += payout.order.amount.paise();
        banks_paise += row["amount_paise"].as_i64().unwrap();
    }
    assert!(executed.is_empty(), "the bank executed what is no payout: {executed:?}");
    assert_eq!(ours_paise, banks_paise);
    println!("{} payouts and {} transfers agree on {ours_paise} paise", payouts.len(), book.len());
    payouts
}

/// A callback's `webhook-id`, and what it says: whose news, and which.
type Event = (String, (String, String));

/// The events that these payouts owe their merchant: one for each terminal transition, in order.
fn owed(payouts: &[Payout]) -> BTreeMap<String, (String, String)> {
    let events = payouts.iter().flat_map(|payout| {
        let news: &[News] = match payout.state {
            State::Paid => &[News::Success],
            State::Reversed => &[News::Success, News::Reversal],
            State::Failed | State::Cancelled => &[News::Failure],
            open => panic!("payout {} is still {}", payout.order.id, open.name()),
        };
        let id = payout.order.id;
        (1..)
            .zip(news)
            .map(move |(seq, news)| -> Event { (format!("cb_{id}_{seq}"), (id.to_string(), news.as_str().to_owned())) })
    });
    events.collect()
}

/// The receiver was told every terminal transition under one id, and nothing else, each payout's news in order, and all of
/// it signed. Gives back how many transitions there were.
pub fn told(receiver: &Receiver, secret: &str, payouts: &[Payout]) -> u64 {
    let owed = owed(payouts);
    let event = |call: &Call| -> Event {
        let parameter = |name| call.parameter(name).unwrap_or_else(|| panic!("no {name}: {call:?}")).to_owned();
        let id = call.header("webhook-id").unwrap_or_else(|| panic!("no webhook-id: {call:?}")).to_owned();
        (id, (parameter("refId"), parameter("status")))
    };
    let mut missing = owed.clone();
    let mut calls = Vec::new();
    let began = std::time::Instant::now();
    while !missing.is_empty() {
        let waited = began.elapsed();
        assert!(waited < TOLD_WITHIN, "{} events never came, such as {:?}", missing.len(), missing.first_key_value());
        std::thread::sleep(Duration::from_millis(200));
        calls = receiver.calls();
        for call in &calls {
            missing.remove(&event(call).0);
        }
    }
    let mut newest: BTreeMap<String, u32> = BTreeMap::new();
    for call in &calls {
        assert!(signed(call, secret), "{call:?}");
        let (id, said) = event(call);
        assert_eq!(owed.get(&id), Some(&said), "what is no transition was told: {call:?}");
        let seq = id.rsplit('_').next().unwrap().parse().unwrap();
        let before = newest.entry(said.0).or_insert(0);
        assert!(seq >= *before && seq <= *before + 1, "news out of order: {call:?} after {before}");
        *before = seq;
    }
    println!("{} events in {} calls", owed.len(), calls.len());
    owed.len() as u64
}
