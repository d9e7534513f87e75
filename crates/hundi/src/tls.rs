//! TLS as a client, of banks, of merchants' receivers and of the database's server: which implementation, which versions,
//! and whose word counts.

use rustls::{ClientConfig, Error, RootCertStore};
use std::sync::Arc;

/// The authorities that browsers trust.
pub fn authorities_of_the_web() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// Checks a server's certificate by these authorities, and its name; shows no certificate of its own.
pub fn client(authorities: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(authorities).with_no_client_auth())
}
