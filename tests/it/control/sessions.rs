//! Signing in and out, and what the first owner ends.

use super::people::PASSWORD;
use super::*;
use portcullis::control::make_operator_token;
use portcullis::store::AuditStore;
use std::sync::atomic::Ordering;

#[test]
fn a_password_opens_a_session() {
    let node = Node::start();
    let (id, invitation) = node.add("acme", "ada", "editor");
    let opened = node.try_sign_in(&json!({"invitation": invitation, "password": PASSWORD})).expect(201);
    assert_eq!(opened["expires_at"], json!(NOON.plus_seconds(12 * 3600)));
    assert_eq!(opened["organizations"], json!([{"id": "acme", "role": "editor"}]));
    assert_eq!((&opened["operator"], &opened["member"]["id"]), (&json!(false), &json!(id)));
    let token = node.sign_in(&json!({"email": "ADA@acme.example", "password": PASSWORD}));
    assert!(token.starts_with("pcullse_") && token.len() == 51, "{token}");
    let current = node.send_as(&token, "GET", "/v1/sessions/current", "").expect(200);
    let actor = json!({"type": "member", "id": id, "name": "ada@acme.example"});
    assert_eq!(
        current,
        json!({"actor": actor, "operator": false, "organizations": [{"id": "acme", "role": "editor"}]})
    );
    let member = node.get(&format!("/v1/organizations/acme/members/{id}")).expect(200);
    assert_eq!((&member["last_sign_in_at"], &member["has_password"]), (&json!(NOON), &json!(true)));
    let made = node.post_as(&token, KEYS, &json!({"name": "a", "permissions": ["cards:read"]})).expect(201);
    assert_eq!(made["created_by"], "ada@acme.example");
    node.send_as(&token, "DELETE", "/v1/sessions/current", "").expect_nothing();
    node.send_as(&token, "DELETE", "/v1/sessions/current", "").problem(401, "not_authenticated");
}

#[test]
fn who_is_not_known_and_who_is_wrong_get_one_answer() {
    let node = Node::start();
    node.member("acme", "ada", "editor");
    node.add("acme", "pending", "editor");
    let mut told = std::collections::HashSet::new();
    for email in ["ada@acme.example", "pending@acme.example", "nobody@acme.example"] {
        for password in ["wrong password", "", &"x".repeat(10_000)] {
            let answer = node.try_sign_in(&json!({"email": email, "password": password}));
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            let mut body = answer.problem(401, "not_authenticated");
            body.as_object_mut().unwrap().remove("request_id");
            told.insert(body.to_string());
        }
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn credentials_are_one_of_three() {
    let node = Node::start();
    let (_, invitation) = node.add("acme", "ada", "editor");
    for (body, pointer, code) in [
        (json!({}), "", "credential_unclear"),
        (json!({"password": PASSWORD}), "", "credential_unclear"),
        (json!({"email": "ada@acme.example", "token": "x"}), "", "credential_unclear"),
        (json!({"email": "ada@acme.example", "invitation": "x", "password": "x"}), "", "credential_unclear"),
        (json!({"token": "x", "password": "x"}), "", "credential_unclear"),
        (json!({"email": "ada@acme.example"}), "/password", "password_required"),
        (json!({"invitation": "x"}), "/password", "password_required"),
        (json!({"email": "ada", "password": "x"}), "/email", "email_invalid"),
        (json!({"email": 1, "password": "x"}), "/email", "invalid_type"),
        (json!({"invitation": invitation, "password": "short"}), "/password", "password_invalid"),
        (json!({"invitation": invitation, "password": "x".repeat(201)}), "/password", "password_invalid"),
        (json!({"invitation": invitation, "password": "ADA@acme.example"}), "/password", "password_invalid"),
    ] {
        let errors = node.try_sign_in(&body).errors();
        assert!(errors.contains(&(pointer.to_owned(), code.to_owned())), "{body}: {errors:?}");
    }
    for body in [json!({"token": "x"}), json!({"token": invitation}), json!({"invitation": "x", "password": PASSWORD})]
    {
        node.try_sign_in(&body).problem(401, "not_authenticated");
    }
    node.sign_in(&json!({"invitation": invitation, "password": PASSWORD}));
    node.try_sign_in(&json!({"invitation": invitation, "password": PASSWORD})).problem(401, "not_authenticated");
}

#[test]
fn who_fails_too_often_waits_before_the_password_is_looked_at() {
    let node = Node::start();
    node.member("acme", "ada", "editor");
    node.member("acme", "eve", "editor");
    let ada = |password: &str| node.try_sign_in(&json!({"email": "ada@acme.example", "password": password}));
    let refused = (0..20).map(|_| ada("wrong password")).find(|answer| answer.status != 401).unwrap();
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=300).contains(&seconds), "{seconds}");
    refused.problem(429, "rate_limited");
    ada(PASSWORD).problem(429, "rate_limited");
    node.sign_in(&json!({"email": "eve@acme.example", "password": PASSWORD}));
    node.runtime.block_on(node.control.write_refusals());
    let rows = node.runtime.block_on(node.store.audit_rows(None, 0, 100)).unwrap();
    let rows: Vec<Value> = rows.iter().map(|(_, row)| serde_json::from_str(row).unwrap()).collect();
    for code in ["not_authenticated", "rate_limited"] {
        let row = rows.iter().find(|row| row["code"] == code).unwrap();
        assert_eq!((&row["after"]["route"], &row["address"]), (&json!("POST /v1/sessions"), &json!("127.0.0.1")));
        assert!(row["count"].as_u64().unwrap() > 1, "{row}");
    }
}

#[test]
fn the_first_owner_ends_the_bootstrap_token() {
    let node = Node::start();
    let file = node.folder.path().join("bootstrap-token");
    let session = node.sign_in(&json!({"token": node.token}));
    let current = node.send_as(&session, "GET", "/v1/sessions/current", "").expect(200);
    let actor = json!({"type": "operator", "id": null, "name": "operator"});
    assert_eq!(current, json!({"actor": actor, "operator": true, "organizations": []}));
    node.member("acme", "admin", "admin");
    assert!(file.exists() && node.get("/v1/status").status == 200);
    let (_, owner) = node.member("acme", "ada", "owner");
    assert!(!file.exists());
    for dead in [&node.token, &session] {
        node.send_as(dead, "GET", "/v1/status", "").problem(401, "not_authenticated");
    }
    node.try_sign_in(&json!({"token": node.token})).problem(401, "not_authenticated");
    node.send_as(&owner, "GET", "/v1/status", "").problem(403, "not_allowed");
    let made = ensure_bootstrap_token(node.store.as_ref(), node.folder.path(), NOON);
    assert_eq!(node.runtime.block_on(made).unwrap(), None, "the next start makes no new one");
    node.store.away.store(true, Ordering::SeqCst);
    node.send_as(&node.token, "GET", "/v1/status", "").problem(401, "not_authenticated");
}

#[test]
fn a_lost_operator_token_is_made_anew_beside_the_running_node() {
    let node = Node::start();
    let file = node.folder.path().join("bootstrap-token");
    node.member("acme", "ada", "owner");
    let made = make_operator_token(node.store.as_ref(), node.folder.path(), NOON);
    let token = node.runtime.block_on(made).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), token.expose());
    assert_eq!(node.send_as(token.expose(), "GET", "/v1/status", "").status, 200);
    let made = make_operator_token(node.store.as_ref(), node.folder.path(), NOON);
    let newer = node.runtime.block_on(made).unwrap();
    node.send_as(token.expose(), "GET", "/v1/status", "").problem(401, "not_authenticated");
    let rows = node.send_as(newer.expose(), "GET", "/v1/audit?action=bootstrap.make", "").expect(200);
    assert_eq!(rows["data"].as_array().unwrap().len(), 3);
    node.store.read_only.store(true, Ordering::SeqCst);
    let refused = node.runtime.block_on(make_operator_token(node.store.as_ref(), node.folder.path(), NOON));
    assert!(refused.is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), newer.expose(), "the one before still counts");
    assert_eq!(
        std::fs::read_dir(node.folder.path())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().contains("bootstrap") })
            .count(),
        1
    );
}

#[test]
fn what_is_idle_for_too_long_has_ended() {
    let node = Node::start();
    node.member("acme", "ada", "editor");
    node.send_as(&node.old_session("ada"), "GET", "/v1/sessions/current", "").problem(401, "not_authenticated");
}

#[test]
fn nothing_that_opens_anything_is_kept() {
    let node = Node::start();
    let (ada, session) = node.member("acme", "ada", "editor");
    let (_, invitation) = node.add("acme", "eve", "editor");
    let token = node.member_token("acme", &ada)["token"].as_str().unwrap().to_owned();
    node.try_sign_in(&json!({"email": "ada@acme.example", "password": "a wrong canary"}))
        .problem(401, "not_authenticated");
    node.runtime.block_on(node.control.write_refusals());
    let secrets = [PASSWORD, "a wrong canary", &session, &invitation, &token];
    for entry in std::fs::read_dir(node.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
}

#[test]
fn while_the_store_is_away_nobody_signs_in() {
    let node = Node::start();
    let (_, session) = node.member("acme", "ada", "editor");
    node.store.away.store(true, Ordering::SeqCst);
    for body in [json!({"email": "ada@acme.example", "password": PASSWORD}), json!({"token": node.token})] {
        node.try_sign_in(&body).problem(503, "unavailable");
    }
    node.send_as(&session, "GET", "/v1/sessions/current", "").problem(503, "unavailable");
}

#[test]
fn what_asks_for_no_token_takes_a_short_body() {
    let node = Node::start();
    let sign_in = |filling: usize| {
        let body = json!({"email": "a@acme.example", "password": "x".repeat(filling)}).to_string();
        let headers = [("content-type", "application/json")];
        (body.len(), node.send_bare("POST", "/v1/sessions", &headers, &body))
    };
    let (empty, _) = sign_in(0);
    let (bytes, longest) = sign_in(64 * 1024 - empty);
    assert_eq!((bytes, longest.status == 413), (64 * 1024, false), "{longest:?}");
    let (_, longer) = sign_in(64 * 1024 - empty + 1);
    assert!(longer.problem(413, "body_too_large")["detail"].as_str().unwrap().contains("64 KiB"));
}
