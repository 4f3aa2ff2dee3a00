//! Where log lines go: to standard error, filtered as the configuration says.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::LogFilter;

/// Starts logging. `HELIOGRAM_LOG` in the environment wins over the configuration.
///
/// # Errors
///
/// If the environment's filter is not one.
pub(crate) fn start(configured: &LogFilter) -> anyhow::Result<()> {
    let filter = match std::env::var(VARIABLE) {
        Ok(directives) => {
            parse(&directives).with_context(|| format!("environment variable {VARIABLE}"))?
        }
        Err(_) => parse(configured.directives())?,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

/// Starts logging for a tool that says itself what went wrong: nothing, unless `HELIOGRAM_LOG` asks for it.
///
/// # Errors
///
/// If the environment's filter is not one.
pub(crate) fn start_quietly() -> anyhow::Result<()> {
    if std::env::var_os(VARIABLE).is_some() {
        start(&LogFilter::default())?;
    }
    Ok(())
}

/// Reads a filter.
///
/// # Errors
///
/// If it is not one; the message says what was expected.
pub(crate) fn parse(directives: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder().parse(directives).map_err(|error| {
        anyhow::anyhow!("{directives:?} is no filter ({error}); expected one such as \"info\" or \"warn,heliogram=debug\"")
    })
}

const VARIABLE: &str = "HELIOGRAM_LOG";
