//! Reads what a frame contains, as far as that needs no state: containers are split, packed objects unpacked, the
//! wrappers of calls taken off. A host does this before it takes any lock.
//!
//! Memory is bounded by the frame: nothing is reserved on a peer's word, and all packed objects of one frame share
//! one budget.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages#containers>, `…#packed-object`.

use bytes::{Buf, Bytes};
use heliogram_tl::mtproto::{self as tl, Message};
use heliogram_tl::{Deserialize, Reader, api, gzip, peek_id};

use crate::ids::{MsgId, SeqNo};
use crate::limits::{CONTAINER_MESSAGES_MAX, PINNED_BYTES_MAX, UNPACKED_BYTES_MAX};
use crate::session::request::{self, FETCH_FAIL, Request};
use crate::side::{Side, is_server};

/// What a frame contains.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// One message: the outer one.
    One(Object),
    /// The messages of a container.
    Container(Vec<Item>),
    /// Something that breaks the rules of containers: all of it is refused with code 64.
    Undecodable,
}

impl Contents {
    /// Tells whether this is a request to bind a key and nothing else.
    pub(crate) fn is_binding(&self) -> bool {
        matches!(self, Self::One(object) if object.is_binding())
    }

    /// Tells whether a request to bind a key is among it.
    pub(crate) fn has_binding(&self) -> bool {
        match self {
            Self::One(object) => object.is_binding(),
            Self::Container(items) => items.iter().any(|it| it.object.is_binding()),
            Self::Undecodable => false,
        }
    }
}

/// One message of a container.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) msg_id: MsgId,
    pub(crate) seqno: SeqNo,
    pub(crate) object: Object,
}

/// What a message says.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    /// A message of the protocol itself: its constructor, and all of it.
    Service(u32, Bytes),
    /// A call of an API method. Only servers get these.
    Request(Request),
    /// A call that can't be made, and the `rpc_error` 400 that says why. Only servers get these.
    BadRequest(&'static str),
    /// The result of a call: one boxed object, unpacked. Only clients get these.
    Result(MsgId, Bytes),
    /// Any other object that a server sends. Only clients get these.
    Update(Bytes),
    /// Bytes that are no object. Only clients get these.
    Unreadable,
}

impl Object {
    fn is_binding(&self) -> bool {
        let Self::Request(request) = self else {
            return false;
        };
        peek_id(&request.query) == Some(api::auth::BindTempAuthKey::ID)
    }
}

/// Reads the body of an outer message for `S`.
pub(crate) fn read<S: Side>(msg_id: MsgId, seqno: SeqNo, body: Bytes) -> Contents {
    let mut budget = UNPACKED_BYTES_MAX;
    let contents = match peek_id(&body) {
        Some(CONTAINER) => container::<S>(msg_id, seqno, &body, &mut budget),
        Some(COPY) => copy::<S>(msg_id, seqno, &body, &mut budget),
        _ => {
            let frame_bytes = body.len();
            object::<S>(body, frame_bytes, &mut budget).map(Contents::One)
        }
    };
    contents.unwrap_or(Contents::Undecodable)
}

/// Reads a container; `None` if it breaks a rule.
fn container<S: Side>(
    outer: MsgId,
    seqno: SeqNo,
    body: &Bytes,
    budget: &mut usize,
) -> Option<Contents> {
    let mut reader = Reader::new(body);
    reader.expect_id(CONTAINER).ok()?;
    let count = usize::try_from(reader.i32().ok()?).ok()?;
    if count > CONTAINER_MESSAGES_MAX || count > reader.remaining() / MESSAGE_BYTES_MIN {
        return None;
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let item = item::<S>(outer, body, &mut reader, budget)?;
        if item.seqno > seqno {
            return None;
        }
        items.push(item);
    }
    reader.finish().ok()?;
    Some(Contents::Container(items))
}

/// Reads a `msg_copy`: a container of one, in all but name.
fn copy<S: Side>(outer: MsgId, seqno: SeqNo, body: &Bytes, budget: &mut usize) -> Option<Contents> {
    let mut reader = Reader::new(body);
    reader.expect_id(COPY).ok()?;
    let item = item::<S>(outer, body, &mut reader, budget)?;
    reader.finish().ok()?;
    if item.seqno > seqno {
        return None;
    }
    Some(Contents::Container(vec![item]))
}

fn item<S: Side>(
    outer: MsgId,
    body: &Bytes,
    reader: &mut Reader<'_>,
    budget: &mut usize,
) -> Option<Item> {
    let message = Message::read(reader).ok()?;
    if message.msg_id < 0 || message.msg_id >= outer.0 {
        return None;
    }
    if matches!(peek_id(message.body), Some(CONTAINER | COPY)) {
        return None;
    }
    Some(Item {
        msg_id: MsgId(message.msg_id),
        seqno: SeqNo(message.seqno),
        object: object::<S>(body.slice_ref(message.body), body.len(), budget)?,
    })
}

/// Reads one object, which is a part of a frame of so many bytes; `None` if a container hides in it.
fn object<S: Side>(mut bytes: Bytes, mut frame_bytes: usize, budget: &mut usize) -> Option<Object> {
    if peek_id(&bytes) == Some(PACKED) {
        let Some(unpacked) = unpack(&bytes, budget) else {
            return Some(unreadable::<S>());
        };
        bytes = unpacked;
        frame_bytes = bytes.len();
        match peek_id(&bytes) {
            Some(CONTAINER | COPY) => return None,
            Some(PACKED) | None => return Some(unreadable::<S>()),
            Some(_) => {}
        }
    }
    let Some(id) = peek_id(&bytes) else {
        return Some(unreadable::<S>());
    };
    if is_service(id) {
        Some(Object::Service(id, bytes))
    } else {
        Some(unpin(other::<S>(bytes, budget), frame_bytes))
    }
}

/// Gives what may be kept for long a buffer of its own if it would keep a far larger frame.
fn unpin(mut object: Object, frame_bytes: usize) -> Object {
    let (Object::Request(Request { query: kept, .. })
    | Object::Result(_, kept)
    | Object::Update(kept)) = &mut object
    else {
        return object;
    };
    if frame_bytes > PINNED_BYTES_MAX + 2 * kept.len() {
        *kept = Bytes::copy_from_slice(kept);
    }
    object
}

/// Says what an object is that can't be unpacked.
fn unreadable<S: Side>() -> Object {
    if is_server::<S>() {
        Object::BadRequest(FETCH_FAIL)
    } else {
        Object::Unreadable
    }
}

/// Reads an object that is no service message.
fn other<S: Side>(bytes: Bytes, budget: &mut usize) -> Object {
    if is_server::<S>() {
        call(bytes, budget)
    } else {
        answer(bytes, budget)
    }
}

/// Reads what a server gets and is no service message: a call, or a service message that a client has wrapped as it
/// wraps its calls. The wrappers of such a one say nothing.
fn call(bytes: Bytes, budget: &mut usize) -> Object {
    match request::unwrap(bytes, budget) {
        Ok(request) => match peek_id(&request.query) {
            Some(id) if is_service(id) => Object::Service(id, request.query),
            Some(_) | None => Object::Request(request),
        },
        Err(why) => Object::BadRequest(why),
    }
}

/// Reads what a client gets and is no service message: a result or an update.
fn answer(mut bytes: Bytes, budget: &mut usize) -> Object {
    if peek_id(&bytes) != Some(RESULT) {
        return Object::Update(bytes);
    }
    let mut reader = Reader::new(&bytes);
    let (Ok(RESULT), Ok(to)) = (reader.u32(), reader.i64()) else {
        return Object::Unreadable;
    };
    bytes.advance(RESULT_HEADER_BYTES);
    if peek_id(&bytes) == Some(PACKED) {
        let Some(unpacked) = unpack(&bytes, budget) else {
            return Object::Unreadable;
        };
        bytes = unpacked;
    }
    Object::Result(MsgId(to), bytes)
}

/// Unpacks a `gzip_packed` within what is left of the frame's budget.
pub(crate) fn unpack(packed: &[u8], budget: &mut usize) -> Option<Bytes> {
    let mut reader = Reader::new(packed);
    reader.expect_id(PACKED).ok()?;
    let stream = reader.bytes().ok()?;
    reader.finish().ok()?;
    let unpacked = gzip::unpack(stream, *budget).ok()?;
    *budget = budget.saturating_sub(unpacked.len());
    Some(Bytes::from(unpacked))
}

/// Tells whether a constructor belongs to the protocol itself rather than to the API.
fn is_service(id: u32) -> bool {
    matches!(
        id,
        tl::MsgsAck::ID
            | tl::BadMsgNotification::ID
            | tl::BadServerSalt::ID
            | tl::MsgsStateReq::ID
            | tl::MsgsStateInfo::ID
            | tl::MsgsAllInfo::ID
            | tl::MsgDetailedInfo::ID
            | tl::MsgNewDetailedInfo::ID
            | tl::MsgResendReq::ID
            | tl::MsgResendAnsReq::ID
            | tl::RpcDropAnswer::ID
            | tl::GetFutureSalts::ID
            | tl::FutureSalts::ID
            | tl::Ping::ID
            | tl::PingDelayDisconnect::ID
            | tl::Pong::ID
            | tl::DestroySession::ID
            | tl::DestroySessionOk::ID
            | tl::DestroySessionNone::ID
            | tl::NewSessionCreated::ID
            | tl::HttpWait::ID
            | tl::DestroyAuthKey::ID
            | tl::DestroyAuthKeyOk::ID
            | tl::DestroyAuthKeyNone::ID
            | tl::DestroyAuthKeyFail::ID
    )
}

pub(crate) const CONTAINER: u32 = 0x73f1_f8dc;
const COPY: u32 = 0xe060_46b2;
pub(crate) const PACKED: u32 = 0x3072_cfa1;
pub(crate) const RESULT: u32 = 0xf35c_6d01;

const MESSAGE_BYTES_MIN: usize = 16;
const RESULT_HEADER_BYTES: usize = 12;
