//! Operations on their way to permissions: what is one request on the wire is one operation here, because a gate that
//! told the two apart would be guessing.

use super::document::{Described, PathItem};
use super::error::ImportError;
use super::notes::Notes;
use super::path;
use crate::catalogue::Template;
use crate::model::{Method, NoteKind, OperationPattern, PermissionName, quoted};
use std::collections::HashMap;

/// One operation of the document.
pub(super) struct Found {
    /// As the document writes it, for messages.
    pub(super) shown: String,
    pub(super) place: String,
    pub(super) pattern: OperationPattern,
    template: Template,
    pub(super) operation_id: Option<String>,
    pub(super) permission: Option<PermissionName>,
    pub(super) group: String,
    pub(super) summary: String,
    /// The number of the operation that this one is part of.
    pub(super) part_of: Option<(NoteKind, usize)>,
}

/// All operations, in the document's order, and notes on their paths.
///
/// # Errors
///
/// A path that no request can have; operations that are one and ask for different permissions; an `operationId` that
/// stands twice.
pub(super) fn all(items: Vec<PathItem>, prefix: &str, notes: &mut Notes) -> Result<Vec<Found>, ImportError> {
    let mut found = Vec::new();
    for item in items {
        of_path(item, prefix, &mut found, notes)?;
    }
    merge(&mut found)?;
    check_ids(&mut found)?;
    Ok(found)
}

fn of_path(item: PathItem, prefix: &str, found: &mut Vec<Found>, notes: &mut Notes) -> Result<(), ImportError> {
    let PathItem { path: text, place, operations } = item;
    let written = path::read(&text, prefix).map_err(|reason| ImportError::Path { place: place.clone(), reason })?;
    let (shown, path) = (quoted(&text), format!("{prefix}{}", written.path));
    if written.cut {
        notes.add(NoteKind::PathCut, &place, || {
            format!("`{shown}` is matched as `{}`: what follows `#` or `?` is no part of a path", quoted(&path))
        });
    }
    if written.tidied {
        notes.add(NoteKind::PathTidied, &place, || format!("`{shown}` is matched as `{}`", quoted(&path)));
    }
    if written.greedy {
        let message = "a parameter matches one segment; for the rest of the path add a permission with `{name...}`";
        notes.add(NoteKind::OneSegment, &place, || format!("`{}`: {message}", quoted(&path)));
    }
    for described in operations {
        let Described { method, place, operation_id, permission, summary, tag } = described;
        let method = method.to_ascii_uppercase();
        found.push(Found {
            shown: format!("{method} {shown}"),
            place,
            // INVARIANT: METHODS are methods.
            pattern: OperationPattern::new(Method::from_bytes(method.as_bytes()).ok(), &path),
            template: written.template.clone(),
            operation_id,
            permission,
            group: tag.unwrap_or_else(|| written.path.split('/').nth(1).unwrap_or_default().to_owned()),
            summary,
            part_of: None,
        });
    }
    Ok(())
}

/// Finds the operations that are one with an earlier one, and HEADs that ride on a GET.
fn merge(found: &mut [Found]) -> Result<(), ImportError> {
    let mut places: HashMap<(Option<Method>, Template), usize> = HashMap::new();
    let mut parts = Vec::new();
    for (at, next) in found.iter().enumerate() {
        let first = *places.entry((next.pattern.method().cloned(), next.template.clone())).or_insert(at);
        if first != at {
            parts.push((at, NoteKind::Merged, first));
        }
    }
    for ((method, template), at) in &places {
        let get = places.get(&(Some(Method::GET), template.clone()));
        if let Some(get) = get.filter(|_| *method == Some(Method::HEAD)) {
            parts.push((*at, NoteKind::HeadRidesOnGet, *get));
        }
    }
    // In the document's order, so that the first that asks for a permission is the same every time.
    parts.sort_by_key(|(at, _, _)| *at);
    parts.into_iter().try_for_each(|(at, kind, whole)| join(found, at, kind, whole))
}

/// Makes the operation at `at` a part of the one at `whole`, under the permission that any of them asks for.
fn join(found: &mut [Found], at: usize, kind: NoteKind, whole: usize) -> Result<(), ImportError> {
    let Some(part) = found.get_mut(at) else { return Ok(()) };
    part.part_of = Some((kind, whole));
    let (asked, place) = (part.permission.clone(), part.place.clone());
    let Some(asked) = asked else { return Ok(()) };
    let Some(whole) = found.get_mut(whole) else { return Ok(()) };
    match (&whole.permission, kind) {
        (Some(one), _) if *one == asked => {}
        (None, NoteKind::Merged) => whole.permission = Some(asked),
        (one, _) => {
            let one = one.as_ref().map_or("its own", PermissionName::as_str).to_owned();
            return Err(ImportError::Conflict {
                first: whole.place.clone(),
                second: place,
                one,
                other: asked.to_string(),
            });
        }
    }
    Ok(())
}

/// No two operations that are told apart may have one `operationId`. Where the very same one is reached twice, through
/// references, the second goes without.
fn check_ids(found: &mut [Found]) -> Result<(), ImportError> {
    let mut ids: HashMap<String, String> = HashMap::new();
    for operation in found.iter_mut().filter(|operation| operation.part_of.is_none()) {
        let Some(id) = operation.operation_id.clone() else { continue };
        match ids.get(&id) {
            None => drop(ids.insert(id, operation.place.clone())),
            Some(first) if *first == operation.place => {
                operation.operation_id = None;
            }
            Some(first) => {
                let (first, second) = (format!("{first}/operationId"), format!("{}/operationId", operation.place));
                return Err(ImportError::DuplicateId { id: quoted(&id), first, second });
            }
        }
    }
    Ok(())
}
