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
    /// Only keys that were made before this instant.
    pub created_before: Option<Timestamp>,
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
        created_before: None,
        now: Timestamp::EPOCH,
    };
}

/// What a listing is ordered by; keys of one value are in the order of their client ids, or backwards as the listing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySort {
    /// When they were made. Of one instant, descending lists are in the order of client ids.
    #[default]
    Created,
    /// When they end; those that never do come last.
    Expires,
    /// When they were last used; those that never were come first.
    LastUsed,
    /// Their names, ignoring case.
    Name,
}

/// What a key is ordered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue {
    /// Seconds since the Unix epoch; for [`KeySort::Created`] with the other sign, so that the newest is the least.
    Number(i64),
    /// A name in one case.
    Text(String),
}

/// A place in an ordered listing: right after a key with this value and id, whether or not it is still there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPlace {
    /// What the key was ordered by.
    pub value: SortValue,
    /// The key.
    pub client_id: ClientId,
}

impl KeySort {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Created, Self::Expires, Self::LastUsed, Self::Name];

    /// The name of the order: that of the field it goes by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created_at",
            Self::Expires => "expires_at",
            Self::LastUsed => "last_used_at",
            Self::Name => "name",
        }
    }

    /// Reads a name, and whether a `-` before it says that the list descends.
    pub fn parse(text: &str) -> Option<(Self, bool)> {
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        Self::ALL.into_iter().find(|sort| sort.as_str() == name).map(|sort| (sort, descending))
    }

    /// Where a key stands. Places grow from page to page of an ascending listing, but for [`Self::Created`], where they
    /// grow in a descending one.
    pub fn place(self, key: &ApiKey) -> KeyPlace {
        let value = match self {
            Self::Created => SortValue::Number(-key.created_at.as_unix()),
            Self::Expires => SortValue::Number(key.expires_at.map_or(i64::MAX, Timestamp::as_unix)),
            Self::LastUsed => SortValue::Number(key.last_used_at.map_or(i64::MIN, Timestamp::as_unix)),
            Self::Name => SortValue::Text(key.name.folded()),
        };
        KeyPlace { value, client_id: key.client_id.clone() }
    }

    /// Whether places grow from page to page.
    pub const fn places_grow(self, descending: bool) -> bool {
        match self {
            Self::Created => descending,
            Self::Expires | Self::LastUsed | Self::Name => !descending,
        }
    }
}

/// A stretch of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// At most this many, 1 to 1000.
    pub limit: u32,
    /// What it is ordered by.
    pub sort: KeySort,
    /// Whether the greatest come first.
    pub descending: bool,
    /// Go on after this place of the same order.
    pub after: Option<KeyPlace>,
}

impl Page {
    /// The first page, newest first.
    pub const fn newest(limit: u32) -> Self {
        Self { limit, sort: KeySort::Created, descending: true, after: None }
    }
}

/// How many keys an environment has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// All of them.
    pub total: u64,
    /// Those that open something.
    pub active: u64,
    /// Active ones that end soon.
    pub expiring: u64,
    /// Active ones that are old and were not used for long, or never.
    pub unused: u64,
    /// Active ones that hold a role.
    pub legacy: u64,
    /// Those that have ended by themselves.
    pub expired: u64,
    /// Those that were ended.
    pub revoked: u64,
}

/// What keys are counted by.
#[derive(Clone, Copy, Debug)]
pub struct CountedAt {
    /// The instant that status is judged at.
    pub now: Timestamp,
    /// Active keys that end before this instant are expiring.
    pub expiring_before: Timestamp,
    /// Active keys that were made before this instant, and not used since, are unused.
    pub unused_since: Timestamp,
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

    /// A page of an environment's keys.
    async fn list_keys(
        &self,
        environment: &EnvironmentId,
        filter: &KeyFilter,
        page: &Page,
    ) -> Result<KeyPage, StoreError>;

    /// How many keys an environment has, without these.
    async fn count_keys(
        &self,
        environment: &EnvironmentId,
        without: &[ClientId],
        at: &CountedAt,
    ) -> Result<KeyCounts, StoreError>;

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
