//! How many connections a listener has, in all and of one address: a single machine must not keep everybody else out.

use crate::model::{NetworkSet, counted_as};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Room for connections.
#[derive(Debug)]
pub(in crate::app) struct Places {
    most: usize,
    most_of_one: usize,
    /// Whose connections are counted with all only.
    trusted: NetworkSet,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(most: usize, most_of_one: usize, trusted: NetworkSet) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, trusted, open: Mutex::default() })
    }

    /// A place for a connection of this address, if there is one left. Loopback is this machine itself, where proxies
    /// and operators are: it is counted with all only, as trusted proxies are.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let canonical = address.to_canonical();
        let is_of_many = canonical.is_loopback() || self.trusted.contains(canonical);
        let address = counted_as(address);
        let mut open = self.open.lock();
        let of_one = open.by_address.get(&address).copied().unwrap_or(0);
        if open.all >= self.most || (of_one >= self.most_of_one && !is_of_many) {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, of_one + 1);
        Some(Place { places: Arc::clone(self), address })
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a listener has {} in all, and {} of one address that is no trusted proxy's",
            self.most, self.most_of_one
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock();
        open.all = open.all.saturating_sub(1);
        let left = open.by_address.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            open.by_address.remove(&self.address);
        } else {
            open.by_address.insert(self.address, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_and_one_past() {
        let places = Places::new(5, 2, NetworkSet::default());
        let enter = |address: &str| places.enter(address.parse().unwrap());
        let held = [enter("192.0.2.1"), enter("::ffff:192.0.2.1"), enter("2001:db8::1"), enter("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(enter("192.0.2.1").is_none() && enter("2001:db8:0:0:9::").is_none(), "two of one");
        let other = enter("192.0.2.2");
        assert!(other.is_some() && enter("192.0.2.3").is_none(), "five in all");
        drop(held);
        assert!(places.open.lock().by_address.len() == 1 && enter("192.0.2.1").is_some());
    }

    #[test]
    fn this_machine_and_trusted_proxies_are_counted_with_all_only() {
        let trusted = NetworkSet::new(&[crate::model::Network::parse("192.0.2.0/24").unwrap()]);
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "192.0.2.7", "::ffff:192.0.2.7"] {
            let places = Places::new(3, 1, trusted.clone());
            let enter = || places.enter(address.parse::<IpAddr>().unwrap());
            let held: Vec<_> = (0..3).filter_map(|_| enter()).collect();
            assert_eq!(held.len(), 3, "{address}");
            assert!(enter().is_none(), "{address}");
        }
    }
}
