//! A token: no text is one that was not signed, and what is signed is read as a plain reader of JSON reads it.

use crate::model::{AccessTokenClaims, Timestamp};
use crate::token::{Algorithm, MAX_TOKEN_BYTES, SigningKey, SigningKeySet, verify};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::Value;

/// The secret that seeds are signed with (`scripts/fuzz`).
const SECRET: &[u8; 32] = b"a secret of the fuzzer's own, 32";

thread_local! {
    static KEYS: SigningKeySet = {
        let key = SigningKey::from_private(Algorithm::Hs256, SECRET.to_vec().into()).unwrap();
        SigningKeySet::new(key, [])
    };
}

/// A text that is a token already, or header and payload, a line each, that are signed here.
pub fn check(bytes: &[u8]) {
    let Some(text) = crate::text(bytes) else { return };
    KEYS.with(|keys| {
        if verify(text, keys).is_ok() {
            assert!(is_signed(text), "nobody signed it");
        }
        let Some((header, payload)) = text.split_once('\n') else { return };
        let kid = keys.signer(Timestamp::from_unix(0)).unwrap().id();
        let header = header.replace("KID", kid);
        let token = signed(&format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(payload)));
        if let Ok(claims) = verify(&token, keys) {
            genuine(&header, payload, kid, &claims);
            assert!(token.len() <= MAX_TOKEN_BYTES);
            assert!(verify(&token[..token.len() - 1], keys).is_err() && verify(&format!("{token}="), keys).is_err());
        }
    });
}

fn signed(message: &str) -> String {
    let key = EncodingKey::from_secret(SECRET);
    let signature = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn is_signed(token: &str) -> bool {
    token.rsplit_once('.').is_some_and(|(message, _)| signed(message) == token)
}

fn genuine(header: &str, payload: &str, kid: &str, claims: &AccessTokenClaims) {
    let header: Value = serde_json::from_str(header).unwrap();
    let payload: Value = serde_json::from_str(payload).unwrap();
    let typ = header["typ"].as_str().unwrap().to_ascii_lowercase();
    assert!(matches!(typ.as_str(), "at+jwt" | "application/at+jwt"));
    assert_eq!((header["alg"].as_str(), header["kid"].as_str()), (Some("HS256"), Some(kid)));
    assert!(["crit", "b64", "zip"].iter().all(|name| header.get(name).is_none_or(Value::is_null)));
    assert_eq!(payload["sub"], payload["client_id"]);
    assert_eq!(payload["sub"].as_str(), Some(claims.client_id.as_str()));
    assert_eq!(payload["iss"].as_str(), Some(claims.issuer.as_ref()));
    assert_eq!(payload["aud"].as_str(), Some(claims.audience.as_ref()));
    assert_eq!(payload["jti"].as_str(), Some(claims.token_id.as_ref()));
    // What no calendar reaches is its last instant.
    let instant = |name: &str| Some(Timestamp::from_unix(payload[name].as_i64()?));
    assert_eq!((instant("exp"), instant("iat")), (Some(claims.expires_at), Some(claims.issued_at)));
    assert!(claims.expires_at.as_unix() >= 0 && claims.issued_at.as_unix() >= 0);
    assert_eq!(payload["secret_version"].as_u64(), Some(claims.secret_version.0));
    assert_eq!(payload.get("scope").and_then(Value::as_str), claims.scope.as_deref());
}
