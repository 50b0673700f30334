//! The statements about API keys. Each runs on the connection it is given: a change's transaction, or a reader.

use super::SqliteStore;
use super::environments::check_there;
use super::fault::fault;
use super::holders;
use super::organizations::check_policies;
use super::row::{self, check_revision, keys_sql};
use crate::model::{
    Act, Allowlist, ApiKey, AuditEntry, AuditTarget, ClientId, EnvironmentId, KeyKind, KeyStatus, Network,
    PermissionName, Revision, Timestamp, folded,
};
use crate::store::{
    Beyond, CountedAt, Holders, KeyCounts, KeyEdit, KeyFilter, KeyPage, KeyPlace, KeySort, KeyStore, NewKey, Page,
    Rotation, SortValue, StoreError, Subject,
};
use async_trait::async_trait;
use sqlx::SqliteConnection;

/// The most keys of one page.
const MAX_PAGE: u32 = 1000;

const INSERT: &str = keys_sql!(
    "INSERT INTO api_keys (client_id, organization, environment, name, name_folded, description, permissions, role,
         networks, platform, secret_digest, secret_last_four, secret_version, expires_at, created_at, created_by,
         revision, may_grant)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, ?13, ?14, ?15, ?16, ?17)
     RETURNING ",
    ""
);
const EDIT: &str = keys_sql!(
    "UPDATE api_keys SET name = ?2, name_folded = ?3, description = ?4, permissions = ?5, may_grant = ?6,
         networks = ?7, platform = ?8, revision = ?9
     WHERE client_id = ?1
     RETURNING ",
    ""
);
const ROTATE: &str = keys_sql!(
    "UPDATE api_keys SET secret_digest = ?2, secret_last_four = ?3, secret_version = secret_version + 1,
         expires_at = ?4, rotated_at = ?5, networks = ?6, platform = ?7, revision = ?8
     WHERE client_id = ?1
     RETURNING ",
    ""
);
const REVOKE: &str =
    keys_sql!("UPDATE api_keys SET revoked_at = ?2, revision = ?3 WHERE client_id = ?1 RETURNING ", "");
const BY_ID: &str = keys_sql!("SELECT ", " FROM api_keys WHERE client_id = ?1");
/// Many keys as one text.
const ALL: &str = keys_sql!(
    "SELECT json_group_array(",
    ") FROM (SELECT * FROM api_keys WHERE client_id > ?1 ORDER BY client_id LIMIT ?2)"
);
/// What a listing leaves in. Names are searched with `instr`: what a person looks for needs no escaping there and has no
/// length limit. Client ids are short and plain, and LIKE ignores their case without a copy.
macro_rules! wanted_sql {
    () => {
        "organization = ?1 AND environment = ?2
                AND (?5 IS NULL OR ?5 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                                             WHEN expires_at <= ?6 THEN 'expired'
                                             ELSE 'active' END)
                AND (?7 IS NULL OR ?7 = (role IS NOT NULL))
                AND (?8 IS NULL OR expires_at < ?8)
                AND (?9 IS NULL OR instr(name_folded, ?9) > 0 OR client_id LIKE ?12 ESCAPE '\\')
                AND (?11 IS NULL OR last_used_at IS NULL OR last_used_at < ?11)
                AND (?13 IS NULL OR newest_first > -?13)"
    };
}
/// A listing over an index; `$only` repeats the condition of a partial one. It is named, since SQLite would choose by
/// guesses at how the keys are spread.
macro_rules! list_sql {
    ($index:literal, $only:literal, $value:literal, $beyond:literal, $order:literal) => {
        concat!(
            keys_sql!("SELECT ", " FROM api_keys INDEXED BY "),
            $index,
            " WHERE ",
            wanted_sql!(),
            " AND (",
            $value,
            ", client_id) ",
            $beyond,
            " (?3, ?4) ",
            $only,
            " ORDER BY ",
            $value,
            " ",
            $order,
            ", client_id ",
            $order,
            " LIMIT ?10"
        )
    };
}
/// A listing by a look at every key of the environment, each page of the table once: for what changes with every use, which no
/// index holds. The places of all that is wanted pass through a sorter that keeps as many as fit on the page; then those are
/// read.
macro_rules! scan_sql {
    ($value:literal, $beyond:literal, $order:literal) => {
        concat!(
            keys_sql!("SELECT ", " FROM (SELECT rowid AS place, "),
            $value,
            " AS value, client_id AS id FROM api_keys INDEXED BY api_keys_in_place WHERE ",
            wanted_sql!(),
            " AND (",
            $value,
            ", client_id) ",
            $beyond,
            " (?3, ?4) ORDER BY value ",
            $order,
            ", id ",
            $order,
            " LIMIT ?10) AS page CROSS JOIN api_keys ON api_keys.rowid = page.place ORDER BY value ",
            $order,
            ", id ",
            $order
        )
    };
}
const LIST: &str = list_sql!("api_keys_newest_first", "", "newest_first", ">", "ASC");
const LIST_OLDEST: &str = list_sql!("api_keys_newest_first", "", "newest_first", "<", "DESC");
const LIST_ENDING: &str = list_sql!("api_keys_ending", "AND expires_at IS NOT NULL", "newest_first", ">", "ASC");
const LIST_LEGACY: &str = list_sql!("api_keys_legacy", "AND role IS NOT NULL", "newest_first", ">", "ASC");
const LIST_REVOKED: &str = list_sql!("api_keys_revoked", "AND revoked_at IS NOT NULL", "newest_first", ">", "ASC");
const LIST_A_TO_Z: &str = list_sql!("api_keys_by_name", "", "name_folded", ">", "ASC");
const LIST_Z_TO_A: &str = list_sql!("api_keys_by_name", "", "name_folded", "<", "DESC");
const LIST_ENDING_FIRST: &str = list_sql!("api_keys_by_end", "", "ends", ">", "ASC");
const LIST_ENDING_LAST: &str = list_sql!("api_keys_by_end", "", "ends", "<", "DESC");
const SCAN: &str = scan_sql!("newest_first", ">", "ASC");
const SCAN_OLDEST: &str = scan_sql!("newest_first", "<", "DESC");
const SCAN_A_TO_Z: &str = scan_sql!("name_folded", ">", "ASC");
const SCAN_Z_TO_A: &str = scan_sql!("name_folded", "<", "DESC");
const SCAN_ENDING_FIRST: &str = scan_sql!("ends", ">", "ASC");
const SCAN_ENDING_LAST: &str = scan_sql!("ends", "<", "DESC");
const SCAN_UNUSED_FIRST: &str = scan_sql!("COALESCE(last_used_at, -9223372036854775808)", ">", "ASC");
const SCAN_USED_FIRST: &str = scan_sql!("COALESCE(last_used_at, -9223372036854775808)", "<", "DESC");
/// Counts by an index alone, but for those that are unused.
const COUNTS: &str = "SELECT COUNT(*),
         COUNT(*) FILTER (WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)),
         COUNT(*) FILTER (WHERE revoked_at IS NULL AND expires_at > ?3 AND expires_at < ?4),
         (SELECT COUNT(*) FROM api_keys INDEXED BY api_keys_in_place
          WHERE organization = ?1 AND environment = ?2 AND newest_first > ?5 AND revoked_at IS NULL
              AND (expires_at IS NULL OR expires_at > ?3) AND (last_used_at IS NULL OR last_used_at < -?5)
              AND client_id NOT IN (SELECT value FROM json_each(?6))),
         COUNT(*) FILTER (WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3) AND role IS NOT NULL),
         COUNT(*) FILTER (WHERE revoked_at IS NULL AND expires_at <= ?3),
         COUNT(*) FILTER (WHERE revoked_at IS NOT NULL)
     FROM api_keys INDEXED BY api_keys_newest_first
     WHERE organization = ?1 AND environment = ?2 AND client_id NOT IN (SELECT value FROM json_each(?6))";

#[async_trait]
impl KeyStore for SqliteStore {
    async fn create_key(&self, key: &NewKey, act: &Act) -> Result<ApiKey, StoreError> {
        let mut change = self.change(act).await?;
        check_policies(&mut change, &key.environment.organization, key.policies).await?;
        if key.of_store {
            let role = match &key.kind {
                KeyKind::FineGrained { .. } => None,
                KeyKind::Legacy { role } => Some(role.as_str()),
            };
            check_there(&mut change, &key.environment, role).await?;
        }
        let revision = change.next(&Subject::ApiKey(key.client_id.clone())).await?;
        let made = insert(&mut change, key, revision, act).await?;
        change.finish(&entry("key.create", None, &made)).await?;
        Ok(made)
    }

    async fn key(&self, environment: &EnvironmentId, id: &ClientId) -> Result<ApiKey, StoreError> {
        let mut reader = self.reader().await?;
        of_environment(&mut reader, environment, id).await
    }

    async fn key_by_id(&self, id: &ClientId) -> Result<Option<ApiKey>, StoreError> {
        let mut reader = self.reader().await?;
        by_id(&mut reader, id).await
    }

    async fn list_keys(
        &self,
        environment: &EnvironmentId,
        filter: &KeyFilter,
        page: &Page,
    ) -> Result<KeyPage, StoreError> {
        let mut reader = self.reader().await?;
        list(&mut reader, environment, filter, page).await
    }

    async fn count_keys(
        &self,
        environment: &EnvironmentId,
        without: &[ClientId],
        at: &CountedAt,
    ) -> Result<KeyCounts, StoreError> {
        let mut reader = self.reader().await?;
        counts(&mut reader, environment, without, at).await
    }

    async fn all_keys(&self, after: Option<&ClientId>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        let mut reader = self.reader().await?;
        all(&mut reader, after, limit).await
    }

    async fn keys_holding(
        &self,
        environment: &EnvironmentId,
        permissions: &[PermissionName],
        now: Timestamp,
        first: u32,
    ) -> Result<Vec<Holders>, StoreError> {
        let mut reader = self.reader().await?;
        holders::holding(&mut reader, environment, permissions, now, first).await
    }

    async fn keys_beyond(
        &self,
        environment: &EnvironmentId,
        permissions: &[PermissionName],
        roles: &[&str],
        now: Timestamp,
        first: u32,
    ) -> Result<Beyond, StoreError> {
        let mut reader = self.reader().await?;
        holders::beyond(&mut reader, environment, (permissions, roles), now, first).await
    }

    async fn edit_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        wanted: &KeyEdit,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<ApiKey, StoreError> {
        let mut change = self.change(act).await?;
        let current = live(&mut change, environment, id, expected).await?;
        let revision = change.next(&Subject::ApiKey(id.clone())).await?;
        let edited = edit(&mut change, &current, wanted, revision).await?;
        change.finish(&entry("key.edit", Some(&current), &edited)).await?;
        Ok(edited)
    }

    async fn rotate_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        rotation: &Rotation,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<ApiKey, StoreError> {
        let mut change = self.change(act).await?;
        let current = live(&mut change, environment, id, expected).await?;
        check_policies(&mut change, &environment.organization, rotation.policies).await?;
        if rotation.of_store {
            // It may have ended, and is to live again.
            check_there(&mut change, environment, None).await?;
        }
        let revision = change.next(&Subject::ApiKey(id.clone())).await?;
        let rotated = rotate(&mut change, &current, rotation, revision, act.at).await?;
        change.finish(&entry("key.rotate", Some(&current), &rotated)).await?;
        Ok(rotated)
    }

    async fn revoke_key(
        &self,
        environment: &EnvironmentId,
        id: &ClientId,
        expected: Option<Revision>,
        act: &Act,
    ) -> Result<ApiKey, StoreError> {
        let mut change = self.change(act).await?;
        let current = of_environment(&mut change, environment, id).await?;
        if current.revoked_at.is_some() {
            return Ok(current);
        }
        check_revision(current.revision, expected)?;
        let revision = change.next(&Subject::ApiKey(id.clone())).await?;
        let revoked = revoke(&mut change, id, act.at, revision).await?;
        change.finish(&entry("key.revoke", Some(&current), &revoked)).await?;
        Ok(revoked)
    }
}

/// A key that may still change.
async fn live(
    change: &mut SqliteConnection,
    environment: &EnvironmentId,
    id: &ClientId,
    expected: Option<Revision>,
) -> Result<ApiKey, StoreError> {
    let current = of_environment(change, environment, id).await?;
    if current.revoked_at.is_some() {
        return Err(StoreError::Revoked);
    }
    check_revision(current.revision, expected)?;
    Ok(current)
}

/// What the log says of a change to a key.
fn entry(action: &'static str, before: Option<&ApiKey>, after: &ApiKey) -> AuditEntry {
    AuditEntry {
        organization: Some(after.environment.organization.clone()),
        environment: Some(after.environment.environment.clone()),
        action,
        target: Some(AuditTarget {
            kind: "key",
            id: after.client_id.to_string(),
            name: after.name.as_str().to_owned(),
        }),
        before: before.map(ApiKey::audit_view),
        after: Some(after.audit_view()),
        code: None,
        count: 1,
    }
}

/// Writes a new key. It is read back through the parse constructors before the change is committed, as is every
/// key here: what could not be loaded later is never acknowledged.
async fn insert(
    change: &mut SqliteConnection,
    key: &NewKey,
    revision: Revision,
    act: &Act,
) -> Result<ApiKey, StoreError> {
    let (permissions, role) = kind_columns(&key.kind)?;
    let (networks, platform) = allowlist_columns(key.allowlist.as_ref())?;
    let row = sqlx::query(INSERT)
        .bind(key.client_id.as_str())
        .bind(key.environment.organization.as_str())
        .bind(key.environment.environment.as_str())
        .bind(key.name.as_str())
        .bind(key.name.folded())
        .bind(&key.description)
        .bind(permissions)
        .bind(role)
        .bind(networks)
        .bind(platform)
        .bind(key.secret_digest.to_text())
        .bind(&key.secret_last_four)
        .bind(key.expires_at.map(Timestamp::as_unix))
        .bind(act.at.as_unix())
        .bind(act.actor.label())
        .bind(row::number(revision.0)?)
        .bind(grant_column(&key.may_grant)?)
        .fetch_one(change)
        .await
        .map_err(fault)?;
    row::api_key(&row)
}

/// Changes what may be edited of `current`.
async fn edit(
    change: &mut SqliteConnection,
    current: &ApiKey,
    edit: &KeyEdit,
    revision: Revision,
) -> Result<ApiKey, StoreError> {
    let (permissions, _) = match (&edit.permissions, &current.kind) {
        (Some(permissions), KeyKind::FineGrained { .. }) => (Some(json(permissions)?), None),
        (None, kind) | (Some(_), kind @ KeyKind::Legacy { .. }) => kind_columns(kind)?,
    };
    let (networks, platform) = allowlist_columns(edit.allowlist.as_ref().unwrap_or(&current.allowlist).as_ref())?;
    let name = edit.name.as_ref().unwrap_or(&current.name);
    let row = sqlx::query(EDIT)
        .bind(current.client_id.as_str())
        .bind(name.as_str())
        .bind(name.folded())
        .bind(edit.description.as_ref().unwrap_or(&current.description))
        .bind(permissions)
        .bind(grant_column(edit.may_grant.as_ref().unwrap_or(&current.may_grant))?)
        .bind(networks)
        .bind(platform)
        .bind(row::number(revision.0)?)
        .fetch_one(change)
        .await
        .map_err(fault)?;
    row::api_key(&row)
}

/// Gives `current` its new secret.
async fn rotate(
    change: &mut SqliteConnection,
    current: &ApiKey,
    rotation: &Rotation,
    revision: Revision,
    rotated_at: Timestamp,
) -> Result<ApiKey, StoreError> {
    let (networks, platform) = allowlist_columns(rotation.allowlist.as_ref().unwrap_or(&current.allowlist).as_ref())?;
    let row = sqlx::query(ROTATE)
        .bind(current.client_id.as_str())
        .bind(rotation.secret_digest.to_text())
        .bind(&rotation.secret_last_four)
        .bind(rotation.expires_at.map(Timestamp::as_unix))
        .bind(rotated_at.as_unix())
        .bind(networks)
        .bind(platform)
        .bind(row::number(revision.0)?)
        .fetch_one(change)
        .await
        .map_err(fault)?;
    row::api_key(&row)
}

/// Ends a key.
async fn revoke(
    change: &mut SqliteConnection,
    id: &ClientId,
    revoked_at: Timestamp,
    revision: Revision,
) -> Result<ApiKey, StoreError> {
    let row = sqlx::query(REVOKE)
        .bind(id.as_str())
        .bind(revoked_at.as_unix())
        .bind(row::number(revision.0)?)
        .fetch_one(change)
        .await
        .map_err(fault)?;
    row::api_key(&row)
}

/// A key wherever it works.
async fn by_id(reader: &mut SqliteConnection, id: &ClientId) -> Result<Option<ApiKey>, StoreError> {
    let row = sqlx::query(BY_ID).bind(id.as_str()).fetch_optional(reader).await.map_err(fault)?;
    row.as_ref().map(row::api_key).transpose()
}

/// A key of one environment.
async fn of_environment(
    reader: &mut SqliteConnection,
    environment: &EnvironmentId,
    id: &ClientId,
) -> Result<ApiKey, StoreError> {
    by_id(reader, id).await?.filter(|key| key.environment == *environment).ok_or(StoreError::KeyNotFound)
}

/// A batch of all keys.
async fn all(reader: &mut SqliteConnection, after: Option<&ClientId>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
    let after = after.map_or("", ClientId::as_str);
    let text: String = sqlx::query_scalar(ALL).bind(after).bind(limit).fetch_one(reader).await.map_err(fault)?;
    row::api_keys(&text)
}

/// A page of an environment's keys; one row more than asked for says whether there is another page.
async fn list(
    reader: &mut SqliteConnection,
    environment: &EnvironmentId,
    filter: &KeyFilter,
    page: &Page,
) -> Result<KeyPage, StoreError> {
    let limit = page.limit.clamp(1, MAX_PAGE);
    let (value, client_id) = begin(page);
    let query = sqlx::query(listing(filter, page))
        .bind(environment.organization.as_str())
        .bind(environment.environment.as_str());
    let query = match value {
        Bound::Number(number) => query.bind(number),
        Bound::Text(text) => query.bind(text),
        Bound::PastText => query.bind(Vec::<u8>::new()),
    };
    let rows = query
        .bind(client_id)
        .bind(filter.status.map(KeyStatus::as_str))
        .bind(filter.now.as_unix())
        .bind(filter.legacy)
        .bind(filter.expires_before.map(Timestamp::as_unix))
        .bind(filter.query.as_deref().map(folded))
        .bind(limit.saturating_add(1))
        .bind(filter.unused_since.map(Timestamp::as_unix))
        .bind(filter.query.as_deref().and_then(id_pattern))
        .bind(filter.created_before.map(Timestamp::as_unix))
        .fetch_all(reader)
        .await
        .map_err(fault)?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let keys = rows.iter().take(wanted).map(row::api_key).collect::<Result<_, _>>()?;
    Ok(KeyPage { keys, more: rows.len() > wanted })
}

/// Where a page begins, as SQLite compares it.
enum Bound<'p> {
    Number(i64),
    Text(&'p str),
    /// A blob, which is greater than any text.
    PastText,
}

/// The place after which a page begins: before the first, or after the last where places shrink.
fn begin(page: &Page) -> (Bound<'_>, &str) {
    /// Greater than any client id.
    const PAST_IDS: &str = "~";
    let bound = |value| match value {
        &SortValue::Number(number) => Bound::Number(number),
        SortValue::Text(text) => Bound::Text(text),
    };
    if let Some(KeyPlace { value, client_id }) = &page.after {
        return (bound(value), client_id.as_str());
    }
    match (page.sort, page.sort.places_grow(page.descending)) {
        (KeySort::Name, true) => (Bound::Text(""), ""),
        (KeySort::Name, false) => (Bound::PastText, PAST_IDS),
        (KeySort::Created | KeySort::Expires | KeySort::LastUsed, true) => (Bound::Number(i64::MIN), ""),
        (KeySort::Created | KeySort::Expires | KeySort::LastUsed, false) => (Bound::Number(i64::MAX), PAST_IDS),
    }
}

/// The statement that passes over the fewest keys.
const fn listing(filter: &KeyFilter, page: &Page) -> &'static str {
    let scans = filter.unused_since.is_some();
    match (page.sort, page.descending) {
        (KeySort::Created, true) if scans => SCAN,
        (KeySort::Created, true) => newest(filter),
        (KeySort::Created, false) if scans => SCAN_OLDEST,
        (KeySort::Created, false) => LIST_OLDEST,
        (KeySort::Expires, true) if scans => SCAN_ENDING_LAST,
        (KeySort::Expires, true) => LIST_ENDING_LAST,
        (KeySort::Expires, false) if scans => SCAN_ENDING_FIRST,
        (KeySort::Expires, false) => LIST_ENDING_FIRST,
        (KeySort::LastUsed, true) => SCAN_USED_FIRST,
        (KeySort::LastUsed, false) => SCAN_UNUSED_FIRST,
        (KeySort::Name, true) if scans => SCAN_Z_TO_A,
        (KeySort::Name, true) => LIST_Z_TO_A,
        (KeySort::Name, false) if scans => SCAN_A_TO_Z,
        (KeySort::Name, false) => LIST_A_TO_Z,
    }
}

/// The same for the newest first. A search looks at names, which the partial indices do not hold.
const fn newest(filter: &KeyFilter) -> &'static str {
    if filter.query.is_some() {
        return LIST;
    }
    match (filter.legacy, filter.status, filter.expires_before) {
        (Some(true), _, _) => LIST_LEGACY,
        (_, Some(KeyStatus::Revoked), _) => LIST_REVOKED,
        (_, Some(KeyStatus::Expired), _) | (_, _, Some(_)) => LIST_ENDING,
        (Some(false) | None, Some(KeyStatus::Active) | None, None) => LIST,
    }
}

/// How many keys of each kind there are.
async fn counts(
    reader: &mut SqliteConnection,
    environment: &EnvironmentId,
    without: &[ClientId],
    at: &CountedAt,
) -> Result<KeyCounts, StoreError> {
    let found: (i64, i64, i64, i64, i64, i64, i64) = sqlx::query_as(COUNTS)
        .bind(environment.organization.as_str())
        .bind(environment.environment.as_str())
        .bind(at.now.as_unix())
        .bind(at.expiring_before.as_unix())
        .bind(-at.unused_since.as_unix())
        .bind(json(without)?)
        .fetch_one(reader)
        .await
        .map_err(fault)?;
    let (total, active, expiring, unused, legacy, expired, revoked) = found;
    Ok(KeyCounts {
        total: row::count(total)?,
        active: row::count(active)?,
        expiring: row::count(expiring)?,
        unused: row::count(unused)?,
        legacy: row::count(legacy)?,
        expired: row::count(expired)?,
        revoked: row::count(revoked)?,
    })
}

/// What LIKE finds this text in a client id by; `None` where it can stand in none.
fn id_pattern(query: &str) -> Option<String> {
    ClientId::parse(query).ok().map(|part| format!("%{}%", part.as_str().replace('_', "\\_")))
}

/// The columns `permissions` and `role`.
fn kind_columns(kind: &KeyKind) -> Result<(Option<String>, Option<&str>), StoreError> {
    match kind {
        KeyKind::FineGrained { permissions } => Ok((Some(json(permissions)?), None)),
        KeyKind::Legacy { role } => Ok((None, Some(role))),
    }
}

/// The columns `networks` and `platform`.
fn allowlist_columns(allowlist: Option<&Allowlist>) -> Result<(Option<String>, bool), StoreError> {
    match allowlist {
        Some(list) => Ok((Some(json::<Network>(list.networks())?), list.platform())),
        None => Ok((None, false)),
    }
}

/// The column `may_grant`.
fn grant_column(names: &[PermissionName]) -> Result<Option<String>, StoreError> {
    if names.is_empty() { Ok(None) } else { json(names).map(Some) }
}

pub(super) fn json<T: serde::Serialize>(values: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(values).map_err(|error| StoreError::Unavailable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteStore;
    use sqlx::{AssertSqlSafe, Row};

    async fn plan(store: &SqliteStore, statement: &str) -> String {
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&store.readers)
            .await
            .unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn listings_walk_an_index_and_sort_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        for (statement, index, place) in [
            (LIST, "api_keys_newest_first", "(newest_first,client_id)>"),
            (LIST_OLDEST, "api_keys_newest_first", "(newest_first,client_id)<"),
            (LIST_ENDING, "api_keys_ending", "(newest_first,client_id)>"),
            (LIST_LEGACY, "api_keys_legacy", "(newest_first,client_id)>"),
            (LIST_REVOKED, "api_keys_revoked", "(newest_first,client_id)>"),
            (LIST_A_TO_Z, "api_keys_by_name", "(name_folded,client_id)>"),
            (LIST_Z_TO_A, "api_keys_by_name", "(name_folded,client_id)<"),
            (LIST_ENDING_FIRST, "api_keys_by_end", "(ends,client_id)>"),
            (LIST_ENDING_LAST, "api_keys_by_end", "(ends,client_id)<"),
        ] {
            let walk = format!("(organization=? AND environment=? AND {place}(?,?))");
            assert_eq!(plan(&store, statement).await, format!("SEARCH api_keys USING INDEX {index} {walk}"));
        }
        for statement in [
            SCAN,
            SCAN_OLDEST,
            SCAN_A_TO_Z,
            SCAN_Z_TO_A,
            SCAN_ENDING_FIRST,
            SCAN_ENDING_LAST,
            SCAN_UNUSED_FIRST,
            SCAN_USED_FIRST,
        ] {
            let plan = plan(&store, statement).await;
            let walk = "SEARCH api_keys USING INDEX api_keys_in_place (organization=? AND environment=?)";
            assert!(plan.contains(walk) && plan.contains("USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
        }
        let counts = plan(&store, COUNTS).await;
        let covering = "SEARCH api_keys USING COVERING INDEX api_keys_newest_first (organization=? AND environment=?)";
        assert!(counts.contains(covering), "{counts}");
        let all = plan(&store, ALL).await;
        assert!(all.contains("SEARCH api_keys USING INDEX") && !all.contains("TEMP B-TREE"), "{all}");
    }
}
