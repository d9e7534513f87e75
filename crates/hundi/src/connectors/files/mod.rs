//! Banks that are given files: what a file says and what an answer means are pure functions, one format per bank; the exchange
//! itself is `exchange/`.
//!
//! | what the bank says of a payment in a file | iso20022 (pain.002) | bankcsv (an answer) |
//! |---|---|---|
//! | nothing: no answer yet, or one that does not speak of it | silence | silence |
//! | it has it | accepted: `RCVD` `ACTC` `ACCP` `ACFC` `ACWC` `PDNG` `ACSP`, `PART` without it | |
//! | it has executed it | paid: `ACSC`, `ACCC` of the payment itself | accepted: executed, with a bank reference; paid if so configured |
//! | it will not | refused: `RJCT`, by the table of reasons | refused: rejected, by its words |
//! | a duplicate, or a reason for a person | silence | silence |
//! | two things of one payment | silence, and a person is told | the same |
//!
//! "Not found" is never said and never believed: a file that is not answered is waited for.

mod csv;
pub mod sftp;
pub mod share;

use crate::config;
use csv::Csv;
use hundi_core::command::{ConnectorRules, Way, Word};
use hundi_core::formats::pain001::{self, ChargeBearer, Code, Header, Profile, Version, WriteError, batch_id};
use hundi_core::formats::{Transfer, pain002};
use hundi_core::ids::{Connector, Reference};
use hundi_core::money::Amount;
use hundi_core::party::{AccountNumber, Beneficiary, Ifsc, PersonName};
use hundi_core::rails::{RAILS, Rail};
use hundi_core::routing::Carries;
use hundi_core::schedule::{Closing, SECOND, Timestamp};
use sha2::{Digest, Sha256};
use share::{Directory, Share};
use std::sync::Arc;
use std::time::Duration;

/// How much of a file says what it is, bytes.
const LOOK_BYTES: usize = 2_048;
/// So long after its file should have been closed a payout is first asked about.
const AFTER_CLOSING_S: u64 = 60;

/// A bank that is given files.
#[derive(Debug)]
pub struct FileBank {
    connector: Connector,
    format: Format,
    /// Where files are exchanged.
    pub share: Arc<dyn Share>,
    /// When a file is closed.
    pub closing: Closing,
    /// The most payments of a file.
    pub rows_max: u32,
    /// How often the inbox is looked at, microseconds.
    pub look_every_us: i64,
    /// How long a file of the bank may take to become whole, microseconds.
    pub whole_within_us: i64,
}

#[derive(Debug)]
enum Format {
    Iso(Box<Iso>),
    Csv(Box<Csv>),
}

struct Iso {
    version: Version,
    debtor: PersonName,
    account: AccountNumber,
    ifsc: Ifsc,
    profile: Profile,
}

impl std::fmt::Debug for Iso {
    /// Not the account.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Iso").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What tells one file of a connector from all others.
#[derive(Clone, Copy, Debug)]
pub struct FileId<'a> {
    /// Its number at the connector, from 1.
    pub number: i64,
    /// Which file of its Indian day it is, from 1.
    pub of_day: i64,
    /// When its rows were chosen.
    pub made_at: Timestamp,
    /// The installation's number.
    pub installation: &'a str,
}

/// A payment of a file.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Our reference.
    pub reference: Reference,
    /// Over which rail.
    pub rail: Rail,
    /// How much.
    pub amount: Amount,
    /// To whom.
    pub name: PersonName,
    /// To which account.
    pub account: AccountNumber,
    /// At which branch.
    pub ifsc: Ifsc,
}

impl Payment {
    fn transfer(&self) -> Transfer<'_> {
        let Payment { reference, rail, amount, name, account, ifsc } = self;
        Transfer { reference: *reference, rail: *rail, amount: *amount, name, account, ifsc, remark: "" }
    }
}

/// What an answer of a bank is, by its beginning and its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// It answers a file of ours.
    Answer,
    /// It is a statement, or tries to be.
    Statement,
}

/// What the bank says of one payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Of which; a text, because a bank may write anything.
    pub reference: Box<str>,
    /// What it comes to.
    pub word: Word,
    /// How the bank said it, for people: it may hold account numbers.
    pub said: Box<str>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub enum Answer {
    /// A pain.002, which is about one file of ours; [`FileBank::told`] says what it comes to.
    Report(Box<pain002::Report>),
    /// Rows, each about a payment, and those that cannot be read, by their lines.
    Rows {
        /// What is said, in its order.
        told: Vec<Told>,
        /// The line, from 1, and what is wrong with it.
        bad: Vec<(u64, &'static str)>,
        /// Whether the last line has an end: one that was cut has none.
        whole: bool,
    },
}

impl FileBank {
    /// The bank of `[connectors.NAME]` with `kind = "iso20022"`.
    pub fn iso20022(connector: Connector, options: &config::Iso20022) -> Result<FileBank, String> {
        let name = connector.as_str();
        let wrong = |option: &str, what: &str| format!("`connectors.{name}.{option}` {what}");
        let version = match options.version.as_str() {
            "03" => Version::V03,
            "09" => Version::V09,
            _ => return Err(wrong("version", "must be \"03\" or \"09\"")),
        };
        let mut profile = Profile {
            batch_booking: Some(options.batch_booking),
            names_clearing: options.names_clearing,
            ..Profile::default()
        };
        profile.charge_bearer = match options.charge_bearer.as_deref() {
            None => None,
            Some("DEBT") => Some(ChargeBearer::Debt),
            Some("CRED") => Some(ChargeBearer::Cred),
            Some("SHAR") => Some(ChargeBearer::Shar),
            Some("SLEV") => Some(ChargeBearer::Slev),
            Some(_) => return Err(wrong("charge_bearer", "must be DEBT, CRED, SHAR or SLEV, or left out")),
        };
        for (option, codes) in
            [("service_levels", &options.service_levels), ("local_instruments", &options.local_instruments)]
        {
            for (rail, code) in codes {
                let known = Rail::parse(rail).filter(|rail| *rail != Rail::Upi);
                let place = known.and_then(|rail| profile.rails.get_mut(rail as usize));
                let place = place.ok_or_else(|| wrong(option, "names something that is not NEFT, RTGS or IMPS"))?;
                let code = match code.strip_prefix("prtry:") {
                    Some(own) => Code::Own(own.into()),
                    None => Code::Listed(code.as_str().into()),
                };
                let field =
                    if option == "service_levels" { &mut place.service_level } else { &mut place.local_instrument };
                *field = Some(code);
            }
        }
        let iso = Iso {
            version,
            debtor: PersonName::parse(&options.debtor_name)
                .ok_or_else(|| wrong("debtor_name", "is not a name; write it as the bank knows it"))?,
            account: account(name, &options.account_number)?,
            ifsc: ifsc(name, &options.ifsc)?,
            profile,
        };
        // What the profile says wrongly would only be found when the first file is to be written.
        let probe = FileId { number: 1, of_day: 1, made_at: Timestamp(0), installation: "" };
        match iso.write(&probe, &[]) {
            Err(WriteError::Empty) | Ok(_) => {}
            Err(WriteError::Profile) => {
                return Err(wrong(
                    "service_levels",
                    "or `local_instruments` hold a code that does not fit: a service level has 1 to 4 printable ASCII \
                     characters, a local instrument or what follows `prtry:` 1 to 35",
                ));
            }
            Err(error) => return Err(format!("`connectors.{name}`: {error}")),
        }
        FileBank::new(connector, Format::Iso(Box::new(iso)), &options.exchange)
    }

    /// The bank of `[connectors.NAME]` with `kind = "bankcsv"`.
    pub fn bankcsv(connector: Connector, options: &config::BankCsv) -> Result<FileBank, String> {
        let csv = Csv::new(connector.as_str(), options)?;
        FileBank::new(connector, Format::Csv(Box::new(csv)), &options.exchange)
    }

    fn new(connector: Connector, format: Format, exchange: &config::Exchange) -> Result<FileBank, String> {
        let config::Exchange { outbox, inbox, archive, bad, .. } = exchange;
        let folders = [outbox, inbox, archive, bad].map(Clone::clone);
        let share: Arc<dyn Share> = match (&exchange.share, &exchange.sftp) {
            (Some(handle), _) => Arc::clone(&handle.0),
            (None, Some(server)) => Arc::new(sftp::Server::new(connector.as_str(), server, folders)?),
            (None, None) => Arc::new(Directory::new(folders)),
        };
        let micros = |seconds: u32| i64::from(seconds) * SECOND;
        Ok(FileBank {
            connector,
            format,
            share,
            closing: Closing { after_us: micros(exchange.close_after_s), cut_off_us: micros(exchange.cut_off_s) },
            rows_max: exchange.rows_max,
            look_every_us: micros(exchange.look_every_s),
            whole_within_us: micros(exchange.whole_within_s),
        })
    }

    /// Its name.
    pub fn connector(&self) -> Connector {
        self.connector
    }

    /// Its contract. Files pay to accounts.
    pub fn rules(&self) -> ConnectorRules {
        let rails = RAILS.map(|rules| match &self.format {
            Format::Iso(_) => rules.rail != Rail::Upi,
            Format::Csv(csv) => csv.carries(rules.rail),
        });
        let carries = Carries { rails, ..Carries::ALL };
        ConnectorRules { connector: self.connector, not_found_final_us: None, carries, way: Way::File }
    }

    /// So long after its start a payout should be in a file that the bank has.
    pub fn out_within(&self) -> Duration {
        Duration::from_micros(self.closing.after_us.unsigned_abs()) + Duration::from_secs(AFTER_CLOSING_S)
    }

    /// The most files of an Indian day.
    pub fn files_of_day_max(&self) -> i64 {
        match &self.format {
            Format::Iso(_) => i64::MAX,
            Format::Csv(csv) => csv.files_of_day_max(),
        }
    }

    /// The payment of an order, if a file of this bank can carry it; else why not, in words fit for the merchant.
    pub fn payment(
        &self,
        (reference, rail, amount): (Reference, Rail, Amount),
        name: &PersonName,
        beneficiary: &Beneficiary,
    ) -> Result<Payment, &'static str> {
        let Beneficiary::Account { number, ifsc } = beneficiary else {
            return Err("The bank pays to account numbers only");
        };
        let (name, account) = (name.clone(), number.clone());
        let payment = Payment { reference, rail, amount, name, account, ifsc: *ifsc };
        let alone = FileId { number: 1, of_day: 1, made_at: Timestamp(0), installation: "" };
        match self.write(&alone, std::slice::from_ref(&payment)) {
            Ok(_) => Ok(payment),
            Err(WriteError::Rail(_)) => Err("The bank's files do not carry this transfer mode"),
            Err(_) => Err("The account number or the amount does not fit the bank's files"),
        }
    }

    /// The name of a file: the same for the same rows of the same installation, and no other's.
    pub fn name(&self, id: &FileId<'_>, payments: &[Payment]) -> Result<String, WriteError> {
        match &self.format {
            Format::Iso(_) => Ok(format!("{}.xml", message_id(id, payments))),
            Format::Csv(csv) => csv.name(id),
        }
    }

    /// What a file says: the same bytes for the same payments in the same order.
    pub fn write(&self, id: &FileId<'_>, payments: &[Payment]) -> Result<Vec<u8>, WriteError> {
        match &self.format {
            Format::Iso(iso) => iso.write(id, payments),
            Format::Csv(csv) => csv.write(id, &transfers(payments)),
        }
    }

    /// What a file of the bank is; `Err` where it is somebody else's.
    pub fn sort(&self, name: &str, start: &[u8]) -> Result<Sort, &'static str> {
        let start = start.get(..LOOK_BYTES).unwrap_or(start);
        match &self.format {
            Format::Iso(_) if start.windows(8).any(|word| word == b"pain.002") => Ok(Sort::Answer),
            // Without a namespace.
            Format::Iso(_) if start.windows(15).any(|word| word == b"<CstmrPmtStsRpt") => Ok(Sort::Answer),
            Format::Iso(_) => Ok(Sort::Statement),
            Format::Csv(csv) => csv.sort(name, start),
        }
    }

    /// Reads an answer. `Err` where it is not one, or not whole: nothing of it is used then.
    pub fn read(&self, file: &[u8]) -> Result<Answer, String> {
        match &self.format {
            Format::Iso(_) => match pain002::read(file) {
                Ok(report) => Ok(Answer::Report(Box::new(report))),
                Err(pain002::Unreadable { at, why }) => Err(format!("line {at}: {why}")),
            },
            Format::Csv(csv) => csv.read(file),
        }
    }

    /// The name of the file of ours that an answer is about, by what it says or is called; `None` where only its rows tell.
    pub fn about(&self, answer: &Answer, name: &str) -> Option<String> {
        match (&self.format, answer) {
            (_, Answer::Report(report)) => Some(format!("{}.xml", report.message_id)),
            (Format::Csv(csv), Answer::Rows { .. }) => csv.about(name),
            (Format::Iso(_), Answer::Rows { .. }) => None,
        }
    }

    /// What a report comes to for a payment that went into the file which it is about, under this reference and over this rail.
    pub fn told(&self, report: &pain002::Report, reference: Reference, rail: Rail) -> Told {
        let message_id = &*report.message_id;
        let answer = report.about(message_id, &batch_id(message_id, rail), reference.as_str());
        let said = format!("{} {}", answer.codes, answer.note);
        Told { reference: reference.as_str().into(), word: answer.word, said: said.trim().into() }
    }
}

impl Iso {
    fn write(&self, id: &FileId<'_>, payments: &[Payment]) -> Result<Vec<u8>, WriteError> {
        let message_id = message_id(id, payments);
        let header = Header {
            message_id: &message_id,
            made_at: id.made_at,
            debtor: &self.debtor,
            account: &self.account,
            ifsc: &self.ifsc,
            pay_on: id.made_at,
            profile: &self.profile,
        };
        pain001::write(self.version, &header, &transfers(payments))
    }
}

/// A message's id: its number, and a hash of the installation and of all references, so that an installation which was
/// restored and has forgotten a file does not use the file's id for others.
fn message_id(id: &FileId<'_>, payments: &[Payment]) -> String {
    let mut hash = Sha256::new();
    hash.update(id.installation.as_bytes());
    for payment in payments {
        hash.update(payment.reference.as_str().as_bytes());
    }
    let hash = crate::keys::hex(hash.finalize().get(..8).unwrap_or_default());
    format!("H{:06}-{hash}", id.number)
}

fn transfers(payments: &[Payment]) -> Vec<Transfer<'_>> {
    payments.iter().map(Payment::transfer).collect()
}

fn account(name: &str, text: &config::AccountText) -> Result<AccountNumber, String> {
    let said = || format!("`connectors.{name}.account_number` is not an account number; write its letters and digits");
    AccountNumber::parse(&text.0).ok_or_else(said)
}

fn ifsc(name: &str, text: &str) -> Result<Ifsc, String> {
    Ifsc::parse(text).map_err(|_| format!("`connectors.{name}.ifsc` is not an IFSC, such as HDFC0000001"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hundi_core::schedule::DAY;

    const NOON: Timestamp = Timestamp(1_795_329_000_000_000);

    fn bank(kind: &str, more: &str) -> Result<FileBank, String> {
        let exchange = "[connectors.b.exchange]\noutbox = 'o'\ninbox = 'i'\narchive = 'a'\nbad = 'x'\n";
        let text = format!("[connectors.b]\nkind = '{kind}'\n{more}\n{exchange}");
        let config = config::Config::parse(&text)?;
        let connector = Connector::parse("b").unwrap();
        match config.connectors.get("b").unwrap() {
            config::Connector::Iso20022(options) => FileBank::iso20022(connector, options),
            config::Connector::BankCsv(options) => FileBank::bankcsv(connector, options),
            _ => unreachable!(),
        }
    }

    const ISO: &str = "debtor_name = 'ACME'\naccount_number = '50100012345678'\nifsc = 'HDFC0000001'";
    const ENET: &str = "format = 'enet'\nclient_code = 'ACME'\naccount_type = '10'";
    const UNION: &str =
        "format = 'union'\nclient_code = 'ACME'\naccount_number = '50100012345678'\nifsc = 'UBIN0556688'";

    const VENDOR: &str = "format = 'enet-vendor'\nclient_code = 'ACME'\nnames_bank = true\nemail = 'pay@acme.example'";
    const ICICI: &str =
        "format = 'icici'\nclient_code = 'ACME'\naccount_number = '50100012345678'\nwithin_bank = false";
    const NUMBERED: &str = "answers = { separator = ',', fields = 31, reference = 14, bank_reference = 29, status = 30, \
         reason = 31, executed = ['E'], rejected = ['R'] }";
    const NAMED: &str = "answers = { separator = '~', header = 'Ref~UTR~State~Why~Ref2', reference = 'Ref', bank_reference = 'UTR', \
         status = 'State', reason = 'Why', executed = ['SUC'], rejected = ['FAL'] }";

    fn payment(bank: &FileBank, nth: u32, rail: Rail, account: &str) -> Result<Payment, &'static str> {
        let reference = Reference::parse(&format!("REF{nth:012}")).unwrap();
        let beneficiary = Beneficiary::Account {
            number: AccountNumber::parse(account).unwrap(),
            ifsc: Ifsc::parse("ICIC0000009").unwrap(),
        };
        let amount = Amount::from_paise(2_00_000_00).unwrap();
        bank.payment((reference, rail, amount), &PersonName::parse("RAVI KUMAR").unwrap(), &beneficiary)
    }

    #[test]
    fn options_that_are_wrong_are_named() {
        for (kind, more, word) in [
            ("iso20022", ISO.replace("ACME", " "), "`connectors.b.debtor_name`"),
            ("iso20022", ISO.replace("HDFC0000001", "HDFC"), "`connectors.b.ifsc`"),
            ("iso20022", ISO.replace("50100012345678", "-"), "`connectors.b.account_number`"),
            ("iso20022", format!("{ISO}\nversion = '04'"), "`connectors.b.version`"),
            ("iso20022", format!("{ISO}\ncharge_bearer = 'ME'"), "`connectors.b.charge_bearer`"),
            ("iso20022", format!("{ISO}\nservice_levels = {{ UPI = 'X' }}"), "`connectors.b.service_levels`"),
            ("iso20022", format!("{ISO}\nservice_levels = {{ NEFT = 'TOOLONG' }}"), "1 to 4"),
            ("iso20022", format!("{ISO}\nlocal_instruments = {{ NEFT = 'prtry:' }}"), "`local_instruments`"),
            ("bankcsv", ENET.replace("enet", "sbi"), "`connectors.b.format`"),
            ("bankcsv", ENET.replace("ACME", "AC ME"), "`connectors.b.client_code`"),
            ("bankcsv", ENET.replace("'10'", "'1'"), "`connectors.b.account_type`"),
            ("bankcsv", UNION.replace("account_number = '50100012345678'", ""), "`connectors.b.account_number`"),
            ("bankcsv", format!("{UNION}\nseparator = ';'"), "`connectors.b.separator`"),
            ("bankcsv", ENET.replace("account_type = '10'", ""), "ask the bank"),
            ("bankcsv", format!("{ENET}\n{NUMBERED}"), "`connectors.b.answers` is known for `enet`"),
            ("bankcsv", VENDOR.replace("names_bank = true", ""), "`connectors.b.names_bank` is needed"),
            ("bankcsv", VENDOR.replace("names_bank = true", ""), "ask the bank"),
            ("bankcsv", VENDOR.replace("pay@", "pay, "), "`connectors.b.email`"),
            ("bankcsv", VENDOR.replace("ACME", "AC.ME"), "`connectors.b.client_code`"),
            (
                "bankcsv",
                format!("{VENDOR}\n{}", NUMBERED.replace("fields = 31, ", "")),
                "`connectors.b.answers.fields`",
            ),
            (
                "bankcsv",
                format!("{VENDOR}\n{}", NUMBERED.replace("31", "30")),
                "`connectors.b.answers` cannot be read by",
            ),
            ("bankcsv", format!("{VENDOR}\n{}", NUMBERED.replace("['R']", "['E']")), "ask the bank for a sample"),
            ("bankcsv", format!("{VENDOR}\n{}", NUMBERED.replace("'R'", "' '")), "`executed` and `rejected`"),
            ("bankcsv", format!("{VENDOR}\n{}", NUMBERED.replace("','", "'x'")), "`separator` must be one of"),
            (
                "bankcsv",
                format!("{VENDOR}\n{}", NUMBERED.replace("= 14", "= 'Ref'")),
                "`connectors.b.answers.reference`",
            ),
            ("bankcsv", ICICI.replace("within_bank = false", ""), "`connectors.b.within_bank` is needed"),
            ("bankcsv", ICICI.replace("within_bank = false", ""), "ask the bank"),
            (
                "bankcsv",
                format!("{ICICI}\nbeneficiaries_file = 'no/such'"),
                "`connectors.b.beneficiaries_file` no/such",
            ),
            ("bankcsv", format!("{ICICI}\nbeneficiaries_file = 'Cargo.toml'"), "Cargo.toml: line 1"),
            ("bankcsv", ICICI.replace("account_number = '50100012345678'", ""), "`connectors.b.account_number`"),
            ("bankcsv", ICICI.replace("50100012345678", &"1".repeat(35)), "`connectors.b.account_number` is too long"),
            ("bankcsv", format!("{ICICI}\n{NUMBERED}"), "`connectors.b.answers.header` is needed"),
            ("bankcsv", format!("{ICICI}\n{}", NAMED.replace("Ref2", "Ref")), "`connectors.b.answers.reference`"),
            (
                "bankcsv",
                format!("{ICICI}\n{}", NAMED.replace("'UTR'", "'RRN'")),
                "`connectors.b.answers.bank_reference`",
            ),
            (
                "bankcsv",
                format!("{ICICI}\n{}", NAMED.replace("Ref2", &"x".repeat(1_000))),
                "`connectors.b.answers.header`",
            ),
            ("bankcsv", format!("{UNION}\n{NUMBERED}"), "`connectors.b.answers.header` is needed"),
        ] {
            let error = bank(kind, &more).unwrap_err();
            assert!(error.contains(word) && !error.contains("50100012345678"), "{more}: {error}");
        }
        let (numbered, named) = (format!("{VENDOR}\n{NUMBERED}"), format!("{ICICI}\n{NAMED}"));
        for (kind, more) in [
            ("iso20022", ISO),
            ("bankcsv", ENET),
            ("bankcsv", UNION),
            ("bankcsv", VENDOR),
            ("bankcsv", ICICI),
            ("bankcsv", &numbered),
            ("bankcsv", &named),
        ] {
            let bank = bank(kind, more).unwrap();
            assert!(!format!("{bank:?}").contains("50100012345678"));
            assert_eq!(bank.rules().not_found_final_us, None);
        }
    }

    #[test]
    fn a_file_has_one_name_and_says_the_same_twice() {
        let id = |number, made_at| FileId { number, of_day: number, made_at, installation: "abc" };
        for (kind, more, name) in [
            ("iso20022", ISO, "H000007-"),
            ("bankcsv", ENET, "ACME2211.007"),
            ("bankcsv", UNION, "ACME20261122000007.txt"),
            ("bankcsv", VENDOR, "ACME2211.007"),
            ("bankcsv", ICICI, "ACME20261122000007.txt"),
        ] {
            let bank = bank(kind, more).unwrap();
            let payments: Vec<Payment> =
                (0..3).map(|nth| payment(&bank, nth, Rail::Neft, "000405001234").unwrap()).collect();
            let first = bank.name(&id(7, NOON), &payments).unwrap();
            assert!(first.starts_with(name), "{first}");
            assert_eq!(bank.name(&id(7, NOON), &payments), Ok(first.clone()));
            assert_eq!(bank.write(&id(7, NOON), &payments), bank.write(&id(7, NOON), &payments));
            assert_ne!(bank.name(&id(8, NOON), &payments), Ok(first.clone()));
            assert_eq!(bank.write(&id(7, NOON), &[]), Err(WriteError::Empty));
            if kind == "iso20022" {
                // The same number with other rows, or of another installation, is another file.
                assert_ne!(bank.name(&id(7, NOON), &payments[..2]), Ok(first.clone()));
                let other = FileId { installation: "abd", ..id(7, NOON) };
                assert_ne!(bank.name(&other, &payments), Ok(first));
            } else {
                assert_ne!(bank.name(&id(7, NOON.after(DAY)), &payments), Ok(first));
            }
        }
        for named in [ENET, VENDOR] {
            let enet = bank("bankcsv", named).unwrap();
            assert_eq!(enet.name(&id(1_000, NOON), &[]), Err(WriteError::MessageId));
            assert_eq!(enet.files_of_day_max(), 999);
        }
    }

    #[test]
    fn what_a_format_cannot_carry_is_refused() {
        for (kind, more, rail, account, fits) in [
            ("iso20022", ISO, Rail::Imps, "000405001234", true),
            ("iso20022", ISO, Rail::Neft, "1234567890123456789012345678901234", true),
            ("bankcsv", ENET, Rail::Rtgs, "000405001234", true),
            ("bankcsv", ENET, Rail::Neft, "1234567890123456789012345678901", false),
            ("bankcsv", UNION, Rail::Neft, "1234567890123456789012345", false),
            ("bankcsv", UNION, Rail::Imps, "000405001234", false),
            ("bankcsv", VENDOR, Rail::Imps, "000405001234", false),
            ("bankcsv", VENDOR, Rail::Rtgs, "1234567890123456789012345", true),
            ("bankcsv", VENDOR, Rail::Neft, "12345678901234567890123456", false),
            ("bankcsv", ICICI, Rail::Imps, "000405001234", true),
            ("bankcsv", ICICI, Rail::Neft, "12345678901234567890123456789012345", false),
        ] {
            let bank = bank(kind, more).unwrap();
            if AccountNumber::parse(account).is_some() {
                assert_eq!(payment(&bank, 1, rail, account).is_ok(), fits, "{kind} {rail:?} {account}");
            }
        }
        let bank = bank("iso20022", ISO).unwrap();
        let order = (Reference::parse("REF000000000001").unwrap(), Rail::Imps, Amount::from_paise(100).unwrap());
        let mobile = hundi_core::party::Mobile::parse("9876543210").unwrap();
        let name = PersonName::parse("RAVI").unwrap();
        assert!(bank.payment(order, &name, &Beneficiary::Mobile(mobile)).is_err());
    }

    #[test]
    fn what_comes_in_is_told_apart() {
        let (iso, enet) = (bank("iso20022", ISO).unwrap(), bank("bankcsv", ENET).unwrap());
        let union = bank("bankcsv", UNION).unwrap();
        let report = b"<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.002.001.03\">";
        let camt = b"<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\">";
        assert_eq!(iso.sort("x", report), Ok(Sort::Answer));
        assert_eq!(iso.sort("x", b"<Document><CstmrPmtStsRpt>"), Ok(Sort::Answer));
        assert_eq!(iso.sort("x", camt), Ok(Sort::Statement));
        assert_eq!(enet.sort("ACME2211.r001", b""), Ok(Sort::Answer));
        assert!(enet.sort("OTHER2211.r001", b"").is_err());
        assert_eq!(enet.sort("ACME2211.001", b""), Ok(Sort::Statement));
        assert_eq!(union.sort("ACME2211.r001", b""), Ok(Sort::Statement));
        let vendor = bank("bankcsv", VENDOR).unwrap();
        assert!(vendor.sort("ACME2211.r001", b"").unwrap_err().contains("`answers`"));
        assert_eq!(vendor.sort("day.csv", b""), Ok(Sort::Statement));
        let mapped = bank("bankcsv", &format!("{VENDOR}\n{NUMBERED}")).unwrap();
        assert_eq!(mapped.sort("ACME2211.r001", b""), Ok(Sort::Answer));
        let icici = bank("bankcsv", &format!("{ICICI}\n{NAMED}")).unwrap();
        for (start, sort) in [
            (&b"Ref~UTR~State~Why~Ref2\r\n1~"[..], Sort::Answer),
            (b"\xef\xbb\xbfRef~UTR~State~Why~Ref2\n", Sort::Answer),
            (b"Ref~UTR~State~Why\n", Sort::Statement),
            (b"", Sort::Statement),
        ] {
            assert_eq!(icici.sort("ACME2211.r001", start), Ok(sort));
        }
        assert_eq!(bank("bankcsv", ICICI).unwrap().sort("x", b"Ref~UTR~State~Why~Ref2\n"), Ok(Sort::Statement));
    }
}
