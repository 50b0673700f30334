//! What a changed document would mean, and what keys hold that nothing knows.

use super::*;
use portcullis::catalogue::openapi;
use portcullis::control::{Asking, Caller};
use portcullis::store::Feed;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Instant;

const DIFF: &str = "/v1/organizations/acme/environments/production/catalogue/diff";
const DRIFT: &str = "/v1/organizations/acme/environments/production/drift";

const BEFORE: &str = r#"{"openapi": "3.1.0", "paths": {
    "/cards": {"get": {"operationId": "listCards"}, "post": {"operationId": "createCard"}},
    "/cards/{id}": {"get": {"operationId": "showCard"}, "delete": {"x-portcullis-permission": "cards:remove"}}}}"#;
/// The paths of [`BEFORE`] below `/v2`, in another order, with one operation less, and one more under an old permission.
const AFTER: &str = "openapi: 3.1.0\npaths:\n  /cards/{card}:\n    get: {operationId: showCard}\n    delete: \
    {x-portcullis-permission: cards:remove}\n    put: {operationId: replaceCard}\n  /trash:\n    delete: \
    {x-portcullis-permission: cards:remove}\n  /all:\n    get: {operationId: listCards}\n";

/// An environment of the document, with a permission, a preset, a role and a key of its own.
fn of_document(prefix: &str) -> Organization {
    let imported = openapi::import(BEFORE.as_bytes(), prefix).unwrap();
    let own = permission("own:ping", "GET /ping");
    let declared_key = ApiKey {
        kind: KeyKind::FineGrained { permissions: names(&["createCard"]) },
        ..declared("pcull_declared", "declared")
    };
    let environment = Environment {
        permissions: imported.permissions.iter().cloned().chain([own]).collect(),
        report: Some(imported.report),
        presets: vec![Preset { name: "Write".into(), permissions: names(&["createCard", "own:ping"]) }],
        roles: vec![Role { name: "events".into(), permissions: names(&["listCards", "createCard"]) }],
        keys: vec![declared_key],
        ..environment()
    };
    Organization { environments: vec![environment], ..acme() }
}

impl Node {
    fn compare(&self, media_type: &str, document: &str) -> Answer {
        self.send("POST", DIFF, &[("content-type", media_type)], document)
    }
}

/// Status of what is answered to a document of which the head alone was sent; 0 where there is no answer in time.
fn asked_to_send(node: &Node, token: &str, kept: &mut Vec<TcpStream>) -> u16 {
    let mut caller = TcpStream::connect(node.address).unwrap();
    write!(caller, "POST {DIFF} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 9\r\n\r\n{{")
        .unwrap();
    caller.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let mut start = [0; 12];
    let answered = caller.read_exact(&mut start).is_ok();
    kept.push(caller);
    if answered { std::str::from_utf8(&start[9..]).unwrap().parse().unwrap() } else { 0 }
}

#[test]
fn few_documents_are_taken_in_at_once_and_only_from_those_who_may_send_them() {
    let node = Node::of(vec![of_document(""), Organization { id: id("other"), environments: vec![], ..acme() }]);
    let (_, stranger) = node.member("other", "eve", "admin");
    let (_, viewer) = node.member("acme", "ada", "viewer");
    let kept = &mut vec![];
    assert_eq!(asked_to_send(&node, &stranger, kept), 404);
    for status in [0, 0, 503] {
        assert_eq!(asked_to_send(&node, &viewer, kept), status);
    }
    node.send_as(&viewer, "POST", DIFF, BEFORE).problem(503, "unavailable");
    node.compare("application/json", BEFORE).expect(200);
    kept.clear();
    for _ in 0..100 {
        if node.send_as(&viewer, "POST", DIFF, BEFORE).status == 200 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("who hangs up keeps no room");
}

#[test]
fn who_hangs_up_leaves_their_turn_to_the_work() {
    let node = Node::with(of_document(""));
    node.store.delay.store(1500, Ordering::SeqCst);
    let started = Instant::now();
    node.runtime.block_on(async {
        let operator = Asking { caller: Caller::Operator, act: act() };
        let place = production();
        for _ in 0..2 {
            let given_up = tokio::time::timeout(Duration::from_millis(50), node.control.drift(&operator, &place));
            assert!(given_up.await.is_err());
        }
        node.control.drift(&operator, &place).await.unwrap();
    });
    assert!(started.elapsed() >= Duration::from_millis(3000), "the third waits for the first");
}

#[test]
fn a_document_that_says_the_same_changes_nothing() {
    for prefix in ["", "/2.0"] {
        let node = Node::with(of_document(prefix));
        let diff = node.compare("application/json", BEFORE).expect(200);
        for (list, entries) in diff.as_object().unwrap().iter().filter(|(name, _)| *name != "report") {
            assert_eq!(*entries, json!([]), "{list}");
        }
        assert_eq!(diff["report"]["operations"], 4);
    }
}

#[test]
fn what_would_change_is_told_and_nothing_does() {
    let node = Node::with(of_document(""));
    node.create(json!({"name": "creator", "permissions": ["createCard", "showCard"]})).expect(201);
    node.create(json!({"name": "remover", "permissions": ["cards:remove"]})).expect(201);
    let revoked = node.create(json!({"name": "revoked", "permissions": ["createCard"]})).expect(201);
    node.post(&format!("{KEYS}/{}/revoke", revoked["client_id"].as_str().unwrap()), &json!({})).expect(200);
    let revision = node.runtime.block_on(node.store.revision()).unwrap();

    let diff = node.compare("application/yaml", AFTER).expect(200);
    assert_eq!(
        diff["operations_added"],
        json!([
            {"operation": "DELETE /trash", "method": "DELETE", "path": "/trash", "permission": "cards:remove"},
            {"operation": "replaceCard", "method": "PUT", "path": "/cards/{card}", "permission": "replaceCard"},
        ]),
        "{diff:#}"
    );
    let removed = json!([{"operation": "createCard", "method": "POST", "path": "/cards", "permission": "createCard"}]);
    assert_eq!(diff["operations_removed"], removed);
    let moved = json!([{"operation": "listCards", "method": "GET", "path": "/all", "method_before": "GET",
        "path_before": "/cards", "permission": "listCards"}]);
    assert_eq!(diff["operations_moved"], moved);
    assert_eq!(diff["permissions_added"], json!(["replaceCard"]));
    let [gone] = diff["permissions_removed"].as_array().unwrap().as_slice() else { panic!("{diff:#}") };
    assert_eq!((&gone["permission"], &gone["key_count"]), (&json!("createCard"), &json!(2)));
    let named: Vec<&str> = gone["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(named, ["declared", "creator"]);
    let widened = diff["permissions_widened"].as_array().unwrap();
    let widened: Vec<_> = widened.iter().map(|one| (one["permission"].as_str().unwrap(), &one["key_count"])).collect();
    assert_eq!(widened, [("cards:remove", &json!(1)), ("listCards", &json!(0))]);
    assert_eq!(diff["roles_broken"], json!([{"role": "events", "permissions": ["createCard"]}]));
    assert_eq!(diff["presets_broken"], json!([{"preset": "Write", "permissions": ["createCard"]}]));

    assert_eq!(node.runtime.block_on(node.store.revision()).unwrap(), revision);
    assert_eq!(
        node.get(&format!("{}/permissions", DRIFT.trim_end_matches("/drift"))).expect(200)["data"][0]["name"],
        "listCards"
    );
}

#[test]
fn twenty_keys_are_named_and_all_are_counted() {
    let node = Node::with(of_document(""));
    for number in 0..22 {
        node.create(json!({"name": format!("key {number}"), "permissions": ["createCard"]})).expect(201);
    }
    let diff = node.compare("application/yaml", AFTER).expect(200);
    let gone = &diff["permissions_removed"][0];
    assert_eq!((&gone["key_count"], gone["keys"].as_array().unwrap().len()), (&json!(23), 20));
}

#[test]
fn what_is_no_document_is_refused_with_the_reason() {
    let node = Node::with(of_document(""));
    for (media_type, document, code) in [
        ("application/json", "{}", "document_invalid"),
        ("application/json", "{\"openapi\": \"3.1.0\", ", "document_invalid"),
        ("application/yaml", "openapi: 3.1.0\npaths: [", "document_invalid"),
        ("application/yaml", "openapi: 4.0.0\npaths: {}", "document_invalid"),
    ] {
        let errors = node.compare(media_type, document).errors();
        assert_eq!(errors, [(String::new(), code.to_owned())], "{document}");
    }
    node.compare("text/html", BEFORE).problem(415, "unsupported_media_type");
    node.compare("application/json", "").problem(400, "malformed");
    node.send("POST", &DIFF.replace("production", "nowhere"), &[("content-type", "application/json")], BEFORE)
        .problem(404, "not_found");
}

#[test]
fn a_long_document_is_compared_and_one_that_is_too_long_is_not() {
    let node = Node::with(of_document(""));
    let of_length = |length: usize| format!("{BEFORE}{}", " ".repeat(length - BEFORE.len()));
    let most = 32 * 1024 * 1024;
    node.compare("application/json", &of_length(most)).expect(200);
    node.compare("application/json", &of_length(most + 1)).problem(413, "body_too_large");
}

#[test]
fn what_is_held_and_not_known_is_told() {
    let node = Node::with(of_document(""));
    node.create(json!({"name": "both", "permissions": ["createCard", "showCard"]})).expect(201);
    node.create(json!({"name": "manager", "permissions": ["showCard", "portcullis:keys:view"]})).expect(201);
    let legacy = json!({"name": "old", "type": "legacy", "role": "events"});
    node.post(KEYS, &legacy).expect(201);
    assert_eq!(node.get(DRIFT).expect(200), json!({"data": [], "next_cursor": null}));
    node.reload(vec![acme()]);
    let drift = node.get(DRIFT).expect(200);
    let told = |row: &Value| (row["permission"].clone(), row["role"].clone(), row["key_count"].clone());
    let rows: Vec<_> = drift["data"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        rows,
        [(json!("createCard"), Value::Null, json!(1)), (json!("showCard"), Value::Null, json!(2))],
        "{drift:#}"
    );
    let without_roles = Environment { roles: vec![], ..environment() };
    node.reload(vec![Organization { environments: vec![without_roles], ..acme() }]);
    let drift = node.get(DRIFT).expect(200);
    let last = drift["data"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["role"], &last["permission"]), (&json!("events"), &Value::Null));
    assert_eq!(last["keys"][0]["name"], "old");
}

#[test]
fn whoever_sees_the_environment_may_compare() {
    let node = Node::with(of_document(""));
    let (_, viewer) = node.member("acme", "viewer", "viewer");
    let (_, none) = node.member("acme", "none", "none");
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        node.send_bare("POST", DIFF, &[("content-type", "application/yaml"), ("authorization", &bearer)], AFTER)
    };
    ask(&viewer).expect(200);
    ask(&none).problem(403, "not_allowed");
}
