//! The router over a real socket, and its agreement with the document.

use super::{OPENAPI, router, routes};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;

const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

/// A runtime that serves fresh banks until it is dropped.
struct Banks(tokio::runtime::Runtime);

impl Banks {
    fn new() -> Self {
        Self(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
    }

    fn open(&self) -> SocketAddr {
        let listener = self.0.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        self.0.spawn(async { axum::serve(listener, router()).await });
        address
    }
}

/// Status, media type and body. The body of a stream is not waited for.
fn send(bank: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
    let agent = config.proxy(None).build().new_agent();
    let request = http::Request::builder().method(method).uri(format!("http://{bank}{path}"));
    let mut response = if body.is_null() {
        agent.run(request.body(()).unwrap()).unwrap()
    } else {
        let request = request.header("content-type", "application/json");
        agent.run(request.body(body.to_string()).unwrap()).unwrap()
    };
    let media_type = response.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    let body = match media_type.as_str() {
        "text/event-stream" | "" => Value::Null,
        _ => response.body_mut().read_json().unwrap(),
    };
    (response.status().as_u16(), media_type, body)
}

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

fn paths(document: &Value) -> &serde_json::Map<String, Value> {
    document["paths"].as_object().unwrap()
}

#[test]
fn document_and_router_know_the_same_paths() {
    let documented: BTreeSet<String> = paths(&document()).keys().cloned().collect();
    let routed: BTreeSet<String> = routes().map(|(path, _)| path.to_owned()).into();
    assert_eq!(documented, routed);
}

#[test]
fn exactly_the_documented_operations_answer() {
    let banks = Banks::new();
    for (template, item) in paths(&document()) {
        let id = if template.starts_with("/cards") { "card_1" } else { "acc_main" };
        for method in METHODS {
            let body = if matches!(method, "PATCH" | "POST" | "PUT") { json!({}) } else { Value::Null };
            let (status, media_type, _) = send(banks.open(), method, &template.replace("{id}", id), &body);
            if item.get(method.to_ascii_lowercase()).is_some() {
                assert!(!matches!(status, 404 | 405) && status < 500, "{method} {template}: {status}");
            } else {
                assert_eq!((status, media_type.as_str()), (405, "application/problem+json"), "{method} {template}");
            }
        }
    }
}

#[test]
fn operations_are_named_described_and_tagged_once() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    let operations: Vec<&Value> =
        paths(&document).values().flat_map(|item| item.as_object().unwrap().values()).collect();
    for operation in &operations {
        assert!(!operation["summary"].as_str().unwrap().is_empty());
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1);
        let id = operation["operationId"].as_str().unwrap();
        assert!(crate::model::PermissionName::parse(id).is_ok() && ids.insert(id), "{id}");
    }
    assert_eq!(operations.len(), 15);
}

#[test]
fn documented_references_lead_somewhere() {
    fn walk(document: &Value, value: &Value) {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let children: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => fields.values().collect(),
            Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => vec![],
        };
        children.into_iter().for_each(|child| walk(document, child));
    }
    walk(&document(), &document());
}

#[test]
fn a_card_lives_and_dies() {
    let banks = Banks::new();
    let bank = banks.open();
    let (status, _, card) = send(bank, "POST", "/cards", &json!({"account_id": "acc_main", "holder": "Grace Hopper"}));
    assert_eq!((status, &card["spending_limit"], &card["status"]), (201, &json!(50_000), &json!("active")));
    let path = format!("/cards/{}", card["id"].as_str().unwrap());
    assert_eq!(send(bank, "PATCH", &path, &json!({"spending_limit": 7})).2["spending_limit"], 7);
    assert_eq!(send(bank, "POST", &format!("{path}/freeze"), &json!({})).2["status"], "frozen");
    assert_eq!(send(bank, "GET", &path, &Value::Null).2["status"], "frozen");
    assert_eq!(send(bank, "POST", &format!("{path}/unfreeze"), &json!({})).2["status"], "active");
    assert_eq!(send(bank, "GET", "/cards", &Value::Null).2["data"].as_array().unwrap().len(), 3);
    assert_eq!(send(bank, "DELETE", &path, &Value::Null).0, 204);
    assert_eq!(send(bank, "GET", &path, &Value::Null).0, 404);
}

#[test]
fn refusals_are_problem_documents() {
    let banks = Banks::new();
    let bank = banks.open();
    let holder = "x".repeat(super::BODY_LIMIT);
    let cases = [
        ("POST", "/cards", json!({"account_id": "acc_main"}), 400),
        ("POST", "/cards", json!({"account_id": "acc_main", "holder": "x", "extra": 1}), 400),
        ("POST", "/cards", json!({"account_id": "acc_none", "holder": "x"}), 404),
        ("POST", "/cards", json!({"account_id": "acc_main", "holder": holder}), 413),
        ("PATCH", "/cards/card_1", json!({"holder": ""}), 400),
        ("POST", "/payments", json!({"account_id": "acc_main", "to": "x", "amount": -1}), 400),
        ("POST", "/payments", json!({"account_id": "acc_main", "to": "x", "amount": 9_000_000}), 409),
        ("GET", "/accounts/acc_none", Value::Null, 404),
        ("GET", "/nowhere", Value::Null, 404),
        ("GET", "/cards/", Value::Null, 404),
    ];
    for (method, path, body, expected) in cases {
        let (status, media_type, problem) = send(bank, method, path, &body);
        assert_eq!((status, media_type.as_str()), (expected, "application/problem+json"), "{method} {path}");
        assert_eq!(problem["status"], expected);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
}

#[test]
fn whoami_shows_identity_and_no_credential() {
    let banks = Banks::new();
    let bank = banks.open();
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    let request = agent.get(format!("http://{bank}/whoami"));
    let request = request.header("portcullis-client-id", "pcull_x").header("authorization", "Bearer sesame");
    let text = request.call().unwrap().body_mut().read_to_string().unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["headers"], json!({"portcullis-client-id": "pcull_x"}));
    assert!(!text.contains("sesame"));
}

#[test]
fn the_stream_begins_at_once() {
    use std::io::{BufRead, BufReader};
    let banks = Banks::new();
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    let response = agent.get(format!("http://{}/events", banks.open())).call().unwrap();
    let lines: Vec<String> =
        BufReader::new(response.into_body().into_reader()).lines().map(Result::unwrap).take(2).collect();
    assert_eq!(lines, ["event: bank", r#"data: {"cards":2,"number":1,"payments":1}"#]);
}
