//! Single tokens that are revoked: kept on disk, then shown to the request path, then answered.

use crate::edge::{RevocationSink, RevocationUnavailable, TokenRevocation};
use crate::model::{Act, Actor};
use crate::store::{RevokedToken, Store};
use crate::tables::Tables;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Keeps revocations on the node's own runtime: a caller who hangs up half way cannot leave the tables behind.
pub(super) struct Revocations {
    runtime: Handle,
    store: Arc<dyn Store>,
    tables: Arc<Tables>,
}

impl Revocations {
    pub(super) const fn new(runtime: Handle, store: Arc<dyn Store>, tables: Arc<Tables>) -> Self {
        Self { runtime, store, tables }
    }
}

#[async_trait]
impl RevocationSink for Revocations {
    async fn revoke(&self, revocation: TokenRevocation) -> Result<(), RevocationUnavailable> {
        let (store, tables) = (Arc::clone(&self.store), Arc::clone(&self.tables));
        let kept = self.runtime.spawn(async move { keep(store.as_ref(), &tables, revocation).await });
        kept.await.unwrap_or(Err(RevocationUnavailable))
    }
}

async fn keep(store: &dyn Store, tables: &Tables, revocation: TokenRevocation) -> Result<(), RevocationUnavailable> {
    let revoked = tables.revoked();
    if !revoked.has_room() {
        tracing::error!("more access tokens are revoked than this node keeps; revoke the key instead");
        return Err(RevocationUnavailable);
    }
    let TokenRevocation { token_id, client_id, environment, expires_at, address, request_id, revoked_at } = revocation;
    let act = Act { address: Some(address), request_id, ..Act::of(Actor::Key(client_id.clone()), revoked_at) };
    let token = RevokedToken { token_id: token_id.to_string(), client_id, environment, expires_at };
    store.revoke_token(&token, &act).await.map_err(|error| {
        tracing::warn!("an access token could not be revoked: {error}");
        RevocationUnavailable
    })?;
    revoked.insert(token_id, expires_at);
    Ok(())
}
