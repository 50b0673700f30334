//! What an environment looks like at a glance: its keys counted, and what its requests came to by the hour.

use super::caller::{Asking, Right};
use super::{Control, ControlProblem};
use crate::model::{ApiKey, ClientId, EnvironmentId, KeyKind, KeyStatus, Timestamp};
use crate::store::{CountedAt, HOUR_SECONDS, KeyCounts, hour_of};
use crate::tables::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many hours are shown, the present one included.
const HOURS: u32 = 24;
const DAY: i64 = 86_400;
/// An active key that ends within so many days is expiring.
const EXPIRING_DAYS: i64 = 14;
/// An active key that was made, and last used, so many days ago is unused.
const UNUSED_DAYS: i64 = 90;
/// What the caller's going away is called: it is neither an answer nor a refusal.
const DOWNSTREAM_CLOSED: &str = "downstream_closed";

/// An environment at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Its keys; those of the store as they were a few seconds ago.
    pub keys: KeyCounts,
    /// The last 24 hours, oldest first; the last one is under way.
    pub hours: Vec<HourTraffic>,
    /// Codes of refusals and failures in those hours and how often there were, most often first.
    pub refusals: Vec<(String, u64)>,
    /// The instant that this is told at.
    pub now: Timestamp,
}

/// What the requests of one hour came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourTraffic {
    /// When it began.
    pub hour: Timestamp,
    /// Requests that the upstream answered.
    pub allowed: u64,
    /// Requests that were refused, or failed.
    pub refused: u64,
}

/// Counting that takes longer than this is not done at each look.
const QUICK: Duration = Duration::from_millis(20);

/// Counts of keys that were made a moment ago and took their time, by environment: counting looks at every key.
pub(super) struct RecentCounts(moka::sync::Cache<EnvironmentId, KeyCounts>);

impl Default for RecentCounts {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(1000).time_to_live(Duration::from_secs(3)).build())
    }
}

impl Control {
    /// Counts an environment's keys and requests. Errors: `NotFound`, `NotAllowed`, `Busy`, `Unavailable`, `Fault`.
    pub async fn overview(&self, asking: &Asking, environment: &EnvironmentId) -> Result<Overview, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        let now = asking.act.at;
        let keys = self.key_counts(environment, now).await?;
        let first = first_hour(now);
        let traffic = self.store.traffic(environment, first, HOURS).await?;
        let hour = |passed| first.plus_seconds(i64::from(passed) * HOUR_SECONDS);
        let mut hours: Vec<HourTraffic> =
            (0..HOURS).map(|passed| HourTraffic { hour: hour(passed), allowed: 0, refused: 0 }).collect();
        let mut refusals: HashMap<String, u64> = HashMap::new();
        for counted in traffic.into_iter().filter(|counted| counted.code != DOWNSTREAM_CLOSED) {
            let Some(hour) = hours.iter_mut().find(|hour| hour.hour == counted.hour) else { continue };
            if counted.code.is_empty() {
                hour.allowed += counted.count;
            } else {
                hour.refused += counted.count;
                *refusals.entry(counted.code).or_default() += counted.count;
            }
        }
        let mut refusals: Vec<_> = refusals.into_iter().collect();
        refusals.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
        Ok(Overview { keys, hours, refusals, now })
    }

    /// How often keys opened something in each of the last 24 hours, oldest first; the last hour is under way. Keys in
    /// the order in which they are asked for. Errors: as [`overview`](Self::overview).
    pub async fn key_hours(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        ids: &[ClientId],
    ) -> Result<Vec<[u64; 24]>, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        let own = self.with_environment(environment, |snapshot| {
            ids.iter().filter(|id| works_in(snapshot, environment, id)).cloned().collect::<Vec<_>>()
        })?;
        let first = first_hour(asking.act.at);
        let mut counted: HashMap<ClientId, [u64; 24]> = HashMap::new();
        for used in self.store.hours_used(&own, first, HOURS).await? {
            let at = usize::try_from((used.hour.as_unix() - first.as_unix()) / HOUR_SECONDS);
            let hours = counted.entry(used.client_id).or_default();
            if let Some(count) = at.ok().and_then(|at| hours.get_mut(at)) {
                *count = used.count;
            }
        }
        Ok(ids.iter().map(|id| counted.get(id).copied().unwrap_or_default()).collect())
    }
}

impl Control {
    /// The keys of files and of the store.
    async fn key_counts(&self, environment: &EnvironmentId, now: Timestamp) -> Result<KeyCounts, ControlProblem> {
        let declared: Vec<ApiKey> =
            self.with_environment(environment, |snapshot| snapshot.declared_keys(environment).cloned().collect())?;
        let at = CountedAt {
            now,
            expiring_before: now.plus_seconds(EXPIRING_DAYS * DAY),
            unused_since: now.plus_seconds(-UNUSED_DAYS * DAY),
        };
        let mut counts = self.stored_counts(environment, &declared, &at).await?;
        declared.iter().for_each(|key| count(&mut counts, key, &at));
        Ok(counts)
    }

    /// A key of the store that a file declares as well is the file's.
    async fn stored_counts(
        &self,
        environment: &EnvironmentId,
        declared: &[ApiKey],
        at: &CountedAt,
    ) -> Result<KeyCounts, ControlProblem> {
        if let Some(known) = self.recent_counts.0.get(environment) {
            return Ok(known);
        }
        let turn = self.scans.turn(&environment.organization).await?;
        // Whoever waited for the same counts has them now.
        if let Some(known) = self.recent_counts.0.get(environment) {
            return Ok(known);
        }
        let without: Vec<ClientId> = declared.iter().map(|key| key.client_id.clone()).collect();
        let (store, id, at) = (Arc::clone(&self.store), environment.clone(), *at);
        let began = Instant::now();
        let counts = turn.read(async move { store.count_keys(&id, &without, &at).await }).await?;
        // What is quick is told as it is: whoever made a key looks for it.
        if began.elapsed() > QUICK {
            self.recent_counts.0.insert(environment.clone(), counts);
        }
        Ok(counts)
    }
}

/// Whether a key works in an environment, as the request path sees it.
pub(super) fn works_in(snapshot: &Snapshot, environment: &EnvironmentId, id: &ClientId) -> bool {
    let place = snapshot.environment(environment).map(|table| table.policy.index);
    place.is_some_and(|place| snapshot.with_key(id.as_str(), |key| key.is_some_and(|key| key.environment == place)))
}

/// The first hour that is shown.
fn first_hour(now: Timestamp) -> Timestamp {
    hour_of(now).plus_seconds(-i64::from(HOURS - 1) * HOUR_SECONDS)
}

/// Counts a declared key, as the store counts its own.
fn count(counts: &mut KeyCounts, key: &ApiKey, at: &CountedAt) {
    counts.total += 1;
    match key.status(at.now) {
        KeyStatus::Active => {
            let expiring = key.expires_at.is_some_and(|ends| ends < at.expiring_before);
            let old = key.created_at < at.unused_since;
            let unused = old && key.last_used_at.is_none_or(|used| used < at.unused_since);
            counts.active += 1;
            counts.expiring += u64::from(expiring);
            counts.unused += u64::from(unused);
            counts.legacy += u64::from(matches!(key.kind, KeyKind::Legacy { .. }));
        }
        KeyStatus::Expired => counts.expired += 1,
        KeyStatus::Revoked => counts.revoked += 1,
    }
}
