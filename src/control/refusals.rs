//! Refused attempts, counted by the minute: a log of refusals must not become a way to fill the disk.

use super::Control;
use crate::model::{Act, Actor, AuditEntry, Identifier, Timestamp};
use crate::store::Noted;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
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

#[derive(Clone, Debug)]
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
        self.0.lock().add(attempt, Counted { first: now, request_id: request_id.to_owned(), count: 1 });
    }

    /// Everything so far, in the order in which it was first seen.
    fn take(&self) -> Vec<(Attempt, Counted)> {
        let mut taken: Vec<(Attempt, Counted)> = std::mem::take(&mut *self.0.lock()).counted.into_iter().collect();
        taken.sort_by_key(|(_, counted)| counted.first);
        taken
    }

    /// Puts back what was taken and could not be written, within the same bounds.
    fn restore(&self, taken: Vec<(Attempt, Counted)>) {
        let mut kinds = self.0.lock();
        taken.into_iter().for_each(|(attempt, counted)| kinds.add(attempt, counted));
    }
}

impl Attempt {
    fn is_strangers(&self) -> bool {
        self.actor == Actor::Anonymous
    }
}

impl Kinds {
    /// Counts attempts that are alike. Of two that share a row the earlier one gives it its instant and request.
    fn add(&mut self, attempt: Attempt, counted: Counted) {
        let attempt = self.exactly(attempt);
        match self.counted.entry(attempt) {
            Entry::Occupied(mut known) => {
                let count = known.get().count.saturating_add(counted.count);
                if counted.first < known.get().first {
                    known.insert(counted);
                }
                known.get_mut().count = count;
            }
            Entry::Vacant(place) => {
                self.strangers += usize::from(place.key().is_strangers());
                place.insert(counted);
            }
        }
    }

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

fn row((attempt, counted): &(Attempt, Counted)) -> Noted {
    let Attempt { organization, actor, address, route, code } = attempt.clone();
    let act = Act { address, request_id: counted.request_id.clone(), ..Act::of(actor, counted.first) };
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

    /// Writes the refusals counted so far to the audit log. Due every minute, and once at the end; what a store that is
    /// away does not take is due the next time.
    pub async fn write_refusals(&self) {
        let taken = self.refusals.take();
        if taken.is_empty() {
            return;
        }
        let rows: Vec<Noted> = taken.iter().map(row).collect();
        if let Err(error) = self.store.note(&rows).await {
            tracing::warn!("control: {} rows about refused attempts wait for the store: {error}", rows.len());
            self.refusals.restore(taken);
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

    fn rows(refusals: &Refusals) -> Vec<Noted> {
        refusals.take().iter().map(row).collect()
    }

    #[test]
    fn what_was_not_written_is_put_back_within_the_bounds() {
        let refusals = Refusals::default();
        let at = Timestamp::from_unix;
        for kind in 0..MAX_STRANGERS {
            refusals.note(attempt(&format!("GET /{kind}")), "early", at(0));
        }
        let taken = refusals.take();
        // Meanwhile: one that is alike, and others up to the bound.
        for kind in 0..MAX_STRANGERS {
            refusals.note(attempt(&format!("GET /{}", kind + MAX_STRANGERS - 1)), "late", at(60));
        }
        refusals.restore(taken);
        let rows = rows(&refusals);
        assert_eq!(rows.len(), MAX_STRANGERS + 1);
        assert_eq!(rows.iter().map(|row| row.entry.count).sum::<u64>(), 2 * MAX_STRANGERS as u64);
        let alike = rows.iter().find(|row| row.entry.count == 2).unwrap();
        assert_eq!((alike.act.request_id.as_str(), alike.act.at), ("early", at(0)));
        assert!(refusals.take().is_empty());
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
        let rows = rows(&refusals);
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
        let rows = rows(&refusals);
        let row = rows.iter().find(|row| row.act.actor.label() == "2@acme.example").unwrap();
        assert_eq!((row.entry.count, row.entry.after.clone()), (1, Some(json!({ "route": "*" }))));
        assert!(rows.len() <= MAX_STRANGERS + MAX_KINDS + 3, "{}", rows.len());
        for id in 0..=255 {
            for code in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                refusals.note(Attempt { code, ..of(id, "GET /a") }, "x", at);
            }
        }
        assert_eq!(refusals.take().iter().map(|(_, counted)| counted.count).sum::<u64>(), 2048);
    }
}
