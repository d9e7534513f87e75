//! The bank's statement of one Indian day: camt.053.001.02 (ISO 20022), one entry per movement of money.
//!
//! `EndToEndId` is the customer's reference, `AcctSvcrRef` the bank's (RRN or UTR). A reversal is a credit with
//! `RvslInd`, under the references of its debit. Opening balance - debits + credits = closing balance.

use crate::book::Movement;
use crate::clock::{Date, ist_day_start_us, ist_timestamp};
use std::fmt::{self, Write};

/// The account of the sandbox's customer.
const ACCOUNT: &str = "SANDBOX000001";
/// About the bytes of an entry, to reserve memory once.
const ENTRY_BYTES: usize = 640;

/// One day's statement in the making.
pub(crate) struct Statement {
    pub(crate) date: Date,
    pub(crate) made_at_us: i64,
    pub(crate) opening_paise: i64,
    pub(crate) movements: Vec<Movement>,
}

/// The first moment of the day, and the first after it.
pub(crate) fn bounds_us(date: Date) -> (i64, i64) {
    (ist_day_start_us(date.number()), ist_day_start_us(date.number() + 1))
}

impl Statement {
    /// The XML document; an error only when a sum leaves the range of 64 bits.
    pub(crate) fn to_xml(&self) -> Result<String, fmt::Error> {
        let (mut debits, mut credits) = (Sum::default(), Sum::default());
        for movement in &self.movements {
            if movement.reversal { &mut credits } else { &mut debits }.add(movement.amount_paise)?;
        }
        let closing_paise =
            self.opening_paise.checked_sub(debits.paise).and_then(|paise| paise.checked_add(credits.paise));
        let closing_paise = closing_paise.ok_or(fmt::Error)?;
        let mut xml = String::with_capacity(2_048 + self.movements.len() * ENTRY_BYTES);
        self.write_head(&mut xml)?;
        self.write_balance(&mut xml, "OPBD", self.opening_paise)?;
        self.write_balance(&mut xml, "CLBD", closing_paise)?;
        writeln!(
            xml,
            "<TxsSummry><TtlNtries><NbOfNtries>{}</NbOfNtries></TtlNtries>\
             <TtlCdtNtries><NbOfNtries>{}</NbOfNtries><Sum>{}</Sum></TtlCdtNtries>\
             <TtlDbtNtries><NbOfNtries>{}</NbOfNtries><Sum>{}</Sum></TtlDbtNtries></TxsSummry>",
            self.movements.len(),
            credits.count,
            Rupees(credits.paise),
            debits.count,
            Rupees(debits.paise)
        )?;
        for movement in &self.movements {
            self.write_entry(&mut xml, movement)?;
        }
        xml.push_str("</Stmt></BkToCstmrStmt></Document>\n");
        Ok(xml)
    }

    fn write_head(&self, xml: &mut String) -> fmt::Result {
        let (from_us, until_us) = bounds_us(self.date);
        let id = format!("SBOX-{}", self.date);
        let made_at = ist_timestamp(self.made_at_us);
        write!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt>\n\
             <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{made_at}</CreDtTm></GrpHdr>\n\
             <Stmt><Id>{id}</Id><CreDtTm>{made_at}</CreDtTm>\
             <FrToDt><FrDtTm>{}</FrDtTm><ToDtTm>{}</ToDtTm></FrToDt>\
             <Acct><Id><Othr><Id>{ACCOUNT}</Id></Othr></Id><Ccy>INR</Ccy></Acct>\n",
            ist_timestamp(from_us),
            ist_timestamp(until_us - 1)
        )
    }

    fn write_balance(&self, xml: &mut String, kind: &str, paise: i64) -> fmt::Result {
        let side = if paise < 0 { "DBIT" } else { "CRDT" };
        writeln!(
            xml,
            "<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy=\"INR\">{}</Amt>\
             <CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>{}</Dt></Dt></Bal>",
            Rupees(paise),
            self.date
        )
    }

    fn write_entry(&self, xml: &mut String, movement: &Movement) -> fmt::Result {
        let Movement { id, amount_paise, reference, rrn, rail, .. } = movement;
        let side = if movement.reversal {
            "<CdtDbtInd>CRDT</CdtDbtInd><RvslInd>true</RvslInd>"
        } else {
            "<CdtDbtInd>DBIT</CdtDbtInd>"
        };
        writeln!(
            xml,
            "<Ntry><NtryRef>{id}</NtryRef><Amt Ccy=\"INR\">{}</Amt>{side}<Sts>BOOK</Sts>\
             <BookgDt><Dt>{date}</Dt></BookgDt><ValDt><Dt>{date}</Dt></ValDt><AcctSvcrRef>{rrn}</AcctSvcrRef>\
             <BkTxCd><Prtry><Cd>{}</Cd><Issr>SBOX</Issr></Prtry></BkTxCd>\
             <NtryDtls><TxDtls><Refs><AcctSvcrRef>{rrn}</AcctSvcrRef><EndToEndId>{reference}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>",
            Rupees(*amount_paise),
            rail.name(),
            date = self.date
        )
    }
}

#[derive(Default)]
struct Sum {
    count: u64,
    paise: i64,
}

impl Sum {
    fn add(&mut self, paise: i64) -> fmt::Result {
        self.count += 1;
        self.paise = self.paise.checked_add(paise).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Paise as rupees with two decimals, without a sign: camt says the side apart.
struct Rupees(i64);

impl fmt::Display for Rupees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paise = self.0.unsigned_abs();
        write!(f, "{}.{:02}", paise / 100, paise % 100)
    }
}
