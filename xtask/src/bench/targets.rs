//! What we want to reach, as ratios of figures of one run: figures of two machines can't be compared, ratios can.

use std::fmt::Write as _;

use super::probe::Build::{self, Default, Native};
use super::table::Figures;

/// Writes a table of all targets and whether they were met.
pub(super) fn render(figures: &Figures) -> String {
    let mut text = String::from("| target | ratio | wanted | |\n| --- | --- | --- | --- |\n");
    for target in TARGETS {
        let (ratio, verdict) = match target.ratio(figures) {
            Some(ratio) if target.wanted.is_met(ratio) => (format!("{ratio:.2}"), "met"),
            Some(ratio) => (format!("{ratio:.2}"), "**missed**"),
            None => (String::new(), "not measured"),
        };
        let wanted = match target.wanted {
            Wanted::TimesAsFast(least) => format!("at least {least:.2} times as fast"),
            Wanted::OfTheTime(most) => format!("at most {most:.2} of the time"),
        };
        let _ = writeln!(text, "| {} | {ratio} | {wanted} | {verdict} |", target.what);
    }
    text
}

struct Target {
    what: &'static str,
    ours: Sum,
    theirs: Sum,
    wanted: Wanted,
}

impl Target {
    fn ratio(&self, figures: &Figures) -> Option<f64> {
        let (ours, theirs) = (self.ours.of(figures)?, self.theirs.of(figures)?);
        Some(match self.wanted {
            Wanted::TimesAsFast(_) => theirs / ours,
            Wanted::OfTheTime(_) => ours / theirs,
        })
    }
}

/// Some works by the same.
struct Sum(Build, &'static str, &'static [&'static str]);

impl Sum {
    fn of(&self, figures: &Figures) -> Option<f64> {
        let Self(build, by, works) = self;
        works.iter().map(|work| figures.of(*build, by, work)).sum()
    }
}

#[derive(Clone, Copy)]
enum Wanted {
    /// Their time divided by ours.
    TimesAsFast(f64),
    /// Our time divided by theirs.
    OfTheTime(f64),
}

impl Wanted {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::TimesAsFast(least) => ratio >= least,
            Self::OfTheTime(most) => ratio <= most,
        }
    }
}

const BOTH_WAYS: &[&str] = &["ige_encrypt_64k", "ige_decrypt_64k"];
const SEAL_AND_OPEN: &[&str] = &["seal_32", "open_32"];

const TARGETS: &[Target] = &[
    Target {
        what: "AES-IGE, 64 KiB encrypted, beside the latency bound",
        ours: Sum(Default, "heliogram", &["ige_encrypt_64k"]),
        theirs: Sum(Default, "bound", &["ige_encrypt_64k"]),
        wanted: Wanted::TimesAsFast(0.97),
    },
    Target {
        what: "AES-IGE, 64 KiB decrypted, beside the latency bound",
        ours: Sum(Default, "heliogram", &["ige_decrypt_64k"]),
        theirs: Sum(Default, "bound", &["ige_encrypt_64k"]),
        wanted: Wanted::TimesAsFast(0.97),
    },
    Target {
        what: "AES-IGE, 64 KiB both ways, beside grammers-crypto",
        ours: Sum(Default, "heliogram", BOTH_WAYS),
        theirs: Sum(Default, "grammers", BOTH_WAYS),
        wanted: Wanted::TimesAsFast(4.5),
    },
    Target {
        what: "AES-IGE, 64 KiB both ways, beside grammers-crypto native",
        ours: Sum(Default, "heliogram", BOTH_WAYS),
        theirs: Sum(Native, "grammers", BOTH_WAYS),
        wanted: Wanted::TimesAsFast(1.2),
    },
    Target {
        what: "a message of 32 bytes sealed and opened, beside grammers-crypto native",
        ours: Sum(Default, "heliogram", SEAL_AND_OPEN),
        theirs: Sum(Native, "grammers", SEAL_AND_OPEN),
        wanted: Wanted::OfTheTime(0.45),
    },
    Target {
        what: "the same, beside plain crates",
        ours: Sum(Default, "heliogram", SEAL_AND_OPEN),
        theirs: Sum(Default, "plain", SEAL_AND_OPEN),
        wanted: Wanted::OfTheTime(0.65),
    },
    Target {
        what: "a message of 512 KiB opened, beside grammers-crypto native",
        ours: Sum(Default, "heliogram", &["open_512k"]),
        theirs: Sum(Native, "grammers", &["open_512k"]),
        wanted: Wanted::OfTheTime(0.50),
    },
    Target {
        what: "16 messages of 1 KiB sealed, beside our own one by one",
        ours: Sum(Default, "heliogram", &["seal_16x1k"]),
        theirs: Sum(Default, "heliogram-alone", &["seal_16x1k"]),
        wanted: Wanted::OfTheTime(0.30),
    },
    Target {
        what: "16 messages of 1 KiB opened, beside our own one by one",
        ours: Sum(Default, "heliogram", &["open_16x1k"]),
        theirs: Sum(Default, "heliogram-alone", &["open_16x1k"]),
        wanted: Wanted::OfTheTime(0.30),
    },
    Target {
        what: "handshakes of a server, eight at once, beside OpenSSL in constant time",
        ours: Sum(Default, "heliogram", &["server"]),
        theirs: Sum(Default, "openssl", &["server"]),
        wanted: Wanted::TimesAsFast(2.4),
    },
    Target {
        what: "the same, on processors with AVX-512 IFMA",
        ours: Sum(Default, "heliogram", &["server"]),
        theirs: Sum(Default, "openssl", &["server"]),
        wanted: Wanted::TimesAsFast(5.0),
    },
    Target {
        what: "factorisation of pq, beside grammers-crypto",
        ours: Sum(Default, "heliogram", &["pq"]),
        theirs: Sum(Default, "grammers", &["pq"]),
        wanted: Wanted::OfTheTime(0.35),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_at_its_edge_and_missed_behind_it() {
        assert!(Wanted::TimesAsFast(2.4).is_met(2.4));
        assert!(!Wanted::TimesAsFast(2.4).is_met(2.39));
        assert!(Wanted::OfTheTime(0.3).is_met(0.3));
        assert!(!Wanted::OfTheTime(0.3).is_met(0.31));
    }

    #[test]
    fn a_target_compares_sums_and_says_so_where_a_figure_is_missing() {
        let mut figures = Figures::default();
        for work in ["seal_32", "open_32"] {
            figures.add(Default, "heliogram", work, Some(200.0));
        }
        let find = |figures: &Figures| {
            let row = render(figures);
            let row = row.lines().find(|row| row.contains("beside plain crates"));
            row.unwrap().to_owned()
        };
        assert!(find(&figures).ends_with("| not measured |"));

        figures.add(Default, "plain", "seal_32", Some(100.0));
        figures.add(Default, "plain", "open_32", Some(700.0));
        assert!(find(&figures).contains("| 0.50 | at most 0.65 of the time | met |"));
    }
}
