//! Where a call comes from, and where a callback may go.

use super::first;
use hundi::callbacks;
use hundi::config::Config;
use hundi::http::peer::{client_ip, parse_cidrs};
use hundi::http_out::{Reach, check_url};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

const PEERS: [&str; 5] = ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "203.0.113.9", "2400:cb00::1"];

/// The first byte chooses the peer and whether there are proxies; the rest are the lines of `X-Forwarded-For`.
pub fn forwarded_for(mut data: &[u8]) {
    let choice = usize::from(first(&mut data));
    let peer: IpAddr = PEERS[choice % PEERS.len()].parse().expect("an address");
    let proxies = if choice / PEERS.len() % 4 == 3 { "" } else { "10.0.0.0/8, 2001:db8::/32" };
    let trusted = |ip: IpAddr| {
        !proxies.is_empty()
            && match ip {
                IpAddr::V4(ip) => ip.octets()[0] == 10,
                IpAddr::V6(ip) => ip.segments()[..2] == [0x2001, 0xdb8],
            }
    };
    let mut headers = HeaderMap::new();
    let mut elements: Vec<&[u8]> = Vec::new();
    for line in data.split(|byte| *byte == b'\n').filter(|_| !data.is_empty()) {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append("x-forwarded-for", value);
        elements.extend(line.split(|byte| *byte == b','));
    }
    let mut expected = Ok(unmapped(peer));
    while let Ok(ip) = expected
        && trusted(ip)
        && let Some(element) = elements.pop()
    {
        expected = address(element).ok_or(());
    }
    let proxies = parse_cidrs(proxies).expect("networks");
    assert_eq!(client_ip(peer, &proxies, &headers).map_err(|_| ()), expected, "{peer} {proxies:?} {headers:?}");
}

fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// `ip`, `ipv4:port` or `[ipv6]:port`, with blanks around it.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?.trim_matches([' ', '\t']);
    let port = |text: &str| {
        let value = text.trim_start_matches('0');
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits && (value.is_empty() || value.len() <= 5 && value.parse::<u32>().is_ok_and(|port| port <= 65_535))
    };
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Some(unmapped(ip.into()));
    }
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").map(|(host, rest)| (host.parse::<Ipv6Addr>().map(IpAddr::from), rest))?,
        None => match text.split_once(':') {
            Some((host, rest)) => (host.parse::<Ipv4Addr>().map(IpAddr::from), rest),
            None => (text.parse::<Ipv4Addr>().map(IpAddr::from), "0"),
        },
    };
    host.ok().filter(|_| port(rest)).map(unmapped)
}

pub fn callback_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = Config::default().callbacks;
    let (public, anywhere) = (check_url(text, Reach::Public), check_url(text, Reach::Operator));
    assert!(public.is_err() || anywhere.is_ok(), "{text}");
    assert_eq!(anywhere.is_ok(), check_url(text, Reach::Unguarded).is_ok(), "{text}");
    if callbacks::check_url(&limits, text).is_ok() {
        assert_eq!(public, Ok(()), "{text}");
    }
    let Ok(url) = anywhere.and_then(|()| Url::parse(text).map_err(|error| error.to_string())) else { return };
    assert!(matches!(url.scheme(), "http" | "https") && url.fragment().is_none(), "{text}");
    assert!(url.username().is_empty() && url.password().is_none(), "{text}");
    // The host that a person reads is the host that is reached.
    let shown = text.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next()).expect("a host");
    let shown = shown
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(shown, |(host, _)| host);
    let host = url.host().expect("a host");
    if let Host::Domain(name) = host
        && !shown.contains('%')
    {
        assert_eq!(shown.to_ascii_lowercase(), name, "{text}");
    }
    if public.is_ok() {
        assert!([80, 443, 8080, 8443].contains(&url.port_or_known_default().expect("a port")), "{text}");
        match host {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                assert!(name != "localhost" && !name.ends_with(".localhost"), "{text}");
            }
            Host::Ipv4(ip) => assert!(is_public_v4(ip), "{text} leads to {ip}"),
            Host::Ipv6(ip) => assert!(is_public_v6(ip), "{text} leads to {ip}"),
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let within = |network: [u8; 4], bits: u32| (ip.to_bits() ^ u32::from_be_bytes(network)) >> (32 - bits) == 0;
    let named = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || ip.is_unspecified();
    !named
        && !within([0, 0, 0, 0], 8)
        && !within([100, 64, 0, 0], 10)
        && !within([192, 0, 0, 0], 24)
        && !within([198, 18, 0, 0], 15)
        && !within([240, 0, 0, 0], 4)
        && ip != Ipv4Addr::new(168, 63, 129, 16)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let inner = Ipv4Addr::from_bits(ip.to_bits() as u32);
    if ip.to_ipv4_mapped().is_some() || segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(inner);
    }
    let global = segments[0] & 0xe000 == 0x2000;
    global && segments[0] != 0x2002 && segments[..2] != [0x2001, 0] && segments[..2] != [0x2001, 0xdb8]
}
