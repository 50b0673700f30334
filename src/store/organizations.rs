//! What the control API sets about organizations: their policies, and those that no file describes.

use super::StoreError;
use crate::model::{Act, Identifier, Revision, Timestamp};
use async_trait::async_trait;
use std::time::Duration;

/// What the store knows of an organization. One that nobody changed here is at revision 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrganization {
    /// Its id.
    pub id: Identifier,
    /// Its name, where the control API set one.
    pub name: Option<String>,
    /// Whether the control API made it; else a file describes it.
    pub made_here: bool,
    /// Whether new legacy keys are refused; `None` where nobody said so.
    pub block_legacy_keys: Option<bool>,
    /// The longest life a key may be given, in whole seconds; `None` where nobody said so.
    pub max_key_lifetime: Option<Duration>,
    /// The number of its last change.
    pub revision: Revision,
}

impl StoredOrganization {
    /// One that nobody has changed here.
    pub const fn untouched(id: Identifier) -> Self {
        Self {
            id,
            name: None,
            made_here: false,
            block_legacy_keys: None,
            max_key_lifetime: None,
            revision: Revision(0),
        }
    }
}

/// A change to an organization; `None` keeps what is there, `Some(None)` takes it away.
#[derive(Clone, Debug, Default)]
pub struct OrganizationChange {
    /// Makes it, where no file describes it.
    pub make: bool,
    /// The new name.
    pub name: Option<String>,
    /// Whether new legacy keys are refused.
    pub block_legacy_keys: Option<Option<bool>>,
    /// The longest life a key may be given, in whole seconds.
    pub max_key_lifetime: Option<Option<Duration>>,
}

/// How many live keys of an organization a policy would refuse if they were made now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceeding {
    /// Legacy keys.
    pub legacy: u64,
    /// Keys without an expiry, or with one further from their last secret than the longest life.
    pub lifetime: u64,
}

/// Organizations and their policies.
#[async_trait]
pub trait OrganizationStore: Send + Sync {
    /// All that were made or changed here, ordered by id.
    async fn organizations(&self) -> Result<Vec<StoredOrganization>, StoreError>;

    /// What the store knows of one; untouched where nothing is known.
    async fn organization(&self, id: &Identifier) -> Result<StoredOrganization, StoreError>;

    /// Changes one. Errors: `RevisionMismatch` where `expected` is given.
    async fn change_organization(
        &self,
        id: &Identifier,
        change: &OrganizationChange,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<StoredOrganization, StoreError>;

    /// Counts keys that are live at `now` and that the policy would refuse today, for each of a few longest lives, in
    /// their order, with one look at the keys. Without a longest life none exceeds it.
    async fn count_exceeding(
        &self,
        id: &Identifier,
        longest: &[Option<Duration>],
        now: Timestamp,
    ) -> Result<Vec<Exceeding>, StoreError>;
}
