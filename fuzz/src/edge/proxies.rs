//! A PROXY header: the parts of one are parts of one, what follows changes nothing, and a second reader of the fields
//! (written after the specification) reads the same address.

use super::proxy_header::{Verdict, read};
use std::net::IpAddr;

pub fn check(bytes: &[u8]) {
    let verdict = read(bytes);
    match verdict {
        Verdict::Header(length, address) => {
            assert!(length <= bytes.len());
            let header = &bytes[..length];
            assert_eq!(read(header), verdict, "what follows changes it");
            for end in 0..length {
                assert_eq!(read(&header[..end]), Verdict::Partial, "a part of {end} of {length} bytes");
            }
            assert_eq!(address, if header[0] == b'P' { of_line(header) } else { of_binary(header) });
        }
        Verdict::Partial => assert!(bytes.len() < 16 + 4096 + 1),
        Verdict::Refused => {
            // Nothing that follows makes it one.
            assert_eq!(read(&[bytes, b"\r\n"].concat()), Verdict::Refused);
            assert_eq!(read(&[bytes, &[0; 64]].concat()), Verdict::Refused);
        }
    }
}

fn of_line(header: &[u8]) -> Option<IpAddr> {
    let line = std::str::from_utf8(header).unwrap().strip_suffix("\r\n").unwrap();
    let parts: Vec<&str> = line.split(' ').collect();
    assert_eq!(parts[0], "PROXY");
    if parts[1] == "UNKNOWN" {
        return None;
    }
    assert_eq!(parts.len(), 6);
    let [source, target]: [IpAddr; 2] = [parts[2].parse().unwrap(), parts[3].parse().unwrap()];
    assert!(source.is_ipv4() == (parts[1] == "TCP4") && target.is_ipv4() == source.is_ipv4());
    for port in &parts[4..] {
        let number: u16 = port.parse().unwrap();
        assert_eq!(number.to_string(), *port);
    }
    Some(source.to_canonical())
}

fn of_binary(header: &[u8]) -> Option<IpAddr> {
    assert_eq!(&header[..12], b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(usize::from(u16::from_be_bytes([header[14], header[15]])), header.len() - 16);
    match (header[12], header[13]) {
        (0x20, _) | (0x21, 0x00..=0x0f) => None,
        (0x21, 0x11) => Some(IpAddr::from(<[u8; 4]>::try_from(&header[16..20]).unwrap())),
        (0x21, 0x21) => Some(IpAddr::from(<[u8; 16]>::try_from(&header[16..32]).unwrap()).to_canonical()),
        other => panic!("accepted {other:?}"),
    }
}
