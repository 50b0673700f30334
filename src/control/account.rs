//! What people change about themselves.

use super::caller::{Asking, Caller};
use super::field::FieldErrors;
use super::{Control, ControlProblem, passwords};
use crate::model::{Email, MemberId, SecretDigest};
use crate::store::{NewPassword, PasswordHash};
use std::sync::Arc;
use zeroize::Zeroizing;

const IN_A_SESSION: ControlProblem =
    ControlProblem::NotAllowed("a password is changed by its owner, who has signed in with it");

impl Control {
    /// Changes the caller's own password, in the session whose token has this digest, which stays; every other session of the caller
    /// ends. The current password is looked at under the same throttle as sign-ins.
    /// Errors: `NotAllowed` (no session of a member), `Invalid` (`/current_password`, `/new_password`), `RateLimited`,
    /// `NotAuthenticated` (the session has ended), `Unavailable`, `Fault`.
    pub async fn change_password(
        &self,
        asking: &Asking,
        session: &SecretDigest,
        current: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> Result<(), ControlProblem> {
        let (id, email) = member(asking)?;
        let mut errors = FieldErrors::default();
        if let Err(message) = passwords::judge(&new, Some(&email)) {
            errors.add("/new_password", "password_invalid", message);
        } else if *new == *current {
            errors.add("/new_password", "password_invalid", "this is the current password");
        }
        errors.or(Some(()))?;
        let known = self.compare_own(asking, &email, current).await?;
        let password = self.passwords.hash(new).await?;
        let new = NewPassword { person: id, known, password, session: *session };
        // In a task of its own: whoever hangs up does not undo what the store has begun.
        let (store, act) = (Arc::clone(&self.store), asking.act.clone());
        let changing = tokio::spawn(async move { store.change_password(&new, &act).await });
        Ok(changing.await.map_err(|_| ControlProblem::Fault)??)
    }

    /// The hash of the current password, if this is it.
    async fn compare_own(
        &self,
        asking: &Asking,
        email: &Email,
        password: Zeroizing<String>,
    ) -> Result<PasswordHash, ControlProblem> {
        let compared = self.attempt(&asking.act, email, self.is_password(email, password)).await?;
        compared.ok_or_else(|| {
            let mut errors = FieldErrors::default();
            errors.add("/current_password", "password_wrong", "this is not your current password");
            errors.into()
        })
    }

    async fn is_password(
        &self,
        email: &Email,
        password: Zeroizing<String>,
    ) -> Result<Option<PasswordHash>, ControlProblem> {
        let known = self.store.person_by_email(email).await?.and_then(|(_, hash)| hash);
        let genuine = self.passwords.matches(password, known.as_ref()).await?;
        Ok(known.filter(|_| genuine))
    }
}

/// Who asks, where it is a member in a session of their own.
fn member(asking: &Asking) -> Result<(MemberId, Email), ControlProblem> {
    match &asking.caller {
        Caller::Member(member) if member.until.is_none() => {
            let email = Email::parse(&member.email).map_err(|_| ControlProblem::Fault)?;
            Ok((member.id.clone(), email))
        }
        Caller::Key(_) | Caller::Member(_) | Caller::Operator => Err(IN_A_SESSION),
    }
}
