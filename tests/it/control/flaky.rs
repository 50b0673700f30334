//! A store that can be told to be slow or away.

use portcullis::model::{
    Act, ApiKey, ChainHead, ClientId, EnvironmentId, Identifier, Revision, SecretDigest, Timestamp,
};
use portcullis::store::{
    AuditFilter, AuditPage, AuditStore, Change, Exceeding, Feed, KeyEdit, KeyFilter, KeyPage, KeyStore, KeyUse, NewKey,
    NodeStore, Noted, OperationUse, OrganizationChange, OrganizationStore, Page, RevokedToken, Rotation, SqliteStore,
    StoreError, StoredOrganization, StoredSigningKey, UsageStore,
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

    async fn read(&self) -> Result<&SqliteStore, StoreError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("secret place on disk".into())),
            false => Ok(&self.inner),
        }
    }

    async fn change(&self) -> Result<&SqliteStore, StoreError> {
        tokio::time::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst))).await;
        match self.read_only.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("secret place on disk".into())),
            false => self.read().await,
        }
    }
}

/// Passes each call on, as a read or as a change.
macro_rules! flaky {
    ($($trait:ident { $($kind:ident $name:ident($($arg:ident: $type:ty),*) -> $ok:ty;)* })*) => {
        $(
            #[async_trait::async_trait]
            impl $trait for FlakyStore {
                $(
                    async fn $name(&self, $($arg: $type),*) -> Result<$ok, StoreError> {
                        self.$kind().await?.$name($($arg),*).await
                    }
                )*
            }
        )*
    };
}

flaky! {
    AuditStore {
        read audit_page(chain: Option<&Identifier>, filter: &AuditFilter, before: Option<u64>, limit: u32) -> AuditPage;
        read audit_rows(chain: Option<&Identifier>, after: u64, limit: u32) -> Vec<(u64, String)>;
        read audit_head(chain: Option<&Identifier>) -> ChainHead;
        change note(noted: &[Noted]) -> ();
    }
    Feed {
        read revision() -> Revision;
        read changes(since: Revision, limit: u32) -> Vec<Change>;
        read look_back(act: &Act) -> ();
    }
    KeyStore {
        change create_key(key: &NewKey, act: &Act) -> ApiKey;
        read key(environment: &EnvironmentId, id: &ClientId) -> ApiKey;
        read key_by_id(id: &ClientId) -> Option<ApiKey>;
        read list_keys(environment: &EnvironmentId, filter: &KeyFilter, page: &Page) -> KeyPage;
        read all_keys(after: Option<&ClientId>, limit: u32) -> Vec<ApiKey>;
        change edit_key(e: &EnvironmentId, id: &ClientId, edit: &KeyEdit, at: Option<Revision>, act: &Act) -> ApiKey;
        change rotate_key(e: &EnvironmentId, id: &ClientId, new: &Rotation, at: Option<Revision>, act: &Act) -> ApiKey;
        change revoke_key(e: &EnvironmentId, id: &ClientId, at: Option<Revision>, act: &Act) -> ApiKey;
    }
    NodeStore {
        read signing_keys() -> Vec<StoredSigningKey>;
        change add_signing_key(key: &StoredSigningKey, others_end_at: Option<Timestamp>, act: &Act) -> ();
        change remove_ended_signing_keys(act: &Act) -> Vec<String>;
        read bootstrap_digest() -> Option<SecretDigest>;
        change set_bootstrap_digest(digest: Option<&SecretDigest>, act: &Act) -> ();
        change revoke_token(token: &RevokedToken, act: &Act) -> ();
        read revoked_token(token_id: &str) -> Option<RevokedToken>;
        read revoked_tokens(now: Timestamp) -> Vec<RevokedToken>;
        change forget_ended(now: Timestamp) -> ();
    }
    OrganizationStore {
        read organizations() -> Vec<StoredOrganization>;
        read organization(id: &Identifier) -> StoredOrganization;
        change change_organization(
            id: &Identifier, change: &OrganizationChange, at: Option<Revision>, act: &Act
        ) -> StoredOrganization;
        read count_exceeding(id: &Identifier, longest: Option<Duration>, now: Timestamp) -> Exceeding;
    }
    UsageStore {
        change record_usage(uses: &[KeyUse]) -> ();
        read operations_used(id: &ClientId) -> Vec<OperationUse>;
    }
}
