//! Heap that a server holds per idle authorised connection: socket, link, key and session, one answered call behind it.
//!
//! Sketch: a task with its link (some 700 bytes), one key with its facts (some 400), a session with the memory of what
//! it has received (some 500), an entry in each of half a dozen tables. Some 2 KiB, and no buffer.
//!
//! Counted is what was asked of the allocator, by all threads. The client keeps a descriptor of each connection and
//! nothing else; keys are there beforehand, and the store hands out a copy of each, as one on disk would. The peer is a
//! tokio task that waits for its socket, without a buffer.

#[expect(
    dead_code,
    reason = "shared with `heliogram bench`, which uses all of it"
)]
#[path = "../src/bench/rig/mod.rs"]
mod rig;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use bytes::Bytes;
use heliogram_crypto::{AuthKey, AuthKeyId, SecretBytes};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    AuthKeys, Binding, Bound, BoxFuture, FirstSalt, Inserted, KeyFacts, KeyKind, KeyRecord,
    Unavailable,
};
use heliogram_proto::ids::{Salt, Term};
use heliogram_proto::session::client::Event;
use peak_alloc::PeakAlloc;
use rig::client::Connection;
use rig::{Server, Store};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() -> anyhow::Result<()> {
    let count = WARM_UP + CONNECTIONS;
    let runtime = rig::runtime(1, "bench-peer")?;
    let store = Copies(MemoryKeys::new());
    let records = runtime.block_on(make_keys(&store, count))?;
    let server = Server::start(1, Store::with(Arc::new(store)))?;
    let address = server.listening.address;
    let mut kept = Vec::with_capacity(2 * count);

    eprintln!("{CONNECTIONS} connections of each kind; sessions settle for {SETTLE_S} s …");
    let waiting = runtime.block_on(start_waiting())?;
    let peer = growth_each(&records, PAUSE, |_| {
        kept.push(TcpStream::connect(waiting)?);
        Ok(())
    })?;
    let ours = growth_each(&records, Duration::from_secs(SETTLE_S), |record| {
        kept.push(authorised(address, record)?);
        Ok(())
    })?;
    println!();
    println!(
        "{:<52} {:>12} {:>12}  target",
        "heap per idle connection, bytes", "heliogram", "bare task"
    );
    println!(
        "{:<52} {ours:>12} {peer:>12}  <= 2048",
        "authorised, session included"
    );
    Ok(())
}

/// Opens connections and lets them rest; returns the bytes by which the heap grew for each.
fn growth_each(
    records: &[KeyRecord],
    rest: Duration,
    mut open: impl FnMut(&KeyRecord) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let (warm_up, measured) = records.split_at(WARM_UP);
    warm_up.iter().try_for_each(&mut open)?;
    std::thread::sleep(PAUSE);
    let before = HEAP.current_usage();
    measured.iter().try_for_each(&mut open)?;
    std::thread::sleep(rest);
    Ok(HEAP.current_usage().saturating_sub(before) / measured.len())
}

/// Connects with a key, calls a method, and acknowledges the answer.
fn authorised(address: SocketAddr, record: &KeyRecord) -> anyhow::Result<TcpStream> {
    let salt = record.facts.first_salt.context("made with one")?.salt;
    let (mut stream, mut talker) = Connection::open(address)?.into_talker(record.key.clone(), salt);
    let mut out = Vec::new();
    talker.call(Bytes::from_static(&[0x22; 52]), &mut out)?;
    stream.write_all(&out)?;
    let mut buffer = [0; 4096];
    let mut is_answered = false;
    while !is_answered {
        let read = stream.read(&mut buffer)?;
        let events = talker.receive(buffer.get_mut(..read).unwrap_or_default())?;
        is_answered = events
            .iter()
            .any(|event| matches!(event, Event::Answer { .. }));
        if read == 0 {
            bail!("the server closed a connection");
        }
    }
    out.clear();
    // Carries the acknowledgement, too.
    talker.ping(1, &mut out)?;
    stream.write_all(&out)?;
    if stream.read(&mut buffer)? == 0 {
        bail!("the server closed a connection");
    }
    Ok(stream)
}

async fn make_keys(store: &Copies, count: usize) -> anyhow::Result<Vec<KeyRecord>> {
    let mut rng = rig::rng()?;
    let now_unix_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut records = Vec::with_capacity(count);
    for number in 0..count {
        let key = AuthKey::new(*SecretBytes::<256>::random(&mut rng).expose());
        let record = KeyRecord {
            facts: KeyFacts {
                id: key.id(),
                kind: KeyKind::Permanent,
                perm: None,
                dc: Some(2),
                first_salt: Some(FirstSalt {
                    salt: Salt(i64::try_from(number)?),
                    term: Term(1),
                    since_unix_s: now_unix_s,
                }),
            },
            key,
            created_at_unix_s: now_unix_s,
        };
        store.insert(record.clone()).await?;
        records.push(record);
    }
    Ok(records)
}

/// Keys in memory, of which every look-up makes a copy.
struct Copies(MemoryKeys);

impl AuthKeys for Copies {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async move {
            let copy = |record: Arc<KeyRecord>| {
                Arc::new(KeyRecord {
                    key: AuthKey::new(*record.key.expose()),
                    ..KeyRecord::clone(&record)
                })
            };
            Ok(self.0.find(id).await?.map(copy))
        })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        self.0.insert(record)
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        self.0.bind(binding)
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.0.remove(id)
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.0.remove_bound(perm, except)
    }
}

/// Starts the peer: a task per connection that waits for something to read.
async fn start_waiting() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { stream.read_u8().await });
        }
    });
    Ok(address)
}

/// Opens what is opened once, and few enough not to matter when they settle later than they are counted.
const WARM_UP: usize = 20;

const CONNECTIONS: usize = 2_000;

/// For tasks to begin and to end.
const PAUSE: Duration = Duration::from_secs(1);

/// Seconds after which every session has given back the room that it does not need: ten quiet ones, by a timer that
/// may have been set for up to ten before.
const SETTLE_S: u64 = 22;
