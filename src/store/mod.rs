//! The store: whatever must survive `kill -9`, kept so that an acknowledged change does.
//!
//! [`Store`] is the whole contract, a trait a subject; `tests/it/store.rs` is its conformance suite, which every
//! implementation passes. Each change takes the next [`Revision`], stamps the object with it, appends to the feed and
//! to the audit log, all in one transaction. SQL stays in this room. What it leaves to others: deciding what a change
//! may be (`control`), and showing it to the request path (`tables`).

mod audit;
mod environments;
mod keys;
mod node;
mod organizations;
mod people;
mod sessions;
mod sqlite;
mod usage;

pub use audit::{AuditFilter, AuditPage, AuditStore, Noted};
pub use environments::{DocumentChange, DocumentText, EnvironmentStore, EnvironmentWrite, Judged, StoredEnvironment};
pub use keys::{
    Beyond, CountedAt, Holders, KeyCounts, KeyEdit, KeyFilter, KeyPage, KeyPlace, KeySort, KeyStore, NewKey, Page,
    RoleHolders, Rotation, SortValue,
};
pub use node::{NodeStore, RevokedToken, StoredSigningKey};
pub use organizations::{Exceeding, OrganizationChange, OrganizationStore, StoredOrganization};
pub use people::{
    MAX_MEMBER_TOKENS, Member, MemberEdit, MemberPage, MemberToken, NewInvitation, NewMember, NewMemberToken,
    PasswordHash, PeopleStore, Person,
};
pub use sessions::{
    MAX_SESSIONS, NewPassword, NewSession, OpenedSession, SESSION_IDLE_SECONDS, Session, SessionProof, SessionStore,
    TokenHolder, USE_NOTED_SECONDS,
};
pub use sqlite::{CopyProgress, SqliteStore, StoreFile, backup, restore};
pub use usage::{HOUR_SECONDS, HOURS_KEPT_SECONDS, HourUse, KeyUse, OperationUse, TrafficHour, UsageStore, hour_of};

use crate::model::{Act, ClientId, EnvironmentId, Identifier, MemberId, Revision};
use async_trait::async_trait;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The same request was done before, under the same idempotency key.
    #[error("this was done before")]
    AlreadyDone {
        /// The id of the object it was about.
        target: String,
    },
    /// The store holds something that is not what was once written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// An invitation, session, password or token that counts no more, or never did.
    #[error("what was proven counts no more")]
    CredentialEnded,
    /// A member of the organization has the address, ignoring case.
    #[error("a member of this organization already has that address")]
    EmailTaken,
    /// The environment is not as it was read; judge again.
    #[error("the environment has changed")]
    EnvironmentChanged,
    /// Living keys work in the environment.
    #[error("{keys} living keys work in it")]
    EnvironmentInUse {
        /// How many.
        keys: u64,
    },
    /// There is no such environment, or none that was made here.
    #[error("no such environment")]
    EnvironmentNotFound,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// There is no such key in that environment.
    #[error("no such key")]
    KeyNotFound,
    /// The organization would be left without an owner.
    #[error("the last owner stays")]
    LastOwner,
    /// There is no such member in that organization.
    #[error("no such member")]
    MemberNotFound,
    /// The member has no such token.
    #[error("no such token")]
    MemberTokenNotFound,
    /// Another live key of the environment has the name, ignoring case.
    #[error("a live key of this environment already has that name")]
    NameTaken,
    /// The store cannot be opened; the reason says what to do about it.
    #[error("cannot open the store `{place}`: {reason}")]
    Open {
        /// Where it is: a file or an address, without credentials.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// There is no such organization, or none that was made here.
    #[error("no such organization")]
    OrganizationNotFound,
    /// The organization's policies have changed since they were read; judge again.
    #[error("the organization's policies have changed")]
    PoliciesChanged,
    /// The object has changed since the revision the caller named.
    #[error("it has changed since: it is at revision {}", current.0)]
    RevisionMismatch {
        /// What it is at now.
        current: Revision,
    },
    /// The key is revoked; revocation is final.
    #[error("the key is revoked")]
    Revoked,
    /// Living keys hold the role.
    #[error("{keys} living keys hold the role `{role}`")]
    RoleInUse {
        /// The role's name.
        role: String,
        /// How many.
        keys: u64,
    },
    /// The member has as many tokens as one may have.
    #[error("a member has at most {MAX_MEMBER_TOKENS} tokens")]
    TooManyTokens,
    /// The store cannot be read or written; nothing was changed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// One entry of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub revision: Revision,
    /// What changed.
    pub subject: Subject,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An access token was revoked; its id.
    AccessToken(String),
    /// A key was made, edited, rotated or revoked.
    ApiKey(ClientId),
    /// An environment was made, changed or removed.
    Environment(EnvironmentId),
    /// A member was added, changed or removed.
    Member(MemberId),
    /// An organization was made, or its policies changed.
    Organization(Identifier),
    /// Something that this version does not know.
    Other,
    /// The set of signing keys changed.
    SigningKeys,
}

/// The change feed.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The number of the last change; 0 before the first.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Changes after `since`, oldest first, at most `limit`.
    async fn changes(&self, since: Revision, limit: u32) -> Result<Vec<Change>, StoreError>;

    /// Whether the act was done before, for those who must know before they judge it; changes look again.
    /// Errors: `AlreadyDone`, `IdempotencyKeyReused`.
    async fn look_back(&self, act: &Act) -> Result<(), StoreError>;
}

/// What every store does, with one behaviour. An `Ok` of a change means it is on disk.
pub trait Store:
    AuditStore
    + EnvironmentStore
    + Feed
    + KeyStore
    + NodeStore
    + OrganizationStore
    + PeopleStore
    + SessionStore
    + UsageStore
{
}

impl<S> Store for S where
    S: AuditStore
        + EnvironmentStore
        + Feed
        + KeyStore
        + NodeStore
        + OrganizationStore
        + PeopleStore
        + SessionStore
        + UsageStore
{
}
