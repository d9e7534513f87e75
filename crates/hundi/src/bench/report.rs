//! What a bench tells: a line while it runs, then a table or a document.

use super::load::Tally;
use super::process::Usage;
use super::{Options, Outcome, Target};
use serde_json::{Map, Value, json};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// A line on stderr that says how far it is; only where a person looks.
pub struct Progress {
    shown: bool,
    terminal: bool,
    of: Of,
    last: (Duration, u64),
}

enum Of {
    Time(Duration),
    Things(u64),
}

impl Progress {
    /// Of a time.
    pub fn new(lasts: Duration) -> Progress {
        Progress {
            shown: false,
            terminal: std::io::stderr().is_terminal(),
            of: Of::Time(lasts),
            last: Default::default(),
        }
    }

    /// Of so many things.
    pub fn of(things: u64) -> Progress {
        Progress { of: Of::Things(things), ..Progress::new(Duration::ZERO) }
    }

    /// So much is done after so long.
    pub fn show(&mut self, at: Duration, done: u64) {
        let since = at.saturating_sub(self.last.0);
        if !self.terminal || since < Duration::from_millis(400) {
            return;
        }
        let rate = per_second(done.saturating_sub(self.last.1), since);
        self.last = (at, done);
        let (part, whole, of) = match self.of {
            Of::Time(lasts) => (at.as_millis(), lasts.as_millis(), format!("{} of {}", seconds(at), seconds(lasts))),
            Of::Things(all) => (u128::from(done), u128::from(all), format!("{done} of {all}")),
        };
        let filled = usize::try_from(part * 30 / whole.max(1)).unwrap_or(0).min(30);
        eprint!("\r[{}{}] {of}, {rate} a second    ", "#".repeat(filled), ".".repeat(30 - filled));
        // A terminal that is gone shows nothing.
        std::io::stderr().flush().unwrap_or_default();
        self.shown = true;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprintln!();
        }
    }
}

/// So many in so long, a second.
pub fn per_second(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000 / took.as_micros().max(1)).unwrap_or(u64::MAX)
}

/// `12.3 s`.
pub fn seconds(time: Duration) -> String {
    format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100)
}

/// A whole number of thousandths as a number of JSON.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "for people; nothing is counted with it")]
fn thousandths(number: u64) -> Value {
    json!(number as f64 / 1_000.0)
}

/// The times and answers of one load.
fn figures(tally: &Tally) -> Map<String, Value> {
    let unknown = tally.codes.get(&6).copied().unwrap_or(0);
    let codes: Map<String, Value> = tally.codes.iter().map(|(code, count)| (code.to_string(), json!(count))).collect();
    let answers = [
        ("max_ms", thousandths(tally.times.longest_us())),
        ("answers_by_status_code", Value::Object(codes)),
        ("refused", json!(tally.unwanted.saturating_sub(unknown))),
        ("unknown", json!(unknown)),
        ("errors", json!(tally.errors)),
        ("unsent", json!(tally.unsent)),
        ("first_unwanted", json!(tally.first_unwanted)),
    ];
    [("p50_ms", 500), ("p95_ms", 950), ("p99_ms", 990), ("p999_ms", 999)]
        .map(|(name, per_mille)| (name, thousandths(tally.times.per_mille_us(per_mille))))
        .into_iter()
        .chain(answers)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// How many calls went as wanted.
fn good(tally: &Tally) -> u64 {
    tally.times.count() - tally.unsent
}

/// Puts the figures together.
pub fn report(
    options: &Options,
    target: &Target<'_>,
    tally: &Tally,
    beside: Option<&Tally>,
    before: &Usage,
    after: &Usage,
) -> Outcome {
    let (good, all) = (good(tally), good(tally) + beside.map_or(0, good));
    let used = |what: fn(&Usage) -> Option<u64>| Some(what(after)?.saturating_sub(what(before)?));
    // Milliseconds for 1,000 calls, in thousandths of a second.
    let cpu = |what| used(what).map(|ms| thousandths(ms * 1_000 / all.max(1)));
    let mut document = json!({
        "mode": options.mode.name(),
        "wallets": target.tokens.len(),
        "connections": options.connections,
        "seconds": options.seconds,
        "rate": options.rate,
        "per_second": per_second(good, tally.took),
        "wanted": good,
    });
    let add = |document: &mut Value, more: Map<String, Value>| {
        if let Value::Object(document) = document {
            document.extend(more);
        }
    };
    add(&mut document, figures(tally));
    document["beside"] = beside.map_or(Value::Null, |tally| {
        let good = self::good(tally);
        let mut beside = json!({
            "rate": options.beside,
            "connections": options.beside.map(super::connections_beside),
            // It is small, so a whole number would be too rough.
            "per_second": thousandths(per_second(good.saturating_mul(1_000), tally.took)),
            "wanted": good,
        });
        add(&mut beside, figures(tally));
        beside
    });
    let batches = after.batches.zip(before.batches).map(|(after, before)| {
        let of = |at: usize| after[at].saturating_sub(before[at]);
        let mean = |at: usize| thousandths(of(at) * 1_000 / of(0).max(1));
        json!({ "transactions": of(0), "jobs": mean(1), "rows": mean(2), "commit_ms": mean_ms(of(3), of(0)) })
    });
    document["batches"] = batches.unwrap_or(Value::Null);
    document["client_cpu_s_per_1000"] = json!(cpu(|usage| usage.client_ms));
    document["server"] = target.own.map_or(Value::Null, |site| {
        let mb = |kib: Option<u64>| kib.map(|kib| thousandths(kib * 1_000 / 1_024));
        json!({
            "engine": site.engine,
            "cpu_s_per_1000": cpu(|usage| usage.server_ms),
            "bank_cpu_s_per_1000": cpu(|usage| usage.bank_ms),
            "idle_mb": mb(site.idle_kib),
            "memory_mb": mb(site.hundi.memory_kib("VmRSS")),
            "most_memory_mb": mb(site.hundi.memory_kib("VmHWM")),
            "ready_ms": thousandths(site.ready_us),
        })
    });
    Outcome { text: table(&document), document }
}

fn mean_ms(us: u64, count: u64) -> Value {
    thousandths(us / count.max(1))
}

fn table(document: &Value) -> String {
    let mut lines = vec![("mode".to_owned(), mode_in_words(document)), ("load".to_owned(), load_in_words(document))];
    add_figures(&mut lines, document, "");
    let beside = &document["beside"];
    if !beside.is_null() {
        let (rate, connections) = (&beside["rate"], &beside["connections"]);
        let words = format!("{rate} whole payouts a second of another wallet by schedule, {connections} connections");
        lines.push(("beside".to_owned(), words));
        add_figures(&mut lines, beside, "  ");
    }
    let batches = &document["batches"];
    if !batches.is_null() {
        let text = format!(
            "{} transactions; on average {} jobs, {} rows, {} ms to commit",
            batches["transactions"], batches["jobs"], batches["rows"], batches["commit_ms"]
        );
        lines.push(("batches".to_owned(), text));
    }
    let server = &document["server"];
    if !server.is_null() {
        let cpu = format!(
            "{} s for 1,000; bank {} s, load {} s",
            server["cpu_s_per_1000"], server["bank_cpu_s_per_1000"], document["client_cpu_s_per_1000"]
        );
        lines.push(("processor".to_owned(), cpu));
        let memory = format!(
            "{} MB, at most {} MB; {} MB when idle",
            server["memory_mb"], server["most_memory_mb"], server["idle_mb"]
        );
        lines.push(("memory".to_owned(), memory));
        lines.push(("start to ready".to_owned(), format!("{} ms", server["ready_ms"])));
    }
    lines.into_iter().map(|(name, value)| format!("{name:<19}{value}\n")).collect()
}

/// The lines of one load.
fn add_figures(lines: &mut Vec<(String, String)>, load: &Value, indent: &str) {
    let mut add = |name: &str, value: String| lines.push((format!("{indent}{name}"), value));
    add("a second", load["per_second"].to_string());
    for (name, shown) in
        [("p50_ms", "p50"), ("p95_ms", "p95"), ("p99_ms", "p99"), ("p999_ms", "p99.9"), ("max_ms", "longest")]
    {
        add(shown, format!("{} ms", load[name]));
    }
    let codes = load["answers_by_status_code"].as_object().into_iter().flatten();
    let codes: Vec<String> = codes.map(|(code, count)| format!("{count} with StatusCode {code}")).collect();
    add("answers", codes.join(", "));
    for (name, shown) in [
        ("refused", "refused"),
        ("unknown", "unknown"),
        ("errors", "errors"),
        ("unsent", "not sent in time"),
        ("first_unwanted", "first of these"),
    ] {
        if load[name] != 0 && !load[name].is_null() || name == "errors" {
            add(shown, load[name].to_string());
        }
    }
}

fn mode_in_words(document: &Value) -> String {
    let words = match document["mode"].as_str() {
        Some("accept") => "accept: NEFT payouts, answered once their money is reserved",
        Some("payout") => "payout: IMPS payouts, answered once they are paid",
        _ => "status: calls for the status of payouts",
    };
    words.to_owned()
}

fn load_in_words(document: &Value) -> String {
    let (connections, wallets, seconds) = (&document["connections"], &document["wallets"], &document["seconds"]);
    let wallets = if *wallets == 1 { "1 wallet".to_owned() } else { format!("{wallets} wallets") };
    let rate = match &document["rate"] {
        Value::Null => "each asks when it is answered".to_owned(),
        rate => format!("{rate} calls a second by schedule, times from when each was due"),
    };
    format!("{connections} connections, {wallets}, {seconds} s; {rate}")
}
