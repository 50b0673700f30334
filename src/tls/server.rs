//! The rustls configuration of a listener.

use super::{CertificateError, Certificates, ClientCertificates, TlsSettings, TlsVersion};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;

/// TLS of a listener, for as long as the node runs; its certificates can be swapped.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// What callers are shown.
    pub certificates: Arc<Certificates>,
    /// What shakes hands.
    pub config: Arc<ServerConfig>,
    /// The value of `Strict-Transport-Security` on its answers, if there is to be one.
    pub hsts: Option<Arc<str>>,
}

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// Its certificates cannot be served together.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// rustls wants none of it.
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authorities for callers' certificates are of no use.
    #[error("client_ca_file: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl ServerTls {
    /// TLS by these settings, for the protocols in `alpn` (RFC 7301), the preferred one first.
    ///
    /// A session is resumed by a ticket whose key is made here, changes every six hours and is never written down:
    /// after a restart callers shake hands anew. Nothing is taken before the handshake ends (no 0-RTT).
    pub fn new(settings: &TlsSettings, alpn: &[&[u8]]) -> Result<Self, ServerTlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Arc::new(Certificates::new(&settings.certificates)?);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions(settings.min_version))?;
        let builder = match &settings.client_certificates {
            None => builder.with_no_client_auth(),
            Some(asked) => builder.with_client_cert_verifier(verifier(asked, provider)?),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Self { certificates, config: Arc::new(config), hsts: settings.hsts_value().map(Into::into) })
    }
}

fn versions(min: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match min {
        TlsVersion::Tls12 => vec![&TLS13, &TLS12],
        TlsVersion::Tls13 => vec![&TLS13],
    }
}

fn verifier(
    asked: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(asked.authorities.roots()), provider);
    Ok(if asked.required { builder } else { builder.allow_unauthenticated() }.build()?)
}
