//! Networks of addresses, as a configuration names them: `127.0.0.0/8`, `::1`, `10.1.2.3`.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An address range: the first `prefix_bits` bits of an address. An IPv4-mapped IPv6 address counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// The machine itself: `127.0.0.0/8` and `::1`.
    pub const LOOPBACK: [Self; 2] = [
        Self {
            base: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            prefix_bits: 8,
        },
        Self {
            base: IpAddr::V6(Ipv6Addr::LOCALHOST),
            prefix_bits: 128,
        },
    ];

    /// Makes a network; `None` when `prefix_bits` is more than an address of that family has.
    #[must_use]
    pub fn new(base: IpAddr, prefix_bits: u8) -> Option<Self> {
        let base = base.to_canonical();
        (prefix_bits <= address_bits(base)).then_some(Self { base, prefix_bits })
    }

    /// Tells whether `address` lies in this network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let prefix = u32::from(self.prefix_bits);
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().map_err(|_| NotANetwork)?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| NotANetwork)?;
        Self::new(base, bits.unwrap_or_else(|| address_bits(base))).ok_or(NotANetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix_bits)
    }
}

/// The text names no network: expected is an address, or an address, a slash and a number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a network like 10.0.0.0/8 or ::1")
    }
}

impl core::error::Error for NotANetwork {}

const fn address_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_ends_where_its_prefix_says() {
        assert!(network("10.1.0.0/16").contains(address("10.1.255.255")));
        assert!(!network("10.1.0.0/16").contains(address("10.2.0.0")));
        assert!(network("2001:db8::/63").contains(address("2001:db8:0:1::1")));
        assert!(!network("2001:db8::/63").contains(address("2001:db8:0:2::1")));
    }

    #[test]
    fn an_address_alone_is_a_network_of_one() {
        assert!(network("192.0.2.1").contains(address("192.0.2.1")));
        assert!(!network("192.0.2.1").contains(address("192.0.2.2")));
    }

    #[test]
    fn zero_bits_hold_the_whole_family_and_nothing_of_the_other() {
        assert!(network("0.0.0.0/0").contains(address("255.1.2.3")));
        assert!(!network("0.0.0.0/0").contains(address("2001:db8::1")));
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        assert!(network("127.0.0.0/8").contains(address("::ffff:127.0.0.1")));
    }

    #[test]
    fn more_bits_than_an_address_has_are_refused() {
        assert_eq!("10.0.0.0/33".parse::<Network>(), Err(NotANetwork));
        assert_eq!("::/129".parse::<Network>(), Err(NotANetwork));
        assert!("::/128".parse::<Network>().is_ok());
        assert_eq!("ten/8".parse::<Network>(), Err(NotANetwork));
    }
}
