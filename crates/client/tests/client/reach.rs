//! Ways to a server: through a SOCKS5 proxy, over IPv6.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heliogram_client::Proxy;
use heliogram_gateway::Listener;
use heliogram_testkit::backend::{Backend, Cloud};
use heliogram_testkit::server::{Server as Real, Setup, public_key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Count, Server, client_of};

#[tokio::test]
async fn a_socks5_proxy_carries_calls_and_asks_for_a_password_if_it_wants() {
    let server = Server::start();
    for credentials in [None, Some(("user", "secret"))] {
        let (address, connections) = socks5(credentials).await;
        let mut proxy = Proxy::socks5(address);
        if let Some((user, password)) = credentials {
            proxy = proxy.with_password(user, password);
        }
        let client = server.client().proxy(proxy).connect().await.unwrap();
        assert_eq!(client.invoke(&Count(3)).await, Ok(3));
        assert_eq!(connections.load(Ordering::Relaxed), 1, "through the proxy");
        client.shutdown().await;
    }
}

#[tokio::test]
async fn ipv6_carries_calls() {
    let backend = Backend::new(2, &Cloud::new());
    let mut setup = Setup::new(backend);
    setup.gateway.listeners = vec![Listener::tcp("[::1]:0".parse().unwrap())];
    let server = match Real::start(setup) {
        // A machine without IPv6 can't show it.
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => return,
        server => server.unwrap(),
    };
    assert!(server.address().is_ipv6());
    let builder = client_of(server.address()).server_key(public_key());
    let client = builder.connect().await.unwrap();
    assert_eq!(client.invoke(&Count(3)).await, Ok(3));
    client.shutdown().await;
}

/// A SOCKS5 proxy: returns where it listens, and how many connections it has carried.
async fn socks5(
    credentials: Option<(&'static str, &'static str)>,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let carried = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let carried = Arc::clone(&carried);
            tokio::spawn(async move {
                let target = greet(client, credentials).await;
                let Ok((mut client, mut server)) = target else {
                    return;
                };
                carried.fetch_add(1, Ordering::Relaxed);
                // Either end may hang up as it likes.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, connections)
}

/// Source: RFC 1928 and RFC 1929.
async fn greet(
    mut client: TcpStream,
    credentials: Option<(&str, &str)>,
) -> io::Result<(TcpStream, TcpStream)> {
    let [version, methods] = read(&mut client).await?;
    assert_eq!(version, 5);
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).await?;
    let wanted = if credentials.is_some() { 2 } else { 0 };
    assert!(offered.contains(&wanted));
    client.write_all(&[5, wanted]).await?;
    if let Some((user, password)) = credentials {
        let [_, length] = read(&mut client).await?;
        let mut given = vec![0; length.into()];
        client.read_exact(&mut given).await?;
        assert_eq!(given, user.as_bytes());
        let [length] = read(&mut client).await?;
        let mut given = vec![0; length.into()];
        client.read_exact(&mut given).await?;
        assert_eq!(given, password.as_bytes());
        client.write_all(&[1, 0]).await?;
    }
    // CONNECT to an IPv4 address.
    assert_eq!(read(&mut client).await?, [5, 1, 0, 1]);
    let ip: [u8; 4] = read(&mut client).await?;
    let port = u16::from_be_bytes(read(&mut client).await?);
    let target = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port);
    let server = TcpStream::connect(target).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok((client, server))
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
