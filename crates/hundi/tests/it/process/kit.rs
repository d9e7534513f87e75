//! What black-box tests are made of: real processes of the real binary, a plain keep-alive HTTP client, and a merchant's
//! receiver that outlives everything. All waiting is bounded.

use super::super::support::Folder;
use hundi::config::DatabaseUrl;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The binary under test.
const HUNDI: &str = env!("CARGO_BIN_EXE_hundi");
/// Starts, stops and command-line tools that take longer are stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Waits until something is so; panics with `what` if it does not come to it in time.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process of the binary, killed when dropped. Its stdout and stderr go to files.
pub struct Process {
    child: Child,
    out: PathBuf,
}

impl Process {
    /// Starts it; `out` is where its output goes, with `.stdout` and `.stderr` added.
    pub fn start(args: &[&str], out: &Path) -> Process {
        let mut command = Command::new(HUNDI);
        command.args(args);
        Process::spawn(command, out, None)
    }

    /// Starts it on a folder's database.
    fn start_on(folder: &Folder, args: &[&str], out: &Path) -> Process {
        let mut command = Command::new(HUNDI);
        command.args(args);
        Process::spawn(command, out, folder.database_url())
    }

    /// Starts it with SIGXFSZ ignored, so that a limit on the size of files makes its writes fail instead of ending it.
    pub fn start_limitable(args: &[&str], out: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", HUNDI]).args(args);
        Process::spawn(command, out, None)
    }

    fn spawn(mut command: Command, out: &Path, database: Option<DatabaseUrl>) -> Process {
        let file = |end: &str| File::options().create(true).append(true).open(out.with_extension(end)).unwrap();
        environment(&mut command, database);
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        Process { child: command.spawn().unwrap(), out: out.to_owned() }
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.out.with_extension("stdout")).unwrap()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.out.with_extension("stderr")).unwrap()
    }

    /// Panics with its log if it has ended.
    pub fn must_live(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("ended with {status}: {}", self.stderr());
        }
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// SIGSTOP: it does nothing until it is told to go on.
    pub fn pause(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::STOP).unwrap();
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::CONT).unwrap();
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; how it ended and how long that took.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        let status = until("the end after SIGTERM", Duration::from_secs(15), || self.child.try_wait().unwrap());
        (status, began.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a command-line tool did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// What the program reads from its environment is nothing but this.
fn environment(command: &mut Command, database: Option<DatabaseUrl>) {
    command.env_remove("HUNDI_KEY").env_remove("HUNDI_DATABASE_URL");
    if let Some(DatabaseUrl(url)) = database {
        command.env("HUNDI_DATABASE_URL", url);
    }
}

/// Runs the binary to its end, at most a minute.
pub fn run(args: &[&str]) -> Ran {
    run_with(None, args)
}

/// The same on a folder's database.
pub fn run_on(folder: &Folder, args: &[&str]) -> Ran {
    run_with(folder.database_url(), args)
}

/// The same on a database.
pub fn run_with(database: Option<DatabaseUrl>, args: &[&str]) -> Ran {
    let mut command = Command::new(HUNDI);
    environment(&mut command, database);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let Ok(output) = end.recv_timeout(STUCK) else {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        panic!("hundi {args:?} did not end within {STUCK:?}");
    };
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    // A signal has no code.
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Panics unless a run ended with this code and one sentence with these words.
pub fn says(name: &str, ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{name}: {}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{name}: no `{word}` in: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{name}: {}", ran.stderr);
    assert_eq!(ran.stdout, "", "{name}");
    if code == 1 {
        assert!(ran.stderr.lines().any(|line| line.starts_with("hundi: ")), "{name}: {}", ran.stderr);
    }
}

/// An address on loopback that is free now. Below the range from which the kernel takes ports for outgoing connections,
/// so that it is still free when a process is started there again.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for _ in 0..1_000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (u64::from(std::process::id()) * 37 + number) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The `StatusCode` of the envelope.
    pub fn code(&self) -> i64 {
        self.json()["StatusCode"].as_i64().unwrap_or_else(|| panic!("no StatusCode: {}", self.body))
    }
}

/// One keep-alive connection. It is opened when first used, and again after an error; nothing is ever sent twice.
pub struct Http {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Http {
    pub fn new(address: SocketAddr) -> Http {
        Http { address, stream: None, buffer: Vec::new() }
    }

    /// A connection to `http://ADDRESS`.
    pub fn to(url: &str) -> Http {
        Http::new(url.strip_prefix("http://").unwrap().parse().unwrap())
    }

    pub fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&mut self, path: &str, body: &str) -> io::Result<Reply> {
        self.send("POST", path, &[("content-type", "application/json")], body.as_bytes())
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let result = self.exchange(&bytes);
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.set_write_timeout(Some(Duration::from_secs(30)))?;
            self.stream = Some(stream);
            self.buffer.clear();
        }
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(request)?;
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            fill(stream, &mut self.buffer)?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let broken = || io::Error::other("the answer is not HTTP/1.1 with a length");
        let status = text.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map(|length| length.trim().parse::<usize>());
        let length = length.transpose().map_err(|_| broken())?.unwrap_or(0);
        while self.buffer.len() < head + length {
            fill(stream, &mut self.buffer)?;
        }
        let body = String::from_utf8_lossy(&self.buffer[head..head + length]).into_owned();
        self.buffer.drain(..head + length);
        if text.contains("connection: close") {
            self.stream = None;
        }
        Ok(Reply { status, body })
    }
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 16 * 1024];
    match stream.read(&mut piece)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            buffer.extend_from_slice(&piece[..count]);
            Ok(())
        }
    }
}

/// A call that a merchant's receiver got.
#[derive(Clone, Debug)]
pub struct Call {
    pub at: Instant,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Call {
    /// A parameter of the query; those of callbacks need no decoding here.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.path.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A merchant's receiver: it survives whatever happens to Hundi.
pub struct Receiver {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    answers: Arc<AtomicU16>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, answers, stop) =
            (Arc::<Mutex<Vec<Call>>>::default(), Arc::new(AtomicU16::new(204)), Arc::<AtomicBool>::default());
        let receiver =
            Receiver { address, calls: Arc::clone(&calls), answers: Arc::clone(&answers), stop: Arc::clone(&stop) };
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (calls, answers, stop) = (Arc::clone(&calls), Arc::clone(&answers), Arc::clone(&stop));
                // A connection that breaks is the caller's affair.
                std::thread::spawn(move || drop(receive(stream, &calls, &answers, &stop)));
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on it answers with this status.
    pub fn answer(&self, status: u16) {
        self.answers.store(status, Ordering::Relaxed);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the loop that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn receive(mut stream: TcpStream, calls: &Mutex<Vec<Call>>, answers: &AtomicU16, stop: &AtomicBool) -> io::Result<()> {
    let mut buffer = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (method, path, headers, _) = read_request(&mut stream, &mut buffer, stop)?;
        let path = if method == "GET" { path } else { "not a GET".to_owned() };
        calls.lock().unwrap().push(Call { at: Instant::now(), path, headers });
        let status = answers.load(Ordering::Relaxed);
        stream.write_all(format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n").as_bytes())?;
    }
    Ok(())
}

/// A request: method, path, headers with names in lower case, and body.
pub type Request = (String, String, Vec<(String, String)>, Vec<u8>);

/// Reads the next request of a connection, whose bytes `buffer` keeps. An error at its end, or when told to stop.
pub fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, stop: &AtomicBool) -> io::Result<Request> {
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.set_nodelay(true)?;
    let mut wait_for_more = |buffer: &mut Vec<u8>| loop {
        match fill(stream, buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
            other => return other,
        }
    };
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        wait_for_more(buffer)?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, length)| length.parse());
    let length = length.transpose().map_err(io::Error::other)?.unwrap_or(0);
    while buffer.len() < length {
        wait_for_more(buffer)?;
    }
    Ok((method, path, headers, buffer.drain(..length).collect()))
}

/// The body of a payout to an account.
pub fn pay_body(token: &str, order: &str, rupees: i64, mode: &str, account: &str) -> String {
    format!(
        "{{\"Token\":\"{token}\",\"Number\":\"9876543210\",\"Amount\":\"{rupees}\",\"TransferMode\":\"{mode}\",\"AccountNo\":\"{account}\",\
         \"IFSCCode\":\"HDFC0000001\",\"BeneficiaryName\":\"RUPESH KUMAR\",\"OrderID\":\"{order}\"}}"
    )
}

/// The body of a status call.
pub fn status_body(token: &str, order: &str) -> String {
    format!("{{\"Token\":\"{token}\",\"OrderID\":\"{order}\"}}")
}

pub const PAY: &str = "/PayoutBankTransafer";
pub const STATUS: &str = "/PayoutTransactionStatusByClientRef";

/// `hundi demo --json` with its ready line.
pub struct Demo {
    pub process: Process,
    pub api: String,
    pub bank: String,
    pub token: String,
    pub merchant: String,
}

impl Demo {
    /// Starts it on free ports, in the folder `data` of this one, which also gets its output.
    pub fn start(folder: &Folder, callback_url: &str) -> Demo {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let out = folder.path().join(format!("demo-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let data = folder.config().data;
        let data = data.to_str().unwrap();
        let args = ["demo", "--json", "--listen", "127.0.0.1:0", "--data", data, "--callback-url", callback_url];
        let mut process = Process::start_on(folder, &args, &out);
        let line = until("the demo's line", STUCK, || {
            process.must_live();
            process.stdout().split_once('\n').map(|(line, rest)| (line.to_owned(), rest.to_owned()))
        });
        assert_eq!(line.1, "", "exactly one line");
        let ready: Value = serde_json::from_str(&line.0).unwrap();
        let names: Vec<&str> = ready.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["api_url", "bank_url", "merchant_id", "token", "data"]);
        assert_eq!(ready["data"], data);
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let (api, bank, token, merchant) = (text("api_url"), text("bank_url"), text("token"), text("merchant_id"));
        Demo { process, api, bank, token, merchant }
    }
}

/// `hundi serve` and `hundi bank` in two folders, with merchant `shop`.
pub struct Site {
    pub folder: Folder,
    pub api: SocketAddr,
    pub operations: SocketAddr,
    pub bank: SocketAddr,
    pub token: String,
    /// What follows in hundi.toml under `[api]` and `[sandbox]`.
    pub under_api: String,
    pub sandbox: String,
    /// What stands between Hundi and the bank, and between the bank that calls and Hundi.
    pub before_bank: Option<SocketAddr>,
    pub before_api: Option<SocketAddr>,
}

/// One more `hundi serve` on a site's database, with addresses and a folder of its own.
pub struct Member {
    pub api: SocketAddr,
    pub operations: SocketAddr,
    config: PathBuf,
    log: PathBuf,
}

impl Member {
    /// Starts it and waits until it is ready.
    pub fn start(&self) -> Process {
        let mut serve = Process::start(&["serve", "--config", self.config.to_str().unwrap()], &self.log);
        until("/readyz", STUCK, || {
            serve.must_live();
            Http::new(self.operations).get("/readyz").ok().filter(|reply| reply.status == 200)
        });
        serve
    }
}

impl Site {
    /// A migrated store with merchant `shop`, who has `rupees`, pays 5.00 + GST a payout, and has a token for loopback.
    /// `options` go into hundi.toml under `[operations]`.
    pub fn new(rupees: &str, options: &str) -> Site {
        Site::on(Folder::new(), rupees, options)
    }

    /// The same in this folder.
    pub fn on(folder: Folder, rupees: &str, options: &str) -> Site {
        let mut site = Site {
            folder,
            api: free_address(),
            operations: free_address(),
            bank: free_address(),
            token: String::new(),
            under_api: String::new(),
            sandbox: String::new(),
            before_bank: None,
            before_api: None,
        };
        std::fs::write(site.path("secret"), "a secret of the bank").unwrap();
        site.configure(options);
        assert_eq!(site.cli(&["migrate"]).code, 0);
        site.cli(&["merchant", "add", "shop", "--fees", "*:5.00"]).json();
        if rupees != "0" {
            site.cli(&["fund", "--merchant", "shop", "--amount", rupees, "--reference", "OPENING"]).json();
        }
        site.token = site.new_token();
        site
    }

    /// Writes hundi.toml.
    pub fn configure(&self, options: &str) {
        let text = self.text(&self.data(), (self.api, self.operations), options);
        std::fs::write(self.path("hundi.toml"), text).unwrap();
    }

    fn text(&self, data: &Path, (api, operations): (SocketAddr, SocketAddr), options: &str) -> String {
        let database = self.folder.database_url();
        let database = database.map_or(String::new(), |DatabaseUrl(url)| format!("database_url = '{url}'\n"));
        format!(
            "data = '{data}'\nkey_file = '{key}'\n{database}[api]\nlisten = '{api}'\n{under_api}[operations]\nlisten = '{operations}'\n\
             anchors_every_s = 1\n{options}\n[callbacks]\nallow_private = true\n\
             [sandbox]\nurl = 'http://{bank}'\ncallback_secret_file = '{secret}'\n{sandbox}",
            data = data.display(),
            key = self.data().join("hundi.key").display(),
            bank = self.before_bank.unwrap_or(self.bank),
            secret = self.path("secret").display(),
            under_api = self.under_api,
            sandbox = self.sandbox,
        )
    }

    /// One more process on the same database.
    pub fn member(&self, number: usize, options: &str) -> Member {
        let (api, operations) = (free_address(), free_address());
        let (config, log) = (self.path(&format!("hundi-{number}.toml")), self.path(&format!("serve-{number}-log")));
        let data = self.path(&format!("data-{number}"));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&config, self.text(&data, (api, operations), options)).unwrap();
        Member { api, operations, config, log }
    }

    /// The process of the site itself, as one of several.
    pub fn first(&self) -> Member {
        Member {
            api: self.api,
            operations: self.operations,
            config: self.path("hundi.toml"),
            log: self.path("serve-log"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn config(&self) -> String {
        self.path("hundi.toml").to_str().unwrap().to_owned()
    }

    /// A command-line tool on this store, with `--json`.
    pub fn cli(&self, args: &[&str]) -> Ran {
        run(&[args, &["--json", "--config", &self.config()]].concat())
    }

    /// The same, killed after so long unless it has ended; true if it had done what it was asked for.
    pub fn cli_cut(&self, args: &[&str], after: Duration) -> bool {
        let mut tool = Process::start(&[args, &["--json", "--config", &self.config()]].concat(), &self.path("cut-log"));
        std::thread::sleep(after);
        let ended = tool.child.try_wait().unwrap();
        tool.kill();
        ended.is_some_and(|status| status.success())
    }

    pub fn new_token(&self) -> String {
        let made = self.cli(&["token", "new", "--merchant", "shop", "--allow-ip", "127.0.0.1"]).json();
        made["token"].as_str().unwrap().to_owned()
    }

    /// Starts the bank and waits until it answers.
    pub fn start_bank(&self, fault: &str) -> Process {
        self.start_bank_of("sandbox", self.bank, fault)
    }

    /// Starts the bank of a connector at an address and waits until it answers.
    pub fn start_bank_of(&self, connector: &str, at: SocketAddr, fault: &str) -> Process {
        let (listen, api) = (at.to_string(), self.before_api.unwrap_or(self.api));
        let callback = format!("http://{api}/connectors/{connector}/callback");
        let (data, secret) = (self.path(&format!("bank-{connector}")), self.path("secret"));
        let args = [
            "bank",
            "--listen",
            &listen,
            "--data",
            data.to_str().unwrap(),
            "--callback-url",
            &callback,
            "--callback-secret-file",
            secret.to_str().unwrap(),
            "--fault",
            fault,
            "--seed",
            "11",
            "--times",
            "demo",
        ];
        let mut bank = Process::start(&args, &self.path(&format!("bank-{connector}-log")));
        until("the bank", STUCK, || {
            bank.must_live();
            Http::new(at).get("/healthz").ok().filter(|reply| reply.status == 200)
        });
        bank
    }

    /// Starts `hundi serve`, and waits for nothing.
    pub fn spawn_serve(&self) -> Process {
        Process::start(&["serve", "--config", &self.config()], &self.path("serve-log"))
    }

    /// Starts `hundi serve` and waits until it is ready.
    pub fn start_serve(&self) -> Process {
        self.ready(self.spawn_serve())
    }

    /// Waits until `/readyz` says yes.
    pub fn ready(&self, mut serve: Process) -> Process {
        until("/readyz", STUCK, || {
            serve.must_live();
            Http::new(self.operations).get("/readyz").ok().filter(|reply| reply.status == 200)
        });
        serve
    }

    /// What the merchant can spend, in paise.
    pub fn balance_paise(&self) -> i64 {
        let reply = Http::new(self.api).post(&format!("/UserWalletBalance?token={}", self.token), "").unwrap();
        paise(reply.json().as_str().unwrap())
    }

    /// Pays another 100 rupees over a rail with each call; the StatusCode.
    pub fn payer<'a>(&'a self, mode: &'a str) -> impl FnMut() -> i64 + 'a {
        let mut next = 0;
        move || {
            next += 1;
            let body = pay_body(&self.token, &format!("{mode}-{next}"), 100, mode, "50100010001");
            Http::new(self.api).post(PAY, &body).unwrap().code()
        }
    }

    /// The bank's book.
    pub fn book(&self) -> Vec<Value> {
        book(self.bank)
    }

    /// Panics unless every law holds.
    pub fn verify(&self) {
        let ran = self.cli(&["verify"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.json()["holds"], true);
    }

    /// A metric's value, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = Http::new(self.operations).get("/metrics").unwrap().body;
        let value = |line: &str| line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>().unwrap());
        text.lines().filter(|line| line.starts_with(name)).filter_map(value).sum()
    }
}

/// The bank's book.
pub fn book(bank: SocketAddr) -> Vec<Value> {
    let reply = Http::new(bank).get("/book").unwrap();
    assert_eq!(reply.status, 200);
    serde_json::from_str(&reply.body).unwrap()
}

/// `1234.50` in paise.
pub fn paise(rupees: &str) -> i64 {
    let (whole, hundredths) = rupees.split_once('.').unwrap();
    assert_eq!(hundredths.len(), 2, "{rupees}");
    format!("{whole}{hundredths}").parse().unwrap()
}

/// Says why a test cannot run here. In `./check`, which writes figures and skips nothing in silence, that is a failure.
pub fn cannot_run(why: &str) {
    assert!(std::env::var_os("HUNDI_SCORES").is_none(), "this test cannot run here: {why}");
    println!("not run: {why}");
}

/// A small file system in memory over a folder, with what the folder held; unmounted with its owner.
pub struct Mounted {
    folder: PathBuf,
    ballast: PathBuf,
}

impl Mounted {
    pub const NEEDS: &str = "a file system cannot be mounted: it takes root";

    /// Mounts one with these options. `None` where that is not allowed, and then nothing is changed.
    pub fn over(folder: &Path, options: &str) -> Option<Mounted> {
        let held = folder.with_extension("held");
        std::fs::rename(folder, &held).unwrap();
        std::fs::create_dir(folder).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            std::fs::remove_dir(folder).unwrap();
            std::fs::rename(&held, folder).unwrap();
            return None;
        }
        let mounted = Mounted { folder: folder.to_owned(), ballast: folder.join("ballast") };
        // As they are, with their owners.
        let copied = Command::new("cp").arg("-a").arg(held.join(".")).arg(folder).status().unwrap();
        assert!(copied.success(), "{} is too small", folder.display());
        std::fs::remove_dir_all(&held).unwrap();
        Some(mounted)
    }

    /// Fills it but for so many bytes.
    pub fn fill(&self, but_bytes: u64) {
        let mut file = File::create(&self.ballast).unwrap();
        let piece = [1; 4096];
        while file.write_all(&piece).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(but_bytes)).unwrap();
    }

    /// Takes away what filled it.
    pub fn make_room(&self) {
        std::fs::remove_file(&self.ballast).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still have a file open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Whether these bytes occur in a file.
pub fn holds(path: &Path, needle: &[u8]) -> bool {
    contains(&std::fs::read(path).unwrap(), needle)
}

/// Whether these bytes occur in others.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| byte == first) {
        if haystack[from + at + 1..].starts_with(rest) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// Numbers that look random and are the same in each run.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// At least `from`, less than `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        from + self.0 % (to - from)
    }

    /// Less than this.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.between(0, end as u64)).unwrap()
    }
}
