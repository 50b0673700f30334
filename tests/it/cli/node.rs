//! What operators do with a node: signing keys, reload, drain.

use super::{Run, Stub, answering_once, portcullis};
use serde_json::{Value, json};

#[test]
fn signing_keys_are_listed_and_rotated() {
    let key = json!({"id": "k1", "algorithm": "EdDSA", "created_at": "2026-01-01T00:00:00Z",
        "signs_from": "2026-01-01T00:00:00Z", "ends_at": null});
    let keys = json!({"data": [key], "next_cursor": null});
    let stub = Stub::routes([
        ("GET /v1/signing-keys", 200, keys.clone()),
        ("POST /v1/signing-keys/rotate", 200, keys.clone()),
    ]);
    let ran = stub.run(&["signing-keys", "list"]).exited(0);
    ran.shows("k1  EdDSA      2026-01-01T00:00:00Z  2026-01-01T00:00:00Z  -");
    assert_eq!(stub.run(&["signing-keys", "rotate", "--json"]).exited(0).json(), keys);
    assert_eq!(stub.only("POST /v1/signing-keys/rotate").json(), json!({"immediately": false}));
    stub.run(&["signing-keys", "rotate", "--now"])
        .exited(0)
        .shows("k1  EdDSA      2026-01-01T00:00:00Z  2026-01-01T00:00:00Z  -");
    assert_eq!(stub.asked().pop().unwrap().json(), json!({"immediately": true}));
}

#[test]
fn a_reload_names_every_problem() {
    let stub = Stub::routes([("POST /v1/reload", 200, json!({"reloaded": true}))]);
    let ran = stub.run(&["reload"]).exited(0).says("reloaded");
    assert!(ran.stdout.is_empty());
    assert_eq!(stub.run(&["reload", "--json"]).exited(0).json()["reloaded"], true);
    let gone = json!({"permission": "files:read", "key_count": 2, "keys": [{"client_id": "a", "name": "A"}]});
    let change = json!({"environment": "acme/production", "change": "changed", "operations_added": ["GET /a", "GET /b"],
        "operations_removed": [], "permissions_added": [], "permissions_removed": [gone]});
    let answer = json!({"reloaded": true, "needs_restart": ["edge.workers", "log.access"],
        "warnings": ["odd\u{1b}[0m"], "changes": [change]});
    let ran = Stub::routes([("POST /v1/reload", 200, answer)]).run(&["reload"]).exited(0);
    let ran = ran.says("acme/production: changed, 2 operations new");
    let ran = ran.says("acme/production: `files:read` is gone; keys that held it: 2 (a)");
    ran.says("wait for a restart: edge.workers, log.access").says("warning: odd\\u{1b}[0m");
    let error = |message: &str| json!({"pointer": "", "code": "configuration_invalid", "message": message});
    let errors = [error("tenants/a.toml:3: odd"), error("tenants/b.toml:4: odder")];
    let stub = Stub::refusing(
        422,
        json!({"detail": "the files have problems", "code": "configuration_invalid", "errors": errors}),
    );
    let ran = stub.run(&["reload"]).exited(9).says("the files have problems (configuration_invalid)");
    ran.says("\n  tenants/a.toml:3: odd\n").says("\n  tenants/b.toml:4: odder\n");
}

#[test]
fn draining_is_asked_about() {
    let stub = Stub::routes([("POST /v1/drain", 202, json!({"draining": true}))]);
    stub.run(&["drain"]).exited(2).says("--yes");
    assert!(stub.asked().is_empty());
    assert_eq!(stub.run(&["drain", "--yes", "--json"]).exited(0).json(), json!({"draining": true}));
    stub.only("POST /v1/drain");
}

#[test]
fn an_answer_without_a_body_is_enough() {
    let stub = Stub::routes([("POST /v1/drain", 202, Value::Null)]);
    assert_eq!(stub.run(&["drain", "--yes", "--json"]).exited(0).json(), json!({"draining": true}));
}

#[test]
fn a_throttled_caller_is_told_when_to_come_back() {
    let problem = json!({"detail": "too many tries", "code": "rate_limited"}).to_string();
    let head = format!("HTTP/1.1 429 X\r\nretry-after: 17\r\ncontent-length: {}\r\n\r\n", problem.len());
    let server = answering_once(format!("{head}{problem}").into_bytes());
    let ran = portcullis(&["status", "--server", &server]).ran().exited(8);
    ran.says("too many tries (rate_limited)").says("try again in 17 seconds");
}
