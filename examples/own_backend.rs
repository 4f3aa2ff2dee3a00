//! A whole server in one file, whose calls your own code answers.
//!
//! Teaches: which pieces make a server (a store of keys, a host of sessions, a gateway), and what a [`Backend`] is.
//! This one is a ledger: beside `help.getConfig`, which every client asks for first, it knows one method of its own,
//! writes every entry to a file before it answers, and answers a little later, as backends do.
//!
//! ```text
//! ledger.append#7e570003 entry:long = ledger.Entry
//! ledger.entry#7e570004 entry:long = ledger.Entry
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use heliogram_crypto::rsa::PrivateKey;
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::{Answer, AuthKeys, Backend, Call, Reply, RpcError};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_session::LocalPort;
use heliogram_tl::api::help::GetConfig;
use heliogram_tl::{Deserialize as _, Serialize as _};
use tokio::runtime::Handle;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments
        .next()
        .context("usage: own_backend DIRECTORY [ADDRESS]")?;
    let address = arguments.next().unwrap_or("127.0.0.1:10443".to_owned());
    let (data, address) = (PathBuf::from(data), address.parse::<SocketAddr>()?);
    std::fs::create_dir_all(&data)?;

    // Opening the store begins a new term: whatever was captured before is refused from now on.
    let config = heliogram_store_embedded::Config::in_directory(&data);
    let store = heliogram_store_embedded::open(&config)?;
    let exchange = ExchangeConfig {
        keys: Keyring::new([server_key(&data)?]),
        dcs: Dcs::Any,
        legacy_padding: true,
        term: store.term.into(),
    };

    let keys: Arc<dyn AuthKeys> = Arc::new(store.keys);
    let sessions = LocalPort::new(
        &host::Config::new(store.term, store.salt_secret),
        SHARDS,
        Arc::clone(&keys),
        Arc::new(Ledger::open(&data)?),
        Handle::current(),
    );
    let mut config = Config::default();
    config.listeners = vec![Listener::tcp(address), Listener::websocket(loopback())];
    let gateway = Gateway::bind(config, keys, Arc::new(sessions.clone()), exchange)?;
    announce(&data, &gateway)?;

    let deadlines = tokio::spawn(async move { sessions.run().await });
    gateway
        .run(async {
            // Without a way to be told to end, ending at once is the best that is left.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    deadlines.abort();
    Ok(())
}

/// Where your code begins. A call comes here at most once while this process lives; after a crash a client may send
/// it again, under the same idempotency key (`identity`, `session_id`, `msg_id`) or as a new call.
struct Ledger {
    entries: Arc<Mutex<File>>,
}

impl Ledger {
    fn open(data: &Path) -> anyhow::Result<Self> {
        let path = data.join("ledger.txt");
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self {
            entries: Arc::new(Mutex::new(file)),
        })
    }
}

impl Backend for Ledger {
    fn call(&self, call: Call) -> Answer {
        if GetConfig::from_bytes(&call.body).is_ok() {
            return Answer::Now(Reply::Result(config(call.key.dc).to_bytes().into()));
        }
        let Some(entry) = parse_append(&call.body) else {
            // What clients take for "sign in first", and go on.
            return Answer::Now(error(401, "AUTH_KEY_UNREGISTERED"));
        };
        let entries = Arc::clone(&self.entries);
        Answer::Later(Box::pin(async move {
            let written = writeln!(
                entries.lock().unwrap_or_else(PoisonError::into_inner),
                "{entry}"
            );
            if written.is_err() {
                return error(500, "LEDGER_UNAVAILABLE");
            }
            // As if another server had been asked: a crash now leaves the entry written and the call unanswered.
            tokio::time::sleep(Duration::from_millis(entry.unsigned_abs() % 32)).await;
            Reply::Result(Bytes::from(
                [&ENTRY.to_le_bytes()[..], &entry.to_le_bytes()].concat(),
            ))
        }))
    }
}

/// Returns what a client must know to go on where it is: `dc` is the data centre that it dialled, if it has said so.
fn config(dc: Option<i32>) -> heliogram_tl::api::Config<'static> {
    heliogram_tl::api::Config {
        expires: i32::MAX,
        this_dc: dc.unwrap_or(2),
        ..Default::default()
    }
}

/// Reads `ledger.append`; `None` if it is anything else.
fn parse_append(body: &[u8]) -> Option<i64> {
    let (id, entry) = body.split_first_chunk()?;
    if u32::from_le_bytes(*id) != APPEND {
        return None;
    }
    Some(i64::from_le_bytes(entry.try_into().ok()?))
}

fn error(code: i32, message: &str) -> Reply {
    Reply::Error(RpcError {
        code,
        message: message.to_owned(),
    })
}

/// Reads the server's RSA key, or makes one at first start. Clients get the public half.
fn server_key(data: &Path) -> anyhow::Result<PrivateKey> {
    let path = data.join("server_private.pem");
    if !path.exists() {
        let key = PrivateKey::generate().context("no RSA key could be made")?;
        let pem = key.to_pkcs1_pem().context("the RSA key can't be encoded")?;
        std::fs::write(data.join("server_public.pem"), key.public().to_pkcs1_pem())?;
        std::fs::write(&path, pem.as_bytes())?;
    }
    PrivateKey::from_pem(&std::fs::read_to_string(&path)?)
        .map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// Says where it listens, as `heliogram serve` does.
fn announce(data: &Path, gateway: &Gateway) -> anyhow::Result<()> {
    let of_kind = |kind| {
        let listeners = gateway.addresses().into_iter();
        let addresses = listeners.filter(move |it| it.kind == kind);
        let quoted: Vec<_> = addresses.map(|it| format!("\"{}\"", it.address)).collect();
        quoted.join(",")
    };
    let tcp = of_kind(heliogram_gateway::ListenerKind::Tcp);
    let websocket = of_kind(heliogram_gateway::ListenerKind::WebSocket);
    println!("listening on {tcp}, WebSocket {websocket}");
    // Whoever waits for the file is to find it whole.
    let unfinished = data.join("endpoints.json.new");
    std::fs::write(
        &unfinished,
        format!("{{\"tcp\":[{tcp}],\"websocket\":[{websocket}]}}\n"),
    )?;
    Ok(std::fs::rename(unfinished, data.join("endpoints.json"))?)
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

const APPEND: u32 = 0x7e57_0003;
const ENTRY: u32 = 0x7e57_0004;

/// Hosts of sessions behind locks of their own: a few for each core.
const SHARDS: usize = 8;
