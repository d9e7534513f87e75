//! Callbacks to merchants.

use super::support::{Behaviour, Received, World, operator};
use hundi::admin::{self, MerchantChanges};
use hundi::callbacks::{self, Setting};
use hundi::store::reads::CallbackView;
use hundi::store::rows::{self, CallbackKey};
use hundi_core::ids::{OrderId, PayoutId};
use hundi_core::schedule::{CALLBACKS, DAY, HOUR, SECOND, Timestamp};
use hundi_core::signing;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// An account that is paid at once, and one that is paid and reversed after 5 s.
const PAID: &str = "1234567890";
const REVERSED: &str = "1234560777";

const DELIVERED: i64 = 2;
const GIVEN_UP: i64 = 3;

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_is_called_by_the_schedule_and_then_given_up() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|_| Behaviour::Answers(500));
    let key = pay(&world, "O-1", PAID).await;
    for tries in 1..CALLBACKS.len() {
        let row = row(&world, key).await;
        assert_eq!((usize::try_from(row.tries).unwrap(), row.state, row.result.as_str()), (tries, 1, "500"));
        go_to(&world, row.next_at.unwrap()).await;
    }
    let row = row(&world, key).await;
    assert_eq!((row.tries, row.state, row.next_at), (10, GIVEN_UP, None));
    let calls = world.receivers.calls();
    assert_eq!(calls.len(), CALLBACKS.len());
    for (pair, pause) in calls.windows(2).zip(&CALLBACKS[1..]) {
        let waited = pair[1].at.0 - pair[0].at.0;
        assert!((*pause..=pause + pause / 10 + SECOND / 10).contains(&waited), "{waited} instead of {pause}");
    }
    assert!(calls[9].at.0 - calls[0].at.0 >= 75 * HOUR);
    jump(&world, 30 * DAY).await;
    assert_eq!(world.receivers.calls().len(), CALLBACKS.len());
}

#[tokio::test(start_paused = true)]
async fn every_try_has_the_same_id_and_a_signature_of_its_own_time() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|_| Behaviour::Answers(503));
    let key = pay(&world, "O-1", PAID).await;
    for _ in 0..3 {
        let next_at = row(&world, key).await.next_at.unwrap();
        go_to(&world, next_at).await;
    }
    let calls = world.receivers.calls();
    let ids: BTreeSet<_> = calls.iter().map(|call| header(call, "webhook-id")).collect();
    assert_eq!((calls.len(), ids.len()), (4, 1));
    let merchant = admin::merchant(&world.app, "demo").await.unwrap();
    let secret = callbacks::open_setting(&world.app.keys, "demo", Setting::Secret, &merchant.callback_secret).unwrap();
    for call in &calls {
        let timestamp_s: i64 = header(call, "webhook-timestamp").parse().unwrap();
        assert_eq!(timestamp_s, call.at.0 / SECOND);
        let signed = call.url.replacen("http://shop.test", "GET ", 1);
        let (id, signature) = (header(call, "webhook-id"), header(call, "webhook-signature"));
        assert!(signing::verify(&secret, &id, timestamp_s, signed.as_bytes(), &signature));
        assert!(!signing::verify(b"other", &id, timestamp_s, signed.as_bytes(), &signature));
    }
}

#[tokio::test(start_paused = true)]
async fn a_2xx_ends_it_and_a_redirect_is_a_failure() {
    let world = world("http://shop.test/cb").await;
    let mut answers = [302, 410, 201].into_iter();
    world.receivers.behave(move |_| Behaviour::Answers(answers.next().unwrap()));
    let key = pay(&world, "O-1", PAID).await;
    for (state, result) in [(1, "302, redirects are not followed"), (1, "410"), (DELIVERED, "201")] {
        let row = row(&world, key).await;
        assert_eq!((row.state, row.result.as_str()), (state, result));
        match row.next_at {
            Some(next_at) => go_to(&world, next_at).await,
            None => assert_eq!(state, DELIVERED),
        }
    }
    jump(&world, 30 * DAY).await;
    assert_eq!(world.receivers.calls().len(), 3);
    let metrics = world.app.metrics.text(&world.app).await.unwrap();
    for line in
        [r#"hundi_callback_tries_total{result="failed"} 2"#, r#"hundi_callback_tries_total{result="delivered"} 1"#]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_join_the_query_that_the_url_has() {
    let world = world("http://shop.test/cb?key=a%20b").await;
    let key = pay(&world, "A&B=C%D+E#1", PAID).await;
    let rrn = world.app.store.payout(key.merchant, key.payout).await.unwrap().unwrap().rrn;
    assert!(!rrn.is_empty());
    let refs: Vec<_> = world.receivers.calls().into_iter().map(|call| call.url).collect();
    let id = key.payout;
    assert_eq!(
        refs,
        [format!(
            "http://shop.test/cb?key=a%20b&clientTxnRef=A%26B%3DC%25D%2BE%231&refId={id}&status=Success&operatorRef={rrn}"
        )]
    );
}

#[tokio::test(start_paused = true)]
async fn a_reversal_waits_for_the_success_that_was_not_heard() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|_| Behaviour::Answers(500));
    let key = pay(&world, "O-1", REVERSED).await;
    world.pass(Duration::from_secs(60)).await;
    let rows = world.app.store.callbacks(key.merchant, key.payout).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.state, row.tries)).collect::<Vec<_>>(), [(1, 2), (1, 0)]);
    // What waits for older news is not due before it.
    let at = rows[0].next_at.unwrap();
    go_to(&world, at).await;
    let rows = world.app.store.callbacks(key.merchant, key.payout).await.unwrap();
    assert_eq!((rows[0].tries, rows[0].next_at), (3, rows[1].next_at));
    world.receivers.behave(|_| Behaviour::Answers(200));
    go_to(&world, rows[0].next_at.unwrap()).await;
    assert_eq!(statuses(&world), ["Success", "Success", "Success", "Success", "Reversal"]);
    let rows = world.app.store.callbacks(key.merchant, key.payout).await.unwrap();
    assert!(rows.iter().all(|row| row.state == DELIVERED && row.next_at.is_none()));
    let calls = world.receivers.calls();
    assert_eq!(header(&calls[4], "webhook-id"), format!("cb_{}_2", key.payout));
    assert!(calls[4].at.0 - calls[3].at.0 < SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn a_reversal_is_told_when_the_success_was_given_up() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|call| Behaviour::Answers(if call.url.contains("=Success") { 500 } else { 200 }));
    let key = pay(&world, "O-1", REVERSED).await;
    world.pass(Duration::from_secs(20)).await;
    while let Some(next_at) = row(&world, key).await.next_at {
        go_to(&world, next_at).await;
    }
    let rows = world.app.store.callbacks(key.merchant, key.payout).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), [GIVEN_UP, DELIVERED]);
    assert_eq!(statuses(&world).iter().position(|status| status == "Reversal"), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_merchant_whose_receiver_hangs_delays_nobody_else() {
    let world = World::with(|config| {
        config.callbacks.allow_private = true;
        config.callbacks.total_max = 12;
    })
    .await;
    world.receivers.behave(|call| match call.url.starts_with("http://slow") {
        true => Behaviour::Hangs,
        false => Behaviour::Answers(204),
    });
    // Ten slow merchants could hold 20 of the 12 calls from the start; the unproven share 6.
    let mut slow = Vec::new();
    for number in 0..10 {
        let name = format!("slow-{number}");
        slow.push(merchant(&world, &name, "http://slow.test/cb").await);
    }
    for (number, token) in slow.iter().enumerate() {
        for order in 0..50 {
            pay_as(&world, token, &format!("S-{number}-{order}"), PAID).await;
        }
    }
    let token = merchant(&world, "quick", "http://quick.test/cb").await;
    world.pass(Duration::from_secs(30)).await;
    let asked = world.app.clock.now();
    // The first call may wait for a slow one's time-out, as the merchant is not proven yet.
    pay_as(&world, &token, "Q-0", PAID).await;
    world.pass(Duration::from_secs(11)).await;
    assert_eq!(quick(&world).len(), 1);
    assert!(quick(&world)[0].at.0 - asked.0 <= 11 * SECOND);
    // From then on none waits.
    for order in 1..=50 {
        let asked = world.app.clock.now();
        pay_as(&world, &token, &format!("Q-{order}"), PAID).await;
        world.pass(Duration::from_millis(700)).await;
        let calls = quick(&world);
        assert_eq!(calls.len(), order + 1);
        assert!(calls[order].at.0 - asked.0 < SECOND / 2, "{order}");
    }
    // The slow ones take turns and never have more than their half.
    let calls = world.receivers.calls();
    let slow: Vec<_> = calls.iter().filter(|call| call.url.starts_with("http://slow")).collect();
    for call in &slow {
        let at_once =
            slow.iter().filter(|other| (call.at.0 - 10 * SECOND + 1..=call.at.0).contains(&other.at.0)).count();
        assert!(at_once <= 6, "{at_once} calls that hang at once");
    }
    let mut by_merchant = BTreeMap::new();
    for call in &slow {
        let number = call.url.split("S-").nth(1).unwrap().split('-').next().unwrap().to_owned();
        *by_merchant.entry(number).or_insert(0) += 1;
    }
    assert_eq!(by_merchant.len(), 10, "{by_merchant:?}");
}

#[tokio::test(start_paused = true)]
async fn one_merchants_long_queue_hides_nobody_and_is_worked_off() {
    let world = World::new().await;
    world.receivers.behave(|call| match call.url.starts_with("http://slow") {
        true => Behaviour::Hangs,
        false => Behaviour::Answers(204),
    });
    let slow = merchant(&world, "slow", "http://slow.test/cb").await;
    let token = merchant(&world, "quick", "http://quick.test/cb").await;
    for order in 0..500 {
        pay_as(&world, &slow, &format!("S-{order}"), PAID).await;
    }
    world.pass(Duration::from_secs(15)).await;
    let asked = world.app.clock.now();
    for order in 0..40 {
        pay_as(&world, &token, &format!("Q-{order}"), PAID).await;
    }
    world.pass(Duration::from_secs(1)).await;
    let calls = quick(&world);
    assert_eq!(calls.len(), 40);
    assert!(calls.iter().all(|call| call.at.0 - asked.0 < SECOND));
    // After a time-out there is one call at a time; when the receiver is well again, up to eight, and all are delivered.
    world.pass(Duration::from_secs(30)).await;
    let before = world.receivers.calls().len();
    world.pass(Duration::from_secs(30)).await;
    assert!((2..=4).contains(&(world.receivers.calls().len() - before)));
    world.receivers.behave(|_| Behaviour::Answers(204));
    let before = world.receivers.calls().len();
    world.pass(Duration::from_secs(900)).await;
    let well = &world.receivers.calls()[before..];
    assert!(well[300].at.0 - well[200].at.0 < SECOND / 4);
    let delivered: BTreeSet<_> = world.receivers.calls().iter().map(|call| header(call, "webhook-id")).collect();
    assert_eq!(delivered.len(), 540);
    assert!(world.app.store.callbacks_next(Timestamp(0)).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_another_process_has_claimed_is_left_to_it() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|_| Behaviour::Answers(500));
    let key = pay(&world, "O-1", PAID).await;
    let seen = row(&world, key).await.next_at.unwrap();
    let lease = seen.after(HOUR);
    assert_eq!(world.app.writer.write(rows::callback_claim(key, seen, lease)).await, Ok(1));
    assert_eq!(world.app.writer.write(rows::callback_claim(key, seen, lease)).await, Ok(0));
    jump(&world, HOUR - 60 * SECOND).await;
    assert_eq!(world.receivers.calls().len(), 1);
    // The other process was never heard of again.
    go_to(&world, lease).await;
    assert_eq!(world.receivers.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn two_processes_make_each_call_once() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|_| Behaviour::Answers(500));
    for order in 0..30 {
        pay(&world, &format!("O-{order}"), PAID).await;
    }
    let (stop, stopped) = watch::channel(false);
    let other = tokio::spawn(callbacks::run(Arc::clone(&world.app), stopped));
    jump(&world, HOUR).await;
    world.receivers.behave(|_| Behaviour::Answers(204));
    let before = world.receivers.calls().len();
    for _ in 0..20 {
        jump(&world, HOUR / 4).await;
    }
    let ids: Vec<_> = world.receivers.calls()[before..].iter().map(|call| header(call, "webhook-id")).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len());
    assert!(world.app.store.callbacks_next(Timestamp(0)).await.unwrap().is_empty());
    stop.send_replace(true);
    other.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_merchant_who_has_no_url_any_more_is_not_called() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|_| Behaviour::Answers(500));
    let key = pay(&world, "O-1", PAID).await;
    set_url(&world, "demo", "none").await;
    let next_at = row(&world, key).await.next_at.unwrap();
    go_to(&world, next_at).await;
    let row = row(&world, key).await;
    assert_eq!((row.state, row.result.as_str(), row.next_at), (GIVEN_UP, "no callback URL", None));
    assert_eq!(world.receivers.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_crash_cut_off_is_made_again_under_the_same_id() {
    let world = world("http://shop.test/cb").await;
    world.receivers.behave(|_| Behaviour::Hangs);
    let key = pay(&world, "O-1", PAID).await;
    let first = world.receivers.calls();
    assert_eq!((first.len(), row(&world, key).await.tries), (1, 0));
    let (folder, bank, clock) = world.kill();
    let world = World::start(folder, bank, clock, |_| {}).await;
    world.pass(Duration::from_secs(20)).await;
    let second = world.receivers.calls();
    assert_eq!(second.len(), 1);
    assert_eq!(header(&first[0], "webhook-id"), header(&second[0], "webhook-id"));
    let waited = second[0].at.0 - first[0].at.0;
    assert!((10 * SECOND..=16 * SECOND).contains(&waited), "{waited}");
    assert_eq!(row(&world, key).await.state, DELIVERED);
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_a_little_for_what_is_in_flight() {
    for (deadline_ms, tries) in [(3_000, 1), (10_000, 0)] {
        let world = World::with(|config| config.callbacks.deadline_ms = deadline_ms).await;
        set_url(&world, "demo", "http://shop.test/cb").await;
        world.receivers.behave(|_| Behaviour::Hangs);
        let key = pay(&world, "O-1", PAID).await;
        let began = tokio::time::Instant::now();
        let app = Arc::clone(&world.app);
        let kept = world.stop().await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let row = app.store.callbacks(key.merchant, key.payout).await.unwrap().remove(0);
        assert_eq!(row.tries, tries);
        assert!(tries == 0 || row.result == "time-out", "{}", row.result);
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_that_cannot_be_unsealed_is_tried_again() {
    let world = world("http://shop.test/cb").await;
    let merchant = admin::merchant(&world.app, "demo").await.unwrap().id;
    let others = callbacks::seal_setting(&world.app.keys, "other", Setting::Url, b"http://other.test/cb");
    world.app.writer.write(rows::merchant_set(merchant, rows::Setting::CallbackUrl(Some(others)))).await.unwrap();
    let key = pay(&world, "O-1", PAID).await;
    let before = row(&world, key).await;
    assert_eq!((before.state, before.tries), (1, 1));
    assert!(before.result.contains("cannot be unsealed"));
    assert!(world.receivers.calls().is_empty());
    set_url(&world, "demo", "http://shop.test/cb").await;
    go_to(&world, before.next_at.unwrap()).await;
    assert_eq!(row(&world, key).await.state, DELIVERED);
}

/// A world whose merchant `demo` is called here.
async fn world(url: &str) -> World {
    let world = World::new().await;
    set_url(&world, "demo", url).await;
    world
}

async fn set_url(world: &World, merchant: &str, url: &str) {
    let changes = MerchantChanges { callback_url: Some(url.to_owned()), ..MerchantChanges::default() };
    admin::merchant_set(&world.app, merchant, changes, &operator()).await.unwrap();
}

/// Adds a merchant with money, and gives back a token of his.
async fn merchant(world: &World, merchant: &str, url: &str) -> String {
    admin::merchant_add(&world.app, merchant, "*:5.00", &operator()).await.unwrap();
    let credit = format!("OPENING-{merchant}");
    admin::fund(&world.app, merchant, "1000000.00", &credit, "sandbox", &operator()).await.unwrap();
    set_url(world, merchant, url).await;
    world.new_token(merchant, "127.0.0.1").await
}

/// Pays for `demo`, lets the first try happen, and names the first callback.
async fn pay(world: &World, order: &str, account: &str) -> CallbackKey {
    pay_as(world, &world.token, order, account).await;
    world.pass(Duration::from_millis(200)).await;
    let merchant = admin::merchant(&world.app, "demo").await.unwrap().id;
    let order = OrderId::parse(order).unwrap();
    let payout: PayoutId =
        world.app.store.payout_by_order(merchant, &order).await.unwrap().expect("the payout exists").order.id;
    CallbackKey { merchant, payout, seq: 1 }
}

async fn pay_as(world: &World, token: &str, order: &str, account: &str) {
    let body = serde_json::json!({
        "Token": token, "Amount": "10", "TransferMode": "IMPS", "AccountNo": account, "IFSCCode": "HDFC0000001",
        "BeneficiaryName": "RUPESH KUMAR", "OrderID": order,
    });
    let answer = world.post("/PayoutBankTransafer", &body.to_string()).await;
    assert_eq!(answer.code(), 1, "{}", answer.body);
}

async fn row(world: &World, key: CallbackKey) -> CallbackView {
    let rows = world.app.store.callbacks(key.merchant, key.payout).await.unwrap();
    rows.into_iter().find(|row| row.seq == key.seq).expect("the callback exists")
}

fn header(call: &Received, name: &str) -> String {
    call.headers.iter().find(|(known, _)| *known == name).expect("the header is sent").1.clone()
}

fn statuses(world: &World) -> Vec<String> {
    let status = |call: Received| call.url.split("status=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    world.receivers.calls().into_iter().map(status).collect()
}

fn quick(world: &World) -> Vec<Received> {
    world.receivers.calls().into_iter().filter(|call| call.url.starts_with("http://quick")).collect()
}

/// Jumps to a moment without living through what is before it, and lets happen what is due then.
async fn go_to(world: &World, at: Timestamp) {
    let pause = at.0 - world.app.clock.now().0;
    jump(world, pause).await;
}

async fn jump(world: &World, micros: i64) {
    tokio::time::advance(Duration::from_micros(u64::try_from(micros).unwrap_or(0))).await;
    world.pass(Duration::from_millis(100)).await;
}
