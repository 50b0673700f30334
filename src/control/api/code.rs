//! Every code of a refusal: its status, its title, and what it means. One table, read by answers and by the document.

use crate::access::Denial;
use axum::http::StatusCode;

macro_rules! codes {
    ($($code:ident $status:ident $name:literal $title:literal $meaning:literal;)+) => {
        /// Why a request was refused. The names are a contract: add freely, rename never.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Code {
            $(#[doc = $meaning] $code,)+
        }

        impl Code {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$code,)+];

            /// The name on the wire.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// The status of an answer with this code.
            pub(super) const fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status,)+ }
            }

            /// A few words, the same for every refusal of the kind (RFC 9457 section 3.1.4).
            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)+ }
            }

            /// What it means, for the document.
            pub(super) const fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)+ }
            }
        }
    };
}

codes! {
    BaseUrlTaken CONFLICT "base_url_taken" "Base URL taken"
        "Another environment has the base URL; `detail` names it and where it is set.";
    BodyTooLarge PAYLOAD_TOO_LARGE "body_too_large" "Body too large"
        "The request body is longer than 8 MiB (64 KiB where no token is asked for, 32 MiB for a catalogue) or has more \
         than 250000 values; `detail` says which. An allowlist has at most 100000 networks.";
    CallerKeyExpired UNAUTHORIZED "key_expired" "API key expired"
        "The management key behind the access token has reached its expiry.";
    CallerKeyRevoked UNAUTHORIZED "key_revoked" "API key revoked"
        "The management key behind the access token was revoked.";
    CallerPermissionMissing FORBIDDEN "permission_missing" "Permission missing"
        "The access token, or the key behind it, holds no permission over keys.";
    ConfigurationInvalid UNPROCESSABLE_ENTITY "configuration_invalid" "Not reloaded"
        "The files have problems; what was there before serves on. `errors` names them.";
    EmailTaken CONFLICT "email_taken" "Address taken"
        "A member of this organization has the address, or somebody outside of it: they are added by an operator, who says \
         `link` where they have a password.";
    EnvironmentInUse CONFLICT "environment_in_use" "Environment in use"
        "Living keys work in the environment; revoke them first.";
    IdempotencyKeyReused UNPROCESSABLE_ENTITY "idempotency_key_reused" "Key used before"
        "The `Idempotency-Key` was used for another request; choose a new one.";
    Internal INTERNAL_SERVER_ERROR "internal" "Internal error"
        "Something of the node's own does not work; its log says what. Nothing was changed.";
    Invalid UNPROCESSABLE_ENTITY "invalid" "Not valid"
        "Fields or parameters are not valid; `errors` names each of them with what is wrong.";
    IpNotAllowed FORBIDDEN "ip_not_allowed" "Address not allowed"
        "The management key behind the access token may not be used from your address; `detail` names it.";
    KeyRevoked CONFLICT "key_revoked" "Key revoked"
        "The key is revoked, which is final.";
    LastOwner CONFLICT "last_owner" "Last owner"
        "The organization would be left without an owner.";
    Malformed BAD_REQUEST "malformed" "Malformed request"
        "The request cannot be read: a body that is not JSON, a header or a cursor that is not one of ours.";
    ManagedByFile CONFLICT "managed_by_file" "Set by file"
        "A tenant file sets this, and it changes only there.";
    MethodNotAllowed METHOD_NOT_ALLOWED "method_not_allowed" "Method not allowed"
        "The path does not take that method; `Allow` lists those it takes.";
    Misdirected MISDIRECTED_REQUEST "misdirected_request" "Wrong host"
        "`Host` is none of the listener's names: its public URL's, its certificates', `localhost` or an address.";
    NameTaken CONFLICT "name_taken" "Name taken"
        "A live key of this environment already has that name, ignoring case.";
    NotAllowed FORBIDDEN "not_allowed" "Not allowed"
        "You may know that it is there, but not do this; `detail` says what it takes.";
    NotAuthenticated UNAUTHORIZED "not_authenticated" "Not signed in"
        "There is no bearer token, or none that counts.";
    NotFound NOT_FOUND "not_found" "Not found"
        "There is nothing at this path, or nothing that you have a part in.";
    PasswordSet CONFLICT "password_set" "Has a password"
        "The member has a password; an operator can invite them to set another one.";
    PresetBuiltIn CONFLICT "preset_built_in" "Built in"
        "The preset is made from the catalogue and cannot be removed; setting one of its name puts that in its place.";
    RateLimited TOO_MANY_REQUESTS "rate_limited" "Too many requests"
        "Too many attempts failed, or somebody reads much of this audit log already; `Retry-After` says when to try \
         again.";
    RevisionMismatch PRECONDITION_FAILED "revision_mismatch" "Changed since"
        "The object is not at the revision that `If-Match` asks for.";
    RoleInUse CONFLICT "role_in_use" "Role in use"
        "Living keys hold a role that the environment would lose; `detail` names it.";
    SecretRotated UNAUTHORIZED "secret_rotated" "Secret rotated"
        "The management key was rotated after the access token was issued.";
    TokenExpired UNAUTHORIZED "token_expired" "Token expired"
        "The access token has expired.";
    TokenRevoked UNAUTHORIZED "token_revoked" "Token revoked"
        "The access token was revoked.";
    TooManyTokens CONFLICT "too_many_tokens" "Too many tokens"
        "The member has as many tokens as one may have in an organization.";
    Unavailable SERVICE_UNAVAILABLE "unavailable" "Unavailable"
        "The store does not answer, too much of the kind goes on already, or another process has taken over from the one \
         that was asked; nothing was changed. Try again.";
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "Unknown media type"
        "A request body is JSON and says so: `Content-Type: application/json`. A catalogue may be YAML too.";
    WrongEnvironment UNAUTHORIZED "wrong_environment" "Token of another audience"
        "The access token was not issued for this API: ask for one with `resource` = the control URL.";
}

impl Code {
    /// What anybody can be told who shows a token.
    pub(super) const OF_CALLERS: &[Self] = &[
        Self::CallerKeyExpired,
        Self::CallerKeyRevoked,
        Self::CallerPermissionMissing,
        Self::IpNotAllowed,
        Self::NotAuthenticated,
        Self::SecretRotated,
        Self::TokenExpired,
        Self::TokenRevoked,
        Self::WrongEnvironment,
    ];

    /// What is wrong with a caller's access token, or with the key behind it.
    pub(super) const fn of_caller(denial: &Denial) -> Self {
        match denial {
            Denial::IpNotAllowed { .. } => Self::IpNotAllowed,
            Denial::KeyExpired => Self::CallerKeyExpired,
            Denial::KeyRevoked => Self::CallerKeyRevoked,
            Denial::PermissionMissing { .. } => Self::CallerPermissionMissing,
            Denial::SecretRotated => Self::SecretRotated,
            Denial::TokenExpired => Self::TokenExpired,
            Denial::TokenInvalid | Denial::TokenMissing => Self::NotAuthenticated,
            Denial::TokenRevoked => Self::TokenRevoked,
            Denial::WrongEnvironment => Self::WrongEnvironment,
            // Said of requests to the API behind the gate, never of a token.
            Denial::BodyTooLarge
            | Denial::EnvironmentUnknown
            | Denial::HeadersTooLarge
            | Denial::InternalError
            | Denial::MalformedRequest { .. }
            | Denial::MethodNotServed
            | Denial::MisdirectedRequest
            | Denial::OperationUnknown
            | Denial::Overloaded
            | Denial::RequestTimeout
            | Denial::TargetAmbiguous { .. }
            | Denial::TargetTooLong
            | Denial::UpstreamProtocol
            | Denial::UpstreamTimeout
            | Denial::UpstreamUnreachable => Self::Internal,
        }
    }

    /// Its name in the document, which tells two of one name on the wire apart.
    pub(super) fn component(self) -> String {
        format!("{self:?}")
    }
}
