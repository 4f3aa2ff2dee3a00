//! However a stream is cut into reads, the same comes out; whatever bytes come, nothing breaks and little is held.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::server::{Config, Transport};
use super::super::{Error, Framing, Secret, client};
use super::support::{Told, hear};
use crate::limits::FRAME_BYTES_MAX_BEFORE_KEY;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_gives_the_same_however_it_is_cut(
        stack in stack(),
        lengths in vec(1usize..300, 1..12),
        cuts in vec(0usize..4000, 0..20),
        broken in proptest::option::of((any::<prop::sample::Index>(), 1u8..)),
    ) {
        let mut wire = stack.wire(&lengths);
        if let Some((at, flip)) = broken {
            let at = at.index(wire.len());
            wire[at] ^= flip;
        }
        let at_once = stack.hear([wire.as_slice()]);
        let byte_by_byte = stack.hear(wire.chunks(1));
        prop_assert_eq!(&at_once, &byte_by_byte);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % wire.len()).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &wire[ends[0]..ends[1]]);
        prop_assert_eq!(&at_once, &stack.hear(pieces));
        if broken.is_none() {
            prop_assert_eq!(at_once.1, Ok(()));
            let heard: Vec<usize> = at_once.0.iter().map(|(payload, _)| payload.len()).collect();
            let sent: Vec<usize> = lengths.iter().map(|blocks| envelope_bytes(*blocks)).collect();
            prop_assert_eq!(heard, sent);
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        first in prop::sample::select(vec![
            &b""[..], b"\xef", b"\xee\xee\xee\xee", b"\xdd\xdd\xdd\xdd", b"\x34\0\0\0\0\0\0\0", b"GET ", b"PROXY ",
            b"\r\n\r\n\0\r\nQUIT\n", UPGRADE,
        ]),
        proxy_header in any::<bool>(),
        bytes in vec(any::<u8>(), 0..5000),
        step in 1usize..600,
    ) {
        let config = Config { proxy_header, secrets: vec![secret()], ..Config::default() };
        let mut transport = Transport::new(Arc::new(config));
        let wire = [first, &bytes].concat();
        for piece in wire.chunks(step) {
            let heard = hear(&mut transport, [piece]);
            // The longest of all is an HTTP head; its buffer doubles.
            prop_assert!(transport.buffered_bytes() <= 4 * FRAME_BYTES_MAX_BEFORE_KEY + 2 * step);
            if heard.result.is_err() {
                break;
            }
        }
    }

    #[test]
    fn a_client_survives_arbitrary_bytes(
        framing in prop::sample::select(FRAMINGS.to_vec()),
        websocket in any::<bool>(),
        bytes in vec(any::<u8>(), 0..3000),
    ) {
        let mut config = client::Config::new(framing);
        if websocket && framing != Framing::Full {
            config = config.within(endpoint());
        }
        let mut transport = client::Transport::new(&config, &mut Told::default(), &mut Vec::new()).unwrap();
        let mut bytes = [if websocket { ANSWER } else { b"" }, &bytes].concat();
        let _ = transport.decode(&mut bytes, &mut Told(vec![0x42; 100]), &mut Vec::new(), &mut |_| {});
    }
}

/// The layers of a connection.
#[derive(Clone, Debug)]
struct Stack {
    framing: Framing,
    obfuscation: Option<bool>,
    websocket: bool,
    proxy_header: bool,
}

fn stack() -> impl Strategy<Value = Stack> {
    let framing = prop::sample::select(FRAMINGS.to_vec());
    (framing, any::<Option<bool>>(), any::<bool>(), any::<bool>()).prop_map(
        |(framing, obfuscation, websocket, proxy_header)| Stack {
            framing,
            obfuscation: obfuscation.filter(|_| framing != Framing::Full),
            websocket: websocket && framing != Framing::Full,
            proxy_header,
        },
    )
}

/// Payloads with their flags, how it ended, and whose connection it was.
type Result3 = (
    Vec<(Vec<u8>, bool)>,
    Result<(), Error>,
    Option<core::net::SocketAddr>,
);

impl Stack {
    /// All that a client with this stack says, WebSocket frames of several sizes included.
    fn wire(&self, lengths: &[usize]) -> Vec<u8> {
        let mut config = client::Config::new(self.framing);
        if let Some(with_secret) = self.obfuscation {
            let secret = with_secret.then(secret);
            config = config.obfuscated(client::Obfuscation {
                secret,
                dc: Some(2),
            });
        }
        if self.websocket {
            config = config.within(endpoint());
        }
        let mut rng = Told(vec![0x42; 16]);
        let mut wire = if self.proxy_header {
            b"PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\n".to_vec()
        } else {
            Vec::new()
        };
        let mut transport = client::Transport::new(&config, &mut rng, &mut wire).unwrap();
        if self.websocket {
            let answer = hear(&mut self.server(), [wire.as_slice()]).out;
            let mut answer = answer;
            let mut random = Told((0..200).map(|byte| byte ^ 0x5a).collect());
            transport
                .decode(&mut answer, &mut random, &mut wire, &mut |_| {})
                .unwrap();
            wire.extend_from_slice(b"\x89\x80mask");
        }
        for (number, blocks) in lengths.iter().enumerate() {
            let payload = vec![u8::try_from(number + 1).unwrap(); envelope_bytes(*blocks)];
            let mut rng = Told(
                (0..16)
                    .map(|byte| byte * 7 + u8::try_from(number).unwrap())
                    .collect(),
            );
            transport
                .encode(&payload, number % 3 == 0, &mut rng, &mut wire)
                .unwrap();
        }
        wire
    }

    fn server(&self) -> Transport {
        let config = Config {
            proxy_header: self.proxy_header,
            secrets: vec![secret()],
            ..Config::default()
        };
        Transport::new(Arc::new(config))
    }

    /// Feeds a new server, whose owner vouches for every key.
    fn hear<'p>(&self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Result3 {
        let mut transport = self.server();
        let mut payloads = Vec::new();
        let mut result = Ok(());
        for piece in pieces {
            let mut piece = piece;
            loop {
                let mut heard = hear(&mut transport, [piece]);
                payloads.append(&mut heard.payloads);
                result = heard.result;
                if result.is_err() || transport.claimed_key().is_none() {
                    break;
                }
                transport.trust();
                piece = &[];
            }
            if result.is_err() {
                break;
            }
        }
        (payloads, result, transport.announced_peer())
    }
}

/// The size of an envelope of so many blocks; from 255 on it is more than a stranger may send.
fn envelope_bytes(blocks: usize) -> usize {
    24 + 16 * blocks
}

fn secret() -> Secret {
    Secret::from_bytes(&[7; 16]).unwrap()
}

fn endpoint() -> client::Endpoint {
    client::Endpoint {
        host: "a".to_owned(),
        path: "/apiws".to_owned(),
    }
}

const FRAMINGS: [Framing; 4] = [
    Framing::Abridged,
    Framing::Intermediate,
    Framing::PaddedIntermediate,
    Framing::Full,
];

const UPGRADE: &[u8] =
    b"GET /apiws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: binary\r\n\r\n";

/// To a request whose nonce is zero.
const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\nSec-WebSocket-Protocol: binary\r\n\r\n";
