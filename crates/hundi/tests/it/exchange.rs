//! Files between Hundi and its banks: what each word of an answer comes to, and that a row is executed once wherever the
//! upload, the answer or Hundi itself is cut.

mod bank;
mod inbox;
mod server;

use super::support::{Folder, START, World, bank, operator};
use crate::score::score;
use bank::{Bank, Fate, Taken};
use hundi::admin::{self, MerchantChanges};
use hundi::clock::Clock;
use hundi::config::{self, AccountText, Config, Connector};
use hundi::connectors::admin as connectors_admin;
use hundi::connectors::files::share::{Directory, Doing, Folder as Where, Listing, Share, ShareHandle};
use hundi_bank::Faults;
use hundi_core::money::Balance;
use hundi_core::schedule::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Long enough for a file to be closed, taken and answered.
const A_WHILE: Duration = Duration::from_secs(120);

/// Where an exchange is cut: before one of the things that are done in the folders, after it, or in the midst of what it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cut {
    Before(usize),
    After(usize),
    Within(usize, usize),
}

/// Folders in which everything stops at a cut, as if the machine had: whoever waits there waits for ever.
#[derive(Debug)]
struct Cuttable {
    inner: Directory,
    done: AtomicUsize,
    cut: Mutex<Option<Cut>>,
    /// What was put, in bytes, by the number of what was done.
    put: Mutex<BTreeMap<usize, usize>>,
    reached: AtomicBool,
}

impl Cuttable {
    fn new(root: &Path, cut: Option<Cut>) -> Arc<Cuttable> {
        let inner = Directory::new(["out", "in", "archive", "bad"].map(|name| root.join(name)));
        let (done, cut, put) = (AtomicUsize::new(0), Mutex::new(cut), Mutex::default());
        Arc::new(Cuttable { inner, done, cut, put, reached: AtomicBool::new(false) })
    }

    async fn stop(&self) {
        self.reached.store(true, Ordering::SeqCst);
        std::future::pending().await
    }

    fn doing<'a, T: Send + 'a>(&'a self, work: Doing<'a, T>) -> Doing<'a, T> {
        let nth = self.done.fetch_add(1, Ordering::SeqCst);
        let cut = *self.cut.lock().unwrap();
        Box::pin(async move {
            if cut == Some(Cut::Before(nth)) {
                self.stop().await;
            }
            let done = work.await;
            if cut == Some(Cut::After(nth)) {
                self.stop().await;
            }
            done
        })
    }
}

impl Share for Cuttable {
    fn list(&self, folder: Where) -> Doing<'_, Listing> {
        self.doing(self.inner.list(folder))
    }

    fn open(&self, folder: Where, name: &str) -> Doing<'_, File> {
        self.doing(self.inner.open(folder, name))
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Doing<'_, ()> {
        let nth = self.done.load(Ordering::SeqCst);
        self.put.lock().unwrap().insert(nth, bytes.len());
        let Some(Cut::Within(cut, at)) = *self.cut.lock().unwrap() else {
            return self.doing(self.inner.put(name, bytes));
        };
        if cut != nth {
            return self.doing(self.inner.put(name, bytes));
        }
        let some = self.inner.put(name, bytes[..at].to_vec());
        Box::pin(async move {
            some.await.unwrap();
            self.stop().await;
            Ok(())
        })
    }

    fn rename(&self, from: (Where, &str), to: (Where, &str)) -> Doing<'_, ()> {
        self.doing(self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> Doing<'_, ()> {
        self.doing(self.inner.remove(name))
    }
}

fn exchange(root: &Path) -> config::Exchange {
    let folder = |name| root.join(name);
    config::Exchange {
        outbox: folder("out"),
        inbox: folder("in"),
        archive: folder("archive"),
        bad: folder("bad"),
        sftp: None,
        rows_max: 1_000,
        close_after_s: 5,
        cut_off_s: 0,
        look_every_s: 5,
        whole_within_s: 60,
        share: None,
    }
}

fn iso(root: &Path, version: &str) -> config::Iso20022 {
    config::Iso20022 {
        version: version.to_owned(),
        debtor_name: "ACME PAYMENTS".to_owned(),
        account_number: AccountText("50100099999999".to_owned()),
        ifsc: "HDFC0000001".to_owned(),
        service_levels: [("NEFT".to_owned(), "NURG".to_owned()), ("RTGS".to_owned(), "prtry:BIG".to_owned())].into(),
        local_instruments: BTreeMap::new(),
        charge_bearer: Some("DEBT".to_owned()),
        batch_booking: false,
        names_clearing: true,
        exchange: exchange(root),
    }
}

fn csv(root: &Path, format: &str) -> config::BankCsv {
    config::BankCsv {
        format: format.to_owned(),
        client_code: "ACME".to_owned(),
        account_type: Some("10".to_owned()),
        names_bank: Some(true),
        email: String::new(),
        within_bank: Some(true),
        beneficiaries_file: None,
        paid_at_once: false,
        account_number: Some(AccountText("50100099999999".to_owned())),
        ifsc: Some("UBIN0556688".to_owned()),
        separator: None,
        answers: None,
        exchange: exchange(root),
    }
}

/// Where the answers of a bank say what, as its sample shows.
fn mapped(format: &str) -> Option<Box<config::Answers>> {
    let (header, columns) = match format {
        "enet-vendor" => (None, [14, 29, 30, 31, 4].map(config::Column::Nth)),
        _ => (Some(bank::ICICI_ANSWER), bank::ICICI_COLUMNS.map(|name| config::Column::Named(name.to_owned()))),
    };
    let [reference, bank_reference, status, reason, amount] = columns;
    let words = |words: [&str; 2]| words.map(str::to_owned).to_vec();
    Some(Box::new(config::Answers {
        separator: if header.is_some() { '~' } else { ',' },
        fields: header.is_none().then_some(31),
        header: header.map(str::to_owned),
        reference,
        bank_reference,
        status,
        reason,
        amount: Some(amount),
        executed: words(["E", "SUC"]),
        rejected: words(["R", "FAL"]),
    }))
}

/// Hundi beside these banks; the sandbox bank comes last if it is asked for. On a folder that has a past, nothing is made.
async fn beside(
    (folder, clock): (Arc<Folder>, Clock),
    connectors: Vec<(&str, Connector)>,
    sandbox: bool,
    configure: impl FnOnce(&mut Config),
) -> World {
    let new = !folder.path().join("started").exists();
    std::fs::write(folder.path().join("started"), "").unwrap();
    let names: Vec<String> = connectors.iter().map(|(name, _)| (*name).to_owned()).collect();
    let configure = |config: &mut Config| {
        let mut order = names.clone();
        config.connectors = names.iter().cloned().zip(connectors.into_iter().map(|(_, options)| options)).collect();
        if sandbox {
            order.push("sandbox".to_owned());
        } else {
            config.sandbox = None;
        }
        config.connector_order = Some(order);
        config.worker.queue_within_s = 30 * 86_400;
        configure(config);
    };
    let mut world = World::start(folder, bank(Faults::default(), 1), clock, configure).await;
    if new {
        admin::merchant_add(&world.app, "demo", "*:5.00", &operator()).await.unwrap();
        admin::fund(&world.app, "demo", "10000000.00", "OPENING", &names[0], &operator()).await.unwrap();
        let callback_url = Some("http://merchant.test/cb".to_owned());
        let changes = MerchantChanges { callback_url, ..MerchantChanges::default() };
        admin::merchant_set(&world.app, "demo", changes, &operator()).await.unwrap();
    }
    world.token = world.new_token("demo", "127.0.0.1").await;
    world
}

fn new_folder() -> (Arc<Folder>, Clock) {
    (Arc::new(Folder::new()), Clock::held(START))
}

/// Hundi beside one bank that is given pain.001, and that bank.
async fn beside_iso(version: &str) -> (World, Bank) {
    let (folder, clock) = new_folder();
    let (root, files) = (folder.path().to_owned(), Bank::new(folder.path(), "pain"));
    let options = Connector::Iso20022(Box::new(iso(&root, version)));
    (beside((folder, clock), vec![("bank", options)], false, |_| {}).await, files)
}

async fn status(world: &World, order: &str) -> String {
    world.status(order).await.json()["Data"]["Status"].as_str().unwrap().to_owned()
}

async fn exceptions(world: &World) -> Vec<String> {
    let listed = admin::exception_list(&world.app).await.unwrap();
    listed.as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect()
}

fn names(root: &Path, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root.join(folder)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What we call paid is what the bank has paid, and no row was given to it twice.
async fn books_agree(world: &World, bank: &Bank) {
    let given = bank.given();
    let twice: Vec<_> = given.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "executed more than once: {twice:?}");
    let theirs: i64 = bank.book().iter().filter(|entry| entry.fate == Fate::Paid).map(|entry| entry.paise).sum();
    let ours =
        "SELECT COALESCE(CAST(SUM(amount_paise) AS BIGINT), 0) FROM payouts WHERE state = 4 AND connector <> 'sandbox'";
    assert_eq!(world.number(ours).await, theirs);
    world.verify().await;
}

/// Every rail of both versions, and every kind of word: what becomes of each, what the merchant hears, and what is left of his
/// money.
#[tokio::test(start_paused = true)]
async fn every_word_of_a_report_ends_as_its_row_says() {
    for version in ["03", "09"] {
        let (world, files) = beside_iso(version).await;
        let rows = [
            ("IMPS", 100, "501000120001", "Success", "Paid"),
            ("NEFT", 100, "501000120002", "Success", "Paid"),
            ("RTGS", 200_000, "501000120003", "Success", "Paid"),
            ("NEFT", 100, "501000120333", "Pending", "Accepted"),
            ("NEFT", 100, "501000120444", "Failure", "Wrong"),
            // Another connector might try; there is none.
            ("NEFT", 100, "501000120555", "Failure", "NoMoney"),
            ("NEFT", 100, "501000120666", "Pending", "Duplicate"),
            ("NEFT", 100, "501000120777", "Pending", "Narrated"),
            // It is not named in a report that names others: accepted (PART).
            ("NEFT", 100, "501000120999", "Pending", "Unsaid"),
        ];
        for (nth, (rail, rupees, account, ..)) in rows.iter().enumerate() {
            let answer = world.pay_over(rail, &format!("A{nth}"), *rupees, account).await;
            assert_eq!(answer.code(), 2, "{}", answer.body);
        }
        world.pass(A_WHILE).await;
        assert_eq!(names(world.folder.path(), "out").len(), 1, "one file");
        files.take_and_answer();
        world.pass(A_WHILE).await;
        for (nth, (rail, rupees, account, ended, fate)) in rows.iter().enumerate() {
            assert_eq!(status(&world, &format!("A{nth}")).await, *ended, "{rail} {account}");
            let book = files.book();
            let entry = book.iter().find(|entry| entry.account == *account).unwrap();
            assert_eq!((&*entry.rail, entry.paise), (*rail, rupees * 100), "{account}");
            assert_eq!(format!("{:?}", entry.fate), *fate);
        }
        let paid = "SELECT COUNT(*) FROM payouts WHERE rrn LIKE 'HDFCN260326%' AND state = 4";
        assert_eq!(world.number(paid).await, 3);
        // Accepted is more than silence: the payout is the bank's.
        assert_eq!(world.number("SELECT COUNT(*) FROM payouts WHERE state = 3").await, 2);
        assert_eq!((names(world.folder.path(), "in").len(), names(world.folder.path(), "archive").len()), (0, 1));
        books_agree(&world, &files).await;
        // The statement says the rest: what was a duplicate or had a reason in words is found paid or is not there.
        let listed = connectors_admin::files(&world.app, "bank").await.unwrap();
        let file = &listed.as_array().unwrap()[0];
        assert_eq!((&file["state"], &file["payments"]), (&json!("uploaded"), &json!(9)), "{listed:#}");
        assert_eq!(file["sum"], "200800.00");
        assert_eq!(exceptions(&world).await, [""; 0]);
    }
}

/// A statement in the inbox pays what the report has not, and gives back what came back.
#[tokio::test(start_paused = true)]
async fn statements_in_the_inbox_are_compared() {
    let (world, files) = beside_iso("03").await;
    for (order, account) in [("A", "501000120001"), ("B", "501000120002")] {
        world.pay_over("NEFT", order, 100, account).await;
    }
    world.pass(A_WHILE).await;
    files.take();
    let book = files.book();
    let of_b = book.iter().find(|entry| entry.account == "501000120002").unwrap();
    let statement = files.statement(&[&of_b.reference]);
    for cut in [300, statement.len() / 2, statement.len() - 20, statement.len() - 1] {
        files.put("day.xml", &statement.as_bytes()[..cut]);
        world.pass(Duration::from_secs(20)).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM payouts WHERE state <> 2").await, 0, "cut at {cut}");
    }
    files.put("day.xml", statement.as_bytes());
    world.pass(A_WHILE).await;
    assert_eq!((status(&world, "A").await, status(&world, "B").await), ("Success".to_owned(), "Reversal".to_owned()));
    assert_eq!(exceptions(&world).await, ["reversal_unannounced"]);
    assert_eq!((names(world.folder.path(), "in").len(), names(world.folder.path(), "archive").len()), (0, 1));
    // The same again, under another name.
    files.put("again.xml", statement.as_bytes());
    world.pass(A_WHILE).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM statement_lines").await, 3);
    assert_eq!((names(world.folder.path(), "in").len(), names(world.folder.path(), "archive").len()), (0, 2));
    world.verify().await;
}

/// Banks without ISO 20022: what their answers say, and what only the statement says.
#[tokio::test(start_paused = true)]
async fn every_word_of_a_reverse_file_ends_as_its_row_says() {
    for (format, answered, at_once) in [
        ("enet", true, false),
        ("enet", true, true),
        ("enet-vendor", true, false),
        ("enet-vendor", true, true),
        ("enet-vendor", false, false),
        ("icici", true, false),
        ("icici", true, true),
        ("icici", false, false),
        ("union", false, false),
    ] {
        let (folder, clock) = new_folder();
        let files = Bank::new(folder.path(), format);
        let answers = mapped(format).filter(|_| answered && format != "enet");
        let options = config::BankCsv { paid_at_once: at_once, answers, ..csv(folder.path(), format) };
        let options = Connector::BankCsv(Box::new(options));
        let world = beside((folder, clock), vec![("bank", options)], false, |_| {}).await;
        let mut rows = vec![
            ("NEFT", 100, "501000120001", if at_once { "Success" } else { "Pending" }, "Success"),
            ("RTGS", 200_000, "501000120003", if at_once { "Success" } else { "Pending" }, "Success"),
            ("NEFT", 100, "501000120444", if answered { "Failure" } else { "Pending" }, "-"),
            ("NEFT", 100, "501000120555", if answered { "Failure" } else { "Pending" }, "-"),
            ("NEFT", 100, "501000120666", "Pending", "Pending"),
            ("NEFT", 100, "501000120999", "Pending", "Pending"),
        ];
        if format == "icici" {
            rows.push(("IMPS", 100, "501000120004", rows[0].3, "Success"));
        }
        for (nth, (rail, rupees, account, ..)) in rows.iter().enumerate() {
            world.pay_over(rail, &format!("A{nth}"), *rupees, account).await;
        }
        world.pass(A_WHILE).await;
        if answered {
            files.take_and_answer();
        } else {
            files.take();
        }
        world.pass(A_WHILE).await;
        for (nth, (.., account, first, _)) in rows.iter().enumerate() {
            assert_eq!(status(&world, &format!("A{nth}")).await, *first, "{format} {account}");
        }
        files.put("day.xml", files.statement(&[]).as_bytes());
        world.pass(A_WHILE).await;
        for (nth, (.., account, first, last)) in rows.iter().enumerate() {
            let last = if *last == "-" { first } else { last };
            assert_eq!(status(&world, &format!("A{nth}")).await, *last, "{format} {account}");
        }
        assert_eq!(names(world.folder.path(), "bad"), [""; 0], "{format}");
        assert_eq!(exceptions(&world).await, [""; 0]);
        for entry in files.book() {
            let (rail, rupees, ..) = rows.iter().find(|row| row.2 == entry.account).unwrap();
            assert_eq!(entry.paise, rupees * 100, "{format} {entry:?}");
            assert!(entry.rail == *rail || format == "enet", "{format} {entry:?}");
        }
        books_agree(&world, &files).await;
    }
}

/// ICICI Bank pays whom it has registered by his number, and nobody else: another connector pays those.
#[tokio::test(start_paused = true)]
async fn who_is_registered_is_paid_by_his_number() {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "icici");
    let list = folder.path().join("beneficiaries.csv");
    std::fs::write(&list, "1000120001,HDFC0000001,501000120001\n1000120002,HDFC0000001,501000120002\n").unwrap();
    let options = config::BankCsv {
        paid_at_once: true,
        answers: mapped("icici"),
        beneficiaries_file: Some(list),
        ..csv(folder.path(), "icici")
    };
    let options = Connector::BankCsv(Box::new(options));
    let world = beside((folder, clock), vec![("bank", options)], true, |_| {}).await;
    for (order, rail, account) in
        [("A", "NEFT", "501000120001"), ("B", "IMPS", "501000120002"), ("C", "NEFT", "501000120003")]
    {
        world.pay_over(rail, order, 100, account).await;
    }
    world.pass(A_WHILE).await;
    files.take_and_answer();
    world.pass(Duration::from_secs(3_600)).await;
    for (order, by_files) in [("A", 1), ("B", 1), ("C", 0)] {
        let by = format!("SELECT COUNT(*) FROM payouts WHERE order_id = '{order}' AND connector = 'bank'");
        assert_eq!((status(&world, order).await.as_str(), world.number(&by).await), ("Success", by_files), "{order}");
    }
    let mut paid: Vec<_> = files.book().into_iter().map(|entry| format!("{} {}", entry.account, entry.rail)).collect();
    paid.sort();
    assert_eq!(paid, ["501000120001 NEFT", "501000120002 IMPS"]);
    books_agree(&world, &files).await;
}

/// A mapped answer that nobody can tell to be ours pays nothing: another header, rows that have shifted, and rows of nobody.
#[tokio::test(start_paused = true)]
async fn a_mapped_answer_that_is_not_as_the_sample_is_not_believed() {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "icici");
    let options = config::BankCsv { paid_at_once: true, answers: mapped("icici"), ..csv(folder.path(), "icici") };
    let options = Connector::BankCsv(Box::new(options));
    let world = beside((folder, clock), vec![("bank", options)], false, |_| {}).await;
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    world.pay_over("IMPS", "B", 100, "501000120444").await;
    world.pass(A_WHILE).await;
    files.take();
    let file = files.taken.lock().unwrap()[0].clone();
    let (_, genuine) = files.answer(&file);
    let mut strangers = genuine.clone();
    for entry in files.book() {
        // Another installation's mark than ours, whatever ours is.
        let first = if entry.reference.starts_with('Z') { 'Y' } else { 'Z' };
        strangers = strangers.replace(&entry.reference, &format!("{first}{}", &entry.reference[1..]));
    }
    let wrong = [
        genuine.replace("Host Reference Number", "Host Ref"),
        genuine.replace('~', "~~").replacen(&bank::ICICI_ANSWER.replace('~', "~~"), bank::ICICI_ANSWER, 1),
        genuine.replace("SUC", "PEN").replace("FAL", "PEN"),
        strangers,
    ];
    for (nth, text) in wrong.iter().enumerate() {
        files.put(&format!("answer{nth}.txt"), text.as_bytes());
        world.pass(A_WHILE).await;
        assert_eq!(all_of_two(&world).await, ["Pending", "Pending"], "{text}");
        assert_eq!(names(world.folder.path(), "bad").len(), nth + 1, "{text}");
    }
    files.put("answer.txt", genuine.as_bytes());
    world.pass(A_WHILE).await;
    assert_eq!(all_of_two(&world).await, ["Success", "Failure"]);
    let listed = connectors_admin::files(&world.app, "bank").await.unwrap();
    assert_eq!(listed[0]["state"], "uploaded");
    books_agree(&world, &files).await;
}

async fn all_of_two(world: &World) -> [String; 2] {
    [status(world, "A").await, status(world, "B").await]
}

/// What a file cannot carry is taken out of it before it is one, and another connector pays.
#[tokio::test(start_paused = true)]
async fn what_a_file_cannot_carry_another_connector_pays() {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "pain");
    let options = Connector::Iso20022(Box::new(iso(folder.path(), "03")));
    let world = beside((folder, clock), vec![("bank", options)], true, |_| {}).await;
    let body = |order: &str, field: &str, value: &str, mode: &str| {
        let mut body = json!({ "Token": world.token, "Amount": "100", "TransferMode": mode, "OrderID": order,
            "BeneficiaryName": "RUPESH KUMAR" });
        body[field] = json!(value);
        body.to_string()
    };
    world.post("/PayoutBankTransafer", &body("A", "UPIId", "ravi@okbank", "UPI")).await;
    world.post("/PayoutBankTransafer", &body("B", "BeneficiaryPhoneNo", "9876543210", "UPI")).await;
    world.pay_over("NEFT", "D", 100, "501000120001").await;
    world.pass(A_WHILE).await;
    files.take_and_answer();
    world.pass(A_WHILE).await;
    let by = async |order: &str| {
        world.number(&format!("SELECT COUNT(*) FROM payouts WHERE order_id = '{order}' AND connector = 'bank'")).await
    };
    for (order, ended, by_files) in [("A", "Success", 0), ("B", "Success", 0), ("D", "Success", 1)] {
        assert_eq!((status(&world, order).await.as_str(), by(order).await), (ended, by_files), "{order}");
    }
    assert_eq!(files.book().len(), 1);
    books_agree(&world, &files).await;
}

/// An account number that no file has room for, beside others: its row is left out, the payout fails and its money is back, and
/// the rest of the file goes.
#[tokio::test(start_paused = true)]
async fn a_row_that_no_file_has_room_for_fails_alone() {
    for format in ["pain", "enet", "union"] {
        let (folder, clock) = new_folder();
        let files = Bank::new(folder.path(), format);
        let options = if format == "pain" {
            Connector::Iso20022(Box::new(iso(folder.path(), "03")))
        } else {
            Connector::BankCsv(Box::new(csv(folder.path(), format)))
        };
        let world = beside((folder, clock), vec![("bank", options)], false, |_| {}).await;
        let long = "5010001200000000000000000000000000X";
        assert_eq!(long.len(), 35);
        for (order, account) in [("A", "501000120001"), ("LONG", long), ("B", "501000120002")] {
            world.pay_over("NEFT", order, 100, account).await;
        }
        world.pass(A_WHILE).await;
        assert_eq!(status(&world, "LONG").await, "Failure", "{format}");
        files.take();
        if format != "union" {
            answer_all(&files);
        }
        world.pass(A_WHILE).await;
        files.put("day.xml", files.statement(&[]).as_bytes());
        world.pass(A_WHILE).await;
        for (order, ended) in [("A", "Success"), ("LONG", "Failure"), ("B", "Success")] {
            assert_eq!(status(&world, order).await, ended, "{format} {order}");
        }
        let given: BTreeSet<String> = files.book().iter().map(|entry| entry.account.clone()).collect();
        assert_eq!(given.into_iter().collect::<Vec<_>>(), ["501000120001", "501000120002"], "{format}");
        assert_eq!(world.number("SELECT COUNT(*) FROM bank_file_rows WHERE file > 0").await, 2, "{format}");
        // Two were paid, with the fee and the tax on it; of the third nothing is kept.
        let left = "SELECT wallet_paise + reserved_paise FROM accounts WHERE merchant_id = 1";
        assert_eq!(world.number(left).await, 1_000_000_000 - 2 * 105_90, "{format}");
        assert_eq!(world.number("SELECT reserved_paise FROM accounts WHERE merchant_id = 1").await, 0, "{format}");
        assert_eq!(exceptions(&world).await, [""; 0], "{format}");
        books_agree(&world, &files).await;
    }
}

/// How the bank behaves while Hundi is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Takes {
    /// It takes a file as soon as it lies there, and answers soon.
    AtOnce,
    /// It takes files when Hundi is back.
    Later,
}

/// Two files, cut where it is told; Hundi is killed there, started again, and goes on. Gives back what was done in the folders
/// of the first run, and how large what was put there was.
async fn cut_run(cut: Option<Cut>, takes: Takes) -> (usize, BTreeMap<usize, usize>) {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "pain");
    let share = Cuttable::new(folder.path(), cut);
    let options = |share: Option<Arc<Cuttable>>| {
        let mut options = iso(folder.path(), "03");
        options.exchange.share = share.map(|share| ShareHandle(share));
        vec![("bank", Connector::Iso20022(Box::new(options)))]
    };
    let with_share = options(Some(Arc::clone(&share)));
    let world = beside((Arc::clone(&folder), clock), with_share, false, |_| {}).await;
    for nth in 0..2 {
        world.pay_over("NEFT", &format!("A{nth}"), 100, "501000120001").await;
    }
    let second = async |world: &World| world.pay_over("NEFT", "B", 100, "501000120001").await;
    let mut ordered = false;
    for at in 0..40 {
        world.pass(Duration::from_secs(1)).await;
        if takes == Takes::AtOnce {
            files.take();
        }
        if at == 10 && !share.reached.load(Ordering::SeqCst) {
            (_, ordered) = (second(&world).await, true);
        }
        if at == 25 && takes == Takes::AtOnce {
            answer_all(&files);
        }
        if share.reached.load(Ordering::SeqCst) {
            break;
        }
    }
    if takes == Takes::AtOnce {
        files.take();
    }
    let (done, put) = (share.done.load(Ordering::SeqCst), share.put.lock().unwrap().clone());
    assert!(cut.is_none() || share.reached.load(Ordering::SeqCst), "{cut:?} {takes:?} was not reached");
    let (folder, _, clock) = world.kill();
    // The lease of the process that was killed has to end.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let world = beside((folder.clone(), clock), options(None), false, |_| {}).await;
    if !ordered {
        second(&world).await;
    }
    for _ in 0..4 {
        world.pass(Duration::from_secs(20)).await;
        files.take();
        answer_all(&files);
    }
    world.pass(Duration::from_secs(20)).await;
    for order in ["A0", "A1", "B"] {
        assert_eq!(status(&world, order).await, "Success", "{cut:?} {takes:?} {order}");
    }
    assert_eq!(files.given().len(), 3, "{cut:?} {takes:?}");
    books_agree(&world, &files).await;
    assert_eq!(exceptions(&world).await, [""; 0], "{cut:?} {takes:?}");
    // Nothing of ours is left behind.
    assert_eq!((names(folder.path(), "out").len(), names(folder.path(), "in").len()), (0, 0), "{cut:?} {takes:?}");
    (done, put)
}

/// Answers every file that the bank has, whatever it has answered before.
fn answer_all(files: &Bank) {
    let taken: Vec<Taken> = files.taken.lock().unwrap().clone();
    for file in &taken {
        let (name, text) = files.answer(file);
        files.put(&name, text.as_bytes());
    }
}

/// Wherever an upload is cut: each row is executed once, and both books agree.
#[tokio::test(start_paused = true)]
async fn an_upload_is_cut() {
    let mut cuts = 0;
    for takes in [Takes::AtOnce, Takes::Later] {
        let (done, put) = cut_run(None, takes).await;
        assert!(put.len() >= 2, "{put:?}");
        // What is done in vain every few seconds is cut as often as it comes, up to the last file's archiving.
        for nth in 0..done.min(30) {
            for cut in [Cut::Before(nth), Cut::After(nth)] {
                cut_run(Some(cut), takes).await;
                cuts += 1;
            }
        }
        let steps = if super::ENGINE == crate::database::Engine::Sqlite { 50 } else { 2 };
        for (nth, bytes) in put {
            for step in 0..steps {
                cut_run(Some(Cut::Within(nth, bytes * step / steps)), takes).await;
                cuts += 1;
            }
        }
    }
    score(20, "cuts of an upload, each row executed once", cuts as u64);
    assert!(cuts >= 60, "{cuts}");
}

/// Wherever an answer is cut: nothing of it is believed until it is whole.
#[tokio::test(start_paused = true)]
async fn an_answer_is_cut() {
    let (world, files) = beside_iso("03").await;
    let accounts = ["501000120001", "501000120444", "501000120333", "501000120002", "501000120555", "501000120999"];
    for (nth, account) in accounts.iter().enumerate() {
        world.pay_over("NEFT", &format!("A{nth}"), 100, account).await;
    }
    world.pass(A_WHILE).await;
    files.take();
    let file = files.taken.lock().unwrap()[0].clone();
    let (name, text) = files.answer(&file);
    let bytes = text.as_bytes();
    let every = if super::ENGINE == crate::database::Engine::Sqlite { 5 } else { 150 };
    let mut cuts = 0;
    for cut in (0..bytes.len()).step_by(every).chain([bytes.len() - 1]) {
        files.put(&name, &bytes[..cut]);
        world.pass(Duration::from_secs(16)).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM payouts WHERE state <> 2").await, 0, "cut at {cut}");
        assert_eq!(names(world.folder.path(), "in"), [name.as_str()], "cut at {cut}");
        cuts += 1;
    }
    score(20, "cuts of an answer, each row recorded once", cuts as u64);
    assert!(cuts >= if every == 5 { 300 } else { 10 }, "{cuts}");
    files.put(&name, bytes);
    world.pass(A_WHILE).await;
    let ended = ["Success", "Failure", "Pending", "Success", "Failure", "Pending"];
    for (nth, ended) in ended.iter().enumerate() {
        assert_eq!(status(&world, &format!("A{nth}")).await, *ended);
    }
    assert_eq!(exceptions(&world).await, [""; 0]);
    assert_eq!(names(world.folder.path(), "in").len() + names(world.folder.path(), "bad").len(), 0);
    books_agree(&world, &files).await;
}

/// A reverse file that was cut: its rows are believed one by one when it does not become whole, and none of them wrongly.
#[tokio::test(start_paused = true)]
async fn a_reverse_file_is_cut() {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "enet");
    let options = config::BankCsv { paid_at_once: true, ..csv(folder.path(), "enet") };
    let options = Connector::BankCsv(Box::new(options));
    let world = beside((folder, clock), vec![("bank", options)], false, |_| {}).await;
    let rows = [
        ("501000120001", "Success"),
        ("501000120444", "Failure"),
        ("501000120666", "Pending"),
        ("501000120002", "Success"),
    ];
    for (nth, (account, _)) in rows.iter().enumerate() {
        world.pay_over("NEFT", &format!("A{nth}"), 100, account).await;
    }
    world.pass(A_WHILE).await;
    files.take();
    let file = files.taken.lock().unwrap()[0].clone();
    let (name, text) = files.answer(&file);
    let mut before = vec!["Pending".to_owned(); rows.len()];
    let every = if super::ENGINE == crate::database::Engine::Sqlite { 1 } else { 29 };
    for cut in (1..text.len()).step_by(every) {
        files.put(&name, &text.as_bytes()[..cut]);
        world.pass(Duration::from_secs(11)).await;
        // A line that ends is a line; one that does not may go on.
        let now = if text.as_bytes()[cut - 1] == b'\n' { before.clone() } else { all_of(&world, rows.len()).await };
        assert_eq!(now, before, "cut at {cut}, too early to believe it");
        world.pass(Duration::from_secs(80)).await;
        let now = all_of(&world, rows.len()).await;
        for ((status, before), (account, ended)) in now.iter().zip(&before).zip(&rows) {
            assert!(status == before || status == ended, "{account} is {status} at {cut}");
        }
        before = now;
        assert_eq!(names(world.folder.path(), "in").len(), 0, "cut at {cut}");
    }
    files.put(&name, text.as_bytes());
    world.pass(A_WHILE).await;
    assert_eq!(all_of(&world, rows.len()).await, rows.map(|(_, ended)| ended));
    assert!(!exceptions(&world).await.is_empty());
    books_agree(&world, &files).await;
}

async fn all_of(world: &World, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for nth in 0..count {
        all.push(status(world, &format!("A{nth}")).await);
    }
    all
}

/// What cannot be used is told, kept in `bad`, and changes nothing.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_used_is_kept_and_told() {
    let (world, files) = beside_iso("03").await;
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    world.pay_over("NEFT", "B", 100, "501000120002").await;
    world.pass(A_WHILE).await;
    files.take();
    let file = files.taken.lock().unwrap()[0].clone();
    let (_, genuine) = files.answer(&file);
    let unknown = genuine.replace(&file.message_id, "H000099-0123456789abcdef");
    let of_a = file.batches[0].1.iter().find(|entry| entry.account.ends_with("0001")).unwrap().reference.clone();
    // Well formed, and of nobody here.
    let stranger = genuine.replace(&of_a, "ZZZZZZZZZZZZZZZ");
    for (name, text) in [
        ("noise.xml", "<html>maintenance</html>".to_owned()),
        ("noise.bin", "\u{0}\u{1}PK".repeat(900)),
        ("unknown.xml", unknown),
    ] {
        files.put(name, text.as_bytes());
    }
    world.pass(A_WHILE).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM payouts WHERE state <> 2").await, 0);
    assert_eq!(names(world.folder.path(), "bad").len(), 3);
    assert_eq!(exceptions(&world).await.iter().filter(|kind| *kind == "file_unreadable").count(), 3);
    files.put("stranger.xml", stranger.as_bytes());
    world.pass(A_WHILE).await;
    // The rest of it counts; what it does not name is accepted, because it names others.
    assert_eq!((status(&world, "A").await, status(&world, "B").await), ("Pending".to_owned(), "Success".to_owned()));
    assert_eq!(names(world.folder.path(), "bad").len(), 4);
    let kinds: BTreeSet<String> = exceptions(&world).await.into_iter().collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["file_unreadable", "unknown_reference"]);
    // What was bad once is looked at again when it comes again: a person may have put it right.
    files.put("genuine.xml", genuine.as_bytes());
    world.pass(A_WHILE).await;
    assert_eq!(status(&world, "A").await, "Success");
    books_agree(&world, &files).await;
}

/// On hold nothing is given to a bank, not even what waits for a file, and what banks say is heard.
#[tokio::test(start_paused = true)]
async fn on_hold_no_file_is_made() {
    let (world, files) = beside_iso("03").await;
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    world.pass(A_WHILE).await;
    files.take();
    world.pay_over("NEFT", "B", 100, "501000120002").await;
    admin::hold_set(&world.app, "a backup was restored", &operator()).await.unwrap();
    answer_all(&files);
    world.pass(Duration::from_secs(3_600)).await;
    assert_eq!((status(&world, "A").await, names(world.folder.path(), "out").len()), ("Success".to_owned(), 0));
    admin::hold_release(&world.app, "compared", false, &operator()).await.unwrap();
    world.pass(A_WHILE).await;
    files.take_and_answer();
    world.pass(A_WHILE).await;
    assert_eq!(status(&world, "B").await, "Success");
    books_agree(&world, &files).await;
}

/// A file that was released and is neither there nor answered is not written again: a person is told, and the payouts wait.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_is_in_doubt() {
    let (world, files) = beside_iso("03").await;
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    world.pass(A_WHILE).await;
    files.take();
    // As a crash between the name and its commit leaves it.
    world.sql("UPDATE bank_files SET state = 3").await;
    world.pass(Duration::from_secs(3_000)).await;
    assert_eq!(exceptions(&world).await, [""; 0]);
    world.pass(Duration::from_secs(1_000)).await;
    assert_eq!(exceptions(&world).await, ["file_in_doubt"]);
    world.pass(Duration::from_secs(4_000)).await;
    assert_eq!((status(&world, "A").await, names(world.folder.path(), "out").len()), ("Pending".to_owned(), 0));
    answer_all(&files);
    world.pass(A_WHILE).await;
    assert_eq!(status(&world, "A").await, "Success");
    let listed = connectors_admin::files(&world.app, "bank").await.unwrap();
    assert_eq!(listed[0]["state"], "uploaded");
    books_agree(&world, &files).await;
}

/// A file is closed when it is full, and a name that is taken by others is not taken from them.
#[tokio::test(start_paused = true)]
async fn a_full_file_is_closed_and_a_name_that_is_taken_waits() {
    let (folder, clock) = new_folder();
    let files = Bank::new(folder.path(), "enet");
    let mut options = csv(folder.path(), "enet");
    options.exchange = config::Exchange { rows_max: 3, close_after_s: 3_600, ..options.exchange };
    let options = Connector::BankCsv(Box::new(options));
    let world = beside((folder, clock), vec![("bank", options)], false, |_| {}).await;
    std::fs::write(files.outbox.join("ACME2211.002"), "somebody else's").unwrap();
    for nth in 0..7 {
        world.pay_over("NEFT", &format!("A{nth}"), 100, "501000120001").await;
        world.pass(Duration::from_secs(5)).await;
    }
    world.pass(A_WHILE).await;
    let lying = || names(world.folder.path(), "out");
    assert_eq!(lying(), ["ACME2211.001", "ACME2211.002"]);
    assert_eq!(std::fs::read(files.outbox.join("ACME2211.002")).unwrap(), b"somebody else's");
    std::fs::remove_file(files.outbox.join("ACME2211.002")).unwrap();
    world.pass(A_WHILE).await;
    assert_eq!(lying(), ["ACME2211.001", "ACME2211.002"]);
    world.pass(Duration::from_secs(3_600)).await;
    assert_eq!(lying(), ["ACME2211.001", "ACME2211.002", "ACME2211.003"]);
    files.take_and_answer();
    world.pass(A_WHILE).await;
    assert_eq!(files.given().len(), 7);
    files.put("day.xml", files.statement(&[]).as_bytes());
    world.pass(A_WHILE).await;
    books_agree(&world, &files).await;
}

/// Two processes on one database and one folder: each row is in one file, and each file is uploaded once.
#[tokio::test(start_paused = true)]
async fn two_processes_share_a_folder() {
    let (world, files) = beside_iso("03").await;
    let options = Connector::Iso20022(Box::new(iso(world.folder.path(), "03")));
    let clock = world.app.clock.clone();
    let mut config = world.app.config.clone();
    config.connectors = [("bank".to_owned(), options)].into();
    let other = Other::beside(&world, config, clock).await;
    let mut first = Some(world);
    let paying = other;
    for nth in 0..30 {
        let world = first.as_ref().unwrap_or(&paying.world);
        world.pay_over("NEFT", &format!("A{nth}"), 100, "501000120001").await;
        world.pass(Duration::from_secs(3)).await;
        files.take_and_answer();
        if nth == 15 {
            // Whoever has the lease may be the one that is gone.
            first.take().unwrap().stop_worker();
        }
    }
    for _ in 0..6 {
        paying.world.pass(Duration::from_secs(30)).await;
        files.take_and_answer();
    }
    assert_eq!(files.given().len(), 30);
    books_agree(&paying.world, &files).await;
}

/// Another world on the same folder and database.
struct Other {
    world: World,
}

impl Other {
    async fn beside(world: &World, config: Config, clock: Clock) -> Other {
        let connectors = config.connectors;
        let token = world.token.clone();
        let configure = |config: &mut Config| {
            config.sandbox = None;
            config.connectors = connectors;
        };
        let mut other = World::start(Arc::clone(&world.folder), bank(Faults::default(), 1), clock, configure).await;
        other.token = token;
        Other { world: other }
    }
}

/// A folder of statements, for any connector: what is put there is compared by itself.
#[tokio::test(start_paused = true)]
async fn a_folder_of_statements_is_watched() {
    let folder = Folder::new();
    let statements = folder.path().join("statements");
    std::fs::create_dir_all(&statements).unwrap();
    let world =
        World::with(|config| config.reconcile.statements = [("sandbox".to_owned(), statements.clone())].into()).await;
    world.pay("a", 200, "501000123450888").await;
    world.stop_worker();
    let reply = world.bank.handle("GET", "/statement?date=2026-11-22", Default::default()).await.unwrap();
    assert_eq!(status(&world, "a").await, "Pending");
    // Its worker is gone; another one reads.
    let watching = world.app.clone();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move { hundi::exchange::run(&watching, stopped).await });
    std::fs::write(statements.join("day.xml"), &reply.body[..reply.body.len() - 30]).unwrap();
    world.pass(Duration::from_secs(200)).await;
    assert_eq!(status(&world, "a").await, "Pending");
    std::fs::write(statements.join("day.xml"), &reply.body).unwrap();
    std::fs::write(statements.join("noise.csv"), "a,b\n1,2\n").unwrap();
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(status(&world, "a").await, "Success");
    world.pass(Duration::from_secs(900)).await;
    let names = |name: &str| names(&statements, name);
    assert_eq!((names("done").len(), names("bad").len()), (1, 1));
    assert_eq!(exceptions(&world).await, ["file_unreadable"]);
    world.verify().await;
}

/// The connector is listed, tested, paused and explained as every other.
#[tokio::test(start_paused = true)]
async fn the_operator_sees_a_bank_that_is_given_files() {
    let (world, _files) = beside_iso("09").await;
    let app = &world.app;
    let listed = connectors_admin::list(app).await.unwrap();
    assert_eq!(listed[0]["rails"], "NEFT,RTGS,IMPS");
    assert_eq!(connectors_admin::test(app, "bank").await.unwrap()["reached"], true);
    assert_eq!(names(world.folder.path(), "out"), [""; 0]);
    std::fs::remove_dir_all(world.folder.path().join("bad")).unwrap();
    let error = connectors_admin::test(app, "bank").await.unwrap_err();
    assert!(error.contains("Bad"), "{error}");
    let ordered = connectors_admin::Ordered {
        merchant: Some("demo"),
        rail: Some("NEFT"),
        amount: "100.00",
        ifsc: None,
        upi: None,
        at: None,
        payout: 0,
    };
    assert_eq!(connectors_admin::explain(app, &ordered).await.unwrap()["connector"], "bank");
    connectors_admin::pause(app, "bank", "maintenance", &operator()).await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    world.pass(A_WHILE).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM bank_file_rows").await, 0);
    connectors_admin::resume(app, "bank", &operator()).await.unwrap();
    world.pass(Duration::from_secs(1_200)).await;
    assert_eq!(names(world.folder.path(), "out").len(), 1);
    let files: Value = connectors_admin::files(app, "bank").await.unwrap();
    assert_eq!(files[0]["sum"], Balance::from_paise(100_00).to_string());
    assert!(connectors_admin::files(app, "nobody").await.is_err());
}

/// Where the lease of a process ends, nothing of what it was about to do is done.
#[tokio::test(start_paused = true)]
async fn whoever_has_lost_the_lease_is_refused() {
    use hundi::store::files::{self, FileRow, FileState};
    let (world, _files) = beside_iso("03").await;
    world.pay_over("NEFT", "A", 100, "501000120001").await;
    world.stop_worker();
    let app = &world.app;
    let connector = hundi_core::ids::Connector::parse("bank").unwrap();
    let write = async |plain| app.writer.write(plain).await.unwrap();
    assert_eq!(write(files::gather(connector, 1, 10, START)).await, 1);
    assert_eq!(write(files::gather(connector, 1, 10, START)).await, 0);
    let row = |fence, hash: u8| FileRow {
        number: 1,
        name: "a.xml".to_owned(),
        hash: vec![hash],
        transfers: 1,
        sum_paise: 100_00,
        state: FileState::Recorded,
        fence,
        made_at: START,
        moved_at: Timestamp(0),
    };
    assert_eq!(write(files::record(connector, &row(2, 2), &[], START)).await, 1);
    assert_eq!(write(files::record(connector, &row(1, 1), &[], START)).await, 0);
    assert_eq!(write(files::release(connector, &row(1, 1), START)).await, 0);
    assert_eq!(write(files::release(connector, &row(2, 2), START)).await, 1);
    assert_eq!(write(files::release(connector, &row(2, 2), START)).await, 0);
    assert_eq!(write(files::record(connector, &row(3, 3), &[], START)).await, 0);
    let found = app.store.file_named(connector, "a.xml").await.unwrap().unwrap();
    assert_eq!((found.state, found.hash), (FileState::Released, vec![2]));
    assert_eq!(write(files::uploaded(connector, 1, START)).await, 1);
}
