"""A stranger's first minute: make a key, call, ping, leave, come back with the saved key, call again.

usage: first_calls.py DATA FRAMING
"""

import datetime
import random
import sys

from telethon import errors, functions, types

from common import DC, Server, run
from raw import UnknownMethod


async def main():
    server, framing = Server(sys.argv[1]), sys.argv[2]

    client = server.client(framing)
    await client.connect()
    await check_calls(client)
    await check_pings(client)
    key = client.session.auth_key.key
    assert len(key) == 256
    saved = client.session.save()
    await client.disconnect()

    again = server.client(framing, saved)
    await again.connect()
    await check_calls(again)
    assert again.session.auth_key.key == key, "it came back with another key"
    await again.disconnect()


async def check_calls(client):
    config = await client(functions.help.GetConfigRequest())
    assert isinstance(config, types.Config)
    assert config.this_dc == DC, config.this_dc
    assert config.test_mode is False
    assert config.expires > datetime.datetime.now(datetime.timezone.utc)
    assert any(option.id == DC for option in config.dc_options), config.dc_options

    nearest = await client(functions.help.GetNearestDcRequest())
    assert isinstance(nearest, types.NearestDc)
    assert nearest.this_dc == DC, nearest

    # Not logged in: this exact error is what clients take for "sign in first".
    try:
        await client(functions.users.GetUsersRequest([types.InputUserSelf()]))
        raise AssertionError("users.getUsers before login must fail")
    except errors.AuthKeyUnregisteredError as error:
        assert error.code == 401, error
    assert await client.get_me() is None

    unknown = UnknownMethod(0x7E570001)
    try:
        await client(unknown)
        raise AssertionError("an unknown method must fail")
    except errors.BadRequestError as error:
        assert unknown.is_named_by(error), error


async def check_pings(client):
    for request in (
        functions.PingRequest(random.getrandbits(63)),
        functions.PingDelayDisconnectRequest(random.getrandbits(63), 60),
    ):
        pong = await client(request)
        assert isinstance(pong, types.Pong), pong
        assert pong.ping_id == request.ping_id

    # A client that wants no updates wraps whatever it sends.
    ping = functions.PingRequest(random.getrandbits(63))
    pong = await client(functions.InvokeWithoutUpdatesRequest(ping))
    assert pong.ping_id == ping.ping_id

    salts = await client(functions.GetFutureSaltsRequest(4))
    assert len(salts.salts) >= 2, salts


run(main())
