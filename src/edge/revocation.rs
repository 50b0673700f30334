//! Where a revoked token goes: the edge never sees the store, so `app` hands it something that keeps revocations.

use crate::model::{ClientId, EnvironmentId, Timestamp};
use async_trait::async_trait;
use std::net::IpAddr;
use std::sync::Arc;

/// A token that its own client wants to end (RFC 7009).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRevocation {
    /// Its `jti`.
    pub token_id: Arc<str>,
    /// Whose it is, and who revokes it.
    pub client_id: ClientId,
    /// Where.
    pub environment: EnvironmentId,
    /// When it would have ended; now where it has.
    pub expires_at: Timestamp,
    /// Where the request comes from.
    pub address: IpAddr,
    /// The request's id.
    pub request_id: String,
    /// When it is revoked.
    pub revoked_at: Timestamp,
}

/// Why a revocation was not kept; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationRefused {
    /// The client has as many living tokens revoked as one may have.
    #[error("the client has as many revoked tokens as one may have")]
    TooMany {
        /// Whole seconds until the next try, at least 1.
        retry_after: u32,
    },
    /// It could not be kept.
    #[error("the revocation could not be kept")]
    Unavailable,
}

/// Keeps revocations. Once it says `Ok` the revocation is on disk and in the tables: the first request after the
/// answer is refused. It goes through with what it began even if nobody waits for it any more.
#[async_trait]
pub trait RevocationSink: Send + Sync {
    /// Revokes one token.
    async fn revoke(&self, revocation: TokenRevocation) -> Result<(), RevocationRefused>;
}
