//! Several addresses behind one environment: who gets which request, and what becomes of those that fail.

use super::{assert_refusal, assert_refused};
use crate::harness::{Answer, Gateway, GatewayBuilder, RecordingUpstream, eventually};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// An address at which nobody listens.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn in_front_of(urls: &[String], more: &str) -> GatewayBuilder {
    Gateway::builder().upstream_whole(&format!("urls = {urls:?}\n{more}"))
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/api")
}

/// The count of addresses in a state.
fn standing(gateway: &Gateway, state: &str) -> u64 {
    let metrics = gateway.metrics();
    let name = format!("portcullis_upstreams{{environment=\"acme/production\",state=\"{state}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_else(|| panic!("{metrics}"))
}

#[test]
fn requests_go_round_the_addresses() {
    let (one, two) = (RecordingUpstream::start(), RecordingUpstream::start());
    for balance in ["round_robin", "least_connections"] {
        let urls = [url(one.address()), url(two.address())];
        let gateway = in_front_of(&urls, &format!("balance = \"{balance}\"")).start();
        let before = (one.requests().len(), two.requests().len());
        let token = gateway.reader_token();
        (0..10).for_each(|_| drop(gateway.get("/cards").bearer(&token).send().expect(200)));
        assert_eq!((one.requests().len() - before.0, two.requests().len() - before.1), (5, 5), "{balance}");
        assert_eq!((standing(&gateway, "available"), standing(&gateway, "ejected")), (2, 0));
    }
}

#[test]
fn least_connections_passes_by_who_is_busy() {
    let (busy, idle) = (RecordingUpstream::start(), RecordingUpstream::start());
    let urls = [url(busy.address()), url(idle.address())];
    let gateway = in_front_of(&urls, "balance = \"least_connections\"").start();
    for upstream in [&busy, &idle] {
        upstream.on("/api/cards/slow", Answer::Hang);
    }
    let token = gateway.reader_token();
    let mut slow = gateway.connect();
    slow.send(gateway.get("/cards/slow").bearer(&token).bytes());
    let waits = |upstream: &RecordingUpstream| !upstream.requests().is_empty();
    let held = eventually("a slow request is under way", || [&busy, &idle].into_iter().find(|one| waits(one)));
    for _ in 0..6 {
        // The answer of the one before is there before its request counts no more.
        let alone = || gateway.metrics().contains("portcullis_requests_in_flight 1\n").then_some(());
        eventually("the slow request alone is under way", alone);
        gateway.get("/cards").bearer(&token).send().expect(200);
    }
    assert_eq!(held.requests().len(), 1);
}

#[test]
fn what_was_never_sent_goes_to_another_address() {
    let live = RecordingUpstream::start();
    live.on("/api/cards", Answer::Echo);
    let gateway = in_front_of(&[url(dead()), url(live.address())], "eject_after = 3\neject_for = \"1h\"").start();
    let token = gateway.writer_token();
    for number in 0..12 {
        let body = format!("number {number}");
        let response = gateway.post("/cards").bearer(&token).body("text/plain", &body).send().expect(200);
        assert_eq!(response.text(), body);
    }
    assert_eq!(live.requests().len(), 12, "each of them once");
    assert_eq!((standing(&gateway, "available"), standing(&gateway, "ejected")), (1, 1));
    assert_eq!(gateway.metrics().matches("portcullis_upstream_errors_total{").count(), 0, "nobody noticed");
    assert!(!gateway.metrics().contains("127.0.0.1"), "no address in any label");
}

#[test]
fn a_dead_upstream_is_left_alone_and_tried_now_and_then() {
    let address = dead();
    let gateway = in_front_of(&[url(address)], "eject_after = 2\neject_for = \"1500ms\"").start();
    let token = gateway.reader_token();
    let cards = || gateway.get("/cards").bearer(&token);
    for _ in 0..2 {
        assert_refused(&gateway, &cards(), 502, "upstream_unreachable");
    }
    // It is there again, and is not asked all the same.
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_refused(&gateway, &cards(), 502, "upstream_unreachable");
    assert!(listener.accept().is_err(), "no connection, no byte");
    assert_eq!(standing(&gateway, "ejected"), 1);
    assert_eq!(gateway.probe("/readyz").status, 200, "a dead upstream never makes a node unready");
    listener.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    eventually("one request tries it", || (cards().send().status == 204).then_some(()));
    for _ in 0..3 {
        cards().send().expect(204);
    }
    assert_eq!((standing(&gateway, "available"), standing(&gateway, "ejected")), (1, 0));
}

/// An upstream that gives up on bodies which do not come, and closes.
fn impatient() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap_or(0);
                std::thread::sleep(Duration::from_millis(100));
                if buffer[..read].starts_with(b"GET") {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
                }
            });
        }
    });
    address
}

#[test]
fn half_bodies_put_no_address_out() {
    let gateway = in_front_of(&[url(impatient()), url(impatient())], "eject_after = 2\neject_for = \"1h\"").start();
    let token = gateway.writer_token();
    let whole = gateway.post("/cards").bearer(&token).body("text/plain", "0123456789").bytes();
    let mut halves: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    halves.iter_mut().for_each(|connection| connection.send(&whole[..whole.len() - 5]));
    for connection in &mut halves {
        assert_refusal(&connection.read_response(), 502, "upstream_protocol");
    }
    assert_eq!((standing(&gateway, "available"), standing(&gateway, "ejected")), (2, 0));
    (0..4).for_each(|_| drop(gateway.get("/cards").bearer(&token).send().expect(204)));
    // Whole ones count, for one of the two.
    (0..8).for_each(|_| drop(gateway.connect().exchange(&whole).expect(502)));
    assert_eq!((standing(&gateway, "available"), standing(&gateway, "ejected")), (1, 1));
}

#[test]
fn broken_answers_put_out_no_last_address() {
    let gateway = Gateway::builder().upstream_table("eject_after = 1\neject_for = \"1h\"").start();
    gateway.upstream.on("/api/cards", Answer::BytesThenClose(b"garbage\r\n\r\n".to_vec()));
    let token = gateway.reader_token();
    for _ in 0..3 {
        assert_refusal(&gateway.get("/cards").bearer(&token).send(), 502, "upstream_protocol");
    }
    gateway.get("/cards/1").bearer(&token).send().expect(200);
}

#[test]
fn health_checks_take_an_address_out_and_bring_it_back() {
    let (one, two) = (RecordingUpstream::start(), RecordingUpstream::start());
    let status = |line: &str| Answer::Bytes(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes());
    one.on("/healthz", status("503 Down"));
    let health = "health = { path = \"/healthz\", interval = \"1s\", unhealthy_after = 1, healthy_after = 1 }";
    let gateway = in_front_of(&[url(one.address()), url(two.address())], health).start();
    let token = gateway.reader_token();
    eventually("one is found not well", || (standing(&gateway, "unhealthy") == 1).then_some(()));
    (0..4).for_each(|_| drop(gateway.get("/cards").bearer(&token).send().expect(200)));
    let cards =
        |upstream: &RecordingUpstream| upstream.requests().iter().filter(|seen| seen.target == "/api/cards").count();
    assert_eq!((cards(&one), cards(&two)), (0, 4));
    let check = one.requests().into_iter().find(|seen| seen.target == "/healthz").unwrap();
    assert_eq!((check.method.as_str(), check.header("host")), ("GET", Some(one.address().to_string().as_str())));
    assert!(check.header("authorization").is_none() && check.header("portcullis-client-id").is_none());
    // Nobody is well: then all are asked, and the node stays ready.
    two.on("/healthz", status("503 Down"));
    eventually("nobody is well", || (standing(&gateway, "unhealthy") == 2).then_some(()));
    assert_eq!(gateway.probe("/readyz").status, 200);
    (0..4).for_each(|_| drop(gateway.get("/cards").bearer(&token).send().expect(200)));
    assert!(cards(&one) > 0);
    one.on("/healthz", status("302 Found"));
    eventually("it is well again", || (standing(&gateway, "available") == 1).then_some(()));
}

#[test]
fn a_token_from_a_file_takes_the_place_of_the_caller_s() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "canary-first\n").unwrap();
    let table = format!("authorization = {{ bearer_file = {file:?} }}");
    let gateway = Gateway::builder().upstream_table(&table).start();
    let token = gateway.reader_token();
    let sent = || {
        gateway.get("/cards").bearer(&token).send().expect(200);
        gateway.upstream.last().header("authorization").map(str::to_owned)
    };
    assert_eq!(sent().as_deref(), Some("Bearer canary-first"));
    std::fs::write(&file, "canary-second\n").unwrap();
    eventually("the new token is taken over", || (sent().as_deref() == Some("Bearer canary-second")).then_some(()));
    // One that is none changes nothing.
    std::fs::write(&file, "no token at all\n").unwrap();
    eventually("the reload is refused", || gateway.stderr().contains("bearer token").then_some(()));
    assert_eq!(sent().as_deref(), Some("Bearer canary-second"));
    std::thread::sleep(Duration::from_millis(50));
    for text in [gateway.stderr(), gateway.stdout(), gateway.metrics()] {
        assert!(!text.contains("canary-first") && !text.contains("canary-second"), "{text}");
    }
}
