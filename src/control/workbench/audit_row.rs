//! A row of the audit log for people: who did what to what, and what became different.

use super::words::{Moment, at_second, counted, number};
use crate::model::{Identifier, Timestamp};
use serde_json::{Map, Value};

/// The most members of an object that are compared.
const MOST_MEMBERS: usize = 40;
/// The most items of a list that are shown.
const MOST_ITEMS: usize = 20;
/// The longest single value, in characters.
const MOST_CHARS: usize = 300;

/// The actions and what they are called.
pub(super) const ACTIONS: [(&str, &str); 27] = [
    ("key.create", "Created a key"),
    ("key.edit", "Edited a key"),
    ("key.rotate", "Rotated a key's secret"),
    ("key.revoke", "Revoked a key"),
    ("member.add", "Added a member"),
    ("member.edit", "Edited a member"),
    ("member.invite", "Invited a member"),
    ("member.remove", "Removed a member"),
    ("password.change", "Changed their password"),
    ("session.create", "Signed in"),
    ("session.end", "Signed out"),
    ("token.create", "Made a token for scripts"),
    ("token.remove", "Ended a token for scripts"),
    ("access_token.revoke", "Revoked an access token"),
    ("organization.create", "Made the organization"),
    ("organization.edit", "Changed the settings"),
    ("environment.create", "Made an environment"),
    ("environment.edit", "Changed an environment"),
    ("environment.delete", "Deleted an environment"),
    ("catalogue.replace", "Replaced a catalogue"),
    ("preset.set", "Set a preset"),
    ("preset.remove", "Removed a preset"),
    ("role.set", "Set a role"),
    ("role.remove", "Removed a role"),
    ("signing_key.add", "Added a signing key"),
    ("signing_key.remove", "Removed a signing key"),
    ("refused", "Was refused"),
];

/// A row as a page shows it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) at: Moment,
    /// To the second.
    pub(super) exact: String,
    /// The actor's name.
    pub(super) who: String,
    /// `member`, `key`, `operator`, ...
    pub(super) kind: String,
    pub(super) action: String,
    /// The action in words.
    pub(super) what: String,
    /// What it was about; empty where it was about nothing with a name.
    pub(super) target: String,
    /// The target's id.
    pub(super) target_id: String,
    /// The page of what it was about; empty where there is none.
    pub(super) link: String,
    pub(super) environment: String,
    pub(super) address: String,
    pub(super) request_id: String,
    /// The refusal's code and route; empty where nothing was refused.
    pub(super) refusal: String,
    /// `12 times` where it happened more than once.
    pub(super) times: String,
    /// One line about what became different.
    pub(super) summary: String,
    pub(super) differences: Vec<Difference>,
    pub(super) hash: String,
}

/// A member of the object, and how it became different.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) name: String,
    /// As it was; empty where it was not there.
    pub(super) before: String,
    /// As it is; empty where it is gone.
    pub(super) after: String,
    /// For lists: what came.
    pub(super) added: Vec<String>,
    /// For lists: what went.
    pub(super) removed: Vec<String>,
}

impl Row {
    /// Reads a row as it was written. One that cannot be read is `None`: checking the chain tells of it.
    pub(super) fn read(text: &str, organization: &Identifier, now: Timestamp) -> Option<Self> {
        let row: Value = serde_json::from_str(text).ok()?;
        let word = |pointer: &str| row.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let at = Timestamp::parse(&word("/at")).ok()?;
        let (action, kind, target_id) = (word("/action"), word("/target/type"), word("/target/id"));
        let environment = word("/environment");
        let differences = differences(row.get("before"), row.get("after"));
        let count = row.get("count").and_then(Value::as_u64).unwrap_or(1);
        let is_refusal = action == "refused";
        Some(Self {
            number: row.get("number").and_then(Value::as_u64)?,
            at: Moment::new(at, now),
            exact: at_second(at),
            who: word("/actor/name"),
            kind: word("/actor/type"),
            what: words_for(&action).map_or_else(|| action.clone(), str::to_owned),
            target: Some(word("/target/name")).filter(|name| !name.is_empty()).unwrap_or_else(|| target_id.clone()),
            link: link(organization, &environment, &kind, &target_id),
            target_id,
            address: word("/address"),
            request_id: word("/request_id"),
            refusal: if is_refusal { format!("{} ({})", word("/after/route"), word("/code")) } else { String::new() },
            times: if count > 1 { counted(count, "time") } else { String::new() },
            summary: if is_refusal { String::new() } else { summary(&action, &differences) },
            differences: if is_refusal { vec![] } else { differences },
            hash: word("/hash"),
            environment,
            action,
        })
    }
}

/// What an action is called, where it is known here.
fn words_for(action: &str) -> Option<&'static str> {
    ACTIONS.iter().find(|(known, _)| *known == action).map(|(_, words)| *words)
}

fn link(organization: &Identifier, environment: &str, kind: &str, id: &str) -> String {
    match (kind, environment) {
        ("key", environment) if !environment.is_empty() => format!("/o/{organization}/e/{environment}/keys/{id}"),
        ("member", _) => format!("/o/{organization}/members/{id}"),
        _ => String::new(),
    }
}

fn summary(action: &str, differences: &[Difference]) -> String {
    const MOST: usize = 3;
    let names: Vec<&str> = differences.iter().take(MOST).map(|difference| difference.name.as_str()).collect();
    let rest = differences.len().saturating_sub(MOST);
    let is_whole = action.ends_with(".create") || action.ends_with(".add") || action.ends_with(".remove");
    match (names.is_empty() || is_whole, rest) {
        (true, _) => String::new(),
        (false, 0) => names.join(", "),
        (false, rest) => format!("{} and {} more", names.join(", "), number(rest as u64)),
    }
}

fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let empty = Map::new();
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (before, after) = (members(before).unwrap_or_else(|| empty.clone()), members(after).unwrap_or(empty));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let names = after.keys().chain(gone);
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    changed.take(MOST_MEMBERS).filter_map(|name| difference(name, before.get(name), after.get(name))).collect()
}

/// `None` where there was nothing before and is nothing now.
fn difference(name: &str, before: Option<&Value>, after: Option<&Value>) -> Option<Difference> {
    let difference = Difference { name: name.replace('_', " "), ..Difference::default() };
    let lists = match (before, after) {
        (Some(Value::Array(before)), Some(Value::Array(after))) => Some((before.as_slice(), after.as_slice())),
        (None | Some(Value::Null), Some(Value::Array(after))) => Some((&[][..], after.as_slice())),
        (Some(Value::Array(before)), None | Some(Value::Null)) => Some((before.as_slice(), &[][..])),
        _ => None,
    };
    let Some((before_items, after_items)) = lists else {
        let (before, after) = (told(before), told(after));
        return (before != after).then_some(Difference { before, after, ..difference });
    };
    let (added, removed) = (missing(after_items, before_items), missing(before_items, after_items));
    (!added.is_empty() || !removed.is_empty()).then_some(Difference { added, removed, ..difference })
}

/// The items of `from` that `other` lacks, up to a few.
fn missing(from: &[Value], other: &[Value]) -> Vec<String> {
    let known: std::collections::HashSet<String> = other.iter().map(Value::to_string).collect();
    let found: Vec<&Value> = from.iter().filter(|item| !known.contains(&item.to_string())).collect();
    let mut shown: Vec<String> = found.iter().take(MOST_ITEMS).map(|item| told(Some(item))).collect();
    let rest = found.len().saturating_sub(MOST_ITEMS);
    if rest > 0 {
        shown.push(format!("and {} more", number(rest as u64)));
    }
    shown
}

/// A value for people; empty where there is none.
fn told(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::String(text)) => match Timestamp::parse(text) {
            Ok(at) => at_second(at),
            Err(_) => text.clone(),
        },
        Some(other @ (Value::Array(_) | Value::Number(_) | Value::Object(_))) => other.to_string(),
    };
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_became_different_is_told_member_by_member() {
        let before = json!({"name": "a", "permissions": ["cards:read", "cards:write"], "expires_at": null, "same": 1});
        let after = json!({"name": "b", "permissions": ["cards:read", "files:read"], "same": 1, "platform": true});
        let found = differences(Some(&before), Some(&after));
        let of = |name: &str| found.iter().find(|difference| difference.name == name).unwrap();
        assert_eq!((of("name").before.as_str(), of("name").after.as_str()), ("a", "b"));
        let permissions = of("permissions");
        assert_eq!(
            (&permissions.added, &permissions.removed),
            (&vec!["files:read".into()], &vec!["cards:write".into()])
        );
        assert_eq!(of("platform").after, "yes");
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<String> = (0..5000).map(|at| format!("a:{at}")).collect();
        let found = differences(None, Some(&json!({"permissions": many})));
        let added = &found.first().unwrap().added;
        assert_eq!((added.len(), added.last().unwrap().as_str()), (21, format!("and {} more", number(4980)).as_str()));
    }
}
