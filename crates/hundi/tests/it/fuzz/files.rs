//! Bank files: whatever they hold, what is said of them keeps to its limits.

use hundi::config::Config;
use hundi::connectors::Connectors;
use hundi::connectors::files::Answer;
use hundi_core::command::Outcome;
use hundi_core::formats::{self, Line, Said, camt, csv, mt940, pain002};
use hundi_core::money::AMOUNT_PAISE_MAX;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// How the answers of a bank are read, as its section of [`BANKS`] says.
struct Rows {
    bank: &'static str,
    header: &'static str,
    between: char,
    fields: RangeInclusive<usize>,
    /// The columns of our reference and of the status, from 1.
    reference: usize,
    status: usize,
    executed: &'static str,
    rejected: &'static str,
    /// What an executed payment comes to.
    comes_to: Outcome,
}

const ICICI: &str =
    "Transaction Remarks~Total Amount~Host Reference Number~Transaction Status~Transaction Status Remarks";
const UNION: &str = "Remarks|UTR|Status|Reason";

/// ENet's reverse file, which is known, and three by the operator's word.
const ROWS: [Rows; 4] = [
    Rows {
        bank: "enet",
        header: "",
        between: ',',
        fields: 9..=10,
        reference: 1,
        status: 9,
        executed: "E",
        rejected: "R",
        comes_to: Outcome::Paid,
    },
    Rows {
        bank: "vendor",
        header: "",
        between: ',',
        fields: 31..=31,
        reference: 14,
        status: 30,
        executed: "E",
        rejected: "R",
        comes_to: Outcome::Accepted,
    },
    Rows {
        bank: "icici",
        header: ICICI,
        between: '~',
        fields: 5..=5,
        reference: 1,
        status: 4,
        executed: "SUC",
        rejected: "FAL",
        comes_to: Outcome::Accepted,
    },
    Rows {
        bank: "union",
        header: UNION,
        between: '|',
        fields: 4..=4,
        reference: 1,
        status: 3,
        executed: "SUCCESS",
        rejected: "FAILED",
        comes_to: Outcome::Paid,
    },
];

/// The banks of docs/connectors.md that take no ISO 20022. Union Bank documents no answer; an operator may map one all the same.
static BANKS: LazyLock<Connectors> = LazyLock::new(|| {
    let exchange = r#"exchange = { outbox = "/o", inbox = "/i", archive = "/a", bad = "/b" }"#;
    let text = format!(
        r#"
        [connectors.enet]
        kind = "bankcsv"
        format = "enet"
        client_code = "ACME"
        account_type = "10"
        paid_at_once = true
        {exchange}
        [connectors.vendor]
        kind = "bankcsv"
        format = "enet-vendor"
        client_code = "ACME"
        names_bank = true
        {exchange}
        [connectors.vendor.answers]
        separator = ","
        fields = 31
        reference = 14
        amount = 4
        bank_reference = 29
        status = 30
        reason = 31
        executed = ["E"]
        rejected = ["R"]
        [connectors.icici]
        kind = "bankcsv"
        format = "icici"
        client_code = "ACME"
        account_number = "000705012345"
        within_bank = false
        {exchange}
        [connectors.icici.answers]
        separator = "~"
        header = "{ICICI}"
        reference = "Transaction Remarks"
        amount = "Total Amount"
        bank_reference = "Host Reference Number"
        status = "Transaction Status"
        reason = "Transaction Status Remarks"
        executed = ["SUC"]
        rejected = ["FAL"]
        [connectors.union]
        kind = "bankcsv"
        format = "union"
        client_code = "ACME"
        account_number = "566802070000001"
        ifsc = "UBIN0556688"
        paid_at_once = true
        {exchange}
        [connectors.union.answers]
        separator = "|"
        header = "{UNION}"
        reference = "Remarks"
        bank_reference = "UTR"
        status = "Status"
        reason = "Reason"
        executed = ["SUCCESS"]
        rejected = ["FAILED"]
        "#
    );
    Connectors::new(&Config::parse(&text).expect("a configuration")).expect("connectors")
});

pub fn bank_files(data: &[u8]) {
    type Reader = fn(&[u8], &mut dyn FnMut(Said));
    let readers: [Reader; 4] = [
        |file, tell| formats::read(file, "", None, tell),
        |file, tell| camt::read(file, tell),
        |file, tell| mt940::read(file, tell),
        |file, tell| csv::read(file, None, tell),
    ];
    for reader in readers {
        let (mut open, mut said_any, mut bad) = (false, false, false);
        reader(data, &mut |said| {
            said_any = true;
            match said {
                // One without an end is named as bad before the next begins.
                Said::Begins(_) => {
                    assert!(!std::mem::replace(&mut open, true) || bad, "a statement within a statement");
                    bad = false;
                }
                Said::Ends { .. } => assert!(std::mem::take(&mut open), "an end without a beginning"),
                Said::Line(line) => {
                    assert!(open, "a line outside of a statement");
                    keeps_to_its_limits(&line);
                }
                Said::Bad { at, why } => {
                    assert!(at > 0 && !why.is_empty());
                    bad = true;
                }
            }
        });
        assert!(said_any, "nothing was said");
    }
    if let Ok(report) = pain002::read(data) {
        let references: Vec<String> = report.references().map(str::to_owned).collect();
        for reference in references {
            let answer = report.about(&report.message_id, "", &reference);
            assert!(answer.word.amount_paise.is_none_or(|paise| paise >= 0));
        }
    }
    ROWS.iter().for_each(|rows| answered(rows, data));
}

/// Whatever a file holds, a payment is executed or rejected by it only where a whole row of the file says so of its reference.
fn answered(rows: &Rows, data: &[u8]) {
    let bank = BANKS.files(rows.bank).expect("it is configured");
    let Ok(Answer::Rows { told, bad, whole }) = bank.read(data) else { panic!("{} has no rows", rows.bank) };
    assert_eq!(whole, data.ends_with(b"\n"), "{}", rows.bank);
    let text = String::from_utf8_lossy(data);
    let mut lines = text.trim_start_matches('\u{feff}').split_inclusive('\n').filter(|line| !line.trim().is_empty());
    let known = rows.header.is_empty() || lines.next().is_some_and(|line| line.trim() == rows.header);
    let lines: Vec<Vec<&str>> = lines
        .filter(|line| known && line.ends_with('\n'))
        .map(|line| line.split(rows.between).map(str::trim).collect())
        .collect();
    assert!(told.len() + bad.len() <= text.lines().count(), "{}: more is said than there are lines", rows.bank);
    for one in &told {
        let status = match one.word.outcome {
            Outcome::Silent => continue,
            Outcome::Refused { .. } => rows.rejected,
            outcome => {
                assert_eq!(outcome, rows.comes_to, "{}: {one:?}", rows.bank);
                rows.executed
            }
        };
        let says = |row: &Vec<&str>| {
            rows.fields.contains(&row.len())
                && row[rows.reference - 1] == &*one.reference
                && row[rows.status - 1] == status
        };
        assert!(lines.iter().any(says), "{}: no row says {one:?}", rows.bank);
    }
}

pub fn keeps_to_its_limits(line: &Line) {
    assert!((1..=AMOUNT_PAISE_MAX).contains(&line.amount_paise), "{line:?}");
    assert!(line.at > 0 && line.narration.chars().count() <= 500, "{line:?}");
    assert!(!line.narration.chars().any(char::is_control), "{line:?}");
    for id in line.references.iter().chain(&line.bank_references).chain(&line.narrated) {
        assert!(!id.is_empty() && id.len() <= 64 && !id.chars().any(char::is_control), "{line:?}");
    }
    assert!(line.references.len() <= 16 && line.bank_references.len() + line.narrated.len() <= 16, "{line:?}");
}
