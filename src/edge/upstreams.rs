//! Upstream names to addresses, resolved in the background: the request path never waits for DNS.

use crate::model::UpstreamUrl;
use crate::tables::EnvironmentTable;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The addresses of every upstream, as last resolved.
#[derive(Debug, Default)]
pub struct Upstreams {
    known: papaya::HashMap<UpstreamUrl, Known, ahash::RandomState>,
    /// How often all were resolved.
    round: AtomicU64,
    turn: AtomicUsize,
}

/// What is known of one upstream.
#[derive(Clone, Debug)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    /// Whether the last look found them; else they are of an earlier one.
    resolves: bool,
    /// The round in which somebody last named it.
    round: u64,
}

impl Upstreams {
    /// Resolves the upstreams of all environments anew, and forgets those that nobody has named for two rounds: one that
    /// is learned meanwhile may not be among `environments` yet.
    pub async fn refresh(&self, environments: &[Arc<EnvironmentTable>]) {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        self.learn(environments).await;
        self.known.pin().retain(|_, known| known.round + 1 >= round);
    }

    /// Resolves the upstreams of these environments. A name that does not resolve keeps its last addresses.
    pub async fn learn(&self, environments: &[Arc<EnvironmentTable>]) {
        // Thousands of environments may share a few upstreams.
        let named: HashSet<&UpstreamUrl> =
            environments.iter().flat_map(|environment| &environment.upstream.urls).collect();
        for url in named {
            let addresses = match resolve(url).await {
                Ok(addresses) if !addresses.is_empty() => Some(addresses.into()),
                Ok(_) => {
                    tracing::warn!(upstream = %url, "the upstream's name has no address");
                    None
                }
                Err(error) => {
                    tracing::warn!(upstream = %url, %error, "the upstream's name does not resolve");
                    None
                }
            };
            self.note(url, addresses);
        }
    }

    fn note(&self, url: &UpstreamUrl, addresses: Option<Arc<[SocketAddr]>>) {
        let known = self.known.pin();
        let resolves = addresses.is_some();
        let addresses = addresses.or_else(|| known.get(url).map(|known| Arc::clone(&known.addresses)));
        if let Some(addresses) = addresses {
            let round = self.round.load(Ordering::Relaxed);
            known.insert(url.clone(), Known { addresses, resolves, round });
        }
    }

    /// Whether the upstream's name had an address when it was last resolved.
    pub fn resolves(&self, url: &UpstreamUrl) -> bool {
        self.known.pin().get(url).is_some_and(|known| known.resolves)
    }

    /// The next upstream in turn, and the next of its addresses; `None` where none is known.
    pub(super) fn next<'u>(&self, urls: &'u [UpstreamUrl]) -> Option<(&'u UpstreamUrl, SocketAddr)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let known = self.known.pin();
        (0..urls.len()).find_map(|offset| {
            let url = urls.get((turn + offset) % urls.len())?;
            let addresses = &known.get(url)?.addresses;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_names_for_two_rounds_is_forgotten() {
        let upstreams = Upstreams::default();
        let url = UpstreamUrl::parse("http://127.0.0.1:9").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let address: Arc<[SocketAddr]> = vec!["127.0.0.1:9".parse().unwrap()].into();
        upstreams.note(&url, Some(address));
        let mut known = Vec::new();
        for _ in 0..2 {
            runtime.block_on(upstreams.refresh(&[]));
            known.push(upstreams.next(std::slice::from_ref(&url)).is_some());
        }
        assert_eq!(known, [true, false]);
        // What does not resolve and never did is not there.
        upstreams.note(&url, None);
        assert!(upstreams.next(&[url]).is_none());
    }
}
