//! `heliogram bench`, for those who look for it under `cargo bench`. What is measured is in `src/bench`.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let status = Command::new(env!("CARGO_BIN_EXE_heliogram"))
        .arg("bench")
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("heliogram bench: {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("heliogram bench can't be run: {error}");
            ExitCode::FAILURE
        }
    }
}
