//! Statements as CSV: the cells are found again, and none is a formula.

use hundi::admin;
use serde_json::{Map, Value};

/// Between two cells of an input.
const BETWEEN: u8 = 0x1f;

pub fn csv(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let empty = admin::csv(&[]);
    let columns: Vec<&str> = empty.trim_end().split(',').collect();
    let cells: Vec<&str> = text.split(char::from(BETWEEN)).collect();
    let line = |cells: &[&str]| {
        let line = columns.iter().zip(cells).map(|(column, cell)| ((*column).to_owned(), Value::from(*cell)));
        Value::Object(line.collect::<Map<_, _>>())
    };
    let lines: Vec<Value> = cells.chunks(columns.len()).map(line).collect();
    let written = admin::csv(&lines);
    let rows = read(&written);
    assert_eq!(rows[0], columns);
    assert_eq!(rows.len(), lines.len() + 1, "{written:?}");
    for (row, cells) in rows[1..].iter().zip(cells.chunks(columns.len())) {
        assert_eq!(row.len(), columns.len(), "{written:?}");
        for (at, shown) in row.iter().enumerate() {
            let cell = cells.get(at).copied().unwrap_or_default();
            // Who takes one apostrophe from every line has the text again.
            let lines = shown.split_inclusive(['\n', '\r']);
            let back: String = lines.map(|line| line.strip_prefix('\'').unwrap_or(line)).collect();
            assert_eq!(back, cell, "{shown:?}");
            let number = shown.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.');
            let runs = |line: &str| line.trim_start().starts_with(['=', '+', '-', '@']);
            let formula = shown.split(['\n', '\r']).any(runs) || shown.starts_with(['\t', '\r']);
            assert!(!formula || number && shown != "-", "a spreadsheet runs {shown:?}");
        }
    }
}

/// The rows of a text after RFC 4180.
pub fn read(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if cell.is_empty() => {
                // Up to the quote that is not doubled.
                while let Some(c) = characters.next() {
                    if c == '"' && characters.next_if_eq(&'"').is_none() {
                        break;
                    }
                    cell.push(c);
                }
                assert!(matches!(characters.peek(), Some(',' | '\r')), "text after a quoted cell in {text:?}");
            }
            ',' => row.push(std::mem::take(&mut cell)),
            '\r' => {
                assert_eq!(characters.next(), Some('\n'), "a line of {text:?} ends without a line feed");
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '"' | '\n' => panic!("{c:?} is not quoted in {text:?}"),
            c => cell.push(c),
        }
    }
    assert!(row.is_empty() && cell.is_empty(), "{text:?} has no end");
    rows
}
