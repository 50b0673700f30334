//! What somebody tries who means harm: with rights that are lost meanwhile, guessed revisions, other people's
//! invitations, and a log that is to be filled or blinded. What is refused has changed nothing.

use super::*;
use portcullis::control::SignInDraft;
use portcullis::model::{AccessTokenClaims, ChainHead, TokenKind};
use portcullis::store::{AuditStore, Feed, NodeStore};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

const MEMBERS: &str = "/v1/organizations/acme/members";
const PASSWORD: &str = "correct horse battery";

impl Node {
    fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        self.ask_if(method, path, token, None, body)
    }

    fn ask_if(&self, method: &str, path: &str, token: &str, tag: Option<&str>, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json"), ("authorization", bearer.as_str())];
        headers.extend(tag.map(|tag| ("if-match", tag)));
        self.send_bare(method, path, &headers, &body.to_string())
    }

    /// Adds somebody; the member's path and the invitation.
    fn invite(&self, members: &str, token: &str, email: &str, role: &str) -> (String, String) {
        let made = self.ask("POST", members, token, &json!({"email": email, "role": role})).expect(201);
        let path = format!("{members}/{}", made["id"].as_str().unwrap());
        (path, made["invitation"].as_str().unwrap_or_default().to_owned())
    }

    fn take_up(&self, invitation: &str) -> Answer {
        let body = json!({"invitation": invitation, "password": PASSWORD}).to_string();
        self.send_bare("POST", "/v1/sessions", &[("content-type", "application/json")], &body)
    }

    /// Adds somebody who then signs in; the member's path and the session's token.
    fn invited_member(&self, email: &str, role: &str) -> (String, String) {
        let (path, invitation) = self.invite(MEMBERS, &self.token, email, role);
        let session = self.take_up(&invitation).expect(201);
        (path, session["token"].as_str().unwrap().to_owned())
    }

    fn store_revision(&self) -> u64 {
        self.runtime.block_on(self.store.revision()).unwrap().0
    }

    fn node_rows(&self) -> Vec<Value> {
        let rows = self.runtime.block_on(self.store.audit_rows(None, 0, 1000)).unwrap();
        rows.into_iter().map(|(_, text)| serde_json::from_str(&text).unwrap()).collect()
    }

    /// A request of which all but the last byte was sent.
    fn begin(&self, method: &str, path: &str, token: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let (first, _) = body.split_at(body.len() - 1);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The head is judged before the rest comes.
        std::thread::sleep(Duration::from_millis(300));
        stream
    }
}

fn end(mut stream: TcpStream) -> String {
    stream.write_all(b"}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn nobody_keeps_a_right_by_sending_slowly() {
    let node = Node::start();
    let (path, session) = node.invited_member("ada@acme.example", "admin");
    let body = json!({"email": "eve@evil.example", "role": "admin"}).to_string();
    let slow = node.begin("POST", MEMBERS, &session, &body);
    let editing =
        node.begin("POST", KEYS, &session, &json!({"name": "late", "permissions": ["cards:read"]}).to_string());
    node.ask("PATCH", &path, &node.token, &json!({"role": "viewer"})).expect(200);
    let revision = node.store_revision();
    for stream in [slow, editing] {
        let answer = end(stream);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    let slow = node.begin("POST", KEYS, &session, &json!({"name": "late", "permissions": ["cards:read"]}).to_string());
    node.ask("DELETE", &path, &node.token, &json!({}));
    let removed = node.store_revision();
    let answer = end(slow);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!((node.store_revision(), removed), (removed, revision + 1));
}

#[test]
fn a_guessed_revision_is_no_way_to_a_key_that_became_a_management_key() {
    let node = Node::start();
    let (_, editor) = node.invited_member("ed@acme.example", "editor");
    let made = node.create(json!({"name": "plain"})).expect(201);
    let path = format!("{KEYS}/{}", made["client_id"].as_str().unwrap());
    let next = format!("\"{}\"", node.store_revision() + 1);
    node.store.delay.store(1500, Ordering::SeqCst);
    let answer = std::thread::scope(|scope| {
        let (node, rotate, next) = (&node, format!("{path}/rotate"), next.as_str());
        let editor =
            scope.spawn(move || node.ask_if("POST", &rotate, &editor, Some(next), &json!({"expires_at": null})));
        std::thread::sleep(Duration::from_millis(500));
        node.store.delay.store(0, Ordering::SeqCst);
        let raised = json!({"permissions": ["portcullis:keys:edit"]});
        node.ask("PATCH", &path, &node.token, &raised).expect(200);
        editor.join().unwrap()
    });
    answer.problem(412, "revision_mismatch");
    let key = node.get(&path).expect(200);
    assert_eq!((&key["secret_version"], format!("\"{}\"", key["revision"])), (&json!(1), next));
}

#[test]
fn a_guessed_revision_is_no_way_to_a_member_who_became_an_owner() {
    let node = Node::start();
    let (_, admin) = node.invited_member("ada@acme.example", "admin");
    let (path, _) = node.invited_member("vic@acme.example", "viewer");
    let next = format!("\"{}\"", node.store_revision() + 2);
    node.store.delay.store(1500, Ordering::SeqCst);
    let answer = std::thread::scope(|scope| {
        let (node, path, next) = (&node, path.as_str(), next.as_str());
        let admin = scope.spawn(move || node.ask_if("DELETE", path, &admin, Some(next), &json!({})));
        std::thread::sleep(Duration::from_millis(500));
        node.store.delay.store(0, Ordering::SeqCst);
        // There is another owner, so that nothing but the role protects this one.
        node.ask("POST", MEMBERS, &node.token, &json!({"email": "own@acme.example", "role": "owner"})).expect(201);
        node.ask("PATCH", path, &node.token, &json!({"role": "owner"})).expect(200);
        admin.join().unwrap()
    });
    answer.problem(412, "revision_mismatch");
    let member = node.get(&path).expect(200);
    assert_eq!((&member["role"], format!("\"{}\"", member["revision"])), (&json!("owner"), next));
}

#[test]
fn an_invitation_to_one_organization_is_no_way_into_another() {
    let node = Node::start();
    let json = [("content-type", "application/json")];
    node.send("PUT", "/v1/organizations/globex", &json, r#"{"name":"Globex"}"#).expect(201);
    let globex = "/v1/organizations/globex/members";
    // Mallory looks after acme alone, and keeps an invitation that somebody else was meant to get.
    let (_, mallory) = node.invited_member("mallory@acme.example", "admin");
    let (path, invitation) = node.invite(MEMBERS, &mallory, "vic@acme.example", "viewer");
    // Grace looks after both, and adds that somebody to globex.
    let (_, grace) = node.invited_member("grace@acme.example", "admin");
    let linked = json!({"email": "grace@acme.example", "role": "admin", "link": true});
    node.ask("POST", globex, &node.token, &linked).expect(201);
    let added = node.ask("POST", globex, &grace, &json!({"email": "vic@acme.example", "role": "admin"})).expect(201);
    let revision = node.store_revision();
    node.take_up(&invitation).problem(401, "not_authenticated");
    // And no new one is made but by operators.
    for admin in [&mallory, &grace] {
        node.ask("POST", &format!("{path}/invitation"), admin, &json!({})).problem(403, "not_allowed");
    }
    assert_eq!((added.get("invitation"), node.store_revision()), (None, revision));
    let again = node.ask("POST", &format!("{path}/invitation"), &node.token, &json!({})).expect(201);
    node.take_up(again["invitation"].as_str().unwrap()).expect(201);
}

#[test]
fn what_a_caller_calls_a_method_does_not_fill_the_log() {
    let node = Node::start();
    let odd = format!("EVIL{}", "A".repeat(5000));
    for path in [KEYS, "/v1/status", "/v1/sessions"] {
        node.send_bare(&odd, path, &[], "");
    }
    node.runtime.block_on(node.control.write_refusals());
    let rows = json!(node.node_rows()).to_string();
    assert!(!rows.contains("EVIL") && rows.contains("not_authenticated"), "{}", rows.len());
}

#[test]
fn forged_bootstrap_tokens_do_not_keep_changes_waiting() {
    let node = Node::start();
    let forged = format!("{}{}", TokenKind::Operator.prefix(), "a".repeat(43));
    node.store.delay.store(60_000, Ordering::SeqCst);
    let started = std::time::Instant::now();
    let body = json!({ "token": forged }).to_string();
    let json = [("content-type", "application/json")];
    node.send_bare("POST", "/v1/sessions", &json, &body).problem(401, "not_authenticated");
    assert!(started.elapsed() < Duration::from_secs(10), "a forged token asked to write");
}

#[test]
fn a_store_that_is_away_counts_against_nobody() {
    let node = Node::start();
    let (_, _) = node.invited_member("ada@acme.example", "viewer");
    let sign_in = || {
        let body = json!({"email": "ada@acme.example", "password": PASSWORD}).to_string();
        node.send_bare("POST", "/v1/sessions", &[("content-type", "application/json")], &body)
    };
    node.store.away.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        sign_in().problem(503, "unavailable");
    }
    node.store.away.store(false, Ordering::SeqCst);
    sign_in().expect(201);
}

#[test]
fn a_short_token_makes_no_longer_one() {
    let node = Node::start();
    let (path, session) = node.invited_member("ada@acme.example", "viewer");
    let tokens = format!("{path}/tokens");
    let soon = "2030-03-17T18:46:40Z";
    let short = node.ask("POST", &tokens, &session, &json!({"name": "short", "expires_at": soon})).expect(201);
    let short = short["token"].as_str().unwrap();
    let revision = node.store_revision();
    let later = json!({"name": "longer", "expires_at": "2030-12-31T00:00:00Z"});
    let errors = node.ask("POST", &tokens, short, &later).errors();
    assert_eq!(errors, [("/expires_at".to_owned(), "expiry_too_far".to_owned())]);
    assert_eq!(node.store_revision(), revision);
    // Where nothing is said it ends with the one it was made by.
    let made = node.ask("POST", &tokens, short, &json!({"name": "successor"})).expect(201);
    assert_eq!(made["expires_at"], soon);
    node.ask("POST", &tokens, &session, &later).expect(201);
}

#[test]
fn a_row_that_says_two_things_is_no_row() {
    let node = Node::start();
    node.key("a");
    let (_, text) = node.runtime.block_on(node.store.audit_rows(Some(&id("acme")), 0, 1)).unwrap().remove(0);
    let sound = ChainHead::default().follow(&text);
    let doubled = text.replacen('{', r#"{"action":"key.edit","#, 1);
    assert!(sound.is_ok() && ChainHead::default().follow(&doubled).is_err());
    let inner = text.replacen(r#""before":null"#, r#""before":{"a":1,"a":2}"#, 1);
    assert!(ChainHead::default().follow(&inner).is_err());
}

#[test]
fn a_flood_of_strangers_hides_no_insider() {
    let node = Node::start();
    let (_, viewer) = node.invited_member("vic@acme.example", "viewer");
    for number in 0..2000_u32 {
        let attempt = portcullis::control::Attempt {
            organization: None,
            actor: Actor::Anonymous,
            address: Some(std::net::Ipv6Addr::from_bits(u128::from(number) << 64).into()),
            route: "GET /v1/status".to_owned(),
            code: "not_authenticated",
        };
        node.control.note_refused(attempt, "r");
    }
    node.ask("POST", KEYS, &viewer, &json!({"name": "a", "permissions": ["cards:read"]})).problem(403, "not_allowed");
    node.runtime.block_on(node.control.write_refusals());
    let rows = node.runtime.block_on(node.store.audit_rows(Some(&id("acme")), 0, 1000)).unwrap();
    assert!(rows.iter().any(|(_, text)| text.contains(r#""action":"refused""#) && text.contains("vic@acme.example")));
    assert!(node.node_rows().iter().filter(|row| row["action"] == "refused").count() <= 200);
}

/// A living management key's access token for the control API.
fn management_token(node: &Node, allowlist: &Value) -> String {
    let body = json!({"name": "manager", "permissions": ["portcullis:keys:edit"], "allowlist": allowlist});
    let made = node.post(KEYS, &body).expect(201);
    let claims = AccessTokenClaims {
        issuer: "http://gate.test/v1".into(),
        audience: CONTROL_URL.into(),
        client_id: ClientId::parse(made["client_id"].as_str().unwrap()).unwrap(),
        issued_at: NOON,
        expires_at: NOON.plus_seconds(60),
        token_id: "t".into(),
        secret_version: SecretVersion(1),
        scope: None,
    };
    portcullis::token::sign(&claims, node.tables.load().signing()).unwrap()
}

#[test]
fn whoever_has_no_part_in_an_organization_writes_nothing_into_its_log() {
    let node = Node::start();
    let json = [("content-type", "application/json")];
    node.send("PUT", "/v1/organizations/globex", &json, r#"{"name":"Globex"}"#).expect(201);
    let (_, viewer) = node.invited_member("vic@acme.example", "viewer");
    let far = management_token(&node, &json!({"networks": ["203.0.113.9"]}));
    for organization in ["globex", "nobody"] {
        let path = format!("/v1/organizations/{organization}");
        node.ask("PUT", &path, &viewer, &json!({"name": "Mine"})).problem(403, "not_allowed");
        node.ask("GET", &path, &far, &json!({})).problem(403, "ip_not_allowed");
        node.ask("GET", &path, &viewer, &json!({})).problem(404, "not_found");
    }
    node.runtime.block_on(node.control.write_refusals());
    for (organization, rows) in [("globex", 1), ("nobody", 0)] {
        let found = node.runtime.block_on(node.store.audit_rows(Some(&id(organization)), 0, 1000)).unwrap();
        assert_eq!(found.len(), rows, "{found:?}");
    }
    assert_eq!(node.node_rows().iter().filter(|row| row["code"] == "ip_not_allowed").count(), 1);
}

#[test]
fn a_management_key_stays_out_of_what_it_cannot_give() {
    let node = Node::start();
    let near = management_token(&node, &json!(null));
    let legacy =
        node.create(json!({"name": "old", "type": "legacy", "permissions": null, "role": "events"})).expect(201);
    let legacy = legacy["client_id"].as_str().unwrap();
    let plain = node.key("plain");
    let revision = node.store_revision();
    for (method, path, body) in [
        ("POST", format!("{KEYS}/{plain}/rotate"), json!({"expires_at": null})),
        ("POST", format!("{KEYS}/{legacy}/rotate"), json!({"expires_at": null})),
        ("POST", format!("{KEYS}/{plain}/revoke"), json!({})),
        ("PATCH", format!("{KEYS}/{plain}"), json!({"allowlist": null})),
        ("POST", KEYS.to_owned(), json!({"name": "x", "permissions": ["cards:read"]})),
        ("POST", KEYS.to_owned(), json!({"name": "x", "permissions": ["portcullis:keys:edit"]})),
        ("POST", KEYS.to_owned(), json!({"name": "x", "preset": "Read only"})),
        ("POST", KEYS.to_owned(), json!({"name": "x", "type": "legacy", "role": "events"})),
    ] {
        let errors = node.ask(method, &path, &near, &body).errors();
        assert!(errors.iter().all(|(_, code)| code == "grant_exceeds_own"), "{method} {path} {body}: {errors:?}");
    }
    node.ask("GET", MEMBERS, &near, &json!({})).problem(403, "not_allowed");
    node.ask("GET", "/v1/audit", &near, &json!({})).problem(403, "not_allowed");
    node.ask("GET", "/v1/organizations/globex", &near, &json!({})).problem(404, "not_found");
    let own = node.get(&format!("{KEYS}?q=manager")).expect(200)["data"][0]["client_id"].as_str().unwrap().to_owned();
    node.ask("POST", &format!("{KEYS}/{own}/rotate"), &near, &json!({"expires_at": null})).problem(403, "not_allowed");
    assert_eq!(node.store_revision(), revision);
}

#[test]
fn what_is_shown_to_sign_in_is_never_printed() {
    let secret = |text: &str| Some(Zeroizing::new(text.to_owned()));
    let draft = SignInDraft {
        email: Some("ada@acme.example".to_owned()),
        invitation: secret("pculli_sesame"),
        password: secret("sesame sesame"),
        token: secret("pcullo_sesame"),
    };
    assert!(!format!("{draft:?}").contains("sesame"));
}

#[test]
fn ended_sessions_and_used_invitations_stay_ended() {
    let node = Node::start();
    let (path, invitation) = node.invite(MEMBERS, &node.token, "ada@acme.example", "owner");
    let first = node.take_up(&invitation).expect(201);
    node.take_up(&invitation).problem(401, "not_authenticated");
    // An owner signed in: neither the bootstrap token nor its file is left.
    node.get("/v1/status").problem(401, "not_authenticated");
    assert!(!node.folder.path().join("bootstrap-token").exists());
    let session = first["token"].as_str().unwrap();
    node.ask("DELETE", "/v1/sessions/current", session, &json!({}));
    node.ask("GET", &path, session, &json!({})).problem(401, "not_authenticated");
    assert!(node.runtime.block_on(node.store.bootstrap_digest()).unwrap().is_some());
}
