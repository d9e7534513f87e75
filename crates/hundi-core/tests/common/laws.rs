//! Payouts of one merchant, what can happen to them, and the laws that hold after each step whatever happened before it.

use super::{NOON, connector, merchant, order, references, reloaded};
use hundi_core::command::{
    CallbackWish, Command, Decision, Outcome, Refusal, Rules, Snapshot, Source, Transition, WAITING, Word, decide,
};
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::payout::{News, Payout, State};
use hundi_core::postings::{Accounts, MovementKind};
use hundi_core::rails::Rail;
use hundi_core::routing::next_connector;
use hundi_core::schedule::{SECOND, Timestamp};
use std::collections::BTreeMap;

pub const MERCHANT: MerchantId = MerchantId(1);
/// The merchant's OrderIDs, one for each payout.
const ORDERS: [&str; PAYOUTS_MAX] = ["A", "B", "C"];
/// At most so many payouts.
pub const PAYOUTS_MAX: usize = 3;
const AMOUNT_PAISE: i64 = 300_00;

#[derive(Clone, Copy, Debug)]
pub enum Input {
    Create,
    /// The same OrderID asks for another amount.
    CreateOther,
    Start,
    Cancel,
    Expire,
    Enquire,
    Fund,
    /// A word about the newest attempt.
    Newest(Outcome, Source, i64),
    /// Whoever made the start before the newest, and was paused since, says that no byte of it had left.
    LateNotWritten,
    /// A word about the first attempt.
    First(Outcome),
}

/// The reply to the newest start; which one that is, is filled in when it is said.
const REPLY: Source = Source::Reply { send_before: Timestamp(0) };
/// The answer to a question that was asked as late as possible.
const ENQUIRY: Source = Source::Enquiry { asked_at: Timestamp(i64::MAX) };

/// What may happen, in whatever order.
pub const INPUTS: [Input; 26] = [
    Input::Create,
    Input::CreateOther,
    Input::Start,
    Input::Cancel,
    Input::Expire,
    Input::Enquire,
    Input::Fund,
    Input::Newest(Outcome::NotWritten, REPLY, 300_00),
    Input::Newest(Outcome::Accepted, REPLY, 300_00),
    Input::Newest(Outcome::Silent, REPLY, 300_00),
    Input::Newest(Outcome::NotFound, ENQUIRY, 300_00),
    Input::Newest(Outcome::Paid, ENQUIRY, 300_00),
    Input::Newest(Outcome::Paid, ENQUIRY, 300_01),
    Input::Newest(Outcome::Refused { elsewhere: false }, REPLY, 300_00),
    Input::Newest(Outcome::Refused { elsewhere: true }, REPLY, 300_00),
    Input::Newest(Outcome::Reversed, ENQUIRY, 300_00),
    Input::Newest(Outcome::Refused { elsewhere: false }, Source::SignedCallback, 300_00),
    Input::Newest(Outcome::Paid, Source::UnsignedCallback, 300_00),
    Input::Newest(Outcome::Paid, Source::Statement, 300_00),
    Input::Newest(Outcome::Paid, Source::Statement, 299_99),
    Input::Newest(Outcome::Reversed, Source::Statement, 300_00),
    Input::LateNotWritten,
    Input::First(Outcome::Accepted),
    Input::First(Outcome::Paid),
    Input::First(Outcome::Refused { elsewhere: false }),
    Input::First(Outcome::Reversed),
];

/// What the store knows, and what an onlooker remembers of how it came about.
pub struct World {
    pub snapshot: Snapshot,
    pub now: Timestamp,
    known: [Known; PAYOUTS_MAX],
    /// Which payout is looked at.
    pub at: usize,
}

/// What an onlooker remembers of a payout.
#[derive(Clone, Default)]
struct Known {
    attempts: Vec<(Connector, Reference)>,
    /// The `send_before` of every start.
    begun: Vec<Timestamp>,
    seen: Seen,
}

#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
struct Seen {
    movements: Vec<MovementKind>,
    news: Vec<News>,
    /// Starts of which bytes left us, or may have.
    starts: u32,
    /// The bank's own word that it paid the ordered amount has reached us.
    paid_heard: bool,
}

impl World {
    /// Some money, and the first payout.
    pub fn new(rules: &Rules) -> World {
        let mut snapshot = Snapshot::default();
        snapshot.merchants.insert(MERCHANT, merchant(CallbackWish::All));
        let mut world = World { snapshot, now: NOON, known: Default::default(), at: 0 };
        world.step(rules, Input::Fund, 10 * SECOND);
        world.step(rules, Input::Create, 10 * SECOND);
        assert_eq!(world.payout().state, State::Queued);
        world
    }

    fn id(&self) -> PayoutId {
        PayoutId(1 + i64::try_from(self.at).expect("a small number"))
    }

    fn order(&self) -> OrderId {
        OrderId::parse(ORDERS[self.at]).expect("an OrderID")
    }

    /// Whether there is the payout that is looked at.
    pub fn has_payout(&self) -> bool {
        self.snapshot.payouts.contains_key(&self.id())
    }

    /// The payout that is looked at.
    pub fn payout(&self) -> &Payout {
        &self.snapshot.payouts[&self.id()]
    }

    pub fn copy(&self) -> World {
        World { snapshot: reloaded(&self.snapshot), now: self.now, known: self.known.clone(), at: self.at }
    }

    /// Everything that later decisions about this payout and its laws depend on, where all steps are ten seconds long: then
    /// all that is due stays due.
    pub fn key(&self) -> String {
        let (p, known) = (self.payout(), &self.known[self.at]);
        let due = p.next_at.map(|at| at <= self.now);
        let accounts = Accounts {
            journal_seq: 0,
            journal_at: Timestamp(0),
            ..self.snapshot.merchants[&MERCHANT].accounts.clone()
        };
        let last = (p.state, p.held, p.attempts, p.connector, p.reference, p.paid_attempt, &p.refused_by, p.news);
        format!("{last:?} {due:?} {accounts:?} {:?} {:?}", known.attempts, known.seen)
    }

    fn create(&self, paise: i64) -> Command {
        let amount = Amount::from_paise(paise).expect("an amount");
        Command::CreatePayout(Box::new(order(MERCHANT, self.id(), ORDERS[self.at], Rail::Imps, amount, "ravi")))
    }

    fn command(&self, rules: &Rules, input: Input) -> Command {
        let operator = Actor::Operator("asha".into());
        let word = |outcome, paise| Word { outcome, amount_paise: Some(paise), rrn: "".into(), why: "".into() };
        let (merchant, payout, known) = (MERCHANT, self.id(), &self.known[self.at]);
        let never = (connector("sandbox"), Reference::parse("NEVERSEENBEFORE").expect("a reference"));
        match input {
            Input::Create => self.create(AMOUNT_PAISE),
            Input::CreateOther => self.create(AMOUNT_PAISE + 1_00),
            Input::Start => Command::Start {
                merchant,
                payout,
                connector: next_connector(rules, self.payout()).unwrap_or(connector("sandbox")),
                references: references(merchant, &self.order(), self.payout().attempts + 1),
                send_within_us: SECOND,
                enquire_after_us: SECOND,
            },
            Input::Cancel => Command::Cancel { merchant, payout, actor: operator },
            Input::Expire => Command::Expire { merchant, payout },
            Input::Enquire => Command::Enquire { merchant, payout, lease_us: SECOND },
            Input::Fund => Command::Fund {
                merchant,
                connector: connector("other"),
                reference: format!("UTR{}", self.snapshot.credits.len()).into(),
                amount: Amount::from_paise(400_00).expect("an amount"),
                actor: operator,
            },
            Input::Newest(outcome, source, paise) => {
                let (connector, reference) = *known.attempts.last().unwrap_or(&never);
                let source = if source == REPLY { self.reply_to(known.begun.len()) } else { source };
                Command::Record { connector, reference, word: word(outcome, paise), source }
            }
            Input::LateNotWritten => {
                let (connector, reference) = *known.attempts.last().unwrap_or(&never);
                let source = self.reply_to(known.begun.len().saturating_sub(1));
                Command::Record { connector, reference, word: word(Outcome::NotWritten, AMOUNT_PAISE), source }
            }
            Input::First(outcome) => {
                let (connector, reference) = *known.attempts.first().unwrap_or(&never);
                Command::Record { connector, reference, word: word(outcome, AMOUNT_PAISE), source: ENQUIRY }
            }
        }
    }

    /// The source of what the request of a start came to, from 1.
    fn reply_to(&self, start: usize) -> Source {
        let begun = start.checked_sub(1).and_then(|index| self.known[self.at].begun.get(index));
        Source::Reply { send_before: begun.copied().unwrap_or(Timestamp(1)) }
    }

    /// One input after a pause, and all laws.
    pub fn step(&mut self, rules: &Rules, input: Input, pause_us: i64) {
        self.now = self.now.after(pause_us);
        let command = self.command(rules, input);
        let accounts = self.snapshot.merchants[&MERCHANT].accounts.clone();
        let payouts = self.snapshot.payouts.clone();
        let was = payouts.get(&self.id());
        if let Input::Newest(Outcome::Paid, ENQUIRY | Source::Statement, AMOUNT_PAISE) | Input::First(Outcome::Paid) =
            input
        {
            let known = &mut self.known[self.at];
            known.seen.paid_heard |= !known.attempts.is_empty();
        }
        let decision = decide(&mut self.snapshot, rules, &command, self.now);
        // An OrderID is used once, for ever: the same again is told how it stands, and another is refused.
        if let (Command::CreatePayout(_), Some(was)) = (&command, was) {
            match (&decision, input) {
                (Decision::Repeat(Some(told)), Input::Create) => assert_eq!(**told, *was),
                (Decision::Refused(Refusal::OrderReused), Input::CreateOther) => {}
                _ => panic!("{input:?} of a known OrderID: {decision:?}"),
            }
        }
        match decision {
            Decision::Done(done) => self.lawful(rules, input, was.cloned(), accounts, &done),
            Decision::Repeat(_) | Decision::Refused(_) => {
                assert_eq!(self.snapshot.merchants[&MERCHANT].accounts, accounts);
                assert_eq!(self.snapshot.payouts.get(&self.id()), was);
            }
        }
        let others = |payouts: &BTreeMap<PayoutId, Payout>| {
            payouts.iter().filter(|(id, _)| **id != self.id()).map(|(_, payout)| payout.clone()).collect::<Vec<_>>()
        };
        assert_eq!(others(&self.snapshot.payouts), others(&payouts), "{input:?} changes another payout");
    }

    fn lawful(&mut self, rules: &Rules, input: Input, was: Option<Payout>, mut folded: Accounts, done: &Transition) {
        let (id, mine) = (self.id(), &mut self.known[self.at]);
        // The journal has no gaps, its times rise, and it folds to the balances.
        for row in &done.journal {
            assert_eq!(row.seq, folded.journal_seq + 1);
            assert!(row.at > folded.journal_at);
            folded.apply(&row.movement).expect("a movement that fits");
            (folded.journal_seq, folded.journal_at) = (row.seq, row.at);
            assert_eq!(row.wallet_after, folded.wallet);
            if row.movement.kind != MovementKind::Fund {
                assert_eq!(row.payout, Some(id));
                mine.seen.movements.push(row.movement.kind);
            }
        }
        let accounts = &self.snapshot.merchants[&MERCHANT].accounts;
        assert_eq!(*accounts, folded);
        assert_eq!(accounts.sum(), Some(0));
        assert!(accounts.wallet >= Balance::ZERO && accounts.reserved >= Balance::ZERO);
        let costs = |p: &Payout| p.cost().total_paise().expect("a sum that fits");
        let open: i64 = self.snapshot.payouts.values().filter(|p| p.state.is_open()).map(costs).sum();
        assert_eq!(accounts.reserved.paise(), open);

        // A bank's word about a reference that nobody has used, and a credit, touch no payout.
        let Some(now) = &done.payout else {
            assert_eq!(self.snapshot.payouts.get(&id), was.as_ref());
            return;
        };
        assert_eq!(self.snapshot.payouts[&id], *now);
        let from = was.as_ref().map_or(State::Queued, |was| was.state);
        assert_edge(from, now.state);
        assert_eq!(now.version, was.as_ref().map_or(0, |was| was.version) + 1);
        if done.created && now.state == State::Failed {
            // It was refused when it came: it is remembered, and that is all.
            assert_eq!(&*now.reason, Refusal::BalanceTooLow.as_str());
            assert!(done.journal.is_empty() && done.callbacks.is_empty() && now.next_at.is_none());
            return;
        }
        assert_movements(&mine.seen.movements, now);

        // What somebody has to say about a request that is over is not about the one that is on its way.
        assert!(!matches!(input, Input::LateNotWritten), "{done:?}");

        // Starts: never when held, never more than allowed; what never left us is none.
        let held = was.as_ref().is_some_and(|was| was.held);
        if let Some(attempt) = done.attempt {
            assert!(!held, "a held payout does not start");
            assert_eq!((from, now.state), (State::Queued, State::Sending));
            assert!(now.send_before > self.now && now.next_at > Some(now.send_before));
            mine.seen.starts += 1;
            mine.attempts.truncate(attempt.attempt as usize - 1);
            mine.attempts.push((attempt.connector, attempt.reference));
            assert!(!mine.begun.contains(&now.send_before), "a start is told by its send_before");
            mine.begun.push(now.send_before);
        } else {
            assert!(from == State::Sending || now.state != State::Sending, "only a start sends");
        }
        if matches!(input, Input::Newest(Outcome::NotWritten, ..))
            && from == State::Sending
            && now.state == State::Queued
        {
            mine.seen.starts -= 1;
        }
        assert_eq!(mine.seen.starts, now.attempts, "{input:?} {from:?} {now:?}");
        assert!(now.attempts <= rules.attempts_max);

        // The merchant is told each thing once, a reversal only after the success, and nothing after a failure.
        for (index, callback) in done.callbacks.iter().enumerate() {
            mine.seen.news.push(callback.news);
            assert_eq!(callback.seq as usize, mine.seen.news.len());
            assert_eq!(now.news as usize, mine.seen.news.len() + done.callbacks.len() - index - 1);
        }
        let last: Vec<News> = mine.seen.news.iter().copied().filter(|news| *news != News::Pending).collect();
        let told: &[News] = match now.state {
            State::Queued | State::Sending | State::Sent => &[],
            State::Paid => &[News::Success],
            State::Reversed => &[News::Success, News::Reversal],
            State::Failed | State::Cancelled => &[News::Failure],
        };
        assert_eq!(last, told);

        // What fails by itself was never said to be paid, nor was anything odd heard of it.
        if from.is_open() && now.state == State::Failed {
            assert!(!held && !mine.seen.paid_heard, "failed, although the bank said otherwise");
        }
        // Whoever is not the bank moves nothing, and the bank's word is enough to make a person look.
        let unproved = matches!(input, Input::Newest(_, Source::SignedCallback | Source::UnsignedCallback, _));
        assert!(!unproved || from == now.state && done.journal.is_empty() && done.exception.is_none());
        assert_eq!(now.held && !held, done.exception.as_ref().is_some_and(|_| now.held) && !held);
        // Ended is not due, unless somebody asks; queued and held is due to no worker; open and not held always is.
        let asks = unproved || matches!(input, Input::Enquire) || was.is_some_and(|was| was.next_at.is_some());
        assert!(now.state.is_open() || now.next_at.is_none() || asks);
        match (now.state, now.held) {
            (State::Queued, held) => assert_eq!(now.next_at == Some(WAITING), held),
            (State::Sending | State::Sent, _) => assert!(now.next_at.is_some()),
            _ => {}
        }
    }
}

fn assert_edge(from: State, to: State) {
    use State::{Cancelled, Failed, Paid, Queued, Reversed, Sending, Sent};
    let edges: &[State] = match from {
        Queued => &[Sending, Cancelled, Failed, Paid],
        Sending => &[Queued, Sent, Paid, Failed, Reversed],
        Sent => &[Queued, Paid, Failed, Reversed],
        Paid => &[Reversed],
        Failed | Cancelled | Reversed => &[],
    };
    assert!(from == to || edges.contains(&to), "{from:?} -> {to:?} is not an edge");
}

fn assert_movements(movements: &[MovementKind], payout: &Payout) {
    use MovementKind::{Release, Reserve, Restore, Settle};
    let lawful: &[MovementKind] = match payout.state {
        State::Queued | State::Sending | State::Sent => &[Reserve],
        State::Failed | State::Cancelled => &[Reserve, Release],
        State::Paid => &[Reserve, Settle],
        State::Reversed => &[Reserve, Settle, Restore],
    };
    assert_eq!(movements, lawful, "{:?}", payout.state);
    assert_eq!(payout.paid_attempt.is_some(), movements.contains(&Settle));
}
