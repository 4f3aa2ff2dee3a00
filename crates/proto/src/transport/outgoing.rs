//! The sending half of a connection, the same for both roles: framing, then obfuscation, then WebSocket.

use core::marker::PhantomData;

use heliogram_crypto::ctr::Aes256Ctr;
use rand_core::CryptoRng;

use super::error::Error;
use super::{Framing, abridged, full, http, intermediate, padded, websocket};
use crate::side::{Side, is_server};

/// Turns payloads into bytes, as `S` sends them.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    framing: Framing,
    /// The sequence number of the next frame, in `full`.
    seq: u32,
    cipher: Option<Box<Aes256Ctr>>,
    is_websocket: bool,
    side: PhantomData<S>,
}

impl<S: Side> Outgoing<S> {
    pub(super) fn new(
        framing: Framing,
        cipher: Option<Box<Aes256Ctr>>,
        is_websocket: bool,
    ) -> Self {
        Self {
            framing,
            seq: 0,
            cipher,
            is_websocket,
            side: PhantomData,
        }
    }

    /// Appends a message. `quick_ack` asks for one; only a client does.
    pub(super) fn write_message(
        &mut self,
        payload: &[u8],
        quick_ack: bool,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if payload.is_empty() || !payload.len().is_multiple_of(4) {
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
            Framing::PaddedIntermediate => {
                let padding_bytes_max = if is_server::<S>() {
                    padded::PADDING_BYTES_MAX_SERVER
                } else {
                    padded::PADDING_BYTES_MAX
                };
                padded::write(payload, quick_ack, padding_bytes_max, rng, out)?;
            }
            Framing::Full => {
                full::write(payload, self.seq, out)?;
                self.seq = self.seq.wrapping_add(1);
            }
            Framing::Http => {
                http::write_header(payload.len(), out);
                out.extend_from_slice(payload);
            }
        }
        self.finish(start, rng, out);
        Ok(())
    }

    /// Appends a server's transport error.
    pub(super) fn write_error(
        &mut self,
        code: i32,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.framing == Framing::Http {
            http::write_error(code, out);
            return Ok(());
        }
        self.write_message(&code.to_le_bytes(), false, rng, out)
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
            Framing::Full | Framing::Http => return Ok(()),
        }
        self.finish(start, rng, out);
        Ok(())
    }

    fn finish(&mut self, start: usize, rng: &mut dyn CryptoRng, out: &mut Vec<u8>) {
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(out.get_mut(start..).unwrap_or_default());
        }
        if self.is_websocket {
            websocket::wrap(start, mask::<S>(rng), out);
        }
    }
}

/// Draws the mask of a WebSocket frame that `S` sends.
pub(super) fn mask<S: Side>(rng: &mut dyn CryptoRng) -> websocket::Mask {
    if is_server::<S>() {
        return None;
    }
    let mut mask = [0; 4];
    rng.fill_bytes(&mut mask);
    Some(mask)
}
