//! Lists of keys: those that files declare first, then those of the store, one cursor over both.

use super::Control;
use super::caller::{Asking, Right};
use super::problem::ControlProblem;
use crate::model::{ApiKey, ClientId, EnvironmentId, KeyKind, KeyStatus, ManagedBy, Timestamp, folded};
use crate::store::{KeyFilter, KeyPage, Page};
use std::cmp::Reverse;

/// What a listing asks for.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    /// At most this many, 1 to 100.
    pub limit: u32,
    /// Go on after this place.
    pub after: Option<ListPlace>,
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
}

/// A place in a listing: right after a key. One id can stand in a file and, from earlier, in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListPlace {
    /// Among the declared keys.
    File(ClientId),
    /// Among the store's.
    Store(ClientId),
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
    /// One page of an environment's keys, newest first among the declared and among the rest.
    /// Errors: `NotFound`, `NotAllowed`, `CursorUnknown`, `Unavailable`, `Fault`.
    pub async fn list_keys(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        query: KeyQuery,
    ) -> Result<KeyListing, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        let now = asking.act.at;
        let limit = usize::try_from(query.limit.max(1)).unwrap_or(usize::MAX);
        let mut keys = match &query.after {
            None => self.declared_page(environment, &query, None, now)?,
            Some(ListPlace::File(id)) => self.declared_page(environment, &query, Some(id), now)?,
            Some(ListPlace::Store(_)) => vec![],
        };
        if keys.len() > limit {
            keys.truncate(limit);
            let next = last_place(&keys);
            return Ok(KeyListing { keys, next, now });
        }
        let room = limit.saturating_sub(keys.len());
        let KeyPage { keys: kept, more } = self.stored_page(environment, query, room, now).await?;
        let goes_on = if room == 0 { !kept.is_empty() } else { more };
        keys.extend(kept.into_iter().take(room));
        let next = last_place(&keys).filter(|_| goes_on);
        // After the place is taken: a key of the store that a file declares as well is the file's.
        self.with_environment(environment, |snapshot| {
            let is_shadowed = |key: &ApiKey| snapshot.declared_key(environment, &key.client_id).is_some();
            keys.retain(|key| key.managed_by == ManagedBy::File || !is_shadowed(key));
        })?;
        Ok(KeyListing { keys, next, now })
    }

    /// The declared keys that match, after this one.
    fn declared_page(
        &self,
        environment: &EnvironmentId,
        query: &KeyQuery,
        after: Option<&ClientId>,
        now: Timestamp,
    ) -> Result<Vec<ApiKey>, ControlProblem> {
        let place = |key: &ApiKey| (Reverse(key.created_at), key.client_id.clone());
        self.with_environment(environment, |snapshot| {
            let after = match after.map(|id| snapshot.declared_key(environment, id)) {
                None => None,
                Some(Some(key)) => Some(place(key)),
                Some(None) => return Err(ControlProblem::CursorUnknown),
            };
            let matching = snapshot.declared_keys(environment).filter(|key| matches(key, query, now));
            let rest = matching.filter(|key| after.as_ref().is_none_or(|after| place(key) > *after));
            let mut keys: Vec<ApiKey> = rest.cloned().collect();
            keys.sort_by_cached_key(place);
            Ok(keys)
        })?
    }

    /// The store's keys that match. With no room left, one more tells whether the listing goes on.
    async fn stored_page(
        &self,
        environment: &EnvironmentId,
        query: KeyQuery,
        room: usize,
        now: Timestamp,
    ) -> Result<KeyPage, ControlProblem> {
        let after = match query.after {
            Some(ListPlace::Store(id)) => Some(id),
            Some(ListPlace::File(_)) | None => None,
        };
        let KeyQuery { status, legacy, query, expires_before, unused_since, .. } = query;
        let page = Page { limit: u32::try_from(room.max(1)).unwrap_or(u32::MAX), after };
        let filter = KeyFilter { status, legacy, query, expires_before, unused_since, now };
        self.store.list_keys(environment, &filter, &page).await.map_err(|error| match ControlProblem::from(error) {
            ControlProblem::NotFound => ControlProblem::CursorUnknown,
            problem => problem,
        })
    }
}

fn last_place(keys: &[ApiKey]) -> Option<ListPlace> {
    keys.last().map(|key| match key.managed_by {
        ManagedBy::Api => ListPlace::Store(key.client_id.clone()),
        ManagedBy::File => ListPlace::File(key.client_id.clone()),
    })
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
        && query.query.as_deref().is_none_or(contains)
}
