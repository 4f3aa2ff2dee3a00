//! The sending half of a connection, the same for both roles: framing, then obfuscation, then WebSocket.

use heliogram_crypto::ctr::Aes256Ctr;
use rand_core::CryptoRng;

use super::error::Error;
use super::{Framing, abridged, full, intermediate, padded};

/// Turns payloads into bytes for the peer.
#[derive(Debug)]
pub(super) struct Outgoing {
    framing: Framing,
    /// The sequence number of the next frame, in `full`.
    seq: u32,
    cipher: Option<Box<Aes256Ctr>>,
}

impl Outgoing {
    pub(super) fn new(framing: Framing, cipher: Option<Box<Aes256Ctr>>) -> Self {
        Self { framing, seq: 0, cipher }
    }

    /// Appends a message. `quick_ack` asks for one; only a client does.
    pub(super) fn write_message(
        &mut self,
        payload: &[u8],
        quick_ack: bool,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if payload.is_empty() || payload.len() % 4 != 0 {
            return Err(Error::Misuse("a payload is a multiple of four bytes"));
        }
        let start = out.len();
        match self.framing {
            Framing::Abridged => {
                abridged::write_header(payload.len(), quick_ack, out)?;
                out.extend_from_slice(payload);
            }
            Framing::Intermediate => {
                intermediate::write_header(payload.len(), quick_ack, out)?;
                out.extend_from_slice(payload);
            }
            Framing::PaddedIntermediate => padded::write(payload, quick_ack, rng, out)?,
            Framing::Full => {
                full::write(payload, self.seq, out)?;
                self.seq = self.seq.wrapping_add(1);
            }
        }
        self.finish(start, out);
        Ok(())
    }

    /// Appends a server's quick ack; nothing, where the framing has none.
    pub(super) fn write_quick_ack(
        &mut self,
        token: u32,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        match self.framing {
            Framing::Abridged => abridged::write_quick_ack(token, out),
            Framing::Intermediate => intermediate::write_quick_ack(token, out),
            Framing::PaddedIntermediate => padded::write_quick_ack(token, rng, out)?,
            Framing::Full => return Ok(()),
        }
        self.finish(start, out);
        Ok(())
    }

    fn finish(&mut self, start: usize, out: &mut [u8]) {
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(out.get_mut(start..).unwrap_or_default());
        }
    }
}
