//! THE ONLY WRITER: gather, read and lock, decide, write, commit, answer.
//!
//! ```text
//! callers --queue--> gather (up to batch_max, never waiting when idle)
//!                      -> one transaction: load the snapshot, decide each command, write everything, commit
//!                      -> answer each caller; tell the worker, the waiting answers and the callbacks what is new
//! ```
//!
//! A refusal never spoils its batch. A statement that the database refuses makes the batch run again one by one, so that
//! one poisonous row harms only itself. When the disk or the lock fails, every caller hears "unknown" and may ask again
//! with the same key.

use crate::App;
use crate::store::StoreError;
use crate::store::batch::{self, Loaded};
use crate::store::rows::Plain;
use crate::worker::{Started, Taken};
use hundi_core::command::{Command, Decision, Transition, decide};
use hundi_core::schedule::Timestamp;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

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
pub struct Handle(mpsc::Sender<Job>);

/// The writer's end of the queue.
#[derive(Debug)]
pub struct Queue(mpsc::Receiver<Job>);

#[derive(Debug)]
struct Job {
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
    pub slot: mpsc::OwnedPermit<Taken>,
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
    let (sender, receiver) = mpsc::channel(length);
    (Handle(sender), Queue(receiver))
}

impl Handle {
    /// How many jobs wait for the writer.
    pub fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
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
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Job { work, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unknown::Overload,
            mpsc::error::TrySendError::Closed(_) => Unknown::Stopped,
        })?;
        decision(answered).await
    }

    /// Has a command decided; waits its turn. For Hundi's own work, which only it can do.
    pub async fn execute(&self, command: Command) -> Result<Decision, Unknown> {
        decision(self.send(Work::Command(command)).await?).await
    }

    /// Writes plain rows; gives back how many rows the first statement changed.
    pub async fn write(&self, plain: Plain) -> Result<u64, Unknown> {
        let answered = self.send(Work::Plain(plain, None)).await?;
        answered.await.map_err(|_| Unknown::Stopped)?.map(|answer| answer.changed)
    }

    /// Writes plain rows and has a command decided in the same transaction: a bank's message and its effect.
    pub async fn write_and_execute(&self, plain: Plain, command: Command) -> Result<Decision, Unknown> {
        decision(self.send(Work::Plain(plain, Some(command))).await?).await
    }

    async fn send(&self, work: Work) -> Result<oneshot::Receiver<Result<Answer, Unknown>>, Unknown> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Job { work, answer }).await.map_err(|_| Unknown::Stopped)?;
        Ok(answered)
    }
}

async fn decision(answered: oneshot::Receiver<Result<Answer, Unknown>>) -> Result<Decision, Unknown> {
    let answer = answered.await.map_err(|_| Unknown::Stopped)??;
    // A command was sent, so a decision came back.
    answer.decision.ok_or(Unknown::Stopped)
}

/// Writes until `stop` is told or the last handle is gone, then what is still waiting.
pub async fn run(app: &App, mut queue: Queue, mut stop: tokio::sync::watch::Receiver<bool>) {
    let mut jobs = Vec::with_capacity(app.config.writer.batch_max);
    loop {
        tokio::select! {
            biased;
            gathered = queue.0.recv_many(&mut jobs, app.config.writer.batch_max) => if gathered == 0 { return },
            () = crate::told_to_stop(&mut stop) => {
                // What was queued is still done; what comes later is told that the writer has stopped.
                queue.0.close();
                while queue.0.recv_many(&mut jobs, app.config.writer.batch_max).await > 0 {
                    run_batch(app, std::mem::take(&mut jobs)).await;
                }
                return;
            }
        }
        run_batch(app, std::mem::take(&mut jobs)).await;
    }
}

/// Runs one batch to its end: every caller gets an answer.
async fn run_batch(app: &App, jobs: Vec<Job>) {
    let works: Vec<&Work> = jobs.iter().map(|job| &job.work).collect();
    match transact(app, &works).await {
        Ok(answers) => {
            for (job, answer) in jobs.into_iter().zip(answers) {
                finish(app, job, Ok(answer));
            }
        }
        Err(StoreError::Statement(_) | StoreError::Conflict | StoreError::Corrupt(_)) if jobs.len() > 1 => {
            for job in jobs {
                let result = transact(app, &[&job.work]).await.map(|mut answers| answers.pop());
                if let Err(error) = &result {
                    tracing::error!(%error, "a job was not written; its caller is told that the outcome is unknown");
                    app.metrics.store_errors.inc();
                }
                let result = result.map_err(Unknown::Store).and_then(|answer| answer.ok_or(Unknown::Stopped));
                finish(app, job, result);
            }
        }
        Err(error) => {
            tracing::error!(%error, jobs = jobs.len(), "a batch was not written; its callers are told that the outcome is unknown");
            app.metrics.store_errors.inc();
            app.hub.write_failed_us.store(app.clock.boot_us(), Ordering::Relaxed);
            if matches!(error, StoreError::Disk(_)) {
                // Nothing is gained by failing as fast as callers can ask.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            for job in jobs {
                finish(app, job, Err(Unknown::Store(error.clone())));
            }
        }
    }
}

/// One transaction: read, decide, write, commit.
async fn transact(app: &App, works: &[&Work]) -> Result<Vec<Answer>, StoreError> {
    let mut tx = app.store.begin().await?;
    let now = app.clock.now();
    let commands: Vec<&Command> = works.iter().flat_map(|work| work.commands()).flatten().collect();
    let mut loaded = batch::load(&mut tx, &commands).await?;
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
    if rows > 0 {
        let began = tokio::time::Instant::now();
        tx.commit().await?;
        app.metrics.committed(works.len(), rows, began.elapsed());
    }
    Ok(answers)
}

async fn write(
    app: &App,
    tx: &mut crate::store::Tx<'_>,
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
pub(crate) async fn write_plain(tx: &mut crate::store::Tx<'_>, plain: &Plain) -> Result<Changed, StoreError> {
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
fn finish(app: &App, job: Job, result: Result<Answer, Unknown>) {
    let Job { work, answer } = job;
    if let Ok(Answer { decision: Some(Decision::Done(transition)), started, .. }) = &result {
        app.metrics.decided(transition);
        match (started, work) {
            (Some(started), Work::Payment(payment)) => {
                app.metrics.decided(started);
                if let Some(started) = Started::new(started, payment.boot_us) {
                    payment.slot.send(Taken::Started(started));
                }
            }
            _ => app.hub.publish(transition),
        }
    }
    // A caller that has gone away does not want the answer; what was decided stands.
    drop(answer.send(result));
}

impl Work {
    /// The commands, in order; the second only if the first is accepted.
    fn commands(&self) -> [Option<&Command>; 2] {
        match self {
            Work::Command(command) => [Some(command), None],
            Work::Payment(payment) => [Some(&payment.create), Some(&payment.start)],
            Work::Plain(_, command) => [command.as_ref(), None],
        }
    }
}
