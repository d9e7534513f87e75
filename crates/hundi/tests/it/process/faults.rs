//! What goes wrong between Hundi and PostgreSQL, made to order: a [`Proxy`] that cuts connections around a COMMIT, or holds
//! them still; a [`Witness`] that counts what reaches the bank; and a [`Cluster`], a server with a standby that can die and
//! be followed by it.

use super::process::kit::{free_address, until};
use super::support::Folder;
use crate::database::{does, execute, rows};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a server may take to start, or to change.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Where a connection is cut, seen from a COMMIT that Hundi sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The server never gets it.
    Before,
    /// The server gets it, and Hundi hears no more, whether it is done or not.
    After,
    /// The server has done it and said so, and Hundi does not hear of it.
    Answer,
}

#[derive(Default)]
struct Plan {
    next: Option<Cut>,
    held: bool,
    open: Vec<TcpStream>,
}

#[derive(Default)]
struct Shared {
    plan: Mutex<Plan>,
    changed: Condvar,
    cuts: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    /// Waits while the connections are held still.
    fn pass(&self) {
        let mut plan = self.plan.lock().unwrap();
        while plan.held && !self.stop.load(Ordering::Relaxed) {
            plan = self.changed.wait(plan).unwrap();
        }
    }

    fn take_cut(&self) -> Option<Cut> {
        let cut = self.plan.lock().unwrap().next.take();
        if cut.is_some() {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_all();
        }
        cut
    }
}

/// A TCP proxy between Hundi and a PostgreSQL server, which knows a COMMIT when it sees one. Without TLS.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts it before a server.
    pub fn start(server: SocketAddr) -> Proxy {
        let shared = Arc::<Shared>::default();
        let for_each = Arc::clone(&shared);
        let address = listen(Arc::clone(&shared), move |client| relay(client, server, &for_each));
        Proxy { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the connection that next sends a COMMIT; waits until that has happened. False if none came in time.
    pub fn cut_next(&self, cut: Cut, within: Duration) -> bool {
        let mut plan = self.shared.plan.lock().unwrap();
        plan.next = Some(cut);
        let waiting = |plan: &mut Plan| plan.next.is_some();
        let (mut plan, timeout) = self.shared.changed.wait_timeout_while(plan, within, waiting).unwrap();
        plan.next = None;
        !timeout.timed_out()
    }

    /// How many connections were cut at a COMMIT.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// Cuts all connections now.
    pub fn cut_all(&self) {
        for stream in std::mem::take(&mut self.shared.plan.lock().unwrap().open) {
            // It may be closed already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// From now on nothing passes, or everything again. What is held is not lost.
    pub fn hold(&self, held: bool) {
        self.shared.plan.lock().unwrap().held = held;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // First, so that what is held does not arrive after all.
        self.cut_all();
        stop(&self.shared, self.address);
    }
}

/// Accepts connections on loopback until told to stop.
fn listen(shared: Arc<Shared>, each: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            each(client);
        }
    });
    address
}

fn stop(shared: &Shared, address: SocketAddr) {
    shared.stop.store(true, Ordering::Relaxed);
    shared.changed.notify_all();
    // Wakes the loop that accepts.
    drop(TcpStream::connect(address));
}

/// Two threads for a connection, one for each direction. One that cannot be made is closed at once.
fn relay(client: TcpStream, server: SocketAddr, shared: &Arc<Shared>) {
    let Ok(server) = TcpStream::connect_timeout(&server, Duration::from_secs(2)) else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let copies = [client.try_clone().unwrap(), server.try_clone().unwrap()];
    let mut plan = shared.plan.lock().unwrap();
    plan.open.extend(copies);
    drop(plan);
    let silenced = Arc::<AtomicBool>::default();
    let (to_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (for_answers, for_questions) = ((Arc::clone(shared), Arc::clone(&silenced)), Arc::clone(shared));
    std::thread::spawn(move || answers(from_server, to_client, &for_answers.0, &for_answers.1));
    std::thread::spawn(move || questions(client, server, &for_questions, &silenced));
}

fn both(one: &TcpStream, other: &TcpStream) {
    // Either may be closed already.
    drop(one.shutdown(Shutdown::Both));
    drop(other.shutdown(Shutdown::Both));
}

/// From the server to Hundi.
fn answers(mut server: TcpStream, mut client: TcpStream, shared: &Shared, silenced: &AtomicBool) {
    let mut piece = [0; 64 * 1024];
    while let Ok(count @ 1..) = server.read(&mut piece) {
        shared.pass();
        if silenced.load(Ordering::Acquire) || client.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    both(&server, &client);
}

/// From Hundi to the server, message by message.
fn questions(mut client: TcpStream, mut server: TcpStream, shared: &Shared, silenced: &AtomicBool) {
    let (mut messages, mut piece) = (Messages::default(), [0; 64 * 1024]);
    while let Ok(count @ 1..) = client.read(&mut piece) {
        messages.bytes.extend_from_slice(&piece[..count]);
        shared.pass();
        while let Some((message, commits)) = messages.next() {
            match if commits { shared.take_cut() } else { None } {
                Some(Cut::Before) => return both(&client, &server),
                Some(Cut::After) => {
                    silenced.store(true, Ordering::Release);
                    drop(server.write_all(&message));
                    drop(client.shutdown(Shutdown::Both));
                    // The server reads what it was sent, and then the end.
                    drop(server.shutdown(Shutdown::Write));
                    return;
                }
                // Its answer ends the connection.
                Some(Cut::Answer) => silenced.store(true, Ordering::Release),
                None => {}
            }
            if server.write_all(&message).is_err() {
                return both(&client, &server);
            }
        }
    }
    // Hundi is gone; the server may still be answering.
    drop(server.shutdown(Shutdown::Write));
}

/// Cuts what a client sends into messages, and knows which of them commits.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    started: bool,
    /// Prepared statements that commit, by name.
    commits: BTreeSet<Vec<u8>>,
}

impl Messages {
    /// The next whole message, and whether a transaction is committed by it.
    fn next(&mut self) -> Option<(Vec<u8>, bool)> {
        let head = usize::from(self.started);
        let length = self.bytes.get(head..head + 4)?;
        let length = head + usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
        if self.bytes.len() < length {
            return None;
        }
        let rest = self.bytes.split_off(length);
        let message = std::mem::replace(&mut self.bytes, rest);
        let commits = if self.started { self.look(&message) } else { false };
        // What asks for TLS or cancels has no version 3; after the version follow only messages with a letter.
        self.started = self.started || message[4..6] == [0, 3];
        Some((message, commits))
    }

    fn look(&mut self, message: &[u8]) -> bool {
        let mut texts = message[5..].split(|byte| *byte == 0);
        let mut text = || texts.next().unwrap_or_default();
        match message[0] {
            b'Q' => is_commit(text()),
            b'P' => {
                let (name, sql) = (text().to_vec(), text());
                if is_commit(sql) {
                    self.commits.insert(name)
                } else {
                    self.commits.remove(&name)
                };
                false
            }
            b'B' => {
                let (_portal, statement) = (text(), text());
                self.commits.contains(statement)
            }
            _ => false,
        }
    }
}

fn is_commit(sql: &[u8]) -> bool {
    let sql = String::from_utf8_lossy(sql);
    sql.trim().trim_end_matches(';').eq_ignore_ascii_case("commit")
}

#[test]
fn a_commit_is_known_however_it_is_sent() {
    let message =
        |kind: u8, body: &[u8]| [&[kind][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat();
    let start = [&16_u32.to_be_bytes()[..], &[0, 3, 0, 0], b"user\0x\0\0"].concat();
    assert_eq!(start.len(), 16);
    let all = [
        (start, false),
        (message(b'Q', b"BEGIN\0"), false),
        (message(b'Q', b"COMMIT\0"), true),
        (message(b'Q', b"SELECT 'COMMIT'\0"), false),
        (message(b'P', b"s1\0commit;\0\0\0"), false),
        (message(b'B', b"\0s1\0\0\0\0\0\0\0"), true),
        (message(b'P', b"s2\0SELECT 1\0\0\0"), false),
        (message(b'B', b"\0s2\0\0\0\0\0\0\0"), false),
        (message(b'S', b""), false),
    ];
    // Whole, and byte by byte.
    let stream: Vec<u8> = all.iter().flat_map(|(message, _)| message.clone()).collect();
    for step in [1, stream.len()] {
        let (mut messages, mut found) = (Messages::default(), Vec::new());
        for piece in stream.chunks(step) {
            messages.bytes.extend_from_slice(piece);
            found.extend(std::iter::from_fn(|| messages.next()));
        }
        assert_eq!(found, all);
    }
}

/// A relay before the bank that remembers which references were sent, and how often, and what was sent after its time.
pub struct Witness {
    address: SocketAddr,
    shared: Arc<Shared>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    sent: BTreeMap<String, u32>,
    late: Vec<String>,
}

/// A request may be on its way for so long on a busy machine.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

impl Witness {
    /// Starts it before a bank.
    pub fn start(bank: SocketAddr) -> Witness {
        let (shared, seen) = (Arc::<Shared>::default(), Arc::<Mutex<Seen>>::default());
        let for_each = Arc::clone(&seen);
        let address = listen(Arc::clone(&shared), move |mut client| {
            let Ok(mut bank) = TcpStream::connect(bank) else { return };
            let (mut from_bank, mut to_client) = (bank.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                // A connection that breaks is the caller's affair.
                drop(std::io::copy(&mut from_bank, &mut to_client));
                both(&from_bank, &to_client);
            });
            let seen = Arc::clone(&for_each);
            std::thread::spawn(move || {
                let (mut text, mut piece) = (String::new(), [0; 16 * 1024]);
                while let Ok(count @ 1..) = client.read(&mut piece) {
                    text.push_str(&String::from_utf8_lossy(&piece[..count]));
                    count_payments(&mut text, &seen);
                    if bank.write_all(&piece[..count]).is_err() {
                        break;
                    }
                }
                both(&client, &bank);
            });
        });
        Witness { address, shared, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often each reference was sent.
    pub fn sent(&self) -> BTreeMap<String, u32> {
        self.seen.lock().unwrap().sent.clone()
    }

    /// What was sent when the bank must not take it any more.
    pub fn late(&self) -> Vec<String> {
        self.seen.lock().unwrap().late.clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        stop(&self.shared, self.address);
    }
}

/// Takes the payments out of what was seen, once all that matters of them is there.
fn count_payments(text: &mut String, seen: &Mutex<Seen>) {
    const REFERENCE: &str = "\"reference\":\"";
    const UNTIL: &str = "\"valid_until_us\":";
    while let Some(at) = text.find("POST ") {
        let find = |name: &str| text[at..].find(name).map(|found| at + found + name.len());
        let (Some(reference), Some(until_at)) = (find(REFERENCE), find(UNTIL)) else { return };
        let Some(end) = text[until_at..].find(',') else { return };
        let reference = text[reference..reference + 15].to_owned();
        let until = UNIX_EPOCH + Duration::from_micros(text[until_at..until_at + end].parse().unwrap());
        let mut seen = seen.lock().unwrap();
        *seen.sent.entry(reference.clone()).or_default() += 1;
        if SystemTime::now() > until + ON_ITS_WAY {
            seen.late.push(reference);
        }
        text.drain(..until_at + end);
    }
    // Questions are of no interest; a word may be in two pieces.
    let keep = text.len().saturating_sub(8);
    let keep = (keep..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
    text.drain(..keep);
}

/// A throwaway PostgreSQL server, and a standby where one is wanted; gone with its owner. It keeps what it acknowledges as
/// a real one does, but for `fsync`, unless a line of its configuration says so: here only processes die.
pub struct Cluster {
    folder: Folder,
    ports: [u16; 2],
    /// Which of the two is the primary.
    primary: usize,
}

impl Cluster {
    /// A server with these lines of configuration.
    pub fn start(lines: &[&str]) -> Cluster {
        let ports = [free_address().port(), free_address().port()];
        let cluster = Cluster { folder: Folder::new(), ports, primary: 0 };
        let mut all = vec!["fsync = off", "wal_keep_size = 512MB"];
        all.extend(lines);
        cluster.tool("start", 0, &all, None);
        cluster
    }

    /// Adds a standby, which streams from the server itself or from a proxy before it. Replication is asynchronous.
    pub fn add_standby(&self, through: Option<SocketAddr>) {
        let of = self.path(self.primary);
        self.tool("standby", 1 - self.primary, &[of.to_str().unwrap()], through);
        until("the standby", STARTS_WITHIN, || self.streams("").then_some(()));
    }

    /// From now on a commit waits for the standby, or no more.
    pub fn synchronous(&self, wanted: bool) {
        let set = match wanted {
            true => "ALTER SYSTEM SET synchronous_standby_names = 'standby'",
            false => "ALTER SYSTEM RESET synchronous_standby_names",
        };
        execute(&self.url("postgres"), &[set, "SELECT pg_reload_conf()"]);
        let state = if wanted { "AND sync_state = 'sync'" } else { "AND sync_state = 'async'" };
        until("replication to change", STARTS_WITHIN, || self.streams(state).then_some(()));
    }

    fn streams(&self, and: &str) -> bool {
        let sql = format!("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' {and}");
        !rows(&self.url("postgres"), &sql).is_empty()
    }

    fn path(&self, which: usize) -> PathBuf {
        self.folder.path().join(["one", "two"][which])
    }

    /// What the primary keeps.
    pub fn data(&self) -> PathBuf {
        self.path(self.primary).join("data")
    }

    /// Gives a file or a folder to the user that the server runs as.
    pub fn owns(&self, path: &Path) {
        let server = std::fs::metadata(self.data()).unwrap();
        std::os::unix::fs::chown(path, Some(server.uid()), Some(server.gid())).unwrap();
    }

    fn address_of(&self, which: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[which]))
    }

    /// Where the primary is.
    pub fn address(&self) -> SocketAddr {
        self.address_of(self.primary)
    }

    /// A database of the primary, alone.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://hundi@{}/{database}", self.address())
    }

    /// A database of whichever is the primary, now and later.
    pub fn url_of_both(&self, database: &str) -> String {
        let [one, two] = [0, 1].map(|which| self.address_of(which));
        format!("postgres://hundi@{one},{two}/{database}?target_session_attrs=read-write")
    }

    /// A database of the standby, alone.
    pub fn url_of_standby(&self, database: &str) -> String {
        format!("postgres://hundi@{}/{database}", self.address_of(1 - self.primary))
    }

    /// `kill -9` of every process of the primary.
    pub fn kill_primary(&self) {
        self.tool("kill", self.primary, &[], None);
    }

    /// The primary starts again where it was.
    pub fn again(&self) {
        self.tool("again", self.primary, &[], None);
    }

    /// Waits until the primary answers, and starts it again if it has given up.
    pub fn revive(&self) {
        until("the server", STARTS_WITHIN, || {
            if !self.data().join("postmaster.pid").exists() {
                self.again();
            }
            does(&self.url("postgres"), "SELECT 1").then_some(())
        });
    }

    /// The standby becomes the primary; what was the primary is gone for good.
    pub fn promote(&mut self) {
        self.tool("promote", 1 - self.primary, &[], None);
        self.tool("remove", self.primary, &[], None);
        self.primary = 1 - self.primary;
    }

    fn tool(&self, what: &str, which: usize, rest: &[&str], through: Option<SocketAddr>) {
        // Its server goes on with what it was started with, so nobody may wait for the end of a pipe.
        let log = self.folder.path().join("tools.log");
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = self.command(what, which, rest);
        if let Some(address) = through {
            command.env("HUNDI_STANDBY_PORT", address.port().to_string());
        }
        let status = command.stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
        assert!(status.success(), "tools/postgres {what}: {}", std::fs::read_to_string(&log).unwrap());
    }

    fn command(&self, what: &str, which: usize, rest: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/postgres"));
        command.arg(what).arg(self.path(which)).args(rest).stdin(Stdio::null());
        command.env("HUNDI_POSTGRES_PORT", self.ports[which].to_string());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for which in [1 - self.primary, self.primary] {
            // A test that fails leaves whatever it was doing.
            drop(self.command("remove", which, &[]).stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}
