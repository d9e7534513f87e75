//! The payout and the one `match` that decides what it becomes.
//!
//! [`step`] is the table: `(state, event) => (next state, money, what then)`. Nothing else writes a state. Every fact
//! from a bank names its attempt; only the attempt in progress, or the one that paid, moves the payout. What the table
//! does not expect changes nothing: it holds the payout and raises an exception for the operator.

use crate::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use crate::money::Amount;
use crate::party::PersonName;
use crate::postings::Cost;
use crate::rails::{Rail, RailSet};
use crate::schedule::Timestamp;

/// Where a payout is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Accepted and reserved; nothing is at a bank.
    Queued = 1,
    /// The intent to send is committed; the bank may or may not have it.
    Sending = 2,
    /// The bank has said that it has it.
    Sent = 3,
    /// The bank has said that it paid.
    Paid = 4,
    /// It will never be paid; no money is reserved.
    Failed = 5,
    /// Cancelled before it was sent.
    Cancelled = 6,
    /// Paid, and taken back by the bank.
    Reversed = 7,
}

impl State {
    /// All states.
    pub const ALL: [State; 7] =
        [State::Queued, State::Sending, State::Sent, State::Paid, State::Failed, State::Cancelled, State::Reversed];

    /// The state with this number.
    pub fn from_number(number: i64) -> Option<State> {
        State::ALL.into_iter().find(|state| *state as i64 == number)
    }

    /// The state's name in lower case, as lists and metrics print it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Sent => "sent",
            State::Paid => "paid",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Reversed => "reversed",
        }
    }

    /// Whether money is reserved for it.
    pub const fn is_open(self) -> bool {
        matches!(self, State::Queued | State::Sending | State::Sent)
    }
}

/// How the attempt that a fact speaks of stands to the payout.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It is in progress.
    Open,
    /// It is the one that paid.
    Paying,
    /// It ended without paying.
    Closed,
    /// We believe that not a byte of it has left us, so that it is not counted.
    Unsent,
}

/// What can happen to a payout.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event {
    /// A worker claims it and will send it.
    Start,
    /// The operator cancels it.
    Cancel,
    /// `queue_until` has passed.
    Expire,
    /// A fact about one of its attempts.
    Fact(Standing, Fact),
    /// Two people say that an attempt has paid it.
    DeclarePaid(Standing),
    /// Two people say that it will never be paid.
    DeclareFailed,
    /// Two people let a held payout be sent again.
    Resume,
    /// What a bank paid although we had closed the attempt was collected from the merchant, or written off.
    Borne,
    /// Two people have resolved the last open exception of a payout.
    Resolved,
}

/// What a bank said, or did not say, about an attempt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fact {
    /// No byte of the request left us.
    NotWritten,
    /// The bank has the order and has not decided.
    Accepted,
    /// Time-out, reset, 5xx, garbage, deemed, not found: nothing is known.
    Silent,
    /// The bank paid exactly this amount.
    Paid,
    /// The bank says that it paid another amount.
    PaidOther,
    /// The bank will not pay.
    Refused,
    /// The bank will not pay over this rail, which the beneficiary's account does not take; over another one it may.
    RailRefused,
    /// The bank's contract says that by now it never will have executed it.
    NotExecuted,
    /// The bank paid and has taken it back.
    Reversed,
}

/// How much room a payout has to be tried again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Room {
    /// Fewer attempts than `attempts_max` have been made.
    pub attempts: bool,
    /// The refusal lets another connector try, or another rail, and one is left.
    pub connector: bool,
}

/// What happens to the reserved money.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Money {
    /// Nothing moves.
    Still,
    /// Back to the wallet.
    Release,
    /// Out to the bank.
    Settle,
    /// Back from the bank.
    Restore,
    /// Out and back: the success was never heard of.
    SettleThenRestore,
}

/// What a merchant is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum News {
    /// Paid.
    Success = 1,
    /// The bank has it and has not decided.
    Pending = 2,
    /// Failed or cancelled.
    Failure = 3,
    /// Taken back after a success.
    Reversal = 4,
}

impl News {
    /// The word of the merchant API (WIRE, "Callback").
    pub const fn as_str(self) -> &'static str {
        match self {
            News::Success => "Success",
            News::Pending => "Pending",
            News::Failure => "Failure",
            News::Reversal => "Reversal",
        }
    }

    /// The news with this number.
    pub fn from_number(number: i64) -> Option<News> {
        [News::Success, News::Pending, News::Failure, News::Reversal].into_iter().find(|news| *news as i64 == number)
    }
}

/// When the payout is due next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// Never: it has ended.
    Never,
    /// At once, for a worker to start it.
    AtOnce,
    /// After a pause, for a worker to start it.
    AfterPause,
    /// When the schedule says, for an enquiry.
    Enquiry,
    /// As before.
    Unchanged,
}

/// What is out of the ordinary and needs a person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ExceptionKind {
    /// An attempt that we had closed turns out to have paid; the payout is paid by it.
    PaidAfterClosed = 1,
    /// A fact that contradicts what is known; nothing moved, the payout is held.
    Contradiction = 2,
    /// The bank paid another amount than was ordered.
    AmountDiffers = 3,
    /// A bank spoke of a reference that we do not know.
    UnknownReference = 4,
    /// The enquiry schedule is at its end and the bank has not decided.
    NoAnswer = 5,
    /// We settled a payout, and the statement of that time has no debit for it.
    PaidHereOnly = 6,
    /// The statement has a debit for an attempt by which nothing is paid here; nothing moved, the payout is held.
    PaidThereOnly = 7,
    /// The statement has a second debit under one reference.
    PaidTwice = 8,
    /// A debit that belongs to no payout.
    UnknownDebit = 9,
    /// A credit that has funded no wallet and returns no payout; the house's suspense has it, or nobody if it returns
    /// something.
    UnknownCredit = 10,
    /// The statement was the first to say that a payout came back; the merchant has the money again.
    ReversalUnannounced = 11,
    /// A statement does not begin where the one before it ended, or does not add up: lines are missing.
    StatementGap = 12,
    /// The bank says that it paid by an attempt that we had closed; nothing moved, the payout is held.
    PaidUnexpectedly = 13,
    /// Whether the bank has a file of ours is not known: it was about to be named, and is not there any more. It is not
    /// written again.
    FileInDoubt = 15,
    /// A file that the bank left for us cannot be used, or not all of it.
    FileUnreadable = 16,
    /// A wallet was funded by hand, and the statement of that time has no such credit.
    CreditMissing = 18,
    /// A credit has another amount than what was booked by hand under its reference; nothing moved.
    CreditDiffers = 19,
    /// A credit may be one that is booked already: told again under another name, or twice under one; nothing moved.
    CreditDoubtful = 20,
    /// The bank has said that a payout came back, and the statement of that time has no credit for it, though the debit is
    /// there.
    ReturnMissing = 21,
}

impl ExceptionKind {
    /// All kinds.
    pub const ALL: [ExceptionKind; 19] = [
        ExceptionKind::PaidAfterClosed,
        ExceptionKind::Contradiction,
        ExceptionKind::AmountDiffers,
        ExceptionKind::UnknownReference,
        ExceptionKind::NoAnswer,
        ExceptionKind::PaidHereOnly,
        ExceptionKind::PaidThereOnly,
        ExceptionKind::PaidTwice,
        ExceptionKind::UnknownDebit,
        ExceptionKind::UnknownCredit,
        ExceptionKind::ReversalUnannounced,
        ExceptionKind::StatementGap,
        ExceptionKind::PaidUnexpectedly,
        ExceptionKind::FileInDoubt,
        ExceptionKind::FileUnreadable,
        ExceptionKind::CreditMissing,
        ExceptionKind::CreditDiffers,
        ExceptionKind::CreditDoubtful,
        ExceptionKind::ReturnMissing,
    ];

    /// The kind with this number.
    pub fn from_number(number: i64) -> Option<ExceptionKind> {
        ExceptionKind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<ExceptionKind> {
        ExceptionKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind's name, as lists print it.
    pub const fn name(self) -> &'static str {
        match self {
            ExceptionKind::PaidAfterClosed => "paid_after_closed",
            ExceptionKind::Contradiction => "contradiction",
            ExceptionKind::AmountDiffers => "amount_differs",
            ExceptionKind::UnknownReference => "unknown_reference",
            ExceptionKind::NoAnswer => "no_answer",
            ExceptionKind::PaidHereOnly => "paid_here_only",
            ExceptionKind::PaidThereOnly => "paid_there_only",
            ExceptionKind::PaidTwice => "paid_twice",
            ExceptionKind::UnknownDebit => "unknown_debit",
            ExceptionKind::UnknownCredit => "unknown_credit",
            ExceptionKind::ReversalUnannounced => "reversal_unannounced",
            ExceptionKind::StatementGap => "statement_gap",
            ExceptionKind::PaidUnexpectedly => "paid_unexpectedly",
            ExceptionKind::FileInDoubt => "file_in_doubt",
            ExceptionKind::FileUnreadable => "file_unreadable",
            ExceptionKind::CreditMissing => "credit_missing",
            ExceptionKind::CreditDiffers => "credit_differs",
            ExceptionKind::CreditDoubtful => "credit_doubtful",
            ExceptionKind::ReturnMissing => "return_missing",
        }
    }

    /// Whether it says that a bank has paid what we have not settled, or not so: while it is open nobody gives the payout's
    /// money back, and nobody sends it again.
    pub const fn says_paid(self) -> bool {
        match self {
            ExceptionKind::PaidUnexpectedly
            | ExceptionKind::PaidThereOnly
            | ExceptionKind::AmountDiffers
            | ExceptionKind::PaidTwice => true,
            ExceptionKind::PaidAfterClosed
            | ExceptionKind::Contradiction
            | ExceptionKind::UnknownReference
            | ExceptionKind::NoAnswer
            | ExceptionKind::PaidHereOnly
            | ExceptionKind::UnknownDebit
            | ExceptionKind::UnknownCredit
            | ExceptionKind::ReversalUnannounced
            | ExceptionKind::StatementGap
            | ExceptionKind::FileInDoubt
            | ExceptionKind::FileUnreadable
            | ExceptionKind::CreditMissing
            | ExceptionKind::CreditDiffers
            | ExceptionKind::CreditDoubtful
            | ExceptionKind::ReturnMissing => false,
        }
    }

    /// Whether it says that a bank has paid the ordered amount by an attempt that we had closed, so that somebody must bear
    /// it.
    pub const fn is_to_be_borne(self) -> bool {
        matches!(self, ExceptionKind::PaidUnexpectedly | ExceptionKind::PaidThereOnly)
    }
}

/// What an event makes of a payout: the row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The next state.
    pub next: State,
    /// What moves.
    pub money: Money,
    /// When it is due.
    pub due: Due,
    /// What the merchant is told.
    pub news: &'static [News],
    /// What the operator is told; with [`Step::holds`] nothing else happens.
    pub exception: Option<ExceptionKind>,
    /// Whether the payout is held until the operator has looked.
    pub holds: bool,
    /// Whether a held payout is held no longer, unless another exception of it is open.
    pub frees: bool,
}

impl Step {
    const fn to(next: State, money: Money, due: Due, news: &'static [News]) -> Option<Step> {
        Some(Step { next, money, due, news, exception: None, holds: false, frees: false })
    }

    /// What two people have said.
    const fn by_two(next: State, money: Money, due: Due, news: &'static [News]) -> Option<Step> {
        Some(Step { next, money, due, news, exception: None, holds: false, frees: true })
    }

    const fn with(step: Option<Step>, kind: ExceptionKind) -> Option<Step> {
        match step {
            Some(step) => Some(Step { exception: Some(kind), ..step }),
            None => None,
        }
    }

    const fn hold(state: State, kind: ExceptionKind) -> Option<Step> {
        let step = Step {
            next: state,
            money: Money::Still,
            due: Due::Unchanged,
            news: &[],
            exception: Some(kind),
            holds: true,
            frees: false,
        };
        Some(step)
    }

    /// Whether nothing at all changes: the fact was known.
    pub const fn is_still(&self) -> bool {
        matches!((self.money, self.due, self.exception), (Money::Still, Due::Unchanged, None))
            && self.news.is_empty()
            && !self.frees
    }
}

/// The table: what an event makes of a payout in a state. `None` means that the event is refused, which only what
/// we ourselves want can be (start, cancel, expire, what two people say); a fact is never refused.
pub const fn step(state: State, held: bool, attempts: u32, event: Event, room: Room) -> Option<Step> {
    use Event::{Borne, Cancel, DeclareFailed, DeclarePaid, Expire, Resolved, Resume, Start};
    use Fact::{Accepted, NotExecuted, NotWritten, PaidOther, RailRefused, Refused, Silent};
    use Standing::{Closed, Open, Paying, Unsent};
    use State::{Cancelled, Failed, Paid, Queued, Reversed, Sending, Sent};
    match (state, event) {
        (Queued, Start) if !held => Step::to(Sending, Money::Still, Due::Enquiry, &[]),
        (Queued, Cancel) if !held => Step::to(Cancelled, Money::Release, Due::Never, &[News::Failure]),
        (Queued, Expire) if attempts == 0 && !held => Step::to(Failed, Money::Release, Due::Never, &[News::Failure]),
        (_, Start | Cancel | Expire) => None,

        (Sending | Sent, DeclarePaid(Open)) => Step::by_two(Paid, Money::Settle, Due::Never, &[News::Success]),
        // While a later attempt is at its bank nobody knows whether that one pays too.
        (Queued, DeclarePaid(Closed | Unsent)) if held => {
            Step::by_two(Paid, Money::Settle, Due::Never, &[News::Success])
        }
        (Sending | Sent, DeclareFailed) => Step::by_two(Failed, Money::Release, Due::Never, &[News::Failure]),
        (Queued, DeclareFailed) if held => Step::by_two(Failed, Money::Release, Due::Never, &[News::Failure]),
        (Queued, Resume) if held && room.attempts => Step::by_two(Queued, Money::Still, Due::AtOnce, &[]),
        // Whatever was odd about it is explained: the bank is asked again.
        (Sending | Sent, Resolved) => Step::by_two(state, Money::Still, Due::AtOnce, &[]),
        // The money was moved beside the payout, which had ended and stays as it is.
        (Failed | Cancelled | Paid | Reversed, Borne | Resolved) => {
            Step::by_two(state, Money::Still, Due::Unchanged, &[])
        }
        (_, DeclarePaid(_) | DeclareFailed | Resume | Borne | Resolved) => None,

        (Sending, Event::Fact(Open, NotWritten)) => Step::to(Queued, Money::Still, Due::AfterPause, &[]),
        (Sending, Event::Fact(Open, Accepted)) => Step::to(Sent, Money::Still, Due::Enquiry, &[News::Pending]),
        (Sent, Event::Fact(Open, Accepted)) => Step::to(Sent, Money::Still, Due::Enquiry, &[]),
        (Sending | Sent, Event::Fact(Open, Silent)) => Step::to(state, Money::Still, Due::Enquiry, &[]),
        (Sending | Sent, Event::Fact(Open, Fact::Paid)) => Step::to(Paid, Money::Settle, Due::Never, &[News::Success]),
        // What is held may have been paid after all (by an attempt that we had closed): only a person gives its money back.
        (Sending | Sent, Event::Fact(Open, Refused | RailRefused)) if held || room.attempts && room.connector => {
            Step::to(Queued, Money::Still, Due::AtOnce, &[])
        }
        (Sending, Event::Fact(Open, NotExecuted)) if held || room.attempts => {
            Step::to(Queued, Money::Still, Due::AtOnce, &[])
        }
        // A bank that has said that it has the payment, and then that it never had, contradicts itself: a book that lags
        // behind must not make us send again.
        (Sent, Event::Fact(Open, NotExecuted)) => Step::hold(Sent, ExceptionKind::Contradiction),
        (Sending | Sent, Event::Fact(Open, Refused | RailRefused | NotExecuted)) => {
            Step::to(Failed, Money::Release, Due::Never, &[News::Failure])
        }
        (Sending | Sent, Event::Fact(Open, Fact::Reversed)) => {
            Step::to(Reversed, Money::SettleThenRestore, Due::Never, &[News::Success, News::Reversal])
        }
        (Paid, Event::Fact(Paying, Fact::Reversed)) => {
            Step::to(Reversed, Money::Restore, Due::Never, &[News::Reversal])
        }
        (Queued, Event::Fact(Closed | Unsent, Fact::Paid)) => {
            Step::with(Step::to(Paid, Money::Settle, Due::Never, &[News::Success]), ExceptionKind::PaidAfterClosed)
        }

        // Known already. Silence never contradicts, and neither does a word that an attempt's later words have overtaken.
        (_, Event::Fact(_, Silent))
        | (Paid | Reversed | Failed | Cancelled, Event::Fact(Paying, Fact::Paid | Accepted))
        | (Reversed, Event::Fact(Paying, Fact::Reversed))
        | (_, Event::Fact(Closed, Accepted | Refused | RailRefused | NotExecuted | NotWritten))
        | (_, Event::Fact(Unsent, Refused | RailRefused | NotExecuted | NotWritten)) => {
            Step::to(state, Money::Still, Due::Unchanged, &[])
        }

        (_, Event::Fact(_, PaidOther)) => Step::hold(state, ExceptionKind::AmountDiffers),
        (_, Event::Fact(Closed | Unsent, Fact::Paid)) => Step::hold(state, ExceptionKind::PaidUnexpectedly),
        (_, Event::Fact(..)) => Step::hold(state, ExceptionKind::Contradiction),
    }
}

/// An opaque sealed text: what may not lie in clear in the store. The core carries it and never looks inside.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Sealed(pub Box<[u8]>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// What a merchant ordered; it never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Whose payout.
    pub merchant: MerchantId,
    /// Our id.
    pub id: PayoutId,
    /// The merchant's id for it.
    pub order: OrderId,
    /// The rail that was ordered. What it was sent over is [`Payout::rail`].
    pub rail: Rail,
    /// What the beneficiary gets.
    pub amount: Amount,
    /// A keyed hash of rail, amount and beneficiary: equal for two requests that ask for the same (WIRE 7).
    pub fingerprint: [u8; 32],
    /// The beneficiary and the user's number, sealed.
    pub sealed: Sealed,
    /// The beneficiary's name as the merchant wrote it.
    pub name: PersonName,
    /// The last four of the account or mobile number, or the UPI handle.
    pub hint: Box<str>,
    /// Who ordered it.
    pub actor: Actor,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A payout as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payout {
    /// What was ordered.
    pub order: Order,
    /// Our fee, paise.
    pub fee_paise: i64,
    /// GST on it, paise.
    pub gst_paise: i64,
    /// Where it is.
    pub state: State,
    /// Held for the operator: it does not start, and what it comes to is said by two people.
    pub held: bool,
    /// How many attempts were made. While it is sending or sent, the last of them is in progress.
    pub attempts: u32,
    /// The connector of the last attempt.
    pub connector: Option<Connector>,
    /// Our reference of the last attempt.
    pub reference: Option<Reference>,
    /// The attempt that paid; of a payout that has failed or was cancelled, the one that the bank paid all the same, once
    /// that was collected or written off.
    pub paid_attempt: Option<u32>,
    /// The connectors that refused it but let others try.
    pub refused_by: Vec<Connector>,
    /// The rails over which it may be sent: the ordered one, with the others that its merchant allowed when he ordered,
    /// without those that were refused as such.
    pub rails: RailSet,
    /// The rail of the last attempt; before the first one the ordered rail.
    pub rail: Rail,
    /// No byte of the last attempt is written after this.
    pub send_before: Timestamp,
    /// How often the bank was asked about the last attempt.
    pub enquiries: u32,
    /// When it is due next, or until when the process that works on it holds it; set exactly while it is open, or is asked
    /// about.
    pub next_at: Option<Timestamp>,
    /// If it was never started by then, it fails.
    pub queue_until: Timestamp,
    /// The bank's reference (RRN or UTR); empty until the bank gives one.
    pub rrn: Box<str>,
    /// Why it failed, was cancelled or reversed; empty otherwise.
    pub reason: Box<str>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How many callbacks were made for it; numbers them.
    pub news: u32,
    /// Counts changes; the store writes a payout only over the version that was read.
    pub version: i64,
}

impl Payout {
    /// What it takes from the wallet.
    pub fn cost(&self) -> Cost {
        Cost { amount: self.order.amount, fee_paise: self.fee_paise, gst_paise: self.gst_paise }
    }

    /// How the attempt with this number over this connector stands.
    pub fn standing(&self, attempt: u32, connector: Connector) -> Standing {
        let at_bank = matches!(self.state, State::Sending | State::Sent);
        if self.paid_attempt == Some(attempt) {
            Standing::Paying
        } else if at_bank && attempt == self.attempts && self.connector == Some(connector) {
            Standing::Open
        } else if attempt > self.attempts {
            Standing::Unsent
        } else {
            Standing::Closed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn what_is_sealed_is_not_shown() {
        assert_eq!(format!("{:?}", Sealed([7, 7].into())), "Sealed(2 bytes)");
    }

    fn events() -> Vec<Event> {
        let mut events = vec![Event::Start, Event::Cancel, Event::Expire];
        events.extend([Event::DeclareFailed, Event::Resume, Event::Borne, Event::Resolved]);
        for standing in [Standing::Open, Standing::Paying, Standing::Closed, Standing::Unsent] {
            events.push(Event::DeclarePaid(standing));
            for fact in [
                Fact::NotWritten,
                Fact::Accepted,
                Fact::Silent,
                Fact::Paid,
                Fact::PaidOther,
                Fact::Refused,
                Fact::RailRefused,
                Fact::NotExecuted,
                Fact::Reversed,
            ] {
                events.push(Event::Fact(standing, fact));
            }
        }
        events
    }

    /// The whole matrix, so that any change of the table is seen in review.
    #[test]
    fn the_matrix() {
        let mut text = String::new();
        for state in State::ALL {
            for event in events() {
                let mut rows: Vec<(String, String)> = Vec::new();
                for (label, held, attempts, room) in [
                    ("", false, 0, Room { attempts: false, connector: false }),
                    (" [attempted]", false, 1, Room { attempts: false, connector: false }),
                    (" [held]", true, 0, Room { attempts: false, connector: false }),
                    (" [attempts left]", false, 1, Room { attempts: true, connector: false }),
                    (" [connector left]", false, 1, Room { attempts: false, connector: true }),
                    (" [both left]", false, 1, Room { attempts: true, connector: true }),
                    (" [held, attempts left]", true, 1, Room { attempts: true, connector: false }),
                ] {
                    let line = match step(state, held, attempts, event, room) {
                        None => "refused".to_owned(),
                        Some(step) => {
                            let mut line = format!("{:?} {:?} {:?} {:?}", step.next, step.money, step.due, step.news);
                            if let Some(kind) = step.exception {
                                let held = if step.holds { ", held" } else { "" };
                                write!(line, " exception {}{held}", kind.name()).unwrap();
                            }
                            if step.frees {
                                line += ", not held";
                            }
                            line
                        }
                    };
                    // Print a row for a condition only where it makes a difference.
                    if rows.is_empty() || rows[0].1 != line {
                        rows.push((label.to_owned(), line));
                    }
                }
                for (label, line) in rows {
                    writeln!(text, "{state:?} + {event:?}{label} -> {line}").unwrap();
                }
            }
        }
        insta::assert_snapshot!(text);
    }
}
