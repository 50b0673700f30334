//! The command line against a stub control API: exit codes, tables, JSON, and secrets that stay where they belong.

mod audit;
mod documents;
mod keys;
mod members;
mod node;
mod offline;
mod orgs;
mod people;
mod sessions;
mod terminal;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

const SECRET: &str = "pculls_0123456789012345678901234567890123456789012abcdef";
const KEYS: &str = "/v1/organizations/acme/environments/production/keys";

/// What the stub was asked.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    target: String,
    head: String,
    body: String,
}

impl Asked {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn operation(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    #[track_caller]
    fn has_header(&self, line: &str) {
        assert!(self.head.to_ascii_lowercase().contains(&format!("\r\n{line}\r\n")), "no `{line}` in {}", self.head);
    }
}

/// A server that answers every request by one function and remembers what it was asked.
struct Stub {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    fn answering(answer: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // It waits for connections until the test binary ends.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if let Some(request) = read_request(&stream) {
                    let (status, body) = answer(&request);
                    seen.lock().unwrap().push(request);
                    let body = if body.is_null() { String::new() } else { body.to_string() };
                    let head =
                        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
                    // A client that has gone is the client's test to judge.
                    let _ = write!(stream, "{head}content-type: application/json\r\n\r\n{body}");
                }
            }
        });
        Self { address, asked }
    }

    /// One organization, one environment, one key; everything succeeds.
    fn content() -> Self {
        Self::answering(happy)
    }

    /// These operations and their answers; whatever else is asked fails.
    fn routes<const N: usize>(routes: [(&'static str, u16, Value); N]) -> Self {
        Self::answering(move |asked| {
            let known = routes.iter().find(|(operation, ..)| *operation == asked.operation());
            known.map_or((500, json!({"detail": "the stub has no such route"})), |(_, status, body)| {
                (*status, body.clone())
            })
        })
    }

    /// Every request gets this problem.
    fn refusing(status: u16, problem: Value) -> Self {
        Self::answering(move |_| (status, problem.clone()))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The one request of that kind.
    fn only(&self, operation: &str) -> Asked {
        let asked = self.asked();
        let mut matching = asked.iter().filter(|asked| asked.operation() == operation);
        let found = matching.next().unwrap_or_else(|| panic!("no `{operation}` in {asked:#?}"));
        assert!(matching.next().is_none(), "`{operation}` was sent twice");
        found.clone()
    }

    /// Runs the binary against this stub, signed in.
    fn run(&self, args: &[&str]) -> Ran {
        self.command(args).env("PORTCULLIS_TOKEN", "sesame").ran()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = portcullis(args);
        command.env("PORTCULLIS_SERVER", format!("http://{}", self.address));
        command
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |text| text.trim().parse().unwrap())];
    if lower.contains("transfer-encoding: chunked") {
        body = read_chunks(&mut reader);
    } else {
        reader.read_exact(&mut body).unwrap();
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Asked { method, target, head: head.clone(), body: String::from_utf8(body).unwrap() })
}

fn read_chunks(reader: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).unwrap()];
        reader.read_exact(&mut chunk).unwrap();
        reader.read_line(&mut String::new()).unwrap();
        if chunk.is_empty() {
            return body;
        }
        body.extend(chunk);
    }
}

fn happy(asked: &Asked) -> (u16, Value) {
    match asked.operation().as_str() {
        "GET /v1/organizations" => (200, json!({"data": [{"id": "acme", "name": "Acme"}], "next_cursor": null})),
        "GET /v1/organizations/acme/environments" => (200, json!({"data": [{"id": "production"}]})),
        "GET /v1/organizations/acme/environments/production/presets" => {
            (200, json!({"data": [{"name": "Read only", "permissions": ["cards:read", "files:read"]}]}))
        }
        "GET /v1/status" => (200, json!({"version": "0.1.0", "tables": {"revision": 7}})),
        operation if operation == format!("POST {KEYS}") => (201, with_secret(key())),
        operation if operation == format!("POST {KEYS}/pcull_a/rotate") => (200, with_secret(key())),
        operation if operation.starts_with(&format!("GET {KEYS}?")) => {
            (200, json!({"data": [key()], "next_cursor": null}))
        }
        _ => (200, key()),
    }
}

fn key() -> Value {
    json!({"client_id": "pcull_a", "name": "salesforce", "description": "", "type": "fine_grained",
        "permissions": ["cards.list", "cards.show"], "role": null,
        "allowlist": {"networks": ["203.0.113.42", "198.51.100.0/24"], "platform": true}, "status": "active",
        "expires_at": "2027-01-31T00:00:00Z", "created_at": "2026-01-01T00:00:00Z", "created_by": "ada",
        "rotated_at": null, "last_used_at": null, "secret_version": 1, "revision": 7, "managed_by": "api"})
}

fn with_secret(mut key: Value) -> Value {
    key["client_secret"] = SECRET.into();
    key
}

/// The binary with nothing of the caller's own settings, and no terminal.
fn portcullis(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args).stdin(Stdio::null());
    for name in ["PORTCULLIS_SERVER", "PORTCULLIS_TOKEN", "PORTCULLIS_CA_FILE", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

/// How a run ended.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    #[track_caller]
    fn shows(self, line: &str) -> Self {
        assert!(self.stdout.lines().any(|shown| shown == line), "no line `{line}` in:\n{}", self.stdout);
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no `{words}` in stderr: {}", self.stderr);
        self
    }
}

trait Run {
    fn ran(&mut self) -> Ran;
}

impl Run for Command {
    fn ran(&mut self) -> Ran {
        Ran::of(self.output().unwrap())
    }
}

/// A run whose stdin is this text.
fn fed(mut command: Command, text: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails early does not read it.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    Ran::of(child.wait_with_output().unwrap())
}

/// Answers one request with these bytes and closes.
fn answering_once(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        // A client that stops reading is the client's test to judge.
        let _ = stream.write_all(&answer);
    });
    format!("http://{address}")
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn version_and_help_are_data() {
    let version = portcullis(&["version"]).ran().exited(0);
    assert_eq!(version.stdout, concat!("portcullis ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = portcullis(&["--help"]).ran().exited(0);
    for subcommand in portcullis::cli::command().get_subcommands().map(|command| command.get_name().to_owned()) {
        assert!(help.stdout.contains(&format!("\n  {subcommand} ")), "{subcommand}: {}", help.stdout);
    }
}

#[test]
fn usage_errors_exit_2() {
    let cases: &[&[&str]] = &[
        &[],
        &["keys", "shew"],
        &["serve"],
        &["serve", "--config", "x", "--detached"],
        &["serve", "--config", "x", "--take-over", "--within", "soon"],
        &["upgrade"],
        &["check"],
        &["init"],
        &["demo", "--listen", "nowhere"],
        &["keys", "create"],
        &["keys", "create", "--name", "x", "--expires-at", "tomorrow"],
        &["keys", "create", "--name", "x", "--expires-in", "1d", "--expires-at", "2027-01-31T00:00:00Z"],
        &["keys", "create", "--name", "x", "--role", "r", "--permission", "p"],
        &["keys", "rotate", "pcull_a", "--yes"],
        &["keys", "rotate", "pcull_a", "--yes", "--no-expiry", "--expires-in", "1d"],
        &["keys", "rotate", "pcull_a", "--yes", "--no-expiry", "--allow-any", "--allow", "10.0.0.1"],
        &["keys", "rotate", "pcull_a", "--yes", "--no-expiry", "--allow-any", "--allow-file", "-"],
        &["keys", "edit", "pcull_a", "--allow-any", "--allow-file", "-"],
        &["keys", "show", "../../status"],
        &["keys", "create", "--name", "x", "--without", "a"],
        &["keys", "edit", "pcull_a"],
        &["keys", "edit", "pcull_a", "--permission", "a", "--add-permission", "b"],
        &["keys", "edit", "pcull_a", "--allow-any", "--allow", "10.0.0.1"],
        &["keys", "edit", "pcull_a", "--no-may-grant", "--may-grant", "a"],
        &["keys", "list", "--unused-since", "yesterday"],
        &["keys", "digest", "--name", "x"],
        &["keys", "digest", "--name", "x", "--permission", "a", "--role", "b"],
        &["orgs", "set"],
        &["orgs", "set", "acme", "--org", "umbrella", "--name", "x"],
        &["orgs", "create", "Acme", "--name", "x"],
        &["envs", "show", "production", "--env", "sandbox", "--org", "acme"],
        &["members", "add", "ada@example.com"],
        &["members", "add", "ada@example.com", "--role", "emperor"],
        &["members", "set", "mbr_a"],
        &["members", "remove", "../status", "--yes"],
        &["members", "remove", "mbr_a"],
        &["members", "token"],
        &["members", "token", "--operator"],
        &["members", "token", "--operator", "mbr_a"],
        &["members", "token-remove", "a/b", "--yes"],
        &["login"],
        &["login", "--email", "ada@example.com", "--invitation-file", "x"],
        &["login", "--email", "ada@example.com"],
        &["login", "--email", "ada@example.com", "--password", "sesame"],
        &["login", "--invitation-file", "-", "--password-file", "-"],
        &["explain", "--client-id", "pcull_a", "--method", "GET", "--path", "/"],
        &["explain", "--client-id", "pcull_a", "--method", "GET", "--path", "/", "--ip", "here"],
        &["audit", "list", "--node", "--org", "acme"],
        &["audit", "verify", "--head", "00"],
        &["audit", "verify", "--file", "x", "--node"],
        &["catalogue", "match", "GET"],
        &["drain"],
        &["backup", "x"],
        &["restore", "x", "--config", "x"],
        &["completions", "tcl"],
        &["man"],
        &["keys", "list", "--org", "../x"],
        &["status", "--json", "-o", "table"],
        &["status", "--server", "127.0.0.1:9080"],
        &["status", "--token-file", "/nonexistent"],
        &["status", "--portcullis-token", "sesame"],
    ];
    for args in cases {
        let ran = portcullis(args).ran();
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn a_listing_is_a_table_or_json() {
    let stub = Stub::content();
    let table = stub.run(&["keys", "list"]).exited(0);
    assert_eq!(
        table.stdout,
        "CLIENT ID  NAME        TYPE          STATUS  EXPIRES               ALLOWED FROM                                 LAST USED\n\
         pcull_a    salesforce  fine_grained  active  2027-01-31T00:00:00Z  203.0.113.42, 198.51.100.0/24, the platform  -\n"
    );
    assert_eq!(table.stderr, "");
    for flags in [&["--json"][..], &["-o", "json"], &["--output=json"]] {
        let json: Value =
            serde_json::from_str(&stub.run(&[&["keys", "list"], flags].concat()).exited(0).stdout).unwrap();
        assert_eq!(json, json!({"data": [key()], "next_cursor": null}));
    }
    assert!(
        stub.asked().iter().all(|asked| asked.head.to_ascii_lowercase().contains("authorization: bearer sesame\r\n"))
    );
}

#[test]
fn filters_go_to_the_server() {
    let stub = Stub::content();
    let args = ["keys", "list", "--status", "expired", "--type", "legacy", "-q", "a b&c", "--limit", "5"];
    stub.run(&args).exited(0);
    stub.only(&format!("GET {KEYS}?limit=5&status=expired&type=legacy&q=a%20b%26c"));
}

#[test]
fn a_listing_follows_cursors_until_its_limit() {
    let pages = |asked: &Asked| {
        let page = |ids: std::ops::Range<u32>, next: Value| {
            let keys: Vec<Value> = ids.map(|id| json!({"client_id": format!("k{id}")})).collect();
            (200, json!({"data": keys, "next_cursor": next}))
        };
        match asked.target.rsplit_once("cursor=") {
            None => page(0..3, json!("c3")),
            Some((_, "c3")) => page(3..6, json!("c6")),
            Some(_) => page(6..7, Value::Null),
        }
    };
    let list = |limit: &str| {
        let stub = Stub::answering(pages);
        stub.run(&["keys", "list", "--org", "acme", "--env", "production", "--json", "--limit", limit]).exited(0)
    };
    let ids = |ran: &Ran| serde_json::from_str::<Value>(&ran.stdout).unwrap()["data"].as_array().unwrap().len();
    let all = list("100");
    assert_eq!((ids(&all), all.stderr.as_str()), (7, ""));
    let some = list("5").says("more keys");
    assert_eq!(ids(&some), 5);
}

#[test]
fn an_empty_listing_says_so_on_stderr() {
    let stub = Stub::refusing(200, json!({"data": []}));
    let ran = stub.run(&["keys", "list", "--org", "acme", "--env", "production"]).exited(0).says("no keys");
    assert_eq!(ran.stdout.lines().count(), 1);
}

#[test]
fn show_prints_facts() {
    let stub = Stub::content();
    let ran = stub.run(&["keys", "show", "pcull_a"]).exited(0);
    for line in
        ["client_id     pcull_a", "permissions   cards.list, cards.show", "created       2026-01-01T00:00:00Z by ada"]
    {
        assert!(ran.stdout.lines().any(|shown| shown == line), "`{line}` in:\n{}", ran.stdout);
    }
    let json: Value = serde_json::from_str(&stub.run(&["keys", "show", "pcull_a", "--json"]).stdout).unwrap();
    assert_eq!(json, key());
}

#[test]
fn create_prints_the_secret_once_and_warns() {
    let stub = Stub::content();
    for flags in [&[][..], &["--json"]] {
        let args = [&["keys", "create", "--name", "x", "--permission", "cards.list"], flags].concat();
        let ran = stub.run(&args).exited(0).says("shown this once");
        assert_eq!(ran.stdout.matches(SECRET).count(), 1, "{}", ran.stdout);
        assert!(!ran.stderr.contains(SECRET));
    }
    let json = stub.run(&["keys", "create", "--name", "x", "--json"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), with_secret(key()));
}

#[test]
fn create_sends_what_was_said_and_nothing_else() {
    let stub = Stub::content();
    stub.run(&["keys", "create", "--name", "x", "--preset", "Read only", "--permission", "a", "--permission", "b"]);
    let body = stub.only(&format!("POST {KEYS}")).json();
    // Where a preset is adjusted, what came out is sent.
    let came_out = ["cards:read", "files:read", "a", "b"];
    assert_eq!(body, json!({"name": "x", "type": "fine_grained", "preset": "Read only", "permissions": came_out}));

    let stub = Stub::content();
    stub.run(&[
        "keys",
        "create",
        "--name=x",
        "--type=legacy",
        "--role=events",
        "--expires-at=2027-01-31T01:00:00+01:00",
        "--allow=203.0.113.42",
        "--allow=10.0.0.1/8",
        "--allow-platform",
        "--description=nightly",
    ]);
    let body = stub.only(&format!("POST {KEYS}")).json();
    assert_eq!(
        body,
        json!({"name": "x", "type": "legacy", "role": "events", "expires_at": "2027-01-31T00:00:00Z",
            "allowlist": {"networks": ["203.0.113.42", "10.0.0.1/8"], "platform": true}, "description": "nightly"})
    );

    let stub = Stub::content();
    stub.run(&["keys", "create", "--name=x", "--role=events"]);
    assert_eq!(stub.only(&format!("POST {KEYS}")).json()["type"], "legacy");
}

#[test]
fn a_relative_expiry_counts_from_now() {
    let stub = Stub::content();
    let before = portcullis::clock::now();
    stub.run(&["keys", "create", "--name=x", "--expires-in=90d"]).exited(0);
    let after = portcullis::clock::now();
    let body = stub.only(&format!("POST {KEYS}")).json();
    let sent = portcullis::model::Timestamp::parse(body["expires_at"].as_str().unwrap()).unwrap();
    assert!((before.plus_seconds(7_776_000)..=after.plus_seconds(7_776_000)).contains(&sent), "{sent}");
}

#[test]
fn a_secret_that_could_not_be_written_is_told() {
    let stub = Stub::content();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = stub.command(&["keys", "create", "--name", "x"]);
    let ran = command.env("PORTCULLIS_TOKEN", "sesame").stdout(full).ran();
    ran.exited(1).says("the secret of key `pcull_a` is lost");
}

#[test]
fn rotate_says_the_expiry_and_the_allowlist_only_where_it_changes() {
    let cases: [(&[&str], Value); 4] = [
        (&["--no-expiry"], json!({"expires_at": null})),
        (&["--expires-at", "2027-01-31T00:00:00Z"], json!({"expires_at": "2027-01-31T00:00:00Z"})),
        (&["--no-expiry", "--allow-any"], json!({"expires_at": null, "allowlist": null})),
        (
            &["--no-expiry", "--allow", "10.0.0.1"],
            json!({"expires_at": null, "allowlist": {"networks": ["10.0.0.1"], "platform": false}}),
        ),
    ];
    for (flags, body) in cases {
        let stub = Stub::content();
        let ran = stub.run(&[&["keys", "rotate", "pcull_a", "--yes"], flags].concat()).exited(0);
        assert_eq!(stub.only(&format!("POST {KEYS}/pcull_a/rotate")).json(), body);
        assert_eq!(ran.stdout.matches(SECRET).count(), 1);
    }
}

#[test]
fn what_cannot_be_undone_needs_yes_or_a_terminal() {
    let stub = Stub::content();
    stub.run(&["keys", "rotate", "pcull_a", "--no-expiry"]).exited(2).says("--yes");
    stub.run(&["keys", "revoke", "pcull_a"]).exited(2).says("--yes");
    assert!(stub.asked().is_empty());
    let ran = stub.run(&["keys", "revoke", "pcull_a", "--yes", "--json"]).exited(0);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap(), key());
    stub.only(&format!("POST {KEYS}/pcull_a/revoke"));
}

#[test]
fn several_organizations_or_environments_are_listed() {
    let several = json!({"data": [{"id": "acme"}, {"id": "umbrella"}]});
    let stub = Stub::refusing(200, several.clone());
    stub.run(&["keys", "list"]).exited(2).says("--org").says("acme, umbrella");
    stub.run(&["keys", "list", "--org", "acme"]).exited(2).says("--env").says("acme, umbrella");
    Stub::refusing(200, json!({"data": []})).run(&["keys", "list"]).exited(3).says("no organization");
}

#[test]
fn named_scopes_are_not_looked_up() {
    let stub = Stub::content();
    // Shared flags stand before or after the subcommand's name.
    stub.run(&["keys", "--org", "acme", "show", "pcull_a", "--env", "production"]).exited(0);
    assert_eq!(stub.asked().len(), 1);
}

#[test]
fn refusals_have_their_exit_codes() {
    let cases =
        [(400, 7), (401, 4), (403, 5), (404, 3), (409, 6), (412, 6), (415, 1), (302, 1), (422, 7), (500, 8), (503, 8)];
    for (status, code) in cases {
        let problem = json!({"title": "No", "detail": "because of it", "code": "some_code"});
        let stub = Stub::refusing(status, problem);
        let ran = stub.run(&["keys", "show", "pcull_a", "--org=acme", "--env=production"]).exited(code);
        assert_eq!(ran.stdout, "");
        ran.says("error: because of it (some_code)");
        // A refusal that is no problem document has the same code.
        let stub = Stub::refusing(status, Value::Null);
        stub.run(&["status"]).exited(code).says(&format!("answered {status}"));
    }
}

#[test]
fn invalid_input_is_shown_field_by_field() {
    let problem = json!({"title": "Invalid", "code": "invalid", "errors": [
        {"pointer": "/allowlist/networks/0", "code": "network_invalid", "message": "`10.0.0.1/8` has host bits; \u{1b}[31mmeant `10.0.0.0/8`?"},
        {"pointer": "/expires_at", "code": "expiry_in_the_past", "message": ""}]});
    let stub = Stub::refusing(422, problem);
    let create = ["keys", "create", "--name=x", "--org=acme", "--env=production"];
    stub.run(&create)
        .exited(7)
        .says("  /allowlist/networks/0: `10.0.0.1/8` has host bits; \\u{1b}[31mmeant `10.0.0.0/8`?\n")
        .says("  /expires_at: expiry_in_the_past\n");
    // One that the detail tells already is not told twice.
    let problem = json!({"detail": "/name: too long", "code": "invalid",
        "errors": [{"pointer": "/name", "code": "name_invalid", "message": "too long"}]});
    let ran = Stub::refusing(422, problem).run(&create).exited(7);
    assert_eq!(ran.stderr, "error: /name: too long (invalid)\n");
}

#[test]
fn a_missing_token_is_told_where_to_find_one() {
    let stub = Stub::refusing(401, json!({"detail": "sign in first", "code": "not_authenticated"}));
    for args in [&["status"][..], &["keys", "list"]] {
        let ran = stub.command(args).ran().exited(4);
        let ran = ran.says("portcullis login").says("PORTCULLIS_TOKEN").says("--token-file").says("--config FILE");
        assert!(!ran.stderr.contains("--org"), "{}", ran.stderr);
    }
    assert!(stub.asked().iter().all(|asked| !asked.head.to_ascii_lowercase().contains("authorization")));
    stub.run(&["status"]).exited(4).says("the token in PORTCULLIS_TOKEN counts no more").says("portcullis login");
    let file = file_with("sesame");
    let path = file.path().to_str().unwrap();
    stub.run(&["status", "--token-file", path]).exited(4).says(&format!("the token in `{path}` counts no more"));
}

#[test]
fn a_configuration_that_is_named_wins_over_an_exported_server() {
    let stub = Stub::refusing(401, json!({"detail": "sign in first", "code": "not_authenticated"}));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("portcullis.toml");
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    std::fs::create_dir_all(folder.path().join("tenants")).unwrap();
    std::fs::write(&config, format!("[listeners.control]\nbind = [\"{}\"]\n", stub.address)).unwrap();
    let status = || {
        let mut command = portcullis(&["status", "--config", config.to_str().unwrap()]);
        command.env("PORTCULLIS_SERVER", "http://127.0.0.1:1").ran().exited(4)
    };
    let ran = status().says("bootstrap-token` is not there").says("portcullis login");
    ran.says(&format!("portcullis members token --operator --config {}", config.display()));
    std::fs::write(folder.path().join("data/bootstrap-token"), "pcullo_x\n").unwrap();
    status().says("bootstrap-token` counts no more");
    assert!(stub.asked()[1].head.to_ascii_lowercase().contains("authorization: bearer pcullo_x\r\n"));
    // Its token goes nowhere else.
    let server = format!("http://{}", stub.address);
    let ran = portcullis(&["status", "--server", &server, "--config", config.to_str().unwrap()]).ran().exited(4);
    assert!(!ran.stderr.contains("bootstrap-token"), "{}", ran.stderr);
    assert!(!stub.asked()[2].head.to_ascii_lowercase().contains("authorization"));
}

#[test]
fn a_token_file_wins_over_the_variable() {
    let stub = Stub::content();
    let file = file_with("from-file\n");
    stub.run(&["status", "--token-file", file.path().to_str().unwrap()]).exited(0);
    assert!(stub.only("GET /v1/status").head.to_ascii_lowercase().contains("authorization: bearer from-file\r\n"));
}

#[test]
fn a_damaged_token_is_not_repeated() {
    let ran = portcullis(&["status"]).env("PORTCULLIS_TOKEN", "sesame\nsesame").ran().exited(2);
    assert!(!ran.says("PORTCULLIS_TOKEN").stderr.contains("sesame"));
}

#[test]
fn nobody_listening_is_unavailable() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{address}");
    portcullis(&["status", "--server", &server]).ran().exited(8).says("cannot reach");
    // A proxy from the environment is not asked instead.
    let mut command = portcullis(&["status", "--server", &server]);
    command.env("http_proxy", format!("http://{}", Stub::content().address)).ran().exited(8);
}

#[test]
fn another_kind_of_server_is_a_failure() {
    let stub = Stub::refusing(200, Value::Null);
    stub.run(&["status"]).exited(1).says("is it a control API?");
}

#[test]
fn status_shows_every_leaf() {
    let stub = Stub::content();
    assert_eq!(stub.run(&["status"]).exited(0).stdout, "tables.revision  7\nversion          0.1.0\n");
    let json: Value = serde_json::from_str(&stub.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(json, json!({"version": "0.1.0", "tables": {"revision": 7}}));
}

#[test]
fn a_server_address_may_have_a_path() {
    let stub = Stub::answering(|_| (200, json!({})));
    stub.run(&["status", "--server", &format!("http://{}/gate/", stub.address)]).exited(0);
    stub.only("GET /gate/v1/status");
}

#[test]
fn no_escape_sequence_leaves_a_pipe_or_no_color() {
    let mut hostile = key();
    hostile["description"] = "\u{1b}[2Jgone\u{202e}".into();
    let stub = Stub::refusing(200, hostile);
    let scope = ["--org=acme", "--env=production"];
    let runs: [&[&str]; 4] = [&["--help"], &["keys", "shew"], &["keys", "list"], &["keys", "show", "pcull_a"]];
    for args in runs {
        let args = if args.len() > 1 { [args, &scope].concat() } else { args.to_vec() };
        for no_color in [None, Some("1")] {
            let mut command = stub.command(&args);
            command.env("PORTCULLIS_TOKEN", "sesame").envs(no_color.map(|value| ("NO_COLOR", value)));
            let ran = command.ran();
            assert!(!ran.stdout.contains(['\u{1b}', '\u{202e}']) && !ran.stderr.contains('\u{1b}'), "{args:?}");
        }
    }
}

#[test]
fn a_token_is_printed_alone() {
    let stub = Stub::refusing(200, json!({"access_token": "abc.def.ghi", "token_type": "Bearer", "expires_in": 3600}));
    let url = format!("http://{}/v1/production/oauth2/token", stub.address);
    let file = file_with(&format!("{SECRET}\n"));
    let path = file.path().to_str().unwrap();
    let ran = portcullis(&["token", "--token-url", &url, "--client-id=pcull_a", "--client-secret-file", path]).ran();
    assert_eq!(ran.exited(0).stdout, "abc.def.ghi\n");
    let asked = stub.only("POST /v1/production/oauth2/token");
    assert_eq!(asked.body, "grant_type=client_credentials");
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("pcull_a:{SECRET}"));
    assert!(asked.head.contains(&format!("Basic {basic}\r\n")), "{}", asked.head);
    assert!(asked.head.to_ascii_lowercase().contains("content-type: application/x-www-form-urlencoded\r\n"));
}

#[test]
fn a_secret_may_come_through_stdin() {
    let stub = Stub::refusing(200, json!({"access_token": "abc"}));
    let url = format!("http://{}/token", stub.address);
    let args = ["token", "--token-url", &url, "--client-id=pcull_a", "--client-secret-file=-", "--scope=a b"];
    let mut child =
        portcullis(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{SECRET}").unwrap();
    assert_eq!(Ran::of(child.wait_with_output().unwrap()).exited(0).stdout, "abc\n");
    assert_eq!(stub.only("POST /token").body, "grant_type=client_credentials&scope=a+b");
}

#[test]
fn oauth_errors_are_told() {
    let cases = [
        (401, json!({"error": "invalid_client", "error_description": "key_expired"}), 4, "invalid_client: key_expired"),
        (400, json!({"error": "invalid_scope"}), 7, "error: invalid_scope"),
        (429, json!({"error": "rate_limited"}), 8, "rate_limited"),
        (404, Value::Null, 3, "answered 404"),
    ];
    for (status, body, code, words) in cases {
        let stub = Stub::refusing(status, body);
        let url = format!("http://{}/token", stub.address);
        let file = file_with(SECRET);
        let path = file.path().to_str().unwrap();
        let args = ["token", "--token-url", &url, "--client-id=pcull_a", "--client-secret-file", path];
        let ran = portcullis(&args).ran().exited(code).says(words);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains(SECRET));
    }
}
