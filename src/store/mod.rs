//! The store: keys, signing keys and the bootstrap token, kept so that an acknowledged change survives `kill -9`.
//!
//! [`Store`] is the whole contract; `tests/it/store.rs` is its conformance suite, which every implementation
//! passes. Each change takes the next [`Revision`], stamps the object with it and appends to the feed, all in
//! one transaction. SQL stays in this room. What it leaves to others: deciding what a change may be
//! (`control`), and showing it to the request path (`tables`).

mod sqlite;

pub use sqlite::SqliteStore;

use crate::model::{
    Allowlist, ApiKey, ClientId, EnvironmentId, KeyKind, KeyName, KeyStatus, Revision, SecretDigest, Timestamp,
};
use async_trait::async_trait;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such key in that environment.
    #[error("no such key")]
    KeyNotFound,
    /// Another live key of the environment has the name, ignoring case.
    #[error("a live key of this environment already has that name")]
    NameTaken,
    /// The key is revoked; revocation is final.
    #[error("the key is revoked")]
    Revoked,
    /// The key has changed since the revision the caller named.
    #[error("the key has changed since: it is at revision {}", current.0)]
    RevisionMismatch {
        /// What it is at now.
        current: Revision,
    },
    /// The store cannot be opened; the reason says what to do about it.
    #[error("cannot open the store `{place}`: {reason}")]
    Open {
        /// Where it is: a file or an address, without credentials.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The store cannot be read or written; nothing was changed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store holds something that is not what was once written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// A key to be made. The store gives it secret version 1 and its revision.
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
    /// From where; `None` is any address.
    pub allowlist: Option<Allowlist>,
    /// SHA-256 of its secret.
    pub secret_digest: SecretDigest,
    /// The last four characters of its secret.
    pub secret_last_four: String,
    /// The first second at which it is dead; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// Who makes it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
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
    /// When.
    pub rotated_at: Timestamp,
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
    /// The instant that `status` is judged at.
    pub now: Timestamp,
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

/// One entry of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub revision: Revision,
    /// What changed.
    pub subject: Subject,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A key was made, rotated or revoked.
    ApiKey(ClientId),
    /// The set of signing keys changed.
    SigningKeys,
}

/// A signing key as it is kept: the private part encrypted with the node's secret key file.
#[derive(Clone)]
pub struct StoredSigningKey {
    /// Its `kid`.
    pub id: String,
    /// `EdDSA`, `ES256`, `RS256` or `HS256`.
    pub algorithm: String,
    /// AES-256-GCM: nonce, ciphertext and tag.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for StoredSigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// What every store does, with one behaviour. An `Ok` of a change means it is on disk.
#[async_trait]
pub trait Store: Send + Sync {
    /// The number of the last change; 0 before the first.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Changes after `since`, oldest first, at most `limit`.
    async fn changes(&self, since: Revision, limit: u32) -> Result<Vec<Change>, StoreError>;

    /// Makes a key. Errors: `NameTaken`.
    async fn create_key(&self, key: &NewKey) -> Result<ApiKey, StoreError>;

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

    /// Gives a key a new secret and expiry; its secret version grows by one.
    /// Errors, in this order: `KeyNotFound`, `Revoked`, `RevisionMismatch` where `expected` is given.
    async fn rotate_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        rotation: &Rotation,
        expected: Option<Revision>,
    ) -> Result<ApiKey, StoreError>;

    /// Ends a key for good; its name becomes free. Revoking a revoked key changes nothing and returns it, whatever
    /// is `expected`: a caller that lost the first answer asks again with the revision it knew.
    /// Errors: `KeyNotFound`, `RevisionMismatch` where `expected` is given.
    async fn revoke_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        revoked_at: Timestamp,
        expected: Option<Revision>,
    ) -> Result<ApiKey, StoreError>;

    /// The signing keys, oldest first; of those made in the same second, the one added first.
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError>;

    /// Adds a signing key.
    async fn add_signing_key(&self, key: &StoredSigningKey) -> Result<(), StoreError>;

    /// The digest of the bootstrap token, if one was made and still counts.
    async fn bootstrap_digest(&self) -> Result<Option<SecretDigest>, StoreError>;

    /// Sets or ends the bootstrap token. No revision: nobody follows it, it is read where it is presented.
    async fn set_bootstrap_digest(&self, digest: Option<&SecretDigest>) -> Result<(), StoreError>;
}
