//! Whatever runs for long ends with its key: cut, and told of like any other request.

use super::assert_refusal;
use super::inside::{Edge, RECHECK, Settings, request};
use crate::harness::{Answer, Connection, End, PATIENCE, RawResponse};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Cut within a few checks, on a busy machine.
const SOON: Duration = Duration::from_secs(8);

const WEB_SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A stream that has begun; whoever drops the sender ends it.
fn stream(edge: &Edge, path: &str, token: &str) -> (Connection, RawResponse, mpsc::Sender<Vec<u8>>) {
    let (chunks, receiver) = mpsc::channel();
    edge.upstream.on(&format!("/api{path}"), Answer::Stream(receiver));
    let mut connection = edge.connect();
    connection.send(request(&format!("GET {path}"), "", token));
    let mut head = connection.read_head();
    assert_eq!(head.status, 200);
    chunks.send(b"first".to_vec()).unwrap();
    assert_eq!(connection.read_chunk(&mut head), Some(b"first".to_vec()));
    (connection, head, chunks)
}

/// Reads to the end of the connection; when it came.
fn cut(connection: &mut Connection) -> (Duration, Vec<u8>) {
    let began = Instant::now();
    loop {
        let (bytes, end) = connection.read_to_end();
        if end != End::Silent || began.elapsed() > PATIENCE {
            assert_ne!(end, End::Silent, "the connection goes on");
            return (began.elapsed(), bytes);
        }
    }
}

fn without(key: &str) -> impl FnOnce(String) -> String {
    let stanza = format!("[[environments.production.keys]]\nclient_id = \"{key}\"");
    move |text| {
        let start = text.find(&stanza).unwrap();
        let end = text[start + 2..].find("[[").map_or(text.len(), |next| start + 2 + next);
        format!("{}{}", &text[..start], &text[end..])
    }
}

#[test]
fn a_stream_is_cut_when_its_key_is_gone_and_others_go_on() {
    let edge = Edge::start(&Settings::default());
    let (mut cut_one, _head, chunks) = stream(&edge, "/files/a", &edge.writer_token());
    let reader = edge.token("reader", "pculls_canary_reader_secret");
    let (mut other, mut head, more) = stream(&edge, "/cards", &reader);
    std::thread::sleep(RECHECK * 3);
    edge.change(without("writer"));
    let (took, rest) = cut(&mut cut_one);
    assert!(took < SOON, "{took:?}");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut answer must not look whole");
    let line = edge.log_line("/v1/production/files/a");
    assert_eq!((&line["status"], &line["outcome"], &line["code"]), (&200.into(), &"cut".into(), &"key_revoked".into()));
    assert_eq!((&line["client_id"], &line["bytes_out"]), (&"writer".into(), &5.into()), "{line}");
    let metrics = String::from_utf8(edge.metrics.render().unwrap()).unwrap();
    assert!(metrics.contains("code_class=\"2xx\",environment=\"acme/production\",method=\"GET\",outcome=\"cut\"} 1"));
    drop(chunks);
    more.send(b"second".to_vec()).unwrap();
    assert_eq!(other.read_chunk(&mut head), Some(b"second".to_vec()));
    drop(more);
    assert_eq!((other.read_chunk(&mut head), head.truncated), (None, false));
}

/// Every way in which a key can end, or no longer open what it opened.
#[test]
fn every_end_of_a_key_cuts() {
    type Edit = fn(String) -> String;
    let expiry = "permissions = [\"cards:read\", \"cards:write\"";
    assert!(crate::harness::writer().stanza("production").contains(expiry));
    let cases: [(&str, Edit, &str); 6] = [
        ("expiry", |text| text.replace(WRITER, &format!("{WRITER}expires_at = 2020-01-01T00:00:00Z\n")), "key_expired"),
        (
            "another secret",
            |text| {
                let digest = crate::harness::writer().stanza("production");
                let digest = digest.lines().find(|line| line.starts_with("secret_digest")).unwrap().to_owned();
                text.replace(&digest, &format!("secret_digest = \"sha256:{}\"", "0".repeat(64)))
            },
            "secret_rotated",
        ),
        (
            "another address",
            |text| text.replace(WRITER, &format!("{WRITER}allowlist = {{ networks = [\"192.0.2.1\"] }}\n")),
            "ip_not_allowed",
        ),
        ("fewer permissions", |text| text.replace("\"files:read\", \"files:write\", ", ""), "permission_missing"),
        (
            "no such operation",
            |text| text.replace("\"files:read\" = \"GET /files/{path...}\"", "\"files:read\" = \"GET /filed\""),
            "operation_unknown",
        ),
        ("another base URL", |text| text.replace("gate.test/v1/production", "gate.test/v2"), "environment_unknown"),
    ];
    for (what, edit, code) in cases {
        let edge = Edge::start(&Settings::default());
        let (mut connection, _head, _chunks) = stream(&edge, "/files/a", &edge.writer_token());
        edge.change(edit);
        let (took, _) = cut(&mut connection);
        assert!(took < SOON, "{what}: {took:?}");
        assert_eq!(edge.log_line("/v1/production/files/a")["code"], code, "{what}");
    }
}

const WRITER: &str = "client_id = \"writer\"\nname = \"writer\"\n";

#[test]
fn a_web_socket_is_cut() {
    let edge = Edge::start(&Settings::default());
    edge.upstream.on("/api/socket", Answer::WebSocketEcho);
    let mut connection = edge.connect();
    connection.send(request("GET /socket", WEB_SOCKET, &edge.writer_token()));
    assert_eq!(connection.read_head().status, 101);
    // A masked "hi".
    connection.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    assert_eq!(connection.read_exactly(4).0, [0x81, 2, b'h', b'i']);
    std::thread::sleep(RECHECK * 3);
    connection.send([0x81, 0x82, 0, 0, 0, 0, b'y', b'o']);
    assert_eq!(connection.read_exactly(4).0, [0x81, 2, b'y', b'o']);
    edge.change(without("writer"));
    let (took, rest) = cut(&mut connection);
    assert!(took < SOON && rest.is_empty(), "{took:?} {rest:?}");
    let line = edge.log_line("/v1/production/socket");
    assert_eq!((&line["status"], &line["outcome"]), (&101.into(), &"cut".into()));
}

/// A token's own end ends no stream. So that of a token that was stolen can be ended, it can be revoked after its end too.
#[test]
fn streams_of_a_token_that_has_expired_end_with_its_revocation() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static LATER: AtomicI64 = AtomicI64::new(0);
    let clock = || portcullis::clock::now().plus_seconds(LATER.load(Ordering::Relaxed));
    let edge = Edge::start(&Settings { clock, ..Settings::default() });
    edge.upstream.on("/api/socket", Answer::WebSocketEcho);
    let (token, other) = (edge.writer_token(), edge.writer_token());
    let mut sockets: Vec<Connection> = [&token, &other]
        .into_iter()
        .map(|token| {
            let mut connection = edge.connect();
            connection.send(request("GET /socket", WEB_SOCKET, token));
            assert_eq!(connection.read_head().status, 101);
            connection
        })
        .collect();
    // A day past the end of both.
    LATER.store(86_400, Ordering::Relaxed);
    assert_refusal(&edge.connect().exchange(&request("GET /cards", "", &token)), 401, "token_expired");
    let writer = crate::harness::writer();
    edge.revoke(&writer.id, &writer.secret, &token);
    // What is over is forgotten now and then.
    edge.tables.revoked().purge(clock());
    let (_, rest) = cut(&mut sockets[0]);
    assert!(rest.is_empty(), "{rest:?}");
    let line = edge.log_line("/v1/production/socket");
    assert_eq!((&line["outcome"], &line["code"]), (&"cut".into(), &"token_revoked".into()));
    sockets[1].send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    assert_eq!(sockets[1].read_exactly(4).0, [0x81, 2, b'h', b'i']);
}

#[test]
fn an_upload_is_cut() {
    let edge = Edge::start(&Settings::default());
    let mut connection = edge.connect();
    connection.send(request("PUT /files/up", "Content-Length: 1000000\r\n", &edge.writer_token()));
    connection.send([b'x'; 1000]);
    crate::harness::eventually("the upload has begun", || (edge.upstream.bytes_received() > 1000).then_some(()));
    edge.change(without("writer"));
    let (took, rest) = cut(&mut connection);
    assert!(took < SOON, "{took:?}");
    assert_eq!(String::from_utf8_lossy(&rest), "");
    assert!(edge.upstream.requests().is_empty(), "a whole request arrived");
    assert_eq!(edge.log_line("/v1/production/files/up")["outcome"], "cut");
}

/// What needs no key has none to end with, and a token's own end is none of a request that has begun.
#[test]
fn what_goes_on() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static LATER: AtomicI64 = AtomicI64::new(0);
    let clock = || portcullis::clock::now().plus_seconds(LATER.load(Ordering::Relaxed));
    let edge = Edge::start(&Settings { clock, ..Settings::default() });
    let (mut public, mut public_head, public_chunks) = stream(&edge, "/health", "x");
    let (mut held, mut held_head, held_chunks) = stream(&edge, "/files/a", &edge.writer_token());
    // Past the end of every token.
    LATER.store(7200, Ordering::Relaxed);
    edge.change(without("reader"));
    std::thread::sleep(RECHECK * 5);
    for (connection, head, chunks) in
        [(&mut public, &mut public_head, &public_chunks), (&mut held, &mut held_head, &held_chunks)]
    {
        chunks.send(b"second".to_vec()).unwrap();
        assert_eq!(connection.read_chunk(head), Some(b"second".to_vec()));
    }
}
