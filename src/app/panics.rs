//! Panics are counted and told by their place alone: what they say may hold what a request said.

use crate::telemetry::Metrics;
use std::sync::Arc;

/// Counts every panic of the process from now on, and tells of each in one line.
pub(super) fn watch(metrics: &Arc<Metrics>) {
    let metrics = Arc::clone(metrics);
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panics.inc();
        match panic.location() {
            Some(place) => tracing::error!(at = %format_args!("{}:{}", place.file(), place.line()), "a panic"),
            None => tracing::error!("a panic"),
        }
    }));
}
