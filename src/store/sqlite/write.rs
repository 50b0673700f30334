//! A change's transaction, whose failed commit leaves nothing behind.
//!
//! SQLite writes a commit to the write-ahead log, syncs the log, and then lets readers see it. Where the sync fails (or
//! the index of the log cannot grow) it forgets the transaction in memory, but the log holds it to the last byte, with
//! its commit mark and a sound checksum: the next write would go over it, and a process that is killed before that has
//! it recovered at the next start. A change that was answered with an error would then have happened after all. So
//! something harmless is written over it before the error is told.

use super::open::APPLICATION_ID;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, SqlitePool, Transaction};
use std::ops::{Deref, DerefMut};

/// A change under way. Dropped without [`commit`](Self::commit), it is rolled back.
pub(super) struct WriteTransaction {
    transaction: Transaction<'static, Sqlite>,
    writer: SqlitePool,
}

impl WriteTransaction {
    /// Takes the write lock at once: what the change reads cannot have changed when it writes.
    pub(super) async fn begin(writer: &SqlitePool) -> Result<Self, sqlx::Error> {
        let transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Self { transaction, writer: writer.clone() })
    }

    /// Puts it on disk. On an error nothing of it is there, whatever happens to the process afterwards.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        let Self { transaction, writer } = self;
        let outcome = transaction.commit().await;
        if outcome.is_err() {
            // It fails where the commit failed, most likely. It is in the log by then, and that is all it is for: the
            // checksums of the log form a chain, so what remains of the refused transaction behind it counts no more.
            let _ = write_over(&writer).await;
        }
        outcome
    }
}

/// Writes the first page as it is, in a transaction of its own.
async fn write_over(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let same = AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
    sqlx::query(same).execute(&mut *transaction).await?;
    transaction.commit().await
}

impl Deref for WriteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}
