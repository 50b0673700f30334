//! The audit log: one hash chain an organization, and one for the node. Rows are written with the changes they tell of;
//! here they are read, and refused attempts are added.

use super::StoreError;
use crate::model::{Act, AuditEntry, ChainHead, Identifier, Timestamp};
use async_trait::async_trait;

/// Which rows a listing asks for.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only this action.
    pub action: Option<String>,
    /// Only this actor: an id, an email address or a kind.
    pub actor: Option<String>,
    /// Only this target's id.
    pub target: Option<String>,
    /// Only rows at or after this instant.
    pub since: Option<Timestamp>,
    /// Only rows before this instant.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether every row matches.
    pub const fn is_empty(&self) -> bool {
        let Self { action, actor, target, since, until } = self;
        action.is_none() && actor.is_none() && target.is_none() && since.is_none() && until.is_none()
    }
}

/// A stretch of rows as they were written: JSON texts with their numbers.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// Number and text of each row.
    pub rows: Vec<(u64, String)>,
    /// Whether there are more.
    pub more: bool,
}

/// Something to be logged that changes nothing else: attempts that were refused, counted over a minute, and the like.
#[derive(Clone, Debug)]
pub struct Noted {
    /// Who, from where, in which request first, and when first.
    pub act: Act,
    /// What was attempted, with its code and count.
    pub entry: AuditEntry,
}

/// The audit log. `chain` is an organization, or `None` for the node.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Rows that match, newest first, before the number `before` where one is given; at most `limit`.
    async fn audit_page(
        &self,
        chain: Option<&Identifier>,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, StoreError>;

    /// Every row after this number, oldest first; at most `limit`.
    async fn audit_rows(
        &self,
        chain: Option<&Identifier>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, String)>, StoreError>;

    /// Where the chain ends.
    async fn audit_head(&self, chain: Option<&Identifier>) -> Result<ChainHead, StoreError>;

    /// Adds rows, in one transaction. No revision: nobody follows them.
    async fn note(&self, noted: &[Noted]) -> Result<(), StoreError>;
}
