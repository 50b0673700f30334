//! A running gateway with verbs: the real binary on ports of its own, an upstream that records, a raw client.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses some of the verbs")]

mod certificates;
pub mod frames;
mod upstream;
mod wire;

pub use certificates::{Authority, Certificate, TlsCaller, TlsConnection, exchange, replace};
pub use frames::{Http2, Reply};
pub use upstream::{Answer, RecordingUpstream, Seen};
pub use wire::{Connection, End, RawResponse, Request, client_config};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The base URL of the first environment, and its two parts.
pub const BASE_URL: &str = "http://gate.test/v1/production";
pub const HOST: &str = "gate.test";
pub const BASE_PATH: &str = "/v1/production";
/// The path prefix of the recording upstream.
pub const UPSTREAM_PATH: &str = "/api";

const PERMISSIONS: &str = r#"
[environments.production.permissions]
"cards:read" = ["GET /cards", "GET /cards/{id}"]
"cards:admin" = "GET /cards/blocked"
"cards:write" = ["POST /cards", "PUT /cards/{id}", "DELETE /cards/{id}"]
"files:read" = "GET /files/{path...}"
"files:write" = ["PUT /files/{path...}", "POST /files/{path...}"]
"socket:open" = "GET /socket"
"#;

/// A key that a tenant file declares.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
    permissions: Vec<String>,
    rest: String,
}

impl Key {
    pub fn new(id: &str, permissions: &[&str]) -> Self {
        let permissions = permissions.iter().map(|&name| name.to_owned()).collect();
        Self { id: id.to_owned(), secret: format!("pculls_canary_{id}_secret"), permissions, rest: String::new() }
    }

    /// An instant in RFC 3339.
    pub fn expiring(mut self, at: &str) -> Self {
        let _ = writeln!(self.rest, "expires_at = {at}");
        self
    }

    pub fn allowed_from(mut self, networks: &[&str]) -> Self {
        let _ = writeln!(self.rest, "allowlist = {{ networks = {networks:?} }}");
        self
    }

    /// From the platform's own addresses.
    pub fn allowed_from_platform(mut self) -> Self {
        self.rest.push_str("allowlist = { platform = true }\n");
        self
    }

    /// As a tenant file declares it.
    pub fn stanza(&self, environment: &str) -> String {
        let mut digest = String::new();
        for byte in Sha256::digest(self.secret.as_bytes()) {
            let _ = write!(digest, "{byte:02x}");
        }
        let Self { id, permissions, rest, .. } = self;
        format!(
            "[[environments.{environment}.keys]]\nclient_id = \"{id}\"\nname = \"{id}\"\n\
             secret_digest = \"sha256:{digest}\"\npermissions = {permissions:?}\n{rest}"
        )
    }
}

/// May read cards.
pub fn reader() -> Key {
    Key::new("reader", &["cards:read"])
}

/// May do everything but `cards:admin`.
pub fn writer() -> Key {
    Key::new("writer", &["cards:read", "cards:write", "files:read", "files:write", "socket:open"])
}

/// What a gateway is started with.
#[derive(Default)]
pub struct GatewayBuilder {
    node: String,
    edge: String,
    settings: String,
    upstream_url: Option<String>,
    upstream_table: Option<String>,
    upstream_whole: Option<String>,
    tables: String,
    keys: Vec<(String, Key)>,
    certificates: Vec<Certificate>,
    log: Option<String>,
}

impl GatewayBuilder {
    /// The level of words: `PORTCULLIS_LOG`.
    pub fn log(mut self, level: &str) -> Self {
        self.log = Some(level.to_owned());
        self
    }

    /// TOML for `portcullis.toml`: `[edge]`, `[edge.limits]`, `[tokens]`, `[log]`.
    pub fn node(mut self, toml: &str) -> Self {
        let _ = writeln!(self.node, "{toml}");
        self
    }

    /// TOML for `[listeners.edge]`.
    pub fn edge_listener(mut self, toml: &str) -> Self {
        let _ = writeln!(self.edge, "{toml}");
        self
    }

    /// The edge speaks TLS with these certificates, the first for callers that ask for no name.
    pub fn tls(mut self, certificates: &[&Certificate]) -> Self {
        self.certificates.extend(certificates.iter().map(|&certificate| certificate.clone()));
        self
    }

    /// Plain settings of the environment: `token_header = "x-api-token"`.
    pub fn settings(mut self, toml: &str) -> Self {
        let _ = writeln!(self.settings, "{toml}");
        self
    }

    /// Settings of the environment's `paths`.
    pub fn paths(self, toml: &str) -> Self {
        self.tables(&format!("[environments.production.paths]\n{toml}"))
    }

    /// Makes the upstream a table with these settings beside its URL.
    pub fn upstream_table(mut self, toml: &str) -> Self {
        self.upstream_table = Some(toml.to_owned());
        self
    }

    /// The whole table of the upstream, its URLs too.
    pub fn upstream_whole(mut self, toml: &str) -> Self {
        self.upstream_whole = Some(toml.to_owned());
        self
    }

    /// Another upstream than the recording one.
    pub fn upstream_url(mut self, url: &str) -> Self {
        self.upstream_url = Some(url.to_owned());
        self
    }

    /// Whole TOML tables of the tenant file: other environments, for one.
    pub fn tables(mut self, toml: &str) -> Self {
        let _ = writeln!(self.tables, "{toml}");
        self
    }

    pub fn key(self, key: &Key) -> Self {
        self.key_of("production", key)
    }

    pub fn key_of(mut self, environment: &str, key: &Key) -> Self {
        self.keys.push((environment.to_owned(), key.clone()));
        self
    }

    #[track_caller]
    pub fn start(self) -> Gateway {
        let upstream = RecordingUpstream::start();
        let dir = TempDir::new().unwrap();
        let node = format!(
            "[listeners.edge]\nbind = [\"127.0.0.1:0\"]\n{}{}[listeners.control]\nbind = [\"127.0.0.1:0\"]\n\
             [listeners.metrics]\nbind = [\"127.0.0.1:0\"]\n{}",
            self.edge,
            self.certificates_in(dir.path()),
            self.node
        );
        std::fs::write(dir.path().join("portcullis.toml"), node).unwrap();
        std::fs::create_dir(dir.path().join("tenants")).unwrap();
        std::fs::write(dir.path().join("tenants/acme.toml"), self.tenant(&upstream)).unwrap();
        let mut gateway = Gateway { process: Process::start(dir.path(), self.log.as_deref()), dir, upstream };
        gateway.process.await_listening();
        gateway
    }

    /// Writes the certificates, and says where they are.
    fn certificates_in(&self, folder: &Path) -> String {
        let pairs = self.certificates.iter().enumerate().map(|(at, certificate)| {
            certificate.write(folder, &format!("{at}.pem"), &format!("{at}.key"));
            format!("{{ cert = \"{at}.pem\", key = \"{at}.key\" }}")
        });
        let pairs: Vec<String> = pairs.collect();
        if pairs.is_empty() { String::new() } else { format!("tls.certificates = [{}]\n", pairs.join(", ")) }
    }

    fn tenant(&self, upstream: &RecordingUpstream) -> String {
        let url = self.upstream_url.clone().unwrap_or_else(|| format!("{}{UPSTREAM_PATH}", upstream.url()));
        let mut text = format!(
            "[organization]\nid = \"acme\"\nname = \"Acme\"\n\
             [environments.production]\nbase_url = \"{BASE_URL}\"\npublic = [\"GET /health\"]\n{}",
            self.settings
        );
        let _ = match self.upstream_whole.as_ref().or(self.upstream_table.as_ref()) {
            Some(whole) if self.upstream_whole.is_some() => {
                writeln!(text, "[environments.production.upstream]\n{whole}")
            }
            None => writeln!(text, "upstream = \"{url}\""),
            Some(table) => writeln!(text, "[environments.production.upstream]\nurl = \"{url}\"\n{table}"),
        };
        text.push_str(PERMISSIONS);
        text.push_str(&self.tables);
        let usual = [("production".to_owned(), reader()), ("production".to_owned(), writer())];
        for (environment, key) in usual.iter().chain(&self.keys) {
            text.push_str(&key.stanza(environment));
        }
        text.replace("{upstream}", &url)
    }
}

/// The binary, and what it has printed so far.
struct Process {
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    listening: mpsc::Receiver<String>,
    addresses: [SocketAddr; 3],
}

impl Process {
    fn start(dir: &Path, log: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        if let Some(level) = log {
            command.env("PORTCULLIS_LOG", level);
        }
        command.args(["serve", "--config"]).arg(dir.join("portcullis.toml"));
        command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, listening) = mpsc::channel();
        let stdout = collect(child.stdout.take().unwrap(), None);
        let stderr = collect(child.stderr.take().unwrap(), Some(lines));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, stdout, stderr, listening, addresses: [nowhere; 3] }
    }

    /// Waits for the line that tells the ports.
    #[track_caller]
    fn await_listening(&mut self) {
        let Ok(line) = self.listening.recv_timeout(PATIENCE) else {
            let _ = self.child.kill();
            let status = self.child.wait();
            panic!("the gateway did not start ({status:?}):\n{}", text(&self.stderr));
        };
        self.addresses = ["edge=", "control=", "metrics="].map(|name| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            let value = value.and_then(|value| value.split(['"', ',']).find(|part| !part.is_empty())?.parse().ok());
            value.unwrap_or_else(|| panic!("{line}"))
        });
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- stderr of the gateway ---\n{}", text(&self.stderr));
        }
    }
}

/// Reads a pipe to its end in the background, and sends on the line that tells the ports.
fn collect(pipe: impl Read + Send + 'static, lines: Option<mpsc::Sender<String>>) -> Arc<Mutex<Vec<u8>>> {
    let collected = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&collected);
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            into.lock().unwrap().extend_from_slice(&line);
            let words = String::from_utf8_lossy(&line);
            if let Some(lines) = lines.as_ref().filter(|_| words.contains("listening edge=")) {
                let _ = lines.send(words.into_owned());
            }
            line.clear();
        }
    });
    collected
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
}

/// A gateway that is up, in front of its recording upstream. It is killed when dropped.
pub struct Gateway {
    process: Process,
    dir: TempDir,
    pub upstream: RecordingUpstream,
}

impl Gateway {
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// With the usual catalogue and the keys [`reader`] and [`writer`].
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn edge(&self) -> SocketAddr {
        self.process.addresses[0]
    }

    pub fn control(&self) -> SocketAddr {
        self.process.addresses[1]
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Rewrites the tenant file; the running process is not told.
    pub fn edit_tenant(&self, edit: impl FnOnce(&str) -> String) {
        let file = self.dir.path().join("tenants/acme.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, edit(&text)).unwrap();
    }

    /// SIGKILL; nothing listens afterwards.
    pub fn kill9(&mut self) {
        self.process.end();
    }

    /// SIGKILL and a new start on the same folder, on new ports.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        self.process = Process::start(self.dir.path(), None);
        self.process.await_listening();
    }

    pub fn stdout(&self) -> String {
        text(&self.process.stdout)
    }

    pub fn stderr(&self) -> String {
        text(&self.process.stderr)
    }

    /// The access log's line about a request, once it is there.
    #[track_caller]
    pub fn log_line(&self, request_id: &str) -> Value {
        eventually("the access log has the request", || {
            let stdout = self.stdout();
            let line = stdout.lines().find(|line| line.contains(request_id))?.to_owned();
            Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
        })
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.edge())
    }

    pub fn connect_from(&self, source: &str) -> Connection {
        Connection::open_from(self.edge(), source)
    }

    /// Sends these bytes on a connection of their own and reads one answer. Where that closes the connection,
    /// everything up to the end is read.
    #[track_caller]
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> RawResponse {
        self.connect().exchange(bytes.as_ref())
    }

    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request::new(self, method, path)
    }

    /// A path relative to the base URL.
    pub fn get(&self, path: &str) -> Request<'_> {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str) -> Request<'_> {
        self.request("POST", path)
    }

    #[track_caller]
    pub fn reader_token(&self) -> String {
        token(self, &reader().id, &reader().secret)
    }

    #[track_caller]
    pub fn writer_token(&self) -> String {
        token(self, &writer().id, &writer().secret)
    }

    /// What the metrics listener answers.
    #[track_caller]
    pub fn probe(&self, path: &str) -> RawResponse {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Connection::open(self.process.addresses[2]).exchange(request.as_bytes())
    }

    /// The metrics' text.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let response = self.probe("/metrics");
        assert_eq!(response.status, 200);
        response.text()
    }

    pub fn bootstrap_token(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("data/bootstrap-token")).unwrap().trim().to_owned()
    }

    /// Asks the control API as the bootstrap operator; status and JSON.
    #[track_caller]
    pub fn control_request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.control_as(&self.bootstrap_token(), method, path, body)
    }

    /// Asks the control API with this token; status and JSON.
    #[track_caller]
    pub fn control_as(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask_control(self.control(), token, method, path, body)
    }

    /// Makes a key of the first environment through the control API: id and secret.
    #[track_caller]
    pub fn create_key(&self, name: &str, permissions: &[&str]) -> (String, String) {
        let (status, key) = self.control_request("POST", KEYS, &json!({"name": name, "permissions": permissions}));
        assert_eq!(status, 201, "{key}");
        let member = |name: &str| key[name].as_str().unwrap().to_owned();
        (member("client_id"), member("client_secret"))
    }

    /// Changes a key through the control API: `rotate`, `revoke`.
    #[track_caller]
    pub fn change_key(&self, id: &str, verb: &str, body: &Value) -> Value {
        let (status, key) = self.control_request("POST", &format!("{KEYS}/{id}/{verb}"), body);
        assert_eq!(status, 200, "{key}");
        key
    }
}

/// Where the control API keeps the keys of the first environment.
pub const KEYS: &str = "/v1/organizations/acme/environments/production/keys";

/// Asks the control API at this address with this token; status and JSON.
#[track_caller]
pub fn ask_control(control: SocketAddr, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {control}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let response = Connection::open(control).exchange(request.as_bytes());
    (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
}

/// Asks for a token the way most clients do.
#[track_caller]
pub fn token(gateway: &Gateway, id: &str, secret: &str) -> String {
    let response = gateway.post("/oauth2/token").form(&token_form(id, secret)).send();
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["access_token"].as_str().unwrap().to_owned()
}

pub fn token_form(id: &str, secret: &str) -> String {
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
}

/// Asks again until there is an answer; for what cannot be awaited otherwise.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An instant so many seconds from now, in RFC 3339.
pub fn seconds_from_now(seconds: i64) -> String {
    let second = jiff::Timestamp::now().as_second() + seconds;
    jiff::Timestamp::from_second(second).unwrap().to_string()
}
