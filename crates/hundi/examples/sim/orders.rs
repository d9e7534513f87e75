//! The orders as the world outside of Hundi knows them: what was asked, what the bank did, and what was told. Every
//! beneficiary's account is of one order, so the bank's book alone says what became of it.

use std::collections::BTreeMap;

/// The last word that a merchant was told about an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Told {
    Nothing,
    Pending,
    Failure,
    Success,
    Reversal,
}

/// One order of a merchant.
#[derive(Clone, Debug)]
pub struct Order {
    pub merchant: usize,
    pub order_id: String,
    pub rail: &'static str,
    pub rupees: i64,
    pub to: String,
    pub name: String,
    /// Our OrderID, once it was told.
    pub ours: Option<String>,
    pub told: Told,
    /// It was acknowledged, so it must be there for ever.
    pub acknowledged: bool,
    /// The merchant has sent it at least once.
    pub asked: bool,
    /// What the bank did.
    pub executed: bool,
    pub reversed: bool,
    /// The bank paid another amount.
    pub differs: bool,
}

impl Order {
    /// Whether the beneficiary has the money.
    pub fn paid(&self) -> bool {
        self.executed && !self.reversed
    }
}

/// All orders.
#[derive(Debug, Default)]
pub struct Orders {
    pub all: Vec<Order>,
    by_beneficiary: BTreeMap<String, usize>,
    by_id: BTreeMap<(usize, String), usize>,
}

impl Orders {
    pub fn add(&mut self, order: Order) -> usize {
        let at = self.all.len();
        self.by_beneficiary.insert(order.to.clone(), at);
        self.by_id.insert((order.merchant, order.order_id.clone()), at);
        self.all.push(order);
        at
    }

    pub fn find(&self, merchant: usize, order_id: &str) -> Option<&Order> {
        self.by_id.get(&(merchant, order_id.to_owned())).map(|at| &self.all[*at])
    }

    /// The bank has moved money. I5: for each order once, the right amount, and never after a 0 was told.
    pub fn executed(&mut self, to: &str, paise: i64, asked_paise: i64) -> Result<(), String> {
        let order = self.of(to)?;
        if order.executed {
            return Err(format!("I5: the bank has paid {} twice", order.order_id));
        }
        if asked_paise != order.rupees * 100 {
            return Err(format!("I4: the bank was asked for {asked_paise} paise for {}", order.order_id));
        }
        if matches!(order.told, Told::Failure | Told::Reversal) {
            return Err(format!("WIRE 8: {} is paid after the merchant was told {:?}", order.order_id, order.told));
        }
        order.executed = true;
        order.differs = paise != asked_paise;
        Ok(())
    }

    pub fn reversed(&mut self, to: &str) -> Result<(), String> {
        self.of(to)?.reversed = true;
        Ok(())
    }

    /// Something was told that must be true now, and from now on.
    pub fn told(&mut self, at: usize, told: Told, before: Told) -> Result<(), String> {
        let order = &mut self.all[at];
        let id = &order.order_id;
        let true_now = match told {
            Told::Nothing | Told::Pending => true,
            Told::Success => order.executed && !order.differs,
            Told::Failure => !order.paid(),
            Told::Reversal => order.executed && order.reversed,
        };
        if !true_now {
            return Err(format!("I6: the merchant was told {told:?} of {id}, which is not what the bank did"));
        }
        let follows = match before {
            Told::Nothing | Told::Pending => true,
            Told::Failure => told == Told::Failure,
            Told::Success => matches!(told, Told::Success | Told::Reversal),
            Told::Reversal => told == Told::Reversal,
        };
        if !follows {
            return Err(format!("I7: the merchant was told {told:?} of {id} after {before:?}"));
        }
        order.told = order.told.max(told);
        order.acknowledged = true;
        Ok(())
    }

    /// What the merchant was last told about the order that pays this beneficiary.
    pub fn told_of(&self, to: &str) -> Told {
        self.by_beneficiary.get(to).map_or(Told::Nothing, |at| self.all[*at].told)
    }

    pub fn of(&mut self, to: &str) -> Result<&mut Order, String> {
        let at = self.by_beneficiary.get(to).copied();
        at.and_then(|at| self.all.get_mut(at))
            .ok_or_else(|| format!("I5: the bank paid {to}, whom nobody ordered to pay"))
    }
}
