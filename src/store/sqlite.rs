//! The embedded store: one SQLite file, which several processes may share during an upgrade.
//!
//! Write-ahead log with `synchronous=FULL`: a commit is on disk before it is acknowledged. One connection writes, in
//! `BEGIN IMMEDIATE` transactions, so that changes queue here instead of failing with `database is locked`; a small
//! pool reads beside it. A change that is dropped midway is rolled back; one whose commit fails leaves nothing in the
//! log (`write`). Opening and its errors are in `open`, key statements in `keys`, rows in `row`, the wording of faults
//! in `fault`.

mod fault;
mod keys;
mod open;
mod row;
mod write;

use super::{
    Change, KeyFilter, KeyPage, NewKey, Page, Rotation, Store, StoreError, StoredSigningKey, Subject, async_trait,
};
use crate::model::{ApiKey, ClientId, EnvironmentId, Revision, SecretDigest, Timestamp};
use fault::fault;
use sqlx::{SqliteConnection, SqlitePool};
use std::path::Path;
use write::WriteTransaction;

/// The store of a single node (or of the two processes of an upgrade): one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the store in this file, making it (mode 0600) where it is missing; its folder must exist.
    /// Errors: [`StoreError::Open`], whose reason says what to do.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let (writer, readers) = open::open(path).await?;
        Ok(Self { writer, readers })
    }

    /// Closes every connection once its work is done; the write-ahead log is folded into the file.
    /// Later calls fail as unavailable. Not closing loses nothing.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Starts a change.
    async fn change(&self) -> Result<WriteTransaction, StoreError> {
        WriteTransaction::begin(&self.writer).await.map_err(fault)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn revision(&self) -> Result<Revision, StoreError> {
        let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(revision), 0) FROM feed")
            .fetch_one(&self.readers)
            .await
            .map_err(fault)?;
        row::revision(last)
    }

    async fn changes(&self, since: Revision, limit: u32) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query("SELECT revision, client_id FROM feed WHERE revision > ?1 ORDER BY revision LIMIT ?2")
            .bind(i64::try_from(since.0).unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        rows.iter().map(row::change).collect()
    }

    async fn create_key(&self, key: &NewKey) -> Result<ApiKey, StoreError> {
        let mut change = self.change().await?;
        let revision = append(&mut change, &Subject::ApiKey(key.client_id.clone())).await?;
        let made = keys::insert(&mut change, key, revision).await?;
        change.commit().await.map_err(fault)?;
        Ok(made)
    }

    async fn key(&self, environment: &EnvironmentId, id: &ClientId) -> Result<ApiKey, StoreError> {
        self.key_by_id(id).await?.filter(|key| key.environment == *environment).ok_or(StoreError::KeyNotFound)
    }

    async fn key_by_id(&self, id: &ClientId) -> Result<Option<ApiKey>, StoreError> {
        let mut reader = self.readers.acquire().await.map_err(fault)?;
        keys::by_id(&mut reader, id).await
    }

    async fn list_keys(
        &self,
        environment: &EnvironmentId,
        filter: &KeyFilter,
        page: &Page,
    ) -> Result<KeyPage, StoreError> {
        let mut reader = self.readers.acquire().await.map_err(fault)?;
        keys::list(&mut reader, environment, filter, page).await
    }

    async fn all_keys(&self, after: Option<&ClientId>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        let mut reader = self.readers.acquire().await.map_err(fault)?;
        keys::all(&mut reader, after, limit).await
    }

    async fn rotate_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        rotation: &Rotation,
        expected: Option<Revision>,
    ) -> Result<ApiKey, StoreError> {
        let mut change = self.change().await?;
        let current = keys::of_environment(&mut change, environment, id).await?;
        if current.revoked_at.is_some() {
            return Err(StoreError::Revoked);
        }
        check_revision(&current, expected)?;
        let revision = append(&mut change, &Subject::ApiKey(id.clone())).await?;
        let rotated = keys::rotate(&mut change, &current, rotation, revision).await?;
        change.commit().await.map_err(fault)?;
        Ok(rotated)
    }

    async fn revoke_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        revoked_at: Timestamp,
        expected: Option<Revision>,
    ) -> Result<ApiKey, StoreError> {
        let mut change = self.change().await?;
        let current = keys::of_environment(&mut change, environment, id).await?;
        if current.revoked_at.is_some() {
            return Ok(current);
        }
        check_revision(&current, expected)?;
        let revision = append(&mut change, &Subject::ApiKey(id.clone())).await?;
        let revoked = keys::revoke(&mut change, id, revoked_at, revision).await?;
        change.commit().await.map_err(fault)?;
        Ok(revoked)
    }

    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
        let rows =
            sqlx::query("SELECT id, algorithm, sealed, created_at FROM signing_keys ORDER BY created_at, revision")
                .fetch_all(&self.readers)
                .await
                .map_err(fault)?;
        rows.iter().map(row::signing_key).collect()
    }

    async fn add_signing_key(&self, key: &StoredSigningKey) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let revision = append(&mut change, &Subject::SigningKeys).await?;
        sqlx::query(
            "INSERT INTO signing_keys (id, algorithm, sealed, created_at, revision) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(&key.id)
        .bind(&key.algorithm)
        .bind(&key.sealed)
        .bind(key.created_at.as_unix())
        .bind(row::number(revision.0)?)
        .execute(&mut *change)
        .await
        .map_err(fault)?;
        change.commit().await.map_err(fault)
    }

    async fn bootstrap_digest(&self) -> Result<Option<SecretDigest>, StoreError> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT digest FROM bootstrap").fetch_optional(&self.readers).await.map_err(fault)?;
        text.map(|text| SecretDigest::parse(&text))
            .transpose()
            .map_err(|_| StoreError::Corrupt("the digest of the bootstrap token".to_owned()))
    }

    async fn set_bootstrap_digest(&self, digest: Option<&SecretDigest>) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query("DELETE FROM bootstrap").execute(&mut *change).await.map_err(fault)?;
        if let Some(digest) = digest {
            sqlx::query("INSERT INTO bootstrap (only, digest) VALUES (1, ?1)")
                .bind(digest.to_text())
                .execute(&mut *change)
                .await
                .map_err(fault)?;
        }
        change.commit().await.map_err(fault)
    }
}

/// Takes the next revision for a change, in the change's own transaction.
async fn append(change: &mut SqliteConnection, subject: &Subject) -> Result<Revision, StoreError> {
    let (name, client_id) = match subject {
        Subject::ApiKey(id) => ("api_key", Some(id.as_str())),
        Subject::SigningKeys => ("signing_keys", None),
    };
    let revision: i64 = sqlx::query_scalar("INSERT INTO feed (subject, client_id) VALUES (?1, ?2) RETURNING revision")
        .bind(name)
        .bind(client_id)
        .fetch_one(change)
        .await
        .map_err(fault)?;
    row::revision(revision)
}

fn check_revision(current: &ApiKey, expected: Option<Revision>) -> Result<(), StoreError> {
    match expected {
        Some(expected) if expected != current.revision => {
            Err(StoreError::RevisionMismatch { current: current.revision })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_does_not_block_the_writer() {
        let (_folder, store) = store().await;
        let mut change = store.change().await.unwrap();
        // What a full disk does: the transaction is over, and sqlx does not know.
        sqlx::query("ROLLBACK").execute(&mut *change).await.unwrap();
        drop(change);
        store.set_bootstrap_digest(Some(&SecretDigest::of(b"x"))).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_refuses_changes_until_there_is_room() {
        let (_folder, store) = store().await;
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
        let key = StoredSigningKey {
            id: "big".to_owned(),
            algorithm: "RS256".to_owned(),
            sealed: vec![0; 100_000],
            created_at: Timestamp::from_unix(0),
        };
        let refused = store.add_signing_key(&key).await;
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("full")), "{refused:?}");
        assert_eq!(store.revision().await.unwrap(), Revision(0));
        sqlx::query("PRAGMA max_page_count = 100000").execute(&store.writer).await.unwrap();
        store.add_signing_key(&key).await.unwrap();
        assert_eq!(store.revision().await.unwrap(), Revision(1));
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let (_folder, store) = store().await;
        let refused = sqlx::query("DELETE FROM feed").execute(&store.readers).await;
        assert!(refused.is_err());
    }

    #[tokio::test]
    async fn every_connection_syncs_before_it_acknowledges() {
        let (_folder, store) = store().await;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
        let busy: i64 = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(&store.writer).await.unwrap();
        assert_eq!((synchronous, busy), (2, 5000));
    }
}
