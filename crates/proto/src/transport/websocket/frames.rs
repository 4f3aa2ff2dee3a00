//! WebSocket's own frames: removed in place, or put around what is sent.
//!
//! Source: RFC 6455, section 5.

use core::marker::PhantomData;

use super::super::error::Error;
use crate::limits::WEBSOCKET_FRAME_BYTES_MAX;
use crate::side::{Side, is_server};

/// Takes frames that `S` receives apart.
#[derive(Debug)]
pub(in super::super) struct Reader<S> {
    state: State,
    /// Within a fragmented message.
    is_continued: bool,
    /// The last ping that is to be answered; an earlier one need not be.
    ping: Option<Control>,
    side: PhantomData<S>,
}

impl<S: Side> Reader<S> {
    pub(in super::super) fn new() -> Self {
        Self {
            state: State::START,
            is_continued: false,
            ping: None,
            side: PhantomData,
        }
    }

    /// Moves the stream's own bytes to the front of `buffer` and returns how many they are. What stands before an
    /// error is still good.
    ///
    /// Answers in `out`: the last of the pings, and an error with a close. `mask` gives a client's masks.
    pub(in super::super) fn unwrap(
        &mut self,
        buffer: &mut [u8],
        mask: &mut dyn FnMut() -> Mask,
        out: &mut Vec<u8>,
    ) -> (usize, Result<(), Error>) {
        let (mut kept, mut at) = (0, 0);
        let mut result = Ok(());
        while result.is_ok() && at < buffer.len() {
            let piece = at..buffer.len().min(at.saturating_add(self.wanted()));
            match &mut self.state {
                State::Header(header) => {
                    header.extend(buffer.get(piece.clone()).unwrap_or_default());
                    result = header
                        .parse::<S>()
                        .map_or(Ok(()), |frame| self.begin(&frame?));
                }
                State::Data(body) => {
                    buffer.copy_within(piece.clone(), kept);
                    let end = kept + piece.len();
                    body.unmask(buffer.get_mut(kept..end).unwrap_or_default());
                    kept = end;
                }
                State::Control(body, control) => {
                    let bytes = buffer.get_mut(piece.clone()).unwrap_or_default();
                    body.unmask(bytes);
                    control.data.extend(bytes);
                }
            }
            at = piece.end;
            result = result.and_then(|()| self.end_body());
        }
        self.answer(result, mask, out);
        (kept, result)
    }

    /// How many bytes belong to the present state for sure.
    fn wanted(&self) -> usize {
        match &self.state {
            State::Header(_) => 1,
            State::Data(body) | State::Control(body, _) => body.left,
        }
    }

    /// Starts what a frame's header announces.
    fn begin(&mut self, frame: &Frame) -> Result<(), Error> {
        let body = Body {
            left: frame.length,
            mask: frame.mask,
        };
        match frame.opcode {
            OPCODE_CONTINUATION | OPCODE_BINARY => {
                if (frame.opcode == OPCODE_CONTINUATION) != self.is_continued {
                    return Err(Error::WebSocket);
                }
                self.is_continued = !frame.is_final;
                self.state = State::Data(body);
            }
            OPCODE_CLOSE | OPCODE_PING | OPCODE_PONG => {
                if !frame.is_final || frame.length > CONTROL_BYTES_MAX {
                    return Err(Error::WebSocket);
                }
                self.state = State::Control(
                    body,
                    Control {
                        opcode: frame.opcode,
                        data: Short::EMPTY,
                    },
                );
            }
            _ => return Err(Error::WebSocket),
        }
        Ok(())
    }

    /// Leaves a body that is complete, as an empty one is at once.
    fn end_body(&mut self) -> Result<(), Error> {
        match &self.state {
            State::Data(body) if body.left == 0 => self.state = State::START,
            State::Control(body, control) if body.left == 0 => {
                let control = *control;
                self.state = State::START;
                return self.obey(control);
            }
            State::Header(_) | State::Data(_) | State::Control(..) => {}
        }
        Ok(())
    }

    fn obey(&mut self, control: Control) -> Result<(), Error> {
        match control.opcode {
            OPCODE_CLOSE => Err(Error::Closed),
            OPCODE_PING => {
                self.ping = Some(control);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn answer(
        &mut self,
        result: Result<(), Error>,
        mask: &mut dyn FnMut() -> Mask,
        out: &mut Vec<u8>,
    ) {
        if let Some(ping) = self.ping.take() {
            let start = out.len();
            out.extend_from_slice(ping.data.bytes());
            wrap_as(OPCODE_PONG, start, mask(), out);
        }
        if result.is_err() {
            let start = out.len();
            out.extend_from_slice(&CLOSE_NORMAL.to_be_bytes());
            wrap_as(OPCODE_CLOSE, start, mask(), out);
        }
    }
}

/// The mask of a frame: a client's are random, a server's frames have none.
pub(in super::super) type Mask = Option<[u8; 4]>;

/// Makes one binary message of what `out` holds from `start`.
pub(in super::super) fn wrap(start: usize, mask: Mask, out: &mut Vec<u8>) {
    wrap_as(OPCODE_BINARY, start, mask, out);
}

fn wrap_as(opcode: u8, start: usize, mask: Mask, out: &mut Vec<u8>) {
    let length = out.len().saturating_sub(start);
    let mask_flag = if mask.is_some() { MASKED } else { 0 };
    let mut header = Header::EMPTY;
    header.extend(&[FINAL | opcode]);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < LENGTH_16 => header.extend(&[length | mask_flag]),
        (_, Ok(length)) => {
            header.extend(&[LENGTH_16 | mask_flag]);
            header.extend(&length.to_be_bytes());
        }
        _ => {
            header.extend(&[LENGTH_64 | mask_flag]);
            header.extend(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        header.extend(&mask);
        Body { left: length, mask }.unmask(out.get_mut(start..).unwrap_or_default());
    }
    out.splice(start..start, header.bytes().iter().copied());
}

#[derive(Debug)]
enum State {
    Header(Header),
    Data(Body),
    Control(Body, Control),
}

impl State {
    const START: Self = Self::Header(Header::EMPTY);
}

/// A frame's header, as far as it has come.
type Header = Short<HEADER_BYTES_MAX>;

/// At most `N` bytes, kept in place.
#[derive(Clone, Copy, Debug)]
struct Short<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Short<N> {
    const EMPTY: Self = Self {
        bytes: [0; N],
        length: 0,
    };

    /// Does nothing if there is no room: headers fit, and the length of a control frame has been checked.
    fn extend(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(self.length..).unwrap_or_default();
        if let Some(slot) = free.get_mut(..bytes.len()) {
            slot.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Header {
    /// Reads the header that `S` receives; `None` while it is incomplete.
    fn parse<S: Side>(&self) -> Option<Result<Frame, Error>> {
        let (&[flags, length], rest) = self.bytes().split_first_chunk::<2>()?;
        let is_masked = length & MASKED != 0;
        if flags & RESERVED != 0 || is_masked != is_server::<S>() {
            return Some(Err(Error::WebSocket));
        }
        let (length, least, rest) = match length & !MASKED {
            LENGTH_16 => {
                let (&length, rest) = rest.split_first_chunk::<2>()?;
                (
                    u64::from(u16::from_be_bytes(length)),
                    u64::from(LENGTH_16),
                    rest,
                )
            }
            LENGTH_64 => {
                let (&length, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(length), 1 << 16, rest)
            }
            length => (u64::from(length), 0, rest),
        };
        if length < least {
            return Some(Err(Error::WebSocket));
        }
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|&length| length <= WEBSOCKET_FRAME_BYTES_MAX)
        else {
            return Some(Err(Error::WebSocket));
        };
        let mask = if is_masked {
            *rest.first_chunk::<4>()?
        } else {
            [0; 4]
        };
        Some(Ok(Frame {
            is_final: flags & FINAL != 0,
            opcode: flags & OPCODE,
            length,
            mask,
        }))
    }
}

/// What a header says.
struct Frame {
    is_final: bool,
    opcode: u8,
    length: usize,
    mask: [u8; 4],
}

/// What is to come of a frame's body.
#[derive(Clone, Copy, Debug)]
struct Body {
    left: usize,
    /// Turned so that its first byte belongs to the next byte of the body.
    mask: [u8; 4],
}

impl Body {
    /// Masks or unmasks the next bytes.
    fn unmask(&mut self, bytes: &mut [u8]) {
        self.left = self.left.saturating_sub(bytes.len());
        if self.mask == [0; 4] {
            return;
        }
        let (words, rest) = bytes.as_chunks_mut::<4>();
        let mask = u32::from_ne_bytes(self.mask);
        for word in words {
            *word = (u32::from_ne_bytes(*word) ^ mask).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(self.mask) {
            *byte ^= mask;
        }
        self.mask.rotate_left(rest.len());
    }
}

/// A control frame.
#[derive(Clone, Copy, Debug)]
struct Control {
    opcode: u8,
    data: Short<CONTROL_BYTES_MAX>,
}

const OPCODE_CONTINUATION: u8 = 0x0;
const OPCODE_BINARY: u8 = 0x2;
const OPCODE_CLOSE: u8 = 0x8;
const OPCODE_PING: u8 = 0x9;
const OPCODE_PONG: u8 = 0xa;

/// In the first byte: the last frame of a message.
const FINAL: u8 = 0x80;

/// In the first byte: bits that only an extension may set.
const RESERVED: u8 = 0x70;

/// In the first byte.
const OPCODE: u8 = 0x0f;

/// In the second byte: four bytes of mask follow the length. From clients always, from servers never.
const MASKED: u8 = 0x80;

/// In the second byte: the length follows in two bytes.
const LENGTH_16: u8 = 126;

/// In the second byte: the length follows in eight bytes.
const LENGTH_64: u8 = 127;

/// Flags, length in eight bytes, mask.
const HEADER_BYTES_MAX: usize = 14;

/// The longest body of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

/// The only status of a close that is used here.
const CLOSE_NORMAL: u16 = 1000;
