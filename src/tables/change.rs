//! How a world becomes another one: planned aside, its new environments' keys loaded, then swapped in whole.
//!
//! A change touches no key that it need not touch. Places of permissions and roles stay with their names, and an
//! environment stays at its own place for as long as it is there, so the keys in the tables go on meaning the same. Keys
//! are read from the store only for environments that were not there before, and for names that are known for the
//! first time. Changes of single keys go on meanwhile: they are applied to the world that is and to the one that comes.

use super::environment::{EnvironmentTable, same};
use super::follow::{FollowError, load_all_keys, load_keys};
use super::world::{BaseUrlTaken, DeclaredKeys, Keys, World};
use super::{Snapshot, Tables};
use crate::catalogue::{Catalogue, CatalogueError, Leniency};
use crate::model::{
    ApiKey, ClientId, Environment, EnvironmentId, EnvironmentIndex, ManagedBy, OperationPattern, Organization,
    Permission,
};
use crate::store::Store;
use crate::token::SigningKeySet;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why environments do not make tables.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Two environments answer to the same requests.
    #[error(transparent)]
    BaseUrl(#[from] BaseUrlTaken),
    /// An environment's operations do not make a catalogue.
    #[error("environment `{environment}`: {source}")]
    Catalogue {
        /// Which one.
        environment: EnvironmentId,
        /// Why.
        source: CatalogueError,
    },
}

/// The right to change the world: one at a time.
#[derive(Debug)]
pub struct WorldTurn<'t> {
    tables: &'t Tables,
    _turn: tokio::sync::MutexGuard<'t, ()>,
}

/// A world that is built, and what is different in it.
#[derive(Debug)]
pub struct WorldPlan {
    pub(super) world: World,
    /// Environments from here on have no keys yet.
    pub(super) from: EnvironmentIndex,
    /// Those environments.
    empty: Vec<Arc<EnvironmentTable>>,
    changes: WorldChanges,
}

/// What is different in a world.
#[derive(Clone, Debug, Default)]
pub struct WorldChanges {
    /// Environments that were not there before.
    pub added: Vec<Arc<EnvironmentTable>>,
    /// Environments that are not the same: how they were, and how they are.
    pub changed: Vec<(Arc<EnvironmentTable>, Arc<EnvironmentTable>)>,
    /// Environments that are gone.
    pub removed: Vec<Arc<EnvironmentTable>>,
}

impl WorldChanges {
    /// The tables that are new, to be made ready before they are swapped in.
    pub fn fresh(&self) -> Vec<Arc<EnvironmentTable>> {
        self.added.iter().chain(self.changed.iter().map(|(_, after)| after)).cloned().collect()
    }
}

impl WorldPlan {
    /// What is different.
    pub const fn changes(&self) -> &WorldChanges {
        &self.changes
    }
}

impl Tables {
    /// Tables of what files say, without any store.
    pub fn of_files(organizations: Vec<Organization>, signing: Arc<SigningKeySet>) -> Result<Self, BuildError> {
        let tables = Self::new(signing);
        let WorldPlan { world, from, changes, .. } = plan_whole(&tables, organizations, Vec::new())?;
        Expected::new(&tables, Arc::new(world), from).install(&changes);
        Ok(tables)
    }

    /// Takes the turn to change the world, waiting for whoever has it.
    pub async fn change_world(&self) -> WorldTurn<'_> {
        WorldTurn { tables: self, _turn: self.world_turn.lock().await }
    }

    /// Reads anew the keys that name what their environment knows by now but did not when they were applied.
    /// Errors: the store cannot be read; the next look at the feed tries again.
    pub(super) async fn complete_keys(&self, store: &dyn Store) -> Result<(), FollowError> {
        let grown = std::mem::take(&mut self.writers.lock().grown);
        if grown.is_empty() {
            return Ok(());
        }
        let result = self.complete(&grown, store).await;
        if result.is_err() {
            self.writers.lock().grown.extend(grown);
        }
        result
    }

    async fn complete(&self, grown: &[EnvironmentIndex], store: &dyn Store) -> Result<(), FollowError> {
        let snapshot = self.load_full();
        let incomplete: Vec<ClientId> = {
            let keys = snapshot.world.keys.pin();
            let found = keys.values().filter(|key| key.is_incomplete && grown.contains(&key.environment));
            found.map(|key| key.client_id.clone()).collect()
        };
        if incomplete.len() > FEW_KEYS {
            let environments = grown.iter().filter_map(|index| snapshot.environment_at(*index));
            let environments: Vec<_> = environments.cloned().collect();
            return load_keys(store, &environments, |key| self.apply(key)).await;
        }
        for id in incomplete {
            if let Some(key) = store.key_by_id(&id).await? {
                self.apply(&key);
            }
        }
        Ok(())
    }
}

/// So many keys are read one by one.
const FEW_KEYS: usize = 500;

impl WorldTurn<'_> {
    /// Plans a whole world: the organizations of files, whose environments are moved out of them, and the environments of
    /// the store.
    pub fn plan(&self, organizations: Vec<Organization>, stored: Vec<Environment>) -> Result<WorldPlan, BuildError> {
        plan_whole(self.tables, organizations, stored)
    }

    /// Plans that the store's environment is made or replaced.
    pub fn plan_environment(&self, environment: Environment) -> Result<WorldPlan, BuildError> {
        let before = self.tables.load_full();
        let mut builder = Builder::new(self.tables, &before);
        let mut environment = Some(environment);
        for known in &before.world.environments {
            match environment.take_if(|wanted| *known.policy.id == wanted.id) {
                Some(wanted) => builder.add(wanted, ManagedBy::Api)?,
                None => builder.keep(known),
            }
        }
        if let Some(new) = environment {
            builder.add(new, ManagedBy::Api)?;
        }
        builder.finish_same(&before)
    }

    /// Plans that an environment is gone.
    pub fn plan_removal(&self, id: &EnvironmentId) -> Result<WorldPlan, BuildError> {
        let before = self.tables.load_full();
        let mut builder = Builder::new(self.tables, &before);
        before.world.environments.iter().filter(|known| *known.policy.id != *id).for_each(|known| builder.keep(known));
        builder.finish_same(&before)
    }

    /// Makes the plan the world. Keys of environments that are new are loaded first; the swap shows all of it at once.
    ///
    /// # Errors
    ///
    /// The store cannot be read: nothing has changed then.
    pub async fn adopt(self, plan: WorldPlan, store: &dyn Store) -> Result<WorldChanges, FollowError> {
        let WorldPlan { world, from, empty, changes } = plan;
        let expected = Expected::new(self.tables, Arc::new(world), from);
        expected.load(&empty, store).await?;
        expected.install(&changes);
        if let Err(error) = self.tables.complete_keys(store).await {
            // The world is there; keys that could open more of it open less for a while.
            tracing::warn!(%error, "keys that name new permissions are read later");
        }
        Ok(changes)
    }
}

fn plan_whole(
    tables: &Tables,
    mut organizations: Vec<Organization>,
    stored: Vec<Environment>,
) -> Result<WorldPlan, BuildError> {
    let before = tables.load_full();
    let mut builder = Builder::new(tables, &before);
    builder.is_renewal = before.environments().iter().any(|known| known.is_sparse());
    for organization in &mut organizations {
        for environment in std::mem::take(&mut organization.environments) {
            builder.add(environment, ManagedBy::File)?;
        }
    }
    for environment in stored {
        builder.add(environment, ManagedBy::Api)?;
    }
    builder.finish(organizations.into())
}

/// A world that is expected: single changes of keys in its new environments reach it from now on.
struct Expected<'t> {
    tables: &'t Tables,
    world: Arc<World>,
}

impl<'t> Expected<'t> {
    fn new(tables: &'t Tables, world: Arc<World>, from: EnvironmentIndex) -> Self {
        tables.writers.lock().expected = Some((Arc::clone(&world), from));
        Self { tables, world }
    }

    /// Loads the keys of new environments. What changes while they are loaded is applied beside, in any order.
    async fn load(&self, empty: &[Arc<EnvironmentTable>], store: &dyn Store) -> Result<(), FollowError> {
        if empty.len() < self.world.environments.len() {
            return load_keys(store, empty, |key| self.apply(key)).await;
        }
        let revision = load_all_keys(store, |key| self.apply(key)).await?;
        self.tables.saw(revision);
        Ok(())
    }

    fn apply(&self, key: &ApiKey) {
        let writers = self.tables.writers.lock();
        if let Some((world, from)) = &writers.expected {
            world.apply(key, *from);
        }
    }

    fn install(self, changes: &WorldChanges) {
        let grown = changes.changed.iter().filter(|(before, after)| after.knows_more_than(before));
        let grown: Vec<EnvironmentIndex> = grown.map(|(_, after)| after.policy.index).collect();
        {
            let mut writers = self.tables.writers.lock();
            writers.grown.extend(grown);
            let current = self.tables.current.load();
            self.tables.current.store(Arc::new(current.with_world(Arc::clone(&self.world))));
        }
        if !changes.removed.is_empty() {
            self.world.sweep();
        }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.tables.writers.lock().expected = None;
    }
}

/// A world in the making.
struct Builder<'b> {
    tables: &'b Tables,
    before: &'b Snapshot,
    /// Everything is given a place anew: too many places belong to what is gone.
    is_renewal: bool,
    from: EnvironmentIndex,
    environments: Vec<Arc<EnvironmentTable>>,
    declared: DeclaredKeys,
    changes: WorldChanges,
    permissions: SharedPermissions,
    catalogues: Catalogues,
}

impl<'b> Builder<'b> {
    fn new(tables: &'b Tables, before: &'b Snapshot) -> Self {
        let mut permissions = SharedPermissions::default();
        for known in before.environments() {
            permissions.shared(Arc::clone(known.catalogue.declared()));
        }
        Self {
            tables,
            before,
            is_renewal: false,
            from: EnvironmentIndex(tables.next_index.load(Ordering::Relaxed)),
            environments: Vec::new(),
            declared: DeclaredKeys::default(),
            changes: WorldChanges::default(),
            permissions,
            catalogues: Catalogues::default(),
        }
    }

    fn add(&mut self, mut environment: Environment, managed_by: ManagedBy) -> Result<(), BuildError> {
        let keys = std::mem::take(&mut environment.keys);
        environment.permissions = self.permissions.shared(environment.permissions);
        let before = self.before.environment(&environment.id);
        let is_same = before.is_some_and(|before| before.is(&environment, managed_by));
        let table = match before.filter(|_| is_same && !self.is_renewal) {
            Some(same) => Arc::clone(same),
            None => self.build(environment, managed_by, before)?,
        };
        match before {
            None => self.changes.added.push(Arc::clone(&table)),
            Some(before) if !is_same => self.changes.changed.push((Arc::clone(before), Arc::clone(&table))),
            Some(_) => {}
        }
        self.declared.add(&table, keys);
        self.environments.push(table);
        Ok(())
    }

    fn keep(&mut self, table: &Arc<EnvironmentTable>) {
        self.environments.push(Arc::clone(table));
    }

    fn build(
        &mut self,
        environment: Environment,
        managed_by: ManagedBy,
        before: Option<&Arc<EnvironmentTable>>,
    ) -> Result<Arc<EnvironmentTable>, BuildError> {
        let before = before.filter(|_| !self.is_renewal);
        let id = environment.id.clone();
        let catalogue = self.catalogues.of(&environment, before.map(|before| &before.catalogue));
        let catalogue = catalogue.map_err(|source| BuildError::Catalogue { environment: id, source })?;
        let index = before.map_or_else(|| self.tables.next_index(), |before| before.policy.index);
        Ok(Arc::new(EnvironmentTable::new(environment, managed_by, catalogue, index, before.map(Arc::as_ref))))
    }

    /// The declared keys are those that were added.
    fn finish(mut self, organizations: Arc<[Organization]>) -> Result<WorldPlan, BuildError> {
        let declared = Arc::new(std::mem::take(&mut self.declared));
        self.end(organizations, declared)
    }

    /// Files have not changed.
    fn finish_same(self, before: &Snapshot) -> Result<WorldPlan, BuildError> {
        self.end(Arc::clone(&before.world.organizations), Arc::clone(&before.world.declared))
    }

    fn end(mut self, organizations: Arc<[Organization]>, declared: Arc<DeclaredKeys>) -> Result<WorldPlan, BuildError> {
        let before = self.before;
        // Keys at places anew need a map of their own: in the old one the old world goes on finding its keys.
        let keys = if self.is_renewal { Arc::<Keys>::default() } else { Arc::clone(&before.world.keys) };
        let world = World::new(organizations, self.environments, declared, keys)?;
        let is_gone = |known: &&Arc<EnvironmentTable>| world.environment(&known.policy.id).is_none();
        self.changes.removed = before.environments().iter().filter(is_gone).cloned().collect();
        let empty = world.environments.iter().filter(|table| table.policy.index >= self.from).cloned().collect();
        Ok(WorldPlan { world, from: self.from, empty, changes: self.changes })
    }
}

/// Thousands of tenants may write down the same permissions: one copy serves all, and one catalogue.
#[derive(Default)]
struct SharedPermissions {
    known: HashSet<Arc<[Permission]>>,
    /// Where those are: documents are long, and mostly the very same.
    addresses: HashSet<usize>,
}

impl SharedPermissions {
    fn shared(&mut self, permissions: Arc<[Permission]>) -> Arc<[Permission]> {
        if permissions.is_empty() || self.addresses.contains(&permissions.as_ptr().addr()) {
            return permissions;
        }
        if let Some(known) = self.known.get(&permissions) {
            return Arc::clone(known);
        }
        self.addresses.insert(permissions.as_ptr().addr());
        self.known.insert(Arc::clone(&permissions));
        permissions
    }
}

/// Catalogues that are made in one change: environments that say the same share one.
#[derive(Default)]
struct Catalogues(HashMap<(usize, usize), Vec<Arc<Catalogue>>>);

impl Catalogues {
    fn of(
        &mut self,
        environment: &Environment,
        before: Option<&Arc<Catalogue>>,
    ) -> Result<Arc<Catalogue>, CatalogueError> {
        let Environment { permissions, public, paths, .. } = environment;
        let leniency = Leniency::from(paths);
        let declared = if permissions.is_empty() { 0 } else { permissions.as_ptr().addr() };
        let made = self.0.entry((declared, before.map_or(0, |before| Arc::as_ptr(before).addr()))).or_default();
        let fits = |known: &&Arc<Catalogue>| is_made_from(known, permissions, public, leniency);
        if let Some(known) = made.iter().find(fits).or(before.filter(fits)) {
            return Ok(Arc::clone(known));
        }
        let before = before.map(Arc::as_ref);
        let catalogue = Arc::new(Catalogue::new(Arc::clone(permissions), public, leniency, before)?);
        made.push(Arc::clone(&catalogue));
        Ok(catalogue)
    }
}

fn is_made_from(
    catalogue: &Catalogue,
    permissions: &Arc<[Permission]>,
    public: &[OperationPattern],
    leniency: Leniency,
) -> bool {
    same(catalogue.declared(), permissions) && catalogue.public() == public && catalogue.leniency() == leniency
}
