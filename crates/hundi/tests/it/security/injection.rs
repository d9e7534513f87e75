//! Texts that mean something elsewhere mean nothing here: to the database, to a spreadsheet, to a terminal.

use super::process::kit::Numbers;
use super::support::World;
use crate::score::score;
use hundi::admin;
use hundi::http::fields::Field;
use hundi::http::problem::Call;
use hundi::store::rows::ComplaintEvent;
use hundi_core::ids::Actor;
use serde_json::{Value, json};

const PAYLOADS: &[&str] = &[
    // Statements.
    "'",
    "''",
    "\"",
    "`",
    "\\",
    "\\'",
    "';",
    "'--",
    "' --",
    "'#",
    "'/*",
    "*/",
    ";",
    "; ",
    "--",
    "/**/",
    "$1",
    "$2",
    "?1",
    "?",
    ":a",
    "@a",
    "%",
    "_",
    "%%",
    "{}",
    "{0}",
    "%s",
    "%n",
    "' OR '1'='1",
    "' OR 1=1 --",
    "' OR 1=1#",
    "\" OR \"\"=\"",
    "') OR ('1'='1",
    "1 OR 1=1",
    "1' OR '1' = '1' /*",
    "' OR 'x'='x';--",
    "admin'--",
    "' UNION SELECT NULL--",
    "' UNION SELECT token_hash FROM tokens--",
    "' UNION ALL SELECT 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29 --",
    "1; DROP TABLE payouts",
    "'; DROP TABLE payouts; --",
    "Robert'); DROP TABLE merchants;--",
    "'; DELETE FROM journal; --",
    "'; UPDATE accounts SET wallet_paise = 1; --",
    "x'; UPDATE payouts SET state = 4; --",
    "'; INSERT INTO tokens VALUES (9,'x',1,'0.0.0.0/0'); --",
    "'; COMMIT; --",
    "'; ROLLBACK; --",
    "'; BEGIN; --",
    "'; VACUUM; --",
    "'; PRAGMA journal_mode=DELETE; --",
    "'; ATTACH DATABASE '/tmp/x' AS x; --",
    "'||'x",
    "'||(SELECT 1)||'",
    "' AND SLEEP(5)--",
    "'; SELECT pg_sleep(5); --",
    "'||pg_sleep(5)--",
    "' AND 1=randomblob(1000000000)--",
    "1 AND (SELECT COUNT(*) FROM payouts)",
    "' HAVING 1=1--",
    "' GROUP BY 1--",
    "' ORDER BY 99--",
    "' LIMIT 1 OFFSET 1--",
    "' LIKE '%",
    "%' OR '1'='1",
    "' ESCAPE '",
    "' COLLATE NOCASE--",
    "x' AND 1=CAST((SELECT version()) AS int)--",
    "'; COPY payouts TO '/tmp/x'; --",
    "'; COPY (SELECT '') TO PROGRAM 'id'; --",
    "$$;SELECT 1;$$",
    "$tag$x$tag$",
    "E'\\x27'",
    "U&'\\0027'",
    "X'27'",
    "0x27",
    "CHAR(39)",
    "CHR(39)||CHR(39)",
    "\\x27",
    "%27",
    "%2527",
    "&#39;",
    "\u{2019}",
    "\u{ff07}",
    "\u{2b9}",
    "\u{2bc} OR 1=1",
    "'\u{301}",
    "NULL",
    "null",
    "undefined",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-1",
    "0",
    "00",
    "1e309",
    "1.0",
    "0x10",
    "current_user",
    "sqlite_master",
    "pg_catalog.pg_tables",
    "information_schema.tables",
    // Pages and templates.
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "'-alert(1)-'",
    "</title><script>",
    "<!--",
    "-->",
    "]]>",
    "<![CDATA[x]]>",
    "&lt;script&gt;",
    "<iframe src=//x>",
    "<a href=\"x\">",
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "[[7*7]]",
    "{{constructor.constructor('x')()}}",
    "${jndi:ldap://x/a}",
    "${env:HOME}",
    "$(id)",
    "`id`",
    "|id",
    "||id",
    "&id",
    "&&id",
    ";id",
    "\\$(id)",
    "!!",
    "!1",
    "~",
    "~root",
    "*",
    "?*",
    "[a-z]",
    "../../etc/passwd",
    "..\\..\\x",
    "/etc/passwd",
    "file:///etc/passwd",
    "C:\\x",
    "\\\\host\\share",
    "con",
    "nul",
    "a.b",
    // Headers, logs and JSON.
    "x%0d%0aSet-Cookie:y",
    "x%0aINFO",
    "\\r\\nX: y",
    "\\n",
    "\\u0000",
    "%00",
    "\\0",
    "{\"a\":1}",
    "[1]",
    "\",\"StatusCode\":1,\"x\":\"",
    "\"}",
    "a\\\"b",
    "a,b",
    "a;b",
    "a|b",
    "a&b=c",
    "a=b",
    "a+b",
    "a%b",
    "a#b",
    "a?b",
    "a/b",
    "a:b",
    "a@b",
    // Spreadsheets.
    "=1+1",
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "=HYPERLINK(\"http://x\",\"y\")",
    "=IMPORTXML(CONCAT(\"http://x\"))",
    "-2+3+cmd|' /C calc'!A0",
    "\u{ff1d}1+1",
    "\u{ff0b}1",
    "\u{ff0d}1",
    "\u{ff20}x",
    "'=1+1",
    "''=1",
    "\"=1+1\"",
    "=",
    "+",
    "-",
    "@",
    "-.",
    "-1.1.1",
    // Scripts of the world.
    "\u{930}\u{93e}\u{939}\u{941}\u{932}",
    "\u{ba4}\u{bae}\u{bbf}\u{bb4}\u{bcd}",
    "\u{1f600}",
    "e\u{301}",
    "\u{e9}",
    "\u{212a}",
    "\u{131}",
    "\u{df}",
    "\u{fb01}",
    "\u{1d4d0}",
    "\u{5d0}\u{5d1}",
    "\u{627}\u{644}",
    "\u{4e2d}\u{6587}",
    "O'Neil",
    "D'Souza & Sons",
    "M/s. Gupta, Sharma & Co. (P) Ltd.",
    "A \"B\" C",
    "null'",
    "Null",
    "NIL",
];

/// Every payload in every field of every call. What may be kept comes back as it was; nothing is broken by what may not.
#[tokio::test(start_paused = true)]
async fn what_is_kept_comes_back_as_it_was() {
    assert!(PAYLOADS.len() >= 200, "{}", PAYLOADS.len());
    let world = World::new().await;
    let own = world.pay("own", 200, "50100012345678").await.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    let (mut cases, mut kept, mut complaints) = (0_u64, 0_u64, Vec::new());
    for path in Call::paths() {
        let call = Call::at(path).unwrap();
        for field in Field::all().filter(|field| reads(call, *field)) {
            let spelling = field.spelling(path);
            for (nth, payload) in PAYLOADS.iter().enumerate() {
                let name = format!("{}{field:?}{nth}", if path.contains("Transafer") { "a" } else { "b" });
                let mut body = good(&world, call, &name, &own, field);
                body[spelling] = json!(payload);
                let answer = world.post(path, &body.to_string()).await;
                cases += 1;
                assert_eq!(answer.status, 200, "{path} {spelling} {payload:?}");
                if call == Call::Balance {
                    continue;
                }
                let (code, said) = (answer.code(), answer.json());
                // "We do not know" is what a statement that broke would come to.
                assert_ne!(code, 6, "{path} {spelling} {payload:?}: {}", answer.body);
                if call == Call::Payout && !said["Data"].is_null() {
                    let (order, who) = (body["OrderID"].as_str().unwrap(), body["BeneficiaryName"].as_str().unwrap());
                    let again = world.status(order).await;
                    for data in [&said["Data"], &again.json()["Data"]] {
                        assert_eq!((&data["ClientOrderID"], &data["BeneficiaryName"]), (&json!(order), &json!(who)));
                    }
                    assert_eq!(again.body, answer.body);
                    kept += 1;
                }
                if call == Call::Complaint && code == 1 {
                    complaints.push((body["Subject"].clone(), body["Message"].clone()));
                }
            }
        }
    }
    for (nth, (subject, message)) in complaints.iter().enumerate() {
        let shown = admin::complaint_show(&world.app, &format!("demo/{}", nth + 1)).await.unwrap();
        assert_eq!((&shown["subject"], &shown["message"]), (subject, message));
    }
    kept += complaints.len() as u64;
    kept += the_operators_words(&world).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM tokens").await, 1);
    assert_eq!(world.number("SELECT COUNT(*) FROM complaints").await, i64::try_from(complaints.len()).unwrap());
    world.verify().await;
    println!("{cases} requests with {} payloads, {kept} texts kept and given back unchanged", PAYLOADS.len());
    assert!(cases > 6_000 && kept > 1_000);
    score(33, "payloads in every field of every call", cases);
    score(33, "texts given back unchanged", kept);
}

fn reads(call: Call, field: Field) -> bool {
    let of_complaints = matches!(field, Field::Subject | Field::Message);
    match call {
        Call::Balance => field == Field::Token,
        Call::Payout => !of_complaints,
        Call::StatusByClientRef | Call::StatusByOrderId => matches!(field, Field::Token | Field::OrderId),
        Call::Complaint => of_complaints || matches!(field, Field::Token | Field::OrderId),
    }
}

fn good(world: &World, call: Call, name: &str, own: &str, field: Field) -> Value {
    match call {
        Call::Payout => {
            let upi = matches!(field, Field::UpiId | Field::BeneficiaryPhoneNo);
            json!({
                "Token": world.token, "Number": "9876500000", "Amount": "1", "TransferMode": if upi { "UPI" } else { "NEFT" },
                "AccountNo": "50100012345678", "IFSCCode": "HDFC0000001", "BeneficiaryName": "R", "OrderID": name,
            })
        }
        Call::Complaint => json!({"Token": world.token, "OrderId": own, "Subject": "s", "Message": "m"}),
        Call::Balance | Call::StatusByClientRef | Call::StatusByOrderId => {
            json!({"Token": world.token, "OrderID": "own"})
        }
    }
}

/// What the operator writes: references, answers to complaints, and his own name.
async fn the_operators_words(world: &World) -> u64 {
    let mut kept = 0;
    for payload in PAYLOADS {
        let actor = Actor::Operator((*payload).into());
        let shown = admin::complaint_event(&world.app, "demo/1", ComplaintEvent::Reply, payload, &actor).await.unwrap();
        let last = shown["history"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["said"], &last["by"]), (&json!(payload), &json!(actor.to_string())));
        // Another merchant, order or complaint of that name is not there, and says so.
        assert!(admin::merchant_show(&world.app, payload, false).await.is_err());
        assert!(admin::complaint_show(&world.app, &format!("{payload}/1")).await.is_err());
        assert!(admin::exception_show(&world.app, &format!("sandbox/{payload}/contradiction")).await.is_err());
        let reference = payload.replace(' ', "");
        if let Ok(funded) = admin::fund(&world.app, "demo", "1.00", &reference, "sandbox", &actor).await {
            assert_eq!(funded["reference"], json!(reference));
        }
        kept += 1;
    }
    let statement = admin::statement(&world.app, "demo", None, None).await.unwrap();
    let memos: Vec<&str> = statement.iter().filter_map(|line| line["memo"].as_str()).collect();
    for payload in
        PAYLOADS.iter().filter(|payload| payload.len() <= 64 && payload.bytes().all(|b| b.is_ascii_graphic()))
    {
        assert!(memos.contains(payload), "{payload:?} is not in the statement");
    }
    let table = read_csv(&admin::csv(&statement));
    let column = table[0].iter().position(|name| name == "memo").unwrap();
    for (row, line) in table[1..].iter().zip(&statement) {
        assert_eq!(unguarded(&row[column]), line["memo"].as_str().unwrap());
        assert!(row.iter().all(|cell| !would_run(cell)), "{row:?}");
    }
    kept
}

/// The rows of a CSV file after RFC 4180; written for this test.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut table, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if cell.is_empty() => loop {
                match characters.next().expect("a quoted cell ends") {
                    '"' if characters.peek() == Some(&'"') => cell.extend(characters.next()),
                    '"' => break,
                    c => cell.push(c),
                }
            },
            ',' => row.push(std::mem::take(&mut cell)),
            '\r' if characters.peek() == Some(&'\n') => {
                characters.next();
                row.push(std::mem::take(&mut cell));
                table.push(std::mem::take(&mut row));
            }
            '"' | '\r' | '\n' => panic!("a bare {c:?} in a cell: {cell:?}"),
            c => cell.push(c),
        }
    }
    assert!(row.is_empty() && cell.is_empty(), "the file does not end with a line");
    table
}

/// What was put in: without the apostrophe before each line.
fn unguarded(cell: &str) -> String {
    let mut text = String::new();
    let mut line_begins = true;
    for c in cell.chars() {
        if !(line_begins && c == '\'') {
            text.push(c);
        }
        line_begins = matches!(c, '\n' | '\r');
    }
    text
}

/// Whether a spreadsheet could take a line of a cell for a formula: it begins, after whatever is not seen, with a sign of
/// one, and is no number.
fn would_run(cell: &str) -> bool {
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let mut points = 0;
        !digits.is_empty()
            && digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.ends_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| {
                c.is_ascii_digit()
                    || (c == '.' && {
                        points += 1;
                        points == 1
                    })
            })
    };
    let runs = |line: &str| {
        let hidden = |c: char| c.is_whitespace() || c.is_control() || WITHOUT_WIDTH.contains(c);
        line.trim_start_matches(hidden).starts_with(|c| SIGNS.contains(c))
    };
    !number(cell) && (cell.starts_with(['\t', '\r', '\n', '\0']) || cell.split(['\n', '\r']).any(runs))
}

const SIGNS: &str = "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}\u{2212}\u{fe62}\u{fe63}\u{fe66}\u{fe6b}";

const WITHOUT_WIDTH: &str = "\u{ad}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}";

#[test]
fn no_cell_of_any_text_runs_and_every_text_comes_back() {
    const PIECES: [&str; 44] = [
        "=",
        "+",
        "-",
        "@",
        "\u{ff1d}",
        "\u{ff0b}",
        "\u{ff0d}",
        "\u{ff20}",
        "\u{2212}",
        "\u{fe62}",
        "\u{fe66}",
        "'",
        "''",
        "\"",
        "\"\"",
        ",",
        ";",
        "\t",
        "\r",
        "\n",
        "\r\n",
        "\0",
        " ",
        "\u{a0}",
        "\u{3000}",
        "\u{200b}",
        "\u{feff}",
        "\u{202e}",
        "\u{ad}",
        "1",
        "5.00",
        ".",
        "-1",
        "a",
        "cmd|' /C calc'!A0",
        "SUM(1)",
        "\u{939}",
        "\u{1f600}",
        "|",
        "\\",
        "/",
        "(",
        "\u{7f}",
        "\u{85}",
    ];
    const COLUMNS: [&str; 12] = [
        "seq",
        "at",
        "kind",
        "payout_id",
        "amount",
        "fee",
        "gst",
        "wallet_change",
        "wallet_after",
        "connector",
        "memo",
        "by",
    ];
    let mut numbers = Numbers::new(33);
    let mut text = || -> String {
        let length = numbers.between(0, 7);
        (0..length).map(|_| PIECES[usize::try_from(numbers.between(0, PIECES.len() as u64)).unwrap()]).collect()
    };
    let mut cells = 0_u64;
    for _ in 0..100 {
        // The one writer of CSV, with texts in every cell of 100 lines.
        let lines: Vec<Value> = (0..100)
            .map(|_| COLUMNS.iter().map(|column| ((*column).to_owned(), Value::from(text()))).collect())
            .collect();
        let table = read_csv(&admin::csv(&lines));
        assert_eq!((table.len(), table[0].as_slice()), (101, COLUMNS.map(str::to_owned).as_slice()));
        for (row, line) in table[1..].iter().zip(&lines) {
            assert_eq!(row.len(), COLUMNS.len());
            for (cell, column) in row.iter().zip(COLUMNS) {
                assert_eq!(unguarded(cell), line[column].as_str().unwrap(), "{cell:?}");
                assert!(!would_run(cell), "{cell:?} of {:?}", line[column]);
                cells += 1;
            }
        }
    }
    // Both halves of the judge can fail.
    assert!(
        would_run("=1") && would_run("a\n\u{a0}+1") && would_run("-1.2.3") && !would_run("-5.00") && !would_run("'=1")
    );
    println!("{cells} generated cells");
    assert!(cells >= 100_000);
    score(33, "generated CSV cells: none runs, all come back", cells);
}

/// The operator's terminal obeys nothing that a merchant wrote.
#[tokio::test(start_paused = true)]
async fn what_a_merchant_wrote_is_no_command_of_the_terminal() {
    let world = World::new().await;
    let own = world.pay("own", 200, "50100012345678").await.json()["Data"]["OrderID"].as_str().unwrap().to_owned();
    for (nth, control) in ["\u{1b}[2J", "\u{9b}2J", "\u{7}", "\u{8}", "\u{1b}]0;x\u{7}"].iter().enumerate() {
        let complaint = json!({"Token": world.token, "OrderId": own, "Subject": control, "Message": control});
        assert_eq!(world.post("/RaiseComplaint", &complaint.to_string()).await.code(), 5, "{control:?}");
        let name = json!({
            "Token": world.token, "Amount": "1", "TransferMode": "NEFT", "AccountNo": "50100012345678",
            "IFSCCode": "HDFC0000001", "BeneficiaryName": format!("A{control}"), "OrderID": format!("T-{nth}"),
        });
        assert_eq!(world.post("/PayoutBankTransafer", &name.to_string()).await.code(), 0, "{control:?}");
    }
    assert_eq!(admin::complaint_list(&world.app).await.unwrap(), json!([]));
}
