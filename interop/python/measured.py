"""Telethon as a program of `cargo xtask bench client`: connects with a new key, then does what it is asked to.

    python measured.py HOST:PORT KEY.pem DC

Says `ready CPU_S` after the first answer. Then reads lines `work count` and says `SECONDS CPU_S` for each."""

import asyncio
import sys
import time

from telethon import TelegramClient, functions, types
from telethon.crypto import rsa
from telethon.sessions import MemorySession

API_ID = 4
API_HASH = "014b35b6184100b085b0d0572f9b5103"
PART_BYTES = 512 * 1024
PARTS_IN_FLIGHT = 4
CALLS_IN_FLIGHT = 1000
GET_NEAREST_DC = functions.help.GetNearestDcRequest


async def sequential(client, count):
    for _ in range(count):
        await client(GET_NEAREST_DC())


async def in_flight(client, count):
    await _together(CALLS_IN_FLIGHT, count, lambda _: client(GET_NEAREST_DC()))


async def download(client, count):
    """`count` parts of the generated file that is named in `file_location`."""

    async def part(number):
        request = functions.upload.GetFileRequest(
            file_location(), offset=number * PART_BYTES, limit=PART_BYTES
        )
        got = await client(request)
        assert len(got.bytes) == PART_BYTES, len(got.bytes)

    await _together(PARTS_IN_FLIGHT, count, part)


async def _together(width, count, work):
    numbers = iter(range(count))

    async def worker():
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(min(width, count))))


def file_location():
    return types.InputDocumentFileLocation(
        id=FILE_ID, access_hash=0, file_reference=b"", thumb_size=""
    )


async def main(address, key, dc):
    host, port = address.rsplit(":", 1)
    rsa._server_keys.clear()
    rsa.add_key(open(key, "rb").read(), old=False)
    session = MemorySession()
    session.set_dc(int(dc), host, int(port))
    client = TelegramClient(session, API_ID, API_HASH, receive_updates=False)
    await client.connect()
    await client(GET_NEAREST_DC())
    print("ready", time.process_time(), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        work, count = line.split()
        wall, cpu = time.monotonic(), time.process_time()
        await WORKS[work](client, int(count))
        print(time.monotonic() - wall, time.process_time() - cpu, flush=True)
    await client.disconnect()


WORKS = {"sequential": sequential, "in_flight": in_flight, "download": download}

# A file that the testbed makes up as it is read.
FILE_ID = 1

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
