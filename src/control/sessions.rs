//! Signing in and out. What is shown proves somebody; what is handed back is a session's token, known here only once.
//!
//! An email that nobody has and a wrong password take the same time and get the same answer.

use super::caller::Asking;
use super::field::FieldErrors;
use super::keys::draw;
use super::{Control, ControlProblem, bootstrap, passwords};
use crate::model::{Act, Actor, Email, OpaqueToken, SecretDigest, Timestamp, TokenKind};
use crate::store::{NewSession, OpenedSession, Person, SessionProof};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The longest session, in seconds.
const SESSION_SECONDS: i64 = 12 * 3600;

const WRONG_PASSWORD: ControlProblem =
    ControlProblem::NotAuthenticated("nobody has this email address and this password");
const WRONG_INVITATION: ControlProblem =
    ControlProblem::NotAuthenticated("this invitation does not count; it was used or replaced, or is too old");
const WRONG_TOKEN: ControlProblem =
    ControlProblem::NotAuthenticated("this is not the bootstrap token, or it has ended");

/// What somebody shows to sign in: email and password, invitation and new password, or the bootstrap token.
#[derive(Debug, Default)]
pub struct SignInDraft {
    /// The email address.
    pub email: Option<String>,
    /// An invitation.
    pub invitation: Option<Zeroizing<String>>,
    /// The password; with an invitation, the one to set.
    pub password: Option<Zeroizing<String>>,
    /// The bootstrap token.
    pub token: Option<Zeroizing<String>>,
}

/// A session that was opened.
#[derive(Debug)]
pub struct SignedIn {
    /// For the one who asked, once.
    pub token: OpaqueToken,
    /// The first second at which it has ended, however busy it is.
    pub expires_at: Timestamp,
    /// Who signed in; `None` is the operator.
    pub person: Option<Person>,
}

/// What was shown, if it is whole.
enum Shown {
    Bootstrap(Zeroizing<String>),
    Invitation(Zeroizing<String>, Zeroizing<String>),
    Password(Email, Zeroizing<String>),
}

impl Control {
    /// Opens a session. `act` says from where; who it is comes out of what is shown. `found` is what reading the draft
    /// found wrong already. Errors: `NotAuthenticated`, `RateLimited`, `Invalid`, `Unavailable`, `Fault`.
    pub async fn sign_in(&self, act: &Act, draft: SignInDraft, found: FieldErrors) -> Result<SignedIn, ControlProblem> {
        match judge(draft, found)? {
            Shown::Bootstrap(token) => self.by_bootstrap_token(act, &token).await,
            Shown::Invitation(token, password) => self.by_invitation(act, &token, password).await,
            Shown::Password(email, password) => self.by_password(act, &email, password).await,
        }
    }

    /// Ends the session of this token. Errors: `NotFound` where it is no session's, `NotAuthenticated`, `Unavailable`.
    pub async fn sign_out(&self, asking: &Asking, token: &str) -> Result<(), ControlProblem> {
        if TokenKind::of(token) != Some(TokenKind::Session) {
            return Err(ControlProblem::NotFound);
        }
        self.end_session(asking, &SecretDigest::of(token.as_bytes())).await
    }

    /// Ends the session whose token has this digest. Errors: `NotAuthenticated`, `Unavailable`.
    pub(super) async fn end_session(&self, asking: &Asking, digest: &SecretDigest) -> Result<(), ControlProblem> {
        Ok(self.store.end_session(digest, &asking.act).await?)
    }

    async fn by_password(
        &self,
        act: &Act,
        email: &Email,
        password: Zeroizing<String>,
    ) -> Result<SignedIn, ControlProblem> {
        let compared = async {
            match self.compared(act, email, password).await {
                Err(ControlProblem::NotAuthenticated(_)) => Ok(None),
                compared => compared.map(Some),
            }
        };
        self.attempt(act, email, compared).await?.ok_or(WRONG_PASSWORD)
    }

    /// Compares a password, if the address may have another one tried, and counts what comes of it: `None` is a wrong one.
    pub(super) async fn attempt<T>(
        &self,
        act: &Act,
        email: &Email,
        compared: impl Future<Output = Result<Option<T>, ControlProblem>>,
    ) -> Result<Option<T>, ControlProblem> {
        let (folded, address) = (email.folded(), act.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let admitted = self.sign_ins.lock().attempt(&folded, address, act.at);
        admitted.map_err(|seconds| ControlProblem::RateLimited { retry_after: seconds.into() })?;
        let compared = compared.await;
        match &compared {
            Ok(Some(_)) => self.sign_ins.lock().succeeded(&folded, address),
            Ok(None) => {}
            // Nothing was found out about the password.
            Err(_) => self.sign_ins.lock().withdrawn(&folded, address),
        }
        compared
    }

    /// Errors: `NotAuthenticated` where this is not the password, and all that says nothing about it.
    async fn compared(
        &self,
        act: &Act,
        email: &Email,
        password: Zeroizing<String>,
    ) -> Result<SignedIn, ControlProblem> {
        let known = self.store.person_by_email(email).await?;
        let hash = known.as_ref().and_then(|(_, hash)| hash.as_ref());
        let genuine = self.passwords.matches(password, hash).await?;
        let (Some((person, Some(hash))), true) = (known, genuine) else { return Err(WRONG_PASSWORD) };
        let proof = SessionProof::Password { person: person.id.clone(), hash };
        self.open(act, actor(&person), proof).await.map_err(|problem| instead(problem, WRONG_PASSWORD))
    }

    async fn by_invitation(
        &self,
        act: &Act,
        token: &str,
        password: Zeroizing<String>,
    ) -> Result<SignedIn, ControlProblem> {
        if TokenKind::of(token) != Some(TokenKind::Invitation) {
            return Err(WRONG_INVITATION);
        }
        let digest = SecretDigest::of(token.as_bytes());
        let person = self.store.invited(&digest, act.at).await?.ok_or(WRONG_INVITATION)?;
        if let Err(message) = passwords::judge(&password, Some(&person.email)) {
            let mut errors = FieldErrors::default();
            errors.add("/password", "password_invalid", message);
            return Err(errors.into());
        }
        let proof = SessionProof::Invitation { digest, password: self.passwords.hash(password).await? };
        self.open(act, actor(&person), proof).await.map_err(|problem| instead(problem, WRONG_INVITATION))
    }

    async fn by_bootstrap_token(&self, act: &Act, token: &str) -> Result<SignedIn, ControlProblem> {
        if TokenKind::of(token) != Some(TokenKind::Operator) {
            return Err(WRONG_TOKEN);
        }
        // Read first: whoever guesses keeps no change waiting for it.
        let known = self.store.bootstrap_digest().await?;
        if !known.is_some_and(|known| known.matches(token.as_bytes())) {
            return Err(WRONG_TOKEN);
        }
        let proof = SessionProof::Bootstrap(SecretDigest::of(token.as_bytes()));
        self.open(act, Actor::Operator, proof).await.map_err(|problem| instead(problem, WRONG_TOKEN))
    }

    /// The change and what follows from it run in a task of their own: a caller that goes away cannot cut them apart.
    async fn open(&self, act: &Act, actor: Actor, proof: SessionProof) -> Result<SignedIn, ControlProblem> {
        let token = OpaqueToken::from_entropy(TokenKind::Session, draw()?);
        let expires_at = act.at.plus_seconds(SESSION_SECONDS);
        let spent = SecretDigest::of(&draw::<32>()?);
        let new = NewSession { digest: token.digest(), ends_at: expires_at, proof, spent };
        let (store, act) = (Arc::clone(&self.store), Act { actor, ..act.clone() });
        let (last_operator, file) = (Arc::clone(&self.last_operator), self.bootstrap_file.clone());
        let task = tokio::spawn(async move {
            let opened = store.open_session(&new, &act).await?;
            if opened.bootstrap_ended {
                *last_operator.lock() = None;
                tracing::info!("control: an owner has signed in; the bootstrap token has ended");
                if let Err(error) = bootstrap::remove(&file) {
                    let file = file.display();
                    tracing::warn!("control: the bootstrap token has ended, but `{file}` cannot be removed: {error}");
                }
            }
            Ok::<OpenedSession, ControlProblem>(opened)
        });
        let opened = task.await.map_err(|error| {
            tracing::error!("control: a sign-in did not end: {error}");
            ControlProblem::Fault
        })??;
        Ok(SignedIn { token, expires_at, person: opened.person })
    }
}

impl SignedIn {
    /// Whether an operator signed in.
    pub fn is_operator(&self) -> bool {
        self.person.as_ref().is_none_or(|person| person.operator)
    }
}

fn actor(person: &Person) -> Actor {
    Actor::Member { id: person.id.clone(), email: person.email.to_string() }
}

/// What counted a moment ago and counts no more gets the answer of what never counted.
fn instead(problem: ControlProblem, wrong: ControlProblem) -> ControlProblem {
    if matches!(problem, ControlProblem::NotAuthenticated(_)) { wrong } else { problem }
}

fn judge(draft: SignInDraft, mut errors: FieldErrors) -> Result<Shown, ControlProblem> {
    let SignInDraft { email, invitation, password, token } = draft;
    let needs_password = token.is_none();
    let shown = match (email, invitation, token, password) {
        (Some(email), None, None, Some(password)) => {
            judge_email(&email, &mut errors).map(|email| Shown::Password(email, password))
        }
        (None, Some(invitation), None, Some(password)) => Some(Shown::Invitation(invitation, password)),
        (None, None, Some(token), None) => Some(Shown::Bootstrap(token)),
        (Some(_), None, None, None) | (None, Some(_), None, None) if needs_password => {
            errors.add("/password", "password_required", "this needs a password");
            None
        }
        _ => {
            let message = "this takes `email` and `password`, or `invitation` and `password`, or `token` alone";
            errors.add("", "credential_unclear", message);
            None
        }
    };
    Ok(errors.or(shown)?)
}

pub(super) fn judge_email(text: &str, errors: &mut FieldErrors) -> Option<Email> {
    Email::parse(text).map_err(|error| errors.add("/email", "email_invalid", error.to_string())).ok()
}
