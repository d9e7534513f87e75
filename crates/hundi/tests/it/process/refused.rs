//! What keeps Hundi from starting is said in one sentence on stderr, with exit code 1; a wrong command line is 2.

use super::process::kit::{Site, run, says};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const ENOUGH: Duration = Duration::from_secs(10);

/// A start that must fail: what it is called, what is done before it, its arguments, and words of the sentence.
type Case = (&'static str, fn(&Site), &'static [&'static str], i32, &'static [&'static str]);

const SERVE: &[&str] = &["serve"];

fn key(site: &Site) -> std::path::PathBuf {
    site.data().join("hundi.key")
}

fn mode(site: &Site, mode: u32) {
    std::fs::set_permissions(key(site), std::fs::Permissions::from_mode(mode)).unwrap();
}

fn rewrite(site: &Site, from: &str, to: &str) {
    let text = std::fs::read_to_string(site.config()).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(site.config(), text.replace(from, to)).unwrap();
}

fn schema(site: &Site, version: i64) {
    let connection = rusqlite::Connection::open(site.data().join("hundi.db")).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
}

/// Overwrites the first bytes of the database, as a bad disk or a wrong copy does.
fn damage(site: &Site) {
    let path = site.data().join("hundi.db");
    for extension in ["db-wal", "db-shm"] {
        // They are there only if the last process was killed.
        drop(std::fs::remove_file(path.with_extension(extension)));
    }
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..100].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
}

const CASES: &[Case] = &[
    (
        "no configuration",
        |site| std::fs::remove_file(site.config()).unwrap(),
        SERVE,
        1,
        &["cannot read the configuration", "hundi.toml"],
    ),
    ("an unknown key", |site| rewrite(site, "[api]", "dataa = 'x'\n[api]"), SERVE, 1, &["dataa", "hundi.toml"]),
    (
        "a wrong value",
        |site| rewrite(site, "allow_private = true", "allow_private = 'yes'"),
        SERVE,
        1,
        &["allow_private"],
    ),
    (
        "no bank",
        |site| {
            let text = std::fs::read_to_string(site.config()).unwrap();
            std::fs::write(site.config(), text.split("[sandbox]").next().unwrap()).unwrap();
        },
        SERVE,
        1,
        &["no bank", "[sandbox]"],
    ),
    (
        "a bank's address that is none",
        |site| rewrite(site, "url = 'http://", "url = 'ftp://"),
        SERVE,
        1,
        &["sandbox.url"],
    ),
    ("no secret file", |site| std::fs::remove_file(site.path("secret")).unwrap(), SERVE, 1, &["callback_secret_file"]),
    ("no folder", |site| std::fs::remove_dir_all(site.data()).unwrap(), SERVE, 1, &["cannot open", "data"]),
    (
        "no key file",
        |site| std::fs::remove_file(key(site)).unwrap(),
        SERVE,
        1,
        &["cannot read the key file", "HUNDI_KEY"],
    ),
    (
        "a key file that is a folder",
        |site| {
            std::fs::remove_file(key(site)).unwrap();
            std::fs::create_dir(key(site)).unwrap();
        },
        SERVE,
        1,
        &["cannot read the key file"],
    ),
    ("a key file for all to read", |site| mode(site, 0o644), SERVE, 1, &["can be read by others", "chmod 600"]),
    ("a key that is none", |site| std::fs::write(key(site), "1:beef").unwrap(), SERVE, 1, &["key file", "not valid"]),
    (
        "another installation's key",
        |site| std::fs::write(key(site), format!("1:{}", "22".repeat(32))).unwrap(),
        SERVE,
        1,
        &["key does not belong to this database"],
    ),
    (
        "no database",
        |site| std::fs::remove_file(site.data().join("hundi.db")).unwrap(),
        SERVE,
        1,
        &["there is no database", "hundi migrate"],
    ),
    (
        "an empty database",
        |site| {
            std::fs::write(site.data().join("hundi.db"), "").unwrap();
        },
        SERVE,
        1,
        &["is empty", "hundi migrate"],
    ),
    ("a damaged database", damage, SERVE, 1, &["damaged", "restore a backup"]),
    ("a newer schema", |site| schema(site, 99), SERVE, 1, &["schema 99", "newer hundi"]),
    ("a newer schema, for a tool", |site| schema(site, 99), &["merchant", "list"], 1, &["schema 99"]),
    ("a newer schema, to migrate", |site| schema(site, 99), &["migrate"], 1, &["schema 99"]),
    ("a damaged database, to verify", damage, &["verify"], 1, &["damaged"]),
    ("an unknown merchant", |_| {}, &["merchant", "show", "nobody"], 1, &["no merchant `nobody`"]),
    ("an unknown payout", |_| {}, &["payout", "show", "123"], 1, &["no payout 123"]),
    (
        "an amount that is none",
        |_| {},
        &["fund", "--merchant", "shop", "--amount", "1e3", "--reference", "R"],
        1,
        &["--amount", "100000.00"],
    ),
    ("no such command", |_| {}, &["pay"], 2, &["pay"]),
    ("a missing option", |_| {}, &["fund", "--merchant", "shop"], 2, &["--amount"]),
];

#[test]
fn a_start_is_refused_clearly() {
    for (name, prepare, args, code, words) in CASES {
        let site = Site::new("0", "");
        prepare(&site);
        let config = site.config();
        let mut all = args.to_vec();
        all.extend(["--config", &config]);
        says(name, &run(&all), *code, words);
    }
}

#[test]
fn a_second_start_is_refused_clearly() {
    let site = Site::new("0", "");
    let data = site.data();
    let serve = site.start_serve();
    let began = Instant::now();
    says(
        "the same folder",
        &run(&["serve", "--config", &site.config()]),
        1,
        &["another hundi serves", &data.display().to_string()],
    );
    says("the same folder, demo", &run(&["demo", "--data", data.to_str().unwrap()]), 1, &["another hundi serves"]);
    says("the same folder, migrate", &run(&["migrate", "--config", &site.config()]), 1, &["another hundi serves"]);
    drop(serve);
    for (option, address) in [("api.listen", site.api), ("operations.listen", site.operations)] {
        let _taken = TcpListener::bind(address).unwrap();
        says(
            option,
            &run(&["serve", "--config", &site.config()]),
            1,
            &["cannot listen on", &address.to_string(), option],
        );
    }
    let taken = TcpListener::bind(site.api).unwrap();
    let folder = site.path("other");
    let (listen, folder) = (site.api.to_string(), folder.to_str().unwrap());
    says(
        "a taken port, demo",
        &run(&["demo", "--data", folder, "--listen", &listen]),
        1,
        &["cannot listen on", "--listen"],
    );
    says(
        "a taken port, bank",
        &run(&["bank", "--data", folder, "--listen", &listen]),
        1,
        &["cannot listen on", "--listen"],
    );
    drop(taken);
    let listen = site.bank.to_string();
    for (fault, word) in [("timeout=2", "timeout"), ("flood=0.1", "flood"), ("timeout", "name=rate")] {
        says(
            "a fault",
            &run(&["bank", "--data", folder, "--listen", &listen, "--fault", fault]),
            1,
            &["--fault", word],
        );
    }
    let _bank = site.start_bank("");
    let theirs = site.path("bank-sandbox");
    says(
        "the same book",
        &run(&["bank", "--data", theirs.to_str().unwrap(), "--listen", &site.api.to_string()]),
        1,
        &["another process"],
    );
    assert!(began.elapsed() < ENOUGH, "{:?}", began.elapsed());
    let ran = run(&["bank", "--times", "never"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let ran = run(&["verify", "--data", "x", "--config", "y"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

/// A database that somebody else holds is waited for, and then given up with a sentence.
#[test]
fn a_locked_database_is_told() {
    let site = Site::new("0", "");
    let connection = rusqlite::Connection::open(site.data().join("hundi.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    says("locked", &run(&["serve", "--config", &site.config()]), 1, &["locked", "another process"]);
    connection.execute_batch("ROLLBACK").unwrap();
    drop(site.start_serve());
}
