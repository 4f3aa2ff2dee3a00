//! A client of a few lines: a blocking socket, the intermediate framing, and this project's own exchange and
//! envelopes. It keeps no rules beyond those that a server insists on.

#![allow(dead_code, reason = "each test and benchmark uses a part of it")]

pub(crate) mod cluster;
pub(crate) mod server;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heliogram_crypto::AuthKey;
use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_proto::cx::{Mono, Now, Unix};
use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::exchange::client::{AwaitResPq, Config, Outcome};
use heliogram_proto::ids::{MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::side::Client;
use heliogram_tl::mtproto::{BadServerSalt, GzipPacked, MsgContainer, RpcError, RpcResult};
use heliogram_tl::{Deserialize, gzip, peek_id};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A key and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) key: AuthKey,
    pub(crate) salt: Salt,
}

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) msg_id: i64,
    pub(crate) body: Vec<u8>,
}

/// A connection with the intermediate framing.
pub(crate) struct Frames {
    pub(crate) stream: TcpStream,
}

impl Frames {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[0xee; 4])?;
        Ok(Self { stream })
    }

    pub(crate) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame)
    }

    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut payload = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()];
        self.stream.read_exact(&mut payload)?;
        Ok(payload)
    }

    /// Makes an authorization key on this connection.
    pub(crate) fn exchange(&mut self, key: &PublicKey, dc: Option<i32>) -> io::Result<Login> {
        self.exchange_for(key, dc, None)
    }

    /// Makes an authorization key on this connection, a temporary one if it is to live for some seconds only.
    pub(crate) fn exchange_for(
        &mut self,
        key: &PublicKey,
        dc: Option<i32>,
        expires_in_s: Option<i32>,
    ) -> io::Result<Login> {
        let rng = &mut rng();
        let config = Config {
            keys: vec![key.clone()],
            dc,
            expires_in_s,
            padding: Padding::RsaPad,
        };
        let (state, query) = AwaitResPq::begin(config, rng);
        let answer = self.ask_plain(&query)?;
        let (state, query) = state.handle(&answer).unwrap().run(rng).unwrap();
        let answer = self.ask_plain(&query)?;
        let (mut state, mut query) = state.handle(&answer, now()).unwrap().run(rng).unwrap();
        loop {
            let answer = self.ask_plain(&query)?;
            match state.handle(&answer).unwrap() {
                Outcome::Made(made) => {
                    return Ok(Login {
                        key: made.key,
                        salt: made.first_salt,
                    });
                }
                Outcome::Again(round) => (state, query) = round.run(rng).unwrap(),
            }
        }
    }

    /// Sends a message without a key; returns the body of the answer.
    pub(crate) fn ask_plain(&mut self, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(&plain(body))?;
        let answer = self.receive()?;
        match answer.get(20..) {
            Some(body) => Ok(body.to_vec()),
            None => Err(io::Error::other(format!("a transport error: {answer:?}"))),
        }
    }
}

/// Frames a message without a key.
pub(crate) fn plain(body: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; 8];
    payload.extend_from_slice(&fresh_msg_id(0).to_le_bytes());
    payload.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    payload.extend_from_slice(body);
    payload
}

/// One session on one connection.
pub(crate) struct RawClient {
    pub(crate) frames: Frames,
    pub(crate) login: Login,
    pub(crate) session_id: SessionId,
    last_msg_id: i64,
    pub(crate) content_count: i32,
    received: VecDeque<Received>,
    rng: ChaCha20Rng,
}

impl RawClient {
    /// Connects and makes a key.
    pub(crate) fn connect(
        address: SocketAddr,
        key: &PublicKey,
        dc: Option<i32>,
    ) -> io::Result<Self> {
        let mut frames = Frames::connect(address)?;
        let login = frames.exchange(key, dc)?;
        Ok(Self::over(frames, login))
    }

    /// Connects with a key that was made before, in a session of its own.
    pub(crate) fn resume(address: SocketAddr, login: Login) -> io::Result<Self> {
        Ok(Self::over(Frames::connect(address)?, login))
    }

    pub(crate) fn over(frames: Frames, login: Login) -> Self {
        let mut rng = rng();
        let session_id = SessionId(rng.next_u64().cast_signed());
        Self {
            frames,
            login,
            session_id,
            last_msg_id: 0,
            content_count: 0,
            received: VecDeque::new(),
            rng,
        }
    }

    /// Seals a body into the payload of a frame; returns the message's id, too.
    pub(crate) fn seal(&mut self, body: &[u8], is_content: bool) -> (i64, Vec<u8>) {
        self.last_msg_id = fresh_msg_id(self.last_msg_id);
        let seqno = self.content_count * 2 + i32::from(is_content);
        self.content_count += i32::from(is_content);
        let header = Header {
            salt: self.login.salt,
            session_id: self.session_id,
            msg_id: MsgId(self.last_msg_id),
            seqno: SeqNo(seqno),
        };
        let mut sealed = Vec::new();
        envelope::seal::<Client>(
            &self.login.key,
            &Message { header, body },
            &mut sealed,
            &mut self.rng,
        )
        .unwrap();
        (self.last_msg_id, sealed)
    }

    /// Returns the id of the next message that is sent.
    pub(crate) fn next_msg_id(&mut self) -> MsgId {
        self.last_msg_id = fresh_msg_id(self.last_msg_id);
        MsgId(self.last_msg_id)
    }

    /// Sends a call under an id that was taken before.
    pub(crate) fn send_as(&mut self, msg_id: MsgId, query: &[u8]) -> io::Result<()> {
        let header = Header {
            salt: self.login.salt,
            session_id: self.session_id,
            msg_id,
            seqno: SeqNo(self.content_count * 2 + 1),
        };
        self.content_count += 1;
        let message = Message {
            header,
            body: query,
        };
        let mut sealed = Vec::new();
        envelope::seal::<Client>(&self.login.key, &message, &mut sealed, &mut self.rng).unwrap();
        self.frames.send(&sealed)
    }

    /// Sends a call under an id that was taken before; returns its answer.
    pub(crate) fn call_as(
        &mut self,
        msg_id: MsgId,
        query: &[u8],
    ) -> io::Result<Result<Vec<u8>, (i32, String)>> {
        self.send_as(msg_id, query)?;
        loop {
            let received = self.receive()?;
            if let Ok(answer) = RpcResult::from_bytes(&received.body)
                && answer.req_msg_id == msg_id.0
            {
                return Ok(unpack(answer.result));
            }
        }
    }

    pub(crate) fn send(&mut self, body: &[u8], is_content: bool) -> io::Result<i64> {
        let (msg_id, sealed) = self.seal(body, is_content);
        self.frames.send(&sealed)?;
        Ok(msg_id)
    }

    /// Returns the next message, taken out of its container if it came in one.
    pub(crate) fn receive(&mut self) -> io::Result<Received> {
        loop {
            if let Some(received) = self.received.pop_front() {
                return Ok(received);
            }
            let mut frame = self.frames.receive()?;
            if frame.len() < 8 {
                return Err(io::Error::other(format!("a transport error: {frame:?}")));
            }
            let opened = envelope::open::<Client>(&self.login.key, &mut frame).unwrap();
            assert_eq!(
                opened.message.header.session_id, self.session_id,
                "an answer of another session"
            );
            let (msg_id, body) = (opened.message.header.msg_id.0, opened.message.body);
            match MsgContainer::from_bytes(body) {
                Ok(container) => {
                    let inner = container.messages.iter();
                    self.received.extend(inner.map(|it| Received {
                        msg_id: it.msg_id,
                        body: it.body.to_vec(),
                    }));
                }
                Err(_) => self.received.push_back(Received {
                    msg_id,
                    body: body.to_vec(),
                }),
            }
        }
    }

    /// Returns the first message with this constructor; what comes before it is dropped.
    pub(crate) fn receive_id(&mut self, id: u32) -> io::Result<Received> {
        loop {
            let received = self.receive()?;
            if peek_id(&received.body) == Some(id) {
                return Ok(received);
            }
        }
    }

    /// Calls a method and waits for its answer; takes the salt it is told and asks again.
    pub(crate) fn call(&mut self, query: &[u8]) -> io::Result<Result<Vec<u8>, (i32, String)>> {
        let mut msg_id = self.send(query, true)?;
        loop {
            let received = self.receive()?;
            if let Ok(bad) = BadServerSalt::from_bytes(&received.body) {
                self.login.salt = Salt(bad.new_server_salt);
                msg_id = self.send(query, true)?;
            } else if let Ok(answer) = RpcResult::from_bytes(&received.body)
                && answer.req_msg_id == msg_id
            {
                return Ok(unpack(answer.result));
            }
        }
    }
}

fn unpack(result: &[u8]) -> Result<Vec<u8>, (i32, String)> {
    if let Ok(error) = RpcError::from_bytes(result) {
        return Err((
            error.error_code,
            String::from_utf8(error.error_message.to_vec()).unwrap(),
        ));
    }
    Ok(match GzipPacked::from_bytes(result) {
        Ok(packed) => gzip::unpack(packed.packed_data, 1 << 20).unwrap(),
        Err(_) => result.to_vec(),
    })
}

pub(crate) fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Now {
        mono: Mono(0),
        unix: Unix(u64::try_from(unix.as_nanos()).unwrap()),
    }
}

fn fresh_msg_id(last: i64) -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(unix.as_secs()).unwrap() << 32;
    let fraction = (i64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    ((seconds | fraction) & !3).max(last + 4)
}

pub(crate) fn rng() -> ChaCha20Rng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    ChaCha20Rng::from_seed(seed)
}

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
