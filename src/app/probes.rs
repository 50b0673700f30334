//! `/livez`, `/readyz` and `/metrics`.

use super::node::Shared;
use super::supervisor::Supervisor;
use crate::clock;
use crate::control::{LastReload, Reloaded};
use crate::edge::Standing;
use crate::model::Timestamp;
use crate::tables::Tables;
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The store must have been seen within this many seconds.
const STORE_BOUND: i64 = 30;
/// So many problems of a failed reload are shown.
const PROBLEMS: usize = 10;

/// What readiness depends on. It exists once the tables are loaded, and not before.
pub(super) struct Probes {
    store_seen: AtomicI64,
    draining: AtomicBool,
    last_reload: Mutex<LastReload>,
    supervisor: Arc<Supervisor>,
}

impl Probes {
    pub(super) const fn new(now: Timestamp, supervisor: Arc<Supervisor>) -> Self {
        let started = LastReload { at: now, problems: Vec::new(), needs_restart: Vec::new() };
        let store_seen = AtomicI64::new(now.as_unix());
        Self { store_seen, draining: AtomicBool::new(false), last_reload: Mutex::new(started), supervisor }
    }

    /// The node takes no new requests soon: nobody should send it any.
    pub(super) fn drains(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.supervisor.stopping();
    }

    /// The tables agree with the store.
    pub(super) fn store_seen(&self, now: Timestamp) {
        self.store_seen.store(now.as_unix(), Ordering::Relaxed);
    }

    /// A reload was good.
    pub(super) fn reloaded(&self, now: Timestamp, reloaded: &Reloaded) {
        let needs_restart = reloaded.needs_restart.clone();
        *self.last_reload.lock() = LastReload { at: now, problems: Vec::new(), needs_restart };
        self.supervisor.reloaded();
    }

    /// A reload changed nothing. What needs a restart is as it was.
    pub(super) fn reload_failed(&self, now: Timestamp, problems: Vec<String>) {
        let mut last = self.last_reload.lock();
        (last.at, last.problems) = (now, problems);
        self.supervisor.reloaded();
    }

    /// How the last reload ended, or the start.
    pub(super) fn last_reload(&self) -> LastReload {
        self.last_reload.lock().clone()
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
    let (status, word) = match (shared.probes.draining.load(Ordering::Relaxed), age <= STORE_BOUND) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        (false, true) => (StatusCode::OK, "ready"),
    };
    if query.as_deref() != Some("verbose") {
        return (status, format!("{word}\n")).into_response();
    }
    let revision = shared.tables.revision().0;
    let detail = format!(
        "{word}\ntables: loaded, revision {revision}\nstore: seen {age} s ago (bound {STORE_BOUND} s)\n{}",
        told(&shared.probes.last_reload())
    );
    (status, detail).into_response()
}

/// The last reload in lines: how it went, what was wrong, what waits for a restart.
fn told(last: &LastReload) -> String {
    let LastReload { at, problems, needs_restart } = last;
    let mut lines = match problems.as_slice() {
        [] => format!("last reload: ok, at {at}\n"),
        problems => format!("last reload: failed; the tables before it serve, at {at}\n{}", first(problems)),
    };
    if !needs_restart.is_empty() {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "needs a restart: {}", needs_restart.join(", "));
    }
    lines
}

/// The first problems, indented; a count stands for the rest.
fn first(problems: &[String]) -> String {
    let mut lines: String = problems.iter().take(PROBLEMS).map(|problem| format!("  {problem}\n")).collect();
    if let Some(more) = problems.len().checked_sub(PROBLEMS).filter(|more| *more > 0) {
        let _ = writeln!(lines, "  and {more} more");
    }
    lines
}

async fn metrics(State(shared): State<Shared>) -> Response {
    gauge(&shared.metrics, &shared.tables, shared.probes.seen());
    shared.tls.gauge(&shared.metrics);
    gauge_upstreams(&shared);
    match shared.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// No address is told: a label must not grow with them.
fn gauge_upstreams(shared: &Shared) {
    let snapshot = shared.tables.load_full();
    shared.metrics.set_upstreams(snapshot.environments().iter().map(|environment| {
        let Standing { available, ejected, unhealthy } = shared.upstreams.standing(&environment.upstream, None);
        (environment.label.as_str(), [("available", available), ("ejected", ejected), ("unhealthy", unhealthy)])
    }));
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
