//! Which addresses a data centre has, and in which order to try them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use heliogram_tl::api;

use crate::limits::{DC_ADDRESSES_MAX, DC_SECRET_BYTES_MAX};

/// One address of a data centre: a `dcOption`.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what `dcOption` says")]
pub struct Address {
    /// The data centre.
    pub dc: i32,
    /// Where it is.
    pub at: SocketAddr,
    /// For files only.
    pub is_media: bool,
    /// Takes obfuscated connections only.
    pub is_obfuscated_only: bool,
    /// Holds copies of files, and knows no accounts.
    pub is_cdn: bool,
    /// The address will not change: to be preferred where connections are hindered.
    pub is_static: bool,
    /// No other port is open.
    pub is_port_fixed: bool,
    /// The secret for obfuscation, in its binary form; empty if there is none.
    pub secret: Vec<u8>,
}

impl core::fmt::Debug for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Address")
            .field("dc", &self.dc)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Address {
    /// Makes an ordinary address.
    #[must_use]
    pub const fn new(dc: i32, at: SocketAddr) -> Self {
        Self {
            dc,
            at,
            is_media: false,
            is_obfuscated_only: false,
            is_cdn: false,
            is_static: false,
            is_port_fixed: false,
            secret: Vec::new(),
        }
    }

    /// Reads a `dcOption`; `None` if its address or port is none.
    #[must_use]
    pub fn from_option(option: &api::DcOption<'_>) -> Option<Self> {
        let ip: IpAddr = core::str::from_utf8(option.ip_address).ok()?.parse().ok()?;
        let port = u16::try_from(option.port).ok().filter(|&port| port != 0)?;
        let secret = option.secret.unwrap_or_default();
        if option.id <= 0 || secret.len() > DC_SECRET_BYTES_MAX {
            return None;
        }
        Some(Self {
            dc: option.id,
            at: SocketAddr::new(ip, port),
            is_media: option.media_only,
            is_obfuscated_only: option.tcpo_only,
            is_cdn: option.cdn,
            is_static: option.r#static,
            is_port_fixed: option.this_port_only,
            secret: secret.to_vec(),
        })
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third purpose")]
pub enum Purpose {
    /// Calls and updates.
    Main,
    /// Files: addresses for files only come first.
    Media,
}

/// All known addresses of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcTable {
    addresses: Vec<Address>,
    is_test: bool,
    prefers_ipv6: bool,
    expires_at_unix_s: u64,
}

impl DcTable {
    /// Makes a table of one's own.
    #[must_use]
    pub fn new(is_test: bool, addresses: impl IntoIterator<Item = Address>) -> Self {
        Self {
            addresses: addresses.into_iter().take(DC_ADDRESSES_MAX).collect(),
            is_test,
            prefers_ipv6: false,
            expires_at_unix_s: 0,
        }
    }

    /// Returns where to begin at Telegram's production environment.
    #[must_use]
    pub fn production() -> Self {
        Self::new(false, built_in(&PRODUCTION))
    }

    /// Returns where to begin at Telegram's test environment.
    #[must_use]
    pub fn test() -> Self {
        Self::new(true, built_in(&TEST))
    }

    /// Returns the data centre to connect to before any is known.
    #[must_use]
    pub fn first(&self) -> i32 {
        let has_usual = self.addresses.iter().any(|it| it.dc == FIRST);
        let other = self.addresses.first().map_or(FIRST, |it| it.dc);
        if has_usual { FIRST } else { other }
    }

    /// Takes what `help.getConfig` has answered. One of another environment, or without any address, changes nothing.
    pub fn refresh(&mut self, config: &api::Config<'_>) {
        let options = config.dc_options.iter().take(DC_ADDRESSES_MAX);
        let addresses: Vec<_> = options
            .filter_map(|option| Address::from_option(&option))
            .collect();
        if config.test_mode != self.is_test || addresses.is_empty() {
            return;
        }
        self.addresses = addresses;
        self.prefers_ipv6 = config.force_try_ipv6;
        self.expires_at_unix_s = u64::try_from(config.expires).unwrap_or(0);
    }

    /// Tells whether the configuration is to be asked for: it has expired, or was never seen.
    #[must_use]
    pub const fn is_stale(&self, now_unix_s: u64) -> bool {
        self.expires_at_unix_s <= now_unix_s
    }

    /// Returns all addresses, as they were listed.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Tells whether it is of the test environment.
    #[must_use]
    pub const fn is_test(&self) -> bool {
        self.is_test
    }

    /// Returns the addresses of a data centre in the order in which to try them: those for the purpose, then the family
    /// that is preferred, then as the server has listed them. Copies of files have their own numbers.
    #[must_use]
    pub fn candidates(&self, dc: i32, purpose: Purpose, has_ipv6: bool) -> Vec<&Address> {
        let is_usable = |it: &&Address| {
            it.dc == dc
                && (has_ipv6 || it.at.is_ipv4())
                && (purpose == Purpose::Media || !it.is_media)
        };
        let mut candidates: Vec<_> = self.addresses.iter().filter(is_usable).collect();
        candidates.sort_by_key(|it| {
            let is_wrong_family = it.at.is_ipv6() != (self.prefers_ipv6 && has_ipv6);
            ((purpose == Purpose::Media) != it.is_media, is_wrong_family)
        });
        candidates
    }
}

fn built_in<const N: usize>(rows: &[(i32, Ipv4Addr, Ipv6Addr); N]) -> Vec<Address> {
    rows.iter()
        .flat_map(|&(dc, v4, v6)| {
            [IpAddr::V4(v4), IpAddr::V6(v6)].map(|ip| Address::new(dc, SocketAddr::new(ip, PORT)))
        })
        .collect()
}

/// Where clients without an account begin.
const FIRST: i32 = 2;

const PORT: u16 = 443;

/// Source: tdlib and others.
const PRODUCTION: [(i32, Ipv4Addr, Ipv6Addr); 5] = [
    (
        1,
        Ipv4Addr::new(149, 154, 175, 50),
        Ipv6Addr::new(0x2001, 0xb28, 0xf23d, 0xf001, 0, 0, 0, 0xa),
    ),
    (
        2,
        Ipv4Addr::new(149, 154, 167, 51),
        Ipv6Addr::new(0x2001, 0x67c, 0x4e8, 0xf002, 0, 0, 0, 0xa),
    ),
    (
        3,
        Ipv4Addr::new(149, 154, 175, 100),
        Ipv6Addr::new(0x2001, 0xb28, 0xf23d, 0xf003, 0, 0, 0, 0xa),
    ),
    (
        4,
        Ipv4Addr::new(149, 154, 167, 91),
        Ipv6Addr::new(0x2001, 0x67c, 0x4e8, 0xf004, 0, 0, 0, 0xa),
    ),
    (
        5,
        Ipv4Addr::new(149, 154, 171, 5),
        Ipv6Addr::new(0x2001, 0xb28, 0xf23f, 0xf005, 0, 0, 0, 0xa),
    ),
];

/// Source: tdlib and others.
const TEST: [(i32, Ipv4Addr, Ipv6Addr); 3] = [
    (
        1,
        Ipv4Addr::new(149, 154, 175, 10),
        Ipv6Addr::new(0x2001, 0xb28, 0xf23d, 0xf001, 0, 0, 0, 0xe),
    ),
    (
        2,
        Ipv4Addr::new(149, 154, 167, 40),
        Ipv6Addr::new(0x2001, 0x67c, 0x4e8, 0xf002, 0, 0, 0, 0xe),
    ),
    (
        3,
        Ipv4Addr::new(149, 154, 175, 117),
        Ipv6Addr::new(0x2001, 0xb28, 0xf23d, 0xf003, 0, 0, 0, 0xe),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_has_five_data_centres_and_test_has_three() {
        let (production, test) = (DcTable::production(), DcTable::test());
        for dc in 1..=6 {
            let found = production.candidates(dc, Purpose::Main, true).len();
            assert_eq!(found, if dc <= 5 { 2 } else { 0 }, "{dc}");
            let found = test.candidates(dc, Purpose::Main, true).len();
            assert_eq!(found, if dc <= 3 { 2 } else { 0 }, "{dc}");
        }
        assert_eq!(production.first(), 2);
        assert!(test.is_test() && !production.is_test());
        assert!(production.is_stale(1));
    }

    #[test]
    fn what_the_configuration_says_takes_the_place_of_what_was_built_in() {
        let mut table = DcTable::new(false, [address("127.0.0.1:1", 4)]);
        assert_eq!(table.first(), 4);
        let options = [
            option(b"127.0.0.1", 443),
            option(b"::1", 443),
            media(option(b"127.0.0.2", 443)),
            option(b"not an address", 443),
            option(b"127.0.0.3", 0),
            option(b"127.0.0.4", 65_536),
        ];
        table.refresh(&config(&options));
        assert_eq!(tried(&table, Purpose::Main, true), ["127.0.0.1", "::1"]);
        assert_eq!(tried(&table, Purpose::Main, false), ["127.0.0.1"]);
        assert_eq!(
            tried(&table, Purpose::Media, true),
            ["127.0.0.2", "127.0.0.1", "::1"]
        );
        assert!(!table.is_stale(4999));
        assert!(table.is_stale(5000));
    }

    #[test]
    fn the_server_may_ask_for_ipv6_first() {
        let mut table = DcTable::new(false, []);
        let options = [option(b"127.0.0.1", 443), option(b"::1", 443)];
        table.refresh(&api::Config {
            force_try_ipv6: true,
            ..config(&options)
        });
        assert_eq!(tried(&table, Purpose::Main, true), ["::1", "127.0.0.1"]);
        assert_eq!(tried(&table, Purpose::Main, false), ["127.0.0.1"]);
    }

    #[test]
    fn a_configuration_of_another_environment_or_without_addresses_changes_nothing() {
        let table = DcTable::new(false, [address("127.0.0.1:1", 2)]);
        let options = [option(b"127.0.0.9", 443)];
        let mut refreshed = table.clone();
        refreshed.refresh(&api::Config {
            test_mode: true,
            ..config(&options)
        });
        refreshed.refresh(&config(&[option(b"nowhere", 443)]));
        assert_eq!(refreshed, table);
    }

    #[test]
    fn addresses_and_secrets_are_as_many_and_as_long_as_may_be() {
        let addresses = vec![address("127.0.0.1:1", 2); DC_ADDRESSES_MAX + 1];
        let table = DcTable::new(false, addresses);
        assert_eq!(table.candidates(2, Purpose::Main, true).len(), 256);
        let secret = [0; 201];
        let option = |len: usize| api::DcOption {
            secret: secret.get(..len),
            ..option(b"127.0.0.1", 443)
        };
        assert!(Address::from_option(&option(200)).is_some());
        assert!(Address::from_option(&option(201)).is_none());
    }

    fn tried(table: &DcTable, purpose: Purpose, has_ipv6: bool) -> Vec<String> {
        let candidates = table.candidates(2, purpose, has_ipv6);
        candidates.iter().map(|it| it.at.ip().to_string()).collect()
    }

    fn address(at: &str, dc: i32) -> Address {
        Address::new(dc, at.parse().unwrap())
    }

    fn option(ip_address: &[u8], port: i32) -> api::DcOption<'_> {
        api::DcOption {
            id: 2,
            ip_address,
            port,
            ..api::DcOption::default()
        }
    }

    fn media(option: api::DcOption<'_>) -> api::DcOption<'_> {
        api::DcOption {
            media_only: true,
            ..option
        }
    }

    fn config<'a>(options: &'a [api::DcOption<'a>]) -> api::Config<'a> {
        api::Config {
            dc_options: options.into(),
            expires: 5000,
            ..api::Config::default()
        }
    }
}
