//! Upload files of HDFC Bank, ICICI Bank and Union Bank, HDFC Bank's reverse file, and answers whose columns are mapped.

use super::pain::{Order, order, with};
use hundi_core::formats::bankcsv::{self, EnetVendor, IciciHeader, Mapping, Registered, Reverse, UnionHeader};
use hundi_core::formats::pain001::WriteError;
use hundi_core::party::{AccountNumber, Ifsc};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
use proptest::prelude::*;

fn day() -> Timestamp {
    Timestamp::from_ist_date("2026-09-02").unwrap()
}

fn enet(orders: &[Order]) -> Result<String, WriteError> {
    with(orders, |transfers| bankcsv::write_enet("10", day(), transfers)).map(|file| String::from_utf8(file).unwrap())
}

fn union(between: char, orders: &[Order]) -> Result<String, WriteError> {
    let (account, ifsc) = (AccountNumber::parse("566802070000001").unwrap(), Ifsc::parse("UBIN0556688").unwrap());
    let header = UnionHeader { corporate_id: "CORP1", serial: 7, account: &account, ifsc: &ifsc, between };
    with(orders, |transfers| bankcsv::write_union(&header, transfers)).map(|file| String::from_utf8(file).unwrap())
}

fn vendor(names_bank: bool, email: &str, orders: &[Order]) -> Result<String, WriteError> {
    let file = EnetVendor { pay_on: day(), names_bank, email };
    with(orders, |transfers| bankcsv::write_enet_vendor(&file, transfers)).map(|file| String::from_utf8(file).unwrap())
}

fn icici(within: bool, orders: &[Order]) -> Result<String, WriteError> {
    icici_to(None, within, orders)
}

fn icici_to(registered: Option<&Registered>, within: bool, orders: &[Order]) -> Result<String, WriteError> {
    let account = AccountNumber::parse("000705012345").unwrap();
    let header = IciciHeader { account: &account, file: "H000007", pay_on: day(), within, registered };
    with(orders, |transfers| bankcsv::write_icici(&header, transfers)).map(|file| String::from_utf8(file).unwrap())
}

/// A golden row for each rail. 28 columns: `1 type, 3 account, 4 amount, 5 name, 14 reference, 23 date, 25 IFSC, 26 bank, 28
/// email`; what stands at ICICI Bank goes as to any other, or within the bank.
#[test]
fn vendor_and_bulk_files_have_the_rows_of_their_rails() {
    let orders =
        [order(1, Rail::Neft), Order { paise: 1_05, name: "R, K^ \u{930}|\"x\"".into(), ..order(2, Rail::Rtgs) }];
    assert_eq!(
        vendor(true, "pay@acme.example", &orders).unwrap(),
        "N,,000405001234,200000.50,RAVI KUMAR,,,,,,,,,REF000000000001,,,,,,,,,02/09/2026,,ICIC0000009,ICIC,,pay@acme.example\r\n\
         R,,000405001234,1.05,R K r x,,,,,,,,,REF000000000002,,,,,,,,,02/09/2026,,ICIC0000009,ICIC,,pay@acme.example\r\n"
    );
    let plain = vendor(false, "", &orders).unwrap();
    assert!(plain.lines().all(|line| line.ends_with(",02/09/2026,,ICIC0000009,,,")), "{plain}");
    let orders = [order(1, Rail::Neft), order(2, Rail::Rtgs), Order { paise: 1_05, ..order(3, Rail::Imps) }];
    assert_eq!(
        icici(false, &orders).unwrap(),
        "FHR|0011|000705012345|INR|400002.05|3|09/02/2026|H000007^\n\
         APO|NFT|200000.50|INR|000705012345|0011|ICIC0000009|000405001234|0011|RAVI KUMAR|REF000000000001|REF000000000001^\n\
         APO|RTG|200000.50|INR|000705012345|0011|ICIC0000009|000405001234|0011|RAVI KUMAR|REF000000000002|REF000000000002^\n\
         APO|IFC|1.05|INR|000705012345|0011|ICIC0000009|000405001234|0011|RAVI KUMAR|REF000000000003|REF000000000003^\n"
    );
    let within = icici(true, &orders).unwrap();
    let rows: Vec<&str> = within.lines().skip(1).collect();
    assert!(
        rows.iter().all(|row| row.starts_with("APW|WIB|") && row.contains("|ICIC0000011|000405001234|")),
        "{within}"
    );
}

/// Who is registered is named by his number alone, and nobody else is paid.
#[test]
fn bulk_files_name_the_registered_by_their_numbers() {
    let orders = [order(1, Rail::Neft), order(2, Rail::Rtgs), Order { paise: 1_05, ..order(3, Rail::Imps) }];
    let list = Registered::parse("17,ICIC0000009,000405001234\n\n 18 , hdfc0000001 , 000405001234\n").unwrap();
    assert_eq!(
        icici_to(Some(&list), false, &orders).unwrap(),
        "FHR|0011|000705012345|INR|400002.05|3|09/02/2026|H000007^\n\
         PRB|NFT|200000.50|INR|17|000705012345|0011|REF000000000001|N|PRBNBB^\n\
         PRB|RTG|200000.50|INR|17|000705012345|0011|REF000000000002|N|PRBNBB^\n\
         PRB|IFC|1.05|INR|17|000705012345|0011|REF000000000003|N|PRBNBB^\n"
    );
    assert!(icici_to(Some(&list), true, &orders).unwrap().contains("\nPRB|WIB|1.05|INR|17|"));
    let stranger = [Order { account: "000405001235".into(), ..order(1, Rail::Neft) }];
    let error = icici_to(Some(&list), true, &stranger).unwrap_err().to_string();
    assert_eq!(error, "REF000000000001: a beneficiary who is not registered does not fit the file");
    assert!(!format!("{list:?}").contains("1234"));
}

/// Two who have one number, or a line that is read wrongly, would have one paid in place of another.
#[test]
fn a_list_of_registered_beneficiaries_is_read_whole_or_not_at_all() {
    let good = "17,ICIC0000009,000405001234";
    for (text, at, says) in [
        ("", 1, "is empty"),
        ("\n \n", 1, "is empty"),
        ("17,ICIC0000009", 1, "is not `number,IFSC,account`"),
        ("17,ICIC0000009,000405001234,RAVI", 1, "is not `number,IFSC,account`"),
        ("x17,ICIC0000009,000405001234", 1, "1 to 10 digits"),
        ("12345678901,ICIC0000009,000405001234", 1, "1 to 10 digits"),
        ("17,ICIC000009,000405001234", 1, "IFSC"),
        ("17,ICIC0000009,0004", 1, "no account number"),
        (&format!("{good}\n17,HDFC0000001,000405001234"), 2, "a number that stands before"),
        (&format!("{good}\n\n18,icic0000009,000405001234"), 3, "an account that stands before"),
    ] {
        let (line, why) = Registered::parse(text).unwrap_err();
        assert!(line == at && why.contains(says), "{text}: {line} {why}");
    }
}

#[test]
fn uploads_have_the_fields_of_their_banks() {
    let orders = [order(1, Rail::Neft), Order { name: "R, K. \u{930}|\"x\"".into(), ..order(2, Rail::Rtgs) }];
    assert_eq!(
        enet(&orders).unwrap(),
        "REF000000000001,RAVI KUMAR,000405001234,ICIC0000009,10,200000.50,20260902\r\n\
         REF000000000002,R K r x,000405001234,ICIC0000009,10,200000.50,20260902\r\n"
    );
    assert_eq!(
        union(',', &orders).unwrap(),
        "FILEHDR,CORP1,7,N,\r\n\
         NEFT,UBIN0556688,566802070000001,ICIC0000009,000405001234,INR,200000.50,REF000000000001 salary,RAVI KUMAR,,REF000000000001\r\n\
         RTGS,UBIN0556688,566802070000001,ICIC0000009,000405001234,INR,200000.50,REF000000000002 salary,R K r x,,REF000000000002\r\n"
    );
    assert!(union('|', &orders).unwrap().starts_with("FILEHDR|CORP1|7|N|\r\nNEFT|UBIN0556688|"));
    assert_eq!(bankcsv::enet_file_name("ACME", day(), 3).unwrap(), "ACME0209.003");
    for (client, number) in [("", 1), ("A.B", 1), ("A/B", 1), ("ACME", 0), ("ACME", 1_000)] {
        assert_eq!(bankcsv::enet_file_name(client, day(), number), Err(WriteError::MessageId));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    type Write = fn(&[Order]) -> Result<String, WriteError>;
    let check = |write: Write, orders: &[Order], want: &str| {
        assert_eq!(write(orders).unwrap_err().to_string(), want);
    };
    let union: Write = |orders| union(',', orders);
    let (vendor, icici): (Write, Write) = (|orders| vendor(true, "", orders), |orders| icici(true, orders));
    for write in [enet as Write, union, vendor, icici] {
        check(write, &[], "there is no transfer to write");
        check(write, &[order(1, Rail::Neft), order(1, Rail::Neft)], "two transfers have the reference REF000000000001");
        let rail = "REF000000000001: the file cannot carry its rail; send it over another connector";
        check(write, &[order(1, Rail::Upi)], rail);
    }
    let rail = "REF000000000001: the file cannot carry its rail; send it over another connector";
    for write in [union, vendor] {
        check(write, &[order(1, Rail::Imps)], rail);
    }
    let account = |digits| [Order { account: "1".repeat(digits), ..order(1, Rail::Neft) }];
    assert!(enet(&account(30)).is_ok() && union(&account(24)).is_ok());
    assert!(vendor(&account(25)).is_ok() && icici(&account(34)).is_ok());
    check(
        vendor,
        &account(26),
        "REF000000000001: Beneficiary Account Number (at most 25 characters) does not fit the file",
    );
    check(icici, &account(35), "REF000000000001: beneficiary account (at most 34 characters) does not fit the file");
    check(enet, &account(31), "REF000000000001: Bene Account No (at most 30 characters) does not fit the file");
    check(union, &account(25), "REF000000000001: beneficiary account (at most 24 characters) does not fit the file");
    let amount = |paise| [Order { paise, ..order(1, Rail::Neft) }];
    assert!(union(&amount(99_999_999_999_99)).is_ok());
    check(union, &amount(100_000_000_000_00), "REF000000000001: amount (at most 14 characters) does not fit the file");
    assert!(enet(&amount(99_999_999_999_99)).is_ok());
    check(enet, &amount(1_000_000_000_000_00), "REF000000000001: Amount (at most 15 characters) does not fit the file");
    // Of the total, too, which 5,000 rows of 99,999,999.99 are within.
    assert!(icici(&amount(999_999_999_999_99)).is_ok());
    check(
        icici,
        &amount(1_000_000_000_000_00),
        "REF000000000001: amount (at most 15 characters) does not fit the file",
    );
    let two = [1, 2].map(|nth| Order { paise: 999_999_999_999_99, ..order(nth, Rail::Neft) });
    check(icici, &two, "the sum of the transfers is too large");
    let rows = |count| (0..count).map(|nth| order(nth, Rail::Neft)).collect::<Vec<_>>();
    assert_eq!(icici(&rows(5_000)).unwrap().lines().count(), 5_001);
    check(icici, &rows(5_001), "more transfers than one file may hold; write several files");
    assert_eq!(vendor(&rows(10_000)).unwrap().lines().count(), 10_000);
    check(vendor, &rows(10_001), "more transfers than one file may hold; write several files");
    with(&amount(1), |transfers| {
        let account = AccountNumber::parse("000705012345").unwrap();
        for file in ["", "H-1", "H0123456789"] {
            let header = IciciHeader { account: &account, file, pay_on: day(), within: true, registered: None };
            assert_eq!(bankcsv::write_icici(&header, transfers), Err(WriteError::MessageId), "{file}");
        }
        for email in ["a b", "a,b", "\u{e9}@x", &"x".repeat(101)] {
            let file = EnetVendor { pay_on: day(), names_bank: true, email };
            assert_eq!(bankcsv::write_enet_vendor(&file, transfers), Err(WriteError::Profile), "{email}");
        }
        assert_eq!(bankcsv::write_enet("1", day(), transfers), Err(WriteError::Profile));
        assert_eq!(bankcsv::write_enet("1,", day(), transfers), Err(WriteError::Profile));
    });
}

fn told(file: &[u8], paid_at_once: bool) -> Vec<String> {
    told_by(&bankcsv::enet_reverse(), file, paid_at_once)
}

fn told_by(mapping: &Mapping, file: &[u8], paid_at_once: bool) -> Vec<String> {
    let mut all = Vec::new();
    bankcsv::read_reverse(file, mapping, paid_at_once, &mut |said| {
        all.push(match said {
            Reverse::Bad { at, why } => format!("{at}: BAD {why}"),
            Reverse::Answer { at, reference, word, note } => {
                let amount = word.amount_paise.map_or("?".to_owned(), super::rupees);
                format!("{at}: {reference} {:?} {amount} `{}` `{}` `{note}`", word.outcome, word.rrn, word.why)
            }
        });
    });
    all
}

/// CONNECTORS.md, section 7.5.
#[test]
fn reverse_files_come_to_what_the_table_says() {
    let row = |end: &str| format!("REF000000000001,RAVI,000405001234,ICIC0000009,10,200000.50,20260902,{end}\r\n");
    let check = |end: &str, want: &str| {
        assert_eq!(told(row(end).as_bytes(), false), [format!("1: {want}")], "{end}");
    };
    let refused =
        "REF000000000001 Refused { elsewhere: false } 200000.50 `` `Rejected by the bank: beneficiary's details`";
    let elsewhere = "REF000000000001 Refused { elsewhere: true } 200000.50 `` `Rejected by the bank`";
    check("N245260012345678,E,", "REF000000000001 Accepted 200000.50 `N245260012345678` `` ``");
    check("N245260012345678,E", "REF000000000001 Accepted 200000.50 `N245260012345678` `` ``");
    check(",E,", "REF000000000001 Silent 200000.50 `` `` ``");
    for reason in [
        "Account does not exist",
        "Invalid Account",
        "A/C CLOSED",
        "ACCT FROZEN",
        "invalid ifsc",
        "Name mismatch",
        "BENE REJECTED",
    ] {
        check(&format!(",R,{reason}"), &format!("{refused} `{reason}`"));
    }
    for reason in ["Insufficient funds", "", "Cut off over", "Could not be processed"] {
        check(&format!(",R,{reason}"), &format!("{elsewhere} `{reason}`"));
    }
    for reason in [
        "Duplicate account",
        "CUST REF NO DUP",
        "DUP.",
        "DUPL REF",
        "REF NO EXISTS",
        "TXN ALREADY DONE",
        "ALRDY PROCESSED",
        "Repeated reference",
        "Processed earlier",
        "NOT PROCESSED: REF EXISTS",
    ] {
        check(&format!(",R,{reason}"), &format!("REF000000000001 Silent 200000.50 `` `` `{reason}`"));
    }
    let paid = told(row("N245260012345678,E,").as_bytes(), true);
    assert_eq!(paid, ["1: REF000000000001 Paid 200000.50 `N245260012345678` `` ``"]);

    let bad = |from: &str, to: &str, why: &str| {
        let file = format!("{}{}", row("B,E,").replace(from, to), row("C,E,"));
        let second = "2: REF000000000001 Accepted 200000.50 `C` `` ``".to_owned();
        assert_eq!(told(file.as_bytes(), false), [format!("1: BAD {why}"), second], "{file}");
    };
    bad("E", "X", "the status says neither that it is executed nor that it is rejected");
    bad("20260902", "20260931", "the posting date is not a date, YYYYMMDD");
    bad("20260902", "2026-09-02", "the posting date is not a date, YYYYMMDD");
    bad("200000.50", "2,00,000.50", "the line has more fields than an answer has");
    bad("200000.50", "200000.505", "the amount is not rupees with at most two decimals");
    bad("REF000000000001", "", "there is no reference of ours");
    bad(",B,E,", "", "the line has fewer fields than an answer has");
    bad("RAVI", &"x".repeat(20_000), "the line is too long");
}

/// A mapping of an operator's: a header, other signs, columns in any order.
#[test]
fn a_mapped_answer_comes_to_what_the_table_says() {
    let header = "Txn~Our Ref~Amt~State~UTR~Why";
    let mapping = Mapping {
        between: '~',
        header: Some(header.into()),
        fields: 6..=6,
        reference: 2,
        bank_reference: 5,
        status: 4,
        reason: 6,
        amount: Some(3),
        posted: None,
        executed: vec!["SUC".into(), "DONE".into()],
        rejected: vec!["FAL".into()],
    };
    assert!(mapping.is_sound() && bankcsv::enet_reverse().is_sound());
    let check = |mapping: &Mapping, row: &str, want: &str| {
        let file = format!("{header}\r\n{row}\r\n");
        assert_eq!(told_by(mapping, file.as_bytes(), false), [format!("2: {want}")], "{row}");
    };
    let ours = "REF000000000001";
    check(&mapping, &format!("1~{ours}~1.05~SUC~U1~"), &format!("{ours} Accepted 1.05 `U1` `` ``"));
    check(&mapping, &format!("1~ {ours} ~1.05~ DONE ~U1~ok"), &format!("{ours} Accepted 1.05 `U1` `` `ok`"));
    check(&mapping, &format!("1~{ours}~1.05~SUC~~"), &format!("{ours} Silent 1.05 `` `` ``"));
    let no = "`Rejected by the bank: beneficiary's details` `NO SUCH ACCOUNT`";
    check(
        &mapping,
        &format!("1~{ours}~1.05~FAL~~NO SUCH ACCOUNT"),
        &format!("{ours} Refused {{ elsewhere: false }} 1.05 `` {no}"),
    );
    check(
        &mapping,
        &format!("1~{ours}~1.05~FAL~U1~ALREADY PAID"),
        &format!("{ours} Silent 1.05 `U1` `` `ALREADY PAID`"),
    );
    let neither = "BAD the status says neither that it is executed nor that it is rejected";
    for status in ["", "suc", "PEN", "SUCC"] {
        check(&mapping, &format!("1~{ours}~1.05~{status}~U1~"), neither);
    }
    check(&mapping, &format!("1~{ours}~1.05~SUC~U1~a~b"), "BAD the line has more fields than an answer has");
    check(&mapping, &format!("1~{ours}~1.05~SUC~U1"), "BAD the line has fewer fields than an answer has");
    check(&mapping, &format!("1~{ours}~INR|1.05~SUC~U1~"), "BAD the amount is not rupees with at most two decimals");
    let unpriced = Mapping { amount: None, ..mapping.clone() };
    check(&unpriced, &format!("1~{ours}~INR|1.05~SUC~U1~"), &format!("{ours} Accepted ? `U1` `` ``"));
    // Another header may mean other columns: not a row is read.
    let other = format!("Txn~Our Ref~Amt~State~Why~UTR\n1~{ours}~1.05~FAL~~x\n");
    assert_eq!(
        told_by(&mapping, other.as_bytes(), false),
        ["1: BAD it does not begin with the header that is configured; see whether the bank has changed it"]
    );
    for unsound in [
        Mapping { reference: 0, ..mapping.clone() },
        Mapping { status: 7, ..mapping.clone() },
        Mapping { status: 6, ..mapping.clone() },
        Mapping { amount: Some(2), ..mapping.clone() },
        Mapping { reason: 7, ..mapping.clone() },
        Mapping { executed: Vec::new(), ..mapping.clone() },
        Mapping { rejected: vec!["".into()], ..mapping.clone() },
        Mapping { rejected: vec!["SUC".into()], ..mapping.clone() },
        Mapping { between: 'S', ..mapping.clone() },
    ] {
        assert!(!unsound.is_sound(), "{unsound:?}");
    }
}

/// Whatever its size, a file takes as much memory as the longest answer.
#[test]
fn an_answer_of_too_many_lines_is_not_read_further() {
    for line in ["x\n", "\n", "REF000000000001,RAVI,1,ICIC0000009,10,1.00,20260902,B,E,\n"] {
        let told = told(line.repeat(60_000).as_bytes(), true);
        assert!(told.len() <= 50_001, "{line}: {}", told.len());
        assert_eq!(
            told.last().unwrap(),
            "50001: BAD it has more than 50000 lines; no file of ours has as many",
            "{line}"
        );
    }
}

/// Of a line without an end nothing is believed: what is cut away might turn a rejection into one that may be tried elsewhere,
/// and one status into another.
#[test]
fn a_cut_reverse_file_says_less_and_nothing_else() {
    for end in [",,R,Is a duplicate", ",B1,E,", ",B1,E"] {
        let file = format!("REF000000000001,RAVI,000405001234,ICIC0000009,10,200000.50,20260902{end}\r\n");
        for at in 0..file.len() {
            let told = told(&file.as_bytes()[..at], true);
            assert!(told.iter().all(|said| said.contains("BAD")), "cut at {at}: {told:?}");
        }
        assert_eq!(told(file.as_bytes(), true).iter().filter(|said| said.contains("BAD")).count(), 0, "{file}");
    }
}

/// What the bank sends back begins as what we sent.
#[test]
fn an_upload_is_found_again_in_its_reverse_file() {
    let upload = enet(&[order(1, Rail::Neft), Order { paise: 1_05, ..order(2, Rail::Neft) }]).unwrap();
    let reverse = upload.replace(",20260902\r\n", ",20260902,B1,E,\r\n");
    let want = ["1: REF000000000001 Accepted 200000.50 `B1` `` ``", "2: REF000000000002 Accepted 1.05 `B1` `` ``"];
    assert_eq!(told(reverse.as_bytes(), false), want);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), row in "([0-9A-Z\u{e9}., -]{0,12},){0,12}\n") {
        told(&bytes, false);
        told(row.as_bytes(), true);
    }

    #[test]
    fn no_text_adds_a_field(name in "\\PC{1,40}", remark in any::<String>()) {
        prop_assume!(hundi_core::party::PersonName::parse(&name).is_some());
        let orders = [Order { name, remark, ..order(1, Rail::Neft) }];
        let (vendor, icici) = (vendor(true, "", &orders).unwrap(), icici(false, &orders).unwrap());
        prop_assert_eq!((vendor.lines().count(), vendor.matches(',').count()), (1, 27));
        prop_assert_eq!((icici.lines().count(), icici.matches('|').count(), icici.matches('^').count()), (2, 7 + 11, 2));
        prop_assert!(vendor.is_ascii() && icici.is_ascii());
        let (enet, union) = (enet(&orders).unwrap(), union('|', &orders).unwrap());
        prop_assert_eq!((enet.lines().count(), enet.matches(',').count()), (1, 6));
        prop_assert_eq!((union.lines().count(), union.matches('|').count()), (2, 4 + 10));
        prop_assert!(enet.is_ascii() && union.is_ascii());
    }
}
