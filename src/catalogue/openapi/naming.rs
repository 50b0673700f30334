//! Names for permissions and ids for operations. Names never collide by accident, because two operations under one
//! name would widen what a key opens; `x-portcullis-permission` puts several under one name on purpose.

use super::notes::Notes;
use super::operation::Found;
use super::sift::METHODS;
use crate::model::{Method, NoteKind, Operation, OperationPattern, Permission, PermissionName, quoted};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// Gives every operation a permission: the one it asks for, else one of its own.
pub(super) fn permissions(found: Vec<Found>, notes: &mut Notes) -> Vec<Permission> {
    let asked = found.iter().filter_map(|found| found.permission.as_ref().map(PermissionName::as_str));
    let mut taken: HashSet<String> = asked.map(str::to_owned).collect();
    let mut permissions: Vec<Permission> = Vec::new();
    let mut shared: HashMap<PermissionName, usize> = HashMap::new();
    // The permission of each operation that is whole; parts come after.
    let mut names: HashMap<usize, PermissionName> = HashMap::new();
    for (number, found) in found.iter().enumerate().filter(|(_, found)| found.part_of.is_none()) {
        let operation = Operation { id: operation_id(found).into(), pattern: found.pattern.clone() };
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

/// The `operationId` where it can stand in a header as it is, else method and path.
fn operation_id(found: &Found) -> String {
    let own = found.single_id().filter(|id| scope_token(id) == *id);
    own.map_or_else(
        || {
            let text = found.pattern.to_string();
            text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '_' }).collect()
        },
        str::to_owned,
    )
}

/// A name that no other operation has: one of its `operationId`, else `METHOD:/path`. What else is in the document, and
/// in which order, changes nothing but where `x-portcullis-permission` takes the name: a name that passed from one
/// operation to another would change what existing keys open.
fn own_name(found: &Found, taken: &mut HashSet<String>, notes: &mut Notes) -> Option<PermissionName> {
    let (whole, stable) = (method_and_path(&found.pattern), stable_name(&found.pattern));
    let of_id = found.single_id().map(|id| if id == stable { stable.clone() } else { name_of_id(id) });
    let marked = [("path", 16), ("path", 64)].map(|(kind, digits)| marked(kind, &whole, digits));
    let mut candidates = of_id.into_iter().chain([stable]).chain(marked);
    let name = candidates.find_map(|text| {
        PermissionName::parse(&text).ok().filter(|name| !name.is_reserved() && !taken.contains(name.as_str()))
    })?;
    taken.insert(name.as_str().to_owned());
    let message = match found.operation_id.as_deref() {
        _ if found.has_several_ids => Some(format!(
            "`{}` is one request under several `operationId`s, or with and without one: permission `{name}`",
            found.shown
        )),
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

/// The `operationId` itself where it is the name of nothing else; one that is written differently as a name, or looks
/// like a name that is made, ends in a digest of its own.
fn name_of_id(id: &str) -> String {
    let looks_made = is_marked(id) || id.split_once(":/").is_some_and(|(method, _)| is_method(method));
    if scope_token(id) == id && !looks_made { id.to_owned() } else { marked("id", id, 16) }
}

fn is_method(text: &str) -> bool {
    text == "*" || METHODS.iter().any(|method| method.to_ascii_uppercase() == text)
}

fn method_and_path(pattern: &OperationPattern) -> String {
    format!("{}:{}", pattern.method().map_or("*", Method::as_str), pattern.path())
}

/// `METHOD:/path`, which stays the same for as long as the operation does. One that is too long, or holds what a
/// name cannot, ends in a digest of the whole.
fn stable_name(pattern: &OperationPattern) -> String {
    let whole = method_and_path(pattern);
    if PermissionName::parse(&whole).is_ok() && !is_marked(&whole) { whole } else { marked("path", &whole, 16) }
}

/// The text as a name, and behind `~` so many hexadecimal digits of its SHA-256.
fn marked(kind: &str, text: &str, digits: usize) -> String {
    let digest = Sha256::digest(format!("{kind}\0{text}"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).take(digits / 2).collect();
    format!("{}~{digest}", scope_token(text).chars().take(199 - digits).collect::<String>())
}

/// Whether a text ends as [`marked`] ends.
fn is_marked(text: &str) -> bool {
    text.rsplit_once('~').is_some_and(|(_, digest)| {
        matches!(digest.len(), 16 | 64) && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The text in the characters of an OAuth scope token (RFC 6749 section 3.3), at most 200 of them.
fn scope_token(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    text.chars().map(|c| if allowed(c) { c } else { '_' }).take(200).collect()
}
