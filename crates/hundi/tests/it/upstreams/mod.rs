//! Banks of others, written from their documentation and not from our connectors: each keeps a small book, checks what it is
//! sent as strictly as its documents say, and pays, refuses, falls silent, reverses and calls back by the beneficiary.
//!
//! One table says what becomes of a payout at each of them, with webhooks that are signed, forged, or never come.

mod cashfree;
mod razorpayx;
mod siblings;

use super::support::{Folder, START, World, bank, operator};
use bytes::Bytes;
use hundi::admin::{self, MerchantChanges};
use hundi::clock::Clock;
use hundi::config::{self, Config, Connector};
use hundi::http_out::{HttpOut, Method, OutError, OutReply, OutRequest};
use hundi::reconcile::{self, Fed};
use hundi_bank::Faults;
use hundi_core::ids::Connector as Id;
use hyper::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What a bank does with a payment. The words of a failure are each bank's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Pays,
    PaysAfter(u64),
    Stays,
    Fails(Fault),
    PaysThenReverses(u64),
    /// The request is never answered.
    PaysInSilence,
    LosesInSilence,
    /// It answers 500 and has it all the same.
    PaysWithAnError,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    NoSuchAccount,
    BankDown,
    NoMoney,
}

/// The end of an account number, or the name before the `@`.
fn fate(beneficiary: &str) -> Fate {
    let end = beneficiary.split('@').next().unwrap();
    match &end[end.len().saturating_sub(4)..] {
        "0222" => Fate::PaysAfter(5),
        "0333" => Fate::Stays,
        "0444" => Fate::Fails(Fault::NoSuchAccount),
        "0555" => Fate::Fails(Fault::BankDown),
        "0556" => Fate::Fails(Fault::NoMoney),
        "0777" => Fate::PaysThenReverses(5),
        "0888" => Fate::PaysInSilence,
        "0999" => Fate::LosesInSilence,
        "0500" => Fate::PaysWithAnError,
        _ => Fate::Pays,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    Paid,
    Failed(Fault),
    Reversed,
}

/// A line of a bank's book.
#[derive(Clone, Debug)]
struct Entry {
    number: usize,
    reference: String,
    amount_paise: i64,
    fate: Fate,
    made_at: Instant,
    /// The request, to recognise it when it comes again.
    request: Value,
    /// The states that were called out.
    called: Vec<State>,
}

impl Entry {
    /// A failure is found out after two seconds, as at banks that answer before they pay.
    fn state(&self) -> State {
        let age = self.made_at.elapsed();
        let over = |seconds| age >= Duration::from_secs(seconds);
        match self.fate {
            Fate::PaysAfter(seconds) if !over(seconds) => State::Open,
            Fate::Stays => State::Open,
            Fate::Fails(fault) if over(2) => State::Failed(fault),
            Fate::Fails(_) => State::Open,
            Fate::PaysThenReverses(seconds) if over(seconds) => State::Reversed,
            _ => State::Paid,
        }
    }
}

type Book = Arc<Mutex<Vec<Entry>>>;

/// A bank's answer; `None` is silence.
type Reaction = Option<(u16, Value)>;

/// A call of a bank to us.
struct Hook {
    headers: Vec<(&'static str, String)>,
    body: String,
}

trait Upstream: Send + Sync + 'static {
    /// The name of its connector, and so of its host.
    fn name(&self) -> &'static str;
    /// The options of its connector; secrets go into files of this folder.
    fn connector(&self, folder: &Folder) -> Connector;
    fn book(&self) -> &Book;
    fn serve(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Reaction;
    /// The call about an entry that has come to this state.
    fn hook(&self, entry: &Entry, state: State, genuine: bool) -> Hook;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hooks {
    Genuine,
    Forged,
    None,
}

fn secret_file(folder: &Folder, name: &str, secret: &str) -> Option<std::path::PathBuf> {
    let path = folder.path().join(name);
    std::fs::write(&path, secret).unwrap();
    Some(path)
}

/// Hundi beside these banks, tried in this order; the sandbox bank comes last if it is asked for.
async fn beside(upstreams: &[Arc<dyn Upstream>], sandbox: bool, hooks: Hooks) -> World {
    let folder = Arc::new(Folder::new());
    let mut connectors = Vec::new();
    for upstream in upstreams {
        connectors.push((upstream.name().to_owned(), upstream.connector(&folder)));
    }
    let configure = |config: &mut Config| {
        let mut order: Vec<String> = connectors.iter().map(|(name, _)| name.clone()).collect();
        config.connectors = connectors.into_iter().collect();
        if sandbox {
            order.push("sandbox".to_owned());
        } else {
            config.sandbox = None;
        }
        config.connector_order = Some(order);
        let name = |name: &str| Some(name.to_owned());
        let columns = config::Columns {
            date: "Txn Day".to_owned(),
            narration: "Remarks".to_owned(),
            references: vec!["Order".to_owned()],
            debit: name("Out"),
            credit: name("In"),
            amount: None,
            side: None,
            balance: None,
        };
        config.reconcile.columns.insert("distril".to_owned(), columns);
    };
    let mut world = World::start(folder, bank(Faults::default(), 1), Clock::held(START), configure).await;
    admin::merchant_add(&world.app, "demo", "*:5.00", &operator()).await.unwrap();
    admin::fund(&world.app, "demo", "1000000.00", "OPENING", upstreams[0].name(), &operator()).await.unwrap();
    world.token = world.new_token("demo", "127.0.0.1").await;
    let callback_url = Some("http://merchant.test/cb".to_owned());
    let changes = MerchantChanges { callback_url, ..MerchantChanges::default() };
    admin::merchant_set(&world.app, "demo", changes, &operator()).await.unwrap();
    world.receivers.reached_by(out(upstreams.to_vec()));
    for upstream in upstreams.iter().filter(|_| hooks != Hooks::None) {
        let (app, upstream) = (Arc::clone(&world.app), Arc::clone(upstream));
        tokio::spawn(async move { clockwork(app, upstream, hooks == Hooks::Genuine).await });
    }
    world
}

/// Calls out what has changed, for ever.
async fn clockwork(app: Arc<hundi::App>, upstream: Arc<dyn Upstream>, genuine: bool) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut hooks = Vec::new();
        for entry in upstream.book().lock().unwrap().iter_mut() {
            let state = entry.state();
            if !entry.called.contains(&state) {
                entry.called.push(state);
                hooks.push(upstream.hook(entry, state, genuine));
            }
        }
        for hook in hooks {
            let mut request = Request::post(format!("/connectors/{}/callback", upstream.name()));
            for (name, value) in &hook.headers {
                request = request.header(*name, value);
            }
            let request = request.body(http_body_util::Full::new(Bytes::from(hook.body))).unwrap();
            let answer = hundi::http::router::api(Arc::clone(&app), [203, 0, 113, 9].into(), request).await;
            assert_eq!(answer.status(), 200, "a bank stops calling who refuses its calls");
        }
    }
}

/// HTTP to the hosts of the banks goes to them; merchants take everything.
fn out(upstreams: Vec<Arc<dyn Upstream>>) -> HttpOut {
    Arc::new(move |request: OutRequest| {
        let url = url::Url::parse(&request.url).unwrap();
        let host = url.host_str().unwrap_or_default().trim_end_matches(".test").to_owned();
        let upstream = upstreams.iter().find(|upstream| upstream.name() == host).cloned();
        Box::pin(async move {
            let Some(upstream) = upstream else {
                return Ok(OutReply { status: 204, body: Bytes::new(), truncated: false });
            };
            let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let reaction = upstream.serve(request.method, url.path(), &query, &request.headers, &request.body);
            let Some((status, body)) = reaction else {
                tokio::time::sleep(request.deadline).await;
                return Err(OutError::Silent("time-out".to_owned()));
            };
            Ok(OutReply { status, body: body.to_string().into(), truncated: false })
        })
    })
}

fn header<'a>(headers: &'a [(&str, String)], name: &str) -> &'a str {
    headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
}

/// Whether a text has so many characters, all of them allowed.
fn fits(value: &Value, chars: std::ops::RangeInclusive<usize>, allowed: impl Fn(char) -> bool) -> bool {
    value.as_str().is_some_and(|text| chars.contains(&text.chars().count()) && text.chars().all(allowed))
}

/// What becomes of a payout of 100.00 at every bank.
struct Row {
    beneficiary: &'static str,
    last: (i64, &'static str),
    told: &'static [&'static str],
    book: &'static [State],
    /// What it took from the wallet, paise: amount 100.00, fee 5.00, GST 0.90.
    cost: i64,
}

const COST: i64 = 10_590;

const fn row(
    beneficiary: &'static str,
    last: (i64, &'static str),
    told: &'static [&'static str],
    book: &'static [State],
    cost: i64,
) -> Row {
    Row { beneficiary, last, told, book, cost }
}

const ROWS: &[Row] = &[
    row("123456781111", (1, "Success"), &["Success"], &[State::Paid], COST),
    row("123456780222", (1, "Success"), &["Success"], &[State::Paid], COST),
    row("123456780333", (2, "Pending"), &[], &[State::Open], COST),
    row("123456780444", (0, "Failure"), &["Failure"], &[State::Failed(Fault::NoSuchAccount)], 0),
    row("123456780555", (0, "Failure"), &["Failure"], &[State::Failed(Fault::BankDown)], 0),
    row("123456780556", (0, "Failure"), &["Failure"], &[State::Failed(Fault::NoMoney)], 0),
    row("123456780777", (0, "Reversal"), &["Success", "Reversal"], &[State::Reversed], 0),
    row("123456780888", (1, "Success"), &["Success"], &[State::Paid], COST),
    row("123456780500", (1, "Success"), &["Success"], &[State::Paid], COST),
    // "Not found" is never final at these banks: the money waits for a person.
    row("123456780999", (2, "Pending"), &[], &[], COST),
    row("ravi@okbank", (1, "Success"), &["Success"], &[State::Paid], COST),
    row("slow0222@okbank", (1, "Success"), &["Success"], &[State::Paid], COST),
    // Not carried: refused before anything is sent.
    row("9876543210", (0, "Failure"), &["Failure"], &[], 0),
];

async fn pay(world: &World, order: &str, beneficiary: &str) {
    let mut body = json!({
        "Token": world.token, "Amount": "100", "TransferMode": "UPI", "BeneficiaryName": "RUPESH KUMAR", "OrderID": order,
    });
    match beneficiary {
        vpa if vpa.contains('@') => body["UPIId"] = json!(vpa),
        mobile if mobile.len() == 10 => body["BeneficiaryPhoneNo"] = json!(mobile),
        account => {
            body["TransferMode"] = json!("IMPS");
            body["AccountNo"] = json!(account);
            body["IFSCCode"] = json!("HDFC0000001");
        }
    }
    let answer = world.post("/PayoutBankTransafer", &body.to_string()).await;
    assert!([0, 1, 2].contains(&answer.code()), "{}", answer.body);
}

fn told(world: &World, order: &str) -> Vec<String> {
    let mine = format!("clientTxnRef={order}&");
    let status = |url: &str| url.split("&status=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
    let calls = world.receivers.calls();
    calls.iter().filter(|call| call.url.contains(&mine)).map(|call| status(&call.url)).collect()
}

async fn every_fate_ends_as_its_row_says(new: fn() -> Arc<dyn Upstream>) {
    for hooks in [Hooks::Genuine, Hooks::Forged, Hooks::None] {
        let upstream = new();
        let world = beside(&[Arc::clone(&upstream)], false, hooks).await;
        let mut cost = 0;
        for (number, row) in ROWS.iter().enumerate() {
            if hooks == Hooks::None && row.book == [State::Reversed] {
                // Nobody asks about what is paid until the bank calls; the statement would tell.
                continue;
            }
            let (order, before) = (format!("ORDER-{number}"), upstream.book().lock().unwrap().len());
            pay(&world, &order, row.beneficiary).await;
            world.pass(Duration::from_secs(120)).await;
            let answer = world.status(&order).await.json();
            let last = (answer["StatusCode"].as_i64().unwrap(), answer["Data"]["Status"].as_str().unwrap());
            assert_eq!(last, row.last, "{} {hooks:?}: {answer}", row.beneficiary);
            let rrn = answer["Data"]["RRN"].as_str().unwrap();
            let paid = matches!(row.last.1, "Success" | "Reversal");
            assert_eq!(rrn.len() == 12, paid, "{} {hooks:?}: {answer}", row.beneficiary);
            assert_eq!(told(&world, &order), row.told, "{} {hooks:?}", row.beneficiary);
            let book: Vec<State> = upstream.book().lock().unwrap()[before..].iter().map(Entry::state).collect();
            assert_eq!(book, row.book, "{} {hooks:?}", row.beneficiary);
            cost += row.cost;
            let left = 100_000_000 - cost;
            assert_eq!(world.balance().await, format!("\"{}.{:02}\"", left / 100, left % 100), "{}", row.beneficiary);
        }
        books_agree(&world, &[upstream]).await;
    }
}

/// What we call paid is what the banks have paid, and no bank has a reference twice.
async fn books_agree(world: &World, upstreams: &[Arc<dyn Upstream>]) {
    let mut theirs = 0;
    for upstream in upstreams {
        let book = upstream.book().lock().unwrap().clone();
        theirs += book.iter().filter(|entry| entry.state() == State::Paid).map(|entry| entry.amount_paise).sum::<i64>();
        let references: BTreeSet<&str> = book.iter().map(|entry| entry.reference.as_str()).collect();
        assert_eq!(references.len(), book.len(), "{} has a reference twice", upstream.name());
    }
    let ours =
        "SELECT COALESCE(CAST(SUM(amount_paise) AS BIGINT), 0) FROM payouts WHERE state = 4 AND connector <> 'sandbox'";
    assert_eq!(world.number(ours).await, theirs);
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn every_fate_at_razorpayx_ends_as_its_row_says() {
    every_fate_ends_as_its_row_says(|| Arc::new(razorpayx::Sim::default())).await;
}

/// Has the bank list a day and compares it: how many lines, announced ones, known and moved payouts, and what differs.
async fn day(world: &World, day: &str) -> (Value, [u64; 4], Vec<&'static str>) {
    let connector = Id::parse("rzp").unwrap();
    let (said, hash) = reconcile::listed(&world.app, connector, day).await.unwrap();
    let (to, mut fed) = mpsc::channel(2);
    to.try_send(Fed::Said(said)).unwrap();
    to.try_send(Fed::Ended(hash)).unwrap();
    let report = reconcile::reconcile(&world.app, &mut fed, connector, &operator()).await.unwrap();
    let counts = [report.lines, report.announced, report.known, report.moved];
    (report.document(), counts, report.told.into_keys().collect())
}

/// The list of an account's transactions is a statement: it proves what is paid, finds what Hundi was not told of, and its sums
/// must tie. On an account that pays fees with each payout, each fee is a debit that no payout explains.
#[tokio::test(start_paused = true)]
async fn what_razorpayx_lists_of_a_day_is_a_statement() {
    for lite in [false, true] {
        let sim = if lite { razorpayx::Sim::lite() } else { razorpayx::Sim::default() };
        let upstream: Arc<dyn Upstream> = Arc::new(sim);
        let world = beside(&[Arc::clone(&upstream)], false, Hooks::None).await;
        // 100 are a page of the list.
        for number in 0..102 {
            pay(&world, &format!("ORDER-{number}"), "123456781111").await;
        }
        let mut others = vec![("FAILS", "123456780444"), ("COMES-BACK", "123456780777"), ("DOWN", "123456780555")];
        others.extend((!lite).then_some(("STAYS", "123456780333")));
        for (order, beneficiary) in others {
            pay(&world, order, beneficiary).await;
        }
        world.pass(Duration::from_secs(600)).await;
        let early = reconcile::listed(&world.app, Id::parse("rzp").unwrap(), "2026-11-22").await.unwrap_err();
        assert!(early.contains("is not over"), "{early}");
        world.pass(Duration::from_secs(24 * 3_600)).await;
        let (document, counts, told) = day(&world, "2026-11-22").await;
        // What failed was not debited. What the gateway was down for was, and came back: neither line is a payment. What stays
        // is announced. Of what came back after it was paid the line tells, or the answer to the question that it makes us ask.
        let fees = if lite { 106 } else { 0 };
        let told: Vec<_> = told.into_iter().filter(|kind| *kind != "reversal_unannounced").collect();
        let expected: &[&str] = if lite { &["unknown_credit", "unknown_debit"] } else { &[] };
        assert_eq!(told, expected, "{document:#}");
        let [lines, announced, known, moved] = counts;
        assert_eq!([lines, announced, known + moved], [106 + fees, u64::from(!lite), 106], "{document:#}");
        let statement = &document["statements"][0];
        let closing = if lite { json!("989198.20") } else { Value::Null };
        assert_eq!((&statement["compared"], &statement["closing"]), (&json!(true), &closing), "{document:#}");
        assert_eq!(world.status("COMES-BACK").await.json()["Data"]["Status"], "Reversal");
        // Asked again, it says the same, and nothing moves.
        let (document, again, _) = day(&world, "2026-11-22").await;
        assert_eq!(again, [106 + fees, u64::from(!lite), 0, 0], "{document:#}");
        assert_eq!(document["repeated"], 106 + fees);
        let (document, ..) = day(&world, "2026-11-21").await;
        assert_eq!((&document["clean"], &document["lines"]), (&json!(true), &json!(0)), "{document:#}");
        books_agree(&world, &[upstream]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_fate_at_cashfree_ends_as_its_row_says() {
    every_fate_ends_as_its_row_says(|| Arc::new(cashfree::Sim::signed(|_| {}))).await;
}

/// Without a signature that Cashfree can read, by whose client it is and how old, nothing is done, and the payout waits for the
/// operator to put it right.
#[tokio::test(start_paused = true)]
async fn cashfree_does_nothing_of_what_is_not_signed_for_it() {
    type Change = fn(&mut cashfree::Second);
    let rows: [(&str, Change, bool); 6] = [
        ("as it should be", |_| {}, true),
        ("the key of another", |second| second.given = Some(cashfree::pair().1), false),
        ("no key", |second| second.given = None, false),
        ("a clock that is right enough", |second| second.ahead_s = 590, true),
        ("a clock ten minutes behind theirs", |second| second.ahead_s = 601, false),
        ("a clock ahead of theirs", |second| second.ahead_s = -60, false),
    ];
    for (what, change, pays) in rows {
        let upstream: Arc<dyn Upstream> = Arc::new(cashfree::Sim::signed(change));
        let world = beside(&[Arc::clone(&upstream)], false, Hooks::None).await;
        pay(&world, "A", "123456781111").await;
        world.pass(Duration::from_secs(120)).await;
        let (code, word, rows) = if pays { (1, "Success", 1) } else { (2, "Pending", 0) };
        let answer = world.status("A").await.json();
        assert_eq!((&answer["StatusCode"], &answer["Data"]["Status"]), (&json!(code), &json!(word)), "{what}");
        assert_eq!(upstream.book().lock().unwrap().len(), rows, "{what}");
        // Turned away is not refused: no attempt is used up, and it is sent when the key or the clock is put right.
        let waits = "SELECT COUNT(*) FROM payouts WHERE state = 1 AND attempts <= 1";
        assert_eq!(world.number(waits).await, i64::from(!pays), "{what}");
        let tested = hundi::connectors::admin::test(&world.app, "cf").await;
        assert_eq!(tested.is_ok(), pays, "{what}: {tested:?}");
        books_agree(&world, &[upstream]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_fate_at_wowpe_ends_as_its_row_says() {
    every_fate_ends_as_its_row_says(|| Arc::new(siblings::Sim::wowpe())).await;
}

/// Distril answers no questions: what its reply does not call paid stays open, whatever its webhooks say, until the bank's
/// statement tells. Nothing is given back, and nothing is sent again.
#[tokio::test(start_paused = true)]
async fn what_distril_does_not_call_paid_waits_for_a_statement() {
    let upstream: Arc<dyn Upstream> = Arc::new(siblings::Sim::distril());
    let world = beside(&[Arc::clone(&upstream)], false, Hooks::Genuine).await;
    for (order, beneficiary, last) in [
        ("A", "123456781111", (1, "Success")),
        ("B", "123456780222", (2, "Pending")),
        ("C", "123456780444", (2, "Pending")),
        ("D", "123456780888", (2, "Pending")),
        ("E", "123456780999", (2, "Pending")),
        // Nobody here carries UPI: nothing is sent, and it waits for somebody who does.
        ("F", "ravi@okbank", (2, "Pending")),
        ("G", "9876543210", (2, "Pending")),
    ] {
        pay(&world, order, beneficiary).await;
        world.pass(Duration::from_secs(6 * 3_600)).await;
        let answer = world.status(order).await.json();
        let became = (answer["StatusCode"].as_i64().unwrap(), answer["Data"]["Status"].as_str().unwrap());
        assert_eq!(became, last, "{order} {beneficiary}: {answer}");
    }
    let said = hundi::connectors::admin::test(&world.app, "distril").await.unwrap_err();
    assert!(said.contains("answers no questions"), "{said}");
    // The table of its account, which names its columns as no bank does that is known: what was paid is in it.
    let entries = upstream.book().lock().unwrap().clone();
    let mut file = String::from("Txn Day|Remarks|Order|Out|In\n");
    for entry in entries.iter().filter(|entry| entry.state() == State::Paid) {
        file += &format!("22-11-2026|PAYOUT 40911120{:04}|{}|100.00|\n", entry.number, entry.reference);
    }
    let (to, mut fed) = mpsc::channel(2);
    let columns = world.app.config.reconcile.columns.get("distril").cloned();
    let reader = tokio::task::spawn_blocking(move || reconcile::feed(file.as_bytes(), "", columns.as_ref(), &to));
    let connector = Id::parse("distril").unwrap();
    let report = reconcile::reconcile(&world.app, &mut fed, connector, &operator()).await.unwrap();
    reader.await.unwrap();
    assert_eq!((report.lines, report.known, report.moved, report.bad), (3, 1, 2, 0), "{:#}", report.document());
    assert!(report.told.is_empty(), "{:#}", report.document());
    for (order, code) in [("A", 1), ("B", 1), ("C", 2), ("D", 1), ("E", 2)] {
        assert_eq!(world.status(order).await.code(), code, "{order}");
    }
    assert_eq!(entries.len(), 4);
    books_agree(&world, &[upstream]).await;
}

/// What waits for its turn with a bank that may be called only so often is held back by us: the bank is as well as it was, and
/// all of it goes there in time.
#[tokio::test(start_paused = true)]
async fn our_own_pace_is_no_illness() {
    let upstream: Arc<dyn Upstream> = Arc::new(razorpayx::Sim::default());
    let world = beside(&[Arc::clone(&upstream)], true, Hooks::Genuine).await;
    let orders: Vec<String> = (0..100).map(|number| format!("ORDER-{number}")).collect();
    futures_util::future::join_all(orders.iter().map(|order| pay(&world, order, "123456781111"))).await;
    world.pass(Duration::from_secs(120)).await;
    let metrics = world.operations("/metrics").await;
    assert!(!metrics.contains("hundi_connector_ills_total{connector=\"rzp\"}"), "{metrics}");
    let paid = "SELECT COUNT(*) FROM payouts WHERE state = 4 AND connector = 'rzp'";
    assert_eq!((world.number(paid).await, upstream.book().lock().unwrap().len()), (100, 100));
    books_agree(&world, &[upstream]).await;
}

/// What one bank cannot carry or will not pay for a reason of its own, the next one pays; who is paid is paid once.
#[tokio::test(start_paused = true)]
async fn what_one_bank_cannot_carry_another_pays() {
    let upstreams: [Arc<dyn Upstream>; 2] =
        [Arc::new(razorpayx::Sim::default()), Arc::new(cashfree::Sim::never_down())];
    let world = beside(&upstreams, true, Hooks::Genuine).await;
    for (order, beneficiary, by) in [
        ("A", "ravi@okbank", "rzp"),
        // RazorpayX takes no underscore, and nobody but the sandbox bank pays to a mobile number.
        ("B", "ravi_k@okbank", "cf"),
        ("C", "9876543210", "sandbox"),
        // A bank that is down, or has no money of ours.
        ("D", "123456780555", "cf"),
        ("E", "123456780556", "cf"),
    ] {
        pay(&world, order, beneficiary).await;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.status(order).await.code(), 1, "{order} {beneficiary}");
        let sql = format!("SELECT COUNT(*) FROM payouts WHERE order_id = '{order}' AND connector = '{by}'");
        assert_eq!(world.number(&sql).await, 1, "{order} {beneficiary} by {by}");
        assert_eq!(told(&world, order), ["Success"]);
    }
    // A fault of the beneficiary's is tried nowhere else.
    pay(&world, "F", "123456780444").await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.status("F").await.code(), 0);
    assert_eq!(upstreams[1].book().lock().unwrap().len(), 3);
    books_agree(&world, &upstreams).await;
}
