//! The little world that all these tests share: an installation, its merchants, and a copy of what it knows.

use hundi_core::command::{CallbackWish, ConnectorRules, Merchant, MerchantState, Rules, Snapshot, Way};
use hundi_core::fees::FeePlan;
use hundi_core::ids::{Actor, Connector, MerchantId, OrderId, PayoutId, Reference};
use hundi_core::money::Amount;
use hundi_core::party::PersonName;
use hundi_core::payout::{Order, Sealed};
use hundi_core::postings::Accounts;
use hundi_core::rails::{Rail, RailChoice};
use hundi_core::routing::Carries;
use hundi_core::schedule::{HOUR, SECOND, Timestamp};

/// Noon in India on 1 January 2026.
pub const NOON: Timestamp = Timestamp(1_767_225_600 * SECOND + 6 * HOUR + HOUR / 2);

pub fn connector(name: &str) -> Connector {
    Connector::parse(name).expect("a connector's name")
}

/// Two connectors: with `sandbox` "not found" is final five seconds after `send_before`; with `other`, which is given files, it
/// never is.
pub fn rules(attempts_max: u32, queue_us: i64) -> Rules {
    let rules = |name, not_found_final_us| ConnectorRules {
        connector: connector(name),
        not_found_final_us,
        carries: Carries::ALL,
        way: if name == "other" { Way::File } else { Way::Call },
    };
    Rules {
        attempts_max,
        queue_us,
        first_lease_us: 30 * SECOND,
        resend_pause_us: 3 * SECOND,
        connectors: vec![rules("sandbox", Some(5 * SECOND)), rules("other", None)],
        installation: "test".into(),
        holds_by_itself: true,
    }
}

/// An active merchant without money who pays 5.00 and GST for a payout.
pub fn merchant(callbacks: CallbackWish) -> Merchant {
    let plan = FeePlan::parse("*:5.00").expect("a plan");
    Merchant {
        accounts: Accounts::default(),
        state: MerchantState::Active,
        payout_most_paise: None,
        day_most_paise: None,
        fees: std::array::from_fn(|_| plan.clone()),
        rail_choice: RailChoice::AsOrdered,
        callbacks,
        day: 0,
        day_paise: 0,
        changed: false,
    }
}

pub fn order(merchant: MerchantId, id: PayoutId, order: &str, rail: Rail, amount: Amount, to: &str) -> Order {
    let mut fingerprint = [0; 32];
    for (place, byte) in fingerprint.iter_mut().zip(format!("{} {amount} {to}", rail.as_str()).bytes()) {
        *place = byte;
    }
    Order {
        merchant,
        id,
        order: OrderId::parse(order).expect("an OrderID"),
        rail,
        amount,
        fingerprint,
        sealed: Sealed::default(),
        name: PersonName::parse("RUPESH KUMAR").expect("a name"),
        hint: "6789".into(),
        actor: Actor::Token(merchant.0),
        created_at: Timestamp(0),
    }
}

/// The two references that a worker offers for an attempt.
pub fn references(merchant: MerchantId, order: &OrderId, attempt: u32) -> [Reference; 2] {
    [0, 1].map(|salt| Reference::derive("test", merchant, order, attempt, salt))
}

/// The snapshot as if it had been stored and loaded: the same, and nobody has changed it.
pub fn reloaded(snapshot: &Snapshot) -> Snapshot {
    let mut merchants = snapshot.merchants.clone();
    merchants.values_mut().for_each(|merchant| merchant.changed = false);
    Snapshot {
        merchants,
        payouts: snapshot.payouts.clone(),
        orders: snapshot.orders.clone(),
        references: snapshot.references.clone(),
        credits: snapshot.credits.clone(),
        credit_names: snapshot.credit_names.clone(),
        proposals: snapshot.proposals.clone(),
        exceptions: snapshot.exceptions.clone(),
        borne: snapshot.borne.clone(),
        withdrawn: snapshot.withdrawn.clone(),
        on_hold: snapshot.on_hold,
        forgotten: snapshot.forgotten.clone(),
    }
}
