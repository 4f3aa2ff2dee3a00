//! `heliogram migrate`: the tables of a cluster's store.

use anyhow::Context as _;

use crate::compose;
use crate::config::Config;
use crate::logging;

/// Brings the tables to the version of this release. May be run again, and by many at once.
///
/// # Errors
///
/// If no database is configured, or it can't be reached or refuses.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    logging::start(&config.log.filter)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let migrated = runtime.block_on(compose::migrate(&config.store))?;
    let (from, to) = (migrated.from, migrated.to);
    match from {
        0 => println!("made the tables, version {to}"),
        _ if from == to => println!("the tables are of version {to} already"),
        _ => println!("brought the tables from version {from} to {to}"),
    }
    Ok(())
}
