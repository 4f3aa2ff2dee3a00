//! The configuration of `heliogram serve`, `gateway`, `session` and `migrate`: one TOML file, its defaults, and what is
//! wrong with it. Each command uses what concerns it.
//!
//! Every key has a default; a key that is not known, or whose value is not one that was expected, is an error that
//! names the key, the file and what was expected.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use heliogram_proto::limits;
use serde::{Deserialize, Serialize};

pub(crate) use self::backend::{Backend, Route, Tls};
pub(crate) use self::cluster::Cluster;
pub(crate) use self::store::{Store, StoreKind};
pub(crate) use self::traces::Traces;
pub(crate) use self::values::{ApiHash, DcId, LogFilter, Network, ProxySecret, parse_address};

mod backend;
mod cluster;
mod store;
mod traces;
mod values;

/// Everything that a process can be told.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Directory for keys and records.
    pub(crate) data: PathBuf,
    /// The data centre of a client whose key names none that is served.
    pub(crate) dc: DcId,
    /// The data centres that this server answers for; their test and media forms go with them.
    pub(crate) served_dcs: Vec<DcId>,
    /// Files of RSA keys that clients may know, PEM; one is made in the data directory if there are none.
    pub(crate) server_keys: Vec<PathBuf>,
    /// Where it listens.
    pub(crate) listen: Listen,
    /// What connections may take.
    pub(crate) limits: Limits,
    /// What connections may send before the protocol proper.
    pub(crate) transport: Transport,
    /// Which applications may connect.
    pub(crate) api: Api,
    /// Where keys are kept.
    pub(crate) store: Store,
    /// How the processes of a cluster find each other.
    pub(crate) cluster: Cluster,
    /// Who answers calls.
    pub(crate) backend: Backend,
    /// Who may ask the admin address.
    pub(crate) admin: Admin,
    /// Where traces go.
    pub(crate) traces: Traces,
    /// What is logged.
    pub(crate) log: Log,
}

/// Addresses; port 0 lets the system choose.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    /// TCP: every framing, plain or obfuscated, on each.
    #[serde(deserialize_with = "values::addresses")]
    pub(crate) tcp: Vec<SocketAddr>,
    /// WebSocket at `/apiws`.
    #[serde(deserialize_with = "values::addresses")]
    pub(crate) websocket: Vec<SocketAddr>,
    /// `GET /live`, `GET /ready` and `GET /metrics`.
    #[serde(deserialize_with = "values::address")]
    pub(crate) admin: SocketAddr,
    /// Addresses that `help.getConfig` names instead of the bound TCP ones.
    #[serde(deserialize_with = "values::addresses")]
    pub(crate) advertise: Vec<SocketAddr>,
    /// Every connection begins with a PROXY protocol header, version 1 or 2.
    pub(crate) proxy_protocol: bool,
    /// Networks whose PROXY headers are believed; connections of others are closed.
    pub(crate) proxies: Vec<Network>,
}

/// Maxima; those of an address do not hold for trusted networks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Key exchanges that one address may start in a minute, on average.
    pub(crate) handshakes_per_minute: NonZeroU32,
    /// Key exchanges that one address may start at once.
    pub(crate) handshakes_burst: NonZeroU32,
    /// Connections of one address.
    pub(crate) connections_per_address: NonZeroU32,
    /// Connections in total.
    pub(crate) connections_total: NonZeroU32,
    /// Networks that are exempt from the limits of one address.
    pub(crate) trusted_networks: Vec<Network>,
    /// Seconds that shutdown waits for calls that are running and answers that are on their way.
    pub(crate) shutdown_grace_s: u32,
}

/// The transport below the protocol.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Transport {
    /// Secrets of obfuscated connections, 32 hexadecimal digits, or `dd` and 32 to prescribe padded framing.
    /// Connections without a secret stay allowed.
    pub(crate) secrets: Vec<ProxySecret>,
}

/// Which applications may connect; checked at `initConnection`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Api {
    /// Pairs of `api_id` and `api_hash`; any application if there are none.
    pub(crate) allowed: Vec<Application>,
}

/// One application.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    /// As the client says it in `initConnection`.
    pub(crate) api_id: i32,
    /// As the client says it when it asks for a login code.
    pub(crate) api_hash: ApiHash,
}

/// The admin address.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// The file of the token without which nobody is shown the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Logging.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Directives such as `info` or `heliogram_gateway=debug,warn`.
    pub(crate) filter: LogFilter,
}

impl Config {
    /// Reads a file; the result is not [`checked`](Self::checked) yet, since the command line may change it.
    ///
    /// # Errors
    ///
    /// If the file can't be read, is not TOML, has a key that is not known, or a value that was not expected.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("configuration {} can't be read", path.display()))?;
        Self::parse(&text).with_context(|| format!("configuration {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let document =
            toml::Deserializer::parse(text).map_err(|error| locate(text, &error, None))?;
        serde_path_to_error::deserialize(document)
            .map_err(|error| locate(text, error.inner(), Some(&error.path().to_string())))
    }

    /// Checks what no value can know alone.
    ///
    /// # Errors
    ///
    /// If two keys contradict each other.
    pub(crate) fn checked(self) -> anyhow::Result<Self> {
        if !self.served_dcs.contains(&self.dc) {
            bail!(
                "key `dc`: {} is not in `served_dcs`; expected one of {:?}",
                self.dc,
                self.served_dcs
            );
        }
        if !self.listen.admin.ip().is_loopback() && self.admin.token_file.is_none() {
            bail!(
                "key `listen.admin`: others than this machine reach {}; set `admin.token_file` to a file with a \
                 token, such as `openssl rand -hex 32` makes",
                self.listen.admin
            );
        }
        if self.listen.tcp.is_empty() && self.listen.websocket.is_empty() {
            bail!("keys `listen.tcp` and `listen.websocket`: expected at least one address");
        }
        self.store.check()?;
        self.cluster.check()?;
        self.backend.check()?;
        self.traces.check()?;
        Ok(self)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("heliogram-data"),
            dc: DcId::DEFAULT,
            served_dcs: DcId::defaults(),
            server_keys: Vec::new(),
            listen: Listen::default(),
            limits: Limits::default(),
            transport: Transport::default(),
            api: Api::default(),
            store: Store::default(),
            cluster: Cluster::default(),
            backend: Backend::default(),
            admin: Admin::default(),
            traces: Traces::default(),
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            tcp: vec![local(10443), local(5222)],
            websocket: vec![local(11443)],
            admin: local(8088),
            advertise: Vec::new(),
            proxy_protocol: false,
            proxies: Network::loopback(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes_per_minute: at_least_one(limits::HANDSHAKES_PER_MINUTE),
            handshakes_burst: at_least_one(limits::HANDSHAKES_BURST),
            connections_per_address: at_least_one(limits::CONNECTIONS_PER_ADDRESS_MAX),
            connections_total: at_least_one(limits::CONNECTIONS_MAX),
            trusted_networks: Network::loopback(),
            shutdown_grace_s: 10,
        }
    }
}

/// A default that is not zero; zero would mean that nobody may connect.
const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// Says where the error is: the key, the line, and what the reader expected.
fn locate(text: &str, error: &toml::de::Error, path: Option<&str>) -> anyhow::Error {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| {
            before.bytes().filter(|&byte| byte == b'\n').count() + 1
        });
    let message = error.message();
    match path {
        Some(path) => anyhow::anyhow!("line {line}, key `{path}`: {message}"),
        None => anyhow::anyhow!("line {line}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole message as a user sees it, for a file named `x.toml` with this text.
    fn error_of(text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        format!("{:#}", Config::load(&path).unwrap_err())
    }

    fn assert_names(error: &str, parts: &[&str]) {
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_defaults_survive_being_written_and_read() {
        let text = toml::to_string(&Config::default()).unwrap();

        assert_eq!(Config::parse(&text).unwrap(), Config::default());
    }

    #[test]
    fn the_documented_configuration_has_every_key_with_its_default() {
        let documented = include_str!("../../../docs/heliogram.toml");

        assert_eq!(Config::parse(documented).unwrap(), Config::default());
        let defaults = toml::to_string(&Config::default()).unwrap();
        let keys = defaults.lines().filter_map(|line| line.split_once(" = "));
        let optional = [
            "master_key_file",
            "mysql",
            "mysql_file",
            "redis",
            "redis_file",
            "etcd_user",
            "etcd_password_file",
            "node",
            "advertise",
            "address",
            "push_listen",
            "tls",
            "methods",
            "name",
            "endpoint",
        ];
        for (key, _) in keys.chain(optional.map(|key| (key, ""))) {
            assert!(documented.contains(&format!("{key} = ")), "{key}");
        }
    }

    #[test]
    fn a_share_of_traces_is_from_0_to_1_and_their_collector_a_url_of_plain_http() {
        let checked = |text: &str| Config::parse(text).unwrap().checked();
        for share in ["0.0", "1.0", "0.01"] {
            assert!(checked(&format!("[traces]\nsample = {share}\n")).is_ok());
        }
        for share in ["-0.01", "1.01", "nan"] {
            let error = checked(&format!("[traces]\nsample = {share}\n")).unwrap_err();
            assert_names(&format!("{error:#}"), &["`traces.sample`", "0.01"]);
        }
        assert!(checked("[traces]\nendpoint = 'http://collector:4317'\n").is_ok());
        let error = checked("[traces]\nendpoint = 'https://collector:4317'\n").unwrap_err();
        assert_names(&format!("{error:#}"), &["`traces.endpoint`", "http://"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_known_ones() {
        assert_names(
            &error_of("dc = 2\ndcc = 2\n"),
            &[
                "x.toml",
                "line 2",
                "`dcc`",
                "expected one of",
                "`served_dcs`",
            ],
        );
        assert_names(
            &error_of("[listen]\nport = 1\n"),
            &["x.toml", "line 2", "`listen.port`", "`websocket`"],
        );
        assert_names(
            &error_of("[[api.allowed]]\napi_id = 4\nhash = 'x'\n"),
            &["x.toml", "line 3", "`api.allowed[0].hash`", "`api_hash`"],
        );
    }

    #[test]
    fn a_value_of_a_wrong_type_is_named_with_what_was_expected() {
        assert_names(
            &error_of("dc = 'two'"),
            &["x.toml", "`dc`", "two", DcId::EXPECTED],
        );
        assert_names(
            &error_of("[limits]\nhandshakes_burst = -1"),
            &["`limits.handshakes_burst`", "-1", "u32"],
        );
        assert_names(
            &error_of("[limits]\nconnections_total = 0"),
            &["`limits.connections_total`", "0", "nonzero"],
        );
        assert_names(
            &error_of("[log]\nfilter = 'a=b=c'"),
            &["`log.filter`", "a=b=c", "info"],
        );
        assert_names(
            &error_of("[store]\nkind = 'redis'"),
            &["`store.kind`", "redis", "`cluster`", "`file`", "`memory`"],
        );
        assert_names(&error_of("listen = 3"), &["`listen`", "3"]);
    }

    #[test]
    fn a_value_out_of_range_is_named_with_what_was_expected() {
        assert_names(&error_of("dc = 1000"), &["`dc`", "1000", DcId::EXPECTED]);
        assert_names(
            &error_of("[listen]\ntcp = ['127.0.0.1:1', 'abc']"),
            &["`listen.tcp[1]`", "an IP address and a port"],
        );
        assert_names(
            &error_of("[listen]\nadmin = '127.0.0.1'"),
            &["`listen.admin`", "an IP address and a port"],
        );
        assert_names(
            &error_of("[limits]\ntrusted_networks = ['10.0.0.0/33']"),
            &["`limits.trusted_networks[0]`", "/33"],
        );
        assert_names(
            &error_of("[transport]\nsecrets = ['00ff']"),
            &["`transport.secrets[0]`", "32 hexadecimal digits"],
        );
    }

    #[test]
    fn an_error_about_a_secret_does_not_show_it() {
        let error = error_of("[transport]\nsecrets = ['0123456789abcdef0123456789abcde']");

        assert!(!error.contains("0123456789"), "{error}");
    }

    #[test]
    fn text_that_is_not_toml_is_named_with_its_line() {
        assert_names(&error_of("dc = 2\n[listen\n"), &["x.toml", "line 2"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert_names(
            &format!(
                "{:#}",
                Config::load(Path::new("/nowhere/y.toml")).unwrap_err()
            ),
            &["/nowhere/y.toml"],
        );
    }

    #[test]
    fn a_backend_whose_address_is_none_or_that_pushes_without_being_there_is_refused() {
        let checked = |text: &str| Config::parse(text).unwrap().checked();
        for address in ["127.0.0.1:1", "node:1", "unix:/run/backend"] {
            let text = format!("[backend]\naddress = '{address}'\npush_listen = '{address}'\n");
            assert!(checked(&text).is_ok(), "{address}");
        }
        let error = checked("[backend]\naddress = 'node'\n").unwrap_err();
        assert_names(
            &format!("{error:#}"),
            &["`backend.address`", "node", "host:port"],
        );
        let error = checked("[backend]\npush_listen = '[::1]:1'\n").unwrap_err();
        assert_names(
            &format!("{error:#}"),
            &["`backend.push_listen`", "`backend.address`"],
        );
    }

    #[test]
    fn a_cluster_s_store_needs_a_database_and_a_master_key_and_others_have_none() {
        let outcome = |text: &str| {
            Config::parse(&format!("[store]\n{text}"))
                .unwrap()
                .checked()
        };
        let error_of = |text: &str| format!("{:#}", outcome(text).unwrap_err());
        let (mysql, master) = (
            "mysql = 'mysql://u:p@h/d'\n",
            "master_key_file = 'master.key'\n",
        );
        let cluster = "kind = 'cluster'\n";

        assert!(outcome(&format!("{cluster}{mysql}{master}")).is_ok());
        assert!(outcome(&format!("{cluster}mysql_file = 'f'\n{master}")).is_ok());
        let error = error_of(&format!("{cluster}{master}"));
        assert_names(&error, &["`store.mysql`", "mysql://user:password@"]);
        let error = error_of(&format!("{cluster}{mysql}"));
        assert_names(&error, &["`store.master_key_file`", "openssl rand"]);
        assert_names(&error_of(mysql), &["`store.kind`", "cluster"]);
        assert_names(&error_of("redis_file = 'f'\n"), &["`store.kind`"]);
        let error = error_of(&format!("{cluster}{mysql}mysql_file = 'f'\n{master}"));
        assert_names(&error, &["`store.mysql`", "`store.mysql_file`", "one of"]);
    }

    #[test]
    fn a_database_s_url_shows_in_no_form() {
        let text = "[store]\nmysql = 'mysql://u:pa55@h/d'\nredis = 'redis://:pa55@h'\n";
        let config = Config::parse(text).unwrap();
        assert!(!format!("{config:?}").contains("pa55"));
        assert!(!toml::to_string(&config).unwrap().contains("pa55"));
        for text in ["mysql = 'http://u:pa55@h/d'", "redis = 'pa55@h'"] {
            let error = error_of(&format!("[store]\n{text}\n"));
            assert!(!error.contains("pa55"), "{error}");
            assert_names(&error, &["expected", "line 2"]);
        }
    }

    #[test]
    fn a_database_s_url_may_be_in_a_file_that_no_error_shows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        let mut store = Store {
            mysql_file: Some(path.clone()),
            ..Store::default()
        };
        std::fs::write(&path, "mysql://u:pa55@h/d\n").unwrap();
        assert_eq!(store.mysql().unwrap().as_str(), "mysql://u:pa55@h/d");

        std::fs::write(&path, "redis://:pa55@h\n").unwrap();
        let error = format!("{:#}", store.mysql().unwrap_err());
        assert_names(&error, &["`store.mysql_file`", "mysql://user"]);
        assert!(!error.contains("pa55"), "{error}");
        assert_eq!(store.redis().unwrap(), None);
        store.redis_file = Some(path);
        assert_eq!(store.redis().unwrap().unwrap().as_str(), "redis://:pa55@h");
    }

    #[test]
    fn what_a_cluster_is_called_and_where_it_is_reached_is_checked() {
        let outcome = |text: &str| {
            Config::parse(&format!("[cluster]\n{text}\n"))
                .unwrap()
                .checked()
        };
        let long = "n".repeat(64);
        for (good, bad) in [
            ("name = 'a-b_c.9'", "name = 'a/b'"),
            (
                &*format!("node = '{}'", &long[..63]),
                &*format!("node = '{long}'"),
            ),
            ("node = 'n'", "node = ''"),
            ("listen = 'unix:/run/n'", "listen = '7003'"),
            ("advertise = 'node-1:7003'", "advertise = 'node-1'"),
            ("etcd = ['https://etcd:2379']", "etcd = []"),
            ("etcd = ['http://[::1]:1']", "etcd = ['127.0.0.1:2379']"),
            (
                "etcd_user = 'u'\netcd_password_file = 'f'",
                "etcd_user = 'u'",
            ),
            ("lease_s = 2", "lease_s = 1"),
            ("lease_s = 600", "lease_s = 601"),
        ] {
            assert!(outcome(good).is_ok(), "{good}");
            let (key, _) = bad.split_once(' ').unwrap();
            let error = format!("{:#}", outcome(bad).unwrap_err());
            assert_names(&error, &[&format!("`cluster.{key}`")]);
        }
    }

    #[test]
    fn a_route_has_methods_an_address_and_limits_of_its_own_only_if_it_says_so() {
        let route = "[[backend.routes]]\nmethods = ['upload.*']\naddress = 'unix:/run/files'\n";
        let config = Config::parse(&format!("{route}patience_s = 5\n")).unwrap();
        let config = config.checked().unwrap();
        let [route_read] = &*config.backend.routes else {
            panic!("one route")
        };
        assert_eq!(route_read.patience_s, NonZeroU32::new(5));
        assert_eq!((route_read.calls_max, route_read.streaming), (None, None));
        let text = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&text).unwrap(), config);

        let error = |text: &str| {
            let error = Config::parse(text).unwrap().checked().unwrap_err();
            format!("{error:#}")
        };
        let nowhere = route.replace("unix:/run/files", "files");
        assert_names(&error(&nowhere), &["`backend.routes[0].address`", "files"]);
        let nothing = route.replace("'upload.*'", "");
        assert_names(&error(&nothing), &["`backend.routes[0].methods`"]);
        assert_names(
            &error_of(&format!("{route}calls_max = 0\n")),
            &["`backend.routes[0].calls_max`", "nonzero"],
        );
        // Who answers some calls may push, too.
        let pushes = format!("[backend]\npush_listen = '[::1]:1'\n{route}");
        assert!(Config::parse(&pushes).unwrap().checked().is_ok());
    }

    #[test]
    fn a_server_without_any_address_is_refused() {
        let mut config = Config::parse("[listen]\ntcp = []\n").unwrap();
        assert!(config.clone().checked().is_ok());

        config.listen.websocket.clear();

        assert!(config.checked().is_err());
    }
}
