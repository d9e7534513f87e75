//! Statements of public collections (tests/statements/public): shapes that we did not make up.
//!
//! No such collection is of accounts in rupees, and Hundi reads no others. So each file is read twice: as it stands, when not a
//! line of it may be used and every amount is named with its currency; and with INR in the place of the currencies that are
//! named, when it must come to what its own numbers say.

use super::rupees;
use hundi_core::formats::{self, Said, Side};

/// What a statement comes to: lines, opening balance, credits, debits, closing balance, and the first reference.
type Sums = (usize, &'static str, &'static str, &'static str, &'static str, &'static str);
/// Lines of the file that cannot be used, and why.
type Bad = &'static [(u64, &'static str)];

const SWEDISH: &str = "the currency is SEK and not INR; only accounts in rupees are read";
const ZERO: &str = "the amount is zero";

/// File, currencies that stand for rupees, statements, and what is wrong by intent.
const FILES: [(&str, &[&str], &[Sums], Bad); 15] = [
    (
        "camt053.v2.multi.statement.xml",
        &["EUR"],
        &[(1, "18.15", "8.85", "0.00", "27.00", "000000001"), (1, "27.00", "0.00", "7.00", "20.00", "000000002")],
        &[],
    ),
    // Amounts with three decimals, of which the last is a zero. It does not add up, and says so itself.
    ("camt053.v2.five.decimals.xml", &["EUR"], &[(1, "18.15", "8.85", "0.00", "27.05", "000000001")], &[]),
    // Its closing balance is in another currency than the rest.
    ("camt053.v4.xml", &["EUR"], &[(1, "18.15", "8.85", "0.00", "?", "AAAASESS-FP-CN_98765/01")], &[(74, SWEDISH)]),
    ("camt053.v8.xml", &["EUR", "SEK"], &[(1, "18.15", "8.85", "0.00", "-27.00", "MUELL/FINP/RA12345")], &[]),
    ("camt53.only-Dt-with-DtTm.xml", &["RON"], &[(0, "5442.09", "0.00", "0.00", "?", "")], &[]),
    ("camt053.wrong.xml", &[], &[], &[(9, "it holds no statement")]),
    (
        "camt054.v8-with-UETR.xml",
        &["SEK"],
        &[(1, "?", "0.00", "200000.00", "?", "255ae394-9965-4438-ac86-f406feada396")],
        &[],
    ),
    // Two transactions of 3.10 and 3.20 in an entry of 200000.00.
    (
        "camt054.v4.xml",
        &["SEK", "CHF"],
        &[(0, "?", "0.00", "0.00", "?", "")],
        &[(63, "the amounts of its transactions do not come to the amount of the entry")],
    ),
    (
        "generic.txt",
        &["EUR"],
        &[(1, "100.00", "0.00", "10.00", "90.00", ""), (1, "90.00", "0.00", "10.00", "80.00", "")],
        &[],
    ),
    ("ing.txt", &["EUR"], &[(7, "0.00", "4.68", "50.27", "3.47", "MPBZS1016000047")], &[]),
    (
        "postfinance.txt",
        &["CHF"],
        &[(2, "0.00", "229.20", "0.00", "229.20", "01916"), (2, "229.20", "10.10", "79.90", "159.60", "01916")],
        &[],
    ),
    // As ING's, it does not add up: its lines are a part of the month.
    ("triodos.txt", &["EUR"], &[(2, "4975.09", "0.00", "715.70", "4370.79", "")], &[]),
    ("bil.txt", &["EUR"], &[(1, "0.00", "0.00", "4.00", "-4.00", "CIOB220117990193/IACC/D3/")], &[]),
    // The bank writes balances as entries of nothing, and four spaces for a date.
    ("citi.txt", &["USD"], &[(3, "17376.67", "0.00", "1142.75", "16233.92", "")], &[(13, ZERO), (15, ZERO)]),
    // A `:25:` where the `:86:` of the entry should be.
    (
        "sepa_snippet_broken.txt",
        &["EUR"],
        &[(1, "766656.49", "50990.05", "0.00", "1125250.40", "0724710333343453")],
        &[(6, "a field of the statement's head (:25:, :28C:, :60F:) stands among its entries")],
    ),
];

/// The same file with rupees for a currency: where an amount names one, and nowhere else.
fn in_rupees(file: &str, currencies: &[&str]) -> String {
    let amount = |line: &str| line.contains("Ccy=\"") || line.starts_with(":60") || line.starts_with(":62");
    let put = |line: &str| currencies.iter().fold(line.to_owned(), |line, currency| line.replace(currency, "INR"));
    file.split_inclusive('\n').map(|line| if amount(line) { put(line) } else { line.to_owned() }).collect()
}

/// What is said of a file, in the terms of the table.
fn read(file: &str) -> (Vec<[String; 6]>, Vec<(u64, String)>) {
    let (mut statements, mut bad) = (Vec::new(), Vec::new());
    let (mut opening, mut count, mut sums, mut first) = (None, 0, [0, 0], None);
    let shown = |paise: Option<i64>| paise.map_or("?".to_owned(), rupees);
    formats::read(file.as_bytes(), "", None, &mut |said| match said {
        Said::Begins(head) => {
            assert!(!head.account.is_empty() && !head.id.is_empty(), "{head:?}");
            (opening, count, sums, first) = (head.opening_paise, 0_usize, [0, 0], None);
        }
        Said::Line(line) => {
            count += 1;
            sums[usize::from(line.side == Side::Debit)] += line.amount_paise;
            let ids = line.references.iter().chain(&line.bank_references).next();
            first = first.take().or(ids.map(|id| id.to_string()));
        }
        Said::Ends { closing_paise } => statements.push([
            count.to_string(),
            shown(opening),
            rupees(sums[0]),
            rupees(sums[1]),
            shown(closing_paise),
            first.take().unwrap_or_default(),
        ]),
        Said::Bad { at, why } => bad.push((at, why.into())),
    });
    (statements, bad)
}

#[test]
fn they_come_to_what_their_own_numbers_say() {
    for (name, currencies, statements, bad) in FILES {
        let path = format!("{}/tests/statements/public/{name}", env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read_to_string(&path).expect(&path);
        let wanted: Vec<_> = statements
            .iter()
            .map(|(count, opening, credits, debits, closing, first)| {
                [&*count.to_string(), opening, credits, debits, closing, first].map(str::to_owned)
            })
            .collect();
        let wanted = (wanted, bad.iter().map(|(at, why)| (*at, (*why).to_owned())).collect::<Vec<_>>());
        for file in [file.clone(), file.replace('\n', "\r\n")] {
            assert_eq!(read(&in_rupees(&file, currencies)), wanted, "{name}");
            if currencies.is_empty() {
                continue;
            }
            let (statements, bad) = read(&file);
            assert!(statements.iter().all(|one| one[0] == "0" && one[1] == "?" && one[4] == "?"), "{name}");
            // What is wrong with it as it stands is said with or without the currency.
            let named =
                |why: &str| currencies.iter().any(|currency| why.contains(&format!("is {currency} and not INR")));
            assert!(bad.iter().any(|(_, why)| named(why)), "{name}: {bad:?}");
            assert!(bad.iter().all(|one| named(&one.1) || wanted.1.contains(one)), "{name}: {bad:?}");
        }
    }
}

/// Those that nobody calls wrong are valid by the schemas that we check our own files by.
#[test]
fn they_are_what_the_schemas_describe() {
    for (schema, name) in [
        ("camt.053.001.02", "camt053.v2.multi.statement.xml"),
        ("camt.053.001.02", "camt053.v2.five.decimals.xml"),
        ("camt.053.001.04", "camt053.v4.xml"),
        ("camt.053.001.08", "camt053.v8.xml"),
        ("camt.054.001.04", "camt054.v4.xml"),
    ] {
        let path = format!("{}/tests/statements/public/{name}", env!("CARGO_MANIFEST_DIR"));
        super::schema::check(schema, &std::fs::read_to_string(&path).expect(&path));
    }
}
