//! Answers: JSON, and refusals as RFC 9457 problems with the request's id in them.

use super::code::Code;
use super::schema::RequestIdText;
use crate::access::Denial;
use crate::control::draft::MAX_NETWORKS;
use crate::control::keys::draw;
use crate::control::{ControlProblem, FieldError};
use crate::model::hex;
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{Array, ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The header that carries a request's id.
pub(in crate::control) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's id, for those who log or record it.
#[derive(Clone, Debug)]
pub(in crate::control) struct RequestId(pub(in crate::control) String);

/// A refusal. It becomes a whole answer in [`finish`], which knows the request's id.
#[derive(Clone, Debug)]
pub(in crate::control) struct Refusal {
    code: Code,
    detail: String,
    errors: Option<Vec<FieldError>>,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

/// Why a request was refused (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct Problem<'a> {
    /// `urn:portcullis:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:portcullis:problem:[a-z_]+$", example = "urn:portcullis:problem:not_found")]
    kind: String,
    /// A few words, the same for every refusal of the kind.
    #[schema(example = "Not found")]
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    status: u16,
    /// What happened to this request, and what can be done about it.
    #[schema(example = "there is nothing at this path")]
    detail: &'a str,
    /// The stable name of the kind: what programs compare.
    #[schema(value_type = Code)]
    code: &'a str,
    /// The request's id, also in `X-Request-Id`: what to ask about.
    #[schema(value_type = RequestIdText)]
    request_id: &'a str,
    /// With the code `invalid`: every field or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<&'a [FieldError]>,
}

impl Refusal {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: None, retry_after: None }
    }

    /// `limit` is what a body of this kind has at most, such as `8 MiB`.
    pub(super) fn body_too_large(limit: &str) -> Self {
        let detail =
            format!("a request body has at most {limit} here, and an allowlist at most {MAX_NETWORKS} networks");
        Self::new(Code::BodyTooLarge, detail)
    }

    /// What the edge would say of the token, said here.
    pub(super) fn denied(denial: &Denial) -> Self {
        Self::new(Code::of_caller(denial), denial.detail())
    }

    pub(super) fn fault() -> Self {
        ControlProblem::Fault.into()
    }

    /// Files that were read again and have problems.
    pub(super) fn files(problems: &[String]) -> Self {
        let errors = problems.iter().map(|problem| FieldError {
            pointer: String::new(),
            code: "configuration_invalid",
            message: problem.clone(),
        });
        let detail = "the files have problems, and what was there before serves on; `errors` names them";
        Self { errors: Some(errors.collect()), ..Self::new(Code::ConfigurationInvalid, detail) }
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => only.message.clone(),
            [only] => format!("{}: {}", only.pointer, only.message),
            several => format!("{} fields are not valid; `errors` names them", several.len()),
        };
        Self { errors: Some(errors), ..Self::new(Code::Invalid, detail) }
    }

    /// The code, where this refuses an attempt that the audit log should know of: not a slip of the pen.
    pub(in crate::control) fn attempt(&self) -> Option<&'static str> {
        const POLICIES: [&str; 4] = ["expiry_required", "expiry_too_far", "grant_exceeds_own", "legacy_blocked"];
        match self.status() {
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::TOO_MANY_REQUESTS => Some(self.code.as_str()),
            StatusCode::UNPROCESSABLE_ENTITY => {
                let errors = self.errors.as_deref().unwrap_or_default();
                errors.iter().map(|error| error.code).find(|code| POLICIES.contains(code))
            }
            _ => None,
        }
    }

    /// Whether whoever was refused has a part in the organization: its own log then tells of it.
    pub(super) fn is_insiders(&self) -> bool {
        matches!(self.status(), StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY)
    }

    pub(in crate::control) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    pub(in crate::control) fn method_not_allowed() -> Self {
        let detail = "this path does not take that method; `Allow` lists those it takes";
        Self::new(Code::MethodNotAllowed, detail)
    }

    /// Nothing that is wrong with the request.
    pub(super) fn unavailable(detail: String) -> Self {
        Self::new(Code::Unavailable, detail)
    }

    pub(super) fn not_authenticated() -> Self {
        let detail = "this needs `Authorization: Bearer` and a token that counts";
        Self::new(Code::NotAuthenticated, detail)
    }

    /// It was sent to a name that is not ours; `detail` says which, and where to ask.
    pub(in crate::control) fn misdirected(detail: String) -> Self {
        Self::new(Code::Misdirected, detail)
    }

    /// One shape for whatever is not there: nobody learns which part of a path was wrong.
    pub(in crate::control) fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing at this path")
    }

    pub(super) fn unsupported_media_type() -> Self {
        Self::unsupported("a request body is JSON and says so: `Content-Type: application/json`")
    }

    /// A body of a kind that is not taken; `detail` says which are.
    pub(super) fn unsupported(detail: &str) -> Self {
        Self::new(Code::UnsupportedMediaType, detail)
    }

    #[cfg(test)]
    pub(super) fn errors(&self) -> &[FieldError] {
        self.errors.as_deref().unwrap_or_default()
    }

    pub(in crate::control) fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// A few words, the same for every refusal of the kind.
    pub(in crate::control) const fn title(&self) -> &'static str {
        self.code.title()
    }

    /// What happened, and what can be done about it.
    pub(in crate::control) fn detail(&self) -> &str {
        &self.detail
    }

    /// Seconds after which to try again.
    pub(in crate::control) const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    fn render(&self, request_id: &str) -> Response {
        let problem = Problem {
            kind: format!("urn:portcullis:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            errors: self.errors.as_deref(),
        };
        written(self.status(), "application/problem+json", &problem)
    }
}

impl From<ControlProblem> for Refusal {
    fn from(problem: ControlProblem) -> Self {
        let detail = problem.to_string();
        let code = match problem {
            ControlProblem::Invalid(errors) => return Self::invalid(errors.into_vec()),
            ControlProblem::NotFound => return Self::not_found(),
            ControlProblem::LogBusy { retry_after } | ControlProblem::RateLimited { retry_after } => {
                return Self { retry_after: Some(retry_after), ..Self::new(Code::RateLimited, detail) };
            }
            ControlProblem::BaseUrlTaken(_) => Code::BaseUrlTaken,
            ControlProblem::CursorUnknown => Code::Malformed,
            ControlProblem::EmailTaken(_) => Code::EmailTaken,
            ControlProblem::EnvironmentInUse { .. } => Code::EnvironmentInUse,
            // Handlers that take an idempotency key answer a repetition by themselves.
            ControlProblem::AlreadyDone(_) | ControlProblem::Fault => Code::Internal,
            ControlProblem::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            ControlProblem::LastOwner => Code::LastOwner,
            ControlProblem::ManagedByFile => Code::ManagedByFile,
            ControlProblem::NameTaken => Code::NameTaken,
            ControlProblem::NotAllowed(_) => Code::NotAllowed,
            ControlProblem::NotAuthenticated(_) => Code::NotAuthenticated,
            ControlProblem::PasswordSet => Code::PasswordSet,
            ControlProblem::PresetBuiltIn => Code::PresetBuiltIn,
            ControlProblem::RevisionMismatch { .. } => Code::RevisionMismatch,
            ControlProblem::RoleInUse { .. } => Code::RoleInUse,
            ControlProblem::Revoked => Code::KeyRevoked,
            ControlProblem::TooManyTokens => Code::TooManyTokens,
            ControlProblem::Busy | ControlProblem::Unavailable => Code::Unavailable,
        };
        Self::new(code, detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// `body` as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    written(status, "application/json", body)
}

fn written(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, media_type)], text).into_response(),
        Err(error) => {
            tracing::error!("control: an answer cannot be written: {error}");
            Refusal::from(ControlProblem::Fault).into_response()
        }
    }
}

/// One page of a list. In the document it goes by an alias for each kind of object, such as `KeyPage`.
#[derive(Serialize)]
pub(super) struct Page<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let objects = Array::new(Ref::from_schema_name(T::name()));
        let cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Where the list goes on: the `cursor` of the next request. Null at its end."));
        let page = ObjectBuilder::new().description(Some("One page of a list."));
        let page = page.property("data", objects).required("data").property("next_cursor", cursor);
        page.into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into(), T::schema()));
        T::schemas(schemas);
    }
}

/// One page of a list, and where it goes on.
pub(super) fn page<T: Serialize>(objects: impl Iterator<Item = T>, next_cursor: Option<String>) -> Response {
    json(StatusCode::OK, &Page { data: objects.collect(), next_cursor })
}

/// A list that is short enough to be one page, always.
pub(super) fn list<T: Serialize>(objects: impl Iterator<Item = T>) -> Response {
    page(objects, None)
}

/// What every answer has: an id to ask about, no place in any cache, and refusals worded in one way.
pub(super) async fn finish(mut request: Request, next: Next) -> Response {
    let Ok(drawn) = draw::<16>() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let request_id = hex(&drawn);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        // Of the first wording only Allow counts.
        let allow = response.headers().get(header::ALLOW).cloned();
        response = refusal.render(&request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(seconds) = refusal.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if refusal.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}
