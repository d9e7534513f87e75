//! The figures of the scorecard in `docs/reliability.md`, written by the tests that reach them.

use std::fs::OpenOptions;
use std::io::Write;

/// Notes what was reached of a row of the scorecard, such as `score(1, "kills on SQLite", 100)`. Each is a line
/// `{"row":1,"what":"..","reached":100}` in the file that `HUNDI_SCORES` names; `./check` makes the table of them. Without the
/// variable it is only printed. Call it at the end of a test, where all assertions have held.
pub fn score(row: u32, what: &str, reached: u64) {
    let line = format!(r#"{{"row":{row},"what":{what:?},"reached":{reached}}}"#);
    println!("score: {line}");
    if let Some(path) = std::env::var_os("HUNDI_SCORES") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("HUNDI_SCORES can be written");
        // One write call, so that tests that run at once do not mix their lines.
        file.write_all(format!("{line}\n").as_bytes()).expect("HUNDI_SCORES can be written");
    }
}
