//! Which server a tool calls, and how it gets there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use heliogram_client::storage::{File, Protection};
use heliogram_client::{
    Builder, Client, DataCentre, Framing, MtProxy, Obfuscation, Proxy, ProxySecret, PublicKey,
    Reconnect, Transport,
};
use heliogram_proto::transport::Secret;

use super::Failure;

/// Which server, and how.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectOptions {
    /// Where the server is; repeatable, the first that answers is taken.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:10443")]
    server: Vec<String>,
    /// The server's RSA key, in PEM; repeatable. Nobody else is talked to.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "./heliogram-data/server_public.pem"
    )]
    pubkey: Vec<PathBuf>,
    /// The data centre that the server is.
    #[arg(long, value_name = "N", default_value_t = 2)]
    dc: i32,
    /// The data centre is one of the test ones.
    #[arg(long)]
    test: bool,
    /// What is spoken below messages.
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    transport: TransportName,
    /// Don't make the bytes look random.
    #[arg(long, conflicts_with = "secret")]
    plain: bool,
    /// The secret that the server asks for, in hex or Base64; one that begins with ee disguises the connection as a
    /// browser's.
    #[arg(long, value_name = "SECRET")]
    secret: Option<ProxySecret>,
    /// Goes through a proxy: socks5://ADDRESS:PORT, with USER:PASSWORD@ before the address if it asks, or the link of an
    /// MTProxy, tg://proxy?server=…; with one of each, through the first to the second.
    #[arg(long, value_name = "URL")]
    proxy: Vec<ProxyUrl>,
    /// Keeps the key in this file, mode 0600, and comes back with it; without, each run makes a key and forgets it.
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// The first line of this file is the passphrase that seals the session.
    #[arg(long, value_name = "FILE", requires = "session")]
    passphrase_file: Option<PathBuf>,
    /// Uses the session's permanent key itself, no temporary one.
    #[arg(long)]
    no_pfs: bool,
    /// The application's number.
    #[arg(long, value_name = "N", default_value_t = 4)]
    api_id: i32,
    /// Seconds for everything, connecting included.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u32,
    /// Seconds that the server may have a call wait (FLOOD_WAIT), in all.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u32,
}

/// A transport, by the name that it has on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum TransportName {
    /// One byte of length for most messages.
    Abridged,
    /// With a checksum; never looks random.
    Full,
    /// Four bytes of length.
    #[default]
    Intermediate,
    /// Intermediate with padding, as secrets that begin with dd ask for.
    Padded,
    /// A WebSocket at /apiws.
    Websocket,
}

impl ConnectOptions {
    /// Returns how long everything may take.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    /// Connects; comes back once calls can be made. `tries` is how a lost connection is made again.
    ///
    /// # Errors
    ///
    /// Any [`Failure`] but those that an answer makes.
    pub(crate) async fn connect(&self, layer: i32, tries: Reconnect) -> Result<Client, Failure> {
        let mut builder = self.builder().map_err(Failure::Usage)?;
        for path in &self.pubkey {
            builder = builder.server_key(public_key(path).map_err(Failure::Local)?);
        }
        builder = match &self.session {
            // A key that nobody keeps needs nothing that outlives it.
            None => builder.without_forward_secrecy(),
            Some(path) => {
                let file = self.session_file(path).map_err(Failure::Local)?;
                builder.storage(Arc::new(file))
            }
        };
        let addresses = self.addresses().await.map_err(Failure::Connect)?;
        let builder = builder
            .data_centre(DataCentre::new(self.dc, addresses))
            .layer(layer)
            .reconnect(tries);
        let connecting = tokio::time::timeout(self.timeout(), builder.connect());
        let connected = connecting.await.map_err(|_| {
            let seconds = self.timeout;
            Failure::TimedOut(anyhow!("no connection within {seconds} s: is --server right, and does it speak this --transport and --secret?"))
        })?;
        Ok(connected?)
    }

    /// Sets up what needs nothing but the options.
    fn builder(&self) -> anyhow::Result<Builder> {
        let mut builder = Client::builder()
            .api_id(self.api_id)
            // Signing in asks for it; calls do not.
            .api_hash("")
            // Nothing is called but what was asked for.
            .fixed_addresses()
            .transport(self.transport()?)
            .flood_wait_max(Duration::from_secs(self.wait.into()))
            .call_time_max(self.timeout());
        for proxy in &self.proxy {
            builder = match proxy {
                ProxyUrl::Socks5(proxy) => builder.proxy(proxy.clone()),
                ProxyUrl::MtProxy(proxy) => builder.mtproxy(proxy.clone()),
            };
        }
        if let Some(secret @ ProxySecret::Disguised(_)) = &self.secret {
            let server = self.server.first().map_or("", String::as_str);
            let (host, port) = host_and_port(server)
                .with_context(|| format!("--server {server}: expected HOST:PORT"))?;
            builder = builder.mtproxy(MtProxy::new(host, port, secret.clone()));
        }
        if self.test {
            builder = builder.test_mode();
        }
        if self.no_pfs {
            builder = builder.without_forward_secrecy();
        }
        Ok(builder)
    }

    fn transport(&self) -> anyhow::Result<Transport> {
        let secret = match &self.secret {
            // It brings its own transport.
            Some(ProxySecret::Disguised(_)) => return Ok(Transport::default()),
            Some(ProxySecret::Obfuscated(secret)) => Some(secret.clone()),
            _ => None,
        };
        let is_padded = secret.as_ref().is_some_and(Secret::requires_padding);
        let framing = match self.transport {
            TransportName::Intermediate if is_padded => Framing::PaddedIntermediate,
            TransportName::Intermediate => Framing::Intermediate,
            TransportName::Abridged => Framing::Abridged,
            TransportName::Full => Framing::Full,
            TransportName::Padded => Framing::PaddedIntermediate,
            TransportName::Websocket => {
                if secret.is_some() || self.plain {
                    bail!(
                        "a WebSocket is always obfuscated, without a secret: leave --plain and --secret out"
                    );
                }
                return Ok(Transport::WebSocket {
                    framing: Framing::Intermediate,
                    path: "/apiws".to_owned(),
                });
            }
        };
        if framing == Framing::Full && secret.is_some() {
            bail!("--transport full can't be obfuscated: leave --secret out");
        }
        let is_plain = self.plain || framing == Framing::Full;
        let obfuscation = (!is_plain).then_some(Obfuscation { secret, dc: None });
        Ok(Transport::Tcp {
            framing,
            obfuscation,
        })
    }

    fn session_file(&self, path: &Path) -> anyhow::Result<File> {
        let passphrase = match &self.passphrase_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.with_context(|| format!("{} can't be read", path.display()))?)
            }
        };
        let line = passphrase.as_deref().and_then(|text| text.lines().next());
        let protection = line.map_or(Protection::None, Protection::Passphrase);
        let opened = File::open(path, protection);
        opened.with_context(|| format!("session {}", path.display()))
    }

    /// Looks the servers' names up.
    async fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        for server in &self.server {
            let found = tokio::net::lookup_host(server).await;
            addresses.extend(found.with_context(|| {
                format!("--server {server} can't be looked up; expected HOST:PORT")
            })?);
        }
        Ok(addresses)
    }
}

fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let pem = std::fs::read_to_string(path).with_context(|| {
        let path = path.display();
        format!("the server's public key {path} can't be read; name its file with --pubkey FILE")
    })?;
    let key = PublicKey::from_pem(&pem);
    key.map_err(|error| {
        let path = path.display();
        anyhow!("{path}: {error}; expected the server's public RSA key in PEM (heliogram keygen writes server_public.pem)")
    })
}

/// Takes `name:80` and `[::1]:80` apart.
fn host_and_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host, port.parse().ok()?))
}

/// A proxy, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ProxyUrl {
    MtProxy(MtProxy),
    Socks5(Proxy),
}

impl FromStr for ProxyUrl {
    type Err = anyhow::Error;

    /// Reads `socks5://[user:password@]address:port`, or a link of an `MTProxy`.
    fn from_str(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("socks5://") else {
            let link = MtProxy::from_str(url);
            return link.map(Self::MtProxy).context(
                "expected socks5://[USER:PASSWORD@]ADDRESS:PORT or tg://proxy?server=…&port=…&secret=…",
            );
        };
        let expected = "expected socks5://[USER:PASSWORD@]ADDRESS:PORT, an IP address and a port";
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, rest),
        };
        let address = address.trim_end_matches('/').parse().ok();
        let proxy = Proxy::socks5(address.context(expected)?);
        Ok(Self::Socks5(match credentials {
            None => proxy,
            Some(credentials) => {
                let (user, password) = credentials.split_once(':').context(expected)?;
                proxy.with_password(user, password)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: ConnectOptions,
    }

    fn transport(arguments: &[&str]) -> Result<(Framing, bool, bool), String> {
        let line = std::iter::once("t").chain(arguments.iter().copied());
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        let transport = line.options.transport();
        match transport.map_err(|error| error.to_string())? {
            Transport::Tcp {
                framing,
                obfuscation,
            } => {
                let has_secret = obfuscation.as_ref().is_some_and(|it| it.secret.is_some());
                Ok((framing, obfuscation.is_some(), has_secret))
            }
            Transport::WebSocket { .. } | _ => Err("websocket".to_owned()),
        }
    }

    #[test]
    fn transports_are_obfuscated_unless_plain_or_full() {
        let cases: [(&[&str], _); 7] = [
            (&[], (Framing::Intermediate, true, false)),
            (
                &["--transport", "abridged"],
                (Framing::Abridged, true, false),
            ),
            (
                &["--transport", "padded"],
                (Framing::PaddedIntermediate, true, false),
            ),
            (&["--plain"], (Framing::Intermediate, false, false)),
            (&["--transport", "full"], (Framing::Full, false, false)),
            (&["--secret", SECRET], (Framing::Intermediate, true, true)),
            (
                &["--secret", &format!("dd{SECRET}")],
                (Framing::PaddedIntermediate, true, true),
            ),
        ];
        for (arguments, expected) in cases {
            assert_eq!(transport(arguments), Ok(expected), "{arguments:?}");
        }
        assert_eq!(
            transport(&["--transport", "websocket"]),
            Err("websocket".to_owned())
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for arguments in [
            &["--transport", "websocket", "--plain"][..],
            &["--transport", "websocket", "--secret", SECRET],
            &["--transport", "full", "--secret", SECRET],
            &["--plain", "--secret", SECRET],
            &["--secret", "00"],
            &["--passphrase-file", "f"],
        ] {
            assert!(transport(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_with_or_without_a_password_or_a_link() {
        let plain = Proxy::socks5("127.0.0.1:1080".parse().unwrap());
        assert_eq!(
            proxy("socks5://127.0.0.1:1080"),
            Some(ProxyUrl::Socks5(plain))
        );
        let with = Proxy::socks5("[::1]:1080".parse().unwrap()).with_password("me", "p@ss");
        assert_eq!(
            proxy("socks5://me:p@ss@[::1]:1080"),
            Some(ProxyUrl::Socks5(with))
        );
        let link = format!("tg://proxy?server=a.example&port=443&secret={SECRET}");
        let linked = MtProxy::new("a.example", 443, SECRET.parse().unwrap());
        assert_eq!(proxy(&link), Some(ProxyUrl::MtProxy(linked)));
        for wrong in [
            "http://127.0.0.1:1",
            "socks5://127.0.0.1",
            "socks5://me@127.0.0.1:1",
            "tg://proxy?server=a.example",
        ] {
            assert_eq!(proxy(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_disguised_secret_is_shown_to_the_server_itself() {
        let secret = format!("ee{SECRET}612e6578616d706c65");
        assert_eq!(
            transport(&["--secret", &secret]),
            Ok((Framing::Intermediate, true, false))
        );
        assert_eq!(host_and_port("[::1]:443"), Some(("::1", 443)));
        assert_eq!(host_and_port("a.example:443"), Some(("a.example", 443)));
        assert_eq!(host_and_port("a.example"), None);
        assert_eq!(host_and_port("a.example:65536"), None);
    }

    fn proxy(url: &str) -> Option<ProxyUrl> {
        url.parse().ok()
    }

    const SECRET: &str = "000102030405060708090a0b0c0d0e0f";
}
