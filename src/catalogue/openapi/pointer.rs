//! JSON pointers (RFC 6901): the places that errors and notes name, and what a local `$ref` names.

use crate::model::{percent_decode, quoted};

/// The most characters of one name that a place shows.
const MOST: usize = 200;

/// The place of a member.
pub(super) fn below(place: &str, member: &str) -> String {
    let member = if member.chars().count() > MOST { quoted(member) } else { member.to_owned() };
    format!("{place}/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// The names on the way to what a local reference (`#/components/pathItems/a`) names; `None` where it is no such.
pub(super) fn names(reference: &str) -> Option<Vec<String>> {
    let pointer = reference.strip_prefix("#/")?;
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
}
