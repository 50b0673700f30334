//! What files define, shown; and the node's status.

use super::*;

#[test]
fn organizations_and_their_policies() {
    let node = Node::start();
    let all = node.get("/v1/organizations").expect(200);
    let mut one = node.get("/v1/organizations/acme").expect(200);
    let exceeding = one.as_object_mut().unwrap().remove("exceeding");
    assert_eq!(exceeding, Some(json!({"block_legacy_keys": 0, "max_key_lifetime": 0})));
    assert_eq!(all, json!({"data": [one], "next_cursor": null}));
    assert_eq!(
        one,
        json!({"id": "acme", "name": "Acme", "managed_by": "file", "revision": 0, "role": null, "policies":
            {"block_legacy_keys": false, "max_key_lifetime": null, "max_key_lifetime_seconds": null,
             "set_by_file": []}})
    );
    let strict = Node::with(strict_acme()).get("/v1/organizations/acme").expect(200);
    assert_eq!(
        strict["policies"],
        json!({"block_legacy_keys": true, "max_key_lifetime": "90d", "max_key_lifetime_seconds": 7_776_000,
            "set_by_file": ["block_legacy_keys", "max_key_lifetime"]})
    );
}

#[test]
fn environments_tell_their_addresses() {
    let node = Node::start();
    let all = node.get("/v1/organizations/acme/environments").expect(200);
    let one = node.get("/v1/organizations/acme/environments/production").expect(200);
    assert_eq!(all, json!({"data": [one], "next_cursor": null}));
    assert_eq!(
        one,
        json!({"id": "production", "organization": "acme", "base_url": "http://gate.test/v1",
            "token_url": "http://gate.test/v1/oauth2/token", "issuer": "http://gate.test/v1",
            "jwks_url": "http://gate.test/v1/oauth2/jwks", "platform_addresses": {"label": "Acme"},
            "managed_by": "file"})
    );
}

#[test]
fn permissions_presets_and_roles() {
    let node = Node::start();
    let get = |path: &str| node.get(&format!("/v1/organizations/acme/environments/production{path}")).expect(200);
    let permissions = get("/permissions");
    assert_eq!(
        permissions["data"][0],
        json!({"name": "cards:read", "group": "Cards", "summary": "About cards",
            "operations": [{"id": "cards:read", "method": "GET", "path": "/cards"}]})
    );
    assert_eq!(permissions["data"][2]["operations"][0]["method"], "*");
    let preset = json!({"name": "Read only", "permissions": ["cards:read", "files:read"]});
    assert_eq!(get("/presets"), json!({"data": [preset], "next_cursor": null}));
    assert_eq!(get("/presets/Read%20only"), preset);
    let role = json!({"name": "events", "permissions": ["cards:read"]});
    assert_eq!(get("/roles"), json!({"data": [role], "next_cursor": null}));
    assert_eq!(get("/roles/events"), role);
}

#[test]
fn status_counts() {
    let node = Node::start();
    node.key("a");
    node.key("b");
    assert_eq!(
        node.get("/v1/status").expect(200),
        json!({"version": "1.2.3", "started_at": "2030-03-17T17:46:40Z", "tables_revision": 2, "store_revision": 2,
            "organizations": 1, "environments": 1, "keys": 2})
    );
}
