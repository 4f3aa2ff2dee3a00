"""Makes a key and nothing else, lets the server be killed, then uses the key for the first time.

usage: killed_after_handshake.py DATA FRAMING
"""

import sys

from telethon import functions
from telethon.network.authenticator import do_authentication
from telethon.network.mtprotoplainsender import MTProtoPlainSender

from common import DC, LOGGERS, Server, gate, run


async def main():
    server, framing = Server(sys.argv[1]), sys.argv[2]
    connection = server.connection(framing)
    await connection.connect()
    key, _ = await do_authentication(MTProtoPlainSender(connection, loggers=LOGGERS))

    await gate("has a key")

    await connection.disconnect()
    client = server.client(framing, key=key)
    await client.connect()
    nearest = await client(functions.help.GetNearestDcRequest())
    assert nearest.this_dc == DC
    assert client.session.auth_key.key == key.key, "it made another key"
    await client.disconnect()


run(main())
