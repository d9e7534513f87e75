//! `hundi copy`: an installation moves from the embedded database to a server, and only one of the two goes on.

use super::process::kit::{run_with, says};
use super::support::{Folder, KEY, World};
use crate::database::{Database, rows};
use hundi::config::{Config, DatabaseUrl};
use hundi::store::copy::tables;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

/// A stopped installation with payouts in several states, callbacks, bank messages and a complaint.
async fn installation() -> (Arc<Folder>, Config) {
    let world = World::new().await;
    let mut last = String::new();
    for (order, account) in [("a", "50100012345678"), ("b", "501000123450444"), ("c", "501000123450333")] {
        last = world.pay(order, 200, account).await.json()["Data"]["OrderID"].as_str().unwrap_or_default().to_owned();
    }
    let complaint =
        serde_json::json!({"Token": world.token, "OrderId": last, "Subject": "s", "Message": "m"}).to_string();
    world.post("/ComplaintRegistration", &complaint).await;
    world.pass(Duration::from_secs(20)).await;
    let key = world.app.config.key_path();
    std::fs::write(&key, KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    hundi::verify::append_anchors(&world.app, &mut std::collections::BTreeMap::default()).await.unwrap();
    let config = world.app.config.clone();
    let (folder, _, _) = world.stop().await;
    (folder, config)
}

/// What is in a table of the embedded database, as numbers of rows.
fn counted(config: &Config, table: &str) -> i64 {
    let connection = rusqlite::Connection::open(config.database()).unwrap();
    connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_installation_moves_to_a_server_and_is_refused_where_it_was() {
    let (folder, config) = installation().await;
    let data = folder.path().to_str().unwrap();
    let target = Database::new();
    let on =
        |url: &str, args: &[&str]| run_with(Some(DatabaseUrl(url.to_owned())), &[args, &["--data", data]].concat());
    let copy = ["copy", "--from", "sqlite", "--to", "postgres"];
    let before: Vec<(&str, i64)> = tables().map(|(table, _)| (table, counted(&config, table))).collect();
    assert!(before.iter().filter(|(_, rows)| *rows > 0).count() >= 9, "{before:?}");
    says("no server", &run_with(None, &[&copy[..], &["--data", data]].concat()), 1, &["database_url"]);
    let copied = on(&target.url(), &[&copy[..], &["--json"]].concat()).json();
    assert_eq!(copied["verified"], true);
    for (table, count) in before {
        assert_eq!(copied["rows"][table], count, "{table}");
        assert_eq!(
            rows(&target.url(), &format!("SELECT 1 FROM {table}")).len() as i64,
            count + i64::from(table == "meta")
        );
    }
    assert_eq!(on(&target.url(), &["verify", "--json"]).json()["holds"], true);
    assert_eq!(on(&target.url(), &["payout", "list", "--json"]).json().as_array().unwrap().len(), 3);
    says("the source", &run_with(None, &["payout", "list", "--data", data]), 1, &["was copied", "database_url"]);
    says("again", &on(&target.url(), &copy), 1, &["was copied"]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_goes_only_into_an_empty_database_and_leaves_the_source_as_it_was() {
    let (folder, _) = installation().await;
    let data = folder.path().to_str().unwrap();
    let full = Database::new();
    let other = Folder::new();
    let other_data = other.path().to_str().unwrap();
    let url = || Some(DatabaseUrl(full.url()));
    assert_eq!(run_with(url(), &["migrate", "--data", other_data]).code, 0);
    let copy = run_with(url(), &["copy", "--from", "sqlite", "--to", "postgres", "--data", data]);
    says("a full target", &copy, 1, &["holds an installation already", "empty"]);
    assert_eq!(run_with(None, &["payout", "list", "--data", data]).code, 0);
    assert_eq!(run_with(None, &["verify", "--data", data]).code, 0);
}

/// A copy knows every table with every column: one that is added to the schema must be added there.
#[tokio::test]
async fn a_copy_knows_every_column() {
    let (_folder, config) = {
        let world = World::new().await;
        let config = world.app.config.clone();
        (world.stop().await.0, config)
    };
    let connection = rusqlite::Connection::open(config.database()).unwrap();
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut known: Vec<(String, Vec<String>)> = tables()
        .map(|(table, columns)| {
            let mut columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
            columns.sort();
            (table.to_owned(), columns)
        })
        .collect();
    known.sort();
    let there: Vec<(String, Vec<String>)> = names
        .into_iter()
        .map(|name| {
            let mut info =
                connection.prepare(&format!("SELECT name FROM pragma_table_info('{name}') ORDER BY name")).unwrap();
            let columns = info.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            (name, columns)
        })
        .collect();
    assert_eq!(known, there);
}
