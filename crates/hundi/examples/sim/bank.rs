//! The simulated bank: a book of its own, behind the wire of the sandbox bank (docs/sandbox.md).
//!
//! It keeps its contract: a reference is executed once, what comes after `valid_until_us` is refused for ever, a transfer
//! is found by an enquiry 5 s after that at the latest, and a call is repeated until it is heard. Everything else may go
//! wrong: see [`Fault`].

use super::agenda::{Agenda, Event};
use super::dice::Dice;
use super::process::{BANK_SECRET, START, Sent};
use super::statements::{Credit, Lines, Statement};
use super::swarm::{CLOCKS, Fault, Swarm};
use bytes::Bytes;
use http_body_util::Full;
use hundi::http_out::{Method, OutError, OutReply};
use hundi_core::signing;
use hyper::Request;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The banks, as connectors are named. The first carries everything in the runs that have no other.
pub const NAMES: [&str; 2] = ["sandbox", "second"];
/// A connection that stays open and silent is closed after this.
const SILENCE_MS: i64 = 120_000;
const DAY_MS: i64 = 86_400_000;

/// Where a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Accepted,
    Deemed,
    Paid,
    Refused {
        elsewhere: bool,
    },
    /// The account takes no IMPS.
    RailRefused,
    Expired,
    Reversed,
}

/// A line of the bank's book.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub reference: String,
    pub to: String,
    rail: String,
    /// What was asked for, and what was paid.
    pub amount_paise: i64,
    pub paid_paise: i64,
    pub status: Status,
    rrn: String,
    visible_from_ms: i64,
}

/// A decision that the bank takes later.
#[derive(Clone, Debug)]
pub struct Turning {
    pub bank: usize,
    pub reference: String,
    to: Status,
}

/// How a call proves who makes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Proof {
    Signed,
    Unsigned,
    OtherKey,
    Old,
}

/// A call to Hundi's callback address.
#[derive(Clone, Debug)]
pub struct Call {
    pub bank: usize,
    id: u64,
    pub reference: String,
    body: String,
    proof: Proof,
    tries: u32,
}

/// What the book has learnt; whoever keeps the orders judges it.
#[derive(Clone, Debug)]
pub enum Moved {
    Asked { to: String, rail: String },
    Executed { to: String, paise: i64, asked_paise: i64 },
    Reversed { to: String },
}

/// A bank.
#[derive(Debug)]
pub struct Bank {
    number: usize,
    pub book: BTreeMap<String, Transfer>,
    pub lines: Lines,
    /// Up to when its statements have said everything.
    stated_ms: i64,
    /// Until then it refuses everything.
    ill_until_ms: i64,
    dice: Dice,
    calls: u64,
    /// What has become true since it was last taken.
    pub moved: Vec<Moved>,
    /// What was asked against the bank's rules.
    pub wrongs: Vec<String>,
    /// The references that an enquiry has not found.
    unfound: BTreeSet<String>,
    /// The youngest call about each reference that has reached Hundi.
    youngest: BTreeMap<String, u64>,
}

impl Bank {
    pub fn new(number: usize, dice: Dice) -> Bank {
        Bank {
            number,
            book: BTreeMap::new(),
            lines: Lines::default(),
            stated_ms: 0,
            ill_until_ms: 0,
            dice,
            calls: 0,
            moved: Vec::new(),
            wrongs: Vec::new(),
            unfound: BTreeSet::new(),
            youngest: BTreeMap::new(),
        }
    }

    /// Where the bank with this number is.
    pub fn url(number: usize) -> String {
        format!("http://{}.test", NAMES[number])
    }

    /// What the bank has paid and not taken back, as it was ordered, paise.
    pub fn paid_paise(&self) -> i64 {
        let paid = self.book.values().filter(|known| known.status == Status::Paid && known.is_as_ordered());
        paid.map(|known| known.amount_paise).sum()
    }

    /// A request has left Hundi: it arrives, late or never.
    pub fn sent(&mut self, sent: Sent, now_ms: i64, swarm: &mut Swarm, agenda: &mut Agenda) {
        let pays = matches!(sent.method, Method::Post);
        if pays && swarm.strikes(Fault::RequestLost) {
            agenda.add(now_ms + SILENCE_MS, Event::Reply { to: sent.reply, reply: silent() });
            return;
        }
        let late = pays && !clocks_differ(swarm) && swarm.strikes(Fault::RequestLate);
        let takes_ms = if late { self.dice.between(1_000, 9_000) } else { self.dice.between(1, 6) };
        agenda.add(now_ms + takes_ms, Event::BankHears(sent));
    }

    /// A request has arrived: the book says what becomes of it, and the way back what Hundi hears of it. Gives back the
    /// answer as the bank has it.
    pub fn hears(&mut self, sent: Sent, now_ms: i64, swarm: &mut Swarm, agenda: &mut Agenda) -> String {
        let executed = self.executed();
        let (status, body) = match sent.method {
            Method::Post => self.transfer(&sent.body, now_ms, swarm, agenda),
            Method::Get => {
                let reference = sent.url.rsplit('/').next().unwrap_or_default();
                self.find(reference, now_ms, swarm)
            }
        };
        let said = format!("{status} {body}");
        let (takes_ms, reply) = self.way_back(&sent.method, status, &body, self.executed() > executed, swarm);
        agenda.add(now_ms + takes_ms, Event::Reply { to: sent.reply, reply });
        said
    }

    /// How many payments have been made that nobody has judged yet.
    fn executed(&self) -> usize {
        self.moved.iter().filter(|moved| matches!(moved, Moved::Executed { .. })).count()
    }

    /// The order to pay.
    fn transfer(&mut self, body: &Bytes, now_ms: i64, swarm: &mut Swarm, agenda: &mut Agenda) -> (u16, Value) {
        let ask: Value = serde_json::from_slice(body).unwrap_or_default();
        let (Some(reference), Some(amount_paise), Some(valid_until_us)) =
            (ask["reference"].as_str(), ask["amount_paise"].as_i64(), ask["valid_until_us"].as_i64())
        else {
            self.wrongs.push(format!("the bank cannot read the request {ask}"));
            return (400, json!({ "error": "unreadable" }));
        };
        let party = &ask["beneficiary"];
        let to = ["account_number", "vpa", "mobile"].iter().find_map(|key| party[key].as_str()).unwrap_or_default();
        let rail = ask["rail"].as_str().unwrap_or_default();
        if let Some(known) = self.book.get(reference) {
            if (known.to.as_str(), known.amount_paise, known.rail.as_str()) != (to, amount_paise, rail) {
                self.wrongs.push(format!("the reference {reference} is used again with other details"));
                return (409, json!({ "error": "conflict" }));
            }
            return (200, known.reading());
        }
        let mut new = Transfer {
            reference: reference.to_owned(),
            to: to.to_owned(),
            rail: rail.to_owned(),
            amount_paise,
            paid_paise: 0,
            status: Status::Expired,
            rrn: String::new(),
            visible_from_ms: now_ms,
        };
        if START.0 + now_ms * 1_000 > valid_until_us {
            swarm.counters.count(Fault::Expired);
        } else {
            if !clocks_differ(swarm) && swarm.strikes(Fault::Hidden) {
                let latest_ms = (valid_until_us - START.0) / 1_000 + 5_000;
                new.visible_from_ms = latest_ms.min(now_ms + *self.dice.pick(&[1_000, 5_000, 20_000]));
            }
            new.status = self.fate(&new, now_ms, swarm, agenda);
            if new.status == Status::Paid {
                self.execute(&mut new, now_ms, swarm);
                if swarm.strikes(Fault::CallUnsolicited) {
                    self.announce(&new, now_ms, swarm, agenda);
                }
            }
        }
        let reading = new.reading();
        self.moved.push(Moved::Asked { to: new.to.clone(), rail: new.rail.clone() });
        self.book.insert(new.reference.clone(), new);
        (200, reading)
    }

    /// What becomes of a new transfer, now and later.
    fn fate(&mut self, new: &Transfer, now_ms: i64, swarm: &mut Swarm, agenda: &mut Agenda) -> Status {
        let batched = new.rail == "NEFT" || new.rail == "RTGS";
        let mut later = |after_ms: i64, to| {
            let turning = Turning { bank: self.number, reference: new.reference.clone(), to };
            agenda.add(now_ms + after_ms, Event::BankTurns(turning));
        };
        if now_ms < self.ill_until_ms {
            return Status::Refused { elsewhere: true };
        }
        if swarm.strikes(Fault::BankIll) {
            self.ill_until_ms = now_ms + self.dice.between(500, 60_000);
        }
        if swarm.strikes(Fault::Refused) {
            return Status::Refused { elsewhere: false };
        }
        if swarm.strikes(Fault::RefusedHere) {
            return Status::Refused { elsewhere: true };
        }
        if new.rail == "IMPS" && swarm.strikes(Fault::RailRefused) {
            return Status::RailRefused;
        }
        if swarm.strikes(Fault::NeverDecided) {
            return Status::Accepted;
        }
        if swarm.strikes(Fault::Undecided) {
            let to = *self.dice.pick(&[Status::Paid, Status::Refused { elsewhere: false }]);
            later(self.dice.between(DAY_MS / 24, 3 * DAY_MS), to);
            return Status::Accepted;
        }
        if swarm.strikes(Fault::Deemed) {
            let to = *self.dice.pick(&[Status::Paid, Status::Paid, Status::Refused { elsewhere: false }]);
            later(self.dice.between(2_000, DAY_MS / 12), to);
            return Status::Deemed;
        }
        if swarm.strikes(Fault::LateRefusal) {
            later(self.dice.between(200, 60_000), Status::Refused { elsewhere: self.dice.permille(200) });
            return Status::Accepted;
        }
        let reversed = swarm.strikes(Fault::Reversed).then(|| self.dice.between(1, 40_000));
        if batched || swarm.strikes(Fault::Accepted) {
            let after_ms = self.dice.between(50, 20_000);
            later(after_ms, Status::Paid);
            if let Some(reversed_ms) = reversed {
                later(after_ms + reversed_ms, Status::Reversed);
            }
            return Status::Accepted;
        }
        if let Some(reversed_ms) = reversed {
            later(reversed_ms, Status::Reversed);
        }
        Status::Paid
    }

    /// Moves the money.
    fn execute(&mut self, transfer: &mut Transfer, now_ms: i64, swarm: &mut Swarm) {
        transfer.status = Status::Paid;
        transfer.paid_paise = transfer.amount_paise;
        if self.unfound.contains(&transfer.reference) {
            swarm.counters.count(Fault::NotFoundThenPaid);
        }
        if swarm.strikes(Fault::WrongAmount) {
            transfer.paid_paise += *self.dice.pick(&[-1, 1, 100]);
        }
        transfer.rrn = format!("{:012}", self.dice.below(1_000_000_000_000));
        self.lines.add(now_ms, -transfer.paid_paise, &transfer.reference, &transfer.rrn);
        let (to, paise) = (transfer.to.clone(), transfer.paid_paise);
        self.moved.push(Moved::Executed { to, paise, asked_paise: transfer.amount_paise });
    }

    /// A decision is due. What was decided otherwise before stays.
    pub fn turns(&mut self, turning: &Turning, now_ms: i64, swarm: &mut Swarm, agenda: &mut Agenda) {
        let Some(mut known) = self.book.get(&turning.reference).cloned() else { return };
        match (known.status, turning.to) {
            (Status::Accepted | Status::Deemed, Status::Paid) => self.execute(&mut known, now_ms, swarm),
            (Status::Accepted | Status::Deemed, to) => known.status = to,
            (Status::Paid, Status::Reversed) => {
                known.status = Status::Reversed;
                self.lines.add(now_ms, known.paid_paise, &known.reference, &known.rrn);
                self.moved.push(Moved::Reversed { to: known.to.clone() });
            }
            _ => return,
        }
        self.announce(&known, now_ms, swarm, agenda);
        self.book.insert(known.reference.clone(), known);
    }

    /// Answers an enquiry.
    fn find(&mut self, reference: &str, now_ms: i64, swarm: &mut Swarm) -> (u16, Value) {
        let known = self.book.get(reference);
        if let Some(visible) = known.filter(|known| known.visible_from_ms <= now_ms) {
            return (200, visible.reading());
        }
        // What is paid already is shown as paid later.
        let paid = known.is_some_and(|known| known.status == Status::Paid);
        if self.unfound.insert(reference.to_owned()) && paid {
            swarm.counters.count(Fault::NotFoundThenPaid);
        }
        (404, json!({ "reference": reference, "status": "not_found" }))
    }

    /// How long an answer takes, and what of it arrives.
    fn way_back(
        &mut self,
        method: &Method,
        status: u16,
        body: &Value,
        executed: bool,
        swarm: &mut Swarm,
    ) -> (i64, Result<OutReply, OutError>) {
        let whole = |status, body: String| Ok(OutReply { status, body: body.into(), truncated: false });
        if executed && swarm.strikes(Fault::ReplyLost) {
            return (SILENCE_MS, silent());
        }
        if executed && swarm.strikes(Fault::ErrorAfterPaying) {
            return (2, whole(500, json!({ "reference": body["reference"], "status": "refused" }).to_string()));
        }
        let fails = match method {
            Method::Post => Fault::ErrorUnpaid,
            Method::Get => Fault::EnquiryFails,
        };
        if !executed && swarm.strikes(fails) {
            return (2, whole(503, "busy".to_owned()));
        }
        let takes_ms =
            if swarm.strikes(Fault::ReplyLate) { self.dice.between(500, 7_000) } else { self.dice.between(1, 4) };
        if swarm.strikes(Fault::Garbled) {
            let text = body.to_string();
            let garbled = match self.dice.below(4) {
                0 => whole(200, "<html>busy</html>".to_owned()),
                1 => whole(200, text[..text.len() / 2].to_owned()),
                2 => Ok(OutReply { status: 200, body: text.into(), truncated: true }),
                _ => whole(200, json!({ "reference": "OTHERSREFERENCE", "status": "refused" }).to_string()),
            };
            return (takes_ms, garbled);
        }
        (takes_ms, whole(status, body.to_string()))
    }

    /// Calls Hundi about a transfer, and what may go wrong with that.
    fn announce(&mut self, known: &Transfer, now_ms: i64, swarm: &mut Swarm, agenda: &mut Agenda) {
        let after_ms = if swarm.strikes(Fault::CallLate) { self.dice.between(1_000, 3_600_000) } else { 3 };
        let body = known.reading().to_string();
        let call = self.call(&known.reference, body, Proof::Signed);
        if swarm.strikes(Fault::CallTwice) {
            let again_ms = after_ms + self.dice.between(0, 30_000);
            agenda.add(now_ms + again_ms, Event::BankCalls(call.clone()));
        }
        agenda.add(now_ms + after_ms, Event::BankCalls(call));
    }

    /// What others say in the bank's name, or the bank by mistake. Once for each transfer at most.
    pub fn rumours(&mut self, now_ms: i64, swarm: &mut Swarm, agenda: &mut Agenda) {
        let Some(known) = self.any() else { return };
        let after_ms = self.dice.between(1, 5_000);
        let mut lies = Vec::new();
        let says = |status: &str, code: &str| {
            let mut reading = known.reading();
            reading["status"] = json!(status);
            reading["code"] = json!(code);
            reading.to_string()
        };
        let word = *self.dice.pick(&["paid", "refused", "reversed", "accepted"]);
        if swarm.strikes(Fault::CallForged) {
            let proof = *self.dice.pick(&[Proof::Unsigned, Proof::OtherKey]);
            lies.push((says(word, ""), known.reference.clone(), proof));
        }
        if swarm.strikes(Fault::CallReplayed) {
            lies.push((says(word, ""), known.reference.clone(), Proof::Old));
        }
        if known.status == Status::Paid && swarm.strikes(Fault::CallContradicts) {
            // Signed, and wrong: what would give money back is only a reason to ask.
            let word = *self.dice.pick(&["refused", "reversed"]);
            lies.push((says(word, "U09"), known.reference.clone(), Proof::Signed));
        }
        if swarm.strikes(Fault::CallUnknown) {
            let reference = format!("STRANGER{:07}", self.dice.below(10_000_000));
            let reading = json!({ "reference": reference, "status": "paid", "amount_paise": 100 });
            lies.push((reading.to_string(), reference, Proof::Signed));
        }
        for (body, reference, proof) in lies {
            let call = self.call(&reference, body, proof);
            agenda.add(now_ms + after_ms, Event::BankCalls(call));
        }
    }

    /// Writes a statement of what was booked since the last one, or since a little before. `failed` says whether a
    /// beneficiary's merchant knows that he will not be paid: what is said to contradict that is a lie for certain.
    pub fn states(&mut self, now_ms: i64, failed: impl Fn(&str) -> bool, swarm: &mut Swarm, agenda: &mut Agenda) {
        let from_ms = self.stated_ms;
        let lied_ms = (now_ms - 1).max(from_ms);
        let rrn = format!("{:012}", self.dice.below(1_000_000_000_000));
        let debits = self.lines.plain_debits();
        if !debits.is_empty() && swarm.strikes(Fault::StatementDoubles) {
            let (paise, reference) = self.dice.pick(&debits).clone();
            self.lines.lie("paid_twice", lied_ms, paise, &reference, &rrn, &reference);
        }
        let refused = |known: &&Transfer| {
            matches!(known.status, Status::Refused { .. } | Status::RailRefused) && failed(&known.to)
        };
        let refused: Vec<Transfer> = self.book.values().filter(refused).cloned().collect();
        if !refused.is_empty() && swarm.would(Fault::StatementContradicts) {
            let known = self.dice.pick(&refused);
            if !self.lines.lies.iter().any(|lie| lie.reference == known.reference) {
                swarm.counters.count(Fault::StatementContradicts);
                let (paise, reference) = (-known.amount_paise, known.reference.clone());
                self.lines.lie("paid_there_only", lied_ms, paise, &reference, &rrn, &reference);
            }
        }
        if swarm.strikes(Fault::StatementUnknown) {
            let invoice = format!("INVOICE-{}", self.dice.below(1_000_000));
            self.lines.lie("unknown_debit", lied_ms, -100, &rrn, &rrn, &invoice);
        }
        let overlap_ms = *self.dice.pick(&[0, 0, 1_000, 60_000]);
        let reworded = swarm.strikes(Fault::CreditReworded);
        let statement = self.lines.statement(self.number, (from_ms - overlap_ms).max(0), now_ms, reworded);
        // What arrives now is in the next one; until then somebody may book it by hand.
        let known = swarm.strikes(Fault::CreditArrives).then(|| Some(self.dice.below(swarm.merchants)));
        let unknown = swarm.strikes(Fault::CreditUnknown).then_some(None);
        for merchant in known.into_iter().chain(unknown) {
            let utr = format!("SIMB{}{:012}", self.number, self.lines.credits.len() + 1);
            // No operator books so many paise.
            let paise = self.dice.between(1, 5_000) * 100 + 37;
            self.lines.credit(now_ms, Credit { utr, paise, merchant });
        }
        self.stated_ms = now_ms;
        let mut comes = |after_ms: i64, bytes: Vec<u8>| {
            agenda.add(now_ms + after_ms, Event::StatementComes(Statement { bytes, ..statement }));
        };
        let whole = statement.bytes.clone();
        let late_ms = if swarm.strikes(Fault::StatementLate) { self.dice.between(1_000, DAY_MS) } else { 5 };
        if swarm.strikes(Fault::StatementCut) {
            comes(late_ms - 1, whole[..self.dice.below(whole.len())].to_vec());
        }
        if swarm.strikes(Fault::StatementTwice) {
            comes(late_ms + self.dice.between(0, 10_000), whole.clone());
        }
        comes(late_ms, whole);
    }

    fn any(&mut self) -> Option<Transfer> {
        let at = self.dice.below(self.book.len());
        self.book.values().nth(at).cloned()
    }

    fn call(&mut self, reference: &str, body: String, proof: Proof) -> Call {
        self.calls += 1;
        Call { bank: self.number, id: self.calls, reference: reference.to_owned(), body, proof, tries: 0 }
    }

    /// A call of the bank itself reaches a process; perhaps one that was made after it has come before.
    pub fn reaches(&mut self, call: &Call, swarm: &mut Swarm) {
        if call.proves() {
            let youngest = self.youngest.entry(call.reference.clone()).or_default();
            if call.id < *youngest {
                swarm.counters.count(Fault::CallReordered);
            }
            *youngest = call.id.max(*youngest);
        }
    }

    /// Whether what was answered to a call ends it; if not, when it is made again.
    pub fn heard(&mut self, mut call: Call, status: Option<u16>, now_ms: i64, agenda: &mut Agenda) {
        call.tries += 1;
        // Only the bank itself repeats what was not heard.
        let again = call.proof == Proof::Signed && status != Some(200);
        if again {
            let pause_ms = 2_000 * i64::from(call.tries.min(300));
            agenda.add(now_ms + pause_ms, Event::BankCalls(call));
        }
    }
}

impl Transfer {
    /// Whether the amount that was paid is the one that was ordered.
    pub fn is_as_ordered(&self) -> bool {
        self.paid_paise == self.amount_paise
    }

    fn reading(&self) -> Value {
        let (status, code) = match self.status {
            Status::Accepted => ("accepted", ""),
            Status::Deemed => ("deemed", "91"),
            Status::Paid => ("paid", "00"),
            Status::Refused { .. } => ("refused", "52"),
            Status::RailRefused => ("refused", "NOIMPS"),
            Status::Expired => ("refused", "EXPIRED"),
            Status::Reversed => ("reversed", ""),
        };
        let other_rail = self.status == Status::RailRefused;
        let elsewhere = other_rail || self.status == Status::Refused { elsewhere: true };
        let paise =
            if matches!(self.status, Status::Paid | Status::Reversed) { self.paid_paise } else { self.amount_paise };
        json!({
            "reference": self.reference, "status": status, "code": code, "message": format!("{status} by the bank"),
            "rrn": self.rrn, "amount_paise": paise, "retry_elsewhere": elsewhere,
            "retry_other_rail": other_rail,
        })
    }
}

impl Call {
    /// The call as it is made at this moment.
    pub fn request(&self, now_ms: i64) -> Request<Full<Bytes>> {
        let now_s = (START.0 / 1_000 + now_ms) / 1_000;
        let id = format!("call-{}-{}", self.id, self.tries);
        let (secret, at) = match self.proof {
            Proof::Signed => (BANK_SECRET, now_s),
            Proof::Old => (BANK_SECRET, now_s - 301),
            Proof::OtherKey | Proof::Unsigned => (&b"the secret of somebody else here"[..], now_s),
        };
        let mut request = Request::post(format!("/connectors/{}/callback", NAMES[self.bank]));
        if self.proof != Proof::Unsigned {
            request = request
                .header("webhook-id", &id)
                .header("webhook-timestamp", at)
                .header("webhook-signature", signing::sign(secret, &id, at, self.body.as_bytes()));
        }
        // The parts are all of this file.
        request.body(Full::new(Bytes::from(self.body.clone()))).expect("a request")
    }

    /// Whether it proves to be the bank's.
    pub fn proves(&self) -> bool {
        self.proof == Proof::Signed
    }
}

fn silent() -> Result<OutReply, OutError> {
    Err(OutError::Silent("time-out".to_owned()))
}

/// Hundi's clock and the bank's must agree within seconds (docs/operating.md, "Clocks"); while they may not, nothing is so
/// late that only a right clock could tell.
pub fn clocks_differ(swarm: &Swarm) -> bool {
    CLOCKS.iter().any(|fault| swarm.knows(*fault))
}
