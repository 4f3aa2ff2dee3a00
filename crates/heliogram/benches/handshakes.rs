//! Handshakes per second of one core: everything that the server computes for one key, beside the bare arithmetic.
//!
//! Sketch: per handshake one RSA private operation, two powers modulo a 2048-bit prime (g_a and the key), one
//! factorable pq, a few hundred bytes of AES and SHA. The arithmetic is nearly all of it: some 2 ms, so some 500/s.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark may panic"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use heliogram_crypto::SecretBytes;
use heliogram_crypto::dh::Group;
use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_proto::cx::Cx;
use heliogram_proto::edge::exchanges::{Effect, Exchanges, Input, Limits, StoreOutcome};
use heliogram_proto::exchange::client::{AwaitResPq, Config, Outcome};
use heliogram_proto::exchange::server::{self, Dcs, Keyring};
use heliogram_proto::ids::{LinkId, Term};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

fn main() {
    let key = PrivateKey::generate().unwrap();
    let arithmetic = per_second(|| arithmetic(&key));
    let mut server = Server::new(&key);
    let client = Config {
        keys: vec![key.public().clone()],
        dc: Some(2),
        expires_in_s: None,
        padding: Padding::RsaPad,
    };
    for _ in 0..WARM_UP {
        server.handshake(&client);
    }
    server.spent = Duration::ZERO;
    for _ in 0..HANDSHAKES {
        server.handshake(&client);
    }
    let handshakes = f64::from(HANDSHAKES) / server.spent.as_secs_f64();
    println!("handshakes, server side, one core       {handshakes:10.0} /s");
    println!("  beside: RSA and DH of one, bare       {arithmetic:10.0} /s");
}

/// What no server can do without: one private operation, g_a, and the key.
fn arithmetic(key: &PrivateKey) {
    let mut rng = support::rng();
    let (mut secret, mut input) = ([0; 256], [0; 256]);
    rng.fill_bytes(&mut secret);
    rng.fill_bytes(&mut input);
    input[0] = 0;
    let secret = SecretBytes::new(secret);
    let group = Group::known();
    black_box(key.raw(&input).unwrap());
    let public = group.public(&secret);
    black_box(group.shared(&secret, &public));
}

fn per_second(step: impl Fn()) -> f64 {
    let start = Instant::now();
    for _ in 0..HANDSHAKES {
        step();
    }
    f64::from(HANDSHAKES) / start.elapsed().as_secs_f64()
}

/// The table of exchanges, with a stopwatch that runs while it or one of its jobs does.
struct Server {
    table: Exchanges,
    rng: ChaCha20Rng,
    spent: Duration,
    links: u64,
}

impl Server {
    fn new(key: &PrivateKey) -> Self {
        let config = server::Config {
            keys: Keyring::new([key.clone()]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: Term(1),
        };
        Self {
            table: Exchanges::new(config, Limits::default()),
            rng: support::rng(),
            spent: Duration::ZERO,
            links: 0,
        }
    }

    fn handshake(&mut self, client: &Config) {
        let rng = &mut support::rng();
        self.links += 1;
        let (state, query) = AwaitResPq::begin(client.clone(), rng);
        let answer = self.ask(&query);
        let (state, query) = state.handle(&answer).unwrap().run(rng).unwrap();
        let answer = self.ask(&query);
        let (state, query) = state
            .handle(&answer, support::now())
            .unwrap()
            .run(rng)
            .unwrap();
        let answer = self.ask(&query);
        assert!(matches!(state.handle(&answer), Ok(Outcome::Made(_))));
    }

    fn ask(&mut self, body: &[u8]) -> Vec<u8> {
        let link = LinkId(self.links);
        let start = Instant::now();
        let mut effects = Vec::new();
        let mut answer = Vec::new();
        self.step(Input::Request { link, body }, &mut effects);
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Answer { body, .. } => answer = body.to_vec(),
                Effect::Work(job) => {
                    let worked = job.run(&mut self.rng);
                    self.step(Input::Worked(worked), &mut effects);
                }
                Effect::Store { ticket, .. } => {
                    self.step(
                        Input::Stored {
                            ticket,
                            outcome: StoreOutcome::Stored,
                        },
                        &mut effects,
                    );
                }
                Effect::Close { .. } | Effect::Refuse { .. } => {
                    unreachable!("the client is honest")
                }
            }
        }
        self.spent += start.elapsed();
        answer
    }

    fn step(&mut self, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.table.handle(
            input,
            &mut Cx {
                now: support::now(),
                rng: &mut self.rng,
                out: effects,
            },
        );
    }
}

const WARM_UP: u32 = 20;

const HANDSHAKES: u32 = 1_000;
