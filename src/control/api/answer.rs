//! Answers: JSON, and refusals as RFC 9457 problems with the request's id in them.

use crate::control::keys::draw;
use crate::control::{ControlProblem, FieldError};
use crate::model::hex;
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's id, for those who log or record it.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

/// A refusal. It becomes a whole answer in [`finish`], which knows the request's id.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    errors: Option<Vec<FieldError>>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), errors: None }
    }

    pub(super) fn body_too_large() -> Self {
        let detail = format!("a request body has at most {} bytes", super::BODY_LIMIT);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large", detail)
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.pointer, only.message),
            several => format!("{} fields are not valid; `errors` names them", several.len()),
        };
        let refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Not valid", detail);
        Self { errors: Some(errors), ..refusal }
    }

    /// The code, where this refuses an attempt that the audit log should know of: not a slip of the pen.
    pub(super) fn attempt(&self) -> Option<&'static str> {
        const POLICIES: [&str; 4] = ["expiry_required", "expiry_too_far", "grant_exceeds_own", "legacy_blocked"];
        match self.status {
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::TOO_MANY_REQUESTS => Some(self.code),
            StatusCode::UNPROCESSABLE_ENTITY => {
                let errors = self.errors.as_deref().unwrap_or_default();
                errors.iter().map(|error| error.code).find(|code| POLICIES.contains(code))
            }
            _ => None,
        }
    }

    /// Whether whoever was refused has a part in the organization: its own log then tells of it.
    pub(super) fn is_insiders(&self) -> bool {
        matches!(self.status, StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY)
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this path does not take that method; `Allow` lists those it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
    }

    pub(super) fn not_authenticated() -> Self {
        let detail = "this needs `Authorization: Bearer` and a token that counts";
        Self::new(StatusCode::UNAUTHORIZED, "not_authenticated", "Not signed in", detail)
    }

    /// One shape for whatever is not there: nobody learns which part of a path was wrong.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "there is nothing at this path")
    }

    pub(super) fn unsupported_media_type() -> Self {
        let detail = "a request body is JSON and says so: `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Not JSON", detail)
    }

    fn render(&self, request_id: &str) -> String {
        let mut body = json!({
            "type": format!("urn:portcullis:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        });
        if let (Some(errors), Some(members)) = (&self.errors, body.as_object_mut()) {
            members.insert("errors".to_owned(), json!(errors));
        }
        body.to_string()
    }
}

impl From<ControlProblem> for Refusal {
    fn from(problem: ControlProblem) -> Self {
        let detail = problem.to_string();
        match problem {
            // Handlers that take an idempotency key answer this by themselves.
            ControlProblem::AlreadyDone(_) => Self::new(StatusCode::CONFLICT, "already_done", "Already done", detail),
            ControlProblem::CursorUnknown => Self::malformed(detail),
            ControlProblem::Fault => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail),
            ControlProblem::IdempotencyKeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Key used before", detail)
            }
            ControlProblem::Invalid(errors) => Self::invalid(errors.into_vec()),
            ControlProblem::ManagedByFile => Self::new(StatusCode::CONFLICT, "managed_by_file", "Set by file", detail),
            ControlProblem::NameTaken => Self::new(StatusCode::CONFLICT, "name_taken", "Name taken", detail),
            ControlProblem::NotAllowed(_) => Self::new(StatusCode::FORBIDDEN, "not_allowed", "Not allowed", detail),
            ControlProblem::NotFound => Self::not_found(),
            ControlProblem::RevisionMismatch { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "revision_mismatch", "Changed since", detail)
            }
            ControlProblem::Revoked => Self::new(StatusCode::CONFLICT, "key_revoked", "Key revoked", detail),
            ControlProblem::Unavailable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Store unavailable", detail)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// `body` as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => {
            tracing::error!("control: an answer cannot be written: {error}");
            Refusal::from(ControlProblem::Fault).into_response()
        }
    }
}

/// A list that is short enough to be one page, always.
pub(super) fn list(objects: impl Iterator<Item = Value>) -> Response {
    json(StatusCode::OK, &json!({"data": objects.collect::<Vec<_>>(), "next_cursor": null}))
}

/// What every answer has: an id to ask about, no place in any cache, and refusals worded in one way.
pub(super) async fn finish(mut request: Request, next: Next) -> Response {
    let Ok(drawn) = draw::<16>() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let request_id = hex(&drawn);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let body = refusal.render(&request_id);
        // Of the first wording only Allow counts.
        let allow = response.headers().get(header::ALLOW).cloned();
        response = (refusal.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if refusal.status == StatusCode::UNAUTHORIZED {
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
