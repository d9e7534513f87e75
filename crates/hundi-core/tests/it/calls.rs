//! A bank's calls in every order: each twice, beside two that somebody else has made up. Whatever the order, the payout ends as
//! the bank's book says.

use super::common::{NOON, connector, merchant, order, references, rules};
use hundi_core::command::{
    CallbackWish, Command, Decision, Outcome, Refusal, Rules, Snapshot, Source, Transition, Word, decide,
};
use hundi_core::forgotten::Said;
use hundi_core::ids::{Actor, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::Amount;
use hundi_core::payout::{Payout, State};
use hundi_core::proposal::{Proposal, ProposalState, What};
use hundi_core::rails::Rail;
use hundi_core::schedule::{SECOND, Timestamp};

const MERCHANT: MerchantId = MerchantId(1);
const PAYOUT: PayoutId = PayoutId(1);
const FUNDS_PAISE: i64 = 1_000_00;
const REFUSED: Outcome = Outcome::Refused { elsewhere: false };

/// A call: what it says, and whether it proves that the bank made it.
type Call = (Outcome, bool);

struct World {
    snapshot: Snapshot,
    rules: Rules,
    reference: Reference,
    now: Timestamp,
}

impl World {
    /// A payout whose request has left us, and of which nothing has been heard.
    fn new() -> World {
        let paise = |paise| Amount::from_paise(paise).unwrap();
        let references = references(MERCHANT, &OrderId::parse("A").unwrap(), 1);
        let mut world =
            World { snapshot: Snapshot::default(), rules: rules(1, 0), reference: references[0], now: NOON };
        world.snapshot.merchants.insert(MERCHANT, merchant(CallbackWish::All));
        let (connector, merchant, payout) = (connector("sandbox"), MERCHANT, PAYOUT);
        let (reference, actor) = ("UTR1".into(), Actor::System);
        world.done(&Command::Fund { merchant, connector, reference, amount: paise(FUNDS_PAISE), actor });
        let ordered = order(MERCHANT, PAYOUT, "A", Rail::Imps, paise(100_00), "1");
        world.done(&Command::CreatePayout(Box::new(ordered)));
        let (rail, send_within_us, enquire_after_us) = (Rail::Imps, 5 * SECOND, 2 * SECOND);
        world.done(&Command::Start { merchant, payout, connector, rail, references, send_within_us, enquire_after_us });
        world
    }

    fn done(&mut self, command: &Command) {
        let decision = decide(&mut self.snapshot, &self.rules, command, self.now);
        assert!(matches!(decision, Decision::Done(_)), "{command:?}: {decision:?}");
    }

    /// What became true by a word; nothing if it was refused.
    fn decided(&mut self, outcome: Outcome, source: Source) -> Option<Box<Transition>> {
        let word = Word { outcome, amount_paise: Some(100_00), rrn: "".into(), why: "".into() };
        let command = Command::Record { connector: connector("sandbox"), reference: self.reference, word, source };
        match decide(&mut self.snapshot, &self.rules, &command, self.now) {
            Decision::Done(done) => Some(done),
            Decision::Repeat(_) | Decision::Refused(_) => None,
        }
    }

    fn hear(&mut self, outcome: Outcome, source: Source) {
        let word = Word { outcome, amount_paise: Some(100_00), rrn: "".into(), why: "".into() };
        let command = Command::Record { connector: connector("sandbox"), reference: self.reference, word, source };
        let decision = decide(&mut self.snapshot, &self.rules, &command, self.now);
        assert!(!matches!(decision, Decision::Refused(_)), "{decision:?}");
        self.now = self.now.after(1_000);
    }

    fn payout(&self) -> &Payout {
        &self.snapshot.payouts[&PAYOUT]
    }

    /// Asks the bank whenever it is due, which answers what its book says.
    fn ask_until_it_ends(&mut self, book: Outcome) {
        for _ in 0..20 {
            let Some(due) = self.payout().next_at else { return };
            self.now = self.now.max(due);
            self.done(&Command::Enquire { merchant: MERCHANT, payout: PAYOUT, lease_us: 10 * SECOND });
            self.hear(book, Source::Enquiry { asked_at: self.now });
        }
        panic!("it is asked about without end: {:?}", self.payout());
    }
}

/// The next permutation in the order of the alphabet; `false` after the last.
fn permute(items: &mut [usize]) -> bool {
    let Some(at) = (1..items.len()).rev().find(|at| items[at - 1] < items[*at]) else { return false };
    let other = (at..items.len()).rev().find(|other| items[*other] > items[at - 1]).unwrap();
    items.swap(at - 1, other);
    items[at..].reverse();
    true
}

#[test]
fn calls_in_any_order_end_as_the_book_says() {
    let mut tried = 0;
    for (book, state, wallet_paise, calls) in [
        (
            Outcome::Paid,
            State::Paid,
            FUNDS_PAISE - 105_90,
            [(Outcome::Accepted, true), (Outcome::Paid, true), (REFUSED, false), (Outcome::Reversed, false)],
        ),
        (
            Outcome::Reversed,
            State::Reversed,
            FUNDS_PAISE,
            [(Outcome::Accepted, true), (Outcome::Paid, true), (Outcome::Reversed, true), (REFUSED, false)],
        ),
        (
            REFUSED,
            State::Failed,
            FUNDS_PAISE,
            [(Outcome::Accepted, true), (REFUSED, true), (Outcome::Paid, false), (Outcome::Reversed, false)],
        ),
    ] as [(Outcome, State, i64, [Call; 4]); 3]
    {
        let mut places = [0, 0, 1, 1, 2, 2, 3, 3];
        loop {
            let mut world = World::new();
            for place in places {
                let (outcome, signed) = calls[place];
                world.hear(outcome, if signed { Source::SignedCallback } else { Source::UnsignedCallback });
                let now = world.payout().state;
                // No call gives money back by itself, and what is made up moves none.
                let moved = now == State::Paid && book != REFUSED;
                assert!(moved || matches!(now, State::Sending | State::Sent), "{book:?}: {now:?} by {places:?}");
            }
            world.ask_until_it_ends(book);
            let (payout, accounts) = (world.payout(), &world.snapshot.merchants[&MERCHANT].accounts);
            let ended = (payout.state, payout.held, accounts.wallet.paise(), accounts.reserved.paise());
            assert_eq!(ended, (state, false, wallet_paise, 0), "{book:?} after {places:?} of {calls:?}");
            tried += 1;
            if !permute(&mut places) {
                break;
            }
        }
    }
    assert_eq!(tried, 3 * 2_520);
    crate::score::score(
        12,
        "orders of calls, each twice, forged ones among them: the payout ends as the book says",
        tried,
    );
}

/// What an ended payout hears again is written nowhere: a bank that repeats itself all day costs nothing.
#[test]
fn a_word_that_is_repeated_is_not_written() {
    let enquiry = Source::Enquiry { asked_at: NOON };
    for (said, again) in [
        (&[Outcome::Paid][..], Outcome::Paid),
        (&[Outcome::Paid], Outcome::Accepted),
        (&[Outcome::Paid], Outcome::Silent),
        (&[Outcome::Paid, Outcome::Reversed], Outcome::Reversed),
        (&[Outcome::Paid, Outcome::Reversed], Outcome::Paid),
        (&[REFUSED], REFUSED),
        (&[REFUSED], Outcome::NotFound),
    ] {
        let mut world = World::new();
        for outcome in said {
            assert!(world.decided(*outcome, enquiry).is_some(), "{said:?}");
        }
        assert!(world.payout().next_at.is_none(), "{said:?}");
        for source in [enquiry, Source::Statement, Source::SignedCallback] {
            let before = world.payout().clone();
            if source.may(again) {
                assert!(world.decided(again, source).is_none(), "{said:?}, then {again:?} by {source:?}");
                assert_eq!(*world.payout(), before);
            }
        }
    }
}

#[test]
fn on_hold_nothing_is_started() {
    let mut world = World::new();
    world.hear(Outcome::NotWritten, Source::Reply { send_before: world.payout().send_before });
    assert_eq!(world.payout().state, State::Queued);
    world.snapshot.on_hold = true;
    let references = references(MERCHANT, &OrderId::parse("A").unwrap(), 1);
    let (merchant, payout, connector) = (MERCHANT, PAYOUT, connector("sandbox"));
    let start = Command::Start {
        merchant,
        payout,
        connector,
        rail: Rail::Imps,
        references,
        send_within_us: SECOND,
        enquire_after_us: SECOND,
    };
    for command in [&start, &Command::Expire { merchant, payout }] {
        let Decision::Done(transition) = decide(&mut world.snapshot, &world.rules, command, world.now) else {
            panic!("it is put off")
        };
        assert_eq!((&transition.attempt, transition.journal.len()), (&None, 0));
        // Later, and not in the way of what can be done meanwhile.
        assert!(world.payout().next_at > Some(world.now.after(30 * SECOND)));
        assert_eq!(world.payout().state, State::Queued);
    }
    // The bank may have paid it in the time that was forgotten, so nobody gets its money back.
    let cancel = Command::Cancel { merchant, payout, actor: Actor::Operator("asha".into()) };
    let refused = decide(&mut world.snapshot, &world.rules, &cancel, world.now);
    assert!(matches!(refused, Decision::Refused(Refusal::OnHold)), "{refused:?}");
    assert_eq!(world.payout().state, State::Queued);
    let new = order(MERCHANT, PayoutId(2), "B", Rail::Imps, Amount::from_paise(100).unwrap(), "1");
    let refused = decide(&mut world.snapshot, &world.rules, &Command::CreatePayout(Box::new(new)), world.now);
    assert!(matches!(refused, Decision::Refused(Refusal::OnHold)), "{refused:?}");
    assert_eq!(world.snapshot.payouts.len(), 1);
    world.snapshot.on_hold = false;
    world.done(&start);
    assert_eq!(world.payout().state, State::Sending);
}

/// A word about a reference that is not known: whose it may be, and what it does.
#[test]
fn only_who_proves_it_puts_us_on_hold() {
    let ours = references(MERCHANT, &OrderId::parse("FORGOTTEN").unwrap(), 1)[0];
    let theirs = Reference::derive("another installation", MERCHANT, &OrderId::parse("FORGOTTEN").unwrap(), 1, 0);
    let enquiry = Source::Enquiry { asked_at: NOON };
    for (reference, outcome, source, said) in [
        (ours, Outcome::Paid, Source::SignedCallback, Some(Said::Paid)),
        (ours, Outcome::Accepted, Source::SignedCallback, Some(Said::Spoken)),
        (ours, REFUSED, Source::SignedCallback, Some(Said::Refused)),
        (ours, Outcome::Paid, Source::Statement, Some(Said::Debited)),
        // A debit that was taken back is no payment.
        (ours, REFUSED, Source::Statement, Some(Said::Refused)),
        (ours, Outcome::Reversed, Source::Statement, Some(Said::Returned)),
        (ours, Outcome::Paid, enquiry, Some(Said::Paid)),
        (ours, Outcome::NotFound, enquiry, None),
        (ours, Outcome::Paid, Source::UnsignedCallback, None),
        (theirs, Outcome::Paid, Source::SignedCallback, None),
        (theirs, Outcome::Paid, Source::Statement, None),
    ] {
        for (allowed, twice) in [(true, false), (true, true), (false, false)] {
            let mut world = World::new();
            world.rules.holds_by_itself = allowed;
            world.reference = reference;
            let first = world.decided(outcome, source);
            let held = world.snapshot.on_hold;
            assert_eq!(held, said.is_some() && allowed, "{reference} {outcome:?} {source:?}");
            assert_eq!(first.as_ref().is_some_and(|done| done.hold.is_some()), held);
            // It is known that it was forgotten even where nobody is to be stopped by it.
            assert_eq!(first.and_then(|done| done.forgotten).map(|one| one.said), said);
            // An account that several connectors use is on several statements.
            let mut shared = World::new();
            (shared.rules.holds_by_itself, shared.reference) = (allowed, reference);
            shared.snapshot.references.insert((connector("other"), reference), (PayoutId(9), 1));
            assert!(shared.decided(outcome, source).is_none_or(|done| done.hold.is_none() && done.forgotten.is_none()));
            assert!(!shared.snapshot.on_hold);
            if twice {
                world.snapshot.on_hold = false;
                let again = world.decided(outcome, source);
                assert!(again.is_none_or(|done| done.hold.is_none() && done.forgotten.is_none()));
                assert!(!world.snapshot.on_hold, "what was released for is not held for again");
            }
        }
    }
}

/// What a bank said in the forgotten time, and what becomes of the order when the merchant sends it again.
#[test]
fn what_was_forgotten_is_recognised() {
    use Outcome::{Accepted, Paid, Reversed};
    use Source::{SignedCallback, Statement};
    type Heard = (u32, i64, Outcome, Source);
    let table: [(&str, &[Heard], &str); 9] = [
        ("debited", &[(1, 100_00, Paid, Statement)], "paid#1 reserve settle, Success"),
        ("said to be paid", &[(1, 100_00, Paid, SignedCallback)], "paid#1 reserve settle, Success"),
        ("both", &[(1, 100_00, Paid, SignedCallback), (1, 100_00, Paid, Statement)], "paid#1 reserve settle, Success"),
        (
            "the second attempt",
            &[(1, 0, REFUSED, SignedCallback), (2, 100_00, Paid, Statement)],
            "paid#2 reserve settle, Success",
        ),
        (
            "came back",
            &[(1, 100_00, Paid, Statement), (1, 100_00, Reversed, Statement)],
            "reversed#1 reserve settle restore, Success Reversal, ReversalUnannounced",
        ),
        (
            "only the return",
            &[(1, 100_00, Reversed, Statement)],
            "reversed#1 reserve settle restore, Success Reversal, ReversalUnannounced",
        ),
        ("nothing final", &[(1, 100_00, Accepted, SignedCallback)], "sent#1 reserve, "),
        ("another amount", &[(1, 100_01, Paid, Statement)], "sent#1 held reserve, , AmountDiffers"),
        (
            "two attempts paid",
            &[(1, 100_00, Paid, Statement), (2, 100_00, Paid, Statement)],
            "paid#2 held reserve settle, Success, PaidThereOnly",
        ),
    ];
    for (name, heard, expected) in table {
        let mut world = World::new();
        let paise = |paise| Amount::from_paise(paise).unwrap();
        let forgotten = order(MERCHANT, PayoutId(2), "FORGOTTEN", Rail::Imps, paise(100_00), "1");
        for (attempt, amount_paise, outcome, source) in heard {
            world.reference = references(MERCHANT, &forgotten.order, *attempt)[0];
            let word =
                Word { outcome: *outcome, amount_paise: Some(*amount_paise), rrn: "RRN1".into(), why: "".into() };
            let (connector, reference, source) = (connector("sandbox"), world.reference, *source);
            world.done(&Command::Record { connector, reference, word, source });
        }
        // Nobody can order while nothing is known for certain.
        let create = Command::CreatePayout(Box::new(forgotten.clone()));
        let refused = decide(&mut world.snapshot, &world.rules, &create, world.now);
        assert!(matches!(refused, Decision::Refused(Refusal::OnHold)), "{name}: {refused:?}");
        world.snapshot.on_hold = false;
        // Without the money that was there then it is not called failed.
        let wallet = world.snapshot.merchants[&MERCHANT].accounts.clone();
        world.snapshot.merchants.get_mut(&MERCHANT).unwrap().accounts = Default::default();
        let poor = decide(&mut world.snapshot, &world.rules, &create, world.now);
        assert!(matches!(poor, Decision::Refused(Refusal::Forgotten)), "{name}: {poor:?}");
        world.snapshot.merchants.get_mut(&MERCHANT).unwrap().accounts = wallet;
        let Decision::Done(done) = decide(&mut world.snapshot, &world.rules, &create, world.now) else {
            panic!("{name}: it is recorded")
        };
        let payout = done.payout.as_ref().unwrap();
        let held = if payout.held { " held" } else { "" };
        let moved: Vec<_> = done.journal.iter().map(|row| row.movement.kind.name()).collect();
        let told: Vec<_> = done.callbacks.iter().map(|callback| callback.news.as_str()).collect();
        let mut shown =
            format!("{}#{}{held} {}, {}", payout.state.name(), payout.attempts, moved.join(" "), told.join(" "));
        if let Some(exception) = &done.exception {
            shown += &format!(", {:?}", exception.kind);
        }
        assert_eq!(shown, expected, "{name}");
        assert!(done.attempt.is_none() && done.created && payout.version == 1);
        assert_eq!(done.recognised.len(), heard.iter().map(|one| one.0).max().unwrap() as usize, "{name}");
        assert_eq!(world.snapshot.merchants[&MERCHANT].accounts.sum(), Some(0));
        let again = decide(&mut world.snapshot, &world.rules, &create, world.now);
        assert!(matches!(again, Decision::Repeat(Some(_))), "{name}: {again:?}");
        // A neighbour that nobody has spoken of is a new order.
        let new = order(MERCHANT, PayoutId(3), "NEW", Rail::Imps, paise(1_00), "1");
        world.done(&Command::CreatePayout(Box::new(new)));
        assert_eq!(world.snapshot.payouts[&PayoutId(3)].state, State::Queued);
    }
}

/// What the backup knows as queued, and what the bank has paid since, is not started, given up or cancelled.
#[test]
fn what_was_queued_then_is_recognised_too() {
    for nth in 0..3 {
        let mut world = World::new();
        world.hear(Outcome::NotWritten, Source::Reply { send_before: world.payout().send_before });
        // As the backup has it: its start is forgotten.
        world.snapshot.references.clear();
        assert_eq!(world.payout().state, State::Queued);
        world.hear(Outcome::Paid, Source::Statement);
        assert!(world.snapshot.on_hold);
        world.snapshot.on_hold = false;
        let references = references(MERCHANT, &OrderId::parse("A").unwrap(), 1);
        let (merchant, payout, connector) = (MERCHANT, PAYOUT, connector("sandbox"));
        let (rail, send_within_us, enquire_after_us) = (Rail::Imps, SECOND, SECOND);
        world.rules.queue_us = 0;
        let command = match nth {
            0 => Command::Start { merchant, payout, connector, rail, references, send_within_us, enquire_after_us },
            1 => Command::Expire { merchant, payout },
            _ => Command::Cancel { merchant, payout, actor: Actor::System },
        };
        let Decision::Done(done) = decide(&mut world.snapshot, &world.rules, &command, world.now) else {
            panic!("{command:?}")
        };
        assert!(done.attempt.is_none(), "nothing is to be sent");
        assert_eq!(done.recognised.len(), 1);
        assert_eq!((world.payout().state, world.payout().paid_attempt), (State::Paid, Some(1)));
        assert_eq!(world.snapshot.merchants[&MERCHANT].accounts.reserved, Default::default());
    }
}

/// What the backup knows as queued and held, or what has ended before the bank spoke, is looked for at the end of the hold: the
/// one is paid, of the other a person is told. Nobody declares failed what is at the bank.
#[test]
fn what_nobody_would_start_is_recognised() {
    use Outcome::{Accepted, Paid, Reversed};
    use Source::{SignedCallback, Statement};
    type Heard = (u32, Outcome, Source);
    let table: [(&str, &[Heard], &str); 12] = [
        ("held", &[(1, Paid, Statement)], "paid held settle"),
        ("held", &[(2, Paid, SignedCallback)], "paid held settle"),
        ("held", &[(1, Accepted, SignedCallback)], "sent held"),
        // By an attempt that the backup knows it is at one bank, and by a later one it was paid.
        ("sent", &[(2, Paid, Statement)], "sent held PaidThereOnly"),
        ("sent", &[(2, Accepted, SignedCallback)], "sent held Contradiction"),
        ("cancelled", &[(1, Paid, Statement)], "cancelled held PaidThereOnly"),
        ("cancelled", &[(1, Accepted, SignedCallback), (1, Paid, SignedCallback)], "cancelled held PaidUnexpectedly"),
        ("cancelled", &[(1, Paid, Statement), (2, Paid, Statement)], "cancelled held PaidThereOnly PaidThereOnly"),
        ("cancelled", &[(1, Accepted, SignedCallback)], "cancelled held Contradiction"),
        // It has ended there as it has here.
        ("sent", &[(2, REFUSED, SignedCallback)], "sent"),
        ("cancelled", &[(1, Accepted, SignedCallback), (1, REFUSED, SignedCallback)], "cancelled"),
        ("cancelled", &[(1, Paid, Statement), (1, Reversed, Statement)], "cancelled"),
    ];
    for (was, heard, expected) in table {
        let mut world = World::new();
        let (merchant, payout) = (MERCHANT, PAYOUT);
        let reply = Source::Reply { send_before: world.payout().send_before };
        let first = world.reference;
        if was == "sent" {
            world.hear(Accepted, reply);
        } else {
            world.hear(Outcome::NotWritten, reply);
            // As the backup has it: its start is forgotten.
            world.snapshot.references.clear();
        }
        match was {
            "sent" => {}
            "held" => world.snapshot.payouts.get_mut(&PAYOUT).unwrap().held = true,
            _ => world.done(&Command::Cancel { merchant, payout, actor: Actor::System }),
        }
        for (attempt, outcome, source) in heard {
            world.reference = references(MERCHANT, &OrderId::parse("A").unwrap(), *attempt)[0];
            world.hear(*outcome, *source);
        }
        world.snapshot.on_hold = false;
        if was != "cancelled" {
            world.now = world.now.max(world.payout().send_before.after(1));
            let proposal = Proposal {
                id: 1,
                what: What::DeclareFailed { merchant, payout },
                reason: "the bank does not know it".into(),
                proposed_by: "asha".into(),
                proposed_at: world.now,
                expires_at: world.now.after(SECOND),
                state: ProposalState::Proposed,
                decided_by: "".into(),
                decided_at: None,
                decided_why: "".into(),
            };
            world.snapshot.proposals.insert(1, proposal);
            let approve = Command::Approve { proposal: 1, actor: Actor::Operator("ravi".into()) };
            let refused = decide(&mut world.snapshot, &world.rules, &approve, world.now);
            assert!(matches!(refused, Decision::Refused(Refusal::KnownThere)), "{heard:?}: {refused:?}");
        }
        let mut shown = Vec::new();
        while let Decision::Done(done) =
            decide(&mut world.snapshot, &world.rules, &Command::Recognise { merchant, payout }, world.now)
        {
            shown.extend(done.journal.iter().map(|row| row.movement.kind.name().to_owned()));
            shown.extend(done.exception.map(|told| format!("{:?}", told.kind)));
            assert!(done.attempt.is_none() && !done.recognised.is_empty(), "nothing is to be sent");
        }
        let held = if world.payout().held { " held" } else { "" };
        let shown = [format!("{}{held}", world.payout().state.name())].into_iter().chain(shown);
        assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{was} {heard:?}");
        if was == "sent" && world.payout().held {
            // The refusal by the first does not start it anew, nor give its money back.
            world.reference = first;
            world.hear(REFUSED, Source::SignedCallback);
            world.hear(REFUSED, Source::Statement);
            assert!(world.payout().state.is_open() && world.payout().held, "{heard:?}: {:?}", world.payout());
        }
        assert_eq!(world.snapshot.merchants[&MERCHANT].accounts.sum(), Some(0));
    }
}
