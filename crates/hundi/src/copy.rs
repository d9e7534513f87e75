//! `hundi copy`: moves an installation from the embedded database to PostgreSQL.
//!
//! ```text
//! source: verify --> held still --> every row --> target: verify --> source: marked as moved, never served again
//! ```
//!
//! Nothing is lost if it breaks off: until the last step the source is what it was, and a target with rows is refused.

use crate::clock::Clock;
use crate::config::Config;
use crate::keys::Keys;
use crate::store::{Store, copy, rows};
use crate::verify::verify;
use crate::writer::write_plain;
use crate::{check_key, check_not_moved, write_alone};
use serde_json::{Value, json};

/// Copies all of an installation from the embedded database into the empty one of `database_url`, verifies both sides, and
/// marks the source as moved. No process may serve the source.
pub async fn copy_installation(config: &Config, keys: &Keys, anchors: &str) -> Result<Value, String> {
    if config.database_url.is_none() {
        return Err("no PostgreSQL server is named; set `database_url`, or HUNDI_DATABASE_URL".to_owned());
    }
    let clock = Clock::system();
    let from = Config { database_url: None, ..config.clone() };
    let source = Store::open(&from, &clock, false).await.map_err(text)?;
    source.check_schema().await.map_err(text)?;
    check_not_moved(&source).await?;
    check_key(&source, keys, config).await?;
    // From here on nothing else writes to the source: the transaction holds its lock.
    let mut hold = source.begin().await.map_err(text)?;
    let moved = rows::meta_once("moved", &format!("{} to PostgreSQL", clock.now()));
    write_plain(&mut hold, &moved).await.map_err(text)?;
    holds(&from, keys, anchors, "source").await?;
    let target = Store::open(config, &clock, true).await.map_err(text)?;
    target.migrate().await.map_err(text)?;
    if !target.is_fresh().await.map_err(text)? {
        return Err("the database of `database_url` holds an installation already; name an empty one".to_owned());
    }
    let copied = copy::copy(&source, &target).await.map_err(text)?;
    holds(config, keys, anchors, "target").await?;
    hold.commit().await.map_err(text)?;
    write_alone(&target, rows::meta_forget(copy::NOT_YET.0)).await.map_err(text)?;
    target.close().await;
    let tables: serde_json::Map<String, Value> =
        copied.iter().map(|copied| (copied.table.to_owned(), json!(copied.rows))).collect();
    Ok(json!({ "from": "sqlite", "to": "postgres", "verified": true, "rows": tables }))
}

async fn holds(config: &Config, keys: &Keys, anchors: &str, which: &str) -> Result<(), String> {
    let view = Store::open_view(config, &Clock::system()).await.map_err(text)?;
    let report = verify(&view, keys, anchors).await.map_err(text)?;
    if report.holds {
        return Ok(());
    }
    let broken: Vec<&str> = report.laws.iter().filter(|law| law.broken > 0).map(|law| law.name).collect();
    Err(format!("the {which}'s books do not agree ({}); look at them with `hundi verify`", broken.join(", ")))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
