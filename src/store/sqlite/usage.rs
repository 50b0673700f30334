//! The statements about usage.

use super::SqliteStore;
use super::fault::fault;
use super::row;
use crate::model::{ClientId, Timestamp};
use crate::store::{KeyUse, OperationUse, StoreError, UsageStore};
use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

/// A whole batch at once, `[[client id, instant, address]]`: a statement a key costs ten times as much.
const SEEN: &str = "UPDATE api_keys SET last_used_at = used.at, last_address = used.address
     FROM (SELECT value ->> 0 AS client_id, value ->> 1 AS at, value ->> 2 AS address FROM json_each(?1)) AS used
     WHERE api_keys.client_id = used.client_id
         AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at <= used.at)";
/// The same, `[[client id, operation, count, instant]]`.
const COUNT: &str = "INSERT INTO operation_usage (client_id, operation, count, last_used_at)
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1)
     WHERE EXISTS (SELECT 1 FROM api_keys WHERE client_id = value ->> 0)
     ON CONFLICT (client_id, operation) DO UPDATE
     SET count = count + excluded.count, last_used_at = MAX(last_used_at, excluded.last_used_at)";
const USED: &str = "SELECT operation, count, last_used_at FROM operation_usage WHERE client_id = ?1
     ORDER BY count DESC, operation";

async fn record(change: &mut SqliteConnection, uses: &[KeyUse]) -> Result<(), StoreError> {
    let seen = uses.iter().map(|used| (used.client_id.as_str(), used.last_used_at.as_unix(), used.last_address));
    let counted = uses.iter().flat_map(|used| {
        let counts = used.operations.iter().filter(|(_, count)| *count > 0);
        counts.map(|(name, count)| (used.client_id.as_str(), name, count, used.last_used_at.as_unix()))
    });
    for (statement, batch) in [(SEEN, json(seen)?), (COUNT, json(counted)?)] {
        sqlx::query(statement).bind(batch).execute(&mut *change).await.map_err(fault)?;
    }
    Ok(())
}

fn json(rows: impl Iterator<Item = impl Serialize>) -> Result<String, StoreError> {
    let rows: Vec<_> = rows.collect();
    serde_json::to_string(&rows).map_err(|error| StoreError::Unavailable(error.to_string()))
}

#[async_trait]
impl UsageStore for SqliteStore {
    async fn record_usage(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        record(&mut change, uses).await?;
        change.commit().await.map_err(fault)
    }

    async fn operations_used(&self, id: &ClientId) -> Result<Vec<OperationUse>, StoreError> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as(USED).bind(id.as_str()).fetch_all(&self.readers).await.map_err(fault)?;
        rows.into_iter()
            .map(|(operation, count, at)| {
                Ok(OperationUse { operation, count: row::count(count)?, last_used_at: Timestamp::from_unix(at) })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{AssertSqlSafe, Row};

    #[tokio::test]
    async fn a_batch_looks_for_its_keys_and_walks_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        for statement in [SEEN, COUNT] {
            let explained = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
            let rows = explained.bind("[]").fetch_all(&store.readers).await.unwrap();
            let plan = rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ");
            assert!(plan.contains("SCAN json_each") && plan.contains("SEARCH api_keys"), "{plan}");
            assert!(!plan.contains("SCAN api_keys") && !plan.contains("AUTOMATIC"), "{plan}");
        }
    }
}
