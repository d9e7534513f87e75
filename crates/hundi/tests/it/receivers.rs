//! Receivers that are slow, down, or never finish: the other merchants hear as soon as ever, and when a receiver is well
//! again it gets everything.

use super::ENGINE;
use super::support::{Behaviour, Received, World, operator};
use crate::score::score;
use hundi::admin::{self, MerchantChanges};
use hundi_core::schedule::{HOUR, MINUTE, SECOND};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MERCHANTS: usize = 10;
const ROUNDS: usize = 60;

/// A fifth of the receivers never finish, and two more are slow and down.
fn ill(merchant: usize) -> Option<Behaviour> {
    match merchant {
        2 | 7 => Some(Behaviour::Hangs),
        4 => Some(Behaviour::AnswersAfter(Duration::from_secs(8), 200)),
        5 => Some(Behaviour::Answers(500)),
        _ => None,
    }
}

fn number(call: &Received) -> usize {
    call.url["http://m".len()..].split('.').next().unwrap().parse().unwrap()
}

fn id(call: &Received) -> String {
    call.headers.iter().find(|(name, _)| *name == "webhook-id").unwrap().1.clone()
}

/// A world of merchants who all pay at the same pace.
struct Market {
    world: World,
    tokens: Vec<String>,
    /// When each order was answered, by merchant and order.
    answered: BTreeMap<String, i64>,
}

impl Market {
    async fn new() -> Market {
        let world = World::new().await;
        let mut tokens = Vec::new();
        for merchant in 0..MERCHANTS {
            let name = format!("m{merchant}");
            admin::merchant_add(&world.app, &name, "*:5.00", &operator()).await.unwrap();
            admin::fund(&world.app, &name, "100000.00", &name, "sandbox", &operator()).await.unwrap();
            let callback_url = Some(format!("http://m{merchant}.test/cb"));
            let changes = MerchantChanges { callback_url, ..MerchantChanges::default() };
            admin::merchant_set(&world.app, &name, changes, &operator()).await.unwrap();
            tokens.push(world.new_token(&name, "127.0.0.1").await);
        }
        Market { world, tokens, answered: BTreeMap::new() }
    }

    /// Each merchant pays once in a while, one after the other.
    async fn trade(&mut self, rounds: std::ops::Range<usize>) {
        for round in rounds {
            for (merchant, token) in self.tokens.iter().enumerate() {
                let order = format!("M{merchant}-{round}");
                let body = json!({
                    "Token": token, "Amount": "10", "TransferMode": "IMPS", "AccountNo": "1234567890", "IFSCCode":
                    "HDFC0000001", "BeneficiaryName": "RUPESH KUMAR", "OrderID": order,
                });
                let answer = self.world.post("/PayoutBankTransafer", &body.to_string()).await;
                assert_eq!(answer.code(), 1, "{}", answer.body);
                self.answered.insert(order, self.world.app.clock.now().0);
                self.world.pass(Duration::from_millis(20)).await;
            }
        }
    }

    /// Lives through a time in leaps, half a minute after each.
    async fn live(&self, time: i64) {
        const LEAP: i64 = 10 * MINUTE;
        for _ in 0..time / LEAP {
            tokio::time::advance(Duration::from_micros(LEAP.unsigned_abs() - 30_000_000)).await;
            self.world.pass(Duration::from_secs(30)).await;
        }
    }

    /// How long after its answer the calls of those who are always well came, the longest but one in a hundred.
    fn slowest_of_the_well(&self) -> i64 {
        let mut waits: Vec<i64> = Vec::new();
        for call in self.world.receivers.calls().iter().filter(|call| ill(number(call)).is_none()) {
            let order = call.url.split("clientTxnRef=").nth(1).unwrap().split('&').next().unwrap();
            // Who pays again and again is called again and again; the first calls find out how well a receiver is.
            let round: usize = order.split('-').nth(1).unwrap().parse().unwrap();
            if round >= ROUNDS / 2 {
                waits.push(call.at.0 - self.answered[order]);
            }
        }
        assert_eq!(waits.len(), (MERCHANTS - 4) * ROUNDS / 2, "calls of those who are well");
        waits.sort_unstable();
        waits[waits.len() * 99 / 100]
    }
}

#[tokio::test(start_paused = true)]
async fn receivers_that_are_ill_harm_nobody_and_miss_nothing() {
    let mut market = Market::new().await;
    market.trade(0..ROUNDS).await;
    let baseline = market.slowest_of_the_well();

    let mut market = Market::new().await;
    market.world.receivers.behave(|call| ill(number(call)).unwrap_or(Behaviour::Answers(204)));
    market.trade(0..ROUNDS).await;
    let beside = market.slowest_of_the_well();
    println!("p99 of those who are well: {} ms alone, {} ms beside the others", baseline / 1_000, beside / 1_000);
    assert!(beside < 2 * baseline.max(SECOND / 100), "{beside} us beside those that are ill, {baseline} us alone");

    // They stay so for half a day, and then they are well again.
    market.live(12 * HOUR).await;
    market.world.receivers.behave(|_| Behaviour::Answers(204));
    let recovered = market.world.app.clock.now();
    market.live(14 * HOUR).await;
    let calls = market.world.receivers.calls();
    let delivered: BTreeSet<String> = calls
        .iter()
        .filter(|call| ill(number(call)).is_none() || call.at >= recovered || number(call) == 4)
        .map(id)
        .collect();
    assert_eq!(delivered.len(), MERCHANTS * ROUNDS, "everything is delivered in the end");
    // The longest pause that anything waits for by then is ten hours and a tenth.
    assert!(calls.last().unwrap().at.0 - recovered.0 < 12 * HOUR);
    let waiting = market.world.number("SELECT COUNT(*) FROM callbacks WHERE state <> 2").await;
    assert_eq!(waiting, 0);
    score(25, &format!("callbacks, all delivered after recovery, {ENGINE:?}"), delivered.len() as u64);
}
