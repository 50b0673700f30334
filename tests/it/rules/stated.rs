//! S1 to S17.

use super::*;
use crate::harness::{BASE_URL, eventually, seconds_from_now};
use crate::process::Wire;

#[test]
fn s01_client_credentials_make_a_token_that_opens_the_api() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let answer = token_request(&gateway, &key, "").send().expect(200);
    assert_eq!(
        (answer.header("cache-control"), answer.json()["token_type"].as_str()),
        (Some("no-store"), Some("Bearer"))
    );
    passes(&gateway.get("/cards").bearer(answer.json()["access_token"].as_str().unwrap()));
}

#[test]
fn s02_a_token_works_in_its_own_environment_only() {
    let gateway = gateway();
    let token = token_of(&gateway, &make(&gateway, reader("one")));
    passes(&gateway.get("/cards").bearer(&token));
    refused(&gateway, &gateway.get("").target("/v1/staging/cards").bearer(&token), 401, "wrong_environment");
    refused(&gateway, &gateway.get("").target("/elsewhere/cards").bearer(&token), 404, "environment_unknown");
}

#[test]
fn s03_the_base_url_token_url_and_issuer_are_shown() {
    let gateway = gateway();
    let shown = control(&gateway, "GET", &format!("{ORGANIZATION}/environments/production"), Value::Null, 200);
    assert_eq!(
        (text(&shown, "base_url"), text(&shown, "token_url"), text(&shown, "issuer")),
        (BASE_URL, format!("{BASE_URL}/oauth2/token").as_str(), BASE_URL)
    );
    assert_eq!(
        text(&shown, "curl"),
        format!("curl -u CLIENT_ID -d grant_type=client_credentials {BASE_URL}/oauth2/token")
    );
    let metadata = gateway.get("").target("/.well-known/oauth-authorization-server/v1/production").send().expect(200);
    assert_eq!(metadata.json()["issuer"], BASE_URL);
}

#[test]
fn s04_credentials_are_listed_shown_created_edited_rotated_and_revoked() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let path = path_of(&key);
    let listed = control(&gateway, "GET", &format!("{KEYS}?q=one"), Value::Null, 200);
    assert_eq!(text(&listed["data"][0], "client_id"), text(&key, "client_id"));
    let edited = control(&gateway, "PATCH", &path, json!({"name": "two", "permissions": ["files:read"]}), 200);
    assert_eq!((text(&edited, "name"), &edited["permissions"]), ("two", &json!(["files:read"])));
    assert_eq!(control(&gateway, "GET", &path, Value::Null, 200), edited);
    let rotated = control(&gateway, "POST", &format!("{path}/rotate"), json!({"expires_at": null}), 200);
    assert_eq!(rotated["secret_version"], 2);
    let revoked = control(&gateway, "POST", &format!("{path}/revoke"), json!({}), 200);
    assert_eq!(text(&revoked, "status"), "revoked");
}

#[test]
fn s05_members_see_and_change_keys_by_their_role() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let policy = json!({"policies": {"block_legacy_keys": true}});
    // What each role may: see keys, change keys, set policies.
    for (role, sees, changes, manages) in [
        ("owner", true, true, true),
        ("admin", true, true, true),
        ("editor", true, true, false),
        ("viewer", true, false, false),
        ("none", false, false, false),
    ] {
        let session = sign_in(&gateway, role);
        let may = |allowed: bool, method: &str, path: &str, body: &Value| {
            let revision = || control(&gateway, "GET", "/v1/status", Value::Null, 200)["store_revision"].clone();
            let before = revision();
            let (status, answer) = gateway.control_as(&session, method, path, body);
            assert_eq!(status < 300, allowed, "{role} {method} {path} -> {answer}");
            if !allowed {
                assert_eq!((status, text(&answer, "code"), before), (403, "not_allowed", revision()), "{role} {path}");
            }
        };
        may(sees, "GET", KEYS, &Value::Null);
        may(sees, "GET", &path_of(&key), &Value::Null);
        may(changes, "POST", KEYS, &reader(&format!("by {role}")));
        may(changes, "PATCH", &path_of(&key), &json!({ "description": role }));
        may(manages, "PATCH", ORGANIZATION, &policy);
        may(manages, "GET", &format!("{ORGANIZATION}/audit"), &Value::Null);
    }
}

/// A member of this role, who accepted the invitation: the session's token. Owners come from a token for scripts, so
/// that the operator's own token goes on working.
fn sign_in(gateway: &Gateway, role: &str) -> String {
    let members = format!("{ORGANIZATION}/members");
    let new = json!({"email": format!("{role}@acme.example"), "name": role, "role": role});
    let member = control(gateway, "POST", &members, new, 201);
    if role == "owner" {
        let tokens = format!("{members}/{}/tokens", text(&member, "id"));
        let token = control(gateway, "POST", &tokens, json!({"name": "script"}), 201);
        return text(&token, "token").to_owned();
    }
    let body = json!({"invitation": member["invitation"], "password": "correct horse battery staple"});
    let (status, session) = gateway.control_as("none", "POST", "/v1/sessions", &body);
    assert_eq!(status, 201, "{session}");
    text(&session, "token").to_owned()
}

#[test]
fn s06_a_key_opens_exactly_what_was_chosen() {
    let gateway = gateway();
    let token = token_of(&gateway, &make(&gateway, reader("one")));
    passes(&gateway.get("/cards").bearer(&token));
    refused(&gateway, &gateway.post("/cards").bearer(&token), 403, "permission_missing");
    refused(&gateway, &gateway.get("/files/a").bearer(&token), 403, "permission_missing");
    refused(&gateway, &gateway.get("/unknown").bearer(&token), 403, "operation_unknown");
    let none = control(&gateway, "POST", KEYS, json!({"name": "none", "permissions": []}), 422);
    assert_eq!(errors(&none), [("/permissions", "permission_required")]);
}

#[test]
fn s07_a_key_starts_from_a_preset_and_is_adjusted() {
    let gateway = gateway();
    let key = make(&gateway, json!({"name": "one", "preset": "Read only"}));
    assert_eq!(key["permissions"], json!(["cards:read", "files:read"]));
    let adjusted = json!({"name": "two", "preset": "Read only", "permissions": ["cards:read", "cards:write"]});
    let key = make(&gateway, adjusted);
    let token = token_of(&gateway, &key);
    passes(&gateway.post("/cards").bearer(&token));
    refused(&gateway, &gateway.get("/files/a").bearer(&token), 403, "permission_missing");
    let unknown = control(&gateway, "POST", KEYS, json!({"name": "x", "preset": "None"}), 422);
    assert_eq!(errors(&unknown), [("/preset", "preset_unknown")]);
}

#[test]
fn s08_expiry_ends_requests_and_token_requests_and_changes_by_rotation_alone() {
    let gateway = gateway();
    let key = make(&gateway, json!({"name": "one", "permissions": ["cards:read"], "expires_at": seconds_from_now(2)}));
    let path = path_of(&key);
    let token = token_of(&gateway, &key);
    let edit = control(&gateway, "PATCH", &path, json!({"expires_at": seconds_from_now(9000)}), 422);
    assert_eq!(errors(&edit), [("/expires_at", "field_immutable")]);
    // The token ends with its key, to the second.
    eventually("the key ends", || {
        let response = gateway.get("/cards").bearer(&token).send();
        (response.status == 401).then(|| assert_eq!(response.header("portcullis-error"), Some("token_expired")))
    });
    refused(&gateway, &token_request(&gateway, &key, ""), 401, "key_expired");
    assert_eq!(text(&control(&gateway, "GET", &path, Value::Null, 200), "status"), "expired");
    let rotated =
        control(&gateway, "POST", &format!("{path}/rotate"), json!({"expires_at": seconds_from_now(9000)}), 200);
    passes(&gateway.get("/cards").bearer(&token_of(&gateway, &rotated)));
}

#[test]
fn s09_a_maximum_lifetime_requires_and_bounds_the_expiry() {
    let gateway = gateway();
    let old = make(&gateway, reader("old"));
    let policy = json!({"policies": {"max_key_lifetime": "30d"}});
    let organization = control(&gateway, "PATCH", ORGANIZATION, policy, 200);
    assert_eq!(text(&organization["policies"], "max_key_lifetime"), "30d");
    // The declared keys of the file do not count: they obey the file's own policy.
    assert_eq!(organization["exceeding"]["max_key_lifetime"], 1);
    let expiring = |expires_at: Value| json!({"name": "new", "permissions": ["cards:read"], "expires_at": expires_at});
    let legacy =
        |expires_at: Value| json!({"name": "new", "type": "legacy", "role": "events", "expires_at": expires_at});
    for body in [expiring(Value::Null), legacy(Value::Null)] {
        let refused = control(&gateway, "POST", KEYS, body, 422);
        assert_eq!(errors(&refused), [("/expires_at", "expiry_required")]);
    }
    let late = json!(seconds_from_now(31 * 86_400));
    for body in [expiring(late.clone()), legacy(late.clone())] {
        let refused = control(&gateway, "POST", KEYS, body, 422);
        assert_eq!(errors(&refused), [("/expires_at", "expiry_too_far")]);
    }
    let rotate = format!("{}/rotate", path_of(&old));
    let refused = control(&gateway, "POST", &rotate, json!({"expires_at": null}), 422);
    assert_eq!(errors(&refused), [("/expires_at", "expiry_required")]);
    let refused = control(&gateway, "POST", &rotate, json!({"expires_at": late}), 422);
    assert_eq!(errors(&refused), [("/expires_at", "expiry_too_far")]);
    // What exists stays as it is, and works.
    passes(&gateway.get("/cards").bearer(&token_of(&gateway, &old)));
    control(&gateway, "POST", &rotate, json!({"expires_at": seconds_from_now(29 * 86_400)}), 200);
    assert_eq!(control(&gateway, "GET", ORGANIZATION, Value::Null, 200)["exceeding"]["max_key_lifetime"], 0);
}

#[test]
fn s10_an_address_outside_the_allowlist_is_refused_even_with_a_valid_token() {
    let gateway = gateway();
    let allowlist = json!({"networks": ["127.0.0.2", "127.0.0.16/28"]});
    let key = make(&gateway, json!({"name": "one", "permissions": ["cards:read"], "allowlist": allowlist}));
    let token = token_request(&gateway, &key, "").from("127.0.0.2").send().expect(200).json();
    let token = text(&token, "access_token");
    for inside in ["127.0.0.2", "127.0.0.16", "127.0.0.31"] {
        passes(&gateway.get("/cards").bearer(token).from(inside));
    }
    for outside in ["127.0.0.1", "127.0.0.3", "127.0.0.15", "127.0.0.32"] {
        let response = refused(&gateway, &gateway.get("/cards").bearer(token).from(outside), 403, "ip_not_allowed");
        assert!(response.text().contains(outside), "{}", response.text());
    }
}

#[test]
fn s11_the_platform_switch_follows_the_platforms_list() {
    let gateway = gateway();
    let allowlist = json!({"networks": [], "platform": true});
    let key = make(&gateway, json!({"name": "one", "permissions": ["cards:read"], "allowlist": allowlist}));
    let token = token_request(&gateway, &key, "").from("127.0.0.65").send().expect(200).json();
    let token = text(&token, "access_token");
    passes(&gateway.get("/cards").bearer(token).from("127.0.0.65"));
    refused(&gateway, &gateway.get("/cards").bearer(token).from("127.0.0.2"), 403, "ip_not_allowed");
    gateway.edit_tenant(|file| file.replace("127.0.0.64/26", "127.0.0.2"));
    control(&gateway, "POST", "/v1/reload", Value::Null, 200);
    passes(&gateway.get("/cards").bearer(token).from("127.0.0.2"));
    refused(&gateway, &gateway.get("/cards").bearer(token).from("127.0.0.65"), 403, "ip_not_allowed");
}

#[test]
fn s12_a_secret_is_shown_once() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let path = path_of(&key);
    let secret = text(&key, "client_secret");
    let rotated = control(&gateway, "POST", &format!("{path}/rotate"), json!({"expires_at": null}), 200);
    let secrets = [secret, text(&rotated, "client_secret")];
    let audit = format!("{ORGANIZATION}/audit");
    for place in [path.as_str(), KEYS, ORGANIZATION, &audit] {
        let shown = control(&gateway, "GET", place, Value::Null, 200).to_string();
        for secret in secrets {
            assert!(!shown.contains(secret), "{place}");
        }
    }
    for secret in secrets {
        assert!(!gateway.stderr().contains(secret) && !gateway.stdout().contains(secret));
        let kept = std::fs::read(gateway.dir().join("data/portcullis.db")).unwrap();
        assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[test]
fn s13_legacy_keys_hold_a_role_and_an_operation_may_be_in_several() {
    let gateway = gateway();
    let legacy = |name: &str, role: &str| make(&gateway, json!({"name": name, "type": "legacy", "role": role}));
    let events = legacy("events", "events");
    assert_eq!((&events["permissions"], text(&events, "role")), (&Value::Null, "events"));
    let (events, clerk) = (token_of(&gateway, &events), token_of(&gateway, &legacy("clerk", "clerk")));
    passes(&gateway.get("/cards").bearer(&events));
    passes(&gateway.get("/cards").bearer(&clerk));
    passes(&gateway.post("/cards").bearer(&clerk));
    refused(&gateway, &gateway.post("/cards").bearer(&events), 403, "permission_missing");
    // The role is read live.
    gateway.edit_tenant(|file| file.replace("events = [\"cards:read\"]", "events = [\"files:read\"]"));
    control(&gateway, "POST", "/v1/reload", Value::Null, 200);
    refused(&gateway, &gateway.get("/cards").bearer(&events), 403, "permission_missing");
    passes(&gateway.get("/files/a").bearer(&events));
}

#[test]
fn s14_legacy_creation_can_be_blocked_and_what_exists_works_on() {
    let gateway = gateway();
    let old = make(&gateway, json!({"name": "old", "type": "legacy", "role": "events"}));
    let blocked = control(&gateway, "PATCH", ORGANIZATION, json!({"policies": {"block_legacy_keys": true}}), 200);
    assert_eq!(blocked["exceeding"]["block_legacy_keys"], 1);
    let refused = control(&gateway, "POST", KEYS, json!({"name": "new", "type": "legacy", "role": "events"}), 422);
    assert_eq!(errors(&refused), [("/type", "legacy_blocked")]);
    passes(&gateway.get("/cards").bearer(&token_of(&gateway, &old)));
    let rotate = format!("{}/rotate", path_of(&old));
    let rotated = control(&gateway, "POST", &rotate, json!({"expires_at": null}), 200);
    passes(&gateway.get("/cards").bearer(&token_of(&gateway, &rotated)));
}

#[test]
fn s15_rotation_kills_the_old_secret_and_asks_for_the_expiry() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let rotate = format!("{}/rotate", path_of(&key));
    let old = token_of(&gateway, &key);
    let missing = control(&gateway, "POST", &rotate, json!({}), 422);
    assert_eq!(errors(&missing), [("/expires_at", "expiry_missing")]);
    passes(&gateway.get("/cards").bearer(&old));
    let body = json!({"expires_at": seconds_from_now(9000), "allowlist": {"networks": ["127.0.0.1"]}});
    let rotated = control(&gateway, "POST", &rotate, body, 200);
    assert_eq!(rotated["allowlist"]["networks"], json!(["127.0.0.1"]));
    refused(&gateway, &gateway.get("/cards").bearer(&old), 401, "secret_rotated");
    refused(&gateway, &token_request(&gateway, &key, ""), 401, "invalid_client");
    passes(&gateway.get("/cards").bearer(&token_of(&gateway, &rotated)));
}

#[test]
fn s16_policies_bind_every_environment_of_the_organization() {
    let gateway = gateway();
    let policies = json!({"policies": {"max_key_lifetime": "1h", "block_legacy_keys": true}});
    control(&gateway, "PATCH", ORGANIZATION, policies, 200);
    for environment in ["production", "staging"] {
        let keys = format!("{ORGANIZATION}/environments/{environment}/keys");
        let refused = control(&gateway, "POST", &keys, reader("new"), 422);
        assert_eq!(errors(&refused), [("/expires_at", "expiry_required")], "{environment}");
    }
    control(&gateway, "PATCH", ORGANIZATION, json!({"policies": {"max_key_lifetime": null}}), 200);
    make(&gateway, reader("new"));
}

#[test]
fn s17_sidebar_and_palette_lead_to_api_keys_for_those_who_may_see_them() {
    let gateway = gateway();
    let keys = "href=\"/o/acme/e/production/keys\"";
    for (role, sees) in [("admin", true), ("editor", true), ("viewer", true), ("none", false)] {
        let cookie = format!("portcullis_session={}", sign_in(&gateway, role));
        let page = |path: &str| {
            let mut wire = Wire::new(gateway.control(), &gateway.control().to_string());
            let answer = wire.send("GET", path, &[("Cookie", &cookie)], b"").unwrap();
            (answer.status, answer.text())
        };
        let (status, sidebar) = page("/account");
        assert_eq!(status, 200, "{role}");
        let (status, palette) = page("/o/acme/find?q=api+keys&fragment=1");
        assert_eq!(status, if sees { 200 } else { 403 }, "{role}");
        assert_eq!(palette.contains(keys), sees, "{role}: {palette}");
        let (status, sidebar_there) = page("/o/acme/base-urls");
        assert_eq!(status, if sees { 200 } else { 403 }, "{role}");
        let configuration = sidebar_there.split_once("Configuration</p>").map_or("", |(_, rest)| rest);
        assert_eq!(configuration.contains(keys), sees, "{role}: {sidebar_there}");
        assert!(sees || !(sidebar + &sidebar_there).contains("API keys"), "{role}");
    }
}
