//! Members: people who look after an organization's keys.

use super::secret::base62;
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// A person's id: `mbr_` and 22 base62 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Arc<str>);

/// Text that is no member's id.
#[derive(Debug, thiserror::Error)]
#[error("a member's id is `mbr_` and 22 letters and digits")]
pub struct MemberIdError;

impl MemberId {
    /// An id made of 128 random bits.
    pub fn from_entropy(entropy: [u8; 16]) -> Self {
        Self(format!("mbr_{}", base62::<22>(&entropy)).into())
    }

    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, MemberIdError> {
        let body = text.strip_prefix("mbr_").ok_or(MemberIdError)?;
        let sound = body.len() == 22 && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if sound { Ok(Self(text.into())) } else { Err(MemberIdError) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a member may do in one organization. Ordered by power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Nothing at all.
    None,
    /// See keys.
    Viewer,
    /// See and change keys.
    Editor,
    /// Everything but what concerns owners.
    Admin,
    /// Everything; at least one remains.
    Owner,
}

impl MemberRole {
    /// All of them, the most powerful first.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Editor, Self::Viewer, Self::None];

    /// The name in the control API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::None => "none",
            Self::Owner => "owner",
            Self::Viewer => "viewer",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form() {
        let id = MemberId::from_entropy([0xff; 16]);
        assert_eq!(MemberId::parse(id.as_str()).unwrap(), id);
        for text in ["", "mbr_", "pcull_a", "mbr_000000000000000000000/", "mbr_00000000000000000000000"] {
            assert!(MemberId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn roles_have_names_and_an_order() {
        for role in MemberRole::ALL {
            assert_eq!(MemberRole::parse(role.as_str()), Some(role));
        }
        assert!(MemberRole::Owner > MemberRole::Admin && MemberRole::Viewer > MemberRole::None);
        assert_eq!(MemberRole::parse("Owner"), None);
    }
}
