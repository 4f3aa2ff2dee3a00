//! Splits a stream of bytes into frames, for any framing and either role.
//!
//! ```text
//! tail (owned, empty while no frame is partial) + input (the caller's) -> frames within the input
//!                                                                         at most one owned frame: the tail's
//!                                                                         the new tail
//! ```

use core::ops::Range;

use heliogram_crypto::AuthKeyId;

use super::error::Error;
use super::{Framing, abridged, full, http, intermediate, padded};
use crate::limits::FRAME_BYTES_MAX_BEFORE_KEY;
use crate::side::{Side, is_server};

/// The payload of a frame: a message, plain or encrypted, of its exact length.
#[derive(Debug)]
pub struct Payload<'a> {
    storage: Storage<'a>,
    wants_quick_ack: bool,
}

impl Payload<'_> {
    /// Returns the message's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.storage {
            Storage::Within(bytes) => bytes,
            Storage::Owned { frame, payload } => frame.get(payload.clone()).unwrap_or_default(),
        }
    }

    /// Returns the message's bytes, to be opened in place.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.storage {
            Storage::Within(bytes) => bytes,
            Storage::Owned { frame, payload } => frame.get_mut(payload.clone()).unwrap_or_default(),
        }
    }

    /// Tells whether the client asked for a quick ack. Never, on a client.
    #[must_use]
    pub fn wants_quick_ack(&self) -> bool {
        self.wants_quick_ack
    }
}

/// Where a frame's bytes are.
#[derive(Debug)]
enum Storage<'a> {
    /// In the caller's buffer: the payload alone.
    Within(&'a mut [u8]),
    /// The frame came in parts.
    Owned {
        frame: Vec<u8>,
        payload: Range<usize>,
    },
}

/// What a frame turned out to be.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// A message.
    Payload(Payload<'a>),
    /// A server's quick ack.
    QuickAck(u32),
    /// A server's transport error.
    Code(i32),
}

/// What the start of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing before so many bytes are there.
    Need(usize),
    /// The measures of a frame.
    Frame(Extent),
    /// Four bytes that are a quick ack.
    Token(u32),
    /// Four bytes that are a transport error outside of any frame.
    Code(i32),
}

/// The measures of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) header_bytes: usize,
    /// With padding, if the framing has it.
    pub(super) payload_bytes: usize,
    pub(super) trailer_bytes: usize,
    pub(super) quick_ack: bool,
}

impl Extent {
    fn total(self) -> usize {
        self.header_bytes
            .saturating_add(self.payload_bytes)
            .saturating_add(self.trailer_bytes)
    }

    fn payload(self) -> Range<usize> {
        self.header_bytes..self.header_bytes.saturating_add(self.payload_bytes)
    }
}

/// Splits what `S` receives.
#[derive(Debug)]
pub(super) struct Splitter<S> {
    framing: Framing,
    /// The sequence number that the next frame must have, in `full`.
    seq: u32,
    /// The limit of a payload once the peer is trusted.
    payload_bytes_max: usize,
    is_trusted: bool,
    /// The key that a frame names which is too large to be taken from just anyone.
    claim: Option<AuthKeyId>,
    /// The start of an incomplete frame; while there is a claim, all that came after it, too.
    tail: Vec<u8>,
    side: core::marker::PhantomData<S>,
}

impl<S: Side> Splitter<S> {
    pub(super) fn new(framing: Framing, payload_bytes_max: usize) -> Self {
        let side = core::marker::PhantomData;
        Self {
            framing,
            seq: 0,
            payload_bytes_max,
            is_trusted: false,
            claim: None,
            tail: Vec::new(),
            side,
        }
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// Returns the bytes of the incomplete frame.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.tail.capacity()
    }

    pub(super) fn claim(&self) -> Option<AuthKeyId> {
        self.claim
    }

    /// Lifts the limit that holds for strangers.
    pub(super) fn trust(&mut self) {
        self.is_trusted = true;
    }

    /// Hands every frame that is complete to `sink`, and keeps the rest.
    pub(super) fn split<'a>(
        &mut self,
        mut input: &'a mut [u8],
        sink: &mut dyn FnMut(Item<'a>),
    ) -> Result<(), Error> {
        if self.claim.is_some() {
            if !self.is_trusted {
                return self.park(input);
            }
            self.unpark(sink)?;
        }
        if !self.tail.is_empty() {
            input = self.finish_tail(input, sink)?;
        }
        while !input.is_empty() {
            match self.measure(input)? {
                Step::Incomplete { .. } => {
                    self.tail.reserve_exact(input.len());
                    self.tail.extend_from_slice(input);
                    break;
                }
                Step::Claimed(key) => {
                    self.claim = Some(key);
                    self.tail.reserve_exact(input.len());
                    self.tail.extend_from_slice(input);
                    break;
                }
                Step::Word(item) => {
                    sink(item);
                    input = input.get_mut(WORD_BYTES..).unwrap_or_default();
                }
                Step::Whole(extent) => {
                    let (frame, rest) = input
                        .split_at_mut_checked(extent.total())
                        .ok_or(Error::BadLength)?;
                    let range = self.check(frame, extent)?;
                    let payload = frame.get_mut(range).unwrap_or_default();
                    emit::<S>(Storage::Within(payload), extent.quick_ack, sink);
                    input = rest;
                }
            }
        }
        Ok(())
    }

    /// Completes the frame that the tail begins, from `input`; returns what is left of that.
    fn finish_tail<'a>(
        &mut self,
        mut input: &'a mut [u8],
        sink: &mut dyn FnMut(Item<'a>),
    ) -> Result<&'a mut [u8], Error> {
        loop {
            match self.measure(&self.tail)? {
                Step::Incomplete { total } => {
                    if input.is_empty() {
                        return Ok(input);
                    }
                    let missing = total.saturating_sub(self.tail.len()).min(input.len());
                    let (taken, rest) = input
                        .split_at_mut_checked(missing)
                        .ok_or(Error::BadLength)?;
                    self.grow_tail(taken, total);
                    input = rest;
                }
                Step::Claimed(key) => {
                    self.claim = Some(key);
                    self.tail.extend_from_slice(input);
                    return Ok(&mut []);
                }
                Step::Word(item) => {
                    sink(item);
                    self.tail = Vec::new();
                    return Ok(input);
                }
                Step::Whole(extent) => {
                    let frame = core::mem::take(&mut self.tail);
                    let payload = self.check(&frame, extent)?;
                    emit::<S>(Storage::Owned { frame, payload }, extent.quick_ack, sink);
                    return Ok(input);
                }
            }
        }
    }

    /// Appends to the tail. Capacity doubles with what has come, up to what the frame needs.
    fn grow_tail(&mut self, taken: &[u8], total: usize) {
        let length = self.tail.len().saturating_add(taken.len());
        if length > self.tail.capacity() {
            let capacity = self
                .tail
                .len()
                .saturating_mul(2)
                .max(length)
                .min(total.max(length));
            self.tail
                .reserve_exact(capacity.saturating_sub(self.tail.len()));
        }
        self.tail.extend_from_slice(taken);
    }

    /// Keeps what came behind a claim that nobody has vouched for yet.
    fn park(&mut self, input: &[u8]) -> Result<(), Error> {
        if input.is_empty() {
            return Ok(());
        }
        if self.tail.len().saturating_add(input.len()) > FRAME_BYTES_MAX_BEFORE_KEY {
            return Err(Error::TooLarge);
        }
        self.tail.extend_from_slice(input);
        Ok(())
    }

    /// Takes up what was parked, now that the peer is trusted. Its frames are copied: it happens once.
    fn unpark<'a>(&mut self, sink: &mut dyn FnMut(Item<'a>)) -> Result<(), Error> {
        self.claim = None;
        let parked = core::mem::take(&mut self.tail);
        let mut rest = parked.as_slice();
        while !rest.is_empty() {
            match self.measure(rest)? {
                Step::Whole(extent) => {
                    let (frame, after) = rest
                        .split_at_checked(extent.total())
                        .ok_or(Error::BadLength)?;
                    let frame = frame.to_vec();
                    let payload = self.check(&frame, extent)?;
                    emit::<S>(Storage::Owned { frame, payload }, extent.quick_ack, sink);
                    rest = after;
                }
                Step::Word(item) => {
                    sink(item);
                    rest = rest.get(WORD_BYTES..).unwrap_or_default();
                }
                Step::Incomplete { .. } | Step::Claimed(_) => {
                    self.tail = rest.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Says what the start of `bytes` is, and checks its length against form and limit.
    fn measure<'a>(&self, bytes: &[u8]) -> Result<Step<'a>, Error> {
        let head = match self.framing {
            Framing::Abridged => abridged::head::<S>(bytes),
            Framing::Intermediate | Framing::PaddedIntermediate => intermediate::head::<S>(bytes),
            Framing::Full => full::head::<S>(bytes),
            Framing::Http => http::head(bytes),
        };
        let extent = match head? {
            Head::Need(total) => return Ok(Step::Incomplete { total }),
            Head::Token(token) => return Ok(Step::Word(Item::QuickAck(token))),
            Head::Code(code) => return Ok(Step::Word(Item::Code(code))),
            Head::Frame(extent) => extent,
        };
        let is_padded = self.framing == Framing::PaddedIntermediate;
        if extent.payload_bytes == 0 || (!extent.payload_bytes.is_multiple_of(4) && !is_padded) {
            return Err(Error::BadLength);
        }
        let slack = if is_padded {
            padded::PADDING_BYTES_MAX
        } else {
            0
        };
        if extent.payload_bytes > self.payload_bytes_max.saturating_add(slack) {
            return Err(Error::TooLarge);
        }
        if !self.is_trusted && extent.payload_bytes > FRAME_BYTES_MAX_BEFORE_KEY {
            let key = bytes
                .get(extent.header_bytes..)
                .and_then(<[u8]>::first_chunk::<8>);
            let Some(&key) = key else {
                return Ok(Step::Incomplete {
                    total: extent.header_bytes.saturating_add(8),
                });
            };
            if key != PLAIN {
                return Ok(Step::Claimed(AuthKeyId(i64::from_le_bytes(key))));
            }
            // A plain message names no key that anyone could vouch for.
            if extent.payload_bytes > FRAME_BYTES_MAX_BEFORE_KEY.saturating_add(slack) {
                return Err(Error::TooLarge);
            }
        }
        let total = extent.total();
        Ok(if bytes.len() < total {
            Step::Incomplete { total }
        } else {
            Step::Whole(extent)
        })
    }

    /// Checks a whole frame and returns where the message is in it.
    fn check(&mut self, frame: &[u8], extent: Extent) -> Result<Range<usize>, Error> {
        if self.framing == Framing::Full {
            full::check(frame, self.seq)?;
            self.seq = self.seq.wrapping_add(1);
        }
        let range = extent.payload();
        if extent.payload_bytes < MESSAGE_BYTES_MIN {
            return if is_server::<S>() {
                Err(Error::TooShort)
            } else {
                Ok(range)
            };
        }
        if self.framing != Framing::PaddedIntermediate {
            return Ok(range);
        }
        let payload_bytes = padded::payload_bytes(frame.get(range.clone()).unwrap_or_default());
        let bytes_max = if self.is_trusted {
            self.payload_bytes_max
        } else {
            FRAME_BYTES_MAX_BEFORE_KEY
        };
        if payload_bytes > bytes_max {
            return Err(Error::TooLarge);
        }
        Ok(range.start..range.start.saturating_add(payload_bytes))
    }
}

/// What the start of some bytes is.
enum Step<'a> {
    /// More is needed: so many bytes in all.
    Incomplete { total: usize },
    /// A frame that only the holder of this key may send.
    Claimed(AuthKeyId),
    /// One word that is an item of its own.
    Word(Item<'a>),
    /// A whole frame.
    Whole(Extent),
}

/// Sorts messages from what a server says beside them.
fn emit<'a, S: Side>(storage: Storage<'a>, wants_quick_ack: bool, sink: &mut dyn FnMut(Item<'a>)) {
    let payload = Payload {
        storage,
        wants_quick_ack,
    };
    if is_server::<S>() || payload.bytes().len() >= CONTROL_BYTES_END {
        sink(Item::Payload(payload));
        return;
    }
    match payload.bytes().as_chunks::<WORD_BYTES>().0 {
        [mark, token, ..] if u32::from_le_bytes(*mark) == padded::QUICK_ACK_MARK => {
            sink(Item::QuickAck(u32::from_le_bytes(*token)));
        }
        [code, ..] if i32::from_le_bytes(*code) != 0 => sink(Item::Code(i32::from_le_bytes(*code))),
        _ => {}
    }
}

/// The shortest payload that can be a message: key id, message id and length of a plain one.
pub(super) const MESSAGE_BYTES_MIN: usize = 20;

/// What a server sends in fewer bytes is no message: zero (nothing), a quick ack, or a transport error.
const CONTROL_BYTES_END: usize = 16;

/// The key id of a plain message.
const PLAIN: [u8; 8] = [0; 8];

/// Items that stand outside of frames.
const WORD_BYTES: usize = 4;
