//! The embedded store: one SQLite file, which several processes may share during an upgrade.
//!
//! Write-ahead log with `synchronous=FULL`: a commit is on disk before it is acknowledged. One connection writes, in
//! `BEGIN IMMEDIATE` transactions, so that changes queue here instead of failing with `database is locked`; a small
//! pool reads beside it. A change that is dropped midway is rolled back; one whose commit fails leaves nothing in the
//! log (`write`). Opening and its errors are in `open`, what every change does in `change`, statements in the file of
//! their subject, rows in `row`, the wording of faults in `fault`.

mod audit;
mod change;
mod copy;
mod environments;
mod fault;
mod holders;
mod keys;
mod node;
mod open;
mod organizations;
mod people;
mod row;
mod sessions;
mod usage;
mod write;

pub use copy::{CopyProgress, StoreFile, backup, restore};

use super::{Change, Feed, StoreError, async_trait};
use crate::model::{Act, Revision};
use fault::fault;
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqlitePool};
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

    /// A connection that only reads.
    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(fault)
    }

    /// Starts to write.
    async fn write(&self) -> Result<WriteTransaction, StoreError> {
        WriteTransaction::begin(&self.writer).await.map_err(fault)
    }
}

#[async_trait]
impl Feed for SqliteStore {
    async fn revision(&self) -> Result<Revision, StoreError> {
        let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(revision), 0) FROM feed")
            .fetch_one(&self.readers)
            .await
            .map_err(fault)?;
        row::revision(last)
    }

    async fn changes(&self, since: Revision, limit: u32) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query(
            "SELECT revision, subject, client_id, target FROM feed WHERE revision > ?1 ORDER BY revision LIMIT ?2",
        )
        .bind(i64::try_from(since.0).unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(fault)?;
        rows.iter().map(row::change).collect()
    }

    async fn look_back(&self, act: &Act) -> Result<(), StoreError> {
        let Some(idempotency) = &act.idempotency else { return Ok(()) };
        let mut reader = self.reader().await?;
        change::done_before(&mut reader, &change::actor(act), idempotency, act.at).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, SecretDigest, Timestamp};
    use crate::store::{NodeStore, StoredSigningKey};

    fn act() -> Act {
        Act::of(Actor::Operator, Timestamp::from_unix(0))
    }

    async fn store() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_does_not_block_the_writer() {
        let (_folder, store) = store().await;
        let mut change = store.writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
        // What a full disk does: the transaction is over, and sqlx does not know.
        sqlx::query("ROLLBACK").execute(&mut *change).await.unwrap();
        drop(change);
        store.set_bootstrap_digest(Some(&SecretDigest::of(b"x")), &act()).await.unwrap();
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
            signs_from: Timestamp::from_unix(0),
            ends_at: None,
        };
        let refused = store.add_signing_key(&key, None, &act()).await;
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("full")), "{refused:?}");
        assert_eq!(store.revision().await.unwrap(), Revision(0));
        sqlx::query("PRAGMA max_page_count = 100000").execute(&store.writer).await.unwrap();
        store.add_signing_key(&key, None, &act()).await.unwrap();
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
