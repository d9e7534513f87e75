//! What a payout costs when many are stored: rate and times of status calls at each size, and what is left of the first.
//!
//! With `--keep` the filled stores stay, and are not filled again. What the rounds add to them is not told from the rest.

use super::{CONNECTIONS_PAYOUT, Failure, Figures, Options, bench, commit, database, hundi, machine, medians, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Status calls come at a rate that every size can serve: a time under full load only says how many wait.
const STATUS_RATE: &str = "2000";
const MODES: [&str; 2] = ["payout", "status"];
/// What must be left of the first size's rate at the largest size, and how much longer a status call may take.
const RATE_MIN: f64 = 0.9;
const STATUS_MAX: f64 = 1.2;
/// A difference below this is noise of the machine, whatever its ratio.
const NOISE_MS: f64 = 0.3;
/// Even the smallest store has something to ask for.
const PAYOUTS_MIN: u64 = 2_000;
/// Fewer are filled anew each time, within seconds: what a kept store gains in each run must not matter.
const KEPT_MIN: u64 = 1_000_000;

/// A store of some size.
struct Filled {
    store: &'static str,
    payouts: u64,
    data: PathBuf,
    database_url: Option<String>,
}

/// Fills stores, measures them in turn, prints what became of rate and time, and fails where it is too much.
pub fn growth(options: &Options) -> Result<(), Failure> {
    if let Some(folder) = &options.keep {
        return in_folder(options, folder);
    }
    let folder = std::env::temp_dir().join(format!("hundi-growth-{}", std::process::id()));
    let result = in_folder(options, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn in_folder(options: &Options, folder: &Path) -> Result<(), Failure> {
    let mut filled = Vec::new();
    for store in ["sqlite", "postgres"] {
        for payouts in &options.sizes {
            filled.push(fill(options, folder, store, *payouts)?);
        }
    }
    let mut rounds = vec![[Vec::new(), Vec::new()]; filled.len()];
    for round in 1..=options.rounds {
        for (filled, measured) in filled.iter().zip(&mut rounds) {
            for (mode, measured) in MODES.iter().zip(measured) {
                let figures = measure(options, filled, mode)?;
                eprintln!(
                    "round {round} of {}: {} with {}: {mode}: {:.0} a second, p99 {:.1} ms",
                    options.rounds, filled.store, filled.payouts, figures.per_second, figures.p99_ms
                );
                measured.push(figures);
            }
        }
    }
    let largest = options.sizes.iter().max();
    let (mut rows, mut missed) = (Vec::new(), Vec::new());
    println!(
        "| store | payouts stored | payouts a second | of the first | status p99 ms | of the first |\n|---|---|---|---|---|---|"
    );
    for (at, of) in filled.iter().enumerate() {
        let figures = |at: usize| rounds[at].each_ref().map(|rounds| medians(rounds));
        let first = filled.iter().position(|first| first.store == of.store).unwrap_or(at);
        let ([first_payout, first_status], [payout, status]) = (figures(first), figures(at));
        let rate_ratio = payout.per_second / first_payout.per_second;
        let p99_ratio = status.p99_ms / first_status.p99_ms;
        println!(
            "| {} | {} | {:.0} | {rate_ratio:.2} | {:.2} | {p99_ratio:.2} |",
            of.store, of.payouts, payout.per_second, status.p99_ms
        );
        if Some(&of.payouts) == largest && rate_ratio < RATE_MIN {
            missed.push(format!("{} with {}: {rate_ratio:.2} of the first rate", of.store, of.payouts));
        }
        if Some(&of.payouts) == largest && p99_ratio > STATUS_MAX && status.p99_ms - first_status.p99_ms >= NOISE_MS {
            missed.push(format!("{} with {}: {p99_ratio:.2} of the first status p99", of.store, of.payouts));
        }
        rows.push(json!({
            "store": of.store, "payouts": of.payouts, "per_second": payout.per_second, "rate_ratio": rate_ratio,
            "status_p99_ms": status.p99_ms, "status_p99_ratio": p99_ratio,
        }));
    }
    println!(
        "\nRight at the largest size: {RATE_MIN} of the first rate or more, and {STATUS_MAX} of the first status p99 or less, \
         where a difference below {NOISE_MS} ms does not count."
    );
    if let Some(path) = &options.json {
        let document = json!({
            "growth": rows, "rate_ratio_min": RATE_MIN, "status_p99_ratio_max": STATUS_MAX, "noise_ms": NOISE_MS,
            "seconds": options.seconds, "rounds": options.rounds, "machine": machine(), "commit": commit(),
        });
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ").into()) }
}

/// Fills a store of this size, or as much of it as is missing.
fn fill(options: &Options, folder: &Path, store: &'static str, payouts: u64) -> Result<Filled, Failure> {
    let name = format!("growth_{store}_{payouts}");
    let data = folder.join(&name);
    let wanted = payouts.max(PAYOUTS_MIN);
    if wanted < KEPT_MIN && data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let known = preloaded(&data)?;
    let database_url = match store {
        "postgres" => {
            if known.is_none() {
                // What is there without its key is of no use.
                let anew = [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")];
                run("psql", &[&options.postgres, "-q", "-c", &anew[0], "-c", &anew[1]])?;
            }
            Some(database(&options.postgres, &name)?)
        }
        _ => None,
    };
    let missing = wanted.saturating_sub(known.unwrap_or(0));
    if missing == 0 {
        eprintln!("{store}: {wanted} payouts are there");
    } else {
        let (count, data_shown) = (missing.to_string(), data.to_string_lossy());
        let mut arguments = vec!["--preload", count.as_str(), "--data", &data_shown];
        arguments.extend(database_url.iter().flat_map(|url| ["--database-url", url.as_str()]));
        let told = bench(&arguments)?;
        eprintln!("{store}: {missing} payouts preloaded, {} a second", told["per_second"]);
    }
    if let Some(url) = &database_url {
        // What a server does by itself sooner or later, and not in the middle of a measurement.
        run("psql", &[url, "-q", "-c", "VACUUM (ANALYZE)", "-c", "CHECKPOINT"])?;
    }
    Ok(Filled { store, payouts, data, database_url })
}

/// How many payouts `hundi bench --preload` has noted in this folder; `None` where there is no note.
fn preloaded(data: &Path) -> Result<Option<u64>, Failure> {
    let Ok(text) = std::fs::read_to_string(data.join("bench.json")) else { return Ok(None) };
    let payouts = serde_json::from_str::<Value>(&text)?["payouts"].as_u64();
    payouts.map(Some).ok_or_else(|| format!("{} has no number of payouts; remove it", data.display()).into())
}

/// Has the machine read the whole store, as it has after a day of serving it: what is measured is the work for a call, and
/// not how long ago the store was filled.
fn warm(filled: &Filled) -> Result<(), Failure> {
    match &filled.database_url {
        Some(url) => {
            let read = "SELECT sum(pg_prewarm(oid::regclass, 'read')) FROM pg_class \
                        WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace";
            run("psql", &[url, "-q", "-c", "CREATE EXTENSION IF NOT EXISTS pg_prewarm", "-c", read]).map(drop)
        }
        None => {
            std::io::copy(&mut std::fs::File::open(filled.data.join("hundi.db"))?, &mut std::io::sink())?;
            Ok(())
        }
    }
}

fn measure(options: &Options, filled: &Filled, mode: &str) -> Result<Figures, Failure> {
    let (seconds, data) = (options.seconds.to_string(), filled.data.to_string_lossy());
    let connections = CONNECTIONS_PAYOUT.to_string();
    let mut arguments = vec!["--self", "--data", &data, "--seconds", &seconds, "--mode", mode];
    match mode {
        "status" => {
            warm(filled)?;
            arguments.extend(["--rate", STATUS_RATE]);
        }
        _ => arguments.extend(["--connections", connections.as_str()]),
    }
    arguments.extend(filled.database_url.iter().flat_map(|url| ["--database-url", url.as_str()]));
    hundi(&arguments)
}
