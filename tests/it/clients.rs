//! OAuth client libraries that nobody wrote for us, through the gate: `requests-oauthlib` and `simple-oauth2`.
//!
//! `tests/tools/*/client.*` call them the way their users do, for every way they know; the results are judged here, and
//! so is what they send by themselves. (The `oauth2` crate is in `edge/token_endpoint.rs`.)

use crate::process::{Api, Folder, HOST, Node, PATIENCE};
use crate::tools::{file, python, tool, without_proxy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

const PERMISSIONS: &str =
    "\"cards:read\" = \"GET /cards\"\n\"cards:write\" = \"POST /cards\"\n\"cards:admin\" = \"DELETE /cards\"";
/// May read and write, not administer. Our own secrets need no encoding; one that a file declares may hold anything that
/// form-decoding leaves alone, and `simple-oauth2` encodes it to the last bracket.
const CLIENT_ID: &str = "crm_sync";
const CLIENT_SECRET: &str = "canary-~.!*'()_secret";

/// A gate whose base URL is where it listens: these libraries resolve names.
struct Gate {
    _api: Api,
    _folder: Folder,
    _node: Node,
    base_url: String,
    revocation_url: Option<String>,
}

impl Gate {
    fn start() -> Self {
        let api = Api::start();
        let folder = Folder::new(&api.url(), PERMISSIONS);
        let tenant = std::fs::read_to_string(folder.path("tenants/acme.toml")).unwrap();
        folder.write("tenants/acme.toml", &format!("{tenant}{}", stanza()));
        let node = folder.start();
        // The port is known once it is bound.
        let base_url = format!("http://{}/v1", node.edge);
        folder.edit("tenants/acme.toml", &format!("http://{HOST}/v1"), &base_url);
        node.process.signal("HUP");
        node.process.line_with("reloaded (");
        let revocation_url = metadata(&node)["revocation_endpoint"].as_str().map(str::to_owned);
        Self { _api: api, _folder: folder, _node: node, base_url, revocation_url }
    }

    /// What a client is told.
    fn job(&self) -> Value {
        json!({
            "base_url": self.base_url,
            "token_url": format!("{}/oauth2/token", self.base_url),
            "revocation_url": self.revocation_url,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        })
    }
}

fn stanza() -> String {
    let mut digest = String::new();
    for byte in Sha256::digest(CLIENT_SECRET) {
        let _ = write!(digest, "{byte:02x}");
    }
    format!(
        "[[environments.production.keys]]\nclient_id = \"{CLIENT_ID}\"\nname = \"CRM\"\n\
         secret_digest = \"sha256:{digest}\"\npermissions = [\"cards:read\", \"cards:write\"]\n"
    )
}

fn metadata(node: &Node) -> Value {
    let mut wire = crate::process::Wire::new(node.edge, &node.edge.to_string());
    wire.send("GET", "/.well-known/oauth-authorization-server/v1", &[], b"").unwrap().expect(200).json()
}

/// Runs a client on a job; its results.
#[track_caller]
fn run(command: &mut Command, job: &Value) -> Value {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(job.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    assert!(began.elapsed() < PATIENCE * 4, "it took {:?}", began.elapsed());
    serde_json::from_str(&stdout).unwrap_or_else(|why| panic!("{why}: {stdout}{stderr}"))
}

/// A token for everything the key may do.
#[track_caller]
fn assert_whole(result: &Value) {
    let token = &result["token"];
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(3600)), "{result}");
    assert_eq!(token.get("refresh_token"), None, "{result}");
    assert_eq!((&result["read"], &result["write"]), (&json!(200), &json!(200)), "{result}");
}

/// A token for reading alone.
#[track_caller]
fn assert_narrow(result: &Value) {
    assert_eq!((&result["read"], &result["write"]), (&json!(200), &json!(403)), "{result}");
    assert_eq!(result["write_error"], "permission_missing", "{result}");
}

#[track_caller]
fn assert_error(result: &Value, error: &str) {
    assert_eq!((result["error"].as_str(), result.get("token")), (Some(error), None), "{result}");
}

/// The credentials of a Basic header, as they were encoded.
#[track_caller]
fn basic(result: &Value) -> String {
    let header = result["sent"]["authorization"].as_str().unwrap_or_else(|| panic!("no Authorization: {result}"));
    String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap()).unwrap()
}

#[test]
fn requests_oauthlib_gets_tokens_in_every_way_it_knows() {
    let Some(packages) = tool("oauth-python") else { return };
    let gate = Gate::start();
    let mut client = python(&packages);
    // Loopback is plain http.
    client.arg(file("tests/tools/oauth-python/client.py")).env("OAUTHLIB_INSECURE_TRANSPORT", "1");
    let results = run(&mut client, &gate.job());

    for way in ["basic", "unasked", "body", "basic_and_id", "query", "more"] {
        assert_whole(&results[way]);
    }
    for way in ["narrowed", "narrowed_in_body"] {
        assert_narrow(&results[way]);
        assert_eq!(results[way]["token"]["scope"], json!(["cards:read"]));
    }
    assert_error(&results["too_wide"], "invalid_scope");
    for way in ["wrong", "wrong_in_body", "no_secret"] {
        assert_error(&results[way], "invalid_client");
        assert_eq!(
            (&results[way]["kind"], &results[way]["sent"]["status"]),
            (&json!("InvalidClientError"), &json!(401))
        );
    }
    for way in ["secret_in_query", "get"] {
        assert_error(&results[way], "invalid_request");
    }

    // What it does by itself: Basic is raw; asked for both, the id stands in the body too.
    assert_eq!(basic(&results["unasked"]), format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    assert_eq!(results["body"]["sent"]["authorization"], Value::Null);
    let sent = |way: &str, what: &str| results[way]["sent"][what].as_str().unwrap_or_default().to_owned();
    assert!(sent("basic_and_id", "body").contains(&format!("client_id={CLIENT_ID}")), "{results}");
    assert!(sent("query", "url").contains("?grant_type=client_credentials") && sent("query", "body").is_empty());
    assert_revoked(&gate, &results);
}

#[test]
fn simple_oauth2_gets_tokens_in_every_way_it_knows() {
    let Some(packages) = tool("oauth-node") else { return };
    let gate = Gate::start();
    let mut client = Command::new("node");
    client.arg(file("tests/tools/oauth-node/client.js")).arg(&packages);
    without_proxy(&mut client);
    let results = run(&mut client, &gate.job());

    for way in ["unasked", "basic", "basic_unencoded", "body", "more"] {
        assert_whole(&results[way]);
        assert_eq!(results[way]["expired"], false);
    }
    for way in ["narrowed", "narrowed_in_body"] {
        assert_narrow(&results[way]);
        assert_eq!(results[way]["token"]["scope"], "cards:read");
    }
    for (way, status, error) in [
        ("too_wide", 400, "invalid_scope"),
        ("wrong", 401, "invalid_client"),
        ("wrong_in_body", 401, "invalid_client"),
        ("json", 400, "invalid_request"),
    ] {
        assert_error(&results[way], error);
        assert_eq!(results[way]["status"], status, "{results}");
    }

    // What it does by itself: Basic is form-encoded, brackets and all, unless told otherwise.
    assert_eq!(basic(&results["unasked"]), format!("{CLIENT_ID}:canary-~.%21%2A%27%28%29_secret"));
    assert_eq!(basic(&results["basic_unencoded"]), format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    assert_eq!(results["body"]["sent"]["authorization"], Value::Null);
    assert_revoked(&gate, &results);
}

/// Where the metadata names a revocation endpoint, a token that the library revoked opens nothing.
#[track_caller]
fn assert_revoked(gate: &Gate, results: &Value) {
    if gate.revocation_url.is_some() {
        let revoked = &results["revoked"];
        assert_eq!((&revoked["read"], &revoked["error"]), (&json!(401), &json!("token_revoked")), "{results}");
    }
}

/// Several libraries try one way of authenticating and then the other, until one is taken: both must be answered with
/// `invalid_client` where they are wrong, and neither try may spoil the next.
#[test]
fn a_client_that_probes_basic_and_then_the_body() {
    let gate = Gate::start();
    let mut wire = crate::process::Wire::new(gate._node.edge, &gate._node.edge.to_string());
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let grant = "grant_type=client_credentials";
    let raw = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let wrong = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:wrong")));
    let over: String = CLIENT_SECRET.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let over = format!("Basic {}", STANDARD.encode(format!("crm%5Fsync:{over}")));
    let in_body = format!("{grant}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    // Twice: the second time meets whatever the first left behind. Many failures are slowed down, these are few.
    for _ in 0..2 {
        let mut ask = |authorization: Option<&str>, body: &str| {
            let fields: Vec<_> =
                authorization.map(|value| ("Authorization", value)).into_iter().chain([form]).collect();
            wire.send("POST", "/v1/oauth2/token", &fields, body.as_bytes()).unwrap()
        };
        let refused = ask(Some(&wrong), grant).expect(401);
        assert_eq!(refused.json()["error"], "invalid_client");
        assert!(refused.field("www-authenticate").is_some_and(|value| value.starts_with("Basic ")), "{refused}");
        // Without any credentials, as those do that wait to be challenged.
        assert_eq!(ask(None, grant).expect(401).json()["error"], "invalid_client");
        ask(None, &in_body).expect(200);
        ask(Some(&raw), grant).expect(200);
        ask(Some(&over), grant).expect(200);
    }
}
