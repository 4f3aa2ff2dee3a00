//! The tables: how they are made, and what is checked of them before anything is served.

use heliogram_crypto::SecretBytes;
use heliogram_ports::BoxFuture;
use heliogram_ports::record::Sealer;
use heliogram_proto::ids::Term;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Opts, ServerError};
use rand_core::{Rng as _, UnwrapErr};

use crate::OpenError;
use crate::connections::{Failure, Question};

/// A step from one version of the tables to the next.
struct Migration {
    name: &'static str,
    /// Statements, each of which may be run again.
    statements: &'static str,
}

/// Every step; the first leads to version 1. A released one is never edited.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "keys",
        statements: include_str!("../migrations/0001-keys.sql"),
    },
    Migration {
        name: "users",
        statements: include_str!("../migrations/0002-users.sql"),
    },
];

/// The version that this release works with.
pub(crate) const VERSION: usize = MIGRATIONS.len();

/// What [`migrate`](crate::migrate) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migrated {
    /// The version that was found; 0: no tables.
    pub from: usize,
    /// The version that is there now.
    pub to: usize,
}

/// Takes the missing steps; who comes while another does waits for it.
pub(crate) async fn migrate(opts: Opts) -> Result<Migrated, OpenError> {
    let mut conn = Conn::new(opts).await?;
    // Held by the connection: it goes with it, whatever happens.
    let lock = format!("SELECT GET_LOCK({LOCK}, {LOCK_WAIT_S})");
    if conn.query_first::<Option<u8>, _>(lock).await?.flatten() != Some(1) {
        return Err(OpenError::Migrating);
    }
    conn.query_drop(MIGRATIONS_TABLE).await?;
    let from = version(&mut conn).await?.unwrap_or(0);
    if from > VERSION {
        return Err(OpenError::Newer(from, VERSION));
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(from) {
        for statement in statements(migration.statements) {
            conn.query_drop(statement).await?;
        }
        let done = "INSERT INTO heliogram_migrations (version, name) VALUES (?, ?)";
        conn.exec_drop(done, (index + 1, migration.name)).await?;
        tracing::info!(version = index + 1, name = migration.name, "migrated");
    }
    conn.disconnect().await?;
    Ok(Migrated { from, to: VERSION })
}

/// Splits at the semicolons that end a line; comments are taken out.
fn statements(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements = text.split(";\n").map(|it| it.trim().trim_end_matches(';'));
    statements
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns the version of the tables; nothing if there are none.
async fn version(conn: &mut Conn) -> Result<Option<usize>, Error> {
    let select = "SELECT MAX(version) FROM heliogram_migrations";
    match conn.query_first::<Option<usize>, _>(select).await {
        Ok(version) => Ok(version.flatten()),
        Err(Error::Server(ServerError {
            code: ER_NO_SUCH_TABLE,
            ..
        })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the tables say of themselves.
pub(crate) struct Checked {
    /// Tells this database's entries in a cache from another's.
    pub(crate) cluster: u64,
    pub(crate) salt_secret: SecretBytes<32>,
}

/// Checks the version and the durability, and reads or makes the salt secret.
pub(crate) async fn check(opts: Opts, sealer: &Sealer) -> Result<Checked, OpenError> {
    let mut conn = Conn::new(opts).await?;
    let version = version(&mut conn).await?.unwrap_or(0);
    match version {
        VERSION => {}
        0..VERSION => return Err(OpenError::Older(version, VERSION)),
        _ => return Err(OpenError::Newer(version, VERSION)),
    }
    let flush: Option<u8> = conn
        .query_first("SELECT @@innodb_flush_log_at_trx_commit")
        .await?;
    if flush != Some(1) {
        return Err(OpenError::NotDurable);
    }
    let salt_secret = salt_secret(&mut conn, sealer).await?;
    let select = "SELECT value FROM heliogram_numbers WHERE name = 'cluster'";
    let cluster = conn.query_first(select).await?.ok_or(OpenError::Damaged)?;
    conn.disconnect().await?;
    Ok(Checked {
        cluster,
        salt_secret,
    })
}

/// The first to come makes the secret; all others read it.
async fn salt_secret(conn: &mut Conn, sealer: &Sealer) -> Result<SecretBytes<32>, OpenError> {
    let select = "SELECT sealed FROM heliogram_secrets WHERE name = 'salt'";
    let mut sealed: Option<Vec<u8>> = conn.query_first(select).await?;
    if sealed.is_none() {
        let fresh = sealer.seal_secret("salt", &new_secret());
        let insert = "INSERT IGNORE INTO heliogram_secrets (name, sealed) VALUES ('salt', ?)";
        conn.exec_drop(insert, (fresh,)).await?;
        sealed = conn.query_first(select).await?;
    }
    let sealed = sealed.ok_or(OpenError::Damaged)?;
    let secret = sealer
        .open_secret("salt", &sealed)
        .ok_or(OpenError::WrongMasterKey)?;
    if !sealer.is_current(&sealed) {
        // Moves to the newest master key, unless another has moved it meanwhile.
        let update = "UPDATE heliogram_secrets SET sealed = ? WHERE name = 'salt' AND sealed = ?";
        conn.exec_drop(update, (sealer.seal_secret("salt", &secret), sealed))
            .await?;
    }
    Ok(secret)
}

fn new_secret() -> SecretBytes<32> {
    let mut secret = [0; 32];
    UnwrapErr(getrandom::SysRng).fill_bytes(&mut secret);
    SecretBytes::new(secret)
}

/// Counts a term.
pub(crate) struct BeginTerm;

impl Question for BeginTerm {
    type Answer = Term;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            let update = "UPDATE heliogram_numbers SET value = LAST_INSERT_ID(value + 1) WHERE name = 'term'";
            conn.query_drop(update).await?;
            let term: Option<u64> = conn.query_first("SELECT LAST_INSERT_ID()").await?;
            Ok(Term(term.unwrap_or(0)))
        })
    }
}

const MIGRATIONS_TABLE: &str = "\
    CREATE TABLE IF NOT EXISTS heliogram_migrations (\
        version INT UNSIGNED NOT NULL PRIMARY KEY, \
        name VARCHAR(64) NOT NULL, \
        at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP\
    ) ENGINE = InnoDB";

/// Names of locks are the server's, not the database's.
const LOCK: &str = "CONCAT('heliogram ', SHA1(DATABASE()))";

/// How long to wait for another who migrates, in seconds.
const LOCK_WAIT_S: u32 = 60;

/// Source: <https://mariadb.com/docs/server/reference/error-codes/mariadb-error-codes-1100-to-1199/e1146>.
const ER_NO_SUCH_TABLE: u16 = 1146;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_of_statements_that_may_be_run_again() {
        for migration in MIGRATIONS {
            let statements = statements(migration.statements);
            assert!(!statements.is_empty(), "{}", migration.name);
            for statement in statements {
                let may_be_repeated = ["CREATE TABLE IF NOT EXISTS ", "INSERT IGNORE INTO "];
                assert!(
                    may_be_repeated
                        .iter()
                        .any(|start| statement.starts_with(start)),
                    "{statement}"
                );
                assert!(!statement.contains(';'), "{statement}");
            }
        }
    }
}
