//! Runs simulations one after the other until the time is up, and says what they covered.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use heliogram_testkit::{Coverage, run, run_traced};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Options::read(&words).and_then(|options| simulate(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    /// Runs this one only.
    seed: Option<u64>,
    budget: Duration,
    /// Prints every message.
    is_traced: bool,
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let mut options = Self {
            seed: None,
            budget: Duration::from_secs(20),
            is_traced: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--trace" {
                options.is_traced = true;
                continue;
            }
            let value = words
                .next()
                .with_context(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--seed" => options.seed = Some(value.parse().context("--seed takes a number")?),
                "--budget" => options.budget = duration(value)?,
                _ => bail!("{word} is no option here"),
            }
        }
        Ok(options)
    }
}

fn duration(text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().context("--budget takes a time: 90s, 2m")?;
    Ok(Duration::from_secs(match unit {
        "s" => number,
        "m" => number * 60,
        _ => bail!("--budget takes a time: 90s, 2m"),
    }))
}

fn simulate(options: &Options) -> Result<()> {
    let start = Instant::now();
    let (mut total, mut runs, mut calls, mut doubles) = (Coverage::default(), 0_u64, 0, 0);
    let seeds = options
        .seed
        .map_or(0..u64::MAX, |seed| seed..seed.saturating_add(1));
    for seed in seeds {
        let report = if options.is_traced {
            run_traced(seed)
        } else {
            run(seed, None)
        };
        runs += 1;
        calls += report.calls;
        doubles += report.doubles;
        total.add(&report.coverage);
        if options.seed.is_some() {
            println!(
                "seed {seed}: digest {:016x}, {:?} of virtual time",
                report.digest, report.lasted
            );
        }
        if let Some(failure) = report.failure {
            println!("{total}");
            bail!(
                "seed {seed} broke a promise after {:?} of virtual time: {}\n  {}\nagain: cargo xtask sim --seed {seed}",
                report.lasted,
                failure.rule,
                failure.detail
            );
        }
        if start.elapsed() > options.budget {
            break;
        }
    }
    println!("{total}");
    println!(
        "{runs} runs, {calls} calls, {doubles} ran again after a crash, {} messages delivered, {:.1} s",
        total.deliveries(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
