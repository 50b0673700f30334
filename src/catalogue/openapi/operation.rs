//! Operations on their way to permissions: what is one request on the wire is one operation here, because a gate that
//! told the two apart would be guessing.

use super::document::{Described, PathItem};
use super::error::ImportError;
use super::notes::Notes;
use super::path;
use super::pointer::below;
use crate::catalogue::Template;
use crate::model::{Method, NoteKind, OperationPattern, PermissionName, quoted};
use std::collections::{HashMap, HashSet};

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
    /// It stands elsewhere and was reached through a reference.
    is_referred: bool,
    /// It is one with others, and they have not all the same `operationId`: none of them names it.
    pub(super) has_several_ids: bool,
    /// The number of the operation that this one is part of.
    pub(super) part_of: Option<(NoteKind, usize)>,
}

impl Found {
    /// Its `operationId`, unless it is one with operations that have others.
    pub(super) fn single_id(&self) -> Option<&str> {
        self.operation_id.as_deref().filter(|_| !self.has_several_ids)
    }
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
    let PathItem { path: text, place: item_place, operations } = item;
    let written =
        path::read(&text, prefix).map_err(|reason| ImportError::Path { place: item_place.clone(), reason })?;
    let (shown, path) = (quoted(&text), format!("{prefix}{}", written.path));
    if written.cut {
        notes.add(NoteKind::PathCut, &item_place, || {
            format!("`{shown}` is matched as `{}`: what follows `#` or `?` is no part of a path", quoted(&path))
        });
    }
    if written.tidied {
        notes.add(NoteKind::PathTidied, &item_place, || format!("`{shown}` is matched as `{}`", quoted(&path)));
    }
    if written.greedy {
        let message = "a parameter matches one segment; for the rest of the path add a permission with `{name...}`";
        notes.add(NoteKind::OneSegment, &item_place, || format!("`{}`: {message}", quoted(&path)));
    }
    for described in operations {
        let Described { method, place, operation_id, permission, summary, tag } = described;
        let is_referred = place != below(&item_place, method);
        let method = method.to_ascii_uppercase();
        found.push(Found {
            shown: format!("{method} {shown}"),
            place,
            is_referred,
            // INVARIANT: METHODS are methods.
            pattern: OperationPattern::new(Method::from_bytes(method.as_bytes()).ok(), &path),
            template: written.template.clone(),
            operation_id,
            permission,
            group: tag.unwrap_or_else(|| written.path.split('/').nth(1).unwrap_or_default().to_owned()),
            summary,
            has_several_ids: false,
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
    let (asked, place, id) = (part.permission.clone(), part.place.clone(), part.operation_id.clone());
    if let Some(whole) = found.get_mut(whole).filter(|_| kind == NoteKind::Merged) {
        whole.has_several_ids |= whole.operation_id != id;
    }
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

/// No two operations that are told apart may have one `operationId`. Where the very same one is reached more than once,
/// through references, it belongs to the path where it stands, or to none of them: not to whichever comes first.
fn check_ids(found: &mut [Found]) -> Result<(), ImportError> {
    let mut ids: HashMap<&str, &Found> = HashMap::new();
    let mut again: HashSet<&str> = HashSet::new();
    for operation in found.iter().filter(|operation| operation.part_of.is_none()) {
        let Some(id) = operation.operation_id.as_deref() else { continue };
        let Some(first) = ids.insert(id, operation) else { continue };
        if first.place != operation.place {
            let (first, second) = (format!("{}/operationId", first.place), format!("{}/operationId", operation.place));
            return Err(ImportError::DuplicateId { id: quoted(id), first, second });
        }
        again.insert(id);
    }
    let again: HashSet<String> = again.into_iter().map(str::to_owned).collect();
    let lose = |operation: &&mut Found| {
        operation.is_referred && operation.operation_id.as_ref().is_some_and(|id| again.contains(id))
    };
    found.iter_mut().filter(lose).for_each(|operation| operation.operation_id = None);
    Ok(())
}
