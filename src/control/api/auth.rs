//! Who asks. In this version there is one caller: the operator, by the bootstrap token.
//!
//! The digest is read from the store at every request, so that a token that ended has ended everywhere at once. While
//! the store is away the digest it last told opens `GET /v1/status` and nothing else: an operator can still look.

use super::Shared;
use super::answer::Refusal;
use crate::control::{Control, KeyProblem};
use crate::model::SecretDigest;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What `created_by` says of the operator.
pub(super) const OPERATOR: &str = "operator";

/// Lets a request pass if it carries a token that counts.
pub(super) async fn require(State(control): State<Shared>, request: Request, next: Next) -> Response {
    let is_status = request.method() == Method::GET && request.uri().path() == "/v1/status";
    let judged = match bearer(request.headers()) {
        // Never ask the store on behalf of somebody who shows nothing.
        None => Err(Refusal::not_authenticated()),
        Some(token) => operator_digest(&control, is_status).await.and_then(|digest| match digest {
            Some(digest) if digest.matches(token.as_bytes()) => Ok(()),
            Some(_) | None => Err(Refusal::not_authenticated()),
        }),
    };
    match judged {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn operator_digest(control: &Control, may_remember: bool) -> Result<Option<SecretDigest>, Refusal> {
    match control.store.bootstrap_digest().await {
        Ok(digest) => {
            *control.last_operator.lock() = digest;
            Ok(digest)
        }
        Err(error) => {
            let remembered = *control.last_operator.lock();
            let problem = KeyProblem::from(error);
            if may_remember && remembered.is_some() { Ok(remembered) } else { Err(problem.into()) }
        }
    }
}

/// The token of the one `Authorization: Bearer` (RFC 6750 section 2.1; the scheme in any case).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
