//! Live state for the request path: environments, keys, signing keys. No lock, no wait and no store on the read side.
//!
//! A [`Snapshot`] is built aside and swapped whole (start, reload). A single change of a key is applied to the current
//! snapshot in place, before the control API answers: the first request after the answer sees it. Writers take turns
//! behind a mutex that no reader touches. What it leaves to others: what a change may be (`control`), what a request
//! may do (`access`).

mod build;
mod environment;
mod follow;
mod tokens;

use tokens::TokenCache;

pub use build::BuildError;
pub use environment::{EnvironmentTable, Reserved, is_well_known};
pub use follow::{FollowError, Follower, load_keys};

use crate::model::{
    AccessTokenClaims, ApiKey, ClientId, EnvironmentId, EnvironmentIndex, KeyStatus, LiveKey, Organization, Revision,
    Timestamp,
};
use crate::token::{SigningKeySet, TokenError};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The live tables. One set, injected wherever it is read.
#[derive(Debug)]
pub struct Tables {
    current: ArcSwap<Snapshot>,
    revision: AtomicU64,
    writers: Mutex<()>,
}

/// One consistent set: environments, the keys that work in them, and the keys that prove tokens.
#[derive(Debug)]
pub struct Snapshot {
    organizations: Vec<Organization>,
    environments: Vec<Arc<EnvironmentTable>>,
    by_id: HashMap<EnvironmentId, usize>,
    hosts: HashMap<Box<str>, environment::Host, ahash::RandomState>,
    keys: papaya::HashMap<ClientId, Arc<LiveKey>, ahash::RandomState>,
    declared: HashMap<ClientId, ApiKey>,
    signing: Arc<SigningKeySet>,
    tokens: TokenCache,
}

impl Tables {
    /// Tables that show `snapshot`, which holds every change up to `loaded`.
    pub fn new(snapshot: Snapshot, loaded: Revision) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot), revision: AtomicU64::new(loaded.0), writers: Mutex::new(()) }
    }

    /// The current snapshot, held for as long as the guard lives. Keep it for one request, not longer.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The current snapshot, to be kept as long as one likes.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The highest revision that is applied.
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Applies one key as the store has it. An older state never replaces a newer one, so changes may arrive in any
    /// order and more than once. A key of an environment that is not configured opens nothing and is left out.
    pub fn apply(&self, key: &ApiKey) {
        let _turn = self.writers.lock();
        self.current.load().apply(key);
        self.revision.fetch_max(key.revision.0, Ordering::AcqRel);
    }

    /// Swaps the whole set. `snapshot` holds every change up to `loaded`; should a newer one have been applied in the
    /// meantime it is given back, to be brought up to date and tried again: no change is ever lost.
    pub fn swap(&self, snapshot: Snapshot, loaded: Revision) -> Result<(), Box<Snapshot>> {
        let _turn = self.writers.lock();
        if self.revision() > loaded {
            return Err(Box::new(snapshot));
        }
        self.current.store(Arc::new(snapshot));
        self.revision.store(loaded.0, Ordering::Release);
        Ok(())
    }
}

impl Snapshot {
    /// Builds environments and declared keys from tenant files; keys of the store are then applied one by one.
    pub fn build(organizations: Vec<Organization>, signing: Arc<SigningKeySet>) -> Result<Self, BuildError> {
        build::build(organizations, signing)
    }

    /// Applies one key of the store. A declared key is never replaced: the file wins.
    pub fn apply(&self, key: &ApiKey) {
        if self.declared.contains_key(&key.client_id) {
            return;
        }
        let Some((index, environment)) = self.environment_entry(&key.environment) else { return };
        let live = Arc::new(environment.live_key(index, key));
        let keys = self.keys.pin();
        // INVARIANT: writers take turns, so nothing comes between this look and the insert.
        if keys.get(&key.client_id).is_none_or(|known| known.revision <= live.revision) {
            keys.insert(key.client_id.clone(), live);
        }
    }

    /// Asks something of a live key, if there is one of that id. The key may change right after.
    pub fn with_key<R>(&self, id: &str, ask: impl FnOnce(Option<&LiveKey>) -> R) -> R {
        ask(self.keys.pin().get(id).map(Arc::as_ref))
    }

    /// The environment that serves `authority` (the Host as sent) and raw `path`: longest base path on a segment border.
    pub fn route(&self, authority: &str, path: &[u8]) -> Option<&Arc<EnvironmentTable>> {
        let index = match self.hosts.get(authority) {
            Some(host) => host.route(path)?,
            None => self.hosts.get(environment::fold_authority(authority).as_str())?.route(path)?,
        };
        self.environments.get(index)
    }

    /// Whether a reader that decodes and folds case would find the same environment for the path.
    pub fn routes_alike(&self, authority: &str, path: &[u8], environment: &Arc<EnvironmentTable>) -> bool {
        if !path.iter().any(|byte| *byte == b'%' || byte.is_ascii_uppercase()) {
            return true;
        }
        let lenient = environment::lenient(path);
        self.route(authority, &lenient).is_none_or(|other| Arc::ptr_eq(other, environment))
    }

    /// The environment of an id.
    pub fn environment(&self, id: &EnvironmentId) -> Option<&Arc<EnvironmentTable>> {
        self.environment_entry(id).map(|(_, environment)| environment)
    }

    fn environment_entry(&self, id: &EnvironmentId) -> Option<(usize, &Arc<EnvironmentTable>)> {
        let index = *self.by_id.get(id)?;
        self.environments.get(index).map(|environment| (index, environment))
    }

    /// The environment at a live key's place.
    pub fn environment_at(&self, EnvironmentIndex(index): EnvironmentIndex) -> Option<&EnvironmentTable> {
        self.environments.get(index as usize).map(Arc::as_ref)
    }

    /// All environments, in the order of the files.
    pub fn environments(&self) -> &[Arc<EnvironmentTable>] {
        &self.environments
    }

    /// All organizations, in the order of the files.
    pub fn organizations(&self) -> &[Organization] {
        &self.organizations
    }

    /// The keys declared in files for one environment, in no particular order.
    pub fn declared_keys(&self, environment: &EnvironmentId) -> impl Iterator<Item = &ApiKey> {
        self.declared.values().filter(move |key| key.environment == *environment)
    }

    /// One declared key.
    pub fn declared_key(&self, environment: &EnvironmentId, id: &ClientId) -> Option<&ApiKey> {
        self.declared.get(id).filter(|key| key.environment == *environment)
    }

    /// The claims of a genuine token, and whether they were known already.
    pub fn claims(&self, token: &str) -> Result<(Arc<AccessTokenClaims>, bool), TokenError> {
        self.tokens.claims(token, &self.signing)
    }

    /// The signing keys.
    pub fn signing(&self) -> &Arc<SigningKeySet> {
        &self.signing
    }

    /// How many live keys each environment has by kind and status, for metrics: walks all keys.
    pub fn count_keys(&self, now: Timestamp) -> HashMap<(usize, bool, KeyStatus), u64> {
        let mut counts = HashMap::new();
        for key in self.keys.pin().values() {
            let legacy = !matches!(key.holding, crate::model::Holding::Permissions(_));
            let status = match key.ended(now) {
                Some(crate::model::KeyEnded::Revoked) => KeyStatus::Revoked,
                Some(crate::model::KeyEnded::Expired) => KeyStatus::Expired,
                None => KeyStatus::Active,
            };
            *counts.entry((key.environment.0 as usize, legacy, status)).or_insert(0) += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests;
