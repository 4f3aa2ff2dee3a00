//! Connections to other processes.

use std::io;
use std::sync::Arc;

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
            connect(address, role, tls.as_ref()).await.map(TokioIo::new)
        }
    }))
}

async fn connect(address: &Address, role: Role, tls: Option<&Tls>) -> io::Result<Io> {
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
        Some(tls) => tls.connect(stream, role).await,
        None if stream.peer_addr()?.ip().is_loopback() => Ok(Io::new(stream, Peer::Local)),
        None => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "without certificates only loopback addresses and Unix sockets are spoken to",
        )),
    }
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

/// Bytes that may be on their way on one stream: beyond them the reader has to keep up.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;

/// Bytes that may be on their way on one connection.
pub(super) const CONNECTION_WINDOW: u32 = 16 << 20;
