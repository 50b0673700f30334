//! The API's document (OpenAPI 3.1). Handlers say what is their own (`#[utoipa::path]`); what follows from how requests
//! are served is added here: the parameters in paths, the refusals that any request of a kind can meet, the headers
//! that every answer has.

use super::answer::Problem;
use super::code::Code;
use super::schema::{ETag, RequestIdText};
use crate::model::{ClientId, Identifier};
use axum::Extension;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::response::{Response as Described, ResponseBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Api, RefOr};
use utoipa::{IntoParams, Modify, OpenApi};

/// Where refusals that a handler can meet stand until they are written out.
const CODES: &str = "x-codes";

const INTRODUCTION: &str = "\
API keys and everything around them: organizations and their policies, environments, the keys and what they may do.

Show a bearer token with every request. Every answer carries `X-Request-Id`; a refusal is a problem (RFC 9457) whose \
`code` is stable. Objects carry a `revision`, which is also their `ETag`: send it back in `If-Match`, and a change is \
refused if somebody else was faster. A `POST` that makes or ends something takes an `Idempotency-Key` and can then be \
repeated without harm for 24 hours. `GET` routes answer `HEAD` as well.";

/// The names of the parts of the document.
pub(super) mod tag {
    pub(in super::super) const AUDIT: &str = "Audit";
    pub(in super::super) const ENVIRONMENTS: &str = "Environments";
    pub(in super::super) const KEYS: &str = "API keys";
    pub(in super::super) const MEMBERS: &str = "Members";
    pub(in super::super) const NODE: &str = "Node";
    pub(in super::super) const ORGANIZATIONS: &str = "Organizations";
    pub(in super::super) const SESSIONS: &str = "Sessions";
}

/// What is there before any route is registered.
#[derive(OpenApi)]
#[openapi(
    info(title = "Portcullis control API", description = INTRODUCTION),
    components(schemas(ClientId, ETag, Identifier, Problem, RequestIdText)),
    tags(
        (name = "Organizations", description = "Organizations, and the policies that bind their keys"),
        (name = "Members", description = "Who looks after an organization, their invitations and tokens for scripts"),
        (name = "Sessions", description = "Signing in and out"),
        (name = "Environments", description = "Base URLs, and what keys can hold there"),
        (name = "API keys", description = "The whole life of a key"),
        (name = "Audit", description = "Who did what: one hash chain an organization, and one for the node"),
        (name = "Node", description = "This node, for its operators"),
    ),
    security(("bearer" = [])),
    modifiers(&Bearer),
)]
pub(super) struct Foundation;

/// The one way to show who asks.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut Api) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(
            "A session's or member's token, an operator's bootstrap token, or a management \
            key's access token for this API (`resource` = the control URL)."
                .to_owned(),
        );
        let components = api.components.get_or_insert_with(Components::new);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Names a set of refusals, for `responses(...)` of a handler: those that are its own. A handler takes one such set.
macro_rules! refusals {
    ($(#[$doc:meta])* $name:ident: $($code:ident),+) => {
        $(#[$doc])*
        pub(super) enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::control::api::document::declared(&[$($crate::control::api::code::Code::$code),+])
            }
        }
    };
}
pub(super) use refusals;

/// Refusals on their way to [`complete`].
pub(super) fn declared(codes: &[Code]) -> BTreeMap<String, RefOr<Described>> {
    let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status().as_u16()).collect();
    let response = |status: u16| {
        let codes = codes.iter().filter(|code| code.status().as_u16() == status);
        let codes: Vec<String> = codes.map(|code| code.component()).collect();
        ResponseBuilder::new().extensions(Some([(CODES, json!(codes))].into_iter().collect::<Extensions>())).build()
    };
    statuses.into_iter().map(|status| (status.to_string(), response(status).into())).collect()
}

/// The condition of a change.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes")]
pub(super) struct IfMatch {
    /// Do it only if the object is at this revision: the `ETag` of an earlier answer. `*` is any.
    #[param(rename = "If-Match", required = false, value_type = String, example = "\"7\"",
        pattern = r#"^(?:\*|(?:W/)?"[ !#-~]*")$"#)]
    if_match: (),
}

/// The name of a request that may come twice.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes")]
pub(super) struct IdempotencyKey {
    /// A name for this request. The same request under the same name is done once within 24 hours: a repetition is
    /// answered by the object as it is by then, without any secret, and with `Idempotency-Replayed: true`.
    #[param(rename = "Idempotency-Key", required = false, value_type = String, pattern = "^[!-~]{1,255}$",
        example = "5f1c2b7e-0a44-4a52-9a2e-2f1f6f4f8f10")]
    idempotency_key: (),
}

/// The document as it is served and printed.
#[derive(Clone, Debug)]
pub(super) struct Document(pub(super) Arc<str>);

/// This document
///
/// What you are reading, made from the very types and routes that serve it. It needs no credential.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "show_document", tag = tag::NODE, security(()),
    responses((status = 200, description = "The document", body = Object)))]
pub(super) async fn show(Extension(Document(text)): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.to_string()).into_response()
}

/// The whole document as text.
pub(super) fn complete(api: &Api) -> String {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    for (path, item) in members(document.get_mut("paths")) {
        for (_, operation) in members(Some(item)) {
            if let Some(operation) = operation.as_object_mut() {
                complete_operation(path, operation);
            }
        }
    }
    for (_, schema) in members(document.pointer_mut("/components/schemas")) {
        complete_schema(schema);
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("headers".to_owned(), headers());
        let answers = Code::ALL.iter().map(|code| (code.component(), refusal(code.status().as_u16(), &[*code])));
        components.insert("responses".to_owned(), Value::Object(answers.collect()));
    }
    format!("{document:#}\n")
}

/// The members of an object; none of anything else.
fn members(value: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    value.and_then(Value::as_object_mut).into_iter().flatten()
}

/// What an answer holds it always holds: a member that may be null is there all the same.
fn complete_schema(schema: &mut Value) {
    // Bodies of requests, and only they, are closed.
    if schema.get("additionalProperties").is_some() {
        return;
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let nullable: Vec<Value> =
        properties.filter(|(_, schema)| admits_null(schema)).map(|(name, _)| json!(name)).collect();
    if !nullable.is_empty()
        && let Some(required) =
            schema.as_object_mut().map(|schema| schema.entry("required").or_insert_with(|| json!([])))
        && let Some(required) = required.as_array_mut()
    {
        required.extend(nullable);
    }
}

fn admits_null(schema: &Value) -> bool {
    let types = schema.get("type").and_then(Value::as_array).into_iter().flatten();
    let choices = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    types.chain(choices.filter_map(|choice| choice.get("type"))).any(|name| name == "null")
}

fn headers() -> Value {
    json!({
        "Idempotency-Replayed": {
            "description": "This was done before; nothing was changed by this request.",
            "schema": {"const": "true"},
        },
        "Retry-After": {
            "description": "Try again after this many seconds.",
            "required": true,
            "schema": {"type": "integer", "minimum": 1},
        },
        "WWW-Authenticate": {
            "description": "How to show who asks (RFC 6750 section 3).",
            "required": true,
            "schema": {"const": "Bearer"},
        },
        "X-Request-Id": {
            "description": "What to ask about.",
            "required": true,
            "schema": {"$ref": "#/components/schemas/RequestId"},
        },
    })
}

fn complete_operation(path: &str, operation: &mut Map<String, Value>) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.splice(0..0, names(path).map(path_parameter));
    }
    let codes = codes(path, operation);
    let repeatable = has_parameter(operation, "Idempotency-Key");
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for answer in responses.values_mut() {
        complete_answer(answer, repeatable);
    }
    let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status().as_u16()).collect();
    for status in statuses {
        let codes: Vec<Code> = codes.iter().copied().filter(|code| code.status().as_u16() == status).collect();
        let answer = match codes.as_slice() {
            [only] => json!({"$ref": format!("#/components/responses/{}", only.component())}),
            several => refusal(status, several),
        };
        responses.insert(status.to_string(), answer);
    }
}

/// The names in braces.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let (description, schema) = match name {
        "org" => ("The organization's id.", reference("Identifier")),
        "env" => ("The environment's id.", reference("Identifier")),
        "id" => ("The member's id.", reference("MemberId")),
        "token_id" => ("The token's id, which is not the token.", reference("MemberTokenId")),
        "client_id" => ("The key's client id.", reference("ClientId")),
        "name" => ("The name, as the list tells it.", json!({"type": "string"})),
        _ => ("As the list tells it.", json!({"type": "string"})),
    };
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// Every refusal that requests of this operation can meet.
fn codes(path: &str, operation: &Map<String, Value>) -> BTreeSet<Code> {
    let mut codes: BTreeSet<Code> = declared_codes(operation).collect();
    codes.insert(Code::Misdirected);
    let is_open = operation.contains_key("security");
    if !is_open {
        // Who asks is found out by the store; where from, by forwarding headers.
        codes.extend([Code::Internal, Code::Malformed, Code::Unavailable]);
        codes.extend(Code::OF_CALLERS);
    }
    if names(path).next().is_some() {
        codes.insert(Code::NotFound);
    }
    if !is_open && names(path).any(|name| name == "org") {
        codes.insert(Code::NotAllowed);
    }
    if has_parameter_in(operation, "query") {
        codes.extend([Code::Invalid, Code::Malformed]);
    }
    if has_parameter(operation, "If-Match") {
        codes.extend([Code::Malformed, Code::RevisionMismatch]);
    }
    if has_parameter(operation, "Idempotency-Key") {
        codes.extend([Code::IdempotencyKeyReused, Code::Malformed]);
    }
    if operation.contains_key("requestBody") {
        codes.extend([Code::BodyTooLarge, Code::Invalid, Code::Malformed, Code::UnsupportedMediaType]);
    }
    codes
}

fn declared_codes(operation: &Map<String, Value>) -> impl Iterator<Item = Code> {
    let responses = operation.get("responses").and_then(Value::as_object).into_iter().flat_map(Map::values);
    let names = responses.filter_map(|response| response.get(CODES)?.as_array()).flatten();
    names.filter_map(|name| Code::ALL.iter().copied().find(|code| *name == json!(code.component())))
}

fn parameters(operation: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    operation.get("parameters").and_then(Value::as_array).into_iter().flatten()
}

fn has_parameter(operation: &Map<String, Value>, name: &str) -> bool {
    parameters(operation).any(|parameter| parameter.get("name").is_some_and(|known| known == name))
}

fn has_parameter_in(operation: &Map<String, Value>, place: &str) -> bool {
    parameters(operation).any(|parameter| parameter.get("in").is_some_and(|known| known == place))
}

/// An answer that is no refusal: the headers it has.
fn complete_answer(answer: &mut Value, repeatable: bool) {
    let Some(answer) = answer.as_object_mut() else { return };
    let headers = answer.entry("headers").or_insert_with(|| json!({}));
    let Some(headers) = headers.as_object_mut() else { return };
    for header in headers.values_mut().filter_map(Value::as_object_mut) {
        header.insert("required".to_owned(), json!(true));
    }
    headers.insert("X-Request-Id".to_owned(), header("X-Request-Id"));
    if repeatable {
        headers.insert("Idempotency-Replayed".to_owned(), header("Idempotency-Replayed"));
    }
}

fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

fn refusal(status: u16, codes: &[Code]) -> Value {
    let meanings: Vec<String> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.meaning())).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let mut headers = json!({"X-Request-Id": header("X-Request-Id")});
    let more = match status {
        401 => Some("WWW-Authenticate"),
        429 => Some("Retry-After"),
        _ => None,
    };
    if let (Some(name), Some(headers)) = (more, headers.as_object_mut()) {
        headers.insert(name.to_owned(), header(name));
    }
    let narrowed = json!({"properties": {"status": {"const": status}, "code": {"enum": names}}});
    let schema = json!({"allOf": [reference("Problem"), narrowed]});
    json!({
        "description": meanings.join("\n\n"),
        "headers": headers,
        "content": {"application/problem+json": {"schema": schema}},
    })
}
