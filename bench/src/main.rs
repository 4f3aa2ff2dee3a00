//! Answers questions for figures: a line `by work` in, the nanoseconds of one piece of that work out.
//!
//! Asked over a pipe, so that the asker can take turns between this build and another one, and between peers: what
//! slows the machine down for a while then slows all of them. Answers `-` where this build knows no such work.

mod cases;
mod clock;
mod peers;

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};

use cases::Case;

fn main() -> std::io::Result<()> {
    let known: BTreeMap<&str, fn() -> Case> = cases::all().into_iter().collect();
    let mut prepared: BTreeMap<String, Case> = BTreeMap::new();
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if let Some(make) = known.get(line.as_str()) {
            let case = prepared.entry(line).or_insert_with(make);
            writeln!(stdout, "{:.2}", clock::measure(case))?;
        } else {
            writeln!(stdout, "-")?;
        }
        stdout.flush()?;
    }
    Ok(())
}
