//! Long requests, checked again: whatever runs for longer (streams, server-sent events, downloads, uploads, WebSockets)
//! is asked for anew from time to time whether its key still opens it, and cut where it does not.
//!
//! The checks are those of a request (`tables/order.rs`), with what was proven when it arrived. A token's own end is none
//! of them: it says until when requests may begin. A request that is over before its first check costs no timer but its connection's.

use super::alarm::Alarm;
use super::overload::Place;
use crate::access::Denial;
use crate::model::{AccessTokenClaims, ClientId, Timestamp};
use crate::tables::{Asker, EnvironmentTable, Judged, Line, Tables};
use http::{HeaderValue, Method};
use parking_lot::Mutex;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a long request is checked again.
pub const RECHECK: Duration = Duration::from_secs(30);

/// How often somebody looks whether a body is late, where pingora's sessions have no read timeout (HTTP/2).
const BODY_LOOK: Duration = Duration::from_secs(5);

/// What a request asks for, as it arrived.
#[derive(Debug)]
pub(super) struct AskedFor {
    pub(super) method: Method,
    /// Raw path and query.
    pub(super) target: Box<[u8]>,
    pub(super) authority: Option<HeaderValue>,
    /// The caller's trace, where it sent a valid one.
    pub(super) trace_id: Option<Box<str>>,
}

impl AskedFor {
    /// The raw path.
    pub(super) fn path(&self) -> &[u8] {
        let end = memchr::memchr(b'?', &self.target).unwrap_or(self.target.len());
        self.target.get(..end).unwrap_or_default()
    }
}

/// Whose key opened a request, and for what.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) asked: Arc<AskedFor>,
    pub(super) claims: Arc<AccessTokenClaims>,
    pub(super) address: IpAddr,
}

/// What is known of a request by whoever may cut it.
#[derive(Debug)]
pub(super) struct Lease {
    began: Instant,
    holder: Mutex<Option<Arc<Holder>>>,
    /// Milliseconds after the beginning by which more of the body has to be there; 0 where none is waited for.
    body_due: AtomicU64,
    /// Its place among those that are served at the same time.
    place: Mutex<Option<Place>>,
    cut: Mutex<Option<Denial>>,
}

tokio::task_local! {
    static LEASE: Arc<Lease>;
}

impl Lease {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            holder: Mutex::default(),
            body_due: AtomicU64::new(0),
            place: Mutex::default(),
            cut: Mutex::default(),
        }
    }

    /// The lease of the request that is being served.
    pub(super) fn here() -> Arc<Self> {
        LEASE.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Self::new()))
    }

    /// From now on the request lasts as long as its key. Requests that need no key have no holder.
    pub(super) fn hold(&self, holder: Holder) {
        *self.holder.lock() = Some(Arc::new(holder));
    }

    /// It has a place among those that are served at the same time.
    pub(super) fn occupy(&self, place: Place) {
        *self.place.lock() = Some(place);
    }

    /// Whether its place is one of this key's share.
    pub(super) fn share(&self, key: &ClientId) -> bool {
        self.place.lock().as_mut().is_none_or(|place| place.count(key))
    }

    /// Its place is free for another: it is over, or is known not to be forwarded, or to last. What lasts is bounded by
    /// the limits of connections and streams; else a few thousand open streams would keep everybody else out.
    pub(super) fn leave(&self) {
        drop(self.place.lock().take());
    }

    /// More of the body has to be there within this time; `None` where nothing is waited for.
    pub(super) fn expect_body(&self, within: Option<Duration>) {
        let due = within.map_or(0, |within| self.passed().saturating_add(millis(within)).max(1));
        self.body_due.store(due, Ordering::Relaxed);
    }

    /// Why it was cut.
    pub(super) fn cut(&self) -> Option<Denial> {
        self.cut.lock().clone()
    }

    fn passed(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn is_body_late(&self) -> bool {
        let due = self.body_due.load(Ordering::Relaxed);
        due > 0 && self.passed() > due
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Keeps watch over long requests.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) tables: Arc<Tables>,
    pub(super) clock: fn() -> Timestamp,
    /// How often a request is checked again.
    pub(super) every: Duration,
}

impl Keeper {
    /// Runs a request to its end, or to the end of its key: then it is dropped, and its connection or stream with it.
    pub(super) async fn keep<T>(
        &self,
        is_stream: bool,
        alarm: &mut Alarm,
        request: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        let every = if is_stream { self.every.min(BODY_LOOK) } else { self.every };
        let lease = Arc::new(Lease::new());
        let mut request = pin!(LEASE.scope(Arc::clone(&lease), request));
        loop {
            if let Some(served) = alarm.within(every, request.as_mut()).await {
                return served;
            }
            if lease.passed() >= millis(self.every) {
                lease.leave();
            }
            if let Some(denial) = self.ended(&lease, is_stream) {
                *lease.cut.lock() = Some(denial);
                return None;
            }
        }
    }

    fn ended(&self, lease: &Lease, is_stream: bool) -> Option<Denial> {
        if is_stream && lease.is_body_late() {
            return Some(Denial::RequestTimeout);
        }
        let holder = lease.holder.lock().clone()?;
        let authority = holder.asked.authority.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
        // The connection's name was compared when the request arrived, and a connection keeps it.
        let line =
            Line { authority, sni: None, method: &holder.asked.method, path: holder.asked.path(), preflight: None };
        let now = (self.clock)();
        match self.tables.load().judge(&line, &mut Proven { holder: &holder, now }, now) {
            Ok(Judged::Forward(_)) => None,
            Ok(Judged::Answer(_)) => Some(Denial::OperationUnknown),
            Err(denial) => Some(denial),
        }
    }
}

/// Somebody who was proven when the request arrived.
struct Proven<'a> {
    holder: &'a Holder,
    now: Timestamp,
}

impl Asker for Proven<'_> {
    fn address(&mut self, _: &Arc<EnvironmentTable>) -> Result<IpAddr, Denial> {
        Ok(self.holder.address)
    }

    /// As they were proven, and not ended by time: see the head of this file.
    fn claims(&mut self, _: &EnvironmentTable) -> Result<Arc<AccessTokenClaims>, Denial> {
        let claims = &self.holder.claims;
        if claims.expires_at > self.now {
            return Ok(Arc::clone(claims));
        }
        Ok(Arc::new(AccessTokenClaims { expires_at: self.now.plus_seconds(1), ..claims.as_ref().clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::overload::Room;
    use super::*;
    use crate::token::{Algorithm, SigningKey, SigningKeySet};

    fn keeper() -> Keeper {
        let signing = SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []);
        let tables = Arc::new(Tables::new(Arc::new(signing)));
        Keeper { tables, clock: || Timestamp::EPOCH, every: Duration::from_millis(20) }
    }

    #[tokio::test]
    async fn each_request_has_a_lease_of_its_own() {
        let keeper = keeper();
        let one = keeper.keep(true, &mut Alarm::new(), async { Some(Arc::as_ptr(&Lease::here()) as usize) }).await;
        let other = async {
            let lease = Lease::here();
            lease.expect_body(None);
            assert!(!lease.is_body_late());
            Some(Arc::as_ptr(&lease) as usize)
        };
        assert_ne!(one.unwrap_or_default(), 0);
        assert!(keeper.keep(true, &mut Alarm::new(), other).await.is_some());
    }

    #[tokio::test]
    async fn what_lasts_gives_its_place_back() {
        let room = Room::new(1, 1);
        let keeper = Keeper { every: Duration::from_millis(100), ..keeper() };
        for is_stream in [false, true] {
            let lasts = async {
                Lease::here().occupy(room.enter().unwrap());
                assert!(room.enter().is_none());
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some(room.enter().is_some())
            };
            assert_eq!(keeper.keep(is_stream, &mut Alarm::new(), lasts).await, Some(true));
        }
    }

    #[tokio::test]
    async fn a_stream_whose_body_is_late_is_cut() {
        let keeper = keeper();
        let waits = async || {
            Lease::here().expect_body(Some(Duration::from_millis(5)));
            tokio::time::sleep(Duration::from_millis(200)).await;
            Some(Lease::here().cut())
        };
        assert_eq!(keeper.keep(true, &mut Alarm::new(), waits()).await, None);
        assert_eq!(keeper.keep(false, &mut Alarm::new(), waits()).await, Some(None), "HTTP/1 has a read timeout");
    }
}
