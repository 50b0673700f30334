//! Refusals of the token endpoint (RFC 6749 section 5.2).

use serde_json::{Value, json};
use std::borrow::Cow;

/// Why no token was issued. Nothing the caller sent is echoed.
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
    /// Unknown id, wrong secret, or no credentials: one answer for all.
    InvalidClient {
        /// Whether the caller used the Authorization header.
        basic: bool,
    },
    /// The request is malformed; what exactly is named.
    InvalidRequest(&'static str),
    /// A scope that the key does not hold.
    InvalidScope,
    /// A resource that no token is issued for here (RFC 8707 section 2).
    InvalidTarget,
    /// Not POST.
    MethodNotAllowed,
    /// The body is larger than the endpoint takes.
    TooLarge,
    /// A grant type other than `client_credentials`.
    UnsupportedGrantType,
}

impl OAuthError {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::ClientRefused { .. } | Self::InvalidClient { .. } => 401,
            Self::InvalidRequest(_) | Self::InvalidScope | Self::InvalidTarget | Self::UnsupportedGrantType => 400,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
        }
    }

    /// The RFC's error code.
    pub const fn error(&self) -> &'static str {
        match self {
            Self::ClientRefused { .. } | Self::InvalidClient { .. } => "invalid_client",
            Self::InvalidRequest(_) | Self::MethodNotAllowed | Self::TooLarge => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    /// The value of `Portcullis-Error`: the reason where one is told, else the RFC's code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ClientRefused { code, .. } => code,
            Self::TooLarge => "body_too_large",
            Self::InvalidClient { .. }
            | Self::InvalidRequest(_)
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::MethodNotAllowed
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
    fn description(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::ClientRefused { reason, .. } => return reason.clone(),
            Self::InvalidClient { .. } => "the client id is unknown or the secret is wrong",
            Self::InvalidRequest(reason) => reason,
            Self::InvalidScope => "the scope holds a permission that the API key does not have",
            Self::InvalidTarget => "no token is issued for that resource here",
            Self::MethodNotAllowed => "the token endpoint takes POST",
            Self::TooLarge => "the request is larger than the token endpoint takes",
            Self::UnsupportedGrantType => "the one grant type here is client_credentials",
        })
    }
}
