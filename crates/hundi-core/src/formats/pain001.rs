//! Orders to a bank as ISO 20022: pain.001.001.03 and .09, a batch for each rail.
//!
//! The order of elements, and what each may hold, is the schemas'; that a bank wants a code for a rail, and which, is its
//! profile. Source: CONNECTORS.md, section 4.1.

use super::Transfer;
use super::text::clean;
use crate::ids::Reference;
use crate::party::{AccountNumber, Ifsc, PersonName};
use crate::rails::{RAILS, Rail};
use crate::schedule::Timestamp;
use quick_xml::escape::escape;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// The most transfers of one file.
pub const TRANSFERS_MAX: usize = 10_000;
/// A batch's id is the message's and the rail, in 35 characters.
pub const MESSAGE_ID_CHARS_MAX: usize = 30;
/// An account number that is not an IBAN (`Max34Text`).
const ACCOUNT_CHARS_MAX: usize = 34;
/// Unstructured remittance information (`Max140Text`).
const REMARK_CHARS_MAX: usize = 140;

/// Which version of the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// pain.001.001.03 of 2009, which most banks take.
    V03,
    /// pain.001.001.09 of 2019.
    V09,
}

/// What the whole file says.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Our number of the file, never used before: 1 to [`MESSAGE_ID_CHARS_MAX`] of `A-Z a-z 0-9 -`.
    pub message_id: &'a str,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who pays.
    pub debtor: &'a PersonName,
    /// From which account.
    pub account: &'a AccountNumber,
    /// At which branch.
    pub ifsc: &'a Ifsc,
    /// On which Indian day: any moment of it.
    pub pay_on: Timestamp,
    /// What this bank wants.
    pub profile: &'a Profile,
}

/// A code of the schema, or a word of the bank's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Code {
    /// `Cd`: of ISO's external list, at most 4 characters for a service level, 35 for a local instrument.
    Listed(Box<str>),
    /// `Prtry`: at most 35 characters.
    Own(Box<str>),
}

/// How a bank wants one rail to be named.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RailCodes {
    /// `SvcLvl`.
    pub service_level: Option<Code>,
    /// `LclInstrm`.
    pub local_instrument: Option<Code>,
}

/// Who pays the charges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChargeBearer {
    /// The debtor.
    Debt,
    /// The creditor.
    Cred,
    /// Both.
    Shar,
    /// As the service level says.
    Slev,
}

/// What a bank wants in its files. No Indian bank's guide is public, so the default writes nothing that is not mandatory, but
/// asks for an entry of its own in the statement for every transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// How it wants each rail to be named, in the order of [`RAILS`]; by default not at all.
    pub rails: [RailCodes; 4],
    /// `ChrgBr`; by default left out.
    pub charge_bearer: Option<ChargeBearer>,
    /// `BtchBookg`: whether a batch is one entry of the statement; by default it is not.
    pub batch_booking: Option<bool>,
    /// Whether `INFSC` says that a member id is an IFSC. RBI's own messages leave it out.
    pub names_clearing: bool,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile { rails: Default::default(), charge_bearer: None, batch_booking: Some(false), names_clearing: true }
    }
}

/// Why a file is not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// There is nothing to write.
    Empty,
    /// More than [`TRANSFERS_MAX`].
    TooMany,
    /// The id of the message, or of the file, is not one.
    MessageId,
    /// A code of the profile does not fit the schema.
    Profile,
    /// The debtor's account number is too long.
    Debtor,
    /// Two transfers have one reference.
    Repeated(Reference),
    /// The transfer goes over a rail that the file cannot carry.
    Rail(Reference),
    /// A field of the transfer does not fit; which, by its name in the file.
    Field(Reference, &'static str),
    /// The sum does not fit.
    Overflow,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Empty => write!(f, "there is no transfer to write"),
            WriteError::TooMany => write!(f, "more transfers than one file may hold; write several files"),
            WriteError::MessageId => {
                write!(f, "the id of the file is empty, too long, or has other signs than A-Z a-z 0-9 -")
            }
            WriteError::Profile => write!(f, "a code of the bank's profile is empty, too long, or not plain text"),
            WriteError::Debtor => write!(f, "the debtor's account number is too long for the file"),
            WriteError::Repeated(reference) => write!(f, "two transfers have the reference {}", reference.as_str()),
            WriteError::Rail(reference) => {
                write!(f, "{}: the file cannot carry its rail; send it over another connector", reference.as_str())
            }
            WriteError::Field(reference, field) => write!(f, "{}: {field} does not fit the file", reference.as_str()),
            WriteError::Overflow => write!(f, "the sum of the transfers is too large"),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<fmt::Error> for WriteError {
    /// A text in memory takes everything, so this is a sum that did not fit.
    fn from(_: fmt::Error) -> WriteError {
        WriteError::Overflow
    }
}

/// Writes a file of transfers. `EndToEndId` and `InstrId` are our reference, and the reference is said in the remark too,
/// because that is what some statements show.
pub fn write(version: Version, header: &Header<'_>, transfers: &[Transfer<'_>]) -> Result<Vec<u8>, WriteError> {
    check(header, transfers)?;
    let schema = match version {
        Version::V03 => "pain.001.001.03",
        Version::V09 => "pain.001.001.09",
    };
    let mut xml = String::with_capacity(2_048 + 1_024 * transfers.len());
    let debtor = name(header.debtor, Rail::Neft);
    let (count, sum) = (transfers.len(), Rupees(sum(transfers)?));
    write!(
        xml,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:{schema}\"><CstmrCdtTrfInitn>\n\
         <GrpHdr><MsgId>{}</MsgId><CreDtTm>{}</CreDtTm><NbOfTxs>{count}</NbOfTxs><CtrlSum>{sum}</CtrlSum>\
         <InitgPty><Nm>{debtor}</Nm></InitgPty></GrpHdr>\n",
        header.message_id, header.made_at
    )?;
    for rules in &RAILS {
        let of_rail: Vec<&Transfer<'_>> = transfers.iter().filter(|transfer| transfer.rail == rules.rail).collect();
        if !of_rail.is_empty() {
            batch(&mut xml, version, header, rules.rail, &of_rail)?;
        }
    }
    xml.push_str("</CstmrCdtTrfInitn></Document>\n");
    Ok(xml.into_bytes())
}

/// The id of the batch of a rail: what pain.002 and a statement call it.
pub fn batch_id(message_id: &str, rail: Rail) -> String {
    format!("{message_id}-{}", rail.rules().name)
}

fn check(header: &Header<'_>, transfers: &[Transfer<'_>]) -> Result<(), WriteError> {
    let id = header.message_id;
    if id.is_empty() || id.len() > MESSAGE_ID_CHARS_MAX || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(WriteError::MessageId);
    }
    let plain = |text: &str, most: usize| {
        !text.is_empty()
            && text.len() <= most
            && text.trim() == text
            && text.bytes().all(|b| (b' '..=b'~').contains(&b))
    };
    let fits = |code: &Option<Code>, listed_most: usize| match code {
        None => true,
        Some(Code::Listed(text)) => plain(text, listed_most),
        Some(Code::Own(text)) => plain(text, 35),
    };
    if !header.profile.rails.iter().all(|codes| fits(&codes.service_level, 4) && fits(&codes.local_instrument, 35)) {
        return Err(WriteError::Profile);
    }
    if header.account.as_str().len() > ACCOUNT_CHARS_MAX {
        return Err(WriteError::Debtor);
    }
    each(transfers, |transfer| {
        let fits = transfer.account.as_str().len() <= ACCOUNT_CHARS_MAX;
        if fits { Ok(()) } else { Err(WriteError::Field(transfer.reference, "CdtrAcct (at most 34 characters)")) }
    })
}

/// What every file asks of its transfers: that there are some, not too many, each once, and none over UPI, which pays to an
/// address and not to an account.
pub(super) fn each(
    transfers: &[Transfer<'_>],
    fits: impl Fn(&Transfer<'_>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    if transfers.is_empty() {
        return Err(WriteError::Empty);
    }
    if transfers.len() > TRANSFERS_MAX {
        return Err(WriteError::TooMany);
    }
    let mut references = BTreeSet::new();
    for transfer in transfers {
        if !references.insert(transfer.reference.as_str().to_owned()) {
            return Err(WriteError::Repeated(transfer.reference));
        }
        if transfer.rail == Rail::Upi {
            return Err(WriteError::Rail(transfer.reference));
        }
        fits(transfer)?;
    }
    Ok(())
}

/// The sum of transfers, paise.
pub(super) fn sum<'a>(transfers: impl IntoIterator<Item = &'a Transfer<'a>>) -> Result<i64, WriteError> {
    let mut amounts = transfers.into_iter().map(|transfer| transfer.amount.paise());
    amounts.try_fold(0_i64, i64::checked_add).ok_or(WriteError::Overflow)
}

fn batch(
    xml: &mut String,
    version: Version,
    header: &Header<'_>,
    rail: Rail,
    transfers: &[&Transfer<'_>],
) -> Result<(), WriteError> {
    let profile = header.profile;
    let id = batch_id(header.message_id, rail);
    write!(xml, "<PmtInf><PmtInfId>{id}</PmtInfId><PmtMtd>TRF</PmtMtd>")?;
    if let Some(whole) = profile.batch_booking {
        write!(xml, "<BtchBookg>{whole}</BtchBookg>")?;
    }
    let sum = Rupees(sum(transfers.iter().copied())?);
    write!(xml, "<NbOfTxs>{}</NbOfTxs><CtrlSum>{sum}</CtrlSum>", transfers.len())?;
    let codes = profile.rails.get(rail as usize);
    let (level, instrument) =
        (codes.and_then(|codes| codes.service_level.as_ref()), codes.and_then(|codes| codes.local_instrument.as_ref()));
    if level.is_some() || instrument.is_some() {
        xml.push_str("<PmtTpInf>");
        for (element, code) in [("SvcLvl", level), ("LclInstrm", instrument)] {
            match code {
                Some(Code::Listed(code)) => write!(xml, "<{element}><Cd>{}</Cd></{element}>", escape(&**code))?,
                Some(Code::Own(code)) => write!(xml, "<{element}><Prtry>{}</Prtry></{element}>", escape(&**code))?,
                None => {}
            }
        }
        xml.push_str("</PmtTpInf>");
    }
    let day = header.pay_on.to_string();
    let day = day.get(..10).unwrap_or_default();
    match version {
        Version::V03 => write!(xml, "<ReqdExctnDt>{day}</ReqdExctnDt>")?,
        Version::V09 => write!(xml, "<ReqdExctnDt><Dt>{day}</Dt></ReqdExctnDt>")?,
    }
    write!(
        xml,
        "<Dbtr><Nm>{}</Nm></Dbtr><DbtrAcct><Id><Othr><Id>{}</Id></Othr></Id><Ccy>INR</Ccy></DbtrAcct><DbtrAgt>{}</DbtrAgt>",
        name(header.debtor, rail),
        header.account.as_str(),
        Branch(header.ifsc, profile)
    )?;
    match profile.charge_bearer {
        Some(ChargeBearer::Debt) => xml.push_str("<ChrgBr>DEBT</ChrgBr>"),
        Some(ChargeBearer::Cred) => xml.push_str("<ChrgBr>CRED</ChrgBr>"),
        Some(ChargeBearer::Shar) => xml.push_str("<ChrgBr>SHAR</ChrgBr>"),
        Some(ChargeBearer::Slev) => xml.push_str("<ChrgBr>SLEV</ChrgBr>"),
        None => {}
    }
    xml.push('\n');
    for transfer in transfers {
        let reference = transfer.reference.as_str();
        writeln!(
            xml,
            "<CdtTrfTxInf><PmtId><InstrId>{reference}</InstrId><EndToEndId>{reference}</EndToEndId></PmtId>\
             <Amt><InstdAmt Ccy=\"INR\">{}</InstdAmt></Amt><CdtrAgt>{}</CdtrAgt><Cdtr><Nm>{}</Nm></Cdtr>\
             <CdtrAcct><Id><Othr><Id>{}</Id></Othr></Id></CdtrAcct><RmtInf><Ustrd>{}</Ustrd></RmtInf></CdtTrfTxInf>",
            Rupees(transfer.amount.paise()),
            Branch(transfer.ifsc, profile),
            name(transfer.name, rail),
            transfer.account.as_str(),
            remark(transfer, REMARK_CHARS_MAX)
        )?;
    }
    xml.push_str("</PmtInf>\n");
    Ok(())
}

fn name(name: &PersonName, rail: Rail) -> String {
    escape(name.for_rail(rail.rules())).into_owned()
}

/// Our reference and then the remark, in letters, digits and spaces: what every bank carries (RAILS.md, "Names").
pub(super) fn remark(transfer: &Transfer<'_>, chars_max: usize) -> String {
    let plain: String =
        transfer.remark.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).take(chars_max).collect();
    clean(&format!("{} {plain}", transfer.reference.as_str()), chars_max).into()
}

/// A branch, by its IFSC.
struct Branch<'a>(&'a Ifsc, &'a Profile);

impl fmt::Display for Branch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clearing = if self.1.names_clearing { "<ClrSysId><Cd>INFSC</Cd></ClrSysId>" } else { "" };
        let member = self.0.as_str();
        write!(f, "<FinInstnId><ClrSysMmbId>{clearing}<MmbId>{member}</MmbId></ClrSysMmbId></FinInstnId>")
    }
}

/// Paise as rupees with two decimals.
pub(super) struct Rupees(pub(super) i64);

impl fmt::Display for Rupees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}
