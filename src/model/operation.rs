//! Operations of the API behind the gate, and the permissions that cover them.

use super::quoted;
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

pub use http::Method;

/// Permission names that start so belong to Portcullis itself and never cover an operation of the API.
pub const RESERVED_PREFIX: &str = "portcullis:";

/// The name of a permission; also one OAuth scope token (RFC 6749 section 3.3), so printable ASCII without
/// space, `"` and `\`, 1 to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionName(Arc<str>);

/// Text that cannot name a permission.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is not a permission name: 1 to 200 printable ASCII characters without space, `\"` and `\\`")]
pub struct PermissionNameError {
    given: String,
}

impl PermissionName {
    /// Parses a permission name.
    pub fn parse(text: &str) -> Result<Self, PermissionNameError> {
        let sound =
            (1..=200).contains(&text.len()) && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if sound { Ok(Self(text.into())) } else { Err(PermissionNameError { given: quoted(text) }) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whether the name belongs to Portcullis itself.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX)
    }
}

impl std::borrow::Borrow<str> for PermissionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PermissionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PermissionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// `GET /cards/{id}`: a method (`*` for any) and a path template relative to the base URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationPattern {
    method: Option<Method>,
    path: Arc<str>,
}

/// Text that is not `METHOD /path`.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{given}` is not an operation such as `GET /cards/{{id}}` (one method or `*`, one space, a path that starts with `/`)"
)]
pub struct OperationPatternError {
    given: String,
}

impl OperationPattern {
    /// Parses `METHOD /path`. The template's own syntax is the catalogue's to judge.
    pub fn parse(text: &str) -> Result<Self, OperationPatternError> {
        let error = || OperationPatternError { given: quoted(text) };
        let (method, path) = text.split_once(' ').ok_or_else(error)?;
        if !path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(error());
        }
        let method = match method {
            "*" => None,
            _ if method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => {
                Some(Method::from_bytes(method.as_bytes()).map_err(|_| error())?)
            }
            _ => return Err(error()),
        };
        Ok(Self { method, path: path.into() })
    }

    /// An operation of a known method and path.
    pub fn new(method: Option<Method>, path: &str) -> Self {
        Self { method, path: path.into() }
    }

    /// The method; `None` is any method that no more exact operation of the same path takes.
    pub const fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// The path template, starting with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for OperationPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_ref().map_or("*", Method::as_str), self.path)
    }
}

/// One operation: what the upstream sees named in `Portcullis-Operation`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The OpenAPI `operationId`, or `METHOD /path` where there is none.
    pub id: Arc<str>,
    /// Method and path template.
    pub pattern: OperationPattern,
}

/// A named set of operations that a key can hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permission {
    /// The name; also its OAuth scope token.
    pub name: PermissionName,
    /// What pages group it under: an OpenAPI tag, or empty.
    pub group: String,
    /// One line for people, or empty.
    pub summary: String,
    /// What it opens.
    pub operations: Vec<Operation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_names_are_scope_tokens() {
        for text in ["cards:read", "GET:/v1/{id}", "a"] {
            assert!(PermissionName::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "a\"b", "a\\b", "é", &"x".repeat(201)] {
            assert!(PermissionName::parse(text).is_err(), "{text}");
        }
        assert!(PermissionName::parse("portcullis:keys:view").unwrap().is_reserved());
    }

    #[test]
    fn patterns_are_method_and_path() {
        let pattern = OperationPattern::parse("GET /cards/{id}").unwrap();
        assert_eq!(pattern.to_string(), "GET /cards/{id}");
        assert_eq!(OperationPattern::parse("* /x").unwrap().method(), None);
        for text in ["", "GET", "GET cards", "get /x", "GET  /x", "GET /a b", "G(T /x"] {
            assert!(OperationPattern::parse(text).is_err(), "{text}");
        }
    }
}
