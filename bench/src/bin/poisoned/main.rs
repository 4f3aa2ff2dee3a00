//! What memcheck watches: every secret is marked as if it had never been written, so that a branch or an address that
//! depends on one is reported as a use of uninitialised memory.
//!
//! Prints one line per kernel and level with the reports it got, and fails if there is one that isn't declared. The
//! last kernel branches on a secret on purpose: if that isn't seen, nothing is worth anything.
//!
//! What valgrind can't decode it hides from us, so only some levels are watched; the rest is `timed`'s.

#[cfg(target_arch = "x86_64")]
mod memcheck;

#[cfg(not(target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    eprintln!("requests to valgrind are written for x86_64 only");
    std::process::ExitCode::FAILURE
}

#[cfg(target_arch = "x86_64")]
fn main() -> std::process::ExitCode {
    watch::run()
}

#[cfg(target_arch = "x86_64")]
mod watch {
    use std::hint::black_box;
    use std::process::ExitCode;

    use heliogram_crypto::ctr::Aes256Ctr;
    use heliogram_crypto::dh::Group;
    use heliogram_crypto::message::{self, HEADER_BYTES, Job};
    use heliogram_crypto::simd::{self, Level};
    use heliogram_crypto::{AuthKey, Direction, SecretBytes, hash, ige, tmp_aes};

    use super::memcheck;

    pub(super) fn run() -> ExitCode {
        if !memcheck::is_watching() {
            eprintln!("not running under valgrind: nobody would see anything");
            return ExitCode::FAILURE;
        }
        let best = simd::level();
        let mut is_clean = true;
        for level in Level::ALL.into_iter().filter(|level| *level <= best) {
            simd::force(level);
            for (name, declared, kernel) in KERNELS {
                let before = memcheck::reports();
                kernel();
                let reports = memcheck::reports() - before;
                let verdict = if reports == *declared {
                    "as it should be"
                } else {
                    "LEAKS"
                };
                println!("{level:?} {name}: {reports} reports, {declared} declared: {verdict}");
                is_clean &= reports == *declared;
            }
        }
        let before = memcheck::reports();
        leak();
        let is_awake = memcheck::reports() > before;
        println!(
            "control, which branches on a secret: {}",
            if is_awake { "seen" } else { "NOT SEEN" }
        );
        if is_clean && is_awake {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Name, reports that are meant, and the kernel.
    ///
    /// Opening tells whether a message is authentic, by a branch: that much is public, and is one report per message. A
    /// power is one report, of an assertion inside `aws-lc` (in `bn_reduce_once`) that always holds.
    type Kernel = (&'static str, usize, fn());

    const KERNELS: &[Kernel] = &[
        ("ige::encrypt", 0, || ige(true)),
        ("ige::decrypt", 0, || ige(false)),
        ("ctr", 0, ctr),
        ("hash::ct_eq", 0, compare),
        ("hash::hmac_sha256", 0, hmac),
        ("tmp_aes::derive", 0, temporary),
        ("message::seal, 32 bytes", 0, || seal(1, 80)),
        ("message::seal, 16 KiB", 0, || seal(1, 16 << 10)),
        ("message::seal_batch, 16 of 1 KiB", 0, || seal(16, 1 << 10)),
        ("message::open, 32 bytes", 1, || open(1, 80, false)),
        ("message::open, 16 KiB", 1, || open(1, 16 << 10, false)),
        ("message::open, forged", 1, || open(1, 80, true)),
        ("message::open_batch, 16 of 1 KiB", 16, || {
            open(16, 1 << 10, false);
        }),
        ("dh: power of g", 1, power),
    ];

    fn ige(encrypts: bool) {
        let (mut key, mut iv, mut data) = ([1; 32], [2; 32], [3; 1 << 10]);
        memcheck::poison(&mut key);
        memcheck::poison(&mut iv);
        memcheck::poison(&mut data);
        let done = if encrypts {
            ige::encrypt(&key, &iv, &mut data)
        } else {
            ige::decrypt(&key, &iv, &mut data)
        };
        assert!(done.is_ok());
    }

    fn ctr() {
        let (mut key, mut iv, mut data) = ([1; 32], [2; 16], [3; 1000]);
        memcheck::poison(&mut key);
        memcheck::poison(&mut iv);
        memcheck::poison(&mut data);
        let mut cipher = Aes256Ctr::new(&key, &iv);
        for cut in [0, 5, 64, 700] {
            cipher.apply(&mut data[cut..]);
        }
    }

    fn compare() {
        let (mut a, mut b) = ([1; 32], [1; 32]);
        memcheck::poison(&mut a);
        memcheck::poison(&mut b);
        black_box(hash::ct_eq(&a, &b));
        black_box(SecretBytes::new(a) == SecretBytes::new(b));
    }

    fn hmac() {
        let mut key = [1; 32];
        memcheck::poison(&mut key);
        black_box(hash::hmac_sha256(&key, &[b"x"]));
    }

    fn temporary() {
        let mut nonce = [1; 32];
        memcheck::poison(&mut nonce);
        black_box(tmp_aes::derive(&nonce, &[2; 16]));
    }

    fn seal(count: usize, text: usize) {
        let keys = keys(count);
        let mut envelopes = vec![vec![7; HEADER_BYTES + text]; count];
        for envelope in &mut envelopes {
            memcheck::poison(&mut envelope[HEADER_BYTES..]);
        }
        if let ([key], [envelope]) = (&keys[..], &mut envelopes[..]) {
            assert!(message::seal(key, DIR, envelope).is_ok());
        } else {
            assert!(message::seal_batch(&mut jobs(&keys, &mut envelopes)).is_ok());
        }
    }

    fn open(count: usize, text: usize, forged: bool) {
        let mut envelopes = vec![vec![7; HEADER_BYTES + text]; count];
        for envelope in &mut envelopes {
            assert!(message::seal(&AuthKey::new(KEY), DIR, envelope).is_ok());
            envelope[HEADER_BYTES] ^= u8::from(forged);
        }
        let keys = keys(count);
        let mut results = Vec::new();
        if let ([key], [envelope]) = (&keys[..], &mut envelopes[..]) {
            results.push(message::open(key, DIR, envelope));
        } else {
            message::open_batch(&mut jobs(&keys, &mut envelopes), &mut results);
        }
        assert!(results.iter().all(|result| result.is_err() == forged));
    }

    /// The exponent is secret; what comes out isn't.
    fn power() {
        let group = Group::known();
        let secret = SecretBytes::fill_with(|bytes| {
            *bytes = KEY;
            memcheck::poison(bytes);
        });
        let mut public = group.public(&secret);
        memcheck::clean(&mut public);
        black_box(public);
    }

    fn leak() {
        let mut secret = [0; 1];
        memcheck::poison(&mut secret);
        if black_box(secret)[0] == 7 {
            println!("never");
        }
    }

    /// Keys that are made first, since their identifiers are public, and poisoned then.
    fn keys(count: usize) -> Vec<AuthKey> {
        let keys: Vec<_> = (0..count).map(|_| AuthKey::new(KEY)).collect();
        for key in &keys {
            memcheck::poison_shared(key.expose());
        }
        keys
    }

    fn jobs<'a>(keys: &'a [AuthKey], envelopes: &'a mut [Vec<u8>]) -> Vec<Job<'a>> {
        let pairs = keys.iter().zip(envelopes);
        pairs
            .map(|(key, envelope)| Job {
                key,
                dir: DIR,
                envelope,
            })
            .collect()
    }

    const KEY: [u8; 256] = [5; 256];
    const DIR: Direction = Direction::ClientToServer;
}
