//! The end of a node: it says so first, serves what is there, takes nothing new, and is gone in time.

use crate::harness::{Answer, RecordingUpstream, eventually};
use crate::process::{Control, Folder, HOST, Node, PATIENCE, Wire};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

const PERMISSIONS: &str = r#""cards:read" = ["GET /cards", "GET /slow"]"#;
const BODY: &str = r#"{"name":"Beta"}"#;
/// Within which a node ends that nothing holds up.
const SOON: Duration = Duration::from_secs(10);

/// A node with these settings of `[edge]`, and an upstream that answers `/slow` piece by piece.
struct Bench {
    folder: Folder,
    node: Node,
    upstream: RecordingUpstream,
    token: String,
}

impl Bench {
    fn new(edge: &str) -> Self {
        let upstream = RecordingUpstream::start();
        let folder = Folder::new(&upstream.url(), PERMISSIONS);
        folder.edit("portcullis.toml", "[log]", &format!("[edge]\n{edge}\n[log]"));
        let node = folder.start();
        let key = node.control().create("driver", &["cards:read"]).unwrap();
        let token = node.edge().token(&key);
        Self { folder, node, upstream, token }
    }

    /// A request that is being served until the sender goes; what it sends arrives.
    fn slow(&self) -> (Sender<Vec<u8>>, std::thread::JoinHandle<std::io::Result<String>>) {
        let (pieces, received) = mpsc::channel();
        self.upstream.on("/slow", Answer::Stream(received));
        let (mut edge, token) = (self.node.edge(), format!("Bearer {}", self.token));
        let answer = std::thread::spawn(move || {
            edge.send("GET", "/v1/slow", &[("Authorization", &token)], b"").map(|answer| answer.text())
        });
        eventually("the slow request is upstream", || (!self.upstream.requests().is_empty()).then_some(()));
        (pieces, answer)
    }

    fn readiness(&self) -> (u16, String) {
        let answer = Wire::new(self.node.metrics, "localhost").send("GET", "/readyz?verbose", &[], b"").unwrap();
        (answer.status, answer.text())
    }

    fn await_draining(&self) {
        eventually("readiness drops", || {
            let (status, words) = self.readiness();
            (status == 503 && words.starts_with("draining\n")).then_some(())
        });
    }

    fn await_closed(&self) {
        eventually("no new connections", || TcpStream::connect(self.node.edge).is_err().then_some(()));
    }

    #[track_caller]
    fn ends_well(&mut self, within: Duration) {
        let status = self.node.process.ended(within);
        assert_eq!(status.code(), Some(0), "{status}\n{}", self.node.process.stderr());
    }

    /// A change at the control API, up to the first byte of its body.
    fn half_of_a_change(&self) -> String {
        format!(
            "PUT /v1/organizations/beta HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            self.node.operator_token(),
            BODY.len(),
            &BODY[..1]
        )
    }

    fn control(&self) -> Control {
        self.node.control()
    }
}

#[test]
fn readiness_drops_first_and_new_connections_are_served_until_the_delay_is_over() {
    let mut bench = Bench::new("readiness_delay = \"2s\"");
    assert_eq!(bench.readiness().0, 200);
    let told = Instant::now();
    bench.node.process.signal("TERM");
    bench.await_draining();
    let mut kept = bench.node.edge();
    kept.get("/v1/cards", &bench.token).expect(200);
    while told.elapsed() < Duration::from_millis(1500) {
        bench.node.edge().get("/v1/cards", &bench.token).expect(200);
        kept.get("/v1/cards", &bench.token).expect(200);
    }
    assert_eq!(kept.connections, 1, "a connection was closed before its time");
    bench.await_closed();
    assert!(told.elapsed() >= Duration::from_secs(2), "{:?}", told.elapsed());
    bench.ends_well(SOON);
}

#[test]
fn what_is_being_served_ends_while_nothing_new_is_taken_and_control_and_probes_still_answer() {
    let mut bench = Bench::new("drain_timeout = \"1m\"");
    let (pieces, answer) = bench.slow();
    pieces.send(b"one ".to_vec()).unwrap();
    let drained = bench.control().post("/v1/drain", &json!({})).unwrap();
    assert_eq!(drained.status, 202);
    bench.await_draining();
    bench.await_closed();
    assert!(bench.node.process.is_running());
    bench.control().get("/v1/status").unwrap().expect(200);
    let metrics = Wire::new(bench.node.metrics, "localhost").send("GET", "/metrics", &[], b"").unwrap();
    assert!(metrics.expect(200).text().contains("portcullis_requests_in_flight 1"));
    pieces.send(b"two".to_vec()).unwrap();
    drop(pieces);
    assert_eq!(answer.join().unwrap().unwrap(), "one two");
    bench.ends_well(SOON);
}

#[test]
fn what_is_not_over_in_time_is_cut() {
    let mut bench = Bench::new("drain_timeout = \"1s\"");
    let (pieces, answer) = bench.slow();
    pieces.send(b"one ".to_vec()).unwrap();
    let told = Instant::now();
    bench.node.process.signal("INT");
    assert!(answer.join().unwrap().is_err(), "a cut answer must not look whole");
    assert!(told.elapsed() >= Duration::from_secs(1), "{:?}", told.elapsed());
    bench.ends_well(SOON);
    assert!(bench.node.process.all_of_stderr().contains("1 requests were still being served"));
}

#[test]
fn a_request_on_its_way_on_a_kept_connection_is_answered() {
    for _ in 0..3 {
        let mut bench = Bench::new("");
        let mut kept = bench.node.edge();
        kept.get("/v1/cards", &bench.token).expect(200);
        bench.node.process.signal("TERM");
        bench.await_closed();
        let answer = kept.get("/v1/cards", &bench.token).expect(200);
        assert_eq!(answer.field("connection"), Some("close"), "{answer}");
        assert_eq!(kept.connections, 1);
        bench.ends_well(SOON);
    }
}

/// A connection on which so much was said.
fn begun(address: SocketAddr, words: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(words.as_bytes()).unwrap();
    stream
}

#[track_caller]
fn finished(mut stream: TcpStream, words: &str) {
    stream.write_all(words.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
}

#[test]
fn a_head_on_its_way_and_a_connection_that_was_just_taken_are_waited_for() {
    let mut bench = Bench::new("drain_timeout = \"1m\"");
    let (token, mut kept) = (&bench.token, bench.node.edge());
    kept.get("/v1/cards", token).expect(200);
    let head = format!("GET /v1/cards HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (half, rest) = head.split_at(head.len() - 2);
    let (reading, taken) = (begun(bench.node.edge, half), begun(bench.node.edge, ""));
    std::thread::sleep(Duration::from_millis(300));
    bench.node.process.signal("TERM");
    bench.await_closed();
    std::thread::sleep(Duration::from_secs(3));
    finished(reading, rest);
    finished(taken, &head);
    // One that only waits for its next request holds nothing up.
    bench.ends_well(Duration::from_secs(5));
    drop(kept);
}

#[test]
fn a_request_beside_the_edge_gets_the_same_time() {
    let mut bench = Bench::new("drain_timeout = \"1m\"");
    let head = bench.half_of_a_change();
    let stream = begun(bench.node.control, &head);
    std::thread::sleep(Duration::from_millis(300));
    bench.node.process.signal("TERM");
    bench.await_closed();
    std::thread::sleep(Duration::from_secs(6));
    finished(stream, &BODY[1..]);
    bench.ends_well(Duration::from_secs(5));
}

#[test]
fn a_second_signal_ends_what_is_beside_the_edge_as_well() {
    let mut bench = Bench::new("drain_timeout = \"5m\"");
    let head = bench.half_of_a_change();
    let _stream = begun(bench.node.control, &head);
    std::thread::sleep(Duration::from_millis(300));
    bench.node.process.signal("TERM");
    bench.await_closed();
    // The edge had nothing to do; what is left is beside it.
    std::thread::sleep(Duration::from_secs(4));
    assert!(bench.node.process.is_running());
    bench.node.process.signal("TERM");
    bench.ends_well(SOON);
}

/// What a container's hook and its runtime do, one after the other: a drain that is asked for, then TERM.
#[test]
fn the_first_signal_after_a_drain_that_was_asked_for_cuts_nothing() {
    let mut bench = Bench::new("drain_timeout = \"5m\"");
    let (pieces, answer) = bench.slow();
    pieces.send(b"one ".to_vec()).unwrap();
    let head = bench.half_of_a_change();
    let beside = begun(bench.node.control, &head);
    assert_eq!(bench.control().post("/v1/drain", &json!({})).unwrap().status, 202);
    bench.await_closed();
    bench.node.process.signal("TERM");
    bench.node.process.line_with("draining already");
    pieces.send(b"two".to_vec()).unwrap();
    drop(pieces);
    assert_eq!(answer.join().unwrap().unwrap(), "one two");
    finished(beside, &BODY[1..]);
    bench.ends_well(SOON);

    // The second one ends it, and so does the second one that finds nothing left but what is beside the edge.
    for lasts in [true, false] {
        let mut bench = Bench::new("drain_timeout = \"5m\"");
        let slow = lasts.then(|| bench.slow());
        let head = bench.half_of_a_change();
        let _beside = begun(bench.node.control, &head);
        bench.control().get("/v1/status").unwrap().expect(200);
        assert_eq!(bench.control().post("/v1/drain", &json!({})).unwrap().status, 202);
        bench.await_closed();
        bench.node.process.signal("TERM");
        bench.node.process.line_with("draining already");
        bench.node.process.signal("TERM");
        bench.ends_well(SOON);
        drop(slow);
    }
}

#[test]
fn a_second_signal_ends_the_delay_as_well() {
    let mut bench = Bench::new("readiness_delay = \"5m\"");
    bench.node.process.signal("TERM");
    bench.await_draining();
    bench.node.process.signal("INT");
    bench.ends_well(Duration::from_secs(5));
}

#[test]
fn a_drain_that_was_asked_for_twice_goes_on() {
    let mut bench = Bench::new("readiness_delay = \"1s\"");
    for _ in 0..2 {
        assert_eq!(bench.control().post("/v1/drain", &json!({})).unwrap().status, 202);
    }
    bench.node.edge().get("/v1/cards", &bench.token).expect(200);
    bench.ends_well(SOON);
    // What it left behind does no harm to the next one.
    let next = bench.folder.start();
    next.edge().get("/v1/cards", &bench.token).expect(200);
}
