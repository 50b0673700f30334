//! Names for permissions and ids for operations. Names never collide by accident, because two operations under one
//! name would widen what a key opens; `x-portcullis-permission` puts several under one name on purpose.

use super::notes::Notes;
use super::operation::Found;
use crate::model::{Method, NoteKind, Operation, OperationPattern, Permission, PermissionName, quoted};
use std::collections::{HashMap, HashSet};

/// Gives every operation a permission: the one it asks for, else one of its own.
pub(super) fn permissions(found: Vec<Found>, notes: &mut Notes) -> Vec<Permission> {
    let asked = found.iter().filter_map(|found| found.permission.as_ref().map(PermissionName::as_str));
    let mut taken: HashSet<String> = asked.map(str::to_owned).collect();
    let mut ids: HashSet<String> = HashSet::new();
    let mut permissions: Vec<Permission> = Vec::new();
    let mut shared: HashMap<PermissionName, usize> = HashMap::new();
    // The permission of each operation that is whole; parts come after.
    let mut names: HashMap<usize, PermissionName> = HashMap::new();
    for (number, found) in found.iter().enumerate().filter(|(_, found)| found.part_of.is_none()) {
        let operation = Operation { id: operation_id(found, &mut ids).into(), pattern: found.pattern.clone() };
        let Some(name) = found.permission.clone().or_else(|| own_name(found, &mut taken, notes)) else { continue };
        names.insert(number, name.clone());
        let at = *shared.entry(name.clone()).or_insert(permissions.len());
        match permissions.get_mut(at) {
            Some(permission) => permission.operations.push(operation),
            None => permissions.push(Permission {
                name,
                group: found.group.clone(),
                summary: found.summary.clone(),
                operations: vec![operation],
            }),
        }
    }
    found.iter().for_each(|part| note_part(part, &found, &names, notes));
    permissions
}

/// What became of an operation that is part of another one.
fn note_part(part: &Found, found: &[Found], names: &HashMap<usize, PermissionName>, notes: &mut Notes) {
    let Some((kind, mut at)) = part.part_of else { return };
    let Some(whole) = found.get(at) else { return };
    // A HEAD that is one with another HEAD may ride on a GET: two steps at most.
    while let Some((_, next)) = found.get(at).and_then(|found| found.part_of) {
        at = next;
    }
    let name = names.get(&at).map(PermissionName::as_str).unwrap_or_default();
    let id = part.operation_id.as_deref().map(|id| format!(" (`{}`)", quoted(id))).unwrap_or_default();
    let verb = if kind == NoteKind::HeadRidesOnGet { "rides on" } else { "is the same request as" };
    notes.add(kind, &part.place, || format!("`{}`{id} {verb} `{}`: permission `{name}`", part.shown, whole.shown));
}

/// The `operationId` in the characters of a header value, or method and path where there is none of its own.
fn operation_id(found: &Found, ids: &mut HashSet<String>) -> String {
    let own = found.operation_id.as_deref().map(scope_token).filter(|id| ids.insert(id.clone()));
    own.unwrap_or_else(|| {
        let text = found.pattern.to_string();
        text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '_' }).collect()
    })
}

/// A name that no other operation has: the `operationId`, else `METHOD:/path`, else that with a number.
fn own_name(found: &Found, taken: &mut HashSet<String>, notes: &mut Notes) -> Option<PermissionName> {
    let free = |text: &str, taken: &HashSet<String>| {
        PermissionName::parse(text).ok().filter(|name| !name.is_reserved() && !taken.contains(name.as_str()))
    };
    let own = found.operation_id.as_deref().and_then(|id| free(&scope_token(id), taken));
    let name = own.or_else(|| {
        let stable = stable_name(&found.pattern);
        // As many numbers as there are names: one of them is free.
        let mut candidates = (2..=taken.len() + 3).map(|number| format!("{stable}~{number}"));
        free(&stable, taken).or_else(|| candidates.find_map(|text| free(&text, taken)))
    })?;
    taken.insert(name.as_str().to_owned());
    let message = match found.operation_id.as_deref() {
        Some(id) if id == name.as_str() => None,
        Some(id) => {
            Some(format!("the `operationId` `{}` of `{}` gives the permission `{name}`", quoted(id), found.shown))
        }
        None => Some(format!("`{}` has no `operationId` of its own: permission `{name}`", found.shown)),
    };
    if let Some(message) = message {
        notes.add(NoteKind::IdMade, &found.place, || message);
    }
    Some(name)
}

/// `METHOD:/path`, which stays the same for as long as the operation does. One that is too long, or holds what a
/// name cannot, ends in the checksum of the whole.
fn stable_name(pattern: &OperationPattern) -> String {
    let whole = format!("{}:{}", pattern.method().map_or("*", Method::as_str), pattern.path());
    if PermissionName::parse(&whole).is_ok() {
        return whole;
    }
    let checksum = crc32fast::hash(whole.as_bytes());
    format!("{}~{checksum:08x}", scope_token(&whole).chars().take(180).collect::<String>())
}

/// The text in the characters of an OAuth scope token (RFC 6749 section 3.3), at most 200 of them.
fn scope_token(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    text.chars().map(|c| if allowed(c) { c } else { '_' }).take(200).collect()
}
