//! The workbench: pages for people, on the same listener as the control API and by the same methods of [`Control`]. It
//! reads forms, asks, and words answers; it decides nothing.
//!
//! **How a page is made:** a handler takes a [`Visit`] (who is here, where, what they sent; it is not to be had without a
//! live session, and for a form not without its CSRF token), asks `Control`, and renders a template. What is refused
//! comes back as a [`Refusal`](super::api::Refusal) and becomes a page in [`answer::finish`], which sets every header
//! too. Pages work as plain links and forms; `assets/workbench.js` makes them quicker.
//!
//! **To add a page:** a file with the handler and its template's struct, a line in [`router`], a row in the table of
//! roles (`tests/it/workbench/roles.rs`).

mod account;
mod allowlist;
mod answer;
mod assets;
mod audit;
mod audit_row;
mod base_urls;
mod chart;
mod edit_key;
mod entry;
mod expiry;
mod find;
mod form;
mod key;
mod keys;
mod members;
mod new_key;
mod one_key;
mod overview;
mod permissions;
mod problems;
mod revoke;
mod rotate;
mod secret;
mod settings;
mod shell;
mod visit;
mod why;
mod words;

use super::{Control, hosts};
use crate::model::EnvironmentId;
use assets::Assets;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The longest form, in bytes.
const MAX_FORM: usize = 64 * 1024;
/// The longest form about a key, of somebody who may change keys: the longest allowlist fits.
const MAX_KEY_FORM: usize = 8 * 1024 * 1024;
/// The longest form that is kept over the end of its session, and with it the longest of a sign-in.
const MAX_KEPT_FORM: usize = 512 * 1024;
/// So many forms longer than [`MAX_FORM`] are taken in at once.
const LARGE_AT_ONCE: usize = 4;

/// What every page needs.
pub(super) struct Workbench {
    control: Arc<Control>,
    assets: Assets,
    large_forms: Arc<Semaphore>,
}

type Bench = Arc<Workbench>;

/// The pages, and a page for every path that is none.
pub(super) fn router(control: Arc<Control>) -> Router {
    let named = from_fn_with_state(Arc::clone(&control), hosts::require);
    let bench: Bench =
        Arc::new(Workbench { control, assets: Assets::new(), large_forms: Arc::new(Semaphore::new(LARGE_AT_ONCE)) });
    Router::new()
        .route("/", get(entry::home))
        .route("/sign-in", get(entry::sign_in_page).post(entry::sign_in))
        .route("/first-run", get(entry::first_run_page).post(entry::first_run))
        .route("/invitation", get(entry::invitation_page).post(entry::invitation))
        .route("/sign-out", post(entry::sign_out))
        .route("/o/{org}", get(entry::organization))
        .route("/o/{org}/base-urls", get(base_urls::show))
        .route("/o/{org}/settings", get(settings::show).post(settings::save))
        .route("/o/{org}/audit", get(audit::show))
        .route("/o/{org}/audit/check", post(audit::check))
        .route("/o/{org}/audit/export", get(audit::export))
        .route("/o/{org}/members", get(members::list).post(members::add))
        .route("/o/{org}/members/{member}", get(members::show).post(members::edit))
        .route("/o/{org}/members/{member}/invitation", post(members::invite))
        .route("/o/{org}/members/{member}/remove", get(members::ask_remove).post(members::remove))
        .route("/o/{org}/e/{env}/keys/new", get(new_key::show).post(new_key::create))
        .route("/o/{org}/e/{env}/overview", get(overview::show))
        .route("/o/{org}/e/{env}/keys", get(keys::list))
        .route("/o/{org}/e/{env}/keys/{client_id}", get(key::show))
        .route("/o/{org}/e/{env}/keys/{client_id}/edit", get(edit_key::show).post(edit_key::save))
        .route("/o/{org}/e/{env}/keys/{client_id}/rotate", get(rotate::show).post(rotate::rotate))
        .route("/o/{org}/e/{env}/keys/{client_id}/revoke", get(revoke::show).post(revoke::revoke))
        .route("/o/{org}/e/{env}/keys/{client_id}/remove-unused", post(key::remove_unused))
        .route("/o/{org}/e/{env}/why", get(why::show))
        .route("/o/{org}/e/{env}/allowlist", post(allowlist::verdict))
        .route("/o/{org}/find", get(find::show))
        .route("/account", get(account::show).post(account::change_password))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .fallback(answer::not_found)
        .layer(named)
        .layer(from_fn_with_state(Arc::clone(&bench), answer::finish))
        .route("/assets/{name}", get(assets::show))
        .route("/favicon.ico", get(assets::favicon))
        .with_state(bench)
}

/// Where the pages of an environment are.
fn base_of(environment: &EnvironmentId) -> String {
    format!("/o/{}/e/{}", environment.organization, environment.environment)
}
