//! The control API over real sockets: an axum server above a SQLite store that can be told to fail, asked by ureq.

mod access;
mod attacks;
mod audit;
mod bootstrap;
mod changes;
mod contract;
mod drift;
mod environments;
mod explain;
mod fields;
mod flaky;
mod life;
mod listing;
mod members;
mod pages;
mod people;
mod places;
mod sessions;
mod walk;

use contract::Contract;
use flaky::FlakyStore;
use portcullis::control::{
    Control, ControlParts, LastReload, NodeActions, NodeProblem, Reloaded, ensure_bootstrap_token, router,
};
use portcullis::model::{
    Act, Actor, ApiKey, BaseUrl, ClientId, Environment, EnvironmentId, Identifier, KeyKind, KeyName, ManagedBy,
    Network, NetworkSet, Operation, OperationPattern, Organization, PathRules, Permission, PermissionName,
    PlatformAddresses, Preset, Revision, Role, SecretDigest, SecretVersion, Timestamp, Upstream, UpstreamUrl,
};
use portcullis::store::{SqliteStore, Store};
use portcullis::tables::{EnvironmentTable, Tables};
use portcullis::telemetry::{DecisionLog, TrafficRecorder};
use portcullis::token::{Algorithm, SigningKey, SigningKeySet};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The second at which every test happens: 2030-03-17T17:46:40Z.
const NOON: Timestamp = Timestamp::from_unix(1_900_000_000);
const CONTROL_URL: &str = "http://control.test";
const KEYS: &str = "/v1/organizations/acme/environments/production/keys";

/// Something that the node's operator does.
fn act() -> Act {
    Act::of(Actor::Operator, NOON)
}

fn noon() -> Timestamp {
    NOON
}

fn id(text: &str) -> Identifier {
    Identifier::parse(text).unwrap()
}

fn production() -> EnvironmentId {
    EnvironmentId { organization: id("acme"), environment: id("production") }
}

fn names(names: &[&str]) -> Vec<PermissionName> {
    names.iter().map(|name| PermissionName::parse(name).unwrap()).collect()
}

fn permission(name: &str, operation: &str) -> Permission {
    Permission {
        name: PermissionName::parse(name).unwrap(),
        group: "Cards".into(),
        summary: "About cards".into(),
        operations: vec![Operation { id: name.into(), pattern: OperationPattern::parse(operation).unwrap() }],
    }
}

/// A key as a file declares it.
fn declared(client_id: &str, name: &str) -> ApiKey {
    ApiKey {
        client_id: ClientId::parse(client_id).unwrap(),
        environment: production(),
        name: KeyName::parse(name).unwrap(),
        description: String::new(),
        kind: KeyKind::FineGrained { permissions: names(&["cards:read"]) },
        may_grant: vec![],
        allowlist: None,
        secret_digest: SecretDigest::of(b"s"),
        secret_last_four: String::new(),
        secret_version: SecretVersion(1),
        expires_at: None,
        created_at: Timestamp::from_unix(0),
        created_by: "file".into(),
        rotated_at: None,
        revoked_at: None,
        last_used_at: None,
        last_address: None,
        revision: Revision(0),
        managed_by: ManagedBy::File,
    }
}

fn environment() -> Environment {
    Environment {
        id: production(),
        base_url: BaseUrl::parse("http://gate.test/v1").unwrap(),
        upstream: Upstream::of(UpstreamUrl::parse("http://127.0.0.1:9").unwrap()),
        public: vec![],
        permissions: [
            permission("cards:read", "GET /cards"),
            permission("cards:write", "POST /cards"),
            permission("files:read", "* /files/{path...}"),
        ]
        .into(),
        report: None,
        presets: vec![Preset { name: "Read only".into(), permissions: names(&["cards:read", "files:read"]) }],
        roles: vec![Role { name: "events".into(), permissions: names(&["cards:read"]) }],
        platform: PlatformAddresses { label: "Acme".into(), networks: vec![Network::parse("10.0.0.0/8").unwrap()] },
        paths: PathRules::default(),
        token_header: http::header::AUTHORIZATION,
        oauth_prefix: "/oauth2".into(),
        cors: portcullis::model::Cors::default(),
        body_limit: None,
        keys: vec![],
    }
}

fn acme() -> Organization {
    Organization {
        id: id("acme"),
        name: "Acme".into(),
        block_legacy_keys: None,
        max_key_lifetime: None,
        environments: vec![environment()],
    }
}

/// One organization with both policies set.
fn strict_acme() -> Organization {
    let lifetime = Some(Duration::from_secs(90 * 86_400));
    Organization { block_legacy_keys: Some(true), max_key_lifetime: lifetime, ..acme() }
}

/// A node that does what it is told, which is nothing.
struct Deaf;

#[async_trait::async_trait]
impl NodeActions for Deaf {
    async fn reload(&self) -> Result<Reloaded, NodeProblem> {
        Err(NodeProblem::Files(vec!["acme.toml:3: no".to_owned()]))
    }
    fn last_reload(&self) -> LastReload {
        LastReload { at: NOON, problems: vec!["acme.toml:3: no".to_owned()], needs_restart: vec![] }
    }
    fn drain(&self) -> Result<(), NodeProblem> {
        Ok(())
    }
    async fn learn_upstreams(&self, _: &[Arc<EnvironmentTable>]) {}
    fn resolves(&self, upstream: &UpstreamUrl) -> bool {
        upstream.port() == 9
    }
    async fn rotate_signing_key(&self, _: bool, _: &Act) -> Result<(), NodeProblem> {
        Ok(())
    }
}

/// A control API on a port of its own.
struct Node {
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    store: Arc<FlakyStore>,
    tables: Arc<Tables>,
    traffic: Arc<TrafficRecorder>,
    decisions: Arc<DecisionLog>,
    control: Arc<Control>,
    token: String,
    contract: Contract,
    folder: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and body of an answer that is expected to have this status.
    #[track_caller]
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// Checks that it is a problem of that status and code, in the one shape of problems.
    #[track_caller]
    fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let request_id = self.header("x-request-id").to_owned();
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("urn:portcullis:problem:{code}"));
        assert_eq!((&body["status"], &body["request_id"]), (&json!(status), &json!(request_id)));
        assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty());
        body
    }

    /// Pointers and codes of a 422.
    #[track_caller]
    fn errors(self) -> Vec<(String, String)> {
        let body = self.problem(422, "invalid");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = body["errors"].as_array().unwrap().iter();
        errors.map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }
}

impl Node {
    /// Reads other files.
    fn reload(&self, organizations: Vec<Organization>) {
        self.runtime.block_on(async {
            let turn = self.tables.change_world().await;
            let plan = turn.plan(organizations, vec![]).unwrap();
            turn.adopt(plan, self.store.as_ref()).await.unwrap();
        });
    }

    fn start() -> Self {
        Self::with(acme())
    }

    /// A node of one organization.
    fn with(organization: Organization) -> Self {
        Self::of(vec![organization])
    }

    fn of(organizations: Vec<Organization>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portcullis.db");
        let store = Arc::new(FlakyStore::over(runtime.block_on(SqliteStore::open(&file)).unwrap()));
        let made = runtime.block_on(ensure_bootstrap_token(store.as_ref(), folder.path(), NOON)).unwrap().unwrap();
        let token = std::fs::read_to_string(made).unwrap().trim().to_owned();
        let signing = SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []);
        let tables = Arc::new(Tables::of_files(organizations, Arc::new(signing)).unwrap());
        let (traffic, decisions) = (Arc::<TrafficRecorder>::default(), Arc::<DecisionLog>::default());
        let control = Arc::new(Control::new(ControlParts {
            names: portcullis::control::ListenerNames::any(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            tables: Arc::clone(&tables),
            node: Arc::new(Deaf),
            documents: Arc::default(),
            traffic: Arc::clone(&traffic),
            decisions: Arc::clone(&decisions),
            control_url: BaseUrl::parse(CONTROL_URL).unwrap(),
            secure: false,
            bootstrap_file: folder.path().join("bootstrap-token"),
            trusted_proxies: NetworkSet::default(),
            version: "1.2.3",
            started_at: NOON,
            clock: noon,
        }));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = router(Arc::clone(&control));
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        let contract = Contract::new();
        Self { runtime, address, store, tables, traffic, decisions, control, token, contract, folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], &body.to_string())
    }

    /// Creates a key from a sound body with `more` on top of it.
    fn create(&self, more: Value) -> Answer {
        let mut body = json!({"name": "a", "permissions": ["cards:read"]});
        let members = body.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        self.post(KEYS, &body)
    }

    /// A fresh key's id.
    fn key(&self, name: &str) -> String {
        let made = self.create(json!({"name": name})).expect(201);
        made["client_id"].as_str().unwrap().to_owned()
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers: Vec<_> = headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        self.send_bare(method, path, &headers, body)
    }

    /// Without the token.
    fn send_bare(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build().into();
        let mut request = http::Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() && method != "POST" {
            agent.run(request.body(()).unwrap())
        } else {
            agent.run(request.body(body.to_owned()).unwrap())
        };
        let mut answer = answer.unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let answer = Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), text };
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert_eq!(answer.header("x-request-id").len(), 32, "{answer:?}");
        self.contract.check(method, path, &answer);
        answer
    }
}
