//! Rows to values: everything goes back through the model's constructors. A row that does not parse is
//! [`StoreError::Corrupt`] and names the key by its client id, never by anything secret.

use crate::model::{
    Allowlist, ApiKey, ClientId, EnvironmentId, Identifier, KeyKind, KeyName, ManagedBy, MemberId, Network,
    PermissionName, Revision, SecretDigest, SecretVersion, Timestamp,
};
use crate::store::{Change, RevokedToken, StoreError, StoredSigningKey, Subject};
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

/// The columns of `api_keys` that [`api_key`] reads, in a statement: `keys_sql!("SELECT ", " FROM api_keys")`.
/// Named one by one: a later version of Portcullis may add columns while this process still runs.
macro_rules! keys_sql {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "client_id, organization, environment, name, description, permissions, role, may_grant, networks, platform, ",
            "secret_digest, secret_last_four, secret_version, expires_at, created_at, created_by, rotated_at, ",
            "revoked_at, last_used_at, last_address, revision",
            $after
        )
    };
}
pub(super) use keys_sql;

/// A row and how messages name it.
struct Record<'r> {
    row: &'r SqliteRow,
    name: String,
}

impl<'r> Record<'r> {
    fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(&self, column: &'static str) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(|_| self.corrupt(column))
    }

    fn instant(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.optional_instant(column)?.ok_or_else(|| self.corrupt(column))
    }

    fn optional_instant(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let Some(seconds) = self.get::<Option<i64>>(column)? else { return Ok(None) };
        let instant = Timestamp::from_unix(seconds);
        if instant.as_unix() == seconds { Ok(Some(instant)) } else { Err(self.corrupt(column)) }
    }

    fn positive(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|_| self.corrupt(column))
    }

    /// A text column through a parse constructor.
    fn parsed<T, E>(&self, column: &'static str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, StoreError> {
        parse(self.get(column)?).map_err(|_| self.corrupt(column))
    }

    /// A column that holds a JSON array of text, each through a parse constructor; `None` for NULL.
    fn parsed_list<T, E>(
        &self,
        column: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, StoreError> {
        let Some(json) = self.get::<Option<&str>>(column)? else { return Ok(None) };
        let texts: Vec<String> = serde_json::from_str(json).map_err(|_| self.corrupt(column))?;
        let values: Result<_, E> = texts.iter().map(|text| parse(text)).collect();
        values.map(Some).map_err(|_| self.corrupt(column))
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("{} has no readable {what}", self.name))
    }
}

/// A key from the columns of [`keys_sql`].
pub(super) fn api_key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let id: &str = row.try_get("client_id").unwrap_or_default();
    let client_id =
        ClientId::parse(id).map_err(|_| StoreError::Corrupt("a key has no readable client_id".to_owned()))?;
    let record = Record { row, name: format!("key `{client_id}`") };
    Ok(ApiKey {
        environment: EnvironmentId {
            organization: record.parsed("organization", Identifier::parse)?,
            environment: record.parsed("environment", Identifier::parse)?,
        },
        name: record.parsed("name", KeyName::kept)?,
        description: record.get("description")?,
        kind: kind(&record)?,
        may_grant: record.parsed_list("may_grant", PermissionName::parse)?.unwrap_or_default(),
        allowlist: allowlist(&record)?,
        secret_digest: record.parsed("secret_digest", SecretDigest::parse)?,
        secret_last_four: record.get("secret_last_four")?,
        secret_version: SecretVersion(record.positive("secret_version")?),
        expires_at: record.optional_instant("expires_at")?,
        created_at: record.instant("created_at")?,
        created_by: record.get("created_by")?,
        rotated_at: record.optional_instant("rotated_at")?,
        revoked_at: record.optional_instant("revoked_at")?,
        last_used_at: record.optional_instant("last_used_at")?,
        last_address: record.get::<Option<&str>>("last_address")?.and_then(|text| text.parse().ok()),
        revision: Revision(record.positive("revision")?),
        managed_by: ManagedBy::Api,
        client_id,
    })
}

fn kind(record: &Record<'_>) -> Result<KeyKind, StoreError> {
    let permissions = record.parsed_list("permissions", PermissionName::parse)?;
    match (permissions, record.get::<Option<String>>("role")?) {
        (Some(permissions), None) if !permissions.is_empty() => Ok(KeyKind::FineGrained { permissions }),
        (None, Some(role)) => Ok(KeyKind::Legacy { role }),
        _ => Err(record.corrupt("permissions")),
    }
}

/// Fails closed: networks that do not parse are damage, never "any address".
fn allowlist(record: &Record<'_>) -> Result<Option<Allowlist>, StoreError> {
    let Some(networks) = record.parsed_list("networks", Network::parse)? else { return Ok(None) };
    let platform = record.get::<i64>("platform")? == 1;
    Allowlist::new(networks, platform).map(Some).map_err(|_| record.corrupt("networks"))
}

/// A signing key from `id, algorithm, sealed, created_at, signs_from, ends_at`.
pub(super) fn signing_key(row: &SqliteRow) -> Result<StoredSigningKey, StoreError> {
    let id: String = row.try_get("id").unwrap_or_default();
    let record = Record { row, name: format!("signing key `{id}`") };
    Ok(StoredSigningKey {
        algorithm: record.get("algorithm")?,
        sealed: record.get("sealed")?,
        created_at: record.instant("created_at")?,
        signs_from: record.instant("signs_from")?,
        ends_at: record.optional_instant("ends_at")?,
        id,
    })
}

/// A revoked token from `token_id, client_id, organization, environment, expires_at`.
pub(super) fn revoked_token(row: &SqliteRow) -> Result<RevokedToken, StoreError> {
    let record = Record { row, name: "a revoked token".to_owned() };
    Ok(RevokedToken {
        token_id: record.get("token_id")?,
        client_id: record.parsed("client_id", ClientId::parse)?,
        environment: EnvironmentId {
            organization: record.parsed("organization", Identifier::parse)?,
            environment: record.parsed("environment", Identifier::parse)?,
        },
        expires_at: record.instant("expires_at")?,
    })
}

/// An entry of the feed from `revision, subject, client_id, target`.
pub(super) fn change(row: &SqliteRow) -> Result<Change, StoreError> {
    let record = Record { row, name: "an entry of the change feed".to_owned() };
    let subject = match record.get::<&str>("subject")? {
        "access_token" => Subject::AccessToken(record.get("target")?),
        "api_key" => Subject::ApiKey(record.parsed("client_id", ClientId::parse)?),
        "member" => Subject::Member(record.parsed("target", MemberId::parse)?),
        "organization" => Subject::Organization(record.parsed("target", Identifier::parse)?),
        "signing_keys" => Subject::SigningKeys,
        // Written by a later version, beside which this process still runs.
        _ => Subject::Other,
    };
    Ok(Change { revision: Revision(record.positive("revision")?), subject })
}

/// A revision as SQLite counts.
pub(super) fn revision(number: i64) -> Result<Revision, StoreError> {
    count(number).map(Revision)
}

/// A number that is never negative.
pub(super) fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("`{number}` stands where numbers only grow")))
}

/// Refuses a change of an object that has changed since.
pub(super) fn check_revision(current: Revision, expected: Option<Revision>) -> Result<(), StoreError> {
    match expected {
        Some(expected) if expected != current => Err(StoreError::RevisionMismatch { current }),
        _ => Ok(()),
    }
}

/// A number for SQLite, whose integers have a sign.
pub(super) fn number(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Unavailable(format!("`{value}` is past what SQLite can count")))
}
