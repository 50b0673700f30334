//! Who did what, and the chain that makes it hard to deny: one row a change, each bound to the one before it.
//!
//! A row is a JSON object. Its hash is the SHA-256 of its canonical text (members sorted by name, no space, no member
//! `hash`), which holds the hash of the row before: a row that is changed, removed or moved breaks the chain. The same
//! text comes out of any JSON library, so that an exported log can be verified away from the node.

use super::{ClientId, Identifier, MemberId, Timestamp, hex, strict_json};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who asks for a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// Nobody that is known.
    Anonymous,
    /// A tenant file.
    File,
    /// A management key.
    Key(ClientId),
    /// A member.
    Member {
        /// Whose id this is.
        id: MemberId,
        /// The email address, for people.
        email: String,
    },
    /// The node itself: what is due, nobody asked.
    Node,
    /// The node's operator, by the bootstrap token or on the node's own machine.
    Operator,
}

impl Actor {
    /// The name of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::File => "file",
            Self::Key(_) => "key",
            Self::Member { .. } => "member",
            Self::Node => "node",
            Self::Operator => "operator",
        }
    }

    /// Its id, where its kind has many.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Key(id) => Some(id.as_str()),
            Self::Member { id, .. } => Some(id.as_str()),
            Self::Anonymous | Self::File | Self::Node | Self::Operator => None,
        }
    }

    /// What `created_by` says: an email address, a client id, or the kind.
    pub fn label(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::Member { email, .. } => email,
            Self::Anonymous | Self::File | Self::Node | Self::Operator => self.kind(),
        }
    }

    fn to_json(&self) -> Value {
        json!({"type": self.kind(), "id": self.id(), "name": self.label()})
    }
}

/// A request that is repeated under one key is done once (`Idempotency-Key`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key that the caller chose.
    pub key: String,
    /// What was asked, as a digest: the same key with another one is refused.
    pub fingerprint: String,
}

/// The circumstances of a change: who, from where, in which request, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub actor: Actor,
    /// From where.
    pub address: Option<IpAddr>,
    /// The `X-Request-Id` of the request; empty where there was none.
    pub request_id: String,
    /// When.
    pub at: Timestamp,
    /// What makes it happen once.
    pub idempotency: Option<Idempotency>,
}

impl Act {
    /// Something that happens outside any request.
    pub const fn of(actor: Actor, at: Timestamp) -> Self {
        Self { actor, address: None, request_id: String::new(), at, idempotency: None }
    }
}

/// What an act was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditTarget {
    /// The kind of object: `key`, `member`, `organization`, ...
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name for people; empty where it has none.
    pub name: String,
}

/// What the log says of an act besides its circumstances. Nothing here is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The organization whose log it belongs to; `None` is the node's own.
    pub organization: Option<Identifier>,
    /// The environment within it.
    pub environment: Option<Identifier>,
    /// `key.create` and the like.
    pub action: &'static str,
    /// What it was about.
    pub target: Option<AuditTarget>,
    /// The object before.
    pub before: Option<Value>,
    /// The object after.
    pub after: Option<Value>,
    /// The refusal's code, where it was refused.
    pub code: Option<String>,
    /// How often within the minute; 1 for a change.
    pub count: u64,
}

/// One row of a chain, sealed. `text` is the JSON object with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number in its chain, from 1.
    pub number: u64,
    /// The whole row as canonical JSON.
    pub text: String,
    /// Its hash: 64 hexadecimal digits.
    pub hash: String,
}

/// Where a chain stands: the number and hash of its last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// 0 before the first row.
    pub number: u64,
    /// 64 hexadecimal digits.
    pub hash: String,
}

impl Default for ChainHead {
    fn default() -> Self {
        Self { number: 0, hash: "0".repeat(64) }
    }
}

impl ChainHead {
    /// The row that comes next.
    pub fn seal(&self, entry: &AuditEntry, act: &Act) -> AuditRow {
        let number = self.number.saturating_add(1);
        let mut row = json!({
            "number": number,
            "at": act.at,
            "organization": entry.organization,
            "environment": entry.environment,
            "actor": act.actor.to_json(),
            "action": entry.action,
            "target": entry.target.as_ref().map(|target| json!({"type": target.kind, "id": target.id, "name": target.name})),
            "address": act.address,
            "request_id": act.request_id,
            "before": entry.before,
            "after": entry.after,
            "code": entry.code,
            "count": entry.count,
            "previous": self.hash,
        });
        let hash = digest(&canonical_json(&row));
        if let Some(members) = row.as_object_mut() {
            members.insert("hash".to_owned(), Value::String(hash.clone()));
        }
        AuditRow { number, text: canonical_json(&row), hash }
    }

    /// Whether the row is the one that was written next; the chain then stands at it.
    pub fn follow(&mut self, text: &str) -> Result<(), ChainBreak> {
        let number = self.number.saturating_add(1);
        let broken = |reason| ChainBreak { number, reason };
        // Strictly: of a member that comes twice every reader takes another one, and the hash would tell of one alone.
        let Ok(Value::Object(mut row)) = strict_json(text.as_bytes()) else {
            return Err(broken("the row is not readable"));
        };
        let hash = row.remove("hash").and_then(|hash| hash.as_str().map(str::to_owned));
        if row.get("number").and_then(Value::as_u64) != Some(number) {
            return Err(broken("another row stands in this place: one was removed, added or moved"));
        }
        if row.get("previous").and_then(Value::as_str) != Some(self.hash.as_str()) {
            return Err(broken("the row does not follow the one before it"));
        }
        let computed = digest(&canonical_json(&Value::Object(row)));
        if hash.as_deref() != Some(computed.as_str()) {
            return Err(broken("the row was changed after it was written"));
        }
        *self = Self { number, hash: computed };
        Ok(())
    }

    /// Whether the chain ends where it is said to end: rows taken off its end are missed.
    pub fn ends_at(&self, head: &Self) -> Result<(), ChainBreak> {
        if self == head {
            return Ok(());
        }
        Err(ChainBreak { number: self.number.saturating_add(1), reason: "the chain does not end where it should" })
    }
}

/// Where a chain is broken, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {number}: {reason}")]
pub struct ChainBreak {
    /// The number of the first row that is wrong.
    pub number: u64,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// JSON with members sorted by name and without space: the same text for the same value, whoever writes it.
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            let parts: Vec<String> = sorted
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::String(name.clone()), canonical_json(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn act() -> Act {
        Act {
            address: Some("203.0.113.9".parse().unwrap()),
            request_id: "r".to_owned(),
            ..Act::of(Actor::Operator, Timestamp::from_unix(1_900_000_000))
        }
    }

    fn entry(name: &str) -> AuditEntry {
        AuditEntry {
            organization: Some(Identifier::parse("acme").unwrap()),
            environment: None,
            action: "key.create",
            target: Some(AuditTarget { kind: "key", id: "pcull_a".to_owned(), name: name.to_owned() }),
            before: None,
            after: Some(json!({"b": 1, "a": ["é", null]})),
            code: None,
            count: 1,
        }
    }

    fn chain(names: &[&str]) -> (Vec<String>, ChainHead) {
        let mut head = ChainHead::default();
        let mut rows = Vec::new();
        for name in names {
            let row = head.seal(&entry(name), &act());
            head = ChainHead { number: row.number, hash: row.hash };
            rows.push(row.text);
        }
        (rows, head)
    }

    fn walk(rows: &[String]) -> Result<ChainHead, ChainBreak> {
        let mut head = ChainHead::default();
        rows.iter().try_for_each(|row| head.follow(row)).map(|()| head)
    }

    #[test]
    fn a_chain_verifies_and_any_other_order_of_members_does_too() {
        let (rows, head) = chain(&["a", "b", "c"]);
        assert_eq!(walk(&rows), Ok(head.clone()));
        assert_eq!(walk(&rows).unwrap().ends_at(&head), Ok(()));
        let shuffled: Vec<String> = rows
            .iter()
            .map(|row| {
                let row: Map<String, Value> = serde_json::from_str(row).unwrap();
                let parts: Vec<String> =
                    row.iter().rev().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
                format!("{{ {} }}", parts.join(" , "))
            })
            .collect();
        assert_eq!(walk(&shuffled), Ok(head));
    }

    #[test]
    fn every_change_to_a_chain_is_found() {
        let (rows, head) = chain(&["a", "b", "c", "d"]);
        for at in 0..rows.len() {
            let mut changed = rows.clone();
            changed[at] = changed[at].replace("203.0.113.9", "203.0.113.8");
            assert_eq!(walk(&changed).unwrap_err().number, at as u64 + 1);
            let mut removed = rows.clone();
            removed.remove(at);
            assert!(walk(&removed).and_then(|end| end.ends_at(&head)).is_err(), "row {at} removed");
            for to in (0..rows.len()).filter(|to| *to != at) {
                let mut moved = rows.clone();
                moved.swap(at, to);
                assert!(walk(&moved).is_err(), "rows {at} and {to} swapped");
            }
        }
        let mut twice = rows.clone();
        twice.push(rows[3].clone());
        assert!(walk(&twice).is_err());
    }

    #[test]
    fn a_row_that_was_sealed_anew_no_longer_carries_the_next() {
        let (mut rows, _) = chain(&["a", "b", "c"]);
        let mut head = ChainHead::default();
        head.follow(&rows[0]).unwrap();
        rows[1] = head.seal(&entry("forged"), &act()).text;
        assert_eq!(walk(&rows).unwrap_err().number, 3);
    }
}
