//! Bank credits that a person books and that statements tell of: `common/script.rs` says how to read a line.

mod common;

use common::script::check;

#[test]
fn a_credit_is_booked_once() {
    check(
        "
         // By a rule into a wallet, without one into the suspense.
         credit 500 HDFCN52026112200001 line=a whose=1  -> 500.00/0.00/0.00 fund Funded
         credit 500 HDFCN52026112200001 line=a whose=1  -> Repeat
         credit 500 HDFCN52026112200001 line=a whose=2  -> Repeat
         credit 700 HDFCN52026112200002,B2 line=b       -> 500.00/0.00/0.00 house:suspense Suspended
         house                                          -> suspense 700.00, sandbox -700.00
         // A person who books it afterwards repeats, or is refused, by whichever name.
         fund 500 HDFCN52026112200001                   -> Repeat
         fund 500 HDFCN52026112200001 by=2              -> CreditReused
         fund 501 HDFCN52026112200001                   -> CreditReused
         fund 700 HDFCN52026112200002                   -> CreditInSuspense
         fund 700 B2                                    -> CreditInSuspense
         two suspense 700 utr=B2                        -> CreditReused
         two identify utr=HDFCN52026112200002           -> 1200.00/0.00/0.00 house:identify fund
         fund 700 B2                                    -> Repeat
         fund 700 B2 by=2                               -> CreditReused
         // The same told again in another file, in a format that words it otherwise: known, and moves nothing.
         credit 500 HDFCN52026112200001 line=c whose=1  -> 1200.00/0.00/0.00 Again
         credit 700 B2,HDFCN52026112200002 line=d       -> 1200.00/0.00/0.00 Again
         // Twice in one file, with another amount or on another day: a person must look.
         credit 500 HDFCN52026112200001 line=e file=a whose=1 -> 1200.00/0.00/0.00 Doubtful
         credit 501 HDFCN52026112200001 line=f whose=1  -> 1200.00/0.00/0.00 Doubtful
         credit 500 HDFCN52026112200001 line=f day=1 whose=1 -> 1200.00/0.00/0.00 Doubtful
         // Another file with another name of the bank's own: nobody can tell it from the one that was booked.
         credit 500 B9 line=f whose=1                   -> 1200.00/0.00/0.00 Doubtful
         credit 500 line=f whose=1                      -> 1200.00/0.00/0.00 Doubtful
         credit 500 B9 line=f day=1 whose=1             -> 1200.00/0.00/0.00 Doubtful
         // It is another one if it stands in the same file, came days later, or both have what clearing systems call them.
         credit 500 B9 line=f file=a whose=1            -> 1700.00/0.00/0.00 fund Funded
         credit 500 B10 line=1f day=3 whose=1           -> 2200.00/0.00/0.00 fund Funded
         credit 500 HDFCN52026112200003 line=2f day=1 whose=1        -> 2200.00/0.00/0.00 Doubtful
         credit 700 632621000001 line=3f                -> 2200.00/0.00/0.00 Doubtful
         credit 700 632621000001 line=3f file=b         -> 2200.00/0.00/0.00 house:suspense Suspended
         credit 700 632621000002 line=6f file=b         -> 2200.00/0.00/0.00 house:suspense Suspended
         credit 500 HDFCN52026112200001 line=4f whose=1 at=other -> 2700.00/0.00/0.00 fund Funded
         credit 10 line=5f whose=9                      -> MerchantUnknown",
    );
}

#[test]
fn what_was_booked_by_hand_is_expected() {
    check(
        "
         fund 500 HDFCN52026112200001                    -> 500.00/0.00/0.00 fund
         // Whatever the rules say, and by whichever name.
         credit 500 B1,HDFCN52026112200001 line=a whose=2 -> 500.00/0.00/0.00 Expected
         credit 500 B1,HDFCN52026112200001 line=a whose=2 -> Repeat
         fund 500 B1                                     -> Repeat
         fund 500 B1 by=2                                -> CreditReused
         // Another amount moves nothing, and leaves what is expected.
         fund 600 HDFCN52026112200002                    -> 1100.00/0.00/0.00 fund
         credit 601 HDFCN52026112200002 line=b whose=1   -> 1100.00/0.00/0.00 Differs
         credit 600 HDFCN52026112200002 line=c           -> 1100.00/0.00/0.00 Expected
         // Booked under a name that the statement does not have.
         fund 800 TODAY                                  -> 1900.00/0.00/0.00 fund
         credit 800 HDFCN52026112200003 line=d whose=1   -> 1900.00/0.00/0.00 Doubtful
         credit 800 HDFCN52026112200003 line=d day=-3 whose=1 -> 1900.00/0.00/0.00 Doubtful
         credit 800 HDFCN52026112200003 line=d day=-4 whose=1 -> 2700.00/0.00/0.00 fund Funded
         // Clearing systems have named both, so they are two.
         fund 900 HDFCN52026112200004                    -> 3600.00/0.00/0.00 fund
         credit 900 HDFCN52026112200005 line=e whose=1   -> 4500.00/0.00/0.00 fund Funded
         // What two people have put into suspense is expected too.
         two suspense 50 utr=S1                          -> 4500.00/0.00/0.00 house:suspense
         credit 50 S1 line=f whose=1                     -> 4500.00/0.00/0.00 Expected
         two identify utr=S1 by=2                        -> 50.00/0.00/0.00 house:identify fund",
    );
}

#[test]
fn credits_of_one_file_are_as_many_as_it_has() {
    check(
        "
         credit 500 line=a whose=1             -> 500.00/0.00/0.00 fund Funded
         credit 500 line=a-1 whose=1           -> 1000.00/0.00/0.00 fund Funded
         credit 500 line=b file=a whose=1      -> 1500.00/0.00/0.00 fund Funded
         // A batch under one number of the bank's own.
         credit 300 HDFCN52026112200001,BATCH77 line=c whose=1 -> 1800.00/0.00/0.00 fund Funded
         credit 300 HDFCN52026112200002,BATCH77 line=d whose=1 -> 2100.00/0.00/0.00 fund Funded
         fund 300 BATCH77                      -> Repeat
         fund 600 BATCH77                      -> CreditReused",
    );
}
