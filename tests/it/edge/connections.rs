//! Limits of connections: in all, of one address, and how long one may wait for its next request.

use crate::harness::{Connection, End, Gateway, eventually};
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

fn gateway(limits: &str) -> Gateway {
    Gateway::builder().node(&format!("[edge.limits]\n{limits}")).start()
}

/// Waits until the node has so many connections.
#[track_caller]
fn await_open(gateway: &Gateway, count: usize) {
    let wanted = format!("portcullis_connections{{listener=\"edge\"}} {count}\n");
    eventually("the connections are counted", || gateway.metrics().contains(&wanted).then_some(()));
}

/// Whether a connection is closed without a byte, soon.
fn is_turned_away(connection: Connection) -> bool {
    let mut stream = connection.into_stream();
    stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    match stream.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Waits until so many are counted.
#[track_caller]
fn await_refused(gateway: &Gateway, reason: &str, count: usize) {
    let wanted = format!("portcullis_connections_refused_total{{reason=\"{reason}\"}} {count}\n");
    eventually("the refusals are counted", || gateway.metrics().contains(&wanted).then_some(()));
}

#[test]
fn as_many_as_there_may_be_and_one_more() {
    let gateway = gateway("connections = 3");
    let token = gateway.reader_token();
    await_open(&gateway, 0);
    let request = gateway.get("/cards").bearer(&token);
    let mut open: Vec<Connection> = (0..3).map(|_| gateway.connect()).collect();
    for connection in &mut open {
        request.send_on(connection).expect(200);
    }
    assert!(is_turned_away(gateway.connect()));
    await_refused(&gateway, "connections", 1);
    // Those that are in notice nothing, and one that goes makes room.
    for connection in &mut open {
        request.send_on(connection).expect(200);
    }
    drop(open.pop());
    await_open(&gateway, 2);
    request.send_on(&mut gateway.connect()).expect(200);
    drop(open);
    await_open(&gateway, 0);
}

#[test]
fn as_many_of_one_address_as_there_may_be_and_one_more() {
    let gateway = Gateway::builder()
        .node("[edge]\ntrusted_proxies = [\"127.0.0.7\"]\n[edge.limits]\nconnections_per_address = 2")
        .start();
    let token = gateway.reader_token();
    await_open(&gateway, 0);
    let request = gateway.get("/cards").bearer(&token);
    let from = |address: &str, count: usize| -> Vec<Connection> {
        let mut open: Vec<Connection> = (0..count).map(|_| gateway.connect_from(address)).collect();
        for connection in &mut open {
            request.send_on(connection).expect(200);
        }
        open
    };
    let (one, two, proxy) = (from("127.0.0.1", 2), from("127.0.0.2", 2), from("127.0.0.7", 5));
    assert!(is_turned_away(gateway.connect_from("127.0.0.1")));
    assert!(is_turned_away(gateway.connect_from("127.0.0.2")));
    await_refused(&gateway, "connections_per_address", 2);
    await_open(&gateway, 9);
    drop(one);
    await_open(&gateway, 7);
    drop((from("127.0.0.1", 2), two, proxy));
    await_open(&gateway, 0);
}

#[test]
fn callers_behind_a_load_balancer_are_counted_by_their_own_addresses() {
    let gateway = Gateway::builder()
        .edge_listener("proxy_protocol = \"required\"")
        .node("[edge]\ntrusted_proxies = [\"127.0.0.1\"]\n[edge.limits]\nconnections_per_address = 2")
        .start();
    let of = |caller: &str| {
        let mut connection = gateway.connect();
        connection.send(format!("PROXY TCP4 {caller} 192.0.2.1 1 2\r\n"));
        connection
    };
    let lives = |connection: &mut Connection| {
        connection.exchange(b"GET /nowhere HTTP/1.1\r\nHost: gate.test\r\n\r\n").status == 404
    };
    let mut first: Vec<Connection> = (0..2).map(|_| of("203.0.113.1")).collect();
    assert!(first.iter_mut().all(lives));
    assert!(is_turned_away(of("203.0.113.1")));
    let mut second: Vec<Connection> = (0..2).map(|_| of("203.0.113.2")).collect();
    assert!(second.iter_mut().all(lives));
    assert!(is_turned_away(of("203.0.113.2")));
    // The load balancer's own are not counted.
    let mut own: Vec<Connection> = (0..4).map(|_| of("127.0.0.1")).collect();
    assert!(own.iter_mut().all(lives));
}

#[test]
fn an_idle_connection_is_closed_in_its_time_and_not_before() {
    let gateway = gateway("idle_timeout = \"1s\"");
    let token = gateway.reader_token();
    let request = gateway.get("/cards").bearer(&token);
    let mut connection = gateway.connect();
    for _ in 0..3 {
        request.send_on(&mut connection).expect(200);
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut unused = gateway.connect();
    for connection in [&mut connection, &mut unused] {
        let since = Instant::now();
        let (bytes, end) = connection.read_to_end();
        assert!(bytes.is_empty() && end == End::Closed, "{end:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
}

#[test]
fn a_node_may_open_as_many_files_as_the_system_lets_it() {
    let gateway = Gateway::start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
}
