//! Following the store: loading every key at start, and the change feed afterwards.
//!
//! The node that makes a change applies it before it answers; the feed is for changes that others made, and the safety
//! net should an answer have been cut off between the store's commit and the tables.

use super::{Snapshot, Tables};
use crate::model::Revision;
use crate::store::{Store, StoreError, Subject};

const BATCH: u32 = 1000;

/// Why the tables do not follow.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store cannot be read; the tables keep what they show.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Loads every key of the store into a snapshot; the revision it is at least as new as.
pub async fn load_keys(snapshot: &Snapshot, store: &dyn Store) -> Result<Revision, FollowError> {
    // Read first: what changes while loading is then seen again by the follower, which does no harm.
    let revision = store.revision().await?;
    let mut after = None;
    loop {
        let keys = store.all_keys(after.as_ref(), BATCH).await?;
        for key in &keys {
            snapshot.apply(key);
        }
        match keys.last() {
            Some(last) if keys.len() == BATCH as usize => after = Some(last.client_id.clone()),
            _ => return Ok(revision),
        }
    }
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

    /// Applies every change since the last call, in order. Signing keys are read at start alone, so far.
    pub async fn catch_up(&mut self, tables: &Tables, store: &dyn Store) -> Result<(), FollowError> {
        loop {
            let changes = store.changes(self.seen, BATCH).await?;
            let Some(last) = changes.last().map(|change| change.revision) else { return Ok(()) };
            for change in changes {
                match change.subject {
                    Subject::ApiKey(id) => {
                        if let Some(key) = store.key_by_id(&id).await? {
                            tables.apply(&key);
                        }
                    }
                    Subject::AccessToken(_)
                    | Subject::Member(_)
                    | Subject::Organization(_)
                    | Subject::Other
                    | Subject::SigningKeys => {}
                }
            }
            self.seen = last;
        }
    }
}
