//! MT940, and how a file's format is told.

use super::{Reader, check, cut_everywhere, told};
use hundi_core::formats::{self, mt940};
use proptest::prelude::*;

const READ: Reader = |file, tell| mt940::read(file, tell);
const ANY: Reader = |file, tell| formats::read(file, "statement.txt", None, tell);

/// Two pages of a statement. The third entry is the sample of HSBC India (CONNECTORS.md, section 6).
const FILE: &str = "{1:F01HDFCINBBAXXX0000000000}{2:I940X}{4:\r\n\
:20:MSG-1\r\n:25:50100012345678\r\n:28C:245/1\r\n:60F:C260901INR100000,00\r\n\
:61:2609020902D1500,00NTRFA1B2C3D4E5F6G7H//624511223344\r\nsupplement 409111200979\r\n\
:86:/INF/IMPS/P2A/RAVI KUMAR\r\n/REF Z9Y8X7W6V5\r\nU4T3S\r\n\
:61:260902RD1500,NTRFNONREF//R-1\r\n\
:61:2109140914CY2,00NTRFDP68OTX00001//W69EiK1aZsc\r\n\
:61:260902RC10,5S103X//\r\n\
:61:2701011231ED7,00NMSCNONREF\r\n\
:62M:C260902INR99993,50\r\n:64:C260902INR99993,50\r\n-}\r\n\
:20:MSG-2\r\n:25:50100012345678\r\n:28C:245/2\r\n:60M:C260902INR99993,50\r\n\
:61:260902C1,00NTRFNEFTREF SBIN326186307700\r\n:86:/TXT/SALARY\r\n:86:again\r\n:62F:D260902INR1,00\r\n:86:the end\r\n-\r\n";

const FILE_TOLD: [&str; 10] = [
    "begins `245/1` of `50100012345678` with 100000.00",
    "6: debit 1500.00 2026-09-02 ours A1B2C3D4E5F6G7H Z9Y8X7W6V5U4T3S bank 624511223344 narrated 409111200979 \
     says supplement 409111200979 /INF/IMPS/P2A/RAVI KUMAR /REF Z9Y8X7W6V5 U4T3S",
    "11: credit 1500.00 2026-09-02 returned bank R-1",
    "12: credit 2.00 2021-09-14 ours DP68OTX00001 bank W69EiK1aZsc",
    "13: debit 10.50 2026-09-02 returned ours X",
    "14: debit 7.00 2026-12-31 announced",
    "ends with 99993.50",
    "begins `245/2` of `50100012345678` with 99993.50",
    "22: credit 1.00 2026-09-02 ours NEFTREF SBIN326186307700 narrated SBIN326186307700 says /TXT/SALARY",
    "ends with -1.00",
];

#[test]
fn statements_are_read_page_by_page() {
    check(READ, FILE, &FILE_TOLD);
    check(READ, &FILE.replace("\r\n", "\n"), &FILE_TOLD);
    check(ANY, FILE, &FILE_TOLD);
}

#[test]
fn a_bad_field_is_named_and_the_next_is_read() {
    let bad = |entry: &str, why: &str| {
        let file = format!(
            ":20:M\n:25:A\n:60F:C260901INR1,00\n:61:{entry}\n:86:x\n:61:260902D7,00NTRFR\n:62F:C260902INR1,00\n"
        );
        check(READ, &file, &["begins `M` of `A` with 1.00", why, "6: debit 7.00 2026-09-02 ours R", "ends with 1.00"]);
    };
    let amount = "4: BAD the amount is not rupees with a comma and at most two decimals";
    // No entry date: nothing, or four spaces.
    bad("260902D1,00NTRFX", "4: debit 1.00 2026-09-02 ours X says x");
    bad("260902    D1,00NTRFX", "4: debit 1.00 2026-09-02 ours X says x");
    bad("260902   D1,00NTRFX", "4: BAD the entry (:61:) has no mark C, D, RC or RD");
    let kind = "4: BAD the entry (:61:) has no type (S, N or F and three characters) after the amount";
    for text in ["1", "1,001", ",50", "", "99999999999999999999,00"] {
        bad(&format!("260902D{text}NTRFR"), amount);
    }
    bad("260902D0,00NTRFR", "4: BAD the amount is zero");
    bad("260902X1,00NTRFR", "4: BAD the entry (:61:) has no mark C, D, RC or RD");
    bad("260932D1,00NTRFR", "4: BAD the entry (:61:) does not begin with a date, YYMMDD");
    bad("2609021332D1,00NTRFR", "4: BAD the entry (:61:) has an entry date that is none, MMDD");
    bad("", "4: BAD the entry (:61:) does not begin with a date, YYMMDD");
    bad("260902D1,00NT", kind);
    bad("260902D1,00.00NTRFR", kind);
    bad("260902D1,00XTRFR", kind);
    bad("26090\u{e9}", "4: BAD the entry (:61:) does not begin with a date, YYMMDD");
    let long = format!("260902D1,00NTRF{}", "x".repeat(20_000));
    let told = told(READ, format!(":20:M\n:61:{long}\n:62F:C260902INR1,00\n").as_bytes());
    assert_eq!(told, ["2: BAD the line is too long", "begins `M` of `` with ?", "ends with 1.00"]);
}

/// A field keeps so much and no more, however little there is on each of its lines.
#[test]
fn empty_lines_of_a_field_have_an_end() {
    let file =
        |lines: usize| format!(":20:M\n:61:260902D7,00NTRFR\n:86:x\n{}LATE\n:62F:C260902INR1,00\n", "\n".repeat(lines));
    let told = |lines| told(READ, file(lines).as_bytes()).remove(1);
    assert_eq!(told(4_000), "2: debit 7.00 2026-09-02 ours R says x LATE");
    assert_eq!(told(5_000), "2: debit 7.00 2026-09-02 ours R says x");
}

#[test]
fn a_statement_says_where_it_ends() {
    let head = ":20:M\n:60F:C260901INR1,00\n";
    let open = "BAD the statement before has no closing balance (:62F:)";
    check(READ, head, &["begins `M` of `` with 1.00", &format!("3: {open}")]);
    check(
        READ,
        &format!("{head}:20:N\n:62F:C260901INR1,00"),
        &["begins `M` of `` with 1.00", &format!("3: {open}"), "begins `N` of `` with ?", "ends with 1.00"],
    );
    check(READ, "", &["1: BAD it holds no statement (:20:)"]);
    check(READ, ":61:260902D1,00NTRFR\n", &["2: BAD it holds no statement (:20:)"]);
    let foreign = |currency: &str, line: u32| {
        format!("{line}: BAD the currency is {currency} and not INR; only accounts in rupees are read")
    };
    let (begins, ends) = ("begins `M` of `` with ?", "ends with ?");
    // Of the dinar's three decimals nothing is said: it is not read at all.
    for (currency, amount) in [("USD", "1,00"), ("KWD", "1,000")] {
        let file =
            format!(":20:M\n:60F:C260901{currency}{amount}\n:61:260902D1,00NTRFR\n:62F:C260901{currency}{amount}\n");
        let [opening, entry, closing] = [2, 3, 4].map(|line| foreign(currency, line));
        check(READ, &file, &[begins, &opening, &entry, &closing, ends]);
    }
    let among = "5: BAD a field of the statement's head (:25:, :28C:, :60F:) stands among its entries";
    for field in [":25:B", ":28C:2", ":28:2", ":60F:C260901INR5,00", ":60M:C260901USD5,00"] {
        let file = format!(":20:M\n:25:A\n:60F:C260901INR1,00\n:61:260902D1,00NTRFR\n{field}\n:62F:C260902INR0,00\n");
        let line = "4: debit 1.00 2026-09-02 ours R";
        check(READ, &file, &["begins `M` of `A` with 1.00", line, among, "ends with 0.00"]);
    }
    let balance = "is not mark, date, currency and amount";
    check(
        READ,
        ":20:M\n:60F:C26090INR1,00\n:62F:1,00",
        &[
            &format!("2: BAD the opening balance (:60F:) {balance}"),
            "begins `M` of `` with ?",
            &format!("3: BAD the closing balance (:62F:) {balance}"),
            "ends with ?",
        ],
    );
}

#[test]
fn the_format_is_told_by_the_beginning() {
    let first = |file: &[u8], name: &str| {
        let mut all = Vec::new();
        formats::read(file, name, None, &mut |said| all.push(super::shown(&said)));
        all.first().cloned().unwrap_or_default()
    };
    let check = |file: &[u8], name: &str, want: &str| assert_eq!(first(file, name), want);
    check(b"<a/>", "a", "1: BAD it is not a camt.053 or camt.054");
    check(b"\xef\xbb\xbf  <a/>", "a", "1: BAD it is not a camt.053 or camt.054");
    check(b"preamble\n:20:M\n:62F:C260901INR1,00", "a", "begins `M` of `` with ?");
    check(b"\n", "a.STA", "2: BAD it holds no statement (:20:)");
    check(
        b"a,b",
        "a",
        "1: BAD no line has the names of a known bank's columns; name this bank's under `reconcile.columns`",
    );
    check(
        b"",
        "",
        "1: BAD no line has the names of a known bank's columns; name this bank's under `reconcile.columns`",
    );
    check(b"PK\x03\x04..", "a.csv", "1: BAD it is a spreadsheet (XLSX) or an archive; export it as CSV");
    check(b"\xd0\xcf\x11\xe0..", "a.csv", "1: BAD it is a spreadsheet (XLS); export it as CSV");
    check(b"%PDF-1.4", "", "1: BAD it is a PDF; download the statement as CSV, MT940 or camt.053");
    check(b"\xff\xfe:\x00", "", "1: BAD it is UTF-16; save it as UTF-8");
    let xml = include_bytes!("../../statements/camt.053.001.02.xml");
    assert!(first(xml, "").starts_with("begins `STMT-2026-245`"));
}

#[test]
fn a_statement_that_is_cut_never_ends_well() {
    // After the comma of its :62F: nothing is missing.
    let page = &FILE[FILE.find(":20:MSG-2").unwrap()..];
    cut_everywhere(READ, page.as_bytes(), page.rfind("INR1,").unwrap() + 5);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..1_000_usize, gone in 0..40_usize) {
        told(READ, &bytes);
        told(ANY, &bytes);
        let mut file = FILE.as_bytes().to_vec();
        let at = at.min(file.len());
        file.splice(at..(at + gone).min(FILE.len()), bytes);
        told(READ, &file);
    }

    #[test]
    fn nothing_like_an_entry_makes_it_panic(text in "[0-9]{0,10}[CDRE]{0,3}[A-Z0-9,/\u{e9}]{0,30}") {
        told(READ, format!(":20:M\n:61:{text}\n:86:{text}\n:62F:{text}").as_bytes());
    }
}
