//! camt.053 and camt.054.

use super::{Reader, check, cut_everywhere, told};
use hundi_core::formats::camt;
use proptest::prelude::*;

const READ: Reader = |file, tell| camt::read(file, tell);
const V2: &str = include_str!("../../statements/camt.053.001.02.xml");
const V8: &str = include_str!("../../statements/camt.053.001.08.xml");
const NOTICE: &str = include_str!("../../statements/camt.054.001.04.xml");

const V2_TOLD: [&str; 9] = [
    "begins `STMT-2026-245` of `50100012345678` with 100000.00 2026-09-02T00:00:00.000+05:30 to 2026-09-02T23:59:59.000+05:30",
    "17: debit 1500.00 2026-09-02 ours A1B2C3D4E5F6G7H narrated 624511223344 says IMPS/P2A/624511223344/RAVI KUMAR/ICIC",
    "31: debit 250000.50 2026-09-02T11:05:09.000+05:30 ours Z9Y8X7W6V5U4T3S INSTR0000000001 bank S8129813 \
     HDFCR52026090290803069 says salary & wages",
    "48: credit 1500.00 2026-09-02 returned ours A1B2C3D4E5F6G7H bank 624511223399 reason AC04 \
     says IMPS RETURN A1B2C3D4E5F6G7H Account closed",
    "63: credit 10.00 2026-09-02 returned ours Q1Q1Q1Q1Q1Q1Q1Q bank REV1",
    "74: debit 99.99 2026-09-02 announced ours P1P1P1P1P1P1P1P",
    "89: debit 600.00 2026-09-02 ours AAAAAAAAAAAAAA1 BATCH-7 bank SBIN226245450523 BULK-1 says BULK NEFT",
    "94: debit 400.00 2026-09-02 ours AAAAAAAAAAAAAA2 BATCH-7 bank BULK-1 says BULK NEFT",
    "ends with -151490.50",
];

#[test]
fn statements_are_read_in_all_versions() {
    check(READ, V2, &V2_TOLD);
    check(
        READ,
        V8,
        &[
            "begins `S-8` of `IN00HDFC0000001` with -5.00",
            "11: debit 1.00 2026-09-02 ours AAAAAAAAAAAAAA1 bank 624511223344",
            "20: debit 3.00 2026-09-03 ours AAAAAAAAAAAAAA2 AAAAAAAAAAAAAA3 bank B-2",
            "31: debit 5.00 2026-09-02 ours AAAAAAAAAAAAAA4",
            "36: credit 2.00 2026-09-02 ours AAAAAAAAAAAAAA5",
            "42: debit 7.00 2026-09-04T02:00:00.000+05:30 announced",
            "ends with -12.00",
            "begins `S-9` of `IN00HDFC0000001` with ?",
            "ends with ?",
        ],
    );
    check(
        READ,
        NOTICE,
        &[
            "begins `N-1` of `50100012345678` with ?",
            "7: credit 1500.00 2026-09-02T08:00:00.000+05:30 returned ours A1B2C3D4E5F6G7H bank R-1 \
             c4b5f2a0-2d4f-4f43-9b75-0f6f5f5b7a1 reason NARR says beneficiary does not exist",
            "ends with ?",
        ],
    );
}

/// A statement of a day that is not over does not speak of what came after it was made.
#[test]
fn a_period_ends_when_the_statement_was_made() {
    let ends = |made: &str, to: &str| {
        let made = format!(
            "<Id>S</Id><CreDtTm>{made}</CreDtTm><FrToDt><FrDtTm>2026-09-02T00:00:00+05:30</FrDtTm>\
            <ToDtTm>2026-09-02T23:59:59+05:30</ToDtTm></FrToDt>"
        );
        let file = with("").replace("<Id>S</Id>", &made);
        let begins = format!("begins `S` of `` with ? 2026-09-02T00:00:00.000+05:30 to 2026-09-02T{to}.000+05:30");
        check(READ, &file, &[&begins, "3: debit 7.00 2026-09-02", "ends with ?"]);
    };
    ends("2026-09-02T14:30:00+05:30", "14:30:00");
    ends("2026-09-02T00:00:00+05:30", "00:00:00");
    // Made afterwards, as most are; or by a clock that cannot be right.
    ends("2026-09-03T01:00:00+05:30", "23:59:59");
    ends("2026-09-01T23:00:00+05:30", "23:59:59");
}

#[test]
fn statements_of_the_tests_are_valid() {
    for (schema, document) in [("camt.053.001.02", V2), ("camt.053.001.08", V8), ("camt.054.001.04", NOTICE)] {
        super::schema::check(schema, document);
    }
}

/// One entry of a statement of the shortest kind.
fn with(entry: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><Stmt><Id>S</Id>\n{entry}\n\
         <Ntry><Amt Ccy=\"INR\">7</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-09-02</Dt></BookgDt></Ntry>\
         </Stmt></BkToCstmrStmt></Document>"
    )
}

/// Into which account a credit was paid: what the bank says of its creditor, of each transaction its own.
#[test]
fn a_credit_says_into_which_account_it_was_paid() {
    let other =
        |id: &str| format!("<CdtrAcct><Id><Othr><Id>{id}</Id><SchmeNm><Cd>BBAN</Cd></SchmeNm></Othr></Id></CdtrAcct>");
    let iban = "<CdtrAcct><Id><IBAN>IN00HDFC0000001</IBAN></Id><Ccy>INR</Ccy></CdtrAcct>";
    let one = |parties: &str| format!("<TxDtls><RltdPties>{parties}</RltdPties></TxDtls>");
    let part = |rupees: &str, parties: &str| {
        let amount = format!("<AmtDtls><TxAmt><Amt Ccy=\"INR\">{rupees}</Amt></TxAmt></AmtDtls>");
        format!("<TxDtls>{amount}<RltdPties>{parties}</RltdPties></TxDtls>")
    };
    let says = |side: &str, details: &str, want: &[&str]| {
        let entry = format!(
            "<Ntry><Amt Ccy=\"INR\">3.00</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts>BOOK</Sts>\
             <BookgDt><Dt>2026-09-01</Dt></BookgDt><NtryDtls>{details}</NtryDtls></Ntry>"
        );
        let lines = [&["begins `S` of `` with ?"], want, &["3: debit 7.00 2026-09-02", "ends with ?"]].concat();
        check(READ, &with(&entry), &lines);
    };
    let plain = "2: credit 3.00 2026-09-01";
    says("CRDT", &one(&other("22233300ACME01")), &[&format!("{plain} into 22233300ACME01")]);
    says("CRDT", &one(&other("2223 3300  ACME01")), &[&format!("{plain} into 2223 3300 ACME01")]);
    says("CRDT", &one(iban), &[&format!("{plain} into IN00HDFC0000001")]);
    says("CRDT", &one(&other(&"7".repeat(40))), &[&format!("{plain} into {}", "7".repeat(35))]);
    // Who paid, and what is not there.
    says("CRDT", &one(&other("1").replace("CdtrAcct", "DbtrAcct")), &[plain]);
    says("CRDT", &one("<Cdtr><Nm>ACME</Nm></Cdtr>"), &[plain]);
    // Of a debit it is the beneficiary's.
    says("DBIT", &one(&other("22233300ACME01")), &["2: debit 3.00 2026-09-01"]);
    let two = [part("1.00", &other("22233300ACME01")), part("2.00", &other("22233300ZEN001"))].concat();
    says(
        "CRDT",
        &two,
        &["2: credit 1.00 2026-09-01 into 22233300ACME01", "2: credit 2.00 2026-09-01 into 22233300ZEN001"],
    );
    // Several without amounts are one credit, into the first that is named.
    let unpriced =
        [one("<Cdtr><Nm>ACME</Nm></Cdtr>"), one(&other("22233300ACME01")), one(&other("22233300ZEN001"))].concat();
    says("CRDT", &unpriced, &[&format!("{plain} into 22233300ACME01")]);
}

/// However many references a transaction has, so many are kept and no more.
#[test]
fn references_of_a_transaction_have_an_end() {
    for element in ["TxId", "UETR", "ClrSysRef"] {
        let told = |before: usize| {
            let others = format!("<{element}>A</{element}>").repeat(before);
            let entry = format!(
                "<Ntry><Amt Ccy=\"INR\">3.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-09-01</Dt></BookgDt>                 <NtryDtls><TxDtls><Refs>{others}<{element}>HDFCR52026090290803069</{element}></Refs></TxDtls></NtryDtls></Ntry>"
            );
            super::told(READ, with(&entry).as_bytes()).remove(1)
        };
        assert_eq!(told(15), "2: debit 3.00 2026-09-01 bank HDFCR52026090290803069 A");
        assert_eq!(told(16), "2: debit 3.00 2026-09-01 bank A");
    }
}

#[test]
fn a_bad_entry_is_named_and_the_next_is_read() {
    let good = "<Ntry><Amt Ccy=\"INR\">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts>\
                <BookgDt><Dt>2026-09-01</Dt></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>X</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>";
    let bad = |from: &str, to: &str, why: &str| {
        assert!(good.contains(from), "{from}");
        check(
            READ,
            &with(&good.replacen(from, to, 1)),
            &["begins `S` of `` with ?", why, "3: debit 7.00 2026-09-02", "ends with ?"],
        );
    };
    bad("X", "Y", "2: debit 1.00 2026-09-01 ours Y");
    bad("X", "NOTPROVIDED", "2: debit 1.00 2026-09-01");
    bad("X", "&lt;&#65;&amp;]]&gt;", "2: debit 1.00 2026-09-01 ours <A&]]>");
    bad("X", "<![CDATA[A<B]]>", "2: debit 1.00 2026-09-01 ours A<B");
    bad("X", "<!-- no -->X", "2: debit 1.00 2026-09-01 ours X");
    let foreign = "2: BAD the currency is EUR and not INR; only accounts in rupees are read";
    bad("INR", "EUR", foreign);
    bad("INR", "50100012345678", "2: BAD the currency is not INR");
    bad(" Ccy=\"INR\"", "", "2: BAD the currency is not INR");
    for amount in ["1.00000", "1.000", "1.0"] {
        bad(">1.00<", &format!(">{amount}<"), "2: debit 1.00 2026-09-01 ours X");
    }
    for amount in [
        "1.001",
        "1.00001",
        "1.000000",
        "-1",
        "1,00",
        "1e2",
        "",
        "99999999999999999999",
        "10000000000000.01",
        "\u{661}",
    ] {
        bad(">1.00<", &format!(">{amount}<"), "2: BAD the amount is not rupees with at most two decimals");
    }
    bad(">1.00<", ">0.00<", "2: BAD the amount is zero");
    bad("<Amt Ccy=\"INR\">1.00</Amt>", "", "2: BAD the entry has no amount");
    bad("DBIT", "DEBIT", "2: BAD the entry has no CdtDbtInd");
    bad("<Sts>BOOK</Sts>", "", "2: BAD the entry has no status");
    bad("BOOK", "INFO", "2: debit 1.00 2026-09-01 announced ours X");
    bad("2026-09-01", "01-09-2026", "2: BAD the entry has no date");
    let transactions = "<TxDtls><AmtDtls><TxAmt><Amt Ccy=\"INR\">0.99</Amt></TxAmt></AmtDtls></TxDtls>";
    bad(
        "<TxDtls>",
        &format!("{transactions}<TxDtls><Amt Ccy=\"INR\">0.02</Amt>"),
        "2: BAD the amounts of its transactions do not come to the amount of the entry",
    );
    bad("<TxDtls>", &format!("{transactions}<TxDtls>"), "2: debit 1.00 2026-09-01 ours X");
    bad("<TxDtls>", &format!("{transactions}<TxDtls><Amt Ccy=\"EUR\">0.01</Amt>"), foreign);
}

#[test]
fn what_is_not_well_formed_ends_it() {
    let good = with("");
    let stops = |from: &str, to: &str, why: &str| {
        assert!(good.contains(from), "{from}");
        let file = good.replacen(from, to, 1);
        assert_eq!(told(READ, file.as_bytes()).last().map(String::as_str), Some(why), "{file}");
    };
    stops("<Document", "<!DOCTYPE a [<!ENTITY b \"c\">]><Document", "1: BAD it has a document type; none is allowed");
    stops("<Id>S</Id>", "<Id>&b;</Id>", "1: BAD it uses an entity; none is allowed");
    stops("<Id>S</Id>", "<Id>&#x110000;</Id>", "1: BAD it has a broken character reference");
    stops("</Ntry>", "</Entry>", "3: BAD it is not well-formed XML");
    stops("</Ntry>", "", "3: BAD it is not well-formed XML");
    stops("<Id>S</Id>", &"<a>".repeat(100), "1: BAD elements are nested too deep");
    stops("<Id>S</Id>", &format!("<Id>{}</Id>", "S".repeat(70_000)), "1: BAD an element or a text is too long");
    stops("<Id>S</Id>", &format!("<{}/>", "S".repeat(70_000)), "1: BAD an element or a text is too long");
    stops("<Id>S</Id>", &format!("<!--{}-->", "S".repeat(70_000)), "1: BAD an element or a text is too long");
    stops("<Id>S</Id>", "<Id a=b>S</Id>", "1: BAD a tag has broken attributes");
    stops("camt.053", "camt.052", "1: BAD it is not a camt.053 or camt.054");
    stops("<Document ", "<Dokument ", "1: BAD it is not a camt.053 or camt.054");
    stops("</Document>", "</Document><Document/>", "3: BAD it goes on after its end");
    stops("</Document>", "</Document>x", "3: BAD text stands outside of the document");
    assert_eq!(told(READ, b""), ["1: BAD it is not a camt.053 or camt.054"]);
    assert_eq!(told(READ, b"\xff<Document>"), ["1: BAD it is not UTF-8"]);
    let latin = with("").replace("<Id>S", "<Id>S\u{e9}").into_bytes();
    let latin: Vec<u8> = latin.into_iter().filter(|b| *b != 0xc3).collect();
    assert_eq!(told(READ, &latin).last().unwrap(), "1: BAD it is not UTF-8");
}

/// A file of many entries is read entry by entry: what is held does not grow with it.
#[test]
fn a_long_statement_is_a_stream() {
    struct Endless {
        piece: Vec<u8>,
        at: usize,
        left: usize,
    }
    impl std::io::Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.at == self.piece.len() {
                if self.left == 0 {
                    return Ok(0);
                }
                (self.at, self.left) = (0, self.left - 1);
            }
            let bytes = into.len().min(self.piece.len() - self.at);
            into[..bytes].copy_from_slice(&self.piece[self.at..self.at + bytes]);
            self.at += bytes;
            Ok(bytes)
        }
    }
    let start = with("");
    let (head, rest) = start.split_at(start.find("<Ntry>").unwrap());
    let entry = rest.split_inclusive("</Ntry>").next().unwrap();
    let piece = Endless { piece: entry.as_bytes().to_vec(), at: entry.len(), left: 100_000 };
    let input = std::io::Read::chain(head.as_bytes(), piece);
    let (mut lines, mut last) = (0, None);
    camt::read(std::io::BufReader::with_capacity(1_000, input), &mut |said| {
        lines += 1;
        last = Some(said);
    });
    assert_eq!(lines, 100_002);
    assert_eq!(super::shown(&last.unwrap()), "3: BAD it ends in the middle");
}

#[test]
fn a_statement_that_is_cut_never_ends_well() {
    for file in [V2, V8, NOTICE] {
        cut_everywhere(READ, file.as_bytes(), file.trim_end().len());
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..6_000_usize, gone in 0..40_usize) {
        told(READ, &bytes);
        let mut file = V2.as_bytes().to_vec();
        let at = at.min(file.len());
        file.splice(at..(at + gone).min(V2.len()), bytes);
        told(READ, &file);
    }
}
