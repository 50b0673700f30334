//! Failures slow down whoever fails too often, without locking out others, in memory that no flood can grow.
//!
//! One mechanism, [`Failures`], counts failures of one kind of subject (an id, an address). Two settings of it:
//! [`ClientThrottle`] for secrets of 256 random bits, which nobody guesses, so that a proven one always passes and the
//! wait only answers failures; [`SignInThrottle`] for passwords, where the wait comes before the proof.

use crate::model::Timestamp;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

/// How many failures are free, and what comes after.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// So many failures within the window have no consequence.
    pub free: u32,
    /// The window, in seconds: from the first failure while they are free; once they are not, a subject is forgotten
    /// after so many seconds without one.
    pub window: u32,
    /// The longest wait in seconds. The first one is a second, and each failure doubles it.
    pub longest_wait: u32,
}

impl Limit {
    const fn wait(&self, failures: u32) -> u32 {
        match failures.checked_sub(self.free) {
            None | Some(0) => 0,
            Some(beyond @ 1..=16) if 1 << (beyond - 1) < self.longest_wait => 1 << (beyond - 1),
            Some(_) => self.longest_wait,
        }
    }
}

/// Slots that one subject may be kept in.
const WAYS: usize = 8;

/// Counts failures by subject. Subjects are kept as 64-bit keyed hashes in a fixed number of slots: a stranger can make
/// neither the memory grow nor two subjects meet. Where there is no slot left the least dangerous subject, and among
/// those the oldest, makes room.
pub struct Failures {
    limit: Limit,
    hasher: ahash::RandomState,
    buckets: Box<[[Slot; WAYS]]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    subject: u64,
    /// 0: the slot is free.
    failures: u32,
    began: i64,
    last: i64,
}

impl Failures {
    /// An empty counter for about `capacity` subjects. `seed` is random and secret.
    pub fn new(limit: Limit, capacity: usize, seed: [u64; 4]) -> Self {
        let [a, b, c, d] = seed;
        let buckets = vec![[Slot::default(); WAYS]; capacity.div_ceil(WAYS).max(1)];
        Self { limit, hasher: ahash::RandomState::with_seeds(a, b, c, d), buckets: buckets.into() }
    }

    /// Notes a failure; how many seconds the subject has to wait now, 0 for none.
    pub fn note(&mut self, subject: &impl Hash, now: Timestamp) -> u32 {
        let limit = self.limit;
        let Some(slot) = self.slot(subject, now) else { return limit.longest_wait };
        slot.failures = slot.failures.saturating_add(1);
        slot.last = slot.last.max(now.as_unix());
        limit.wait(slot.failures)
    }

    /// How many seconds the subject still has to wait, 0 for none.
    pub fn wait(&self, subject: &impl Hash, now: Timestamp) -> u32 {
        let (subject, at) = self.place(subject);
        let known = self.buckets.get(at).and_then(|bucket| bucket.iter().find(|slot| slot.is(subject)));
        known.map_or(0, |slot| {
            let until = slot.last.saturating_add(i64::from(self.limit.wait(slot.failures)));
            u32::try_from(until.saturating_sub(now.as_unix())).unwrap_or(0).min(self.limit.longest_wait)
        })
    }

    /// Takes one failure back: it was none.
    pub fn take_back(&mut self, subject: &impl Hash) {
        if let Some(slot) = self.known(subject) {
            slot.failures = slot.failures.saturating_sub(1);
        }
    }

    /// Forgets a subject.
    pub fn forget(&mut self, subject: &impl Hash) {
        if let Some(slot) = self.known(subject) {
            slot.failures = 0;
        }
    }

    fn place(&self, subject: &impl Hash) -> (u64, usize) {
        let hash = self.hasher.hash_one(subject);
        // The upper half chooses the bucket, the whole tells subjects apart within it.
        (hash, (hash >> 32) as usize % self.buckets.len().max(1))
    }

    fn known(&mut self, subject: &impl Hash) -> Option<&mut Slot> {
        let (subject, at) = self.place(subject);
        self.buckets.get_mut(at)?.iter_mut().find(|slot| slot.is(subject))
    }

    /// The subject's slot, begun anew where its failures are too long ago. `None` never happens: there are buckets.
    fn slot(&mut self, subject: &impl Hash, now: Timestamp) -> Option<&mut Slot> {
        let (subject, at) = self.place(subject);
        let limit = self.limit;
        let bucket = self.buckets.get_mut(at)?;
        for slot in bucket.iter_mut().filter(|slot| slot.is_over(&limit, now)) {
            *slot = Slot::default();
        }
        let place = match bucket.iter().position(|slot| slot.is(subject)) {
            Some(place) => place,
            None => {
                let (place, slot) = bucket.iter_mut().enumerate().min_by_key(|(_, slot)| (slot.failures, slot.last))?;
                *slot = Slot { subject, failures: 0, began: now.as_unix(), last: now.as_unix() };
                place
            }
        };
        bucket.get_mut(place)
    }
}

impl Slot {
    const fn is(&self, subject: u64) -> bool {
        self.failures > 0 && self.subject == subject
    }

    fn is_over(&self, limit: &Limit, now: Timestamp) -> bool {
        let since = if self.failures > limit.free { self.last } else { self.began };
        since.saturating_add(i64::from(limit.window)) <= now.as_unix()
    }
}

impl std::fmt::Debug for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failures").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// An address as failures are counted by: one IPv4 address, or the /64 that one site has of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site(IpAddr);

impl Site {
    /// The site of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// Subjects that are counted at a time, of each kind: about half a megabyte.
const CAPACITY: usize = 16 * 1024;
const WINDOW: u32 = 600;
const LONGEST_WAIT: u32 = 300;

/// Clients that fail to prove themselves: answered 429 instead of 401 beyond 10 failures of an id or 30 from an address
/// within ten minutes. Ids that exist and ids that do not are counted alike.
#[derive(Debug)]
pub struct ClientThrottle {
    ids: Failures,
    addresses: Failures,
}

impl ClientThrottle {
    /// Nobody has failed yet. `seed` is random and secret.
    pub fn new(seed: [u64; 4]) -> Self {
        let limit = |free| Limit { free, window: WINDOW, longest_wait: LONGEST_WAIT };
        Self { ids: Failures::new(limit(10), CAPACITY, seed), addresses: Failures::new(limit(30), CAPACITY, seed) }
    }

    /// Notes that a client was not proven; how many seconds it has to wait, if it failed too often.
    pub fn failed(&mut self, client_id: &str, address: IpAddr, now: Timestamp) -> Option<u32> {
        let wait = self.ids.note(&client_id, now).max(self.addresses.note(&Site::of(address), now));
        (wait > 0).then_some(wait)
    }
}

/// People who fail to sign in: they wait before their password is looked at. Of one email from one address after 5
/// failures, of one address after 30; of one email from wherever after 20, but never longer than 5 seconds, so that
/// nobody can lock another person out.
#[derive(Debug)]
pub struct SignInThrottle {
    pairs: Failures,
    addresses: Failures,
    emails: Failures,
}

impl SignInThrottle {
    /// Nobody has failed yet. `seed` is random and secret.
    pub fn new(seed: [u64; 4]) -> Self {
        let counter = |free, longest_wait| Failures::new(Limit { free, window: WINDOW, longest_wait }, CAPACITY, seed);
        Self { pairs: counter(5, LONGEST_WAIT), addresses: counter(30, LONGEST_WAIT), emails: counter(20, 5) }
    }

    /// Begins an attempt. It counts as failed until [`succeeded`](Self::succeeded) is told, so that attempts side by
    /// side gain nothing. `email` in one case. Errors: the seconds to wait; the password must not be looked at.
    pub fn attempt(&mut self, email: &str, address: IpAddr, now: Timestamp) -> Result<(), u32> {
        let site = Site::of(address);
        let wait = self.pairs.wait(&(email, site), now);
        let wait = wait.max(self.addresses.wait(&site, now)).max(self.emails.wait(&email, now));
        if wait > 0 {
            return Err(wait);
        }
        self.pairs.note(&(email, site), now);
        self.addresses.note(&site, now);
        self.emails.note(&email, now);
        Ok(())
    }

    /// The attempt was none of a guesser.
    pub fn succeeded(&mut self, email: &str, address: IpAddr) {
        let site = Site::of(address);
        self.pairs.forget(&(email, site));
        self.addresses.take_back(&site);
        self.emails.take_back(&email);
    }

    /// The attempt came to nothing: no password was looked at.
    pub fn withdrawn(&mut self, email: &str, address: IpAddr) {
        let site = Site::of(address);
        self.pairs.take_back(&(email, site));
        self.addresses.take_back(&site);
        self.emails.take_back(&email);
    }
}

#[cfg(test)]
mod tests;
