//! What one operator proposes and another approves: once, by another person, and so that both books hold.

use super::process::kit::run_on;
use super::support::{KEY, World, operator};
use crate::score::score;
use hundi::proposals::{self, Ask};
use hundi::reconcile::{Fed, reconcile};
use hundi::store::{Arg, Store, StoreError};
use hundi::{admin, verify};
use hundi_core::command::{Command, Decision, Outcome, Source, Word};
use hundi_core::formats::{Line, Said, Side};
use hundi_core::ids::{Actor, Connector, MerchantId, Reference};
use hundi_core::schedule::DAY;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::sync::mpsc;

/// The bank refuses it.
const REFUSED: &str = "501000120444";
/// The bank never says what became of it.
const PENDING: &str = "501000120333";

fn named(name: &str) -> Actor {
    Actor::Operator(name.into())
}

async fn propose(world: &World, ask: Ask) -> Result<i64, String> {
    let shown = proposals::propose(&world.app, ask, "looked at", &named("asha")).await?;
    assert_eq!((&shown["state"], &shown["proposed_by"]), (&json!("proposed"), &json!("asha")), "{shown}");
    Ok(shown["proposal_id"].as_i64().unwrap())
}

async fn approve(world: &World, id: i64, name: &str) -> Result<Value, String> {
    proposals::approve(&world.app, id, &named(name)).await
}

/// Proposed by one and approved by another.
async fn two(world: &World, ask: Ask) -> Result<Value, String> {
    let id = propose(world, ask).await?;
    approve(world, id, "ravi").await
}

fn withdraw(amount: &str) -> Ask {
    withdraw_by("W1", amount)
}

fn withdraw_by(utr: &str, amount: &str) -> Ask {
    Ask::Withdraw { merchant: "demo".into(), amount: amount.into(), utr: utr.into(), connector: "sandbox".into() }
}

fn adjust(from: &str, to: &str, amount: &str, through: Option<&str>) -> Ask {
    Ask::Adjust { from: from.into(), to: to.into(), amount: amount.into(), through: through.map(Into::into) }
}

async fn id_of(world: &World, order: &str) -> String {
    let status = world.status(order).await.json();
    let list = admin::payout_list(&world.app, Some("demo"), None, 100).await.unwrap();
    let of = |one: &&Value| one["order_id"] == order;
    let found = list.as_array().unwrap().iter().find(of).unwrap_or_else(|| panic!("{order}: {status}"));
    found["payout_id"].as_str().unwrap().to_owned()
}

/// The bank says something about the first attempt of a payout, whatever it said before.
async fn bank_says(world: &World, payout: &str, outcome: Outcome, paise: i64) -> Option<&'static str> {
    let shown = admin::payout_show(&world.app, payout).await.unwrap();
    let reference = Reference::parse(shown["attempts"][0]["reference"].as_str().unwrap()).unwrap();
    let word = Word { outcome, amount_paise: Some(paise), rrn: "UTRLATE1".into(), why: "".into() };
    let connector = Connector::parse("sandbox").unwrap();
    let source = Source::Enquiry { asked_at: world.app.clock.now() };
    let command = Command::Record { connector, reference, word, source };
    match world.app.writer.record(MerchantId(1), None, command).await.unwrap() {
        Decision::Done(done) => done.exception.map(|exception| exception.kind.name()),
        Decision::Repeat(_) => None,
        Decision::Refused(refusal) => panic!("{refusal:?}"),
    }
}

async fn wallet(world: &World) -> String {
    admin::merchant_show(&world.app, "demo", false).await.unwrap()["wallet"].as_str().unwrap().to_owned()
}

/// The open exceptions.
async fn open(world: &World) -> Vec<Value> {
    admin::exception_list(&world.app).await.unwrap().as_array().unwrap().clone()
}

/// A payout that failed, of which the bank now says that it paid it.
async fn paid_after_all(world: &World, order: &str) -> String {
    assert_eq!(world.pay(order, 200, REFUSED).await.code(), 0);
    let payout = id_of(world, order).await;
    assert_eq!(bank_says(world, &payout, Outcome::Paid, 200_00).await, Some("paid_unexpectedly"));
    payout
}

#[tokio::test(start_paused = true)]
async fn two_people_and_not_one_who_writes_himself_in_two_ways() {
    let world = World::new().await;
    let id = propose(&world, withdraw("100.00")).await.unwrap();
    for name in ["asha", "Asha", " ASHA ", "a s h a"] {
        let error = approve(&world, id, name).await.unwrap_err();
        assert!(error.contains("another operator"), "{name}: {error}");
    }
    for name in ["", "  ", "\u{430}sha", "asha\u{200b}", "a\tsha", &"x".repeat(65)] {
        let error = approve(&world, id, name).await.unwrap_err();
        assert!(error.contains("--operator"), "{name:?}: {error}");
        let error = proposals::propose(&world.app, withdraw("1.00"), "x", &named(name)).await.unwrap_err();
        assert!(error.contains("--operator"), "{name:?}: {error}");
    }
    assert_eq!(wallet(&world).await, "1000000.00");
    // The very same is proposed once at a time.
    let error = propose(&world, withdraw("100.00")).await.unwrap_err();
    assert!(error.contains(&format!("proposal {id} of asha")), "{error}");
    // Another amount by the same debit is none, before the approval and after it.
    let error = propose(&world, withdraw("99.00")).await.unwrap_err();
    assert!(error.contains("W1 at sandbox, and is proposed"), "{error}");
    let shown = approve(&world, id, "ravi").await.unwrap();
    assert_eq!((&shown["state"], &shown["decided_by"]), (&json!("approved"), &json!("ravi")), "{shown}");
    assert_eq!(wallet(&world).await, "999900.00");
    let error = approve(&world, id, "meena").await.unwrap_err();
    assert!(error.contains("is approved by ravi"), "{error}");
    // Asked again by whoever did not hear the answer.
    approve(&world, id, "ravi").await.unwrap();
    assert_eq!(wallet(&world).await, "999900.00");
    for amount in ["100.00", "99.00"] {
        let error = propose(&world, withdraw(amount)).await.unwrap_err();
        assert!(error.contains("W1 at sandbox, and is approved"), "{error}");
    }
    let again = propose(&world, withdraw_by("W2", "100.00")).await.unwrap();
    let shown = proposals::reject(&world.app, again, "twice", &named("asha")).await.unwrap();
    assert_eq!((&shown["state"], &shown["decided_why"]), (&json!("rejected"), &json!("twice")));
    assert!(approve(&world, again, "ravi").await.unwrap_err().contains("is rejected by asha"));
    let late = propose(&world, withdraw_by("W2", "100.00")).await.unwrap();
    tokio::time::advance(Duration::from_micros(7 * DAY.unsigned_abs())).await;
    let error = approve(&world, late, "ravi").await.unwrap_err();
    assert!(error.contains("is expired"), "{error}");
    assert!(approve(&world, 99, "ravi").await.unwrap_err().contains("no proposal 99"));
    let all = proposals::proposal_list(&world.app, true).await.unwrap();
    let states: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["expired", "rejected", "approved"]);
    assert_eq!(proposals::proposal_list(&world.app, false).await.unwrap(), json!([]));
    for reason in ["", " ", "two\nlines", &"x".repeat(501)] {
        let error = proposals::propose(&world.app, withdraw("1.00"), reason, &named("asha")).await.unwrap_err();
        assert!(error.contains("--reason"), "{error}");
    }
    world.verify().await;
}

/// What the program says is also what the table says, should somebody write to it by another way.
#[tokio::test(start_paused = true)]
async fn the_table_itself_wants_two_people() {
    let world = World::new().await;
    let mut refused = 0;
    for (number, by, ended, ok) in [
        (1, "asha", "ravi", true),
        (2, "asha", "asha", false),
        (3, "asha", "ASHA", false),
        (4, "As ha", " aSHa", false),
        (5, "asha", "", false),
        (6, "asha", "  ", false),
        (7, "asha", "asha2", true),
        (8, "", "ravi", false),
    ] {
        let mut tx = world.app.store.begin().await.unwrap();
        let sql = "INSERT INTO proposals (proposal_id, what, subject, reference, bank_reference, sides, detail, reason, \
            proposed_by, proposed_at, expires_at, state, decided_by, decided_at, decided_why) \
            VALUES ($1, 2, 'x', '', '', '', '', 'why', $2, 1, 2, 2, $3, 1, '')";
        let wrote = tx.execute(sql, &[Arg::Int(number), Arg::Text(by), Arg::Text(ended)]).await;
        match wrote {
            Ok(_) => assert!(ok, "{by:?} {ended:?}"),
            Err(StoreError::Statement(_)) => {
                assert!(!ok, "{by:?} {ended:?}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 6);
    // And what was borne of an attempt is borne once.
    let borne = |number: i64| {
        format!(
            "INSERT INTO proposals (proposal_id, what, subject, connector, reference, bank_reference, sides, detail, reason, \
             proposed_by, proposed_at, expires_at, state, decided_by, decided_at, decided_why) \
             VALUES ({number}, {}, 'x{number}', 'sandbox', 'ABCDEFGHIJKLMNO', '', '', '', 'why', 'asha', 1, 2, 2, 'ravi', 1, '')",
            3 + number
        )
    };
    let mut tx = world.app.store.begin().await.unwrap();
    tx.execute(borne(1).leak(), &[]).await.unwrap();
    let again = tx.execute(borne(2).leak(), &[]).await;
    assert!(matches!(again, Err(StoreError::Statement(_) | StoreError::Again(_))), "{again:?}");
    drop(tx);
    score(35, "approvals by one person that the table refused", refused);
}

/// The table refuses a second withdrawal by one debit, whatever the rules believe; and a third was never lost by an upgrade.
#[tokio::test(start_paused = true)]
async fn one_debit_is_one_withdrawal_in_the_table() {
    let world = World::new().await;
    propose(&world, withdraw("100.00")).await.unwrap();
    propose(&world, withdraw_by("W2", "100.00")).await.unwrap();
    let mut tx = world.app.store.begin().await.unwrap();
    let refused = tx.execute("UPDATE proposals SET debit = 'W1' WHERE debit = 'W2'", &[]).await;
    assert!(matches!(refused, Err(StoreError::Statement(_) | StoreError::Again(_))), "{refused:?}");
    drop(tx);
    // Two under one debit, as they could be approved before schema 7: the second is refused by the rules.
    world.sql("UPDATE proposals SET debit = NULL, bank_reference = 'W1' WHERE debit = 'W2'").await;
    approve(&world, 1, "ravi").await.unwrap();
    let error = approve(&world, 2, "ravi").await.unwrap_err();
    assert!(error.contains("booked as a withdrawal before"), "{error}");
    assert_eq!(wallet(&world).await, "999900.00");
}

#[tokio::test(start_paused = true)]
async fn many_approve_at_once_and_one_is_first() {
    let world = World::new().await;
    for round in 0..10 {
        let id = propose(&world, withdraw_by(&format!("W{round}"), "100.00")).await.unwrap();
        let names: Vec<Actor> = (0..20).map(|number| named(&format!("op{number}"))).collect();
        let all =
            names.iter().map(|name| world.app.writer.execute(Command::Approve { proposal: id, actor: name.clone() }));
        let all = futures_util::future::join_all(all).await;
        let done = all.iter().filter(|one| matches!(one, Ok(Decision::Done(_)))).count();
        assert_eq!(done, 1, "{all:?}");
        assert_eq!(wallet(&world).await, format!("{}.00", 1_000_000 - 100 * (round + 1)));
    }
    world.verify().await;
    score(35, "times that an approved proposal moved money again", 0);
}

/// The same from processes of their own, as operators do it.
#[tokio::test(start_paused = true)]
async fn processes_approve_at_once() {
    let world = World::new().await;
    let key = world.folder.path().join("hundi.key");
    std::fs::write(&key, KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let data = world.folder.path().to_str().unwrap().to_owned();
    let run = |operator: String, args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--data", &data, "--json", "--operator", &operator]);
        let ran = run_on(&world.folder, &all);
        (ran.code, serde_json::from_str::<Value>(&ran.stdout).unwrap_or(Value::Null), ran.stderr)
    };
    let withdraw = ["propose", "withdraw", "demo", "--amount", "100", "--utr", "W1", "--reason", "he asked for it"];
    let (code, shown, error) = run("asha".to_owned(), &withdraw);
    assert_eq!((code, &shown["proposal_id"]), (0, &json!(1)), "{error}");
    let (code, _, error) = run("Asha".to_owned(), &["approve", "1"]);
    assert_eq!(code, 1);
    assert!(error.contains("another operator"), "{error}");
    let ran: Vec<i32> = std::thread::scope(|scope| {
        let approving: Vec<_> =
            (0..4).map(|number| scope.spawn(move || run(format!("op{number}"), &["approve", "1"]).0)).collect();
        approving.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(ran.iter().filter(|code| **code == 0).count(), 1, "{ran:?}");
    let (code, shown, _) = run("asha".to_owned(), &["proposal", "show", "1"]);
    assert_eq!((code, &shown["state"], &shown["reason"]), (0, &json!("approved"), &json!("he asked for it")));
    let (code, shown, _) = run("asha".to_owned(), &["house"]);
    assert_eq!((code, &shown["banks_hold"][0]["together"]), (0, &json!("999900.00")), "{shown}");
    for (args, says) in [
        (&["propose", "collect", "1", "--reason", "x"][..], "there is no payout 1"),
        (
            &["propose", "withdraw", "demo", "--amount", "-1", "--utr", "x", "--reason", "x"],
            "--amount `-1` is not an amount",
        ),
        (&["propose", "withdraw", "demo", "--amount", "1", "--utr", "a b", "--reason", "x"], "--utr must be"),
        (&["propose", "withdraw", "demo", "--amount", "1", "--utr", "x"], "`--reason` must be"),
        (&["propose", "withdraw", "nobody", "--amount", "1", "--utr", "x", "--reason", "x"], "no merchant `nobody`"),
        (&["propose", "resolve", "x", "--reason", "x"], "no exception `x`"),
        (&["reject", "7", "--reason", "x"], "no proposal 7"),
    ] {
        let (code, _, error) = run("asha".to_owned(), args);
        assert_eq!(code, 1, "{args:?}");
        assert!(error.contains(says), "{args:?}: {error}");
    }
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_bank_is_spoken_for() {
    let world = World::new().await;
    assert_eq!(world.pay("a", 200, PENDING).await.code(), 2);
    assert_eq!(world.pay("b", 300, PENDING).await.code(), 2);
    let (a, b) = (id_of(&world, "a").await, id_of(&world, "b").await);
    world.pass(Duration::from_secs(60)).await;
    two(&world, Ask::DeclarePaid { payout: a.clone(), utr: "UTR123456789".into(), reference: None }).await.unwrap();
    two(&world, Ask::DeclareFailed { payout: b.clone() }).await.unwrap();
    let status = world.status("a").await.json();
    assert_eq!(
        (&status["Data"]["Status"], &status["Data"]["RRN"]),
        (&json!("Success"), &json!("UTR123456789")),
        "{status}"
    );
    assert_eq!(world.status("b").await.json()["Data"]["Status"], "Failure");
    assert_eq!(wallet(&world).await, "999794.10");
    // What happened between proposal and approval is what counts.
    assert_eq!(world.pay("c", 200, PENDING).await.code(), 2);
    let c = id_of(&world, "c").await;
    world.pass(Duration::from_secs(60)).await;
    let id = propose(&world, Ask::DeclareFailed { payout: c.clone() }).await.unwrap();
    assert_eq!(bank_says(&world, &c, Outcome::Paid, 200_00).await, None);
    let error = approve(&world, id, "ravi").await.unwrap_err();
    assert!(error.contains("stays proposed") && error.contains("is paid"), "{error}");
    assert_eq!(world.status("c").await.json()["Data"]["Status"], "Success");
    let shown = proposals::proposal_show(&world.app, id).await.unwrap();
    assert_eq!((&shown["state"], &shown["payout"]["state"]), (&json!("proposed"), &json!("paid")));
    // Of the bank's word after it was called failed a person is told.
    assert_eq!(bank_says(&world, &b, Outcome::Paid, 300_00).await, Some("paid_unexpectedly"));
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_bank_paid_after_all_is_borne_by_one_of_them() {
    let world = World::new().await;
    let before = "1000000.00";
    let collect = |payout: &String| Ask::Collect { payout: payout.clone(), reference: None };
    let write_off = |payout: &String| Ask::WriteOff { payout: payout.clone(), reference: None };
    assert_eq!(world.pay("fine", 200, REFUSED).await.code(), 0);
    let fine = id_of(&world, "fine").await;
    let error = propose(&world, collect(&fine)).await.unwrap_err();
    assert!(error.contains("No open exception"), "{error}");
    let (a, b) = (paid_after_all(&world, "a").await, paid_after_all(&world, "b").await);
    assert_eq!(open(&world).await.len(), 2);
    assert!(world.operations("/metrics").await.contains("hundi_exceptions_open 2"));
    assert_eq!(wallet(&world).await, before);
    two(&world, write_off(&a)).await.unwrap();
    assert_eq!(wallet(&world).await, before, "no row of the merchant's");
    let house = proposals::house(&world.app).await.unwrap();
    assert_eq!(
        (&house["loss"], &house["banks_hold"][0]["together"]),
        (&json!("-200.00"), &json!("999800.00")),
        "{house}"
    );
    two(&world, collect(&b)).await.unwrap();
    assert_eq!(wallet(&world).await, "999800.00");
    assert!(open(&world).await.is_empty());
    assert!(world.operations("/metrics").await.contains("hundi_exceptions_open 0"));
    // Said again it is known, and nobody bears it twice.
    for payout in [&a, &b] {
        assert_eq!(bank_says(&world, payout, Outcome::Paid, 200_00).await, None);
        let shown = admin::payout_show(&world.app, payout).await.unwrap();
        assert_eq!((&shown["state"], &shown["held"]), (&json!("failed"), &json!(false)));
        let reference = shown["attempts"][0]["reference"].as_str().map(ToOwned::to_owned);
        let again = two(&world, Ask::Collect { payout: payout.clone(), reference }).await;
        assert!(again.unwrap_err().contains("collected or written off before"));
    }
    let lines = admin::statement(&world.app, "house", None, None).await.unwrap();
    assert_eq!((&lines[0]["kind"], &lines[0]["memo"]), (&json!("write_off"), &json!("proposal 1")), "{lines:?}");
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_credit_that_nobody_knows_is_kept_and_given_once() {
    let world = World::new().await;
    admin::merchant_add(&world.app, "acme", "free", &operator()).await.unwrap();
    // The bank's statement has a credit that nobody has booked.
    let line = Line {
        bank_references: vec!["UTR000000000777".into()],
        ..Line::new(Side::Credit, 500_00, world.app.clock.now())
    };
    let say = async || {
        let (to, mut fed) = mpsc::channel(2);
        to.try_send(Fed::Said(vec![Said::Line(Box::new(line.clone()))])).unwrap();
        to.try_send(Fed::Ended([7; 32])).unwrap();
        reconcile(&world.app, &mut fed, Connector::parse("sandbox").unwrap(), &operator()).await.unwrap()
    };
    say().await;
    let told = open(&world).await;
    assert_eq!((told.len(), &told[0]["kind"]), (1, &json!("unknown_credit")), "{told:?}");
    let suspense = |amount: &str| Ask::Suspense {
        amount: amount.into(),
        reference: "UTR000000000777".into(),
        connector: "sandbox".into(),
    };
    let identify = |merchant: &str| Ask::Identify {
        merchant: merchant.into(),
        reference: "UTR000000000777".into(),
        connector: "sandbox".into(),
    };
    // It lies with the house already, and still nobody knows whose it is.
    assert!(two(&world, suspense("500")).await.unwrap_err().contains("already booked"));
    assert_eq!(open(&world).await.len(), 1);
    assert_eq!(proposals::house(&world.app).await.unwrap()["suspense"], "500.00");
    let fund = async |merchant: &str| {
        admin::fund(&world.app, merchant, "500", "UTR000000000777", "sandbox", &operator()).await
    };
    assert!(fund("acme").await.unwrap_err().contains("hundi propose identify acme"));
    world.verify().await;
    let (demo, acme) =
        (propose(&world, identify("demo")).await.unwrap(), propose(&world, identify("acme")).await.unwrap());
    approve(&world, acme, "ravi").await.unwrap();
    let error = approve(&world, demo, "ravi").await.unwrap_err();
    assert!(error.contains("stays proposed") && error.contains("already booked"), "{error}");
    assert!(open(&world).await.is_empty());
    assert_eq!(proposals::house(&world.app).await.unwrap()["suspense"], "0.00");
    assert_eq!(admin::merchant_show(&world.app, "acme", false).await.unwrap()["wallet"], "500.00");
    assert_eq!(fund("acme").await.unwrap()["booked"], false);
    assert!(fund("demo").await.is_err());
    // Both rows name the proposal.
    for merchant in ["house", "acme"] {
        let lines = admin::statement(&world.app, merchant, None, None).await.unwrap();
        let memo = lines.last().unwrap()["memo"].as_str().unwrap();
        assert!(memo.starts_with(&format!("proposal {acme}: ")), "{memo}");
    }
    say().await;
    assert!(open(&world).await.is_empty());
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn corrections_keep_both_books() {
    let world = World::new().await;
    admin::merchant_add(&world.app, "acme", "free", &operator()).await.unwrap();
    for (from, to, through, says) in [
        ("demo/wallet", "demo/wallet", None, "the same account"),
        ("demo/wallet", "demo/reserved", None, "--to `demo/reserved` is not an account"),
        ("demo/wallet", "demo/loss", None, "--to `demo/loss` is not an account"),
        ("house/wallet", "house/loss", None, "--from `house/wallet` is not an account"),
        ("nobody/wallet", "house/loss", None, "no merchant `nobody`"),
        ("demo/wallet", "house/loss", None, "name it with --through"),
        ("demo/wallet", "acme/wallet", Some("sandbox"), "not between two merchants"),
        ("demo/wallet", "demo/fees", Some("sandbox"), "--through is for two books"),
        ("demo/bank:sandbox", "house/loss", Some("sandbox"), "is one of the two accounts"),
        ("demo/wallet", "house/loss", Some("No"), "`No` is not a connector's name"),
    ] {
        let error = propose(&world, adjust(from, to, "1", through)).await.unwrap_err();
        assert!(error.contains(says), "{from} {to}: {error}");
    }
    two(&world, adjust("demo/wallet", "demo/fees", "10", None)).await.unwrap();
    two(&world, adjust("house/loss", "acme/wallet", "100", Some("sandbox"))).await.unwrap();
    two(&world, adjust("acme/wallet", "house/fee_income", "40", Some("sandbox"))).await.unwrap();
    let error = two(&world, adjust("acme/wallet", "house/float", "60.01", Some("sandbox"))).await.unwrap_err();
    assert!(error.contains("stays proposed") && error.contains("does not hold"), "{error}");
    let house = proposals::house(&world.app).await.unwrap();
    assert_eq!((&house["loss"], &house["fee_income"]), (&json!("-100.00"), &json!("40.00")));
    assert_eq!(house["banks_hold"][0]["together"], "1000000.00", "what the bank holds does not change");
    world.verify().await;
}

/// Every way in which somebody could help himself in the house's book is seen.
#[tokio::test(start_paused = true)]
async fn a_crooked_house_is_seen() {
    for (crooked, law) in [
        ("UPDATE accounts SET banks = 'sandbox=100,house:loss=-100' WHERE merchant_id = 0", "I2 balances"),
        ("UPDATE accounts SET banks = 'sandbox=10100,house:loss=-10000' WHERE merchant_id = 0", "I2 balances"),
        ("DELETE FROM journal WHERE merchant_id = 0", "I11 chain"),
        ("DELETE FROM accounts WHERE merchant_id = 0", "I2 balances"),
        ("UPDATE journal SET amount_paise = 1 WHERE merchant_id = 0", "I11 chain"),
        ("UPDATE journal SET connector = 'bank:sandbox>loss' WHERE merchant_id = 0", "I11 chain"),
        ("UPDATE journal SET memo = 'proposal 2' WHERE merchant_id = 0", "two people"),
        ("UPDATE proposals SET state = 3", "two people"),
        ("DELETE FROM proposals", "two people"),
        ("UPDATE proposals SET amount_paise = 1", "two people"),
        ("UPDATE proposals SET sides = '0/loss>1/fees'", "two people"),
        // A book of which a row was cut off, so well that its own chain does not show it.
        (
            "DELETE FROM journal WHERE merchant_id = 0; UPDATE accounts SET banks = '', journal_seq = 0, journal_at = 0, \
             journal_link = (SELECT a.journal_link FROM accounts a WHERE a.merchant_id = 2) WHERE merchant_id = 0",
            "two people",
        ),
    ] {
        let world = World::new().await;
        admin::merchant_add(&world.app, "empty", "free", &operator()).await.unwrap();
        two(&world, adjust("house/loss", "demo/wallet", "100", Some("sandbox"))).await.unwrap();
        world.verify().await;
        world.sql(crooked).await;
        let view = Store::open_view(&world.app.config, &world.app.clock).await.unwrap();
        let seen = match verify::verify(&view, &world.app.keys, "").await {
            Ok(report) => report.laws.iter().any(|one| one.name == law && one.broken > 0),
            // What cannot be read is seen too.
            Err(_) => law == "I11 chain",
        };
        assert!(seen, "{crooked}: {law} does not see it");
    }
}

#[tokio::test(start_paused = true)]
async fn exceptions_are_assigned_resolved_and_told_again() {
    let world = World::new().await;
    let payout = paid_after_all(&world, "a").await;
    let told = open(&world).await;
    let id = told[0]["exception_id"].as_str().unwrap().to_owned();
    assert_eq!((&told[0]["assignee"], &told[0]["age"]), (&Value::Null, &json!("0m")));
    let shown = proposals::exception_assign(&world.app, &id, "meena").await.unwrap();
    assert_eq!((&shown["assignee"], &shown["payout"]["held"]), (&json!("meena"), &json!(true)));
    assert!(proposals::exception_assign(&world.app, &id, "").await.is_err());
    assert!(proposals::exception_assign(&world.app, "sandbox/x/no_answer", "meena").await.is_err());
    let resolve = || Ask::Resolve { exception: id.clone() };
    let proposal = propose(&world, resolve()).await.unwrap();
    // The bank says something else meanwhile: nobody has said anything about that.
    assert_eq!(bank_says(&world, &payout, Outcome::Paid, 100_00).await, Some("amount_differs"));
    let shown = approve(&world, proposal, "ravi").await.unwrap();
    assert_eq!((&shown["what"], &shown["exception_id"]), (&json!("resolve"), &json!(id)));
    let told = open(&world).await;
    assert_eq!((told.len(), &told[0]["kind"]), (1, &json!("amount_differs")));
    assert_eq!(admin::payout_show(&world.app, &payout).await.unwrap()["held"], true, "the other holds it on");
    let other = Ask::Resolve { exception: told[0]["exception_id"].as_str().unwrap().to_owned() };
    let late = propose(&world, other.clone()).await.unwrap();
    assert_eq!(bank_says(&world, &payout, Outcome::Paid, 50_00).await, Some("amount_differs"));
    assert!(approve(&world, late, "ravi").await.unwrap_err().contains("Something else was told"));
    proposals::reject(&world.app, late, "look again", &named("ravi")).await.unwrap();
    two(&world, other).await.unwrap();
    assert!(open(&world).await.is_empty());
    assert_eq!(admin::payout_show(&world.app, &payout).await.unwrap()["held"], false);
    assert!(two(&world, resolve()).await.is_err(), "it is resolved");
    let all = admin::exception_list_all(&world.app).await.unwrap();
    let resolved = |one: &Value| one["resolved_at"].is_string() && one["proposal_id"].is_i64();
    assert!(all.as_array().unwrap().len() == 2 && all.as_array().unwrap().iter().all(resolved), "{all}");
    // The bank insists.
    assert_eq!(bank_says(&world, &payout, Outcome::Paid, 200_00).await, Some("paid_unexpectedly"));
    let told = open(&world).await;
    assert_eq!((told.len(), &told[0]["assignee"], &told[0]["resolved_at"]), (1, &json!("meena"), &Value::Null));
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_away_while_on_hold() {
    let world = World::new().await;
    world.wire.cut(true);
    assert_eq!(world.pay("a", 200, REFUSED).await.code(), 2);
    let payout = id_of(&world, "a").await;
    let proposal = propose(&world, withdraw("100.00")).await.unwrap();
    admin::hold_set(&world.app, "restored", &operator()).await.unwrap();
    let error = admin::payout_cancel(&world.app, &payout, &operator()).await.unwrap_err();
    assert!(error.contains("on hold") && error.contains("hundi hold release"), "{error}");
    let error = approve(&world, proposal, "ravi").await.unwrap_err();
    assert!(error.contains("on hold") && error.contains("stays proposed"), "{error}");
    assert_eq!(world.status("a").await.code(), 2);
    admin::hold_release(&world.app, "compared", false, &operator()).await.unwrap();
    approve(&world, proposal, "ravi").await.unwrap();
    admin::payout_cancel(&world.app, &payout, &operator()).await.unwrap();
    assert_eq!(wallet(&world).await, "999900.00");
    world.verify().await;
}
