"""Two clients of one bot against a backend of `examples/backends`: they sign in, hear of each other, and lose interest.

usage: backend_clients.py DATA
"""

import asyncio
import random
import sys

from telethon import errors, events, functions, types

from common import API_HASH, API_ID, Server, gate, run, say

BOT = 1000


async def main():
    server = Server(sys.argv[1])
    first, second = server.client("obfuscated"), server.client("abridged")
    heard = {client: asyncio.Queue() for client in (first, second)}
    for client in (first, second):
        client.add_event_handler(heard[client].put, events.Raw(types.UpdateUserStatus))
        await client.connect()
        await sign_in(client)
        # It hands no update out before it knows itself, which `userEmpty` does not tell it.
        client._mb_entity_cache.set_self_user(BOT, True, 0)

    # What one says the other hears, and not the one that said it.
    await status(first, offline=False)
    update = await asyncio.wait_for(heard[second].get(), 30)
    assert update.user_id == BOT and isinstance(update.status, types.UserStatusOnline), update
    await status(second, offline=True)
    update = await asyncio.wait_for(heard[first].get(), 30)
    assert isinstance(update.status, types.UserStatusOffline), update
    assert heard[second].empty(), "a session heard what it had said itself"

    await lose_interest(first)
    say("dropped")

    # The server dies; the one after it must ask the backend who they are.
    await gate("restart")
    for client in (first, second):
        await who(client)
    await status(first, offline=False)
    update = await asyncio.wait_for(heard[second].get(), 30)
    assert isinstance(update.status, types.UserStatusOnline), update

    await first(functions.auth.LogOutRequest())
    try:
        await who(first)
        raise AssertionError("it is still logged in")
    except errors.AuthKeyUnregisteredError:
        pass
    # Who has logged out is told nothing.
    await status(second, offline=False)
    await who(second)
    assert heard[first].empty(), "an update after the log-out"
    for client in (first, second):
        await client.disconnect()


async def sign_in(client):
    try:
        await who(client)
        raise AssertionError("nobody has signed in")
    except errors.AuthKeyUnregisteredError:
        pass
    for token, ok in (("nonsense", False), (f"{BOT}:secret", True)):
        request = functions.auth.ImportBotAuthorizationRequest(0, API_ID, API_HASH, token)
        try:
            authorization = await client(request)
            assert ok and authorization.user.id == BOT, authorization
        except errors.AccessTokenInvalidError:
            assert not ok, token
    await who(client)


async def who(client):
    (user,) = await client(functions.users.GetUsersRequest([types.InputUserSelf()]))
    assert user.id == BOT, user


async def status(client, offline):
    assert await client(functions.account.UpdateStatusRequest(offline)) is True


async def lose_interest(client):
    """Calls what is never answered, then drops the answer."""
    peer = types.InputPeerSelf()
    call = functions.messages.GetBotCallbackAnswerRequest(peer, random.getrandbits(31))
    answer = client._sender.send(call)
    await gate("waits")
    (msg_id,) = [
        msg_id
        for msg_id, state in client._sender._pending_state.items()
        if isinstance(state.request, functions.messages.GetBotCallbackAnswerRequest)
        or getattr(state.request, "query", None) is call
        or state.future is answer
    ]
    dropped = await client(functions.RpcDropAnswerRequest(msg_id))
    assert isinstance(dropped, types.RpcAnswerDroppedRunning), dropped
    client._sender._pending_state.pop(msg_id, None)
    answer.cancel()


run(main())
