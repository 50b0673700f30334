//! Why something was not shown or changed, for every face of the control plane alike.

use super::field::FieldErrors;
use crate::model::Revision;
use crate::store::{MAX_MEMBER_TOKENS, StoreError};
use std::borrow::Cow;

/// Why something was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlProblem {
    /// The same request was done before; the id of what it was about.
    #[error("this was done before")]
    AlreadyDone(String),
    /// Another environment has the base URL; which, and where it is set.
    #[error("{0}")]
    BaseUrlTaken(String),
    /// As much of the kind goes on as may at the same time.
    #[error("too much of this kind goes on already; nothing was changed: try again in a moment")]
    Busy,
    /// The listing does not hold the place to go on from.
    #[error("the cursor does not belong to this listing")]
    CursorUnknown,
    /// A member of the organization has the address, or somebody has it whom the caller may not add.
    #[error("{0}")]
    EmailTaken(Cow<'static, str>),
    /// Living keys work in the environment.
    #[error("{} in this environment; revoke them first", living(*keys))]
    EnvironmentInUse {
        /// How many.
        keys: u64,
    },
    /// Something of ours does not work; the log says what.
    #[error("internal error")]
    Fault,
    /// The idempotency key was used for another request.
    #[error("this `Idempotency-Key` was used for another request; choose a new one")]
    IdempotencyKeyReused,
    /// Fields are wrong.
    #[error("some fields are not valid")]
    Invalid(FieldErrors),
    /// The organization would be left without an owner.
    #[error("an organization keeps at least one owner; make somebody else an owner first")]
    LastOwner,
    /// Somebody reads much of this audit log already.
    #[error("this audit log is being searched, exported or verified already; try again in {retry_after} seconds")]
    LogBusy {
        /// In how many seconds to try again, at least 1.
        retry_after: u64,
    },
    /// A tenant file sets it: it changes there.
    #[error("a tenant file sets this, and it changes only there")]
    ManagedByFile,
    /// Another live key of the environment has the name, ignoring case.
    #[error("a live key of this environment already has that name")]
    NameTaken,
    /// The caller may see that it is there, but not do this.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// What was shown proves nothing, or no longer.
    #[error("{0}")]
    NotAuthenticated(&'static str),
    /// No such environment, or no such object in it.
    #[error("there is nothing of that name")]
    NotFound,
    /// The member has a password, which a new invitation would take away.
    #[error("this member has a password; a node's operator can invite them to set another one")]
    PasswordSet,
    /// The preset is one of those that every environment has.
    #[error("this preset is built in; setting one of the same name puts that in its place")]
    PresetBuiltIn,
    /// Too many attempts.
    #[error("too many attempts; try again in {retry_after} seconds")]
    RateLimited {
        /// In how many seconds to try again, at least 1.
        retry_after: u64,
    },
    /// It has changed since the caller looked.
    #[error("it has changed since: it is at revision {}", current.0)]
    RevisionMismatch {
        /// What it is at now.
        current: Revision,
    },
    /// Living keys hold the role.
    #[error("{} and hold the role `{role}`; revoke them first, or keep it", living(*keys))]
    RoleInUse {
        /// The role.
        role: String,
        /// How many.
        keys: u64,
    },
    /// The key is revoked, which is final.
    #[error("the key is revoked, which is final")]
    Revoked,
    /// The member has as many tokens as one may have.
    #[error("a member has at most {MAX_MEMBER_TOKENS} tokens in an organization; end one first")]
    TooManyTokens,
    /// The store cannot be reached, or is asked by too many at once.
    #[error("the store does not answer; nothing was changed")]
    Unavailable,
}

fn living(keys: u64) -> String {
    if keys == 1 { "1 living key works".to_owned() } else { format!("{keys} living keys work") }
}

impl From<StoreError> for ControlProblem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::AlreadyDone { target } => Self::AlreadyDone(target),
            StoreError::CredentialEnded => Self::NotAuthenticated("what was shown counts no more"),
            StoreError::EmailTaken => {
                Self::EmailTaken(Cow::Borrowed("a member of this organization already has that address"))
            }
            StoreError::EnvironmentInUse { keys } => Self::EnvironmentInUse { keys },
            StoreError::IdempotencyKeyReused => Self::IdempotencyKeyReused,
            StoreError::EnvironmentNotFound
            | StoreError::KeyNotFound
            | StoreError::MemberNotFound
            | StoreError::MemberTokenNotFound
            | StoreError::OrganizationNotFound => Self::NotFound,
            StoreError::LastOwner => Self::LastOwner,
            StoreError::NameTaken => Self::NameTaken,
            StoreError::Revoked => Self::Revoked,
            StoreError::RoleInUse { role, keys } => Self::RoleInUse { role, keys },
            StoreError::RevisionMismatch { current } => Self::RevisionMismatch { current },
            StoreError::TooManyTokens => Self::TooManyTokens,
            // Judged anew and still overtaken: the caller can try again.
            StoreError::EnvironmentChanged | StoreError::PoliciesChanged => Self::Unavailable,
            StoreError::Open { .. } | StoreError::Unavailable(_) => {
                tracing::warn!("control: {error}");
                Self::Unavailable
            }
            StoreError::Corrupt(_) => {
                tracing::error!("control: {error}");
                Self::Fault
            }
        }
    }
}

impl From<FieldErrors> for ControlProblem {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}
