//! The services of a process behind one listener, each for its role.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::RoutesBuilder;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::address::Address;
use super::dial::{CONNECTION_WINDOW, STREAM_WINDOW};
use super::io::Io;
use super::role::{Only, Peer, Role};
use super::tls::Tls;
use crate::backend::BackendService;
use crate::generated::DESCRIPTORS;
use crate::generated::backend::backend_server::BackendServer;
use crate::generated::backend::push_server::PushServer;
use crate::generated::cluster::auth_keys_server::AuthKeysServer;
use crate::generated::cluster::key_changes_server::KeyChangesServer;
use crate::generated::cluster::owners_server::OwnersServer;
use crate::generated::cluster::sessions_server::SessionsServer;
use crate::keys::{KeyChangesService, KeysService};
use crate::limits::{
    KEEPALIVE, MESSAGE_BYTES_MAX, REQUESTS_PER_CONNECTION_MAX, TLS_HANDSHAKE_MAX,
    TLS_HANDSHAKES_MAX,
};
use crate::metrics::ServerCounts;
use crate::owners::OwnersService;
use crate::push::PushService;
use crate::sessions::SessionsService;

/// Services that are to be served together. Health and reflection come with them, for every role.
pub struct Server {
    routes: RoutesBuilder,
    health: HealthReporter,
    names: Vec<&'static str>,
    counts: Arc<ServerCounts>,
}

impl Server {
    /// Makes a server without services.
    #[must_use]
    pub fn new() -> Self {
        Self::counted(Arc::default())
    }

    /// Makes a server without services that counts there what it does.
    #[must_use]
    pub fn counted(counts: Arc<ServerCounts>) -> Self {
        let (health, service) = tonic_health::server::health_reporter();
        let mut routes = RoutesBuilder::default();
        routes.add_service(service);
        Self {
            routes,
            health,
            names: Vec::new(),
            counts,
        }
    }

    /// Answers calls of session nodes.
    #[must_use]
    pub fn backend(mut self, service: BackendService) -> Self {
        let service = BackendServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        self.names.push("heliogram.backend.v1.Backend");
        self.add(service, Role::Session)
    }

    /// Takes updates of backends.
    #[must_use]
    pub fn push(mut self, mut service: PushService) -> Self {
        service.count(Arc::clone(&self.counts));
        let service = PushServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        self.names.push("heliogram.backend.v1.Push");
        self.add(service, Role::Backend)
    }

    /// Answers questions of gateways about keys.
    #[must_use]
    pub fn keys(mut self, mut service: KeysService) -> Self {
        service.count(Arc::clone(&self.counts));
        self.names.push("heliogram.cluster.v1.AuthKeys");
        self.add(AuthKeysServer::new(service), Role::Gateway)
    }

    /// Carries messages of gateways.
    #[must_use]
    pub fn sessions(mut self, service: SessionsService) -> Self {
        let service = SessionsServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        self.names.push("heliogram.cluster.v1.Sessions");
        self.add(service, Role::Gateway)
    }

    /// Takes what the owners at other session nodes have for those of this one.
    #[must_use]
    pub fn owners(mut self, service: OwnersService) -> Self {
        let service = OwnersServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        self.names.push("heliogram.cluster.v1.Owners");
        self.add(service, Role::Session)
    }

    /// Changes keys for session nodes.
    #[must_use]
    pub fn key_changes(mut self, service: KeyChangesService) -> Self {
        self.names.push("heliogram.cluster.v1.KeyChanges");
        self.add(KeyChangesServer::new(service), Role::Session)
    }

    /// Binds an address, port 0 for any free one. Without certificates only this machine is served.
    ///
    /// # Errors
    ///
    /// If the address can't be bound, or is not of this machine alone and there are no certificates.
    pub async fn bind(self, address: &Address, tls: Option<Tls>) -> io::Result<Bound> {
        let listener = match address {
            Address::Unix(path) => Listener::Unix(bind_unix(path).await?),
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                if tls.is_none() && !listener.local_addr()?.ip().is_loopback() {
                    return Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        "without certificates only loopback addresses and Unix sockets are served",
                    ));
                }
                Listener::Tcp(listener, tls)
            }
        };
        for name in &self.names {
            let serving = ServingStatus::Serving;
            self.health.set_service_status(*name, serving).await;
        }
        Ok(Bound {
            server: self,
            listener,
        })
    }

    fn add<S>(mut self, service: S, role: Role) -> Self
    where
        S: tower::Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<tonic::body::Body>,
                Error = std::convert::Infallible,
            > + tonic::server::NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let only = Only {
            role,
            counts: Arc::clone(&self.counts),
        };
        let service = tonic::service::interceptor::InterceptedService::new(service, only);
        self.routes.add_service(service);
        self
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// A server whose address is bound.
#[derive(Debug)]
pub struct Bound {
    server: Server,
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener, Option<Tls>),
    Unix(UnixListener),
}

impl Bound {
    /// Returns where it listens.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn address(&self) -> io::Result<Address> {
        match &self.listener {
            Listener::Tcp(listener, _) => Ok(Address::Tcp(listener.local_addr()?.to_string())),
            Listener::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address
                    .as_pathname()
                    .ok_or(io::ErrorKind::AddrNotAvailable)?;
                Ok(Address::Unix(path.to_owned()))
            }
        }
    }

    /// Returns by what services are said to be out of service, and in service again.
    #[must_use]
    pub fn health(&self) -> HealthReporter {
        self.server.health.clone()
    }

    /// Serves until `stop` is done, then until every request has its answer.
    ///
    /// # Errors
    ///
    /// If serving fails as a whole; a connection that fails does not.
    pub async fn serve(mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(io::Error::other)?;
        self.server.routes.add_service(reflection);
        let (accepted, connections) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(
            self.listener,
            accepted,
            Arc::clone(&self.server.counts),
        ));
        let served = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX)
            .add_routes(self.server.routes.routes())
            .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop)
            .await;
        accepting.abort();
        served.map_err(io::Error::other)
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted::Local(Io::new(stream, Peer::Local)))
            }
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(match tls {
                    None => Accepted::Local(Io::new(stream, Peer::Local)),
                    Some(tls) => Accepted::Stranger(stream, tls.clone()),
                })
            }
        }
    }
}

/// Somebody has connected.
enum Accepted {
    Local(Io),
    /// Has yet to show a certificate.
    Stranger(TcpStream, Tls),
}

impl Accepted {
    async fn greet(self) -> io::Result<Io> {
        match self {
            Self::Local(io) => Ok(io),
            Self::Stranger(stream, tls) => {
                tokio::time::timeout(TLS_HANDSHAKE_MAX, tls.accept(stream)).await?
            }
        }
    }
}

/// Binds a path; also one where a process has listened that has ended without a word.
async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let bound = UnixListener::bind(path);
    let is_taken = bound
        .as_ref()
        .is_err_and(|it| it.kind() == io::ErrorKind::AddrInUse);
    if !is_taken {
        return bound;
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        Ok(_) | Err(_) => bound,
    }
}

/// Takes connections until nobody wants them.
async fn accept(
    listener: Listener,
    greeted: mpsc::Sender<io::Result<Io>>,
    counts: Arc<ServerCounts>,
) {
    let handshakes = Arc::new(Semaphore::new(TLS_HANDSHAKES_MAX));
    loop {
        let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            () = greeted.closed() => return,
        };
        match stream {
            Ok(accepted) => {
                let (greeted, counts) = (greeted.clone(), Arc::clone(&counts));
                tokio::spawn(async move {
                    let _turn = turn;
                    let greeting = counts.handshakes.hold();
                    let io = accepted.greet().await;
                    drop(greeting);
                    match io {
                        Ok(io) => {
                            counts.opened.add_one();
                            let io = io.held(counts.connections.hold());
                            // Nobody takes it once the server has ended.
                            drop(greeted.send(Ok(io)).await);
                        }
                        Err(error) => {
                            counts.handshakes_failed.add_one();
                            tracing::debug!(%error, "a connection was refused");
                        }
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection is taken for a moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// After the system has refused a connection, for want of files perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
