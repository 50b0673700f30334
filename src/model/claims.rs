//! What an access token says once its signature is proven.

use super::{ClientId, SecretVersion, Timestamp};
use std::sync::Arc;

/// The claims of a Portcullis access token (RFC 9068, RFC 7519 section 4.1). Facts only: whether the key behind
/// it still lives is asked of the live key, on every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenClaims {
    /// `iss`: the base URL of the environment that issued it.
    pub issuer: Arc<str>,
    /// `aud`: the base URL it opens.
    pub audience: Arc<str>,
    /// `sub` and `client_id`: the key.
    pub client_id: ClientId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`: the first second at which the token is dead.
    pub expires_at: Timestamp,
    /// `jti`.
    pub token_id: Arc<str>,
    /// The key's secret version at issue; rotation makes it stale.
    pub secret_version: SecretVersion,
    /// `scope`, present only where the caller narrowed it: permission names separated by one space.
    pub scope: Option<Arc<str>>,
}

impl AccessTokenClaims {
    /// Whether the token's scope, if narrowed, still holds the permission.
    pub fn scope_allows(&self, permission: &str) -> bool {
        self.scope.as_deref().is_none_or(|scope| scope.split(' ').any(|name| name == permission))
    }
}
