//! The Indian payment rails and the table of their rules. A rule is a row, never a branch.

use crate::money::Amount;
use crate::schedule::HOUR;
use crate::turnround::{Compensation, TurnRound, Within};

/// A way for money to travel between Indian banks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rail {
    /// National Electronic Funds Transfer: half-hourly batches.
    Neft,
    /// Real Time Gross Settlement: large amounts, one by one.
    Rtgs,
    /// Immediate Payment Service: at once, to an account.
    Imps,
    /// Unified Payments Interface: at once, to a UPI ID or a mobile number.
    Upi,
}

/// What one rail can carry.
#[derive(Clone, Copy, Debug)]
pub struct RailRules {
    /// The rail.
    pub rail: Rail,
    /// Its name, as the merchant API and the banks spell it.
    pub name: &'static str,
    /// The least amount of one payout, paise.
    pub amount_least_paise: i64,
    /// The largest amount of one payout, paise; `i64::MAX` where the rail has no limit of its own.
    pub amount_most_paise: i64,
    /// Whether the bank decides at once, so that an answer is worth waiting for (WIRE 11).
    pub instant: bool,
    /// The most characters of a beneficiary's name that the rail carries.
    pub name_chars_max: usize,
    /// The signs besides letters, digits and the space that a name may keep on this rail.
    pub name_signs: &'static str,
    /// By when it has to be decided, and what is due if it is not.
    pub turn_round: TurnRound,
}

/// What IMPS and UPI owe a customer who was debited and whose beneficiary was not credited.
const DEBITED_NOT_CREDITED: TurnRound = TurnRound {
    within: Within::Days(1),
    due: Compensation::PerDay(100_00),
    says: "reversed by T+1, then 100 rupees a day (RBI/2019-20/67, 20 Sep 2019)",
};

/// The rules of all rails. Turn-round times: RAILS.md, "Turn-round times", and the table's "final within". Other sources: RBI NEFT FAQ; RBI RTGS FAQ (2,00,000 minimum); RBI circular of 8 Oct 2021 (IMPS
/// 5,00,000); NPCI (UPI 1,00,000 to a person). Name lengths and signs: RAILS.md, "Names" (unsourced beyond IMPS).
pub const RAILS: [RailRules; 4] = [
    RailRules {
        rail: Rail::Neft,
        name: "NEFT",
        amount_least_paise: 100,
        amount_most_paise: i64::MAX,
        instant: false,
        name_chars_max: 50,
        name_signs: ".,-/()'",
        turn_round: TurnRound {
            within: Within::AfterBatch(2 * HOUR),
            due: Compensation::OverRepo(200),
            says: "credited or returned within 2 hours of the batch, then interest at repo + 2 % (RBI NEFT FAQ)",
        },
    },
    RailRules {
        rail: Rail::Rtgs,
        name: "RTGS",
        amount_least_paise: 2_00_000_00,
        amount_most_paise: i64::MAX,
        instant: false,
        name_chars_max: 50,
        name_signs: ".,-/()",
        turn_round: TurnRound {
            within: Within::After(HOUR),
            due: Compensation::Unnamed,
            says: "credited within 30 minutes, returned within 1 hour (RBI RTGS FAQ)",
        },
    },
    RailRules {
        rail: Rail::Imps,
        name: "IMPS",
        amount_least_paise: 100,
        amount_most_paise: 5_00_000_00,
        instant: true,
        name_chars_max: 100,
        name_signs: ".,-/()'&",
        turn_round: DEBITED_NOT_CREDITED,
    },
    RailRules {
        rail: Rail::Upi,
        name: "UPI",
        amount_least_paise: 100,
        amount_most_paise: 1_00_000_00,
        instant: true,
        name_chars_max: 100,
        name_signs: ".,-/()'&",
        turn_round: DEBITED_NOT_CREDITED,
    },
];

impl Rail {
    /// The rail's row in [`RAILS`].
    pub const fn rules(self) -> &'static RailRules {
        &RAILS[self as usize]
    }

    /// Parses a rail's name in any case.
    pub fn parse(text: &str) -> Option<Rail> {
        RAILS.iter().find(|rules| rules.name.eq_ignore_ascii_case(text)).map(|rules| rules.rail)
    }

    /// The rail's name in capitals.
    pub const fn as_str(self) -> &'static str {
        self.rules().name
    }
}

/// Whether a merchant's payouts go over the rail that he orders, or may go over another one to the same account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RailChoice {
    /// Only over the rail that is ordered.
    AsOrdered = 0,
    /// To an account over NEFT, RTGS or IMPS, whichever can carry it where the ordered one cannot.
    Auto = 1,
}

impl RailChoice {
    /// Both.
    pub const ALL: [RailChoice; 2] = [RailChoice::AsOrdered, RailChoice::Auto];

    /// The choice with this number.
    pub fn from_number(number: i64) -> Option<RailChoice> {
        RailChoice::ALL.into_iter().find(|choice| *choice as i64 == number)
    }

    /// The choice with this name.
    pub fn named(name: &str) -> Option<RailChoice> {
        RailChoice::ALL.into_iter().find(|choice| choice.name() == name)
    }

    /// Its name, as the command line spells it.
    pub const fn name(self) -> &'static str {
        match self {
            RailChoice::AsOrdered => "as-ordered",
            RailChoice::Auto => "auto",
        }
    }

    /// The rails over which an order may be sent. What goes to a UPI ID or a mobile number has no other rail.
    pub const fn rails(self, ordered: Rail) -> RailSet {
        match (self, ordered) {
            (RailChoice::Auto, Rail::Neft | Rail::Rtgs | Rail::Imps) => RailSet::TO_ACCOUNTS,
            (RailChoice::AsOrdered, _) | (RailChoice::Auto, Rail::Upi) => RailSet::of(ordered),
        }
    }
}

/// Some of the rails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RailSet(u8);

/// In place of another rail the fastest is taken that can carry the payout: IMPS pays at once, RTGS within the hour, NEFT
/// with its next batch.
const FASTEST_FIRST: [Rail; 3] = [Rail::Imps, Rail::Rtgs, Rail::Neft];

impl RailSet {
    /// The rails that pay to an account.
    pub const TO_ACCOUNTS: RailSet =
        RailSet(RailSet::of(Rail::Neft).0 | RailSet::of(Rail::Rtgs).0 | RailSet::of(Rail::Imps).0);

    /// This one.
    pub const fn of(rail: Rail) -> RailSet {
        RailSet(1 << rail as u8)
    }

    /// Whether this one is among them.
    pub const fn contains(self, rail: Rail) -> bool {
        self.0 & RailSet::of(rail).0 != 0
    }

    /// Whether all of these are among them.
    pub const fn contains_all(self, others: RailSet) -> bool {
        self.0 & others.0 == others.0
    }

    /// The others.
    #[must_use]
    pub const fn without(self, rail: Rail) -> RailSet {
        RailSet(self.0 & !RailSet::of(rail).0)
    }

    /// As a number for the store: a bit for each rail of [`RAILS`], from the lowest.
    pub const fn number(self) -> i64 {
        self.0 as i64
    }

    /// The set with this number.
    pub fn from_number(number: i64) -> Option<RailSet> {
        u8::try_from(number).ok().filter(|bits| *bits < 1 << RAILS.len()).map(RailSet)
    }

    /// Those that may carry an order of this rail and amount, in the order in which they are tried: the ordered one first,
    /// then the fastest. That the ordered one can carry it was judged when it was ordered.
    pub fn for_order(self, ordered: Rail, amount: Amount) -> impl Iterator<Item = Rail> {
        let others = FASTEST_FIRST.into_iter().filter(move |rail| *rail != ordered && rail.rules().carries(amount));
        std::iter::once(ordered).chain(others).filter(move |rail| self.contains(*rail))
    }
}

impl RailRules {
    /// Whether the rail carries this amount.
    pub const fn carries(&self, amount: Amount) -> bool {
        self.amount_least_paise <= amount.paise() && amount.paise() <= self.amount_most_paise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rail_finds_its_own_row_and_the_edges_are_inside() {
        for rules in &RAILS {
            assert_eq!(rules.rail.rules().name, rules.name);
            assert_eq!(Rail::parse(&rules.name.to_lowercase()), Some(rules.rail));
            let amount = |paise| Amount::from_paise(paise).unwrap();
            assert!(rules.carries(amount(rules.amount_least_paise)));
            assert!(!rules.carries(amount(rules.amount_least_paise - 1)));
            if rules.amount_most_paise < i64::MAX {
                assert!(rules.carries(amount(rules.amount_most_paise)));
                assert!(!rules.carries(amount(rules.amount_most_paise + 1)));
            }
        }
        assert_eq!(Rail::parse("WIRE"), None);
    }

    #[test]
    fn another_rail_is_tried_only_where_it_may_and_can() {
        use Rail::{Imps, Neft, Rtgs, Upi};
        const LAKH: i64 = 1_00_000_00;
        for (choice, ordered, paise, without, tried) in [
            (RailChoice::AsOrdered, Imps, 100_00, None, &[Imps][..]),
            (RailChoice::AsOrdered, Rtgs, 3 * LAKH, None, &[Rtgs]),
            (RailChoice::Auto, Imps, 100_00, None, &[Imps, Neft]),
            (RailChoice::Auto, Imps, 2 * LAKH, None, &[Imps, Rtgs, Neft]),
            (RailChoice::Auto, Imps, 2 * LAKH - 1, None, &[Imps, Neft]),
            (RailChoice::Auto, Imps, 2 * LAKH, Some(Imps), &[Rtgs, Neft]),
            (RailChoice::Auto, Neft, 100_00, None, &[Neft, Imps]),
            (RailChoice::Auto, Neft, 5 * LAKH, None, &[Neft, Imps, Rtgs]),
            (RailChoice::Auto, Neft, 5 * LAKH + 1, None, &[Neft, Rtgs]),
            (RailChoice::Auto, Rtgs, 2 * LAKH, Some(Imps), &[Rtgs, Neft]),
            (RailChoice::Auto, Rtgs, 9 * LAKH, Some(Rtgs), &[Neft]),
            (RailChoice::Auto, Upi, 100_00, None, &[Upi]),
        ] {
            let set = choice.rails(ordered);
            let set = without.map_or(set, |rail| set.without(rail));
            let amount = Amount::from_paise(paise).unwrap();
            assert_eq!(set.for_order(ordered, amount).collect::<Vec<_>>(), tried, "{choice:?} {ordered:?} {paise}");
            assert_eq!(RailSet::from_number(set.number()), Some(set));
            assert!(RailChoice::Auto.rails(ordered).contains_all(set));
        }
        assert_eq!(RailSet::from_number(16), None);
        assert_eq!(RailChoice::named("auto"), Some(RailChoice::Auto));
    }
}
