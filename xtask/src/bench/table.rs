//! All figures: who did what in which time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::probe::Build;

/// One question to a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) build: Build,
    pub(super) by: &'static str,
    pub(super) work: &'static str,
}

/// Lists all questions; neighbours are about the same work, so that they are answered under the same conditions.
pub(super) fn all_asked() -> impl Iterator<Item = Asked> {
    WORKS.iter().flat_map(|(work, _)| {
        COLUMNS.iter().map(move |(build, by, _)| Asked {
            build: *build,
            by,
            work,
        })
    })
}

/// The answers of all rounds, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Figures {
    taken: BTreeMap<(Build, &'static str, &'static str), Vec<f64>>,
}

impl Figures {
    pub(super) fn add(
        &mut self,
        build: Build,
        by: &'static str,
        work: &'static str,
        nanoseconds: Option<f64>,
    ) {
        self.taken
            .entry((build, by, work))
            .or_default()
            .extend(nanoseconds);
    }

    /// Returns the least: whatever else happens on a machine only adds. Nothing if there was no answer.
    pub(super) fn of(&self, build: Build, by: &'static str, work: &'static str) -> Option<f64> {
        let taken = self.taken.get(&(build, by, work))?;
        taken.iter().copied().min_by(f64::total_cmp)
    }
}

/// Writes a table of all works and all who did them.
pub(super) fn render(figures: &Figures) -> String {
    let mut text = String::from("| time of one |");
    for (_, _, title) in COLUMNS {
        let _ = write!(text, " {title} |");
    }
    text.push_str("\n|");
    text.push_str(&" --- |".repeat(COLUMNS.len() + 1));
    for (work, what) in WORKS {
        let _ = write!(text, "\n| {what} |");
        for (build, by, _) in COLUMNS {
            let figure = figures.of(*build, by, work).map_or(String::new(), in_words);
            let _ = write!(text, " {figure} |");
        }
    }
    text.push('\n');
    text
}

fn in_words(nanoseconds: f64) -> String {
    if nanoseconds < 100.0 {
        format!("{nanoseconds:.1} ns")
    } else if nanoseconds < 1e4 {
        format!("{nanoseconds:.0} ns")
    } else if nanoseconds < 1e6 {
        format!("{:.1} µs", nanoseconds / 1e3)
    } else {
        format!("{:.2} ms", nanoseconds / 1e6)
    }
}

/// Who, in which build, and the title of the column.
const COLUMNS: &[(Build, &str, &str)] = &[
    (Build::Default, "heliogram", "heliogram"),
    (Build::Default, "heliogram-alone", "heliogram, one by one"),
    (Build::Default, "bound", "latency bound"),
    (Build::Default, "grammers", "grammers-crypto"),
    (Build::Native, "grammers", "the same, native"),
    (Build::Default, "plain", "aes + ige + ctr + sha2"),
    (Build::Native, "plain", "the same, native"),
    (Build::Default, "openssl", "OpenSSL"),
    (Build::Default, "aws-lc", "aws-lc"),
];

/// What, and its title.
const WORKS: &[(&str, &str)] = &[
    ("ige_encrypt_64k", "AES-IGE, 64 KiB encrypted"),
    ("ige_decrypt_64k", "AES-IGE, 64 KiB decrypted"),
    ("ctr_64", "AES-CTR, a packet of 64 bytes"),
    ("seal_32", "message of 32 bytes sealed"),
    ("open_32", "message of 32 bytes opened"),
    ("seal_1k", "message of 1 KiB sealed"),
    ("open_1k", "message of 1 KiB opened"),
    ("seal_512k", "message of 512 KiB sealed"),
    ("open_512k", "message of 512 KiB opened"),
    ("seal_16x1k", "of 16 messages of 1 KiB sealed"),
    ("open_16x1k", "of 16 messages of 1 KiB opened"),
    ("seal_64x128", "of 64 messages of 128 bytes sealed"),
    (
        "seal_128xmixed",
        "of 128 messages of 32 bytes to 2 KiB sealed",
    ),
    (
        "open_128xmixed",
        "of 128 messages of 32 bytes to 2 KiB opened",
    ),
    ("rsa_private", "RSA-2048, private"),
    ("rsa_private_8", "of eight RSA-2048, private, at once"),
    ("power", "power modulo the prime"),
    ("power_pair", "of two powers at once"),
    ("power_8", "of eight powers at once"),
    ("power_of_g", "power of g"),
    ("power_of_g_8", "of eight powers of g at once"),
    (
        "server",
        "server's arithmetic of a handshake (heliogram: of eight)",
    ),
    ("pq", "factorisation of pq"),
    ("safe_prime", "check of the known prime"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_of_the_rounds_is_shown_and_who_gave_none_is_left_blank() {
        let mut figures = Figures::default();
        for nanoseconds in [30.0, 10.0, 20.0] {
            figures.add(Build::Default, "heliogram", "ctr_64", Some(nanoseconds));
        }
        figures.add(Build::Default, "openssl", "ctr_64", None);

        assert_eq!(
            figures.of(Build::Default, "heliogram", "ctr_64"),
            Some(10.0)
        );
        assert_eq!(figures.of(Build::Default, "openssl", "ctr_64"), None);
        assert!(render(&figures).contains("64 bytes | 10.0 ns |  |"));
    }

    #[test]
    fn times_are_written_in_the_unit_that_suits_them() {
        for (nanoseconds, words) in [
            (3.44, "3.4 ns"),
            (9999.0, "9999 ns"),
            (57_104.0, "57.1 µs"),
            (1_160_111.0, "1.16 ms"),
        ] {
            assert_eq!(in_words(nanoseconds), words);
        }
    }
}
