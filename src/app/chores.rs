//! What a node does by the clock: follow the store, write what was gathered, tend the signing keys, forget what is over.
//!
//! None of it is on the way of a request. A chore that fails says so and is tried again the next time.

use super::node::Shared;
use super::signing::SigningKeys;
use crate::clock;
use crate::control::Control;
use crate::model::{EnvironmentId, Revision, Timestamp};
use crate::store::{KeyUse, TrafficHour};
use crate::tables::Follower;
use crate::telemetry::{self, TrafficCount};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the store is asked for changes of others.
const FOLLOW: Duration = Duration::from_secs(1);
/// The same while another process of this node serves beside this one.
const FOLLOW_CLOSELY: Duration = Duration::from_millis(50);
/// How often upstream names are resolved anew.
const RESOLVE: Duration = Duration::from_secs(30);
/// How often is looked which upstreams are to be asked how they are.
const CHECK: Duration = Duration::from_millis(500);
/// How often usage is written: what a crash loses.
const USAGE: Duration = Duration::from_secs(5);
/// So many keys' usage is written in one transaction: changes wait no longer than one takes.
const USAGE_BATCH: usize = 500;
/// How often refused attempts are written.
const REFUSALS: Duration = Duration::from_secs(60);
/// How often signing keys are looked after.
const SIGNING: Duration = Duration::from_secs(60);
/// How often certificates that end soon are warned of.
const CERTIFICATES: Duration = Duration::from_secs(86_400);
/// How often what is over is forgotten.
pub(super) const FORGET: Duration = Duration::from_secs(600);

/// Those who do the chores.
#[derive(Clone)]
pub(super) struct Chores {
    pub(super) shared: Shared,
    pub(super) signing: Arc<SigningKeys>,
    pub(super) control: Arc<Control>,
}

impl Chores {
    /// Starts what keeps the tables right, whoever serves, on the current runtime.
    pub(super) fn start_following(&self, follower: Follower) {
        tokio::spawn(self.clone().follow(follower));
        tokio::spawn(self.clone().resolve());
        self.every(CHECK, |chores| async move { chores.shared.upstreams.check_due() });
    }

    /// Starts all others, once connections are taken.
    pub(super) fn start(&self) {
        self.every(USAGE, |chores| async move {
            chores.write_usage().await;
            chores.write_traffic(clock::now()).await;
        });
        self.every(REFUSALS, |chores| async move { chores.control.write_refusals().await });
        self.every(SIGNING, |chores| async move {
            // Two at it would make two keys: whoever has the node's work does it.
            if !chores.shared.stage.has_work() {
                return;
            }
            if let Err(error) = chores.signing.tend(&chores.shared.tables, clock::now()).await {
                chores.failed("signing_keys", &error);
            }
        });
        self.shared.tls.warn(clock::now());
        self.every(CERTIFICATES, |chores| async move { chores.shared.tls.warn(clock::now()) });
        self.every(FORGET, |chores| async move { chores.forget(clock::now()).await });
    }

    /// What is done once this process has the node's work.
    pub(super) async fn take_over(self) {
        if let Err(error) = self.signing.take_over(&self.shared.tables, clock::now()).await {
            self.failed("signing_keys", &error);
        }
    }

    /// What was gathered and is not written yet, at the end.
    pub(super) async fn finish(&self) {
        self.write_usage().await;
        self.write_traffic(clock::now()).await;
        self.control.write_refusals().await;
    }

    fn every<W: Future<Output = ()> + Send>(&self, pause: Duration, chore: impl Fn(Self) -> W + Send + 'static) {
        let chores = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                chore(chores.clone()).await;
            }
        });
    }

    /// Resolves upstream names anew, and at once where somebody could not wait for all of them.
    async fn resolve(self) {
        let upstreams = &self.shared.upstreams;
        loop {
            let _ = tokio::time::timeout(RESOLVE, upstreams.fell_behind()).await;
            upstreams.refresh(self.shared.tables.load_full().environments()).await;
        }
    }

    /// Follows the store's change feed: what others changed, and the safety net for our own changes.
    async fn follow(self, mut follower: Follower) {
        let Shared { store, tables, probes, .. } = &self.shared;
        let mut environments = BTreeMap::new();
        let mut beside = self.shared.stage.beside();
        loop {
            let followed = follower.catch_up(tables, store.as_ref()).await;
            // One that is away is not asked, and not told of, any more often.
            let closely = followed.is_ok() && *beside.borrow_and_update() > 0;
            match followed {
                Ok(followed) => {
                    probes.store_seen(clock::now());
                    environments.extend(followed.environments);
                    self.follow_environments(&mut environments).await;
                    if followed.signing_keys
                        && let Err(error) = self.signing.show(tables, clock::now()).await
                    {
                        self.failed("signing_keys", &error);
                    }
                }
                Err(error) => {
                    self.shared.metrics.count_store_error("follow");
                    tracing::warn!(%error, "the store cannot be followed; requests are decided on the last tables");
                }
            }
            let pause = if closely { FOLLOW_CLOSELY } else { FOLLOW };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = beside.changed() => {}
            }
        }
    }

    /// Shows what others made of environments, in the order in which they did. What cannot be shown is tried again the
    /// next time: it may only have to wait for another one.
    async fn follow_environments(&self, environments: &mut BTreeMap<EnvironmentId, Revision>) {
        let mut changed: Vec<_> = std::mem::take(environments).into_iter().collect();
        changed.sort_unstable_by_key(|(_, revision)| *revision);
        for (id, revision) in changed {
            if let Err(error) = self.control.follow_environment(&id, revision).await {
                self.shared.metrics.count_store_error("environments");
                tracing::warn!("environment `{id}` has changed in the store and cannot be shown yet: {error:?}");
                environments.insert(id, revision);
            }
        }
    }

    /// Batch by batch: what was written is not put back with what was not.
    async fn write_usage(&self) {
        let drained = self.shared.usage.drain();
        for (at, batch) in drained.chunks(USAGE_BATCH).enumerate() {
            let uses: Vec<KeyUse> = batch.iter().map(key_use).collect();
            if let Err(error) = self.shared.store.record_usage(&uses).await {
                self.shared.usage.restore(drained.get(at * USAGE_BATCH..).unwrap_or_default());
                return self.failed("usage", &error);
            }
        }
    }

    async fn write_traffic(&self, now: Timestamp) {
        let drained = self.shared.traffic.drain(now);
        if drained.is_empty() {
            return;
        }
        let counts: Vec<_> = drained.iter().map(traffic_hour).collect();
        if let Err(error) = self.shared.store.record_traffic(&counts).await {
            self.shared.traffic.restore(drained, now);
            self.failed("traffic", &error);
        }
    }

    async fn forget(&self, now: Timestamp) {
        self.shared.tables.revoked().purge(now);
        if let Err(error) = self.shared.store.forget_ended(now).await {
            self.failed("forget", &error);
        }
    }

    fn failed(&self, chore: &'static str, error: &dyn std::fmt::Display) {
        self.shared.metrics.count_store_error(chore);
        tracing::warn!("{chore}: {error:#}; it is tried again");
    }
}

/// What was gathered, as the store takes it.
fn key_use(used: &telemetry::KeyUse) -> KeyUse {
    KeyUse {
        client_id: used.client_id.clone(),
        last_used_at: used.last_used_at,
        last_address: Some(used.last_address),
        operations: used.operations.iter().map(|(name, count)| (name.to_string(), *count)).collect(),
    }
}

/// The same for what requests came to.
fn traffic_hour(counted: &TrafficCount) -> (EnvironmentId, TrafficHour) {
    let TrafficCount { environment, hour, code, count } = counted;
    let hour = TrafficHour { hour: *hour, code: (*code).to_owned(), count: *count };
    (environment.as_ref().clone(), hour)
}
