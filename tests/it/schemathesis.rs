//! schemathesis, a program that reads an API's own description and tries to catch it lying: statuses, headers and bodies
//! that the description does not know, invalid requests that are taken, server errors. How it runs is in
//! `tests/tools/schemathesis/schemathesis.toml`; what it sends follows from a seed (`PORTCULLIS_TEST_SEED`).

use crate::process::{Folder, Node, Process};
use crate::tools::{file, python, tool};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Within which a run ends; it takes a second or two an operation.
const LONGEST: Duration = Duration::from_secs(480);
const PERMISSIONS: &str = r#"
"cards:read" = "GET /cards"
"cards:write" = "POST /cards"
[environments.production.presets]
"Read only" = ["cards:read"]
[environments.production.roles]
events = ["cards:read"]
"#;

/// What one run came to.
struct Verdict {
    found_nothing: bool,
    words: String,
}

/// A node that has something of everything.
fn node() -> (Folder, Node) {
    // Nothing is ever asked of this upstream.
    let folder = Folder::new("http://127.0.0.1:9", PERMISSIONS);
    let node = folder.start();
    node.control().create("first", &["cards:read"]).unwrap();
    (folder, node)
}

/// Runs it on a node by this description, a URL or a file, as the operator.
#[track_caller]
fn run(packages: &Path, description: &str, node: &Node) -> Verdict {
    // It leaves folders where it runs.
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut command = python(packages);
    command.args(["-m", "schemathesis.cli", "--no-color", "--config-file"]);
    command.arg(file("tests/tools/schemathesis/schemathesis.toml"));
    command.args(["run", description, "--url", &format!("http://{}", node.control), "--seed", &seed()]);
    command.current_dir(folder.path()).env("CONTROL_TOKEN", node.operator_token()).stdin(Stdio::null());
    let said = folder.path().join("said");
    command.stdout(File::create(&said).unwrap());
    let mut process = Process::spawn(&mut command);
    let status = process.ended(LONGEST);
    eprintln!("schemathesis took {:.1?}", began.elapsed());
    let stdout = std::fs::read_to_string(&said).unwrap();
    let stderr = process.all_of_stderr();
    let words = format!("{stdout}{stderr}");
    assert!(words.contains("Test cases:"), "{status}: {words}");
    assert!(!words.contains(node.operator_token()), "it printed the operator's token");
    Verdict { found_nothing: status.success(), words }
}

#[expect(clippy::disallowed_methods, reason = "to run a failed test again with another seed")]
fn seed() -> String {
    std::env::var("PORTCULLIS_TEST_SEED").unwrap_or_else(|_| "3".to_owned())
}

/// A description of two operations, with the schema of a status' `keys` left to the caller.
fn description(keys: &Value) -> Value {
    let problem =
        json!({"application/problem+json": {"schema": {"type": "object", "required": ["code", "request_id"]}}});
    let status = json!({"type": "object", "required": ["keys", "version"], "properties": {"keys": keys}});
    let refused = json!({"description": "Not signed in", "content": problem});
    let path = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Two operations", "version": "1"},
        "security": [{"bearer": []}],
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/v1/status": {"get": {"responses": {
                "200": {"description": "The node", "content": {"application/json": {"schema": status}}},
                "401": refused,
            }}},
            "/v1/organizations/{org}/environments/{env}/permissions": {"get": {
                "parameters": [path("org"), path("env")],
                "responses": {
                    "200": {"description": "One", "content": {"application/json": {"schema": {"type": "object"}}}},
                    "401": refused,
                    "404": {"description": "None", "content": problem},
                },
            }},
            // Were it asked, the rest of the run would find nobody.
            "/v1/drain": {"post": {"responses": {"202": {"description": "Going"}, "401": refused}}},
        },
    })
}

#[test]
fn a_description_that_is_true_passes_and_one_that_lies_is_found() {
    let Some(packages) = tool("schemathesis") else { return };
    let (folder, node) = node();
    let run_on = |keys: Value| {
        folder.write("description.json", &description(&keys).to_string());
        run(&packages, folder.path("description.json").to_str().unwrap(), &node)
    };
    let truth = run_on(json!({"type": "integer"}));
    assert!(truth.found_nothing, "{}", truth.words);
    let lie = run_on(json!({"type": "string"}));
    assert!(!lie.found_nothing && lie.words.contains("Response violates schema"), "{}", lie.words);
}

/// The description that the node itself serves.
#[test]
fn the_control_api_keeps_to_its_own_description() {
    let Some(packages) = tool("schemathesis") else { return };
    let (_folder, node) = node();
    let description = format!("http://{}/v1/openapi.json", node.control);
    let verdict = run(&packages, &description, &node);
    assert!(verdict.found_nothing, "{}", verdict.words);
    // Whatever it did (it sets policies, among others), the node serves and the operator is who it was.
    node.control().get("/v1/status").unwrap().expect(200);
}
