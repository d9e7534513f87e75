//! The operators: they book bank credits, cancel, suspend, set limits, change tokens, and read lists.

use super::bank;
use super::dice::Dice;
use super::merchants::Merchants;
use super::process::{Outbox, Process};
use super::swarm::{Fault, Swarm};
use hundi::admin::{self, MerchantChanges};
use hundi_core::command::MerchantState;
use hundi_core::ids::Actor;
use serde_json::Value;
use std::collections::BTreeMap;

/// What an operator wants.
#[derive(Clone, Debug)]
pub enum Job {
    Fund { merchant: usize, rupees: i64, reference: String },
    Cancel,
    Settings,
    NewToken { merchant: usize },
    Revoke { merchant: usize, token: String },
}

/// The operators and what they have done.
#[derive(Debug)]
pub struct Operators {
    dice: Dice,
    jobs: BTreeMap<u64, Job>,
    next: u64,
    /// The credits that were booked, and those of which nobody knows: merchant and rupees, by reference.
    pub booked: BTreeMap<String, (usize, i64)>,
    pub unsure: BTreeMap<String, (usize, i64)>,
    /// The numbers of the tokens.
    numbers: BTreeMap<String, i64>,
}

pub fn operator() -> Actor {
    Actor::Operator("asha".into())
}

impl Operators {
    pub fn new(dice: Dice) -> Operators {
        Operators {
            dice,
            jobs: BTreeMap::new(),
            next: 0,
            booked: BTreeMap::new(),
            unsure: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// Every bank credit has funded its wallet, once: `funded` is what the journal of a merchant says, paise.
    pub fn check(&self, merchant: usize, mut funded: Vec<i64>) -> Result<(), String> {
        let of = |credits: &BTreeMap<String, (usize, i64)>| -> Vec<i64> {
            credits.values().filter(|credit| credit.0 == merchant).map(|credit| credit.1 * 100).collect()
        };
        for paise in of(&self.booked) {
            match funded.iter().position(|known| *known == paise) {
                Some(at) => {
                    funded.swap_remove(at);
                }
                None => {
                    return Err(format!("a credit of {paise} paise for merchant {merchant} was booked and is gone"));
                }
            }
        }
        // Of these nobody was told.
        let mut unsure = of(&self.unsure);
        for paise in funded {
            match unsure.iter().position(|known| *known == paise) {
                Some(at) => {
                    unsure.swap_remove(at);
                }
                None => {
                    return Err(format!("merchant {merchant} was funded with {paise} paise that no bank has credited"));
                }
            }
        }
        Ok(())
    }

    /// Remembers a token's number.
    pub fn token(&mut self, answer: &Value) -> String {
        let token = answer["token"].as_str().unwrap_or_default().to_owned();
        self.numbers.insert(token.clone(), answer["token_id"].as_i64().unwrap_or(0));
        token
    }

    /// Has something done by a process.
    pub fn act(&mut self, process: &Process, merchants: &Merchants, swarm: &mut Swarm, outbox: &Outbox) -> Job {
        let merchant = self.dice.below(merchants.all.len());
        let name = merchants.all[merchant].name.clone();
        let number = self.next;
        self.next += 1;
        let job = if swarm.strikes(Fault::Cancelled) {
            let open: Vec<String> = merchants.orders.all.iter().filter_map(|order| order.ours.clone()).collect();
            let payout = if open.is_empty() { "1".to_owned() } else { self.dice.pick(&open).clone() };
            process.operate(
                number,
                outbox,
                |app| async move { admin::payout_cancel(&app, &payout, &operator()).await },
            );
            Job::Cancel
        } else if swarm.strikes(Fault::Suspended) {
            let state = *self.dice.pick(&[MerchantState::Suspended, MerchantState::Active, MerchantState::Active]);
            process.operate(number, outbox, move |app| async move {
                admin::merchant_state(&app, &name, state, &operator()).await
            });
            Job::Settings
        } else if swarm.strikes(Fault::Limited) {
            let limit = |dice: &mut Dice, most| Some(dice.pick(&["none", "none", most]).to_string());
            let (payout_most, day_most) = (limit(&mut self.dice, "4000.00"), limit(&mut self.dice, "300000.00"));
            let changes = MerchantChanges { payout_most, day_most, ..Default::default() };
            process.operate(number, outbox, move |app| async move {
                admin::merchant_set(&app, &name, changes, &operator()).await
            });
            Job::Settings
        } else if swarm.strikes(Fault::TokenRevoked) {
            process.operate(number, outbox, move |app| async move {
                admin::token_new(&app, &name, "127.0.0.1", None, &operator()).await
            });
            Job::NewToken { merchant }
        } else {
            self.fund(number, process, merchants, merchant, swarm, outbox)
        };
        self.jobs.insert(number, job.clone());
        job
    }

    fn fund(
        &mut self,
        number: u64,
        process: &Process,
        merchants: &Merchants,
        merchant: usize,
        swarm: &mut Swarm,
        outbox: &Outbox,
    ) -> Job {
        let unsure = self.unsure.iter().next().map(|(reference, credit)| (reference.clone(), *credit));
        let booked: Vec<(String, (usize, i64))> =
            self.booked.iter().map(|(key, credit)| (key.clone(), *credit)).collect();
        let (reference, (merchant, rupees)) = if let Some(unsure) = unsure {
            unsure
        } else if !booked.is_empty() && swarm.strikes(Fault::FundedTwice) {
            self.dice.pick(&booked).clone()
        } else {
            (format!("CREDIT{number}"), (merchant, self.dice.between(1, 50_000)))
        };
        if !self.booked.contains_key(&reference) {
            self.unsure.insert(reference.clone(), (merchant, rupees));
        }
        let (name, credit) = (merchants.all[merchant].name.clone(), reference.clone());
        process.operate(number, outbox, move |app| async move {
            admin::fund(&app, &name, &format!("{rupees}.00"), &credit, bank::NAME, &operator()).await
        });
        Job::Fund { merchant, rupees, reference }
    }

    /// Revokes a token that was replaced.
    pub fn revoke(&mut self, process: &Process, merchant: usize, token: String, outbox: &Outbox) {
        let number = self.next;
        self.next += 1;
        let id = self.numbers.get(&token).copied().unwrap_or(0);
        process.operate(number, outbox, move |app| async move { admin::token_revoke(&app, id, &operator()).await });
        self.jobs.insert(number, Job::Revoke { merchant, token });
    }

    /// What came of a job: perhaps a token that is to be revoked now.
    pub fn done(
        &mut self,
        number: u64,
        result: &Result<Value, String>,
        now_ms: i64,
        merchants: &mut Merchants,
    ) -> Option<(usize, String)> {
        let (job, answer) = (self.jobs.remove(&number)?, result.as_ref().ok()?);
        match job {
            Job::Fund { merchant, rupees, reference } => {
                self.unsure.remove(&reference);
                self.booked.insert(reference, (merchant, rupees));
            }
            Job::NewToken { merchant } => {
                let token = self.token(answer);
                let old = std::mem::replace(&mut merchants.all[merchant].token, token);
                return Some((merchant, old));
            }
            Job::Revoke { merchant, token } => merchants.all[merchant].revoked.push((token, now_ms)),
            Job::Cancel | Job::Settings => {}
        }
        None
    }
}
