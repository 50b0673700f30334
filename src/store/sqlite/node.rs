//! The statements about what belongs to the node: signing keys, the bootstrap token, revoked access tokens.

use super::SqliteStore;
use super::change::REMEMBERED_SECONDS;
use super::fault::fault;
use super::row;
use super::sessions::end_operator_sessions;
use crate::model::{Act, AuditEntry, AuditTarget, SecretDigest, Timestamp};
use crate::store::{HOURS_KEPT_SECONDS, NodeStore, RevokedToken, StoreError, StoredSigningKey, Subject};
use async_trait::async_trait;
use serde_json::json;

/// Revoked tokens are kept this long beyond their end, so that a clock set back opens nothing.
const MARGIN_SECONDS: i64 = 300;

const SIGNING_KEYS: &str =
    "SELECT id, algorithm, sealed, created_at, COALESCE(signs_from, created_at) AS signs_from, ends_at
     FROM signing_keys ORDER BY created_at, revision";
const ADD_SIGNING_KEY: &str =
    "INSERT INTO signing_keys (id, algorithm, sealed, created_at, signs_from, ends_at, revision)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const REVOKED: &str = "SELECT token_id, client_id, organization, environment, expires_at FROM revoked_tokens";

/// What is over at ?1. A session that was idle for too long goes at its last end.
const ENDED: [&str; 3] = [
    "DELETE FROM invitations WHERE expires_at <= ?1",
    "DELETE FROM sessions WHERE ends_at <= ?1",
    "DELETE FROM member_tokens WHERE expires_at <= ?1",
];

/// An entry of the node's own log.
pub(super) fn entry(action: &'static str, target: Option<AuditTarget>) -> AuditEntry {
    AuditEntry {
        organization: None,
        environment: None,
        action,
        target,
        before: None,
        after: None,
        code: None,
        count: 1,
    }
}

fn signing_key_target(id: &str) -> Option<AuditTarget> {
    Some(AuditTarget { kind: "signing_key", id: id.to_owned(), name: String::new() })
}

fn token_entry(token: &RevokedToken) -> AuditEntry {
    AuditEntry {
        organization: Some(token.environment.organization.clone()),
        environment: Some(token.environment.environment.clone()),
        after: Some(json!({"client_id": token.client_id, "expires_at": token.expires_at})),
        ..entry(
            "access_token.revoke",
            Some(AuditTarget { kind: "access_token", id: token.token_id.clone(), name: String::new() }),
        )
    }
}

#[async_trait]
impl NodeStore for SqliteStore {
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
        let rows = sqlx::query(SIGNING_KEYS).fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(row::signing_key).collect()
    }

    async fn add_signing_key(
        &self,
        key: &StoredSigningKey,
        others_end_at: Option<Timestamp>,
        act: &Act,
    ) -> Result<(), StoreError> {
        let mut change = self.change(act).await?;
        let revision = change.next(&Subject::SigningKeys).await?;
        if let Some(end) = others_end_at {
            sqlx::query("UPDATE signing_keys SET ends_at = ?1 WHERE ends_at IS NULL")
                .bind(end.as_unix())
                .execute(&mut *change)
                .await
                .map_err(fault)?;
        }
        sqlx::query(ADD_SIGNING_KEY)
            .bind(&key.id)
            .bind(&key.algorithm)
            .bind(&key.sealed)
            .bind(key.created_at.as_unix())
            .bind(key.signs_from.as_unix())
            .bind(key.ends_at.map(Timestamp::as_unix))
            .bind(row::number(revision.0)?)
            .execute(&mut *change)
            .await
            .map_err(fault)?;
        let after = json!({"algorithm": key.algorithm, "signs_from": key.signs_from, "others_end_at": others_end_at});
        let entry = AuditEntry { after: Some(after), ..entry("signing_key.add", signing_key_target(&key.id)) };
        change.finish(&entry).await
    }

    async fn remove_ended_signing_keys(&self, act: &Act) -> Result<Vec<String>, StoreError> {
        let mut change = self.change(act).await?;
        let ended: Vec<String> = sqlx::query_scalar("DELETE FROM signing_keys WHERE ends_at <= ?1 RETURNING id")
            .bind(act.at.as_unix())
            .fetch_all(&mut *change)
            .await
            .map_err(fault)?;
        let Some(first) = ended.first() else { return Ok(ended) };
        change.next(&Subject::SigningKeys).await?;
        let after = json!({ "removed": ended });
        let entry = AuditEntry { after: Some(after), ..entry("signing_key.remove", signing_key_target(first)) };
        change.finish(&entry).await?;
        Ok(ended)
    }

    async fn bootstrap_digest(&self) -> Result<Option<SecretDigest>, StoreError> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT digest FROM bootstrap").fetch_optional(&self.readers).await.map_err(fault)?;
        text.map(|text| SecretDigest::parse(&text))
            .transpose()
            .map_err(|_| StoreError::Corrupt("the digest of the bootstrap token".to_owned()))
    }

    async fn set_bootstrap_digest(&self, digest: Option<&SecretDigest>, act: &Act) -> Result<(), StoreError> {
        let mut change = self.change(act).await?;
        sqlx::query("DELETE FROM bootstrap").execute(&mut *change).await.map_err(fault)?;
        if let Some(digest) = digest {
            sqlx::query("INSERT INTO bootstrap (only, digest) VALUES (1, ?1)")
                .bind(digest.to_text())
                .execute(&mut *change)
                .await
                .map_err(fault)?;
        }
        end_operator_sessions(&mut change).await?;
        change.finish(&entry(if digest.is_some() { "bootstrap.make" } else { "bootstrap.end" }, None)).await
    }

    async fn revoke_token(&self, token: &RevokedToken, act: &Act) -> Result<(), StoreError> {
        let mut change = self.change(act).await?;
        let revision = change.next(&Subject::AccessToken(token.token_id.clone())).await?;
        let done = sqlx::query(
            "INSERT INTO revoked_tokens (token_id, client_id, organization, environment, expires_at, revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .bind(&token.token_id)
        .bind(token.client_id.as_str())
        .bind(token.environment.organization.as_str())
        .bind(token.environment.environment.as_str())
        .bind(token.expires_at.as_unix())
        .bind(row::number(revision.0)?)
        .execute(&mut *change)
        .await
        .map_err(fault)?;
        if done.rows_affected() == 0 {
            return Ok(());
        }
        change.finish(&token_entry(token)).await
    }

    async fn revoked_token(&self, token_id: &str) -> Result<Option<RevokedToken>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{REVOKED} WHERE token_id = ?1")))
            .bind(token_id)
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        row.as_ref().map(row::revoked_token).transpose()
    }

    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<RevokedToken>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{REVOKED} WHERE expires_at > ?1")))
            .bind(now.plus_seconds(-MARGIN_SECONDS).as_unix())
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        rows.iter().map(row::revoked_token).collect()
    }

    async fn forget_ended(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        for statement in ENDED {
            sqlx::query(statement).bind(now.as_unix()).execute(&mut *change).await.map_err(fault)?;
        }
        sqlx::query("DELETE FROM revoked_tokens WHERE expires_at <= ?1")
            .bind(now.plus_seconds(-MARGIN_SECONDS).as_unix())
            .execute(&mut *change)
            .await
            .map_err(fault)?;
        sqlx::query("DELETE FROM idempotency WHERE at <= ?1")
            .bind(now.plus_seconds(-REMEMBERED_SECONDS).as_unix())
            .execute(&mut *change)
            .await
            .map_err(fault)?;
        change.commit().await.map_err(fault)?;
        self.forget_hours(now.plus_seconds(-HOURS_KEPT_SECONDS)).await
    }
}
