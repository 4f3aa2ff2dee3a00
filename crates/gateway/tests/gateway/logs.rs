//! What the logs give away.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use heliogram_gateway::Listener;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::client::{Client, Event, exchange_bytes};
use crate::server::{PANIC, Server, any_port};

#[tokio::test]
async fn above_debug_no_line_names_an_address() {
    let log = record(LevelFilter::INFO, use_in_many_ways).await;
    assert!(log.contains("shutting down"), "something is logged");
    assert!(
        !log.contains("127.0.0.1") && !log.contains("192.0.2."),
        "{log}"
    );
}

#[tokio::test]
async fn no_line_of_any_level_names_a_secret() {
    let log = record(LevelFilter::TRACE, use_in_many_ways).await;
    assert!(log.contains("127.0.0.1"), "what is to be found is there");
    for secret in [&KEY_BYTES[..], BODY] {
        let hex: String = secret
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let decimal = format!("{:?}", &secret[..8]);
        assert!(
            !log.contains(&hex) && !log.contains(decimal.trim_matches(['[', ']'])),
            "{log}"
        );
    }
    assert!(!log.contains(std::str::from_utf8(BODY).unwrap()), "{log}");
}

/// Exchanges, messages, a wrong one, a stranger, a panic, a proxy's header and a shutdown.
async fn use_in_many_ways() {
    let mut server = Server::with(|config| {
        let proxied = Listener {
            proxy_protocol: true,
            ..Listener::tcp(any_port())
        };
        config.listeners.push(proxied);
        config.limiter.connections_per_address_max = 1;
    })
    .await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    client.echo(&key, BODY).await;
    let mut stranger = Client::connect(server.address()).await;
    let sealed = stranger.seal(&heliogram_crypto::AuthKey::new(KEY_BYTES), BODY);
    stranger.send(&sealed).await;
    assert_eq!(stranger.event().await, Event::Error(-404));
    exchange_bytes(server.address(), b"GET / HTTP/1.1\r\n\r\n").await;
    for _ in 0..2 {
        let mut proxied = TcpStream::connect(server.addresses[1]).await.unwrap();
        proxied
            .write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n\xef")
            .await
            .unwrap();
    }
    let sealed = client.seal(&key, PANIC);
    client.send(&sealed).await;
    assert_eq!(client.event().await, Event::Closed);
    server.stop();
    server.ended().await;
}

/// Runs `scene` and returns what is logged meanwhile by this thread, which runs all of the test's tasks.
async fn record(level: LevelFilter, scene: impl AsyncFnOnce()) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(log.clone());
    let guard = tracing::subscriber::set_default(subscriber.finish());
    scene().await;
    drop(guard);
    let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(bytes).unwrap()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

const KEY_BYTES: [u8; 256] = [0xa7; 256];
const BODY: &[u8] = b"nobody's business...";
