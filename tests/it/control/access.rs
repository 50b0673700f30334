//! Who may ask, and what is answered to what is not there.

use super::*;
use portcullis::store::NodeStore;
use std::sync::atomic::Ordering;

#[test]
fn only_the_operator_token_opens_the_api() {
    let node = Node::start();
    let token = node.token.clone();
    // Whatever it ends in.
    let last = if token.ends_with('x') { 'y' } else { 'x' };
    let wrong = format!("Bearer {}{last}", &token[..token.len() - 1]);
    let longer = format!("Bearer {token}x");
    let basic = format!("Basic {token}");
    for value in ["", "Bearer", "Bearer ", "Bearer x", &wrong, &longer, &basic, &token] {
        let answer = node.send_bare("GET", KEYS, &[("authorization", value)], "");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{value}");
        answer.problem(401, "not_authenticated");
    }
    node.send_bare("GET", KEYS, &[], "").problem(401, "not_authenticated");
    let good = format!("bearer  {token}");
    assert_eq!(node.send_bare("GET", KEYS, &[("authorization", &good)], "").status, 200);
    let twice = [("authorization", good.as_str()), ("authorization", good.as_str())];
    node.send_bare("GET", KEYS, &twice, "").problem(401, "not_authenticated");
}

#[test]
fn a_token_that_ended_has_ended_at_once() {
    let node = Node::start();
    assert_eq!(node.get("/v1/status").status, 200);
    let other = SecretDigest::of(b"somebody else");
    node.runtime.block_on(node.store.set_bootstrap_digest(Some(&other), &act())).unwrap();
    node.get("/v1/status").problem(401, "not_authenticated");
    node.runtime.block_on(node.store.set_bootstrap_digest(None, &act())).unwrap();
    node.get("/v1/status").problem(401, "not_authenticated");
}

#[test]
fn what_is_not_there_has_one_shape() {
    let node = Node::start();
    let key = node.key("a");
    let elsewhere = format!("/v1/organizations/acme/environments/staging/keys/{key}");
    let environment = "/v1/organizations/acme/environments/production";
    let mut details = std::collections::HashSet::new();
    for path in [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/status/",
        "/v1/v2/status",
        "/v1/organizations/nobody",
        "/v1/organizations/%ff",
        "/v1/organizations/ACME/environments",
        "/v1/organizations/acme/environments/staging",
        "/v1/organizations/acme/environments/staging/keys",
        "/v1/organizations/acme/environments/staging/permissions",
        &elsewhere,
        &format!("{KEYS}/pcull_nobody"),
        &format!("{KEYS}/%00"),
        &format!("{KEYS}/{}", "x".repeat(65)),
        &format!("{environment}/presets/None"),
        &format!("{environment}/roles/none"),
    ] {
        let body = node.get(path).problem(404, "not_found");
        details.insert((body["title"].clone(), body["detail"].clone()));
    }
    for path in [elsewhere + "/rotate", format!("{KEYS}/pcull_nobody/rotate"), format!("{KEYS}/pcull_nobody/revoke")] {
        node.post(&path, &json!({})).problem(404, "not_found");
    }
    node.post("/v1/organizations/acme/environments/staging/keys", &json!({})).problem(404, "not_found");
    assert_eq!(details.len(), 1);
}

#[test]
fn methods_that_a_path_does_not_take() {
    let node = Node::start();
    let key = format!("{KEYS}/{}", node.key("a"));
    for (method, path, allow) in [
        ("DELETE", "/v1/organizations/acme", "GET,HEAD,PATCH,PUT"),
        ("POST", "/v1/organizations/acme/environments/production", "GET,HEAD,PUT,DELETE"),
        ("PUT", "/v1/organizations/acme/environments/production/permissions", "GET,HEAD"),
        ("DELETE", "/v1/organizations/acme/environments/production/catalogue", "GET,HEAD,PUT"),
        ("DELETE", &key, "GET,HEAD,PATCH"),
        ("PUT", KEYS, "GET,HEAD,POST"),
        ("GET", &format!("{key}/rotate"), "POST"),
    ] {
        let answer = node.send(method, path, &[], "");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        answer.problem(405, "method_not_allowed");
    }
}

#[test]
fn while_the_store_is_away_an_operator_can_still_look() {
    let node = Node::start();
    assert_eq!(node.get("/v1/status").expect(200)["store_revision"], 0);
    node.store.away.store(true, Ordering::SeqCst);
    let status = node.get("/v1/status").expect(200);
    assert_eq!((&status["store_revision"], &status["tables_revision"]), (&json!(null), &json!(0)));
    node.send_bare("GET", "/v1/status", &[("authorization", "Bearer x")], "").problem(401, "not_authenticated");
    for path in [KEYS, "/v1/organizations"] {
        let body = node.get(path).problem(503, "unavailable");
        assert!(!body.to_string().contains("secret place"), "{body}");
    }
}
