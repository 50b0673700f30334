//! Certificates: an authority of its own, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// A chain and the private key of its first certificate, as PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub chain: String,
    pub private_key: String,
}

impl Certificate {
    /// Puts both into a folder, each under a new name first: nobody reads half of a file.
    pub fn write(&self, folder: &Path, cert: &str, key: &str) {
        replace(&folder.join(cert), &self.chain);
        replace(&folder.join(key), &self.private_key);
    }

    /// The first certificate's bytes.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap().to_vec()
    }
}

/// Puts a file in the place of another one in one step.
pub fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Who signs.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Or what it signs would look as if it had signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What callers are given to believe.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For these host names and addresses, for servers and clients alike, from 2020 to 2040.
    pub fn certificate(&self, names: &[&str]) -> Certificate {
        self.certificate_of(&PKCS_ECDSA_P256_SHA256, names, (2020, 2040))
    }

    /// The same with another kind of key, from the first of January of one year to that of another.
    pub fn certificate_of(
        &self,
        algorithm: &'static SignatureAlgorithm,
        names: &[&str],
        years: (i32, i32),
    ) -> Certificate {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(years.0, 1, 1), rcgen::date_time_ymd(years.1, 1, 1));
        Certificate { chain: params.signed_by(&key, &self.0).unwrap().pem(), private_key: key.serialize_pem() }
    }
}

/// A caller that believes one authority.
#[derive(Clone)]
pub struct TlsCaller(Arc<rustls::ClientConfig>);

/// A connection over TLS.
pub type TlsConnection = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

impl TlsCaller {
    /// One that shakes hands anew each time, and offers these protocols.
    pub fn new(authority: &Authority, alpn: &[&[u8]]) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Connects, asks for this name and shakes hands.
    pub fn connect(&self, address: SocketAddr, name: &str) -> std::io::Result<TlsConnection> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(super::PATIENCE))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = rustls::ClientConnection::new(Arc::clone(&self.0), name).map_err(std::io::Error::other)?;
        let mut connection = rustls::StreamOwned::new(connection, stream);
        while connection.conn.is_handshaking() {
            connection.conn.complete_io(&mut connection.sock)?;
        }
        Ok(connection)
    }

    /// The certificate that is shown to whoever asks for this name.
    pub fn shown(&self, address: SocketAddr, name: &str) -> std::io::Result<Vec<u8>> {
        let connection = self.connect(address, name)?;
        Ok(connection.conn.peer_certificates().unwrap()[0].to_vec())
    }
}

/// Sends these bytes and reads until the other side closes.
pub fn exchange(mut connection: TlsConnection, bytes: &[u8]) -> std::io::Result<String> {
    connection.write_all(bytes)?;
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}
