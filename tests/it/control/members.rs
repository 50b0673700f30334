//! Members: who may add, change, invite and remove whom, and their tokens for scripts.

use super::people::PASSWORD;
use super::*;

const MEMBERS: &str = "/v1/organizations/acme/members";

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A node of two organizations.
fn two() -> Node {
    let node = Node::start();
    let made =
        node.send("PUT", "/v1/organizations/other", &[("content-type", "application/json")], "{\"name\":\"Other\"}");
    assert_eq!(made.status, 201);
    node
}

#[test]
fn a_member_is_added_shown_changed_and_removed() {
    let node = Node::start();
    let body = json!({"email": " Ada@Acme.example ", "name": "Ada", "role": "editor"});
    let added = node.post(MEMBERS, &body);
    assert_eq!(added.header("etag"), format!("\"{}\"", added.json()["revision"]));
    let mut added = added.expect(201);
    let members = added.as_object_mut().unwrap();
    let invitation = text(&members.remove("invitation").unwrap());
    assert!(invitation.starts_with("pculli_") && invitation.len() == 50, "{invitation}");
    assert_eq!(members.remove("invitation_expires_at").unwrap(), json!(NOON.plus_seconds(7 * 86_400)));
    assert_eq!(
        added,
        json!({"id": added["id"], "email": "Ada@Acme.example", "name": "Ada", "role": "editor", "operator": false,
            "has_password": false, "created_at": NOON, "last_sign_in_at": null, "revision": 1})
    );
    let path = format!("{MEMBERS}/{}", text(&added["id"]));
    assert_eq!(node.get(&path).expect(200), added);
    assert_eq!(node.get(MEMBERS).expect(200), json!({"data": [added], "next_cursor": null}));
    let patch = |body: &str, tag: &str| {
        node.send("PATCH", &path, &[("content-type", "application/json"), ("if-match", tag)], body)
    };
    let changed = patch("{\"role\":\"admin\",\"name\":null}", "\"1\"").expect(200);
    assert_eq!((&changed["role"], &changed["name"], &changed["revision"]), (&json!("admin"), &json!(""), &json!(2)));
    patch("{\"role\":\"viewer\"}", "\"1\"").problem(412, "revision_mismatch");
    assert_eq!(
        patch("{\"role\":null,\"operator\":1,\"email\":\"x\",\"x\":1}", "*").errors(),
        [
            ("/role", "invalid_type"),
            ("/operator", "invalid_type"),
            ("/email", "field_immutable"),
            ("/x", "field_unknown")
        ]
        .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    );
    node.send("DELETE", &path, &[("if-match", "\"1\"")], "").problem(412, "revision_mismatch");
    node.send("DELETE", &path, &[], "").expect_nothing();
    node.get(&path).problem(404, "not_found");
    node.try_sign_in(&json!({"invitation": invitation, "password": PASSWORD})).problem(401, "not_authenticated");
}

#[test]
fn each_error_of_adding_has_its_place() {
    let node = Node::start();
    let sound = |more: Value| {
        let mut body = json!({"email": "ada@acme.example", "role": "viewer"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, pointer, code) in [
        (json!({"role": "viewer"}), "/email", "email_required"),
        (json!({"email": "ada@acme.example"}), "/role", "role_required"),
        (sound(json!({"email": "ada"})), "/email", "email_invalid"),
        (sound(json!({"role": "Owner"})), "/role", "role_unknown"),
        (sound(json!({"role": 1})), "/role", "invalid_type"),
        (sound(json!({"link": 1})), "/link", "invalid_type"),
        (sound(json!({"name": "a\nb"})), "/name", "name_invalid"),
        (sound(json!({"name": "x".repeat(101)})), "/name", "name_invalid"),
        (sound(json!({"password": PASSWORD})), "/password", "field_unknown"),
    ] {
        let errors = node.post(MEMBERS, &body).errors();
        assert!(errors.contains(&(pointer.to_owned(), code.to_owned())), "{body}: {errors:?}");
    }
    assert_eq!(node.post(MEMBERS, &sound(json!({"name": "x".repeat(100)}))).status, 201);
    node.post(MEMBERS, &sound(json!({"email": "ADA@acme.EXAMPLE"}))).problem(409, "email_taken");
}

#[test]
fn owners_answer_to_owners_alone() {
    let node = Node::start();
    let (_, admin) = node.member("acme", "admin", "admin");
    let (pending, _) = node.add("acme", "pending", "owner");
    let (ada, owner) = node.member("acme", "ada", "owner");
    let (path, pending) = (format!("{MEMBERS}/{ada}"), format!("{MEMBERS}/{pending}"));
    let (viewer, _) = node_add_as(&owner, &node, "viewer", "viewer");
    let viewer = format!("{MEMBERS}/{viewer}");
    for (method, path, body) in [
        ("POST", MEMBERS, "{\"email\":\"new@acme.example\",\"role\":\"owner\"}"),
        ("PATCH", &viewer, "{\"role\":\"owner\"}"),
        ("PATCH", &path, "{\"role\":\"viewer\"}"),
        ("PATCH", &path, "{\"name\":\"x\"}"),
        ("DELETE", &path, ""),
        ("POST", &format!("{pending}/invitation"), ""),
        ("POST", &format!("{path}/tokens"), "{\"name\":\"x\"}"),
        ("PATCH", &viewer, "{\"operator\":true}"),
        ("POST", MEMBERS, "{\"email\":\"new@acme.example\",\"role\":\"viewer\",\"operator\":true}"),
    ] {
        node.send_as(&admin, method, path, body).problem(403, "not_allowed");
    }
    node.send_as(&owner, "PATCH", &viewer, "{\"operator\":true}").problem(403, "not_allowed");
    node.send_as(&owner, "PATCH", &viewer, "{\"operator\":false}").expect(200);
    node.send_as(&owner, "DELETE", &pending, "").expect_nothing();
    for (method, body) in [("PATCH", "{\"role\":\"admin\"}"), ("DELETE", "")] {
        node.send_as(&owner, method, &path, body).problem(409, "last_owner");
    }
    node.send_as(&owner, "PATCH", &viewer, "{\"role\":\"owner\"}").expect(200);
    node.send_as(&owner, "DELETE", &path, "").expect_nothing();
    node.send_as(&owner, "GET", MEMBERS, "").problem(401, "not_authenticated");
}

/// The same as `Node::add`, once the bootstrap token has ended.
fn node_add_as(token: &str, node: &Node, name: &str, role: &str) -> (String, String) {
    let body = json!({"email": format!("{name}@acme.example"), "role": role});
    let made = node.post_as(token, MEMBERS, &body).expect(201);
    (text(&made["id"]), text(&made["invitation"]))
}

#[test]
fn nobody_gets_into_another_organization_by_an_invitation() {
    let node = two();
    let other = "/v1/organizations/other/members";
    let (_, stranger) = node.member("other", "stranger", "admin");
    let (pending, _) = node.add("acme", "pending", "admin");
    let body = json!({"email": "pending@acme.example", "role": "viewer"});
    node.post_as(&stranger, other, &body).problem(409, "email_taken");
    // Somebody of both may add, and gets no invitation; nor does anybody else from then on but operators.
    let (both, session) = node.member("acme", "both", "admin");
    let linked = node.post(other, &json!({"email": "both@acme.example", "role": "admin", "link": true})).expect(201);
    assert_eq!((text(&linked["id"]), linked.get("invitation"), &linked["has_password"]), (both, None, &json!(true)));
    let added = node.post_as(&session, other, &body).expect(201);
    assert_eq!((text(&added["id"]), added.get("invitation")), (pending.clone(), None));
    for organization in ["acme", "other"] {
        let path = format!("/v1/organizations/{organization}/members/{pending}/invitation");
        node.send_as(&session, "POST", &path, "").problem(403, "not_allowed");
    }
    let path = format!("{other}/{pending}/invitation");
    assert!(node.post(&path, &json!({})).expect(201)["invitation"].is_string());
    node.send_as(&stranger, "POST", &path, "").problem(403, "not_allowed");
}

#[test]
fn an_operator_in_no_list_is_made_by_operators_alone() {
    let node = two();
    let other = "/v1/organizations/other/members";
    let (_, admin) = node.member("acme", "admin", "admin");
    let body = json!({"email": "op@acme.example", "role": "viewer", "operator": true});
    let op = text(&node.post(MEMBERS, &body).expect(201)["id"]);
    let path = format!("{MEMBERS}/{op}");
    let refused = node.send_as(&admin, "DELETE", &path, "");
    assert!(text(&refused.json()["detail"]).contains("nobody could list them"), "{refused:?}");
    refused.problem(403, "not_allowed");
    assert_eq!(node.get(&path).expect(200)["operator"], true);
    // Who is in another list, or no operator any more, is removed like everybody else.
    node.post(other, &json!({"email": "op@acme.example", "role": "none"})).expect(201);
    node.send_as(&admin, "DELETE", &path, "").expect_nothing();
    node.post(MEMBERS, &json!({"email": "op@acme.example", "role": "viewer"})).expect(201);
    node.send("DELETE", &format!("{other}/{op}"), &[], "").expect_nothing();
    node.send_as(&admin, "DELETE", &path, "").problem(403, "not_allowed");
    node.send("PATCH", &path, &[("content-type", "application/json")], "{\"operator\":false}").expect(200);
    node.send_as(&admin, "DELETE", &path, "").expect_nothing();
    // Operators may.
    let op = text(&node.post(MEMBERS, &body).expect(201)["id"]);
    node.send("DELETE", &format!("{MEMBERS}/{op}"), &[], "").expect_nothing();
}

#[test]
fn an_address_that_was_claimed_elsewhere_is_linked_only_by_who_says_so() {
    let node = two();
    let other = "/v1/organizations/other/members";
    let (_, admin) = node.member("acme", "admin", "admin");
    // Whoever invites an address holds the invitation, and may set the password.
    let claimed = node.post_as(&admin, MEMBERS, &json!({"email": "ceo@other.example", "role": "viewer"})).expect(201);
    let session = node.sign_in(&json!({"invitation": claimed["invitation"], "password": PASSWORD}));
    let owner = |more: Value| {
        let mut body = json!({"email": "CEO@other.example", "role": "owner"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        node.post(other, &body)
    };
    for more in [json!({}), json!({"link": false}), json!({"link": null}), json!({"operator": true})] {
        let refused = owner(more);
        assert!(text(&refused.json()["detail"]).contains("a member of `acme`"), "{refused:?}");
        refused.problem(409, "email_taken");
    }
    node.send_as(&session, "GET", "/v1/organizations/other", "").problem(404, "not_found");
    assert_eq!(node.get(other).expect(200)["data"], json!([]));
    // Nobody else gets anywhere by saying so.
    let (_, stranger) = node.member("other", "stranger", "admin");
    let body = json!({"email": "ceo@other.example", "role": "viewer", "link": true});
    node.post_as(&stranger, other, &body).problem(409, "email_taken");
    let linked = owner(json!({"link": true})).expect(201);
    assert_eq!((&linked["id"], linked.get("invitation")), (&claimed["id"], None));
    owner(json!({"link": true})).problem(409, "email_taken");
    // Who never had a password gets it by the operator's invitation, and the one before has ended.
    let pending = node.post_as(&admin, MEMBERS, &json!({"email": "cfo@other.example", "role": "viewer"})).expect(201);
    let added = node.post(other, &json!({"email": "cfo@other.example", "role": "viewer"})).expect(201);
    assert_eq!(added["id"], pending["id"]);
    let stale = json!({"invitation": pending["invitation"], "password": PASSWORD});
    node.try_sign_in(&stale).problem(401, "not_authenticated");
    node.sign_in(&json!({"invitation": added["invitation"], "password": PASSWORD}));
}

#[test]
fn an_address_tells_nothing_of_another_organization() {
    let node = two();
    let other = "/v1/organizations/other/members";
    let (_, admin) = node.member("acme", "admin", "admin");
    node.add("acme", "mine", "viewer");
    node.add("other", "pending", "viewer");
    node.member("other", "theirs", "admin");
    node.post(other, &json!({"email": "op@acme.example", "role": "none", "operator": true})).expect(201);
    let mut details = std::collections::BTreeSet::new();
    for name in ["mine", "pending", "theirs", "op"] {
        for operator in [None, Some(false), Some(true)] {
            let mut body = json!({"email": format!("{name}@acme.example"), "role": "viewer"});
            body.as_object_mut().unwrap().extend(operator.map(|operator| ("operator".to_owned(), json!(operator))));
            let answer = node.post_as(&admin, MEMBERS, &body);
            let shown = answer.json();
            answer.problem(409, "email_taken");
            details.insert(text(&shown["detail"]));
        }
    }
    assert_eq!(details.len(), 1, "{details:?}");
    assert!(!details.first().unwrap().contains("other"), "{details:?}");
}

#[test]
fn who_has_a_password_is_invited_by_operators_alone() {
    let node = Node::start();
    let (_, admin) = node.member("acme", "admin", "admin");
    let (ada, session) = node.member("acme", "ada", "viewer");
    let path = format!("{MEMBERS}/{ada}/invitation");
    node.send_as(&admin, "POST", &path, "").problem(409, "password_set");
    let invited = node.post(&path, &json!({})).expect(201);
    assert_eq!(node.send_as(&session, "GET", "/v1/sessions/current", "").status, 200, "nothing has changed yet");
    let new = json!({"invitation": invited["invitation"], "password": "another long password"});
    node.sign_in(&new);
    node.send_as(&session, "GET", "/v1/sessions/current", "").problem(401, "not_authenticated");
    let old = json!({"email": "ada@acme.example", "password": PASSWORD});
    node.try_sign_in(&old).problem(401, "not_authenticated");
    let (pending, first) = node.add("acme", "pending", "viewer");
    let again = node.send_as(&admin, "POST", &format!("{MEMBERS}/{pending}/invitation"), "").expect(201);
    assert_ne!(text(&again["invitation"]), first);
    node.try_sign_in(&json!({"invitation": first, "password": PASSWORD})).problem(401, "not_authenticated");
    node.sign_in(&json!({"invitation": again["invitation"], "password": PASSWORD}));
}

#[test]
fn a_token_carries_the_live_role_and_ends() {
    let node = two();
    let (ada, session) = node.member("acme", "ada", "editor");
    let (eve, _) = node.member("acme", "eve", "viewer");
    let linked = json!({"email": "ada@acme.example", "role": "admin", "link": true});
    node.post("/v1/organizations/other/members", &linked).expect(201);
    let tokens = format!("{MEMBERS}/{ada}/tokens");
    let made = node.post_as(&session, &tokens, &json!({"name": "nightly"})).expect(201);
    assert_eq!(made["expires_at"], json!(NOON.plus_seconds(90 * 86_400)));
    let token = text(&made["token"]);
    assert!(token.starts_with("pcullm_") && token.len() == 50, "{token}");
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("token");
    assert_eq!(shown["last_used_at"], json!(null));
    let current = node.send_as(&token, "GET", "/v1/sessions/current", "").expect(200);
    assert_eq!(current["organizations"], json!([{"id": "acme", "role": "editor"}]));
    node.send_as(&token, "GET", "/v1/organizations/other", "").problem(404, "not_found");
    node.send_as(&token, "DELETE", "/v1/sessions/current", "").problem(404, "not_found");
    node.post_as(&session, &format!("{MEMBERS}/{eve}/tokens"), &json!({"name": "x"})).problem(403, "not_allowed");
    node.send_as(&session, "GET", &format!("{MEMBERS}/{eve}/tokens"), "").problem(403, "not_allowed");
    let member = format!("{MEMBERS}/{ada}");
    node.send("PATCH", &member, &[("content-type", "application/json")], "{\"role\":\"none\"}").expect(200);
    node.send_as(&token, "GET", KEYS, "").problem(403, "not_allowed");
    node.send_as(&session, "GET", &tokens, "").problem(403, "not_allowed");
    let path = format!("{tokens}/{}", text(&made["id"]));
    node.send("DELETE", &path, &[], "").expect_nothing();
    node.send("DELETE", &path, &[], "").problem(404, "not_found");
    node.send_as(&token, "GET", "/v1/sessions/current", "").problem(401, "not_authenticated");
}

#[test]
fn tokens_need_a_name_and_an_end() {
    let node = Node::start();
    let (ada, _) = node.add("acme", "ada", "viewer");
    let tokens = format!("{MEMBERS}/{ada}/tokens");
    let year = 366 * 86_400;
    for (body, pointer, code) in [
        (json!({}), "/name", "name_required"),
        (json!({"name": " "}), "/name", "name_required"),
        (json!({"name": "a\u{202e}b"}), "/name", "name_invalid"),
        (json!({"name": "a", "expires_at": "tomorrow"}), "/expires_at", "expiry_invalid"),
        (json!({"name": "a", "expires_at": NOON}), "/expires_at", "expiry_in_the_past"),
        (json!({"name": "a", "expires_at": NOON.plus_seconds(year + 1)}), "/expires_at", "expiry_too_far"),
    ] {
        assert_eq!(node.post(&tokens, &body).errors(), [(pointer.to_owned(), code.to_owned())], "{body}");
    }
    for seconds in [1, year] {
        node.post(&tokens, &json!({"name": "a", "expires_at": NOON.plus_seconds(seconds)})).expect(201);
    }
    assert_eq!(node.get(&tokens).expect(200)["data"].as_array().unwrap().len(), 2);
}

#[test]
fn a_repetition_is_done_once_and_shows_no_secret() {
    let node = Node::start();
    let once = |path: &str, key: &str, body: &Value| {
        node.send("POST", path, &[("content-type", "application/json"), ("idempotency-key", key)], &body.to_string())
    };
    let body = json!({"email": "ada@acme.example", "role": "viewer"});
    let first = once(MEMBERS, "1", &body).expect(201);
    let again = once(MEMBERS, "1", &body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let again = again.expect(201);
    assert_eq!((&again["id"], again.get("invitation")), (&first["id"], None));
    once(MEMBERS, "1", &json!({"email": "eve@acme.example", "role": "viewer"})).problem(422, "idempotency_key_reused");
    let member = format!("{MEMBERS}/{}", text(&first["id"]));
    for (path, body, secret) in [
        (format!("{member}/tokens"), json!({"name": "x"}), "token"),
        (format!("{member}/invitation"), json!({}), "invitation"),
    ] {
        let first = once(&path, "2", &body);
        let first = if secret == "token" { first.expect(201) } else { once(&path, "3", &body).expect(201) };
        assert!(first[secret].is_string(), "{first}");
        let again = once(&path, if secret == "token" { "2" } else { "3" }, &body);
        assert_eq!(again.header("idempotency-replayed"), "true", "{path}");
        let again = again.expect(201);
        assert_eq!((&again["id"], again.get(secret)), (&first["id"], None));
    }
    assert_eq!(node.get(&format!("{member}/tokens")).expect(200)["data"].as_array().unwrap().len(), 1);
}

#[test]
fn lists_go_on_where_they_stopped() {
    let node = Node::start();
    let ids: Vec<String> = (0..5).map(|number| node.add("acme", &format!("n{number}"), "none").0).collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = node.get(&format!("{MEMBERS}?limit=2{cursor}")).expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|member| text(&member["id"])));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ids);
    node.get(&format!("{MEMBERS}?cursor=x")).problem(400, "malformed");
    node.get(&format!("{MEMBERS}?q=ada")).errors();
}
