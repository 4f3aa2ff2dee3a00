"""What session nodes of several terms say to a backend of `examples/backends`.

usage: backend_terms.py BACKEND
"""

import pathlib
import sys

import grpc

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "schema"))
contract, services = grpc.protos_and_services("heliogram/backend/v1/backend.proto")


def main():
    options = [("grpc.default_authority", "backend.heliogram.internal")]
    with grpc.insecure_channel(sys.argv[1], options) as channel:
        backend = services.BackendStub(channel)
        for identity, term, is_taken in (
            (1, 5, True),
            (1, 5, True),
            (1, 4, False),
            (2, 4, True),
            (1, 6, True),
            (1, 5, False),
        ):
            try:
                reply = backend.Call(call(identity, term), timeout=30)
                # What is refused ends as a failure either way; the Rust trait says so in words.
                assert reply.error.code == (401 if is_taken else 500), (identity, term, reply)
            except grpc.RpcError as refused:
                assert not is_taken, refused
                assert refused.code() == grpc.StatusCode.FAILED_PRECONDITION, refused


def call(identity, term):
    # users.getUsers#0d91a548 id:Vector<InputUser> = Vector<User>
    body = bytes.fromhex("48a5910d15c4b51c00000000")
    key = contract.Key(id=identity)
    peer = "192.0.2.1:443"
    return contract.CallRequest(
        identity=identity, session_id=1, msg_id=4, term=term, key=key, peer=peer, body=body
    )


main()
