//! The surroundings of the production code as a state machine for the checker: what processes, network and banks may do.
//!
//! What [`Bounds`] does not name may happen as often as it likes: crashes, pauses, lost, old and repeated messages, forged
//! callbacks, starts that come too late, reversals.

use crate::common::{NOON, connector, merchant, order, references, reloaded, rules};
use crate::laws;
use hundi_core::command::{
    CALLED, CallbackWish, Command, Decision, Outcome, Rules, Snapshot, Source, Transition, WAITING, Word, decide,
};
use hundi_core::ids::{Actor, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::Amount;
use hundi_core::payout::{self, Payout};
use hundi_core::rails::Rail;
use hundi_core::routing::next_connector;
use hundi_core::schedule::{HOUR, MINUTE, SECOND, Timestamp};
use stateright::{Model, Property};
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

pub const MERCHANT: MerchantId = MerchantId(1);
pub const FUNDED_PAISE: i64 = 1_000_00;
/// The processes all do the same.
const PROCESSES: usize = 2;
const SEND_WITHIN: i64 = 10 * SECOND;
const ENQUIRE_AFTER: i64 = 2 * SECOND;
const LEASE: i64 = 20 * SECOND;

/// What somebody could have got wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// The request is written before the start is committed.
    SendsUncommitted,
    /// What is found in Sending is sent again.
    SendsAgainAfterACrash,
    /// A time-out counts as a failure, so that another attempt begins under another reference.
    SilenceIsFailure,
    /// "Not found" is final at any time.
    NotFoundIsFinal,
    /// "Not found" is judged by the time at which it is recorded and not by that of the question.
    NotFoundIsJudgedWhenRecorded,
    /// The bank of which "not found" is final executes late requests all the same.
    BankTakesWhatIsLate,
    /// Whoever calls us is believed, also when he says that the money was not paid.
    CallbacksAreTrusted,
    /// That no byte left us is believed whichever start it is said of.
    UnwrittenByAnyStart,
    /// Banks are not asked.
    NobodyAsks,
}

/// What a bank says of a reference, and what may be taken for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Said {
    Accepted,
    Paid,
    Refused,
    RefusedElsewhere,
    Reversed,
    NotFound,
    Silent,
    NotWritten,
    NotExecuted,
}

const SAID: [Said; 5] = [Said::Accepted, Said::Paid, Said::Refused, Said::RefusedElsewhere, Said::Reversed];

/// An attempt: a reference, its request, and what the bank made of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    pub payout: usize,
    pub number: u32,
    /// The bank's place in [`Rules::connectors`].
    pub bank: usize,
    pub reference: Reference,
    /// How often a request was written, and the `send_before` of the newest. What is written may arrive at any time,
    /// again and again, or never.
    pub written: u32,
    wire: Timestamp,
    pub standing: Option<Said>,
    /// Everything that it has ever been, as bits: an old word may still be under way.
    said: u32,
}

impl Attempt {
    pub fn was(&self, said: Said) -> bool {
        self.said & 1 << said as u32 != 0
    }

    fn becomes(&mut self, said: Said) {
        self.standing = Some(said);
        self.said |= 1 << said as u32;
    }
}

/// How a word was come by; an attempt's start is told by its `send_before`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum By {
    Reply(Timestamp),
    Enquiry(Timestamp),
}

/// What a process holds in its memory while it works on a payout. It may stop in each of these, for any time, and die.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Process {
    Idle,
    /// It has seen that a payout is queued, with so many attempts, and will start it over this bank.
    Claiming(usize, u32, usize),
    /// Its start is committed: attempt, `send_before`.
    Started(usize, Timestamp),
    /// It has written the request.
    Waiting(usize, Timestamp),
    /// It has seen that a bank is to be asked about a payout.
    Enquiring(usize),
    /// Its claim to ask is committed: attempt, and when it read the clock before asking.
    Asking(usize, Timestamp),
    /// It has a word to record.
    Recording(usize, Said, By),
}

/// How often something may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Left {
    /// Questions to banks.
    pub enquiries: u32,
    /// Requests of which no byte is written although there is time.
    pub unwritten: u32,
    /// Words that are recorded again, because nobody heard that they were.
    pub repeats: u32,
}

/// What keeps the model finite.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub payouts: usize,
    pub attempts: u32,
    /// With the first bank "not found" is final after five seconds, with the second never.
    pub banks: usize,
    pub left: Left,
}

#[derive(Clone)]
pub struct State {
    pub now: Timestamp,
    pub store: Arc<Snapshot>,
    pub attempts: Vec<Attempt>,
    processes: [Process; PROCESSES],
    left: Left,
    /// The kinds of exceptions that were raised, as bits.
    pub alarms: u32,
}

/// Whether a process hears that its transaction is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    Yes,
    No,
}

/// One step. Processes, payouts and attempts by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Time goes on to the next moment that makes a difference.
    Tick,
    Look(usize, usize),
    Commit(usize, Heard),
    Write(usize),
    FailToWrite(usize),
    Hear(usize, Said),
    TimeOut(usize),
    Ask(usize),
    Crash(usize),
    Receive(usize, Said),
    Decide(usize, Said),
    Callback(usize, Said),
    ForgedCallback(usize),
    Cancel(usize),
    Expire(usize),
}

/// The model.
pub struct Protocol {
    bounds: Bounds,
    wrong: Option<Wrong>,
    pub rules: Rules,
    /// States of which it is known that they end well ([`laws::ends`]).
    pub end_well: Mutex<HashSet<u64>>,
}

impl Protocol {
    pub fn new(bounds: Bounds, wrong: Option<Wrong>) -> Protocol {
        // Nothing depends on how old a payout is: the pause after what was not written does not grow, and what was never
        // started may expire at any time.
        let mut rules = Rules { first_lease_us: SECOND, resend_pause_us: 10 * MINUTE, ..rules(bounds.attempts, 0) };
        rules.connectors.truncate(bounds.banks);
        if wrong == Some(Wrong::NotFoundIsFinal) {
            rules.connectors[0].not_found_final_us = Some(-HOUR);
        }
        Protocol { bounds, wrong, rules, end_well: Mutex::default() }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// Whether a bank executes what reaches it after its `send_before`. The second bank promises nothing, so its "not
    /// found" never is final.
    pub fn takes_what_is_late(&self, attempt: &Attempt) -> bool {
        self.rules.connectors[attempt.bank].not_found_final_us.is_none() || self.is(Wrong::BankTakesWhatIsLate)
    }

    /// Whether an attempt may yet be paid.
    pub fn may_be_paid(&self, state: &State, index: usize) -> bool {
        let attempt = &state.attempts[index];
        let about =
            |process: &Process| matches!(process, Process::Started(i, until) if *i == index && state.now < *until);
        match attempt.standing {
            None if attempt.written > 0 && (state.now <= attempt.wire || self.takes_what_is_late(attempt)) => true,
            None => state.processes.iter().any(about),
            Some(standing) => standing == Said::Accepted,
        }
    }

    /// Runs a command through the production code, as the writer does.
    fn decide(&self, state: &mut State, command: &Command) -> Option<Transition> {
        let mut snapshot = reloaded(&state.store);
        let Decision::Done(done) = decide(&mut snapshot, &self.rules, command, state.now) else { return None };
        state.store = Arc::new(snapshot);
        state.alarms |= done.exception.as_ref().map_or(0, |exception| 1 << exception.kind as u32);
        Some(*done)
    }

    /// `worker.rs::start`. The attempt that it begins, and its `send_before`.
    fn start(&self, state: &mut State, payout: usize, number: u32, bank: usize) -> Option<(usize, Timestamp)> {
        let id = PayoutId(payout as i64);
        let before = Arc::clone(&state.store);
        let command = Command::Start {
            merchant: MERCHANT,
            payout: id,
            connector: self.rules.connectors[bank].connector,
            rail: Rail::Imps,
            references: references(MERCHANT, &name(payout), number),
            send_within_us: SEND_WITHIN,
            enquire_after_us: ENQUIRE_AFTER,
        };
        let done = self.decide(state, &command)?;
        let (begun, send_before) = (done.attempt?, done.payout?.send_before);
        if self.is(Wrong::SendsUncommitted) {
            state.store = before;
        }
        let known = state.attempts.iter().position(|a| (a.bank, a.reference) == (bank, begun.reference));
        let index = known.unwrap_or_else(|| {
            state.attempts.push(Attempt {
                payout,
                number: begun.attempt,
                bank,
                reference: begun.reference,
                written: 0,
                wire: Timestamp(0),
                standing: None,
                said: 0,
            });
            state.attempts.len() - 1
        });
        Some((index, send_before))
    }

    /// The one door for facts.
    fn record(&self, state: &mut State, attempt: usize, said: Said, source: Source) {
        let about = &state.attempts[attempt];
        let outcome = match said {
            Said::Accepted => Outcome::Accepted,
            Said::Paid => Outcome::Paid,
            Said::Refused => Outcome::Refused { elsewhere: false },
            Said::RefusedElsewhere => Outcome::Refused { elsewhere: true },
            Said::Reversed => Outcome::Reversed,
            Said::NotFound => Outcome::NotFound,
            Said::Silent => Outcome::Silent,
            Said::NotWritten => Outcome::NotWritten,
            Said::NotExecuted => Outcome::NotExecuted,
        };
        let command = Command::Record {
            connector: self.rules.connectors[about.bank].connector,
            reference: about.reference,
            word: Word { outcome, amount_paise: None, rrn: "".into(), why: "".into() },
            source,
        };
        self.decide(state, &command);
    }

    /// `worker.rs::take_up`, as far as what the process sees.
    fn look(&self, state: &mut State, payout: usize) -> Process {
        let (seen, now) = (state.payout(payout).clone(), state.now);
        if seen.state != payout::State::Queued {
            state.left.enquiries = state.left.enquiries.saturating_sub(1);
            let last = state.attempts.iter().position(|a| a.payout == payout && Some(a.reference) == seen.reference);
            return match last {
                Some(last) if self.is(Wrong::SendsAgainAfterACrash) => Process::Started(last, now.after(SEND_WITHIN)),
                _ => Process::Enquiring(payout),
            };
        }
        let next = next_connector(&self.rules, &seen).map(|(connector, _)| connector);
        let bank = self.rules.connectors.iter().position(|rules| Some(rules.connector) == next);
        bank.map_or(Process::Idle, |bank| Process::Claiming(payout, seen.attempts + 1, bank))
    }

    /// A transaction of a process, and what the process holds afterwards.
    fn commit(&self, state: &mut State, process: Process, heard: Heard) -> Process {
        let lost = heard == Heard::No;
        match process {
            Process::Claiming(payout, number, bank) => match self.start(state, payout, number, bank) {
                // Nobody knows whether it was committed: the bank is asked in time.
                Some((attempt, send_before)) if !lost => Process::Started(attempt, send_before),
                _ => Process::Idle,
            },
            Process::Enquiring(payout) => {
                let claim = Command::Enquire { merchant: MERCHANT, payout: PayoutId(payout as i64), lease_us: LEASE };
                let asked = self.decide(state, &claim).and_then(|done| done.payout).filter(|_| !lost);
                let about = asked.and_then(|asked| {
                    state.attempts.iter().position(|a| a.payout == payout && Some(a.reference) == asked.reference)
                });
                about.map_or(Process::Idle, |about| Process::Asking(about, state.now))
            }
            Process::Recording(attempt, said, by) => {
                let source = match by {
                    By::Reply(_) if self.is(Wrong::UnwrittenByAnyStart) => {
                        Source::Reply { send_before: state.payout(state.attempts[attempt].payout).send_before }
                    }
                    By::Reply(send_before) => Source::Reply { send_before },
                    By::Enquiry(_) if self.is(Wrong::NotFoundIsJudgedWhenRecorded) => {
                        Source::Enquiry { asked_at: state.now }
                    }
                    By::Enquiry(asked_at) => Source::Enquiry { asked_at },
                };
                self.record(state, attempt, said, source);
                if lost {
                    state.left.repeats = state.left.repeats.saturating_sub(1);
                    process
                } else {
                    Process::Idle
                }
            }
            other => other,
        }
    }

    /// What a process can do in the state that it is in.
    fn acts_of(&self, state: &State, process: usize, acts: &mut Vec<Act>) {
        use Heard::{No, Yes};
        match state.processes[process] {
            Process::Idle => {
                for payout in 0..self.bounds.payouts {
                    let seen = state.payout(payout);
                    let may =
                        seen.state == payout::State::Queued || state.left.enquiries > 0 && !self.is(Wrong::NobodyAsks);
                    if may && seen.next_at.is_some_and(|at| at <= state.now) {
                        acts.push(Act::Look(process, payout));
                    }
                }
                // An idle process has nothing to lose.
                return;
            }
            Process::Claiming(..) | Process::Enquiring(_) => {
                acts.extend([Act::Commit(process, Yes), Act::Commit(process, No)]);
            }
            Process::Started(_, until) => {
                if state.now < until {
                    acts.push(Act::Write(process));
                }
                if state.now >= until || state.left.unwritten > 0 {
                    acts.push(Act::FailToWrite(process));
                }
            }
            Process::Waiting(attempt, _) => {
                let said = SAID.into_iter().filter(|said| state.attempts[attempt].was(*said));
                acts.extend(said.map(|said| Act::Hear(process, said)));
                acts.push(Act::TimeOut(process));
            }
            Process::Asking(..) => acts.extend([Act::Ask(process), Act::TimeOut(process)]),
            Process::Recording(..) => {
                acts.push(Act::Commit(process, Yes));
                if state.left.repeats > 0 {
                    acts.push(Act::Commit(process, No));
                }
            }
        }
        acts.push(Act::Crash(process));
    }

    /// What the banks can do, and what reaches us from them.
    fn acts_about(&self, state: &State, index: usize, acts: &mut Vec<Act>) {
        let attempt = &state.attempts[index];
        match attempt.standing {
            None if attempt.written == 0 => {}
            None if state.now > attempt.wire && !self.takes_what_is_late(attempt) => {
                acts.push(Act::Receive(index, Said::RefusedElsewhere));
            }
            None => acts.extend(SAID[..4].iter().map(|said| Act::Receive(index, *said))),
            Some(Said::Accepted) => acts.extend([Act::Decide(index, Said::Paid), Act::Decide(index, Said::Refused)]),
            Some(Said::Paid) => acts.push(Act::Decide(index, Said::Reversed)),
            Some(_) => {}
        }
        for said in [Said::Accepted, Said::Paid] {
            if attempt.was(said) {
                acts.push(Act::Callback(index, said));
            }
        }
        acts.push(Act::ForgedCallback(index));
    }
}

impl State {
    pub fn payout(&self, payout: usize) -> &Payout {
        &self.store.payouts[&PayoutId(payout as i64)]
    }

    pub fn payouts(&self) -> impl Iterator<Item = &Payout> {
        self.store.payouts.values()
    }

    /// The next moment from which on something can happen that cannot yet.
    fn next_moment(&self) -> Option<Timestamp> {
        let of_payout = |payout: &Payout| {
            let final_us = 5 * SECOND;
            let due = payout.next_at.filter(|at| *at != WAITING);
            let sent = payout.send_before;
            [due, Some(sent.after(1)), Some(sent.after(final_us + 1))]
        };
        let payouts = self.store.payouts.values().flat_map(of_payout).flatten();
        let wires = self.attempts.iter().filter(|a| a.standing.is_none()).map(|a| a.wire.after(1));
        payouts.chain(wires).filter(|at| *at > self.now).min()
    }

    /// All that the future depends on. Times count from now, and those that are over are all the same; the two processes
    /// may change places.
    fn key(&self) -> Vec<i64> {
        let from_now = |at: Timestamp| (at.0 - self.now.0).max(-1);
        let mut key = vec![i64::from(self.alarms)];
        let Left { enquiries, unwritten, repeats } = self.left;
        key.extend([enquiries, unwritten, repeats].map(i64::from));
        for payout in self.payouts() {
            let due = match payout.next_at {
                None => -2,
                Some(CALLED) => -3,
                Some(WAITING) => -4,
                Some(at) => from_now(at.after(-1)),
            };
            let place = |attempt: &Attempt| Some(attempt.reference) == payout.reference;
            key.extend([payout.state as i64, i64::from(payout.held), i64::from(payout.attempts), due]);
            key.extend([
                self.attempts.iter().position(place).map_or(-1, |index| index as i64),
                payout.paid_attempt.map_or(-1, i64::from),
                payout.refused_by.len() as i64,
                i64::from(payout.enquiries),
                (payout.send_before.0 - self.now.0).max(-5 * SECOND - 1),
            ]);
        }
        for attempt in &self.attempts {
            let standing = attempt.standing.map_or(-1, |said| said as i64);
            let wire = if attempt.written > 0 && attempt.standing.is_none() { from_now(attempt.wire) } else { 0 };
            key.extend([attempt.payout as i64, i64::from(attempt.number), attempt.bank as i64]);
            key.extend([i64::from(attempt.written), wire, standing, i64::from(attempt.said)]);
        }
        let mut processes = self.processes.map(|process| self.key_of(process));
        processes.sort_unstable();
        key.extend(processes.into_iter().flatten());
        key
    }

    fn key_of(&self, process: Process) -> [i64; 5] {
        let until = |attempt: usize, send_before: Timestamp| {
            let newest = self.payout(self.attempts[attempt].payout).send_before == send_before;
            [(send_before.0 - self.now.0).max(-1), i64::from(newest)]
        };
        // A question was asked in time for its answer to be final, or it was not.
        let asked = |attempt: usize, at: Timestamp| {
            i64::from(at > self.payout(self.attempts[attempt].payout).send_before.after(5 * SECOND))
        };
        match process {
            Process::Idle => [0; 5],
            Process::Claiming(payout, number, bank) => [1, payout as i64, i64::from(number), bank as i64, 0],
            Process::Started(attempt, at) => [2, attempt as i64, until(attempt, at)[0], until(attempt, at)[1], 0],
            Process::Waiting(attempt, at) => [3, attempt as i64, until(attempt, at)[1], 0, 0],
            Process::Enquiring(payout) => [4, payout as i64, 0, 0, 0],
            Process::Asking(attempt, at) => [5, attempt as i64, asked(attempt, at), 0, 0],
            Process::Recording(attempt, said, By::Reply(at)) => {
                [6, attempt as i64, said as i64, until(attempt, at)[1], 0]
            }
            Process::Recording(attempt, said, By::Enquiry(at)) => {
                [7, attempt as i64, said as i64, asked(attempt, at), 0]
            }
        }
    }

    /// Whether nobody is at work and nothing is due.
    pub fn is_quiet(&self) -> bool {
        let over =
            |payout: &Payout| !payout.state.is_open() && payout.next_at.is_none() || payout.next_at == Some(WAITING);
        self.processes.iter().all(|process| *process == Process::Idle) && self.payouts().all(over)
    }

    /// What happens next where all is well: everybody does what he can, banks pay and call. With `lost`, what is still on
    /// its way to a bank does not arrive.
    pub fn healthy_act(&self, protocol: &Protocol, lost: bool) -> Option<Act> {
        let received = |index: usize| {
            let attempt = &self.attempts[index];
            let late = self.now > attempt.wire && !protocol.takes_what_is_late(attempt);
            let said = if late { Said::RefusedElsewhere } else { Said::Paid };
            (attempt.standing.is_none() && attempt.written > 0).then_some(Act::Receive(index, said))
        };
        for (index, process) in self.processes.into_iter().enumerate() {
            let act = match process {
                Process::Idle => continue,
                Process::Claiming(..) | Process::Enquiring(_) | Process::Recording(..) => {
                    Act::Commit(index, Heard::Yes)
                }
                Process::Started(_, until) if self.now < until => Act::Write(index),
                Process::Started(..) => Act::FailToWrite(index),
                Process::Waiting(attempt, _) => match self.attempts[attempt].standing {
                    Some(said) => Act::Hear(index, said),
                    None => received(attempt).filter(|_| !lost).unwrap_or(Act::TimeOut(index)),
                },
                Process::Asking(..) => Act::Ask(index),
            };
            return Some(act);
        }
        for (index, attempt) in self.attempts.iter().enumerate() {
            if attempt.standing == Some(Said::Accepted) {
                return Some(Act::Decide(index, Said::Paid));
            }
            if let Some(act) = received(index).filter(|_| !lost) {
                return Some(act);
            }
            let payout = self.payout(attempt.payout);
            let reversal = attempt.standing == Some(Said::Reversed) && payout.state == payout::State::Paid;
            if reversal && payout.next_at != Some(CALLED) {
                // The bank's own call, which only makes us ask; it does the same as a forged one.
                return Some(Act::ForgedCallback(index));
            }
        }
        let due = |payout: &Payout| payout.next_at.is_some_and(|at| at <= self.now);
        let look = self.payouts().position(due).filter(|_| !protocol.is(Wrong::NobodyAsks));
        look.map(|payout| Act::Look(0, payout)).or(self.next_moment().map(|_| Act::Tick))
    }

    /// A number for the state, whatever may still happen.
    pub fn number(&self, lost: bool) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        let mut key = self.key();
        key[1..4].fill(0);
        (key, lost).hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |at: Timestamp| format!("{}us", at.0 - NOON.0);
        writeln!(f, "at {}, {:?}, alarms {:#b}", seconds(self.now), self.left, self.alarms)?;
        for p in self.payouts() {
            let due = p.next_at.map(seconds);
            write!(f, "{:?}#{} held={} due={due:?} ", p.state, p.attempts, p.held)?;
            writeln!(f, "send_before={} enquiries={}", seconds(p.send_before), p.enquiries)?;
        }
        self.attempts.iter().try_for_each(|attempt| writeln!(f, "{attempt:?}"))?;
        self.processes.iter().try_for_each(|process| writeln!(f, "{process:?}"))
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key().hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.key() == other.key()
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Act;

    /// The payouts are accepted, and each is in the hands of the process that accepted it.
    fn init_states(&self) -> Vec<State> {
        let mut snapshot = Snapshot::default();
        snapshot.merchants.insert(MERCHANT, merchant(CallbackWish::Nothing));
        let mut state = State {
            now: NOON,
            store: Arc::new(snapshot),
            attempts: Vec::new(),
            processes: [Process::Idle; PROCESSES],
            left: self.bounds.left,
            alarms: 0,
        };
        let paise = |paise| Amount::from_paise(paise).expect("an amount");
        let fund = Command::Fund {
            merchant: MERCHANT,
            connector: connector("sandbox"),
            reference: "UTR0".into(),
            amount: paise(FUNDED_PAISE),
            actor: Actor::System,
        };
        self.decide(&mut state, &fund);
        for payout in 0..self.bounds.payouts {
            let order =
                order(MERCHANT, PayoutId(payout as i64), name(payout).as_str(), Rail::Imps, paise(300_00), "ravi");
            self.decide(&mut state, &Command::CreatePayout(Box::new(order)));
            state.processes[payout] = Process::Claiming(payout, 1, 0);
        }
        vec![state]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        for process in 0..PROCESSES {
            self.acts_of(state, process, acts);
        }
        for attempt in 0..state.attempts.len() {
            self.acts_about(state, attempt, acts);
        }
        for payout in 0..self.bounds.payouts {
            if state.payout(payout).state == payout::State::Queued {
                acts.extend([Act::Cancel(payout), Act::Expire(payout)]);
            }
        }
        if state.next_moment().is_some() {
            acts.push(Act::Tick);
        }
    }

    fn next_state(&self, last: &State, act: Act) -> Option<State> {
        let mut state = last.clone();
        let now = state.now;
        match act {
            Act::Tick => state.now = state.next_moment()?,
            Act::Look(process, payout) => state.processes[process] = self.look(&mut state, payout),
            Act::Commit(process, heard) => {
                state.processes[process] = self.commit(&mut state, last.processes[process], heard);
            }
            Act::Crash(process) => state.processes[process] = Process::Idle,
            Act::Receive(attempt, said) | Act::Decide(attempt, said) => state.attempts[attempt].becomes(said),
            Act::Callback(attempt, said) => self.record(&mut state, attempt, said, Source::SignedCallback),
            Act::ForgedCallback(attempt) if self.is(Wrong::CallbacksAreTrusted) => {
                self.record(&mut state, attempt, Said::Refused, Source::Enquiry { asked_at: now });
            }
            Act::ForgedCallback(attempt) => self.record(&mut state, attempt, Said::Refused, Source::UnsignedCallback),
            Act::Cancel(payout) => {
                let (payout, actor) = (PayoutId(payout as i64), Actor::Operator("asha".into()));
                self.decide(&mut state, &Command::Cancel { merchant: MERCHANT, payout, actor });
            }
            Act::Expire(payout) => {
                self.decide(&mut state, &Command::Expire { merchant: MERCHANT, payout: PayoutId(payout as i64) });
            }
            Act::Write(process)
            | Act::FailToWrite(process)
            | Act::Hear(process, _)
            | Act::TimeOut(process)
            | Act::Ask(process) => self.work(&mut state, process, act),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        laws::properties(self.bounds.attempts)
    }
}

impl Protocol {
    /// What a process does outside the store.
    fn work(&self, state: &mut State, index: usize, act: Act) {
        let said = |attempt: &Attempt| attempt.standing.unwrap_or(Said::NotFound);
        let silence = if self.is(Wrong::SilenceIsFailure) { Said::NotExecuted } else { Said::Silent };
        state.processes[index] = match (act, state.processes[index]) {
            (Act::Write(_), Process::Started(attempt, send_before)) => {
                let about = &mut state.attempts[attempt];
                about.written += 1;
                about.wire = about.wire.max(send_before);
                Process::Waiting(attempt, send_before)
            }
            (Act::FailToWrite(_), Process::Started(attempt, send_before)) => {
                if state.now < send_before {
                    state.left.unwritten = state.left.unwritten.saturating_sub(1);
                }
                Process::Recording(attempt, Said::NotWritten, By::Reply(send_before))
            }
            (Act::Hear(_, said), Process::Waiting(attempt, send_before)) => {
                Process::Recording(attempt, said, By::Reply(send_before))
            }
            (Act::TimeOut(_), Process::Waiting(attempt, send_before)) => {
                Process::Recording(attempt, silence, By::Reply(send_before))
            }
            (Act::TimeOut(_), Process::Asking(attempt, at)) => {
                Process::Recording(attempt, Said::Silent, By::Enquiry(at))
            }
            (Act::Ask(_), Process::Asking(attempt, at)) => {
                Process::Recording(attempt, said(&state.attempts[attempt]), By::Enquiry(at))
            }
            (_, other) => other,
        };
    }
}

fn name(payout: usize) -> OrderId {
    OrderId::parse(["A", "B"][payout]).expect("an OrderID")
}
