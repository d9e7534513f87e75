//! Statements as tables.

use super::{Reader, check, told};
use hundi_core::formats::csv::{self, BANKS, Columns, Money};
use proptest::prelude::*;

const READ: Reader = |file, tell| csv::read(file, None, tell);

const HDFC: &str = "\u{feff}HDFC BANK Ltd.,,,,,,\r
Account No :,'50100012345678 PREFERRED,,,,,\r
Date,Narration,Chq./Ref.No.,Value Dt,Withdrawal Amt.,Deposit Amt.,Closing Balance\r
********,********,********,********,********,********,********\r
02/09/26,\"NEFT DR-UTIB0000001-RAVI-NETBANK, MUM-UTBIN52024040612345678-A1B2C3D4E5F6G7H\",UTBIN52024040612345678,02/09/26,1500.00,,\"98,500.00\"\r
02/09/2026,IMPS-624511223344-RAVI-ICIC-XXXX0001,0000624511223344,02/09/26,250000.5,0.00,-151500.50\r
03/09/26,NEFT CR-ICIC0000001-RAVI KUMAR-SBIN326186307700,000000,03/09/26,,\"1,50,000.00\",-1500.50\r
,,,,,,\r
STATEMENT SUMMARY :-,,,,,,\r
Opening Balance,,Debits,Credits,Closing Bal,,\r
\"1,00,000.00\",,251500.50,150000.00,-1500.50,,\r
";
const ICICI: &str = "Value Date\tTransaction Date\tCheque Number\tTransaction Remarks\tWithdrawal Amount (INR )\tDeposit Amount (INR )\tBalance (INR )
02/Sep/2026\t02/Sep/2026\t-\tINF/NEFT/IN42624557542923/SCBL0036085/RAVI\t16,48,629.47\t0.00\t0.00
01/Sep/2026\t01/Sep/2026\t\tMMT/IMPS/615207439303/A1B2C3D4E5F6G7H/RAVI/HDFC\t\t16,48,629.47\t16,48,629.47
Total\t\t\t\t16,48,629.47\t16,48,629.47\t
";
const SBI: &str = "Account Number|00000012345678901|||||
Txn Date|Value Date|Description|Ref No./Cheque No.|Debit|Credit|Balance
2 Sep 2026|2 Sep 2026|TO TRANSFER-INB NEFT UTR NO: SBIN326186307700--NAME|NEFT INB: CNAFGBGAP7 TRANSFER TO 1|10.00||90.00
";
const AXIS: &str = "Tran Date,CHQNO,Particulars,DR,CR,BAL
,,OPENING BALANCE,,,100.00
02-09-2026,,IMPS/P2A/500612128168/RAVI/ICIC,10.00,,90.00 CR
02-09-2026,,\"UPI/P2M/500612128169/
RAVI \"\"R\"\"\",100,,10.00 Dr
,,TRANSACTION TOTAL,110.00,0.00,
";
const AXIS_ONE: &str =
    "Tran Date;CHQNO;Particulars;Amount;Dr/Cr\n02-09-2026;;5\" PIPE/500612128168;1,000.00;DR\n03-09-2026;;x;1;CR\n";

#[test]
fn tables_of_the_known_banks_are_read() {
    check(
        READ,
        HDFC,
        &[
            "begins `` of `50100012345678` with 100000.00",
            "5: debit 1500.00 2026-09-02 ours A1B2C3D4E5F6G7H bank UTBIN52024040612345678 \
             says NEFT DR-UTIB0000001-RAVI-NETBANK, MUM-UTBIN52024040612345678-A1B2C3D4E5F6G7H",
            "6: debit 250000.50 2026-09-02 bank 624511223344 0000624511223344 says IMPS-624511223344-RAVI-ICIC-XXXX0001",
            "7: credit 150000.00 2026-09-03 narrated SBIN326186307700 says NEFT CR-ICIC0000001-RAVI KUMAR-SBIN326186307700",
            "ends with -1500.50",
        ],
    );
    check(
        READ,
        ICICI,
        &[
            "begins `` of `` with ?",
            "2: debit 1648629.47 2026-09-02 narrated IN42624557542923 says INF/NEFT/IN42624557542923/SCBL0036085/RAVI",
            "3: credit 1648629.47 2026-09-01 ours A1B2C3D4E5F6G7H narrated 615207439303 \
             says MMT/IMPS/615207439303/A1B2C3D4E5F6G7H/RAVI/HDFC",
            "ends with 0.00",
        ],
    );
    check(
        READ,
        SBI,
        &[
            "begins `` of `00000012345678901` with 100.00",
            "3: debit 10.00 2026-09-02 bank NEFT INB: CNAFGBGAP7 TRANSFER TO 1 narrated SBIN326186307700 \
             says TO TRANSFER-INB NEFT UTR NO: SBIN326186307700--NAME",
            "ends with 90.00",
        ],
    );
    check(
        READ,
        AXIS,
        &[
            "begins `` of `` with 100.00",
            "3: debit 10.00 2026-09-02 narrated 500612128168 says IMPS/P2A/500612128168/RAVI/ICIC",
            "4: debit 100.00 2026-09-02 narrated 500612128169 says UPI/P2M/500612128169/ RAVI \"R\"",
            "ends with -10.00",
        ],
    );
    check(
        READ,
        AXIS_ONE,
        &[
            "begins `` of `` with ?",
            "2: debit 1000.00 2026-09-02 narrated 500612128168 says 5\" PIPE/500612128168",
            "3: credit 1.00 2026-09-03 says x",
            "ends with ?",
        ],
    );
    // Two rows that undo each other: only their days tell which is the older.
    let one_day = ICICI.replace("01/Sep", "02/Sep");
    assert_eq!(told(READ, one_day.as_bytes()).last().map(String::as_str), Some("ends with ?"));
    let two = format!("{HDFC}{AXIS}");
    assert_eq!(told(READ, two.as_bytes()).iter().filter(|said| said.starts_with("ends")).count(), 2);
}

#[test]
fn a_bad_row_is_named_and_the_next_is_read() {
    let bad = |row: &str, why: &str| {
        let file = format!("Tran Date,CHQNO,Particulars,DR,CR,BAL\n{row}\n02-09-2026,,x,7,,1.00\n");
        let mut want = vec!["begins `` of `` with ?", "3: debit 7.00 2026-09-02 says x", "ends with ?"];
        want.insert(0, why);
        check(READ, &file, &want);
    };
    let amount = "2: BAD the amount is not rupees with at most two decimals";
    for text in ["1.005", "\"1,50\"", "\"1,2,345\"", "\"1,234,5\"", "\"1.5,000\"", "-1", "1e2", "\u{661}", "Rs"] {
        bad(&format!("02-09-2026,,y,{text},,1.00"), amount);
    }
    bad("02-09-2026,,y,1,2,1.00", "2: BAD the row has a debit and a credit");
    bad("02-09-2026,,y,,0.00,1.00", "2: BAD the row has no amount");
    bad("31-02-2026,,y,1,,1.00", "2: BAD the date is not one: day, month, year");
    bad("2026,,y,1,,1.00", "2: BAD the date is not one: day, month, year");
    bad(",,y,1,,1.00", "2: BAD the date is not one: day, month, year");
    bad(
        "02-09-2026,,y,z,1,,1.00,4",
        "2: BAD the row has more cells than the header: an amount or text with a comma must be quoted",
    );
    bad("02-09-2026,,\"y\"z,1,,1.00", "2: BAD text stands after a quoted cell");
    bad(&format!("02-09-2026{}", ",".repeat(70)), "2: BAD the row has too many cells");
    bad(&"x".repeat(20_000), "2: BAD the line is too long");
    let open = format!("{AXIS}02-09-2026,,\"open,1,,1.00\n{}", "x\n".repeat(9));
    assert!(told(READ, open.as_bytes()).contains(&"7: BAD a quotation mark is not closed".to_owned()));
    let side = AXIS_ONE.replace(";DR", ";XR");
    assert!(told(READ, side.as_bytes()).contains(&"2: BAD the side is neither DR nor CR".to_owned()));
}

/// A row that is gone shows in the balances: then the file does not say how it ends.
#[test]
fn balances_that_do_not_follow_are_not_told() {
    let without = |row: &str| HDFC.lines().filter(|line| !line.contains(row)).collect::<Vec<_>>().join("\n");
    let ends = |file: &str| told(READ, file.as_bytes()).last().cloned().unwrap();
    assert_eq!(ends(HDFC), "ends with -1500.50");
    assert_eq!(ends(&without("IMPS-624511223344")), "ends with ?");
    assert_eq!(ends(&without("NEFT CR")), "ends with -151500.50");
}

#[test]
fn columns_of_another_bank_are_named() {
    let columns = Columns {
        date: "When",
        narration: "What",
        references: &["Ref"],
        money: Money::One { amount: "How much", side: "Way" },
        balance: None,
    };
    let file = "Some Bank\nWHEN;how-much;way;what;ref\n2026-09-02 10:11;1,00,000.00;d;x;A1B2C3D4E5F6G7H\n";
    let read: Vec<String> = {
        let mut all = Vec::new();
        csv::read(file.as_bytes(), Some(&columns), &mut |said| all.push(super::shown(&said)));
        all
    };
    let want = [
        "begins `` of `` with ?",
        "3: debit 100000.00 2026-09-02 ours A1B2C3D4E5F6G7H bank A1B2C3D4E5F6G7H says x",
        "ends with ?",
    ];
    assert_eq!(read, want);
    assert_eq!(BANKS.len(), 5);
}

/// A file that was cut says less and nothing else: half an amount is an amount. One whose last line only lacks its end says all.
#[test]
fn a_cut_table_says_less_and_nothing_else() {
    let cut = "BAD the file ends within this row; if it is complete, end the line";
    let end = "03-09-2026,,IMPS/P2A/500612128170/RAVI,25000.00,,65000.00";
    for file in [HDFC, ICICI, SBI, AXIS, AXIS_ONE, &format!("{AXIS}{end}")] {
        let whole = told(READ, file.as_bytes());
        let entries = |said: &[String]| -> Vec<String> {
            let entries = said.iter().filter(|said| said.contains(": debit ") || said.contains(": credit "));
            entries.map(|said| said.split(" says ").next().unwrap_or_default().to_owned()).collect()
        };
        for at in 0..file.len() {
            let less = entries(&told(READ, file.as_bytes().get(..at).unwrap_or_default()));
            assert!(entries(&whole).starts_with(&less), "cut at {at}: {less:?}");
        }
    }
    let check = |end: &str, want: &str| {
        let told = told(READ, format!("{AXIS}{end}").as_bytes());
        assert!(told.iter().any(|said| said.starts_with(&format!("7: {want}"))), "{end}: {told:?}");
    };
    check(end, "debit 25000.00 2026-09-03");
    check("03-09-2026,,x,25000.00,,", "debit 25000.00 2026-09-03");
    check("03-09-2026,,x,25000.00,", cut);
    check("03-09-2026,,x,250", cut);
    check("03-09-2026,,x,250\n", "debit 250.00 2026-09-03");
    check("03-09-2026,,\"x", cut);
    check("03-09-2026,,x", cut);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..1_000_usize, gone in 0..40_usize) {
        told(READ, &bytes);
        let mut file = HDFC.as_bytes().to_vec();
        let at = at.min(file.len());
        file.splice(at..(at + gone).min(HDFC.len()), bytes);
        told(READ, &file);
    }

    #[test]
    fn nothing_like_a_row_makes_it_panic(row in "([0-9a-z\u{e9}\",./ -]{0,12},){0,8}") {
        told(READ, format!("Tran Date,CHQNO,Particulars,DR,CR,BAL\n{row}\n{row}").as_bytes());
    }
}
