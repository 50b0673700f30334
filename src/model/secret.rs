//! Client ids and secrets: how they are made, recognised and kept.
//!
//! A secret is 256 random bits behind a prefix that a secret scanner can find, and a CRC32 that it can check
//! offline. The checksum is no security check. What is kept is the SHA-256 of the whole text: with 256 random
//! bits a slow hash would protect nothing.

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The public name of an API key: the OAuth `client_id` and the `sub` of its tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

/// Text that cannot be a client id.
#[derive(Debug, thiserror::Error)]
#[error("a client id is 1 to 64 characters of `A-Z a-z 0-9 _`")]
pub struct ClientIdError;

impl ClientId {
    /// `pcull_` and 22 base62 characters made of 128 random bits.
    pub fn from_entropy(entropy: [u8; 16]) -> Self {
        Self(format!("pcull_{}", base62::<22>(&entropy)).into())
    }

    /// Parses 1 to 64 characters of `A-Za-z0-9_`.
    pub fn parse(text: &str) -> Result<Self, ClientIdError> {
        let sound =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if sound { Ok(Self(text.into())) } else { Err(ClientIdError) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A client secret in clear. It exists once, in the answer that creates it: no `Display`, no `Serialize`.
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// `pculls_`, 43 base62 characters made of 256 random bits, and 6 of CRC32 over what stands before them.
    pub fn from_entropy(entropy: [u8; 32]) -> Self {
        let mut text = Zeroizing::new(format!("pculls_{}", base62::<43>(&entropy)));
        let checksum = crc32fast::hash(text.as_bytes());
        text.push_str(&base62::<6>(&checksum.to_be_bytes()));
        Self(text)
    }

    /// The text, for the one answer or file it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest that is stored.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.0.as_bytes())
    }

    /// The last four characters, which help a person to tell two secrets apart.
    pub fn last_four(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }

    /// Whether the text has the form and the checksum of a secret (an offline check for scanners, not a proof).
    pub fn is_well_formed(text: &str) -> bool {
        let Some((body, checksum)) = text.split_at_checked(text.len().saturating_sub(6)) else { return false };
        text.len() == 56
            && body.starts_with("pculls_")
            && base62::<6>(&crc32fast::hash(body.as_bytes()).to_be_bytes()) == checksum
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(redacted)")
    }
}

/// What an opaque token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Sets a password, once.
    Invitation,
    /// A member's script.
    Member,
    /// The node, as its operator.
    Operator,
    /// A session.
    Session,
}

impl TokenKind {
    const ALL: [Self; 4] = [Self::Invitation, Self::Member, Self::Operator, Self::Session];

    /// What its tokens start with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Invitation => "pculli_",
            Self::Member => "pcullm_",
            Self::Operator => "pcullo_",
            Self::Session => "pcullse_",
        }
    }

    /// The kind of a token, by its form alone: text of another form was never one of ours.
    pub fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            let body = token.strip_prefix(kind.prefix()).unwrap_or_default();
            body.len() == OpaqueToken::BODY && body.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    }
}

/// A bearer token that means nothing by itself: a prefix and 43 base62 characters made of 256 random bits. It exists
/// once, in the answer or file that hands it over; what is kept is its digest.
pub struct OpaqueToken(Zeroizing<String>);

impl OpaqueToken {
    /// Characters after the prefix.
    const BODY: usize = 43;

    /// A token of this kind.
    pub fn from_entropy(kind: TokenKind, entropy: [u8; 32]) -> Self {
        Self(Zeroizing::new(format!("{}{}", kind.prefix(), base62::<{ Self::BODY }>(&entropy))))
    }

    /// The text, for the one answer or file it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest that is stored.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(redacted)")
    }
}

/// The SHA-256 of a client secret, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretDigest([u8; 32]);

/// Text that is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("a secret digest is `sha256:` followed by 64 hexadecimal digits (make one with `portcullis keys digest`)")]
pub struct DigestError;

impl SecretDigest {
    /// The digest of a secret as it was presented.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Parses `sha256:` and 64 hexadecimal digits of either case.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let hex = text.strip_prefix("sha256:").ok_or(DigestError)?.as_bytes();
        let mut digest = [0; 32];
        if hex.len() != 2 * digest.len() {
            return Err(DigestError);
        }
        for (byte, pair) in digest.iter_mut().zip(hex.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high.zip(low).map(|(high, low)| high * 16 + low).ok_or(DigestError)?)
                .map_err(|_| DigestError)?;
        }
        Ok(Self(digest))
    }

    /// Whether the presented secret has this digest, in time that does not depend on where they differ.
    pub fn matches(&self, presented: &[u8]) -> bool {
        bool::from(self.0.ct_eq(&Self::of(presented).0))
    }

    /// The 32 bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `sha256:` and 64 lower-case hexadecimal digits: what configuration files and the store hold.
    pub fn to_text(&self) -> String {
        format!("sha256:{}", super::hex(&self.0))
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(redacted)")
    }
}

/// Exactly `N` base62 digits of a big-endian number; `N` must be enough for its bits.
pub(super) fn base62<const N: usize>(number: &[u8]) -> String {
    let mut digits = [0u8; N];
    for byte in number {
        let mut carry = u32::from(*byte);
        for digit in digits.iter_mut().rev() {
            let value = u32::from(*digit) * 256 + carry;
            *digit = (value % 62) as u8;
            carry = value / 62;
        }
    }
    digits.iter().filter_map(|digit| ALPHABET.get(usize::from(*digit))).map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_secrets_have_their_form() {
        let id = ClientId::from_entropy([0xff; 16]);
        assert_eq!(id.as_str().len(), 28);
        let secret = ClientSecret::from_entropy([0xff; 32]);
        assert_eq!(secret.expose().len(), 7 + 43 + 6);
        assert!(ClientSecret::is_well_formed(secret.expose()));
        assert!(!ClientSecret::is_well_formed(&secret.expose().replace('s', "t")));
        assert!(secret.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        assert_ne!(secret.expose(), ClientSecret::from_entropy([0xfe; 32]).expose());
    }

    #[test]
    fn tokens_tell_their_kind_and_nothing_else_has_one() {
        for kind in TokenKind::ALL {
            let token = OpaqueToken::from_entropy(kind, [0xff; 32]);
            assert_eq!(TokenKind::of(token.expose()), Some(kind));
            assert_eq!(format!("{token:?}"), "OpaqueToken(redacted)");
            for other in [&token.expose()[1..], &format!("{}x", token.expose()), &token.expose().replacen('_', "-", 1)]
            {
                assert_eq!(TokenKind::of(other), None, "{kind:?}");
            }
        }
        assert_eq!(TokenKind::of(ClientSecret::from_entropy([0xff; 32]).expose()), None);
        assert_eq!(TokenKind::of(""), None);
    }

    #[test]
    fn base62_is_a_number_not_a_guess() {
        assert_eq!(base62::<3>(&[0]), "000");
        assert_eq!(base62::<3>(&[61]), "00z");
        assert_eq!(base62::<3>(&[62]), "010");
        assert_eq!(base62::<6>(&u32::MAX.to_be_bytes()), "4gfFC3");
    }

    #[test]
    fn digests_round_trip_and_match() {
        let secret = ClientSecret::from_entropy([7; 32]);
        let digest = secret.digest();
        assert_eq!(SecretDigest::parse(&digest.to_text()).unwrap(), digest);
        assert!(digest.matches(secret.expose().as_bytes()));
        assert!(!digest.matches(b"pculls_"));
        for text in ["", "sha256:", "sha256:zz", "md5:00", &format!("sha256:{}", "+1".repeat(32))] {
            assert!(SecretDigest::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = ClientSecret::from_entropy([7; 32]);
        assert_eq!(format!("{secret:?} {:?}", secret.digest()), "ClientSecret(redacted) SecretDigest(redacted)");
    }
}
