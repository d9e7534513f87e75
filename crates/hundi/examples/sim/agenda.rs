//! What is going to happen outside of the Hundi processes, by time.

use super::bank::{Call, Turning};
use super::process::Sent;
use super::statements::Statement;
use hundi::http_out::{OutError, OutReply};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Something that happens at its time.
pub enum Event {
    /// A request reaches the bank.
    BankHears(Sent),
    /// An answer reaches the process that waits for it, if it still does.
    Reply { to: oneshot::Sender<Result<OutReply, OutError>>, reply: Result<OutReply, OutError> },
    /// The bank decides, or takes back what it has paid.
    BankTurns(Turning),
    /// The bank, or somebody who says so, calls Hundi.
    BankCalls(Call),
    /// Somebody tells lies about a bank.
    RumoursSpread,
    /// A bank writes a statement.
    BankStates(usize),
    /// A bank's statement reaches the operator.
    StatementComes(Statement),
    /// A merchant does something.
    MerchantActs(usize),
    /// The operator does something.
    OperatorActs,
    /// A process, its disk or its machine has an accident, or is repaired.
    MachineActs,
    /// A process is started, if none runs.
    ProcessStarts,
}

/// Events in the order of their times, and of their coming where those are equal.
#[derive(Default)]
pub struct Agenda {
    queue: BTreeMap<(i64, u64), Event>,
    next: u64,
}

impl Agenda {
    pub fn add(&mut self, at_ms: i64, event: Event) {
        self.queue.insert((at_ms, self.next), event);
        self.next += 1;
    }

    /// When the next one happens.
    pub fn next_ms(&self) -> Option<i64> {
        self.queue.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// Takes the next one, if it has come by then.
    pub fn pop(&mut self, now_ms: i64) -> Option<Event> {
        let first = self.queue.first_entry().filter(|entry| entry.key().0 <= now_ms)?;
        Some(first.remove())
    }

    /// Whether a request is on its way to the bank.
    pub fn on_the_wire(&self) -> bool {
        self.queue.values().any(|event| matches!(event, Event::BankHears(_)))
    }
}
