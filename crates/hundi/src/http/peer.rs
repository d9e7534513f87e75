//! Who is calling: the address that a merchant's allow-list is held against.
//!
//! | the socket's peer is | the caller is |
//! |---|---|
//! | not a configured proxy | the peer; forwarded headers are not even looked at |
//! | a configured proxy | the first address of `X-Forwarded-For`, read from the right, that is not a proxy of ours |
//!
//! Only the right end of `X-Forwarded-For` was written by somebody we trust, hence the direction. An element that cannot
//! be read on that walk is refused and never skipped: what lies behind it was written by the caller himself.
//! `Forwarded`, `X-Real-IP` and their like are never read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hundi_core::plant::{Plant, planted};
use hyper::HeaderMap;
use hyper::header::HeaderName;
use ipnet::{IpNet, Ipv4Net};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A trusted proxy passed on an `X-Forwarded-For` that cannot be read, so nobody knows who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedUnreadable;

impl fmt::Display for ForwardedUnreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the X-Forwarded-For header has an element that is not an IP address")
    }
}

impl std::error::Error for ForwardedUnreadable {}

/// The address of the caller (WIRE 18), in canonical form: an IPv4-mapped IPv6 address is the IPv4 address.
///
/// Where every forwarded address is a trusted proxy, the leftmost counts; where a trusted proxy forwards nothing, the proxy.
pub fn client_ip(
    socket_peer: IpAddr,
    trusted_proxies: &[IpNet],
    headers: &HeaderMap,
) -> Result<IpAddr, ForwardedUnreadable> {
    let mut caller = socket_peer.to_canonical();
    if !allowed(caller, trusted_proxies) {
        return Ok(caller);
    }
    if planted(Plant::LeftmostForwardedFor) {
        let first = headers.get(X_FORWARDED_FOR).and_then(|line| line.as_bytes().split(|byte| *byte == b',').next());
        return first.map_or(Ok(caller), |element| forwarded_ip(element).ok_or(ForwardedUnreadable));
    }
    // Several header lines are one list, in their order.
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for element in line.as_bytes().rsplit(|byte| *byte == b',') {
            if planted(Plant::SkipsUnreadable) && forwarded_ip(element).is_none() {
                continue;
            }
            caller = forwarded_ip(element).ok_or(ForwardedUnreadable)?;
            if !allowed(caller, trusted_proxies) {
                return Ok(caller);
            }
        }
    }
    Ok(caller)
}

/// Whether an address is on a list. An empty list allows nobody. IPv4-mapped addresses, on either side, count as IPv4.
#[must_use]
pub fn allowed(ip: IpAddr, list: &[IpNet]) -> bool {
    let ip = ip.to_canonical();
    list.iter().any(|net| canonical(*net).contains(&ip))
}

/// Reads a comma-separated list of networks (`203.0.113.0/24`) and plain addresses. Blank text is the empty list.
pub fn parse_cidrs(text: &str) -> Result<Vec<IpNet>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(str::trim)
        .map(|element| {
            let net = match element.parse::<IpAddr>() {
                Ok(ip) => Some(IpNet::from(ip)),
                Err(_) => element.parse::<IpNet>().ok(),
            };
            net.map(|net| canonical(net.trunc())).ok_or_else(|| {
                let shown: String = element.chars().take(ELEMENT_SHOWN_CHARS_MAX).collect();
                format!("{shown:?} is neither an IP address nor a network such as 203.0.113.0/24")
            })
        })
        .collect()
}

const ELEMENT_SHOWN_CHARS_MAX: usize = 64;

/// A network inside `::ffff:0:0/96` is an IPv4 network. A wider one (`::/0`) stays what it says, and holds no IPv4 address.
fn canonical(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Ok(v4) = Ipv4Net::new(v4, prefix)
    {
        return IpNet::V4(v4);
    }
    net
}

/// `1.2.3.4`, `1.2.3.4:port`, `2001:db8::1` or `[2001:db8::1]:port`; nothing quoted, no zone, no name.
fn forwarded_ip(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?.trim_matches([' ', '\t']);
    if text.contains('%') {
        return None;
    }
    let ip = match text.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    /// Header lines are separated by `|`.
    fn caller(peer: &str, proxies: &str, lines: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-real-ip", HeaderValue::from_static("66.66.66.66"));
        headers.insert("forwarded", HeaderValue::from_static("for=66.66.66.66"));
        for line in lines.split('|').filter(|line| *line != "none") {
            headers.append("X-Forwarded-For", HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        match client_ip(peer.parse().unwrap(), &parse_cidrs(proxies).unwrap(), &headers) {
            Ok(ip) => ip.to_string(),
            Err(ForwardedUnreadable) => "refused".into(),
        }
    }

    #[test]
    fn the_caller_is_the_first_untrusted_address_from_the_right() {
        const LB: &str = "10.0.0.0/8, 2001:db8::/32";
        for (peer, proxies, lines, want) in [
            // No proxy configured: the socket's peer whatever is claimed.
            ("203.0.113.9", "", "none", "203.0.113.9"),
            ("203.0.113.9", "", "1.1.1.1", "203.0.113.9"),
            ("203.0.113.9", "", "garbage", "203.0.113.9"),
            ("::ffff:203.0.113.9", "", "1.1.1.1", "203.0.113.9"),
            ("127.0.0.1", "", "1.1.1.1", "127.0.0.1"),
            // The peer is no proxy of ours: its headers are ignored.
            ("203.0.113.9", LB, "1.1.1.1", "203.0.113.9"),
            ("::ffff:11.0.0.1", LB, "1.1.1.1", "11.0.0.1"),
            // One proxy.
            ("10.0.0.1", LB, "1.1.1.1", "1.1.1.1"),
            ("::ffff:10.0.0.1", LB, "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "::ffff:10.0.0.0/104", "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", LB, "9.9.9.9, 1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", LB, "9.9.9.9,1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", LB, "9.9.9.9|1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", LB, "1.1.1.1|10.2.2.2", "1.1.1.1"),
            ("10.0.0.1", LB, "9.9.9.9, 8.8.8.8|1.1.1.1, 10.3.3.3|10.2.2.2", "1.1.1.1"),
            ("10.0.0.1", LB, "garbage, 1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", LB, "garbage|1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", LB, "1.1.1.1, 10.0.0.2, 2001:db8::7", "1.1.1.1"),
            ("10.0.0.1", LB, "::ffff:1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", LB, "1.1.1.1, ::ffff:10.1.1.1", "1.1.1.1"),
            ("2001:db8::1", LB, "2400:cb00::1", "2400:cb00::1"),
            // Spellings.
            ("10.0.0.1", LB, "1.1.1.1:443", "1.1.1.1"),
            ("10.0.0.1", LB, "[2400:cb00::1]:443", "2400:cb00::1"),
            ("10.0.0.1", LB, "[::ffff:1.1.1.1]:443", "1.1.1.1"),
            ("10.0.0.1", LB, " \t1.1.1.1 \t", "1.1.1.1"),
            // All trusted: the leftmost. Nothing forwarded: the proxy.
            ("10.0.0.1", LB, "10.9.9.9, 10.8.8.8", "10.9.9.9"),
            ("10.0.0.1", LB, "10.9.9.9|10.8.8.8", "10.9.9.9"),
            ("10.0.0.1", LB, "none", "10.0.0.1"),
            // Unreadable on the walk.
            ("10.0.0.1", LB, "", "refused"),
            ("10.0.0.1", LB, "1.1.1.1,", "refused"),
            ("10.0.0.1", LB, "1.1.1.1, ,10.0.0.2", "refused"),
            ("10.0.0.1", LB, "1.1.1.1, garbage", "refused"),
            ("10.0.0.1", LB, "1.1.1.1|", "refused"),
            ("10.0.0.1", LB, "1.1.1.1, unknown, 10.0.0.2", "refused"),
            ("10.0.0.1", LB, "\"1.1.1.1\"", "refused"),
            ("10.0.0.1", LB, "\"[2400:cb00::1]:443\"", "refused"),
            ("10.0.0.1", LB, "[2400:cb00::1]", "refused"),
            ("10.0.0.1", LB, "for=1.1.1.1", "refused"),
            ("10.0.0.1", LB, "1.1.1", "refused"),
            ("10.0.0.1", LB, "01.1.1.1", "refused"),
            ("10.0.0.1", LB, "0x1.1.1.1", "refused"),
            ("10.0.0.1", LB, "16843009", "refused"),
            ("10.0.0.1", LB, "1.1.1.1:99999", "refused"),
            ("10.0.0.1", LB, "1.1.1.1:", "refused"),
            ("10.0.0.1", LB, "fe80::1%eth0", "refused"),
            ("10.0.0.1", LB, "[fe80::1%1]:80", "refused"),
            ("10.0.0.1", LB, "merchant.example", "refused"),
            ("10.0.0.1", LB, "1.1.1.1 2.2.2.2", "refused"),
            ("10.0.0.1", LB, "1.1.1.1;2.2.2.2", "refused"),
            ("10.0.0.1", LB, "१.१.१.१", "refused"),
        ] {
            assert_eq!(caller(peer, proxies, lines), want, "{peer} behind {proxies:?} with {lines:?}");
        }
    }

    #[test]
    fn a_list_allows_what_it_names() {
        for (ip, list, want) in [
            ("1.2.3.4", "", false),
            ("1.2.3.4", "1.2.3.4", true),
            ("1.2.3.5", "1.2.3.4", false),
            ("::ffff:1.2.3.4", "1.2.3.4", true),
            ("1.2.3.4", "::ffff:1.2.3.4", true),
            ("1.2.3.4", "::ffff:1.2.3.0/120", true),
            ("1.2.4.4", "::ffff:1.2.3.0/120", false),
            ("1.2.3.4", "1.2.3.9/24", true),
            ("1.2.3.4", "0.0.0.0/0", true),
            ("1.2.3.4", "::/0", false),
            ("2400::1", "::/0", true),
            ("2400::1", "0.0.0.0/0", false),
            ("2400::1", "5.5.5.5 ,2400::/16", true),
            ("::1.2.3.4", "1.2.3.4", false),
        ] {
            assert_eq!(allowed(ip.parse().unwrap(), &parse_cidrs(list).unwrap()), want, "{ip} in {list:?}");
        }
        // A list that was not made by parse_cidrs is canonicalised all the same.
        let mapped: IpNet = "::ffff:1.2.3.0/120".parse().unwrap();
        assert!(allowed("1.2.3.4".parse().unwrap(), &[mapped]));
    }

    #[test]
    fn a_bad_list_names_its_bad_element() {
        for (list, named) in [
            ("1.2.3.4,x", "\"x\""),
            ("1.2.3.4,", "\"\""),
            (",", "\"\""),
            ("1.2.3.4/33", "\"1.2.3.4/33\""),
            ("1.2.3", "\"1.2.3\""),
            ("host.example", "\"host.example\""),
            ("1.2.3.4 5.6.7.8", "\"1.2.3.4 5.6.7.8\""),
            ("::1/129", "\"::1/129\""),
            ("1.2.3.4\n6", "\"1.2.3.4\\n6\""),
        ] {
            let error = parse_cidrs(list).unwrap_err();
            assert!(error.starts_with(named), "{list:?}: {error}");
        }
        assert_eq!(parse_cidrs(" \t").unwrap(), []);
    }
}
