//! The load: raw keep-alive connections, each with one request in flight, on a few threads.
//!
//! | loop | the next request begins | its time counts from |
//! |---|---|---|
//! | closed (no `--rate`) | when the answer before it is there | its own beginning |
//! | open (`--rate N`) | by a schedule that waits for nobody | the moment it was **scheduled**, also where no connection was free |
//!
//! So an open loop does not omit what a stalled server would have been asked meanwhile.
//!
//! Connections are made before the time begins: to open a thousand at once measures the kernel's queue of new ones, which
//! drops what does not fit and has it tried again a second later.

use super::Stop;
use super::histogram::Histogram;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// An answer that takes longer counts as an error.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// All connections are made within this, and those that are not later, when they are first used.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Between two tries to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
/// Digits of an OrderID after its prefix.
pub const DIGITS: usize = 12;
/// Bytes of an answer that are shown where none was as wanted.
const SHOWN_MAX: usize = 300;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Mode {
    /// NEFT payouts, answered once their money is reserved
    Accept,
    /// IMPS payouts, answered once they are paid
    Payout,
    /// Status calls
    Status,
}

impl Mode {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Accept => "accept",
            Mode::Payout => "payout",
            Mode::Status => "status",
        }
    }

    /// Whether an answer with this StatusCode is the wanted one.
    fn wants(self, code: u64) -> bool {
        code == 1 || code == 2 && self != Mode::Payout
    }
}

/// Which OrderIDs are named: a prefix and digits. A number belongs to the wallet that is its rest.
pub struct Orders {
    /// What they begin with.
    pub prefix: String,
    /// The numbers.
    pub numbers: Numbers,
}

/// The numbers of OrderIDs.
pub enum Numbers {
    /// From 1 up, to a last one.
    Rising {
        /// The last.
        last: u64,
    },
    /// Any from 1 to a last one.
    Any {
        /// The last.
        last: u64,
    },
}

/// What a run does.
pub struct Plan<'a> {
    /// Whom it asks.
    pub address: SocketAddr,
    /// What it asks.
    pub mode: Mode,
    /// Whose wallets, by token.
    pub tokens: &'a [String],
    /// About which orders.
    pub orders: Orders,
    /// Over so many connections.
    pub connections: usize,
    /// So long.
    pub lasts: Duration,
    /// So many a second, if they do not wait for answers.
    pub rate: Option<u64>,
    /// How long an answer may take; requests of an open loop that have not begun at its end still may for half of it.
    pub patience: Duration,
}

/// What came of a run.
#[derive(Default)]
pub struct Tally {
    /// The times of wanted answers.
    pub times: Histogram,
    /// All answers, by StatusCode.
    pub codes: BTreeMap<u64, u64>,
    /// Answers with a StatusCode that was not the wanted one.
    pub unwanted: u64,
    /// Connections that broke, and answers that had no StatusCode or did not come.
    pub errors: u64,
    /// Requests of an open loop that were never sent: even at the end of the time to catch up no connection was free.
    pub unsent: u64,
    /// The first answer or error that was not wanted.
    pub first_unwanted: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    /// One answer; whether it is a wanted one.
    fn hear(&mut self, mode: Mode, asked: io::Result<&[u8]>, took_us: u64) -> bool {
        let unwanted = match asked {
            Ok(body) => {
                let code = status_code(body);
                match code {
                    Some(code) => *self.codes.entry(code).or_default() += 1,
                    None => self.errors += 1,
                }
                if code.is_some_and(|code| mode.wants(code)) {
                    self.times.add(took_us);
                    return true;
                }
                self.unwanted += u64::from(code.is_some());
                String::from_utf8_lossy(&body[..body.len().min(SHOWN_MAX)]).into_owned()
            }
            Err(error) => {
                self.errors += 1;
                error.to_string()
            }
        };
        self.first_unwanted.get_or_insert(unwanted);
        false
    }

    fn add(&mut self, other: Tally) {
        self.times.merge(&other.times);
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self.unwanted += other.unwanted;
        self.errors += other.errors;
        self.first_unwanted = self.first_unwanted.take().or(other.first_unwanted);
    }
}

/// What all connections share.
struct Shared {
    plan: Work,
    /// The number of the last request that has begun.
    begun: AtomicU64,
    /// How many wanted answers there are.
    wanted: AtomicU64,
    began: Instant,
    ends: Instant,
    stop: Stop,
    patience: Duration,
    /// One permit for each request whose time has come; only in an open loop.
    due: Semaphore,
}

struct Work {
    address: SocketAddr,
    mode: Mode,
    requests: Vec<Request>,
    numbers: Numbers,
    rate: Option<u64>,
}

/// Runs a plan to its end. `progress` is told twice a second how long it has run and how many wanted answers there are.
pub fn run(plan: Plan<'_>, stop: &Stop, progress: &mut dyn FnMut(Duration, u64)) -> Result<Tally, String> {
    let requests = plan.tokens.iter().map(|token| Request::new(plan.mode, token, &plan.orders.prefix)).collect();
    let work = Work { address: plan.address, mode: plan.mode, requests, numbers: plan.orders.numbers, rate: plan.rate };
    let mut streams = connect(plan.address, plan.connections);
    let began = Instant::now();
    let shared = Arc::new(Shared {
        plan: work,
        begun: AtomicU64::new(0),
        wanted: AtomicU64::new(0),
        began,
        ends: began + plan.lasts,
        stop: stop.clone(),
        patience: plan.patience,
        due: Semaphore::new(0),
    });
    let threads = std::thread::available_parallelism().map_or(2, |cores| (cores.get() / 2).clamp(2, 8));
    let threads = threads.min(plan.connections);
    let mut all = Tally::default();
    std::thread::scope(|scope| -> Result<(), String> {
        let clients: Vec<_> = (0..threads)
            .map(|thread| {
                let count = plan.connections / threads + usize::from(thread < plan.connections % threads);
                let streams = streams.split_off(streams.len().saturating_sub(count));
                let shared = Arc::clone(&shared);
                scope.spawn(move || client(&shared, count, streams))
            })
            .collect();
        let released = plan.rate.map(|rate| {
            let shared = Arc::clone(&shared);
            scope.spawn(move || release(&shared, rate))
        });
        let mut told = Duration::ZERO;
        while !clients.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(5));
            if began.elapsed() > told + Duration::from_millis(500) {
                told = began.elapsed();
                progress(told, shared.wanted.load(Ordering::Relaxed));
            }
        }
        for client in clients {
            all.add(client.join().map_err(|_| "a thread of the load has failed; please report it")??);
        }
        all.took = began.elapsed();
        if let Some(released) = released {
            let released = released.join().map_err(|_| "the schedule of the load has failed; please report it")?;
            let begun = shared.begun.load(Ordering::Relaxed).min(released);
            all.unsent = released - begun;
            // They would have taken at least so long.
            for number in begun..released {
                all.times.add(micros(shared.scheduled(number).elapsed()));
            }
        }
        Ok(())
    })?;
    stop.check()?;
    Ok(all)
}

/// Lets the requests of an open loop begin when their time has come; gives back how many there were.
fn release(shared: &Shared, rate: u64) -> u64 {
    let mut released = 0;
    while Instant::now() < shared.ends && !shared.stop.told() {
        let due = micros(shared.began.elapsed()).saturating_mul(rate) / 1_000_000 + 1;
        shared.due.add_permits(usize::try_from(due - released).unwrap_or(usize::MAX));
        released = due;
        // A thread of its own sleeps more precisely than a timer of the runtime, which rounds up to a millisecond.
        std::thread::sleep(shared.scheduled(released).duration_since(Instant::now()).min(Duration::from_millis(100)));
    }
    while shared.due.available_permits() > 0 && shared.ends.elapsed() < shared.patience / 2 && !shared.stop.told() {
        std::thread::sleep(Duration::from_millis(5));
    }
    shared.due.close();
    released
}

/// Makes connections one after the other, as many as can be had in time.
fn connect(address: SocketAddr, connections: usize) -> Vec<std::net::TcpStream> {
    let ends = Instant::now() + CONNECT_WITHIN;
    let made = (0..connections).map_while(|_| {
        let left = ends.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        let stream = std::net::TcpStream::connect_timeout(&address, left).ok()?;
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).ok()?;
        Some(stream)
    });
    made.collect()
}

/// One thread of connections, some of which are made already.
fn client(shared: &Arc<Shared>, connections: usize, made: Vec<std::net::TcpStream>) -> Result<Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the load: {error}"))?;
    runtime.block_on(async {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut tasks = tokio::task::JoinSet::new();
        let mut made = made.into_iter();
        for _ in 0..connections {
            let kept = made.next().and_then(|stream| TcpStream::from_std(stream).ok());
            tasks.spawn(connection(Arc::clone(shared), Arc::clone(&tally), kept));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|_| "a connection of the load has failed; please report it")?;
        }
        Ok(std::mem::take(&mut *locked(&tally)))
    })
}

impl Shared {
    /// When the request after so many others is scheduled.
    fn scheduled(&self, number: u64) -> Instant {
        let rate = self.plan.rate.unwrap_or(1).max(1);
        self.began + Duration::from_micros(number.saturating_mul(1_000_000) / rate)
    }

    /// Waits until another request is due; its number, from 0, and the moment from which its time counts.
    async fn next(&self) -> Option<(u64, Instant)> {
        if self.stop.told() {
            return None;
        }
        if self.plan.rate.is_some() {
            self.due.acquire().await.ok()?.forget();
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            return Some((number, self.scheduled(number)));
        }
        let now = Instant::now();
        (now < self.ends).then(|| (self.begun.fetch_add(1, Ordering::Relaxed), now))
    }

    /// The number of the order that a request names.
    fn order(&self, request: u64) -> Option<u64> {
        match self.plan.numbers {
            Numbers::Rising { last } => (request < last).then_some(request + 1),
            Numbers::Any { last } => Some(mix(request) % last.max(1) + 1),
        }
    }
}

/// Asks until nothing is left to ask. A connection that broke is made anew.
async fn connection(shared: Arc<Shared>, tally: Arc<Mutex<Tally>>, mut kept: Option<TcpStream>) {
    let (mut request, mut answer) = (Vec::new(), Vec::with_capacity(4_096));
    while let Some((number, scheduled)) = shared.next().await {
        let Some(order) = shared.order(number) else { return };
        let wallets = shared.plan.requests.len() as u64;
        let wallet = usize::try_from(order % wallets).unwrap_or(0);
        shared.plan.requests[wallet].write(&mut request, order);
        let asked = tokio::time::timeout(shared.patience, ask(shared.plan.address, &mut kept, &request, &mut answer));
        let asked = asked.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)));
        let failed = asked.is_err();
        let took_us = micros(scheduled.elapsed());
        if locked(&tally).hear(shared.plan.mode, asked.map(|body| &answer[body..]), took_us) {
            shared.wanted.fetch_add(1, Ordering::Relaxed);
        }
        if failed {
            kept = None;
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }
}

/// Sends a request and reads the answer; where its body begins. A server may close a connection that is idle: what was
/// kept and breaks before anything of the answer has come is asked again on a new one, under the same OrderID.
async fn ask(
    address: SocketAddr,
    kept: &mut Option<TcpStream>,
    request: &[u8],
    answer: &mut Vec<u8>,
) -> io::Result<usize> {
    if let Some(stream) = kept {
        match exchange(stream, request, answer).await {
            Ok(body) => return Ok(body),
            Err(error) if !answer.is_empty() => return Err(error),
            Err(_) => {}
        }
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = kept.insert(stream);
    exchange(stream, request, answer).await
}

async fn exchange(stream: &TcpStream, mut request: &[u8], answer: &mut Vec<u8>) -> io::Result<usize> {
    answer.clear();
    while !request.is_empty() {
        match stream.try_write(request) {
            Ok(count) => request = &request[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    let mut piece = [0; 2_048];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut piece) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if let Some(body) = whole(answer)? {
            return Ok(body);
        }
    }
}

/// Where the body begins, once all of the answer is there.
fn whole(answer: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let name = b"content-length: ";
    let broken = || io::Error::other("an answer without a content-length");
    let at = answer[..head].windows(name.len()).position(|text| text.eq_ignore_ascii_case(name)).ok_or_else(broken)?;
    Ok((answer.len() as u64 >= (head + 4) as u64 + number(&answer[at + name.len()..])).then_some(head + 4))
}

/// The code of `{"StatusCode":N,...`.
fn status_code(body: &[u8]) -> Option<u64> {
    let rest = body.strip_prefix(b"{\"StatusCode\":")?;
    rest.first()?.is_ascii_digit().then(|| number(rest))
}

/// The number that a text begins with.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).take(12);
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// A request whose OrderID ends in digits at a known place.
struct Request {
    bytes: Vec<u8>,
    digits_at: usize,
}

impl Request {
    fn new(mode: Mode, token: &str, prefix: &str) -> Request {
        // As JSON has it, whatever is in it.
        let token = serde_json::Value::from(token);
        let order = format!("{prefix}{}", "0".repeat(DIGITS));
        let (path, body) = match mode {
            Mode::Accept | Mode::Payout => {
                let rail = if mode == Mode::Payout { "IMPS" } else { "NEFT" };
                let body = format!(
                    "{{\"Token\":{token},\"Number\":\"9876543210\",\"Amount\":\"200\",\"TransferMode\":\"{rail}\",\
                     \"AccountNo\":\"50100010001\",\"IFSCCode\":\"HDFC0000001\",\"BeneficiaryName\":\"RUPESH KUMAR\",\
                     \"OrderID\":\"{order}\"}}"
                );
                ("/PayoutBankTransafer", body)
            }
            Mode::Status => {
                ("/PayoutTransactionStatusByClientRef", format!("{{\"Token\":{token},\"OrderID\":\"{order}\"}}"))
            }
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: hundi-bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let bytes = format!("{head}{body}").into_bytes();
        Request { digits_at: bytes.len() - DIGITS - 2, bytes }
    }

    /// Writes the request about the order with this number.
    fn write(&self, buffer: &mut Vec<u8>, mut order: u64) {
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        for digit in buffer[self.digits_at..self.digits_at + DIGITS].iter_mut().rev() {
            *digit = b'0' + (order % 10) as u8;
            order /= 10;
        }
    }
}

/// Numbers without an order, the same in every run (splitmix64).
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_order_and_an_answer_its_code() {
        let mut bytes = Vec::new();
        Request::new(Mode::Payout, "to\"ken", "B17-").write(&mut bytes, 1_234);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["OrderID"], &body["Token"]), (&"B17-000000001234".into(), &"to\"ken".into()));
        assert!(head.ends_with(&format!("content-length: {}", text.len() - head.len() - 4)), "{head}");

        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"StatusCode\":26}";
        assert_eq!(whole(answer).unwrap().map(|at| status_code(&answer[at..])), Some(Some(26)));
        assert_eq!(whole(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(status_code(b"\"1.00\""), None);
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn what_a_stalled_server_was_not_asked_counts_all_the_same() {
        // A server that accepts and never answers: one connection, 100 requests a second, for a fifth of a second.
        let server = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let tokens = ["token".to_owned()];
        let plan = Plan {
            address: server.local_addr().unwrap(),
            mode: Mode::Payout,
            tokens: &tokens,
            orders: Orders { prefix: "B-".to_owned(), numbers: Numbers::Rising { last: u64::MAX } },
            connections: 1,
            lasts: Duration::from_millis(200),
            rate: Some(100),
            patience: Duration::from_millis(600),
        };
        let tally = run(plan, &Stop::never(), &mut |_, _| ()).unwrap();
        assert_eq!(tally.errors, 1, "{:?}", tally.first_unwanted);
        assert!((19..=21).contains(&(tally.unsent + 1)), "{}", tally.unsent);
        assert_eq!(tally.times.count(), tally.unsent);
        assert!(tally.times.per_mille_us(10) >= 300_000);
    }
}
