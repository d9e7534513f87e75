//! Payouts of one merchant, what can happen to them, and the laws that hold after each step whatever happened before it.

use super::common::{NOON, connector, merchant, order, references, reloaded};
use hundi_core::command::{
    CallbackWish, Command, Decision, ExceptionKey, KnownException, Outcome, Refusal, Rules, Snapshot, Source,
    Transition, WAITING, Word, decide,
};
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::payout::{News, Payout, State};
use hundi_core::postings::{Accounts, HouseAccount, MovementKind};
use hundi_core::proposal::{AttemptAt, Proposal, ProposalState, What};
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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// Two people say something, the one of whom has proposed it and the other approves it.
    Two(Said),
}

/// What two people say: about the first attempt, where it is about one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// It has paid.
    DeclarePaid,
    /// The payout will never be paid.
    DeclareFailed,
    /// It is sent again.
    Resume,
    /// The bank paid it all the same, and the merchant owes it.
    Collect,
    /// The same, and the house bears it.
    WriteOff,
    /// The first of its open exceptions needs nobody any more.
    Resolve,
}

/// The reply to the newest start; which one that is, is filled in when it is said.
const REPLY: Source = Source::Reply { send_before: Timestamp(0) };
/// The answer to a question that was asked as late as possible.
const ENQUIRY: Source = Source::Enquiry { asked_at: Timestamp(i64::MAX) };

/// So many of the first inputs are what happens without two people.
pub const BY_NOBODY: usize = 26;
/// What may happen, in whatever order.
pub const INPUTS: [Input; 32] = [
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
    Input::Two(Said::DeclarePaid),
    Input::Two(Said::DeclareFailed),
    Input::Two(Said::Resume),
    Input::Two(Said::Collect),
    Input::Two(Said::WriteOff),
    Input::Two(Said::Resolve),
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
        snapshot.merchants.insert(MerchantId::HOUSE, merchant(CallbackWish::Nothing));
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
    #[allow(dead_code, reason = "fuzzing asks")]
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
        // One that was resolved is as if it had never been told.
        let told: Vec<_> =
            self.snapshot.exceptions.iter().filter(|(_, known)| known.open).map(|(key, _)| key).collect();
        let borne = &self.snapshot.borne;
        format!("{last:?} {due:?} {accounts:?} {told:?} {borne:?} {:?} {:?}", known.attempts, known.seen)
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
                connector: next_connector(rules, self.payout())
                    .map_or(connector("sandbox"), |(connector, _)| connector),
                rail: next_connector(rules, self.payout()).map_or(Rail::Imps, |(_, rail)| rail),
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
            Input::Two(_) => Command::Approve { proposal: 1, actor: operator },
        }
    }

    /// What the other operator has proposed; `None` where there is nothing that could be meant.
    fn proposal(&self, said: Said) -> Option<Proposal> {
        let (merchant, payout, known) = (MERCHANT, self.id(), &self.known[self.at]);
        let at = || {
            let (connector, reference) = *known.attempts.first()?;
            Some(AttemptAt { merchant, payout, connector, reference })
        };
        let what = match said {
            Said::DeclarePaid => What::DeclarePaid { at: at()?, bank_reference: "UTR".into() },
            Said::DeclareFailed => What::DeclareFailed { merchant, payout },
            Said::Resume => What::Resume { merchant, payout },
            Said::Collect => What::Collect { at: at()? },
            Said::WriteOff => What::WriteOff { at: at()? },
            Said::Resolve => {
                let mine = |known: &KnownException| known.open && known.payout == Some((merchant, payout));
                let (exception, known) = self.snapshot.exceptions.iter().find(|(_, known)| mine(known))?;
                What::Resolve { exception: exception.clone(), payout: known.payout, detail: known.detail.clone() }
            }
        };
        Some(Proposal {
            id: 1,
            what,
            reason: "".into(),
            proposed_by: "ravi".into(),
            proposed_at: self.now,
            expires_at: self.now.after(SECOND),
            state: ProposalState::Proposed,
            decided_by: "".into(),
            decided_at: None,
            decided_why: "".into(),
        })
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
        if let Input::Two(said) = input {
            self.snapshot.proposals = self.proposal(said).map(|proposal| (1, proposal)).into_iter().collect();
        }
        let house = self.snapshot.merchants[&MerchantId::HOUSE].accounts.clone();
        let told = self.snapshot.exceptions.clone();
        let decision = decide(&mut self.snapshot, rules, &command, self.now);
        self.assert_by_two(input, &decision, &house, &told);
        if input == Input::Two(Said::Resolve) && matches!(decision, Decision::Done(_)) {
            // Two people say that it was not so; what is still open says so on.
            let paid = |(key, known): (&ExceptionKey, &KnownException)| known.open && key.2.says_paid();
            self.known[self.at].seen.paid_heard &= self.snapshot.exceptions.iter().any(paid);
        }
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

    /// The house's book moves by a write-off and by nothing else, and what is refused changes nothing.
    fn assert_by_two(
        &self,
        input: Input,
        decision: &Decision,
        house: &Accounts,
        told: &BTreeMap<ExceptionKey, KnownException>,
    ) {
        let now = &self.snapshot.merchants[&MerchantId::HOUSE].accounts;
        match decision {
            Decision::Done(_) if input == Input::Two(Said::WriteOff) => {
                assert_eq!(now.house[HouseAccount::Loss as usize].paise(), -now.banks[0].1.paise());
                assert_eq!(now.journal_seq, house.journal_seq + 1);
            }
            _ => assert_eq!(now, house),
        }
        assert_eq!(now.sum(), Some(0));
        if !matches!(decision, Decision::Done(_)) {
            assert_eq!(self.snapshot.exceptions, *told);
        }
    }

    fn lawful(&mut self, rules: &Rules, input: Input, was: Option<Payout>, mut folded: Accounts, done: &Transition) {
        let (id, mine) = (self.id(), &mut self.known[self.at]);
        // The journal has no gaps, its times rise, and it folds to the balances.
        for row in done.journal.iter().filter(|row| row.merchant == MERCHANT) {
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
        assert_movements(&mine.seen.movements, now, &self.snapshot);

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

        // What fails by itself was never said to be paid, nor was anything odd heard of it; by two people, nothing of the
        // kind is open.
        let by_two = matches!(input, Input::Two(_));
        if from.is_open() && now.state == State::Failed {
            let own = |known: &KnownException| known.open && known.payout == Some((MERCHANT, id));
            let paid = |key: &ExceptionKey, known: &KnownException| own(known) && key.2.says_paid();
            let paid = self.snapshot.exceptions.iter().any(|(key, known)| paid(key, known));
            assert!(by_two || !paid);
            assert!(by_two || !held && !mine.seen.paid_heard, "failed, although the bank said otherwise");
        }
        // Whoever is not the bank moves nothing, and the bank's word is enough to make a person look.
        let unproved = matches!(input, Input::Newest(_, Source::SignedCallback | Source::UnsignedCallback, _));
        assert!(!unproved || from == now.state && done.journal.is_empty() && done.exception.is_none());
        assert!(!held || now.held || by_two, "only two people let go of what is held");
        // Whatever is held has somebody to look at it.
        let open = self.snapshot.exceptions.values().any(|known| known.open && known.payout == Some((MERCHANT, id)));
        assert!(!now.held || open || now.state.is_open(), "{input:?} {now:?}");
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

fn assert_movements(movements: &[MovementKind], payout: &Payout, snapshot: &Snapshot) {
    // How many of its payments were collected or written off; not of another payout's.
    let own = |key: &&_| snapshot.references.get(*key).is_some_and(|(of, _)| *of == payout.order.id);
    let borne = snapshot.borne.iter().filter(own).count();
    let collected = movements.iter().filter(|kind| **kind == MovementKind::Collect).count();
    assert!(collected <= borne);
    let movements: Vec<MovementKind> =
        movements.iter().copied().filter(|kind| *kind != MovementKind::Collect).collect();
    use MovementKind::{Release, Reserve, Restore, Settle};
    let lawful: &[MovementKind] = match payout.state {
        State::Queued | State::Sending | State::Sent => &[Reserve],
        State::Failed | State::Cancelled => &[Reserve, Release],
        State::Paid => &[Reserve, Settle],
        State::Reversed => &[Reserve, Settle, Restore],
    };
    assert_eq!(movements, lawful, "{:?}", payout.state);
    let ended_unpaid = matches!(payout.state, State::Failed | State::Cancelled);
    assert_eq!(payout.paid_attempt.is_some(), movements.contains(&Settle) || ended_unpaid && borne > 0);
}
