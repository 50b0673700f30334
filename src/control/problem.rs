//! Why a key was not shown or changed, for every face of the control plane alike.

use super::field::FieldErrors;
use crate::model::Revision;
use crate::store::StoreError;

/// Why something about keys was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    /// The listing does not hold the place to go on from.
    #[error("the cursor does not belong to this listing")]
    CursorUnknown,
    /// Something of ours does not work; the log says what.
    #[error("internal error")]
    Fault,
    /// Fields are wrong.
    #[error("some fields are not valid")]
    Invalid(FieldErrors),
    /// A tenant file declares the key: it changes there.
    #[error("the key is declared in a tenant file and changes only there")]
    ManagedByFile,
    /// Another live key of the environment has the name, ignoring case.
    #[error("a live key of this environment already has that name")]
    NameTaken,
    /// No such environment, or no such key in it.
    #[error("there is nothing of that name")]
    NotFound,
    /// The key has changed since the caller looked.
    #[error("the key has changed since: it is at revision {}", current.0)]
    RevisionMismatch {
        /// What it is at now.
        current: Revision,
    },
    /// The key is revoked, which is final.
    #[error("the key is revoked, which is final")]
    Revoked,
    /// The store cannot be reached.
    #[error("the store does not answer; nothing was changed")]
    Unavailable,
}

impl From<StoreError> for KeyProblem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyNotFound => Self::NotFound,
            StoreError::NameTaken => Self::NameTaken,
            StoreError::Revoked => Self::Revoked,
            StoreError::RevisionMismatch { current } => Self::RevisionMismatch { current },
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

impl From<FieldErrors> for KeyProblem {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}
