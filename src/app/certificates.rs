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

    /// Whether no listener speaks TLS.
    pub(super) const fn is_empty(&self) -> bool {
        self.edge.is_none() && self.control.is_none()
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
                    DAY.. if left < 2 * DAY => "ends in 1 day".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{CertificatePair, TlsVersion};

    #[test]
    fn what_ends_within_two_weeks_is_warned_of_and_nothing_else() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["keys.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 15);
        let chain = params.self_signed(&key).unwrap().pem();
        let pair = CertificatePair::parse("a.pem", chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let settings = TlsSettings {
            certificates: vec![pair],
            min_version: TlsVersion::Tls12,
            client_certificates: None,
            hsts: None,
        };
        let tls = ListenerTls { edge: None, control: Some(ServerTls::new(&settings, &PROTOCOLS).unwrap()) };
        for (now, said) in [
            ("2030-01-01T00:00:00Z", None),
            ("2030-01-01T00:00:01Z", Some("ends in 13 days")),
            ("2030-01-14T00:00:00Z", Some("ends in 1 day")),
            ("2030-01-14T00:00:01Z", Some("ends within a day")),
            ("2030-01-15T00:00:00Z", Some("ends within a day")),
            ("2030-01-15T00:00:01Z", Some("has ended: callers refuse it")),
        ] {
            let warnings = tls.warnings(Timestamp::parse(now).unwrap());
            let expected =
                said.map(|said| format!("listeners.control: the certificate in a.pem {said} (2030-01-15T00:00:00Z)"));
            assert_eq!(warnings, expected.into_iter().collect::<Vec<_>>(), "{now}");
        }
    }
}
