//! One key: what it is, what it may do and does, what was decided about it lately, and who changed it.

use super::answer::{page, page_with, see};
use super::chart::Spark;
use super::one_key::{Status, held, status};
use super::permissions::word;
use super::shell::{Section, Shell};
use super::visit::Visit;
use super::why::{FoundRow, row};
use super::words::{Moment, at_minute, at_second, counted, number};
use crate::catalogue::AccessClass;
use crate::control::api::Refusal;
use crate::control::{ControlProblem, EditDraft, FieldErrors, Right};
use crate::model::{ApiKey, EnvironmentId, KeyKind, ManagedBy, PermissionName, Timestamp};
use crate::store::{AuditFilter, OperationUse};
use crate::tables::EnvironmentTable;
use askama::Template;
use axum::response::Response;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Changes on the page; the log has the rest.
const CHANGES: u32 = 6;
/// Decisions on the page.
const DECISIONS: usize = 12;

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    shell: Shell,
    base: String,
    url: String,
    name: String,
    description: String,
    client_id: String,
    status: Status,
    /// What has just been done; empty where nothing was.
    notice: &'static str,
    changed: bool,
    is_of_file: bool,
    may_change: bool,
    /// Facts, in order.
    secret: String,
    legacy_role: Option<String>,
    expires: Option<Moment>,
    expires_second: String,
    last_used: Option<Moment>,
    last_address: String,
    created: Moment,
    created_by: String,
    rotated: Option<Moment>,
    revoked: Option<Moment>,
    revision: u64,
    networks: Vec<String>,
    more_networks: usize,
    is_open: bool,
    platform: bool,
    platform_label: String,
    platform_size: usize,
    spark: Spark,
    granted: Vec<GrantedRow>,
    total: usize,
    unused: usize,
    may_grant: Vec<String>,
    other_use: Vec<(String, String)>,
    decisions: Vec<FoundRow>,
    /// `None` where the reader may not read the log.
    changes: Option<Vec<ChangeRow>>,
    audit_url: String,
}

/// A permission that the key holds.
struct GrantedRow {
    name: String,
    access: &'static str,
    access_word: &'static str,
    /// `used 5 times`; empty where it never was.
    used: String,
    /// The API does not have it any more.
    gone: bool,
}

/// A change to the key.
struct ChangeRow {
    at: String,
    at_iso: String,
    who: String,
    what: String,
    how: String,
}

/// The most networks on the page.
const NETWORKS: usize = 12;

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.environment()?;
    let key = visit.key(&id).await?;
    page(&shown(&visit, &id, &key).await?)
}

/// Takes what was never used away, where the key is as it was looked at.
pub(super) async fn remove_unused(visit: Visit) -> Result<Response, Refusal> {
    let (id, key) = visit.key_to_change().await?;
    let url = format!("{}/keys/{}", super::base_of(&id), key.client_id);
    if visit.only_shows() {
        return Ok(see(&url));
    }
    let usage = visit.control().key_usage(&visit.asking, &id, &key.client_id).await?;
    let kept: Vec<String> = {
        let snapshot = visit.control().tables.load_full();
        let environment = snapshot.environment(&id).ok_or_else(Refusal::not_found)?;
        let rows = granted(&key, environment, &usage);
        rows.into_iter().filter(|row| !row.used.is_empty()).map(|row| row.name).collect()
    };
    let draft = EditDraft { permissions: Some(kept), ..EditDraft::default() };
    let expected = visit.expected();
    let control = visit.control();
    match control.edit_key(&visit.asking, &id, &key.client_id, draft, FieldErrors::default(), expected).await {
        Ok(_) => Ok(see(&format!("{url}?saved=1"))),
        Err(problem @ ControlProblem::RevisionMismatch { .. }) => {
            let now = visit.key(&id).await?;
            page_with(&problem.into(), &KeyPage { changed: true, ..shown(&visit, &id, &now).await? })
        }
        Err(problem) => Err(problem.into()),
    }
}

async fn shown(visit: &Visit, id: &EnvironmentId, key: &ApiKey) -> Result<KeyPage, Refusal> {
    let control = visit.control();
    let usage = control.key_usage(&visit.asking, id, &key.client_id).await?;
    let hours = control.key_hours(&visit.asking, id, std::slice::from_ref(&key.client_id)).await?;
    let decisions = control.recent_decisions(&visit.asking, id, &key.client_id)?;
    let changes = changes(visit, id, key).await?;
    let shell = visit.shell_in(id, Section::Keys, key.name.as_str()).await;
    let snapshot = control.tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let now = visit.asking.act.at;
    let base = super::base_of(id);
    let may_change = key.managed_by == ManagedBy::Api
        && visit.asking.caller.require_change_of(key).is_ok()
        && key.revoked_at.is_none();
    let granted = granted(key, environment, &usage);
    let allowlist = key.allowlist.as_ref();
    let networks = allowlist.map(|list| list.networks()).unwrap_or_default();
    Ok(KeyPage {
        url: format!("{base}/keys/{}", key.client_id),
        name: key.name.as_str().to_owned(),
        description: key.description.clone(),
        client_id: key.client_id.as_str().to_owned(),
        status: status(key, now),
        notice: notice(visit),
        changed: false,
        is_of_file: key.managed_by == ManagedBy::File,
        may_change,
        secret: secret(key),
        legacy_role: match &key.kind {
            KeyKind::FineGrained { .. } => None,
            KeyKind::Legacy { role } => Some(role.clone()),
        },
        expires: key.expires_at.map(|at| Moment::new(at, now)),
        expires_second: key.expires_at.map_or_else(String::new, at_second),
        last_used: key.last_used_at.map(|at| Moment::new(at, now)),
        last_address: key.last_address.map_or_else(String::new, |address| address.to_string()),
        created: Moment::new(key.created_at, now),
        created_by: key.created_by.clone(),
        rotated: key.rotated_at.map(|at| Moment::new(at, now)),
        revoked: key.revoked_at.map(|at| Moment::new(at, now)),
        revision: key.revision.0,
        networks: networks.iter().take(NETWORKS).map(ToString::to_string).collect(),
        more_networks: networks.len().saturating_sub(NETWORKS),
        is_open: allowlist.is_none(),
        platform: allowlist.is_some_and(|list| list.platform()),
        platform_label: environment.platform.label.clone(),
        platform_size: environment.platform.networks.len(),
        spark: Spark::new(hours.first().unwrap_or(&[0; 24])),
        total: environment.catalogue.permissions().len(),
        unused: granted.iter().filter(|row| row.used.is_empty() && !row.name.starts_with("portcullis:")).count(),
        may_grant: key.may_grant.iter().map(|name| name.as_str().to_owned()).collect(),
        other_use: other_use(key, environment, &usage),
        decisions: decisions.iter().take(DECISIONS).map(|decision| row(visit, id, decision)).collect(),
        changes,
        audit_url: format!("/o/{}/audit?target={}", id.organization, key.client_id),
        granted,
        base,
        shell,
    })
}

fn notice(visit: &Visit) -> &'static str {
    if visit.query.has("saved") {
        "Saved. The next request is decided by it."
    } else if visit.query.has("revoked") {
        "Revoked. Every request and token of this key is refused."
    } else {
        ""
    }
}

fn secret(key: &ApiKey) -> String {
    let version = format!("version {}", key.secret_version.0);
    if key.secret_last_four.is_empty() { version } else { format!("ends in {}, {version}", key.secret_last_four) }
}

/// Every permission of the key, with what it was used for.
fn granted(key: &ApiKey, environment: &EnvironmentTable, usage: &[OperationUse]) -> Vec<GrantedRow> {
    let names = match &key.kind {
        KeyKind::FineGrained { .. } => held(key),
        KeyKind::Legacy { role } => environment
            .role(role)
            .map_or_else(Vec::new, |role| role.permissions.iter().map(|name| name.as_str().to_owned()).collect()),
    };
    let used: HashMap<&str, u64> = usage.iter().map(|used| (used.operation.as_str(), used.count)).collect();
    let all: HashMap<&str, _> = environment.catalogue.permissions().iter().map(|it| (it.name.as_str(), it)).collect();
    let row = |name: String| {
        let known = all.get(name.as_str());
        let count = known.map_or(0, |permission| {
            permission
                .operations
                .iter()
                .filter_map(|it| used.get(&*it.id))
                .fold(0_u64, |sum, count| sum.saturating_add(*count))
        });
        let own = name.starts_with(crate::model::RESERVED_PREFIX);
        let class = known.map_or(AccessClass::Write, |permission| AccessClass::of(permission));
        GrantedRow {
            access: class.as_str(),
            access_word: word(class),
            used: match (own, count) {
                (true, _) => "over Portcullis itself".to_owned(),
                (false, 0) => String::new(),
                (false, count) => format!("used {}", counted(count, "time")),
            },
            gone: known.is_none() && !own,
            name,
        }
    };
    names.into_iter().map(row).collect()
}

/// What the key did once and has no permission for any more.
fn other_use(key: &ApiKey, environment: &EnvironmentTable, usage: &[OperationUse]) -> Vec<(String, String)> {
    let held: HashSet<&str> = match &key.kind {
        KeyKind::Legacy { .. } => return vec![],
        KeyKind::FineGrained { permissions } => permissions.iter().map(PermissionName::as_str).collect(),
    };
    let open: HashSet<&str> = environment
        .catalogue
        .permissions()
        .iter()
        .filter(|permission| held.contains(permission.name.as_str()))
        .flat_map(|permission| permission.operations.iter().map(|it| &*it.id))
        .collect();
    let others = usage.iter().filter(|used| !open.contains(used.operation.as_str()));
    others.take(20).map(|used| (used.operation.clone(), number(used.count))).collect()
}

/// Who changed the key, newest first; `None` for those who may not read the log, or where it is busy.
async fn changes(visit: &Visit, id: &EnvironmentId, key: &ApiKey) -> Result<Option<Vec<ChangeRow>>, Refusal> {
    if visit.asking.caller.require(Right::Manage, &id.organization).is_err() {
        return Ok(None);
    }
    let filter = AuditFilter { target: Some(key.client_id.as_str().to_owned()), ..AuditFilter::default() };
    match visit.control().audit_page(&visit.asking, &Some(id.organization.clone()), &filter, None, CHANGES).await {
        Ok(page) => Ok(Some(page.rows.iter().filter_map(|(_, text)| change(text)).collect())),
        Err(ControlProblem::LogBusy { .. }) => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

fn change(text: &str) -> Option<ChangeRow> {
    let row: Value = serde_json::from_str(text).ok()?;
    let at = Timestamp::parse(row.get("at")?.as_str()?).ok()?;
    let what = match row.get("action")?.as_str()? {
        "key.create" => "Created".to_owned(),
        "key.edit" => "Edited".to_owned(),
        "key.revoke" => "Revoked".to_owned(),
        "key.rotate" => "Rotated".to_owned(),
        other => other.to_owned(),
    };
    let empty = Value::Null;
    let how = differences(row.get("before").unwrap_or(&empty), row.get("after").unwrap_or(&empty));
    let who = row.get("actor")?.get("name")?.as_str()?.to_owned();
    Some(ChangeRow { at: at_minute(at), at_iso: at.to_string(), who, what, how })
}

/// What a change changed, in a few words.
fn differences(before: &Value, after: &Value) -> String {
    let mut told = vec![];
    if before.is_null() {
        let permissions = after.get("permissions").and_then(Value::as_array).map_or(0, Vec::len);
        return if permissions == 0 { String::new() } else { counted(permissions as u64, "permission") };
    }
    for member in
        ["name", "description", "permissions", "role", "allowlist", "expires_at", "secret_version", "may_grant"]
    {
        let (old, new) = (before.get(member), after.get(member));
        if old == new {
            continue;
        }
        told.push(match member {
            "permissions" => sets(old, new),
            "secret_version" => format!("secret version {} → {}", plain(old), plain(new)),
            "expires_at" => format!("expiry {}", plain(new)),
            "name" => format!("name was “{}”", plain(old)),
            other => other.replace('_', " "),
        });
    }
    told.join(", ")
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "never".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `+ a − b` of two lists; long ones by number.
fn sets(old: Option<&Value>, new: Option<&Value>) -> String {
    const MOST: usize = 4;
    let signed = |sign: char, names: Vec<&str>| match names.len() {
        0 => String::new(),
        1..=MOST => names.iter().map(|name| format!("{sign} {name}")).collect::<Vec<_>>().join(" "),
        many => format!("{sign} {}", counted(many as u64, "permission")),
    };
    format!("{} {}", signed('+', missing(new, old)), signed('−', missing(old, new))).trim().to_owned()
}

/// What stands in the first list and not in the second, in order.
fn missing<'v>(all: Option<&'v Value>, known: Option<&'v Value>) -> Vec<&'v str> {
    let texts =
        |value: Option<&'v Value>| value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let known: HashSet<&str> = texts(known).collect();
    texts(all).filter(|name| !known.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_told_in_a_few_words() {
        let before = json!({"name": "a", "permissions": ["x", "y"], "secret_version": 1, "expires_at": null});
        let after =
            json!({"name": "b", "permissions": ["y", "z"], "secret_version": 2, "expires_at": "2027-01-01T00:00:00Z"});
        assert_eq!(
            differences(&before, &after),
            "name was “a”, + z − x, expiry 2027-01-01T00:00:00Z, secret version 1 → 2"
        );
        assert_eq!(differences(&Value::Null, &after), "2 permissions");
        assert_eq!(differences(&before, &before), "");
    }
}
