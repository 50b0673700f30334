//! Members: people who look after an organization's keys, how they are named and what they may do.

use super::secret::base62;
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// An id of a prefix and 22 base62 characters, made of 128 random bits.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $error:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        #[doc = concat!("Text that is no ", $what, "'s id.")]
        #[derive(Debug, thiserror::Error)]
        #[error("a {}'s id is `{}` and 22 letters and digits", $what, $prefix)]
        pub struct $error;

        impl $name {
            /// An id made of 128 random bits.
            pub fn from_entropy(entropy: [u8; 16]) -> Self {
                Self(format!(concat!($prefix, "{}"), base62::<22>(&entropy)).into())
            }

            /// Parses an id.
            pub fn parse(text: &str) -> Result<Self, $error> {
                let body = text.strip_prefix($prefix).ok_or($error)?;
                let sound = body.len() == 22 && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if sound { Ok(Self(text.into())) } else { Err($error) }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

random_id! {
    /// A person's id: `mbr_` and 22 base62 characters.
    MemberId, MemberIdError, "mbr_", "member"
}

random_id! {
    /// The id of a member's token for scripts, which is not the token: `mtk_` and 22 base62 characters.
    MemberTokenId, MemberTokenIdError, "mtk_", "member token"
}

/// An email address: at most 254 characters of ASCII, by the grammar of RFC 5321 without comments, quotes or address
/// literals. Two that differ in case alone are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(Arc<str>);

/// Text that is no email address.
#[derive(Debug, thiserror::Error)]
#[error("this is not an email address such as `ada@example.com` (at most 254 characters of ASCII)")]
pub struct EmailError;

impl Email {
    /// The longest address, in characters (RFC 5321 section 4.5.3.1.3, without its angle brackets).
    pub const MAX_CHARS: usize = 254;

    /// Parses an address, trimmed.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let options = email_address::Options::default().without_domain_literal().without_display_text();
        let sound = text.len() <= Self::MAX_CHARS
            && visible
            && email_address::EmailAddress::parse_with_options(text, options).is_ok();
        if sound { Ok(Self(text.into())) } else { Err(EmailError) }
    }

    /// The address as it was given, trimmed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What uniqueness compares: the address without case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    fn addresses_are_plain() {
        for text in ["ada@acme.example", " Ada.L+keys@Acme.Example ", "a@localhost", "o'hara@x--y.example"] {
            assert!(Email::parse(text).is_ok(), "{text}");
        }
        assert_eq!(Email::parse(" Ada@Acme.Example").unwrap().folded(), "ada@acme.example");
        for text in [
            "",
            "ada",
            "@acme.example",
            "ada@",
            "ada@@acme.example",
            "ada@acme.example,eve@acme.example",
            "Ada <ada@acme.example>",
            "ada @acme.example",
            "ada@acme.example\nbcc: eve@acme.example",
            "\"a b\"@acme.example",
            "ada@[127.0.0.1]",
            "adà@acme.example",
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
        let domain = |labels: usize| format!("{}{}", "abcdefgh.".repeat(labels), "example");
        assert!(Email::parse(&format!("{}@{}", "a".repeat(64), domain(20))).is_ok(), "252 characters");
        assert!(Email::parse(&format!("{}@{}", "a".repeat(64), domain(21))).is_err(), "261 characters");
        assert!(Email::parse(&format!("{}@acme.example", "a".repeat(65))).is_err());
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
