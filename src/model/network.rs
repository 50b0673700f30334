//! One network, and sets of networks flattened for matching.

use super::quoted;
use ipnet::{IpNet, Ipv4Net};
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 network without host bits. `::ffff:a.b.c.d/n` (n ≥ 96) is the IPv4 network it maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

/// Why a line is not a network. The message proposes the fix where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Bits are set to the right of the prefix.
    #[error("`{given}` has host bits set; did you mean `{proposed}`?")]
    HostBits {
        /// The text as given.
        given: String,
        /// The same network with the host bits cleared.
        proposed: Network,
    },
    /// Neither an address nor a network.
    #[error("`{given}` is not an IP address or CIDR network such as `203.0.113.42` or `198.51.100.0/24`")]
    Malformed {
        /// The text as given, fit for a message.
        given: String,
    },
}

/// What an address counts as where there is only so much for one: itself, once canonical, or the /64 that it is in, of
/// which every address is a caller's own to choose.
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address => address,
    }
}

impl Network {
    /// Parses one address or CIDR network.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed { given: quoted(text) };
        let net: IpNet = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            // `/08` is 8 to some readers and nothing to others.
            Err(_) if text.contains("/0") && !text.ends_with("/0") => return Err(malformed()),
            Err(_) => text.parse().map_err(|_| malformed())?,
        };
        let canonical = unmap(net).ok_or_else(malformed)?;
        if canonical.addr() != canonical.network() {
            return Err(NetworkError::HostBits { given: quoted(text), proposed: Self(canonical.trunc()) });
        }
        Ok(Self(canonical))
    }

    /// The network that holds exactly this address.
    pub fn of(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// Whether the address, once canonical, lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether every address of the other lies in this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// How many leading bits its addresses share, of how many: 24 of 32.
    pub fn prefix(&self) -> (u8, u8) {
        (self.0.prefix_len(), self.0.max_prefix_len())
    }
}

/// IPv4-mapped IPv6 networks become the IPv4 network; one that is wider than the mapped range is refused.
fn unmap(net: IpNet) -> Option<IpNet> {
    let IpNet::V6(v6) = net else { return Some(net) };
    let Some(v4) = v6.addr().to_ipv4_mapped() else { return Some(net) };
    let prefix = v6.prefix_len().checked_sub(96)?;
    Ipv4Net::new(v4, prefix).ok().map(IpNet::V4)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Networks merged into sorted ranges: one binary search per match, no trie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSet {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl NetworkSet {
    /// Flattens and merges the networks; order and overlap do not matter.
    pub fn new<'a>(networks: impl IntoIterator<Item = &'a Network>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.0 {
                IpNet::V4(net) => v4.push((u32::from(net.network()), u32::from(net.broadcast()))),
                IpNet::V6(net) => v6.push((u128::from(net.network()), u128::from(net.broadcast()))),
            }
        }
        Self { v4: merge(v4), v6: merge(v6) }
    }

    /// Whether the address, once canonical, lies in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => within(&self.v4, u32::from(v4)),
            IpAddr::V6(v6) => within(&self.v6, u128::from(v6)),
        }
    }

    /// Whether no address at all matches.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Sorts and merges overlapping or touching ranges.
fn merge<T: Copy + Ord + Successor>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match merged.last_mut() {
            Some(last) if low <= last.1 || last.1.successor() == Some(low) => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    merged.into_boxed_slice()
}

/// The next number, if there is one: what "touching" means for ranges.
trait Successor: Sized {
    fn successor(self) -> Option<Self>;
}
impl Successor for u32 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}
impl Successor for u128 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

fn within<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(low, _)| *low <= address);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, high)| address <= *high)
}

/// Lets tests and callers name an address family without reaching for `std::net` twice.
impl From<Ipv4Addr> for Network {
    fn from(address: Ipv4Addr) -> Self {
        Self::of(IpAddr::V4(address))
    }
}
impl From<Ipv6Addr> for Network {
    fn from(address: Ipv6Addr) -> Self {
        Self::of(IpAddr::V6(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn host_bits_are_refused_with_the_fix() {
        let error = Network::parse("198.51.100.7/24").unwrap_err();
        assert_eq!(error.to_string(), "`198.51.100.7/24` has host bits set; did you mean `198.51.100.0/24`?");
        assert!(Network::parse("2001:db8::1/32").is_err());
    }

    #[test]
    fn odd_spellings_are_refused() {
        for text in [
            "",
            " ",
            "010.0.0.1",
            "1.2.3",
            "1.2.3.4/33",
            "fe80::1%eth0",
            "::/129",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "10.0.0.0/08",
            "0.0.0.0/00",
            "::/000",
            "::ffff:0:0/90",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mapped_addresses_count_as_ipv4() {
        assert_eq!(network("::ffff:203.0.113.42").to_string(), "203.0.113.42");
        assert_eq!(network("::ffff:198.51.100.0/120").to_string(), "198.51.100.0/24");
        assert!(network("203.0.113.0/24").contains("::ffff:203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn an_empty_set_matches_nobody() {
        let set = NetworkSet::new([]);
        assert!(set.is_empty());
        assert!(!set.contains("0.0.0.0".parse().unwrap()));
        assert!(!set.contains("::".parse().unwrap()));
    }

    #[test]
    fn the_edges_of_the_address_space_match() {
        let set = NetworkSet::new(&[network("0.0.0.0/0"), network("::/0")]);
        for text in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert!(set.contains(text.parse().unwrap()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_set_equals_asking_each_network(
            nets in prop::collection::vec((any::<u32>(), 0u8..=32), 0..20),
            probes in prop::collection::vec(any::<u32>(), 1..50),
        ) {
            let networks: Vec<Network> = nets.iter()
                .map(|(bits, prefix)| Network(IpNet::V4(Ipv4Net::new(Ipv4Addr::from(*bits), *prefix).unwrap().trunc())))
                .collect();
            let set = NetworkSet::new(&networks);
            let edges = nets.iter().flat_map(|(bits, _)| [*bits, bits.wrapping_add(1), bits.wrapping_sub(1)]);
            for probe in probes.into_iter().chain(edges) {
                let address = IpAddr::V4(Ipv4Addr::from(probe));
                prop_assert_eq!(set.contains(address), networks.iter().any(|n| n.contains(address)));
            }
        }

        /// Any text ends in a verdict; what is accepted says itself, and holds its own address.
        #[test]
        fn a_network_is_what_it_says(
            text in "([0-9]{1,3}\\.){0,4}[0-9]{0,3}(/[0-9]{0,3})?|[0-9a-f:.%/]{0,40}|::ffff:[0-9.]{0,15}(/[0-9]{1,3})?|.{0,20}",
        ) {
            match Network::parse(&text) {
                Ok(network) => {
                    let said = network.to_string();
                    prop_assert_eq!(Network::parse(&said), Ok(network), "{} says {}", text, said);
                    prop_assert!(network.contains(network.0.network()) && network.covers(&network));
                    prop_assert_eq!(network.0.addr(), network.0.network());
                    prop_assert!(!text.contains(['%', ' ']) && text.is_ascii());
                }
                Err(NetworkError::HostBits { proposed, .. }) => {
                    prop_assert_eq!(Network::parse(&proposed.to_string()), Ok(proposed));
                }
                Err(NetworkError::Malformed { given }) => prop_assert!(given.len() < 400),
            }
        }
    }
}
