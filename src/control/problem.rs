//! Why something was not shown or changed, for every face of the control plane alike.

use super::field::FieldErrors;
use crate::model::Revision;
use crate::store::StoreError;

/// Why something was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlProblem {
    /// The same request was done before; the id of what it was about.
    #[error("this was done before")]
    AlreadyDone(String),
    /// The listing does not hold the place to go on from.
    #[error("the cursor does not belong to this listing")]
    CursorUnknown,
    /// Something of ours does not work; the log says what.
    #[error("internal error")]
    Fault,
    /// The idempotency key was used for another request.
    #[error("this `Idempotency-Key` was used for another request; choose a new one")]
    IdempotencyKeyReused,
    /// Fields are wrong.
    #[error("some fields are not valid")]
    Invalid(FieldErrors),
    /// A tenant file sets it: it changes there.
    #[error("a tenant file sets this, and it changes only there")]
    ManagedByFile,
    /// Another live key of the environment has the name, ignoring case.
    #[error("a live key of this environment already has that name")]
    NameTaken,
    /// The caller may see that it is there, but not do this.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// No such environment, or no such object in it.
    #[error("there is nothing of that name")]
    NotFound,
    /// It has changed since the caller looked.
    #[error("it has changed since: it is at revision {}", current.0)]
    RevisionMismatch {
        /// What it is at now.
        current: Revision,
    },
    /// The key is revoked, which is final.
    #[error("the key is revoked, which is final")]
    Revoked,
    /// The store cannot be reached, or is asked by too many at once.
    #[error("the store does not answer; nothing was changed")]
    Unavailable,
}

impl From<StoreError> for ControlProblem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::AlreadyDone { target } => Self::AlreadyDone(target),
            StoreError::IdempotencyKeyReused => Self::IdempotencyKeyReused,
            StoreError::KeyNotFound => Self::NotFound,
            StoreError::NameTaken => Self::NameTaken,
            StoreError::Revoked => Self::Revoked,
            StoreError::RevisionMismatch { current } => Self::RevisionMismatch { current },
            // Judged anew and still overtaken: the caller can try again.
            StoreError::PoliciesChanged => Self::Unavailable,
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
