//! How a client is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_ports::clock::Clock;
use heliogram_proto::dc::{Address, DcTable};
use heliogram_proto::reconnect::Policy;
use heliogram_proto::session::client::SavedSession;
use parking_lot::Mutex;

use crate::client::Client;
use crate::exchange::{self, Exchanged};
use crate::introduction::{Device, Introduction};
use crate::limits::FILE_CONNECTIONS_MAX;
use crate::mtproxy::MtProxy;
use crate::reach::{DataCentre, IpVersions, Proxy, Transport};
use crate::setup::{self, Setup};
use crate::storage::{Memory, Storage};
use crate::{ConnectError, telegram};

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
    addresses: Vec<Address>,
    home: Option<i32>,
    ip_versions: IpVersions,
    transport: Transport,
    proxy: Option<Proxy>,
    mtproxy: Option<MtProxy>,
    test_mode: bool,
    temp_key_life_s: Option<i32>,
    reconnect: Policy,
    ping_every: Duration,
    clock: Clock,
    flood_wait_max: Duration,
    call_time_max: Duration,
    storage: Arc<dyn Storage>,
    sessions: Vec<(i32, SavedSession)>,
    asks_addresses: bool,
    file_connections: usize,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("api_id", &self.api_id)
            .field("addresses", &self.addresses)
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
            addresses: Vec::new(),
            home: None,
            ip_versions: IpVersions::default(),
            transport: Transport::default(),
            proxy: None,
            mtproxy: None,
            test_mode: false,
            temp_key_life_s: Some(DAY_S),
            reconnect: Policy::default(),
            ping_every: Duration::from_secs(60),
            clock: Clock::start(),
            flood_wait_max: Duration::from_secs(60),
            call_time_max: Duration::from_secs(60),
            storage: Arc::new(Memory::new()),
            sessions: Vec::new(),
            asks_addresses: true,
            file_connections: FILE_CONNECTIONS,
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

    /// Adds a data centre, or puts other addresses in the place of those that it had. At least one is required; the first
    /// is home, unless [`Builder::home`] or keys that were kept say otherwise.
    #[must_use]
    pub fn data_centre(mut self, dc: DataCentre) -> Self {
        self.home = self.home.or(Some(dc.id));
        self.addresses.retain(|it| it.dc != dc.id);
        let addresses = dc.addresses.into_iter();
        self.addresses
            .extend(addresses.map(|at| Address::new(dc.id, at)));
        self
    }

    /// Adds the data centres of a table: one of your own, kept or fetched. If it is of a test environment, this is
    /// [`Builder::test_mode`] too.
    #[must_use]
    pub fn data_centres(mut self, table: &DcTable) -> Self {
        self.home = self.home.or(Some(table.first()));
        let replaces = |it: &Address| table.addresses().iter().any(|new| new.dc == it.dc);
        self.addresses.retain(|it| !replaces(it));
        self.addresses.extend_from_slice(table.addresses());
        self.test_mode |= table.is_test();
        self
    }

    /// Begins at Telegram's production environment: its five data centres, by the addresses and the key that its own clients
    /// are built with.
    #[must_use]
    pub fn telegram(self) -> Self {
        self.data_centres(&DcTable::production())
            .server_key(telegram::production_key())
    }

    /// Begins at Telegram's test environment: three data centres, in [`Builder::test_mode`].
    #[must_use]
    pub fn telegram_test(self) -> Self {
        self.data_centres(&DcTable::test())
            .server_key(telegram::test_key())
    }

    /// Says which data centre calls go to, unless keys that were kept say otherwise.
    #[must_use]
    pub const fn home(mut self, dc: i32) -> Self {
        self.home = Some(dc);
        self
    }

    /// Never asks the servers where data centres are. Unless told so, a client calls `help.getConfig` at its start, when what
    /// it has heard expires, and when it is sent to a data centre that it does not know; addresses of the builder are
    /// tried after those that it hears of. Keys never come from there.
    #[must_use]
    pub const fn fixed_addresses(mut self) -> Self {
        self.asks_addresses = false;
        self
    }

    /// Sets how many connections to one data centre carry files: from 1 to 16, four unless told otherwise. They are there
    /// while files move, and for half a minute after.
    #[must_use]
    pub fn file_connections(mut self, count: usize) -> Self {
        self.file_connections = count.clamp(1, FILE_CONNECTIONS_MAX);
        self
    }

    /// Chooses between the addresses of a data centre; all are tried unless told otherwise, IPv4 first.
    #[must_use]
    pub const fn ip_versions(mut self, versions: IpVersions) -> Self {
        self.ip_versions = versions;
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

    /// Goes through a SOCKS5 proxy: to an [`MtProxy`] too, if there is one.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Goes through an `MTProxy`, which reaches every data centre. Its secret chooses the transport, but for the framing of
    /// a secret that leaves it open.
    #[must_use]
    pub fn mtproxy(mut self, proxy: MtProxy) -> Self {
        self.mtproxy = Some(proxy);
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

    /// Sets the clock; the system's unless told otherwise. It may be wrong: the server's is learnt from the server.
    #[must_use]
    pub const fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
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

    /// Takes over a session that was kept by another program in the 284 bytes of `@mtproto2/mtproto`: its key, its salt, what
    /// it knew of the server's clock. Its identifier is not used: each client begins a session of its own.
    ///
    /// Counts only while the storage has no key for that data centre. Of several the first is home, if the storage knows
    /// none.
    ///
    /// ```
    /// use heliogram_client::{Client, SavedSession};
    ///
    /// # fn example(bytes: &[u8; 284]) -> Option<heliogram_client::Builder> {
    /// let session = SavedSession::from_bytes(bytes)?;
    /// let builder = Client::builder().session(2, session);
    /// # Some(builder)
    /// # }
    /// ```
    #[must_use]
    pub fn session(mut self, dc: i32, session: SavedSession) -> Self {
        self.sessions.push((dc, session));
        self
    }

    /// Makes one permanent key at the home data centre, and nothing else: no call, no storage. Needs a server's key and a
    /// data centre only.
    ///
    /// ```no_run
    /// # async fn example(pem: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use heliogram_client::{Client, DataCentre, PublicKey};
    ///
    /// let exchanged = Client::builder()
    ///     .server_key(PublicKey::from_pem(pem)?)
    ///     .data_centre(DataCentre::new(2, ["127.0.0.1:10443".parse()?]))
    ///     .exchange()
    ///     .await?;
    /// println!("{:?}", exchanged.key.id());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Builder::connect`], but for what concerns applications and storage.
    pub async fn exchange(self) -> Result<Exchanged, ConnectError> {
        exchange::run(self.without_forward_secrecy().complete(0, String::new())?).await
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

    pub(crate) fn into_setup(mut self) -> Result<Setup, ConnectError> {
        let api_id = self.api_id.ok_or(ConnectError::Missing("api_id"))?;
        let api_hash = self.api_hash.take();
        let api_hash = api_hash.ok_or(ConnectError::Missing("api_hash"))?;
        self.complete(api_id, api_hash)
    }

    fn complete(self, api_id: i32, api_hash: String) -> Result<Setup, ConnectError> {
        let home = self.home.ok_or(ConnectError::Missing("data_centre"))?;
        if self.server_keys.is_empty() {
            return Err(ConnectError::Missing("server_key"));
        }
        setup::check(&self.transport, self.mtproxy.as_ref())?;
        let table = DcTable::new(self.test_mode, self.addresses);
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
            given: table.clone(),
            table: Mutex::new(table),
            asks_addresses: self.asks_addresses,
            file_connections: self.file_connections,
            home,
            ip_versions: self.ip_versions,
            transport: self.transport,
            proxy: self.proxy,
            mtproxy: self.mtproxy,
            test_mode: self.test_mode,
            temp_key_life_s: self.temp_key_life_s,
            reconnect: self.reconnect,
            ping_every: self.ping_every,
            clock: self.clock,
            flood_wait_max: self.flood_wait_max,
            call_time_max: self.call_time_max,
            storage: self.storage,
            sessions: self.sessions,
        })
    }
}

const FILE_CONNECTIONS: usize = 4;

/// The layer that the typed calls are of.
const LAYER: i32 = 222;

const DAY_S: i32 = 86_400;

const TEMP_KEY_LIFE_S_MIN: i32 = 60;

const PING_EVERY_MIN: Duration = Duration::from_secs(1);
