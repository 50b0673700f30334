//! Every refusal of the contract's table, one test a code, in the order of the checks.

use super::{assert_refusal, assert_refused, head, without_upstream};
use crate::harness::{Answer, BASE_PATH, Connection, Gateway, Key, eventually, seconds_from_now, token, token_form};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::net::TcpListener;

#[test]
fn target_ambiguous_names_rule_and_switch() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let cases = [
        ("/files/a/../b", "dot segment", ""),
        ("/files/a/./b", "dot segment", ""),
        ("/files/..", "dot segment", ""),
        ("/files/a/%2e%2e/b", "dot segment", ""),
        ("/files/a/.%2E/b", "dot segment", ""),
        ("/files/..;/b", "`;`", "paths.semicolon"),
        ("/files/%00", "NUL", ""),
        ("/files/a\\b", "backslash", ""),
        ("/files/a#b", "fragment", ""),
        ("/files/\u{e9}", "ASCII", ""),
        ("/files/a%2fb", "encoded slash", "paths.encoded_slash"),
        ("/files/a%2Fb", "encoded slash", "paths.encoded_slash"),
        ("/files/a%5cb", "encoded backslash", "paths.encoded_backslash"),
        ("/files/a%252fb", "twice", "paths.double_encoding"),
        ("/files/a%252e", "twice", "paths.double_encoding"),
        ("/files/a%25252f", "twice", "paths.double_encoding"),
        ("/files/;a", "`;`", "paths.semicolon"),
        ("/files//a", "empty segment", "paths.empty_segments"),
        ("//files/a", "empty segment", "paths.empty_segments"),
        ("/files/a%zz", "hexadecimal", ""),
        ("/files/a%2", "hexadecimal", ""),
    ];
    for (path, rule, switch) in cases {
        let detail = assert_refused(&gateway, &gateway.get(path).bearer(&token), 400, "target_ambiguous");
        assert!(detail.contains(rule) && detail.contains(switch), "{path}: {detail}");
    }
}

#[test]
fn a_path_of_two_environments_is_not_walked_between() {
    let gateway = Gateway::builder().tables(STAGING).start();
    let token = gateway.writer_token();
    for target in
        ["/v1/staging/../production/cards", "/v1/production/../staging/cards", "/v1/production/%2e%2e/staging"]
    {
        assert_refused(&gateway, &gateway.get("").target(target).bearer(&token), 400, "target_ambiguous");
    }
}

/// An environment below another one: readings of its path that are another environment's for one of two readers.
#[test]
fn a_path_is_of_the_same_environment_to_every_reader() {
    let below = "[environments.below]\nbase_url = \"http://gate.test/v1/production/files/below\"\n\
                 upstream = \"{upstream}\"";
    let gateway = Gateway::builder().tables(below).start();
    let token = gateway.writer_token();
    for path in
        ["/files/Below/a", "/files/%62elow/a", "/files/%2562elow/a", "/files/below;x/a", "/files;x/%2542elow%253Bx/a"]
    {
        assert_refused(&gateway, &gateway.get(path).bearer(&token), 400, "target_ambiguous");
    }
    for path in ["/files/belows/a", "/files/%2562elows;x/a", "/files/a;below/a"] {
        gateway.get(path).bearer(&token).send().expect(200);
    }
}

#[test]
fn switches_lift_their_rules() {
    let gateway = Gateway::builder()
        .paths(
            "encoded_slash = \"opaque\"\nencoded_backslash = \"opaque\"\ndouble_encoding = \"opaque\"\n\
             semicolon = \"opaque\"\nempty_segments = \"literal\"",
        )
        .start();
    let token = gateway.writer_token();
    for path in ["/files/a%2fb", "/files/a%5Cb", "/files/a%252fb", "/files/;a", "/files//a"] {
        gateway.get(path).bearer(&token).send().expect(200);
        assert_eq!(gateway.upstream.last().target, format!("/api{path}"));
    }
    assert_refused(&gateway, &gateway.get("/files/..%2fb").bearer(&token), 400, "target_ambiguous");
    // Opaque: part of one parameter's value, so this is a card and no file below one.
    assert_refused(&gateway, &gateway.get("/cards%2f7").bearer(&token), 403, "operation_unknown");
}

/// `GET /cards/blocked` needs `cards:admin`; a lenient upstream runs it for all of these.
#[test]
fn siblings_need_both_permissions() {
    let admin = Key::new("admin", &["cards:admin", "cards:read"]);
    let gateway = Gateway::builder().key(&admin).start();
    let reader = gateway.reader_token();
    let admin = token(&gateway, &admin.id, &admin.secret);
    for path in [
        "/cards/blocked",
        "/cards/BLOCKED",
        "/cards/blocked.json",
        "/cards/%62locked",
        "/cards/Blocked.JSON",
        "/cards/blocked..",
    ] {
        eprintln!("{path}");
        let detail = assert_refused(&gateway, &gateway.get(path).bearer(&reader), 403, "permission_missing");
        assert!(detail.contains("cards:admin"), "{detail}");
        gateway.get(path).bearer(&admin).send().expect(200);
    }
    for path in ["/cards/blocked;a=1", "/cards/blocked%253Ba=1"] {
        let detail = assert_refused(&gateway, &gateway.get(path).bearer(&reader), 400, "target_ambiguous");
        assert!(detail.contains("paths.semicolon"), "{detail}");
    }
    gateway.get("/cards/blockeds").bearer(&reader).send().expect(200);
}

/// The same for an upstream that takes an encoded `?` or `#` for a real one, trims, or folds what Unicode folds.
#[test]
fn siblings_of_who_cuts_or_trims_need_both_permissions() {
    let admin = Key::new("admin", &["cards:admin", "cards:read"]);
    let gateway = Gateway::builder().key(&admin).start();
    let reader = gateway.reader_token();
    let admin = token(&gateway, &admin.id, &admin.secret);
    for path in [
        "/cards/blocked%3F",
        "/cards/Blocked%23x",
        "/cards/blocked%20",
        "/cards/%09blocked%0a",
        "/cards/bloc%E2%84%AAed",
        "/cards/blocked%253Fx",
    ] {
        eprintln!("{path}");
        assert_refused(&gateway, &gateway.get(path).bearer(&reader), 403, "permission_missing");
        gateway.get(path).bearer(&admin).send().expect(200);
        assert_eq!(gateway.upstream.last().target, format!("/api{path}"));
    }
    for path in ["/cards/a%3Fblocked", "/cards/blocked%20card", "/cards/%20a"] {
        gateway.get(path).bearer(&reader).send().expect(200);
    }
}

/// The same for an upstream that decodes a path before it looks where the query begins, and trims as Unicode does.
#[test]
fn a_path_that_ends_at_an_encoded_question_mark_needs_both_permissions() {
    let users = r#"
[environments.users]
base_url = "http://gate.test/v1/users"
upstream = "{upstream}"
public = ["GET /{id}/photo", "GET /profiles/{id}"]
[environments.users.permissions]
"users:me" = ["GET /me", "GET /profiles/me"]
"users:see" = ["GET /{id}/photo", "GET /profiles/{id}"]
"#;
    let key = Key::new("me", &["users:me", "users:see"]);
    let gateway = Gateway::builder().tables(users).key_of("users", &key).start();
    let answer = gateway.post("").target("/v1/users/oauth2/token").form(&token_form(&key.id, &key.secret)).send();
    let token = answer.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    for path in [
        "/me%3F/photo",
        "/me%23x/photo",
        "/me%253F/photo",
        "/m%65%20%3Fa/photo",
        "/profiles/me%C2%A0",
        "/profiles/%E3%80%80me",
        "/profiles/me%E2%80%A8%3F",
    ] {
        eprintln!("{path}");
        let asked = gateway.get("").target(&format!("/v1/users{path}"));
        assert_refused(&gateway, &asked, 401, "token_missing");
        asked.bearer(&token).send().expect(200);
        assert_eq!(gateway.upstream.last().target, format!("/api{path}"));
    }
    for path in ["/you%3F/photo", "/me/photo", "/profiles/me%C3%A0"] {
        gateway.get("").target(&format!("/v1/users{path}")).send().expect(200);
    }
}

/// Servers that fold the case of methods would run `DELETE`, which is another permission's.
#[test]
fn a_method_in_small_letters_is_not_covered_by_any_method() {
    let things = r#"
[environments.things]
base_url = "http://gate.test/v1/things"
upstream = "{upstream}"
[environments.things.permissions]
"things:any" = ["* /{id}"]
"things:end" = ["DELETE /{id}"]
"#;
    let key = Key::new("any", &["things:any"]);
    let gateway = Gateway::builder().tables(things).key_of("things", &key).start();
    let answer = gateway.post("").target("/v1/things/oauth2/token").form(&token_form(&key.id, &key.secret)).send();
    let token = answer.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let ask = |method: &str| gateway.request(method, "").target("/v1/things/7").bearer(&token);
    ask("PURGE").send().expect(200);
    assert_refused(&gateway, &ask("DELETE"), 403, "permission_missing");
    ask("purge").send().expect(200);
    for method in ["delete", "Delete", "DELETe"] {
        assert_refused(&gateway, &ask(method), 403, "operation_unknown");
    }
}

/// The same for an upstream that decodes twice; what is let through stays encoded as it came.
#[test]
fn siblings_that_are_encoded_twice_need_both_permissions() {
    let admin = Key::new("admin", &["cards:admin", "cards:read"]);
    let gateway = Gateway::builder().key(&admin).start();
    let reader = gateway.reader_token();
    let admin = token(&gateway, &admin.id, &admin.secret);
    for path in ["/cards/%2562locked", "/cards/%2542LOCKED", "/cards/bl%25%36%66cked", "/cards/%2562locked.json"] {
        eprintln!("{path}");
        let detail = assert_refused(&gateway, &gateway.get(path).bearer(&reader), 403, "permission_missing");
        assert!(detail.contains("cards:admin"), "{detail}");
        gateway.get(path).bearer(&admin).send().expect(200);
        let target = format!("/api{path}");
        assert_eq!(gateway.upstream.last().target, target);
    }
    gateway.get("/cards/%2562lockeds").bearer(&reader).send().expect(200);
    let gateway = Gateway::builder().paths("double_encoding = \"opaque\"").start();
    gateway.get("/cards/%2562locked").bearer(&gateway.reader_token()).send().expect(200);
}

#[test]
fn target_too_long_at_the_limit_and_one_past() {
    let gateway = Gateway::builder().node("[edge.limits]\ntarget_bytes = \"64B\"").start();
    let token = gateway.reader_token();
    let path = |length: usize| format!("/cards?{}", "x".repeat(length - BASE_PATH.len() - "/cards?".len()));
    gateway.get(&path(64)).bearer(&token).send().expect(200);
    assert_refused(&gateway, &gateway.get(&path(65)).bearer(&token), 414, "target_too_long");
}

#[test]
fn headers_too_large_at_the_limit_and_one_past() {
    let gateway = Gateway::builder().node("[edge.limits]\nheader_bytes = \"1KiB\"").start();
    let token = gateway.reader_token();
    let padded = |length: usize| {
        let request = gateway.get("/cards").bearer(&token);
        let missing = length - request.bytes().len() - "x-pad: \r\n".len();
        request.header("x-pad", &"x".repeat(missing))
    };
    assert_eq!(padded(1024).bytes().len(), 1024);
    padded(1024).send().expect(200);
    assert_refused(&gateway, &padded(1025), 431, "headers_too_large");
    assert_refused(&gateway, &padded(100_000), 431, "headers_too_large");
}

#[test]
fn header_fields_at_the_limit_and_one_past() {
    let gateway = Gateway::builder().node("[edge.limits]\nheader_fields = 12").start();
    let token = gateway.reader_token();
    let with = |fields: usize| (2..fields).fold(gateway.get("/cards").bearer(&token), |r, _| r.header("x-more", "1"));
    with(12).send().expect(200);
    assert_refused(&gateway, &with(13), 431, "headers_too_large");
}

#[test]
fn a_slow_head_gets_408() {
    let gateway = Gateway::builder().node("[edge.limits]\nheader_timeout = \"300ms\"").start();
    let token = gateway.reader_token();
    let whole = gateway.get("/cards").bearer(&token).bytes();
    for sent in [&whole[..5], &whole[..whole.len() - 1]] {
        let response = without_upstream(&gateway, || gateway.raw(sent));
        assert_refusal(&response, 408, "request_timeout");
        assert!(response.closed());
    }
    // The second request of a connection has the same deadline.
    let mut connection = gateway.connect();
    gateway.get("/cards").bearer(&token).send_on(&mut connection).expect(200);
    let response = without_upstream(&gateway, || connection.exchange(&whole[..whole.len() - 1]));
    assert_refusal(&response, 408, "request_timeout");
}

#[test]
fn token_missing() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    assert_refused(&gateway, &gateway.get("/cards"), 401, "token_missing");
    // A token in the query is never read (RFC 6750 section 2.3 is not offered) ...
    assert_refused(&gateway, &gateway.get(&format!("/cards?access_token={token}")), 401, "token_missing");
    // ... and nor is one in the body.
    let body = gateway.post("/cards").form(&format!("access_token={token}"));
    assert_refused(&gateway, &body, 401, "token_missing");
    // Beside a real one it is the API's own parameter.
    gateway.get("/cards?access_token=mine").bearer(&token).send().expect(200);
    assert_eq!(gateway.upstream.last().target, "/api/cards?access_token=mine");
    // Authentication comes before authorization: nothing is told of the catalogue without a token.
    assert_refused(&gateway, &gateway.get("/nowhere"), 401, "token_missing");
}

#[test]
fn token_invalid() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let parts: Vec<&str> = token.split('.').collect();
    let claims = parts[1];
    let none = |alg: &str| {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "at+jwt"}).to_string());
        format!("{header}.{claims}.")
    };
    let flipped = |part: usize| {
        let mut parts: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
        let old = parts[part].remove(10);
        parts[part].insert(10, if old == 'A' { 'B' } else { 'A' });
        parts.join(".")
    };
    let cases = [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        none("none"),
        none("None"),
        none("HS256"),
        flipped(1),
        flipped(2),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{token}."),
        format!("{token}.{}", parts[2]),
        format!("{token}="),
        format!("{token},"),
        format!("{token}, Bearer {token}"),
        format!("{token} {token}"),
        "a".repeat(8 * 1024 + 1),
        ".".repeat(10_000),
    ];
    for case in cases {
        let shown = case.chars().take(60).collect::<String>();
        let response = without_upstream(&gateway, || gateway.get("/cards").bearer(&case).send());
        eprintln!("token: {shown}");
        assert_refusal(&response, 401, "token_invalid");
    }
}

#[test]
fn the_scheme_is_read_in_any_case() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        gateway.get("/cards").header("authorization", &format!("{scheme} {token}")).send().expect(200);
    }
}

#[test]
fn two_credentials_are_malformed() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let twice = gateway.get("/cards").bearer(&token).bearer(&token);
    assert_refused(&gateway, &twice, 400, "malformed_request");
    let mixed = gateway.get("/cards").basic("a", "b").bearer(&token);
    assert_refused(&gateway, &mixed, 400, "malformed_request");
}

#[test]
fn token_expired() {
    let gateway = Gateway::builder().node("[tokens]\nlifetime = \"1s\"").start();
    let token = gateway.reader_token();
    let response = eventually("the token is dead", || {
        let response = gateway.get("/cards").bearer(&token).send();
        (response.status != 200).then_some(response)
    });
    assert_refusal(&response, 401, "token_expired");
    assert_refused(&gateway, &gateway.get("/cards").bearer(&token), 401, "token_expired");
}

/// A token never outlives its key.
#[test]
fn a_key_that_expires_takes_its_tokens_along() {
    let key = Key::new("brief", &["cards:read"]).expiring(&seconds_from_now(4));
    let gateway = Gateway::builder().key(&key).start();
    let answer = gateway.post("/oauth2/token").form(&token_form("brief", &key.secret)).send().expect(200);
    assert!((1..=4).contains(&answer.json()["expires_in"].as_i64().unwrap()), "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let response = eventually("the key is dead", || {
        let response = gateway.get("/cards").bearer(&token).send();
        (response.status != 200).then_some(response)
    });
    assert_eq!(response.status, 401);
    let code = response.header("portcullis-error");
    assert!(matches!(code, Some("key_expired" | "token_expired")), "{code:?}");
}

/// What a tenant file says of a key binds the tokens that were issued before.
#[test]
fn a_changed_file_ends_tokens_after_a_restart() {
    let key = Key::new("pipeline", &["cards:read"]);
    let mut changed = key.clone();
    changed.secret = "pculls_another".to_owned();
    let expired = key.clone().expiring("2024-01-31T00:00:00Z");
    let cases = [
        (String::new(), "key_revoked"),
        (changed.stanza("production"), "secret_rotated"),
        (expired.stanza("production"), "key_expired"),
    ];
    for (stanza, code) in cases {
        let mut gateway = Gateway::builder().key(&key).start();
        let token = token(&gateway, &key.id, &key.secret);
        gateway.get("/cards").bearer(&token).send().expect(200);
        gateway.edit_tenant(|text| text.replace(&key.stanza("production"), &stanza));
        gateway.restart();
        assert_refused(&gateway, &gateway.get("/cards").bearer(&token), 401, code);
    }
}

#[test]
fn tokens_outlive_a_restart() {
    let mut gateway = Gateway::start();
    let token = gateway.reader_token();
    gateway.restart();
    gateway.get("/cards").bearer(&token).send().expect(200);
}

/// The first request after the control API's answer sees the change.
#[test]
fn key_revoked_through_the_control_api() {
    let gateway = Gateway::start();
    let (id, secret) = gateway.create_key("salesforce", &["cards:read"]);
    let token = token(&gateway, &id, &secret);
    gateway.get("/cards").bearer(&token).send().expect(200);
    gateway.change_key(&id, "revoke", &json!({}));
    assert_refused(&gateway, &gateway.get("/cards").bearer(&token), 401, "key_revoked");
}

#[test]
fn secret_rotated_through_the_control_api() {
    let gateway = Gateway::start();
    let (id, secret) = gateway.create_key("salesforce", &["cards:read"]);
    let old = token(&gateway, &id, &secret);
    gateway.get("/cards").bearer(&old).send().expect(200);
    let rotated = gateway.change_key(&id, "rotate", &json!({"expires_at": null}));
    assert_refused(&gateway, &gateway.get("/cards").bearer(&old), 401, "secret_rotated");
    let new = token(&gateway, &id, rotated["client_secret"].as_str().unwrap());
    gateway.get("/cards").bearer(&new).send().expect(200);
}

const STAGING: &str = r#"
[environments.staging]
base_url = "http://gate.test/v1/staging"
upstream = "{upstream}"
[environments.staging.permissions]
"cards:read" = ["GET /cards"]
"#;

#[test]
fn wrong_environment() {
    let stranger = Key::new("stranger", &["cards:read"]);
    let gateway = Gateway::builder().tables(STAGING).key_of("staging", &stranger).start();
    let staging = |path: &str| gateway.post("").target(&format!("/v1/staging{path}"));
    let form = token_form(&stranger.id, &stranger.secret);
    let answer = staging("/oauth2/token").form(&form).send().expect(200).json();
    let token = answer["access_token"].as_str().unwrap();
    gateway.get("").target("/v1/staging/cards").bearer(token).send().expect(200);
    assert_refused(&gateway, &gateway.get("/cards").bearer(token), 401, "wrong_environment");
    // The key itself is of no use next door either.
    let elsewhere = gateway.post("/oauth2/token").form(&form).send().expect(401).json();
    assert_eq!(elsewhere["error"], "invalid_client");
}

#[test]
fn ip_not_allowed_names_the_address() {
    let key = Key::new("homebody", &["cards:read"]).allowed_from(&["127.0.0.1"]);
    let gateway = Gateway::builder().key(&key).start();
    let token = token(&gateway, &key.id, &key.secret);
    gateway.get("/cards").bearer(&token).send().expect(200);
    let elsewhere = gateway.get("/cards").bearer(&token).from("127.0.0.9");
    let detail = assert_refused(&gateway, &elsewhere, 403, "ip_not_allowed");
    assert!(detail.contains("127.0.0.9"), "{detail}");
    // The address comes before the operation.
    let elsewhere = gateway.get("/nowhere").bearer(&token).from("127.0.0.9");
    assert_refused(&gateway, &elsewhere, 403, "ip_not_allowed");
}

#[test]
fn permission_missing_names_the_permission() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    for (method, path, permission) in
        [("POST", "/cards", "cards:write"), ("DELETE", "/cards/7", "cards:write"), ("GET", "/files/a/b", "files:read")]
    {
        let response = without_upstream(&gateway, || gateway.request(method, path).bearer(&token).send());
        let detail = assert_refusal(&response, 403, "permission_missing");
        assert!(detail.contains(permission), "{detail}");
        let challenge = response.header("www-authenticate").unwrap();
        assert!(challenge.contains(&format!("scope=\"{permission}\"")), "{challenge}");
    }
}

#[test]
fn operation_unknown() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for (method, path) in [
        ("GET", "/nowhere"),
        ("GET", ""),
        ("GET", "/"),
        ("GET", "/cards/"),
        ("GET", "/Cards"),
        ("GET", "/cards/7/holder"),
        ("PATCH", "/cards"),
        ("get", "/cards"),
        ("OPTIONS", "/cards"),
        ("BREW", "/cards"),
    ] {
        eprintln!("{method} {path}");
        assert_refused(&gateway, &gateway.request(method, path).bearer(&token), 403, "operation_unknown");
    }
}

#[test]
fn head_counts_as_get() {
    let gateway = Gateway::start();
    gateway.request("HEAD", "/cards").bearer(&gateway.reader_token()).send().expect(200);
    assert_eq!(gateway.upstream.last().method, "HEAD");
    let missing = without_upstream(&gateway, || gateway.request("HEAD", "/cards").send().expect(401));
    assert_eq!((missing.header("portcullis-error"), missing.body.len()), (Some("token_missing"), 0));
}

#[test]
fn environment_unknown() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let cards = || gateway.get("/cards").bearer(&token);
    for host in [
        "other.test",
        "gate.test:81",
        "gate.test:port",
        "gate.test:",
        "gate.test:99999",
        "gate.tes",
        "xgate.test",
        "127.0.0.1",
    ] {
        assert_refused(&gateway, &cards().host(host), 404, "environment_unknown");
    }
    for target in ["/", "/v1", "/v1/Production/cards", "/V1/production/cards", "/v1/productions/cards", "/v1/productio"]
    {
        assert_refused(&gateway, &cards().target(target), 404, "environment_unknown");
    }
    for host in ["GATE.test", "gate.test.", "gate.test:80", "Gate.Test.:80"] {
        cards().host(host).send().expect(200);
    }
}

#[test]
fn upstream_unreachable() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::builder().upstream_url(&format!("http://{closed}/api")).start();
    let token = gateway.reader_token();
    assert_refused(&gateway, &gateway.get("/cards").bearer(&token), 502, "upstream_unreachable");
    // A dead upstream never makes a node unready.
    assert_eq!(gateway.probe("/readyz").status, 200);
}

#[test]
fn upstream_protocol() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    for garbage in ["garbage\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nContent-"]
    {
        gateway.upstream.on("/api/cards", Answer::BytesThenClose(garbage.into()));
        let response = gateway.get("/cards").bearer(&token).send();
        eprintln!("{garbage:?}");
        assert_refusal(&response, 502, "upstream_protocol");
    }
}

#[test]
fn an_upstream_that_hangs_up_gets_502() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/cards", Answer::Close);
    let response = gateway.get("/cards").bearer(&gateway.reader_token()).send().expect(502);
    let code = response.header("portcullis-error").unwrap().to_owned();
    assert!(matches!(code.as_str(), "upstream_protocol" | "upstream_unreachable"), "{code}");
    // A fresh connection that fails is not tried again.
    assert_eq!(gateway.upstream.requests().len(), 1);
}

#[test]
fn upstream_timeout() {
    let gateway = Gateway::builder().upstream_table("timeouts = { read = \"300ms\" }").start();
    gateway.upstream.on("/api/cards", Answer::Hang);
    let response = gateway.get("/cards").bearer(&gateway.reader_token()).send();
    assert_refusal(&response, 504, "upstream_timeout");
    assert_eq!(gateway.upstream.requests().len(), 1);
}

#[test]
fn a_refusal_leaves_the_connection_usable() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let mut connection = gateway.connect();
    let refused = gateway.get("/cards").send_on(&mut connection);
    assert_refusal(&refused, 401, "token_missing");
    if refused.closed() {
        connection = Connection::open(gateway.edge());
    }
    gateway.get("/cards").bearer(&token).send_on(&mut connection).expect(200);
}

#[test]
fn an_unread_body_is_never_the_next_request() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let inner = String::from_utf8(gateway.get("/cards").bearer(&token).bytes()).unwrap();
    for padding in [0, 1000, 70_000, 2_000_000] {
        let body = format!("{}{inner}", "x".repeat(padding));
        let outer = gateway.post("/cards").body("text/plain", &body);
        let mut connection = gateway.connect();
        let response = without_upstream(&gateway, || {
            connection.send(outer.bytes());
            connection.finish();
            let response = connection.read_response();
            let (rest, _) = connection.read_to_end();
            assert!(rest.is_empty(), "after the refusal: {}", String::from_utf8_lossy(&rest));
            response
        });
        assert_refusal(&response, 401, "token_missing");
    }
}

#[test]
fn a_pipelined_request_is_not_answered_for_the_refused_one() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let second = gateway.get("/cards").bearer(&token).bytes();
    for first in [
        gateway.get("/cards").bytes(),
        gateway.get("/nowhere").bearer(&token).bytes(),
        head(&format!("GET {BASE_PATH}/cards HTTP/1.1"), "Host: gate.test\r\nHost: gate.test", &token),
    ] {
        let mut connection = gateway.connect();
        connection.send([first.as_slice(), &second].concat());
        connection.finish();
        let response = connection.read_response();
        assert!((400..500).contains(&response.status), "{}", response.head);
        let (rest, _) = connection.read_to_end();
        let rest = String::from_utf8_lossy(&rest);
        // Pipelining is off: the second request is dropped with the connection.
        assert!(rest.is_empty(), "a second answer: {rest}");
    }
    assert_eq!(gateway.upstream.requests().len(), 0);
}
