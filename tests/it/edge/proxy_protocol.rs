//! PROXY headers: who is behind a load balancer, and what becomes of whoever sends none.

use super::{assert_refusal, without_upstream};
use crate::harness::{Authority, Connection, End, Gateway, Key, eventually, reader};
use std::time::{Duration, Instant};

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n";

/// Version 2 for an IPv4 or IPv6 caller, with an extension behind the addresses.
fn v2(caller: std::net::IpAddr) -> Vec<u8> {
    let (family, source, destination) = match caller {
        std::net::IpAddr::V4(caller) => (0x11, caller.octets().to_vec(), vec![192, 0, 2, 1]),
        std::net::IpAddr::V6(caller) => (0x21, caller.octets().to_vec(), vec![0; 16]),
    };
    let payload = [&source[..], &destination, &[0x12, 0x67, 1, 0xbb], &[5, 0, 3, b'u', b'i', b'd']].concat();
    header(0x21, family, &payload)
}

fn header(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, payload].concat()
}

fn gateway(trusted: &str) -> Gateway {
    Gateway::builder()
        .edge_listener("proxy_protocol = \"required\"")
        .node(&format!("[edge]\ntrusted_proxies = [{trusted}]\n[edge.limits]\nhandshake_timeout = \"500ms\""))
        .key(&Key::new("fixed", &["cards:read"]).allowed_from(&["203.0.113.0/24"]))
        .start()
}

/// A token, asked for through the load balancer.
fn token(gateway: &Gateway, connection: Connection) -> String {
    token_of(gateway, connection, &reader())
}

fn token_of(gateway: &Gateway, mut connection: Connection, key: &Key) -> String {
    let request = gateway.post("/oauth2/token").basic(&key.id, &key.secret).form("grant_type=client_credentials");
    let answer = request.send_on(&mut connection).expect(200).json();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn behind(gateway: &Gateway, header: &[u8]) -> Connection {
    let mut connection = gateway.connect();
    connection.send(header);
    connection
}

#[test]
fn the_header_says_who_the_caller_is() {
    let gateway = gateway("\"127.0.0.1\", \"10.0.0.0/8\"");
    let token = token(&gateway, behind(&gateway, V1));
    let request = gateway.get("/cards").bearer(&token).header("X-Forwarded-For", "198.51.100.77, 192.0.2.4");
    for (header, caller, chain) in [
        (V1.to_vec(), "203.0.113.9", "203.0.113.9"),
        (b"PROXY TCP6 2001:db8::5 ::1 1 2\r\n".to_vec(), "2001:db8::5", "2001:db8::5"),
        (v2("203.0.113.9".parse().unwrap()), "203.0.113.9", "203.0.113.9"),
        (v2("2001:db8::5".parse().unwrap()), "2001:db8::5", "2001:db8::5"),
        (v2("::ffff:203.0.113.9".parse().unwrap()), "203.0.113.9", "203.0.113.9"),
        // What was forwarded counts only from a proxy that is trusted too.
        (v2("10.1.2.3".parse().unwrap()), "192.0.2.4", "198.51.100.77, 192.0.2.4, 10.1.2.3"),
        // Nobody is named: the load balancer itself. It passes on what callers say, so that it forwards for nobody.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1", "127.0.0.1"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), "127.0.0.1", "127.0.0.1"),
        (header(0x20, 0, &[]), "127.0.0.1", "127.0.0.1"),
        (header(0x21, 0, &[]), "127.0.0.1", "127.0.0.1"),
    ] {
        let answer = request.send_on(&mut behind(&gateway, &header)).expect(200);
        let seen = gateway.upstream.last();
        assert_eq!(seen.header("x-forwarded-for"), Some(chain), "{header:?}");
        assert!(!seen.head.contains("PROXY"), "{}", seen.head);
        let line = gateway.log_line(answer.header("x-request-id").unwrap());
        assert_eq!(line["address"], caller, "{header:?}");
    }
}

#[test]
fn allowlists_are_asked_about_the_caller() {
    let gateway = gateway("\"127.0.0.1\"");
    let key = Key::new("fixed", &["cards:read"]);
    let token = token_of(&gateway, behind(&gateway, V1), &key);
    let request = gateway.get("/cards").bearer(&token);
    request.send_on(&mut behind(&gateway, V1)).expect(200);
    let other = b"PROXY TCP4 198.51.100.1 192.0.2.1 1 2\r\n";
    let refused = without_upstream(&gateway, || request.send_on(&mut behind(&gateway, other)));
    let detail = assert_refusal(&refused, 403, "ip_not_allowed");
    assert!(detail.contains("198.51.100.1"), "{detail}");
    // Where nobody is named, the caller cannot name itself either.
    let request = request.header("X-Forwarded-For", "203.0.113.9").header("Forwarded", "for=203.0.113.9");
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), header(0x20, 0, &[]), header(0x21, 0, &[])] {
        let refused = without_upstream(&gateway, || request.send_on(&mut behind(&gateway, &header)));
        let detail = assert_refusal(&refused, 403, "ip_not_allowed");
        assert!(detail.contains("127.0.0.1"), "{detail}");
        let line = gateway.log_line(refused.header("x-request-id").unwrap());
        assert_eq!(line["address"], "127.0.0.1");
    }
}

#[test]
fn nothing_behind_the_header_is_lost() {
    let gateway = gateway("\"127.0.0.1\"");
    let token = token(&gateway, behind(&gateway, V1));
    let request = gateway.post("/cards").bearer(&token).body("text/plain", "x".repeat(3000));
    let bytes = gateway.get("/cards").bearer(&token).bytes();
    for header in [V1.to_vec(), v2("203.0.113.9".parse().unwrap())] {
        // All at once, and byte by byte.
        gateway.connect().exchange(&[&header[..], &bytes].concat()).expect(200);
        let mut connection = gateway.connect();
        for byte in &header {
            connection.send([*byte]);
        }
        connection.exchange(&bytes).expect(200);
        // It comes once a connection: the next request is one.
        connection.exchange(&bytes).expect(200);
    }
    // A body that came along arrives whole, or is refused whole.
    let answer = gateway.connect().exchange(&[V1, &request.bytes()].concat());
    assert_refusal(&answer, 403, "permission_missing");
}

#[test]
fn whoever_sends_none_gets_no_byte() {
    let gateway = gateway("\"127.0.0.1\"");
    let token = token(&gateway, behind(&gateway, V1));
    let request = gateway.get("/cards").bearer(&token).bytes();
    without_upstream(&gateway, || {
        for first in [
            &b""[..],
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\n",
            b"PROXY UDP4 203.0.113.9 192.0.2.1 4711 443\r\n",
            &header(0x21, 0x12, &[0; 12]),
            &header(0x21, 0x11, &[0; 11]),
            &header(0x11, 0x11, &[0; 12]),
            b"\x16\x03\x01\x02\x00\x01",
        ] {
            let mut connection = gateway.connect();
            connection.send([first, &request].concat());
            let (answer, end) = connection.read_to_end();
            assert!(answer.is_empty() && end != End::Silent, "{first:?}: {end:?} {answer:?}");
        }
        // A trusted header from somebody who is not trusted.
        let mut connection = gateway.connect_from("127.0.0.9");
        connection.send([V1, &request].concat());
        let (answer, end) = connection.read_to_end();
        assert!(answer.is_empty() && end != End::Silent, "{end:?}");
    });
    let metrics = gateway.metrics();
    assert!(metrics.contains("portcullis_connections_refused_total{reason=\"proxy_untrusted\"} 1"), "{metrics}");
    assert!(metrics.contains("portcullis_connections_refused_total{reason=\"proxy_header\"} 8"), "{metrics}");
    // A connection is counted off a moment after its caller sees it end.
    let gone = || gateway.metrics().contains("portcullis_connections{listener=\"edge\"} 0\n").then_some(());
    eventually("none is left", gone);
}

#[test]
fn it_comes_in_time_or_not_at_all() {
    let gateway = gateway("\"127.0.0.1\"");
    let token = token(&gateway, behind(&gateway, V1));
    let request = gateway.get("/cards").bearer(&token).bytes();
    for part in [0, 10, V1.len() - 1] {
        let since = Instant::now();
        let mut connection = behind(&gateway, &V1[..part]);
        let (answer, _) = connection.read_to_end();
        let waited = since.elapsed();
        assert!(answer.is_empty(), "{answer:?}");
        assert!(waited > Duration::from_millis(400) && waited < Duration::from_secs(5), "{waited:?}");
    }
    // Once it is there, the request has its own time.
    let mut connection = behind(&gateway, V1);
    std::thread::sleep(Duration::from_millis(800));
    connection.exchange(&request).expect(200);
    eventually("the three are counted", || {
        gateway.metrics().contains("refused_total{reason=\"handshake_timeout\"} 3").then_some(())
    });
}

#[test]
fn it_comes_before_tls() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["gate.test"]);
    let gateway = Gateway::builder()
        .edge_listener("proxy_protocol = \"required\"")
        .tls(&[&certificate])
        .node("[edge]\ntrusted_proxies = [\"127.0.0.1\"]")
        .start();
    let open = |header: &[u8]| behind(&gateway, header).secure(&authority.pem(), "gate.test", &[]);
    let token = token(&gateway, open(V1).unwrap());
    gateway.get("/cards").bearer(&token).send_on(&mut open(&v2("203.0.113.9".parse().unwrap())).unwrap()).expect(200);
    let seen = gateway.upstream.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(seen.header("forwarded"), Some("for=203.0.113.9;proto=https"));
    assert!(open(b"").is_err());
    // Not inside of it either.
    let mut inside = open(V1).unwrap();
    let answer = inside.exchange(&[V1, b"Host: gate.test\r\n\r\n"].concat());
    assert_refusal(&answer, 400, "malformed_request");
}
