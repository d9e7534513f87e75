//! Callback URLs that lead inside: at registration, and at every attempt, by the whole of Hundi. Names mean what this test
//! says, "the internet" is one address that is a server here, and whatever else is dialled is written down; real servers on
//! loopback addresses count who comes.

use super::support::{World, operator};
use crate::score::score;
use bytes::Bytes;
use hundi::admin::{self, MerchantChanges};
use hundi::callbacks::{self, Setting};
use hundi::http_out::{HttpOut, Method, Network, OutError, OutRequest, Reach, http_out_on};
use hundi::store::rows;
use hundi_core::ids::{MerchantId, OrderId};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where "the internet" is: a public address that is only spoken to here.
const PUBLIC: &str = "8.8.8.8";

/// A server that counts its connections and answers every one of them so.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn at(address: SocketAddr, answer: String) -> Server {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let (mut socket, mut head) = (socket.unwrap(), [0; 4096]);
                if socket.read(&mut head).is_ok() {
                    drop(socket.write_all(answer.as_bytes()));
                }
            }
        });
        Server { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Loopback addresses of this process's own, with servers on every port that a callback may have, as far as this process
/// may listen there.
struct Inside {
    ip: Ipv4Addr,
    servers: Vec<Server>,
}

impl Inside {
    fn new(test: u8) -> Inside {
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, test, high, low | 1);
        let servers = [8080, 8443].map(|port| Server::at((ip, port).into(), OK.to_owned()));
        Inside { ip, servers: servers.into() }
    }

    fn connections(&self) -> usize {
        // Who connects to a server has done so before it counts.
        std::thread::sleep(Duration::from_millis(50));
        self.servers.iter().map(Server::connections).sum()
    }
}

type Dialled = Arc<Mutex<Vec<SocketAddr>>>;

/// A network where names mean what `resolve` says, the nth time somebody asks. The public address is `internet`; loopback is
/// loopback; everything else is only written down.
fn network(
    internet: SocketAddr,
    resolve: impl Fn(usize, &str) -> Vec<IpAddr> + Send + Sync + 'static,
) -> (HttpOut, Dialled) {
    let (asked, dialled) = (AtomicUsize::new(0), Dialled::default());
    let noted = Arc::clone(&dialled);
    let out = http_out_on(Network {
        resolve: Arc::new(move |name, port| {
            let found = resolve(asked.fetch_add(1, Ordering::SeqCst), &name);
            Box::pin(async move { Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()) })
        }),
        dial: Arc::new(move |address| {
            noted.lock().unwrap().push(address);
            Box::pin(async move {
                match address.ip().to_canonical() {
                    ip if ip == ip_of(PUBLIC) => tokio::net::TcpStream::connect(internet).await,
                    ip if ip.is_loopback() => tokio::net::TcpStream::connect((ip, address.port())).await,
                    _ => Err(std::io::ErrorKind::ConnectionRefused.into()),
                }
            })
        }),
    });
    (out, dialled)
}

fn ip_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether anything but "the internet" was dialled.
fn only_the_internet(dialled: &Dialled) {
    let dialled = dialled.lock().unwrap();
    assert!(dialled.iter().all(|address| address.ip() == ip_of(PUBLIC)), "{dialled:?}");
}

/// Spellings of one loopback address, by which a guard that reads them otherwise than the way out does is led by the nose.
fn spellings(ip: Ipv4Addr) -> Vec<String> {
    let (bits, [a, b, c, d]) = (ip.to_bits(), ip.octets());
    let (high, low) = (bits >> 16, bits & 0xffff);
    let text = ip.to_string();
    let each = |write: fn(u8) -> String| [a, b, c, d].map(write).join(".");
    let circled = |digit: char| {
        digit.to_digit(10).map_or(digit, |n| char::from_u32(if n == 0 { 0x24ea } else { 0x245f + n }).unwrap())
    };
    let shifted =
        |base: u32| text.chars().map(move |c| c.to_digit(10).map_or(c, |n| char::from_u32(base + n).unwrap()));
    vec![
        text.clone(),
        format!("{text}."),
        format!("{bits}"),
        format!("{bits}."),
        format!("0x{bits:x}"),
        format!("0X{bits:X}"),
        format!("0x00000000{bits:x}"),
        format!("0{bits:o}"),
        format!("000000{bits:o}"),
        each(|n| format!("0{n:o}")),
        each(|n| format!("0000{n:o}")),
        each(|n| format!("0x{n:x}")),
        each(|n| format!("0x00{n:x}")),
        format!("0{a:o}.{b}.0x{c:x}.{d}"),
        format!("{a}.{}", bits & 0xff_ffff),
        format!("{a}.{b}.{low}"),
        format!("0x{a:x}.{}", bits & 0xff_ffff),
        format!("0{a:o}.0x{:x}", bits & 0xff_ffff),
        format!("{a}.0{b:o}.0x{low:x}"),
        // Percent-encoded, as a whole or in part.
        text.replace('.', "%2e"),
        text.replace('.', "%2E"),
        format!("%3{}{}", a / 100, &text[1..]),
        format!("%30x{bits:x}"),
        // Other digits, other dots, and what is not seen.
        text.chars().map(circled).collect(),
        shifted(0xff10).collect(),
        shifted(0x660).collect(),
        shifted(0x966).collect(),
        shifted(0x1d7ce).collect(),
        text.replace('.', "\u{3002}"),
        text.replace('.', "\u{ff0e}"),
        text.replace('.', "\u{ff61}"),
        text.replace('.', "\u{2024}"),
        format!("{text}\u{3002}"),
        format!("\u{feff}{text}"),
        format!("{a}\u{ad}.{b}.{c}.{d}"),
        format!("{a}.{b}.\u{200b}{c}.{d}"),
        format!("{text}\u{200d}"),
        // IPv6 that carries it.
        format!("[::ffff:{text}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:ffff:{text}]"),
        format!("[0000:0000:0000:0000:0000:FFFF:{high:04X}:{low:04X}]"),
        format!("[::{text}]"),
        format!("[::{high:x}:{low:x}]"),
        format!("[64:ff9b::{text}]"),
        format!("[64:ff9b::{high:x}:{low:x}]"),
        format!("[64:ff9b:1::{text}]"),
        format!("[2002:{high:x}:{low:x}::]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:{high:x}:{low:x}::]"),
        format!("[2001::{:x}:{:x}]", !high & 0xffff, !low & 0xffff),
        format!("[fe80::5efe:{text}]"),
        format!("[2400:cb00::5efe:{high:x}:{low:x}]"),
        format!("[::ffff:0:{text}]"),
        format!("[::ffff:{text}%25lo]"),
        format!("[::ffff:{text}%lo]"),
        format!("%5B::ffff:{text}%5D"),
    ]
}

/// Hosts that are inside, or nowhere that a merchant has anything to do with.
const HOSTS: &[&str] = &[
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost..",
    "LocalHost.",
    "a.localhost",
    "a.b.localhost.",
    "%6c%6fcalhost",
    "localhost%2e",
    "loca\u{200b}lhost",
    "local\u{ad}host",
    "\u{24db}ocalhost",
    "\u{ff4c}ocalhost",
    "lo\u{441}alhost.localhost",
    "localhost\u{3002}",
    "a.localhost\u{ff0e}",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::0001]",
    "[0000::1]",
    "[::1%25lo]",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "0.0",
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0x7f000001",
    // Metadata of clouds.
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "025177524776",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fe80::a9fe:a9fe]",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "\u{2460}\u{2465}\u{2468}.254.169.254",
    // Private, shared, link-local, multicast, broadcast, reserved, for documents and for tests.
    "10.0.0.1",
    "10.255.255.255",
    "167772161",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.1",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "4294967295",
    "0377.0377.0377.0377",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[100::1]",
    "[5f00::1]",
    "[::2]",
    "[4000::1]",
];

/// URLs that are tricks as a whole: `IN` is the loopback address with its server.
const WHOLE: &[&str] = &[
    "http://m.example@IN:8080/",
    "http://IN:8080@m.example/",
    "http://m.example:80@IN:8080/",
    "http://@IN:8080/",
    "http://:@IN:8080/",
    "http://a%40m.example@IN:8080/",
    "http://m.example\\@IN:8080/",
    "http://m.example#@IN:8080/",
    "http://m.example%23@IN:8080/",
    "http://m.example?@IN:8080/#",
    "http:\\\\IN:8080\\",
    "http:/IN:8080/",
    "http:///IN:8080/",
    "http:IN:8080/",
    "//IN:8080/",
    "IN:8080",
    " http://IN:8080/",
    "http://IN:8080 .m.example/",
    "http://IN:8080\t/",
    "http://\nIN:8080/",
    "http://I\rN:8080/",
    "ht\ntp://IN:8080/",
    "http://IN:8080/\r\nHost: m.example",
    "http://IN:8080/\0",
    "https://IN:8443/",
    "HTTP://IN:8080/",
    "hTTps://IN:8443/",
    "http://IN:08080/",
    "http://IN:+8080/",
    "http://IN:8080:80/",
    "http://IN\u{ff1a}8080/",
    "http://IN:\u{968}080/",
    // Other ports, and other ways to speak.
    "http://m.example:22/",
    "http://m.example:25/",
    "http://m.example:0/",
    "http://m.example:6379/",
    "http://m.example:5432/",
    "http://m.example:65536/",
    "http://m.example:2375/",
    "http://m.example:10250/",
    "ftp://IN:8080/",
    "gopher://IN:8080/_x",
    "file:///etc/passwd",
    "file://IN/etc/passwd",
    "dict://IN:8080/",
    "ldap://IN:8080/",
    "tftp://IN:8080/",
    "jar:http://IN:8080/!/",
    "unix:/run/x.sock",
    "http+unix://%2Frun%2Fx.sock/",
    "javascript:fetch('http://IN:8080')",
    "data:text/html,x",
    "ws://IN:8080/",
    "blob:http://IN:8080/x",
    "view-source:http://IN:8080/",
    "netdoc:///etc/passwd",
    "",
    "http://",
    "http://?@IN:8080/",
    "http://[IN]:8080/",
    "http://[::1",
    "http://[::1]m.example/",
    "http://[v1.IN]:8080/",
];

/// Names that anybody may register: what they mean is looked up at every attempt.
const NAMES: &[&str] = &[
    "inside.m.example",
    "127.0.0.1.nip.example",
    "localtest.m.example",
    "localhost.m.example",
    "xn--lcalhost-54a.example",
    "metadata.google.internal",
    "instance-data",
    "kubernetes.default.svc",
    "inside.m.example.",
    "a",
    "localhost.localdomain",
    "127.0.0.1.",
    "foo.local",
];

fn tricks(ip: Ipv4Addr) -> Vec<String> {
    let hosts = spellings(ip).into_iter().chain(HOSTS.iter().map(|host| (*host).to_owned()));
    let mut all: Vec<String> = hosts.map(|host| format!("http://{host}:8080/cb?x=1")).collect();
    all.extend(WHOLE.iter().map(|url| url.replace("IN", &ip.to_string())));
    all
}

/// A world that calls its merchants by `out`, in real time, because sockets take some.
async fn world(out: HttpOut) -> World {
    let world = World::with(|config| config.callbacks.allow_private = false).await;
    world.receivers.reached_by(out);
    world
}

async fn register(world: &World, url: &str) -> Result<(), String> {
    let changes = MerchantChanges { callback_url: Some(url.to_owned()), ..Default::default() };
    admin::merchant_set(&world.app, "demo", changes, &operator()).await.map(drop)
}

/// The URL as if registration had let it through.
async fn smuggle(world: &World, url: &str) {
    let sealed = callbacks::seal_setting(&world.app.keys, "demo", Setting::Url, url.as_bytes());
    let set = rows::merchant_set(MerchantId(1), rows::Setting::CallbackUrl(Some(sealed)));
    assert_eq!(world.app.writer.write(set).await.unwrap(), 1);
}

/// Pays, and says what the first try to call the merchant came to.
async fn try_once(world: &World, order: &str) -> String {
    assert_eq!(world.pay(order, 10, "1234567890").await.code(), 1);
    let order = OrderId::parse(order).unwrap();
    let payout = world.app.store.payout_by_order(MerchantId(1), &order).await.unwrap().unwrap().order.id;
    for _ in 0..2_000 {
        let callbacks = world.app.store.callbacks(MerchantId(1), payout).await.unwrap();
        if let Some(tried) = callbacks.iter().find(|callback| callback.tries > 0) {
            return tried.result.clone();
        }
        world.pass(Duration::from_millis(5)).await;
    }
    panic!("the callback of {} was never tried", order.as_str());
}

#[tokio::test]
async fn no_address_trick_reaches_the_inside() {
    let inside = Inside::new(78);
    let internet = Server::at((Ipv4Addr::LOCALHOST, 0).into(), OK.to_owned());
    let ip = inside.ip;
    // Every name means the inside, whatever it looks like.
    let (out, dialled) = network(internet.address, move |_, _| vec![ip.into()]);
    let world = world(out).await;
    let all = tricks(ip);
    for url in &all {
        let refused = register(&world, url).await;
        assert!(refused.is_err(), "{url:?} was registered");
    }
    for (nth, url) in all.iter().enumerate() {
        smuggle(&world, url).await;
        let result = try_once(&world, &format!("T-{nth}")).await;
        assert!(["address not allowed", "the URL is not valid"].contains(&result.as_str()), "{url:?}: {result}");
    }
    for (nth, name) in NAMES.iter().enumerate() {
        let url = format!("http://{name}:8080/cb");
        // Some are refused at once; whoever is not is refused when his name is known.
        let registered = register(&world, &url).await.is_ok();
        smuggle(&world, &url).await;
        let result = try_once(&world, &format!("N-{nth}")).await;
        assert_eq!(result, "address not allowed", "{url} ({registered})");
    }
    assert_eq!((inside.connections(), dialled.lock().unwrap().len()), (0, 0));
    // The servers do count, and a public name does get through.
    assert!(std::net::TcpStream::connect((ip, 8080)).is_ok());
    assert_eq!(inside.connections(), 1);
    let (out, dialled) = network(internet.address, |_, _| vec![ip_of(PUBLIC)]);
    world.receivers.reached_by(out);
    register(&world, "http://m.example:8080/cb").await.unwrap();
    assert_eq!(try_once(&world, "through").await, "204");
    assert!(internet.connections() >= 1 && !dialled.lock().unwrap().is_empty());
    println!("{} tricks, each at registration and at an attempt, and {} names", all.len(), NAMES.len());
    assert!(all.len() >= 120);
    score(26, "address tricks at registration and at an attempt", (all.len() + NAMES.len()) as u64);
    score(26, "connections to the inside by them", 0);
}

#[tokio::test]
async fn a_thousand_rebinds_reach_nothing_inside() {
    let inside = Inside::new(79);
    let internet = Server::at((Ipv4Addr::LOCALHOST, 0).into(), OK.to_owned());
    let ip = inside.ip;
    let answers = move |nth: usize, _: &str| -> Vec<IpAddr> {
        let (public, inner) = (ip_of(PUBLIC), IpAddr::from(ip));
        match nth % 8 {
            0 | 2 | 4 | 6 => vec![public],
            1 => vec![inner],
            3 => vec![public, inner],
            5 => vec![ip.to_ipv6_mapped().into()],
            _ => vec![public, ip_of("2606:4700::1111"), ip_of("::1")],
        }
    };
    let (out, dialled) = network(internet.address, answers);
    let (mut well, mut refused) = (0, 0);
    for nth in 0..1_000 {
        let request = OutRequest {
            method: Method::Get,
            url: format!("http://rebind{nth}.m.example:8080/"),
            headers: Vec::new(),
            body: Bytes::new(),
            deadline: Duration::from_secs(5),
            write_before_boot_us: None,
            reply_bytes_max: 100,
            reach: Reach::Public,
        };
        match out(request).await {
            Ok(reply) => well += u64::from(reply.status == 204),
            Err(error) => refused += u64::from(matches!(error, OutError::Forbidden(_))),
        }
    }
    assert_eq!((well, refused), (500, 500));
    only_the_internet(&dialled);
    // A name is asked about once for an attempt; whoever asked twice would get the other answer.
    let (out, dialled_too) = network(internet.address, answers);
    let world = world(out).await;
    for nth in 0..40 {
        register(&world, &format!("http://rebind{nth}.m.example:8080/cb")).await.unwrap();
        let result = try_once(&world, &format!("R-{nth}")).await;
        assert_eq!(result, if nth % 2 == 0 { "204" } else { "address not allowed" }, "attempt {nth}");
    }
    only_the_internet(&dialled_too);
    assert_eq!((inside.connections(), internet.connections()), (0, 520));
    score(26, "rebinds, by the way out and by callbacks", 1_040);
    score(26, "connections to the inside by rebinds", 0);
}

#[tokio::test]
async fn no_redirect_leads_inside() {
    let inside = Inside::new(80);
    let ip = inside.ip;
    let mut cases = 0;
    let targets = [
        format!("http://{ip}:8080"),
        format!("http://{ip}:8080/latest/meta-data/"),
        format!("http://{ip}:8443/x"),
        format!("http://[::ffff:{ip}]:8080/"),
        format!("//{ip}:8080/"),
        "http://169.254.169.254/".to_owned(),
        "/elsewhere".to_owned(),
    ];
    let (out, _) = network((ip, 8080).into(), |_, _| vec![ip_of(PUBLIC)]);
    let world = world(out).await;
    for status in [300, 301, 302, 303, 307, 308] {
        for target in &targets {
            let answer = format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: {target}\r\nRefresh: 0;url={target}\r\nContent-Length: 0\r\n\r\n"
            );
            let internet = Server::at((Ipv4Addr::LOCALHOST, 0).into(), answer);
            let (out, dialled) = network(internet.address, |_, _| vec![ip_of(PUBLIC)]);
            world.receivers.reached_by(out);
            register(&world, "http://m.example:8080/cb").await.unwrap();
            let result = try_once(&world, &format!("D-{cases}")).await;
            assert_eq!(result, format!("{status}, redirects are not followed"), "{target}");
            assert_eq!((internet.connections(), dialled.lock().unwrap().len()), (1, 1), "{status} {target}");
            cases += 1;
        }
    }
    assert_eq!(inside.connections(), 0);
    score(26, "redirects to the inside, none followed", cases);
}
