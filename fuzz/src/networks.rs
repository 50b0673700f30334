//! Text of networks, one a line: read as by a reader that knows addresses and a number of bits, and matched as by one that
//! compares bits.

use crate::model::{Network, NetworkSet};
use std::net::{IpAddr, Ipv6Addr};

pub fn check(bytes: &[u8]) {
    let Some(text) = crate::text(bytes) else { return };
    let mut networks = Vec::new();
    let mut naive = Vec::new();
    for line in text.split('\n').take(16) {
        let (network, expected) = (Network::parse(line).ok(), reading(line));
        assert_eq!(network.is_some(), expected.is_some(), "{line:?}: {network:?} {expected:?}");
        if let (Some(network), Some(expected)) = (network, expected) {
            assert_eq!(Network::parse(&network.to_string()), Ok(network), "{line:?}");
            networks.push(network);
            naive.push(expected);
        }
    }
    let set = NetworkSet::new(&networks);
    for address in naive.iter().flat_map(|(base, bits)| around(*base, *bits)) {
        let expected: Vec<bool> = naive.iter().map(|(base, bits)| shares(*base, address, *bits)).collect();
        let shown = canonical(address);
        assert_eq!(set.contains(shown), expected.contains(&true), "{shown} {networks:?}");
        for (network, expected) in networks.iter().zip(expected) {
            assert_eq!(network.contains(shown), expected, "{shown} {network}");
        }
    }
}

/// As 128 bits (IPv4 mapped), and how many of them count.
fn reading(line: &str) -> Option<(u128, u32)> {
    let (address, bits) = line.split_once('/').map_or((line, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse::<u32>().ok().filter(|number| *number <= most && number.to_string() == bits)?,
        None => most,
    };
    let base = bits128(address);
    let bits = bits + 128 - most;
    let mapped = matches!(base >> 32, 0xffff);
    let sound = bits >= 96 || !mapped;
    (sound && base & host_mask(bits) == 0).then_some((base, bits))
}

fn bits128(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn host_mask(bits: u32) -> u128 {
    u128::MAX.checked_shr(bits).unwrap_or(0)
}

fn canonical(address: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address)).to_canonical()
}

/// IPv4 is no part of IPv6: a network of the one never holds an address of the other.
fn shares(base: u128, address: u128, bits: u32) -> bool {
    let same = base | host_mask(bits) == address | host_mask(bits);
    same && (bits >= 96 && base >> 32 == 0xffff) == (address >> 32 == 0xffff)
}

fn around(base: u128, bits: u32) -> [u128; 4] {
    let last = base | host_mask(bits);
    [base, last, base.wrapping_sub(1), last.wrapping_add(1)]
}
