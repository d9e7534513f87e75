//! Bank credits that a person books and that statements tell of: `script.rs` says how to read a line.

use super::script::check;

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

/// `~` stands before a name that was read in free text, which the payer may have written.
#[test]
fn a_name_in_words_is_no_proof() {
    check(
        "
         // In words only, as some banks have it: other words are another credit, the same in a field may be the same.
         credit 500 ~HDFCN52026112200001 line=a whose=1  -> 500.00/0.00/0.00 fund Funded
         credit 500 ~HDFCN52026112200002 line=b whose=1  -> 1000.00/0.00/0.00 fund Funded
         credit 500 ~HDFCN52026112200001 line=c whose=1  -> 1000.00/0.00/0.00 Doubtful
         credit 500 HDFCN52026112200001 line=c whose=1   -> 1000.00/0.00/0.00 Doubtful
         credit 500 HDFCN52026112200003 line=c whose=1   -> 1000.00/0.00/0.00 Doubtful
         fund 500 HDFCN52026112200001                    -> CreditReused
         fund 500 HDFCN52026112200009                    -> 1500.00/0.00/0.00 fund
         // A field wins: what stands beside it in words is another's, and does not touch that one.
         credit 600 HDFCN52026112200004,~HDFCN52026112200005 line=d whose=1 -> 2100.00/0.00/0.00 fund Funded
         credit 600 HDFCN52026112200005 line=e whose=1   -> 2700.00/0.00/0.00 fund Funded
         credit 600 HDFCN52026112200005 line=f whose=1   -> 2700.00/0.00/0.00 Again
         fund 650 HDFCN52026112200007                    -> 3350.00/0.00/0.00 fund
         credit 650 HDFCN52026112200006,~HDFCN52026112200007 line=1a whose=1 -> 4000.00/0.00/0.00 fund Funded
         credit 650 HDFCN52026112200007 line=1b whose=1  -> 4000.00/0.00/0.00 Expected
         // A number of the bank's own tells nothing of a payment's: the words may.
         credit 700 B1,~HDFCN52026112200008 line=1c whose=1  -> 4700.00/0.00/0.00 fund Funded
         credit 700 HDFCN52026112200008 line=1d whose=1  -> 4700.00/0.00/0.00 Doubtful
         fund 700 HDFCN52026112200008                    -> CreditReused
         fund 700 B1                                     -> Repeat
         // One credit by its field in one file, and by a payer's words in another, is not funded twice.
         credit 800 HDFCN52026112200010 line=1e whose=1  -> 5500.00/0.00/0.00 fund Funded
         credit 800 B2,~HDFCN52026112200011 line=1f whose=1 -> 5500.00/0.00/0.00 Doubtful
         // What a person booked is expected by words too, but then known by them only.
         fund 900 HDFCN52026112200012                    -> 6400.00/0.00/0.00 fund
         credit 900 ~HDFCN52026112200012 line=2a whose=1 -> 6400.00/0.00/0.00 Expected
         credit 900 HDFCN52026112200012 line=2b whose=1  -> 6400.00/0.00/0.00 Doubtful
         // But not where the bank's field may be what it is called: who pays may have written there what another is called.
         fund 950 HDFCN52026112200013                    -> 7350.00/0.00/0.00 fund
         credit 950 632621000003,~HDFCN52026112200013 line=2c whose=2 -> 7350.00/0.00/0.00 Doubtful
         // And twelve digits may be the bank's own number: what stands in words may be the RRN.
         fund 1000 433112345678                          -> 8350.00/0.00/0.00 fund
         credit 1000 100000123456,~433112345678 line=2d whose=1 -> 8350.00/0.00/0.00 Doubtful",
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
