//! The merchants' receivers of callbacks: they stall, fail, lie and redirect, and judge what they are told.

use super::agenda::{Agenda, Event};
use super::dice::Dice;
use super::merchants::Merchants;
use super::orders::Told;
use super::process::Sent;
use super::swarm::{Fault, Swarm};
use bytes::Bytes;
use hundi::http_out::{OutError, OutReply};
use hundi_core::signing;
use std::collections::{BTreeMap, BTreeSet};

/// A receiver that is down for long comes back after this.
const DOWN_MS: i64 = 40 * 60 * 1_000;

/// All receivers, and what they have heard.
#[derive(Debug)]
pub struct Receivers {
    dice: Dice,
    /// The newest news of each payout that was heard of.
    newest: BTreeMap<i64, i64>,
    /// What was answered with 2xx, by payout and number.
    pub taken: BTreeSet<(i64, i64)>,
    down_until_ms: BTreeMap<usize, i64>,
    pub heard: u64,
}

/// Where a merchant is called.
pub fn url(merchant: usize) -> String {
    format!("http://m{merchant}.test/hook?shop={merchant}")
}

impl Receivers {
    pub fn new(dice: Dice) -> Receivers {
        Receivers { dice, newest: BTreeMap::new(), taken: BTreeSet::new(), down_until_ms: BTreeMap::new(), heard: 0 }
    }

    /// A call reaches a receiver. The error is the law that it breaks.
    pub fn hears(
        &mut self,
        sent: Sent,
        now_ms: i64,
        merchants: &mut Merchants,
        swarm: &mut Swarm,
        agenda: &mut Agenda,
    ) -> Result<String, String> {
        let call = Heard::read(&sent, merchants)?;
        self.heard += 1;
        let at = merchants
            .orders
            .all
            .iter()
            .position(|order| order.merchant == call.merchant && order.order_id == call.order_id);
        let Some(at) = at else { return Err(format!("I12: merchant {} hears of {}", call.merchant, call.order_id)) };
        merchants.orders.told(at, call.told, Told::Nothing).map_err(|law| format!("{law} (by callback)"))?;
        let newest = self.newest.entry(call.payout).or_insert(call.seq);
        // A process that was paused may be late with an older call.
        if call.seq < *newest && !swarm.knows(Fault::Zombie) {
            return Err(format!("WIRE 16: news {} of payout {} comes after news {newest}", call.seq, call.payout));
        }
        *newest = call.seq.max(*newest);
        let (takes_ms, status) = self.behaves(call.merchant, now_ms, swarm);
        if let Some(200..=299) = status {
            self.taken.insert((call.payout, call.seq));
        }
        let reply = match status {
            Some(status) => Ok(OutReply { status, body: Bytes::new(), truncated: false }),
            None => Err(OutError::Silent("stalled".to_owned())),
        };
        agenda.add(now_ms + takes_ms, Event::Reply { to: sent.reply, reply });
        Ok(format!("{} {:?} {} of {} -> {status:?}", call.merchant, call.told, call.seq, call.order_id))
    }

    /// How long an answer takes, and what it is.
    fn behaves(&mut self, merchant: usize, now_ms: i64, swarm: &mut Swarm) -> (i64, Option<u16>) {
        if swarm.strikes(Fault::ReceiverDown) {
            self.down_until_ms.insert(merchant, now_ms + DOWN_MS);
        }
        if self.down_until_ms.get(&merchant).is_some_and(|until_ms| now_ms < *until_ms) {
            return (1, Some(503));
        }
        if swarm.strikes(Fault::ReceiverStalls) {
            return (120_000, None);
        }
        if swarm.strikes(Fault::ReceiverFails) {
            return (self.dice.between(1, 3_000), Some(*self.dice.pick(&[500, 404, 429])));
        }
        if swarm.strikes(Fault::ReceiverLies) {
            // It has done what it was told, and says that it has not.
            return (2, Some(500));
        }
        if swarm.strikes(Fault::ReceiverRedirects) {
            return (2, Some(302));
        }
        (self.dice.between(1, 80), Some(204))
    }

    /// From now on all of them work.
    pub fn heal(&mut self) {
        self.down_until_ms.clear();
    }
}

/// A callback as it was heard.
struct Heard {
    merchant: usize,
    order_id: String,
    payout: i64,
    seq: i64,
    told: Told,
}

impl Heard {
    fn read(sent: &Sent, merchants: &Merchants) -> Result<Heard, String> {
        let unfit = |what: &str| format!("I10: a callback's {what} cannot be read: {}", sent.url);
        let rest = sent.url.strip_prefix("http://m").ok_or_else(|| unfit("host"))?;
        let (merchant, target) = rest.split_once(".test").ok_or_else(|| unfit("host"))?;
        let merchant: usize = merchant.parse().map_err(|_| unfit("host"))?;
        let parameter = |name: &str| {
            let query = target.split_once('?')?.1;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let header = |name: &str| sent.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let (Some(id), Some(at), Some(signature)) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
        else {
            return Err(unfit("signature"));
        };
        let secret = &merchants.all.get(merchant).ok_or_else(|| unfit("merchant"))?.secret;
        let at: i64 = at.parse().map_err(|_| unfit("timestamp"))?;
        if !signing::verify(secret, id, at, format!("GET {target}").as_bytes(), signature) {
            return Err(format!("the signature of a callback is wrong: {}", sent.url));
        }
        let (payout, seq) = id.strip_prefix("cb_").and_then(|id| id.split_once('_')).ok_or_else(|| unfit("id"))?;
        let told = match parameter("status").as_deref() {
            Some("Success") => Told::Success,
            Some("Pending") => Told::Pending,
            Some("Failure") => Told::Failure,
            Some("Reversal") => Told::Reversal,
            _ => return Err(unfit("status")),
        };
        if parameter("refId").as_deref() != Some(payout) || parameter("shop").as_deref() != Some(&merchant.to_string())
        {
            return Err(unfit("refId"));
        }
        Ok(Heard {
            merchant,
            order_id: parameter("clientTxnRef").ok_or_else(|| unfit("clientTxnRef"))?,
            payout: payout.parse().map_err(|_| unfit("id"))?,
            seq: seq.parse().map_err(|_| unfit("id"))?,
            told,
        })
    }
}
