//! The verified-token cache: which texts were proven, and what they say. Never a decision.
//!
//! Bounded by bytes; compares the whole token; holds genuine tokens alone, so a flood of forged ones evicts nothing.

use crate::model::AccessTokenClaims;
use crate::token::{SigningKeySet, TokenError, verify};
use std::sync::Arc;

/// The bound of the cache.
const MAX_BYTES: u64 = 64 << 20;

/// What an entry takes beside its token's own text: claims, map and list nodes.
const OVERHEAD_BYTES: usize = 400;

/// Tokens whose signature was proven by the current signing keys.
#[derive(Debug)]
pub(super) struct TokenCache {
    proven: moka::sync::Cache<Box<str>, Arc<AccessTokenClaims>, ahash::RandomState>,
}

impl TokenCache {
    /// An empty cache of at most about 64 MiB. Each snapshot has its own: a signing key that is taken out takes its
    /// proven tokens along.
    pub(super) fn new() -> Self {
        #[expect(clippy::borrowed_box, reason = "the cache hands its keys out by reference")]
        let weigh = |token: &Box<str>, _: &Arc<AccessTokenClaims>| {
            u32::try_from(2 * token.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            proven: moka::sync::Cache::builder()
                .max_capacity(MAX_BYTES)
                .weigher(weigh)
                .build_with_hasher(ahash::RandomState::new()),
        }
    }

    /// The claims of a genuine token and whether they were known already. Proving happens at most once while the
    /// token is kept.
    pub(super) fn claims(
        &self,
        token: &str,
        keys: &SigningKeySet,
    ) -> Result<(Arc<AccessTokenClaims>, bool), TokenError> {
        if let Some(claims) = self.proven.get(token) {
            return Ok((claims, true));
        }
        let claims = Arc::new(verify(token, keys)?);
        self.proven.insert(token.into(), Arc::clone(&claims));
        Ok((claims, false))
    }
}
