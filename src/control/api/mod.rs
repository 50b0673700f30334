//! The JSON face of the control plane (`/v1`). It reads requests, asks [`Control`] and words answers; it decides nothing.
//!
//! **To add a route:** write the handler with `#[utoipa::path]` (its doc comment is the summary, then the description),
//! and register it with `routes!` below: route and document come from the same lines. Answers are `Serialize` and
//! `ToSchema` types. Bodies are read by `Body` and described by a type in `bodies`; a test there compares the two. The
//! document adds by itself (`document`) what follows from serving: path parameters, `401`, `404`, `413`, headers and the
//! like. What is left to say is a handler's own refusals (`refusals!`, one set a handler), `IfMatch` and
//! `IdempotencyKey` where it honours them, and a row in `code` for a new code.

pub(super) mod answer;
pub(super) mod audit;
pub(super) mod auth;
mod bodies;
mod body;
mod code;
mod document;
mod drift;
mod environments;
mod explain;
mod keys;
mod members;
mod node;
mod organizations;
mod places;
mod query;
mod revision;
mod schema;
mod sessions;

use super::{Control, hosts};
pub(super) use answer::Refusal;
pub(super) use auth::Arrival;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::any;
use axum::{Extension, Router};
use document::{Document, Foundation};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest request body where a token was asked for: the longest allowlist fits, every address written out.
const GUARDED_BODY: BodyLimit = BodyLimit { bytes: 8 * 1024 * 1024, words: "8 MiB" };
/// The longest catalogue: the largest OpenAPI document that is imported.
const DOCUMENT_BODY: BodyLimit = BodyLimit { bytes: 32 * 1024 * 1024, words: "32 MiB" };
/// The longest request body that anybody may send.
const OPEN_BODY: BodyLimit = BodyLimit { bytes: 64 * 1024, words: "64 KiB" };

const ORGANIZATION: &str = "/v1/organizations/{org}";
const MEMBERS: &str = "/v1/organizations/{org}/members";
const ENVIRONMENT: &str = "/v1/organizations/{org}/environments/{env}";

type Shared = Arc<Control>;

/// How long a request body may be. One byte more answers 413.
#[derive(Clone, Copy, Debug)]
struct BodyLimit {
    bytes: usize,
    words: &'static str,
}

/// The control API. Every answer carries `X-Request-Id` and `Cache-Control: no-store`.
pub(super) fn router(control: Arc<Control>) -> Router {
    let document = Document(openapi_document().into());
    let open = open().split_for_parts().0;
    let signing_in = signing_in().split_for_parts().0;
    behind_tokens(guarded(), &control, GUARDED_BODY)
        .merge(behind_tokens(taking_documents(), &control, DOCUMENT_BODY))
        .merge(open.method_not_allowed_fallback(async || Refusal::method_not_allowed()))
        .merge(
            signing_in
                .method_not_allowed_fallback(async || Refusal::method_not_allowed())
                .route_layer(from_fn_with_state(Arc::clone(&control), auth::let_pass)),
        )
        .route("/v1", any(async || Refusal::not_found()))
        .route("/v1/", any(async || Refusal::not_found()))
        .route("/v1/{*rest}", any(async || Refusal::not_found()))
        .layer(Extension(document))
        .layer((DefaultBodyLimit::max(OPEN_BODY.bytes), Extension(OPEN_BODY)))
        .layer(from_fn_with_state(Arc::clone(&control), hosts::require))
        .layer(from_fn(answer::finish))
        .with_state(control)
}

/// Routes that ask for a token, and take bodies of that length.
fn behind_tokens(routes: OpenApiRouter<Shared>, control: &Shared, limit: BodyLimit) -> Router<Shared> {
    let routes = routes.split_for_parts().0;
    routes
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
        .route_layer(from_fn_with_state(Arc::clone(control), auth::require))
        // Around the check: it reads the body once the caller is known.
        .route_layer((DefaultBodyLimit::max(limit.bytes), Extension(limit)))
}

/// The document of the control API (OpenAPI 3.1), as `GET /v1/openapi.json` serves it.
pub fn openapi_document() -> String {
    let mut api = Foundation::openapi();
    api.merge(guarded().into_openapi());
    api.merge(taking_documents().into_openapi());
    api.merge(open().into_openapi());
    api.merge(signing_in().into_openapi());
    document::complete(&api)
}

/// The routes that ask for a token.
fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(places::status))
        .routes(routes!(node::reload))
        .routes(routes!(node::drain))
        .routes(routes!(node::signing_keys))
        .routes(routes!(node::rotate_signing_key))
        .routes(routes!(audit::of_node))
        .routes(routes!(audit::verify_node))
        .routes(routes!(audit::of_organization))
        .routes(routes!(audit::verify_organization))
        .routes(routes!(organizations::list_all))
        .routes(routes!(organizations::show, organizations::edit, organizations::put))
        .routes(routes!(members::list_all, members::add))
        .routes(routes!(members::show, members::edit, members::remove))
        .routes(routes!(members::invite))
        .routes(routes!(members::tokens, members::add_token))
        .routes(routes!(members::remove_token))
        .routes(routes!(sessions::show, sessions::end))
        .routes(routes!(places::environments))
        .routes(routes!(places::environment, environments::put, environments::delete))
        .routes(routes!(places::permissions))
        .routes(routes!(places::presets))
        .routes(routes!(places::preset, environments::put_preset, environments::delete_preset))
        .routes(routes!(places::roles))
        .routes(routes!(places::role, environments::put_role, environments::delete_role))
        .routes(routes!(keys::list_all, keys::create))
        .routes(routes!(keys::show, keys::edit))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::usage))
        .routes(routes!(drift::drift))
        .routes(routes!(explain::explain))
}

/// The routes that ask for a token, where OpenAPI documents are sent to.
fn taking_documents() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(places::catalogue, environments::put_catalogue))
        .routes(routes!(drift::compare))
}

/// The routes that make a token: who asks comes out of the body.
fn signing_in() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(sessions::open))
}

/// The routes that anybody may ask.
fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(document::show))
}

#[cfg(test)]
mod tests;
