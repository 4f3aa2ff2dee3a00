//! Whether time depends on secrets: the statistics of `dudect`, for every kernel at every level of this processor.
//!
//! Two classes of inputs take turns at random: one that is always the same, and one that is new each time. If the mean
//! times differ by more than chance allows, the kernel's time tells its input. Welch's t says how far they differ: below
//! 4.5 nothing was seen, above 10 there is a leak if it stays there. Not seen is not proved.
//!
//! The control compares byte by byte and stops early on purpose: if that isn't seen, nothing is worth anything.
//!
//! Source: Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017.

use std::convert::Infallible;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use heliogram_crypto::ctr::Aes256Ctr;
use heliogram_crypto::dh::Group;
use heliogram_crypto::message::{self, HEADER_BYTES, Job};
use heliogram_crypto::rsa::{Decryptor, PrivateKey};
use heliogram_crypto::simd::{self, Level};
use heliogram_crypto::{AuthKey, Direction, LengthError, SecretBytes, hash, ige};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _, TryCryptoRng, TryRng};

fn main() -> ExitCode {
    let best = simd::level();
    let mut worst = 0.0_f64;
    for level in Level::ALL.into_iter().filter(|level| *level <= best) {
        simd::force(level);
        for (name, subject) in AT_EACH_LEVEL {
            worst = worst.max(report(&format!("{level:?} {name}"), subject()));
        }
    }
    for (name, subject) in ONCE {
        worst = worst.max(report(name, subject()));
    }
    let control = report("control, which stops at the first difference", early_exit());
    if control < LEAK {
        println!("THE CONTROL WAS NOT SEEN");
    }
    if worst < LEAK && control >= LEAK {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Takes the secret input as bytes, prepares what it needs outside the clock, and returns how long the kernel took.
type Subject = Box<dyn FnMut(&[u8; INPUT_BYTES]) -> u64>;

/// A name, and what makes the subject.
type Named = (&'static str, fn() -> Subject);

const AT_EACH_LEVEL: [Named; 8] = [
    ("ige::encrypt, 1 KiB", || cipher(ige::encrypt)),
    ("ige::decrypt, 1 KiB", || cipher(ige::decrypt)),
    ("ctr, 64 bytes", ctr),
    ("message::seal, 1 KiB", || seal(1 << 10)),
    ("message::open, 1 KiB, authentic", || open(false)),
    ("message::open, 1 KiB, forged", || open(true)),
    ("message::seal_batch, 16 of 1 KiB", || batch(true)),
    ("message::open_batch, 16 of 1 KiB", || batch(false)),
];

const ONCE: [Named; 7] = [
    ("hash::ct_eq, 32 bytes", compare),
    ("rsa: private operation", rsa),
    ("dh: power of g", || power(true)),
    ("dh: power", || power(false)),
    ("rsa: eight private operations", rsa_8),
    ("dh: eight powers of g", || power_8(true)),
    ("dh: eight powers", || power_8(false)),
];

type Ige = fn(&[u8; 32], &[u8; 32], &mut [u8]) -> Result<(), LengthError>;

fn cipher(run: Ige) -> Subject {
    let mut data = vec![0; 1 << 10];
    Box::new(move |input| {
        let (key, iv) = (first(input), first(&input[32..]));
        data.copy_from_slice(&input[64..64 + (1 << 10)]);
        time(|| run(&key, &iv, &mut data))
    })
}

fn ctr() -> Subject {
    Box::new(|input| {
        let (key, iv) = (first(input), first(&input[32..]));
        let mut data: [u8; 64] = first(&input[64..]);
        time(|| Aes256Ctr::new(&key, &iv).apply(&mut data))
    })
}

fn seal(text: usize) -> Subject {
    let mut envelope = vec![0; HEADER_BYTES + text];
    Box::new(move |input| {
        let key = AuthKey::new(first(input));
        envelope[HEADER_BYTES..].copy_from_slice(&input[256..256 + text]);
        time(|| message::seal(&key, DIR, &mut envelope).is_ok())
    })
}

fn open(forged: bool) -> Subject {
    let mut envelope = vec![0; HEADER_BYTES + (1 << 10)];
    Box::new(move |input| {
        let key = AuthKey::new(first(input));
        envelope[HEADER_BYTES..].copy_from_slice(&input[256..256 + (1 << 10)]);
        assert!(message::seal(&key, DIR, &mut envelope).is_ok());
        envelope[HEADER_BYTES + 16] ^= u8::from(forged);
        time(|| message::open(&key, DIR, &mut envelope).is_ok())
    })
}

/// All lanes with the same key and text: what one of them tells, sixteen tell louder.
fn batch(seals: bool) -> Subject {
    let mut envelopes = vec![vec![0; HEADER_BYTES + (1 << 10)]; 16];
    let mut results = Vec::with_capacity(16);
    Box::new(move |input| {
        let key = AuthKey::new(first(input));
        for envelope in &mut envelopes {
            envelope[HEADER_BYTES..].copy_from_slice(&input[256..256 + (1 << 10)]);
            assert!(seals || message::seal(&key, DIR, envelope).is_ok());
        }
        let mut jobs: Vec<_> = envelopes
            .iter_mut()
            .map(|envelope| Job {
                key: &key,
                dir: DIR,
                envelope,
            })
            .collect();
        results.clear();
        if seals {
            time(|| message::seal_batch(&mut jobs).is_ok())
        } else {
            time(|| message::open_batch(&mut jobs, &mut results))
        }
    })
}

/// Against a value that the one class equals and the other does not.
fn compare() -> Subject {
    let value: [u8; 32] = first(&constant()[..]);
    Box::new(move |input| {
        let guess: [u8; 32] = first(input);
        time(|| (0..16).all(|_| black_box(hash::ct_eq(black_box(&guess), &value)) | true))
    })
}

fn early_exit() -> Subject {
    let value = constant();
    Box::new(move |input| {
        time(|| {
            black_box(input)
                .iter()
                .zip(&value)
                .all(|(a, b)| black_box(a) == b)
        })
    })
}

fn rsa() -> Subject {
    let key = PrivateKey::generate().expect("a key");
    Box::new(move |input| {
        let mut number: [u8; 256] = first(input);
        number[0] = 1;
        time(|| key.raw(&number).is_ok())
    })
}

/// The class that stays the same is one of few bits, which careless exponentiation takes least time for.
fn power(of_g: bool) -> Subject {
    let group = Group::known();
    let theirs = group.public(&SecretBytes::new([7; 256]));
    Box::new(move |input| {
        let secret = SecretBytes::new(first(input));
        if of_g {
            time(|| group.public(&secret))
        } else {
            time(|| group.shared(&secret, &theirs))
        }
    })
}

fn rsa_8() -> Subject {
    let mut key = Decryptor::new(PrivateKey::generate().expect("a key"));
    let mut rng = ChaCha8Rng::from_seed([2; 32]);
    Box::new(move |input| {
        let mut number: [u8; 256] = first(input);
        number[0] = 1;
        time(|| key.raw_all(&[&number; 8], &mut rng))
    })
}

fn power_8(of_g: bool) -> Subject {
    let group = Group::known();
    let theirs = group.public(&SecretBytes::new([7; 256]));
    Box::new(move |input| {
        if of_g {
            let mut given = Given(first(input));
            time(|| group.key_pairs(8, &mut given))
        } else {
            let secret = SecretBytes::new(first(input));
            time(|| group.shared_all(&[(&secret, &theirs); 8]))
        }
    })
}

/// A generator that always draws the same number, for what insists on drawing its secrets.
struct Given([u8; 256]);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for (byte, given) in bytes.iter_mut().zip(self.0) {
            *byte = given;
        }
        Ok(())
    }
}

impl TryCryptoRng for Given {}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("enough bytes")
}

/// Measures; again if something was seen, since a leak shows every time and a disturbance doesn't. Returns the least t.
fn report(name: &str, mut subject: Subject) -> f64 {
    let mut least = f64::INFINITY;
    for seed in 1..=TRIES {
        let times = sample(&mut subject, seed);
        let t = worst_t(&times);
        let verdict = match t {
            t if t < SUSPICION => "nothing seen",
            t if t < LEAK => "look again",
            _ => "SEEN",
        };
        let samples = times[0].len() + times[1].len();
        println!("{name}: |t| = {t:.1} of {samples} measurements: {verdict}");
        least = least.min(t);
        if least < SUSPICION {
            break;
        }
    }
    least
}

/// Takes the times of both classes.
fn sample(subject: &mut Subject, seed: u8) -> [Vec<f64>; 2] {
    let mut rng = ChaCha8Rng::from_seed([seed; 32]);
    let constant = constant();
    let mut taken = Vec::with_capacity(1 << 21);
    let start = Instant::now();
    while start.elapsed() < TIME_PER_SUBJECT || taken.len() < SAMPLES_MIN {
        // Both classes take the same way into the same place, without a branch that would learn which one it is.
        let mut input = [0; INPUT_BYTES];
        rng.fill_bytes(&mut input);
        let class = black_box(rng.next_u32().to_le_bytes()[0] & 1);
        let mask = class.wrapping_sub(1);
        for (byte, same) in input.iter_mut().zip(&constant) {
            *byte ^= (*byte ^ same) & mask;
        }
        taken.push((class, subject(black_box(&input))));
    }
    [0, 1].map(|class| {
        let of_class = taken.iter().filter(|(of, _)| *of == class);
        of_class.map(|(_, ticks)| *ticks as f64).collect()
    })
}

/// Welch's t of all measurements, and of those below some percentiles: interruptions make a long tail.
fn worst_t(times: &[Vec<f64>; 2]) -> f64 {
    let mut all: Vec<f64> = times.concat();
    all.sort_by(f64::total_cmp);
    let limits = PERCENTILES.map(|percentile| all[(all.len() - 1) * percentile / 100]);
    limits
        .iter()
        .map(|limit| {
            let [a, b] = times.each_ref().map(|times| {
                let below = times.iter().copied().filter(|time| time <= limit);
                Moments::of(below)
            });
            a.t(&b)
        })
        .fold(0.0, f64::max)
}

/// Count, mean and variance.
struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
        Self {
            count,
            mean,
            variance: squares / (count - 1.0),
        }
    }

    fn t(&self, other: &Self) -> f64 {
        let error = (self.variance / self.count + other.variance / other.count).sqrt();
        let t = (self.mean - other.mean).abs() / error;
        if t.is_finite() { t } else { 0.0 }
    }
}

/// Returns the ticks of the processor's clock.
fn time<T>(run: impl FnOnce() -> T) -> u64 {
    let start = ticks();
    black_box(run());
    ticks().wrapping_sub(start)
}

#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every processor of this family has both instructions.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The input that stays the same: one bit at the top, and nothing else.
fn constant() -> [u8; INPUT_BYTES] {
    let mut constant = [0; INPUT_BYTES];
    constant[0] = 0x80;
    constant
}

/// As much as the largest subject wants: a key of 256 bytes and a text of 1 KiB.
const INPUT_BYTES: usize = 256 + (1 << 10);
const TIME_PER_SUBJECT: Duration = Duration::from_secs(2);
const SAMPLES_MIN: usize = 1000;
const TRIES: u8 = 3;
const PERCENTILES: [usize; 6] = [100, 99, 95, 90, 75, 50];
const SUSPICION: f64 = 4.5;
const LEAK: f64 = 10.0;
const DIR: Direction = Direction::ServerToClient;
