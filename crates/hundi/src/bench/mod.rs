//! `hundi bench`: how fast a Hundi is, on the machine of whoever asks.
//!
//! | option | what is measured |
//! |---|---|
//! | `--url URL --token TOKEN` | a Hundi that runs |
//! | `--self` | a Hundi of its own, with a sandbox bank, on a scratch store that goes away afterwards |
//! | `--self --data DIR` | the same on a store that `--preload` has filled, which stays |
//! | `--beside N` | with either, what another wallet notices of the load |
//! | `--preload N` | nothing: fills a store with N payouts that were paid |
//!
//! It never writes to a store that it has not made, but through the API of `--url`, as a merchant would.

mod histogram;
mod load;
mod preload;
mod process;
mod report;
mod scratch;

use clap::Args;
use hundi::clock::Clock;
use hundi::config::{Config, DatabaseUrl};
use load::{Mode, Numbers, Orders, Plan, Tally};
use serde_json::Value;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a server is given before measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);
/// Payouts that status calls ask for, where none were preloaded.
const PAYOUTS_FOR_STATUS: u64 = 2_000;
/// The most time to make them in.
const PAYOUTS_WITHIN: Duration = Duration::from_secs(60);

/// Options of `hundi bench`.
#[derive(Args)]
pub struct Options {
    /// A Hundi that runs, such as http://127.0.0.1:8080; its payouts are real
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A token of it; may be repeated, one for each wallet
    #[arg(long, value_name = "TOKEN")]
    token: Vec<String>,
    /// Where its operations are, such as http://127.0.0.1:8081, to tell the size of batches
    #[arg(long, value_name = "URL")]
    operations_url: Option<String>,
    /// Start a Hundi and a sandbox bank, on a scratch store or on the one that --preload filled in --data
    #[arg(long = "self")]
    own: bool,
    /// With --self, a PostgreSQL server: a database is made there and dropped afterwards. With --preload, the database
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Connections, each with one call in flight
    #[arg(long, default_value_t = 64, value_name = "N")]
    connections: usize,
    /// How long
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Wallets that take turns, with --self and --preload
    #[arg(long, value_name = "N")]
    wallets: Option<usize>,
    /// What is asked
    #[arg(long, value_enum, default_value_t = Mode::Payout)]
    mode: Mode,
    /// So many calls a second, whether or not answers come; times count from when a call was due
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
    /// Beside this, so many whole payouts a second of another wallet, told apart; with --url, that of the last --token
    #[arg(long, value_name = "N")]
    beside: Option<u64>,
    /// Fill a store with so many paid payouts; it must be empty, or filled so before
    #[arg(long, value_name = "N")]
    preload: Option<u64>,
    /// Ask a Hundi that is not on this machine: the payouts move money
    #[arg(long)]
    yes_i_mean_it: bool,
}

/// What a bench comes to.
pub struct Outcome {
    /// For a person.
    pub text: String,
    /// For a program.
    pub document: Value,
}

/// `hundi bench`. `config` is what --data or --config say, `data` what --data says.
pub fn bench(options: &Options, config: Config, data: Option<&Path>) -> Result<Outcome, String> {
    check(options)?;
    // As many connections as the system allows; the limit of a shell is often low.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: files.maximum, maximum: files.maximum };
    // If it is refused, connecting will say so.
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most).unwrap_or_default();
    let stop = Stop::by_signal()?;
    if let Some(payouts) = options.preload {
        let database_url = options.database_url.clone().map(DatabaseUrl).or(config.database_url.clone());
        let config = Config { database_url, ..config };
        return preload::preload(&config, payouts, options.wallets, &stop);
    }
    if options.own {
        // A scratch store is never where the environment says that the database is; one that was preloaded may be.
        let named = config.database_url.filter(|_| data.is_some()).map(|url| url.0);
        let database_url = options.database_url.clone().or(named);
        let beside = options.beside.is_some();
        let site = scratch::Site::start(data, database_url.as_deref(), options.wallets, beside, &stop)?;
        return measure(options, &site.target(), &stop);
    }
    let url = options.url.as_deref().unwrap_or_default();
    let address = resolve("--url", url)?;
    if !address.ip().is_loopback() && !options.yes_i_mean_it {
        return Err(format!(
            "{url} is not on this machine, and every call moves money of the wallet; add --yes-i-mean-it if you mean it"
        ));
    }
    let operations = options.operations_url.as_deref().map(|url| resolve("--operations-url", url)).transpose()?;
    let mut tokens = options.token.clone();
    let beside = options.beside.and_then(|_| tokens.pop());
    let target = Target { address, operations, tokens, beside, preloaded: 0, own: None };
    measure(options, &target, &stop)
}

fn check(options: &Options) -> Result<(), String> {
    let ways = [options.url.is_some(), options.own, options.preload.is_some()];
    if ways.iter().filter(|given| **given).count() != 1 {
        return Err("say what to measure: --url with --token, or --self; or what to fill, with --preload".to_owned());
    }
    if options.url.is_some() == options.token.is_empty() {
        return Err("--url needs a --token, and --token a --url: `hundi token new` makes one".to_owned());
    }
    if options.url.is_some() && options.beside.is_some() && options.token.len() < 2 {
        return Err("--beside needs two --token or more: the last is the wallet beside the others".to_owned());
    }
    if options.preload.is_some() && options.beside.is_some() {
        return Err("--beside belongs to a measurement; leave it out with --preload".to_owned());
    }
    if options.url.is_some() && (options.wallets.is_some() || options.database_url.is_some()) {
        return Err(
            "with --url, the tokens name the wallets and the server its store; leave --wallets and --database-url out"
                .to_owned(),
        );
    }
    if options.operations_url.is_some() && options.url.is_none() {
        return Err("--operations-url belongs to --url".to_owned());
    }
    for (name, value, most) in [
        ("--connections", options.connections as u64, 4_000),
        ("--seconds", options.seconds, 3_600),
        ("--wallets", options.wallets.unwrap_or(1) as u64, 10_000),
        ("--rate", options.rate.unwrap_or(1), 1_000_000),
        ("--beside", options.beside.unwrap_or(1), 10_000),
        ("--preload", options.preload.unwrap_or(1), 1_000_000_000),
    ] {
        if !(1..=most).contains(&value) {
            return Err(format!("{name} is {value}; it must be from 1 to {most}"));
        }
    }
    Ok(())
}

/// The address of `http://HOST:PORT`.
fn resolve(option: &str, url: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("{option} must be http://HOST:PORT, without a path; behind TLS, give the address within");
    let parsed = url::Url::parse(url).map_err(|_| wrong())?;
    let plain = parsed.scheme() == "http" && parsed.path() == "/" && parsed.query().is_none();
    let (Some(host), Some(port), true) = (parsed.host_str(), parsed.port_or_known_default(), plain) else {
        return Err(wrong());
    };
    let mut found = (host.trim_matches(['[', ']']), port)
        .to_socket_addrs()
        .map_err(|error| format!("{option}: cannot find {host}: {error}"))?;
    found.next().ok_or_else(|| format!("{option}: {host} has no address"))
}

/// Whom to ask.
pub struct Target<'a> {
    address: SocketAddr,
    operations: Option<SocketAddr>,
    tokens: Vec<String>,
    /// The wallet beside those, if there is one.
    beside: Option<String>,
    /// How many payouts were preloaded, for status calls.
    preloaded: u64,
    /// The processes, if they are ours.
    own: Option<&'a scratch::Site>,
}

/// Warms up, measures, and tells.
fn measure(options: &Options, target: &Target<'_>, stop: &Stop) -> Result<Outcome, String> {
    let seconds = Duration::from_secs(options.seconds);
    // Rising from run to run, as a merchant's are.
    let run = Clock::system().now().0 / 1_000;
    let mut progress = report::Progress::new(seconds);
    let plan = |mode: Mode, orders: Orders, lasts: Duration| Plan {
        address: target.address,
        mode,
        tokens: &target.tokens,
        orders,
        connections: options.connections,
        lasts,
        rate: options.rate,
        patience: load::PATIENCE,
    };
    let rising = |name: &str| Orders { prefix: format!("B{run}{name}-"), numbers: Numbers::Rising { last: u64::MAX } };
    let known = match (options.mode, target.preloaded) {
        (Mode::Accept | Mode::Payout, _) => None,
        (Mode::Status, 0) => {
            let orders = Orders { numbers: Numbers::Rising { last: PAYOUTS_FOR_STATUS }, ..rising("S") };
            let make = Plan { rate: None, ..plan(Mode::Accept, orders, PAYOUTS_WITHIN) };
            let made = load::run(make, stop, &mut |_, _| ())?;
            if made.times.count() != PAYOUTS_FOR_STATUS {
                return Err(nothing("the payouts for status calls could not be made", &made));
            }
            Some((rising("S").prefix, PAYOUTS_FOR_STATUS))
        }
        (Mode::Status, preloaded) => Some((preload::PREFIX.to_owned(), preloaded)),
    };
    let orders = |name: &str| match &known {
        Some((prefix, last)) => Orders { prefix: prefix.clone(), numbers: Numbers::Any { last: *last } },
        None => rising(name),
    };
    let beside = |name: &str, lasts: Duration| {
        let (rate, token) = options.beside.zip(target.beside.as_ref())?;
        Some(Plan {
            tokens: std::slice::from_ref(token),
            connections: connections_beside(rate),
            rate: Some(rate),
            ..plan(Mode::Payout, rising(name), lasts)
        })
    };
    let both = |plan: Plan<'_>, beside: Option<Plan<'_>>, progress: &mut dyn FnMut(Duration, u64)| {
        std::thread::scope(|scope| {
            let beside = beside.map(|beside| scope.spawn(|| load::run(beside, stop, &mut |_, _| ())));
            let tally = load::run(plan, stop, progress)?;
            let beside = beside.map(std::thread::ScopedJoinHandle::join).transpose();
            let beside = beside.map_err(|_| "the load beside has failed; please report it".to_owned())?.transpose()?;
            Ok::<_, String>((tally, beside))
        })
    };
    both(plan(options.mode, orders("W"), WARM_UP), beside("X", WARM_UP), &mut |_, _| ())?;
    let before = process::Usage::read(target);
    let main = plan(options.mode, orders(""), seconds);
    let (tally, beside) = both(main, beside("Y", seconds), &mut |at, wanted| progress.show(at, wanted))?;
    let after = process::Usage::read(target);
    drop(progress);
    if tally.times.count() == 0 {
        return Err(nothing("no call went as wanted", &tally));
    }
    if let Some(tally) = beside.as_ref().filter(|tally| tally.times.count() == 0) {
        return Err(nothing("no call of the wallet beside went as wanted", tally));
    }
    Ok(report::report(options, target, &tally, beside.as_ref(), &before, &after))
}

/// Connections of the wallet beside: enough that none of its calls waits for one while answers take less than a second.
fn connections_beside(rate: u64) -> usize {
    usize::try_from(rate).unwrap_or(usize::MAX).clamp(8, 512)
}

fn nothing(what: &str, tally: &Tally) -> String {
    let first = tally.first_unwanted.as_deref().unwrap_or("no answer at all");
    format!("{what}; the first answer was: {first}")
}

/// Whether somebody wants the bench to stop. What it started and made goes away then too.
#[derive(Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody ever does.
    #[cfg(test)]
    pub fn never() -> Stop {
        Stop(Arc::default())
    }

    /// By SIGINT or SIGTERM.
    fn by_signal() -> Result<Stop, String> {
        let stop = Stop(Arc::default());
        let told = Arc::clone(&stop.0);
        std::thread::spawn(move || {
            // Without it the signals end the process as ever, and what it made stays.
            if crate::run::block_on(crate::run::told()).is_ok() {
                told.store(true, Ordering::Relaxed);
            }
        });
        Ok(stop)
    }

    /// Whether.
    pub fn told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error if so.
    pub fn check(&self) -> Result<(), String> {
        if self.told() { Err("stopped by a signal".to_owned()) } else { Ok(()) }
    }
}
