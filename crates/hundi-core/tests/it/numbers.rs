//! What stores keep as numbers: one that has been written means the same for ever.

use hundi_core::forgotten::Said;
use hundi_core::payout::{ExceptionKind, News, State};
use hundi_core::postings::{HouseAccount, MovementKind};
use hundi_core::proposal::ProposalState;
use hundi_core::rails::{Rail, RailChoice, RailSet};

/// Every number that means something, and what.
fn listed<T>(from_number: fn(i64) -> Option<T>, name: fn(T) -> &'static str) -> String {
    let all = (-1..100).filter_map(|number| from_number(number).map(|one| format!("{number} {}", name(one))));
    all.collect::<Vec<_>>().join(", ")
}

#[test]
fn numbers_keep_their_meaning() {
    for (listed, expected) in [
        (
            listed(State::from_number, State::name),
            "1 queued, 2 sending, 3 sent, 4 paid, 5 failed, 6 cancelled, 7 reversed",
        ),
        (listed(News::from_number, News::as_str), "1 Success, 2 Pending, 3 Failure, 4 Reversal"),
        (
            listed(ExceptionKind::from_number, ExceptionKind::name),
            "1 paid_after_closed, 2 contradiction, 3 amount_differs, 4 unknown_reference, 5 no_answer, 6 paid_here_only, 7 paid_there_only, 8 paid_twice, 9 unknown_debit, 10 unknown_credit, 11 reversal_unannounced, 12 statement_gap, 13 paid_unexpectedly, 15 file_in_doubt, 16 file_unreadable, 18 credit_missing, 19 credit_differs, 20 credit_doubtful, 21 return_missing",
        ),
        (
            listed(MovementKind::from_number, MovementKind::name),
            "1 fund, 2 reserve, 3 release, 4 settle, 5 restore, 6 withdraw, 7 collect, 8 write_off, 9 adjust, 10 suspense, 11 identify",
        ),
        (listed(ProposalState::from_number, ProposalState::name), "1 proposed, 2 approved, 3 rejected, 4 expired"),
        (listed(RailChoice::from_number, RailChoice::name), "0 as-ordered, 1 auto"),
        (listed(Said::from_number, Said::name), "1 spoken_of, 2 refused, 3 paid, 4 debited, 5 returned"),
        (
            listed(|number| HouseAccount::ALL.into_iter().find(|one| *one as i64 == number), HouseAccount::name),
            "0 float, 1 suspense, 2 fee_income, 3 gst_payable, 4 upstream_cost, 5 loss",
        ),
    ] {
        assert_eq!(listed, expected);
    }
    for kind in ExceptionKind::ALL {
        assert_eq!(ExceptionKind::named(kind.name()), Some(kind));
    }
    let sets = (-1..300).filter_map(|number| RailSet::from_number(number).filter(|set| set.number() == number));
    let shown = |set: RailSet| [Rail::Neft, Rail::Rtgs, Rail::Imps, Rail::Upi].map(|rail| set.contains(rail));
    let sets: Vec<_> = sets.map(shown).collect();
    let bits: Vec<_> = (0..16).map(|set| [1, 2, 4, 8].map(|bit| set & bit != 0)).collect();
    assert_eq!(sets, bits);
}
