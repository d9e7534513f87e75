//! What a payout costs when many are stored: rate and times of status calls at each size, and what is left of the first.

use super::{CONNECTIONS_PAYOUT, Failure, Figures, Options, bench, database, hundi, medians, run};
use serde_json::json;
use std::path::PathBuf;

/// Status calls come at a rate that every size can serve: a time under full load only says how many wait.
const STATUS_RATE: &str = "2000";
const MODES: [&str; 2] = ["payout", "status"];

/// A store of some size.
struct Filled {
    store: &'static str,
    payouts: u64,
    data: PathBuf,
    database_url: Option<String>,
}

/// Fills stores, measures them in turn, and prints what became of rate and time.
pub fn growth(options: &Options) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("hundi-growth-{}", std::process::id()));
    let result = in_folder(options, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn in_folder(options: &Options, folder: &std::path::Path) -> Result<(), Failure> {
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
    let mut rows = Vec::new();
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
        rows.push(json!({
            "store": of.store, "payouts": of.payouts, "per_second": payout.per_second, "rate_ratio": rate_ratio,
            "status_p99_ms": status.p99_ms, "status_p99_ratio": p99_ratio,
        }));
    }
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", json!({ "growth": rows })))?;
    }
    Ok(())
}

fn fill(options: &Options, folder: &std::path::Path, store: &'static str, payouts: u64) -> Result<Filled, Failure> {
    let name = format!("growth_{store}_{payouts}");
    let data = folder.join(&name);
    let database_url = match store {
        "postgres" => {
            run("psql", &[&options.postgres, "-q", "-c", &format!("CREATE DATABASE {name}")])?;
            Some(database(&options.postgres, &name)?)
        }
        _ => None,
    };
    // Even the smallest store has something to ask for.
    let wanted = payouts.max(2_000).to_string();
    let data_shown = data.to_string_lossy();
    let mut arguments = vec!["--preload", wanted.as_str(), "--data", &data_shown];
    arguments.extend(database_url.iter().flat_map(|url| ["--database-url", url.as_str()]));
    let told = bench(&arguments)?;
    eprintln!("{store}: {wanted} payouts preloaded, {} a second", told["per_second"]);
    if let Some(url) = &database_url {
        // What a server does by itself sooner or later, and not in the middle of a measurement.
        run("psql", &[url, "-q", "-c", "VACUUM (ANALYZE)", "-c", "CHECKPOINT"])?;
    }
    Ok(Filled { store, payouts, data, database_url })
}

fn measure(options: &Options, filled: &Filled, mode: &str) -> Result<Figures, Failure> {
    let (seconds, data) = (options.seconds.to_string(), filled.data.to_string_lossy());
    let connections = CONNECTIONS_PAYOUT.to_string();
    let mut arguments = vec!["--self", "--data", &data, "--seconds", &seconds, "--mode", mode];
    match mode {
        "status" => arguments.extend(["--rate", STATUS_RATE]),
        _ => arguments.extend(["--connections", connections.as_str()]),
    }
    arguments.extend(filled.database_url.iter().flat_map(|url| ["--database-url", url.as_str()]));
    hundi(&arguments)
}
