//! What keys can hold in an environment: permissions, presets and roles, and the checks between them.

use super::reader::{At, Reader, Value, did_you_mean};
use super::sheet::Sheet;
use crate::catalogue::Template;
use crate::catalogue::openapi;
use crate::model::{Operation, OperationPattern, Permission, PermissionName, Preset, RESERVED_PREFIX, Role};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The permissions of an environment that declares none.
pub(super) const DEFAULT_PERMISSIONS: [&str; 2] = ["api:read", "api:write"];

/// The permissions of an environment, and what may be named elsewhere.
pub(super) struct Catalogue {
    /// In the order of the documents; empty where the environment declares none.
    pub(super) permissions: Vec<Permission>,
    /// The names that exist.
    pub(super) known: Known,
}

/// The names that exist; `None` where the catalogue could not be read, so that no name can be called unknown.
pub(super) struct Known(Option<BTreeSet<String>>);

impl Known {
    /// Parses a list of permission names that must exist; problems stand at each name.
    pub(super) fn names(&self, sheet: &Sheet, names: Vec<At<&str>>, also: &[&str]) -> Vec<PermissionName> {
        let mut parsed: Vec<PermissionName> = Vec::new();
        for At { value, line } in names {
            let Some(name) = sheet.accept(line, PermissionName::parse(value)) else { continue };
            if parsed.contains(&name) {
                sheet.problem(line, format!("`{name}` is named twice"));
            } else if let Some(message) = self.objection(&name, also) {
                sheet.missing(line, message);
            } else {
                parsed.push(name);
            }
        }
        parsed
    }

    fn objection(&self, name: &PermissionName, also: &[&str]) -> Option<String> {
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
        let known = self.0.as_ref().filter(|known| !known.contains(name.as_str()))?;
        let hint = did_you_mean(name.as_str(), known.iter().map(String::as_str));
        Some(format!("unknown permission `{name}`{hint}"))
    }
}

/// Reads `openapi` and `permissions`: the second adds to what the first declares.
pub(super) fn read(table: &mut Reader<'_>) -> Catalogue {
    let sheet = table.sheet();
    let document = table.take("openapi");
    let imported = document.as_ref().map(|value| import(sheet, value));
    let readable = !matches!(imported, Some(None));
    let mut permissions = imported.flatten().unwrap_or_default();
    let ids = operation_ids(&permissions);
    for (name, value) in table.entries("permissions") {
        let operations = operations(sheet, &value, &ids);
        let Some(name) = definable_name(sheet, &name) else { continue };
        match permissions.iter_mut().find(|permission| permission.name == name) {
            Some(permission) => add_operations(permission, operations),
            None => {
                permissions.push(Permission { name, group: String::new(), summary: String::new(), operations });
            }
        }
    }
    let known = if permissions.is_empty() {
        DEFAULT_PERMISSIONS.map(str::to_owned).into()
    } else {
        permissions.iter().map(|permission| permission.name.as_str().to_owned()).collect()
    };
    Catalogue { permissions, known: Known(readable.then_some(known)) }
}

fn import(sheet: &Sheet, value: &Value<'_>) -> Option<Vec<Permission>> {
    let path = value.path()?.value;
    let imported = sheet
        .read(&path)
        .map_err(|fault| format!("line {}: {}", fault.line, fault.message))
        .and_then(|text| openapi::import(&text).map_err(|error| error.to_string()));
    imported.map_err(|error| value.problem(format!("`{}`: {error}", path.display()))).ok()
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
    for At { value, line } in texts {
        match OperationPattern::parse(value) {
            Ok(pattern) if patterns.contains(&pattern) => sheet.problem(line, format!("`{pattern}` is named twice")),
            Ok(pattern) => match Template::parse(pattern.path()) {
                Ok(_) => patterns.push(pattern),
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
    for (name, value) in table.entries(key) {
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
