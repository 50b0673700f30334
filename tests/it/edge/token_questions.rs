//! Introspection (RFC 7662), revocation (RFC 7009), and tokens for the control API (RFC 8707), on the wire.

use super::{assert_refused, without_upstream};
use crate::harness::{
    BASE_URL, Gateway, HOST, Key, RawResponse, Request, reader, seconds_from_now, token, token_form, writer,
};
use serde_json::{Value, json};

fn inspector() -> Key {
    Key::new("inspector", &["cards:read", "portcullis:tokens:introspect"])
}

fn manager() -> Key {
    Key::new("manager", &["cards:read", "portcullis:keys:edit", "portcullis:keys:view"])
}

/// A question with body credentials.
fn ask<'g>(gateway: &'g Gateway, endpoint: &str, key: &Key, token: &str) -> Request<'g> {
    let form = format!("token={token}&client_id={}&client_secret={}", key.id, key.secret);
    gateway.post(&format!("/oauth2/{endpoint}")).form(&form)
}

#[track_caller]
fn answered(gateway: &Gateway, request: &Request<'_>) -> Value {
    let response = without_upstream(gateway, || request.send());
    assert_eq!(response.status, 200, "{}\n{}", response.head, response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    response.json()
}

#[track_caller]
fn introspected(gateway: &Gateway, key: &Key, token: &str) -> Value {
    answered(gateway, &ask(gateway, "introspect", key, token))
}

#[track_caller]
fn revoked(gateway: &Gateway, key: &Key, token: &str) {
    assert_eq!(answered(gateway, &ask(gateway, "revoke", key, token)), json!({}));
}

#[track_caller]
fn refused(gateway: &Gateway, request: &Request<'_>, status: u16, error: &str, code: &str) -> RawResponse {
    let response = without_upstream(gateway, || request.send());
    let shown = format!("{}\n{}", response.head, response.text());
    assert_eq!((response.status, response.header("portcullis-error")), (status, Some(code)), "{shown}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{shown}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{shown}");
    assert_eq!(response.json()["error"], error, "{shown}");
    response
}

#[test]
fn a_revoked_token_is_refused_and_its_sisters_live() {
    let gateway = Gateway::start();
    let (one, two) = (gateway.reader_token(), gateway.reader_token());
    gateway.get("/cards").bearer(&one).send().expect(200);
    revoked(&gateway, &reader(), &one);
    assert_refused(&gateway, &gateway.get("/cards").bearer(&one), 401, "token_revoked");
    gateway.get("/cards").bearer(&two).send().expect(200);
    // Again: nothing left to end, success all the same.
    revoked(&gateway, &reader(), &one);
    let basic = gateway.post("/oauth2/revoke").basic(&reader().id, &reader().secret);
    answered(&gateway, &basic.form(&format!("token={two}&token_type_hint=refresh_token&x=1&x=2")));
    assert_refused(&gateway, &gateway.get("/cards").bearer(&two), 401, "token_revoked");
    gateway.get("/cards").bearer(&gateway.reader_token()).send().expect(200);
    let metrics = gateway.metrics();
    let counted = |result: &str, count: u32| {
        let line = format!(
            "portcullis_token_questions_total{{endpoint=\"revoke\",environment=\"acme/production\",result=\"{result}\"}} {count}"
        );
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    };
    counted("revoked", 2);
    counted("unchanged", 1);
}

/// RFC 7009 section 2.2: what is no living token of this environment is answered with success; section 2.1: the
/// living token of another client is not, and lives on.
#[test]
fn what_cannot_be_revoked() {
    let gateway = Gateway::builder().key(&inspector()).start();
    let theirs = gateway.writer_token();
    for key in [reader(), inspector()] {
        refused(&gateway, &ask(&gateway, "revoke", &key, &theirs), 400, "invalid_grant", "invalid_grant");
    }
    gateway.get("/cards").bearer(&theirs).send().expect(200);
    for nothing in ["x", "a.b.c", &format!("{theirs}x"), &"x".repeat(9000)] {
        revoked(&gateway, &reader(), nothing);
    }
}

/// A thousand living tokens of one client are revoked at most. Nothing is kept of one more, and others go on.
#[test]
fn one_client_cannot_flood_the_store_with_revocations() {
    let mut gateway = Gateway::start();
    gateway.kill9();
    let statement = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 999)
        INSERT INTO revoked_tokens SELECT 't' || n, 'reader', 'acme', 'production', 4000000000, 0 FROM numbers";
    let status = std::process::Command::new("python3")
        .args(["-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()"])
        .arg(gateway.dir().join("data/portcullis.db"))
        .arg(statement)
        .status();
    assert!(status.unwrap().success());
    gateway.restart();
    let (last, one_more) = (gateway.reader_token(), gateway.reader_token());
    revoked(&gateway, &reader(), &last);
    for _ in 0..2 {
        let request = ask(&gateway, "revoke", &reader(), &one_more);
        let answer = refused(&gateway, &request, 429, "rate_limited", "rate_limited");
        assert_eq!(answer.header("retry-after"), Some("600"));
    }
    gateway.get("/cards").bearer(&one_more).send().expect(200);
    let theirs = gateway.writer_token();
    revoked(&gateway, &writer(), &theirs);
    gateway.restart();
    gateway.get("/cards").bearer(&one_more).send().expect(200);
    assert_refused(&gateway, &gateway.get("/cards").bearer(&last), 401, "token_revoked");
    assert_refused(&gateway, &gateway.get("/cards").bearer(&theirs), 401, "token_revoked");
}

#[test]
fn revocation_survives_a_reload() {
    let gateway = Gateway::start();
    let one = gateway.reader_token();
    revoked(&gateway, &reader(), &one);
    gateway.edit_tenant(|text| text.replace("name = \"Acme\"", "name = \"Acme again\""));
    let kill = std::process::Command::new("kill").args(["-HUP", &gateway.pid().to_string()]).status().unwrap();
    assert!(kill.success());
    crate::harness::eventually("the reload is counted", || {
        gateway.metrics().contains("portcullis_reloads_total{result=\"success\"} 1").then_some(())
    });
    assert_refused(&gateway, &gateway.get("/cards").bearer(&one), 401, "token_revoked");
}

#[test]
fn own_tokens_are_described_and_those_of_others_are_not() {
    let gateway = Gateway::builder().key(&inspector()).start();
    let form = format!("{}&scope=cards:read", token_form(&writer().id, &writer().secret));
    let narrow = gateway.post("/oauth2/token").form(&form).send().expect(200).json();
    let narrow = narrow["access_token"].as_str().unwrap();
    for key in [writer(), inspector()] {
        let shown = introspected(&gateway, &key, narrow);
        let member = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
        assert_eq!((&shown["active"], member("scope").as_str()), (&json!(true), "cards:read"), "{shown}");
        assert_eq!(["client_id", "sub"].map(member), ["writer", "writer"]);
        assert_eq!(["aud", "iss"].map(member), [BASE_URL, BASE_URL]);
        assert_eq!(["token_type", "environment"].map(member), ["Bearer", "acme/production"]);
        assert_eq!(shown["exp"].as_i64().unwrap() - shown["iat"].as_i64().unwrap(), 3600);
        assert!(!member("jti").is_empty());
    }
    let inactive = json!({"active": false});
    assert_eq!(introspected(&gateway, &reader(), narrow), inactive);
    for nothing in ["x", "a.b.c", &format!("{narrow}x")] {
        assert_eq!(introspected(&gateway, &inspector(), nothing), inactive);
    }
    revoked(&gateway, &writer(), narrow);
    assert_eq!(introspected(&gateway, &writer(), narrow), inactive);
}

/// Introspection asks the live key, not the token.
#[test]
fn a_dead_key_has_no_active_token() {
    let gateway = Gateway::builder().key(&inspector()).start();
    let (id, secret) = gateway.create_key("salesforce", &["cards:read"]);
    let of_rotated = token(&gateway, &id, &secret);
    assert_eq!(introspected(&gateway, &inspector(), &of_rotated)["active"], true);
    let key = gateway.change_key(&id, "rotate", &json!({"expires_at": null}));
    assert_eq!(introspected(&gateway, &inspector(), &of_rotated), json!({"active": false}));
    let of_revoked = token(&gateway, &id, key["client_secret"].as_str().unwrap());
    gateway.change_key(&id, "revoke", &json!({}));
    assert_eq!(introspected(&gateway, &inspector(), &of_revoked), json!({"active": false}));
}

#[test]
fn clients_are_authenticated_as_at_the_token_endpoint() {
    let abroad = Key::new("abroad", &["cards:read"]).allowed_from(&["192.0.2.0/24"]);
    let expired = Key::new("expired", &["cards:read"]).expiring("2024-01-31T00:00:00Z");
    let soon = Key::new("soon", &["cards:read"]).expiring(&seconds_from_now(3600));
    let gateway = Gateway::builder().key(&abroad).key(&expired).key(&soon).start();
    let (id, secret) = (reader().id, reader().secret);
    for endpoint in ["introspect", "revoke"] {
        let post = || gateway.post(&format!("/oauth2/{endpoint}"));
        let good = format!("token=x&client_id={id}&client_secret={secret}");
        answered(&gateway, &post().form(&good));
        answered(&gateway, &post().basic(&id, &secret).form("token=x"));
        answered(&gateway, &ask(&gateway, endpoint, &soon, "x"));
        let challenge = |request: Request<'_>, code: &str| {
            let response = refused(&gateway, &request, 401, "invalid_client", code);
            response.header("www-authenticate").is_some()
        };
        assert!(challenge(post().basic(&id, "wrong").form("token=x"), "invalid_client"));
        assert!(!challenge(post().form(&format!("token=x&client_id={id}&client_secret=wrong")), "invalid_client"));
        assert!(!challenge(post().form("token=x&client_id=nobody&client_secret=wrong"), "invalid_client"));
        assert!(!challenge(post().form("token=x"), "invalid_client"));
        assert!(challenge(
            post().header("Authorization", &format!("Bearer {secret}")).form("token=x"),
            "invalid_client"
        ));
        assert!(!challenge(ask(&gateway, endpoint, &abroad, "x"), "ip_not_allowed"));
        assert!(!challenge(ask(&gateway, endpoint, &expired, "x"), "key_expired"));
        for request in [
            post().form(&format!("client_id={id}&client_secret={secret}")),
            post().form(&format!("{good}&token=y")),
            post().basic(&id, &secret).form(&good),
            post().body("application/json", "{}"),
            gateway.post(&format!("/oauth2/{endpoint}?token=x")).basic(&id, &secret),
            gateway.post(&format!("/oauth2/{endpoint}?client_secret={secret}")).form(&good),
        ] {
            let response = refused(&gateway, &request, 400, "invalid_request", "invalid_request");
            assert!(!response.text().contains(&secret));
        }
        let response = gateway.get(&format!("/oauth2/{endpoint}")).send();
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")));
    }
}

#[test]
fn the_metadata_names_the_endpoints() {
    let gateway = Gateway::start();
    let document = gateway.get("/.well-known/openid-configuration").send().expect(200).json();
    for (name, path) in [("introspection", "introspect"), ("revocation", "revoke")] {
        assert_eq!(document[format!("{name}_endpoint")], format!("{BASE_URL}/oauth2/{path}"));
        let methods = &document[format!("{name}_endpoint_auth_methods_supported")];
        assert_eq!(*methods, json!(["client_secret_basic", "client_secret_post"]));
    }
}

/// Asks for a token for the control API.
fn for_control<'g>(gateway: &'g Gateway, key: &Key, rest: &str) -> Request<'g> {
    let form = format!("{}&resource=http://{}{rest}", token_form(&key.id, &key.secret), gateway.control());
    gateway.post("/oauth2/token").form(&form)
}

#[test]
fn a_token_for_the_control_api_opens_nothing_here() {
    let gateway = Gateway::builder().key(&manager()).key(&inspector()).start();
    let control = format!("http://{}", gateway.control());
    for rest in ["", "/"] {
        let answer = answered(&gateway, &for_control(&gateway, &manager(), rest));
        assert_eq!(answer["scope"], "portcullis:keys:edit portcullis:keys:view");
        let token = answer["access_token"].as_str().unwrap();
        assert_refused(&gateway, &gateway.get("/cards").bearer(token), 401, "wrong_environment");
        let shown = introspected(&gateway, &manager(), token);
        assert_eq!((&shown["aud"], &shown["iss"]), (&json!(control), &json!(BASE_URL)), "{shown}");
        assert_eq!(shown["scope"], "portcullis:keys:edit portcullis:keys:view");
        revoked(&gateway, &manager(), token);
        assert_eq!(introspected(&gateway, &manager(), token), json!({"active": false}));
    }
    let narrow = answered(&gateway, &for_control(&gateway, &manager(), "&scope=portcullis:keys:view"));
    assert_eq!(narrow["scope"], "portcullis:keys:view");
    for scope in ["cards:read", "portcullis:keys:edit+cards:read", "portcullis:tokens:introspect"] {
        let request = for_control(&gateway, &manager(), &format!("&scope={scope}"));
        refused(&gateway, &request, 400, "invalid_scope", "invalid_scope");
    }
    // An ordinary token of a management key opens the API and names no management permission.
    let ordinary = token_form(&manager().id, &manager().secret);
    let answer = answered(&gateway, &gateway.post("/oauth2/token").form(&ordinary));
    assert_eq!(answer["scope"], "cards:read");
    gateway.get("/cards").bearer(answer["access_token"].as_str().unwrap()).send().expect(200);
}

#[test]
fn resources_without_tokens() {
    let gateway = Gateway::builder().key(&manager()).key(&inspector()).start();
    for key in [reader(), inspector()] {
        refused(&gateway, &for_control(&gateway, &key, ""), 400, "invalid_target", "invalid_target");
    }
    let form = token_form(&manager().id, &manager().secret);
    for resources in [
        format!("resource=http://{}/v1", gateway.control()),
        format!("resource=https://{}", gateway.control()),
        format!("resource=http://{HOST}"),
        format!("resource={BASE_URL}&resource=http://{}", gateway.control()),
        format!("resource={BASE_URL}&resource={BASE_URL}"),
    ] {
        let request = gateway.post("/oauth2/token").form(&format!("{form}&{resources}"));
        refused(&gateway, &request, 400, "invalid_target", "invalid_target");
    }
}

#[test]
fn a_revocation_survives_kill_dash_nine() {
    let mut gateway = Gateway::start();
    let (one, two) = (gateway.reader_token(), gateway.reader_token());
    revoked(&gateway, &reader(), &one);
    gateway.restart();
    assert_refused(&gateway, &gateway.get("/cards").bearer(&one), 401, "token_revoked");
    gateway.get("/cards").bearer(&two).send().expect(200);
    let (status, log) =
        gateway.control_request("GET", "/v1/organizations/acme/audit?action=access_token.revoke", &Value::Null);
    assert_eq!((status, &log["data"][0]["actor"]["id"]), (200, &json!("reader")), "{log}");
}

#[test]
fn tokens_of_the_signing_key_before_live_on() {
    let mut gateway = Gateway::start();
    let kid = |token: &str| {
        let header = token.split('.').next().unwrap();
        let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    let published =
        |gateway: &Gateway| gateway.get("/oauth2/jwks").send().expect(200).json()["keys"].as_array().unwrap().len();
    let old = gateway.reader_token();
    // Published at once, and signing later unless it is told otherwise.
    for (immediately, keys, signs) in [(false, 2, false), (true, 3, true)] {
        let body = json!({ "immediately": immediately });
        let (status, answer) = gateway.control_request("POST", "/v1/signing-keys/rotate", &body);
        assert_eq!((status, answer["data"].as_array().unwrap().len()), (200, keys), "{answer}");
        assert_eq!((published(&gateway), kid(&gateway.reader_token()) != kid(&old)), (keys, signs));
    }
    let new = gateway.reader_token();
    for _ in 0..2 {
        for token in [&old, &new] {
            gateway.get("/cards").bearer(token).send().expect(200);
        }
        assert_eq!(kid(&gateway.reader_token()), kid(&new));
        gateway.restart();
    }
}
