//! Whoever stands where in front of Hundi, nobody talks himself onto a list of addresses (WIRE 18). Generated headers are
//! held against a model of their own, which parses nothing: every element is made together with what it means.

use super::process::kit::Numbers;
use super::support::World;
use crate::score::score;
use hundi::http::peer::{client_ip, parse_cidrs};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use serde_json::json;
use std::net::IpAddr;

/// An element of a header, and the address that it is; `None` if it is none.
#[derive(Clone, Debug)]
struct Element {
    text: String,
    means: Option<u128>,
}

/// An address as a number of 128 bits; those of IPv4 are within `::ffff:0:0/96`.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => 0xffff_0000_0000 | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Proxies in front of us: how they are configured, the same as first address and length of the prefix, and the addresses
/// that a connection passes, the one that reaches us last.
struct Front {
    configured: &'static str,
    networks: &'static [(&'static str, u32)],
    passed: &'static [&'static str],
}

const FRONTS: [Front; 3] = [
    Front { configured: "", networks: &[], passed: &[] },
    Front { configured: "10.7.0.0/16", networks: &[("10.7.0.0", 112)], passed: &["10.7.0.9"] },
    Front {
        configured: "::ffff:10.7.0.0/112, 2001:db8:5::/48",
        networks: &[("10.7.0.0", 112), ("2001:db8:5::", 48)],
        passed: &["10.7.0.9", "2001:db8:5::1"],
    },
];

fn trusted(front: &Front, ip: u128) -> bool {
    front.networks.iter().any(|(network, length)| (number(self::ip(network)) ^ ip) >> (128 - length) == 0)
}

/// Who is calling, as slowly as it can be said: from the right, the first that is no proxy of ours.
fn model(front: &Front, peer: u128, elements: &[Element]) -> Option<u128> {
    if !trusted(front, peer) {
        return Some(peer);
    }
    let mut caller = peer;
    for element in elements.iter().rev() {
        caller = element.means?;
        if !trusted(front, caller) {
            return Some(caller);
        }
    }
    Some(caller)
}

const ADDRESSES: [&str; 16] = [
    "203.0.113.7",
    "203.0.113.8",
    "10.7.0.9",
    "10.7.255.255",
    "10.8.0.0",
    "127.0.0.1",
    "0.0.0.0",
    "8.8.8.8",
    "2001:db8:5::1",
    "2001:db8:5:ffff::9",
    "2001:db8:6::1",
    "2400:cb00::7",
    "::1",
    "::",
    "fe80::1",
    "192.168.0.1",
];

const GARBAGE: [&str; 26] = [
    "",
    " ",
    "unknown",
    "_hidden",
    "for=203.0.113.7",
    "\"203.0.113.7\"",
    "203.0.113",
    "203.0.113.7.",
    "203.0.113.7/32",
    "203.0.113.07",
    "0313.0.0161.7",
    "0xcb.0.0x71.7",
    "3405803783",
    "203.0.113.7:",
    "203.0.113.7:65536",
    "203.0.113.7 10.7.0.9",
    "203.0.113.7;10.7.0.9",
    "[2001:db8:5::1]",
    "2001:db8:5::1%eth0",
    "[2001:db8:5::1%1]:80",
    "merchant.example",
    "203.0.113.7\u{a0}",
    "::ffff:203.0.113.256",
    "2001:db8:5::1::",
    "\u{968}\u{966}\u{969}.0.113.7",
    "203\u{3002}0.113.7",
];

fn element(numbers: &mut Numbers) -> Element {
    if numbers.between(0, 3) == 0 {
        return Element { text: pick(numbers, &GARBAGE).to_owned(), means: None };
    }
    let address = pick(numbers, &ADDRESSES);
    let means = Some(number(ip(address)));
    let port = numbers.between(0, 65_536);
    let (v4, v6) = (!address.contains(':'), address.contains(':'));
    let text = match numbers.between(0, 5) {
        0 if v4 => format!("::ffff:{address}"),
        1 if v4 => format!("[::ffff:{address}]:{port}"),
        2 if v4 => format!("{address}:{port}"),
        2 | 3 if v6 => format!("[{address}]:{port}"),
        4 => address.to_uppercase(),
        _ => address.to_owned(),
    };
    let text = match numbers.between(0, 3) {
        0 => format!(" {text}"),
        1 => format!("\t{text} \t"),
        _ => text,
    };
    Element { text, means }
}

fn pick<'a>(numbers: &mut Numbers, from: &[&'a str]) -> &'a str {
    from[usize::try_from(numbers.between(0, from.len() as u64)).unwrap()]
}

/// Lines of the header: absent, one, several, the same twice.
fn lines(numbers: &mut Numbers) -> Vec<Vec<Element>> {
    let mut lines: Vec<Vec<Element>> =
        (0..numbers.between(0, 4)).map(|_| (0..numbers.between(1, 5)).map(|_| element(numbers)).collect()).collect();
    if numbers.between(0, 7) == 0 && !lines.is_empty() {
        lines.push(lines[0].clone());
    }
    lines
}

fn text(line: &[Element]) -> String {
    line.iter().map(|element| element.text.as_str()).collect::<Vec<_>>().join(",")
}

#[test]
fn generated_headers_are_read_as_the_model_reads_them() {
    let mut numbers = Numbers::new(20_261_122);
    let (mut cases, mut refused, mut forwarded) = (0_u64, 0, 0);
    for front in &FRONTS {
        let proxies = parse_cidrs(front.configured).unwrap();
        for _ in 0..20_000 {
            // Half of those who connect are the proxy.
            let proxy = front.passed.last().filter(|_| numbers.between(0, 2) == 0);
            let peer = ip(proxy.copied().unwrap_or_else(|| pick(&mut numbers, &ADDRESSES)));
            let lines = lines(&mut numbers);
            let mut headers = HeaderMap::new();
            // What other programs believe.
            for name in ["x-real-ip", "forwarded", "client-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip"] {
                headers.insert(name, HeaderValue::from_static("203.0.113.7"));
            }
            for line in &lines {
                headers.append("X-Forwarded-For", HeaderValue::from_bytes(text(line).as_bytes()).unwrap());
            }
            let said = client_ip(peer, &proxies, &headers).ok().map(number);
            let elements: Vec<Element> = lines.concat();
            let want = model(front, number(peer), &elements);
            assert_eq!(said, want, "{peer} behind {:?} with {lines:?}", front.configured);
            refused += u64::from(want.is_none());
            forwarded += u64::from(want.is_some_and(|want| want != number(peer)));
            cases += 1;
        }
    }
    println!("{cases} headers, {refused} unreadable, {forwarded} forwarded");
    assert!(refused > 1_000 && forwarded > 1_000);
    score(30, "generated headers with 0, 1 and 2 proxies read as the model reads them", cases);
}

/// The caller writes what he likes; then every proxy on the way adds whom it saw. Through the whole of Hundi.
#[tokio::test(start_paused = true)]
async fn no_header_talks_its_sender_onto_the_list() {
    const ALLOWED: &str = "203.0.113.7,2400:cb00::7";
    let (mut cases, mut let_in) = (0_u64, 0_u64);
    for front in &FRONTS {
        let proxies = parse_cidrs(front.configured).unwrap();
        let world = World::with(move |config| config.api.trusted_proxies = proxies).await;
        let token = world.new_token("demo", ALLOWED).await;
        let body = json!({"Token": token, "OrderID": "x"}).to_string();
        let mut numbers = Numbers::new(7 + front.passed.len() as u64);
        for (caller, allowed) in [
            ("203.0.113.7", true),
            ("2400:cb00::7", true),
            ("203.0.113.8", false),
            ("203.0.112.7", false),
            ("127.0.0.1", false),
            ("2400:cb00::8", false),
            ("10.8.0.0", false),
        ] {
            for _ in 0..150 {
                let mut lines: Vec<String> = lines(&mut numbers).iter().map(|line| text(line)).collect();
                lines.retain(|line| line.is_ascii());
                let mut seen = caller;
                for proxy in front.passed {
                    match lines.last_mut().filter(|_| numbers.between(0, 2) == 0) {
                        Some(last) => *last = format!("{last}, {seen}"),
                        None => lines.push(seen.to_owned()),
                    }
                    seen = proxy;
                }
                let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", line.as_str())).collect();
                let answer = world.call(seen, "POST", "/PayoutTransactionStatusByClientRef", &headers, &body).await;
                if allowed {
                    assert_eq!(answer.code(), 4, "{caller} {lines:?}: {}", answer.body);
                    let_in += 1;
                } else {
                    let refused = format!("\"StatusCode\":3,\"Message\":\"IP address {caller} is not allowed");
                    assert!(answer.body.contains(&refused), "{caller} {lines:?}: {}", answer.body);
                }
                cases += 1;
            }
        }
    }
    println!("{cases} combinations, {let_in} of them of allowed callers");
    assert!(cases >= 500 && let_in >= 500);
    score(30, "combinations of header, caller and 0, 1 or 2 proxies, without a bypass", cases);
}
