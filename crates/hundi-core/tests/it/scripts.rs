//! The rules as scripts: each line is an order or a bank's word, and after `->` stands what comes of it.
//!
//! ```text
//! paid A 1 amount=300.01 rrn=R1 via=signed -> Sending#2 held 694.10/305.90/0.00 settle [Success 1] !contradiction, due 2s
//! ```
//!
//! is: the signed callback of the bank says that attempt 1 (without a number: the newest) of order A was paid with another
//! amount and a bank reference. What comes of it: the state, the number of attempts, whether it is held, the merchant's
//! wallet / reserved / fees and GST, the movements, the callbacks with their numbers, the exception, and when it is due.
//! `same` means that nothing changed but perhaps when it is due. A line without `->` must not be refused.

use super::script::check;

#[test]
fn paid_and_taken_back() {
    check(
        "
         // The whole life of a payout: created, sent, accepted, paid, taken back.
         fund 1000                   -> 1000.00/0.00/0.00 fund
         create A 300 imps           -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                     -> Sending#1 694.10/305.90/0.00, due 7s
         silent A                    -> same, due 2s
         accepted A via=reply        -> Sent#1 694.10/305.90/0.00, due 4s
         silent A                    -> same, due 8s
         paid A amount=300.00 rrn=R1 -> Paid#1 694.10/0.00/5.90 settle [Success 1]
         show A                      -> Paid rrn=R1 paid_by=1 reference=9K8Y reason=
         banks                       -> sandbox -700.00
         reversed A why=Closed       -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]
         show A                      -> Reversed rrn=R1 paid_by=1 reference=9K8Y reason=Closed
         banks                       -> sandbox -1000.00
         history                     -> 3",
    );
    check(
        "
         // Paid by the very reply.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 neft -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         paid A via=reply  -> Paid#1 694.10/0.00/5.90 settle [Success 1]",
    );
    check(
        "
         // Paid by a signed callback, accepted by one before.
         fund 1000                -> 1000.00/0.00/0.00 fund
         create A 300 upi         -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                  -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A via=signed    -> Sent#1 694.10/305.90/0.00, due 7s
         paid A via=signed rrn=R9 -> Paid#1 694.10/0.00/5.90 settle [Success 1], due 7s
         show A                   -> Paid rrn=R9 paid_by=1 reference=9K8Y reason=
         history                  -> 0",
    );
}

#[test]
fn taken_back_before_the_success_was_heard() {
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         reversed A rrn=R1 -> Reversed#1 1000.00/0.00/0.00 settle restore [Success 1, Reversal 2]
         show A            -> Reversed rrn=R1 paid_by=1 reference=9K8Y reason=Returned by the beneficiary's bank
         banks             -> sandbox -1000.00
         paid A            -> same
         reversed A        -> same
         accepted A        -> same",
    );
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A        -> Sent#1 694.10/305.90/0.00, due 2s
         reversed A        -> Reversed#1 1000.00/0.00/0.00 settle restore [Success 1, Reversal 2]",
    );
}

#[test]
fn refused() {
    check(
        "
         // For good: another connector is not asked.
         fund 1000            -> 1000.00/0.00/0.00 fund
         create A 300 imps    -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A              -> Sending#1 694.10/305.90/0.00, due 7s
         refused A why=Closed -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         show A               -> Failed rrn= paid_by=- reference=9K8Y reason=Closed",
    );
    check(
        "
         // Elsewhere, with another connector left: tried there, and failed when that refuses too.
         fund 1000                       -> 1000.00/0.00/0.00 fund
         create A 300 imps               -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                         -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A why=Down    -> Queued#1 694.10/305.90/0.00, due 0s
         start A                         -> Sending#2 694.10/305.90/0.00, due 7s
         show A                          -> Sending rrn= paid_by=- reference=PP0J reason=
         refused_elsewhere A 2 why=Down2 -> Failed#2 1000.00/0.00/0.00 release [Failure 1]
         show A                          -> Failed rrn= paid_by=- reference=PP0J reason=Down2",
    );
    check(
        "
         // Elsewhere, but there is only one connector.
         connectors sandbox
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A          -> Sent#1 694.10/305.90/0.00, due 2s
         refused_elsewhere A -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         show A              -> Failed rrn= paid_by=- reference=9K8Y reason=Not executed by the bank",
    );
    check(
        "
         // Elsewhere, and the other connector pays: the money leaves from there.
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Queued#1 694.10/305.90/0.00, due 0s
         start A             -> Sending#2 694.10/305.90/0.00, due 7s
         paid A              -> Paid#2 694.10/0.00/5.90 settle [Success 1]
         banks               -> other 300.00, sandbox -1000.00",
    );
    check(
        "
         // Elsewhere, but there have been attempts enough.
         attempts_max 1
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Failed#1 1000.00/0.00/0.00 release [Failure 1]",
    );
}

/// "One is left" means one that can carry the payout.
#[test]
fn refused_where_only_some_can_carry() {
    check(
        "
         // The other connector does not carry the rail: nobody is left.
         carries other NEFT RTGS
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A at=other    -> NotNow
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         // The other rail is carried by both.
         create B 300 neft   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start B             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere B -> Queued#1 694.10/305.90/0.00, due 0s
         start B at=sandbox  -> NotNow
         start B at=other    -> Sending#2 694.10/305.90/0.00, due 7s",
    );
    check(
        "
         // The other connector does not carry the amount.
         carries other IMPS most=299.99
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         create B 299.99 imps -> Queued 694.11/305.89/0.00 reserve, due 30s
         start B             -> Sending#1 694.11/305.89/0.00, due 7s
         refused_elsewhere B -> Queued#1 694.11/305.89/0.00, due 0s",
    );
    check(
        "
         // The first connector does not carry it, so it is the other that begins, and nobody is left after it.
         carries sandbox UPI
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         banks               -> sandbox -1000.00",
    );
}

/// An account that does not take the rail: where the merchant allows it, another rail; else a refusal like any other.
#[test]
fn a_rail_that_the_account_does_not_take() {
    check(
        "
         // Allowed: by the same connector over the next rail, and no bank is asked about it sooner than batches are known.
         auto
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         rail_refused A      -> Queued#1 694.10/305.90/0.00, due 0s
         start A over=IMPS   -> NotNow
         start A over=RTGS   -> NotNow
         start A over=UPI    -> NotNow
         start A             -> Sending#2 over NEFT 694.10/305.90/0.00, due 7s
         accepted A          -> Sent#2 over NEFT 694.10/305.90/0.00, due 30s
         paid A rrn=U1       -> Paid#2 over NEFT 694.10/0.00/5.90 settle [Success 1]
         show A              -> Paid rrn=U1 paid_by=2 reference=PP0J reason=
         // What the first attempt says now is no news.
         rail_refused A 1    -> same",
    );
    check(
        "
         // The next rail is refused too: none is left, so it is a refusal, and another connector may try the same.
         auto
         fund 1000               -> 1000.00/0.00/0.00 fund
         create A 300 imps       -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         rail_refused A          -> Queued#1 694.10/305.90/0.00, due 0s
         start A                 -> Sending#2 over NEFT 694.10/305.90/0.00, due 7s
         rail_refused A why=Shut -> Queued#2 over NEFT 694.10/305.90/0.00, due 0s
         start A at=sandbox      -> NotNow
         start A over=IMPS       -> NotNow
         start A                 -> Sending#3 over NEFT 694.10/305.90/0.00, due 7s
         rail_refused A why=Shut -> Failed#3 over NEFT 1000.00/0.00/0.00 release [Failure 1]",
    );
    check(
        "
         // Silence over the next rail keeps it there.
         auto
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         rail_refused A      -> Queued#1 694.10/305.90/0.00, due 0s
         start A             -> Sending#2 over NEFT 694.10/305.90/0.00, due 7s
         not_written A       -> Queued#1 over NEFT 694.10/305.90/0.00, due 3s
         start A at=other    -> NotNow
         start A             -> Sending#2 over NEFT 694.10/305.90/0.00, due 7s
         silent A            -> same, due 2s
         wait 11s
         not_found A         -> Queued#2 over NEFT 694.10/305.90/0.00, due 0s
         start A at=other    -> NotNow
         start A over=IMPS   -> NotNow
         start A             -> Sending#3 over NEFT 694.10/305.90/0.00, due 7s",
    );
    check(
        "
         // Not allowed: another connector may try the same rail, and then nobody.
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A over=NEFT   -> NotNow
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         rail_refused A      -> Queued#1 694.10/305.90/0.00, due 0s
         start A at=sandbox  -> NotNow
         start A over=NEFT   -> NotNow
         start A             -> Sending#2 694.10/305.90/0.00, due 7s
         rail_refused A      -> Failed#2 1000.00/0.00/0.00 release [Failure 1]",
    );
    check(
        "
         // Allowed, and nobody carries another rail: as if it were not allowed. UPI has no other rail.
         auto
         connectors sandbox
         carries sandbox IMPS UPI
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         rail_refused A      -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         create B 300 upi    -> Queued 694.10/305.90/0.00 reserve, due 30s
         start B over=IMPS   -> NotNow
         start B             -> Sending#1 694.10/305.90/0.00, due 7s",
    );
    check(
        "
         // The ordered rail is carried by nobody, so it begins over another; the attempts are counted as ever.
         auto
         attempts_max 1
         carries sandbox NEFT
         carries other NEFT
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 over NEFT 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Failed#1 over NEFT 1000.00/0.00/0.00 release [Failure 1]",
    );
}

/// Another connector only after a refusal that allows it.
#[test]
fn begun_where_it_was_begun() {
    check(
        "
         // No byte left us, so it was no attempt; all the same nobody else may try.
         fund 1000          -> 1000.00/0.00/0.00 fund
         create A 300 imps  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A            -> Sending#1 694.10/305.90/0.00, due 7s
         not_written A      -> Queued 694.10/305.90/0.00, due 3s
         start A at=other   -> NotNow
         start A at=sandbox -> Sending#1 694.10/305.90/0.00, due 7s",
    );
    check(
        "
         // It was silent and never executed it. It is tried again where it was, and elsewhere once that has refused.
         fund 1000            -> 1000.00/0.00/0.00 fund
         create A 300 imps    -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A              -> Sending#1 694.10/305.90/0.00, due 7s
         silent A             -> same, due 2s
         wait 11s
         not_found A          -> Queued#1 694.10/305.90/0.00, due 0s
         start A at=other     -> NotNow
         start A at=sandbox   -> Sending#2 694.10/305.90/0.00, due 7s
         refused_elsewhere A  -> Queued#2 694.10/305.90/0.00, due 0s
         start A at=other     -> Sending#3 694.10/305.90/0.00, due 7s",
    );
}

/// Nobody may take it now: it is looked at again, the rarer the longer it waits, and only while it is queued and due.
#[test]
fn waits_for_a_connector() {
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         later A           -> NotNow
         wait 30s
         later A           -> same, due 3s
         later A           -> NotNow
         wait 930s
         later A           -> same, due 60s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         wait 8s
         later A           -> NotNow
         later A by=2 of=1 -> PayoutUnknown",
    );
}

#[test]
fn not_found() {
    check(
        "
         // Before the contract's window (five seconds after the last moment to send) it is silence.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         not_found A       -> same, due 2s
         wait 10s
         not_found A       -> same, due 4s
         wait 1s
         not_found A       -> Queued#1 694.10/305.90/0.00, due 0s
         start A           -> Sending#2 694.10/305.90/0.00, due 7s
         show A            -> Sending rrn= paid_by=- reference=PP0J reason=
         // The second try has a window of its own.
         not_found A       -> same, due 2s
         wait 11s
         not_found A       -> Queued#2 694.10/305.90/0.00, due 0s
         start A           -> Sending#3 694.10/305.90/0.00, due 7s
         wait 11s
         not_found A       -> Failed#3 1000.00/0.00/0.00 release [Failure 1]
         show A            -> Failed rrn= paid_by=- reference=T8FL reason=Not executed by the bank",
    );
    check(
        "
         // An answer says what was so when the bank was asked: whoever sleeps over it must not take it for news.
         fund 1000            -> 1000.00/0.00/0.00 fund
         create A 300 imps    -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A              -> Sending#1 694.10/305.90/0.00, due 7s
         wait 20s
         not_found A asked=10s -> same, due 2s
         not_found A asked=9s  -> Queued#1 694.10/305.90/0.00, due 0s",
    );
    check(
        "
         // The reply to a payment never is an answer to a question.
         fund 1000             -> 1000.00/0.00/0.00 fund
         create A 300 imps     -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A               -> Sending#1 694.10/305.90/0.00, due 7s
         wait 11s
         not_found A via=reply -> same, due 2s",
    );
    check(
        "
         // With this connector it never is final.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A at=other  -> Sending#1 694.10/305.90/0.00, due 7s
         wait 9d
         not_found A       -> same, due 2s
         not_found A       -> same, due 4s",
    );
    check(
        "
         // Nor does a callback that says so fail anything.
         fund 1000              -> 1000.00/0.00/0.00 fund
         create A 300 imps      -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                -> Sending#1 694.10/305.90/0.00, due 7s
         wait 11s
         not_found A via=signed -> same, due called",
    );
}

#[test]
fn not_written_is_no_attempt() {
    check(
        "
         attempts_max 1
         fund 1000               -> 1000.00/0.00/0.00 fund
         create A 300 imps       -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         show A                  -> Sending rrn= paid_by=- reference=9K8Y reason=
         not_written A via=reply -> Queued 694.10/305.90/0.00, due 3s
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         show A                  -> Sending rrn= paid_by=- reference=9K8Y reason=
         not_written A           -> Queued 694.10/305.90/0.00, due 3s
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A     -> Failed#1 1000.00/0.00/0.00 release [Failure 1]",
    );
    check(
        "
         // Another process has started it again under the same reference, and its request is on its way.
         fund 1000               -> 1000.00/0.00/0.00 fund
         create A 300 imps       -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         not_written A           -> Queued 694.10/305.90/0.00, due 3s
         not_written A           -> same, due 3s
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         // Whoever made the first start says it again, or was paused and says it late.
         not_written A start=1   -> same, due 7s
         // A question that never left says nothing of the payment, and who calls us cannot know.
         not_written A via=enquiry -> same, due 7s
         not_written A via=signed  -> same, due called
         not_written A start=2   -> Queued 694.10/305.90/0.00, due 3s
         paid A 1                -> Paid 694.10/0.00/5.90 settle [Success 1] !paid_after_closed
         not_written A start=1   -> same",
    );
    check(
        "
         // The first start's request was taken for lost, and the bank says that it never had it; attempt 2 is on its way.
         fund 1000               -> 1000.00/0.00/0.00 fund
         create A 300 imps       -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         wait 11s
         not_found A             -> Queued#1 694.10/305.90/0.00, due 0s
         start A                 -> Sending#2 694.10/305.90/0.00, due 7s
         not_written A 1 start=1 -> same, due 7s
         not_written A 2 start=1 -> same, due 7s
         not_written A 2 start=2 -> Queued#1 694.10/305.90/0.00, due 3s",
    );
    check(
        "
         // Only while nothing else was heard.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A        -> Sent#1 694.10/305.90/0.00, due 2s
         not_written A     -> Sent#1 held 694.10/305.90/0.00 !contradiction, due 4s
         // It stays the attempt in progress.
         paid A            -> Paid#1 held 694.10/0.00/5.90 settle [Success 1]",
    );
    check(
        "
         // It was written after all.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         not_written A     -> Queued 694.10/305.90/0.00, due 3s
         paid A 1          -> Paid 694.10/0.00/5.90 settle [Success 1] !paid_after_closed
         show A            -> Paid rrn= paid_by=1 reference=9K8Y reason=
         not_written A 1   -> Paid held 694.10/0.00/5.90 !contradiction",
    );
    check(
        "
         // The bank has what we believed never to have left: it is held, does not start and does not expire.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         not_written A     -> Queued 694.10/305.90/0.00, due 3s
         accepted A 1      -> Queued held 694.10/305.90/0.00 !contradiction
         start A           -> NotNow
         wait 2h
         expire A          -> NotNow
         silent A          -> same
         paid A 1          -> Paid held 694.10/0.00/5.90 settle [Success 1] !paid_after_closed",
    );
    check(
        "
         // Never started in the end: it expires.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         not_written A     -> Queued 694.10/305.90/0.00, due 3s
         wait 1h
         expire A          -> Failed 1000.00/0.00/0.00 release [Failure 1]
         paid A 1          -> Failed held 1000.00/0.00/0.00 !paid_unexpectedly",
    );
}

#[test]
fn expiry_and_cancelling() {
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         wait 3599s
         expire A          -> NotNow
         wait 1s
         expire A          -> Failed 1000.00/0.00/0.00 release [Failure 1]
         show A            -> Failed rrn= paid_by=- reference= reason=Not sent in time
         expire A          -> NotNow
         start A           -> NotNow",
    );
    check(
        "
         // What was started once does not expire.
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         wait 2h
         expire A            -> NotNow
         refused_elsewhere A -> Queued#1 694.10/305.90/0.00, due 0s
         expire A            -> NotNow
         cancel A            -> Cancelled#1 1000.00/0.00/0.00 release [Failure 1]
         show A              -> Cancelled rrn= paid_by=- reference=9K8Y reason=Cancelled by the operator
         refused A 1         -> same
         paid A 1            -> Cancelled#1 held 1000.00/0.00/0.00 !paid_unexpectedly",
    );
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         cancel A          -> Cancelled 1000.00/0.00/0.00 release [Failure 1]
         cancel A          -> NotNow
         start A           -> NotNow
         create B 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start B           -> Sending#1 694.10/305.90/0.00, due 7s
         cancel B          -> NotNow
         accepted B        -> Sent#1 694.10/305.90/0.00, due 2s
         cancel B          -> NotNow
         paid B            -> Paid#1 694.10/0.00/5.90 settle [Success 1]
         cancel B          -> NotNow
         cancel C          -> PayoutUnknown
         cancel A by=2     -> PayoutUnknown
         start A by=2      -> PayoutUnknown
         expire A by=2     -> PayoutUnknown
         enquire A by=2    -> PayoutUnknown",
    );
    check(
        "
         // Another merchant's payout is not found.
         fund 1000            -> 1000.00/0.00/0.00 fund
         create A 300 imps    -> Queued 694.10/305.90/0.00 reserve, due 30s
         wait 2h
         cancel A by=2 of=1   -> PayoutUnknown
         start A by=2 of=1    -> PayoutUnknown
         expire A by=2 of=1   -> PayoutUnknown
         start A              -> Sending#1 694.10/305.90/0.00, due 7s
         wait A
         enquire A by=2 of=1  -> PayoutUnknown
         enquire A            -> same, due 10s",
    );
}

#[test]
fn a_start_is_a_claim() {
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         start A           -> NotNow
         accepted A        -> Sent#1 694.10/305.90/0.00, due 2s
         start A           -> NotNow
         paid A            -> Paid#1 694.10/0.00/5.90 settle [Success 1]
         start A           -> NotNow
         reversed A        -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]
         start A           -> NotNow
         start Z           -> PayoutUnknown",
    );
    check(
        "
         // The second reference is used only if the first is another payout's.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         create B 300 imps -> Queued 388.20/611.80/0.00 reserve, due 30s
         start A           -> Sending#1 388.20/611.80/0.00, due 7s
         start B like=A    -> Sending#1 388.20/611.80/0.00, due 7s
         show B            -> Sending rrn= paid_by=- reference=GSZW reason=",
    );
    check(
        "
         // Nor is the reference of an attempt that reached the bank ever used again.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         show A            -> Sending rrn= paid_by=- reference=9K8Y reason=
         wait 11s
         not_found A       -> Queued#1 694.10/305.90/0.00, due 0s
         start A like=A    -> Sending#2 694.10/305.90/0.00, due 7s
         show A            -> Sending rrn= paid_by=- reference=KMKC reason=",
    );
    check(
        "
         // The restart after nothing was written has the same reference, even the second one.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         create B 300 imps -> Queued 388.20/611.80/0.00 reserve, due 30s
         start A           -> Sending#1 388.20/611.80/0.00, due 7s
         start B like=A    -> Sending#1 388.20/611.80/0.00, due 7s
         show B            -> Sending rrn= paid_by=- reference=GSZW reason=
         not_written B     -> Queued 388.20/611.80/0.00, due 3s
         start B like=A    -> Sending#1 388.20/611.80/0.00, due 7s
         show B            -> Sending rrn= paid_by=- reference=GSZW reason=",
    );
    check(
        "
         fund 1000              -> 1000.00/0.00/0.00 fund
         create A 300 imps      -> Queued 694.10/305.90/0.00 reserve, due 30s
         create B 300 imps      -> Queued 388.20/611.80/0.00 reserve, due 30s
         create C 300 imps      -> Queued 82.30/917.70/0.00 reserve, due 30s
         start A                -> Sending#1 82.30/917.70/0.00, due 7s
         start B                -> Sending#1 82.30/917.70/0.00, due 7s
         start C like=A like2=B -> ReferenceTaken",
    );
}

#[test]
fn refusals_come_in_the_order_of_the_wire_and_never_pay_later() {
    check("
         fund 1000               -> 1000.00/0.00/0.00 fund
         suspend
         payout_most 500
         day_most 400
         create A 5000 imps      -> Failed 1000.00/0.00/0.00 (Merchant is suspended; contact the operator)
         activate
         create B 5000 imps      -> Failed 1000.00/0.00/0.00 (Amount is above the merchant's limit for one payout)
         payout_most 9999999
         create C 5000 imps      -> Failed 1000.00/0.00/0.00 (Amount is above what is left of the merchant's limit for today)
         day_most 9999999
         create D 5000 imps      -> Failed 1000.00/0.00/0.00 (Wallet balance is too low for the amount, fee and tax)
         // Money comes, and none of them is paid.
         fund 100000 UTR1        -> 101000.00/0.00/0.00 fund
         create A 5000 imps      -> Repeat Failed
         create B 5000 imps      -> Repeat Failed
         create C 5000 imps      -> Repeat Failed
         create D 5000 imps      -> Repeat Failed
         start A                 -> NotNow
         start B                 -> NotNow
         start C                 -> NotNow
         start D                 -> NotNow
         cancel D                -> NotNow
         wait 2h
         expire D                -> NotNow
         create D 5001 imps      -> OrderReused
         show D                  -> Failed rrn= paid_by=- reference= reason=Wallet balance is too low for the amount, fee and tax
         create E 5000 imps by=3 -> MerchantUnknown");
    check("
         // The limits are inclusive.
         fund 1000            -> 1000.00/0.00/0.00 fund
         payout_most 300
         day_most 600
         create A 300.01 imps -> Failed 1000.00/0.00/0.00 (Amount is above the merchant's limit for one payout)
         create B 300 imps    -> Queued 694.10/305.90/0.00 reserve, due 30s
         create C 300 imps    -> Queued 388.20/611.80/0.00 reserve, due 30s
         create D 0.01 imps   -> Failed 388.20/611.80/0.00 (Amount is above what is left of the merchant's limit for today)");
    check(
        "
         // The balance is for amount, fee and tax, to the paisa.
         fund 305.89       -> 305.89/0.00/0.00 fund
         create A 300 imps -> Failed 305.89/0.00/0.00 (Wallet balance is too low for the amount, fee and tax)
         fund 0.01 UTR1    -> 305.90/0.00/0.00 fund
         create B 300 imps -> Queued 0.00/305.90/0.00 reserve, due 30s",
    );
}

#[test]
fn the_day_is_indian_and_gets_back_what_failed() {
    check("
         fund 10000         -> 10000.00/0.00/0.00 fund
         day_most 1000
         create A 600 imps  -> Queued 9394.10/605.90/0.00 reserve, due 30s
         create B 600 imps  -> Failed 9394.10/605.90/0.00 (Amount is above what is left of the merchant's limit for today)
         // 23:59:59 in India.
         wait 43199s
         create C 600 imps  -> Failed 9394.10/605.90/0.00 (Amount is above what is left of the merchant's limit for today)
         wait 1s
         create D 600 imps  -> Queued 8788.20/1211.80/0.00 reserve, due 30s
         day                -> 600.00
         // Yesterday's failure does not make room today.
         cancel A           -> Cancelled 9394.10/605.90/0.00 release [Failure 1]
         day                -> 600.00
         create E 600 imps  -> Failed 9394.10/605.90/0.00 (Amount is above what is left of the merchant's limit for today)
         cancel D           -> Cancelled 10000.00/0.00/0.00 release [Failure 1]
         day                -> 0.00
         create F 600 imps  -> Queued 9394.10/605.90/0.00 reserve, due 30s
         start F            -> Sending#1 9394.10/605.90/0.00, due 7s
         refused F          -> Failed#1 10000.00/0.00/0.00 release [Failure 1]
         day                -> 0.00
         create G 1000 imps -> Queued 8994.10/1005.90/0.00 reserve, due 30s
         start G            -> Sending#1 8994.10/1005.90/0.00, due 7s
         paid G             -> Paid#1 8994.10/0.00/5.90 settle [Success 1]
         day                -> 1000.00
         // What was paid and taken back has gone out that day.
         reversed G         -> Reversed#1 10000.00/0.00/0.00 restore [Reversal 2]
         day                -> 1000.00
         create H 1 imps    -> Failed 10000.00/0.00/0.00 (Amount is above what is left of the merchant's limit for today)");
}

#[test]
fn duplicates_in_every_state() {
    check(
        "
         fund 5000                 -> 5000.00/0.00/0.00 fund
         create A 300 imps         -> Queued 4694.10/305.90/0.00 reserve, due 30s
         create A 300 imps         -> Repeat Queued
         create A 301 imps         -> OrderReused
         create A 300 upi          -> OrderReused
         create A 300 imps to=sita -> OrderReused
         start A                   -> Sending#1 4694.10/305.90/0.00, due 7s
         create A 300 imps         -> Repeat Sending
         create A 301 imps         -> OrderReused
         accepted A                -> Sent#1 4694.10/305.90/0.00, due 2s
         create A 300 imps         -> Repeat Sent
         create A 301 imps         -> OrderReused
         paid A                    -> Paid#1 4694.10/0.00/5.90 settle [Success 1]
         create A 300 imps         -> Repeat Paid
         create A 301 imps         -> OrderReused
         wait 30d
         create A 300 imps         -> Repeat Paid
         reversed A                -> Reversed#1 5000.00/0.00/0.00 restore [Reversal 2]
         create A 300 imps         -> Repeat Reversed
         create A 301 imps         -> OrderReused
         create B 300 imps         -> Queued 4694.10/305.90/0.00 reserve, due 30s
         cancel B                  -> Cancelled 5000.00/0.00/0.00 release [Failure 1]
         create B 300 imps         -> Repeat Cancelled
         create B 301 imps         -> OrderReused
         create C 300 imps         -> Queued 4694.10/305.90/0.00 reserve, due 30s
         start C                   -> Sending#1 4694.10/305.90/0.00, due 7s
         refused C                 -> Failed#1 5000.00/0.00/0.00 release [Failure 1]
         create C 300 imps         -> Repeat Failed
         create C 301 imps         -> OrderReused
         // The same OrderID of another merchant is another order. A duplicate is told even to the suspended.
         create A 300 imps by=2    -> Failed 0.00/0.00/0.00 (Wallet balance is too low for the amount, fee and tax)
         suspend
         create A 300 imps         -> Repeat Reversed
         create A 301 imps         -> OrderReused",
    );
}

#[test]
fn a_credit_funds_once() {
    check(
        "
         fund 1000 UTR1          -> 1000.00/0.00/0.00 fund
         fund 1000 UTR1          -> Repeat
         fund 1000.01 UTR1       -> CreditReused
         fund 1000 UTR1 by=2     -> CreditReused
         fund 1000 UTR1 at=other -> 2000.00/0.00/0.00 fund
         fund 1000 UTR2 by=2     -> 1000.00/0.00/0.00 fund
         fund 1000 UTR3 by=9     -> MerchantUnknown
         banks                   -> other -1000.00, sandbox -1000.00
         banks by=2              -> sandbox -1000.00",
    );
}

#[test]
fn an_attempt_that_we_had_closed_turns_out_to_have_paid() {
    check(
        "
         // While the payout is queued: paid, by that attempt, on its connector.
         fund 1000                  -> 1000.00/0.00/0.00 fund
         create A 300 imps          -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                    -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A rrn=R1 -> Queued#1 694.10/305.90/0.00, due 0s
         paid A 1 rrn=R2 at=sandbox -> Paid#1 694.10/0.00/5.90 settle [Success 1] !paid_after_closed
         show A                     -> Paid rrn=R2 paid_by=1 reference=9K8Y reason=
         banks                      -> sandbox -700.00
         start A                    -> NotNow
         // It can be taken back, too.
         reversed A 1               -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]
         banks                      -> sandbox -1000.00",
    );
    check("
         // While another attempt is under way: held. Whatever that attempt comes to, the money does not go back by itself.
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Queued#1 694.10/305.90/0.00, due 0s
         start A             -> Sending#2 694.10/305.90/0.00, due 7s
         paid A 1            -> Sending#2 held 694.10/305.90/0.00 !paid_unexpectedly, due 2s
         refused A 2         -> Queued#2 held 694.10/305.90/0.00
         start A             -> NotNow
         show A              -> Queued rrn= paid_by=- reference=PP0J reason=
         // The bank says it again, and now it is clear.
         paid A 1            -> Paid#2 held 694.10/0.00/5.90 settle [Success 1] !paid_after_closed
         banks               -> sandbox -700.00");
    check(
        "
         // The second attempt pays as well: a person must look.
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Queued#1 694.10/305.90/0.00, due 0s
         start A             -> Sending#2 694.10/305.90/0.00, due 7s
         paid A 1            -> Sending#2 held 694.10/305.90/0.00 !paid_unexpectedly, due 2s
         paid A 2            -> Paid#2 held 694.10/0.00/5.90 settle [Success 1]
         paid A 1            -> Paid#2 held 694.10/0.00/5.90 !paid_unexpectedly
         show A              -> Paid rrn= paid_by=2 reference=PP0J reason=",
    );
    check(
        "
         // After it failed: held, nothing moves.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         refused A         -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         paid A            -> Failed#1 held 1000.00/0.00/0.00 !paid_unexpectedly
         reversed A        -> Failed#1 held 1000.00/0.00/0.00 !contradiction
         refused A         -> same
         silent A          -> same
         show A            -> Failed rrn= paid_by=- reference=9K8Y reason=Not executed by the bank",
    );
    check(
        "
         // A wrong number of a closed attempt does not become the right one's.
         fund 1000                  -> 1000.00/0.00/0.00 fund
         create A 300 imps          -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                    -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A rrn=R1          -> Sent#1 694.10/305.90/0.00, due 2s
         refused_elsewhere A rrn=R1 -> Queued#1 694.10/305.90/0.00, due 0s
         start A                    -> Sending#2 694.10/305.90/0.00, due 7s
         refused A 1 rrn=R1         -> same, due 7s
         show A                     -> Sending rrn= paid_by=- reference=PP0J reason=
         paid A                     -> Paid#2 694.10/0.00/5.90 settle [Success 1]
         show A                     -> Paid rrn= paid_by=2 reference=PP0J reason=",
    );
}

#[test]
fn what_is_known_already_changes_nothing() {
    check(
        "
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Queued#1 694.10/305.90/0.00, due 0s
         refused A 1         -> same, due 0s
         accepted A 1        -> same, due 0s
         start A             -> Sending#2 694.10/305.90/0.00, due 7s
         refused A 1         -> same, due 7s
         not_written A 1     -> same, due 7s
         silent A 1          -> same, due 7s
         accepted A 1        -> same, due 7s
         accepted A          -> Sent#2 694.10/305.90/0.00, due 2s
         accepted A          -> same, due 4s
         paid A              -> Paid#2 694.10/0.00/5.90 settle [Success 1]
         paid A              -> same
         paid A              -> same
         accepted A          -> same
         silent A            -> same
         not_found A         -> same
         refused A 1         -> same
         show A              -> Paid rrn= paid_by=2 reference=PP0J reason=
         reversed A          -> Reversed#2 1000.00/0.00/0.00 restore [Reversal 2]
         reversed A          -> same
         paid A              -> same
         silent A            -> same
         show A              -> Reversed rrn= paid_by=2 reference=PP0J reason=Returned by the beneficiary's bank",
    );
}

#[test]
fn contradictions_hold() {
    check(
        "
         // The bank refuses what it has paid.
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         paid A            -> Paid#1 694.10/0.00/5.90 settle [Success 1]
         refused A         -> Paid#1 held 694.10/0.00/5.90 !contradiction
         show A            -> Paid rrn= paid_by=1 reference=9K8Y reason=
         // It is not deaf: a reversal of what was paid is a reversal.
         reversed A        -> Reversed#1 held 1000.00/0.00/0.00 restore [Reversal 2]
         refused A         -> Reversed#1 held 1000.00/0.00/0.00 !contradiction",
    );
    check(
        "
         // While queued.
         fund 1000           -> 1000.00/0.00/0.00 fund
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A -> Queued#1 694.10/305.90/0.00, due 0s
         reversed A 1        -> Queued#1 held 694.10/305.90/0.00 !contradiction
         start A             -> NotNow
         cancel A            -> NotNow",
    );
    check(
        "
         // A held payout whose attempt ends stays queued, due to nobody.
         fund 1000            -> 1000.00/0.00/0.00 fund
         create A 300 imps    -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A              -> Sending#1 694.10/305.90/0.00, due 7s
         paid A amount=300.01 -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 2s
         wait 11s
         not_found A          -> Queued#1 held 694.10/305.90/0.00
         start A              -> NotNow",
    );
    check(
        "
         fund 1000            -> 1000.00/0.00/0.00 fund
         create A 300 imps    -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A              -> Sending#1 694.10/305.90/0.00, due 7s
         paid A amount=300.01 -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 2s
         not_written A        -> Queued held 694.10/305.90/0.00
         start A              -> NotNow",
    );
}

#[test]
fn another_amount_moves_nothing() {
    check(
        "
         fund 1000                -> 1000.00/0.00/0.00 fund
         create A 300 imps        -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                  -> Sending#1 694.10/305.90/0.00, due 7s
         paid A amount=300.01     -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 2s
         paid A amount=299.99     -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 4s
         reversed A amount=299.99 -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 8s
         // The right amount does.
         paid A amount=300        -> Paid#1 held 694.10/0.00/5.90 settle [Success 1]
         reversed A amount=299.99 -> Paid#1 held 694.10/0.00/5.90 !amount_differs
         reversed A amount=300    -> Reversed#1 held 1000.00/0.00/0.00 restore [Reversal 2]
         show A                   -> Reversed rrn= paid_by=1 reference=9K8Y reason=Returned by the beneficiary's bank",
    );
    check(
        "
         // Who asked heard that it was taken back, and died before he could say so. A call that comes late says what the bank
         // said before: the answer is fetched again.
         fund 1000                  -> 1000.00/0.00/0.00 fund
         create A 300 upi           -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                    -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A via=reply       -> Sent#1 694.10/305.90/0.00, due 2s
         wait A
         enquire A                  -> same, due 10s
         paid A via=signed          -> Paid#1 694.10/0.00/5.90 settle [Success 1], due 10s
         wait A
         enquire A                  -> same, due 10s
         reversed A                 -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]
         enquire A                  -> NotNow",
    );
}

#[test]
fn who_may_say_what() {
    check(
        "
         fund 1000               -> 1000.00/0.00/0.00 fund
         create A 300 imps       -> Queued 694.10/305.90/0.00 reserve, due 30s
         // An unsigned callback makes the payout due, and nothing else.
         start A                 -> Sending#1 694.10/305.90/0.00, due 7s
         paid A via=unsigned     -> same, due called
         refused A via=unsigned  -> same, due called
         enquire A               -> same, due 10s
         reversed A via=unsigned -> same, due called
         accepted A via=unsigned -> same, due called
         wait A
         enquire A               -> same, due 10s
         paid A                  -> Paid#1 694.10/0.00/5.90 settle [Success 1]
         // Nor may it touch what has ended.
         reversed A via=unsigned -> same, due called
         enquire A               -> same, due 10s
         silent A                -> same, due 2s
         enquire A               -> NotNow
         wait A
         enquire A               -> same, due 10s
         paid A                  -> same
         reversed A via=unsigned -> same, due called
         enquire A               -> same, due 10s
         reversed A              -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]",
    );
    check(
        "
         // A signed one may not give money back: the bank is asked.
         fund 1000                      -> 1000.00/0.00/0.00 fund
         create A 300 imps              -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                        -> Sending#1 694.10/305.90/0.00, due 7s
         refused A via=signed           -> same, due called
         enquire A                      -> same, due 10s
         refused_elsewhere A via=signed -> same, due called
         enquire A                      -> same, due 10s
         reversed A via=signed          -> same, due called
         enquire A                      -> same, due 10s
         paid A via=signed              -> Paid#1 694.10/0.00/5.90 settle [Success 1], due 10s
         reversed A via=signed          -> same, due called
         enquire A                      -> same, due 10s
         reversed A                     -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]",
    );
    check(
        "
         // The bank pays, we ask, it says so; before its answer is recorded it reverses and calls. The answer is older
         // than the call, and must not end the wish to ask.
         fund 1000             -> 1000.00/0.00/0.00 fund
         create A 300 imps     -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A               -> Sending#1 694.10/305.90/0.00, due 7s
         silent A              -> same, due 2s
         wait A
         enquire A             -> same, due 10s
         reversed A via=signed -> same, due called
         paid A                -> Paid#1 694.10/0.00/5.90 settle [Success 1], due called
         paid A                -> same, due called
         enquire A             -> same, due 10s
         reversed A            -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]",
    );
    check(
        "
         // Of an attempt that is not the last, and while queued, there is nothing to ask.
         fund 1000              -> 1000.00/0.00/0.00 fund
         create A 300 imps      -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere A    -> Queued#1 694.10/305.90/0.00, due 0s
         refused A 1 via=signed -> same, due 0s
         start A                -> Sending#2 694.10/305.90/0.00, due 7s
         refused A 1 via=signed -> same, due 7s
         paid A 1 via=unsigned  -> same, due 7s",
    );
    check(
        "
         // Of a reference that we do not know, the bank's word is an exception and a stranger's is nothing.
         paid ?              -> 0.00/0.00/0.00 !unknown_reference
         paid ? via=signed   -> 0.00/0.00/0.00 !unknown_reference
         paid ? via=unsigned -> PayoutUnknown",
    );
}

#[test]
fn a_statement_is_the_bank_s_own_book() {
    check(
        "
         // A debit pays what nobody has heard of, and says it once. The merchant is told, the operator need not be.
         fund 1000                              -> 1000.00/0.00/0.00 fund
         create A 300 imps                      -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                                -> Sending#1 694.10/305.90/0.00, due 7s
         silent A                               -> same, due 2s
         paid A amount=300.00 rrn=R1 via=statement -> Paid#1 694.10/0.00/5.90 settle [Success 1], due 2s
         paid A amount=300.00 rrn=R1 via=statement -> same, due 2s
         // A credit gives it back, and a person hears that the bank had told nobody.
         reversed A amount=300.00 via=statement -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2] !reversal_unannounced, due 2s
         reversed A amount=300.00 via=statement -> same, due 2s
         paid A amount=300.00 via=statement     -> same, due 2s
         banks                                  -> sandbox -1000.00",
    );
    check(
        "
         // Not a paisa of difference is passed over, whichever way the money went.
         fund 1000                              -> 1000.00/0.00/0.00 fund
         create A 300 imps                      -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                                -> Sending#1 694.10/305.90/0.00, due 7s
         paid A amount=299.99 via=statement     -> Sending#1 held 694.10/305.90/0.00 !amount_differs, due 7s
         paid A amount=300.00 via=statement     -> Paid#1 held 694.10/0.00/5.90 settle [Success 1], due 7s
         reversed A amount=300.01 via=statement -> Paid#1 held 694.10/0.00/5.90 !amount_differs, due 7s",
    );
    check(
        "
         // What we had called failed and the bank's book has paid: nothing moves, and a person decides.
         fund 1000                          -> 1000.00/0.00/0.00 fund
         create A 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused A                          -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         paid A amount=300.00 via=statement -> Failed#1 held 1000.00/0.00/0.00 !paid_there_only
         // An attempt that was closed, before another began: the payout is paid by it.
         create B 300 imps                  -> Queued 694.10/305.90/0.00 reserve, due 30s
         start B                            -> Sending#1 694.10/305.90/0.00, due 7s
         refused_elsewhere B                -> Queued#1 694.10/305.90/0.00, due 0s
         paid B 1 amount=300.00 at=sandbox via=statement -> Paid#1 694.10/0.00/5.90 settle [Success 1] !paid_after_closed",
    );
    check(
        "
         // A statement says nothing but paid and reversed, and never uses up the schedule.
         fund 1000                 -> 1000.00/0.00/0.00 fund
         create A 300 imps         -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A                   -> Sending#1 694.10/305.90/0.00, due 7s
         refused A via=statement   -> same, due called
         reversed A via=statement  -> Reversed#1 1000.00/0.00/0.00 settle restore [Success 1, Reversal 2] !reversal_unannounced, due called
         paid ? via=statement      -> 1000.00/0.00/0.00 !unknown_reference",
    );
}

#[test]
fn the_bank_is_asked_ever_later_and_then_a_person() {
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         enquire A         -> NotNow
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         enquire A         -> NotNow
         wait A
         enquire A         -> same, due 10s
         enquire A         -> NotNow
         silent A          -> same, due 2s
         silent A          -> same, due 4s
         silent A          -> same, due 8s
         silent A          -> same, due 15s
         silent A          -> same, due 30s
         silent A          -> same, due 60s
         silent A          -> same, due 120s
         silent A          -> same, due 300s
         silent A          -> same, due 600s
         silent A          -> same, due 1800s
         silent A          -> same, due 3600s
         silent A          -> same, due 7200s
         silent A          -> same, due 14400s
         silent A          -> same, due 28800s
         silent A          -> same, due 86400s
         silent A          -> same, due 86400s
         silent A          -> same, due 86400s
         silent A          -> same, due 86400s
         silent A          -> same, due 86400s
         silent A          -> Sending#1 694.10/305.90/0.00 !no_answer
         silent A          -> Sending#1 694.10/305.90/0.00 !no_answer
         enquire A         -> NotNow
         wait 9d
         expire A          -> NotNow
         // It stays what it is, the money stays reserved, and the bank may still say what it was.
         accepted A        -> Sent#1 694.10/305.90/0.00 !no_answer
         paid A            -> Paid#1 694.10/0.00/5.90 settle [Success 1]",
    );
}

#[test]
fn callbacks_tell_what_the_merchant_wants() {
    check(
        "
         fund 1000         -> 1000.00/0.00/0.00 fund
         wish nothing
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A        -> Sent#1 694.10/305.90/0.00, due 2s
         paid A            -> Paid#1 694.10/0.00/5.90 settle
         reversed A        -> Reversed#1 1000.00/0.00/0.00 restore",
    );
    check(
        "
         fund 1000           -> 1000.00/0.00/0.00 fund
         wish all
         create A 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A             -> Sending#1 694.10/305.90/0.00, due 7s
         accepted A          -> Sent#1 694.10/305.90/0.00 [Pending 1], due 2s
         accepted A          -> same, due 4s
         refused_elsewhere A -> Queued#1 694.10/305.90/0.00, due 0s
         start A             -> Sending#2 694.10/305.90/0.00, due 7s
         accepted A          -> Sent#2 694.10/305.90/0.00 [Pending 2], due 2s
         paid A rrn=R1       -> Paid#2 694.10/0.00/5.90 settle [Success 3]
         reversed A          -> Reversed#2 1000.00/0.00/0.00 restore [Reversal 4]
         create B 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         cancel B            -> Cancelled 1000.00/0.00/0.00 release [Failure 1]
         create C 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start C             -> Sending#1 694.10/305.90/0.00, due 7s
         reversed C          -> Reversed#1 1000.00/0.00/0.00 settle restore [Success 1, Reversal 2]
         create D 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         start D             -> Sending#1 694.10/305.90/0.00, due 7s
         refused D           -> Failed#1 1000.00/0.00/0.00 release [Failure 1]
         create E 300 imps   -> Queued 694.10/305.90/0.00 reserve, due 30s
         wait 1h
         expire E            -> Failed 1000.00/0.00/0.00 release [Failure 1]
         create F 3000 imps  -> Failed 1000.00/0.00/0.00 (Wallet balance is too low for the amount, fee and tax)",
    );
    check(
        "
         // Who wants callbacks only later gets the later ones, from 1.
         fund 1000         -> 1000.00/0.00/0.00 fund
         wish nothing
         create A 300 imps -> Queued 694.10/305.90/0.00 reserve, due 30s
         start A           -> Sending#1 694.10/305.90/0.00, due 7s
         paid A            -> Paid#1 694.10/0.00/5.90 settle
         wish final
         reversed A        -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 1]",
    );
}

#[test]
fn debits_beyond_the_wallet() {
    check(
        "
         // The first debit of a wallet that never had anything.
         create A 1 imps by=2 -> Failed 0.00/0.00/0.00 (Wallet balance is too low for the amount, fee and tax)
         // Twice 60 percent.
         fund 1000            -> 1000.00/0.00/0.00 fund
         create A 600 imps    -> Queued 394.10/605.90/0.00 reserve, due 30s
         create B 600 imps    -> Failed 394.10/605.90/0.00 (Wallet balance is too low for the amount, fee and tax)
         cancel A             -> Cancelled 1000.00/0.00/0.00 release [Failure 1]
         create B 600 imps    -> Repeat Failed
         create C 600 imps    -> Queued 394.10/605.90/0.00 reserve, due 30s
         start C              -> Sending#1 394.10/605.90/0.00, due 7s
         paid C               -> Paid#1 394.10/0.00/5.90 settle [Success 1]
         create D 600 imps    -> Failed 394.10/0.00/5.90 (Wallet balance is too low for the amount, fee and tax)",
    );
}

#[test]
fn on_hold_what_is_queued_is_put_off() {
    check(
        "
         fund 1000
         create A 100 imps            -> Queued 894.10/105.90/0.00 reserve, due 30s
         create B 100 imps
         start B
         hold set
         expire A                     -> same, due 60s
         expire B                     -> NotNow
         wait 2h
         expire A                     -> same, due 60s
         hold release
         // It is as old as the hold was long, and has an hour again.
         expire A                     -> NotNow
         start A                      -> Sending#1 788.20/211.80/0.00, due 7s
         not_written A                -> Queued 788.20/211.80/0.00, due 450s
         wait A
         enquire A                    -> NotNow
         wait 2h
         expire A                     -> Failed 894.10/105.90/0.00 release [Failure 1]",
    );
}

#[test]
fn what_is_asked_in_vain_is_asked_ever_later() {
    check(
        "
         fund 1000
         create A 100 imps
         start A                      -> Sending#1 894.10/105.90/0.00, due 7s
         wait A
         enquire A                    -> same, due 10s
         silent A                     -> same, due 2s
         enquire A                    -> NotNow
         wait A
         enquire A                    -> same, due 10s
         silent A                     -> same, due 4s
         wait A
         enquire A                    -> same, due 10s
         silent A                     -> same, due 8s
         // A call that proves nothing makes us ask, and uses up nothing of the schedule.
         paid A via=unsigned          -> same, due called
         silent A via=reply           -> same, due called
         enquire A                    -> same, due 10s
         silent A                     -> same, due 15s
         paid A rrn=R1                -> Paid#1 894.10/0.00/5.90 settle [Success 1]
         paid A via=unsigned          -> same, due called
         silent A                     -> same, due called
         enquire A                    -> same, due 10s
         silent A                     -> same, due 15s
         not_found A                  -> same, due 30s
         wait 1d
         paid A via=unsigned          -> same, due called
         enquire A                    -> same, due 10s
         not_found A                  -> same, due 30s
         show A                       -> Paid rrn=R1 paid_by=1 reference=9K8Y reason=",
    );
}

#[test]
fn what_a_bank_has_not_executed_goes_elsewhere_once() {
    check(
        "
         fund 1000
         create A 100 imps
         start A                      -> Sending#1 894.10/105.90/0.00, due 7s
         not_executed A               -> Queued#1 894.10/105.90/0.00, due 0s
         not_executed A               -> same, due 0s
         start A                      -> Sending#2 894.10/105.90/0.00, due 7s
         not_executed A 1             -> same, due 7s
         not_executed A               -> Queued#2 894.10/105.90/0.00, due 0s
         start A                      -> Sending#3 894.10/105.90/0.00, due 7s
         not_executed A               -> Failed#3 1000.00/0.00/0.00 release [Failure 1]
         not_executed A               -> same
         show A                       -> Failed rrn= paid_by=- reference=T8FL reason=Not executed by the bank",
    );
}

#[test]
fn the_banks_reference_may_come_late_and_stays() {
    check(
        "
         fund 1000
         create A 100 imps
         start A
         paid A                       -> Paid#1 894.10/0.00/5.90 settle [Success 1]
         show A                       -> Paid rrn= paid_by=1 reference=9K8Y reason=
         paid A                       -> same
         paid A rrn=R1                -> Paid#1 894.10/0.00/5.90
         show A                       -> Paid rrn=R1 paid_by=1 reference=9K8Y reason=
         paid A rrn=R2                -> same
         paid A                       -> same
         show A                       -> Paid rrn=R1 paid_by=1 reference=9K8Y reason=
         reversed A why=Closed        -> Reversed#1 1000.00/0.00/0.00 restore [Reversal 2]
         reversed A why=Again rrn=R3  -> same
         show A                       -> Reversed rrn=R1 paid_by=1 reference=9K8Y reason=Closed",
    );
}

#[test]
fn an_outage_makes_pauses_of_ten_minutes_at_most() {
    check(
        "
         fund 1000
         create A 100 imps
         wait 160s
         later A                      -> same, due 10s
         wait 7040s
         later A                      -> same, due 450s
         wait 3h
         later A                      -> same, due 600s",
    );
}
