//! Refusals of the endpoints that authenticate clients (RFC 6749 section 5.2).

use serde_json::{Value, json};
use std::borrow::Cow;

/// When to try again after a change could not be kept, in seconds.
const UNAVAILABLE_SECONDS: u32 = 2;

/// Why an endpoint did not do what it was asked. Nothing the caller sent is echoed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// The secret is proven, but the key does not open anything now or from here: the reason is told.
    ClientRefused {
        /// Whether the caller used Basic.
        basic: bool,
        /// The code in `Portcullis-Error`.
        code: &'static str,
        /// The reason in words.
        reason: Cow<'static, str>,
    },
    /// A token to be revoked that was issued to another client (RFC 7009 section 2.1 has the client told).
    ForeignToken,
    /// Unknown id, wrong secret, or no credentials: one answer for all.
    InvalidClient {
        /// Whether the caller used the Authorization header.
        basic: bool,
    },
    /// The request is malformed; what exactly is named.
    InvalidRequest(&'static str),
    /// A scope that the key does not hold.
    InvalidScope,
    /// A resource that no token is issued for here (RFC 8707 section 2); why is named.
    InvalidTarget(&'static str),
    /// Not POST.
    MethodNotAllowed,
    /// Too many failures of this client id or from this address: unproven requests wait.
    RateLimited {
        /// Whole seconds until the next try, at least 1.
        retry_after: u32,
    },
    /// The body is larger than the endpoint takes.
    TooLarge,
    /// The client has as many living tokens revoked as one may have; nothing was changed.
    TooManyRevoked {
        /// Whole seconds until the next try, at least 1.
        retry_after: u32,
    },
    /// What was asked for cannot be kept at the moment; nothing was changed.
    Unavailable,
    /// A grant type other than `client_credentials`.
    UnsupportedGrantType,
}

impl OAuthError {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::ClientRefused { .. } | Self::InvalidClient { .. } => 401,
            Self::ForeignToken
            | Self::InvalidRequest(_)
            | Self::InvalidScope
            | Self::InvalidTarget(_)
            | Self::UnsupportedGrantType => 400,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::RateLimited { .. } | Self::TooManyRevoked { .. } => 429,
            Self::Unavailable => 503,
        }
    }

    /// Whole seconds for Retry-After, where waiting helps.
    pub const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::RateLimited { retry_after } | Self::TooManyRevoked { retry_after } => Some(*retry_after),
            Self::Unavailable => Some(UNAVAILABLE_SECONDS),
            Self::ClientRefused { .. }
            | Self::ForeignToken
            | Self::InvalidClient { .. }
            | Self::InvalidRequest(_)
            | Self::InvalidScope
            | Self::InvalidTarget(_)
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::UnsupportedGrantType => None,
        }
    }

    /// The RFC's error code; `rate_limited` is ours, `temporarily_unavailable` of RFC 6749 section 4.1.2.1.
    pub const fn error(&self) -> &'static str {
        match self {
            Self::ClientRefused { .. } | Self::InvalidClient { .. } => "invalid_client",
            Self::ForeignToken => "invalid_grant",
            Self::InvalidRequest(_) | Self::MethodNotAllowed | Self::TooLarge => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget(_) => "invalid_target",
            Self::RateLimited { .. } | Self::TooManyRevoked { .. } => "rate_limited",
            Self::Unavailable => "temporarily_unavailable",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    /// The value of `Portcullis-Error`: the reason where one is told, else the RFC's code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ClientRefused { code, .. } => code,
            Self::TooLarge => "body_too_large",
            Self::ForeignToken
            | Self::InvalidClient { .. }
            | Self::InvalidRequest(_)
            | Self::InvalidScope
            | Self::InvalidTarget(_)
            | Self::MethodNotAllowed
            | Self::RateLimited { .. }
            | Self::TooManyRevoked { .. }
            | Self::Unavailable
            | Self::UnsupportedGrantType => self.error(),
        }
    }

    /// Whether the answer carries `WWW-Authenticate: Basic`: only where the header was used (RFC 6749 section 5.2).
    pub const fn challenges_basic(&self) -> bool {
        matches!(self, Self::ClientRefused { basic: true, .. } | Self::InvalidClient { basic: true })
    }

    /// The JSON body.
    pub fn body(&self) -> Value {
        json!({ "error": self.error(), "error_description": self.description() })
    }

    /// For people; in the alphabet of RFC 6749 section 5.2 (no `"`, no `\`).
    pub fn description(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::ClientRefused { reason, .. } => return reason.clone(),
            Self::InvalidClient { .. } => "the client id is unknown or the secret is wrong",
            Self::ForeignToken => "the token was issued to another client; it was not revoked",
            Self::InvalidRequest(reason) | Self::InvalidTarget(reason) => reason,
            Self::InvalidScope => "the scope holds a permission that the API key does not have",
            Self::MethodNotAllowed => "this endpoint takes POST",
            Self::RateLimited { .. } => "too many requests with a wrong client id or secret; wait as Retry-After says",
            Self::TooLarge => "the request is larger than this endpoint takes",
            Self::TooManyRevoked { .. } => {
                "this client has as many revoked tokens as one may have; wait until some have expired, or rotate the key"
            }
            Self::Unavailable => "the change could not be kept, so nothing was changed; try again",
            Self::UnsupportedGrantType => "the one grant type here is client_credentials",
        })
    }
}
