//! More requests at the same time than may be: told so at once, and nothing else is done for them.

use super::inside::{Edge, Settings, request};
use super::{assert_refusal, without_upstream};
use crate::harness::{Answer, End, Gateway, eventually};
use portcullis::config::EdgeLimits;
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
    assert!(gateway.metrics().contains("portcullis_denials_total{code=\"overloaded\",environment=\"-\"} 4"));
    // One ends: one more may begin, on the same connection.
    drop(busy.pop());
    eventually("there is room again", || {
        let response = gateway.get("/cards").bearer(&token).send_on(&mut connection);
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
