//! The simulator (`examples/sim`) as tests: the seeds that have found bugs, `HUNDI_SEEDS` others (2,100), and the same ones
//! again. `cargo run --release --example sim -- --seeds 7 --trace` shows what a seed does.

use crate::score::score;
use sim::suite::many;
use sim::suite::one as run;
use sim::swarm::Fault;
use sim::world::Report;

#[path = "../../examples/sim"]
#[allow(dead_code, reason = "some of it is for the command line only")]
mod sim {
    mod agenda;
    mod auditor;
    mod bank;
    mod dice;
    mod merchants;
    mod operators;
    mod orders;
    mod process;
    mod receivers;
    mod statements;
    pub mod suite;
    pub mod swarm;
    mod trace;
    pub mod world;
}

/// Payouts of a run; fewer than the command line's, more seeds find more.
const PAYOUTS: usize = 40;
/// Seeds of `./check`, and what they must come to at least: outcomes that nobody was told, and payments that an enquiry has not
/// found and that were made all the same.
const SEEDS: u64 = 2_100;
const UNKNOWN_LEAST: u64 = 5_000;
const UNFOUND_LEAST: u64 = 1_000;
/// Seeds that have found bugs: `seed payouts # what it found`.
const KEPT: &str = include_str!("../seeds.txt");

fn seeds() -> u64 {
    std::env::var("HUNDI_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("HUNDI_SEEDS is a number"))
}

fn assert_lawful(report: &Report) {
    if let Some((law, before)) = &report.broken {
        panic!("seed {}: {law}\n{}", report.seed, before.join("\n"));
    }
}

/// Runs seeds, of which each must hold every law, and all together know every fault.
fn hold(first: u64, last: u64) {
    let total = many(first, last, PAYOUTS, 1, false);
    total.broken.iter().for_each(assert_lawful);
    let never: Vec<&str> = total.never().into_iter().map(Fault::name).collect();
    assert!(never.is_empty(), "never: {never:?}");
    let of = |faults: &[Fault]| faults.iter().map(|fault| total.counters.of(*fault)).sum();
    score(6, "seeds without a violation", total.seeds);
    let unknown: u64 = of(&[Fault::ReplyLost, Fault::RequestLost, Fault::ErrorAfterPaying, Fault::ErrorUnpaid]);
    let unfound: u64 = of(&[Fault::NotFoundThenPaid]);
    if total.seeds >= SEEDS / 2 {
        assert!(unknown >= UNKNOWN_LEAST / 2 && unfound >= UNFOUND_LEAST / 2, "{unknown} unknown, {unfound} not found");
    }
    score(7, "unknown outcomes", unknown);
    score(8, "not found, then paid", unfound);
    score(10, "same order after 30 days", of(&[Fault::DuplicateLater]));
    score(16, "pauses of a process", of(&[Fault::Zombie]));
    score(17, "steps of the clock", of(&[Fault::HourForward, Fault::HourBack, Fault::YearForward, Fault::YearBack]));
}

#[test]
fn seeds_that_found_bugs_find_them_no_more() {
    let numbers = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    let kept: Vec<(u64, usize)> = KEPT.lines().filter_map(numbers).collect();
    for (seed, payouts) in kept {
        assert_lawful(&run(seed, payouts, false));
    }
}

/// Two halves, because the test runner gives each a core.
#[test]
fn every_law_holds_whatever_goes_wrong_in_the_first_half() {
    hold(1, seeds() / 2);
}

#[test]
fn every_law_holds_whatever_goes_wrong_in_the_second_half() {
    hold(seeds() / 2 + 1, seeds());
}

#[test]
fn a_seed_does_the_same_each_time() {
    for seed in 1..=50 {
        let (first, second) = (run(seed, PAYOUTS, false), run(seed, PAYOUTS, false));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert!(first.steps > 100);
    }
    score(6, "seeds identical when run again", 50);
}
