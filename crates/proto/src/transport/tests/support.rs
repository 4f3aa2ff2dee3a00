//! Vectors, a generator that says what it is told to, and short ways to feed a transport.

use std::sync::Arc;

use heliogram_crypto::hash::sha256;
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;

use super::super::client::{self, Incoming};
use super::super::{Error, server};

/// Reads a file of vectors.
pub(super) fn vectors(name: &str) -> Value {
    let path = format!(
        "{}/../../testdata/vectors/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(super) fn unhex(value: &Value) -> Vec<u8> {
    from_hex(value.as_str().unwrap())
}

pub(super) fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// The filler of the vectors: SHA-256 of label and block number.
pub(super) fn filler(label: &str, bytes: usize) -> Vec<u8> {
    let blocks = (0u32..).flat_map(|block| sha256(&[label.as_bytes(), &block.to_be_bytes()]));
    blocks.take(bytes).collect()
}

/// Compares with a vector: in full if it is short, by its ends and its hash if it is long.
pub(super) fn assert_matches(found: &[u8], expected: &Value, what: &str) {
    if let Some(hex) = expected.get("hex") {
        assert_eq!(found, unhex(hex), "{what}");
        return;
    }
    assert_eq!(
        found.len() as u64,
        expected["len"].as_u64().unwrap(),
        "{what}"
    );
    assert_eq!(found[..32], unhex(&expected["first32"]), "{what}");
    assert_eq!(
        found[found.len() - 16..],
        unhex(&expected["last16"]),
        "{what}"
    );
    assert_eq!(
        sha256(&[found]).to_vec(),
        unhex(&expected["sha256"]),
        "{what}"
    );
}

/// A generator that gives out what it was told, then zeros.
#[derive(Default)]
pub(super) struct Told(pub(super) Vec<u8>);

impl TryRng for Told {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        let told = self.0.len().min(out.len());
        out.fill(0);
        for (to, from) in out.iter_mut().zip(self.0.drain(..told)) {
            *to = from;
        }
        Ok(())
    }
}

impl TryCryptoRng for Told {}

/// Makes [`Told`] draw `padding` for a padded frame: the last of 16 bytes gives the length.
pub(super) fn told_padding(padding: &[u8]) -> Told {
    let mut bytes = padding.to_vec();
    bytes.resize(15, 0xaa);
    bytes.push(u8::try_from(padding.len()).unwrap());
    Told(bytes)
}

/// What a server made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Payloads, and whether a quick ack was asked for.
    pub(super) payloads: Vec<(Vec<u8>, bool)>,
    pub(super) result: Result<(), Error>,
    /// What the transport itself answered.
    pub(super) out: Vec<u8>,
}

/// Feeds a server piece by piece.
pub(super) fn hear<'p>(
    transport: &mut server::Transport,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Heard {
    let mut heard = Heard {
        payloads: Vec::new(),
        result: Ok(()),
        out: Vec::new(),
    };
    for piece in pieces {
        let mut piece = piece.to_vec();
        heard.result = transport.decode(&mut piece, &mut heard.out, &mut |payload| {
            heard
                .payloads
                .push((payload.bytes().to_vec(), payload.wants_quick_ack()));
        });
        if heard.result.is_err() {
            break;
        }
    }
    heard
}

/// Feeds a new server that serves everything and already trusts its client.
pub(super) fn hear_trusted(bytes: &[u8]) -> Heard {
    let mut transport = trusting(server::Config::default());
    hear(&mut transport, [bytes])
}

pub(super) fn trusting(config: server::Config) -> server::Transport {
    let mut transport = server::Transport::new(Arc::new(config));
    transport.trust();
    transport
}

pub(super) fn payloads(payloads: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
    payloads
        .iter()
        .map(|payload| (payload.to_vec(), false))
        .collect()
}

/// What a client understands of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Understood {
    Payload(Vec<u8>),
    QuickAck(u32),
    Error(i32),
}

/// Feeds a client.
pub(super) fn understand(
    transport: &mut client::Transport,
    bytes: &[u8],
) -> (Vec<Understood>, Result<(), Error>) {
    let mut understood = Vec::new();
    let mut bytes = bytes.to_vec();
    let result = transport.decode(
        &mut bytes,
        &mut Told::default(),
        &mut Vec::new(),
        &mut |incoming| {
            understood.push(match incoming {
                Incoming::Payload(payload) => Understood::Payload(payload.bytes().to_vec()),
                Incoming::QuickAck { token } => Understood::QuickAck(token),
                Incoming::Error { code } => Understood::Error(code),
            });
        },
    );
    (understood, result)
}

/// Starts a client and drops what it says first.
pub(super) fn client(config: &client::Config) -> client::Transport {
    client::Transport::new(config, &mut Told::default(), &mut Vec::new()).unwrap()
}
