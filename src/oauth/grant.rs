//! From a well-formed request to the claims of a token, or the reason why not.

use super::{OAuthError, TokenRequest};
use crate::model::{AccessTokenClaims, EnvironmentPolicy, KeyEnded, LiveKey, SecretDigest, Timestamp};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a grant depends on besides the request.
#[derive(Clone, Copy, Debug)]
pub struct GrantContext<'a> {
    /// Where the token will work.
    pub environment: &'a EnvironmentPolicy,
    /// The environment's base URL: issuer and audience.
    pub base_url: &'a Arc<str>,
    /// The key of the presented id, if it is one of this environment.
    pub key: Option<&'a LiveKey>,
    /// Where the request comes from, canonical.
    pub address: IpAddr,
    /// The longest life of a token.
    pub lifetime: Duration,
    /// A fresh id for the token.
    pub token_id: &'a str,
}

/// A token to be signed, and what the answer says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What the token says.
    pub claims: AccessTokenClaims,
    /// Whole seconds until it is dead; at least 1.
    pub expires_in: i64,
    /// What it opens now: permission names separated by one space.
    pub scope: String,
}

/// Decides on a token request. The allowlist binds here as it does on the API; a token never outlives its key.
pub fn grant(request: &TokenRequest, context: &GrantContext<'_>, now: Timestamp) -> Result<Grant, OAuthError> {
    let key = authenticate(request, context.key)?;
    check_key(key, request, context, now)?;
    if request.resource.as_deref().is_some_and(|resource| resource != context.base_url.as_ref()) {
        return Err(OAuthError::InvalidTarget);
    }
    let narrowed = request.scope.as_deref().map(|scope| narrow(scope, key, context.environment)).transpose()?;
    let scope = narrowed.clone().unwrap_or_else(|| held(key, context.environment));
    let lifetime = i64::try_from(context.lifetime.as_secs()).unwrap_or(i64::MAX);
    let end = now.plus_seconds(lifetime);
    let expires_at = key.expires_at.map_or(end, |key_end| key_end.min(end));
    let claims = AccessTokenClaims {
        issuer: Arc::clone(context.base_url),
        audience: Arc::clone(context.base_url),
        client_id: key.client_id.clone(),
        issued_at: now,
        expires_at,
        token_id: context.token_id.into(),
        secret_version: key.secret_version,
        scope: narrowed.map(Into::into),
    };
    Ok(Grant { claims, expires_in: expires_at.as_unix() - now.as_unix(), scope })
}

/// Proves the secret. Unknown id and wrong secret cost the same and answer the same.
fn authenticate<'a>(request: &TokenRequest, key: Option<&'a LiveKey>) -> Result<&'a LiveKey, OAuthError> {
    let nobody = SecretDigest::of(b"");
    let digest = key.map_or(&nobody, |key| &key.secret_digest);
    let proven = digest.matches(request.client_secret.as_bytes());
    key.filter(|_| proven).ok_or(OAuthError::InvalidClient { basic: request.basic })
}

/// Whoever proved the secret is told why the key opens nothing.
fn check_key(
    key: &LiveKey,
    request: &TokenRequest,
    context: &GrantContext<'_>,
    now: Timestamp,
) -> Result<(), OAuthError> {
    let refused = |code, reason: std::borrow::Cow<'static, str>| {
        Err(OAuthError::ClientRefused { basic: request.basic, code, reason })
    };
    match key.ended(now) {
        Some(KeyEnded::Revoked) => return refused("key_revoked", "the API key was revoked".into()),
        Some(KeyEnded::Expired) => return refused("key_expired", "the API key has reached its expiry".into()),
        None => {}
    }
    if key.admits(context.address, &context.environment.platform) {
        return Ok(());
    }
    refused("ip_not_allowed", format!("the API key may not be used from {}", context.address).into())
}

/// The scope asked for, without repetition and sorted; every part must be held (RFC 6749 section 3.3).
fn narrow(scope: &str, key: &LiveKey, environment: &EnvironmentPolicy) -> Result<String, OAuthError> {
    let held: BTreeSet<&str> = environment.held_by(key).map(|name| name.as_str()).collect();
    let asked: BTreeSet<&str> = scope.split(' ').filter(|part| !part.is_empty()).collect();
    if asked.is_empty() || !asked.is_subset(&held) {
        return Err(OAuthError::InvalidScope);
    }
    Ok(asked.into_iter().collect::<Vec<_>>().join(" "))
}

fn held(key: &LiveKey, environment: &EnvironmentPolicy) -> String {
    environment.held_by(key).map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
