//! TLS to PostgreSQL: payouts that are paid over it, and what is said of a server whose certificate does not prove what it
//! must. `openssl` makes the certificates; `./check` installs it.

use super::process::kit::{Site, until};
use super::process_faults::Cluster;
use super::process_refused::{PASSWORD, try_url, wrong};
use super::support::Folder;
use crate::database::{execute, rows};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A reload is a signal to the server, and Hundi takes a new connection where one has ended.
const CHANGES_WITHIN: Duration = Duration::from_secs(30);
/// The names under which the server is reached here.
const HERE: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";
const LEAF: &str = "basicConstraints=critical,CA:FALSE";
const DAYS: i32 = 30;

/// Certificates, each `NAME.pem` with its key in `NAME.key`.
struct Certificates(Folder);

impl Certificates {
    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn openssl(&self, args: &[&str]) {
        let output = Command::new("openssl").args(args).current_dir(self.0.path()).output();
        let output = output.unwrap_or_else(|error| panic!("openssl: {error}; install it, or run ./check, which does"));
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A key, and with it a certificate of its own (`-x509`) or a wish for one.
    fn request(&self, name: &str, extensions: &[&str], what: &[&str]) {
        let (subject, key) = (format!("/CN={name}"), format!("{name}.key"));
        let mut args = vec!["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        args.extend(["-subj", &subject, "-keyout", &key]);
        args.extend(what);
        args.extend(extensions.iter().flat_map(|extension| ["-addext", *extension]));
        self.openssl(&args);
    }

    /// One that is its own authority, and may be a server's.
    fn authority(&self, name: &str) {
        let out = format!("{name}.pem");
        self.request(name, &["basicConstraints=critical,CA:TRUE", HERE], &["-x509", "-out", &out]);
    }

    /// One that another has signed, for so many days.
    fn signed(&self, name: &str, by: &str, days: i32, extensions: &[&str]) {
        let [wish, out] = ["csr", "pem"].map(|end| format!("{name}.{end}"));
        self.request(name, extensions, &["-new", "-out", &wish]);
        let (by, by_key) = (format!("{by}.pem"), format!("{by}.key"));
        let (days, copied) = (days.to_string(), ["-copy_extensions", "copy"]);
        let signs = ["-CA", &by, "-CAkey", &by_key, "-days", &days, "-in", &wish, "-out", &out];
        self.openssl(&[&["x509", "-req"][..], &copied, &signs].concat());
    }

    /// From now on the server shows this one to whoever connects, and speaks these versions of TLS.
    fn shown_by(&self, cluster: &Cluster, name: &str, versions: [&str; 2]) {
        let [certificate, key] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
        cluster.owns(&key);
        let url = cluster.url("postgres");
        let set = |name: &str, value: &str| execute(&url, &[&format!("ALTER SYSTEM SET {name} = '{value}'")]);
        set("ssl_cert_file", &certificate.display().to_string());
        set("ssl_key_file", &key.display().to_string());
        set("ssl_min_protocol_version", versions[0]);
        set("ssl_max_protocol_version", versions[1]);
        set("ssl", "on");
        execute(&url, &["SELECT pg_reload_conf()"]);
        // Who connects from then on is shown what the server's first process has read.
        let wanted = certificate.display().to_string();
        let settings = "SELECT current_setting('ssl_cert_file'), current_setting('ssl_max_protocol_version')";
        until("the certificate", CHANGES_WITHIN, || {
            let [Some(shown), Some(version)] = &rows(&url, settings)[0][..] else { return None };
            (*shown == wanted && *version == versions[1]).then_some(())
        });
    }
}

/// What every server of ours speaks.
const NOW: [&str; 2] = ["TLSv1.2", ""];

/// A server that has no session in clear on the database `hundi`: one that pays does it over TLS.
#[test]
fn payouts_are_paid_over_tls() {
    let made = Certificates(Folder::new());
    made.authority("authority");
    made.authority("stranger");
    for (name, by) in [("server", "authority"), ("renewed", "authority"), ("strange", "stranger")] {
        made.signed(name, by, DAYS, &[HERE, LEAF]);
    }
    let lines = "local all all trust\nhost postgres all 127.0.0.1/32 trust\nhostssl hundi all 127.0.0.1/32 trust\n";
    std::fs::write(made.path("hba.conf"), lines).unwrap();
    let cluster = Cluster::start(&[&format!("hba_file = '{}'", made.path("hba.conf").display())]);
    execute(&cluster.url("postgres"), &["CREATE DATABASE hundi"]);
    made.shown_by(&cluster, "server", NOW);
    let options = format!("[postgres]\nca_file = '{}'", made.path("authority.pem").display());
    let url =
        |host: &str, mode: &str| format!("postgres://hundi@{host}:{}/hundi?sslmode={mode}", cluster.address().port());
    let site = Site::on(Folder::on(&url("localhost", "require")), "1000.00", &options);
    for (host, mode) in [("localhost", "verify-ca"), ("127.0.0.1", "verify-full"), ("127.0.0.1", "prefer")] {
        let ran = try_url(&site, &url(host, mode), None, &["verify"]);
        assert_eq!(ran.code, 0, "{host} {mode}: {}", ran.stderr);
    }
    let _bank = site.start_bank("");
    let serve = site.start_serve();
    let mut pay = site.payer("IMPS");
    assert_eq!(pay(), 1);
    let sessions = "SELECT COUNT(*), bool_and(ssl), MIN(version) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'hundi'";
    let sessions = rows(&cluster.url("postgres"), sessions).remove(0).into_iter().map(Option::unwrap);
    let [count, all, least] = sessions.collect::<Vec<_>>().try_into().unwrap();
    println!("{count} sessions, {least} or newer");
    assert!(count.parse::<u32>().unwrap() >= 2 && all == "t" && least == "TLSv1.3", "{count} {all} {least}");
    // A certificate is looked at by each connection: the next one's may be renewed, or a stranger's.
    for (name, code) in [("renewed", 1), ("strange", 6), ("server", 1)] {
        made.shown_by(&cluster, name, NOW);
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'hundi'";
        execute(&cluster.url("postgres"), &[end]);
        until(&format!("a {code} with the certificate {name}"), CHANGES_WITHIN, || (pay() == code).then_some(()));
    }
    assert!(serve.stderr().contains("UnknownIssuer"), "{}", serve.stderr());
    until("the end of all payouts", CHANGES_WITHIN, || (site.metric("hundi_payouts_open{") == 0.0).then_some(()));
    site.verify();
}

/// What is tried: the certificate that the server shows, the file of authorities, the host, and words of the sentence.
type Case<'a> = (&'a str, Option<&'a str>, &'a str, &'a [&'a str]);

#[test]
fn a_server_that_does_not_prove_who_it_is_is_refused_clearly() {
    let made = Certificates(Folder::new());
    made.authority("authority");
    made.authority("stranger");
    made.signed("server", "authority", DAYS, &[HERE, LEAF]);
    made.signed("named", "authority", DAYS, &["subjectAltName=DNS:localhost", LEAF]);
    made.signed("nameless", "authority", DAYS, &[LEAF]);
    made.signed("elsewhere", "authority", DAYS, &["subjectAltName=DNS:db.example,IP:192.0.2.7", LEAF]);
    // It ends with the second in which it was made.
    made.signed("expired", "authority", 0, &[HERE, LEAF]);
    made.signed("client", "authority", DAYS, &[HERE, LEAF, "extendedKeyUsage=clientAuth"]);
    made.signed("by-a-leaf", "server", DAYS, &[HERE, LEAF]);
    let chain = ["by-a-leaf.pem", "server.pem"].map(|file| std::fs::read_to_string(made.path(file)).unwrap());
    std::fs::write(made.path("by-a-leaf.pem"), chain.concat()).unwrap();
    std::fs::write(made.path("empty.pem"), "").unwrap();
    std::fs::write(made.path("rot.pem"), "-----BEGIN CERTIFICATE-----\n~~~~\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(made.path("cut.pem"), &chain[1][..chain[1].len() / 2]).unwrap();
    let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(made.path("none.pem"), none).unwrap();
    let site = Site::new("0", "");
    let cluster = Cluster::start(&[]);
    let (authority, address) = (Some("authority.pem"), "127.0.0.1");
    let name: &[&str] = &["`database_url`", "not valid for", "write the host as"];
    let issuer: &[&str] = &["`database_url`", "UnknownIssuer", "`postgres.ca_file`"];
    let file: &[&str] = &["`postgres.ca_file`", "name a PEM file"];
    let versions: &[&str] = &["`database_url`", "ssl_max_protocol_version"];
    let cases: &[Case<'_>] = &[
        ("no TLS", authority, address, &["`database_url`", "server does not support TLS", "sslmode=disable"]),
        ("server", Some("stranger.pem"), address, issuer),
        ("server", None, address, issuer),
        ("named", authority, address, name),
        ("nameless", authority, address, name),
        ("elsewhere", authority, "localhost", name),
        ("expired", authority, address, &["`database_url`", "expired", "renew", "clock"]),
        ("client", authority, address, &["`database_url`", "extended key usage", "serverAuth"]),
        (
            "authority",
            authority,
            address,
            &["`database_url`", "CaUsedAsEndEntity", "one that the authority has signed"],
        ),
        ("by-a-leaf", authority, address, &["`database_url`", "EndEntityUsedAsCa", "has signed itself"]),
        ("old", authority, address, versions),
        ("server", Some("nowhere.pem"), address, file),
        ("server", Some("."), address, file),
        ("server", Some("server.key"), address, file),
        ("server", Some("empty.pem"), address, file),
        ("server", Some("rot.pem"), address, file),
        ("server", Some("cut.pem"), address, &["`postgres.ca_file`", "cut or damaged", "name a PEM file"]),
        ("server", Some("none.pem"), address, file),
    ];
    let mut shown = "no TLS";
    let tried = cases.iter().filter_map(|(certificate, ca_file, host, words)| {
        if shown != *certificate {
            match *certificate {
                "old" => made.shown_by(&cluster, "server", ["TLSv1", "TLSv1.1"]),
                other => made.shown_by(&cluster, other, NOW),
            }
            shown = certificate;
        }
        let port = cluster.address().port();
        let url = format!("postgres://hundi:{PASSWORD}@{host}:{port}/postgres?sslmode=require");
        let ca_file = ca_file.map(|file| made.path(file));
        let ran = try_url(&site, &url, ca_file.as_deref(), &["serve"]);
        println!("{certificate}: {}", ran.stderr);
        wrong(&format!("{certificate} {ca_file:?} {host}"), &ran, words)
    });
    let wrong: Vec<String> = tried.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
