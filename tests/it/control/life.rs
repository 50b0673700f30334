//! What an edit changes, what a repetition does not do again, and what policies say about both.

use super::*;

fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {object}"))
}

impl Node {
    fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, &[("content-type", "application/json")], &body.to_string())
    }

    /// A POST under an idempotency key.
    fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.send("POST", path, &headers, &body.to_string())
    }

    fn revision(&self) -> u64 {
        self.get("/v1/status").expect(200)["store_revision"].as_u64().unwrap()
    }
}

#[test]
fn an_edit_changes_what_is_named_and_nothing_else() {
    let node = Node::start();
    let made = node.create(json!({"allowlist": {"networks": ["10.0.0.1"]}, "description": "old"})).expect(201);
    let path = format!("{KEYS}/{}", text(&made, "client_id"));
    let before = node.get(&path).expect(200);
    for (change, field, value) in [
        (json!({"name": " new name "}), "name", json!("new name")),
        (json!({"description": "two\nlines"}), "description", json!("two\nlines")),
        (json!({"permissions": ["files:read", "files:read"]}), "permissions", json!(["files:read"])),
        (json!({"allowlist": {"platform": true}}), "allowlist", json!({"networks": [], "platform": true})),
        (json!({"allowlist": null}), "allowlist", json!(null)),
    ] {
        let former = node.get(&path).expect(200);
        let answer = node.patch(&path, &change);
        let tag = answer.header("etag").to_owned();
        let mut edited = answer.expect(200);
        assert_eq!((&edited[field], tag), (&value, format!("\"{}\"", edited["revision"])), "{change}");
        assert_eq!(node.get(&path).expect(200), edited);
        for kept in [field, "revision"] {
            edited[kept] = former[kept].clone();
        }
        assert_eq!(edited, former, "{change}");
    }
    let after = node.get(&path).expect(200);
    for kept in ["client_id", "created_at", "created_by", "expires_at", "secret_version", "secret_last_four", "type"] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    // Nothing to change is a change of nothing; it is still told which revision that is.
    node.patch(&path, &json!({})).expect(200);
}

#[test]
fn each_error_of_an_edit_has_its_place() {
    let node = Node::start();
    let path = format!("{KEYS}/{}", node.key("a"));
    node.key("taken");
    let revision = node.revision();
    for (body, pointer, code) in [
        (json!({"name": ""}), "/name", "name_required"),
        (json!({"name": "a\u{202e}b"}), "/name", "name_invalid"),
        (json!({"name": "x".repeat(101)}), "/name", "name_invalid"),
        (json!({"name": null}), "/name", "invalid_type"),
        (json!({"name": 5}), "/name", "invalid_type"),
        (json!({"description": "\u{0}"}), "/description", "description_invalid"),
        (json!({"description": null}), "/description", "invalid_type"),
        (json!({"permissions": []}), "/permissions", "permission_required"),
        (json!({"permissions": null}), "/permissions", "invalid_type"),
        (json!({"permissions": ["cards:fly"]}), "/permissions/0", "permission_unknown"),
        (json!({"may_grant": ["cards:read"]}), "/may_grant", "field_conflict"),
        (json!({"allowlist": {}}), "/allowlist", "allowlist_empty"),
        (json!({"allowlist": {"networks": ["198.51.100.7/24"]}}), "/allowlist/networks/0", "network_invalid"),
        (json!({"type": "legacy"}), "/type", "field_immutable"),
        (json!({"role": "events"}), "/role", "field_immutable"),
        (json!({"expires_at": null}), "/expires_at", "field_immutable"),
        (json!({"client_id": "x"}), "/client_id", "field_immutable"),
        (json!({"nmae": "x"}), "/nmae", "field_unknown"),
    ] {
        let errors = node.patch(&path, &body).errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())], "{body}");
    }
    node.patch(&path, &json!({"name": "TAKEN"})).problem(409, "name_taken");
    node.patch(&format!("{KEYS}/pcull_nobody"), &json!({"name": "x"})).problem(404, "not_found");
    node.send("PATCH", &path, &[("content-type", "text/plain")], "x").problem(415, "unsupported_media_type");
    assert_eq!(node.revision(), revision);
}

#[test]
fn a_key_that_is_gone_or_of_a_file_is_not_edited() {
    let node = Node::start();
    let path = format!("{KEYS}/{}", node.key("a"));
    node.post(&format!("{path}/revoke"), &json!({})).expect(200);
    node.patch(&path, &json!({"name": "b"})).problem(409, "key_revoked");
    let node = Node::with(Organization {
        environments: vec![Environment { keys: vec![declared("pcull_file", "pipeline")], ..environment() }],
        ..acme()
    });
    node.patch(&format!("{KEYS}/pcull_file"), &json!({"name": "b"})).problem(409, "managed_by_file");
}

#[test]
fn an_edit_honours_the_revision_it_was_made_for() {
    let node = Node::start();
    let path = format!("{KEYS}/{}", node.key("a"));
    let edit = |tag: &str, name: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        node.send("PATCH", &path, &headers, &json!({ "name": name }).to_string())
    };
    let first = edit("\"1\"", "b").expect(200);
    edit("\"1\"", "c").problem(412, "revision_mismatch");
    edit("W/\"2\"", "c").problem(412, "revision_mismatch");
    edit("2", "c").problem(400, "malformed");
    edit("*", "c").expect(200);
    assert_eq!(first["revision"], 2);
}

#[test]
fn a_repeated_request_is_done_once_and_never_tells_the_secret_again() {
    let node = Node::start();
    let body = json!({"name": "one", "permissions": ["cards:read"]});
    let first = node.post_once(KEYS, "a-1", &body).expect(201);
    let revision = node.revision();
    let again = node.post_once(KEYS, "a-1", &body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let again = again.expect(201);
    assert_eq!(first["client_id"], again["client_id"]);
    assert!(first["client_secret"].is_string() && again.get("client_secret").is_none());
    // Another request under the same key is refused, and so is the same one at another place.
    let other = json!({"name": "two", "permissions": ["cards:read"]});
    node.post_once(KEYS, "a-1", &other).problem(422, "idempotency_key_reused");
    let path = format!("{KEYS}/{}", text(&first, "client_id"));
    let rotate = format!("{path}/rotate");
    node.post_once(&rotate, "a-1", &body).problem(422, "idempotency_key_reused");
    assert_eq!(node.revision(), revision);
    // Rotations and revocations are remembered as well.
    let rotated = node.post_once(&rotate, "r-1", &json!({"expires_at": null})).expect(200);
    let again = node.post_once(&rotate, "r-1", &json!({"expires_at": null})).expect(200);
    assert_eq!((&rotated["secret_version"], &again["secret_version"]), (&json!(2), &json!(2)));
    assert!(again.get("client_secret").is_none());
    node.post_once(&format!("{path}/revoke"), "x-1", &json!({})).expect(200);
    assert_eq!(node.post_once(&format!("{path}/revoke"), "x-1", &json!({})).expect(200)["status"], "revoked");
    // What was refused may be sent again under the same key.
    let wrong = json!({"name": "three", "permissions": ["cards:fly"]});
    node.post_once(KEYS, "c-1", &wrong).problem(422, "invalid");
    node.post_once(KEYS, "c-1", &json!({"name": "three", "permissions": ["cards:read"]})).expect(201);
    for key in ["", "two words", &"x".repeat(256), "\u{e9}"] {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        node.send("POST", KEYS, &headers, &other.to_string()).problem(400, "malformed");
    }
}

#[test]
fn of_many_repetitions_at_once_one_is_done() {
    let node = Node::start();
    let body = json!({"name": "one", "permissions": ["cards:read"]});
    let secrets: usize = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| node.post_once(KEYS, "k", &body).expect(201).get("client_secret").is_some()))
            .collect();
        senders.into_iter().map(|sender| usize::from(sender.join().unwrap())).sum()
    });
    assert_eq!((secrets, node.get(KEYS).expect(200)["data"].as_array().unwrap().len()), (1, 1));
}

#[test]
fn policies_are_set_taken_away_and_kept_where_a_file_has_them() {
    let node = Node::start();
    let organization = "/v1/organizations/acme";
    let set = |policies: Value| node.patch(organization, &json!({ "policies": policies }));
    let answer = set(json!({"max_key_lifetime": "90d", "block_legacy_keys": true}));
    assert_eq!(answer.header("etag"), "\"1\"");
    let policies = answer.expect(200)["policies"].clone();
    let expected = json!({"block_legacy_keys": true, "max_key_lifetime": "90d", "max_key_lifetime_seconds": 7_776_000,
        "set_by_file": []});
    assert_eq!(policies, expected);
    let policies = set(json!({"max_key_lifetime": null})).expect(200)["policies"].clone();
    assert_eq!((&policies["max_key_lifetime"], &policies["block_legacy_keys"]), (&json!(null), &json!(true)));
    for (policies, code) in [
        (json!({"max_key_lifetime": "soon"}), "lifetime_invalid"),
        (json!({"max_key_lifetime": "0s"}), "lifetime_invalid"),
        (json!({"max_key_lifetime": "1500ms"}), "lifetime_invalid"),
        (json!({"max_key_lifetime": "101years"}), "lifetime_invalid"),
        (json!({"max_key_lifetime": 90}), "invalid_type"),
        (json!({"block_legacy_keys": "yes"}), "invalid_type"),
        (json!({"max_lifetime": "1d"}), "field_unknown"),
    ] {
        let errors = set(policies.clone()).errors();
        assert_eq!(errors.len(), 1, "{policies}");
        assert_eq!(errors[0].1, code, "{policies}");
    }
    node.patch(organization, &json!({"name": "New"})).problem(409, "managed_by_file");
    let node = Node::with(strict_acme());
    for policy in [json!({"max_key_lifetime": "1d"}), json!({"block_legacy_keys": false})] {
        node.patch(organization, &json!({ "policies": policy })).problem(409, "managed_by_file");
    }
}

#[test]
fn organizations_can_be_made_by_operators() {
    let node = Node::start();
    let put = |id: &str, body: Value| {
        node.send("PUT", &format!("/v1/organizations/{id}"), &[("content-type", "application/json")], &body.to_string())
    };
    let made = put("globex", json!({"name": "Globex", "policies": {"max_key_lifetime": "1d"}})).expect(201);
    assert_eq!((text(&made, "name"), text(&made, "managed_by")), ("Globex", "api"));
    assert_eq!(put("globex", json!({"name": "Globex Inc"})).expect(200)["policies"]["max_key_lifetime"], "1d");
    put("acme", json!({"name": "Acme"})).problem(409, "managed_by_file");
    put("Glo%20bex", json!({"name": "x"})).problem(404, "not_found");
    let ids = |list: Value| -> Vec<String> {
        list["data"].as_array().unwrap().iter().map(|one| text(one, "id").to_owned()).collect()
    };
    assert_eq!(ids(node.get("/v1/organizations").expect(200)), ["acme", "globex"]);
    node.get("/v1/organizations/globex/environments").expect(200);
}
