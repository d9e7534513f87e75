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
//! Balances are credits minus debits, so all accounts of a merchant sum to zero at every moment.

use crate::ids::{Actor, Connector, MerchantId, PayoutId};
use crate::money::{Amount, Balance};
use crate::plant::{Plant, planted};
use crate::schedule::Timestamp;
use crate::signing::keyed;
use hmac::Mac;

/// An account of a merchant.
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
}

impl MovementKind {
    /// All kinds.
    pub const ALL: [MovementKind; 5] =
        [MovementKind::Fund, MovementKind::Reserve, MovementKind::Release, MovementKind::Settle, MovementKind::Restore];

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
        }
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
    /// What moves.
    pub cost: Cost,
}

/// A bank credit arrived for the merchant.
pub fn fund(amount: Amount, connector: Connector) -> Movement {
    Movement { kind: MovementKind::Fund, connector: Some(connector), cost: Cost { amount, fee_paise: 0, gst_paise: 0 } }
}

/// A payout was accepted.
pub fn reserve(cost: Cost) -> Movement {
    Movement { kind: MovementKind::Reserve, connector: None, cost }
}

/// A payout failed or was cancelled: all that was reserved goes back.
pub fn release(cost: Cost) -> Movement {
    Movement { kind: MovementKind::Release, connector: None, cost }
}

/// The bank paid.
pub fn settle(cost: Cost, connector: Connector) -> Movement {
    Movement { kind: MovementKind::Settle, connector: Some(connector), cost }
}

/// The bank took back what it had paid: amount, fee and tax return (RAILS.md, "Fee and tax").
pub fn restore(cost: Cost, connector: Connector) -> Movement {
    Movement { kind: MovementKind::Restore, connector: Some(connector), cost }
}

/// One side of a movement: a credit is positive, a debit negative, in paise.
pub type Leg = (Account, i64);

impl Movement {
    /// The legs: they always sum to zero. `None` only where a sum does not fit or a bank is missing, which is a bug.
    pub fn legs(&self) -> Option<[Leg; 4]> {
        let amount = self.cost.amount.paise();
        let (fee, gst) = (self.cost.fee_paise, self.cost.gst_paise);
        let total = self.cost.total_paise()?;
        let bank = || self.connector.map(Account::Bank);
        use Account::{Fees, Gst, Reserved, Wallet};
        Some(match self.kind {
            MovementKind::Fund => [(bank()?, -amount), (Wallet, amount), (Fees, 0), (Gst, 0)],
            MovementKind::Reserve => [(Wallet, -total), (Reserved, total), (Fees, 0), (Gst, 0)],
            MovementKind::Release => [(Reserved, -total), (Wallet, total), (Fees, 0), (Gst, 0)],
            MovementKind::Settle => [(Reserved, -total), (bank()?, amount), (Fees, fee), (Gst, gst)],
            MovementKind::Restore if planted(Plant::FeeKeptOnReversal) => {
                [(bank()?, -amount), (Wallet, amount), (Fees, 0), (Gst, 0)]
            }
            MovementKind::Restore => [(bank()?, -amount), (Wallet, total), (Fees, -fee), (Gst, -gst)],
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
    /// The number of the last journal row; 0 before the first.
    pub journal_seq: i64,
    /// The time of the last journal row.
    pub journal_at: Timestamp,
}

/// Why a movement cannot be posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostingError {
    /// The wallet or the reserve would fall below zero.
    TooLittle,
    /// A balance would not fit into an `i64`, or the movement names no bank.
    Overflow,
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
    /// What the bank called it, for a deposit; empty otherwise.
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
            };
            *balance = balance.checked_add(paise).ok_or(PostingError::Overflow)?;
        }
        if next.wallet < Balance::ZERO || next.reserved < Balance::ZERO {
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
        own.into_iter().chain(banks).try_fold(0i64, |sum, balance| sum.checked_add(balance.paise()))
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
    for text in [row.movement.connector.as_ref().map_or("", Connector::as_str), &actor, &row.memo] {
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
        }
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
                let movement = Movement { kind, connector: Some(bank()), cost: cost(amount, fee, gst) };
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
