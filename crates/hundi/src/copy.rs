//! `hundi copy`: moves an installation from one database engine to the other.
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
use crate::{check_key, check_not_moved};
use serde_json::{Value, json};

/// A database engine, by the name that `--from` and `--to` take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The embedded one, in the folder of the data.
    Sqlite,
    /// The server of `database_url`.
    Postgres,
}

impl Engine {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        }
    }

    fn config(self, config: &Config) -> Result<Config, String> {
        match self {
            Engine::Sqlite => Ok(Config { database_url: None, ..config.clone() }),
            Engine::Postgres if config.database_url.is_some() => Ok(config.clone()),
            Engine::Postgres => {
                Err("no PostgreSQL server is named; set `database_url`, or HUNDI_DATABASE_URL".to_owned())
            }
        }
    }
}

/// Copies all of an installation, verifies both sides, and marks the source as moved. No process may serve the source.
pub async fn copy_installation(
    config: &Config,
    keys: &Keys,
    anchors: &str,
    (from, to): (Engine, Engine),
) -> Result<Value, String> {
    if from == to {
        return Err(format!("`--from` and `--to` are both {}; name the other engine", from.as_str()));
    }
    let clock = Clock::system();
    let (from_config, to_config) = (from.config(config)?, to.config(config)?);
    let source = Store::open(&from_config, &clock, false).await.map_err(text)?;
    source.check_schema().await.map_err(text)?;
    check_not_moved(&source).await?;
    check_key(&source, keys, config).await?;
    let now = clock.now();
    if source.processes().await.map_err(text)?.iter().any(|(_, lease_until, _)| *lease_until > now) {
        return Err("a process still serves the source; stop it, wait until its lease has run out (half a minute), and copy again".to_owned());
    }
    // From here on nothing else writes to the embedded database: the transaction holds its lock.
    let mut hold = source.begin().await.map_err(text)?;
    let moved = rows::meta_once("moved", &format!("{} to {}", clock.now(), to.as_str()));
    write_plain(&mut hold, &moved).await.map_err(text)?;
    holds(&from_config, keys, anchors, "source").await?;
    let target = Store::open(&to_config, &clock, true).await.map_err(text)?;
    target.migrate().await.map_err(text)?;
    if !target.is_fresh().await.map_err(text)? {
        return Err(format!("the {} database holds an installation already; name an empty one", to.as_str()));
    }
    let view = Store::open_view(&from_config, &clock).await.map_err(text)?;
    let copied = copy::copy(&view, &target).await.map_err(text)?;
    holds(&to_config, keys, anchors, "target").await?;
    hold.commit().await.map_err(text)?;
    target.close().await;
    let tables: serde_json::Map<String, Value> =
        copied.iter().map(|copied| (copied.table.to_owned(), json!(copied.rows))).collect();
    Ok(json!({ "from": from.as_str(), "to": to.as_str(), "verified": true, "rows": tables }))
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
