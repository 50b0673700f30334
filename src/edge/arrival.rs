//! What is known of the connection that a request came on: set once a connection, the same for each of its requests.
//!
//! pingora's hooks see a session, not the connection behind it, and its own notes (`SocketDigest`, user context) are
//! filled in too early for PROXY or are missing for HTTP/2 streams. So it goes along with the task that serves a
//! request.

use http::HeaderValue;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Facts of a connection.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Whose connection it is, canonical: the socket's peer, or whom a PROXY header names.
    pub(super) peer: IpAddr,
    /// Whether it may be a proxy that speaks for others by forwarding headers. A balancer that named nobody in its PROXY
    /// header passes bytes on: such headers are the caller's own.
    pub(super) may_forward: bool,
    /// What is known since the handshake, where there was one.
    pub(super) tls: Option<Secured>,
    /// What upstreams are told of its peer.
    pub(super) told: Told,
}

/// A peer as forwarding headers tell of it: written once a connection, not once a request.
#[derive(Debug)]
pub(super) struct Told {
    /// For `X-Forwarded-For`.
    pub(super) address: HeaderValue,
    /// For `Forwarded` (RFC 7239), where callers speak plain HTTP.
    pub(super) over_http: HeaderValue,
    /// For `Forwarded`, where they speak TLS.
    pub(super) over_https: HeaderValue,
}

impl Told {
    fn new(peer: IpAddr) -> Self {
        let node = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
        Self {
            address: text(&peer.to_string()),
            over_http: text(&format!("for={node};proto=http")),
            over_https: text(&format!("for={node};proto=https")),
        }
    }
}

/// Addresses are header text. `unknown` is what RFC 7239 section 6.2 has for those that were not.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("unknown"))
}

/// What a TLS handshake told.
#[derive(Debug, Default)]
pub(super) struct Secured {
    /// The name that the caller asked for, in lower case.
    pub(super) sni: Option<Box<str>>,
    /// The caller's own certificate (DER), which one of the listener's authorities signed.
    #[expect(dead_code, reason = "tokens that are bound to certificates will ask for it")]
    pub(super) client_certificate: Option<Box<[u8]>>,
    /// Both sides agreed on HTTP/2.
    pub(super) http2: bool,
    /// `Strict-Transport-Security` for the answers.
    pub(super) hsts: Option<HeaderValue>,
}

/// A connection without a peer address gets one that no allowlist should hold.
pub(super) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

tokio::task_local! {
    static ARRIVAL: Arc<Arrival>;
}

impl Arrival {
    pub(super) fn new(peer: IpAddr, may_forward: bool, tls: Option<Secured>) -> Self {
        Self { peer, may_forward, tls, told: Told::new(peer) }
    }

    /// Serves something as a request of this connection.
    pub(super) fn serving<F: Future>(self: &Arc<Self>, request: F) -> impl Future<Output = F::Output> {
        ARRIVAL.scope(Arc::clone(self), request)
    }

    /// The connection of the request that is being served.
    pub(super) fn here() -> Arc<Self> {
        ARRIVAL.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Self::new(NOWHERE, false, None)))
    }

    /// The name that the caller asked for in TLS.
    pub(super) fn sni(&self) -> Option<&str> {
        self.tls.as_ref()?.sni.as_deref()
    }

    /// `Strict-Transport-Security` for its answers.
    pub(super) fn hsts(&self) -> Option<&HeaderValue> {
        self.tls.as_ref()?.hsts.as_ref()
    }

    /// Whether its requests are streams of HTTP/2.
    pub(super) fn http2(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.http2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_request_sees_its_own_connection() {
        let arrival = |last| Arc::new(Arrival::new(IpAddr::from([192, 0, 2, last]), true, None));
        let (first, second) = (arrival(1), arrival(2));
        let seen = async |pause| {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            Arrival::here().peer
        };
        let peers = tokio::join!(first.serving(seen(2)), second.serving(seen(1)), seen(0));
        assert_eq!(peers, (first.peer, second.peer, NOWHERE));
    }
}
