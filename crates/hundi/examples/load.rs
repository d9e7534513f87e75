//! The load generator: how fast Hundi accepts and pays, beside a handler that only parses and answers, in one run.
//!
//! ```text
//! cargo build --release && cargo run --release --example load -- [--seconds 10] [--rounds 3] [--connections 64]
//!     [--mode accept|payout|both|bare] [--scratch DIR] [--json FILE]
//! ```
//!
//! | phase | what is measured |
//! |---|---|
//! | bare | a handler behind the same accept loop that reads, parses the JSON and answers a fixed body, in a process of its own |
//! | accept | NEFT payouts of one merchant with rising OrderIDs, each answered once it is durably reserved; the bank is sent to meanwhile |
//! | payout | IMPS payouts, each answered once the bank has paid and the ledger has settled; at 64 and at 512 connections |
//!
//! Every phase has a new store and a new bank, everything runs on this machine, and the phases are interleaved: the
//! medians of the rounds are printed. The client is raw sockets on two threads; each connection has one request in
//! flight.

#![expect(clippy::float_arithmetic, reason = "rates and times are for people")]

use bytes::Bytes;
use http_body_util::Full;
use hundi::http::serve::{Limits, read_body, serve};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;

const THREADS: usize = 2;
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// An answer that takes longer ends its connection and counts as an error.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// What the server is given before measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    seconds: u64,
    rounds: usize,
    connections: usize,
    mode: String,
    scratch: PathBuf,
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Bare,
    Accept,
    Payout,
}

/// What one phase of one round came to.
#[derive(Clone, Debug, Default)]
struct Measured {
    rate: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    /// Answers that were not the wanted one.
    other: f64,
    errors: f64,
    /// Jobs in a transaction, on average.
    batch: f64,
    cpu_per_1000_s: f64,
    bank_cpu_per_1000_s: f64,
    client_cpu_per_1000_s: f64,
    rss_mb: f64,
    idle_rss_mb: f64,
    ready_ms: f64,
}

impl Measured {
    const NAMES: [&'static str; 13] = [
        "rate",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "other",
        "errors",
        "batch",
        "cpu_per_1000_s",
        "bank_cpu_per_1000_s",
        "client_cpu_per_1000_s",
        "rss_mb",
        "idle_rss_mb",
        "ready_ms",
    ];

    fn values(&self) -> [f64; 13] {
        [
            self.rate,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.other,
            self.errors,
            self.batch,
            self.cpu_per_1000_s,
            self.bank_cpu_per_1000_s,
            self.client_cpu_per_1000_s,
            self.rss_mb,
            self.idle_rss_mb,
            self.ready_ms,
        ]
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    if std::env::args().nth(1).as_deref() == Some("--serve-bare") {
        return bare_server(&std::env::args().nth(2).ok_or("--serve-bare ADDRESS")?);
    }
    let scratch = std::env::temp_dir().join(format!("hundi-load-{}", std::process::id()));
    let mut options = Options { seconds: 10, rounds: 3, connections: 64, mode: "both".to_owned(), scratch, json: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--seconds" => options.seconds = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--connections" => options.connections = value.parse()?,
            "--mode" => options.mode = value,
            "--scratch" => options.scratch = value.into(),
            "--json" => options.json = Some(value.into()),
            _ => return Err(format!("no such option: {name}; the first lines of load.rs list them").into()),
        }
    }
    let plan: Vec<(Phase, usize)> = match options.mode.as_str() {
        "bare" => vec![(Phase::Bare, options.connections)],
        "accept" => vec![(Phase::Bare, options.connections), (Phase::Accept, options.connections)],
        "payout" => {
            vec![(Phase::Bare, options.connections), (Phase::Payout, options.connections), (Phase::Payout, 512)]
        }
        "both" => vec![
            (Phase::Bare, options.connections),
            (Phase::Accept, options.connections),
            (Phase::Payout, options.connections),
            (Phase::Payout, 512),
        ],
        other => return Err(format!("--mode {other}: use accept, payout, both or bare").into()),
    };
    if !(1..=600).contains(&options.seconds)
        || !(1..=20).contains(&options.rounds)
        || !(1..=4_000).contains(&options.connections)
    {
        return Err("--seconds is 1 to 600, --rounds 1 to 20, --connections 1 to 4000".into());
    }
    let hundi = hundi_binary()?;
    let mut rounds = vec![Vec::new(); plan.len()];
    for round in 0..options.rounds {
        for (place, (phase, connections)) in plan.iter().enumerate() {
            let folder = options.scratch.join(format!("{round}-{place}"));
            std::fs::create_dir_all(&folder)?;
            let measured = run_phase(&hundi, *phase, *connections, options.seconds, &folder)?;
            eprintln!(
                "round {} of {}: {phase:?} at {connections}: {:.0} a second",
                round + 1,
                options.rounds,
                measured.rate
            );
            rounds[place].push(measured);
            std::fs::remove_dir_all(&folder)?;
        }
    }
    std::fs::remove_dir_all(&options.scratch)?;
    report(&options, &plan, &rounds, &hundi)
}

/// The binary beside this example: `target/release/hundi` for `target/release/examples/load`.
fn hundi_binary() -> Result<PathBuf, Failure> {
    let here = std::env::current_exe()?;
    let hundi = here.parent().and_then(Path::parent).ok_or("this example has no place")?.join("hundi");
    if hundi.exists() {
        Ok(hundi)
    } else {
        Err(format!("{} is not there; run `cargo build --release`", hundi.display()).into())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(options: &Options, plan: &[(Phase, usize)], rounds: &[Vec<Measured>], hundi: &Path) -> Result<(), Failure> {
    let mut medians = Vec::new();
    for of_phase in rounds {
        let column = |index: usize| median(of_phase.iter().map(|measured| measured.values()[index]).collect());
        medians.push((0..Measured::NAMES.len()).map(column).collect::<Vec<f64>>());
    }
    let bare = medians[0][0];
    println!(
        "{:<7} {:>5} {:>9} {:>6} {:>8} {:>8} {:>8} {:>6} {:>6} {:>7} {:>9} {:>9} {:>9} {:>7}",
        "phase",
        "conns",
        "rate/s",
        "ratio",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "other",
        "errors",
        "batch",
        "cpu/1000",
        "bank cpu",
        "load cpu",
        "RSS MB"
    );
    for ((phase, connections), row) in plan.iter().zip(&medians) {
        println!(
            "{:<7} {:>5} {:>9.0} {:>6.2} {:>8.2} {:>8.2} {:>8.2} {:>6.0} {:>6.0} {:>7.1} {:>9.4} {:>9.4} {:>9.4} {:>7.1}",
            format!("{phase:?}").to_lowercase(),
            connections,
            row[0],
            row[0] / bare,
            row[1],
            row[2],
            row[3],
            row[4],
            row[5],
            row[6],
            row[7],
            row[8],
            row[9],
            row[10]
        );
    }
    let ours: Vec<&Vec<f64>> =
        plan.iter().zip(&medians).filter(|((phase, _), _)| *phase != Phase::Bare).map(|(_, row)| row).collect();
    let binary_mb = std::fs::metadata(hundi)?.len() as f64 / 1_048_576.0;
    let idle = ours.iter().map(|row| row[11]).fold(0.0, f64::max);
    let ready = ours.iter().map(|row| row[12]).fold(0.0, f64::max);
    println!(
        "start to ready {ready:.0} ms, idle RSS {idle:.1} MB, binary {binary_mb:.1} MB; {} rounds of {} s, medians",
        options.rounds, options.seconds
    );
    if let Some(path) = &options.json {
        let mut phases = Vec::new();
        for (place, (phase, connections)) in plan.iter().enumerate() {
            let row = &medians[place];
            let mut shown = json!({ "phase": format!("{phase:?}").to_lowercase(), "connections": connections, "ratio": row[0] / bare });
            for (name, value) in Measured::NAMES.iter().zip(row) {
                shown[*name] = json!(value);
            }
            shown["rates"] = rounds[place].iter().map(|measured| measured.rate).collect();
            phases.push(shown);
        }
        let document = json!({
            "seconds": options.seconds, "rounds": options.rounds, "binary_mb": binary_mb, "idle_rss_mb": idle, "ready_ms": ready, "phases": phases,
        });
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    Ok(())
}

/// A child process, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Running, Failure> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.args(arguments).env_remove("HUNDI_KEY").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Running(command.spawn()?))
    }

    /// Seconds of processor time so far: user and system, in ticks of 10 ms.
    fn cpu_s(&self) -> f64 {
        cpu_s(&self.0.id().to_string())
    }

    fn rss_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }
}

fn cpu_s(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold spaces; user time is the 12th field after it, system time the 13th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn run_tool(hundi: &Path, arguments: &[&str]) -> Result<Value, Failure> {
    let output = Command::new(hundi).args(arguments).env_remove("HUNDI_KEY").output()?;
    if !output.status.success() {
        return Err(format!("hundi {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A plain request on a connection of its own.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: load\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn until_answers(address: SocketAddr, path: &str) -> Result<(), Failure> {
    let began = Instant::now();
    while began.elapsed() < STARTS_WITHIN {
        if get(address, path).is_ok_and(|text| text.starts_with("HTTP/1.1 200")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("nothing answers at http://{address}{path}").into())
}

fn metric(address: SocketAddr, name: &str) -> f64 {
    let text = get(address, "/metrics").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

fn run_phase(hundi: &Path, phase: Phase, connections: usize, seconds: u64, folder: &Path) -> Result<Measured, Failure> {
    let (api, operations, bank_at) = (free_address()?, free_address()?, free_address()?);
    if phase == Phase::Bare {
        let me = std::env::current_exe()?;
        let server = Running::start(&me, &["--serve-bare", &api.to_string()], &folder.join("bare.log"))?;
        until_answers(api, "/ready")?;
        return measure(api, None, &server, None, phase, "bare", connections, seconds);
    }
    let config = folder.join("hundi.toml");
    let text = format!(
        "data = '{}'\n[api]\nlisten = '{api}'\n[operations]\nlisten = '{operations}'\nlog_level = 'warn'\n[sandbox]\nurl = 'http://{bank_at}'\n",
        folder.join("data").display()
    );
    std::fs::write(&config, text)?;
    let config = config.to_string_lossy().into_owned();
    let tool = |arguments: &[&str]| run_tool(hundi, &[arguments, &["--json", "--config", &config]].concat());
    tool(&["migrate"])?;
    tool(&["merchant", "add", "load", "--fees", "*:5.00"])?;
    tool(&["fund", "--merchant", "load", "--amount", "9000000000000.00", "--reference", "LOAD"])?;
    let made = tool(&["token", "new", "--merchant", "load", "--allow-ip", "127.0.0.1"])?;
    let token = made["token"].as_str().ok_or("no token")?;
    let (listen, callback) = (bank_at.to_string(), format!("http://{api}/connectors/sandbox/callback"));
    let data = folder.join("bank").to_string_lossy().into_owned();
    let options = ["bank", "--listen", &listen, "--data", &data, "--callback-url", &callback, "--times", "real"];
    let bank = Running::start(hundi, &options, &folder.join("bank.log"))?;
    until_answers(bank_at, "/healthz")?;
    let began = Instant::now();
    let server = Running::start(hundi, &["serve", "--config", &config], &folder.join("serve.log"))?;
    until_answers(operations, "/readyz")?;
    let ready_ms = began.elapsed().as_secs_f64() * 1_000.0;
    std::thread::sleep(WARM_UP);
    let idle_rss_mb = server.rss_mb();
    let measured = measure(api, Some(operations), &server, Some(&bank), phase, token, connections, seconds)?;
    Ok(Measured { ready_ms, idle_rss_mb, ..measured })
}

#[expect(clippy::too_many_arguments, reason = "one phase, in one place")]
fn measure(
    api: SocketAddr,
    operations: Option<SocketAddr>,
    server: &Running,
    bank: Option<&Running>,
    phase: Phase,
    token: &str,
    connections: usize,
    seconds: u64,
) -> Result<Measured, Failure> {
    let batches = || {
        operations.map_or((0.0, 0.0), |at| (metric(at, "hundi_batch_jobs_sum"), metric(at, "hundi_batch_jobs_count")))
    };
    let order = Arc::new(AtomicU64::new(1));
    load(api, phase, token, connections, WARM_UP, &order)?;
    let batches_before = batches();
    let bank_cpu = || bank.map_or(0.0, Running::cpu_s);
    let before = (server.cpu_s(), bank_cpu(), cpu_s("self"));
    let began = Instant::now();
    let answers = load(api, phase, token, connections, Duration::from_secs(seconds), &order)?;
    let took = began.elapsed().as_secs_f64();
    let after = (server.cpu_s(), bank_cpu(), cpu_s("self"));
    let batches_after = batches();
    let mut times = answers.times_us;
    times.sort_unstable();
    let good = times.len() as f64;
    let at = |part: f64| {
        times
            .get(((good * part) as usize).min(times.len().saturating_sub(1)))
            .map_or(0.0, |us| f64::from(*us) / 1_000.0)
    };
    let thousands = (good / 1_000.0).max(0.001);
    Ok(Measured {
        rate: good / took,
        p50_ms: at(0.50),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        other: answers.other as f64,
        errors: answers.errors as f64,
        batch: (batches_after.0 - batches_before.0) / (batches_after.1 - batches_before.1).max(1.0),
        cpu_per_1000_s: (after.0 - before.0) / thousands,
        bank_cpu_per_1000_s: (after.1 - before.1) / thousands,
        client_cpu_per_1000_s: (after.2 - before.2) / thousands,
        rss_mb: server.rss_mb(),
        ..Measured::default()
    })
}

/// What the connections heard.
#[derive(Default)]
struct Answers {
    times_us: Vec<u32>,
    other: u64,
    errors: u64,
}

impl Answers {
    fn add(&mut self, more: Answers) {
        self.times_us.extend(more.times_us);
        self.other += more.other;
        self.errors += more.errors;
    }
}

/// Keeps `connections` requests in flight for so long.
fn load(
    api: SocketAddr,
    phase: Phase,
    token: &str,
    connections: usize,
    lasts: Duration,
    order: &Arc<AtomicU64>,
) -> Result<Answers, Failure> {
    let template = Template::new(phase, token);
    let ends = Instant::now() + lasts;
    let threads = THREADS.min(connections);
    let mut all = Answers::default();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let mut running = Vec::new();
        for thread in 0..threads {
            let count = connections / threads + usize::from(thread < connections % threads);
            let (template, order) = (&template, Arc::clone(order));
            running.push(scope.spawn(move || -> Result<Answers, Failure> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let mut tasks = tokio::task::JoinSet::new();
                    for _ in 0..count {
                        tasks.spawn(connection(api, template.clone(), Arc::clone(&order), ends));
                    }
                    let mut answers = Answers::default();
                    while let Some(done) = tasks.join_next().await {
                        answers.add(done?);
                    }
                    Ok(answers)
                })
            }));
        }
        for thread in running {
            all.add(thread.join().map_err(|_| "a client thread failed")??);
        }
        Ok(())
    })?;
    Ok(all)
}

/// A request whose OrderID is a number of 12 digits at a known place.
#[derive(Clone)]
struct Template {
    bytes: Vec<u8>,
    digits_at: usize,
    wanted: &'static [u8],
}

const DIGITS: usize = 12;

impl Template {
    fn new(phase: Phase, token: &str) -> Template {
        let (mode, wanted): (_, &[u8]) = match phase {
            Phase::Payout => ("IMPS", b"{\"StatusCode\":1"),
            Phase::Accept => ("NEFT", b"{\"StatusCode\":2"),
            Phase::Bare => ("NEFT", b"{\"StatusCode\":1"),
        };
        let digits = "0".repeat(DIGITS);
        let body = format!(
            "{{\"Token\":\"{token}\",\"Number\":\"9876543210\",\"Amount\":\"200\",\"TransferMode\":\"{mode}\",\"AccountNo\":\"50100010001\",\
             \"IFSCCode\":\"HDFC0000001\",\"BeneficiaryName\":\"RUPESH KUMAR\",\"OrderID\":\"{digits}\"}}"
        );
        let digits_from_end = DIGITS + 2;
        let request = format!(
            "POST /PayoutBankTransafer HTTP/1.1\r\nhost: load\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Template { digits_at: request.len() - digits_from_end, bytes: request.into_bytes(), wanted }
    }

    fn order(&mut self, mut number: u64) {
        for place in (self.digits_at..self.digits_at + DIGITS).rev() {
            self.bytes[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
}

async fn connection(api: SocketAddr, mut template: Template, order: Arc<AtomicU64>, ends: Instant) -> Answers {
    let mut answers = Answers::default();
    let Ok(stream) = TcpStream::connect(api).await else {
        answers.errors += 1;
        return answers;
    };
    if stream.set_nodelay(true).is_err() {
        answers.errors += 1;
        return answers;
    }
    let mut buffer = Vec::with_capacity(4_096);
    while Instant::now() < ends {
        template.order(order.fetch_add(1, Ordering::Relaxed));
        let sent = Instant::now();
        match tokio::time::timeout(ANSWERS_WITHIN, exchange(&stream, &template, &mut buffer)).await {
            Ok(Ok(true)) => answers.times_us.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX)),
            Ok(Ok(false)) => answers.other += 1,
            Ok(Err(_)) | Err(_) => {
                answers.errors += 1;
                return answers;
            }
        }
    }
    answers
}

/// Sends the request and reads the answer; whether it is the wanted one.
async fn exchange(stream: &TcpStream, template: &Template, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut left = template.bytes.as_slice();
    while !left.is_empty() {
        match stream.try_write(left) {
            Ok(count) => left = &left[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    buffer.clear();
    let mut piece = [0; 2_048];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut piece) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if let Some(body) = whole(buffer)? {
            return Ok(buffer[body..].starts_with(template.wanted));
        }
    }
}

/// Where the body begins, once all of the answer is there.
fn whole(buffer: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let name = b"content-length: ";
    let broken = || io::Error::other("an answer without a length");
    let at = buffer[..head].windows(name.len()).position(|text| text.eq_ignore_ascii_case(name)).ok_or_else(broken)?
        + name.len();
    let length = buffer[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'));
    Ok((buffer.len() >= head + 4 + length).then_some(head + 4))
}

/// What a create has, as a handler would read it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    token: &'a str,
    number: &'a str,
    amount: &'a str,
    transfer_mode: &'a str,
    account_no: &'a str,
    #[serde(rename = "IFSCCode")]
    ifsc: &'a str,
    beneficiary_name: &'a str,
    #[serde(rename = "OrderID")]
    order: &'a str,
}

/// The yardstick: the same accept loop, a handler that only reads, parses and answers.
fn bare_server(address: &str) -> Result<(), Failure> {
    const ANSWER: &[u8] = b"{\"StatusCode\":1,\"Message\":\"Transaction Successful\",\"Data\":{\"ClientOrderID\":\"1223234\",\"OrderID\":\"188020200\",\
        \"BeneficiaryName\":\"RUPESH KUMAR VIRENDR\",\"RRN\":\"036516753713\",\"Status\":\"Success\"}}";
    let address: SocketAddr = address.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let (_stop, stopped) = watch::channel(false);
        let limits = Limits {
            header_time: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            headers_max: 100,
            connections_max: 4_096,
        };
        let handler = |_: IpAddr, request: Request<Incoming>| async move {
            let ready = request.uri().path() == "/ready";
            let body = read_body(request.into_body(), 64 * 1024, Duration::from_secs(10)).await.unwrap_or_default();
            let read = serde_json::from_slice::<Create<'_>>(&body).is_ok_and(|create| {
                let texts = [
                    create.token,
                    create.number,
                    create.amount,
                    create.transfer_mode,
                    create.account_no,
                    create.ifsc,
                    create.beneficiary_name,
                    create.order,
                ];
                texts.iter().all(|text| !text.is_empty())
            });
            let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
            if !read && !ready {
                *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
            }
            response
                .headers_mut()
                .insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
            response
        };
        // Whoever started it kills it; should he be gone, it ends by itself.
        drop(tokio::time::timeout(Duration::from_secs(900), serve(listener, limits, stopped, handler)).await);
        Ok(())
    })
}
