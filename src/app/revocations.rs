//! Single tokens that are revoked: kept, then shown to the request path, then answered.

use crate::edge::{RevocationSink, RevocationUnavailable, TokenRevocation};
use crate::tables::Tables;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Keeps revocations on the node's own runtime: a caller who hangs up half way cannot leave the tables behind.
pub(super) struct Revocations {
    runtime: Handle,
    tables: Arc<Tables>,
}

impl Revocations {
    pub(super) const fn new(runtime: Handle, tables: Arc<Tables>) -> Self {
        Self { runtime, tables }
    }
}

#[async_trait]
impl RevocationSink for Revocations {
    async fn revoke(&self, revocation: TokenRevocation) -> Result<(), RevocationUnavailable> {
        let tables = Arc::clone(&self.tables);
        let kept = self.runtime.spawn(async move {
            let revoked = tables.revoked();
            if !revoked.has_room() {
                return Err(RevocationUnavailable);
            }
            revoked.insert(revocation.token_id, revocation.expires_at);
            Ok(())
        });
        kept.await.unwrap_or(Err(RevocationUnavailable))
    }
}
