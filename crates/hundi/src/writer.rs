//! THE ONLY WRITER: gather, read and lock, decide, write, commit, answer.
//!
//! ```text
//! callers --queue--> gather (up to batch_max, never waiting when idle)
//!                      -> one transaction: load the snapshot, decide each command, write everything, commit
//!                      -> answer each caller; tell the worker, the waiting answers and the callbacks what is new
//! ```
//!
//! A refusal never spoils its batch. A statement that the database refuses makes the batch run again one by one, so that
//! one poisonous row harms only itself; when another transaction was in the way or the connection was lost before the
//! commit, nothing was written and the batch runs again. When the disk, the lock or a commit fails, every caller hears
//! "unknown" and may ask again with the same key.
//!
//! On PostgreSQL several batches run at once, each in a lane with merchants of its own: what one merchant asks stays in
//! order, and nobody waits for another merchant's lock. Within a lane merchants take turns.

use crate::store::batch::{self, Loaded};
use crate::store::rows::{self, Plain};
use crate::store::statements::Bulk;
use crate::store::{StoreError, Tx};
use crate::worker::{self, Started};
use crate::{App, callbacks};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hundi_core::command::{Command, Decision, Transition, decide};
use hundi_core::ids::MerchantId;
use hundi_core::plant::{Plant, planted};
use hundi_core::schedule::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// How often a batch runs again because another transaction was in the way, and because the connection was lost.
const AGAIN_MAX: u32 = 3;
const LOST_MAX: u32 = 6;

/// Nobody knows whether it was done; the caller may ask again with the same key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// Too much is waiting; nothing was done.
    Overload,
    /// The store failed.
    Store(StoreError),
    /// The writer has stopped.
    Stopped,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unknown::Overload => f.write_str("too many commands are waiting"),
            Unknown::Store(error) => error.fmt(f),
            Unknown::Stopped => f.write_str("the writer has stopped"),
        }
    }
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub struct Handle {
    jobs: mpsc::UnboundedSender<Job>,
    /// A place for each job that waits.
    places: Arc<Semaphore>,
    places_max: usize,
}

/// The writer's end of the queue.
#[derive(Debug)]
pub struct Queue {
    jobs: mpsc::UnboundedReceiver<Job>,
    /// One merchant's jobs may take so many places; what he offers beyond them is turned away.
    per_merchant_max: usize,
}

#[derive(Debug)]
struct Job {
    /// Whose wallet it needs; the house's if none, or if only the store can tell.
    whose: MerchantId,
    /// Whether its caller can be told that too much is waiting.
    offered: bool,
    /// Free again once a batch takes the task.
    _place: OwnedSemaphorePermit,
    task: Task,
}

/// What a batch takes of a job.
#[derive(Debug)]
struct Task {
    work: Work,
    answer: oneshot::Sender<Result<Answer, Unknown>>,
}

#[derive(Debug)]
enum Work {
    /// A command to decide.
    Command(Command),
    /// A create, and the start that follows it at once if it is accepted: the payout is never seen queued, and one commit
    /// is saved.
    Payment(Box<Payment>),
    /// Rows that decide nothing, and a command after them where there is one.
    Plain(Plain, Option<Command>),
    /// Many rows that decide nothing.
    Bulk(Bulk),
}

/// A create and the start that follows it.
#[derive(Debug)]
pub struct Payment {
    /// The create.
    pub create: Command,
    /// The start of the same payout.
    pub start: Command,
    /// When the start was asked for, by the clock that counts suspension.
    pub boot_us: i64,
    /// A place in the worker's queue, so that what is started is also sent.
    pub slot: mpsc::OwnedPermit<worker::Taken>,
}

/// What came of a job: how many rows the first statement changed, and the decision.
#[derive(Debug)]
struct Answer {
    changed: u64,
    decision: Option<Decision>,
    /// The start of a payment that was accepted.
    started: Option<Box<Transition>>,
}

/// A queue for so many jobs.
pub fn queue(length: usize) -> (Handle, Queue) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handle = Handle { jobs: sender, places: Arc::new(Semaphore::new(length)), places_max: length };
    (handle, Queue { jobs: receiver, per_merchant_max: length.div_ceil(4) * 3 })
}

impl Handle {
    /// How many jobs wait for the writer.
    pub fn waiting(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// Has a command decided; gives up at once if too much is waiting.
    pub async fn offer(&self, command: Command) -> Result<Decision, Unknown> {
        self.offer_work(Work::Command(command)).await
    }

    /// Has a create decided, and the start of the new payout with it if it is accepted. Gives back what came of the
    /// create; the worker hears of the start.
    pub async fn offer_payment(&self, payment: Payment) -> Result<Decision, Unknown> {
        self.offer_work(Work::Payment(Box::new(payment))).await
    }

    async fn offer_work(&self, work: Work) -> Result<Decision, Unknown> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Unknown::Overload)?;
        let whose = work.whose();
        decision(self.queue(whose, work, place, true)?).await
    }

    /// Has a command decided; waits its turn. For Hundi's own work, which only it can do.
    pub async fn execute(&self, command: Command) -> Result<Decision, Unknown> {
        let work = Work::Command(command);
        decision(self.send(work.whose(), work).await?).await
    }

    /// Has a bank's word about a payout of this merchant decided. `plain` keeps the message that it came in, in the same
    /// transaction. Of a reference that nobody knows, the house is told.
    pub async fn record(&self, whose: MerchantId, plain: Option<Plain>, command: Command) -> Result<Decision, Unknown> {
        let work = match plain {
            Some(plain) => Work::Plain(plain, Some(command)),
            None => Work::Command(command),
        };
        decision(self.send(whose, work).await?).await
    }

    /// Writes plain rows of the house; gives back how many rows the first statement changed.
    pub async fn write(&self, plain: Plain) -> Result<u64, Unknown> {
        self.write_for(MerchantId::HOUSE, plain).await
    }

    /// Writes plain rows of a merchant, after all that he has asked before.
    pub async fn write_for(&self, whose: MerchantId, plain: Plain) -> Result<u64, Unknown> {
        let answered = self.send(whose, Work::Plain(plain, None)).await?;
        answered.await.map_err(|_| Unknown::Stopped)?.map(|answer| answer.changed)
    }

    /// Writes many plain rows at once; gives back how many that changed.
    pub async fn write_bulk(&self, bulk: Bulk) -> Result<u64, Unknown> {
        let answered = self.send(MerchantId::HOUSE, Work::Bulk(bulk)).await?;
        answered.await.map_err(|_| Unknown::Stopped)?.map(|answer| answer.changed)
    }

    async fn send(&self, whose: MerchantId, work: Work) -> Result<oneshot::Receiver<Result<Answer, Unknown>>, Unknown> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Unknown::Stopped)?;
        self.queue(whose, work, place, false)
    }

    fn queue(
        &self,
        whose: MerchantId,
        work: Work,
        place: OwnedSemaphorePermit,
        offered: bool,
    ) -> Result<oneshot::Receiver<Result<Answer, Unknown>>, Unknown> {
        let (answer, answered) = oneshot::channel();
        self.jobs
            .send(Job { whose, offered, _place: place, task: Task { work, answer } })
            .map_err(|_| Unknown::Stopped)?;
        Ok(answered)
    }
}

async fn decision(answered: oneshot::Receiver<Result<Answer, Unknown>>) -> Result<Decision, Unknown> {
    let answer = answered.await.map_err(|_| Unknown::Stopped)??;
    // A command was sent, so a decision came back.
    answer.decision.ok_or(Unknown::Stopped)
}

impl Job {
    /// What was offered by somebody who has been told "unknown" meanwhile need not be done: he asks again.
    fn is_wanted(&self) -> bool {
        !(self.offered && self.task.answer.is_closed())
    }
}

/// What waits for a batch, by lane.
struct Desk {
    lanes: Vec<Lane>,
    per_merchant_max: usize,
}

struct Lane {
    /// By merchant, each in the order in which it came.
    queues: BTreeMap<MerchantId, VecDeque<Job>>,
    /// Who has the first turn.
    turn: MerchantId,
    busy: bool,
}

impl Desk {
    fn new(lanes: usize, per_merchant_max: usize) -> Desk {
        let lanes =
            (0..lanes).map(|_| Lane { queues: BTreeMap::new(), turn: MerchantId::HOUSE, busy: false }).collect();
        Desk { lanes, per_merchant_max }
    }

    fn add(&mut self, job: Job) {
        // The house has a lane of its own where there are several.
        let (house, others) = (self.lanes.len() - 1, (self.lanes.len() - 1).max(1));
        let at = if job.whose == MerchantId::HOUSE { house } else { job.whose.0.unsigned_abs() as usize % others };
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let queue = lane.queues.entry(job.whose).or_default();
        if job.offered && queue.len() >= self.per_merchant_max {
            // The places that are left are for the other merchants.
            drop(job.task.answer.send(Err(Unknown::Overload)));
        } else {
            queue.push_back(job);
        }
    }

    /// A lane that has work and no batch, with a batch for it.
    fn next_batch(&mut self, most: usize) -> Option<(usize, Vec<Task>)> {
        let ready = |lane: &Lane| !lane.busy && !lane.queues.is_empty();
        let at = self.lanes.iter().position(ready)?;
        let lane = self.lanes.get_mut(at)?;
        lane.busy = true;
        Some((at, lane.take(most)))
    }

    fn ended(&mut self, lane: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.busy = false;
        }
    }
}

impl Lane {
    /// A batch in which all merchants that wait have the same share, as far as they need it.
    fn take(&mut self, most: usize) -> Vec<Task> {
        let waiting: usize = self.queues.values().map(VecDeque::len).sum();
        let mut batch = Vec::with_capacity(waiting.min(most));
        if waiting <= most {
            let all = std::mem::take(&mut self.queues).into_values().flatten();
            batch.extend(all.filter(Job::is_wanted).map(|job| job.task));
            return batch;
        }
        while batch.len() < most {
            let next = self.queues.range(self.turn..).next().or_else(|| self.queues.iter().next());
            let Some(merchant) = next.map(|(merchant, _)| *merchant) else { break };
            self.turn = MerchantId(merchant.0.saturating_add(1));
            let Some(queue) = self.queues.get_mut(&merchant) else { break };
            batch.extend(queue.pop_front().filter(Job::is_wanted).map(|job| job.task));
            if queue.is_empty() {
                self.queues.remove(&merchant);
            }
        }
        batch
    }
}

/// Writes until `stop` is told or the last handle is gone, then what is still waiting.
pub async fn run(app: &App, mut queue: Queue, mut stop: tokio::sync::watch::Receiver<bool>) {
    let lanes = if app.store.shared() { app.config.writer.lanes + 1 } else { 1 };
    let mut desk = Desk::new(lanes, queue.per_merchant_max);
    let mut running = FuturesUnordered::new();
    let mut arrived = Vec::new();
    let (mut open, mut stopping) = (true, false);
    loop {
        while let Ok(job) = queue.jobs.try_recv() {
            desk.add(job);
        }
        while let Some((lane, tasks)) = desk.next_batch(app.config.writer.batch_max) {
            running.push(async move {
                run_batch(app, tasks).await;
                lane
            });
        }
        if !open && running.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            Some(lane) = running.next() => desk.ended(lane),
            gathered = queue.jobs.recv_many(&mut arrived, app.config.writer.batch_max), if open => {
                open = gathered > 0;
                arrived.drain(..).for_each(|job| desk.add(job));
            }
            () = crate::told_to_stop(&mut stop), if !stopping => {
                // What was queued is still done; what comes later is told that the writer has stopped.
                stopping = true;
                queue.jobs.close();
            }
        }
    }
}

/// Runs one batch to its end: every caller gets an answer.
async fn run_batch(app: &App, tasks: Vec<Task>) {
    if tasks.is_empty() {
        return;
    }
    let works: Vec<&Work> = tasks.iter().map(|task| &task.work).collect();
    match transact_again(app, &works).await {
        Ok((answers, uncommitted)) => {
            for (task, answer) in tasks.into_iter().zip(answers) {
                finish(app, task, Ok(answer));
            }
            if let Some(tx) = uncommitted {
                // Long enough for a merchant to hear it.
                tokio::time::sleep(Duration::from_millis(1)).await;
                drop(tx.commit().await);
            }
        }
        Err(
            StoreError::Statement(_)
            | StoreError::Conflict
            | StoreError::Corrupt(_)
            | StoreError::Again(_)
            | StoreError::Unsafe,
        ) if tasks.len() > 1 => {
            for task in tasks {
                let result = transact_again(app, &[&task.work]).await.map(|(mut answers, _)| answers.pop());
                if let Err(error) = &result {
                    tracing::error!(%error, "a job was not written; its caller is told that the outcome is unknown");
                    app.metrics.store_errors.inc();
                }
                let result = result.map_err(Unknown::Store).and_then(|answer| answer.ok_or(Unknown::Stopped));
                finish(app, task, result);
            }
        }
        Err(error) => {
            tracing::error!(%error, jobs = tasks.len(), "a batch was not written; its callers are told that the outcome is unknown");
            app.metrics.store_errors.inc();
            app.hub.write_failed_us.store(app.clock.boot_us(), Ordering::Relaxed);
            if matches!(error, StoreError::Disk(_)) {
                // Nothing is gained by failing as fast as callers can ask.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            for task in tasks {
                finish(app, task, Err(Unknown::Store(error.clone())));
            }
        }
    }
}

/// One transaction, and once more where nothing was written for a reason that may pass.
async fn transact_again<'a>(app: &'a App, works: &[&Work]) -> Result<Transacted<'a>, StoreError> {
    let (mut again, mut lost) = (0, 0);
    loop {
        let pause_ms = match transact(app, works).await {
            Err(StoreError::Again(error)) if again < AGAIN_MAX => {
                again += 1;
                tracing::debug!(%error, "another transaction was in the way; the batch runs again");
                5 << again
            }
            Err(StoreError::Lost(error)) if lost < LOST_MAX => {
                lost += 1;
                tracing::warn!(%error, "the database was lost before a commit; the batch runs again");
                20 << lost
            }
            result => return result,
        };
        // Those that were in each other's way do not meet again.
        tokio::time::sleep(Duration::from_millis(pause_ms + u64::from(app.clock.jitter()) % pause_ms)).await;
    }
}

/// The answers, and the transaction if it is not committed: only where [`Plant::ReplyBeforeCommit`] is planted.
type Transacted<'a> = (Vec<Answer>, Option<Tx<'a>>);

/// One transaction: read, decide, write, commit.
async fn transact<'a>(app: &'a App, works: &[&Work]) -> Result<Transacted<'a>, StoreError> {
    let mut tx = app.store.begin().await?;
    if !app.store.durable() && works.iter().any(|work| matches!(work.commands()[0], Some(Command::CreatePayout(_)))) {
        return Err(StoreError::Unsafe);
    }
    let now = app.clock.now();
    let commands: Vec<&Command> = works.iter().flat_map(|work| work.commands()).flatten().collect();
    let mut loaded = batch::load(&mut tx, &commands, &app.rules).await?;
    let mut rows = 0;
    let mut answers = Vec::with_capacity(works.len());
    for work in works {
        let changed = match work {
            Work::Command(_) | Work::Payment(_) => 0,
            Work::Plain(plain, _) => {
                let changed = write_plain(&mut tx, plain).await?;
                rows += changed.all;
                changed.first
            }
            Work::Bulk(bulk) => {
                let changed = bulk.write(&mut tx).await?;
                rows += changed;
                changed
            }
        };
        let [command, then] = work.commands();
        let decision = command.map(|command| decide(&mut loaded.snapshot, &app.rules, command, now));
        let accepted = matches!(&decision, Some(Decision::Done(created)) if !created.journal.is_empty());
        let started = then.filter(|_| accepted).map(|start| decide(&mut loaded.snapshot, &app.rules, start, now));
        let started = match started {
            Some(Decision::Done(transition)) => Some(transition),
            // It stays queued, and the worker takes it from there.
            Some(Decision::Repeat(_) | Decision::Refused(_)) | None => None,
        };
        answers.push(Answer { changed, decision, started });
    }
    rows += write(app, &mut tx, &mut loaded, &answers, now).await?;
    let repeats = answers.iter().any(|answer| matches!(answer.decision, Some(Decision::Repeat(_))));
    if rows == 0 && repeats && app.store.synchronous() {
        // What is told again may have been committed here and, its commit cut short, nowhere else.
        rows += write_plain(&mut tx, &rows::meta_touch(now)).await?.all;
    }
    if planted(Plant::ReplyBeforeCommit) && commands.iter().any(|one| matches!(one, Command::CreatePayout(_))) {
        return Ok((answers, Some(tx)));
    }
    if rows > 0 {
        let began = tokio::time::Instant::now();
        tx.commit().await?;
        app.metrics.committed(works.len(), rows, began.elapsed());
    }
    Ok((answers, None))
}

async fn write(
    app: &App,
    tx: &mut Tx<'_>,
    loaded: &mut Loaded,
    answers: &[Answer],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut transitions: Vec<&Transition> = Vec::with_capacity(answers.len());
    for answer in answers {
        if let Some(Decision::Done(transition)) = &answer.decision {
            transitions.push(transition);
        }
        transitions.extend(answer.started.as_deref());
    }
    batch::write(tx, loaded, &transitions, app.keys.journal(), now).await
}

/// How many rows a plain write changed.
pub(crate) struct Changed {
    /// By its first statement, which decides.
    pub first: u64,
    /// By all of them.
    pub all: u64,
}

/// Runs the statements of a plain write in order; stops after the first if that changed nothing.
pub(crate) async fn write_plain(tx: &mut Tx<'_>, plain: &Plain) -> Result<Changed, StoreError> {
    let (mut first, mut all) = (None, 0);
    for (sql, values) in plain.steps() {
        let args: Vec<_> = values.iter().map(crate::store::Value::arg).collect();
        let changed = tx.execute(sql, &args).await?;
        all += changed;
        if *first.get_or_insert(changed) == 0 {
            break;
        }
    }
    Ok(Changed { first: first.unwrap_or(0), all })
}

/// Answers the caller and tells everybody else what is new. Only now: it is committed.
fn finish(app: &App, task: Task, result: Result<Answer, Unknown>) {
    let Task { work, answer } = task;
    if let Ok(Answer { decision: Some(Decision::Done(transition)), started, .. }) = &result {
        app.metrics.decided(transition);
        if let Some(why) = &transition.hold {
            tracing::error!(%why, "Hundi is on hold: nothing is started and nothing new is taken; see `hundi hold status`");
        }
        if planted(Plant::EventAfterCommit) {
            transition.callbacks.iter().for_each(|callback| callbacks::enqueue_late(app, callback));
        }
        match (started, work) {
            (Some(started), Work::Payment(payment)) => {
                app.metrics.decided(started);
                if let Some(started) = Started::new(started, payment.boot_us) {
                    payment.slot.send(worker::Taken::Started(started));
                }
            }
            _ => app.hub.publish(transition),
        }
    }
    // A caller that has gone away does not want the answer; what was decided stands.
    drop(answer.send(result));
}

impl Work {
    /// Whose wallet it needs, as far as it says so itself.
    fn whose(&self) -> MerchantId {
        match self.commands()[0] {
            Some(Command::CreatePayout(order)) => order.merchant,
            Some(
                Command::Start { merchant, .. }
                | Command::Enquire { merchant, .. }
                | Command::Wait { merchant, .. }
                | Command::Recognise { merchant, .. }
                | Command::Expire { merchant, .. }
                | Command::Cancel { merchant, .. }
                | Command::Fund { merchant, .. },
            ) => *merchant,
            Some(
                Command::Record { .. } | Command::Credit { .. } | Command::Approve { .. } | Command::Reject { .. },
            )
            | None => MerchantId::HOUSE,
        }
    }

    /// The commands, in order; the second only if the first is accepted.
    fn commands(&self) -> [Option<&Command>; 2] {
        match self {
            Work::Command(command) => [Some(command), None],
            Work::Payment(payment) => [Some(&payment.create), Some(&payment.start)],
            Work::Plain(_, command) => [command.as_ref(), None],
            Work::Bulk(_) => [None, None],
        }
    }
}
