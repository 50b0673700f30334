//! What every change does, in one transaction: it is done at most once per idempotency key, takes the next revision,
//! is told in the feed and in the audit log, and is on disk before it is acknowledged.

use super::SqliteStore;
use super::audit;
use super::fault::fault;
use super::row;
use super::write::WriteTransaction;
use crate::model::{Act, AuditEntry, Idempotency, Revision, Timestamp};
use crate::store::{StoreError, Subject};
use sqlx::SqliteConnection;
use std::ops::{Deref, DerefMut};

/// How long an idempotency key is remembered.
pub(super) const REMEMBERED_SECONDS: i64 = 86_400;

/// A change under way. Dropped before [`finish`](Self::finish) it never happened.
pub(super) struct Changing<'a> {
    transaction: WriteTransaction,
    act: &'a Act,
}

impl Deref for Changing<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

impl SqliteStore {
    /// Starts a change. The write lock is taken at once: what the change reads cannot have changed when it writes.
    /// Errors: `AlreadyDone`, `IdempotencyKeyReused`.
    pub(super) async fn change<'a>(&self, act: &'a Act) -> Result<Changing<'a>, StoreError> {
        let transaction = self.write().await?;
        let mut change = Changing { transaction, act };
        if let Some(idempotency) = &act.idempotency {
            done_before(&mut change, &actor(act), idempotency, act.at).await?;
        }
        Ok(change)
    }
}

impl Changing<'_> {
    /// Takes the next revision.
    pub(super) async fn next(&mut self, subject: &Subject) -> Result<Revision, StoreError> {
        let (name, client_id, target) = match subject {
            Subject::AccessToken(id) => ("access_token", None, Some(id.clone())),
            Subject::ApiKey(id) => ("api_key", Some(id.as_str()), None),
            Subject::Environment(id) => ("environment", None, Some(id.to_string())),
            Subject::Member(id) => ("member", None, Some(id.to_string())),
            Subject::Organization(id) => ("organization", None, Some(id.to_string())),
            Subject::Other => ("other", None, None),
            Subject::SigningKeys => ("signing_keys", None, None),
        };
        let revision: i64 =
            sqlx::query_scalar("INSERT INTO feed (subject, client_id, target) VALUES (?1, ?2, ?3) RETURNING revision")
                .bind(name)
                .bind(client_id)
                .bind(target)
                .fetch_one(&mut *self.transaction)
                .await
                .map_err(fault)?;
        row::revision(revision)
    }

    /// Logs the change in one more place.
    pub(super) async fn also(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        audit::append(&mut self.transaction, entry, self.act).await
    }

    /// Logs the change, remembers its idempotency key, and commits.
    pub(super) async fn finish(mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        audit::append(&mut self.transaction, entry, self.act).await?;
        if let Some(idempotency) = &self.act.idempotency {
            let target = entry.target.as_ref().map_or("", |target| target.id.as_str());
            remember(&mut self.transaction, &actor(self.act), idempotency, target, self.act.at).await?;
        }
        self.transaction.commit().await.map_err(fault)
    }
}

/// Idempotency keys of different callers never meet.
pub(super) fn actor(act: &Act) -> String {
    format!("{}:{}", act.actor.kind(), act.actor.id().unwrap_or_default())
}

pub(super) async fn done_before(
    change: &mut SqliteConnection,
    actor: &str,
    idempotency: &Idempotency,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done: Option<(String, String)> =
        sqlx::query_as("SELECT fingerprint, target FROM idempotency WHERE actor = ?1 AND key = ?2 AND at > ?3")
            .bind(actor)
            .bind(&idempotency.key)
            .bind(now.plus_seconds(-REMEMBERED_SECONDS).as_unix())
            .fetch_optional(change)
            .await
            .map_err(fault)?;
    match done {
        None => Ok(()),
        Some((fingerprint, target)) if fingerprint == idempotency.fingerprint => {
            Err(StoreError::AlreadyDone { target })
        }
        Some(_) => Err(StoreError::IdempotencyKeyReused),
    }
}

async fn remember(
    change: &mut SqliteConnection,
    actor: &str,
    idempotency: &Idempotency,
    target: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO idempotency (actor, key, fingerprint, target, at) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(actor)
        .bind(&idempotency.key)
        .bind(&idempotency.fingerprint)
        .bind(target)
        .bind(now.as_unix())
        .execute(change)
        .await
        .map_err(fault)?;
    Ok(())
}
