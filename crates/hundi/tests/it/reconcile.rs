//! Statements of the bank against what is known here: what differs is found, and nothing else is said.

use super::support::{START, World, operator};
use crate::score::score;
use hundi::admin;
use hundi::reconcile::{Fed, Report, reconcile};
use hundi_core::formats::{self, Line, Said, Side};
use hundi_core::ids::{Connector, MerchantId, OrderId, Reference};
use hundi_core::payout::ExceptionKind;
use hundi_core::schedule::{DAY, HOUR};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;

/// A fine account; the bank pays at once.
const FINE: &str = "50100012345678";

async fn apply_with(world: &World, said: Vec<Said>) -> Result<Report, String> {
    let (to, mut fed) = mpsc::channel(2);
    to.try_send(Fed::Said(said)).unwrap();
    to.try_send(Fed::Ended([7; 32])).unwrap();
    reconcile(&world.app, &mut fed, Connector::parse("sandbox").unwrap(), &operator()).await
}

pub async fn apply(world: &World, said: Vec<Said>) -> Report {
    apply_with(world, said).await.unwrap()
}

/// The bank's statement of a day, as it is given out when the day is over.
pub async fn statement(world: &World, date: &str) -> Vec<u8> {
    let path = format!("/statement?date={date}");
    let body = world.bank.handle("GET", &path, Default::default()).await.unwrap().body;
    let text = std::str::from_utf8(&body).unwrap();
    let made_at = text.split_once("<CreDtTm>").unwrap().1.split_once("</CreDtTm>").unwrap().0;
    text.replace(made_at, &format!("{date}T23:59:59+05:30")).into_bytes()
}

pub fn said(bytes: &[u8]) -> Vec<Said> {
    let mut all = Vec::new();
    formats::read(bytes, "statement.xml", None, &mut |one| all.push(one));
    all
}

async fn of_today(world: &World) -> Vec<Said> {
    said(&statement(world, "2026-11-22").await)
}

fn lines(said: &mut [Said]) -> impl Iterator<Item = &mut Line> {
    said.iter_mut().filter_map(|one| match one {
        Said::Line(line) => Some(&mut **line),
        _ => None,
    })
}

/// What the operator's list holds.
async fn listed(world: &World) -> usize {
    admin::exception_list(&world.app).await.unwrap().as_array().unwrap().len()
}

/// What statements have left: how many lines, and what has become of payouts and money.
async fn what_is_kept(world: &World) -> Vec<i64> {
    let mut kept = Vec::new();
    for sql in [
        "SELECT COUNT(*) FROM statement_lines",
        "SELECT SUM(result) FROM statement_lines",
        "SELECT COUNT(*) FROM statements",
        "SELECT COUNT(*) FROM exceptions",
        "SELECT SUM(state) FROM payouts",
        "SELECT SUM(wallet_paise) FROM accounts",
    ] {
        kept.push(world.number(sql).await);
    }
    kept
}

/// The statement ends with what its lines come to.
fn balance(said: &mut [Said]) {
    let mut sum = 0;
    for one in &mut *said {
        match one {
            Said::Begins(head) => sum = head.opening_paise.unwrap(),
            Said::Line(line) => sum += if line.side == Side::Credit { line.amount_paise } else { -line.amount_paise },
            Said::Ends { closing_paise } => *closing_paise = Some(sum),
            Said::Bad { .. } => {}
        }
    }
}

/// A day with everything that can happen at the bank: nothing differs, and the same file again changes nothing.
#[tokio::test(start_paused = true)]
async fn a_clean_day_says_nothing_and_the_same_file_twice_is_one() {
    let world = World::new().await;
    for (nth, end) in ["5678", "0222", "0444", "0555", "0666", "0777", "0888", "0999", "0123"].iter().enumerate() {
        world.pay(&format!("a{nth}"), 200, &format!("5010001234{end}")).await;
    }
    world.pass(Duration::from_secs(120)).await;
    let today = of_today(&world).await;
    let report = apply(&world, today.clone()).await;
    assert!(report.clean(), "{:#}", report.document());
    assert_eq!((report.lines, report.known, report.moved), (6, 6, 0), "{:#}", report.document());
    let content = || async {
        let all = "SELECT COUNT(*) * 1000 + SUM(result) FROM statement_lines";
        (world.number(all).await, world.number("SELECT SUM(version) FROM payouts").await, listed(&world).await)
    };
    let before = content().await;
    let report = apply(&world, today).await;
    assert!(report.clean());
    assert_eq!((report.lines, report.repeated, report.known), (6, 6, 0));
    assert_eq!(content().await, before);
    assert_eq!(world.number("SELECT COUNT(*) FROM statements").await, 1);
    world.verify().await;
}

/// What nobody has told us yet: the statement pays.
#[tokio::test(start_paused = true)]
async fn a_statement_pays_what_is_still_open_and_gives_back_what_came_back() {
    let world = World::new().await;
    world.wire.cut(false);
    world.pay("a", 200, "501000123450888").await;
    world.pay("b", 300, FINE).await;
    world.stop_worker();
    let mut today = of_today(&world).await;
    let back = lines(&mut today).find(|line| line.amount_paise == 300_00).unwrap().clone();
    let end = today.len() - 1;
    let back = Line { side: Side::Credit, returned: true, reason: "AC04".into(), ..back };
    today.insert(end, Said::Line(Box::new(back)));
    balance(&mut today);
    let report = apply(&world, today).await;
    assert_eq!(world.status("a").await.json()["Data"]["Status"], "Success");
    assert_eq!(world.status("b").await.json()["Data"]["Status"], "Reversal");
    assert_eq!(report.moved, 2, "{:#}", report.document());
    assert_eq!(report.told.keys().copied().collect::<Vec<_>>(), ["reversal_unannounced"]);
    world.verify().await;
}

/// What is done to a payout's debit, and what must be told of it.
const SEEDS: [ExceptionKind; 10] = [
    ExceptionKind::PaidHereOnly,
    ExceptionKind::AmountDiffers,
    ExceptionKind::AmountDiffers,
    ExceptionKind::PaidTwice,
    ExceptionKind::PaidTwice,
    ExceptionKind::UnknownDebit,
    ExceptionKind::UnknownReference,
    ExceptionKind::UnknownCredit,
    ExceptionKind::ReversalUnannounced,
    ExceptionKind::PaidThereOnly,
];
/// Payouts of a day: every twelfth stays as it is, and so does the one after it.
const PAYOUTS: usize = 252;

/// Seeds one difference, and says under which reference it must be told.
fn seed(nth: usize, line: Line, failed: &str, out: &mut Vec<Line>) -> Option<(ExceptionKind, String)> {
    let ours = line.references[0].to_string();
    let other = |name: &str| -> Box<str> { format!("{name}{nth:09}").into() };
    let stranger = |side, references: Vec<Box<str>>| Line {
        side,
        references,
        bank_references: vec![other("SBIN")],
        ..line.clone()
    };
    let place = nth % 12;
    let kind = *SEEDS.get(place)?;
    let mut told = ours.clone();
    match place {
        0 => return Some((kind, ours)),
        1 => out.push(Line { amount_paise: line.amount_paise + 1, ..line.clone() }),
        2 => out.push(Line { amount_paise: line.amount_paise - 1, ..line.clone() }),
        // The very same line twice, and a second debit that the bank calls otherwise.
        3 => out.extend([line.clone(), line.clone()]),
        4 => out.extend([line.clone(), Line { bank_references: vec![other("5")], ..line.clone() }]),
        5 => {
            out.extend([line.clone(), stranger(Side::Debit, vec!["NOTPROVIDED".into()])]);
            told = other("SBIN").into();
        }
        6 => {
            told = format!("{nth:0>15}");
            out.extend([line.clone(), stranger(Side::Debit, vec![told.as_str().into()])]);
        }
        7 => {
            out.extend([line.clone(), stranger(Side::Credit, Vec::new())]);
            told = other("SBIN").into();
        }
        8 => out.extend([line.clone(), Line { side: Side::Credit, returned: true, ..line.clone() }]),
        _ => {
            out.extend([line.clone(), stranger(Side::Debit, vec![failed.into()])]);
            told = failed.to_owned();
        }
    }
    Some((kind, told))
}

/// More than two hundred seeded differences among lines that are in order: each is told, once and by its name, and nothing
/// else is. No money moves but what a reversal gives back.
#[tokio::test(start_paused = true)]
async fn every_seeded_difference_is_found_and_none_is_invented() {
    let world = World::new().await;
    for nth in 0..PAYOUTS {
        world.pay(&format!("p{nth}"), 200, FINE).await;
        if nth % 12 == 9 {
            world.pay(&format!("f{nth}"), 200, "501000123450444").await;
        }
    }
    world.pass(Duration::from_secs(30)).await;
    let failed = hundi::store::Store::payouts_of_all_before;
    let failed = failed(&world.app.store, hundi_core::ids::PayoutId(i64::MAX), 1_000).await.unwrap();
    let mut failed = failed.iter().filter(|payout| payout.attempts > 0 && payout.state.name() == "failed");
    let (mut seeded, mut expected) = (Vec::new(), BTreeSet::new());
    let mut nth = 0;
    for one in of_today(&world).await {
        let Said::Line(line) = one else {
            seeded.push(one);
            continue;
        };
        let payout = if nth % 12 == 9 { failed.next().unwrap().reference.unwrap().to_string() } else { String::new() };
        let mut out = Vec::new();
        match seed(nth, (*line).clone(), &payout, &mut out) {
            Some(told) => assert!(expected.insert((told.0.name(), told.1))),
            None => out.push(*line),
        }
        seeded.extend(out.into_iter().map(|line| Said::Line(Box::new(line))));
        nth += 1;
    }
    assert_eq!((nth, expected.len()), (PAYOUTS, 210));
    balance(&mut seeded);
    let report = apply(&world, seeded.clone()).await;
    let told: BTreeSet<_> = report.differences.iter().map(|one| (one.kind.name(), one.reference.clone())).collect();
    assert_eq!(told, expected);
    assert_eq!(report.differences.len(), expected.len());
    assert_eq!(report.moved, 21, "only reversals move");
    score(22, "seeded differences, all found and no other", expected.len() as u64);
    assert_eq!(world.number("SELECT COUNT(*) FROM exceptions").await, 210);
    // The same again finds the same, and adds nothing.
    let again = apply(&world, seeded).await;
    assert_eq!(again.told, report.told);
    assert_eq!(again.moved, 0);
    assert_eq!(world.number("SELECT COUNT(*) FROM exceptions").await, 210);
    world.verify().await;
}

/// A file that is cut anywhere leaves books in order, and the whole file after it comes to the same as alone.
#[tokio::test(start_paused = true)]
async fn a_file_may_be_cut_at_any_byte() {
    let (mut ends, mut cuts) = (Vec::new(), 0);
    for cut in [false, true] {
        let world = World::new().await;
        world.pay("a", 200, FINE).await;
        world.pay("b", 300, "501000123450888").await;
        world.pay("c", 400, FINE).await;
        world.stop_worker();
        let whole = statement(&world, "2026-11-22").await;
        for at in (0..whole.len()).step_by(if cut { 61 } else { whole.len() + 1 }).skip(1) {
            // Nothing, or nothing that can be read, is refused.
            drop(apply_with(&world, said(&whole[..at])).await);
            assert_eq!(world.number("SELECT COUNT(*) FROM exceptions").await, 0, "cut at {at}");
            cuts += 1;
        }
        world.verify().await;
        let report = apply(&world, said(&whole)).await;
        assert!(report.clean(), "{:#}", report.document());
        world.verify().await;
        ends.push(what_is_kept(&world).await);
    }
    assert!(cuts > 30, "{cuts}");
    assert_eq!(ends[0], ends[1]);
}

/// Statements without our references, as most banks' tables are: the bank's own reference and the very amount tell.
#[tokio::test(start_paused = true)]
async fn a_line_without_our_reference_is_found_by_the_bank_s_and_the_amount() {
    let world = World::new().await;
    for nth in 0..6 {
        world.pay(&format!("a{nth}"), 200 + nth, FINE).await;
    }
    world.pass(Duration::from_secs(30)).await;
    let mut today = of_today(&world).await;
    lines(&mut today).for_each(|line| line.references.clear());
    lines(&mut today).nth(1).unwrap().amount_paise += 1;
    let twice = lines(&mut today).nth(2).unwrap().clone();
    today.insert(5, Said::Line(Box::new(twice)));
    balance(&mut today);
    let report = apply(&world, today.clone()).await;
    let told: Vec<_> = report.told.iter().map(|(kind, count)| (*kind, *count)).collect();
    // A paisa more is another payment: one that nobody knows, and one that is missing.
    assert_eq!(told, [("paid_here_only", 1), ("paid_twice", 1), ("unknown_debit", 1)], "{:#}", report.document());
    assert_eq!(report.known, 5);
    assert_eq!(apply(&world, today).await.told, report.told);
    world.verify().await;
}

/// HDFC Bank's table, whose only place for our reference is the narration. Where its words name two payouts, because one's
/// beneficiary was once called as the other, or the bank has cut out the right one, nobody is paid and a person is told.
#[tokio::test(start_paused = true)]
async fn words_that_name_two_payouts_pay_neither() {
    let head = "Date,Narration,Chq./Ref.No.,Value Dt,Withdrawal Amt.,Deposit Amt.,Closing Balance";
    for (case, row, ended, told) in [
        (
            "two in words",
            "NEFT DR-{b}-NETBANK-{a},HDFCN52026112312345678",
            ["Pending", "Pending"],
            &["unknown_debit"][..],
        ),
        ("two in words, no UTR", "NEFT DR-{b}-NETBANK-{a},", ["Pending", "Pending"], &["unknown_debit"]),
        ("one forgotten", "NEFT DR-{b}-NETBANK-{forgotten},", ["Pending", "Pending"], &["unknown_debit"]),
        ("one in words", "NEFT DR-NETBANK-{a} {a},HDFCN52026112312345678", ["Success", "Pending"], &[]),
        ("one in a field", "NEFT DR-{b}-NETBANK,{a}", ["Success", "Pending"], &[]),
    ] {
        let world = World::new().await;
        for order in ["a", "b"] {
            world.pay(order, 500, "501000123450888").await;
        }
        world.stop_worker();
        let say = async |row: &str| {
            let mut text = format!("{head}\n22/11/26,{row},22/11/26,500.00,,\n");
            for order in ["a", "b", "forgotten"] {
                let id = OrderId::parse(order).unwrap();
                let reference = Reference::derive(&world.app.installation, MerchantId(1), &id, 1, 0);
                text = text.replace(&format!("{{{order}}}"), reference.as_str());
            }
            apply(&world, said(text.as_bytes())).await
        };
        let report = say(row).await;
        assert_eq!(report.told.keys().copied().collect::<Vec<_>>(), told, "{case}: {:#}", report.document());
        let several = report.differences.iter().filter(|one| one.detail.ends_with("more than one payout"));
        assert_eq!(several.count(), told.len(), "{case}");
        for (order, ended) in ["a", "b"].into_iter().zip(ended) {
            assert_eq!(world.status(order).await.json()["Data"]["Status"], ended, "{case}: {order}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM meta WHERE name = 'hold'").await, 0, "{case}");
        // It does not stand in the way of the line that is about one of them.
        let report = say("NEFT DR-{b},HDFCN52026112399999999").await;
        assert!(report.clean(), "{case}: {:#}", report.document());
        assert_eq!(world.status("b").await.json()["Data"]["Status"], "Success", "{case}");
        world.verify().await;
    }
}

/// Two files that share a statement, whichever comes first: each payment and each credit is there once, and nothing is missing that
/// is in either. What both lack is told once.
#[tokio::test(start_paused = true)]
async fn files_that_share_lines_come_to_the_same_in_any_order() {
    const TIMES: usize = 3;
    let mut ends = Vec::new();
    for first in [0, 1] {
        let world = World::with(|config| config.reconcile.grace_minutes = 5).await;
        let order = |time: usize, nth: usize| format!("t{time}n{nth}");
        let accounts = [FINE, FINE, "501000123450777", "501000123450123"];
        for time in 0..TIMES {
            world.pass(Duration::from_secs(1_800)).await;
            // Money on its way out and back; and of two payouts nobody has heard the end.
            for (nth, account) in accounts.iter().enumerate() {
                world.pay(&order(time, nth), 200 + i64::try_from(nth).unwrap(), account).await;
            }
            world.pass(Duration::from_secs(1_800)).await;
        }
        let mut whole = of_today(&world).await;
        let Said::Begins(head) = whole[0].clone() else { panic!("no statement") };
        let mut days: Vec<Vec<Said>> = Vec::new();
        let mut opening_paise = head.opening_paise;
        for time in 0..TIMES {
            let named = (0..accounts.len()).map(|nth| OrderId::parse(&order(time, nth)).unwrap());
            let named: Vec<Reference> =
                named.map(|id| Reference::derive(&world.app.installation, MerchantId(1), &id, 1, 0)).collect();
            let ours = |line: &&mut Line| named.iter().any(|one| *line.references[0] == *one.as_str());
            let of: Vec<Line> = lines(&mut whole).filter(ours).map(|line| line.clone()).collect();
            let from = START.after(time as i64 * HOUR);
            let (id, period) = (format!("{time}").into(), Some((from, from.after(HOUR))));
            let mut one = vec![Said::Begins(formats::Head { id, period, opening_paise, ..head.clone() })];
            one.extend(of.into_iter().map(|line| Said::Line(Box::new(line))));
            one.push(Said::Ends { closing_paise: None });
            balance(&mut one);
            let Some(Said::Ends { closing_paise }) = one.last() else { panic!("no end") };
            opening_paise = *closing_paise;
            days.push(one);
        }
        // In what both have, two credits of strangers; and a debit is lost.
        let debit = lines(&mut days[1]).next().unwrap().clone();
        let strangers = ["SBIN326186307700", "SBIN326186307701"].map(|utr| Line {
            side: Side::Credit,
            references: Vec::new(),
            bank_references: vec![utr.into()],
            ..debit.clone()
        });
        let last = days[1].len() - 1;
        days[1].splice(last..last, strangers.map(|line| Said::Line(Box::new(line))));
        let lost = days[1].iter().position(|one| matches!(one, Said::Line(line) if **line == debit)).unwrap();
        days[1].remove(lost);
        let files = [joined(&days[0], &days[1]), joined(&days[1], &days[2])];
        let counts: Vec<u64> = days.iter_mut().map(|day| lines(day).count() as u64).collect();

        let one = apply(&world, files[first].clone()).await;
        let own = counts[if first == 0 { 0 } else { 2 }];
        assert_eq!((one.lines, one.repeated), (own + counts[1], 0), "{:#}", one.document());
        assert_eq!((one.suspended, one.moved), (2, 0), "{:#}", one.document());
        let two = apply(&world, files[1 - first].clone()).await;
        let other = counts[if first == 0 { 2 } else { 0 }];
        assert_eq!((two.lines, two.repeated, two.known), (other + counts[1], counts[1], other), "{:#}", two.document());
        assert_eq!((two.suspended, two.funded, two.moved), (0, 0, 0), "{:#}", two.document());
        for report in [&one, &two] {
            let told: Vec<_> = report.told.keys().copied().collect();
            assert_eq!(told, ["paid_here_only", "unknown_credit"], "{:#}", report.document());
        }
        let end = what_is_kept(&world).await;
        assert_eq!(end[0], i64::try_from(counts.iter().sum::<u64>()).unwrap());
        world.verify().await;
        ends.push(end);
    }
    assert_eq!(ends[0], ends[1]);
}

/// One statement of the time of two.
fn joined(one: &[Said], other: &[Said]) -> Vec<Said> {
    let (Said::Begins(head), Said::Begins(until)) = (&one[0], &other[0]) else { panic!("no statements") };
    let period = (head.period.unwrap().0, until.period.unwrap().1);
    let head = formats::Head { id: format!("{}-{}", head.id, until.id).into(), period: Some(period), ..head.clone() };
    let lines = one.iter().chain(other).filter(|one| matches!(one, Said::Line(_))).cloned();
    let end = Said::Ends { closing_paise: None };
    let mut all: Vec<Said> = std::iter::once(Said::Begins(head)).chain(lines).chain([end]).collect();
    balance(&mut all);
    all
}

/// Statements follow each other; what one lacked the next may have.
#[tokio::test(start_paused = true)]
async fn statements_join_and_a_late_debit_ends_what_was_missing() {
    let world = World::with(|config| {
        config.reconcile.accounts.insert("sandbox".into(), "SANDBOX000001".into());
    })
    .await;
    world.pay("a", 200, FINE).await;
    world.pay("b", 300, FINE).await;
    world.pass(Duration::from_secs(30)).await;
    let mut today = of_today(&world).await;
    let Said::Line(late) = today.remove(2) else { panic!() };
    balance(&mut today);
    let report = apply(&world, today.clone()).await;
    assert_eq!(report.told.keys().copied().collect::<Vec<_>>(), ["paid_here_only"], "{:#}", report.document());
    assert_eq!(listed(&world).await, 1);
    // The next day begins with less than this one ended with: a line is missing between them.
    let mut next = today.clone();
    next.remove(1);
    let mut begins = |late: Option<Box<Line>>, less: i64| {
        let Said::Begins(head) = &mut next[0] else { panic!() };
        head.id = "NEXT".into();
        head.period = Some((START.after(DAY / 2), START.after(DAY / 2 + DAY - 1)));
        let Said::Ends { closing_paise } = today.last().unwrap() else { panic!() };
        head.opening_paise = closing_paise.map(|paise| paise - less);
        next.splice(1..next.len() - 1, late.map(Said::Line));
        balance(&mut next);
        next.clone()
    };
    let gap = apply(&world, begins(None, 1)).await;
    assert_eq!(gap.told.keys().copied().collect::<Vec<_>>(), ["statement_gap"], "{:#}", gap.document());
    let report = apply(&world, begins(Some(late), 0)).await;
    assert!(report.clean(), "{:#}", report.document());
    assert_eq!(listed(&world).await, 1, "the gap is left");
    let nothing = apply_with(&world, said(b"hello")).await.unwrap_err();
    assert!(nothing.contains("no statement: line 1"), "{nothing}");
    let Said::Begins(head) = &mut next[0] else { panic!() };
    head.account = "SANDBOX000002".into();
    let refused = apply_with(&world, next).await.unwrap_err();
    assert!(refused.contains("another account") && refused.contains("0002"), "{refused}");
    world.verify().await;
}

/// What a bank announces by our reference it has accepted. Words, another amount and a credit say nothing, and what is booked
/// afterwards pays.
#[tokio::test(start_paused = true)]
async fn what_is_announced_is_accepted() {
    const SENDING: i64 = 2;
    const SENT: i64 = 3;
    const PAID: i64 = 4;
    let world = World::new().await;
    world.pay("a", 200, "501000123450888").await;
    world.stop_worker();
    let today = of_today(&world).await;
    let booked = lines(&mut today.clone()).next().unwrap().clone();
    let announced = Line { booked: false, ..booked.clone() };
    let more = Line { amount_paise: announced.amount_paise + 1, ..announced.clone() };
    let credit = Line { side: Side::Credit, ..announced.clone() };
    let rows = [
        (more, SENDING),
        (Line { in_fields: 0, ..announced.clone() }, SENDING),
        (credit, SENDING),
        (Line { returned: true, ..announced.clone() }, SENDING),
        (announced.clone(), SENT),
        (announced, SENT),
        (booked, PAID),
    ];
    for (nth, (line, became)) in rows.into_iter().enumerate() {
        let mut said = vec![today[0].clone(), Said::Line(Box::new(line)), Said::Ends { closing_paise: None }];
        balance(&mut said);
        apply(&world, said).await;
        assert_eq!(world.number("SELECT state FROM payouts").await, became, "row {nth}");
    }
    world.verify().await;
}

/// Of a file with statements of several accounts that of ours counts, wherever it stands, and nothing of the others.
#[tokio::test(start_paused = true)]
async fn a_statement_of_another_account_is_left_out() {
    for place in [0, 1] {
        let world = World::with(|config| {
            config.reconcile.accounts.insert("sandbox".to_owned(), "SANDBOX000001".to_owned());
        })
        .await;
        for number in 0..1_100 {
            world.pay(&format!("a{number}"), 200, FINE).await;
        }
        world.pass(Duration::from_secs(30)).await;
        let ours = of_today(&world).await;
        let mut theirs = ours.clone();
        let Said::Begins(head) = &mut theirs[0] else { panic!() };
        head.account = "SANDBOX000002".into();
        lines(&mut theirs).for_each(|line| line.amount_paise += 1);
        balance(&mut theirs);
        let file = if place == 0 { [theirs, ours] } else { [ours, theirs] }.concat();
        let report = apply(&world, file).await;
        let document = report.document();
        assert_eq!((report.lines, report.known, report.bad), (1_100, 1_100, 1), "{document:#}");
        assert!(report.told.is_empty(), "{document:#}");
        assert!(report.bad_rows[0].1.contains("another account, ending with 0002"), "{document:#}");
        assert_eq!(document["statements"].as_array().unwrap().len(), 1, "{document:#}");
        world.verify().await;
    }
}

/// What has become of a payout when the statement comes, and the account that does it.
const BECAME: [(&str, &str); 4] =
    [("paid", FINE), ("reversed", "501000123450777"), ("failed", "501000123450444"), ("open", "501000123450888")];

/// How a statement may speak of a payout: its lines from the debit, and from the credit that returns it if there is one.
type Spoken = (&'static str, fn(&Line, &[Line]) -> Vec<Line>);

const SPOKEN: [Spoken; 14] = [
    ("as it was", |debit, back| [std::slice::from_ref(debit), back].concat()),
    ("nothing", |_, _| Vec::new()),
    ("the debit alone", |debit, _| vec![debit.clone()]),
    ("a paisa more", |debit, _| vec![Line { amount_paise: debit.amount_paise + 1, ..debit.clone() }]),
    ("a paisa less", |debit, _| vec![Line { amount_paise: debit.amount_paise - 1, ..debit.clone() }]),
    ("ten times as much", |debit, _| vec![Line { amount_paise: debit.amount_paise * 10, ..debit.clone() }]),
    ("the same line twice", |debit, _| vec![debit.clone(), debit.clone()]),
    ("two debits", |debit, _| vec![debit.clone(), again(debit, "5")]),
    ("a debit and a return", |debit, _| vec![debit.clone(), returned(debit, "6")]),
    ("a paisa less returned", |debit, _| {
        let back = returned(debit, "6");
        vec![debit.clone(), Line { amount_paise: back.amount_paise - 1, ..back }]
    }),
    ("returned twice", |debit, _| vec![debit.clone(), returned(debit, "6"), returned(debit, "7")]),
    ("a return alone", |debit, _| vec![returned(debit, "6")]),
    ("a debit that takes back", |debit, _| vec![Line { returned: true, ..debit.clone() }]),
    ("announced", |debit, _| vec![Line { booked: false, ..debit.clone() }]),
];

/// Where our reference stands.
type Placed = (&'static str, fn(Line) -> Line);

const PLACED: [Placed; 4] = [
    ("in a field", |line| line),
    ("in the bank's field", |line| Line {
        bank_references: [&line.references[..], &line.bank_references].concat(),
        references: Vec::new(),
        in_fields: 0,
        ..line
    }),
    ("in words", |line| Line { in_fields: 0, ..line }),
    ("nowhere", |line| Line { references: Vec::new(), in_fields: 0, ..line }),
];

/// The same movement under another name of the bank's.
fn again(line: &Line, sign: &str) -> Line {
    let named = line.bank_references.iter().map(|name| format!("{sign}{}", &name[1..]).into()).collect();
    Line { bank_references: named, ..line.clone() }
}

/// What takes it back: a name of its own, and the one of what is returned beside it.
fn returned(line: &Line, sign: &str) -> Line {
    let names = [again(line, sign).bank_references, line.bank_references.clone()].concat();
    Line { side: Side::Credit, returned: true, bank_references: names, reason: "AC04".into(), ..line.clone() }
}

/// Every way in which a statement may speak of a payout, whatever has become of it and wherever our reference stands: what is
/// told of each is in the snapshot, and a second reading tells the same.
#[tokio::test(start_paused = true)]
async fn every_kind_of_difference_is_told() {
    let mut rows: Vec<String> = Vec::new();
    for (became, _) in BECAME {
        rows.extend(SPOKEN.iter().map(|(spoken, _)| format!("{became} | {spoken}")));
    }
    for (column, (_, placed)) in PLACED.iter().enumerate() {
        let world = World::new().await;
        let cases = || BECAME.iter().flat_map(|became| SPOKEN.iter().map(move |spoken| (*became, *spoken))).enumerate();
        // Those that stay open last, and all at once, so that no time passes in which they are asked about.
        let open = |became: &str| became == "open";
        for (case, ((became, account), _)) in cases().filter(|(_, ((became, _), _))| !open(became)) {
            world.pay(&format!("{became}{case}"), 200, account).await;
        }
        world.pass(Duration::from_secs(120)).await;
        let last = cases().filter(|(_, ((became, _), _))| open(became)).map(|(case, ((became, account), _))| {
            let (world, order) = (&world, format!("{became}{case}"));
            async move { world.pay(&order, 200, account).await }
        });
        futures_util::future::join_all(last).await;
        world.stop_worker();
        let mut today = of_today(&world).await;
        let all: Vec<Line> = lines(&mut today).map(|line| line.clone()).collect();
        let mut spoken = vec![today.remove(0)];
        let mut references = Vec::new();
        for (case, ((became, _), (_, speak))) in cases() {
            let order = OrderId::parse(&format!("{became}{case}")).unwrap();
            let payout = world.app.store.payout_by_order(MerchantId(1), &order).await.unwrap().unwrap();
            let reference: Box<str> = payout.reference.unwrap().as_str().into();
            let ours = &reference;
            let of = |side| all.iter().filter(move |line| line.side == side && line.references.contains(ours));
            // Of what has failed the bank has no line; this one is like the others.
            let like = || Line {
                references: vec![reference.clone()],
                in_fields: 1,
                bank_references: vec![format!("32630000{case:04}").into()],
                ..all[0].clone()
            };
            let debit = of(Side::Debit).next().cloned().unwrap_or_else(like);
            let back: Vec<Line> = of(Side::Credit).cloned().collect();
            let at = 1 + case as u64;
            let mut said: Vec<Line> = speak(&debit, &back);
            said.iter_mut().for_each(|line| *line = placed(Line { at, ..line.clone() }));
            spoken.extend(said.into_iter().map(|line| Said::Line(Box::new(line))));
            references.push((reference, payout.order.id));
        }
        spoken.push(Said::Ends { closing_paise: None });
        balance(&mut spoken);
        let report = apply(&world, spoken.clone()).await;
        for (case, ((became, _), _)) in cases() {
            let (reference, payout) = &references[case];
            let about = |one: &&hundi::store::statements::Difference| {
                one.at == 1 + case as u64
                    || one.at == 0 && (one.reference == **reference || one.payout.is_some_and(|(_, id)| id == *payout))
            };
            let mut told: Vec<&str> = report.differences.iter().filter(about).map(|one| one.kind.name()).collect();
            told.sort_unstable();
            let now = world.status(&format!("{became}{case}")).await.json()["Data"]["Status"].to_string();
            rows[case] += format!(" | {} {}", now.trim_matches('"').to_lowercase(), told.join(", ")).trim_end();
        }
        let total = report.differences.len();
        let again = apply(&world, spoken).await;
        assert_eq!((again.moved, again.told), (0, report.told), "{}", PLACED[column].0);
        println!("{}: {total} differences", PLACED[column].0);
        world.verify().await;
    }
    let places: Vec<&str> = PLACED.iter().map(|(place, _)| *place).collect();
    let text = format!("was | the statement says | {}\n{}", places.join(" | "), rows.join("\n"));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("differences", text);
    });
    score(22, "ways in which a statement speaks of a payout, each told by its kind", (SPOKEN.len() * 16) as u64);
}
