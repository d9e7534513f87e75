//! Bank files: whatever they hold, what is said of them keeps to its limits.

use hundi_core::formats::{self, Line, Said, bankcsv, camt, csv, mt940, pain002};
use hundi_core::money::AMOUNT_PAISE_MAX;

pub fn bank_files(data: &[u8]) {
    type Reader = fn(&[u8], &mut dyn FnMut(Said));
    let readers: [Reader; 4] = [
        |file, tell| formats::read(file, "", tell),
        |file, tell| camt::read(file, tell),
        |file, tell| mt940::read(file, tell),
        |file, tell| csv::read(file, tell),
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
    bankcsv::read_enet_reverse(data, true, &mut |_| {});
}

fn keeps_to_its_limits(line: &Line) {
    assert!((1..=AMOUNT_PAISE_MAX).contains(&line.amount_paise), "{line:?}");
    assert!(line.at > 0 && line.narration.chars().count() <= 500, "{line:?}");
    assert!(!line.narration.chars().any(char::is_control), "{line:?}");
    for id in line.references.iter().chain(&line.bank_references) {
        assert!(!id.is_empty() && id.len() <= 64 && !id.chars().any(char::is_control), "{line:?}");
    }
    assert!(line.references.len() <= 16 && line.bank_references.len() <= 16, "{line:?}");
}
