//! Databases that a bench makes for itself on a PostgreSQL server, and drops.

use super::StoreError;
use super::postgres::Postgres;
use crate::clock::Clock;
use crate::config::Config;

/// The URL of another database of the same server.
pub fn url_of(server: &str, name: &str) -> Option<String> {
    let (scheme, rest) = server.split_once("://")?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return None;
    }
    let (place, options) = rest.split_once('?').map_or((rest, None), |(place, options)| (place, Some(options)));
    let hosts = place.split('/').next().unwrap_or_default();
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    Some(format!("{scheme}://{hosts}/{name}{options}"))
}

/// Makes an empty database. The name is of letters, digits and underscores.
pub async fn create_database(server: &Config, name: &str) -> Result<(), StoreError> {
    alone(server, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")).await
}

/// Drops a database, whoever is connected to it.
pub async fn drop_database(server: &Config, name: &str) -> Result<(), StoreError> {
    alone(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await
}

async fn alone(server: &Config, statement: &str) -> Result<(), StoreError> {
    let url = server.database_url.as_ref().ok_or(StoreError::Unusable("no server is named".into()))?;
    let engine = Postgres::open(server, &url.0, &Clock::system()).await?;
    let done = engine.run_alone(statement).await;
    engine.close();
    done
}

#[cfg(test)]
mod tests {
    use super::url_of;

    #[test]
    fn another_database_has_the_same_server() {
        for (server, other) in [
            ("postgres://u:p@h:5432/postgres", Some("postgres://u:p@h:5432/x")),
            ("postgresql://h1:1,h2:2/a?sslmode=require", Some("postgresql://h1:1,h2:2/x?sslmode=require")),
            ("postgres://h", Some("postgres://h/x")),
            ("postgres:///a?host=/tmp", Some("postgres:///x?host=/tmp")),
            ("mysql://h/a", None),
            ("h/a", None),
        ] {
            assert_eq!(url_of(server, "x").as_deref(), other, "{server}");
        }
    }
}
