//! What the control plane can tell the node to do.

use super::handover::Keeper;
use super::node::Shared;
use super::reload::{Cause, Reloader};
use super::signing::SigningKeys;
use crate::control::{ControlProblem, LastReload, NodeActions, NodeProblem, Reloaded, UpstreamStanding};
use crate::edge::Standing;
use crate::model::{Act, UpstreamUrl};
use crate::tables::EnvironmentTable;
use async_trait::async_trait;
use std::sync::Arc;

/// The node as the control plane commands it.
pub(super) struct Actions {
    pub(super) shared: Shared,
    pub(super) signing: Arc<SigningKeys>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) keeper: Arc<Keeper>,
}

impl Actions {
    /// What is done to a process that hands over is done to nobody.
    fn require_work(&self) -> Result<(), NodeProblem> {
        if self.keeper.has_handed_over() { Err(NodeProblem::HandedOver) } else { Ok(()) }
    }
}

#[async_trait]
impl NodeActions for Actions {
    async fn reload(&self) -> Result<Reloaded, NodeProblem> {
        self.require_work()?;
        // In a task of its own: whoever hangs up must not leave files that count as read and are not served.
        let reloader = Arc::clone(&self.reloader);
        let reloading = tokio::spawn(async move { reloader.reload(Cause::Asked).await });
        let reloaded = reloading.await.map_err(|_| ControlProblem::Fault)?;
        reloaded.map_err(|error| NodeProblem::Files(error.lines()))
    }

    fn last_reload(&self) -> LastReload {
        self.shared.probes.last_reload()
    }

    fn drain(&self) -> Result<(), NodeProblem> {
        if self.keeper.drain() { Ok(()) } else { Err(NodeProblem::HandedOver) }
    }

    async fn learn_upstreams(&self, environments: &[Arc<EnvironmentTable>]) {
        self.shared.upstreams.learn(environments).await;
    }

    fn resolves(&self, upstream: &UpstreamUrl) -> bool {
        self.shared.upstreams.resolves(upstream)
    }

    fn standing(&self, environment: &EnvironmentTable, upstream: &UpstreamUrl) -> UpstreamStanding {
        let Standing { available, ejected, unhealthy } =
            self.shared.upstreams.standing(&environment.upstream, Some(upstream));
        UpstreamStanding { addresses: available + ejected + unhealthy, available }
    }

    async fn rotate_signing_key(&self, immediately: bool, act: &Act) -> Result<(), NodeProblem> {
        self.require_work()?;
        // In a task of its own: whoever hangs up cannot leave the tables behind the store.
        let (signing, tables, act) = (Arc::clone(&self.signing), Arc::clone(&self.shared.tables), act.clone());
        let rotating = tokio::spawn(async move { signing.rotate(&tables, immediately, &act).await });
        rotating.await.map_err(|_| ControlProblem::Fault)?.map_err(|error| {
            tracing::warn!("no new signing key: {error:#}");
            NodeProblem::Control(ControlProblem::Unavailable)
        })
    }
}
