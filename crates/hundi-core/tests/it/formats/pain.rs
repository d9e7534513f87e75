//! pain.001, and pain.002 as an answer to it.

use hundi_core::command::Outcome;
use hundi_core::formats::pain001::{
    self, ChargeBearer, Code, Header, Profile, RailCodes, Version, WriteError, batch_id,
};
use hundi_core::formats::reasons::{Class, REASONS, class};
use hundi_core::formats::{Transfer, pain002};
use hundi_core::ids::Reference;
use hundi_core::money::Amount;
use hundi_core::party::{AccountNumber, Ifsc, PersonName};
use hundi_core::rails::Rail;
use hundi_core::schedule::Timestamp;
use proptest::prelude::*;

/// What a transfer is made of.
pub struct Order {
    pub reference: String,
    pub rail: Rail,
    pub paise: i64,
    pub name: String,
    pub account: String,
    pub remark: String,
}

pub fn order(number: u32, rail: Rail) -> Order {
    Order {
        reference: format!("REF{number:012}"),
        rail,
        paise: 2_00_000_50,
        name: "RAVI KUMAR".into(),
        account: "000405001234".into(),
        remark: "salary".into(),
    }
}

/// Calls with the orders as transfers.
pub fn with<T>(orders: &[Order], then: impl FnOnce(&[Transfer<'_>]) -> T) -> T {
    let ifsc = Ifsc::parse("ICIC0000009").unwrap();
    let owned: Vec<_> = orders
        .iter()
        .map(|order| (PersonName::parse(&order.name).unwrap(), AccountNumber::parse(&order.account).unwrap()))
        .collect();
    let transfers: Vec<Transfer<'_>> = orders
        .iter()
        .zip(&owned)
        .map(|(order, (name, account))| Transfer {
            reference: Reference::parse(&order.reference).unwrap(),
            rail: order.rail,
            amount: Amount::from_paise(order.paise).unwrap(),
            name,
            account,
            ifsc: &ifsc,
            remark: &order.remark,
        })
        .collect();
    then(&transfers)
}

fn write(version: Version, message_id: &str, profile: &Profile, orders: &[Order]) -> Result<String, WriteError> {
    let (debtor, account) = (PersonName::parse("A & B Ltd").unwrap(), AccountNumber::parse("50100012345678").unwrap());
    let ifsc = Ifsc::parse("HDFC0000001").unwrap();
    let day = Timestamp::from_ist_date("2026-09-02").unwrap();
    let header =
        Header { message_id, made_at: day, debtor: &debtor, account: &account, ifsc: &ifsc, pay_on: day, profile };
    with(orders, |transfers| pain001::write(version, &header, transfers)).map(|file| String::from_utf8(file).unwrap())
}

/// A profile that uses all that a profile may.
fn full() -> Profile {
    let codes = |level: &str, instrument: Code| RailCodes {
        service_level: Some(Code::Listed(level.into())),
        local_instrument: Some(instrument),
    };
    Profile {
        rails: [
            codes("NURG", Code::Own("NEFT".into())),
            codes("URGP", Code::Own("R&D".into())),
            codes("INST", Code::Listed("INST".into())),
            RailCodes::default(),
        ],
        charge_bearer: Some(ChargeBearer::Debt),
        batch_booking: Some(true),
        names_clearing: true,
    }
}

fn three() -> Vec<Order> {
    vec![
        order(1, Rail::Imps),
        order(2, Rail::Neft),
        Order { paise: 1_05, ..order(3, Rail::Imps) },
        order(4, Rail::Rtgs),
    ]
}

#[test]
fn a_file_has_a_batch_for_each_rail() {
    let file = write(Version::V03, "M1", &Profile::default(), &three()).unwrap();
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.03\"><CstmrCdtTrfInitn>\n\
<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-09-02T00:00:00.000+05:30</CreDtTm><NbOfTxs>4</NbOfTxs><CtrlSum>600002.55</CtrlSum>\
<InitgPty><Nm>A B Ltd</Nm></InitgPty></GrpHdr>\n\
<PmtInf><PmtInfId>M1-NEFT</PmtInfId><PmtMtd>TRF</PmtMtd><BtchBookg>false</BtchBookg><NbOfTxs>1</NbOfTxs>\
<CtrlSum>200000.50</CtrlSum><ReqdExctnDt>2026-09-02</ReqdExctnDt><Dbtr><Nm>A B Ltd</Nm></Dbtr>\
<DbtrAcct><Id><Othr><Id>50100012345678</Id></Othr></Id><Ccy>INR</Ccy></DbtrAcct><DbtrAgt><FinInstnId><ClrSysMmbId>\
<ClrSysId><Cd>INFSC</Cd></ClrSysId><MmbId>HDFC0000001</MmbId></ClrSysMmbId></FinInstnId></DbtrAgt>\n\
<CdtTrfTxInf><PmtId><InstrId>REF000000000002</InstrId><EndToEndId>REF000000000002</EndToEndId></PmtId>\
<Amt><InstdAmt Ccy=\"INR\">200000.50</InstdAmt></Amt><CdtrAgt><FinInstnId><ClrSysMmbId><ClrSysId><Cd>INFSC</Cd></ClrSysId>\
<MmbId>ICIC0000009</MmbId></ClrSysMmbId></FinInstnId></CdtrAgt><Cdtr><Nm>RAVI KUMAR</Nm></Cdtr>\
<CdtrAcct><Id><Othr><Id>000405001234</Id></Othr></Id></CdtrAcct><RmtInf><Ustrd>REF000000000002 salary</Ustrd></RmtInf>\
</CdtTrfTxInf>\n</PmtInf>\n";
    assert!(file.starts_with(expected), "{file}\n{expected}");
    let batches: Vec<&str> = file.split("<PmtInfId>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(batches, ["M1-NEFT", "M1-RTGS", "M1-IMPS"]);
    assert!(file.contains("<PmtInfId>M1-IMPS</PmtInfId><PmtMtd>TRF</PmtMtd><BtchBookg>false</BtchBookg><NbOfTxs>2</NbOfTxs><CtrlSum>200001.55</CtrlSum>"));

    let file = write(Version::V09, "M1", &full(), &three()).unwrap();
    assert!(file.contains("<ReqdExctnDt><Dt>2026-09-02</Dt></ReqdExctnDt>"), "{file}");
    assert!(
        file.contains(
            "<PmtTpInf><SvcLvl><Cd>URGP</Cd></SvcLvl><LclInstrm><Prtry>R&amp;D</Prtry></LclInstrm></PmtTpInf>"
        )
    );
    assert!(file.contains("</DbtrAgt><ChrgBr>DEBT</ChrgBr>"), "{file}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |message_id: &str, profile: &Profile, orders: &[Order], want: &str| {
        for version in [Version::V03, Version::V09] {
            let error = write(version, message_id, profile, orders).unwrap_err().to_string();
            assert_eq!(error, want);
        }
    };
    let profile = Profile::default();
    let id = "the id of the file is empty, too long, or has other signs than A-Z a-z 0-9 -";
    for message_id in ["", "a b", "<a>", &"x".repeat(31)] {
        refused(message_id, &profile, &three(), id);
    }
    refused("M", &profile, &[], "there is no transfer to write");
    let two = [order(1, Rail::Neft), order(1, Rail::Imps)];
    refused("M", &profile, &two, "two transfers have the reference REF000000000001");
    let upi = "REF000000000001: the file cannot carry its rail; send it over another connector";
    refused("M", &profile, &[order(1, Rail::Upi)], upi);
    let long = [Order { account: "1".repeat(35), ..order(1, Rail::Neft) }];
    refused("M", &profile, &long, "REF000000000001: CdtrAcct (at most 34 characters) does not fit the file");
    let mut bad = full();
    bad.rails[0].service_level = Some(Code::Listed("NEFTS".into()));
    refused("M", &bad, &three(), "a code of the bank's profile is empty, too long, or not plain text");
    let many: Vec<Order> = (0..10_001).map(|number| order(number, Rail::Neft)).collect();
    refused("M", &profile, &many, "more transfers than one file may hold; write several files");
    let large: Vec<Order> =
        (0..9_300).map(|n| Order { paise: 1_000_000_000_000_000, ..order(n, Rail::Neft) }).collect();
    refused("M", &profile, &large, "the sum of the transfers is too large");
}

/// Files of every rail, version and profile, with the worst names, against the schemas that `tools/xsd` installs.
#[test]
fn written_files_are_valid_by_the_schemas() {
    let worst = |number, rail| Order {
        name: "\u{930}\u{935}\u{93f} <&>\"' \u{1f600}".into(),
        remark: "\u{7}<&>]]>\u{fffe} \u{930} 'x'".repeat(20),
        account: "A".repeat(34),
        ..order(number, rail)
    };
    let orders: Vec<Order> = [Rail::Neft, Rail::Rtgs, Rail::Imps]
        .into_iter()
        .enumerate()
        .flat_map(|(at, rail)| [order(2 * at as u32, rail), worst(2 * at as u32 + 1, rail)])
        .collect();
    for (version, schema) in [(Version::V03, "pain.001.001.03"), (Version::V09, "pain.001.001.09")] {
        for profile in [Profile::default(), Profile { names_clearing: false, ..full() }] {
            let file = write(version, &"M".repeat(30), &profile, &orders).unwrap();
            super::schema::check(schema, &file);
        }
    }
}

fn report(group: &str, batch: &str, items: &str) -> String {
    let group = format!("<OrgnlMsgId>M1</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.03</OrgnlMsgNmId>{group}");
    let batch = if batch.is_empty() && items.is_empty() {
        String::new()
    } else {
        format!("<OrgnlPmtInfAndSts><OrgnlPmtInfId>M1-NEFT</OrgnlPmtInfId>{batch}{items}</OrgnlPmtInfAndSts>")
    };
    format!(
        "<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.002.001.03\"><CstmrPmtStsRpt>\
         <GrpHdr><MsgId>R1</MsgId><CreDtTm>2026-09-02T10:00:00</CreDtTm></GrpHdr>\
         <OrgnlGrpInfAndSts>{group}</OrgnlGrpInfAndSts>{batch}</CstmrPmtStsRpt></Document>"
    )
}

fn status(element: &str, code: &str, reasons: &[&str]) -> String {
    let reasons: String = reasons.iter().map(|r| format!("<StsRsnInf><Rsn><Cd>{r}</Cd></Rsn></StsRsnInf>")).collect();
    format!("<{element}>{code}</{element}>{reasons}")
}

fn item(code: &str, reasons: &[&str]) -> String {
    let status = status("TxSts", code, reasons);
    format!("<TxInfAndSts><OrgnlEndToEndId>REF000000000002</OrgnlEndToEndId>{status}</TxInfAndSts>")
}

fn outcome(file: &str) -> Outcome {
    super::schema::check("pain.002.001.03", file);
    let report = pain002::read(file.as_bytes()).unwrap();
    report.about("M1", "M1-NEFT", "REF000000000002").word.outcome
}

const REFUSED: Outcome = Outcome::Refused { elsewhere: false };
const ELSEWHERE: Outcome = Outcome::Refused { elsewhere: true };

/// CONNECTORS.md, sections 4.2 and 7.4.
#[test]
fn statuses_come_to_what_the_tables_say() {
    let check = |group: &str, batch: &str, items: &str, want: Outcome| {
        assert_eq!(outcome(&report(group, batch, items)), want, "{group} {batch} {items}");
    };
    let group = |code: &str| status("GrpSts", code, &[]);
    let batch = |code: &str| status("PmtInfSts", code, &[]);
    for code in ["RCVD", "ACTC", "ACCP", "ACWC", "PDNG", "ACSP", "PART", "ACSC"] {
        check(&group(code), "", "", Outcome::Accepted);
        check("", &batch(code), "", Outcome::Accepted);
    }
    for code in ["ACTC", "ACCP", "ACWC", "PDNG", "ACSP"] {
        check("", "", &item(code, &[]), Outcome::Accepted);
        check(&group("PART"), &batch("PART"), &item(code, &[]), Outcome::Accepted);
    }
    check("", "", &item("ACSC", &[]), Outcome::Paid);
    check("", "", "", Outcome::Silent);
    check("", "", &item("RJCT", &["AC04"]), REFUSED);
    check("", "", &item("RJCT", &["AM04"]), ELSEWHERE);
    check("", "", &item("RJCT", &["AM05"]), Outcome::Silent);
    check("", "", &item("RJCT", &["NARR"]), Outcome::Silent);
    check("", "", &item("RJCT", &["ZZZZ"]), Outcome::Silent);
    check("", "", &item("RJCT", &[]), Outcome::Silent);
    check("", "", &item("RJCT", &["AM04", "AC04"]), REFUSED);
    check("", "", &item("RJCT", &["AC04", "AM05"]), Outcome::Silent);
    // A file or a batch that is rejected: every transfer of it.
    check(&status("GrpSts", "RJCT", &["AM10"]), "", "", ELSEWHERE);
    check(&status("GrpSts", "RJCT", &["DUPL"]), "", "", Outcome::Silent);
    check(&group("PART"), &status("PmtInfSts", "RJCT", &["TM01"]), "", ELSEWHERE);
    check(&status("GrpSts", "RJCT", &["AM10"]), &batch("RJCT"), &item("RJCT", &[]), ELSEWHERE);
    check(&status("GrpSts", "RJCT", &["AM10"]), "", &item("RJCT", &["AC04"]), REFUSED);
    // Two things at once.
    check(&status("GrpSts", "RJCT", &["AM10"]), "", &item("ACSP", &[]), Outcome::Silent);
    check("", &status("PmtInfSts", "RJCT", &["AM10"]), &item("ACSC", &[]), Outcome::Silent);
    check("", "", &format!("{}{}", item("ACSC", &[]), item("RJCT", &["AC04"])), Outcome::Silent);
    check("", "", &format!("{}{}", item("ACSC", &[]), item("ACSC", &[])), Outcome::Paid);
}

/// Whichever of them came last would be believed: the amount that was sent, or the number by which it is looked for.
#[test]
fn what_is_said_twice_and_not_alike_is_silence() {
    let executed = |ids: &str, more: &str| format!("<TxInfAndSts>{ids}<TxSts>ACSC</TxSts>{more}</TxInfAndSts>");
    let ids = "<OrgnlEndToEndId>REF000000000002</OrgnlEndToEndId>";
    let amount =
        |rupees: &str| format!("<OrgnlTxRef><Amt><InstdAmt Ccy=\"INR\">{rupees}</InstdAmt></Amt></OrgnlTxRef>");
    let numbered = |number: &str| format!("<AcctSvcrRef>{number}</AcctSvcrRef>");
    let check = |items: &str, want: Outcome, broken: &[&str]| {
        let file = report("", "", items);
        assert_eq!(outcome(&file), want, "{items}");
        assert_eq!(pain002::read(file.as_bytes()).unwrap().broken().collect::<Vec<_>>(), broken, "{items}");
    };
    let both = |one: String, other: String| format!("{}{}", executed(ids, &one), executed(ids, &other));
    let ours = &["REF000000000002"][..];
    check(&both(amount("250.00"), amount("250.00")), Outcome::Paid, &[]);
    check(&both(amount("2500.00"), amount("250.00")), Outcome::Silent, ours);
    check(&both(numbered("B1"), numbered("B2")), Outcome::Silent, ours);
    check(&both(numbered("B1"), String::new()), Outcome::Silent, ours);
    let two = "<OrgnlInstrId>REF000000000003</OrgnlInstrId><OrgnlEndToEndId>REF000000000002</OrgnlEndToEndId>";
    check(&executed(two, ""), Outcome::Silent, ours);
    check(&executed(&two.replace('3', "2"), ""), Outcome::Paid, &[]);
    // No schema allows these.
    let twice = executed(ids, "<TxSts>ACSP</TxSts>");
    let read = pain002::read(report("", "", &twice).as_bytes()).unwrap();
    assert_eq!(read.about("M1", "M1-NEFT", "REF000000000002").word.outcome, Outcome::Silent);
    let twice = executed(ids, &format!("{}{}", amount("2500.00"), amount("250.00")));
    let read = pain002::read(report("", "", &twice).as_bytes()).unwrap();
    assert_eq!(read.about("M1", "M1-NEFT", "REF000000000002").word.outcome, Outcome::Silent);
}

#[test]
fn later_versions_have_more_statuses() {
    let late = |code: &str, more: &str| {
        let file = report("", "", &item(code, &[]).replace("</TxInfAndSts>", &format!("{more}</TxInfAndSts>")));
        let file = file.replace("pain.002.001.03", "pain.002.001.12");
        super::schema::check("pain.002.001.12", &file);
        pain002::read(file.as_bytes()).unwrap().about("M1", "M1-NEFT", "REF000000000002").word.outcome
    };
    assert_eq!(late("ACCC", ""), Outcome::Paid);
    assert_eq!(late("ACFC", ""), Outcome::Accepted);
    assert_eq!(late("CANC", ""), Outcome::Silent);
    assert_eq!(late("CANC", "<AcctSvcrRef>B1</AcctSvcrRef>"), Outcome::Accepted);
}

#[test]
fn an_answer_says_what_the_bank_says() {
    let details = "<TxInfAndSts><OrgnlInstrId>REF000000000002</OrgnlInstrId><TxSts>RJCT</TxSts>\
        <StsRsnInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>closed in</AddtlInf><AddtlInf>May</AddtlInf></StsRsnInf>\
        <AcctSvcrRef>B-77</AcctSvcrRef><ClrSysRef>HDFCR52026090290803069</ClrSysRef>\
        <OrgnlTxRef><Amt><InstdAmt Ccy=\"INR\">200000.50</InstdAmt></Amt></OrgnlTxRef></TxInfAndSts>";
    let file = report("", "", details);
    super::schema::check("pain.002.001.03", &file);
    let report = pain002::read(file.as_bytes()).unwrap();
    let answer = report.about("M1", "M1-NEFT", "REF000000000002");
    assert_eq!((&*answer.codes, &*answer.note), ("RJCT AC04", "closed in May"));
    let word = answer.word;
    assert_eq!((word.outcome, &*word.why, &*word.rrn), (REFUSED, "Account is closed", "HDFCR52026090290803069"));
    assert_eq!(word.amount_paise, Some(2_00_000_50));
    assert_eq!(report.about("M2", "M1-NEFT", "REF000000000002").word.outcome, Outcome::Silent);
    assert_eq!(report.about("M1", "M1-NEFT", "REF000000000003").word.outcome, Outcome::Silent);
    assert_eq!(report.references().collect::<Vec<_>>(), ["REF000000000002"]);
    let foreign = pain002::read(file.replace("INR", "EUR").as_bytes()).unwrap();
    assert_eq!(foreign.about("M1", "M1-NEFT", "REF000000000002").word.outcome, Outcome::Silent);
}

/// CONNECTORS.md, section 4.4, as it is written there.
#[test]
fn reasons_are_classed_as_in_the_table() {
    let table = [
        (
            Class::Beneficiary,
            "AC01 AC04 AC07 AC06 AC15 AC16 AC17 AG01 BE01 BE04 BE06 BE17 MD07 RC01 RC04 RC08 RR03 RR04 MS02",
        ),
        (
            Class::Ours,
            "AC02 AC13 AG07 AM04 AM02 AM06 AM10 DT01 TM01 FF03 FF04 FF05 FF06 FF07 RF01 RC03 CNOR DNOR ED05 MS03 BE08 DS28",
        ),
        (Class::Duplicate, "AM05 DUPL ARDT"),
        (Class::Person, "NARR"),
    ];
    let mut codes = 0;
    for (want, list) in table {
        for code in list.split(' ') {
            codes += 1;
            assert_eq!(class(code), want, "{code}");
            let by_item = outcome(&report("", "", &item("RJCT", &[code])));
            let by_group = outcome(&report(&status("GrpSts", "RJCT", &[code]), "", ""));
            let outcome = match want {
                Class::Beneficiary => REFUSED,
                Class::Ours => ELSEWHERE,
                Class::Duplicate | Class::Person => Outcome::Silent,
            };
            assert_eq!([by_item, by_group], [outcome; 2], "{code}");
        }
    }
    assert_eq!(codes, REASONS.len());
    assert_eq!(class("XXXX"), Class::Person);
}

/// A file of ours and the bank's answer to it speak of the same batch and the same transfers.
#[test]
fn an_answer_is_about_what_was_written() {
    let file = write(Version::V03, "M1", &Profile::default(), &three()).unwrap();
    for (number, rail) in [(1, Rail::Imps), (2, Rail::Neft), (4, Rail::Rtgs)] {
        let (id, reference) = (batch_id("M1", rail), order(number, rail).reference);
        assert!(file.contains(&format!("<PmtInfId>{id}<")) && file.contains(&format!("<EndToEndId>{reference}<")));
        let answer = report("", &status("PmtInfSts", "ACCP", &[]), "").replace("M1-NEFT", &id);
        let read = pain002::read(answer.as_bytes()).unwrap();
        assert_eq!(read.about("M1", &id, &reference).word.outcome, Outcome::Accepted);
        assert_eq!(read.about("M1", "M1-OTHER", &reference).word.outcome, Outcome::Silent);
    }
}

#[test]
fn a_report_is_read_whole_or_not_at_all() {
    let file = report(&status("GrpSts", "RJCT", &["AM10"]), "", &item("RJCT", &["AC04"]));
    for at in 0..file.len() {
        assert!(pain002::read(&file.as_bytes()[..at]).is_err(), "cut at {at}");
    }
    let bad = |file: &str, want: &str| assert_eq!(pain002::read(file.as_bytes()).unwrap_err().why, want);
    bad(&file.replace("pain.002.001", "pain.001.001"), "it is not a pain.002");
    bad(&format!("<!DOCTYPE a>{file}"), "it has a document type; none is allowed");
    bad(&format!("{file}<a/>"), "it goes on after its end");
    bad(&file.replace("<OrgnlMsgId>M1", "<OrgnlMsgId>"), "it does not say which file it is about (OrgnlMsgId)");
    let reasons = ["AC04"; 9];
    bad(&report("", "", &item("RJCT", &reasons)), "a status has too many reasons");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0..700_usize, gone in 0..40_usize) {
        let file = report(&status("GrpSts", "PART", &["AM10"]), "", &item("RJCT", &["AC04"])).into_bytes();
        let at = at.min(file.len());
        let mut changed = file.clone();
        changed.splice(at..(at + gone).min(file.len()), bytes);
        if let Ok(report) = pain002::read(&changed) {
            report.about("M1", "M1-NEFT", "REF000000000002");
        }
    }

    /// Whatever a merchant writes, what we write is XML that says as much.
    #[test]
    fn what_is_written_is_well_formed(name in "\\PC{1,40}", remark in any::<String>(), paise in 1..1_000_000_000_000_000_i64) {
        prop_assume!(PersonName::parse(&name).is_some());
        let one = Order { name, remark, paise, ..order(7, Rail::Imps) };
        let file = write(Version::V09, "M1", &Profile::default(), &[one]).unwrap();
        // A reader of ours finds nothing wrong with it but that it is not a report.
        let swapped = file.replace("pain.001", "pain.002").replace("CstmrCdtTrfInitn", "CstmrPmtStsRpt");
        prop_assert_eq!(pain002::read(swapped.as_bytes()).unwrap_err().why, "it does not say which file it is about (OrgnlMsgId)");
        let sum = format!("<CtrlSum>{}</CtrlSum>", super::rupees(paise));
        prop_assert_eq!(file.matches(&sum).count(), 2);
    }
}
