//! What lies in an inbox and is not as it should be: files that say two things, that prove nothing, that change, that are too
//! large or strangely called.

use super::bank::Bank;
use super::{A_WHILE, all_of_two, beside, beside_iso, books_agree, csv, exceptions, iso, names, new_folder, status};
use hundi::admin;
use hundi::config::{self, Connector};
use hundi::connectors::files::share::{Directory, Doing, Folder as Where, Listing, Share, ShareHandle};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An answer that says of one payment two amounts, or two numbers of the bank: it may have executed it twice. Nothing is believed
/// of it, and a person is told; the others of the file are paid.
#[tokio::test(start_paused = true)]
async fn an_answer_that_says_two_things_of_a_payment_is_told() {
    for (format, amount) in [("enet", true), ("enet", false), ("pain", true), ("pain", false)] {
        let (folder, clock) = new_folder();
        let files = Bank::new(folder.path(), format);
        let options = match format {
            "pain" => Connector::Iso20022(Box::new(iso(folder.path(), "03"))),
            _ => Connector::BankCsv(Box::new(config::BankCsv { paid_at_once: true, ..csv(folder.path(), format) })),
        };
        let world = beside((folder, clock), vec![("bank", options)], false, |_| {}).await;
        for (order, account) in [("A", "501000120001"), ("B", "501000120002")] {
            world.pay_over("NEFT", order, 250, account).await;
        }
        world.pass(A_WHILE).await;
        files.take();
        let file = files.taken.lock().unwrap()[0].clone();
        let (name, genuine) = files.answer(&file);
        let (end, of_a) = (if format == "pain" { "</TxInfAndSts>" } else { "\r\n" }, "HDFCN26032600000");
        let said = genuine.split_inclusive(end).find(|row| row.contains(of_a)).unwrap();
        let said = &said[said.find("<TxInfAndSts>").unwrap_or(0)..];
        let other = if amount { said.replace("250.00", "2500.00") } else { said.replace(of_a, "HDFCN26032699999") };
        assert_ne!(said, other);
        files.put(&name, genuine.replace(said, &format!("{other}{said}")).as_bytes());
        world.pass(A_WHILE).await;
        assert_eq!(exceptions(&world).await, ["file_unreadable"], "{format} {amount}");
        assert_eq!(names(world.folder.path(), "bad").len(), 1, "{format} {amount}");
        let first = &file.batches[0].1[0].account;
        let mut ended = all_of_two(&world).await;
        if first == "501000120002" {
            ended.reverse();
        }
        assert_eq!(ended, ["Pending", "Success"], "{format} {amount}");
    }
}

/// A file that is called as an answer and speaks of no payment of ours proves nothing: what was not written yet is written.
#[tokio::test(start_paused = true)]
async fn an_answer_that_speaks_of_no_row_proves_nothing() {
    for (said, why, strange) in [
        ("ZZZZZZZZZZZZZZZ,X,1,HDFC0000001,10,250.00,20261122,B1,E,\r\n", "it speaks of 1 payments that are not", true),
        ("", "it has no rows", false),
        ("\r\n", "it has no rows", false),
        ("x\r\n", "line 1: the line has fewer fields", false),
        (&"x\n".repeat(60_000), "it has more than 50000 lines", false),
    ] {
        let (folder, clock) = new_folder();
        let files = Bank::new(folder.path(), "enet");
        let options =
            Connector::BankCsv(Box::new(config::BankCsv { paid_at_once: true, ..csv(folder.path(), "enet") }));
        let world = beside((folder, clock), vec![("bank", options)], false, |_| {}).await;
        // Nothing can be written there.
        std::fs::write(files.outbox.join("ACME2211.001"), "somebody else's").unwrap();
        world.pay_over("NEFT", "A", 250, "501000120001").await;
        world.pass(A_WHILE).await;
        files.put("ACME2211.r001", said.as_bytes());
        world.pass(A_WHILE).await;
        let listed = admin::exception_list(&world.app).await.unwrap();
        let detail = |kind: &str| {
            let one = listed.as_array().unwrap().iter().find(|one| one["kind"] == kind)?;
            Some(one["detail"].as_str().unwrap().to_owned())
        };
        assert!(detail("file_unreadable").unwrap().starts_with(why), "{said}: {listed:#}");
        assert_eq!(detail("unknown_reference").is_some(), strange, "{said}: {listed:#}");
        assert_eq!(world.number("SELECT state FROM bank_files").await, 2, "{said}");
        std::fs::remove_file(files.outbox.join("ACME2211.001")).unwrap();
        world.pass(A_WHILE).await;
        files.take_and_answer();
        world.pass(A_WHILE).await;
        assert_eq!(status(&world, "A").await, "Success", "{said}");
        books_agree(&world, &files).await;
    }
}

/// Folders in which a bank goes on with a file at the moment at which it is moved.
#[derive(Debug)]
struct Meddled {
    inner: Directory,
    /// The file, and what it holds then.
    then: Mutex<Option<(PathBuf, String)>>,
}

impl Meddled {
    fn new(root: &Path, then: Option<(PathBuf, String)>) -> Arc<Meddled> {
        let inner = Directory::new(["out", "in", "archive", "bad"].map(|name| root.join(name)));
        Arc::new(Meddled { inner, then: Mutex::new(then) })
    }
}

impl Share for Meddled {
    fn list(&self, folder: Where) -> Doing<'_, Listing> {
        self.inner.list(folder)
    }

    fn open(&self, folder: Where, name: &str) -> Doing<'_, File> {
        self.inner.open(folder, name)
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Doing<'_, ()> {
        self.inner.put(name, bytes)
    }

    fn rename(&self, from: (Where, &str), to: (Where, &str)) -> Doing<'_, ()> {
        if from.0 == Where::Inbox
            && let Some((path, text)) = self.then.lock().unwrap().take()
        {
            std::fs::write(path, text).unwrap();
        }
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Doing<'_, ()> {
        self.inner.remove(name)
    }
}

const HEAD: &str = "Date,Narration,Chq./Ref.No.,Value Dt,Withdrawal Amt.,Deposit Amt.,Closing Balance\n";
const ONE: &str = "22/11/26,NEFT CR-A,HDFCN52026112200000001,22/11/26,,100.00,1100.00\n";
const TWO: &str = "22/11/26,NEFT CR-B,HDFCN52026112200000002,22/11/26,,2000.00,3100.00\n";

/// A bank that stops at a line's end, long enough for its file to be read, and goes on before it is moved, or after; or that puts
/// another file into its place. Every row is read, and each file is in the archive.
#[tokio::test(start_paused = true)]
async fn what_is_moved_is_what_was_read() {
    let longer = format!("{HEAD}{ONE}{TWO}");
    for (case, then) in
        [("goes on", Some(longer.clone())), ("another", Some(format!("{HEAD}{TWO}"))), ("goes on later", None)]
    {
        let (folder, clock) = new_folder();
        let files = Bank::new(folder.path(), "pain");
        let mut options = iso(folder.path(), "03");
        let then = then.map(|text| (files.inbox.join("day.csv"), text));
        options.exchange.share = Some(ShareHandle(Meddled::new(folder.path(), then)));
        let options = vec![("bank", Connector::Iso20022(Box::new(options)))];
        let world = beside((folder, clock), options, false, |_| {}).await;
        let moved = || names(world.folder.path(), "archive");
        files.put("day.csv", format!("{HEAD}{ONE}").as_bytes());
        world.pass(Duration::from_secs(20)).await;
        if case == "goes on later" {
            // As one does who has it open.
            std::fs::write(world.folder.path().join("archive").join(&moved()[0]), &longer).unwrap();
        }
        world.pass(A_WHILE).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM statement_lines").await, 2, "{case}");
        assert_eq!((names(world.folder.path(), "in").len(), moved().len()), (0, 1), "{case}");
        assert!(!exceptions(&world).await.contains(&"file_unreadable".to_owned()), "{case}");
        world.verify().await;
    }
}

/// A name that cannot be said: the file lies there unread, and a person is told so once.
#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_read_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let (world, files) = beside_iso("03").await;
    std::fs::write(files.inbox.join(std::ffi::OsStr::from_bytes(b"day\xff.csv")), HEAD).unwrap();
    world.pass(A_WHILE).await;
    let listed = admin::exception_list(&world.app).await.unwrap();
    let told: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["detail"].as_str().unwrap()).collect();
    assert_eq!(told, ["1 files have names that cannot be read; have the bank rename them"]);
}

/// What is larger than any statement is not even opened.
#[tokio::test(start_paused = true)]
async fn a_file_of_any_size_is_not_fetched() {
    let (world, files) = beside_iso("03").await;
    File::create(files.inbox.join("day.csv")).unwrap().set_len(2 * 1_024 * 1_024 * 1_024 + 1).unwrap();
    world.pass(A_WHILE).await;
    let listed = admin::exception_list(&world.app).await.unwrap();
    let told: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["detail"].as_str().unwrap()).collect();
    assert_eq!(told, ["it is larger than 2147483648 bytes; ask the bank for several smaller ones"]);
    assert_eq!((names(world.folder.path(), "in").len(), names(world.folder.path(), "bad").len()), (0, 1));
}

/// A file that cannot be moved, and one whose name has no room for more: what is given to the bank does not wait for them.
#[tokio::test(start_paused = true)]
async fn what_a_bank_has_left_holds_up_nothing() {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "pain");
    let mut options = iso(folder.path(), "03");
    options.exchange.look_every_s = 600;
    let options = vec![("bank", Connector::Iso20022(Box::new(options)))];
    let world = beside((folder, clock), options, false, |_| {}).await;
    let long = format!("{}.bin", "\u{e9}".repeat(120));
    files.put(&long, b"noise");
    std::fs::remove_dir(world.folder.path().join("bad")).unwrap();
    world.pass(Duration::from_secs(700)).await;
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(names(world.folder.path(), "out").len(), 1);
    std::fs::create_dir(world.folder.path().join("bad")).unwrap();
    world.pass(Duration::from_secs(1_300)).await;
    let bad = names(world.folder.path(), "bad");
    assert_eq!((names(world.folder.path(), "in").len(), bad.len()), (0, 1));
    assert!(bad[0].ends_with(&"\u{e9}".repeat(100)), "{bad:?}");
}
