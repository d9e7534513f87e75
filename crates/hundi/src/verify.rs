//! `hundi verify`: folds the whole journal and compares it with everything else that the store says.
//!
//! It reads one consistent view and changes nothing. Each law is named, with what it counted and the first offender.

use crate::keys::{Keys, Place, hex};
use crate::store::{Store, StoreError};
use hundi_core::command::WAITING;
use hundi_core::ids::{MerchantId, PayoutId, Reference};
use hundi_core::party::Beneficiary;
use hundi_core::payout::{News, Payout, State};
use hundi_core::plant::{Plant, planted};
use hundi_core::postings::{Account, Accounts, Cost, JournalRow, MovementKind, chain};
use hundi_core::proposal::{ProposalState, What, person};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Seek, SeekFrom, Write};

/// What `hundi verify` found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every law holds.
    pub holds: bool,
    /// The laws.
    pub laws: Vec<Law>,
}

/// One law.
#[derive(Debug, Serialize)]
pub struct Law {
    /// Its name; I-numbers as in the list of invariants (ARCHITECTURE.md).
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// How many things were looked at.
    pub counted: u64,
    /// How many break it.
    pub broken: u64,
    /// The first that breaks it.
    pub first: Option<String>,
}

impl Law {
    fn new(name: &'static str, says: &'static str) -> Law {
        Law { name, says, counted: 0, broken: 0, first: None }
    }

    fn check(&mut self, holds: bool, offender: impl FnOnce() -> String) {
        self.counted += 1;
        if !holds {
            self.broken += 1;
            self.first.get_or_insert_with(offender);
        }
    }
}

/// All laws, as the walk fills them.
struct Laws {
    balanced: Law,
    balances: Law,
    never_negative: Law,
    chain: Law,
    reserved: Law,
    states: Law,
    attempts: Law,
    orders: Law,
    forgotten: Law,
    callbacks: Law,
    credits: Law,
    anchors: Law,
    statements: Law,
    two_people: Law,
    files: Law,
    file: Law,
}

/// What journal and callbacks say of one payout. Small, because there is one for each payout of a merchant.
#[derive(Clone, Copy, Default)]
struct Said {
    /// The movements in their order: the numbers of their kinds, as decimal digits.
    moved: u32,
    /// The final news in their order, as decimal digits.
    told: u16,
    /// How many news there are, final or not.
    news: u16,
    /// What the movements were of; 0 before the first, [`MIXED`] once two differ.
    cost: u64,
}

/// No cost has this mark.
const MIXED: u64 = u64::MAX;

/// Marks costs, so that two that differ are told apart without keeping them. Nobody can foresee the marks, so nobody can
/// choose two costs with the same.
#[derive(Default)]
struct Marks(RandomState);

impl Marks {
    fn of(&self, cost: Cost) -> u64 {
        self.0.hash_one((cost.amount.paise(), cost.fee_paise, cost.gst_paise)).clamp(1, MIXED - 1)
    }
}

/// Folds everything. `anchors` is the text of an anchor file: lines of `time merchant seq link`.
pub async fn verify(store: &Store, keys: &Keys, anchors: &str) -> Result<Report, StoreError> {
    let mut laws = Laws::new();
    check_inbox(store, &mut laws).await?;
    if !planted(Plant::VerifyTrustsIndexes) {
        let damage = store.damage()?;
        laws.file.check(damage.is_empty(), || damage.join("; "));
    }
    let anchors = read_anchors(anchors, &mut laws.anchors);
    let credits: BTreeMap<MerchantId, i64> = store.credits_by_merchant().await?.into_iter().collect();
    let installation = store.meta("installation").await?.unwrap_or_default();
    let excepted = store.exceptions(i64::MAX).await?.into_iter().filter_map(|exception| exception.payout);
    let excepted: BTreeSet<PayoutId> = excepted.map(PayoutId).collect();
    // The house's book comes first: what it has borne is known when the payouts are looked at.
    let books = store.books().await?;
    let mut by_two = ByTwo::read(store, &mut laws.two_people).await?;
    for book in &books {
        let stored = &book.accounts;
        let mut walk = Walk {
            keys,
            link: [0; 32],
            folded: Accounts::default(),
            said: HashMap::new(),
            marks: Marks::default(),
            funded: 0,
            anchors: &anchors,
            by_two: &mut by_two,
        };
        let laws = &mut laws;
        store
            .each_journal_row(book.id, 1, &mut |(row, link)| {
                walk.row(laws, &row, link);
                Ok(())
            })
            .await?;
        let name = book.merchant.as_deref().unwrap_or("?");
        laws.balances
            .check(book.merchant.is_some(), || format!("merchant number {} has accounts and is gone", book.id.0));
        let head = walk.folded.journal_seq == stored.journal_seq && walk.link == book.journal_link;
        laws.chain.check(head, || {
            format!("merchant {name}: the journal does not end where the balances say ({})", stored.journal_seq)
        });
        for (seq, _) in anchors.get(&book.id).into_iter().flatten().filter(|(seq, _)| **seq > walk.folded.journal_seq) {
            laws.anchors.check(false, || format!("merchant {name}: row {seq} was anchored and is gone"));
        }
        let same = Accounts { journal_at: stored.journal_at, journal_seq: stored.journal_seq, ..walk.folded.clone() };
        let same = same == *stored;
        laws.balances.check(same, || format!("merchant {name}: the stored balances are not the sum of the journal"));
        laws.balances.check(stored.sum() == Some(0), || format!("merchant {name}: the accounts do not sum to zero"));
        laws.credits.check(credits.get(&book.id).copied().unwrap_or(0) == walk.funded, || {
            format!("merchant {name}: the bank credits are not what the journal funded")
        });
        let (mut said, marks) = (walk.said, walk.marks);
        add_callbacks(store, book.id, &mut said).await?;
        let mut reserved = 0i64;
        store
            .each_payout(book.id, &mut |payout| {
                if payout.state.is_open() {
                    reserved = reserved.saturating_add(payout.cost().total_paise().unwrap_or(i64::MAX));
                }
                let said = said.remove(&payout.order.id).unwrap_or_default();
                laws.orders.check(book.id != MerchantId::HOUSE, || {
                    format!("payout {} is the house's, which orders nothing", payout.order.id)
                });
                check_order(&mut laws.orders, keys, &installation, &payout);
                let borne = by_two.borne.remove(&payout.order.id).unwrap_or_default();
                check_payout(laws, &payout, said, (&marks, borne), &excepted);
                Ok(())
            })
            .await?;
        let lost = said.iter().filter(|(_, said)| said.moved > 0).map(|(id, _)| id.0).min();
        laws.states.check(lost.is_none(), || {
            format!("merchant {name}: the journal moves money for payout {}, which does not exist", lost.unwrap_or(0))
        });
        laws.reserved.check(reserved == stored.reserved.paise(), || {
            format!("merchant {name}: {} is reserved, open payouts need {reserved} paise", stored.reserved)
        });
        for payout in store.misplaced_references(book.id).await? {
            laws.attempts.check(false, || {
                format!("payout {payout}: its reference is not in the directory of references, or not its own")
            });
        }
    }
    // A merchant who was erased is not walked; whatever still speaks of him gives it away.
    by_two.finish(&mut laws.two_people);
    let known: BTreeSet<MerchantId> = books.iter().map(|book| book.id).collect();
    let spoken_of = anchors.keys().chain(credits.keys()).copied().chain(store.merchants_with_rows().await?);
    for merchant in spoken_of.collect::<BTreeSet<_>>() {
        laws.balances
            .check(known.contains(&merchant), || format!("merchant number {} is gone, but not all he did", merchant.0));
    }
    Ok(laws.report())
}

/// What was exchanged with banks.
async fn check_inbox(store: &Store, laws: &mut Laws) -> Result<(), StoreError> {
    check_lines(store, &mut laws.statements).await?;
    for (what, connector, reference) in store.misplaced_credits().await? {
        laws.credits.check(false, || format!("credit {connector}/{reference}: {what}"));
    }
    check_files(store, &mut laws.files).await
}

/// The lines of banks' statements against the payouts that they were matched to.
async fn check_lines(store: &Store, law: &mut Law) -> Result<(), StoreError> {
    let (matched, misplaced) = store.misplaced_lines().await?;
    law.counted += u64::try_from(matched).unwrap_or(0);
    for (connector, reference) in misplaced {
        law.broken += 1;
        law.first.get_or_insert_with(|| {
            format!("statement line {connector}/{reference}: its payout is gone, or is not what it says")
        });
    }
    Ok(())
}

/// What two people have approved, and what the journals say of it.
struct ByTwo {
    /// The rows that each proposal has in the books, by its number; what is found is taken away.
    rows: BTreeMap<i64, Vec<String>>,
    /// What was collected or written off of each payout: how often, and how much in all, paise.
    borne: BTreeMap<PayoutId, (u32, i64)>,
}

impl ByTwo {
    async fn read(store: &Store, law: &mut Law) -> Result<ByTwo, StoreError> {
        let mut rows = BTreeMap::new();
        for proposal in store.proposals(true, i64::MAX).await? {
            if proposal.state != ProposalState::Approved {
                continue;
            }
            let two = person(&proposal.proposed_by) != person(&proposal.decided_by);
            law.check(two, || format!("proposal {}: one person has proposed and approved it", proposal.id));
            rows.insert(proposal.id, expected_rows(&proposal.what));
        }
        Ok(ByTwo { rows, borne: BTreeMap::new() })
    }

    /// A row that nobody moves alone is one that was approved, just so and once.
    fn row(&mut self, law: &mut Law, row: &JournalRow) {
        let of_two = match row.movement.kind {
            MovementKind::Reserve | MovementKind::Release | MovementKind::Settle | MovementKind::Restore => false,
            // No bank's reference holds a space.
            // What a statement brings is checked against its line.
            MovementKind::Fund | MovementKind::Suspense => row.memo.starts_with(PROPOSAL),
            MovementKind::Withdraw
            | MovementKind::Collect
            | MovementKind::WriteOff
            | MovementKind::Adjust
            | MovementKind::Identify => true,
        };
        if !of_two {
            return;
        }
        let (kind, sides, paise) = (row.movement.kind, row.movement.sides(), row.movement.cost.amount.paise());
        if let (MovementKind::Collect | MovementKind::WriteOff, Some(payout)) = (kind, row.payout) {
            let (times, sum) = self.borne.entry(payout).or_default();
            (*times, *sum) = (*times + 1, sum.saturating_add(paise));
        }
        let number =
            row.memo.strip_prefix(PROPOSAL).and_then(|rest| rest.split([':', ',']).next()?.parse::<i64>().ok());
        let of = match kind {
            MovementKind::Collect | MovementKind::WriteOff => format!("payout {}", row.payout.map_or(0, |id| id.0)),
            MovementKind::Fund | MovementKind::Identify => String::new(),
            _ => paise.to_string(),
        };
        let said = named_row(row.merchant, kind, &sides, &of);
        let rows = number.and_then(|number| self.rows.get_mut(&number));
        let place = rows.as_ref().and_then(|rows| rows.iter().position(|expected| *expected == said));
        law.check(place.is_some(), || {
            format!("merchant number {}, journal row {}: no two people have approved it", row.merchant.0, row.seq)
        });
        if let (Some(rows), Some(place)) = (rows, place) {
            rows.swap_remove(place);
        }
    }

    /// What was approved and is in no book, or in one where it takes two.
    fn finish(self, law: &mut Law) {
        if planted(Plant::HalfOfAPassage) {
            return;
        }
        for (number, left) in self.rows {
            law.check(left.is_empty(), || {
                let left = left.join(", ");
                format!("proposal {number} was approved, and not all of it is in the books: {left}")
            });
        }
        for payout in self.borne.keys() {
            law.check(false, || format!("payout {payout}: something was borne of it, and it does not exist"));
        }
    }
}

/// What the memo of a row begins with that comes from a proposal.
const PROPOSAL: &str = "proposal ";

fn named_row(book: MerchantId, kind: MovementKind, sides: &str, of: &str) -> String {
    format!("{}/{} {sides} {of}", book.0, kind.name())
}

/// The rows of all books that a proposal has, once it is approved.
fn expected_rows(what: &What) -> Vec<String> {
    let house = MerchantId::HOUSE;
    match what {
        What::DeclarePaid { .. } | What::DeclareFailed { .. } | What::Resume { .. } | What::Resolve { .. } => {
            Vec::new()
        }
        What::Collect { at } => {
            vec![named_row(at.merchant, MovementKind::Collect, at.connector.as_str(), &format!("payout {}", at.payout))]
        }
        What::WriteOff { at } => {
            vec![named_row(house, MovementKind::WriteOff, at.connector.as_str(), &format!("payout {}", at.payout))]
        }
        What::Withdraw { merchant, connector, amount, .. } => {
            vec![named_row(*merchant, MovementKind::Withdraw, connector.as_str(), &amount.paise().to_string())]
        }
        What::Adjust { from, to, through, amount } => {
            let row = |book, from: Account, to: Account| {
                named_row(book, MovementKind::Adjust, &format!("{from}>{to}"), &amount.paise().to_string())
            };
            match through.map(Account::Bank) {
                None => vec![row(from.book, from.account, to.account)],
                Some(bank) => vec![row(from.book, from.account, bank), row(to.book, bank, to.account)],
            }
        }
        What::Suspense { connector, amount, .. } => {
            vec![named_row(house, MovementKind::Suspense, connector.as_str(), &amount.paise().to_string())]
        }
        What::Identify { merchant, connector, .. } => vec![
            named_row(house, MovementKind::Identify, connector.as_str(), ""),
            named_row(*merchant, MovementKind::Fund, connector.as_str(), ""),
        ],
    }
}

/// The files of payments against their rows, and these against the attempts.
async fn check_files(store: &Store, law: &mut Law) -> Result<(), StoreError> {
    let (counted, misplaced) = store.misplaced_files().await?;
    law.counted += u64::try_from(counted).unwrap_or(0);
    for (connector, what) in misplaced {
        law.broken += 1;
        law.first.get_or_insert_with(|| format!("{connector}: {what}"));
    }
    Ok(())
}

/// The fold over one merchant's journal.
struct Walk<'a> {
    keys: &'a Keys,
    link: [u8; 32],
    folded: Accounts,
    said: HashMap<PayoutId, Said>,
    marks: Marks,
    funded: i64,
    anchors: &'a BTreeMap<MerchantId, BTreeMap<i64, String>>,
    by_two: &'a mut ByTwo,
}

impl Walk<'_> {
    fn row(&mut self, laws: &mut Laws, row: &JournalRow, link: [u8; 32]) {
        let at = || format!("merchant number {}, journal row {}", row.merchant.0, row.seq);
        let legs = row.movement.legs();
        let sum = legs.map(|legs| legs.iter().map(|(_, paise)| i128::from(*paise)).sum::<i128>());
        laws.balanced.check(sum == Some(0), || format!("{}: the legs do not sum to zero", at()));
        let applied = self.folded.apply(&row.movement).is_ok();
        laws.never_negative.check(applied, || format!("{}: a balance would fall below zero", at()));
        laws.balances.check(self.folded.wallet == row.wallet_after, || {
            format!("{}: the wallet after it is {}, not {}", at(), self.folded.wallet, row.wallet_after)
        });
        let expected = chain(self.keys.journal(), &self.link, row);
        let in_order = row.seq == self.folded.journal_seq + 1 && (row.at > self.folded.journal_at || row.seq == 1);
        laws.chain.check(expected == link && in_order, || format!("{}: the chain breaks here", at()));
        // Going on from what is stored names each broken row once, and not every row after it.
        (self.link, self.folded.journal_seq, self.folded.journal_at) = (link, row.seq, row.at);
        if let Some(anchor) = self.anchors.get(&row.merchant).and_then(|anchors| anchors.get(&row.seq)) {
            laws.anchors.check(*anchor == hex(&link), || format!("{}: the row is not the one that was anchored", at()));
        }
        self.by_two.row(&mut laws.two_people, row);
        let (kind, paise) = (row.movement.kind, row.movement.cost.amount.paise());
        match row.payout {
            // Beside the payout, whose own movements stay as they are.
            Some(_) if matches!(kind, MovementKind::Collect | MovementKind::WriteOff) => {}
            Some(payout) => {
                let said = self.said.entry(payout).or_default();
                said.moved = said.moved.saturating_mul(10).saturating_add(row.movement.kind as u32);
                let cost = self.marks.of(row.movement.cost);
                said.cost = if said.cost == 0 || said.cost == cost { cost } else { MIXED };
            }
            None => {
                let (alone, funded) = match kind {
                    MovementKind::Fund | MovementKind::Suspense => (true, paise),
                    MovementKind::Identify => (true, -paise),
                    MovementKind::Withdraw | MovementKind::Adjust => (true, 0),
                    MovementKind::Reserve
                    | MovementKind::Release
                    | MovementKind::Settle
                    | MovementKind::Restore
                    | MovementKind::Collect
                    | MovementKind::WriteOff => (false, 0),
                };
                laws.states.check(alone, || format!("{}: a payout's movement names no payout", at()));
                self.funded = self.funded.saturating_add(funded);
            }
        }
    }
}

/// What was ordered against what was sealed and hashed when it came, and against the reference that it was sent with. The
/// OrderID of a payout that was never started is hashed nowhere.
fn check_order(law: &mut Law, keys: &Keys, installation: &str, payout: &Payout) {
    let order = &payout.order;
    let place = Place { merchant: order.merchant, row: order.id.0, field: "payouts.sealed" };
    let sealed = keys.open(place, &order.sealed.0).and_then(|text| String::from_utf8(text).ok());
    let beneficiary = sealed.and_then(|text| Beneficiary::from_canonical(text.split('\n').next()?));
    let fingerprint = beneficiary.map(|beneficiary| keys.fingerprint(order.rail, order.amount, &beneficiary));
    law.check(fingerprint == Some(order.fingerprint), || match fingerprint {
        Some(_) => format!("payout {}: its fingerprint is not that of its rail, amount and beneficiary", order.id),
        None => format!("payout {}: its beneficiary cannot be unsealed", order.id),
    });
    if let Some(reference) = payout.reference {
        // An attempt of which no byte left us is not counted, and its reference is the next one's.
        let attempts = [payout.attempts, payout.attempts.saturating_add(1)];
        let own = attempts.into_iter().any(|attempt| {
            Reference::candidates(installation, order.merchant, &order.order, attempt).contains(&reference)
        });
        law.check(own, || format!("payout {}: its reference is not that of its OrderID", order.id));
    }
}

/// A payout against its movements, its attempts and its callbacks. A bank may have paid it all the same: that was `borne` so often and comes to so much.
fn check_payout(
    laws: &mut Laws,
    payout: &Payout,
    said: Said,
    (marks, borne): (&Marks, (u32, i64)),
    excepted: &BTreeSet<PayoutId>,
) {
    let id = payout.order.id;
    // The kinds in order, as the digits of their numbers: reserve 2, release 3, settle 4, restore 5.
    let expected = match payout.state {
        State::Queued | State::Sending | State::Sent => said.moved == 2,
        State::Paid => said.moved == 24,
        State::Reversed => said.moved == 245,
        State::Failed => said.moved == 23 || said.moved == 0 && payout.attempts == 0,
        State::Cancelled => said.moved == 23,
    };
    let cost = said.cost == 0 || said.cost == marks.of(payout.cost());
    laws.states.check(expected && cost, || {
        format!(
            "payout {id} is {}, but its movements are {} (2 reserve, 3 release, 4 settle, 5 restore)",
            payout.state.name(),
            said.moved
        )
    });
    let paid = match payout.state {
        State::Queued | State::Sending | State::Sent => false,
        State::Paid | State::Reversed => true,
        State::Failed | State::Cancelled => borne.0 > 0,
    };
    let each = i64::from(borne.0).checked_mul(payout.order.amount.paise());
    laws.states.check(each == Some(borne.1) && (borne.0 == 0 || !payout.state.is_open()), || {
        format!("payout {id} is {}, but {} paise of it were collected or written off", payout.state.name(), borne.1)
    });
    laws.attempts.check(payout.paid_attempt.is_some() == paid, || {
        format!("payout {id} is {}, but the attempt that paid is {:?}", payout.state.name(), payout.paid_attempt)
    });
    let waits = payout.next_at == Some(WAITING) && (payout.held || excepted.contains(&id));
    let due = payout.next_at.is_some_and(|at| at < WAITING);
    let forgotten = payout.state.is_open() && !due && !waits;
    laws.forgotten
        .check(!forgotten, || format!("payout {id} is {}, but is never due and waits for nobody", payout.state.name()));
    let (success, failure, reversal) = (News::Success as u16, News::Failure as u16, News::Reversal as u16);
    let fits = said.told == 0
        || match payout.state {
            State::Queued | State::Sending | State::Sent => false,
            State::Paid => said.told == success,
            State::Failed | State::Cancelled => said.told == failure,
            State::Reversed => [success, reversal, success * 10 + reversal].contains(&said.told),
        };
    laws.callbacks.check(fits && payout.news == u32::from(said.news), || {
        format!(
            "payout {id} is {} with {} news, but its callbacks are {}, and the final ones of them {} ({success} success, \
             {failure} failure, {reversal} reversal)",
            payout.state.name(),
            payout.news,
            said.news,
            said.told
        )
    });
}

/// Adds what the callbacks say; those of a payout come in their order.
async fn add_callbacks(
    store: &Store,
    merchant: MerchantId,
    said: &mut HashMap<PayoutId, Said>,
) -> Result<(), StoreError> {
    store
        .each_callback(merchant, &mut |payout, _, news| {
            let news =
                News::from_number(news).ok_or_else(|| StoreError::Corrupt("a callback's news is not valid".into()))?;
            let said = said.entry(payout).or_default();
            said.news = said.news.saturating_add(1);
            if news != News::Pending {
                said.told = said.told.saturating_mul(10).saturating_add(news as u16);
            }
            Ok(())
        })
        .await
}

fn read_anchors(text: &str, law: &mut Law) -> BTreeMap<MerchantId, BTreeMap<i64, String>> {
    let mut anchors: BTreeMap<MerchantId, BTreeMap<i64, String>> = BTreeMap::new();
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let mut words = line.split_whitespace().skip(1);
        let anchor = (|| Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.to_owned())))();
        match anchor {
            Some((merchant, seq, link)) => {
                anchors.entry(MerchantId(merchant)).or_default().insert(seq, link);
            }
            // A crash may cut the last line short; it was not an anchor yet.
            None if lines.peek().is_none() && !line.ends_with('\n') => {}
            None => law.check(false, || format!("line {} of the anchor file cannot be read", number + 1)),
        }
    }
    anchors
}

impl Laws {
    fn new() -> Laws {
        Laws {
            balanced: Law::new("I1 balanced movements", "every journal row's legs sum to zero"),
            balances: Law::new("I2 balances", "stored balances are the fold of the journal, and sum to zero"),
            never_negative: Law::new("I3 never negative", "no wallet and no reserve was ever below zero"),
            attempts: Law::new(
                "I5 attempts",
                "each payout has at most one attempt that paid, and its references are its own",
            ),
            states: Law::new("I7 states", "each payout's state is what its movements come to"),
            orders: Law::new(
                "orders",
                "each payout's rail, amount, beneficiary and OrderID are those that were ordered and sent",
            ),
            reserved: Law::new("I8 reserved", "what is reserved is what open payouts need"),
            forgotten: Law::new("I9 nothing forgotten", "each open payout is due some time, or waits for the operator"),
            callbacks: Law::new("I10 news", "each payout's callbacks tell what became of it, each once"),
            chain: Law::new("I11 chain", "the journal is complete, in order and unchanged"),
            credits: Law::new("bank credits", "what the banks credited is what the journal funded"),
            anchors: Law::new("anchors", "every row whose link was anchored is still there, unchanged"),
            statements: Law::new(
                "statements",
                "each line of a bank's statement that is matched has its payout, which is what the line says",
            ),
            two_people: Law::new(
                "two people",
                "what nobody does alone was approved by another than proposed it, and is in the books just so and once",
            ),
            files: Law::new(
                "files",
                "each file of payments has the rows that it says, and each row is of an attempt of its payout",
            ),
            file: Law::new("file", "tables and indexes of the embedded database fit together"),
        }
    }

    fn report(self) -> Report {
        let laws = vec![
            self.balanced,
            self.balances,
            self.never_negative,
            self.attempts,
            self.orders,
            self.states,
            self.reserved,
            self.forgotten,
            self.callbacks,
            self.chain,
            self.credits,
            self.anchors,
            self.statements,
            self.two_people,
            self.files,
            self.file,
        ];
        Report { holds: laws.iter().all(|law| law.broken == 0), laws }
    }
}

/// Appends the head of every journal that has moved since `last` to the anchor file, and syncs it. Whoever cuts rows off
/// the end of a journal would have to change this file too: keep a copy of it elsewhere.
pub async fn append_anchors(app: &crate::App, last: &mut BTreeMap<MerchantId, i64>) -> Result<(), String> {
    let books = app.store.books().await.map_err(|error| error.to_string())?;
    let moved = books.iter().filter(|book| last.get(&book.id).copied().unwrap_or(0) < book.accounts.journal_seq);
    let lines: String = moved
        .map(|book| {
            let (now, seq) = (app.clock.now().0, book.accounts.journal_seq);
            format!("{now} {} {seq} {}\n", book.id.0, hex(&book.journal_link))
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    let path = app.config.anchors();
    let written = mend_and_append(&path, &lines);
    written.map_err(|error| format!("cannot append to the anchors {}: {error}", path.display()))?;
    last.extend(books.iter().map(|book| (book.id, book.accounts.journal_seq)));
    Ok(())
}

/// Appends lines to a file whose last line a crash or a full disk may have cut short: the rest of it is taken away, or the
/// next line would be read as a part of it.
fn mend_and_append(path: &std::path::Path, lines: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    // Processes on one database may share the folder; the lock ends with the file. Whoever finds it taken comes again: the
    // one that holds it may have been stopped.
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    // An anchor line is less than 160 bytes.
    let length = file.metadata()?.len();
    let from = length.saturating_sub(512);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    let end = if tail.len() < 512 || whole > 0 { from + whole as u64 } else { length };
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_short_is_taken_away_before_the_next() {
        let path = std::env::temp_dir().join(format!("hundi-anchors-{}", std::process::id()));
        let long = format!("{}\n", "1 2 3 abc\n".repeat(100));
        for (before, after) in [
            ("", "1 1 2 aa\n".to_owned()),
            ("1 1 1 ff\n", "1 1 1 ff\n1 1 2 aa\n".to_owned()),
            ("1 1 1 ff\n1 1 2 a", "1 1 1 ff\n1 1 2 aa\n".to_owned()),
            ("1 1 1", "1 1 2 aa\n".to_owned()),
            (long.as_str(), format!("{long}1 1 2 aa\n")),
        ] {
            std::fs::write(&path, before).unwrap();
            mend_and_append(&path, "1 1 2 aa\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after, "{before:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
