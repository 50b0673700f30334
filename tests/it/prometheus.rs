//! A real API that nobody wrote for us, behind the gate: Prometheus, with a key that may query and nothing else.

use crate::process::{Answer, Folder, HOST, Key, Node, PATIENCE, Process, Wire};
use oauth2::basic::BasicClient;
use oauth2::{ClientId, ClientSecret, HttpRequest, HttpResponse, TokenResponse, TokenUrl};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PERMISSIONS: &str = r#"
"query" = ["GET /api/v1/query"]
"admin" = ["POST /api/v1/admin/tsdb/snapshot", "PUT /api/v1/admin/tsdb/delete_series"]
"#;
const SNAPSHOT: &str = "/v1/api/v1/admin/tsdb/snapshot";

/// Prometheus on loopback, scraping itself. It ends with the test.
struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// `None`, with the reason printed, where there is no such program.
    fn start() -> Option<Self> {
        match Command::new("prometheus").arg("--version").output() {
            Ok(_) => (),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("skipped: there is no `prometheus` here (apt-get install prometheus)");
                return None;
            }
            Err(error) => panic!("prometheus --version: {error}"),
        }
        // Another process may take the free port before Prometheus does.
        let started = (0..5).find_map(|_| Self::start_on(free_address()));
        Some(started.expect("prometheus did not start on any of five ports"))
    }

    fn start_on(address: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: itself\n  static_configs:\n  \
             - targets: ['{address}']\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
            .arg(format!("--config.file={}", config.display()))
            .arg("--web.enable-admin-api")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut process = Process::spawn(&mut command);
        let deadline = Instant::now() + PATIENCE;
        let mut direct = Wire::new(address, &address.to_string());
        while process.is_running() {
            if direct.send("GET", "/-/ready", &[], b"").is_ok_and(|answer| answer.status == 200) {
                return Some(Self { address, _process: process, _folder: folder });
            }
            assert!(Instant::now() < deadline, "prometheus is not ready:\n{}", process.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("{}", process.stderr());
        None
    }

    /// A gate in front of it: `http://gate.test/v1/api/v1/query` is its `/api/v1/query`.
    fn gate(&self) -> (Folder, Node) {
        let folder = Folder::new(&format!("http://{}", self.address), PERMISSIONS);
        let node = folder.start();
        (folder, node)
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn a_key_that_may_query_prometheus_queries_and_nothing_else() {
    let Some(prometheus) = Prometheus::start() else { return };
    let (_folder, node) = prometheus.gate();
    let mut control = node.control();
    let querier = control.create("dashboard", &["query"]).unwrap();
    let mut edge = node.edge();
    let token = edge.token(&querier);

    let one = query(&mut edge, "vector(1)", &token);
    assert_eq!(one["data"]["result"][0]["value"][1], "1", "{one}");
    assert_eq!(up(&mut edge, &prometheus, &token), "1");

    let administer = |wire: &mut Wire, token: &str| -> Answer {
        wire.send("POST", SNAPSHOT, &[("Authorization", &format!("Bearer {token}"))], b"").unwrap()
    };
    let refusal = administer(&mut edge, &token).refused(403, "permission_missing");
    let challenge = refusal.field("www-authenticate").unwrap();
    assert!(
        challenge.contains(r#"error="insufficient_scope""#) && challenge.contains(r#"scope="admin""#),
        "{challenge}"
    );
    // Nothing that the catalogue does not list, whatever Prometheus would say to it.
    for path in ["/api/v1/labels", "/api/v1/query_range", "/api/v1/query/", "/metrics", "/graph", "/-/ready", "/", ""] {
        edge.get(&format!("/v1{path}"), &token).refused(403, "operation_unknown");
    }
    edge.send("GET", "/v1/api/v1/query?query=up", &[], b"").unwrap().refused(401, "token_missing");

    // The other permission opens the operation that was refused, and Prometheus does it.
    let administrator = control.create("backup", &["admin"]).unwrap();
    let token = edge.token(&administrator);
    let snapshot = administer(&mut edge, &token).expect(200).json();
    assert!(snapshot["data"]["name"].is_string(), "{snapshot}");
    edge.get("/v1/api/v1/query?query=up", &token).refused(403, "permission_missing");
}

/// Whether Prometheus saw itself up, once it scraped.
fn up(edge: &mut Wire, prometheus: &Prometheus, token: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = query(edge, "up", token);
        if let Some(sample) = answer["data"]["result"].get(0) {
            assert_eq!(sample["metric"]["instance"], prometheus.address.to_string(), "{answer}");
            return sample["value"][1].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "prometheus scraped nothing: {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[track_caller]
fn query(edge: &mut Wire, expression: &str, token: &str) -> Value {
    let answer = edge.get(&format!("/v1/api/v1/query?query={expression}"), token).expect(200).json();
    assert_eq!((&answer["status"], &answer["data"]["resultType"]), (&json!("success"), &json!("vector")), "{answer}");
    answer
}

/// Prometheus has the last word on what its text format is.
#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let Some(prometheus) = Prometheus::start() else { return };
    let (_folder, node) = prometheus.gate();
    let mut edge = node.edge();
    let token = edge.token(&node.control().create("dashboard", &["query"]).unwrap());
    query(&mut edge, "vector(1)", &token);
    edge.get("/v1/graph", &token).refused(403, "operation_unknown");
    let metrics = Wire::new(node.metrics, "localhost").send("GET", "/metrics", &[], b"").unwrap().expect(200).text();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{stdout}{stderr}{metrics}");
}

#[test]
fn curl_gets_a_token_and_a_result() {
    let Some(prometheus) = Prometheus::start() else { return };
    let (_folder, node) = prometheus.gate();
    let Key { id, secret } = node.control().create("curl", &["query"]).unwrap();
    let curl = |args: &[&str]| -> Value {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "30", "--noproxy", "*"]);
        command.args(["--connect-to", &format!("{HOST}:80:{}", node.edge)]).args(args);
        let output = command.output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{stdout}{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let token_url = format!("http://{HOST}/v1/oauth2/token");
    let grant = "grant_type=client_credentials";
    let (user, id, secret) = (format!("{id}:{secret}"), format!("client_id={id}"), format!("client_secret={secret}"));
    let basic = ["--user", &user, "--data", grant, &token_url];
    let in_body = ["--data", grant, "--data-urlencode", &id, "--data-urlencode", &secret, &token_url];
    for credentials in [&basic[..], &in_body] {
        let token = curl(credentials);
        assert_eq!(token["token_type"], "Bearer", "{token}");
        let bearer = format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap());
        let query = format!("http://{HOST}/v1/api/v1/query");
        let answer = curl(&["--get", &query, "--data-urlencode", "query=vector(1) + 1", "--header", &bearer]);
        assert_eq!(answer["data"]["result"][0]["value"][1], "2", "{answer}");
    }
}

#[test]
fn the_oauth2_crate_gets_a_token_that_works() {
    let Some(prometheus) = Prometheus::start() else { return };
    let (_folder, node) = prometheus.gate();
    let key = node.control().create("rust", &["query"]).unwrap();
    let edge = RefCell::new(node.edge());
    let http = |request: HttpRequest| -> Result<HttpResponse, std::io::Error> {
        let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let fields: Vec<(&str, &str)> = fields.collect();
        let target = request.uri().path_and_query().unwrap().as_str();
        let answer = edge.borrow_mut().send(request.method().as_str(), target, &fields, request.body())?;
        let mut response = http::Response::builder().status(answer.status);
        for (name, value) in answer.head.lines().skip(1).filter_map(|line| line.split_once(':')) {
            response = response.header(name, value.trim());
        }
        Ok(response.body(answer.body).unwrap())
    };
    for authentication in [oauth2::AuthType::BasicAuth, oauth2::AuthType::RequestBody] {
        let client = BasicClient::new(ClientId::new(key.id.clone()))
            .set_client_secret(ClientSecret::new(key.secret.clone()))
            .set_auth_type(authentication)
            .set_token_uri(TokenUrl::new(format!("http://{HOST}/v1/oauth2/token")).unwrap());
        let token = client.exchange_client_credentials().request(&http).unwrap();
        assert_eq!(*token.token_type(), oauth2::basic::BasicTokenType::Bearer);
        assert!(token.expires_in().unwrap() > Duration::from_secs(60) && token.refresh_token().is_none());
        query(&mut edge.borrow_mut(), "vector(1)", token.access_token().secret());
    }
    let wrong = BasicClient::new(ClientId::new(key.id)).set_client_secret(ClientSecret::new("wrong".to_owned()));
    let wrong = wrong.set_token_uri(TokenUrl::new(format!("http://{HOST}/v1/oauth2/token")).unwrap());
    let oauth2::RequestTokenError::ServerResponse(refusal) =
        wrong.exchange_client_credentials().request(&http).unwrap_err()
    else {
        panic!("not an error of RFC 6749");
    };
    assert_eq!(*refusal.error(), oauth2::basic::BasicErrorResponseType::InvalidClient);
}
