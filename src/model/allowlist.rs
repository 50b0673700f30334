//! The address allowlist of a key.

use super::{Network, NetworkSet};
use std::net::IpAddr;

/// The addresses a key may be used from. "Any address" is the absence of an allowlist, never an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowlist {
    networks: Vec<Network>,
    platform: bool,
}

/// Neither networks nor the platform switch: removing the last line must never open a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an allowlist needs at least one network or the platform switch; use null to allow any address")]
pub struct AllowlistEmpty;

impl Allowlist {
    /// An allowlist of networks and, with `platform`, of the environment's platform addresses.
    pub fn new(networks: Vec<Network>, platform: bool) -> Result<Self, AllowlistEmpty> {
        if networks.is_empty() && !platform {
            return Err(AllowlistEmpty);
        }
        Ok(Self { networks, platform })
    }

    /// The networks, in the order given.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Whether the environment's platform addresses are allowed too.
    pub const fn platform(&self) -> bool {
        self.platform
    }

    /// The networks flattened for matching (without the platform's).
    pub fn network_set(&self) -> NetworkSet {
        NetworkSet::new(&self.networks)
    }

    /// Whether `address` may use the key, given the platform's addresses.
    pub fn allows(&self, address: IpAddr, platform: &NetworkSet) -> bool {
        self.networks.iter().any(|network| network.contains(address)) || (self.platform && platform.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_at_all_is_an_error() {
        assert_eq!(Allowlist::new(vec![], false), Err(AllowlistEmpty));
    }

    #[test]
    fn the_platform_switch_alone_follows_the_platform() {
        let list = Allowlist::new(vec![], true).unwrap();
        let platform = NetworkSet::new(&[Network::parse("198.51.100.0/24").unwrap()]);
        assert!(list.allows("198.51.100.9".parse().unwrap(), &platform));
        assert!(!list.allows("203.0.113.9".parse().unwrap(), &platform));
        assert!(!list.allows("198.51.100.9".parse().unwrap(), &NetworkSet::default()));
    }
}
