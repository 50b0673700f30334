//! Every way a request ends without being forwarded, or without an answer of the upstream.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::PathRule;

/// Why a request was not served. One variant = one HTTP answer = one metric label = one log value = one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// 413: the body is larger than its limit.
    BodyTooLarge,
    /// 404: no environment has this host and path.
    EnvironmentUnknown,
    /// 431: the head is larger, or has more fields, than the limit.
    HeadersTooLarge,
    /// 500: a fault of Portcullis itself; nothing was decided, so nothing was forwarded.
    InternalError,
    /// 403: the address is not in the key's allowlist.
    IpNotAllowed {
        /// The address that was seen.
        address: IpAddr,
    },
    /// 401: the key's expiry is reached.
    KeyExpired,
    /// 401: the key was revoked, or is gone.
    KeyRevoked,
    /// 400: the request breaks HTTP; what exactly is named.
    MalformedRequest {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// 405: CONNECT and TRACE, which are served to nobody (RFC 9110 sections 9.3.6 and 9.3.8).
    MethodNotServed,
    /// 421: the TLS handshake named another environment's host than Host does (RFC 9110 section 15.5.20).
    MisdirectedRequest,
    /// 403: the catalogue knows no such operation.
    OperationUnknown,
    /// 503: as many requests as may be are being served.
    Overloaded,
    /// 403: neither key nor scope holds a permission that covers the operation.
    PermissionMissing {
        /// The narrowest permission that would.
        permission: Arc<str>,
        /// The operation.
        operation: Arc<str>,
    },
    /// 408: head or body did not arrive in time.
    RequestTimeout,
    /// 401: the key's secret was made anew since the token was issued.
    SecretRotated,
    /// 400: upstream and gateway could read the path differently.
    TargetAmbiguous {
        /// The rule it breaks.
        rule: PathRule,
    },
    /// 414: the target is longer than the limit.
    TargetTooLong,
    /// 401: the token's own life is over.
    TokenExpired,
    /// 401: not a token that was issued here.
    TokenInvalid,
    /// 401: no credential.
    TokenMissing,
    /// 401: the token was revoked by itself (RFC 7009).
    TokenRevoked,
    /// 502: the upstream answered something that is not HTTP.
    UpstreamProtocol,
    /// 504: the upstream took longer than its limit.
    UpstreamTimeout,
    /// 502: the upstream cannot be reached.
    UpstreamUnreachable,
    /// 401: a token of another environment.
    WrongEnvironment,
}

/// The challenge of a refusal (RFC 6750 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// `insufficient_scope` with the permission that is missing.
    InsufficientScope(Arc<str>),
    /// `invalid_token`.
    InvalidToken,
    /// No credential was sent: the scheme alone, without an error code (RFC 6750 section 3.1).
    Plain,
}

impl Denial {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::MalformedRequest { .. } | Self::TargetAmbiguous { .. } => 400,
            Self::KeyExpired
            | Self::KeyRevoked
            | Self::SecretRotated
            | Self::TokenExpired
            | Self::TokenInvalid
            | Self::TokenMissing
            | Self::TokenRevoked
            | Self::WrongEnvironment => 401,
            Self::IpNotAllowed { .. } | Self::OperationUnknown | Self::PermissionMissing { .. } => 403,
            Self::EnvironmentUnknown => 404,
            Self::MethodNotServed => 405,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::MisdirectedRequest => 421,
            Self::HeadersTooLarge => 431,
            Self::InternalError => 500,
            Self::UpstreamProtocol | Self::UpstreamUnreachable => 502,
            Self::Overloaded => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// The stable code: `Portcullis-Error`, `code` of the problem, metric label and log value.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BodyTooLarge => "body_too_large",
            Self::EnvironmentUnknown => "environment_unknown",
            Self::HeadersTooLarge => "headers_too_large",
            Self::InternalError => "internal_error",
            Self::IpNotAllowed { .. } => "ip_not_allowed",
            Self::KeyExpired => "key_expired",
            Self::KeyRevoked => "key_revoked",
            Self::MalformedRequest { .. } => "malformed_request",
            Self::MethodNotServed => "method_not_served",
            Self::MisdirectedRequest => "misdirected_request",
            Self::OperationUnknown => "operation_unknown",
            Self::Overloaded => "overloaded",
            Self::PermissionMissing { .. } => "permission_missing",
            Self::RequestTimeout => "request_timeout",
            Self::SecretRotated => "secret_rotated",
            Self::TargetAmbiguous { .. } => "target_ambiguous",
            Self::TargetTooLong => "target_too_long",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::TokenMissing => "token_missing",
            Self::TokenRevoked => "token_revoked",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::WrongEnvironment => "wrong_environment",
        }
    }

    /// A short title for people, the same for every refusal of the kind (RFC 9457 section 3.1.4).
    pub const fn title(&self) -> &'static str {
        match self {
            Self::BodyTooLarge => "Body too large",
            Self::EnvironmentUnknown => "No such environment",
            Self::HeadersTooLarge => "Headers too large",
            Self::InternalError => "Internal error",
            Self::IpNotAllowed { .. } => "Address not allowed",
            Self::KeyExpired => "API key expired",
            Self::KeyRevoked => "API key revoked",
            Self::MalformedRequest { .. } => "Malformed request",
            Self::MethodNotServed => "Method not served",
            Self::MisdirectedRequest => "Misdirected request",
            Self::OperationUnknown => "Operation unknown",
            Self::Overloaded => "Overloaded",
            Self::PermissionMissing { .. } => "Permission missing",
            Self::RequestTimeout => "Request took too long",
            Self::SecretRotated => "Secret rotated",
            Self::TargetAmbiguous { .. } => "Ambiguous path",
            Self::TargetTooLong => "Target too long",
            Self::TokenExpired => "Token expired",
            Self::TokenInvalid => "Token invalid",
            Self::TokenMissing => "Token missing",
            Self::TokenRevoked => "Token revoked",
            Self::UpstreamProtocol => "Upstream broke the protocol",
            Self::UpstreamTimeout => "Upstream timed out",
            Self::UpstreamUnreachable => "Upstream unreachable",
            Self::WrongEnvironment => "Token of another environment",
        }
    }

    /// What happened to this request and what can be done about it. Nothing of the request is echoed but the
    /// address that was seen and names from the catalogue.
    pub fn detail(&self) -> Cow<'static, str> {
        let text = match self {
            Self::BodyTooLarge => "the body is larger than this gateway takes here",
            Self::EnvironmentUnknown => {
                "no environment has this host and path; compare the request with the environment's base URL"
            }
            Self::HeadersTooLarge => "the request head is larger, or has more fields, than this gateway takes",
            Self::InternalError => "the gateway failed to decide on this request; it was not forwarded",
            Self::IpNotAllowed { address } => {
                return format!("the API key may not be used from {address}; its allowlist does not hold that address")
                    .into();
            }
            Self::KeyExpired => "the API key has reached its expiry; rotating it gives it a new one",
            Self::KeyRevoked => "the API key was revoked; revocation is final",
            Self::MalformedRequest { reason } => reason,
            Self::MethodNotServed => "CONNECT and TRACE are not served by this gateway",
            Self::MisdirectedRequest => {
                "the TLS handshake named another host than Host does; connect anew with the name that is asked for"
            }
            Self::Overloaded => "the gateway serves as many requests as it may; try again in a moment",
            Self::OperationUnknown => "no operation of this environment has this path and method",
            Self::PermissionMissing { permission, operation } => {
                return format!("`{operation}` needs the permission `{permission}`, which this token does not have")
                    .into();
            }
            Self::RequestTimeout => "the request did not arrive in time",
            Self::SecretRotated => {
                "the API key's secret was rotated after this token was issued; get a token with the new secret"
            }
            Self::TargetAmbiguous { rule } => return rule.detail().into(),
            Self::TargetTooLong => "the request target is longer than this gateway takes",
            Self::TokenExpired => "the access token has expired; get a new one",
            Self::TokenInvalid => "the bearer token is not an access token that was issued here",
            Self::TokenMissing => "send an access token as `Authorization: Bearer`",
            Self::TokenRevoked => "the access token was revoked; get a new one",
            Self::UpstreamProtocol => "the API behind this gateway gave an answer that is not valid HTTP",
            Self::UpstreamTimeout => "the API behind this gateway did not answer in time",
            Self::UpstreamUnreachable => "the API behind this gateway cannot be reached",
            Self::WrongEnvironment => "the access token was issued for another environment",
        };
        Cow::Borrowed(text)
    }

    /// The RFC 6750 challenge that belongs to the refusal, if any.
    pub fn challenge(&self) -> Option<Challenge> {
        match self {
            Self::TokenMissing => Some(Challenge::Plain),
            Self::KeyExpired
            | Self::KeyRevoked
            | Self::SecretRotated
            | Self::TokenExpired
            | Self::TokenInvalid
            | Self::TokenRevoked
            | Self::WrongEnvironment => Some(Challenge::InvalidToken),
            Self::PermissionMissing { permission, .. } => Some(Challenge::InsufficientScope(Arc::clone(permission))),
            Self::BodyTooLarge
            | Self::EnvironmentUnknown
            | Self::HeadersTooLarge
            | Self::InternalError
            | Self::IpNotAllowed { .. }
            | Self::MalformedRequest { .. }
            | Self::MethodNotServed
            | Self::MisdirectedRequest
            | Self::OperationUnknown
            | Self::Overloaded
            | Self::RequestTimeout
            | Self::TargetAmbiguous { .. }
            | Self::TargetTooLong
            | Self::UpstreamProtocol
            | Self::UpstreamTimeout
            | Self::UpstreamUnreachable => None,
        }
    }
}
