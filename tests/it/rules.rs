//! The rules of the product, each by its number, through the public interface: what `docs/rules.md` points at.
//!
//! `stated` holds S1 to S17, `decided` what was decided where those are silent. The binary is the real one, the
//! upstream records what reached it, and "refused" means that nothing did.

mod decided;
mod stated;

use crate::harness::{Gateway, KEYS, RawResponse, Request, token};
use serde_json::{Value, json};

/// Presets, a role, platform addresses and a second environment beside the usual one.
const TENANT: &str = r#"
[environments.production.presets]
"Read only" = ["cards:read", "files:read"]
[environments.production.roles]
events = ["cards:read"]
clerk = ["cards:read", "cards:write"]
[environments.production.platform_addresses]
label = "Acme"
networks = ["127.0.0.64/26"]
[environments.staging]
base_url = "http://gate.test/v1/staging"
upstream = "{upstream}"
[environments.staging.permissions]
"cards:read" = "GET /cards"
"#;
const ORGANIZATION: &str = "/v1/organizations/acme";

fn gateway() -> Gateway {
    Gateway::builder().tables(TENANT).start()
}

/// A key of the first environment: what was asked for, and the answer of 201.
#[track_caller]
fn make(gateway: &Gateway, key: Value) -> Value {
    let (status, made) = gateway.control_request("POST", KEYS, &key);
    assert_eq!(status, 201, "{key} -> {made}");
    made
}

fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {object}"))
}

fn path_of(key: &Value) -> String {
    format!("{KEYS}/{}", text(key, "client_id"))
}

fn token_of(gateway: &Gateway, key: &Value) -> String {
    token(gateway, text(key, "client_id"), text(key, "client_secret"))
}

/// Asks the control API as the operator and expects a status.
#[track_caller]
fn control(gateway: &Gateway, method: &str, path: &str, body: Value, expected: u16) -> Value {
    let (status, answer) = gateway.control_request(method, path, &body);
    assert_eq!(status, expected, "{method} {path} {body} -> {answer}");
    answer
}

/// The pointers and codes of an answer of 422.
fn errors(answer: &Value) -> Vec<(&str, &str)> {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    errors.iter().map(|error| (text(error, "pointer"), text(error, "code"))).collect()
}

/// The request is refused with this code, and not a byte of it reached the upstream.
#[track_caller]
fn refused(gateway: &Gateway, request: &Request<'_>, status: u16, code: &str) -> RawResponse {
    let before = gateway.upstream.bytes_received();
    let response = request.send();
    let shown = format!("{}\n{}", response.head, response.text());
    assert_eq!((response.status, response.header("portcullis-error")), (status, Some(code)), "{shown}");
    assert_eq!(gateway.upstream.bytes_received(), before, "something reached the upstream: {shown}");
    response
}

/// The request is answered by the upstream.
#[track_caller]
fn passes(request: &Request<'_>) {
    request.send().expect(200);
}

/// A token request with body credentials.
fn token_request<'g>(gateway: &'g Gateway, key: &Value, more: &str) -> Request<'g> {
    let (id, secret) = (text(key, "client_id"), text(key, "client_secret"));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}{more}");
    gateway.post("/oauth2/token").form(&form)
}

fn reader(name: &str) -> Value {
    json!({"name": name, "permissions": ["cards:read"]})
}
