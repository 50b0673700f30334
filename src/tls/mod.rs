//! TLS of a listener: its certificates as one value that is swapped while connections are served, and the rustls
//! configuration that asks it.
//!
//! What is read from files is judged here and stays out of sight from then on: a private key has no way back to
//! bytes. Reading files, saying where a mistake stands and shaking hands are left to whoever calls.

mod certificates;
mod pair;
mod server;
mod settings;

#[cfg(test)]
mod tests;

pub use certificates::{CertificateError, Certificates};
pub use pair::{CertificatePair, PairError, read_private_key};
pub use server::{ServerTls, ServerTlsError};
pub use settings::{ClientAuthorities, ClientAuthoritiesError, ClientCertificates, TlsSettings, TlsVersion};

/// Where a server says that browsers come back by TLS only (RFC 6797 section 6.1).
pub const HSTS_HEADER: &str = "strict-transport-security";
