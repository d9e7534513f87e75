//! The banks. What to send and what a reply means are pure functions, one file per bank; one executor sends.
//!
//! A connector never decides what a payout becomes: it turns an order into a request and a reply into a [`Word`].
//!
//! | what every bank that speaks HTTP has in common | outcome |
//! |---|---|
//! | no connection, or a forbidden address | not written |
//! | time-out, reset, a reply that is cut off | silent |
//! | 1xx, 3xx, 409, 429, 5xx | silent |
//! | 401, 403 to the request that pays | not written, and the operator is alarmed |
//! | 401, 403 to a question | silent, and the operator is alarmed |
//! | everything else | as the bank's own file says |

pub mod admin;
pub mod cashfree;
#[cfg(test)]
mod example;
pub mod files;
pub mod razorpayx;
pub mod sandbox;
pub mod segurapay;

use crate::config::{self, Config, Dialect};
use crate::http_out::{OutError, OutReply, OutRequest, Reach, check_url};
use crate::locked;
use files::FileBank;
use hundi_core::command::{ConnectorRules, Outcome, Word};
use hundi_core::formats::Line;
use hundi_core::ids::{Connector, MerchantId, OrderId, Reference};
use hundi_core::money::Amount;
use hundi_core::party::{AccountNumber, Beneficiary, Ifsc, Mobile, PersonName, Vpa};
use hundi_core::plant::{Plant, planted};
use hundi_core::rails::Rail;
use hundi_core::schedule::{SECOND, Timestamp};
use hundi_core::signing;
use hyper::Method;
use hyper::http::request::Parts;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// A shorter secret could be guessed, and an empty one would sign for everybody.
const SECRET_BYTES_LEAST: usize = 8;
/// A call older or newer than this is not believed: it may be a replay.
const CALL_AGE_MAX_S: u64 = 300;
/// The most characters of a bank's reference that are kept, and of its reason.
const LABEL_CHARS_MAX: usize = 35;
const REASON_CHARS_MAX: usize = 100;

/// Everything that a bank must know to pay.
#[derive(Debug)]
pub struct Transfer<'a> {
    /// Our reference.
    pub reference: Reference,
    /// How much.
    pub amount: Amount,
    /// Over which rail.
    pub rail: Rail,
    /// To where.
    pub beneficiary: &'a Beneficiary,
    /// To whom.
    pub name: &'a PersonName,
    /// The bank must not execute it later than this.
    pub send_before: Timestamp,
}

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Our reference.
    pub reference: Reference,
    /// Now, for signatures that carry a time.
    pub now: Timestamp,
    /// The bank has it, if at all, since before this.
    pub send_before: Timestamp,
    /// Whether the bank has said before that it paid. What it says of a failure then is that the money came back.
    pub paid: bool,
}

/// What a reply answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// The request that pays. No other under this reference can be at the bank: only one of which nothing was done is
    /// sent again.
    ToPay,
    /// The question what became of it.
    WhatBecame(Question),
}

/// A call that somebody made to us in a bank's name.
pub struct Call<'a> {
    /// The method, path and headers.
    pub head: &'a Parts,
    /// The body.
    pub body: &'a [u8],
    /// Now.
    pub now: Timestamp,
}

impl Call<'_> {
    /// A header, where it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Whether a call that names this moment, in seconds, is no replay.
    fn is_fresh(&self, at_s: i64) -> bool {
        at_s.abs_diff(self.now.0 / SECOND) <= CALL_AGE_MAX_S || planted(Plant::StaleCall)
    }

    /// Whether its headers prove, after Standard Webhooks, that whoever knows the secret has sent `content` lately.
    fn proves(&self, secret: Option<&[u8]>, content: &[u8]) -> bool {
        let proof = || {
            let (id, signature) = (self.header("webhook-id")?, self.header("webhook-signature")?);
            let at_s: i64 = self.header("webhook-timestamp")?.parse().ok()?;
            Some(self.is_fresh(at_s) && signing::verify(secret?, id, at_s, content, signature))
        };
        proof().unwrap_or(false)
    }
}

/// What a bank's call to us says.
#[derive(Debug)]
pub struct Called {
    /// Whether the call proves that the bank made it.
    pub signed: bool,
    /// About which reference.
    pub reference: Reference,
    /// What it says.
    pub word: Word,
}

/// Why a call says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoWord {
    /// It cannot be read.
    Unreadable,
    /// It is about no payment of ours: it is answered as heard, because a bank stops calling who refuses its calls.
    NotOurs,
}

/// An entry of an account, as its bank lists it.
#[derive(Debug)]
pub struct Entry {
    /// When it was booked.
    pub at: Timestamp,
    /// The balance after it, paise.
    pub balance_paise: i64,
    /// What it says as lines of a statement: one, or two where the bank has taken its fee with it.
    pub lines: Vec<Line>,
}

/// Some entries of an account, in the order of the bank.
#[derive(Debug)]
pub struct Page {
    /// The account's number.
    pub account: Box<str>,
    /// Each, or what is wrong with it.
    pub entries: Vec<Result<Entry, &'static str>>,
    /// Whether there may be more.
    pub full: bool,
}

/// A bank that speaks HTTP: what to send it, and what its replies and calls mean. Pure, so that each row of its table
/// "reply -> outcome" is a line of a test.
pub trait Bank: std::fmt::Debug + Send + Sync {
    /// Its contract.
    fn rules(&self) -> ConnectorRules;
    /// How long it may take to answer.
    fn reply_within(&self) -> Duration;
    /// Whether this bank can carry such a payment at all; if not, why, in words fit for the merchant. Then nothing is sent,
    /// and another bank may try.
    fn carries(&self, _: &Transfer<'_>) -> Result<(), &'static str> {
        Ok(())
    }
    /// The request that pays what the bank [carries](Bank::carries).
    fn request(&self, transfer: &Transfer<'_>) -> OutRequest;
    /// The question what became of a reference; `None` where the bank answers none.
    fn enquiry(&self, question: Question) -> Option<OutRequest>;
    /// What a reply means. Only an explicit word about this reference pays or refuses; everything else is silence.
    fn outcome(&self, reference: Reference, asked: Asked, reply: &Result<OutReply, OutError>) -> Word;
    /// What its answer about a reference that cannot exist shows, of a bank that never says "not found": that it is the bank
    /// that answers. `None` where it does not, and of every other bank.
    fn answers_strangers(&self, _: &OutReply) -> Option<&'static str> {
        None
    }
    /// The question for what was booked on the account from one moment to before another, after the first `skip` entries;
    /// `None` where the bank answers none.
    fn entries(&self, _: (Timestamp, Timestamp), _skip: usize) -> Option<OutRequest> {
        None
    }
    /// What the answer says; `None` where it is none.
    fn page(&self, _: &[u8]) -> Option<Page> {
        None
    }
    /// How often it may be called; `None` is as often as we like.
    fn pace(&self) -> Option<&Pace> {
        None
    }
    /// The method of its calls to us.
    fn calls_by(&self) -> Method {
        Method::POST
    }
    /// What a call says.
    fn called(&self, call: &Call<'_>) -> Result<Called, NoWord>;
}

/// How a bank is given what it has to pay.
#[derive(Debug)]
enum Door {
    /// It is called.
    Calls(Box<dyn Bank>),
    /// It is given files.
    Files(Box<FileBank>),
}

impl Door {
    fn rules(&self) -> ConnectorRules {
        match self {
            Door::Calls(bank) => bank.rules(),
            Door::Files(bank) => bank.rules(),
        }
    }
}

/// What a connector can do beside what its contract says: its own functions are asked, so it is what they do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// What it pays to, of accounts, UPI IDs and mobile numbers.
    pub pays_to: Vec<&'static str>,
    /// Whether it carries paise, or rupees only.
    pub paise: bool,
    /// How it is asked what became of a payment: by our reference, or not at all; of files nobody asks.
    pub asked: &'static str,
    /// Whether it lists what was booked on a day.
    pub lists_days: bool,
}

impl Capabilities {
    fn of(door: &Door) -> Option<Capabilities> {
        let bank = match door {
            Door::Calls(bank) => bank,
            Door::Files(_) => {
                let pays_to = vec!["accounts"];
                return Some(Capabilities {
                    pays_to,
                    paise: true,
                    asked: "no: it answers in files",
                    lists_days: false,
                });
            }
        };
        // An order that nobody makes.
        let order = OrderId::parse("ORDER")?;
        let reference = Reference::derive("", MerchantId::HOUSE, &order, 1, 0);
        let (name, now) = (PersonName::parse("ASHA RAO")?, Timestamp(0));
        let carries = |beneficiary: &Beneficiary, rail, paise| {
            let Some(amount) = Amount::from_paise(paise) else { return false };
            bank.carries(&Transfer { reference, amount, rail, beneficiary, name: &name, send_before: now }).is_ok()
        };
        let account = Beneficiary::Account {
            number: AccountNumber::parse("50100012345")?,
            ifsc: Ifsc::parse("HDFC0000001").ok()?,
        };
        let to = [
            ("accounts", account.clone(), Rail::Imps),
            ("UPI IDs", Beneficiary::Vpa(Vpa::parse("asha@upi")?), Rail::Upi),
            ("mobile numbers", Beneficiary::Mobile(Mobile::parse("9876543210")?), Rail::Upi),
        ];
        let paid = to.iter().filter(|(_, beneficiary, rail)| carries(beneficiary, *rail, 100_00));
        let question = Question { reference, now, send_before: now, paid: false };
        Some(Capabilities {
            pays_to: paid.map(|(what, ..)| *what).collect(),
            paise: carries(&account, Rail::Imps, 100_01),
            asked: if bank.enquiry(question).is_some() { "by our reference" } else { "no" },
            lists_days: bank.entries((now, now), 0).is_some(),
        })
    }
}

/// The banks that are configured.
#[derive(Debug)]
pub struct Connectors {
    /// In the order in which they are tried.
    doors: Vec<Door>,
    /// Their contracts, within the limits that are configured.
    rules: Vec<ConnectorRules>,
}

impl Connectors {
    /// The banks of a configuration.
    pub fn new(config: &Config) -> Result<Connectors, String> {
        let mut doors = Vec::new();
        for name in config.connector_names() {
            let bank: Box<dyn Bank> = match (config.connectors.get(name), &config.sandbox) {
                (None, Some(sandbox)) => Box::new(sandbox::Sandbox::new(sandbox)?),
                (None, None) => return Err(format!("`connector_order` names `{name}`, which is not configured")),
                (Some(config::Connector::SeguraPay(options)), _) => match options.dialect {
                    Dialect::SeguraPay | Dialect::Hundi => Box::new(segurapay::SeguraPay::new(name, options)?),
                    Dialect::Distril | Dialect::WowPe => Box::new(segurapay::flat::Flat::new(name, options)?),
                },
                (Some(config::Connector::RazorpayX(options)), _) => Box::new(razorpayx::RazorpayX::new(name, options)?),
                (Some(config::Connector::Cashfree(options)), _) => Box::new(cashfree::Cashfree::new(name, options)?),
                (Some(config::Connector::Sandbox(options)), _) => {
                    Box::new(sandbox::Sandbox::named(configured(name)?, &format!("connectors.{name}"), options)?)
                }
                (Some(config::Connector::Iso20022(options)), _) => {
                    doors.push(Door::Files(Box::new(FileBank::iso20022(configured(name)?, options)?)));
                    continue;
                }
                (Some(config::Connector::BankCsv(options)), _) => {
                    doors.push(Door::Files(Box::new(FileBank::bankcsv(configured(name)?, options)?)));
                    continue;
                }
            };
            doors.push(Door::Calls(bank));
        }
        let mut rules: Vec<ConnectorRules> = doors.iter().map(Door::rules).collect();
        for (name, limits) in &config.limits {
            let limited = rules.iter_mut().find(|rules| rules.connector.as_str() == name);
            let limited = limited.ok_or_else(|| {
                format!("`limits.{name}` names no connector; configure `[connectors.{name}]`, or take the limits out")
            })?;
            limited.carries = limits.within(limited.carries);
        }
        Ok(Connectors { doors, rules })
    }

    /// Their contracts, in the order in which they are tried.
    pub fn rules(&self) -> Vec<ConnectorRules> {
        self.rules.clone()
    }

    /// The bank with this name, if it is called.
    pub fn get(&self, name: &str) -> Option<&dyn Bank> {
        match self.door(name)? {
            Door::Calls(bank) => Some(bank.as_ref()),
            Door::Files(_) => None,
        }
    }

    /// The bank with this name, if it is given files.
    pub fn files(&self, name: &str) -> Option<&FileBank> {
        match self.door(name)? {
            Door::Calls(_) => None,
            Door::Files(bank) => Some(bank),
        }
    }

    /// All banks that are given files.
    pub fn all_files(&self) -> impl Iterator<Item = &FileBank> {
        self.doors.iter().filter_map(|door| match door {
            Door::Calls(_) => None,
            Door::Files(bank) => Some(bank.as_ref()),
        })
    }

    /// What the bank with this name can do.
    pub fn capabilities(&self, name: &str) -> Option<Capabilities> {
        Capabilities::of(self.door(name)?)
    }

    /// How long after its start a payout should be at the bank with this name.
    pub fn send_within(&self, name: &str) -> Option<Duration> {
        match self.door(name)? {
            Door::Calls(bank) => Some(bank.reply_within()),
            Door::Files(bank) => Some(bank.out_within()),
        }
    }

    fn door(&self, name: &str) -> Option<&Door> {
        self.doors.iter().find(|door| door.rules().connector.as_str() == name)
    }
}

/// How often a bank may be called by this process: one call after the other, evenly. Who calls more often is answered 429,
/// which says nothing about the payment; so it must not come to that.
#[derive(Debug)]
pub struct Pace {
    every: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many calls a second, at least one.
    pub fn new(calls_per_s: u32) -> Pace {
        Pace { every: Duration::from_secs(1) / calls_per_s.max(1), next: Mutex::new(None) }
    }

    /// Takes the next turn, and says how long it is until then; `None`, and no turn is taken, if that is longer than `most`.
    fn turn(&self, now: Instant, most: Duration) -> Option<Duration> {
        let mut next = locked(&self.next);
        let turn = next.map_or(now, |next| next.max(now));
        let wait = turn.saturating_duration_since(now);
        if wait > most {
            return None;
        }
        *next = Some(turn + self.every);
        Some(wait)
    }
}

/// Sends a request to a bank when it is its turn, unless `within` is over by then: then not a byte is written.
pub async fn send(
    out: &crate::http_out::HttpOut,
    request: OutRequest,
    within: Option<Duration>,
    pace: Option<&Pace>,
) -> Result<OutReply, OutError> {
    let Some(within) = within.filter(|within| !within.is_zero()) else {
        return Err(OutError::Withheld("the time to send was over"));
    };
    // The other half is left for the bank's answer.
    let Some(wait) = pace.map_or(Some(Duration::ZERO), |pace| pace.turn(Instant::now(), within / 2)) else {
        return Err(OutError::Withheld("the bank may not be called more often"));
    };
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    out(OutRequest { deadline: within.saturating_sub(wait).min(request.deadline), ..request }).await
}

/// A word without more: a silence, or a request that never left.
pub(crate) fn bare(outcome: Outcome, why: &str) -> Word {
    Word { outcome, amount_paise: None, rrn: "".into(), why: why.into() }
}

/// The name of a connector that is written in the code.
pub(crate) fn named(name: &'static str) -> Connector {
    // Names in the code are short and in lower case; a test parses each.
    Connector::parse(name).expect("a connector's name in the code is valid")
}

/// The name of a connector that is configured.
fn configured(name: &str) -> Result<Connector, String> {
    Connector::parse(name).ok_or_else(|| format!("`connectors.{name}` cannot be a connector's name"))
}

/// The text of an option that comes as `{option}_file` or as `{option}_env`, without the white space around it.
pub(crate) fn secret_text(option: &str, file: Option<&Path>, env: Option<&str>) -> Result<Option<String>, String> {
    let text = match (file, env) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(format!("`{option}_file` and `{option}_env` are both given; give one")),
        (Some(path), None) => std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read `{option}_file` {}: {error}", path.display()))?,
        (None, Some(variable)) => std::env::var(variable).map_err(|_| {
            format!("`{option}_env` names the environment variable {variable}, which is not set to a text")
        })?,
    };
    Ok(Some(text.trim().to_owned()))
}

/// The secret of a connector's option.
fn secret(name: &str, option: &str, file: Option<&Path>, env: Option<&str>) -> Result<Option<String>, String> {
    let option = format!("connectors.{name}.{option}");
    let Some(text) = secret_text(&option, file, env)? else { return Ok(None) };
    if text.len() < SECRET_BYTES_LEAST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the secret of `{option}` must be at least {SECRET_BYTES_LEAST} printable ASCII characters without spaces"
        ));
    }
    Ok(Some(text))
}

/// The same, where the bank cannot be spoken to without it.
fn needed_secret(name: &str, option: &str, file: Option<&Path>, env: Option<&str>) -> Result<String, String> {
    secret(name, option, file, env)?
        .ok_or_else(|| format!("`connectors.{name}.{option}_file` or `connectors.{name}.{option}_env` is needed"))
}

/// The address of a bank without a slash at its end.
fn address(name: &str, url: &config::BankUrl) -> Result<String, String> {
    check_url(&url.0, Reach::Operator).map_err(|error| format!("`connectors.{name}.url` is not valid: {error}"))?;
    if url.0.contains('?') {
        return Err(format!("`connectors.{name}.url` must have no query; write the address below which the calls are"));
    }
    Ok(url.0.trim_end_matches('/').to_owned())
}

/// What every bank's reply may be before its words are looked at: the table at the top. `Err` is the word.
fn replied(connector: Connector, asked: Asked, reply: &Result<OutReply, OutError>) -> Result<(u16, &[u8]), Word> {
    let reply = arrived(reply)?;
    match reply.status {
        401 | 403 => Err(turned_away(connector, asked)),
        409 | 429 | 100..=199 | 300..=399 | 500.. => Err(bare(Outcome::Silent, "")),
        _ if reply.truncated => Err(bare(Outcome::Silent, "")),
        status => Ok((status, &reply.body)),
    }
}

/// The reply, if one came. `Err` is the word of a request that had none.
fn arrived(reply: &Result<OutReply, OutError>) -> Result<&OutReply, Word> {
    reply.as_ref().map_err(|error| match error {
        OutError::NotWritten(_) => bare(Outcome::NotWritten, "The bank could not be reached"),
        OutError::Withheld(_) => bare(Outcome::NotWritten, "The payment was held back for a moment"),
        // A guard that forbids an address has connected nowhere.
        OutError::Forbidden(_) => bare(Outcome::NotWritten, "The bank's address is not allowed"),
        OutError::Silent(_) if planted(Plant::TimeoutAsFailure) => {
            bare(Outcome::Refused { elsewhere: false }, "Time-out")
        }
        OutError::Silent(_) if planted(Plant::ElsewhereAfterSilence) => {
            bare(Outcome::Refused { elsewhere: true }, "Time-out")
        }
        OutError::Silent(_) => bare(Outcome::Silent, ""),
    })
}

/// The bank does not take our credentials or our address: it has done nothing of what we asked. What it may have done
/// before, a question that it does not answer leaves open.
fn turned_away(connector: Connector, asked: Asked) -> Word {
    tracing::error!(
        %connector,
        "a bank does not accept our credentials or our address, and nothing is paid through it; check them with the bank"
    );
    match asked {
        Asked::ToPay => bare(Outcome::NotWritten, "The bank does not accept our credentials"),
        Asked::WhatBecame(_) => bare(Outcome::Silent, ""),
    }
}

/// A bank's own reference, printed in answers and callbacks: only what a label can be. Some banks write `null` as a text.
fn label(text: &str) -> Box<str> {
    let label =
        text.len() <= LABEL_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && text != "null";
    if label { text.into() } else { "".into() }
}

/// A bank's reason, in words fit for a merchant.
fn reason(text: &str) -> Box<str> {
    let reason: String = text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    reason.into()
}

/// The value of a JSON object under a name in any case; `None` where two names differ in their case only.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut found = object.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value).filter(|_| found.next().is_none())
}

/// A text, or a whole number as its digits; what is absent or anything else is empty.
fn text(object: &Map<String, Value>, name: &str) -> String {
    match field(object, name) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub const REFERENCE: &str = "ABCDEFGHIJKLMNO";

    pub fn reference() -> Reference {
        Reference::parse(REFERENCE).unwrap()
    }

    /// A question of a payment that nobody has called paid, 30 s after it was sent.
    pub const UNPAID: fn() -> Asked = || asked(false, 30);

    /// The same of one that the bank has called paid.
    pub const PAID: fn() -> Asked = || asked(true, 30);

    pub fn asked(paid: bool, after_s: i64) -> Asked {
        let now = Timestamp(1_000_000 * SECOND);
        Asked::WhatBecame(Question { reference: reference(), now, send_before: now.after(-after_s * SECOND), paid })
    }

    pub fn told(bank: &dyn Bank, asked: Asked, status: u16, body: &str) -> Word {
        let reply = OutReply { status, body: body.to_owned().into(), truncated: false };
        bank.outcome(reference(), asked, &Ok(reply))
    }

    /// A call with these headers and this body.
    pub fn heard(
        bank: &dyn Bank,
        uri: &str,
        headers: &[(&str, &str)],
        body: &str,
        now_s: i64,
    ) -> Result<Called, NoWord> {
        let mut request = hyper::Request::builder().method(bank.calls_by()).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        bank.called(&Call { head: &head, body: body.as_bytes(), now: Timestamp(now_s * SECOND) })
    }

    /// The rows that all banks share (the table at the top of this file), for one bank. `paid` is the body of a success.
    pub fn shared_rows(bank: &dyn Bank, paid: &str) {
        for (error, outcome) in [
            (OutError::NotWritten("x".into()), Outcome::NotWritten),
            (OutError::Forbidden("x".into()), Outcome::NotWritten),
            (OutError::Withheld("x"), Outcome::NotWritten),
            (OutError::Silent("x".into()), Outcome::Silent),
        ] {
            assert_eq!(bank.outcome(reference(), Asked::ToPay, &Err(error)).outcome, outcome);
        }
        for asked in [Asked::ToPay, UNPAID()] {
            for status in [100, 301, 302, 307, 409, 429, 500, 502, 503, 504, 599] {
                assert_eq!(told(bank, asked, status, paid).outcome, Outcome::Silent, "{status}");
            }
            for body in ["", "<html>ok</html>", "[]", "{}", "null", "7", &paid.replace(REFERENCE, "XXXXXXXXXXXXXXX")] {
                let word = told(bank, asked, 200, body);
                assert!(matches!(word.outcome, Outcome::Silent), "{asked:?} {body}: {word:?}");
            }
            let cut = OutReply { status: 200, body: paid.to_owned().into(), truncated: true };
            assert_eq!(bank.outcome(reference(), asked, &Ok(cut)).outcome, Outcome::Silent);
        }
        for status in [401, 403] {
            assert_eq!(told(bank, Asked::ToPay, status, paid).outcome, Outcome::NotWritten, "{status}");
            assert_eq!(told(bank, UNPAID(), status, paid).outcome, Outcome::Silent, "{status}");
        }
        // "Not found" never becomes final by itself at these banks.
        assert_eq!(bank.rules().not_found_final_us, None);
    }

    #[test]
    fn a_bank_is_not_called_more_often_than_it_allows() {
        let (pace, now, most) = (Pace::new(5), Instant::now(), Duration::from_millis(2_500));
        let turns: Vec<_> = (0..20).map(|_| pace.turn(now, most)).collect();
        let expected = |turn: u64| (turn <= 12).then(|| Duration::from_millis(200 * turn));
        assert_eq!(turns, (0..20).map(expected).collect::<Vec<_>>());
        // Those who were sent away have taken no turn.
        assert_eq!(pace.turn(now + Duration::from_secs(3), most), Some(Duration::ZERO));
    }

    #[test]
    fn a_secret_is_named_by_one_file_or_one_variable() {
        let path = std::env::temp_dir().join(format!("hundi-secret-{}", std::process::id()));
        std::fs::write(&path, " s3cret-of-up\n").unwrap();
        assert_eq!(secret("up", "token", Some(&path), None).unwrap().as_deref(), Some("s3cret-of-up"));
        assert_eq!(secret("up", "token", None, None), Ok(None));
        std::fs::write(&path, "s3 cr").unwrap();
        let missing = path.with_extension("missing");
        for (file, env, word) in [
            (Some(path.as_path()), None, "`connectors.up.token` must be at least"),
            (Some(path.as_path()), Some("HOME"), "both"),
            (Some(missing.as_path()), None, "`connectors.up.token_file`"),
            (None, Some("HUNDI_NO_SUCH_VARIABLE"), "HUNDI_NO_SUCH_VARIABLE"),
        ] {
            let error = secret("up", "token", file, env).unwrap_err();
            assert!(error.contains(word) && !error.contains("s3"), "{error}");
        }
        assert!(needed_secret("up", "token", None, None).unwrap_err().contains("connectors.up.token_env"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn labels_and_reasons_are_what_can_be_printed() {
        for (given, kept) in [("036516753713", "036516753713"), ("null", ""), ("a b", ""), ("<b>", "")] {
            assert_eq!(&*label(given), kept);
        }
        assert_eq!(&*label(&"9".repeat(36)), "");
        assert_eq!(&*reason("a\nb"), "ab");
        assert_eq!(reason(&"x".repeat(200)).len(), 100);
    }
}
