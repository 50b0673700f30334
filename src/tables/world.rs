//! Environments, the keys that work in them, and how a request finds both.
//!
//! A world is built aside and swapped in whole. The map of the store's keys is carried from one to the next: it holds no
//! place that means something else in another one, see [`EnvironmentIndex`].

use super::environment::{self, EnvironmentTable, Host};
use crate::model::{ApiKey, ClientId, EnvironmentId, EnvironmentIndex, Identifier, LiveKey, Organization};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The keys of the store, by client id.
pub(super) type Keys = papaya::HashMap<ClientId, Arc<LiveKey>, ahash::RandomState>;

/// Environments and the keys that work in them.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) organizations: Arc<[Organization]>,
    pub(super) environments: Vec<Arc<EnvironmentTable>>,
    by_id: HashMap<Arc<EnvironmentId>, usize, ahash::RandomState>,
    by_index: HashMap<u32, usize, ahash::RandomState>,
    by_organization: HashMap<Identifier, Vec<usize>>,
    hosts: HashMap<Box<str>, Host, ahash::RandomState>,
    /// The hosts without their ports.
    names: HashSet<Box<str>, ahash::RandomState>,
    pub(super) keys: Arc<Keys>,
    pub(super) declared: Arc<DeclaredKeys>,
}

/// Two environments that no request can tell apart.
#[derive(Debug, thiserror::Error)]
#[error("`{one}` and `{other}` have the same base URL `{base_url}`")]
pub struct BaseUrlTaken {
    /// Who has it.
    pub one: Arc<EnvironmentId>,
    /// Who wants it too.
    pub other: Arc<EnvironmentId>,
    /// What both want.
    pub base_url: Arc<str>,
}

impl World {
    /// Puts together what a request looks through.
    pub(super) fn new(
        organizations: Arc<[Organization]>,
        environments: Vec<Arc<EnvironmentTable>>,
        declared: Arc<DeclaredKeys>,
        keys: Arc<Keys>,
    ) -> Result<Self, BaseUrlTaken> {
        let mut world = Self { organizations, declared, keys, ..Self::default() };
        for (at, environment) in environments.iter().enumerate() {
            let id = &environment.policy.id;
            for authority in environment.base_url.authorities() {
                let host = world.hosts.entry(authority.into()).or_default();
                if let Some(taken) = host.insert(environment.base_url.path(), at).and_then(|at| environments.get(at)) {
                    return Err(BaseUrlTaken {
                        one: Arc::clone(&taken.policy.id),
                        other: Arc::clone(id),
                        base_url: environment.base_url.to_shared(),
                    });
                }
            }
            world.names.insert(environment.base_url.host().into());
            world.by_id.insert(Arc::clone(id), at);
            world.by_index.insert(environment.policy.index.0, at);
            world.by_organization.entry(id.organization.clone()).or_default().push(at);
        }
        world.environments = environments;
        Ok(world)
    }

    /// Applies one key of the store, unless it works in an environment that is not there, or came before `from`. An older
    /// state never replaces a newer one.
    ///
    /// Writers take turns: nothing comes between the look and the insert.
    pub(super) fn apply(&self, key: &ApiKey, from: EnvironmentIndex) {
        let Some(environment) = self.environment(&key.environment) else { return };
        if environment.policy.index < from {
            return;
        }
        let live = Arc::new(environment.live_key(key));
        let keys = self.keys.pin();
        let replaces = |known: &Arc<LiveKey>| {
            // One of an environment that was taken away in between tells nothing.
            known.environment != live.environment || known.revision <= live.revision
        };
        if keys.get(&key.client_id).is_none_or(replaces) {
            keys.insert(key.client_id.clone(), live);
        }
    }

    /// Takes out the keys of environments that are gone. They open nothing as it is.
    pub(super) fn sweep(&self) {
        self.keys.pin().retain(|_, key| self.environment_at(key.environment).is_some());
    }

    /// A declared key wins over the store's of the same id.
    pub(super) fn with_key<R>(&self, id: &str, ask: impl FnOnce(Option<&LiveKey>) -> R) -> R {
        match self.declared.by_id.get(id) {
            Some(declared) => ask(Some(&declared.live)),
            None => ask(self.keys.pin().get(id).map(Arc::as_ref)),
        }
    }

    pub(super) fn route(&self, authority: &str, path: &[u8]) -> Option<&Arc<EnvironmentTable>> {
        let at = match self.hosts.get(authority) {
            Some(host) => host.route(path)?,
            None => self.hosts.get(environment::fold_authority(authority).as_str())?.route(path)?,
        };
        self.environments.get(at)
    }

    /// Whether some environment is reached by this name, in lower case.
    pub(super) fn serves_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn environment(&self, id: &EnvironmentId) -> Option<&Arc<EnvironmentTable>> {
        self.environments.get(*self.by_id.get(id)?)
    }

    pub(super) fn environment_at(&self, EnvironmentIndex(index): EnvironmentIndex) -> Option<&Arc<EnvironmentTable>> {
        self.environments.get(*self.by_index.get(&index)?)
    }

    pub(super) fn environments_of(&self, organization: &Identifier) -> impl Iterator<Item = &Arc<EnvironmentTable>> {
        let places = self.by_organization.get(organization).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|at| self.environments.get(*at))
    }
}

/// A key of a tenant file, as people and as requests see it.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) key: ApiKey,
    pub(super) live: LiveKey,
}

/// The keys of tenant files.
#[derive(Debug, Default)]
pub(super) struct DeclaredKeys {
    pub(super) by_id: HashMap<ClientId, Arc<Declared>, ahash::RandomState>,
    by_environment: HashMap<u32, Vec<Arc<Declared>>, ahash::RandomState>,
}

impl DeclaredKeys {
    pub(super) fn add(&mut self, environment: &EnvironmentTable, keys: Vec<ApiKey>) {
        let all: Vec<_> =
            keys.into_iter().map(|key| Arc::new(Declared { live: environment.live_key(&key), key })).collect();
        self.by_id.extend(all.iter().map(|declared| (declared.key.client_id.clone(), Arc::clone(declared))));
        if !all.is_empty() {
            self.by_environment.insert(environment.policy.index.0, all);
        }
    }

    /// Those of one environment, in the order of the file.
    pub(super) fn of(&self, environment: &EnvironmentTable) -> &[Arc<Declared>] {
        self.by_environment.get(&environment.policy.index.0).map_or(&[], Vec::as_slice)
    }
}
