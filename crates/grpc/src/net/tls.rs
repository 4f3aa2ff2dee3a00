//! Certificates: this process's own, and the authority that all processes of a cluster have theirs from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use parking_lot::RwLock;
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::io::Io;
use super::role::{Peer, Role};

/// Where the certificates lie, as PEM.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what TLS needs")]
pub struct TlsFiles {
    /// Of the authority, perhaps several while one follows another.
    pub authority: PathBuf,
    /// Of this process: its own, then those between it and the authority.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Certificates that are there, and can be read anew. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    files: TlsFiles,
    loaded: RwLock<Loaded>,
}

struct Loaded {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Certificates can't be used.
#[derive(Debug)]
pub struct TlsError {
    file: PathBuf,
    why: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for TlsError {}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one can't be read, or what is in it doesn't belong together.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = RwLock::new(Loaded::read(&files)?);
        Ok(Self {
            inner: Arc::new(Inner { files, loaded }),
        })
    }

    /// Reads the files again: connections that are made from now on use what is in them. After an error those before are
    /// used on.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn reload(&self) -> Result<(), TlsError> {
        let loaded = Loaded::read(&self.inner.files)?;
        *self.inner.loaded.write() = loaded;
        Ok(())
    }

    /// Takes a connection of somebody who shows a certificate.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Io> {
        let config = Arc::clone(&self.inner.loaded.read().server);
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let (_, connection) = stream.get_ref();
        let certificates = connection.peer_certificates().unwrap_or_default();
        let peer = Peer::Certified(certificates.first().map(roles).unwrap_or_default());
        Ok(Io::new(stream, peer))
    }

    /// Connects to somebody whose certificate has this name: a DNS name, or an IP address.
    pub(super) async fn connect(&self, stream: TcpStream, name: &str) -> io::Result<Io> {
        let config = Arc::clone(&self.inner.loaded.read().client);
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        // Who is called may not call back: it needs no role.
        Ok(Io::new(stream, Peer::Certified(Vec::new())))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.inner.files)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.authority)? {
            roots
                .add(certificate)
                .map_err(|error| wrong(&files.authority, &error))?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&files.certificate)?;
        let key =
            PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let of_certificate = |error| wrong(&files.certificate, &error);
        let server = server_config(&provider, &roots, &files.authority)?
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(of_certificate)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(of_certificate)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(of_certificate)?;
        let (mut server, mut client) = (server, client);
        server.alpn_protocols = vec![ALPN.to_vec()];
        client.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }
}

type WantsCertificate = tokio_rustls::rustls::ConfigBuilder<
    ServerConfig,
    tokio_rustls::rustls::server::WantsServerCert,
>;

fn server_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    authority: &Path,
) -> Result<WantsCertificate, TlsError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
            .build()
            .map_err(|error| wrong(authority, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| wrong(authority, &error))?;
    Ok(config.with_client_cert_verifier(verifier))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| wrong(path, &error))?;
    if certificates.is_empty() {
        let why = "there is no certificate in it".to_owned();
        let file = path.to_owned();
        return Err(TlsError { file, why });
    }
    Ok(certificates)
}

/// Returns the roles that a verified certificate names.
fn roles(certificate: &CertificateDer<'_>) -> Vec<Role> {
    let Ok(certificate) = ParsedCertificate::try_from(certificate) else {
        return Vec::new();
    };
    let names = |role: &Role| {
        ServerName::try_from(role.name())
            .is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
    };
    Role::ALL.into_iter().filter(names).collect()
}

fn wrong(file: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError {
        file: file.to_owned(),
        why: error.to_string(),
    }
}

const ALPN: &[u8] = b"h2";
