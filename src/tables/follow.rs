//! Following the store: loading every key at start, and the change feed afterwards.
//!
//! The node that makes a change applies it before it answers; the feed is for changes that others made, and the safety
//! net should an answer have been cut off between the store's commit and the tables.

use super::{EnvironmentTable, Tables};
use crate::model::{ApiKey, EnvironmentId, Revision, Timestamp};
use crate::store::{KeyFilter, KeyPage, Page, Store, StoreError, Subject};
use std::collections::BTreeMap;
use std::sync::Arc;

const BATCH: u32 = 1000;
/// The keys of so many environments are asked for one environment after the other; of more, all keys at once.
const FEW_ENVIRONMENTS: usize = 16;

/// Why the tables do not follow.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store cannot be read; the tables keep what they show.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Hands over every key of the store; the revision that this is at least as new as.
pub(super) async fn load_all_keys(store: &dyn Store, apply: impl Fn(&ApiKey)) -> Result<Revision, FollowError> {
    // Read first: what changes while loading is then seen again by the follower, which does no harm.
    let revision = store.revision().await?;
    let mut after = None;
    loop {
        let keys = store.all_keys(after.as_ref(), BATCH).await?;
        keys.iter().for_each(&apply);
        match keys.last() {
            Some(last) if keys.len() == BATCH as usize => after = Some(last.client_id.clone()),
            _ => return Ok(revision),
        }
    }
}

/// Hands over every key of some environments.
pub(super) async fn load_keys(
    store: &dyn Store,
    environments: &[Arc<EnvironmentTable>],
    apply: impl Fn(&ApiKey),
) -> Result<(), FollowError> {
    if environments.len() > FEW_ENVIRONMENTS {
        // The others' keys are passed over by whoever they are handed to.
        return load_all_keys(store, apply).await.map(|_| ());
    }
    for environment in environments {
        let mut page = Page::newest(BATCH);
        loop {
            let KeyPage { keys, more } = store.list_keys(&environment.policy.id, &KeyFilter::ALL, &page).await?;
            keys.iter().for_each(&apply);
            page.after = keys.last().filter(|_| more).map(|last| page.sort.place(last));
            if page.after.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Loads the access tokens that were revoked one by one and could still be shown.
pub async fn load_revoked(tables: &Tables, store: &dyn Store, now: Timestamp) -> Result<(), FollowError> {
    let revoked = tables.revoked();
    for token in store.revoked_tokens(now).await? {
        revoked.insert(token.token_id.into(), &token.client_id, token.expires_at);
    }
    Ok(())
}

/// What changed besides keys and revoked tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Environments that the control API made or changed, each with its last change: what they say is for `control` to
    /// read.
    pub environments: BTreeMap<EnvironmentId, Revision>,
    /// The set of signing keys: it is sealed, and only the node can open it.
    pub signing_keys: bool,
}

/// A place in the change feed.
#[derive(Debug)]
pub struct Follower {
    seen: Revision,
}

impl Follower {
    /// Follows from the revision that loading returned.
    pub const fn new(seen: Revision) -> Self {
        Self { seen }
    }

    /// Applies every change since the last call, in order, and tells what the caller must look after by itself.
    pub async fn catch_up(&mut self, tables: &Tables, store: &dyn Store) -> Result<Followed, FollowError> {
        let mut followed = Followed::default();
        tables.complete_keys(store).await?;
        loop {
            let changes = store.changes(self.seen, BATCH).await?;
            let Some(last) = changes.last().map(|change| change.revision) else { return Ok(followed) };
            for change in changes {
                match change.subject {
                    Subject::ApiKey(id) => {
                        if let Some(key) = store.key_by_id(&id).await? {
                            tables.apply(&key);
                        }
                    }
                    Subject::AccessToken(id) => {
                        if let Some(token) = store.revoked_token(&id).await? {
                            tables.revoked().insert(token.token_id.into(), &token.client_id, token.expires_at);
                        }
                    }
                    Subject::SigningKeys => followed.signing_keys = true,
                    Subject::Environment(id) => {
                        followed.environments.insert(id, change.revision);
                    }
                    // Read from the store wherever they count.
                    Subject::Member(_) | Subject::Organization(_) | Subject::Other => {}
                }
            }
            tables.saw(last);
            self.seen = last;
        }
    }
}
