//! Configuration: files and environment variables to typed values, every problem reported at once with its place.
//!
//! Two stages: [`toml`] text is read leniently with the place of every value, then parsed into the types below.
//! Nothing half-valid leaves this room. Environment variables are read here and nowhere else.

mod definition;
mod documents;
mod environment;
mod json;
mod keys;
mod limits;
mod load;
mod networks_file;
mod node;
mod pem;
mod permissions;
mod problems;
mod quantity;
mod reader;
mod restart;
mod sheet;
mod sources;
mod template;
mod tenant;
mod tls;
mod upstream;

pub use definition::{DefinitionProblem, EnvironmentDefinition};
pub use documents::{DocumentError, Documents, GivenDocument, read_document};
pub use limits::{BODY_GRACE, BodyLimits, ConnectionLimits, DrainTimes, EdgeLimits, HeadLimits};
pub use load::{Loaded, load, load_with_sources};
pub use problems::{Problem, Problems};
pub use sources::Sources;
pub use template::{InitError, document_name, init};

use crate::model::{Network, Organization};
use crate::tls::{CertificatePair, TlsSettings};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What service managers tell by the environment (`sd_notify`, `sd_listen_fds`).
const OF_SERVICE_MANAGERS: [&str; 2] = ["LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/// A variable of the environment, where it is set to text. Only our own, `PORTCULLIS_…`, and those of service managers
/// are read.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment_variable(name: &str) -> Option<String> {
    let known = name.starts_with("PORTCULLIS_") || OF_SERVICE_MANAGERS.contains(&name);
    known.then(|| std::env::var(name).ok()).flatten()
}

/// Everything a node needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `portcullis.toml`.
    pub node: NodeConfig,
    /// `tenants/*.toml`, one organization a file.
    pub organizations: Vec<Organization>,
    /// What certificates and the imports of OpenAPI documents have to tell, by the line that names them. No problems.
    pub notes: Vec<Problem>,
}

/// The node's own file. Paths are already resolved against the file's folder.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Bootstrap token, secret key file, saved tables.
    pub data_dir: PathBuf,
    /// Where tenants' traffic arrives.
    pub edge: EdgeListener,
    /// Control API and workbench.
    pub control: ControlListener,
    /// `/metrics`, `/livez`, `/readyz`.
    pub metrics_bind: Vec<SocketAddr>,
    /// Where keys are kept.
    pub store: StoreUrl,
    /// Encrypts signing keys at rest.
    pub secret_key_file: PathBuf,
    /// The folder of tenant files.
    pub tenants_dir: PathBuf,
    /// Whether files are read again by themselves when they change.
    pub tenants_watch: bool,
    /// Worker threads of the edge; 0 is one a core.
    pub workers: usize,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Limits of heads, bodies, connections and requests.
    pub limits: EdgeLimits,
    /// The times of a drain.
    pub drain: DrainTimes,
    /// Life of an access token.
    pub token_lifetime: Duration,
    /// How access tokens are signed.
    pub token_algorithm: TokenAlgorithm,
    /// How long a signing key signs before the next one takes over; `None` is for good.
    pub key_rotation: Option<Duration>,
    /// Where access log lines go.
    pub access_log: AccessLog,
    /// How words on standard error are written.
    pub log_format: LogFormat,
    /// Whether metrics carry the environment as a label.
    pub metrics_per_environment: bool,
}

/// The edge's listener.
#[derive(Clone, Debug)]
pub struct EdgeListener {
    /// Addresses; port 0 lets the system choose.
    pub bind: Vec<SocketAddr>,
    /// How it speaks TLS; `None` is plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
}

/// The control listener.
#[derive(Clone, Debug)]
pub struct ControlListener {
    /// Addresses; port 0 lets the system choose.
    pub bind: Vec<SocketAddr>,
    /// What callers are told it is called.
    pub public_url: Option<String>,
    /// Host names that it answers to besides, in lower case.
    pub names: Vec<String>,
    /// How it speaks TLS; `None` is plain HTTP.
    pub tls: Option<TlsSettings>,
    /// It is plain, and behind a proxy that has TLS.
    pub behind_proxy: bool,
}

impl ControlListener {
    /// Whether browsers reach it by TLS, as far as anybody said: what they are given is for TLS alone then.
    pub fn is_secure(&self) -> bool {
        let is_https = |url: &String| url.starts_with("https://");
        self.public_url.as_ref().map_or(self.tls.is_some() || self.behind_proxy, is_https)
    }

    /// What callers call it: its public URL, else this address of its own.
    pub fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"))
    }

    /// What there is to say where certificates for wildcards are all that could name it: such a one is for hosts of
    /// others too, so it vouches for none.
    pub fn namelessness(&self) -> Option<String> {
        let is_named = self.public_url.is_some() || !self.names.is_empty();
        let names = || self.tls.iter().flat_map(|tls| &tls.certificates).flat_map(CertificatePair::names);
        let wildcard = names().next().filter(|_| !is_named && names().all(|name| name.starts_with("*.")))?;
        Some(format!(
            "listeners.control: a certificate for `{wildcard}` does not say which host this listener is, so callers reach it \
             at its addresses and as `localhost` alone: say `public_url` or `names`"
        ))
    }
}

/// Which store, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// One file.
    Sqlite(PathBuf),
}

/// How access tokens are signed (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// Ed25519.
    #[default]
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// How words on standard error are written. Access log lines are JSON always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object a line.
    Json,
    /// A line for people.
    #[default]
    Text,
}

/// Where access log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Appended to a file.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
}
