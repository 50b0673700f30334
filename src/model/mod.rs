//! Pure values that the rest of the house speaks in: parsed once, private fields, no clock, no I/O.
//!
//! What it leaves to others: matching paths (`catalogue`), deciding (`access`), keeping (`store`, `tables`).

mod allowlist;
mod api_key;
mod audit;
mod claims;
mod cookie;
mod environment;
mod hex;
mod import;
mod json;
mod live;
mod management;
mod member;
mod name;
mod network;
mod operation;
mod percent;
mod secret;
mod text;
mod timestamp;
mod upstream;

pub use allowlist::{Allowlist, AllowlistEmpty};
pub use api_key::{ApiKey, KeyKind, KeyStatus, ManagedBy, Revision, SecretVersion};
pub use audit::{Act, Actor, AuditEntry, AuditRow, AuditTarget, ChainBreak, ChainHead, Idempotency, canonical_json};
pub use claims::AccessTokenClaims;
pub use cookie::{form_cookie, may_hold_own_cookie, session_cookie, sets_own_cookie, without_own_cookies};
pub use environment::{
    BaseUrl, BaseUrlError, Cors, Environment, EnvironmentId, Organization, PathRules, PlatformAddresses, Preset, Role,
    SwitchGuarded, SwitchOpaque, SwitchSegments, UpstreamUrl,
};
pub use hex::hex;
pub use import::{ImportNote, ImportReport, NoteKind};
pub use json::{MAX_JSON_VALUES, UnreadJson, json_pointer, strict_json};
pub use live::{
    CoveredOperation, EnvironmentIndex, EnvironmentPolicy, Holding, KeyEnded, LiveAllowlist, LiveKey, PermissionIndex,
    PermissionSet, RoleIndex,
};
pub use management::{ManagementPermission, ManagementSet};
pub use member::{Email, EmailError, MemberId, MemberIdError, MemberRole, MemberTokenId, MemberTokenIdError};
pub use name::{Identifier, IdentifierError, KeyName, KeyNameError};
pub use network::{Network, NetworkError, NetworkSet, counted_as};
pub use operation::{
    Method, Operation, OperationPattern, OperationPatternError, Permission, PermissionName, PermissionNameError,
    RESERVED_PREFIX,
};
pub use percent::{hex_pair, percent_decode};
pub use secret::{ClientId, ClientIdError, ClientSecret, DigestError, OpaqueToken, SecretDigest, TokenKind};
pub use text::{changes_direction, escaped, folded, is_invisible, is_name, quoted, trim_space, trim_space_start};
pub use timestamp::{Timestamp, TimestampError};
pub use upstream::{
    Balance, ClientCertificate, Ejection, HealthCheck, Upstream, UpstreamAuthorization, UpstreamHost, UpstreamProtocol,
    UpstreamTimeouts, UpstreamTls,
};
