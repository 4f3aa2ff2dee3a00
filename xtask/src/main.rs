//! What CI runs, a person runs.
//!
//! Every check of the project is a subcommand here, so that `.ci/run`, the pre-commit hook and a person at a terminal
//! run the same code. Knows nothing of the product: it starts `cargo`, `git` and `python3`, and reads files.

mod bench;
mod ci;
mod constant_time;
mod fuzz;
mod r#gen;
mod grammers;
mod metadata;
mod node;
mod process;
mod processors;
mod services;
mod sim;
mod test;
mod tidy;
mod venv;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> Result<()> {
    match words {
        [] | ["help" | "-h" | "--help", ..] | [_, "-h" | "--help"] => {
            println!("{HELP}");
            Ok(())
        }
        ["gen"] => r#gen::run(false),
        ["gen", "--check"] => r#gen::run(true),
        ["tidy"] => tidy::run(),
        ["test"] => test::run(),
        ["bench"] => bench::run(false),
        ["bench", "--write"] => bench::run(true),
        ["bench", "clients"] => bench::clients::run(false),
        ["bench", "clients", "--write"] => bench::clients::run(true),
        ["bench", "cluster"] => bench::cluster::run(false),
        ["bench", "cluster", "--write"] => bench::cluster::run(true),
        ["bench", "--check"] => bench::check(),
        ["bench", "--record"] => bench::record(),
        ["constant-time"] => constant_time::run(),
        ["sim", options @ ..] => sim::run(options),
        ["fuzz", "alarm"] => fuzz::alarm(),
        ["fuzz", target, seconds] => fuzz::run(target, seconds, false),
        ["fuzz", target, seconds, "--grow"] => fuzz::run(target, seconds, true),
        ["grammers"] => grammers::build(grammers::Program::Calls)
            .map(|programs| println!("{}", programs.display())),
        ["processors"] => processors::run(),
        ["ci"] => ci::run(),
        _ => bail!(
            "'{}' is not a command here; `cargo xtask --help` lists them",
            words.join(" ")
        ),
    }
}

const HELP: &str = "\
What CI runs, a person runs.

usage: cargo xtask <command>

  gen [--check] Makes the generated code of crates/tl and crates/grpc from the schemas, or compares it.

  tidy          Checks what compilers do not: which crate may use which, ring 1's whole
                dependency tree, licences, sizes of files and functions, notes to self without
                an issue number, paths of somebody's machine, files that look like keys,
                documents that name what is not there. Takes a second. The tables are in xtask/src/tidy/.

  test          Runs everything: unit tests, vectors, doctests, conformance suites, then
                real clients of other projects against the real server, and our client against
                a server that stands on another's library. Needs python3; the packages are
                installed, pinned, into a virtual environment under target/.
                For one crate `cargo test -p heliogram-proto` is enough.

  sim [--seed N] [--budget 2m] [--runs N]
                Simulates clusters of edges, hosts and clients under faults, in virtual time,
                and checks what is promised; ends with a table of what was covered. A failure
                names its seed, and `--seed` repeats exactly that run.

  ci            Runs all of the above plus format, spelling, clippy and rustdoc, warnings
                being errors, and prints a table of what passed and how long it took.

  bench [--write]
                Measures our cryptography beside its peers, in one run, and compares the
                ratios with the targets; --write puts the table into docs/benchmarks.md.
                Builds bench/ first, which takes minutes; wants a quiet machine.

  bench clients [--write]
                Measures our client beside grammers and Telethon against one server, in one run.
                Builds all of them first, which takes minutes; wants a quiet machine.

  bench cluster [--write]
                Measures calls and handshakes in one process, through gRPC within it, and
                through the processes of a cluster; then what each layer of its store
                finds. Builds all of it first, which takes minutes; wants a quiet machine.

  bench --check Counts the instructions of sealing and opening with callgrind and compares
                them with bench/instructions.txt; bench --record writes that file.
                Needs valgrind, bears any noise, and says which level was measured.

  constant-time Watches whether time or branches depend on secrets: statistics of times at
                every level of this processor, then memcheck with poisoned secrets at the
                levels that valgrind decodes. Takes some minutes; the first part wants quiet.

  fuzz <target> <seconds> [--grow]
                Feeds a target of fuzz/ with what libFuzzer thinks of; --grow adds what covers
                more to fuzz/corpora. `fuzz alarm` shows that a failure is noticed.

  grammers      Builds the clients of interop/grammers, with a grammers-mtproto that takes one more
                server's key from the environment, and prints the directory they are in.

  processors    Runs the tests of cryptography as on processors with fewer instructions, under
                qemu and valgrind, as far as they are installed. Takes its time.

Before you commit: git config core.hooksPath .githooks
";
