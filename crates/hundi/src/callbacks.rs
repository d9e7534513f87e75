//! Merchant callbacks: sign, guard the address, send, record.
//!
//! ```text
//! due (by merchant, then by next_at) --> claim, committed --> GET, signed --> 2xx: delivered
//!                                                                        +--> else: again by the schedule, or given up
//! ```
//!
//! A callback is sent at least once: a claim is a lease, and a result that was not recorded lets the lease run out. One
//! payout's news go one after the other, because newer news are not found while older ones are open. Of several processes
//! the one that moves a callback's time makes the call; a result counts only while that claim is the last one, but for a
//! success, which is one whoever records it. Lanes are a process's own: of n processes a merchant is called by n lanes.
//!
//! | what keeps one merchant from delaying another | how |
//! |---|---|
//! | every merchant has a lane of his own | his waiting callbacks are never read while his lane is full |
//! | a lane's width follows its receiver | it halves when a call fails or is slow, grows by one when a call goes well |
//! | who has not proven himself | shares half of all calls with the others like him |
//! | turns | whoever was served longest ago comes first |
//!
//! It refuses to follow redirects, to reach private addresses, and to log a URL or a secret.

use crate::config::Callbacks;
use crate::http_out::{self, Method, OutError, OutReply, OutRequest, Reach};
use crate::keys::{Keys, Place};
use crate::store::StoreError;
use crate::store::reads::DueCallback;
use crate::store::rows::{self, CallbackFate, CallbackKey};
use crate::{App, Floor};
use bytes::Bytes;
use hundi_core::command::Callback;
use hundi_core::ids::MerchantId;
use hundi_core::plant::{Plant, planted};
use hundi_core::schedule::{SECOND, Timestamp, next_callback};
use hundi_core::signing;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use url::{Position, Url};

/// The longest time without a look at what is due: another process may have made work.
const LOOK_EVERY: i64 = SECOND;
/// The shortest time between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// A claim outlives the call's deadline by this, so that a call and its result fit into it.
const LEASE_SPARE_US: i64 = 5 * SECOND;
/// How long calls in flight may take once `stop` is told.
const STOP_WITHIN: Duration = Duration::from_secs(4);
/// The first width of a lane.
const LANE_FIRST: usize = 2;
/// Everything but RFC 3986's unreserved characters is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What of a merchant's settings is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Where he is called.
    Url,
    /// What his callbacks are signed with; see [`secrets`].
    Secret,
}

/// A secret has so many bytes.
pub const SECRET_BYTES: usize = 32;

/// The secrets in an opened [`Setting::Secret`]: the newest, and while the merchant changes over, the one before.
pub fn secrets(opened: &[u8]) -> impl Iterator<Item = &[u8]> {
    opened.chunks(SECRET_BYTES)
}

/// Seals a setting of the merchant with this ID.
pub fn seal_setting(keys: &Keys, merchant: &str, setting: Setting, text: &[u8]) -> Vec<u8> {
    keys.seal(Place { merchant: MerchantId::HOUSE, row: 0, field: &place(merchant, setting) }, text)
}

/// Opens what [`seal_setting`] sealed; `None` if it is another merchant's or another key's.
pub fn open_setting(keys: &Keys, merchant: &str, setting: Setting, sealed: &[u8]) -> Option<Vec<u8>> {
    keys.open(Place { merchant: MerchantId::HOUSE, row: 0, field: &place(merchant, setting) }, sealed)
}

/// Checks a callback URL when it is set: it must be allowed, and leave room for the parameters. The message says what to
/// write instead.
pub fn check_url(limits: &Callbacks, url: &str) -> Result<(), String> {
    http_out::check_url(url, reach(limits))?;
    let longest = "#".repeat(64);
    let address = address(url, [&longest, "999999999999999", "Reversal", &longest]).ok_or("the URL cannot be read")?;
    http_out::check_url(address.as_str(), reach(limits))
}

/// Makes a callback due that was not when it was written, for [`Plant::EventAfterCommit`](hundi_core::plant::Plant) alone.
pub(crate) fn enqueue_late(app: &App, callback: &Callback) {
    let key = CallbackKey { merchant: callback.merchant, payout: callback.payout, seq: i64::from(callback.seq) };
    let (writer, due) = (app.writer.clone(), rows::callback_claim(key, Timestamp(i64::MAX), app.clock.now()));
    tokio::spawn(async move { writer.write_for(key.merchant, due).await });
}

/// Makes the calls that are due until `stop` is told; then waits for those in flight, at most a little.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut desk = Desk::default();
    let mut look_at = app.clock.now();
    loop {
        tokio::select! {
            biased;
            () = crate::told_to_stop(&mut stop) => break,
            Some(ended) = desk.calls.join_next_with_id() => {
                if desk.ended(&app.config.callbacks, ended) {
                    look_at = look_at.min(app.clock.now());
                }
            }
            () = app.hub.callbacks_due.sleep_until(&app.clock, look_at) => look_at = desk.look(&app).await,
        }
    }
    let rest = async { while desk.calls.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, rest).await.is_err() {
        tracing::info!("some callbacks were not answered; they are made again after the next start");
    }
}

/// What is in flight, and how much each merchant may have of it.
#[derive(Default)]
struct Desk {
    lanes: BTreeMap<MerchantId, Lane>,
    calls: JoinSet<Call>,
    /// Only looked up, never iterated: the order of the calls must not depend on it.
    keys: HashMap<Id, CallbackKey>,
    looks: u64,
    floor: Floor,
}

struct Lane {
    open: BTreeSet<CallbackKey>,
    width: usize,
    /// Whether his last call went well.
    proven: bool,
    /// The look at which he was last served.
    served: u64,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane { open: BTreeSet::new(), width: LANE_FIRST, proven: false, served: 0 }
    }
}

/// How a call went, for its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    /// 2xx, and soon.
    Well,
    /// Anything else.
    Badly,
    /// The receiver was not asked.
    NotMade,
    /// The store could not be asked whether the call was ours to make.
    NotClaimed,
}

impl Desk {
    /// Begins what is due and has room, and says when to look again.
    async fn look(&mut self, app: &Arc<App>) -> Timestamp {
        app.hub.callbacks_due.reset();
        let now = app.clock.now();
        let look_at = self.begin_due(app, now).await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read which callbacks are due");
            now.after(LOOK_EVERY)
        });
        tokio::time::sleep(LOOK_PAUSE).await;
        look_at
    }

    async fn begin_due(&mut self, app: &Arc<App>, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.looks += 1;
        let mut look_at = now.after(LOOK_EVERY);
        let mut due = Vec::new();
        let mut first = None;
        for (merchant, next_at) in app.store.callbacks_next(self.floor.at(now)).await? {
            if next_at <= now {
                due.push((merchant, next_at));
                first = Some(first.map_or(next_at, |first: Timestamp| first.min(next_at)));
            } else {
                look_at = look_at.min(next_at);
            }
        }
        self.floor.looked(now, first);
        due.sort_by_key(|(merchant, _)| self.lanes.get(merchant).map_or(0, |lane| lane.served));
        for (merchant, from) in due {
            let free = self.free(&app.config.callbacks, merchant);
            if free == 0 {
                continue;
            }
            let lane = self.lanes.entry(merchant).or_default();
            // A call whose claim is not committed yet is still found.
            let limit = i64::try_from(free + lane.open.len()).unwrap_or(i64::MAX);
            let found = match app.store.callbacks_due(merchant, (from, now), limit).await {
                Ok(found) => found,
                Err(error) => {
                    // One merchant's rows must not hold up the others'.
                    tracing::error!(%error, merchant = merchant.0, "a merchant's due callbacks cannot be read");
                    continue;
                }
            };
            let known = lane.open.clone();
            for callback in found.into_iter().filter(|callback| !known.contains(&callback.key)).take(free) {
                lane.open.insert(callback.key);
                lane.served = self.looks;
                let key = callback.key;
                let task = self.calls.spawn(call(Arc::clone(app), callback));
                self.keys.insert(task.id(), key);
            }
        }
        Ok(look_at)
    }

    /// How many calls to a merchant may begin now.
    fn free(&self, limits: &Callbacks, merchant: MerchantId) -> usize {
        let (open, width, proven) =
            self.lanes.get(&merchant).map_or((0, LANE_FIRST, false), |lane| (lane.open.len(), lane.width, lane.proven));
        let in_lane = width.min(limits.per_merchant_max).saturating_sub(open);
        let in_all = limits.total_max.saturating_sub(self.keys.len());
        if proven {
            return in_lane.min(in_all);
        }
        let unproven: usize = self.lanes.values().filter(|lane| !lane.proven).map(|lane| lane.open.len()).sum();
        in_lane.min(in_all).min(limits.total_max.div_ceil(2).saturating_sub(unproven))
    }

    /// Takes a call that has ended off its lane. True if there may be more to begin now.
    fn ended(&mut self, limits: &Callbacks, ended: Result<(Id, Call), JoinError>) -> bool {
        let (id, call) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a callback's task broke off; its claim runs out");
            (error.id(), Call::NotClaimed)
        });
        let Some(key) = self.keys.remove(&id) else { return false };
        let Some(lane) = self.lanes.get_mut(&key.merchant) else { return false };
        lane.open.remove(&key);
        match call {
            Call::Well => (lane.width, lane.proven) = ((lane.width + 1).min(limits.per_merchant_max), true),
            Call::Badly => (lane.width, lane.proven) = ((lane.width / 2).max(1), false),
            Call::NotMade | Call::NotClaimed => {}
        }
        call != Call::NotClaimed
    }
}

/// Claims a callback, makes the call and records what came of it.
async fn call(app: Arc<App>, callback: DueCallback) -> Call {
    let deadline = Duration::from_millis(app.config.callbacks.deadline_ms);
    let until = claim_until(&app);
    match app.writer.write_for(callback.key.merchant, rows::callback_claim(callback.key, callback.next_at, until)).await
    {
        Ok(1) => {}
        // Another process makes the call.
        Ok(_) => return Call::NotMade,
        Err(error) => {
            tracing::warn!(%error, "a callback was not claimed; it is tried again");
            return Call::NotClaimed;
        }
    }
    let Some(sealed_url) = &callback.url else {
        record(&app, &callback, until, Verdict::Nowhere).await;
        return Call::NotMade;
    };
    let url = open_setting(&app.keys, &callback.merchant, Setting::Url, sealed_url)
        .and_then(|url| String::from_utf8(url).ok());
    let secret = open_setting(&app.keys, &callback.merchant, Setting::Secret, &callback.secret);
    let (Some(url), Some(secret)) = (url, secret) else {
        tracing::error!(
            merchant = callback.merchant,
            "a callback URL or secret cannot be unsealed; is the key the right one?"
        );
        record(&app, &callback, until, Verdict::Failed("the URL or the secret cannot be unsealed".into())).await;
        return Call::NotMade;
    };
    let Some(request) = request(&app.config.callbacks, &callback, &url, &secret, app.clock.now()) else {
        record(&app, &callback, until, Verdict::Failed("the URL is not valid".into())).await;
        return Call::NotMade;
    };
    // A claim that was long in coming leaves less time: a call must not outlive it, or newer news could overtake it.
    let left = Duration::from_micros(u64::try_from(until.0.saturating_sub(app.clock.now().0)).unwrap_or(0));
    let deadline = deadline.min(left);
    let began_us = app.clock.boot_us();
    let reply = (app.http_out)(OutRequest { deadline, ..request }).await;
    let took_us = app.clock.boot_us() - began_us;
    let verdict = judge(&reply, took_us >= micros(deadline));
    let well = matches!(verdict, Verdict::Delivered(_)) && took_us < micros(deadline / 2);
    record(&app, &callback, until, verdict).await;
    if well { Call::Well } else { Call::Badly }
}

/// The end of a claim that is made now.
fn claim_until(app: &App) -> Timestamp {
    app.clock.now().after(micros(Duration::from_millis(app.config.callbacks.deadline_ms))).after(LEASE_SPARE_US)
}

/// What a try came to, with a short text that tells nothing of the URL.
enum Verdict {
    Delivered(String),
    Failed(String),
    /// The merchant has no callback URL any more.
    Nowhere,
}

fn judge(reply: &Result<OutReply, OutError>, out_of_time: bool) -> Verdict {
    match reply {
        Ok(OutReply { status: status @ 200..=299, .. }) => Verdict::Delivered(status.to_string()),
        Ok(OutReply { status: status @ 300..=399, .. }) => {
            Verdict::Failed(format!("{status}, redirects are not followed"))
        }
        Ok(OutReply { status, .. }) => Verdict::Failed(status.to_string()),
        Err(OutError::Forbidden(_)) => Verdict::Failed("address not allowed".into()),
        Err(OutError::NotWritten(_) | OutError::Silent(_)) if out_of_time => Verdict::Failed("time-out".into()),
        Err(OutError::NotWritten(_)) => Verdict::Failed("no connection".into()),
        Err(OutError::Withheld(why)) => Verdict::Failed((*why).into()),
        Err(OutError::Silent(_)) => Verdict::Failed("no reply".into()),
    }
}

/// Records what the try came to that was claimed until `until`.
async fn record(app: &App, callback: &DueCallback, until: Timestamp, verdict: Verdict) {
    let now = app.clock.now();
    let (fate, result) = match verdict {
        Verdict::Delivered(result) => (CallbackFate::Delivered, result),
        Verdict::Failed(result) => {
            let next = next_callback(now, callback.tries.saturating_add(1), app.clock.jitter());
            let next = next.filter(|_| !planted(Plant::CallbackGivenUp));
            (next.map_or(CallbackFate::GivenUp, CallbackFate::Again), result)
        }
        Verdict::Nowhere => (CallbackFate::GivenUp, "no callback URL".to_owned()),
    };
    let CallbackKey { payout, seq, .. } = callback.key;
    let merchant = callback.merchant.as_str();
    let label = match fate {
        CallbackFate::Delivered => {
            tracing::debug!(merchant, %payout, seq, result, "a callback was delivered");
            "delivered"
        }
        CallbackFate::Again(_) => {
            tracing::info!(merchant, %payout, seq, result, "a callback failed; it is tried again");
            "failed"
        }
        CallbackFate::GivenUp => {
            tracing::warn!(merchant, %payout, seq, result, "a callback was given up");
            "given_up"
        }
    };
    app.metrics.callbacks.get_or_create(&[("result", label)]).inc();
    let mut recorded = app
        .writer
        .write_for(callback.key.merchant, rows::callback_result(callback.key, until, fate, &result, now))
        .await;
    if recorded == Ok(0) && fate == CallbackFate::Delivered {
        // The claim ran out while this process was paused. A failure is no longer its to tell; a success is one for good.
        let latest = claim_until(app);
        recorded = app
            .writer
            .write_for(callback.key.merchant, rows::callback_delivered_late(callback.key, &result, now, latest))
            .await;
    }
    if let Err(error) = recorded {
        tracing::warn!(%error, merchant, %payout, seq, "a callback's result was not recorded; the call is made again");
    }
}

/// The call itself; `None` if the URL cannot be read. `secret` holds one or several; see [`secrets`].
fn request(limits: &Callbacks, callback: &DueCallback, url: &str, secret: &[u8], now: Timestamp) -> Option<OutRequest> {
    let CallbackKey { payout, seq, .. } = callback.key;
    let address = address(url, [&callback.order, &payout.to_string(), callback.news.as_str(), &callback.rrn])?;
    let id = format!("cb_{payout}_{seq}");
    let timestamp_s = now.0.div_euclid(SECOND);
    let until = if planted(Plant::UnsignedField) { Position::AfterPath } else { Position::AfterQuery };
    let signed = format!("GET {}", &address[Position::BeforePath..until]);
    // While there are two secrets both sign, so that the merchant may change over whenever he likes.
    let signatures = secrets(secret).map(|secret| signing::sign(secret, &id, timestamp_s, signed.as_bytes()));
    let most = if planted(Plant::RotationForgetsOld) { 1 } else { usize::MAX };
    let signature = signatures.take(most).collect::<Vec<_>>().join(" ");
    Some(OutRequest {
        method: Method::Get,
        url: address.into(),
        headers: vec![
            ("webhook-id", id),
            ("webhook-timestamp", timestamp_s.to_string()),
            ("webhook-signature", signature),
        ],
        body: Bytes::new(),
        deadline: Duration::from_millis(limits.deadline_ms),
        write_before_boot_us: None,
        reply_bytes_max: limits.reply_bytes_max,
        reach: reach(limits),
    })
}

/// The merchant's URL with the parameters after whatever query it has. It is normalised here, so that what is signed is
/// what is sent.
fn address(url: &str, values: [&str; 4]) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    let mut query = url.query().unwrap_or_default().to_owned();
    for (name, value) in ["clientTxnRef", "refId", "status", "operatorRef"].into_iter().zip(values) {
        if !query.is_empty() && !query.ends_with('&') {
            query.push('&');
        }
        query.extend([name, "="]);
        query.extend(utf8_percent_encode(value, ENCODED));
    }
    url.set_query(Some(&query));
    Some(url)
}

fn reach(limits: &Callbacks) -> Reach {
    if limits.allow_private { Reach::Unguarded } else { Reach::Public }
}

fn place(merchant: &str, setting: Setting) -> String {
    match setting {
        Setting::Url => format!("merchants.callback_url:{merchant}"),
        Setting::Secret => format!("merchants.callback_secret:{merchant}"),
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hundi_core::ids::PayoutId;
    use hundi_core::payout::News;

    const VALUES: [&str; 4] = ["a&b=c%d+e#f/g", "188020200", "Success", "AND 12345"];
    const SENT: &str = "clientTxnRef=a%26b%3Dc%25d%2Be%23f%2Fg&refId=188020200&status=Success&operatorRef=AND%2012345";

    #[test]
    fn parameters_join_whatever_query_the_url_has() {
        for (url, before) in [
            ("https://m.example/cb", "https://m.example/cb?"),
            ("https://m.example", "https://m.example/?"),
            ("https://m.example/cb?", "https://m.example/cb?"),
            ("https://m.example/cb?key=a%20b&x", "https://m.example/cb?key=a%20b&x&"),
            ("https://m.example/cb?key=1&", "https://m.example/cb?key=1&"),
            ("https://m.example/a/../b?q='", "https://m.example/b?q=%27&"),
        ] {
            let address = address(url, VALUES).unwrap();
            assert_eq!(address.as_str(), format!("{before}{SENT}"), "{url}");
            // The way out reads it again; what was signed must come out of that.
            assert_eq!(Url::parse(address.as_str()).unwrap(), address);
        }
        let parsed: Vec<_> =
            address("https://m.example", VALUES).unwrap().query_pairs().into_owned().map(|(_, value)| value).collect();
        assert_eq!(parsed, VALUES);
    }

    #[test]
    fn the_signature_is_over_what_is_sent_and_the_id_is_stable() {
        let callback = DueCallback {
            key: CallbackKey { merchant: MerchantId(7), payout: PayoutId(1_900_000_211), seq: 2 },
            news: News::Reversal,
            rrn: String::new(),
            tries: 3,
            next_at: Timestamp(0),
            order: "Se123456".into(),
            merchant: "acme".into(),
            url: None,
            secret: Vec::new(),
        };
        let limits = Callbacks::default();
        let ask = |seconds| {
            request(&limits, &callback, "https://m.example/a b?k=v", b"secret", Timestamp(seconds * SECOND + 1))
                .unwrap()
        };
        let (first, second) = (ask(1_700_000_000), ask(1_700_000_005));
        assert_eq!(
            first.url,
            "https://m.example/a%20b?k=v&clientTxnRef=Se123456&refId=1900000211&status=Reversal&operatorRef="
        );
        assert_eq!(first.reach, Reach::Public);
        assert_eq!(first.headers[0], ("webhook-id", "cb_1900000211_2".to_owned()));
        assert_eq!(first.headers[0], second.headers[0]);
        assert_eq!(first.headers[1], ("webhook-timestamp", "1700000000".to_owned()));
        let signed = first.url.replacen("https://m.example", "GET ", 1);
        assert!(signing::verify(b"secret", "cb_1900000211_2", 1_700_000_000, signed.as_bytes(), &first.headers[2].1));
        assert_ne!(first.headers[2], second.headers[2]);
    }

    #[test]
    fn a_url_is_checked_with_the_parameters_it_will_carry() {
        let limits = Callbacks::default();
        assert_eq!(check_url(&limits, "https://m.example/cb?key=1"), Ok(()));
        for (url, word) in [
            ("https://m.example/cb#part", "fragment"),
            ("https://127.0.0.1/cb", "not public"),
            ("ftp://m.example/", "https://"),
            (&format!("https://m.example/{}", "a".repeat(8_000)), "at most"),
        ] {
            assert!(check_url(&limits, url).unwrap_err().contains(word), "{url}");
        }
        assert_eq!(check_url(&Callbacks { allow_private: true, ..limits }, "http://127.0.0.1:9/cb"), Ok(()));
    }

    #[test]
    fn a_sealed_setting_opens_only_for_its_merchant_and_field() {
        let keys = Keys::parse(&format!("1:{}", "11".repeat(32))).unwrap();
        let sealed = seal_setting(&keys, "acme", Setting::Url, b"https://m.example");
        assert_eq!(open_setting(&keys, "acme", Setting::Url, &sealed).as_deref(), Some(&b"https://m.example"[..]));
        assert_eq!(open_setting(&keys, "acme", Setting::Secret, &sealed), None);
        assert_eq!(open_setting(&keys, "bcme", Setting::Url, &sealed), None);
    }

    #[test]
    fn lanes_narrow_and_widen_and_the_unproven_leave_half_to_the_others() {
        let limits = Callbacks { per_merchant_max: 8, total_max: 10, ..Callbacks::default() };
        let mut desk = Desk::default();
        let lane = |open: i64, width, proven| Lane {
            open: (0..open).map(|seq| CallbackKey { merchant: MerchantId(0), payout: PayoutId(0), seq }).collect(),
            width,
            proven,
            served: 0,
        };
        assert_eq!(desk.free(&limits, MerchantId(1)), LANE_FIRST);
        desk.lanes.insert(MerchantId(1), lane(0, 8, true));
        desk.lanes.insert(MerchantId(2), lane(4, 4, false));
        assert_eq!(desk.free(&limits, MerchantId(1)), 8);
        assert_eq!(desk.free(&limits, MerchantId(2)), 0);
        // The unproven may have 5 of the 10 and have 4.
        assert_eq!(desk.free(&limits, MerchantId(3)), 1);
        desk.lanes.insert(MerchantId(3), lane(1, 1, false));
        assert_eq!(desk.free(&limits, MerchantId(4)), 0);
    }
}
