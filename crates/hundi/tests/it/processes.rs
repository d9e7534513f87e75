//! Several processes on one database: numbers, waits, claims, and what a process does that was paused.

use super::support::{Behaviour, KEY, World, operator};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hundi::admin::{self, MerchantChanges};
use hundi::http_out::{HttpOut, OutError, OutRequest};
use hundi::keys::Keys;
use hundi::process::{self, ProcessNumber, Write};
use hundi::store::Store;
use hundi::store::rows::{self, CallbackFate, CallbackKey};
use hundi::{App, worker, writer};
use hundi_core::command::{Command, Decision, Outcome, Source, Word};
use hundi_core::ids::{MerchantId, OrderId, PROCESSES_MAX};
use hundi_core::payout::{Payout, State};
use hundi_core::schedule::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use hyper::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// The account of a beneficiary that the bank pays at once.
const PAID: &str = "123456781111";
/// One that the bank takes, and pays later.
const PAID_LATER: &str = "123456780222";
const LEASE: i64 = 5 * SECOND;
/// One that does not run out in a test, and that no clock would have to be wrong for.
const LONG: i64 = MINUTE;

/// Another process on the same database as the world's.
struct Process {
    app: Arc<App>,
    token: String,
    _stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Process {
    /// One that serves the API, and works if told so. Its HTTP leaves as it is told.
    async fn beside(world: &World, out: HttpOut, works: bool) -> Process {
        let mut config = world.app.config.clone();
        if !works {
            config.worker.lease_ms = 0;
        }
        let clock = world.app.clock.clone();
        let store = Store::open(&config, &clock, false).await.unwrap();
        let number = hundi::process::lease(&store, clock.now(), 60 * SECOND).await.unwrap();
        let (app, ends) = App::new(config, store, Keys::parse(KEY).unwrap(), clock, out, number).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let for_writer = Arc::clone(&app);
        let for_queue = stopped.clone();
        let mut tasks = vec![tokio::spawn(async move { writer::run(&for_writer, ends.queue, for_queue).await })];
        if works {
            tasks.push(tokio::spawn(worker::run(Arc::clone(&app), ends.fresh, stopped.clone())));
        } else {
            drop(ends.fresh);
        }
        tasks.push(tokio::spawn(hundi::listen(Arc::clone(&app), stopped)));
        Process { app, token: world.token.clone(), _stop: stop, tasks }
    }

    async fn pay(&self, order: &str) -> Value {
        self.pay_to(order, PAID).await
    }

    /// Takes up nothing more; what it has begun goes on.
    fn pause_worker(&self) {
        self.tasks[1].abort();
    }

    async fn pay_to(&self, order: &str, account: &str) -> Value {
        let body = json!({
            "Token": self.token, "Number": "9876500000", "Amount": "200", "TransferMode": "IMPS", "AccountNo": account,
            "IFSCCode": "HDFC0000001", "BeneficiaryName": "RUPESH KUMAR", "OrderID": order,
        });
        let request = Request::post("/PayoutBankTransafer").body(Full::new(Bytes::from(body.to_string()))).unwrap();
        let response = hundi::http::router::api(Arc::clone(&self.app), [127, 0, 0, 1].into(), request).await;
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn payout(world: &World, order: &str) -> Payout {
    let order = OrderId::parse(order).unwrap();
    world.app.store.payout_by_order(MerchantId(1), &order).await.unwrap().unwrap()
}

/// How often the bank has moved money.
async fn executions(world: &World) -> i64 {
    world.book().await.iter().map(|entry| entry["executions"].as_i64().unwrap()).sum()
}

/// HTTP that leaves only once the gate is open: a process that is paused before its request.
fn behind(gate: &Arc<Semaphore>, out: &HttpOut) -> HttpOut {
    let (gate, out) = (Arc::clone(gate), Arc::clone(out));
    Arc::new(move |request: OutRequest| {
        let (gate, out) = (Arc::clone(&gate), Arc::clone(&out));
        Box::pin(async move {
            drop(gate.acquire().await.unwrap());
            out(request).await
        })
    })
}

/// HTTP of a process that dies before it hears an answer.
fn dying(out: HttpOut) -> HttpOut {
    Arc::new(move |request: OutRequest| {
        let out = Arc::clone(&out);
        Box::pin(async move {
            drop(out(request).await);
            std::future::pending().await
        })
    })
}

/// HTTP of a process that is paused when it has heard an answer, until the gate is open.
fn paused_over_answers(gate: &Arc<Semaphore>, out: &HttpOut) -> HttpOut {
    let (gate, out) = (Arc::clone(gate), Arc::clone(out));
    Arc::new(move |request: OutRequest| {
        let (gate, out) = (Arc::clone(&gate), Arc::clone(&out));
        Box::pin(async move {
            let answer = out(request).await;
            drop(gate.acquire().await.unwrap());
            answer
        })
    })
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 40).unwrap() % end
    }
}

/// Pauses, crashes, stops, lost leases and clocks that are seconds apart, and step: no id is given out twice.
#[tokio::test(start_paused = true)]
async fn no_id_is_given_out_by_two_processes() {
    let (mut given, mut silent, mut moved) = (0, 0, 0);
    for seed in 1..=3 {
        let world = World::new().await;
        let store = &world.app.store;
        let alone = Write::Alone(store);
        // With three numbers left for four processes, numbers change hands all the time.
        // The others are those of a clock that is an hour ahead: they are taken over when no other is free.
        let mut now = world.app.clock.now();
        while taken(store, now).await < PROCESSES_MAX - 3 {
            process::lease(store, now.after(HOUR), MINUTE).await.unwrap();
        }
        let mut dice = Dice(seed);
        let mut processes: [Option<ProcessNumber>; 4] = Default::default();
        let mut paused = [false; 4];
        let mut numbers = [None; 4];
        let mut skews = [0, 0, 4 * SECOND, -7 * SECOND];
        let mut seen = BTreeSet::new();
        for _ in 0..400 {
            // Coarse time, so that two who hold one number would give out the same ids.
            now = now.after(dice.below(3) * SECOND);
            let one = usize::try_from(dice.below(4)).unwrap();
            let at = now.after(skews[one]);
            let Some(number) = &processes[one] else {
                processes[one] = process::lease(store, at, LEASE).await.ok();
                continue;
            };
            match dice.below(20) {
                0 => processes[one] = None,
                1 => {
                    number.give_back(alone).await.unwrap();
                    processes[one] = None;
                }
                2 => skews[one] = [0, 0, 4 * SECOND, -7 * SECOND][usize::try_from(dice.below(4)).unwrap()],
                3..=5 => paused[one] = !paused[one],
                // It fails while every number is taken.
                6..=12 if !paused[one] => drop(number.keep(store, alone, at, LEASE).await),
                _ => {
                    for _ in 0..20 {
                        let Some(id) = number.next_id(at) else {
                            silent += 1;
                            continue;
                        };
                        assert!(seen.insert(id), "{id} was given out twice, seed {seed}");
                        let changed = numbers[one].replace(id.0 % PROCESSES_MAX) != Some(id.0 % PROCESSES_MAX);
                        moved += usize::from(changed);
                    }
                }
            }
        }
        given += seen.len();
    }
    // It has shown something: ids, ends of leases, and numbers that changed hands.
    assert!(given > 1_000 && silent > 100 && moved > 50, "{given} given, {silent} not given, {moved} moves");
}

/// How many numbers are leased at a moment.
async fn taken(store: &Store, now: Timestamp) -> i64 {
    let known = store.processes().await.unwrap();
    i64::try_from(known.iter().filter(|(_, until, _)| *until > now).count()).unwrap()
}

/// Gives back the number of the world's own process, which is leased for years, and leases all but one for a minute.
async fn take_all_but_one(world: &World) {
    let (store, now) = (&world.app.store, world.app.clock.now());
    world.app.process.give_back(Write::Alone(store)).await.unwrap();
    while taken(store, now).await < PROCESSES_MAX - 1 {
        process::lease(store, now, LONG).await.unwrap();
    }
}

/// The rules one by one, as an operator would meet them.
#[tokio::test(start_paused = true)]
async fn a_number_is_lost_taken_and_given_back() {
    let world = World::new().await;
    let (store, start) = (&world.app.store, world.app.clock.now());
    let alone = Write::Alone(store);
    take_all_but_one(&world).await;
    let paused = process::lease(store, start, LEASE).await.unwrap();
    let error = process::lease(store, start, LEASE).await.err().unwrap().to_string();
    assert!(error.contains("all 32 process numbers of this database are taken"), "{error}");
    let last = paused.next_id(start.after(LEASE - 1)).unwrap();
    assert_eq!(paused.next_id(start.after(LEASE)), None);
    // Its lease has run out; the next holder begins behind it, although its clock is a day late.
    let next = process::lease(store, start.after(LEASE), LEASE).await.unwrap();
    let first = next.next_id(Timestamp(start.0 - DAY)).unwrap();
    assert!(first > last);
    assert_eq!(first.0 % PROCESSES_MAX, last.0 % PROCESSES_MAX);
    // What was paused may not prolong what is not its own any more, and has nothing to give back.
    assert!(paused.keep(store, alone, start.after(LEASE), LEASE).await.is_err());
    assert_eq!(paused.next_id(start.after(LEASE)), None);
    paused.give_back(alone).await.unwrap();
    assert!(process::lease(store, start.after(LEASE), LEASE).await.is_err());
    // A stop gives back at once what was not used, and nothing of what was.
    let last = next.next_id(start.after(LEASE)).unwrap();
    next.give_back(alone).await.unwrap();
    assert_eq!(next.next_id(start.after(LEASE)), None);
    let heir = process::lease(store, start.after(LEASE + 100), LEASE).await.unwrap();
    assert!(heir.next_id(start).unwrap() > last);
}

/// All numbers are those of processes that were killed, and then the clock is set back: the service starts all the same.
#[tokio::test(start_paused = true)]
async fn a_clock_is_set_back_after_many_kills() {
    let world = World::new().await;
    let (store, start) = (&world.app.store, world.app.clock.now());
    let mut given = BTreeSet::new();
    let mut killed = Vec::new();
    world.app.process.give_back(Write::Alone(store)).await.unwrap();
    while taken(store, start).await < PROCESSES_MAX {
        let process = process::lease(store, start, LEASE).await.unwrap();
        given.extend((0..20).map(|_| process.next_id(start.after(LEASE - 1_000)).unwrap()));
        killed.push(process);
    }
    assert!(process::lease(store, start, LEASE).await.is_err(), "they may live");
    assert!(process::lease(store, Timestamp(start.0 - MINUTE), LEASE).await.is_err(), "and clocks differ");
    let back = Timestamp(start.0 - HOUR);
    for _ in 0..2 * PROCESSES_MAX {
        let process = process::lease(store, back, LEASE).await.unwrap();
        given.extend((0..20).map(|_| process.next_id(back).unwrap()));
        killed.push(process);
    }
    assert_eq!(given.len(), killed.len() * 20, "an id was given twice");
    // One that lives after all has lost its number, and takes another.
    let lives = &killed[0];
    let before: BTreeSet<_> = (0..20).filter_map(|_| lives.next_id(back)).collect();
    lives.keep(store, Write::Alone(store), back, LEASE).await.unwrap();
    let after: BTreeSet<_> = (0..20).map(|_| lives.next_id(back).unwrap()).collect();
    assert!(given.is_disjoint(&before) && given.is_disjoint(&after) && before.is_disjoint(&after));
}

/// Without a lease a create is not known, and no number is lost by it.
#[tokio::test(start_paused = true)]
async fn without_a_lease_creates_are_not_known() {
    let world = World::new().await;
    let other = Process::beside(&world, Arc::clone(&world.app.http_out), true).await;
    assert_eq!(other.pay("A").await["StatusCode"], 1);
    // The database was away: nobody has prolonged the lease.
    world.pass(Duration::from_secs(60)).await;
    let answer = other.pay("B").await;
    assert_eq!((&answer["StatusCode"], &answer["Data"]), (&json!(6), &Value::Null), "{answer}");
    assert_eq!(world.status("B").await.code(), 4);
    other.app.keep_process(LEASE).await.unwrap();
    assert_eq!(other.pay("B").await["StatusCode"], 1);
    // Another process takes the number while this one sleeps; it goes on under a new one.
    world.pass(Duration::from_secs(6)).await;
    take_all_but_one(&world).await;
    process::lease(&world.app.store, other.app.clock.now(), 2 * SECOND).await.unwrap();
    assert!(other.app.keep_process(LEASE).await.is_err());
    assert_eq!(other.pay("C").await["StatusCode"], 6);
    world.pass(Duration::from_secs(2)).await;
    other.app.keep_process(LEASE).await.unwrap();
    assert_eq!(other.pay("C").await["StatusCode"], 1);
    world.verify().await;
}

/// `serve --no-worker`: what one process accepts another sends, and the answer that waits here hears of it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_hears_what_another_process_has_heard() {
    let world = World::new().await;
    let nobody: HttpOut = Arc::new(|_| Box::pin(std::future::pending()));
    let other = Process::beside(&world, nobody, false).await;
    let began = tokio::time::Instant::now();
    let answers = futures_of(&other, 20).await;
    assert!(answers.iter().all(|answer| answer["StatusCode"] == 1), "{answers:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(executions(&world).await, 20);
    world.verify().await;
}

/// So many payouts at once.
async fn futures_of(process: &Process, many: usize) -> Vec<Value> {
    let mut answers = Vec::new();
    let orders: Vec<String> = (0..many).map(|order| format!("O-{order}")).collect();
    let mut calls: Vec<_> = orders.iter().map(|order| Box::pin(process.pay(order))).collect();
    std::future::poll_fn(|context| {
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers
}

/// Nobody waits, so nothing is asked: a process at rest sets no timer.
#[tokio::test(start_paused = true)]
async fn who_waits_for_nothing_sets_no_timer() {
    let world = World::new().await;
    let out = Arc::clone(&world.app.http_out);
    let other = Process::beside(&world, out, true).await;
    assert_eq!(other.pay("A").await["StatusCode"], 1);
    world.pass(Duration::from_secs(1)).await;
    let (_stop, stopped) = watch::channel(false);
    let app = Arc::clone(&other.app);
    let mut listening = Box::pin(hundi::listen(app, stopped));
    let mut woken = 0;
    let counted = std::future::poll_fn(|context| {
        woken += 1;
        listening.as_mut().poll(context)
    });
    assert!(tokio::time::timeout(Duration::from_secs(30), counted).await.is_err());
    assert!(woken <= 5, "woken {woken} times");
}

/// A process starts a payout and is paused before it sends. Others find out that the bank never had it and pay it. Then the
/// first one wakes up, and its request reaches the bank, as late as can be.
#[tokio::test(start_paused = true)]
async fn a_process_that_wakes_up_late_pays_nothing_twice() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let paused = Process::beside(&world, behind(&gate, &world.app.http_out), true).await;
    assert_eq!(paused.pay("A").await["StatusCode"], 2);
    paused.pause_worker();
    assert_eq!((payout(&world, "A").await.state, payout(&world, "A").await.attempts), (State::Sending, 1));
    // Only the world works on; the paused process's tasks hang at their gate.
    world.pass(Duration::from_secs(300)).await;
    let paid = payout(&world, "A").await;
    assert_eq!((paid.state, paid.attempts), (State::Paid, 2));
    assert_eq!(executions(&world).await, 1);
    gate.add_permits(1_000);
    world.pass(Duration::from_secs(300)).await;
    let after = payout(&world, "A").await;
    assert_eq!((after.state, after.held, after.paid_attempt), (State::Paid, false, Some(2)));
    let book = world.book().await;
    assert_eq!((executions(&world).await, book.len()), (1, 2), "{book:?}");
    assert!(world.app.store.exceptions(10).await.unwrap().is_empty());
    world.verify().await;
}

/// A process says that no byte of its request had left, twice: the first time nobody knew whether it was written. Between
/// the two another process has started the payout again, under the same reference, and the bank has it.
#[tokio::test(start_paused = true)]
async fn what_never_left_is_not_said_of_another_processs_request() {
    let world = World::new().await;
    let unreachable: HttpOut = Arc::new(|_| Box::pin(async { Err(OutError::NotWritten("no route".into())) }));
    let first = Process::beside(&world, unreachable, true).await;
    let answer = tokio::time::timeout(Duration::from_millis(100), first.pay_to("A", PAID_LATER)).await;
    assert!(answer.is_err());
    first.pause_worker();
    let queued = payout(&world, "A").await;
    assert_eq!((queued.state, queued.attempts), (State::Queued, 0));
    world.pass(Duration::from_secs(5)).await;
    let sent = payout(&world, "A").await;
    assert_eq!((sent.state, sent.attempts, sent.reference), (State::Sent, 1, queued.reference));
    let again = Command::Record {
        connector: queued.connector.unwrap(),
        reference: queued.reference.unwrap(),
        word: Word { outcome: Outcome::NotWritten, amount_paise: None, rrn: "".into(), why: "".into() },
        source: Source::Reply { send_before: queued.send_before },
    };
    let said = first.app.writer.execute(again).await.unwrap();
    assert!(matches!(said, Decision::Repeat(_)), "{said:?}");
    world.pass(Duration::from_secs(300)).await;
    let paid = payout(&world, "A").await;
    assert_eq!((paid.state, paid.held, executions(&world).await), (State::Paid, false, 1));
    world.verify().await;
}

/// Somebody calls while a request is on its way, so that the bank is asked early; then the request arrives. The process that
/// asked is paused over its "not found", and records it when it would be final, had the bank been asked then.
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_slept_over_is_no_news() {
    // Nobody else asks meanwhile.
    let world = World::with(|config| config.worker.lease_ms = 120_000).await;
    let (arrives, wakes) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let sending = Process::beside(&world, dying(behind(&arrives, &world.app.http_out)), true).await;
    let asking = Process::beside(&world, paused_over_answers(&wakes, &world.app.http_out), true).await;
    assert!(tokio::time::timeout(Duration::from_millis(100), sending.pay("A")).await.is_err());
    let sent = payout(&world, "A").await;
    let word = Word { outcome: Outcome::Paid, amount_paise: None, rrn: "".into(), why: "".into() };
    let (connector, reference) = (sent.connector.unwrap(), sent.reference.unwrap());
    let call = Command::Record { connector, reference, word, source: Source::UnsignedCallback };
    assert!(matches!(asking.app.writer.execute(call).await, Ok(Decision::Done(_))));
    world.pass(Duration::from_millis(500)).await;
    assert_eq!((payout(&world, "A").await.state, executions(&world).await), (State::Sending, 0));
    arrives.add_permits(1_000);
    world.pass(Duration::from_millis(500)).await;
    assert_eq!((payout(&world, "A").await.state, executions(&world).await), (State::Sending, 1));
    let final_at = sent.send_before.after(6 * SECOND).0 - world.app.clock.now().0;
    world.pass(Duration::from_micros(u64::try_from(final_at).unwrap())).await;
    wakes.add_permits(1_000);
    world.pass(Duration::from_secs(300)).await;
    let paid = payout(&world, "A").await;
    assert_eq!((paid.state, paid.attempts, paid.held, executions(&world).await), (State::Paid, 1, false, 1));
    world.verify().await;
}

/// A claim of a callback has run out while its process was paused, and another has taken it up.
#[tokio::test(start_paused = true)]
async fn a_result_of_a_claim_that_ran_out_does_not_end_anothers() {
    let world = World::new().await;
    let url = Some("http://shop.test/cb".to_owned());
    admin::merchant_set(&world.app, "demo", MerchantChanges { callback_url: url, ..Default::default() }, &operator())
        .await
        .unwrap();
    world.receivers.behave(|_| Behaviour::Hangs);
    // Paid, and given back after five seconds: two news.
    assert_eq!(world.pay("A", 100, "123456780777").await.code(), 1);
    world.pass(Duration::from_secs(8)).await;
    let id = payout(&world, "A").await.order.id;
    let key = |seq| CallbackKey { merchant: MerchantId(1), payout: id, seq };
    let row = |seq: usize| {
        let app = Arc::clone(&world.app);
        async move { app.store.callbacks(MerchantId(1), id).await.unwrap().remove(seq - 1) }
    };
    let claimed = row(1).await.next_at.unwrap();
    let now = world.app.clock.now();
    assert!(claimed > now, "the world makes the call");
    let taken = now.after(HOUR);
    assert_eq!(world.app.writer.write(rows::callback_claim(key(1), claimed, taken)).await, Ok(1));
    // The world's own call fails now, which is not its to tell any more.
    world.pass(Duration::from_secs(20)).await;
    let left = row(1).await;
    assert_eq!((left.state, left.tries, left.next_at), (1, 0, Some(taken)));
    for fate in [CallbackFate::Again(now), CallbackFate::GivenUp, CallbackFate::Delivered] {
        assert_eq!(world.app.writer.write(rows::callback_result(key(1), claimed, fate, "x", now)).await, Ok(0));
    }
    // But that it has arrived is true whoever says it; newer news waits until nobody can be making the older call.
    let (now, latest) = (world.app.clock.now(), world.app.clock.now().after(15 * SECOND));
    let late = || rows::callback_delivered_late(key(1), "204", now, latest);
    assert_eq!(world.app.writer.write(late()).await, Ok(1));
    assert_eq!(world.app.writer.write(late()).await, Ok(0));
    let (first, second) = (row(1).await, row(2).await);
    assert_eq!((first.state, first.tries, first.next_at, first.result.as_str()), (2, 1, None, "204"));
    assert_eq!((second.state, second.next_at), (1, Some(latest)));
    // The other process's failure comes last of all, and changes nothing.
    let fate = CallbackFate::Again(now);
    assert_eq!(world.app.writer.write(rows::callback_result(key(1), taken, fate, "x", now)).await, Ok(0));
    world.receivers.behave(|_| Behaviour::Answers(204));
    let before = world.receivers.calls().len();
    world.pass(Duration::from_secs(14)).await;
    assert_eq!(world.receivers.calls().len(), before);
    world.pass(Duration::from_secs(3)).await;
    assert_eq!((row(2).await.state, world.receivers.calls().len()), (2, before + 1));
}
