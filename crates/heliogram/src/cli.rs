//! The command line: what may be said, and which command it is handed to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::bench::{self, Benchmark};
use crate::commands;
use crate::commands::call::CallOptions;
use crate::commands::ready::ReadyOptions;
use crate::commands::serve::Part;
use crate::commands::watch::WatchOptions;
use crate::config::{Config, DcId, parse_address};
use crate::remote::EXIT_CODES;

/// Reads the command line, runs the command, and prints what went wrong with all its causes.
pub(crate) fn run() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Call(options) => return Ok(commands::call::run(&options)),
        Command::Watch(options) => return Ok(commands::watch::run(&options)),
        Command::Ready(options) => return commands::ready::run(&options),
        Command::Serve(options) => {
            let through_grpc = options.through_grpc;
            commands::serve::run(Part::Everything { through_grpc }, || options.effective())
        }
        Command::Gateway(options) => commands::serve::run(Part::Gateway, || options.effective()),
        Command::Session(options) => commands::serve::run(Part::Session, || options.effective()),
        Command::Migrate { config } => commands::migrate::run(&effective(Some(&config), |_| ())?),
        Command::Keygen { data } => commands::keygen::run(&data),
        Command::Fingerprint { file } => commands::fingerprint::run(&file),
        Command::Config {
            command: ConfigCommand::Show(options),
        } => commands::config_show::run(&options.effective()?),
        Command::Bench { benchmarks } => bench::run(&benchmarks),
    }?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Parser)]
#[command(
    name = "heliogram",
    version,
    about = "One engine for MTProto 2.0: a server, and tools beside it",
    after_help = "To begin: `heliogram serve`. It prints how to connect a client.",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a server in one process, with an embedded store and a built-in backend.
    #[command(after_help = RUNNING)]
    Serve(ServeOptions),
    /// Runs a gateway of a cluster: it holds clients' connections, and carries their messages to session nodes.
    ///
    /// Finds the session nodes through etcd (`[cluster]` of the configuration), asks them for keys, and holds no password of
    /// a database. All gateways have the same RSA keys: `server_keys`.
    #[command(after_help = RUNNING)]
    Gateway(GatewayOptions),
    /// Runs a session node of a cluster: it holds sessions, and asks backends.
    ///
    /// Takes its share of all sessions when it joins, and hands it to the other nodes when it ends. Wants
    /// `[store] kind = "cluster"`, etcd (`[cluster]`), and `heliogram migrate` to have been run.
    #[command(after_help = RUNNING)]
    Session(SessionOptions),
    /// Makes the tables of a cluster's store in MySQL or MariaDB, or brings them up to date.
    ///
    /// Wants `[store] kind = "cluster"` in the configuration. Run it once before the first start and after each update; it
    /// may be run again, and while others serve.
    Migrate {
        /// Configuration in TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Makes the server's RSA key, if there is none, and prints its fingerprint.
    Keygen {
        /// Directory that gets `server_private.pem` and `server_public.pem`.
        #[arg(long, value_name = "DIR", default_value = "./heliogram-data")]
        data: PathBuf,
    },
    /// Prints the fingerprint of an RSA key, public or private.
    Fingerprint {
        /// A PEM file: PKCS#1, or PKCS#8 for a private key.
        file: PathBuf,
    },
    /// Asks a process of this machine whether it is ready, and fails if it is not: for scripts and containers.
    Ready(ReadyOptions),
    /// Calls one method of a server and prints its answer as JSON: curl for MTProto.
    ///
    /// Any method of layer 222, or of a schema file. --describe tells what it takes; arguments are, as their types say:
    ///
    /// id=5, message=hello, silent=true, peer=inputPeerSelf, peer=inputPeerUser peer.user_id=7 peer.access_hash=1,
    /// id.0=inputUserSelf, 'id=[{"_":"inputUserSelf"}]', bytes=hex:c0ffee, bytes@=FILE, query=help.getConfig
    ///
    /// Without options it calls what `heliogram serve` in this directory serves.
    #[command(after_help = EXIT_CODES)]
    Call(CallOptions),
    /// Prints what a server sends unasked, one line of JSON each, until Ctrl-C.
    ///
    /// Updates go to standard output, everything else to standard error. Reconnects by itself; whether updates were lost
    /// in between is said, but they are not asked for.
    #[command(after_help = EXIT_CODES)]
    Watch(WatchOptions),
    /// Looks at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Measures this machine: a server in this process, beside a plain peer. Takes half a minute.
    ///
    /// What single messages cost is measured in the source tree by `cargo bench -p heliogram-crypto`, memory per
    /// connection by `cargo bench -p heliogram --bench heap`.
    Bench {
        /// What to measure [default: all]
        benchmarks: Vec<Benchmark>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints the configuration that `serve` would run with, secrets redacted.
    Show(ServeOptions),
}

/// What may be said on the command line wins over the file, and the file over the defaults.
#[derive(Args, Debug, Default)]
struct ServeOptions {
    #[command(flatten)]
    clients: ClientOptions,
    /// The data centre that clients are told they reached, unless their key names another that is served [default: 2]
    #[arg(long, value_name = "N", value_parser = parse_dc)]
    dc: Option<DcId>,
    /// Configuration in TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Everything in one process, but with gRPC between its halves: for tests and measurements.
    #[arg(long, hide = true)]
    through_grpc: bool,
}

/// As for `serve`, without what a gateway has nothing to say about.
#[derive(Args, Debug)]
struct GatewayOptions {
    #[command(flatten)]
    clients: ClientOptions,
    /// Configuration in TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What the nodes of a cluster differ in, so that they can share a file.
#[derive(Args, Debug)]
struct SessionOptions {
    /// Directory for what this process says of itself [default: ./heliogram-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The node's name: the same after a restart, no other's [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Address for gateways and other nodes: host:port or unix:/path [default: 127.0.0.1:7003]
    #[arg(long, value_name = "ADDR")]
    cluster_listen: Option<String>,
    /// Where they reach it, if that is elsewhere: host:port or unix:/path
    #[arg(long, value_name = "ADDR")]
    advertise: Option<String>,
    /// Address for `GET /live`, `GET /ready` and `GET /metrics` [default: 127.0.0.1:8088]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin: Option<SocketAddr>,
    /// Configuration in TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Where clients, and whoever looks after the process, reach it.
#[derive(Args, Debug, Default)]
struct ClientOptions {
    /// Directory for keys and records [default: ./heliogram-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address for TCP, all framings on each; repeatable [default: 127.0.0.1:10443 and :5222]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    listen: Vec<SocketAddr>,
    /// Address for WebSocket; repeatable [default: 127.0.0.1:11443]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    ws_listen: Vec<SocketAddr>,
    /// Address for `GET /live`, `GET /ready` and `GET /metrics` [default: 127.0.0.1:8088]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin: Option<SocketAddr>,
}

impl ServeOptions {
    fn effective(&self) -> anyhow::Result<Config> {
        effective(self.config.as_deref(), |config| {
            self.clients.apply(config);
            if let Some(dc) = self.dc {
                config.dc = dc;
            }
        })
    }
}

impl ClientOptions {
    fn apply(&self, config: &mut Config) {
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if !self.listen.is_empty() {
            config.listen.tcp.clone_from(&self.listen);
        }
        if !self.ws_listen.is_empty() {
            config.listen.websocket.clone_from(&self.ws_listen);
        }
        if let Some(admin) = self.admin {
            config.listen.admin = admin;
        }
    }
}

impl GatewayOptions {
    fn effective(&self) -> anyhow::Result<Config> {
        effective(Some(&self.config), |config| self.clients.apply(config))
    }
}

impl SessionOptions {
    fn effective(&self) -> anyhow::Result<Config> {
        let change = |config: &mut Config| {
            if let Some(data) = &self.data {
                config.data.clone_from(data);
            }
            if let Some(admin) = self.admin {
                config.listen.admin = admin;
            }
            let cluster = &mut config.cluster;
            if let Some(listen) = &self.cluster_listen {
                cluster.listen.clone_from(listen);
            }
            cluster.node = self.node.clone().or(cluster.node.take());
            cluster.advertise = self.advertise.clone().or(cluster.advertise.take());
        };
        effective(Some(&self.config), change)
    }
}

/// Reads the file, if there is one, lets the command line win over it, and checks the whole.
fn effective(file: Option<&Path>, change: impl FnOnce(&mut Config)) -> anyhow::Result<Config> {
    let mut config = match file {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    change(&mut config);
    let checked = config.checked();
    match file {
        Some(path) => checked.with_context(|| format!("configuration {}", path.display())),
        None => checked,
    }
}

/// What all processes that serve have in common.
const RUNNING: &str = "SIGTERM or Ctrl-C ends it in order. SIGHUP has it read certificates, RSA keys and listeners \
                       anew. HELIOGRAM_LOG=debug in the environment shows every connection and why it closed.";

fn parse_dc(text: &str) -> Result<DcId, String> {
    let number = text.parse::<i64>().map_err(|_| DcId::EXPECTED.to_owned())?;
    DcId::try_from(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("heliogram").chain(arguments.iter().copied()))
    }

    fn effective(arguments: &[&str]) -> anyhow::Result<Config> {
        let Command::Serve(options) = parse(arguments).unwrap().command else {
            panic!("not serve: {arguments:?}");
        };
        options.effective()
    }

    #[test]
    fn serve_without_options_has_the_defaults() {
        assert_eq!(effective(&["serve"]).unwrap(), Config::default());
    }

    #[test]
    fn given_addresses_replace_the_default_ones() {
        let config = effective(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--listen",
            "[::1]:0",
            "--ws-listen",
            "127.0.0.1:1",
            "--admin",
            "127.0.0.1:2",
            "--data",
            "/d",
            "--dc",
            "4",
        ])
        .unwrap();

        assert_eq!(
            config.listen.tcp,
            ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]
        );
        assert_eq!(config.listen.websocket, ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(config.listen.admin, "127.0.0.1:2".parse().unwrap());
        assert_eq!(config.data, PathBuf::from("/d"));
        assert_eq!(config.dc, DcId::try_from(4).unwrap());
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heliogram.toml");
        std::fs::write(&path, "dc = 3\n[listen]\nadmin = \"127.0.0.1:9\"\n").unwrap();

        let config =
            effective(&["serve", "--config", path.to_str().unwrap(), "--dc", "5"]).unwrap();

        assert_eq!(config.dc, DcId::try_from(5).unwrap());
        assert_eq!(config.listen.admin, "127.0.0.1:9".parse().unwrap());
    }

    #[test]
    fn dc_0_and_1000_are_refused_and_999_is_not() {
        assert!(parse(&["serve", "--dc", "0"]).is_err());
        assert!(parse(&["serve", "--dc", "999"]).is_ok());
        assert!(
            parse(&["serve", "--dc", "1000"])
                .unwrap_err()
                .to_string()
                .contains(DcId::EXPECTED)
        );
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        for option in ["--listen", "--ws-listen", "--admin"] {
            let error = parse(&["serve", option, "127.0.0.1"]).unwrap_err();

            assert!(error.to_string().contains("an IP address and a port"));
        }
    }

    #[test]
    fn a_dc_that_is_not_among_the_served_ones_is_refused() {
        let error = effective(&["serve", "--dc", "6"]).unwrap_err().to_string();

        assert!(
            error.contains("dc") && error.contains("served_dcs"),
            "{error}"
        );
    }
}
