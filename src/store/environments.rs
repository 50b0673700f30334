//! Environments that the control API made: their definitions and OpenAPI documents, kept as text. What the text means is
//! `config`'s; what may be changed is judged by `control`.

use super::StoreError;
use crate::model::{Act, AuditEntry, EnvironmentId, Revision, Timestamp, hex};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::fmt;

/// An environment as it is kept. Its definition may hold credentials for the upstream: it has no place in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEnvironment {
    /// Which one.
    pub id: EnvironmentId,
    /// A JSON object in its canonical text.
    pub definition: String,
    /// The OpenAPI document its permissions come from, by the digest of its text.
    pub document: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// The number of its last change.
    pub revision: Revision,
}

impl fmt::Debug for StoredEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEnvironment")
            .field("id", &self.id)
            .field("document", &self.document)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// The text of an OpenAPI document, and the digest it goes by.
#[derive(Clone, PartialEq, Eq)]
pub struct DocumentText {
    bytes: [u8; 32],
    digest: String,
    text: String,
}

impl DocumentText {
    /// A document of this text.
    pub fn new(text: String) -> Self {
        let bytes: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Self { bytes, digest: hex(&bytes), text }
    }

    /// SHA-256 as hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// SHA-256.
    pub const fn digest_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for DocumentText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DocumentText").field(&self.digest).finish()
    }
}

/// What becomes of an environment's OpenAPI document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentChange {
    /// It stays.
    Keep,
    /// The environment has none from now on.
    Remove,
    /// This one takes its place.
    Set(DocumentText),
}

/// An environment to be made, or a change of one.
#[derive(Clone)]
pub struct EnvironmentWrite {
    /// Which one.
    pub id: EnvironmentId,
    /// Its definition from now on.
    pub definition: String,
    /// Its document from now on.
    pub document: DocumentChange,
    /// Whether its organization has to be one that was made here; else a file describes it.
    pub of_store: bool,
    /// Roles that are gone: no living key may hold one of them.
    pub roles_gone: Vec<String>,
    /// What the log says of it.
    pub entry: AuditEntry,
}

impl fmt::Debug for EnvironmentWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentWrite").field("id", &self.id).field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Which revision a change of an environment was judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// There was none of that name.
    Absent,
    /// It was at this revision.
    At(Revision),
}

/// Environments made through the control API.
#[async_trait]
pub trait EnvironmentStore: Send + Sync {
    /// All of them, ordered by organization and id, in batches: at most `limit` after `after`.
    async fn environments(
        &self,
        after: Option<&EnvironmentId>,
        limit: u32,
    ) -> Result<Vec<StoredEnvironment>, StoreError>;

    /// One of them, if it is there.
    async fn environment(&self, id: &EnvironmentId) -> Result<Option<StoredEnvironment>, StoreError>;

    /// The text of a document that an environment uses.
    async fn document(&self, digest: &str) -> Result<Option<DocumentText>, StoreError>;

    /// Makes an environment or changes one. A document that nobody uses any more goes. Errors, in this order:
    /// `OrganizationNotFound`, `RevisionMismatch` where it is not as it was judged, `RoleInUse`.
    async fn write_environment(
        &self,
        write: &EnvironmentWrite,
        judged: Judged,
        act: &Act,
    ) -> Result<StoredEnvironment, StoreError>;

    /// Removes an environment, and a document that nobody else uses. Keys that have ended stay for the log.
    /// Errors, in this order: `EnvironmentNotFound`, `RevisionMismatch` where `expected` is given, `EnvironmentInUse`
    /// where keys of it live at `act.at`.
    async fn remove_environment(
        &self,
        id: &EnvironmentId,
        expected: Option<Revision>,
        entry: &AuditEntry,
        act: &Act,
    ) -> Result<Revision, StoreError>;
}
