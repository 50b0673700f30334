//! HTTP/2: the same requests, the same refusals, and what a connection may do to the node.

use super::upstreams_h2::H2Upstream;
use crate::harness::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block,
};
use crate::harness::{Answer, Authority, End, Gateway, GatewayBuilder, Http2, PATIENCE, Reply, eventually, writer};
use std::process::Command;
use std::time::{Duration, Instant};

/// RFC 9113 section 7.
const REFUSED_STREAM: u32 = 7;

struct Bench {
    gateway: Gateway,
    authority: Authority,
    token: String,
}

impl Bench {
    fn start() -> Self {
        Self::with(Gateway::builder())
    }

    fn with(builder: GatewayBuilder) -> Self {
        let authority = Authority::new();
        let certificate = authority.certificate(&["gate.test"]);
        let gateway = builder.tls(&[&certificate]).start();
        let mut bench = Self { gateway, authority, token: String::new() };
        let key = writer();
        let request = bench.gateway.post("/oauth2/token").basic(&key.id, &key.secret);
        let mut connection = bench.gateway.connect().secure(&bench.authority.pem(), "gate.test", &[]).unwrap();
        let answer = request.form("grant_type=client_credentials").send_on(&mut connection).expect(200).json();
        bench.token = format!("Bearer {}", answer["access_token"].as_str().unwrap());
        bench
    }

    fn open(&self) -> Http2 {
        Http2::open(self.gateway.edge(), &self.authority.pem(), "gate.test")
    }

    /// A request of the writer's.
    fn fields<'a>(&'a self, method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            (":method", method),
            (":scheme", "https"),
            (":authority", "gate.test"),
            (":path", path),
            ("authorization", &self.token),
        ]
    }

    /// Nothing reaches the upstream.
    #[track_caller]
    fn refuses_one<T>(&self, run: impl FnOnce() -> T) -> T {
        let before = self.gateway.upstream.bytes_received();
        let result = run();
        assert_eq!(self.gateway.upstream.bytes_received(), before, "bytes went upstream");
        result
    }

    /// Nothing reaches the upstream, and the node goes on for others.
    #[track_caller]
    fn refuses<T>(&self, run: impl FnOnce() -> T) -> T {
        let result = self.refuses_one(run);
        self.lives();
        result
    }

    #[track_caller]
    fn lives(&self) {
        let reply = self.open().ask(&self.fields("GET", CARDS));
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// The node's resident memory in KiB.
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

const CARDS: &str = "/v1/production/cards";
const FILE: &str = "/v1/production/files/a";

#[track_caller]
fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.header("portcullis-error")), (status, Some(code)), "{reply:?}");
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
    assert_eq!(problem["request_id"].as_str(), reply.header("x-request-id"));
}

#[test]
fn the_upstream_cannot_tell_it_from_http_1() {
    let bench = Bench::start();
    let mut client = bench.open();
    let mut fields = bench.fields("GET", "/v1/production/cards?a=%20b");
    fields.extend([
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("x-own", "1"),
        ("te", "trailers"),
        ("portcullis-client-id", "x"),
        ("portcullis_client_id", "x"),
        ("portcullis.operation", "x"),
        ("x-original-url", "/x"),
    ]);
    let reply = client.ask(&fields);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("strict-transport-security"), Some("max-age=31536000"));
    let seen = bench.gateway.upstream.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/api/cards?a=%20b"));
    assert!(seen.head.starts_with("GET /api/cards?a=%20b HTTP/1.1\r\n"), "{}", seen.head);
    let host = bench.gateway.upstream.address().to_string();
    for (name, value) in [
        ("host", host.as_str()),
        ("cookie", "a=b; c=d"),
        ("x-own", "1"),
        ("via", "2 portcullis"),
        ("portcullis-client-id", "writer"),
        ("x-forwarded-host", "gate.test"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{}", seen.head);
    }
    let never = ["portcullis_client_id", "portcullis.operation", "x-original-url"];
    for name in ["authorization", "te", "transfer-encoding", "content-length"].into_iter().chain(never) {
        assert!(seen.all(name).is_empty(), "{name}: {}", seen.head);
    }
    let line = bench.gateway.log_line(reply.header("x-request-id").unwrap());
    assert_eq!((&line["path"], &line["client_id"]), (&CARDS.into(), &"writer".into()));
}

#[test]
fn the_host_that_callers_used_goes_upstream_where_it_is_wanted() {
    let bench = Bench::with(Gateway::builder().upstream_table("host = \"caller\""));
    bench.lives();
    assert_eq!(bench.gateway.upstream.last().header("host"), Some("gate.test"));
    let mut fields = bench.fields("GET", CARDS);
    fields[2].1 = "Gate.TEST.";
    assert_eq!(bench.open().ask(&fields).status, 200);
    let seen = bench.gateway.upstream.last();
    assert_eq!((seen.header("host"), seen.header("x-forwarded-host")), (Some("gate.test"), Some("gate.test")));
}

#[test]
fn bodies_go_both_ways() {
    let bench = Bench::start();
    bench.gateway.upstream.on("/api/files/a", Answer::Echo);
    let mut client = bench.open();
    let body = "0123456789".repeat(1000);
    for length in [None, Some(body.len().to_string())] {
        let mut fields = bench.fields("PUT", FILE);
        fields.extend(length.as_deref().map(|length| ("content-length", length)));
        let stream = client.head(&fields, false);
        client.frame(DATA, 0, stream, &body.as_bytes()[..4000]);
        client.frame(DATA, END_STREAM, stream, &body.as_bytes()[4000..]);
        let reply = client.reply(stream);
        assert_eq!((reply.status, reply.text() == body), (200, true), "{reply:?}");
        let seen = bench.gateway.upstream.last();
        assert_eq!(seen.header("content-length"), length.as_deref());
        assert_eq!(seen.header("transfer-encoding"), length.is_none().then_some("chunked"));
    }
    // Many at the same time on one connection.
    let streams: Vec<u32> = (0..20).map(|_| client.head(&bench.fields("GET", CARDS), true)).collect();
    assert!(streams.into_iter().all(|stream| client.reply(stream).status == 200));
    let head = client.ask(&bench.fields("HEAD", CARDS));
    assert_eq!((head.status, head.body.len(), head.ended), (200, 0, true));
}

/// A call of gRPC: its status comes behind the answer's body.
#[test]
fn calls_of_grpc_pass_and_trailers_of_callers_do_not() {
    let upstream = H2Upstream::start(0);
    let whole = format!("url = \"http://{}/api\"\nprotocol = \"h2c\"", upstream.address);
    let bench = Bench::with(Gateway::builder().upstream_whole(&whole));
    let mut client = bench.open();
    let mut fields = bench.fields("POST", "/v1/production/cards");
    fields.extend([("te", "trailers"), ("content-type", "application/grpc"), ("cookie", "a=b"), ("cookie", "c=d")]);
    let stream = client.head(&fields, false);
    client.frame(DATA, 0, stream, b"\0\0\0\0\x03abc");
    let trailers = block(&[("portcullis-client-id", "evil"), ("authorization", "Bearer evil"), ("x-own", "1")]);
    client.frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailers);
    let reply = client.reply(stream);
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("0")), "{reply:?}");
    assert_eq!(reply.body, b"\0\0\0\0\x03abc");
    let seen = upstream.last();
    assert_eq!((seen.body.as_slice(), seen.trailers), (&b"\0\0\0\0\x03abc"[..], None));
    assert_eq!(seen.headers["portcullis-client-id"], "writer");
    assert!(
        seen.headers["te"] == "trailers" && seen.headers["content-type"] == "application/grpc",
        "{:?}",
        seen.headers
    );
    assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("x-own"));
}

#[test]
fn a_length_that_the_body_does_not_keep_is_an_error() {
    let bench = Bench::start();
    for (announced, sent) in [("3", 5), ("5", 3)] {
        let mut client = bench.open();
        let mut fields = bench.fields("PUT", FILE);
        fields.push(("content-length", announced));
        let stream = client.head(&fields, false);
        client.frame(DATA, END_STREAM, stream, &vec![b'x'; sent]);
        let reply = client.reply(stream);
        assert!(reply.status != 200, "{reply:?}");
        let whole = bench.gateway.upstream.requests().into_iter().any(|seen| seen.target == "/api/files/a");
        assert!(!whole, "a body of another length reached the upstream whole");
        bench.lives();
    }
}

#[test]
fn what_must_not_pass_over_http_1_must_not_over_http_2() {
    let bench = Bench::start();
    let long = "x".repeat(8 * 1024);
    let path = |path: &'static str| -> Vec<(&str, &str)> { bench.fields("GET", path) };
    let with = |field: (&'static str, &'static str)| {
        let mut fields = bench.fields("GET", CARDS);
        fields.push(field);
        fields
    };
    let too_long = format!("{CARDS}?{long}");
    for (fields, status, code) in [
        (bench.fields("TRACE", CARDS), 405, "method_not_served"),
        // Without scheme and path, as it has to be (RFC 9113 section 8.5).
        (vec![(":method", "CONNECT"), (":authority", "gate.test:443")], 405, "method_not_served"),
        (bench.fields("GET", &too_long), 414, "target_too_long"),
        (path("/v1/production/cards/../cards"), 400, "target_ambiguous"),
        (path("/v1/production/cards/%2e%2e"), 400, "target_ambiguous"),
        (path("/v1/production//cards"), 400, "target_ambiguous"),
        (path("/v1/production/cards/a%2fb"), 400, "target_ambiguous"),
        (path("/v1/production/cards/a\\b"), 400, "target_ambiguous"),
        (path("/nowhere"), 404, "environment_unknown"),
        (with(("x", " a")), 400, "malformed_request"),
        (with(("x", "a\t")), 400, "malformed_request"),
        (with(("authorization", "Bearer x")), 400, "malformed_request"),
    ] {
        let mut client = bench.open();
        let reply = bench.refuses(|| client.ask(&fields));
        assert_problem(&reply, status, code);
        // One bad request is no reason to end the others.
        assert_eq!(client.ask(&bench.fields("GET", CARDS)).status, 200);
    }
}

#[test]
fn what_is_no_head_is_no_request() {
    let bench = Bench::start();
    let usual = bench.fields("GET", CARDS);
    let replaced = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
        usual.iter().map(|&(other, old)| (other, if other == name { value } else { old })).collect()
    };
    let without =
        |name: &str| -> Vec<(&str, &str)> { usual.iter().copied().filter(|(other, _)| *other != name).collect() };
    let more = |field: (&'static str, &'static str)| [&usual[..], &[field]].concat();
    let mut late = usual.clone();
    late.rotate_left(1);
    for fields in [
        more(("X-Upper", "a")),
        more(("connection", "close")),
        more(("connection", "authorization")),
        more(("transfer-encoding", "chunked")),
        more(("keep-alive", "timeout=5")),
        more(("proxy-connection", "close")),
        more(("upgrade", "websocket")),
        more(("te", "gzip")),
        more(("x", "a\r\nx-other: b")),
        more(("x", "a\nb")),
        more(("x", "a\0b")),
        more(("x\r\ny", "a")),
        more(("x y", "a")),
        more(("x:", "a")),
        more(("", "a")),
        more((":path", "/v1/production/cards/1")),
        more((":method", "POST")),
        more((":unknown", "a")),
        more((":status", "200")),
        more(("host", "other.test")),
        [&more(("host", "gate.test"))[..], &[("host", "gate.test")]].concat(),
        more(("content-length", "+5")),
        more(("content-length", "5, 6")),
        more(("content-length", "")),
        late,
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        replaced(":path", "v1/production/cards"),
        replaced(":path", "*"),
        replaced(":path", ""),
        replaced(":path", "https://gate.test/v1/production/cards"),
        replaced(":path", "/v1/production/cards a"),
        replaced(":path", "/v1/production/cards\r\nx: y"),
        replaced(":scheme", "ftp"),
        replaced(":scheme", ""),
        replaced(":authority", "user@gate.test"),
        replaced(":authority", ""),
        replaced(":authority", "gate.test/x"),
        replaced(":method", "G ET"),
        replaced(":method", ""),
        replaced(":method", "CONNECT"),
    ] {
        let mut client = bench.open();
        let reply = bench.refuses(|| client.ask(&fields));
        let refused = [400, 405].contains(&reply.status) || reply.reset.is_some() || client.goaway.is_some();
        assert!(refused && reply.status != 200, "{fields:?}: {reply:?} {:?}", client.goaway);
    }
}

#[test]
fn limits_of_heads_hold_at_the_limit_and_one_past() {
    let limits = "[edge.limits]\nheader_fields = 10\nheader_bytes = \"2KiB\"\ntarget_bytes = \"128B\"";
    let bench = Bench::with(Gateway::builder().node(limits));
    let mut client = bench.open();
    let mut ask = |fields: &[(&str, &str)]| client.ask(fields);
    // `authorization` and the host that `:authority` is are two fields.
    let of = |count: usize| [&bench.fields("GET", CARDS)[..], &vec![("x", "y"); count - 2]].concat();
    assert_eq!(ask(&of(10)).status, 200);
    assert_problem(&ask(&of(11)), 431, "headers_too_large");
    let target = |length: usize| format!("{CARDS}?{}", "x".repeat(length - CARDS.len() - 1));
    assert_eq!(ask(&bench.fields("GET", &target(128))).status, 200);
    assert_problem(&ask(&bench.fields("GET", &target(129))), 414, "target_too_long");
    // As HTTP/1 would count: `GET  HTTP/1.1`, two line ends, and `: ` with a line end a field.
    let usual = "GET".len() + CARDS.len() + 14 + "hostgate.testauthorization".len() + bench.token.len() + 8;
    let large = |length: usize| "y".repeat(length - usual - "x: \r\n".len());
    assert_eq!(ask(&[&bench.fields("GET", CARDS)[..], &[("x", &large(2048))]].concat()).status, 200);
    assert_problem(&ask(&[&bench.fields("GET", CARDS)[..], &[("x", &large(2049))]].concat()), 431, "headers_too_large");
    // Far beyond, the codec gives up by itself.
    let mut client = bench.open();
    let far = "z".repeat(16_000);
    let reply = bench.refuses(|| client.ask(&[&bench.fields("GET", CARDS)[..], &[("x", &far)]].concat()));
    assert!(reply.status == 431 || reply.reset.is_some() || client.goaway.is_some(), "{reply:?}");
}

#[test]
fn as_many_streams_as_there_may_be_and_one_more() {
    let bench = Bench::with(Gateway::builder().node("[edge.limits]\nstreams = 3"));
    bench.gateway.upstream.on("/api/cards/1", Answer::Hang);
    let mut client = bench.open();
    let slow = bench.fields("GET", "/v1/production/cards/1");
    while client.seen.iter().all(|frame| frame.kind != SETTINGS || frame.flags != ACK) && client.read() {}
    let open: Vec<u32> = (0..3).map(|_| client.head(&slow, true)).collect();
    eventually("three are being served", || {
        bench.gateway.metrics().contains("portcullis_requests_in_flight 3").then_some(())
    });
    let one_more = client.ask(&bench.fields("GET", CARDS));
    assert_eq!(one_more.reset, Some(REFUSED_STREAM), "{one_more:?}");
    // Where one ends, another has room.
    client.frame(RST_STREAM, 0, open[0], &8u32.to_be_bytes());
    eventually("it is over", || bench.gateway.metrics().contains("portcullis_requests_in_flight 2").then_some(()));
    assert_eq!(client.ask(&bench.fields("GET", CARDS)).status, 200);
}

/// One address may have as many streams as connections: a stream costs no less, whether it is refused or not.
#[test]
fn streams_of_one_address_count_over_its_connections() {
    let bench = Bench::with(Gateway::builder().node("[edge.limits]\nconnections_per_address = 4"));
    bench.gateway.upstream.on("/api/cards/1", Answer::Hang);
    let slow = bench.fields("GET", "/v1/production/cards/1");
    let (mut first, mut second) = (bench.open(), bench.open());
    let open: Vec<u32> = (0..2).map(|_| first.head(&slow, true)).collect();
    for _ in 0..2 {
        second.head(&slow, true);
    }
    eventually("four are being served", || (bench.gateway.upstream.requests().len() == 4).then_some(()));
    let one_more = bench.refuses_one(|| second.ask(&bench.fields("GET", CARDS)));
    assert!(one_more.reset.is_some() && one_more.status == 0, "{one_more:?}");
    assert!(bench.gateway.metrics().contains("refused_total{reason=\"http2_streams\"} 1"));
    first.frame(RST_STREAM, 0, open[0], &8u32.to_be_bytes());
    eventually("it is over", || bench.gateway.metrics().contains("portcullis_requests_in_flight 3").then_some(()));
    assert_eq!(second.ask(&bench.fields("GET", CARDS)).status, 200);
}

/// Uploads that nobody reads on must not stop the others of their connection.
#[test]
fn a_connection_s_window_is_that_of_all_its_streams() {
    for (setting, streams) in [("", 100), ("[edge.limits]\nstreams = 1", 1), ("[edge.limits]\nstreams = 1000", 1000)] {
        let bench = Bench::with(Gateway::builder().node(setting));
        let mut client = bench.open();
        assert_eq!(client.ask(&bench.fields("GET", CARDS)).status, 200);
        let settings = client.seen.iter().find(|frame| frame.kind == SETTINGS && frame.flags != ACK).unwrap();
        let setting = |id: u16| {
            let set = settings.payload.chunks(6).find(|set| set[..2] == id.to_be_bytes()).unwrap();
            u32::from_be_bytes(set[2..].try_into().unwrap())
        };
        // RFC 9113 sections 6.5.2 and 6.9.2: every connection begins with 65,535.
        let (most, window) = (setting(3), setting(4));
        let grown = client.seen.iter().filter(|frame| frame.kind == WINDOW_UPDATE).map(|frame| frame.number(0));
        let connection = 65_535 + grown.sum::<u32>();
        assert_eq!(most, streams);
        assert!(connection >= most * window && window >= 16 * 1024, "{most} streams of {window}, {connection} in all");
        assert!(connection <= 16 * 1024 * 1024, "{connection}");
    }
}

#[test]
fn a_connection_begins_in_time_and_is_closed_when_idle() {
    let limits = "[edge.limits]\nhandshake_timeout = \"500ms\"\nidle_timeout = \"1s\"";
    let bench = Bench::with(Gateway::builder().node(limits));
    for part in [0, 10, PREFACE.len() - 1] {
        let since = Instant::now();
        let mut client = Http2::silent(bench.gateway.edge(), &bench.authority.pem(), "gate.test");
        client.connection.send(&PREFACE[..part]);
        assert_ne!(client.read_to_end(), End::Silent);
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
    let counted = "refused_total{reason=\"http2_preface\"} 3\n";
    eventually("all are counted", || bench.gateway.metrics().contains(counted).then_some(()));
    // Not HTTP/2 at all.
    let mut client = Http2::silent(bench.gateway.edge(), &bench.authority.pem(), "gate.test");
    client.connection.send(b"GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n");
    assert_ne!(client.read_to_end(), End::Silent);
    let mut client = bench.open();
    for _ in 0..3 {
        assert_eq!(client.ask(&bench.fields("GET", CARDS)).status, 200);
        std::thread::sleep(Duration::from_millis(500));
    }
    // Being pinged is no request.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(4) && client.connection.stream().peek(&mut [0]).is_ok_and(|n| n > 0) {
        client.frame(PING, 0, 0, b"12345678");
        if !client.read() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(client.read_to_end() != End::Silent && since.elapsed() < Duration::from_secs(9));
}

/// A head that does not become whole ends its connection in its time, whatever else runs there.
#[test]
fn a_head_that_drips_has_a_deadline() {
    let bench = Bench::with(Gateway::builder().node("[edge.limits]\nheader_timeout = \"1s\""));
    let block = block(&bench.fields("GET", CARDS));
    let whole = Frame::bytes(HEADERS, END_HEADERS | END_STREAM, 3, &block);
    let parts = [Frame::bytes(HEADERS, END_STREAM, 3, &block), Frame::bytes(CONTINUATION, 0, 3, &[])].concat();
    for (at, (begins, drips)) in
        [(&whole[..9], &whole[9..]), (&whole[..20], &[]), (&parts, &[])].into_iter().enumerate()
    {
        let asked = bench.gateway.upstream.requests().len();
        let (pieces, received) = std::sync::mpsc::channel();
        bench.gateway.upstream.on("/api/cards/1", Answer::Stream(received));
        let mut client = bench.open();
        let slow = client.head(&bench.fields("GET", "/v1/production/cards/1"), true);
        eventually("a stream runs", || (bench.gateway.upstream.requests().len() > asked).then_some(()));
        while client.so_far(slow).status == 0 && client.read() {}
        bench.refuses_one(|| {
            client.connection.send(begins);
            for byte in drips {
                // Until there is something to read: nothing is but the end.
                client.connection.stream().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                if client.connection.stream().peek(&mut [0]).is_ok() {
                    break;
                }
                client.connection.send([*byte]);
            }
            client.connection.stream().set_read_timeout(Some(PATIENCE)).unwrap();
            assert_ne!(client.read_to_end(), End::Silent);
        });
        // ENHANCE_YOUR_CALM; whoever goes on sending may lose it to a reset.
        assert!(
            client.goaway == Some(11) || (!drips.is_empty() && client.goaway.is_none()),
            "{at}: {:?}",
            client.goaway
        );
        assert!(!client.so_far(slow).ended);
        let counted = format!("portcullis_denials_total{{code=\"request_timeout\",environment=\"-\"}} {}\n", at + 1);
        eventually("it is counted", || bench.gateway.metrics().contains(&counted).then_some(()));
        drop(pieces);
    }
    // In pieces, and beside a stream that runs for longer.
    let (pieces, received) = std::sync::mpsc::channel();
    bench.gateway.upstream.on("/api/cards/1", Answer::Stream(received));
    let mut client = bench.open();
    let slow = client.head(&bench.fields("GET", "/v1/production/cards/1"), true);
    for _ in 0..3 {
        let stream = client.stream();
        let (first, rest) = block.split_at(40);
        client.frame(HEADERS, END_STREAM, stream, first);
        std::thread::sleep(Duration::from_millis(200));
        client.frame(CONTINUATION, 0, stream, &rest[..10]);
        client.frame(CONTINUATION, END_HEADERS, stream, &rest[10..]);
        assert_eq!(client.reply(stream).status, 200);
        std::thread::sleep(Duration::from_millis(400));
    }
    pieces.send(b"still".to_vec()).unwrap();
    drop(pieces);
    assert_eq!(client.reply(slow).text(), "still");
}

#[test]
fn it_is_not_spoken_without_tls() {
    let gateway = Gateway::start();
    let before = gateway.upstream.bytes_received();
    let mut connection = gateway.connect();
    connection.send([PREFACE, &Frame::bytes(SETTINGS, 0, 0, &[])].concat());
    let answer = connection.read_response();
    assert_eq!((answer.status, answer.header("portcullis-error")), (400, Some("malformed_request")));
    assert_eq!(gateway.upstream.bytes_received(), before);
    // An upgrade is left alone (RFC 9113 section 3.1 took it away): the answer is one of HTTP/1.
    let token = gateway.reader_token();
    let request = gateway.get("/cards").bearer(&token);
    let upgrade = request
        .header("Connection", "Upgrade, HTTP2-Settings")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAAQAAP__");
    assert_eq!(upgrade.send().status, 200);
    let seen = gateway.upstream.last();
    assert!(seen.all("upgrade").is_empty() && seen.all("http2-settings").is_empty(), "{}", seen.head);
}

#[test]
fn what_was_no_request_is_told_of_and_is_not_endless() {
    let bench = Bench::start();
    let mut fields = bench.fields("GET", CARDS);
    fields.push(("host", "other.test"));
    let mut client = bench.open();
    assert_eq!(bench.refuses(|| client.ask(&fields)).status, 400);
    let counted = "portcullis_denials_total{code=\"malformed_request\",environment=\"-\"} ";
    assert!(bench.gateway.metrics().contains(&format!("{counted}1\n")), "{}", bench.gateway.metrics());
    let line = eventually("a line of the log", || {
        bench.gateway.stdout().lines().find(|line| line.contains("malformed_request")).map(str::to_owned)
    });
    assert!(line.contains("\"address\":\"127.0.0.1\"") && line.contains("\"outcome\":\"denied\""), "{line}");
    // Streams beside them are told that the connection ends, and why.
    for _ in 0..40 {
        client.head(&fields, true);
    }
    while client.read() {}
    // ENHANCE_YOUR_CALM
    assert_eq!(client.goaway, Some(11));
    // So does what the codec cannot go on after.
    let mut client = bench.open();
    client.frame(DATA, 0, 0, b"x");
    while client.read() {}
    assert_eq!(client.goaway, Some(1));
    let counted = "refused_total{reason=\"http2_violation\"} 2\n";
    eventually("both are counted", || bench.gateway.metrics().contains(counted).then_some(()));
    // Whoever just goes away does nothing wrong.
    drop(bench.open());
    bench.lives();
    assert!(bench.gateway.metrics().contains(counted));
}

/// Sends until the peer has had enough, or everything is sent; then the connection ends.
#[track_caller]
fn flood(client: &mut Http2, times: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) {
    client.connection.stream().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    for at in 0..times {
        let bytes = bytes(at);
        let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.connection.send(bytes)));
        if sent.is_err() {
            break;
        }
    }
    assert_ne!(client.read_to_end(), End::Silent);
}

#[test]
fn floods_end_their_connection_and_nothing_else() {
    let bench = Bench::with(Gateway::builder().node("[edge.limits]\nidle_timeout = \"1s\"\nheader_fields = 20"));
    bench.lives();
    let before = bench.memory();
    let request = block(&bench.fields("GET", CARDS));
    let stream = |at: usize| u32::try_from(at * 2 + 1).unwrap();
    // Rapid reset (CVE-2023-44487).
    let mut client = bench.open();
    flood(&mut client, 200, |at| {
        let one = |at: usize| {
            let head = Frame::bytes(HEADERS, END_HEADERS | END_STREAM, stream(at), &request);
            [head, Frame::bytes(RST_STREAM, 0, stream(at), &8u32.to_be_bytes())].concat()
        };
        (0..100).flat_map(|more| one(at * 100 + more)).collect()
    });
    bench.lives();
    // A head without end (CVE-2024-27316).
    let mut client = bench.open();
    let mut first = Some(Frame::bytes(HEADERS, 0, 1, &request));
    flood(&mut client, 2000, |_| {
        let more = Frame::bytes(CONTINUATION, 0, 1, &block(&[("x-more", &"y".repeat(8000))]));
        [first.take().unwrap_or_default(), more].concat()
    });
    bench.lives();
    // Empty pieces of one.
    let mut client = bench.open();
    let mut first = Some(Frame::bytes(HEADERS, 0, 1, &request));
    flood(&mut client, 500, |_| {
        [first.take().unwrap_or_default(), Frame::bytes(CONTINUATION, 0, 1, &[]).repeat(100)].concat()
    });
    bench.lives();
    // What has to be answered, while nobody reads the answers.
    for frame in [Frame::bytes(PING, 0, 0, b"12345678"), Frame::bytes(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])] {
        let mut client = bench.open();
        flood(&mut client, 500, |_| frame.repeat(100));
        bench.lives();
    }
    // Empty data, and windows that grow beyond what there is.
    let mut client = bench.open();
    let open = client.head(&bench.fields("PUT", FILE), false);
    flood(&mut client, 500, |_| Frame::bytes(DATA, 0, open, &[]).repeat(100));
    let mut client = bench.open();
    flood(&mut client, 5, |_| Frame::bytes(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()));
    bench.lives();
    eventually("their connections are gone", || {
        bench.gateway.metrics().contains("portcullis_connections{listener=\"edge\"} 0\n").then_some(())
    });
    let grown = bench.memory().saturating_sub(before);
    assert!(grown < 64 * 1024, "memory grew by {grown} KiB");
}

#[test]
fn whoever_opens_no_window_gets_nothing_and_holds_nothing() {
    let bench =
        Bench::with(Gateway::builder().node("[edge.limits]\nidle_timeout = \"1s\"\nbody_idle_timeout = \"1s\""));
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    bench.gateway.upstream.on("/api/cards/1", Answer::Bytes(large.into_bytes()));
    let mut client = Http2::silent(bench.gateway.edge(), &bench.authority.pem(), "gate.test");
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    client.connection.send([PREFACE, &Frame::bytes(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat());
    for _ in 0..20 {
        client.head(&bench.fields("GET", "/v1/production/cards/1"), true);
    }
    eventually("they are being served", || {
        bench.gateway.metrics().contains("portcullis_requests_in_flight 20").then_some(())
    });
    assert!(bench.memory() < 400 * 1024);
    bench.lives();
    drop(client);
    eventually("they are over", || bench.gateway.metrics().contains("portcullis_requests_in_flight 0").then_some(()));
}

/// A refusal is one whether its caller takes all of it or not: else keys could be tried with no trace of it.
#[test]
fn a_refusal_whose_body_is_not_read_is_a_refusal() {
    let bench = Bench::start();
    for reset in [true, false] {
        for (path, token, status, code, environment) in [
            ("/v1/production/cards/blocked", bench.token.as_str(), 403, "permission_missing", "acme/production"),
            ("/v1/production/nothing", bench.token.as_str(), 403, "operation_unknown", "acme/production"),
            (CARDS, "Bearer x", 401, "token_invalid", "acme/production"),
            ("/nowhere", bench.token.as_str(), 404, "environment_unknown", "-"),
        ] {
            let counted = || {
                let series = format!("portcullis_denials_total{{code=\"{code}\",environment=\"{environment}\"}} ");
                let text = bench.gateway.metrics();
                let value = text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned);
                value.map_or(0, |value| value.parse().unwrap())
            };
            let before: u64 = counted();
            let mut client = Http2::silent(bench.gateway.edge(), &bench.authority.pem(), "gate.test");
            client.connection.send([PREFACE, &Frame::bytes(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat());
            let mut fields = bench.fields("GET", path);
            fields.last_mut().unwrap().1 = token;
            let reply = bench.refuses_one(|| {
                let stream = client.head(&fields, true);
                while client.so_far(stream).status == 0 && client.read() {}
                if reset {
                    client.frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
                }
                client.so_far(stream)
            });
            assert_eq!((reply.status, reply.header("portcullis-error")), (status, Some(code)), "{reply:?}");
            assert!(reply.body.is_empty() && !reply.ended, "{reply:?}");
            if !reset {
                drop(client);
            }
            let line = bench.gateway.log_line(reply.header("x-request-id").unwrap());
            let told = (&line["status"], &line["outcome"], &line["code"]);
            assert_eq!(told, (&status.into(), &"denied".into(), &code.into()), "{line}");
            assert_eq!(counted(), before + 1, "{code}");
        }
    }
    bench.lives();
}

#[test]
fn a_node_that_ends_says_so_and_answers_what_it_has() {
    let bench = Bench::start();
    let (pieces, received) = std::sync::mpsc::channel();
    bench.gateway.upstream.on("/api/cards/1", Answer::Stream(received));
    let mut client = bench.open();
    let stream = client.head(&bench.fields("GET", "/v1/production/cards/1"), true);
    pieces.send(b"one".to_vec()).unwrap();
    eventually("it is being served", || {
        bench.gateway.metrics().contains("portcullis_requests_in_flight 1").then_some(())
    });
    let status = Command::new("kill").args(["-TERM", &bench.gateway.pid().to_string()]).status().unwrap();
    assert!(status.success());
    while client.seen.iter().all(|frame| frame.kind != GOAWAY) && client.read() {}
    assert_eq!(client.goaway, Some(0), "a GOAWAY without an error");
    pieces.send(b"two".to_vec()).unwrap();
    drop(pieces);
    let reply = client.reply(stream);
    assert_eq!((reply.status, reply.text().as_str(), reply.reset), (200, "onetwo", None));
}

#[test]
fn honest_clients_of_other_makes_get_their_answers() {
    let bench = Bench::start();
    let url = format!("https://gate.test:{}{CARDS}", bench.gateway.edge().port());
    let load = Command::new("h2load")
        .args(["-n", "200", "-c", "4", "-m", "10", "-T", "20", "--connect-to"])
        .arg(format!("127.0.0.1:{}", bench.gateway.edge().port()))
        .args(["-H", ":authority: gate.test", "-H", &format!("authorization: {}", bench.token), &url])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&load.stdout).into_owned();
    assert!(text.contains("200 succeeded, 0 failed") && text.contains("200 2xx"), "{text}");
}

/// In HTTP/2 a body needs no field that says so.
#[test]
fn a_preflight_has_no_body() {
    let bench = Bench::with(Gateway::builder().settings("cors = \"forward\""));
    let mut client = bench.open();
    let fields = [
        (":method", "OPTIONS"),
        (":scheme", "https"),
        (":authority", "gate.test"),
        (":path", CARDS),
        ("origin", "https://app.test"),
        ("access-control-request-method", "GET"),
    ];
    assert_eq!(client.ask(&fields).status, 200);
    let reply = bench.refuses_one(|| {
        let stream = client.head(&fields, false);
        client.frame(DATA, END_STREAM, stream, b"x");
        client.reply(stream)
    });
    assert_problem(&reply, 400, "malformed_request");
}
