//! Processes that the bench starts, and what they and their counters tell.

use super::{Stop, Target};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a process may take to say where it listens, and to be ready.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A process of this binary, killed when dropped.
pub struct Running {
    child: Child,
    /// What it said when it was ready.
    pub said: Value,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    /// Starts a subcommand that says one line of JSON once it listens; its log goes to a file.
    pub fn start(arguments: &[&str], database_url: Option<&str>, log: &Path) -> Result<Running, String> {
        let name = arguments.first().copied().unwrap_or_default();
        let failed = |error: io::Error| format!("cannot start `hundi {name}`: {error}");
        let file = File::create(log).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(arguments).arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        match database_url {
            Some(url) => command.env("HUNDI_DATABASE_URL", url),
            // Whatever database is meant by the environment, it is not the bench's.
            None => command.env_remove("HUNDI_DATABASE_URL"),
        };
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child.stdout.take();
        let mut running = Running { child, said: Value::Null };
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            // Whoever waited may have given up.
            sender.send(read.and_then(|_| serde_json::from_str(&line).ok())).unwrap_or_default();
        });
        let said = receiver.recv_timeout(STARTS_WITHIN).ok().flatten();
        running.said = said.filter(|said: &Value| said.get("error").is_none()).ok_or_else(|| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            format!("`hundi {name}` did not start: {}", log.lines().last().unwrap_or("it said nothing"))
        })?;
        Ok(running)
    }

    /// An address that it said, of `http://HOST:PORT`.
    pub fn address(&self, name: &str) -> Result<SocketAddr, String> {
        let url = self.said[name].as_str().and_then(|url| url.strip_prefix("http://")?.parse().ok());
        url.ok_or_else(|| format!("a process did not say its {name}"))
    }

    fn cpu_ms(&self) -> Option<u64> {
        cpu_ms(&self.child.id().to_string())
    }

    /// A line of its status, in KiB: `VmRSS` is what it holds now, `VmHWM` the most it ever held.
    pub fn memory_kib(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }
}

/// Processor time so far: user and system, which Linux tells in ticks of 10 ms.
fn cpu_ms(process: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold spaces; user time is the 12th field after it, system time the 13th.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * 10)
}

/// What was used at a moment.
#[derive(Default)]
pub struct Usage {
    /// Processor time of the server, the bank and the bench itself.
    pub server_ms: Option<u64>,
    /// The bank's.
    pub bank_ms: Option<u64>,
    /// The bench's own.
    pub client_ms: Option<u64>,
    /// Transactions, jobs and rows in them, and microseconds that their commits took.
    pub batches: Option<[u64; 4]>,
}

impl Usage {
    /// Now.
    pub fn read(target: &Target<'_>) -> Usage {
        Usage {
            server_ms: target.own.and_then(|site| site.hundi.cpu_ms()),
            bank_ms: target.own.and_then(|site| site.bank.cpu_ms()),
            client_ms: cpu_ms("self"),
            batches: target.operations.and_then(batches),
        }
    }
}

fn batches(operations: SocketAddr) -> Option<[u64; 4]> {
    let text = get(operations, "/metrics").ok()?;
    let metric = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    // Sums are printed as floats; these are whole, or in seconds to the microsecond.
    let whole = |name: &str| metric(name)?.split('.').next()?.parse().ok();
    Some([
        whole("hundi_batch_jobs_count")?,
        whole("hundi_batch_jobs_sum")?,
        whole("hundi_batch_rows_sum")?,
        seconds_as_micros(metric("hundi_commit_seconds_sum")?)?,
    ])
}

fn seconds_as_micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: String = part.chars().chain(std::iter::repeat('0')).take(6).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part.parse().ok()?)
}

/// A plain request on a connection of its own.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: hundi-bench\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Waits until a path answers 200.
pub fn until_answers(address: SocketAddr, path: &str, stop: &Stop) -> Result<(), String> {
    let began = tokio::time::Instant::now();
    while began.elapsed() < STARTS_WITHIN {
        stop.check()?;
        if get(address, path).is_ok_and(|text| text.starts_with("HTTP/1.1 200")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("nothing answers at http://{address}{path}"))
}

/// A folder that goes away with its owner.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays; the system clears its folder of temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_in_seconds_is_read_to_the_microsecond() {
        for (text, us) in [("0.0", 0), ("3", 3_000_000), ("0.25", 250_000), ("12.3456789", 12_345_678)] {
            assert_eq!(seconds_as_micros(text), Some(us), "{text}");
        }
        assert_eq!(seconds_as_micros("NaN"), None);
    }

    #[test]
    fn this_process_has_used_some_time() {
        assert!(cpu_ms("self").is_some() == Path::new("/proc/self/stat").exists());
    }
}
