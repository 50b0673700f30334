//! Methods and headers that mean something to an intermediary itself: CONNECT, TRACE, OPTIONS with Max-Forwards, Expect.

use super::{assert_refusal, head, without_upstream};
use crate::harness::{Answer, Gateway, Key, UPSTREAM_PATH};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

const PLAIN: &str = "[environments.plain]\nbase_url = \"http://gate.test/plain\"\nupstream = \"{upstream}\"\n";

/// A gateway with an environment whose keys may do everything, and a token for it.
fn gateway() -> (Gateway, String) {
    let key = Key::new("anything", &["api:read", "api:write"]);
    let gateway = Gateway::builder().tables(PLAIN).key_of("plain", &key).start();
    let form = crate::harness::token_form(&key.id, &key.secret);
    let answer = gateway.post("").target("/plain/oauth2/token").form(&form).send().expect(200);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    (gateway, token)
}

#[test]
fn connect_and_trace_are_served_to_nobody() {
    let (gateway, token) = gateway();
    for line in [
        "TRACE /plain/cards HTTP/1.1",
        "TRACE http://gate.test/plain/cards HTTP/1.1",
        "TRACE * HTTP/1.1",
        "CONNECT /plain/cards HTTP/1.1",
        "CONNECT gate.test:80 HTTP/1.1",
        "CONNECT other.test:443 HTTP/1.0",
    ] {
        for fields in ["", "\r\nMax-Forwards: 0", "\r\nMax-Forwards: 3"] {
            let lines = format!("Host: gate.test\r\nAuthorization: Bearer {{token}}{fields}");
            let response = without_upstream(&gateway, || gateway.raw(head(line, &lines, &token)));
            assert_refusal(&response, 405, "method_not_served");
            let allow = response.header("allow").unwrap_or_default();
            assert!(allow.contains("GET") && !allow.contains("TRACE"), "{line}: {}", response.head);
            // Nothing of the request comes back: that is what TRACE is feared for.
            assert!(!response.text().contains(&token), "{line}");
            assert!(response.closed(), "{line}: {}", response.head);
        }
    }
    // Methods are told apart by case (RFC 9110 section 9.1): these are some API's own, and are decided like any other.
    for method in ["trace", "Connect"] {
        let response = gateway.request(method, "").target("/plain/cards").bearer(&token).send().expect(200);
        assert_eq!((response.text().as_str(), gateway.upstream.last().method.as_str()), (UPSTREAM_SAYS, method));
    }
}

const UPSTREAM_SAYS: &str = "{\"from\":\"upstream\"}";

#[test]
fn an_asterisk_is_in_no_environment() {
    let (gateway, token) = gateway();
    for method in ["OPTIONS", "GET"] {
        let line = format!("{method} * HTTP/1.1");
        let lines = "Host: gate.test\r\nAuthorization: Bearer {token}";
        let response = without_upstream(&gateway, || gateway.raw(head(&line, lines, &token)));
        assert!(assert_refusal(&response, 400, "malformed_request").contains("no environment"));
    }
}

#[test]
fn options_goes_as_far_as_it_may() {
    let (gateway, token) = gateway();
    let ask =
        |hops: &str| gateway.request("OPTIONS", "").target("/plain/cards").bearer(&token).header("Max-Forwards", hops);
    for (sent, seen) in [("1", "0"), ("10", "9"), ("007", "6"), ("99999999999999999999", "4294967294")] {
        ask(sent).send().expect(200);
        assert_eq!(gateway.upstream.last().header("max-forwards"), Some(seen), "{sent}");
    }
    gateway.request("OPTIONS", "").target("/plain/cards").bearer(&token).send().expect(200);
    assert_eq!(gateway.upstream.last().header("max-forwards"), None);
    // Here is the end.
    let mut connection = gateway.connect();
    for hops in ["0", "00"] {
        let response = without_upstream(&gateway, || ask(hops).send_on(&mut connection).expect(200));
        assert_eq!(response.header("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        assert_eq!((response.header("content-length"), response.header("portcullis-error")), (Some("0"), None));
        let line = gateway.log_line(response.header("x-request-id").unwrap());
        assert_eq!((&line["outcome"], &line["client_id"]), (&"answered".into(), &"anything".into()));
    }
    ask("1").send_on(&mut connection).expect(200);
    for hops in ["", "-1", "+1", "1.0", "a", "1, 1", "0 0"] {
        let response = without_upstream(&gateway, || ask(hops).send());
        assert_refusal(&response, 400, "malformed_request");
    }
    let twice = ask("0").header("Max-Forwards", "0");
    assert_refusal(&without_upstream(&gateway, || twice.send()), 400, "malformed_request");
}

/// Whoever may not ask the API may not ask us about it either.
#[test]
fn the_end_of_the_way_asks_for_the_same_leave() {
    let (gateway, _) = gateway();
    let ask = |path: &str| gateway.request("OPTIONS", path).header("Max-Forwards", "0");
    assert_refusal(&without_upstream(&gateway, || ask("/cards").send()), 401, "token_missing");
    let token = gateway.writer_token();
    assert_refusal(&without_upstream(&gateway, || ask("/cards").bearer(&token).send()), 403, "operation_unknown");
}

/// On other methods the field is the upstream's business (RFC 9110 section 7.6.2).
#[test]
fn other_methods_keep_their_max_forwards() {
    let (gateway, token) = gateway();
    for value in ["0", "5", "a"] {
        gateway.get("").target("/plain/cards").bearer(&token).header("Max-Forwards", value).send().expect(200);
        assert_eq!(gateway.upstream.last().header("max-forwards"), Some(value));
    }
}

/// An upstream that answers heads at once, without asking for bodies; what came after each head.
fn hasty_upstream(answer: &'static str) -> (String, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}{UPSTREAM_PATH}", listener.local_addr().unwrap());
    let (send, received) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                    Ok(0) | Err(_) => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..count]);
            }
            let _ = send.send(bytes);
        }
    });
    (url, received)
}

/// The upstream has the last word, and the body it did not want is not asked for.
#[test]
fn an_upstream_that_refuses_an_expectation() {
    for (answer, status) in [
        ("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 417),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", 401),
    ] {
        let (url, received) = hasty_upstream(answer);
        let gateway = Gateway::builder().upstream_url(&url).start();
        let lines = "Host: gate.test\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: 5";
        let mut connection = gateway.connect();
        connection.send(head("PUT /v1/production/files/a HTTP/1.1", lines, &gateway.writer_token()));
        let response = connection.read_response();
        assert_eq!((response.status, response.interim.as_slice()), (status, [].as_slice()), "{}", response.head);
        assert_eq!(response.header("portcullis-error"), None);
        let upstream = String::from_utf8(received.recv_timeout(Duration::from_secs(10)).unwrap()).unwrap();
        assert!(upstream.to_ascii_lowercase().contains("expect: 100-continue"), "{upstream}");
        assert!(upstream.ends_with("\r\n\r\n"), "a body went upstream: {upstream}");
        // The body was not sent: what comes next on this connection cannot be told from it.
        connection.send(gateway.get("/cards").bearer("x").bytes());
        let (rest, _) = connection.read_to_end();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

/// HTTP/1.0 knows no 100 (RFC 9110 section 10.1.1): neither we nor an upstream may send one.
#[test]
fn an_expectation_in_http_1_0_does_not_count() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let lines = "Host: gate.test\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: 5";
    let mut bytes = head("PUT /v1/production/files/a HTTP/1.0", lines, &token);
    bytes.extend_from_slice(b"hello");
    let response = gateway.raw(bytes).expect(200);
    assert_eq!(response.interim, Vec::<u16>::new(), "{}", response.head);
    let seen = gateway.upstream.last();
    assert_eq!((seen.header("expect"), seen.body.as_slice()), (None, b"hello".as_slice()));
    let form = crate::harness::token_form("writer", "wrong");
    let lines = "Host: gate.test\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded";
    let line = "POST /v1/production/oauth2/token HTTP/1.0";
    let lines = format!("{lines}\r\nContent-Length: {}", form.len());
    let response = gateway.raw([head(line, &lines, ""), form.into_bytes()].concat());
    assert_eq!((response.status, response.interim.len()), (401, 0), "{}", response.head);
}

#[test]
fn interim_answers_pass() {
    let gateway = Gateway::start();
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    gateway.upstream.on("/api/cards", Answer::Bytes(answer.into()));
    let token = gateway.reader_token();
    let response = gateway.get("/cards").bearer(&token).send().expect(200);
    assert_eq!((response.text().as_str(), response.interim.as_slice()), ("ok", [103].as_slice()));
    // Nobody taught callers of HTTP/1.0 what they mean (RFC 9110 section 15.2).
    let lines = "Host: gate.test\r\nAuthorization: Bearer {token}";
    let response = gateway.raw(head("GET /v1/production/cards HTTP/1.0", lines, &token)).expect(200);
    assert_eq!((response.text().as_str(), response.interim.len()), ("ok", 0), "{}", response.head);
}
