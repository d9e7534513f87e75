//! What can go wrong in a run, and how often: every seed draws the rate of every fault, and half of them are never.
//!
//! Each fault draws from a source of its own, named by the seed and the fault. So a fault that is added to the list strikes
//! where it strikes, and changes nothing about where the others do.

use super::bank::NAMES;
use super::dice::Dice;

macro_rules! faults {
    ($($fault:ident $name:literal $rate:literal;)*) => {
        /// A fault with a name, which counts how often it struck.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Fault {
            $($fault,)*
        }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$fault,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Fault::$fault => $name,)* }
            }

            /// The usual rate, of a thousand chances.
            const fn usual(self) -> u32 {
                match self { $(Fault::$fault => $rate,)* }
            }
        }
    };
}

// A fault, its name, and how often it strikes of a thousand chances where a seed draws it.
faults! {
    // The process and its machine.
    Crash "crash" 20;
    CrashAtRest "crash at rest" 60;
    Stop "orderly stop" 40;
    SecondProcess "second process" 300;
    Zombie "zombie process" 100;
    PowerLoss "power lost" 40;
    KilledAtSync "process killed at a write or a sync" 60;
    Busy "database busy" 60;
    WriteFails "write fails" 30;
    SyncFails "sync fails" 30;
    CommitUnheard "commit made, its answer lost" 60;
    DiskFull "disk full" 30;
    HourForward "clock an hour forward" 20;
    HourBack "clock an hour back" 20;
    YearForward "clock a year forward" 8;
    YearBack "clock a year back" 8;
    // The way to the bank.
    NotWritten "no connection to the bank" 40;
    SlowConnect "slow connection to the bank" 40;
    RequestLost "request lost" 50;
    RequestLate "request late" 40;
    ReplyLost "reply lost after paying" 60;
    ReplyLate "reply late" 80;
    ErrorAfterPaying "error body after paying" 45;
    ErrorUnpaid "error body without paying" 45;
    EnquiryFails "enquiry answered with an error" 30;
    Garbled "reply garbled" 30;
    // What the bank decides.
    Accepted "accepted, paid later" 150;
    Deemed "deemed" 40;
    LateRefusal "accepted, refused later" 50;
    Undecided "accepted, undecided for days" 15;
    NeverDecided "accepted, never decided" 10;
    Refused "refused" 60;
    RefusedHere "refused, another bank may try" 30;
    RailRefused "refused, another rail may do" 60;
    Hidden "not found though it is there" 300;
    NotFoundThenPaid "not found, then paid" 0;
    Expired "request refused as too late" 0;
    Reversed "reversed" 60;
    WrongAmount "another amount paid" 15;
    BankIll "bank refuses everything for a while" 10;
    // What the bank calls out.
    CallLost "bank's callback lost" 100;
    CallTwice "bank's callback twice" 150;
    CallLate "bank's callback late" 100;
    CallUnsolicited "bank's callback before its reply" 100;
    CallContradicts "bank's callback contradicts" 60;
    CallForged "forged callback" 60;
    CallReplayed "replayed callback" 40;
    CallReordered "bank's callback after a younger one" 0;
    CallUnknown "callback about a stranger" 30;
    // The bank's statements.
    StatementLate "statement late" 300;
    StatementCut "statement cut" 200;
    StatementTwice "statement twice" 300;
    StatementDoubles "statement with a debit twice" 150;
    StatementContradicts "statement debits what was refused" 300;
    StatementUnknown "statement with a stranger's debit" 150;
    // The bank's credits.
    CreditArrives "credit of a merchant" 400;
    CreditUnknown "credit that nobody knows" 150;
    CreditReworded "statement words credits otherwise" 300;
    CreditByHand "credit booked by hand too" 200;
    // The merchants' receivers.
    ReceiverStalls "receiver stalls" 100;
    ReceiverFails "receiver fails" 150;
    ReceiverLies "receiver takes it and says no" 80;
    ReceiverRedirects "receiver redirects" 40;
    ReceiverDown "receiver down for long" 30;
    // The merchants and the operator.
    Duplicate "same order again" 200;
    DuplicateLater "same order after 30 days" 500;
    OtherDetails "same OrderID, other details" 60;
    Malformed "malformed order" 60;
    Stranger "another merchant's order" 100;
    Poor "order beyond the wallet" 40;
    HungUp "merchant hangs up" 40;
    Cancelled "cancelled" 100;
    Suspended "merchant suspended" 60;
    Limited "limits set" 60;
    FundedTwice "bank credit booked twice" 200;
    TokenRevoked "token revoked" 60;
    Paused "connector paused" 60;
    OnHold "installation on hold" 30;
    Proposed "operator proposes" 250;
    ApprovesHisOwn "operator approves his own" 200;
    ApprovedByMany "approved by several at once" 300;
    Rejected "proposal rejected" 250;
    Declared "what waits is declared by two" 0;
}

/// How often each fault struck.
#[derive(Clone, Debug)]
pub struct Counters(Vec<u64>);

impl Default for Counters {
    fn default() -> Counters {
        Counters(vec![0; Fault::ALL.len()])
    }
}

impl Counters {
    pub fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    pub fn add(&mut self, other: &Counters) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    pub fn never(&self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(|fault| self.of(*fault) == 0)
    }
}

/// The options of one run.
#[derive(Debug)]
pub struct Swarm {
    /// Of each fault: its rate, and the source that says when.
    faults: Vec<(u32, Dice)>,
    pub merchants: usize,
    pub banks: usize,
    /// How long processes run before the others have their turn.
    pub turn_ms: i64,
    /// How often merchants act.
    pub pause_ms: i64,
    pub counters: Counters,
}

/// While a clock may be wrong, what only a right clock could tell does not go wrong ([`super::bank::clocks_differ`]). So that
/// this is in most runs, clocks are right in most of them: of a thousand, in so many.
const CLOCKS_RIGHT: u32 = 700;
pub const CLOCKS: [Fault; 4] = [Fault::HourForward, Fault::HourBack, Fault::YearForward, Fault::YearBack];

impl Swarm {
    pub fn draw(seed: u64, dice: &mut Dice) -> Swarm {
        let clocks_right = Dice::named(seed, "clocks").permille(CLOCKS_RIGHT);
        let fault = |fault: &Fault| {
            let mut own = Dice::named(seed, fault.name());
            let factor = *own.pick(&[0, 0, 0, 1, 1, 3]);
            let never = clocks_right && CLOCKS.contains(fault);
            (if never { 0 } else { (fault.usual() * factor).min(900) }, own)
        };
        Swarm {
            faults: Fault::ALL.iter().map(fault).collect(),
            merchants: dice.below(8) + 1,
            banks: dice.below(NAMES.len()) + 1,
            turn_ms: *dice.pick(&[3, 10, 25, 60]),
            pause_ms: *dice.pick(&[5, 40, 150, 600]),
            counters: Counters::default(),
        }
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.faults.iter_mut().for_each(|(rate, _)| *rate = 0);
    }

    /// Whether a fault strikes now. Whoever asks makes it so.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.would(fault);
        if strikes {
            self.counters.count(fault);
        }
        strikes
    }

    /// Whether a fault strikes, without counting it: whoever asks counts it once it has.
    pub fn would(&mut self, fault: Fault) -> bool {
        let (rate, own) = &mut self.faults[fault as usize];
        *rate > 0 && own.permille(*rate)
    }

    /// Whether this run knows the fault at all.
    pub fn knows(&self, fault: Fault) -> bool {
        self.faults[fault as usize].0 > 0
    }
}
