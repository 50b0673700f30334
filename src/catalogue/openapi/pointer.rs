//! JSON pointers (RFC 6901): the places that errors and notes name, and what a local `$ref` names.

use crate::model::{percent_decode, quoted};

/// The most characters of one name that a place shows.
const MOST: usize = 200;

/// The place of a member.
pub(super) fn below(place: &str, member: &str) -> String {
    let member = if member.chars().count() > MOST { quoted(member) } else { member.to_owned() };
    format!("{place}/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// The longest reference that is followed, in bytes.
const MAX_REFERENCE_BYTES: usize = 1024;
/// The most names on the way to what a reference names.
const MAX_NAMES: usize = 32;

/// Whether a reference is too long to be followed: no place in a document that people write lies so deep.
pub(super) fn is_long(reference: &str) -> bool {
    reference.len() > MAX_REFERENCE_BYTES
        || String::from_utf8_lossy(&percent_decode(reference.as_bytes())).split('/').count() > MAX_NAMES + 1
}

/// The names on the way to what a local reference (`#/components/pathItems/a`) names; `None` where it is no such,
/// or too long.
pub(super) fn names(reference: &str) -> Option<Vec<String>> {
    let pointer = reference.strip_prefix("#/").filter(|_| !is_long(reference))?;
    let decoded = String::from_utf8(percent_decode(pointer.as_bytes())).ok()?;
    Some(decoded.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_references_are_the_inverse_of_each_other() {
        let place = below(&below("", "paths"), "/a~b/{id}");
        assert_eq!(place, "/paths/~1a~0b~1{id}");
        assert_eq!(names(&format!("#{place}")).unwrap(), ["paths", "/a~b/{id}"]);
        assert_eq!(names("#/paths/~1a~1%7Bid%7D").unwrap(), ["paths", "/a/{id}"]);
        for other in ["", "#", "a.yaml", "a.yaml#/b", "https://example.com/#/a", "#a", "#/%ff"] {
            assert!(names(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_reference_has_so_many_bytes_and_names_and_no_more() {
        let bytes = |count: usize| format!("#/{}", "a".repeat(count - 2));
        assert!(names(&bytes(MAX_REFERENCE_BYTES)).is_some() && names(&bytes(MAX_REFERENCE_BYTES + 1)).is_none());
        for slash in ["/", "%2F"] {
            let deep = |count: usize| format!("#/{}", vec!["a"; count].join(slash));
            assert_eq!(names(&deep(MAX_NAMES)).unwrap().len(), MAX_NAMES);
            assert!(names(&deep(MAX_NAMES + 1)).is_none());
        }
    }
}
