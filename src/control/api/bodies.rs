//! What request bodies look like, for the document. Reading them is `body`'s; a test compares the two.

use super::schema::{Address, Description, KeyType, Lifetime, MemberName, OrganizationName};
use crate::model::{ClientId, Email, KeyName, MemberRole, Network, PermissionName, Timestamp};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, Schema};

/// From where a key may be used. It needs a network or the platform's addresses: an allowlist without either is
/// refused, so that taking out its last line never opens a key.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes")]
pub(super) struct AllowlistBody {
    /// Addresses and CIDR networks.
    #[schema(max_items = 100_000)]
    networks: Option<Vec<Network>>,
    /// Whether the environment's platform addresses count too, with whatever is added to that list later.
    #[schema(default = false)]
    platform: Option<bool>,
}

/// A key to be made: a fine-grained one with `permissions` or a `preset`, or a legacy one with a `role`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "salesforce-production", "permissions": ["cards:read"],
    "expires_at": "2027-01-31T00:00:00Z", "allowlist": {"networks": ["203.0.113.42", "198.51.100.0/24"]}}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct CreateKey {
    /// What people will call it.
    name: KeyName,
    /// Free text.
    description: Option<Description>,
    /// `fine_grained` where it is left out.
    #[serde(rename = "type")]
    kind: Option<KeyType>,
    /// Exactly what it may do; at least one, each of them known to the environment. Where this is given it wins over
    /// `preset`: whoever starts from a preset and adjusts it sends what came out.
    permissions: Option<Vec<PermissionName>>,
    /// The preset of the environment whose permissions it takes.
    #[schema(example = "Read only")]
    preset: Option<String>,
    /// What a key that holds `portcullis:keys:edit` may give to others beyond its own permissions.
    may_grant: Option<Vec<PermissionName>>,
    /// The role of a legacy key; only with `type` `legacy`.
    #[schema(example = "events")]
    role: Option<String>,
    /// When it ends: in the future, and within the organization's `max_key_lifetime`, which also makes it required.
    /// Null or left out: never.
    expires_at: Option<Timestamp>,
    /// From where it may be used. Null or left out: any address.
    allowlist: Option<AllowlistBody>,
}

/// An edit of a key; what is left out stays as it is. Type, role and client id stay for good, and the expiry changes
/// by rotation alone.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "Nightly export", "permissions": ["cards:read", "files:read"]}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct EditKey {
    /// The new name.
    #[schema(required = false)]
    name: KeyName,
    /// The new description.
    #[schema(required = false)]
    description: Description,
    /// Everything it may do from now on. Fine-grained keys only.
    #[schema(required = false, min_items = 1)]
    permissions: Vec<PermissionName>,
    /// What it may give to others from now on; null is nothing.
    may_grant: Option<Vec<PermissionName>>,
    /// From where it may be used from now on; null is any address.
    allowlist: Option<AllowlistBody>,
}

/// A rotation: the key gets a new secret, and the old one is dead at once, with every token that was got with it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expires_at": "2027-01-31T00:00:00Z"}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct RotateKey {
    /// The new expiry, asked for every time: an instant, or null for never.
    #[schema(required = true)]
    expires_at: Option<Timestamp>,
    /// From where it may be used from now on; null is any address. Left out: as before.
    allowlist: Option<AllowlistBody>,
}

/// Nothing to say: the body may be left out.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A change to an organization; what is left out stays as it is.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"policies": {"block_legacy_keys": true, "max_key_lifetime": "90d"}}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct ChangeOrganization {
    /// The new name.
    #[schema(required = false, value_type = OrganizationName)]
    name: OrganizationName,
    /// The policies to be changed.
    #[schema(required = false)]
    policies: ChangePolicies,
}

/// Policies of an organization. They bind keys that are made or rotated from then on, in every environment; keys that
/// are there already go on working.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes")]
pub(super) struct ChangePolicies {
    /// Whether new legacy keys are refused. Null takes the policy away.
    block_legacy_keys: Option<bool>,
    /// The longest life a key may be given, 1 second to 100 years. Null takes the policy away.
    max_key_lifetime: Option<Lifetime>,
}

/// An environment: the JSON form of `[environments.NAME]` in a tenant file, without `openapi` (send the document to
/// `catalogue`) and `keys` (make them under `keys`).
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"base_url": "https://api.example.com/v1", "upstream": "http://10.0.0.5:9000",
    "permissions": {"cards:read": ["GET /cards", "GET /cards/{id}"]}, "roles": {"events": ["cards:read"]}}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct DefineEnvironment {
    /// Where callers of the API send their requests. No other environment may have it.
    #[schema(format = "uri", example = "https://api.example.com/v1")]
    base_url: String,
    /// Where requests go: a URL, or an object with `url` or `urls`, `protocol`, `balance`, `health`, `eject_after`,
    /// `eject_for`, `host`, `authorization`, `set_headers` and `timeouts`.
    /// A header of `set_headers` whose value is null keeps the value that it has.
    #[schema(schema_with = upstream)]
    upstream: (),
    /// Put before the path of every imported operation, such as `/2.0`.
    #[schema(required = false)]
    openapi_prefix: String,
    /// Permissions and their operations: beside those of the OpenAPI document, or without one.
    #[schema(required = false, value_type = Object)]
    permissions: (),
    /// Operations that need no token.
    #[schema(required = false)]
    public: Vec<String>,
    /// Named selections of permissions to start a key from.
    #[schema(required = false, value_type = Object)]
    presets: (),
    /// Named sets of permissions for legacy keys.
    #[schema(required = false, value_type = Object)]
    roles: (),
    /// `label` and `networks` of the platform's own addresses.
    #[schema(required = false, value_type = Object)]
    platform_addresses: (),
    /// How strictly paths are read: `encoded_slash`, `encoded_backslash`, `double_encoding`, `semicolon`,
    /// `empty_segments`.
    #[schema(required = false, value_type = Object)]
    paths: (),
    /// The header that carries the bearer token; `authorization` where it is left out.
    #[schema(required = false)]
    token_header: String,
    /// Where the OAuth endpoints live below the base URL; `/oauth2` where it is left out.
    #[schema(required = false, pattern = "^/")]
    oauth_prefix: String,
    /// `refuse` or `forward`: whether CORS preflights reach the API without a token; `refuse` where it is left out.
    #[schema(required = false)]
    cors: String,
    /// The largest request body, such as `10MiB`; `none` where it is left out.
    #[schema(required = false)]
    body_limit: String,
}

fn upstream() -> Schema {
    let url = ObjectBuilder::new().schema_type(Type::String);
    let table = ObjectBuilder::new().schema_type(Type::Object);
    OneOfBuilder::new().item(url).item(table).into()
}

/// The permissions of a preset or role.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"permissions": ["cards:read"]}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct SetPermissions {
    /// At least one, each of them known to the environment.
    #[schema(min_items = 1)]
    permissions: Vec<PermissionName>,
}

/// How the next signing key comes into use.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes")]
pub(super) struct RotateSigningKey {
    /// Whether it signs at once. Whoever proves tokens by a copy of the published keys then has to fetch them anew.
    #[schema(default = false)]
    immediately: Option<bool>,
}

/// A request to be explained.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"client_id": "pcull_4fT9xQ2mWc7RkB1vNz8sLd", "method": "GET", "path": "/cards/42",
    "address": "203.0.113.42"}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct Explain {
    /// Whose request it is: a key of the environment.
    client_id: ClientId,
    /// Its method. Methods are compared with their case; CONNECT and TRACE are never served.
    #[schema(pattern = "^(?!(?:CONNECT|TRACE)$)[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$")]
    method: String,
    /// Its path below the base URL, as it would be sent: percent-encoded, without query.
    #[schema(max_length = 8000, pattern = "^/[!$-;=@-_a-~]*$")]
    path: String,
    /// Where it comes from.
    address: Address,
}

/// Somebody to be added to an organization.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "name": "Ada Lovelace", "role": "editor"}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct AddMember {
    /// By which they sign in.
    email: Email,
    /// What the organization calls them.
    name: Option<MemberName>,
    /// What they may do in this organization.
    role: MemberRole,
    /// Whether they are an operator of the node. Operators alone say so.
    operator: Option<bool>,
    /// Whether the person is meant who has that address and a password in another organization. An operator who does not
    /// say so is told where they belong (409 `email_taken`); for everybody else it changes nothing.
    #[schema(default = false)]
    link: Option<bool>,
}

/// A change to a member; what is left out stays as it is.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "admin"}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct ChangeMember {
    /// What the organization calls them from now on; null is nothing.
    name: Option<MemberName>,
    /// What they may do from now on, with their tokens too.
    #[schema(required = false)]
    role: MemberRole,
    /// Whether they are an operator of the node. Operators alone say so.
    #[schema(required = false)]
    operator: bool,
}

/// A token for scripts to be made.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly report"}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct MakeMemberToken {
    /// What it is for.
    name: KeyName,
    /// When it ends, at most 366 days from now. Null or left out: in 90 days.
    expires_at: Option<Timestamp>,
}

/// What somebody shows to sign in: `email` and `password`; `invitation` and the `password` to set; or the bootstrap
/// `token` alone.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "password": "correct horse battery staple"}))]
#[expect(dead_code, reason = "describes")]
pub(super) struct SignIn {
    /// The member's address.
    email: Option<Email>,
    /// An invitation, which is used up by this. Every session under an earlier password ends, and every
    /// token of theirs from that time.
    invitation: Option<String>,
    /// 12 to 200 characters, and not the email address.
    #[schema(format = Password)]
    password: Option<String>,
    /// The bootstrap token, for a session of the operator.
    token: Option<String>,
}
