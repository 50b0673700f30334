//! HUP: tenant files are read again, checked, built aside and swapped in whole; a failure keeps the old tables.

use super::node::Shared;
use crate::tables::{Snapshot, load_keys};
use crate::{clock, config};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// What the edge calls at a HUP.
pub(super) fn on_hangup(runtime: &Runtime, shared: &Shared, path: Option<PathBuf>) -> Box<dyn Fn() + Send + Sync> {
    let (handle, shared) = (runtime.handle().clone(), shared.clone());
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Box::new(move || {
        let Some(path) = path.clone() else { return tracing::info!("HUP: there is no file to read again") };
        let (shared, turn) = (shared.clone(), Arc::clone(&turn));
        handle.spawn(async move {
            let _turn = turn.lock().await;
            let result = reload(&shared, &path).await;
            shared.probes.reloaded(result.is_ok());
            shared.metrics.count_reload(result.is_ok());
            match result {
                Ok(()) => {
                    tracing::info!("tenant files were read again; listeners, limits and token settings need a restart")
                }
                Err(error) => tracing::error!("reload failed, the tables before it serve: {error:#}"),
            }
        });
    })
}

async fn reload(shared: &Shared, path: &Path) -> anyhow::Result<()> {
    let config = config::load(path, clock::now()).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let signing = Arc::clone(shared.tables.load_full().signing());
    let mut snapshot = Snapshot::build(config.organizations, signing)?;
    // Before the swap: the first request to a new upstream must find its address.
    shared.upstreams.refresh(snapshot.environments()).await;
    loop {
        let loaded = load_keys(&snapshot, shared.store.as_ref()).await?;
        match shared.tables.swap(snapshot, loaded) {
            Ok(()) => break,
            Err(stale) => snapshot = *stale,
        }
    }
    Ok(())
}
