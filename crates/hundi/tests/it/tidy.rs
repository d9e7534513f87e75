//! Rules of the house as tests: what a compiler does not guard and a reader would have to.

use hundi_core::plant::Plant;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The tracked files below a folder with one of these endings, and their texts.
pub fn files(below: &str, endings: &[&str]) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" || name == "hundi-data" {
                continue;
            }
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root.join(below), &mut found);
    found.sort();
    let wanted = |path: &PathBuf| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    found.into_iter().filter(wanted).map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The program part of a source file: without its unit tests and without comments.
pub fn program(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let text = text.split("#[cfg(test)]\npub(crate) mod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // Only what is built here: the crates for other systems are not even downloaded.
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_crates_depend_on_what_the_house_allows() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("hundi-core", &["any_ascii", "base64", "hmac", "quick-xml", "sha2"][..]),
        (
            "hundi-bank",
            &[
                "base64",
                "bytes",
                "hmac",
                "http-body-util",
                "hyper",
                "hyper-util",
                "rusqlite",
                "serde",
                "serde_json",
                "sha2",
                "tokio",
                "tracing",
            ][..],
        ),
        ("hundi-faultfs", &["rusqlite"][..]),
    ]);
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let allowed = allowed.get(package["name"].as_str().unwrap());
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["kind"].is_null() {
                let name = dependency["name"].as_str().unwrap();
                assert_ne!(name, "hundi-faultfs", "{} ships what is only for tests", package["name"]);
                assert!(allowed.is_none_or(|allowed| allowed.contains(&name)), "{} depends on {name}", package["name"]);
            }
        }
    }
    let workspace: Vec<_> = metadata["workspace_members"].as_array().unwrap().iter().collect();
    assert_eq!(workspace.len(), 4);
}

/// What `cargo deny` would check: licences, sources and bans.
#[test]
fn every_dependency_is_licensed_from_the_registry_and_not_banned() {
    let licences = [
        "MIT",
        "Apache-2.0",
        "ISC",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "Zlib",
        "Unicode-3.0",
        "CDLA-Permissive-2.0",
        "Unlicense",
        "0BSD",
        "CC0-1.0",
        "MIT-0",
        "BSL-1.0",
    ];
    // `rand` is there for the nonces of tokio-postgres; randomness of ours comes from clock.rs.
    let banned = ["openssl", "openssl-sys", "native-tls", "reqwest", "chrono", "time"];
    let metadata = metadata();
    let mut shipped = BTreeSet::new();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut waiting: Vec<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap()).collect();
    while let Some(id) = waiting.pop() {
        if !shipped.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let normal = dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            if normal {
                waiting.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let source = package["source"].as_str();
        assert!(source.is_none_or(|source| source.starts_with("registry+")), "{name} comes from {source:?}");
        let licence = package["license"].as_str().unwrap_or("");
        // `A OR B` needs one of them, `A AND B` all; an exception to a licence only allows more.
        let one = |licence: &str| licences.contains(&licence.trim().split(" WITH ").next().unwrap_or_default());
        let licence = licence.replace(['(', ')'], "").replace('/', " OR ");
        let fits = licence.split(" AND ").all(|part| part.split(" OR ").any(one));
        assert!(fits, "{name} is licensed under `{licence}`");
        if shipped.contains(package["id"].as_str().unwrap()) {
            assert!(!banned.contains(&name), "{name} is banned from the program");
        }
    }
}

#[test]
fn time_randomness_and_sql_each_have_one_home() {
    for (name, text) in files("crates", &[".rs"]) {
        if name.contains("/tests/") || name.contains("/examples/") {
            continue;
        }
        let text = program(&text);
        let home = |homes: &[&str]| homes.iter().any(|home| name.ends_with(home));
        for word in ["SystemTime", "std::time::Instant", "getrandom::", "Utc::now", "clock_gettime"] {
            assert!(!text.contains(word) || home(&["/clock.rs"]), "{name} uses {word}; only clock.rs may");
        }
        let store = name.starts_with("crates/hundi/src/store/") || name.starts_with("crates/hundi-bank/src/book");
        for word in ["SELECT ", "INSERT INTO", "DELETE FROM", "PRAGMA "] {
            assert!(!text.contains(word) || store, "{name} contains SQL ({word}); only the store may");
        }
        assert!(
            !text.contains("UPDATE ") || store || name.contains("hundi-core"),
            "{name} contains SQL; only the store may"
        );
    }
}

#[test]
fn the_store_keeps_to_the_dialect() {
    let schema = files("crates/hundi/migrations", &[".sql"]);
    assert!(!schema.is_empty());
    for (name, text) in schema {
        let text: String =
            text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n").to_uppercase();
        for word in [
            "BOOLEAN",
            "SERIAL",
            "AUTOINCREMENT",
            "TRIGGER",
            "FUNCTION",
            " REAL",
            "FLOAT",
            "DOUBLE",
            "NUMERIC",
            "ENUM",
            "DEFERR",
            "TIMESTAMP",
            "SEQUENCE",
            "IDENTITY",
            "GENERATED",
            " REFERENCES ",
            "VARCHAR",
            "UUID",
            "JSON",
            "INT4",
        ] {
            assert!(!text.contains(word), "{name} uses {word}");
        }
    }
    for (name, text) in files("crates/hundi/src/store", &[".rs"]) {
        let text = program(&text);
        for word in [
            "SAVEPOINT",
            "datetime(",
            "now()",
            "CURRENT_TIMESTAMP",
            "last_insert_rowid",
            "nextval",
            "OFFSET",
            "INSERT OR",
            "REPLACE INTO",
            "RETURNING",
            "advisory",
            "LISTEN ",
            "NOTIFY ",
            "CREATE TRIGGER",
            "CREATE FUNCTION",
            "DEFERR",
            "AVG(",
        ] {
            assert!(literals(&text).all(|literal| !literal.contains(word)), "{name} uses {word}");
        }
        // What only one engine understands is in its own file.
        let shared = !name.ends_with("/postgres.rs") && !name.ends_with("/sqlite.rs");
        for literal in literals(&text).filter(|text| shared && SQL.iter().any(|word| text.contains(word))) {
            for word in ["::", " / ", " REAL", "DOUBLE", "NUMERIC", "TRUE ", "FALSE", "ILIKE", "GLOB", "rowid", "?1"] {
                assert!(!literal.contains(word), "{name} uses {word}: {literal}");
            }
            for (at, _) in literal.match_indices("SUM(") {
                let cast = literal[..at].ends_with("CAST(") || literal[..at].ends_with("CAST(COALESCE(");
                assert!(cast, "{name} adds up what PostgreSQL makes NUMERIC: {literal}");
            }
            in_order(&name, literal);
        }
    }
}

const SQL: [&str; 6] = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", " FROM ", "WHERE "];

/// The texts between quotation marks.
pub fn literals(program: &str) -> impl Iterator<Item = &str> {
    let mut marks: Vec<usize> = Vec::new();
    let bytes = program.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let inside = marks.len() % 2 == 1;
        match bytes[at] {
            b'\\' if inside => at += 1,
            // A quotation mark as a character.
            b'\'' if !inside && bytes[at..].starts_with(b"'\"'") => at += 2,
            b'"' => marks.push(at),
            _ => {}
        }
        at += 1;
    }
    let pairs: Vec<(usize, usize)> = marks.chunks_exact(2).map(|pair| (pair[0] + 1, pair[1])).collect();
    pairs.into_iter().map(move |(from, to)| &program[from..to])
}

/// Parameters are numbered in the order in which they are first used.
fn in_order(name: &str, literal: &str) {
    let mut most = None;
    for rest in literal.split('$').skip(1) {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse::<u32>() else { continue };
        // A piece of a statement may begin anywhere.
        assert!(most.is_none_or(|most| number <= most + 1), "{name} uses ${number} too early: {literal}");
        most = Some(most.unwrap_or(0).max(number));
    }
}

#[test]
fn the_server_is_spoken_to_in_one_place() {
    for (name, text) in files("crates", &[".rs"]) {
        let may = name.ends_with("/src/store/postgres.rs") || name.contains("/tests/") || name.contains("/examples/");
        assert!(
            may || !program(&text).contains("tokio_postgres"),
            "{name} uses tokio_postgres; only store/postgres.rs may"
        );
    }
}

#[test]
fn nothing_unfinished_and_nothing_too_long() {
    for (name, text) in files("crates", &[".rs"]) {
        if name.ends_with("tidy.rs") {
            continue;
        }
        for word in ["todo!", "dbg!", "unimplemented!", "FIXME", "TODO"] {
            assert!(!text.contains(word), "{name} contains {word}");
        }
        let lines = program(&text).lines().count();
        let most = if name.contains("/src/") { 900 } else { 1_500 };
        assert!(lines <= most, "{name} has {lines} lines of program; a file owns one thing and fits a head");
        let documented = text.starts_with("//!");
        assert!(documented, "{name} does not say at its top what it owns");
    }
}

#[test]
fn every_document_has_one_heading_of_the_first_rank_and_live_links() {
    let root = root();
    let mut documents = files("docs", &[".md"]);
    documents.extend(files("", &[".md"]).into_iter().filter(|(name, _)| !name.contains('/')));
    assert!(documents.len() >= 10, "only {} documents", documents.len());
    for (name, text) in documents {
        let mut fenced = false;
        let mut headings = 0;
        for line in text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            headings += usize::from(!fenced && line.starts_with("# "));
        }
        assert_eq!(headings, 1, "{name} has {headings} headings of the first rank");
        let folder = root.join(&name).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:") {
                assert!(folder.join(path).exists(), "{name} links to {path}, which is not there");
            }
        }
    }
}

#[test]
fn every_option_is_documented_and_every_documented_option_exists() {
    let config = ["config.rs", "config/files.rs"]
        .map(|name| program(&std::fs::read_to_string(root().join("crates/hundi/src").join(name)).unwrap()))
        .join("\n");
    let mut options = BTreeSet::new();
    let mut section = None;
    let mut skipped = false;
    for line in config.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("pub struct ") {
            let name = name.split([' ', '{']).next().unwrap_or_default().to_lowercase();
            section = Some(if name == "config" { String::new() } else { format!("{name}.") });
        } else if line == "}" {
            section = None;
        } else if line == "#[serde(skip)]" {
            skipped = true;
        } else if let (Some(section), Some(field)) = (&section, line.strip_prefix("pub ")) {
            let name = field.split(':').next().unwrap_or_default();
            let inner = [
                "api",
                "operations",
                "postgres",
                "writer",
                "worker",
                "callbacks",
                "reconcile",
                "sandbox",
                "connectors",
                "routes",
                "limits",
                "health",
                "hold",
                "alerts",
                "turnround",
            ];
            // A list within a section is documented by the section of its own.
            let inner = inner.contains(&name) || name == "targets";
            if !std::mem::take(&mut skipped) && !inner && !name.contains('(') && !name.contains(' ') {
                options.insert(format!("{section}{name}"));
            }
        }
    }
    assert!(
        options.contains("api.listen") && options.contains("data") && options.contains("sandbox.url"),
        "{options:?}"
    );
    let text = std::fs::read_to_string(root().join("docs/operating.md")).unwrap();
    for option in &options {
        assert!(text.contains(&format!("`{option}`")), "docs/operating.md does not document `{option}`");
    }
    let sections = [
        "api.",
        "operations.",
        "postgres.",
        "writer.",
        "worker.",
        "callbacks.",
        "reconcile.",
        "sandbox.",
        "segurapay.",
        "razorpayx.",
        "cashfree.",
        "bankcsv.",
        "answers.",
        "exchange.",
        "sftp.",
        "routes.",
        "targets.",
        "limits.",
        "health.",
        "hold.",
        "alerts.",
        "turnround.",
    ];
    for word in text.split('`').skip(1).step_by(2) {
        let shaped = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
        let named = sections.iter().any(|section| word.starts_with(section)) && !word.ends_with(".rs");
        assert!(
            !(shaped && named) || options.contains(word),
            "docs/operating.md documents `{word}`, which does not exist"
        );
    }
}

/// A fault that is planted on purpose is for tests: only dev-dependencies ask for it.
#[test]
fn no_release_contains_a_planted_fault() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap();
        for (feature, of) in package["features"].as_object().unwrap() {
            let asks = of.as_array().unwrap().iter().any(|of| of.as_str().unwrap().ends_with("plants"));
            assert!(!asks, "{name} has a feature `{feature}` that plants faults");
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let plants = dependency["features"].as_array().unwrap().contains(&"plants".into());
            assert!(!plants || dependency["kind"] == "dev", "{name} plants faults in its release");
        }
    }
    // The place is asked for in one way, so that nothing else can turn a fault on.
    for (name, text) in files("crates", &[".rs"]).into_iter().filter(|(name, _)| !name.ends_with("/tidy.rs")) {
        let home = name.ends_with("hundi-core/src/plant.rs");
        let told = ["HUNDI_PLANT", "feature = \"plants\""].iter().find(|word| program(&text).contains(**word));
        let may = home || name.contains("/tests/") || name.contains("/examples/");
        assert!(may || told.is_none(), "{name} contains {told:?}; only plant.rs may");
    }
}

/// A fault that nobody has planted would be one that everybody sees.
#[test]
fn every_fault_of_the_list_is_planted_in_the_product() {
    let product: String = files("crates", &[".rs"])
        .into_iter()
        .filter(|(name, _)| !name.contains("/tests/") && !name.contains("/examples/") && !name.ends_with("/plant.rs"))
        .map(|(_, text)| program(&text))
        .collect();
    for plant in Plant::ALL {
        let planted = format!("planted(Plant::{plant:?})");
        assert!(product.contains(&planted), "`{}` is nowhere: {planted}", plant.name());
    }
    let names: BTreeSet<_> = Plant::ALL.iter().map(|plant| plant.name()).collect();
    assert_eq!(names.len(), Plant::ALL.len(), "two faults have one name");
}
