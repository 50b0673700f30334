//! The edge inside the test's own process: with a clock that the test turns, and long requests checked often.

use super::assert_refusal;
use crate::harness::{Connection, PATIENCE, RawResponse, RecordingUpstream, reader, token_form, writer};
use portcullis::config::{Documents, DrainTimes, EdgeLimits};
use portcullis::edge::{
    EdgeParts, EndSignals, NodeSignals, OtherSignals, RevocationRefused, RevocationSink, TokenRevocation, Upstreams,
    bind, serve,
};
use portcullis::model::{BaseUrl, NetworkSet, Timestamp};
use portcullis::tables::Tables;
use portcullis::telemetry::{AccessLog, DecisionLog, Metrics, TrafficRecorder, UsageRecorder};
use portcullis::token::{Algorithm, SigningKey, SigningKeySet};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::Notify;

const TENANT: &str = r#"
[organization]
id = "acme"
name = "Acme"
[environments.production]
base_url = "http://gate.test/v1/production"
upstream = "{upstream}/api"
public = ["GET /health", "POST /health"]
[environments.production.permissions]
"cards:read" = ["GET /cards", "GET /cards/{id}"]
"cards:write" = ["POST /cards", "PUT /cards/{id}"]
"files:read" = "GET /files/{path...}"
"files:write" = ["PUT /files/{path...}", "POST /files/{path...}"]
"socket:open" = "GET /socket"
"#;

/// How long requests are checked again here.
pub(super) const RECHECK: Duration = Duration::from_millis(200);

/// What an edge is started with.
pub(super) struct Settings {
    pub(super) limits: EdgeLimits,
    pub(super) recheck: Duration,
    pub(super) clock: fn() -> Timestamp,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: EdgeLimits::default(), recheck: RECHECK, clock: portcullis::clock::now }
    }
}

/// An edge that serves; it is drained when dropped.
pub(super) struct Edge {
    pub(super) upstream: RecordingUpstream,
    pub(super) tables: Arc<Tables>,
    pub(super) metrics: Arc<Metrics>,
    signing: Arc<SigningKeySet>,
    address: SocketAddr,
    drain: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
}

/// Keeps revocations in the tables alone.
struct Kept(Arc<Tables>);

#[async_trait::async_trait]
impl RevocationSink for Kept {
    async fn revoke(&self, revocation: TokenRevocation) -> Result<(), RevocationRefused> {
        let TokenRevocation { token_id, client_id, expires_at, .. } = revocation;
        self.0.revoked().insert(token_id, &client_id, expires_at);
        Ok(())
    }
}

impl Edge {
    #[track_caller]
    pub(super) fn start(settings: &Settings) -> Self {
        let upstream = RecordingUpstream::start();
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("tenants")).unwrap();
        std::fs::write(dir.path().join("portcullis.toml"), "").unwrap();
        let keys = reader().stanza("production") + &writer().stanza("production");
        let tenant = TENANT.replace("{upstream}", &upstream.url()) + &keys;
        std::fs::write(dir.path().join("tenants/acme.toml"), tenant).unwrap();
        let signing = SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []);
        let signing = Arc::new(signing);
        let tables = Arc::new(tables(&dir, &signing));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new("test", true).unwrap());
        let log = dir.path().join("access.log");
        let drain = Arc::new(Notify::new());
        let upstreams = Arc::new(Upstreams::default());
        runtime.block_on(upstreams.refresh(tables.load_full().environments()));
        let signals = {
            let _entered = runtime.enter();
            let (end, others) = (EndSignals::watch().unwrap(), OtherSignals::watch().unwrap());
            Arc::new(tokio::sync::Mutex::new(NodeSignals { end, others }))
        };
        let parts = EdgeParts {
            tables: Arc::clone(&tables),
            upstreams,
            metrics: Arc::clone(&metrics),
            access_log: Arc::new(AccessLog::to_file(&log, metrics.access_log_dropped.clone()).unwrap()),
            usage: Arc::<UsageRecorder>::default(),
            traffic: Arc::<TrafficRecorder>::default(),
            decisions: Arc::<DecisionLog>::default(),
            listeners: vec![listener],
            tls: None,
            proxy_protocol: false,
            trusted_proxies: NetworkSet::default(),
            limits: settings.limits,
            recheck: settings.recheck,
            token_lifetime: Duration::from_secs(3600),
            control_url: BaseUrl::parse("http://control.test").unwrap(),
            revocations: Arc::new(Kept(Arc::clone(&tables))),
            workers: 2,
            request_id_seed: (1, 2),
            throttle_seed: [1, 2, 3, 4],
            run_dir: dir.path().to_owned(),
            clock: settings.clock,
            signals,
            drain: Arc::clone(&drain),
            let_go: Arc::default(),
            drain_times: DrainTimes::default(),
            on_hangup: Box::new(|| {}),
            on_drain: Box::new(|| {}),
            on_serving: Box::new(|| {}),
        };
        let thread = Some(std::thread::spawn(move || {
            let _ = serve(parts);
        }));
        Self { upstream, tables, metrics, signing, address, drain, thread, dir, runtime }
    }

    pub(super) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    #[track_caller]
    pub(super) fn token(&self, id: &str, secret: &str) -> String {
        let form = token_form(id, secret);
        let head = "POST /v1/production/oauth2/token HTTP/1.1\r\nHost: gate.test\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
        let answer = self.connect().exchange(request.as_bytes()).expect(200);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Ends one token of this key.
    #[track_caller]
    pub(super) fn revoke(&self, id: &str, secret: &str, token: &str) {
        let form = format!("client_id={id}&client_secret={secret}&token={token}");
        let head = "POST /v1/production/oauth2/revoke HTTP/1.1\r\nHost: gate.test\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
        self.connect().exchange(request.as_bytes()).expect(200);
    }

    #[track_caller]
    pub(super) fn writer_token(&self) -> String {
        self.token(&writer().id, &writer().secret)
    }

    /// Rewrites the tenant file, and takes it over at once, as a reload does.
    pub(super) fn change(&self, edit: impl FnOnce(String) -> String) {
        let file = self.dir.path().join("tenants/acme.toml");
        let text = edit(std::fs::read_to_string(&file).unwrap());
        std::fs::write(&file, text).unwrap();
        let organizations = organizations(&self.dir);
        self.runtime.block_on(async {
            let store = portcullis::store::SqliteStore::open(&self.dir.path().join("store.db")).await.unwrap();
            let turn = self.tables.change_world().await;
            let plan = turn.plan(organizations, Vec::new()).unwrap();
            turn.adopt(plan, &store).await.unwrap();
        });
    }

    /// The log's line about a request, once it is there.
    #[track_caller]
    pub(super) fn log_line(&self, path: &str) -> Value {
        let wanted = format!("\"path\":\"{path}\"");
        crate::harness::eventually("the log has the request", || {
            let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap();
            let line = text.lines().find(|line| line.contains(&wanted))?.to_owned();
            Some(serde_json::from_str(&line).unwrap())
        })
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.drain.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = &self.signing;
    }
}

fn organizations(dir: &TempDir) -> Vec<portcullis::model::Organization> {
    let config =
        portcullis::config::load(&dir.path().join("portcullis.toml"), portcullis::clock::now(), &Documents::default());
    config.unwrap_or_else(|problems| panic!("{problems}")).organizations
}

fn tables(dir: &TempDir, signing: &Arc<SigningKeySet>) -> Tables {
    Tables::of_files(organizations(dir), Arc::clone(signing)).unwrap()
}

/// A request below the base URL.
pub(super) fn request(line: &str, fields: &str, token: &str) -> Vec<u8> {
    let (method, path) = line.split_once(' ').unwrap();
    let head = format!("{method} /v1/production{path} HTTP/1.1\r\nHost: gate.test\r\n");
    format!("{head}Authorization: Bearer {token}\r\n{fields}\r\n").into_bytes()
}

/// How long something took, and what it gave.
pub(super) fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let result = run();
    (began.elapsed(), result)
}

#[test]
fn it_serves_and_ends() {
    let edge = Edge::start(&Settings::default());
    let token = edge.writer_token();
    edge.connect().exchange(&request("GET /cards", "", &token)).expect(200);
    assert_eq!(edge.upstream.last().target, "/api/cards");
    let refused: RawResponse = edge.connect().exchange(&request("GET /cards", "", "x"));
    assert_refusal(&refused, 401, "token_invalid");
    let (took, ()) = timed(|| drop(edge));
    assert!(took < PATIENCE);
}
