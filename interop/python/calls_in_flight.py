"""Keeps 200 calls in flight over several connections while the server is killed, and checks whose every answer is.

Each call ends with its own answer or with an error of the client, never with what belongs to another call.

usage: calls_in_flight.py DATA
"""

import asyncio
import collections
import itertools
import sys

from telethon import errors, functions, types

from common import DC, Server, run, say
from raw import UnknownMethod

CLIENTS = 4
CALLS = 200
# How long calls go on: well beyond the server's restart.
CALLING_S = 6.0
FRAMINGS = ("abridged", "intermediate", "full", "obfuscated")

unknown_ids = itertools.count(0x7E580000)
counts = collections.Counter()
most_unanswered = collections.Counter()


async def main():
    server = Server(sys.argv[1])
    clients = [server.client(framing) for framing in FRAMINGS]
    for client in clients:
        await client.connect()
    keys = [client.session.auth_key.key for client in clients]
    # Telethon takes a new session id whenever it reconnects.
    sessions = [client._sender._state.id for client in clients]

    loop = asyncio.get_running_loop()
    end = loop.time() + CALLING_S
    in_flight = [keep_calling(clients[i % CLIENTS], i, end) for i in range(CALLS)]
    tasks = [loop.create_task(each) for each in in_flight]
    watches = [loop.create_task(watch(client)) for client in clients]
    await asyncio.sleep(0.2)
    say("200 calls in flight")
    await asyncio.gather(*tasks)
    for task in watches:
        task.cancel()
    unanswered = sum(most_unanswered.values())
    assert unanswered > 0, "no call was in flight when the server was killed"

    for client, key, session in zip(clients, keys, sessions):
        assert client._sender._state.id != session, "the server was not killed in their midst"
        assert client.session.auth_key.key == key, "it made another key"
        nearest = await client(functions.help.GetNearestDcRequest())
        assert nearest.this_dc == DC
        await client.disconnect()
    ended = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"{unanswered} calls unanswered at the crash; calls ended: {ended}")


async def watch(client):
    """Notes how many calls had been sent and not answered when the connection broke."""
    sender = client._sender
    while True:
        if not sender._connection._connected:
            unanswered = len(sender._pending_state)
            most_unanswered[client] = max(most_unanswered[client], unanswered)
        await asyncio.sleep(0.002)


async def keep_calling(client, number, end):
    """Makes one call after the other."""
    call = (call_unknown, call_config, call_nearest_dc, call_unknown)[number // CLIENTS % 4]
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        try:
            await call(client)
        except (ConnectionError, asyncio.CancelledError, errors.TimedOutError) as error:
            # The client's own word that the call has no answer.
            counts[f"client's own error: {type(error).__name__}"] += 1
            await asyncio.sleep(0.2)
        else:
            counts["answered"] += 1


async def call_unknown(client):
    request = UnknownMethod(next(unknown_ids))
    try:
        result = await client(request)
    except errors.BadRequestError as error:
        assert request.is_named_by(error), f"{request.to_dict()} was answered with {error}"
    else:
        raise AssertionError(f"{request.to_dict()} was answered with {result}")


async def call_config(client):
    config = await client(functions.help.GetConfigRequest())
    assert isinstance(config, types.Config), config


async def call_nearest_dc(client):
    nearest = await client(functions.help.GetNearestDcRequest())
    assert isinstance(nearest, types.NearestDc), nearest


run(main())
