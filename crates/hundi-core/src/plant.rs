//! Faults planted on purpose, so that it is known that the tests would see them.
//!
//! Each is one line at the place where somebody could have made the mistake: `if planted(Plant::ReplyBeforeCommit)`. Only
//! tests and the simulator ask for the feature `plants` (a dev-dependency of the crate `hundi`). In every other build
//! [`planted`] is `false` when it is compiled, and nothing of a fault is left.
//!
//! A line of the list is `Plant "name" "what is wrong with it" by "filter" row 7;`. `by` says which tests see it, in the
//! language of `cargo nextest run -E`; without it the simulator does. `row` is the row of the scorecard
//! (docs/reliability.md) that must not be met while the fault goes unseen. `cargo run --example plants` plants them all.

macro_rules! plants {
    ($($plant:ident $name:literal $what:literal $(by $filter:literal)? $(row $row:literal)?;)*) => {
        /// A fault that can be planted. At most one is, in a process.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Plant {
            $(#[doc = $what] $plant,)*
        }

        impl Plant {
            /// All of them.
            pub const ALL: &[Plant] = &[$(Plant::$plant,)*];

            /// What it is called on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Plant::$plant => $name,)* }
            }

            /// What is wrong with it.
            pub fn what(self) -> &'static str {
                match self { $(Plant::$plant => $what,)* }
            }

            /// The tests that see it; `None` for the simulator.
            pub fn seen_by(self) -> Option<&'static str> {
                let filter: &[&str] = match self { $(Plant::$plant => &[$($filter)?],)* };
                filter.first().copied()
            }

            /// The row of the scorecard that it belongs to.
            pub fn row(self) -> Option<u32> {
                let row: &[u32] = match self { $(Plant::$plant => &[$($row)?],)* };
                row.first().copied()
            }
        }
    };
}

plants! {
    ReplyBeforeCommit "reply-before-commit" "The merchant hears of his payout before it is committed."
        by "test(=sqlite::process::kill::kill_serve)" row 1;
    NotFoundJudgedLate "not-found-judged-late" "\"Not found\" is judged by when it is recorded and not by when the bank was asked."
        by "test(=scripts::not_found) | test(an_answer_that_was_slept_over_is_no_news)" row 8;
    CallEndsTheQuestion "call-ends-the-question" "What a bank calls out ends the wish to ask it, though an answer may be under way."
        by "test(=scripts::paid_and_taken_back)" row 12;
    StartsOnHold "starts-on-hold" "What is queued is sent though the installation is on hold."
        by "test(=calls::on_hold_nothing_is_started) | test(=sqlite::hold::a_backup_is_restored)" row 21;
    ElsewhereAfterSilence "elsewhere-after-silence" "A bank that does not answer has refused, and another one may try." row 7;
    AnyRail "any-rail" "A payout is sent over another rail though its merchant has not allowed it."
        by "test(=scripts::a_rail_that_the_account_does_not_take)" row 6;
    RailAfterSilence "rail-after-silence" "After silence another rail is tried."
        by "test(=routing::never_another_rail_after_silence)" row 7;
    SecondDebitKnown "second-debit-known" "A second debit under one reference is taken for the first." row 22;
    CancelsOnHold "cancels-on-hold" "What is queued can be cancelled while the installation is on hold."
        by "test(=calls::on_hold_nothing_is_started)" row 21;
    OwnApproval "own-approval" "One person approves what he has proposed himself."
        by "test(=two::nobody_approves_his_own_proposal) | test(/^sqlite::proposals::two_people/)" row 35;
    ApprovedTwice "approved-twice" "A proposal can be approved again."
        by "test(=two::a_proposal_is_approved_once) | test(/^sqlite::proposals::many_approve/)" row 35;
    DeclaredOverPaid "declared-over-paid" "What a bank is on record as having paid can be declared failed."
        by "test(=two::what_a_bank_has_paid_is_not_declared_failed)" row 35;
    WriteOffMovesTheMerchant "write-off-moves-the-merchant" "What the house bears is taken from the merchant."
        by "test(=two::collected_or_written_off)" row 35;
    HalfOfAPassage "half-of-a-passage" "Of money that passes between a merchant and the house one book is not looked at."
        by "test(/^sqlite::proposals::a_crooked_house/)" row 35;
    FloatAmount "float-amount" "An amount with decimals goes through a floating-point number." by "test(=fuzz::replay::amount)" row 14;
    AsI64Cast "as-i64-cast" "An amount that does not fit into 64 bits is cut to them." by "test(=fuzz::replay::amount)" row 14;
    AcceptsExponent "accepts-exponent" "Zeros may be written as an exponent." by "test(=fuzz::replay::amount)" row 14;
    IfscAnyBank "ifsc-any-bank" "An IFSC need not be of a known bank." by "test(=fuzz::replay::ifsc)" row 34;
    MobileTail "mobile-tail" "Whatever stands before the last ten digits of a mobile number is dropped." by "test(=fuzz::replay::upi)" row 34;
    LossyName "lossy-name" "A name is kept as the bank would carry it, not as the merchant wrote it." by "test(=fuzz::replay::name)" row 34;
    KeyWithALifetime "key-with-a-lifetime" "An OrderID is forgotten after a day." by "test(sqlite::model::an_order_is_the_same_order_after_a_month)" row 10;
    UnwrapInParser "unwrap-in-parser" "A bad percent-encoding is believed to be impossible." by "test(=fuzz::replay::fields)" row 34;
    LastFieldWins "last-field-wins" "Of a field that is given twice the last one counts." by "test(=fuzz::replay::fields)" row 34;
    SkipsUnreadable "skips-unreadable" "A forwarded address that cannot be read is skipped." by "test(=fuzz::replay::forwarded_for)" row 30;
    MappedAddress "mapped-address" "An IPv4 address inside of an IPv6 one is not judged." by "test(=fuzz::replay::callback_url)" row 26;
    AnyReference "any-reference" "A bank's reply counts whatever reference it speaks of." by "test(=fuzz::replay::bank_reply)" row 34;
    StaleCall "stale-call" "A signed call of a bank is believed however old it is." by "test(=fuzz::replay::bank_call)" row 12;
    OffByOnePaging "off-by-one-paging" "A page of payouts begins with the last one of the page before." by "test(sqlite::model::any_order_of_calls_is_as_the_model_says_1)" row 24;
    StatementDayShort "statement-day-short" "The last day of a statement is left out." by "test(sqlite::model::any_order_of_calls_is_as_the_model_says_1)" row 24;
    LeftmostForwardedFor "leftmost-forwarded-for" "The caller is whoever he says he is: the left end of X-Forwarded-For."
        by "test(/^sqlite::forwarded/)" row 30;
    ResolverOnlyGuard "resolver-only-guard" "A callback URL with an address in place of a name may be registered."
        by "test(/^sqlite::guard::no_address_trick/)" row 26;
    GuardOnlyAtRegistration "guard-only-at-registration" "What a name means when the call is made is not looked at."
        by "test(/^sqlite::guard::a_thousand_rebinds/)" row 26;
    RedirectFollowed "redirect-followed" "Who answers with a redirect is obeyed."
        by "test(/^sqlite::guard::no_redirect/)" row 26;
    DefaultTraceLayer "default-trace-layer" "Requests are logged as they come, at the level debug."
        by "test(/^sqlite::canaries::canaries_/)" row 31;
    TokenInError "token-in-error" "A refusal repeats the token."
        by "test(/^sqlite::canaries::canaries_/)" row 31;
    UnscopedQuery "unscoped-query" "The status by our OrderID does not ask whose it is."
        by "test(/^sqlite::tenants/)" row 29;
    SignatureWithoutTimestamp "signature-without-timestamp" "A signature of a callback is good for ever."
        by "test(/^sqlite::signatures/)" row 27;
    UnsignedField "unsigned-field" "The query of a callback is not signed."
        by "test(/^sqlite::signatures/)" row 27;
    RawCsvCell "raw-csv-cell" "A cell of a CSV file may begin as a formula does."
        by "test(/^sqlite::injection::no_cell/)" row 33;
    UnsealedAccount "unsealed-account" "The account number is in clear beside its sealed self."
        by "test(/^sqlite::canaries::canaries_/)" row 31;
    SqlFromText "sql-from-text" "A lookup is written into its statement."
        by "test(/^sqlite::injection::what_is_kept/)" row 33;
    RotationForgetsOld "rotation-forgets-old" "From a new callback secret on, nothing is signed with the old one."
        by "test(/^sqlite::signatures/)" row 27;
    PostgresAsyncCommit "postgres-async-commit" "The PostgreSQL server says that it has committed before its log is written."
        by "test(postgres::process_server::kill_the_server)" row 3;
    AsyncPairAccepted "async-pair-accepted" "Payouts are accepted while the standby is behind."
        by "test(postgres::process_postgres::an_asynchronous_pair_is_refused)" row 4;
    LostCommitCounts "lost-commit-counts" "A COMMIT that nobody answered counts as done."
        by "test(postgres::process_postgres::connections_that_are_cut_around_a_commit)" row 15;
    RefusedCommitCounts "refused-commit-counts" "A COMMIT that the server refuses counts as done."
        by "test(postgres::process_refusing::serialization_failures)" row 15;
    LeaseFromWaking "lease-from-waking" "The time to send is counted from the send, not from the claim."
        by "test(postgres::process_postgres::pauses_longer_than_the_leases)" row 16;
    LeaseAheadBelieved "lease-ahead-is-believed" "A process number that a clock now set back has leased is nobody else's until then."
        by "test(=sqlite::processes::a_clock_is_set_back_after_many_kills)" row 17;
    SleepsThroughTheClock "sleeps-through-the-clock" "Nobody looks at what is due until a clock that was set back has caught up."
        by "test(=tests::nobody_sleeps_until_a_clock_has_caught_up)" row 17;
    ClocksApart "clocks-apart" "Nobody minds that the clock of a machine is another than that of the others."
        by "test(=postgres::process_postgres::a_machine_whose_clock_is_wrong)" row 17;
    LimitNotKept "limit-not-kept" "A token's calls are counted, and served all the same."
        by "test(=sqlite::timing::guesses_are_all_answered_alike_and_a_limit_holds)" row 32;
    HeadOfLineBlock "head-of-line-block" "What is due is worked on up to the first row that cannot be read."
        by "test(sqlite::poison::poison_rows_delay_nobody)" row 19;
    HeaderDeadlineOnly "header-deadline-only" "The deadline of a call is over the headers of its answer, not over the body."
        by "test(sqlite::process::receivers::receivers_that_are_ill_delay_nobody)" row 25;
    EventAfterCommit "event-after-commit" "A merchant's callback becomes due in a transaction after that of its payout."
        by "test(=sqlite::process::kill::kill_serve)" row 28;
    CheckThenCredit "check-then-credit" "A reversal is credited by what the payout was before it was reversed."
        by "test(sqlite::process::reversals::a_reversal_is_credited_once)" row 13;
    FileNamedTooEarly "file-named-too-early" "A file has its name at the bank before it is committed that it may have it."
        by "test(sqlite::exchange::an_upload_is_cut)" row 20;
    FileUploadedAgain "file-uploaded-again" "A file that was released before a crash is written again."
        by "test(sqlite::exchange::an_upload_is_cut)" row 20;
    CutAnswerBelieved "cut-answer-believed" "Of an answer that ends too early what was read is believed."
        by "test(sqlite::exchange::an_answer_is_cut)" row 20;
    AnswerToldTwice "answer-told-twice" "An answer that says two things of one payment is believed in the second."
        by "test(=pain::what_is_said_twice_and_not_alike_is_silence) | test(sqlite::exchange::inbox::an_answer_that_says_two_things)" row 20;
    ShiftedAnswer "shifted-answer" "A row of an answer with more fields than it should have, which have moved, is read."
        by "test(=bankcsv::a_mapped_answer_comes_to_what_the_table_says) | test(=bankcsv::reverse_files_come_to_what_the_table_says)" row 20;
    RowInTwoFiles "row-in-two-files" "What is in a file already is taken into the next one too."
        by "test(sqlite::exchange::)" row 20;
    SendBeforeIntent "send-before-intent" "The bank has the request before the start is committed."
        by "test(=postgres::process::kill::kill_serve)" row 2;
    TimeoutAsFailure "timeout-as-failure" "A request without an answer is taken for refused." row 7;
    NotFoundAsVoid "not-found-as-void" "What an enquiry does not find is taken for never executed, at any time." row 8;
    ResendOnRestart "resend-on-restart" "What was sending is sent again, under a new reference, and not asked about." row 6;
    SelectThenInsert "select-then-insert" "That an OrderID is known is not looked up where it is decided."
        by "test(sqlite::process::the_same_order_races)" row 9;
    LeaseByTimeAlone "lease-by-time-alone" "A process that was paused sends what its lease has long run out for." row 16;
    AmountTolerance "amount-tolerance" "A bank that paid a rupee more or less than ordered is believed to have paid." row 22;
    ProbeByAcceptance "probe-by-acceptance" "A connector that accepts what it then refuses is taken for well."
        by "test(=health::tests::silence_and_refusals_that_let_others_try_are_errors) | test(=sqlite::routing::what_is_accepted_and_refused_later_is_no_success)" row 6;
    PaceIsIllness "pace-is-illness" "A connector that we may not call more often is taken for ill."
        by "test(=sqlite::upstreams::our_own_pace_is_no_illness)" row 6;
    LastWriterWins "last-writer-wins" "A signed callback gives money back without a question." row 12;
    ForgedCallbackTrusted "forged-callback-trusted" "A callback's signature is not checked." row 12;
    FeeNotReserved "fee-not-reserved" "The fee is not set aside with the amount, so a wallet can be overspent."
        by "test(sqlite::process::a_wallet_for_a_thousand)" row 11;
    FeeKeptOnReversal "fee-kept-on-reversal" "A reversal gives the amount back, but not the fee." row 13;
    ForgottenPayout "forgotten-payout" "After a silence nothing is due any more." row 6;
    UnchainedRow "unchained-row" "A release does not move the journal's chain." row 6;
    CallbackGivenUp "callback-given-up" "A callback is given up after its first failure." row 28;
    CallbackNotWritten "callback-not-written" "The news of a failure is not written with the failure." row 28;
    CancelAtTheBank "cancel-at-the-bank" "What is at the bank can be cancelled." row 6;
    FailsByAge "fails-by-age" "What its bank has not decided after a day is taken for failed." row 7;
    DeemedAsPaid "deemed-as-paid" "A deemed success is taken for a success." row 7;
    ErrorBodyTrusted "error-body-trusted" "The body of a reply with an error's status is believed." row 7;
    SynchronousNormal "synchronous-normal" "The embedded database is not synced at each commit."
        by "test(sqlite::lost_syncs::what_was_acknowledged)" row 5;
    RollbackErrorPanics "rollback-error-panics" "After a full disk the writer insists on a rollback that SQLite has done already."
        by "test(sqlite::failing_disk::a_full_disk)" row 18;
    NoFoldAtStart "no-fold-at-start" "A start goes on with a log that may never have been written."
        by "test(sqlite::failing_disk::after_syncs_that_failed)" row 5;
    VerifyTrustsIndexes "verify-trusts-indexes" "Verification does not look at indexes and pages."
        by "test(sqlite::rotten_disk::damage_is_refused)" row 5;
    RottenBalance "rotten-balance" "Balances that do not sum to zero are built on."
        by "test(sqlite::rotten_disk::a_balance_that)" row 5;
    ForgottenPaidAgain "forgotten-paid-again" "What a bank has paid in a time that a restored store has forgotten is paid again."
        by "test(=calls::what_was_forgotten_is_recognised) | test(=sqlite::restore::what_was_forgotten_is_not_paid_again)" row 21;
    EndedNotRecognised "ended-not-recognised" "What is held, or has failed, is not looked for among the payments that were forgotten."
        by "test(=calls::what_nobody_would_start_is_recognised) | test(=sqlite::restore::what_was_declared_failed_is_found_at_the_release)" row 21;
    UnsignedHold "unsigned-hold" "Anybody can put the installation on hold by an unsigned call."
        by "test(=calls::only_who_proves_it_puts_us_on_hold) | test(=sqlite::restore::nobody_else_puts_us_on_hold)" row 21;
    ReleaseWithGaps "release-with-gaps" "A hold is released though a bank has spoken of payments that no statement has."
        by "test(=sqlite::restore::a_release_waits_for_the_statements)" row 21;
    ReportForgetsReversals "report-forgets-reversals" "The day's report leaves out what banks have taken back."
        by "test(=sqlite::report::a_day_is_reported_as_it_was)" row 24;
    NameIsAReference "name-is-a-reference" "Of two payouts that the words of a debit name the first one is paid."
        by "test(=sqlite::reconcile::words_that_name_two_payouts_pay_neither)" row 22;
    CreditToldTwice "credit-told-twice" "A credit that two files tell of under two names funds twice."
        by "test(=credits::a_credit_is_booked_once) | test(=sqlite::credits::one_credit_told_in_two_ways_funds_once)" row 22;
    NarrationBelieved "narration-believed" "What a payer has written is believed to be what the bank calls his credit."
        by "test(=credits::a_name_in_words_is_no_proof) | test(=sqlite::credits::nobody_makes_anothers_credit_disappear)" row 22;
    WithdrawnTwice "withdrawn-twice" "One debit of a bank is booked as two withdrawals."
        by "test(=two::a_debit_is_withdrawn_once)" row 35;
    RottenAmount "rotten-amount" "A payout is sent whatever amount its row says."
        by "test(sqlite::rotten_disk::no_amount_is_sent)" row 5;
}

/// Whether this fault is planted.
#[cfg(not(feature = "plants"))]
#[inline(always)]
pub const fn planted(_: Plant) -> bool {
    false
}

#[cfg(feature = "plants")]
mod chosen {
    use super::Plant;
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Option<Plant>> = OnceLock::new();

    /// Plants a fault, or none, whatever the environment says; before the first use of [`planted`].
    pub fn choose(plant: Option<Plant>) -> Result<(), Option<Plant>> {
        CHOSEN.set(plant)
    }

    /// Whether this fault is planted: the one that was chosen, or else the one that `HUNDI_PLANT` names.
    ///
    /// # Panics
    ///
    /// If `HUNDI_PLANT` names none, because a test that plants nothing would pass.
    pub fn planted(plant: Plant) -> bool {
        let chosen = CHOSEN.get_or_init(|| {
            let name = std::env::var("HUNDI_PLANT").ok().filter(|name| !name.is_empty())?;
            let found = Plant::ALL.iter().copied().find(|plant| plant.name() == name);
            Some(found.unwrap_or_else(|| panic!("HUNDI_PLANT={name}: no such fault")))
        });
        *chosen == Some(plant)
    }
}
#[cfg(feature = "plants")]
pub use chosen::{choose, planted};
