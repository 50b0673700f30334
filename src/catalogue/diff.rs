//! What a changed document means for an environment: which operations are new, gone or elsewhere, which permissions
//! open more than before, and which presets and roles would name what is gone.
//!
//! Operations are compared as they are on the wire: method and path, whatever their parameters are called. What is new
//! is denied until somebody grants it, unless a permission of before covers it: those are the ones that open more.

use super::Template;
use crate::model::{Method, Operation, Permission, PermissionName, Preset, Role};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The difference between two lists of permissions. Everything is in the order of the list that it stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogueDiff {
    /// Requests that were no operation before, without those that moved.
    pub operations_added: Vec<DiffOperation>,
    /// Requests that are no operation any more, without those that moved.
    pub operations_removed: Vec<DiffOperation>,
    /// Operations of one id and permission that another request runs now.
    pub operations_moved: Vec<MovedOperation>,
    /// Permissions that are new: no key holds them.
    pub permissions_added: Vec<PermissionName>,
    /// Permissions that are gone: keys that hold them hold nothing by them.
    pub permissions_removed: Vec<PermissionName>,
    /// Permissions that open more than before, to every key that holds them.
    pub permissions_widened: Vec<WidenedPermission>,
    /// Roles that would name permissions that are gone.
    pub roles_broken: Vec<BrokenSelection>,
    /// Presets that would name permissions that are gone.
    pub presets_broken: Vec<BrokenSelection>,
}

/// An operation, and a permission that covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffOperation {
    /// The operation.
    pub operation: Operation,
    /// The first permission that covers it.
    pub permission: PermissionName,
}

/// An operation that another request runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedOperation {
    /// What it was.
    pub before: Operation,
    /// What it is.
    pub after: Operation,
    /// What covers it, before and after.
    pub permission: PermissionName,
}

/// A permission that opens more than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WidenedPermission {
    /// The permission.
    pub permission: PermissionName,
    /// What it opens now and did not before.
    pub operations_added: Vec<Operation>,
}

/// A role or preset that would name what is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenSelection {
    /// Its name.
    pub name: String,
    /// What is gone.
    pub permissions: Vec<PermissionName>,
}

impl CatalogueDiff {
    /// Whether nothing differs. Words for people (groups, summaries) and the names of parameters do not count.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The difference that it makes to replace one list of permissions by another, where these presets and roles are kept.
pub fn diff(before: &[Permission], after: &[Permission], presets: &[Preset], roles: &[Role]) -> CatalogueDiff {
    let (old, new) = (Side::new(before), Side::new(after));
    let moved: Vec<MovedOperation> = after.iter().flat_map(|permission| old.moved(permission, &new)).collect();
    let has_come: HashSet<&Operation> = moved.iter().map(|moved| &moved.after).collect();
    let has_gone: HashSet<&Operation> = moved.iter().map(|moved| &moved.before).collect();
    let added = old.lacks(after).filter(|added| !has_come.contains(&added.operation)).collect();
    let removed = new.lacks(before).filter(|removed| !has_gone.contains(&removed.operation)).collect();
    CatalogueDiff {
        operations_added: added,
        operations_removed: removed,
        permissions_added: old.unnamed(after).collect(),
        permissions_removed: new.unnamed(before).collect(),
        permissions_widened: after.iter().filter_map(|permission| old.widened(permission)).collect(),
        roles_broken: broken(&old, &new, roles.iter().map(|role| (&role.name, &role.permissions))),
        presets_broken: broken(&old, &new, presets.iter().map(|preset| (&preset.name, &preset.permissions))),
        operations_moved: moved,
    }
}

/// A request as it is on the wire: two that differ only in what their parameters are called are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    method: Option<Method>,
    path: Path,
}

/// A path that is no template (there is none in a catalogue that was built) is itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Path {
    Shape(Template),
    Text(Arc<str>),
}

impl Request {
    fn of(operation: &Operation) -> Self {
        let path = operation.pattern.path();
        let path = Template::parse(path).map_or_else(|_| Path::Text(path.into()), Path::Shape);
        Self { method: operation.pattern.method().cloned(), path }
    }
}

/// One of the two lists, ready to be asked.
struct Side<'p> {
    requests: HashSet<Request>,
    permissions: HashMap<&'p PermissionName, &'p Permission>,
}

impl<'p> Side<'p> {
    fn new(permissions: &'p [Permission]) -> Self {
        let operations = permissions.iter().flat_map(|permission| &permission.operations);
        Self {
            requests: operations.map(Request::of).collect(),
            permissions: permissions.iter().map(|permission| (&permission.name, permission)).collect(),
        }
    }

    /// Operations of another list that are none here, each request once.
    fn lacks(&self, others: &[Permission]) -> impl Iterator<Item = DiffOperation> {
        let mut seen = HashSet::new();
        let all = others.iter().flat_map(|permission| permission.operations.iter().map(move |one| (permission, one)));
        all.filter(move |(_, operation)| {
            let request = Request::of(operation);
            !self.requests.contains(&request) && seen.insert(request)
        })
        .map(|(permission, operation)| DiffOperation {
            operation: operation.clone(),
            permission: permission.name.clone(),
        })
    }

    /// Permissions of another list whose names are none here.
    fn unnamed(&self, others: &[Permission]) -> impl Iterator<Item = PermissionName> {
        others.iter().map(|permission| &permission.name).filter(|name| !self.permissions.contains_key(name)).cloned()
    }

    /// The operations of a permission that are at another place than they were here. An id says that it is the same
    /// operation; one that only repeats method and path says nothing.
    fn moved(&self, after: &Permission, new: &Self) -> Vec<MovedOperation> {
        let Some(before) = self.permissions.get(&after.name) else { return Vec::new() };
        let is_new = |operation: &&Operation| !self.requests.contains(&Request::of(operation));
        let is_old = |operation: &&Operation| !new.requests.contains(&Request::of(operation));
        let from = |after: &Operation| before.operations.iter().find(|before| before.id == after.id).filter(is_old);
        let pair = |operation: &Operation| {
            let before = from(operation)?.clone();
            Some(MovedOperation { before, after: operation.clone(), permission: after.name.clone() })
        };
        after.operations.iter().filter(is_new).filter_map(pair).collect()
    }

    /// What a permission opens now and did not here, where it was one here.
    fn widened(&self, after: &Permission) -> Option<WidenedPermission> {
        let before: HashSet<Request> = self.permissions.get(&after.name)?.operations.iter().map(Request::of).collect();
        let added = after.operations.iter().filter(|operation| !before.contains(&Request::of(operation)));
        let operations_added: Vec<Operation> = added.cloned().collect();
        let permission = after.name.clone();
        (!operations_added.is_empty()).then_some(WidenedPermission { permission, operations_added })
    }
}

/// Selections that name what was there before and is not any more.
fn broken<'s>(
    old: &Side<'_>,
    new: &Side<'_>,
    selections: impl Iterator<Item = (&'s String, &'s Vec<PermissionName>)>,
) -> Vec<BrokenSelection> {
    let is_gone = |name: &&PermissionName| old.permissions.contains_key(name) && !new.permissions.contains_key(name);
    selections
        .map(|(name, permissions)| BrokenSelection {
            name: name.clone(),
            permissions: permissions.iter().filter(is_gone).cloned().collect(),
        })
        .filter(|selection| !selection.permissions.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OperationPattern;

    /// `name = id: GET /a, POST /b`.
    fn permissions(lines: &[&str]) -> Vec<Permission> {
        let operation = |text: &str| {
            let (id, pattern) = text.split_once(": ").unwrap_or((text, text));
            Operation { id: id.into(), pattern: OperationPattern::parse(pattern).unwrap() }
        };
        let permission = |line: &&str| {
            let (name, operations) = line.split_once(" = ").unwrap();
            Permission {
                name: PermissionName::parse(name).unwrap(),
                group: String::new(),
                summary: String::new(),
                operations: operations.split(", ").map(operation).collect(),
            }
        };
        lines.iter().map(permission).collect()
    }

    /// A line for each thing that differs.
    fn told(diff: &CatalogueDiff) -> Vec<String> {
        let one = |sign: &str, one: &DiffOperation| format!("{sign} {} by {}", one.operation.pattern, one.permission);
        let gone = |kind: &str, one: &BrokenSelection| {
            let names: Vec<&str> = one.permissions.iter().map(PermissionName::as_str).collect();
            format!("{kind} {} lacks {}", one.name, names.join(" "))
        };
        let mut lines: Vec<String> = diff.operations_added.iter().map(|added| one("+", added)).collect();
        lines.extend(diff.operations_removed.iter().map(|removed| one("-", removed)));
        lines.extend(
            diff.operations_moved.iter().map(|moved| {
                format!("> {} from {} to {}", moved.permission, moved.before.pattern, moved.after.pattern)
            }),
        );
        lines.extend(diff.permissions_added.iter().map(|name| format!("+ {name}")));
        lines.extend(diff.permissions_removed.iter().map(|name| format!("- {name}")));
        lines.extend(diff.permissions_widened.iter().map(|widened| {
            let added: Vec<String> = widened.operations_added.iter().map(|one| one.pattern.to_string()).collect();
            format!("wider {}: {}", widened.permission, added.join(", "))
        }));
        lines.extend(diff.roles_broken.iter().map(|role| gone("role", role)));
        lines.extend(diff.presets_broken.iter().map(|preset| gone("preset", preset)));
        lines
    }

    /// What it is about; the permissions before and after; what is told.
    type Case<'c> = (&'c str, &'c [&'c str], &'c [&'c str], &'c [&'c str]);

    #[test]
    fn each_kind_of_difference_is_told() {
        let cases: [Case<'_>; 12] = [
            ("nothing", &["a = GET /a"], &["a = GET /a"], &[]),
            ("another order", &["a = GET /a", "b = GET /b"], &["b = GET /b", "a = GET /a"], &[]),
            ("a parameter's name", &["a = x: GET /a/{id}"], &["a = x: GET /a/{card}"], &[]),
            ("another id", &["a = x: GET /a"], &["a = y: GET /a"], &[]),
            ("a new operation", &["a = GET /a"], &["a = GET /a", "b = POST /a"], &["+ POST /a by b", "+ b"]),
            ("one less", &["a = GET /a", "b = GET /b"], &["a = GET /a"], &["- GET /b by b", "- b"]),
            ("a new name", &["a = x: GET /a"], &["b = x: GET /a"], &["+ b", "- a"]),
            (
                "a permission of before covers something new",
                &["a = GET /a"],
                &["a = GET /a, DELETE /a/{id}"],
                &["+ DELETE /a/{id} by a", "wider a: DELETE /a/{id}"],
            ),
            (
                "and something that another one covers",
                &["a = GET /a", "b = GET /b"],
                &["a = GET /a, GET /b", "b = GET /b"],
                &["wider a: GET /b"],
            ),
            ("it covers less", &["a = GET /a, GET /b", "b = GET /b"], &["a = GET /a", "b = GET /b"], &[]),
            (
                "an operation moves",
                &["list = list: GET /cards"],
                &["list = list: GET /v2/cards"],
                &["> list from GET /cards to GET /v2/cards", "wider list: GET /v2/cards"],
            ),
            (
                "an operation at two places is added, not moved",
                &["list = list: GET /cards"],
                &["list = list: GET /cards, list: GET /v2/cards"],
                &["+ GET /v2/cards by list", "wider list: GET /v2/cards"],
            ),
        ];
        for (what, before, after, expected) in cases {
            let (before, after) = (permissions(before), permissions(after));
            let found = diff(&before, &after, &[], &[]);
            assert_eq!(told(&found), expected, "{what}");
            assert_eq!(found.is_empty(), expected.is_empty(), "{what}");
        }
    }

    #[test]
    fn selections_that_name_what_is_gone_are_told() {
        let names = |names: &[&str]| names.iter().map(|name| PermissionName::parse(name).unwrap()).collect::<Vec<_>>();
        let role = Role { name: "events".to_owned(), permissions: names(&["a", "b"]) };
        let presets = [("Some", &["b", "c"][..]), ("Others", &["a"]), ("Ours", &["a", "portcullis:keys:view"])]
            .map(|(name, of)| Preset { name: name.to_owned(), permissions: names(of) });
        let before = permissions(&["a = GET /a", "b = GET /b", "c = GET /c"]);
        let after = permissions(&["a = GET /a"]);
        let found = told(&diff(&before, &after, &presets, &[role]));
        let broken: Vec<&str> = found.iter().map(String::as_str).filter(|line| line.contains("lacks")).collect();
        assert_eq!(broken, ["role events lacks b", "preset Some lacks b c"]);
    }
}
