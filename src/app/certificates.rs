//! The certificates of the listeners that speak TLS: shown from the start, swapped by reloads, watched for their end.

use crate::config::NodeConfig;
use crate::model::Timestamp;
use crate::telemetry::Metrics;
use crate::tls::{CertificateError, ServerTls, TlsSettings};

/// A certificate that ends within this many seconds is warned of.
const SOON: i64 = 14 * 86_400;
const DAY: i64 = 86_400;
/// What both listeners speak within TLS, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS of each listener that speaks it.
#[derive(Clone, Debug, Default)]
pub(super) struct ListenerTls {
    pub(super) edge: Option<ServerTls>,
    pub(super) control: Option<ServerTls>,
}

impl ListenerTls {
    /// As the files said at the start.
    pub(super) fn new(node: &NodeConfig) -> anyhow::Result<Self> {
        let made = |settings: Option<&TlsSettings>| settings.map(|it| ServerTls::new(it, &PROTOCOLS)).transpose();
        Ok(Self { edge: made(node.edge.tls.as_ref())?, control: made(node.control.tls.as_ref())? })
    }

    /// Shows what the files say now, from the next handshake on. A listener that spoke no TLS at the start has none.
    pub(super) fn swap(&self, node: &NodeConfig) -> Result<(), CertificateError> {
        for (tls, read) in [(&self.edge, &node.edge.tls), (&self.control, &node.control.tls)] {
            if let (Some(tls), Some(read)) = (tls, read) {
                tls.certificates.replace(&read.certificates)?;
            }
        }
        Ok(())
    }

    /// Tells when the first certificate of each listener ends.
    pub(super) fn gauge(&self, metrics: &Metrics) {
        for (listener, tls) in self.named() {
            metrics.set_certificate_expiry(listener, tls.certificates.earliest_expiry());
        }
    }

    /// Warns of every certificate that has ended, or will soon.
    pub(super) fn warn(&self, now: Timestamp) {
        self.warnings(now).iter().for_each(|warning| tracing::warn!("{warning}"));
    }

    fn warnings(&self, now: Timestamp) -> Vec<String> {
        let all = self.named().flat_map(|(listener, tls)| {
            tls.certificates.pairs().into_iter().filter_map(move |pair| {
                let left = pair.not_after().as_unix() - now.as_unix();
                let when = match left {
                    SOON.. => return None,
                    DAY.. => format!("ends in {} days", left / DAY),
                    0.. => "ends within a day".to_owned(),
                    _ => "has ended: callers refuse it".to_owned(),
                };
                Some(format!("listeners.{listener}: the certificate in {} {when} ({})", pair.file(), pair.not_after()))
            })
        });
        all.collect()
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &ServerTls)> {
        let named = [("edge", &self.edge), ("control", &self.control)];
        named.into_iter().filter_map(|(listener, tls)| tls.as_ref().map(|tls| (listener, tls)))
    }
}
