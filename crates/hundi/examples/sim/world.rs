//! One run of one seed: processes, bank, merchants, receivers, operators, machine and auditor, and the clock that they share.
//!
//! ```text
//! safety    until all orders are made: everything may go wrong, the laws hold after every step
//! liveness  everything is healed, days pass: every payout ends, or waits for the operator
//! at rest   all books are compared
//! ```

use super::agenda::{Agenda, Event};
use super::auditor::Auditor;
use super::bank::{self, Bank, Moved};
use super::dice::Dice;
use super::merchants::{Asked, Merchant, Merchants, PLANS};
use super::operators::{Job, Operators, operator};
use super::orders::Told;
use super::process::{Outbox, Outgoing, Process, START, Sent, Way};
use super::receivers::{self, Receivers};
use super::statements::{Statement, words};
use super::swarm::{Counters, Fault, Swarm};
use super::trace::Trace;
use hundi::config::{self, Config, Routes, Sandbox, Targets};
use hundi::{admin, credits};
use hundi_core::schedule::{DAY, HOUR};
use hundi_faultfs::{Disk, End, Keep, Moment};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Once};

const HOUR_MS: i64 = 3_600_000;
/// Liveness is given up after this; a clock that was a year ahead makes things due in a year.
const LONGEST_MS: i64 = 500 * 24 * HOUR_MS;
/// The longest a process runs without the others.
const TURN_ALONE_MS: i64 = 1_000;
/// Kills come within so many rounds of polls after something has reached a process.
const ROUNDS_MAX: usize = 40;
/// So many moments at which something is due may pass until nothing is.
const ROUNDS_OF_DAYS_MAX: usize = 12_000;
/// The operator looks whether anything is on hold or paused each time so many have passed.
const ROUNDS_OF_A_LOOK: usize = 5;
/// After so many, everybody has his answer.
const ROUNDS_OF_QUESTIONS_MAX: usize = 20;
/// So many orders are made again after 30 days.
const AGAIN_LATER: usize = 10;
/// At most so many processes at once.
const PROCESSES_MAX: usize = 3;

/// What a run has come to.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub hash: u64,
    pub steps: u64,
    pub looks: u64,
    pub folds: u64,
    pub virtual_ms: i64,
    pub counters: Counters,
    /// The law that was broken, and what happened before.
    pub broken: Option<(String, Vec<String>)>,
}

/// Everything of one run.
pub struct World {
    now_ms: i64,
    /// By how much the machine's clock is wrong.
    clock_us: i64,
    dice: Dice,
    swarm: Swarm,
    trace: Trace,
    agenda: Agenda,
    outbox: Outbox,
    processes: Vec<Process>,
    started: usize,
    banks: Vec<Bank>,
    /// While the installation is on hold: the references of what was started before.
    started_before_hold: Option<BTreeSet<String>>,
    merchants: Merchants,
    receivers: Receivers,
    operators: Operators,
    auditor: Auditor,
    config: Config,
    disk: Disk,
    /// How many processes were killed on the disk, as far as is known.
    kills: u64,
    full_until_ms: Option<i64>,
    calls: u64,
    /// Which process serves which call.
    served_by: std::collections::BTreeMap<u64, (usize, Option<bank::Call>)>,
    healed: bool,
    steps: u64,
}

type Law = Result<(), String>;

thread_local! {
    /// What has panicked on this thread. A task that does so ends alone, and would be missed by nobody.
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic of any task is noted.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.with(|panicked| *panicked.borrow_mut() = Some(panic.to_string()));
            before(panic);
        }));
    });
}

/// Runs a seed with so many payouts.
pub fn run(seed: u64, payouts: usize, shown: bool) -> Report {
    note_panics();
    PANICKED.take();
    let mut world = World::new(seed, payouts, shown);
    let result = world.live();
    let broken = result.err().map(|law| (law, world.trace.last().map(str::to_owned).collect()));
    world.count_disk();
    Report {
        seed,
        hash: world.trace.hash(),
        steps: world.steps,
        looks: world.auditor.looks,
        folds: world.auditor.folds,
        virtual_ms: world.now_ms,
        counters: world.swarm.counters.clone(),
        broken,
    }
}

impl World {
    fn new(seed: u64, payouts: usize, shown: bool) -> World {
        let mut dice = Dice::new(seed);
        let swarm = Swarm::draw(seed, &mut dice);
        let disk = Disk::new(dice.next());
        let mut config = Config { data: disk.folder().to_owned(), ..Config::default() };
        config.callbacks.allow_private = true;
        let sandbox = |number| Sandbox {
            url: Bank::url(number),
            callback_secret_file: None,
            callback_secret: Some(super::process::BANK_SECRET.to_vec()),
            reply_within_ms: 5_000,
        };
        config.sandbox = Some(sandbox(0));
        for (number, name) in bank::NAMES.iter().enumerate().take(swarm.banks).skip(1) {
            config.connectors.insert((*name).to_owned(), config::Connector::Sandbox(sandbox(number)));
        }
        routes(&mut config, &swarm, &mut dice);
        World {
            now_ms: 0,
            clock_us: 0,
            trace: Trace::new(shown),
            agenda: Agenda::default(),
            outbox: Outbox::default(),
            processes: Vec::new(),
            started: 0,
            banks: (0..swarm.banks).map(|number| Bank::new(number, dice.fork())).collect(),
            started_before_hold: None,
            merchants: Merchants::new(payouts, dice.fork()),
            receivers: Receivers::new(dice.fork()),
            operators: Operators::new(dice.fork()),
            auditor: Auditor::new(),
            config,
            disk,
            kills: 0,
            full_until_ms: None,
            calls: 0,
            served_by: Default::default(),
            healed: false,
            steps: 0,
            swarm,
            dice,
        }
    }

    fn live(&mut self) -> Law {
        self.begin()?;
        while self.merchants.left > 0 {
            self.step(self.now_ms + TURN_ALONE_MS)?;
        }
        // What was begun last has time to go wrong too.
        let until_ms = self.now_ms + self.dice.between(100, 100 + 30 * self.swarm.pause_ms);
        while self.now_ms < until_ms {
            self.step(until_ms)?;
        }
        self.auditor.fold_all(&self.merchants)?;
        self.heal();
        self.recover()?;
        self.declare()?;
        self.last_statements()?;
        self.recover()?;
        self.at_rest()?;
        self.much_later()?;
        self.at_rest()
    }

    /// The first process, and the merchants.
    fn begin(&mut self) -> Law {
        self.start_process()?;
        self.auditor.open(&self.config.database())?;
        let purse = *self.dice.pick(&[20_000, 5_00_000, 5_00_00_000]);
        for number in 0..self.swarm.merchants {
            let plan = self.dice.below(PLANS.len());
            let wishes = [800, 300, 400].map(|rate| self.dice.permille(rate));
            let merchant = self.new_merchant(number, plan, wishes, purse)?;
            self.merchants.all.push(merchant);
            let first_ms = self.dice.between(1, self.swarm.pause_ms);
            self.agenda.add(first_ms, Event::MerchantActs(number));
        }
        self.agenda.add(50, Event::OperatorActs);
        self.agenda.add(70, Event::MachineActs);
        self.agenda.add(90, Event::RumoursSpread);
        for number in 0..self.banks.len() {
            self.agenda.add(200, Event::BankStates(number));
        }
        Ok(())
    }

    fn new_merchant(
        &mut self,
        number: usize,
        plan: usize,
        [called, pending, auto]: [bool; 3],
        purse: i64,
    ) -> Result<Merchant, String> {
        let name = format!("m{number}");
        let process = &self.processes[0];
        let app = Arc::clone(&process.app);
        let made = process.ask(async {
            let added = admin::merchant_add(&app, &name, PLANS[plan].0, &operator()).await?;
            let changes = admin::MerchantChanges {
                callback_url: called.then(|| receivers::url(number)),
                callback_pending: Some(pending),
                rail: auto.then(|| "auto".to_owned()),
                ..Default::default()
            };
            admin::merchant_set(&app, &name, changes, &operator()).await?;
            for connector in bank::NAMES {
                let by = credits::By { account: None, words: Some(words(number)), connector: connector.to_owned() };
                credits::rule(&app, credits::Ask::Add { id: name.clone(), by }, &operator()).await?;
            }
            let credit = format!("OPENING{number}");
            admin::fund(&app, &name, &format!("{purse}.00"), &credit, bank::NAMES[0], &operator()).await?;
            let token = admin::token_new(&app, &name, "127.0.0.1", None, &operator()).await?;
            Ok::<_, String>((added, token))
        });
        let (added, token) = made?;
        self.operators.booked.insert(format!("OPENING{number}"), (number, purse));
        let secret = added["callback_secret"].as_str().and_then(secret_bytes).ok_or("a merchant has no secret")?;
        let token = self.operators.token(&token);
        Ok(Merchant { name, token, revoked: Vec::new(), secret, plan, called, auto })
    }

    /// Starts a process. One that cannot start now is started again later.
    fn start_process(&mut self) -> Law {
        let number = self.started;
        self.started += 1;
        let rate = |swarm: &Swarm, fault| if swarm.knows(fault) { 120 } else { 0 };
        // While clocks may be wrong, nothing that is on its way takes long (docs/operating.md, "Clocks").
        let slow = if bank::clocks_differ(&self.swarm) { 0 } else { rate(&self.swarm, Fault::SlowConnect) };
        let way = Way { refused: rate(&self.swarm, Fault::NotWritten), slow };
        let clock_us = START.0 + self.now_ms * 1_000 + self.clock_us;
        let dice = self.dice.fork();
        let started = Process::start(number, self.now_ms, clock_us, self.config.clone(), way, dice, &self.outbox);
        match started {
            Ok(process) => {
                self.note(format_args!("process {number} starts"));
                self.processes.push(process);
            }
            Err(error) => {
                self.note(format_args!("process {number} cannot start: {error}"));
                let pause_ms = if self.healed { HOUR_MS } else { 500 };
                self.agenda.add(self.now_ms + pause_ms, Event::ProcessStarts);
                return self.aftermath(None);
            }
        }
        self.aftermath(Some(self.processes.len() - 1))
    }

    /// Starts a process if none runs, and looks at what it finds.
    fn restart(&mut self) -> Law {
        if self.processes.is_empty() {
            self.start_process()?;
            if !self.processes.is_empty() {
                self.auditor.open(&self.config.database())?;
                self.auditor.fold_all(&self.merchants)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now_ms, what);
    }

    /// Time passes until the next thing happens, at most until a time.
    fn step(&mut self, until_ms: i64) -> Law {
        self.steps += 1;
        let turn_ms = match self.processes.len() {
            0 => LONGEST_MS,
            1 => TURN_ALONE_MS,
            _ => self.swarm.turn_ms,
        };
        let next_ms = self.agenda.next_ms().unwrap_or(i64::MAX);
        let target_ms = next_ms.min(self.now_ms + turn_ms).min(until_ms).max(self.now_ms);
        let first = self.dice.below(self.processes.len());
        let mut reached_ms = target_ms;
        for at in 0..self.processes.len() {
            let at = (first + at) % self.processes.len();
            let process = &mut self.processes[at];
            if process.paused_until_ms.is_some() {
                continue;
            }
            if process.at_ms < reached_ms {
                process.run(reached_ms, &self.outbox);
                reached_ms = reached_ms.min(process.at_ms);
                let alive = self.processes.len();
                self.aftermath(Some(at))?;
                self.auditor.look(&self.merchants)?;
                self.sort_outgoing()?;
                if self.processes.len() < alive {
                    break;
                }
            }
        }
        self.now_ms = reached_ms;
        self.sort_outgoing()?;
        while let Some(event) = self.agenda.pop(self.now_ms) {
            self.happens(event)?;
            self.sort_outgoing()?;
        }
        match PANICKED.take() {
            Some(panic) => Err(format!("I9: a task has panicked: {panic}")),
            None => Ok(()),
        }
    }

    /// What has left the processes goes to whom it is for.
    fn sort_outgoing(&mut self) -> Law {
        for outgoing in self.outbox.take() {
            match outgoing {
                Outgoing::Request(sent) if self.bank_of(&sent).is_some() => {
                    let number = self.bank_of(&sent).unwrap_or(0);
                    let (from, what) = (sent.from, String::from_utf8_lossy(&sent.body).into_owned());
                    let url = sent.url.clone();
                    self.leaves_lawfully(&what)?;
                    self.note(format_args!("process {from} -> bank {url} {what}"));
                    self.banks[number].sent(sent, self.now_ms, &mut self.swarm, &mut self.agenda);
                }
                Outgoing::Request(sent) => self.callback(sent)?,
                Outgoing::Struck { from, fault } => self.struck(from, fault),
                Outgoing::Answered { call, status, body } => self.answered(call, status, &body)?,
                Outgoing::Operated { job, result } => {
                    self.note(format_args!("operator's {job}: {}", result.is_ok()));
                    let replaced = self.operators.done(job, &result, self.now_ms, &mut self.merchants);
                    if self.operators.abused {
                        return Err("A14: an operator has approved what he had proposed himself".to_owned());
                    }
                    if self.operators.held && self.started_before_hold.is_none() {
                        self.started_before_hold = Some(self.auditor.references()?);
                    }
                    if let (Some((merchant, token)), Some(process)) = (replaced, self.processes.first()) {
                        self.operators.revoke(process, merchant, token, &self.outbox);
                    }
                }
            }
        }
        Ok(())
    }

    /// The bank that a request is for.
    fn bank_of(&self, sent: &Sent) -> Option<usize> {
        (0..self.banks.len()).find(|number| sent.url.starts_with(&Bank::url(*number)))
    }

    /// A fault of a process's way out has struck. While it connects is the worst of times to be paused.
    fn struck(&mut self, from: usize, fault: Fault) {
        self.swarm.counters.count(fault);
        let at = self.processes.iter().position(|process| process.number == from && process.paused_until_ms.is_none());
        if let Some(at) = at
            && fault == Fault::SlowConnect
            && self.swarm.strikes(Fault::Zombie)
        {
            self.pause(at);
        }
    }

    fn pause(&mut self, at: usize) {
        let for_ms = self.dice.between(50, 200_000);
        let process = &mut self.processes[at];
        process.paused_until_ms = Some(self.now_ms + for_ms);
        let number = process.number;
        self.note(format_args!("process {number} is paused for {for_ms} ms"));
    }

    /// F1 and F22: a request to pay is committed before it leaves, and leaves in time.
    fn leaves_lawfully(&self, body: &str) -> Law {
        if body.is_empty() {
            return Ok(());
        }
        let ask: serde_json::Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let valid_until_ms = (ask["valid_until_us"].as_i64().unwrap_or(0) - START.0) / 1_000;
        if !bank::clocks_differ(&self.swarm) && self.now_ms > valid_until_ms + self.swarm.turn_ms {
            return Err(format!("F22: at {} ms a request leaves that is valid until {valid_until_ms} ms", self.now_ms));
        }
        let reference = ask["reference"].as_str().unwrap_or_default();
        if self.started_before_hold.as_ref().is_some_and(|before| !before.contains(reference)) {
            return Err(format!("F23: {reference} was started while the installation is on hold"));
        }
        self.auditor.intended(reference)
    }

    fn callback(&mut self, sent: Sent) -> Law {
        let (merchants, swarm, agenda) = (&mut self.merchants, &mut self.swarm, &mut self.agenda);
        let said = self.receivers.hears(sent, self.now_ms, merchants, swarm, agenda)?;
        self.note(format_args!("callback {said}"));
        Ok(())
    }

    fn answered(&mut self, call: u64, status: u16, body: &str) -> Law {
        self.note(format_args!("call {call} <- {status} {body}"));
        let Some((_, bank_call)) = self.served_by.remove(&call) else { return Ok(()) };
        if let Some(bank_call) = bank_call {
            self.banks[bank_call.bank].heard(bank_call, Some(status), self.now_ms, &mut self.agenda);
            return Ok(());
        }
        let auditor = &self.auditor;
        let wallets = |merchant: usize, from_seq: i64| {
            let ledger = auditor.ledgers.get(&(merchant as i64 + 1));
            let from = usize::try_from(from_seq - 1).unwrap_or(0);
            ledger.map_or(Vec::new(), |ledger| ledger.wallets[from..].to_vec())
        };
        let tokens_change = self.swarm.counters.of(Fault::TokenRevoked) > 0;
        self.merchants.answered(call, body, tokens_change, wallets)
    }

    fn happens(&mut self, event: Event) -> Law {
        match event {
            Event::BankHears(sent) => {
                let number = self.bank_of(&sent).unwrap_or(0);
                let said = self.banks[number].hears(sent, self.now_ms, &mut self.swarm, &mut self.agenda);
                self.note(format_args!("bank says {said}"));
                self.book_moved()?;
            }
            Event::Reply { to, reply } => {
                // Whoever asked may have died, or given up.
                if to.send(reply).is_ok() {
                    self.perhaps_crash(None)?;
                }
            }
            Event::BankTurns(turning) => {
                self.banks[turning.bank].turns(&turning, self.now_ms, &mut self.swarm, &mut self.agenda);
                self.book_moved()?;
            }
            Event::BankCalls(call) => self.bank_calls(call)?,
            Event::RumoursSpread => {
                let number = self.dice.below(self.banks.len());
                self.banks[number].rumours(self.now_ms, &mut self.swarm, &mut self.agenda);
                if !self.healed {
                    let pause_ms = self.dice.between(10, 4 * self.swarm.pause_ms);
                    self.agenda.add(self.now_ms + pause_ms, Event::RumoursSpread);
                }
            }
            Event::BankStates(number) => {
                let orders = &self.merchants.orders;
                let failed = |to: &str| orders.told_of(to) == Told::Failure;
                self.banks[number].states(self.now_ms, failed, &mut self.swarm, &mut self.agenda);
                if !self.healed {
                    let pause_ms = self.dice.between(200, 30 * self.swarm.pause_ms);
                    self.agenda.add(self.now_ms + pause_ms, Event::BankStates(number));
                }
            }
            Event::StatementComes(statement) => self.statement_comes(statement)?,
            Event::MerchantActs(merchant) => self.merchant_acts(merchant)?,
            Event::OperatorActs => self.operator_acts()?,
            Event::MachineActs => self.machine_acts()?,
            Event::ProcessStarts => self.restart()?,
        }
        Ok(())
    }

    /// The bank's book has moved; whoever ordered judges it.
    fn book_moved(&mut self) -> Law {
        for moved in self.banks.iter_mut().flat_map(|bank| std::mem::take(&mut bank.moved)).collect::<Vec<_>>() {
            self.note(format_args!("the bank's book: {moved:?}"));
            match moved {
                Moved::Asked { to, rail } => self.merchants.may_go_over(&to, &rail)?,
                Moved::Executed { to, paise, asked_paise } => {
                    self.merchants.orders.executed(&to, paise, asked_paise)?
                }
                Moved::Reversed { to } => self.merchants.orders.reversed(&to)?,
            }
        }
        self.banks.iter_mut().find_map(|bank| bank.wrongs.pop()).map_or(Ok(()), Err)
    }

    fn statement_comes(&mut self, statement: Statement) -> Law {
        self.note(format_args!("a statement of bank {} with {} bytes", statement.bank, statement.bytes.len()));
        let Some(at) = self.anyone() else {
            let pause_ms = if self.healed { HOUR_MS } else { 1_000 };
            self.agenda.add(self.now_ms + pause_ms, Event::StatementComes(statement));
            return Ok(());
        };
        self.operators.reconcile(&self.processes[at], statement, &self.outbox);
        self.perhaps_crash(Some(at))
    }

    /// Two people say of what waits for them what the bank's book says.
    fn declare(&mut self) -> Law {
        for payout in self.auditor.waiting()? {
            let merchant = usize::try_from(payout.merchant - 1).unwrap_or(usize::MAX);
            let Some(order) = self.merchants.orders.find(merchant, &payout.order_id) else { continue };
            if order.differs || order.reversed {
                continue;
            }
            let paid = order.executed;
            let said = self.operators.declare(&self.processes[0], &payout.id.to_string(), paid);
            self.note(format_args!("payout {} is declared paid ({paid}): {said:?}", payout.id));
            if said.is_ok() {
                self.swarm.counters.count(Fault::Declared);
            }
        }
        self.auditor.look(&self.merchants)
    }

    /// All that the banks have ever booked, once more: what was a lie is found, and nothing else is said.
    fn last_statements(&mut self) -> Law {
        for number in 0..self.banks.len() {
            let statement = self.banks[number].lines.statement(number, 0, self.now_ms + 1, false);
            self.operators.reconciled = None;
            self.statement_comes(statement)?;
            let until_ms = self.now_ms + 5_000;
            while self.operators.reconciled.is_none() && self.now_ms < until_ms {
                self.step(until_ms)?;
            }
            match self.operators.reconciled.take() {
                Some(Ok(report)) => self.note(format_args!("the last statement: {report}")),
                other => return Err(format!("the last statement of bank {number} came to {other:?}")),
            }
            self.auditor.found(bank::NAMES[number], &self.banks[number].lines.lies)?;
        }
        Ok(())
    }

    /// A process that would serve a call.
    fn anyone(&mut self) -> Option<usize> {
        if self.processes.is_empty() { None } else { Some(self.dice.below(self.processes.len())) }
    }

    fn bank_calls(&mut self, call: bank::Call) -> Law {
        self.note(format_args!("bank calls about {}", call.reference));
        let Some(at) = self.anyone() else {
            self.banks[call.bank].heard(call, None, self.now_ms, &mut self.agenda);
            return Ok(());
        };
        if !self.healed && call.proves() && self.swarm.strikes(Fault::CallLost) {
            self.banks[call.bank].heard(call, None, self.now_ms, &mut self.agenda);
            return Ok(());
        }
        self.banks[call.bank].reaches(&call, &mut self.swarm);
        let number = self.next_call();
        let process = &self.processes[at];
        process.call(number, IpAddr::from([127, 0, 0, 1]), call.request(self.now_ms), &self.outbox);
        self.served_by.insert(number, (process.number, Some(call)));
        self.perhaps_crash(Some(at))
    }

    fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    fn merchant_acts(&mut self, merchant: usize) -> Law {
        if let Some(at) = self.anyone() {
            let head = self.auditor.ledgers.get(&(merchant as i64 + 1)).map_or(0, |ledger| ledger.rows.len() as i64);
            let asked = self.merchants.act(merchant, self.now_ms, head, &mut self.swarm);
            self.ask(at, asked);
            self.perhaps_crash(Some(at))?;
        }
        if !self.healed {
            let pause_ms = self.dice.between(1, self.swarm.pause_ms);
            self.agenda.add(self.now_ms + pause_ms, Event::MerchantActs(merchant));
        }
        Ok(())
    }

    fn ask(&mut self, at: usize, asked: Asked) {
        let number = self.next_call();
        let process = &self.processes[at];
        self.trace.note(self.now_ms, format_args!("call {number} -> process {}: {}", process.number, asked.shown));
        process.call(number, IpAddr::from([127, 0, 0, 1]), asked.request, &self.outbox);
        self.served_by.insert(number, (process.number, None));
        self.merchants.waiting.insert(number, asked.ask);
        if self.swarm.strikes(Fault::HungUp) {
            // What is answered now nobody reads.
            self.served_by.remove(&number);
            self.merchants.unanswered(number);
        }
    }

    fn operator_acts(&mut self) -> Law {
        if let Some(at) = self.anyone() {
            let job = self.operators.act(&self.processes[at], &self.merchants, &mut self.swarm, &self.outbox);
            self.note(format_args!("operator: {job:?}"));
            let arrived = &self.banks[0].lines.credits;
            if !arrived.is_empty() && self.swarm.strikes(Fault::CreditByHand) {
                let credit = self.dice.pick(arrived).clone();
                self.operators.fund_by_hand(&self.processes[at], &self.merchants, &credit, &self.outbox);
            }
            if matches!(job, Job::Release) {
                self.started_before_hold = None;
            }
            self.perhaps_crash(Some(at))?;
        }
        if !self.healed {
            let pause_ms = self.dice.between(20, 10 * self.swarm.pause_ms);
            self.agenda.add(self.now_ms + pause_ms, Event::OperatorActs);
        }
        Ok(())
    }

    /// Something has reached a process: it may die within the next few polls.
    fn perhaps_crash(&mut self, at: Option<usize>) -> Law {
        let Some(at) = at.or_else(|| self.anyone()) else { return Ok(()) };
        if self.processes[at].paused_until_ms.is_some() || !self.swarm.strikes(Fault::Crash) {
            return Ok(());
        }
        let rounds = self.dice.below(ROUNDS_MAX);
        self.kill(at, u32::try_from(rounds).unwrap_or(0))
    }

    fn kill(&mut self, at: usize, rounds: u32) -> Law {
        let process = self.processes.remove(at);
        let number = process.number;
        self.note(format_args!("process {number} is killed after {rounds} rounds"));
        process.run_to_death(rounds, &self.disk);
        self.kills = self.disk.tally().kills;
        self.lost(number);
        self.aftermath(None)?;
        self.auditor.look(&self.merchants)?;
        if self.processes.is_empty() {
            // The next one to open the store finds it as the last one left it.
            self.auditor.close();
        }
        Ok(())
    }

    /// Looks whether the disk has ended something: the machine, or the process that has just run.
    fn aftermath(&mut self, ran: Option<usize>) -> Law {
        if !self.disk.is_on() {
            return self.power_lost();
        }
        let kills = self.disk.tally().kills;
        if kills > self.kills {
            self.kills = kills;
            self.swarm.counters.count(Fault::KilledAtSync);
            if let Some(at) = ran {
                let number = self.processes.remove(at).number;
                self.note(format_args!("process {number} is killed at a write or a sync"));
                // What a dead process has said nobody has heard.
                self.outbox.take();
                self.lost(number);
            }
        }
        Ok(())
    }

    fn power_lost(&mut self) -> Law {
        self.note(format_args!("the power is lost"));
        self.outbox.take();
        // Whoever was killed a moment before may have said something that has not left the machine.
        let mut numbers: BTreeSet<usize> = self.processes.drain(..).map(|process| process.number).collect();
        numbers.extend(self.served_by.values().map(|(by, _)| *by));
        for number in numbers {
            self.lost(number);
        }
        self.auditor.close();
        self.disk.power_on();
        let pause_ms = self.dice.between(20, 3_000);
        self.agenda.add(self.now_ms + pause_ms, Event::ProcessStarts);
        Ok(())
    }

    /// How often the disk has failed.
    fn count_disk(&mut self) {
        let tally = self.disk.tally();
        let fired = |fault| tally.fired.get(&fault).copied().unwrap_or(0);
        use hundi_faultfs::Fault::{Busy, CommitUnheard, Full, SyncError, WriteError};
        for (fault, times) in [
            (Fault::PowerLoss, tally.crashes),
            (Fault::Busy, fired(Busy)),
            (Fault::WriteFails, fired(WriteError)),
            (Fault::SyncFails, fired(SyncError)),
            (Fault::CommitUnheard, fired(CommitUnheard)),
            (Fault::DiskFull, fired(Full)),
        ] {
            (0..times).for_each(|_| self.swarm.counters.count(fault));
        }
    }

    /// The disk is told to fail within its next calls.
    fn disk_acts(&mut self) {
        let nth = |dice: &mut Dice, most| u64::try_from(dice.between(1, most)).unwrap_or(1);
        let moment = |dice: &mut Dice| match dice.below(3) {
            0 => Moment::Write(nth(dice, 60)),
            1 => Moment::BeforeSync(nth(dice, 12)),
            _ => Moment::AfterSync(nth(dice, 12)),
        };
        if self.swarm.would(Fault::PowerLoss) {
            self.disk.end_at(moment(&mut self.dice), End::Power(Keep::Drawn));
        }
        if self.swarm.would(Fault::KilledAtSync) {
            self.disk.end_at(moment(&mut self.dice), End::Process);
        }
        use hundi_faultfs::Fault::{Busy, CommitUnheard, SyncError, WriteError};
        for (fault, call, most) in [
            (Fault::Busy, Busy, 20),
            (Fault::WriteFails, WriteError, 20),
            (Fault::SyncFails, SyncError, 12),
            (Fault::CommitUnheard, CommitUnheard, 12),
        ] {
            if self.swarm.would(fault) {
                self.disk.inject(call, nth(&mut self.dice, most));
            }
        }
        if self.full_until_ms.is_some_and(|until_ms| until_ms <= self.now_ms) {
            self.full_until_ms = None;
            self.disk.limit(None);
        } else if self.full_until_ms.is_none() && self.swarm.would(Fault::DiskFull) {
            self.full_until_ms = Some(self.now_ms + self.dice.between(200, 8_000));
            self.disk.limit(Some(self.disk.used() + nth(&mut self.dice, 30_000)));
        }
    }

    /// Nobody answers the calls that a process was serving, but for those that have been answered.
    fn lost(&mut self, number: usize) {
        let open: Vec<u64> =
            self.served_by.iter().filter(|(_, (by, _))| *by == number).map(|(call, _)| *call).collect();
        let said: Vec<Outgoing> = self.outbox.take();
        let answered = |call: &u64| {
            said.iter().any(|outgoing| matches!(outgoing, Outgoing::Answered { call: of, .. } if of == call))
        };
        for call in open.into_iter().filter(|call| !answered(call)).collect::<Vec<_>>() {
            match self.served_by.remove(&call) {
                Some((_, Some(bank_call))) => {
                    self.banks[bank_call.bank].heard(bank_call, None, self.now_ms, &mut self.agenda)
                }
                _ => self.merchants.unanswered(call),
            }
        }
        self.outbox.put_back(said);
        self.operators.lost(number);
    }

    /// Accidents of processes, of the disk and of the machine.
    fn machine_acts(&mut self) -> Law {
        let now_ms = self.now_ms;
        self.restart()?;
        for at in (0..self.processes.len()).rev() {
            if at < self.processes.len() {
                self.process_acts(at, now_ms)?;
            }
        }
        self.disk_acts();
        let more = !self.processes.is_empty() && self.processes.len() < PROCESSES_MAX;
        if more && self.swarm.strikes(Fault::SecondProcess) {
            self.start_process()?;
        }
        for (fault, by) in [
            (Fault::HourForward, HOUR),
            (Fault::HourBack, -HOUR),
            (Fault::YearForward, 365 * DAY),
            (Fault::YearBack, -365 * DAY),
        ] {
            // While a request is on its way only a right clock can tell when it is too late for it.
            let possible = (self.clock_us + by).abs() <= 366 * DAY && !self.agenda.on_the_wire();
            if self.swarm.would(fault) && possible {
                self.swarm.counters.count(fault);
                self.step_clock(by);
            }
        }
        if !self.healed {
            let pause_ms = self.dice.between(50, 3_000);
            self.agenda.add(now_ms + pause_ms, Event::MachineActs);
        }
        Ok(())
    }

    fn process_acts(&mut self, at: usize, now_ms: i64) -> Law {
        let process = &mut self.processes[at];
        let number = process.number;
        if let Some(until_ms) = process.paused_until_ms {
            if until_ms <= now_ms || self.healed {
                process.paused_until_ms = None;
                process.jump(now_ms);
                self.note(format_args!("process {number} goes on"));
                self.aftermath(Some(at))?;
                self.auditor.look(&self.merchants)?;
            }
        } else if self.swarm.strikes(Fault::Zombie) {
            self.pause(at);
        } else if self.swarm.strikes(Fault::CrashAtRest) {
            self.kill(at, 0)?;
        } else if self.processes.len() == 1 && self.swarm.strikes(Fault::Stop) {
            let process = self.processes.remove(at);
            self.note(format_args!("process {number} stops"));
            process.stop();
            self.lost(number);
            self.aftermath(None)?;
            self.auditor.look(&self.merchants)?;
            self.auditor.close();
        }
        Ok(())
    }

    fn step_clock(&mut self, by_us: i64) {
        self.note(format_args!("the machine's clock is set by {by_us}"));
        self.clock_us += by_us;
        for process in &self.processes {
            process.app.clock.step(by_us);
        }
    }

    /// Nothing goes wrong from now on.
    fn heal(&mut self) {
        self.note(format_args!("everything is healed"));
        self.healed = true;
        self.swarm.heal();
        self.receivers.heal();
        self.disk.heal();
        self.step_clock(-self.clock_us);
        self.agenda.add(self.now_ms, Event::MachineActs);
    }

    /// Days pass until nothing is due any more.
    fn recover(&mut self) -> Law {
        // One process is enough; the others are sent away.
        self.step(self.now_ms + 1)?;
        while self.processes.len() > 1 {
            let process = self.processes.remove(0);
            let number = process.number;
            process.stop();
            self.lost(number);
        }
        let until_ms = self.now_ms + LONGEST_MS;
        while self.processes.is_empty() {
            // Every number of a process may be leased, until a clock that was wrong says so no more.
            self.step(i64::MAX)?;
        }
        for round in 0..ROUNDS_OF_DAYS_MAX {
            if round % ROUNDS_OF_A_LOOK == 0 {
                // What was asked for before may take effect only now.
                self.let_pay()?;
            }
            if round > ROUNDS_OF_QUESTIONS_MAX && !self.merchants.unsure.is_empty() {
                return Err(format!("I9: nobody ever answers {:?}", self.merchants.unsure));
            }
            while let Some(order) = self.merchants.unsure.pop() {
                let asked = self.merchants.create(order, false);
                self.ask(0, asked);
            }
            // What is at hand.
            let soon_ms = self.now_ms + 12_000;
            while self.now_ms < soon_ms {
                self.step(soon_ms)?;
            }
            if !self.merchants.unsure.is_empty() {
                continue;
            }
            let due_us = self.auditor.next_due_us()?;
            let due_ms = due_us.map(|due_us| (due_us - START.0) / 1_000);
            let next_ms = match (due_ms, self.agenda.next_ms()) {
                (None, None) => return self.all_answered(),
                (due, agenda) => due.unwrap_or(i64::MAX).min(agenda.unwrap_or(i64::MAX)),
            };
            if next_ms > until_ms {
                return Err(format!("I9: something is due only in {} days", (next_ms - self.now_ms) / HOUR_MS / 24));
            }
            if next_ms > self.now_ms + 2_000 {
                let to_ms = next_ms - 1_000;
                self.jump(to_ms)?;
            }
        }
        Err("I9: something is due for ever".to_owned())
    }

    /// Whoever has called a process that lives has his answer.
    fn all_answered(&self) -> Law {
        if let Some((call, (process, _))) = self.served_by.first_key_value() {
            return Err(format!("I9: process {process} has never answered call {call}"));
        }
        if let Some((call, ask)) = self.merchants.waiting.first_key_value() {
            return Err(format!("I9: nobody has ever answered call {call}: {ask:?}"));
        }
        match self.processes.iter().find_map(|process| self.operators.unfinished(process.number)) {
            Some(job) => Err(format!("I9: an operator's command has never ended: {job:?}")),
            None => Ok(()),
        }
    }

    /// The operator ends what he has begun: a hold, pauses.
    fn let_pay(&mut self) -> Law {
        self.started_before_hold = None;
        self.operators.released();
        let app = Arc::clone(&self.processes[0].app);
        let (hold, paused) = self.processes[0].ask(async {
            let held = admin::hold_status(&app).await?["on_hold"] == true;
            let hold =
                if held { Some(admin::hold_release(&app, "all is well", true, &operator()).await?) } else { None };
            let paused = app.store.connectors_paused().await.map_err(|error| error.to_string())?;
            for one in &paused {
                hundi::connectors::admin::resume(&app, one.connector.as_str(), &operator()).await?;
            }
            Ok::<_, String>((hold, paused.len()))
        })?;
        self.note(format_args!("the hold ends: {hold:?}; {paused} connectors go on"));
        self.sort_outgoing()
    }

    fn jump(&mut self, to_ms: i64) -> Law {
        self.processes[0].jump(to_ms);
        self.now_ms = to_ms;
        self.auditor.look(&self.merchants)?;
        self.sort_outgoing()
    }

    /// After 30 days an OrderID is still what it was.
    fn much_later(&mut self) -> Law {
        self.jump(self.now_ms + 30 * 24 * HOUR_MS)?;
        let soon_ms = self.now_ms + 5_000;
        while self.now_ms < soon_ms {
            self.step(soon_ms)?;
        }
        for _ in 0..AGAIN_LATER {
            let order = self.dice.below(self.merchants.orders.all.len());
            if self.merchants.orders.all[order].acknowledged {
                self.swarm.counters.count(Fault::DuplicateLater);
                let asked = self.merchants.create(order, false);
                self.ask(0, asked);
            }
        }
        let soon_ms = self.now_ms + 12_000;
        while self.now_ms < soon_ms {
            self.step(soon_ms)?;
        }
        match self.merchants.unsure.first() {
            None => Ok(()),
            Some(order) => {
                Err(format!("WIRE 7: after 30 days nobody knows {}", self.merchants.orders.all[*order].order_id))
            }
        }
    }

    /// All books are compared.
    fn at_rest(&mut self) -> Law {
        self.auditor.fold_all(&self.merchants)?;
        self.auditor.by_two()?;
        let all_agree = self.auditor.at_rest(&self.merchants)?;
        for (bank, name) in self.banks.iter().zip(bank::NAMES) {
            self.auditor.both_books(name, bank.paid_paise(), all_agree)?;
            self.auditor.credits(name, &bank.lines.credits)?;
        }
        for delivered in self.auditor.delivered()? {
            if !self.receivers.taken.contains(&delivered) {
                return Err(format!("I10: the callback {delivered:?} was delivered, and nobody has heard it"));
            }
        }
        self.lists()?;
        let app = Arc::clone(&self.processes[0].app);
        let report = self.processes[0].ask(hundi::verify::verify(&app.store, &app.keys, ""));
        let report = report.map_err(|error| format!("verify cannot read the store: {error}"))?;
        if !report.holds {
            let broken: Vec<_> = report.laws.iter().filter(|law| law.broken > 0).collect();
            return Err(format!("verify: {broken:?}"));
        }
        let digest = self.auditor.digest()?;
        self.note(format_args!("at rest: {digest}"));
        Ok(())
    }

    /// Every list, statement and export against the auditor's own.
    fn lists(&mut self) -> Law {
        let (process, auditor) = (&self.processes[0], &self.auditor);
        let payouts = auditor.payouts()?;
        for (number, merchant) in self.merchants.all.iter().enumerate() {
            let own = payouts.iter().filter(|payout| payout.merchant == number as i64 + 1);
            let expected: Vec<String> = own.map(|payout| payout.id.to_string()).collect();
            let page = self.dice.between(1, 9);
            let (mut listed, mut before) = (Vec::<String>::new(), None);
            loop {
                let lines = process.ask(admin::payout_list(&process.app, Some(&merchant.name), before, page))?;
                let ids: Vec<String> =
                    lines.as_array().into_iter().flatten().map(|line| text(&line["payout_id"])).collect();
                let Some(last) = ids.last() else { break };
                before = last.parse().ok();
                listed.extend(ids);
                if listed.len() > expected.len() {
                    break;
                }
            }
            if listed != expected {
                return Err(format!(
                    "the list of {} by pages of {page} is {listed:?}, not {expected:?}",
                    merchant.name
                ));
            }
            let ledger = auditor.ledgers.get(&(number as i64 + 1)).cloned().unwrap_or_default();
            let funded = ledger.rows.iter().filter(|row| row.0 == super::auditor::FUND).map(|row| row.1).collect();
            let arrived = self.banks.iter().flat_map(|bank| &bank.lines.credits);
            let arrived = arrived.filter(|credit| credit.merchant == Some(number)).map(|credit| credit.paise).collect();
            self.operators.check(number, funded, arrived)?;
            let lines = process.ask(admin::statement(&process.app, &merchant.name, None, None))?;
            let model: Vec<[String; 4]> = ledger
                .wallets
                .iter()
                .zip(&ledger.rows)
                .zip(1..)
                .map(|((wallet, row), seq)| {
                    let payout = row.2.map_or_else(String::new, |payout| payout.to_string());
                    [seq.to_string(), payout, rupees(row.1), rupees(*wallet)]
                })
                .collect();
            let columns = ["seq", "payout_id", "amount", "wallet_after"];
            let cell = |value: &serde_json::Value| match value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let told: Vec<[String; 4]> = lines.iter().map(|line| columns.map(|column| cell(&line[column]))).collect();
            if told != model {
                return Err(format!("the statement of {} is {told:?}, not {model:?}", merchant.name));
            }
            // No text of a run has a comma or a quote in it.
            let csv = admin::csv(&lines);
            let mut rows = csv.lines().map(|row| row.split(',').collect::<Vec<_>>());
            let head = rows.next().unwrap_or_default();
            let exported: Vec<[String; 4]> = rows
                .map(|row| {
                    columns.map(|column| {
                        let at = head.iter().position(|name| *name == column).filter(|_| row.len() == head.len());
                        at.map_or("?", |at| row[at]).to_owned()
                    })
                })
                .collect();
            if exported != model {
                return Err(format!("the export of {} is {exported:?}, not {model:?}", merchant.name));
            }
        }
        Ok(())
    }
}

/// Which bank is taken for what: as the order of the connectors says, or as rules and limits of the seed.
fn routes(config: &mut Config, swarm: &Swarm, dice: &mut Dice) {
    if swarm.banks < 2 {
        return;
    }
    let target = |bank: usize, priority, weight| Targets { connector: bank::NAMES[bank].to_owned(), priority, weight };
    let rails = |rails: &[&str]| rails.iter().map(|rail| (*rail).to_owned()).collect();
    config.routes = match dice.below(4) {
        0 => Vec::new(),
        1 => vec![Routes { targets: vec![target(0, 1, 1), target(1, 1, 3)], ..Routes::default() }],
        2 => vec![Routes { rails: rails(&["IMPS", "UPI"]), targets: vec![target(1, 1, 1)], ..Routes::default() }],
        _ => vec![Routes { amount_least: Some("2000".into()), targets: vec![target(1, 1, 1)], ..Routes::default() }],
    };
    if dice.permille(200) {
        let most = config::Limits { day_most: Some("100000".to_owned()), ..Default::default() };
        config.limits.insert(bank::NAMES[dice.below(2)].to_owned(), most);
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn rupees(paise: i64) -> String {
    format!("{}.{:02}", paise / 100, paise % 100)
}

/// The bytes of a secret as it is shown: `whsec_` and base64.
fn secret_bytes(shown: &str) -> Option<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(shown.strip_prefix("whsec_")?).ok()
}
