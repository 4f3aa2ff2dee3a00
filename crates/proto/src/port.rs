//! The values that cross between an edge (a gateway) and a host of sessions, and between a host and a backend.
//!
//! All of them are owned, bounded and serialisable: where they cross, processes may split. The crate `ports` has the
//! traits that carry them.

use core::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use heliogram_crypto::AuthKey;

use crate::ids::{AuthKeyId, Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term};

/// What kind of authorization key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new kind must break every store at compile time"
)]
pub enum KeyKind {
    /// Lives until it is destroyed.
    Permanent,
    /// Made with `p_q_inner_data_temp(_dc)`: ends at `expires_at_unix_s`.
    Temporary {
        /// Unix time in seconds from which the key is refused.
        expires_at_unix_s: u32,
    },
}

/// The first salt of a key, from its exchange: valid only in the term that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstSalt {
    /// `new_nonce[0..8] ^ server_nonce[0..8]`.
    pub salt: Salt,
    /// The owner's term at the exchange.
    pub term: Term,
    /// Unix time in seconds of the exchange.
    pub since_unix_s: u64,
}

/// What a host must know of a key, without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key's id.
    pub id: AuthKeyId,
    /// Permanent or temporary, with its end.
    pub kind: KeyKind,
    /// The permanent key that this temporary key is bound to, if its owner said so.
    pub perm: Option<AuthKeyId>,
    /// The data centre that the client's exchange named, as it was named: `+10000` for test, negative for media.
    pub dc: Option<i32>,
    /// The salt that the exchange made.
    pub first_salt: Option<FirstSalt>,
}

impl KeyFacts {
    /// Returns whose sessions travel under this key.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity(self.perm.unwrap_or(self.id))
    }

    /// Returns the facts of the key once it is bound to `perm`, and so ends at `expires_at_unix_s` at the latest. The
    /// first binding holds: a repeat changes nothing. `None` if it is permanent, or bound to another key.
    #[must_use]
    pub fn bind(mut self, perm: AuthKeyId, expires_at_unix_s: u32) -> Option<Self> {
        let KeyKind::Temporary {
            expires_at_unix_s: end,
        } = &mut self.kind
        else {
            return None;
        };
        match self.perm {
            None => {
                *end = expires_at_unix_s.min(*end);
                self.perm = Some(perm);
                Some(self)
            }
            Some(bound) => (bound == perm).then_some(self),
        }
    }

    /// Tells whether the key has ended at `now_unix_s`.
    #[must_use]
    pub fn is_expired(&self, now_unix_s: u64) -> bool {
        match self.kind {
            KeyKind::Permanent => false,
            KeyKind::Temporary { expires_at_unix_s } => u64::from(expires_at_unix_s) <= now_unix_s,
        }
    }
}

/// A key with its body, as stores keep it.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// What a host may know.
    pub facts: KeyFacts,
    /// The secret; stays between the store and the gateway.
    pub key: AuthKey,
    /// Unix time in seconds of the exchange.
    pub created_at_unix_s: u64,
}

/// An authentic message on its way from an edge to the host of its session.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The connection that brought it.
    pub link: LinkId,
    /// The key that it was sealed with.
    pub key: KeyFacts,
    /// The client's address, as far as the gateway knows it.
    pub peer: SocketAddr,
    /// The salt that the client used.
    pub salt: Salt,
    /// The client's session.
    pub session_id: SessionId,
    /// Outer message id.
    pub msg_id: MsgId,
    /// Outer sequence number.
    pub seqno: SeqNo,
    /// The message's body: exactly the envelope's `length` bytes, a multiple of four.
    pub body: Bytes,
    /// The token to answer with once the message has passed every check, if a quick ack was asked for.
    pub quick_ack: Option<u32>,
    /// The connection speaks HTTP: each frame is a request, and gets one message in response.
    pub is_http: bool,
    /// The term that the gateway takes the owner to have: a host of another refuses the frame. `None` where there is one owner.
    pub term: Option<Term>,
    /// What the frame is a part of, if it is traced.
    pub trace: Option<Trace>,
}

/// Where a traced operation has come from, as in W3C's `traceparent`. Who is not traced has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what W3C's Trace Context has")]
pub struct Trace {
    /// The whole: not zero.
    pub trace_id: [u8; 16],
    /// The part of it that has caused this: not zero.
    pub span_id: [u8; 8],
}

/// As `traceparent` has it: version 0, and sampled.
impl core::fmt::Display for Trace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (trace, span) = (self.trace_id, self.span_id);
        let (trace, span) = (u128::from_be_bytes(trace), u64::from_be_bytes(span));
        write!(f, "00-{trace:032x}-{span:016x}-01")
    }
}

/// It is no `traceparent` of a sampled trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTrace;

impl core::str::FromStr for Trace {
    type Err = NoTrace;

    fn from_str(text: &str) -> Result<Self, NoTrace> {
        let mut fields = text.split('-');
        let mut next = |digits: usize| {
            let field = fields.next().unwrap_or_default();
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let is_one = field.len() == digits && field.bytes().all(is_hex);
            is_one.then_some(field).ok_or(NoTrace)
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let trace = u128::from_str_radix(trace, 16).map_err(|_| NoTrace)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| NoTrace)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTrace)?;
        // Later versions may have more fields; this one has not.
        let is_whole = version != "ff" && (version != "00" || fields.next().is_none());
        if !is_whole || trace == 0 || span == 0 || flags & 1 == 0 {
            return Err(NoTrace);
        }
        Ok(Self {
            trace_id: trace.to_be_bytes(),
            span_id: span.to_be_bytes(),
        })
    }
}

/// A connection whose session lives at a host that has lost sight of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what ties a connection to a session"
)]
pub struct Attach {
    /// The connection. It has brought frames of this session, and this host has taken all of them.
    pub link: LinkId,
    /// The key of the last of them.
    pub key: KeyFacts,
    /// The session.
    pub session_id: SessionId,
    /// The term that the gateway takes the owner to have, as in [`Frame::term`].
    pub term: Option<Term>,
    /// It speaks HTTP, and its client waits for one response.
    pub is_http: bool,
}

/// What an edge tells a host.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new input must break every driver at compile time"
)]
pub enum ToHost {
    /// A message came.
    Frame(Frame),
    /// A connection is known to the host no more, as a stream between the two has broken: what the host has for its session goes
    /// there again. If the host doesn't have the session any more it closes the connection.
    Attach(Attach),
    /// A connection is gone; nothing sent to it arrives.
    Detach {
        /// Which.
        link: LinkId,
    },
}

/// What a host tells an edge about one of its links.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new effect must break every driver at compile time"
)]
pub enum FromHost {
    /// Seal this message with the key and send it.
    Seal {
        /// Which connection.
        link: LinkId,
        /// The key to seal with: the one that the session's last frame on this link used.
        key: AuthKeyId,
        /// The salt to put into the envelope.
        salt: Salt,
        /// The session.
        session_id: SessionId,
        /// Outer message id. Wire order is the order of ids.
        msg_id: MsgId,
        /// Outer sequence number.
        seqno: SeqNo,
        /// The body: one object, or a container.
        body: Bytes,
    },
    /// Send this quick-ack token through the connection's codec.
    QuickAck {
        /// Which connection.
        link: LinkId,
        /// The token, high bit set.
        token: u32,
    },
    /// Close the connection, after a transport error if there is a code.
    Close {
        /// Which connection.
        link: LinkId,
        /// `-404`, `-429`, `-444`, or nothing.
        code: Option<i32>,
    },
}

impl FromHost {
    /// Returns which connection it is for.
    #[must_use]
    pub const fn link(&self) -> LinkId {
        match *self {
            Self::Close { link, .. } | Self::QuickAck { link, .. } | Self::Seal { link, .. } => {
                link
            }
        }
    }
}

/// What a client said of itself in `initConnection`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The application's id.
    pub api_id: i32,
    /// Device, as named by the client.
    pub device_model: String,
    /// Operating system, as named by the client.
    pub system_version: String,
    /// Application version, as named by the client.
    pub app_version: String,
    /// Language of the operating system.
    pub system_lang_code: String,
    /// Name of the language pack.
    pub lang_pack: String,
    /// Language of the application.
    pub lang_code: String,
    /// Address and port of the MTProxy in between, if the client named one.
    pub proxy: Option<(String, i32)>,
    /// Parameters of the application: one boxed `JSONValue`, if the client sent any.
    pub params: Option<Box<[u8]>>,
}

/// What the wrappers of a call ask of the backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `invokeWithMessagesRange`: the lowest and the highest message id to look at.
    pub messages: Option<(i32, i32)>,
    /// `invokeWithTakeout`: the export of data that the call is a part of.
    pub takeout_id: Option<i64>,
    /// `invokeWithBusinessConnection`: the connection on whose behalf a bot calls.
    pub business_connection: Option<String>,
    /// By what the application proves what it is.
    pub proof: Option<Proof>,
}

/// By what an application proves what it is, asked for by an `rpc_error` 403 before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new proof must break every backend's driver at compile time"
)]
pub enum Proof {
    /// `invokeWithGooglePlayIntegrity`.
    PlayIntegrity {
        /// The number that the error named.
        nonce: Box<[u8]>,
        /// What the Play Integrity service said.
        token: Box<[u8]>,
    },
    /// `invokeWithApnsSecret`.
    Apns {
        /// The number that the error named.
        nonce: Box<[u8]>,
        /// What came by a push notification.
        secret: Box<[u8]>,
    },
    /// `invokeWithReCaptcha`.
    ReCaptcha {
        /// What the reCAPTCHA service said.
        token: Box<[u8]>,
    },
}

/// A call of an API method, handed to a backend at most once while the session's host lives.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whose session.
    pub identity: Identity,
    /// The key that carried the call.
    pub key: KeyFacts,
    /// The session. With `identity` and `msg_id` the idempotency key.
    pub session_id: SessionId,
    /// The message that carried the call.
    pub msg_id: MsgId,
    /// The owner's term, so that a backend can fence.
    pub term: Term,
    /// The API layer that the client speaks, if it has said so.
    pub layer: Option<i32>,
    /// What the client said of itself, if it has.
    pub client: Option<Arc<ClientInfo>>,
    /// Who has logged in with the key, as far as the host has been told.
    pub user: Option<i64>,
    /// The client's address, as far as the gateway knows it.
    pub peer: SocketAddr,
    /// What the call is a part of, if it is traced.
    pub trace: Option<Trace>,
    /// The call came within `invokeWithoutUpdates`.
    pub without_updates: bool,
    /// What its other wrappers ask, if it has any.
    pub scope: Option<Box<Scope>>,
    /// The innermost method: one boxed TL object, unpacked.
    pub body: Bytes,
}

/// A backend's answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third answer")]
pub enum Reply {
    /// The result: one boxed TL object, not packed.
    Result(Bytes),
    /// `rpc_error`.
    Error(RpcError),
}

/// The contents of an `rpc_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// Class of the error, as in HTTP.
    pub code: i32,
    /// Upper-case name, perhaps with a number at its end: `FLOOD_WAIT_42`.
    pub message: String,
}

/// An update that a backend pushes to its clients.
#[derive(Clone, Debug)]
pub struct Push {
    /// Who gets it: at most [`PUSH_TARGETS_MAX`](crate::limits::PUSH_TARGETS_MAX). A session that several of them name
    /// gets it once.
    pub targets: Vec<Target>,
    /// A session that doesn't get it: the one whose call brought it about finds it in its answer.
    pub except: Option<(Identity, SessionId)>,
    /// One boxed object, an `Updates`, not packed.
    pub body: Bytes,
}

/// Whom a push reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new target must break every host at compile time"
)]
pub enum Target {
    /// All sessions that want updates, of all keys that this user has logged in with.
    User(i64),
    /// All sessions that want updates, of one key.
    Key(Identity),
    /// One session, whether it wants updates or not.
    Session {
        /// Whose.
        identity: Identity,
        /// Which.
        session_id: SessionId,
    },
}

/// Why an update was not pushed to anybody. Always the backend's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushRefused {
    /// The body can't be an object: it is empty or not of whole words.
    NotAnObject,
    /// There are more than [`PUSH_TARGETS_MAX`](crate::limits::PUSH_TARGETS_MAX).
    TooManyTargets,
}

impl core::fmt::Display for PushRefused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "the body of an update must be a boxed object",
            Self::TooManyTargets => "one push has too many targets",
        })
    }
}

impl core::error::Error for PushRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: Trace = Trace {
        trace_id: [
            0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80,
            0x31, 0x9c,
        ],
        span_id: [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31],
    };

    /// The example of the recommendation: <https://www.w3.org/TR/trace-context/#examples-of-http-traceparent-headers>.
    #[test]
    fn a_trace_is_written_and_read_as_the_recommendation_has_it() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(TRACE.to_string(), text);
        assert_eq!(text.parse(), Ok(TRACE));
    }

    #[test]
    fn ids_keep_their_leading_zeros_and_may_be_one_but_not_zero() {
        let mut least = Trace {
            trace_id: [0; 16],
            span_id: [0; 8],
        };
        (least.trace_id[15], least.span_id[7]) = (1, 1);
        let text = "00-00000000000000000000000000000001-0000000000000001-01";
        assert_eq!(least.to_string(), text);
        assert_eq!(text.parse(), Ok(least));
        for zero in [
            "00-00000000000000000000000000000000-0000000000000001-01",
            "00-00000000000000000000000000000001-0000000000000000-01",
        ] {
            assert_eq!(zero.parse::<Trace>(), Err(NoTrace), "{zero}");
        }
    }

    #[test]
    fn only_what_is_sampled_is_a_trace_whatever_the_other_flags_say() {
        let with_flags = |flags| format!("00-{IDS}-{flags}").parse::<Trace>();
        for sampled in ["01", "03", "ff", "81"] {
            assert_eq!(with_flags(sampled), Ok(TRACE), "{sampled}");
        }
        for not_sampled in ["00", "02", "fe"] {
            assert_eq!(with_flags(not_sampled), Err(NoTrace), "{not_sampled}");
        }
    }

    #[test]
    fn later_versions_may_say_more_but_version_0_may_not_and_version_255_is_none() {
        let parse = |text: String| text.parse::<Trace>();
        assert_eq!(parse(format!("01-{IDS}-01")), Ok(TRACE));
        assert_eq!(parse(format!("fe-{IDS}-01-more-and-more")), Ok(TRACE));
        assert_eq!(parse(format!("00-{IDS}-01-")), Err(NoTrace));
        assert_eq!(parse(format!("00-{IDS}-01-more")), Err(NoTrace));
        assert_eq!(parse(format!("01-{IDS}-01more")), Err(NoTrace));
        assert_eq!(parse(format!("ff-{IDS}-01")), Err(NoTrace));
    }

    #[test]
    fn fields_have_their_length_in_small_hexadecimal_digits() {
        let text = TRACE.to_string();
        for bad in [
            text.to_uppercase(),
            text.replace('-', "_"),
            text.replacen("0af", "+af", 1),
            text.replacen("0af", "0ag", 1),
            text.replacen("0af", "00af", 1),
            text.replacen("0af", "af", 1),
            text.replacen("-b7", "-0b7", 1),
            text.replacen("-b7", "-7", 1),
            text.replacen("00-", "0-", 1),
            text.replacen("00-", "000-", 1),
            text.trim_end_matches("-01").to_owned(),
            format!("{text}1"),
            format!(" {text}"),
            String::new(),
        ] {
            assert_eq!(bad.parse::<Trace>(), Err(NoTrace), "{bad}");
        }
    }

    const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
}
