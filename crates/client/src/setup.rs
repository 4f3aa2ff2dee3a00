//! What a client is made of, complete and checked.

use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_ports::clock::Clock;
use heliogram_proto::client::Config as EngineConfig;
use heliogram_proto::dc::{Address, DcName, DcTable, Purpose};
use heliogram_proto::reconnect::Policy;
use heliogram_proto::session::client::SavedSession;
use heliogram_proto::transport::client::{
    Config as TransportConfig, Disguise, Endpoint, Obfuscation,
};
use heliogram_proto::transport::{Framing, Secret};
use parking_lot::Mutex;

use crate::ConnectError;
use crate::dial::{Route, Target};
use crate::introduction::Introduction;
use crate::mtproxy::{MtProxy, ProxySecret};
use crate::reach::{IpVersions, Proxy, Transport};
use crate::storage::Storage;

/// A builder's contents, complete.
pub(crate) struct Setup {
    pub(crate) introduction: Introduction,
    pub(crate) api_hash: String,
    pub(crate) server_keys: Vec<PublicKey>,
    pub(crate) padding: Padding,
    /// Where data centres are, as the builder was told or the network has said since.
    pub(crate) table: Mutex<DcTable>,
    /// Where the builder was told that they are: tried after what the network says.
    pub(crate) given: DcTable,
    /// The servers are asked where data centres are.
    pub(crate) asks_addresses: bool,
    /// Connections to one data centre that carry files.
    #[cfg_attr(
        not(feature = "layer-222"),
        expect(dead_code, reason = "files are of the API")
    )]
    pub(crate) file_connections: usize,
    pub(crate) home: i32,
    pub(crate) ip_versions: IpVersions,
    pub(crate) transport: Transport,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) mtproxy: Option<MtProxy>,
    pub(crate) test_mode: bool,
    pub(crate) temp_key_life_s: Option<i32>,
    pub(crate) reconnect: Policy,
    pub(crate) ping_every: Duration,
    pub(crate) clock: Clock,
    pub(crate) flood_wait_max: Duration,
    pub(crate) call_time_max: Duration,
    pub(crate) storage: Arc<dyn Storage>,
    /// Sessions of other programs, for the first start.
    pub(crate) sessions: Vec<(i32, SavedSession)>,
}

/// Says what of the transport does not go together.
pub(crate) fn check(transport: &Transport, mtproxy: Option<&MtProxy>) -> Result<(), ConnectError> {
    let wrong = match (transport, mtproxy) {
        (Transport::WebSocket { .. }, Some(_)) => {
            "an MTProxy takes no WebSockets: choose Transport::Tcp, or leave the proxy out"
        }
        (
            Transport::Tcp {
                framing: Framing::Full,
                ..
            },
            Some(_),
        ) => "an MTProxy takes no full framing: choose another",
        (
            Transport::Tcp {
                framing,
                obfuscation: Some(obfuscation),
            },
            None,
        ) => {
            let secret = obfuscation.secret.as_ref();
            match framing {
                Framing::Full => {
                    "the full framing can't be obfuscated: choose another, or leave obfuscation out"
                }
                Framing::Abridged | Framing::Intermediate
                    if secret.is_some_and(Secret::requires_padding) =>
                {
                    "the secret asks for Framing::PaddedIntermediate"
                }
                Framing::Http => NO_HTTP,
                Framing::Abridged | Framing::Intermediate | Framing::PaddedIntermediate => {
                    return Ok(());
                }
            }
        }
        (Transport::WebSocket { framing, .. }, None) if *framing == Framing::Full => {
            "a WebSocket carries no full framing: choose another"
        }
        (Transport::Tcp { framing, .. } | Transport::WebSocket { framing, .. }, _)
            if *framing == Framing::Http =>
        {
            NO_HTTP
        }
        (Transport::Tcp { .. } | Transport::WebSocket { .. }, _) => return Ok(()),
    };
    Err(ConnectError::Misconfigured(wrong))
}

impl Setup {
    /// Returns how a data centre is reached; `None` if no address of it is known.
    pub(crate) fn route(&self, dc: i32, purpose: Purpose) -> Option<Route> {
        let proxy = self.proxy.clone();
        if let Some(relay) = &self.mtproxy {
            let targets = vec![Target::new(&relay.host, relay.port)];
            return Some(Route {
                targets,
                proxy,
                is_media: false,
            });
        }
        let is_media = purpose == Purpose::Media && self.has_media(dc);
        let purpose = if is_media {
            Purpose::Media
        } else {
            Purpose::Main
        };
        let mut addresses = Vec::new();
        for table in [&*self.table.lock(), &self.given] {
            for it in table.candidates(dc, purpose, true) {
                if it.is_media == is_media && self.is_usable(it) && !addresses.contains(&it.at) {
                    addresses.push(it.at);
                }
            }
        }
        self.ip_versions.arrange(&mut addresses);
        let targets: Vec<_> = addresses.into_iter().map(Target::Address).collect();
        (!targets.is_empty()).then_some(Route {
            targets,
            proxy,
            is_media,
        })
    }

    /// Tells whether a data centre has addresses that are for files only.
    fn has_media(&self, dc: i32) -> bool {
        let table = self.table.lock();
        let mut candidates = table.candidates(dc, Purpose::Media, true).into_iter();
        candidates.any(|it| it.is_media && self.is_usable(it))
    }

    /// Tells whether an address takes the client's transport. One that has a secret of its own does not, nor is a place for
    /// copies of files one for calls.
    fn is_usable(&self, address: &Address) -> bool {
        let is_obfuscated = matches!(
            &self.transport,
            Transport::Tcp {
                obfuscation: Some(_),
                ..
            }
        );
        let mut ip = vec![address.at];
        self.ip_versions.arrange(&mut ip);
        let takes_us = is_obfuscated || !address.is_obfuscated_only;
        takes_us && !address.is_cdn && address.secret.is_empty() && !ip.is_empty()
    }

    /// Returns how a data centre is spoken to.
    pub(crate) fn engine(&self, dc: i32, route: &Route) -> EngineConfig {
        let mut config = EngineConfig::new(self.transport(dc, route), self.server_keys.clone());
        config.dc = Some(self.wire_dc(dc, route.is_media));
        config.padding = self.padding;
        config.temp_key_life_s = self.temp_key_life_s;
        config.reconnect = self.reconnect;
        config.ping_every = self.ping_every;
        config
    }

    fn transport(&self, dc: i32, route: &Route) -> TransportConfig {
        if let Some(relay) = &self.mtproxy {
            return self.relayed(dc, route.is_media, &relay.secret);
        }
        match &self.transport {
            Transport::Tcp {
                framing,
                obfuscation: None,
            } => TransportConfig::new(*framing),
            Transport::Tcp {
                framing,
                obfuscation: Some(obfuscation),
            } => TransportConfig::new(*framing).obfuscated(self.naming(
                dc,
                route.is_media,
                obfuscation,
            )),
            Transport::WebSocket { framing, path } => {
                let host = route.targets.first().map(ToString::to_string);
                let endpoint = Endpoint {
                    host: host.unwrap_or_default(),
                    path: path.clone(),
                };
                TransportConfig::new(*framing)
                    .obfuscated(self.naming(dc, route.is_media, &Obfuscation::default()))
                    .within(endpoint)
            }
        }
    }

    fn relayed(&self, dc: i32, is_media: bool, secret: &ProxySecret) -> TransportConfig {
        let framing = match &self.transport {
            Transport::Tcp { framing, .. } | Transport::WebSocket { framing, .. } => *framing,
        };
        match secret {
            ProxySecret::Obfuscated(secret) => {
                let framing = if secret.requires_padding() {
                    Framing::PaddedIntermediate
                } else {
                    framing
                };
                let obfuscation = Obfuscation {
                    secret: Some(secret.clone()),
                    dc: None,
                };
                TransportConfig::new(framing).obfuscated(self.naming(dc, is_media, &obfuscation))
            }
            ProxySecret::Disguised(secret) => TransportConfig::new(framing)
                .obfuscated(self.naming(dc, is_media, &Obfuscation::default()))
                .disguised(Disguise {
                    secret: secret.clone(),
                    // The engine knows the time of each connection.
                    unix_s: 0,
                }),
        }
    }

    /// Names the data centre in the header by which proxies route, unless the user has named one.
    fn naming(&self, dc: i32, is_media: bool, obfuscation: &Obfuscation) -> Obfuscation {
        let mut obfuscation = obfuscation.clone();
        let wire = i16::try_from(self.wire_dc(dc, is_media)).ok();
        obfuscation.dc = obfuscation.dc.or(wire);
        obfuscation
    }

    const fn wire_dc(&self, dc: i32, is_media: bool) -> i32 {
        let name = DcName {
            id: dc,
            is_test: self.test_mode,
            is_media,
        };
        name.to_number()
    }
}

const NO_HTTP: &str = "a client speaks no HTTP: choose another framing";

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::builder::Builder;
    use crate::reach::DataCentre;

    #[test]
    fn the_presets_know_where_telegram_is() {
        for (builder, dcs, is_test) in [
            (Builder::default().telegram(), 5, false),
            (Builder::default().telegram_test(), 3, true),
        ] {
            let setup = builder.api_id(4).api_hash("hash").into_setup().unwrap();
            assert_eq!((setup.home, setup.test_mode), (2, is_test));
            assert_eq!(setup.wire_dc(2, false), if is_test { 10_002 } else { 2 });
            for dc in 1..=6 {
                let targets = setup
                    .route(dc, Purpose::Main)
                    .map_or(0, |it| it.targets.len());
                assert_eq!(targets, if dc <= dcs { 2 } else { 0 }, "{dc}");
            }
        }
    }

    #[test]
    fn addresses_are_tried_as_listed_or_by_their_version() {
        let [four, six] = ["127.0.0.1:1", "[::1]:1"].map(|it| it.parse().unwrap());
        for (versions, expected) in [
            (IpVersions::Both, vec![four, six]),
            (IpVersions::Ipv6First, vec![six, four]),
            (IpVersions::Ipv4, vec![four]),
            (IpVersions::Ipv6, vec![six]),
        ] {
            let builder = Builder::default().telegram().ip_versions(versions);
            let builder = builder.data_centre(DataCentre::new(2, [four, six]));
            let setup = builder.api_id(4).api_hash("hash").into_setup().unwrap();
            let expected: Vec<_> = expected.into_iter().map(Target::Address).collect();
            assert_eq!(
                setup.route(2, Purpose::Main).unwrap().targets,
                expected,
                "{versions:?}"
            );
        }
    }

    #[test]
    fn addresses_for_files_only_carry_files_and_are_named_so_and_nothing_else_is_tried_there() {
        let [main, media, cdn, secret] =
            [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let address = |at| Address::new(2, at);
        let addresses = [
            Address {
                is_cdn: true,
                ..address(cdn)
            },
            Address {
                secret: vec![7; 16],
                ..address(secret)
            },
            Address {
                is_media: true,
                ..address(media)
            },
            address(main),
        ];
        let builder = Builder::default()
            .telegram()
            .data_centres(&DcTable::new(false, addresses));
        let setup = builder.api_id(4).api_hash("hash").into_setup().unwrap();
        let route = setup.route(2, Purpose::Main).unwrap();
        assert_eq!(route.targets, [Target::Address(main)]);
        assert_eq!(setup.engine(2, &route).dc, Some(2));
        let route = setup.route(2, Purpose::Media).unwrap();
        assert_eq!(route.targets, [Target::Address(media)]);
        let engine = setup.engine(2, &route);
        assert_eq!(engine.dc, Some(-2));
        assert_eq!(engine.transport.obfuscation.unwrap().dc, Some(-2));
        let route = setup.route(4, Purpose::Media).unwrap();
        assert!(!route.is_media && route.targets.len() == 2);
    }

    #[test]
    fn addresses_that_take_obfuscation_only_are_tried_with_it_and_not_without() {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let address = Address {
            is_obfuscated_only: true,
            ..Address::new(2, at)
        };
        let table = DcTable::new(false, [address]);
        let builder = || Builder::default().telegram().data_centres(&table);
        let setup = |builder: Builder| builder.api_id(4).api_hash("hash").into_setup().unwrap();
        assert!(setup(builder()).route(2, Purpose::Main).is_some());
        let plain = builder().transport(Transport::Tcp {
            framing: Framing::Intermediate,
            obfuscation: None,
        });
        assert!(setup(plain).route(2, Purpose::Main).is_none());
    }

    #[cfg(feature = "layer-222")]
    #[test]
    fn a_data_centre_has_one_to_sixteen_connections_for_files() {
        for (asked, given) in [(0, 1), (1, 1), (16, 16), (17, 16), (usize::MAX, 16)] {
            let builder = Builder::default().telegram().file_connections(asked);
            let setup = builder.api_id(4).api_hash("hash").into_setup().unwrap();
            assert_eq!(setup.file_connections, given, "{asked}");
        }
    }

    #[test]
    fn what_the_builder_was_told_is_tried_after_what_the_network_says() {
        let [told, heard] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let dc = DataCentre::new(2, [told]);
        let builder = Builder::default().telegram().data_centre(dc);
        let setup = builder.api_id(4).api_hash("hash").into_setup().unwrap();
        *setup.table.lock() = DcTable::new(false, [Address::new(2, heard)]);
        let route = setup.route(2, Purpose::Main).unwrap();
        assert_eq!(route.targets, [heard, told].map(Target::Address));
    }

    #[test]
    fn a_disguise_brings_its_framing_and_names_the_data_centre() {
        let secret = "ee070707070707070707070707070707076578616d706c652e6f7267";
        let relay = MtProxy::new("proxy.example", 443, secret.parse().unwrap());
        let builder = Builder::default().telegram().mtproxy(relay);
        let setup = builder.api_id(4).api_hash("hash").into_setup().unwrap();
        let route = setup.route(4, Purpose::Main).unwrap();
        let target = Target::Name("proxy.example".to_owned(), 443);
        assert_eq!(route.targets, [target]);
        let transport = setup.engine(4, &route).transport;
        assert_eq!(transport.framing, Framing::PaddedIntermediate);
        assert_eq!(transport.disguise.unwrap().secret.domain(), "example.org");
        assert_eq!(transport.obfuscation.unwrap().dc, Some(4));
    }
}
