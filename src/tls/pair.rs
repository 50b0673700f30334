//! A certificate chain and its private key, from PEM to what rustls signs with.

use crate::model::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

/// So many certificates of a chain are taken; every handshake sends all of them.
const CHAIN: usize = 10;

/// A certificate chain with the private key of its first certificate: proved to belong together.
#[derive(Clone)]
pub struct CertificatePair {
    file: Arc<str>,
    certified: Arc<CertifiedKey>,
    names: Arc<[Box<str>]>,
    addresses: Arc<[IpAddr]>,
    valid: (Timestamp, Timestamp),
}

/// Why a chain and a key are no pair.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PairError {
    /// The first certificate cannot be read.
    #[error("holds no certificate that can be read; the first one counts")]
    CertificateUnreadable,
    /// The chain is longer than ten certificates.
    #[error("holds more than {CHAIN} certificates; it takes the server's own and those between it and the root")]
    ChainTooLong,
    /// There is no certificate in the first file.
    #[error("holds no certificate (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// There is no private key in the second file.
    #[error("holds no private key (`-----BEGIN PRIVATE KEY-----`)")]
    NoPrivateKey,
    /// The key is of another certificate.
    #[error("is the key of another certificate than the first in the chain")]
    OtherPrivateKey,
    /// A PEM block of the first file is broken.
    #[error("holds a certificate that is not PEM")]
    PemOfChain,
    /// A PEM block of the second file is broken.
    #[error("holds a private key that is not PEM")]
    PemOfPrivateKey,
    /// The key is encrypted.
    #[error(
        "holds an encrypted private key, which nobody could unlock at a start; decrypt it (`openssl pkey -in OLD -out NEW`)"
    )]
    PrivateKeyEncrypted,
    /// The key is of a kind that is not taken.
    #[error(
        "holds a private key that is damaged or not of a kind that is taken: RSA of 2048 to 8192 bits, ECDSA P-256, P-384 or P-521, Ed25519"
    )]
    PrivateKeyUnknown,
}

impl PairError {
    /// Whether the mistake is in the second file.
    pub const fn is_of_private_key(&self) -> bool {
        match self {
            Self::CertificateUnreadable | Self::ChainTooLong | Self::NoCertificate | Self::PemOfChain => false,
            Self::NoPrivateKey
            | Self::OtherPrivateKey
            | Self::PemOfPrivateKey
            | Self::PrivateKeyEncrypted
            | Self::PrivateKeyUnknown => true,
        }
    }
}

impl CertificatePair {
    /// Reads a PEM chain, the server's own certificate first, and the PEM private key of that one. `file` is what the
    /// pair is called in words. Whatever else the files hold is passed over.
    pub fn parse(file: &str, chain: &[u8], private_key: &[u8]) -> Result<Self, PairError> {
        let chain = read_chain(chain)?;
        let first = chain.first().ok_or(PairError::NoCertificate)?;
        let (_, certificate) =
            x509_parser::parse_x509_certificate(first).map_err(|_| PairError::CertificateUnreadable)?;
        let (names, addresses) = names(&certificate)?;
        let validity = certificate.validity();
        let second = |at: ASN1Time| Timestamp::from_unix(at.timestamp());
        let valid = (second(validity.not_before), second(validity.not_after));
        let private_key = read_private_key(private_key)?;
        let signing = aws_lc_rs::sign::any_supported_type(&private_key).map_err(|_| PairError::PrivateKeyUnknown)?;
        let certified = CertifiedKey::new(chain, signing);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => PairError::OtherPrivateKey,
            rustls::Error::InconsistentKeys(_) => PairError::PrivateKeyUnknown,
            _ => PairError::CertificateUnreadable,
        })?;
        Ok(Self {
            file: file.into(),
            certified: Arc::new(certified),
            names: names.into(),
            addresses: addresses.into(),
            valid,
        })
    }

    /// What it is called in words.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The host names that it is for, in lower case; `*.` stands for one label.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The addresses that it is for.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The first second in which it is valid.
    pub const fn not_before(&self) -> Timestamp {
        self.valid.0
    }

    /// The last second in which it is valid.
    pub const fn not_after(&self) -> Timestamp {
        self.valid.1
    }

    pub(super) const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The kind of its key: callers may know one kind and not the other.
    pub(super) fn algorithm(&self) -> SignatureAlgorithm {
        self.certified.key.algorithm()
    }
}

impl fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, names) = (&self.file, &self.names);
        f.debug_struct("CertificatePair").field("file", file).field("names", names).finish_non_exhaustive()
    }
}

/// The certificates of a PEM file, in its order.
fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).take(CHAIN + 1).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(PairError::NoCertificate),
        Ok(chain) if chain.len() > CHAIN => Err(PairError::ChainTooLong),
        Ok(chain) => Ok(chain),
        Err(_) => Err(PairError::PemOfChain),
    }
}

/// The first private key of a PEM file. rustls makes its own copy of it; this one is wiped.
pub fn read_private_key(pem: &[u8]) -> Result<Zeroizing<PrivateKeyDer<'static>>, PairError> {
    let holds = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
    if holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(PairError::PrivateKeyEncrypted);
    }
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(Zeroizing::new(key)),
        Err(pem::Error::NoItemsFound) => Err(PairError::NoPrivateKey),
        Err(_) => Err(PairError::PemOfPrivateKey),
    }
}

/// The host names and addresses that a certificate is for. Its subject names none: nobody reads that any more.
fn names(certificate: &X509Certificate<'_>) -> Result<(Vec<Box<str>>, Vec<IpAddr>), PairError> {
    let extension = certificate.subject_alternative_name().map_err(|_| PairError::CertificateUnreadable)?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.extend(host_name(name)),
            GeneralName::IPAddress(bytes) => addresses.push(address(bytes).ok_or(PairError::CertificateUnreadable)?),
            _ => {}
        }
    }
    Ok((names, addresses))
}

/// A name as callers ask for it. What is no host name, and no `*.` before one, nobody can ask for.
fn host_name(name: &str) -> Option<Box<str>> {
    let host = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let sound = host.len() <= 253 && host.split('.').all(label);
    sound.then(|| name.to_ascii_lowercase().into())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
