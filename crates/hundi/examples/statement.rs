//! What a bank would state of the payouts that `hundi bench --preload` has filled a SQLite store with: camt.053 with a debit
//! for each that was paid, in the order of their IDs. For `bench/reconcile`.
//!
//! ```text
//! cargo run --release --example statement -- STORE/hundi.db > statement.xml
//! ```

use hundi_core::money::Balance;
use hundi_core::schedule::Timestamp;
use rusqlite::{Connection, OpenFlags};
use std::error::Error;
use std::io::{BufWriter, Write};

const PAID: i64 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name the store's file: STORE/hundi.db")?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let whole = "SELECT MIN(created_at), MAX(updated_at), SUM(amount_paise) FROM payouts WHERE state = ?1";
    let (from, to, paise): (i64, i64, i64) =
        db.query_row(whole, [PAID], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (from, to) = (Timestamp(from), Timestamp(to));
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    write!(
        out,
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><GrpHdr><MsgId>BENCH</MsgId></GrpHdr>\
         <Stmt><Id>BENCH</Id><FrToDt><FrDtTm>{from}</FrDtTm><ToDtTm>{to}</ToDtTm></FrToDt><Acct><Id><Othr><Id>BENCH</Id></Othr>\
         </Id></Acct>{}{}",
        balance("OPBD", paise),
        balance("CLBD", 0)
    )?;
    let mut payouts =
        db.prepare("SELECT reference, rrn, amount_paise, updated_at FROM payouts WHERE state = ?1 ORDER BY payout_id")?;
    let mut rows = payouts.query([PAID])?;
    while let Some(row) = rows.next()? {
        let (reference, rrn) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
        let (amount, booked) = (Balance::from_paise(row.get(2)?), Timestamp(row.get(3)?).to_string());
        let day = booked.get(..10).unwrap_or_default();
        writeln!(
            out,
            "<Ntry><Amt Ccy=\"INR\">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>{day}</Dt></BookgDt>\
             <AcctSvcrRef>{rrn}</AcctSvcrRef><NtryDtls><TxDtls><Refs><AcctSvcrRef>{rrn}</AcctSvcrRef><EndToEndId>{reference}\
             </EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"
        )?;
    }
    writeln!(out, "</Stmt></BkToCstmrStmt></Document>")?;
    Ok(out.flush()?)
}

fn balance(kind: &str, paise: i64) -> String {
    let amount = Balance::from_paise(paise);
    format!(
        "<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy=\"INR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>"
    )
}
