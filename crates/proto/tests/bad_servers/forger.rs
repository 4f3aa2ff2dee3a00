//! A server with a good key that seals whatever a test has it seal.

use heliogram_crypto::{AuthKey, Direction, message};
use heliogram_proto::envelope;
use heliogram_proto::ids::{Salt, SessionId};
use heliogram_proto::side::Server;

use crate::world::{CALL, Peer, SESSION};

/// An envelope in the making. What is not changed is as an honest server makes it.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) key: AuthKey,
    pub(crate) direction: Direction,
    pub(crate) session_id: SessionId,
    pub(crate) msg_id: i64,
    pub(crate) seqno: i32,
    pub(crate) body: Vec<u8>,
    /// What is said to be the body's length.
    pub(crate) length: i32,
    pub(crate) padding: usize,
    /// A bit of this byte is flipped after sealing.
    pub(crate) flip: Option<usize>,
    pub(crate) cut: Option<usize>,
    /// It names our key, whatever it is sealed with.
    pub(crate) is_renamed: bool,
}

impl Forged {
    pub(crate) fn of(body: &[u8], msg_id: i64) -> Self {
        Self {
            key: key(),
            direction: Direction::ServerToClient,
            session_id: SESSION,
            msg_id,
            seqno: 1,
            body: body.to_vec(),
            length: i32::try_from(body.len()).unwrap(),
            padding: 12 + (16 - (32 + body.len() + 12) % 16) % 16,
            flip: None,
            cut: None,
            is_renamed: false,
        }
    }

    /// Says a body of another length; the padding follows.
    pub(crate) fn say(&mut self, body: &[u8]) {
        let (msg_id, seqno) = (self.msg_id, self.seqno);
        *self = Self::of(body, msg_id);
        self.seqno = seqno;
    }

    /// Pads with so many bytes a body that has so many more: whole blocks are sealed.
    pub(crate) fn pad_with(&mut self, padding: usize, more: usize) {
        let longer = self.body.len() + more;
        self.body.resize(longer, 0);
        (self.length, self.padding) = (i32::try_from(longer).unwrap(), padding);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut sealed = vec![0; 24];
        sealed.extend_from_slice(&Salt(1).0.to_le_bytes());
        sealed.extend_from_slice(&self.session_id.0.to_le_bytes());
        sealed.extend_from_slice(&self.msg_id.to_le_bytes());
        sealed.extend_from_slice(&self.seqno.to_le_bytes());
        sealed.extend_from_slice(&self.length.to_le_bytes());
        sealed.extend_from_slice(&self.body);
        sealed.resize(sealed.len() + self.padding, 0x33);
        message::seal(&self.key, self.direction, &mut sealed).unwrap();
        if let Some(at) = self.flip {
            sealed[at] ^= 1;
        }
        if self.is_renamed {
            sealed[..8].copy_from_slice(&key().id().0.to_le_bytes());
        }
        sealed.truncate(self.cut.unwrap_or(usize::MAX));
        sealed
    }
}

/// Answers calls honestly, unless told to be silent, and remembers what it was sent.
#[derive(Default)]
pub(crate) struct Forger {
    pub(crate) is_silent: bool,
    /// The identifiers of the calls that came.
    pub(crate) calls: Vec<i64>,
    ids: i64,
}

impl Forger {
    /// Returns the identifier of an answer at this time.
    pub(crate) fn answer_id(&mut self, now_unix_s: u64) -> i64 {
        self.ids += 4;
        (i64::try_from(now_unix_s).unwrap() << 32) + self.ids + 1
    }
}

impl Peer for Forger {
    fn take(&mut self, mut payload: Vec<u8>, now_unix_s: u64) -> Vec<Vec<u8>> {
        let opened = envelope::open::<Server>(&key(), &mut payload).unwrap();
        let message = opened.message.into_inner();
        let outer = (message.header.msg_id.0, message.body.to_vec());
        let mut answers = Vec::new();
        for (msg_id, body) in split(outer) {
            if body != CALL {
                continue;
            }
            self.calls.push(msg_id);
            if !self.is_silent {
                let id = self.answer_id(now_unix_s);
                answers.push(Forged::of(&result(msg_id, &CALL), id).to_bytes());
            }
        }
        answers
    }
}

/// Takes the messages out of a container.
fn split((msg_id, body): (i64, Vec<u8>)) -> Vec<(i64, Vec<u8>)> {
    if !body.starts_with(&CONTAINER) {
        return vec![(msg_id, body)];
    }
    let (mut rest, mut messages) = (&body[8..], Vec::new());
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        let msg_id = i64::from_le_bytes(head[..8].try_into().unwrap());
        let length = u32::from_le_bytes(head[12..].try_into().unwrap());
        let (body, tail) = tail.split_at(usize::try_from(length).unwrap());
        messages.push((msg_id, body.to_vec()));
        rest = tail;
    }
    messages
}

/// `rpc_result`.
pub(crate) fn result(of: i64, object: &[u8]) -> Vec<u8> {
    [&RPC_RESULT[..], &of.to_le_bytes(), object].concat()
}

/// `msg_container` of messages with these identifiers.
pub(crate) fn container(messages: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let count = i32::try_from(messages.len()).unwrap();
    let mut body = [CONTAINER, count.to_le_bytes()].concat();
    for (msg_id, object) in messages {
        let length = i32::try_from(object.len()).unwrap();
        body.extend_from_slice(&msg_id.to_le_bytes());
        body.extend_from_slice(&1_i32.to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(object);
    }
    body
}

/// The key that client and server share.
pub(crate) fn key() -> AuthKey {
    AuthKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap()))
}

const CONTAINER: [u8; 4] = 0x73f1_f8dc_u32.to_le_bytes();
const RPC_RESULT: [u8; 4] = 0xf35c_6d01_u32.to_le_bytes();
