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
    let mut one = node.get("/v1/organizations/acme/environments/production").expect(200);
    assert_eq!(one.as_object_mut().unwrap().remove("revision"), Some(json!(0)));
    assert_eq!(all, json!({"data": [one], "next_cursor": null}));
    assert_eq!(
        one,
        json!({"id": "production", "organization": "acme", "base_url": "http://gate.test/v1",
            "token_url": "http://gate.test/v1/oauth2/token", "issuer": "http://gate.test/v1",
            "jwks_url": "http://gate.test/v1/oauth2/jwks",
            "curl": "curl -u CLIENT_ID -d grant_type=client_credentials http://gate.test/v1/oauth2/token",
            "platform_addresses": {"label": "Acme"},
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
    let all = json!(["cards:read", "cards:write", "files:read"]);
    // What the file declares stands where the one that follows from the permissions would.
    let more = ["Read and write", "Everything"].map(|name| json!({"name": name, "permissions": all}));
    assert_eq!(get("/presets"), json!({"data": [preset, more[0], more[1]], "next_cursor": null}));
    assert_eq!(get("/presets/Read%20only"), preset);
    assert_eq!(get("/presets/Everything"), more[1]);
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
            "organizations": 1, "environments": 1, "keys": 2,
            "last_reload": {"at": "2030-03-17T17:46:40Z", "successful": false, "problems": ["acme.toml:3: no"],
                "needs_restart": []}})
    );
}

#[test]
fn the_catalogue_tells_who_may_do_what() {
    let mut organization = acme();
    let environment = &mut organization.environments[0];
    environment.public = vec![OperationPattern::parse("GET /health").unwrap()];
    let mut everything = permission("everything", "GET /cards");
    everything.operations.push(environment.permissions[2].operations[0].clone());
    environment.permissions = environment.permissions.iter().cloned().chain([everything]).collect();
    let node = Node::with(organization);
    let path = "/v1/organizations/acme/environments/production/catalogue";
    let operation = |operation: &str, method: &str, path: &str, permissions: &[&str], public: bool| json!({"operation": operation, "method": method, "path": path, "permissions": permissions, "public": public});
    let all = [
        operation("cards:read", "GET", "/cards", &["cards:read", "everything"], false),
        operation("cards:write", "POST", "/cards", &["cards:write"], false),
        operation("files:read", "*", "/files/{path...}", &["files:read", "everything"], false),
        operation("GET /health", "GET", "/health", &[], true),
    ];
    assert_eq!(node.get(path).expect(200), json!({"data": all, "next_cursor": null}));
    let mut cursor = String::new();
    for (at, one) in all.iter().enumerate() {
        let page = node.get(&format!("{path}?limit=1{cursor}")).expect(200);
        assert_eq!(page["data"], json!([one]));
        assert_eq!(page["next_cursor"].is_null(), at == 3, "{page}");
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    for cursor in ["bjpHRVQgL25vdGhpbmc", "x", ""] {
        node.get(&format!("{path}?cursor={cursor}")).problem(400, "malformed");
    }
    for query in ["limit=0", "limit=101", "limit=1&limit=2", "q=cards"] {
        node.get(&format!("{path}?{query}")).errors();
    }
}
