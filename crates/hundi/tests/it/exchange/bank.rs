//! Banks that take files, written from the documents of the formats and not from our writers: they take what lies in the folder
//! for them, check it as strictly as the documents say, execute every row of every file, and answer.
//!
//! They do not look whether they have had a row before: what comes twice is in the book twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a bank was given and has executed, or would not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub reference: String,
    pub paise: i64,
    pub account: String,
    pub rail: String,
    pub fate: Fate,
}

/// By the end of the account's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Paid,
    /// It has it, and says no more.
    Accepted,
    /// No such account.
    Wrong,
    /// Our account has too little.
    NoMoney,
    /// It says that it has had it before.
    Duplicate,
    /// A reason in words.
    Narrated,
    /// It does not speak of it.
    Unsaid,
}

fn fate(account: &str) -> Fate {
    match &account[account.len() - 4..] {
        "0333" => Fate::Accepted,
        "0444" => Fate::Wrong,
        "0555" => Fate::NoMoney,
        "0666" => Fate::Duplicate,
        "0777" => Fate::Narrated,
        "0999" => Fate::Unsaid,
        _ => Fate::Paid,
    }
}

/// A file that the bank has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub name: String,
    pub message_id: String,
    pub batches: Vec<(String, Vec<Entry>)>,
}

/// A bank.
#[derive(Clone, Debug)]
pub struct Bank {
    /// Where we put files, and where it does.
    pub outbox: PathBuf,
    pub inbox: PathBuf,
    pub format: &'static str,
    pub taken: Arc<Mutex<Vec<Taken>>>,
}

/// What stands between two tags, all of them.
fn all<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    text.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap()).collect()
}

fn one<'a>(text: &'a str, tag: &str) -> &'a str {
    let all = all(text, tag);
    assert_eq!(all.len(), 1, "{tag} in {text}");
    all[0]
}

fn paise(rupees: &str) -> i64 {
    let (rupees, decimals) = rupees.split_once('.').unwrap();
    assert_eq!(decimals.len(), 2);
    rupees.parse::<i64>().unwrap() * 100 + decimals.parse::<i64>().unwrap()
}

impl Bank {
    pub fn new(root: &Path, format: &'static str) -> Bank {
        let [outbox, inbox, archive, bad] = ["out", "in", "archive", "bad"].map(|name| root.join(name));
        for folder in [&outbox, &inbox, &archive, &bad] {
            std::fs::create_dir_all(folder).unwrap();
        }
        Bank { outbox, inbox, format, taken: Arc::default() }
    }

    /// Takes what lies there under a name of a file, and gives back how many files that were.
    pub fn take(&self) -> usize {
        let mut names: Vec<_> = std::fs::read_dir(&self.outbox).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
        names.sort();
        for path in &names {
            let text = std::fs::read_to_string(path).unwrap();
            std::fs::remove_file(path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let taken = match self.format {
                "pain" => pain(name, &text),
                "enet" => enet(name, &text),
                "enet-vendor" => vendor(name, &text),
                "icici" => icici(name, &text),
                _ => union(name, &text),
            };
            self.taken.lock().unwrap().push(taken);
        }
        names.len()
    }

    /// Every row of every file that it was given, in order.
    pub fn book(&self) -> Vec<Entry> {
        let taken = self.taken.lock().unwrap();
        taken.iter().flat_map(|file| &file.batches).flat_map(|(_, entries)| entries.clone()).collect()
    }

    /// How often it was given each reference.
    pub fn given(&self) -> BTreeMap<String, usize> {
        let mut given = BTreeMap::new();
        self.book().into_iter().for_each(|entry| *given.entry(entry.reference).or_default() += 1);
        given
    }

    /// Its answer to a file: a name, and what it says.
    pub fn answer(&self, file: &Taken) -> (String, String) {
        if self.format == "icici" {
            return (format!("REPORT_{}", file.name), icici_answer(file));
        }
        if let "enet" | "enet-vendor" = self.format {
            let (client, number) = file.name.rsplit_once('.').unwrap();
            let text = if self.format == "enet" { reverse(file) } else { vendor_reverse(file) };
            return (format!("{client}.r{number}"), text);
        }
        (format!("STS-{}.xml", file.message_id), report(file))
    }

    /// Puts a file there under its name.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.inbox.join(name), bytes).unwrap();
    }

    /// Takes what lies there and answers it.
    pub fn take_and_answer(&self) {
        let before = self.taken.lock().unwrap().len();
        self.take();
        let taken = self.taken.lock().unwrap()[before..].to_vec();
        for file in taken {
            let (name, text) = self.answer(&file);
            self.put(&name, text.as_bytes());
        }
    }

    /// Its statement of the day on which it paid: what it paid, and what it says that came back.
    pub fn statement(&self, returned: &[&str]) -> String {
        let line = |side: &str, entry: &Entry, nth: usize, more: &str| {
            format!(
                "<Ntry><Amt Ccy=\"INR\">{}.{:02}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts>BOOK</Sts>\
                 <BookgDt><Dt>2026-11-22</Dt></BookgDt><AcctSvcrRef>SVC{side}{nth:08}</AcctSvcrRef><BkTxCd/>\
                 <NtryDtls><TxDtls><Refs><EndToEndId>{}</EndToEndId></Refs>{more}</TxDtls></NtryDtls></Ntry>",
                entry.paise / 100,
                entry.paise % 100,
                entry.reference
            )
        };
        let (mut lines, mut closing) = (String::new(), 10_000_000_00);
        for (nth, entry) in self.book().iter().filter(|entry| entry.fate == Fate::Paid).enumerate() {
            lines += &line("DBIT", entry, nth, "");
            closing -= entry.paise;
            if returned.contains(&&*entry.reference) {
                lines += &line("CRDT", entry, nth, "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>");
                closing += entry.paise;
            }
        }
        let balance = |code: &str, paise: i64| {
            format!(
                "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"INR\">{}.{:02}</Amt>\
                 <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-22</Dt></Dt></Bal>",
                paise / 100,
                paise % 100
            )
        };
        format!(
            "<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><GrpHdr>\
             <MsgId>S1</MsgId><CreDtTm>2026-11-22T23:59:00</CreDtTm></GrpHdr><Stmt><Id>S1</Id>\
             <CreDtTm>2026-11-22T23:59:00</CreDtTm><Acct><Id><Othr><Id>50100099999999</Id></Othr></Id></Acct>{}{}{lines}</Stmt>\
             </BkToCstmrStmt></Document>",
            balance("OPBD", 10_000_000_00),
            balance("CLBD", closing)
        )
    }
}

/// pain.001.001.03 or .09: the counts and the sums must be those of the rows.
fn pain(name: String, text: &str) -> Taken {
    assert!(
        text.ends_with("</Document>\n") && text.contains("urn:iso:std:iso:20022:tech:xsd:pain.001.001.0"),
        "{text}"
    );
    let head = one(text, "GrpHdr");
    let (mut count, mut sum) = (0, 0);
    let mut batches = Vec::new();
    for batch in all(text, "PmtInf") {
        assert_eq!(one(batch, "PmtMtd"), "TRF");
        let rail = one(batch, "PmtInfId").rsplit('-').next().unwrap().to_owned();
        let entry = |row: &&str| {
            let amount = row.split("<InstdAmt Ccy=\"INR\">").nth(1).unwrap().split('<').next().unwrap();
            let account = one(one(one(row, "CdtrAcct"), "Othr"), "Id").to_owned();
            let ifsc = one(one(row, "CdtrAgt"), "MmbId");
            assert_eq!(ifsc.len(), 11);
            assert_eq!(one(row, "EndToEndId"), one(row, "InstrId"));
            let (reference, fate) = (one(row, "EndToEndId").to_owned(), fate(&account));
            Entry { reference, paise: paise(amount), account, rail: rail.clone(), fate }
        };
        let entries: Vec<Entry> = all(batch, "CdtTrfTxInf").iter().map(entry).collect();
        let of_batch: i64 = entries.iter().map(|entry| entry.paise).sum();
        let before = batch.split("<CdtTrfTxInf>").next().unwrap();
        assert_eq!(one(before, "NbOfTxs").parse(), Ok(entries.len()));
        assert_eq!(paise(one(before, "CtrlSum")), of_batch);
        (count, sum) = (count + entries.len(), sum + of_batch);
        batches.push((one(batch, "PmtInfId").to_owned(), entries));
    }
    assert_eq!(one(head, "NbOfTxs").parse(), Ok(count));
    assert_eq!(paise(one(head, "CtrlSum")), sum);
    Taken { name, message_id: one(head, "MsgId").to_owned(), batches }
}

/// pain.002.001.03: the batch and the items that the bank speaks of.
fn report(file: &Taken) -> String {
    let mut batches = String::new();
    for (id, entries) in &file.batches {
        batches += &format!("<OrgnlPmtInfAndSts><OrgnlPmtInfId>{id}</OrgnlPmtInfId>");
        for (nth, entry) in entries.iter().enumerate() {
            let rejected = |code: &str, text: &str| {
                format!(
                    "<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>{code}</Cd></Rsn><AddtlInf>{text}</AddtlInf></StsRsnInf>"
                )
            };
            let said = match entry.fate {
                Fate::Paid => "<TxSts>ACSC</TxSts>".to_owned(),
                Fate::Accepted => "<TxSts>ACSP</TxSts>".to_owned(),
                Fate::Wrong => rejected("AC04", "account closed"),
                Fate::NoMoney => rejected("AM04", ""),
                Fate::Duplicate => rejected("AM05", ""),
                Fate::Narrated => rejected("NARR", "see your branch"),
                Fate::Unsaid => continue,
            };
            batches += &format!(
                "<TxInfAndSts><OrgnlInstrId>{0}</OrgnlInstrId><OrgnlEndToEndId>{0}</OrgnlEndToEndId>{said}\
                 <AcctSvcrRef>HDFCN260326{nth:05}</AcctSvcrRef><OrgnlTxRef><Amt><InstdAmt Ccy=\"INR\">{1}.{2:02}</InstdAmt>\
                 </Amt></OrgnlTxRef></TxInfAndSts>",
                entry.reference,
                entry.paise / 100,
                entry.paise % 100
            );
        }
        batches += "</OrgnlPmtInfAndSts>";
    }
    format!(
        "<?xml version=\"1.0\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.002.001.03\"><CstmrPmtStsRpt>\
         <GrpHdr><MsgId>R-{0}</MsgId><CreDtTm>2026-11-22T13:00:00</CreDtTm></GrpHdr><OrgnlGrpInfAndSts>\
         <OrgnlMsgId>{0}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.03</OrgnlMsgNmId><GrpSts>PART</GrpSts></OrgnlGrpInfAndSts>\
         {batches}</CstmrPmtStsRpt></Document>",
        file.message_id
    )
}

/// ENet, seven fields (CONNECTORS 5.1).
fn enet(name: String, text: &str) -> Taken {
    let (client, number) = name.split_once('.').unwrap();
    assert!(client.starts_with("ACME") && client.len() == 8 && number.len() == 3, "{name}");
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [reference, _, account, ifsc, kind, amount, day] = fields.as_slice() else { panic!("{line}") };
        assert!(reference.len() <= 15 && ifsc.len() == 11 && kind.len() == 2 && *day == "20261122", "{line}");
        let fate = fate(account);
        Entry {
            reference: (*reference).into(),
            paise: paise(amount),
            account: (*account).into(),
            rail: String::new(),
            fate,
        }
    };
    let entries = text.split_terminator("\r\n").map(entry).collect();
    Taken { message_id: String::new(), batches: vec![(String::new(), entries)], name }
}

/// The reverse file: the row as it was sent, posting date, bank reference, status, reason.
fn reverse(file: &Taken) -> String {
    let mut text = String::new();
    for (nth, entry) in file.batches[0].1.iter().enumerate() {
        let Some((status, reason)) = said(entry.fate, ["E", "R"]) else { continue };
        text += &format!(
            "{},RUPESH KUMAR,{},HDFC0000001,10,{}.{:02},20261122,HDFCN260326{nth:05},{status},{reason}\r\n",
            entry.reference,
            entry.account,
            entry.paise / 100,
            entry.paise % 100
        );
    }
    text
}

/// What a bank of the flat files says of an entry: a status of its own for executed and rejected, and why.
fn said(fate: Fate, [executed, rejected]: [&'static str; 2]) -> Option<(&'static str, &'static str)> {
    match fate {
        Fate::Paid | Fate::Accepted => Some((executed, "")),
        Fate::Wrong => Some((rejected, "BENE ACCOUNT CLOSED")),
        Fate::NoMoney => Some((rejected, "INSUFFICIENT FUNDS")),
        Fate::Duplicate => Some((rejected, "DUPLICATE CUSTOMER REF")),
        Fate::Narrated => Some((rejected, "REFER TO BRANCH")),
        Fate::Unsaid => None,
    }
}

fn entry(reference: &str, amount: &str, account: &str, rail: &str) -> Entry {
    let fate = fate(account);
    Entry { reference: reference.into(), paise: paise(amount), account: account.into(), rail: rail.into(), fate }
}

/// ENet for vendors, 28 columns (CONNECTORS 5.2, and the widths of the bank's `RBI Adapter Specification`).
fn vendor(name: String, text: &str) -> Taken {
    let widths = [
        1, 13, 25, 20, 40, 20, 20, 70, 70, 70, 70, 20, 20, 20, 30, 30, 30, 30, 30, 30, 30, 12, 10, 15, 15, 100, 40, 100,
    ];
    let (client, number) = name.split_once('.').unwrap();
    assert!(client == "ACME2211" && number.len() == 3, "{name}");
    let row = |line: &str| {
        let columns: Vec<&str> = line.split(',').collect();
        assert_eq!(columns.len(), 28, "{line}");
        let narrow = columns.iter().zip(widths).all(|(column, width)| column.len() <= width);
        assert!(narrow && line.is_ascii(), "{line}");
        let rail = match columns[0] {
            "N" => "NEFT",
            "R" => "RTGS",
            other => panic!("{other} is no type for other banks: {line}"),
        };
        // Mandatory for both: account, amount, name, the customer's reference, the date, the IFSC and the bank.
        assert!([2, 3, 4, 13, 22, 24, 25].iter().all(|place| !columns[*place].is_empty()), "{line}");
        assert_eq!((columns[22], columns[24]), ("22/11/2026", "HDFC0000001"), "{line}");
        assert!(columns[4].chars().all(|c| c.is_ascii_alphanumeric() || c == ' '), "{line}");
        entry(columns[13], columns[3], columns[2], rail)
    };
    let entries = text.split_terminator("\r\n").map(row).collect();
    Taken { message_id: String::new(), batches: vec![(String::new(), entries)], name }
}

/// A reverse file as a bank may send it: the columns as they were sent, and three more.
fn vendor_reverse(file: &Taken) -> String {
    let mut text = String::new();
    for (nth, entry) in file.batches[0].1.iter().enumerate() {
        let Some((status, reason)) = said(entry.fate, ["E", "R"]) else { continue };
        let rupees = format!("{}.{:02}", entry.paise / 100, entry.paise % 100);
        text += &format!(
            "N,,{},{rupees},RUPESH KUMAR,,,,,,,,,{},,,,,,,,,22/11/2026,,HDFC0000001,HDFC,,,HDFCN260326{nth:05},{status},{reason}\r\n",
            entry.account, entry.reference
        );
    }
    text
}

/// The first line of the answers, and the columns that matter: reference, bank's reference, status, reason, amount.
pub const ICICI_ANSWER: &str =
    "Sr No~Transaction Remarks~Total Amount~Transaction Status~Host Reference Number~Transaction Status Remarks";
pub const ICICI_COLUMNS: [&str; 5] = [
    "Transaction Remarks",
    "Host Reference Number",
    "Transaction Status",
    "Transaction Status Remarks",
    "Total Amount",
];

/// ICICI Bank's CIB, bulk (CONNECTORS 5.4): the header's count and total are those of the rows.
fn icici(name: String, text: &str) -> Taken {
    assert!(name.ends_with(".txt") && text.ends_with("^\n"), "{name}");
    let mut lines = text.lines().map(|line| line.strip_suffix('^').unwrap().split('|').collect::<Vec<&str>>());
    let head = lines.next().unwrap();
    let ["FHR", branch, trace, "INR", total, count, day, file] = head.as_slice() else { panic!("{head:?}") };
    assert_eq!((*branch, *trace, *day), ("0011", "50100099999999", "11/22/2026"));
    assert!((1..=10).contains(&file.len()) && total.len() <= 18 && count.len() <= 5, "{head:?}");
    let row = |fields: Vec<&str>| {
        if let ["PRB", network, amount, "INR", number, debit, "0011", own, "N", "PRBNBB"] = fields.as_slice() {
            assert_eq!((*debit, number.len() <= 10, own.len() <= 30), ("50100099999999", true, true), "{fields:?}");
            // What it has given a number: the account's last ten digits.
            let rail = ["NEFT", "RTGS", "IMPS"][["NFT", "RTG", "IFC"].iter().position(|one| one == network).unwrap()];
            return entry(own, amount, &format!("50{number}"), rail);
        }
        let [record, network, amount, "INR", debit, "0011", ifsc, account, "0011", name, own, theirs] =
            fields.as_slice()
        else {
            panic!("{fields:?}")
        };
        let rail = match (*record, *network) {
            ("APO", "NFT") => "NEFT",
            ("APO", "RTG") => "RTGS",
            ("APO", "IFC") => "IMPS",
            other => panic!("{other:?}"),
        };
        assert_eq!((*debit, *ifsc, own), ("50100099999999", "HDFC0000001", theirs));
        assert!(account.len() <= 34 && name.len() <= 32 && own.len() <= 21 && amount.len() <= 15, "{fields:?}");
        entry(own, amount, account, rail)
    };
    let entries: Vec<Entry> = lines.map(row).collect();
    assert_eq!(count.parse(), Ok(entries.len()));
    assert_eq!(paise(total), entries.iter().map(|entry| entry.paise).sum::<i64>());
    Taken { message_id: String::new(), batches: vec![(String::new(), entries)], name }
}

fn icici_answer(file: &Taken) -> String {
    let mut text = format!("{ICICI_ANSWER}\n");
    for (nth, entry) in file.batches[0].1.iter().enumerate() {
        let Some((status, reason)) = said(entry.fate, ["SUC", "FAL"]) else { continue };
        let rupees = format!("{}.{:02}", entry.paise / 100, entry.paise % 100);
        text += &format!("{nth}~{}~{rupees}~{status}~ICICN260326{nth:05}~{reason}\n", entry.reference);
    }
    text
}

/// Union Bank's text (CONNECTORS 5.3).
fn union(name: String, text: &str) -> Taken {
    assert!(name.ends_with(".txt"), "{name}");
    let mut lines = text.split_terminator("\r\n");
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!((head[0], head[1], head[3]), ("FILEHDR", "ACME", "N"));
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [rail, _, debit, ifsc, account, currency, amount, _, _, _, reference] = fields.as_slice() else {
            panic!("{line}")
        };
        assert!(["NEFT", "RTGS"].contains(rail) && ifsc.len() == 11 && *currency == "INR", "{line}");
        assert_eq!(*debit, "50100099999999");
        let fate = fate(account);
        Entry {
            reference: (*reference).into(),
            paise: paise(amount),
            account: (*account).into(),
            rail: (*rail).into(),
            fate,
        }
    };
    let entries = lines.map(entry).collect();
    Taken { message_id: String::new(), batches: vec![(String::new(), entries)], name }
}
