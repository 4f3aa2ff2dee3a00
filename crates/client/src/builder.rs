//! How a client is set up.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_proto::reconnect::Policy;
use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config as TransportConfig, Endpoint, Obfuscation};

use crate::client::Client;
use crate::introduction::{Device, Introduction};
use crate::storage::{Memory, Storage};
use crate::{ConnectError, dial};

/// Sets up a client. What every client needs is `api_id`, `api_hash`, a server's key and a data centre.
///
/// ```no_run
/// # async fn example(pem: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use heliogram_client::{Client, DataCentre, PublicKey};
///
/// let client = Client::builder()
///     .api_id(4)
///     .api_hash("014b35b6184100b085b0d0572f9b5103")
///     .server_key(PublicKey::from_pem(pem)?)
///     .data_centre(DataCentre::new(2, ["127.0.0.1:10443".parse()?]))
///     .connect()
///     .await?;
/// client.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    api_id: Option<i32>,
    api_hash: Option<String>,
    layer: i32,
    device: Device,
    without_updates: bool,
    server_keys: Vec<PublicKey>,
    padding: Padding,
    data_centres: BTreeMap<i32, DataCentre>,
    home: Option<i32>,
    transport: Transport,
    proxy: Option<Proxy>,
    test_mode: bool,
    temp_key_life_s: Option<i32>,
    reconnect: Policy,
    ping_every: Duration,
    flood_wait_max: Duration,
    call_time_max: Duration,
    storage: Arc<dyn Storage>,
}

/// Where a data centre is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataCentre {
    /// Its number, from 1.
    pub id: i32,
    /// Where it is reached, IPv4 or IPv6; tried in this order.
    pub addresses: Vec<SocketAddr>,
}

impl DataCentre {
    /// Names a data centre and its addresses.
    #[must_use]
    pub fn new(id: i32, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            id,
            addresses: addresses.into_iter().collect(),
        }
    }
}

/// What is spoken below messages.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// Frames on TCP.
    Tcp {
        /// Which frames.
        framing: Framing,
        /// Makes the bytes look random; a secret is for servers and proxies that ask for one.
        obfuscation: Option<Obfuscation>,
    },
    /// Obfuscated frames within a WebSocket.
    WebSocket {
        /// Which frames; not [`Framing::Full`].
        framing: Framing,
        /// Where it is asked for: `/apiws`.
        path: String,
    },
}

impl Default for Transport {
    /// Obfuscated intermediate frames, as most clients speak.
    fn default() -> Self {
        Self::Tcp {
            framing: Framing::Intermediate,
            obfuscation: Some(Obfuscation::default()),
        }
    }
}

/// A SOCKS5 proxy.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// User and password, if it asks.
    pub credentials: Option<(String, String)>,
}

impl Proxy {
    /// Names a proxy that asks for nothing.
    #[must_use]
    pub const fn socks5(address: SocketAddr) -> Self {
        Self {
            address,
            credentials: None,
        }
    }

    /// Adds user and password.
    #[must_use]
    pub fn with_password(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("api_id", &self.api_id)
            .field("data_centres", &self.data_centres)
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            api_id: None,
            api_hash: None,
            layer: LAYER,
            device: Device::default(),
            without_updates: false,
            server_keys: Vec::new(),
            padding: Padding::RsaPad,
            data_centres: BTreeMap::new(),
            home: None,
            transport: Transport::default(),
            proxy: None,
            test_mode: false,
            temp_key_life_s: Some(DAY_S),
            reconnect: Policy::default(),
            ping_every: Duration::from_secs(60),
            flood_wait_max: Duration::from_secs(60),
            call_time_max: Duration::from_secs(60),
            storage: Arc::new(Memory::new()),
        }
    }
}

impl Builder {
    /// Sets the application's number. Required.
    #[must_use]
    pub const fn api_id(mut self, api_id: i32) -> Self {
        self.api_id = Some(api_id);
        self
    }

    /// Sets the application's hash, which signing in asks for. Required.
    #[must_use]
    pub fn api_hash(mut self, api_hash: &str) -> Self {
        self.api_hash = Some(api_hash.to_owned());
        self
    }

    /// Says which layer of the API the calls are of; 222 unless told otherwise.
    #[must_use]
    pub const fn layer(mut self, layer: i32) -> Self {
        self.layer = layer;
        self
    }

    /// Says what the client runs on.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Tells servers to push no updates.
    #[must_use]
    pub const fn without_updates(mut self) -> Self {
        self.without_updates = true;
        self
    }

    /// Adds an RSA key by which the servers are known. At least one is required; the network never adds any.
    #[must_use]
    pub fn server_key(mut self, key: PublicKey) -> Self {
        self.server_keys.push(key);
        self
    }

    /// Pads the inner data of exchanges the old way, for servers that know no other.
    #[must_use]
    pub const fn legacy_padding(mut self) -> Self {
        self.padding = Padding::Legacy;
        self
    }

    /// Adds a data centre. At least one is required; the first is home, unless keys that were kept say otherwise.
    #[must_use]
    pub fn data_centre(mut self, dc: DataCentre) -> Self {
        self.home = self.home.or(Some(dc.id));
        self.data_centres.insert(dc.id, dc);
        self
    }

    /// Says that the data centres are test ones: their exchanges name them so.
    #[must_use]
    pub const fn test_mode(mut self) -> Self {
        self.test_mode = true;
        self
    }

    /// Chooses what is spoken below messages; obfuscated intermediate frames unless told otherwise.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Goes through a SOCKS5 proxy.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets for how many seconds a temporary key is asked for: a minute at least, a day at most and unless told
    /// otherwise.
    #[must_use]
    pub fn temp_key_life_s(mut self, seconds: i32) -> Self {
        self.temp_key_life_s = Some(seconds.clamp(TEMP_KEY_LIFE_S_MIN, DAY_S));
        self
    }

    /// Does without temporary keys: whoever gets hold of the permanent key reads all that was ever sent.
    #[must_use]
    pub const fn without_forward_secrecy(mut self) -> Self {
        self.temp_key_life_s = None;
        self
    }

    /// Sets how long to wait before dialling again.
    #[must_use]
    pub const fn reconnect(mut self, policy: Policy) -> Self {
        self.reconnect = policy;
        self
    }

    /// Sets how often a connection is tried: every second at most, every minute unless told otherwise.
    #[must_use]
    pub fn ping_every(mut self, every: Duration) -> Self {
        self.ping_every = every.max(PING_EVERY_MIN);
        self
    }

    /// Sets up to which `FLOOD_WAIT` calls wait by themselves; a minute unless told otherwise.
    #[must_use]
    pub const fn flood_wait_max(mut self, max: Duration) -> Self {
        self.flood_wait_max = max;
        self
    }

    /// Sets how long a call waits for its answer, connecting included; a minute unless told otherwise.
    #[must_use]
    pub const fn call_time_max(mut self, max: Duration) -> Self {
        self.call_time_max = max;
        self
    }

    /// Sets where keys are kept; in memory unless told otherwise.
    #[must_use]
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Connects to the home data centre and makes a key there, or takes the kept one.
    ///
    /// Comes back once calls can be made; from then on the client reconnects by itself.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Missing`] and [`ConnectError::Misconfigured`] say what to change.
    /// - [`ConnectError::Storage`] when kept keys can't be read.
    /// - [`ConnectError::Failed`] when no key can be made, or the policy allows no further try to connect.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let setup = self.into_setup()?;
        Client::start(setup).await
    }

    fn into_setup(self) -> Result<Setup, ConnectError> {
        let api_id = self.api_id.ok_or(ConnectError::Missing("api_id"))?;
        let api_hash = self.api_hash.ok_or(ConnectError::Missing("api_hash"))?;
        let home = self.home.ok_or(ConnectError::Missing("data_centre"))?;
        if self.server_keys.is_empty() {
            return Err(ConnectError::Missing("server_key"));
        }
        let is_full = |framing| framing == Framing::Full;
        match &self.transport {
            Transport::Tcp {
                framing,
                obfuscation: Some(_),
            } if is_full(*framing) => {
                return Err(ConnectError::Misconfigured(
                    "the full framing can't be obfuscated: choose another, or leave obfuscation out",
                ));
            }
            Transport::Tcp {
                framing,
                obfuscation: Some(obfuscation),
            } if *framing != Framing::PaddedIntermediate
                && obfuscation
                    .secret
                    .as_ref()
                    .is_some_and(|it| it.requires_padding()) =>
            {
                return Err(ConnectError::Misconfigured(
                    "the secret asks for Framing::PaddedIntermediate",
                ));
            }
            Transport::WebSocket { framing, .. } if is_full(*framing) => {
                return Err(ConnectError::Misconfigured(
                    "a WebSocket carries no full framing: choose another",
                ));
            }
            Transport::Tcp { .. } | Transport::WebSocket { .. } => {}
        }
        Ok(Setup {
            introduction: Introduction {
                api_id,
                layer: self.layer,
                device: self.device,
                without_updates: self.without_updates,
            },
            api_hash,
            server_keys: self.server_keys,
            padding: self.padding,
            data_centres: self.data_centres,
            home,
            transport: self.transport,
            proxy: self.proxy,
            test_mode: self.test_mode,
            temp_key_life_s: self.temp_key_life_s,
            reconnect: self.reconnect,
            ping_every: self.ping_every,
            flood_wait_max: self.flood_wait_max,
            call_time_max: self.call_time_max,
            storage: self.storage,
        })
    }
}

/// A builder's contents, complete.
pub(crate) struct Setup {
    pub(crate) introduction: Introduction,
    pub(crate) api_hash: String,
    server_keys: Vec<PublicKey>,
    padding: Padding,
    data_centres: BTreeMap<i32, DataCentre>,
    pub(crate) home: i32,
    transport: Transport,
    proxy: Option<Proxy>,
    test_mode: bool,
    temp_key_life_s: Option<i32>,
    reconnect: Policy,
    ping_every: Duration,
    pub(crate) flood_wait_max: Duration,
    pub(crate) call_time_max: Duration,
    pub(crate) storage: Arc<dyn Storage>,
}

impl Setup {
    /// Returns how a data centre is reached; `None` if no address of it is known.
    pub(crate) fn route(&self, dc: i32) -> Option<dial::Route> {
        let known = self.data_centres.get(&dc)?;
        Some(dial::Route {
            addresses: known.addresses.clone(),
            proxy: self.proxy.clone(),
        })
    }

    /// Returns how a data centre is spoken to.
    pub(crate) fn engine(&self, dc: i32, route: &dial::Route) -> heliogram_proto::client::Config {
        let transport = match &self.transport {
            Transport::Tcp {
                framing,
                obfuscation,
            } => {
                let config = TransportConfig::new(*framing);
                match obfuscation {
                    Some(obfuscation) => config.obfuscated(self.naming(dc, obfuscation)),
                    None => config,
                }
            }
            Transport::WebSocket { framing, path } => {
                let host = route
                    .addresses
                    .first()
                    .map_or_else(String::new, ToString::to_string);
                let path = path.clone();
                TransportConfig::new(*framing)
                    .obfuscated(self.naming(dc, &Obfuscation::default()))
                    .within(Endpoint { host, path })
            }
        };
        let mut config = heliogram_proto::client::Config::new(transport, self.server_keys.clone());
        config.dc = Some(self.wire_dc(dc));
        config.padding = self.padding;
        config.temp_key_life_s = self.temp_key_life_s;
        config.reconnect = self.reconnect;
        config.ping_every = self.ping_every;
        config
    }

    /// Names the data centre in the header by which proxies route, unless the user has named one.
    fn naming(&self, dc: i32, obfuscation: &Obfuscation) -> Obfuscation {
        let mut obfuscation = obfuscation.clone();
        let wire = i16::try_from(self.wire_dc(dc)).ok();
        obfuscation.dc = obfuscation.dc.or(wire);
        obfuscation
    }

    const fn wire_dc(&self, dc: i32) -> i32 {
        if self.test_mode { dc + TEST_DC } else { dc }
    }
}

/// The layer that the typed calls are of.
const LAYER: i32 = 222;

/// What is added to a data centre's number on the wire in test mode.
const TEST_DC: i32 = 10_000;

const DAY_S: i32 = 86_400;

const TEMP_KEY_LIFE_S_MIN: i32 = 60;

const PING_EVERY_MIN: Duration = Duration::from_secs(1);
