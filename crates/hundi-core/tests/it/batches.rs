//! A batch of N decides what N batches of one decide: commands that see each other in one snapshot come to the same as
//! commands of which each sees only what a store loads for it and leaves only what the store writes of its transition.

use super::common::{NOON, connector, merchant, order, references, reloaded, rules};
use hundi_core::command::{
    CallbackWish, Command, Credit, CreditLine, Decision, FileLines, KnownCredit, KnownException, Outcome, Read, Rules,
    Snapshot, Source, Word, decide,
};
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId};
use hundi_core::money::Amount;
use hundi_core::postings::Account;
use hundi_core::proposal::{AttemptAt, PROPOSAL_US, Proposal, ProposalState, Side, What};
use hundi_core::rails::{Rail, RailChoice};
use hundi_core::schedule::{HOUR, SECOND, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, HashMap};

const LETTERS: [&str; 3] = ["A", "B", "C"];
const BANKS: [&str; 2] = ["sandbox", "other"];

/// The credits that a bank calls so, by either of their names.
fn load_credits(loaded: &mut Snapshot, store: &Snapshot, name: &(Connector, Box<str>)) {
    let others = store.credit_names.get(name);
    loaded.credit_names.extend(others.map(|references| (name.clone(), references.clone())));
    for reference in others.into_iter().flat_map(BTreeMap::keys).chain([&name.1]) {
        let key = (name.0, reference.clone());
        loaded.credits.extend(store.credits.get(&key).map(|known| (key, known.clone())));
    }
}

/// What the store loads for one command: exactly what the command names.
fn load(store: &Snapshot, command: &Command) -> Snapshot {
    let mut loaded = Snapshot::default();
    let (mut merchants, mut payouts, mut names) = (Vec::new(), Vec::new(), Vec::new());
    match command {
        Command::CreatePayout(order) => {
            merchants.push(order.merchant);
            payouts.extend(store.orders.get(&(order.merchant, order.order.clone())));
        }
        Command::Start { merchant, payout, connector, references, .. } => {
            merchants.push(*merchant);
            payouts.push(*payout);
            names.extend(references.map(|reference| (*connector, reference)));
        }
        Command::Record { connector, reference, .. } => {
            names.push((*connector, *reference));
            names.extend(BANKS.map(|bank| (super::common::connector(bank), *reference)));
            payouts.extend(store.references.get(&(*connector, *reference)).map(|(payout, _)| *payout));
            merchants.extend(payouts.iter().map(|payout| store.payouts[payout].order.merchant));
        }
        Command::Enquire { merchant, payout, .. }
        | Command::Wait { merchant, payout }
        | Command::Recognise { merchant, payout }
        | Command::Expire { merchant, payout }
        | Command::Cancel { merchant, payout, .. } => {
            merchants.push(*merchant);
            payouts.push(*payout);
        }
        Command::Approve { proposal, .. } | Command::Reject { proposal, .. } => {
            let Some(proposal) = store.proposals.get(proposal) else { return loaded };
            loaded.proposals.insert(proposal.id, proposal.clone());
            let what = &proposal.what;
            merchants.extend(what.books());
            payouts.extend(what.payout().map(|(_, payout)| payout));
            if let Some(at) = what.attempt() {
                names.push((at.connector, at.reference));
                loaded.borne.extend(store.borne.get(&(at.connector, at.reference)));
            }
            if let What::Suspense { connector, bank_reference, .. } | What::Identify { connector, bank_reference, .. } =
                what
            {
                let key = (*connector, bank_reference.clone());
                load_credits(&mut loaded, store, &key);
            }
            if let What::Withdraw { connector, bank_reference, .. } = what {
                loaded.withdrawn.extend(store.withdrawn.get(&(*connector, bank_reference.clone())).cloned());
            }
            let about = |known: &KnownException| known.payout.is_some_and(|(_, id)| payouts.contains(&id));
            let told = store.exceptions.iter().filter(|(_, known)| about(known));
            loaded.exceptions.extend(told.map(|(key, known)| (key.clone(), known.clone())));
        }
        Command::Fund { merchant, connector, reference, .. } => {
            merchants.push(*merchant);
            load_credits(&mut loaded, store, &(*connector, reference.clone()));
        }
        Command::Credit { line, .. } => {
            merchants.extend([MerchantId::HOUSE].into_iter().chain(line.whose));
            for name in [&line.reference].into_iter().chain(line.names.iter().map(|(name, _)| name)) {
                load_credits(&mut loaded, store, &(line.connector, name.clone()));
            }
            let near = store.credits.iter().filter(|((connector, _), known)| {
                let in_time = known.day.is_some_and(|day| line.days().contains(&day));
                let told = known.line.as_ref() == Some(&line.line);
                *connector == line.connector && (told || known.amount == line.amount && in_time)
            });
            loaded.credits.extend(near.map(|(key, known)| (key.clone(), known.clone())));
        }
    }
    names.extend(store.forgotten.values().flatten().map(|one| (one.connector, one.reference)));
    let store = reloaded(store);
    (loaded.on_hold, loaded.forgotten) = (store.on_hold, store.forgotten.clone());
    loaded.merchants.extend(merchants.iter().filter_map(|id| Some((*id, store.merchants.get(id)?.clone()))));
    loaded.references.extend(names.iter().filter_map(|name| Some((*name, *store.references.get(name)?))));
    for payout in payouts.iter().filter_map(|id| store.payouts.get(id)) {
        // By its id a store finds only the merchant's own.
        if merchants.contains(&payout.order.merchant) {
            loaded.orders.insert((payout.order.merchant, payout.order.order.clone()), payout.order.id);
            loaded.payouts.insert(payout.order.id, payout.clone());
        }
    }
    loaded
}

/// What the store writes: the rows of the transition, and the accounts that were changed.
fn write(store: &mut Snapshot, snapshot: Snapshot, decision: &Decision) {
    for (id, merchant) in snapshot.merchants {
        if merchant.changed {
            store.merchants.insert(id, merchant);
        }
    }
    let Decision::Done(done) = decision else { return };
    if let Some(payout) = &done.payout {
        let order = &payout.order;
        if done.created {
            assert!(store.orders.insert((order.merchant, order.order.clone()), order.id).is_none());
        }
        let was = store.payouts.insert(order.id, payout.clone());
        assert_eq!(was.is_none(), done.created);
        let before = was.map_or(0, |was| was.version);
        // One that is recognised hears several words at once.
        assert!(payout.version == before + 1 || payout.version > before && !done.recognised.is_empty());
    }
    if let Some(attempt) = done.attempt {
        let owner = (attempt.payout, attempt.attempt);
        let known = store.references.insert((attempt.connector, attempt.reference), owner);
        assert!(known.is_none_or(|known| known == owner), "a reference changes hands");
    }
    if let Some(told) = &done.exception {
        let key = (told.connector, told.reference.as_str().into(), told.kind);
        let known = KnownException { payout: told.payout, detail: told.detail.clone(), open: true };
        store.exceptions.insert(key, known);
    }
    if let Some(by_two) = &done.by_two {
        let proposal = &by_two.proposal;
        let was = store.proposals.insert(proposal.id, proposal.clone());
        assert_eq!(was.map(|was| was.state), Some(ProposalState::Proposed), "a proposal ends once");
        for key in &by_two.resolved {
            let known = store.exceptions.get_mut(key).expect("an exception that is known");
            assert!(std::mem::replace(&mut known.open, false), "an exception is resolved once");
        }
        if let (What::Collect { at } | What::WriteOff { at }, ProposalState::Approved) =
            (&proposal.what, proposal.state)
        {
            assert!(store.borne.insert((at.connector, at.reference)), "a payment is borne once");
        }
        if let Some((connector, reference, merchant)) = &by_two.identified {
            let known = store.credits.get_mut(&(*connector, reference.clone())).expect("a credit that is known");
            assert_eq!(known.merchant, MerchantId::HOUSE, "a credit is identified once");
            known.merchant = *merchant;
        }
        if let (What::Withdraw { connector, bank_reference, .. }, ProposalState::Approved) =
            (&proposal.what, proposal.state)
        {
            assert!(store.withdrawn.insert((*connector, bank_reference.clone())), "a debit is withdrawn once");
        }
    }
    for attempt in &done.recognised {
        let owner = (attempt.payout, attempt.attempt);
        let known = store.references.insert((attempt.connector, attempt.reference), owner);
        assert!(known.is_none_or(|known| known == owner), "a reference changes hands");
    }
    if let Some(forgotten) = &done.forgotten {
        store.forgotten.entry(forgotten.reference).or_default().push(forgotten.clone());
    }
    store.on_hold |= done.hold.is_some();
    if let Some(credit) = &done.credit {
        assert!(write_credit(store, credit).is_none(), "a credit is booked twice");
    }
    if let Some(credit) = done.line.as_ref().and_then(|line| line.expected.as_ref()) {
        let was = write_credit(store, credit).expect("a credit that is expected");
        assert_eq!((was.merchant, was.amount, was.line), (credit.merchant, credit.amount, None), "it is told once");
    }
}

fn write_credit(store: &mut Snapshot, credit: &Credit) -> Option<KnownCredit> {
    let Credit { connector, reference, merchant, amount, day, line, names, .. } = credit;
    let mut known =
        KnownCredit { merchant: *merchant, amount: *amount, read: Read::Field, day: Some(*day), line: line.clone() };
    for (name, read) in names {
        store.credit_names.entry((*connector, name.clone())).or_default().insert(reference.clone(), *read);
        known.read = if name == reference { *read } else { known.read };
    }
    store.credits.insert((*connector, reference.clone()), known)
}

fn text(snapshot: &Snapshot) -> String {
    format!("{:#?}", reloaded(snapshot))
}

/// A reply to the newest start of the payout that it speaks of, and one to a start of long ago.
const BOUND: Source = Source::Reply { send_before: Timestamp(0) };
const LATE: Source = Source::Reply { send_before: Timestamp(1) };
/// An answer to a question that was asked after every window, and one to a question of long ago.
const ASKED: Source = Source::Enquiry { asked_at: Timestamp(i64::MAX) };
const ASKED_EARLY: Source = Source::Enquiry { asked_at: Timestamp(0) };

/// The command, a reply bound to its start.
fn bound(store: &Snapshot, command: &Command) -> Command {
    let mut command = command.clone();
    if let Command::Record { connector, reference, source, .. } = &mut command
        && *source == BOUND
        && let Some((payout, _)) = store.references.get(&(*connector, *reference))
        && let Some(payout) = store.payouts.get(payout)
    {
        *source = Source::Reply { send_before: payout.send_before };
    }
    command
}

/// The ids of an order: unique, and told by merchant and letter, but for a create, which brings a new one each time.
fn id(merchant: MerchantId, letter: usize, nonce: i64) -> PayoutId {
    PayoutId(merchant.0 * 100 + i64::try_from(letter).expect("a small number") * 10 + nonce)
}

prop_compose! {
    fn a_command()(
        kind in select(vec!["create", "create", "start", "start", "start", "record", "record", "record", "record", "record",
            "enquire", "wait", "recognise", "expire", "cancel", "fund", "fund", "credit", "credit", "approve", "approve", "approve", "reject"]),
        merchant in select(vec![1, 1, 1, 2, 3]).prop_map(MerchantId),
        letter in 0..LETTERS.len(),
        // Mostly the id that the order's first create brings.
        nonce in select(vec![0, 0, 0, 0, 1]),
        attempt in select(vec![1u32, 1, 1, 2, 3]),
        salt in select(vec![0usize, 0, 0, 0, 1]),
        // Now and then an attempt offers the references of another order.
        other in select(vec![0usize, 0, 0, 1]),
        bank in select(BANKS.to_vec()).prop_map(connector),
        // Merchant 2's payouts may go over another rail.
        rail in select(vec![Rail::Imps, Rail::Imps, Rail::Imps, Rail::Neft, Rail::Rtgs]),
        outcome in select(vec![Outcome::NotWritten, Outcome::Accepted, Outcome::Silent, Outcome::NotFound, Outcome::Paid, Outcome::Paid,
            Outcome::Refused { elsewhere: false }, Outcome::Refused { elsewhere: true }, Outcome::Refused { elsewhere: true },
            Outcome::RailRefused, Outcome::Reversed]),
        source in select(vec![BOUND, BOUND, LATE, ASKED, ASKED, ASKED_EARLY, Source::SignedCallback,
            Source::UnsignedCallback]),
        rupees in select(vec![100i64, 100, 100, 100, 400]),
        utr in 0..4u8,
        // A name that a clearing system gave, one of the bank's own, or both; of two files.
        names in select(vec![&["HDFCN52026112200001"][..], &["UTR1"], &["UTR2", "HDFCN52026112200001"], &[]]),
        of_file in select(vec![1u128, 2]),
        proposal in 1..=PROPOSALS,
        approver in select(vec!["ravi", "ravi", "ravi", "asha", "Meena"]),
        elapsed_us in select(vec![0, 0, SECOND, 9 * SECOND, HOUR, -SECOND, 14 * HOUR]),
    ) -> (Command, i64) {
        let amount = Amount::from_paise(rupees * 100).expect("an amount");
        let operator = Actor::Operator("asha".into());
        let name = OrderId::parse(LETTERS[(letter + other) % LETTERS.len()]).expect("an OrderID");
        let offered = references(merchant, &name, attempt);
        let payout = id(merchant, letter, 0);
        let command = match kind {
            "create" => Command::CreatePayout(Box::new(order(merchant, id(merchant, letter, nonce), LETTERS[letter], Rail::Imps, amount, "ravi"))),
            "start" => Command::Start {
                merchant, payout, connector: bank, rail, references: offered, send_within_us: 5 * SECOND, enquire_after_us: 2 * SECOND,
            },
            "record" => Command::Record {
                connector: bank,
                reference: offered[salt],
                word: Word { outcome, amount_paise: (utr > 0).then_some(rupees * 100), rrn: format!("R{utr}").into(), why: "".into() },
                source,
            },
            "enquire" => Command::Enquire { merchant, payout, lease_us: 10 * SECOND },
            "wait" => Command::Wait { merchant, payout },
            "recognise" => Command::Recognise { merchant, payout },
            "expire" => Command::Expire { merchant, payout },
            "cancel" => Command::Cancel { merchant, payout, actor: operator },
            "approve" => Command::Approve { proposal, actor: Actor::Operator(approver.into()) },
            "credit" => Command::Credit {
                line: Box::new(CreditLine {
                    connector: bank,
                    reference: names.iter().max_by_key(|name| name.len()).map_or(format!("?{of_file}{utr}"), |name| (*name).to_owned()).into(),
                    line: format!("{of_file}{utr}").into(),
                    names: names.iter().map(|name| ((*name).into(), if other == 0 { Read::Field } else { Read::Narrated })).collect(),
                    amount,
                    day: NOON.ist_day() + i64::from(utr) - 1,
                    whose: (merchant != MerchantId(3)).then_some(merchant).filter(|_| salt == 0),
                    file: FileLines(HashMap::from([(of_file, 1)]).into()),
                    detail: "a credit".into(),
                }),
                actor: Actor::System,
            },
            "reject" => Command::Reject { proposal, actor: operator, why: "no".into() },
            _ => Command::Fund { merchant, connector: bank, reference: format!("UTR{utr}").into(), amount, actor: operator },
        };
        (command, elapsed_us)
    }
}

/// Proposals that stand in the world, of all kinds.
const PROPOSALS: i64 = 28;

/// What is proposed about every payout, and about no payout.
fn proposals() -> Vec<What> {
    let mut all = Vec::new();
    let rupees = |rupees: i64| Amount::from_paise(rupees * 100).expect("an amount");
    for (letter, name) in LETTERS.iter().enumerate() {
        let merchant = MerchantId(1);
        let payout = id(merchant, letter, 0);
        let reference = references(merchant, &OrderId::parse(name).expect("an OrderID"), 1)[0];
        let at = AttemptAt { merchant, payout, connector: connector("sandbox"), reference };
        all.extend([
            What::DeclarePaid { at, bank_reference: "UTR9".into() },
            What::DeclareFailed { merchant, payout },
            What::Resume { merchant, payout },
            What::Collect { at },
            What::WriteOff { at },
        ]);
    }
    let (house, merchant, bank) = (MerchantId::HOUSE, MerchantId(1), connector("sandbox"));
    let side = |book, account| Side { book, account: Account::parse(account).expect("an account") };
    let adjust = |from, to, through| What::Adjust { from, to, through, amount: rupees(50) };
    for (number, utr) in ["UTR0", "UTR5", "UTR6"].into_iter().enumerate() {
        let merchant = MerchantId(1 + i64::try_from(number).expect("a small number"));
        all.push(What::Suspense { connector: bank, bank_reference: utr.into(), amount: rupees(100) });
        all.push(What::Identify { merchant, connector: bank, bank_reference: utr.into() });
    }
    all.push(What::Withdraw { merchant, connector: bank, bank_reference: "UTR8".into(), amount: rupees(50) });
    all.push(What::Withdraw {
        merchant: MerchantId(2),
        connector: bank,
        bank_reference: "UTR8".into(),
        amount: rupees(50),
    });
    all.push(adjust(side(merchant, "wallet"), side(merchant, "fees"), None));
    all.push(adjust(side(house, "loss"), side(merchant, "wallet"), Some(bank)));
    all.push(adjust(side(merchant, "wallet"), side(house, "suspense"), Some(bank)));
    all.push(adjust(side(house, "float"), side(merchant, "wallet"), None));
    all.push(adjust(side(house, "suspense"), side(house, "float"), None));
    all
}

fn world() -> (Rules, Snapshot) {
    let mut snapshot = Snapshot::default();
    for (number, what) in (1..).zip(proposals()) {
        let proposal = Proposal {
            id: number,
            what,
            reason: "".into(),
            proposed_by: "Asha".into(),
            proposed_at: NOON,
            expires_at: NOON.after(PROPOSAL_US),
            state: ProposalState::Proposed,
            decided_by: "".into(),
            decided_at: None,
            decided_why: "".into(),
        };
        snapshot.proposals.insert(number, proposal);
    }
    assert_eq!(snapshot.proposals.len() as i64, PROPOSALS);
    for (id, wish) in [(0, CallbackWish::Nothing), (1, CallbackWish::All), (2, CallbackWish::Nothing)] {
        let mut one = merchant(wish);
        one.rail_choice = if id == 2 { RailChoice::Auto } else { RailChoice::AsOrdered };
        one.day_most_paise = Some(800_00);
        snapshot.merchants.insert(MerchantId(id), one);
    }
    // On hold nothing would happen any more.
    (Rules { holds_by_itself: false, ..rules(2, HOUR) }, snapshot)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_decides_what_its_commands_decide_one_by_one(commands in prop::collection::vec(a_command(), 1..=40)) {
        let (rules, mut batch) = world();
        let (_, mut store) = world();
        let mut now = NOON;
        for (command, elapsed_us) in &commands {
            now = Timestamp(now.0 + elapsed_us);
            let command = &bound(&store, command);
            let together = decide(&mut batch, &rules, command, now);
            let mut loaded = load(&store, command);
            let alone = decide(&mut loaded, &rules, command, now);
            write(&mut store, loaded, &alone);
            prop_assert_eq!(format!("{:#?}", together), format!("{:#?}", alone), "{:?}", command);
            prop_assert!(batch.merchants.values().all(|merchant| merchant.accounts.sum() == Some(0)));
        }
        prop_assert_eq!(text(&batch), text(&store));
    }
}
