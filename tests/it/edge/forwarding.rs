//! What the upstream gets of an allowed request, and what the caller gets of its answer.

use super::{assert_refusal, assert_refused, without_upstream};
use crate::harness::{
    Answer, BASE_PATH, Connection, End, Gateway, HOST, Key, RawResponse, Request, Seen, eventually, token_form,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::mpsc;
use tungstenite::{ClientRequestBuilder, Message};

/// Sends an allowed request; what the upstream saw.
#[track_caller]
fn seen(gateway: &Gateway, request: &Request<'_>) -> Seen {
    let before = gateway.upstream.requests().len();
    request.send().expect(200);
    let requests = gateway.upstream.requests();
    assert_eq!(requests.len(), before + 1);
    requests.last().unwrap().clone()
}

#[test]
fn path_and_query_arrive_as_sent() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for path in [
        "/cards",
        "/cards?",
        "/cards?a=1&a=2&b",
        "/cards?q=%2e%2E/../;//%00\\&x='{}|^`[]@:!$()*,~",
        "/cards?a?b=/c",
        "/cards/a%20b%C3%a9",
        "/cards/%7e~%41A",
        "/cards/a+b:c@d!$&'()*,=",
        "/cards/a;v=1",
        "/cards/%25zz",
        "/files/a/b/",
        "/files/a.b/..c/d..",
        "/cards?q=caf\u{e9}",
    ] {
        let request = gateway.get(path).bearer(&token);
        assert_eq!(seen(&gateway, &request).target, format!("/api{path}"));
    }
}

#[test]
fn the_caller_s_host_and_authorization_where_asked_for() {
    let gateway = Gateway::builder().upstream_table("host = \"caller\"\nauthorization = \"forward\"").start();
    let token = gateway.reader_token();
    let seen = seen(&gateway, &gateway.get("/cards").bearer(&token));
    assert_eq!(seen.header("host"), Some(HOST));
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()));
}

/// Upstreams get one spelling of it, whichever the caller chose: another one may be another virtual host to them.
#[test]
fn upstreams_see_one_spelling_of_the_host() {
    for (table, own) in [("host = \"caller\"", false), ("", true)] {
        let gateway = Gateway::builder().upstream_table(table).start();
        let token = gateway.reader_token();
        for said in [HOST, "GATE.test", "gate.test.", "Gate.Test:80", "gate.test.:80"] {
            let seen = seen(&gateway, &gateway.get("/cards").bearer(&token).host(said));
            let host = if own { gateway.upstream.address().to_string() } else { HOST.to_owned() };
            assert_eq!(seen.header("host"), Some(host.as_str()), "{said}");
            assert_eq!(seen.header("x-forwarded-host"), Some(HOST), "{said}");
        }
        let absolute = gateway.get("/cards").bearer(&token).host("Gate.test.:80");
        let absolute = absolute.target(&format!("http://gate.TEST.:80{BASE_PATH}/cards"));
        assert_eq!(self::seen(&gateway, &absolute).header("x-forwarded-host"), Some(HOST));
        for said in ["gate.test:80.", "gate.test:", "gate.test..", "gate.test:080", "other.test"] {
            assert_refused(&gateway, &gateway.get("/cards").bearer(&token).host(said), 404, "environment_unknown");
        }
    }
}

#[test]
fn the_upstream_learns_who_calls() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let response = gateway.get("/cards/7").bearer(&token).send().expect(200);
    let seen = gateway.upstream.last();
    assert_eq!(seen.header("host"), Some(gateway.upstream.address().to_string().as_str()));
    assert_eq!(seen.header("portcullis-client-id"), Some("writer"));
    assert_eq!(seen.header("portcullis-organization"), Some("acme"));
    assert_eq!(seen.header("portcullis-environment"), Some("production"));
    let operation = seen.header("portcullis-operation").unwrap();
    assert!(operation.contains("/cards/{id}"), "{operation}");
    assert_eq!(seen.header("x-request-id"), response.header("x-request-id"));
    assert!(seen.header("x-request-id").is_some());
    assert_eq!(seen.header("traceparent").unwrap().split('-').map(str::len).collect::<Vec<_>>(), [2, 32, 16, 2]);
    assert_eq!(seen.header("authorization"), None);
    // The environment's own answer comes back untouched.
    assert_eq!(response.header("portcullis-error"), None);
    assert_eq!(response.text(), "{\"from\":\"upstream\"}");
}

#[test]
fn a_trace_goes_on() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = gateway.get("/cards").bearer(&token).header("traceparent", sound).header("tracestate", "a=1");
    let first = seen(&gateway, &request);
    assert!(first.header("traceparent").unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert_eq!(first.header("tracestate"), Some("a=1"));
    let request = gateway.get("/cards").bearer(&token).header("traceparent", "evil");
    assert_eq!(seen(&gateway, &request).header("traceparent").unwrap().len(), 55);
}

const FORGED: [&str; 12] = [
    "Portcullis-Client-Id",
    "portcullis-client-id",
    "PORTCULLIS_CLIENT_ID",
    "Portcullis.Client.Id",
    "Portcullis-Client_Id",
    "Portcullis_Organization",
    "Portcullis-Environment",
    "portcullis.operation",
    "Portcullis-Error",
    "Portcullis-Whatever",
    "Portcullis_",
    "X-Request-Id",
];

/// On every kind of route: with a token, and public.
#[test]
fn forged_identity_never_arrives() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for path in ["/cards", "/health"] {
        let mut request = gateway.get(path).bearer(&token);
        for name in FORGED {
            request = request.header(name, "evil");
        }
        let seen = seen(&gateway, &request);
        assert!(!seen.head.contains("evil"), "{}", seen.head);
        let identity = if path == "/cards" { Some("writer") } else { None };
        assert_eq!(seen.header("portcullis-client-id"), identity);
        assert_eq!(seen.header("portcullis-environment"), Some("production"));
    }
}

#[test]
fn a_public_operation_needs_no_token_and_forwards_none() {
    let gateway = Gateway::start();
    let seen = seen(&gateway, &gateway.get("/health").header("Authorization", "Bearer whatever"));
    assert_eq!((seen.header("portcullis-client-id"), seen.header("authorization")), (None, None));
    assert_refused(&gateway, &gateway.get("/health/x"), 401, "token_missing");
    assert_refused(&gateway, &gateway.post("/health"), 401, "token_missing");
}

/// Traefik CVE-2024-45410: hop-by-hop nomination took the proxy's own headers off.
#[test]
fn connection_cannot_nominate_ours() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/socket", Answer::WebSocketEcho);
    let token = gateway.writer_token();
    let nominated = "Portcullis-Client-Id, Portcullis-Organization, Portcullis-Environment, Portcullis-Operation, \
                     Authorization, Forwarded, X-Request-Id, Via";
    let plain = gateway.get("/cards").header("Connection", &format!("close, {nominated}"));
    let upgrade = web_socket(&gateway, &format!("upgrade, {nominated}"));
    for (request, status) in [(plain, 200), (upgrade, 101)] {
        // Authorization is end-to-end for us: nominating it may not turn a request into one without a token.
        let mut connection = gateway.connect();
        let request = request.bearer(&token).header("Portcullis-Client-Id", "evil").header("Forwarded", "for=6.6.6.6");
        connection.send(request.bytes());
        connection.read_head().expect(status);
        let seen = gateway.upstream.last();
        assert_eq!(seen.header("portcullis-client-id"), Some("writer"), "{}", seen.head);
        assert_eq!(seen.header("portcullis-organization"), Some("acme"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert!(seen.header("forwarded").is_some_and(|value| value.starts_with("for=127.0.0.1")), "{}", seen.head);
        assert!(seen.header("portcullis-operation").is_some() && seen.header("x-request-id").is_some());
        assert!(seen.header("host").is_some() && seen.header("via").is_some());
        assert_eq!(seen.header("authorization"), None);
    }
}

/// Nominating what says who and where is refused outright, and so is a flood of nominations.
#[test]
fn connection_cannot_nominate_the_origin() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let flood = vec!["x"; 30].join(", ");
    for name in ["Host", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", ":authority", "\"Host\"", &flood] {
        for request in [
            gateway.get("/cards").header("Connection", &format!("close, {name}")),
            web_socket(&gateway, &format!("upgrade, {name}")),
        ] {
            eprintln!("{name}");
            let response = without_upstream(&gateway, || request.bearer(&token).send());
            assert_refusal(&response, 400, "malformed_request");
        }
    }
}

fn web_socket<'g>(gateway: &'g Gateway, connection: &str) -> Request<'g> {
    let request = gateway.get("/socket").header("Connection", connection).header("Upgrade", "websocket");
    request.header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[test]
fn hop_by_hop_headers_stay_here() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let request = gateway.get("/cards").bearer(&token).header("Connection", "x-hop, keep-alive");
    let request = request.header("X-Hop", "1").header("Keep-Alive", "timeout=5").header("X-Stays", "1");
    let request = request.header("Proxy-Connection", "keep-alive").header("TE", "trailers");
    let seen = seen(&gateway, &request);
    for name in ["x-hop", "keep-alive", "proxy-connection"] {
        assert_eq!(seen.header(name), None, "{}", seen.head);
    }
    assert_eq!(seen.header("x-stays"), Some("1"));
}

/// Beside a header that the environment sets, the caller's own under a name that lax upstreams take for the same.
#[test]
fn aliases_of_what_the_environment_sets_never_arrive() {
    let gateway = Gateway::builder().upstream_table("set_headers = { \"X-Internal-Key\" = \"ours\" }").start();
    let token = gateway.reader_token();
    let mut request = gateway.get("/cards").bearer(&token).header("X-Internal-Keys", "neighbour");
    for name in ["X-Internal-Key", "X_Internal_Key", "x.internal-key", "X-INTERNAL_KEY"] {
        request = request.header(name, "evil");
    }
    let seen = seen(&gateway, &request);
    assert_eq!((seen.all("x-internal-key"), seen.header("x-internal-keys")), (vec!["ours"], Some("neighbour")));
    assert!(!seen.head.contains("evil"), "{}", seen.head);
}

#[test]
fn override_headers_never_arrive() {
    let gateway = Gateway::builder().node("[edge]\ntrusted_proxies = [\"127.0.0.9\"]").start();
    let token = gateway.reader_token();
    for source in ["127.0.0.1", "127.0.0.9"] {
        let mut request = gateway.get("/cards").bearer(&token).from(source);
        for name in [
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Forwarded-Uri",
            "X-Real-IP",
            "X_Original_URL",
            "X-HTTP_Method.Override",
            "X-Original-Method",
            "X-Original-URI",
            "Proxy",
            "Content_Length",
            "Transfer_Encoding",
            "Transfer.Encoding",
        ] {
            request = request.header(name, "evil");
        }
        let seen = seen(&gateway, &request);
        assert!(!seen.head.contains("evil"), "{}", seen.head);
    }
}

#[test]
fn authorization_is_stripped_forwarded_or_set() {
    for (table, expected) in [
        ("", None),
        ("authorization = \"strip\"", None),
        (
            "set_headers = { authorization = \"Basic internal\", x-internal = \"yes\" }",
            Some("Basic internal".to_owned()),
        ),
        ("authorization = \"forward\"", Some("Bearer {token}".to_owned())),
    ] {
        let gateway = Gateway::builder().upstream_table(table).start();
        let token = gateway.reader_token();
        let seen = seen(&gateway, &gateway.get("/cards").bearer(&token).header("X-Internal", "forged"));
        let expected = expected.map(|value| value.replace("{token}", &token));
        assert_eq!(seen.header("authorization"), expected.as_deref(), "{table}");
        assert_eq!(seen.header("x-internal") == Some("yes"), table.contains("x-internal"), "{}", seen.head);
    }
}

#[test]
fn a_token_header_leaves_authorization_to_the_api() {
    let gateway = Gateway::builder()
        .settings("token_header = \"x-api-token\"")
        .upstream_table("authorization = \"forward\"")
        .start();
    let token = gateway.reader_token();
    for value in [token.clone(), format!("Bearer {token}")] {
        let request = gateway.get("/cards").header("X-Api-Token", &value).header("Authorization", "Basic theirs");
        let seen = seen(&gateway, &request);
        assert_eq!((seen.header("authorization"), seen.header("x-api-token")), (Some("Basic theirs"), None));
    }
    assert_refused(&gateway, &gateway.get("/cards").bearer(&token), 401, "token_missing");
    let twice = gateway.get("/cards").header("X-Api-Token", &token).header("X-Api-Token", &token);
    assert_refused(&gateway, &twice, 400, "malformed_request");
}

#[test]
fn forwarding_headers_of_strangers_are_replaced() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let mut request = gateway.get("/cards").bearer(&token);
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X_Forwarded_For",
        "X-Forwarded.For",
        "X-Forwarded",
        "Client-IP",
        "Client-Cert",
        "X-Remote-User",
    ] {
        request = request.header(name, "6.6.6.6");
    }
    let seen = seen(&gateway, &request.header("Forwarded", "for=6.6.6.6"));
    assert!(!seen.head.contains("6.6.6.6"), "{}", seen.head);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some(HOST));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
}

#[test]
fn forwarding_headers_of_trusted_proxies_are_appended_to() {
    let gateway = Gateway::builder().node("[edge]\ntrusted_proxies = [\"127.0.0.9\"]").start();
    let token = gateway.reader_token();
    let request = gateway.get("/cards").bearer(&token).from("127.0.0.9");
    let request = request.header("X-Forwarded-For", "192.0.2.7").header("X-Forwarded-Proto", "https");
    let request = request.header("X-Forwarded-Host", "public.test").header("Forwarded", "for=192.0.2.7;proto=https");
    let seen = seen(&gateway, &request);
    assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.7, 127.0.0.9"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("public.test"));
    let forwarded = seen.header("forwarded").unwrap();
    assert!(forwarded.starts_with("for=192.0.2.7;proto=https, for=127.0.0.9"), "{forwarded}");
}

#[test]
fn via_is_kept_and_appended() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let seen = seen(&gateway, &gateway.get("/cards").bearer(&token).header("Via", "1.0 fred"));
    let via = seen.all("via").join(", ");
    assert!(via.starts_with("1.0 fred, 1.1 "), "{via}");
}

/// The allowlist is about the client, found from the right.
#[test]
fn the_client_address_through_trusted_proxies() {
    let key = Key::new("branch", &["cards:read"]).allowed_from(&["192.0.2.7", "2001:db8::7"]);
    let gateway = Gateway::builder().node("[edge]\ntrusted_proxies = [\"127.0.0.0/29\"]").key(&key).start();
    let form = token_form(&key.id, &key.secret);
    let answer =
        gateway.post("/oauth2/token").header("X-Forwarded-For", "192.0.2.7").form(&form).send().expect(200).json();
    let token = answer["access_token"].as_str().unwrap();
    let cards = || gateway.get("/cards").bearer(token);
    for value in [
        "192.0.2.7",
        "6.6.6.6, 192.0.2.7",
        "6.6.6.6,192.0.2.7,127.0.0.5, 127.0.0.2",
        "unknown-but-unread, 192.0.2.7",
        "::ffff:192.0.2.7",
        "2001:db8::7",
        "2001:DB8:0::0007",
    ] {
        let response = cards().header("X-Forwarded-For", value).send();
        let unread = value.starts_with("unknown");
        assert!(response.status == 200 || unread && response.status == 400, "{value}: {}", response.text());
    }
    cards().header("X-Forwarded-For", "6.6.6.6").header("X-Forwarded-For", "192.0.2.7").send().expect(200);
    for value in ["for=192.0.2.7", "for=6.6.6.6, For=\"192.0.2.7\";proto=https", "for=\"[2001:db8::7]:99\""] {
        cards().header("Forwarded", value).send().expect(200);
    }
    for (value, address) in
        [("192.0.2.7, 6.6.6.6", "6.6.6.6"), ("192.0.2.8", "192.0.2.8"), ("2001:db8::8", "2001:db8::8")]
    {
        let refused = cards().header("X-Forwarded-For", value);
        let detail = assert_refused(&gateway, &refused, 403, "ip_not_allowed");
        assert!(detail.contains(address), "{detail}");
    }
    for value in ["", "unknown", "192.0.2.7, ", "010.0.0.1", "192.0.2.7/32", "192.0.2.7 192.0.2.7", "fe80::1%eth0"] {
        assert_refused(&gateway, &cards().header("X-Forwarded-For", value), 400, "malformed_request");
    }
    // Nobody believes a stranger.
    let stranger = cards().header("X-Forwarded-For", "192.0.2.7").from("127.0.0.9");
    let detail = assert_refused(&gateway, &stranger, 403, "ip_not_allowed");
    assert!(detail.contains("127.0.0.9"), "{detail}");
}

/// Bytes that repeat in no period of a buffer.
fn blob(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(|_| next()).collect()
}

const LARGE: usize = 8 * 1024 * 1024;

fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

#[test]
fn large_bodies_both_ways() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/files/large", Answer::Echo);
    let token = gateway.writer_token();
    let body = blob(LARGE);
    let request = gateway.request("PUT", "/files/large").bearer(&token);
    let sized = request.clone().body("application/octet-stream", &body).send().expect(200);
    assert!(digest(&sized.body) == digest(&body), "{} bytes came back", sized.body.len());
    let mut chunked = request.header("Transfer-Encoding", "chunked").bytes();
    for chunk in body.chunks(70_001) {
        chunked.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let chunked = gateway.raw(chunked).expect(200);
    assert!(digest(&chunked.body) == digest(&body), "{} bytes came back", chunked.body.len());
    assert!(gateway.upstream.requests().iter().all(|seen| seen.body.len() == LARGE));
}

/// The first chunk arrives while the second does not exist yet.
#[test]
fn answers_are_not_buffered() {
    let gateway = Gateway::start();
    let (chunks, answer) = mpsc::channel();
    gateway.upstream.on("/api/cards", Answer::Stream(answer));
    let mut connection = gateway.connect();
    connection.send(gateway.get("/cards").bearer(&gateway.reader_token()).bytes());
    let mut head = connection.read_head().expect(200);
    for text in ["one", "two", "three"] {
        chunks.send(text.as_bytes().to_vec()).unwrap();
        assert_eq!(connection.read_chunk(&mut head).as_deref(), Some(text.as_bytes()));
    }
    drop(chunks);
    assert_eq!((connection.read_chunk(&mut head), head.truncated), (None, false));
}

#[test]
fn answers_without_a_body() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let mut connection = gateway.connect();
    let head = gateway.request("HEAD", "/cards").bearer(&token).send_on(&mut connection).expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("19"), 0));
    for status in ["204 No Content", "304 Not Modified"] {
        let answer = format!("HTTP/1.1 {status}\r\nETag: \"a\"\r\n\r\n");
        gateway.upstream.on("/api/cards/7", Answer::Bytes(answer.into_bytes()));
        let response = gateway.get("/cards/7").bearer(&token).send_on(&mut connection);
        assert_eq!(response.header("etag"), Some("\"a\""), "{}", response.head);
        assert_eq!(response.header("transfer-encoding"), None);
    }
    // All on one connection: nothing was taken for a body.
    gateway.get("/cards").bearer(&token).send_on(&mut connection).expect(200);
}

#[test]
fn an_informational_answer_is_no_answer() {
    let gateway = Gateway::start();
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    gateway.upstream.on("/api/cards", Answer::Bytes(answer.into()));
    let response = gateway.get("/cards").bearer(&gateway.reader_token()).send().expect(200);
    assert_eq!(response.text(), "ok");
}

/// A cut answer must not look whole.
#[test]
fn a_truncated_answer_is_seen_as_truncated() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
    ] {
        gateway.upstream.on("/api/cards", Answer::BytesThenClose(answer.into()));
        let mut connection = gateway.connect();
        connection.send(gateway.get("/cards").bearer(&token).bytes());
        let response = connection.read_response();
        if response.status == 200 {
            assert!(response.truncated && response.end != End::Open, "{answer}: {response:?}");
        } else {
            assert_eq!(response.status, 502);
        }
    }
}

#[test]
fn an_answer_until_close() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/cards", Answer::BytesThenClose(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec()));
    let response = gateway.get("/cards").bearer(&gateway.reader_token()).send().expect(200);
    assert_eq!((response.text().as_str(), response.truncated), ("until the end", false));
}

#[test]
fn connections_are_kept_on_both_sides() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let mut connection = gateway.connect();
    for _ in 0..5 {
        let request = gateway.post("/cards").bearer(&token).body("text/plain", "x");
        request.send_on(&mut connection).expect(200);
        gateway.get("/cards").bearer(&token).send_on(&mut connection).expect(200);
    }
    let used = || gateway.upstream.requests().iter().map(|seen| seen.connection).collect::<BTreeSet<usize>>();
    // A connection goes back to the pool when its answer is done, which may be after the caller has it.
    let before = used();
    assert!(before.len() < 5, "{before:?}");
    // Another caller uses what is in the pool.
    eventually("a pooled connection is used", || {
        gateway.get("/cards").bearer(&token).send().expect(200);
        before.contains(&gateway.upstream.last().connection).then_some(())
    });
}

/// A pooled connection that the upstream has just closed is no reason for a 502 where trying again is safe.
#[test]
fn only_idempotent_requests_are_tried_again() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for (method, again) in [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false)] {
        let path = if again { "/cards/7" } else { "/cards" };
        let (tried, response) = on_a_reused_connection(&gateway, &gateway.request(method, path).bearer(&token));
        let (attempts, status) = if again { (2, 200) } else { (1, 502) };
        assert_eq!((tried.len(), response.status), (attempts, status), "{method}: {tried:?}");
        assert!(tried.iter().all(|seen| seen.header("portcullis-client-id") == Some("writer")));
    }
}

/// Sends the request until a pooled connection was tried, which the upstream then closes: the attempts upstream and
/// the answer.
fn on_a_reused_connection(gateway: &Gateway, request: &Request<'_>) -> (Vec<Seen>, RawResponse) {
    let token = gateway.reader_token();
    eventually("a pooled connection is tried", || {
        gateway.upstream.on("/api/cards", Answer::Echo);
        gateway.get("/cards").bearer(&token).send().expect(200);
        let (requests, connections) = (gateway.upstream.requests().len(), gateway.upstream.connections().len());
        gateway.upstream.on("/api/cards", Answer::CloseIfReused);
        gateway.upstream.on("/api/cards/7", Answer::CloseIfReused);
        let response = request.send();
        let tried = gateway.upstream.requests().split_off(requests);
        (tried[0].connection < connections).then_some((tried, response))
    })
}

/// Warms the pool: so many connections are open to the upstream at the same time, and then idle.
fn warm(gateway: &Gateway, token: &str, count: usize) {
    let before = gateway.upstream.requests().len();
    let busy: Vec<_> = (0..count)
        .map(|at| {
            let (chunks, answer) = mpsc::channel();
            gateway.upstream.on(&format!("/api/cards/w{at}"), Answer::Stream(answer));
            let mut connection = gateway.connect();
            connection.send(gateway.get(&format!("/cards/w{at}")).bearer(token).bytes());
            (connection, chunks)
        })
        .collect();
    eventually("all are asked", || (gateway.upstream.requests().len() == before + count).then_some(()));
    for (mut connection, chunks) in busy {
        drop(chunks);
        assert_eq!(connection.read_response().status, 200);
    }
}

/// What ends the connection that it came on is delivered twice at most, however many connections wait in the pool: the
/// second time on one of its own, so that it says whether the first was just stale (RFC 9110 section 9.2.2).
#[test]
fn a_request_is_sent_again_once_whatever_waits_in_the_pool() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for (method, stale, most, status) in [
        ("GET", true, 2, 200),
        ("PUT", true, 2, 200),
        ("DELETE", true, 2, 200),
        ("GET", false, 2, 502),
        ("PUT", false, 2, 502),
        ("DELETE", false, 2, 502),
        ("POST", false, 1, 502),
    ] {
        let path = if method == "POST" { "/cards" } else { "/cards/7" };
        let request = gateway.request(method, path).bearer(&token);
        let request = if ["PUT", "POST"].contains(&method) { request.body("text/plain", "x") } else { request };
        let (tried, known, response) = eventually("a pooled connection is tried", || {
            warm(&gateway, &token, 6);
            let (requests, known) = (gateway.upstream.requests().len(), gateway.upstream.connections().len());
            let answer = if stale { Answer::CloseIfReused } else { Answer::Close };
            gateway.upstream.on(&format!("/api{path}"), answer);
            let response = request.send();
            let tried = gateway.upstream.requests().split_off(requests);
            (tried[0].connection < known).then_some((tried, known, response))
        });
        assert_eq!((tried.len(), response.status), (most, status), "{method}: {tried:?}");
        assert!(tried[1..].iter().all(|seen| seen.connection >= known), "{method}: {tried:?}");
        if status == 502 {
            assert_refusal(&response, 502, "upstream_protocol");
        }
    }
}

/// What has begun to be answered is never asked again.
#[test]
fn no_second_try_after_the_first_byte() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    gateway.upstream.on("/api/cards/7", Answer::BytesThenClose(b"H".to_vec()));
    eventually("a pooled connection is tried", || {
        gateway.get("/cards").bearer(&token).send().expect(200);
        let (requests, connections) = (gateway.upstream.requests().len(), gateway.upstream.connections().len());
        gateway.get("/cards/7").bearer(&token).send().expect(502);
        let tried = gateway.upstream.requests().split_off(requests);
        assert_eq!(tried.len(), 1, "{tried:?}");
        (tried[0].connection < connections).then_some(())
    });
}

#[test]
fn http_1_0_callers() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let (chunks, answer) = mpsc::channel();
    gateway.upstream.on("/api/cards", Answer::Stream(answer));
    chunks.send(b"streamed".to_vec()).unwrap();
    drop(chunks);
    let head = format!("GET {BASE_PATH}/cards HTTP/1.0\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut connection = gateway.connect();
    connection.send(&head);
    let mut response = connection.read_head().expect(200);
    assert_eq!(response.header("transfer-encoding"), None, "{}", response.head);
    let (body, end) = connection.read_to_end();
    response.body = body;
    assert_eq!((response.text().as_str(), end), ("streamed", End::Closed));
    // A refusal too.
    let refused = gateway.raw(head.replace(&token, "x"));
    assert_refusal(&refused, 401, "token_invalid");
}

pub(super) fn socket_request(token: Option<&str>) -> ClientRequestBuilder {
    let request = ClientRequestBuilder::new(format!("ws://{HOST}{BASE_PATH}/socket").parse().unwrap());
    match token {
        Some(token) => request.with_header("Authorization", format!("Bearer {token}")),
        None => request,
    }
}

#[test]
fn web_sockets_pass_both_ways() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/socket", Answer::WebSocketEcho);
    let stream = gateway.connect().into_stream();
    let (mut socket, response) =
        tungstenite::client(socket_request(Some(&gateway.writer_token())), stream).expect("an upgrade");
    assert_eq!(response.status(), 101);
    assert_eq!(gateway.upstream.last().header("portcullis-client-id"), Some("writer"));
    for message in [Message::text("hello"), Message::binary(blob(300_000)), Message::text("again")] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.close(None).unwrap();
}

#[test]
fn a_web_socket_without_leave_never_opens() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/socket", Answer::WebSocketEcho);
    let reader = gateway.reader_token();
    for (token, status) in [(None, 401), (Some("x"), 401), (Some(reader.as_str()), 403)] {
        let error = without_upstream(&gateway, || {
            tungstenite::client(socket_request(token), gateway.connect().into_stream()).expect_err("a refusal")
        });
        match error {
            tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response)) => {
                assert_eq!(response.status(), status);
            }
            other => panic!("{other}"),
        }
    }
}

/// What asks to become a WebSocket is waited for as long as any answer; what has become one may be silent for longer.
#[test]
fn an_upgrade_has_the_patience_of_any_request_until_it_is_one() {
    let gateway = Gateway::builder().upstream_table("timeouts = { read = \"500ms\" }").start();
    let token = gateway.writer_token();
    gateway.upstream.on("/api/cards/7", Answer::Hang);
    gateway.upstream.on("/api/socket", Answer::Hang);
    let plain = gateway.get("/socket").header("Upgrade", "websocket");
    let method = gateway.request("DELETE", "/cards/7").header("Upgrade", "websocket").header("Connection", "upgrade");
    for request in [web_socket(&gateway, "upgrade"), plain, method] {
        let asked = gateway.upstream.requests().len();
        assert_refusal(&request.bearer(&token).send(), 504, "upstream_timeout");
        assert_eq!(gateway.upstream.requests().len(), asked + 1, "asked once");
    }
    let errors = "portcullis_upstream_errors_total{environment=\"acme/production\",reason=\"upstream_timeout\"} 3\n";
    assert!(gateway.metrics().contains(errors), "{}", gateway.metrics());
    // An answer that is none of a WebSocket has to go on as any has.
    let (chunks, answer) = mpsc::channel();
    gateway.upstream.on("/api/socket", Answer::Stream(answer));
    let mut connection = gateway.connect();
    connection.send(web_socket(&gateway, "upgrade").bearer(&token).bytes());
    let mut head = connection.read_head().expect(200);
    chunks.send(b"one".to_vec()).unwrap();
    assert_eq!(connection.read_chunk(&mut head).as_deref(), Some(&b"one"[..]));
    assert_eq!((connection.read_chunk(&mut head), head.truncated), (None, true));
    assert_ne!(head.end, End::Silent);
    drop(chunks);
    // One that was declined and ended leaves the connection as it was.
    gateway.upstream.on("/api/socket", Answer::Echo);
    let mut connection = gateway.connect();
    for _ in 0..2 {
        web_socket(&gateway, "upgrade").bearer(&token).send_on(&mut connection).expect(200);
        gateway.get("/cards").bearer(&token).send_on(&mut connection).expect(200);
    }
    gateway.upstream.on("/api/socket", Answer::WebSocketEcho);
    let mut connection = gateway.connect();
    connection.send(web_socket(&gateway, "upgrade").bearer(&token).bytes());
    connection.read_head().expect(101);
    for _ in 0..2 {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        connection.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(connection.read_exactly(4).0, [0x81, 2, b'h', b'i']);
    }
}

/// pingora CVE-2026-2833: bytes behind an upgrade that the upstream declines are no second request.
#[test]
fn bytes_behind_a_declined_upgrade_are_no_request() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let upgrade = web_socket(&gateway, "upgrade").bearer(&token);
    let smuggled = format!("GET /api/admin HTTP/1.1\r\nHost: {HOST}\r\nX-Smuggled: 1\r\n\r\n");
    let mut connection = gateway.connect();
    connection.send([upgrade.bytes(), smuggled.into_bytes()].concat());
    connection.read_response().expect(200);
    connection.finish();
    let (rest, _) = connection.read_to_end();
    let upstream = gateway.upstream.connections().concat();
    assert!(!String::from_utf8_lossy(&upstream).contains("Smuggled"), "{}", String::from_utf8_lossy(&upstream));
    assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}

/// A caller that goes away mid-upload takes nothing along.
#[test]
fn an_upload_that_breaks_off_is_no_request_upstream() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let request = gateway.request("PUT", "/files/a").bearer(&token).body("text/plain", "x".repeat(100_000));
    let mut connection: Connection = gateway.connect();
    connection.send(&request.bytes()[..50_000]);
    drop(connection);
    gateway.get("/cards").bearer(&token).send().expect(200);
    assert!(gateway.upstream.requests().iter().all(|seen| seen.method == "GET"));
}
