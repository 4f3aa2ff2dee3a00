//! Runs simulations until the time is up, one on each core, and says what they covered.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use heliogram_testkit::{Coverage, Failure, Report, run, run_traced};

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
    /// Runs so many at most.
    runs: u64,
    /// Prints every message.
    is_traced: bool,
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let mut options = Self {
            seed: None,
            budget: Duration::from_secs(20),
            runs: u64::MAX,
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
                "--runs" => options.runs = value.parse().context("--runs takes a number")?,
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
    let total = match options.seed {
        Some(seed) => Total::of(one(seed, options)),
        None => many(start, options),
    };
    println!("{}", total.coverage);
    println!(
        "{} runs, {} calls, {} ran again after a crash, {} messages delivered, {:.1} s",
        total.runs,
        total.calls,
        total.doubles,
        total.coverage.deliveries(),
        start.elapsed().as_secs_f64()
    );
    let Some((seed, lasted, failure)) = total.failure else {
        return Ok(());
    };
    bail!(
        "seed {seed} broke a promise after {lasted:?} of virtual time: {}\n  {}\nagain: cargo xtask sim --seed {seed}",
        failure.rule,
        failure.detail
    )
}

fn one(seed: u64, options: &Options) -> Report {
    let report = if options.is_traced {
        run_traced(seed)
    } else {
        run(seed, None)
    };
    let (digest, lasted) = (report.digest, report.lasted);
    println!("seed {seed}: digest {digest:016x}, {lasted:?} of virtual time");
    report
}

/// Runs seed after seed on every core until the time is up or a promise is broken.
fn many(start: Instant, options: &Options) -> Total {
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut total = Total::default();
        while !is_over.load(Ordering::Relaxed) && start.elapsed() < options.budget {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.runs {
                break;
            }
            total.add(Total::of(run(seed, None)));
            if total.failure.is_some() {
                is_over.store(true, Ordering::Relaxed);
            }
        }
        total
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut total = Total::default();
        for worker in workers {
            match worker.join() {
                Ok(done) => total.add(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        total
    })
}

/// What came of all runs.
#[derive(Default)]
struct Total {
    coverage: Coverage,
    runs: u64,
    calls: u64,
    doubles: u64,
    failure: Option<(u64, Duration, Failure)>,
}

impl Total {
    fn of(report: Report) -> Self {
        let (seed, lasted) = (report.seed, report.lasted);
        Self {
            coverage: report.coverage,
            runs: 1,
            calls: report.calls,
            doubles: report.doubles,
            failure: report.failure.map(|failure| (seed, lasted, failure)),
        }
    }

    /// Adds what came of others; the failure of the lowest seed stays.
    fn add(&mut self, other: Self) {
        self.coverage.add(&other.coverage);
        self.runs += other.runs;
        self.calls += other.calls;
        self.doubles += other.doubles;
        self.failure = match (self.failure.take(), other.failure) {
            (Some(mine), Some(theirs)) if theirs.0 < mine.0 => Some(theirs),
            (mine, theirs) => mine.or(theirs),
        };
    }
}
