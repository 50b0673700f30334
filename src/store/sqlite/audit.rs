//! The statements about the audit log.

use super::SqliteStore;
use super::fault::fault;
use super::row;
use crate::model::{Act, AuditEntry, ChainHead, Identifier, Timestamp};
use crate::store::{AuditFilter, AuditPage, AuditStore, Noted, StoreError};
use async_trait::async_trait;
use sqlx::SqliteConnection;

/// The most rows of one page.
const MAX_PAGE: u32 = 1000;

const PAGE: &str = "SELECT number, text FROM audit
    WHERE chain = ?1 AND number < ?2
      AND (?3 IS NULL OR action = ?3)
      AND (?4 IS NULL OR target = ?4)
      AND (?5 IS NULL OR text ->> '$.actor.id' = ?5 OR text ->> '$.actor.name' = ?5 OR text ->> '$.actor.type' = ?5)
      AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7)
    ORDER BY number DESC LIMIT ?8";
const ROWS: &str = "SELECT number, text FROM audit WHERE chain = ?1 AND number > ?2 ORDER BY number LIMIT ?3";

/// The name of a chain: the organization's id, or nothing for the node.
fn name(chain: Option<&Identifier>) -> &str {
    chain.map_or("", Identifier::as_str)
}

/// Adds a row to its chain, in the transaction of the change it tells of.
pub(super) async fn append(change: &mut SqliteConnection, entry: &AuditEntry, act: &Act) -> Result<(), StoreError> {
    let chain = name(entry.organization.as_ref());
    let sealed = head(change, chain).await?.seal(entry, act);
    let number = row::number(sealed.number)?;
    sqlx::query("INSERT INTO audit (chain, number, text) VALUES (?1, ?2, ?3)")
        .bind(chain)
        .bind(number)
        .bind(&sealed.text)
        .execute(&mut *change)
        .await
        .map_err(fault)?;
    sqlx::query(
        "INSERT INTO audit_heads (chain, number, hash) VALUES (?1, ?2, ?3)
         ON CONFLICT (chain) DO UPDATE SET number = excluded.number, hash = excluded.hash",
    )
    .bind(chain)
    .bind(number)
    .bind(&sealed.hash)
    .execute(change)
    .await
    .map_err(fault)?;
    Ok(())
}

async fn head(reader: &mut SqliteConnection, chain: &str) -> Result<ChainHead, StoreError> {
    let found: Option<(i64, String)> = sqlx::query_as("SELECT number, hash FROM audit_heads WHERE chain = ?1")
        .bind(chain)
        .fetch_optional(reader)
        .await
        .map_err(fault)?;
    match found {
        Some((number, hash)) => Ok(ChainHead { number: row::count(number)?, hash }),
        None => Ok(ChainHead::default()),
    }
}

fn numbered(rows: Vec<(i64, String)>) -> Result<Vec<(u64, String)>, StoreError> {
    rows.into_iter().map(|(number, text)| Ok((row::count(number)?, text))).collect()
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit_page(
        &self,
        chain: Option<&Identifier>,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, StoreError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut rows: Vec<(i64, String)> = sqlx::query_as(PAGE)
            .bind(name(chain))
            .bind(before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX)))
            .bind(&filter.action)
            .bind(&filter.target)
            .bind(&filter.actor)
            .bind(filter.since.as_ref().map(Timestamp::to_string))
            .bind(filter.until.as_ref().map(Timestamp::to_string))
            .bind(limit.saturating_add(1))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        Ok(AuditPage { rows: numbered(rows)?, more })
    }

    async fn audit_rows(
        &self,
        chain: Option<&Identifier>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(ROWS)
            .bind(name(chain))
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(limit.clamp(1, MAX_PAGE))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        numbered(rows)
    }

    async fn audit_head(&self, chain: Option<&Identifier>) -> Result<ChainHead, StoreError> {
        let mut reader = self.reader().await?;
        head(&mut reader, name(chain)).await
    }

    async fn note(&self, noted: &[Noted]) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        for Noted { act, entry } in noted {
            append(&mut change, entry, act).await?;
        }
        change.commit().await.map_err(fault)
    }
}
