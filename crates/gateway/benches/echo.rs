//! Round trips through the gateway alone, beside a plain TCP echo of the same frames in the same run.
//!
//! Sketch: a frame of 128 bytes costs a plain echo one read and one write, some 5 us of one core. The gateway adds an
//! open and a seal (0.2 us each by hand, 0.4 us with plain crates), a copy or three, and some locks: at most 1.5 us
//! with one frame in flight. With 16 in flight the system calls are shared, and the cryptography shows.
//!
//! The client sends frames that it has sealed before, and only counts what comes back: both servers see the same one.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use heliogram_crypto::AuthKey;
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    AuthKeys, Edge, FromHost, KeyFacts, KeyKind, KeyRecord, SessionPort, ToHost, Wake,
};
use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::side::Client;
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let key = AuthKey::new([5; 256]);
        let (gateway, plain) = (start_gateway(&key).await?, start_plain().await?);
        for in_flight in [1, 16] {
            let frames = frames(&key, in_flight);
            let mut totals = [0.0; 2];
            for _ in 0..ROUNDS {
                totals[0] += measure(gateway, &frames, in_flight).await?;
                totals[1] += measure(plain, &frames, in_flight).await?;
            }
            let [gateway, plain] = totals.map(|total| total / f64::from(ROUNDS));
            println!(
                "{CONNECTIONS} connections, {in_flight:2} in flight: gateway {gateway:9.0}/s, plain echo {plain:9.0}/s, \
                 ratio {:.2}",
                gateway / plain
            );
        }
        Ok(())
    })
}

/// Returns round trips per second.
async fn measure(address: SocketAddr, frames: &[u8], in_flight: u32) -> io::Result<f64> {
    let (trips, is_over) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(b"\xee\xee\xee\xee").await?;
        let (trips, is_over, frames) = (trips.clone(), is_over.clone(), frames.to_vec());
        tasks.push(tokio::spawn(async move {
            // The plain echo sends the prefix back, too.
            let mut answer = vec![0; frames.len()];
            while !is_over.load(Ordering::Relaxed) {
                stream.write_all(&frames).await?;
                stream.read_exact(&mut answer).await?;
                trips.fetch_add(u64::from(in_flight), Ordering::Relaxed);
            }
            io::Result::Ok(())
        }));
    }
    tokio::time::sleep(WARM_UP).await;
    let (begin, first) = (Instant::now(), trips.load(Ordering::Relaxed));
    tokio::time::sleep(ROUND).await;
    let (elapsed, last) = (begin.elapsed(), trips.load(Ordering::Relaxed));
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.map_err(io::Error::other)??;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let trips = (last - first) as f64;
    Ok(trips / elapsed.as_secs_f64())
}

/// Makes frames of 128 bytes, one behind the other.
fn frames(key: &AuthKey, count: u32) -> Vec<u8> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut frames = Vec::new();
    for number in 0..count {
        let header = Header {
            salt: Salt(1),
            session_id: SessionId(2),
            msg_id: MsgId(i64::from(number)),
            seqno: SeqNo(1),
        };
        let mut sealed = Vec::new();
        let message = Message {
            header,
            body: &[1; 52],
        };
        if envelope::seal::<Client>(key, &message, &mut sealed, &mut rng).is_ok() {
            frames.extend(u32::try_from(sealed.len()).unwrap_or(0).to_le_bytes());
            frames.extend(sealed);
        }
    }
    frames
}

async fn start_gateway(key: &AuthKey) -> io::Result<SocketAddr> {
    let keys = MemoryKeys::new();
    let facts = KeyFacts {
        id: key.id(),
        kind: KeyKind::Permanent,
        perm: None,
        dc: None,
        first_salt: None,
    };
    let record = KeyRecord {
        facts,
        key: key.clone(),
        created_at_unix_s: 0,
    };
    keys.insert(record).await.map_err(io::Error::other)?;
    let mut config = Config::default();
    config.listeners = vec![Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0)))];
    let exchange = ExchangeConfig {
        keys: Keyring::new([]),
        dcs: Dcs::Any,
        legacy_padding: false,
        term: Term(1).into(),
    };
    let gateway = Gateway::bind(config, Arc::new(keys), Arc::new(Echo::default()), exchange)?;
    let address = gateway.addresses().first().map(|listener| listener.address);
    tokio::spawn(gateway.run(std::future::pending()));
    address.ok_or_else(|| io::Error::other("no listener"))
}

async fn start_plain() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                let mut prefix = [0; 4];
                stream.read_exact(&mut prefix).await?;
                let mut buffer = vec![0; 1 << 16];
                loop {
                    match stream.read(&mut buffer).await? {
                        0 => return io::Result::Ok(()),
                        bytes => {
                            stream
                                .write_all(buffer.get(..bytes).unwrap_or_default())
                                .await?;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

/// A host that sends every message back.
#[derive(Default)]
struct Echo {
    outboxes: [Mutex<HashMap<LinkId, Vec<FromHost>>>; 16],
}

impl Echo {
    fn outbox<T>(
        &self,
        link: LinkId,
        with: impl FnOnce(&mut HashMap<LinkId, Vec<FromHost>>) -> T,
    ) -> Option<T> {
        let shard = usize::try_from(link.0 % 16).ok()?;
        Some(with(&mut self.outboxes.get(shard)?.lock()))
    }
}

impl SessionPort for Echo {
    fn open(&self, _: Weak<dyn Edge>) {}

    fn attach(&self, link: LinkId, _: Arc<dyn Wake>) {
        self.outbox(link, |outboxes| outboxes.insert(link, Vec::new()));
    }

    fn submit(&self, inputs: &mut Vec<ToHost>) {
        for input in inputs.drain(..) {
            match input {
                ToHost::Attach(_) => unreachable!("no stream breaks here"),
                ToHost::Detach { link } => {
                    self.outbox(link, |outboxes| outboxes.remove(&link));
                }
                ToHost::Frame(frame) => {
                    let seal = FromHost::Seal {
                        link: frame.link,
                        key: frame.key.id,
                        salt: frame.salt,
                        session_id: frame.session_id,
                        msg_id: frame.msg_id,
                        seqno: frame.seqno,
                        body: frame.body,
                    };
                    self.outbox(frame.link, |outboxes| {
                        outboxes.entry(frame.link).or_default().push(seal);
                    });
                }
            }
        }
    }

    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>) {
        self.outbox(link, |outboxes| {
            out.append(outboxes.entry(link).or_default());
        });
    }

    fn is_quiet(&self) -> bool {
        true
    }
}

const CONNECTIONS: u32 = 64;
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(200);
