//! Making, showing, editing, rotating and revoking keys, the same for every face of the control plane.
//!
//! A change and its way into the tables run in a task of their own: a caller that goes away cannot cut them apart.

use super::Control;
use super::caller::{Asking, Right};
use super::draft::{EditDraft, KeyDraft, RotationDraft, Rules};
use super::field::FieldErrors;
use super::organizations::Policies;
use super::problem::ControlProblem;
use crate::model::{ApiKey, ClientId, ClientSecret, EnvironmentId, KeyName, ManagedBy, Revision};
use crate::store::{NewKey, OperationUse, Rotation, StoreError};
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

/// How often a change is judged anew when the policies or the environment change under it.
const ATTEMPTS: usize = 4;

impl Control {
    /// Makes a key. `found` is what reading the draft found wrong already; the answer tells it together with the rest.
    /// Errors: `NotFound`, `NotAllowed`, `AlreadyDone`, `Invalid`, `NameTaken`, `Unavailable`, `Fault`.
    pub async fn create_key(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        draft: KeyDraft,
        found: FieldErrors,
    ) -> Result<IssuedKey, ControlProblem> {
        asking.caller.require_in(Right::ChangeKeys, environment)?;
        self.store.look_back(&asking.act).await?;
        let secret = draw_secret()?;
        let client_id = ClientId::from_entropy(draw()?);
        let key = self
            .judged(environment, |policies| {
                let rules = |rules: &Rules<'_>| (rules.judge_key(draft.clone(), found.clone()), is_of_store(rules));
                let (sound, of_store) = self.with_rules(asking, environment, policies, rules)?;
                let sound = sound?;
                self.refuse_declared_name(environment, &sound.name)?;
                let key = NewKey {
                    client_id: client_id.clone(),
                    environment: environment.clone(),
                    name: sound.name,
                    description: sound.description,
                    kind: sound.kind,
                    may_grant: sound.may_grant,
                    allowlist: sound.allowlist,
                    secret_digest: secret.digest(),
                    secret_last_four: secret.last_four().to_owned(),
                    expires_at: sound.expires_at,
                    policies: policies.revision,
                    of_store,
                };
                let (store, act) = (Arc::clone(&self.store), asking.act.clone());
                Ok(async move { store.create_key(&key, &act).await })
            })
            .await?;
        Ok(IssuedKey { key, secret })
    }

    /// Edits name, description, permissions and allowlist in place. `expected` is the revision the caller knows.
    /// Errors: `NotFound`, `NotAllowed`, `ManagedByFile`, `AlreadyDone`, `Revoked`, `Invalid`, `RevisionMismatch`,
    /// `NameTaken`, `Unavailable`, `Fault`.
    pub async fn edit_key(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        id: &ClientId,
        draft: EditDraft,
        found: FieldErrors,
        expected: Option<Revision>,
    ) -> Result<ApiKey, ControlProblem> {
        let (current, expected) = self.changeable(asking, environment, id, expected).await?;
        let policies = self.organization_facts(&environment.organization).await?.policies;
        let edit =
            self.with_rules(asking, environment, policies, |rules| rules.judge_edit(draft, &current, found))??;
        if let Some(name) = &edit.name {
            self.refuse_declared_name(environment, name)?;
        }
        let (store, environment, id) = (Arc::clone(&self.store), environment.clone(), id.clone());
        let act = asking.act.clone();
        self.settle(async move { store.edit_key(&environment, &id, &edit, expected, &act).await }).await
    }

    /// Gives a key a new secret and a new expiry; the old secret and its tokens are dead when this returns.
    /// Errors: as [`edit_key`](Self::edit_key), looked for in this order.
    pub async fn rotate_key(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        id: &ClientId,
        draft: RotationDraft,
        found: FieldErrors,
        expected: Option<Revision>,
    ) -> Result<IssuedKey, ControlProblem> {
        let (_, expected) = self.changeable(asking, environment, id, expected).await?;
        let secret = draw_secret()?;
        let key = self
            .judged(environment, |policies| {
                let rules =
                    |rules: &Rules<'_>| (rules.judge_rotation(draft.clone(), found.clone()), is_of_store(rules));
                let (sound, of_store) = self.with_rules(asking, environment, policies, rules)?;
                let sound = sound?;
                let rotation = Rotation {
                    secret_digest: secret.digest(),
                    secret_last_four: secret.last_four().to_owned(),
                    expires_at: sound.expires_at,
                    allowlist: sound.allowlist,
                    policies: policies.revision,
                    of_store,
                };
                let (store, environment, id) = (Arc::clone(&self.store), environment.clone(), id.clone());
                let act = asking.act.clone();
                Ok(async move { store.rotate_key(&environment, &id, &rotation, expected, &act).await })
            })
            .await?;
        Ok(IssuedKey { key, secret })
    }

    /// Ends a key for good; again is no error. Errors: `NotFound`, `NotAllowed`, `ManagedByFile`, `Invalid` (beyond the
    /// reach of a management key), `RevisionMismatch`, `Unavailable`, `Fault`.
    pub async fn revoke_key(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        id: &ClientId,
        expected: Option<Revision>,
    ) -> Result<ApiKey, ControlProblem> {
        let (current, expected) = match self.changeable(asking, environment, id, expected).await {
            Err(ControlProblem::Revoked) => return self.show_key(asking, environment, id).await,
            found => found?,
        };
        let (store, environment) = (Arc::clone(&self.store), environment.clone());
        let act = asking.act.clone();
        self.settle(async move { store.revoke_key(&environment, &current.client_id, expected, &act).await }).await
    }

    /// A key that the caller may change, and the revision that the change then expects.
    async fn changeable(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        id: &ClientId,
        expected: Option<Revision>,
    ) -> Result<(ApiKey, Option<Revision>), ControlProblem> {
        asking.caller.require_in(Right::ChangeKeys, environment)?;
        self.refuse_declared(environment, id)?;
        let current = self.store.key(environment, id).await?;
        asking.caller.require_change_of(&current)?;
        self.store.look_back(&asking.act).await?;
        if current.revoked_at.is_some() {
            return Err(ControlProblem::Revoked);
        }
        let policies = Policies::default();
        self.with_rules(asking, environment, policies, |rules| rules.judge_reach(&current))??;
        // Whoever may not change every key changes only what they looked at: it may have become one in between.
        let may_all = asking.caller.require_in(Right::ChangeManagementKeys, environment).is_ok();
        let expected = if may_all { expected } else { Some(looked_at(current.revision, expected)?) };
        Ok((current, expected))
    }

    /// One key, of a file or of the store. Errors: `NotFound`, `NotAllowed`, `Unavailable`, `Fault`.
    pub async fn show_key(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        id: &ClientId,
    ) -> Result<ApiKey, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        let declared =
            self.with_environment(environment, |snapshot| snapshot.declared_key(environment, id).cloned())?;
        match declared {
            Some(key) => Ok(key),
            None => Ok(self.store.key(environment, id).await?),
        }
    }

    /// What a key has done, most often done first. Errors: as [`show_key`](Self::show_key).
    pub async fn key_usage(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        id: &ClientId,
    ) -> Result<Vec<OperationUse>, ControlProblem> {
        let key = self.show_key(asking, environment, id).await?;
        Ok(self.store.operations_used(&key.client_id).await?)
    }

    /// Asks something of the snapshot where the environment is configured.
    pub(super) fn with_environment<R>(
        &self,
        environment: &EnvironmentId,
        ask: impl FnOnce(&Snapshot) -> R,
    ) -> Result<R, ControlProblem> {
        let snapshot = self.tables.load();
        snapshot.environment(environment).ok_or(ControlProblem::NotFound)?;
        Ok(ask(&snapshot))
    }

    /// Judges and does a change by the policies in force. Whoever changes them, or the environment, in between makes it be
    /// judged anew.
    async fn judged<F>(
        &self,
        environment: &EnvironmentId,
        judge: impl Fn(Policies) -> Result<F, ControlProblem>,
    ) -> Result<ApiKey, ControlProblem>
    where
        F: Future<Output = Result<ApiKey, StoreError>> + Send + 'static,
    {
        for _ in 1..ATTEMPTS {
            let policies = self.organization_facts(&environment.organization).await?.policies;
            match self.settled(judge(policies)?).await? {
                Err(StoreError::EnvironmentChanged | StoreError::PoliciesChanged) => {}
                settled => return Ok(settled?),
            }
        }
        let policies = self.organization_facts(&environment.organization).await?.policies;
        self.settle(judge(policies)?).await
    }

    fn with_rules<R>(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        policies: Policies,
        judge: impl FnOnce(&Rules<'_>) -> R,
    ) -> Result<R, ControlProblem> {
        let snapshot = self.tables.load();
        let table = snapshot.environment(environment).ok_or(ControlProblem::NotFound)?;
        Ok(judge(&Rules { policies, environment: table, caller: &asking.caller, now: asking.act.at }))
    }

    fn refuse_declared(&self, environment: &EnvironmentId, id: &ClientId) -> Result<(), ControlProblem> {
        let declared = self.with_environment(environment, |snapshot| snapshot.declared_key(environment, id).is_some());
        if declared? { Err(ControlProblem::ManagedByFile) } else { Ok(()) }
    }

    /// The store knows nothing of the names in files.
    fn refuse_declared_name(&self, environment: &EnvironmentId, name: &KeyName) -> Result<(), ControlProblem> {
        let name = name.folded();
        let taken = self.with_environment(environment, |snapshot| {
            snapshot.declared_keys(environment).any(|key| key.name.folded() == name)
        });
        if taken? { Err(ControlProblem::NameTaken) } else { Ok(()) }
    }

    /// Does a change and shows it to the request path, whether or not anybody still waits.
    async fn settle(
        &self,
        change: impl Future<Output = Result<ApiKey, StoreError>> + Send + 'static,
    ) -> Result<ApiKey, ControlProblem> {
        Ok(self.settled(change).await??)
    }

    async fn settled(
        &self,
        change: impl Future<Output = Result<ApiKey, StoreError>> + Send + 'static,
    ) -> Result<Result<ApiKey, StoreError>, ControlProblem> {
        let tables = Arc::clone(&self.tables);
        let task = tokio::spawn(async move {
            let key = change.await?;
            tables.apply(&key);
            Ok::<_, StoreError>(key)
        });
        task.await.map_err(|error| {
            tracing::error!("control: a change did not end: {error}");
            ControlProblem::Fault
        })
    }
}

/// The revision that was judged. Another one is no revision to expect: the object would be changed as nobody judged it.
pub(super) fn looked_at(current: Revision, expected: Option<Revision>) -> Result<Revision, ControlProblem> {
    match expected {
        Some(expected) if expected != current => Err(ControlProblem::RevisionMismatch { current }),
        Some(_) | None => Ok(current),
    }
}

/// Whether the environment that is judged by was made here.
fn is_of_store(rules: &Rules<'_>) -> bool {
    match rules.environment.managed_by {
        ManagedBy::Api => true,
        ManagedBy::File => false,
    }
}

fn draw_secret() -> Result<ClientSecret, ControlProblem> {
    Ok(ClientSecret::from_entropy(draw()?))
}

/// Bytes that nobody can guess.
pub(super) fn draw<const N: usize>() -> Result<[u8; N], ControlProblem> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        tracing::error!("control: the system gives no random bytes");
        ControlProblem::Fault
    })?;
    Ok(bytes)
}
