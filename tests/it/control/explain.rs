//! What a key does and would do: usage, and explanations. That explanations are true is held in `edge/explain.rs`.

use super::*;
use portcullis::store::{KeyUse, UsageStore};

const EXPLAIN: &str = "/v1/organizations/acme/environments/production/explain";

fn asked(id: &str, method: &str, path: &str) -> Value {
    json!({"client_id": id, "method": method, "path": path, "address": "203.0.113.9"})
}

#[test]
fn an_explanation_names_every_check() {
    let node = Node::start();
    let key = node.key("a");
    let said = node.post(EXPLAIN, &asked(&key, "POST", "/cards")).expect(200);
    assert_eq!(
        (&said["verdict"], &said["code"], &said["status"], &said["operation"]),
        (&json!("refuse"), &json!("permission_missing"), &json!(403), &json!(null))
    );
    let last = &said["steps"].as_array().unwrap()[7];
    assert_eq!((&last["check"], &last["result"]), (&json!("permission"), &json!("fail")));
    assert!(said["detail"].as_str().unwrap().contains("`cards:write`"), "{said}");
    let said = node.post(EXPLAIN, &asked(&key, "HEAD", "/cards")).expect(200);
    assert_eq!((&said["verdict"], &said["operation"]), (&json!("forward"), &json!("cards:read")));
    assert!(said["steps"].as_array().unwrap().iter().all(|step| step["result"] == "pass"), "{said}");
}

#[test]
fn the_fate_of_a_key_is_told_as_it_is_now() {
    let node = Node::start();
    let key = node.key("a");
    node.post(&format!("{KEYS}/{key}/rotate"), &json!({"expires_at": null})).expect(200);
    assert_eq!(node.post(EXPLAIN, &asked(&key, "GET", "/cards")).expect(200)["verdict"], "forward");
    node.post(&format!("{KEYS}/{key}/revoke"), &json!({})).expect(200);
    let said = node.post(EXPLAIN, &asked(&key, "GET", "/cards")).expect(200);
    assert_eq!((&said["code"], &said["steps"][5]["result"]), (&json!("key_revoked"), &json!("fail")));
    assert_eq!(said["steps"][6]["result"], "skipped");
}

#[test]
fn what_cannot_be_explained_says_why() {
    let node = Node::start();
    let key = node.key("a");
    let with = |name: &str, value: Value| {
        let mut body = asked(&key, "GET", "/cards");
        body[name] = value;
        node.post(EXPLAIN, &body).errors()
    };
    let one = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert_eq!(with("client_id", json!("pcull_nobody")), one("/client_id", "key_unknown"));
    assert_eq!(with("client_id", json!("?")), one("/client_id", "key_unknown"));
    for method in ["", "A B", "CONNECT", "TRACE", &"X".repeat(33)] {
        assert_eq!(with("method", json!(method)), one("/method", "method_invalid"), "{method}");
    }
    for path in ["", "cards", "/a b", "/a?b", "/a#b", "/é", "/\u{0}", &format!("/{}", "x".repeat(8000))] {
        assert_eq!(with("path", json!(path)), one("/path", "path_invalid"), "{path}");
    }
    for address in ["", "203.0.113.0/24", "localhost", "fe80::1%eth0"] {
        assert_eq!(with("address", json!(address)), one("/address", "address_invalid"), "{address}");
    }
    assert_eq!(with("token", json!("x")), one("/token", "field_unknown"));
    let longest = asked(&key, &"X".repeat(32), &format!("/{}", "x".repeat(7999)));
    assert_eq!(node.post(EXPLAIN, &longest).expect(200)["code"], "operation_unknown");
    let errors = node.post(EXPLAIN, &json!({"path": null})).errors();
    assert_eq!(errors.len(), 4, "{errors:?}");
    node.post("/v1/organizations/acme/environments/staging/explain", &longest).problem(404, "not_found");
}

#[test]
fn usage_is_told_most_often_first() {
    let node = Node::start();
    let key = node.key("a");
    let path = format!("{KEYS}/{key}/usage");
    assert_eq!(node.get(&path).expect(200), json!({"data": [], "next_cursor": null}));
    let used = KeyUse {
        client_id: ClientId::parse(&key).unwrap(),
        last_used_at: NOON,
        last_address: None,
        operations: vec![("cards:write".into(), 1), ("cards:read".into(), 3)],
    };
    node.runtime.block_on(node.store.record_usage(&[used])).unwrap();
    let one = |operation: &str, count: u64| json!({"operation": operation, "count": count, "last_used_at": NOON});
    assert_eq!(node.get(&path).expect(200)["data"], json!([one("cards:read", 3), one("cards:write", 1)]));
    node.get(&format!("{KEYS}/pcull_nobody/usage")).problem(404, "not_found");
}
