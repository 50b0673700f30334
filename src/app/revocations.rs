//! Single tokens that are revoked: kept on disk, then shown to the request path, then answered.

use super::chores::FORGET;
use crate::edge::{RevocationRefused, RevocationSink, TokenRevocation};
use crate::model::{Act, Actor, ClientId};
use crate::store::{RevokedToken, Store};
use crate::tables::{RevokedTokens, RevokedTokensFull, Tables};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// Keeps revocations on the node's own runtime: a caller who hangs up half way cannot leave the tables behind.
pub(super) struct Revocations {
    runtime: Handle,
    store: Arc<dyn Store>,
    tables: Arc<Tables>,
    /// One at a time, as the store takes them: whoever has looked for room finds it after the commit.
    turn: Arc<Mutex<()>>,
}

impl Revocations {
    pub(super) fn new(runtime: Handle, store: Arc<dyn Store>, tables: Arc<Tables>) -> Self {
        Self { runtime, store, tables, turn: Arc::default() }
    }
}

#[async_trait]
impl RevocationSink for Revocations {
    async fn revoke(&self, revocation: TokenRevocation) -> Result<(), RevocationRefused> {
        let (store, tables, turn) = (Arc::clone(&self.store), Arc::clone(&self.tables), Arc::clone(&self.turn));
        let kept = self.runtime.spawn(async move {
            let revoked = tables.revoked();
            // Asked before as well: who has too many does not stand in the line.
            room(&revoked, &revocation.client_id)?;
            let _turn = turn.lock().await;
            keep(store.as_ref(), &revoked, revocation).await
        });
        kept.await.unwrap_or(Err(RevocationRefused::Unavailable))
    }
}

fn room(revoked: &RevokedTokens, client_id: &ClientId) -> Result<(), RevocationRefused> {
    revoked.room(client_id).map_err(|full| match full {
        // Room is made by forgetting what has expired.
        RevokedTokensFull::Client => {
            RevocationRefused::TooMany { retry_after: u32::try_from(FORGET.as_secs()).unwrap_or(u32::MAX) }
        }
        RevokedTokensFull::Node => {
            tracing::error!("more access tokens are revoked than this node keeps; revoke the key instead");
            RevocationRefused::Unavailable
        }
    })
}

async fn keep(
    store: &dyn Store,
    revoked: &RevokedTokens,
    revocation: TokenRevocation,
) -> Result<(), RevocationRefused> {
    room(revoked, &revocation.client_id)?;
    let TokenRevocation { token_id, client_id, environment, expires_at, address, request_id, revoked_at } = revocation;
    let act = Act { address: Some(address), request_id, ..Act::of(Actor::Key(client_id.clone()), revoked_at) };
    let token = RevokedToken { token_id: token_id.to_string(), client_id, environment, expires_at };
    store.revoke_token(&token, &act).await.map_err(|error| {
        tracing::warn!("an access token could not be revoked: {error}");
        RevocationRefused::Unavailable
    })?;
    revoked.insert(token_id, &token.client_id, expires_at);
    Ok(())
}
