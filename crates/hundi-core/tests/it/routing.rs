//! Routing: tables of rules and what they choose, laws that hold for all rules, and the law above all of them, played
//! through the whole core: another connector only after a refusal that allows it.

use super::common::{NOON, connector, merchant, order, references, rules};
use hundi_core::command::{
    CallbackWish, Command, ConnectorRules, Decision, Merchant, Outcome, Rules, Snapshot, Source, Way, Word, decide,
};
use hundi_core::ids::{Actor, Connector, MerchantId, PayoutId, Reference};
use hundi_core::money::Amount;
use hundi_core::payout::{Payout, State};
use hundi_core::rails::{RAILS, Rail, RailChoice, RailSet};
use hundi_core::routing::{
    Candidate, Carries, Facts, Routing, Rule, Target, Why, may_start, minute_of_day, next_connector, route,
};
use hundi_core::schedule::{HOUR, MINUTE, SECOND};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

fn candidate(name: &str) -> Candidate {
    let rules =
        ConnectorRules { connector: connector(name), not_found_final_us: None, carries: Carries::ALL, way: Way::Call };
    Candidate { rules, paused: false, ill: false, day_paise: 0, day_most_paise: None, hours: [None; 4] }
}

fn rule(name: &str, targets: &[(&str, u32, u32)]) -> Rule {
    let target = |(name, priority, weight): &(&str, u32, u32)| Target {
        connector: connector(name),
        priority: *priority,
        weight: *weight,
    };
    Rule {
        name: name.into(),
        merchants: None,
        rails: Vec::new(),
        least_paise: 0,
        most_paise: i64::MAX,
        banks: Vec::new(),
        minutes: None,
        targets: targets.iter().map(target).collect(),
    }
}

/// An IMPS payout of 100.00 of merchant 1 to HDFC at 12:30.
fn facts() -> Facts<'static> {
    Facts {
        payout: PayoutId(7),
        attempt: 1,
        merchant: MerchantId(1),
        rail: Rail::Imps,
        rails: RailSet::of(Rail::Imps),
        amount: Amount::from_paise(100_00).expect("an amount"),
        bank: Some("HDFC"),
        minute: 12 * 60 + 30,
        refused_by: &[],
        bound_to: None,
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let to_beta = || rule("r", &[("beta", 1, 1)]);
    let minutes = |from, until| Rule { minutes: Some((from, until)), ..to_beta() };
    let amounts = |least_paise, most_paise| Rule { least_paise, most_paise, ..to_beta() };
    let banks = |banks: &[&str]| Rule { banks: banks.iter().map(|bank| (*bank).into()).collect(), ..to_beta() };
    let merchants =
        |merchants: &[i64]| Rule { merchants: Some(merchants.iter().map(|id| MerchantId(*id)).collect()), ..to_beta() };
    let rails = |rails: &[Rail]| Rule { rails: rails.to_vec(), ..to_beta() };
    for (rule, matches) in [
        (to_beta(), true),
        (merchants(&[1, 2]), true),
        (merchants(&[2]), false),
        // A merchant who does not exist yet is not everybody.
        (merchants(&[]), false),
        (rails(&[Rail::Imps]), true),
        (rails(&[Rail::Upi, Rail::Neft]), false),
        (amounts(100_00, 100_00), true),
        (amounts(100_01, i64::MAX), false),
        (amounts(0, 99_99), false),
        (banks(&["SBIN", "HDFC"]), true),
        (banks(&["SBIN"]), false),
        (minutes(750, 751), true),
        (minutes(700, 750), false),
        (minutes(751, 800), false),
        (minutes(22 * 60, 6 * 60), false),
        (minutes(12 * 60, 6 * 60), true),
        (minutes(22 * 60, 13 * 60), true),
        // From a minute until the same one is the whole day.
        (minutes(100, 100), true),
    ] {
        let said = format!("{rule:?}");
        let routing = Routing { rules: vec![rule, self::rule("last", &[("gamma", 1, 1)])] };
        let choice = route(&routing, &facts(), &NAMES.map(candidate));
        let wanted = if matches { ("r", "beta") } else { ("last", "gamma") };
        assert_eq!((choice.rule, choice.connector), (Some(wanted.0), Some(connector(wanted.1))), "{said}");
    }
    // A payout to a mobile number has no bank.
    let routing = Routing { rules: vec![banks(&["HDFC"])] };
    let choice = route(&routing, &Facts { bank: None, ..facts() }, &NAMES.map(candidate));
    assert_eq!((choice.rule, choice.connector), (None, Some(connector("alpha"))));
}

#[test]
fn what_stands_against_a_connector_is_said() {
    type Changed = fn(&mut [Candidate; 3], &mut Facts<'static>);
    let alpha: &'static [Connector] = vec![connector("alpha")].leak();
    let prefers_beta = || Routing { rules: vec![rule("r", &[("beta", 1, 1), ("alpha", 2, 1)])] };
    let table: [(&str, Changed, Option<&str>, [Why; 3]); 11] = [
        ("nothing", |_, _| (), Some("beta"), [Why::Chosen, Why::Later, Why::Later]),
        ("paused", |c, _| c[1].paused = true, Some("alpha"), [Why::Paused, Why::Chosen, Why::Later]),
        ("ill", |c, _| c[1].ill = true, Some("alpha"), [Why::Ill, Why::Chosen, Why::Later]),
        (
            "rail",
            |c, _| c[1].rules.carries.rails[Rail::Imps as usize] = false,
            Some("alpha"),
            [Why::Rail(Rail::Imps), Why::Chosen, Why::Later],
        ),
        (
            "amount",
            |c, _| {
                c[1].rules.carries.most_paise = 99_99;
                c[0].rules.carries.least_paise = 100_01;
            },
            Some("gamma"),
            [Why::TooMuch(99_99), Why::TooLittle(100_01), Why::Chosen],
        ),
        (
            "the day's limit, with a paisa too little",
            |c, _| (c[1].day_paise, c[1].day_most_paise) = (1, Some(100_00)),
            Some("alpha"),
            [Why::DayFull(100_00), Why::Chosen, Why::Later],
        ),
        (
            "the day's limit, exactly",
            |c, _| (c[1].day_paise, c[1].day_most_paise) = (1, Some(100_01)),
            Some("beta"),
            [Why::Chosen, Why::Later, Why::Later],
        ),
        (
            "refused, and those that no rule names come last",
            |c, _| c[1].paused = true,
            Some("alpha"),
            [Why::Paused, Why::Chosen, Why::Later],
        ),
        (
            "begun",
            |_, f| f.bound_to = Some((connector("gamma"), Rail::Imps)),
            Some("gamma"),
            [
                Why::BegunAt(Connector::parse("gamma").unwrap()),
                Why::BegunAt(Connector::parse("gamma").unwrap()),
                Why::Chosen,
            ],
        ),
        (
            "begun, and it waits for that one",
            |c, f| {
                f.bound_to = Some((connector("gamma"), Rail::Imps));
                c[2].paused = true;
            },
            None,
            [
                Why::BegunAt(Connector::parse("gamma").unwrap()),
                Why::BegunAt(Connector::parse("gamma").unwrap()),
                Why::Paused,
            ],
        ),
        (
            "all of them",
            |c, _| c.iter_mut().for_each(|candidate| candidate.ill = true),
            None,
            [Why::Ill, Why::Ill, Why::Ill],
        ),
    ];
    for (said, change, chosen, why) in table {
        let (mut candidates, mut facts) = (NAMES.map(candidate), facts());
        change(&mut candidates, &mut facts);
        let routing = prefers_beta();
        let choice = route(&routing, &facts, &candidates);
        assert_eq!(choice.connector, chosen.map(connector), "{said}");
        let names = ["beta", "alpha", "gamma"].map(connector);
        let why: Vec<_> = names.into_iter().zip(why).map(|(name, why)| (name, Rail::Imps, why)).collect();
        assert_eq!(choice.considered, why, "{said}");
    }
    let facts = Facts { refused_by: alpha, ..facts() };
    let routing = Routing::default();
    let choice = route(&routing, &facts, &NAMES.map(candidate));
    assert_eq!(choice.considered[0], (connector("alpha"), Rail::Imps, Why::Refused));
    assert_eq!(choice.connector, Some(connector("beta")));
}

#[test]
fn weights_are_shares() {
    let routing = Routing { rules: vec![rule("r", &[("alpha", 1, 70), ("beta", 1, 30)])] };
    let count = |candidates: &[Candidate], attempt| {
        let chosen = (0..10_000).map(|id| {
            let facts = Facts { payout: PayoutId(1_000_000 + id), attempt, ..facts() };
            route(&routing, &facts, candidates).connector.unwrap()
        });
        NAMES.map(|name| chosen.clone().filter(|chosen| chosen.as_str() == name).count())
    };
    for attempt in [1, 2] {
        let [alpha, beta, gamma] = count(&NAMES.map(candidate), attempt);
        assert!((6_800..7_200).contains(&alpha) && (2_800..3_200).contains(&beta), "{alpha} {beta}");
        assert_eq!(gamma, 0);
    }
    let mut one_is_paused = NAMES.map(candidate);
    one_is_paused[0].paused = true;
    assert_eq!(count(&one_is_paused, 1), [0, 10_000, 0]);
}

#[test]
fn the_minute_is_that_of_india() {
    for (later, minute) in
        [(0, 12 * 60), (MINUTE, 12 * 60 + 1), (12 * HOUR - 1, 1_439), (12 * HOUR, 0), (-12 * HOUR, 0)]
    {
        assert_eq!(minute_of_day(NOON.after(later)), minute);
    }
}

prop_compose! {
    fn a_candidate(name: &'static str)(
        rails in prop::array::uniform4(any::<bool>()),
        least_paise in select(vec![0, 0, 100_00, 100_01]),
        most_paise in select(vec![i64::MAX, i64::MAX, 100_00, 99_99]),
        paused in any::<bool>(),
        ill in any::<bool>(),
        day_paise in select(vec![0, 0, 500_00, i64::MAX]),
        day_most_paise in select(vec![None, None, Some(600_00), Some(599_99)]),
        hours in select(vec![[None; 4], [None, Some((750, 751)), Some((751, 750)), None]]),
    ) -> Candidate {
        let carries = Carries { rails, least_paise, most_paise };
        let rules = ConnectorRules { connector: connector(name), not_found_final_us: None, carries, way: Way::Call };
        Candidate { rules, paused, ill, day_paise, day_most_paise, hours }
    }
}

prop_compose! {
    fn a_rule()(
        targets in prop::collection::vec((select(NAMES.to_vec()), 1..4u32, 1..10u32), 1..4),
        rails in subsequence(RAILS.map(|rules| rules.rail).to_vec(), 0..4),
        merchants in select(vec![None, Some(vec![MerchantId(1)]), Some(Vec::new())]),
    ) -> Rule {
        Rule { rails, merchants, ..rule("r", &targets) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the rules say: never to who has refused, cannot carry it, is paused, ill or full; nowhere else than where
    /// it was begun; the same again; and to somebody, if there is anybody.
    #[test]
    fn no_rule_gets_round_the_law(
        rules in prop::collection::vec(a_rule(), 0..4),
        candidates in (a_candidate("alpha"), a_candidate("beta"), a_candidate("gamma")),
        refused in subsequence(NAMES.to_vec(), 0..=3),
        bound in select(vec![None, None, None, Some("alpha"), Some("beta"), Some("elsewhere")]),
        rail in select(RAILS.map(|rules| rules.rail).to_vec()),
        bound_over in select(RAILS.map(|rules| rules.rail).to_vec()),
        choice in select(RailChoice::ALL.to_vec()),
        lakh in select(vec![false, false, true]),
        id in any::<i64>(),
        attempt in 1..4u32,
    ) {
        let routing = Routing { rules };
        let refused_by: Vec<Connector> = refused.into_iter().map(connector).collect();
        let candidates = [candidates.0, candidates.1, candidates.2];
        let bound_to = bound.map(|name| (connector(name), bound_over));
        let rails = choice.rails(rail);
        let amount = Amount::from_paise(if lakh { 2_00_000_00 } else { 100_00 }).expect("an amount");
        let facts = Facts { payout: PayoutId(id), attempt, rail, rails, amount, refused_by: &refused_by, bound_to, ..facts() };
        let choice = route(&routing, &facts, &candidates);
        prop_assert_eq!(&choice, &route(&routing, &facts, &candidates));
        let paise = facts.amount.paise();
        let may = |c: &&Candidate, rail: Rail| {
            let carries = c.rules.carries;
            let free = c.day_most_paise.is_none_or(|most| c.day_paise.saturating_add(paise) <= most);
            !refused_by.contains(&c.rules.connector)
                && carries.rails[rail as usize]
                && carries.least_paise <= paise
                && paise <= carries.most_paise
                && c.hours[rail as usize].is_none_or(|hours| hours == (750, 751))
                && !c.paused && !c.ill && free
                && bound_to.is_none_or(|bound| bound == (c.rules.connector, rail))
        };
        let anybody = |rail: Rail| candidates.iter().any(|c| may(&c, rail));
        // The ordered rail, and only if nobody takes it, another one that may and can.
        let substitutes = RAILS.map(|rules| rules.rail).into_iter().filter(|other| {
            *other != rail && rails.contains(*other) && *other != Rail::Upi && other.rules().carries(amount)
        });
        let possible: Vec<Rail> = if anybody(rail) { vec![rail] } else { substitutes.filter(|rail| anybody(*rail)).collect() };
        prop_assert_eq!(choice.connector.is_some(), !possible.is_empty());
        if let Some(chosen) = choice.connector {
            prop_assert!(possible.contains(&choice.rail), "{:?} is not one of {:?}", choice.rail, possible);
            prop_assert!(candidates.iter().any(|c| c.rules.connector == chosen && may(&c, choice.rail)));
            prop_assert!(choice.considered.contains(&(chosen, choice.rail, Why::Chosen)));
        }
    }
}

/// A payout of 100.00 that is played to its end.
struct Play {
    rules: Rules,
    snapshot: Snapshot,
    now: hundi_core::schedule::Timestamp,
}

const OWNER: MerchantId = MerchantId(1);

impl Play {
    fn new(id: PayoutId, choice: RailChoice) -> Play {
        let mut rules = rules(4, HOUR);
        rules.connectors.push(ConnectorRules {
            connector: connector("third"),
            not_found_final_us: Some(SECOND),
            carries: Carries { rails: [false, false, true, false], ..Carries::ALL },
            way: Way::Call,
        });
        let mut play = Play { rules, snapshot: Snapshot::default(), now: NOON };
        let owner = Merchant { rail_choice: choice, ..merchant(CallbackWish::Final) };
        play.snapshot.merchants.insert(OWNER, owner);
        play.decide(&Command::Fund {
            merchant: OWNER,
            connector: connector("sandbox"),
            reference: "UTR".into(),
            amount: Amount::from_paise(1_000_00).expect("an amount"),
            actor: Actor::System,
        });
        let amount = Amount::from_paise(100_00).expect("an amount");
        play.decide(&Command::CreatePayout(Box::new(order(OWNER, id, "A", Rail::Imps, amount, "ravi"))));
        play
    }

    fn decide(&mut self, command: &Command) -> Decision {
        decide(&mut self.snapshot, &self.rules, command, self.now)
    }

    fn payout(&self) -> &Payout {
        self.snapshot.payouts.values().next().expect("a payout")
    }

    /// Tries to start it there, over this rail.
    fn start(&mut self, (connector, rail): (Connector, Rail)) -> Option<(Connector, Reference)> {
        let payout = self.payout();
        let start = Command::Start {
            merchant: OWNER,
            payout: payout.order.id,
            connector,
            rail,
            references: references(OWNER, &payout.order.order, payout.attempts + 1),
            send_within_us: SECOND,
            enquire_after_us: SECOND,
        };
        match self.decide(&start) {
            Decision::Done(done) => done.attempt.map(|attempt| (attempt.connector, attempt.reference)),
            Decision::Repeat(_) | Decision::Refused(_) => None,
        }
    }

    fn record(&mut self, about: (Connector, Reference), outcome: Outcome, source: Source) {
        let word = Word { outcome, amount_paise: None, rrn: "".into(), why: "".into() };
        self.decide(&Command::Record { connector: about.0, reference: about.1, word, source });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Ten thousand payouts over three connectors, by workers that try every connector in any order whatever routing says:
    /// none is begun elsewhere unless the connector before has refused it and let others try, and none is begun where it
    /// was refused, or more often than `attempts_max`.
    #[test]
    fn never_another_rail_after_silence(
        id in any::<i64>(),
        choice in select(RailChoice::ALL.to_vec()),
        steps in prop::collection::vec((select(vec![0, 1, 2]), select(vec![Rail::Imps, Rail::Imps, Rail::Neft, Rail::Rtgs, Rail::Upi]), select(vec![
            Outcome::Silent, Outcome::Silent, Outcome::NotFound, Outcome::NotFound, Outcome::NotWritten, Outcome::Accepted,
            Outcome::NotExecuted, Outcome::Refused { elsewhere: true }, Outcome::Refused { elsewhere: true }, Outcome::RailRefused,
            Outcome::RailRefused, Outcome::Refused { elsewhere: false }, Outcome::Paid,
        ]), any::<bool>()), 1..24),
    ) {
        let mut play = Play::new(PayoutId(id), choice);
        let (mut open, mut last_word) = (None::<(Connector, Reference)>, Outcome::Silent);
        let mut over = Rail::Imps;
        let mut counted = Vec::new();
        for (bank, rail, outcome, reply) in steps {
            play.now = play.now.after(3 * SECOND);
            if play.payout().state == State::Queued {
                let connector = play.rules.connectors[bank].connector;
                let may = may_start(&play.rules, play.payout(), (connector, rail));
                let refused = play.payout().refused_by.contains(&connector);
                let started = play.start((connector, rail));
                prop_assert_eq!(started.is_some(), may && !play.payout().held, "{:?}", play.payout());
                if let Some(started) = started {
                    prop_assert!(!refused && rail == play.payout().rail);
                    prop_assert!(rail == Rail::Imps || choice == RailChoice::Auto && rail == Rail::Neft);
                    if let Some((before, _)) = open.filter(|(before, _)| *before != started.0 || over != rail) {
                        let lets = matches!(last_word, Outcome::Refused { elsewhere: true } | Outcome::RailRefused);
                        prop_assert!(lets, "{:?} over {:?}, then {:?} over {:?}", before, over, started.0, rail);
                    }
                    (open, over, last_word) = (Some(started), rail, Outcome::Silent);
                    counted.push(started);
                }
            } else if let Some(about) = open.filter(|_| play.payout().state.is_open()) {
                let source = if reply {
                    Source::Reply { send_before: play.payout().send_before }
                } else {
                    Source::Enquiry { asked_at: play.now }
                };
                play.record(about, outcome, source);
                last_word = outcome;
            }
            prop_assert!(play.payout().attempts <= play.rules.attempts_max);
        }
    }
}

/// One of two banks refuses everything and lets others try: every payout ends paid through the other, whichever of them
/// the rules prefer.
#[test]
fn what_one_bank_refuses_the_other_pays() {
    let routing = Routing { rules: vec![rule("r", &[("sandbox", 1, 1), ("other", 1, 1)])] };
    let (mut paid, mut tried_twice) = (0, 0);
    for id in 0..10_000 {
        let mut play = Play::new(PayoutId(id), RailChoice::AsOrdered);
        play.rules.connectors.truncate(2);
        let candidates: Vec<Candidate> = play
            .rules
            .connectors
            .iter()
            .map(|rules| Candidate {
                rules: *rules,
                paused: false,
                ill: false,
                day_paise: 0,
                day_most_paise: None,
                hours: [None; 4],
            })
            .collect();
        while play.payout().state == State::Queued {
            let chosen = route(&routing, &Facts::of_payout(play.payout(), Some("HDFC"), play.now), &candidates);
            let about =
                play.start((chosen.connector.expect("one is left"), chosen.rail)).expect("it may be started there");
            let refuses = about.0.as_str() == "sandbox";
            let outcome = if refuses { Outcome::Refused { elsewhere: true } } else { Outcome::Paid };
            play.record(about, outcome, Source::Reply { send_before: play.payout().send_before });
            tried_twice += i32::from(refuses);
        }
        paid += i32::from(play.payout().state == State::Paid);
    }
    assert_eq!(paid, 10_000);
    assert!((4_500..5_500).contains(&tried_twice), "{tried_twice}");
}

#[test]
fn without_rules_the_order_of_the_connectors_counts() {
    let play = Play::new(PayoutId(1), RailChoice::AsOrdered);
    let candidates: Vec<Candidate> = play
        .rules
        .connectors
        .iter()
        .map(|rules| Candidate {
            rules: *rules,
            paused: false,
            ill: false,
            day_paise: 0,
            day_most_paise: None,
            hours: [None; 4],
        })
        .collect();
    let routing = Routing::default();
    let facts = Facts::of_payout(play.payout(), None, play.now);
    let choice = route(&routing, &facts, &candidates);
    assert_eq!(choice.connector.map(|connector| (connector, choice.rail)), next_connector(&play.rules, play.payout()));
}

/// A connector that carries these rails, from some rupees to others: `alpha NEFT,IMPS ..500000`; with the words that pass,
/// `paused`, `ill`, `full`, and `RTGS@07:00-18:00` for its hours.
fn parsed(text: &str) -> Candidate {
    let mut words = text.split_whitespace();
    let mut one = candidate(words.next().expect("a name"));
    one.rules.carries.rails = [false; 4];
    for word in words {
        let minute =
            |text: &str| text[..2].parse::<u16>().expect("hours") * 60 + text[3..].parse::<u16>().expect("minutes");
        match word {
            "paused" => one.paused = true,
            "ill" => one.ill = true,
            "full" => one.day_most_paise = Some(0),
            most if most.starts_with("..") => {
                one.rules.carries.most_paise = most[2..].parse::<i64>().expect("rupees") * 100
            }
            rails => {
                for rail in rails.split(',') {
                    let (rail, hours) = rail.split_once('@').unwrap_or((rail, ""));
                    let rail = Rail::parse(rail).expect("a rail") as usize;
                    one.rules.carries.rails[rail] = true;
                    let hours = hours.split_once('-').map(|(from, until)| (minute(from), minute(until)));
                    one.hours[rail] = hours;
                }
            }
        }
    }
    one
}

/// Over which rail a payout goes: what was ordered, how many rupees, at which hour, and what the connectors can do.
#[test]
fn the_rail_that_carries_it() {
    use RailChoice::{AsOrdered, Auto};
    let both: &[&str] = &["alpha NEFT,RTGS,IMPS", "beta NEFT,RTGS,IMPS"];
    for (choice, ordered, rupees, hour, connectors, chosen) in [
        // What can go as it was ordered goes so.
        (Auto, Rail::Imps, 100, 12, both, "alpha IMPS"),
        (Auto, Rail::Neft, 100, 12, both, "alpha NEFT"),
        (Auto, Rail::Rtgs, 300_000, 12, both, "alpha RTGS"),
        (Auto, Rail::Imps, 100, 12, &["alpha NEFT", "beta IMPS"], "beta IMPS"),
        // Nobody has the rail.
        (Auto, Rail::Imps, 100, 12, &["alpha NEFT,RTGS", "beta NEFT"], "alpha NEFT"),
        (Auto, Rail::Imps, 200_000, 12, &["alpha NEFT", "beta RTGS"], "beta RTGS"),
        (Auto, Rail::Neft, 100, 12, &["alpha RTGS", "beta IMPS"], "beta IMPS"),
        (Auto, Rail::Neft, 500_001, 12, &["alpha RTGS", "beta IMPS"], "alpha RTGS"),
        (Auto, Rail::Rtgs, 500_000, 12, &["alpha NEFT,IMPS"], "alpha IMPS"),
        (Auto, Rail::Rtgs, 500_001, 12, &["alpha NEFT,IMPS"], "alpha NEFT"),
        // The rail's connector takes no such amount.
        (Auto, Rail::Imps, 5_000, 12, &["alpha IMPS ..4999", "beta NEFT"], "beta NEFT"),
        (Auto, Rail::Imps, 4_999, 12, &["alpha IMPS ..4999", "beta NEFT"], "alpha IMPS"),
        // Or is paused, fails, or has had its share of the day.
        (Auto, Rail::Imps, 100, 12, &["alpha IMPS paused", "beta NEFT"], "beta NEFT"),
        (Auto, Rail::Imps, 100, 12, &["alpha IMPS ill", "beta NEFT"], "beta NEFT"),
        (Auto, Rail::Imps, 100, 12, &["alpha IMPS full", "beta NEFT"], "beta NEFT"),
        (Auto, Rail::Imps, 100, 12, &["alpha IMPS,NEFT ill", "beta RTGS"], "-"),
        // Its window is closed at this hour.
        (Auto, Rail::Rtgs, 300_000, 12, &["alpha RTGS@07:00-18:00,NEFT"], "alpha RTGS"),
        (Auto, Rail::Rtgs, 300_000, 18, &["alpha RTGS@07:00-18:00,NEFT"], "alpha NEFT"),
        (Auto, Rail::Rtgs, 300_000, 6, &["alpha RTGS@07:00-18:00,NEFT,IMPS"], "alpha IMPS"),
        (Auto, Rail::Rtgs, 300_000, 23, &["alpha RTGS@22:00-06:00"], "alpha RTGS"),
        // Never between an account and a UPI ID.
        (Auto, Rail::Upi, 100, 12, &["alpha NEFT,RTGS,IMPS"], "-"),
        (Auto, Rail::Imps, 100, 12, &["alpha UPI"], "-"),
        // Not allowed: it waits.
        (AsOrdered, Rail::Imps, 100, 12, &["alpha NEFT,RTGS"], "-"),
        (AsOrdered, Rail::Rtgs, 300_000, 18, &["alpha RTGS@07:00-18:00,NEFT"], "-"),
        (AsOrdered, Rail::Imps, 100, 12, &["alpha IMPS ill", "beta NEFT"], "-"),
    ] {
        let candidates: Vec<Candidate> = connectors.iter().map(|text| parsed(text)).collect();
        let amount = Amount::from_paise(rupees * 100).expect("an amount");
        let facts = Facts { rail: ordered, rails: choice.rails(ordered), amount, minute: hour * 60, ..facts() };
        let routing = Routing::default();
        let choice = route(&routing, &facts, &candidates);
        let went = choice.connector.map_or("-".to_owned(), |name| format!("{name} {}", choice.rail.as_str()));
        assert_eq!(went, chosen, "{ordered:?} of {rupees} at {hour}: {connectors:?}\n{:?}", choice.considered);
    }
    // A rule for a rail is one for what goes over it, whatever was ordered.
    let to_gamma = Rule { rails: vec![Rail::Neft], ..rule("batches", &[("gamma", 1, 1)]) };
    let routing = Routing { rules: vec![to_gamma] };
    let candidates = ["beta NEFT", "gamma NEFT"].map(parsed);
    let facts = Facts { rails: RailChoice::Auto.rails(Rail::Imps), ..facts() };
    let choice = route(&routing, &facts, &candidates);
    assert_eq!((choice.connector, choice.rail, choice.rule), (Some(connector("gamma")), Rail::Neft, Some("batches")));
    let said: Vec<String> =
        choice.considered.iter().map(|(name, rail, why)| format!("{name} {}: {why}", rail.as_str())).collect();
    assert_eq!(
        said,
        [
            "beta IMPS: does not carry IMPS",
            "gamma IMPS: does not carry IMPS",
            "gamma NEFT: chosen",
            "beta NEFT: another comes first"
        ]
    );
}

/// Which one is drawn is the same in every process and version: a payout that waited for its connector finds it again.
#[test]
fn a_draw_is_the_same_for_ever() {
    let routing = Routing { rules: vec![rule("r", &[("alpha", 1, 1), ("beta", 1, 1), ("gamma", 1, 2)])] };
    let drawn = |attempt| -> String {
        let choice = |id: i64| {
            let facts = Facts { payout: PayoutId(id * 32 + 7), attempt, ..facts() };
            route(&routing, &facts, &NAMES.map(candidate)).connector.unwrap().as_str()[..1].to_owned()
        };
        (1_000..1_040).map(choice).collect()
    };
    let expected = ["bagggbgggbgggaagaggaabgabgbbgbagbaggagab", "gagabbgaggaggggabgbbgbagabbbbggbgggaggag"];
    assert_eq!([drawn(1), drawn(2)], expected);
}

/// What a queued payout is routed by: its next attempt, its rails, and where it was begun.
#[test]
fn a_queued_payouts_facts_are_its_own() {
    let alpha = connector("alpha");
    let order = order(MerchantId(1), PayoutId(7), "A", Rail::Imps, Amount::from_paise(100_00).unwrap(), "1");
    let mut payout = Payout {
        order,
        fee_paise: 5_00,
        gst_paise: 90,
        state: State::Queued,
        held: false,
        attempts: 0,
        connector: None,
        reference: None,
        paid_attempt: None,
        refused_by: Vec::new(),
        rails: RailSet::TO_ACCOUNTS,
        rail: Rail::Imps,
        send_before: NOON,
        enquiries: 0,
        next_at: Some(NOON),
        queue_until: NOON,
        rrn: "".into(),
        reason: "".into(),
        updated_at: NOON,
        news: 0,
        version: 1,
    };
    let facts = |payout: &Payout| {
        let facts = Facts::of_payout(payout, Some("HDFC"), NOON);
        (facts.attempt, facts.rails, facts.minute, facts.bound_to, facts.refused_by.len())
    };
    assert_eq!(facts(&payout), (1, RailSet::TO_ACCOUNTS, 720, None, 0));
    (payout.attempts, payout.connector) = (1, Some(alpha));
    assert_eq!(facts(&payout), (2, RailSet::TO_ACCOUNTS, 720, Some((alpha, Rail::Imps)), 0));
    payout.refused_by.push(alpha);
    assert_eq!(facts(&payout), (2, RailSet::TO_ACCOUNTS, 720, None, 1));
}

#[test]
fn what_passes_by_itself_is_waited_for() {
    let passing = [Why::Paused, Why::Ill, Why::DayFull(1), Why::Closed(Rail::Rtgs)];
    assert!(passing.into_iter().all(Why::passes));
    let lasting = [
        Why::Chosen,
        Why::Refused,
        Why::BegunAt(connector("alpha")),
        Why::BegunOver(Rail::Neft),
        Why::Rail(Rail::Upi),
        Why::TooLittle(1),
        Why::TooMuch(1),
        Why::Later,
        Why::NotDrawn,
    ];
    assert!(!lasting.into_iter().any(Why::passes));
}
