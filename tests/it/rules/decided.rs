//! What was decided where the stated rules are silent: 1 to 12.

use super::*;
use crate::harness::{ask_control, eventually, seconds_from_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn d01_rotation_and_revocation_reach_tokens_that_are_out_from_the_next_request_on() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let path = path_of(&key);
    let old = token_of(&gateway, &key);
    passes(&gateway.get("/cards").bearer(&old));
    let rotated = control(&gateway, "POST", &format!("{path}/rotate"), json!({"expires_at": null}), 200);
    refused(&gateway, &gateway.get("/cards").bearer(&old), 401, "secret_rotated");
    let new = token_of(&gateway, &rotated);
    passes(&gateway.get("/cards").bearer(&new));
    control(&gateway, "POST", &format!("{path}/revoke"), json!({}), 200);
    refused(&gateway, &gateway.get("/cards").bearer(&new), 401, "key_revoked");
}

#[test]
fn d02_permissions_and_allowlist_are_read_from_the_live_key() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let (path, token) = (path_of(&key), token_of(&gateway, &key));
    refused(&gateway, &gateway.post("/cards").bearer(&token), 403, "permission_missing");
    control(&gateway, "PATCH", &path, json!({"permissions": ["cards:write"]}), 200);
    passes(&gateway.post("/cards").bearer(&token));
    refused(&gateway, &gateway.get("/cards").bearer(&token), 403, "permission_missing");
    control(&gateway, "PATCH", &path, json!({"allowlist": {"networks": ["127.0.0.9"]}}), 200);
    refused(&gateway, &gateway.post("/cards").bearer(&token), 403, "ip_not_allowed");
    control(&gateway, "PATCH", &path, json!({"allowlist": null}), 200);
    passes(&gateway.post("/cards").bearer(&token));
}

#[test]
fn d03_the_allowlist_binds_the_token_endpoint_and_is_never_empty() {
    let gateway = gateway();
    let allowlist = json!({"networks": ["127.0.0.2"]});
    let key = make(&gateway, json!({"name": "one", "permissions": ["cards:read"], "allowlist": allowlist}));
    refused(&gateway, &token_request(&gateway, &key, ""), 401, "ip_not_allowed");
    token_request(&gateway, &key, "").from("127.0.0.2").send().expect(200);
    for empty in [json!({}), json!({"networks": []}), json!({"networks": [], "platform": false})] {
        for (method, path, mut body) in [
            ("POST", KEYS.to_owned(), reader("two")),
            ("PATCH", path_of(&key), json!({})),
            ("POST", format!("{}/rotate", path_of(&key)), json!({"expires_at": null})),
        ] {
            body["allowlist"] = empty.clone();
            let refused = control(&gateway, method, &path, body, 422);
            assert_eq!(errors(&refused), [("/allowlist", "allowlist_empty")], "{method} {path}");
        }
    }
    // The platform switch alone, while that list is empty: nobody.
    let platform = json!({"networks": [], "platform": true});
    let key = make(&gateway, json!({"name": "two", "permissions": ["cards:read"], "allowlist": platform}));
    gateway.edit_tenant(|file| file.replace("\"127.0.0.64/26\"", ""));
    control(&gateway, "POST", "/v1/reload", Value::Null, 200);
    refused(&gateway, &token_request(&gateway, &key, "").from("127.0.0.65"), 401, "ip_not_allowed");
}

#[test]
fn d04_addresses_of_both_families_count_and_host_bits_are_an_error_with_its_fix() {
    let gateway = gateway();
    let allowlist = json!({"networks": ["::ffff:127.0.0.2", "2001:db8::/32"]});
    let key = make(&gateway, json!({"name": "one", "permissions": ["cards:read"], "allowlist": allowlist}));
    assert_eq!(key["allowlist"]["networks"], json!(["127.0.0.2", "2001:db8::/32"]));
    token_request(&gateway, &key, "").from("127.0.0.2").send().expect(200);
    let allowlist = json!({"networks": ["198.51.100.7/24", "10.0.0.1/8", "2001:db8::1/32", "010.0.0.1"]});
    let body = json!({"name": "two", "permissions": ["cards:read"], "allowlist": allowlist});
    let refused = control(&gateway, "POST", KEYS, body, 422);
    let expected = (0..4).map(|at| format!("/allowlist/networks/{at}")).collect::<Vec<_>>();
    assert_eq!(errors(&refused), expected.iter().map(|at| (at.as_str(), "network_invalid")).collect::<Vec<_>>());
    for (at, fix) in ["198.51.100.0/24", "10.0.0.0/8", "2001:db8::/32"].into_iter().enumerate() {
        assert!(text(&refused["errors"][at], "message").contains(fix), "{refused}");
    }
}

#[test]
fn d05_type_role_and_client_id_cannot_be_edited() {
    let gateway = gateway();
    let key = make(&gateway, json!({"name": "one", "type": "legacy", "role": "events"}));
    for (field, value) in [
        ("client_id", json!("pcull_x")),
        ("created_at", json!(seconds_from_now(0))),
        ("expires_at", json!(null)),
        ("permissions", json!(["cards:read"])),
        ("role", json!("clerk")),
        ("secret_version", json!(7)),
        ("type", json!("fine_grained")),
    ] {
        let refused = control(&gateway, "PATCH", &path_of(&key), json!({ field: value }), 422);
        assert_eq!(errors(&refused), [(format!("/{field}").as_str(), "field_immutable")], "{field}");
    }
    let edited = control(&gateway, "PATCH", &path_of(&key), json!({"description": "why"}), 200);
    let log = control(&gateway, "GET", &format!("{ORGANIZATION}/audit?action=key.edit"), Value::Null, 200);
    let row = &log["data"][0];
    assert_eq!((text(&row["before"], "description"), text(&row["after"], "description")), ("", "why"));
    assert_eq!(
        (text(&row["actor"], "type"), edited["revision"].as_u64() > key["revision"].as_u64()),
        ("operator", true)
    );
}

#[test]
fn d06_rotation_keeps_type_permissions_and_allowlist() {
    let gateway = gateway();
    let allowlist = json!({"networks": ["127.0.0.1"], "platform": true});
    let key =
        make(&gateway, json!({"name": "one", "permissions": ["cards:read", "files:read"], "allowlist": allowlist}));
    let rotated = control(&gateway, "POST", &format!("{}/rotate", path_of(&key)), json!({"expires_at": null}), 200);
    for kept in ["type", "permissions", "allowlist", "client_id", "name", "created_at"] {
        assert_eq!(rotated[kept], key[kept], "{kept}");
    }
    assert_ne!(rotated["client_secret"], key["client_secret"]);
}

#[test]
fn d07_revocation_is_final_and_frees_the_name() {
    let gateway = gateway();
    let key = make(&gateway, reader("Sales"));
    let path = path_of(&key);
    assert_eq!(text(&control(&gateway, "POST", KEYS, reader("sALES"), 409), "code"), "name_taken");
    control(&gateway, "POST", &format!("{path}/revoke"), json!({}), 200);
    let again = control(&gateway, "POST", &format!("{path}/rotate"), json!({"expires_at": null}), 409);
    assert_eq!(text(&again, "code"), "key_revoked");
    assert_eq!(text(&control(&gateway, "PATCH", &path, json!({"name": "x"}), 409), "code"), "key_revoked");
    let successor = make(&gateway, reader("sales"));
    assert_eq!(text(&control(&gateway, "GET", &path, Value::Null, 200), "status"), "revoked");
    refused(&gateway, &token_request(&gateway, &key, ""), 401, "key_revoked");
    passes(&gateway.get("/cards").bearer(&token_of(&gateway, &successor)));
}

#[test]
fn d08_a_token_never_outlives_its_key() {
    let gateway = gateway();
    let key = make(&gateway, json!({"name": "one", "permissions": ["cards:read"], "expires_at": seconds_from_now(60)}));
    let answer = token_request(&gateway, &key, "").send().expect(200).json();
    let left = answer["expires_in"].as_i64().unwrap();
    assert!((1..=60).contains(&left), "{left}");
}

#[test]
fn d09_unknown_operations_are_refused_and_head_rides_on_get() {
    let gateway = Gateway::builder()
        .tables("[environments.plain]\nbase_url = \"http://gate.test/plain\"\nupstream = \"{upstream}\"")
        .start();
    let token = token_of(&gateway, &make(&gateway, reader("one")));
    gateway.request("HEAD", "/cards").bearer(&token).send().expect(200);
    refused(&gateway, &gateway.get("/nothing").bearer(&token), 403, "operation_unknown");
    refused(&gateway, &gateway.request("PATCH", "/cards").bearer(&token), 403, "operation_unknown");
    // Without a catalogue: two permissions over every path.
    let keys = format!("{ORGANIZATION}/environments/plain/keys");
    let made = control(&gateway, "POST", &keys, json!({"name": "r", "permissions": ["api:read"]}), 201);
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        text(&made, "client_id"),
        text(&made, "client_secret")
    );
    let answer = gateway.post("").target("/plain/oauth2/token").form(&form).send().expect(200).json();
    let token = text(&answer, "access_token");
    passes(&gateway.get("").target("/plain/what/ever").bearer(token));
    refused(&gateway, &gateway.post("").target("/plain/what/ever").bearer(token), 403, "permission_missing");
}

#[test]
fn d10_a_refusal_says_why_to_whoever_proved_something_and_nothing_to_others() {
    let gateway = gateway();
    let key = make(&gateway, reader("one"));
    let (id, token) = (text(&key, "client_id"), token_of(&gateway, &key));
    let missing = refused(&gateway, &gateway.post("/cards").bearer(&token), 403, "permission_missing");
    assert!(missing.text().contains("cards:write"), "{}", missing.text());
    let (message, _) = token.rsplit_once('.').unwrap();
    refused(&gateway, &gateway.get("/cards").bearer(&format!("{message}.AAAA")), 401, "token_invalid");
    // Unknown id and wrong secret: the same bytes.
    let ask = |id: &str| {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret=pculls_wrong");
        let response = refused(&gateway, &gateway.post("/oauth2/token").form(&form), 401, "invalid_client");
        let head: Vec<String> = response.head.lines().filter(|line| !varies(line)).map(str::to_owned).collect();
        (head, response.text())
    };
    assert_eq!(ask(id), ask("pcull_0000000000000000000000"));
}

fn varies(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.starts_with("date:") || line.starts_with("x-request-id:")
}

#[test]
fn d11_legacy_keys_may_have_an_expiry_and_an_allowlist() {
    let gateway = gateway();
    let key = make(
        &gateway,
        json!({"name": "one", "type": "legacy", "role": "events", "expires_at": seconds_from_now(2),
               "allowlist": {"networks": ["127.0.0.2"]}}),
    );
    let token = token_request(&gateway, &key, "").from("127.0.0.2").send().expect(200).json();
    let token = text(&token, "access_token");
    passes(&gateway.get("/cards").bearer(token).from("127.0.0.2"));
    refused(&gateway, &gateway.get("/cards").bearer(token), 403, "ip_not_allowed");
    eventually("the key ends", || {
        (gateway.get("/cards").bearer(token).from("127.0.0.2").send().status == 401).then_some(())
    });
}

#[test]
fn d12_a_management_key_manages_within_its_own_bounds() {
    let gateway = gateway();
    let manager = make(
        &gateway,
        json!({"name": "manager", "permissions": ["portcullis:keys:edit", "cards:read"], "may_grant": ["files:read"],
               "allowlist": {"networks": ["127.0.0.1", "127.0.0.2"]}}),
    );
    let control_url = format!("http://{}", gateway.control());
    let token = token_request(&gateway, &manager, &format!("&resource={control_url}")).send().expect(200).json();
    let token = text(&token, "access_token");
    refused(&gateway, &gateway.get("/cards").bearer(token), 401, "wrong_environment");
    let edge_token = token_of(&gateway, &manager);
    let ask = |method: &str, path: &str, body: Value| gateway.control_as(token, method, path, &body);
    assert_eq!(gateway.control_as(&edge_token, "GET", KEYS, &Value::Null).0, 401);

    let (status, made) = ask("POST", KEYS, json!({"name": "one", "permissions": ["cards:read", "files:read"]}));
    assert_eq!((status, text(&made, "created_by")), (201, text(&manager, "client_id")), "{made}");
    passes(&gateway.get("/files/a").bearer(&token_of(&gateway, &made)));
    for (body, pointer) in [
        (json!({"name": "x", "permissions": ["cards:write"]}), "/permissions/0"),
        (json!({"name": "x", "permissions": ["portcullis:keys:view"]}), "/permissions/0"),
        (json!({"name": "x", "type": "legacy", "role": "clerk"}), "/role"),
    ] {
        let (status, refused) = ask("POST", KEYS, body.clone());
        assert_eq!((status, errors(&refused)), (422, vec![(pointer, "grant_exceeds_own")]), "{body}");
    }
    let path = path_of(&made);
    assert_eq!(ask("PATCH", &path, json!({"description": "mine"})).0, 200);
    assert_eq!(ask("PATCH", &path, json!({"permissions": ["cards:write"]})).0, 422);
    assert_eq!(ask("POST", &format!("{path}/rotate"), json!({"expires_at": null})).0, 200);
    assert_eq!(ask("POST", &format!("{path}/revoke"), json!({})).0, 200);
    // Beyond its bounds: a key that holds more, keys that manage, other environments, everything that is no key.
    let wide = make(&gateway, json!({"name": "wide", "permissions": ["cards:write"]}));
    assert_eq!(ask("POST", &format!("{}/rotate", path_of(&wide)), json!({"expires_at": null})).0, 422);
    assert_eq!(ask("POST", &format!("{}/revoke", path_of(&wide)), json!({})).0, 422);
    assert_eq!(ask("POST", &format!("{}/revoke", path_of(&manager)), json!({})).0, 403);
    assert_eq!(ask("GET", &format!("{ORGANIZATION}/environments/staging/keys"), Value::Null).0, 404);
    assert_eq!(ask("PATCH", ORGANIZATION, json!({"policies": {"block_legacy_keys": true}})).0, 403);
    assert_eq!(ask("GET", &format!("{ORGANIZATION}/audit"), Value::Null).0, 403);
    assert_eq!(ask("POST", "/v1/reload", Value::Null).0, 403);
    // Its allowlist binds here too, and revocation reaches its token at once.
    control(&gateway, "PATCH", &path_of(&manager), json!({"allowlist": {"networks": ["127.0.0.2"]}}), 200);
    assert_eq!(ask("GET", KEYS, Value::Null).0, 403);
    control(&gateway, "PATCH", &path_of(&manager), json!({"allowlist": null}), 200);
    assert_eq!(ask("GET", KEYS, Value::Null).0, 200);
    control(&gateway, "POST", &format!("{}/revoke", path_of(&manager)), json!({}), 200);
    assert_eq!(ask("GET", KEYS, Value::Null).0, 401);
}

/// A management key that rotates a key while an administrator widens it never comes away with the wider secret.
#[test]
fn d12_what_widens_a_key_meanwhile_is_beyond_reach() {
    let gateway = gateway();
    let manager = make(&gateway, json!({"name": "manager", "permissions": ["portcullis:keys:edit", "cards:read"]}));
    let resource = format!("&resource=http://{}", gateway.control());
    let token = token_request(&gateway, &manager, &resource).send().expect(200).json();
    let token = text(&token, "access_token").to_owned();
    let key = make(&gateway, reader("one"));
    let path = path_of(&key);
    let done = Arc::new(AtomicBool::new(false));
    let widening = {
        let (address, operator) = (gateway.control(), gateway.bootstrap_token());
        let (path, done) = (path.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            for round in 0..40 {
                let permissions = if round % 2 == 0 { json!(["cards:write"]) } else { json!(["cards:read"]) };
                let edit = json!({ "permissions": permissions });
                assert_eq!(ask_control(address, &operator, "PATCH", &path, &edit).0, 200);
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    while !done.load(Ordering::SeqCst) {
        let rotate = format!("{path}/rotate");
        let (status, answer) = gateway.control_as(&token, "POST", &rotate, &json!({"expires_at": null}));
        match status {
            // The object of the very change: what was rotated was within reach.
            200 => assert_eq!(answer["permissions"], json!(["cards:read"])),
            412 | 422 => {}
            other => panic!("{other} {answer}"),
        }
    }
    widening.join().unwrap();
}
