//! Incoming credits: a statement funds wallets by rules, closes what was booked by hand, and what nobody knows lies in the
//! house's suspense. However often and in whichever words a credit is told, it is booked once.

use super::support::{KEY, START, World, operator};
use crate::database::{Engine, run_sql};
use hundi::credits::{Ask, By};
use hundi::keys::Keys;
use hundi::proposals;
use hundi::reconcile::{Fed, Report, reconcile};
use hundi::store::Store;
use hundi::{App, admin, credits, writer};
use hundi_core::formats::{Head, Line, Said, Side};
use hundi_core::ids::{Actor, Connector};
use hundi_core::schedule::{HOUR, SECOND};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What a clearing system calls credits.
const UTR: [&str; 4] = ["HDFCN52026112200001", "HDFCN52026112200002", "HDFCN52026112200003", "HDFCN52026112200004"];

fn sandbox() -> Connector {
    Connector::parse("sandbox").unwrap()
}

/// A credit of some rupees, with what the bank calls it and what it says; what is read in its words begins with `~`.
fn credit(rupees: i64, names: &[&str], narration: &str) -> Line {
    let (words, fields): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with('~'));
    Line {
        bank_references: fields.into_iter().map(Into::into).collect(),
        narrated: words.into_iter().filter_map(|name| name.strip_prefix('~')).map(Into::into).collect(),
        narration: narration.into(),
        ..Line::new(Side::Credit, rupees * 100, START)
    }
}

/// A file with these lines. It begins and ends, so what it lacks is looked for too.
fn file(lines: &[Line], hours: (i64, i64)) -> Vec<Said> {
    let period = Some((START.after(hours.0 * HOUR), START.after(hours.1 * HOUR)));
    let head = Head { id: "1".into(), account: "SANDBOX000001".into(), opening_paise: None, period, whole: false };
    let lines = lines.iter().cloned().map(|line| Said::Line(Box::new(line)));
    [Said::Begins(head)].into_iter().chain(lines).chain([Said::Ends { closing_paise: Some(0) }]).collect()
}

async fn read_by(app: &App, said: Vec<Said>) -> Result<Report, String> {
    let (to, mut fed) = mpsc::channel(2);
    to.try_send(Fed::Said(said)).unwrap();
    to.try_send(Fed::Ended([7; 32])).unwrap();
    reconcile(app, &mut fed, sandbox(), &operator()).await
}

async fn read(world: &World, lines: &[Line]) -> Report {
    read_by(&world.app, file(lines, (-1, 0))).await.unwrap()
}

async fn rule(world: &World, merchant: &str, by: &str) -> Result<Value, String> {
    let by = match by.strip_prefix("account ") {
        Some(number) => By { account: Some(number.into()), words: None, connector: "sandbox".into() },
        None => By { account: None, words: Some(by.into()), connector: "sandbox".into() },
    };
    credits::rule(&world.app, Ask::Add { id: merchant.into(), by }, &operator()).await
}

/// A world with acme, who has a virtual account and words, and zen, who has words; both have nothing.
async fn world() -> World {
    let world = World::new().await;
    for merchant in ["acme", "zen"] {
        admin::merchant_add(&world.app, merchant, "free", &operator()).await.unwrap();
    }
    for (merchant, by) in [("acme", "account 2223 33-00 acme01"), ("acme", "ACME PAY"), ("zen", "ZENI*")] {
        rule(&world, merchant, by).await.unwrap();
    }
    world
}

async fn wallet(world: &World, merchant: &str) -> String {
    admin::merchant_show(&world.app, merchant, false).await.unwrap()["wallet"].as_str().unwrap().to_owned()
}

/// The wallets of acme and zen, and the suspense.
async fn holds(world: &World) -> [String; 3] {
    let house = proposals::house(&world.app).await.unwrap();
    [wallet(world, "acme").await, wallet(world, "zen").await, house["suspense"].as_str().unwrap().to_owned()]
}

async fn open(world: &World) -> Vec<String> {
    let open = admin::exception_list(&world.app).await.unwrap();
    let mut open: Vec<String> =
        open.as_array().unwrap().iter().map(|one| one["exception_id"].as_str().unwrap().to_owned()).collect();
    open.sort();
    open
}

async fn fund(world: &World, merchant: &str, rupees: &str, reference: &str) -> Result<Value, String> {
    admin::fund(&world.app, merchant, rupees, reference, "sandbox", &operator()).await
}

/// One proposes and another approves.
async fn two(world: &World, ask: proposals::Ask) -> Result<Value, String> {
    let app = &world.app;
    let proposed = proposals::propose(app, ask, "looked at", &Actor::Operator("asha".into())).await?;
    proposals::approve(app, proposed["proposal_id"].as_i64().unwrap(), &Actor::Operator("ravi".into())).await
}

fn identify(merchant: &str, reference: &str) -> proposals::Ask {
    proposals::Ask::Identify { merchant: merchant.into(), reference: reference.into(), connector: "sandbox".into() }
}

/// Whose a line is: a table of lines, and what each leaves in acme's wallet, in zen's and in suspense.
#[tokio::test(start_paused = true)]
async fn a_credit_is_whose_rules_it_meets() {
    let paid_into = |number: &str| Line { paid_into: number.into(), ..credit(7, &[UTR[0]], "NEFT") };
    let referring = |text: &str| Line { references: vec![text.into()], ..credit(7, &[UTR[0]], "NEFT") };
    for (line, funded) in [
        (credit(7, &[UTR[0]], "NEFT acme-pay 17"), "acme"),
        (credit(7, &[UTR[0]], "NEFT acme co pay"), "suspense"),
        (credit(7, &[UTR[0]], "NEFT TO 22233300ACME01 FROM RAVI"), "acme"),
        (credit(7, &[UTR[0]], "NEFT TO 22233300ACME012"), "suspense"),
        (paid_into("22233300ACME01"), "acme"),
        (paid_into("2223 3300 ACME01"), "acme"),
        (paid_into("SANDBOX000001"), "suspense"),
        (referring("ACME PAY"), "acme"),
        (referring("ZENITH7"), "zen"),
        (credit(7, &[], "zeni"), "zen"),
        (credit(7, &[], ""), "suspense"),
        // Two rules of one merchant are his, rules of two are nobody's.
        (credit(7, &[UTR[0]], "ACME PAY 22233300ACME01"), "acme"),
        (credit(7, &[UTR[0]], "ACME PAY ZENITH"), "suspense"),
        // Announced only, a debit, or something that comes back: no credit.
        (Line { booked: false, ..credit(7, &[UTR[0]], "ACME PAY") }, ""),
        (Line { side: Side::Debit, ..credit(7, &[UTR[0]], "ACME PAY") }, ""),
        (Line { returned: true, ..credit(7, &[UTR[0]], "ACME PAY") }, ""),
    ] {
        let world = world().await;
        let report = read(&world, std::slice::from_ref(&line)).await;
        let expected = ["acme", "zen", "suspense"].map(|one| if one == funded { "7.00" } else { "0.00" });
        assert_eq!(holds(&world).await, expected, "{line:?}");
        let counted = (u64::from(["acme", "zen"].contains(&funded)), u64::from(funded == "suspense"));
        assert_eq!((report.funded, report.suspended), counted, "{line:?}");
        let told = open(&world).await;
        assert_eq!(
            told.iter().any(|id| id.ends_with("/unknown_credit")),
            funded == "suspense" || line.returned,
            "{told:?}"
        );
        // The same file again changes nothing.
        let again = read(&world, std::slice::from_ref(&line)).await;
        assert_eq!((again.funded, again.suspended), (0, 0), "{line:?}");
        assert_eq!((holds(&world).await, open(&world).await), (expected.map(str::to_owned), told), "{line:?}");
        world.verify().await;
    }
}

/// Rules that would take the same credits belong to one merchant; every change is in the history, without the number.
#[tokio::test(start_paused = true)]
async fn rules_do_not_overlap() {
    let world = world().await;
    for (merchant, by, says) in [
        ("acme", "acme pay", "has a rule for words `ACME PAY`"),
        ("zen", "account 22233300ACME01", "account ..ME01 at sandbox and the rule of merchant `acme`"),
        ("zen", "22233300ACME01", "would take the same credits"),
        ("zen", "ACME*", "would take the same credits"),
        ("zen", "ACME PAY NOW", "would take the same credits"),
        ("acme", "account ZENITH0001", "would take the same credits"),
        ("acme", "abc", "fewer than 4"),
        ("acme", "account 12", "--account is not 6 to 35 letters"),
        ("nobody", "NOBODY", "no merchant `nobody`"),
    ] {
        let refused = rule(&world, merchant, by).await.unwrap_err();
        assert!(refused.contains(says), "{merchant} {by}: {refused}");
        assert!(!by.starts_with("account") || !refused.contains("22233300"), "{refused}");
    }
    // A merchant's own may overlap, and another bank's are others.
    rule(&world, "acme", "ACME PAY NOW").await.unwrap();
    let by = By { account: None, words: Some("ACME PAY".into()), connector: "other".into() };
    credits::rule(&world.app, Ask::Add { id: "zen".into(), by }, &operator()).await.unwrap();
    let by = By { account: Some("22233300acme01".into()), words: None, connector: "sandbox".into() };
    let foreign = Ask::Remove { id: "zen".into(), by: by.clone() };
    assert!(credits::rule(&world.app, foreign, &operator()).await.unwrap_err().contains("has no rule"));
    let left = credits::rule(&world.app, Ask::Remove { id: "acme".into(), by }, &operator()).await.unwrap();
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");
    rule(&world, "zen", "account 22233300ACME01").await.unwrap();
    let all = credits::rule(&world.app, Ask::List { id: None }, &operator()).await.unwrap();
    let account = all.as_array().unwrap().iter().find(|one| one["account"] != Value::Null).unwrap();
    assert_eq!((&account["account"], &account["merchant_id"]), (&json!("..ME01"), &json!("zen")), "{all}");
    let history = admin::merchant_show(&world.app, "acme", false).await.unwrap()["history"].to_string();
    assert!(
        history.contains("credit rule removed: account ..ME01 at sandbox") && history.contains("tester"),
        "{history}"
    );
    assert!(!history.contains("22233300"), "{history}");
    assert_eq!(world.number("SELECT COUNT(*) FROM credit_rules WHERE shown LIKE '%3300%'").await, 0);
}

/// Two equal credits are two, in one file; told again in other words they are the same two.
#[tokio::test(start_paused = true)]
async fn one_credit_told_in_two_ways_funds_once() {
    let world = world().await;
    let first = [
        credit(5, &[UTR[0], "BANK0001"], "ACME PAY"),
        credit(5, &[], "ACME PAY CASH"),
        credit(5, &[], "ACME PAY CASH"),
    ];
    let report = read(&world, &first).await;
    assert_eq!((report.funded, holds(&world).await[0].as_str()), (3, "15.00"), "{:#}", report.document());
    // A longer file of the same day has a fourth.
    let mut longer = first.to_vec();
    longer.extend([credit(5, &[], "ACME PAY CASH"), credit(5, &[], "ACME PAY TELLER")]);
    assert_eq!((read(&world, &longer).await.funded, holds(&world).await[0].as_str()), (2, "25.00"));
    // Another format: by its UTR it is known, without one nobody knows which of them it is.
    let other = [
        credit(5, &["BANK0001", UTR[0]], "N/ACME PAY/5"),
        credit(5, &["BANK0001"], "ACME PAY"),
        credit(5, &[], "C/ACME PAY/5"),
        credit(5, &["000012345678"], "D/ACME PAY/5"),
        // It has a UTR of its own, and may be the one by cash all the same, which has none.
        credit(5, &[UTR[1]], "ACME PAY"),
    ];
    let report = read(&world, &other).await;
    assert_eq!((report.known, report.funded), (1, 0), "{:#}", report.document());
    assert_eq!(report.told.get("credit_doubtful"), Some(&4), "{:#}", report.document());
    assert_eq!(holds(&world).await, ["25.00", "0.00", "0.00"]);
    assert_eq!(open(&world).await.iter().filter(|id| id.ends_with("/credit_doubtful")).count(), 4);
    // Nobody funds by another name what is booked under one.
    assert!(fund(&world, "zen", "5", "BANK0001").await.unwrap_err().contains(UTR[0]));
    // Every file again.
    for lines in [&first[..], &longer, &other] {
        let again = read(&world, lines).await;
        assert_eq!((again.funded, again.suspended), (0, 0));
    }
    assert_eq!(holds(&world).await, ["25.00", "0.00", "0.00"]);
    world.verify().await;
}

/// A payer who writes what another's payment is called beside his own does not make that one "known": the bank's own field
/// wins, and where there is none, a person looks. By each way on which the first file tells of it.
#[tokio::test(start_paused = true)]
async fn nobody_makes_anothers_credit_disappear() {
    for (first, funded, told) in [
        // The bank has a field for it: what else is written there is no name of it.
        (credit(5, &[UTR[0], &format!("~{}", UTR[1])], "ACME PAY"), "10.00", 0),
        (credit(5, &["BANK0001", UTR[0], &format!("~{}", UTR[1])], "ACME PAY"), "10.00", 0),
        // It has none, or a number of its own only: nobody can tell, in whichever order they came.
        (credit(5, &[&format!("~{}", UTR[1])], "ACME PAY"), "5.00", 1),
        (credit(5, &["BANK0001", &format!("~{}", UTR[0]), &format!("~{}", UTR[1])], "ACME PAY"), "5.00", 1),
        (Line { references: vec![UTR[1].into()], ..credit(5, &["BANK0001"], "ACME PAY") }, "5.00", 1),
    ] {
        let victim = credit(5, &[UTR[1]], "ACME PAY NEFT");
        for order in [[&first, &victim], [&victim, &first]] {
            let world = world().await;
            for line in order {
                let report = read(&world, std::slice::from_ref(line)).await;
                assert_eq!(report.known, 0, "{line:?}: {:#}", report.document());
            }
            assert_eq!(holds(&world).await, [funded, "0.00", "0.00"], "{order:?}");
            let doubtful = open(&world).await.iter().filter(|id| id.ends_with("/credit_doubtful")).count();
            assert_eq!(doubtful, told, "{order:?}");
            // A person who books it by what the payer wrote is not told that it is booked.
            let by_hand = fund(&world, "acme", "5", UTR[1]).await;
            let known = order[0].bank_references.contains(&UTR[1].into()) || told == 0;
            assert_eq!(by_hand.is_ok(), known, "{order:?}: {by_hand:?}");
            assert_eq!(holds(&world).await[0], funded, "{order:?}");
            for line in order {
                let again = read(&world, std::slice::from_ref(line)).await;
                assert_eq!((again.funded, again.suspended), (0, 0), "{line:?}");
            }
            world.verify().await;
        }
    }
}

/// Where a bank has no field for a payment's name, two payers may have written the same: the second is not passed over as
/// read before.
#[tokio::test(start_paused = true)]
async fn two_credits_with_the_same_words_are_not_one() {
    let world = world().await;
    let words = format!("~{}", UTR[1]);
    let lines = ["ACME PAY RENT", "ACME PAY NEFT"].map(|narration| credit(5, &[&words], narration));
    for (line, funded) in lines.iter().zip([1, 0]) {
        let report = read(&world, std::slice::from_ref(line)).await;
        assert_eq!((report.known, report.funded), (0, funded), "{:#}", report.document());
    }
    assert_eq!(holds(&world).await, ["5.00", "0.00", "0.00"]);
    assert_eq!(open(&world).await.iter().filter(|id| id.ends_with("/credit_doubtful")).count(), 1);
    world.verify().await;
}

/// What `hundi fund` has booked is expected: the line closes it, and what never comes is told.
#[tokio::test(start_paused = true)]
async fn what_was_funded_by_hand_is_expected() {
    let world = world().await;
    fund(&world, "acme", "100", UTR[0]).await.unwrap();
    fund(&world, "acme", "200", UTR[1]).await.unwrap();
    fund(&world, "acme", "300", "TODAY").await.unwrap();
    let lines = [
        // Whatever the rules say of it.
        credit(100, &["BANK0001", UTR[0]], "ZENITH"),
        credit(201, &[UTR[1]], "ACME PAY"),
        credit(300, &[UTR[2]], "ACME PAY"),
    ];
    let report = read(&world, &lines).await;
    assert_eq!(report.funded, 1, "{:#}", report.document());
    assert_eq!(holds(&world).await, ["600.00", "0.00", "0.00"]);
    let told: Vec<&str> = report.told.keys().copied().collect();
    assert_eq!(told, ["credit_differs", "credit_doubtful"], "{:#}", report.document());
    let said = admin::exception_show(&world.app, &open(&world).await[0]).await.unwrap();
    assert_eq!(said["detail"], format!("credit of 201.00, booked {START}; booked by hand as 200.00 under {}", UTR[1]));
    // The same line again in the same file is no second expectation's.
    let twice = [lines[0].clone(), lines[0].clone()];
    assert_eq!(read(&world, &twice).await.told.get("credit_doubtful"), Some(&1));
    assert_eq!(holds(&world).await[0], "600.00");
    // A statement of days lacks two, and what the demo began with.
    let late = read_by(&world.app, file(&[], (-1, 80))).await.unwrap();
    assert_eq!(late.told.get("credit_missing"), Some(&3), "{:#}", late.document());
    assert!(open(&world).await.contains(&format!("sandbox/{}/credit_missing", UTR[1])));
    read(&world, &[credit(200, &[UTR[1]], "LATE")]).await;
    assert!(!open(&world).await.contains(&format!("sandbox/{}/credit_missing", UTR[1])));
    assert_eq!(fund(&world, "acme", "100", "BANK0001").await.unwrap()["booked"], false);
    world.verify().await;
}

/// What nobody knows lies in suspense, and two people give it to whom it belongs; nobody funds it beside that.
#[tokio::test(start_paused = true)]
async fn what_nobody_knows_lies_in_suspense() {
    let world = world().await;
    read(&world, &[credit(40, &[UTR[0], "BANK0001"], "?"), credit(60, &[], "CASH")]).await;
    assert_eq!(holds(&world).await, ["0.00", "0.00", "100.00"]);
    for name in [UTR[0], "BANK0001"] {
        let refused = fund(&world, "acme", "40", name).await.unwrap_err();
        let next = format!("hundi propose identify acme --reference '{}' --connector sandbox", UTR[0]);
        assert!(refused.contains(&next), "{refused}");
    }
    let reference = open(&world)
        .await
        .iter()
        .find_map(|id| id.strip_prefix("sandbox/?")?.strip_suffix("/unknown_credit").map(|id| format!("?{id}")));
    two(&world, identify("zen", &reference.unwrap())).await.unwrap();
    two(&world, identify("acme", UTR[0])).await.unwrap();
    assert_eq!((holds(&world).await, open(&world).await.len()), (["40.00", "60.00", "0.00"].map(str::to_owned), 0));
    assert!(two(&world, identify("zen", UTR[0])).await.unwrap_err().contains("already booked"));
    let again = read(&world, &[credit(40, &[UTR[0], "BANK0001"], "?"), credit(60, &[], "CASH")]).await;
    assert_eq!((again.suspended, open(&world).await.len()), (0, 0));
    world.verify().await;
    // The day ties, though the identification came the same day: it went through no bank.
    let day = world.app.clock.now().to_string()[..10].to_owned();
    let report =
        hundi::report::report(&world.app.store, &world.app.config, world.app.clock.now(), &day, None).await.unwrap();
    assert!(report.ties(), "{:?}", report.broken);
    let demo = 1_000_000_00;
    assert_eq!(report.connectors[0].ours[1].amount_paise - demo, report.connectors[0].theirs[1].amount_paise);
    assert_eq!(report.connectors[0].ours[0].amount_paise, 0);
}

/// A run that broke off after any line is ended by the same file, and nothing is booked twice or lost.
#[tokio::test(start_paused = true)]
async fn a_run_that_broke_off_goes_on() {
    let lines = [credit(5, &[UTR[0]], "ACME PAY"), credit(6, &[UTR[1]], "?"), credit(7, &[], "ZENITH")];
    for told in 0..=lines.len() {
        let world = world().await;
        // All lines were kept, and so many of them dealt with: what a process leaves that was killed then.
        read(&world, &lines[..told]).await;
        let said: Vec<Said> = lines.iter().cloned().map(|line| Said::Line(Box::new(line))).collect();
        let (to, mut fed) = mpsc::channel(2);
        to.try_send(Fed::Said(said)).unwrap();
        to.try_send(Fed::Failed("killed".to_owned())).unwrap();
        reconcile(&world.app, &mut fed, sandbox(), &operator()).await.unwrap_err();
        read(&world, &lines).await;
        assert_eq!(holds(&world).await, ["5.00", "7.00", "6.00"], "{told}");
        assert_eq!(world.number("SELECT COUNT(*) FROM statement_lines WHERE result = 0").await, 0);
        world.verify().await;
    }
}

/// Several processes read the same file and its other wording at once.
#[tokio::test(start_paused = true)]
async fn processes_read_at_once() {
    let world = world().await;
    let clock = world.app.clock.clone();
    let store = Store::open(&world.app.config, &clock, false).await.unwrap();
    let number = hundi::process::lease(&store, clock.now(), 60 * SECOND).await.unwrap();
    let (config, keys, out) = (world.app.config.clone(), Keys::parse(KEY).unwrap(), Arc::clone(&world.app.http_out));
    let (beside, ends) = App::new(config, store, keys, clock, out, number).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let writing = Arc::clone(&beside);
    let task = tokio::spawn(async move { writer::run(&writing, ends.queue, stopped).await });
    let lines: Vec<Line> =
        (0..40).map(|nth| credit(10 + nth, &[&format!("HDFCN520261122{nth:05}")], "ACME PAY")).collect();
    let other: Vec<Line> = lines.iter().map(|line| Line { narration: "N/ACME PAY".into(), ..line.clone() }).collect();
    let files = [(&lines, &world.app), (&other, &beside), (&lines, &beside), (&other, &world.app)];
    let read = files.iter().map(|(lines, app)| read_by(app, file(lines, (-1, 0))));
    for report in futures_util::future::join_all(read).await {
        report.unwrap();
    }
    assert_eq!(holds(&world).await, [format!("{}.00", (10..50).sum::<i64>()), "0.00".into(), "0.00".into()]);
    assert_eq!(world.number("SELECT COUNT(*) FROM bank_credits WHERE line IS NOT NULL").await, 40);
    task.abort();
    world.verify().await;
}

/// Whoever changes a credit behind Hundi's back is found out.
#[tokio::test(start_paused = true)]
async fn verify_ties_credits_to_their_lines() {
    for (sql, law) in [
        ("DELETE FROM statement_lines WHERE result = 5", "its statement line is gone"),
        ("UPDATE statement_lines SET amount_paise = amount_paise + 1 WHERE result = 6", "its statement line"),
        ("UPDATE bank_credits SET line = NULL WHERE merchant_id = 0", "no credit has"),
        (
            "UPDATE bank_credits SET merchant_id = 1 WHERE merchant_id = 0",
            "bank credits are not what the journal funded",
        ),
    ] {
        let world = world().await;
        read(&world, &[credit(5, &[UTR[0]], "ACME PAY"), credit(6, &[UTR[1]], "?")]).await;
        world.verify().await;
        world.sql(sql).await;
        let keys = Keys::parse(KEY).unwrap();
        let report = hundi::verify::verify(&world.app.store, &keys, "").await.unwrap();
        let shown = serde_json::to_string(&report).unwrap();
        assert!(shown.contains(law), "{sql}: {shown}");
    }
}

/// What takes the columns away that schemas 7 and 8 have brought, and says that the store has schema 6.
const BACK_TO_6: &str = "\
    DROP INDEX bank_credits_line; DROP INDEX bank_credits_near; DROP INDEX bank_credits_expected; DROP INDEX proposals_debit; \
    DROP TABLE credit_names; DROP TABLE credit_rules; ALTER TABLE bank_credits DROP COLUMN day; \
    ALTER TABLE bank_credits DROP COLUMN by_hand_at; ALTER TABLE bank_credits DROP COLUMN line; \
    ALTER TABLE proposals DROP COLUMN debit; ALTER TABLE merchants DROP COLUMN rail_choice; \
    ALTER TABLE payouts DROP COLUMN rails; ALTER TABLE payouts DROP COLUMN sent_rail; \
    ALTER TABLE bank_references DROP COLUMN rail";

/// A store of schema 6, in which a statement booked nothing and one debit could be withdrawn twice: each credit finds its line,
/// the first withdrawal has the debit, and everything adds up as before.
#[tokio::test(start_paused = true)]
async fn a_store_of_schema_6_is_taken_over() {
    let world = World::new().await;
    admin::merchant_add(&world.app, "acme", "free", &operator()).await.unwrap();
    for (rupees, reference) in [("100", UTR[0]), ("200", UTR[1]), ("300", "LATER0001")] {
        fund(&world, "acme", rupees, reference).await.unwrap();
    }
    let lines = [
        credit(100, &[UTR[0]], "ACME"),
        credit(201, &[UTR[1]], "ACME"),
        Line { returned: true, ..credit(7, &[UTR[2]], "RETURN") },
    ];
    read(&world, &lines).await;
    let told = open(&world).await;
    assert_eq!(told.len(), 2, "{told:?}");
    let withdraw = |utr: &str| proposals::Ask::Withdraw {
        merchant: "acme".into(),
        amount: "50.00".into(),
        utr: utr.into(),
        connector: "sandbox".into(),
    };
    for utr in ["W1", "W2"] {
        two(&world, withdraw(utr)).await.unwrap();
    }
    proposals::propose(&world.app, withdraw("W3"), "looked at", &Actor::Operator("asha".into())).await.unwrap();
    let held = wallet(&world, "acme").await;
    world.verify().await;
    let config = world.app.config.clone();
    let (folder, bank, clock) = world.stop().await;
    let schema = match super::ENGINE {
        Engine::Sqlite => "PRAGMA user_version = 6",
        Engine::Postgres => "UPDATE meta SET value = '6' WHERE name = 'schema'",
    };
    // The other two were proposed, and one of them approved, under the debit of the first.
    let same = "UPDATE proposals SET bank_reference = 'W1' WHERE what = 6";
    let (script, url) = (format!("{BACK_TO_6}; {same}; {schema}"), config.clone());
    tokio::task::spawn_blocking(move || run_sql(&url, &script)).await.unwrap();
    let refused = Store::open(&config, &clock, true).await.unwrap().check_schema().await.unwrap_err().to_string();
    assert!(refused.contains("schema 6") && refused.contains("hundi migrate"), "{refused}");

    let world = World::start(folder, bank, clock, |_| {}).await;
    world.verify().await;
    let count = async |sql: &str| world.number(&format!("SELECT COUNT(*) FROM {sql}")).await;
    let told_of = format!("bank_credits WHERE line IS NOT NULL AND reference = '{}'", UTR[0]);
    assert_eq!(count(&told_of).await, 1);
    assert_eq!(count("bank_credits WHERE line IS NOT NULL").await, 1);
    assert_eq!(count("bank_credits WHERE day IS NOT NULL OR by_hand_at IS NOT NULL").await, 0);
    assert_eq!(count("proposals WHERE debit IS NOT NULL").await, 1);
    assert_eq!(count("proposals WHERE debit = 'W1' AND proposal_id = 1 AND state = 2").await, 1);
    assert!(two(&world, withdraw("W1")).await.is_err());
    assert_eq!((wallet(&world, "acme").await, open(&world).await), (held, told));
    // The same file again is known; in another wording nobody can tell, for the day of a credit of then is not known.
    assert_eq!(read(&world, &lines).await.repeated, 3);
    let other = read(&world, &[credit(100, &["BANK0001", UTR[0]], "N/ACME")]).await;
    assert_eq!(other.told.get("credit_doubtful"), Some(&1), "{:#}", other.document());
    // What was booked by hand then, and of which no statement had told, is told of now.
    let later = read(&world, &[credit(300, &["LATER0001"], "ACME")]).await;
    assert_eq!((later.funded, wallet(&world, "acme").await), (1, "500.00".to_owned()), "{:#}", later.document());
    world.verify().await;
}

/// A bank that names its entries may call one otherwise when it tells of it again: it is the same credit.
#[tokio::test(start_paused = true)]
async fn an_entry_with_a_name_is_booked_once_whatever_else_is_said_of_it() {
    let world = World::new().await;
    for (rupees, told) in [(5, [&[][..], &[UTR[0]], &[UTR[1]], &[]]), (7, [&[UTR[2]], &[], &[UTR[2]], &[UTR[3]]])] {
        for (nth, names) in told.into_iter().enumerate() {
            let line = Line { entry: format!("txn_{rupees}").into(), ..credit(rupees, names, "ACME PAY") };
            let report = read_by(&world.app, file(&[line], (0, 1))).await.unwrap();
            let came = (report.repeated, report.suspended, report.funded);
            assert_eq!(came, if nth == 0 { (0, 1, 0) } else { (1, 0, 0) }, "{rupees} {names:?}");
        }
    }
    world.verify().await;
}
