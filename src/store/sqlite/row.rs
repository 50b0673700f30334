//! Rows to values: everything goes back through the model's constructors. A row that does not parse is
//! [`StoreError::Corrupt`] and names the key by its client id, never by anything secret.

use crate::model::{
    Allowlist, ApiKey, ClientId, EnvironmentId, Identifier, KeyKind, KeyName, ManagedBy, MemberId, Network,
    PermissionName, Revision, SecretDigest, SecretVersion, Timestamp,
};
use crate::store::{Change, RevokedToken, StoreError, StoredSigningKey, Subject};
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use std::borrow::Cow;

/// A key as one JSON array, in a statement: `keys_sql!("SELECT ", " FROM api_keys")`. One text a key is a third of the
/// work of one value a column. The columns are named one by one: a later version of Portcullis may add some while this
/// process still runs.
macro_rules! keys_sql {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "json_array(client_id, organization, environment, name, description, permissions, role, may_grant, ",
            "networks, platform, secret_digest, secret_last_four, secret_version, expires_at, created_at, created_by, ",
            "rotated_at, revoked_at, last_used_at, last_address, revision)",
            $after
        )
    };
}
pub(super) use keys_sql;

/// The columns of [`keys_sql`], in its order.
#[derive(Deserialize)]
struct KeyColumns<'k> {
    #[serde(borrow)]
    client_id: Cow<'k, str>,
    #[serde(borrow)]
    organization: Cow<'k, str>,
    #[serde(borrow)]
    environment: Cow<'k, str>,
    #[serde(borrow)]
    name: Cow<'k, str>,
    description: String,
    permissions: Option<String>,
    role: Option<String>,
    may_grant: Option<String>,
    networks: Option<String>,
    platform: i64,
    #[serde(borrow)]
    secret_digest: Cow<'k, str>,
    secret_last_four: String,
    secret_version: i64,
    expires_at: Option<i64>,
    created_at: i64,
    created_by: String,
    rotated_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    last_address: Option<String>,
    revision: i64,
}

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
        instant(seconds).map(Some).ok_or_else(|| self.corrupt(column))
    }

    fn positive(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|_| self.corrupt(column))
    }

    /// A text column through a parse constructor.
    fn parsed<T, E>(&self, column: &'static str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, StoreError> {
        parse(self.get(column)?).map_err(|_| self.corrupt(column))
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("{} has no readable {what}", self.name))
    }
}

/// A key from a row of [`keys_sql`].
pub(super) fn api_key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let text: &str = row.try_get(0).map_err(|_| StoreError::Corrupt("a key is not readable".to_owned()))?;
    serde_json::from_str(text).map_err(|error| unreadable(&error)).and_then(key)
}

/// Keys from an array of what [`keys_sql`] selects.
pub(super) fn api_keys(text: &str) -> Result<Vec<ApiKey>, StoreError> {
    let all: Vec<KeyColumns<'_>> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    all.into_iter().map(key).collect()
}

/// The words of the parser are about types and places; none repeats a value of ours.
fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(format!("a key is not readable ({:?} at column {})", error.classify(), error.column()))
}

fn key(columns: KeyColumns<'_>) -> Result<ApiKey, StoreError> {
    let client_id = ClientId::parse(&columns.client_id)
        .map_err(|_| StoreError::Corrupt("a key has no readable client_id".to_owned()))?;
    let named = Named(&client_id);
    let kind = kind(&columns, &named)?;
    let allowlist = allowlist(&columns, &named)?;
    let may_grant = named.list("may_grant", columns.may_grant.as_deref(), PermissionName::parse)?;
    Ok(ApiKey {
        environment: EnvironmentId {
            organization: named.parsed("organization", Identifier::parse(&columns.organization))?,
            environment: named.parsed("environment", Identifier::parse(&columns.environment))?,
        },
        name: named.parsed("name", KeyName::kept(&columns.name))?,
        description: columns.description,
        kind,
        may_grant: may_grant.unwrap_or_default(),
        allowlist,
        secret_digest: named.parsed("secret_digest", SecretDigest::parse(&columns.secret_digest))?,
        secret_last_four: columns.secret_last_four,
        secret_version: SecretVersion(named.positive("secret_version", columns.secret_version)?),
        expires_at: named.optional_instant("expires_at", columns.expires_at)?,
        created_at: named.instant("created_at", columns.created_at)?,
        created_by: columns.created_by,
        rotated_at: named.optional_instant("rotated_at", columns.rotated_at)?,
        revoked_at: named.optional_instant("revoked_at", columns.revoked_at)?,
        last_used_at: named.optional_instant("last_used_at", columns.last_used_at)?,
        last_address: columns.last_address.and_then(|text| text.parse().ok()),
        revision: Revision(named.positive("revision", columns.revision)?),
        managed_by: ManagedBy::Api,
        client_id,
    })
}

/// How messages name a key.
struct Named<'k>(&'k ClientId);

impl Named<'_> {
    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("key `{}` has no readable {what}", self.0))
    }

    fn parsed<T, E>(&self, column: &'static str, parsed: Result<T, E>) -> Result<T, StoreError> {
        parsed.map_err(|_| self.corrupt(column))
    }

    fn positive(&self, column: &'static str, number: i64) -> Result<u64, StoreError> {
        self.parsed(column, u64::try_from(number))
    }

    fn instant(&self, column: &'static str, seconds: i64) -> Result<Timestamp, StoreError> {
        instant(seconds).ok_or_else(|| self.corrupt(column))
    }

    fn optional_instant(&self, column: &'static str, seconds: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
        seconds.map(|seconds| self.instant(column, seconds)).transpose()
    }

    /// A JSON array of text, each through a parse constructor; `None` for NULL.
    fn list<T, E>(
        &self,
        column: &'static str,
        json: Option<&str>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, StoreError> {
        let Some(json) = json else { return Ok(None) };
        let texts: Vec<Cow<'_, str>> = self.parsed(column, serde_json::from_str(json))?;
        let values: Result<_, E> = texts.iter().map(|text| parse(text)).collect();
        self.parsed(column, values).map(Some)
    }
}

fn kind(columns: &KeyColumns<'_>, named: &Named<'_>) -> Result<KeyKind, StoreError> {
    let permissions = named.list("permissions", columns.permissions.as_deref(), PermissionName::parse)?;
    match (permissions, &columns.role) {
        (Some(permissions), None) if !permissions.is_empty() => Ok(KeyKind::FineGrained { permissions }),
        (None, Some(role)) => Ok(KeyKind::Legacy { role: role.clone() }),
        _ => Err(named.corrupt("permissions")),
    }
}

/// Fails closed: networks that do not parse are damage, never "any address".
fn allowlist(columns: &KeyColumns<'_>, named: &Named<'_>) -> Result<Option<Allowlist>, StoreError> {
    let networks = named.list("networks", columns.networks.as_deref(), Network::parse)?;
    let Some(networks) = networks else { return Ok(None) };
    named.parsed("networks", Allowlist::new(networks, columns.platform == 1)).map(Some)
}

/// Seconds that are an instant; SQLite keeps others too.
fn instant(seconds: i64) -> Option<Timestamp> {
    let instant = Timestamp::from_unix(seconds);
    (instant.as_unix() == seconds).then_some(instant)
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
