//! A panic ends one request. It is provoked by a clock that panics: the product has no hook for it.

use super::assert_refusal;
use super::inside::{Edge, Settings, request};
use crate::harness::{Answer, End, eventually};
use portcullis::model::Timestamp;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// After so many looks at the clock it panics once; negative: never.
static FUSE: AtomicI32 = AtomicI32::new(-1);

fn clock() -> Timestamp {
    assert_ne!(FUSE.fetch_sub(1, Ordering::SeqCst), 0, "on demand: pculls_canary_panic");
    portcullis::clock::now()
}

#[test]
fn a_panic_in_the_decision_is_a_500_and_nothing_goes_upstream() {
    let edge = Edge::start(&Settings { clock, ..Settings::default() });
    let token = edge.writer_token();
    let mut connection = edge.connect();
    connection.exchange(&request("GET /cards", "", &token)).expect(200);
    // What is told of it looks at the clock too.
    edge.log_line("/v1/production/cards");
    let before = edge.upstream.bytes_received();
    FUSE.store(0, Ordering::SeqCst);
    let response = connection.exchange(&request("GET /cards/7", "", &token));
    assert_refusal(&response, 500, "internal_error");
    assert_eq!(edge.upstream.bytes_received(), before);
    assert!(!response.text().contains("canary"));
    let line = edge.log_line("/v1/production/cards/7");
    assert_eq!((&line["status"], &line["outcome"]), (&500.into(), &"failed".into()), "{line}");
    // The process lives.
    edge.connect().exchange(&request("GET /cards", "", &token)).expect(200);
}

/// In one of our own endpoints, with a body.
#[test]
fn a_panic_at_the_token_endpoint() {
    let edge = Edge::start(&Settings { clock, ..Settings::default() });
    let form = crate::harness::token_form("writer", "pculls_canary_writer_secret");
    let head = "POST /v1/production/oauth2/token HTTP/1.1\r\nHost: gate.test\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    // The first look is the decision's, the second the endpoint's.
    FUSE.store(1, Ordering::SeqCst);
    let ask = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
    let response = edge.connect().exchange(ask.as_bytes());
    assert_refusal(&response, 500, "internal_error");
    edge.writer_token();
}

/// Outside of what is caught, the connection is closed: here by the clock that a lease looks at.
#[test]
fn a_panic_elsewhere_closes_its_connection_alone() {
    let edge = Edge::start(&Settings { clock, recheck: Duration::from_millis(300), ..Settings::default() });
    let token = edge.writer_token();
    edge.upstream.on("/api/files/slow", Answer::Hang);
    let mut connection = edge.connect();
    connection.send(request("GET /files/slow", "", &token));
    eventually("the upstream is asked", || (!edge.upstream.requests().is_empty()).then_some(()));
    FUSE.store(0, Ordering::SeqCst);
    let (bytes, end) = connection.read_to_end();
    assert!(matches!(end, End::Closed | End::Reset), "{end:?}");
    assert_eq!(String::from_utf8_lossy(&bytes), "");
    let line = edge.log_line("/v1/production/files/slow");
    assert_eq!((&line["outcome"], &line["code"]), (&"failed".into(), &"internal_error".into()), "{line}");
    edge.connect().exchange(&request("GET /cards", "", &token)).expect(200);
    eventually("nothing is left in flight", || (edge.metrics.in_flight.get() == 0).then_some(()));
}
