//! The JSON face of the control plane (`/v1`). It reads requests, asks [`Control`] and words answers; it decides nothing.

mod answer;
mod auth;
mod body;
mod json;
mod keys;
mod organizations;
mod places;
mod query;
mod revision;

use super::Control;
use answer::Refusal;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use std::sync::Arc;

/// The longest request body, in bytes. One more answers 413.
const BODY_LIMIT: usize = 1024 * 1024;

type Shared = Arc<Control>;

/// The control API. Every answer carries `X-Request-Id` and `Cache-Control: no-store`.
pub fn router(control: Arc<Control>) -> Router {
    const ENVIRONMENTS: &str = "/v1/organizations/{org}/environments";
    let below = |path: &str| format!("{ENVIRONMENTS}/{{env}}{path}");
    Router::new()
        .route("/v1/status", get(places::status))
        .route("/v1/organizations", get(organizations::list_all))
        .route("/v1/organizations/{org}", get(organizations::show).patch(organizations::edit).put(organizations::put))
        .route(ENVIRONMENTS, get(places::environments))
        .route(&below(""), get(places::environment))
        .route(&below("/permissions"), get(places::permissions))
        .route(&below("/presets"), get(places::presets))
        .route(&below("/presets/{name}"), get(places::preset))
        .route(&below("/roles"), get(places::roles))
        .route(&below("/roles/{name}"), get(places::role))
        .route(&below("/keys"), get(keys::list).post(keys::create))
        .route(&below("/keys/{client_id}"), get(keys::show).patch(keys::edit))
        .route(&below("/keys/{client_id}/rotate"), post(keys::rotate))
        .route(&below("/keys/{client_id}/revoke"), post(keys::revoke))
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
        .route_layer(from_fn_with_state(Arc::clone(&control), auth::require))
        .fallback(async || Refusal::not_found())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(answer::finish))
        .with_state(control)
}
