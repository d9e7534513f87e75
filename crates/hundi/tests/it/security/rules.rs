//! Rules about secrets, SQL and paths that a compiler does not guard, held against the source. Faults that are planted on
//! purpose are left out: they break rules, and other tests see them.

use crate::tidy::{files, literals, program};
use hundi::http::router::routes;
use std::collections::BTreeSet;

/// The program's files with their texts: without unit tests, comments and planted faults.
fn sources(below: &str) -> Vec<(String, String)> {
    let all = files(below, &[".rs"]).into_iter();
    let product = all.filter(|(name, _)| !name.contains("/tests/") && !name.contains("/examples/"));
    product.map(|(name, text)| (name, without_plants(&program(&text)))).collect()
}

/// Without the blocks that begin with `if planted(`.
fn without_plants(text: &str) -> String {
    let (mut kept, mut until) = (String::new(), None::<String>);
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(end) = &until {
            if line == end {
                until = None;
            }
        } else if line.trim_start().starts_with("if planted(") && line.ends_with('{') {
            until = Some(format!("{indent}}}"));
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The words of a line: `token_hash(&self.key)` has `token`, `hash`, `self` and `key`.
fn words(line: &str) -> BTreeSet<String> {
    line.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_lowercase).filter(|word| !word.is_empty()).collect()
}

#[test]
fn a_path_that_is_served_is_in_the_routers_table() {
    let known: BTreeSet<&str> = routes().map(|(_, path)| path).collect();
    let mut seen = 0;
    for (name, text) in sources("crates/hundi/src/http") {
        for literal in literals(&text) {
            let path = literal.starts_with('/') && literal.len() > 1;
            if path && literal.bytes().all(|b| b.is_ascii_alphanumeric() || b"/{}_-".contains(&b)) {
                assert!(known.contains(literal), "{name} knows the path {literal}, which router::routes does not list");
                seen += 1;
            }
        }
    }
    assert!(seen >= known.len(), "{seen} paths in the source, {} in the table", known.len());
}

/// What must not be told by how long it takes. A MAC is compared by `verify_slice`, which takes the same time wherever the
/// first difference is. A token is never compared at all: the store is asked for its SHA-256, and what a search in an index
/// tells about a hash tells nothing about a token that hashes to it.
const SECRETS: [&str; 9] = ["token", "secret", "signature", "mac", "hmac", "tag", "master", "password", "key"];

/// Lines that compare something else, although a word of them is one of those.
const NO_SECRETS: [&str; 3] = [
    // Whether a token was given, not which.
    "if token == Ok(None) {",
    // Two spellings of one request, by the same caller.
    "if field == Field::Token {",
    // Which word the operator wrote.
    "let new_secret = changes.callback_secret.as_deref() == Some(\"new\");",
];

fn compares(line: &str) -> bool {
    [" == ", " != ", ".eq(", ".ne("].iter().any(|operator| line.contains(operator))
}

fn compares_a_secret(line: &str) -> bool {
    compares(line) && SECRETS.iter().any(|secret| words(line).contains(*secret)) && !NO_SECRETS.contains(&line)
}

#[test]
fn no_secret_is_compared_in_time_that_tells_something() {
    let mut comparisons = 0;
    let mut found = Vec::new();
    for (name, text) in sources("crates/hundi/src").into_iter().chain(sources("crates/hundi-core/src")) {
        // The load generator and the copy hold no secret of a living installation against another.
        if name.contains("/bench/") {
            continue;
        }
        for line in text.lines().map(str::trim) {
            comparisons += usize::from(compares(line));
            if compares_a_secret(line) {
                found.push(format!("{name}: {line}"));
            }
        }
        for (at, _) in text.match_indices("derive(") {
            let (derived, rest) = text[at..].split_once(")]").unwrap_or_default();
            let item: String = rest.chars().take_while(|c| *c != '{' && *c != ';').collect();
            let holds = [
                "struct Keys",
                "struct Sandbox",
                "struct Tokens",
                "struct Known",
                "struct DueCallback",
                "struct MerchantView",
            ];
            if derived.contains("PartialEq") && holds.iter().any(|holder| item.trim_end().ends_with(holder)) {
                found.push(format!("{name}: {} can be compared", item.trim()));
            }
        }
    }
    assert!(comparisons > 100, "only {comparisons} comparisons");
    // The rule bites.
    assert!(compares_a_secret("given.iter().eq(mac.finalize().into_bytes().iter())"));
    assert!(compares_a_secret("if known.token == token {"));
    assert!(found.is_empty(), "compared by ==:\n{}", found.join("\n"));
}

#[test]
fn no_statement_is_made_of_values() {
    const SQL: [&str; 8] = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", " FROM ", "WHERE ", " SET ", "VALUES"];
    // They make statements of the names of our own tables and columns, which are in the code, and databases for a bench.
    let makers = ["crates/hundi/src/store/mod.rs", "crates/hundi/src/store/scratch.rs"];
    let mut statements = 0;
    for (name, text) in sources("crates/hundi/src").into_iter().chain(sources("crates/hundi-bank/src")) {
        let maker = makers.contains(&name.as_str());
        assert!(maker || !text.contains("leak("), "{name} leaks a text: a statement is a literal");
        for (at, _) in text.match_indices("format!(") {
            let literal = text[at..].split('"').nth(1).unwrap_or_default();
            // The version of the schema is a constant.
            let literal = literal.replace("{SCHEMA}", "");
            let sql = literal.contains('{') && SQL.iter().any(|word| literal.contains(word));
            // The words that a session is opened with.
            let session = name.ends_with("postgres.rs") && literal.starts_with("SET ");
            assert!(maker || session || !sql, "{name} writes a value into a statement: {literal}");
        }
        statements += literals(&text).filter(|literal| SQL.iter().any(|word| literal.contains(word))).count();
    }
    assert!(statements > 80, "only {statements} statements");
    // The door to the store takes nothing else.
    let store = sources("crates/hundi/src/store").into_iter().find(|(name, _)| name.ends_with("/mod.rs")).unwrap().1;
    assert!(store.contains("pub async fn query(&self, sql: &'static str,"));
}

#[test]
fn no_panic_repeats_a_value() {
    let mut panics = 0;
    for (name, text) in sources("crates/hundi/src").into_iter().chain(sources("crates/hundi-core/src")) {
        for word in [".expect(", "panic!(", "unreachable!(", "assert!(", "assert_eq!(", "assert_ne!("] {
            for (at, _) in text.match_indices(word) {
                panics += 1;
                let message = text[at..].split('"').nth(1).unwrap_or_default();
                let plain = text[at + word.len()..].trim_start().starts_with('"') && !message.contains('{');
                // The names of planted faults, and where a test's own clock was set wrongly.
                let harmless = name.ends_with("/plant.rs") || name.contains("/bench/");
                assert!(plain || harmless, "{name}: a panic could print a value: {word}{message}");
            }
        }
    }
    assert!(panics > 5, "only {panics} panics");
}
