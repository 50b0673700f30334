//! What is known of one request while it is served.

use super::account::Accounts;
use super::arrival::Arrival;
use super::body::Body;
use super::lease::{AskedFor, Lease};
use super::upstreams::{Attempt, Patience};
use crate::access::{Denial, Permit};
use crate::model::{ClientId, Timestamp, hex};
use crate::tables::EnvironmentTable;
use crate::telemetry::{EnvironmentMetrics, InFlight, Outcome, Told};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One request, from its head to its log line.
#[derive(Debug)]
pub(super) struct RequestContext {
    pub(super) started: Instant,
    /// The connection it came on.
    pub(super) arrival: Arc<Arrival>,
    /// Who may cut it, and why.
    pub(super) lease: Arc<Lease>,
    /// Where it is told of.
    pub(super) accounts: Arc<Accounts>,
    /// It was told of.
    pub(super) is_told: bool,
    pub(super) request_id: String,
    /// What it asks for; `None` before anything was looked at.
    pub(super) asked: Option<Arc<AskedFor>>,
    /// Its body while it arrives.
    pub(super) body: Option<Body>,
    /// What the caller was answered so far, and how many bytes.
    pub(super) status: u16,
    pub(super) bytes_out: u64,
    pub(super) environment: Option<Arc<EnvironmentTable>>,
    /// Where its environment's requests are counted; `None` where no environment serves it.
    pub(super) metrics: Option<Arc<EnvironmentMetrics>>,
    pub(super) address: Option<IpAddr>,
    pub(super) client_id: Option<ClientId>,
    /// INVARIANT: nothing reaches an upstream while this is `None`.
    pub(super) permit: Option<Permit>,
    pub(super) outcome: Outcome,
    pub(super) code: Option<&'static str>,
    /// When it was decided.
    pub(super) at: Timestamp,
    /// What the caller was told where it was refused.
    pub(super) told: Option<Told>,
    /// The key that one of our endpoints proved.
    pub(super) proven: Option<ClientId>,
    /// The key's first permitted request of its second: it is remembered.
    pub(super) is_sample: bool,
    pub(super) upstream_since: Option<Instant>,
    /// The address it went to last; it counts there until it is dropped.
    pub(super) attempt: Option<Attempt>,
    /// How long its upstream may be silent, where it asks for a WebSocket.
    pub(super) patience: Option<Arc<Patience>>,
    /// Addresses that could not be connected to.
    pub(super) tried: Vec<SocketAddr>,
    /// It was sent again, because the connection that it was sent on had ended.
    pub(super) resent: bool,
    /// The upstream's answer has begun: no retry any more.
    pub(super) answered: bool,
    pub(super) _in_flight: InFlight,
}

impl RequestContext {
    /// Nothing of it is known yet.
    pub(super) fn new(accounts: &Arc<Accounts>, request_id: String) -> Self {
        Self {
            started: Instant::now(),
            arrival: Arrival::here(),
            lease: Lease::here(),
            accounts: Arc::clone(accounts),
            is_told: false,
            request_id,
            asked: None,
            body: None,
            status: 0,
            bytes_out: 0,
            environment: None,
            metrics: None,
            address: None,
            client_id: None,
            permit: None,
            outcome: Outcome::Failed,
            code: None,
            at: Timestamp::EPOCH,
            told: None,
            proven: None,
            is_sample: false,
            upstream_since: None,
            attempt: None,
            patience: None,
            tried: Vec::new(),
            resent: false,
            answered: false,
            _in_flight: InFlight::enter(&accounts.metrics.in_flight),
        }
    }

    /// Notes why it is not served, or no longer.
    pub(super) fn note(&mut self, denial: &Denial, outcome: Outcome) {
        self.outcome = outcome;
        self.code = Some(denial.code());
        self.told = Some(Told::Denial(denial.clone()));
    }
}

/// Draws request ids: unique, not secret. One seed a process, one counter.
#[derive(Debug)]
pub(super) struct RequestIds {
    seed: (u64, u64),
    next: AtomicU64,
}

impl RequestIds {
    pub(super) const fn new(seed: (u64, u64)) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }

    /// 32 hexadecimal digits, never all zero in either half: also a W3C trace id.
    pub(super) fn draw(&self) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let (first, second) = (mix(self.seed.0.wrapping_add(count)) | 1, mix(self.seed.1 ^ count));
        hex(&((u128::from(first) << 64) | u128::from(second)).to_be_bytes())
    }
}

/// The finalizer of SplitMix64: every input bit reaches every output bit.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_repeat() {
        let ids = RequestIds::new((1, 2));
        let drawn: std::collections::HashSet<String> = (0..10_000).map(|_| ids.draw()).collect();
        assert_eq!(drawn.len(), 10_000);
        assert!(drawn.iter().all(|id| id.len() == 32));
    }
}
