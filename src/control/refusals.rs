//! Refused attempts, counted by the minute: a log of refusals must not become a way to fill the disk.

use super::Control;
use crate::model::{Act, Actor, AuditEntry, Identifier, Timestamp};
use crate::store::Noted;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::net::IpAddr;

/// The most different refusals of strangers that are told apart in one minute; the rest share a row for each code.
const MAX_STRANGERS: usize = 100;
/// The same for callers who are known. Beyond it each of them has a row for each code, up to as many once more: nobody
/// makes another one's attempts vanish.
const MAX_KINDS: usize = 500;

/// What was refused. Attempts that are alike share a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Whose log it belongs in; `None` is the node's.
    pub organization: Option<Identifier>,
    /// Who tried.
    pub actor: Actor,
    /// From where.
    pub address: Option<IpAddr>,
    /// Method and route, such as `POST /v1/organizations/{org}`: never what stood in the path.
    pub route: String,
    /// The refusal's code.
    pub code: &'static str,
}

#[derive(Debug)]
struct Counted {
    first: Timestamp,
    request_id: String,
    count: u64,
}

/// The refusals since the last time they were taken.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Kinds>);

#[derive(Debug, Default)]
struct Kinds {
    counted: HashMap<Attempt, Counted>,
    /// How many of them are of strangers.
    strangers: usize,
}

impl Refusals {
    pub(super) fn note(&self, attempt: Attempt, request_id: &str, now: Timestamp) {
        let mut kinds = self.0.lock();
        let attempt = kinds.exactly(attempt);
        if !kinds.counted.contains_key(&attempt) && attempt.is_strangers() {
            kinds.strangers += 1;
        }
        let fresh = || Counted { first: now, request_id: request_id.to_owned(), count: 0 };
        let entry = kinds.counted.entry(attempt).or_insert_with(fresh);
        entry.count = entry.count.saturating_add(1);
    }

    fn take(&self) -> Vec<Noted> {
        let mut taken: Vec<(Attempt, Counted)> = std::mem::take(&mut *self.0.lock()).counted.into_iter().collect();
        taken.sort_by_key(|(_, counted)| counted.first);
        taken.into_iter().map(|(attempt, counted)| row(attempt, counted)).collect()
    }
}

impl Attempt {
    fn is_strangers(&self) -> bool {
        self.actor == Actor::Anonymous
    }
}

impl Kinds {
    /// An attempt as exactly as there is room for.
    fn exactly(&self, attempt: Attempt) -> Attempt {
        let known = self.counted.len().saturating_sub(self.strangers);
        let has_room = |attempt: &Attempt, most| {
            let (kinds, most) = if attempt.is_strangers() { (self.strangers, MAX_STRANGERS) } else { (known, most) };
            kinds < most || self.counted.contains_key(attempt)
        };
        if has_room(&attempt, MAX_KINDS) {
            return attempt;
        }
        let vague = Attempt { address: None, route: "*".to_owned(), ..attempt };
        if has_room(&vague, 2 * MAX_KINDS) {
            return vague;
        }
        Attempt { organization: None, actor: Actor::Anonymous, ..vague }
    }
}

fn row(attempt: Attempt, counted: Counted) -> Noted {
    let Attempt { organization, actor, address, route, code } = attempt;
    let act = Act { address, request_id: counted.request_id, ..Act::of(actor, counted.first) };
    let entry = AuditEntry {
        organization,
        environment: None,
        action: "refused",
        target: None,
        before: None,
        after: Some(json!({ "route": route })),
        code: Some(code.to_owned()),
        count: counted.count,
    };
    Noted { act, entry }
}

impl Control {
    /// Counts a refused attempt.
    pub fn note_refused(&self, attempt: Attempt, request_id: &str) {
        self.refusals.note(attempt, request_id, self.now());
    }

    /// Writes the refusals counted so far to the audit log. Due every minute, and once at the end.
    pub async fn write_refusals(&self) {
        let taken = self.refusals.take();
        if taken.is_empty() {
            return;
        }
        let rows = taken.len();
        if let Err(error) = self.store.note(&taken).await {
            tracing::warn!("control: {rows} rows about refused attempts could not be written: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MemberId;

    fn attempt(route: &str) -> Attempt {
        Attempt {
            organization: None,
            actor: Actor::Anonymous,
            address: None,
            route: route.to_owned(),
            code: "not_authenticated",
        }
    }

    #[test]
    fn alike_attempts_share_a_row_and_kinds_are_bounded() {
        let refusals = Refusals::default();
        let at = Timestamp::from_unix(0);
        for _ in 0..1000 {
            refusals.note(attempt("GET /a"), "first", at);
        }
        for kind in 0..10_000 {
            refusals.note(attempt(&format!("GET /{kind}")), "x", at);
        }
        let rows = refusals.take();
        assert_eq!(rows.len(), MAX_STRANGERS + 1);
        assert_eq!(rows.iter().map(|row| row.entry.count).sum::<u64>(), 11_000);
        assert!(rows.iter().any(|row| row.entry.count == 1000 && row.act.request_id == "first"));
        assert!(refusals.take().is_empty());
    }

    #[test]
    fn known_callers_keep_their_names_whoever_floods() {
        let refusals = Refusals::default();
        let at = Timestamp::from_unix(0);
        let of = |id: u8, route: &str| {
            let actor = Actor::Member { id: MemberId::from_entropy([id; 16]), email: format!("{id}@acme.example") };
            Attempt { actor, ..attempt(route) }
        };
        for kind in 0..10_000 {
            refusals.note(attempt(&format!("GET /{kind}")), "x", at);
            refusals.note(of(1, &format!("GET /{kind}")), "x", at);
        }
        refusals.note(of(2, "GET /a"), "x", at);
        let rows = refusals.take();
        let row = rows.iter().find(|row| row.act.actor.label() == "2@acme.example").unwrap();
        assert_eq!((row.entry.count, row.entry.after.clone()), (1, Some(json!({ "route": "*" }))));
        assert!(rows.len() <= MAX_STRANGERS + MAX_KINDS + 3, "{}", rows.len());
        for id in 0..=255 {
            for code in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                refusals.note(Attempt { code, ..of(id, "GET /a") }, "x", at);
            }
        }
        assert_eq!(refusals.take().iter().map(|row| row.entry.count).sum::<u64>(), 2048);
    }
}
