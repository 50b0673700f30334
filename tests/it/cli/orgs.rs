//! `orgs`, `envs`, `catalogue` and `explain`.

use super::{Stub, happy};
use serde_json::{Value, json};

fn acme() -> Value {
    json!({"id": "acme", "name": "Acme", "managed_by": "file", "revision": 3, "role": "owner",
        "policies": {"block_legacy_keys": true, "max_key_lifetime": "90d", "max_key_lifetime_seconds": 7_776_000,
            "set_by_file": ["block_legacy_keys"]},
        "exceeding": {"block_legacy_keys": 0, "max_key_lifetime": 2}})
}

#[test]
fn organizations_are_listed_with_their_policies() {
    let stub = Stub::routes([("GET /v1/organizations", 200, json!({"data": [acme()], "next_cursor": null}))]);
    let ran = stub.run(&["orgs", "list"]).exited(0);
    assert_eq!(
        ran.stdout,
        "ID    NAME  ROLE   BLOCK LEGACY KEYS   MAX KEY LIFETIME  MANAGED BY\n\
         acme  Acme  owner  true (set by file)  90d               file\n"
    );
    assert_eq!(stub.run(&["orgs", "list", "--json"]).exited(0).json()["data"], json!([acme()]));
}

#[test]
fn an_organization_says_how_many_keys_exceed_its_policies() {
    let routes = || {
        Stub::routes([
            ("GET /v1/organizations", 200, json!({"data": [acme()]})),
            ("GET /v1/organizations/acme", 200, acme()),
        ])
    };
    for args in [&["orgs", "show"][..], &["orgs", "show", "acme"], &["orgs", "show", "--org", "acme"]] {
        let ran = routes().run(args).exited(0);
        ran.shows("block legacy keys  true (set by file)").shows("max key lifetime   90d; 2 keys exceed it");
    }
    assert_eq!(routes().run(&["orgs", "show", "--json"]).exited(0).json(), acme());
}

#[test]
fn set_sends_what_was_said_under_the_revision_it_saw() {
    let cases: [(&[&str], Value); 4] = [
        (&["--name", "Acme Ltd"], json!({"name": "Acme Ltd"})),
        (&["--block-legacy-keys", "true"], json!({"policies": {"block_legacy_keys": true}})),
        (
            &["--block-legacy-keys", "unset", "--max-key-lifetime", "30d"],
            json!({"policies": {"block_legacy_keys": null, "max_key_lifetime": "30d"}}),
        ),
        (&["--max-key-lifetime", "unset"], json!({"policies": {"max_key_lifetime": null}})),
    ];
    for (flags, body) in cases {
        let stub =
            Stub::routes([("GET /v1/organizations/acme", 200, acme()), ("PATCH /v1/organizations/acme", 200, acme())]);
        let ran = stub.run(&[&["orgs", "set", "acme", "--json"], flags].concat()).exited(0);
        assert_eq!(ran.json(), acme());
        let sent = stub.only("PATCH /v1/organizations/acme");
        assert_eq!(sent.json(), body);
        sent.has_header("if-match: \"3\"");
    }
}

#[test]
fn a_policy_of_a_file_is_a_conflict() {
    let stub = Stub::routes([
        ("GET /v1/organizations/acme", 200, acme()),
        (
            "PATCH /v1/organizations/acme",
            409,
            json!({"detail": "a file sets it", "code": "managed_by_file", "errors": [
                {"pointer": "/policies/block_legacy_keys", "code": "managed_by_file", "message": "set by file"}]}),
        ),
    ]);
    let ran = stub.run(&["orgs", "set", "acme", "--block-legacy-keys=false"]).exited(6);
    ran.says("(managed_by_file)").says("/policies/block_legacy_keys: set by file");
}

#[test]
fn an_organization_is_made_by_its_id() {
    let stub = Stub::routes([("PUT /v1/organizations/umbrella", 201, acme())]);
    stub.run(&["orgs", "create", "umbrella", "--name", "Umbrella"]).exited(0);
    assert_eq!(stub.only("PUT /v1/organizations/umbrella").json(), json!({"name": "Umbrella"}));
}

fn production() -> Value {
    let base = "https://gate.test/v1";
    json!({"id": "production", "organization": "acme", "base_url": base, "token_url": format!("{base}/oauth2/token"),
        "issuer": base, "jwks_url": format!("{base}/oauth2/jwks"),
        "curl": format!("curl -u CLIENT_ID -d grant_type=client_credentials {base}/oauth2/token"),
        "platform_addresses": {"label": "Acme"},
        "managed_by": "file"})
}

#[test]
fn environments_show_the_addresses_that_callers_need() {
    let stub = Stub::routes([
        ("GET /v1/organizations", 200, json!({"data": [acme()]})),
        ("GET /v1/organizations/acme/environments", 200, json!({"data": [production()]})),
        ("GET /v1/organizations/acme/environments/production", 200, production()),
    ]);
    let ran = stub.run(&["envs", "list"]).exited(0);
    ran.shows("production  https://gate.test/v1  https://gate.test/v1/oauth2/token  file");
    for args in [&["envs", "show"][..], &["envs", "show", "production"], &["envs", "show", "--env", "production"]] {
        let ran = stub.run(args).exited(0).shows("base URL      https://gate.test/v1");
        ran.shows("a token       curl -u CLIENT_ID -d grant_type=client_credentials https://gate.test/v1/oauth2/token");
    }
    assert_eq!(stub.run(&["envs", "show", "--json"]).exited(0).json(), production());
}

/// A catalogue of three operations, in two pages.
fn catalogue() -> Stub {
    let row = |operation: &str, method: &str, path: &str, permissions: &[&str]| json!({"operation": operation, "method": method, "path": path, "permissions": permissions, "public": false});
    let list = row("cards.list", "GET", "/cards", &["cards:read"]);
    let show = row("cards.show", "GET", "/cards/{id}", &["cards:read", "cards:admin"]);
    let blocked = row("cards.blocked", "GET", "/cards/blocked", &["cards:admin"]);
    Stub::answering(move |asked| match asked.operation().as_str() {
        "GET /v1/organizations/acme/environments/production/catalogue" => {
            (200, json!({"data": [list, show], "next_cursor": "c2"}))
        }
        "GET /v1/organizations/acme/environments/production/catalogue?cursor=c2" => {
            (200, json!({"data": [blocked], "next_cursor": null}))
        }
        _ => happy(asked),
    })
}

#[test]
fn the_catalogue_is_listed_whole() {
    let ran = catalogue().run(&["catalogue", "list"]).exited(0);
    assert_eq!(
        ran.stdout,
        "OPERATION      METHOD  PATH            PERMISSIONS              PUBLIC\n\
         cards.list     GET     /cards          cards:read               false\n\
         cards.show     GET     /cards/{id}     cards:read, cards:admin  false\n\
         cards.blocked  GET     /cards/blocked  cards:admin              false\n"
    );
    let json = catalogue().run(&["catalogue", "list", "--json"]).exited(0).json();
    assert_eq!(json["data"].as_array().unwrap().len(), 3);
}

#[test]
fn a_request_is_matched_as_the_edge_would() {
    let stub = catalogue();
    let matched = |method: &str, path: &str| stub.run(&["catalogue", "match", method, path, "--json"]);
    assert_eq!(matched("GET", "/cards?limit=1").exited(0).json()["operation"], "cards.list");
    assert_eq!(matched("HEAD", "/cards/7").exited(0).json()["operation"], "cards.show");
    let lenient = matched("GET", "/cards/Blocked").exited(0).says("could run `cards.blocked` instead");
    assert_eq!(lenient.json()["operation"], "cards.show");
    matched("POST", "/cards").exited(3).says("no operation for `POST /cards`");
    matched("GET", "/cards/../x").exited(7).says("dot segment");
    matched("GET", "cards").exited(1).says("starts with `/`");
    let ran = stub.run(&["catalogue", "match", "GET", "/cards"]).exited(0);
    ran.shows("permissions  cards:read");
}

#[test]
fn explain_prints_the_verdict_and_every_check() {
    let answer = json!({"verdict": "refuse", "code": "ip_not_allowed", "detail": "10.0.0.9 is not allowed",
        "steps": [{"check": "path", "result": "pass", "detail": ""}, {"check": "allowlist", "result": "fail", "detail": "x"}]});
    let stub = Stub::routes([("POST /v1/organizations/acme/environments/production/explain", 200, answer.clone())]);
    let asked = ["explain", "--client-id=pcull_a", "--method=GET", "--path=/cards", "--ip=10.0.0.9"];
    let args = [&asked[..], &["--org=acme", "--env=production"]].concat();
    // A refusal that was explained is an answer, not a failure.
    let ran = stub.run(&args).exited(0);
    assert_eq!(
        ran.stdout,
        "verdict  refuse\ncode     ip_not_allowed\ndetail   10.0.0.9 is not allowed\n\n\
         CHECK      RESULT  DETAIL\npath       pass\nallowlist  fail    x\n"
    );
    let sent = stub.only("POST /v1/organizations/acme/environments/production/explain").json();
    assert_eq!(sent, json!({"client_id": "pcull_a", "method": "GET", "path": "/cards", "address": "10.0.0.9"}));
    assert_eq!(stub.run(&[&args[..], &["--json"]].concat()).exited(0).json(), answer);
}
