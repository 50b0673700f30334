//! One node: started in order, each step with a clear error, and run until told to stop.

use super::actions::Actions;
use super::chores::Chores;
use super::reload::Reloader;
use super::revocations::Revocations;
use super::serving::serve_http;
use super::signing::SigningKeys;
use super::stored::{Stored, stored_environments};
use super::watch::Watch;
use super::{panics, probes, reload, secrets};
use crate::clock;
use crate::config::{AccessLog as AccessLogConfig, Config, Documents, NodeConfig, Sources, StoreUrl};
use crate::control::{Control, ControlParts, NodeActions, ensure_bootstrap_token};
use crate::edge::{self, EdgeParts, Upstreams};
use crate::model::{BaseUrl, NetworkSet, Organization, Timestamp};
use crate::store::{SqliteStore, Store};
use crate::tables::{Follower, Tables, load_revoked};
use crate::telemetry::{AccessLog, DecisionLog, Metrics, TrafficRecorder, UsageRecorder};
use anyhow::Context;
use aws_lc_rs::rand;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the control side may take to end.
const END: Duration = Duration::from_secs(2);

/// Sockets that are bound before anything starts.
pub(super) struct Listeners {
    pub(super) edge: Vec<TcpListener>,
    pub(super) control: Vec<TcpListener>,
    pub(super) metrics: Vec<TcpListener>,
}

impl Listeners {
    pub(super) fn bind(node: &NodeConfig) -> anyhow::Result<Self> {
        let all = |name: &str, addresses: &[SocketAddr]| {
            let bound: Result<Vec<_>, _> = addresses.iter().copied().map(edge::bind).collect();
            bound.with_context(|| format!("listeners.{name}"))
        };
        Ok(Self {
            edge: all("edge", &node.edge.bind)?,
            control: all("control", &node.control.bind)?,
            metrics: all("metrics", &node.metrics_bind)?,
        })
    }
}

/// The first address of each listener, for words and banners.
pub(super) fn first_address(listeners: &[TcpListener]) -> Option<SocketAddr> {
    listeners.first().and_then(|listener| listener.local_addr().ok())
}

/// A started node.
pub(super) struct Node {
    runtime: Runtime,
    pub(super) control: Arc<Control>,
    chores: Chores,
    edge: EdgeParts,
}

/// What the background work shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) tables: Arc<Tables>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) probes: Arc<probes::Probes>,
    pub(super) usage: Arc<UsageRecorder>,
    pub(super) traffic: Arc<TrafficRecorder>,
    pub(super) decisions: Arc<DecisionLog>,
    /// What OpenAPI documents gave, from one reading of them to the next.
    pub(super) documents: Arc<Documents>,
}

impl Node {
    /// Opens the store, loads the tables, binds the listeners where they are not yet, and starts the control side.
    /// `read` is what a reload reads again, and what was read there.
    pub(super) fn start(
        config: Config,
        documents: Arc<Documents>,
        bound: Option<Listeners>,
        read: Option<(PathBuf, Sources)>,
    ) -> anyhow::Result<Self> {
        let Config { node, organizations, notes: _ } = config;
        let now = clock::now();
        secrets::ensure_private_dir(&node.data_dir)?;
        let metrics = Arc::new(Metrics::new(VERSION, node.metrics_per_environment)?);
        panics::watch(&metrics);
        let access_log = Arc::new(open_access_log(&node, &metrics)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let store = runtime.block_on(open_store(&node.store))?;
        let signing = Arc::new(runtime.block_on(SigningKeys::open(Arc::clone(&store), &node))?);
        let (tables, follower) = runtime.block_on(load(organizations, store.as_ref(), &documents, &signing, now))?;
        let token_file = runtime.block_on(ensure_bootstrap_token(store.as_ref(), &node.data_dir, now))?;
        let shared = Shared::new(store, tables, Arc::clone(&metrics), documents, now);
        runtime.block_on(shared.upstreams.refresh(shared.tables.load_full().environments()));
        // No tables, no listener: whoever can connect finds everything in place.
        let listeners = bound.map_or_else(|| Listeners::bind(&node), Ok)?;
        let control_url = control_url(&node, &listeners)?;
        tell_of_token(token_file.as_deref(), &control_url);
        let reloader = start_reloader(&runtime, &shared, &node, read);
        let drain = Arc::new(Notify::new());
        let actions = Actions {
            shared: shared.clone(),
            signing: Arc::clone(&signing),
            reloader: Arc::clone(&reloader),
            drain: Arc::clone(&drain),
        };
        let control = shared.control(&node, Arc::new(actions), control_url.clone(), now);
        let chores = Chores { shared: shared.clone(), signing, control: Arc::clone(&control) };
        let signals = {
            let _entered = runtime.enter();
            edge::NodeSignals::watch()?
        };
        announce(&listeners);
        start_background(&runtime, &chores, follower, listeners.control, listeners.metrics)?;
        let on_hangup = reload::on_hangup(runtime.handle(), reloader);
        let edge = EdgeParts {
            tables: Arc::clone(&shared.tables),
            upstreams: shared.upstreams,
            metrics,
            access_log,
            usage: Arc::clone(&shared.usage),
            traffic: Arc::clone(&shared.traffic),
            decisions: Arc::clone(&shared.decisions),
            listeners: listeners.edge,
            trusted_proxies: NetworkSet::new(&node.trusted_proxies),
            limits: node.limits,
            recheck: edge::RECHECK,
            token_lifetime: node.token_lifetime,
            control_url,
            revocations: Arc::new(Revocations::new(runtime.handle().clone(), shared.store, shared.tables)),
            workers: workers(node.workers),
            request_id_seed: request_id_seed()?,
            throttle_seed: random_seed()?,
            run_dir: node.data_dir,
            clock: clock::now,
            signals,
            drain,
            on_hangup,
        };
        Ok(Self { runtime, control, chores, edge })
    }

    /// Runs something on the node's own runtime before the edge serves.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The runtime, for services beside the node (the demo's sample API).
    pub(super) const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Serves until told to stop.
    pub(super) fn run(self) {
        edge::serve(self.edge);
        // Bounded: what a hanging disk would not take must not keep the process.
        let _ = self.runtime.block_on(async { tokio::time::timeout(END, self.chores.finish()).await });
        self.runtime.shutdown_timeout(END);
    }
}

impl Shared {
    fn new(
        store: Arc<dyn Store>,
        tables: Arc<Tables>,
        metrics: Arc<Metrics>,
        documents: Arc<Documents>,
        now: Timestamp,
    ) -> Self {
        Self {
            store,
            tables,
            metrics,
            upstreams: Arc::default(),
            probes: Arc::new(probes::Probes::new(now)),
            usage: Arc::default(),
            traffic: Arc::default(),
            decisions: Arc::default(),
            documents,
        }
    }

    fn control(
        &self,
        node: &NodeConfig,
        actions: Arc<dyn NodeActions>,
        control_url: BaseUrl,
        started_at: Timestamp,
    ) -> Arc<Control> {
        Arc::new(Control::new(ControlParts {
            store: Arc::clone(&self.store),
            tables: Arc::clone(&self.tables),
            node: actions,
            documents: Arc::clone(&self.documents),
            traffic: Arc::clone(&self.traffic),
            decisions: Arc::clone(&self.decisions),
            control_url,
            bootstrap_file: node.data_dir.join(crate::control::bootstrap::FILE),
            trusted_proxies: NetworkSet::new(&node.trusted_proxies),
            version: VERSION,
            started_at,
            clock: clock::now,
        }))
    }
}

/// Whoever reads the files again; with `[tenants] watch` it hears of changes from now on.
fn start_reloader(
    runtime: &Runtime,
    shared: &Shared,
    node: &NodeConfig,
    read: Option<(PathBuf, Sources)>,
) -> Arc<Reloader> {
    let (path, sources) = read.unzip();
    let reloader = Arc::new(Reloader::new(shared.clone(), path, node.clone(), sources.unwrap_or_default()));
    if node.tenants_watch {
        let paths = runtime.block_on(reloader.paths());
        runtime.spawn(Watch::open(Arc::clone(&reloader), &paths).run());
    }
    reloader
}

/// What callers call the control API: what the file says, else its first address.
fn control_url(node: &NodeConfig, listeners: &Listeners) -> anyhow::Result<BaseUrl> {
    let address = first_address(&listeners.control).context("there is no control listener")?;
    let said = node.control.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    Ok(BaseUrl::parse(&said)?)
}

/// Loads the tables: environments from files and store, keys and revoked tokens from the store.
async fn load(
    organizations: Vec<Organization>,
    store: &dyn Store,
    documents: &Arc<Documents>,
    signing: &SigningKeys,
    now: Timestamp,
) -> anyhow::Result<(Arc<Tables>, Follower)> {
    let tables = Arc::new(Tables::new(Arc::new(signing.at_start(now).await?)));
    // Asked first: what changes while all of this is read is then seen again by the follower, which does no harm.
    let revision = store.revision().await?;
    let turn = tables.change_world().await;
    let Stored { environments, warnings } = stored_environments(store, documents, &organizations).await?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let plan = turn.plan(organizations, environments)?;
    turn.adopt(plan, store).await?;
    load_revoked(&tables, store, now).await?;
    Ok((tables, Follower::new(revision)))
}

async fn open_store(url: &StoreUrl) -> anyhow::Result<Arc<dyn Store>> {
    match url {
        StoreUrl::Sqlite(path) => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                secrets::ensure_private_dir(folder)?;
            }
            Ok(Arc::new(SqliteStore::open(path).await?))
        }
    }
}

fn open_access_log(node: &NodeConfig, metrics: &Metrics) -> anyhow::Result<AccessLog> {
    let dropped = metrics.access_log_dropped.clone();
    Ok(match &node.access_log {
        AccessLogConfig::File(path) => AccessLog::to_file(path, dropped)?,
        AccessLogConfig::Off => AccessLog::off(dropped),
        AccessLogConfig::Stdout => AccessLog::to_stdout(dropped),
    })
}

fn workers(configured: usize) -> usize {
    if configured > 0 { configured } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// Random numbers that key a hash; never shown, unlike what request ids are drawn from.
fn random_seed() -> anyhow::Result<[u64; 4]> {
    let mut bytes = [[0; 8]; 4];
    rand::fill(bytes.as_flattened_mut()).ok().context("the system gave no random bytes")?;
    Ok(bytes.map(u64::from_ne_bytes))
}

fn request_id_seed() -> anyhow::Result<(u64, u64)> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok().context("the system gave no random bytes")?;
    let seed = u128::from_ne_bytes(bytes);
    Ok(((seed >> 64) as u64, seed as u64))
}

/// Where a first start goes on: never with the token itself, which would then be in the log.
fn tell_of_token(file: Option<&Path>, control_url: &BaseUrl) {
    if let Some(file) = file {
        tracing::info!(
            "the operator's bootstrap token is in {}; it makes the first owner: at {control_url}/first-run, or \
             portcullis members add EMAIL --role owner",
            file.display()
        );
    }
}

/// One line that tells people and programs where the node listens.
fn announce(listeners: &Listeners) {
    let name = |listeners: &[TcpListener]| first_address(listeners).map_or_else(|| "-".to_owned(), |a| a.to_string());
    tracing::info!(
        "listening edge={} control={} metrics={}",
        name(&listeners.edge),
        name(&listeners.control),
        name(&listeners.metrics)
    );
}

fn start_background(
    runtime: &Runtime,
    chores: &Chores,
    follower: Follower,
    control_listeners: Vec<TcpListener>,
    metrics_listeners: Vec<TcpListener>,
) -> anyhow::Result<()> {
    let _entered = runtime.enter();
    for listener in control_listeners {
        serve_http(listener, crate::control::router(Arc::clone(&chores.control)))?;
    }
    for listener in metrics_listeners {
        serve_http(listener, probes::router(&chores.shared))?;
    }
    chores.start(follower);
    Ok(())
}
