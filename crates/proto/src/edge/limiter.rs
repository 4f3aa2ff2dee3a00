//! Who may connect, and how often a handshake may be started, by address and in total.
//!
//! An address is an IPv4 address or an IPv6 /64. Trusted networks are exempt from the limits by address, never from
//! the totals. The table itself is bounded: an address that finds no place shares one entry with its like.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use std::collections::BTreeMap;

use crate::cx::Mono;
use crate::edge::network::Network;
use crate::limits::{
    ADDRESSES_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, HANDSHAKES_BURST,
    HANDSHAKES_PER_MINUTE,
};

/// The limits, as an operator sets them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Handshakes that one address may start in a minute, in the long run.
    pub handshakes_per_minute: u32,
    /// Handshakes that one address may start at once.
    pub handshakes_burst: u32,
    /// Connections that one address may hold.
    pub connections_per_address_max: u32,
    /// Connections in all.
    pub connections_max: u32,
    /// Networks whose addresses have no limits of their own.
    pub trusted: Vec<Network>,
    /// Addresses to keep account of.
    pub addresses_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handshakes_per_minute: HANDSHAKES_PER_MINUTE,
            handshakes_burst: HANDSHAKES_BURST,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            connections_max: CONNECTIONS_MAX,
            trusted: Network::LOOPBACK.to_vec(),
            addresses_max: ADDRESSES_MAX,
        }
    }
}

/// The account of all addresses.
#[derive(Debug)]
pub struct Limiter {
    config: Config,
    connections: u32,
    addresses: BTreeMap<Account, Entry>,
    /// When idle entries were last looked for.
    swept: Mono,
}

impl Limiter {
    /// Makes an empty account.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            connections: 0,
            addresses: BTreeMap::new(),
            swept: Mono(0),
        }
    }

    /// Admits a connection, or not. An admitted one is given back through [`Self::disconnect`].
    ///
    /// # Errors
    ///
    /// - [`Refused::Total`] when [`Config::connections_max`] are open.
    /// - [`Refused::Address`] when the address holds [`Config::connections_per_address_max`].
    pub fn connect(&mut self, address: IpAddr, now: Mono) -> Result<Admission, Refused> {
        if self.connections >= self.config.connections_max {
            return Err(Refused::Total);
        }
        let account = self.count(address, now)?;
        self.connections += 1;
        Ok(Admission { account })
    }

    /// Admits a connection of a client that a proxy is yet to [name](Self::name).
    ///
    /// # Errors
    ///
    /// [`Refused::Total`] when [`Config::connections_max`] are open.
    pub fn connect_unnamed(&mut self) -> Result<Admission, Refused> {
        if self.connections >= self.config.connections_max {
            return Err(Refused::Total);
        }
        self.connections += 1;
        Ok(Admission { account: None })
    }

    /// Counts an admitted connection for the address that its proxy named.
    ///
    /// # Errors
    ///
    /// [`Refused::Address`] when the address holds [`Config::connections_per_address_max`]. The admission is to be
    /// given back all the same.
    pub fn name(
        &mut self,
        admission: &mut Admission,
        address: IpAddr,
        now: Mono,
    ) -> Result<(), Refused> {
        if admission.account.is_none() {
            admission.account = self.count(address, now)?;
        }
        Ok(())
    }

    /// Gives an admitted connection back.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an admission is given back once"
    )]
    pub fn disconnect(&mut self, admission: Admission, now: Mono) {
        self.connections = self.connections.saturating_sub(1);
        let Some(account) = admission.account else {
            return;
        };
        let burst = self.config.handshakes_burst;
        let per_minute = self.config.handshakes_per_minute;
        if let Some(entry) = self.addresses.get_mut(&account) {
            entry.connections = entry.connections.saturating_sub(1);
            entry.bucket.refill(now, per_minute, burst);
            if entry.is_idle(burst) {
                self.addresses.remove(&account);
            }
        }
    }

    /// Takes a token for a handshake that the connection starts; `false` if there is none.
    pub fn start_handshake(&mut self, admission: &Admission, now: Mono) -> bool {
        let Some(account) = admission.account else {
            return true;
        };
        let burst = self.config.handshakes_burst;
        let per_minute = self.config.handshakes_per_minute;
        let entry = self.entry(account, now);
        entry.bucket.refill(now, per_minute, burst);
        entry.bucket.take()
    }

    /// Counts a connection for `address`; `None` if it is trusted.
    fn count(&mut self, address: IpAddr, now: Mono) -> Result<Option<Account>, Refused> {
        if self.is_trusted(address) {
            return Ok(None);
        }
        let account = self.place(address, now);
        let connections_max = self.config.connections_per_address_max;
        let entry = self.entry(account, now);
        if entry.connections >= connections_max {
            return Err(Refused::Address);
        }
        entry.connections += 1;
        Ok(Some(account))
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.config
            .trusted
            .iter()
            .any(|network| network.contains(address))
    }

    /// Finds where `address` is accounted for, after making room if the table is full.
    fn place(&mut self, address: IpAddr, now: Mono) -> Account {
        let account = Account::of(address);
        if self.addresses.contains_key(&account) || self.addresses.len() < self.config.addresses_max
        {
            return account;
        }
        if now.since(self.swept) < SWEEP_EVERY {
            return Account::Crowd;
        }
        self.swept = now;
        let burst = self.config.handshakes_burst;
        let per_minute = self.config.handshakes_per_minute;
        self.addresses.retain(|_, entry| {
            entry.bucket.refill(now, per_minute, burst);
            !entry.is_idle(burst)
        });
        if self.addresses.len() < self.config.addresses_max {
            account
        } else {
            Account::Crowd
        }
    }

    fn entry(&mut self, account: Account, now: Mono) -> &mut Entry {
        let bucket = Bucket {
            tokens: self.config.handshakes_burst,
            since: now,
        };
        self.addresses.entry(account).or_insert(Entry {
            connections: 0,
            bucket,
        })
    }
}

/// A connection that was admitted.
#[derive(Debug)]
#[must_use = "give it back through `Limiter::disconnect`"]
pub struct Admission {
    /// `None` for a trusted address.
    account: Option<Account>,
}

/// Why a connection was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Its address holds as many as it may.
    Address,
    /// There are as many as there may be.
    Total,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Account {
    One(IpAddr),
    /// All that found no place.
    Crowd,
}

impl Account {
    fn of(address: IpAddr) -> Self {
        Self::One(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_SITE_MASK))
            }
        })
    }
}

#[derive(Debug)]
struct Entry {
    connections: u32,
    bucket: Bucket,
}

impl Entry {
    const fn is_idle(&self, burst: u32) -> bool {
        self.connections == 0 && self.bucket.tokens >= burst
    }
}

/// Whole tokens, and the time up to which they are counted: what is left of a token stays in the time.
#[derive(Debug)]
struct Bucket {
    tokens: u32,
    since: Mono,
}

impl Bucket {
    fn refill(&mut self, now: Mono, per_minute: u32, burst: u32) {
        let Some(nanos_per_token) = NANOS_PER_MINUTE.checked_div(u64::from(per_minute)) else {
            return;
        };
        let nanos = now.0.saturating_sub(self.since.0);
        let earned = nanos / nanos_per_token.max(1);
        let tokens = u32::try_from(earned)
            .unwrap_or(u32::MAX)
            .saturating_add(self.tokens);
        if tokens >= burst {
            self.tokens = burst;
            self.since = now;
        } else {
            self.tokens = tokens;
            self.since = self.since + Duration::from_nanos(earned.saturating_mul(nanos_per_token));
        }
    }

    const fn take(&mut self) -> bool {
        let has = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        has
    }
}

/// Looking through a full table costs a millisecond: a flood must not make every connection pay it.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

const NANOS_PER_MINUTE: u64 = 60_000_000_000;

/// A site has a /64: its hosts choose the rest themselves.
const IPV6_SITE_MASK: u128 = !(u64::MAX as u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_as_many_connections_as_it_may_and_no_more() {
        let mut limiter = Limiter::new(Config {
            connections_per_address_max: 3,
            ..Config::default()
        });
        let first: Vec<_> = (0..3)
            .map(|_| limiter.connect(address(1), at(0)).unwrap())
            .collect();
        assert_eq!(
            limiter.connect(address(1), at(0)).unwrap_err(),
            Refused::Address
        );
        assert!(limiter.connect(address(2), at(0)).is_ok());

        for admission in first {
            limiter.disconnect(admission, at(0));
        }
        assert!(limiter.connect(address(1), at(0)).is_ok());
    }

    #[test]
    fn the_total_holds_for_trusted_addresses_too() {
        let mut limiter = Limiter::new(Config {
            connections_max: 2,
            ..Config::default()
        });
        let _one = limiter.connect(LOOPBACK, at(0)).unwrap();
        let _two = limiter.connect(address(1), at(0)).unwrap();
        assert_eq!(
            limiter.connect(LOOPBACK, at(0)).unwrap_err(),
            Refused::Total
        );
    }

    #[test]
    fn a_burst_of_240_handshakes_is_let_through_and_the_241st_is_not() {
        let mut limiter = Limiter::new(Config::default());
        let admission = limiter.connect(address(1), at(0)).unwrap();
        assert_eq!(
            (0..240)
                .filter(|_| limiter.start_handshake(&admission, at(0)))
                .count(),
            240
        );
        assert!(!limiter.start_handshake(&admission, at(0)));
    }

    #[test]
    fn a_handshake_is_earned_every_half_second() {
        let mut limiter = Limiter::new(Config {
            handshakes_burst: 1,
            ..Config::default()
        });
        let admission = limiter.connect(address(1), at(0)).unwrap();
        assert!(limiter.start_handshake(&admission, at(0)));
        assert!(!limiter.start_handshake(&admission, at(499)));
        assert!(limiter.start_handshake(&admission, at(500)));
    }

    #[test]
    fn asking_too_early_does_not_lose_what_was_earned() {
        let mut limiter = Limiter::new(Config {
            handshakes_burst: 2,
            ..Config::default()
        });
        let admission = limiter.connect(address(1), at(0)).unwrap();
        assert!(limiter.start_handshake(&admission, at(0)));
        assert!(limiter.start_handshake(&admission, at(0)));
        for millis in (100..500).step_by(100) {
            assert!(!limiter.start_handshake(&admission, at(millis)));
        }
        assert!(limiter.start_handshake(&admission, at(500)));
    }

    #[test]
    fn handshakes_are_counted_by_address_and_not_by_connection() {
        let mut limiter = Limiter::new(Config {
            handshakes_burst: 1,
            ..Config::default()
        });
        let one = limiter.connect(address(1), at(0)).unwrap();
        assert!(limiter.start_handshake(&one, at(0)));
        limiter.disconnect(one, at(0));
        let again = limiter.connect(address(1), at(0)).unwrap();
        assert!(!limiter.start_handshake(&again, at(0)));
    }

    #[test]
    fn a_trusted_address_has_no_limit_of_its_own() {
        let config = Config {
            handshakes_burst: 1,
            connections_per_address_max: 1,
            ..Config::default()
        };
        let mut limiter = Limiter::new(config);
        let _one = limiter.connect(LOOPBACK, at(0)).unwrap();
        let two = limiter.connect(LOOPBACK, at(0)).unwrap();
        assert!(limiter.start_handshake(&two, at(0)));
        assert!(limiter.start_handshake(&two, at(0)));
    }

    #[test]
    fn ipv6_addresses_of_one_site_share_an_account() {
        let mut limiter = Limiter::new(Config {
            connections_per_address_max: 1,
            ..Config::default()
        });
        let _one = limiter
            .connect("2001:db8:0:1::1".parse().unwrap(), at(0))
            .unwrap();
        assert!(
            limiter
                .connect("2001:db8:0:1:ffff::2".parse().unwrap(), at(0))
                .is_err()
        );
        assert!(
            limiter
                .connect("2001:db8:0:2::1".parse().unwrap(), at(0))
                .is_ok()
        );
    }

    #[test]
    fn a_client_that_a_proxy_names_is_counted_for_its_own_address() {
        let config = Config {
            connections_per_address_max: 1,
            ..Config::default()
        };
        let mut limiter = Limiter::new(config);
        let _direct = limiter.connect(address(1), at(0)).unwrap();
        let mut proxied = limiter.connect_unnamed().unwrap();
        assert_eq!(
            limiter.name(&mut proxied, address(1), at(0)),
            Err(Refused::Address)
        );
        assert_eq!(limiter.name(&mut proxied, address(2), at(0)), Ok(()));
        assert!(limiter.connect(address(2), at(0)).is_err());

        limiter.disconnect(proxied, at(0));
        assert!(limiter.connect(address(2), at(0)).is_ok());
    }

    #[test]
    fn addresses_beyond_the_table_share_one_account() {
        let config = Config {
            addresses_max: 2,
            connections_per_address_max: 1,
            ..Config::default()
        };
        let mut limiter = Limiter::new(config);
        let held: Vec<_> = (1..=3)
            .map(|n| limiter.connect(address(n), at(0)).unwrap())
            .collect();
        assert_eq!(
            limiter.connect(address(4), at(0)).unwrap_err(),
            Refused::Address
        );

        for admission in held {
            limiter.disconnect(admission, at(0));
        }
        assert!(limiter.connect(address(4), at(0)).is_ok());
    }

    #[test]
    fn an_address_that_used_no_handshake_leaves_nothing_behind() {
        let mut limiter = Limiter::new(Config::default());
        let admission = limiter.connect(address(1), at(0)).unwrap();
        limiter.disconnect(admission, at(0));
        assert_eq!((limiter.connections, limiter.addresses.len()), (0, 0));
    }

    const LOOPBACK: IpAddr = IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000_000)
    }
}
