//! How the sample says no: RFC 9457, without a Portcullis code, so that its own refusals are told from the gateway's.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::borrow::Cow;

/// A refusal.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
}

impl Problem {
    pub(super) fn conflict(detail: &'static str) -> Self {
        Self { status: StatusCode::CONFLICT, detail: detail.into() }
    }

    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    pub(super) fn method_not_allowed() -> Self {
        Self { status: StatusCode::METHOD_NOT_ALLOWED, detail: "this path does not take that method".into() }
    }

    pub(super) fn not_found(detail: &'static str) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({"title": title, "status": self.status.as_u16(), "detail": self.detail});
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

/// A JSON body; whatever is wrong with it is a [`Problem`].
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let rejected = |rejection: JsonRejection| {
            let status = match rejection.status() {
                // Well-formed JSON of the wrong shape is one kind of bad request here.
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                status => status,
            };
            Problem { status, detail: rejection.body_text().into() }
        };
        Json::from_request(request, state).await.map(|Json(body)| Self(body)).map_err(rejected)
    }
}
