//! Proving a token: signature and claims, never the decision.
//!
//! Nothing in the token chooses what proves it: `kid` picks one of our own keys, and that key's own algorithm must
//! be the one named (RFC 8725 section 3.1). `jwk`, `jku`, `x5u` and `x5c` are not read.

use super::WireClaims;
use super::keys::{Algorithm, SigningKeySet};
use crate::model::{AccessTokenClaims, ClientId, SecretVersion, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Why a text is not a token that was issued here. One answer for all of them: a forger learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The claims are not those of an access token.
    #[error("the claims are not those of an access token")]
    Claims,
    /// `typ`, `alg`, `crit` or `kid` is not what we write.
    #[error("the header is not that of an access token")]
    Header,
    /// Too long, or not three base64url parts.
    #[error("not a compact JWS")]
    Malformed,
    /// The signature does not prove it.
    #[error("the signature does not match")]
    Signature,
}

#[derive(Deserialize)]
struct WireHeader<'a> {
    alg: std::borrow::Cow<'a, str>,
    #[serde(default)]
    typ: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    kid: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
    #[serde(default)]
    b64: Option<IgnoredAny>,
    #[serde(default)]
    zip: Option<IgnoredAny>,
}

/// Proves a token and returns its claims. Issuer, audience and expiry are for the caller to compare.
pub fn verify(token: &str, keys: &SigningKeySet) -> Result<AccessTokenClaims, TokenError> {
    let (message, header, payload, signature) = split(token)?;
    let header = decode(header)?;
    let header: WireHeader<'_> = serde_json::from_slice(&header).map_err(|_| TokenError::Header)?;
    let key = header.kid.as_deref().and_then(|kid| keys.key(kid)).ok_or(TokenError::Header)?;
    let algorithm = Algorithm::parse(&header.alg).ok_or(TokenError::Header)?;
    if algorithm != key.algorithm() || !is_access_token(header.typ.as_deref()) || has_extensions(&header) {
        return Err(TokenError::Header);
    }
    let genuine = jsonwebtoken::crypto::verify(signature, message.as_bytes(), key.decoding(), algorithm.jose());
    if !matches!(genuine, Ok(true)) {
        return Err(TokenError::Signature);
    }
    let payload = decode(payload)?;
    let claims: WireClaims<'_> = serde_json::from_slice(&payload).map_err(|_| TokenError::Claims)?;
    typed(&claims)
}

/// `header.payload`, header, payload, signature: exactly three non-empty parts.
fn split(token: &str) -> Result<(&str, &str, &str, &str), TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
    let sound = !header.is_empty() && !payload.is_empty() && !signature.is_empty() && !payload.contains('.');
    if sound { Ok((message, header, payload, signature)) } else { Err(TokenError::Malformed) }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// RFC 9068 section 4: `at+jwt` or `application/at+jwt`, in any case.
fn is_access_token(typ: Option<&str>) -> bool {
    typ.is_some_and(|typ| typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt"))
}

/// We write no extension, so a token that has one is not ours.
const fn has_extensions(header: &WireHeader<'_>) -> bool {
    header.crit.is_some() || header.b64.is_some() || header.zip.is_some()
}

fn typed(claims: &WireClaims<'_>) -> Result<AccessTokenClaims, TokenError> {
    if claims.sub != claims.client_id || claims.exp < 0 || claims.iat < 0 {
        return Err(TokenError::Claims);
    }
    Ok(AccessTokenClaims {
        issuer: claims.iss.as_ref().into(),
        audience: claims.aud.as_ref().into(),
        client_id: ClientId::parse(&claims.sub).map_err(|_| TokenError::Claims)?,
        issued_at: Timestamp::from_unix(claims.iat),
        expires_at: Timestamp::from_unix(claims.exp),
        token_id: claims.jti.as_ref().into(),
        secret_version: SecretVersion(claims.secret_version),
        scope: claims.scope.as_deref().map(Into::into),
    })
}
