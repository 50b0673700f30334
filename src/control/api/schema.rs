//! What single values look like on the wire, for the document. The types are the model's own, so that a field's type
//! says its schema; patterns and lengths are what the parse constructors enforce.

use super::code::Code;
use crate::model::{
    ClientId, Identifier, KeyName, KeyStatus, ManagedBy, MemberRole, Network, PermissionName, Revision, Timestamp,
};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! schemas {
    ($($name:literal $type:ty => $schema:expr;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

/// White space that a name may have around it (Unicode's `White_Space`).
const SPACE: &str = r"\t\n\u000b\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
/// What a key's name never has in it.
const INVISIBLE: &str = r"\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff";
/// Control characters.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";
schemas! {
    "Address" Address => text("An IPv4 or IPv6 address.", "203.0.113.42").pattern(Some(format!("^(?:{})$", address())));
    "ClientId" ClientId => text("The public name of an API key: the `client_id` of the token endpoint.",
        "pcull_4fT9xQ2mWc7RkB1vNz8sLd").pattern(Some("^[A-Za-z0-9_]{1,64}$"));
    "Code" Code => choice("The stable name of a kind of refusal.", code_names());
    "Description" Description => text("Free text of at most 1000 characters; of control characters it may hold line \
        breaks alone.", "Nightly export to the data warehouse").max_length(Some(1000))
        .pattern(Some(r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]*$"));
    "ETag" ETag => text("The object's revision as an entity tag, to be sent back in `If-Match`.", "\"7\"")
        .pattern(Some("^\"[0-9]+\"$"));
    "Hash" Hash => text("A SHA-256 as hexadecimal digits.",
        "0000000000000000000000000000000000000000000000000000000000000000").pattern(Some("^[0-9a-f]{64}$"));
    "Identifier" Identifier => text("The id of an organization or environment.", "acme")
        .pattern(Some("^[a-z0-9][a-z0-9_-]{0,62}$"));
    "KeyName" KeyName => text("What people call the key: 1 to 100 characters that can be seen. Space around it is \
        taken off. Unique in its environment among live keys, ignoring case.", "salesforce-production")
        .pattern(Some(trimmed(INVISIBLE)));
    "KeyStatus" KeyStatus => choice("`active`: it opens what it holds. `expired`: its expiry is reached; a rotation \
        gives it a new one. `revoked`: ended for good.", ["active", "expired", "revoked"]);
    "Lifetime" Lifetime => text("A duration with its unit, in whole seconds.", "90d")
        .pattern(Some("^[0-9]+ ?[A-Za-z]+(?: ?[0-9]+ ?[A-Za-z]+)*$"));
    "ManagedBy" ManagedBy => choice("Who looks after it: this API, or a tenant file, which then is the one place where \
        it changes.", ["api", "file"]);
    "MemberRole" MemberRole => choice("Each role may do what those before it may. `none`: nothing. `viewer`: see keys. \
        `editor`: change keys. `admin`: change policies and members, and management keys. `owner`: the same, and \
        make owners.", ["none", "viewer", "editor", "admin", "owner"]);
    "Network" Network => text("An address, or a CIDR network without host bits, IPv4 or IPv6.", "198.51.100.0/24")
        .pattern(Some(format!("^(?:{})(?:/[0-9]{{1,3}})?$", address())));
    "OrganizationName" OrganizationName => text("The organization's name for people: 1 to 100 characters, none of them \
        control characters. Space around it is taken off.", "Acme").pattern(Some(trimmed(CONTROL)));
    "PermissionName" PermissionName => text("The name of a permission, also its OAuth scope. Those that start with \
        `portcullis:` are about Portcullis itself.", "cards:read").pattern(Some(r"^[!#-\[\]-~]{1,200}$"));
    "RequestId" RequestIdText => text("The request's id: what to ask about.", "9f86d081884c7d659a2feaa0c55ad015")
        .pattern(Some("^[0-9a-f]{32}$"));
    "Revision" Revision => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))
        .description(Some("The number of the object's last change; it only grows. Also its entity tag."))
        .examples([Value::from(7)]);
    "Timestamp" Timestamp => text("An instant (RFC 3339). A fraction of a second is dropped; answers are in UTC.",
        "2027-01-31T00:00:00Z").format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
}

/// An address on the wire.
pub(super) enum Address {}

/// A key's description.
pub(super) enum Description {}

/// The header `ETag`.
pub(super) enum ETag {}

/// A digest on the wire.
pub(super) enum Hash {}

/// A duration on the wire.
pub(super) enum Lifetime {}

/// An organization's name.
pub(super) enum OrganizationName {}

/// The header `X-Request-Id`.
pub(super) enum RequestIdText {}

/// What a key holds.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyType {
    /// Exactly its permissions.
    FineGrained,
    /// Whatever its role opens.
    Legacy,
}

/// Two codes can have one name on the wire, with different statuses.
fn code_names() -> BTreeSet<&'static str> {
    Code::ALL.iter().map(|code| code.as_str()).collect()
}

fn text(description: &str, example: &str) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.description(Some(description)).examples([Value::from(example)])
}

fn choice(description: &str, names: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(names))
}

/// 1 to 100 characters without these, the first and last of them no space; space around them.
fn trimmed(without: &str) -> String {
    let inner = format!("[^{without}{SPACE}]");
    format!("^[{SPACE}]*{inner}(?:[^{without}]{{0,98}}{inner})?[{SPACE}]*$")
}

/// Exact for IPv4; for IPv6 the characters and at least one colon.
fn address() -> String {
    const BYTE: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    format!(r"(?:{BYTE}\.){{3}}{BYTE}|[0-9a-fA-F]*:[0-9a-fA-F:.]*")
}
