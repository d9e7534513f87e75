//! A call through the router into a store: what is said is true, and what is accepted is what was sent.
//!
//! One world serves all inputs, so an OrderID may be known from an earlier one; each input is judged by what the store knew
//! before it. The models of `fields.rs` say what was sent.

use super::fields::{Held, read_form, read_json};
use super::first;
use crate::sqlite::support::World;
use hundi::worker;
use hundi_core::ids::{MerchantId, OrderId};
use hundi_core::party::Beneficiary;
use hundi_core::payout::{Payout, State};
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use tokio::runtime::{Builder, Runtime};

const CALLS: [&str; 6] = [
    "/PayoutBankTransafer",
    "/payoutbanktransfer",
    "/PayoutTransactionStatusByClientRef",
    "/PayoutTransactionStatusByOrderID",
    "/RaiseComplaint",
    "/UserWalletBalance",
];
const MERCHANT: MerchantId = MerchantId(1);
/// A new world after so many inputs.
const INPUTS_MAX: u32 = 20_000;

struct Stage {
    world: Option<World>,
    runtime: Runtime,
    inputs: u32,
}

thread_local! {
    // What a thread leaves behind at its end could not find its runtime any more.
    static STAGE: RefCell<ManuallyDrop<Option<Stage>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Ends the world of this thread, and its store.
#[cfg(test)]
pub fn close() {
    STAGE.with_borrow_mut(|stage| drop(stage.take()));
}

pub fn json(data: &[u8]) {
    play(data, "application/json");
}

pub fn form(data: &[u8]) {
    play(data, "application/x-www-form-urlencoded");
}

/// The first byte chooses the call; the rest is the body. The token is in the query string.
fn play(mut data: &[u8], content_type: &str) {
    let call = CALLS[usize::from(first(&mut data)) % CALLS.len()];
    let read = if content_type.contains("json") { read_json } else { read_form };
    STAGE.with_borrow_mut(|stage| {
        if stage.as_ref().is_some_and(|stage| stage.inputs > INPUTS_MAX) {
            stage.take();
        }
        let stage = stage.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
            let world = runtime.block_on(World::with(|config| config.api.answer_within_ms = 10));
            Stage { world: Some(world), runtime, inputs: 0 }
        });
        stage.inputs += 1;
        let world = stage.world.as_ref().expect("a world");
        stage.runtime.block_on(judge(world, call, content_type, data, &Sent::of(read(data))));
    });
}

impl Drop for Stage {
    /// What a world waits for is the runtime's.
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.world.take();
    }
}

/// What a body says: the fields that are given once, as texts.
struct Sent {
    readable: bool,
    /// Whether it brings a token of its own, which is not the one in the query string.
    token: bool,
    fields: HashMap<String, String>,
}

impl Sent {
    fn of(pairs: Option<Vec<(String, Held)>>) -> Sent {
        let readable = pairs.is_some();
        let mut sent: HashMap<String, Option<String>> = HashMap::new();
        for (name, held) in pairs.unwrap_or_default() {
            let text = match held {
                Held::Text(text) if !text.is_empty() => Some(text),
                _ => None,
            };
            sent.entry(name.to_ascii_lowercase()).and_modify(|known| *known = None).or_insert(text);
        }
        let token = sent.contains_key("token");
        Sent { readable, token, fields: sent.into_iter().filter_map(|(name, text)| Some((name, text?))).collect() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

async fn judge(world: &World, call: &str, content_type: &str, body: &[u8], sent: &Sent) {
    let store = &world.app.store;
    let order = sent.get("orderid").and_then(OrderId::parse);
    let find = async || match &order {
        Some(order) => store.payout_by_order(MERCHANT, order).await.expect("a store that can be read"),
        None => None,
    };
    let before = find().await;
    let path = format!("{call}?token={}", world.token);
    let answer = world.call_bytes(("127.0.0.1", "POST"), &path, &[("content-type", content_type)], body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    if answer.body.starts_with('"') {
        let rupees = answer.body.trim_matches('"');
        assert!(call == CALLS[5] && rupees.len() >= 4 && rupees.as_bytes()[rupees.len() - 3] == b'.', "{rupees}");
        return;
    }
    let (said, code) = (answer.json(), answer.code());
    assert!((0..=6).contains(&code), "{said}");
    let message = said["Message"].as_str().expect("a message");
    assert!(!message.contains("not known. Wait") && !message.contains("operator"), "a failure of ours: {said}");
    // What cannot be read is said to be unreadable, and nothing else is.
    assert_eq!(message.contains("cannot be read"), !sent.readable, "{said}");
    let after = find().await;
    let orders = |payout: &Option<Payout>| payout.as_ref().map(|payout| payout.order.clone());
    if code == 3 {
        assert!(sent.token && orders(&after) == orders(&before), "{said}");
        return;
    }
    if !call.to_ascii_lowercase().starts_with("/payoutbank") {
        assert_eq!(orders(&after), orders(&before));
        return;
    }
    match (&before, &after) {
        (Some(known), _) => {
            assert_eq!(orders(&after), orders(&before));
            // A known OrderID: told how it stands, or that this was something else.
            assert!(code == 5 || said["Data"]["OrderID"] == known.order.id.to_string(), "{said}");
        }
        (None, Some(stored)) => {
            assert_eq!(said["Data"]["OrderID"], stored.order.id.to_string(), "{said}");
            assert_eq!(said["Data"]["ClientOrderID"], sent.get("orderid").unwrap_or_default());
            assert_eq!(said["Data"]["BeneficiaryName"], sent.get("beneficiaryname").unwrap_or_default());
            stored_as_sent(world, stored, sent);
        }
        (None, None) => assert!(said["Data"].is_null() && code != 1 && code != 2, "{said}"),
    }
}

fn stored_as_sent(world: &World, stored: &Payout, sent: &Sent) {
    let order = &stored.order;
    let text = |name: &str| sent.get(name).unwrap_or_else(|| panic!("{name} was not sent"));
    assert_eq!(order.order.as_str(), text("orderid"));
    assert_eq!(format!("{}00", text("amount").trim_start_matches('0')), order.amount.paise().to_string());
    assert_eq!(order.rail.as_str(), text("transfermode").to_ascii_uppercase());
    assert_eq!(order.name.as_str(), text("beneficiaryname"));
    match worker::beneficiary(&world.app, stored).expect("a beneficiary that can be unsealed") {
        Beneficiary::Account { number, ifsc } => {
            assert_eq!(number.as_str(), text("accountno"));
            assert_eq!(ifsc.as_str(), text("ifsccode").to_ascii_uppercase());
        }
        Beneficiary::Vpa(vpa) => assert_eq!(vpa.as_str(), text("upiid")),
        Beneficiary::Mobile(mobile) => {
            assert_eq!(sent.get("upiid"), None);
            assert!(text("beneficiaryphoneno").ends_with(mobile.as_str()));
        }
    }
    let total = order.amount.paise() + stored.fee_paise + stored.gst_paise;
    assert!(stored.state == State::Failed || total <= 10_00_000_00, "paid for with money that was not there");
}
