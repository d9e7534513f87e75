//! `hundi bench` from outside: it measures, fills a store that verifies, and refuses what it must not touch.

use super::ENGINE;
use super::process::kit::{Ran, free_address, run, run_on};
use super::support::Folder;
use crate::database::{Engine, server};
use serde_json::Value;

fn bench(args: &[&str]) -> Ran {
    run(&[&["bench", "--json"], args].concat())
}

/// `hundi bench --self` on a scratch store of this engine.
fn scratch(args: &[&str]) -> Value {
    let url = if ENGINE == Engine::Postgres { vec!["--database-url".to_owned(), server()] } else { Vec::new() };
    let url: Vec<&str> = url.iter().map(String::as_str).collect();
    let told = bench(&[&["--self"], args, &url].concat()).json();
    let engine = if ENGINE == Engine::Postgres { "postgres" } else { "sqlite" };
    assert_eq!(told["server"]["engine"], engine, "{told}");
    told
}

/// What every measurement says of itself.
fn is_sane(told: &Value, code: &str) {
    are_as_wanted(told, code);
    assert!(told["batches"]["transactions"].as_u64().unwrap() > 0, "{told}");
    assert!(told["server"]["memory_mb"].as_f64().unwrap() > 1.0, "{told}");
}

/// All answers have this code, and their times are times.
fn are_as_wanted(told: &Value, code: &str) {
    for trouble in ["errors", "unknown", "refused", "unsent"] {
        assert_eq!(told[trouble], 0, "{told}");
    }
    let wanted = told["wanted"].as_u64().unwrap();
    assert!(wanted > 0 && told["answers_by_status_code"][code] == wanted, "{told}");
    let times = ["p50_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms"].map(|name| told[name].as_f64().unwrap());
    assert!(times[0] > 0.0 && times.is_sorted(), "{told}");
}

#[test]
fn its_own_hundi_is_measured() {
    let told = scratch(&["--seconds", "1", "--connections", "8", "--wallets", "3"]);
    is_sane(&told, "1");
    assert_eq!((&told["mode"], &told["wallets"]), (&"payout".into(), &3.into()));
    // A schedule of 50 a second for a second asks 50 times, however fast the answers are.
    let told = scratch(&["--seconds", "1", "--mode", "accept", "--rate", "50"]);
    is_sane(&told, "2");
    assert_eq!(told["wanted"], 50, "{told}");
}

#[test]
fn a_wallet_beside_the_load_is_told_apart() {
    // The load is NEFT payouts, answered with 2; those beside are paid, and answered with 1, by a schedule of their own.
    let told = scratch(&["--seconds", "1", "--mode", "accept", "--connections", "8", "--beside", "20"]);
    is_sane(&told, "2");
    let beside = &told["beside"];
    are_as_wanted(beside, "1");
    assert_eq!((&beside["rate"], &beside["wanted"], &told["wallets"]), (&20.into(), &20.into(), &1.into()), "{told}");
    assert!((1.0..=20.0).contains(&beside["per_second"].as_f64().unwrap()), "{told}");
}

#[test]
fn a_preloaded_store_verifies_and_is_measured_where_it_is() {
    let folder = Folder::new();
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let tool = |args: &[&str]| run_on(&folder, &[args, &["--data", &data]].concat());
    // A batch and a part of one; then more, after those.
    for (more, all) in [("2500", 2_500), ("100", 2_600)] {
        let told = tool(&["bench", "--json", "--wallets", "3", "--preload", more]).json();
        assert_eq!((&told["payouts"], &told["wallets"]), (&all.into(), &3.into()), "{told}");
    }
    let report = tool(&["verify", "--json"]).json();
    let law = |name: &str| report["laws"].as_array().unwrap().iter().find(|law| law["name"] == name).unwrap().clone();
    assert_eq!(report["holds"], true, "{report}");
    // A row for each wallet's money, and two for each payout.
    assert_eq!(law("I1 balanced movements")["counted"], 3 + 2 * 2_600);
    let listed = tool(&["payout", "list", "--limit", "1", "--json"]).json();
    assert_eq!((&listed[0]["order_id"], &listed[0]["state"]), (&"PRE-000000002600".into(), &"paid".into()), "{listed}");

    // All of these answer 1, "paid": status calls ask for what was preloaded.
    let status = ["bench", "--json", "--self", "--seconds", "1", "--mode", "status", "--rate", "200"];
    is_sane(&tool(&status).json(), "1");
    // The wallet beside is one more, and the store can be filled further all the same.
    are_as_wanted(&tool(&[&status[..], &["--beside", "10"]].concat()).json()["beside"], "1");
    assert_eq!(tool(&["bench", "--json", "--preload", "10"]).json()["payouts"], 2_610);
    assert_eq!(tool(&["verify", "--json"]).json()["holds"], true);

    let other = tool(&["bench", "--preload", "1", "--wallets", "4"]);
    assert_eq!(
        (other.code, other.stderr.as_str()),
        (1, "hundi: the store has 3 wallets, not 4; leave --wallets out\n")
    );
}

#[test]
fn what_a_bench_must_not_touch_is_refused_in_a_sentence() {
    let folder = Folder::new();
    let data = folder.path().join("data").to_string_lossy().into_owned();
    for args in [&["migrate", "--data", &data][..], &["merchant", "add", "acme", "--data", &data]] {
        assert_eq!(run_on(&folder, args).code, 0);
    }
    let nobody = format!("http://{}", free_address());
    let say = "say what to measure: --url with --token, or --self; or what to fill, with --preload";
    let form = "--url must be http://HOST:PORT, without a path; behind TLS, give the address within";
    let not_ours =
        "the store has a merchant `acme`, so it is not a bench's; a bench moves money, so give it a store of its own";
    let not_filled = format!("{data} was not filled by `hundi bench --preload`; leave --data out for a scratch store");
    let server = "--database-url must be postgres://USER:PASSWORD@HOST/DATABASE; any database of the server will do";
    for (args, sentence) in [
        (&[][..], say),
        (&["--self", "--preload", "1"], say),
        (&["--url", "http://127.0.0.1:1"], "--url needs a --token, and --token a --url: `hundi token new` makes one"),
        (&["--self", "--seconds", "0"], "--seconds is 0; it must be from 1 to 3600"),
        (&["--self", "--connections", "4001"], "--connections is 4001; it must be from 1 to 4000"),
        (&["--self", "--rate", "0"], "--rate is 0; it must be from 1 to 1000000"),
        (&["--self", "--beside", "0"], "--beside is 0; it must be from 1 to 10000"),
        (
            &["--url", "http://127.0.0.1:1", "--token", "t", "--beside", "1"],
            "--beside needs two --token or more: the last is the wallet beside the others",
        ),
        (&["--preload", "1", "--beside", "1"], "--beside belongs to a measurement; leave it out with --preload"),
        (&["--url", "https://127.0.0.1", "--token", "t"], form),
        (&["--url", "http://127.0.0.1/path", "--token", "t"], form),
        (
            &["--url", "http://192.0.2.1", "--token", "t"],
            "http://192.0.2.1 is not on this machine, and every call moves money of the wallet; add --yes-i-mean-it if you mean it",
        ),
        (&["--preload", "1", "--data", &data], not_ours),
        (&["--self", "--data", &data], &not_filled),
        (&["--self", "--database-url", "mysql://127.0.0.1/x"], server),
        (
            &["--url", &nobody, "--token", "t", "--seconds", "1"],
            "no call went as wanted; the first answer was: Connection refused (os error 111)",
        ),
    ] {
        let ran = run_on(&folder, &[&["bench", "--json"], args].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (1, format!("hundi: {sentence}\n").as_str()), "{args:?}");
        assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["error"], sentence);
    }
}
