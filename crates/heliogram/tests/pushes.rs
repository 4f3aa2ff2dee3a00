//! Updates downwards through real sockets: a host, a gateway and many clients, of which some lose their connection.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

use bytes::Bytes;
use heliogram_crypto::{AuthKey, SecretBytes};
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    Answer, AuthKeys, Backend, Call, KeyFacts, KeyKind, KeyRecord, LoggedIn, Push, Pushes, Reply,
    Target,
};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_proto::ids::{Identity, Salt, Term};
use heliogram_session::LocalPort;
use heliogram_tl::mtproto::MsgsAck;
use heliogram_tl::{Serialize, peek_id};
use tokio::runtime::{Handle, Runtime};

use support::{Frames, Login, RawClient};

#[test]
fn sixty_four_clients_of_one_user_get_every_push_once_and_in_order_though_some_reconnect() {
    let runtime = Runtime::new().unwrap();
    let keys: Vec<_> = (1..=CLIENTS).map(|it| AuthKey::new([it; 256])).collect();
    let backend = Arc::new(Broadcaster::default());
    let address = runtime
        .block_on(start(&keys, Arc::clone(&backend)))
        .unwrap();
    let all_are_there = Arc::new(Barrier::new(keys.len() + 1));

    let clients = keys.into_iter().enumerate().map(|(at, key)| {
        let all_are_there = Arc::clone(&all_are_there);
        thread::spawn(move || listen(at, address, key, &all_are_there))
    });
    let clients: Vec<_> = clients.collect();
    all_are_there.wait();
    for number in 0..PUSHES {
        backend.push(number);
        thread::yield_now();
    }

    let expected: Vec<_> = (0..PUSHES).collect();
    for (at, client) in clients.into_iter().enumerate() {
        let got = client.join().unwrap().unwrap();
        assert_eq!(got, expected, "client {at}");
    }
}

/// Calls something, then takes updates until it has as many as are pushed; returns them in the order of their ids.
/// Every third loses its connection on the way, and every second acknowledges what it gets.
fn listen(
    at: usize,
    address: SocketAddr,
    key: AuthKey,
    all_are_there: &Barrier,
) -> io::Result<Vec<u32>> {
    let salt = Salt(0);
    let mut client = RawClient::resume(address, Login { key, salt })?;
    client.call(&METHOD).unwrap().unwrap();
    all_are_there.wait();
    let mut got = BTreeMap::new();
    while got.len() < usize::try_from(PUSHES).unwrap() {
        let received = client.receive()?;
        if peek_id(&received.body) != Some(UPDATE) {
            continue;
        }
        let number = u32::from_le_bytes(received.body[4..8].try_into().unwrap());
        let before = got.insert(received.msg_id, number);
        assert!(before.is_none_or(|before| before == number));
        if at.is_multiple_of(2) {
            let ids = [received.msg_id];
            let ack = MsgsAck {
                msg_ids: (&ids).into(),
            };
            client.send(&ack.to_bytes(), false)?;
        }
        if got.len().is_multiple_of(10) {
            client.send(&METHOD, true)?;
        }
        if at.is_multiple_of(3) && before.is_none() && got.len().is_multiple_of(70) {
            client.frames = Frames::connect(address)?;
            client.send(&METHOD, true)?;
        }
    }
    Ok(got.into_values().collect())
}

async fn start(keys: &[AuthKey], backend: Arc<Broadcaster>) -> io::Result<SocketAddr> {
    let store = Arc::new(MemoryKeys::new());
    for key in keys {
        let facts = KeyFacts {
            id: key.id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: None,
        };
        let key = key.clone();
        let record = KeyRecord {
            facts,
            key,
            created_at_unix_s: 0,
        };
        store.insert(record).await.unwrap();
    }
    let host = host::Config::new(Term(1), SecretBytes::new([7; 32]));
    let held = Arc::<MemoryKeys>::clone(&store);
    let sessions = LocalPort::new(&host, 4, held, backend, Handle::current());
    let exchange = ExchangeConfig {
        keys: Keyring::new([]),
        dcs: Dcs::Any,
        legacy_padding: false,
        term: Term(1).into(),
    };
    let mut config = Config::default();
    config.listeners = vec![Listener::tcp((Ipv4Addr::LOCALHOST, 0).into())];
    let gateway = Gateway::bind(config, store, Arc::new(sessions.clone()), exchange)?;
    let address = gateway.addresses()[0].address;
    tokio::spawn(async move { sessions.run().await });
    tokio::spawn(gateway.run(pending()));
    Ok(address)
}

/// All keys are one user's.
#[derive(Default)]
struct Broadcaster {
    pushes: OnceLock<Arc<dyn Pushes>>,
}

impl Broadcaster {
    fn push(&self, number: u32) {
        let mut body = UPDATE.to_le_bytes().to_vec();
        body.extend_from_slice(&number.to_le_bytes());
        let push = Push {
            targets: vec![Target::User(USER)],
            except: None,
            body: body.into(),
        };
        self.pushes.get().unwrap().push(push).unwrap();
    }
}

impl Backend for Broadcaster {
    fn call(&self, _: Call) -> Answer {
        Answer::Now(Reply::Result(Bytes::from_static(&[1, 2, 3, 4])))
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        assert!(self.pushes.set(pushes).is_ok(), "called once");
    }

    fn user(&self, _: Identity) -> LoggedIn {
        LoggedIn::Now(Some(USER))
    }
}

const CLIENTS: u8 = 64;
const PUSHES: u32 = 200;
const USER: i64 = 7;
const UPDATE: u32 = 0x78d4_dec1;
const METHOD: [u8; 4] = 0xc4f9_186b_u32.to_le_bytes();
