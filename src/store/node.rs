//! What belongs to the node itself: signing keys, the bootstrap token, access tokens that were revoked one by one.

use super::StoreError;
use crate::model::{Act, ClientId, EnvironmentId, SecretDigest, Timestamp};
use async_trait::async_trait;

/// A signing key as it is kept: the private part encrypted with the node's secret key file.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSigningKey {
    /// Its `kid`.
    pub id: String,
    /// `EdDSA`, `ES256`, `RS256` or `HS256`.
    pub algorithm: String,
    /// AES-256-GCM: nonce, ciphertext and tag.
    pub sealed: Vec<u8>,
    /// When it was made, and published.
    pub created_at: Timestamp,
    /// The first second at which it signs.
    pub signs_from: Timestamp,
    /// The first second at which it proves nothing any more; `None` while it has no successor.
    pub ends_at: Option<Timestamp>,
}

impl std::fmt::Debug for StoredSigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// An access token that was revoked by itself (RFC 7009). Kept until it would have ended anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedToken {
    /// Its `jti`.
    pub token_id: String,
    /// The key it was issued to.
    pub client_id: ClientId,
    /// Where that key works.
    pub environment: EnvironmentId,
    /// The first second at which it is dead anyway.
    pub expires_at: Timestamp,
}

/// The node's own state.
#[async_trait]
pub trait NodeStore: Send + Sync {
    /// The signing keys, oldest first; of those made in the same second, the one added first.
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError>;

    /// Adds a signing key. Where `others_end_at` is given, those that had no end get this one.
    async fn add_signing_key(
        &self,
        key: &StoredSigningKey,
        others_end_at: Option<Timestamp>,
        act: &Act,
    ) -> Result<(), StoreError>;

    /// Removes signing keys that have ended at `act.at`; their ids.
    async fn remove_ended_signing_keys(&self, act: &Act) -> Result<Vec<String>, StoreError>;

    /// The digest of the bootstrap token, if one was made and still counts.
    async fn bootstrap_digest(&self) -> Result<Option<SecretDigest>, StoreError>;

    /// Sets or ends the bootstrap token; sessions by the one before end. No revision: nobody follows it, it is read where it is presented.
    async fn set_bootstrap_digest(&self, digest: Option<&SecretDigest>, act: &Act) -> Result<(), StoreError>;

    /// Revokes one access token; again changes nothing.
    async fn revoke_token(&self, token: &RevokedToken, act: &Act) -> Result<(), StoreError>;

    /// One revoked token, for those who follow the feed.
    async fn revoked_token(&self, token_id: &str) -> Result<Option<RevokedToken>, StoreError>;

    /// Every revoked token that is not dead anyway at `now`.
    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<RevokedToken>, StoreError>;

    /// Forgets what is over at `now`: revoked tokens that are dead anyway, invitations, sessions and members' tokens,
    /// idempotency keys after a day, what was counted by the hour after two.
    async fn forget_ended(&self, now: Timestamp) -> Result<(), StoreError>;
}
