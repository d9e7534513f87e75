//! The operators: they book bank credits, cancel, suspend, set limits, change tokens, and read lists.

use super::bank;
use super::dice::Dice;
use super::merchants::Merchants;
use super::process::{Outbox, Process};
use super::statements::{Credit, Statement};
use super::swarm::{Fault, Swarm};
use hundi::admin::{self, MerchantChanges};
use hundi::connectors;
use hundi::proposals::{Ask, approve, propose, reject};
use hundi::reconcile::{feed, reconcile};
use hundi_core::command::MerchantState;
use hundi_core::ids::{Actor, Connector};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Cursor;
use tokio::sync::mpsc;

/// What an operator wants.
#[derive(Clone, Debug)]
pub enum Job {
    Fund { merchant: usize, rupees: i64, reference: String },
    FundByHand,
    Cancel,
    Settings,
    NewToken { merchant: usize },
    Revoke { merchant: usize, token: String },
    Hold,
    Release,
    Reconcile,
    Propose,
    Approve { own: bool },
    Reject,
}

/// The operators and what they have done.
#[derive(Debug)]
pub struct Operators {
    dice: Dice,
    /// With the process that does each.
    jobs: BTreeMap<u64, (usize, Job)>,
    next: u64,
    /// The credits that were booked, and those of which nobody knows: merchant and rupees, by reference.
    pub booked: BTreeMap<String, (usize, i64)>,
    pub unsure: BTreeMap<String, (usize, i64)>,
    /// The numbers of the tokens.
    numbers: BTreeMap<String, i64>,
    /// The installation may be on hold.
    maybe_held: bool,
    /// What waits for another person.
    proposed: Vec<i64>,
    /// The credits that lie in suspense, by what the bank calls them.
    suspended: Vec<String>,
    /// What was approved by whoever had proposed it himself.
    pub abused: bool,
    /// It is on hold for certain; whoever asks for its end makes it uncertain.
    pub held: bool,
    /// What was last said of a whole statement that was read.
    pub reconciled: Option<Result<Value, String>>,
}

pub fn operator() -> Actor {
    named("asha")
}

fn named(name: &str) -> Actor {
    Actor::Operator(name.into())
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
            maybe_held: false,
            proposed: Vec::new(),
            suspended: Vec::new(),
            abused: false,
            held: false,
            reconciled: None,
        }
    }

    /// Every bank credit has funded its wallet, once: `funded` is what the journal of a merchant says, and `arrived` what
    /// statements have told of for him; paise.
    pub fn check(&self, merchant: usize, mut funded: Vec<i64>, arrived: Vec<i64>) -> Result<(), String> {
        let of = |credits: &BTreeMap<String, (usize, i64)>| -> Vec<i64> {
            credits.values().filter(|credit| credit.0 == merchant).map(|credit| credit.1 * 100).collect()
        };
        for paise in of(&self.booked).into_iter().chain(arrived) {
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
        } else if swarm.strikes(Fault::Paused) {
            let (bank, pause) = (*self.dice.pick(&bank::NAMES), self.dice.permille(400));
            process.operate(number, outbox, move |app| async move {
                match pause {
                    true => connectors::admin::pause(&app, bank, "why not", &operator()).await,
                    false => connectors::admin::resume(&app, bank, &operator()).await,
                }
            });
            Job::Settings
        } else if self.maybe_held && self.dice.permille(500) {
            self.held = false;
            process.operate(
                number,
                outbox,
                |app| async move { admin::hold_release(&app, "seen", true, &operator()).await },
            );
            Job::Release
        } else if swarm.strikes(Fault::OnHold) {
            self.maybe_held = true;
            process.operate(number, outbox, |app| async move { admin::hold_set(&app, "a restore", &operator()).await });
            Job::Hold
        } else if !self.proposed.is_empty() && self.dice.permille(500) {
            self.decide(number, process, swarm, outbox)
        } else if swarm.strikes(Fault::Proposed) {
            self.propose(number, process, name, outbox)
        } else {
            self.fund(number, process, merchants, merchant, swarm, outbox)
        };
        self.jobs.insert(number, (process.number, job.clone()));
        job
    }

    /// One operator wants something that another must approve.
    fn propose(&mut self, number: u64, process: &Process, merchant: String, outbox: &Outbox) -> Job {
        let amount = format!("{}.00", self.dice.between(1, 300));
        let (connector, utr) = (bank::NAMES[0].to_owned(), format!("UTR{number}"));
        let suspended = (!self.suspended.is_empty()).then(|| self.dice.pick(&self.suspended).clone());
        let ask = match (self.dice.below(3), suspended) {
            (0, Some(reference)) => Ask::Identify { merchant, reference, connector },
            (0 | 1, _) => {
                self.suspended.push(utr.clone());
                Ask::Suspense { amount, reference: utr, connector }
            }
            _ => Ask::Withdraw { merchant, amount, utr, connector },
        };
        process.operate(number, outbox, |app| async move { propose(&app, ask, "as agreed", &operator()).await });
        Job::Propose
    }

    /// Others say yes or no, perhaps several at once, and perhaps it is the same one.
    fn decide(&mut self, number: u64, process: &Process, swarm: &mut Swarm, outbox: &Outbox) -> Job {
        let at = self.dice.below(self.proposed.len());
        let id = self.proposed[at];
        if swarm.strikes(Fault::Rejected) {
            self.proposed.swap_remove(at);
            process.operate(number, outbox, move |app| async move { reject(&app, id, "no", &named("meera")).await });
            return Job::Reject;
        }
        let own = swarm.strikes(Fault::ApprovesHisOwn);
        let many = swarm.strikes(Fault::ApprovedByMany);
        if !own {
            self.proposed.swap_remove(at);
        }
        let who = if own { " Asha" } else { "ravi" };
        process.operate(number, outbox, move |app| async move {
            let (first, second) = (named(who), named("meera"));
            match many {
                false => approve(&app, id, &first).await,
                true => tokio::join!(approve(&app, id, &first), approve(&app, id, &second)).0,
            }
        });
        Job::Approve { own }
    }

    /// Two of them say what became of a payout that waits for them.
    pub fn declare(&self, process: &Process, payout: &str, paid: bool) -> Result<Value, String> {
        let (app, payout) = (std::sync::Arc::clone(&process.app), payout.to_owned());
        let ask = match paid {
            true => Ask::DeclarePaid { payout, utr: "UTR".to_owned(), reference: None },
            false => Ask::DeclareFailed { payout },
        };
        process.ask(async {
            let proposed = propose(&app, ask, "the bank has said so", &operator()).await?;
            approve(&app, proposed["proposal_id"].as_i64().unwrap_or(0), &named("ravi")).await
        })
    }

    /// Reads a statement.
    pub fn reconcile(&mut self, process: &Process, statement: Statement, outbox: &Outbox) {
        let number = self.next;
        self.next += 1;
        let (to, mut fed) = mpsc::channel(1 << 16);
        // The reader blocks, so it has a thread, which ends before anything else happens.
        let reader = std::thread::spawn(move || feed(Cursor::new(statement.bytes), "statement.xml", None, &to));
        reader.join().expect("the reader of a statement does not panic");
        process.operate(number, outbox, move |app| async move {
            let connector = Connector::parse(bank::NAMES[statement.bank]).expect("a name");
            reconcile(&app, &mut fed, connector, &operator()).await.map(|report| report.document())
        });
        self.jobs.insert(number, (process.number, Job::Reconcile));
    }

    /// There is no hold any more, whatever is still heard of one that was set before.
    pub fn released(&mut self) {
        (self.maybe_held, self.held) = (false, false);
        self.jobs.retain(|_, (_, job)| !matches!(job, Job::Hold));
    }

    /// What a process was asked to do and has not done yet.
    pub fn unfinished(&self, process: usize) -> Option<&Job> {
        self.jobs.values().find(|(by, _)| *by == process).map(|(_, job)| job)
    }

    /// A process is gone, and with it what it was doing.
    pub fn lost(&mut self, process: usize) {
        self.jobs.retain(|_, (by, job)| *by != process || !matches!(job, Job::Hold | Job::Release));
    }

    /// Books by hand what has arrived at the first bank, before its statement tells of it or after.
    pub fn fund_by_hand(&mut self, process: &Process, merchants: &Merchants, credit: &Credit, outbox: &Outbox) {
        let Some(merchant) = credit.merchant else { return };
        let number = self.next;
        self.next += 1;
        let (name, utr) = (merchants.all[merchant].name.clone(), credit.utr.clone());
        let rupees = format!("{}.{:02}", credit.paise / 100, credit.paise % 100);
        process.operate(number, outbox, move |app| async move {
            admin::fund(&app, &name, &rupees, &utr, bank::NAMES[0], &operator()).await
        });
        self.jobs.insert(number, (process.number, Job::FundByHand));
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
            admin::fund(&app, &name, &format!("{rupees}.00"), &credit, bank::NAMES[0], &operator()).await
        });
        Job::Fund { merchant, rupees, reference }
    }

    /// Revokes a token that was replaced.
    pub fn revoke(&mut self, process: &Process, merchant: usize, token: String, outbox: &Outbox) {
        let number = self.next;
        self.next += 1;
        let id = self.numbers.get(&token).copied().unwrap_or(0);
        process.operate(number, outbox, move |app| async move { admin::token_revoke(&app, id, &operator()).await });
        self.jobs.insert(number, (process.number, Job::Revoke { merchant, token }));
    }

    /// What came of a job: perhaps a token that is to be revoked now.
    pub fn done(
        &mut self,
        number: u64,
        result: &Result<Value, String>,
        now_ms: i64,
        merchants: &mut Merchants,
    ) -> Option<(usize, String)> {
        let (_, job) = self.jobs.remove(&number)?;
        let releases = self.jobs.values().any(|(_, job)| matches!(job, Job::Release));
        match job {
            Job::Hold => self.held = result.is_ok() && !releases,
            Job::Release => self.maybe_held = false,
            Job::Reconcile => self.reconciled = Some(result.clone()),
            Job::Propose => {
                let id = result.as_ref().ok().and_then(|proposed| proposed["proposal_id"].as_i64());
                self.proposed.extend(id);
            }
            Job::Approve { own: true } => self.abused |= result.is_ok(),
            _ => {}
        }
        let answer = result.as_ref().ok()?;
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
            Job::FundByHand | Job::Cancel | Job::Settings | Job::Hold | Job::Release | Job::Reconcile => {}
            Job::Propose | Job::Approve { .. } | Job::Reject => {}
        }
        None
    }
}
