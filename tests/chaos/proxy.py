"""A bad network between the workers and a server: slow, cut, unreachable, or losing the replies."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

Weather = Literal["fine", "slow", "refuse", "swallow", "lose", "cut"]
"""``slow``: replies come late. ``refuse``: connections end at once. ``swallow``: requests arrive nowhere, nothing comes back.
``lose``: a request is carried out, and its connection ends before the reply. ``cut``: … in the middle of the reply."""


@dataclass
class _Streams:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Proxy:
    """Listens on a port of the loopback interface and passes everything on to a Unix socket.

    ``weather`` may be changed at any time, from any thread.
    """

    def __init__(self, socket: Path, *, seed: int, delay: float = 0.05, probability: float = 0.3) -> None:
        self.weather: Weather = "fine"
        self.port = 0
        self._socket = socket
        self._delay = delay
        self._probability = probability
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy {socket.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def hang_up(self) -> None:
        """End every connection now."""
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in list(self._writers)])

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here = _Streams(reader, writer)
        self._writers.add(writer)
        try:
            if self.weather != "refuse":
                there = _Streams(*await asyncio.open_unix_connection(str(self._socket)))
                self._writers.add(there.writer)
                try:
                    await self._pass_on(here, there)
                finally:
                    self._writers.discard(there.writer)
                    there.writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, here: _Streams, there: _Streams) -> None:
        ways = [asyncio.ensure_future(self._requests(here, there)), asyncio.ensure_future(self._replies(there, here))]
        _, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in pending:
            way.cancel()
        with contextlib.suppress(OSError):
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, here: _Streams, there: _Streams) -> None:
        while data := await here.reader.read(1 << 16):
            if self.weather == "refuse":
                return
            if self.weather == "swallow":
                await self._clears_up()
                return
            there.writer.write(data)
            await there.writer.drain()

    async def _replies(self, there: _Streams, here: _Streams) -> None:
        while data := await there.reader.read(1 << 16):
            weather = self.weather
            if weather == "slow":
                await asyncio.sleep(self._random.uniform(0, 2 * self._delay))
            elif weather == "swallow":
                await self._clears_up()
                return
            elif weather == "refuse" or (weather in {"lose", "cut"} and self._random.random() < self._probability):
                if weather == "cut":
                    here.writer.write(data[: len(data) // 2])
                    await here.writer.drain()
                return
            here.writer.write(data)
            await here.writer.drain()

    async def _clears_up(self) -> None:
        while self.weather == "swallow":
            await asyncio.sleep(0.05)
