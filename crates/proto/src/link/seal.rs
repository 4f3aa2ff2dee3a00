//! The way out: what the host said is sealed in batches and written in order.

use super::few::Few;
use super::{Cause, Effect, Link, Refusal};
use crate::cx::Cx;
use crate::envelope::{self, Header, Message, ToSeal};
use crate::port::FromHost;
use crate::side::Server;

/// Buffers of a turn that hold nothing between two turns, so that many links share them.
#[derive(Debug, Default)]
pub struct Scratch {
    sealed: Vec<u8>,
    ends: Vec<usize>,
}

impl Link {
    /// Seals and writes what the host said, in order; the buffer is left empty.
    pub fn send(
        &mut self,
        from_host: &mut Vec<FromHost>,
        scratch: &mut Scratch,
        write: &mut Vec<u8>,
        cx: &mut Cx<'_, Effect>,
    ) {
        let mut rest = from_host.as_slice();
        while !self.is_closed
            && let Some((first, after)) = rest.split_first()
        {
            let seals = rest
                .iter()
                .take_while(|item| matches!(item, FromHost::Seal { .. }))
                .count();
            match first {
                FromHost::Seal { .. } => {
                    let (batch, after) = rest.split_at_checked(seals).unwrap_or((rest, &[]));
                    self.seal(batch, scratch, write, cx);
                    rest = after;
                    continue;
                }
                FromHost::QuickAck { token, .. } => {
                    let acked = self.transport.encode_quick_ack(*token, cx.rng, write);
                    debug_assert!(acked.is_ok(), "who asked for it has shown a transport");
                }
                FromHost::Close { code, .. } => self.close(*code, Cause::Host, write, cx),
            }
            rest = after;
        }
        from_host.clear();
    }

    /// Seals a run of messages as one batch and writes them. Every item is a [`FromHost::Seal`].
    fn seal(
        &mut self,
        items: &[FromHost],
        scratch: &mut Scratch,
        write: &mut Vec<u8>,
        cx: &mut Cx<'_, Effect>,
    ) {
        let now_s = cx.now.unix.seconds();
        let batch: Result<Few<_>, _> = items
            .iter()
            .filter_map(|item| self.to_seal(item, now_s).transpose())
            .collect();
        let mut batch = match batch {
            Ok(batch) => batch,
            Err(Refusal { code, cause }) => return self.close(code, cause, write, cx),
        };
        let Scratch { sealed, ends } = scratch;
        sealed.clear();
        ends.clear();
        let outcome = if let Some(ToSeal { key, message }) = batch.single() {
            let outcome = envelope::seal::<Server>(key, message, sealed, cx.rng);
            ends.push(sealed.len());
            outcome.map(|_| ())
        } else {
            let batch: Vec<_> = batch.iter().copied().collect();
            envelope::seal_batch::<Server>(&batch, sealed, ends, cx.rng)
        };
        debug_assert!(outcome.is_ok(), "a host's bodies are whole words");
        let mut rest = sealed.as_slice();
        let mut start = 0;
        for &end in ends.iter() {
            let Some((envelope, after)) = rest.split_at_checked(end - start) else {
                break;
            };
            let encoded = self.transport.encode(envelope, cx.rng, write);
            debug_assert!(encoded.is_ok(), "a host's messages fit every framing");
            (rest, start) = (after, end);
        }
    }

    /// Finds what an item is to be sealed with; nothing if the link does not hold its key.
    fn to_seal<'a>(
        &'a self,
        item: &'a FromHost,
        now_s: u64,
    ) -> Result<Option<ToSeal<'a>>, Refusal> {
        let &FromHost::Seal {
            key,
            salt,
            session_id,
            msg_id,
            seqno,
            ref body,
            ..
        } = item
        else {
            return Ok(None);
        };
        let Some(record) = self.keys.to_seal(key) else {
            return Ok(None);
        };
        if record.facts.is_expired(now_s) {
            return Err(Refusal::KEY_ABSENT);
        }
        let header = Header {
            salt,
            session_id,
            msg_id,
            seqno,
        };
        Ok(Some(ToSeal {
            key: &record.key,
            message: Message { header, body },
        }))
    }
}
