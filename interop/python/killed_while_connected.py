"""Is connected when the server goes away, and calls again once it is back: same client, same key.

usage: killed_while_connected.py DATA FRAMING
"""

import sys

from telethon import functions

from common import DC, Server, gate, run


async def main():
    server, framing = Server(sys.argv[1]), sys.argv[2]
    client = server.client(framing)
    await client.connect()
    await client(functions.help.GetConfigRequest())
    key = client.session.auth_key.key

    await gate("connected")

    nearest = await client(functions.help.GetNearestDcRequest())
    assert nearest.this_dc == DC
    assert client.session.auth_key.key == key, "it made another key"
    await client.disconnect()


run(main())
