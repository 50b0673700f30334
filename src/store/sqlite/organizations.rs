//! The statements about organizations and their policies.

use super::SqliteStore;
use super::fault::fault;
use super::row;
use crate::model::{Act, AuditEntry, AuditTarget, Identifier, Revision, Timestamp};
use crate::store::{Exceeding, OrganizationChange, OrganizationStore, StoreError, StoredOrganization, Subject};
use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::time::Duration;

const BY_ID: &str =
    "SELECT id, name, made_here, block_legacy_keys, max_key_lifetime, revision FROM organizations WHERE id = ?1";
const ALL: &str =
    "SELECT id, name, made_here, block_legacy_keys, max_key_lifetime, revision FROM organizations ORDER BY id";
const WRITE: &str = "INSERT INTO organizations (id, name, made_here, block_legacy_keys, max_key_lifetime, revision)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, made_here = excluded.made_here,
         block_legacy_keys = excluded.block_legacy_keys, max_key_lifetime = excluded.max_key_lifetime,
         revision = excluded.revision";
/// A key lives from its last secret to its expiry.
/// After the columns of the lives, each with the place of its number.
const EXCEEDING: &str = " FROM api_keys
     WHERE organization = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)";

type Columns = (String, Option<String>, bool, Option<bool>, Option<i64>, i64);

fn organization(columns: Columns) -> Result<StoredOrganization, StoreError> {
    let (id, name, made_here, block_legacy_keys, longest, revision) = columns;
    let corrupt = || StoreError::Corrupt(format!("organization `{id}` is not readable"));
    let seconds = longest.map(|seconds| u64::try_from(seconds).map_err(|_| corrupt())).transpose()?;
    Ok(StoredOrganization {
        id: Identifier::parse(&id).map_err(|_| corrupt())?,
        name,
        made_here,
        block_legacy_keys,
        max_key_lifetime: seconds.map(Duration::from_secs),
        revision: row::revision(revision)?,
    })
}

async fn by_id(reader: &mut SqliteConnection, id: &Identifier) -> Result<StoredOrganization, StoreError> {
    let found: Option<Columns> = sqlx::query_as(BY_ID).bind(id.as_str()).fetch_optional(reader).await.map_err(fault)?;
    found.map_or_else(|| Ok(StoredOrganization::untouched(id.clone())), organization)
}

/// Refuses a change that was judged by other policies than those in force.
pub(super) async fn check_policies(
    change: &mut SqliteConnection,
    id: &Identifier,
    judged_by: Revision,
) -> Result<(), StoreError> {
    if by_id(change, id).await?.revision == judged_by { Ok(()) } else { Err(StoreError::PoliciesChanged) }
}

async fn write(change: &mut SqliteConnection, organization: &StoredOrganization) -> Result<(), StoreError> {
    let longest = organization.max_key_lifetime.map(|longest| row::number(longest.as_secs())).transpose()?;
    sqlx::query(WRITE)
        .bind(organization.id.as_str())
        .bind(&organization.name)
        .bind(organization.made_here)
        .bind(organization.block_legacy_keys)
        .bind(longest)
        .bind(row::number(organization.revision.0)?)
        .execute(change)
        .await
        .map_err(fault)?;
    Ok(())
}

fn changed(current: &StoredOrganization, change: &OrganizationChange, revision: Revision) -> StoredOrganization {
    StoredOrganization {
        id: current.id.clone(),
        name: change.name.clone().or_else(|| current.name.clone()),
        made_here: current.made_here || change.make,
        block_legacy_keys: change.block_legacy_keys.unwrap_or(current.block_legacy_keys),
        max_key_lifetime: change.max_key_lifetime.unwrap_or(current.max_key_lifetime),
        revision,
    }
}

fn view(organization: &StoredOrganization) -> Value {
    json!({
        "name": organization.name,
        "block_legacy_keys": organization.block_legacy_keys,
        "max_key_lifetime_seconds": organization.max_key_lifetime.map(|longest| longest.as_secs()),
    })
}

fn entry(before: &StoredOrganization, after: &StoredOrganization) -> AuditEntry {
    let made = after.made_here && !before.made_here;
    AuditEntry {
        organization: Some(after.id.clone()),
        environment: None,
        action: if made { "organization.create" } else { "organization.edit" },
        target: Some(AuditTarget {
            kind: "organization",
            id: after.id.to_string(),
            name: after.name.clone().unwrap_or_default(),
        }),
        before: (!made).then(|| view(before)),
        after: Some(view(after)),
        code: None,
        count: 1,
    }
}

#[async_trait]
impl OrganizationStore for SqliteStore {
    async fn organizations(&self) -> Result<Vec<StoredOrganization>, StoreError> {
        let rows: Vec<Columns> = sqlx::query_as(ALL).fetch_all(&self.readers).await.map_err(fault)?;
        rows.into_iter().map(organization).collect()
    }

    async fn organization(&self, id: &Identifier) -> Result<StoredOrganization, StoreError> {
        let mut reader = self.reader().await?;
        by_id(&mut reader, id).await
    }

    async fn change_organization(
        &self,
        id: &Identifier,
        wanted: &OrganizationChange,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<StoredOrganization, StoreError> {
        let mut change = self.change(act).await?;
        let before = by_id(&mut change, id).await?;
        row::check_revision(before.revision, expected)?;
        let revision = change.next(&Subject::Organization(id.clone())).await?;
        let after = changed(&before, wanted, revision);
        write(&mut change, &after).await?;
        change.finish(&entry(&before, &after)).await?;
        Ok(after)
    }

    async fn count_exceeding(
        &self,
        id: &Identifier,
        longest: &[Option<Duration>],
        now: Timestamp,
    ) -> Result<Vec<Exceeding>, StoreError> {
        let column = |at: usize| {
            format!(
                ", COUNT(CASE WHEN ?{0} IS NOT NULL AND (expires_at IS NULL
                    OR expires_at - COALESCE(rotated_at, created_at) > ?{0}) THEN 1 END)",
                at + 3
            )
        };
        let columns: String = (0..longest.len()).map(column).collect();
        let statement = AssertSqlSafe(format!("SELECT COUNT(role){columns}{EXCEEDING}"));
        let mut counting = sqlx::query(statement).bind(id.as_str()).bind(now.as_unix());
        for longest in longest {
            counting = counting.bind(longest.map(|longest| row::number(longest.as_secs())).transpose()?);
        }
        let counted = counting.fetch_one(&self.readers).await.map_err(fault)?;
        let number = |at: usize| row::count(counted.try_get(at).map_err(fault)?);
        let legacy = number(0)?;
        (1..=longest.len()).map(|at| Ok(Exceeding { legacy, lifetime: number(at)? })).collect()
    }
}
