//! The chart of accounts and every movement of money, one function each.
//!
//! A journal row is one movement; its legs are derived from its kind by [`Movement::legs`] and nowhere else, so a row
//! cannot be unbalanced. Each merchant has accounts of his own:
//!
//! | account | holds |
//! |---|---|
//! | `wallet` | what the merchant may spend |
//! | `reserved` | what is set aside for open payouts |
//! | `fees`, `gst` | what settled payouts have cost |
//! | `bank:{connector}` | the other side: minus what that bank holds for this merchant's story |
//!
//! Merchant 0 is the house. In place of a wallet it has accounts of its own ([`HouseAccount`]), and its banks too. Money
//! passes between a merchant and the house by two rows, one in each book, through the same `bank:{connector}`: what the one
//! bank holds for both together does not change.
//!
//! Balances are credits minus debits, so all accounts of a merchant sum to zero at every moment.

use crate::ids::{Actor, Connector, MerchantId, PayoutId};
use crate::money::{Amount, Balance};
use crate::plant::{Plant, planted};
use crate::schedule::Timestamp;
use crate::signing::keyed;
use hmac::Mac;
use std::borrow::Cow;
use std::fmt;

/// An account of the house.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HouseAccount {
    /// The operator's own money at the banks.
    Float = 0,
    /// Bank credits of which nobody knows yet whose they are; never negative.
    Suspense = 1,
    /// Fees that were earned.
    FeeIncome = 2,
    /// Tax on them that is owed to the state.
    GstPayable = 3,
    /// What upstream providers charge.
    UpstreamCost = 4,
    /// What the house has borne.
    Loss = 5,
}

impl HouseAccount {
    /// All of them, in the order of their numbers.
    pub const ALL: [HouseAccount; 6] = [
        HouseAccount::Float,
        HouseAccount::Suspense,
        HouseAccount::FeeIncome,
        HouseAccount::GstPayable,
        HouseAccount::UpstreamCost,
        HouseAccount::Loss,
    ];

    /// Its name, as the store and the command line have it.
    pub const fn name(self) -> &'static str {
        match self {
            HouseAccount::Float => "float",
            HouseAccount::Suspense => "suspense",
            HouseAccount::FeeIncome => "fee_income",
            HouseAccount::GstPayable => "gst_payable",
            HouseAccount::UpstreamCost => "upstream_cost",
            HouseAccount::Loss => "loss",
        }
    }

    /// The account with this name.
    pub fn parse(name: &str) -> Option<HouseAccount> {
        HouseAccount::ALL.into_iter().find(|account| account.name() == name)
    }
}

/// An account of a merchant or of the house.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Account {
    /// Spendable.
    Wallet,
    /// Set aside for open payouts.
    Reserved,
    /// Fees of settled payouts.
    Fees,
    /// Tax on those fees.
    Gst,
    /// A bank's money that belongs to this merchant's story.
    Bank(Connector),
    /// An account of the house.
    House(HouseAccount),
}

impl Account {
    /// The account with this name, such as `wallet`, `bank:sandbox` or, of the house, `loss`.
    pub fn parse(name: &str) -> Option<Account> {
        Some(match name {
            "wallet" => Account::Wallet,
            "reserved" => Account::Reserved,
            "fees" => Account::Fees,
            "gst" => Account::Gst,
            name => match name.strip_prefix("bank:") {
                Some(bank) => Account::Bank(Connector::parse(bank)?),
                None => Account::House(HouseAccount::parse(name)?),
            },
        })
    }

    /// Whether this merchant, or the house, has such an account.
    pub fn is_of(self, merchant: MerchantId) -> bool {
        match self {
            Account::Wallet | Account::Reserved | Account::Fees | Account::Gst => merchant != MerchantId::HOUSE,
            Account::Bank(_) => true,
            Account::House(_) => merchant == MerchantId::HOUSE,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Wallet => f.write_str("wallet"),
            Account::Reserved => f.write_str("reserved"),
            Account::Fees => f.write_str("fees"),
            Account::Gst => f.write_str("gst"),
            Account::Bank(connector) => write!(f, "bank:{connector}"),
            Account::House(account) => f.write_str(account.name()),
        }
    }
}

/// What kind of movement a journal row is. The number is what the store keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MovementKind {
    /// A bank credit arrived: bank -> wallet.
    Fund = 1,
    /// A payout was accepted: wallet -> reserved, with fee and tax.
    Reserve = 2,
    /// A payout failed or was cancelled: reserved -> wallet, all of it.
    Release = 3,
    /// A payout was paid: reserved -> bank, fees, gst.
    Settle = 4,
    /// The bank took a payment back: bank, fees, gst -> wallet.
    Restore = 5,
    /// A merchant's money was sent back to him: wallet -> bank.
    Withdraw = 6,
    /// The bank paid what we had called failed, and the merchant owes it: wallet -> bank.
    Collect = 7,
    /// The bank paid what we had called failed, and the house bears it: loss -> bank, in the house's book.
    WriteOff = 8,
    /// A correction by two people, between the two accounts that the row names.
    Adjust = 9,
    /// A bank credit arrived, and nobody knows whose it is: bank -> suspense, in the house's book.
    Suspense = 10,
    /// It was found out whose it is: suspense -> bank, in the house's book; a [`MovementKind::Fund`] in the merchant's.
    Identify = 11,
}

impl MovementKind {
    /// All kinds.
    pub const ALL: [MovementKind; 11] = [
        MovementKind::Fund,
        MovementKind::Reserve,
        MovementKind::Release,
        MovementKind::Settle,
        MovementKind::Restore,
        MovementKind::Withdraw,
        MovementKind::Collect,
        MovementKind::WriteOff,
        MovementKind::Adjust,
        MovementKind::Suspense,
        MovementKind::Identify,
    ];

    /// The kind with this number.
    pub fn from_number(number: i64) -> Option<MovementKind> {
        MovementKind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// The kind's name, as statements print it.
    pub const fn name(self) -> &'static str {
        match self {
            MovementKind::Fund => "fund",
            MovementKind::Reserve => "reserve",
            MovementKind::Release => "release",
            MovementKind::Settle => "settle",
            MovementKind::Restore => "restore",
            MovementKind::Withdraw => "withdraw",
            MovementKind::Collect => "collect",
            MovementKind::WriteOff => "write_off",
            MovementKind::Adjust => "adjust",
            MovementKind::Suspense => "suspense",
            MovementKind::Identify => "identify",
        }
    }

    /// Whether only the house's book has such rows.
    pub const fn is_of_the_house(self) -> bool {
        matches!(self, MovementKind::WriteOff | MovementKind::Suspense | MovementKind::Identify)
    }
}

/// What a payout takes from the wallet: the amount that the beneficiary gets, our fee and the tax on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// What the beneficiary gets.
    pub amount: Amount,
    /// Our fee, paise.
    pub fee_paise: i64,
    /// GST on the fee, paise.
    pub gst_paise: i64,
}

impl Cost {
    /// Everything together, paise; `None` where it does not fit.
    pub fn total_paise(&self) -> Option<i64> {
        self.amount.paise().checked_add(self.fee_paise)?.checked_add(self.gst_paise)
    }
}

/// One movement of money, before it is posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Movement {
    /// What it is.
    pub kind: MovementKind,
    /// The bank on the other side, where one is.
    pub connector: Option<Connector>,
    /// The account that is debited and the one that is credited, of an [`MovementKind::Adjust`] only.
    pub between: Option<(Account, Account)>,
    /// What moves.
    pub cost: Cost,
}

/// A movement of no more than an amount, with a bank on the other side.
fn with_bank(kind: MovementKind, amount: Amount, connector: Connector) -> Movement {
    Movement { kind, connector: Some(connector), between: None, cost: Cost { amount, fee_paise: 0, gst_paise: 0 } }
}

/// A bank credit arrived for the merchant.
pub fn fund(amount: Amount, connector: Connector) -> Movement {
    with_bank(MovementKind::Fund, amount, connector)
}

/// The merchant's money is sent back to him.
pub fn withdraw(amount: Amount, connector: Connector) -> Movement {
    with_bank(MovementKind::Withdraw, amount, connector)
}

/// The merchant owes what the bank paid although we had called it failed.
pub fn collect(amount: Amount, connector: Connector) -> Movement {
    with_bank(MovementKind::Collect, amount, connector)
}

/// The house bears what the bank paid although we had called it failed.
pub fn write_off(amount: Amount, connector: Connector) -> Movement {
    with_bank(MovementKind::WriteOff, amount, connector)
}

/// A bank credit arrived, and nobody knows whose it is.
pub fn suspense(amount: Amount, connector: Connector) -> Movement {
    with_bank(MovementKind::Suspense, amount, connector)
}

/// An unidentified credit leaves the house's book for that of the merchant whose it is.
pub fn identify(amount: Amount, connector: Connector) -> Movement {
    with_bank(MovementKind::Identify, amount, connector)
}

/// A correction: the first account is debited and the second credited.
pub fn adjust(amount: Amount, from: Account, to: Account) -> Movement {
    let cost = Cost { amount, fee_paise: 0, gst_paise: 0 };
    Movement { kind: MovementKind::Adjust, connector: None, between: Some((from, to)), cost }
}

/// A payout was accepted.
pub fn reserve(cost: Cost) -> Movement {
    Movement { kind: MovementKind::Reserve, connector: None, between: None, cost }
}

/// A payout failed or was cancelled: all that was reserved goes back.
pub fn release(cost: Cost) -> Movement {
    Movement { kind: MovementKind::Release, connector: None, between: None, cost }
}

/// The bank paid.
pub fn settle(cost: Cost, connector: Connector) -> Movement {
    Movement { kind: MovementKind::Settle, connector: Some(connector), between: None, cost }
}

/// The bank took back what it had paid: amount, fee and tax return (RAILS.md, "Fee and tax").
pub fn restore(cost: Cost, connector: Connector) -> Movement {
    Movement { kind: MovementKind::Restore, connector: Some(connector), between: None, cost }
}

/// What the memo of an adjustment ends with whose other half is in another book.
pub const ONE_OF_TWO: &str = ", one of two";

/// One side of a movement: a credit is positive, a debit negative, in paise.
pub type Leg = (Account, i64);

impl Movement {
    /// The other side as the journal keeps it: the bank's name, or `from>to` of an adjustment; empty where there is none.
    pub fn sides(&self) -> Cow<'_, str> {
        match (&self.between, &self.connector) {
            (Some((from, to)), _) => Cow::Owned(format!("{from}>{to}")),
            (None, Some(connector)) => Cow::Borrowed(connector.as_str()),
            (None, None) => Cow::Borrowed(""),
        }
    }

    /// A movement from what the journal keeps of it; `None` where the other side cannot be read.
    pub fn from_sides(kind: MovementKind, sides: &str, cost: Cost) -> Option<Movement> {
        let (connector, between) = match kind {
            MovementKind::Adjust => {
                let (from, to) = sides.split_once('>')?;
                (None, Some((Account::parse(from)?, Account::parse(to)?)))
            }
            _ if sides.is_empty() => (None, None),
            _ => (Some(Connector::parse(sides)?), None),
        };
        Some(Movement { kind, connector, between, cost })
    }

    /// Whether this merchant's book, or the house's, may have such a row.
    fn is_of(&self, merchant: MerchantId) -> bool {
        match self.between {
            Some((from, to)) => from.is_of(merchant) && to.is_of(merchant),
            None => self.kind.is_of_the_house() == (merchant == MerchantId::HOUSE),
        }
    }

    /// The legs: they always sum to zero. `None` only where a sum does not fit, a bank is missing, or the two accounts of an
    /// adjustment are none that can be adjusted.
    pub fn legs(&self) -> Option<[Leg; 4]> {
        let amount = self.cost.amount.paise();
        let (fee, gst) = (self.cost.fee_paise, self.cost.gst_paise);
        let total = self.cost.total_paise()?;
        let bank = || self.connector.map(Account::Bank);
        let between = || self.between.filter(|(from, to)| from != to && ![*from, *to].contains(&Account::Reserved));
        let house = Account::House;
        use Account::{Fees, Gst, Reserved, Wallet};
        use HouseAccount::{Loss, Suspense};
        Some(match self.kind {
            MovementKind::Fund => [(bank()?, -amount), (Wallet, amount), (Fees, 0), (Gst, 0)],
            MovementKind::Reserve => [(Wallet, -total), (Reserved, total), (Fees, 0), (Gst, 0)],
            MovementKind::Release => [(Reserved, -total), (Wallet, total), (Fees, 0), (Gst, 0)],
            MovementKind::Settle => [(Reserved, -total), (bank()?, amount), (Fees, fee), (Gst, gst)],
            MovementKind::Restore if planted(Plant::FeeKeptOnReversal) => {
                [(bank()?, -amount), (Wallet, amount), (Fees, 0), (Gst, 0)]
            }
            MovementKind::Restore => [(bank()?, -amount), (Wallet, total), (Fees, -fee), (Gst, -gst)],
            MovementKind::Withdraw | MovementKind::Collect => {
                [(Wallet, -amount), (bank()?, amount), (Fees, 0), (Gst, 0)]
            }
            MovementKind::WriteOff => [(house(Loss), -amount), (bank()?, amount), (Fees, 0), (Gst, 0)],
            MovementKind::Suspense => [(bank()?, -amount), (house(Suspense), amount), (Fees, 0), (Gst, 0)],
            MovementKind::Identify => [(house(Suspense), -amount), (bank()?, amount), (Fees, 0), (Gst, 0)],
            MovementKind::Adjust => {
                let (from, to) = between()?;
                [(from, -amount), (to, amount), (Fees, 0), (Gst, 0)]
            }
        })
    }
}

/// All accounts of one merchant, as one row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Accounts {
    /// Spendable; never negative.
    pub wallet: Balance,
    /// Set aside for open payouts; never negative.
    pub reserved: Balance,
    /// Fees of settled payouts.
    pub fees: Balance,
    /// GST of settled payouts.
    pub gst: Balance,
    /// One balance for each bank that this merchant's money has touched, by name.
    pub banks: Vec<(Connector, Balance)>,
    /// The accounts of the house, in the order of [`HouseAccount::ALL`]; zero for everybody else.
    pub house: [Balance; 6],
    /// The number of the last journal row; 0 before the first.
    pub journal_seq: i64,
    /// The time of the last journal row.
    pub journal_at: Timestamp,
}

/// Why a movement cannot be posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostingError {
    /// The wallet, the reserve or the suspense would fall below zero.
    TooLittle,
    /// A balance would not fit into an `i64`, or the movement names no bank.
    Overflow,
    /// The movement is one of the house's and the book a merchant's, or the other way round.
    WrongBook,
}

/// One posted movement: a row of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalRow {
    /// Whose journal.
    pub merchant: MerchantId,
    /// 1, 2, 3 ... within the merchant, without gaps.
    pub seq: i64,
    /// When; rises strictly within the merchant.
    pub at: Timestamp,
    /// What moved.
    pub movement: Movement,
    /// The payout that it moved for.
    pub payout: Option<PayoutId>,
    /// Who caused it.
    pub actor: Actor,
    /// What the bank called it, for a deposit, and the proposal of two people that it comes from; empty otherwise.
    pub memo: Box<str>,
    /// The wallet after it.
    pub wallet_after: Balance,
}

impl Accounts {
    /// Adds a movement's legs to the balances, or changes nothing.
    pub fn apply(&mut self, movement: &Movement) -> Result<(), PostingError> {
        let legs = movement.legs().ok_or(PostingError::Overflow)?;
        let mut next = self.clone();
        for (account, paise) in legs {
            let balance = match account {
                Account::Wallet => &mut next.wallet,
                Account::Reserved => &mut next.reserved,
                Account::Fees => &mut next.fees,
                Account::Gst => &mut next.gst,
                Account::Bank(connector) => next.bank_mut(connector),
                Account::House(account) => &mut next.house[account as usize],
            };
            *balance = balance.checked_add(paise).ok_or(PostingError::Overflow)?;
        }
        let least = next.wallet.min(next.reserved).min(next.house[HouseAccount::Suspense as usize]);
        if least < Balance::ZERO {
            return Err(PostingError::TooLittle);
        }
        *self = next;
        Ok(())
    }

    /// Posts a movement: moves the balances and gives back the journal row.
    pub fn post(
        &mut self,
        merchant: MerchantId,
        movement: Movement,
        payout: Option<PayoutId>,
        actor: &Actor,
        memo: &str,
        now: Timestamp,
    ) -> Result<JournalRow, PostingError> {
        if !movement.is_of(merchant) {
            return Err(PostingError::WrongBook);
        }
        self.apply(&movement)?;
        self.journal_seq += 1;
        // A clock may step back; a statement is read by time, so its times may not.
        self.journal_at = now.max(self.journal_at.after(1));
        Ok(JournalRow {
            merchant,
            seq: self.journal_seq,
            at: self.journal_at,
            movement,
            payout,
            actor: actor.clone(),
            memo: memo.into(),
            wallet_after: self.wallet,
        })
    }

    /// The sum over all accounts: zero, unless money appeared or vanished. `None` where it does not fit.
    pub fn sum(&self) -> Option<i64> {
        let own = [self.wallet, self.reserved, self.fees, self.gst];
        let banks = self.banks.iter().map(|(_, balance)| *balance);
        own.into_iter().chain(banks).chain(self.house).try_fold(0i64, |sum, balance| sum.checked_add(balance.paise()))
    }

    fn bank_mut(&mut self, connector: Connector) -> &mut Balance {
        let place = match self.banks.binary_search_by_key(&connector, |(name, _)| *name) {
            Ok(place) => place,
            Err(place) => {
                self.banks.insert(place, (connector, Balance::ZERO));
                place
            }
        };
        &mut self.banks[place].1
    }
}

/// The link that ties a journal row to all rows before it: HMAC-SHA-256, under a key that is not in the database, over
/// the link before and everything in the row. The first row follows 32 zero bytes.
pub fn chain(key: &[u8], previous: &[u8; 32], row: &JournalRow) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(192);
    bytes.extend_from_slice(b"hundi journal 1");
    bytes.extend_from_slice(previous);
    let cost = &row.movement.cost;
    for number in [
        row.merchant.0,
        row.seq,
        row.at.0,
        row.movement.kind as i64,
        cost.amount.paise(),
        cost.fee_paise,
        cost.gst_paise,
        row.payout.map_or(0, |id| id.0),
        row.wallet_after.paise(),
    ] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    let actor = row.actor.to_string();
    for text in [&*row.movement.sides(), &actor, &row.memo] {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let mut mac = keyed(key);
    mac.update(&bytes);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bank() -> Connector {
        Connector::parse("sandbox").unwrap()
    }

    fn cost(amount: i64, fee_paise: i64, gst_paise: i64) -> Cost {
        Cost { amount: Amount::from_paise(amount).unwrap(), fee_paise, gst_paise }
    }

    fn show(accounts: &Accounts) -> String {
        let banks: i64 = accounts.banks.iter().map(|(_, b)| b.paise()).sum();
        let a = accounts;
        format!("{}/{}/{}/{}/{banks}", a.wallet.paise(), a.reserved.paise(), a.fees.paise(), a.gst.paise())
    }

    #[test]
    fn a_payout_that_is_paid_and_taken_back_leaves_no_trace_in_the_balances() {
        let mut accounts = Accounts::default();
        let order = cost(1_000, 50, 9);
        for (movement, after) in [
            (fund(Amount::from_paise(10_000).unwrap(), bank()), "10000/0/0/0/-10000"),
            (reserve(order), "8941/1059/0/0/-10000"),
            (release(order), "10000/0/0/0/-10000"),
            (reserve(order), "8941/1059/0/0/-10000"),
            (settle(order, bank()), "8941/0/50/9/-9000"),
            (restore(order, bank()), "10000/0/0/0/-10000"),
        ] {
            accounts.apply(&movement).unwrap();
            assert_eq!(show(&accounts), after, "{movement:?}");
            assert_eq!(accounts.sum(), Some(0));
            assert_eq!(Movement::from_sides(movement.kind, &movement.sides(), movement.cost), Some(movement));
        }
    }

    #[test]
    fn a_sum_sees_what_has_appeared() {
        let (one, most) = (Balance::from_paise(1), Balance::from_paise(i64::MAX));
        let mut accounts = Accounts { gst: one, ..Accounts::default() };
        assert_eq!(accounts.sum(), Some(1));
        (accounts.house[HouseAccount::Loss as usize], accounts.banks) = (one, vec![(bank(), one)]);
        assert_eq!(accounts.sum(), Some(3));
        accounts.wallet = most;
        assert_eq!(accounts.sum(), None);
    }

    #[test]
    fn what_is_not_there_is_not_moved() {
        let mut accounts = Accounts::default();
        accounts.apply(&fund(Amount::from_paise(1_058).unwrap(), bank())).unwrap();
        let before = accounts.clone();
        assert_eq!(accounts.apply(&reserve(cost(1_000, 50, 9))), Err(PostingError::TooLittle));
        assert_eq!(accounts.apply(&release(cost(1, 0, 0))), Err(PostingError::TooLittle));
        assert_eq!(accounts.apply(&settle(cost(1, 0, 0), bank())), Err(PostingError::TooLittle));
        assert_eq!(accounts.apply(&reserve(cost(1, i64::MAX, 0))), Err(PostingError::Overflow));
        assert_eq!(accounts, before);
    }

    #[test]
    fn the_house_and_the_merchants_have_books_of_their_own() {
        let house = MerchantId::HOUSE;
        let amount = Amount::from_paise(100).unwrap();
        let account = |name| Account::parse(name).unwrap();
        let adjusted = |from, to| adjust(amount, account(from), account(to));
        let mut accounts = [Accounts::default(), Accounts::default()];
        for (merchant, movement, expected) in [
            (MerchantId(1), fund(amount, bank()), Ok(())),
            (house, fund(amount, bank()), Err(PostingError::WrongBook)),
            (house, identify(amount, bank()), Err(PostingError::TooLittle)),
            (house, suspense(amount, bank()), Ok(())),
            (MerchantId(1), suspense(amount, bank()), Err(PostingError::WrongBook)),
            (house, identify(amount, bank()), Ok(())),
            (house, write_off(amount, bank()), Ok(())),
            (MerchantId(1), write_off(amount, bank()), Err(PostingError::WrongBook)),
            (house, adjusted("loss", "bank:sandbox"), Ok(())),
            (house, adjusted("loss", "wallet"), Err(PostingError::WrongBook)),
            (MerchantId(1), adjusted("wallet", "float"), Err(PostingError::WrongBook)),
            (MerchantId(1), adjusted("wallet", "wallet"), Err(PostingError::Overflow)),
            (MerchantId(1), adjusted("wallet", "reserved"), Err(PostingError::Overflow)),
            (MerchantId(1), adjusted("reserved", "wallet"), Err(PostingError::Overflow)),
            (MerchantId(1), adjusted("fees", "wallet"), Ok(())),
            (MerchantId(1), withdraw(Amount::from_paise(201).unwrap(), bank()), Err(PostingError::TooLittle)),
            (MerchantId(1), collect(amount, bank()), Ok(())),
            (MerchantId(1), withdraw(amount, bank()), Ok(())),
            (MerchantId(1), collect(amount, bank()), Err(PostingError::TooLittle)),
        ] {
            let one = &mut accounts[usize::from(merchant != house)];
            let before = one.clone();
            let posted = one.post(merchant, movement, None, &Actor::System, "", Timestamp(1));
            assert_eq!(posted.map(drop), expected, "{merchant:?} {movement:?}");
            assert!(expected.is_ok() || *one == before);
            assert_eq!(one.sum(), Some(0));
            let sides = movement.sides();
            assert_eq!(Movement::from_sides(movement.kind, &sides, movement.cost), Some(movement), "{sides}");
        }
        assert_eq!(show(&accounts[1]), "0/0/-100/0/100");
        assert_eq!(accounts[0].house.map(Balance::paise), [0, 0, 0, 0, 0, -200]);
    }

    #[test]
    fn every_field_of_a_row_is_in_its_link() {
        let mut accounts = Accounts::default();
        let amount = Amount::from_paise(500).unwrap();
        let row =
            accounts.post(MerchantId(1), fund(amount, bank()), None, &Actor::System, "UTR1", Timestamp(7)).unwrap();
        let base = chain(b"key", &[0; 32], &row);
        let mut others = vec![chain(b"kez", &[0; 32], &row), chain(b"key", &[1; 32], &row)];
        let mut change = |edit: fn(&mut JournalRow)| {
            let mut row = row.clone();
            edit(&mut row);
            others.push(chain(b"key", &[0; 32], &row));
        };
        change(|row| row.merchant = MerchantId(2));
        change(|row| row.seq += 1);
        change(|row| row.at = Timestamp(8));
        change(|row| row.movement.kind = MovementKind::Restore);
        change(|row| row.movement.connector = None);
        change(|row| row.movement.between = Some((Account::Wallet, Account::Fees)));
        change(|row| row.movement.between = Some((Account::Fees, Account::Wallet)));
        change(|row| row.movement.cost.amount = Amount::from_paise(501).unwrap());
        change(|row| row.movement.cost.fee_paise = 1);
        change(|row| row.movement.cost.gst_paise = 1);
        change(|row| row.payout = Some(PayoutId(1)));
        change(|row| row.actor = Actor::Token(1));
        change(|row| row.memo = "UTR2".into());
        change(|row| row.wallet_after = Balance::from_paise(1));
        others.push(base);
        let count = others.len();
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), count);
    }

    proptest! {
        #[test]
        fn every_movement_sums_to_zero(amount in 1..=crate::money::AMOUNT_PAISE_MAX, fee in 0..1_000_000i64, gst in 0..1_000_000i64) {
            for kind in MovementKind::ALL {
                let between = (kind == MovementKind::Adjust).then_some((Account::Wallet, Account::Bank(bank())));
                let movement = Movement { kind, connector: Some(bank()), between, cost: cost(amount, fee, gst) };
                let legs = movement.legs().unwrap();
                prop_assert_eq!(legs.iter().map(|(_, paise)| i128::from(*paise)).sum::<i128>(), 0);
            }
        }

        #[test]
        fn times_in_a_journal_rise_whatever_the_clock_does(times in proptest::collection::vec(any::<i32>(), 1..50)) {
            let mut accounts = Accounts::default();
            let mut last = Timestamp(i64::MIN);
            for time in times {
                let amount = Amount::from_paise(1).unwrap();
                let row = accounts.post(MerchantId(1), fund(amount, bank()), None, &Actor::System, "", Timestamp(i64::from(time))).unwrap();
                prop_assert!(row.at > last);
                last = row.at;
            }
        }
    }
}
