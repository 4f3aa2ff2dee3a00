//! Stands between client and server, and breaks connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A relay whose connections can be cut.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    relays: Mutex<Vec<JoinHandle<()>>>,
    connections: AtomicUsize,
    /// Each connection ends after so many bytes of the server's, if there is a limit.
    bytes_down_max: AtomicUsize,
}

impl Proxy {
    /// Begins to relay to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            bytes_down_max: AtomicUsize::new(usize::MAX),
            ..Shared::default()
        });
        let relaying = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let max = relaying.bytes_down_max.load(Ordering::Relaxed);
                let relay = tokio::spawn(relay(client, target, max));
                let mut relays = relaying.relays.lock();
                relays.retain(|it| !it.is_finished());
                relays.push(relay);
                // Under the lock: what is counted can be cut.
                relaying.connections.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Breaks all connections that are open.
    pub(crate) fn cut(&self) {
        for relay in self.shared.relays.lock().drain(..) {
            relay.abort();
        }
    }

    /// Has connections end from now on after so many bytes of the server's; those that are open go on.
    pub(crate) fn limit(&self, bytes: usize) {
        self.shared.bytes_down_max.store(bytes, Ordering::Relaxed);
    }

    /// Returns how many connections are open.
    pub(crate) fn open(&self) -> usize {
        let relays = self.shared.relays.lock();
        relays.iter().filter(|it| !it.is_finished()).count()
    }

    /// Returns how many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, bytes_down_max: usize) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut left = bytes_down_max;
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let room = buffer.len().min(left);
            let Ok(count @ 1..) = from_server.read(&mut buffer[..room]).await else {
                return;
            };
            if to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
            left -= count;
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
    }
}
