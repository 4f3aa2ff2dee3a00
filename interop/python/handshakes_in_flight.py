"""Makes keys over many connections at once until the server is killed, then uses every key that it got.

A key counts as got when `dh_gen_ok` has arrived and its hash is right.

usage: handshakes_in_flight.py DATA
"""

import asyncio
import sys

from telethon import functions
from telethon.errors import SecurityError
from telethon.network.authenticator import do_authentication
from telethon.network.mtprotoplainsender import MTProtoPlainSender

from common import DC, LOGGERS, Server, gate, run, say

AT_ONCE = 24
KEYS_BEFORE_THE_KILL = 12
FRAMINGS = ("abridged", "intermediate", "full", "obfuscated")

got = []
odd_keys = 0


async def main():
    server = Server(sys.argv[1])
    enough = asyncio.Event()
    tasks = [
        asyncio.ensure_future(keep_making(server, FRAMINGS[i % len(FRAMINGS)], enough))
        for i in range(AT_ONCE)
    ]
    await enough.wait()
    say("handshakes in flight")
    await asyncio.gather(*tasks)
    assert len({key.key for key in got}) == len(got)

    await gate("cut off")

    for framing, key in zip((FRAMINGS * len(got)), got):
        client = server.client(framing, key=key)
        await client.connect()
        nearest = await client(functions.help.GetNearestDcRequest())
        assert nearest.this_dc == DC
        assert client.session.auth_key.key == key.key, "the key was lost: the client made another"
        await client.disconnect()
    print(f"{len(got)} keys, all of them work; {odd_keys} that Telethon itself gave up")


async def keep_making(server, framing, enough):
    """Makes one key after the other until the server goes away."""
    global odd_keys
    while True:
        connection = server.connection(framing)
        try:
            await connection.connect()
            sender = MTProtoPlainSender(connection, loggers=LOGGERS)
            key, _ = await do_authentication(sender)
        except (OSError, asyncio.IncompleteReadError):
            return
        except SecurityError as error:
            # Telethon drops the leading zeros of a key, so its hash is wrong for one key in 256.
            assert "new nonce hash" in str(error), error
            odd_keys += 1
            continue
        finally:
            await connection.disconnect()
        got.append(key)
        if len(got) >= KEYS_BEFORE_THE_KILL:
            enough.set()


run(main())
