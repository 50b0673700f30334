//! Live state for the request path: environments, keys, signing keys. No lock, no wait and no store on the read side.
//!
//! A [`Snapshot`] is built aside and swapped whole (start, reload). A single change of a key is applied to the current
//! snapshot in place, before the control API answers: the first request after the answer sees it. Writers take turns
//! behind a mutex that no reader touches. What it leaves to others: what a change may be (`control`), what a request
//! may do (`access`).

mod build;
mod environment;
mod follow;
mod order;
mod proof;
mod revoked;

use proof::Proof;

pub use build::BuildError;
pub use environment::{EnvironmentTable, Reserved, is_well_known};
pub use follow::{FollowError, Followed, Follower, load_keys, load_revoked};
pub use order::{Asker, Judged, Line, Step};
pub use revoked::{RevokedTokens, RevokedTokensFull};

use crate::access::{Denial, Issuer, ManagementCaller, ManagementRequest, judge_management};
use crate::model::{
    AccessTokenClaims, ApiKey, ClientId, EnvironmentId, EnvironmentIndex, KeyStatus, LiveKey, Organization, Revision,
    Timestamp,
};
use crate::token::{SigningKeySet, TokenError};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The live tables. One set, injected wherever it is read.
#[derive(Debug)]
pub struct Tables {
    current: ArcSwap<Snapshot>,
    revision: AtomicU64,
    writers: Mutex<()>,
}

/// One consistent set: environments, the keys that work in them, the keys that prove tokens, and the tokens that were
/// revoked. Its parts are shared: replacing one copies none of the others.
#[derive(Debug)]
pub struct Snapshot {
    world: Arc<World>,
    proof: Arc<Proof>,
    revoked: Arc<RevokedTokens>,
}

/// Environments and the keys that work in them.
#[derive(Debug)]
struct World {
    organizations: Vec<Organization>,
    environments: Vec<Arc<EnvironmentTable>>,
    by_id: HashMap<EnvironmentId, usize>,
    hosts: HashMap<Box<str>, environment::Host, ahash::RandomState>,
    keys: papaya::HashMap<ClientId, Arc<LiveKey>, ahash::RandomState>,
    declared: HashMap<ClientId, ApiKey>,
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

    /// Every change up to `revision` is applied, those that tables do not show included.
    pub fn saw(&self, revision: Revision) {
        let _turn = self.writers.lock();
        self.revision.fetch_max(revision.0, Ordering::AcqRel);
    }

    /// Swaps environments and keys. `snapshot` holds every change up to `loaded`; should a newer one have been applied in
    /// the meantime it is given back, to be brought up to date and tried again: no change is ever lost. Signing keys,
    /// proven tokens and revoked tokens stay those of the current snapshot: they do not come from tenant files.
    pub fn swap(&self, mut snapshot: Snapshot, loaded: Revision) -> Result<(), Box<Snapshot>> {
        let _turn = self.writers.lock();
        if self.revision() > loaded {
            return Err(Box::new(snapshot));
        }
        let current = self.current.load();
        snapshot.proof = Arc::clone(&current.proof);
        snapshot.revoked = Arc::clone(&current.revoked);
        self.current.store(Arc::new(snapshot));
        self.revision.store(loaded.0, Ordering::Release);
        Ok(())
    }

    /// Replaces the signing keys. The cache of proven tokens begins empty with them: a key that is taken out takes the
    /// tokens it proved along.
    pub fn set_signing(&self, signing: Arc<SigningKeySet>) {
        let _turn = self.writers.lock();
        let current = self.current.load();
        self.current.store(Arc::new(Snapshot {
            world: Arc::clone(&current.world),
            proof: Arc::new(Proof::new(signing)),
            revoked: Arc::clone(&current.revoked),
        }));
    }

    /// The revoked tokens, the same ones for as long as these tables live.
    pub fn revoked(&self) -> Arc<RevokedTokens> {
        Arc::clone(&self.current.load().revoked)
    }
}

impl Snapshot {
    /// Builds environments and declared keys from tenant files; keys of the store are then applied one by one.
    pub fn build(organizations: Vec<Organization>, signing: Arc<SigningKeySet>) -> Result<Self, BuildError> {
        build::build(organizations, signing)
    }

    /// Applies one key of the store. A declared key is never replaced: the file wins.
    pub fn apply(&self, key: &ApiKey) {
        if self.world.declared.contains_key(&key.client_id) {
            return;
        }
        let Some((index, environment)) = self.environment_entry(&key.environment) else { return };
        let live = Arc::new(environment.live_key(index, key));
        let keys = self.world.keys.pin();
        // INVARIANT: writers take turns, so nothing comes between this look and the insert.
        if keys.get(&key.client_id).is_none_or(|known| known.revision <= live.revision) {
            keys.insert(key.client_id.clone(), live);
        }
    }

    /// Asks something of a live key, if there is one of that id. The key may change right after.
    pub fn with_key<R>(&self, id: &str, ask: impl FnOnce(Option<&LiveKey>) -> R) -> R {
        ask(self.world.keys.pin().get(id).map(Arc::as_ref))
    }

    /// The environment that serves `authority` (the Host as sent) and raw `path`: longest base path on a segment border.
    pub fn route(&self, authority: &str, path: &[u8]) -> Option<&Arc<EnvironmentTable>> {
        let index = match self.world.hosts.get(authority) {
            Some(host) => host.route(path)?,
            None => self.world.hosts.get(environment::fold_authority(authority).as_str())?.route(path)?,
        };
        self.world.environments.get(index)
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
        let index = *self.world.by_id.get(id)?;
        self.world.environments.get(index).map(|environment| (index, environment))
    }

    /// The environment at a live key's place.
    pub fn environment_at(&self, EnvironmentIndex(index): EnvironmentIndex) -> Option<&EnvironmentTable> {
        self.world.environments.get(index as usize).map(Arc::as_ref)
    }

    /// All environments, in the order of the files.
    pub fn environments(&self) -> &[Arc<EnvironmentTable>] {
        &self.world.environments
    }

    /// All organizations, in the order of the files.
    pub fn organizations(&self) -> &[Organization] {
        &self.world.organizations
    }

    /// The keys declared in files for one environment, in no particular order.
    pub fn declared_keys(&self, environment: &EnvironmentId) -> impl Iterator<Item = &ApiKey> {
        self.world.declared.values().filter(move |key| key.environment == *environment)
    }

    /// One declared key.
    pub fn declared_key(&self, environment: &EnvironmentId, id: &ClientId) -> Option<&ApiKey> {
        self.world.declared.get(id).filter(|key| key.environment == *environment)
    }

    /// The claims of a genuine token, and whether they were known already.
    pub fn claims(&self, token: &str) -> Result<(Arc<AccessTokenClaims>, bool), TokenError> {
        self.proof.claims(token)
    }

    /// Whether the token of that id was revoked by itself.
    pub fn is_revoked(&self, token_id: &str) -> bool {
        self.revoked.contains(token_id)
    }

    /// Who speaks to the control API with this access token, which is not proven yet: a living management key, or the
    /// reason why not. `control_url` is canonical, as the token endpoint writes it into `aud`; `address` too.
    pub fn management_caller(
        &self,
        token: &str,
        control_url: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<ManagementCaller, Denial> {
        let (claims, _) = self.claims(token).map_err(|_| Denial::TokenInvalid)?;
        let token_revoked = self.is_revoked(&claims.token_id);
        let request = ManagementRequest { token: &claims, token_revoked, control_url, address };
        self.with_key(claims.client_id.as_str(), |key| {
            let issued = key.and_then(|key| {
                let own = self.environment_at(key.environment)?;
                Some((key, Issuer { policy: &own.policy, base_url: own.base_url.as_str() }))
            });
            judge_management(issued, &request, now)
        })
    }

    /// The signing keys.
    pub fn signing(&self) -> &Arc<SigningKeySet> {
        self.proof.signing()
    }

    /// How many live keys each environment has by kind and status, for metrics: walks all keys.
    pub fn count_keys(&self, now: Timestamp) -> HashMap<(usize, bool, KeyStatus), u64> {
        let mut counts = HashMap::new();
        for key in self.world.keys.pin().values() {
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
