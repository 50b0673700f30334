//! When and for what keys were used. Gathered off the request path and written in batches; the last batch may be lost
//! in a crash.

use super::StoreError;
use crate::model::{ClientId, Timestamp};
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

/// Usage of keys.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Adds a batch, all of it or nothing. An older instant never replaces a newer one; keys that are not there are passed over.
    async fn record_usage(&self, uses: &[KeyUse]) -> Result<(), StoreError>;

    /// What a key has done, most often done first.
    async fn operations_used(&self, id: &ClientId) -> Result<Vec<OperationUse>, StoreError>;
}
