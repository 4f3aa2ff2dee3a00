//! What a client is made of, complete and checked.

use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_ports::clock::Clock;
use heliogram_proto::client::Config as EngineConfig;
use heliogram_proto::dc::{DcName, DcTable, Purpose};
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
    pub(crate) fn route(&self, dc: i32) -> Option<Route> {
        let proxy = self.proxy.clone();
        if let Some(relay) = &self.mtproxy {
            let targets = vec![Target::new(&relay.host, relay.port)];
            return Some(Route { targets, proxy });
        }
        let table = self.table.lock();
        let candidates = table.candidates(dc, Purpose::Main, true);
        let mut addresses: Vec<_> = candidates.into_iter().map(|it| it.at).collect();
        self.ip_versions.arrange(&mut addresses);
        let targets: Vec<_> = addresses.into_iter().map(Target::Address).collect();
        (!targets.is_empty()).then_some(Route { targets, proxy })
    }

    /// Returns how a data centre is spoken to.
    pub(crate) fn engine(&self, dc: i32, route: &Route) -> EngineConfig {
        let mut config = EngineConfig::new(self.transport(dc, route), self.server_keys.clone());
        config.dc = Some(self.wire_dc(dc));
        config.padding = self.padding;
        config.temp_key_life_s = self.temp_key_life_s;
        config.reconnect = self.reconnect;
        config.ping_every = self.ping_every;
        config
    }

    fn transport(&self, dc: i32, route: &Route) -> TransportConfig {
        if let Some(relay) = &self.mtproxy {
            return self.relayed(dc, &relay.secret);
        }
        match &self.transport {
            Transport::Tcp {
                framing,
                obfuscation: None,
            } => TransportConfig::new(*framing),
            Transport::Tcp {
                framing,
                obfuscation: Some(obfuscation),
            } => TransportConfig::new(*framing).obfuscated(self.naming(dc, obfuscation)),
            Transport::WebSocket { framing, path } => {
                let host = route.targets.first().map(ToString::to_string);
                let endpoint = Endpoint {
                    host: host.unwrap_or_default(),
                    path: path.clone(),
                };
                TransportConfig::new(*framing)
                    .obfuscated(self.naming(dc, &Obfuscation::default()))
                    .within(endpoint)
            }
        }
    }

    fn relayed(&self, dc: i32, secret: &ProxySecret) -> TransportConfig {
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
                TransportConfig::new(framing).obfuscated(self.naming(dc, &obfuscation))
            }
            ProxySecret::Disguised(secret) => TransportConfig::new(framing)
                .obfuscated(self.naming(dc, &Obfuscation::default()))
                .disguised(Disguise {
                    secret: secret.clone(),
                    // The engine knows the time of each connection.
                    unix_s: 0,
                }),
        }
    }

    /// Names the data centre in the header by which proxies route, unless the user has named one.
    fn naming(&self, dc: i32, obfuscation: &Obfuscation) -> Obfuscation {
        let mut obfuscation = obfuscation.clone();
        let wire = i16::try_from(self.wire_dc(dc)).ok();
        obfuscation.dc = obfuscation.dc.or(wire);
        obfuscation
    }

    const fn wire_dc(&self, dc: i32) -> i32 {
        let name = DcName {
            id: dc,
            is_test: self.test_mode,
            is_media: false,
        };
        name.to_number()
    }
}

const NO_HTTP: &str = "a client speaks no HTTP: choose another framing";

#[cfg(test)]
mod tests {
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
            assert_eq!(setup.wire_dc(2), if is_test { 10_002 } else { 2 });
            for dc in 1..=6 {
                let targets = setup.route(dc).map_or(0, |it| it.targets.len());
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
            assert_eq!(setup.route(2).unwrap().targets, expected, "{versions:?}");
        }
    }

    #[test]
    fn a_disguise_brings_its_framing_and_names_the_data_centre() {
        let secret = "ee070707070707070707070707070707076578616d706c652e6f7267";
        let relay = MtProxy::new("proxy.example", 443, secret.parse().unwrap());
        let builder = Builder::default().telegram().mtproxy(relay);
        let setup = builder.api_id(4).api_hash("hash").into_setup().unwrap();
        let route = setup.route(4).unwrap();
        let target = Target::Name("proxy.example".to_owned(), 443);
        assert_eq!(route.targets, [target]);
        let transport = setup.engine(4, &route).transport;
        assert_eq!(transport.framing, Framing::PaddedIntermediate);
        assert_eq!(transport.disguise.unwrap().secret.domain(), "example.org");
        assert_eq!(transport.obfuscation.unwrap().dc, Some(4));
    }
}
