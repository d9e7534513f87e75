//! HTTP leaves Hundi only here, through one function value, [`HttpOut`].
//!
//! | reach | address | port | connection |
//! |---|---|---|---|
//! | [`Reach::Operator`] | any | any | kept alive, pooled by origin |
//! | [`Reach::Public`] | only public ones: every answer of the resolver is checked, and the checked address is connected to | 80, 443, 8080, 8443 | one request |
//! | [`Reach::Unguarded`] | any | any | one request |
//!
//! [`OutError`] tells what the caller must know about money: whether a byte of the request may have left this machine.
//! Nothing is ever sent a second time, no redirect is followed, no proxy setting is read, no reply is decompressed, and no
//! error holds a path, a query or a header: they carry secrets.
//!
//! A connection has no task of its own: who sends a request drives its connection meanwhile. When the deadline drops the
//! request, its connection is gone with it; and an idle one is looked at before it is used again.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

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
}

impl fmt::Display for OutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutError::NotWritten(why) => write!(f, "not sent: {why}"),
            OutError::Silent(why) => write!(f, "no reply: {why}"),
            OutError::Forbidden(why) => write!(f, "not allowed: {why}"),
        }
    }
}

impl std::error::Error for OutError {}

/// The way out of a real process: the system's resolver, TCP, and TLS against the public web's roots.
#[must_use]
pub fn http_out() -> HttpOut {
    http_out_by(Arc::new(|host, port| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })
    }))
}

/// Checks a URL when it is configured. The message says what to write instead.
///
/// A name is resolved and judged at every request, not here: what it means may change.
pub fn check_url(url: &str, reach: Reach) -> Result<(), String> {
    let (origin, _) = read_url(url, reach)?;
    if reach == Reach::Public {
        let refused = match &origin.host {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                (name == "localhost" || name.ends_with(".localhost")).then_some("loopback")
            }
            Host::Ipv4(ip) => refuse_address((*ip).into()),
            Host::Ipv6(ip) => refuse_address((*ip).into()),
        };
        if let Some(kind) = refused {
            return Err(forbidden_address(kind));
        }
    }
    Ok(())
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

type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
type Resolve = Arc<dyn Fn(String, u16) -> Lookup + Send + Sync>;

fn http_out_by(resolve: Resolve) -> HttpOut {
    let out = Arc::new(Out {
        resolve,
        lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        tls: tls_connector(),
        origins: Mutex::new(Vec::new()),
    });
    Arc::new(move |request| {
        let out = out.clone();
        Box::pin(async move { out.send(request).await })
    })
}

struct Out {
    resolve: Resolve,
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
        let message = message(&origin, path, request).map_err(OutError::NotWritten)?;

        let mut link = match origin.idle_link().await {
            Some(link) => link,
            None => timeout_at(deadline, self.connect(&origin, reach, deadline))
                .await
                .map_err(|_| OutError::NotWritten("timed out before a connection was established".into()))??,
        };
        let reply = timeout_at(deadline, link.exchange(message, reply_bytes_max))
            .await
            .map_err(|_| OutError::Silent("timed out".into()))??;
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
        let tcp = dial(&addresses, deadline).await.map_err(not_written)?;
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
            && let Some(kind) = addresses.iter().find_map(|address| refuse_address(address.ip()))
        {
            return Err(OutError::Forbidden(forbidden_address(kind)));
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: String, port: u16, reach: Reach) -> io::Result<Vec<SocketAddr>> {
        let look_up = (self.resolve)(name, port);
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

    async fn exchange(&mut self, message: Request<Full<Bytes>>, bytes_max: usize) -> Result<OutReply, OutError> {
        let reply = self.sender.send_request(message);
        let reply = self.drive_while(reply).await.map_err(|error| match error.is_canceled() {
            // The connection ended before it took the request up; hyper says so in this one way.
            true => OutError::NotWritten("the connection was closed by the other side".into()),
            false => silent(&error),
        })?;
        let status = reply.status().as_u16();
        let (body, truncated) = self.read(reply.into_body(), bytes_max).await?;
        Ok(OutReply { status, body, truncated })
    }

    async fn read(&mut self, mut body: Incoming, bytes_max: usize) -> Result<(Bytes, bool), OutError> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while !body.is_end_stream() {
            let Some(frame) = self.drive_while(body.frame()).await else { break };
            let Ok(mut data) = frame.map_err(|error| silent(&error))?.into_data() else { continue };
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
        let value = HeaderValue::try_from(value).map_err(|_| format!("the header {name} has a value that HTTP cannot carry"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a header name"))?;
        headers.append(name, value);
    }
    Ok(message)
}

/// Tries the addresses one after the other; each gets an equal share of the time that is left.
async fn dial(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut shares = u32::try_from(addresses.len().min(ADDRESSES_TRIED_MAX)).unwrap_or(1);
    for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
        let share = deadline.saturating_duration_since(Instant::now()) / shares;
        match timeout(share, TcpStream::connect(address)).await {
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
    let url = Url::parse(text).map_err(|error| format!("the URL cannot be read: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() || url.authority().contains('@') {
        return Err("the URL must not hold a user name or password: authenticate callbacks by their signature".into());
    }
    let host = url.host().ok_or("the URL must name a host")?.to_owned();
    let port = url.port_or_known_default().ok_or("the URL must name a port")?;
    if reach == Reach::Public && !PUBLIC_PORTS.contains(&port) {
        return Err(format!("the URL's port must be 443, 8443, 80 or 8080, not {port} (callbacks.allow_private lifts this)"));
    }
    let host_header = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
        .map_err(|_| "the URL's host cannot be sent as a header")?;
    let origin =
        Origin { spelling: String::new(), tls: url.scheme() == "https", host, port, host_header, idle: Mutex::default() };
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
    let parsed = if text.starts_with('/') {
        PathAndQuery::try_from(text)
    } else {
        PathAndQuery::try_from(format!("/{text}"))
    };
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
        // IPv4-mapped, and NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return embedded(high, low),
        [0xfc00..=0xfdff, ..] => "unique local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2001, 0, ..] => "Teredo",
        [0x2001, 2, 0, ..] => "benchmarking",
        [0x2001, ..=0x1ff, ..] => "protocol assignment",
        [0x2001, 0xdb8, ..] | [0x3fff, ..=0xfff, ..] => "documentation",
        [0x2002, ..] => "6to4",
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => "ISATAP",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

fn silent(error: &hyper::Error) -> OutError {
    OutError::Silent(error.to_string())
}

/// A panic elsewhere leaves a list of connections in order, so a poisoned lock is as good as another.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tls_connector() -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring serves the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
