//! What keeps Hundi from using a PostgreSQL server is said in one sentence on stderr that names `database_url` and the
//! remedy, never the password, with exit code 1.

use super::process::kit::{Ran, Site, free_address, run, says};
use super::process_faults::Cluster;
use super::support::Folder;
use crate::database::execute;
use std::path::Path;

pub const PASSWORD: &str = "s3cretPassw0rd";

/// What is tried: its name, the URL, the command, and words of the sentence.
type Case<'a> = (&'a str, String, &'a [&'a str], &'a [&'a str]);

/// A pair of servers that ask for passwords, but not the superuser's, with a migrated database and some that are not.
fn servers(folder: &Folder) -> (Cluster, Site) {
    let hba = folder.path().join("hba.conf");
    let lines = "local all all trust\nhost all hundi 127.0.0.1/32 trust\nhost replication hundi 127.0.0.1/32 trust\n\
                 host all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(&hba, lines).unwrap();
    let cluster = Cluster::start(&[&format!("hba_file = '{}'", hba.display())]);
    let role = |name: &str| format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'");
    let mut all: Vec<String> = ["clerk", "reader", "looker", "stranger"].map(role).to_vec();
    all.extend(["good", "empty", "newer"].map(|name| format!("CREATE DATABASE {name}")));
    all.push("ALTER ROLE reader SET default_transaction_read_only = on".to_owned());
    all.push("REVOKE CONNECT ON DATABASE good FROM PUBLIC".to_owned());
    all.push("GRANT CONNECT ON DATABASE good TO looker, reader, clerk".to_owned());
    execute(&cluster.url("postgres"), &all.iter().map(String::as_str).collect::<Vec<_>>());
    let site = Site::on(Folder::on(&cluster.url("good")), "0", "");
    let newer = try_url(&site, &cluster.url("newer"), None, &["migrate"]);
    assert_eq!(newer.code, 0, "{}", newer.stderr);
    execute(&cluster.url("newer"), &["UPDATE meta SET value = '99' WHERE name = 'schema'"]);
    execute(&cluster.url("good"), &["GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker, reader"]);
    cluster.add_standby(None);
    (cluster, site)
}

/// Runs a subcommand with another `database_url` in the site's options, and these authorities.
pub fn try_url(site: &Site, url: &str, ca_file: Option<&Path>, args: &[&str]) -> Ran {
    let text = std::fs::read_to_string(site.config()).unwrap();
    let ca_file = ca_file.map_or(String::new(), |path| format!("[postgres]\nca_file = '{}'\n", path.display()));
    let other = |line: &str| match line {
        line if line.starts_with("database_url") => format!("database_url = '{url}'\n"),
        "[api]" => format!("{ca_file}[api]\n"),
        line => format!("{line}\n"),
    };
    let config = site.path("tried.toml");
    std::fs::write(&config, text.lines().map(other).collect::<String>()).unwrap();
    run(&[args, &["--config", config.to_str().unwrap()]].concat())
}

/// What is wrong with how a run was refused, if anything: with one sentence that holds these words, not the password, and
/// with exit code 1.
pub fn wrong(name: &str, ran: &Ran, words: &[&str]) -> Option<String> {
    let missing: Vec<_> = words.iter().filter(|word| !ran.stderr.contains(*word)).collect();
    let sentences = ran.stderr.lines().filter(|line| line.starts_with("hundi: ")).count();
    let well = ran.code == 1
        && missing.is_empty()
        && sentences == 1
        && !ran.stderr.contains(PASSWORD)
        && !ran.stderr.contains("panicked");
    (!well).then(|| format!("{name}: code {}, without {missing:?}: {}", ran.code, ran.stderr))
}

#[test]
fn a_server_that_cannot_be_used_is_refused_clearly() {
    let folder = Folder::new();
    let (cluster, site) = servers(&folder);
    let at = cluster.address();
    let with = |who: &str, database: &str| format!("postgres://{who}@{at}/{database}");
    let as_role = |role: &str, database: &str| with(&format!("{role}:{PASSWORD}"), database);
    let nobody = free_address();
    let serve: &[&str] = &["serve"];
    let mut cases: Vec<Case<'_>> = vec![
        ("another scheme", format!("mysql://clerk:{PASSWORD}@{at}/good"), serve, &["database_url", "postgres://"]),
        ("no host", "postgres://".to_owned(), serve, &["database_url", "postgres://"]),
        ("no URL", format!("{at} {PASSWORD}"), serve, &["database_url", "postgres://"]),
        ("an unknown parameter", cluster.url("good") + "?colour=red", serve, &["database_url", "colour"]),
        ("a wrong password", with(&format!("clerk:not{PASSWORD}"), "good"), serve, &["database_url", "password"]),
        ("no password", with("clerk", "good"), serve, &["database_url", "password"]),
        ("no such role", as_role("ghost", "good"), serve, &["database_url", "role"]),
        ("no such database", cluster.url("nowhere"), serve, &["database_url", "nowhere", "createdb"]),
        ("no right to connect", as_role("stranger", "good"), serve, &["database_url", "GRANT CONNECT"]),
        ("an empty database", cluster.url("empty"), serve, &["is empty", "hundi migrate"]),
        ("an empty database, for a tool", cluster.url("empty"), &["merchant", "list"], &["is empty", "hundi migrate"]),
        ("an empty database, to verify", cluster.url("empty"), &["verify"], &["is empty", "hundi migrate"]),
        ("a newer schema", cluster.url("newer"), serve, &["schema 99", "newer hundi"]),
        ("a newer schema, to migrate", cluster.url("newer"), &["migrate"], &["schema 99", "newer hundi"]),
        ("no right to create", as_role("clerk", "empty"), &["migrate"], &["database_url", "GRANT"]),
        ("no right to read", as_role("clerk", "good"), serve, &["database_url", "GRANT"]),
        ("no right to write", as_role("looker", "good"), serve, &["database_url", "GRANT"]),
        ("a role that only reads", as_role("reader", "good"), serve, &["database_url", "only reads"]),
        ("a standby", cluster.url_of_standby("good"), serve, &["database_url", "standby", "primary"]),
        (
            "no primary among the hosts",
            cluster.url_of_standby("good") + "?target_session_attrs=read-write",
            serve,
            &["database_url", "primary"],
        ),
    ];
    for args in [serve, &["migrate"], &["verify"], &["merchant", "list"]] {
        let url = format!("postgres://clerk:{PASSWORD}@{nobody}/good");
        cases.push(("no server", url, args, &["database_url", "whether the server runs"]));
    }
    let tried = cases.iter().filter_map(|(name, url, args, words)| {
        wrong(&format!("{name} {args:?}"), &try_url(&site, url, None, args), words)
    });
    let wrong: Vec<String> = tried.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The environment comes before the file, and what is wrong with it is told in the same way.
#[test]
fn the_environment_names_the_server() {
    let site = Site::new("0", "");
    let elsewhere = hundi::config::DatabaseUrl(format!("postgres://clerk:{PASSWORD}@{}/good", free_address()));
    let ran = super::process::kit::run_with(Some(elsewhere), &["merchant", "list", "--config", &site.config()]);
    says("the environment", &ran, 1, &["database_url", "whether the server runs"]);
    assert!(!ran.stderr.contains(PASSWORD), "{}", ran.stderr);
}
