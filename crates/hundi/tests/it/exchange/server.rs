//! The same over SFTP, against OpenSSH's server on this machine (`./check` installs it): its key is pinned, ours is a file.

use super::bank::Bank;
use super::{beside, iso, names, new_folder, status};
use hundi::config::{self, Connector};
use hundi::connectors::admin as connectors_admin;
use hundi::connectors::files::sftp::Server;
use hundi::connectors::files::share::{Folder as Where, Share};
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// OpenSSH's server with a key and a user of its own, on a free port.
struct Sshd {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Sshd {
    fn start(folder: &Path) -> Sshd {
        let folder = folder.join("ssh");
        std::fs::create_dir_all(&folder).unwrap();
        for key in ["host", "user", "other"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", folder.join(key).to_str().unwrap()]);
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let known = |key: &str| {
            let public = std::fs::read_to_string(folder.join(key).with_extension("pub")).unwrap();
            let key: Vec<&str> = public.split(' ').take(2).collect();
            format!("[127.0.0.1]:{port} {}\n", key.join(" "))
        };
        std::fs::write(folder.join("known"), known("host")).unwrap();
        std::fs::write(folder.join("unknown"), known("other")).unwrap();
        std::fs::copy(folder.join("user.pub"), folder.join("authorized")).unwrap();
        let options = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nSubsystem sftp internal-sftp\n",
            folder.display()
        );
        std::fs::write(folder.join("options"), options).unwrap();
        // Where Debian's server, started by root, wants an empty folder.
        drop(std::fs::create_dir_all("/run/sshd"));
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", folder.join("options").to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .expect("OpenSSH's server is missing; ./check installs it (openssh-server)");
        Sshd { child, port, folder }
    }

    fn options(&self, known: &str, key: &str) -> config::Sftp {
        config::Sftp {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: run("id", &["-un"]),
            key_file: self.folder.join(key),
            known_hosts_file: self.folder.join(known),
            within_s: 20,
        }
    }
}

fn folders(root: &Path) -> [PathBuf; 4] {
    ["out", "in", "archive", "bad"].map(|name| root.join(name))
}

#[tokio::test]
async fn a_payout_goes_through_a_server() {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "pain");
    let sshd = Sshd::start(folder.path());
    let share = Server::new("bank", &sshd.options("known", "user"), folders(folder.path())).unwrap();
    let mut waited = 0;
    while let Err(error) = share.list(Where::Inbox).await {
        waited += 1;
        assert!(waited < 50, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut options = iso(folder.path(), "03");
    options.exchange.sftp = Some(sshd.options("known", "user"));
    (options.exchange.close_after_s, options.exchange.look_every_s) = (1, 1);
    let options = Connector::Iso20022(Box::new(options));
    let world = beside((folder.clone(), clock), vec![("bank", options)], false, |_| {}).await;
    assert_eq!(connectors_admin::test(&world.app, "bank").await.unwrap()["reached"], true);
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    for _ in 0..300 {
        files.take_and_answer();
        if status(&world, "A").await == "Success" {
            break;
        }
        world.pass(Duration::from_millis(200)).await;
    }
    assert_eq!(status(&world, "A").await, "Success");
    for _ in 0..100 {
        if names(folder.path(), "archive").len() == 1 {
            break;
        }
        world.pass(Duration::from_millis(200)).await;
    }
    assert_eq!((names(folder.path(), "archive").len(), files.book().len()), (1, 1));
    super::books_agree(&world, &files).await;
}

#[tokio::test]
async fn a_server_is_known_by_its_key_and_keeps_what_is_there() {
    let (folder, _clock) = new_folder();
    let bank = Bank::new(folder.path(), "pain");
    let sshd = Sshd::start(folder.path());
    let server = |known, key| Server::new("bank", &sshd.options(known, key), folders(folder.path())).unwrap();
    let share = server("known", "user");
    let mut waited = 0;
    while let Err(error) = share.list(Where::Inbox).await {
        waited += 1;
        assert!(waited < 50, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let error = server("unknown", "user").list(Where::Inbox).await.unwrap_err();
    assert!(error.0.contains("Host key verification failed"), "{error}");
    let error = server("known", "other").list(Where::Inbox).await.unwrap_err();
    assert!(error.0.contains("Permission denied"), "{error}");
    share.put(".a.1.part", b"one".to_vec()).await.unwrap();
    share.put(".a.1.part", b"two".to_vec()).await.unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(bank.outbox.join(".a.1.part")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(bank.outbox.join("a"), "theirs").unwrap();
    let taken = share.rename((Where::Outbox, ".a.1.part"), (Where::Outbox, "a")).await.unwrap_err();
    assert!(taken.0.contains("already"), "{taken}");
    share.rename((Where::Outbox, ".a.1.part"), (Where::Outbox, "b c.xml")).await.unwrap();
    let listed = share.list(Where::Outbox).await.unwrap();
    let listed: Vec<_> = listed.files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
    assert_eq!(listed, [("a", 6), ("b c.xml", 3)]);
    let mut text = String::new();
    share.open(Where::Outbox, "b c.xml").await.unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "two");
    assert!(share.open(Where::Outbox, "no.xml").await.is_err());
    assert!(share.put("../x", b"x".to_vec()).await.is_err());
    share.remove("b c.xml").await.unwrap();
    share.remove("b c.xml").await.unwrap();
    assert_eq!(names(folder.path(), "out"), ["a"]);
    // Names of a bank's making: each is listed, read, and moved as it is.
    let strange = ["'(1)#", "ACME 2211#1.r001", "MIS(1).csv", "a*b?[c]\".csv", "a:b&c|d<e>`f", "~!%$;^{}.csv"];
    for name in strange.into_iter().chain(["\u{e9}.csv", "a\\b.csv", "end "]) {
        std::fs::write(bank.inbox.join(name), name).unwrap();
    }
    let listing = share.list(Where::Inbox).await.unwrap();
    assert_eq!(listing.files.iter().map(|file| &*file.name).collect::<Vec<_>>(), strange);
    assert_eq!(listing.unnamed, 3, "{listing:?}");
    for name in strange {
        let mut text = String::new();
        share.open(Where::Inbox, name).await.unwrap().read_to_string(&mut text).unwrap();
        share.rename((Where::Inbox, name), (Where::Archive, name)).await.unwrap();
        assert_eq!(text, name);
    }
    assert_eq!(names(folder.path(), "archive"), strange);
    drop(sshd);
    assert!(share.list(Where::Inbox).await.is_err());
}
