//! More requests at the same time than may be: told so at once, and nothing else is done for them.

use super::inside::{Edge, RECHECK, Settings, request};
use super::{assert_refusal, without_upstream};
use crate::harness::frames::{Frame, PREFACE, SETTINGS};
use crate::harness::{Answer, Authority, End, Gateway, Http2, eventually, writer};
use portcullis::config::EdgeLimits;
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[test]
fn one_more_than_may_be_is_told_to_try_again() {
    let gateway = Gateway::builder().node("[edge.limits]\nrequests_in_flight = 2").start();
    let token = gateway.writer_token();
    gateway.upstream.on("/api/files/slow", Answer::Hang);
    let mut busy: Vec<_> = (0..2).map(|_| gateway.connect()).collect();
    for (at, connection) in busy.iter_mut().enumerate() {
        connection.send(gateway.get("/files/slow").bearer(&token).bytes());
        eventually("the upstream is asked", || (gateway.upstream.requests().len() > at).then_some(()));
    }
    let mut connection = gateway.connect();
    // Whoever it is: nothing was looked at.
    for request in [gateway.get("/cards").bearer(&token), gateway.get("/cards"), gateway.post("/oauth2/token")] {
        let response = without_upstream(&gateway, || request.send_on(&mut connection));
        assert_refusal(&response, 503, "overloaded");
        assert_eq!(response.header("retry-after"), Some("1"));
        // The connection goes on.
        assert!(response.end == End::Open && response.header("connection") != Some("close"), "{}", response.head);
    }
    let with_body = gateway.post("/cards").bearer(&token).body("text/plain", "x");
    assert_refusal(&without_upstream(&gateway, || with_body.send_on(&mut connection)), 503, "overloaded");
    // The other listeners answer meanwhile.
    assert_eq!(gateway.probe("/readyz").status, 200);
    assert_eq!(gateway.control_request("GET", "/v1/status", &serde_json::Value::Null).0, 200);
    let counted = "portcullis_denials_total{code=\"overloaded\",environment=\"-\"} 4\n";
    eventually("all are counted", || gateway.metrics().contains(counted).then_some(()));
    // One ends: one more may begin, on the same connection.
    drop(busy.pop());
    eventually("there is room again", || {
        let response = gateway.get("/cards").bearer(&token).send_on(&mut connection);
        (response.status == 200).then_some(())
    });
}

/// One key fills its share and no more, whatever it leaves lying; others notice nothing.
#[test]
fn one_key_cannot_take_the_room_of_others() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["gate.test"]);
    let limits = "[edge.limits]\nrequests_in_flight = 20\nrequests_in_flight_per_key = 3";
    let gateway = Gateway::builder().node(limits).tls(&[&certificate]).start();
    let mut connection = gateway.connect().secure(&authority.pem(), "gate.test", &[]).unwrap();
    let mut token = |key: crate::harness::Key| {
        let asking = gateway.post("/oauth2/token").basic(&key.id, &key.secret).form("grant_type=client_credentials");
        asking.send_on(&mut connection).expect(200).json()["access_token"].as_str().unwrap().to_owned()
    };
    let (greedy, other) = (token(writer()), token(crate::harness::reader()));
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    gateway.upstream.on("/api/files/large", Answer::Bytes(large.into_bytes()));
    // Downloads that nobody takes: no window.
    let bearer = format!("Bearer {greedy}");
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "gate.test"),
        (":path", "/v1/production/files/large"),
        ("authorization", &bearer),
    ];
    let mut client = Http2::silent(gateway.edge(), &authority.pem(), "gate.test");
    client.connection.send([PREFACE, &Frame::bytes(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat());
    for _ in 0..3 {
        client.head(&fields, true);
    }
    eventually("its share is full", || (gateway.upstream.requests().len() == 3).then_some(()));
    for request in [
        gateway.get("/files/large").bearer(&greedy),
        gateway.get("/cards").bearer(&greedy),
        gateway.post("/cards").bearer(&greedy).body("text/plain", "x"),
    ] {
        let response = without_upstream(&gateway, || request.send_on(&mut connection));
        assert_refusal(&response, 503, "overloaded");
        assert_eq!(response.header("retry-after"), Some("1"));
        let line = gateway.log_line(response.header("x-request-id").unwrap());
        assert_eq!((&line["client_id"], &line["outcome"]), (&"writer".into(), &"denied".into()), "{line}");
        gateway.get("/cards").bearer(&other).send_on(&mut connection).expect(200);
        gateway.get("/health").send_on(&mut connection).expect(200);
    }
    // Its own token endpoint is nobody's share, and what it is refused for comes first.
    let asking = gateway.post("/oauth2/token").basic("writer", &writer().secret).form("grant_type=client_credentials");
    asking.send_on(&mut connection).expect(200);
    let forbidden = gateway.get("/cards/blocked").bearer(&greedy).send_on(&mut connection);
    assert_refusal(&forbidden, 403, "permission_missing");
    drop(client);
    eventually("there is room again", || {
        let response = gateway.get("/cards").bearer(&greedy).send_on(&mut connection);
        (response.status == 200).then_some(())
    });
}

/// A request that was cut leaves its place.
#[test]
fn room_is_given_back_however_a_request_ends() {
    let limits = EdgeLimits { requests_in_flight: 1, ..EdgeLimits::default() };
    let edge = Edge::start(&Settings { limits, ..Settings::default() });
    let token = edge.writer_token();
    edge.upstream.on("/api/files/slow", Answer::Hang);
    edge.upstream.on("/api/files/broken", Answer::Close);
    for _ in 0..3 {
        eventually("the upstream fails", || {
            let response = edge.connect().exchange(&request("GET /files/broken", "", &token));
            (response.status == 502).then_some(())
        });
        // An answer is read a moment before its place is free, so this may take more than one attempt.
        let gone = eventually("the slow one is served", || {
            let asked = edge.upstream.requests().len();
            let mut connection = edge.connect();
            connection.send(request("GET /files/slow", "", &token));
            let deadline = Instant::now() + Duration::from_secs(2);
            while edge.upstream.requests().len() == asked && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            (edge.upstream.requests().len() > asked).then_some(connection)
        });
        assert_refusal(&edge.connect().exchange(&request("GET /cards", "", &token)), 503, "overloaded");
        drop(gone);
        eventually("there is room again", || {
            let response = edge.connect().exchange(&request("GET /cards", "", &token));
            (response.status == 200).then_some(())
        });
    }
}

/// Whoever is refused, and takes its time with the rest of its body or with the answer, takes nobody's place.
#[test]
fn what_is_refused_takes_no_place() {
    let gateway = Gateway::builder().node("[edge.limits]\nrequests_in_flight = 2").start();
    let token = gateway.writer_token();
    let unread = |target: &str, token: &str| {
        let fields = format!("Host: gate.test\r\n{token}Content-Length: 10\r\n");
        format!("POST /v1/production{target} HTTP/1.1\r\n{fields}\r\n")
    };
    for request in [unread("/cards", ""), unread("/cards", "Authorization: Bearer x\r\n"), unread("/oauth2/token", "")]
    {
        let waiting: Vec<_> = (0..6)
            .map(|_| {
                let mut connection = gateway.connect();
                connection.send(&request);
                connection
            })
            .collect();
        in_flight(&gateway, 6);
        gateway.get("/cards").bearer(&token).send().expect(200);
        // An honest one counts for a moment after its answer.
        in_flight(&gateway, 6);
        drop(waiting);
        in_flight(&gateway, 0);
    }
}

fn in_flight(gateway: &Gateway, count: usize) {
    let gauge = format!("portcullis_requests_in_flight {count}\n");
    eventually("so many are in flight", || gateway.metrics().contains(&gauge).then_some(()));
}

#[test]
fn streams_that_are_refused_take_no_place() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["gate.test"]);
    let gateway = Gateway::builder().node("[edge.limits]\nrequests_in_flight = 2").tls(&[&certificate]).start();
    let key = writer();
    let mut connection = gateway.connect().secure(&authority.pem(), "gate.test", &[]).unwrap();
    let asking = gateway.post("/oauth2/token").basic(&key.id, &key.secret).form("grant_type=client_credentials");
    let token = asking.send_on(&mut connection).expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let head = |method, path| [(":method", method), (":scheme", "https"), (":authority", "gate.test"), (":path", path)];
    // No window: the answers cannot be taken.
    let mut client = Http2::silent(gateway.edge(), &authority.pem(), "gate.test");
    client.connection.send([PREFACE, &Frame::bytes(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat());
    for _ in 0..6 {
        client.head(&[&head("POST", "/v1/production/cards")[..], &[("content-length", "10")]].concat(), false);
        client.head(&head("GET", "/v1/production/cards"), true);
    }
    in_flight(&gateway, 12);
    gateway.get("/cards").bearer(&token).send_on(&mut connection).expect(200);
    in_flight(&gateway, 12);
    // With one, a body that is not read holds nothing up: the stream ends with its answer.
    let mut client = Http2::open(gateway.edge(), &authority.pem(), "gate.test");
    let began = Instant::now();
    let with_body = [&head("POST", "/v1/production/cards")[..], &[("content-length", "10")]].concat();
    let streams: Vec<u32> = (0..6).map(|_| client.head(&with_body, false)).collect();
    for stream in streams {
        let reply = client.reply(stream);
        assert_eq!((reply.status, reply.header("portcullis-error")), (401, Some("token_missing")), "{reply:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// Open sockets and streams are bounded as connections are; else some thousands of them would keep everybody out.
#[test]
fn what_lasts_gives_its_place_back() {
    let limits = EdgeLimits { requests_in_flight: 1, ..EdgeLimits::default() };
    let edge = Edge::start(&Settings { limits, ..Settings::default() });
    let token = edge.writer_token();
    edge.upstream.on("/api/socket", Answer::WebSocketEcho);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // The places of those before are given back a moment after their answers.
    let open = |head: Vec<u8>, status| {
        eventually("it is served", || {
            let mut connection = edge.connect();
            connection.send(&head);
            let answer = connection.read_head();
            (answer.status == status).then_some((connection, answer))
        })
    };
    let mut sockets: Vec<_> = (0..3).map(|_| open(request("GET /socket", upgrade, &token), 101)).collect();
    edge.connect().exchange(&request("GET /cards", "", &token)).expect(200);
    // What streams has its place until it is looked after for the first time.
    let (chunks, receiver) = mpsc::channel();
    edge.upstream.on("/api/files/a", Answer::Stream(receiver));
    let (mut stream, mut head) = open(request("GET /files/a", "", &token), 200);
    std::thread::sleep(RECHECK * 3);
    edge.connect().exchange(&request("GET /cards", "", &token)).expect(200);
    chunks.send(b"still".to_vec()).unwrap();
    assert_eq!(stream.read_chunk(&mut head), Some(b"still".to_vec()));
    for (socket, _) in &mut sockets {
        socket.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(socket.read_exactly(4).0, [0x81, 2, b'h', b'i']);
    }
}
