"""Calls without a pause, from several tasks of one client, while the server is killed again and again.

No error may reach a task: every call is answered, or sent again by the client. After each restart packets that were
captured before it are sent again, each on a connection of its own; the server must answer `bad_server_salt` and run
nothing, which the ledger shows.

Leaves `calls.txt` in the data directory: for every call its entry and when it was begun and answered, Unix time.

usage: calls_without_pause.py DATA KILLS
"""

import asyncio
import itertools
import pathlib
import sys
import time

from telethon.crypto import AES
from telethon.network.connection import ConnectionTcpAbridged
from telethon.network.mtprotostate import MTProtoState

from common import Server, gate, run
from ledger import Append

TASKS = 16
CALLS_BETWEEN = 200
CALLS_AFTERWARDS = 1000
CAPTURED = 5
BAD_SERVER_SALT = 0xEDAB447B

entries = itertools.count(1)
calls = []
captured = []


class Recording(ConnectionTcpAbridged):
    """An abridged connection that keeps a copy of the packets it sends."""

    async def send(self, data):
        captured.append(bytes(data))
        await super().send(data)


async def main():
    data, kills = sys.argv[1], int(sys.argv[2])
    server = Server(data)
    client = server.client("abridged", connection=Recording)
    await client.connect()
    key = client.session.auth_key

    stop = asyncio.Event()
    tasks = [asyncio.ensure_future(keep_calling(client, stop)) for _ in range(TASKS)]
    for kill in range(kills):
        await until_answered(len(calls) + CALLS_BETWEEN, tasks)
        packets = captured[-CAPTURED:]
        # Everything that is in them is answered: if it were run once more, the crash would be no excuse.
        await until_answered(len(calls) + 2 * TASKS, tasks)
        await gate(f"kill {kill}")
        for packet in packets:
            await refuses(server, key, packet)
    await until_answered(len(calls) + CALLS_AFTERWARDS, tasks)
    stop.set()
    await asyncio.gather(*tasks)

    assert client.session.auth_key.key == key.key, "it made another key"
    await client.disconnect()
    lines = (f"{entry} {begun:.6f} {answered:.6f}\n" for entry, begun, answered in calls)
    (pathlib.Path(data) / "calls.txt").write_text("".join(lines))


async def keep_calling(client, stop):
    while not stop.is_set():
        entry, begun = next(entries), time.time()
        answer = await client(Append(entry))
        assert answer == entry, f"{entry} was answered with {answer}"
        calls.append((entry, begun, time.time()))


async def until_answered(count, tasks):
    """Waits for answers; a task that ends has met an error, which is raised here."""
    while len(calls) < count:
        done, _ = await asyncio.wait(
            tasks, timeout=0.01, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in done:
            task.result()
    captured[:-CAPTURED] = []


async def refuses(server, key, packet):
    """Sends a captured packet as if it were one's own."""
    host, port = server.tcp
    reader, writer = await asyncio.open_connection(host, port)
    words = len(packet) // 4
    length = bytes([words]) if words < 127 else b"\x7f" + words.to_bytes(3, "little")
    writer.write(b"\xef" + length + packet)
    length = (await reader.readexactly(1))[0]
    if length == 127:
        length = int.from_bytes(await reader.readexactly(3), "little")
    answer = await reader.readexactly(4 * length)
    writer.close()

    assert len(answer) > 24, f"not a message: {answer.hex()}"
    aes_key, iv = MTProtoState._calc_key(key.key, answer[8:24], False)
    plain = AES.decrypt_ige(answer[24:], aes_key, iv)
    kind = int.from_bytes(plain[32:36], "little")
    assert kind == BAD_SERVER_SALT, f"a captured packet was answered with {kind:08x}"


run(main())
