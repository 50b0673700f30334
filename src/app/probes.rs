//! `/livez`, `/readyz` and `/metrics`.

use super::node::Shared;
use crate::clock;
use crate::model::Timestamp;
use crate::tables::Tables;
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The store must have been seen within this many seconds.
const STORE_BOUND: i64 = 30;

/// What readiness depends on. It exists once the tables are loaded, and not before.
pub(super) struct Probes {
    store_seen: AtomicI64,
    reload_failed: AtomicBool,
}

impl Probes {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { store_seen: AtomicI64::new(now.as_unix()), reload_failed: AtomicBool::new(false) }
    }

    /// The tables agree with the store.
    pub(super) fn store_seen(&self, now: Timestamp) {
        self.store_seen.store(now.as_unix(), Ordering::Relaxed);
    }

    /// How the last reload ended.
    pub(super) fn reloaded(&self, good: bool) {
        self.reload_failed.store(!good, Ordering::Relaxed);
    }

    fn seen(&self) -> Timestamp {
        Timestamp::from_unix(self.store_seen.load(Ordering::Relaxed))
    }
}

pub(super) fn router(shared: &Shared) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shared.clone())
}

async fn ready(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let age = clock::now().as_unix() - shared.probes.seen().as_unix();
    let good = age <= STORE_BOUND;
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if good { "ready" } else { "not ready" };
    if query.as_deref() != Some("verbose") {
        return (status, format!("{word}\n")).into_response();
    }
    let reload =
        if shared.probes.reload_failed.load(Ordering::Relaxed) { "failed; the tables before it serve" } else { "ok" };
    let revision = shared.tables.revision().0;
    let detail = format!(
        "{word}\ntables: loaded, revision {revision}\nstore: seen {age} s ago (bound {STORE_BOUND} s)\nlast reload: {reload}\n"
    );
    (status, detail).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    gauge(&shared.metrics, &shared.tables, shared.probes.seen());
    match shared.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Gauges that are measured when somebody asks.
fn gauge(metrics: &Arc<Metrics>, tables: &Tables, seen: Timestamp) {
    let now = clock::now();
    metrics.tables_revision.set(i64::try_from(tables.revision().0).unwrap_or(i64::MAX));
    metrics.set_tables_age(seen, now);
    metrics.reset_keys();
    let snapshot = tables.load_full();
    for ((index, legacy, status), count) in snapshot.count_keys(now) {
        let kind = if legacy { "legacy" } else { "fine_grained" };
        if let Some(environment) = snapshot.environment_at(index) {
            metrics.set_keys(&environment.label, kind, status.as_str(), count);
        }
    }
}
