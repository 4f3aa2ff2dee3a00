//! Connections to other processes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint, Uri};

use super::address::Address;
use super::io::Io;
use super::role::{Peer, Role};
use super::tls::Tls;
use crate::limits::{KEEPALIVE, TLS_HANDSHAKE_MAX};

/// Returns the way to a process that has this role. It connects when it is first used, and again after each loss; what
/// is asked while there is no connection fails. Without certificates only this machine is spoken to.
#[must_use]
pub fn dial(address: Address, role: Role, tls: Option<Tls>) -> Channel {
    // Names the service's host in requests; our own connector goes where it was told to.
    let endpoint = Endpoint::from_static("http://heliogram.internal")
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .connect_timeout(TLS_HANDSHAKE_MAX);
    let to = Arc::new((address, tls));
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let to = Arc::clone(&to);
        async move {
            let (address, tls) = &*to;
            connect(address, role.name(), tls.as_ref())
                .await
                .map(TokioIo::new)
        }
    }))
}

/// Connects to somebody whose certificate has this name, if there are certificates.
async fn connect(address: &Address, name: &str, tls: Option<&Tls>) -> io::Result<Io> {
    let address = match address {
        Address::Tcp(address) => address,
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            return Ok(Io::new(stream, Peer::Local));
        }
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => tls.connect(stream, name).await,
        None if stream.peer_addr()?.ip().is_loopback() => Ok(Io::new(stream, Peer::Local)),
        None => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "without certificates only loopback addresses and Unix sockets are spoken to",
        )),
    }
}

/// Returns the way to a process that is not ours, at `host:port`: with certificates its own is one for that host. Without, only
/// this machine is spoken to.
pub(crate) fn dial_host(at: &str, tls: Option<Tls>) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{at}"))?
        .http2_keep_alive_interval(HOST_KEEPALIVE)
        .keep_alive_timeout(HOST_KEEPALIVE)
        .keep_alive_while_idle(true)
        .connect_timeout(HOST_KEEPALIVE);
    let to = Arc::new((Address::Tcp(at.to_owned()), host_of(at).to_owned(), tls));
    Ok(
        endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let to = Arc::clone(&to);
            async move {
                let (address, host, tls) = &*to;
                connect(address, host, tls.as_ref()).await.map(TokioIo::new)
            }
        })),
    )
}

/// Returns the host of `host:port`, without the brackets that IPv6 has.
fn host_of(at: &str) -> &str {
    let host = at.rsplit_once(':').map_or(at, |(host, _)| host);
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    bare.unwrap_or(host)
}

/// Returns the way to a process that is not ours, by the URL of its plain HTTP.
pub(crate) fn dial_plainly(url: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    Ok(endpoint
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .connect_timeout(TLS_HANDSHAKE_MAX)
        .connect_lazy())
}

/// Pause between two signs of life, and how long the answer to one may take: gRPC servers that are not told otherwise refuse
/// more than one in five seconds.
const HOST_KEEPALIVE: Duration = Duration::from_secs(6);

/// Bytes that may be on their way on one stream: beyond them the reader has to keep up.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;

/// Bytes that may be on their way on one connection.
pub(super) const CONNECTION_WINDOW: u32 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        assert_eq!(host_of("etcd-1.example:2379"), "etcd-1.example");
        assert_eq!(host_of("[::1]:2379"), "::1");
        assert_eq!(host_of("127.0.0.1:1"), "127.0.0.1");
    }
}
