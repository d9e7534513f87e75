//! JSON documents for a person's eyes: an object as lines, a list as a table.

use serde_json::{Map, Value};

/// The document as text, with a newline at its end.
pub fn text(document: &Value) -> String {
    match document {
        Value::Array(rows) if rows.is_empty() => "(none)\n".to_owned(),
        Value::Array(rows) => table(rows),
        Value::Object(fields) => object(fields),
        other => format!("{}\n", cell(other)),
    }
}

fn object(fields: &Map<String, Value>) -> String {
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let (mut lines, mut lists) = (String::new(), String::new());
    for (name, value) in fields {
        match value {
            Value::Array(rows) if rows.is_empty() => {}
            Value::Array(rows) => lists.push_str(&format!("\n{name}\n{}", table(rows))),
            Value::Object(inner) => lists.push_str(&format!("\n{name}\n{}", object(inner))),
            value => lines.push_str(&format!("{name:<width$}  {}\n", cell(value))),
        }
    }
    lines + &lists
}

fn table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else {
        return rows.iter().map(|row| format!("{}\n", cell(row))).collect();
    };
    let columns: Vec<&String> = first.keys().collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| cell(&row[column.as_str()])).collect()).collect();
    let width = |place: usize| {
        cells.iter().map(|row| row[place].chars().count()).chain([columns[place].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: Vec<&str>| {
        let padded =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>().join("  ");
        padded.trim_end().to_owned() + "\n"
    };
    let head = line(columns.iter().map(|column| column.as_str()).collect());
    head + &cells.iter().map(|row| line(row.iter().map(String::as_str).collect())).collect::<String>()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        // What people wrote may hold line breaks or control codes that a terminal would obey.
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        other => other.to_string(),
    }
}
