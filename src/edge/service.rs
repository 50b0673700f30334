//! Listeners, signals and drain: the edge as pingora's server runs it.
//!
//! The edge cannot be made without loaded tables ([`EdgeParts`] demands them): no tables, no listener. Sockets are
//! bound by us before anything starts, so that a port in use is an error with a name and port 0 can be told.

use super::account::Accounts;
use super::connections::Connections;
use super::context::RequestIds;
use super::descriptors;
use super::door::{Door, Handshake};
use super::endpoints::Endpoints;
use super::forward::Forward;
use super::front::Front;
use super::gate::Gate;
use super::lease::Keeper;
use super::overload::Room;
use super::revocation::RevocationSink;
use super::signals::NodeSignals;
use super::upstreams::Upstreams;
use crate::config::DrainTimes;
use crate::config::EdgeLimits;
use crate::model::{BaseUrl, NetworkSet, Timestamp};
use crate::oauth::ClientThrottle;
use crate::tables::Tables;
use crate::telemetry::{AccessLog, DecisionLog, Metrics, TrafficRecorder, UsageRecorder};
use crate::tls::ServerTls;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::proxy::http_proxy;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{Fds, ListenFds, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora_core::services::{Service, ServiceReadyNotifier, ServiceWithDependents, listening};
use prometheus::IntGauge;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// How long a connection without a request stays open once a drain began: whatever is on its way on it is still answered
/// (with `Connection: close`), and does not meet a closed door.
pub(super) const IDLE_GRACE: Duration = Duration::from_secs(1);
/// How often a drain looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// Everything the edge needs. Tables come loaded.
pub struct EdgeParts {
    /// The live tables.
    pub tables: Arc<Tables>,
    /// Resolved upstreams.
    pub upstreams: Arc<Upstreams>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Access log.
    pub access_log: Arc<AccessLog>,
    /// What keys are used for.
    pub usage: Arc<UsageRecorder>,
    /// What requests came to.
    pub traffic: Arc<TrafficRecorder>,
    /// What was decided lately.
    pub decisions: Arc<DecisionLog>,
    /// Bound sockets.
    pub listeners: Vec<TcpListener>,
    /// How they speak TLS; `None` is plain HTTP.
    pub tls: Option<ServerTls>,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Whose forwarding headers are believed, and whose PROXY headers.
    pub trusted_proxies: NetworkSet,
    /// Limits of heads, bodies, connections and requests.
    pub limits: EdgeLimits,
    /// How often long requests are checked again; [`RECHECK`](super::RECHECK) but in tests.
    pub recheck: Duration,
    /// Life of an access token.
    pub token_lifetime: Duration,
    /// The control API's URL, canonical: the `resource` and audience of tokens for it (RFC 8707).
    pub control_url: BaseUrl,
    /// Keeps revoked tokens.
    pub revocations: Arc<dyn RevocationSink>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Two random numbers for request ids.
    pub request_id_seed: (u64, u64),
    /// Four random numbers that nobody learns: failures are counted by hashes keyed with them.
    pub throttle_seed: [u64; 4],
    /// A private folder; pingora's own files would otherwise lie in a shared one.
    pub run_dir: PathBuf,
    /// The present second.
    pub clock: fn() -> Timestamp,
    /// Watched since before the listeners were announced. Whoever goes on with them afterwards misses none.
    pub signals: Arc<tokio::sync::Mutex<NodeSignals>>,
    /// Told by whoever wants the node to drain without a signal.
    pub drain: Arc<Notify>,
    /// Told once another process takes the new connections: what is left here ends, within the same time.
    pub let_go: Arc<Notify>,
    /// Its times.
    pub drain_times: DrainTimes,
    /// What a HUP does.
    pub on_hangup: Box<dyn Fn() + Send + Sync>,
    /// What is done first when a drain begins: everything is still served then.
    pub on_drain: Box<dyn Fn() + Send + Sync>,
    /// What is done once connections are taken.
    pub on_serving: Box<dyn FnOnce() + Send>,
}

/// Why the edge does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}{}", hint(source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another process has the port: stop it or choose another port",
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: choose a higher one",
        std::io::ErrorKind::AddrNotAvailable => "; this machine does not have the address",
        _ => "",
    }
}

/// Binds an address for listening.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|source| ServeError::Bind { address, source })
}

/// Serves until it is told to drain (TERM, INT, `EdgeParts::drain`), drains and returns. Must be called outside any async runtime.
///
/// Answers what is left of `edge.drain_timeout`: nothing where a second signal ended the drain.
pub fn serve(parts: EdgeParts) -> Duration {
    let mut server = Server::new_with_opt_and_conf(None, configuration(parts.workers, &parts.run_dir));
    server.bootstrap();
    let (drain, drained) = watch::channel(false);
    let request_ids = Arc::new(RequestIds::new(parts.request_id_seed));
    let door = door(&parts);
    let load = Load { in_flight: parts.metrics.in_flight.clone(), connections: Arc::clone(&door.connections) };
    let keeper = Keeper { tables: Arc::clone(&parts.tables), clock: parts.clock, every: parts.recheck };
    let forward = Forward {
        tables: parts.tables,
        gate: Gate { trusted_proxies: parts.trusted_proxies },
        upstreams: parts.upstreams,
        limits: parts.limits,
        room: Room::new(parts.limits.requests_in_flight, parts.limits.share()),
        accounts: Arc::new(Accounts {
            metrics: Arc::clone(&parts.metrics),
            access_log: Arc::clone(&parts.access_log),
            traffic: parts.traffic,
            decisions: parts.decisions,
            clock: parts.clock,
        }),
        request_ids: Arc::clone(&request_ids),
        endpoints: Endpoints {
            control_url: parts.control_url.to_shared(),
            token_lifetime: parts.token_lifetime,
            revocations: parts.revocations,
            usage: Arc::clone(&parts.usage),
            throttle: Mutex::new(ClientThrottle::new(parts.throttle_seed)),
        },
        usage: parts.usage,
        clock: parts.clock,
    };
    let front = Front {
        proxy: Arc::new(http_proxy(&server.configuration, forward)),
        limits: parts.limits,
        metrics: parts.metrics,
        door,
        access_log: parts.access_log,
        request_ids,
        clock: parts.clock,
        keeper,
    };
    let mut inner = listening::Service::new("edge".to_owned(), front);
    let fds = listen(&mut inner, parts.listeners);
    let on_serving = Mutex::new(Some(parts.on_serving));
    server.add_service(EdgeService { inner, fds: Arc::new(Mutex::new(fds)), drain: drained, on_serving });
    let until = Arc::<Mutex<Option<Instant>>>::default();
    let signals = Signals {
        drain,
        until: Arc::clone(&until),
        asked: parts.drain,
        let_go: parts.let_go,
        times: parts.drain_times,
        load,
        on_hangup: parts.on_hangup,
        on_drain: parts.on_drain,
        watched: parts.signals,
    };
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    until.lock().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
}

/// What a connection passes before its first request.
fn door(parts: &EdgeParts) -> Door {
    let mut limits = parts.limits.connection;
    limits.connections = descriptors::raise(limits.connections);
    let connections = Connections::new(&limits, parts.trusted_proxies.clone(), Arc::clone(&parts.metrics));
    let streams = Connections::of_streams(&limits, parts.trusted_proxies.clone(), Arc::clone(&parts.metrics));
    Door {
        connections: Arc::new(connections),
        streams: Arc::new(streams),
        proxy_protocol: parts.proxy_protocol,
        tls: parts.tls.clone().map(Handshake::from),
        handshake_timeout: limits.handshake_timeout,
    }
}

fn configuration(workers: usize, run_dir: &Path) -> ServerConf {
    ServerConf {
        threads: workers.max(1),
        // Attempts, the first included: a pooled connection may be stale more than once.
        max_retries: 4,
        upstream_keepalive_pool_size: 1024,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        pid_file: run_dir.join("pingora.pid").display().to_string(),
        upgrade_sock: run_dir.join("upgrade.sock").display().to_string(),
        ..ServerConf::default()
    }
}

/// Hands our own sockets to pingora's service, by name.
fn listen(service: &mut listening::Service<Front>, listeners: Vec<TcpListener>) -> Fds {
    let mut fds = Fds::new();
    for (at, listener) in listeners.into_iter().enumerate() {
        let name = format!("edge-{at}");
        fds.add(name.clone(), listener.into_raw_fd());
        service.add_tcp(&name);
    }
    fds
}

/// pingora's listening service with our own descriptors and our own drain.
struct EdgeService {
    inner: listening::Service<Front>,
    fds: ListenFds,
    drain: watch::Receiver<bool>,
    on_serving: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[async_trait]
impl ServiceWithDependents for EdgeService {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        ready.notify_ready();
        // Whoever connects from here on waits in the socket's queue for no longer than the next lines take.
        if let Some(on_serving) = self.on_serving.lock().take() {
            on_serving();
        }
        Service::start_service(&mut self.inner, Some(Arc::clone(&self.fds)), self.drain.clone(), listeners_per_fd)
            .await;
    }

    fn name(&self) -> &str {
        "edge"
    }
}

/// TERM and INT drain (the second one ends at once, whatever began the drain), HUP is passed on, others are ignored.
struct Signals {
    drain: watch::Sender<bool>,
    /// When what is being served must have ended.
    until: Arc<Mutex<Option<Instant>>>,
    asked: Arc<Notify>,
    let_go: Arc<Notify>,
    times: DrainTimes,
    load: Load,
    on_hangup: Box<dyn Fn() + Send + Sync>,
    on_drain: Box<dyn Fn() + Send + Sync>,
    watched: Arc<tokio::sync::Mutex<NodeSignals>>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let mut watched = self.watched.lock().await;
        let NodeSignals { end, others } = &mut *watched;
        let goes = loop {
            tokio::select! {
                // First: another process has the node's work by then, whatever else came in the same moment.
                biased;
                () = self.let_go.notified() => break Goes::On,
                () = end.next() => break Goes::Down,
                () = self.asked.notified() => break Goes::Down,
                () = others.hangup() => (self.on_hangup)(),
            }
        };
        tokio::select! {
            () = self.drain(goes) => {}
            () = end.enough() => *self.until.lock() = None,
        }
        ShutdownSignal::FastShutdown
    }
}

/// What becomes of the node when this process drains.
enum Goes {
    /// It ends.
    Down,
    /// Another process has its work.
    On,
}

impl Signals {
    /// Says that the node goes, waits until nobody sends anything new, takes no more, and lets what is there end.
    async fn drain(&self, goes: Goes) {
        let DrainTimes { drain_timeout, readiness_delay } = self.times;
        if let Goes::Down = goes {
            tracing::info!("draining; a second signal ends at once");
            (self.on_drain)();
            tokio::time::sleep(readiness_delay).await;
        }
        *self.until.lock() = Some(Instant::now() + drain_timeout);
        let _ = self.drain.send(true);
        if tokio::time::timeout(drain_timeout, self.load.quiet()).await.is_err() {
            let left = self.load.in_flight.get();
            tracing::warn!("{left} requests were still being served after `edge.drain_timeout` and are cut");
        }
    }
}

/// What keeps a drain waiting.
struct Load {
    in_flight: IntGauge,
    connections: Arc<Connections>,
}

impl Load {
    /// Until no connection is left, or nothing came on those that are for longer than they may stay. One that was just
    /// taken, shakes hands or is at its head keeps it waiting like a request. Looked at twice: a connection may just
    /// have been taken, and be on its way to where it counts.
    async fn quiet(&self) {
        let (mut since, mut gone) = (Instant::now(), 0);
        while gone < 2 && since.elapsed() < IDLE_GRACE + 2 * LOOK {
            tokio::time::sleep(LOOK).await;
            let (open, busy) = self.connections.load();
            if self.in_flight.get() > 0 || busy > 0 {
                since = Instant::now();
            }
            gone = if open == 0 { gone + 1 } else { 0 };
        }
    }
}
