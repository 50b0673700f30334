//! From a well-formed request of a proven client to the claims of a token, or the reason why not.

use super::{OAuthError, ProvenClient, TokenRequest};
use crate::model::{AccessTokenClaims, BaseUrl, EnvironmentPolicy, LiveKey, ManagementPermission, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What a grant depends on besides client and request.
#[derive(Clone, Copy, Debug)]
pub struct GrantContext<'a> {
    /// The environment's base URL: issuer, and audience of tokens for its API.
    pub base_url: &'a Arc<str>,
    /// The control API's URL, canonical: audience of tokens for it.
    pub control_url: &'a Arc<str>,
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

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// The API behind the environment's base URL.
    Api,
    /// The control API: management keys only.
    Control,
}

impl Audience {
    /// The names of everything the key holds there.
    pub(super) fn held<'a>(self, key: &'a LiveKey, environment: &'a EnvironmentPolicy) -> Vec<&'a str> {
        match self {
            Self::Api => environment.held_by(key).map(|name| name.as_str()).collect(),
            Self::Control => key.management.iter().map(ManagementPermission::as_str).collect(),
        }
    }
}

/// Decides on a token request of a proven client. A token never outlives its key.
pub fn grant(
    client: &ProvenClient<'_>,
    request: &TokenRequest,
    context: &GrantContext<'_>,
    now: Timestamp,
) -> Result<Grant, OAuthError> {
    let key = client.key();
    let audience = audience(request.resource.as_deref(), key, context)?;
    let held = audience.held(key, client.environment());
    let narrowed = request.scope.as_deref().map(|scope| narrow(scope, &held)).transpose()?;
    let scope = narrowed.clone().unwrap_or_else(|| held.join(" "));
    let lifetime = i64::try_from(context.lifetime.as_secs()).unwrap_or(i64::MAX);
    let end = now.plus_seconds(lifetime);
    let expires_at = key.expires_at.map_or(end, |key_end| key_end.min(end));
    let claims = AccessTokenClaims {
        issuer: Arc::clone(context.base_url),
        audience: Arc::clone(match audience {
            Audience::Api => context.base_url,
            Audience::Control => context.control_url,
        }),
        client_id: key.client_id.clone(),
        issued_at: now,
        expires_at,
        token_id: context.token_id.into(),
        secret_version: key.secret_version,
        scope: narrowed.map(Into::into),
    };
    Ok(Grant { claims, expires_in: expires_at.as_unix() - now.as_unix(), scope })
}

/// The audience behind a resource (RFC 8707 section 2); the environment's own where none is named.
fn audience(resource: Option<&str>, key: &LiveKey, context: &GrantContext<'_>) -> Result<Audience, OAuthError> {
    let Some(resource) = resource else { return Ok(Audience::Api) };
    if is_same_url(resource, context.base_url) {
        return Ok(Audience::Api);
    }
    if !is_same_url(resource, context.control_url) {
        return Err(OAuthError::InvalidTarget("no token is issued for that resource here"));
    }
    if !key.management.manages_keys() {
        return Err(OAuthError::InvalidTarget("the API key holds no permission to see or edit keys"));
    }
    Ok(Audience::Control)
}

/// Whether the text names the canonical URL: case of the host, its scheme's own port and a trailing slash do not count.
fn is_same_url(text: &str, canonical: &str) -> bool {
    text == canonical || BaseUrl::parse(text).is_ok_and(|url| url.as_str() == canonical)
}

/// The scope asked for, without repetition and sorted; every part must be held (RFC 6749 section 3.3).
fn narrow(scope: &str, held: &[&str]) -> Result<String, OAuthError> {
    let asked: BTreeSet<&str> = scope.split(' ').filter(|part| !part.is_empty()).collect();
    let held: BTreeSet<&str> = held.iter().copied().collect();
    if asked.is_empty() || !asked.is_subset(&held) {
        return Err(OAuthError::InvalidScope);
    }
    Ok(asked.into_iter().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests;
