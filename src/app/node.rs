//! One node: started in order, each step with a clear error, and run until told to stop.

use super::actions::Actions;
use super::certificates::ListenerTls;
use super::chores::Chores;
use super::handover::{self, Concluded, Descriptor, Keeper, Neighbour, Sockets, Stage, Succession};
use super::reload::{Cause, Reloader};
use super::revocations::Revocations;
use super::serving::{Served, places, serve};
use super::signing::SigningKeys;
use super::stored::{Stored, stored_environments};
use super::supervisor::Supervisor;
use super::watch::Watch;
use super::{panics, probes, reload, secrets};
use crate::clock;
use crate::config::{AccessLog as AccessLogConfig, Config, Documents, NodeConfig, Sources, StoreUrl};
use crate::control::{Control, ControlParts, ListenerNames, NodeActions, ensure_bootstrap_token};
use crate::edge::{self, EdgeParts, Upstreams};
use crate::model::{BaseUrl, NetworkSet, Organization, Timestamp};
use crate::store::{SqliteStore, Store};
use crate::tables::{Follower, Tables, load_revoked};
use crate::telemetry::{AccessLog, DecisionLog, Metrics, TrafficRecorder, UsageRecorder};
use crate::token::SigningKeySet;
use anyhow::Context;
use aws_lc_rs::rand;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

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
    /// Takes those of `given` that the configuration names, and binds the others anew.
    fn bind(node: &NodeConfig, mut given: Sockets) -> anyhow::Result<Self> {
        let mut all = |name: &'static str, addresses: &[SocketAddr]| {
            let bound = addresses.iter().map(|address| match given.take(name, *address) {
                Some(socket) => Ok(socket.set_nonblocking(true).map(|()| socket)?),
                None => Ok(edge::bind(*address)?),
            });
            bound.collect::<anyhow::Result<Vec<_>>>().with_context(|| format!("listeners.{name}"))
        };
        let bound = Self {
            edge: all("edge", &node.edge.bind)?,
            control: all("control", &node.control.bind)?,
            metrics: all("metrics", &node.metrics_bind)?,
        };
        for socket in given.left() {
            tracing::warn!("the configuration does not name `{socket}`: nobody listens there any more");
        }
        Ok(bound)
    }

    /// Clones of all of them, for a successor.
    fn keep(&self, node: &NodeConfig) -> anyhow::Result<Vec<(Descriptor, OwnedFd)>> {
        let named = |name: &'static str, addresses: &[SocketAddr], sockets: &[TcpListener]| {
            let kept = addresses.iter().zip(sockets).map(|(address, socket)| handover::keep(name, *address, socket));
            kept.collect::<Result<Vec<_>, _>>()
        };
        let mut kept = named("edge", &node.edge.bind, &self.edge)?;
        kept.extend(named("control", &node.control.bind, &self.control)?);
        kept.extend(named("metrics", &node.metrics_bind, &self.metrics)?);
        Ok(kept)
    }
}

/// The first address of each listener, for words and banners.
pub(super) fn first_address(listeners: &[TcpListener]) -> Option<SocketAddr> {
    listeners.first().and_then(|listener| listener.local_addr().ok())
}

/// Where a node's sockets come from.
pub(super) enum Origin {
    /// They are there.
    Bound(Listeners),
    /// They come from elsewhere, as far as there are any; what is missing is bound where the configuration says.
    Given(Sockets),
    /// The same, and they are those of the node that runs, which has the work until it lets go.
    Succeeding(Sockets),
}

/// What is there before anything is read: the runtime of all that is not the edge, and signals that end nobody.
pub(super) struct Ground {
    runtime: Runtime,
    others: edge::OtherSignals,
    /// Ends a start that is told to end.
    starting: JoinHandle<()>,
}

impl Ground {
    pub(super) fn lay() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (others, end) = {
            let _entered = runtime.enter();
            (edge::OtherSignals::watch()?, edge::EndSignals::watch()?)
        };
        let starting = runtime.spawn(end.end_a_start());
        Ok(Self { runtime, others, starting })
    }
}

/// A node with everything loaded. Nothing is taken from its listeners before it is opened.
pub(super) struct Node {
    runtime: Runtime,
    pub(super) control: Arc<Control>,
    chores: Chores,
    edge: EdgeParts,
    entrance: Entrance,
    /// The node before, which serves as well.
    before: Option<Neighbour>,
}

/// What opens when it does.
struct Entrance {
    control: Vec<TcpListener>,
    metrics: Vec<TcpListener>,
    /// What is said then.
    announcement: String,
    data_dir: PathBuf,
    keeper: Arc<Keeper>,
    kept: Vec<(Descriptor, OwnedFd)>,
    supervisor: Arc<Supervisor>,
    reloader: Arc<Reloader>,
}

/// What the background work shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) tables: Arc<Tables>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) probes: Arc<probes::Probes>,
    pub(super) tls: Arc<ListenerTls>,
    pub(super) usage: Arc<UsageRecorder>,
    pub(super) traffic: Arc<TrafficRecorder>,
    pub(super) decisions: Arc<DecisionLog>,
    /// Where this process stands between the one before it and the one after.
    pub(super) stage: Arc<Stage>,
    pub(super) supervisor: Arc<Supervisor>,
    /// What OpenAPI documents gave, from one reading of them to the next.
    pub(super) documents: Arc<Documents>,
}

impl Node {
    /// Opens the store, loads the tables and has the listeners bound. `read` is what a reload reads again, and what was
    /// read there.
    pub(super) fn prepare(
        ground: Ground,
        config: Config,
        documents: Arc<Documents>,
        origin: Origin,
        read: Option<(PathBuf, Sources)>,
        supervisor: Supervisor,
    ) -> anyhow::Result<Self> {
        let Config { node, organizations, notes: _ } = config;
        let now = clock::now();
        secrets::ensure_private_dir(&node.data_dir)?;
        let metrics = Arc::new(Metrics::new(VERSION, node.metrics_per_environment)?);
        panics::watch(&metrics);
        let Ground { runtime, others, starting } = ground;
        let store = runtime.block_on(open_store(&node.store))?;
        let signing = Arc::new(runtime.block_on(SigningKeys::open(Arc::clone(&store), &node))?);
        let takes_over = matches!(origin, Origin::Succeeding(_));
        let keys = runtime.block_on(signing.at_start(now, takes_over))?;
        let (tables, follower) = runtime.block_on(load(organizations, store.as_ref(), &documents, keys, now))?;
        let token_file = runtime.block_on(ensure_bootstrap_token(store.as_ref(), &node.data_dir, now))?;
        let tls = Arc::new(ListenerTls::new(&node)?);
        let supervisor = Arc::new(supervisor);
        let shared = Shared::new(store, tables, metrics, documents, tls, Arc::clone(&supervisor), now);
        runtime.block_on(shared.upstreams.learn(shared.tables.load_full().environments()));
        // No tables, no listener: whoever can connect finds everything in place.
        let listeners = match origin {
            Origin::Bound(listeners) => listeners,
            Origin::Given(given) | Origin::Succeeding(given) => Listeners::bind(&node, given)?,
        };
        let kept = listeners.keep(&node)?;
        let control_url = control_url(&node, &listeners)?;
        tell_of_token(token_file.as_deref(), &control_url);
        let reloader = start_reloader(&runtime, &shared, &node, read);
        let (drain, let_go) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let (told, stage) = ((Arc::clone(&let_go), Arc::clone(&drain)), Arc::clone(&shared.stage));
        let keeper = Arc::new(Keeper::new(stage, told.0, told.1, supervisor.socket(), VERSION));
        let actions = Actions {
            shared: shared.clone(),
            signing: Arc::clone(&signing),
            reloader: Arc::clone(&reloader),
            keeper: Arc::clone(&keeper),
        };
        let control = shared.control(&node, Arc::new(actions), control_url.clone(), now);
        let chores = Chores { shared: shared.clone(), signing, control: Arc::clone(&control) };
        let turns = Turns { drain, let_go, reloader, keeper, others, starting };
        // From here on what others change is seen, whoever serves.
        runtime.block_on(async { chores.start_following(follower) });
        let entrance = Entrance {
            announcement: announcement(&listeners),
            control: listeners.control,
            metrics: listeners.metrics,
            data_dir: node.data_dir.clone(),
            keeper: Arc::clone(&turns.keeper),
            kept,
            supervisor,
            reloader: Arc::clone(&turns.reloader),
        };
        let edge = edge_parts(&runtime, node, shared, listeners.edge, control_url, turns)?;
        Ok(Self { runtime, control, chores, edge, entrance, before: None })
    }

    /// Runs something on the node's own runtime before the edge serves.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The runtime, for services beside the node (the demo's sample API).
    pub(super) const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// From here on the process before serves beside this one.
    pub(super) fn stand_beside(&mut self) {
        self.before = Some(self.chores.shared.stage.neighbour());
    }

    /// Whether it was told to end before it began.
    pub(super) fn was_told_to_end(&self) -> bool {
        self.edge.signals.try_lock().is_ok_and(|mut signals| signals.end.came())
    }

    /// Takes connections until told to stop. With a succession, the node before does so as well until it has let go.
    pub(super) fn run(self, succession: Option<Succession>) -> anyhow::Result<()> {
        let Self { runtime, control: _, chores, mut edge, entrance, before } = self;
        let stage = Arc::clone(&chores.shared.stage);
        let Entrance { control, metrics, announcement, data_dir, keeper, kept, supervisor, reloader } = entrance;
        // There before anybody is told where the node is.
        let private = if succession.is_none() { handover::make_private_socket(&data_dir) } else { None };
        tracing::info!("{announcement}");
        if let Some(succession) = &succession {
            stage.set_waits(true);
            keeper.follow(succession.another());
            // The node before may have read its files again since they were read here.
            runtime.block_on(reloader.reload_if_changed(Cause::Change, false));
        }
        {
            let _entered = runtime.enter();
            serve_beside(&chores, control, metrics, &edge.trusted_proxies)?;
            chores.start();
        }
        let opening = Opening {
            handle: runtime.handle().clone(),
            chores: chores.clone(),
            reloader,
            stage: Arc::clone(&stage),
            let_go: Arc::clone(&edge.let_go),
            keeper: Arc::clone(&keeper),
            kept,
            supervisor,
            private,
            before,
        };
        edge.on_serving = Box::new(move || opening.serving(succession));
        let access_log = Arc::clone(&edge.access_log);
        let signals = Arc::clone(&edge.signals);
        let left = edge::serve(edge);
        access_log.finish(END);
        // Requests beside the edge had the same time to end, and get what is left of it.
        runtime.block_on(end_beside(&stage, left.max(END), &signals));
        // Bounded: what a hanging disk would not take must not keep the process.
        let _ = runtime.block_on(async { tokio::time::timeout(END, chores.finish()).await });
        let is_abandoned = keeper.end();
        runtime.shutdown_timeout(END);
        anyhow::ensure!(!is_abandoned, "the process that took over has ended without a word");
        Ok(())
    }
}

/// Lets what is served beside the edge end, until a signal says that it is enough.
async fn end_beside(stage: &Stage, within: Duration, signals: &tokio::sync::Mutex<edge::NodeSignals>) {
    let mut signals = signals.lock().await;
    tokio::select! {
        _ = tokio::time::timeout(within, stage.end()) => {}
        () = signals.end.enough() => {}
    }
}

/// What is done once the edge takes connections.
struct Opening {
    handle: Handle,
    chores: Chores,
    reloader: Arc<Reloader>,
    stage: Arc<Stage>,
    let_go: Arc<Notify>,
    keeper: Arc<Keeper>,
    kept: Vec<(Descriptor, OwnedFd)>,
    supervisor: Arc<Supervisor>,
    private: Option<handover::Private>,
    before: Option<Neighbour>,
}

impl Opening {
    /// At once, or after the node before has let go: successors of this one are heard, and the service manager is told.
    fn serving(mut self, succession: Option<Succession>) {
        let Some(mut succession) = succession else { return self.settle() };
        // Blocking, and for as long as the node before drains.
        std::thread::spawn(move || {
            self.private = succession.take_private();
            let concluded = succession.conclude();
            if !matches!(concluded, Concluded::Yours(_)) {
                self.keeper.follow(None);
            }
            let line = match concluded {
                Concluded::Yours(line) => Some(line),
                Concluded::Alone => None,
                Concluded::Ending => return tracing::info!("the node before ends as well"),
                Concluded::Refused(reason) => {
                    tracing::error!("the node before goes on: {reason}; this one ends");
                    // No word to the service manager: the node as a whole does not stop.
                    self.stage.release();
                    return self.let_go.notify_one();
                }
            };
            tracing::info!("taken over");
            self.stage.set_waits(false);
            let (before, reloader, handle) = (self.before.take(), Arc::clone(&self.reloader), self.handle.clone());
            self.settle();
            // It was told of changes until it let go, and may still have been on one.
            handle.block_on(reloader.reload_if_changed(Cause::Change, false));
            // It is there until it has drained.
            if let Some(mut line) = line {
                line.await_end();
                handle.block_on(reloader.reload_if_changed(Cause::Change, false));
            }
            drop(before);
        });
    }

    fn settle(self) {
        let _entered = self.handle.enter();
        tokio::spawn(self.chores.take_over());
        if let Some(private) = self.private {
            self.keeper.open(private, self.kept);
        }
        if self.keeper.is_closed() {
            return self.supervisor.ending();
        }
        self.supervisor.serving();
    }
}

/// Whoever tells the edge something.
struct Turns {
    drain: Arc<Notify>,
    let_go: Arc<Notify>,
    reloader: Arc<Reloader>,
    keeper: Arc<Keeper>,
    others: edge::OtherSignals,
    starting: JoinHandle<()>,
}

fn edge_parts(
    runtime: &Runtime,
    node: NodeConfig,
    shared: Shared,
    listeners: Vec<TcpListener>,
    control_url: BaseUrl,
    turns: Turns,
) -> anyhow::Result<EdgeParts> {
    let Turns { drain, let_go, reloader, keeper, others, starting } = turns;
    let signals = {
        let _entered = runtime.enter();
        let keeper = Arc::clone(&keeper);
        let end = edge::EndSignals::watch()?.unless(move || keeper.is_abandoned());
        Arc::new(tokio::sync::Mutex::new(edge::NodeSignals { end, others }))
    };
    // From here on they drain.
    starting.abort();
    let (probes, supervisor) = (Arc::clone(&shared.probes), Arc::clone(&shared.supervisor));
    let hangup = reload::on_hangup(runtime.handle(), reloader);
    Ok(EdgeParts {
        access_log: Arc::new(open_access_log(&node, &shared.metrics)?),
        tables: Arc::clone(&shared.tables),
        upstreams: shared.upstreams,
        metrics: shared.metrics,
        usage: shared.usage,
        traffic: shared.traffic,
        decisions: shared.decisions,
        listeners,
        tls: shared.tls.edge.clone(),
        proxy_protocol: node.edge.proxy_protocol,
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
        let_go,
        drain_times: node.drain,
        on_hangup: Box::new(move || {
            supervisor.reloading();
            hangup();
        }),
        on_drain: Box::new(move || {
            probes.drains();
            keeper.close();
        }),
        on_serving: Box::new(|| ()),
    })
}

impl Shared {
    fn new(
        store: Arc<dyn Store>,
        tables: Arc<Tables>,
        metrics: Arc<Metrics>,
        documents: Arc<Documents>,
        tls: Arc<ListenerTls>,
        supervisor: Arc<Supervisor>,
        now: Timestamp,
    ) -> Self {
        Self {
            store,
            tables,
            metrics,
            upstreams: Arc::default(),
            probes: Arc::new(probes::Probes::new(now, Arc::clone(&supervisor))),
            supervisor,
            tls,
            usage: Arc::default(),
            traffic: Arc::default(),
            decisions: Arc::default(),
            stage: Arc::default(),
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
            names: names(node, &self.tls, &control_url),
            control_url,
            secure: node.control.is_secure(),
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
    Ok(BaseUrl::parse(&node.control.url(address))?)
}

/// Under which names the control listener answers: those of the public URL, of the certificates (wildcards say none) and
/// of `names`. A plain one where neither is said may have any.
fn names(node: &NodeConfig, tls: &ListenerTls, control_url: &BaseUrl) -> ListenerNames {
    let certificates = tls.control.as_ref().map(|tls| Arc::clone(&tls.certificates));
    if node.control.public_url.is_none() && node.control.names.is_empty() && certificates.is_none() {
        return ListenerNames::any();
    }
    if let Some(words) = node.control.namelessness() {
        tracing::warn!("{words}");
    }
    let (public, names) = (control_url.host().to_owned(), node.control.names.clone());
    let said = move |name: &str| name == public || names.iter().any(|other| other == name);
    ListenerNames::known(move |name| said(name) || certificates.as_ref().is_some_and(|it| it.say(name)))
}

/// Loads the tables: environments from files and store, keys and revoked tokens from the store.
async fn load(
    organizations: Vec<Organization>,
    store: &dyn Store,
    documents: &Arc<Documents>,
    keys: SigningKeySet,
    now: Timestamp,
) -> anyhow::Result<(Arc<Tables>, Follower)> {
    let tables = Arc::new(Tables::new(Arc::new(keys)));
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
fn announcement(listeners: &Listeners) -> String {
    let name = |listeners: &[TcpListener]| first_address(listeners).map_or_else(|| "-".to_owned(), |a| a.to_string());
    format!(
        "listening edge={} control={} metrics={}",
        name(&listeners.edge),
        name(&listeners.control),
        name(&listeners.metrics)
    )
}

/// Serves what stands beside the edge. Must be called inside the node's own runtime.
fn serve_beside(
    chores: &Chores,
    control: Vec<TcpListener>,
    metrics: Vec<TcpListener>,
    trusted: &NetworkSet,
) -> anyhow::Result<()> {
    let Shared { tls, metrics: counted, stage, .. } = &chores.shared;
    let (of_control, of_metrics) = (places(trusted), places(trusted));
    for listener in control {
        let router = crate::control::router(Arc::clone(&chores.control));
        let (tls, open) = (tls.control.clone(), counted.connections("control"));
        serve(listener, Served { router, tls, open, places: Arc::clone(&of_control), stage: Arc::clone(stage) })?;
    }
    for listener in metrics {
        let (router, open) = (probes::router(&chores.shared), counted.connections("metrics"));
        let places = Arc::clone(&of_metrics);
        serve(listener, Served { router, tls: None, open, places, stage: Arc::clone(stage) })?;
    }
    Ok(())
}
