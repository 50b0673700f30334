//! What proves tokens: the signing keys, and the cache of tokens they proved. Never a decision.
//!
//! The cache is bounded by bytes, compares the whole token, and holds genuine tokens alone, so a flood of forged ones
//! evicts nothing.

use crate::model::AccessTokenClaims;
use crate::token::{SigningKeySet, TokenError, verify};
use std::sync::Arc;

/// The bound of the cache.
const MAX_BYTES: u64 = 64 << 20;

/// What an entry takes beside its token's own text: claims, map and list nodes.
const OVERHEAD_BYTES: usize = 400;

/// A set of signing keys, with the tokens whose signature it proved.
#[derive(Debug)]
pub(super) struct Proof {
    signing: Arc<SigningKeySet>,
    proven: moka::sync::Cache<Box<str>, Arc<AccessTokenClaims>, ahash::RandomState>,
}

impl Proof {
    /// These keys, with an empty cache of at most about 64 MiB.
    pub(super) fn new(signing: Arc<SigningKeySet>) -> Self {
        #[expect(clippy::borrowed_box, reason = "the cache hands its keys out by reference")]
        let weigh = |token: &Box<str>, _: &Arc<AccessTokenClaims>| {
            u32::try_from(2 * token.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let proven = moka::sync::Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(weigh)
            .build_with_hasher(ahash::RandomState::new());
        Self { signing, proven }
    }

    /// The signing keys.
    pub(super) const fn signing(&self) -> &Arc<SigningKeySet> {
        &self.signing
    }

    /// The claims of a genuine token and whether they were known already. Proving happens at most once while the
    /// token is kept.
    pub(super) fn claims(&self, token: &str) -> Result<(Arc<AccessTokenClaims>, bool), TokenError> {
        if let Some(claims) = self.proven.get(token) {
            return Ok((claims, true));
        }
        let claims = Arc::new(verify(token, &self.signing)?);
        self.proven.insert(token.into(), Arc::clone(&claims));
        Ok((claims, false))
    }
}
