//! What a reload changed, in the words of people: environments, permissions, operations, and the keys that held what is
//! gone.

use crate::control::{Change, EnvironmentChange, KeysHolding};
use crate::model::{EnvironmentId, PermissionName, Timestamp};
use crate::store::Store;
use crate::tables::{EnvironmentTable, WorldChanges};
use std::collections::HashSet;
use std::sync::Arc;

/// So many of the keys that held a permission are named; a count stands for the rest.
const KEYS_NAMED: u32 = 20;

/// The changes, in the order of the environments' ids. Keys are looked for as of `now`.
pub(super) async fn told(changes: &WorldChanges, store: &dyn Store, now: Timestamp) -> Vec<EnvironmentChange> {
    let WorldChanges { added, changed, removed } = changes;
    let whole = |table: &Arc<EnvironmentTable>, change| EnvironmentChange::of(table.label.clone(), change);
    let mut told: Vec<_> = added.iter().map(|table| whole(table, Change::Added)).collect();
    told.extend(removed.iter().map(|table| whole(table, Change::Removed)));
    for (before, after) in changed {
        told.push(compared(before, after, store, now).await);
    }
    told.sort_by(|one, other| one.environment.cmp(&other.environment));
    told
}

async fn compared(
    before: &EnvironmentTable,
    after: &EnvironmentTable,
    store: &dyn Store,
    now: Timestamp,
) -> EnvironmentChange {
    let change = EnvironmentChange::of(after.label.clone(), Change::Changed);
    if Arc::ptr_eq(&before.catalogue, &after.catalogue) {
        return change;
    }
    let names = |table: &EnvironmentTable| -> Vec<PermissionName> {
        table.catalogue.permissions().iter().map(|permission| permission.name.clone()).collect()
    };
    let operations = |table: &EnvironmentTable| -> Vec<Arc<str>> {
        table.catalogue.operations().iter().map(|operation| Arc::clone(&operation.label)).collect()
    };
    let (names_before, names_after) = (names(before), names(after));
    let (operations_before, operations_after) = (operations(before), operations(after));
    EnvironmentChange {
        permissions_added: without(&names_after, &names_before),
        permissions_removed: held(store, &after.policy.id, without(&names_before, &names_after), now).await,
        operations_added: without(&operations_after, &operations_before),
        operations_removed: without(&operations_before, &operations_after),
        ..change
    }
}

/// What of `these` is not among `those`, in its order.
fn without<T: Clone + Eq + std::hash::Hash>(these: &[T], those: &[T]) -> Vec<T> {
    let those: HashSet<&T> = those.iter().collect();
    these.iter().filter(|this| !those.contains(this)).cloned().collect()
}

/// The keys that hold permissions which are gone. Where the store cannot tell, nobody is named: the files are in force
/// all the same, and `drift` tells it later.
async fn held(
    store: &dyn Store,
    environment: &EnvironmentId,
    gone: Vec<PermissionName>,
    now: Timestamp,
) -> Vec<KeysHolding> {
    if gone.is_empty() {
        return Vec::new();
    }
    let found = store.keys_holding(environment, &gone, now, KEYS_NAMED).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the keys that hold what is gone cannot be told");
        Vec::new()
    });
    let holders = |permission: PermissionName| {
        let holders = found.iter().find(|holders| holders.permission == permission);
        let (key_count, keys) = holders.map_or((0, Vec::new()), |holders| (holders.count, holders.keys.clone()));
        KeysHolding { permission, key_count, keys }
    };
    gone.into_iter().map(holders).collect()
}
