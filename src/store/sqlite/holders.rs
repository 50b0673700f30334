//! The statements about what living keys hold. Each walks the keys of one environment once, newest first, and gives a
//! row for every key and name that counts; those are counted here, and the first of each name kept.

use super::fault::fault;
use super::keys::json;
use crate::model::{ClientId, EnvironmentId, KeyName, PermissionName, Timestamp, quoted};
use crate::store::{Beyond, Holders, RoleHolders, StoreError};
use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

/// Living keys of an environment and what each holds, a row for each name.
macro_rules! held_sql {
    ($from:literal, $held:literal, $only:literal) => {
        concat!(
            "SELECT ",
            $held,
            " AS held, client_id, name FROM api_keys INDEXED BY ",
            $from,
            " WHERE organization = ?1 AND environment = ?2 AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > ?3) AND ",
            $only,
            " ORDER BY newest_first, client_id"
        )
    };
}
const HOLDING: &str =
    held_sql!("api_keys_newest_first, json_each(permissions)", "value", "value IN (SELECT value FROM json_each(?4))");
const BEYOND: &str = held_sql!(
    "api_keys_newest_first, json_each(permissions)",
    "value",
    "value NOT IN (SELECT value FROM json_each(?4)) AND substr(value, 1, 11) <> 'portcullis:'"
);
const ROLES_BEYOND: &str =
    held_sql!("api_keys_legacy", "role", "role IS NOT NULL AND role NOT IN (SELECT value FROM json_each(?4))");

/// Which living keys hold these permissions.
pub(super) async fn holding(
    reader: &mut SqliteConnection,
    environment: &EnvironmentId,
    permissions: &[PermissionName],
    now: Timestamp,
    first: u32,
) -> Result<Vec<Holders>, StoreError> {
    if permissions.is_empty() {
        return Ok(Vec::new());
    }
    count(reader, HOLDING, environment, &json(permissions)?, now, first).await?.into_iter().map(holders).collect()
}

/// What living keys hold beyond these permissions and roles.
pub(super) async fn beyond(
    reader: &mut SqliteConnection,
    environment: &EnvironmentId,
    (permissions, roles): (&[PermissionName], &[&str]),
    now: Timestamp,
    first: u32,
) -> Result<Beyond, StoreError> {
    let permissions = count(reader, BEYOND, environment, &json(permissions)?, now, first).await?;
    let roles = count(reader, ROLES_BEYOND, environment, &json(roles)?, now, first).await?;
    Ok(Beyond {
        permissions: permissions.into_iter().map(holders).collect::<Result<_, _>>()?,
        roles: roles.into_iter().map(|(role, Held { count, keys })| RoleHolders { role, count, keys }).collect(),
    })
}

/// Who holds one name.
#[derive(Default)]
struct Held {
    count: u64,
    keys: Vec<(ClientId, KeyName)>,
}

/// Runs one of the statements; what it finds, by name.
async fn count(
    reader: &mut SqliteConnection,
    statement: &'static str,
    environment: &EnvironmentId,
    names: &str,
    now: Timestamp,
    first: u32,
) -> Result<BTreeMap<String, Held>, StoreError> {
    let mut rows = sqlx::query(statement)
        .bind(environment.organization.as_str())
        .bind(environment.environment.as_str())
        .bind(now.as_unix())
        .bind(names)
        .fetch(reader);
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let mut found: BTreeMap<String, Held> = BTreeMap::new();
    while let Some(row) = rows.try_next().await.map_err(fault)? {
        let name: &str = row.try_get("held").map_err(fault)?;
        let held = match found.get_mut(name) {
            Some(held) => held,
            None => found.entry(name.to_owned()).or_default(),
        };
        held.count += 1;
        if held.keys.len() < first {
            held.keys.push(key(&row)?);
        }
    }
    Ok(found)
}

fn key(row: &SqliteRow) -> Result<(ClientId, KeyName), StoreError> {
    let (id, name): (&str, &str) = (row.try_get("client_id").map_err(fault)?, row.try_get("name").map_err(fault)?);
    let id = ClientId::parse(id).map_err(|_| StoreError::Corrupt("a key has no readable client_id".to_owned()))?;
    let name = KeyName::kept(name).map_err(|_| StoreError::Corrupt(format!("key `{id}` has no readable name")))?;
    Ok((id, name))
}

fn holders((name, Held { count, keys }): (String, Held)) -> Result<Holders, StoreError> {
    let permission = PermissionName::parse(&name)
        .map_err(|_| StoreError::Corrupt(format!("a key holds `{}`, which names no permission", quoted(&name))))?;
    Ok(Holders { permission, count, keys })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteStore;
    use sqlx::AssertSqlSafe;

    #[tokio::test]
    async fn each_walks_the_keys_of_its_environment_once_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        for statement in [HOLDING, BEYOND, ROLES_BEYOND] {
            let mut reader = store.reader().await.unwrap();
            let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                .fetch_all(&mut *reader)
                .await
                .unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(plan[0].starts_with("SEARCH api_keys USING INDEX"), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
