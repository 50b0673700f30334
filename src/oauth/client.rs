//! Who asks: the secret is proven, the key is alive, the address is its own.

use super::{ClientCredentials, OAuthError};
use crate::model::{EnvironmentPolicy, KeyEnded, LiveKey, SecretDigest, Timestamp};
use std::borrow::Cow;
use std::net::IpAddr;

/// What a client is judged by besides its credentials.
#[derive(Clone, Copy, Debug)]
pub struct ClientContext<'a> {
    /// Where it asks.
    pub environment: &'a EnvironmentPolicy,
    /// The key of the presented id, if it is one of this environment.
    pub key: Option<&'a LiveKey>,
    /// Where the request comes from, canonical.
    pub address: IpAddr,
}

/// A key whose secret was proven, that is alive and may be used from where it was. Made by [`authenticate`] alone.
#[derive(Clone, Copy, Debug)]
pub struct ProvenClient<'a> {
    key: &'a LiveKey,
    environment: &'a EnvironmentPolicy,
}

impl<'a> ProvenClient<'a> {
    /// The live key.
    pub const fn key(&self) -> &'a LiveKey {
        self.key
    }

    /// Where it is a client.
    pub const fn environment(&self) -> &'a EnvironmentPolicy {
        self.environment
    }
}

/// Proves a client. Unknown id and wrong secret cost the same and answer the same; whoever proved the secret is told
/// why the key opens nothing.
pub fn authenticate<'a>(
    credentials: &ClientCredentials,
    context: &ClientContext<'a>,
    now: Timestamp,
) -> Result<ProvenClient<'a>, OAuthError> {
    let nobody = SecretDigest::of(b"");
    let digest = context.key.map_or(&nobody, |key| &key.secret_digest);
    let proven = digest.matches(credentials.client_secret.as_bytes());
    let key = context.key.filter(|_| proven).ok_or(OAuthError::InvalidClient { basic: credentials.basic })?;
    let refused =
        |code, reason: Cow<'static, str>| Err(OAuthError::ClientRefused { basic: credentials.basic, code, reason });
    match key.ended(now) {
        Some(KeyEnded::Revoked) => return refused("key_revoked", "the API key was revoked".into()),
        Some(KeyEnded::Expired) => return refused("key_expired", "the API key has reached its expiry".into()),
        None => {}
    }
    if key.admits(context.address, &context.environment.platform) {
        return Ok(ProvenClient { key, environment: context.environment });
    }
    refused("ip_not_allowed", format!("the API key may not be used from {}", context.address).into())
}
