//! Upstream names to addresses, resolved in the background: the request path never waits for DNS.

use crate::model::UpstreamUrl;
use crate::tables::EnvironmentTable;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The addresses of every upstream, as last resolved.
#[derive(Debug, Default)]
pub struct Upstreams {
    known: papaya::HashMap<UpstreamUrl, Arc<[SocketAddr]>, ahash::RandomState>,
    turn: AtomicUsize,
}

impl Upstreams {
    /// Resolves the upstreams of these environments anew. A name that does not resolve keeps its last addresses.
    pub async fn refresh(&self, environments: &[Arc<EnvironmentTable>]) {
        for url in environments.iter().flat_map(|environment| &environment.upstream.urls) {
            match resolve(url).await {
                Ok(addresses) if !addresses.is_empty() => {
                    self.known.pin().insert(url.clone(), addresses.into());
                }
                Ok(_) => tracing::warn!(upstream = %url, "the upstream's name has no address"),
                Err(error) => tracing::warn!(upstream = %url, %error, "the upstream's name does not resolve"),
            }
        }
    }

    /// The next upstream in turn, and the next of its addresses; `None` where none is known.
    pub(super) fn next<'u>(&self, urls: &'u [UpstreamUrl]) -> Option<(&'u UpstreamUrl, SocketAddr)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let known = self.known.pin();
        (0..urls.len()).find_map(|offset| {
            let url = urls.get((turn + offset) % urls.len())?;
            let addresses = known.get(url)?;
            let at = (turn / urls.len()) % addresses.len().max(1);
            addresses.get(at).map(|address| (url, *address))
        })
    }
}

/// How long one name may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

async fn resolve(url: &UpstreamUrl) -> std::io::Result<Vec<SocketAddr>> {
    if let Ok(address) = url.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, url.port())]);
    }
    let lookup = tokio::net::lookup_host((url.host(), url.port()));
    Ok(tokio::time::timeout(PATIENCE, lookup).await??.collect())
}
