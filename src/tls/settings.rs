//! What a listener's file says about TLS, judged.

use super::CertificatePair;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// So many authorities are taken; a handshake names all of them to the caller.
const AUTHORITIES: usize = 100;

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// At least one, the first for callers that ask for no name.
    pub certificates: Vec<CertificatePair>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether callers are asked for certificates; `None` asks nobody.
    pub client_certificates: Option<ClientCertificates>,
    /// How long browsers are told to come back by TLS only, to the second; `None` tells them nothing.
    pub hsts: Option<Duration>,
}

impl TlsSettings {
    /// The value of `Strict-Transport-Security` (RFC 6797 section 6.1), if there is to be one.
    pub fn hsts_value(&self) -> Option<String> {
        self.hsts.map(|age| format!("max-age={}", age.as_secs()))
    }
}

/// A version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Which certificates of callers are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Who signs them.
    pub authorities: ClientAuthorities,
    /// Whether a caller without one is turned away. One that does not verify always is.
    pub required: bool,
}

/// Certificates of authorities; two lists that say the same are equal.
#[derive(Clone)]
pub struct ClientAuthorities {
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
}

/// Why a file names no authorities.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClientAuthoritiesError {
    /// There is no certificate in it.
    #[error("holds no certificate (`-----BEGIN CERTIFICATE-----`)")]
    Empty,
    /// A PEM block is broken.
    #[error("holds a certificate that is not PEM")]
    Pem,
    /// More than a hundred.
    #[error("holds more than {AUTHORITIES} certificates")]
    TooMany,
    /// One cannot be read.
    #[error("holds a certificate that cannot be read (number {0} in the file)")]
    Unreadable(usize),
}

impl ClientAuthorities {
    /// Reads the PEM certificates of authorities.
    pub fn parse(pem: &[u8]) -> Result<Self, ClientAuthoritiesError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(AUTHORITIES + 1).collect();
        let certificates = read.map_err(|_| ClientAuthoritiesError::Pem)?;
        match certificates.len() {
            0 => return Err(ClientAuthoritiesError::Empty),
            1..=AUTHORITIES => {}
            _ => return Err(ClientAuthoritiesError::TooMany),
        }
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(&certificates) {
            roots.add(certificate.clone()).map_err(|_| ClientAuthoritiesError::Unreadable(number))?;
        }
        Ok(Self { certificates, roots: Arc::new(roots) })
    }

    pub(super) const fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }
}

impl PartialEq for ClientAuthorities {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for ClientAuthorities {}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAuthorities({})", self.certificates.len())
    }
}
