//! MariaDB and Redis, and what happens to them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use heliogram_interop::binary;
use heliogram_testservices::{MariaDb, Redis};

use crate::load::{Load, unix_ms};
use crate::round::{Doubles, Outcome, Rounds};

/// The stores of a deployment, prepared.
pub(crate) struct Stores {
    pub(crate) mariadb: MariaDb,
    pub(crate) redis: Redis,
    /// The section of the configuration.
    pub(crate) section: String,
    /// Where a process keeps nothing: for commands that end.
    dir: PathBuf,
}

impl Stores {
    /// Starts them, and makes the tables by `heliogram migrate`.
    pub(crate) fn start(within: &Path) -> Self {
        let (mariadb, redis) = (MariaDb::start().unwrap(), Redis::start().unwrap());
        let dir = within.join("stores");
        std::fs::create_dir_all(&dir).unwrap();
        let master_key = dir.join("master.key");
        std::fs::write(&master_key, format!("1 {}\n", "5a".repeat(32))).unwrap();
        restrict(&master_key);
        let section = format!(
            "[store]\nkind = 'cluster'\nmysql = '{}'\nredis = '{}'\nmaster_key_file = '{}'\n",
            mariadb.url(),
            redis.url(),
            master_key.display(),
        );
        let stores = Self {
            mariadb,
            redis,
            section,
            dir,
        };
        stores.migrate();
        stores
    }

    fn migrate(&self) {
        let config = self.dir.join("migrate.toml");
        std::fs::write(&config, &self.section).unwrap();
        let mut migrate = Command::new(binary());
        let migrate = migrate.args(["migrate", "--config"]).arg(&config);
        let output = migrate.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// Everything that the cache has is gone.
pub(crate) fn redis_flushed(rounds: &mut Rounds, stores: &Stores) {
    let outcome = rounds.run("Redis flushed", Doubles::None, || {
        assert!(stores.redis.ask("FLUSHALL").unwrap().starts_with("+OK"));
    });
    unnoticed(&outcome);
}

/// There is no cache: slower, not wrong, for newcomers too.
pub(crate) fn redis_down(rounds: &mut Rounds, stores: &mut Stores) {
    let outcome = rounds.run_with("Redis down for 5 s", Doubles::None, |load| {
        stores.redis.kill().unwrap();
        load.welcome(load.newcomer());
        goes_on(load, Duration::from_secs(5));
        stores.redis.start_again().unwrap();
    });
    unnoticed(&outcome);
}

/// Nothing can be looked up or stored: who is there goes on, and newcomers wait.
pub(crate) fn mysql_down(rounds: &mut Rounds, stores: &mut Stores) {
    let outcome = rounds.run_with("MySQL down for 30 s", Doubles::None, |load| {
        stores.mariadb.kill().unwrap();
        let newcomer = load.newcomer();
        goes_on(load, Duration::from_secs(30));
        assert!(
            !newcomer.is_finished(),
            "a key was made that is not durable"
        );
        stores.mariadb.start_again().unwrap();
        load.welcome(newcomer);
    });
    unnoticed(&outcome);
}

/// A fault lasts so long; all the time every client is answered.
pub(crate) fn goes_on(load: &Load, time: Duration) {
    let parts = 5;
    for _ in 0..parts {
        let since = unix_ms();
        std::thread::sleep(time / parts);
        load.recovered(since).unwrap();
    }
}

/// No client has noticed anything.
pub(crate) fn unnoticed(outcome: &Outcome) {
    assert_eq!((outcome.errors, outcome.missed), (0, 0), "{outcome:?}");
}

/// A key that others can read is refused.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, permissions).unwrap();
}
