//! What operators make through the control API of a running node, from the organization to the call that goes through:
//! it is decided by at once, and it is there after a restart and after a kill.

use crate::process::{Answer, Api, Control, Folder, Key, Node, PATIENCE, Process, Wire};
use portcullis::model::{Act, Actor, AuditEntry, EnvironmentId, Identifier, Timestamp};
use portcullis::store::{DocumentChange, EnvironmentStore, EnvironmentWrite, Judged, SqliteStore};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const PERMISSIONS: &str = r#""cards:read" = ["GET /cards"]"#;
const MADE: &str = "/v1/organizations/made/environments/live";
/// So many are made one after the other.
const MANY: usize = 1000;

/// Stripe's own document, where it is there.
fn stripe() -> Option<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openapi/stripe.json");
    if !file.is_file() {
        eprintln!("skipped: `{}` is not here", file.display());
        return None;
    }
    Some(std::fs::read_to_string(file).unwrap())
}

fn definition(upstream: &str, path: &str) -> Value {
    json!({
        "base_url": format!("http://gate.test/{path}"),
        "upstream": {"url": upstream, "set_headers": {"X-Upstream-Key": "canary-2c9e"}},
    })
}

/// A node with an organization that a file describes and one that was made, and an environment in that one.
fn made(api: &Api) -> (Folder, Node) {
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let node = folder.start();
    let mut control = node.control();
    put(&mut control, "/v1/organizations/made", &json!({"name": "Made"})).expect(201);
    put(&mut control, MADE, &definition(&api.url(), "made")).expect(201);
    (folder, node)
}

fn put(control: &mut Control, target: &str, body: &Value) -> Answer {
    control.send("PUT", target, body).unwrap()
}

fn new_key(control: &mut Control, environment: &str, body: &Value) -> Key {
    Key::of(&control.post(&format!("{environment}/keys"), body).unwrap().expect(201).json())
}

#[track_caller]
fn token(edge: &mut Wire, base: &str, key: &Key) -> String {
    let Key { id, secret } = key;
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let fields = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = edge.send("POST", &format!("{base}/oauth2/token"), &fields, body.as_bytes()).unwrap();
    answer.expect(200).json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn from_an_organization_to_a_call_and_back() {
    let Some(document) = stripe() else { return };
    let api = Api::start();
    let (_folder, node) = made(&api);
    let (mut control, mut edge) = (node.control(), node.edge());
    let catalogue = format!("{MADE}/catalogue");
    let replaced = control.send_bytes("PUT", &catalogue, document.as_bytes()).unwrap().expect(200).json();
    assert_eq!((&replaced["operations"], &replaced["report"]["operations"]), (&json!(452), &json!(452)));

    let role = format!("{MADE}/roles/readers");
    put(&mut control, &role, &json!({"permissions": ["GetCharges", "GetCustomers"]})).expect(201);
    let legacy = new_key(&mut control, MADE, &json!({"name": "old", "type": "legacy", "role": "readers"}));
    let fine = new_key(&mut control, MADE, &json!({"name": "new", "permissions": ["GetCharges"]}));
    let [old, new] = [&legacy, &fine].map(|key| token(&mut edge, "/made", key));
    edge.get("/made/v1/charges", &new).expect(200);
    edge.get("/made/v1/customers", &old).expect(200);
    edge.get("/made/v1/customers", &new).refused(403, "permission_missing");
    assert_eq!(api.seen(), ["GET /v1/charges", "GET /v1/customers"]);

    // The first request after the answer is decided by the new role, and by the new catalogue.
    put(&mut control, &role, &json!({"permissions": ["GetCharges"]})).expect(200);
    edge.get("/made/v1/customers", &old).refused(403, "permission_missing");
    let small = json!({"permissions": {"GetCharges": "GET /v1/charges", "GetCards": "GET /v1/cards"}});
    put(&mut control, &catalogue, &small).expect(200);
    edge.get("/made/v1/customers", &old).refused(403, "operation_unknown");
    edge.get("/made/v1/charges", &old).expect(200);
    let without = json!({"permissions": {"GetCards": "GET /v1/cards"}});
    let refused = put(&mut control, &catalogue, &without).expect(422).json();
    assert_eq!(refused["errors"][0]["code"], "role_broken");

    control.send("DELETE", MADE, &Value::Null).unwrap().expect(409);
    for key in [&legacy, &fine] {
        control.post(&format!("{MADE}/keys/{}/revoke", key.id), &json!({})).unwrap().expect(200);
    }
    control.send("DELETE", MADE, &Value::Null).unwrap().expect(204);
    edge.get("/made/v1/charges", &new).expect(404);
    assert!(!node.process.stderr().contains("canary"), "{}", node.process.stderr());
}

#[test]
fn what_was_answered_is_there_after_a_kill_and_after_a_restart() {
    let api = Api::start();
    let (folder, mut node) = made(&api);
    let mut control = node.control();
    let document = json!({"openapi": "3.1.0", "info": {"title": "T", "version": "1"},
        "paths": {"/cards": {"get": {"operationId": "listCards"}}}});
    put(&mut control, &format!("{MADE}/catalogue"), &document).expect(200);
    let key = new_key(&mut control, MADE, &json!({"name": "a", "permissions": ["listCards"]}));
    let kept = token(&mut node.edge(), "/made", &key);
    put(&mut control, &format!("{MADE}/roles/last"), &json!({"permissions": ["listCards"]})).expect(201);
    node.process.kill();

    let mut node = folder.start();
    node.edge().get("/made/cards", &kept).expect(200);
    let shown = node.control().get(MADE).unwrap().expect(200).json();
    assert_eq!(shown["definition"]["roles"], json!({"last": ["listCards"]}));
    node.process.signal("TERM");
    node.process.ended(PATIENCE);
    let node = folder.start();
    node.edge().get("/made/cards", &kept).expect(200);
    assert!(!node.process.stderr().contains("canary"));
}

#[test]
fn another_process_on_the_same_store_follows() {
    let api = Api::start();
    let (folder, node) = made(&api);
    let beside = folder.start();
    let mut control = node.control();
    let key = new_key(&mut control, MADE, &json!({"name": "a", "permissions": ["api:read"]}));
    let kept = token(&mut node.edge(), "/made", &key);
    let eventually = |target: &str, status: u16| {
        let began = Instant::now();
        loop {
            let answer = beside.edge().get(target, &kept);
            if answer.status == status {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    eventually("/made/x", 200);
    put(&mut control, MADE, &json!({"base_url": "http://gate.test/moved", "upstream": api.url()})).expect(200);
    eventually("/made/x", 404);
    // The token is of the base URL before.
    eventually("/moved/x", 401);
    control.post(&format!("{MADE}/keys/{}/revoke", key.id), &json!({})).unwrap().expect(200);
    control.send("DELETE", MADE, &Value::Null).unwrap().expect(204);
    eventually("/moved/x", 404);
}

/// What a later version might find: something that this one refuses.
fn spoil(folder: &Folder) {
    let parse = |text| Identifier::parse(text).unwrap();
    let id = EnvironmentId { organization: parse("made"), environment: parse("live") };
    let entry = AuditEntry {
        organization: None,
        environment: None,
        action: "environment.edit",
        target: None,
        before: None,
        after: None,
        code: None,
        count: 1,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&folder.path("data/portcullis.db")).await.unwrap();
        let current = store.environment(&id).await.unwrap().unwrap();
        let write = EnvironmentWrite {
            id,
            definition: "{\"base_url\":\"http://gate.test/made\",\"upstreams\":[]}".to_owned(),
            document: DocumentChange::Keep,
            of_store: true,
            roles_gone: vec![],
            entry,
        };
        let act = Act::of(Actor::Operator, Timestamp::from_unix(0));
        store.write_environment(&write, Judged::At(current.revision), &act).await.unwrap();
        store.close().await;
    });
}

#[test]
fn a_definition_that_is_refused_keeps_what_was_there() {
    let api = Api::start();
    let (folder, mut node) = made(&api);
    spoil(&folder);
    node.process.line_with("environment `made/live` has changed in the store and cannot be shown");
    node.edge().send("GET", "/made/x", &[], b"").unwrap().refused(401, "token_missing");
    let refused = node.control().post("/v1/reload", &json!({})).unwrap().expect(422).text();
    assert!(refused.contains("made/live") && refused.contains("/upstreams"), "{refused}");
    node.edge().send("GET", "/made/x", &[], b"").unwrap().refused(401, "token_missing");
    node.process.kill();
    let mut process = Process::spawn(folder.command("serve").stdout(Stdio::null()));
    assert!(!process.ended(PATIENCE).success());
    let words = process.all_of_stderr();
    assert!(words.contains("made/live") && words.contains("/upstream: `upstream` is missing"), "{words}");
}

#[test]
fn a_file_that_names_the_same_environment_wins() {
    let api = Api::start();
    let (folder, node) = made(&api);
    let mut control = node.control();
    let file = |base: &str| {
        format!(
            "[organization]\nid = \"made\"\n[environments.live]\nbase_url = \"http://gate.test/{base}\"\nupstream = \
             \"{}\"\n",
            api.url()
        )
    };
    folder.write("tenants/made.toml", &file("filed"));
    control.post("/v1/reload", &json!({})).unwrap().expect(200);
    let shown = control.get(MADE).unwrap().expect(200).json();
    assert_eq!((&shown["managed_by"], &shown["base_url"]), (&json!("file"), &json!("http://gate.test/filed")));
    node.process.line_with("the file wins");
    put(&mut control, MADE, &definition(&api.url(), "made")).expect(409);

    // The same base URL under another name is in the way, and both are named.
    folder.write("tenants/made.toml", &file("made").replace("environments.live", "environments.other"));
    let refused = control.post("/v1/reload", &json!({})).unwrap().expect(422).text();
    assert!(refused.contains("made/live") && refused.contains("made/other"), "{refused}");
    std::fs::remove_file(folder.path("tenants/made.toml")).unwrap();
    control.post("/v1/reload", &json!({})).unwrap().expect(200);
    let shown = control.get(MADE).unwrap().expect(200).json();
    assert_eq!((&shown["managed_by"], &shown["base_url"]), (&json!("api"), &json!("http://gate.test/made")));
}

#[test]
fn a_thousand_environments_are_made_one_after_the_other() {
    let api = Api::start();
    let (folder, mut node) = made(&api);
    let mut control = node.control();
    let began = Instant::now();
    let mut halves = [began.elapsed(); 2];
    for at in 0..MANY {
        let target = format!("/v1/organizations/made/environments/e{at}");
        put(&mut control, &target, &definition(&api.url(), &format!("e{at}"))).expect(201);
        if at + 1 == MANY / 2 {
            halves[0] = began.elapsed();
        }
    }
    halves[1] = began.elapsed() - halves[0];
    eprintln!("{MANY} environments: the first half in {:.2?}, the second in {:.2?}", halves[0], halves[1]);
    let last = format!("/v1/organizations/made/environments/e{}", MANY - 1);
    let key = new_key(&mut control, &last, &json!({"name": "a", "permissions": ["api:read"]}));
    let base = format!("/e{}", MANY - 1);
    let kept = token(&mut node.edge(), &base, &key);
    node.process.kill();
    let node = folder.start();
    eprintln!("a start with them took {:.2?}", node.start_took);
    node.edge().get(&format!("{base}/x"), &kept).expect(200);
    let all = node.control().get("/v1/organizations/made/environments").unwrap().expect(200).json();
    assert_eq!(all["data"].as_array().unwrap().len(), MANY + 1);
}
