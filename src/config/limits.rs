//! `[edge.limits]` and the times of a drain: each a named value with its range and its default.

use super::reader::{Reader, Value};
use std::time::Duration;

/// Limits of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head in bytes, 1 KiB to 1 MiB. One more answers 431.
    pub header_bytes: usize,
    /// Header fields, 1 to 250. One more answers 431.
    pub header_fields: usize,
    /// The request target in bytes, 64 to 64 KiB. One more answers 414.
    pub target_bytes: usize,
    /// From the first byte of the head to its end, 100 ms to 5 min. Later answers 408 and closes.
    pub header_timeout: Duration,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            header_fields: 100,
            target_bytes: 8 * 1024,
            header_timeout: Duration::from_secs(10),
        }
    }
}

/// Limits of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// The whole body in bytes, 1 KiB to 1 TiB; `None` is any. One more answers 413.
    pub body_bytes: Option<u64>,
    /// Waiting for its next bytes, 100 ms to 5 min. Later answers 408 and closes.
    pub body_idle_timeout: Duration,
    /// Bytes a second that a body reaches on the average, counted from [`BODY_GRACE`] after its head; `None` is any.
    /// A slower one answers 408 and closes. Streams (gRPC, upgraded connections) are not held to it.
    pub body_rate: Option<u64>,
}

/// How long a body may take to begin before its rate counts.
pub const BODY_GRACE: Duration = Duration::from_secs(10);

impl Default for BodyLimits {
    fn default() -> Self {
        Self { body_bytes: None, body_idle_timeout: Duration::from_secs(30), body_rate: Some(256) }
    }
}

/// Limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open ones in all, 1 to 1 000 000. One more is closed at once.
    pub connections: usize,
    /// Open ones of one address, 1 to 1 000 000; `None` is any. Trusted proxies are not counted. One more is closed.
    pub connections_per_address: Option<usize>,
    /// A TLS handshake, and a PROXY header before it, 100 ms to 5 min. Later closes.
    pub handshake_timeout: Duration,
    /// Waiting for the next request of a connection, 100 ms to 1 h. Later closes.
    pub idle_timeout: Duration,
    /// Requests of one HTTP/2 connection at the same time, 1 to 1 000. One more is refused (`REFUSED_STREAM`).
    pub streams: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: Some(4_096),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            streams: 100,
        }
    }
}

/// Every limit of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Of a request head.
    pub head: HeadLimits,
    /// Of a request body.
    pub body: BodyLimits,
    /// Of connections.
    pub connection: ConnectionLimits,
    /// Requests being served at the same time, 1 to 1 000 000. One more answers 503 `overloaded`.
    pub requests_in_flight: usize,
    /// How many of them may be of one key, 1 to 1 000 000; [`share`](Self::share) where it is not said. Its next one answers 503.
    pub requests_in_flight_per_key: Option<usize>,
}

impl EdgeLimits {
    /// How many requests of one key are served at the same time: a quarter of all, but not fewer than 256.
    pub fn share(&self) -> usize {
        self.requests_in_flight_per_key.unwrap_or((self.requests_in_flight / 4).max(LEAST_SHARE))
    }
}

/// Room for so many requests is not shared out by itself: whoever has one key and few requests loses none of them.
const LEAST_SHARE: usize = 256;

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            body: BodyLimits::default(),
            connection: ConnectionLimits::default(),
            requests_in_flight: 4_096,
            requests_in_flight_per_key: None,
        }
    }
}

/// The times of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainTimes {
    /// Requests being served get this long to end, 0 s to 1 h.
    pub drain_timeout: Duration,
    /// Between saying "not ready" and no longer taking connections, 0 s to 5 min.
    pub readiness_delay: Duration,
}

impl Default for DrainTimes {
    fn default() -> Self {
        Self { drain_timeout: Duration::from_secs(5), readiness_delay: Duration::ZERO }
    }
}

/// Reads `[edge.limits]`.
pub(super) fn limits(table: &mut Reader<'_>) -> EdgeLimits {
    let default = EdgeLimits::default();
    EdgeLimits {
        head: head(table, default.head),
        body: body(table, default.body),
        connection: connection(table, default.connection),
        requests_in_flight: count(table, "requests_in_flight").unwrap_or(default.requests_in_flight),
        requests_in_flight_per_key: count(table, "requests_in_flight_per_key"),
    }
}

/// Reads the times of a drain, which stand in `[edge]` itself.
pub(super) fn drain(edge: &mut Reader<'_>) -> DrainTimes {
    let default = DrainTimes::default();
    let mut time = |key, longest, default| {
        let read = edge.take(key).and_then(|value| value.duration(Duration::ZERO..=Duration::from_secs(longest)));
        read.unwrap_or(default)
    };
    DrainTimes {
        drain_timeout: time("drain_timeout", 3_600, default.drain_timeout),
        readiness_delay: time("readiness_delay", 300, default.readiness_delay),
    }
}

fn head(table: &mut Reader<'_>, default: HeadLimits) -> HeadLimits {
    HeadLimits {
        header_bytes: table
            .take("header_bytes")
            .and_then(|value| value.size(1024..=1024 * 1024))
            .unwrap_or(default.header_bytes),
        header_fields: table
            .take("header_fields")
            .and_then(|value| value.integer(1..=250))
            .unwrap_or(default.header_fields),
        target_bytes: table
            .take("target_bytes")
            .and_then(|value| value.size(64..=64 * 1024))
            .unwrap_or(default.target_bytes),
        header_timeout: time(table, "header_timeout", 300).unwrap_or(default.header_timeout),
    }
}

fn body(table: &mut Reader<'_>, default: BodyLimits) -> BodyLimits {
    let body_bytes = body_bytes(table, "body_bytes", default.body_bytes);
    let body_rate = unless_off(table, "body_rate", "off", default.body_rate, |value| {
        value.size(1..=1 << 30).map(|size| size as u64)
    });
    let body_idle_timeout = time(table, "body_idle_timeout", 300).unwrap_or(default.body_idle_timeout);
    BodyLimits { body_bytes, body_idle_timeout, body_rate }
}

/// The largest body of a request.
pub(super) fn body_bytes(table: &mut Reader<'_>, key: &'static str, default: Option<u64>) -> Option<u64> {
    unless_off(table, key, "none", default, |value| value.size(1024..=1 << 40).map(|size| size as u64))
}

fn connection(table: &mut Reader<'_>, default: ConnectionLimits) -> ConnectionLimits {
    ConnectionLimits {
        connections: count(table, "connections").unwrap_or(default.connections),
        connections_per_address: unless_off(
            table,
            "connections_per_address",
            "off",
            default.connections_per_address,
            |value| value.integer(1..=MOST),
        ),
        handshake_timeout: time(table, "handshake_timeout", 300).unwrap_or(default.handshake_timeout),
        idle_timeout: time(table, "idle_timeout", 3_600).unwrap_or(default.idle_timeout),
        streams: table.take("streams").and_then(|value| value.integer(1..=1_000)).unwrap_or(default.streams),
    }
}

/// The most that a count may say.
const MOST: usize = 1_000_000;

fn count(table: &mut Reader<'_>, key: &'static str) -> Option<usize> {
    table.take(key).and_then(|value| value.integer(1..=MOST))
}

/// From 100 ms to so many seconds.
fn time(table: &mut Reader<'_>, key: &'static str, longest: u64) -> Option<Duration> {
    table.take(key).and_then(|value| value.duration(Duration::from_millis(100)..=Duration::from_secs(longest)))
}

/// A limit that a word switches off; its default where it is not said, or wrong.
fn unless_off<T>(
    table: &mut Reader<'_>,
    key: &'static str,
    off: &str,
    default: Option<T>,
    read: impl FnOnce(&Value<'_>) -> Option<T>,
) -> Option<T> {
    match table.take(key) {
        Some(value) if value.is_text(off) => None,
        Some(value) => read(&value).or(default),
        None => default,
    }
}
