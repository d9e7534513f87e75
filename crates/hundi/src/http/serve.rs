//! The accept loop: sockets in, requests to one handler, and an orderly end.
//!
//! | limit | beyond it |
//! |---|---|
//! | connections | new ones wait in the kernel's queue |
//! | time for a request's headers, which is also how long a kept-alive connection may idle | the connection is closed |
//! | the same time without the caller taking a byte of what waits for it | the connection is closed |
//! | bytes and number of headers | 431, and the connection is closed |
//! | body bytes and time, by [`read_body`] | the handler's answer |
//!
//! A handler that panics costs its own connection and nothing else. The answer's body is in memory, so that no reader,
//! however slow, holds anything else of us; and one that reads nothing does not hold its connection for long.

use crate::told_to_stop;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};

/// What one listener grants its callers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the first moment a request is waited for to the last byte of its headers. Also how long an answer may wait
    /// without the caller taking a byte of it.
    pub header_time: Duration,
    /// Of the request line and the headers.
    pub header_bytes: usize,
    /// How many headers a request may have.
    pub headers_max: usize,
    /// How many connections are open at a time.
    pub connections_max: usize,
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than allowed, or says that it will be.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke, or the framing is malformed.
    Broken,
}

/// Serves until `stop` is true or its sender is gone. Then nothing new is accepted, requests under way get five seconds,
/// and it returns.
pub async fn serve<H, F>(listener: TcpListener, limits: Limits, mut stop: watch::Receiver<bool>, handler: H)
where
    H: Fn(IpAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let connections_max = u32::try_from(limits.connections_max.clamp(1, CONNECTIONS_LIMIT)).unwrap_or(1);
    let connections = Arc::new(Semaphore::new(connections_max as usize));
    let http = protocol(limits);
    loop {
        let accepted = tokio::select! {
            biased;
            () = told_to_stop(&mut stop) => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let (http, stop, handler) = (http.clone(), stop.clone(), handler.clone());
                let stream = Hurried { stream, write_time: limits.header_time, stuck: None };
                tokio::spawn(async move {
                    connection(http, stream, peer, stop, handler).await;
                    drop(permit);
                });
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory. The connection still waits, so asking at once would only spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::select! {
                    biased;
                    () = told_to_stop(&mut stop) => break,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    // Every connection holds one permit.
    if timeout(DRAIN_TIME, connections.acquire_many(connections_max)).await.is_err() {
        tracing::warn!("requests were still under way when the time to end them was over");
    }
}

/// Reads a body to its end. A body that announces too much is refused before any of it is read.
pub async fn read_body<B>(body: B, bytes_max: usize, time: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    timeout(time, read_all(body, bytes_max)).await.unwrap_or(Err(BodyError::TooSlow))
}

const CONNECTIONS_LIMIT: usize = 1 << 20;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// hyper refuses a smaller one; and it bounds what answers to pipelined requests pile up.
const BUFFER_BYTES_MIN: usize = 64 * 1024;
/// With this number hyper keeps a request's headers on the stack.
const HEADERS_ON_STACK: usize = 100;

fn protocol(limits: Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(BUFFER_BYTES_MIN));
    if limits.headers_max != HEADERS_ON_STACK {
        http.max_headers(limits.headers_max);
    }
    http
}

/// First the permit, then the socket: what we cannot serve yet stays in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer.ip(), permit))
}

/// Whether accepting failed for the one connection alone: it was gone before we came to it.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Interrupted
    )
}

async fn connection<H, F>(
    http: http1::Builder,
    stream: Hurried,
    peer: IpAddr,
    mut stop: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(IpAddr, Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request| {
        let answer = handler(peer, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = told_to_stop(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN_TIME, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // The caller's doing: a reset, a header too slow or too large. hyper's words hold nothing of the request.
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// A stream that fails when no byte of a write went through for `write_time`. hyper has no such limit.
struct Hurried {
    stream: TcpStream,
    write_time: Duration,
    /// Since a write had to wait.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Hurried {
    fn judge(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let time = self.write_time;
        ready!(self.stuck.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Hurried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Hurried {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Of TCP, this never waits; nor does the shutdown.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn read_all<B>(body: B, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        if data.len() > bytes_max - first.len().max(all.len()) {
            return Err(BodyError::TooLarge);
        }
        // Most bodies are one piece, which is taken as it came.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream as Socket;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::task::{JoinHandle, spawn_blocking};
    use tokio::time::Instant;

    const LIMITS: Limits = Limits {
        header_time: Duration::from_millis(300),
        header_bytes: 8 * 1024,
        headers_max: 32,
        connections_max: 100,
    };

    const LARGE: usize = 32 << 20;

    struct Server {
        port: u16,
        stop: watch::Sender<bool>,
        task: JoinHandle<()>,
        cancelled: Arc<AtomicUsize>,
    }

    struct Count(Arc<AtomicUsize>);

    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn server(limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = watch::channel(false);
        let cancelled = Arc::new(AtomicUsize::new(0));
        let count = cancelled.clone();
        let task = tokio::spawn(serve(listener, limits, stopped, move |peer: IpAddr, request: Request<Incoming>| {
            let count = count.clone();
            async move {
                let text = match request.uri().path() {
                    "/slow" => {
                        sleep(Duration::from_millis(400)).await;
                        "slow".to_owned()
                    }
                    "/never" => {
                        let _count = Count(count);
                        std::future::pending().await
                    }
                    // More than the kernel keeps for the two sockets.
                    "/large" => "x".repeat(LARGE),
                    "/panic" => panic!("on purpose"),
                    "/body" => match read_body(request.into_body(), 1000, Duration::from_millis(300)).await {
                        Ok(body) => format!("{} bytes", body.len()),
                        Err(error) => format!("{error:?}"),
                    },
                    _ => format!("hello {peer}"),
                };
                Response::new(Full::new(Bytes::from(text)))
            }
        }));
        Server { port, stop, task, cancelled }
    }

    fn socket(port: u16) -> Socket {
        let socket = Socket::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    /// Sends a text and reads until `until` has come, or the end. A reset is an end, too.
    fn talk(socket: &mut Socket, text: &str, until: &str) -> String {
        if socket.write_all(text.as_bytes()).is_err() {
            return String::new();
        }
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count) = socket.read(&mut buffer) {
            got.extend_from_slice(&buffer[..count]);
            if count == 0 || (!until.is_empty() && String::from_utf8_lossy(&got).contains(until)) {
                break;
            }
        }
        String::from_utf8(got).unwrap()
    }

    async fn once(port: u16, text: String, until: &'static str) -> String {
        spawn_blocking(move || talk(&mut socket(port), &text, until)).await.unwrap()
    }

    #[tokio::test]
    async fn answers_and_keeps_alive() {
        let server = server(LIMITS).await;
        spawn_blocking(move || {
            let mut socket = socket(server.port);
            for _ in 0..3 {
                let got = talk(&mut socket, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "hello");
                assert!(got.contains("200 OK") && got.ends_with("hello 127.0.0.1"), "{got}");
                assert!(got.contains("date: "), "{got}");
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_header_dribble_is_cut() {
        let server = server(LIMITS).await;
        let start = Instant::now();
        spawn_blocking(move || {
            let mut socket = socket(server.port);
            socket.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
            for _ in 0..100 {
                std::thread::sleep(Duration::from_millis(20));
                if socket.write_all(b"x").is_err() {
                    return;
                }
            }
            panic!("still open");
        })
        .await
        .unwrap();
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn silence_is_cut() {
        let server = server(LIMITS).await;
        assert!(!once(server.port, String::new(), "").await.contains("200"));
    }

    #[tokio::test]
    async fn headers_are_limited() {
        let server = server(LIMITS).await;
        let many = (0..40).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
        let large = format!("X: {}\r\n", "y".repeat(9000));
        let fine = (0..20).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
        for (headers, want) in [(many, "431"), (large, "431"), (fine, "200")] {
            let got = once(server.port, format!("GET / HTTP/1.1\r\n{headers}\r\n"), "\r\n\r\n").await;
            assert_eq!(got.get(9..12), Some(want), "{got}");
        }
    }

    #[tokio::test]
    async fn a_stop_finishes_what_is_under_way() {
        let server = server(LIMITS).await;
        let slow = tokio::spawn(once(server.port, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n".into(), ""));
        let idle = tokio::spawn(once(server.port, String::new(), ""));
        sleep(Duration::from_millis(100)).await;
        server.stop.send(true).unwrap();
        let start = Instant::now();
        server.task.await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(2));
        assert!(slow.await.unwrap().ends_with("slow"));
        assert_eq!(idle.await.unwrap(), "");
        assert!(Socket::connect(("127.0.0.1", server.port)).is_err());
    }

    #[tokio::test]
    async fn a_stop_waits_five_seconds_at_most() {
        let server = server(LIMITS).await;
        let never = tokio::spawn(once(server.port, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n".into(), ""));
        sleep(Duration::from_millis(100)).await;
        server.stop.send(true).unwrap();
        let start = Instant::now();
        server.task.await.unwrap();
        let took = start.elapsed();
        assert!(took > Duration::from_secs(4) && took < Duration::from_secs(7), "{took:?}");
        assert_eq!(never.await.unwrap(), "");
        assert_eq!(server.cancelled.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_lost_stop_stops() {
        let server = server(LIMITS).await;
        drop(server.stop);
        timeout(Duration::from_secs(2), server.task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_panic_costs_one_connection() {
        let server = server(Limits { connections_max: 1, ..LIMITS }).await;
        for _ in 0..3 {
            assert_eq!(once(server.port, "GET /panic HTTP/1.1\r\nHost: h\r\n\r\n".into(), "").await, "");
        }
        let got = once(server.port, "GET / HTTP/1.1\r\nHost: h\r\n\r\n".into(), "hello").await;
        assert!(got.contains("200 OK"), "{got}");
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait() {
        let server = server(Limits { connections_max: 2, header_time: Duration::from_secs(20), ..LIMITS }).await;
        let port = server.port;
        spawn_blocking(move || {
            let mut held: Vec<Socket> = (0..2).map(|_| socket(port)).collect();
            for socket in &mut held {
                talk(socket, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "hello");
            }
            let mut third = socket(port);
            third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            assert_eq!(talk(&mut third, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "hello"), "");
            held.pop();
            assert!(talk(&mut third, "", "hello").contains("200 OK"));
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn who_never_reads_is_dropped() {
        let server = server(Limits { connections_max: 1, ..LIMITS }).await;
        let port = server.port;
        spawn_blocking(move || {
            for requests in ["GET /large HTTP/1.1\r\n\r\n".to_owned(), "GET / HTTP/1.1\r\n\r\n".repeat(400_000)] {
                let start = Instant::now();
                let mut deaf = socket(port);
                deaf.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
                // Of the many small ones, more than fit: then nobody reads here nor there.
                drop(deaf.write_all(requests.as_bytes()));
                // The only place is free again, though the caller still holds its end.
                let got = talk(&mut socket(port), "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "hello");
                assert!(got.contains("200 OK"), "{got}");
                let took = start.elapsed();
                assert!(took > LIMITS.header_time && took < Duration::from_secs(5), "{took:?}");
                drop(deaf);
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn who_reads_slowly_gets_everything() {
        let server = server(LIMITS).await;
        spawn_blocking(move || {
            let mut socket = socket(server.port);
            socket.write_all(b"GET /large HTTP/1.1\r\n\r\n").unwrap();
            let start = Instant::now();
            let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
            while total < LARGE {
                std::thread::sleep(Duration::from_millis(20));
                let count = socket.read(&mut buffer).unwrap();
                assert!(count > 0, "closed after {total} bytes");
                total += count;
            }
            assert!(start.elapsed() > LIMITS.header_time);
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn bodies_are_limited() {
        let server = server(LIMITS).await;
        let x = "x".repeat(600);
        let chunk = format!("258\r\n{x}\r\n");
        for (framing, want) in [
            ("\r\n".to_owned(), "0 bytes"),
            (format!("Content-Length: 600\r\n\r\n{x}"), "600 bytes"),
            (format!("Content-Length: 1000\r\n\r\n{x}{}", &x[..400]), "1000 bytes"),
            ("Content-Length: 0\r\n\r\n".to_owned(), "0 bytes"),
            (format!("Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"), "600 bytes"),
            (format!("Transfer-Encoding: chunked\r\n\r\n{chunk}190\r\n{}\r\n0\r\n\r\n", &x[..400]), "1000 bytes"),
            // Announced, none of it sent; and chunked, with no end in sight.
            ("Content-Length: 1001\r\n\r\n".to_owned(), "TooLarge"),
            ("Content-Length: 18446744073709551000\r\n\r\n".to_owned(), "TooLarge"),
            (format!("Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}"), "TooLarge"),
            (format!("Transfer-Encoding: chunked\r\n\r\n{chunk}FFFFFFFF\r\n{x}"), "TooLarge"),
            (format!("Content-Length: 601\r\n\r\n{x}"), "TooSlow"),
            (format!("Transfer-Encoding: chunked\r\n\r\n{chunk}"), "TooSlow"),
            (format!("Transfer-Encoding: chunked\r\n\r\n{chunk}zz\r\n"), "Broken"),
        ] {
            let got = once(server.port, format!("POST /body HTTP/1.1\r\nHost: h\r\n{framing}"), "\r\n\r\n").await;
            assert!(got.ends_with(want), "want {want}: {got}");
        }
    }
}
