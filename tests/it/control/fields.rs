//! Every way a body can be wrong, with the place it is told for.

use super::*;

#[track_caller]
fn check(answer: Answer, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect();
    assert_eq!(answer.errors(), expected);
}

#[test]
fn each_error_of_create_has_its_place() {
    let node = Node::start();
    let long = "x".repeat(1001);
    for (body, pointer, code) in [
        (json!({"name": null}), "/name", "name_required"),
        (json!({"name": "  "}), "/name", "name_required"),
        (json!({"name": "a\u{202e}b"}), "/name", "name_invalid"),
        (json!({"name": "a\u{0}b"}), "/name", "name_invalid"),
        (json!({"name": "x".repeat(101)}), "/name", "name_invalid"),
        (json!({"name": 5}), "/name", "invalid_type"),
        (json!({"description": long}), "/description", "description_invalid"),
        (json!({"description": "a\tb"}), "/description", "description_invalid"),
        (json!({"description": []}), "/description", "invalid_type"),
        (json!({"type": "modern"}), "/type", "type_unknown"),
        (json!({"type": 1}), "/type", "invalid_type"),
        (json!({"permissions": []}), "/permissions", "permission_required"),
        (json!({"permissions": null}), "/permissions", "permission_required"),
        (json!({"permissions": [], "preset": "Read only"}), "/permissions", "permission_required"),
        (json!({"permissions": "cards:read"}), "/permissions", "invalid_type"),
        (json!({"permissions": ["cards:read", 7]}), "/permissions/1", "invalid_type"),
        (json!({"permissions": ["cards:read", "cards:fly"]}), "/permissions/1", "permission_unknown"),
        (json!({"permissions": ["portcullis:keys:fly"]}), "/permissions/0", "permission_unknown"),
        (json!({"permissions": ["a b"]}), "/permissions/0", "permission_unknown"),
        (json!({"preset": "Write only"}), "/preset", "preset_unknown"),
        (json!({"role": "events"}), "/role", "field_conflict"),
        (json!({"type": "legacy", "permissions": null}), "/role", "role_required"),
        (json!({"type": "legacy", "permissions": null, "role": "none"}), "/role", "role_unknown"),
        (json!({"type": "legacy", "role": "events"}), "/permissions", "field_conflict"),
        (json!({"expires_at": "soon"}), "/expires_at", "expiry_invalid"),
        (json!({"expires_at": "10000-01-01T00:00:00Z"}), "/expires_at", "expiry_invalid"),
        (json!({"expires_at": 5}), "/expires_at", "invalid_type"),
        (json!({"expires_at": "2030-03-17T17:46:40Z"}), "/expires_at", "expiry_in_the_past"),
        (json!({"allowlist": {}}), "/allowlist", "allowlist_empty"),
        (json!({"allowlist": {"networks": [], "platform": false}}), "/allowlist", "allowlist_empty"),
        (json!({"allowlist": []}), "/allowlist", "invalid_type"),
        (json!({"allowlist": {"platform": "yes", "networks": ["10.0.0.1"]}}), "/allowlist/platform", "invalid_type"),
        (json!({"allowlist": {"platform": true, "x": 1}}), "/allowlist/x", "field_unknown"),
        (json!({"allowlist": {"networks": ["10.0.0.1", 5]}}), "/allowlist/networks/1", "invalid_type"),
        (json!({"allowlist": {"networks": ["nonsense"]}}), "/allowlist/networks/0", "network_invalid"),
        (json!({"a/b~": 1}), "/a~1b~0", "field_unknown"),
        (json!({"client_id": "x"}), "/client_id", "field_unknown"),
    ] {
        check(node.create(body), &[(pointer, code)]);
    }
    assert_eq!(node.get("/v1/status").expect(200)["store_revision"], 0);
}

#[test]
fn all_errors_come_at_once() {
    let node = Node::start();
    let body = json!({"name": "", "permissions": ["x"], "expires_at": "x", "nmae": "a", "description": 1,
        "allowlist": {"networks": ["10.0.0.1", "::1", "::2", "198.51.100.7/24"], "platfrom": true}});
    let answer = node.post(KEYS, &body);
    let message = answer.json()["errors"].to_string();
    assert!(message.contains("did you mean `198.51.100.0/24`?"), "{message}");
    check(
        answer,
        &[
            ("/description", "invalid_type"),
            ("/allowlist/platfrom", "field_unknown"),
            ("/nmae", "field_unknown"),
            ("/name", "name_required"),
            ("/permissions/0", "permission_unknown"),
            ("/expires_at", "expiry_invalid"),
            ("/allowlist/networks/3", "network_invalid"),
        ],
    );
    check(node.post(KEYS, &json!({})), &[("/name", "name_required"), ("/permissions", "permission_required")]);
}

#[test]
fn unknown_permissions_among_thousands() {
    let node = Node::start();
    let mut permissions = vec!["cards:read".to_owned(); 1000];
    permissions[777] = "cards:reed".into();
    check(node.create(json!({"permissions": permissions})), &[("/permissions/777", "permission_unknown")]);
    let unknown: Vec<String> = (0..5000).map(|number| format!("none:{number}")).collect();
    assert_eq!(node.create(json!({"permissions": unknown})).errors().len(), 100);
}

#[test]
fn messages_cannot_be_steered_by_what_was_sent() {
    let node = Node::start();
    let answer = node.create(json!({"permissions": ["\u{202e}\u{1b}[31m"], "preset": "x".repeat(5000)}));
    let body = answer.problem(422, "invalid");
    let messages = body["errors"].to_string();
    assert!(!messages.contains('\u{202e}') && messages.len() < 1000, "{messages}");
}

#[test]
fn policies_bind_create_and_rotate() {
    let node = Node::with(strict_acme());
    let answer = node.create(json!({}));
    assert!(answer.text.contains("at most 90 days away"), "{}", answer.text);
    check(answer, &[("/expires_at", "expiry_required")]);
    check(node.create(json!({"expires_at": "2030-06-15T17:46:41Z"})), &[("/expires_at", "expiry_too_far")]);
    let legacy = json!({"name": "l", "type": "legacy", "role": "events", "expires_at": "2030-05-01T00:00:00Z"});
    check(node.post(KEYS, &legacy), &[("/type", "legacy_blocked")]);
    let made = node.create(json!({"expires_at": "2030-06-15T17:46:40Z"})).expect(201);
    let rotate = format!("{KEYS}/{}/rotate", made["client_id"].as_str().unwrap());
    check(node.post(&rotate, &json!({"expires_at": null})), &[("/expires_at", "expiry_required")]);
    let far = json!({"expires_at": "2031-01-01T00:00:00Z"});
    check(node.post(&rotate, &far), &[("/expires_at", "expiry_too_far")]);
}

#[test]
fn each_error_of_rotate_has_its_place() {
    let node = Node::start();
    let path = format!("{KEYS}/{}", node.key("a"));
    for (body, pointer, code) in [
        (json!({}), "/expires_at", "expiry_missing"),
        (json!({"allowlist": null}), "/expires_at", "expiry_missing"),
        (json!({"expires_at": 7}), "/expires_at", "invalid_type"),
        (json!({"expires_at": "2030-01-01T00:00:00Z"}), "/expires_at", "expiry_in_the_past"),
        (json!({"expires_at": null, "type": "legacy"}), "/type", "field_immutable"),
        (json!({"expires_at": null, "role": "events"}), "/role", "field_immutable"),
        (json!({"expires_at": null, "client_id": "x"}), "/client_id", "field_immutable"),
        (json!({"expires_at": null, "secret": "x"}), "/secret", "field_unknown"),
        (json!({"expires_at": null, "allowlist": {"networks": []}}), "/allowlist", "allowlist_empty"),
        (
            json!({"expires_at": null, "allowlist": {"networks": ["10.0.0.1/8"]}}),
            "/allowlist/networks/0",
            "network_invalid",
        ),
    ] {
        check(node.post(&format!("{path}/rotate"), &body), &[(pointer, code)]);
    }
    check(node.post(&format!("{path}/revoke"), &json!({"why": "x"})), &[("/why", "field_unknown")]);
    assert_eq!(node.get(&path).expect(200)["revision"], 1);
}

#[test]
fn bodies_that_are_not_one_json_object() {
    let node = Node::start();
    let post = |body: &str| node.send("POST", KEYS, &[("content-type", "application/json; charset=utf-8")], body);
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for body in ["", "null", "[]", "\"x\"", "{", "{\"name\":\"a\",}", "{} {}", "\u{feff}{}", &deep] {
        post(body).problem(400, "malformed");
    }
    let detail = |body: &str| post(body).problem(400, "malformed")["detail"].as_str().unwrap().to_owned();
    assert!(detail("{\"name\":\n x}").contains("line 2 column 2"));
    let twice = detail(r#"{"name":"a","permissions":["cards:read"],"name":"b"}"#);
    assert!(twice.contains("`name` comes twice"), "{twice}");
    detail(r#"{"name":"a","allowlist":{"platform":true,"platform":false}}"#);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        node.send("POST", KEYS, &[("content-type", kind)], "{}").problem(415, "unsupported_media_type");
    }
    assert_eq!(node.get("/v1/status").expect(200)["store_revision"], 0);
}

#[test]
fn a_body_at_the_limit_and_one_byte_past_it() {
    let node = Node::start();
    let of = |length: usize| {
        let body = json!({"name": "a", "permissions": ["cards:read"]}).to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let post = |body: &str| node.send("POST", KEYS, &[("content-type", "application/json")], body);
    post(&of(8 * 1024 * 1024)).expect(201);
    post(&of(8 * 1024 * 1024 + 1)).problem(413, "body_too_large");
}

#[test]
fn an_allowlist_at_the_limit_and_one_past_it() {
    let node = Node::start();
    let of = |count: usize| json!({"allowlist": {"networks": vec!["::1"; count]}});
    let made = node.create(of(100_000)).expect(201);
    assert_eq!(made["allowlist"]["networks"].as_array().unwrap().len(), 100_000);
    check(node.create(of(100_001)), &[("/allowlist/networks", "allowlist_too_long")]);
}
