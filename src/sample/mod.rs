//! The sample API of `portcullis demo`: a pocket bank in memory, so that newcomers have something to protect.
//!
//! It knows nothing of keys or tokens: what arrives here has been allowed by the gateway, and `GET /whoami` shows
//! what the gateway said about the caller. Memory is bounded: 1000 cards, the last 1000 payments, short texts,
//! small bodies. Its OpenAPI document is the demo's permission catalogue; a test holds the two together.

mod accounts;
mod bank;
mod cards;
mod meta;
mod payments;
mod problem;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use bank::Bank;
use parking_lot::Mutex;
use problem::Problem;
use std::sync::Arc;

/// The API's OpenAPI 3.1 document; its operation ids become permissions.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The longest request body, in bytes. One more answers 413.
const BODY_LIMIT: usize = 16 * 1024;

type Shared = Arc<Mutex<Bank>>;

/// A fresh bank behind its routes.
pub fn router() -> Router {
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Shared::default())
}

/// Every path there is, so that a test can compare them with the document.
fn routes() -> [(&'static str, MethodRouter<Shared>); 11] {
    [
        ("/accounts", get(accounts::list)),
        ("/accounts/{id}", get(accounts::show)),
        ("/cards", get(cards::list).post(cards::create)),
        ("/cards/{id}", get(cards::show).patch(cards::update).delete(cards::delete)),
        ("/cards/{id}/freeze", post(cards::freeze)),
        ("/cards/{id}/unfreeze", post(cards::unfreeze)),
        ("/events", get(meta::events)),
        ("/health", get(meta::health)),
        ("/openapi.json", get(meta::openapi)),
        ("/payments", get(payments::list).post(payments::create)),
        ("/whoami", get(meta::whoami)),
    ]
}

#[cfg(test)]
mod tests;
