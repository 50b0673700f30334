//! OpenAPI 3.0 and 3.1 documents (JSON) to permissions: each operation becomes one, named by its `operationId`.
//!
//! Operations that look alike on the wire (same method and path once `#…` and `?…` are off and parameters lose
//! their names) are one operation here: a gate that told them apart would be guessing. Names never collide by
//! accident, because two operations under one name would widen what a key opens; `x-portcullis-permission` puts
//! several under one name on purpose. Servers, parameters, schemas and security are left to others.

use crate::model::{Method, Operation, OperationPattern, Permission, PermissionName, quoted};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Why a document gives no permissions.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Two operations that are one on the wire ask for different permissions.
    #[error("`{first}` and `{second}` are the same request but ask for the permissions `{one}` and `{other}`")]
    Conflict {
        /// The operation that came first.
        first: String,
        /// The other one.
        second: String,
        /// The permission of the first.
        one: String,
        /// The permission of the other.
        other: String,
    },
    /// It has another shape than OpenAPI gives it.
    #[error("not an OpenAPI document: {0}")]
    Malformed(serde_json::Error),
    /// `paths` is absent or holds no operation.
    #[error("the document declares no operation under `paths`")]
    NoPaths,
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// A path that no request can have.
    #[error("path `{path}` {reason}")]
    Path {
        /// The path as it is written.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `x-portcullis-permission` does not name a permission.
    #[error("`x-portcullis-permission` of `{operation}`: {reason}")]
    Permission {
        /// Method and path.
        operation: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Swagger 2.0.
    #[error("Swagger 2.0 is not read yet by this version; convert to OpenAPI 3 JSON")]
    Swagger,
    /// Another version, or none.
    #[error("OpenAPI {0} is not read by this version; it reads 3.0 and 3.1")]
    Version(String),
    /// YAML.
    #[error("YAML is not read yet by this version; convert to OpenAPI 3 JSON")]
    Yaml,
}

/// The permissions that a document declares, in the document's order.
///
/// # Errors
///
/// The first thing that makes the document unusable. Nothing is left out to get around one: an operation that is
/// skipped would be one that nobody can be given.
pub fn import(document: &str) -> Result<Vec<Permission>, ImportError> {
    let document = document.strip_prefix('\u{feff}').unwrap_or(document);
    check_version(document)?;
    let Document { paths } = serde_json::from_str(document).map_err(ImportError::Malformed)?;
    let mut found = Vec::new();
    for (path, item) in paths.unwrap_or_default().0 {
        declared(&path, item, &mut found)?;
    }
    let operations = without_heads(merged(found)?);
    if operations.is_empty() {
        return Err(ImportError::NoPaths);
    }
    Ok(named(operations))
}

fn check_version(document: &str) -> Result<(), ImportError> {
    #[derive(Deserialize)]
    struct Versions {
        openapi: Option<Value>,
        swagger: Option<Value>,
    }
    if !document.trim_start().starts_with(['{', '[']) && looks_like_yaml(document) {
        return Err(ImportError::Yaml);
    }
    serde_json::from_str::<IgnoredAny>(document).map_err(ImportError::NotJson)?;
    let Versions { openapi, swagger } = serde_json::from_str(document).map_err(ImportError::Malformed)?;
    match openapi.as_ref().and_then(Value::as_str) {
        Some(version) if version.starts_with("3.0.") || version.starts_with("3.1.") => Ok(()),
        Some(version) => Err(ImportError::Version(format!("`{}`", quoted(version)))),
        None if swagger.is_some() => Err(ImportError::Swagger),
        None => Err(ImportError::Version("without a version (`openapi`)".to_owned())),
    }
}

fn looks_like_yaml(document: &str) -> bool {
    document.lines().take(50).any(|line| {
        let line = line.trim_start_matches("\"").trim_start_matches('\'');
        line.starts_with("---") || line.starts_with("openapi") || line.starts_with("swagger")
    })
}

/// What is read of a document.
#[derive(Deserialize)]
struct Document {
    paths: Option<Paths>,
}

/// What is read of a path item.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PathItem {
    #[serde(rename = "$ref")]
    reference: Option<Value>,
    get: Option<Described>,
    put: Option<Described>,
    post: Option<Described>,
    delete: Option<Described>,
    options: Option<Described>,
    head: Option<Described>,
    patch: Option<Described>,
    trace: Option<Described>,
}

/// What is read of an operation. Words for people may have any shape; only their text is used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Described {
    #[serde(rename = "operationId")]
    operation_id: Option<String>,
    #[serde(rename = "x-portcullis-permission")]
    permission: Option<Value>,
    summary: Value,
    tags: Value,
}

/// The path items in the document's order; extensions among them are passed over.
#[derive(Default)]
struct Paths(Vec<(String, PathItem)>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathsVisitor;
        impl<'de> Visitor<'de> for PathsVisitor {
            type Value = Paths;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Paths, A::Error> {
                let mut items = Vec::new();
                while let Some(path) = map.next_key::<String>()? {
                    if path.starts_with("x-") {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        items.push((path, map.next_value()?));
                    }
                }
                Ok(Paths(items))
            }
        }
        deserializer.deserialize_map(PathsVisitor)
    }
}

/// One operation on its way to a permission.
struct Found {
    pattern: OperationPattern,
    shape: String,
    operation_id: Option<String>,
    permission: Option<PermissionName>,
    group: String,
    summary: String,
}

/// The operations of one path item.
fn declared(path: &str, item: PathItem, found: &mut Vec<Found>) -> Result<(), ImportError> {
    let error = |reason| ImportError::Path { path: quoted(path), reason };
    if item.reference.is_some() {
        return Err(error("is a `$ref`; put the path item itself there"));
    }
    // Fragments and queries tell operations apart in documents, not on the wire.
    let template = path.split(['#', '?']).next().unwrap_or_default();
    let methods = [
        (Method::GET, item.get),
        (Method::PUT, item.put),
        (Method::POST, item.post),
        (Method::DELETE, item.delete),
        (Method::OPTIONS, item.options),
        (Method::HEAD, item.head),
        (Method::PATCH, item.patch),
        (Method::TRACE, item.trace),
    ];
    for (method, described) in methods {
        let Some(described) = described else { continue };
        let pattern = OperationPattern::parse(&format!("{method} {template}"))
            .map_err(|_| error("does not start with `/`, or holds spaces or control characters"))?;
        let permission = described.permission.as_ref().map(|name| explicit(&pattern, name)).transpose()?;
        found.push(Found {
            shape: shape(&pattern),
            operation_id: described.operation_id.filter(|id| !id.is_empty()),
            permission,
            group: group(&described.tags, template),
            summary: line(&described.summary),
            pattern,
        });
    }
    Ok(())
}

fn explicit(pattern: &OperationPattern, name: &Value) -> Result<PermissionName, ImportError> {
    let error = |reason| ImportError::Permission { operation: quoted(&pattern.to_string()), reason };
    let text = name.as_str().ok_or_else(|| error("is not a string".to_owned()))?;
    let name = PermissionName::parse(text).map_err(|invalid| error(invalid.to_string()))?;
    if name.is_reserved() {
        return Err(error(format!("`{name}` belongs to Portcullis itself")));
    }
    Ok(name)
}

/// Method and path with the names of the parameters taken out: what a request can be told apart by.
fn shape(pattern: &OperationPattern) -> String {
    let mut shape = String::with_capacity(pattern.path().len());
    let mut inside = false;
    for c in pattern.to_string().chars() {
        if c == '}' {
            inside = false;
        }
        if !inside {
            shape.push(c);
        }
        if c == '{' {
            inside = true;
        }
    }
    shape
}

fn group(tags: &Value, template: &str) -> String {
    let tag = tags.get(0).and_then(Value::as_str).map(visible).filter(|tag| !tag.is_empty());
    tag.unwrap_or_else(|| template.split('/').nth(1).unwrap_or_default().to_owned())
}

/// A text for people, on one line.
fn line(text: &Value) -> String {
    visible(text.as_str().unwrap_or_default())
}

fn visible(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One of each shape: the first, under the permission that any of them asks for.
fn merged(found: Vec<Found>) -> Result<Vec<Found>, ImportError> {
    let mut operations: Vec<Found> = Vec::with_capacity(found.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for next in found {
        let at = *places.entry(next.shape.clone()).or_insert(operations.len());
        let Some(first) = operations.get_mut(at) else {
            operations.push(next);
            continue;
        };
        match (&first.permission, next.permission) {
            (Some(one), Some(other)) if *one != other => {
                return Err(ImportError::Conflict {
                    first: quoted(&first.pattern.to_string()),
                    second: quoted(&next.pattern.to_string()),
                    one: one.to_string(),
                    other: other.to_string(),
                });
            }
            (None, Some(asked)) => first.permission = Some(asked),
            (Some(_), Some(_)) | (_, None) => {}
        }
    }
    Ok(operations)
}

/// HEAD rides on GET's permission, so a HEAD that stands next to a GET says nothing.
fn without_heads(mut operations: Vec<Found>) -> Vec<Found> {
    let gets: HashSet<String> =
        operations.iter().filter_map(|found| found.shape.strip_prefix("GET ").map(str::to_owned)).collect();
    operations.retain(|found| found.shape.strip_prefix("HEAD ").is_none_or(|path| !gets.contains(path)));
    operations
}

/// Gives every operation a permission: the one it asks for, else one of its own.
fn named(operations: Vec<Found>) -> Vec<Permission> {
    let asked = operations.iter().filter_map(|found| found.permission.as_ref().map(PermissionName::as_str));
    let mut taken: HashSet<String> = asked.map(str::to_owned).collect();
    let mut ids: HashSet<String> = HashSet::new();
    let mut permissions: Vec<Permission> = Vec::new();
    let mut shared: HashMap<PermissionName, usize> = HashMap::new();
    for found in operations {
        let id = operation_id(&found, &mut ids);
        let operation = Operation { id: id.into(), pattern: found.pattern.clone() };
        if let Some(at) = found.permission.as_ref().and_then(|name| shared.get(name)).copied() {
            if let Some(permission) = permissions.get_mut(at) {
                permission.operations.push(operation);
            }
            continue;
        }
        if let Some(name) = &found.permission {
            shared.insert(name.clone(), permissions.len());
        }
        let Some(name) = found.permission.clone().or_else(|| own_name(&found, &mut taken)) else { continue };
        permissions.push(Permission { name, group: found.group, summary: found.summary, operations: vec![operation] });
    }
    permissions
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
fn own_name(found: &Found, taken: &mut HashSet<String>) -> Option<PermissionName> {
    let stable = stable_name(&found.pattern);
    let mut candidates = found.operation_id.as_deref().map(scope_token).into_iter().chain([stable.clone()]).chain(
        // As many numbers as there are names: one of them is free.
        (2..=taken.len() + 3).map(|number| format!("{stable}~{number}")),
    );
    let name = candidates.find_map(|text| {
        PermissionName::parse(&text).ok().filter(|name| !name.is_reserved() && !taken.contains(name.as_str()))
    })?;
    taken.insert(name.as_str().to_owned());
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
