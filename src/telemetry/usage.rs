//! What keys are used for, gathered off the request path: counts by operation, last use and last address.
//!
//! A request records by atomics alone; once a key's operation was seen nothing is allocated. Somebody drains the
//! recorder now and then and writes what it gives out. What was recorded is given out exactly once, by a drain that
//! began after it; a crash loses what was not drained yet, and nothing else.

use crate::model::{ClientId, Timestamp};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// So many entries may lie idle beside as many active ones before the recorder begins anew.
const IDLE_ENTRIES: usize = 8192;

/// What a key was used for since the last drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub client_id: ClientId,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// From where, canonical.
    pub last_address: IpAddr,
    /// How often it ran each operation, in the order of their names; empty where it only fetched tokens.
    pub operations: Vec<(Arc<str>, u64)>,
}

/// Counts what keys are used for.
#[derive(Debug, Default)]
pub struct UsageRecorder {
    current: ArcSwap<Generation>,
    /// Generations that are no longer recorded into, but may still be held by a request that began before.
    retired: Mutex<Vec<Arc<Generation>>>,
}

#[derive(Debug, Default)]
struct Generation {
    keys: papaya::HashMap<ClientId, LastUse, ahash::RandomState>,
    counts: papaya::HashMap<Counted, AtomicU64, ahash::RandomState>,
}

/// A key and an operation it ran.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Counted {
    client_id: ClientId,
    operation: Arc<str>,
}

/// The same, borrowed: what is known already is found without an allocation.
#[derive(Hash)]
struct Asked<'a> {
    client_id: &'a ClientId,
    operation: &'a str,
}

impl papaya::Equivalent<Counted> for Asked<'_> {
    fn equivalent(&self, known: &Counted) -> bool {
        *self.client_id == known.client_id && *self.operation == *known.operation
    }
}

impl UsageRecorder {
    /// Records a permitted request; whether it is the key's first one of that second.
    pub fn record(&self, client_id: &ClientId, operation: &Arc<str>, address: IpAddr, now: Timestamp) -> bool {
        // INVARIANT: the guard is held until everything is recorded; `drain` looks whether anybody holds one.
        let generation = self.current.load();
        let is_first = generation.note(client_id, address, now, |last| last.is_first_of(now));
        generation.count(client_id, operation, 1);
        is_first
    }

    /// Records that a token was issued: the key was used, for no operation yet.
    pub fn record_issue(&self, client_id: &ClientId, address: IpAddr, now: Timestamp) {
        self.current.load().note(client_id, address, now, |_| ());
    }

    /// Takes out what was recorded since the last drain, by client id.
    pub fn drain(&self) -> Vec<KeyUse> {
        let mut retired = self.retired.lock();
        let mut uses = BTreeMap::new();
        retired.retain(|generation| {
            // Asked before it is emptied: who holds it still may record after.
            let held = Arc::strong_count(generation) > 1;
            fence(Ordering::Acquire);
            generation.take(&mut uses);
            held
        });
        let current = self.current.load_full();
        current.take(&mut uses);
        if current.is_mostly_idle(&uses) {
            drop(current);
            // `swap` settles what guards owe: from here on the count of `Arc`s tells who still records.
            retired.push(self.current.swap(Arc::default()));
        }
        uses.into_iter().map(|(client_id, taken)| taken.finish(client_id)).collect()
    }

    /// Puts back what a drain took out and nobody could write. Later uses keep their instant and address.
    pub fn restore(&self, uses: &[KeyUse]) {
        let generation = self.current.load();
        for KeyUse { client_id, last_used_at, last_address, operations } in uses {
            // A drain asks whether the key was used since: it was, as far as anybody was told.
            generation.note(client_id, *last_address, *last_used_at, |last| last.told.store(0, Ordering::Relaxed));
            operations.iter().for_each(|(operation, count)| generation.count(client_id, operation, *count));
        }
    }
}

impl Generation {
    fn note<R>(&self, client_id: &ClientId, address: IpAddr, now: Timestamp, and: impl FnOnce(&LastUse) -> R) -> R {
        let keys = self.keys.pin();
        let last = match keys.get(client_id) {
            Some(last) => last,
            None => keys.get_or_insert_with(client_id.clone(), LastUse::default),
        };
        last.note(now, address);
        and(last)
    }

    fn count(&self, client_id: &ClientId, operation: &Arc<str>, times: u64) {
        let counts = self.counts.pin();
        let count = match counts.get(&Asked { client_id, operation }) {
            Some(count) => count,
            None => {
                let counted = Counted { client_id: client_id.clone(), operation: Arc::clone(operation) };
                counts.get_or_insert_with(counted, AtomicU64::default)
            }
        };
        count.fetch_add(times, Ordering::Relaxed);
    }

    fn take(&self, uses: &mut BTreeMap<ClientId, Taken>) {
        let keys = self.keys.pin();
        for (client_id, last) in &keys {
            let Some((version, at, address)) = last.read() else { continue };
            if last.told.swap(version, Ordering::Relaxed) != version {
                uses.entry(client_id.clone()).or_default().note(at, address);
            }
        }
        for (Counted { client_id, operation }, count) in &self.counts.pin() {
            if count.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // A key is noted before it is counted; should this thread not see the note yet, the count waits.
            let Some((_, at, address)) = keys.get(client_id).and_then(LastUse::read) else { continue };
            let taken = uses.entry(client_id.clone()).or_default();
            taken.note(at, address);
            *taken.operations.entry(Arc::clone(operation)).or_default() += count.swap(0, Ordering::Relaxed);
        }
    }

    /// Whether beginning anew would free more than it costs. Called right after `take`.
    fn is_mostly_idle(&self, uses: &BTreeMap<ClientId, Taken>) -> bool {
        let active: usize = uses.values().map(|taken| 1 + taken.operations.len()).sum();
        self.keys.len() + self.counts.len() > 2 * active + IDLE_ENTRIES
    }
}

/// What was taken out of one key so far.
#[derive(Debug, Default)]
struct Taken {
    last: Option<(Timestamp, IpAddr)>,
    operations: BTreeMap<Arc<str>, u64>,
}

impl Taken {
    fn note(&mut self, at: Timestamp, address: IpAddr) {
        if self.last.is_none_or(|(known, _)| known <= at) {
            self.last = Some((at, address));
        }
    }

    fn finish(self, client_id: ClientId) -> KeyUse {
        let (last_used_at, last_address) = self.last.unwrap_or((Timestamp::from_unix(0), Ipv4Addr::UNSPECIFIED.into()));
        KeyUse { client_id, last_used_at, last_address, operations: self.operations.into_iter().collect() }
    }
}

/// The last instant and address of a key, written and read without a lock: an even version is whole, an odd one is
/// being written. A writer that finds another one writing leaves it to that one, whose use is a moment ago.
#[derive(Debug, Default)]
struct LastUse {
    /// The version that was given out already.
    told: AtomicU64,
    /// The last second of a permitted request.
    second: AtomicU64,
    version: AtomicU64,
    at: AtomicU64,
    high: AtomicU64,
    low: AtomicU64,
}

impl LastUse {
    /// Whether no permitted request came in this second, or a later one, yet. A busy key writes nothing here but once a
    /// second.
    fn is_first_of(&self, now: Timestamp) -> bool {
        let (now, known) = (now.as_unix().cast_unsigned(), self.second.load(Ordering::Relaxed));
        known < now && self.second.compare_exchange(known, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn note(&self, now: Timestamp, address: IpAddr) {
        let at = now.as_unix().cast_unsigned();
        let bits = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        }
        .to_bits();
        let (high, low) = ((bits >> 64) as u64, bits as u64);
        let version = self.version.load(Ordering::Acquire);
        let known = self.at.load(Ordering::Relaxed).cast_signed();
        let same = known == now.as_unix()
            && self.low.load(Ordering::Relaxed) == low
            && self.high.load(Ordering::Relaxed) == high;
        // The common case of a busy key: nothing is written but once a second.
        if version != 0 && (same || known > now.as_unix()) {
            return;
        }
        let claim = version + 1;
        if version % 2 == 1
            || self.version.compare_exchange(version, claim, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return;
        }
        fence(Ordering::Release);
        self.at.store(at, Ordering::Relaxed);
        self.high.store(high, Ordering::Relaxed);
        self.low.store(low, Ordering::Relaxed);
        self.version.store(claim + 1, Ordering::Release);
    }

    /// `None` where nothing was noted yet.
    fn read(&self) -> Option<(u64, Timestamp, IpAddr)> {
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version == 0 {
                return None;
            }
            if version % 2 == 1 {
                std::thread::yield_now();
                continue;
            }
            let at = self.at.load(Ordering::Relaxed);
            let (high, low) = (self.high.load(Ordering::Relaxed), self.low.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                let bits = (u128::from(high) << 64) | u128::from(low);
                let address = IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical();
                return Some((version, Timestamp::from_unix(at.cast_signed()), address));
            }
        }
    }
}

#[cfg(test)]
mod tests;
