//! What the control API says would become of a request is what becomes of it.

use crate::harness::{Gateway, Key, Request, token};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

const EXPLAIN: &str = "/v1/organizations/acme/environments/production/explain";
const REQUESTS: usize = 1500;
/// Another environment below the first one's base path.
const BELOW: &str = r#"
[environments.below]
base_url = "http://gate.test/v1/production/below"
upstream = "{upstream}"
public = ["GET /health"]
"#;
const SEGMENTS: [&str; 25] = [
    "cards",
    "cards",
    "cards",
    "health",
    "files",
    "socket",
    "blocked",
    "BLOCKED",
    "blocked;x",
    "blocked.json",
    "%2562locked",
    "1",
    "%31",
    "%2e%2e",
    "..",
    "a%2fb",
    "",
    "below",
    "Below",
    "oauth2",
    "token",
    "jwks",
    ".well-known",
    "openid-configuration",
    "%zz",
];

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        &from[usize::try_from(self.0 >> 33).unwrap() % from.len()]
    }

    fn path(&mut self) -> String {
        let count = *self.pick(&[1, 1, 2, 2, 2, 3, 4]);
        (0..count).map(|_| format!("/{}", self.pick(&SEGMENTS))).collect()
    }
}

/// A gateway with keys of every fate, and a token that each of them got while it lived.
fn gateway() -> (Gateway, Vec<(String, String)>) {
    let narrow = Key::new("narrow", &["cards:read", "files:read"]).allowed_from(&["198.51.100.0/24"]);
    let gateway = Gateway::builder()
        .node("[edge]\ntrusted_proxies = [\"127.0.0.1\"]")
        .paths("encoded_slash = \"opaque\"")
        .tables(BELOW)
        .key(&narrow)
        .start();
    let mut tokens = vec![("reader".to_owned(), gateway.reader_token()), ("writer".to_owned(), gateway.writer_token())];
    let form = crate::harness::token_form(&narrow.id, &narrow.secret);
    let got = gateway.post("/oauth2/token").header("x-forwarded-for", "198.51.100.1").form(&form).send().expect(200);
    tokens.push((narrow.id, got.json()["access_token"].as_str().unwrap().to_owned()));
    let (id, secret) = gateway.create_key("ended", &["cards:read", "cards:admin"]);
    let ended = token(&gateway, &id, &secret);
    gateway.change_key(&id, "revoke", &json!({}));
    tokens.push((id, ended));
    (gateway, tokens)
}

fn explain(gateway: &Gateway, id: &str, method: &str, path: &str, address: &str) -> Value {
    let asked = json!({"client_id": id, "method": method, "path": path, "address": address});
    let (status, explanation) = gateway.control_request("POST", EXPLAIN, &asked);
    assert_eq!(status, 200, "{asked}: {explanation}");
    explanation
}

#[test]
fn random_requests_become_what_was_said() {
    let (gateway, tokens) = gateway();
    let mut dice = Dice(7);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..REQUESTS {
        let (id, token) = dice.pick(&tokens).clone();
        let method = *dice.pick(&["GET", "GET", "GET", "POST", "PUT", "DELETE", "get"]);
        let address = *dice.pick(&["198.51.100.7", "203.0.113.9", "2001:db8::1", "::ffff:198.51.100.7"]);
        let path = dice.path();
        let said = explain(&gateway, &id, method, &path, address);
        let request = gateway.request(method, &path).bearer(&token).header("x-forwarded-for", address);
        let became = compare(&gateway, &said, &request, &format!("{id} {method} {path} from {address}"));
        *seen.entry(became).or_default() += 1;
    }
    let wanted = [
        "answer",
        "forward",
        "ip_not_allowed",
        "key_revoked",
        "operation_unknown",
        "permission_missing",
        "target_ambiguous",
        "wrong_environment",
    ];
    for one in wanted {
        assert!(seen.contains_key(one), "nothing became `{one}`: {seen:?}");
    }
}

/// Sends the request and holds what became of it against what was said.
#[track_caller]
fn compare(gateway: &Gateway, said: &Value, request: &Request<'_>, about: &str) -> String {
    let before = gateway.upstream.bytes_received();
    let answer = request.send();
    let reached = gateway.upstream.bytes_received() > before;
    let verdict = said["verdict"].as_str().unwrap();
    let about = format!("{about}: {said}, and became\n{}\n{}", answer.head, answer.text());
    assert_eq!(reached, verdict == "forward", "{about}");
    if verdict == "refuse" {
        assert_eq!(answer.header("portcullis-error"), said["code"].as_str(), "{about}");
        assert_eq!(json!(answer.status), said["status"], "{about}");
        assert_eq!(answer.json()["detail"], said["detail"], "{about}");
    } else if verdict == "forward" {
        assert_eq!(gateway.upstream.last().header("portcullis-operation"), said["operation"].as_str(), "{about}");
    }
    assert_steps(said, &about);
    said["code"].as_str().unwrap_or(verdict).to_owned()
}

/// Passed up to the check that decided, nothing after it, and a failure exactly where it is refused.
#[track_caller]
fn assert_steps(said: &Value, about: &str) {
    let steps = said["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["environment", "path", "reserved", "public", "token", "key", "address", "permission"]);
    let results: Vec<&str> = steps.iter().map(|step| step["result"].as_str().unwrap()).collect();
    let decisive = results.iter().rposition(|result| *result != "skipped").unwrap();
    assert!(results[..decisive].iter().all(|result| *result == "pass"), "{about}");
    let failed = results[decisive] == "fail";
    assert_eq!(failed, said["verdict"] == "refuse", "{about}");
    if failed {
        let expected: HashMap<&str, &[&str]> = HashMap::from([
            ("target_ambiguous", &["path", "permission"][..]),
            ("operation_unknown", &["reserved", "permission"]),
            ("wrong_environment", &["token"]),
            ("key_revoked", &["key"]),
            ("ip_not_allowed", &["address"]),
            ("permission_missing", &["permission"]),
        ]);
        let code = said["code"].as_str().unwrap();
        assert!(expected[code].contains(&names[decisive]), "{about}");
    }
}
