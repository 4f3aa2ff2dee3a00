"""A backend in Python: signs bots in, and tells each one's other sessions that it is online.

usage: backend.py ADDRESS PUSH_ADDRESS

Teaches: how to serve the contract with grpcio, how to read and write TL with Telethon's types, how a log-in is said, how an
update is pushed, and how a call that nobody waits for ends. `docs/backends.md` walks through it. State is kept in memory; a
real backend keeps it in a database.
"""

import asyncio
import pathlib
import sys
import time

import grpc
from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import functions, types

# Where the contract lies: grpcio compiles it when it is imported.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "schema"))
contract, services = grpc.protos_and_services("heliogram/backend/v1/backend.proto")


class Backend(services.BackendServicer):
    def __init__(self, push):
        self.push = push
        # Identity of a client's key -> who has logged in with it.
        self.users = {}
        # Identity -> the greatest term that was seen.
        self.terms = {}

    async def Call(self, call, context):
        """Answers one call. The task is cancelled when the client drops the answer, or its time is over."""
        if call.term < self.terms.get(call.identity, 0):
            # A session node that was cut off does not know yet that another one owns the client by now.
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the call is of an older term")
        self.terms[call.identity] = call.term

        try:
            request = BinaryReader(call.body).tgread_object()
        except TypeNotFoundError:
            return error(400, "INPUT_METHOD_INVALID")
        if isinstance(request, functions.auth.ImportBotAuthorizationRequest):
            return self.sign_in(call, request)
        user = self.users.get(call.identity)
        if user is None:
            return error(401, "AUTH_KEY_UNREGISTERED")
        answer = METHODS.get(type(request))
        return await answer(self, call, user, request) if answer else error(400, "METHOD_INVALID")

    async def FindUser(self, request, context):
        """Says who has logged in with a key: a session node that has just started does not know."""
        return contract.FindUserReply(user=self.users.get(request.identity))

    def sign_in(self, call, request):
        number, _, secret = request.bot_auth_token.partition(":")
        if not number.isdecimal() or not secret:
            return error(400, "ACCESS_TOKEN_INVALID")
        user = self.users[call.identity] = int(number)
        # The effect is done before the client gets its answer: pushes to this user reach it from now on.
        return contract.CallReply(result=bytes(types.auth.Authorization(about(user))), log_in=user)

    async def log_out(self, call, user, request):
        del self.users[call.identity]
        return contract.CallReply(result=bytes(types.auth.LoggedOut()), log_out=True)

    async def get_users(self, call, user, request):
        return vector([about(user)])

    async def update_status(self, call, user, request):
        now = int(time.time())
        status = types.UserStatusOffline(now) if request.offline else types.UserStatusOnline(now + 300)
        update = types.UpdateShort(types.UpdateUserStatus(user, status), now)
        # All sessions of the user but the one that says so.
        push = contract.PushRequest(targets=[contract.Target(user=user)], body=bytes(update))
        getattr(push, "except").CopyFrom(
            contract.Session(identity=call.identity, session_id=call.session_id)
        )
        try:
            await self.push.Push(push, timeout=PUSH_PATIENCE_S, wait_for_ready=True)
        except grpc.aio.AioRpcError as failure:
            print("not pushed:", failure.code().name, flush=True)
        return contract.CallReply(result=TRUE)

    async def get_bot_callback_answer(self, call, user, request):
        """Waits for a bot that never says anything: until nobody waits any more."""
        print("waits", flush=True)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            raise


METHODS = {
    functions.account.UpdateStatusRequest: Backend.update_status,
    functions.auth.LogOutRequest: Backend.log_out,
    functions.messages.GetBotCallbackAnswerRequest: Backend.get_bot_callback_answer,
    functions.users.GetUsersRequest: Backend.get_users,
}

# Seconds that a session node may be away before an update is given up; clients ask for what they miss.
PUSH_PATIENCE_S = 5

TRUE = (0x997275B5).to_bytes(4, "little")
VECTOR = (0x1CB5C415).to_bytes(4, "little")


def about(user):
    return types.User(user, is_self=True, bot=True, bot_info_version=1, first_name=f"Bot {user}")


def vector(objects):
    body = VECTOR + len(objects).to_bytes(4, "little") + b"".join(map(bytes, objects))
    return contract.CallReply(result=body)


def error(code, message):
    return contract.CallReply(error=contract.RpcError(code=code, message=message))


async def main(address, push_address):
    # Over a Unix socket grpcio would name the socket's path as the host, which is no host.
    options = [("grpc.default_authority", "session.heliogram.internal")]
    async with grpc.aio.insecure_channel(push_address, options) as channel:
        server = grpc.aio.server()
        backend = Backend(services.PushStub(channel))
        services.add_BackendServicer_to_server(backend, server)
        server.add_insecure_port(address)
        await server.start()
        print("ready", flush=True)
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
