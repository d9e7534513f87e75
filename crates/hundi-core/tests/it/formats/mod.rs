//! Bank files: what is read is shown as text, a line for each thing said, and compared.

mod bankcsv;
mod camt;
mod csv;
mod mt940;
mod pain;
mod public;
mod schema;

use hundi_core::formats::{Said, Side};
use std::fmt::Write;

/// Paise as rupees.
pub fn rupees(paise: i64) -> String {
    format!("{}{}.{:02}", if paise < 0 { "-" } else { "" }, paise.abs() / 100, paise.abs() % 100)
}

/// Something said, as a line of text. What is empty is left out.
pub fn shown(said: &Said) -> String {
    let balance = |paise: Option<i64>| paise.map_or("?".into(), rupees);
    match said {
        Said::Begins(head) => {
            let period = head.period.map_or(String::new(), |(from, to)| format!(" {from} to {to}"));
            format!("begins `{}` of `{}` with {}{period}", head.id, head.account, balance(head.opening_paise))
        }
        Said::Ends { closing_paise } => format!("ends with {}", balance(*closing_paise)),
        Said::Bad { at, why } => format!("{at}: BAD {why}"),
        Said::Line(line) => {
            let mut text = format!("{}: ", line.at);
            text += if line.side == Side::Debit { "debit " } else { "credit " };
            text += &rupees(line.amount_paise);
            let day = line.booked_at.to_string();
            write!(text, " {}", day.strip_suffix("T00:00:00.000+05:30").unwrap_or(&day)).unwrap();
            for (is, word) in [(line.returned, " returned"), (!line.booked, " announced")] {
                text += if is { word } else { "" };
            }
            for (name, ids) in
                [("ours", &line.references), ("bank", &line.bank_references), ("narrated", &line.narrated)]
            {
                if !ids.is_empty() {
                    write!(text, " {name} {}", ids.join(" ")).unwrap();
                }
            }
            for (name, words) in [("into", &line.paid_into), ("reason", &line.reason), ("says", &line.narration)] {
                if !words.is_empty() {
                    write!(text, " {name} {words}").unwrap();
                }
            }
            text
        }
    }
}

/// A reader of statements over a whole file.
pub type Reader = fn(&[u8], &mut dyn FnMut(Said));

pub fn told(reader: Reader, file: &[u8]) -> Vec<String> {
    let mut told = Vec::new();
    reader(file, &mut |said| told.push(shown(&said)));
    told
}

#[track_caller]
pub fn check(reader: Reader, file: &str, want: &[&str]) {
    assert_eq!(told(reader, file.as_bytes()), want, "{file}");
}

/// A file that is cut anywhere is read without a panic, and never said to have ended well, up to a cut that loses nothing.
pub fn cut_everywhere(reader: Reader, file: &[u8], least: usize) {
    for at in 0..file.len() {
        let told = told(reader, &file[..at]);
        assert!(at >= least || told.iter().any(|said| said.contains(": BAD")), "cut at {at}: {told:?}");
    }
}
