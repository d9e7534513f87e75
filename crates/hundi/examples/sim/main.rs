//! The simulator: Hundi's production code on one thread under a virtual clock, with a bank, merchants, receivers and
//! operators that do everything wrong, and an auditor that says which law is broken.
//!
//! ```text
//! cargo run --release --example sim -- --seeds 1..2000 [--payouts 300] [--plant NAME] [--list-plants] [--trace]
//! ```
//!
//! | exit code | |
//! |---|---|
//! | 0 | every law held and every fault struck |
//! | 1 | a law was broken; the seed and what happened before are printed |
//! | 2 | usage |
//! | 3 | a fault never struck, in 200 seeds or more |
//!
//! A seed is one number, and does the same each time. `--plant` plants a bug on purpose and stops at the first seed that
//! finds it.

#![allow(clippy::unwrap_used)]

mod agenda;
mod auditor;
mod bank;
mod dice;
mod merchants;
mod operators;
mod orders;
mod plants;
mod process;
mod receivers;
mod statements;
mod suite;
mod swarm;
mod trace;
mod world;

use clap::Parser;
use std::process::ExitCode;
use std::time::Instant;

/// Simulates Hundi and everything around it.
#[derive(Parser)]
struct Options {
    /// A seed, or the first and the last of them: `7`, `1..2000`
    #[arg(long, default_value = "1..200", value_parser = range)]
    seeds: (u64, u64),
    /// Payouts in each run
    #[arg(long, default_value_t = 40, value_parser = at_least_one)]
    payouts: usize,
    /// Plants a bug; stops at the first seed that finds it
    #[arg(long, value_parser = plants::named)]
    plant: Option<hundi_core::plant::Plant>,
    /// Prints the bugs that can be planted, and nothing else
    #[arg(long)]
    list_plants: bool,
    /// Prints everything that happens, and the hash of it
    #[arg(long)]
    trace: bool,
    /// Threads; a seed runs on one of them
    #[arg(long)]
    threads: Option<usize>,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is not a seed; write 7, or 1..2000"));
    let (first, last) = match text.split_once("..") {
        None => (number(text)?, number(text)?),
        Some((first, last)) => (number(first)?, number(last.trim_start_matches('='))?),
    };
    if first > last { Err(format!("there is no seed from {first} to {last}")) } else { Ok((first, last)) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("`{text}` is not a number of payouts; write 40"))
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list_plants {
        plants::CAUGHT.iter().for_each(|plant| println!("{}", plant.name()));
        return ExitCode::SUCCESS;
    }
    // Nothing has asked for a plant before.
    hundi_core::plant::choose(options.plant).unwrap_or_default();
    let (first, last) = options.seeds;
    let began = Instant::now();
    let total = if options.trace {
        let mut total = suite::Total::default();
        for seed in first..=last {
            let report = suite::one(seed, options.payouts, true);
            println!("seed {seed}: hash {:016x}", report.hash);
            let stop = options.plant.is_some() && report.broken.is_some();
            total.add(report);
            if stop {
                break;
            }
        }
        total
    } else {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        suite::many(first, last, options.payouts, options.threads.unwrap_or(cores), options.plant.is_some())
    };
    report(&total, began.elapsed().as_millis());
    if !total.broken.is_empty() {
        return ExitCode::from(1);
    }
    let never = total.never();
    never.iter().for_each(|fault| println!("never: {}", fault.name()));
    if never.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

fn report(total: &suite::Total, took_ms: u128) {
    for run in total.broken.iter().take(5) {
        let Some((law, before)) = &run.broken else { continue };
        before.iter().for_each(|line| println!("    {line}"));
        println!("seed {}: {law}", run.seed);
    }
    for fault in swarm::Fault::ALL {
        println!("{:>9} {}", total.counters.of(*fault), fault.name());
    }
    println!(
        "{} seeds, {} steps, {} looks, {} folds, {} virtual days, {took_ms} ms; {} broke a law",
        total.seeds,
        total.steps,
        total.looks,
        total.folds,
        total.virtual_ms / 86_400_000,
        total.broken.len()
    );
    let seeds: Vec<u64> = total.broken.iter().map(|run| run.seed).collect();
    if !seeds.is_empty() {
        println!("broken by seeds {seeds:?}");
    }
}
