//! The statements about usage.

use super::SqliteStore;
use super::fault::fault;
use super::row;
use crate::model::{ClientId, Timestamp};
use crate::store::{KeyUse, OperationUse, StoreError, UsageStore};
use async_trait::async_trait;
use sqlx::SqliteConnection;

const SEEN: &str = "UPDATE api_keys SET last_used_at = ?2, last_address = ?3
     WHERE client_id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?2)";
const COUNT: &str = "INSERT INTO operation_usage (client_id, operation, count, last_used_at)
     SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM api_keys WHERE client_id = ?1)
     ON CONFLICT (client_id, operation) DO UPDATE
     SET count = count + excluded.count, last_used_at = MAX(last_used_at, excluded.last_used_at)";
const USED: &str = "SELECT operation, count, last_used_at FROM operation_usage WHERE client_id = ?1
     ORDER BY count DESC, operation";

async fn record(change: &mut SqliteConnection, used: &KeyUse) -> Result<(), StoreError> {
    let at = used.last_used_at.as_unix();
    sqlx::query(SEEN)
        .bind(used.client_id.as_str())
        .bind(at)
        .bind(used.last_address.map(|address| address.to_string()))
        .execute(&mut *change)
        .await
        .map_err(fault)?;
    for (operation, count) in used.operations.iter().filter(|(_, count)| *count > 0) {
        sqlx::query(COUNT)
            .bind(used.client_id.as_str())
            .bind(operation)
            .bind(row::number(*count)?)
            .bind(at)
            .execute(&mut *change)
            .await
            .map_err(fault)?;
    }
    Ok(())
}

#[async_trait]
impl UsageStore for SqliteStore {
    async fn record_usage(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        for used in uses {
            record(&mut change, used).await?;
        }
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
