//! The list of keys: filters in the URL, so that what somebody sees can be sent to somebody else.

use super::answer::{page, page_with};
use super::chart::Spark;
use super::form::{Form, with_query};
use super::one_key::{SOON, Status, status};
use super::shell::{Section, Shell};
use super::visit::Visit;
use super::words::{Moment, number};
use crate::control::api::Refusal;
use crate::control::{ControlProblem, KeyListing, KeyQuery, ListPlace};
use crate::model::{ApiKey, EnvironmentId, KeyKind, KeyStatus, ManagedBy, PermissionName, Timestamp};
use crate::store::{KeyCounts, KeySort};
use crate::tables::EnvironmentTable;
use askama::Template;
use axum::response::Response;
use std::collections::HashSet;

/// Keys on one page.
const PAGE: u32 = 50;
/// A key that nobody used for so many seconds is told to be unused.
pub(super) const LONG: i64 = 90 * 86_400;
/// The longest text to look for, in characters.
const MOST_TEXT: usize = 200;

/// The list.
#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    shell: Shell,
    base: String,
    environment: String,
    may_change: bool,
    filters: Filters,
    tabs: Vec<Tab>,
    total: u64,
    total_text: String,
    columns: Vec<Column>,
    rows: Vec<KeyRow>,
    /// The page after this one; empty at the end.
    next: String,
    is_first: bool,
    /// Where the same is asked for again; with `failed`.
    again: String,
    failed: bool,
}

/// What the URL asks for.
#[derive(Clone, Debug, Default)]
struct Filters {
    q: String,
    status: String,
    kind: String,
    sort: String,
    cursor: String,
}

/// A ready-made filter.
struct Tab {
    name: &'static str,
    href: String,
    count: String,
    current: bool,
}

/// A column that can be sorted by.
struct Column {
    name: &'static str,
    href: String,
    /// `ascending`, `descending` or nothing.
    sorted: &'static str,
}

/// One key.
struct KeyRow {
    url: String,
    name: String,
    client_id: String,
    is_legacy: bool,
    is_of_file: bool,
    status: Status,
    holds: String,
    expires: Option<Moment>,
    last_used: Option<Moment>,
    spark: Spark,
}

pub(super) async fn list(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.environment()?;
    let filters = Filters::of(&visit.query);
    let counts = visit.control().overview(&visit.asking, &id).await.map(|overview| overview.keys);
    let listing = match &counts {
        Ok(_) => visit.control().list_keys(&visit.asking, &id, filters.query(visit.asking.act.at)).await,
        Err(_) => Err(ControlProblem::Unavailable),
    };
    match (counts, listing) {
        (Ok(counts), Ok(listing)) => page(&shown(&visit, &id, filters, &counts, Some(listing)).await?),
        // A cursor of another order: the list begins anew.
        (Ok(_), Err(ControlProblem::CursorUnknown)) => {
            Ok(super::answer::see(&filters.href(&super::base_of(&id), |it| it.cursor.clear())))
        }
        (_, Err(problem @ ControlProblem::Unavailable)) => {
            page_with(&problem.into(), &shown(&visit, &id, filters, &KeyCounts::default(), None).await?)
        }
        (_, Err(problem)) | (Err(problem), _) => Err(problem.into()),
    }
}

async fn shown(
    visit: &Visit,
    id: &EnvironmentId,
    filters: Filters,
    counts: &KeyCounts,
    listing: Option<KeyListing>,
) -> Result<KeysPage, Refusal> {
    let shell = visit.shell_in(id, Section::Keys, "API keys").await;
    let base = super::base_of(id);
    let failed = listing.is_none();
    let (keys, next) = listing.map_or_else(|| (vec![], None), |listing| (listing.keys, listing.next));
    let ids: Vec<_> = keys.iter().map(|key| key.client_id.clone()).collect();
    let hours = if ids.is_empty() { vec![] } else { visit.control().key_hours(&visit.asking, id, &ids).await? };
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let holdings = Holdings::new(environment);
    let now = visit.asking.act.at;
    let rows = keys.iter().zip(&hours).map(|(key, hours)| KeyRow::new(key, &holdings, hours, now));
    Ok(KeysPage {
        may_change: shell.here.as_ref().is_some_and(|here| here.changes_keys),
        environment: id.environment.to_string(),
        tabs: filters.tabs(&base, counts),
        columns: filters.columns(&base),
        rows: rows.collect(),
        next: next.map_or_else(String::new, |next| filters.href(&base, |it| it.cursor = next.to_text())),
        is_first: filters.cursor.is_empty(),
        again: filters.href(&base, |_| {}),
        total: counts.total,
        total_text: number(counts.total),
        failed,
        filters,
        base,
        shell,
    })
}

impl Filters {
    fn of(query: &Form) -> Self {
        let text = |name: &str| query.filled(name).unwrap_or_default().chars().take(MOST_TEXT).collect();
        Self { q: text("q"), status: text("status"), kind: text("type"), sort: text("sort"), cursor: text("cursor") }
    }

    fn is_empty(&self) -> bool {
        self.q.is_empty() && self.status.is_empty() && self.kind.is_empty()
    }

    /// What the list is asked for. A filter of another name shows what is there without it.
    fn query(&self, now: Timestamp) -> KeyQuery {
        let (sort, descending) = KeySort::parse(&self.sort).unwrap_or((KeySort::Created, true));
        let query = KeyQuery {
            limit: PAGE,
            after: ListPlace::parse(&self.cursor),
            sort,
            descending,
            legacy: match self.kind.as_str() {
                "legacy" => Some(true),
                "fine_grained" => Some(false),
                _ => None,
            },
            query: Some(self.q.clone()).filter(|q| !q.is_empty()),
            ..KeyQuery::default()
        };
        let active = Some(KeyStatus::Active);
        match self.status.as_str() {
            "active" => KeyQuery { status: active, ..query },
            "expired" => KeyQuery { status: Some(KeyStatus::Expired), ..query },
            "expiring" => KeyQuery { status: active, expires_before: Some(now.plus_seconds(SOON)), ..query },
            "revoked" => KeyQuery { status: Some(KeyStatus::Revoked), ..query },
            "unused" => {
                let since = now.plus_seconds(LONG.saturating_neg());
                KeyQuery { status: active, unused_since: Some(since), created_before: Some(since), ..query }
            }
            _ => query,
        }
    }

    fn href(&self, base: &str, change: impl FnOnce(&mut Self)) -> String {
        let mut changed = self.clone();
        change(&mut changed);
        let Self { q, status, kind, sort, cursor } = &changed;
        let pairs = [("q", q), ("status", status), ("type", kind), ("sort", sort), ("cursor", cursor)];
        with_query(&format!("{base}/keys"), &pairs.map(|(name, value)| (name, value.as_str())))
    }

    fn tabs(&self, base: &str, counts: &KeyCounts) -> Vec<Tab> {
        let tabs = [
            ("All", "", "", counts.total),
            ("Active", "active", "", counts.active),
            ("Expiring", "expiring", "", counts.expiring),
            ("Unused for 90 days", "unused", "", counts.unused),
            ("Legacy", "active", "legacy", counts.legacy),
            ("Expired", "expired", "", counts.expired),
            ("Revoked", "revoked", "", counts.revoked),
        ];
        let tab = |(name, status, kind, count): (&'static str, &str, &str, u64)| Tab {
            name,
            href: with_query(&format!("{base}/keys"), &[("status", status), ("type", kind)]),
            count: number(count),
            current: self.status == status && self.kind == kind && self.q.is_empty(),
        };
        tabs.into_iter().map(tab).collect()
    }

    fn columns(&self, base: &str) -> Vec<Column> {
        let (now, descending) = KeySort::parse(&self.sort).unwrap_or((KeySort::Created, true));
        let column = |(name, sort, first): (&'static str, KeySort, &str)| {
            let is_current = now == sort;
            let next = match (is_current, descending) {
                (true, true) => sort.as_str().to_owned(),
                (true, false) => format!("-{}", sort.as_str()),
                (false, _) => format!("{first}{}", sort.as_str()),
            };
            let href = self.href(base, |it| {
                it.sort = next;
                it.cursor.clear();
            });
            let sorted = if !is_current {
                ""
            } else if descending {
                "descending"
            } else {
                "ascending"
            };
            Column { name, href, sorted }
        };
        let columns = [
            ("Name", KeySort::Name, ""),
            ("Created", KeySort::Created, "-"),
            ("Expires", KeySort::Expires, ""),
            ("Last used", KeySort::LastUsed, "-"),
        ];
        columns.into_iter().map(column).collect()
    }
}

/// What keys hold, in a few words.
pub(super) struct Holdings<'e> {
    total: usize,
    known: HashSet<&'e str>,
    presets: Vec<(String, HashSet<PermissionName>)>,
}

impl<'e> Holdings<'e> {
    pub(super) fn new(environment: &'e EnvironmentTable) -> Self {
        let all = environment.catalogue.permissions();
        let presets =
            environment.presets().into_iter().map(|preset| (preset.name, preset.permissions.into_iter().collect()));
        Self {
            total: all.len(),
            known: all.iter().map(|permission| permission.name.as_str()).collect(),
            presets: presets.collect(),
        }
    }

    /// `12 of 45 · Read only`, `Role events`.
    pub(super) fn words(&self, key: &ApiKey) -> String {
        match &key.kind {
            KeyKind::Legacy { role } => format!("Role {role}"),
            KeyKind::FineGrained { permissions } => {
                let held: HashSet<&str> =
                    permissions.iter().map(PermissionName::as_str).filter(|name| self.known.contains(name)).collect();
                let is_same = |names: &HashSet<PermissionName>| {
                    names.len() == held.len() && names.iter().all(|name| held.contains(name.as_str()))
                };
                let preset = self.presets.iter().find(|(_, names)| is_same(names));
                let preset = preset.map_or_else(String::new, |(name, _)| format!(" · {name}"));
                let own = permissions.iter().filter(|name| name.is_reserved()).count();
                let own = if own == 0 { String::new() } else { format!(" · {own} over Portcullis") };
                format!("{} of {}{preset}{own}", held.len(), self.total)
            }
        }
    }
}

impl KeyRow {
    fn new(key: &ApiKey, holdings: &Holdings<'_>, hours: &[u64; 24], now: Timestamp) -> Self {
        Self {
            url: format!("{}/keys/{}", super::base_of(&key.environment), key.client_id),
            name: key.name.as_str().to_owned(),
            client_id: key.client_id.as_str().to_owned(),
            is_legacy: matches!(key.kind, KeyKind::Legacy { .. }),
            is_of_file: key.managed_by == ManagedBy::File,
            status: status(key, now),
            holds: holdings.words(key),
            expires: key.expires_at.map(|at| Moment::new(at, now)),
            last_used: key.last_used_at.map(|at| Moment::new(at, now)),
            spark: Spark::new(hours),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_in_the_url_and_nothing_else_is() {
        let filters = Filters::of(&Form::read(b"q=a%20b&status=expiring&type=&sort=-name&cursor=x&evil=1"));
        assert_eq!(filters.href("/k", |_| {}), "/k/keys?q=a+b&status=expiring&sort=-name&cursor=x");
        let columns = filters.columns("/k");
        let sorts: Vec<(&str, &str)> = columns.iter().map(|column| (column.sorted, column.href.as_str())).collect();
        assert_eq!(sorts[0], ("descending", "/k/keys?q=a+b&status=expiring&sort=name"));
        assert_eq!(sorts[2], ("", "/k/keys?q=a+b&status=expiring&sort=expires_at"));
    }

    #[test]
    fn what_is_unused_was_made_long_ago() {
        let now = Timestamp::from_unix(1_900_000_000);
        let query = Filters::of(&Form::read(b"status=unused")).query(now);
        assert_eq!(query.unused_since, Some(now.plus_seconds(-LONG)));
        assert_eq!((query.created_before, query.status), (query.unused_since, Some(KeyStatus::Active)));
        assert_eq!(Filters::of(&Form::read(b"status=nonsense")).query(now).status, None);
    }
}
