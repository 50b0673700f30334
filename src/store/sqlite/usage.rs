//! The statements about usage.

use super::SqliteStore;
use super::fault::fault;
use super::row;
use crate::model::{ClientId, EnvironmentId, Timestamp};
use crate::store::{HOUR_SECONDS, HourUse, KeyUse, OperationUse, StoreError, TrafficHour, UsageStore};
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
/// The same, `[[hour, client id, count]]`.
const COUNT_HOURS: &str = "INSERT INTO usage_hours (hour, client_id, count)
     SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
     ON CONFLICT (hour, client_id) DO UPDATE SET count = count + excluded.count";
/// The same, `[[hour, organization, environment, code, count]]`.
const COUNT_TRAFFIC: &str = "INSERT INTO traffic_hours (hour, organization, environment, code, count)
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) WHERE true
     ON CONFLICT (hour, organization, environment, code) DO UPDATE SET count = count + excluded.count";
/// So many rows are forgotten in one change.
const FORGOTTEN_AT_ONCE: u32 = 5000;
const FORGET_HOURS: [&str; 2] = [
    "DELETE FROM usage_hours WHERE (hour, client_id) IN
         (SELECT hour, client_id FROM usage_hours WHERE hour < ?1 LIMIT ?2)",
    "DELETE FROM traffic_hours WHERE (hour, organization, environment, code) IN
         (SELECT hour, organization, environment, code FROM traffic_hours WHERE hour < ?1 LIMIT ?2)",
];
const HOURS_USED: &str = "SELECT client_id, hour, count FROM usage_hours
     WHERE hour IN (SELECT value FROM json_each(?1)) AND client_id IN (SELECT value FROM json_each(?2))";
const TRAFFIC: &str = "SELECT hour, code, count FROM traffic_hours
     WHERE hour IN (SELECT value FROM json_each(?1)) AND organization = ?2 AND environment = ?3 ORDER BY hour, code";
const USED: &str = "SELECT operation, count, last_used_at FROM operation_usage WHERE client_id = ?1
     ORDER BY count DESC, operation";

async fn record(change: &mut SqliteConnection, uses: &[KeyUse]) -> Result<(), StoreError> {
    let seen = uses.iter().map(|used| (used.client_id.as_str(), used.last_used_at.as_unix(), used.last_address));
    let counted = uses.iter().flat_map(|used| {
        let counts = used.operations.iter().filter(|(_, count)| *count > 0);
        counts.map(|(name, count)| (used.client_id.as_str(), name, count, used.last_used_at.as_unix()))
    });
    let hours = uses.iter().filter_map(|used| {
        let count: u64 = used.operations.iter().map(|(_, count)| count).sum();
        (count > 0).then(|| (hour(used.last_used_at), used.client_id.as_str(), count))
    });
    for (statement, batch) in [(SEEN, json(seen)?), (COUNT, json(counted)?), (COUNT_HOURS, json(hours)?)] {
        sqlx::query(statement).bind(batch).execute(&mut *change).await.map_err(fault)?;
    }
    Ok(())
}

fn json(rows: impl Iterator<Item = impl Serialize>) -> Result<String, StoreError> {
    let rows: Vec<_> = rows.collect();
    serde_json::to_string(&rows).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// An hour as it is kept: how many there were since the Unix epoch.
fn hour(at: Timestamp) -> i64 {
    at.as_unix().div_euclid(HOUR_SECONDS)
}

fn instant(hour: i64) -> Timestamp {
    Timestamp::from_unix(hour.saturating_mul(HOUR_SECONDS))
}

/// So many hours from the one of an instant on.
fn hours(since: Timestamp, hours: u32) -> Result<String, StoreError> {
    let first = hour(since);
    json((0..hours).map(|passed| first + i64::from(passed)))
}

impl SqliteStore {
    /// Forgets what was counted in hours that were over at an instant, a few rows a change: nobody who changes something
    /// waits for more than that.
    pub(super) async fn forget_hours(&self, before: Timestamp) -> Result<(), StoreError> {
        for statement in FORGET_HOURS {
            let mut gone = FORGOTTEN_AT_ONCE;
            while gone >= FORGOTTEN_AT_ONCE {
                let mut change = self.write().await?;
                let forgotten = sqlx::query(statement).bind(hour(before)).bind(i64::from(FORGOTTEN_AT_ONCE));
                let forgotten = forgotten.execute(&mut *change).await.map_err(fault)?;
                change.commit().await.map_err(fault)?;
                gone = u32::try_from(forgotten.rows_affected()).unwrap_or(u32::MAX);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl UsageStore for SqliteStore {
    async fn record_usage(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        record(&mut change, uses).await?;
        change.commit().await.map_err(fault)
    }

    async fn record_traffic(&self, counts: &[(EnvironmentId, TrafficHour)]) -> Result<(), StoreError> {
        let batch = json(counts.iter().filter(|(_, counted)| counted.count > 0).map(|(environment, counted)| {
            let (organization, environment) = (environment.organization.as_str(), environment.environment.as_str());
            (hour(counted.hour), organization, environment, &counted.code, counted.count)
        }))?;
        let mut change = self.write().await?;
        sqlx::query(COUNT_TRAFFIC).bind(batch).execute(&mut *change).await.map_err(fault)?;
        change.commit().await.map_err(fault)
    }

    async fn hours_used(&self, ids: &[ClientId], since: Timestamp, last: u32) -> Result<Vec<HourUse>, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(HOURS_USED)
            .bind(hours(since, last)?)
            .bind(json(ids.iter())?)
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        rows.into_iter()
            .map(|(client_id, hour, count)| {
                let client_id = ClientId::parse(&client_id)
                    .map_err(|_| StoreError::Corrupt("an hour of usage has no readable client_id".to_owned()))?;
                Ok(HourUse { client_id, hour: instant(hour), count: row::count(count)? })
            })
            .collect()
    }

    async fn traffic(
        &self,
        environment: &EnvironmentId,
        since: Timestamp,
        last: u32,
    ) -> Result<Vec<TrafficHour>, StoreError> {
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(TRAFFIC)
            .bind(hours(since, last)?)
            .bind(environment.organization.as_str())
            .bind(environment.environment.as_str())
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        rows.into_iter()
            .map(|(hour, code, count)| Ok(TrafficHour { hour: instant(hour), code, count: row::count(count)? }))
            .collect()
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
    async fn hours_are_looked_up_and_walked_by_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        for (statement, walk) in [
            (HOURS_USED, "SEARCH usage_hours USING PRIMARY KEY (hour=? AND client_id=?)"),
            (TRAFFIC, "SEARCH traffic_hours USING PRIMARY KEY (hour=? AND organization=? AND environment=?)"),
        ] {
            let explained = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
            let rows = explained.fetch_all(&store.readers).await.unwrap();
            let plan = rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ");
            assert!(plan.contains(walk), "{plan}");
        }
    }

    #[tokio::test]
    async fn many_hours_are_forgotten_a_few_rows_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        let many = FORGOTTEN_AT_ONCE * 2 + 1;
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)";
        let mut change = store.write().await.unwrap();
        for statement in [
            format!("{fill} INSERT INTO usage_hours SELECT 1 + i % 2, i, 1 FROM n"),
            format!("{fill} INSERT INTO traffic_hours SELECT 1 + i % 2, 'acme', 'production', i, 1 FROM n"),
            "INSERT INTO usage_hours VALUES (3, 'kept', 1)".to_owned(),
        ] {
            sqlx::query(AssertSqlSafe(statement)).bind(i64::from(many)).execute(&mut *change).await.unwrap();
        }
        change.commit().await.unwrap();
        let statement = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", FORGET_HOURS[0]));
        let plan = sqlx::query(statement).fetch_all(&store.readers).await.unwrap();
        let plan = plan.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ");
        assert!(!plan.contains("SCAN usage_hours"), "{plan}");
        store.forget_hours(instant(3)).await.unwrap();
        for (table, kept) in [("usage_hours", 1), ("traffic_hours", 0)] {
            let statement = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            assert_eq!(
                sqlx::query_scalar::<_, i64>(statement).fetch_one(&store.readers).await.unwrap(),
                kept,
                "{table}"
            );
        }
    }

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
