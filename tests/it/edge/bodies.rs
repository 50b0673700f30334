//! Bodies: how large, how slow, and what happens to those that nobody reads.

use super::inside::{Edge, Settings, request, timed};
use super::{assert_refusal, head, without_upstream};
use crate::harness::{Connection, End, Gateway, RawResponse};
use portcullis::config::{BodyLimits, EdgeLimits};
use std::time::{Duration, Instant};

const PUT: &str = "PUT /v1/production/files/a HTTP/1.1";
const AUTHORIZED: &str = "Host: gate.test\r\nAuthorization: Bearer {token}";

fn put(framing: &str, token: &str) -> Vec<u8> {
    head(PUT, &format!("{AUTHORIZED}\r\n{framing}"), token)
}

#[test]
fn announced_bodies_at_the_limit_and_one_past() {
    let gateway = Gateway::builder().node("[edge.limits]\nbody_bytes = \"2KiB\"").start();
    let token = gateway.writer_token();
    gateway.raw([put("Content-Length: 2048", &token), vec![b'x'; 2048]].concat()).expect(200);
    assert_eq!(gateway.upstream.last().body.len(), 2048);
    for length in ["2049", "999999999999999999"] {
        let response = without_upstream(&gateway, || {
            let mut connection = gateway.connect();
            connection.exchange(&put(&format!("Content-Length: {length}"), &token))
        });
        assert_refusal(&response, 413, "body_too_large");
        assert!(response.closed(), "{}", response.head);
    }
    // Whoever waits for a 100 does not get one.
    let expecting = put("Expect: 100-continue\r\nContent-Length: 2049", &token);
    let response = without_upstream(&gateway, || gateway.raw(expecting));
    assert_refusal(&response, 413, "body_too_large");
    assert_eq!(response.interim.len(), 0);
    // The checks come first: limits are nobody's business who may not ask at all.
    let response = without_upstream(&gateway, || gateway.raw(put("Content-Length: 2049", "x")));
    assert_refusal(&response, 401, "token_invalid");
}

#[test]
fn chunked_bodies_are_cut_as_soon_as_they_pass() {
    let gateway = Gateway::builder().node("[edge.limits]\nbody_bytes = \"2KiB\"").start();
    let token = gateway.writer_token();
    let chunked = |sizes: &[usize]| {
        let chunks = sizes.iter().map(|size| format!("{size:x}\r\n{}\r\n", "x".repeat(*size)));
        chunks.collect::<String>()
    };
    let whole = [put("Transfer-Encoding: chunked", &token), (chunked(&[1024, 1024]) + "0\r\n\r\n").into()].concat();
    gateway.raw(whole).expect(200);
    assert_eq!(gateway.upstream.last().body.len(), 2048);
    let before = gateway.upstream.requests().len();
    let mut connection = gateway.connect();
    // It does not end: nobody waits for its end.
    connection.send([put("Transfer-Encoding: chunked", &token), chunked(&[1024, 1024, 1]).into()].concat());
    let response = connection.read_response();
    assert_refusal(&response, 413, "body_too_large");
    let (rest, end) = connection.read_to_end();
    assert!(rest.is_empty() && end != End::Silent);
    assert_eq!(gateway.upstream.requests().len(), before, "a whole request arrived");
    let last = gateway.upstream.connections().concat();
    assert!(!last.ends_with(b"0\r\n\r\n0\r\n\r\n"));
}

fn slow_limits(rate: Option<u64>) -> Settings {
    let body = BodyLimits { body_idle_timeout: Duration::from_secs(2), body_rate: rate, ..BodyLimits::default() };
    Settings { limits: EdgeLimits { body, ..EdgeLimits::default() }, ..Settings::default() }
}

/// Reads the answer and the end of the connection.
fn ended(connection: &mut Connection) -> RawResponse {
    let mut response = connection.read_response();
    let (rest, end) = connection.read_to_end();
    (response.leftover, response.end) = (rest, end);
    response
}

#[test]
fn silent_bodies_end() {
    let edge = Edge::start(&slow_limits(None));
    let token = edge.writer_token();
    for (kind, sent) in [("text/plain", ""), ("text/plain", "hello"), ("application/grpc+proto", "hello")] {
        let mut connection = edge.connect();
        let fields = format!("Content-Type: {kind}\r\nContent-Length: 10\r\n");
        connection.send(request("PUT /files/a", &fields, &token));
        connection.send(sent);
        let (took, response) = timed(|| ended(&mut connection));
        assert_refusal(&response, 408, "request_timeout");
        assert!(response.end != End::Silent && response.leftover.is_empty());
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(9), "{took:?}");
    }
    assert!(edge.upstream.requests().is_empty(), "a whole request arrived");
}

/// One byte now and then is no silence, and no body either, whatever it calls itself: no stream of calls is possible
/// over HTTP/1.
#[test]
fn dripping_bodies_end() {
    let edge = Edge::start(&slow_limits(Some(256)));
    std::thread::scope(|scope| {
        for kind in ["text/plain", "application/grpc", "application/grpc+proto", "application/grpcooo"] {
            let mut connection = edge.connect();
            let fields = format!("Content-Type: {kind}\r\nTE: trailers\r\nContent-Length: 1000\r\n");
            connection.send(request("PUT /files/a", &fields, &edge.writer_token()));
            scope.spawn(move || drips(connection, kind));
        }
    });
    assert!(edge.upstream.requests().is_empty(), "a whole request arrived");
}

fn drips(mut connection: Connection, kind: &str) {
    let mut writing = connection.stream().try_clone().unwrap();
    let began = Instant::now();
    let dripping = std::thread::spawn(move || {
        while began.elapsed() < Duration::from_secs(20) {
            if std::io::Write::write_all(&mut writing, b"x").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let (bytes, end) = loop {
        let (bytes, end) = connection.read_to_end();
        if !bytes.is_empty() || end != End::Silent || began.elapsed() > Duration::from_secs(20) {
            break (bytes, end);
        }
    };
    let took = began.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(16), "{kind}: {took:?} {end:?}");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("request_timeout"), "{kind}: {text}");
    drop(connection);
    let _ = dripping.join();
}

/// What is slow and honest gets through: pauses within the idle time, and enough in all.
#[test]
fn honest_bodies_notice_nothing() {
    let edge = Edge::start(&slow_limits(Some(256)));
    let mut connection = edge.connect();
    connection.send(request("PUT /files/a", "Content-Length: 12000\r\n", &edge.writer_token()));
    for _ in 0..12 {
        connection.send([b'x'; 1000]);
        std::thread::sleep(Duration::from_millis(1050));
    }
    connection.read_response().expect(200);
    assert_eq!(edge.upstream.last().body.len(), 12000);
}

/// After a refusal what is left of a body is read away within bounds, and never taken for a request.
#[test]
fn bodies_that_nobody_reads() {
    let gateway = Gateway::start();
    let smuggled = gateway.get("/cards").bearer(&gateway.reader_token()).bytes();
    // Short: the connection goes on.
    let mut connection = gateway.connect();
    let framing = format!("Content-Length: {}", smuggled.len());
    let response = without_upstream(&gateway, || connection.exchange(&[put(&framing, "x"), smuggled.clone()].concat()));
    assert_refusal(&response, 401, "token_invalid");
    connection.exchange(&gateway.get("/cards").bearer(&gateway.reader_token()).bytes()).expect(200);
    // Long: the answer arrives, then the end, and nothing of the rest is read as a request.
    let before = gateway.upstream.bytes_received();
    let mut connection = gateway.connect();
    connection.send(put("Content-Length: 100000000", "x"));
    let mut filler = smuggled.repeat(1000);
    filler.truncate(200_000);
    connection.send(&filler);
    let response = connection.read_response();
    assert_refusal(&response, 401, "token_invalid");
    let (rest, end) = connection.read_to_end();
    assert!(rest.is_empty() && end != End::Silent, "{end:?}");
    // Silent: given up within five seconds.
    let mut connection = gateway.connect();
    connection.send(put("Content-Length: 10", "x"));
    let (took, response) = timed(|| ended(&mut connection));
    assert_refusal(&response, 401, "token_invalid");
    assert!(took < Duration::from_secs(9) && response.end != End::Silent, "{took:?}");
    assert_eq!(gateway.upstream.bytes_received(), before);
}

/// Whatever is wrong with a chunk: 400 or the end, and never a whole request upstream.
#[test]
fn chunks_that_are_none() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for body in [
        "0x2e\r\nab\r\n0\r\n\r\n",
        "12345678901234567\r\nab\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nab\r\n0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "2\nab\n0\n\n",
        "2 \r\nab\r\n0\r\n\r\n ",
        "+2\r\nab\r\n0\r\n\r\n",
        "\r\n2\r\nab\r\n0\r\n\r\n",
        "2;a\nb\r\nab\r\n0\r\n\r\n",
        "2\r\nab\r\n0\r\n",
    ] {
        let before = gateway.upstream.requests().len();
        let mut connection = gateway.connect();
        connection.send([put("Transfer-Encoding: chunked", &token), body.into()].concat());
        connection.finish();
        let (answer, _) = connection.read_to_end();
        let answer = String::from_utf8_lossy(&answer);
        let whole = gateway.upstream.requests().len() > before;
        if body.starts_with("2 \r\n") {
            // White space after a size is taken by some; then it means the same to both.
            assert!(!whole || gateway.upstream.last().body == b"ab", "{body:?}");
        } else {
            assert!(!whole, "{body:?}: a whole request arrived; {answer}");
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{body:?}: {answer}");
        }
    }
}
