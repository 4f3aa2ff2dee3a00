//! The rules, each with the way in which it is broken.

use std::time::Duration;

use heliogram_proto::ids::{MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::port::KeyKind;
use heliogram_tl::{Serialize, Writer, api, gzip, mtproto as tl};

use super::Reaction::{Answers, BadMsg, Closes, Nothing, RpcError};
use super::Row;
use super::peer::{Peer, START_UNIX_S, Says};

/// Every rule. `runs` is 0 unless the row itself has made good calls.
pub(super) const ROWS: &[Row] = &[
    row(
        "a message is sealed with its key",
        flipped,
        Closes(NOT_FOUND),
    ),
    row(
        "a server's message is none of a client's",
        reflected,
        Closes(NOT_FOUND),
    ),
    row("a key is known", unknown_key, Closes(NOT_FOUND)),
    row(
        "a key that can't be looked up is not absent",
        unavailable_key,
        Closes(None),
    ),
    row("a temporary key ends", expired_key, Closes(NOT_FOUND)),
    row(
        "a temporary key is bound before it calls",
        unbound_key,
        RpcError("AUTH_KEY_PERM_EMPTY"),
    ),
    row(
        "padding has 12 bytes at least",
        |peer| padded(peer, 8),
        Closes(NOT_FOUND),
    ),
    row(
        "padding has 1024 bytes at most",
        |peer| padded(peer, 1032),
        Closes(NOT_FOUND),
    ),
    row(
        "a length is of whole words",
        |peer| lengths(peer, 10),
        Closes(NOT_FOUND),
    ),
    row(
        "a length is not negative",
        |peer| lengths(peer, -4),
        Closes(NOT_FOUND),
    ),
    row(
        "a length ends within its message",
        |peer| lengths(peer, 4096),
        Closes(NOT_FOUND),
    ),
    row(
        "an envelope has a header",
        |peer| peer.send_payload(&[9; 64]),
        Closes(NOT_FOUND),
    ),
    row(
        "an unencrypted message can be read",
        |peer| peer.send_payload(&[0; 20]),
        Closes(NOT_FOUND),
    ),
    row(
        "a frame is not empty",
        |peer| peer.send_bytes(&[0; 4]),
        Closes(None),
    ),
    row(
        "a frame has 1 MiB at most",
        |peer| peer.send_bytes(&[0xff, 0xff, 0xff, 0x7f]),
        Closes(None),
    ),
    row(
        "an identifier's low bits are 0 from a client",
        |peer| shifted(peer, 1),
        BadMsg(18),
    ),
    row(
        "an identifier's low bits are not 3 from a client",
        |peer| shifted(peer, 3),
        BadMsg(18),
    ),
    row(
        "a message is not 31 s ahead",
        |peer| timed(peer, 31),
        BadMsg(17),
    ),
    row(
        "a message is not 301 s old",
        |peer| timed(peer, -301),
        BadMsg(16),
    ),
    row("a salt is valid", bad_salt, BadMsg(48)),
    row(
        "a container has an identifier of its own",
        container_twice,
        BadMsg(19),
    ),
    row(
        "what may have been received is not run",
        forgotten,
        BadMsg(20),
    ),
    row("a container holds no container", nested, BadMsg(64)),
    row(
        "a container hides in no packed object",
        nested_packed,
        BadMsg(64),
    ),
    row(
        "a container is above its contents",
        |peer| contained(peer, 4, 0),
        BadMsg(64),
    ),
    row(
        "a container's number is not below its contents'",
        |peer| contained(peer, -8, 99),
        BadMsg(64),
    ),
    row(
        "a container holds 1024 messages at most",
        crowded,
        BadMsg(64),
    ),
    row(
        "a container ends with its last message",
        trailing,
        BadMsg(64),
    ),
    row(
        "a container's count is believed only if it fits",
        overcounted,
        BadMsg(64),
    ),
    row(
        "a container is not content-related",
        odd_container,
        BadMsg(34),
    ),
    row("a call is content-related", even_call, BadMsg(35)),
    row(
        "a call within a container is content-related",
        inner_even_call,
        BadMsg(35),
    ),
    row("sequence numbers do not fall", seqno_falls, BadMsg(32)),
    row(
        "sequence numbers do not overtake",
        seqno_overtakes,
        BadMsg(33),
    ),
    row(
        "low bits hold within containers",
        inner_low_bits,
        BadMsg(18),
    ),
    row("a service message can be read", cut_ping, Closes(None)),
    row(
        "a packed call can be unpacked",
        |peer| packed(peer, &[1; 40]),
        RpcError("INPUT_FETCH_FAIL"),
    ),
    row(
        "a packed call unpacks to 16 MiB at most",
        bomb,
        RpcError("INPUT_FETCH_FAIL"),
    ),
    row(
        "a call has 8 wrappers at most",
        wrapped,
        RpcError("INPUT_FETCH_FAIL"),
    ),
    row(
        "a call names 100 others at most",
        after_many,
        RpcError("INPUT_FETCH_FAIL"),
    ),
    row(
        "a layer is a number that can exist",
        |peer| layer(peer, 0),
        RpcError("CONNECTION_LAYER_INVALID"),
    ),
    row(
        "a layer is not above all that exist",
        |peer| layer(peer, 1001),
        RpcError("CONNECTION_LAYER_INVALID"),
    ),
    row(
        "a session does not destroy itself",
        destroys_itself,
        Answers(tl::DestroySessionNone::ID),
    ),
    row(
        "salts are asked for in bounds",
        salts,
        Answers(tl::FutureSalts::ID),
    ),
    row(
        "an answer that is not there can't be dropped",
        drops,
        Answers(tl::RpcAnswerUnknown::ID),
    ),
    row(
        "what was not sent is not sent again",
        wants,
        Answers(tl::MsgsStateInfo::ID),
    ),
    row(
        "acknowledgements of what was not sent mean nothing",
        acks,
        Nothing,
    ),
    row(
        "states of too many messages are not asked",
        states,
        Closes(None),
    ),
    Row {
        rule: "a call that comes twice runs once",
        breaks: twice,
        reaction: Answers(METHOD),
        runs: 1,
    },
    Row {
        rule: "a session runs 1024 calls at once",
        breaks: floods,
        reaction: RpcError("FLOOD_WAIT_1"),
        runs: 1024,
    },
];

const fn row(rule: &'static str, breaks: fn(&mut Peer), reaction: super::Reaction) -> Row {
    Row {
        rule,
        breaks,
        reaction,
        runs: 0,
    }
}

fn ping() -> Vec<u8> {
    tl::Ping { ping_id: 7 }.to_bytes()
}

fn flipped(peer: &mut Peer) {
    let (id, seqno) = (peer.next_id(), peer.next_seqno(false));
    let mut sealed = peer.seal(id, seqno, 4, &[0; 32]);
    sealed[40] ^= 1;
    peer.send_payload(&sealed);
}

fn reflected(peer: &mut Peer) {
    let mut sealed = vec![0; 24 + 64];
    let direction = heliogram_crypto::Direction::ServerToClient;
    let outcome = heliogram_crypto::message::seal(&peer.key, direction, &mut sealed);
    debug_assert!(outcome.is_ok(), "whole blocks");
    peer.send_payload(&sealed);
}

fn unknown_key(peer: &mut Peer) {
    peer.store = Says::Absent;
    peer.reconnect();
    peer.say_bytes(false, &ping());
    peer.store = Says::Present;
}

fn unavailable_key(peer: &mut Peer) {
    peer.store = Says::Unavailable;
    peer.reconnect();
    peer.say_bytes(false, &ping());
    peer.store = Says::Present;
}

fn expired_key(peer: &mut Peer) {
    temporary(peer, 0);
    peer.say_bytes(false, &ping());
}

fn unbound_key(peer: &mut Peer) {
    temporary(peer, 1000);
    peer.say_bytes(true, &METHOD.to_le_bytes());
}

fn temporary(peer: &mut Peer, left_s: u32) {
    let now_s = u32::try_from(START_UNIX_S).unwrap_or(0);
    peer.facts.kind = KeyKind::Temporary {
        expires_at_unix_s: now_s + left_s,
    };
    peer.reconnect();
}

fn padded(peer: &mut Peer, padding: usize) {
    let (id, seqno) = (peer.next_id(), peer.next_seqno(false));
    let body = ping();
    let fill = (32 + body.len() + padding).next_multiple_of(16) - 32 - body.len();
    // The least that is wrong and of whole blocks.
    let body = if padding < 12 {
        [ping(), vec![0; 12]].concat()
    } else {
        body
    };
    let fill = if padding < 12 { 8 } else { fill };
    let length = i32::try_from(body.len()).unwrap_or(0);
    peer.send_padded(id, seqno, length, &[body, vec![0; fill]].concat());
}

fn lengths(peer: &mut Peer, length: i32) {
    let (id, seqno) = (peer.next_id(), peer.next_seqno(false));
    peer.send_padded(id, seqno, length, &[0; 32]);
}

fn shifted(peer: &mut Peer, by: i64) {
    let (id, seqno) = (peer.next_id(), peer.next_seqno(false));
    peer.send(MsgId(id.0 + by), seqno, &ping());
}

fn timed(peer: &mut Peer, by_s: i64) {
    let (id, seqno) = (peer.next_id(), peer.next_seqno(false));
    peer.send(MsgId(id.0 + (by_s << 32)), seqno, &ping());
}

fn bad_salt(peer: &mut Peer) {
    let good = std::mem::replace(&mut peer.salt, Salt(12345));
    peer.say_bytes(true, &METHOD.to_le_bytes());
    peer.salt = good;
}

fn container_twice(peer: &mut Peer) {
    let (inner, seqno) = (peer.next_id(), peer.next_seqno(false));
    let ack = (inner, seqno, nothing());
    let (id, seqno) = (peer.next_id(), peer.next_seqno(false));
    let body = container(&[ack]);
    peer.send(id, seqno, &body);
    peer.send(id, seqno, &body);
}

/// A session that was destroyed refuses what it may have received.
fn forgotten(peer: &mut Peer) {
    let ended = peer.session;
    let (id, seqno) = (peer.next_id(), SeqNo(1));
    peer.say(
        false,
        &tl::MsgsAck {
            msg_ids: (&[]).into(),
        },
    );
    peer.session = SessionId(ended.0 ^ 0xff00);
    peer.say(
        false,
        &tl::DestroySession {
            session_id: ended.0,
        },
    );
    peer.heard.clear();
    let other = std::mem::replace(&mut peer.session, ended);
    peer.send(id, seqno, &METHOD.to_le_bytes());
    peer.session = other;
}

fn nested(peer: &mut Peer) {
    let inner = (peer.next_id(), SeqNo(0), container(&[]));
    peer.say_bytes(false, &container(&[inner]));
}

fn nested_packed(peer: &mut Peer) {
    let packed = pack(&container(&[]));
    let inner = (peer.next_id(), SeqNo(0), packed);
    peer.say_bytes(false, &container(&[inner]));
}

/// A container whose content's identifier is `by` from its own, with this sequence number.
fn contained(peer: &mut Peer, by: i64, seqno: i32) {
    let (_, id) = (peer.next_id(), peer.next_id());
    let inner = (MsgId(id.0 + by), SeqNo(seqno), nothing());
    let outer_seqno = peer.next_seqno(false);
    peer.send(id, outer_seqno, &container(&[inner]));
}

fn crowded(peer: &mut Peer) {
    let inner: Vec<_> = (0..1025)
        .map(|_| (peer.next_id(), SeqNo(0), nothing()))
        .collect();
    peer.say_bytes(false, &container(&inner));
}

fn trailing(peer: &mut Peer) {
    let inner = (peer.next_id(), SeqNo(0), nothing());
    let mut body = container(&[inner]);
    body.extend_from_slice(&[0; 4]);
    peer.say_bytes(false, &body);
}

fn overcounted(peer: &mut Peer) {
    let mut body = container(&[]);
    body[4..8].copy_from_slice(&1000_u32.to_le_bytes());
    peer.say_bytes(false, &body);
}

fn odd_container(peer: &mut Peer) {
    let inner = (peer.next_id(), SeqNo(0), nothing());
    let id = peer.next_id();
    peer.send(id, SeqNo(1), &container(&[inner]));
}

fn even_call(peer: &mut Peer) {
    let id = peer.next_id();
    peer.send(id, SeqNo(0), &METHOD.to_le_bytes());
}

fn inner_even_call(peer: &mut Peer) {
    let inner = (peer.next_id(), SeqNo(0), METHOD.to_le_bytes().to_vec());
    peer.say_bytes(false, &container(&[inner]));
}

fn seqno_falls(peer: &mut Peer) {
    let id = peer.next_id();
    peer.send(id, SeqNo(20), &nothing());
    let id = peer.next_id();
    peer.send(id, SeqNo(1), &METHOD.to_le_bytes());
    for _ in 0..20 {
        let _ = peer.next_seqno(true);
    }
}

fn seqno_overtakes(peer: &mut Peer) {
    let (early, late) = (peer.next_id(), peer.next_id());
    peer.send(late, SeqNo(4), &nothing());
    peer.send(early, SeqNo(9), &METHOD.to_le_bytes());
    for _ in 0..20 {
        let _ = peer.next_seqno(true);
    }
}

fn inner_low_bits(peer: &mut Peer) {
    let id = peer.next_id();
    let inner = (MsgId(id.0 + 1), SeqNo(0), ping());
    let _ = peer.next_id();
    peer.say_bytes(false, &container(&[inner]));
}

fn cut_ping(peer: &mut Peer) {
    peer.say_bytes(false, &ping()[..8]);
}

fn packed(peer: &mut Peer, stream: &[u8]) {
    let mut writer = Writer::new();
    writer.u32(tl::GzipPacked::ID);
    writer.bytes(stream);
    peer.say_bytes(true, &writer.into_vec());
}

fn bomb(peer: &mut Peer) {
    packed(peer, &gzip::pack(&vec![0; (16 << 20) + 4]));
}

fn wrapped(peer: &mut Peer) {
    let mut body = METHOD.to_le_bytes().to_vec();
    for _ in 0..9 {
        body = api::InvokeWithoutUpdates { query: &body }.to_bytes();
    }
    peer.say_bytes(true, &body);
}

fn after_many(peer: &mut Peer) {
    let ids: Vec<i64> = (1..=101).map(|it| it * 4).collect();
    let query = METHOD.to_le_bytes();
    let body = api::InvokeAfterMsgs {
        msg_ids: ids.as_slice().into(),
        query: &query,
    };
    peer.say(true, &body);
}

fn layer(peer: &mut Peer, layer: i32) {
    let query = METHOD.to_le_bytes();
    let query = &query;
    peer.say(true, &api::InvokeWithLayer { layer, query });
}

fn destroys_itself(peer: &mut Peer) {
    let session_id = peer.session.0;
    peer.say(false, &tl::DestroySession { session_id });
}

fn salts(peer: &mut Peer) {
    peer.say(false, &tl::GetFutureSalts { num: i32::MAX });
}

fn drops(peer: &mut Peer) {
    peer.say(false, &tl::RpcDropAnswer { req_msg_id: 4 });
}

fn wants(peer: &mut Peer) {
    let ids = [1_i64];
    let msg_ids = ids.as_slice().into();
    peer.say(false, &tl::MsgResendReq { msg_ids });
}

fn acks(peer: &mut Peer) {
    let ids = [1_i64, 5, 9];
    let msg_ids = ids.as_slice().into();
    peer.say(false, &tl::MsgsAck { msg_ids });
}

fn states(peer: &mut Peer) {
    let ids = vec![4_i64; 8193];
    let msg_ids = ids.as_slice().into();
    peer.say(false, &tl::MsgsStateReq { msg_ids });
}

fn twice(peer: &mut Peer) {
    let (id, seqno) = (peer.next_id(), peer.next_seqno(true));
    peer.send(id, seqno, &METHOD.to_le_bytes());
    peer.heard.clear();
    peer.send(id, seqno, &METHOD.to_le_bytes());
}

fn floods(peer: &mut Peer) {
    peer.holds = true;
    for _ in 0..1024 {
        peer.say_bytes(true, &METHOD.to_le_bytes());
    }
    peer.heard.clear();
    peer.say_bytes(true, &METHOD.to_le_bytes());
    peer.pass(Duration::from_millis(1));
}

/// An acknowledgement of nothing: what may stand anywhere and asks for nothing.
fn nothing() -> Vec<u8> {
    tl::MsgsAck {
        msg_ids: (&[]).into(),
    }
    .to_bytes()
}

fn container(messages: &[(MsgId, SeqNo, Vec<u8>)]) -> Vec<u8> {
    let messages: Vec<_> = messages
        .iter()
        .map(|(id, seqno, body)| tl::Message {
            msg_id: id.0,
            seqno: seqno.0,
            body,
        })
        .collect();
    let messages = messages.as_slice().into();
    tl::MsgContainer { messages }.to_bytes()
}

fn pack(object: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u32(tl::GzipPacked::ID);
    writer.bytes(&gzip::pack(object));
    writer.into_vec()
}

const NOT_FOUND: Option<i32> = Some(-404);
/// A method that no layer has; the backend answers with what it was asked.
const METHOD: u32 = 0x51a7_0009;
