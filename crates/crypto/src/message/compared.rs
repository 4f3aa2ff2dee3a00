//! Any mix of messages, one by one and as a batch, and both ciphers alone, at every level: all must give the same bytes
//! and the same answers.

#![expect(clippy::expect_used, reason = "whoever compares wants to hear of it")]

use super::{HEADER_BYTES, Job, MessageHash, batch, open_on, seal_on, split};
use crate::ctr::Aes256Ctr;
use crate::simd::{Cpu, Level};
use crate::{AuthKey, Direction, Undecryptable, ige};

/// Seals, changes a byte or not, and opens; encrypts, and applies a stream; compares each level with the plain one.
///
/// # Panics
///
/// When a level differs.
pub fn levels(input: &[u8]) {
    let Some(mix) = Mix::read(input) else {
        return;
    };
    let plain = Cpu::all().find(|cpu| cpu.level() == Level::Plain);
    let plain = plain.expect("every processor has the plain level");
    let expected = mix.alone(plain);
    let (blocks, stream) = (mix.blocks(plain), mix.stream(plain));
    for cpu in Cpu::all() {
        assert!(mix.blocks(cpu) == blocks, "{:?}, IGE", cpu.level());
        assert!(mix.stream(cpu) == stream, "{:?}, CTR", cpu.level());
        assert_eq!(mix.alone(cpu), expected, "{:?}, one by one", cpu.level());
        assert_eq!(mix.together(cpu), expected, "{:?}, as a batch", cpu.level());
    }
}

/// Some messages.
///
/// As bytes: one of flags, then three per message: blocks of text, low byte first, and which byte to change.
struct Mix {
    dir: Direction,
    messages: Vec<Message>,
}

struct Message {
    key: AuthKey,
    envelope: Vec<u8>,
    /// Where a byte is changed between sealing and opening; nowhere if it is 0.
    change: usize,
}

/// What sealing gave, what opening answered, and what it left behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    sealed: Vec<u8>,
    answer: Result<MessageHash, Undecryptable>,
    opened: Vec<u8>,
}

impl Mix {
    fn read(input: &[u8]) -> Option<Self> {
        let (flags, input) = input.split_first()?;
        let (messages, _) = input.as_chunks::<3>();
        let messages: Vec<_> = messages
            .iter()
            .take(MESSAGES_MAX)
            .map(Message::read)
            .collect();
        let dir = match flags & 1 {
            0 => Direction::ClientToServer,
            _ => Direction::ServerToClient,
        };
        let bytes: usize = messages.iter().map(|message| message.envelope.len()).sum();
        (bytes <= BYTES_MAX).then_some(Self { dir, messages })
    }

    fn alone(&self, cpu: Cpu) -> Vec<Outcome> {
        let outcomes = self.messages.iter().map(|message| {
            let mut envelope = message.envelope.clone();
            let mut parts = split(&mut envelope).expect("a valid length");
            seal_on(cpu, &message.key, self.dir, &mut parts);
            let sealed = message.changed(envelope);
            let mut envelope = sealed.clone();
            let mut parts = split(&mut envelope).expect("a valid length");
            let answer = open_on(cpu, &message.key, self.dir, &mut parts);
            Outcome {
                sealed,
                answer,
                opened: envelope,
            }
        });
        outcomes.collect()
    }

    fn together(&self, cpu: Cpu) -> Vec<Outcome> {
        let mut envelopes: Vec<_> = self
            .messages
            .iter()
            .map(|one| one.envelope.clone())
            .collect();
        assert!(batch::seal(cpu, &mut self.jobs(&mut envelopes)).is_ok());
        let changed = self.messages.iter().zip(envelopes);
        let sealed: Vec<_> = changed
            .map(|(one, envelope)| one.changed(envelope))
            .collect();
        let mut opened = sealed.clone();
        let mut answers = Vec::new();
        batch::open(cpu, &mut self.jobs(&mut opened), &mut answers);
        assert_eq!(answers.len(), sealed.len());
        let outcomes = sealed.into_iter().zip(answers).zip(opened);
        let outcomes = outcomes.map(|((sealed, answer), opened)| Outcome {
            sealed,
            answer,
            opened,
        });
        outcomes.collect()
    }

    /// Each text encrypted by itself, and decrypted without having been encrypted.
    fn blocks(&self, cpu: Cpu) -> Vec<Vec<u8>> {
        let texts = self.messages.iter().flat_map(|message| {
            let (key, iv) = (message.key.expose(), message.key.expose());
            let (Some(key), Some(iv)) = (key.first_chunk(), iv.last_chunk()) else {
                return [Vec::new(), Vec::new()];
            };
            let (mut forth, mut back) = (message.envelope.clone(), message.envelope.clone());
            ige::encrypt_on(cpu, key, iv, forth.as_chunks_mut().0);
            ige::decrypt_on(cpu, key, iv, back.as_chunks_mut().0);
            [forth, back]
        });
        texts.collect()
    }

    /// One stream over all of it, cut at the ends of messages and where their bytes would be changed.
    fn stream(&self, cpu: Cpu) -> Vec<u8> {
        let mut cipher = Aes256Ctr::new_on(cpu, &[1; 32], &[0xff; 16]);
        let pieces = self.messages.iter().flat_map(|message| {
            let mut envelope = message.envelope.clone();
            let (begin, rest) = envelope.split_at_mut(message.change.min(HEADER_BYTES));
            cipher.apply(begin);
            cipher.apply(rest);
            envelope
        });
        pieces.collect()
    }

    fn jobs<'a>(&'a self, envelopes: &'a mut [Vec<u8>]) -> Vec<Job<'a>> {
        let pairs = self.messages.iter().zip(envelopes);
        let jobs = pairs.map(|(message, envelope)| Job {
            key: &message.key,
            dir: self.dir,
            envelope,
        });
        jobs.collect()
    }
}

impl Message {
    fn read(&[low, high, change]: &[u8; 3]) -> Self {
        let blocks = usize::from(u16::from_le_bytes([low, high]) % BLOCKS_MAX) + 3;
        // Each message its own key and text, and no two bytes in a row alike.
        let mut byte = low ^ change;
        let mut next = || {
            byte = byte.wrapping_mul(5).wrapping_add(high | 1);
            byte
        };
        Self {
            key: AuthKey::new(core::array::from_fn(|_| next())),
            envelope: core::iter::repeat_with(next)
                .take(HEADER_BYTES + 16 * blocks)
                .collect(),
            change: change.into(),
        }
    }

    fn changed(&self, mut envelope: Vec<u8>) -> Vec<u8> {
        let at = self.change * 7919 % envelope.len();
        if let Some(byte) = envelope.get_mut(at).filter(|_| self.change != 0) {
            *byte ^= 1;
        }
        envelope
    }
}

/// As many as the equality tests mix.
const MESSAGES_MAX: usize = 64;

/// 64 KiB.
const BLOCKS_MAX: u16 = 4094;

/// Keeps one input below some milliseconds.
const BYTES_MAX: usize = 160 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus that the fuzzer has grown, and what once made it fail.
    #[test]
    fn levels_agree_on_all_of_the_corpus() {
        let corpus = include_str!("../../../../fuzz/corpora/levels.txt");
        let inputs: Vec<_> = corpus.lines().map(bytes).collect();
        assert!(inputs.len() > 10);
        for input in inputs {
            levels(&input);
        }
    }

    #[test]
    fn messages_are_changed_where_the_input_says_so_and_nowhere_else() {
        let mix = Mix::read(&[0, 0, 0, 0, 9, 0, 1]).unwrap();
        let plain = Cpu::all().next().unwrap();
        let answers: Vec<_> = mix
            .together(plain)
            .iter()
            .map(|one| one.answer.is_ok())
            .collect();
        assert_eq!(answers, [true, false]);
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
            panic!("{hex}");
        };
        let number = |pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        pairs.iter().map(|pair| number(pair)).collect()
    }
}
