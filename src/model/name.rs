//! Names: the short identifiers of organizations and environments, and the free names people give to keys.

use super::{folded, is_invisible, quoted};
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// The id of an organization or environment: 1 to 63 of `a-z 0-9 - _`, starting with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(Arc<str>);

/// Text that cannot be an identifier.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is not an identifier: 1 to 63 of `a-z 0-9 - _`, starting with a letter or digit")]
pub struct IdentifierError {
    given: String,
}

impl Identifier {
    /// Parses an identifier.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let sound = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if sound { Ok(Self(text.into())) } else { Err(IdentifierError { given: quoted(text) }) }
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Identifier {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The name a person gives to a key: 1 to 100 characters that can be seen, no space at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Why a text cannot be a key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// Nothing but space.
    #[error("a key needs a name")]
    Empty,
    /// Control characters, characters that change the reading direction, and others that nobody sees.
    #[error("a name holds no control characters, none that change the reading direction, and none that nobody sees")]
    Invisible,
    /// More than 100 characters.
    #[error("a name has at most 100 characters")]
    TooLong,
}

impl KeyName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 100;

    /// Trims and checks a name.
    pub fn parse(text: &str) -> Result<Self, KeyNameError> {
        let trimmed = text.trim();
        if folded(trimmed).is_empty() {
            return Err(KeyNameError::Empty);
        }
        if trimmed.chars().any(is_invisible) {
            return Err(KeyNameError::Invisible);
        }
        if trimmed.chars().count() > Self::MAX_CHARS {
            return Err(KeyNameError::TooLong);
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// A name that was taken before, perhaps by an earlier version with fewer rules: whatever is no empty text.
    pub fn kept(text: &str) -> Result<Self, KeyNameError> {
        if text.is_empty() { Err(KeyNameError::Empty) } else { Ok(Self(text.to_owned())) }
    }

    /// The name as it was given, trimmed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What uniqueness compares: the name without case, however its characters are composed.
    pub fn folded(&self) -> String {
        folded(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_plain() {
        assert!(Identifier::parse("acme-2_x").is_ok());
        for text in ["", "Acme", "-a", "a/b", "a b", &"a".repeat(64)] {
            assert!(Identifier::parse(text).is_err(), "{text}");
        }
        assert!(Identifier::parse(&"a".repeat(63)).is_ok());
    }

    #[test]
    fn key_names_are_visible_text() {
        assert_eq!(KeyName::parse("  Salesforce – Produktion ").unwrap().as_str(), "Salesforce – Produktion");
        assert_eq!(KeyName::parse("\t"), Err(KeyNameError::Empty));
        assert_eq!(KeyName::parse("a\nb"), Err(KeyNameError::Invisible));
        assert_eq!(KeyName::parse("a\u{202e}b"), Err(KeyNameError::Invisible));
        assert!(KeyName::parse(&"é".repeat(100)).is_ok());
        assert_eq!(KeyName::parse(&"é".repeat(101)), Err(KeyNameError::TooLong));
        assert_eq!(KeyName::parse("\u{fe0f}"), Err(KeyNameError::Empty));
        assert_eq!(KeyName::kept("a\u{202e}b").unwrap().as_str(), "a\u{202e}b");
        assert_eq!(KeyName::kept(""), Err(KeyNameError::Empty));
    }
}
