//! Access tokens: what they look like, how they are signed and proven (RFC 9068, RFC 7519, RFC 8725).
//!
//! Pure given keys: no clock, no store. Whether the key behind a token still lives is `access`'s question.

mod keys;
mod verify;

pub use keys::{Algorithm, ScheduledKey, SealError, SealingKey, SigningKey, SigningKeyError, SigningKeySet};
pub use verify::{MAX_TOKEN_BYTES, TokenError, verify};

use crate::model::AccessTokenClaims;
use serde::{Deserialize, Serialize};

/// The claims on the wire. Times are whole seconds; unknown members are ignored, repeated ones refused.
#[derive(Debug, Serialize, Deserialize)]
struct WireClaims<'a> {
    iss: std::borrow::Cow<'a, str>,
    aud: std::borrow::Cow<'a, str>,
    sub: std::borrow::Cow<'a, str>,
    client_id: std::borrow::Cow<'a, str>,
    iat: i64,
    exp: i64,
    jti: std::borrow::Cow<'a, str>,
    secret_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<std::borrow::Cow<'a, str>>,
}

/// Signs an access token with the key that signs when it is issued (`iat`): a JWS compact serialization with
/// `typ: at+jwt`.
pub fn sign(claims: &AccessTokenClaims, keys: &SigningKeySet) -> Result<String, SigningKeyError> {
    let wire = WireClaims {
        iss: claims.issuer.as_ref().into(),
        aud: claims.audience.as_ref().into(),
        sub: claims.client_id.as_str().into(),
        client_id: claims.client_id.as_str().into(),
        iat: claims.issued_at.as_unix(),
        exp: claims.expires_at.as_unix(),
        jti: claims.token_id.as_ref().into(),
        secret_version: claims.secret_version.0,
        scope: claims.scope.as_deref().map(Into::into),
    };
    keys.signer(claims.issued_at).ok_or(SigningKeyError::NoneSigns)?.sign(&wire)
}

#[cfg(test)]
mod tests;
