//! Secrets are erased where they lay: a process that looks through its own memory finds them while they are needed, and
//! not after that.
//!
//! Looks at all that can be written but stacks. Secrets lie on the heap, so that moving them leaves no copies; what a
//! computation has left in registers and on its stack is not looked for.

#![cfg(test)]
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_types, reason = "tests take turns")]

use std::convert::Infallible;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_proto::cx::{Mono, Now, Unix};
use heliogram_proto::exchange::client::{self, AwaitResPq, Error, Outcome};
use heliogram_proto::exchange::server::{self, AwaitReqDh, Dcs, Keyring, Query, Step};
use heliogram_proto::ids::Term;
use rand_core::{TryCryptoRng, TryRng};

#[test]
fn what_is_dropped_without_being_erased_is_found() {
    let mut eye = Eye::open();
    let secret = Needle::of_stream(1, 64);
    assert!(!eye.sees(&secret), "before there is one");
    let mut careless = vec![Box::new([0; 64]); 100];
    for copy in &mut careless {
        Stream::new(1).try_fill_bytes(&mut copy[..]).unwrap();
    }
    assert!(eye.sees(&secret));
    drop(careless);
    assert!(eye.sees(&secret), "dropping alone erases nothing");
}

#[test]
fn a_refused_exchange_leaves_none_of_its_secrets_behind() {
    let mut eye = Eye::open();
    warm_up();
    let new_nonce = Needle::of_stream(SOLVE + 10, 32);
    let mut exchange = Exchange::begin(10);
    assert!(eye.sees(&new_nonce), "while an answer is awaited");
    // In the middle of what only the server can have sealed.
    exchange.params[300] ^= 1;
    let refused = exchange.state.handle(&exchange.params, NOW);
    assert_eq!(refused.map(drop), Err(Error::Untrusted));
    drop(exchange.server);
    assert!(!eye.sees(&new_nonce), "new_nonce");
}

#[test]
fn an_exchange_leaves_nothing_but_its_key_and_that_no_longer_than_it_is_held() {
    let mut eye = Eye::open();
    warm_up();
    let new_nonce = Needle::of_stream(SOLVE + 20, 32);
    let exponent = Needle::of_stream(GROUP + 20, 256);
    let exchange = Exchange::begin(20);
    let job = exchange.state.handle(&exchange.params, NOW).unwrap();
    let (state, query) = job.run(&mut Stream::new(GROUP + 20)).unwrap();
    assert!(!eye.sees(&exponent), "the exponent is used once");

    let Ok((Query::Step(Step::SetClientDhParams(query)), _)) = Query::parse(&query) else {
        panic!("set_client_DH_params");
    };
    let answer = exchange.server.handle(&query).unwrap().run().accept();
    let Ok(Outcome::Made(made)) = state.handle(&answer) else {
        panic!("a key");
    };
    assert!(!eye.sees(&new_nonce), "new_nonce");
    let key = Needle::of(made.key.expose());
    assert!(eye.sees(&key), "while it is held");
    let shared = Arc::new(made.key);
    let copy = (*shared).clone();
    drop(shared);
    assert!(eye.sees(&key), "a copy is held");
    drop(copy);
    assert!(!eye.sees(&key), "the key");
}

/// A client that waits for the Diffie-Hellman parameters, and a server that has made them.
struct Exchange {
    state: client::AwaitDhParams,
    server: server::AwaitClientDh,
    /// `server_DH_params_ok`.
    params: Vec<u8>,
}

impl Exchange {
    fn begin(seed: u64) -> Self {
        static RSA_KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());
        let known = vec![RSA_KEY.public().clone()];
        let server_config = Arc::new(server::Config {
            keys: Keyring::new([RSA_KEY.clone()]),
            dcs: Dcs::Any,
            legacy_padding: false,
            term: Term(1).into(),
        });
        let client_config = client::Config {
            keys: known,
            dc: Some(2),
            expires_in_s: None,
            padding: Padding::RsaPad,
        };
        let (state, query) = AwaitResPq::begin(client_config, &mut Stream::new(seed + 5));
        let Ok((Query::ReqPq { nonce }, _)) = Query::parse(&query) else {
            panic!("req_pq_multi");
        };
        let server = AwaitReqDh::begin(nonce, &mut Stream::new(seed + 6));
        let job = state.handle(&server.res_pq(&server_config.keys)).unwrap();
        let (state, query) = job.run(&mut Stream::new(SOLVE + seed)).unwrap();
        let Ok((Query::Step(Step::ReqDhParams(query)), _)) = Query::parse(&query) else {
            panic!("req_DH_params");
        };
        let job = server.handle(&query, &server_config).unwrap();
        let agreed = job.run(&mut Stream::new(seed + 7)).unwrap();
        let (server, params) = agreed.answer(NOW, &mut Stream::new(seed + 8)).unwrap();
        Self {
            state,
            server,
            params,
        }
    }
}

/// Has made what is made once, tables and groups: a large value that is put on the heap for good takes along, in what it
/// leaves unused of its place, whatever lay on the stack.
fn warm_up() {
    drop(Exchange::begin(90));
}

/// Bytes to look for. Kept under a mask, or they would be found here.
struct Needle {
    masked: Vec<u8>,
}

impl Needle {
    /// What a generator of this seed yields first.
    fn of_stream(seed: u64, length: u64) -> Self {
        let masked = (0..length).map(|at| Stream::byte(seed, at) ^ MASK);
        Self {
            masked: masked.collect(),
        }
    }

    fn of(secret: &[u8]) -> Self {
        let masked = secret.iter().map(|byte| byte ^ MASK);
        Self {
            masked: masked.collect(),
        }
    }

    fn is_within(&self, block: &[u8]) -> bool {
        let pieces = self.masked.chunks_exact(PIECE);
        let firsts: Vec<u8> = pieces.clone().map(|it| it[0] ^ MASK).collect();
        let starts = memchr_any(block, &firsts);
        starts.into_iter().any(|at| {
            let Some(found) = block.get(at..at + PIECE) else {
                return false;
            };
            let is_it = |piece: &[u8]| found.iter().zip(piece).all(|(a, b)| a ^ MASK == *b);
            pieces.clone().any(is_it)
        })
    }
}

/// Returns where any of these bytes stands.
fn memchr_any(block: &[u8], bytes: &[u8]) -> Vec<usize> {
    let mut is_one = [false; 256];
    for byte in bytes {
        is_one[usize::from(*byte)] = true;
    }
    let is_start = |(_, byte): &(usize, &u8)| is_one[usize::from(**byte)];
    let starts = block.iter().enumerate().filter(is_start);
    starts.map(|(at, _)| at).collect()
}

/// The regions of this process that can be written, but for stacks: those that a small region guards from below.
fn writable_regions() -> Vec<(u64, u64)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let (mut regions, mut guarded) = (Vec::new(), 0);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|it| u64::from_str_radix(it, 16).unwrap());
        let is_stack = start == guarded || line.ends_with("[stack]");
        guarded = if rights == "---p" && end - start <= GUARD_MAX {
            end
        } else {
            0
        };
        if rights == "rw-p" && !is_stack {
            regions.push((start, end));
        }
    }
    regions
}

/// Looks through memory. One at a time: what another test holds would be found.
struct Eye {
    /// Made before there is any secret, or it would take the place of what was freed.
    block: MutexGuard<'static, Vec<u8>>,
}

impl Eye {
    fn open() -> Self {
        static BLOCK: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        let mut block = BLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        block.resize(BLOCK_BYTES + PIECE, 0);
        Self { block }
    }

    /// Tells whether any 16 bytes in a row of it are in memory. Freed memory is used again, and seldom all of it.
    fn sees(&mut self, needle: &Needle) -> bool {
        let memory = File::open("/proc/self/mem").unwrap();
        let is_found = writable_regions().into_iter().any(|(start, end)| {
            (start..end).step_by(BLOCK_BYTES).any(|at| {
                let length = self.block.len().min(usize::try_from(end - at).unwrap());
                let block = self.block.get_mut(..length).unwrap();
                // A region that has gone since holds nothing.
                let count = memory.read_at(block, at).unwrap_or(0);
                needle.is_within(&block[..count])
            })
        });
        // Or the next look would find what this one has copied.
        std::hint::black_box(&mut *self.block).fill(0);
        is_found
    }
}

/// A generator that never holds what it yields.
struct Stream {
    seed: u64,
    at: u64,
}

impl Stream {
    const fn new(seed: u64) -> Self {
        Self { seed, at: 0 }
    }

    /// One byte of `SplitMix64`'s output.
    fn byte(seed: u64, at: u64) -> u8 {
        let mut z = (seed << 32 | at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z.to_le_bytes()[7]
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = Self::byte(self.seed, self.at);
            self.at += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Stream {}

/// What is added to the seeds of the client's two steps with secrets.
const SOLVE: u64 = 1000;
const GROUP: u64 = 2000;

const NOW: Now = Now {
    mono: Mono(0),
    unix: Unix::from_seconds(1_700_000_000),
};

const MASK: u8 = 0x5a;
const PIECE: usize = 16;
const BLOCK_BYTES: usize = 1 << 20;

/// Guard pages of a thread's stack are fewer; what an allocator has reserved is more.
const GUARD_MAX: u64 = 64 << 10;
