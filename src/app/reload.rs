//! Reloading: tenant files are read again, checked, built aside and swapped in whole; a failure keeps the old tables.

use super::node::Shared;
use super::stored::{Stored, stored_environments};
use crate::config::Problems;
use crate::{clock, config};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Reads the node's files again, one reload at a time.
pub(super) struct Reloader {
    shared: Shared,
    path: Option<PathBuf>,
    turn: tokio::sync::Mutex<()>,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The files have problems.
    #[error("{0}")]
    Files(Problems),
    /// There is nothing to read, or something else went wrong.
    #[error("{0:#}")]
    Other(anyhow::Error),
}

impl Reloader {
    pub(super) fn new(shared: Shared, path: Option<PathBuf>) -> Self {
        Self { shared, path, turn: tokio::sync::Mutex::new(()) }
    }

    /// Reloads, and says in log, metric and probe how it went.
    pub(super) async fn reload(&self) -> Result<(), ReloadError> {
        let _turn = self.turn.lock().await;
        let result = self.attempt().await;
        self.shared.probes.reloaded(result.is_ok());
        self.shared.metrics.count_reload(result.is_ok());
        match &result {
            Ok(()) => {
                tracing::info!("tenant files were read again; listeners, limits and token settings need a restart");
            }
            Err(error) => tracing::error!("reload failed, the tables before it serve: {error}"),
        }
        result
    }

    async fn attempt(&self) -> Result<(), ReloadError> {
        let path =
            self.path.as_deref().ok_or_else(|| ReloadError::Other(anyhow::anyhow!("there is no file to read")))?;
        let (path, documents) = (path.to_owned(), Arc::clone(&self.shared.documents));
        let reading = tokio::task::spawn_blocking(move || config::load(&path, clock::now(), &documents));
        let config = reading.await.map_err(|error| ReloadError::Other(error.into()))?.map_err(ReloadError::Files)?;
        let shared = &self.shared;
        let turn = shared.tables.change_world().await;
        let stored = stored_environments(shared.store.as_ref(), &shared.documents, &config.organizations).await;
        let Stored { environments, warnings } = stored.map_err(|error| ReloadError::Other(error.into()))?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let plan = turn.plan(config.organizations, environments);
        let plan = plan.map_err(|error| ReloadError::Other(error.into()))?;
        // Before the swap: the first request to a new upstream must find its address.
        shared.upstreams.learn(&plan.changes().fresh()).await;
        let adopted = turn.adopt(plan, shared.store.as_ref()).await;
        adopted.map(|_| ()).map_err(|error| ReloadError::Other(error.into()))
    }
}

/// What the edge calls at a HUP.
pub(super) fn on_hangup(runtime: Handle, reloader: Arc<Reloader>) -> Box<dyn Fn() + Send + Sync> {
    Box::new(move || {
        let reloader = Arc::clone(&reloader);
        runtime.spawn(async move {
            // Log, metric and probe have been told.
            let _ = reloader.reload().await;
        });
    })
}
