"""What the client programs share: where the server is, how to reach it, and how to report.

Nothing of Telethon is changed. Its documented ways of reaching another server are used: a data centre's address in the
session, a public key in `telethon.crypto.rsa`, and a `Connection` class per framing.
"""

import asyncio
import json
import logging
import pathlib
import random
import sys

import websockets
from telethon import TelegramClient, connection as framings
from telethon.crypto import rsa
from telethon.network.connection.connection import ObfuscatedConnection
from telethon.network.connection.tcpabridged import AbridgedPacketCodec
from telethon.network.connection.tcpintermediate import (
    IntermediatePacketCodec,
    RandomizedIntermediatePacketCodec,
)
from telethon.network.connection.tcpobfuscated import ObfuscatedIO
from telethon.sessions import StringSession

# The published example of Telegram's own clients.
API_ID = 4
API_HASH = "014b35b6184100b085b0d0572f9b5103"
DC = 2


class Server:
    """Where a server is, read from its data directory as a user would."""

    def __init__(self, data):
        data = pathlib.Path(data)
        endpoints = json.loads((data / "endpoints.json").read_text())
        self.tcp = _split(endpoints["tcp"][0])
        self.websocket = _split(endpoints["websocket"][0])
        rsa._server_keys.clear()
        rsa.add_key((data / "server_public.pem").read_bytes(), old=False)

    def address(self, framing):
        return self.websocket if framing.startswith("ws-") else self.tcp

    def client(self, framing, saved="", key=None, connection=None):
        """Makes a client: a new one, one that an earlier one saved with `session.save()`, or one that has a key.

        `connection` may stand in for the framing's own class."""
        session = StringSession(saved)
        if key:
            session.auth_key = key
        host, port = self.address(framing)
        session.set_dc(DC, host, port)
        return TelegramClient(
            session,
            API_ID,
            API_HASH,
            connection=connection or CONNECTIONS[framing],
            # The server may be away for as long as a restart takes.
            connection_retries=100,
            retry_delay=0.1,
            request_retries=20,
        )

    def connection(self, framing):
        """Makes a bare connection, for who wants to do without a client."""
        host, port = self.address(framing)
        return CONNECTIONS[framing](host, port, DC, loggers=LOGGERS)


class TcpPadded(ObfuscatedConnection):
    """Padded intermediate, obfuscated as always: the parts are Telethon's, which uses them for proxies only."""

    obfuscated_io = ObfuscatedIO
    packet_codec = RandomizedIntermediatePacketCodec


class _WebSocket(ObfuscatedConnection):
    """The same bytes in binary messages of the `websockets` library, cut anywhere, as the protocol allows."""

    obfuscated_io = ObfuscatedIO

    async def _connect(self, timeout=None, ssl=None):
        uri = f"ws://{self._ip}:{self._port}/apiws"
        self._socket = await websockets.connect(
            uri, subprotocols=["binary"], compression=None, max_size=None, open_timeout=timeout
        )
        assert self._socket.subprotocol == "binary", self._socket.subprotocol
        self._reader = asyncio.StreamReader()
        self._writer = _OddWriter(self._socket)
        self._pump = asyncio.ensure_future(self._read_all())
        self._codec = self.packet_codec(self)
        self._init_conn()
        await self._writer.drain()

    async def _read_all(self):
        try:
            async for message in self._socket:
                assert isinstance(message, bytes), "a text message on a binary connection"
                self._reader.feed_data(message)
        except websockets.ConnectionClosed:
            pass
        self._reader.feed_eof()


class _OddWriter:
    """Looks like a stream's writer; sends what is written in messages of odd lengths."""

    def __init__(self, socket):
        self._socket = socket
        self._pending = bytearray()

    def write(self, data):
        self._pending += data

    async def drain(self):
        while self._pending:
            length = random.choice((1, 2, 3, 5, 61, 64, 65, 127, 4096))
            piece, self._pending = bytes(self._pending[:length]), self._pending[length:]
            try:
                await self._socket.send(piece)
            except websockets.ConnectionClosed as closed:
                raise ConnectionError("the server closed the connection") from closed

    def close(self):
        self._closing = asyncio.ensure_future(self._socket.close())

    async def wait_closed(self):
        await self._closing


class WebSocketAbridged(_WebSocket):
    packet_codec = AbridgedPacketCodec


class WebSocketIntermediate(_WebSocket):
    packet_codec = IntermediatePacketCodec


class WebSocketPadded(_WebSocket):
    packet_codec = RandomizedIntermediatePacketCodec


CONNECTIONS = {
    "abridged": framings.ConnectionTcpAbridged,
    "intermediate": framings.ConnectionTcpIntermediate,
    "full": framings.ConnectionTcpFull,
    "obfuscated": framings.ConnectionTcpObfuscated,
    "padded": TcpPadded,
    "ws-abridged": WebSocketAbridged,
    "ws-intermediate": WebSocketIntermediate,
    "ws-padded": WebSocketPadded,
}


class _Loggers(dict):
    def __missing__(self, name):
        return logging.getLogger(name)


LOGGERS = _Loggers()


def say(step):
    """Tells the harness that a step is reached."""
    print("@", step, flush=True)


async def gate(step):
    """Tells the harness that a step is reached, and waits until it may go on."""
    say(step)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)


def run(main, timeout_s=100):
    """Runs a program to its end, or to an error that the harness shows."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(asyncio.wait_for(main, timeout_s))


def _split(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)
