//! The finance desk's day: as it was, whatever came after it, and with sums that tie.

use super::support::{World, operator};
use crate::dice::Dice;
use crate::score::score;
use hundi::admin;
use hundi::clock::Clock;
use hundi::reconcile::{Fed, reconcile};
use hundi::report::{Report, report};
use hundi::store::Store;
use hundi_core::formats;
use hundi_core::ids::Connector;
use hundi_core::postings::MovementKind;
use hundi_core::rails::Rail;
use hundi_core::schedule::{DAY, SECOND, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

const PAID: &str = "50100010001";
const REFUSED: &str = "50100010444";
const REVERSED: &str = "50100010777";
const PENDING: &str = "50100010333";

async fn of_day(world: &World, day: &str, merchant: Option<&str>) -> Report {
    let app = &world.app;
    let view = Store::open_view(&app.config, &app.clock).await.unwrap();
    report(&view, &app.config, app.clock.now(), day, merchant).await.unwrap()
}

async fn read_statement(world: &World, date: &str) {
    let path = format!("/statement?date={date}");
    let bytes = world.bank.handle("GET", &path, Default::default()).await.unwrap().body;
    let mut said = Vec::new();
    formats::read(&bytes[..], "statement.xml", None, &mut |one| said.push(one));
    let (to, mut fed) = mpsc::channel(2);
    to.try_send(Fed::Said(said)).unwrap();
    to.try_send(Fed::Ended([7; 32])).unwrap();
    reconcile(&world.app, &mut fed, Connector::parse("sandbox").unwrap(), &operator()).await.unwrap();
}

/// The CSV without the payouts' numbers, which depend on the process, and without trailing empty cells.
fn shown(report: &Report) -> String {
    let line = |line: &str| {
        let cells =
            line.split(',').map(|cell| if cell.len() == 15 && cell.parse::<i64>().is_ok() { "#" } else { cell });
        cells.collect::<Vec<_>>().join(",").trim_end_matches(',').replace(",0.00,0.00", "")
    };
    report.csv().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The same Hundi, so much later: what would be seconds of looking for work on a server takes none.
async fn later(world: World, by_us: i64) -> World {
    let token = world.token.clone();
    let (folder, bank, clock) = world.stop().await;
    let mut world = World::start(folder, bank, Clock::held(clock.now().after(by_us)), |_| {}).await;
    world.token = token;
    world
}

#[tokio::test(start_paused = true)]
async fn a_day_is_reported_as_it_was() {
    let world = World::new().await;
    admin::merchant_add(&world.app, "idle", "free", &operator()).await.unwrap();
    world.pay("A", 200, PAID).await;
    world.pay("B", 300, REVERSED).await;
    world.pay("C", 400, REFUSED).await;
    world.pay("D", 500, PENDING).await;
    world.pay_over("NEFT", "E", 600, PAID).await;
    world.pass(Duration::from_secs(120)).await;
    read_statement(&world, "2026-11-22").await;
    let today = of_day(&world, "2026-11-22", None).await;
    assert!(today.ties(), "{:?}", today.broken);
    let world = later(world, 3 * DAY).await;
    world.pay("F", 700, PAID).await;
    world.pass(Duration::from_secs(60)).await;
    // What has come since changes nothing of it, but how long what was open has been so.
    let later = of_day(&world, "2026-11-22", None).await;
    assert!(later.ties(), "{:?}", later.broken);
    let but_age = |report: &Report| {
        shown(report).lines().filter(|line| !line.starts_with("open,demo")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(but_age(&today), but_age(&later));
    let expected = "\
section,name,item,rail,count,amount,fee,gst,note
merchant,demo,opening_wallet,,,0.00
merchant,demo,opening_reserved,,,0.00
merchant,demo,fund,,1,1000000.00
merchant,demo,reserve,NEFT,1,600.00,5.00,0.90
merchant,demo,reserve,IMPS,4,1400.00,20.00,3.60
merchant,demo,release,IMPS,1,400.00,5.00,0.90
merchant,demo,settle,NEFT,1,600.00,5.00,0.90
merchant,demo,settle,IMPS,2,500.00,10.00,1.80
merchant,demo,restore,IMPS,1,300.00,5.00,0.90
merchant,demo,closing_wallet,,,998682.30
merchant,demo,closing_reserved,,,505.90
merchant,idle,opening_wallet,,,0.00
merchant,idle,opening_reserved,,,0.00
merchant,idle,closing_wallet,,,0.00
merchant,idle,closing_reserved,,,0.00
merchant,(all),opening_wallet,,,0.00
merchant,(all),opening_reserved,,,0.00
merchant,(all),fund,,1,1000000.00
merchant,(all),reserve,NEFT,1,600.00,5.00,0.90
merchant,(all),reserve,IMPS,4,1400.00,20.00,3.60
merchant,(all),release,IMPS,1,400.00,5.00,0.90
merchant,(all),settle,NEFT,1,600.00,5.00,0.90
merchant,(all),settle,IMPS,2,500.00,10.00,1.80
merchant,(all),restore,IMPS,1,300.00,5.00,0.90
merchant,(all),closing_wallet,,,998682.30
merchant,(all),closing_reserved,,,505.90
connector,sandbox,statement_opening,,,10000000000.00
connector,sandbox,our_debits,,3,1100.00
connector,sandbox,statement_debits,,3,1100.00
connector,sandbox,our_credits,,2,1000300.00
connector,sandbox,statement_credits,,1,300.00
connector,sandbox,statement_closing,,,9999999200.00
difference,sandbox,booked_on_this_day,,3,1100.00
difference,sandbox,not_settled_on_this_day,,,0.00
open,(all),,,1,500.00
open,demo,#,IMPS,1,500.00,open for 12h 0m
late,(all),,,,0.00,compensation due 0.00
verdict,2026-11-22,every sum ties,,,0.00";
    let later = shown(&later);
    for (line, expected) in later.lines().zip(expected.lines()) {
        assert_eq!(line, expected, "\n{later}");
    }
    assert_eq!(later.lines().count(), expected.lines().count(), "\n{later}");
    // Three days later the pending payout is two days late, for which IMPS owes 100 rupees each.
    let last = of_day(&world, "2026-11-25", Some("demo")).await;
    assert_eq!((last.late.all.count, last.late.compensation_paise), (1, 200_00), "{}", last.text());
    assert!(last.connectors.is_empty() && last.ties());
    let id = *last.open.listed.keys().next().unwrap();
    let payout = admin::payout_show(&world.app, &id.to_string()).await.unwrap();
    assert_eq!(
        (&payout["turn_round"]["late_days"], &payout["turn_round"]["compensation_due"]),
        (&2.into(), &"200.00".into())
    );
    let document = last.document();
    assert_eq!(document["sum"]["closing"]["wallet"], "997976.40");
    assert_eq!(document["late"]["payouts"][0]["compensation_due"], "200.00");
    assert!(of_day(&world, "2026-11-21", None).await.sum.moved.is_empty());
    let view = Store::open_view(&world.app.config, &world.app.clock).await.unwrap();
    for (day, merchant, said) in [
        ("2026-11-31", None, "is not a date; write it YYYY-MM-DD"),
        ("2026-11-22", Some("nobody"), "no merchant `nobody`"),
    ] {
        let error = report(&view, &world.app.config, world.app.clock.now(), day, merchant).await.unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

/// What a bank has paid by an earlier attempt, after another one over another rail, went over the rail of the earlier one.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_attempt_paid_went_over_its_rail() {
    let world = World::new().await;
    world.pay("A", 200, PAID).await;
    world.pay("B", 300, REVERSED).await;
    world.pay("C", 400, REFUSED).await;
    world.pay("D", 500, PAID).await;
    world.pass(Duration::from_secs(60)).await;
    // Each but the last was tried again over NEFT. Only what an attempt has paid is that attempt's.
    world.sql("UPDATE payouts SET attempts = 2, sent_rail = 0 WHERE order_id <> 'D'").await;
    let report = of_day(&world, "2026-11-22", None).await;
    assert!(report.ties(), "{:?}", report.broken);
    let text = shown(&report);
    let moved: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("merchant,demo,")).collect();
    let expected = [
        "reserve,NEFT,3,900.00,15.00,2.70",
        "reserve,IMPS,1,500.00,5.00,0.90",
        "release,NEFT,1,400.00,5.00,0.90",
        "settle,IMPS,3,1000.00,15.00,2.70",
        "restore,IMPS,1,300.00,5.00,0.90",
    ];
    let moved: Vec<&str> =
        moved.into_iter().filter(|line| line.contains(",NEFT,") || line.contains(",IMPS,")).collect();
    assert_eq!(moved, expected, "{text}");
}

/// What one book has and the other has not is named, with the exceptions that tell of it.
#[tokio::test(start_paused = true)]
async fn what_differs_between_the_books_is_named() {
    let world = World::new().await;
    world.pay("A", 200, PAID).await;
    world.pay("B", 300, PAID).await;
    world.pass(Duration::from_secs(60)).await;
    read_statement(&world, "2026-11-22").await;
    // One line of the bank is booked a day later, and one is nobody's.
    world
        .sql(
            "UPDATE statement_lines SET booked_at = booked_at + 86400000000 WHERE amount_paise = 20000; \
            INSERT INTO statement_lines SELECT connector, 'SBIN000000001', 'odd', side, 7700, booked_at, sealed, 4, 9, 0, NULL, \
            NULL, NULL, NULL, at FROM statement_lines WHERE amount_paise = 30000; \
            INSERT INTO exceptions (connector, reference, kind, detail, at) VALUES ('sandbox', 'SBIN000000001', 9, 'x', 0)",
        )
        .await;
    let report = of_day(&world, "2026-11-22", None).await;
    let text = shown(&report);
    for line in [
        "connector,sandbox,our_debits,,2,500.00",
        "connector,sandbox,statement_debits,,2,377.00",
        "difference,sandbox,booked_on_another_day,,1,200.00",
        "difference,sandbox,booked_on_this_day,,1,300.00",
        "difference,sandbox,not_settled_on_this_day,,1,77.00",
        "difference,sandbox,unknown_debit,,1,77.00,debits",
        "exception,sandbox,exception,,,0.00,sandbox/SBIN000000001/unknown_debit",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(admin::exception_show(&world.app, &report.connectors[0].exceptions[0]).await.is_ok());
    let next = of_day(&world, "2026-11-23", None).await;
    assert!(shown(&next).contains("difference,sandbox,not_settled_on_this_day,,1,200.00"));
}

/// The report does not believe the sums: a hand in the database is seen.
#[tokio::test(start_paused = true)]
async fn what_does_not_tie_is_said() {
    for (damage, said) in [
        ("UPDATE journal SET wallet_after_paise = wallet_after_paise + 1 WHERE seq = 3", "journal row 3"),
        ("UPDATE journal SET wallet_after_paise = wallet_after_paise + 1 WHERE seq = 4", "the wallet ended with"),
        ("UPDATE journal SET amount_paise = amount_paise + 1 WHERE seq = 2", "the wallet ended with"),
        (
            "UPDATE accounts SET wallet_paise = wallet_paise + 1, reserved_paise = reserved_paise - 1 WHERE merchant_id = 1",
            "the wallet holds",
        ),
        (
            "UPDATE payouts SET amount_paise = amount_paise + 1 WHERE order_id = 'P'",
            "and the payouts that were open need",
        ),
        ("UPDATE payouts SET next_at = NULL WHERE order_id = 'P'", "and the payouts that were open need"),
    ] {
        let world = World::new().await;
        world.pay("A", 200, PAID).await;
        world.pay("P", 500, PENDING).await;
        world.stop_worker();
        world.sql(damage).await;
        let report = of_day(&world, "2026-11-22", None).await;
        assert!(!report.ties() && report.broken.iter().any(|why| why.contains(said)), "{damage}: {:?}", report.broken);
        assert!(report.text().contains("the sums do not tie"));
        assert_eq!(report.document()["ties"], false);
    }
}

/// What a day should be, by a model that knows only what was asked for and what the bank does with it.
#[derive(Default, Debug, PartialEq)]
struct Expected {
    opening: i64,
    closing: i64,
    reserved: i64,
    open: i64,
    moved: BTreeMap<(MovementKind, Option<Rail>), (i64, i64)>,
}

#[tokio::test(start_paused = true)]
async fn the_report_of_a_random_history_is_the_model_s() {
    use MovementKind::{Fund, Release, Reserve, Restore, Settle};
    let mut days_compared = 0;
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let mut world = World::new().await;
        let all = |rupees: i64| rupees * 100 + 5_90;
        let mut days: BTreeMap<i64, Expected> = BTreeMap::new();
        let (mut wallet, mut reserved, mut open) = (1_000_000_00, 0, 0);
        let today = |world: &World| world.app.clock.now().ist_day();
        let first = today(&world);
        days.entry(first).or_default().moved.insert((Fund, None), (1, 1_000_000_00));
        for nth in 0..40 {
            let day = today(&world);
            let mut moved = Vec::new();
            let rupees = 1 + dice.below(5_000) as i64;
            let (rail, name) = *dice.one_of(&[(Rail::Imps, "IMPS"), (Rail::Imps, "IMPS"), (Rail::Neft, "NEFT")]);
            match dice.below(7) {
                0 => {
                    let reference = format!("UTR{nth}");
                    let amount = format!("{rupees}.00");
                    admin::fund(&world.app, "demo", &amount, &reference, "sandbox", &operator()).await.unwrap();
                    moved.push((Fund, None));
                    wallet += rupees * 100;
                }
                1..=3 => {
                    world.pay_over(name, &format!("O{nth}"), rupees, PAID).await;
                    moved.extend([(Reserve, Some(rail)), (Settle, Some(rail))]);
                    wallet -= all(rupees);
                }
                4 => {
                    world.pay_over(name, &format!("O{nth}"), rupees, REFUSED).await;
                    moved.extend([(Reserve, Some(rail)), (Release, Some(rail))]);
                }
                5 => {
                    world.pay_over(name, &format!("O{nth}"), rupees, REVERSED).await;
                    moved.extend([(Reserve, Some(rail)), (Settle, Some(rail)), (Restore, Some(rail))]);
                }
                _ => {
                    world.pay_over(name, &format!("O{nth}"), rupees, PENDING).await;
                    moved.push((Reserve, Some(rail)));
                    wallet -= all(rupees);
                    reserved += all(rupees);
                    open += 1;
                }
            }
            // Long enough for everything that ends.
            world.pass(Duration::from_secs(20)).await;
            assert_eq!(today(&world), day);
            let entry = days.entry(day).or_default();
            for key in moved {
                let sum = entry.moved.entry(key).or_default();
                *sum = (sum.0 + 1, sum.1 + rupees * 100);
            }
            (entry.closing, entry.reserved, entry.open) = (wallet, reserved, open);
            let left = Timestamp::ist_midnight(day + 1).0 - world.app.clock.now().0;
            if dice.below(8) == 0 || left < 3_600 * SECOND {
                world = later(world, left + dice.below(2) as i64 * DAY).await;
            }
        }
        let (mut opening, mut before) = (0, Expected::default());
        for day in first..=*days.keys().last().unwrap() {
            let mut expected = days.remove(&day).unwrap_or(Expected {
                closing: opening,
                reserved: before.reserved,
                open: before.open,
                ..Expected::default()
            });
            expected.opening = opening;
            let date = Timestamp::ist_midnight(day).to_string();
            let report = of_day(&world, &date[..10], None).await;
            assert!(report.ties(), "{seed} {date}: {:?}", report.broken);
            let sum = &report.sum;
            let moved = sum.moved.iter().map(|(key, tally)| (*key, (tally.count, tally.amount_paise))).collect();
            let found = Expected {
                opening: sum.opening_paise[0],
                closing: sum.closing_paise[0],
                reserved: sum.closing_paise[1],
                open: report.open.all.count,
                moved,
            };
            assert_eq!(found, expected, "seed {seed}, {date}");
            opening = expected.closing;
            before = expected;
            days_compared += 1;
        }
        world.verify().await;
    }
    score(24, "days of random histories: the report equals the model's", days_compared);
}
