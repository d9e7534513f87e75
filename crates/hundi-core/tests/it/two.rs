//! What two people say, as scripts (`scripts.rs` says how to read one): `two WHAT ...` is proposed by one and approved by another
//! at once, `propose WHAT ...` gives a number and `approve NUMBER as=NAME` approves it.

use super::script::check;

#[test]
fn declared_paid() {
    check(
        "
         // The bank falls silent for good; two people have seen the debit. The bank's own word later is known.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         silent A                           -> same, due 2s
         two declare-paid A utr=U7          -> Paid#1 694.10/0.00/5.90 settle [Success 1]
         show A                             -> Paid rrn=U7 paid_by=1 reference=9K8Y reason=
         banks                              -> sandbox -700.00
         paid A amount=300 rrn=U7           -> same
         two declare-paid A utr=U7          -> NotNow
         two declare-failed A               -> NotNow
         reversed A                         -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]",
    );
    check(
        "
         // Held by another amount: what differs is corrected by people, and stays open until they have said so.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         paid A amount=299                  -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 2s
         two declare-failed A               -> NotNow
         two resume A                       -> PaidThere
         two declare-paid A utr=U7          -> Paid#1 held 694.10/0.00/5.90 settle [Success 1]
         open                               -> amount_differs
         two adjust 1 from=1/bank:sandbox to=1/wallet -> 695.10/0.00/5.90 adjust
         two resolve A amount_differs       -> Paid#1 695.10/0.00/5.90
         open                               ->
         show A                             -> Paid rrn=U7 paid_by=1 reference=9K8Y reason=",
    );
    check(
        "
         // Held and queued, by the attempt of which the bank spoke; not while a later one is at its bank.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A                -> Queued#1 694.10/305.90/0.00, due 0s
         start A                            -> Sending#2 694.10/305.90/0.00, due 7s
         paid A 1 via=signed                -> Sending#2 held 694.10/305.90/0.00 !paid_unexpectedly, due 7s
         two declare-paid A 1               -> NotNow
         two declare-failed A               -> NotNow
         refused A 2                        -> Queued#2 held 694.10/305.90/0.00
         two resume A                       -> PaidThere
         two declare-failed A               -> PaidThere
         two declare-paid A 1 utr=U1        -> Paid#2 694.10/0.00/5.90 settle [Success 1]
         banks                              -> sandbox -700.00
         open                               ->
         paid A 1                           -> same",
    );
    check(
        "
         // Not what nobody has ever sent, and not what is queued in order.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         two declare-failed A               -> NotNow
         two resume A                       -> NotNow
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused A                          -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         two declare-paid A                 -> NotNow
         two declare-failed A               -> NotNow",
    );
}

#[test]
fn declared_failed() {
    check(
        "
         // \"Not found\" that no contract makes final, made final by two people; not while our own request may be on its way.
         connectors other
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A at=other                   -> Sending#1 694.10/305.90/0.00, due 7s
         two declare-failed A               -> NotNow
         wait 10s
         not_found A                        -> same, due 2s
         two declare-failed A               -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         show A                             -> Failed rrn= paid_by=- reference=9K8Y reason=Not executed by the bank
         day                                -> 0.00
         two declare-failed A               -> NotNow
         not_found A                        -> same
         refused A                          -> same
         paid A                             -> Failed#1 held 1000.00/0.00/0.00 !paid_unexpectedly
         open                               -> paid_unexpectedly",
    );
    check(
        "
         // One that the bank had accepted, and one whose bank contradicts itself.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A                         -> Sent#1 694.10/305.90/0.00, due 2s
         wait 20s
         not_found A                        -> Sent#1 held 694.10/305.90/0.00 !contradiction, due 4s
         open                               -> contradiction
         two declare-failed A               -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         open                               ->
         show A                             -> Failed rrn= paid_by=- reference=9K8Y reason=Not executed by the bank",
    );
}

#[test]
fn what_a_bank_has_paid_is_not_declared_failed() {
    check(
        "
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A                -> Queued#1 694.10/305.90/0.00, due 0s
         start A                            -> Sending#2 694.10/305.90/0.00, due 7s
         propose declare-failed A           -> 1
         wait 10s
         paid A 1 via=statement             -> Sending#2 held 694.10/305.90/0.00 !paid_there_only, due -2s
         approve 1                          -> PaidThere
         // The bank takes it back: people say so, and then it may fail.
         two resolve A paid_there_only      -> Sending#2 694.10/305.90/0.00, due 0s
         approve 1                          -> Failed#2 1000.00/0.00/0.00 release [Failure 1]
         open                               ->",
    );
}

#[test]
fn resumed() {
    check(
        "
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A                -> Queued#1 694.10/305.90/0.00, due 0s
         start A                            -> Sending#2 694.10/305.90/0.00, due 7s
         accepted A 1                       -> same, due 7s
         paid A 1                           -> Sending#2 held 694.10/305.90/0.00 !paid_unexpectedly, due 2s
         refused A 2                        -> Queued#2 held 694.10/305.90/0.00
         start A                            -> NotNow
         two resume A                       -> PaidThere
         two resolve A paid_unexpectedly    -> 694.10/305.90/0.00
         start A                            -> NotNow
         two resume A                       -> Queued#2 694.10/305.90/0.00, due 0s
         start A                            -> Sending#3 694.10/305.90/0.00, due 7s
         paid A 3                           -> Paid#3 694.10/0.00/5.90 settle [Success 1]",
    );
    check(
        "
         // There is nobody left who could send it, or no attempt left.
         attempts_max 2
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         paid A amount=1                    -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 2s
         refused A                          -> Queued#1 held 694.10/305.90/0.00
         two resolve A amount_differs       -> 694.10/305.90/0.00
         wait 3h
         two resume A                       -> Queued#1 694.10/305.90/0.00, due 0s
         expire A                           -> NotNow
         start A                            -> Sending#2 694.10/305.90/0.00, due 7s
         paid A amount=1                    -> Sending#2 held 694.10/305.90/0.00 !amount_differs, due 2s
         refused A                          -> Queued#2 held 694.10/305.90/0.00
         two resolve A amount_differs       -> 694.10/305.90/0.00
         two resume A                       -> NotNow
         two declare-failed A               -> Failed#2 1000.00/0.00/0.00 release [Failure 1]",
    );
}

#[test]
fn collected_or_written_off() {
    check(
        "
         // The bank paid what we had called failed, and the merchant owes it: once he has it.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused A                          -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         two collect A                      -> NotPaidThere
         paid A                             -> Failed#1 held 1000.00/0.00/0.00 !paid_unexpectedly
         create B 800 imps                  -> Queued 194.10/805.90/0.00 reserve, due 30s
         propose collect A                  -> 2
         approve 2                          -> BalanceTooLow
         cancel B                           -> Cancelled 1000.00/0.00/0.00 release [Failure 1]
         approve 2                          -> Failed#1 700.00/0.00/0.00 collect
         banks                              -> sandbox -700.00
         open                               ->
         show A                             -> Failed rrn= paid_by=1 reference=9K8Y reason=Not executed by the bank
         two collect A                      -> BorneAlready
         two write-off A                    -> BorneAlready
         paid A                             -> same
         paid A via=statement amount=300    -> same
         // It comes back after all: another story.
         reversed A                         -> Failed#1 held 700.00/0.00/0.00 !contradiction",
    );
    check(
        "
         // The house bears it: no row of the merchant's.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused A                          -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         paid A via=statement amount=300    -> Failed#1 held 1000.00/0.00/0.00 !paid_there_only
         two write-off A                    -> Failed#1 1000.00/0.00/0.00 house:write_off
         house                              -> loss -300.00, sandbox 300.00
         banks                              -> sandbox -1000.00
         open                               ->
         two write-off A                    -> BorneAlready
         two collect A                      -> BorneAlready
         paid A                             -> same",
    );
    check(
        "
         // Paid twice: by two attempts. Each is borne once, and only by what the bank has said.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A                -> Queued#1 694.10/305.90/0.00, due 0s
         start A                            -> Sending#2 694.10/305.90/0.00, due 7s
         paid A 2                           -> Paid#2 694.10/0.00/5.90 settle [Success 1]
         two write-off A 1                  -> NotPaidThere
         paid A 1                           -> Paid#2 held 694.10/0.00/5.90 !paid_unexpectedly
         two write-off A 2                  -> BorneAlready
         two collect A 1                    -> Paid#2 394.10/0.00/5.90 collect
         two write-off A 1                  -> BorneAlready
         show A                             -> Paid rrn= paid_by=2 reference=PP0J reason=
         reversed A 2                       -> Reversed#2 700.00/0.00/0.00 restore [Reversal 2]",
    );
    check(
        "
         // Another amount is nobody's to bear by rule: that is corrected by hand.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused A                          -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         paid A amount=299                  -> Failed#1 held 1000.00/0.00/0.00 !amount_differs
         two write-off A                    -> NotPaidThere",
    );
}

#[test]
fn money_in_suspense_is_found_to_be_somebodys_once() {
    check(
        "
         two identify utr=C1                -> CreditUnknown
         two suspense 500 utr=C1             -> 0.00/0.00/0.00 house:suspense
         house                              -> suspense 500.00, sandbox -500.00
         two suspense 500 utr=C1             -> CreditReused
         fund 500 C1                        -> CreditInSuspense
         fund 500 C2                        -> 500.00/0.00/0.00 fund
         two suspense 500 utr=C2             -> CreditReused
         two identify utr=C2                -> CreditReused
         two identify utr=C1                -> 1000.00/0.00/0.00 house:identify fund
         house                              -> sandbox 0.00
         banks                              -> sandbox -1000.00
         two identify utr=C1                -> CreditReused
         two identify utr=C1 by=2           -> CreditReused
         fund 500 C1                        -> Repeat
         two suspense 10 utr=C3              -> 1000.00/0.00/0.00 house:suspense
         // What was taken out by hand cannot be found to be somebody's.
         two adjust 10 from=0/suspense to=0/float -> 1000.00/0.00/0.00 house:adjust
         two identify utr=C3                -> BalanceTooLow",
    );
}

#[test]
fn corrections_and_withdrawals() {
    check(
        "
         fund 1000                                    -> 1000.00/0.00/0.00 fund
         two withdraw 1000.01 utr=W1                  -> BalanceTooLow
         two withdraw 400 utr=W1                      -> 600.00/0.00/0.00 withdraw
         banks                                        -> sandbox -600.00
         two adjust 100 from=1/wallet to=1/fees       -> 500.00/0.00/100.00 adjust
         two adjust 600 from=1/wallet to=1/fees       -> BalanceTooLow
         two adjust 1 from=1/wallet to=1/wallet       -> AccountsUnfit
         two adjust 1 from=1/wallet to=1/reserved     -> AccountsUnfit
         two adjust 1 from=1/wallet to=2/wallet       -> AccountsUnfit
         two adjust 1 from=1/wallet to=2/wallet through=sandbox -> AccountsUnfit
         two adjust 1 from=1/wallet to=0/float        -> AccountsUnfit
         two adjust 1 from=1/float to=1/wallet        -> AccountsUnfit
         two adjust 1 from=0/wallet to=0/float        -> AccountsUnfit
         two adjust 1 from=0/bank:sandbox to=1/wallet through=sandbox -> AccountsUnfit
         two adjust 50 from=0/loss to=1/wallet through=sandbox -> 550.00/0.00/100.00 house:adjust adjust
         two adjust 551 from=1/wallet to=0/float through=sandbox -> BalanceTooLow
         two adjust 550 from=1/wallet to=0/float through=sandbox -> 0.00/0.00/100.00 adjust house:adjust
         house                                        -> float 550.00, loss -50.00, sandbox -500.00
         banks                                        -> sandbox -100.00",
    );
}

#[test]
fn a_debit_is_withdrawn_once() {
    check(
        "
         fund 1000                          -> 1000.00/0.00/0.00 fund
         two withdraw 1000.01 utr=W1        -> BalanceTooLow
         two withdraw 10 utr=W1             -> 990.00/0.00/0.00 withdraw
         two withdraw 10 utr=W1             -> WithdrawnAlready
         two withdraw 20 utr=W1             -> WithdrawnAlready
         two withdraw 10 utr=W1 by=2        -> WithdrawnAlready
         two withdraw 10 utr=W1 at=other    -> 980.00/0.00/0.00 withdraw
         two withdraw 10 utr=W2             -> 970.00/0.00/0.00 withdraw",
    );
}

#[test]
fn nobody_approves_his_own_proposal() {
    check(
        "
         fund 1000                          -> 1000.00/0.00/0.00 fund
         propose withdraw 10 as=Asha        -> 1
         approve 1 as=Asha                  -> OwnProposal
         approve 1 as=asha                  -> OwnProposal
         approve 1 as=_A_SHA_               -> OwnProposal
         approve 1 as=аsha                  -> OperatorUnnamed
         approve 1 as=__                    -> OperatorUnnamed
         approve 2 as=ravi                  -> ProposalUnknown
         approve 1 as=ravi                  -> 990.00/0.00/0.00 withdraw",
    );
}

#[test]
fn a_proposal_is_approved_once() {
    check(
        "
         fund 1000                          -> 1000.00/0.00/0.00 fund
         propose withdraw 10                -> 1
         approve 1                          -> 990.00/0.00/0.00 withdraw
         // Whoever did not hear the answer asks again; anybody else comes too late.
         approve 1                          -> Repeat
         approve 1 as=RAVI                  -> Repeat
         approve 1 as=meena                 -> ProposalEnded
         approve 1 as=asha                  -> ProposalEnded
         reject 1                           -> ProposalEnded
         propose withdraw 10 utr=W2         -> 2
         reject 2 as=asha                   -> 990.00/0.00/0.00
         approve 2                          -> ProposalEnded
         reject 2                           -> ProposalEnded
         propose withdraw 10 utr=W3         -> 3
         wait 7d
         approve 3                          -> ProposalExpired
         reject 3                           -> 990.00/0.00/0.00",
    );
}

#[test]
fn on_hold_two_people_give_nothing_away() {
    check(
        "
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         create B 100 imps                  -> Queued 588.20/411.80/0.00 reserve, due 30s
         start A                            -> Sending#1 588.20/411.80/0.00, due 7s
         wait 20s
         hold set
         cancel B                           -> OnHold
         two withdraw 10                    -> OnHold
         two adjust 10 from=1/wallet to=1/fees -> OnHold
         two declare-failed A               -> OnHold
         two resume A                       -> OnHold
         two declare-paid A                 -> Paid#1 588.20/105.90/5.90 settle [Success 1]
         two suspense 10 utr=C1              -> 588.20/105.90/5.90 house:suspense
         two identify utr=C1                -> 598.20/105.90/5.90 house:identify fund
         hold release
         cancel B                           -> Cancelled 704.10/0.00/5.90 release [Failure 1]",
    );
}

#[test]
fn exceptions_are_resolved_by_what_was_seen() {
    check(
        "
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused A                          -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         paid A                             -> Failed#1 held 1000.00/0.00/0.00 !paid_unexpectedly
         propose resolve A paid_unexpectedly -> 1
         // The same again says nothing new.
         paid A                             -> Failed#1 held 1000.00/0.00/0.00 !paid_unexpectedly
         approve 1                          -> Failed#1 1000.00/0.00/0.00
         open                               ->
         // A word that is repeated holds the payout again, so it is told again.
         paid A                             -> Failed#1 held 1000.00/0.00/0.00 !paid_unexpectedly
         open                               -> paid_unexpectedly
         approve 1                          -> Repeat
         paid A amount=2                    -> Failed#1 held 1000.00/0.00/0.00 !amount_differs
         propose resolve A amount_differs   -> 2
         paid A amount=3                    -> Failed#1 held 1000.00/0.00/0.00 !amount_differs
         approve 2                          -> ExceptionChanged
         two resolve A paid_unexpectedly    -> 1000.00/0.00/0.00
         two resolve A amount_differs       -> Failed#1 1000.00/0.00/0.00
         open                               ->
         // Something new was told: it is open again.
         paid A amount=4                    -> Failed#1 held 1000.00/0.00/0.00 !amount_differs
         open                               -> amount_differs",
    );
    check(
        "
         // A reference that nobody knows has no payout.
         paid ? amount=5                    -> 0.00/0.00/0.00 !unknown_reference
         two resolve - unknown_reference    -> 0.00/0.00/0.00
         open                               ->",
    );
    check(&format!(
        "
         // One of an open payout: the bank is asked once more.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         {}
         silent A                           -> Sending#1 694.10/305.90/0.00 !no_answer
         open                               -> no_answer
         two resolve A no_answer            -> same, due 0s
         open                               ->
         silent A                           -> Sending#1 694.10/305.90/0.00 !no_answer
         open                               -> no_answer
         two declare-paid A                 -> Paid#1 694.10/0.00/5.90 settle [Success 1]
         open                               ->",
        "silent A\n".repeat(19)
    ));
}
