//! Handshakes per second: what one core computes for them, part by part, and over sockets with the durable store.
//!
//! Sketch of the server's part of one: an RSA-2048 private operation, two powers modulo a 2048-bit prime (`g^a`, and the
//! key), a product of two 31-bit primes, half a KiB of AES and SHA. Arithmetic is nearly all of it: 4 ms where a power
//! takes 2 ms. Over sockets come 3 frames of some hundred bytes each way, and one `fsync` for all keys that wait. The
//! client pays about as much, on the same machine.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::Builder;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use heliogram_crypto::SecretBytes;
use heliogram_crypto::dh::Group;
use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::simd::{self, Level};
use heliogram_ports::clock::Clock;
use heliogram_proto::cx::Cx;
use heliogram_proto::edge::exchanges::{Effect, Exchanges, Input, Job, Limits, StoreOutcome};
use heliogram_proto::exchange::client::{AwaitResPq, Config, Outcome};
use heliogram_proto::exchange::server::{self, Dcs, Keyring, Worker};
use heliogram_proto::ids::{LinkId, Term};
use heliogram_proto::limits::KEY_PAIRS_AHEAD_MAX;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::rig::client::{Connection, exchange_config};
use super::rig::{Listening, SERVER_THREAD, Server, Store, rng};
use super::{cpu, table};

/// Measures and prints.
///
/// # Errors
///
/// If a handshake fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let key = PrivateKey::generate().context("no RSA key could be made")?;
    table::progress("the arithmetic of handshakes");
    let bare = parts(&key)?;
    table::heading("handshakes, one core of the server", "bare");
    let best = simd::level();
    for (what, together, level) in [
        ("whole handshakes /s, one by one", 1, Level::Plain),
        ("eight together, powers in pairs", TOGETHER, Level::Plain),
        ("eight together, at this processor's best", TOGETHER, best),
    ] {
        simd::force(level);
        let each = whole(&key, together);
        simd::force(best);
        table::compare(
            what,
            1.0 / each?.as_secs_f64(),
            1.0 / bare.as_secs_f64(),
            "-",
        );
    }
    over_sockets()
}

/// Prints what each operation takes that no server can do without; returns their sum.
fn parts(key: &PrivateKey) -> anyhow::Result<Duration> {
    let mut rng = rng()?;
    let mut input = [0; 256];
    rng.fill_bytes(&mut input);
    // Below any modulus of 2048 bits.
    if let Some(first) = input.first_mut() {
        *first = 0;
    }
    let secret = SecretBytes::<256>::random(&mut rng);
    let group = Group::known();
    let public = group.public(&secret);
    let rsa = each(|| drop(black_box(key.raw(&input))));
    let power = each(|| {
        black_box(group.public(&secret));
    });
    let shared = each(|| drop(black_box(group.shared(&secret, &public))));
    let pair = each(|| drop(black_box(group.public_and_shared(&secret, &public))));
    table::heading("handshakes, operations", "");
    for (what, time) in [
        ("RSA-2048 private, raw", rsa),
        ("g^a, alone", power),
        ("shared key, alone", shared),
        ("two powers as a pair, as clients make them", pair),
    ] {
        table::figure(what, time.as_secs_f64() * 1e6, "us");
    }
    Ok(rsa + power + shared)
}

/// Returns what one of many calls takes of a core.
fn each(step: impl Fn()) -> Duration {
    step();
    let start = Instant::now();
    let mut count = 0_u32;
    let before = cpu::of_threads(|_| true);
    while start.elapsed() < PART_FOR {
        step();
        count += 1;
    }
    let elapsed = start.elapsed();
    cpu::since(before, |_| true).unwrap_or(elapsed) / count.max(1)
}

/// Returns what the server's part of a handshake takes of a core, if so many come at once: it has a thread of its own.
fn whole(key: &PrivateKey, together: usize) -> anyhow::Result<Duration> {
    let (queries, to_answer) = mpsc::channel::<Vec<Vec<u8>>>();
    let (answers, answered) = mpsc::channel();
    let mut table = Table::new(key)?;
    let server = thread(SERVER_THREAD).spawn(move || {
        while let Ok(queries) = to_answer.recv() {
            if answers.send(table.ask(&queries)).is_err() {
                break;
            }
        }
        table.spent
    })?;
    let client = exchange_config(key.public());
    let ask = |asked| {
        queries.send(asked)?;
        answered.recv()?
    };
    let is_servers = |name: &str| name == SERVER_THREAD;
    let (before, start) = (cpu::of_threads(is_servers), Instant::now());
    let mut count = 0_u32;
    while start.elapsed() < WHOLE_FOR {
        handshakes(&client, together, ask)?;
        count += u32::try_from(together)?;
    }
    let by_system = cpu::since(before, is_servers);
    drop(queries);
    let by_clock = server.join().map_err(|_| anyhow::anyhow!("panicked"))?;
    Ok(by_system.unwrap_or(by_clock) / count)
}

/// Makes keys, step by step together; `ask` is the server.
fn handshakes(
    client: &Config,
    together: usize,
    ask: impl Fn(Vec<Vec<u8>>) -> anyhow::Result<Vec<Vec<u8>>>,
) -> anyhow::Result<()> {
    let rng = &mut rng()?;
    let now = Clock::start().now();
    let begin = |_| AwaitResPq::begin(client.clone(), rng);
    let (states, queries): (Vec<_>, Vec<_>) = (0..together).map(begin).unzip();
    let answers = ask(queries)?;
    let rng = &mut self::rng()?;
    let (states, queries) = each_state(states, &answers, |state, answer| {
        Ok(state.handle(answer)?.run(rng)?)
    })?;
    let answers = ask(queries)?;
    let rng = &mut self::rng()?;
    let (states, queries) = each_state(states, &answers, |state, answer| {
        Ok(state.handle(answer, now)?.run(rng)?)
    })?;
    for (state, answer) in states.into_iter().zip(ask(queries)?) {
        if let Outcome::Again(_) = state.handle(&answer)? {
            bail!("two of a few thousand keys have one id");
        }
    }
    Ok(())
}

/// Takes each state on by its answer.
fn each_state<S, T>(
    states: Vec<S>,
    answers: &[Vec<u8>],
    step: impl FnMut(S, &Vec<u8>) -> anyhow::Result<(T, Vec<u8>)>,
) -> anyhow::Result<(Vec<T>, Vec<Vec<u8>>)> {
    let mut step = step;
    let steps = states.into_iter().zip(answers);
    let taken: anyhow::Result<Vec<_>> = steps.map(|(state, answer)| step(state, answer)).collect();
    Ok(taken?.into_iter().unzip())
}

/// The table of exchanges, with a stopwatch that runs while it or one of its jobs does.
struct Table {
    table: Exchanges,
    worker: Worker,
    rng: ChaCha20Rng,
    clock: Clock,
    spent: Duration,
}

impl Table {
    fn new(key: &PrivateKey) -> anyhow::Result<Self> {
        let config = server::Config {
            keys: Keyring::new([key.clone()]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: Term(1).into(),
        };
        Ok(Self {
            table: Exchanges::new(config, Limits::default()),
            worker: Worker::new(KEY_PAIRS_AHEAD_MAX),
            rng: rng()?,
            clock: Clock::start(),
            spent: Duration::ZERO,
        })
    }

    fn ask(&mut self, queries: &[Vec<u8>]) -> anyhow::Result<Vec<Vec<u8>>> {
        let start = Instant::now();
        let mut answers: Vec<_> = queries.iter().map(|_| Vec::new()).collect();
        let mut effects = Vec::new();
        for (link, body) in (0..).zip(queries) {
            let link = LinkId(link);
            self.step(Input::Request { link, body }, &mut effects);
        }
        while !effects.is_empty() {
            let mut jobs = Vec::new();
            let mut stores = Vec::new();
            for effect in effects.drain(..) {
                match effect {
                    Effect::Answer { link, body } => {
                        let place = answers.get_mut(usize::try_from(link.0)?);
                        *place.context("nobody asked")? = body.to_vec();
                    }
                    Effect::Work(job) => jobs.push(job),
                    Effect::Store { ticket, .. } => stores.push(ticket),
                    Effect::Close { .. } | Effect::Refuse { .. } => bail!("refused"),
                }
            }
            for worked in Job::run_all(jobs, &mut self.worker, &mut self.rng) {
                self.step(Input::Worked(worked), &mut effects);
            }
            for ticket in stores {
                let outcome = StoreOutcome::Stored;
                self.step(Input::Stored { ticket, outcome }, &mut effects);
            }
        }
        self.spent += start.elapsed();
        Ok(answers)
    }

    fn step(&mut self, input: Input<'_>, out: &mut Vec<Effect>) {
        let mut cx = Cx {
            now: self.clock.now(),
            rng: &mut self.rng,
            out,
        };
        self.table.handle(input, &mut cx);
    }
}

/// Makes keys on many connections at once.
fn over_sockets() -> anyhow::Result<()> {
    table::progress("handshakes over sockets, with the durable store");
    let directory = Directory::new()?;
    let config = heliogram_store_embedded::Config::in_directory(&directory.path);
    let opened = heliogram_store_embedded::open(&config)?;
    let store = Store {
        keys: Arc::new(opened.keys),
        term: opened.term,
        salt_secret: opened.salt_secret,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let server = Server::start(threads, store)?;
    let is_servers = |name: &str| !name.starts_with(CLIENT_THREAD);
    let (before, start) = (cpu::of_threads(is_servers), Instant::now());
    let (count, elapsed, spent) = std::thread::scope(|scope| {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let make = || make_keys(&server.listening, start + SOCKETS_FOR);
            clients.push(thread(CLIENT_THREAD).spawn_scoped(scope, make)?);
        }
        let mut count = 0;
        for client in clients {
            let made = client.join();
            count += made.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        let (elapsed, spent) = (start.elapsed(), cpu::since(before, is_servers));
        anyhow::Ok((count, elapsed, spent))
    })?;
    let count = f64::from(count);
    table::heading("handshakes over sockets, durable store", "");
    let what = format!("{CLIENTS} clients, theirs and the server's work, /s");
    table::figure(&what, count / elapsed.as_secs_f64(), "/s");
    if let Some(spent) = spent {
        table::figure("per core of the server", count / spent.as_secs_f64(), "/s");
    }
    Ok(())
}

fn thread(name: &str) -> Builder {
    Builder::new().name(name.to_owned())
}

fn make_keys(server: &Listening, until: Instant) -> anyhow::Result<u32> {
    let mut count = 0;
    while Instant::now() < until {
        Connection::open(server.address)?.make_key(&server.key)?;
        count += 1;
    }
    Ok(count)
}

/// A directory for the store's file, removed when it is dropped.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn new() -> anyhow::Result<Self> {
        let name = format!("heliogram-bench-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("can't make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{} is left behind: {error}", self.path.display());
        }
    }
}

/// Handshakes that come at once: as many as are done together.
const TOGETHER: usize = 8;

/// For one operation.
const PART_FOR: Duration = Duration::from_millis(500);

const WHOLE_FOR: Duration = Duration::from_secs(2);

const SOCKETS_FOR: Duration = Duration::from_secs(3);

/// Clients at once: enough that the server always has something to do.
const CLIENTS: usize = 8;

const CLIENT_THREAD: &str = "bench-client";
