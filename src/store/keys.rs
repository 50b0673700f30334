//! API keys.

use super::StoreError;
use crate::model::{
    Act, Allowlist, ApiKey, ClientId, EnvironmentId, KeyKind, KeyName, KeyStatus, PermissionName, Revision,
    SecretDigest, Timestamp,
};
use async_trait::async_trait;

/// A key to be made. The store gives it secret version 1 and its revision; the act says who made it and when.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its public name, already drawn.
    pub client_id: ClientId,
    /// Where it works.
    pub environment: EnvironmentId,
    /// Unique among the environment's live keys, ignoring case.
    pub name: KeyName,
    /// Free text.
    pub description: String,
    /// What it may do.
    pub kind: KeyKind,
    /// What a management key may give beyond what it holds.
    pub may_grant: Vec<PermissionName>,
    /// From where; `None` is any address.
    pub allowlist: Option<Allowlist>,
    /// SHA-256 of its secret.
    pub secret_digest: SecretDigest,
    /// The last four characters of its secret.
    pub secret_last_four: String,
    /// The first second at which it is dead; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// The revision of the organization's policies that this was judged by.
    pub policies: Revision,
    /// Whether its environment has to be one that was made here; else a file describes it.
    pub of_store: bool,
}

/// A change of what may be edited in place; `None` keeps what is there.
#[derive(Clone, Debug, Default)]
pub struct KeyEdit {
    /// The new name.
    pub name: Option<KeyName>,
    /// The new description.
    pub description: Option<String>,
    /// The new permissions of a fine-grained key.
    pub permissions: Option<Vec<PermissionName>>,
    /// What a management key may give from now on.
    pub may_grant: Option<Vec<PermissionName>>,
    /// `Some(None)` opens the key to any address.
    pub allowlist: Option<Option<Allowlist>>,
}

/// A rotation: new secret, new expiry, and a new allowlist where one is given.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// SHA-256 of the new secret.
    pub secret_digest: SecretDigest,
    /// The last four characters of the new secret.
    pub secret_last_four: String,
    /// The new expiry; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// `None` keeps the allowlist; `Some(None)` opens the key to any address.
    pub allowlist: Option<Option<Allowlist>>,
    /// The revision of the organization's policies that this was judged by.
    pub policies: Revision,
    /// Whether its environment has to be one that was made here; else a file describes it.
    pub of_store: bool,
}

/// What a listing asks for. Everything is optional; `now` is what `status` is judged at.
#[derive(Clone, Debug)]
pub struct KeyFilter {
    /// Only keys with this status at `now`.
    pub status: Option<KeyStatus>,
    /// `Some(true)`: only legacy keys; `Some(false)`: only fine-grained ones.
    pub legacy: Option<bool>,
    /// Only keys whose name or client id contains this text, ignoring case.
    pub query: Option<String>,
    /// Only keys that end before this instant.
    pub expires_before: Option<Timestamp>,
    /// Only keys that were not used at or after this instant, those never used included.
    pub unused_since: Option<Timestamp>,
    /// The instant that `status` is judged at.
    pub now: Timestamp,
}

impl KeyFilter {
    /// Every key.
    pub const ALL: Self = Self {
        status: None,
        legacy: None,
        query: None,
        expires_before: None,
        unused_since: None,
        now: Timestamp::EPOCH,
    };
}

/// A stretch of a listing, ordered by creation (newest first), then client id.
#[derive(Clone, Debug)]
pub struct Page {
    /// At most this many, 1 to 1000.
    pub limit: u32,
    /// Go on after this key of the previous page.
    pub after: Option<ClientId>,
}

/// One page of keys.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<ApiKey>,
    /// Whether the listing goes on after the last of them.
    pub more: bool,
}

/// The living keys of an environment that hold one permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders {
    /// What they hold.
    pub permission: PermissionName,
    /// How many there are.
    pub count: u64,
    /// The first of them, newest first, then by client id.
    pub keys: Vec<(ClientId, KeyName)>,
}

/// The living legacy keys of an environment that hold one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleHolders {
    /// What they hold.
    pub role: String,
    /// How many there are.
    pub count: u64,
    /// The first of them, newest first, then by client id.
    pub keys: Vec<(ClientId, KeyName)>,
}

/// What living keys hold beyond what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Permissions, by name.
    pub permissions: Vec<Holders>,
    /// Roles, by name.
    pub roles: Vec<RoleHolders>,
}

/// API keys. Every change can also fail with `AlreadyDone` or `IdempotencyKeyReused`, looked for first.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Makes a key. Errors: `PoliciesChanged`, `EnvironmentChanged` where its environment, or the role that it holds, is not
    /// there any more, `NameTaken`.
    async fn create_key(&self, key: &NewKey, act: &Act) -> Result<ApiKey, StoreError>;

    /// One key of an environment. Errors: `KeyNotFound`.
    async fn key(&self, environment: &EnvironmentId, id: &ClientId) -> Result<ApiKey, StoreError>;

    /// One key wherever it works (for those who follow the feed).
    async fn key_by_id(&self, id: &ClientId) -> Result<Option<ApiKey>, StoreError>;

    /// A page of an environment's keys. Errors: `KeyNotFound` where `page.after` is no key of the environment.
    async fn list_keys(
        &self,
        environment: &EnvironmentId,
        filter: &KeyFilter,
        page: &Page,
    ) -> Result<KeyPage, StoreError>;

    /// Every key of every environment, ordered by client id, in batches: at most `limit` after `after`.
    async fn all_keys(&self, after: Option<&ClientId>, limit: u32) -> Result<Vec<ApiKey>, StoreError>;

    /// Which living keys (neither revoked nor expired at `now`) of an environment hold these permissions: how many, and
    /// the `first` of them. Permissions that no living key holds are left out; the others come by name.
    async fn keys_holding(
        &self,
        environment: &EnvironmentId,
        permissions: &[PermissionName],
        now: Timestamp,
        first: u32,
    ) -> Result<Vec<Holders>, StoreError>;

    /// What living keys of an environment hold beyond these permissions and roles; names of our own
    /// (`portcullis:...`) are always known. Otherwise as [`KeyStore::keys_holding`].
    async fn keys_beyond(
        &self,
        environment: &EnvironmentId,
        permissions: &[PermissionName],
        roles: &[&str],
        now: Timestamp,
        first: u32,
    ) -> Result<Beyond, StoreError>;

    /// Edits a key in place. Errors, in this order: `KeyNotFound`, `Revoked`, `RevisionMismatch` where `expected` is
    /// given, `NameTaken`.
    async fn edit_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        edit: &KeyEdit,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<ApiKey, StoreError>;

    /// Gives a key a new secret and expiry; its secret version grows by one. Errors, in this order: `KeyNotFound`,
    /// `Revoked`, `RevisionMismatch` where `expected` is given, `PoliciesChanged`, `EnvironmentChanged` where its environment
    /// is not there any more.
    async fn rotate_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        rotation: &Rotation,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<ApiKey, StoreError>;

    /// Ends a key for good; its name becomes free. Revoking a revoked key changes nothing and returns it, whatever
    /// is `expected`: a caller that lost the first answer asks again with the revision it knew.
    /// Errors: `KeyNotFound`, `RevisionMismatch` where `expected` is given.
    async fn revoke_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<ApiKey, StoreError>;
}
