//! When and for what keys were used, and what the requests of environments came to. Gathered off the request path and
//! written in batches; the last batch may be lost in a crash.

use super::StoreError;
use crate::model::{ClientId, EnvironmentId, Timestamp};
use async_trait::async_trait;
use std::net::IpAddr;

/// What one key did since the last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Which key.
    pub client_id: ClientId,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// From where.
    pub last_address: Option<IpAddr>,
    /// Operations and how often each was done.
    pub operations: Vec<(String, u64)>,
}

/// How often a key has done an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationUse {
    /// The operation's id.
    pub operation: String,
    /// How often.
    pub count: u64,
    /// When last, to the batch.
    pub last_used_at: Timestamp,
}

/// The length of an hour, in seconds.
pub const HOUR_SECONDS: i64 = 3600;
/// What was counted by the hour is kept for so long, in seconds.
pub const HOURS_KEPT_SECONDS: i64 = 48 * HOUR_SECONDS;

/// How often a key opened something within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourUse {
    /// Which key.
    pub client_id: ClientId,
    /// When the hour began.
    pub hour: Timestamp,
    /// How often.
    pub count: u64,
}

/// How often requests of an environment came to something within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficHour {
    /// When the hour began.
    pub hour: Timestamp,
    /// The code of the refusal or failure; empty where the upstream answered.
    pub code: String,
    /// How often.
    pub count: u64,
}

/// The instant at which an hour began.
pub const fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp::from_unix(at.as_unix().div_euclid(HOUR_SECONDS) * HOUR_SECONDS)
}

/// Usage of keys.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Adds a batch, all of it or nothing. An older instant never replaces a newer one; keys that are not there are passed
    /// over, but for their hours, which are counted for keys of files too.
    async fn record_usage(&self, uses: &[KeyUse]) -> Result<(), StoreError>;

    /// Adds what requests came to, all of it or nothing.
    async fn record_traffic(&self, counts: &[(EnvironmentId, TrafficHour)]) -> Result<(), StoreError>;

    /// What keys did in so many hours from the one of `since` on. Hours in which one did nothing are left out.
    async fn hours_used(&self, ids: &[ClientId], since: Timestamp, hours: u32) -> Result<Vec<HourUse>, StoreError>;

    /// What the requests of an environment came to in so many hours from the one of `since` on, by hour and code.
    async fn traffic(
        &self,
        environment: &EnvironmentId,
        since: Timestamp,
        hours: u32,
    ) -> Result<Vec<TrafficHour>, StoreError>;

    /// What a key has done, most often done first.
    async fn operations_used(&self, id: &ClientId) -> Result<Vec<OperationUse>, StoreError>;
}
