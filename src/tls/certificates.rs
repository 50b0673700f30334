//! Which certificate a caller is shown.
//!
//! By the name that it asks for: the exact one, else a wildcard of one label. Where two are for the same name, with
//! keys of different kinds, the first that the caller can verify. Who asks for another name, or for none, is shown
//! the first certificate of all: a caller that cares finds that it is for somebody else.

use super::CertificatePair;
use crate::model::Timestamp;
use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// The certificates of a listener. Readers take no lock; a connection keeps the one that it began with.
#[derive(Debug)]
pub struct Certificates(ArcSwap<Table>);

/// Why certificates cannot be served together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// There are none.
    #[error("there is no certificate")]
    Empty,
    /// One that names no host is not the first, so that nobody would ever be shown it.
    #[error("`{file}` is for no host name: only the first certificate may be, for callers that ask for no name")]
    Nameless {
        /// Its place in the list.
        index: usize,
        /// What it is called.
        file: String,
    },
    /// Two are for the same name, with keys of the same kind: which one is meant?
    #[error("`{file}` is for `{name}`, and so is `{first}`; only keys of different kinds may share a name")]
    Overlap {
        /// The place of the later one in the list.
        index: usize,
        /// What it is called.
        file: String,
        /// What the earlier one is called.
        first: String,
        /// The name that both are for.
        name: String,
    },
}

impl CertificateError {
    /// The place in the list of the certificate that is meant.
    pub const fn index(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Nameless { index, .. } | Self::Overlap { index, .. } => *index,
        }
    }
}

/// A list of certificates by name.
#[derive(Debug)]
struct Table {
    pairs: Vec<CertificatePair>,
    first: Arc<CertifiedKey>,
    /// Exact names, and wildcards as they are written.
    by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    earliest_expiry: Timestamp,
}

impl Certificates {
    /// The certificates of a listener; the first is for callers that ask for no name, or for one that none is for.
    pub fn new(pairs: &[CertificatePair]) -> Result<Self, CertificateError> {
        Table::new(pairs).map(|table| Self(ArcSwap::from_pointee(table)))
    }

    /// Shows these from the next handshake on. An error changes nothing.
    pub fn replace(&self, pairs: &[CertificatePair]) -> Result<(), CertificateError> {
        self.0.store(Arc::new(Table::new(pairs)?));
        Ok(())
    }

    /// When the first of them ends.
    pub fn earliest_expiry(&self) -> Timestamp {
        self.0.load().earliest_expiry
    }

    /// Every pair.
    pub fn pairs(&self) -> Vec<CertificatePair> {
        self.0.load().pairs.clone()
    }

    /// Whether one of them says this host name, in lower case, itself. A wildcard does not: it is for hosts of others too.
    pub fn say(&self, host: &str) -> bool {
        !host.starts_with('*') && self.0.load().by_name.contains_key(host)
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let table = self.0.load();
        let named = name.and_then(|name| table.named(name)).unwrap_or_default();
        let verifiable = named.iter().find(|certified| certified.key.choose_scheme(schemes).is_some());
        Arc::clone(verifiable.or_else(|| named.first()).unwrap_or(&table.first))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name(), hello.signature_schemes()))
    }
}

impl Table {
    fn new(pairs: &[CertificatePair]) -> Result<Self, CertificateError> {
        let first = pairs.first().ok_or(CertificateError::Empty)?;
        let mut by_name: HashMap<&str, Vec<&CertificatePair>> = HashMap::new();
        for (index, pair) in pairs.iter().enumerate() {
            let file = || pair.file().to_owned();
            if index > 0 && pair.names().next().is_none() {
                return Err(CertificateError::Nameless { index, file: file() });
            }
            for name in pair.names() {
                let others = by_name.entry(name).or_default();
                match others.iter().find(|other| other.algorithm() == pair.algorithm()) {
                    None => others.push(pair),
                    // A certificate may say a name twice.
                    Some(other) if Arc::ptr_eq(other.certified(), pair.certified()) => {}
                    Some(other) => {
                        let (first, name) = (other.file().to_owned(), name.to_owned());
                        return Err(CertificateError::Overlap { index, file: file(), first, name });
                    }
                }
            }
        }
        let certified = |pairs: Vec<&CertificatePair>| pairs.iter().map(|pair| Arc::clone(pair.certified())).collect();
        let by_name = by_name.into_iter().map(|(name, pairs)| (name.into(), certified(pairs))).collect();
        let earliest_expiry = pairs.iter().map(CertificatePair::not_after).min().unwrap_or(Timestamp::MAX);
        Ok(Self { pairs: pairs.to_vec(), first: Arc::clone(first.certified()), by_name, earliest_expiry })
    }

    /// Those for a name: its own, else those for `*` and what follows its first label.
    fn named(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.to_ascii_lowercase();
        let wildcard = || name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let found = self.by_name.get(name.as_str()).or_else(|| self.by_name.get(wildcard()?.as_str()));
        found.map(Vec::as_slice)
    }
}
