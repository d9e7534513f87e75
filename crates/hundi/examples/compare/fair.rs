//! What a merchant with few payouts notices of another one who is busy, on both engines.
//!
//! | phase | load |
//! |---|---|
//! | full | one wallet, each connection asks when it is answered; the higher rate of 64 and of 512 connections |
//! | quiet | the few payouts alone, by schedule, on one wallet |
//! | hot | 70 % of the full rate of the same round on one wallet, by schedule; the few payouts on another, beside it |

use super::{
    CONNECTIONS_ACCEPT, CONNECTIONS_PAYOUT, Failure, Options, checked, commit, figure, is_on_store, machine, median,
};
use serde_json::{Value, json};

/// Payouts a second of the merchant with few.
const FEW: &str = "10";
/// The share of its full rate that the busy wallet takes.
const HOT: f64 = 0.7;
/// A schedule must not wait for connections, or the load would spare the server.
const CONNECTIONS_HOT: &str = "1024";
/// The full rate needs no longer time than this.
const FULL_SECONDS_MAX: u64 = 10;
/// So many times may the time that 1 of 100 payouts exceeds be longer beside a hot wallet than alone.
const RATIO_MAX: f64 = 3.0;

const STORES: [&str; 2] = ["sqlite", "postgres"];

/// One round on one engine.
struct Round {
    full_per_second: f64,
    hot_per_second: f64,
    hot_p99_ms: f64,
    quiet: Times,
    beside: Times,
}

/// Times of the merchant with few payouts.
struct Times {
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// Measures in rounds, prints the medians, and fails where a merchant suffers.
pub fn fair(options: &Options) -> Result<(), Failure> {
    let mut rounds = STORES.map(|_| Vec::new());
    for number in 1..=options.rounds {
        for (store, rounds) in STORES.into_iter().zip(&mut rounds) {
            let round = measure(options, store)?;
            eprintln!(
                "round {number} of {}: {store}: full {:.0} a second; p99 {:.1} ms when quiet, {:.1} ms beside {:.0} a second",
                options.rounds, round.full_per_second, round.quiet.p99_ms, round.beside.p99_ms, round.hot_per_second
            );
            rounds.push(round);
        }
    }
    println!(
        "| store | full rate | hot wallet, a second | its p99 ms | {FEW} a second: p50 ms quiet | beside | p99 ms quiet | beside | ratio |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    let (mut rows, mut missed) = (Vec::new(), Vec::new());
    for (store, rounds) in STORES.into_iter().zip(&rounds) {
        let of = |figure: fn(&Round) -> f64| median(rounds, figure);
        let (quiet_ms, beside_ms) = (of(|round| round.quiet.p99_ms), of(|round| round.beside.p99_ms));
        let ratio = beside_ms / quiet_ms;
        println!(
            "| {store} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {quiet_ms:.1} | {beside_ms:.1} | {ratio:.2} |",
            of(|round| round.full_per_second),
            of(|round| round.hot_per_second),
            of(|round| round.hot_p99_ms),
            of(|round| round.quiet.p50_ms),
            of(|round| round.beside.p50_ms),
        );
        if ratio > RATIO_MAX {
            missed.push(format!("on {store} the p99 beside a hot wallet is {ratio:.2} times the quiet one"));
        }
        rows.push(json!({
            "store": store,
            "full_per_second": of(|round| round.full_per_second),
            "hot_per_second": of(|round| round.hot_per_second),
            "hot_p99_ms": of(|round| round.hot_p99_ms),
            "quiet_p99_ms": quiet_ms,
            "beside_p99_ms": beside_ms,
            "ratio": ratio,
            "rounds": rounds.iter().map(Round::document).collect::<Vec<_>>(),
        }));
    }
    if let Some(path) = &options.json {
        let document = json!({
            "fair": rows, "ratio_max": RATIO_MAX, "seconds": options.seconds, "machine": machine(), "commit": commit(),
        });
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("{}; at most {RATIO_MAX} is right", missed.join("; ")).into()) }
}

fn measure(options: &Options, store: &str) -> Result<Round, Failure> {
    let bench = |seconds: u64, arguments: &[&str]| {
        let seconds = seconds.to_string();
        let all = [&["--self", "--mode", "payout", "--seconds", &seconds], arguments, &is_on_store(options, store)];
        checked(&all.concat())
    };
    let mut full_per_second = 0.0_f64;
    for connections in [CONNECTIONS_ACCEPT, CONNECTIONS_PAYOUT] {
        let told = bench(options.seconds.min(FULL_SECONDS_MAX), &["--connections", connections.to_string().as_str()])?;
        full_per_second = full_per_second.max(figure(&told, "per_second")?);
    }
    let quiet = bench(options.seconds, &["--rate", FEW, "--connections", FEW])?;
    let rate = (full_per_second * HOT).round().max(1.0).to_string();
    let hot = bench(options.seconds, &["--rate", &rate, "--connections", CONNECTIONS_HOT, "--beside", FEW])?;
    Ok(Round {
        full_per_second,
        hot_per_second: figure(&hot, "per_second")?,
        hot_p99_ms: figure(&hot, "p99_ms")?,
        quiet: Times::of(&quiet)?,
        beside: Times::of(&hot["beside"])?,
    })
}

impl Times {
    fn of(told: &Value) -> Result<Times, Failure> {
        Ok(Times { p50_ms: figure(told, "p50_ms")?, p99_ms: figure(told, "p99_ms")?, max_ms: figure(told, "max_ms")? })
    }

    fn document(&self) -> Value {
        json!({ "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "max_ms": self.max_ms })
    }
}

impl Round {
    fn document(&self) -> Value {
        json!({
            "full_per_second": self.full_per_second,
            "hot_per_second": self.hot_per_second,
            "hot_p99_ms": self.hot_p99_ms,
            "quiet": self.quiet.document(),
            "beside": self.beside.document(),
        })
    }
}
