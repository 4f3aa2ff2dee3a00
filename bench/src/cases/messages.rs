//! Whole envelopes: body copied in, padded, sealed; or opened and checked.
//!
//! Sealing includes the padding, here from a buffered generator, in `grammers-crypto` from the operating system, as it
//! ships. All seal as a client and open as a client.

use std::hint::black_box;

use grammers_crypto::DequeBuffer;

use super::{Case, Named};
#[cfg(feature = "heliogram")]
use crate::peers::heliogram;
use crate::peers::plain;

pub(super) fn all() -> Vec<Named> {
    [
        &PEERS[..],
        #[cfg(feature = "heliogram")]
        &OURS[..],
    ]
    .concat()
}

const PEERS: [Named; 12] = [
    ("grammers seal_32", || grammers_seal(32)),
    ("grammers seal_1k", || grammers_seal(1 << 10)),
    ("grammers seal_512k", || grammers_seal(512 << 10)),
    ("grammers open_32", || grammers_open(32)),
    ("grammers open_1k", || grammers_open(1 << 10)),
    ("grammers open_512k", || grammers_open(512 << 10)),
    ("plain seal_32", || seal(32, plain::seal)),
    ("plain seal_1k", || seal(1 << 10, plain::seal)),
    ("plain seal_512k", || seal(512 << 10, plain::seal)),
    ("plain open_32", || open(32, plain::open)),
    ("plain open_1k", || open(1 << 10, plain::open)),
    ("plain open_512k", || open(512 << 10, plain::open)),
];

#[cfg(feature = "heliogram")]
const OURS: [Named; 16] = [
    ("heliogram seal_32", || seal(32, heliogram::seal())),
    ("heliogram seal_1k", || seal(1 << 10, heliogram::seal())),
    ("heliogram seal_512k", || seal(512 << 10, heliogram::seal())),
    ("heliogram open_32", || open(32, heliogram::open())),
    ("heliogram open_1k", || open(1 << 10, heliogram::open())),
    ("heliogram open_512k", || open(512 << 10, heliogram::open())),
    ("heliogram seal_16x1k", || {
        batch(&[1 << 10; 16], heliogram::Batch::seal)
    }),
    ("heliogram-alone seal_16x1k", || {
        batch(&[1 << 10; 16], heliogram::Batch::seal_alone)
    }),
    ("heliogram open_16x1k", || {
        batch(&[1 << 10; 16], heliogram::Batch::open)
    }),
    ("heliogram-alone open_16x1k", || {
        batch(&[1 << 10; 16], heliogram::Batch::open_alone)
    }),
    ("heliogram seal_64x128", || {
        batch(&[128; 64], heliogram::Batch::seal)
    }),
    ("heliogram-alone seal_64x128", || {
        batch(&[128; 64], heliogram::Batch::seal_alone)
    }),
    ("heliogram seal_128xmixed", || {
        batch(&mixed(), heliogram::Batch::seal)
    }),
    ("heliogram-alone seal_128xmixed", || {
        batch(&mixed(), heliogram::Batch::seal_alone)
    }),
    ("heliogram open_128xmixed", || {
        batch(&mixed(), heliogram::Batch::open)
    }),
    ("heliogram-alone open_128xmixed", || {
        batch(&mixed(), heliogram::Batch::open_alone)
    }),
];

fn grammers_seal(body: usize) -> Case {
    let key = grammers_crypto::AuthKey::from_bytes(plain::KEY);
    let text = plain::text(body);
    let mut buffer = DequeBuffer::with_capacity(text.len() + 64, plain::HEADER_BYTES);
    Case::new(move || {
        buffer.clear();
        buffer.extend(black_box(&text).iter().copied());
        grammers_crypto::encrypt_data_v2(&mut buffer, &key);
    })
}

fn grammers_open(body: usize) -> Case {
    let key = grammers_crypto::AuthKey::from_bytes(plain::KEY);
    open(body, move |envelope| {
        assert!(grammers_crypto::decrypt_data_v2(envelope, &key).is_ok());
    })
}

fn seal(body: usize, mut seal: impl FnMut(&mut [u8]) + 'static) -> Case {
    let text = plain::text(body);
    let mut envelope = vec![0; plain::envelope_bytes(body)];
    let mut padding = plain::Padding::default();
    Case::new(move || {
        plain::fill(&mut envelope, black_box(&text), &mut padding);
        seal(&mut envelope);
    })
}

fn open(body: usize, mut open: impl FnMut(&mut [u8]) + 'static) -> Case {
    let sealed = plain::sealed_by_server(body);
    let mut envelope = sealed.clone();
    Case::new(move || {
        envelope.copy_from_slice(black_box(&sealed));
        open(&mut envelope);
    })
}

#[cfg(feature = "heliogram")]
fn batch(bodies: &[usize], mut run: impl FnMut(&mut heliogram::Batch) + 'static) -> Case {
    let mut batch = heliogram::Batch::new(bodies);
    Case::new(move || run(black_box(&mut batch))).of_pieces(bodies.len())
}

/// What a busy connection may have queued: many short messages, some long ones, in no order.
#[cfg(feature = "heliogram")]
fn mixed() -> Vec<usize> {
    (0..128_usize)
        .map(|i| 32 + (i * 7919 % 128) * (i * 7919 % 128) / 8)
        .collect()
}
