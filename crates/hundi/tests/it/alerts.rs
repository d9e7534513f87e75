//! What the operator is told by himself: each alert once when it is raised and once when it clears, whatever restarts and
//! however many processes there are.

use super::support::{Behaviour, KEY, Received, START, World, operator};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hundi::admin;
use hundi::clock::Clock;
use hundi::config::{BankUrl, Config};
use hundi::keys::Keys;
use hundi::process::ProcessNumber;
use hundi::reconcile::{Fed, reconcile};
use hundi::store::Store;
use hundi::{App, alerts, writer};
use hundi_core::formats::{Head, Said};
use hundi_core::ids::Connector;
use hundi_core::schedule::DAY;
use hundi_core::signing;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const DESK: &str = "http://desk.test/alerts";
const SECRET: [u8; 32] = [7; 32];

/// The secret of the calls in a file, as the option wants it.
fn secret_file() -> PathBuf {
    let path = std::env::temp_dir().join(format!("hundi-alerts-{}-{}", std::process::id(), super::ENGINE as u8));
    std::fs::write(&path, format!("whsec_{}\n", STANDARD.encode(SECRET))).unwrap();
    path
}

fn options(config: &mut Config) {
    let options = &mut config.alerts;
    options.payouts_open_minutes = Some(10);
    options.exceptions_open_minutes = Some(10);
    options.exception_kinds = vec!["unknown_debit".to_owned()];
    options.statement_missing_hours = Some(24);
    options.balance_least.insert("sandbox".to_owned(), "900000.00".to_owned());
    options.callback_url = Some(BankUrl(DESK.to_owned()));
    options.callback_secret_file = Some(secret_file());
}

/// A world with money in it that has alerts from now on, so much later.
async fn later(world: World, by_us: i64, configure: fn(&mut Config)) -> World {
    let token = world.token.clone();
    let (folder, bank, clock) = world.stop().await;
    let mut world = World::start(folder, bank, Clock::held(clock.now().after(by_us)), configure).await;
    world.token = token;
    world
}

async fn watched() -> World {
    later(World::new().await, 0, options).await
}

/// What the operator's machine was told, in words, as often as it was.
fn told(world: &World) -> Vec<String> {
    let calls = world.receivers.calls();
    calls.iter().filter(|call| call.url == DESK).map(word).collect()
}

fn word(call: &Received) -> String {
    let header = |name: &str| call.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp").parse().unwrap());
    assert!(signing::verify(&SECRET, &id, at, &call.body, &header("webhook-signature")));
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let (data, verb) = (&body["data"], body["type"].as_str().unwrap());
    let said = |name: &str| data[name].as_str().unwrap().to_owned();
    assert_eq!(id, format!("alert_{}_{}_{}", said("kind"), said("subject"), data["number"]));
    assert!(!said("detail").contains("RUPESH") && !said("detail").contains("50100"), "{body}");
    format!("{} {} {}", verb.trim_start_matches("alert."), said("kind"), said("subject")).trim_end().to_owned()
}

async fn gauge(world: &World, kind: &str) -> String {
    let text = world.operations("/metrics").await;
    let prefix = format!("hundi_alerts{{kind=\"{kind}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
}

/// A statement without lines that ends now.
async fn a_statement(world: &World) {
    let now = world.app.clock.now();
    let head = Head { id: "S".into(), period: Some((now.after(-DAY), now)), opening_paise: Some(0), ..Head::default() };
    let (to, mut fed) = mpsc::channel(2);
    let said = vec![Said::Begins(head), Said::Ends { closing_paise: Some(0) }];
    to.try_send(Fed::Said(said)).unwrap();
    to.try_send(Fed::Ended([7; 32])).unwrap();
    reconcile(&world.app, &mut fed, Connector::parse("sandbox").unwrap(), &operator()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_alert_is_told_once_and_once_when_it_clears() {
    let world = watched().await;
    world.pay("PENDING", 500, "50100010333").await;
    world.pass(Duration::from_secs(500)).await;
    assert_eq!(told(&world), Vec::<String>::new());
    world.pass(Duration::from_secs(200)).await;
    assert_eq!(told(&world), ["raised payouts_open"]);
    // Another pending payout is no other alert.
    world.pay("PENDING-2", 500, "50100010333").await;
    // A machine that does not answer is called again, under the same id, and what comes later waits for it.
    world.receivers.behave(|_| Behaviour::Answers(500));
    assert_eq!(world.pay("MUCH", 200_000, "50100010001").await.code(), 1);
    world.pass(Duration::from_secs(100)).await;
    admin::fund(&world.app, "demo", "300000.00", "MORE", "sandbox", &operator()).await.unwrap();
    world.pass(Duration::from_secs(100)).await;
    let tries = told(&world).split_off(1);
    assert!(tries.len() > 1 && tries.iter().all(|word| word == "raised balance_low sandbox"), "{tries:?}");
    world.receivers.behave(|_| Behaviour::Answers(204));
    world.pass(Duration::from_secs(1_200)).await;
    let words = told(&world).split_off(1 + tries.len());
    assert_eq!(words, ["raised balance_low sandbox", "cleared balance_low sandbox"]);
    assert_eq!((gauge(&world, "payouts_open").await, gauge(&world, "balance_low").await), ("1".into(), "0".into()));
    admin::hold_set(&world.app, "a test", &operator()).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    admin::hold_release(&world.app, "a test", false, &operator()).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    let sofar = told(&world);
    assert_eq!(sofar[sofar.len() - 2..], ["raised on_hold", "cleared on_hold"]);

    // A restart repeats nothing and forgets nothing.
    let world = later(world, 0, options).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(told(&world), Vec::<String>::new());
    let world = later(world, DAY, options).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(told(&world), ["raised statement_missing sandbox"]);
    assert_eq!(gauge(&world, "statement_missing").await, "1");
    a_statement(&world).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(told(&world), ["raised statement_missing sandbox", "cleared statement_missing sandbox"]);
    world.verify().await;
}

/// Several processes: one adds each change, and one makes each call.
#[tokio::test(start_paused = true)]
async fn of_several_processes_one_tells() {
    let world = watched().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let (config, clock) = (world.app.config.clone(), world.app.clock.clone());
        let store = Store::open(&config, &clock, false).await.unwrap();
        let keys = Keys::parse(KEY).unwrap();
        let out = Arc::clone(&world.app.http_out);
        let (app, ends) = App::new(config, store, keys, clock, out, ProcessNumber::none()).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let (for_writer, for_queue) = (Arc::clone(&app), stopped.clone());
        tokio::spawn(async move { writer::run(&for_writer, ends.queue, for_queue).await });
        tokio::spawn(async move { alerts::watch(&app, stopped).await });
        others.push(stop);
    }
    world.pay("PENDING", 500, "50100010333").await;
    world.pay("MUCH", 200_000, "50100010001").await;
    world.pass(Duration::from_secs(900)).await;
    let mut words = told(&world);
    words.sort();
    assert_eq!(words, ["raised balance_low sandbox", "raised payouts_open"]);
    assert_eq!(world.number("SELECT COUNT(*) FROM alerts").await, 2);
    drop(others);
}

/// Only what was asked for is told, and only exceptions that still wait.
#[tokio::test(start_paused = true)]
async fn exceptions_are_told_by_kind_while_they_wait() {
    let world = watched().await;
    let at = START.0;
    for (reference, kind) in [("SBIN0001", 9), ("SBIN0002", 9), ("SBIN0003", 10)] {
        world
            .sql(&format!(
                "INSERT INTO exceptions (connector, reference, kind, detail, at) VALUES ('sandbox', '{reference}', {kind}, 'x', {at})"
            ))
            .await;
    }
    world.pass(Duration::from_secs(900)).await;
    assert_eq!(told(&world), ["raised exceptions_open unknown_debit"]);
    let rows = world.app.store.alerts().await.unwrap();
    assert!(rows[0].detail.starts_with("2 exceptions wait longer than 10 minutes"), "{rows:?}");
    world.sql("DELETE FROM exceptions").await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(told(&world).last().unwrap(), "cleared exceptions_open unknown_debit");
    assert_eq!(told(&world).len(), 2);
    // Without an address nobody is called, and what stands is counted all the same.
    let without = |config: &mut Config| {
        options(config);
        (config.alerts.callback_url, config.alerts.callback_secret_file) = (None, None);
    };
    let quiet = later(World::new().await, 0, without).await;
    quiet.pay("MUCH", 200_000, "50100010001").await;
    quiet.pass(Duration::from_secs(60)).await;
    assert_eq!((told(&quiet).len(), gauge(&quiet, "balance_low").await), (0, "1".to_owned()));
    let all: BTreeSet<String> = alerts::Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    let mut gauges = BTreeMap::new();
    for kind in &all {
        gauges.insert(kind, gauge(&quiet, kind).await);
    }
    assert_eq!(gauges.values().filter(|value| *value == "1").count(), 1);
}
