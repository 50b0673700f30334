//! What an operator asks of the node itself. The work is done by `app`, which is handed in: the control plane knows
//! neither files nor listeners.

use super::caller::Asking;
use super::{Control, ControlProblem};
use crate::model::{Act, ClientId, KeyName, PermissionName, Timestamp, UpstreamUrl};
use crate::tables::EnvironmentTable;
use async_trait::async_trait;
use std::sync::Arc;

/// A signing key as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyFacts {
    /// Its `kid`.
    pub id: String,
    /// `EdDSA`, `ES256`, `RS256` or `HS256`.
    pub algorithm: String,
    /// When it was made, and published.
    pub created_at: Timestamp,
    /// The first second at which it signs.
    pub signs_from: Timestamp,
    /// The first second at which it proves nothing any more; `None` while it has no successor.
    pub ends_at: Option<Timestamp>,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings of the node's own file that differ from those it runs by, by name; they wait for a restart.
    pub needs_restart: Vec<String>,
    /// What somebody should know of, though it was no reason to refuse the files.
    pub warnings: Vec<String>,
    /// Environments that are not as they were.
    pub changes: Vec<EnvironmentChange>,
}

/// What became of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Added,
    /// It is another than before.
    Changed,
    /// It is gone.
    Removed,
}

/// An environment that is not as it was. Permissions and operations are told where it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentChange {
    /// `org/env`.
    pub environment: String,
    /// What became of it.
    pub change: Change,
    /// Permissions that no key holds yet.
    pub permissions_added: Vec<PermissionName>,
    /// Permissions that are gone, and who held them.
    pub permissions_removed: Vec<KeysHolding>,
    /// Operations that were not known before, as `GET /cards/{id}`.
    pub operations_added: Vec<Arc<str>>,
    /// Operations that are refused from now on.
    pub operations_removed: Vec<Arc<str>>,
}

impl EnvironmentChange {
    /// A change without its details.
    pub const fn of(environment: String, change: Change) -> Self {
        Self {
            environment,
            change,
            permissions_added: Vec::new(),
            permissions_removed: Vec::new(),
            operations_added: Vec::new(),
            operations_removed: Vec::new(),
        }
    }
}

/// A permission, and the living keys that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysHolding {
    /// The permission.
    pub permission: PermissionName,
    /// How many hold it.
    pub key_count: u64,
    /// The first of them.
    pub keys: Vec<(ClientId, KeyName)>,
}

/// How the last reload went; until there is one, the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReload {
    /// When.
    pub at: Timestamp,
    /// Why it changed nothing; empty where it was good.
    pub problems: Vec<String>,
    /// Settings that wait for a restart, as the last good one found them.
    pub needs_restart: Vec<String>,
}

/// How the addresses of an upstream do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamStanding {
    /// How many there are.
    pub addresses: u32,
    /// So many of them get requests.
    pub available: u32,
}

/// Why the node did not do it.
#[derive(Debug, thiserror::Error)]
pub enum NodeProblem {
    /// Files have problems, one a line; what was there before serves.
    #[error("the files have problems; nothing was changed")]
    Files(Vec<String>),
    /// Another process has the work of the one that was asked.
    #[error("another process has taken over from this one; nothing was changed: ask again on a new connection")]
    HandedOver,
    /// The store does not answer, or something of ours does not work.
    #[error(transparent)]
    Control(#[from] ControlProblem),
}

/// What the node can be told to do.
#[async_trait]
pub trait NodeActions: Send + Sync {
    /// Reads the tenant files again and serves by them, or changes nothing.
    async fn reload(&self) -> Result<Reloaded, NodeProblem>;

    /// How the last reload went.
    fn last_reload(&self) -> LastReload;

    /// Begins to drain: requests under way are finished, then the process ends. Errors: `HandedOver`.
    fn drain(&self) -> Result<(), NodeProblem>;

    /// Finds the upstreams of environments that are about to be shown to the request path.
    async fn learn_upstreams(&self, environments: &[Arc<EnvironmentTable>]);

    /// Whether the upstream's name had an address when it was last looked up.
    fn resolves(&self, upstream: &UpstreamUrl) -> bool;

    /// How many addresses of one of an environment's upstreams get requests, and how many there are.
    fn standing(&self, _environment: &EnvironmentTable, _upstream: &UpstreamUrl) -> UpstreamStanding {
        UpstreamStanding::default()
    }

    /// Makes the next signing key. It is published at once and signs once everybody had time to learn of it, or
    /// `immediately`.
    async fn rotate_signing_key(&self, immediately: bool, act: &Act) -> Result<(), NodeProblem>;
}

impl Control {
    /// Reads the tenant files again. For operators.
    pub async fn reload(&self, asking: &Asking) -> Result<Reloaded, NodeProblem> {
        asking.caller.require_operator()?;
        self.node.reload().await
    }

    /// Begins to drain. For operators.
    pub fn drain(&self, asking: &Asking) -> Result<(), NodeProblem> {
        asking.caller.require_operator()?;
        self.node.drain()?;
        tracing::info!("a drain was asked for through the control API");
        Ok(())
    }

    /// The signing keys, oldest first. For operators.
    pub async fn signing_keys(&self, asking: &Asking) -> Result<Vec<SigningKeyFacts>, ControlProblem> {
        asking.caller.require_operator()?;
        let kept = self.store.signing_keys().await?;
        Ok(kept
            .into_iter()
            .map(|key| SigningKeyFacts {
                id: key.id,
                algorithm: key.algorithm,
                created_at: key.created_at,
                signs_from: key.signs_from,
                ends_at: key.ends_at,
            })
            .collect())
    }

    /// Makes the next signing key. For operators.
    pub async fn rotate_signing_key(
        &self,
        asking: &Asking,
        immediately: bool,
    ) -> Result<Vec<SigningKeyFacts>, NodeProblem> {
        asking.caller.require_operator()?;
        self.node.rotate_signing_key(immediately, &asking.act).await?;
        Ok(self.signing_keys(asking).await?)
    }
}
