//! Encrypted pings per second over loopback TCP, beside a plain TCP echo of the same frames in the same run.
//!
//! Sketch: per ping two small reads and two small writes (one each per side), and on our side some 16 AES blocks, four
//! SHA-256 and a lock. The system calls are the larger part, so we expect more than half of the echo when one ping is
//! in flight, and less of it when 16 share their system calls.
//!
//! Pings are sealed before the clock starts; the client opens what it gets, since pongs may come in a container.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark may panic"
)]

mod support;

use std::net::SocketAddr;
use std::time::Instant;

use heliogram_crypto::AuthKey;
use heliogram_proto::envelope;
use heliogram_proto::side::Client;
use heliogram_tl::mtproto::{MsgContainer, Ping, Pong};
use heliogram_tl::{Deserialize, Serialize, peek_id};
use support::client::RawClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for in_flight in [1, 16] {
        let ours = runtime.block_on(ours(in_flight));
        let echo = runtime.block_on(echo(in_flight));
        println!("pings, {CONNECTIONS} connections, {in_flight:2} in flight      {ours:10.0} /s");
        println!(
            "  beside: plain TCP echo                {echo:10.0} /s   ({:.0} %)",
            100.0 * ours / echo
        );
    }
}

async fn ours(in_flight: usize) -> f64 {
    let server = support::start();
    let clients = tokio::task::spawn_blocking(move || {
        let connect = |_| RawClient::connect(server.address, &server.key, None).unwrap();
        (0..CONNECTIONS).map(connect).collect::<Vec<_>>()
    });
    let mut peers = Vec::new();
    for mut client in clients.await.unwrap() {
        let batches = batches(&mut client, in_flight);
        let key = client.login.key.clone();
        peers.push((stream(client), batches, Some(key)));
    }
    measure(peers).await
}

async fn echo(in_flight: usize) -> f64 {
    let address = start_echo().await;
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        // A frame of a ping: 4 bytes of length, 24 of header, 64 of ciphertext.
        let batch = [[88, 0, 0, 0].as_slice(), &[0; 88]]
            .concat()
            .repeat(in_flight);
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        peers.push((stream, vec![batch; PINGS / in_flight], None));
    }
    measure(peers).await
}

/// Sends batch after batch on every connection at once; returns frames answered per second.
async fn measure(peers: Vec<(TcpStream, Vec<Vec<u8>>, Option<AuthKey>)>) -> f64 {
    let count = peers.len() * PINGS;
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for (stream, batches, key) in peers {
        tasks.spawn(converse(stream, batches, key));
    }
    tasks.join_all().await;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of pings is far below 2^52"
    )]
    let count = count as f64;
    count / start.elapsed().as_secs_f64()
}

async fn converse(mut stream: TcpStream, batches: Vec<Vec<u8>>, key: Option<AuthKey>) {
    let mut buffer = Vec::with_capacity(1 << 16);
    for batch in batches {
        let mut wanted = batch.len() / batch_frame_bytes(&batch);
        stream.write_all(&batch).await.unwrap();
        while wanted > 0 {
            assert!(stream.read_buf(&mut buffer).await.unwrap() > 0, "closed");
            let mut used = 0;
            while let Some(length) = buffer.get(used..used + 4) {
                let length =
                    usize::try_from(u32::from_le_bytes(length.try_into().unwrap())).unwrap();
                let Some(frame) = buffer.get_mut(used + 4..used + 4 + length) else {
                    break;
                };
                wanted -= key.as_ref().map_or(1, |key| pongs(key, frame));
                used += 4 + length;
            }
            buffer.drain(..used);
        }
    }
}

fn batch_frame_bytes(batch: &[u8]) -> usize {
    4 + usize::try_from(u32::from_le_bytes(batch[..4].try_into().unwrap())).unwrap()
}

fn pongs(key: &AuthKey, frame: &mut [u8]) -> usize {
    let opened = envelope::open::<Client>(key, frame).unwrap();
    match MsgContainer::from_bytes(opened.message.body) {
        Ok(container) => container
            .messages
            .iter()
            .filter(|it| peek_id(it.body) == Some(Pong::ID))
            .count(),
        Err(_) => usize::from(peek_id(opened.message.body) == Some(Pong::ID)),
    }
}

fn batches(client: &mut RawClient, in_flight: usize) -> Vec<Vec<u8>> {
    let ping = Ping { ping_id: 1 }.to_bytes();
    let mut batch = || {
        let mut bytes = Vec::new();
        for _ in 0..in_flight {
            let (_, sealed) = client.seal(&ping, false);
            bytes.extend(u32::try_from(sealed.len()).unwrap().to_le_bytes());
            bytes.extend(sealed);
        }
        bytes
    };
    (0..PINGS / in_flight).map(|_| batch()).collect()
}

fn stream(client: RawClient) -> TcpStream {
    let stream = client.frames.stream;
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

async fn start_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 14];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

const CONNECTIONS: usize = 64;

/// Per connection; a multiple of what is in flight.
const PINGS: usize = 8_000;
