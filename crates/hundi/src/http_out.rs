//! HTTP leaves Hundi only here, through one function value, [`HttpOut`].
//!
//! | reach | address | port | connection |
//! |---|---|---|---|
//! | [`Reach::Operator`] | any | any | kept alive, pooled by origin |
//! | [`Reach::Public`] | only public ones: every answer of the resolver is checked, and the checked address is connected to | 80, 443, 8080, 8443 | one request |
//! | [`Reach::Unguarded`] | any | any | one request |
//!
//! [`OutError`] tells what the caller must know about money: whether a byte of the request may have left this machine.
//! Nothing is begun to be sent after its time, not even by a process that was stopped or suspended while it connected.
//! Nothing is ever sent a second time, no redirect is followed, no proxy setting is read, no reply is decompressed, and no
//! error holds a path, a query or a header: they carry secrets.
//!
//! A connection has no task of its own: who sends a request drives its connection meanwhile. When the deadline drops the
//! request, its connection is gone with it; and an idle one is looked at before it is used again.

use crate::{locked, tls};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hundi_core::plant::{Plant, planted};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, LOCATION};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use crate::clock::Clock;

/// Sends one request and gives its reply.
pub type HttpOut = Arc<dyn Fn(OutRequest) -> OutFuture + Send + Sync>;

/// What [`HttpOut`] returns. Dropping it closes the connection of the request.
pub type OutFuture = Pin<Box<dyn Future<Output = Result<OutReply, OutError>> + Send>>;

/// The methods that leave Hundi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "HTTP's own")]
pub enum Method {
    Get,
    Post,
}

/// Whose URL it is, and so where it may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The bank: any address that the operator configured. Connections are kept alive and pooled.
    Operator,
    /// A merchant's URL: only public addresses and the usual ports. A connection serves one request.
    Public,
    /// A merchant's URL without the guard of address and port (`callbacks.allow_private`).
    Unguarded,
}

/// One request.
pub struct OutRequest {
    /// Its method.
    pub method: Method,
    /// Its absolute URL; see [`check_url`].
    pub url: String,
    /// Its headers, but for `host`, `content-length` and `connection`, which are set here.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
    /// One total deadline over resolve, connect, TLS, headers and body; at most five minutes.
    pub deadline: Duration,
    /// From this moment on nothing is written any more; `None` is no such limit. It is on the clock that counts
    /// suspension, [`Clock::boot_us`], and always the machine's, [`Clock::system`]; the deadline's clock stands still
    /// while the machine is suspended.
    pub write_before_boot_us: Option<i64>,
    /// How much of the reply's body is read.
    pub reply_bytes_max: usize,
    /// Where the URL may lead.
    pub reach: Reach,
}

impl fmt::Debug for OutRequest {
    /// Without URL, headers and body: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutRequest")
            .field("method", &self.method)
            .field("reach", &self.reach)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// One reply, whatever its status: a redirect is a reply too.
#[derive(Clone, PartialEq, Eq)]
pub struct OutReply {
    /// The HTTP status.
    pub status: u16,
    /// At most `reply_bytes_max` of the body.
    pub body: Bytes,
    /// Whether there was more, which was not read.
    pub truncated: bool,
}

impl fmt::Debug for OutReply {
    /// The body's size instead of the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutReply")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutError {
    /// No byte of the request left this machine: the name did not resolve, or no connection came about.
    NotWritten(String),
    /// Anything after that: time-out, reset, garbage. The other side may have acted on the request.
    Silent(String),
    /// The URL or the address it leads to is not allowed. Nothing was connected.
    Forbidden(String),
    /// We held it back ourselves, and whoever it was for knows nothing of it.
    Withheld(&'static str),
}

impl fmt::Display for OutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutError::NotWritten(why) => write!(f, "not sent: {why}"),
            OutError::Silent(why) => write!(f, "no reply: {why}"),
            OutError::Forbidden(why) => write!(f, "not allowed: {why}"),
            OutError::Withheld(why) => write!(f, "held back: {why}"),
        }
    }
}

impl std::error::Error for OutError {}

/// The way out of a real process: the system's resolver, TCP, and TLS against the public web's roots.
#[must_use]
pub fn http_out() -> HttpOut {
    http_out_on(Network::system())
}

/// What finds an address and what connects to it.
#[derive(Clone)]
pub struct Network {
    /// The addresses of a name, with a port.
    pub resolve: Resolve,
    /// A connection to an address that the guard has let through.
    pub dial: Dial,
}

impl Network {
    /// The system's resolver and TCP.
    #[must_use]
    pub fn system() -> Network {
        Network {
            resolve: Arc::new(|host, port| {
                Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })
            }),
            dial: Arc::new(|address| Box::pin(TcpStream::connect(address))),
        }
    }
}

/// Looks a name up.
pub type Resolve = Arc<dyn Fn(String, u16) -> Lookup + Send + Sync>;
/// What [`Resolve`] returns.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// Connects.
pub type Dial = Arc<dyn Fn(SocketAddr) -> Dialing + Send + Sync>;
/// What [`Dial`] returns.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// The same with another resolver, or another way to connect.
#[must_use]
pub fn http_out_on(network: Network) -> HttpOut {
    let out = Arc::new(Out {
        network,
        lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        tls: tls_connector(),
        origins: Mutex::new(Vec::new()),
    });
    Arc::new(move |request| {
        let out = out.clone();
        Box::pin(async move { out.send(request).await })
    })
}

/// Checks a URL when it is configured. The message says what to write instead.
///
/// A name is resolved and judged at every request, not here: what it means may change.
pub fn check_url(url: &str, reach: Reach) -> Result<(), String> {
    read_url(url, reach).map(drop)
}

const DEADLINE_MAX: Duration = Duration::from_secs(300);
/// Of a reply's status line and headers.
const REPLY_HEAD_BYTES_MAX: usize = 16 * 1024;
const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;
const URL_BYTES_MAX: usize = 8 * 1024;
const PUBLIC_PORTS: [u16; 4] = [80, 443, 8080, 8443];
/// An unreachable name may have many addresses; these many share the deadline.
const ADDRESSES_TRIED_MAX: usize = 4;
/// A look-up blocks a thread and cannot be stopped. Merchants' names may not take them all.
const LOOKUPS_MAX: usize = 32;
const ORIGINS_POOLED_MAX: usize = 64;
const IDLE_PER_ORIGIN_MAX: usize = 512;
/// Below the shortest keep-alive time that servers commonly have (5 s), lest a request meets a connection that just closes.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

struct Out {
    network: Network,
    lookups: Arc<Semaphore>,
    tls: TlsConnector,
    /// The operator's, by the spelling in the URL. A handful, so a list.
    origins: Mutex<Vec<Arc<Origin>>>,
}

impl Out {
    async fn send(&self, request: OutRequest) -> Result<OutReply, OutError> {
        let deadline = Instant::now() + request.deadline.min(DEADLINE_MAX);
        let reach = request.reach;
        let (origin, path) = match reach {
            Reach::Operator => self.pooled_origin(&request.url),
            Reach::Public | Reach::Unguarded => read_url(&request.url, reach).map(|(o, path)| (Arc::new(o), path)),
        }
        .map_err(OutError::Forbidden)?;
        let reply_bytes_max = request.reply_bytes_max;
        let write_before_boot_us = request.write_before_boot_us;
        let message = message(&origin, path, request).map_err(OutError::NotWritten)?;

        let mut link = match origin.idle_link().await {
            Some(link) => link,
            None => timeout_at(deadline, self.connect(&origin, reach, deadline))
                .await
                .map_err(|_| OutError::NotWritten("timed out before a connection was established".into()))??,
        };
        // A time-out looks at its work before it looks at the clock. Who was stopped while connecting would write here.
        if Instant::now() >= deadline
            || write_before_boot_us.is_some_and(|before_us| Clock::system().boot_us() >= before_us)
        {
            return Err(OutError::NotWritten("the time to send was over".into()));
        }
        let timed_out = |_| OutError::Silent("timed out".into());
        let head = timeout_at(deadline, link.exchange(message)).await.map_err(timed_out)??;
        let deadline = if planted(Plant::HeaderDeadlineOnly) { Instant::now() + DEADLINE_MAX } else { deadline };
        let reply = timeout_at(deadline, link.read(head, reply_bytes_max)).await.map_err(timed_out)??;
        if reach == Reach::Operator && !reply.truncated {
            origin.keep(link);
        }
        Ok(reply)
    }

    /// The hot path: an origin is parsed once, and of later URLs only path and query are read.
    fn pooled_origin(&self, url: &str) -> Result<(Arc<Origin>, PathAndQuery), String> {
        check_characters(url)?;
        let authority_at = url.find("://").map_or(0, |at| at + 3);
        let path_at = url[authority_at..].find(['/', '?']).map_or(url.len(), |at| authority_at + at);
        let (spelling, path) = url.split_at(path_at);
        let known = locked(&self.origins).iter().find(|origin| origin.spelling == spelling).cloned();
        let origin = match known {
            Some(origin) => origin,
            None => {
                let (mut origin, _) = read_url(spelling, Reach::Operator)?;
                spelling.clone_into(&mut origin.spelling);
                let origin = Arc::new(origin);
                let mut origins = locked(&self.origins);
                if origins.len() < ORIGINS_POOLED_MAX {
                    origins.push(origin.clone());
                }
                origin
            }
        };
        Ok((origin, path_and_query(path)?))
    }

    async fn connect(&self, origin: &Origin, reach: Reach, deadline: Instant) -> Result<Link, OutError> {
        let addresses = self.addresses(origin, reach).await?;
        let not_written = |error: io::Error| OutError::NotWritten(format!("{}: {error}", origin.host));
        let tcp = dial(&self.network.dial, &addresses, deadline).await.map_err(not_written)?;
        tcp.set_nodelay(true).map_err(not_written)?;
        if origin.tls {
            let tls = self.tls.connect(origin.server_name()?, tcp).await.map_err(not_written)?;
            Link::over(TokioIo::new(tls)).await
        } else {
            Link::over(TokioIo::new(tcp)).await
        }
    }

    /// Every address that may be connected to. Whoever connects uses these very values and does not resolve again, so a
    /// name that changes its meaning in between gains nothing.
    async fn addresses(&self, origin: &Origin, reach: Reach) -> Result<Vec<SocketAddr>, OutError> {
        let port = origin.port;
        let addresses = match &origin.host {
            Host::Ipv4(ip) => vec![SocketAddr::from((*ip, port))],
            Host::Ipv6(ip) => vec![SocketAddr::from((*ip, port))],
            Host::Domain(name) => self
                .look_up(name.clone(), port, reach)
                .await
                .map_err(|error| OutError::NotWritten(format!("{name} does not resolve: {error}")))?,
        };
        if reach == Reach::Public
            && !planted(Plant::GuardOnlyAtRegistration)
            && let Some(kind) = addresses.iter().find_map(|address| refuse_address(address.ip()))
        {
            return Err(OutError::Forbidden(forbidden_address(kind)));
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: String, port: u16, reach: Reach) -> io::Result<Vec<SocketAddr>> {
        let look_up = (self.network.resolve)(name, port);
        if reach == Reach::Operator {
            return look_up.await;
        }
        let permit = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        // In a task, so that the permit is held until the thread is free again, even when the deadline has long passed.
        let task = tokio::spawn(async move {
            let addresses = look_up.await;
            drop(permit);
            addresses
        });
        task.await.map_err(io::Error::other)?
    }
}

/// Where a URL leads: scheme, host and port, and the idle connections to it.
struct Origin {
    /// As in the operator's URL; empty for a merchant's.
    spelling: String,
    tls: bool,
    host: Host<String>,
    port: u16,
    host_header: HeaderValue,
    /// The longest idle in front.
    idle: Mutex<VecDeque<(Instant, Link)>>,
}

impl Origin {
    fn server_name(&self) -> Result<ServerName<'static>, OutError> {
        Ok(match &self.host {
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|_| OutError::NotWritten(format!("{name} is not a name that TLS knows")))?,
            Host::Ipv4(ip) => ServerName::from(IpAddr::from(*ip)),
            Host::Ipv6(ip) => ServerName::from(IpAddr::from(*ip)),
        })
    }

    /// The connection last used, if the other side has not closed it since. Dead ones are dropped on the way.
    async fn idle_link(&self) -> Option<Link> {
        loop {
            let (since, mut link) = locked(&self.idle).pop_back()?;
            if since.elapsed() > IDLE_TIME_MAX {
                // All others have been idle for longer.
                locked(&self.idle).clear();
                return None;
            }
            poll_fn(|context| {
                link.drive(context);
                Poll::Ready(())
            })
            .await;
            if link.is_reusable() {
                return Some(link);
            }
        }
    }

    fn keep(&self, link: Link) {
        if !link.is_reusable() {
            return;
        }
        let now = Instant::now();
        let mut idle = locked(&self.idle);
        idle.push_back((now, link));
        while idle.len() > IDLE_PER_ORIGIN_MAX
            || idle.front().is_some_and(|(since, _)| now.duration_since(*since) > IDLE_TIME_MAX)
        {
            idle.pop_front();
        }
    }
}

/// A connection: where requests go in, and the future that moves its bytes, `None` once it has ended.
struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
}

impl Link {
    async fn over<S>(stream: S) -> Result<Link, OutError>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER_BYTES_MAX)
            .max_header_size(REPLY_HEAD_BYTES_MAX)
            .handshake(stream)
            .await
            .map_err(|error| OutError::NotWritten(error.to_string()))?;
        Ok(Link { sender, driver: Some(Box::pin(connection)) })
    }

    async fn exchange(&mut self, message: Request<Full<Bytes>>) -> Result<Response<Incoming>, OutError> {
        let reply = self.sender.send_request(message);
        self.drive_while(reply).await.map_err(|error| match error.is_canceled() {
            // The connection ended before it took the request up; hyper says so in this one way.
            true => OutError::NotWritten("the connection was closed by the other side".into()),
            false => silent(&error),
        })
    }

    async fn read(&mut self, reply: Response<Incoming>, bytes_max: usize) -> Result<OutReply, OutError> {
        if planted(Plant::RedirectFollowed)
            && let Some(to) = reply.headers().get(LOCATION).and_then(|to| to.to_str().ok()?.strip_prefix("http://"))
        {
            drop(TcpStream::connect(to.split('/').next().unwrap_or_default()).await);
        }
        let status = reply.status().as_u16();
        let (body, truncated) = self.read_body(reply.into_body(), bytes_max).await?;
        Ok(OutReply { status, body, truncated })
    }

    async fn read_body(&mut self, mut body: Incoming, bytes_max: usize) -> Result<(Bytes, bool), OutError> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while !body.is_end_stream() {
            let Some(frame) = self.drive_while(body.frame()).await else {
                break;
            };
            let Ok(mut data) = frame.map_err(|error| silent(&error))?.into_data() else {
                continue;
            };
            let room = bytes_max - first.len().max(all.len());
            let truncated = data.len() > room;
            data.truncate(room);
            // Most replies are one piece, which is taken as it came.
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&data);
            }
            if truncated {
                return Ok((if all.is_empty() { first } else { all.freeze() }, true));
            }
        }
        Ok((if all.is_empty() { first } else { all.freeze() }, false))
    }

    /// Works on `work` and on the connection until `work` is done.
    async fn drive_while<W: Future>(&mut self, work: W) -> W::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.drive(context);
            work.as_mut().poll(context)
        })
        .await
    }

    /// Ending the driver drops it, which answers whatever still waits for the connection.
    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(context).is_ready()
        {
            self.driver = None;
        }
    }

    fn is_reusable(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }
}

fn message(origin: &Origin, path: PathAndQuery, request: OutRequest) -> Result<Request<Full<Bytes>>, String> {
    let mut message = Request::new(Full::new(request.body));
    *message.method_mut() = match request.method {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
    };
    *message.uri_mut() = Uri::from(path);
    let headers = message.headers_mut();
    headers.reserve(request.headers.len() + 2);
    headers.insert(HOST, origin.host_header.clone());
    if request.reach != Reach::Operator {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in request.headers {
        let value = HeaderValue::try_from(value)
            .map_err(|_| format!("the header {name} has a value that HTTP cannot carry"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a header name"))?;
        headers.append(name, value);
    }
    Ok(message)
}

/// Tries the addresses one after the other; each gets an equal share of the time that is left.
async fn dial(dial: &Dial, addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut shares = u32::try_from(addresses.len().min(ADDRESSES_TRIED_MAX)).unwrap_or(1);
    for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
        let share = deadline.saturating_duration_since(Instant::now()) / shares;
        match timeout(share, dial(*address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
        shares -= 1;
    }
    Err(failure)
}

/// Everything about a URL that needs no network.
fn read_url(text: &str, reach: Reach) -> Result<(Origin, PathAndQuery), String> {
    check_characters(text)?;
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let host_at = ["https://", "http://"].iter().find(|scheme| lower.starts_with(**scheme)).map(|scheme| scheme.len());
    if host_at.is_none_or(|at| text[at..].starts_with('/')) {
        return Err("the URL must begin with https:// or http:// and a host".into());
    }
    // In the text as written: a parser forgets an empty user name.
    let authority = text.split(['/', '?']).nth(2).unwrap_or_default();
    if authority.contains('@') {
        return Err("the URL must not hold a user name or password: authenticate callbacks by their signature".into());
    }
    let url = Url::parse(text).map_err(|error| format!("the URL cannot be read: {error}"))?;
    let host = url.host().ok_or("the URL must name a host")?.to_owned();
    let port = url.port_or_known_default().ok_or("the URL must name a port")?;
    if reach == Reach::Public {
        if let Some(kind) = refuse_host(&host) {
            return Err(forbidden_address(kind));
        }
        if !PUBLIC_PORTS.contains(&port) {
            return Err(format!(
                "the URL's port must be 443, 8443, 80 or 8080, not {port} (callbacks.allow_private lifts this)"
            ));
        }
    }
    let host_header = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
        .map_err(|_| "the URL's host cannot be sent as a header")?;
    let origin = Origin {
        spelling: String::new(),
        tls: url.scheme() == "https",
        host,
        port,
        host_header,
        idle: Mutex::default(),
    };
    Ok((origin, path_and_query(&url[Position::BeforePath..Position::AfterQuery])?))
}

/// The checks that cost nothing. They leave no room for parsers to disagree about where the host ends.
fn check_characters(url: &str) -> Result<(), String> {
    if url.len() > URL_BYTES_MAX {
        return Err(format!("the URL must have at most {URL_BYTES_MAX} bytes"));
    }
    if url.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\' || byte == b'#') {
        return Err("the URL must be printable ASCII without spaces, backslashes and fragment (#...): \
                    write other characters percent-encoded and international host names in their xn-- form"
            .into());
    }
    Ok(())
}

fn path_and_query(text: &str) -> Result<PathAndQuery, String> {
    let parsed =
        if text.starts_with('/') { PathAndQuery::try_from(text) } else { PathAndQuery::try_from(format!("/{text}")) };
    parsed.map_err(|_| "the URL's path or query holds a character that must be percent-encoded".into())
}

fn forbidden_address(kind: &str) -> String {
    format!(
        "the URL leads to an address that is not public ({kind}): use a host with public addresses only, \
         or let the operator set callbacks.allow_private"
    )
}

/// The address guard: why an address is not on the public internet, or `None` where it is.
///
/// An IPv6 address that carries an IPv4 address to its destination is judged by that. Of IPv6, only what IANA has given out
/// as global unicast is public. Source: the IANA special-purpose address registries, and the clouds' documentation.
fn refuse_address(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => refuse_v4(ip),
        IpAddr::V6(ip) => refuse_v6(ip),
    }
}

/// What can be said before a name is resolved. Resolvers differ about the names of `localhost`, so they are not asked.
fn refuse_host(host: &Host<String>) -> Option<&'static str> {
    match host {
        Host::Ipv4(_) | Host::Ipv6(_) if planted(Plant::ResolverOnlyGuard) => None,
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            (name == "localhost" || name.ends_with(".localhost")).then_some("loopback")
        }
        Host::Ipv4(ip) => refuse_v4(*ip),
        Host::Ipv6(ip) => refuse_v6(*ip),
    }
}

fn refuse_v4(ip: Ipv4Addr) -> Option<&'static str> {
    Some(match ip.octets() {
        [0, ..] => "unspecified, or this network",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "carrier-grade NAT",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local or cloud metadata",
        // Azure's host answers here, from inside only.
        [168, 63, 129, 16] => "cloud metadata",
        [192, 0, 0, _] => "protocol assignment",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [192, 88, 99, _] => "6to4",
        [198, 18..=19, ..] => "benchmarking",
        [224..=239, ..] => "multicast",
        [255, 255, 255, 255] => "broadcast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn refuse_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let embedded = |high: u16, low: u16| refuse_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    Some(match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0, 0, 0, 0, 0, 0xffff, ..] if planted(Plant::MappedAddress) => return None,
        // IPv4-mapped, and NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return embedded(high, low);
        }
        [0xfc00..=0xfdff, ..] => "unique local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2001, 0, ..] => "Teredo",
        [0x2001, 2, 0, ..] => "benchmarking",
        [0x2001, 0..=0x1ff, ..] => "protocol assignment",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "documentation",
        [0x2002, ..] => "6to4",
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => "ISATAP",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

fn silent(error: &hyper::Error) -> OutError {
    OutError::Silent(error.to_string())
}

fn tls_connector() -> TlsConnector {
    let mut config = tls::client(tls::authorities_of_the_web()).expect("ring serves the default versions of TLS");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream as Socket};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    /// A server of blocking threads: `script` gets every connection and its number.
    struct Server {
        port: u16,
        connections: Arc<AtomicUsize>,
    }

    impl Server {
        fn start(script: impl Fn(usize, Socket) + Send + Sync + 'static) -> Server {
            Server::at("127.0.0.1:0", script)
        }

        fn at(address: &str, script: impl Fn(usize, Socket) + Send + Sync + 'static) -> Server {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let connections = Arc::new(AtomicUsize::new(0));
            let count = connections.clone();
            let script = Arc::new(script);
            thread::spawn(move || {
                for socket in listener.incoming() {
                    let nth = count.fetch_add(1, Ordering::SeqCst);
                    let script = script.clone();
                    thread::spawn(move || script(nth, socket.unwrap()));
                }
            });
            Server { port, connections }
        }

        /// Answers every request with these bytes and keeps the connection open.
        fn answering(answer: &'static [u8]) -> Server {
            Server::start(move |_, mut socket| {
                while read_request(&mut socket).is_some() {
                    if socket.write_all(answer).is_err() {
                        return;
                    }
                }
            })
        }

        fn url(&self, path: &str) -> String {
            format!("http://127.0.0.1:{}{path}", self.port)
        }

        fn connections(&self) -> usize {
            self.connections.load(Ordering::SeqCst)
        }
    }

    fn read_request(socket: &mut Socket) -> Option<String> {
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&got).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|n| n.lines().next()).unwrap_or("0");
                if body.len() >= length.parse().unwrap() {
                    return Some(text);
                }
            }
            match socket.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => got.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn request(url: impl Into<String>, reach: Reach) -> OutRequest {
        OutRequest {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            deadline: Duration::from_secs(5),
            write_before_boot_us: None,
            reply_bytes_max: 8192,
            reach,
        }
    }

    fn http_out_by(resolve: Resolve) -> HttpOut {
        http_out_on(Network { resolve, ..Network::system() })
    }

    fn resolver(answer: impl Fn(usize) -> Vec<&'static str> + Send + Sync + 'static) -> (Resolve, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let resolve: Resolve = Arc::new(move |_, port| {
            let ips = answer(count.fetch_add(1, Ordering::SeqCst));
            let addresses = ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect();
            Box::pin(async move { Ok(addresses) })
        });
        (resolve, asked)
    }

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[test]
    fn addresses_that_are_not_public_are_refused() {
        for (addresses, kind) in [
            ("0.0.0.0 0.1.2.3 0.255.255.255", "unspecified, or this network"),
            ("10.0.0.0 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255", "private"),
            ("100.64.0.0 100.100.100.200 100.127.255.255", "carrier-grade NAT"),
            ("127.0.0.1 127.1.2.3 127.255.255.255", "loopback"),
            ("169.254.0.1 169.254.169.254 169.254.170.2 169.254.255.255", "link-local or cloud metadata"),
            ("168.63.129.16", "cloud metadata"),
            ("192.0.0.1 192.0.0.170 192.0.0.192", "protocol assignment"),
            ("192.0.2.1 198.51.100.7 203.0.113.255", "documentation"),
            ("192.88.99.1", "6to4"),
            ("198.18.0.1 198.19.255.255", "benchmarking"),
            ("224.0.0.1 239.255.255.250", "multicast"),
            ("240.0.0.1 254.255.255.255 255.255.255.254", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::7f00:1", "loopback"),
            ("::ffff:169.254.169.254 64:ff9b::a9fe:a9fe", "link-local or cloud metadata"),
            ("::ffff:10.0.0.1 ::ffff:c0a8:1 64:ff9b::10.1.2.3", "private"),
            ("::ffff:0.0.0.0", "unspecified, or this network"),
            ("::127.0.0.1 ::8.8.8.8 ::2 ::ffff:0:127.0.0.1 100::1 64:ff9b:1::1 400::1 5f00::1 4000::1", "reserved"),
            ("fc00::1 fd00:ec2::254 fd20:ce::254 fdff::1", "unique local"),
            ("fe80::1 fe80::a9fe:a9fe febf::1", "link-local"),
            ("fec0::1 feff::1", "site-local"),
            ("ff02::1 ff0e::1 ffff::1", "multicast"),
            ("2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
            ("2001:2::1", "benchmarking"),
            ("2001:10::1 2001:20::1 2001:1ff::1", "protocol assignment"),
            ("2001:db8::1 2001:db8:ffff::1 3fff::1 3fff:fff::1", "documentation"),
            ("2002:7f00:1::1 2002:a9fe:a9fe:: 2002:808:808::1", "6to4"),
            ("2400:cb00::5efe:7f00:1 2400:cb00::200:5efe:10.0.0.1", "ISATAP"),
        ] {
            for ip in addresses.split(' ') {
                assert_eq!(refuse_address(ip.parse().unwrap()), Some(kind), "{ip}");
            }
        }
        for ip in "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 \
                   169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.0.3.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 \
                   203.0.112.1 203.0.114.1 223.255.255.255 168.63.129.17 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2400:cb00::1 \
                   2001:4860:4860::8888 2606:4700::1111 2001:200::1 3ffe::1"
            .split_whitespace()
        {
            assert_eq!(refuse_address(ip.parse().unwrap()), None, "{ip}");
        }
    }

    /// A URL, what its refusal as a merchant's says, and what it says where any address is allowed; "" is allowed.
    const URLS: &[(&str, &str, &str)] = &[
        ("https://merchant.example/callback?a=b", "", ""),
        ("https://merchant.example", "", ""),
        ("HTTPS://Merchant.Example:8443/x", "", ""),
        ("http://merchant.example:8080/x", "", ""),
        ("http://merchant.example:80?x", "", ""),
        ("https://8.8.8.8/x", "", ""),
        ("https://[2606:4700::1111]/x", "", ""),
        ("https://xn--bcher-kva.example/", "", ""),
        ("https://merchant.example/a@b?c=d@e", "", ""),
        ("https://merchant.example:22/", "port must be", ""),
        ("http://merchant.example:0/", "port must be", ""),
        ("http://merchant.example:6379/", "port must be", ""),
        ("https://merchant.example:99999/", "cannot be read", "cannot be read"),
        // Spellings of addresses that are not public.
        ("http://127.0.0.1/", "loopback", ""),
        ("http://2130706433/", "loopback", ""),
        ("http://0x7f000001/", "loopback", ""),
        ("http://0x7f.1/", "loopback", ""),
        ("http://0177.0.0.1/", "loopback", ""),
        ("http://017700000001/", "loopback", ""),
        ("http://127.1/", "loopback", ""),
        ("http://127.0.1/", "loopback", ""),
        ("http://127.0.0.1./", "loopback", ""),
        ("http://%31%32%37.0.0.1/", "loopback", ""),
        ("http://localhost/", "loopback", ""),
        ("http://LOCALHOST./", "loopback", ""),
        ("http://a.localhost/", "loopback", ""),
        ("http://%6cocalhost/", "loopback", ""),
        ("http://0/", "this network", ""),
        ("http://0.0.0.0/", "this network", ""),
        ("http://[::]/", "unspecified", ""),
        ("http://[::1]/", "loopback", ""),
        ("http://[0:0:0:0:0:0:0:1]:8080/", "loopback", ""),
        ("http://[::ffff:169.254.169.254]/", "metadata", ""),
        ("http://[::ffff:a9fe:a9fe]/latest/meta-data", "metadata", ""),
        ("http://[64:ff9b::a9fe:a9fe]/", "metadata", ""),
        ("http://169.254.169.254/", "metadata", ""),
        ("http://2852039166/", "metadata", ""),
        ("http://0xa9fea9fe/", "metadata", ""),
        ("http://0251.0376.0251.0376/", "metadata", ""),
        ("http://10.0.0.1/", "private", ""),
        ("http://[fd00:ec2::254]/", "unique local", ""),
        ("http://[fe80::1]/", "link-local", ""),
        ("http://[fe80::1%25eth0]/", "cannot be read", "cannot be read"),
        ("http://1.2.3.256/", "cannot be read", "cannot be read"),
        ("http://0x100000000/", "cannot be read", "cannot be read"),
        // User names.
        ("http://user:pass@merchant.example/", "user name", "user name"),
        ("http://merchant.example@127.0.0.1/", "user name", "user name"),
        ("http://@merchant.example/", "user name", "user name"),
        ("http://:@merchant.example/", "user name", "user name"),
        ("http://127.0.0.1:80@merchant.example?x", "user name", "user name"),
        // Where parsers disagree.
        ("http://merchant.example\\@127.0.0.1/", "printable", "printable"),
        ("http:\\\\127.0.0.1/", "printable", "printable"),
        ("http://merchant.example#@127.0.0.1/", "printable", "printable"),
        ("https://merchant.example/#top", "printable", "printable"),
        ("http://127.0.0.1 .merchant.example/", "printable", "printable"),
        ("http://loc\talhost/", "printable", "printable"),
        ("http://merchant.example/\r\nX: y", "printable", "printable"),
        (" http://merchant.example/", "printable", "printable"),
        ("http://①②⑦.⓪.⓪.①/", "printable", "printable"),
        ("http://localhost。/", "printable", "printable"),
        ("http://merchant.example/\0", "printable", "printable"),
        ("http:merchant.example/", "must begin", "must begin"),
        ("http:/merchant.example/", "must begin", "must begin"),
        ("http:///merchant.example/", "must begin", "must begin"),
        ("//merchant.example/", "must begin", "must begin"),
        ("merchant.example", "must begin", "must begin"),
        ("", "must begin", "must begin"),
        // Other schemes.
        ("file:///etc/passwd", "must begin", "must begin"),
        ("ftp://merchant.example/", "must begin", "must begin"),
        ("gopher://127.0.0.1:6379/_x", "must begin", "must begin"),
        ("dict://127.0.0.1:11211/", "must begin", "must begin"),
        ("javascript:alert(1)", "must begin", "must begin"),
        ("data:text/plain,x", "must begin", "must begin"),
        ("unix:///run/x.sock", "must begin", "must begin"),
        ("https://", "cannot be read", "cannot be read"),
        ("https://?x", "cannot be read", "cannot be read"),
        ("https://exa mple", "printable", "printable"),
        ("https://[::1", "cannot be read", "cannot be read"),
    ];

    #[test]
    fn urls_are_checked_when_they_are_configured() {
        for &(url, public, unguarded) in URLS {
            for (reach, want) in [(Reach::Public, public), (Reach::Unguarded, unguarded), (Reach::Operator, unguarded)]
            {
                match check_url(url, reach) {
                    Ok(()) => assert_eq!(want, "", "{url} {reach:?}"),
                    Err(why) => assert!(!want.is_empty() && why.contains(want), "{url} {reach:?}: {why}"),
                }
            }
        }
        assert!(check_url(&format!("https://m.example/{}", "a".repeat(9000)), Reach::Public).is_err());
    }

    #[tokio::test]
    async fn the_operators_connections_are_reused() {
        let (seen_in, seen) = std::sync::mpsc::channel();
        let server = Server::start(move |_, mut socket| {
            while let Some(text) = read_request(&mut socket) {
                seen_in.send(text).unwrap();
                socket.write_all(OK).unwrap();
            }
        });
        let out = http_out();
        for n in 0..20 {
            let reply = out(OutRequest {
                method: Method::Post,
                headers: vec![("content-type", "application/json".into()), ("x-n", n.to_string())],
                body: Bytes::from_static(b"{\"a\":1}"),
                ..request(server.url("/v1/send?q=1"), Reach::Operator)
            })
            .await
            .unwrap();
            assert_eq!((reply.status, &reply.body[..], reply.truncated), (200, &b"ok"[..], false));
            let text = seen.recv().unwrap();
            assert!(text.starts_with("POST /v1/send?q=1 HTTP/1.1\r\n"), "{text}");
            assert!(text.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)), "{text}");
            assert!(
                text.contains("content-type: application/json\r\n") && text.contains(&format!("x-n: {n}\r\n")),
                "{text}"
            );
            assert!(text.ends_with("\r\n\r\n{\"a\":1}"), "{text}");
        }
        assert_eq!(server.connections(), 1);
        // A bare origin, and a query without a path.
        for (path, line) in [("", "GET / HTTP/1.1"), ("?x=1", "GET /?x=1 HTTP/1.1")] {
            out(request(server.url(path), Reach::Operator)).await.unwrap();
            assert_eq!(seen.recv().unwrap().lines().next(), Some(line));
        }
        assert_eq!(server.connections(), 1);
        let (a, b) = tokio::join!(
            out(request(server.url("/a"), Reach::Operator)),
            out(request(server.url("/b"), Reach::Operator))
        );
        a.and(b).unwrap();
        assert_eq!(server.connections(), 2);
    }

    #[tokio::test]
    async fn many_at_once_share_a_few_connections() {
        let server = Server::answering(OK);
        let out = http_out();
        for _ in 0..20 {
            let tasks: Vec<_> = (0..10).map(|_| tokio::spawn(out(request(server.url("/"), Reach::Operator)))).collect();
            for task in tasks {
                assert_eq!(task.await.unwrap().unwrap().status, 200);
            }
        }
        assert!(server.connections() <= 10, "{}", server.connections());
    }

    #[tokio::test]
    async fn a_merchants_connection_serves_one_request() {
        let server = Server::answering(OK);
        let out = http_out();
        for _ in 0..3 {
            out(request(server.url("/"), Reach::Unguarded)).await.unwrap();
        }
        assert_eq!(server.connections(), 3);
    }

    #[tokio::test]
    async fn replies_in_every_framing() {
        let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n{}", "x".repeat(8192)).leak().as_bytes();
        let over = format!("HTTP/1.1 200 OK\r\nContent-Length: 8193\r\n\r\n{}", "x".repeat(8193)).leak().as_bytes();
        for (answer, status, length, truncated, reused) in [
            (OK, 200, 2, false, true),
            (
                &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nabc\r\n0\r\n\r\n"[..],
                200,
                5,
                false,
                true,
            ),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, 0, false, true),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503, 0, false, true),
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, 2, false, false),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 2, false, false),
            (
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
                200,
                3,
                false,
                true,
            ),
            (large, 200, 8192, false, true),
            (over, 200, 8192, true, false),
            // A redirect is a reply and is not followed.
            (
                b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
                302,
                0,
                false,
                true,
            ),
            (b"HTTP/1.1 307 Again\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 307, 0, false, true),
        ] {
            let server = Server::answering(answer);
            let out = http_out();
            for _ in 0..2 {
                let reply = out(request(server.url("/"), Reach::Operator)).await.unwrap();
                assert_eq!((reply.status, reply.body.len(), reply.truncated), (status, length, truncated));
            }
            assert_eq!(server.connections(), if reused { 1 } else { 2 }, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[tokio::test]
    async fn one_deadline_bounds_a_dripping_server() {
        for head in ["HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", ""] {
            let cut = Arc::new(AtomicBool::new(false));
            let was_cut = cut.clone();
            let server = Server::start(move |_, mut socket| {
                read_request(&mut socket).unwrap();
                socket.write_all(head.as_bytes()).unwrap();
                while !head.is_empty() {
                    if socket.write_all(b"x").is_err() {
                        was_cut.store(true, Ordering::SeqCst);
                        return;
                    }
                    thread::sleep(Duration::from_millis(10));
                }
                thread::sleep(Duration::from_secs(5));
            });
            for reach in [Reach::Operator, Reach::Unguarded] {
                let start = Instant::now();
                let deadline = Duration::from_millis(200);
                let error = http_out()(OutRequest { deadline, ..request(server.url("/"), reach) }).await.unwrap_err();
                assert_eq!(error, OutError::Silent("timed out".into()));
                assert!((180..1500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
            }
            thread::sleep(Duration::from_millis(100));
            assert_eq!(cut.load(Ordering::SeqCst), !head.is_empty(), "the connection is gone with the request");
        }
    }

    #[tokio::test]
    async fn an_endless_body_is_cut() {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let server = Server::start(move |_, mut socket| {
            read_request(&mut socket).unwrap();
            let mut piece = &b"HTTP/1.1 200 OK\r\n\r\n"[..];
            while socket.write_all(piece).is_ok() {
                piece = &[b'x'; 1000];
                count.fetch_add(1000, Ordering::SeqCst);
            }
        });
        let out = http_out();
        for reach in [Reach::Operator, Reach::Unguarded, Reach::Operator] {
            let reply = out(request(server.url("/"), reach)).await.unwrap();
            assert_eq!((reply.status, reply.body.len(), reply.truncated), (200, 8192, true));
        }
        thread::sleep(Duration::from_millis(100));
        let total = sent.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(sent.load(Ordering::SeqCst), total, "nobody reads on");
        assert_eq!(server.connections(), 3);
    }

    #[tokio::test]
    async fn what_was_written_and_not_answered_is_silent() {
        for answer in [
            &b""[..],
            b"garbage\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(100_000)).leak().as_bytes(),
        ] {
            let server = Server::start(move |_, mut socket| {
                read_request(&mut socket).unwrap();
                drop(socket.write_all(answer));
            });
            for reach in [Reach::Operator, Reach::Unguarded] {
                let error = http_out()(request(server.url("/?token=canary"), reach)).await.unwrap_err();
                assert!(matches!(error, OutError::Silent(_)), "{error:?}");
                assert!(!error.to_string().contains("canary"));
            }
            assert_eq!(server.connections(), 2);
        }
    }

    #[tokio::test]
    async fn what_never_left_is_not_written() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let plain = Server::start(|_, mut socket| drop(socket.write_all(b"220 mail\r\n")));
        for url in [
            format!("http://127.0.0.1:{closed}/?canary"),
            format!("https://127.0.0.1:{closed}/?canary"),
            format!("https://127.0.0.1:{}/?canary", plain.port),
            "http://canary-free.invalid/?canary".to_owned(),
        ] {
            for reach in [Reach::Operator, Reach::Unguarded] {
                let error = http_out()(request(url.clone(), reach)).await.unwrap_err();
                assert!(matches!(error, OutError::NotWritten(_)), "{url} {error:?}");
                assert!(!error.to_string().contains("?canary"), "{error}");
            }
        }
        let server = Server::answering(OK);
        for header in [("x-a", "a\r\nb: c"), ("x a", "b"), ("", "b")] {
            let headers = vec![(header.0, header.1.to_owned())];
            let error = http_out()(OutRequest { headers, ..request(server.url("/"), Reach::Operator) }).await;
            assert!(matches!(error, Err(OutError::NotWritten(_))), "{error:?}");
        }
        let (resolve, _) = resolver(|_| vec![]);
        let error = http_out_by(resolve)(request("http://m.example/", Reach::Public)).await.unwrap_err();
        assert!(matches!(error, OutError::NotWritten(_)), "{error:?}");
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn a_resolver_that_hangs_ends_at_the_deadline() {
        let resolve: Resolve = Arc::new(|_, _| Box::pin(std::future::pending()));
        let out = http_out_by(resolve);
        let deadline = Duration::from_millis(50);
        for reach in [Reach::Public, Reach::Operator] {
            let error = out(OutRequest { deadline, ..request("https://m.example/", reach) }).await.unwrap_err();
            assert!(matches!(error, OutError::NotWritten(_)), "{error:?}");
        }
    }

    /// A server that counts the connections on which any byte came.
    fn counting() -> (Server, Arc<AtomicUsize>) {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        let server = Server::start(move |_, mut socket| {
            let mut buffer = [0; 4096];
            while socket.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {
                count.fetch_add(1, Ordering::SeqCst);
                drop(socket.write_all(OK));
            }
        });
        (server, requests)
    }

    fn time_over() -> Result<OutReply, OutError> {
        Err(OutError::NotWritten("the time to send was over".into()))
    }

    #[tokio::test]
    async fn nothing_is_written_after_its_time() {
        let (server, requests) = counting();
        let out = http_out();
        let late = |reach| OutRequest {
            write_before_boot_us: Some(Clock::system().boot_us()),
            ..request(server.url("/"), reach)
        };
        let in_time = || OutRequest {
            write_before_boot_us: Some(Clock::system().boot_us() + 60_000_000),
            ..request(server.url("/"), Reach::Operator)
        };
        // On new connections.
        for reach in [Reach::Operator, Reach::Unguarded] {
            assert_eq!(out(late(reach)).await, time_over());
        }
        // And on pooled ones; by the deadline's clock, too.
        assert_eq!(out(in_time()).await.unwrap().status, 200);
        assert_eq!(out(late(Reach::Operator)).await, time_over());
        assert_eq!(out(in_time()).await.unwrap().status, 200);
        assert_eq!(out(OutRequest { deadline: Duration::ZERO, ..in_time() }).await, time_over());
        thread::sleep(Duration::from_millis(100));
        assert_eq!((server.connections(), requests.load(Ordering::SeqCst)), (4, 2));
    }

    #[tokio::test]
    async fn a_process_stopped_while_connecting_writes_nothing() {
        let (server, requests) = counting();
        for reach in [Reach::Operator, Reach::Unguarded] {
            let deadline = Duration::from_millis(100);
            // Once the connect is under way, the only thread stands still until well after the deadline.
            let (reply, ()) =
                tokio::join!(http_out()(OutRequest { deadline, ..request(server.url("/"), reach) }), async {
                    thread::sleep(deadline * 3);
                });
            assert_eq!(reply, time_over());
        }
        thread::sleep(Duration::from_millis(100));
        assert_eq!((server.connections(), requests.load(Ordering::SeqCst)), (2, 0));
    }

    #[tokio::test]
    async fn a_dead_idle_connection_is_replaced_and_a_dying_one_is_not_retried() {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        let server = Server::start(move |nth, mut socket| {
            read_request(&mut socket).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            socket.write_all(OK).unwrap();
            // The first is closed while idle, the second when it has taken a request.
            if nth > 0 && read_request(&mut socket).is_some() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let out = http_out();
        for _ in 0..2 {
            assert_eq!(out(request(server.url("/"), Reach::Operator)).await.unwrap().status, 200);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(server.connections(), 2);
        let error = out(request(server.url("/"), Reach::Operator)).await.unwrap_err();
        assert!(matches!(error, OutError::Silent(_)), "{error:?}");
        assert_eq!((server.connections(), requests.load(Ordering::SeqCst)), (2, 3));
    }

    #[tokio::test]
    async fn a_connection_idle_for_long_is_not_used() {
        let server = Server::answering(OK);
        let out = http_out();
        for _ in 0..2 {
            out(request(server.url("/"), Reach::Operator)).await.unwrap();
            tokio::time::pause();
            tokio::time::advance(IDLE_TIME_MAX * 2).await;
            tokio::time::resume();
        }
        assert_eq!(server.connections(), 2);
    }

    #[tokio::test]
    async fn no_public_url_reaches_a_private_address() {
        // An address of this process's own, so that runs side by side do not meet.
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, 77, high, low | 1);
        let (bits, [a, b, c, d]) = (ip.to_bits(), ip.octets());
        let loopback = Server::at(&format!("{ip}:8080"), |_, _| {});
        let ip = &*ip.to_string().leak();
        let out = http_out();
        for host in [
            ip.to_owned(),
            format!("{ip}."),
            format!("{bits}"),
            format!("0x{bits:x}"),
            format!("0{bits:o}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("0x{a:x}.{}", bits & 0xff_ffff),
            format!("[::ffff:{ip}]"),
            format!("[::ffff:{:x}:{:x}]", bits >> 16, bits & 0xffff),
            format!("[64:ff9b::{ip}]"),
            format!("[2002:{:x}:{:x}::1]", bits >> 16, bits & 0xffff),
            "localhost".to_owned(),
            "LOCALHOST.".to_owned(),
        ] {
            for scheme in ["http", "https"] {
                let error = out(request(format!("{scheme}://{host}:8080/"), Reach::Public)).await.unwrap_err();
                assert!(matches!(error, OutError::Forbidden(_)), "{host}: {error:?}");
            }
        }
        // One private answer among public ones is enough.
        for answer in
            [vec![ip], vec!["8.8.8.8", ip], vec!["2606:4700::1111", "8.8.8.8", &*format!("::ffff:{ip}").leak()]]
        {
            let (resolve, asked) = resolver(move |_| answer.clone());
            let error = http_out_by(resolve)(request("http://m.example:8080/", Reach::Public)).await.unwrap_err();
            assert!(matches!(error, OutError::Forbidden(_)), "{error:?}");
            assert_eq!(asked.load(Ordering::SeqCst), 1);
        }
        for url in ["http://u@8.8.8.8/", "ftp://8.8.8.8/", "http://8.8.8.8:22/", "http://8.8.8.8/#x"] {
            let error = out(request(url, Reach::Public)).await.unwrap_err();
            assert!(matches!(error, OutError::Forbidden(_)), "{url}: {error:?}");
        }
        thread::sleep(Duration::from_millis(50));
        assert_eq!(loopback.connections(), 0);
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_gains_nothing() {
        // A whole request asks once, connects to the answer, and keeps the name in its Host.
        let (seen_in, seen) = std::sync::mpsc::channel();
        let server = Server::start(move |_, mut socket| {
            seen_in.send(read_request(&mut socket).unwrap()).unwrap();
            socket.write_all(OK).unwrap();
        });
        let (resolve, asked) = resolver(|nth| if nth == 0 { vec!["127.0.0.1"] } else { vec!["0.0.0.1"] });
        let url = format!("http://m.example:{}/a?b", server.port);
        assert_eq!(http_out_by(resolve)(request(url, Reach::Unguarded)).await.unwrap().status, 200);
        let text = seen.recv().unwrap();
        assert!(text.contains(&format!("host: m.example:{}\r\n", server.port)), "{text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let secret = OutRequest {
            headers: vec![("authorization", "canary".into())],
            body: Bytes::from_static(b"canary"),
            ..request("https://m.example/?canary", Reach::Public)
        };
        let reply = OutReply { status: 200, body: Bytes::from_static(b"canary"), truncated: false };
        assert!(!format!("{secret:?} {reply:?}").contains("canary"));
    }
}
