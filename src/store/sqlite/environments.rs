//! The statements about environments that were made through the control API.

use super::SqliteStore;
use super::fault::fault;
use super::row;
use crate::model::{Act, AuditEntry, EnvironmentId, Revision, Timestamp};
use crate::store::{
    DocumentChange, DocumentText, EnvironmentStore, EnvironmentWrite, Judged, StoreError, StoredEnvironment, Subject,
};
use async_trait::async_trait;
use sqlx::SqliteConnection;

/// The most environments of one batch.
const MAX_BATCH: u32 = 1000;

/// The columns that [`row::environment`] reads, in a statement.
macro_rules! environments_sql {
    ($before:literal, $after:literal) => {
        concat!($before, "organization, environment, definition, document, created_at, created_by, revision", $after)
    };
}

const ALL: &str = environments_sql!(
    "SELECT ",
    " FROM environments WHERE (organization, environment) > (?1, ?2) ORDER BY organization, environment LIMIT ?3"
);
const BY_ID: &str = environments_sql!("SELECT ", " FROM environments WHERE organization = ?1 AND environment = ?2");
const WRITE: &str = environments_sql!(
    "INSERT INTO environments (organization, environment, definition, document, created_at, created_by, revision)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
     ON CONFLICT (organization, environment) DO UPDATE SET definition = excluded.definition,
         document = excluded.document, revision = excluded.revision
     RETURNING ",
    ""
);
const ADD_DOCUMENT: &str = "INSERT INTO documents (digest, text) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const REMOVE_DOCUMENT: &str = "DELETE FROM documents
     WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM environments WHERE document = ?1)";
/// Living keys of an environment; with ?4 only those of that role.
const LIVING: &str = "SELECT COUNT(*) FROM api_keys
     WHERE organization = ?1 AND environment = ?2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)
       AND (?4 IS NULL OR role = ?4)";

/// Whether an environment is there, and with ?3 whether its definition has that role.
const THERE: &str = "SELECT 1 FROM environments WHERE organization = ?1 AND environment = ?2
     AND (?3 IS NULL OR EXISTS (SELECT 1 FROM json_each(definition, '$.roles') WHERE key = ?3))";

/// Errors: `EnvironmentChanged` where the environment, or its role, is gone.
pub(super) async fn check_there(
    change: &mut SqliteConnection,
    id: &EnvironmentId,
    role: Option<&str>,
) -> Result<(), StoreError> {
    let there: Option<i64> = sqlx::query_scalar(THERE)
        .bind(id.organization.as_str())
        .bind(id.environment.as_str())
        .bind(role)
        .fetch_optional(change)
        .await
        .map_err(fault)?;
    there.map(|_| ()).ok_or(StoreError::EnvironmentChanged)
}

async fn by_id(reader: &mut SqliteConnection, id: &EnvironmentId) -> Result<Option<StoredEnvironment>, StoreError> {
    let found = sqlx::query(BY_ID)
        .bind(id.organization.as_str())
        .bind(id.environment.as_str())
        .fetch_optional(reader)
        .await
        .map_err(fault)?;
    found.as_ref().map(row::environment).transpose()
}

async fn living(
    reader: &mut SqliteConnection,
    id: &EnvironmentId,
    role: Option<&str>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let keys: i64 = sqlx::query_scalar(LIVING)
        .bind(id.organization.as_str())
        .bind(id.environment.as_str())
        .bind(now.as_unix())
        .bind(role)
        .fetch_one(reader)
        .await
        .map_err(fault)?;
    row::count(keys)
}

async fn check_organization(reader: &mut SqliteConnection, id: &EnvironmentId) -> Result<(), StoreError> {
    let made: Option<i64> = sqlx::query_scalar("SELECT 1 FROM organizations WHERE id = ?1 AND made_here = 1")
        .bind(id.organization.as_str())
        .fetch_optional(reader)
        .await
        .map_err(fault)?;
    made.map(|_| ()).ok_or(StoreError::OrganizationNotFound)
}

fn check_judged(current: Option<&StoredEnvironment>, judged: Judged) -> Result<(), StoreError> {
    let expected = match judged {
        Judged::Absent => None,
        Judged::At(revision) => Some(revision),
    };
    let current = current.map(|known| known.revision);
    if current == expected {
        return Ok(());
    }
    Err(StoreError::RevisionMismatch { current: current.unwrap_or_default() })
}

/// The digest of the document from now on; a new one is added.
async fn settle_document(
    change: &mut SqliteConnection,
    wanted: &DocumentChange,
    before: Option<String>,
) -> Result<Option<String>, StoreError> {
    match wanted {
        DocumentChange::Keep => Ok(before),
        DocumentChange::Remove => Ok(None),
        DocumentChange::Set(document) => {
            sqlx::query(ADD_DOCUMENT)
                .bind(document.digest())
                .bind(document.text())
                .execute(change)
                .await
                .map_err(fault)?;
            Ok(Some(document.digest().to_owned()))
        }
    }
}

/// Removes a document that nobody uses any more.
async fn let_go(change: &mut SqliteConnection, document: Option<&str>) -> Result<(), StoreError> {
    let Some(digest) = document else { return Ok(()) };
    sqlx::query(REMOVE_DOCUMENT).bind(digest).execute(change).await.map_err(fault)?;
    Ok(())
}

async fn write(
    change: &mut SqliteConnection,
    wanted: &EnvironmentWrite,
    document: Option<&str>,
    revision: Revision,
    act: &Act,
) -> Result<StoredEnvironment, StoreError> {
    let written = sqlx::query(WRITE)
        .bind(wanted.id.organization.as_str())
        .bind(wanted.id.environment.as_str())
        .bind(&wanted.definition)
        .bind(document)
        .bind(act.at.as_unix())
        .bind(act.actor.label())
        .bind(row::number(revision.0)?)
        .fetch_one(change)
        .await
        .map_err(fault)?;
    row::environment(&written)
}

#[async_trait]
impl EnvironmentStore for SqliteStore {
    async fn environments(
        &self,
        after: Option<&EnvironmentId>,
        limit: u32,
    ) -> Result<Vec<StoredEnvironment>, StoreError> {
        let (organization, environment) =
            after.map_or(("", ""), |id| (id.organization.as_str(), id.environment.as_str()));
        let rows = sqlx::query(ALL)
            .bind(organization)
            .bind(environment)
            .bind(limit.min(MAX_BATCH))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        rows.iter().map(row::environment).collect()
    }

    async fn environment(&self, id: &EnvironmentId) -> Result<Option<StoredEnvironment>, StoreError> {
        let mut reader = self.reader().await?;
        by_id(&mut reader, id).await
    }

    async fn document(&self, digest: &str) -> Result<Option<DocumentText>, StoreError> {
        let text: Option<String> = sqlx::query_scalar("SELECT text FROM documents WHERE digest = ?1")
            .bind(digest)
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        let document = text.map(DocumentText::new);
        match document {
            Some(document) if document.digest() != digest => {
                Err(StoreError::Corrupt(format!("the document `{digest}` is not what was written")))
            }
            sound => Ok(sound),
        }
    }

    async fn write_environment(
        &self,
        wanted: &EnvironmentWrite,
        judged: Judged,
        act: &Act,
    ) -> Result<StoredEnvironment, StoreError> {
        let mut change = self.change(act).await?;
        if wanted.of_store {
            check_organization(&mut change, &wanted.id).await?;
        }
        let before = by_id(&mut change, &wanted.id).await?;
        check_judged(before.as_ref(), judged)?;
        for role in &wanted.roles_gone {
            let keys = living(&mut change, &wanted.id, Some(role), act.at).await?;
            if keys > 0 {
                return Err(StoreError::RoleInUse { role: role.clone(), keys });
            }
        }
        let revision = change.next(&Subject::Environment(wanted.id.clone())).await?;
        let before = before.and_then(|before| before.document);
        let document = settle_document(&mut change, &wanted.document, before.clone()).await?;
        let written = write(&mut change, wanted, document.as_deref(), revision, act).await?;
        let_go(&mut change, before.as_deref()).await?;
        change.finish(&wanted.entry).await?;
        Ok(written)
    }

    async fn remove_environment(
        &self,
        id: &EnvironmentId,
        expected: Option<Revision>,
        entry: &AuditEntry,
        act: &Act,
    ) -> Result<Revision, StoreError> {
        let mut change = self.change(act).await?;
        let before = by_id(&mut change, id).await?.ok_or(StoreError::EnvironmentNotFound)?;
        row::check_revision(before.revision, expected)?;
        let keys = living(&mut change, id, None, act.at).await?;
        if keys > 0 {
            return Err(StoreError::EnvironmentInUse { keys });
        }
        let revision = change.next(&Subject::Environment(id.clone())).await?;
        sqlx::query("DELETE FROM environments WHERE organization = ?1 AND environment = ?2")
            .bind(id.organization.as_str())
            .bind(id.environment.as_str())
            .execute(&mut *change)
            .await
            .map_err(fault)?;
        let_go(&mut change, before.document.as_deref()).await?;
        change.finish(entry).await?;
        Ok(revision)
    }
}
