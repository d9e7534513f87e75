//! The banks' statements: camt.053 of what was booked, and of what was not.

use super::process::START;
use std::fmt::Write;

/// What a bank has booked on the account, in order. Some of it is a lie ([`super::swarm::Fault`]), which stays in the books.
#[derive(Debug, Default)]
pub struct Lines {
    all: Vec<Line>,
    /// What must become exceptions once a statement with it was read: the kind's name and the reference.
    pub lies: Vec<Lie>,
    /// The credits that arrived.
    pub credits: Vec<Credit>,
}

/// A credit that arrived, and whose it is.
#[derive(Clone, Debug)]
pub struct Credit {
    pub utr: String,
    pub paise: i64,
    pub merchant: Option<usize>,
}

/// What a credit says that is meant for a merchant.
pub fn words(merchant: usize) -> String {
    format!("WALLET{merchant}")
}

#[derive(Clone, Debug)]
struct Line {
    at_ms: i64,
    /// A credit is positive.
    paise: i64,
    reference: String,
    rrn: String,
    /// The words of a credit; what takes back a payment has none.
    said: Option<String>,
}

/// Something that a statement says and that is not so.
#[derive(Clone, Debug)]
pub struct Lie {
    pub kind: &'static str,
    pub reference: String,
}

/// A statement on its way.
#[derive(Clone, Debug)]
pub struct Statement {
    pub bank: usize,
    pub bytes: Vec<u8>,
}

impl Lines {
    pub fn add(&mut self, at_ms: i64, paise: i64, reference: &str, rrn: &str) {
        self.all.push(Line { at_ms, paise, reference: reference.to_owned(), rrn: rrn.to_owned(), said: None });
    }

    /// A credit arrives, of a merchant or of nobody.
    pub fn credit(&mut self, at_ms: i64, credit: Credit) {
        let said = credit.merchant.map_or_else(|| "by cash".to_owned(), |merchant| format!("to {}", words(merchant)));
        let rrn = credit.utr.clone();
        self.all.push(Line { at_ms, paise: credit.paise, reference: String::new(), rrn, said: Some(said) });
        if credit.merchant.is_none() {
            self.lies.push(Lie { kind: "unknown_credit", reference: credit.utr.clone() });
        }
        self.credits.push(credit);
    }

    /// Adds a line that is not so, and under which name it must be found.
    pub fn lie(&mut self, kind: &'static str, at_ms: i64, paise: i64, name: &str, rrn: &str, reference: &str) {
        self.add(at_ms, paise, reference, rrn);
        self.lies.push(Lie { kind, reference: name.to_owned() });
    }

    /// The debits about which nobody has lied.
    pub fn plain_debits(&self) -> Vec<(i64, String)> {
        let lied = |line: &Line| self.lies.iter().any(|lie| [&line.reference, &line.rrn].contains(&&lie.reference));
        let honest = |line: &&Line| line.paise < 0 && !lied(line);
        self.all.iter().filter(honest).map(|line| (line.paise, line.reference.clone())).collect()
    }

    /// A statement from one moment to another; the first belongs to it and the last does not. `reworded` says whether it has
    /// other words and numbers for credits, as another format has.
    pub fn statement(&self, bank: usize, from_ms: i64, to_ms: i64, reworded: bool) -> Statement {
        // What leaves the account was there before.
        let opening: i64 = 1_000_000_000_000 + self.before(from_ms);
        let closing: i64 = 1_000_000_000_000 + self.before(to_ms);
        let id = format!("{bank}-{from_ms}-{to_ms}");
        let mut xml = format!(
            "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><GrpHdr><MsgId>{id}</MsgId>\
             </GrpHdr><Stmt><Id>{id}</Id><FrToDt><FrDtTm>{}</FrDtTm><ToDtTm>{}</ToDtTm></FrToDt><Acct><Id><Othr><Id>SIM{bank}</Id>\
             </Othr></Id></Acct>{}{}",
            moment(from_ms),
            moment(to_ms - 1),
            balance("OPBD", opening, from_ms),
            balance("CLBD", closing, to_ms),
        );
        for line in self.all.iter().filter(|line| (from_ms..to_ms).contains(&line.at_ms)) {
            let side = if line.paise < 0 { "DBIT" } else { "CRDT" };
            let turned = if line.paise < 0 || line.said.is_some() { "" } else { "<RvslInd>true</RvslInd>" };
            let other = if reworded { "CR/" } else { "" };
            let said = line.said.as_ref().map_or_else(String::new, |said| format!("{other}{said}"));
            let (amount, day) = (rupees(line.paise), &moment(line.at_ms)[..10]);
            let (reference, rrn) = (&line.reference, &line.rrn);
            // A number of the bank's own beside the one that all banks know.
            let own = if said.is_empty() || !reworded { rrn.clone() } else { format!("BANK{}", &rrn[rrn.len() - 8..]) };
            // A string takes everything.
            let wrote = write!(
                xml,
                "<Ntry><Amt Ccy=\"INR\">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{turned}<Sts>BOOK</Sts>\
                 <BookgDt><Dt>{day}</Dt></BookgDt><AcctSvcrRef>{own}</AcctSvcrRef><NtryDtls><TxDtls><Refs>\
                 <AcctSvcrRef>{rrn}</AcctSvcrRef><EndToEndId>{reference}</EndToEndId></Refs><RmtInf><Ustrd>{said}</Ustrd>\
                 </RmtInf></TxDtls></NtryDtls></Ntry>"
            );
            wrote.unwrap_or_default();
        }
        xml.push_str("</Stmt></BkToCstmrStmt></Document>\n");
        Statement { bank, bytes: xml.into_bytes() }
    }

    fn before(&self, at_ms: i64) -> i64 {
        self.all.iter().filter(|line| line.at_ms < at_ms).map(|line| line.paise).sum()
    }
}

fn balance(kind: &str, paise: i64, at_ms: i64) -> String {
    let (amount, day) = (rupees(paise), &moment(at_ms)[..10]);
    format!(
        "<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy=\"INR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
         <Dt><Dt>{day}</Dt></Dt></Bal>"
    )
}

fn rupees(paise: i64) -> String {
    format!("{}.{:02}", paise.abs() / 100, paise.abs() % 100)
}

/// A moment of the simulator's clock as the banks of India write it.
fn moment(at_ms: i64) -> String {
    hundi_core::schedule::Timestamp(START.0 + at_ms * 1_000).to_string()
}
