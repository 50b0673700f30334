//! A store that can be told to be slow or away.

use portcullis::model::{ApiKey, ClientId, EnvironmentId, Revision, SecretDigest, Timestamp};
use portcullis::store::{
    Change, KeyFilter, KeyPage, NewKey, Page, Rotation, SqliteStore, Store, StoreError, StoredSigningKey,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(super) struct FlakyStore {
    inner: SqliteStore,
    /// Everything fails.
    pub(super) away: AtomicBool,
    /// Changes fail.
    pub(super) read_only: AtomicBool,
    /// How long a change takes, in milliseconds.
    pub(super) delay: AtomicU64,
}

impl FlakyStore {
    pub(super) fn over(inner: SqliteStore) -> Self {
        Self { inner, away: false.into(), read_only: false.into(), delay: 0.into() }
    }

    fn read(&self) -> Result<&SqliteStore, StoreError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("secret place on disk".into())),
            false => Ok(&self.inner),
        }
    }

    async fn change(&self) -> Result<&SqliteStore, StoreError> {
        tokio::time::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst))).await;
        match self.read_only.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("secret place on disk".into())),
            false => self.read(),
        }
    }
}

#[async_trait::async_trait]
impl Store for FlakyStore {
    async fn revision(&self) -> Result<Revision, StoreError> {
        self.read()?.revision().await
    }
    async fn changes(&self, since: Revision, limit: u32) -> Result<Vec<Change>, StoreError> {
        self.read()?.changes(since, limit).await
    }
    async fn create_key(&self, key: &NewKey) -> Result<ApiKey, StoreError> {
        self.change().await?.create_key(key).await
    }
    async fn key(&self, environment: &EnvironmentId, id: &ClientId) -> Result<ApiKey, StoreError> {
        self.read()?.key(environment, id).await
    }
    async fn key_by_id(&self, id: &ClientId) -> Result<Option<ApiKey>, StoreError> {
        self.read()?.key_by_id(id).await
    }
    async fn list_keys(&self, e: &EnvironmentId, filter: &KeyFilter, page: &Page) -> Result<KeyPage, StoreError> {
        self.read()?.list_keys(e, filter, page).await
    }
    async fn all_keys(&self, after: Option<&ClientId>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        self.read()?.all_keys(after, limit).await
    }
    async fn rotate_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        rotation: &Rotation,
        expected: Option<Revision>,
    ) -> Result<ApiKey, StoreError> {
        self.change().await?.rotate_key(environment, id, rotation, expected).await
    }
    async fn revoke_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        revoked_at: Timestamp,
        expected: Option<Revision>,
    ) -> Result<ApiKey, StoreError> {
        self.change().await?.revoke_key(environment, id, revoked_at, expected).await
    }
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
        self.read()?.signing_keys().await
    }
    async fn add_signing_key(&self, key: &StoredSigningKey) -> Result<(), StoreError> {
        self.change().await?.add_signing_key(key).await
    }
    async fn bootstrap_digest(&self) -> Result<Option<SecretDigest>, StoreError> {
        self.read()?.bootstrap_digest().await
    }
    async fn set_bootstrap_digest(&self, digest: Option<&SecretDigest>) -> Result<(), StoreError> {
        self.change().await?.set_bootstrap_digest(digest).await
    }
}
