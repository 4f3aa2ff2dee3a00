//! From what one read brought to payloads, and back.
//!
//! A read of 64 KiB holds some 620 frames of a sealed ping (104 bytes). Splitting costs a few branches per frame and
//! touches one or four bytes of it: some nanoseconds, no allocation, no copy. Obfuscation is AES-CTR over every byte,
//! about a nanosecond per block with AES-NI: 64 KiB take some microseconds, and that is the bulk. A WebSocket frame
//! around each adds a copy of the payload and its unmasking.

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use heliogram_proto::transport::{Framing, client, server};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn main() {
    divan::main();
}

#[divan::bench(args = STACKS)]
fn decode(bencher: Bencher<'_, '_>, stack: &Stack) {
    let (_, wire, frames) = stack.connect();
    let bencher = bencher
        .counter(ItemsCount::new(frames))
        .counter(BytesCount::new(wire.len()));
    // Counters and sequence numbers go on, so each round needs a server that stands where the read begins.
    let fresh = || (stack.connect().0, wire.clone());
    bencher
        .with_inputs(fresh)
        .bench_local_refs(|(server, wire)| {
            let mut bytes = 0;
            let decoded = server.decode(wire, &mut Vec::new(), &mut |payload| {
                bytes += black_box(payload).bytes().len();
            });
            assert_eq!((decoded, bytes), (Ok(()), frames * ENVELOPE_BYTES));
        });
}

#[divan::bench(args = STACKS)]
fn encode(bencher: Bencher<'_, '_>, stack: &Stack) {
    let (mut server, ..) = stack.connect();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut out = Vec::with_capacity(1 << 17);
    let bencher = bencher.counter(ItemsCount::new(READ_BYTES / ENVELOPE_BYTES));
    bencher.bench_local(|| {
        out.clear();
        for _ in 0..READ_BYTES / ENVELOPE_BYTES {
            assert_eq!(
                server.encode(black_box(&[1; ENVELOPE_BYTES]), &mut rng, &mut out),
                Ok(())
            );
        }
    });
}

/// The layers of a connection.
#[derive(Debug)]
struct Stack {
    framing: Framing,
    obfuscated: bool,
    websocket: bool,
}

impl Stack {
    /// A server that knows what its client speaks, and one read full of frames for it.
    fn connect(&self) -> (server::Transport, Vec<u8>, usize) {
        let mut config = client::Config::new(self.framing);
        if self.obfuscated {
            config = config.obfuscated(client::Obfuscation::default());
        }
        if self.websocket {
            config = config.within(client::Endpoint {
                host: "a".to_owned(),
                path: "/apiws".to_owned(),
            });
        }
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut server = server::Transport::new(Arc::default());
        server.trust();
        let mut wire = Vec::new();
        let client = client::Transport::new(&config, &mut rng, &mut wire);
        let Ok(mut client) = client else {
            unreachable!("the stack is sound")
        };
        if self.websocket {
            let mut answer = Vec::new();
            assert_eq!(server.decode(&mut wire, &mut answer, &mut |_| {}), Ok(()));
            wire.clear();
            assert_eq!(
                client.decode(&mut answer, &mut rng, &mut wire, &mut |_| {}),
                Ok(())
            );
        }
        let mut frames = 1;
        assert_eq!(
            client.encode(&[1; ENVELOPE_BYTES], false, &mut rng, &mut wire),
            Ok(())
        );
        assert_eq!(
            server.decode(&mut wire, &mut Vec::new(), &mut |_| {}),
            Ok(())
        );
        wire.clear();
        while wire.len() < READ_BYTES {
            assert_eq!(
                client.encode(&[1; ENVELOPE_BYTES], false, &mut rng, &mut wire),
                Ok(())
            );
            frames += 1;
        }
        (server, wire, frames - 1)
    }
}

/// A sealed ping: 24 bytes, and 80 sealed ones with their padding.
const ENVELOPE_BYTES: usize = 104;

/// What one wake-up of a busy connection reads.
const READ_BYTES: usize = 64 << 10;

const STACKS: &[Stack] = &[
    Stack {
        framing: Framing::Abridged,
        obfuscated: false,
        websocket: false,
    },
    Stack {
        framing: Framing::PaddedIntermediate,
        obfuscated: false,
        websocket: false,
    },
    Stack {
        framing: Framing::Full,
        obfuscated: false,
        websocket: false,
    },
    Stack {
        framing: Framing::Intermediate,
        obfuscated: true,
        websocket: false,
    },
    Stack {
        framing: Framing::Intermediate,
        obfuscated: true,
        websocket: true,
    },
];
