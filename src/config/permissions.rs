//! What keys can hold in an environment: permissions, presets and roles, and the checks between them.

use super::documents::{Document, Imports};
use super::environment::path_prefix;
use super::reader::{At, Reader, Value, hint};
use super::sheet::Sheet;
use crate::catalogue::Template;
use crate::catalogue::openapi::Imported;
use crate::model::{Operation, OperationPattern, Permission, PermissionName, Preset, RESERVED_PREFIX, Role};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The permissions of an environment that declares none.
pub(super) const DEFAULT_PERMISSIONS: [&str; 2] = ["api:read", "api:write"];

/// An environment has at most so many presets, and so many roles.
const MAX_SETS: usize = 1000;

/// The permissions of an environment, and what may be named elsewhere.
pub(super) struct Catalogue {
    /// In the order of the documents; empty where the environment declares none. Shared with other environments of the
    /// same document where this one adds nothing to it.
    pub(super) permissions: Arc<[Permission]>,
    /// What the OpenAPI document gave, and the line that names it.
    pub(super) document: Option<At<Arc<Imported>>>,
    /// The names that exist.
    pub(super) known: Known,
}

/// The names that exist.
pub(super) struct Known {
    /// Whether the catalogue could be read: else no name can be called unknown.
    readable: bool,
    document: Option<Arc<Imported>>,
    own: BTreeSet<String>,
}

impl Known {
    /// Parses a list of permission names that must exist; problems stand at each name.
    pub(super) fn names(&self, sheet: &Sheet, names: Vec<At<&str>>, also: &[&str]) -> Vec<PermissionName> {
        let mut parsed: Vec<PermissionName> = Vec::new();
        let mut seen = HashSet::new();
        for At { value, line } in names {
            let Some(name) = sheet.accept(line, PermissionName::parse(value)) else { continue };
            if seen.contains(&name) {
                sheet.problem(line, format!("`{name}` is named twice"));
            } else if let Some(message) = self.objection(sheet, &name, also) {
                sheet.missing_coded(line, "permission_unknown", message);
            } else {
                seen.insert(name.clone());
                parsed.push(name);
            }
        }
        parsed
    }

    fn objection(&self, sheet: &Sheet, name: &PermissionName, also: &[&str]) -> Option<String> {
        if also.contains(&name.as_str()) {
            return None;
        }
        if name.is_reserved() {
            let own: Vec<String> = also.iter().map(|name| format!("`{name}`")).collect();
            return Some(match own.as_slice() {
                [] => format!("permission `{name}` belongs to Portcullis itself: give it to a key by name"),
                own => format!("unknown permission `{name}`; those of Portcullis itself are {}", own.join(", ")),
            });
        }
        if !self.readable || self.contains(name.as_str()) {
            return None;
        }
        let imported = self.document.iter().flat_map(|document| document.permissions.iter());
        let names = imported.map(|permission| permission.name.as_str()).chain(self.own.iter().map(String::as_str));
        let hint = hint(sheet, name.as_str(), names);
        Some(format!("unknown permission `{name}`{hint}"))
    }

    fn contains(&self, name: &str) -> bool {
        self.own.contains(name) || self.document.as_ref().is_some_and(|document| document.knows(name))
    }
}

/// Reads `openapi` and `permissions`: the second adds to what the first declares.
pub(super) fn read(table: &mut Reader<'_>, imports: &Imports<'_>) -> Catalogue {
    let sheet = table.sheet();
    let instead = "a document is sent to `PUT .../catalogue`, and never read from a path on the node";
    let value = table.take_in_file("openapi", instead);
    let prefix = table.take("openapi_prefix");
    if let Some(prefix) = prefix.as_ref().filter(|_| value.is_none() && !sheet.is_json()) {
        prefix.problem("`openapi_prefix` stands before the paths of `openapi`, which is not there");
    }
    let prefix = prefix.and_then(|value| value.parsed(path_prefix)).map(|prefix| prefix.value).unwrap_or_default();
    let document = imports.document(sheet, value.as_ref(), &prefix);
    let readable = !matches!(document, Document::Broken);
    let document = match document {
        Document::Absent | Document::Broken => None,
        Document::Read(imported) => Some(imported),
    };
    let imported = document.as_ref().map(|document| Arc::clone(&document.value));
    let shared = imported.as_ref().map_or_else(|| Arc::from([]), |imported| Arc::clone(&imported.permissions));
    let own = table.entries("permissions");
    let permissions = if own.is_empty() { shared } else { extended(sheet, &shared, own) };
    let own = match &imported {
        _ if permissions.is_empty() => DEFAULT_PERMISSIONS.map(str::to_owned).into(),
        Some(imported) if Arc::ptr_eq(&imported.permissions, &permissions) => BTreeSet::new(),
        Some(_) | None => permissions.iter().map(|permission| permission.name.as_str().to_owned()).collect(),
    };
    Catalogue { permissions, document, known: Known { readable, document: imported, own } }
}

/// The document's permissions and the environment's own.
fn extended(sheet: &Sheet, shared: &[Permission], own: Vec<(At<&str>, Value<'_>)>) -> Arc<[Permission]> {
    let mut permissions = shared.to_vec();
    let ids = operation_ids(&permissions);
    let mut places: HashMap<PermissionName, usize> =
        (0..).zip(&permissions).map(|(at, permission)| (permission.name.clone(), at)).collect();
    for (name, value) in own {
        let operations = operations(sheet, &value, &ids);
        let Some(name) = definable_name(sheet, &name) else { continue };
        let at = *places.entry(name.clone()).or_insert(permissions.len());
        match permissions.get_mut(at) {
            Some(permission) => add_operations(permission, operations),
            None => {
                permissions.push(Permission { name, group: String::new(), summary: String::new(), operations });
            }
        }
    }
    permissions.into()
}

fn operation_ids(permissions: &[Permission]) -> HashMap<OperationPattern, Arc<str>> {
    let operations = permissions.iter().flat_map(|permission| &permission.operations);
    operations.map(|operation| (operation.pattern.clone(), Arc::clone(&operation.id))).collect()
}

fn add_operations(permission: &mut Permission, operations: Vec<Operation>) {
    for operation in operations {
        if !permission.operations.contains(&operation) {
            permission.operations.push(operation);
        }
    }
}

fn definable_name(sheet: &Sheet, name: &At<&str>) -> Option<PermissionName> {
    let parsed = sheet.accept(name.line, PermissionName::parse(name.value))?;
    if parsed.is_reserved() {
        let message = format!("`{parsed}`: names that start with `{RESERVED_PREFIX}` belong to Portcullis itself");
        sheet.problem(name.line, message);
        return None;
    }
    Some(parsed)
}

/// The operations of a permission; one that the OpenAPI document knows keeps its `operationId`.
fn operations(sheet: &Sheet, value: &Value<'_>, ids: &HashMap<OperationPattern, Arc<str>>) -> Vec<Operation> {
    if value.is_empty_list() {
        value.problem("a permission needs at least one operation such as `GET /cards/{id}`");
    }
    let operation = |pattern: OperationPattern| {
        let id = ids.get(&pattern).map_or_else(|| pattern.to_string().into(), Arc::clone);
        Operation { id, pattern }
    };
    let texts = value.one_or_more_strings().unwrap_or_default();
    patterns(sheet, texts).into_iter().map(operation).collect()
}

fn patterns(sheet: &Sheet, texts: Vec<At<&str>>) -> Vec<OperationPattern> {
    let mut patterns: Vec<OperationPattern> = Vec::new();
    let mut seen = HashSet::new();
    for At { value, line } in texts {
        match OperationPattern::parse(value) {
            Ok(pattern) if seen.contains(&pattern) => sheet.problem(line, format!("`{pattern}` is named twice")),
            Ok(pattern) => match Template::parse(pattern.path()) {
                Ok(_) => {
                    seen.insert(pattern.clone());
                    patterns.push(pattern);
                }
                Err(error) => sheet.problem(line, format!("`{pattern}`: {error}")),
            },
            Err(error) => sheet.problem(line, error.to_string()),
        }
    }
    patterns
}

/// Reads `public`: the operations that need no token.
pub(super) fn public(table: &mut Reader<'_>) -> Vec<OperationPattern> {
    let texts = table.take("public").and_then(|value| value.strings()).unwrap_or_default();
    patterns(table.sheet(), texts)
}

/// Reads `presets`.
pub(super) fn presets(table: &mut Reader<'_>, known: &Known) -> Vec<Preset> {
    let named = named_sets(table, "presets", "a preset", known);
    named.into_iter().map(|(name, permissions)| Preset { name: name.to_owned(), permissions }).collect()
}

/// Reads `roles`.
pub(super) fn roles(table: &mut Reader<'_>, known: &Known) -> Vec<Role> {
    let named = named_sets(table, "roles", "a role", known);
    named.into_iter().map(|(name, permissions)| Role { name: name.to_owned(), permissions }).collect()
}

fn named_sets<'a>(
    table: &mut Reader<'a>,
    key: &'static str,
    what: &str,
    known: &Known,
) -> Vec<(&'a str, Vec<PermissionName>)> {
    let sheet = table.sheet();
    let mut sets = Vec::new();
    let entries = table.entries(key);
    if let Some((beyond, _)) = entries.get(MAX_SETS) {
        let message = format!("an environment has at most {MAX_SETS} {key}, and this one has {}", entries.len());
        sheet.problem(beyond.line, message);
        return sets;
    }
    for (name, value) in entries {
        if let Err(error) = super::tenant::label(name.value) {
            sheet.problem(name.line, format!("`{}` {error}", name.value));
        }
        let names = value.one_or_more_strings().unwrap_or_default();
        if value.is_empty_list() {
            value.problem(format!("{what} needs at least one permission"));
        }
        sets.push((name.value, known.names(sheet, names, &[])));
    }
    sets
}
