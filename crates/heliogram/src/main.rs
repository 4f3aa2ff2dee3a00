//! The `heliogram` binary: one process that serves, and tools beside it.

use std::process::ExitCode;

mod admin;
mod apart;
mod backend;
mod bench;
mod cli;
mod commands;
mod compose;
mod config;
mod endpoints;
mod files;
mod json;
mod logging;
mod observed;
mod remote;
mod server_key;
mod welcome;

fn main() -> ExitCode {
    cli::run()
}
