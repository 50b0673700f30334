//! Passwords: which ones are taken, and argon2id away from the threads that answer requests.
//!
//! A hash takes tens of milliseconds and 19 MiB on purpose. Two run at a time and a few may wait; whoever comes on top
//! of them is asked to come back, so that sign-ins cannot exhaust the node.

use super::ControlProblem;
use super::keys::draw;
use crate::model::Email;
use crate::store::PasswordHash;
use argon2::password_hash::Error as HashError;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// The shortest password, in characters.
pub(super) const MIN_CHARS: usize = 12;
/// The longest password, in characters.
pub(super) const MAX_CHARS: usize = 200;
/// Hashes at a time.
const AT_ONCE: usize = 2;
/// Hashes at a time, and those that wait.
const IN_LINE: usize = 34;
/// When to come back where too many wait, in seconds.
const COME_BACK: u64 = 2;
/// What a password is compared with where there is none, so that it takes as long. Nobody has a password of this hash.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBoYXNoIGF0IGFsbA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes passwords, a few at a time.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    line: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { line: Arc::new(Semaphore::new(IN_LINE)), running: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// What is wrong with a password that somebody chose for this address.
pub(super) fn judge(password: &str, email: Option<&Email>) -> Result<(), &'static str> {
    if !(MIN_CHARS..=MAX_CHARS).contains(&password.chars().count()) {
        return Err("a password has 12 to 200 characters");
    }
    if email.is_some_and(|email| email.folded() == password.trim().to_lowercase()) {
        return Err("the email address is no password");
    }
    Ok(())
}

impl Passwords {
    /// The hash of a new password. Errors: `RateLimited`, `Fault`.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<PasswordHash, ControlProblem> {
        let salt = draw::<16>()?;
        let hashed = self.run(move || Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)).await?;
        let hash = hashed.map_err(|error| fault("a password cannot be hashed", &error))?;
        Ok(PasswordHash::new(hash.to_string()))
    }

    /// Whether this is the password. Without a hash it is not, and that takes as long to find out.
    /// Errors: `RateLimited`, `Fault`.
    pub(super) async fn matches(
        &self,
        password: Zeroizing<String>,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, ControlProblem> {
        let (known, text) = (hash.is_some(), hash.map_or(NOBODYS, PasswordHash::as_str).to_owned());
        let verify = move || Argon2::default().verify_password(password.as_bytes(), text.as_str());
        match self.run(verify).await? {
            Ok(()) => Ok(known),
            Err(HashError::PasswordInvalid) => Ok(false),
            Err(error) => Err(fault("a password cannot be compared", &error)),
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ControlProblem> {
        let line = Arc::clone(&self.line).try_acquire_owned();
        let line = line.map_err(|_| ControlProblem::RateLimited { retry_after: COME_BACK })?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| ControlProblem::Fault)?;
        // The permits go with the work: a caller that hangs up does not make room for another hash.
        let done = tokio::task::spawn_blocking(move || work_with(work, [line, running])).await;
        done.map_err(|error| {
            tracing::error!("control: hashing did not end: {error}");
            ControlProblem::Fault
        })
    }
}

fn work_with<T>(work: impl FnOnce() -> T, permits: [OwnedSemaphorePermit; 2]) -> T {
    let done = work();
    drop(permits);
    done
}

fn fault(what: &str, error: &HashError) -> ControlProblem {
    tracing::error!("control: {what}: {error}");
    ControlProblem::Fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn passwords_are_long_and_not_the_address() {
        let email = Email::parse("Ada.Lovelace@acme.example").unwrap();
        for (password, sound) in [
            ("twelve chars", true),
            ("éééééééééééé", true),
            ("eleven char", false),
            ("", false),
            (&"x".repeat(200), true),
            (&"x".repeat(201), false),
            ("ada.lovelace@ACME.example", false),
            (" ada.lovelace@acme.example ", false),
        ] {
            assert_eq!(judge(password, Some(&email)).is_ok(), sound, "{password}");
        }
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_is_of_the_recommended_kind() {
        let passwords = Passwords::default();
        let hash = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert_eq!(format!("{hash:?}"), "PasswordHash(redacted)");
        assert!(passwords.matches(secret("correct horse battery"), Some(&hash)).await.unwrap());
        assert!(!passwords.matches(secret("correct horse batterz"), Some(&hash)).await.unwrap());
        assert_ne!(passwords.hash(secret("correct horse battery")).await.unwrap(), hash);
    }

    #[tokio::test]
    async fn nobody_has_the_password_of_nobody() {
        let passwords = Passwords::default();
        assert!(!passwords.matches(secret("correct horse battery"), None).await.unwrap());
        assert!(NOBODYS.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[tokio::test]
    async fn past_the_line_callers_are_sent_away_and_the_rest_is_served() {
        let passwords = Passwords::default();
        let held = Arc::clone(&passwords.line).try_acquire_many_owned(33).unwrap();
        assert!(passwords.run(|| ()).await.is_ok());
        let last = Arc::clone(&passwords.line).try_acquire_owned().unwrap();
        let refused = passwords.run(|| ()).await;
        assert!(matches!(refused, Err(ControlProblem::RateLimited { retry_after: 2 })), "{refused:?}");
        drop((held, last));
        assert!(passwords.run(|| ()).await.is_ok());
    }
}
