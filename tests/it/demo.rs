//! `portcullis demo`: what it prints can be pasted, and it is true.

use crate::process::{Api, Key, Process, Wire, portcullis};
use serde_json::{Deserializer, Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// A demo on ports of its own, and the facts it printed.
pub(crate) struct Demo {
    pub(crate) process: Process,
    pub(crate) facts: Value,
}

impl Demo {
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Self {
        let usual =
            ["demo", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json"];
        let mut process = Process::spawn(portcullis(&[&usual, args].concat()).stdout(Stdio::piped()));
        // The object ends where it ends: the demo keeps running and its stdout open.
        let facts = Deserializer::from_reader(process.stdout()).into_iter().next();
        let facts: Value = facts.unwrap_or_else(|| panic!("nothing on stdout:\n{}", process.stderr())).unwrap();
        Self { process, facts }
    }

    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> &str {
        self.facts[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.facts))
    }

    /// A wire to the server of the URL of that name, and the URL's path.
    #[track_caller]
    pub(crate) fn reach(&self, name: &str) -> (Wire, String) {
        let url: http::Uri = self.text(name).parse().unwrap();
        let authority = url.authority().unwrap().as_str();
        let address: SocketAddr = authority.parse().unwrap_or_else(|why| panic!("{name} `{authority}`: {why}"));
        (Wire::new(address, authority), url.path().to_owned())
    }

    fn token(&self) -> String {
        let (mut wire, path) = self.reach("token_url");
        let Key { id, secret } =
            Key { id: self.text("client_id").to_owned(), secret: self.text("client_secret").to_owned() };
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = wire.send("POST", &path, &fields, body.as_bytes()).unwrap().expect(200);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// What one pasted line printed, and the status of the last request it made.
#[derive(Debug)]
struct Pasted {
    printed: String,
    status: u16,
}

/// Pastes lines into one shell, as a person would.
fn paste(lines: &[&str]) -> Vec<Pasted> {
    let home = tempfile::tempdir().unwrap();
    // The lines stay as they are; curl itself tells the status, on stderr.
    std::fs::write(home.path().join(".curlrc"), "write-out = \"%{stderr}<status=%{http_code}>\"\nmax-time = 30\n")
        .unwrap();
    let script: String = lines.iter().map(|line| format!("{line}\necho '<end>'; echo '<end>' >&2\n")).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("CURL_HOME", home.path()).env("NO_PROXY", "*").stdin(Stdio::null());
    let output = shell.output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    eprintln!("{script}--- stdout\n{stdout}\n--- stderr\n{stderr}");
    let each = stdout.split("<end>\n").zip(stderr.split("<end>\n")).take(lines.len());
    each.map(|(printed, said)| {
        let status = said.rsplit_once("<status=").and_then(|(_, rest)| rest.split_once('>'));
        let status = status.and_then(|(code, _)| code.parse().ok()).unwrap_or_else(|| panic!("no status in `{said}`"));
        Pasted { printed: printed.to_owned(), status }
    })
    .collect()
}

#[test]
fn the_three_lines_of_the_demo_do_what_it_says() {
    let demo = Demo::start(&[]);
    let lines = demo.facts["curl"].as_array().unwrap_or_else(|| panic!("no curl lines in {}", demo.facts));
    let lines: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let [token, allowed, refused] = paste(&lines).try_into().unwrap();

    assert_eq!(token.status, 200, "{token:?}");
    let answer = json_in(&token.printed);
    assert!(answer["access_token"].is_string() && answer["token_type"] == "Bearer", "{token:?}");
    assert_eq!(allowed.status, 200, "{allowed:?}");
    json_in(&allowed.printed);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(json_in(&refused.printed)["code"], "permission_missing", "{refused:?}");
}

/// The JSON object or list in what a line printed; headers may stand before it.
#[track_caller]
fn json_in(printed: &str) -> Value {
    let start = printed.find(['{', '[']).unwrap_or_else(|| panic!("no JSON in `{printed}`"));
    let value = Deserializer::from_str(&printed[start..]).into_iter().next();
    value.unwrap().unwrap_or_else(|why| panic!("{why}: `{printed}`"))
}

#[test]
fn the_facts_of_the_demo_are_true() {
    let demo = Demo::start(&[]);
    let (mut control, _) = demo.reach("control_url");
    assert_eq!(control.send("GET", "/v1/status", &[], b"").unwrap().expect(401).status, 401);
    let (mut metrics, path) = demo.reach("metrics_url");
    let path = if path == "/" { "/metrics" } else { path.as_str() };
    let text = metrics.send("GET", path, &[], b"").unwrap().expect(200).text();
    assert!(text.contains("portcullis_build_info"), "{text}");
    let (mut edge, base) = demo.reach("base_url");
    edge.send("GET", &format!("{base}/nothing-here"), &[], b"").unwrap().refused(401, "token_missing");
    assert!(demo.text("token_url").starts_with(demo.text("base_url")), "{}", demo.facts);
}

#[test]
fn a_demo_in_front_of_an_api_of_ones_own_reads_and_does_not_write() {
    let api = Api::start();
    let demo = Demo::start(&["--upstream", &api.url()]);
    let token = format!("Bearer {}", demo.token());
    let authorization = [("Authorization", token.as_str())];
    let (mut edge, base) = demo.reach("base_url");
    for method in ["GET", "HEAD"] {
        edge.send(method, &format!("{base}/some/thing?x=1"), &authorization, b"").unwrap().expect(200);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = edge.send(method, &format!("{base}/some/thing"), &authorization, b"").unwrap();
        let answer = answer.refused(403, "permission_missing");
        assert!(answer.text().contains("api:write"), "{answer}");
    }
    edge.send("GET", &format!("{base}/some/thing"), &[], b"").unwrap().refused(401, "token_missing");
    assert_eq!(api.seen(), ["GET /some/thing?x=1", "HEAD /some/thing?x=1"]);
}

#[test]
fn a_demo_takes_the_document_of_ones_own_api_in_yaml() {
    let api = Api::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("things.yml");
    // Nothing in it only reads, so that the key may do everything.
    std::fs::write(&file, "swagger: \"2.0\"\npaths:\n  /things:\n    post: {operationId: makeThing}\n").unwrap();
    let demo = Demo::start(&["--upstream", &api.url(), "--openapi", file.to_str().unwrap()]);
    let token = format!("Bearer {}", demo.token());
    let authorization = [("Authorization", token.as_str())];
    let (mut edge, base) = demo.reach("base_url");
    edge.send("POST", &format!("{base}/things"), &authorization, b"").unwrap().expect(200);
    edge.send("GET", &format!("{base}/things"), &authorization, b"").unwrap().refused(403, "operation_unknown");
    assert_eq!(api.seen(), ["POST /things"]);
}

#[test]
fn a_demo_ends_with_0_when_told_to() {
    let mut demo = Demo::start(&[]);
    demo.process.signal("INT");
    let status = demo.process.ended(crate::process::PATIENCE);
    assert_eq!(status.code(), Some(0), "{status}\n{}", demo.process.stderr());
}

/// An owner, made and signed in by the control API.
fn make_owner(demo: &Demo) {
    let (mut control, _) = demo.reach("control_url");
    let token = std::fs::read_to_string(demo.text("bootstrap_token_file")).unwrap();
    assert!(demo.text("first_run_url").ends_with(token.trim()), "{}", demo.facts);
    let authorization = format!("Bearer {}", token.trim());
    let json = ("Content-Type", "application/json");
    let body = json!({"email": "ada@example.com", "role": "owner"}).to_string();
    let fields = [("Authorization", authorization.as_str()), json];
    let made = control.send("POST", "/v1/organizations/demo/members", &fields, body.as_bytes()).unwrap().expect(201);
    let shown = json!({"invitation": made.json()["invitation"], "password": "correct horse battery staple"});
    control.send("POST", "/v1/sessions", &[json], shown.to_string().as_bytes()).unwrap().expect(201);
}

/// What it says to people, without `--json`: the link is there once, and nothing of it is in the log.
#[test]
fn a_demo_shows_the_way_into_the_workbench() {
    let anywhere = "127.0.0.1:0";
    let args = ["demo", "--listen", anywhere, "--control", anywhere, "--metrics", anywhere];
    let mut process = Process::spawn(portcullis(&args).stdout(Stdio::piped()));
    let stdout = BufReader::new(process.stdout());
    let mut lines = stdout.lines().map_while(Result::ok).skip_while(|line| !line.contains("  workbench "));
    let [link, words] = [lines.next().unwrap(), lines.next().unwrap()];
    let (at, token) = link.trim().trim_start_matches("workbench").trim().split_once("/first-run?token=").unwrap();
    assert!(at.starts_with("http://127.0.0.1:") && token.starts_with("pcullo_"), "{link}");
    assert_eq!(words.trim(), format!("(once: this link makes the first owner, who then signs in at {at}/sign-in)"));
    let log = process.stderr();
    assert!(!log.contains(token) && log.contains(&format!("{at}/first-run")), "{log}");
}

#[test]
fn a_demo_starts_again_on_its_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["--data-dir", data.to_str().unwrap()];
    let mut links = Vec::new();
    for _ in 0..3 {
        let mut demo = Demo::start(&args);
        assert!(!demo.token().is_empty());
        links.push(demo.text("first_run_url").split_once("?token=").unwrap().1.to_owned());
        demo.process.kill();
    }
    // Nobody has used it, so it is still the way in.
    assert!(links.iter().all(|token| *token == links[0]), "{links:?}");
    let mut demo = Demo::start(&args);
    make_owner(&demo);
    demo.process.kill();
    let demo = Demo::start(&args);
    assert_eq!(demo.facts["first_run_url"], Value::Null, "{}", demo.facts);
    let (mut control, path) = demo.reach("workbench_url");
    assert_eq!(path, "/sign-in");
    control.send("GET", &path, &[], b"").unwrap().expect(200);
}
