//! The bank as its customer sees it, under a paused clock and (once) over a socket.

#[path = "../../hundi-core/tests/it/formats/schema.rs"]
mod schema;

use bytes::Bytes;
use hundi_bank::{Bank, BankConfig, BankError, CallbackRequest, CallbackSender, Clock, Faults, Reply, Times};
use hundi_core::formats::{self, Said, Side};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// 2025-01-01 08:23:20 in India; a multiple of ten seconds, so that the first NEFT batch comes after ten.
const START_US: i64 = 1_735_700_000_000_000;
const FOREVER: i64 = i64::MAX;

struct Customer {
    bank: Arc<Bank>,
    born: Instant,
    heard: Arc<Mutex<Vec<Heard>>>,
    tasks: Vec<JoinHandle<()>>,
}

struct Heard {
    after_s: u64,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Heard {
    fn line(&self) -> String {
        format!("{} {} {}", self.after_s, text(&self.body, "status"), text(&self.body, "code"))
    }
}

fn config(path: Option<PathBuf>) -> BankConfig {
    BankConfig {
        path,
        callback_url: Some("http://customer.test/callbacks".to_owned()),
        callback_secret: Some(b"a secret of the sandbox".to_vec()),
        faults: Faults::default(),
        seed: 7,
        times: Times::Demo,
        clock: Clock::held(START_US),
    }
}

impl Customer {
    fn new(config: BankConfig) -> Customer {
        Customer::answering(config, |_| 200)
    }

    /// A customer who answers the n-th callback (from 0) with a status of its choice.
    fn answering(config: BankConfig, status: fn(usize) -> u16) -> Customer {
        let bank = Bank::open(config).expect("the bank opens");
        let (born, heard) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let record = Arc::clone(&heard);
        let sender: CallbackSender = Arc::new(move |request: CallbackRequest| {
            let body = serde_json::from_slice(&request.body).expect("JSON");
            let mut heard = record.lock().expect("no panic");
            heard.push(Heard { after_s: born.elapsed().as_secs(), headers: request.headers, body });
            let answer = status(heard.len() - 1);
            Box::pin(async move { Ok(answer) })
        });
        let tasks =
            vec![tokio::spawn(Arc::clone(&bank).run_book()), tokio::spawn(Arc::clone(&bank).run_clockwork(sender))];
        Customer { bank, born, heard, tasks }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Option<Reply> {
        let request = self.bank.handle(method, path, Bytes::from(body.to_owned()));
        timeout(Duration::from_secs(5), request).await.ok().flatten()
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, "").await.expect("an answer");
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    async fn pay(&self, order: &Value) -> Option<(u16, Value)> {
        let reply = self.ask("POST", "/transfers", &order.to_string()).await?;
        Some((reply.status, serde_json::from_slice(&reply.body).expect("JSON")))
    }

    async fn until_s(&self, second: u64) {
        tokio::time::sleep_until(self.born + Duration::from_secs(second)).await;
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").iter().map(Heard::line).collect()
    }

    async fn executions(&self) -> Vec<i64> {
        let book = self.get("/book").await;
        book.as_array().expect("an array").iter().map(|row| row["executions"].as_i64().expect("a count")).collect()
    }

    async fn close(self) {
        self.bank.close();
        for task in self.tasks {
            task.await.expect("the loop ends");
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect(field)
}

fn order(reference: &str, rail: &str, beneficiary: &Value) -> Value {
    json!({"reference": reference, "amount_paise": 20_000, "rail": rail, "valid_until_us": FOREVER, "beneficiary": beneficiary})
}

fn account(number: &str) -> Value {
    json!({"kind": "account", "account_number": number, "ifsc": "HDFC0000001", "name": "Asha Rao"})
}

fn temporary(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.db", std::process::id()));
    for ending in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{ending}", path.display())));
    }
    path
}

/// What is heard at once ("-" for silence), and what later (second, status, code).
type Story = (&'static str, &'static [&'static str]);

/// Suffix, UPI ID; the story over IMPS and UPI, over NEFT, over RTGS; how often money moves out.
const OUTCOMES: [(&str, &str, Story, Story, Story, i64); 10] = [
    ("0001", "success", ("paid 00", &[]), ("accepted 01", &["10 paid 00"]), ("accepted 01", &["3 paid 00"]), 1),
    (
        "0222",
        "slow",
        ("accepted 01", &["5 paid 00"]),
        ("accepted 01", &["10 paid 00"]),
        ("accepted 01", &["5 paid 00"]),
        1,
    ),
    ("0333", "pending", ("pending 01", &[]), ("pending 01", &[]), ("pending 01", &[]), 0),
    ("0444", "invalid", ("refused NOACCOUNT", &[]), ("refused NOACCOUNT", &[]), ("refused NOACCOUNT", &[]), 0),
    ("0555", "bankdown", ("refused BANKDOWN", &[]), ("refused BANKDOWN", &[]), ("refused BANKDOWN", &[]), 0),
    (
        "0666",
        "latefail",
        ("accepted 01", &["5 refused RETURNED"]),
        ("accepted 01", &["5 refused RETURNED"]),
        ("accepted 01", &["5 refused RETURNED"]),
        0,
    ),
    (
        "0777",
        "reversed",
        ("paid 00", &["5 reversed REVERSED"]),
        ("accepted 01", &["10 paid 00", "15 reversed REVERSED"]),
        ("accepted 01", &["3 paid 00", "8 reversed REVERSED"]),
        1,
    ),
    ("0888", "timeout", ("-", &[]), ("-", &["10 paid 00"]), ("-", &["3 paid 00"]), 1),
    ("0999", "lost", ("-", &[]), ("-", &[]), ("-", &[]), 0),
    (
        "0123",
        "deemed",
        ("deemed 91", &["10 paid 00"]),
        ("deemed 91", &["20 paid 00"]),
        ("deemed 91", &["10 paid 00"]),
        1,
    ),
];

async fn check_outcome(rail: &str, beneficiary: Value, (first, later): Story, executions: i64) {
    let customer = Customer::new(config(None));
    let order = order("A1", rail, &beneficiary);
    let case = format!("{rail} {beneficiary}");
    let answer = customer.pay(&order).await;
    let said = answer.as_ref().map_or("-".to_owned(), |(status, body)| {
        assert_eq!((*status, text(body, "reference"), &body["amount_paise"]), (200, "A1", &json!(20_000)), "{case}");
        let code = text(body, "code");
        assert_eq!(body["retry_elsewhere"], json!(matches!(code, "BANKDOWN" | "NOIMPS")), "{case}");
        assert_eq!(body["retry_other_rail"], json!(code == "NOIMPS"), "{case}");
        assert_eq!(text(body, "rrn").is_empty(), text(body, "status") != "paid", "{case}");
        format!("{} {}", text(body, "status"), text(body, "code"))
    });
    assert_eq!(said, first, "{case}");
    customer.until_s(40).await;
    assert_eq!(customer.heard(), later, "{case}");
    let reply = customer.ask("GET", "/transfers/A1", "").await.expect("an answer");
    let standing: Value = serde_json::from_slice(&reply.body).expect("JSON");
    if beneficiary.to_string().contains("lost@") || beneficiary.to_string().contains("0999") {
        assert_eq!((reply.status, standing), (404, json!({"reference": "A1", "status": "not_found"})), "{case}");
        assert_eq!(customer.executions().await, [] as [i64; 0], "{case}");
        assert_eq!(customer.pay(&order).await, None, "{case}");
    } else {
        let last = format!("{} {}", text(&standing, "status"), text(&standing, "code"));
        let told = later.last().map_or(first, |line| line.split_once(' ').expect("a second").1);
        // Only an enquiry tells what became of an order that was never answered.
        let told = if told == "-" { "paid 00" } else { told };
        assert_eq!(last, told, "{case}");
        assert_eq!(customer.executions().await, [executions], "{case}");
        // Asked again, it says where it stands, also when it was silent before.
        assert_eq!(customer.pay(&order).await, Some((200, standing)), "{case}");
        assert_eq!(customer.executions().await, [executions], "{case}");
    }
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn every_outcome_on_every_rail() {
    for (suffix, vpa, instant, neft, rtgs, executions) in OUTCOMES {
        let number = account(&format!("5010001{suffix}"));
        let mobile = json!({"kind": "mobile", "mobile": format!("987654{suffix}"), "name": "Asha Rao"});
        let upi = json!({"kind": "upi", "vpa": format!("{vpa}@sandbox"), "name": "Asha Rao"});
        for (rail, beneficiary, story) in [
            ("IMPS", &number, instant),
            ("UPI", &number, instant),
            ("IMPS", &mobile, instant),
            ("UPI", &mobile, instant),
            ("UPI", &upi, instant),
            ("NEFT", &number, neft),
            ("RTGS", &number, rtgs),
        ] {
            check_outcome(rail, beneficiary.clone(), story, executions).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_without_imps_is_paid_over_other_rails() {
    let number = account("50100010345");
    check_outcome("IMPS", number.clone(), ("refused NOIMPS", &[]), 0).await;
    check_outcome("NEFT", number.clone(), ("accepted 01", &["10 paid 00"]), 1).await;
    check_outcome("RTGS", number, ("accepted 01", &["3 paid 00"]), 1).await;
}

#[tokio::test(start_paused = true)]
async fn neft_waits_for_the_half_hour_when_times_are_real() {
    let customer = Customer::new(BankConfig { times: Times::Real, ..config(None) });
    customer.pay(&order("N1", "NEFT", &account("50100010001"))).await.expect("an answer");
    customer.pay(&order("R1", "RTGS", &account("50100010001"))).await.expect("an answer");
    customer.until_s(3_600).await;
    // 08:23:20 to 08:30:00.
    assert_eq!(customer.heard(), ["30 paid 00", "400 paid 00"]);
    let (neft, rtgs) = (customer.get("/transfers/N1").await, customer.get("/transfers/R1").await);
    assert_eq!((text(&neft, "rrn"), text(&rtgs, "rrn")), ("SBOXN25001000001", "SBOXR52025010100000001"));
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_is_executed_once() {
    let customer = Customer::new(config(None));
    let first = order("A1", "IMPS", &account("50100010001"));
    let (a, b, c) = tokio::join!(customer.pay(&first), customer.pay(&first), customer.pay(&first));
    assert!(a.is_some() && a == b && b == c);
    assert_eq!(text(&a.expect("an answer").1, "rrn"), "500108000001");
    let mut later = first.clone();
    later["valid_until_us"] = json!(1);
    assert_eq!(customer.pay(&later).await, customer.pay(&first).await, "valid_until is not a detail of the payment");
    for (field, other) in [
        ("amount_paise", json!(20_001)),
        ("rail", json!("UPI")),
        ("beneficiary", account("50100010002")),
        ("beneficiary", json!({"kind": "mobile", "mobile": "9876543210", "name": "Asha Rao"})),
    ] {
        let mut changed = first.clone();
        changed[field] = other;
        let (status, body) = customer.pay(&changed).await.expect("an answer");
        assert_eq!((status, text(&body, "error")), (409, "`reference` is known, with other details"), "{field}");
    }
    assert_eq!(customer.executions().await, [1]);
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_request_is_refused_for_ever() {
    let customer = Customer::new(config(None));
    let mut order = order("A1", "IMPS", &account("50100010001"));
    order["valid_until_us"] = json!(START_US + 1_000_000);
    sleep(Duration::from_millis(1_001)).await;
    let (status, refused) = customer.pay(&order).await.expect("an answer");
    assert_eq!((status, text(&refused, "status"), text(&refused, "code")), (200, "refused", "EXPIRED"));
    assert_eq!(refused["retry_elsewhere"], json!(true));
    order["valid_until_us"] = json!(FOREVER);
    assert_eq!(customer.pay(&order).await, Some((200, refused)));
    assert_eq!((customer.executions().await, customer.heard().len()), (vec![0], 0));
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_in_the_queue_is_judged_when_it_is_decided() {
    let bank = Bank::open(config(None)).expect("the bank opens");
    let mut order = order("A1", "IMPS", &account("50100010001"));
    order["valid_until_us"] = json!(START_US + 1_000_000);
    let (asked, body) = (Arc::clone(&bank), Bytes::from(order.to_string()));
    let waiting = tokio::spawn(async move { asked.handle("POST", "/transfers", body).await });
    sleep(Duration::from_secs(2)).await;
    let book = tokio::spawn(Arc::clone(&bank).run_book());
    let reply = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(text(&serde_json::from_slice(&reply.body).expect("JSON"), "code"), "EXPIRED");
    bank.close();
    book.await.expect("the loop ends");
}

#[tokio::test(start_paused = true)]
async fn the_book_survives_a_restart() {
    let path = temporary("restart");
    let customer = Customer::new(config(Some(path.clone())));
    let (paid, slow) = (order("P1", "IMPS", &account("50100010001")), order("S1", "IMPS", &account("50100010222")));
    let (_, first) = customer.pay(&paid).await.expect("an answer");
    customer.pay(&slow).await.expect("an answer");
    let second_bank = Bank::open(config(Some(path.clone()))).err();
    assert_eq!(second_bank, Some(BankError::InUse { path: path.display().to_string() }));
    customer.close().await;

    sleep(Duration::from_secs(60)).await;
    let later = BankConfig { clock: Clock::held(START_US + 60_000_000), ..config(Some(path)) };
    let customer = Customer::new(later);
    customer.until_s(1).await;
    assert_eq!(customer.heard(), ["0 paid 00"], "what fell due meanwhile is done at the start");
    assert_eq!(customer.pay(&paid).await.expect("an answer").1, first);
    assert_eq!(customer.executions().await, [1, 1]);
    let rrns = [text(&first, "rrn").to_owned(), text(&customer.get("/transfers/S1").await, "rrn").to_owned()];
    assert_eq!(rrns, ["500108000001", "500108000002"], "serials go on");
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_repeated_until_2xx() {
    let customer = Customer::answering(config(None), |n| [500, 302, 404, 204][n.min(3)]);
    customer.pay(&order("A1", "IMPS", &account("50100010222"))).await.expect("an answer");
    customer.until_s(300).await;
    assert_eq!(customer.heard(), ["5 paid 00", "6 paid 00", "8 paid 00", "12 paid 00"]);
    {
        let heard = customer.heard.lock().expect("no panic");
        assert!(heard.iter().all(|one| one.body == heard[0].body), "each repetition says the same");
        let names: Vec<&str> = heard[0].headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]);
        assert_eq!((heard[0].headers[1].1.as_str(), text(&heard[0].body, "event_id")), ("evt_A1_paid", "evt_A1_paid"));
        assert_eq!(heard[0].headers[2].1, (START_US / 1_000_000 + 5).to_string());
        assert!(heard[0].headers[3].1.starts_with("v1,"));
        assert_eq!(heard[0].body["at_us"].as_i64().map(|at_us| (at_us - START_US) / 1_000_000), Some(5));
    }
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_repeated_after_a_restart() {
    let path = temporary("callbacks");
    let customer = Customer::answering(config(Some(path.clone())), |_| 503);
    customer.pay(&order("A1", "IMPS", &account("50100010222"))).await;
    customer.until_s(11).await;
    assert_eq!(customer.heard(), ["5 paid 00", "6 paid 00", "8 paid 00"]);
    customer.close().await;

    let later = BankConfig { clock: Clock::held(START_US + 3_600_000_000), ..config(Some(path.clone())) };
    let customer = Customer::new(later);
    customer.until_s(300).await;
    assert_eq!(customer.heard(), ["0 paid 00"]);
    customer.close().await;

    let customer = Customer::new(config(Some(path)));
    customer.until_s(300).await;
    assert_eq!(customer.heard(), [] as [&str; 0], "what was heard is not said again");
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn callbacks_wait_for_an_address() {
    let customer = Customer::new(BankConfig { callback_url: None, callback_secret: None, ..config(None) });
    for n in 0..200 {
        customer.pay(&order(&format!("A{n}"), "RTGS", &account("50100010001"))).await.expect("an answer");
    }
    customer.until_s(30).await;
    assert_eq!(customer.heard().len(), 0);
    customer.bank.set_callback_url("http://late.test/".to_owned());
    customer.until_s(31).await;
    assert_eq!(customer.heard().len(), 200);
    assert_eq!(customer.heard.lock().expect("no panic")[0].headers.len(), 3, "unsigned without a secret");
    customer.close().await;
}

async fn run_with_faults(seed: u64, backwards: bool) -> Vec<(String, String, i64)> {
    let faults = "timeout=0.2,drop=0.2,late=0.2,dup_callback=0.5".parse().expect("faults");
    let customer = Customer::new(BankConfig { faults, seed, ..config(None) });
    let mut numbers: Vec<usize> = (0..40).collect();
    if backwards {
        numbers.reverse();
    }
    let mut story = Vec::new();
    for n in numbers {
        let (reference, asked) = (format!("F{n}"), Instant::now());
        let body = order(&reference, "IMPS", &account("50100010001")).to_string();
        let reply = customer.bank.handle("POST", "/transfers", Bytes::from(body)).await;
        let waited_s = asked.elapsed().as_secs();
        let word = match (reply.is_some(), waited_s) {
            (true, 0) => "prompt",
            (true, 6..=9) => "late",
            (false, 0) => "dropped",
            (false, 60) => "silent",
            _ => panic!("{reference} was answered after {waited_s} s"),
        };
        let standing = customer.get(&format!("/transfers/{reference}")).await;
        assert_eq!(text(&standing, "status"), if word == "dropped" { "not_found" } else { "paid" }, "{reference}");
        story.push((reference, word.to_owned(), 0));
    }
    for line in &mut story {
        let said = |one: &&Heard| text(&one.body, "reference") == line.0;
        line.2 = customer.heard.lock().expect("no panic").iter().filter(said).count() as i64;
        assert_eq!(line.2 == 0, matches!(line.1.as_str(), "prompt" | "dropped"), "{line:?}");
    }
    story.sort();
    customer.close().await;
    story
}

#[tokio::test(start_paused = true)]
async fn faults_follow_the_seed_whatever_the_order() {
    let story = run_with_faults(7, false).await;
    assert_eq!(story, run_with_faults(7, true).await);
    assert_ne!(story, run_with_faults(8, false).await);
    for (word, copies) in [("prompt", 0), ("late", 1), ("late", 2), ("dropped", 0), ("silent", 1), ("silent", 2)] {
        assert!(story.iter().any(|line| (line.1.as_str(), line.2) == (word, copies)), "{word} {copies} happened");
    }
}

/// A field of a good order, the JSON that spoils it, and the field that the error must name.
const SPOILED: [(&str, &str, &str); 30] = [
    ("/reference", r#""a1""#, "reference"),
    ("/reference", r#""""#, "reference"),
    ("/reference", r#""ABCDEFGHIJKLMNOP""#, "reference"),
    ("/reference", "7", "reference"),
    ("/amount_paise", "0", "amount_paise"),
    ("/amount_paise", "-5", "amount_paise"),
    ("/amount_paise", "10.5", "amount_paise"),
    ("/amount_paise", r#""20000""#, "amount_paise"),
    ("/amount_paise", "9223372036854775807", "amount_paise"),
    ("/amount_paise", "18446744073709551615", "amount_paise"),
    ("/rail", r#""imps""#, "rail"),
    ("/rail", "null", "rail"),
    ("/valid_until_us", r#""soon""#, "valid_until_us"),
    ("/valid_until_us", "0", "valid_until_us"),
    ("/beneficiary", "[]", "beneficiary"),
    ("/beneficiary/kind", r#""iban""#, "beneficiary.kind"),
    ("/beneficiary/kind", r#""upi""#, "beneficiary.account_number"),
    ("/beneficiary/name", r#""""#, "beneficiary.name"),
    ("/beneficiary/name", r#""a\u0007""#, "beneficiary.name"),
    ("/beneficiary/account_number", r#""50 10""#, "beneficiary.account_number"),
    ("/beneficiary/account_number", "null", "beneficiary.account_number"),
    ("/beneficiary/account_number", "5", "beneficiary.account_number"),
    ("/beneficiary/ifsc", r#""HDFC1000001""#, "beneficiary.ifsc"),
    ("/beneficiary/ifsc", r#""hdfc0000001""#, "beneficiary.ifsc"),
    ("/beneficiary", r#"{"kind":"upi","vpa":"no-at","name":"A"}"#, "beneficiary.vpa"),
    ("/beneficiary", r#"{"kind":"upi","vpa":"a@b","name":"A"}"#, "rail"),
    ("/beneficiary", r#"{"kind":"mobile","mobile":"1234567890","name":"A"}"#, "beneficiary.mobile"),
    ("/beneficiary", r#"{"kind":"mobile","mobile":"9876543210"}"#, "beneficiary.name"),
    ("/beneficiary", r#"{"kind":"mobile","mobile":"9876543210","name":""}"#, "beneficiary.name"),
    ("/beneficiary", r#"{"kind":"mobile","mobile":"9876543210","name":"A","pin":1}"#, "beneficiary.pin"),
];

#[tokio::test(start_paused = true)]
async fn malformed_orders_are_told_which_field() {
    let customer = Customer::new(config(None));
    let good = order("A1", "IMPS", &account("50100010001"));
    for (field, value, named) in SPOILED {
        let mut bad = good.clone();
        *bad.pointer_mut(field).expect("a field of the order") = serde_json::from_str(value).expect("JSON");
        let (status, body) = customer.pay(&bad).await.expect("an answer");
        let error = text(&body, "error");
        assert!(status == 400 && error.contains(&format!("`{named}`")), "{bad} -> {status} {error}");
    }
    for (body, error) in [
        ("", "the body is not JSON"),
        ("{", "the body is not JSON"),
        ("[]", "the body must be a JSON object"),
        ("{}", "`reference` is missing"),
        (&good.to_string().replacen('{', r#"{"rail":"IMPS","#, 1), "the body has a field twice"),
        (&good.to_string().replacen('{', r#"{"note":"","#, 1), "`note` is not a field of the contract"),
    ] {
        let reply = customer.ask("POST", "/transfers", body).await.expect("an answer");
        let said: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!((reply.status, said), (400, json!({"error": error})), "{body}");
    }
    assert_eq!(customer.executions().await, [] as [i64; 0]);
    customer.close().await;
}

#[tokio::test(start_paused = true)]
async fn other_requests_have_their_status() {
    let customer = Customer::new(config(None));
    for (method, path, body, status) in [
        ("POST", "/transfers", " ".repeat(16 * 1024 + 1), 413),
        ("GET", "/transfers", String::new(), 405),
        ("DELETE", "/transfers/A1", String::new(), 405),
        ("POST", "/book", String::new(), 405),
        ("GET", "/", String::new(), 404),
        ("GET", "/transfers/", String::new(), 404),
        ("GET", "/transfers/a-b", String::new(), 404),
        ("GET", "/statement", String::new(), 400),
        ("GET", "/statement?date=2025-02-29", String::new(), 400),
        ("GET", "/healthz", String::new(), 200),
    ] {
        let reply = customer.ask(method, path, &body).await.expect("an answer");
        assert_eq!(reply.status, status, "{method} {path}");
    }
    customer.close().await;
}

/// The texts between `<tag ...>` and `</tag>`.
fn tags<'a>(xml: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let begins = |at: &usize| xml[at + 1 + tag.len()..].starts_with(['>', ' ']);
    let starts = xml.match_indices(&open).map(|(at, _)| at).filter(begins);
    starts.filter_map(|at| xml[at..].split_once('>')?.1.split_once(&close).map(|(text, _)| text)).collect()
}

fn paise(rupees: &str) -> i64 {
    rupees.replace('.', "").parse().expect("rupees with two decimals")
}

/// What Hundi reads in a statement: the balance before, what was moved, in how many lines, and the balance after.
fn read(xml: &str) -> (i64, i64, usize, i64) {
    let (mut before, mut sum, mut lines, mut after) = (None, 0, 0, None);
    formats::read(xml.as_bytes(), "", None, &mut |said| match said {
        Said::Begins(head) => {
            assert_eq!(&*head.account, "SANDBOX000001");
            before = head.opening_paise;
        }
        Said::Line(line) => {
            let back = line.side == Side::Credit;
            assert_eq!((line.returned, line.booked, line.references.len()), (back, true, 1));
            // An RRN, or a UTR where the rail has one.
            assert!(formats::clears(&line.bank_references[0]), "{line:?}");
            sum += if back { line.amount_paise } else { -line.amount_paise };
            lines += 1;
        }
        Said::Ends { closing_paise } => after = closing_paise,
        Said::Bad { at, why } => panic!("line {at}: {why}\n{xml}"),
    });
    (before.expect("an opening balance"), sum, lines, after.expect("an end"))
}

#[tokio::test(start_paused = true)]
async fn statements_add_up_from_day_to_day() {
    let customer = Customer::new(config(None));
    // Two days: the second order of each pair is reversed, the third never paid.
    for day in 0..2_u64 {
        customer.until_s(day * 86_400).await;
        for (n, suffix) in ["0001", "0777", "0444"].iter().enumerate() {
            let mut order = order(&format!("D{day}N{n}"), "IMPS", &account(&format!("5010001{suffix}")));
            order["amount_paise"] = json!(12_345 + n);
            customer.pay(&order).await.expect("an answer");
        }
        sleep(Duration::from_secs(10)).await;
    }
    let mut closing_before = "10000000000.00".to_owned();
    for (date, entries, references) in [
        ("2024-12-31", 0, vec![]),
        ("2025-01-01", 3, vec!["D0N0", "D0N1", "D0N1"]),
        ("2025-01-02", 3, vec!["D1N0", "D1N1", "D1N1"]),
    ] {
        let reply = customer.ask("GET", &format!("/statement?date={date}"), "").await.expect("an answer");
        assert_eq!((reply.status, reply.content_type), (200, "application/xml"));
        let xml = std::str::from_utf8(&reply.body).expect("UTF-8");
        let balances: Vec<&str> = tags(xml, "Bal").iter().map(|balance| tags(balance, "Amt")[0]).collect();
        let sum: i64 = tags(xml, "Ntry")
            .iter()
            .map(
                |entry| {
                    if entry.contains("DBIT") { -paise(tags(entry, "Amt")[0]) } else { paise(tags(entry, "Amt")[0]) }
                },
            )
            .sum();
        assert_eq!(balances[0], closing_before, "{date} opens where the day before closed");
        assert_eq!(paise(balances[0]) + sum, paise(balances[1]), "{date}");
        assert_eq!((tags(xml, "Ntry").len(), tags(xml, "EndToEndId")), (entries, references), "{date}");
        assert_eq!(sum, if entries == 0 { 0 } else { -12_345 });
        schema::check("camt.053.001.02", xml);
        assert_eq!(read(xml), (paise(&closing_before), sum, entries, paise(balances[1])), "{date}");
        closing_before = balances[1].to_owned();
    }
    let reply = customer.ask("GET", "/statement?date=2025-01-01", "").await.expect("an answer");
    let xml = std::str::from_utf8(&reply.body).expect("UTF-8");
    assert!(xml.contains("<CdtDbtInd>CRDT</CdtDbtInd><RvslInd>true</RvslInd>"));
    let (debit, credit) = (tags(xml, "Ntry")[1], tags(xml, "Ntry")[2]);
    assert_eq!(tags(debit, "AcctSvcrRef"), tags(credit, "AcctSvcrRef"), "a reversal carries the RRN of its debit");
    customer.close().await;
}

/// A day with every rail, debits and what came back, and one that ends below zero: each is what its schema describes.
#[tokio::test(start_paused = true)]
async fn a_statement_of_every_rail_is_valid() {
    let customer = Customer::new(config(None));
    for rail in ["IMPS", "NEFT", "RTGS", "UPI"] {
        for (suffix, vpa) in [("0001", "success"), ("0777", "reversed"), ("0444", "invalid")] {
            let number = account(&format!("5010001{suffix}"));
            let whom = if rail == "UPI" {
                json!({"kind": "upi", "vpa": format!("{vpa}@sandbox"), "name": "Asha & Rao"})
            } else {
                number
            };
            customer.pay(&order(&format!("{rail}{suffix}"), rail, &whom)).await.expect("an answer");
        }
    }
    customer.until_s(86_400).await;
    let mut all = order("ALL", "IMPS", &account("50100010001"));
    all["amount_paise"] = json!(1_000_000_000_000_i64);
    customer.pay(&all).await.expect("an answer");
    customer.until_s(86_460).await;
    let opened = 1_000_000_000_000;
    for (date, sums) in [
        ("2025-01-01", (opened, -80_000, 12, opened - 80_000)),
        ("2025-01-02", (opened - 80_000, -opened, 1, -80_000)),
        ("2025-01-03", (-80_000, 0, 0, -80_000)),
    ] {
        let reply = customer.ask("GET", &format!("/statement?date={date}"), "").await.expect("an answer");
        let xml = std::str::from_utf8(&reply.body).expect("UTF-8");
        schema::check("camt.053.001.02", xml);
        assert_eq!(read(xml), sums, "{date}");
        for rail in ["IMPS", "NEFT", "RTGS", "UPI"] {
            let told = xml.matches(&format!("<Cd>{rail}</Cd>")).count();
            assert_eq!(
                told,
                match date {
                    "2025-01-01" => 3,
                    "2025-01-02" => usize::from(rail == "IMPS"),
                    _ => 0,
                },
                "{date} {rail}"
            );
        }
    }
    customer.close().await;
}

/// More than the bank indexes in memory, and more than a page of the book.
#[tokio::test(start_paused = true)]
async fn a_large_book_is_whole_and_knows_its_references_after_a_restart() {
    const COUNT: usize = 35_000;
    let path = temporary("large");
    let customer = Customer::new(config(Some(path.clone())));
    for thousand in 0..COUNT / 1_000 {
        let pay = (0..1_000).map(|n| {
            let body = order(&format!("A{}", thousand * 1_000 + n), "IMPS", &account("50100010001")).to_string();
            let bank = Arc::clone(&customer.bank);
            tokio::spawn(async move {
                bank.handle("POST", "/transfers", Bytes::from(body)).await.expect("an answer").status
            })
        });
        for paid in pay.collect::<Vec<_>>() {
            assert_eq!(paid.await.expect("no panic"), 200);
        }
    }
    let reply = customer.ask("GET", "/statement?date=2025-01-01", "").await.expect("an answer");
    assert_eq!(tags(std::str::from_utf8(&reply.body).expect("UTF-8"), "Ntry").len(), COUNT);
    customer.close().await;

    let customer = Customer::new(config(Some(path)));
    for n in [0, 1_000, 32_767, 32_768, COUNT - 1] {
        let (status, body) =
            customer.pay(&order(&format!("A{n}"), "IMPS", &account("50100010001"))).await.expect("an answer");
        assert_eq!((status, text(&body, "rrn")), (200, format!("500108{:06}", n + 1).as_str()));
        let (status, _) =
            customer.pay(&order(&format!("A{n}"), "IMPS", &account("50100010002"))).await.expect("an answer");
        assert_eq!(status, 409, "A{n}");
    }
    assert_eq!(customer.executions().await, vec![1; COUNT]);
    customer.close().await;
}

#[tokio::test]
async fn a_file_that_is_no_book_is_refused() {
    let path = temporary("text");
    std::fs::write(&path, "this is a text and not a database, and it is long enough to be looked at".repeat(20))
        .expect("written");
    let error = Bank::open(config(Some(path.clone()))).err().expect("refused");
    assert_eq!(error, BankError::NotABook { path: path.display().to_string() });
    let error = Bank::open(config(Some(PathBuf::from("/nowhere/at/all.db")))).err().expect("refused");
    assert!(error.to_string().ends_with("make sure that its folder exists and can be written"), "{error}");
    let error = Bank::open(BankConfig { callback_secret: Some(vec![]), ..config(None) }).err().expect("refused");
    assert_eq!(error, BankError::EmptySecret);
}
