//! `heliogram bench`: what the whole stack does, beside a plain peer measured in the same run.
//!
//! Figures of different processors can't be compared, so each comes with its peer's, their ratio, and the ratio that we
//! aim at. Where the system tells the processor time of threads, figures per core of the server are printed, too: they
//! bear a machine that is busy with something else.
//!
//! What single messages cost is measured in `crates/crypto/benches`, memory in `benches/heap.rs`.

mod cpu;
mod handshakes;
mod rig;
mod round_trips;
mod table;

use clap::ValueEnum;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// Keys made per second by the arithmetic of one core, and over sockets with the durable store.
    Handshakes,
    /// Encrypted pings and calls per second over loopback TCP, beside a plain TCP echo.
    RoundTrips,
}

/// Measures what was chosen, all if nothing was; tables go to the standard output, progress to the error output.
///
/// # Errors
///
/// If a server can't be started, or something is not answered as it must be.
pub(crate) fn run(chosen: &[Benchmark]) -> anyhow::Result<()> {
    let all = Benchmark::value_variants();
    for benchmark in if chosen.is_empty() { all } else { chosen } {
        match benchmark {
            Benchmark::Handshakes => handshakes::run()?,
            Benchmark::RoundTrips => round_trips::run()?,
        }
    }
    Ok(())
}
