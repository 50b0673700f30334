//! Making, rotating and revoking keys: what comes back, what the request path sees, and what a fault leaves behind.

use super::*;
use portcullis::control::{Asking, Caller, FieldErrors, KeyDraft};
use portcullis::model::ClientSecret;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;

/// Secret version and revocation of a key as the request path sees it.
fn live(node: &Node, id: &str) -> Option<(u64, bool)> {
    node.tables.load().with_key(id, |key| key.map(|key| (key.secret_version.0, key.revoked)))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

#[test]
fn a_key_comes_back_whole() {
    let node = Node::start();
    let answer = node.create(json!({"name": " salesforce ", "description": "two\nlines", "type": "fine_grained",
        "permissions": ["files:read", "cards:read", "files:read"], "preset": "Read only", "role": null,
        "expires_at": "2030-04-01T02:00:00.5+02:00",
        "allowlist": {"networks": ["203.0.113.42", "::ffff:198.51.100.0/120"], "platform": true}}));
    assert_eq!(answer.header("etag"), "\"1\"");
    let mut made = answer.expect(201);
    let id = text(&made, "client_id").to_owned();
    let secret = made.as_object_mut().unwrap().remove("client_secret").unwrap();
    assert!(ClientSecret::is_well_formed(secret.as_str().unwrap()));
    assert_eq!(
        made,
        json!({"client_id": id, "name": "salesforce", "description": "two\nlines", "type": "fine_grained",
            "permissions": ["files:read", "cards:read"], "role": null,
            "allowlist": {"networks": ["203.0.113.42", "198.51.100.0/24"], "platform": true}, "status": "active",
            "expires_at": "2030-04-01T00:00:00Z", "created_at": "2030-03-17T17:46:40Z", "created_by": "operator",
            "rotated_at": null, "revoked_at": null, "last_used_at": null, "last_address": null, "may_grant": null, "secret_version": 1,
            "secret_last_four": &secret.as_str().unwrap()[52..], "revision": 1, "managed_by": "api"})
    );
    let shown = node.get(&format!("{KEYS}/{id}"));
    assert_eq!(shown.header("etag"), "\"1\"");
    assert_eq!(shown.expect(200), made);
}

#[test]
fn presets_and_roles_make_keys() {
    let node = Node::start();
    let made = node.post(KEYS, &json!({"name": "p", "preset": "Read only"})).expect(201);
    assert_eq!(made["permissions"], json!(["cards:read", "files:read"]));
    let made = node.post(KEYS, &json!({"name": "l", "type": "legacy", "role": "events"})).expect(201);
    assert_eq!(
        (&made["type"], &made["role"], &made["permissions"]),
        (&json!("legacy"), &json!("events"), &Value::Null)
    );
    let made = node.create(json!({"name": "adjusted", "preset": "Read only"})).expect(201);
    assert_eq!(made["permissions"], json!(["cards:read"]));
}

#[test]
fn the_request_path_sees_a_change_before_its_answer() {
    let node = Node::start();
    let id = node.key("a");
    assert_eq!(live(&node, &id), Some((1, false)));
    let rotated = node.post(&format!("{KEYS}/{id}/rotate"), &json!({"expires_at": null})).expect(200);
    assert_eq!((&rotated["secret_version"], &rotated["revision"]), (&json!(2), &json!(2)));
    assert_eq!(rotated["rotated_at"], "2030-03-17T17:46:40Z");
    assert_eq!(live(&node, &id), Some((2, false)));
    let revoked = node.send("POST", &format!("{KEYS}/{id}/revoke"), &[], "");
    assert_eq!(revoked.header("etag"), "\"3\"");
    let revoked = revoked.expect(200);
    assert_eq!((&revoked["status"], &revoked["revision"]), (&json!("revoked"), &json!(3)));
    assert_eq!(live(&node, &id), Some((2, true)));
    assert_eq!(node.post(&format!("{KEYS}/{id}/revoke"), &json!({})).expect(200), revoked);
    node.post(&format!("{KEYS}/{id}/rotate"), &json!({"expires_at": null})).problem(409, "key_revoked");
}

#[test]
fn rotation_keeps_replaces_or_opens_the_allowlist() {
    let node = Node::start();
    let made = node.create(json!({"allowlist": {"networks": ["10.0.0.1"]}})).expect(201);
    let rotate = format!("{KEYS}/{}/rotate", text(&made, "client_id"));
    let allowlist = |body: Value| node.post(&rotate, &body).expect(200)["allowlist"].clone();
    assert_eq!(allowlist(json!({"expires_at": null})), json!({"networks": ["10.0.0.1"], "platform": false}));
    let platform = json!({"networks": [], "platform": true});
    assert_eq!(allowlist(json!({"expires_at": null, "allowlist": platform})), platform);
    assert_eq!(allowlist(json!({"expires_at": null, "allowlist": null})), Value::Null);
}

#[test]
fn a_secret_is_shown_once_and_nowhere_else() {
    let node = Node::start();
    let made = node.create(json!({})).expect(201);
    let path = format!("{KEYS}/{}", text(&made, "client_id"));
    let rotated = node.post(&format!("{path}/rotate"), &json!({"expires_at": null})).expect(200);
    assert_ne!(made["client_secret"], rotated["client_secret"]);
    let mut rest: Vec<String> = [path.as_str(), KEYS, "/v1/status"].map(|path| node.get(path).text).into();
    rest.push(node.post(&format!("{path}/revoke"), &json!({})).text);
    rest.push(format!("{:?} {:?}", node.control, node.tables));
    let draft = KeyDraft { name: Some("b".into()), preset: Some("Read only".into()), ..KeyDraft::default() };
    let place = production();
    let asking = Asking { caller: Caller::Operator, act: act() };
    let making = node.control.create_key(&asking, &place, draft, FieldErrors::default());
    let issued = node.runtime.block_on(making).unwrap();
    let printed = format!("{issued:?}");
    assert!(!printed.contains(issued.secret.expose()), "{printed}");
    for text in rest {
        assert!(!text.contains("client_secret") && !text.contains("pculls_"), "{text}");
    }
}

#[test]
fn names_are_taken_until_their_key_is_revoked() {
    let node = Node::with(with_declared());
    let id = node.key("Sales");
    node.create(json!({"name": "sALES"})).problem(409, "name_taken");
    node.create(json!({"name": "Data-Pipeline"})).problem(409, "name_taken");
    node.post(&format!("{KEYS}/{id}/revoke"), &json!({})).expect(200);
    node.create(json!({"name": "sales"})).expect(201);
}

#[test]
fn declared_keys_are_shown_and_change_only_in_their_file() {
    let node = Node::with(with_declared());
    let shown = node.get(&format!("{KEYS}/pcull_file")).expect(200);
    assert_eq!((&shown["managed_by"], &shown["name"]), (&json!("file"), &json!("data-pipeline")));
    for action in ["rotate", "revoke"] {
        node.post(&format!("{KEYS}/pcull_file/{action}"), &json!({})).problem(409, "managed_by_file");
    }
}

fn with_declared() -> Organization {
    let mut organization = acme();
    organization.environments[0].keys = vec![declared("pcull_file", "data-pipeline")];
    organization
}

#[test]
fn if_match_guards_a_change() {
    let node = Node::start();
    let id = node.key("a");
    let change = |action: &str, tag: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        node.send("POST", &format!("{KEYS}/{id}/{action}"), &headers, body)
    };
    let sound = r#"{"expires_at":null}"#;
    for tag in ["\"2\"", "W/\"1\"", "\"x\"", "\"\""] {
        change("rotate", tag, sound).problem(412, "revision_mismatch");
        change("revoke", tag, "").problem(412, "revision_mismatch");
    }
    for tag in ["1", "\"1\", \"2\"", "\"", ""] {
        change("rotate", tag, sound).problem(400, "malformed");
    }
    assert_eq!(live(&node, &id), Some((1, false)));
    change("rotate", "\"1\"", sound).expect(200);
    change("rotate", "*", sound).expect(200);
    change("revoke", "\"3\"", "").expect(200);
    assert_eq!(live(&node, &id), Some((3, true)));
}

#[test]
fn a_store_that_fails_leaves_everything_as_it_was() {
    let node = Node::start();
    let id = node.key("a");
    node.store.read_only.store(true, Ordering::SeqCst);
    let answers = [
        node.create(json!({"name": "b"})),
        node.post(&format!("{KEYS}/{id}/rotate"), &json!({"expires_at": null})),
        node.post(&format!("{KEYS}/{id}/revoke"), &json!({})),
    ];
    for answer in answers {
        let body = answer.problem(503, "unavailable");
        assert!(!body.to_string().contains("secret place"), "{body}");
    }
    assert_eq!((live(&node, &id), node.tables.revision()), (Some((1, false)), Revision(1)));
    node.store.read_only.store(false, Ordering::SeqCst);
    assert_eq!(node.get(KEYS).expect(200)["data"].as_array().unwrap().len(), 1);
    node.create(json!({"name": "b"})).expect(201);
}

#[test]
fn a_caller_that_goes_away_does_not_cut_a_change_in_two() {
    let node = Node::start();
    let id = node.key("a");
    node.store.delay.store(300, Ordering::SeqCst);
    let mut caller = TcpStream::connect(node.address).unwrap();
    let head = format!("POST {KEYS}/{id}/revoke HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", node.token);
    write!(caller, "{head}content-length: 0\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(caller);
    for _ in 0..100 {
        if live(&node, &id) == Some((1, true)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(live(&node, &id), Some((1, true)));
    assert_eq!(node.get(&format!("{KEYS}/{id}")).expect(200)["status"], "revoked");
}
