//! Bytes that rot on the disk, and pages that are torn where no log mends them. SQLite's pages have no checksums, so what
//! is damaged is refused when it is opened or read, or `hundi verify` reports it, or it is nothing that a law speaks of;
//! but no rupee is shown or sent by what has rotted.

use super::on_disk::Shop;
use super::support::KEY;
use crate::score::score;
use hundi::clock::Clock;
use hundi::config::Config;
use hundi::keys::Keys;
use hundi::store::Store;
use hundi_faultfs::{Disk, End, Keep, Moment, act_as};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: usize = 4096;
const FLIPS: usize = 400;
const TORN: usize = 100;
/// Where damage must never stay unseen. Elsewhere it may: no law speaks of settings, labels and most times.
const MONEY: [&str; 19] = [
    "accounts.banks",
    "accounts.fees_paise",
    "accounts.gst_paise",
    "accounts.journal_link",
    "accounts.journal_seq",
    "accounts.reserved_paise",
    "accounts.wallet_paise",
    "payouts.amount_paise",
    "payouts.fee_paise",
    "payouts.fingerprint",
    "payouts.gst_paise",
    "payouts.merchant_id",
    "payouts.order_id",
    "payouts.paid_attempt",
    "payouts.payout_id",
    "payouts.rail",
    "payouts.reference",
    "payouts.sealed",
    "payouts.state",
];

/// How damage came out.
enum Found {
    Refused,
    Reported,
    /// Nothing said anything; in these columns there is something else now than before.
    Unseen(BTreeSet<String>),
}

#[tokio::test(start_paused = true)]
async fn damage_is_refused_or_reported_and_what_is_not_is_no_money() {
    let (config, clock, image) = image().await;
    let before = columns(&on_a_disk(&image));
    let (mut refused, mut reported, mut harmless) = (0, 0, 0);
    // By column: how often, and the first damage.
    let mut unseen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for number in 0..FLIPS + TORN {
        let disk = on_a_disk(&damaged(&image, number));
        match look(&config, &clock, &disk, &before).await {
            Found::Refused => refused += 1,
            Found::Reported => reported += 1,
            Found::Unseen(changed) if changed.is_empty() => harmless += 1,
            Found::Unseen(changed) => {
                changed.into_iter().for_each(|column| unseen.entry(column).or_insert((0, number)).0 += 1)
            }
        }
    }
    println!("{refused} refused, {reported} reported, {harmless} changed nothing, unseen: {unseen:?}");
    let is_money = |column: &&String| column.starts_with("journal.") || MONEY.contains(&column.as_str());
    let money: Vec<_> = unseen.iter().filter(|(column, _)| is_money(column)).collect();
    assert!(MONEY.iter().all(|column| before.contains_key(*column)), "a column has another name");
    assert!(money.is_empty(), "damage that nobody sees: {money:?}");
    assert!(refused > 0 && reported > 50, "{refused} refused, {reported} reported");
    score(5, "bytes that rotted and pages that were torn, none of them unseen money", (FLIPS + TORN) as u64);
}

/// The same file with one bit turned over, or with half of a page lost.
fn damaged(image: &[u8], number: usize) -> Vec<u8> {
    let mut image = image.to_owned();
    if number < FLIPS {
        // A step that shares no factor with the size comes everywhere.
        let at = number * 7_919 * 31 % image.len();
        image[at] ^= 1 << (number % 8);
    } else {
        let page = number * 7 % (image.len() / PAGE);
        image[page * PAGE + PAGE / 2..(page + 1) * PAGE].fill(0);
    }
    image
}

/// The database of a Hundi that has paid and has been stopped, and what else it needs.
async fn image() -> (Config, Clock, Vec<u8>) {
    let mut shop = Shop::open(1).await;
    for _ in 0..5 {
        shop.order(6).await;
    }
    let (config, clock, disk) = (shop.world.app.config.clone(), shop.world.app.clock.clone(), shop.disk.clone());
    shop.world.stop().await;
    (config, clock, disk.read("hundi.db").unwrap())
}

fn on_a_disk(image: &[u8]) -> Disk {
    let disk = Disk::new(1);
    act_as(1);
    disk.write("hundi.db", image);
    disk
}

async fn look(config: &Config, clock: &Clock, disk: &Disk, before: &BTreeMap<String, Vec<String>>) -> Found {
    let config = Config { data: disk.folder().to_owned(), ..config.clone() };
    let keys = Keys::parse(KEY).unwrap();
    let Ok(store) = Store::open(&config, clock, false).await else { return Found::Refused };
    if store.check_schema().await.is_err() || hundi::check_key(&store, &keys, &config).await.is_err() {
        return Found::Refused;
    }
    let Ok(view) = Store::open_view(&config, clock).await else { return Found::Refused };
    match hundi::verify::verify(&view, &keys, "").await {
        Ok(report) if report.holds => {
            let after = columns(disk);
            let changed = |name: &&String| after.get(*name) != before.get(*name);
            Found::Unseen(before.keys().filter(changed).cloned().collect())
        }
        Ok(_) | Err(_) => Found::Reported,
    }
}

/// Everything in a database: the values of each column, sorted. What has a rotten name is left out.
fn columns(disk: &Disk) -> BTreeMap<String, Vec<String>> {
    let connection = Connection::open(disk.folder().join("hundi.db")).unwrap();
    let names = |sql: &str, of: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([of], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        rows.map(|name| String::from_utf8_lossy(&name.unwrap()).into_owned()).collect()
    };
    let mut all = BTreeMap::new();
    for table in names("SELECT CAST(name AS BLOB) FROM sqlite_schema WHERE type = ?1", "table") {
        for column in names("SELECT CAST(name AS BLOB) FROM pragma_table_info(?1)", &table) {
            let Ok(mut statement) = connection.prepare(&format!("SELECT \"{column}\" FROM \"{table}\"")) else {
                continue;
            };
            let rows = statement.query_map([], |row| Ok(format!("{:?}", row.get_ref(0)?))).unwrap();
            let mut values: Vec<String> = rows.map(Result::unwrap).collect();
            values.sort();
            // A bit may turn a letter of a name into a capital, which changes nothing: to SQL they are one.
            all.insert(format!("{table}.{column}").to_lowercase(), values);
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_balance_that_has_rotted_is_neither_shown_nor_built_on() {
    let mut shop = Shop::open(1).await;
    shop.order(1).await;
    shop.world.pass(std::time::Duration::from_secs(60)).await;
    for column in ["wallet_paise", "reserved_paise", "fees_paise", "gst_paise"] {
        shop.world.sql(&format!("UPDATE accounts SET {column} = {column} + 64")).await;
        shop.order(1).await;
        assert_eq!(shop.unknown.len(), 1, "an order was accepted on a rotten {column}");
        assert!(!shop.world.balance().await.starts_with('"'), "a rotten {column} is shown");
        shop.world.sql(&format!("UPDATE accounts SET {column} = {column} - 64")).await;
        shop.ask_again().await;
    }
    shop.settles().await;
}

/// A payout that waits to be sent, and whose amount rots meanwhile.
#[tokio::test(start_paused = true)]
async fn no_amount_is_sent_that_was_not_ordered() {
    for rotten in [false, true] {
        let shop = Shop::open(1).await;
        // It is accepted, and the power goes before it is started.
        shop.disk.end_at(Moment::BeforeSync(2), End::Power(Keep::Nothing));
        assert_eq!(shop.world.pay_over("NEFT", "WAITS", 100, "50100010001").await.code(), 2);
        shop.world.pass(std::time::Duration::from_secs(1)).await;
        assert!(!shop.disk.is_on());
        shop.disk.power_on();
        act_as(9);
        if rotten {
            let connection = Connection::open(shop.disk.folder().join("hundi.db")).unwrap();
            assert_eq!(connection.execute("UPDATE payouts SET amount_paise = amount_paise + 65536", []).unwrap(), 1);
        }
        let shop = shop.start_again().await;
        shop.world.pass(std::time::Duration::from_secs(3_600)).await;
        assert_eq!(shop.world.book().await.len(), usize::from(!rotten));
    }
}
