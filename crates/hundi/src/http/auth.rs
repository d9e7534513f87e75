//! Who is calling, and may he: token, then address, then how often (WIRE 6 and 18).
//!
//! A token that was read from the store is believed for `BELIEVED_US`, so that a revoked one is refused within a
//! second and a busy merchant costs one read a second. Tokens that are not accepted are never remembered. Neither a token nor
//! its hash is ever logged.

use crate::App;
use crate::http::fields::FieldProblem;
use crate::http::peer;
use crate::http::problem::Problem;
use crate::keys::token_hash;
use crate::locked;
use hundi_core::ids::MerchantId;
use hundi_core::plant::{Plant, planted};
use hyper::HeaderMap;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

/// How long what the store said about a token is believed, microseconds.
const BELIEVED_US: i64 = 900_000;
/// At most so many tokens are remembered.
const TOKENS_MAX: usize = 4_096;
/// What "a minute" of a token's limit means, microseconds.
const MINUTE_US: i64 = 60_000_000;

/// A caller who may call.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Whose token it is.
    pub merchant: MerchantId,
    /// Which of his tokens.
    pub token_id: i64,
}

/// What is remembered of a token.
struct Known {
    caller: Caller,
    allow: Vec<IpNet>,
    rate_per_minute: Option<i64>,
    /// When the store was asked, on the clock that never goes back.
    read_us: i64,
    /// The minute that is being counted: when it began, and the calls in it. Survives a new read.
    minute: (i64, i64),
}

/// The tokens that were read from the store lately, by their hash.
#[derive(Default)]
pub struct Tokens(Mutex<BTreeMap<[u8; 32], Known>>);

/// Judges a call by its token and its address.
pub async fn caller(
    app: &App,
    socket_peer: IpAddr,
    headers: &HeaderMap,
    token: Result<Option<&str>, FieldProblem>,
) -> Result<Caller, Problem> {
    let token = match token {
        Ok(Some(token)) => token,
        Ok(None) => return Err(Problem::TokenMissing),
        Err(FieldProblem::Twice) => return Err(Problem::TokenTwice),
        Err(FieldProblem::NotTextOrInteger { .. }) => return Err(Problem::TokenNotText),
    };
    let from = peer::client_ip(socket_peer, &app.config.api.trusted_proxies, headers);
    let now_us = app.clock.boot_us();
    let key = token_hash(token);
    {
        let mut known = locked(&app.tokens.0);
        if let Some(known) = known.get_mut(&key)
            && (0..BELIEVED_US).contains(&(now_us - known.read_us))
        {
            return known.judge(from, now_us);
        }
    }
    let read = app.store.token(&key).await.map_err(|error| {
        tracing::error!(%error, "cannot read a token");
        Problem::Unknown
    })?;
    if planted(Plant::TokenInError) && read.is_none() {
        return Err(Problem::TokenUnreadable(format!("{token} is not a token")));
    }
    let mut all = locked(&app.tokens.0);
    let before = all.remove(&key);
    let Some(read) = read.filter(|token| token.revoked_at.is_none()) else { return Err(Problem::TokenNotAccepted) };
    let allow = peer::parse_cidrs(&read.allow_ip).unwrap_or_else(|_| {
        // An empty list allows nobody.
        tracing::error!(token_id = read.token_id, "a token's list of addresses cannot be read; it allows nobody");
        Vec::new()
    });
    let mut known = Known {
        caller: Caller { merchant: read.merchant, token_id: read.token_id },
        allow,
        rate_per_minute: read.rate_per_minute,
        read_us: now_us,
        minute: before.map_or((now_us, 0), |before| before.minute),
    };
    let judged = known.judge(from, now_us);
    if all.len() >= TOKENS_MAX {
        // Whoever was silent for a minute has no calls in it.
        all.retain(|_, known| (0..MINUTE_US).contains(&(now_us - known.read_us)));
    }
    if all.len() >= TOKENS_MAX {
        all.pop_first();
    }
    all.insert(key, known);
    judged
}

impl Known {
    fn judge(&mut self, from: Result<IpAddr, peer::ForwardedUnreadable>, now_us: i64) -> Result<Caller, Problem> {
        let from = from.map_err(|_| Problem::ForwardedUnreadable)?;
        if !peer::allowed(from, &self.allow) {
            return Err(Problem::AddressNotAllowed(from));
        }
        // Counted last, so that a thief of the token elsewhere cannot use up its owner's calls.
        if let Some(most) = self.rate_per_minute {
            let (began_us, calls) = &mut self.minute;
            if !(0..MINUTE_US).contains(&(now_us - *began_us)) {
                (*began_us, *calls) = (now_us, 0);
            }
            if *calls >= most && !planted(Plant::LimitNotKept) {
                // Rounded up: a caller who waits that long is served.
                let wait_s = (*began_us + MINUTE_US - now_us + 999_999) / 1_000_000;
                return Err(Problem::RateLimited { most, wait_s });
            }
            *calls += 1;
        }
        Ok(self.caller)
    }
}
