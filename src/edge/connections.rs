//! How many connections there may be, in all and of one address, and in the same way how many streams of HTTP/2, which
//! cost no less. Each counts until it is dropped, however it ends. What a drain waits for is told here as well:
//! connections that are at something.
//!
//! Trusted proxies are not counted by address: all callers behind one have it in common. An IPv6 caller is counted by
//! the /64 that it is in, of which every address is its own to choose.

use crate::config::ConnectionLimits;
use crate::model::{NetworkSet, counted_as};
use crate::telemetry::Metrics;
use parking_lot::Mutex;
use prometheus::IntGauge;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Why a connection is closed, most of them before it has a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many as there may be.
    Connections,
    /// There are as many of its address as there may be.
    ConnectionsPerAddress,
    /// The PROXY header or the TLS handshake took too long.
    HandshakeTimeout,
    /// The caller agreed on HTTP/2 and did not begin it.
    Http2Preface,
    /// There are as many streams as there may be, in all or of its address: one was reset.
    Http2Streams,
    /// The caller broke the rules of HTTP/2, or flooded.
    Http2Violation,
    /// No PROXY header, or one that cannot be read.
    ProxyHeader,
    /// A PROXY header is due, and this peer may not send one.
    ProxyUntrusted,
    /// The TLS handshake failed.
    TlsHandshake,
}

impl Refused {
    /// The label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Http2Preface => "http2_preface",
            Self::Http2Streams => "http2_streams",
            Self::Http2Violation => "http2_violation",
            Self::ProxyHeader => "proxy_header",
            Self::ProxyUntrusted => "proxy_untrusted",
            Self::TlsHandshake => "tls_handshake",
        }
    }
}

/// Every open connection of the edge, or every stream.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    most_of_one: Option<usize>,
    trusted: NetworkSet,
    metrics: Arc<Metrics>,
    gauge: Option<IntGauge>,
    /// Those that shake hands, are at a request from its first byte on, or were just taken.
    busy: AtomicUsize,
    open: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of: HashMap<IpAddr, usize, ahash::RandomState>,
}

impl Connections {
    pub(super) fn new(limits: &ConnectionLimits, trusted: NetworkSet, metrics: Arc<Metrics>) -> Self {
        Self {
            most: limits.connections,
            most_of_one: limits.connections_per_address,
            trusted,
            gauge: Some(metrics.connections("edge")),
            metrics,
            busy: AtomicUsize::new(0),
            open: Mutex::default(),
        }
    }

    /// The same numbers for streams, which are shown by no gauge of their own.
    pub(super) fn of_streams(limits: &ConnectionLimits, trusted: NetworkSet, metrics: Arc<Metrics>) -> Self {
        Self { gauge: None, ..Self::new(limits, trusted, metrics) }
    }

    /// Takes one more in, if there is room.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Open, Refused> {
        let mut open = self.open.lock();
        if open.all >= self.most {
            return Err(Refused::Connections);
        }
        open.all += 1;
        self.gauge.iter().for_each(IntGauge::inc);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Ok(Open { connections: Arc::clone(self), of: None, busy: true })
    }

    /// How many are open, and how many of them are at something.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.open.lock().all, self.busy.load(Ordering::Relaxed))
    }

    /// Whether this peer may speak for others.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.contains(peer)
    }

    /// Counts one that is closed.
    pub(super) fn count_refused(&self, why: Refused) {
        self.metrics.count_refused_connection(why.as_str());
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Open {
    connections: Arc<Connections>,
    of: Option<IpAddr>,
    busy: bool,
}

impl Open {
    /// Counts it as one of this address (canonical), if there is room for one more.
    pub(super) fn count(&mut self, address: IpAddr) -> Result<(), Refused> {
        let Some(most) = self.connections.most_of_one.filter(|_| self.of.is_none()) else { return Ok(()) };
        if self.connections.trusts(address) {
            return Ok(());
        }
        let address = counted_as(address);
        let mut open = self.connections.open.lock();
        let count = open.of.entry(address).or_insert(0);
        if *count >= most {
            return Err(Refused::ConnectionsPerAddress);
        }
        *count += 1;
        self.of = Some(address);
        Ok(())
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether it is at something, or waits for a request.
    pub(super) fn set_busy(&mut self, busy: bool) {
        match (self.busy, busy) {
            (false, true) => drop(self.connections.busy.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.connections.busy.fetch_sub(1, Ordering::Relaxed)),
            (true, true) | (false, false) => {}
        }
        self.busy = busy;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.set_busy(false);
        let mut open = self.connections.open.lock();
        open.all = open.all.saturating_sub(1);
        self.connections.gauge.iter().for_each(IntGauge::dec);
        if let Some(address) = self.of
            && let Some(count) = open.of.get_mut(&address)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.of.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Network;

    fn connections(all: usize, of_one: Option<usize>) -> Arc<Connections> {
        let limits =
            ConnectionLimits { connections: all, connections_per_address: of_one, ..ConnectionLimits::default() };
        let trusted = NetworkSet::new(&[Network::parse("10.0.0.0/8").unwrap()]);
        Arc::new(Connections::new(&limits, trusted, Arc::new(Metrics::new("test", true).unwrap())))
    }

    fn from(connections: &Arc<Connections>, address: &str) -> Result<Open, Refused> {
        let mut open = connections.enter()?;
        open.count(address.parse().unwrap())?;
        Ok(open)
    }

    #[test]
    fn as_many_as_there_may_be_and_one_more() {
        let connections = connections(3, Some(2));
        let (one, two) = (from(&connections, "192.0.2.1").unwrap(), from(&connections, "192.0.2.1").unwrap());
        assert_eq!(from(&connections, "192.0.2.1").unwrap_err(), Refused::ConnectionsPerAddress);
        let other = from(&connections, "192.0.2.2").unwrap();
        assert_eq!(from(&connections, "192.0.2.3").unwrap_err(), Refused::Connections);
        drop(one);
        assert_eq!(connections.gauge.as_ref().unwrap().get(), 2);
        let again = from(&connections, "192.0.2.1").unwrap();
        drop((two, other, again));
        let open = connections.open.lock();
        assert_eq!((open.all, open.of.len(), connections.gauge.as_ref().unwrap().get()), (0, 0, 0));
    }

    #[test]
    fn what_a_drain_waits_for() {
        let connections = connections(3, None);
        let (mut one, two) = (from(&connections, "192.0.2.1").unwrap(), from(&connections, "192.0.2.1").unwrap());
        assert_eq!(connections.load(), (2, 2));
        for _ in 0..2 {
            one.set_busy(false);
            assert_eq!(connections.load(), (2, 1));
        }
        drop(two);
        assert_eq!(connections.load(), (1, 0));
        one.set_busy(true);
        one.set_busy(true);
        assert_eq!(connections.load(), (1, 1));
        drop(one);
        assert_eq!(connections.load(), (0, 0));
    }

    #[test]
    fn whom_many_have_in_common_and_who_has_many() {
        let connections = connections(100, Some(1));
        let proxies: Vec<Open> = (0..5).map(|_| from(&connections, "10.1.2.3").unwrap()).collect();
        let _first = from(&connections, "2001:db8::1").unwrap();
        assert_eq!(from(&connections, "2001:db8::2").unwrap_err(), Refused::ConnectionsPerAddress);
        let _next = from(&connections, "2001:db8:0:1::1").unwrap();
        drop(proxies);
        let unlimited = self::connections(5, None);
        let all: Result<Vec<Open>, Refused> = (0..5).map(|_| from(&unlimited, "192.0.2.1")).collect();
        assert_eq!(all.unwrap().len(), 5);
    }
}
