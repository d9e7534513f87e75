//! Hundi beside what bounds it, in one run on one machine. `bench/compare` starts it with a throwaway PostgreSQL server.
//!
//! | what | how |
//! |---|---|
//! | bare | `examples/bare.rs`: Hundi's accept loop and a handler that only parses and answers |
//! | Hundi | `hundi bench --self`: a new store, a new server and a new bank for each row and round |
//! | pgbench | TPC-B, `-M prepared`, on the same server with the same configuration as Hundi's databases |
//!
//! Everything is measured in rounds, one after the other, so that a machine that slows down slows all of them; medians of
//! the rounds are told. With `--growth` it is the same Hundi with ever more payouts stored, with `--fair` a merchant beside
//! another who is busy; both fail where the figures are not as they must be.

#![expect(clippy::float_arithmetic, reason = "rates, ratios and pictures are for people")]

#[path = "compare/fair.rs"]
mod fair;
#[path = "compare/growth.rs"]
mod growth;
#[path = "compare/picture.rs"]
mod picture;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

type Failure = Box<dyn std::error::Error>;

/// The embedded database accepts over 64 connections, as the target says. A server answers later, so it takes more of them
/// to keep it busy; whole payouts wait for the bank besides.
const CONNECTIONS_ACCEPT: u64 = 64;
const CONNECTIONS_ACCEPT_POSTGRES: u64 = 256;
const CONNECTIONS_PAYOUT: u64 = 512;

struct Options {
    postgres: String,
    seconds: u64,
    rounds: usize,
    quick: bool,
    growth: bool,
    fair: bool,
    /// Where filled stores stay.
    keep: Option<PathBuf>,
    sizes: Vec<u64>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
}

/// One thing that is measured.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Item {
    Bare,
    Hundi { mode: &'static str, store: &'static str, wallets: u64 },
    Pgbench { scale: u64, clients: u64 },
}

/// What it came to.
#[derive(Clone, Copy, Default, Debug)]
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Item {
    fn name(&self) -> String {
        match self {
            Item::Bare => "bare handler".to_owned(),
            Item::Hundi { mode, store, wallets: 1 } => format!("{mode}, {store}, 1 wallet"),
            Item::Hundi { mode, store, wallets } => format!("{mode}, {store}, {wallets} wallets"),
            Item::Pgbench { scale, clients } => format!("pgbench, scale {scale}, {clients} clients"),
        }
    }

    fn is_on(&self, wanted: &str) -> bool {
        matches!(self, Item::Hundi { store, .. } if *store == wanted)
    }
}

fn main() -> ExitCode {
    let done = options().and_then(|options| match (options.growth, options.fair) {
        (true, _) => growth::growth(&options),
        (_, true) => fair::fair(&options),
        (false, false) => compare(&options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench/compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Every row, or those of one wallet.
fn compare(options: &Options) -> Result<(), Failure> {
    let items = items(options.quick);
    make_pgbench(options, &items)?;
    let mut rounds = vec![Vec::new(); items.len()];
    for round in 1..=options.rounds {
        for (item, measured) in items.iter().zip(&mut rounds) {
            let figures = measure(options, item)?;
            eprintln!("round {round} of {}: {}: {:.0} a second", options.rounds, item.name(), figures.per_second);
            measured.push(figures);
        }
    }
    let rows: Vec<(Item, Figures)> = items.into_iter().zip(rounds.iter().map(|rounds| medians(rounds))).collect();
    print!("{}", table(&rows));
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", document(options, &rows)))?;
    }
    if let Some(path) = &options.svg {
        std::fs::write(path, picture::svg(&rows))?;
    }
    Ok(())
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        postgres: String::new(),
        seconds: 10,
        rounds: 3,
        quick: false,
        growth: false,
        fair: false,
        keep: None,
        sizes: vec![0, 1_000_000, 10_000_000],
        json: None,
        svg: None,
    };
    let mut seconds = None;
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--quick" => options.quick = true,
            "--growth" => options.growth = true,
            "--fair" => options.fair = true,
            "--keep" => options.keep = Some(value()?.into()),
            "--postgres" => options.postgres = value()?,
            "--seconds" => seconds = Some(value()?.parse()?),
            "--rounds" => options.rounds = value()?.parse()?,
            "--sizes" => options.sizes = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--json" => options.json = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            _ => return Err(format!("there is no option {name}; the head of bench/compare lists them").into()),
        }
    }
    options.seconds = seconds.unwrap_or(match (options.quick, options.fair) {
        (true, _) => 4,
        // One of 100 calls at 10 a second: fewer of them say nothing.
        (_, true) => 30,
        (false, false) => 10,
    });
    if [options.quick, options.growth, options.fair].iter().filter(|given| **given).count() > 1 {
        return Err("--quick, --growth and --fair exclude each other".into());
    }
    if options.keep.is_some() && !options.growth {
        return Err("--keep belongs to --growth".into());
    }
    if options.postgres.is_empty() || options.seconds == 0 || options.rounds == 0 || options.sizes.is_empty() {
        return Err("--postgres URL is needed (bench/compare gives it), and no number may be 0".into());
    }
    Ok(options)
}

fn items(quick: bool) -> Vec<Item> {
    let (wallets, scales): (&[u64], &[u64]) = if quick { (&[1], &[1]) } else { (&[1, 1_000], &[1, 50]) };
    let mut items = vec![Item::Bare];
    for store in ["sqlite", "postgres"] {
        for wallets in wallets {
            items.extend(["accept", "payout"].map(|mode| Item::Hundi { mode, store, wallets: *wallets }));
        }
    }
    for scale in scales {
        items.extend([1, 8, 32].map(|clients| Item::Pgbench { scale: *scale, clients }));
    }
    items
}

fn measure(options: &Options, item: &Item) -> Result<Figures, Failure> {
    let seconds = options.seconds.to_string();
    match item {
        Item::Bare => {
            let bare = Running::start("examples/bare")?;
            let connections = CONNECTIONS_ACCEPT.to_string();
            let target = ["--url", &bare.url, "--token", "bare", "--mode", "accept"];
            hundi(&[&target[..], &["--seconds", &seconds, "--connections", &connections]].concat())
        }
        Item::Hundi { mode, store, wallets } => {
            let connections = match (*mode, *store) {
                ("accept", "sqlite") => CONNECTIONS_ACCEPT,
                ("accept", _) => CONNECTIONS_ACCEPT_POSTGRES,
                _ => CONNECTIONS_PAYOUT,
            };
            let connections = connections.to_string();
            let wallets = wallets.to_string();
            let mut arguments = vec!["--self", "--mode", mode, "--wallets", &wallets, "--seconds", &seconds];
            arguments.extend(["--connections", connections.as_str()]);
            arguments.extend(is_on_store(options, store));
            hundi(&arguments)
        }
        Item::Pgbench { scale, clients } => {
            let (clients, threads) = (clients.to_string(), clients.min(&cores()).to_string());
            let database = database(&options.postgres, &format!("pgbench_{scale}"))?;
            let arguments = ["-n", "-M", "prepared", "-c", &clients, "-j", &threads, "-T", &seconds, &database];
            let text = run("pgbench", &arguments)?;
            let figure = |name: &str, after: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name))?;
                line.trim_start_matches(after).split_whitespace().next()?.parse::<f64>().ok()
            };
            let per_second = figure("tps = ", "").ok_or("pgbench did not say its rate")?;
            // pgbench tells the mean only.
            let mean_ms = figure("latency average = ", "").unwrap_or(0.0);
            Ok(Figures { per_second, p50_ms: mean_ms, p99_ms: 0.0 })
        }
    }
}

/// The options of a scratch store.
fn is_on_store<'a>(options: &'a Options, store: &str) -> Vec<&'a str> {
    if store == "postgres" { vec!["--database-url", &options.postgres] } else { Vec::new() }
}

/// The figures of `hundi bench`.
fn hundi(arguments: &[&str]) -> Result<Figures, Failure> {
    let told = checked(arguments)?;
    Ok(Figures {
        per_second: figure(&told, "per_second")?,
        p50_ms: figure(&told, "p50_ms")?,
        p99_ms: figure(&told, "p99_ms")?,
    })
}

/// `hundi bench`; every call must go as wanted, or the figures mean nothing.
fn checked(arguments: &[&str]) -> Result<Value, Failure> {
    let told = bench(arguments)?;
    for load in [&told, &told["beside"]].into_iter().filter(|load| !load.is_null()) {
        for trouble in ["errors", "unknown", "refused", "unsent"] {
            if load[trouble] != 0 {
                let (count, first) = (&load[trouble], &load["first_unwanted"]);
                return Err(format!("hundi bench {}: {trouble} {count}: {first}", arguments.join(" ")).into());
            }
        }
    }
    Ok(told)
}

fn figure(told: &Value, name: &str) -> Result<f64, Failure> {
    told[name].as_f64().ok_or_else(|| format!("hundi bench did not tell {name}").into())
}

fn bench(arguments: &[&str]) -> Result<Value, Failure> {
    let program = built("hundi")?;
    let text = run(&program.to_string_lossy(), &[&["bench", "--json"], arguments].concat())?;
    Ok(serde_json::from_str(&text)?)
}

fn make_pgbench(options: &Options, items: &[Item]) -> Result<(), Failure> {
    for scale in [1, 50] {
        if items.iter().any(|item| matches!(item, Item::Pgbench { scale: of, .. } if *of == scale)) {
            let name = format!("pgbench_{scale}");
            run("psql", &[&options.postgres, "-q", "-c", &format!("CREATE DATABASE {name}")])?;
            run("pgbench", &["-i", "-q", "-s", &scale.to_string(), &database(&options.postgres, &name)?])?;
        }
    }
    Ok(())
}

/// The URL of another database of the server.
fn database(server: &str, name: &str) -> Result<String, Failure> {
    let (hosts, _) = server.rsplit_once('/').ok_or("the URL of the server names no database")?;
    Ok(format!("{hosts}/{name}"))
}

/// Runs a program to its end; what it said.
fn run(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program).args(arguments).env_remove("HUNDI_KEY").stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {program}: {error}; `./check` installs what is needed"))?;
    if !output.status.success() {
        return Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A program beside this one: this is `target/release/examples/compare`.
fn built(name: &str) -> Result<PathBuf, Failure> {
    let here = std::env::current_exe()?;
    let path = here.parent().and_then(Path::parent).ok_or("this program has no place")?.join(name);
    if path.exists() { Ok(path) } else { Err(format!("{} is not built; use bench/compare", path.display()).into()) }
}

/// A server that ends when it is dropped.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(name: &str) -> Result<Running, Failure> {
        let mut child = Command::new(built(name)?).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("it has no output")?;
        let mut running = Running { child, url: String::new() };
        BufReader::new(stdout).read_line(&mut running.url)?;
        running.url.truncate(running.url.trim_end().len());
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn median<T>(rounds: &[T], of: fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn medians(rounds: &[Figures]) -> Figures {
    Figures {
        per_second: median(rounds, |figures| figures.per_second),
        p50_ms: median(rounds, |figures| figures.p50_ms),
        p99_ms: median(rounds, |figures| figures.p99_ms),
    }
}

fn rate(rows: &[(Item, Figures)], wanted: impl Fn(&Item) -> bool) -> f64 {
    rows.iter().filter(|(item, _)| wanted(item)).map(|(_, figures)| figures.per_second).fold(0.0, f64::max)
}

fn best_pgbench(rows: &[(Item, Figures)]) -> f64 {
    rate(rows, |item| matches!(item, Item::Pgbench { scale: 1, .. }))
}

fn table(rows: &[(Item, Figures)]) -> String {
    let (bare, pgbench) = (rate(rows, |item| *item == Item::Bare), best_pgbench(rows));
    let mut text =
        "| what | a second | of bare | of pgbench, scale 1, best | p50 ms | p99 ms |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for (item, figures) in rows {
        let Figures { per_second, p50_ms, p99_ms } = figures;
        let times = match item {
            Item::Pgbench { .. } => format!("mean {p50_ms:.1} | "),
            Item::Bare | Item::Hundi { .. } => format!("{p50_ms:.1} | {p99_ms:.1}"),
        };
        let (of_bare, of_pgbench) = (per_second / bare, per_second / pgbench);
        text += &format!("| {} | {per_second:.0} | {of_bare:.2} | {of_pgbench:.2} | {times} |\n", item.name());
    }
    text
}

fn document(options: &Options, rows: &[(Item, Figures)]) -> Value {
    let hundi = rows.iter().filter_map(|(item, figures)| match item {
        Item::Hundi { mode, store, wallets } => Some(json!({
            "mode": mode, "store": store, "wallets": wallets, "per_second": figures.per_second.round() as u64,
            "p50_ms": figures.p50_ms, "p99_ms": figures.p99_ms,
        })),
        Item::Bare | Item::Pgbench { .. } => None,
    });
    let mut document = json!({
        "floor": {
            "bare_http_per_second": rate(rows, |item| *item == Item::Bare).round() as u64,
            "pgbench_scale1_best_tps": best_pgbench(rows).round() as u64,
        },
        "rows": hundi.collect::<Vec<_>>(),
        "machine": machine(),
        "commit": commit(),
    });
    if !options.quick {
        let pgbench = rows.iter().filter_map(|(item, figures)| match item {
            Item::Pgbench { scale, clients } => {
                Some(json!({ "scale": scale, "clients": clients, "tps": figures.per_second.round() as u64 }))
            }
            Item::Bare | Item::Hundi { .. } => None,
        });
        document["pgbench"] = pgbench.collect();
        document["seconds"] = json!(options.seconds);
        document["rounds"] = json!(options.rounds);
    }
    document
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

fn machine() -> Value {
    let line = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?.split_once(':')?.1.trim().to_owned();
        Some(line)
    };
    let memory = line("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    json!({
        "cores": cores(),
        "cpu": line("/proc/cpuinfo", "model name"),
        "memory_mb": memory.map(|kib| kib / 1_024),
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).ok(),
        "postgres": run("postgres", &["--version"]).map(|text| text.trim().to_owned()).ok(),
    })
}

fn commit() -> String {
    let told = run("git", &["describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]);
    told.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
