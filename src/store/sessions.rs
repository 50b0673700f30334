//! What lets people in: sessions, and tokens for scripts as they are shown. Only digests are kept.
//!
//! What ends, ends in the transaction that ends it: nothing here is cached, every request asks.

use super::{PasswordHash, Person, StoreError};
use crate::model::{Act, MemberId, MemberTokenId, SecretDigest, Timestamp};
use async_trait::async_trait;

/// How long a session lives without being used, in seconds.
pub const SESSION_IDLE_SECONDS: i64 = 30 * 60;
/// Use is noted once in so many seconds, not at every request.
pub const USE_NOTED_SECONDS: i64 = 60;
/// The most sessions of one person at a time: one more ends the one that was unused for longest.
pub const MAX_SESSIONS: u32 = 20;
/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its token's digest.
    pub digest: SecretDigest,
    /// The first second at which it has ended, however busy it is.
    pub ends_at: Timestamp,
    /// What was proven.
    pub proof: SessionProof,
    /// The digest of bytes that nobody keeps: what the bootstrap token's becomes when an owner signs in.
    pub spent: SecretDigest,
}

/// What opens a session. It is looked at again in the transaction.
#[derive(Clone, Debug)]
pub enum SessionProof {
    /// The bootstrap token with this digest.
    Bootstrap(SecretDigest),
    /// An invitation with this digest; the person has this password from now on.
    Invitation {
        /// Which invitation.
        digest: SecretDigest,
        /// The new password.
        password: PasswordHash,
    },
    /// A password that was compared with this hash.
    Password {
        /// Whose.
        person: MemberId,
        /// With what it was compared.
        hash: PasswordHash,
    },
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct OpenedSession {
    /// Who signed in; `None` is the operator.
    pub person: Option<Person>,
    /// Whether this ended the bootstrap token.
    pub bootstrap_ended: bool,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose; `None` is the operator's.
    pub person: Option<Person>,
    /// When it was last used, as far as that was noted.
    pub last_seen_at: Timestamp,
    /// The first second at which it has ended, however busy it is.
    pub ends_at: Timestamp,
}

/// A live token's member: the person, with the one organization of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHolder {
    /// Which token.
    pub token: MemberTokenId,
    /// Who, with the role in the token's organization alone.
    pub person: Person,
    /// The first second at which the token counts no more.
    pub expires_at: Timestamp,
    /// When it was last used, as far as that was noted.
    pub last_used_at: Option<Timestamp>,
}

/// A password in place of another one, by somebody who knew that.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// Whose.
    pub person: MemberId,
    /// What the known one was compared with.
    pub known: PasswordHash,
    /// The new one.
    pub password: PasswordHash,
    /// The session in which they do it, which stays.
    pub session: SecretDigest,
}

/// Sessions, and who shows a token.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Whom a live invitation invites.
    async fn invited(&self, invitation: &SecretDigest, now: Timestamp) -> Result<Option<Person>, StoreError>;

    /// Opens a session; its person's sign-in is noted. An invitation is used up, and ends the person's other sessions;
    /// where it replaces a password it ends their tokens as well. An owner's sign-in ends the bootstrap token and every
    /// session by it. Past [`MAX_SESSIONS`] the person's oldest ends. Each organization's log tells of its member; the
    /// node's tells of operators. Errors: `CredentialEnded` (what was proven counts no more).
    async fn open_session(&self, new: &NewSession, act: &Act) -> Result<OpenedSession, StoreError>;

    /// A session that is live at `now`.
    async fn session(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<Session>, StoreError>;

    /// Ends a session. Errors: `CredentialEnded` where it is not live at `act.at`.
    async fn end_session(&self, digest: &SecretDigest, act: &Act) -> Result<(), StoreError>;

    /// Changes a password. Every other session of the person ends. Told in the log of each of their organizations.
    /// Errors: `CredentialEnded` where the session is not live and theirs, or the known password is theirs no more.
    async fn change_password(&self, new: &NewPassword, act: &Act) -> Result<(), StoreError>;

    /// Whose token this is, where it is live at `now`.
    async fn token_holder(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<TokenHolder>, StoreError>;

    /// Notes that a session or a token is in use. No revision, no row in the log; never moves a time back.
    async fn note_use(&self, digest: &SecretDigest, now: Timestamp) -> Result<(), StoreError>;
}
