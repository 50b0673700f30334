//! Certificates: an authority of its own, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SignatureAlgorithm,
};
use std::path::Path;

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
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
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
