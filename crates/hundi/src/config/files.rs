//! The options of banks that are given files: what the files say, how they are answered, and where they are exchanged.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `kind = "iso20022"`: pain.001 to the bank, pain.002 and camt from it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iso20022 {
    /// Which pain.001 the bank takes: `03` or `09`. Default `03`.
    #[serde(default = "pain_version")]
    pub version: String,
    /// Who pays, as the bank knows him.
    pub debtor_name: String,
    /// The account that is debited.
    pub account_number: AccountText,
    /// Its branch.
    pub ifsc: String,
    /// The service level (`SvcLvl`) by rail, such as `{ NEFT = "NURG", RTGS = "URGP" }`; a word of the bank's own after
    /// `prtry:`. Default none.
    #[serde(default)]
    pub service_levels: BTreeMap<String, String>,
    /// The local instrument (`LclInstrm`) by rail, in the same way. Default none.
    #[serde(default)]
    pub local_instruments: BTreeMap<String, String>,
    /// Who pays the charges (`ChrgBr`): `DEBT`, `CRED`, `SHAR` or `SLEV`. Default left out.
    pub charge_bearer: Option<String>,
    /// Whether the bank books a whole batch as one entry (`BtchBookg`). Default false.
    #[serde(default)]
    pub batch_booking: bool,
    /// Whether an IFSC is called one (`INFSC`). Default true.
    #[serde(default = "yes")]
    pub names_clearing: bool,
    /// Where and when files are exchanged.
    pub exchange: Exchange,
}

/// `kind = "bankcsv"`: files of banks that take no ISO 20022.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankCsv {
    /// `enet` (HDFC Bank, seven fields, with reverse files), `enet-vendor` (HDFC Bank, 28 columns), `icici` (ICICI Bank's CIB,
    /// bulk) or `union` (Union Bank).
    pub format: String,
    /// What the bank calls us: ENet's client code, Union Bank's corporate id. ICICI Bank's files are called by it.
    pub client_code: String,
    /// `enet`: the bank's two digits for the kind of account that is paid to.
    pub account_type: Option<String>,
    /// `enet-vendor`: whether the beneficiary's bank is named in column 26, or it is left empty.
    pub names_bank: Option<bool>,
    /// `enet-vendor`: to whom the bank sends its advice of every payment. Default nobody.
    #[serde(default)]
    pub email: String,
    /// `icici`: whether accounts at ICICI Bank are paid within the bank (`WIB`), or over the rail that was ordered.
    pub within_bank: Option<bool>,
    /// `icici`: a list of whom the bank has registered, a line `number,IFSC,account` for each; nobody else is paid then. Default
    /// anybody is, by his account.
    pub beneficiaries_file: Option<PathBuf>,
    /// Whether what an answer calls executed counts as paid; else the statement's debit pays. Default false.
    #[serde(default)]
    pub paid_at_once: bool,
    /// `icici`, `union`: the account that is debited.
    pub account_number: Option<AccountText>,
    /// `union`: its branch.
    pub ifsc: Option<String>,
    /// `union`: what stands between two fields, `,` or `|`. Default `,`.
    pub separator: Option<char>,
    /// Where the bank's answers say what. Default: statements are all; `enet` knows its own.
    pub answers: Option<Box<Answers>>,
    /// Where and when files are exchanged.
    pub exchange: Exchange,
}

/// `[connectors.NAME.answers]`: where the rows of a bank's answers say what, as its sample shows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// What stands between two fields: one of `,` `|` `~` `;` `^` or a tabulator.
    pub separator: char,
    /// The first line, word for word, where it names the columns.
    pub header: Option<String>,
    /// How many fields a row has, where there is no such line.
    pub fields: Option<usize>,
    /// The column of our reference: its number, or its name in the first line.
    pub reference: Column,
    /// The column of what the bank calls the payment.
    pub bank_reference: Column,
    /// The column that says what became of it.
    pub status: Column,
    /// The column of the reason, in words.
    pub reason: Column,
    /// The column of the amount in rupees. Default: it is not compared.
    pub amount: Option<Column>,
    /// The statuses of what the bank has executed.
    pub executed: Vec<String>,
    /// The statuses of what it will not execute, now or later.
    pub rejected: Vec<String>,
}

/// A column of an answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// By its number, from 1.
    Nth(usize),
    /// By its name in the first line.
    Named(String),
}

/// `[connectors.NAME.exchange]`: where and when files are exchanged with a bank.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The folder from which the bank takes our files.
    pub outbox: PathBuf,
    /// The folder into which it puts its own.
    pub inbox: PathBuf,
    /// Where its files are moved when they were read.
    pub archive: PathBuf,
    /// Where its files are moved that cannot be used.
    pub bad: PathBuf,
    /// The server on which these folders are; absent, they are on this machine.
    pub sftp: Option<Sftp>,
    /// A file has at most so many payments. Default 1000.
    #[serde(default = "rows_max")]
    pub rows_max: u32,
    /// A file is closed so many seconds after its first payment was started. Default 300.
    #[serde(default = "close_after_s")]
    pub close_after_s: u32,
    /// One with NEFT payments is closed so many seconds before a half-hourly batch at the latest. Default 120.
    #[serde(default = "cut_off_s")]
    pub cut_off_s: u32,
    /// How often the inbox is looked at, seconds. Default 30.
    #[serde(default = "look_every_s")]
    pub look_every_s: u32,
    /// A file of the bank that cannot be read is given so many seconds to become whole. Default 600.
    #[serde(default = "whole_within_s")]
    pub whole_within_s: u32,
    /// The way to the folders in place of these, for tests and the simulator; never read from a file.
    #[serde(skip)]
    pub share: Option<crate::connectors::files::share::ShareHandle>,
}

/// `[connectors.NAME.exchange.sftp]`: a server that speaks SFTP, reached by OpenSSH's `sftp`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sftp {
    /// The server's name or address.
    pub host: String,
    /// Its port. Default 22.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// Our user there.
    pub user: String,
    /// The file of our private key, mode 0600.
    pub key_file: PathBuf,
    /// A file of `known_hosts` with the server's key; no other is accepted.
    pub known_hosts_file: PathBuf,
    /// One call of the server may take so many seconds. Default 120.
    #[serde(default = "sftp_within_s")]
    pub within_s: u32,
}

/// The number of an account of ours. It is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct AccountText(pub String);

impl std::fmt::Debug for AccountText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountText(..)")
    }
}

fn pain_version() -> String {
    "03".to_owned()
}

fn yes() -> bool {
    true
}

fn rows_max() -> u32 {
    1_000
}

fn close_after_s() -> u32 {
    300
}

fn cut_off_s() -> u32 {
    120
}

fn look_every_s() -> u32 {
    30
}

fn whole_within_s() -> u32 {
    600
}

fn ssh_port() -> u16 {
    22
}

fn sftp_within_s() -> u32 {
    120
}

impl Exchange {
    /// Checks the limits of `[connectors.NAME.exchange]`; the error names the option.
    pub(super) fn check(&self, name: &str) -> Result<(), String> {
        for (option, value, least, most) in [
            ("rows_max", self.rows_max, 1, 5_000),
            ("close_after_s", self.close_after_s, 0, 86_400),
            ("cut_off_s", self.cut_off_s, 0, 1_500),
            ("look_every_s", self.look_every_s, 1, 3_600),
            ("whole_within_s", self.whole_within_s, 1, 86_400),
            ("sftp.within_s", self.sftp.as_ref().map_or(1, |sftp| sftp.within_s), 1, 3_600),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!(
                    "`connectors.{name}.exchange.{option}` is {value}; it must be from {least} to {most}"
                ));
            }
        }
        let folders = [&self.outbox, &self.inbox, &self.archive, &self.bad];
        let distinct: std::collections::BTreeSet<_> = folders.iter().collect();
        if distinct.len() < folders.len() {
            return Err(format!(
                "`connectors.{name}.exchange`: `outbox`, `inbox`, `archive` and `bad` must be four different folders"
            ));
        }
        Ok(())
    }
}
