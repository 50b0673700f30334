//! Who is the caller: the socket's peer, unless that peer is trusted to speak for another. Pure.

use super::Denial;
use crate::model::NetworkSet;
use http::HeaderMap;
use std::net::IpAddr;

/// Far more hops than any honest chain has.
const MOST_HOPS: usize = 32;

/// The caller's address. From a trusted peer, `X-Forwarded-For` or `Forwarded` is walked from the
/// right, over trusted hops, to the first that is not; what cannot be read is refused.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &NetworkSet) -> Result<IpAddr, Denial> {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return Ok(peer);
    }
    let one = |name, hops: fn(&HeaderMap) -> Result<Vec<IpAddr>, Denial>| {
        headers.contains_key(name).then(|| hops(headers).map(|hops| first_untrusted(peer, &hops, trusted))).transpose()
    };
    match (one("x-forwarded-for", forwarded_for)?, one("forwarded", forwarded)?) {
        // A proxy keeps one of the two; the other may be the caller's own invention.
        (Some(a), Some(b)) if a != b => Err(UNREADABLE),
        (Some(client), _) | (None, Some(client)) => Ok(client),
        (None, None) => Ok(peer),
    }
}

/// From the right, over trusted hops, to the first that is not.
fn first_untrusted(peer: IpAddr, hops: &[IpAddr], trusted: &NetworkSet) -> IpAddr {
    let untrusted = hops.iter().rev().find(|hop| !trusted.contains(**hop));
    untrusted.or_else(|| hops.first()).copied().unwrap_or(peer)
}

const UNREADABLE: Denial =
    Denial::MalformedRequest { reason: "a trusted proxy sent a forwarding header that does not name addresses" };

fn forwarded_for(headers: &HeaderMap) -> Result<Vec<IpAddr>, Denial> {
    let mut hops = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        let text = value.to_str().map_err(|_| UNREADABLE)?;
        for hop in text.split(',') {
            push(&mut hops, node(hop.trim()))?;
        }
    }
    Ok(hops)
}

/// RFC 7239 section 4: the `for` of each element.
fn forwarded(headers: &HeaderMap) -> Result<Vec<IpAddr>, Denial> {
    let mut hops = Vec::new();
    for value in headers.get_all(http::header::FORWARDED) {
        let text = value.to_str().map_err(|_| UNREADABLE)?;
        for element in text.split(',') {
            let mut named = element.split(';').filter_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for").then_some(value.trim_matches('"'))
            });
            let hop = named.next().and_then(node);
            if named.next().is_some() {
                return Err(UNREADABLE);
            }
            push(&mut hops, hop)?;
        }
    }
    Ok(hops)
}

fn push(hops: &mut Vec<IpAddr>, hop: Option<IpAddr>) -> Result<(), Denial> {
    if hops.len() >= MOST_HOPS {
        return Err(UNREADABLE);
    }
    hops.push(hop.ok_or(UNREADABLE)?.to_canonical());
    Ok(())
}

/// An address with or without port: `a.b.c.d`, `a.b.c.d:port`, IPv6 bare, in brackets, or in brackets with port.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Network;

    fn seen(peer: &str, headers: &[(&'static str, &'static str)]) -> Result<String, &'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted = NetworkSet::new(&[Network::parse("10.0.0.0/8").unwrap()]);
        client_address(peer.parse().unwrap(), &map, &trusted).map(|a| a.to_string()).map_err(|d| d.code())
    }

    #[test]
    fn nobody_is_believed_unless_trusted() {
        assert_eq!(seen("203.0.113.9", &[("x-forwarded-for", "192.0.2.1")]).unwrap(), "203.0.113.9");
        assert_eq!(seen("::ffff:203.0.113.9", &[]).unwrap(), "203.0.113.9");
    }

    #[test]
    fn the_first_untrusted_hop_from_the_right_is_the_caller() {
        for (value, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
            ("10.9.9.9", "10.9.9.9"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(seen("10.0.0.1", &[("x-forwarded-for", value)]).unwrap(), client, "{value}");
        }
        assert_eq!(
            seen("10.0.0.1", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1")]).unwrap(),
            "192.0.2.1"
        );
        assert_eq!(
            seen("10.0.0.1", &[("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=http")]).unwrap(),
            "2001:db8::1"
        );
        assert_eq!(seen("10.0.0.1", &[]).unwrap(), "10.0.0.1");
        let both = |a, b| seen("10.0.0.1", &[("x-forwarded-for", a), ("forwarded", b)]);
        assert_eq!(both("192.0.2.1", "for=192.0.2.1").unwrap(), "192.0.2.1");
        assert_eq!(both("6.6.6.6", "for=192.0.2.1"), Err("malformed_request"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for value in ["", "unknown", "192.0.2.1,", "010.0.0.1", "192.0.2.1, x", "fe80::1%eth0"] {
            assert_eq!(seen("10.0.0.1", &[("x-forwarded-for", value)]), Err("malformed_request"), "{value}");
        }
        for value in ["for=_hidden", "proto=http", "for=1.1.1.1;for=2.2.2.2"] {
            assert_eq!(seen("10.0.0.1", &[("forwarded", value)]), Err("malformed_request"), "{value}");
        }
    }
}
