//! What is done before any lock is taken: frames are parsed and unpacked, answers are packed.

use bytes::Bytes;
use heliogram_tl::mtproto::RpcError;
use heliogram_tl::{Writer, gzip, peek_id};

use crate::crossing::{Cross, In, Malformed, Out};
use crate::envelope::{Authentic, Header};
use crate::ids::{LinkId, Term};
use crate::limits::{ANSWER_BYTES_MAX, PACK_BYTES_MAX, PACK_BYTES_MIN};
use crate::port::{Frame, KeyFacts, Reply, Trace};
use crate::session::incoming::{self, Contents, PACKED};
use crate::session::on_call::Prepared;
use crate::session::server::rpc_error;
use crate::side::Server;

/// A frame whose contents have been read.
#[derive(Debug)]
pub struct PreparedFrame {
    pub(super) link: LinkId,
    pub(super) key: KeyFacts,
    pub(super) peer: core::net::SocketAddr,
    pub(super) header: Header,
    pub(super) quick_ack: Option<u32>,
    /// Of its body, as it came.
    pub(super) bytes: usize,
    pub(super) is_http: bool,
    pub(super) term: Option<Term>,
    pub(super) trace: Option<Trace>,
    /// Proof that the frame came through a port.
    pub(super) contents: Authentic<Contents>,
}

impl PreparedFrame {
    /// Parses containers, unpacks what is packed, takes off wrappers. Takes time with the size of the frame; needs no
    /// lock.
    #[must_use]
    pub fn new(frame: Frame) -> Self {
        let header = Header {
            salt: frame.salt,
            session_id: frame.session_id,
            msg_id: frame.msg_id,
            seqno: frame.seqno,
        };
        let bytes = frame.body.len();
        let contents = incoming::read::<Server>(frame.msg_id, frame.seqno, frame.body);
        Self {
            link: frame.link,
            key: frame.key,
            peer: frame.peer,
            header,
            quick_ack: frame.quick_ack,
            bytes,
            is_http: frame.is_http,
            term: frame.term,
            trace: frame.trace,
            contents: Authentic::vouched_by_edge(contents),
        }
    }

    /// Returns the connection that brought it.
    #[must_use]
    pub const fn link(&self) -> LinkId {
        self.link
    }

    /// Returns the key that it was sealed with.
    #[must_use]
    pub const fn key(&self) -> &KeyFacts {
        &self.key
    }

    /// Returns whose session the frame belongs to: which host it goes to.
    #[must_use]
    pub fn identity(&self) -> crate::ids::Identity {
        self.key.identity()
    }
}

impl Cross for PreparedFrame {
    /// For another owner, whose term its gateway can't have meant.
    fn write(&self, out: &mut Out) {
        let Self {
            link,
            key,
            peer,
            header,
            quick_ack,
            bytes,
            is_http,
            term: _,
            trace,
            contents,
        } = self;
        link.write(out);
        key.write(out);
        peer.write(out);
        header.write(out);
        quick_ack.write(out);
        bytes.write(out);
        is_http.write(out);
        trace.write(out);
        Contents::write(contents, out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            link: Cross::read(from)?,
            key: Cross::read(from)?,
            peer: Cross::read(from)?,
            header: Cross::read(from)?,
            quick_ack: Cross::read(from)?,
            bytes: Cross::read(from)?,
            is_http: Cross::read(from)?,
            term: None,
            trace: Cross::read(from)?,
            // Vouched for by the owner that has it from an edge.
            contents: Authentic::vouched_by_edge(Contents::read(from)?),
        })
    }
}

/// An answer as it will be sent.
#[derive(Clone, Debug)]
pub struct PreparedAnswer(pub(super) Prepared);

impl Cross for PreparedAnswer {
    fn write(&self, out: &mut Out) {
        self.0.write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        Cross::read(from).map(Self)
    }
}

impl PreparedAnswer {
    /// Packs a large result if that makes it smaller. What can't be an object, or fits no frame, becomes an `rpc_error`: a
    /// backend is not believed. Takes time with the size of the result; needs no lock.
    #[must_use]
    pub fn new(reply: Reply) -> Self {
        Self(match reply {
            Reply::Error(error) => Prepared {
                result: rpc_error(error.code, &error.message),
                is_error: true,
            },
            // Sealed, the one would take the whole batch with it; the other no client takes, however often it comes.
            Reply::Result(result) if !is_object(&result) || result.len() > ANSWER_BYTES_MAX => {
                Prepared {
                    result: rpc_error(500, "RPC_CALL_FAIL"),
                    is_error: true,
                }
            }
            Reply::Result(result) => Prepared {
                is_error: peek_id(&result) == Some(RpcError::ID),
                result: pack(&result).unwrap_or(result),
            },
        })
    }
}

/// Tells whether bytes have the length of an object: whole words, a constructor at least.
pub(super) const fn is_object(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len().is_multiple_of(4)
}

/// Packs an object; `None` if that is not worth it.
pub(super) fn pack(object: &[u8]) -> Option<Bytes> {
    if !(PACK_BYTES_MIN..=PACK_BYTES_MAX).contains(&object.len()) {
        return None;
    }
    let mut writer = Writer::new();
    writer.u32(PACKED);
    writer.bytes(&gzip::pack(object));
    let packed = writer.into_vec();
    (packed.len() < object.len()).then(|| packed.into())
}
