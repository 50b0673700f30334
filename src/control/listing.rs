//! Lists of keys: those that files declare among those of the store, in one order, with one cursor over both.
//!
//! By creation, which files do not tell, the declared ones count as newer than all others.

use super::Control;
use super::caller::{Asking, Right};
use super::problem::ControlProblem;
use crate::model::{ApiKey, ClientId, EnvironmentId, KeyKind, KeyStatus, ManagedBy, Timestamp, folded};
use crate::store::{KeyFilter, KeyPage, KeyPlace, KeySort, Page, SortValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// Declared keys are made so many seconds later than they say, as far as lists are concerned.
const DECLARED_LATER: i64 = 1 << 60;

/// What a listing asks for.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    /// At most this many, 1 to 100.
    pub limit: u32,
    /// Go on after this place.
    pub after: Option<ListPlace>,
    /// What it is ordered by.
    pub sort: KeySort,
    /// Whether the greatest (the newest, the last) come first.
    pub descending: bool,
    /// Only keys with this status.
    pub status: Option<KeyStatus>,
    /// `Some(true)`: only legacy keys; `Some(false)`: only fine-grained ones.
    pub legacy: Option<bool>,
    /// Only keys whose name or client id contains this text, ignoring case.
    pub query: Option<String>,
    /// Only keys that end before this instant.
    pub expires_before: Option<Timestamp>,
    /// Only keys that were not used at or after this instant.
    pub unused_since: Option<Timestamp>,
    /// Only keys that were made before this instant.
    pub created_before: Option<Timestamp>,
}

impl Default for KeyQuery {
    /// The first 50 keys, newest first.
    fn default() -> Self {
        Self {
            limit: 50,
            after: None,
            sort: KeySort::Created,
            descending: true,
            status: None,
            legacy: None,
            query: None,
            expires_before: None,
            unused_since: None,
            created_before: None,
        }
    }
}

/// A place in a listing: right after a key, wherever it is kept and whether or not it is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPlace {
    sort: KeySort,
    descending: bool,
    place: KeyPlace,
}

impl ListPlace {
    /// The text of a cursor, of letters that need no escape in a query. [`parse`](Self::parse) reads it.
    pub fn to_text(&self) -> String {
        let (sort, order) = (self.sort.as_str(), if self.descending { "-" } else { "" });
        let value = match &self.place.value {
            SortValue::Number(number) => number.to_string(),
            SortValue::Text(text) => text.clone(),
        };
        URL_SAFE_NO_PAD.encode(format!("k:{order}{sort}:{}:{value}", self.place.client_id))
    }

    /// Reads the text of a cursor; `None` where it is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.strip_prefix("k:")?.splitn(3, ':');
        let (order, client_id, value) = (parts.next()?, parts.next()?, parts.next()?);
        let (sort, descending) = KeySort::parse(order)?;
        let value = match sort {
            KeySort::Name => SortValue::Text(value.to_owned()),
            KeySort::Created | KeySort::Expires | KeySort::LastUsed => SortValue::Number(value.parse().ok()?),
        };
        let client_id = ClientId::parse(client_id).ok()?;
        Some(Self { sort, descending, place: KeyPlace { value, client_id } })
    }
}

/// One page.
#[derive(Clone, Debug)]
pub struct KeyListing {
    /// The keys.
    pub keys: Vec<ApiKey>,
    /// Where the listing goes on; `None` at its end.
    pub next: Option<ListPlace>,
    /// The instant that status is judged at.
    pub now: Timestamp,
}

impl Control {
    /// One page of an environment's keys. Where every key may have to be looked at, organizations take turns.
    /// Errors: `NotFound`, `NotAllowed`, `CursorUnknown` (a place of another order), `Busy`, `Unavailable`, `Fault`.
    pub async fn list_keys(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        query: KeyQuery,
    ) -> Result<KeyListing, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        let order = (query.sort, query.descending);
        if query.after.as_ref().is_some_and(|after| (after.sort, after.descending) != order) {
            return Err(ControlProblem::CursorUnknown);
        }
        let now = asking.act.at;
        let limit = usize::try_from(query.limit.max(1)).unwrap_or(usize::MAX);
        let declared = self.declared_page(environment, &query, now)?;
        let KeyPage { keys: kept, more } = self.stored_page(environment, query, now).await?;
        let mut keys = merged(order, declared, kept);
        let goes_on = more || keys.len() > limit;
        keys.truncate(limit);
        let (sort, descending) = order;
        let last = keys.last().filter(|_| goes_on);
        let next = last.map(|(place, _)| ListPlace { sort, descending, place: place.clone() });
        let mut keys: Vec<ApiKey> = keys.into_iter().map(|(_, key)| key).collect();
        // After the place is taken: a key of the store that a file declares as well is the file's.
        self.with_environment(environment, |snapshot| {
            let is_shadowed = |key: &ApiKey| snapshot.declared_key(environment, &key.client_id).is_some();
            keys.retain(|key| key.managed_by == ManagedBy::File || !is_shadowed(key));
        })?;
        Ok(KeyListing { keys, next, now })
    }

    /// The declared keys that match and come after the query's place.
    fn declared_page(
        &self,
        environment: &EnvironmentId,
        query: &KeyQuery,
        now: Timestamp,
    ) -> Result<Vec<ApiKey>, ControlProblem> {
        let grow = query.sort.places_grow(query.descending);
        let comes = |key: &ApiKey| {
            query.after.as_ref().is_none_or(|after| {
                let place = place(query.sort, key);
                if grow { place > after.place } else { place < after.place }
            })
        };
        self.with_environment(environment, |snapshot| {
            let matching = snapshot.declared_keys(environment).filter(|key| matches(key, query, now));
            matching.filter(|key| comes(key)).cloned().collect()
        })
    }

    /// The store's keys that match.
    async fn stored_page(
        &self,
        environment: &EnvironmentId,
        query: KeyQuery,
        now: Timestamp,
    ) -> Result<KeyPage, ControlProblem> {
        let KeyQuery { limit, after, sort, descending, status, legacy, .. } = query;
        let KeyQuery { query, expires_before, unused_since, created_before, .. } = query;
        let page = Page { limit: limit.max(1), sort, descending, after: after.map(|after| after.place) };
        let filter = KeyFilter { status, legacy, query, expires_before, unused_since, created_before, now };
        if !is_scan(&filter, sort) {
            return Ok(self.store.list_keys(environment, &filter, &page).await?);
        }
        let turn = self.scans.turn(&environment.organization).await?;
        let (store, environment) = (Arc::clone(&self.store), environment.clone());
        turn.read(async move { store.list_keys(&environment, &filter, &page).await }).await
    }
}

/// Whether the store may have to look at every key for a page.
const fn is_scan(filter: &KeyFilter, sort: KeySort) -> bool {
    filter.query.is_some() || filter.unused_since.is_some() || matches!(sort, KeySort::LastUsed)
}

/// Where a key stands in a listing of files and store.
fn place(sort: KeySort, key: &ApiKey) -> KeyPlace {
    let place = sort.place(key);
    match (sort, key.managed_by, place.value) {
        (KeySort::Created, ManagedBy::File, SortValue::Number(number)) => {
            KeyPlace { value: SortValue::Number(number - DECLARED_LATER), ..place }
        }
        (_, _, value) => KeyPlace { value, ..place },
    }
}

/// Keys of files and of the store in one order. Of two with one place the file's comes first, and hides the other.
fn merged((sort, descending): (KeySort, bool), declared: Vec<ApiKey>, kept: Vec<ApiKey>) -> Vec<(KeyPlace, ApiKey)> {
    let mut keys: Vec<_> = declared.into_iter().chain(kept).map(|key| (place(sort, &key), key)).collect();
    // Stable: what comes first stays first.
    if sort.places_grow(descending) {
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
    } else {
        keys.sort_by(|(a, _), (b, _)| b.cmp(a));
    }
    keys
}

/// What the store's filter means, for keys it does not hold.
fn matches(key: &ApiKey, query: &KeyQuery, now: Timestamp) -> bool {
    let contains = |text: &str| {
        let text = folded(text);
        key.name.folded().contains(&text) || key.client_id.as_str().to_lowercase().contains(&text)
    };
    query.status.is_none_or(|status| key.status(now) == status)
        && query.legacy.is_none_or(|legacy| matches!(key.kind, KeyKind::Legacy { .. }) == legacy)
        && query.expires_before.is_none_or(|before| key.expires_at.is_some_and(|expiry| expiry < before))
        && query.unused_since.is_none_or(|since| key.last_used_at.is_none_or(|used| used < since))
        && query.created_before.is_none_or(|before| key.created_at < before)
        && query.query.as_deref().is_none_or(contains)
}
