//! Plants every fault of `hundi_core::plant`, one at a time, and shows which test sees it.
//!
//! ```text
//! cargo build --release --example sim && cargo run --example plants [-- NAME...]
//! ```
//!
//! A fault is seen if the tests that the list names fail with it (`by`), and, of those that the simulator lists
//! (`--list-plants`), if the simulator finds a violation: where both are named, both must. It is not seen by a build that breaks,
//! nor where no test runs. Exit code 1 if one is not seen, 2 if it was started wrongly.
//! With `HUNDI_SCORES` each is also a line `{"plant":"..","row":7,"caught_by":".."}` of that file.
//!
//! The tests must pass without a fault: what is red anyway sees nothing. `./check --long` runs them before.

use hundi_core::plant::Plant;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// What `cargo nextest run` exits with if tests have run and one has failed.
const TESTS_FAILED: i32 = 100;
/// What the simulator exits with if a law was broken.
const LAW_BROKEN: i32 = 1;
const SIMULATOR: &str = "target/release/examples/sim";
const SEEDS: &str = "1..400";
/// So many names of tests are shown.
const NAMES_MAX: usize = 3;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| Plant::ALL.iter().all(|plant| plant.name() != **name)) {
        eprintln!("plants: there is no fault `{unknown}`");
        return ExitCode::from(2);
    }
    let wanted = |plant: &Plant| names.is_empty() || names.iter().any(|name| name == plant.name());
    let plants: Vec<Plant> = Plant::ALL.iter().copied().filter(wanted).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("| planted bug | what is wrong | seen by |\n|---|---|---|");
    let mut unseen = Vec::new();
    let simulated = match simulated(&root) {
        Ok(simulated) => simulated,
        Err(error) => {
            eprintln!("plants: {error}");
            return ExitCode::from(2);
        }
    };
    for plant in &plants {
        let simulated = simulated.iter().any(|name| name == plant.name());
        let by_tests = plant.seen_by().map(|filter| by_tests(&root, *plant, filter));
        let by_simulator = simulated.then(|| by_simulator(&root, *plant));
        let result = match (by_tests, by_simulator) {
            (Some(tests), Some(simulator)) => tests.and_then(|tests| Ok(format!("{tests}; {}", simulator?))),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Err("neither tests nor the simulator are to see it".to_owned()),
        };
        let seen = result.as_deref().unwrap_or("**nobody**");
        println!("| `{}` | {} | {seen} |", plant.name(), plant.what());
        match &result {
            Ok(seen) => note(*plant, seen),
            Err(why) => unseen.push(format!("{}: {why}", plant.name())),
        }
    }
    for plant in &unseen {
        eprintln!("plants: {plant}");
    }
    println!("\n{} of {} planted bugs were seen", plants.len() - unseen.len(), plants.len());
    if unseen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the tests of a filter with a fault planted; the names of those that failed.
fn by_tests(root: &Path, plant: Plant, filter: &str) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--color", "never"])
        .args(["--status-level", "fail", "--final-status-level", "none", "-E", filter])
        .env("HUNDI_PLANT", plant.name())
        // What a test reaches with a fault in it is no figure.
        .env_remove("HUNDI_SCORES")
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo nextest does not start: {error}"))?;
    match output.status.code() {
        Some(TESTS_FAILED) => {}
        Some(0) => return Err(format!("the tests pass with it: {filter}")),
        _ => return Err(format!("the tests do not run: {filter}\n{}", end(&output))),
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut failed: Vec<&str> = text.lines().filter_map(failed_test).collect();
    failed.sort_unstable();
    failed.dedup();
    match failed.len() {
        0 => Err(format!("no test has failed: {filter}\n{}", end(&output))),
        all => {
            let names: Vec<_> = failed.iter().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
            let more = if all > NAMES_MAX { format!(" and {} more", all - NAMES_MAX) } else { String::new() };
            Ok(format!("{}{more}", names.join(", ")))
        }
    }
}

/// The test of a line of nextest that tells a failure: `FAIL [   0.004s] (1/2) hundi-core::scripts not_found`.
fn failed_test(line: &str) -> Option<&str> {
    let (status, rest) = line.trim_start().split_once(" [")?;
    let failed = ["FAIL", "TIMEOUT", "ABORT"].contains(&status) || status.starts_with("SIG");
    let (_, test) = rest.split_once("] ")?;
    let test = test.trim_start();
    let test = if test.starts_with('(') { test.split_once(") ")?.1 } else { test };
    failed.then(|| test.trim())
}

/// The faults that the simulator is to see.
fn simulated(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(root.join(SIMULATOR)).arg("--list-plants").output();
    let output = output.map_err(|error| format!("{SIMULATOR}: {error}; cargo build --release --example sim"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect())
}

/// Runs the simulator with a fault planted; the first line in which it tells of a violation.
fn by_simulator(root: &Path, plant: Plant) -> Result<String, String> {
    let simulator: PathBuf = root.join(SIMULATOR);
    let output = Command::new(&simulator)
        .args(["--plant", plant.name(), "--seeds", SEEDS])
        .env_remove("HUNDI_PLANT")
        .env_remove("HUNDI_SCORES")
        .current_dir(root)
        .output()
        .map_err(|error| format!("{SIMULATOR}: {error}; cargo build --release --example sim"))?;
    match output.status.code() {
        Some(LAW_BROKEN) => {}
        Some(0) => return Err(format!("the simulator finds nothing in seeds {SEEDS}")),
        code => return Err(format!("the simulator ends with {code:?}\n{}", end(&output))),
    }
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let told = text.lines().find(|line| line.contains("violation") || line.contains("broken"));
    let told = told.map_or(String::new(), |line| format!(": {}", line.trim().replace('|', "/")));
    Ok(format!("the simulator{told}"))
}

fn end(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// Notes for the scorecard who saw a fault.
fn note(plant: Plant, seen: &str) {
    let Some(path) = std::env::var_os("HUNDI_SCORES") else { return };
    let line = serde_json::json!({ "plant": plant.name(), "row": plant.row(), "caught_by": seen });
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("HUNDI_SCORES can be written");
    file.write_all(format!("{line}\n").as_bytes()).expect("HUNDI_SCORES can be written");
}
