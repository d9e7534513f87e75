//! Whether a connector is well, judged by what became of the payments that it was given. Pure: time comes in as a value.
//!
//! ```text
//! Well --errors over a window--> Ill --pause--> Probing --enough good words--> Well
//!                                 ^               |
//!                                 +---bad word----+
//! ```
//!
//! It never says anything about a payout: it only keeps new ones away from a connector that fails.

use crate::command::Outcome;
use crate::plant::{Plant, planted};
use crate::rails::Rail;

/// When a connector is ill, and how it is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthRules {
    /// The words of so many microseconds count.
    pub window_us: i64,
    /// Fewer words than this prove nothing.
    pub words_least: u32,
    /// Ill when so many of a hundred words are bad; 0 for never.
    pub errors_percent: u32,
    /// No new payout for so many microseconds.
    pub pause_us: i64,
    /// Then so many payouts, which must all end well.
    pub probes: u32,
}

/// How a connector is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Health {
    /// It is given payouts.
    Well = 0,
    /// It is given a few, to see whether it is well again.
    Probing = 1,
    /// It is given none.
    Ill = 2,
}

impl Health {
    /// Its name, as logs and lists print it.
    pub const fn name(self) -> &'static str {
        match self {
            Health::Well => "well",
            Health::Probing => "probing",
            Health::Ill => "ill",
        }
    }
}

/// What a word says about the connector: whether it is good, or nothing. The answer to a payment has come over a rail, the
/// answer to a question over none: a bank that does not know more yet is not ill.
///
/// "Accepted" over a rail that decides at once is no word yet: a bank that accepts everything and then refuses it would be
/// well by halves, and every probe of it would succeed. Over the others what comes after it comes hours later.
pub fn speaks_well(outcome: Outcome, paid_over: Option<Rail>) -> Option<bool> {
    let Some(rail) = paid_over else {
        return match outcome {
            Outcome::Paid => Some(true),
            Outcome::Refused { elsewhere: true } => Some(false),
            _ => None,
        };
    };
    match outcome {
        Outcome::Paid => Some(true),
        Outcome::Accepted => (!rail.rules().instant || planted(Plant::ProbeByAcceptance)).then_some(true),
        // The order is at fault and the connector works.
        Outcome::Refused { elsewhere: false } | Outcome::RailRefused => Some(true),
        Outcome::Refused { elsewhere: true } | Outcome::Silent | Outcome::NotWritten => Some(false),
        Outcome::NotFound | Outcome::NotExecuted | Outcome::Reversed => None,
    }
}

/// The window is counted in so many slices.
const SLICES: usize = 6;

/// The words of a slice of the window.
#[derive(Clone, Copy, Default, Debug)]
struct Slice {
    /// Which slice of time.
    number: i64,
    good: u32,
    bad: u32,
}

/// What is known of one connector's health.
#[derive(Clone, Debug)]
pub struct Breaker {
    health: Health,
    /// When it became so; of a probing one, when its probes were last given out anew.
    since_us: i64,
    slices: [Slice; SLICES],
    probes_left: u32,
    probes_good: u32,
}

impl Default for Breaker {
    /// Well, and nothing heard yet.
    fn default() -> Breaker {
        Breaker {
            health: Health::Well,
            since_us: 0,
            slices: [Slice::default(); SLICES],
            probes_left: 0,
            probes_good: 0,
        }
    }
}

impl Breaker {
    /// How the connector is now.
    pub fn health(&mut self, rules: &HealthRules, now_us: i64) -> Health {
        let over = now_us.saturating_sub(self.since_us) >= rules.pause_us;
        // Probes of which nothing was heard are given out again: no word must not mean no payouts for ever.
        if self.health != Health::Well && over {
            (self.health, self.since_us) = (Health::Probing, now_us);
            (self.probes_left, self.probes_good) = (rules.probes, 0);
        }
        self.health
    }

    /// Whether it may be given one more payout now.
    pub fn may_take(&mut self, rules: &HealthRules, now_us: i64) -> bool {
        match self.health(rules, now_us) {
            Health::Well => true,
            Health::Probing => self.probes_left > 0,
            Health::Ill => false,
        }
    }

    /// It is given a payout.
    pub fn takes(&mut self) {
        if self.health == Health::Probing {
            self.probes_left = self.probes_left.saturating_sub(1);
        }
    }

    /// A word that speaks well of it or not. Gives back how it is now, if that has changed.
    pub fn heard(&mut self, rules: &HealthRules, good: bool, now_us: i64) -> Option<Health> {
        let was = self.health;
        match self.health(rules, now_us) {
            Health::Well => {
                let (good, bad) = self.count(rules, good, now_us);
                let words = good.saturating_add(bad);
                let many = u64::from(bad) * 100 >= u64::from(words) * u64::from(rules.errors_percent);
                if bad > 0 && words >= rules.words_least && many && rules.errors_percent > 0 {
                    self.fall_ill(now_us);
                }
            }
            Health::Probing if good => {
                self.probes_good += 1;
                if self.probes_good >= rules.probes {
                    *self = Breaker { since_us: now_us, ..Breaker::default() };
                }
            }
            Health::Probing => self.fall_ill(now_us),
            // What was on its way when it fell ill says nothing new.
            Health::Ill => {}
        }
        (self.health != was).then_some(self.health)
    }

    fn fall_ill(&mut self, now_us: i64) {
        *self = Breaker { health: Health::Ill, since_us: now_us, ..Breaker::default() };
    }

    /// Counts a word; the good and the bad ones of the window.
    fn count(&mut self, rules: &HealthRules, good: bool, now_us: i64) -> (u32, u32) {
        let number = now_us / (rules.window_us / SLICES as i64).max(1);
        if let Some(slice) = self.slices.get_mut(number.rem_euclid(SLICES as i64) as usize) {
            if slice.number != number {
                *slice = Slice { number, ..Slice::default() };
            }
            slice.good = slice.good.saturating_add(u32::from(good));
            slice.bad = slice.bad.saturating_add(u32::from(!good));
        }
        let fresh = self.slices.iter().filter(|slice| number - slice.number < SLICES as i64);
        fresh.fold((0, 0), |(good, bad), slice| (good.saturating_add(slice.good), bad.saturating_add(slice.bad)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::SECOND;

    const RULES: HealthRules =
        HealthRules { window_us: 60 * SECOND, words_least: 4, errors_percent: 50, pause_us: 30 * SECOND, probes: 2 };

    /// Each line: the second, what happens (`+` a good word, `-` a bad one, `t` a payout is given, `.` nothing), how it is
    /// then, and whether it may take one more.
    fn check(lines: &[(i64, char, Health, bool)]) {
        let mut breaker = Breaker::default();
        for (at, (second, what, health, may)) in lines.iter().enumerate() {
            let now = second * SECOND;
            match what {
                '+' => drop(breaker.heard(&RULES, true, now)),
                '-' => drop(breaker.heard(&RULES, false, now)),
                't' => breaker.takes(),
                _ => {}
            }
            assert_eq!((breaker.health(&RULES, now), breaker.may_take(&RULES, now)), (*health, *may), "line {at}");
        }
    }

    #[test]
    fn errors_make_it_ill_and_good_words_well_again() {
        use Health::{Ill, Probing, Well};
        check(&[
            (1, '-', Well, true),
            (2, '-', Well, true),
            (3, '-', Well, true),
            // The fourth word makes a judgement.
            (4, '-', Ill, false),
            (5, '+', Ill, false),
            (33, '.', Ill, false),
            (34, '.', Probing, true),
            (34, 't', Probing, true),
            (34, 't', Probing, false),
            (35, '+', Probing, false),
            (36, '+', Well, true),
            // What it did before is forgotten.
            (37, '-', Well, true),
        ]);
        check(&[
            (1, '-', Well, true),
            (1, '-', Well, true),
            (1, '-', Well, true),
            (1, '-', Ill, false),
            (31, 't', Probing, true),
            // A bad word, and the pause begins anew.
            (32, '-', Ill, false),
            (61, '.', Ill, false),
            (62, 't', Probing, true),
            (62, 't', Probing, true),
            (62, 't', Probing, false),
            // Nothing was ever heard of the probes: there are others.
            (92, '.', Probing, true),
        ]);
        // Half of the words, and not a word less; old ones do not count.
        check(&[
            (1, '+', Well, true),
            (2, '+', Well, true),
            (3, '+', Well, true),
            (4, '-', Well, true),
            (5, '-', Well, true),
            (6, '-', Ill, false),
        ]);
        check(&[
            (1, '-', Well, true),
            (2, '-', Well, true),
            (3, '-', Well, true),
            (75, '-', Well, true),
            (76, '+', Well, true),
            (77, '+', Well, true),
            (78, '+', Well, true),
        ]);
    }

    #[test]
    fn silence_and_refusals_that_let_others_try_are_errors() {
        let said = |outcome, rail| (speaks_well(outcome, Some(rail)), speaks_well(outcome, None));
        for (outcome, of_a_reply, of_an_answer) in [
            (Outcome::Paid, Some(true), Some(true)),
            (Outcome::Refused { elsewhere: true }, Some(false), Some(false)),
            (Outcome::Refused { elsewhere: false }, Some(true), None),
            (Outcome::RailRefused, Some(true), None),
            (Outcome::Silent, Some(false), None),
            (Outcome::NotWritten, Some(false), None),
            (Outcome::NotFound, None, None),
            (Outcome::NotExecuted, None, None),
            (Outcome::Reversed, None, None),
        ] {
            for rail in [Rail::Neft, Rail::Rtgs, Rail::Imps, Rail::Upi] {
                assert_eq!(said(outcome, rail), (of_a_reply, of_an_answer), "{outcome:?} {rail:?}");
            }
        }
        // What comes after it says more, where it comes soon.
        assert_eq!([Rail::Neft, Rail::Rtgs].map(|rail| said(Outcome::Accepted, rail)), [(Some(true), None); 2]);
        assert_eq!([Rail::Imps, Rail::Upi].map(|rail| said(Outcome::Accepted, rail)), [(None, None); 2]);
    }

    #[test]
    fn with_no_percentage_it_is_never_ill() {
        let mut breaker = Breaker::default();
        let rules = HealthRules { errors_percent: 0, ..RULES };
        assert!((0..1_000).all(|at| breaker.heard(&rules, false, at).is_none()));
    }
}
