//! Questions about one token: is it alive (RFC 7662), and may it be ended (RFC 7009).

use super::grant::Audience;
use super::{OAuthError, ProvenClient};
use crate::model::{AccessTokenClaims, LiveKey, ManagementPermission, Timestamp};
use serde_json::{Value, json};

/// A token that somebody asks about. Its signature is proven; whether it counts here is still to be judged.
#[derive(Clone, Copy, Debug)]
pub struct AskedToken<'a> {
    /// What it says.
    pub claims: &'a AccessTokenClaims,
    /// The live key behind it, if there is one in this environment.
    pub key: Option<&'a LiveKey>,
    /// Whether it was revoked by itself.
    pub revoked: bool,
    /// The base URL of the environment that is asked.
    pub base_url: &'a str,
    /// The control API's URL.
    pub control_url: &'a str,
}

impl AskedToken<'_> {
    /// What it is for; `None` where it was not issued here.
    fn audience(&self) -> Option<Audience> {
        let audience = &*self.claims.audience;
        match *self.claims.issuer == *self.base_url {
            true if audience == self.base_url => Some(Audience::Api),
            true if audience == self.control_url => Some(Audience::Control),
            _ => None,
        }
    }

    /// Whether a request that carries it would get as far as the key's allowlist.
    fn is_alive(&self, now: Timestamp) -> bool {
        self.claims.expires_at > now && self.may_hold_streams(now)
    }

    /// Whether streams that began with it go on: its own end ends none.
    fn may_hold_streams(&self, now: Timestamp) -> bool {
        !self.revoked
            && self.key.is_some_and(|key| {
                key.client_id == self.claims.client_id
                    && key.secret_version == self.claims.secret_version
                    && key.ended(now).is_none()
            })
    }
}

/// The answer to an introspection (RFC 7662 section 2.2). A client may ask about its own tokens, and about any of its
/// environment with `portcullis:tokens:introspect`; of everything else it learns that it is not active, and nothing more.
pub fn introspection(client: &ProvenClient<'_>, token: Option<&AskedToken<'_>>, now: Timestamp) -> Value {
    token.and_then(|token| active(client, token, now)).unwrap_or_else(|| json!({ "active": false }))
}

fn active(client: &ProvenClient<'_>, token: &AskedToken<'_>, now: Timestamp) -> Option<Value> {
    let audience = token.audience()?;
    let claims = token.claims;
    let own = claims.client_id == client.key().client_id;
    if !own && !client.key().management.holds(ManagementPermission::TokensIntrospect) {
        return None;
    }
    let key = token.key.filter(|_| token.is_alive(now))?;
    let held = audience.held(key, client.environment());
    let scope: Vec<&str> = held.into_iter().filter(|name| claims.scope_allows(name)).collect();
    Some(json!({
        "active": true,
        "scope": scope.join(" "),
        "client_id": claims.client_id,
        "token_type": "Bearer",
        "exp": claims.expires_at.as_unix(),
        "iat": claims.issued_at.as_unix(),
        "sub": claims.client_id,
        "aud": claims.audience,
        "iss": claims.issuer,
        "jti": claims.token_id,
        "environment": client.environment().id.to_string(),
    }))
}

/// What a revocation request comes to (RFC 7009 section 2). `Ok(None)`: there is nothing to end, because the text is no
/// token of this environment or the token is dead already; the client is told success all the same (section 2.2). A
/// living token of another client is refused, as section 2.1 wants it. One of the client's own that has expired is ended
/// all the same: streams that began with it would go on.
pub fn revocation<'t>(
    client: &ProvenClient<'_>,
    token: Option<&AskedToken<'t>>,
    now: Timestamp,
) -> Result<Option<&'t AccessTokenClaims>, OAuthError> {
    let Some(token) = token.filter(|token| token.audience().is_some()) else { return Ok(None) };
    if token.claims.client_id == client.key().client_id {
        Ok(token.may_hold_streams(now).then_some(token.claims))
    } else if token.is_alive(now) {
        Err(OAuthError::ForeignToken)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
