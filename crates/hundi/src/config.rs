//! Every option, its default and its limit. `docs/operating.md` lists them; a test compares the two.
//!
//! A file may leave out everything. An option that does not exist is refused by name. Those of banks that are given files are
//! in `config/files.rs`.

mod files;

pub use files::{AccountText, Answers, BankCsv, Column, Exchange, Iso20022, Sftp};

use hundi_core::formats::csv::{self, Money, REFERENCES_MAX};
use hundi_core::money::Amount;
use hundi_core::payout::ExceptionKind;
use hundi_core::rails::{RAILS, Rail};
use hundi_core::routing::{Carries, Hours};
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// All options of `hundi.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder of the database, the key and the anchors. Default `hundi-data`.
    pub data: PathBuf,
    /// The file of the keys, unless the environment variable `HUNDI_KEY` holds them. Default `DATA/hundi.key`.
    pub key_file: Option<PathBuf>,
    /// A PostgreSQL server in place of the embedded database, `postgres://USER:PASSWORD@HOST/DATABASE`; the environment
    /// variable `HUNDI_DATABASE_URL` comes before it. Default none.
    pub database_url: Option<DatabaseUrl>,
    /// How PostgreSQL is used.
    pub postgres: Postgres,
    /// The merchant API.
    pub api: Api,
    /// Health, metrics and logs.
    pub operations: Operations,
    /// The writer.
    pub writer: Writer,
    /// Sending and enquiring.
    pub worker: Worker,
    /// Callbacks to merchants.
    pub callbacks: Callbacks,
    /// Reading banks' statements.
    pub reconcile: Reconcile,
    /// The sandbox bank's connector; absent, and without `connectors`, no payout is sent.
    pub sandbox: Option<Sandbox>,
    /// `[connectors.NAME]`: the other banks, by the names that they have here.
    pub connectors: BTreeMap<String, Connector>,
    /// The names of all connectors in the order in which they are tried. Default: `sandbox`, then the others by name.
    pub connector_order: Option<Vec<String>>,
    /// Which connector a payout goes to: the first that matches decides.
    pub routes: Vec<Routes>,
    /// What a connector is given at most, by its name.
    pub limits: BTreeMap<String, Limits>,
    /// When a connector gets no new payouts for a while, because it fails.
    pub health: Health,
    /// When the installation goes on hold by itself.
    pub hold: Hold,
    /// What the operator is told of, and how.
    pub alerts: Alerts,
    /// What a late payout costs whoever is late.
    pub turnround: Turnround,
}

/// `[hold]`: when the installation goes on hold by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hold {
    /// Go on hold when a bank speaks of a reference of ours that is not known here. Default true.
    pub by_itself: bool,
}

impl Default for Hold {
    fn default() -> Hold {
        Hold { by_itself: true }
    }
}

/// `[turnround]`: what a late payout costs whoever is late.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turnround {
    /// RBI's repo rate in hundredths of a percent, such as 525 for 5.25 %; absent, the interest of late NEFT is not told.
    pub repo_basis_points: Option<i64>,
}

/// `[alerts]`: what the operator is told of, and how. What is absent raises no alert.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Payouts that are open longer than so many minutes.
    pub payouts_open_minutes: Option<i64>,
    /// Exceptions that wait longer than so many minutes.
    pub exceptions_open_minutes: Option<i64>,
    /// Only exceptions of these kinds. Default all.
    pub exception_kinds: Vec<String>,
    /// Connectors whose last statement ends more than so many hours ago.
    pub statement_missing_hours: Option<i64>,
    /// The least that a connector's bank should hold by our book, in rupees, such as `{ sandbox = "200000.00" }`.
    pub balance_least: BTreeMap<String, String>,
    /// Where the operator's machine is told, by `POST`; absent, alerts are logged and counted only.
    pub callback_url: Option<BankUrl>,
    /// A file with the secret (`whsec_...`) that signs these calls.
    pub callback_secret_file: Option<PathBuf>,
    /// The environment variable with that secret.
    pub callback_secret_env: Option<String>,
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("balance_least", &self.balance_least).finish_non_exhaustive()
    }
}

impl Alerts {
    /// The least that each connector should hold, paise.
    pub fn balances_least_paise(&self) -> Result<BTreeMap<String, i64>, String> {
        let paise = |(name, text): (&String, &String)| {
            let paise = rupees(&format!("alerts.balance_least.{name}"), Some(text))?;
            Ok((name.clone(), paise.unwrap_or(0)))
        };
        self.balance_least.iter().map(paise).collect()
    }

    fn check(&self, known: &[&str]) -> Result<(), String> {
        for (name, value) in [
            ("payouts_open_minutes", self.payouts_open_minutes),
            ("exceptions_open_minutes", self.exceptions_open_minutes),
            ("statement_missing_hours", self.statement_missing_hours),
        ] {
            if let Some(value) = value.filter(|value| !(1..=1_000_000).contains(value)) {
                return Err(format!("`alerts.{name}` is {value}; it must be from 1 to 1000000"));
            }
        }
        if let Some(kind) = self.exception_kinds.iter().find(|kind| ExceptionKind::named(kind).is_none()) {
            let all = ExceptionKind::ALL.map(ExceptionKind::name).join(", ");
            return Err(format!("`alerts.exception_kinds` names `{kind}`; there are: {all}"));
        }
        if let Some(name) = self.balances_least_paise()?.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("`alerts.balance_least` names `{name}`, which is no connector"));
        }
        let secrets =
            usize::from(self.callback_secret_file.is_some()) + usize::from(self.callback_secret_env.is_some());
        if secrets != usize::from(self.callback_url.is_some()) {
            return Err("`alerts.callback_url` needs one of `alerts.callback_secret_file` and \
                `alerts.callback_secret_env`, and neither is of use without it"
                .to_owned());
        }
        Ok(())
    }
}

/// `[[routes]]`: which payouts, and where to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routes {
    /// A name, for people. Default `route N`.
    pub name: String,
    /// Of these merchants. Default all.
    pub merchants: Vec<String>,
    /// Over these rails. Default all.
    pub rails: Vec<String>,
    /// From so many rupees.
    pub amount_least: Option<String>,
    /// To so many rupees.
    pub amount_most: Option<String>,
    /// To these banks: the first four letters of an IFSC, or a UPI handle. Default all.
    pub banks: Vec<String>,
    /// In these hours of an Indian day, `HH:MM-HH:MM`. Default all day.
    pub hours: Option<String>,
    /// The connectors that are preferred.
    pub targets: Vec<Targets>,
}

/// A connector that a route prefers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// Its name.
    pub connector: String,
    /// The lowest first. Default 1.
    #[serde(default = "one")]
    pub priority: u32,
    /// Its share among those with the same priority. Default 1.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// `[limits.NAME]`: what a connector is given at most, within what it can carry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most for one payout, rupees. Default no limit.
    pub payout_most: Option<String>,
    /// The most for an Indian day, rupees. Default no limit.
    pub day_most: Option<String>,
    /// Over these rails only. Default all that it carries.
    pub rails: Vec<String>,
    /// Over a rail only in these hours of an Indian day, such as `{ RTGS = "07:00-18:00" }`. Default at any time.
    pub hours: BTreeMap<String, String>,
}

/// `[health]`: when a connector gets no new payouts for a while, because it fails. Only where there are several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// What banks said in so many seconds counts. Default 60.
    pub window_s: i64,
    /// Fewer words than this prove nothing. Default 10.
    pub words_least: u32,
    /// Ill when so many of a hundred are errors; 0 for never. Default 50.
    pub errors_percent: u32,
    /// No new payouts for so many seconds. Default 30.
    pub pause_s: i64,
    /// Then so many, which must all end well. Default 5.
    pub probes: u32,
}

impl Default for Health {
    fn default() -> Health {
        Health { window_s: 60, words_least: 10, errors_percent: 50, pause_s: 30, probes: 5 }
    }
}

/// Rails by their names; an error names the option.
pub fn rails(option: &str, names: &[String]) -> Result<Vec<Rail>, String> {
    let rail = |name: &String| {
        Rail::parse(name).ok_or_else(|| format!("`{option}` names `{name}`; take NEFT, RTGS, IMPS or UPI"))
    };
    names.iter().map(rail).collect()
}

fn rupees(option: &str, text: Option<&String>) -> Result<Option<i64>, String> {
    let paise = |text: &String| {
        let amount = Amount::from_decimal_text(text);
        amount.map(Amount::paise).map_err(|_| {
            format!(
                "`{option}` is `{text}`; write rupees with no or two decimals in quotation marks, such as \"200000.00\""
            )
        })
    };
    text.map(paise).transpose()
}

impl Routes {
    /// The least and the most, paise.
    pub fn paise(&self) -> Result<(i64, i64), String> {
        let least = rupees("amount_least", self.amount_least.as_ref())?.unwrap_or(0);
        let most = rupees("amount_most", self.amount_most.as_ref())?.unwrap_or(i64::MAX);
        if least > most {
            return Err("`amount_least` is more than `amount_most`, so nothing would match".to_owned());
        }
        Ok((least, most))
    }

    /// The banks as [`crate::routing::bank_of`] names them.
    pub fn banks(&self) -> Result<Vec<Box<str>>, String> {
        let bank = |bank: &String| {
            let plain = !bank.is_empty() && bank.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
            let code = bank.len() == 4 && bank.bytes().all(|b| b.is_ascii_uppercase());
            if !plain {
                return Err(format!(
                    "`banks` names `{bank}`; take the first four letters of an IFSC in capitals, or a UPI handle without @"
                ));
            }
            Ok(if code { bank.clone() } else { bank.to_ascii_lowercase() }.into())
        };
        self.banks.iter().map(bank).collect()
    }

    /// The hours as minutes of the day.
    pub fn minutes(&self) -> Result<Option<(u16, u16)>, String> {
        self.hours.as_ref().map(|hours| minutes("hours", hours)).transpose()
    }
}

/// A time of day as its minutes; an error names the option.
fn minutes(option: &str, hours: &str) -> Result<(u16, u16), String> {
    let said = || format!("`{option}` is `{hours}`; write HH:MM-HH:MM in Indian time, such as 22:00-06:00");
    crate::routing::minutes(hours).ok_or_else(said)
}

impl Limits {
    /// What is left of what a connector can carry. A limit that cannot be read was refused with the file.
    pub fn within(&self, carries: Carries) -> Carries {
        let most = rupees("payout_most", self.payout_most.as_ref()).ok().flatten().unwrap_or(i64::MAX);
        // What is more than a day's limit would wait for a day that never comes.
        let most = most.min(self.day_most_paise().unwrap_or(i64::MAX));
        let named = rails("rails", &self.rails).unwrap_or_default();
        let may = |rail: Rail| carries.rails[rail as usize] && (named.is_empty() || named.contains(&rail));
        Carries {
            rails: RAILS.map(|rules| may(rules.rail)),
            most_paise: carries.most_paise.min(most),
            least_paise: carries.least_paise,
        }
    }

    /// The most for a day, paise.
    pub fn day_most_paise(&self) -> Option<i64> {
        rupees("day_most", self.day_most.as_ref()).ok().flatten()
    }

    fn check(&self) -> Result<(), String> {
        rupees("payout_most", self.payout_most.as_ref())?;
        rupees("day_most", self.day_most.as_ref())?;
        self.hours()?;
        rails("rails", &self.rails).map(drop)
    }

    /// The hours of each rail.
    pub fn hours(&self) -> Result<Hours, String> {
        let mut all = Hours::default();
        for (name, hours) in &self.hours {
            let rail = rails("hours", std::slice::from_ref(name))?;
            let minutes = minutes(&format!("hours.{name}"), hours)?;
            rail.iter().for_each(|rail| all[*rail as usize] = Some(minutes));
        }
        Ok(all)
    }
}

/// The address of a PostgreSQL server. It may hold a password, so it is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(pub String);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(..)")
    }
}

/// `[postgres]`: how a PostgreSQL server is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// The certificates of the authorities that may vouch for the server, a PEM file; absent, those of the web.
    pub ca_file: Option<PathBuf>,
    /// Connections of this process at once, beside those of the writer. Default 16.
    pub connections_max: usize,
    /// Accept payouts even while a standby is not synchronous, so that a failover may lose some. Default false.
    pub allow_async_standby: bool,
}

/// `[api]`: the merchant API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Where merchants reach us. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Use HTTP statuses 401 to 503 for refusals; old clients need 200 for all (WIRE 10). Default false.
    pub strict_http: bool,
    /// Proxies whose `X-Forwarded-For` counts (WIRE 18). Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a create waits for the bank's word, milliseconds (WIRE 11). Default 3000.
    pub answer_within_ms: u64,
    /// The largest request body, bytes. Default 65536.
    pub body_bytes_max: usize,
    /// How long a client may take to send a body, milliseconds. Default 10000.
    pub body_within_ms: u64,
    /// The largest request head, bytes. Default 16384.
    pub header_bytes_max: usize,
    /// How long a client may take to send a head, milliseconds. Default 10000.
    pub header_within_ms: u64,
    /// Connections at once. Default 4096.
    pub connections_max: usize,
}

/// `[operations]`: health, metrics and logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operations {
    /// Where `/healthz`, `/readyz` and `/metrics` are. Default `127.0.0.1:8081`.
    pub listen: SocketAddr,
    /// `text` or `json`. Default `text`.
    pub log_format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `hundi=debug`. Default `info`.
    pub log_level: String,
    /// How often the heads of the journals are appended to `DATA/anchors.log`, seconds. Default 60.
    pub anchors_every_s: u64,
}

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for a person.
    Text,
    /// A JSON object a line.
    Json,
}

/// `[writer]`: the one writer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Writer {
    /// Commands in one transaction. Default 512.
    pub batch_max: usize,
    /// Commands that may wait; beyond it a create is answered "unknown" at once. Default 8192.
    pub queue_max: usize,
    /// Batches at once on PostgreSQL, each of merchants of its own; the embedded database writes one. Default 4.
    pub lanes: usize,
}

/// `[worker]`: sending and enquiring.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Payouts in work at once. Default 1024.
    pub sends_max: usize,
    /// Attempts at a bank for one payout. Default 3.
    pub attempts_max: u32,
    /// A payout that was never started fails after so many seconds. Default 86400.
    pub queue_within_s: i64,
    /// How long the process that accepted a payout holds it, milliseconds. Default 10000.
    pub lease_ms: i64,
}

/// `[callbacks]`: callbacks to merchants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Callbacks {
    /// Allow private, loopback and link-local addresses: for tests and the demo. Default false.
    pub allow_private: bool,
    /// Calls at once to one merchant. Default 8.
    pub per_merchant_max: usize,
    /// Calls at once in all. Default 256.
    pub total_max: usize,
    /// One deadline over connect, headers and body, milliseconds. Default 10000.
    pub deadline_ms: u64,
    /// Bytes of a reply that are read. Default 8192.
    pub reply_bytes_max: usize,
}

/// `[reconcile]`: reading banks' statements.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    /// The account's number at each connector's bank, such as `{ sandbox = "SANDBOX000001" }`: a statement of another account
    /// is refused. Default the connector's own `account_number`, if it has one.
    pub accounts: BTreeMap<String, String>,
    /// What was settled within so many minutes before the end of a statement is looked for in the next one. Default 120.
    pub grace_minutes: i64,
    /// How the tables of a connector's bank name their columns, where no known bank writes them so. Default none.
    pub columns: BTreeMap<String, Columns>,
    /// A folder for each connector whose statements are to be read by themselves, such as `{ rzp = "/srv/statements/rzp" }`:
    /// what is put there is reconciled and moved to `done` below it, or to `bad`. Default none.
    pub statements: BTreeMap<String, PathBuf>,
}

impl std::fmt::Debug for Reconcile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No account numbers.
        f.debug_struct("Reconcile").field("grace_minutes", &self.grace_minutes).finish_non_exhaustive()
    }
}

/// `[reconcile.columns.NAME]`: the names of the columns in the first line of a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The day of booking, day first or ISO.
    pub date: String,
    /// The narration.
    pub narration: String,
    /// Where references stand, the likeliest first. Default none.
    #[serde(default)]
    pub references: Vec<String>,
    /// What left the account and what came to it, in rupees: two columns, or else `amount` and `side`.
    pub debit: Option<String>,
    /// See `debit`.
    pub credit: Option<String>,
    /// The amount in rupees, where `side` says which way it went.
    pub amount: Option<String>,
    /// The column that says `DR` or `CR`.
    pub side: Option<String>,
    /// The balance after the row. Default none.
    pub balance: Option<String>,
}

impl Columns {
    fn money(&self) -> Option<Money<'_>> {
        let [debit, credit, amount, side] = [&self.debit, &self.credit, &self.amount, &self.side].map(Option::as_deref);
        match (debit, credit, amount, side) {
            (Some(debit), Some(credit), None, None) => Some(Money::Two { debit, credit }),
            (None, None, Some(amount), Some(side)) => Some(Money::One { amount, side }),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), String> {
        self.money().ok_or("must name `debit` and `credit`, or `amount` and `side`, and not both")?;
        if self.references.len() > REFERENCES_MAX {
            return Err(format!(
                "names {} `references`; at most {REFERENCES_MAX} are looked at",
                self.references.len()
            ));
        }
        Ok(())
    }

    /// Lends them to a reader of tables.
    pub fn lent<T>(own: Option<&Columns>, read: impl FnOnce(Option<&csv::Columns<'_>>) -> T) -> T {
        let Some((own, money)) = own.and_then(|own| Some((own, own.money()?))) else { return read(None) };
        let references: Vec<&str> = own.references.iter().map(String::as_str).collect();
        let (date, narration, balance) = (&*own.date, &*own.narration, own.balance.as_deref());
        read(Some(&csv::Columns { date, narration, references: &references, money, balance }))
    }
}

/// `[sandbox]`: the connector of the sandbox bank.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// The bank's address, such as `http://127.0.0.1:9090`.
    pub url: String,
    /// A file with the secret that signs the bank's callbacks; absent, a callback only makes us ask the bank.
    #[serde(default)]
    pub callback_secret_file: Option<PathBuf>,
    /// The secret itself, for the demo, which makes one up; never read from a file.
    #[serde(skip)]
    pub callback_secret: Option<Vec<u8>>,
    /// How long the bank may take to answer, milliseconds. Default 5000.
    #[serde(default = "reply_within_ms")]
    pub reply_within_ms: u64,
}

/// The address of a bank. It is never printed: whoever configures one may have put a secret into it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct BankUrl(pub String);

impl std::fmt::Debug for BankUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BankUrl(..)")
    }
}

/// `[connectors.NAME]`, by its `kind`. A secret is named by the file or by the environment variable that holds it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Connector {
    /// A SeguraPay payout API, which is also what another Hundi speaks.
    SeguraPay(SeguraPay),
    /// RazorpayX payouts.
    RazorpayX(RazorpayX),
    /// Cashfree payouts.
    Cashfree(Cashfree),
    /// One more sandbox bank.
    Sandbox(Sandbox),
    /// Files of ISO 20022.
    Iso20022(Box<Iso20022>),
    /// Files of banks that take no ISO 20022.
    BankCsv(Box<BankCsv>),
}

impl Connector {
    /// How long the bank may take to answer, milliseconds; `None` where it is given files.
    pub const fn reply_within_ms(&self) -> Option<u64> {
        match self {
            Connector::SeguraPay(SeguraPay { reply_within_ms, .. })
            | Connector::RazorpayX(RazorpayX { reply_within_ms, .. })
            | Connector::Cashfree(Cashfree { reply_within_ms, .. })
            | Connector::Sandbox(Sandbox { reply_within_ms, .. }) => Some(*reply_within_ms),
            Connector::Iso20022(_) | Connector::BankCsv(_) => None,
        }
    }

    /// How files are exchanged, where they are.
    pub fn exchange(&self) -> Option<&Exchange> {
        match self {
            Connector::SeguraPay(_) | Connector::RazorpayX(_) | Connector::Cashfree(_) | Connector::Sandbox(_) => None,
            Connector::Iso20022(options) => Some(&options.exchange),
            Connector::BankCsv(options) => Some(&options.exchange),
        }
    }

    /// The account that pays, where the options name it.
    fn account_number(&self) -> Option<&str> {
        match self {
            Connector::SeguraPay(_) | Connector::Cashfree(_) | Connector::Sandbox(_) => None,
            Connector::RazorpayX(options) => Some(&options.account_number),
            Connector::Iso20022(options) => Some(&options.account_number.0),
            Connector::BankCsv(options) => options.account_number.as_ref().map(|account| account.0.as_str()),
        }
    }

    /// The most calls a second, if there is such a limit.
    const fn calls_per_s(&self) -> Option<u32> {
        match self {
            Connector::SeguraPay(_) | Connector::Sandbox(_) | Connector::Iso20022(_) | Connector::BankCsv(_) => None,
            Connector::RazorpayX(RazorpayX { calls_per_s, .. }) => Some(*calls_per_s),
            Connector::Cashfree(Cashfree { calls_per_s, .. }) => *calls_per_s,
        }
    }
}

/// `kind = "segurapay"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeguraPay {
    /// The address below which the calls are, such as `https://api.segurapay.in`.
    pub url: BankUrl,
    /// Whose service it is: `segurapay`; `distril` or `wowpe`, its siblings; or `hundi`, whose every code is known. Default
    /// `segurapay`.
    #[serde(default)]
    pub dialect: Dialect,
    /// A file with our token there.
    pub token_file: Option<PathBuf>,
    /// The environment variable with our token there.
    pub token_env: Option<String>,
    /// Distril and WowPe: our id there.
    pub client_id: Option<String>,
    /// Distril and WowPe: a file with our secret key there.
    pub secret_key_file: Option<PathBuf>,
    /// Distril and WowPe: the environment variable with that secret key.
    pub secret_key_env: Option<String>,
    /// A file with the secret (`whsec_...`) that signs the callbacks of a Hundi; without one a callback only makes us ask.
    pub callback_secret_file: Option<PathBuf>,
    /// The environment variable with that secret.
    pub callback_secret_env: Option<String>,
    /// The mobile number that is sent as `Number`; absent, none is sent.
    pub number: Option<String>,
    /// How long it may take to answer, milliseconds. Default 5000.
    #[serde(default = "reply_within_ms")]
    pub reply_within_ms: u64,
}

/// Whose service speaks the SeguraPay API.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// SeguraPay itself: what its document leaves open counts for nothing.
    #[default]
    SeguraPay,
    /// Another Hundi.
    Hundi,
    /// Distril (Payyez), which answers no questions.
    Distril,
    /// WowPe.
    WowPe,
}

/// `kind = "razorpayx"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RazorpayX {
    /// The address of the API. Default `https://api.razorpay.com/v1`.
    #[serde(default = "razorpayx_url")]
    pub url: BankUrl,
    /// The account that is debited, as RazorpayX shows it.
    pub account_number: String,
    /// The key's id, `rzp_live_...` or `rzp_test_...`.
    pub key_id: String,
    /// A file with the key's secret.
    pub key_secret_file: Option<PathBuf>,
    /// The environment variable with the key's secret.
    pub key_secret_env: Option<String>,
    /// A file with the secret that signs the webhooks; without one a webhook only makes us ask.
    pub webhook_secret_file: Option<PathBuf>,
    /// The environment variable with that secret.
    pub webhook_secret_env: Option<String>,
    /// What the payouts are for, in RazorpayX's words. Default `payout`.
    #[serde(default = "razorpayx_purpose")]
    pub purpose: String,
    /// The most calls a second that this process makes. Default 5.
    #[serde(default = "razorpayx_calls_per_s")]
    pub calls_per_s: u32,
    /// How long it may take to answer, milliseconds. Default 5000.
    #[serde(default = "reply_within_ms")]
    pub reply_within_ms: u64,
}

/// `kind = "cashfree"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cashfree {
    /// The address of the API. Default `https://api.cashfree.com/payout`.
    #[serde(default = "cashfree_url")]
    pub url: BankUrl,
    /// The id of the client.
    pub client_id: String,
    /// A file with the client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// The environment variable with the client's secret.
    pub client_secret_env: Option<String>,
    /// A file with the secret that signs the webhooks: the oldest active one. Default the client's secret.
    pub webhook_secret_file: Option<PathBuf>,
    /// The environment variable with that secret.
    pub webhook_secret_env: Option<String>,
    /// A file with the public key (PEM) that signs requests in place of an allowed address. Default none.
    pub signature_key_file: Option<PathBuf>,
    /// Which of several sources is debited. Default Cashfree's own choice.
    pub fundsource_id: Option<String>,
    /// So many seconds after it was sent a payout counts as paid of which only the debit is known; absent, never.
    pub credited_after_s: Option<i64>,
    /// The most calls a second that this process makes; absent, there is no such limit.
    pub calls_per_s: Option<u32>,
    /// How long it may take to answer, milliseconds. Default 5000.
    #[serde(default = "reply_within_ms")]
    pub reply_within_ms: u64,
}

fn razorpayx_url() -> BankUrl {
    BankUrl("https://api.razorpay.com/v1".to_owned())
}

fn razorpayx_purpose() -> String {
    "payout".to_owned()
}

/// RazorpayX allows 5 to 10 (`x/payouts/best-practices.md`).
fn razorpayx_calls_per_s() -> u32 {
    5
}

fn cashfree_url() -> BankUrl {
    BankUrl("https://api.cashfree.com/payout".to_owned())
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the secret nor a URL that may hold one.
        f.debug_struct("Sandbox").field("reply_within_ms", &self.reply_within_ms).finish_non_exhaustive()
    }
}

fn reply_within_ms() -> u64 {
    5_000
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: PathBuf::from("hundi-data"),
            key_file: None,
            database_url: None,
            postgres: Postgres::default(),
            api: Api::default(),
            operations: Operations::default(),
            writer: Writer::default(),
            worker: Worker::default(),
            callbacks: Callbacks::default(),
            reconcile: Reconcile::default(),
            sandbox: None,
            connectors: BTreeMap::new(),
            routes: Vec::new(),
            limits: BTreeMap::new(),
            health: Health::default(),
            connector_order: None,
            hold: Hold::default(),
            alerts: Alerts::default(),
            turnround: Turnround::default(),
        }
    }
}

impl Default for Postgres {
    fn default() -> Postgres {
        Postgres { ca_file: None, connections_max: 16, allow_async_standby: false }
    }
}

impl Default for Api {
    fn default() -> Api {
        Api {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            strict_http: false,
            trusted_proxies: Vec::new(),
            answer_within_ms: 3_000,
            body_bytes_max: 64 * 1024,
            body_within_ms: 10_000,
            header_bytes_max: 16 * 1024,
            header_within_ms: 10_000,
            connections_max: 4_096,
        }
    }
}

impl Default for Operations {
    fn default() -> Operations {
        Operations {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            anchors_every_s: 60,
        }
    }
}

impl Default for Writer {
    fn default() -> Writer {
        Writer { batch_max: 512, queue_max: 8_192, lanes: 4 }
    }
}

impl Default for Worker {
    fn default() -> Worker {
        Worker { sends_max: 1_024, attempts_max: 3, queue_within_s: 86_400, lease_ms: 10_000 }
    }
}

impl Default for Callbacks {
    fn default() -> Callbacks {
        Callbacks {
            allow_private: false,
            per_merchant_max: 8,
            total_max: 256,
            deadline_ms: 10_000,
            reply_bytes_max: 8 * 1024,
        }
    }
}

impl Default for Reconcile {
    fn default() -> Reconcile {
        Reconcile {
            accounts: BTreeMap::new(),
            grace_minutes: 120,
            columns: BTreeMap::new(),
            statements: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The account that a connector's statements are of, where the options name it.
    pub fn account_at(&self, connector: &str) -> Option<&str> {
        let named = self.reconcile.accounts.get(connector).map(String::as_str);
        named.or_else(|| self.connectors.get(connector)?.account_number())
    }

    /// Reads a file; the error names the option and the line.
    pub fn read(path: &Path) -> Result<Config, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the configuration {}: {error}", path.display()))?;
        Config::parse(&text).map_err(|error| format!("the configuration {} is not valid: {error}", path.display()))
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let said = error.to_string();
            // The line that is shown may hold a password.
            if said.contains("database_url") {
                format!("`database_url`: {}", error.message())
            } else if said.contains("connectors") {
                // The line may hold a secret that was written in place of its file's name.
                format!("`connectors`: {}", error.message())
            } else {
                said
            }
        })?;
        let limits = [
            ("api.body_bytes_max", config.api.body_bytes_max, 1_024, 1 << 20),
            ("api.header_bytes_max", config.api.header_bytes_max, 8_192, 1 << 20),
            ("api.connections_max", config.api.connections_max, 1, 1 << 20),
            ("writer.batch_max", config.writer.batch_max, 1, 4_096),
            ("writer.queue_max", config.writer.queue_max, 1, 1 << 20),
            ("writer.lanes", config.writer.lanes, 1, 64),
            ("postgres.connections_max", config.postgres.connections_max, 1, 1_000),
            ("worker.sends_max", config.worker.sends_max, 1, 4_096),
            ("callbacks.per_merchant_max", config.callbacks.per_merchant_max, 1, 1_024),
            ("callbacks.total_max", config.callbacks.total_max, 1, 4_096),
            ("callbacks.reply_bytes_max", config.callbacks.reply_bytes_max, 0, 8 * 1024),
        ];
        for (name, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(format!("`{name}` is {value}; it must be from {least} to {most}"));
            }
        }
        let sandbox_ms = config.sandbox.as_ref().map_or(1, |sandbox| sandbox.reply_within_ms);
        for (name, value) in [
            ("api.answer_within_ms", config.api.answer_within_ms),
            ("api.body_within_ms", config.api.body_within_ms),
            ("api.header_within_ms", config.api.header_within_ms),
            ("callbacks.deadline_ms", config.callbacks.deadline_ms),
            ("sandbox.reply_within_ms", sandbox_ms),
            ("operations.anchors_every_s", config.operations.anchors_every_s),
        ] {
            if !(1..=300_000).contains(&value) {
                return Err(format!("`{name}` is {value}; it must be from 1 to 300000"));
            }
        }
        if !(0..=10_080).contains(&config.reconcile.grace_minutes) {
            let given = config.reconcile.grace_minutes;
            return Err(format!("`reconcile.grace_minutes` is {given}; it must be from 0 to 10080"));
        }
        if !(1..=100).contains(&config.worker.attempts_max) {
            return Err(format!("`worker.attempts_max` is {}; it must be from 1 to 100", config.worker.attempts_max));
        }
        for (name, value) in
            [("worker.queue_within_s", config.worker.queue_within_s), ("worker.lease_ms", config.worker.lease_ms)]
        {
            if !(1..=31_536_000).contains(&value) {
                return Err(format!("`{name}` is {value}; it must be from 1 to 31536000"));
            }
        }
        config.check_routing()?;
        if i64::try_from(sandbox_ms).unwrap_or(i64::MAX) >= config.worker.lease_ms {
            return Err(format!(
                "`worker.lease_ms` is {}; it must be more than `sandbox.reply_within_ms`, or a payout is taken up twice",
                config.worker.lease_ms
            ));
        }
        config.check_connectors()?;
        config.alerts.check(&config.connector_names())?;
        if let Some(points) = config.turnround.repo_basis_points.filter(|points| !(0..=10_000).contains(points)) {
            return Err(format!("`turnround.repo_basis_points` is {points}; it must be from 0 to 10000"));
        }
        Ok(config)
    }

    /// Rules, limits and health of connectors.
    fn check_routing(&self) -> Result<(), String> {
        for (name, limits) in &self.limits {
            limits.check().map_err(|why| format!("`limits.{name}`: {why}"))?;
        }
        // Which connectors there are is known later; everything else is judged here.
        crate::routing::compile(&self.routes, None, &BTreeMap::new())?;
        let health = &self.health;
        for (name, value, least, most) in [
            ("health.window_s", health.window_s, 1, 3_600),
            ("health.words_least", i64::from(health.words_least), 1, 1_000_000),
            ("health.errors_percent", i64::from(health.errors_percent), 0, 100),
            ("health.pause_s", health.pause_s, 1, 3_600),
            ("health.probes", i64::from(health.probes), 1, 1_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("`{name}` is {value}; it must be from {least} to {most}"));
            }
        }
        Ok(())
    }

    fn check_connectors(&self) -> Result<(), String> {
        for (name, connector) in &self.connectors {
            if name == "sandbox" || hundi_core::ids::Connector::parse(name).is_none() {
                return Err(format!(
                    "`connectors.{name}` cannot be a connector's name; use 1 to 16 of a-z, 0-9, _ and -, but not `sandbox`"
                ));
            }
            if let Some(exchange) = connector.exchange() {
                exchange.check(name)?;
            }
            let within_ms = connector.reply_within_ms().unwrap_or(1);
            if !(1..=300_000).contains(&within_ms) {
                return Err(format!("`connectors.{name}.reply_within_ms` is {within_ms}; it must be from 1 to 300000"));
            }
            if i64::try_from(within_ms).unwrap_or(i64::MAX) >= self.worker.lease_ms {
                return Err(format!(
                    "`worker.lease_ms` is {}; it must be more than `connectors.{name}.reply_within_ms`, or a payout is \
                    taken up twice",
                    self.worker.lease_ms
                ));
            }
            if let Some(calls) = connector.calls_per_s().filter(|calls| !(1..=10_000).contains(calls)) {
                return Err(format!("`connectors.{name}.calls_per_s` is {calls}; it must be from 1 to 10000"));
            }
            if let Connector::Cashfree(Cashfree { credited_after_s: Some(after_s), .. }) = connector
                && !(1..=31_536_000).contains(after_s)
            {
                return Err(format!(
                    "`connectors.{name}.credited_after_s` is {after_s}; it must be from 1 to 31536000"
                ));
            }
        }
        let known: Vec<&str> =
            self.sandbox.iter().map(|_| "sandbox").chain(self.connectors.keys().map(String::as_str)).collect();
        for (name, columns) in &self.reconcile.columns {
            if !known.contains(&name.as_str()) {
                return Err(format!("`reconcile.columns` names `{name}`, which is no connector"));
            }
            columns.check().map_err(|why| format!("`reconcile.columns.{name}` {why}"))?;
        }
        if let Some(name) = self.reconcile.statements.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("`reconcile.statements` names `{name}`, which is no connector"));
        }
        let Some(order) = &self.connector_order else { return Ok(()) };
        let mut named: Vec<&str> = order.iter().map(String::as_str).collect();
        named.sort_unstable();
        let mut all = known.clone();
        all.sort_unstable();
        // One that is left out would still have to be asked about what it has; so none is left out.
        if named != all {
            return Err(format!(
                "`connector_order` must name each connector once; there are: {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ));
        }
        Ok(())
    }

    /// The names of all connectors, in the order in which they are tried.
    pub fn connector_names(&self) -> Vec<&str> {
        match &self.connector_order {
            Some(order) if !order.is_empty() => order.iter().map(String::as_str).collect(),
            _ => self.sandbox.iter().map(|_| "sandbox").chain(self.connectors.keys().map(String::as_str)).collect(),
        }
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.data.join("hundi.db")
    }

    /// The keys' file.
    pub fn key_path(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.data.join("hundi.key"))
    }

    /// The file to which the heads of the journals are appended.
    pub fn anchors(&self) -> PathBuf {
        self.data.join("anchors.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str = "[connectors.b]\nkind = 'bankcsv'\nformat = 'enet'\nclient_code = 'hush'\n[connectors.b.exchange]\n\
        outbox = 'out'\ninbox = 'in'\narchive = 'done'\nbad = 'bad'\n";

    #[test]
    fn an_empty_file_is_the_default_and_a_wrong_one_says_where() {
        assert_eq!(Config::parse("").unwrap().worker.attempts_max, 3);
        for (text, word) in [
            ("dataa = 'x'", "dataa"),
            ("[api]\nlisen = '127.0.0.1:1'", "lisen"),
            ("[api]\nlisten = 'nowhere'", "socket address"),
            ("[api]\nbody_bytes_max = 1", "api.body_bytes_max"),
            ("[worker]\nattempts_max = 0", "worker.attempts_max"),
            ("[worker]\nlease_ms = 5000\n[sandbox]\nurl = 'http://127.0.0.1:9'", "worker.lease_ms"),
            ("[sandbox]\nurl = 'http://127.0.0.1:9'\nreply_within_ms = 0", "sandbox.reply_within_ms"),
            ("[sandbox]\ncallback_secret_file = 'x'", "url"),
            ("[connectors.a]\nurl = 'http://127.0.0.1:9'", "kind"),
            ("[connectors.a]\nkind = 'sandbox'\nurl = 'http://127.0.0.1:9'\nulr = 'x'", "ulr"),
            ("[connectors.a]\nkind = 'sandbox'\nurl = 'x'\nreply_within_ms = 10000", "connectors.a.reply_within_ms"),
            ("[[routes]]\nrails = ['IMPS']", "`targets` is empty"),
            (
                "[[routes]]\nname = 'n'\nrails = ['WIRE']\ntargets = [{ connector = 'a' }]",
                "\"n\": `rails` names `WIRE`",
            ),
            ("[[routes]]\ntargets = [{ connector = 'a' }, { connector = 'a' }]", "`a` twice"),
            ("[[routes]]\ntargets = [{ connector = 'A' }]", "`A`, which is no connector"),
            ("[[routes]]\ntargets = [{ connector = 'a', weight = 0 }]", "`weight`"),
            ("[[routes]]\nhours = '22:00-24:00'\ntargets = [{ connector = 'a' }]", "`hours`"),
            ("[[routes]]\nhours = '9:00-10:00'\ntargets = [{ connector = 'a' }]", "`hours`"),
            ("[[routes]]\nbanks = ['x@y']\ntargets = [{ connector = 'a' }]", "`banks`"),
            ("[[routes]]\namount_least = '1.5'\ntargets = [{ connector = 'a' }]", "`amount_least`"),
            ("[[routes]]\namount_least = '2'\namount_most = '1'\ntargets = [{ connector = 'a' }]", "`amount_most`"),
            ("[limits.a]\nday_most = 'much'", "`limits.a`: `day_most`"),
            ("[limits.a]\nrails = ['X']", "`limits.a`: `rails`"),
            ("[limits.a]\nhours = { X = '07:00-18:00' }", "`limits.a`: `hours` names `X`"),
            ("[limits.a]\nhours = { RTGS = '7-18' }", "`limits.a`: `hours.RTGS`"),
            ("[health]\nerrors_percent = 101", "health.errors_percent"),
            ("[connectors.sandbox]\nkind = 'cashfree'\nclient_id = 'a'", "connectors.sandbox"),
            ("[connectors.Up]\nkind = 'cashfree'\nclient_id = 'a'", "connectors.Up"),
            ("[connectors.up]\nkind = 'hdfc'", "hdfc"),
            ("[connectors.up]\nkind = 'cashfree'", "client_id"),
            ("[connectors.up]\nkind = 'segurapay'\nurl = 'http://h'\ntoken = 'hush'", "token"),
            ("connectors = {up = {kind = 'segurapay', url = 'http://h', token = 'hush'}}", "token"),
            (
                "[connectors.up]\nkind = 'segurapay'\nurl = 'http://h'\nreply_within_ms = 0",
                "connectors.up.reply_within_ms",
            ),
            ("[connectors.up]\nkind = 'segurapay'\nurl = 'http://h'\nreply_within_ms = 10000", "worker.lease_ms"),
            ("[connectors.up]\nkind = 'cashfree'\nclient_id = 'a'\ncredited_after_s = 0", "credited_after_s"),
            ("[connectors.up]\nkind = 'cashfree'\nclient_id = 'a'\ncalls_per_s = 0", "connectors.up.calls_per_s"),
            ("[connectors.b]\nkind = 'iso20022'\ndebtor_name = 'A'\naccount_number = '1'\nifsc = 'x'", "exchange"),
            (&format!("{FILES}rows_max = 0"), "connectors.b.exchange.rows_max"),
            (&format!("{FILES}look_every_s = 0"), "connectors.b.exchange.look_every_s"),
            (&format!("{FILES}inboxx = 'x'"), "inboxx"),
            (&FILES.replace("'bad'", "'in'"), "four different folders"),
            ("[reconcile]\nstatements = { a = 'x' }", "`reconcile.statements` names `a`"),
            ("[reconcile.columns.a]\ndate = 'D'\nnarration = 'N'\ndebit = 'O'\ncredit = 'I'", "which is no connector"),
            (
                "[sandbox]\nurl = 'http://a.test'\n[reconcile.columns.sandbox]\ndate = 'D'\nnarration = 'N'\ndebit = 'O'",
                "`debit` and `credit`, or `amount` and `side`",
            ),
            ("connector_order = ['up']\n[sandbox]\nurl = 'http://127.0.0.1:9'", "connector_order"),
            ("connector_order = []\n[sandbox]\nurl = 'http://127.0.0.1:9'", "there are: sandbox"),
            ("[hold]\nby_itsef = false", "by_itsef"),
            ("[turnround]\nrepo_basis_points = -1", "turnround.repo_basis_points"),
            ("[alerts]\npayouts_open_minutes = 0", "alerts.payouts_open_minutes"),
            ("[alerts]\nexception_kinds = ['odd']", "`odd`; there are: paid_after_closed"),
            ("[alerts]\nbalance_least = { a = '1.00' }", "`a`, which is no connector"),
            ("[alerts]\nbalance_least = { a = 'much' }", "alerts.balance_least.a"),
            ("[alerts]\ncallback_url = 'https://hush.example'", "callback_secret_file"),
            ("[alerts]\ncallback_secret_env = 'HUSHED'", "callback_url"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.contains("hush"), "a secret in an error: {error}");
        }
    }

    #[test]
    fn connectors_are_tried_in_the_order_that_is_given() {
        let two = "[sandbox]\nurl = 'http://127.0.0.1:9'\n[connectors.b]\nkind = 'cashfree'\nclient_id = 'x'\n\
            [connectors.a]\nkind = 'segurapay'\nurl = 'http://user:hush@h'";
        let config = Config::parse(two).unwrap();
        assert_eq!(config.connector_names(), ["sandbox", "a", "b"]);
        assert!(!format!("{config:?}").contains("hush"));
        let config = Config::parse(&format!("connector_order = ['b', 'sandbox', 'a']\n{two}")).unwrap();
        assert_eq!(config.connector_names(), ["b", "sandbox", "a"]);
    }

    #[test]
    fn a_day_has_no_room_for_more_than_its_limit() {
        for (text, most_paise) in [
            ("day_most = '500.00'", 500_00),
            ("day_most = '500.00'\npayout_most = '900.00'", 500_00),
            ("day_most = '500.00'\npayout_most = '100.00'", 100_00),
            ("rails = ['IMPS']", i64::MAX),
        ] {
            let limits: Limits = toml::from_str(text).unwrap();
            assert_eq!(limits.within(Carries::ALL).most_paise, most_paise, "{text}");
        }
    }
}
