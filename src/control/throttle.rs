//! How often somebody may try a password. Time is an argument and memory is bounded.
//!
//! An attempt is counted before it is judged, or a thousand at once would all be the first. Past a threshold of failures
//! an address is refused before anything is proven: for one email, and over all. Failures of one email from many
//! addresses refuse nobody, or everybody could lock anybody out; they make every attempt wait a moment.

use crate::model::{Email, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// After so many seconds without an attempt all is forgotten.
const WINDOW: i64 = 15 * 60;
/// Failures of one email from one address before the first refusal.
const FREE_PER_PAIR: u32 = 5;
/// Failures from one address before the first refusal.
const FREE_PER_ADDRESS: u32 = 30;
/// Failures of one email, from wherever, before attempts wait.
const FREE_PER_EMAIL: u32 = 20;
/// The first refusal lasts this long, in seconds; each further failure doubles it, up to the window.
const FIRST_REFUSAL: i64 = 30;
/// How long attempts for an email wait that has failed too often.
const WAIT: Duration = Duration::from_secs(2);
/// The most subjects that are remembered; past it the older half is forgotten.
const MAX_SUBJECTS: usize = 20_000;

/// What may be done about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Judge it, after this long.
    After(Duration),
    /// Refuse it; the seconds after which to try again, at least 1.
    Refuse(u64),
}

/// Whose failures are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Address(Option<IpAddr>),
    Email(String),
    Pair(String, Option<IpAddr>),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    fn is_over(&self, now: Timestamp) -> bool {
        now.as_unix().saturating_sub(self.last.as_unix()) >= WINDOW
    }

    /// Seconds until the next attempt is let through, where this many are free.
    fn refusal(&self, free: u32, now: Timestamp) -> Option<u64> {
        let past = self.count.checked_sub(free)?;
        let lasts = FIRST_REFUSAL.checked_shl(past.min(20)).map_or(WINDOW, |lasts| lasts.min(WINDOW));
        let left = self.last.plus_seconds(lasts).as_unix().saturating_sub(now.as_unix());
        u64::try_from(left).ok().filter(|left| *left > 0)
    }
}

/// Failed sign-ins of the last quarter of an hour.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Remembered>);

/// Two generations: when the younger is full it becomes the older one, and that one is forgotten.
#[derive(Debug, Default)]
struct Remembered {
    younger: HashMap<Subject, Failures>,
    older: HashMap<Subject, Failures>,
}

impl Remembered {
    fn failures(&self, subject: &Subject, now: Timestamp) -> Option<Failures> {
        let found = self.younger.get(subject).or_else(|| self.older.get(subject)).copied();
        found.filter(|failures| !failures.is_over(now))
    }

    fn count(&mut self, subject: Subject, now: Timestamp) {
        let count = self.failures(&subject, now).map_or(0, |failures| failures.count).saturating_add(1);
        if self.younger.len() >= MAX_SUBJECTS / 2 && !self.younger.contains_key(&subject) {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(subject, Failures { count, last: now });
    }

    fn take_back(&mut self, subject: &Subject, all: bool) {
        for generation in [&mut self.younger, &mut self.older] {
            if all {
                generation.remove(subject);
            } else if let Some(failures) = generation.get_mut(subject) {
                failures.count = failures.count.saturating_sub(1);
            }
        }
    }
}

impl Throttle {
    /// Whether an attempt may be judged. One that may is counted as a failure until it [`succeeded`](Self::succeeded).
    pub(super) fn admit(&self, email: &Email, address: Option<IpAddr>, now: Timestamp) -> Admission {
        let (pair, address, email) = subjects(email, address);
        let mut remembered = self.0.lock();
        let refusal = |subject, free| remembered.failures(subject, now).and_then(|known| known.refusal(free, now));
        let refused = refusal(&pair, FREE_PER_PAIR).max(refusal(&address, FREE_PER_ADDRESS));
        if let Some(seconds) = refused {
            return Admission::Refuse(seconds);
        }
        let tired = remembered.failures(&email, now).is_some_and(|known| known.count >= FREE_PER_EMAIL);
        for subject in [pair, address, email] {
            remembered.count(subject, now);
        }
        Admission::After(if tired { WAIT } else { Duration::ZERO })
    }

    /// The attempt that was let through was no failure: this email may fail from this address as often as ever.
    pub(super) fn succeeded(&self, email: &Email, address: Option<IpAddr>) {
        let (pair, address, email) = subjects(email, address);
        let mut remembered = self.0.lock();
        remembered.take_back(&pair, true);
        remembered.take_back(&address, false);
        remembered.take_back(&email, false);
    }
}

fn subjects(email: &Email, address: Option<IpAddr>) -> (Subject, Subject, Subject) {
    let (email, address) = (email.folded(), address.map(network));
    (Subject::Pair(email.clone(), address), Subject::Address(address), Subject::Email(email))
}

/// What one person has: an IPv4 address, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_900_000_000);
    const AT_ONCE: Admission = Admission::After(Duration::ZERO);

    fn email(name: &str) -> Email {
        Email::parse(&format!("{name}@acme.example")).unwrap()
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_sixth_failure_waits_and_each_further_one_twice_as_long() {
        let (throttle, ada, here) = (Throttle::default(), email("ada"), address("203.0.113.9"));
        for _ in 0..FREE_PER_PAIR {
            assert_eq!(throttle.admit(&ada, here, NOW), AT_ONCE);
        }
        assert_eq!(throttle.admit(&ada, here, NOW), Admission::Refuse(30));
        assert_eq!(throttle.admit(&email("ADA"), here, NOW.plus_seconds(29)), Admission::Refuse(1));
        assert_eq!(throttle.admit(&ada, here, NOW.plus_seconds(30)), AT_ONCE);
        assert_eq!(throttle.admit(&ada, here, NOW.plus_seconds(30)), Admission::Refuse(60));
        assert_eq!(throttle.admit(&ada, address("203.0.113.8"), NOW), AT_ONCE, "another address is free");
        assert_eq!(throttle.admit(&email("eve"), here, NOW), AT_ONCE, "another email is free");
        assert_eq!(throttle.admit(&ada, here, NOW.plus_seconds(30 + WINDOW)), AT_ONCE, "all is forgotten");
        assert_eq!(throttle.admit(&ada, here, NOW.plus_seconds(30 + WINDOW)), AT_ONCE);
    }

    #[test]
    fn success_forgives_the_pair_but_not_the_address() {
        let (throttle, ada, here) = (Throttle::default(), email("ada"), address("203.0.113.9"));
        for number in 0..FREE_PER_ADDRESS {
            assert_eq!(throttle.admit(&email(&format!("n{number}")), here, NOW), AT_ONCE);
        }
        assert_eq!(throttle.admit(&ada, here, NOW), Admission::Refuse(30));
        let throttle = Throttle::default();
        for _ in 0..100 {
            assert_eq!(throttle.admit(&ada, here, NOW), AT_ONCE);
            throttle.succeeded(&ada, here);
        }
    }

    #[test]
    fn many_addresses_make_an_email_slow_and_lock_nobody_out() {
        let (throttle, ada) = (Throttle::default(), email("ada"));
        for number in 0..1000 {
            let from = address(&format!("10.0.{}.{}", number / 250, number % 250));
            let expected = if number < FREE_PER_EMAIL { AT_ONCE } else { Admission::After(WAIT) };
            assert_eq!(throttle.admit(&ada, from, NOW), expected, "{number}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_itself() {
        let (throttle, ada) = (Throttle::default(), email("ada"));
        for host in 0..FREE_PER_PAIR {
            assert_eq!(throttle.admit(&ada, address(&format!("2001:db8::{host}")), NOW), AT_ONCE);
        }
        assert_eq!(throttle.admit(&ada, address("2001:db8::ffff"), NOW), Admission::Refuse(30));
        assert_eq!(throttle.admit(&ada, address("2001:db8:0:1::1"), NOW), AT_ONCE);
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), address("192.0.2.1").unwrap());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..30_000_u32 {
            let from = Some(IpAddr::from(number.to_be_bytes()));
            throttle.admit(&email(&format!("n{number}")), from, NOW);
        }
        let remembered = throttle.0.lock();
        assert!(remembered.younger.len() + remembered.older.len() <= MAX_SUBJECTS);
    }
}
