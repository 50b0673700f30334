//! Signing keys: making, sealing for the store, opening, and the public half of them.

use crate::model::Timestamp;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A JWS algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits.
    Rs256,
}

impl Algorithm {
    /// The name in `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
        }
    }

    /// Parses the name in `alg`, which is case-sensitive.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::EdDsa, Self::Es256, Self::Hs256, Self::Rs256].into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    pub(super) const fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// Why a signing key cannot be made or used. No key material in the text.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The cryptographic library refused to make a key.
    #[error("a {} key could not be made", .0.as_str())]
    Generate(Algorithm),
    /// Stored bytes are not a key of the algorithm.
    #[error("stored bytes are not a {} key", .0.as_str())]
    Malformed(Algorithm),
    /// No key of the set signs.
    #[error("none of the signing keys signs")]
    NoneSigns,
    /// The claims could not be signed.
    #[error("the token could not be signed")]
    Sign,
}

/// A key that signs access tokens and proves them. Private material is wiped when dropped and never printed.
pub struct SigningKey {
    id: Arc<str>,
    algorithm: Algorithm,
    private: Zeroizing<Vec<u8>>,
    signer: Signer,
    /// The header of every token it signs, in base64url, with the dot behind it.
    header: String,
    decoding: DecodingKey,
    public: Option<Value>,
}

/// A key ready to sign: reading it anew for each token would cost more than signing.
enum Signer {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Hs256(Box<hmac::Key>),
    Rs256(RsaKeyPair),
}

impl Signer {
    /// The signature as JWS writes it (RFC 7518 section 3, RFC 8037 section 3.1).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        let random = rand::SystemRandom::new();
        match self {
            Self::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Es256(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SigningKeyError::Sign),
            Self::Hs256(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature).map_err(|_| SigningKeyError::Sign)
            }
        }
    }
}

/// What stands before the PKCS#1 key in the PKCS#8 of a 2048-bit RSA key (RFC 5208 section 5): two outer lengths of
/// two bytes, version 0, rsaEncryption with NULL, and the octet string's tag and length.
const PKCS8_RSA_HEADER: usize = 26;

impl SigningKey {
    /// Makes a new key from the system's randomness. Its id follows from its public half (or the secret's digest).
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        let error = |_| SigningKeyError::Generate(algorithm);
        let unspecified = |_| SigningKeyError::Generate(algorithm);
        let private = match algorithm {
            Algorithm::EdDsa => {
                Ed25519KeyPair::generate_pkcs8(&rand::SystemRandom::new()).map_err(error)?.as_ref().to_vec()
            }
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map_err(error)?
                .to_pkcs8v1()
                .map_err(unspecified)?
                .as_ref()
                .to_vec(),
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(error)?;
                let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).map_err(error)?;
                pkcs8.as_ref().get(PKCS8_RSA_HEADER..).unwrap_or_default().to_vec()
            }
            Algorithm::Hs256 => {
                let mut secret = vec![0; 32];
                rand::fill(&mut secret).map_err(error)?;
                secret
            }
        };
        Self::from_private(algorithm, Zeroizing::new(private))
    }

    /// A key from its private bytes: PKCS#8, PKCS#1 for RS256 (which is what JWS libraries sign with), or the bare
    /// secret for HS256.
    pub fn from_private(algorithm: Algorithm, private: Zeroizing<Vec<u8>>) -> Result<Self, SigningKeyError> {
        let malformed = || SigningKeyError::Malformed(algorithm);
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (signer, decoding, mut public) = match algorithm {
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(&private).map_err(|_| malformed())?;
                let x = b64(pair.public_key().as_ref());
                let decoding = DecodingKey::from_ed_components(&x).map_err(|_| malformed())?;
                (Signer::EdDsa(pair), decoding, Some(json!({"kty": "OKP", "crv": "Ed25519", "x": x})))
            }
            Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private).map_err(|_| malformed())?;
                // Uncompressed point: 04, x, y (SEC 1 section 2.3.3).
                let (x, y) = match pair.public_key().as_ref() {
                    [4, point @ ..] if point.len() == 64 => point.split_at(32),
                    _ => return Err(malformed()),
                };
                let (x, y) = (b64(x), b64(y));
                let decoding = DecodingKey::from_ec_components(&x, &y).map_err(|_| malformed())?;
                let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
                (Signer::Es256(pair), decoding, Some(public))
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_der(&private).map_err(|_| malformed())?;
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                let decoding = DecodingKey::from_rsa_raw_components(n, e);
                let public = json!({"kty": "RSA", "n": b64(n), "e": b64(e)});
                (Signer::Rs256(pair), decoding, Some(public))
            }
            Algorithm::Hs256 if private.len() < 32 => return Err(malformed()),
            Algorithm::Hs256 => {
                let signer = Signer::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &private)));
                (signer, DecodingKey::from_secret(&private), None)
            }
        };
        let id = key_id(algorithm, public.as_ref(), &private);
        if let Some(Value::Object(jwk)) = &mut public {
            jwk.insert("kid".into(), json!(id));
            jwk.insert("alg".into(), json!(algorithm.as_str()));
            jwk.insert("use".into(), json!("sig"));
        }
        let header = json!({"typ": "at+jwt", "alg": algorithm.as_str(), "kid": id}).to_string();
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header));
        Ok(Self { id: id.into(), algorithm, private, signer, header, decoding, public })
    }

    /// Its `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its algorithm, the only one it proves.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public JWK (RFC 7517); none for HS256.
    pub const fn public_jwk(&self) -> Option<&Value> {
        self.public.as_ref()
    }

    pub(super) const fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// The claims as a JWS compact serialization (RFC 7515 section 7.1).
    pub(super) fn sign<T: Serialize>(&self, claims: &T) -> Result<String, SigningKeyError> {
        let payload = serde_json::to_vec(claims).map_err(|_| SigningKeyError::Sign)?;
        let mut token = self.header.clone();
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// The signature of any bytes, in base64url.
    pub(super) fn sign_bytes(&self, message: &[u8]) -> Result<String, SigningKeyError> {
        Ok(URL_SAFE_NO_PAD.encode(self.signer.sign(message)?))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// 128 bits of SHA-256 over the public half; over a labelled copy of the secret for HS256.
fn key_id(algorithm: Algorithm, public: Option<&Value>, private: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"portcullis signing key id ");
    context.update(algorithm.as_str().as_bytes());
    match public {
        Some(jwk) => context.update(jwk.to_string().as_bytes()),
        None => context.update(private),
    }
    URL_SAFE_NO_PAD.encode(context.finish().as_ref().get(..16).unwrap_or_default())
}

/// A key with its place in the schedule.
#[derive(Debug)]
pub struct ScheduledKey {
    /// The key.
    pub key: SigningKey,
    /// From when on it signs, until another one does. It is published and proves before that already. `None`: it only
    /// proves (an algorithm that is not configured any more).
    pub signs_from: Option<Timestamp>,
}

/// The signing keys of a node: at each instant one signs, all prove and are published.
#[derive(Debug)]
pub struct SigningKeySet {
    /// INVARIANT: not empty; by the instant from which each signs.
    signers: Vec<(Timestamp, Arc<SigningKey>)>,
    keys: HashMap<Arc<str>, Arc<SigningKey>>,
}

impl SigningKeySet {
    /// A set that signs with `current` for good and proves with it and `others`.
    pub fn new(current: SigningKey, others: impl IntoIterator<Item = SigningKey>) -> Self {
        let current = Arc::new(current);
        let all = others.into_iter().map(Arc::new).chain([Arc::clone(&current)]);
        let keys = all.map(|key| (Arc::clone(&key.id), key)).collect();
        Self { signers: vec![(Timestamp::from_unix(i64::MIN), current)], keys }
    }

    /// A set by a schedule, the keys in the order they were added. Errors: `NoneSigns` where every key only proves.
    pub fn scheduled(keys: impl IntoIterator<Item = ScheduledKey>) -> Result<Self, SigningKeyError> {
        let (mut signers, mut all) = (Vec::new(), HashMap::new());
        for ScheduledKey { key, signs_from } in keys {
            let key = Arc::new(key);
            signers.extend(signs_from.map(|from| (from, Arc::clone(&key))));
            all.insert(Arc::clone(&key.id), key);
        }
        // Of two that begin at the same instant the later one signs. The sort keeps the order given, which is the store's:
        // every node chooses the same one.
        signers.sort_by_key(|(from, _)| *from);
        if signers.is_empty() { Err(SigningKeyError::NoneSigns) } else { Ok(Self { signers, keys: all }) }
    }

    /// The key that signs at `now`: the last one whose time has come. Before the first one's time, by a clock that was
    /// set back, the first one.
    pub fn signer(&self, now: Timestamp) -> Option<&SigningKey> {
        let begun = self.signers.iter().rev().find(|(from, _)| *from <= now);
        begun.or_else(|| self.signers.first()).map(|(_, key)| key.as_ref())
    }

    /// The key of that id.
    pub fn key(&self, id: &str) -> Option<&SigningKey> {
        self.keys.get(id).map(Arc::as_ref)
    }

    /// The public keys as a JWK set (RFC 7517 section 5), in a fixed order. Empty with HS256 alone.
    pub fn jwks(&self) -> Value {
        let mut keys: Vec<&SigningKey> = self.keys.values().map(Arc::as_ref).collect();
        keys.sort_by_key(|key| key.id());
        json!({ "keys": keys.iter().filter_map(|key| key.public_jwk()).collect::<Vec<_>>() })
    }

    /// Whether any key has a public half.
    pub fn has_public_keys(&self) -> bool {
        self.keys.values().any(|key| key.public.is_some())
    }
}

/// The node's secret key: seals signing keys for the store (AES-256-GCM, fresh random nonce in front).
pub struct SealingKey(RandomizedNonceKey);

/// Why something could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The secret key is not 32 bytes.
    #[error("a secret key is 32 bytes")]
    KeyLength,
    /// The sealed bytes were made with another secret key, or were changed.
    #[error("it was sealed with another secret key file, or has been changed")]
    Open,
    /// The cryptographic library refused.
    #[error("sealing failed")]
    Seal,
}

impl SealingKey {
    /// From 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Result<Self, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, secret).map(Self).map_err(|_| SealError::KeyLength)
    }

    /// Seals a signing key's private bytes; its id and algorithm are bound to them.
    pub fn seal(&self, key: &SigningKey) -> Result<Vec<u8>, SealError> {
        let mut sealed = key.private.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(context(&key.id, key.algorithm)), &mut sealed)
            .map_err(|_| SealError::Seal)?;
        sealed.splice(0..0, nonce.as_ref().iter().copied());
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn open(&self, id: &str, algorithm: Algorithm, sealed: &[u8]) -> Result<SigningKey, SealError> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Open)?;
        let mut opened = Zeroizing::new(ciphertext.to_vec());
        let len = self
            .0
            .open_in_place(nonce, Aad::from(context(id, algorithm)), &mut opened)
            .map_err(|_| SealError::Open)?
            .len();
        opened.truncate(len);
        let key = SigningKey::from_private(algorithm, opened).map_err(|_| SealError::Open)?;
        if key.id() == id { Ok(key) } else { Err(SealError::Open) }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(redacted)")
    }
}

fn context(id: &str, algorithm: Algorithm) -> Vec<u8> {
    format!("portcullis signing key {} {id}", algorithm.as_str()).into_bytes()
}
