//! Environments made through the API: definitions, catalogues, presets and roles, and who may make them.

use super::*;
use portcullis::store::{EnvironmentStore, Feed};
use std::sync::atomic::Ordering;

const STAGING: &str = "/v1/organizations/acme/environments/staging";
const PRODUCTION: &str = "/v1/organizations/acme/environments/production";

fn definition() -> Value {
    json!({
        "base_url": "http://gate.test/staging",
        "upstream": {"url": "http://127.0.0.1:9", "set_headers": {"X-Upstream-Key": "canary-7f3a"}},
        "permissions": {"cards:read": ["GET /cards", "GET /cards/{id}"], "cards:write": "POST /cards"},
        "presets": {"Start": ["cards:read"]},
        "roles": {"events": ["cards:read"]},
    })
}

/// The definition with members in place of its own; null takes one out.
fn with(more: Value) -> Value {
    let mut whole = definition();
    let members = whole.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    whole
}

const DOCUMENT: &str = r#"{"openapi": "3.1.0", "info": {"title": "Cards", "version": "1.4"}, "paths": {
    "/cards": {"get": {"operationId": "listCards"}, "post": {"operationId": "createCard"}},
    "/cards/{id}": {"get": {"operationId": "showCard"}}}}"#;

impl Node {
    fn put(&self, path: &str, body: &Value) -> Answer {
        self.put_text(path, "application/json", &body.to_string())
    }

    fn put_text(&self, path: &str, media_type: &str, body: &str) -> Answer {
        self.send("PUT", path, &[("content-type", media_type)], body)
    }

    fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "")
    }

    fn last_change(&self) -> Revision {
        self.runtime.block_on(self.store.revision()).unwrap()
    }

    /// The rows of acme's log, newest first, without what was before.
    fn actions(&self) -> Vec<String> {
        let rows = self.get("/v1/organizations/acme/audit?limit=100").expect(200);
        let rows = rows["data"].as_array().unwrap().iter();
        rows.map(|row| row["action"].as_str().unwrap().to_owned()).collect()
    }
}

fn made() -> Node {
    let node = Node::start();
    node.put(STAGING, &definition()).expect(201);
    node
}

#[test]
fn an_environment_is_made_shown_and_removed() {
    let node = Node::start();
    let answer = node.put(STAGING, &definition());
    let tag = answer.header("etag").to_owned();
    let made = answer.expect(201);
    assert_eq!((&made["base_url"], &made["managed_by"]), (&json!("http://gate.test/staging"), &json!("api")));
    assert_eq!(tag, format!("\"{}\"", made["revision"]));
    assert_eq!(made["definition"]["permissions"], definition()["permissions"]);
    assert_eq!(made["definition"]["upstream"]["set_headers"], json!({"X-Upstream-Key": null}));
    assert_eq!(node.get(STAGING).expect(200), made);

    let all = node.get("/v1/organizations/acme/environments").expect(200);
    let ids: Vec<&Value> = all["data"].as_array().unwrap().iter().map(|known| &known["id"]).collect();
    assert_eq!(ids, ["production", "staging"]);
    assert_eq!(node.get(&format!("{STAGING}/permissions")).expect(200)["data"].as_array().unwrap().len(), 2);
    let snapshot = node.tables.load_full();
    assert!(snapshot.route("gate.test", b"/staging/cards").is_some());

    node.delete(STAGING).expect_nothing();
    node.get(STAGING).problem(404, "not_found");
    node.delete(STAGING).problem(404, "not_found");
    assert!(
        node.tables
            .load_full()
            .environment(&EnvironmentId { organization: id("acme"), environment: id("staging") })
            .is_none()
    );
    assert_eq!(node.actions(), ["environment.delete", "environment.create"]);
}

#[test]
fn the_same_definition_again_changes_nothing() {
    let node = made();
    let before = (node.last_change(), node.actions());
    let again = node.put(STAGING, &definition()).expect(200);
    // As it is shown, without what is secret.
    let shown = node.put(STAGING, &again["definition"]).expect(200);
    assert_eq!((again, (node.last_change(), node.actions())), (shown, before));
}

#[test]
fn what_is_set_on_upstream_requests_is_shown_to_nobody() {
    let node = made();
    node.put(STAGING, &with(json!({"base_url": "http://gate.test/2"}))).expect(200);
    let other = json!({"url": "http://127.0.0.1:9", "set_headers": {"X-Upstream-Key": "canary-other"}});
    node.put(STAGING, &with(json!({"upstream": other}))).expect(200);
    let odd = json!({"url": "http://127.0.0.1:9", "set_headers": {"X-Upstream-Key": "canary-\u{7f}odd"}});
    let refused = node.put(STAGING, &with(json!({"upstream": odd})));
    for answer in [refused, node.get(STAGING), node.get("/v1/organizations/acme/audit?limit=100")] {
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    let log = node.get("/v1/organizations/acme/audit?limit=100").expect(200);
    assert_eq!(log["data"][0]["after"]["headers_changed"], json!(["X-Upstream-Key"]));
    assert_eq!(log["data"][1]["after"]["headers_changed"], json!([]));
    let id = EnvironmentId { organization: id("acme"), environment: id("staging") };
    let stored = node.runtime.block_on(node.store.environment(&id)).unwrap().unwrap();
    assert!(stored.definition.contains("canary-other") && !format!("{stored:?}").contains("canary"));
    let kept = json!({"url": "http://127.0.0.1:9", "set_headers": {"X-Another": null}});
    let refused = node.put(STAGING, &with(json!({"upstream": kept}))).errors();
    assert_eq!(refused, [("/upstream/set_headers/X-Another".to_owned(), "invalid_type".to_owned())]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let node = Node::start();
    let wrong = json!({"upstream": {"urls": []}, "roles": {"events": ["cards:raed"]}, "keys": [], "openapi": "a.json",
        "permissions": {"cards:read": "GET cards"}, "token_hedder": "x"});
    let mut errors = node.put(STAGING, &wrong).errors();
    errors.sort();
    let expected = [
        ("/base_url", "field_required"),
        ("/keys", "field_elsewhere"),
        ("/openapi", "field_elsewhere"),
        ("/permissions/cards:read", "value_invalid"),
        ("/roles/events/0", "permission_unknown"),
        ("/token_hedder", "field_unknown"),
        ("/upstream/urls", "value_invalid"),
    ];
    assert_eq!(errors, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    for (media_type, body, status, code) in [
        ("application/json", "{\"base_url\":\"http://a\",\"base_url\":\"http://b\"}", 400, "malformed"),
        ("application/json", "[]", 400, "malformed"),
        ("application/json", "{", 400, "malformed"),
        ("text/plain", "{}", 415, "unsupported_media_type"),
    ] {
        node.put_text(STAGING, media_type, body).problem(status, code);
    }
    let deep = format!("{{\"paths\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    node.put_text(STAGING, "application/json", &deep).problem(400, "malformed");
    assert_eq!((node.last_change(), node.actions().len()), (Revision(0), 0));
}

#[test]
fn what_a_file_sets_is_changed_there_alone() {
    let node = made();
    node.put(PRODUCTION, &definition()).problem(409, "managed_by_file");
    node.delete(PRODUCTION).problem(409, "managed_by_file");
    for path in ["/presets/x", "/roles/x"] {
        let path = format!("{PRODUCTION}{path}");
        node.put(&path, &json!({"permissions": ["cards:read"]})).problem(409, "managed_by_file");
        node.delete(&path).problem(409, "managed_by_file");
    }
    node.put(&format!("{PRODUCTION}/catalogue"), &json!({"public": []})).problem(409, "managed_by_file");
    let taken = node.put(STAGING, &with(json!({"base_url": "http://gate.test/v1"}))).problem(409, "base_url_taken");
    let words = taken["detail"].as_str().unwrap();
    assert!(
        words.contains("acme/production") && words.contains("acme/staging") && words.contains("tenant file"),
        "{words}"
    );
    let third = "/v1/organizations/acme/environments/third";
    let taken = node.put(third, &definition()).problem(409, "base_url_taken");
    assert!(taken["detail"].as_str().unwrap().contains("made through this API"), "{taken}");
    node.put("/v1/organizations/nobody/environments/staging", &definition()).problem(404, "not_found");
    node.put("/v1/organizations/made", &json!({})).expect(201);
    let other = with(json!({"base_url": "http://gate.test/made"}));
    node.put("/v1/organizations/made/environments/staging", &other).expect(201);
}

#[test]
fn changes_honour_the_revision_that_the_caller_knows() {
    let node = Node::start();
    let send = |method: &str, path: &str, tag: &str, body: &Value| {
        node.send(method, path, &[("content-type", "application/json"), ("if-match", tag)], &body.to_string())
    };
    send("PUT", STAGING, "\"7\"", &definition()).problem(412, "revision_mismatch");
    let first = node.put(STAGING, &definition()).expect(201)["revision"].as_u64().unwrap();
    let second = with(json!({"public": ["GET /health"]}));
    let tag = format!("\"{first}\"");
    let now = send("PUT", STAGING, &tag, &second).expect(200)["revision"].as_u64().unwrap();
    assert!(now > first);
    send("PUT", STAGING, &tag, &definition()).problem(412, "revision_mismatch");
    let roles = format!("{STAGING}/roles/x");
    send("PUT", &roles, &tag, &json!({"permissions": ["cards:read"]})).problem(412, "revision_mismatch");
    node.send("DELETE", STAGING, &[("if-match", &tag)], "").problem(412, "revision_mismatch");
    node.send("DELETE", STAGING, &[("if-match", &format!("\"{now}\""))], "").expect_nothing();
}

#[test]
fn living_keys_hold_environments_and_roles() {
    let node = made();
    let key = json!({"name": "old", "type": "legacy", "role": "events"});
    let made = node.post(&format!("{STAGING}/keys"), &key).expect(201);
    let refused = node.delete(STAGING).problem(409, "environment_in_use");
    assert!(refused["detail"].as_str().unwrap().starts_with("1 living key"), "{refused}");
    let refused = node.delete(&format!("{STAGING}/roles/events")).problem(409, "role_in_use");
    assert!(refused["detail"].as_str().unwrap().contains("`events`"), "{refused}");
    node.put(STAGING, &with(json!({"roles": null}))).problem(409, "role_in_use");
    let id = made["client_id"].as_str().unwrap();
    node.post(&format!("{STAGING}/keys/{id}/revoke"), &json!({})).expect(200);
    node.delete(&format!("{STAGING}/roles/events")).expect_nothing();
    node.get(&format!("{STAGING}/roles/events")).problem(404, "not_found");
    node.delete(STAGING).expect_nothing();
}

#[test]
fn presets_and_roles_come_and_go() {
    let node = made();
    for (list, noun) in [("presets", "preset"), ("roles", "role")] {
        let path = format!("{STAGING}/{list}/every%2Fday");
        let answer = node.put(&path, &json!({"permissions": ["cards:read"]}));
        assert!(!answer.header("etag").is_empty());
        assert_eq!(answer.expect(201), json!({"name": "every/day", "permissions": ["cards:read"]}));
        let before = node.last_change();
        node.put(&path, &json!({"permissions": ["cards:read"]})).expect(200);
        assert_eq!(node.last_change(), before, "the same again");
        node.put(&path, &json!({"permissions": ["cards:read", "cards:write"]})).expect(200);
        assert_eq!(node.get(&path).expect(200)["permissions"], json!(["cards:read", "cards:write"]));
        assert!(node.get(STAGING).text.contains("every/day"), "it is part of the definition");
        for (body, pointer, code) in [
            (json!({"permissions": ["cards:raed"]}), "/permissions/0", "permission_unknown"),
            (json!({"permissions": []}), "/permissions", "permission_required"),
            (json!({}), "/permissions", "field_required"),
            (json!({"permissions": [7]}), "/permissions/0", "invalid_type"),
            (json!({"permissions": ["cards:read"], "name": "x"}), "/name", "field_immutable"),
        ] {
            let errors = node.put(&path, &body).errors();
            assert_eq!(errors, [(pointer.to_owned(), code.to_owned())], "{body}");
        }
        node.delete(&path).expect_nothing();
        node.delete(&path).problem(404, "not_found");
        assert_eq!(node.actions()[..3], [format!("{noun}.remove"), format!("{noun}.set"), format!("{noun}.set")]);
    }
    node.put(&format!("{STAGING}/roles/%00"), &json!({"permissions": ["cards:read"]})).problem(422, "invalid");
    node.put("/v1/organizations/acme/environments/none/roles/x", &json!({"permissions": ["a"]}))
        .problem(404, "not_found");
}

#[test]
fn lists_that_are_longer_than_any_sound_one_are_refused() {
    let node = made();
    let path = format!("{STAGING}/roles/x");
    let list = |length: usize| json!({"permissions": vec!["cards:read"; length]});
    assert_eq!(node.put(&path, &list(10_001)).errors(), [("/permissions".to_owned(), "value_invalid".to_owned())]);
    let errors = node.put(&path, &list(10_000)).errors();
    assert_eq!((errors.len(), errors[0].0.as_str()), (100, "/permissions/1"));
}

#[test]
fn an_organization_does_not_fill_the_line_of_those_who_change_something() {
    let node = made();
    let (_, admin) = node.member("acme", "ada", "admin");
    let turn = node.runtime.block_on(node.tables.change_world());
    let set = |at: usize| {
        let body = json!({"permissions": ["cards:read"]}).to_string();
        node.send_as(&admin, "PUT", &format!("{STAGING}/roles/x{at}"), &body)
    };
    let (done, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for at in 0..4 {
            let (done, set) = (done.clone(), &set);
            scope.spawn(move || done.send(set(at)).unwrap());
        }
        let first = answers.recv_timeout(Duration::from_secs(20));
        drop(turn);
        first.unwrap().problem(503, "unavailable");
        (0..3).for_each(|_| drop(answers.recv().unwrap().expect(201)));
    });
    set(9).expect(201);
}

#[test]
fn built_in_presets_are_there_unless_one_of_their_name_is_set() {
    let node = made();
    let path = format!("{STAGING}/presets/Everything");
    let all = json!(["cards:read", "cards:write"]);
    assert_eq!(node.get(&path).expect(200)["permissions"], all);
    node.delete(&path).problem(409, "preset_built_in");
    node.put(&path, &json!({"permissions": ["cards:read"]})).expect(201);
    assert_eq!(node.get(&path).expect(200)["permissions"], json!(["cards:read"]));
    node.delete(&path).expect_nothing();
    assert_eq!(node.get(&path).expect(200)["permissions"], all);
}

#[test]
fn a_document_is_the_catalogue() {
    let node = Node::start();
    let bare = with(json!({"permissions": null, "presets": null, "roles": null}));
    node.put(STAGING, &bare).expect(201);
    let catalogue = format!("{STAGING}/catalogue");
    let replaced = node.put_text(&catalogue, "application/json", DOCUMENT).expect(200);
    assert_eq!((&replaced["operations"], &replaced["permissions"]), (&json!(3), &json!(3)));
    assert_eq!((&replaced["report"]["title"], &replaced["report"]["operations"]), (&json!("Cards"), &json!(3)));
    assert_eq!(replaced["document"].as_str().unwrap().len(), 64);
    let before = node.last_change();
    assert_eq!(node.put_text(&catalogue, "application/json", DOCUMENT).expect(200), replaced);
    assert_eq!(node.last_change(), before, "the same again");
    // The definition anew keeps the document; roles can name its permissions now.
    let with_roles = with(json!({"permissions": null, "presets": null, "roles": {"events": ["listCards"]}}));
    node.put(STAGING, &with_roles).expect(200);
    assert_eq!(node.get(&format!("{STAGING}/permissions")).expect(200)["data"].as_array().unwrap().len(), 3);

    let yaml =
        "openapi: 3.1.0\ninfo: {title: Cards, version: '2'}\npaths:\n  /cards:\n    get: {operationId: listCards}\n";
    let replaced = node.put_text(&catalogue, "application/yaml", yaml).expect(200);
    assert_eq!((&replaced["operations"], &replaced["report"]["version"]), (&json!(1), &json!("2")));
    let broken = node.put_text(&catalogue, "application/yaml", &yaml.replace("listCards", "showCards"));
    let broken = broken.problem(422, "invalid");
    assert_eq!(broken["errors"][0]["code"], "role_broken");
    assert!(broken["errors"][0]["message"].as_str().unwrap().contains("`events`"), "{broken}");

    let written = json!({"permissions": {"listCards": "GET /cards"}, "public": ["GET /health"]});
    let replaced = node.put(&catalogue, &written).expect(200);
    assert_eq!((&replaced["document"], &replaced["report"]), (&Value::Null, &Value::Null));
    assert_eq!(node.actions().iter().filter(|action| *action == "catalogue.replace").count(), 3);
}

#[test]
fn catalogues_that_cannot_be_read_are_refused() {
    let node = made();
    let catalogue = format!("{STAGING}/catalogue");
    let before = node.last_change();
    for (media_type, body, status, code) in [
        ("application/json", "", 400, "malformed"),
        ("text/html", DOCUMENT, 415, "unsupported_media_type"),
        ("application/json", "{\"openapi\": \"3.1.0\", \"paths\": {", 422, "invalid"),
        ("application/yaml", "openapi: [", 422, "invalid"),
        ("application/vnd.oai.openapi+json", "{\"permissions\": {}}", 422, "invalid"),
        ("application/json", "{\"permisions\": {}}", 422, "invalid"),
        ("application/json", "{\"permissions\": {\"a\": \"GET cards\"}}", 422, "invalid"),
        ("application/json", "{\"openapi\": \"1.0\", \"paths\": {}}", 422, "invalid"),
    ] {
        node.put_text(&catalogue, media_type, body).problem(status, code);
    }
    let broken = node.put_text(&catalogue, "application/yaml", "openapi: [").errors();
    assert_eq!(broken, [(String::new(), "openapi_invalid".to_owned())]);
    let long = "x".repeat(32 * 1024 * 1024 + 1);
    assert_eq!(node.put_text(&catalogue, "application/yaml", &long).status, 413);
    assert_eq!(node.last_change(), before);
}

#[test]
fn a_store_that_fails_changes_nothing() {
    let node = made();
    node.store.read_only.store(true, Ordering::SeqCst);
    node.put(STAGING, &with(json!({"base_url": "http://gate.test/2"}))).problem(503, "unavailable");
    node.delete(STAGING).problem(503, "unavailable");
    node.store.read_only.store(false, Ordering::SeqCst);
    let snapshot = node.tables.load_full();
    assert!(snapshot.route("gate.test", b"/staging/x").is_some() && snapshot.route("gate.test", b"/2/x").is_none());
}

#[test]
fn no_key_is_made_in_what_another_process_took_away() {
    let node = made();
    let staging = EnvironmentId { organization: id("acme"), environment: id("staging") };
    let file = node.folder.path().join("portcullis.db");
    let beside = node.runtime.block_on(SqliteStore::open(&file)).unwrap();
    let keys = format!("{STAGING}/keys");
    let legacy = |name: &str| json!({"name": name, "type": "legacy", "role": "events"});
    let made = node.post(&keys, &legacy("first")).expect(201);
    node.post(&format!("{keys}/{}/revoke", made["client_id"].as_str().unwrap()), &json!({})).expect(200);
    let current = node.runtime.block_on(beside.environment(&staging)).unwrap().unwrap();
    let entry = portcullis::model::AuditEntry {
        organization: Some(id("acme")),
        environment: None,
        action: "environment.edit",
        target: None,
        before: None,
        after: None,
        code: None,
        count: 1,
    };
    let write = portcullis::store::EnvironmentWrite {
        id: staging.clone(),
        definition: current.definition.replace("events", "others"),
        document: portcullis::store::DocumentChange::Keep,
        of_store: false,
        roles_gone: vec!["events".to_owned()],
        entry: entry.clone(),
    };
    let judged = portcullis::store::Judged::At(current.revision);
    node.runtime.block_on(beside.write_environment(&write, judged, &act())).unwrap();
    node.post(&keys, &legacy("second")).problem(503, "unavailable");
    node.runtime.block_on(beside.remove_environment(&staging, None, &entry, &act())).unwrap();
    node.post(&keys, &json!({"name": "third", "permissions": ["cards:read"]})).problem(503, "unavailable");
    node.create(json!({"name": "in a file's"})).expect(201);
}

#[test]
fn another_process_is_followed() {
    let node = made();
    let staging = EnvironmentId { organization: id("acme"), environment: id("staging") };
    let follow = |revision: Revision| node.runtime.block_on(node.control.follow_environment(&staging, revision));
    let routed = |path: &[u8]| node.tables.load_full().route("gate.test", path).is_some();
    // Another node on the same store.
    let file = node.folder.path().join("portcullis.db");
    let beside: Arc<dyn Store> = Arc::new(node.runtime.block_on(SqliteStore::open(&file)).unwrap());
    let current = node.runtime.block_on(beside.environment(&staging)).unwrap().unwrap();
    let write = portcullis::store::EnvironmentWrite {
        id: staging.clone(),
        definition: current.definition.replace("gate.test/staging", "gate.test/moved"),
        document: portcullis::store::DocumentChange::Keep,
        of_store: false,
        roles_gone: vec![],
        entry: portcullis::model::AuditEntry {
            organization: Some(id("acme")),
            environment: None,
            action: "environment.edit",
            target: None,
            before: None,
            after: None,
            code: None,
            count: 1,
        },
    };
    let judged = portcullis::store::Judged::At(current.revision);
    let moved = node.runtime.block_on(beside.write_environment(&write, judged, &act())).unwrap();
    follow(current.revision).unwrap();
    assert!(routed(b"/staging/x"), "its own change is not shown again");
    follow(moved.revision).unwrap();
    assert!(routed(b"/moved/x") && !routed(b"/staging/x"));
    let act = act();
    let removed = beside.remove_environment(&staging, None, &write.entry, &act);
    let removed = node.runtime.block_on(removed).unwrap();
    follow(removed).unwrap();
    assert!(!routed(b"/moved/x"));
}
