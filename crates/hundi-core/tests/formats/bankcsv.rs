//! Upload files of HDFC Bank and Union Bank, and HDFC Bank's reverse file.

use super::pain::{Order, order, with};
use hundi_core::formats::bankcsv::{self, Reverse, UnionHeader};
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
    for write in [enet as Write, union] {
        check(write, &[], "there is no transfer to write");
        check(write, &[order(1, Rail::Neft), order(1, Rail::Neft)], "two transfers have the reference REF000000000001");
        let rail = "REF000000000001: the file cannot carry its rail; send it over another connector";
        check(write, &[order(1, Rail::Upi)], rail);
    }
    let rail = "REF000000000001: the file cannot carry its rail; send it over another connector";
    check(union, &[order(1, Rail::Imps)], rail);
    let account = |digits| [Order { account: "1".repeat(digits), ..order(1, Rail::Neft) }];
    assert!(enet(&account(30)).is_ok() && union(&account(24)).is_ok());
    check(enet, &account(31), "REF000000000001: Bene Account No (at most 30 characters) does not fit the file");
    check(union, &account(25), "REF000000000001: beneficiary account (at most 24 characters) does not fit the file");
    let amount = |paise| [Order { paise, ..order(1, Rail::Neft) }];
    assert!(union(&amount(99_999_999_999_99)).is_ok());
    check(union, &amount(100_000_000_000_00), "REF000000000001: amount (at most 14 characters) does not fit the file");
    assert!(enet(&amount(99_999_999_999_99)).is_ok());
    check(enet, &amount(1_000_000_000_000_00), "REF000000000001: Amount (at most 15 characters) does not fit the file");
    with(&amount(1), |transfers| {
        assert_eq!(bankcsv::write_enet("1", day(), transfers), Err(WriteError::Profile));
        assert_eq!(bankcsv::write_enet("1,", day(), transfers), Err(WriteError::Profile));
    });
}

fn told(file: &[u8], paid_at_once: bool) -> Vec<String> {
    let mut all = Vec::new();
    bankcsv::read_enet_reverse(file, paid_at_once, &mut |said| {
        all.push(match said {
            Reverse::Bad { at, why } => format!("{at}: BAD {why}"),
            Reverse::Answer { at, reference, word, note } => {
                let amount = super::rupees(word.amount_paise.unwrap());
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
    for reason in ["Invalid Account", "A/C CLOSED", "ACCT FROZEN", "invalid ifsc", "Name mismatch", "BENE REJECTED"] {
        check(&format!(",R,{reason}"), &format!("{refused} `{reason}`"));
    }
    for reason in ["Insufficient funds", "", "Cut off over"] {
        check(&format!(",R,{reason}"), &format!("{elsewhere} `{reason}`"));
    }
    check(",R,Duplicate account", "REF000000000001 Silent 200000.50 `` `` `Duplicate account`");
    let paid = told(row("N245260012345678,E,").as_bytes(), true);
    assert_eq!(paid, ["1: REF000000000001 Paid 200000.50 `N245260012345678` `` ``"]);

    let bad = |from: &str, to: &str, why: &str| {
        let file = format!("{}{}", row("B,E,").replace(from, to), row("C,E,"));
        let second = "2: REF000000000001 Accepted 200000.50 `C` `` ``".to_owned();
        assert_eq!(told(file.as_bytes(), false), [format!("1: BAD {why}"), second], "{file}");
    };
    bad("E", "X", "field 9 is neither E nor R");
    bad("20260902", "20260931", "field 7 is not a date, YYYYMMDD");
    bad("20260902", "2026-09-02", "field 7 is not a date, YYYYMMDD");
    bad("200000.50", "2,00,000.50", "the line has more fields than a reverse file has");
    bad("200000.50", "200000.505", "field 6 is not rupees with at most two decimals");
    bad("REF000000000001", "", "field 1 is not a reference");
    bad(",B,E,", "", "the line has fewer fields than a reverse file has");
    bad("RAVI", &"x".repeat(20_000), "the line is too long");
}

/// What is cut away never turns a rejection into one that may be tried elsewhere.
#[test]
fn a_cut_reverse_file_says_less_and_nothing_else() {
    let file = b"REF000000000001,RAVI,000405001234,ICIC0000009,10,200000.50,20260902,,R,Is a duplicate\r\n";
    for at in 0..file.len() {
        let told = told(&file[..at], false);
        assert!(told.iter().all(|said| said.contains("BAD") || said.contains("Silent")), "cut at {at}: {told:?}");
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
        let (enet, union) = (enet(&orders).unwrap(), union('|', &orders).unwrap());
        prop_assert_eq!((enet.lines().count(), enet.matches(',').count()), (1, 6));
        prop_assert_eq!((union.lines().count(), union.matches('|').count()), (2, 4 + 10));
        prop_assert!(enet.is_ascii() && union.is_ascii());
    }
}
