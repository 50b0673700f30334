//! Heads and bodies whose framing two parsers could read differently: all refused before anything is decided.

use super::{assert_refusal, head, without_upstream};
use crate::harness::{Answer, BASE_PATH, End, Gateway, HOST, eventually};
use std::sync::mpsc;
use std::time::Duration;

const LINE: &str = "GET /v1/production/cards HTTP/1.1";
const POST: &str = "POST /v1/production/cards HTTP/1.1";
const PUT: &str = "PUT /v1/production/files/a HTTP/1.1";
const AUTHORIZED: &str = "Host: gate.test\r\nAuthorization: Bearer {token}";

/// 400, closed, nothing after it and nothing upstream.
#[track_caller]
fn assert_malformed(gateway: &Gateway, bytes: &[u8]) {
    eprintln!("--- {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
    let response = without_upstream(gateway, || gateway.raw(bytes));
    assert_refusal(&response, 400, "malformed_request");
    assert!(response.closed(), "the connection stays open: {:?}\n{}", response.end, response.head);
    assert_eq!(String::from_utf8_lossy(&response.leftover), "");
}

#[test]
fn host() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let bearer = "Authorization: Bearer {token}";
    for hosts in [
        "",
        "Host:\r\n",
        "Host: gate.test\r\nHost: gate.test\r\n",
        "Host: gate.test\r\nhOST: other.test\r\n",
        "Host: gate .test\r\n",
        "Host: gate.test other\r\n",
        "Host: gate.test,other.test\r\n",
        "Host: user@gate.test\r\n",
        "Host: gate.test/x\r\n",
    ] {
        assert_malformed(&gateway, &head(LINE, &format!("{hosts}{bearer}"), &token));
    }
}

#[test]
fn absolute_form_only_with_its_own_host() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for authority in ["gate.test", "GATE.test"] {
        let line = format!("GET http://{authority}{BASE_PATH}/cards?a=b HTTP/1.1");
        gateway.raw(head(&line, AUTHORIZED, &token)).expect(200);
        assert_eq!(gateway.upstream.last().target, "/api/cards?a=b");
    }
    for target in [
        "http://other.test/v1/production/cards",
        "http://gate.test:81/v1/production/cards",
        "http://user@gate.test/v1/production/cards",
        "http:///v1/production/cards",
        "ftp://gate.test/v1/production/cards",
        "gate.test/v1/production/cards",
        "v1/production/cards",
        "*",
    ] {
        assert_malformed(&gateway, &head(&format!("GET {target} HTTP/1.1"), AUTHORIZED, &token));
    }
}

#[test]
fn request_lines() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for line in [
        "GET  /v1/production/cards HTTP/1.1",
        "GET /v1/production/cards  HTTP/1.1",
        "GET\t/v1/production/cards HTTP/1.1",
        " GET /v1/production/cards HTTP/1.1",
        "GET /v1/production/cards HTTP/1.1 ",
        "GET /v1/production/cards",
        "GET /v1/production/ca rds HTTP/1.1",
        "GET /v1/production/cards HTTP/1.2x",
        "GET /v1/production/cards http/1.1",
        "GET /v1/production/cards HTTP/2.0",
        "GET /v1/production/cards?a b HTTP/1.1",
        "GET /v1/production/cards?a\u{1b} HTTP/1.1",
        "GET /v1/production/cards?a#b HTTP/1.1",
        "GET /v1/production/cards?a=\"b\" HTTP/1.1",
        "GET /v1/production/cards?a=<b> HTTP/1.1",
        "GET /v1/production/files/<b> HTTP/1.1",
        "GET /v1/production/files/\"b\" HTTP/1.1",
        "GET /v1/production/files/`b` HTTP/1.1",
        "G@T /v1/production/cards HTTP/1.1",
        " /v1/production/cards HTTP/1.1",
    ] {
        eprintln!("--- {line:?}");
        let response = without_upstream(&gateway, || gateway.raw(head(line, AUTHORIZED, &token)));
        assert!(response.closed(), "{}", response.head);
        let code = response.header("portcullis-error").unwrap_or_default();
        let sound = response.status == 400 && matches!(code, "malformed_request" | "target_ambiguous");
        assert!(sound, "{}\n{}", response.head, response.text());
    }
}

/// Whatever byte stands in a target: it arrives as sent, or Portcullis itself refuses it.
#[test]
fn every_byte_in_path_and_query() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for byte in 0..=0xff {
        for before in ["/cards?q=a", "/files/a"] {
            let rest = format!("z HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\r\n");
            let target = [b"/v1/production", before.as_bytes(), &[byte]].concat();
            let seen = gateway.upstream.connections().concat().len();
            let response = gateway.raw([b"GET ".as_slice(), &target, rest.as_bytes()].concat());
            let upstream = gateway.upstream.connections().concat();
            if response.status == 200 {
                let sent = [b"GET /api", before.as_bytes(), &[byte, b'z', b' ']].concat();
                assert!(upstream.windows(sent.len()).any(|window| window == sent), "{byte:#x} after {before}");
            } else {
                assert!(response.header("portcullis-error").is_some(), "{byte:#x} after {before}: {}", response.head);
                assert_eq!((response.status, upstream.len()), (400, seen), "{byte:#x} after {before}");
            }
        }
    }
}

#[test]
fn field_lines() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for lines in [
        "X-A: 1\r\n folded",
        "X-A: 1\r\n\tfolded",
        "X-A : 1",
        "X-A\t: 1",
        "X A: 1",
        ": 1",
        "X-A",
        "X-A: 1\rX-B: 2",
        "X-A: 1\nX-B: 2",
        "X-A: 1\r",
        "X-A: \r1",
        "X-A: 1\u{c}",
        "X-A: a\0b",
        "X-A: a\u{1}b",
        "X-A: a\u{7f}b",
        "X(A): 1",
        "Connection: close\r\n : x",
    ] {
        assert_malformed(&gateway, &head(LINE, &format!("{AUTHORIZED}\r\n{lines}"), &token));
    }
    // The first line may not be folded either.
    assert_malformed(&gateway, &head(LINE, &format!(" X-A: 1\r\n{AUTHORIZED}"), &token));
}

#[test]
fn bare_line_feeds() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let sound = String::from_utf8(head(LINE, AUTHORIZED, &token)).unwrap();
    assert_malformed(&gateway, sound.replace("\r\n", "\n").as_bytes());
    assert_malformed(&gateway, sound.replacen("\r\n", "\n", 1).as_bytes());
    assert_malformed(&gateway, format!("{}\n", sound.strip_suffix("\r\n").unwrap()).as_bytes());
    assert_malformed(&gateway, sound.replacen("\r\n", "\r", 1).as_bytes());
}

#[test]
fn content_lengths() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for lines in [
        "Content-Length : 5",
        "Content-Length: 5, 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length: 5_0",
        "Content-Length: 5\u{c}",
        "Content-Length: 5\r",
        "Content-Length:",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 18446744073709551616",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let mut bytes = head(POST, &format!("{AUTHORIZED}\r\n{lines}"), &token);
        bytes.extend_from_slice(b"0\r\n\r\n");
        assert_malformed(&gateway, &bytes);
    }
}

#[test]
fn transfer_encodings() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for lines in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding: \u{c}chunked",
        "Transfer-Encoding: chunked\u{c}",
        "Transfer-Encoding: chunked\r",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ] {
        let mut bytes = head(POST, &format!("{AUTHORIZED}\r\n{lines}"), &token);
        bytes.extend_from_slice(b"0\r\n\r\n");
        assert_malformed(&gateway, &bytes);
    }
    let old = POST.replace("1.1", "1.0");
    let mut bytes = head(&old, &format!("{AUTHORIZED}\r\nTransfer-Encoding: chunked"), &token);
    bytes.extend_from_slice(b"0\r\n\r\n");
    assert_malformed(&gateway, &bytes);
}

/// The head is judged and forwarded before the body is read, so a broken body ends the exchange; what follows it
/// is no request, and the upstream never sees an end that was not there.
#[test]
fn broken_chunks_end_the_exchange() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for body in [
        "0x2\r\nab\r\n0\r\n\r\n",
        "11111111111111111\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "-1\r\n\r\n0\r\n\r\n",
        "\r\nab\r\n0\r\n\r\n",
        "zz\r\nab\r\n0\r\n\r\n",
    ] {
        let mut bytes = head(PUT, &format!("{AUTHORIZED}\r\nTransfer-Encoding: chunked"), &token);
        bytes.extend_from_slice(body.as_bytes());
        let smuggled = gateway.get("/cards").bearer(&token).bytes();
        bytes.extend_from_slice(&smuggled);
        let mut connection = gateway.connect();
        connection.send(&bytes);
        connection.finish();
        let (answer, _) = connection.read_to_end();
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{body:?}: {answer}");
        let requests = gateway.upstream.requests();
        assert!(requests.is_empty(), "{body:?}: a whole request arrived: {requests:?}");
    }
}

#[test]
fn trailers_never_become_headers() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let mut bytes = head(PUT, &format!("{AUTHORIZED}\r\nTransfer-Encoding: chunked\r\nTrailer: X-T"), &token);
    bytes.extend_from_slice(b"2\r\nab\r\n0\r\nX-T: 1\r\nPortcullis-Client-Id: evil\r\n\r\n");
    let response = gateway.raw(bytes);
    if response.status == 200 {
        let seen = gateway.upstream.last();
        assert_eq!(seen.body, b"ab");
        assert_eq!((seen.header("x-t"), seen.header("portcullis-client-id")), (None, Some("writer")));
    }
    assert!(!String::from_utf8_lossy(&gateway.upstream.connections().concat()).contains("evil"));
}

#[test]
fn trace_and_connect_stop_here() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for line in [
        "TRACE /v1/production/cards HTTP/1.1",
        "CONNECT /v1/production/cards HTTP/1.1",
        "CONNECT gate.test:80 HTTP/1.1",
        "CONNECT other.test:443 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let response = without_upstream(&gateway, || gateway.raw(head(line, AUTHORIZED, &token)));
        assert!((400..500).contains(&response.status), "{line}: {}", response.head);
        assert!(response.header("portcullis-error").is_some(), "{line}: {}", response.head);
    }
}

#[test]
fn expect_with_a_bad_token_gets_the_final_answer() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let lines = "Host: gate.test\r\nAuthorization: Bearer nonsense\r\nExpect: 100-continue\r\nContent-Length: 5";
    let mut connection = gateway.connect();
    let response = without_upstream(&gateway, || connection.exchange(&head(PUT, lines, &token)));
    assert_refusal(&response, 401, "token_invalid");
    assert_eq!(response.interim, Vec::<u16>::new());
    // The body was never asked for, so the connection cannot go on.
    assert!(response.closed(), "{}", response.head);
}

#[test]
fn expect_with_a_good_token_gets_through() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let lines = format!("{AUTHORIZED}\r\nExpect: 100-continue\r\nContent-Length: 5");
    let mut connection = gateway.connect();
    connection.send(head(PUT, &lines, &token));
    assert_eq!(connection.read_head().status, 100);
    connection.send("hello");
    connection.read_response().expect(200);
    assert_eq!(gateway.upstream.last().body, b"hello");
}

/// One byte at a time is slow, not wrong.
#[test]
fn a_head_in_many_pieces() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let mut connection = gateway.connect();
    for byte in head(LINE, AUTHORIZED, &token) {
        connection.send([byte]);
    }
    connection.read_response().expect(200);
}

/// An empty line before a request is skipped or refused (RFC 9112 section 2.2), and nothing else comes of it.
#[test]
fn empty_lines_before_a_request() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let response = gateway.raw([b"\r\n".as_slice(), &head(LINE, AUTHORIZED, &token)].concat());
    assert!(matches!(response.status, 200 | 400), "{}", response.head);
}

/// Callers that send a line end behind a body (RFC 9112 section 2.2) keep their connection, whenever it comes; it is no
/// part of the body.
#[test]
fn a_line_end_behind_a_body_is_passed_over() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let request = gateway.post("/cards").bearer(&token).body("text/plain", "a\r\n").bytes();
    let (head, body) = request.split_at(request.len() - 3);
    let next = gateway.get("/cards").bearer(&token).bytes();
    // What is sent at first, once the upstream was asked, and behind the answer.
    let at_once = [&request, &b"\r\n"[..]].concat();
    let half = [&request, &b"\r"[..]].concat();
    let second = [body, b"\r\n"].concat();
    for (pieces, late, after) in [
        (vec![&at_once[..]], &b""[..], &b""[..]),
        (vec![head, &second], b"", b""),
        (vec![head, b"a", b"\r\n\r", b"\n"], b"", b""),
        (vec![&request], b"\r\n", b""),
        (vec![&half], b"\n", b""),
        (vec![&half], b"", b"\n"),
        (vec![&request], b"\r", b"\n"),
        (vec![&request], b"", b"\r\n"),
    ] {
        let (answer, waits) = mpsc::channel();
        gateway.upstream.on("/api/cards", Answer::Stream(waits));
        let asked = gateway.upstream.requests().len();
        let mut connection = gateway.connect();
        pieces.iter().for_each(|piece| connection.send(piece));
        eventually("the upstream is asked", || (gateway.upstream.requests().len() > asked).then_some(()));
        assert_eq!(gateway.upstream.last().body, b"a\r\n");
        connection.send(late);
        drop(answer);
        let response = connection.read_response().expect(200);
        assert_ne!(response.header("connection"), Some("close"), "{pieces:?} {late:?}");
        gateway.upstream.on("/api/cards", Answer::Echo);
        connection.send([after, &next].concat());
        connection.read_response().expect(200);
        assert_eq!(gateway.upstream.last().method, "GET");
    }
    // Behind one that is refused as well.
    let refused = gateway.post("/cards").bearer("x").body("text/plain", "abc").bytes();
    for behind in [&b"\r\n"[..], b""] {
        let mut connection = gateway.connect();
        connection.send([&refused, behind].concat());
        assert_refusal(&connection.read_response(), 401, "token_invalid");
        connection.send(&next);
        connection.read_response().expect(200);
    }
}

/// Nothing else is, and nothing that stands there is ever a request. Where it came along the answer says that it is the last.
#[test]
fn what_else_stands_behind_a_body_ends_the_connection() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/cards", Answer::Echo);
    let token = gateway.writer_token();
    let post = gateway.post("/cards").bearer(&token).body("text/plain", "abc").bytes();
    let get = gateway.get("/cards").bearer(&token).bytes();
    let smuggled = gateway.get("/cards?smuggled").bearer(&token).bytes();
    for request in [&post, &get] {
        for behind in [&b"\n"[..], b"\r\n\r\n", b"\rx", b" ", b"\0", &smuggled, &[b"\r\n", &smuggled[..]].concat()] {
            let asked = gateway.upstream.requests().len();
            let mut connection = gateway.connect();
            connection.send([request, behind].concat());
            let response = connection.read_response().expect(200);
            assert_eq!(response.header("connection"), Some("close"), "{behind:?}: {}", response.head);
            let (rest, end) = connection.read_to_end();
            assert!(rest.is_empty() && end != End::Silent, "{behind:?}: {end:?}");
            assert_eq!(gateway.upstream.requests().len(), asked + 1, "{behind:?}");
        }
    }
    // One line end is all: a second one is none of a request.
    let mut connection = gateway.connect();
    connection.send([&post, &b"\r\n"[..]].concat());
    connection.read_response().expect(200);
    connection.send([b"\r\n", &get[..]].concat());
    assert_refusal(&without_upstream(&gateway, || connection.read_response()), 400, "malformed_request");
    assert!(!String::from_utf8_lossy(&gateway.upstream.connections().concat()).contains("smuggled"));
}

/// What comes while a request is served costs it nothing, and is never a request: a single line end is passed over,
/// whatever else comes makes the answer the connection's last.
#[test]
fn what_comes_while_a_request_is_served_leaves_it_its_answer() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let get = gateway.get("/cards").bearer(&token).bytes();
    let smuggled = gateway.get("/cards?smuggled").bearer(&token).bytes();
    let requests = [
        get.clone(),
        gateway.post("/cards").bearer(&token).body("text/plain", "").bytes(),
        gateway.post("/cards").bearer(&token).body("text/plain", "abc").bytes(),
        // As good as two requests at once already.
        [&get[..], b"x"].concat(),
    ];
    let late: [&[u8]; 7] = [b"\r\n", b"\r", b"x", b"\rx", b"\r\nx", &smuggled, &[b"\r\n", &smuggled[..]].concat()];
    for (request, late) in requests.iter().flat_map(|request| late.map(|late| (request, late))) {
        let (answer, waits) = mpsc::channel();
        gateway.upstream.on("/api/cards", Answer::Stream(waits));
        let asked = gateway.upstream.requests().len();
        let mut connection = gateway.connect();
        connection.send(request);
        eventually("the upstream is asked", || (gateway.upstream.requests().len() > asked).then_some(()));
        connection.send(late);
        // Each part of the answer that arrives was written after another look at what came.
        answer.send(b"0".to_vec()).unwrap();
        let mut response = connection.read_head().expect(200);
        assert_eq!(connection.read_chunk(&mut response).unwrap(), b"0", "{late:?}");
        for part in [b"1", b"2", b"3"] {
            answer.send(part.to_vec()).unwrap();
            assert_eq!(connection.read_chunk(&mut response).unwrap(), part, "{late:?}");
        }
        drop(answer);
        assert_eq!(connection.read_chunk(&mut response), None);
        gateway.upstream.on("/api/cards", Answer::Echo);
        if b"\r\n".starts_with(late) && !request.ends_with(b"x") {
            connection.send([b"\r\n".strip_prefix(late).unwrap(), &get].concat());
            connection.read_response().expect(200);
            continue;
        }
        let (rest, end) = connection.read_to_end();
        assert!(rest.is_empty() && end != End::Silent, "{late:?}: {end:?} {}", String::from_utf8_lossy(&rest));
        assert_eq!(gateway.upstream.requests().len(), asked + 1, "{late:?}");
    }
    assert!(!String::from_utf8_lossy(&gateway.upstream.connections().concat()).contains("smuggled"));
    // A caller that goes away then is noticed as ever.
    gateway.upstream.on("/api/cards", Answer::Hang);
    for late in [&b""[..], b"\r\n", b"x", &smuggled] {
        let asked = gateway.upstream.requests().len();
        let mut connection = gateway.connect();
        connection.send(&get);
        eventually("the upstream is asked", || (gateway.upstream.requests().len() > asked).then_some(()));
        connection.send(late);
        connection.finish();
        let (rest, end) = connection.read_to_end();
        assert!(rest.is_empty() && end != End::Silent, "{late:?}: {end:?} {}", String::from_utf8_lossy(&rest));
    }
}

/// A line end that comes between two requests begins none: the connection is as idle as before.
#[test]
fn a_line_end_between_requests_leaves_the_connection_idle() {
    let limits = |idle: &str| {
        let limits = format!("[edge.limits]\nheader_timeout = \"300ms\"\nidle_timeout = \"{idle}\"");
        Gateway::builder().node(&limits).start()
    };
    let (patient, hasty) = (limits("60s"), limits("1s"));
    for (between, rest) in [(&b"\r\n"[..], &b""[..]), (b"\r", b"\n")] {
        for gateway in [&patient, &hasty] {
            let token = gateway.writer_token();
            let post = gateway.post("/cards").bearer(&token).body("text/plain", "abc").bytes();
            let mut connections = [gateway.connect(), gateway.connect()];
            connections[0].send(&post);
            connections[0].read_response().expect(200);
            for mut connection in connections {
                connection.send(between);
                if std::ptr::eq(gateway, &hasty) {
                    let (bytes, end) = connection.read_to_end();
                    assert!(bytes.is_empty() && end == End::Closed, "{end:?} {}", String::from_utf8_lossy(&bytes));
                    continue;
                }
                std::thread::sleep(Duration::from_millis(700));
                connection.send([rest, &post].concat());
                connection.read_response().expect(200);
                // The head behind it has its own deadline.
                connection.send([b"\r\n", &post[..9]].concat());
                assert_refusal(&connection.read_response(), 408, "request_timeout");
            }
        }
    }
}

#[test]
fn connections_that_say_nothing_are_left_alone() {
    let gateway = Gateway::start();
    let silent = gateway.connect();
    silent.finish();
    let mut silent = silent;
    let (answer, _) = silent.read_to_end();
    assert_eq!(String::from_utf8_lossy(&answer), "");
    // A TLS hello on the plain port is not HTTP.
    let response = gateway.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert_refusal(&response, 400, "malformed_request");
}

/// A proxy in front may find another end of the chunks: what it sends after the answer is no request of somebody else's.
#[test]
fn chunks_of_a_trusted_proxy_end_its_connection() {
    let gateway = Gateway::builder().node("[edge]\ntrusted_proxies = [\"127.0.0.9\"]").start();
    let token = gateway.writer_token();
    let ask = |fields: &str, body: &str| {
        format!(
            "POST {BASE_PATH}/cards HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n{fields}\r\n{body}"
        )
    };
    let chunked = ask("Transfer-Encoding: chunked\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n");
    let plain = ask("Content-Length: 5\r\n", "hello");
    for (source, chunks_end) in [("127.0.0.1", false), ("127.0.0.9", true)] {
        let mut connection = gateway.connect_from(source);
        assert!(!connection.exchange(plain.as_bytes()).expect(200).closed(), "{source}");
        let response = connection.exchange(chunked.as_bytes()).expect(200);
        assert_eq!(response.closed(), chunks_end, "{source}: {}", response.head);
    }
}
