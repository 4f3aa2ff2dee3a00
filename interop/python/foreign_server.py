"""A small server that stands on the `mtproto` package: what a client meets that was written by somebody else.

usage: foreign_server.py DATA [--ahead SECONDS] [--salt-life SECONDS]

Writes `endpoints.json` and `server_public.pem` into DATA, says `@ listening`, and serves until a line comes on its
standard input; then it prints what it has seen as one line of JSON.

From the package are the framings (it recognises which one a connection speaks), the envelope, identifiers, sequence
numbers, and the service messages. What the package lacks is supplied here: the key exchange, the comparison of
`msg_key`, binding, kept answers. Its `Session` has a server role that is not used: the refusals and the
`new_session_created` that it sends lack their constructors (0.3.1).
"""

import argparse
import asyncio
import collections
import gzip
import hashlib
import json
import pathlib
import secrets
import struct
import sys
import time
from io import BytesIO

import mtproto.session.msg_id
from mtproto import ConnectionRole
from mtproto.session.msg_id import MsgId
from mtproto.session.seq_no import SeqNo
from mtproto.session.service_messages.bad_msg_notification import BadMsgNotification
from mtproto.session.service_messages.bad_server_salt import BadServerSalt
from mtproto.session.service_messages.future_salt import FutureSalt
from mtproto.session.service_messages.future_salts import FutureSalts
from mtproto.session.service_messages.message import Message
from mtproto.session.service_messages.msg_container import MsgContainer
from mtproto.session.service_messages.msgs_ack import MsgsAck
from mtproto.session.service_messages.new_session_created import NewSessionCreated
from mtproto.transport import Connection
from mtproto.transport.packets import (
    DecryptedMessagePacket,
    EncryptedMessagePacket,
    ErrorPacket,
    UnencryptedMessagePacket,
)

from foreign_exchange import Exchange, Reader, RsaKey, sha1, tl_bytes


class Key:
    """A key that was made: its salts, and the permanent key that it stands for."""

    def __init__(self, key, salt, server):
        self.key = key
        self.id = int.from_bytes(sha1(key)[-8:], "little", signed=True)
        self.server = server
        self.identity = self
        self.sessions = {}
        self.salts = collections.deque([(salt, server.now() - 1, server.now() + server.salt_life_s)])

    def salts_until(self, end):
        """Makes salts up to then, each overlapping the next by half of its life."""
        life = self.server.salt_life_s
        while self.salts[-1][2] < end:
            since = self.salts[-1][1] + life // 2
            self.salts.append((secrets.token_bytes(8), since, since + life))
        return list(self.salts)

    def salt(self):
        now = self.server.now()
        self.salts_until(now + 1)
        return next(salt for salt, since, until in reversed(self.salts) if since <= now < until)

    def takes(self, salt):
        now = self.server.now()
        return any(known == salt and since <= now < until for known, since, until in self.salts)

    def replace_salt(self):
        self.salts.clear()
        now = self.server.now()
        self.salts.append((secrets.token_bytes(8), now - 1, now + self.server.salt_life_s))


class Session:
    """What outlives a connection: numbers, and the answers that were given."""

    def __init__(self):
        self.seq_no = SeqNo()
        self.answers = {}
        self.announced = {}


class Server:
    def __init__(self, ahead_s, salt_life_s):
        self.rsa_key = RsaKey()
        self.ahead_s = ahead_s
        self.salt_life_s = salt_life_s
        self.keys = {}
        self.pts = 1
        self.runs = collections.Counter()
        self.seen = collections.Counter()
        self.problems = []
        self.msg_id = MsgId(ConnectionRole.SERVER)
        # The package reads the clock here.
        mtproto.session.msg_id.time = lambda: time.time() + self.ahead_s

    def now(self):
        return int(time.time()) + self.ahead_s

    async def serve(self, reader, writer):
        link = Link(self, writer)
        try:
            while data := await reader.read(1 << 16):
                link.data_received(data)
                await writer.drain()
        except (ConnectionError, CutOff):
            pass
        except Exception as error:  # The test is to hear of it.
            self.problems.append(f"{type(error).__name__}: {error}")
        writer.close()


class CutOff(Exception):
    """The connection ends here."""


class Link:
    """One connection."""

    def __init__(self, server, writer):
        self.server = server
        self.writer = writer
        self.connection = Connection(ConnectionRole.SERVER)
        self.exchange = None

    def data_received(self, data):
        self.connection.data_received(data)
        while self.connection.has_packet():
            packet = self.connection.next_event()
            if isinstance(packet, UnencryptedMessagePacket):
                self.on_plain(packet)
            elif isinstance(packet, EncryptedMessagePacket):
                self.on_encrypted(packet)
            else:
                raise ValueError(f"unexpected {packet!r}")

    def send(self, packet):
        self.writer.write(self.connection.send(packet))

    def on_plain(self, packet):
        self.server.seen["queries"] += 1
        if packet.message_data[:4] == b"\xf1\x8e\x7e\xbe":
            self.exchange = Exchange(self.server.rsa_key, self.server.ahead_s)
        answer = self.exchange.handle(packet.message_data)
        self.send(UnencryptedMessagePacket(self.server.msg_id.make(True), answer))
        if self.exchange.made:
            auth_key, salt, expires_in_s = self.exchange.made
            key = Key(auth_key, salt, self.server)
            self.server.keys[key.id] = key
            self.server.seen["keys" if expires_in_s is None else "temporary keys"] += 1
            self.exchange = None

    def on_encrypted(self, packet):
        key = self.server.keys.get(packet.auth_key_id)
        if key is None:
            return self.send(ErrorPacket(404))
        opened = packet.decrypt(key.key, ConnectionRole.CLIENT)
        check_msg_key(key.key, packet, opened)
        Turn(self, key, opened).run()


class Turn:
    """One message of a client, and what is said to it."""

    def __init__(self, link, key, packet):
        self.link = link
        self.server = link.server
        self.key = key
        self.packet = packet
        self.said = []
        self.cuts_off = False
        self.clock_step_s = 0

    def run(self):
        packet, seen = self.packet, self.server.seen
        sessions = self.key.identity.sessions
        is_new = packet.session_id not in sessions
        self.session = sessions.setdefault(packet.session_id, Session())
        refusal = self.refusal()
        if not self.key.takes(packet.salt):
            seen["bad salts"] += 1
            salt = int.from_bytes(self.key.salt(), "little", signed=True)
            refused = {"bad_msg_id": packet.message_id, "bad_msg_seqno": packet.seq_no, "error_code": 48}
            self.say(BadServerSalt(**refused, new_server_salt=salt).write(), False)
        elif refusal:
            seen[f"refusals {refusal}"] += 1
            refused = {"bad_msg_id": packet.message_id, "bad_msg_seqno": packet.seq_no, "error_code": refusal}
            self.say(BadMsgNotification(**refused).write(), False)
        else:
            if is_new:
                self.greet()
            self.take_all()
        if self.cuts_off:
            raise CutOff
        self.send()
        if self.clock_step_s:
            self.server.ahead_s += self.clock_step_s
            # Salts have nothing to do with it.
            self.key.replace_salt()
            self.key.salts.appendleft((packet.salt, 0, self.server.now() + self.server.salt_life_s))

    def refusal(self):
        message_id, now = self.packet.message_id, self.server.now()
        if message_id % 4:
            return 18
        if message_id >> 32 < now - 300:
            return 16
        if message_id >> 32 > now + 30:
            return 17
        return None

    def greet(self):
        self.server.seen["sessions"] += 1
        salt = int.from_bytes(self.key.salt(), "little", signed=True)
        first = self.packet.message_id
        if self.packet.data[:4] == MsgContainer.__tl_id_bytes__:
            first = min(it.message_id for it in MsgContainer.read(BytesIO(self.packet.data)).messages)
        unique_id = secrets.randbits(63)
        self.say(NewSessionCreated(first_msg_id=first, unique_id=unique_id, server_salt=salt).write(), True)

    def take_all(self):
        data = self.packet.data
        if data[:4] != MsgContainer.__tl_id_bytes__:
            return self.take(self.packet.message_id, data)
        messages = MsgContainer.read(BytesIO(data)).messages
        largest = self.server.seen["largest container"]
        self.server.seen["largest container"] = max(largest, len(messages))
        for message in messages:
            assert message.message_id < self.packet.message_id, "a container is younger than what it holds"
            self.take(message.message_id, message.body)

    def take(self, message_id, body):
        reader = Reader(body)
        kind = reader.u32()
        if kind == 0x62D6B459:  # msgs_ack
            self.server.seen["acks"] += len(MsgsAck.read(BytesIO(body)).msg_ids)
        elif kind in (0x7ABE77EC, 0xF3427B8C):  # ping, ping_delay_disconnect
            self.say(struct.pack("<Iqq", 0x347773C5, message_id, reader.i64()), False)
        elif kind == 0xB921BD04:  # get_future_salts
            self.tell_salts(message_id, reader.i32())
        elif kind == 0x7D861A08:  # msg_resend_req
            self.send_again(reader)
        elif kind == 0xDA69FB52:  # msgs_state_req
            self.tell_states(message_id, reader)
        elif kind == 0xCDD42A05:  # auth.bindTempAuthKey
            self.answer(message_id, self.bind(reader))
        elif kind == 0x58E4A740:  # rpc_drop_answer
            self.answer(message_id, struct.pack("<I", 0x5E2AD36E))
        elif message_id in self.session.answers:
            self.server.seen["repeated calls"] += 1
            self.say(self.session.answers[message_id], True)
        else:
            self.call(message_id, body)

    def call(self, message_id, body):
        reader = Reader(body)
        method = reader.u32()
        while method in WRAPPERS:
            WRAPPERS[method](self, reader)
            method = reader.u32()
        if method in API:
            return self.answer(message_id, API[method](self, reader))
        assert method in METHODS, f"unknown method {method:08x}"
        token = reader.i64()
        # What is refused does not run.
        self.server.runs[token] += method != 0x7E570107
        METHODS[method](self, message_id, struct.pack("<Iq", method, token))

    def echo(self, message_id, answer):
        self.answer(message_id, answer)

    def zipped(self, message_id, answer):
        self.answer(message_id, struct.pack("<I", 0x3072CFA1) + tl_bytes(gzip.compress(answer)))

    def new_salt(self, message_id, answer):
        self.answer(message_id, answer)
        self.send()
        self.key.replace_salt()

    def step_clock(self, message_id, answer):
        """Once all is said, the clock is stepped by so many seconds as the token says."""
        self.answer(message_id, answer)
        (self.clock_step_s,) = struct.unpack("<q", answer[4:])

    def cut(self, message_id, answer):
        """The call is run and its answer kept, but the connection ends before it leaves."""
        self.answer(message_id, answer)
        self.cuts_off = True

    def announce(self, message_id, answer):
        """The answer is announced, and sent when it is asked for."""
        self.answer(message_id, answer)
        identifier, seq_no, body = self.said.pop()
        self.session.announced[identifier] = (seq_no, body)
        # msg_detailed_info
        announced = struct.pack("<Iqqii", 0x276D3EC6, message_id, identifier, len(body), 0)
        self.say(announced, False)

    def lose(self, message_id, answer):
        """The answer is kept, and nothing is said before the call is repeated."""
        self.answer(message_id, answer)
        self.said.pop()

    def fail(self, message_id, _answer):
        error = struct.pack("<Ii", 0x2144CA19, 420) + tl_bytes(b"FLOOD_WAIT_1")
        if self.server.seen["failed"]:
            error = struct.pack("<Ii", 0x2144CA19, 400) + tl_bytes(b"PEER_ID_INVALID")
        self.server.seen["failed"] += 1
        self.answer(message_id, error)

    def push(self, message_id, answer):
        """As many updates as the token says are made and pushed, each alone."""
        self.answer(message_id, answer)
        for _ in range(struct.unpack("<q", answer[4:])[0]):
            self.server.pts += 1
            # updateShort
            body = struct.pack("<I", 0x78D4DEC1) + update(self.server.pts) + struct.pack("<i", self.server.now())
            self.say(body, True, is_answer=False)

    def swallow(self, message_id, answer):
        """As many updates as the token says are made, and nobody is told."""
        self.answer(message_id, answer)
        self.server.pts += struct.unpack("<q", answer[4:])[0]

    def get_state(self, _reader):
        # updates.state
        return struct.pack("<Iiiiii", 0xA56C2A3E, self.server.pts, 0, self.server.now(), 1, 0)

    def get_difference(self, reader):
        flags, since = reader.i32(), reader.i32()
        assert flags & ~7 == 0, flags
        self.server.seen["differences"] += 1
        missed = range(since + 1, self.server.pts + 1)
        if not missed:
            # updates.differenceEmpty
            return struct.pack("<Iii", 0x5D75A138, self.server.now(), 1)
        nothing = struct.pack("<Ii", 0x1CB5C415, 0)
        updates = struct.pack("<Ii", 0x1CB5C415, len(missed)) + b"".join(map(update, missed))
        # updates.difference
        return struct.pack("<I", 0x00F49CA0) + nothing * 2 + updates + nothing * 2 + self.get_state(None)

    def send_again(self, reader):
        assert reader.u32() == 0x1CB5C415
        for _ in range(reader.i32()):
            identifier = reader.i64()
            if identifier in self.session.announced:
                self.server.seen["resent"] += 1
                self.said.append((identifier, *self.session.announced[identifier]))

    def tell_states(self, message_id, reader):
        assert reader.u32() == 0x1CB5C415
        identifiers = [reader.i64() for _ in range(reader.i32())]
        # 4: received; 1: nothing is known.
        states = bytes(4 if it in self.session.answers else 1 for it in identifiers)
        self.server.seen["asked for states"] += 1
        self.say(struct.pack("<Iq", 0x04DEB57D, message_id) + tl_bytes(states), False)

    def tell_salts(self, message_id, count):
        self.server.seen["asked for salts"] += 1
        now = self.server.now()
        salts = self.key.salts_until(now + self.server.salt_life_s * count)
        future = [
            FutureSalt(since, until, int.from_bytes(salt, "little", signed=True))
            for salt, since, until in salts
            if until > now
        ]
        self.say(FutureSalts(message_id, now, future[:count]).write(), False)

    def bind(self, reader):
        perm_id, nonce, expires_at, sealed = reader.i64(), reader.raw(8), reader.raw(4), reader.tl_bytes()
        perm = self.server.keys[perm_id]
        packet = EncryptedMessagePacket(perm_id, sealed[8:24], sealed[24:])
        opened = packet.decrypt(perm.key, ConnectionRole.CLIENT, v1=True)
        assert sha1(plain_of(opened))[4:20] == sealed[8:24], "bind: wrong msg_key"
        assert opened.message_id == self.packet.message_id or self.is_inner(opened.message_id)
        ids = struct.pack("<qqq", self.key.id, perm_id, self.packet.session_id)
        # bind_auth_key_inner
        assert opened.data == struct.pack("<I", 0x75A3F765) + nonce + ids + expires_at
        for session_id, session in self.key.sessions.items():
            perm.sessions.setdefault(session_id, session)
        self.key.identity = perm
        self.server.seen["bound"] += 1
        return struct.pack("<I", 0x997275B5)

    def is_inner(self, message_id):
        data = self.packet.data
        if data[:4] != MsgContainer.__tl_id_bytes__:
            return False
        return any(it.message_id == message_id for it in MsgContainer.read(BytesIO(data)).messages)

    def answer(self, message_id, result):
        body = struct.pack("<Iq", 0xF35C6D01, message_id) + result
        self.session.answers[message_id] = body
        self.say(body, True)

    def say(self, body, is_content, is_answer=True):
        self.said.append((self.server.msg_id.make(is_answer), self.session.seq_no.make(is_content), body))

    def send(self):
        """Sends what is said, several messages in a container."""
        said, self.said = self.said, []
        if not said:
            return
        if len(said) == 1:
            ((message_id, seq_no, body),) = said
        else:
            body = MsgContainer([Message(*it) for it in said]).write()
            message_id = self.server.msg_id.make(True)
            seq_no = self.session.seq_no.make(False)
        packet = DecryptedMessagePacket(self.key.salt(), self.packet.session_id, message_id, seq_no, body)
        self.link.send(packet.encrypt(self.key.key, ConnectionRole.SERVER))


def check_msg_key(key, packet, opened):
    """What the package leaves out: a message that nobody has changed, with padding of 12 to 1024 bytes."""
    plain = plain_of(opened) + opened.padding
    assert hashlib.sha256(key[88:120] + plain).digest()[8:24] == packet.message_key, "wrong msg_key"
    assert 12 <= len(opened.padding) <= 1024, "wrong padding"


def plain_of(opened):
    numbers = struct.pack("<qqii", opened.session_id, opened.message_id, opened.seq_no, len(opened.data))
    return opened.salt + numbers + opened.data


def update(pts):
    """updateDeleteMessages of one message, whose number is that of the update."""
    return struct.pack("<IIiiii", 0xA20DB0E5, 0x1CB5C415, 1, pts, pts, 1)


def invoke_with_layer(turn, reader):
    turn.server.seen["layer"] = reader.i32()


def init_connection(turn, reader):
    flags, _api_id = reader.i32(), reader.i32()
    assert flags == 0
    for _ in range(6):
        reader.tl_bytes()
    turn.server.seen["introductions"] += 1


WRAPPERS = {0xDA9B0D0D: invoke_with_layer, 0xC1CD5EA9: init_connection}

METHODS = {
    0x7E570101: Turn.echo,
    0x7E570102: Turn.zipped,
    0x7E570103: Turn.new_salt,
    0x7E570104: Turn.cut,
    0x7E570105: Turn.announce,
    0x7E570106: Turn.lose,
    0x7E570107: Turn.fail,
    0x7E570108: Turn.step_clock,
    0x7E570109: Turn.push,
    0x7E57010A: Turn.swallow,
}

API = {0xEDD4882A: Turn.get_state, 0x19C2F763: Turn.get_difference}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--ahead", type=int, default=0)
    parser.add_argument("--salt-life", type=int, default=3600)
    arguments = parser.parse_args()

    server = Server(arguments.ahead, arguments.salt_life)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    (arguments.data / "server_public.pem").write_bytes(server.rsa_key.pem())
    (arguments.data / "endpoints.json").write_text(json.dumps({"tcp": [f"127.0.0.1:{port}"]}))
    print("@ listening", flush=True)

    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    doubles = [token for token, times in server.runs.items() if times > 1]
    print(json.dumps({"seen": server.seen, "doubles": doubles, "problems": server.problems}))


if __name__ == "__main__":
    asyncio.run(main())
