//! A client's session and a server that says whatever a test has it say.

use std::time::Duration;

use bytes::Bytes;
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::ids::{MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::session::client::{Event, Unacceptable};
use heliogram_proto::session::{Outgoing, Session};
use heliogram_proto::side::{Client, Server};
use heliogram_tl::{Deserialize, Serialize, mtproto as tl, peek_id};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::pair::ClientRules;
use crate::support::{METHOD, START_S, key};

pub(crate) struct Alone {
    pub(crate) client: Session<Client>,
    pub(crate) now: Now,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) events: Vec<Event>,
    last_id: i64,
    rules: ClientRules,
}

/// A message of the client, out of its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) session_id: SessionId,
    pub(crate) salt: Salt,
    pub(crate) msg_id: MsgId,
    pub(crate) seqno: SeqNo,
    pub(crate) container: Option<MsgId>,
    pub(crate) body: Bytes,
}

impl Said {
    pub(crate) fn id(&self) -> u32 {
        peek_id(&self.body).unwrap()
    }

    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> T {
        T::from_bytes(&self.body).unwrap()
    }
}

impl Alone {
    pub(crate) fn new() -> Self {
        Self {
            client: Session::<Client>::new(SessionId(0xa10e), Salt(1), 0),
            now: Now {
                mono: Mono(1_000_000_000),
                unix: Unix::from_seconds(START_S),
            },
            rng: ChaCha8Rng::seed_from_u64(4),
            events: Vec::new(),
            last_id: 0,
            rules: ClientRules::default(),
        }
    }

    pub(crate) fn call(&mut self) -> u64 {
        self.client.call(Bytes::from_static(&METHOD)).unwrap()
    }

    /// A call, and the message that carried it.
    pub(crate) fn sent_call(&mut self) -> (u64, Said) {
        let call = self.call();
        (call, self.calls().pop().unwrap())
    }

    /// Everything that the client has to say now.
    pub(crate) fn drain(&mut self) -> Vec<Said> {
        let (mut out, mut said) = (Vec::<Outgoing>::new(), Vec::new());
        self.client.drain(&mut Cx {
            now: self.now,
            rng: &mut self.rng,
            out: &mut out,
        });
        for Outgoing { header, body } in out {
            self.rules.check(&header, &body);
            let one = Said {
                session_id: header.session_id,
                salt: header.salt,
                msg_id: header.msg_id,
                seqno: header.seqno,
                container: None,
                body: body.clone(),
            };
            if one.id() != tl::MsgContainer::ID {
                said.push(one);
                continue;
            }
            let container = tl::MsgContainer::from_bytes(&body).unwrap();
            said.extend(container.messages.iter().map(|it| Said {
                msg_id: MsgId(it.msg_id),
                seqno: SeqNo(it.seqno),
                container: Some(header.msg_id),
                body: body.slice_ref(it.body),
                ..one.clone()
            }));
        }
        said
    }

    /// The calls among what the client has to say now.
    pub(crate) fn calls(&mut self) -> Vec<Said> {
        let mut said = self.drain();
        said.retain(|it| it.body.starts_with(&METHOD));
        said
    }

    /// A server's identifier of this moment, above all earlier ones.
    pub(crate) fn server_id(&mut self, low_bits: i64) -> MsgId {
        let now = i64::try_from(self.now.unix.seconds()).unwrap() << 32;
        self.last_id = now.max(self.last_id + 4) & !3 | low_bits;
        MsgId(self.last_id)
    }

    /// The server sends an answer that asks for no acknowledgement.
    pub(crate) fn hear(&mut self, object: &impl Serialize) {
        let id = self.server_id(1);
        self.hear_as(id, SeqNo(0), &object.to_bytes()).unwrap();
    }

    /// The server sends an update.
    pub(crate) fn hear_update(&mut self, update: u32) -> MsgId {
        let id = self.server_id(3);
        self.hear_as(id, SeqNo(1), &update.to_le_bytes()).unwrap();
        id
    }

    /// The server answers a call, or a question.
    pub(crate) fn hear_result(&mut self, to: MsgId, result: &[u8]) {
        let id = self.server_id(1);
        let req_msg_id = to.0;
        let body = tl::RpcResult { req_msg_id, result }.to_bytes();
        self.hear_as(id, SeqNo(1), &body).unwrap();
    }

    pub(crate) fn hear_refusal(&mut self, of: MsgId, code: i32) {
        self.hear(&tl::BadMsgNotification {
            bad_msg_id: of.0,
            bad_msg_seqno: 0,
            error_code: code,
        });
    }

    pub(crate) fn hear_bad_salt(&mut self, of: MsgId, salt: i64) {
        self.hear(&tl::BadServerSalt {
            bad_msg_id: of.0,
            bad_msg_seqno: 0,
            error_code: 48,
            new_server_salt: salt,
        });
    }

    pub(crate) fn hear_as(
        &mut self,
        msg_id: MsgId,
        seqno: SeqNo,
        body: &[u8],
    ) -> Result<(), Unacceptable> {
        let session_id = self.client.id();
        self.hear_in(session_id, msg_id, seqno, body)
    }

    pub(crate) fn hear_in(
        &mut self,
        session_id: SessionId,
        msg_id: MsgId,
        seqno: SeqNo,
        body: &[u8],
    ) -> Result<(), Unacceptable> {
        let salt = Salt(0);
        let header = Header {
            salt,
            session_id,
            msg_id,
            seqno,
        };
        let mut frame = Vec::new();
        let message = Message { header, body };
        envelope::seal::<Server>(&key(), &message, &mut frame, &mut self.rng).unwrap();
        let opened = envelope::open::<Client>(&key(), &mut frame).unwrap();
        let (now, rng, out) = (self.now, &mut self.rng, &mut self.events);
        self.client
            .handle(opened.message, &mut Cx { now, rng, out })
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.unix.0 += u64::try_from(time.as_nanos()).unwrap();
        let (now, rng, out) = (self.now, &mut self.rng, &mut self.events);
        self.client.handle_deadline(&mut Cx { now, rng, out });
    }

    pub(crate) fn pass_s(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    pub(crate) fn reconnect(&mut self) {
        let (now, rng, out) = (self.now, &mut self.rng, &mut self.events);
        self.client.reconnected(&mut Cx { now, rng, out });
    }

    /// What the client has told since the last time.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
