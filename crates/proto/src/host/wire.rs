//! The byte form of what owners of sessions have for each other, where they are processes of their own.
//!
//! ```text
//!  version u8 | kind u8 | contents
//! ```
//!
//! Both ends are nodes of one cluster, and a kind's contents may change with every version: what is on its way while a cluster
//! is renewed is lost, and its clients come again. Whatever comes in, it takes no more memory than it has bytes for.
//!
//! Connections have names of their own at each node. Who carries the bytes says beside them which are meant; here they are
//! only put in each other's place.

#[cfg(any(test, fuzzing))]
pub(crate) mod harmless;

use core::fmt;

use crate::crossing::{self, Cross, In, Out, crosses, ensure};
use crate::cx::Now;
use crate::host::handover::Handover;
use crate::host::{CallId, Input, Learned, PreparedAnswer, PreparedFrame, PreparedPush};
use crate::ids::{AuthKeyId, Identity, LinkId};
use crate::limits::CROSSING_BYTES_MAX;

/// Why an input was not made of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The connection that it came from is gone: nobody waits for what becomes of it.
    LinkGone,
    /// They are no input, or one of another version.
    Malformed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkGone => "the connection is gone",
            Self::Malformed => "not what an owner of sessions says",
        })
    }
}

impl core::error::Error for Error {}

impl From<crossing::Malformed> for Error {
    fn from(_: crossing::Malformed) -> Self {
        Self::Malformed
    }
}

/// Returns the bytes of an input for another owner, at most [`CROSSING_BYTES_MAX`] of them. `None` if they were more, or the
/// input is never another owner's: what a store or a gateway says to the owner that has asked.
///
/// Frames, answers, pushes, users, revoked keys, and sessions with the word that they have been taken over, cross. A frame is
/// sent without the term that its gateway has named: it was another owner's.
#[must_use]
pub fn encode(input: &Input, now: Now) -> Option<Vec<u8>> {
    let mut out = Out::new(now.mono, CROSSING_BYTES_MAX);
    VERSION.write(&mut out);
    write(input, &mut out);
    out.finish()
}

fn write(input: &Input, out: &mut Out) {
    match input {
        Input::Frame(frame) => {
            FRAME.write(out);
            frame.write(out);
        }
        Input::Answer { call, answer } => {
            ANSWER.write(out);
            call.write(out);
            answer.write(out);
        }
        Input::Push(push) => {
            PUSH.write(out);
            push.write(out);
        }
        Input::User {
            identity,
            user,
            learned,
        } => {
            USER.write(out);
            identity.write(out);
            user.write(out);
            learned.write(out);
        }
        Input::Revoked { identity, keys } => {
            REVOKED.write(out);
            identity.write(out);
            keys.write(out);
        }
        Input::TakeOver(handover) => {
            TAKE_OVER.write(out);
            handover.write(out);
        }
        Input::TakenOver { key } => {
            TAKEN_OVER.write(out);
            key.write(out);
        }
        Input::Attach(_) | Input::Bound { .. } | Input::Destroyed { .. } | Input::Detach { .. } => {
            out.fail();
        }
    }
}

/// Makes an input of its bytes. `links` says which connection of this node one of the sender's is, if it is there.
///
/// Sessions go on without the connections that are gone.
///
/// # Errors
///
/// - [`Error::LinkGone`] when a frame's connection is gone.
/// - [`Error::Malformed`] when the bytes are no input for another owner.
pub fn decode(
    bytes: &[u8],
    now: Now,
    links: &mut dyn FnMut(LinkId) -> Option<LinkId>,
) -> Result<Input, Error> {
    let mut from = In::new(bytes, now.mono);
    ensure(u8::read(&mut from)? == VERSION)?;
    let mut input = read(&mut from)?;
    from.finish()?;
    match &mut input {
        Input::Frame(frame) => frame.link = links(frame.link).ok_or(Error::LinkGone)?,
        Input::TakeOver(handover) => handover.rename_links(links),
        Input::Answer { .. }
        | Input::Attach(_)
        | Input::Bound { .. }
        | Input::Destroyed { .. }
        | Input::Detach { .. }
        | Input::Push(_)
        | Input::Revoked { .. }
        | Input::TakenOver { .. }
        | Input::User { .. } => {}
    }
    Ok(input)
}

fn read(from: &mut In<'_>) -> Result<Input, Error> {
    Ok(match u8::read(from)? {
        FRAME => Input::Frame(PreparedFrame::read(from)?),
        ANSWER => Input::Answer {
            call: CallId::read(from)?,
            answer: PreparedAnswer::read(from)?,
        },
        PUSH => Input::Push(PreparedPush::read(from)?),
        USER => Input::User {
            identity: Identity::read(from)?,
            user: Cross::read(from)?,
            learned: Learned::read(from)?,
        },
        REVOKED => Input::Revoked {
            identity: Identity::read(from)?,
            keys: Cross::read(from)?,
        },
        TAKE_OVER => Input::TakeOver(Box::<Handover>::read(from)?),
        TAKEN_OVER => Input::TakenOver {
            key: AuthKeyId::read(from)?,
        },
        _ => return Err(Error::Malformed),
    })
}

crosses!(CallId {
    identity,
    session_id,
    msg_id,
    incarnation
});
crosses!(enum Learned {
    0 = Told,
    1 = Found,
    2 = FoundLate,
});

/// Of all contents.
const VERSION: u8 = 1;

const FRAME: u8 = 1;
const ANSWER: u8 = 2;
const TAKE_OVER: u8 = 3;
const TAKEN_OVER: u8 = 4;
const REVOKED: u8 = 5;
const USER: u8 = 6;
const PUSH: u8 = 7;
