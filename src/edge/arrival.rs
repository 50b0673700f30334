//! What is known of the connection that a request came on: set once a connection, the same for each of its requests.
//!
//! pingora's hooks see a session, not the connection behind it, and its own notes (`SocketDigest`, user context) are
//! filled in too early for PROXY or are missing for HTTP/2 streams. So it goes along with the task that serves a
//! request.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Facts of a connection.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Whose connection it is, canonical: the socket's peer, or whom a PROXY header names.
    pub(super) peer: IpAddr,
}

tokio::task_local! {
    static ARRIVAL: Arc<Arrival>;
}

impl Arrival {
    /// Serves something as a request of this connection.
    pub(super) fn serving<F: Future>(self: &Arc<Self>, request: F) -> impl Future<Output = F::Output> {
        ARRIVAL.scope(Arc::clone(self), request)
    }

    /// The connection of the request that is being served.
    pub(super) fn here() -> Arc<Self> {
        // A connection without a peer address gets one that no allowlist should hold.
        ARRIVAL.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Self { peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_request_sees_its_own_connection() {
        let arrival = |last| Arc::new(Arrival { peer: IpAddr::from([192, 0, 2, last]) });
        let (first, second) = (arrival(1), arrival(2));
        let seen = async |pause| {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            Arrival::here().peer
        };
        let peers = tokio::join!(first.serving(seen(2)), second.serving(seen(1)), seen(0));
        assert_eq!(peers, (first.peer, second.peer, IpAddr::from([0, 0, 0, 0])));
    }
}
