//! Where log lines go: to standard error, filtered as the configuration says.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts logging. `HELIOGRAM_LOG` in the environment wins over the configuration.
///
/// # Errors
///
/// If the filter is not one.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let (source, directives) = match std::env::var("HELIOGRAM_LOG") {
        Ok(directives) => ("environment variable HELIOGRAM_LOG", directives),
        Err(_) => ("key `log.filter`", filter.to_owned()),
    };
    let filter = EnvFilter::builder()
        .parse(&directives)
        .with_context(|| format!("{source}: {directives:?} is no filter; expected one such as \"info\" or \"warn,heliogram=debug\""))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
