//! What a changed document means for the keys of an environment, before it counts (`diff`) and after (`drift`).
//!
//! Nothing is changed here. A document that is compared is imported beside the request path and forgotten.

use super::caller::{Asking, Right};
use super::field::FieldErrors;
use super::{Control, ControlProblem};
use crate::catalogue::diff::{CatalogueDiff, diff};
use crate::catalogue::openapi::{self, Imported};
use crate::model::{
    ApiKey, ClientId, EnvironmentId, ImportReport, KeyKind, KeyName, KeyStatus, Operation, Permission, PermissionName,
    Timestamp,
};
use crate::store::{Beyond, Holders};
use crate::tables::{EnvironmentTable, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// So many keys are named for each permission or role; all are counted.
const NAMED: u32 = 20;

/// So many comparisons go on at once: each imports a document or walks the keys of an environment.
const AT_ONCE: usize = 2;

/// The turns of comparisons.
#[derive(Clone, Debug)]
pub(super) struct Comparisons(Arc<Semaphore>);

impl Default for Comparisons {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// What a document would change.
#[derive(Clone, Debug)]
pub struct ComparedCatalogue {
    /// The difference.
    pub diff: CatalogueDiff,
    /// The living keys that hold what would vanish or open more; permissions that none holds are not there.
    pub holders: HashMap<PermissionName, Holders>,
    /// What the import had to tell.
    pub report: Arc<ImportReport>,
}

impl Control {
    /// What an OpenAPI document in place of the environment's would change. What the environment's definition adds to its
    /// document by permissions of its own is added to this one as well.
    /// Errors: `NotFound`, `NotAllowed`, `Invalid` (`document_invalid`), `Unavailable`, `Fault`.
    pub async fn compare_catalogue(
        &self,
        asking: &Asking,
        id: &EnvironmentId,
        document: Vec<u8>,
    ) -> Result<ComparedCatalogue, ControlProblem> {
        asking.caller.require_in(Right::See, id)?;
        let environment = self.environment_table(id)?;
        let turn = self.comparison().await?;
        // The turn goes with the work: it does not end where a caller hangs up.
        let compared = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            import_and_compare(&environment, &document)
        });
        let (diff, report) = compared.await.map_err(|_| ControlProblem::Fault)??;
        let widened = diff.permissions_widened.iter().map(|widened| widened.permission.clone());
        let names: Vec<PermissionName> = diff.permissions_removed.iter().cloned().chain(widened).collect();
        let holders = self.holders(id, &names, asking.act.at).await?;
        Ok(ComparedCatalogue { diff, holders, report })
    }

    /// What living keys hold and the environment does not know. It opens nothing, and would if it came back.
    /// Errors: `NotFound`, `NotAllowed`, `Unavailable`, `Fault`.
    pub async fn drift(&self, asking: &Asking, id: &EnvironmentId) -> Result<Beyond, ControlProblem> {
        asking.caller.require_in(Right::See, id)?;
        let environment = self.environment_table(id)?;
        let turn = self.comparison().await?;
        let known: Vec<PermissionName> = environment.catalogue.names().iter().flatten().cloned().collect();
        let (store, id, now) = (Arc::clone(&self.store), id.clone(), asking.act.at);
        let walk = tokio::spawn(async move {
            let _turn = turn;
            let roles: Vec<&str> = environment.roles.iter().map(|role| role.name.as_str()).collect();
            // A file's keys hold nothing unknown: it would not have been loaded.
            store.keys_beyond(&id, &known, &roles, now, NAMED).await
        });
        Ok(walk.await.map_err(|_| ControlProblem::Fault)??)
    }

    fn environment_table(&self, id: &EnvironmentId) -> Result<Arc<EnvironmentTable>, ControlProblem> {
        self.tables.load().environment(id).cloned().ok_or(ControlProblem::NotFound)
    }

    async fn comparison(&self) -> Result<tokio::sync::OwnedSemaphorePermit, ControlProblem> {
        Arc::clone(&self.comparisons.0).acquire_owned().await.map_err(|_| ControlProblem::Fault)
    }

    /// Who holds each of these: keys of files first, then those of the store.
    async fn holders(
        &self,
        id: &EnvironmentId,
        names: &[PermissionName],
        now: Timestamp,
    ) -> Result<HashMap<PermissionName, Holders>, ControlProblem> {
        let stored = self.store.keys_holding(id, names, now, NAMED).await?;
        let mut stored: HashMap<_, _> = stored.into_iter().map(|held| (held.permission.clone(), held)).collect();
        let snapshot = self.tables.load();
        let declared = names.iter().map(|name| declared(&snapshot, id, name, now));
        let found = names.iter().zip(declared).filter_map(|(name, of_files)| {
            let held = stored.remove(name);
            let count = of_files.len() as u64 + held.as_ref().map_or(0, |held| held.count);
            let of_store = held.map(|held| held.keys).unwrap_or_default();
            let keys = of_files.into_iter().chain(of_store).take(NAMED as usize).collect();
            (count > 0).then(|| (name.clone(), Holders { permission: name.clone(), count, keys }))
        });
        Ok(found.collect())
    }
}

fn import_and_compare(
    environment: &EnvironmentTable,
    document: &[u8],
) -> Result<(CatalogueDiff, Arc<ImportReport>), ControlProblem> {
    let prefix = environment.report.as_ref().map_or("", |report| report.prefix.as_str());
    let imported = openapi::import(document, prefix).map_err(|error| invalid(&error.to_string()))?;
    let Imported { permissions, report, .. } = imported;
    Ok((compare(environment, &permissions), report))
}

/// The difference that the document's permissions make, with what the definition adds on top of either document.
fn compare(environment: &EnvironmentTable, document: &[Permission]) -> CatalogueDiff {
    let before = environment.catalogue.permissions();
    let of_document = environment.report.as_ref().map_or(0, |report| report.permissions);
    let own = environment.catalogue.declared().get(of_document..).unwrap_or_default();
    let after = with_own(document, own);
    diff(before, &after, &environment.to_environment().presets, &environment.roles)
}

/// The document's permissions and the environment's own; operations of one name add up.
fn with_own(document: &[Permission], own: &[Permission]) -> Vec<Permission> {
    let mut all = document.to_vec();
    let mut places: HashMap<PermissionName, usize> =
        (0..).zip(&all).map(|(at, permission)| (permission.name.clone(), at)).collect();
    for permission in own {
        let at = *places.entry(permission.name.clone()).or_insert(all.len());
        match all.get_mut(at) {
            None => all.push(permission.clone()),
            Some(known) => {
                let is_new = |operation: &&Operation| !known.operations.contains(operation);
                let new: Vec<Operation> = permission.operations.iter().filter(is_new).cloned().collect();
                known.operations.extend(new);
            }
        }
    }
    all
}

/// The living keys of files that hold it.
fn declared(
    snapshot: &Snapshot,
    id: &EnvironmentId,
    name: &PermissionName,
    now: Timestamp,
) -> Vec<(ClientId, KeyName)> {
    let holds = |key: &&ApiKey| match &key.kind {
        KeyKind::FineGrained { permissions } => permissions.contains(name) && key.status(now) == KeyStatus::Active,
        KeyKind::Legacy { .. } => false,
    };
    snapshot.declared_keys(id).filter(holds).map(|key| (key.client_id.clone(), key.name.clone())).collect()
}

fn invalid(message: &str) -> ControlProblem {
    let mut errors = FieldErrors::default();
    errors.add("", "document_invalid", message);
    errors.into()
}
