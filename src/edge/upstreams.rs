//! Where requests go: upstream names to addresses, resolved in the background (the request path never waits for DNS), and
//! what was seen of each address.
//!
//! What is known belongs to a definition, not to an environment: environments that say the same share it, and requests
//! that were decided on an older definition keep what belongs to that one.

mod check;
mod patient;
mod pool;

pub(super) use patient::Patience;
pub use pool::Standing;
pub(super) use pool::{Attempt, Failure};

use crate::model::{Upstream, UpstreamUrl};
use crate::tables::EnvironmentTable;
use futures_util::{StreamExt, stream};
use pingora_core::connectors::http::Connector;
use pool::Pool;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OnceCell, Semaphore};
use tokio::time::timeout;

/// How long one name may take, and how long whoever must go on waits for all of them.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many names are looked up at once.
const NAMES_AT_ONCE: usize = 64;
/// How often what was found is shown while others are still looked up.
const SHOW: Duration = Duration::from_secs(1);

/// The addresses of every upstream, as last resolved, and how they do.
pub struct Upstreams {
    known: papaya::HashMap<UpstreamUrl, Known, ahash::RandomState>,
    /// By definition.
    pools: papaya::HashMap<Arc<Upstream>, Arc<Pool>, ahash::RandomState>,
    /// The same by the place of the definition in memory, which is quicker to compare.
    places: papaya::HashMap<usize, Place, ahash::RandomState>,
    /// How often all were resolved.
    round: AtomicU64,
    turn: AtomicU64,
    hashing: ahash::RandomState,
    connector: OnceCell<Connector>,
    checking: Semaphore,
    /// Names that nobody waited for are to be looked up.
    behind: Notify,
}

/// INVARIANT: it holds the definition, so that its place in memory is not another one's.
#[derive(Debug)]
struct Place {
    upstream: Arc<Upstream>,
    pool: Arc<Pool>,
    round: u64,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self {
            known: papaya::HashMap::default(),
            pools: papaya::HashMap::default(),
            places: papaya::HashMap::default(),
            round: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            hashing: ahash::RandomState::new(),
            connector: OnceCell::new(),
            checking: Semaphore::new(check::AT_ONCE),
            behind: Notify::new(),
        }
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstreams").field("known", &self.known).finish_non_exhaustive()
    }
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
        self.look_up(named(environments), resolve, || self.place(environments)).await;
        self.known.pin().retain(|_, known| known.round + 1 >= round);
        let places = self.places.pin();
        places.retain(|_, place| place.round + 1 >= round);
        let named: HashSet<&Arc<Upstream>> = places.values().map(|place| &place.pool.upstream).collect();
        self.pools.pin().retain(|upstream, _| named.contains(upstream));
    }

    /// Resolves the upstreams of these environments, for a while: what is not found by then is left to the next refresh,
    /// which is asked for. Names that hang must not keep a node from starting, nor changes from being shown.
    pub async fn learn(&self, environments: &[Arc<EnvironmentTable>]) {
        self.look_up_within(PATIENCE, named(environments), resolve).await;
        self.place(environments);
    }

    /// Until a refresh is asked for.
    pub async fn fell_behind(&self) {
        self.behind.notified().await;
    }

    async fn look_up_within<F>(&self, patience: Duration, named: Vec<UpstreamUrl>, resolve: impl Fn(UpstreamUrl) -> F)
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>>,
    {
        if timeout(patience, self.look_up(named, resolve, || {})).await.is_err() {
            tracing::warn!("not all upstream names were found within {patience:?}; the others are looked up meanwhile");
            self.behind.notify_one();
        }
    }

    /// Looks all up, many at once. A name that does not resolve keeps its last addresses.
    async fn look_up<F>(&self, named: Vec<UpstreamUrl>, resolve: impl Fn(UpstreamUrl) -> F, show: impl Fn())
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>>,
    {
        // Addresses need no name server, and wait for none.
        let (addresses, names): (Vec<_>, Vec<_>) = named.into_iter().partition(|url| address(url).is_some());
        for url in addresses {
            self.note(&url, address(&url).map(|address| vec![address].into()));
        }
        let look_up = |url: UpstreamUrl| {
            let found = resolve(url.clone());
            async move { (url, found.await) }
        };
        let mut found = stream::iter(names).map(look_up).buffer_unordered(NAMES_AT_ONCE);
        let mut shown = Instant::now();
        while let Some((url, found)) = found.next().await {
            self.note(&url, told(&url, found));
            if shown.elapsed() >= SHOW {
                show();
                shown = Instant::now();
            }
        }
        show();
    }

    /// Gives every definition its addresses.
    fn place(&self, environments: &[Arc<EnvironmentTable>]) {
        let (known, pools, places) = (self.known.pin(), self.pools.pin(), self.places.pin());
        let round = self.round.load(Ordering::Relaxed);
        let mut done: HashSet<*const Pool> = HashSet::new();
        for upstream in environments.iter().map(|environment| &environment.upstream) {
            let make = || Arc::new(Pool::new(Arc::clone(upstream), &self.hashing));
            let pool = pools.get_or_insert_with(Arc::clone(upstream), make);
            if done.insert(Arc::as_ptr(pool)) {
                let addresses = |url| Some((url, Arc::clone(&known.get(url)?.addresses)));
                let found: Vec<(&UpstreamUrl, Arc<[SocketAddr]>)> =
                    upstream.urls.iter().filter_map(addresses).collect();
                pool.resolved(&found);
            }
            let place = Place { upstream: Arc::clone(upstream), pool: Arc::clone(pool), round };
            places.insert(Arc::as_ptr(upstream).addr(), place);
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

    /// Where the next request goes, but not where it was tried already; `None` where no address is known, or all of them
    /// are left alone.
    pub(super) fn pick(&self, upstream: &Arc<Upstream>, tried: &[SocketAddr]) -> Option<Attempt> {
        self.with_pool(upstream, |pool| pool.pick(tried))?
    }

    /// A group of connections that nobody else shares.
    pub(super) fn lone_group(&self) -> u64 {
        self.hashing.hash_one(("alone", self.next_turn()))
    }

    /// How the addresses do, those of one URL or all.
    pub fn standing(&self, upstream: &Arc<Upstream>, of: Option<&UpstreamUrl>) -> Standing {
        self.with_pool(upstream, |pool| pool.standing(of)).unwrap_or_default()
    }

    fn with_pool<T>(&self, upstream: &Arc<Upstream>, with: impl FnOnce(&Arc<Pool>) -> T) -> Option<T> {
        let places = self.places.pin();
        let place = places.get(&Arc::as_ptr(upstream).addr()).filter(|place| Arc::ptr_eq(&place.upstream, upstream));
        match place {
            Some(place) => Some(with(&place.pool)),
            // The same definition elsewhere in memory: it is placed when all are resolved anew.
            None => self.pools.pin().get(upstream).map(with),
        }
    }

    fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// The upstreams of these environments, each once: thousands may share a few.
fn named(environments: &[Arc<EnvironmentTable>]) -> Vec<UpstreamUrl> {
    let urls = environments.iter().flat_map(|environment| &environment.upstream.urls);
    urls.collect::<HashSet<_>>().into_iter().cloned().collect()
}

/// What a URL without a name says itself.
fn address(url: &UpstreamUrl) -> Option<SocketAddr> {
    Some(SocketAddr::new(url.host().parse::<IpAddr>().ok()?, url.port()))
}

/// What was found, if anything; else says so.
fn told(url: &UpstreamUrl, found: io::Result<Vec<SocketAddr>>) -> Option<Arc<[SocketAddr]>> {
    match found {
        Ok(addresses) if !addresses.is_empty() => return Some(addresses.into()),
        Ok(_) => tracing::warn!(upstream = %url, "the upstream's name has no address"),
        Err(error) => tracing::warn!(upstream = %url, %error, "the upstream's name does not resolve"),
    }
    None
}

async fn resolve(url: UpstreamUrl) -> io::Result<Vec<SocketAddr>> {
    let lookup = tokio::net::lookup_host((url.host(), url.port()));
    let mut addresses: Vec<SocketAddr> = timeout(PATIENCE, lookup).await??.collect();
    // Name servers turn their answers round.
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
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
            known.push(upstreams.resolves(&url));
        }
        assert_eq!(known, [true, false]);
        // What does not resolve and never did is not there.
        upstreams.note(&url, None);
        assert!(!upstreams.resolves(&url));
    }

    #[tokio::test]
    async fn names_that_hang_keep_nobody_waiting() {
        let upstreams = Upstreams::default();
        let url = |name: String| UpstreamUrl::parse(&format!("http://{name}:80")).unwrap();
        let hanging = (0..NAMES_AT_ONCE - 1).map(|at| url(format!("dead-{at}.test")));
        let quick: Vec<UpstreamUrl> = (0..200).map(|at| url(format!("quick-{at}.test"))).collect();
        let address = url("192.0.2.1".to_owned());
        let named = hanging.chain(quick.clone()).chain([address.clone()]).collect();
        let began = Instant::now();
        let resolve = |url: UpstreamUrl| async move {
            if url.host().starts_with("dead") {
                std::future::pending::<()>().await;
            }
            Ok(vec![SocketAddr::from(([192, 0, 2, 1], url.port()))])
        };
        upstreams.look_up_within(Duration::from_secs(1), named, resolve).await;
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert!(quick.iter().chain([&address]).all(|url| upstreams.resolves(url)));
        timeout(PATIENCE, upstreams.fell_behind()).await.expect("somebody looks after the rest");
    }

    #[tokio::test]
    async fn names_are_looked_up_beside_each_other() {
        let upstreams = Upstreams::default();
        let named = (0..128).map(|at| UpstreamUrl::parse(&format!("http://slow-{at}.test")).unwrap()).collect();
        let began = Instant::now();
        let resolve = |_| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(vec![SocketAddr::from(([192, 0, 2, 1], 80))])
        };
        upstreams.look_up_within(PATIENCE, named, resolve).await;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert!(timeout(Duration::from_millis(50), upstreams.fell_behind()).await.is_err());
    }
}
