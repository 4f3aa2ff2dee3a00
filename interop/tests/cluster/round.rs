//! A fault under load, from its beginning to what is to be said of it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::check::{Fault, examine, runs};
use crate::load::{Load, unix_ms};

/// Rounds of faults upon one load and one backend. What a round has left behind shows in the next.
pub(crate) struct Rounds {
    load: Load,
    ledger: PathBuf,
    faults: Vec<Fault>,
    /// How many doubles, errors and differences are accounted for.
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    calls: usize,
    doubles: usize,
    errors: usize,
    missed: usize,
}

/// What a round has brought.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Calls, all of them answered.
    pub(crate) calls: usize,
    /// Calls that ran more than once.
    pub(crate) doubles: usize,
    /// Errors that users saw, and made their calls again.
    pub(crate) errors: usize,
    /// How often clients were told to ask for the difference.
    pub(crate) missed: usize,
}

/// Which calls a fault may make run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubles {
    /// None: all owners of sessions live, and so does the backend.
    None,
    /// Those that are unanswered at the fault, which lasts as long as what brings it about.
    Unanswered,
}

impl Rounds {
    /// Begins with a round without a fault: nobody may see an error.
    pub(crate) fn new(load: Load, ledger: PathBuf) -> Self {
        let mut rounds = Self {
            load,
            ledger,
            faults: Vec::new(),
            told: Mutex::default(),
        };
        let quiet = rounds.run("nothing", Doubles::None, || std::thread::sleep(QUIET));
        assert_eq!(quiet.errors, 0);
        rounds
    }

    pub(crate) const fn load(&self) -> &Load {
        &self.load
    }

    /// Lets clients call, brings a fault about, waits until every client is answered again, and checks everything that
    /// was ever called. Prints how long it took from the fault's end.
    pub(crate) fn run(&mut self, name: &str, doubles: Doubles, fault: impl FnOnce()) -> Outcome {
        self.run_with(name, doubles, |_| fault())
    }

    /// Does the same; the fault may look at the load.
    pub(crate) fn run_with(
        &mut self,
        name: &str,
        doubles: Doubles,
        fault: impl FnOnce(&Load),
    ) -> Outcome {
        self.load.open();
        let opened = unix_ms();
        self.load.recovered(opened).unwrap();

        let begun = unix_ms();
        fault(&self.load);
        let ended = unix_ms();
        if doubles == Doubles::Unanswered {
            self.faults.push(Fault { begun, ended });
        }
        let recovered = self.load.recovered(ended);
        let closed = self.load.close();

        let outcome = self.examine(name);
        closed.unwrap();
        let recovered = recovered.unwrap();
        let middle = recovered[recovered.len() / 2];
        println!(
            "{name}: {} calls, {} ran twice, {} errors, {} differences; each client answered again {middle} ms (middle) and {} ms (last) after the fault, which took {} ms",
            outcome.calls,
            outcome.doubles,
            outcome.errors,
            outcome.missed,
            recovered.last().unwrap(),
            ended - begun,
        );
        outcome
    }

    fn examine(&self, name: &str) -> Outcome {
        let account = self.load.account();
        let ledger = std::fs::read_to_string(&self.ledger).unwrap();
        let mut runs = runs(&ledger);
        runs.retain(|run| run.token >= OTHERS);
        let tally = examine(&account.calls, &runs, &self.faults);
        assert!(account.wrong.is_empty(), "{name}: {:#?}", account.wrong);
        let tally = tally.unwrap_or_else(|findings| {
            panic!("{name}: {} findings: {:#?}", findings.len(), findings)
        });
        let mut told = self.told.lock().unwrap();
        let outcome = Outcome {
            calls: tally.calls - told.calls,
            doubles: tally.doubles - told.doubles,
            errors: tally.errors - told.errors,
            missed: account.missed - told.missed,
        };
        *told = Told {
            calls: tally.calls,
            doubles: tally.doubles,
            errors: tally.errors,
            missed: account.missed,
        };
        outcome
    }
}

/// Calls with lower tokens are of programs.
pub(crate) const OTHERS: i64 = 1 << 32;

/// Tokens of calls that Telethon makes.
pub(crate) const TELETHON: Range<i64> = 1..1 << 30;

/// Tokens of calls that `GramJS` makes.
pub(crate) const GRAMJS: Range<i64> = 1 << 30..1 << 31;

/// Tokens of calls that mtcute makes.
pub(crate) const MTCUTE: Range<i64> = 1 << 31..OTHERS;

/// Long enough for each client to have made calls and got updates.
const QUIET: Duration = Duration::from_secs(2);
