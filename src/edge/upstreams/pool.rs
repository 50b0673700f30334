//! The addresses of one upstream: which of them the next request goes to, and what was seen of each.
//!
//! Whoever picks takes no lock. An address that failed so often in a row is *out*: it is left alone, but for one request
//! now and then that tries it. That is also the circuit of an upstream that is dead as a whole: its requests are refused at
//! once instead of waiting for what does not come. What a health check says of an address is advice: where none is well,
//! the least bad one is asked all the same.

use super::check::AT_ONCE_OF_ONE;
use super::patient::{Connector, Patience};
use crate::model::{Balance, Ejection, Upstream, UpstreamProtocol, UpstreamUrl};
use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;
use pingora::upstreams::peer::HttpPeer;
use pingora_core::protocols::ALPN;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// So many streams share one HTTP/2 connection.
const STREAMS: usize = 128;
/// What a stream may send before its caller has taken it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a connection: as much as all of its streams together, so that callers who take nothing cannot stop those
/// who share it with them.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;

/// One upstream's addresses.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) upstream: Arc<Upstream>,
    addresses: ArcSwap<Vec<Arc<Address>>>,
    turn: AtomicUsize,
    trust: Trust,
    /// Times are counted from here.
    started: Instant,
    /// Turns of health checks.
    pub(super) checking: Semaphore,
    /// Addresses go out one after the other.
    ejecting: Mutex<()>,
}

/// By what TLS knows the upstream, as pingora takes it.
#[derive(Debug)]
struct Trust {
    authorities: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
    /// pingora's pool does not look at authorities: connections of different ones are kept apart by this.
    group: u64,
}

impl Trust {
    fn new(upstream: &Upstream, hashing: &ahash::RandomState) -> Self {
        let tls = &upstream.tls;
        // INVARIANT: both parse, or the configuration was refused (`config::pem`).
        let authorities = (!tls.authorities.is_empty())
            .then(|| tls.authorities.iter().map(|der| WrappedX509::new(der.clone(), parse_x509)).collect());
        let client =
            tls.client.as_ref().map(|client| Arc::new(CertKey::new(client.chain.clone(), client.key.to_vec())));
        Self { authorities, client, group: hashing.hash_one((tls, upstream.protocol)) }
    }
}

/// One address, and what was seen of it.
#[derive(Debug)]
pub(super) struct Address {
    url: UpstreamUrl,
    socket: SocketAddr,
    peer: HttpPeer,
    /// Host for it; `None` where the URL's is no header text, which no URL that was parsed is.
    host: Option<HeaderValue>,
    in_flight: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU32,
    /// When it is tried again; 0 while it is in.
    out_until: AtomicU64,
    /// Its last failure was that no connection could be made.
    refused: AtomicBool,
    /// What health checks last came to.
    unwell: AtomicBool,
    /// Checks in a row that said otherwise.
    streak: AtomicU32,
    next_check: AtomicU64,
    /// A health check is under way.
    is_asked: AtomicBool,
}

/// What went wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Failure {
    /// The connection broke, or what came is no answer. Who sends requests may have a part in that.
    Answer,
    /// There was no connection.
    Connect,
}

/// How many addresses are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// They get requests.
    pub available: u32,
    /// They failed too often in a row, and are tried now and then.
    pub ejected: u32,
    /// Health checks say that they are not well.
    pub unhealthy: u32,
}

impl Pool {
    pub(super) fn new(upstream: Arc<Upstream>, hashing: &ahash::RandomState) -> Self {
        let trust = Trust::new(&upstream, hashing);
        let addresses = ArcSwap::from_pointee(Vec::new());
        let checking = Semaphore::new(AT_ONCE_OF_ONE);
        let (turn, ejecting) = (AtomicUsize::new(0), Mutex::default());
        Self { upstream, addresses, turn, trust, started: Instant::now(), checking, ejecting }
    }

    /// The addresses of each URL, as they were last resolved. Those that stay keep what was seen of them.
    pub(super) fn resolved(&self, found: &[(&UpstreamUrl, Arc<[SocketAddr]>)]) {
        let known = self.addresses.load();
        let longest = found.iter().map(|(_, sockets)| sockets.len()).max().unwrap_or(0);
        // Each URL in turn: what stands beside each other in the list gets requests after each other.
        let pairs = (0..longest).flat_map(|at| found.iter().filter_map(move |(url, all)| Some((*url, *all.get(at)?))));
        let mut addresses: Vec<Arc<Address>> = Vec::new();
        for (url, socket) in pairs {
            let same = |address: &&Arc<Address>| address.socket == socket && address.url == *url;
            if addresses.iter().any(|address| same(&address)) {
                continue;
            }
            let kept = known.iter().find(same).cloned();
            addresses.push(kept.unwrap_or_else(|| Arc::new(self.address(url, socket))));
        }
        let is_same = known.len() == addresses.len() && known.iter().zip(&addresses).all(|(a, b)| Arc::ptr_eq(a, b));
        if !is_same {
            self.addresses.store(Arc::new(addresses));
        }
    }

    fn address(&self, url: &UpstreamUrl, socket: SocketAddr) -> Address {
        // The name to ask for in TLS: the host's, none without it.
        let name = if url.tls() { url.host().to_owned() } else { String::new() };
        let mut peer = HttpPeer::new(socket, url.tls(), name);
        let timeouts = &self.upstream.timeouts;
        let options = &mut peer.options;
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.connect * 2);
        options.read_timeout = Some(timeouts.read);
        options.write_timeout = Some(timeouts.write);
        options.idle_timeout = Some(timeouts.idle);
        options.ca.clone_from(&self.trust.authorities);
        if self.upstream.protocol != UpstreamProtocol::Http1 {
            options.alpn = ALPN::H2;
            options.max_h2_streams = STREAMS;
            options.h2_stream_window_size = Some(STREAM_WINDOW);
            options.h2_connection_window_size = Some(CONNECTION_WINDOW);
        }
        peer.client_cert_key.clone_from(&self.trust.client);
        peer.group_key = self.trust.group;
        Address {
            url: url.clone(),
            socket,
            peer,
            host: HeaderValue::from_str(&url.authority()).ok(),
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            unwell: AtomicBool::new(false),
            streak: AtomicU32::new(0),
            next_check: AtomicU64::new(0),
            is_asked: AtomicBool::new(false),
        }
    }

    /// Where the next request goes, if anywhere: not where it was tried already.
    pub(super) fn pick(self: &Arc<Self>, tried: &[SocketAddr]) -> Option<Attempt> {
        let addresses = self.addresses.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (mut best, mut least_bad) = (None::<(usize, &Arc<Address>)>, None);
        for offset in 0..addresses.len() {
            let Some(address) = addresses.get(turn.wrapping_add(offset) % addresses.len()) else { break };
            if tried.contains(&address.socket) {
                continue;
            }
            let until = address.out_until.load(Ordering::Relaxed);
            if until != 0 {
                if self.takes_trial(address, until) {
                    return Some(self.attempt(address));
                }
            } else if address.unwell.load(Ordering::Relaxed) {
                least_bad = least_bad.or(Some(address));
            } else if self.upstream.balance == Balance::RoundRobin {
                return Some(self.attempt(address));
            } else {
                let load = address.in_flight.load(Ordering::Relaxed);
                best = best.filter(|(least, _)| *least <= load).or(Some((load, address)));
            }
        }
        let address = best.map(|(_, address)| address).or(least_bad)?;
        Some(self.attempt(address))
    }

    /// Whether this request is the one that tries an address that is out. One in each pause is.
    fn takes_trial(&self, address: &Address, until: u64) -> bool {
        let now = self.now();
        let next = now.saturating_add(millis(self.upstream.ejection.pause));
        let taken = || address.out_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        now >= until && taken()
    }

    fn attempt(self: &Arc<Self>, address: &Arc<Address>) -> Attempt {
        address.in_flight.fetch_add(1, Ordering::Relaxed);
        Attempt { pool: Arc::clone(self), address: Arc::clone(address) }
    }

    /// Whether there is an address that was not tried.
    fn has_another(&self, tried: &[SocketAddr]) -> bool {
        self.addresses.load().iter().any(|address| !tried.contains(&address.socket))
    }

    /// Whether no more than half are out if this one goes out too.
    fn can_spare(&self, address: &Arc<Address>) -> bool {
        let addresses = self.addresses.load();
        let is_out = |other: &&Arc<Address>| other.out_until.load(Ordering::Relaxed) != 0;
        let others_out = addresses.iter().filter(|other| !Arc::ptr_eq(other, address)).filter(is_out).count();
        (others_out + 1) * 2 <= addresses.len()
    }

    pub(super) fn standing(&self, of: Option<&UpstreamUrl>) -> Standing {
        let mut standing = Standing::default();
        for address in self.addresses.load().iter().filter(|address| of.is_none_or(|url| address.url == *url)) {
            if address.out_until.load(Ordering::Relaxed) != 0 {
                standing.ejected += 1;
            } else if address.unwell.load(Ordering::Relaxed) {
                standing.unhealthy += 1;
            } else {
                standing.available += 1;
            }
        }
        standing
    }

    /// The addresses whose check is due. The next one of each is `spread` per cent of the interval later.
    /// Those that are still being asked are left out.
    pub(super) fn due(&self, interval: Duration, spread: impl Fn(SocketAddr) -> u32) -> Vec<Asked> {
        let now = self.now();
        let addresses = self.addresses.load();
        let due = addresses.iter().filter(|address| address.next_check.load(Ordering::Relaxed) <= now);
        due.filter(|address| !address.is_asked.swap(true, Ordering::Relaxed))
            .map(|address| {
                let pause = interval * spread(address.socket) / 100;
                address.next_check.store(now.saturating_add(millis(pause)), Ordering::Relaxed);
                Asked(Arc::clone(address))
            })
            .collect()
    }

    /// Takes in what a health check came to.
    pub(super) fn checked(&self, address: &Address, is_well: bool) {
        let Some(check) = &self.upstream.health else { return };
        if address.unwell.load(Ordering::Relaxed) != is_well {
            address.streak.store(0, Ordering::Relaxed);
            return;
        }
        let needed = if is_well { check.healthy_after } else { check.unhealthy_after };
        if address.streak.fetch_add(1, Ordering::Relaxed) + 1 >= needed {
            address.streak.store(0, Ordering::Relaxed);
            address.unwell.store(!is_well, Ordering::Relaxed);
            let word = if is_well { "is well again" } else { "is not well" };
            tracing::warn!(upstream = %address.url, address = %address.socket, "health checks: the upstream {word}");
        }
    }

    /// Milliseconds, never 0.
    fn now(&self) -> u64 {
        millis(self.started.elapsed()) + 1
    }
}

impl Address {
    pub(super) const fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    pub(super) const fn peer(&self) -> &HttpPeer {
        &self.peer
    }
}

/// An address while a health check asks it.
#[derive(Debug)]
pub(super) struct Asked(Arc<Address>);

impl Asked {
    pub(super) fn address(&self) -> &Address {
        &self.0
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.is_asked.store(false, Ordering::Relaxed);
    }
}

/// One request under way to one address.
#[derive(Debug)]
pub(in crate::edge) struct Attempt {
    pool: Arc<Pool>,
    address: Arc<Address>,
}

impl Attempt {
    /// The URL that the address is one of.
    pub(in crate::edge) fn url(&self) -> &UpstreamUrl {
        &self.address.url
    }

    /// The address.
    pub(in crate::edge) fn socket(&self) -> SocketAddr {
        self.address.socket
    }

    /// The value of Host for it.
    pub(in crate::edge) fn host(&self) -> Option<HeaderValue> {
        self.address.host.clone()
    }

    /// What pingora connects to.
    pub(in crate::edge) fn peer(&self) -> HttpPeer {
        self.address.peer.clone()
    }

    /// The same for a request that asks for a WebSocket: a connection of its own, as patient as with any answer; more so
    /// once it has become one (see `patient.rs`).
    pub(in crate::edge) fn web_socket_peer(&self, lone_group: u64) -> (HttpPeer, Arc<Patience>) {
        let mut peer = self.peer();
        let timeouts = &self.pool.upstream.timeouts;
        // Shaking hands has the time that it has for everybody (pingora counts it); the answer's begins with the connection.
        let patience = Patience::new(timeouts.read.max(timeouts.connect * 2));
        let options = &mut peer.options;
        options.custom_l4 = Some(Arc::new(Connector { patience: Arc::clone(&patience), within: timeouts.connect }));
        options.read_timeout = Some(timeouts.upgraded_idle.max(timeouts.read));
        options.idle_timeout = Some(Duration::ZERO);
        peer.group_key = lone_group;
        (peer, patience)
    }

    /// Whether there is an address beyond those that were tried.
    pub(in crate::edge) fn has_another(&self, tried: &[SocketAddr]) -> bool {
        self.pool.has_another(tried)
    }

    /// A connection was made: where that is what had failed, the address is one of the others again. Waiting for an
    /// answer would let a caller who never ends its request keep it out.
    pub(in crate::edge) fn connected(&self) {
        let address = &*self.address;
        if address.refused.swap(false, Ordering::Relaxed) {
            self.answered();
        }
    }

    /// An answer began.
    pub(in crate::edge) fn answered(&self) {
        let address = &*self.address;
        if address.failures.load(Ordering::Relaxed) != 0 {
            address.failures.store(0, Ordering::Relaxed);
        }
        if address.out_until.load(Ordering::Relaxed) != 0 {
            address.out_until.store(0, Ordering::Relaxed);
            tracing::info!(upstream = %address.url, address = %address.socket, "the upstream answers again");
        }
    }

    /// Nothing came of it. A failure in which a caller may have a part never puts more than half of the addresses out, and
    /// so never the last: one could keep all others from the upstream.
    pub(in crate::edge) fn failed(&self, failure: Failure) {
        let (pool, address) = (&*self.pool, &*self.address);
        let Ejection { after, pause } = pool.upstream.ejection;
        address.refused.store(failure == Failure::Connect, Ordering::Relaxed);
        let failures = address.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if after == 0 || failures < after {
            return;
        }
        let _one_at_a_time = pool.ejecting.lock();
        if failure == Failure::Answer && !pool.can_spare(&self.address) {
            return;
        }
        let until = pool.now().saturating_add(millis(pause));
        if address.out_until.swap(until, Ordering::Relaxed) == 0 {
            tracing::warn!(
                upstream = %address.url, address = %address.socket, failures,
                "the upstream failed so often in a row that it is left alone for {pause:?}"
            );
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.address.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HealthCheck;
    use std::collections::BTreeMap;

    fn socket(number: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], number))
    }

    /// A pool with these ports, set up by `change`.
    fn pool(ports: &[u16], change: impl FnOnce(&mut Upstream)) -> Arc<Pool> {
        let url = UpstreamUrl::parse("http://api.internal").unwrap();
        let mut upstream = Upstream::of(url.clone());
        change(&mut upstream);
        let pool = Pool::new(Arc::new(upstream), &ahash::RandomState::new());
        let sockets: Vec<SocketAddr> = ports.iter().map(|port| socket(*port)).collect();
        pool.resolved(&[(&url, sockets.into())]);
        Arc::new(pool)
    }

    fn counts(picked: impl Iterator<Item = Attempt>) -> BTreeMap<u16, usize> {
        let mut counts = BTreeMap::new();
        picked.for_each(|attempt| *counts.entry(attempt.socket().port()).or_default() += 1);
        counts
    }

    /// One after the other, as requests that have ended.
    fn picked(pool: &Arc<Pool>, times: usize) -> BTreeMap<u16, usize> {
        counts((0..times).filter_map(|_| pool.pick(&[])))
    }

    fn fail(pool: &Arc<Pool>, port: u16, failure: Failure, times: usize) {
        let others: Vec<SocketAddr> =
            pool.addresses.load().iter().map(|address| address.socket).filter(|one| one.port() != port).collect();
        for _ in 0..times {
            pool.pick(&others).unwrap().failed(failure);
        }
    }

    #[test]
    fn each_in_turn() {
        assert_eq!(picked(&pool(&[1, 2, 3], |_| {}), 30), BTreeMap::from([(1, 10), (2, 10), (3, 10)]));
        assert!(pool(&[], |_| {}).pick(&[]).is_none());
    }

    #[test]
    fn the_fewest_under_way() {
        let pool = pool(&[1, 2, 3], |upstream| upstream.balance = Balance::LeastConnections);
        let held: Vec<Attempt> = (0..9).filter_map(|_| pool.pick(&[])).collect();
        assert_eq!(
            counts(held.iter().map(|held| held.pool.attempt(&held.address))),
            BTreeMap::from([(1, 3), (2, 3), (3, 3)])
        );
        let (of_two, rest): (Vec<_>, Vec<_>) = held.into_iter().partition(|held| held.socket() == socket(2));
        drop(of_two);
        let next: Vec<Attempt> = (0..3).filter_map(|_| pool.pick(&[])).collect();
        assert!(next.iter().all(|next| next.socket() == socket(2)), "it had the fewest");
        drop((next, rest));
        assert!(pool.addresses.load().iter().all(|address| address.in_flight.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn so_many_failures_in_a_row_put_an_address_out_and_one_less_does_not() {
        let pool =
            pool(&[1, 2], |upstream| upstream.ejection = Ejection { after: 3, pause: Duration::from_secs(3600) });
        fail(&pool, 1, Failure::Connect, 2);
        assert_eq!(picked(&pool, 4), BTreeMap::from([(1, 2), (2, 2)]));
        pool.pick(&[socket(2)]).unwrap().answered();
        fail(&pool, 1, Failure::Connect, 2);
        assert_eq!(pool.standing(None).ejected, 0, "an answer in between");
        fail(&pool, 1, Failure::Answer, 1);
        assert_eq!(pool.standing(None), Standing { available: 1, ejected: 1, unhealthy: 0 });
        assert_eq!(picked(&pool, 4), BTreeMap::from([(2, 4)]));
    }

    #[test]
    fn the_last_address_goes_out_by_failing_connections_alone() {
        let pool = pool(&[1], |upstream| upstream.ejection = Ejection { after: 2, pause: Duration::from_secs(3600) });
        fail(&pool, 1, Failure::Answer, 10);
        assert_eq!(picked(&pool, 1).len(), 1);
        fail(&pool, 1, Failure::Connect, 1);
        assert!(pool.pick(&[]).is_none(), "refused at once");
    }

    #[test]
    fn broken_answers_leave_half_of_the_addresses() {
        for (ports, most) in [(&[1, 2][..], 1), (&[1, 2, 3], 1), (&[1, 2, 3, 4], 2), (&[1, 2, 3, 4, 5], 2)] {
            let pool =
                pool(ports, |upstream| upstream.ejection = Ejection { after: 1, pause: Duration::from_secs(3600) });
            let addresses = pool.addresses.load_full();
            addresses.iter().for_each(|address| pool.attempt(address).failed(Failure::Answer));
            assert_eq!(pool.standing(None).ejected, most, "{ports:?}");
            addresses.iter().for_each(|address| pool.attempt(address).failed(Failure::Connect));
            assert_eq!(pool.standing(None).available, 0);
            addresses.iter().for_each(|address| pool.attempt(address).answered());
            std::thread::scope(|scope| {
                for address in addresses.iter() {
                    scope.spawn(|| pool.attempt(address).failed(Failure::Answer));
                }
            });
            assert_eq!(pool.standing(None).ejected, most, "{ports:?} at once");
        }
    }

    #[test]
    fn one_request_tries_what_is_out() {
        let pause = Duration::from_millis(30);
        let pool = pool(&[1], |upstream| upstream.ejection = Ejection { after: 1, pause });
        fail(&pool, 1, Failure::Connect, 1);
        assert!(pool.pick(&[]).is_none());
        std::thread::sleep(pause * 2);
        let trial = pool.pick(&[]).unwrap();
        assert!(pool.pick(&[]).is_none(), "one at a time");
        trial.failed(Failure::Connect);
        assert!(pool.pick(&[]).is_none());
        std::thread::sleep(pause * 2);
        pool.pick(&[]).unwrap().answered();
        assert_eq!(picked(&pool, 3), BTreeMap::from([(1, 3)]));
    }

    #[test]
    fn a_connection_brings_back_what_could_not_be_connected_to() {
        let pool = pool(&[1], |upstream| upstream.ejection = Ejection { after: 1, pause: Duration::from_millis(1) });
        fail(&pool, 1, Failure::Connect, 1);
        std::thread::sleep(Duration::from_millis(20));
        // It goes on for as long as its caller likes.
        let trial = pool.pick(&[]).unwrap();
        trial.connected();
        assert_eq!(picked(&pool, 3), BTreeMap::from([(1, 3)]));
    }

    #[test]
    fn an_address_is_asked_once_at_a_time() {
        let pool = pool(&[1, 2], |_| {});
        let asked = pool.due(Duration::ZERO, |_| 100);
        assert_eq!((asked.len(), pool.due(Duration::ZERO, |_| 100).len()), (2, 0));
        drop(asked);
        assert_eq!(pool.due(Duration::ZERO, |_| 100).len(), 2);
    }

    #[test]
    fn ejection_can_be_off() {
        let pool = pool(&[1], |upstream| upstream.ejection.after = 0);
        fail(&pool, 1, Failure::Connect, 1000);
        assert_eq!(picked(&pool, 2).len(), 1);
    }

    #[test]
    fn health_checks_are_advice() {
        let pool = pool(&[1, 2], |upstream| {
            upstream.health = Some(HealthCheck {
                path: "/healthz".into(),
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(2),
                unhealthy_after: 3,
                healthy_after: 2,
                status: 200..=399,
            });
        });
        let addresses = pool.addresses.load_full();
        let tell = |at: usize, well: &[bool]| well.iter().for_each(|well| pool.checked(&addresses[at], *well));
        tell(0, &[false, false, true, false, false]);
        assert_eq!(picked(&pool, 4), BTreeMap::from([(1, 2), (2, 2)]), "never three in a row");
        tell(0, &[false]);
        assert_eq!(picked(&pool, 4), BTreeMap::from([(2, 4)]));
        tell(1, &[false, false, false]);
        assert_eq!(pool.standing(None), Standing { available: 0, ejected: 0, unhealthy: 2 });
        assert_eq!(picked(&pool, 4), BTreeMap::from([(1, 2), (2, 2)]), "nobody is well: all are asked");
        tell(0, &[true, false, true]);
        assert_eq!(pool.standing(None).unhealthy, 2, "never two in a row");
        tell(0, &[true]);
        assert_eq!(picked(&pool, 4), BTreeMap::from([(1, 4)]));
    }

    #[test]
    fn addresses_that_stay_keep_what_was_seen_of_them() {
        let url = UpstreamUrl::parse("http://api.internal").unwrap();
        let pool =
            pool(&[1, 2], |upstream| upstream.ejection = Ejection { after: 1, pause: Duration::from_secs(3600) });
        fail(&pool, 2, Failure::Connect, 1);
        pool.resolved(&[(&url, vec![socket(2), socket(3), socket(3)].into())]);
        assert_eq!(picked(&pool, 4), BTreeMap::from([(3, 4)]));
        assert_eq!(pool.standing(Some(&url)), Standing { available: 1, ejected: 1, unhealthy: 0 });
    }

    #[test]
    fn connections_with_other_authorities_are_kept_apart() {
        let hashing = ahash::RandomState::new();
        let group = |change: fn(&mut Upstream)| {
            let mut upstream = Upstream::of(UpstreamUrl::parse("https://api.internal").unwrap());
            change(&mut upstream);
            hashing.hash_one((&upstream.tls, upstream.protocol))
        };
        let plain = group(|_| {});
        assert_eq!(plain, group(|upstream| upstream.balance = Balance::LeastConnections));
        assert_ne!(plain, group(|upstream| upstream.tls.authorities = vec![vec![1]].into()));
        assert_ne!(plain, group(|upstream| upstream.protocol = UpstreamProtocol::H2));
    }
}
