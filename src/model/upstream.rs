//! Where allowed requests go and how: the upstream of an environment, as a definition says it.

use super::UpstreamUrl;
use http::{HeaderName, HeaderValue};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Where allowed requests go and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// At least one; requests go round them.
    pub urls: Vec<UpstreamUrl>,
    /// What is spoken with it.
    pub protocol: UpstreamProtocol,
    /// Which of several addresses the next request goes to.
    pub balance: Balance,
    /// How its addresses are asked whether they are well; `None`: they are not asked.
    pub health: Option<HealthCheck>,
    /// When an address that fails is left alone.
    pub ejection: Ejection,
    /// By what TLS knows it, and it us.
    pub tls: UpstreamTls,
    /// Limits on every step.
    pub timeouts: UpstreamTimeouts,
    /// Which Host the upstream sees.
    pub host: UpstreamHost,
    /// What happens to the caller's Authorization.
    pub authorization: UpstreamAuthorization,
    /// Headers set on every forwarded request.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
}

impl Upstream {
    /// One URL, and everything else as it is by default.
    pub fn of(url: UpstreamUrl) -> Self {
        Self {
            urls: vec![url],
            protocol: UpstreamProtocol::default(),
            balance: Balance::default(),
            health: None,
            ejection: Ejection::default(),
            tls: UpstreamTls::default(),
            timeouts: UpstreamTimeouts::default(),
            host: UpstreamHost::default(),
            authorization: UpstreamAuthorization::default(),
            set_headers: Vec::new(),
        }
    }
}

/// What is spoken with an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/2 by TLS (ALPN).
    H2,
    /// HTTP/2 without TLS, with prior knowledge (RFC 9113 section 3.3).
    H2c,
    /// HTTP/1.1.
    #[default]
    Http1,
}

/// Which of several addresses the next request goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balance {
    /// The one with the fewest requests under way, in turn among equals.
    LeastConnections,
    /// Each in turn.
    #[default]
    RoundRobin,
}

/// How addresses are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// What is asked for with GET, from the root of the host.
    pub path: String,
    /// From one question to the next.
    pub interval: Duration,
    /// An answer later than this is none.
    pub timeout: Duration,
    /// So many bad answers in a row take an address out.
    pub unhealthy_after: u32,
    /// So many good answers in a row bring it back.
    pub healthy_after: u32,
    /// Answers with these statuses are good.
    pub status: RangeInclusive<u16>,
}

/// When an address that fails is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ejection {
    /// So many failures in a row put it out; 0: never.
    pub after: u32,
    /// It is tried again, by one request, after this time.
    pub pause: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { after: 5, pause: Duration::from_secs(10) }
    }
}

/// By what TLS knows an upstream, and it us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Whose certificates are believed, in DER; empty: those that the system believes.
    pub authorities: Arc<[Vec<u8>]>,
    /// What we show when we are asked who we are.
    pub client: Option<Arc<ClientCertificate>>,
}

/// A certificate with its key, by which we say who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, then those that lead to its authority, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its key, in DER.
    pub key: Zeroizing<Vec<u8>>,
}

impl Hash for ClientCertificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.chain.hash(state);
        self.key.as_slice().hash(state);
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Limits on every upstream step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTimeouts {
    /// Establishing TCP (and TLS within twice this time).
    pub connect: Duration,
    /// Waiting for the next bytes of the answer.
    pub read: Duration,
    /// Waiting for the upstream to take the next bytes of the request.
    pub write: Duration,
    /// An idle pooled connection is closed after this time.
    pub idle: Duration,
    /// A silent upgraded connection is closed after this time.
    pub upgraded_idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            upgraded_idle: Duration::from_secs(3600),
        }
    }
}

/// Which Host the upstream sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamHost {
    /// The one the caller named.
    Caller,
    /// The upstream's own.
    #[default]
    Upstream,
}

/// What happens to the caller's Authorization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamAuthorization {
    /// Passed on as it came.
    Forward,
    /// Replaced by this value, which is marked as sensitive.
    Set(HeaderValue),
    /// Taken off.
    #[default]
    Strip,
}
