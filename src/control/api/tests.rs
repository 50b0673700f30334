//! The document says what the code does: where the two could part, they are compared here. Answers are compared with it
//! over real sockets (`tests/it/control/contract.rs`).

use super::answer::Refusal;
use super::body::Body;
use super::code::Code;
use super::{openapi_document, query};
use crate::config::Documents;
use crate::config::EnvironmentDefinition;
use axum::body::Bytes;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn document() -> Value {
    serde_json::from_str(&openapi_document()).unwrap()
}

/// Every operation, as `GET /path`.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.collect()
}

type Reader = fn(Body) -> Result<Value, Refusal>;

/// What a reader says of a body: the errors of fields.
fn found<T>(read: Result<(T, crate::control::FieldErrors), Refusal>) -> Result<Value, Refusal> {
    read.map(|(_, errors)| json!(errors.into_vec()))
}

/// The description of each body that a route takes, where the object stands in a body, and its reader.
const BODIES: &[(&str, &str, Reader)] = &[
    ("CreateKey", "", |body| found(body.key_draft())),
    ("AllowlistBody", "/allowlist", |body| found(body.key_draft())),
    ("EditKey", "", |body| found(body.edit_draft())),
    ("AllowlistBody", "/allowlist", |body| found(body.edit_draft())),
    ("RotateKey", "", |body| found(body.rotation_draft())),
    ("AllowlistBody", "/allowlist", |body| found(body.rotation_draft())),
    ("ChangeOrganization", "", |body| found(body.organization_draft())),
    ("ChangePolicies", "/policies", |body| found(body.organization_draft())),
    ("Explain", "", |body| found(body.explain_draft())),
    ("AddMember", "", |body| found(body.member_draft())),
    ("ChangeMember", "", |body| found(body.member_edit_draft())),
    ("MakeMemberToken", "", |body| found(body.member_token_draft())),
    ("SignIn", "", |body| found(body.sign_in_draft())),
    ("DefineEnvironment", "", |body| Ok(json!(definition_errors(body.members()?)))),
    ("SetPermissions", "", |body| found(body.permissions_draft())),
    ("Nothing", "", |body| body.nothing().map(|()| json!([]))),
    ("RotateSigningKey", "", |body| body.immediately().map(|_| json!([]))),
];

/// What readers of tenant files say of a definition.
fn definition_errors(members: serde_json::Map<String, Value>) -> Vec<Value> {
    let parse = |text| crate::model::Identifier::parse(text).unwrap();
    let id = crate::model::EnvironmentId { organization: parse("acme"), environment: parse("production") };
    let read = EnvironmentDefinition::new(members).read(&id, None, &Documents::default());
    let problems = read.expect_err("it is wrong").into_iter();
    problems
        .map(|problem| json!({"pointer": problem.pointer, "code": problem.code, "message": problem.message}))
        .collect()
}

/// The fields that a reader takes, by its own words about one that it does not take.
fn taken(at: &str, read: Reader) -> BTreeSet<String> {
    let odd = json!({"?": 1});
    let body = if at.is_empty() { odd } else { json!({at.trim_start_matches('/'): odd}) };
    let body = Body::of(body.as_object().unwrap().clone(), Bytes::new());
    let errors = match read(body) {
        Ok(errors) => errors,
        Err(refusal) => json!(refusal.errors()),
    };
    let errors = errors.as_array().unwrap().clone();
    let unknown = errors.iter().find(|error| error["code"] == "field_unknown").expect("unknown fields are refused");
    assert_eq!(unknown["pointer"], format!("{at}/?"));
    unknown["message"].as_str().unwrap().split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
}

#[test]
fn bodies_are_described_as_they_are_read() {
    let document = document();
    for (name, at, read) in BODIES {
        let schema = &document["components"]["schemas"][name];
        let empty = serde_json::Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), taken(at, *read), "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
    }
    let known: BTreeSet<&str> = BODIES.iter().map(|(name, _, _)| *name).collect();
    for (operation, described) in operations(&document) {
        let text = described["requestBody"].to_string();
        for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(known.contains(name), "{operation}: add `{name}` and its reader to BODIES");
        }
    }
}

#[test]
fn queries_are_described_as_they_are_read() {
    let document = document();
    let operations = operations(&document);
    let readers: [(&str, &[&str]); 4] = [
        ("get /v1/organizations/{org}/environments/{env}/keys", &query::KEY_PARAMETERS),
        ("get /v1/organizations/{org}/environments/{env}/catalogue", &query::PAGE_PARAMETERS),
        ("get /v1/organizations/{org}/audit", &query::AUDIT_PARAMETERS),
        ("get /v1/organizations/{org}/members", &query::PAGE_PARAMETERS),
    ];
    for (operation, known) in readers {
        let parameters = operations[operation]["parameters"].as_array().unwrap().iter();
        let described = parameters.filter(|parameter| parameter["in"] == "query").map(|parameter| &parameter["name"]);
        assert_eq!(json!(described.collect::<Vec<_>>()), json!(known), "{operation}");
    }
    for name in query::KEY_PARAMETERS {
        assert!(!is_unknown(query::key_query(&format!("{name}=%00"))), "{name}");
    }
    for name in query::AUDIT_PARAMETERS {
        assert!(!is_unknown(query::audit_query(&format!("{name}=%00"))), "{name}");
    }
    for name in query::PAGE_PARAMETERS {
        assert!(!is_unknown(query::page_query(&format!("{name}=%00"), query::read_place)), "{name}");
    }
    assert!(is_unknown(query::page_query("q=a", query::read_place)));
    assert!(is_unknown(query::key_query("format=jsonl")) && is_unknown(query::audit_query("status=active")));
}

fn is_unknown<T>(read: Result<T, Refusal>) -> bool {
    read.is_err_and(|refusal| json!(refusal.errors())[0]["code"] == "parameter_unknown")
}

#[test]
fn every_code_is_described_and_every_operation_has_what_it_needs() {
    let document = document();
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(document["components"]["schemas"]["Code"]["enum"], json!(codes));
    let answers = document["components"]["responses"].as_object().unwrap();
    assert_eq!(answers.len(), Code::ALL.len());
    let mut ids = BTreeSet::new();
    for (operation, described) in operations(&document) {
        assert!(ids.insert(described["operationId"].as_str().unwrap()), "{operation}");
        assert!(described["summary"].is_string() && described["tags"][0].is_string(), "{operation}");
        let named = operation.matches('{').count();
        let parameters = described["parameters"].as_array().unwrap();
        assert_eq!(parameters.iter().filter(|parameter| parameter["in"] == "path").count(), named, "{operation}");
        let responses = described["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{operation}");
        assert!(!described.to_string().contains("x-codes"), "{operation}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for pointer in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    for (schema, described) in document["components"]["schemas"].as_object().unwrap() {
        let required: Vec<&Value> = described["required"].as_array().into_iter().flatten().collect();
        let each: BTreeSet<String> = required.iter().map(ToString::to_string).collect();
        assert_eq!(each.len(), required.len(), "`{schema}` names what it requires once");
        assert!(required.iter().all(|name| !described["properties"][name.as_str().unwrap()].is_null()), "`{schema}`");
        assert!(text.contains(&format!("#/components/schemas/{schema}\"")), "`{schema}` is used nowhere");
    }
}
