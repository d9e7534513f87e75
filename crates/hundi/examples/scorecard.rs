//! Writes the scorecard of `docs/reliability.md`: what a run has reached, beside what it had to reach.
//!
//! ```text
//! cargo run --example scorecard -- target/scores.jsonl
//! ```
//!
//! The file holds what tests, planted bugs and mutants have noted (`HUNDI_SCORES`), a line each: `{"row":1,"what":"kills on
//! SQLite","reached":100}` or `{"plant":"reply-before-commit","row":1,"caught_by":"a_test"}`. Figures of one row with the
//! same words are added up: they are of the same test on another database. The table takes the place of what is between the
//! two markers. Exit code 1 if a row has no figure, or less than it must have.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// A row: its number, what goes wrong, what must be reached in `./check`, and in `./check --long` where that is more, and the
/// command of its tests alone (`it` is `cargo nextest run -p hundi --test it -E`).
struct Row {
    number: u32,
    fault: &'static str,
    target: &'static str,
    command: &'static str,
}

/// What the figures whose words begin so must come to at least, by row; those of a short run.
const LEAST: [(u32, &str, u64); 27] = [
    (1, "kills of the engine on Sqlite, audited", 100),
    (2, "kills of the engine on Postgres, audited", 50),
    (3, "kills of the PostgreSQL server", 20),
    (5, "losses of power without a loss of a payout", 300),
    (5, "payouts lost by the control", 1),
    (6, "seeds without a violation", 500),
    (6, "seeds identical when run again", 50),
    (7, "unknown outcomes", 5_000),
    (8, "not found, then paid", 1_000),
    (9, "OrderIDs x 50 at once, Sqlite", 1_000),
    (9, "OrderIDs x 50 at once, Postgres", 1_000),
    (10, "orders repeated after 1 to 30 days", 1_000),
    (11, "attempts for 1,000 payouts, Sqlite", 5_000),
    (11, "attempts for 1,000 payouts, Postgres", 5_000),
    (11, "new wallets", 400),
    (12, "orders of calls", 384),
    (13, "reversals, each told", 1_000),
    (14, "texts of amounts", 1_000_000),
    (15, "conflicts of transactions", 200),
    (20, "cuts of an", 500),
    (22, "seeded differences", 200),
    (24, "states in which", 10_000),
    (26, "address tricks", 120),
    (26, "rebinds", 1_000),
    (30, "combinations of header", 500),
    (33, "generated CSV cells", 100_000),
    (38, "planted bugs seen", 25),
];

const fn row(number: u32, fault: &'static str, target: &'static str, command: &'static str) -> Row {
    Row { number, fault, target, command }
}

/// The numbers are those of the catalogue of faults that Hundi was built against; what is missing is not of this kind.
const ROWS: [Row; 35] = [
    row(
        1,
        "kill -9 under load, SQLite",
        "100 kills; long 1,000: 0 lost, 0 paid twice, sums 0",
        "it 'test(/^sqlite::process::kill/)'",
    ),
    row(2, "kill -9 under load, PostgreSQL", "50 kills; long 500: the same", "it 'test(/^postgres::process::kill/)'"),
    row(3, "kill -9 of PostgreSQL", "20 kills; long 150: the same", "it 'test(/process_server/)'"),
    row(
        4,
        "the primary is lost, a standby takes over",
        "a synchronous pair loses 0; an asynchronous one, the control, something",
        "it 'test(/process_postgres/)'",
    ),
    row(
        5,
        "lost syncs, torn writes, EIO",
        "300 points: 0 lost, 0 in silence; with NORMAL something is lost",
        "it 'test(/lost_syncs|failing_disk|rotten_disk/)'",
    ),
    row(
        6,
        "all faults at once, in any order",
        "500 seeds, 50 of them twice; long 20,000: 0 violations, every fault fired",
        "cargo run --release --example sim -- --seeds 1..500",
    ),
    row(7, "a bank's silence", "5,000 unknown outcomes: 0 paid twice, 0 refunded early", "it 'test(/simulator/)'"),
    row(8, "\"not found\", and paid later", "1,000: 0 refunded early", "it 'test(/simulator/)'"),
    row(9, "the same OrderID, 50 at once", "1,000 keys x 50: exactly 1,000 payouts", "it 'test(the_same_order_races)'"),
    row(10, "the same OrderID after 1 to 30 days", "1,000: 0 new sends", "it 'test(/simulator|model::/)'"),
    row(
        11,
        "overspending races",
        "5,000 attempts, money for 1,000: exactly 1,000; 200 new wallets x 50",
        "it 'test(/a_wallet_for_a_thousand|the_first_debit/)'",
    ),
    row(
        12,
        "callbacks repeated, late, reordered, forged",
        "every permutation of 4 events: as the bank's book says; 0 forged believed",
        "cargo nextest run -p hundi-core -E 'test(/^calls/)'",
    ),
    row(13, "a reversal, raced by 50", "1,000 reversals: 1,000 credits", "it 'test(/reversals/)'"),
    row(14, "amounts that are none", "1,000,000 cases: 0 wrong, 0 panics", "it 'test(/fuzz::replay/)'"),
    row(
        15,
        "the answer to COMMIT is lost; conflicts; busy",
        "1,000 cuts and 200 conflicts: 0 doubled, 0 lost",
        "it 'test(/process_postgres|process_refusing/)'",
    ),
    row(
        16,
        "a process that sleeps and wakes late",
        "200 pauses: 0 paid twice",
        "it 'test(/process_postgres|simulator/)'",
    ),
    row(
        17,
        "clocks that jump",
        "50 runs with +-1 h and +-1 year: nothing paid twice, everything ends",
        "it 'test(/simulator/)'",
    ),
    row(
        18,
        "a full disk",
        "0 lost; writes again within 30 s of room",
        "it 'test(/failing_disk|process_disk|process_refusing/)'",
    ),
    row(
        19,
        "payouts that poison their batch",
        "1 % poison: 99 % end within 1.2 times the usual time",
        "it 'test(/poison/)'",
    ),
    row(
        20,
        "files of payments cut, doubled, sent again",
        "500 cut points in upload and answer: each row executed once",
        "it 'test(/::exchange::/)'",
    ),
    row(
        21,
        "an old backup is restored",
        "0 sends before the release, every gap listed; long 10,000 payments since the backup",
        "it 'test(/::hold::|::restore::/)'",
    ),
    row(
        22,
        "a statement differs from the book",
        "200 seeded differences all found, none on a clean day",
        "it 'test(/::reconcile::/)'",
    ),
    row(24, "lists, statements, exports", "10,000 states: as a model of its own says", "it 'test(/model::/)'"),
    row(
        25,
        "receivers that are slow, down or too talkative",
        "others' p99 below 2 times; 100 % delivered; memory + 10 MiB at most",
        "it 'test(/receivers/)'",
    ),
    row(
        26,
        "callback addresses that lead inside",
        "120 tricks, 1,000 rebinds: 0 connections",
        "it 'test(/::guard::/)'",
    ),
    row(27, "callback signatures", "every vector, in 3 languages; 0 tampered accepted", "it 'test(/::signatures::/)'"),
    row(28, "events lost or invented", "0 over the runs of rows 1 and 2", "it 'test(/process::kill|process_server/)'"),
    row(29, "another merchant's data", "every route x id: not found, with the same body", "it 'test(/::tenants::/)'"),
    row(30, "forged addresses behind proxies", "500 combinations: 0 let through", "it 'test(/::forwarded::/)'"),
    row(31, "secrets in what is written", "0 found in all outputs", "it 'test(/canaries/)'"),
    row(32, "tokens guessed", "compared in constant time; limits hold", "it 'test(/::timing::/)'"),
    row(33, "injection into SQL and spreadsheets", "100,000 texts: 0", "it 'test(/::injection::/)'"),
    row(
        34,
        "malformed input",
        "8 targets, their corpora; long 10 minutes each: 0 panics, 0 answers of 5xx",
        "tools/fuzz all 600",
    ),
    row(
        35,
        "an operator who does alone what takes two",
        "every action of two people refused to one; the table's CHECK bites",
        "it 'test(/::proposals::/)'",
    ),
    row(
        38,
        "tests that cannot fail",
        "at least 25 planted bugs, all seen; long: 90 % of the mutants",
        "tools/plants; tools/mutants",
    ),
];

const BEGIN: &str = "<!-- scorecard -->";
const END: &str = "<!-- /scorecard -->";

/// A line of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Figure { row: u32, what: String, reached: u64 },
    Plant { plant: String, row: Option<u32>, caught_by: String },
}

/// What was noted of a row.
#[derive(Default)]
struct Noted {
    figures: BTreeMap<String, u64>,
    plants: BTreeMap<String, String>,
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: scorecard FILE");
        return ExitCode::from(2);
    };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let noted = read(&text);
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reliability.md");
    let old = std::fs::read_to_string(&document).expect("docs/reliability.md can be read");
    let (before, rest) = old.split_once(BEGIN).expect("docs/reliability.md has the first marker");
    let (_, after) = rest.split_once(END).expect("docs/reliability.md has the second marker");
    let new = format!("{before}{BEGIN}\n{}{END}{after}", table(&noted));
    std::fs::write(&document, new).expect("docs/reliability.md can be written");
    let missing: Vec<_> = ROWS.iter().map(|row| row.number).filter(|row| !has_figure(&noted, *row)).collect();
    let short: Vec<_> = LEAST.iter().filter_map(|least| short_of(&noted, *least)).collect();
    if missing.is_empty() && short.is_empty() {
        println!("docs/reliability.md: {} rows", ROWS.len());
        return ExitCode::SUCCESS;
    }
    short.iter().for_each(|short| eprintln!("scorecard: {short}"));
    if !missing.is_empty() {
        eprintln!("scorecard: no figure of the rows {missing:?}");
    }
    ExitCode::FAILURE
}

/// What a figure lacks.
fn short_of(noted: &BTreeMap<u32, Noted>, (row, words, least): (u32, &str, u64)) -> Option<String> {
    let figures = noted.get(&row).map(|noted| &noted.figures).into_iter().flatten();
    let reached: u64 = figures.filter(|(what, _)| what.starts_with(words)).map(|(_, reached)| reached).sum();
    (reached < least).then(|| format!("row {row}: {words}: {reached}, and it must be {least}"))
}

fn has_figure(noted: &BTreeMap<u32, Noted>, row: u32) -> bool {
    noted.get(&row).is_some_and(|noted| !noted.figures.is_empty())
}

/// What was noted, by row. Every planted bug counts for row 38 too.
fn read(text: &str) -> BTreeMap<u32, Noted> {
    let mut noted: BTreeMap<u32, Noted> = BTreeMap::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        match line {
            Line::Figure { row, what, reached } => {
                *noted.entry(row).or_default().figures.entry(what).or_default() += reached;
            }
            Line::Plant { plant, row, caught_by } => {
                *noted.entry(38).or_default().figures.entry("planted bugs seen".into()).or_default() += 1;
                if let Some(row) = row {
                    noted.entry(row).or_default().plants.insert(plant, caught_by);
                }
            }
        }
    }
    noted
}

fn table(noted: &BTreeMap<u32, Noted>) -> String {
    let nothing = Noted::default();
    let mut text = String::from("| row | fault | target | reached | command | planted bug, and what saw it |\n");
    text += "|---|---|---|---|---|---|\n";
    for Row { number, fault, target, command } in &ROWS {
        let noted = noted.get(number).unwrap_or(&nothing);
        let figures = noted.figures.iter().map(|(what, reached)| format!("{what}: {}", grouped(*reached)));
        let plants = noted.plants.iter().map(|(plant, caught_by)| format!("`{plant}`: {caught_by}"));
        let (figures, plants) = (joined(figures), joined(plants));
        let command = command.replace('|', "\\|");
        text += &format!("| {number} | {fault} | {target} | {figures} | `{command}` | {plants} |\n");
    }
    text
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.collect();
    if cells.is_empty() { "-".to_owned() } else { cells.join("<br>") }
}

/// 12345 as 12,345.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
