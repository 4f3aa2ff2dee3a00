"""Telethon as a program of `cargo xtask bench clients`: connects with a new key, then does what it is asked to.

    python measured.py ADDRESS KEY.pem DC FILE_ID ACCESS_HASH REFERENCE

Says `ready` after the first answer. Then reads lines `work count` and says `done` after each. Whoever asks reads the
clock, and what the system has counted for this process."""

import asyncio
import sys

from telethon import TelegramClient, functions, types
from telethon.crypto import rsa
from telethon.sessions import MemorySession

API_ID = 4
API_HASH = "014b35b6184100b085b0d0572f9b5103"
PART_BYTES = 512 * 1024
WIDTHS = {"sequential": 1, "in_flight": 1000, "download": 4}


class Client(TelegramClient):
    """Asks nobody who is signed in: Telethon reads no user of layer 222, and nothing here needs one."""

    async def get_me(self, input_peer=False):
        return None


async def main(address, key, dc, file_id, access_hash, reference):
    host, port = address.rsplit(":", 1)
    rsa._server_keys.clear()
    rsa.add_key(open(key, "rb").read(), old=False)
    session = MemorySession()
    session.set_dc(int(dc), host, int(port))
    client = Client(session, API_ID, API_HASH, receive_updates=False)
    file = types.InputDocumentFileLocation(
        int(file_id), int(access_hash), bytes.fromhex(reference), thumb_size=""
    )

    async def small(_):
        await client(functions.help.GetNearestDcRequest())

    async def part(number):
        offset = number * PART_BYTES
        got = await client(functions.upload.GetFileRequest(file, offset, PART_BYTES))
        assert len(got.bytes) == PART_BYTES, len(got.bytes)

    await client.connect()
    await small(0)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        work, count = line.split()
        await together(WIDTHS[work], int(count), part if work == "download" else small)
        print("done", flush=True)
    await client.disconnect()


async def together(width, count, work):
    numbers = iter(range(count))

    async def worker():
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(width)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
