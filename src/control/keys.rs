//! Making, showing, rotating and revoking keys, the same for every face of the control plane.
//!
//! A change and its way into the tables run in a task of their own: a caller that goes away cannot cut them apart.

use super::Control;
use super::draft::{KeyDraft, RotationDraft, Rules, SoundKey};
use super::field::FieldErrors;
use super::problem::KeyProblem;
use crate::model::{ApiKey, ClientId, ClientSecret, EnvironmentId, Revision, Timestamp};
use crate::store::{NewKey, Rotation, StoreError};
use crate::tables::Snapshot;
use std::sync::Arc;

/// A key and its secret, which exists here and nowhere else.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key as it is kept.
    pub key: ApiKey,
    /// For the one who asked, once.
    pub secret: ClientSecret,
}

impl Control {
    /// Makes a key. `found` is what reading the draft found wrong already; the answer tells it together with the rest.
    /// Errors: `NotFound`, `Invalid`, `NameTaken`, `Unavailable`, `Fault`.
    pub async fn create_key(
        &self,
        environment: &EnvironmentId,
        draft: KeyDraft,
        found: FieldErrors,
        caller: &str,
    ) -> Result<IssuedKey, KeyProblem> {
        let now = self.now();
        let sound = self.with_rules(environment, now, |rules| rules.judge_key(draft, found))??;
        self.refuse_declared_name(environment, &sound)?;
        let secret = draw_secret()?;
        let key = NewKey {
            client_id: ClientId::from_entropy(draw()?),
            environment: environment.clone(),
            name: sound.name,
            description: sound.description,
            kind: sound.kind,
            allowlist: sound.allowlist,
            secret_digest: secret.digest(),
            secret_last_four: secret.last_four().to_owned(),
            expires_at: sound.expires_at,
            created_by: caller.to_owned(),
            created_at: now,
        };
        let store = Arc::clone(&self.store);
        let key = self.settle(async move { store.create_key(&key).await }).await?;
        Ok(IssuedKey { key, secret })
    }

    /// Gives a key a new secret and a new expiry; the old secret and its tokens are dead when this returns.
    /// `expected` is the revision the caller knows. Errors: `NotFound`, `ManagedByFile`, `Revoked`, `Invalid`,
    /// `RevisionMismatch`, `Unavailable`, `Fault`, looked for in this order.
    pub async fn rotate_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        draft: RotationDraft,
        found: FieldErrors,
        expected: Option<Revision>,
    ) -> Result<IssuedKey, KeyProblem> {
        self.refuse_declared(environment, id)?;
        if self.store.key(environment, id).await?.revoked_at.is_some() {
            return Err(KeyProblem::Revoked);
        }
        let now = self.now();
        let sound = self.with_rules(environment, now, |rules| rules.judge_rotation(draft, found))??;
        let secret = draw_secret()?;
        let rotation = Rotation {
            secret_digest: secret.digest(),
            secret_last_four: secret.last_four().to_owned(),
            expires_at: sound.expires_at,
            allowlist: sound.allowlist,
            rotated_at: now,
        };
        let (store, environment, id) = (Arc::clone(&self.store), environment.clone(), id.clone());
        let key = self.settle(async move { store.rotate_key(&environment, &id, &rotation, expected).await }).await?;
        Ok(IssuedKey { key, secret })
    }

    /// Ends a key for good; again is no error. Errors: `NotFound`, `ManagedByFile`, `RevisionMismatch`,
    /// `Unavailable`, `Fault`.
    pub async fn revoke_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        expected: Option<Revision>,
    ) -> Result<ApiKey, KeyProblem> {
        self.refuse_declared(environment, id)?;
        let (store, environment, id) = (Arc::clone(&self.store), environment.clone(), id.clone());
        let now = self.now();
        self.settle(async move { store.revoke_key(&environment, &id, now, expected).await }).await
    }

    /// One key, of a file or of the store. Errors: `NotFound`, `Unavailable`, `Fault`.
    pub async fn show_key(&self, environment: &EnvironmentId, id: &ClientId) -> Result<ApiKey, KeyProblem> {
        let declared =
            self.with_environment(environment, |snapshot| snapshot.declared_key(environment, id).cloned())?;
        match declared {
            Some(key) => Ok(key),
            None => Ok(self.store.key(environment, id).await?),
        }
    }

    /// Asks something of the snapshot where the environment is configured.
    pub(super) fn with_environment<R>(
        &self,
        environment: &EnvironmentId,
        ask: impl FnOnce(&Snapshot) -> R,
    ) -> Result<R, KeyProblem> {
        let snapshot = self.tables.load();
        snapshot.environment(environment).ok_or(KeyProblem::NotFound)?;
        Ok(ask(&snapshot))
    }

    fn with_rules<R>(
        &self,
        environment: &EnvironmentId,
        now: Timestamp,
        judge: impl FnOnce(&Rules<'_>) -> R,
    ) -> Result<R, KeyProblem> {
        let snapshot = self.tables.load();
        let table = snapshot.environment(environment).ok_or(KeyProblem::NotFound)?;
        let organization = snapshot.organizations().iter().find(|known| known.id == environment.organization);
        let organization = organization.ok_or(KeyProblem::NotFound)?;
        Ok(judge(&Rules { organization, environment: table, now }))
    }

    fn refuse_declared(&self, environment: &EnvironmentId, id: &ClientId) -> Result<(), KeyProblem> {
        let declared = self.with_environment(environment, |snapshot| snapshot.declared_key(environment, id).is_some());
        if declared? { Err(KeyProblem::ManagedByFile) } else { Ok(()) }
    }

    /// The store knows nothing of the names in files.
    fn refuse_declared_name(&self, environment: &EnvironmentId, sound: &SoundKey) -> Result<(), KeyProblem> {
        let name = sound.name.folded();
        let taken = self.with_environment(environment, |snapshot| {
            snapshot.declared_keys(environment).any(|key| key.name.folded() == name)
        });
        if taken? { Err(KeyProblem::NameTaken) } else { Ok(()) }
    }

    /// Does a change and shows it to the request path, whether or not anybody still waits.
    async fn settle(
        &self,
        change: impl Future<Output = Result<ApiKey, StoreError>> + Send + 'static,
    ) -> Result<ApiKey, KeyProblem> {
        let tables = Arc::clone(&self.tables);
        let task = tokio::spawn(async move {
            let key = change.await?;
            tables.apply(&key);
            Ok::<_, StoreError>(key)
        });
        let settled = task.await.map_err(|error| {
            tracing::error!("control: a change did not end: {error}");
            KeyProblem::Fault
        })?;
        Ok(settled?)
    }
}

fn draw_secret() -> Result<ClientSecret, KeyProblem> {
    Ok(ClientSecret::from_entropy(draw()?))
}

/// Bytes that nobody can guess.
pub(super) fn draw<const N: usize>() -> Result<[u8; N], KeyProblem> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        tracing::error!("control: the system gives no random bytes");
        KeyProblem::Fault
    })?;
    Ok(bytes)
}
