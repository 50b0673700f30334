//! Live state for the request path: environments, keys, signing keys. No lock, no wait and no store on the read side.
//!
//! A [`Snapshot`] is built aside and swapped whole (start, reload). A single change of a key is applied to the current
//! snapshot in place, before the control API answers: the first request after the answer sees it. Writers take turns
//! behind a mutex that no reader touches. What it leaves to others: what a change may be (`control`), what a request
//! may do (`access`).

mod change;
mod environment;
mod follow;
mod order;
mod proof;
mod revoked;
mod world;

use proof::Proof;
use world::{Declared, World};

pub use change::{BuildError, WorldChanges, WorldPlan, WorldTurn};
pub use environment::{EnvironmentTable, Reserved, is_well_known};
pub use follow::{FollowError, Followed, Follower, load_revoked};
pub use order::{Asker, Judged, Line, Step};
pub use revoked::{RevokedTokens, RevokedTokensFull};
pub use world::BaseUrlTaken;

use crate::access::{Denial, Issuer, ManagementCaller, ManagementRequest, judge_management};
use crate::model::{
    AccessTokenClaims, ApiKey, ClientId, EnvironmentId, EnvironmentIndex, Holding, Identifier, KeyEnded, KeyStatus,
    LiveKey, Organization, Revision, Timestamp,
};
use crate::token::{SigningKeySet, TokenError};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The live tables. One set, injected wherever it is read.
#[derive(Debug)]
pub struct Tables {
    current: ArcSwap<Snapshot>,
    revision: AtomicU64,
    writers: Mutex<Writers>,
    /// Whoever changes the world, one at a time.
    world_turn: tokio::sync::Mutex<()>,
    /// The place that the next new environment gets.
    next_index: AtomicU32,
}

/// What those who write tell each other.
#[derive(Debug, Default)]
struct Writers {
    /// The world that is about to be swapped in; keys of environments from that place on reach it already.
    expected: Option<(Arc<World>, EnvironmentIndex)>,
    /// Environments that know more names than when some of their keys were applied.
    grown: Vec<EnvironmentIndex>,
}

/// One consistent set: environments, the keys that work in them, the keys that prove tokens, and the tokens that were
/// revoked. Its parts are shared: replacing one copies none of the others.
#[derive(Debug)]
pub struct Snapshot {
    world: Arc<World>,
    proof: Arc<Proof>,
    revoked: Arc<RevokedTokens>,
}

impl Tables {
    /// Tables of a world in which nothing is yet.
    pub fn new(signing: Arc<SigningKeySet>) -> Self {
        let snapshot = Snapshot {
            world: Arc::default(),
            proof: Arc::new(Proof::new(signing)),
            revoked: Arc::new(RevokedTokens::default()),
        };
        Self {
            current: ArcSwap::from_pointee(snapshot),
            revision: AtomicU64::new(0),
            writers: Mutex::default(),
            world_turn: tokio::sync::Mutex::default(),
            next_index: AtomicU32::new(0),
        }
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
        let writers = self.writers.lock();
        self.current.load().world.apply(key, EnvironmentIndex(0));
        if let Some((world, from)) = &writers.expected {
            world.apply(key, *from);
        }
        self.revision.fetch_max(key.revision.0, Ordering::AcqRel);
    }

    /// Every change up to `revision` is applied, those that tables do not show included.
    pub fn saw(&self, revision: Revision) {
        self.revision.fetch_max(revision.0, Ordering::AcqRel);
    }

    fn next_index(&self) -> EnvironmentIndex {
        EnvironmentIndex(self.next_index.fetch_add(1, Ordering::Relaxed))
    }

    /// Replaces the signing keys. The cache of proven tokens begins empty with them: a key that is taken out takes the
    /// tokens it proved along.
    pub fn set_signing(&self, signing: Arc<SigningKeySet>) {
        let _turn = self.writers.lock();
        let current = self.current.load();
        let proof = Arc::new(Proof::new(signing));
        let (world, revoked) = (Arc::clone(&current.world), Arc::clone(&current.revoked));
        self.current.store(Arc::new(Snapshot { world, proof, revoked }));
    }

    /// The revoked tokens, the same ones for as long as these tables live.
    pub fn revoked(&self) -> Arc<RevokedTokens> {
        Arc::clone(&self.current.load().revoked)
    }
}

impl Snapshot {
    /// The same with another world. Signing keys, proven and revoked tokens do not come from tenant files.
    fn with_world(&self, world: Arc<World>) -> Self {
        Self { world, proof: Arc::clone(&self.proof), revoked: Arc::clone(&self.revoked) }
    }

    /// Asks something of a live key, if there is one of that id. The key may change right after. A declared key wins
    /// over the store's of the same id.
    pub fn with_key<R>(&self, id: &str, ask: impl FnOnce(Option<&LiveKey>) -> R) -> R {
        self.world.with_key(id, ask)
    }

    /// The environment that serves `authority` (the Host as sent) and raw `path`: longest base path on a segment border.
    pub fn route(&self, authority: &str, path: &[u8]) -> Option<&Arc<EnvironmentTable>> {
        self.world.route(authority, path)
    }

    /// Whether a reader that decodes, folds case and takes off path parameters would find the same environment.
    pub fn routes_alike(&self, authority: &str, path: &[u8], environment: &Arc<EnvironmentTable>) -> bool {
        if !path.iter().any(|byte| matches!(byte, b'%' | b';') || byte.is_ascii_uppercase()) {
            return true;
        }
        let lenient = environment::lenient(path, &environment.paths);
        self.route(authority, &lenient).is_none_or(|other| Arc::ptr_eq(other, environment))
    }

    /// The environment of an id.
    pub fn environment(&self, id: &EnvironmentId) -> Option<&Arc<EnvironmentTable>> {
        self.world.environment(id)
    }

    /// The environment at a live key's place.
    pub fn environment_at(&self, index: EnvironmentIndex) -> Option<&Arc<EnvironmentTable>> {
        self.world.environment_at(index)
    }

    /// All environments: those of files in their order, then those of the store.
    pub fn environments(&self) -> &[Arc<EnvironmentTable>] {
        &self.world.environments
    }

    /// The environments of one organization, in the same order.
    pub fn environments_of(&self, organization: &Identifier) -> impl Iterator<Item = &Arc<EnvironmentTable>> {
        self.world.environments_of(organization)
    }

    /// The organizations of files, in their order. Their environments are among [`environments`](Self::environments).
    pub fn organizations(&self) -> &[Organization] {
        &self.world.organizations
    }

    /// The keys declared in files for one environment, in the order of the file.
    pub fn declared_keys(&self, environment: &EnvironmentId) -> impl Iterator<Item = &ApiKey> {
        let declared = self.environment(environment).map_or(&[][..], |environment| self.world.declared.of(environment));
        declared.iter().map(|declared| &declared.key)
    }

    /// One declared key.
    pub fn declared_key(&self, environment: &EnvironmentId, id: &ClientId) -> Option<&ApiKey> {
        let declared: &Arc<Declared> = self.world.declared.by_id.get(id)?;
        Some(&declared.key).filter(|key| key.environment == *environment)
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

    /// How many live keys each environment has by kind (whether they are legacy) and status: walks all keys.
    pub fn count_keys(&self, now: Timestamp) -> HashMap<(EnvironmentIndex, bool, KeyStatus), u64> {
        let mut counts = HashMap::new();
        let mut count = |key: &LiveKey| {
            let legacy = !matches!(key.holding, Holding::Permissions(_));
            let status = match key.ended(now) {
                Some(KeyEnded::Revoked) => KeyStatus::Revoked,
                Some(KeyEnded::Expired) => KeyStatus::Expired,
                None => KeyStatus::Active,
            };
            *counts.entry((key.environment, legacy, status)).or_insert(0) += 1;
        };
        let declared = &self.world.declared.by_id;
        declared.values().for_each(|declared| count(&declared.live));
        let keys = self.world.keys.pin();
        let shown = keys.values().filter(|key| self.environment_at(key.environment).is_some());
        shown.filter(|key| !declared.contains_key(&key.client_id)).for_each(|key| count(key));
        counts
    }
}

#[cfg(test)]
mod tests;
