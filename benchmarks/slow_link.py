"""A distance: ``python -m benchmarks.slow_link SOCKET_OR_PORT MILLISECONDS``.

It passes on to a server, half a round trip later each way, and prints its own port. A secondary in another region
answers after about 20 ms.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Copy what comes, each piece so much later, without holding up the next one."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(seconds, writer.write, data) if seconds else writer.write(data)
    loop.call_later(seconds, writer.close)


async def main(server: str, milliseconds: float) -> None:
    half = milliseconds / 2000

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: Any = (
            asyncio.open_unix_connection(server) if "/" in server else asyncio.open_connection("127.0.0.1", int(server))
        )
        far_reader, far_writer = await there
        await asyncio.gather(passed_on(reader, far_writer, half), passed_on(far_reader, writer, half))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
