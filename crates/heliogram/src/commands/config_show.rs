//! `heliogram config show`: the effective configuration.

use crate::config::Config;

/// Prints the configuration as TOML, secrets redacted.
///
/// # Errors
///
/// If a path is not Unicode.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    print!("{}", toml::to_string(config)?);
    Ok(())
}
