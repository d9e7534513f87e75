//! What the files of banks without ISO 20022 say by the options of `kind = "bankcsv"`, how they are called, and which of the
//! bank's files answer them.
//!
//! What nobody has published is never assumed: it is an option without a default, and a configuration without it is refused
//! with the question for the bank. Where no answer is mapped, the bank's statements say what became of a payment.

use super::{Answer, FileId, Sort, Told, account, ifsc};
use crate::config;
use hundi_core::formats::Transfer;
use hundi_core::formats::bankcsv::{self, EnetVendor, IciciHeader, Mapping, Registered, Reverse, UnionHeader};
use hundi_core::formats::pain001::WriteError;
use hundi_core::party::{AccountNumber, Ifsc};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
use std::path::Path;

/// The longest first line of an answer, bytes: less than what is looked at of a file to tell what it is.
const HEADER_BYTES_MAX: usize = 1_000;

/// The files of one bank.
#[derive(Debug)]
pub(super) struct Csv {
    client: String,
    upload: Upload,
    /// How its answers are read; `None` where statements are all.
    answers: Option<Mapping>,
    paid_at_once: bool,
}

#[derive(Debug)]
enum Upload {
    Enet { account_type: String },
    Vendor { names_bank: bool, email: String },
    Icici { account: AccountNumber, within: bool, registered: Option<Registered> },
    Union { account: AccountNumber, ifsc: Ifsc, between: char },
}

impl Csv {
    /// The files that `[connectors.NAME]` describes.
    pub(super) fn new(name: &str, options: &config::BankCsv) -> Result<Csv, String> {
        let needed = |option: &str, what: &str| format!("`connectors.{name}.{option}` is needed: {what}");
        let debited = || match &options.account_number {
            Some(text) => account(name, text),
            None => Err(needed("account_number", "the account that is debited")),
        };
        let upload = match options.format.as_str() {
            "enet" => Upload::Enet {
                account_type: options
                    .account_type
                    .clone()
                    .filter(|text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
                    .ok_or_else(|| {
                        needed(
                            "account_type",
                            "the bank's two digits for the kind of account that is paid; ask the bank",
                        )
                    })?,
            },
            "enet-vendor" => Upload::Vendor {
                names_bank: options.names_bank.ok_or_else(|| {
                    needed("names_bank", "whether column 26 must name the beneficiary's bank; ask the bank")
                })?,
                email: options.email.clone(),
            },
            "icici" => Upload::Icici {
                account: debited()?,
                within: options.within_bank.ok_or_else(|| {
                    needed("within_bank", "whether accounts at ICICI Bank must be paid as WIB; ask the bank")
                })?,
                registered: options.beneficiaries_file.as_deref().map(|path| registered(name, path)).transpose()?,
            },
            "union" => Upload::Union {
                account: debited()?,
                ifsc: match &options.ifsc {
                    Some(text) => ifsc(name, text)?,
                    None => return Err(needed("ifsc", "the branch of the account that is debited")),
                },
                between: match options.separator {
                    None => ',',
                    Some(between @ (',' | '|')) => between,
                    Some(_) => return Err(format!("`connectors.{name}.separator` must be `,` or `|`")),
                },
            },
            _ => {
                return Err(format!("`connectors.{name}.format` must be `enet`, `enet-vendor`, `icici` or `union`"));
            }
        };
        let named = matches!(upload, Upload::Enet { .. } | Upload::Vendor { .. });
        let most = if named { 16 } else { 32 };
        let client = options.client_code.clone();
        if !(1..=most).contains(&client.len()) || !client.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(format!("`connectors.{name}.client_code` must be 1 to {most} letters and digits"));
        }
        let answers = match (&upload, &options.answers) {
            (Upload::Enet { .. }, None) => Some(bankcsv::enet_reverse()),
            (Upload::Enet { .. }, Some(_)) => {
                return Err(format!("`connectors.{name}.answers` is known for `enet`; leave it out"));
            }
            (_, None) => None,
            (_, Some(answers)) => Some(mapping(name, answers, named)?),
        };
        let csv = Csv { client, upload, answers, paid_at_once: options.paid_at_once };
        // What the options say wrongly would only be found when the first file is to be written.
        let probe = FileId { number: 1, of_day: 1, made_at: Timestamp(0), installation: "" };
        match csv.write(&probe, &[]) {
            Err(WriteError::Profile) => Err(format!(
                "`connectors.{name}.email` must be at most 100 printable ASCII characters without spaces and commas"
            )),
            Err(WriteError::Debtor) => {
                Err(format!("`connectors.{name}.account_number` is too long for the bank's files"))
            }
            _ => Ok(csv),
        }
    }

    /// ENet and Union Bank carry NEFT and RTGS, ICICI Bank IMPS too.
    pub(super) fn carries(&self, rail: Rail) -> bool {
        match rail {
            Rail::Neft | Rail::Rtgs => true,
            Rail::Imps => matches!(self.upload, Upload::Icici { .. }),
            Rail::Upi => false,
        }
    }

    /// ENet numbers the files of a day with three digits.
    pub(super) fn files_of_day_max(&self) -> i64 {
        match self.upload {
            Upload::Enet { .. } | Upload::Vendor { .. } => 999,
            Upload::Icici { .. } | Upload::Union { .. } => i64::MAX,
        }
    }

    /// The name of a file.
    pub(super) fn name(&self, id: &FileId<'_>) -> Result<String, WriteError> {
        match self.upload {
            Upload::Enet { .. } | Upload::Vendor { .. } => {
                let of_day = u16::try_from(id.of_day).map_err(|_| WriteError::MessageId)?;
                bankcsv::enet_file_name(&self.client, id.made_at, of_day)
            }
            Upload::Icici { .. } | Upload::Union { .. } => {
                let day: String = id.made_at.to_string().chars().take(10).filter(char::is_ascii_digit).collect();
                Ok(format!("{}{day}{:06}.txt", self.client, serial(id.number)))
            }
        }
    }

    /// What a file says.
    pub(super) fn write(&self, id: &FileId<'_>, transfers: &[Transfer<'_>]) -> Result<Vec<u8>, WriteError> {
        match &self.upload {
            Upload::Enet { account_type } => bankcsv::write_enet(account_type, id.made_at, transfers),
            Upload::Vendor { names_bank, email } => {
                let file = EnetVendor { pay_on: id.made_at, names_bank: *names_bank, email };
                bankcsv::write_enet_vendor(&file, transfers)
            }
            Upload::Icici { account, within, registered } => {
                let (file, registered) = (format!("H{:06}", serial(id.number)), registered.as_ref());
                let header = IciciHeader { account, file: &file, pay_on: id.made_at, within: *within, registered };
                bankcsv::write_icici(&header, transfers)
            }
            Upload::Union { account, ifsc, between } => {
                let (corporate_id, serial) = (&*self.client, serial(id.number));
                let header = UnionHeader { corporate_id, serial, account, ifsc, between: *between };
                bankcsv::write_union(&header, transfers)
            }
        }
    }

    /// What a file of the bank is: ENet's answers are known by their names, others by their first line.
    pub(super) fn sort(&self, name: &str, start: &[u8]) -> Result<Sort, &'static str> {
        match (&self.upload, &self.answers) {
            (Upload::Enet { .. } | Upload::Vendor { .. }, answers) => match (reverse_of(name), answers) {
                (Some(upload), _) if !upload.starts_with(&self.client) => {
                    Err("it is a reverse file of another client code")
                }
                (Some(_), Some(_)) => Ok(Sort::Answer),
                (Some(_), None) => Err("it is a reverse file, and no section `answers` says what its columns are"),
                (None, _) => Ok(Sort::Statement),
            },
            (Upload::Icici { .. } | Upload::Union { .. }, Some(Mapping { header: Some(header), .. })) => {
                let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
                let first = start.split(|b| *b == b'\n').next().unwrap_or_default();
                let is_answer = first.trim_ascii() == header.trim().as_bytes();
                Ok(if is_answer { Sort::Answer } else { Sort::Statement })
            }
            (Upload::Icici { .. } | Upload::Union { .. }, _) => Ok(Sort::Statement),
        }
    }

    /// The name of the file of ours that an answer with this name is about; `None` where only its rows tell.
    pub(super) fn about(&self, name: &str) -> Option<String> {
        match self.upload {
            Upload::Enet { .. } | Upload::Vendor { .. } => Some(reverse_of(name).unwrap_or_default()),
            Upload::Icici { .. } | Upload::Union { .. } => None,
        }
    }

    /// Reads an answer.
    pub(super) fn read(&self, file: &[u8]) -> Result<Answer, String> {
        let Some(mapping) = &self.answers else {
            return Err("this bank answers by statements only".to_owned());
        };
        let (mut told, mut bad) = (Vec::new(), Vec::new());
        bankcsv::read_reverse(file, mapping, self.paid_at_once, &mut |one| match one {
            Reverse::Answer { reference, word, note, .. } => told.push(Told { reference, word, said: note }),
            Reverse::Bad { at, why } => bad.push((at, why)),
        });
        match bad.last() {
            Some((_, why)) if *why == bankcsv::TOO_MANY_LINES => Err((*why).to_owned()),
            _ => Ok(Answer::Rows { told, bad, whole: file.ends_with(b"\n") }),
        }
    }
}

/// Reads the list of whom the bank has registered.
fn registered(name: &str, path: &Path) -> Result<Registered, String> {
    let wrong = |why: &str| format!("`connectors.{name}.beneficiaries_file` {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
    Registered::parse(&text).map_err(|(line, why)| wrong(&format!("line {line} {why}")))
}

/// The mapping that the operator describes. A bank whose answers have no names that are known must begin them with a line.
fn mapping(name: &str, options: &config::Answers, named: bool) -> Result<Mapping, String> {
    let wrong = |option: &str, what: &str| format!("`connectors.{name}.answers.{option}` {what}");
    let header = options.header.as_deref().map(str::trim).filter(|header| !header.is_empty());
    if header.is_some_and(|header| header.len() > HEADER_BYTES_MAX || header.contains('\n')) {
        return Err(wrong("header", "must be one line of at most 1000 characters"));
    }
    let columns: Vec<&str> =
        header.map(|header| header.split(options.separator).map(str::trim).collect()).unwrap_or_default();
    let fields = match (header, options.fields) {
        (Some(_), None) => columns.len(),
        (None, Some(fields)) if named => fields,
        (None, _) if !named => {
            return Err(wrong(
                "header",
                "is needed: the first line of the bank's answers, by which they are known; ask the bank for a sample",
            ));
        }
        _ => {
            return Err(wrong(
                "fields",
                "or `header` is needed, one of them; ask the bank for a sample of its answers",
            ));
        }
    };
    let place = |option: &str, column: &config::Column| match column {
        config::Column::Nth(nth) => Ok(*nth),
        config::Column::Named(column) => {
            let mut found = columns.iter().enumerate().filter(|(_, name)| *name == column);
            match (found.next(), found.next()) {
                (Some((at, _)), None) => Ok(at + 1),
                _ => Err(wrong(option, "must be a number, or a name that `header` has once")),
            }
        }
    };
    let words = |words: &[String]| words.iter().map(|word| word.trim().into()).collect();
    let mapping = Mapping {
        between: options.separator,
        header: header.map(Box::from),
        fields: fields..=fields,
        reference: place("reference", &options.reference)?,
        bank_reference: place("bank_reference", &options.bank_reference)?,
        status: place("status", &options.status)?,
        reason: place("reason", &options.reason)?,
        amount: options.amount.as_ref().map(|column| place("amount", column)).transpose()?,
        posted: None,
        executed: words(&options.executed),
        rejected: words(&options.rejected),
    };
    if !mapping.is_sound() {
        return Err(format!(
            "`connectors.{name}.answers` cannot be read by: `separator` must be one of , | ~ ; ^ or a tabulator, the columns \
             different ones of the row, and `executed` and `rejected` words of which none is in both; ask the bank for a sample"
        ));
    }
    Ok(mapping)
}

/// The number of a file in six digits.
fn serial(number: i64) -> u32 {
    u32::try_from(number.rem_euclid(1_000_000)).unwrap_or(0)
}

/// The upload file that a reverse file of ENet answers, by its name: `CLIENTDDMM.rNNN` answers `CLIENTDDMM.NNN`.
fn reverse_of(name: &str) -> Option<String> {
    let (client, number) = name.rsplit_once('.')?;
    let number = number.strip_prefix(['r', 'R'])?;
    (number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit())).then(|| format!("{client}.{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_file_is_known_by_its_name() {
        assert_eq!(reverse_of("ACME2211.r001").as_deref(), Some("ACME2211.001"));
        for name in ["ACME2211.001", "ACME2211.r01", "ACME2211.rabc", "r001", ""] {
            assert_eq!(reverse_of(name), None, "{name}");
        }
    }
}
