//! The PROXY protocol, versions 1 and 2: who is behind a connection that a load balancer passed on. Pure: bytes in,
//! verdict out (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Parsed by `ppp`, of which two things are not asked: where a header ends (bounds stand here, and nothing behind it is
//! touched), and what is lax in it (signs before ports, datagrams).

use ppp::{v1, v2};
use std::net::IpAddr;

/// A line of version 1 with its CRLF, as long as the specification allows.
const LINE_BYTES: usize = 107;
/// What version 2 has before its length.
const FIXED_BYTES: usize = 16;
/// Addresses and extensions of version 2. Real ones (a host name, a TLS subject, an id) need a few hundred bytes.
const MOST_BYTES: usize = 4096;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A header of so many bytes. It names the caller's address (canonical), or nobody: the connection is the
    /// load balancer's own.
    Header(usize, Option<IpAddr>),
    /// It may become one; more bytes are needed.
    Partial,
    /// It is none.
    Refused,
}

/// Judges the first bytes of a connection.
pub(super) fn read(bytes: &[u8]) -> Verdict {
    if starts(bytes, v2::PROTOCOL_PREFIX) {
        binary(bytes)
    } else if starts(bytes, b"PROXY ") {
        line(bytes)
    } else {
        Verdict::Refused
    }
}

/// Whether `bytes` begin with `prefix`, as far as they go.
fn starts(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(a, b)| a == b)
}

fn line(bytes: &[u8]) -> Verdict {
    let seen = bytes.get(..bytes.len().min(LINE_BYTES)).unwrap_or_default();
    let Some(lf) = memchr::memchr(b'\n', seen) else {
        return if seen.len() < LINE_BYTES { Verdict::Partial } else { Verdict::Refused };
    };
    let line = seen.get(..=lf).unwrap_or_default();
    let text = line.strip_suffix(b"\r\n").unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" .:".contains(byte);
    if text.is_empty() || !text.iter().all(plain) {
        return Verdict::Refused;
    }
    match v1::Header::try_from(line) {
        Ok(header) if header.header.len() == line.len() => match header.addresses {
            v1::Addresses::Unknown => Verdict::Header(line.len(), None),
            v1::Addresses::Tcp4(named) => from(line.len(), IpAddr::V4(named.source_address)),
            v1::Addresses::Tcp6(named) => from(line.len(), IpAddr::V6(named.source_address)),
        },
        Ok(_) | Err(_) => Verdict::Refused,
    }
}

fn binary(bytes: &[u8]) -> Verdict {
    let Some(&[high, low]) = bytes.get(FIXED_BYTES - 2..FIXED_BYTES) else { return Verdict::Partial };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > FIXED_BYTES + MOST_BYTES {
        return Verdict::Refused;
    }
    let Some(whole) = bytes.get(..length) else {
        // What is wrong already need not be waited for.
        return match v2::Header::try_from(bytes) {
            Err(v2::ParseError::Partial(..)) => Verdict::Partial,
            Ok(_) | Err(_) => Verdict::Refused,
        };
    };
    let Ok(header) = v2::Header::try_from(whole) else { return Verdict::Refused };
    match (header.command, header.protocol, header.addresses) {
        (v2::Command::Local, _, _) | (_, _, v2::Addresses::Unspecified) => Verdict::Header(length, None),
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv4(named)) => {
            from(length, IpAddr::V4(named.source_address))
        }
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv6(named)) => {
            from(length, IpAddr::V6(named.source_address))
        }
        // Datagrams are no HTTP of ours, and the path of a socket names nobody.
        (v2::Command::Proxy, _, _) => Verdict::Refused,
    }
}

fn from(length: usize, address: IpAddr) -> Verdict {
    Verdict::Header(length, Some(address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(length: usize, address: &str) -> Verdict {
        Verdict::Header(length, Some(address.parse().unwrap()))
    }

    /// Version 2 with this command and family byte.
    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, payload].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

    #[test]
    fn lines() {
        for (text, verdict) in [
            ("PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n", named(39, "192.0.2.7")),
            ("PROXY TCP4 192.0.2.7 10.0.0.1 0 65535\r\nGET /", named(39, "192.0.2.7")),
            ("PROXY TCP6 2001:db8::1 ::1 8080 80\r\n", named(36, "2001:db8::1")),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", named(37, "192.0.2.7")),
            ("PROXY UNKNOWN\r\n", Verdict::Header(15, None)),
            ("PROXY UNKNOWN ::1 ::1 1 2\r\nrest", Verdict::Header(27, None)),
        ] {
            assert_eq!(read(text.as_bytes()), verdict, "{text:?}");
        }
        for text in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 192.0.2.7 10.0.0.1 8080 80\r\n",
            " PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 8080\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 8080 80 1\r\n",
            "PROXY TCP4  192.0.2.7 10.0.0.1 8080 80\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 +8080 80\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 08080 80\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 65536 80\r\n",
            "PROXY TCP4 010.0.2.7 10.0.0.1 8080 80\r\n",
            "PROXY TCP4 2001:db8::1 ::1 8080 80\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 8080 80\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 8080 80\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 8080 80\r\n",
            "PROXY UNKNOWN\t\r\n",
            "PROXY TCP4 192.0.2.7\r10.0.0.1 8080 80\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Verdict::Refused, "{text:?}");
        }
    }

    #[test]
    fn a_line_is_as_long_as_it_may_be_and_one_longer() {
        let of = |length: usize| format!("PROXY UNKNOWN {}\r\n", "1".repeat(length - 16));
        assert_eq!(read(of(107).as_bytes()), Verdict::Header(107, None));
        assert_eq!(read(of(108).as_bytes()), Verdict::Refused);
        assert_eq!(read(&of(108).as_bytes()[..106]), Verdict::Partial);
    }

    #[test]
    fn binary_headers() {
        let v6 = [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &[0; 16], &[0, 1, 0, 2]].concat();
        let mapped = [&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7][..], &[0; 20]].concat();
        let extended = [&V4[..], &[2, 0, 3, b'a', b'.', b'b']].concat();
        for (bytes, verdict) in [
            (v2(1, 0x11, &V4), named(28, "192.0.2.7")),
            (v2(1, 0x11, &extended), named(34, "192.0.2.7")),
            (v2(1, 0x21, &v6), named(52, "2001:db8::9")),
            (v2(1, 0x21, &mapped), named(52, "192.0.2.7")),
            (v2(0, 0x00, &[]), Verdict::Header(16, None)),
            (v2(0, 0x11, &V4), Verdict::Header(28, None)),
            (v2(1, 0x00, &[]), Verdict::Header(16, None)),
            (v2(1, 0x12, &V4), Verdict::Refused),
            (v2(1, 0x11, &V4[..11]), Verdict::Refused),
            (v2(1, 0x31, &[0; 216]), Verdict::Refused),
            (v2(2, 0x11, &V4), Verdict::Refused),
            (v2(1, 0x41, &V4), Verdict::Refused),
            (v2(1, 0x13, &V4), Verdict::Refused),
        ] {
            assert_eq!(read(&bytes), verdict, "{bytes:?}");
            assert_eq!(read(&[&bytes[..], b"GET /"].concat()), verdict, "{bytes:?}");
        }
        let version_1 = [v2::PROTOCOL_PREFIX, &[0x11, 0x11, 0, 12], &V4].concat();
        assert_eq!(read(&version_1), Verdict::Refused);
    }

    #[test]
    fn a_binary_header_is_as_long_as_it_may_be_and_one_longer() {
        let of = |length: usize| v2(1, 0x11, &[&V4[..], &vec![0; length - V4.len()]].concat());
        assert_eq!(read(&of(4096)), named(4112, "192.0.2.7"));
        assert_eq!(read(&of(4097)[..16]), Verdict::Refused);
    }

    proptest! {
        /// Every part of a header is a part of one, and what follows changes nothing.
        #[test]
        fn any_part_is_partial(rest in proptest::collection::vec(any::<u8>(), 0..20), v6 in any::<[u8; 16]>()) {
            let address = std::net::Ipv6Addr::from(v6);
            let text = format!("PROXY TCP6 {address} ::1 1 2\r\n");
            let payload = [&v6[..], &[0; 20]].concat();
            for header in [text.into_bytes(), v2(1, 0x21, &payload)] {
                for end in 0..header.len() {
                    prop_assert_eq!(read(&header[..end]), Verdict::Partial);
                }
                let expected = Verdict::Header(header.len(), Some(IpAddr::V6(address).to_canonical()));
                prop_assert_eq!(read(&[&header[..], &rest].concat()), expected);
            }
        }

        /// Whatever comes: no panic, and no header that is longer than the bytes.
        #[test]
        fn any_bytes(head in 0usize..3, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let prefix: &[u8] = [&b""[..], b"PROXY ", v2::PROTOCOL_PREFIX][head];
            let bytes = [prefix, &bytes].concat();
            if let Verdict::Header(length, _) = read(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
