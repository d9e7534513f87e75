//! What the operator sees and changes: lists over all merchants, the settings' history, keys instead of scans, and
//! refusals on the command line.

use super::ENGINE;
use super::process::kit::run_on;
use super::support::{KEY, World, operator};
use crate::database::Engine;
use hundi::admin::{self, MerchantChanges};
use hundi_core::command::MerchantState;
use hundi_core::ids::{Actor, PayoutId};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// The texts of a column.
fn column(rows: &Value, name: &str) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row[name].as_str().unwrap().to_owned()).collect()
}

/// A second merchant with money and a token.
async fn add_other(world: &World) -> String {
    admin::merchant_add(&world.app, "other", "free", &operator()).await.unwrap();
    admin::fund(&world.app, "other", "1000.00", "OPENING-OTHER", "sandbox", &operator()).await.unwrap();
    world.new_token("other", "127.0.0.1").await
}

#[tokio::test(start_paused = true)]
async fn lists_are_of_all_merchants_or_of_one() {
    let mut world = World::new().await;
    let tokens = [world.token.clone(), add_other(&world).await];
    for order in 0..5 {
        world.token.clone_from(&tokens[order % 2]);
        assert_eq!(world.pay(&format!("ORDER-{order}"), 10, "123456781111").await.code(), 1);
    }
    let app = &world.app;
    let all = admin::payout_list(app, None, None, 100).await.unwrap();
    let ids: Vec<i64> = column(&all, "payout_id").iter().map(|id| id.parse().unwrap()).collect();
    let orders = ["ORDER-4", "ORDER-3", "ORDER-2", "ORDER-1", "ORDER-0"];
    for (merchant, before, limit, expected) in [
        (None, None, 100, &orders[..]),
        (None, None, 2, &orders[..2]),
        (None, Some(ids[1]), 2, &orders[2..4]),
        (None, Some(ids[4]), 2, &[]),
        (Some("demo"), None, 100, &["ORDER-4", "ORDER-2", "ORDER-0"]),
        (Some("demo"), Some(ids[2]), 100, &["ORDER-0"]),
        (Some("other"), None, 1, &["ORDER-3"]),
    ] {
        let page = admin::payout_list(app, merchant, before, limit).await.unwrap();
        assert_eq!(column(&page, "order_id"), expected, "{merchant:?} {before:?} {limit}");
        for row in page.as_array().unwrap() {
            let odd = ["ORDER-1", "ORDER-3"].contains(&row["order_id"].as_str().unwrap());
            assert_eq!(row["merchant_id"], if odd { "other" } else { "demo" });
        }
    }
    for (merchant, expected) in [(None, &["demo", "other"][..]), (Some("demo"), &["demo"]), (Some("other"), &["other"])]
    {
        assert_eq!(column(&admin::token_list(app, merchant).await.unwrap(), "merchant_id"), expected, "{merchant:?}");
    }
    for merchant in ["nobody", "", "house"] {
        assert!(admin::payout_list(app, Some(merchant), None, 1).await.unwrap_err().contains("no merchant"));
        assert!(admin::token_list(app, Some(merchant)).await.unwrap_err().contains("no merchant"));
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_of_settings_has_its_line() {
    let world = World::new().await;
    let app = &world.app;
    let asha = Actor::Operator("asha".into());
    let set = async |changes| admin::merchant_set(app, "demo", changes, &asha).await;
    let some = |text: &str| Some(text.to_owned());
    set(MerchantChanges { payout_most: some("1000"), ..Default::default() }).await.unwrap();
    let url = "https://shop.test/cb?secret=5";
    set(MerchantChanges { callback_url: some(url), callback_pending: Some(true), ..Default::default() }).await.unwrap();
    set(MerchantChanges {
        callback_url: some("none"),
        payout_most: some("none"),
        day_most: some("5000.50"),
        fees: vec!["IMPS=25000:5.00; *:7.00".to_owned()],
        ..Default::default()
    })
    .await
    .unwrap();
    set(MerchantChanges { fees: vec!["free".to_owned()], ..Default::default() }).await.unwrap();
    admin::merchant_state(app, "demo", MerchantState::Suspended, &asha).await.unwrap();
    admin::merchant_state(app, "demo", MerchantState::Active, &asha).await.unwrap();
    let token = admin::token_new(app, "demo", "10.0.0.0/8", None, &asha).await.unwrap();
    let id = token["token_id"].as_i64().unwrap();
    admin::token_revoke(app, id, &asha).await.unwrap();

    let seen = world.number("SELECT COUNT(*) FROM settings_history").await;
    // What is refused leaves neither a change nor a line, whichever part of it is wrong.
    let bad = [
        MerchantChanges::default(),
        MerchantChanges { payout_most: some("7"), day_most: some("-5"), ..Default::default() },
        MerchantChanges { payout_most: some("7"), fees: vec!["CASH=free".to_owned()], ..Default::default() },
        MerchantChanges { payout_most: some("7"), callback_url: some("ftp://x"), ..Default::default() },
    ];
    for changes in bad {
        set(changes).await.unwrap_err();
    }
    admin::token_revoke(app, id, &asha).await.unwrap_err();
    admin::token_revoke(app, 999, &asha).await.unwrap_err();
    admin::merchant_state(app, "nobody", MerchantState::Suspended, &asha).await.unwrap_err();
    assert_eq!(world.number("SELECT COUNT(*) FROM settings_history").await, seen);

    let shown = admin::merchant_show(app, "demo", false).await.unwrap();
    assert_eq!(shown["payout_most"], json!(null));
    let what = column(&shown["history"], "what");
    assert_eq!(
        what,
        [
            "token 1 made for 127.0.0.1/32,::1/128",
            "payout_most=1000.00",
            "callback_url changed, callback_pending=true",
            "callback_url removed, payout_most=none, day_most=5000.50, fees IMPS=25000.00:5.00; *:7.00",
            "fees NEFT=free, fees RTGS=free, fees IMPS=free, fees UPI=free",
            "state=suspended",
            "state=active",
            "token 2 made for 10.0.0.0/8",
            "token 2 revoked",
        ]
    );
    let mut by = vec!["operator:tester"];
    by.resize(what.len(), "operator:asha");
    assert_eq!(column(&shown["history"], "by"), by);
    assert_eq!(column(&shown["history"], "at").len(), what.len());
    for secret in [url, "shop.test", token["token"].as_str().unwrap()] {
        assert!(!shown["history"].to_string().contains(secret), "{secret}");
    }
    assert_eq!(admin::merchant_list(app).await.unwrap().as_array().unwrap().len(), 1);
}

/// All of a change is one transaction: where its line cannot be written, nothing is changed.
#[tokio::test(start_paused = true)]
async fn without_its_line_nothing_is_changed() {
    let world = World::new().await;
    let app = &world.app;
    let token = admin::token_new(app, "demo", "10.0.0.0/8", None, &operator()).await.unwrap();
    let refuse = match ENGINE {
        Engine::Sqlite => {
            "CREATE TRIGGER no_line BEFORE INSERT ON settings_history BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION no_line() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
             CREATE TRIGGER no_line BEFORE INSERT ON settings_history FOR EACH ROW EXECUTE FUNCTION no_line()"
        }
    };
    world.sql(refuse).await;
    let before = admin::merchant_show(app, "demo", false).await.unwrap();
    let tokens = admin::token_list(app, None).await.unwrap();
    let changes = MerchantChanges {
        payout_most: Some("7".into()),
        day_most: Some("8".into()),
        fees: vec!["free".into()],
        ..Default::default()
    };
    admin::merchant_set(app, "demo", changes, &operator()).await.unwrap_err();
    admin::merchant_state(app, "demo", MerchantState::Suspended, &operator()).await.unwrap_err();
    admin::token_new(app, "demo", "10.0.0.0/8", None, &operator()).await.unwrap_err();
    admin::token_revoke(app, token["token_id"].as_i64().unwrap(), &operator()).await.unwrap_err();
    assert_eq!(admin::merchant_show(app, "demo", false).await.unwrap(), before);
    assert_eq!(admin::token_list(app, None).await.unwrap(), tokens);
}

#[tokio::test(start_paused = true)]
async fn a_payout_shows_the_banks_words_its_times_and_its_journal() {
    // The end of the account number, then state, movements, and what the first word is and who said it.
    for (account, state, kinds, by, said) in [
        ("1111", "paid", &["reserve", "settle"][..], "reply", "paid, RRN "),
        ("0222", "paid", &["reserve", "settle"], "hundi", "paid, RRN "),
        ("0333", "sent", &["reserve"], "hundi", "accepted"),
        ("0444", "failed", &["reserve", "release"], "hundi", "failed: "),
        ("0777", "reversed", &["reserve", "settle", "restore"], "hundi", "reversed, RRN "),
    ] {
        let world = World::new().await;
        world.pay("ORDER-1", 100, &format!("12345678{account}")).await;
        world.pass(Duration::from_secs(120)).await;
        // What came later belongs to others.
        world.pay("ORDER-2", 100, "123456781111").await;
        let list = admin::payout_list(&world.app, None, None, 10).await.unwrap();
        let shown = admin::payout_show(&world.app, list[1]["payout_id"].as_str().unwrap()).await.unwrap();
        assert_eq!((&shown["state"], &shown["merchant_id"]), (&json!(state), &json!("demo")), "{account}");
        assert_eq!(column(&shown["journal"], "kind"), kinds, "{account}");
        let first = &shown["bank_words"][0];
        assert_eq!((&first["by"], &first["attempt"]), (&json!(by), &json!(1)), "{account}: {first}");
        assert!(first["said"].as_str().unwrap().starts_with(said), "{account}: {first}");
        assert!(
            first["said"].as_str().unwrap().ends_with(shown["rrn"].as_str().unwrap()) || state != "paid",
            "{first}"
        );
        assert_eq!(first["at"], shown["updated_at"], "{account}");
        let before = &shown["attempts"][0]["send_before"];
        assert_eq!(before, "2026-11-22T12:00:05.000+05:30", "{account}: {shown}");
    }
    // One that never came near a bank has heard nothing.
    let world = World::new().await;
    world.pay("ORDER-1", 200_000, "123456781111").await;
    world.pay("ORDER-2", 150_000_000, "123456781111").await;
    for row in admin::payout_list(&world.app, None, None, 10).await.unwrap().as_array().unwrap() {
        let shown = admin::payout_show(&world.app, row["payout_id"].as_str().unwrap()).await.unwrap();
        if row["state"] == "failed" {
            assert_eq!((&shown["bank_words"], &shown["attempts"]), (&json!([]), &json!([])), "{shown}");
        }
    }
}

/// A journal row can be later than its payout says: journal times rise even where the clock stepped back.
#[tokio::test(start_paused = true)]
async fn a_journal_that_is_ahead_of_the_clock_is_shown_whole() {
    let world = World::new().await;
    world.pay("ORDER-1", 100, "123456781111").await;
    world.sql("UPDATE journal SET at = at + 3600000000 WHERE seq > 1").await;
    let list = admin::payout_list(&world.app, None, None, 10).await.unwrap();
    let shown = admin::payout_show(&world.app, list[0]["payout_id"].as_str().unwrap()).await.unwrap();
    assert_eq!(column(&shown["journal"], "kind"), ["reserve", "settle"]);
}

#[tokio::test(start_paused = true)]
async fn a_statement_ends_where_it_is_told() {
    let world = World::new().await;
    world.pay("ORDER-1", 100, "123456781111").await;
    world.pass(Duration::from_secs(13 * 3_600)).await;
    world.pay("ORDER-2", 100, "123456781111").await;
    for (from, to, seqs) in [
        (None, None, 1..6),
        (None, Some("2026-11-21"), 0..0),
        (None, Some("2026-11-22"), 1..4),
        (Some("2026-11-23"), None, 4..6),
        (Some("2026-11-23"), Some("2026-11-23"), 4..6),
        (Some("2026-11-22"), Some("2026-11-22"), 1..4),
        (Some("2026-11-24"), Some("2026-11-25"), 0..0),
        (Some("2026-11-23"), Some("2026-11-22"), 0..0),
    ] {
        let lines = admin::statement(&world.app, "demo", from, to).await.unwrap();
        let found: Vec<i64> = lines.iter().map(|line| line["seq"].as_i64().unwrap()).collect();
        assert_eq!(found, seqs.collect::<Vec<i64>>(), "{from:?} {to:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn complaints_and_exceptions_are_found_by_their_keys() {
    let world = World::new().await;
    world.pay("ORDER-1", 100, "123456781111").await;
    let list = admin::payout_list(&world.app, None, None, 10).await.unwrap();
    let ours = list[0]["payout_id"].as_str().unwrap();
    let complaint = json!({"Token": world.token, "Subject": "Late", "Message": "Still late", "OrderId": ours});
    world.post("/RaiseComplaint", &complaint.to_string()).await;
    let id: PayoutId = PayoutId(ours.parse().unwrap());
    let kind = hundi_core::payout::ExceptionKind::NoAnswer as i64;
    let add = format!(
        "INSERT INTO exceptions (connector, reference, kind, merchant_id, payout_id, detail, at) VALUES \
         ('sandbox', 'ABCDEFGHIJKLMNO', {kind}, 1, {}, 'x', 1)",
        id.0
    );
    world.sql(&add).await;
    let shown = admin::complaint_show(&world.app, "demo/1").await.unwrap();
    assert_eq!((&shown["complaint_id"], &shown["message"]), (&json!("demo/1"), &json!("Still late")));
    for wrong in ["", "demo", "demo/", "demo/2", "demo/x", "other/1", "/1", "demo/1/1", "demo/99999999999999999999"] {
        let error = admin::complaint_show(&world.app, wrong).await.unwrap_err();
        assert!(error.contains(&format!("no complaint `{wrong}`")), "{error}");
    }
    let known = "sandbox/ABCDEFGHIJKLMNO/no_answer";
    let shown = admin::exception_show(&world.app, known).await.unwrap();
    assert_eq!((&shown["exception_id"], &shown["payout"]["payout_id"]), (&json!(known), &json!(ours)));
    for wrong in [
        "",
        "sandbox",
        "sandbox/ABCDEFGHIJKLMNO",
        "sandbox/ABCDEFGHIJKLMNO/contradiction",
        "sandbox/ABCDEFGHIJKLMNO/unknown",
        "sandbox/ABCDEFGHIJKLMNX/no_answer",
        "other/ABCDEFGHIJKLMNO/no_answer",
        "sandbox/ABCDEFGHIJKLMNO/no_answer/",
    ] {
        let error = admin::exception_show(&world.app, wrong).await.unwrap_err();
        assert!(error.contains(&format!("no exception `{wrong}`")), "{error}");
    }
}

/// A refusal is a sentence on stderr, exit code 1, and with `--json` a document on stdout as well.
#[tokio::test(start_paused = true)]
async fn a_refusal_on_the_command_line_is_a_sentence_and_a_document() {
    let world = World::new().await;
    let key = world.folder.path().join("hundi.key");
    std::fs::write(&key, KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let data = world.folder.path().to_str().unwrap();
    let fund = |amount| vec!["fund", "--merchant", "demo", "--reference", "UTR-1", "--amount", amount];
    for (args, words) in [
        (fund("-5"), "--amount `-5` is not an amount"),
        (fund("-0.01"), "--amount `-0.01` is not an amount"),
        (fund("-x"), "--amount `-x` is not an amount"),
        (vec!["merchant", "set", "demo", "--payout-most", "-5"], "--payout-most `-5` is not an amount"),
        (vec!["merchant", "set", "demo", "--day-most", "-5"], "--day-most `-5` is not an amount"),
        (vec!["merchant", "show", "nobody"], "there is no merchant `nobody`"),
        (vec!["payout", "show", "1"], "there is no payout 1"),
    ] {
        for json in [false, true] {
            let mut all = args.clone();
            all.extend(["--data", data]);
            if json {
                all.push("--json");
            }
            let ran = run_on(&world.folder, &all);
            assert_eq!(ran.code, 1, "{args:?}: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stderr.starts_with("hundi: ") && ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
            if json {
                let document: Value = serde_json::from_str(&ran.stdout).unwrap();
                let sentence = ran.stderr.trim_start_matches("hundi: ").trim_end();
                assert_eq!(document, json!({ "error": sentence }), "{args:?}");
            } else {
                assert_eq!(ran.stdout, "", "{args:?}");
            }
        }
    }
    assert_eq!(world.number("SELECT COUNT(*) FROM bank_credits").await, 1);
    let list = run_on(&world.folder, &["payout", "list", "--json", "--data", data]);
    assert_eq!((list.code, list.stdout.trim()), (0, "[]"));
    let named = run_on(&world.folder, &["merchant", "suspend", "demo", "--operator", "ravi", "--json", "--data", data]);
    let shown: Value = serde_json::from_str(&named.stdout).unwrap();
    let last = shown["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["by"], &last["what"]), (&json!("operator:ravi"), &json!("state=suspended")));
}
