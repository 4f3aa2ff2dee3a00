//! What a log may not hold: keys and salts at no level, clients' addresses above `debug`.

/// What nobody may read.
#[derive(Default)]
pub(crate) struct Secrets {
    needles: Vec<String>,
}

impl Secrets {
    /// Takes a key of any kind: 256 bytes.
    pub(crate) fn key(&mut self, key: &[u8; 256]) {
        for part in [&key[..8], &key[8..16], &key[248..]] {
            let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
            self.needles.extend([hex.to_uppercase(), hex]);
            self.needles.extend([
                join(part, |byte| byte.to_string()),
                join(part, |byte| format!("{byte:02x}")),
                join(part, |byte| format!("0x{byte:02x}")),
            ]);
        }
        // Eight bytes on the wire are a number, too.
        let (number, _) = key.split_first_chunk().unwrap();
        self.number(i64::from_le_bytes(*number));
    }

    pub(crate) fn salt(&mut self, salt: i64) {
        self.number(salt);
    }

    fn number(&mut self, number: i64) {
        let shown = [number.to_string(), number.cast_unsigned().to_string()];
        self.needles.extend(shown);
        let shown = [format!("{number:x}"), format!("{number:X}")];
        self.needles.extend(shown);
    }

    /// Returns the lines that hold what they may not, each with the reason.
    pub(crate) fn found_in(&self, log: &[u8]) -> Vec<String> {
        let log = String::from_utf8_lossy(log);
        let mut found = Vec::new();
        for needle in &self.needles {
            if let Some(at) = log.find(needle.as_str()) {
                found.push(format!("a secret: {}", line_of(&log, at)));
            }
        }
        let shown = |line: &&str| {
            let mut words = line.split_whitespace();
            words.any(|word| ["ERROR", "WARN", "INFO"].contains(&word))
        };
        let of_client = |line: &&str| {
            line.match_indices(HOST)
                .any(|(at, _)| is_client(&line[at..]))
        };
        let lines = log.lines().filter(shown).filter(of_client);
        found.extend(lines.map(|line| format!("a client's address: {line}")));
        found
    }
}

fn join(bytes: &[u8], show: impl Fn(&u8) -> String) -> String {
    let shown: Vec<_> = bytes.iter().map(show).collect();
    shown.join(", ")
}

fn line_of(log: &str, at: usize) -> &str {
    let begin = log[..at].rfind('\n').map_or(0, |end| end + 1);
    log[begin..].lines().next().unwrap_or_default()
}

/// Whoever connects has a port that the system has chosen; whoever listens in these tests has a lower one.
fn is_client(address: &str) -> bool {
    let port = &address[HOST.len()..];
    let end = port.find(|it: char| !it.is_ascii_digit());
    let port = port[..end.unwrap_or(port.len())].parse::<u16>();
    port.is_ok_and(|port| port >= FIRST_CHOSEN_PORT)
}

const HOST: &str = "127.0.0.1:";
const FIRST_CHOSEN_PORT: u16 = 32_768;

#[test]
fn a_key_is_found_in_every_form_in_which_it_may_be_written() {
    let (key, secrets) = secrets();
    let bytes = &key[248..];
    let forms = [
        format!("{bytes:?}"),
        format!("{bytes:02x?}"),
        "f8f9fafbfcfdfeff".to_owned(),
        "F8F9FAFBFCFDFEFF".to_owned(),
        "506097522914230528".to_owned(),
    ];
    for form in forms {
        let line = format!("12:00 TRACE heliogram: {form}\n");
        assert!(!secrets.found_in(line.as_bytes()).is_empty(), "{form}");
    }
}

#[test]
fn a_salt_is_found_signed_or_not_and_in_hexadecimal_digits() {
    let (_, secrets) = secrets();
    for form in ["-77", "18446744073709551539", "ffffffffffffffb3"] {
        let line = format!("12:00 TRACE heliogram: salt={form}\n");
        assert!(!secrets.found_in(line.as_bytes()).is_empty(), "{form}");
    }
}

#[test]
fn a_client_s_address_is_found_at_info_and_not_at_debug_and_a_listener_s_nowhere() {
    let (_, secrets) = secrets();
    let found = |line: &str| secrets.found_in(line.as_bytes()).len();
    for (level, count) in [("ERROR", 1), ("WARN", 1), ("INFO", 1), ("DEBUG", 0)] {
        assert_eq!(
            found(&format!("12:00 {level} from 127.0.0.1:32768 x")),
            count
        );
        assert_eq!(found(&format!("12:00 {level} from 127.0.0.1:32767 x")), 0);
    }
}

fn secrets() -> ([u8; 256], Secrets) {
    let key = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let mut secrets = Secrets::default();
    secrets.key(&key);
    secrets.salt(-77);
    (key, secrets)
}
